#include "migrate/managers.h"

#include "base/clock.h"
#include "migrate/hold.h"

#define HOLD_ANNOTATION_POINTER "tandem.dev~1held"

enum { KEY_MAX = 1024, DIGITS_MAX = 15 };

/* --- one set of fields against a tree --- */

struct walk {
    const struct managers_ask *ask;
    struct arena *a;      /* of keys that are parsed */
    yyjson_mut_val *refs; /* metadata.ownerReferences of what is sent */
    struct sb *out;       /* the set without what is not there */
    size_t fields;        /* written so far */
};

/* A member of a set, found in the tree; key differs from the set's only in an owner's uid. */
struct hit {
    yyjson_mut_val *val;
    const char *key;
};

static yyjson_mut_val *parse_key(struct walk *w, const char *json) {
    yyjson_val *v;
    return json_parse(w->a, json, strlen(json), &v, NULL) < 0
               ? NULL
               : yyjson_val_mut_copy(json_doc(w->a), v);
}

static bool has_all(yyjson_mut_val *element, yyjson_mut_val *want) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    if (!yyjson_mut_is_obj(want) || !yyjson_mut_is_obj(element))
        return false;
    yyjson_mut_obj_foreach (want, i, max, key, val) {
        if (!json_mut_equal(val, yyjson_mut_obj_get(element, yyjson_mut_get_str(key))))
            return false;
    }
    return true;
}

static yyjson_mut_val *element_of(yyjson_mut_val *arr, yyjson_mut_val *want, bool by_key) {
    size_t i, max;
    yyjson_mut_val *x;
    if (!want || !yyjson_mut_is_arr(arr))
        return NULL;
    yyjson_mut_arr_foreach (arr, i, max, x) {
        if (by_key ? has_all(x, want) : json_mut_equal(x, want))
            return x;
    }
    return NULL;
}

/* The owner with this uid in the source, as it is sent: of the same kind and name. */
static yyjson_mut_val *owner_sent(struct walk *w, yyjson_mut_val *key) {
    const char *uid = json_mut_str(key, "uid");
    size_t i, max, j, m;
    yyjson_val *ref;
    yyjson_mut_val *x;
    yyjson_arr_foreach (json_get(w->ask->source, "metadata", "ownerReferences"), i, max, ref) {
        if (!uid || !str_eq(json_str(ref, "uid"), uid))
            continue;
        yyjson_mut_arr_foreach (w->refs, j, m, x) {
            if (str_eq(json_mut_str(x, "kind"), json_str(ref, "kind")) &&
                str_eq(json_mut_str(x, "name"), json_str(ref, "name")))
                return x;
        }
    }
    return NULL;
}

static struct hit find_owner(struct walk *w, const char *key) {
    yyjson_mut_val *x = owner_sent(w, parse_key(w, key + 2));
    const char *uid = json_mut_str(x, "uid");
    return (struct hit){x, uid ? arena_printf(w->a, "k:{\"uid\":\"%s\"}", uid) : key};
}

/* fieldsV1: "f:NAME" a member, "k:{...}" the element with these keys, "v:VALUE" the element that is
 * this value, "i:N" the Nth, "." the thing itself (structured-merge-diff, fieldpath/serialize.go).
 */
static struct hit find(struct walk *w, const char *key, yyjson_mut_val *in) {
    struct hit h = {NULL, key};
    uint64_t n;
    if (str_eq(key, "."))
        h.val = in;
    else if (str_starts(key, "f:"))
        h.val = yyjson_mut_obj_get(in, key + 2);
    else if (str_starts(key, "k:") && in && in == w->refs)
        h = find_owner(w, key);
    else if (str_starts(key, "k:") || str_starts(key, "v:"))
        h.val = element_of(in, parse_key(w, key + 2), *key == 'k');
    else if (str_starts(key, "i:") && str_u64(key + 2, &n) >= 0)
        h.val = yyjson_mut_arr_get(in, n);
    return h;
}

static void roll_back(struct sb *b, size_t mark) {
    b->len = mark;
    if (b->p)
        b->p[mark] = 0;
}

