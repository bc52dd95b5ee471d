#include "migrate/hands.h"

#include "migrate/facts.h"

enum { SEGMENT_MAX = 600 };

/* Times are RFC 3339 in UTC, in seconds: they compare as texts. */
static bool is_later(yyjson_val *entry, const char *since) {
    const char *time = json_str(entry, "time");
    return time && since && strcmp(time, since) > 0;
}

static bool is_hand(yyjson_val *entry, const char *since) {
    const char *who = json_str(entry, "manager"), *sub = json_str(entry, "subresource");
    return is_later(entry, since) && !str_eq(sub, "status") && who && !str_eq(who, "tandem") &&
           !facts_system_manager(who);
}

/* The next segment of a pointer into out; the rest, or NULL when the pointer is at its end. */
static const char *next_segment(const char *p, char out[SEGMENT_MAX]) {
    size_t n = 0;
    if (*p != '/')
        return NULL;
    for (p++; *p && *p != '/'; p++) {
        char c = *p;
        if (c == '~' && (p[1] == '0' || p[1] == '1'))
            c = *++p == '0' ? '~' : '/';
        if (n + 1 < SEGMENT_MAX)
            out[n++] = c;
    }
    out[n] = 0;
    return p;
}

/* Does the key k:{"name":"app"} or k:{"containerPort":53,"protocol":"TCP"} name the element "app",
 * "53 TCP"? Each word of the name is a value in it. */
static bool names_element(const char *key, const char *id) {
    AUTO_STRVEC words = {0};
    if (!str_starts(key, "k:"))
        return false;
    strvec_split(&words, id, ' ');
    for (size_t i = 0; i < words.n; i++) {
        char quoted[SEGMENT_MAX + 4], bare[SEGMENT_MAX + 4];
        snprintf(quoted, sizeof quoted, ":\"%s\"", words.v[i]);
        snprintf(bare, sizeof bare, ":%s", words.v[i]);
        if (!strstr(key, quoted) && !strstr(key, bare))
            return false;
    }
    return words.n > 0;
}

static bool owns(yyjson_val *fields, const char *pointer) {
    char seg[SEGMENT_MAX], member[SEGMENT_MAX + 4];
    if (!fields)
        return false;
    const char *rest = next_segment(pointer, seg);
    /* An empty set stands for everything below. */
    if (!rest || yyjson_obj_size(fields) == 0)
        return true;
    snprintf(member, sizeof member, "f:%s", seg);
    yyjson_val *in = yyjson_obj_get(fields, member), *key, *val;
    if (in)
        return owns(in, rest);
    size_t i, max;
    json_obj_foreach (fields, i, max, key, val) {
        if (names_element(yyjson_get_str(key), seg) && owns(val, rest))
            return true;
    }
    return false;
}

static const char *hand_of(yyjson_val *live, const char *since, const char *pointer) {
    yyjson_val *all = json_get(live, "metadata", "managedFields"), *m;
    size_t i, max;
    yyjson_arr_foreach (all, i, max, m) {
        if (is_hand(m, since) && (!pointer || owns(json_get(m, "fieldsV1"), pointer)))
            return json_str(m, "manager");
    }
    return NULL;
}

const char *hands_at(yyjson_val *live, const char *pointer) {
    return hand_of(live, json_str(live, "metadata", "creationTimestamp"), pointer);
}

const char *hands_since(yyjson_val *live, const char *since) {
    return hand_of(live, since, NULL);
}

const char *hands_on(yyjson_val *live) {
    return hands_at(live, NULL);
}

bool hands_system(yyjson_val *live, const char *pointer) {
    yyjson_val *all = json_get(live, "metadata", "managedFields"), *m;
    size_t i, max;
    yyjson_arr_foreach (all, i, max, m) {
        const char *who = json_str(m, "manager");
        if (who && facts_system_manager(who) && owns(json_get(m, "fieldsV1"), pointer))
            return true;
    }
    return false;
}
