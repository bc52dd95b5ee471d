#include "migrate/leaves.h"

#include <errno.h>

#include "base/hash.h"
#include "migrate/hold.h"
#include "migrate/lists.h"

enum { DEPTH_MAX = 63, ENTRY = 8, HALF = ENTRY / 2 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void read_key(const uint8_t salt[LEAVES_SALT], struct leaves *l) {
    memcpy(l->key, salt, sizeof l->key);
}

/* --- places --- */

struct leaf_at leaves_top(void) {
    return (struct leaf_at){.field = ""};
}

static bool is_list(yyjson_mut_val *v, const char *field) {
    return list_keyed(field, v) != NULL;
}

/* `field` stays the list's own name for what stands in it. */
static struct leaf_at step(const struct leaves *l, struct leaf_at at, const char *key,
                           const char *field) {
    return (struct leaf_at){
        .hash = hash_sip(l->key[0] ^ at.hash, l->key[1], key, strlen(key)),
        .depth = at.depth + 1,
        .field = field,
    };
}

struct leaf_at leaves_in(const struct leaves *l, struct leaf_at at, const char *key) {
    return step(l, at, key, key);
}

bool leaves_is_leaf(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v) {
    if (!v)
        return false;
    if (at.depth >= l->depth || !yyjson_mut_is_ctn(v) || yyjson_mut_get_len(v) == 0)
        return true;
    return yyjson_mut_is_arr(v) && !is_list(v, at.field);
}

bool leaves_passed_over(struct leaf_at at, const char *key) {
    static const char *const top[] = {"apiVersion", "kind"};
    static const char *const meta[] = {"name", "namespace", "ownerReferences"};
    bool in_meta = at.depth == 1 && str_eq(at.field, "metadata");
    for (size_t i = 0; at.depth == 0 && i < COUNT_OF(top); i++)
        if (str_eq(key, top[i]))
            return true;
    for (size_t i = 0; in_meta && i < COUNT_OF(meta); i++)
        if (str_eq(key, meta[i]))
            return true;
    return false;
}

/* --- digests --- */

static void spell(uint64_t bits, char out[HALF]) {
    for (int i = 0; i < HALF; i++, bits >>= 6)
        out[i] = alphabet[bits & 63];
}

/* The same text means something else as a string, as a number and as a tree. */
static uint64_t value_hash(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v) {
    uint64_t k0 = l->key[2] ^ at.hash, k1 = l->key[3];
    if (yyjson_mut_is_str(v))
        return hash_sip(k0, k1 ^ 's', yyjson_mut_get_str(v), yyjson_mut_get_len(v));
    AUTO_SB b = SB_INIT(0);
    json_mut_canonical(&b, v);
    return hash_sip(k0, k1, b.p, b.len);
}

static void make_entry(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v,
                       char out[ENTRY]) {
    spell(at.hash, out);
    if (v)
        spell(value_hash(l, at, v), out + HALF);
}

/* --- walking a body --- */

struct walk {
    const struct leaves *l;
    struct sb at; /* pointer, kept where somebody wants it */
    bool named;
    bool (*leaf)(struct walk *w, struct leaf_at at, yyjson_mut_val *v); /* false: stop */
    void *ctx;
};

static bool walk(struct walk *w, struct leaf_at at, yyjson_mut_val *v);

static bool walk_in(struct walk *w, struct leaf_at at, const char *key, yyjson_mut_val *v) {
    size_t mark = w->at.len;
    if (w->named)
        json_pointer_add(&w->at, key);
    bool on = walk(w, at, v);
    if (w->named && w->at.p) {
        w->at.len = mark;
        w->at.p[mark] = 0;
    }
    return on;
}

static bool walk_object(struct walk *w, struct leaf_at at, yyjson_mut_val *obj) {
    size_t i, max;
    yyjson_mut_val *key, *v;
    yyjson_mut_obj_foreach (obj, i, max, key, v) {
        const char *k = yyjson_mut_get_str(key);
        if (!leaves_passed_over(at, k) && !walk_in(w, leaves_in(w->l, at, k), k, v))
            return false;
    }
    return true;
}

static bool walk_list(struct walk *w, struct leaf_at at, yyjson_mut_val *arr) {
    const struct list_row *row = list_keyed(at.field, arr);
    size_t i, max;
    yyjson_mut_val *v;
    char id[LIST_ID_MAX];
    yyjson_mut_arr_foreach (arr, i, max, v) {
        if (list_id(row, v, id) && !walk_in(w, leaves_in(w->l, at, id), id, v))
            return false;
    }
    return true;
}

static bool walk(struct walk *w, struct leaf_at at, yyjson_mut_val *v) {
    if (leaves_is_leaf(w->l, at, v))
        return w->leaf(w, at, v);
    return yyjson_mut_is_arr(v) ? walk_list(w, at, v) : walk_object(w, at, v);
}

/* --- writing --- */

struct text {
    struct sb *b;
    size_t n;
};

static bool add_leaf(struct walk *w, struct leaf_at at, yyjson_mut_val *v) {
    struct text *t = w->ctx;
    char e[ENTRY];
    if (t->n++ == LEAVES_MAX)
        return false;
    make_entry(w->l, at, v, e);
    sb_add(t->b, e, ENTRY);
    return true;
}

static bool write_at_depth(struct leaves *l, unsigned depth, yyjson_mut_val *root, struct sb *b) {
    const char *version = json_mut_str(root, "apiVersion");
    struct text t = {.b = b};
    struct walk w = {.l = l, .leaf = add_leaf, .ctx = &t};
    l->depth = depth;
    sb_reset(b);
    sb_fmt(b, "%s %c ", version ? version : "-", alphabet[depth]);
    return walk(&w, leaves_top(), root);
}

static bool is_held(yyjson_mut_val *root) {
    return json_mut_get(root, "metadata", "annotations", HOLD_ANNOTATION) != NULL;
}

char *leaves_text(struct arena *a, const uint8_t salt[LEAVES_SALT], yyjson_mut_val *root) {
    static const unsigned depths[] = {DEPTH_MAX, 9, 7, 5, 4, 3, 2, 1};
    struct leaves l = {0};
    AUTO_ARENA tmp = arena_new();
    AUTO_SB b = SB_INIT(0);
    read_key(salt, &l);
    if (is_held(root)) {
        yyjson_mut_doc *d = json_doc(tmp);
        root = yyjson_mut_val_mut_copy(d, root);
        hold_undo(d, root);
        yyjson_mut_val *meta = json_mut_get(root, "metadata");
        if (yyjson_mut_obj_size(json_mut_get(meta, "annotations")) == 0)
            json_mut_del(meta, "annotations");
    }
    for (size_t i = 0; i < COUNT_OF(depths); i++)
        if (write_at_depth(&l, depths[i], root, &b))
            break;
    return arena_strdup(a, sb_get(&b));
}

void leaves_empty(const uint8_t salt[LEAVES_SALT], struct leaves *ret) {
    *ret = (struct leaves){.depth = DEPTH_MAX};
    read_key(salt, ret);
}

void leaves_add_head(struct sb *b) {
    sb_fmt(b, "- %c ", alphabet[DEPTH_MAX]);
}

void leaves_add(const struct leaves *l, struct sb *b, struct leaf_at at, yyjson_mut_val *v) {
    char e[ENTRY];
    make_entry(l, at, v, e);
    sb_add(b, e, ENTRY);
}

/* --- reading --- */

static bool is_entries(const char *p, size_t n) {
    return n % ENTRY == 0 && strspn(p, alphabet) == n;
}

int leaves_read(const uint8_t salt[LEAVES_SALT], const char *text, struct leaves *ret,
                struct err *e) {
    struct leaves l = {0};
    const char *gap = text ? strchr(text, ' ') : NULL;
    size_t n = gap ? (size_t)(gap - text) : 0;
    const char *depth = gap && gap[1] ? strchr(alphabet, gap[1]) : NULL;
    if (!n || n >= sizeof l.version || !depth || gap[2] != ' ' ||
        !is_entries(gap + 3, strlen(gap + 3)))
        return err_set(e, -EBADMSG, "the journal's digests of an object cannot be read");
    memcpy(l.version, text, n);
    read_key(salt, &l);
    l.depth = (unsigned)(depth - alphabet);
    l.entry = gap + 3;
    l.n = strlen(l.entry) / ENTRY;
    *ret = l;
    return 0;
}

/* The fate, and which entry says so (the first of the path when another value was written). */
static enum leaf_fate find(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v,
                           size_t *ret_i) {
    enum leaf_fate fate = LEAF_ABSENT;
    char want[ENTRY];
    make_entry(l, at, v, want);
    for (size_t i = 0; i < l->n; i++) {
        const char *have = l->entry + i * ENTRY;
        if (memcmp(have, want, HALF) != 0)
            continue;
        if (fate == LEAF_ABSENT)
            *ret_i = i;
        fate = LEAF_OTHER;
        if (v && memcmp(have, want, ENTRY) == 0) {
            *ret_i = i;
            return LEAF_SAME;
        }
    }
    return fate;
}

enum leaf_fate leaves_judge(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v) {
    size_t i;
    return find(l, at, v, &i);
}

struct tally {
    struct leaves_count *c;
    bool *met;
    void (*each)(void *ctx, const char *pointer, enum leaf_fate fate);
    void *ctx;
};

static bool judge_leaf(struct walk *w, struct leaf_at at, yyjson_mut_val *v) {
    struct tally *t = w->ctx;
    size_t i = 0;
    enum leaf_fate fate = find(w->l, at, v, &i);
    size_t *const count[] = {&t->c->added, &t->c->same, &t->c->other};
    ++*count[fate];
    if (fate != LEAF_ABSENT)
        t->met[i] = true;
    if (fate != LEAF_SAME && t->each)
        t->each(t->ctx, sb_get(&w->at), fate);
    return true;
}

void leaves_compare(const struct leaves *l, yyjson_mut_val *root, struct leaves_count *ret,
                    void (*each)(void *ctx, const char *pointer, enum leaf_fate fate), void *ctx) {
    struct tally t = {.c = ret, .met = xcalloc(l->n + 1, sizeof *t.met), .each = each, .ctx = ctx};
    struct walk w = {.l = l, .named = true, .leaf = judge_leaf, .ctx = &t};
    *ret = (struct leaves_count){0};
    walk(&w, leaves_top(), root);
    for (size_t i = 0; i < l->n; i++)
        ret->gone += !t.met[i];
    sb_done(&w.at);
    xfree(t.met);
}