/* Owning the thing itself and nothing in it is no reason to write in another way. */
static void count_field(struct walk *w, const char *key, yyjson_mut_val *val) {
    bool empty = yyjson_mut_obj_size(val) == 0 && yyjson_mut_arr_size(val) == 0;
    w->fields += !str_eq(key, ".") || (yyjson_mut_is_ctn(val) && empty);
}

/* Writes of the set what is there; false, and nothing, when nothing is. */
static bool write_set(struct walk *w, yyjson_val *set, yyjson_mut_val *in) {
    size_t start = w->out->len, i, max;
    bool any = false;
    yyjson_val *key, *val;
    sb_chr(w->out, '{');
    json_obj_foreach (set, i, max, key, val) {
        size_t mark = w->out->len;
        struct hit h = find(w, yyjson_get_str(key), in);
        if (!h.val)
            continue;
        sb_str(w->out, any ? "," : "");
        sb_json(w->out, h.key, strlen(h.key));
        sb_chr(w->out, ':');
        if (yyjson_obj_size(val) == 0) {
            sb_str(w->out, "{}");
            count_field(w, h.key, h.val);
        } else if (!write_set(w, val, h.val)) {
            roll_back(w->out, mark);
            continue;
        }
        any = true;
    }
    sb_chr(w->out, '}');
    if (!any)
        roll_back(w->out, start);
    return any;
}

/* Of a version that is served and is not the one that is written: its paths cannot be looked up in
 * what is sent, but metadata is the same everywhere and status is not written. */
static bool write_foreign_set(struct walk *w, yyjson_val *set) {
    size_t start = w->out->len, i, max;
    bool any = false;
    yyjson_val *key, *val;
    sb_chr(w->out, '{');
    json_obj_foreach (set, i, max, key, val) {
        const char *k = yyjson_get_str(key);
        size_t mark = w->out->len;
        if (str_eq(k, "f:status"))
            continue;
        sb_str(w->out, any ? "," : "");
        sb_json(w->out, k, yyjson_get_len(key));
        sb_chr(w->out, ':');
        if (!str_eq(k, "f:metadata")) {
            sb_str(w->out, json_write(w->a, val, NULL));
            w->fields++;
        } else if (!write_set(w, val, yyjson_mut_obj_get(w->ask->sent, "metadata"))) {
            roll_back(w->out, mark);
            continue;
        }
        any = true;
    }
    sb_chr(w->out, '}');
    if (!any)
        roll_back(w->out, start);
    return any;
}

/* Does the set own every field below `in`? */
static bool covers(struct walk *w, yyjson_val *set, yyjson_mut_val *in);

static bool covers_member(struct walk *w, yyjson_val *set, const char *key, yyjson_mut_val *val) {
    char name[KEY_MAX];
    int n = snprintf(name, sizeof name, "f:%s", key);
    yyjson_val *child = n > 0 && (size_t)n < sizeof name ? yyjson_obj_get(set, name) : NULL;
    return child && (yyjson_obj_size(child) == 0 || covers(w, child, val));
}

static bool covers_elements(struct walk *w, yyjson_val *set, yyjson_mut_val *arr) {
    size_t found = 0, i, max;
    yyjson_val *key, *val;
    json_obj_foreach (set, i, max, key, val) {
        if (str_eq(yyjson_get_str(key), "."))
            continue;
        struct hit h = find(w, yyjson_get_str(key), arr);
        if (h.val && yyjson_obj_size(val) > 0 && !covers(w, val, h.val))
            return false;
        found += h.val != NULL;
    }
    return found == yyjson_mut_arr_size(arr);
}

static bool covers(struct walk *w, yyjson_val *set, yyjson_mut_val *in) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    if (yyjson_mut_is_arr(in))
        return covers_elements(w, set, in);
    if (!yyjson_mut_is_obj(in))
        return true;
    yyjson_mut_obj_foreach (in, i, max, key, val) {
        if (!covers_member(w, set, yyjson_mut_get_str(key), val))
            return false;
    }
    return true;
}

