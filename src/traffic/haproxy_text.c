#include <errno.h>

#include "base/str.h"
#include "traffic/haproxy.h"

int haproxy_percent(const char *s, size_t n) {
    if (n < 1 || n > 3)
        return -1;
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v <= 100 ? v : -1;
}

/* HAProxy's error texts (src/cli.c, src/map.c, src/stats.c of 2.6 to 3.2), with what to do. */
static const struct known_text {
    const char *text;
    int code;
    const char *why;
} known_texts[] = {
    {"Permission denied", -EACCES, "the socket's `level` must be operator or admin"},
    {"Unknown map identifier", -ENOENT, "no front end uses this map"},
    {"Unknown command", -EOPNOTSUPP, "HAProxy 2.6 or newer is needed"},
    {"No such proxy", -ENOENT, "HAProxy has no back end of this name"},
    {"entry not found", -ENOKEY, "the map does not hold this key"},
    {"unable to parse", -EINVAL, "the map's values must be whole numbers"},
    {"Out of memory", -ENOMEM, "HAProxy has no memory left"},
};

/* The first line, printable, cut to fit a message. */
static void quote(const char *answer, char out[120]) {
    size_t n = 0;
    for (; answer[n] && answer[n] != '\n' && n < 119; n++) {
        bool plain = answer[n] >= ' ' && (unsigned char)answer[n] < 0x7f;
        out[n] = plain ? answer[n] : '?';
    }
    out[n] = 0;
}

int haproxy_answer_check(const char *answer, const char *wanted, struct err *e) {
    if (!*answer || (wanted && str_starts(answer, wanted)))
        return 0;
    char text[120];
    quote(answer, text);
    for (size_t i = 0; i < COUNT_OF(known_texts); i++)
        if (strstr(text, known_texts[i].text))
            return err_set(e, known_texts[i].code, "HAProxy says \"%s\": %s", text,
                           known_texts[i].why);
    return err_set(e, -EPROTO, "HAProxy says \"%s\", which is not understood", text);
}

/* The next line without its end, false at the end of the text. */
static bool next_line(const char **text, const char **line, size_t *n) {
    if (!**text)
        return false;
    *line = *text;
    *n = strcspn(*text, "\n");
    *text += *n + ((*text)[*n] ? 1 : 0);
    return true;
}

/* Backslashes before what the command line of the socket would take for itself. */
static const char *escape(struct arena *a, const char *name) {
    AUTO_SB b = SB_INIT(2 * HAPROXY_MAP_MAX);
    for (; *name; name++) {
        if (strchr(" \t;\\\"'", *name))
            sb_chr(&b, '\\');
        sb_chr(&b, *name);
    }
    return arena_strdup(a, sb_get(&b));
}

/* "0 (/etc/haproxy/tandem.map) pattern loaded from file ..." */
static const char *map_name(struct arena *a, const char *line, size_t n) {
    const char *s = memchr(line, '(', n);
    if (!s || *line == '#')
        return NULL;
    const char *text = arena_strndup(a, s + 1, n - (size_t)(s + 1 - line));
    const char *end = strstr(text, ") pattern");
    if (!end)
        end = strstr(text, ") ");
    return end ? arena_strndup(a, text, (size_t)(end - text)) : NULL;
}

enum map_match { MATCH_NONE, MATCH_TAIL, MATCH_RESOLVED, MATCH_TEXT };

static char *resolved(struct arena *a, const char *path) {
    char *real = realpath(path, NULL);
    char *ret = arena_strdup(a, real);
    xfree(real);
    return ret;
}

static enum map_match match_map(struct arena *a, const char *name, const char *path) {
    static const char *const prefix[] = {"opt@", "file@"}; /* HAProxy 3.1 and later */
    for (size_t i = 0; i < COUNT_OF(prefix); i++)
        if (str_starts(name, prefix[i]))
            name += strlen(prefix[i]);
    if (str_eq(name, path))
        return MATCH_TEXT;
    const char *real = resolved(a, path);
    if (name[0] == '/')
        return real && str_eq(resolved(a, name), real) ? MATCH_RESOLVED : MATCH_NONE;
    const char *tail = arena_printf(a, "/%s", str_starts(name, "./") ? name + 2 : name);
    return str_ends(path, tail) || (real && str_ends(real, tail)) ? MATCH_TAIL : MATCH_NONE;
}

int haproxy_find_map(struct arena *a, const char *answer, const char *path, const char **ret,
                     struct err *e) {
    const char *line, *best = NULL, *text = answer;
    enum map_match best_match = MATCH_NONE;
    unsigned equal = 0;
    size_t n;
    int r = haproxy_answer_check(answer, "# id", e);
    while (r == 0 && next_line(&text, &line, &n)) {
        const char *name = map_name(a, line, n);
        enum map_match m = name ? match_map(a, name, path) : MATCH_NONE;
        if (m == MATCH_NONE || m < best_match)
            continue;
        equal = m == best_match ? equal + 1 : 1;
        best = name;
        best_match = m;
    }
    if (r < 0)
        return r;
    if (!best)
        return err_set(e, -ENOENT, "HAProxy does not use the map %s; see docs/TRAFFIC.md", path);
    if (equal > 1)
        return err_set(e, -ENOTUNIQ, "%u maps of HAProxy could be %s; name it as HAProxy does",
                       equal, path);
    *ret = escape(a, best);
    return 0;
}

static void add_value(struct haproxy_value *v, const char *s, size_t n) {
    char text[sizeof v->text];
    size_t fit = MIN(n, sizeof text - 1);
    memcpy(text, s, fit);
    text[fit] = 0;
    if (v->found++) {
        v->differ |= !str_eq(text, v->text);
        return;
    }
    memcpy(v->text, text, sizeof text);
    v->percent = haproxy_percent(s, n);
}

int haproxy_find_value(const char *answer, const char *key, struct haproxy_value *ret,
                       struct err *e) {
    struct haproxy_value v = {.percent = -1};
    const char *line, *text = answer;
    size_t n, key_len = strlen(key);
    int r = haproxy_answer_check(answer, "0x", e);
    if (r < 0)
        return r;
    while (next_line(&text, &line, &n)) {
        const char *k = memchr(line, ' ', n);
        size_t left = k ? n - (size_t)(k + 1 - line) : 0;
        if (k && left > key_len && memcmp(k + 1, key, key_len) == 0 && k[1 + key_len] == ' ')
            add_value(&v, k + 2 + key_len, left - key_len - 1);
    }
    *ret = v;
    return 0;
}