static bool owns_all(struct walk *w, yyjson_val *set) {
    static const char *const of_all[] = {"apiVersion", "kind", "metadata", NULL};
    static const char *const of_meta[] = {"name", "namespace", NULL};
    const struct {
        yyjson_mut_val *in;
        yyjson_val *set;
        const char *const *but;
    } parts[] = {
        {w->ask->sent, set, of_all},
        {yyjson_mut_obj_get(w->ask->sent, "metadata"), yyjson_obj_get(set, "f:metadata"), of_meta}};
    for (size_t p = 0; p < COUNT_OF(parts); p++) {
        size_t i, max;
        yyjson_mut_val *key, *val;
        yyjson_mut_obj_foreach (parts[p].in, i, max, key, val) {
            const char *k = yyjson_mut_get_str(key);
            const char *const *but = parts[p].but;
            while (*but && !str_eq(*but, k))
                but++;
            if (!*but && !covers_member(w, parts[p].set, k, val))
                return false;
        }
    }
    return true;
}

/* --- entries --- */

static bool is_apply(yyjson_val *entry) {
    return str_eq(json_str(entry, "operation"), "Apply");
}

static bool is_own(yyjson_val *entry) {
    return str_eq(json_str(entry, "manager"), MANAGER_OWN) && !is_apply(entry) &&
           str_empty(json_str(entry, "subresource"));
}

static size_t count_leaves(yyjson_val *set) {
    size_t i, max, n = 0;
    yyjson_val *key, *val;
    json_obj_foreach (set, i, max, key, val) {
        if (yyjson_obj_size(val))
            n += count_leaves(val);
        else
            n += !str_eq(yyjson_get_str(key), ".");
    }
    return n;
}

/* The annotation and the field that holds, as write_hold() and handing over leave them. The field
 * alone: let loose, and cut short before it went back to its owners. */
static bool is_hold_only(yyjson_val *set) {
    size_t n = count_leaves(set);
    return !n || (n <= 2 && json_get(set, "f:metadata", "f:annotations", "f:" HOLD_ANNOTATION));
}

static bool is_own_hold(yyjson_val *entry) {
    return is_own(entry) && is_hold_only(json_get(entry, "fieldsV1"));
}

static void add_member(struct sb *b, const char *key, const char *val) {
    if (!val)
        return;
    sb_fmt(b, "%s\"%s\":", b->len && b->p[b->len - 1] == '{' ? "" : ",", key);
    sb_json(b, val, strlen(val));
}

static void begin_entry(struct sb *b, yyjson_val *entry, const char *api_version) {
    static const char *const kept[] = {"manager", "operation", "time", "subresource"};
    sb_str(b, b->len > 1 ? ",{" : "{");
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        add_member(b, kept[i], json_str(entry, kept[i]));
    add_member(b, "apiVersion", api_version);
    sb_str(b, ",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
}

/* Appends the entry as it should be; false, and nothing, when it owns nothing that is sent. */
static bool write_entry(struct walk *w, yyjson_val *entry) {
    const struct managers_ask *ask = w->ask;
    const char *version = json_str(entry, "apiVersion");
    bool written = str_eq(version, ask->api_version);
    bool foreign = !written && version && ask->served && ask->served(ask->ctx, version);
    yyjson_val *set = json_get(entry, "fieldsV1");
    size_t mark = w->out->len;
    begin_entry(w->out, entry, foreign ? version : ask->api_version);
    w->fields = 0;
    bool any = foreign ? write_foreign_set(w, set) : write_set(w, set, ask->sent);
    if (any && w->fields)
        sb_chr(w->out, '}');
    else
        roll_back(w->out, mark);
    return any && w->fields;
}

/* Adds what the JSON pointer names to a set. */
static void own_field(yyjson_mut_doc *d, yyjson_mut_val *set, const char *pointer) {
    while (*pointer == '/') {
        char name[KEY_MAX] = "f:";
        size_t n = 2;
        for (pointer++; *pointer && *pointer != '/' && n + 1 < sizeof name; pointer++)
            name[n++] = *pointer != '~' ? *pointer : *++pointer == '1' ? '/' : '~';
        set = json_mut_obj_at(d, set, name);
    }
}

/* What we add by holding, as an entry of its own. */
static void write_hold(struct walk *w) {
    char now[CLOCK_RFC3339_MAX];
    struct sb *b = w->out;
    sb_str(b, b->len > 1 ? ",{" : "{");
    add_member(b, "manager", MANAGER_OWN);
    add_member(b, "operation", "Update");
    add_member(b, "apiVersion", w->ask->api_version);
    add_member(b, "time", clock_rfc3339(clock_wall_ms(), now));
    sb_str(b, ",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
    yyjson_mut_doc *d = json_doc(w->a);
    yyjson_mut_val *set = yyjson_mut_obj(d);
    own_field(d, set, "/metadata/annotations/" HOLD_ANNOTATION_POINTER);
    own_field(d, set, w->ask->held);
    sb_str(b, json_mut_write(w->a, set, NULL));
    sb_chr(b, '}');
}

/* --- deciding --- */

/* What is left of the source's entries. */
struct census {
    size_t entries; /* of no subresource that own something */
    yyjson_val *first;
    bool one_name; /* all by updates of the same manager */
};

static void count_entry(struct census *c, yyjson_val *entry) {
    if (!c->entries++)
        c->first = entry;
    c->one_name = (c->entries == 1 || c->one_name) && !is_apply(entry) &&
                  str_eq(json_str(c->first, "manager"), json_str(entry, "manager"));
}

/* The hold of an earlier migration is not the source's to hand on. */
static bool counts(yyjson_val *entry) {
    return str_empty(json_str(entry, "subresource")) && !str_empty(json_str(entry, "manager")) &&
           !is_own_hold(entry);
}

/* The ordinary object, without looking at a single field: one manager, who made it by updates. */
static bool is_plain(const struct managers_ask *ask, struct census *c) {
    yyjson_val *entry;
    size_t i, max;
    *c = (struct census){0};
    yyjson_arr_foreach (json_get(ask->source, "metadata", "managedFields"), i, max, entry) {
        if (counts(entry))
            count_entry(c, entry);
    }
    return c->one_name && !ask->held && !ask->always_list;
}

static void write_list(struct walk *w, struct census *c) {
    yyjson_val *entry;
    size_t i, max;
    *c = (struct census){0};
    sb_chr(w->out, '[');
    yyjson_arr_foreach (json_get(w->ask->source, "metadata", "managedFields"), i, max, entry) {
        if (!is_own_hold(entry) && write_entry(w, entry) && counts(entry))
            count_entry(c, entry);
    }
    if (w->ask->held)
        write_hold(w);
    sb_chr(w->out, ']');
}

static enum managers_way way_of(struct walk *w, const struct census *c) {
    if (!w->ask->can_patch)
        return MANAGERS_CREATE;
    if (w->ask->held)
        return MANAGERS_RESTORE;
    if (c->one_name)
        return MANAGERS_CREATE;
    bool all = c->entries == 1 && str_eq(json_str(c->first, "apiVersion"), w->ask->api_version) &&
               owns_all(w, json_get(c->first, "fieldsV1"));
    return all ? MANAGERS_APPLY : MANAGERS_RESTORE;
}

void managers_decide(struct arena *a, const struct managers_ask *ask, struct managers *ret) {
    struct census c;
    *ret = (struct managers){0};
    bool plain = is_plain(ask, &c);
    if (!c.entries)
        return;
    *ret = (struct managers){.way = MANAGERS_CREATE, .name = json_str(c.first, "manager")};
    if (plain)
        return;
    AUTO_ARENA tmp = arena_new();
    AUTO_SB out = SB_INIT(0);
    struct walk w = {ask, tmp, json_mut_get(ask->sent, "metadata", "ownerReferences"), &out, 0};
    write_list(&w, &c);
    if (c.entries) /* else none owns what is sent, and one name is as good as another */
        *ret = (struct managers){.way = way_of(&w, &c), .name = json_str(c.first, "manager")};
    if (ask->can_patch)
        ret->list = arena_strdup(a, sb_get(&out));
}

/* --- in the destination --- */

bool managers_left_open(yyjson_val *live) {
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach (json_get(live, "metadata", "managedFields"), i, max, entry) {
        if (is_own(entry) && !is_own_hold(entry))
            return true;
    }
    return false;
}

bool managers_differ(yyjson_val *source, yyjson_val *live) {
    yyjson_val *entry;
    size_t i, max, n = 0;
    yyjson_arr_foreach (json_get(source, "metadata", "managedFields"), i, max, entry) {
        n += counts(entry) && !is_own(entry);
    }
    return n && managers_left_open(live) && !managers_left_open(source);
}

static bool same_manager(yyjson_val *x, yyjson_val *y) {
    static const char *const identity[] = {"manager", "operation", "apiVersion", "subresource"};
    for (size_t i = 0; i < COUNT_OF(identity); i++) {
        const char *p = json_str(x, identity[i]), *q = json_str(y, identity[i]);
        if (!str_eq(p ? p : "", q ? q : ""))
            return false;
    }
    return true;
}

static bool has_manager(yyjson_val *list, yyjson_val *like) {
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach (list, i, max, entry) {
        if (same_manager(entry, like))
            return true;
    }
    return false;
}

/* A list of managedFields in the making. */
struct list {
    yyjson_mut_doc *d;
    yyjson_mut_val *arr;
};

static void take(struct list *l, yyjson_val *from, bool (*unwanted)(yyjson_val *entry),
                 yyjson_val *but_like) {
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach (from, i, max, entry) {
        if (!(unwanted && unwanted(entry)) && !has_manager(but_like, entry))
            yyjson_mut_arr_append(l->arr, yyjson_val_mut_copy(l->d, entry));
    }
}

static char *list_patch(struct arena *a, const struct list *l, yyjson_val *live, size_t *ret_len) {
    const char *rv = json_str(live, "metadata", "resourceVersion");
    yyjson_mut_val *root = yyjson_mut_obj(l->d);
    yyjson_mut_val *meta = json_mut_obj_at(l->d, root, "metadata");
    json_mut_set_str(l->d, meta, "resourceVersion", rv ? rv : "");
    json_mut_set(l->d, meta, "managedFields", l->arr);
    return json_mut_write(a, root, ret_len);
}

static struct list list_new(struct arena *tmp) {
    yyjson_mut_doc *d = json_doc(tmp);
    return (struct list){d, yyjson_mut_arr(d)};
}

char *managers_patch(struct arena *a, yyjson_val *live, const char *list, size_t *ret_len) {
    AUTO_ARENA tmp = arena_new();
    struct list l = list_new(tmp);
    yyjson_val *want;
    MUST(json_parse(tmp, list, strlen(list), &want, NULL) >= 0); /* our own text */
    take(&l, want, NULL, NULL);
    take(&l, json_get(live, "metadata", "managedFields"), is_own, want);
    return list_patch(a, &l, live, ret_len);
}

static bool is_others(yyjson_val *entry) {
    return !is_own(entry);
}

char *managers_hand_over(struct arena *a, yyjson_val *before, yyjson_val *after, bool held,
                         size_t *ret_len) {
    AUTO_ARENA tmp = arena_new();
    struct list l = list_new(tmp);
    yyjson_val *was = json_get(before, "metadata", "managedFields");
    yyjson_val *is = json_get(after, "metadata", "managedFields");
    if (yyjson_arr_size(was) == 0)
        return NULL;
    take(&l, was, held ? is_own : is_own_hold, NULL);
    take(&l, is, is_own, was);
    if (held)
        take(&l, is, is_others, NULL);
    return list_patch(a, &l, after, ret_len);
}

/* Of UTF-8 text, YAML 1.1 takes DEL, C1 controls and the byte order mark for nothing it knows, and
 * NEL, LS and PS for line breaks, which it folds inside of quotes; a number with more digits than a
 * double holds may come out as another. */
bool managers_yaml_safe(const char *json, size_t n) {
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)json[i];
        unsigned char next = i + 1 < n ? (unsigned char)json[i + 1] : 0;
        unsigned char third = i + 2 < n ? (unsigned char)json[i + 2] : 0;
        digits = c >= '0' && c <= '9' ? digits + 1 : 0;
        if (digits > DIGITS_MAX || c == 0x7f || (c == 0xc2 && next < 0xa0) ||
            (c == 0xe2 && next == 0x80 && (third == 0xa8 || third == 0xa9)) ||
            (c == 0xef && ((next == 0xbb && third == 0xbf) || (next == 0xbf && third >= 0xbe))))
            return false;
    }
    return true;
}
