#include "base/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdarg.h>

#include "base/file.h"
#include "base/map.h"
#include "base/yaml_scalar.h"

enum {
    MAX_BYTES = 16 << 20,
    MAX_DEPTH = 64,
    /* Aliases are copied, so that ten lines can ask for 10^9 nodes ("billion laughs"). */
    MAX_NODES = 1000000,
    MAX_STRING = 4 << 20, /* one string after ${} expansion */
};

/* Open addressing from the address of a value to where it stood. The tree is never written to
 * under this table, so a value that was added later is simply not found. */
struct yaml_marks {
    struct mark_slot {
        const void *key;
        struct yaml_mark mark;
    } * slots;
    size_t n, mask;
};

struct anchor {
    yyjson_mut_val *val;
    bool open; /* still being read: an alias to it would contain itself */
};

/* A mapping or sequence under construction. */
struct frame {
    yyjson_mut_val *val;
    yyjson_mut_val *key;    /* the key that waits for its value */
    bool merging;           /* that key is << */
    struct map *keys;       /* of a mapping: name -> key value */
    yyjson_mut_val *merges; /* mappings to merge when it ends, in order, or NULL */
    struct anchor *anchor;
};

struct builder {
    struct arena *a;
    struct yaml_doc *d;
    struct err *e;
    struct map *anchors;
    struct frame stack[MAX_DEPTH];
    size_t depth, nodes, documents;
    bool expand;
};

static size_t mark_slot(const struct yaml_marks *m, const void *key) {
    size_t i = ((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15u >> 20 & m->mask;
    while (m->slots[i].key && m->slots[i].key != key)
        i = (i + 1) & m->mask;
    return i;
}

static void mark_put(struct arena *a, struct yaml_marks *m, const void *key,
                     struct yaml_mark mark) {
    if (!m->slots || m->n * 2 > m->mask) {
        struct yaml_marks old = *m;
        m->mask = old.slots ? old.mask * 2 + 1 : 63;
        m->slots = arena_array(a, struct mark_slot, m->mask + 1);
        for (size_t i = 0; old.slots && i <= old.mask; i++)
            if (old.slots[i].key)
                m->slots[mark_slot(m, old.slots[i].key)] = old.slots[i];
    }
    m->slots[mark_slot(m, key)] = (struct mark_slot){key, mark};
    m->n++;
}

struct yaml_mark yaml_where(const struct yaml_doc *d, const yyjson_mut_val *v) {
    if (!v || !d->marks || !d->marks->slots)
        return (struct yaml_mark){0};
    return d->marks->slots[mark_slot(d->marks, v)].mark;
}

PRINTF_LIKE(3, 4)
static int fail(struct builder *b, struct yaml_mark m, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(b->a, fmt, ap);
    va_end(ap);
    return err_set(b->e, -EBADMSG, "%s:%u:%u: %s", b->d->file, m.line, m.column, what);
}

/* A value that is not written has no place of its own: then it is its key's, or its list's. */
static struct yaml_mark waiting_mark(const struct builder *b) {
    if (!b->depth)
        return (struct yaml_mark){1, 1};
    const struct frame *f = &b->stack[b->depth - 1];
    return yaml_where(b->d, f->key ? f->key : f->val);
}

static struct yaml_mark event_mark(const struct builder *b, struct fy_event *ev) {
    const struct fy_mark *m = fy_event_start_mark(ev);
    if (!m || (!m->line && !m->column)) /* nothing, or the very start, which it is too */
        return waiting_mark(b);
    struct yaml_mark mark = {(unsigned)m->line + 1, (unsigned)m->column + 1};
    enum fy_scalar_style style =
        ev->type == FYET_SCALAR ? fy_token_scalar_style(ev->scalar.value) : FYSS_PLAIN;
    bool led = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED || ev->type == FYET_ALIAS;
    /* The library's mark stands behind the quote or the asterisk; a reader looks at that. */
    if (led && mark.column > 1)
        mark.column--;
    return mark;
}

static const char *token_text(struct builder *b, struct fy_token *t) {
    size_t n;
    const char *s = t ? fy_token_get_text(t, &n) : NULL;
    return s ? arena_strndup(b->a, s, n) : NULL;
}

/* Counts v, remembers where it stood, and hangs it where the innermost open container waits. */
static int attach(struct builder *b, yyjson_mut_val *v, struct yaml_mark m);

static int count_node(struct builder *b, const yyjson_mut_val *v, struct yaml_mark m) {
    if (++b->nodes > MAX_NODES)
        return fail(b, m, "more than %d values (aliases count as often as they are used)",
                    MAX_NODES);
    mark_put(b->a, b->d->marks, v, m);
    return 0;
}

static int add_key(struct builder *b, struct frame *f, yyjson_mut_val *key, struct yaml_mark m) {
    const char *name = yyjson_mut_get_str(key);
    if (strlen(name) != yyjson_mut_get_len(key))
        return fail(b, m, "a key contains a NUL character");
    const yyjson_mut_val *before = map_get(f->keys, name);
    if (before)
        return fail(b, m, "duplicate key \"%.80s\" (first in line %u)", name,
                    yaml_where(b->d, before).line);
    map_put(f->keys, name, key);
    f->key = key;
    return count_node(b, key, m);
}

static int add_merge(struct builder *b, struct frame *f, yyjson_mut_val *v, struct yaml_mark m) {
    if (!f->merges)
        f->merges = yyjson_mut_arr(b->d->doc);
    bool list = yyjson_mut_is_arr(v);
    if (!list && !yyjson_mut_is_obj(v))
        return fail(b, m, "<< takes a mapping, or a list of mappings");
    /* The list is kept as it is: what it holds is checked when the mapping ends, since it may
     * still be empty here. */
    yyjson_mut_arr_append(f->merges, v);
    return 0;
}

static int attach(struct builder *b, yyjson_mut_val *v, struct yaml_mark m) {
    int r = count_node(b, v, m);
    if (r < 0)
        return r;
    if (!b->depth) {
        b->d->root = v;
        return 0;
    }
    struct frame *f = &b->stack[b->depth - 1];
    if (yyjson_mut_is_arr(f->val)) {
        yyjson_mut_arr_append(f->val, v);
        return 0;
    }
    if (f->merging) {
        f->merging = false;
        return add_merge(b, f, v, m);
    }
    yyjson_mut_obj_add(f->val, f->key, v);
    f->key = NULL;
    return 0;
}

static bool wants_key(const struct builder *b) {
    const struct frame *f = b->depth ? &b->stack[b->depth - 1] : NULL;
    return f && f->keys && !f->key && !f->merging;
}

static struct anchor *anchor_open(struct builder *b, struct fy_event *ev) {
    const char *name = token_text(b, fy_event_get_anchor_token(ev));
    if (!name)
        return NULL;
    struct anchor *an = arena_new_of(b->a, struct anchor);
    an->open = true;
    map_put(b->anchors, name, an);
    return an;
}

static void anchor_close(struct anchor *an, yyjson_mut_val *v) {
    if (an)
        *an = (struct anchor){.val = v};
}

static yyjson_mut_val *copy_leaf(struct builder *b, yyjson_mut_val *v) {
    yyjson_mut_val *c = yyjson_mut_null(b->d->doc);
    *c = (yyjson_mut_val){.tag = v->tag, .uni = v->uni}; /* the text is in the arena for good */
    return c;
}

static int copy(struct builder *b, yyjson_mut_val *v, size_t depth, struct yaml_mark use,
                yyjson_mut_val **ret);

static int copy_members(struct builder *b, yyjson_mut_val *v, size_t depth, struct yaml_mark use,
                        yyjson_mut_val *into) {
    size_t i, max;
    yyjson_mut_val *k, *x, *c;
    int r = 0;
    yyjson_mut_obj_foreach (v, i, max, k, x) {
        yyjson_mut_val *key = copy_leaf(b, k);
        r = count_node(b, key, yaml_where(b->d, k));
        if (r < 0 || (r = copy(b, x, depth, use, &c)) < 0)
            return r;
        yyjson_mut_obj_add(into, key, c);
    }
    return r;
}

static int copy_items(struct builder *b, yyjson_mut_val *v, size_t depth, struct yaml_mark use,
                      yyjson_mut_val *into) {
    size_t i, max;
    yyjson_mut_val *x, *c;
    yyjson_mut_arr_foreach (v, i, max, x) {
        int r = copy(b, x, depth, use, &c);
        if (r < 0)
            return r;
        yyjson_mut_arr_append(into, c);
    }
    return 0;
}

/* Copies keep the position of the original: that is where a wrong value must be mended. */
static int copy(struct builder *b, yyjson_mut_val *v, size_t depth, struct yaml_mark use,
                yyjson_mut_val **ret) {
    bool obj = yyjson_mut_is_obj(v), arr = yyjson_mut_is_arr(v);
    if ((obj || arr) && depth >= MAX_DEPTH)
        return fail(b, use, "nested deeper than %d levels", MAX_DEPTH);
    yyjson_mut_val *c = obj   ? yyjson_mut_obj(b->d->doc)
                        : arr ? yyjson_mut_arr(b->d->doc)
                              : copy_leaf(b, v);
    int r = count_node(b, c, yaml_where(b->d, v));
    if (r == 0 && obj)
        r = copy_members(b, v, depth + 1, use, c);
    else if (r == 0 && arr)
        r = copy_items(b, v, depth + 1, use, c);
    if (r == 0)
        *ret = c;
    return r;
}

static int on_alias(struct builder *b, struct fy_event *ev) {
    struct yaml_mark m = event_mark(b, ev);
    const char *name = token_text(b, fy_event_get_token(ev));
    const struct anchor *an = name ? map_get(b->anchors, name) : NULL;
    if (!an)
        return fail(b, m, "no anchor &%.80s before this alias", name ? name : "");
    if (an->open)
        return fail(b, m, "the alias *%.80s would contain itself", name);
    if (wants_key(b))
        return fail(b, m, "an alias cannot be a key");
    yyjson_mut_val *c = NULL;
    int r = copy(b, an->val, b->depth, m, &c);
    return r < 0 ? r : attach(b, c, yaml_where(b->d, an->val));
}

/* Only tags of the core schema say something about JSON. */
static int tag_kind(struct builder *b, struct fy_event *ev, const char *s, size_t n,
                    enum yaml_kind *ret) {
    static const char prefix[] = "tag:yaml.org,2002:";
    const char *tag = token_text(b, fy_event_get_tag_token(ev));
    bool plain = fy_token_scalar_style(fy_event_get_token(ev)) == FYSS_PLAIN;
    enum yaml_kind k = yaml_plain_kind(s, n);
    if (!tag) {
        *ret = plain ? k : YAML_STRING;
        return 0;
    }
    const char *word = str_starts(tag, prefix) ? tag + sizeof prefix - 1 : tag;
    if (str_eq(word, "str") || str_eq(word, "!")) {
        *ret = YAML_STRING;
        return 0;
    }
    bool fits = (str_eq(word, "null") && k == YAML_NULL) ||
                (str_eq(word, "bool") && (k == YAML_TRUE || k == YAML_FALSE)) ||
                ((str_eq(word, "int") || str_eq(word, "float")) && k == YAML_NUMBER);
    if (!fits)
        return fail(b, event_mark(b, ev), "the tag %.80s does not fit this value", tag);
    *ret = k;
    return 0;
}

static int string_value(struct builder *b, struct yaml_mark m, const char *s, size_t n,
                        yyjson_mut_val **ret) {
    if (!b->expand || !memmem(s, n, "${", 2)) {
        *ret = yyjson_mut_strncpy(b->d->doc, s, n);
        return 0;
    }
    AUTO_SB out = SB_INIT(MAX_STRING);
    struct err why;
    if (yaml_expand(&out, s, n, &why) < 0)
        return fail(b, m, "%s", why.msg);
    if (yaml_utf8_prefix(sb_get(&out), out.len) != out.len)
        return fail(b, m, "an environment variable named here is not UTF-8 text");
    *ret = yyjson_mut_strncpy(b->d->doc, sb_get(&out), out.len);
    return 0;
}

static int scalar_key(struct builder *b, struct fy_event *ev, const char *s, size_t n,
                      enum yaml_kind kind) {
    struct yaml_mark m = event_mark(b, ev);
    struct frame *f = &b->stack[b->depth - 1];
    bool plain = fy_token_scalar_style(fy_event_get_token(ev)) == FYSS_PLAIN;
    if (plain && n == 2 && memcmp(s, "<<", 2) == 0) {
        f->merging = true;
        return 0;
    }
    if (kind != YAML_STRING)
        return fail(b, m, "this key is %s, keys must be strings: put it in quotes",
                    yaml_kind_name(kind));
    yyjson_mut_val *key = yyjson_mut_strncpy(b->d->doc, s, n);
    int r = add_key(b, f, key, m);
    if (r == 0)
        anchor_close(anchor_open(b, ev), key);
    return r;
}

static int on_scalar(struct builder *b, struct fy_event *ev) {
    struct yaml_mark m = event_mark(b, ev);
    size_t n = 0;
    const char *s = fy_token_get_text(fy_event_get_token(ev), &n);
    s = s ? s : "";
    if (yaml_utf8_prefix(s, n) != n)
        return fail(b, m, "this text is not UTF-8");
    enum yaml_kind kind = YAML_STRING;
    int r = tag_kind(b, ev, s, n, &kind);
    if (r < 0)
        return r;
    if (wants_key(b))
        return scalar_key(b, ev, s, n, kind);
    yyjson_mut_val *v = NULL;
    switch (kind) {
    case YAML_STRING: r = string_value(b, m, s, n, &v); break;
    case YAML_NUMBER: v = yyjson_mut_rawncpy(b->d->doc, s, n); break;
    case YAML_TRUE: v = yyjson_mut_true(b->d->doc); break;
    case YAML_FALSE: v = yyjson_mut_false(b->d->doc); break;
    case YAML_NULL: v = yyjson_mut_null(b->d->doc); break;
    }
    if (r < 0)
        return r;
    anchor_close(anchor_open(b, ev), v);
    return attach(b, v, m);
}

static int on_open(struct builder *b, struct fy_event *ev, bool mapping) {
    struct yaml_mark m = event_mark(b, ev);
    if (wants_key(b))
        return fail(b, m, "a key must be a string, not a %s", mapping ? "mapping" : "list");
    if (b->depth == MAX_DEPTH)
        return fail(b, m, "nested deeper than %d levels", MAX_DEPTH);
    yyjson_mut_val *v = mapping ? yyjson_mut_obj(b->d->doc) : yyjson_mut_arr(b->d->doc);
    struct anchor *an = anchor_open(b, ev);
    int r = attach(b, v, m);
    if (r < 0)
        return r;
    b->stack[b->depth++] =
        (struct frame){.val = v, .keys = mapping ? map_new() : NULL, .anchor = an};
    return 0;
}

/* https://yaml.org/type/merge.html: keys of the mapping itself win, then earlier merged ones. */
static int merge_one(struct builder *b, struct frame *f, yyjson_mut_val *from) {
    struct yaml_mark m = yaml_where(b->d, from);
    if (!yyjson_mut_is_obj(from))
        return fail(b, m, "<< takes a mapping, or a list of mappings");
    size_t i, max;
    yyjson_mut_val *k, *v, *c;
    yyjson_mut_obj_foreach (from, i, max, k, v) {
        if (map_has(f->keys, yyjson_mut_get_str(k)))
            continue;
        int r = copy(b, v, b->depth, m, &c);
        if (r < 0 || (r = add_key(b, f, copy_leaf(b, k), yaml_where(b->d, k))) < 0)
            return r;
        yyjson_mut_obj_add(f->val, TAKE(f->key), c);
    }
    return 0;
}

static int merge_all(struct builder *b, struct frame *f) {
    size_t i, max, k, n;
    yyjson_mut_val *from, *item;
    int r = 0;
    yyjson_mut_arr_foreach (f->merges, i, max, from) {
        if (yyjson_mut_is_obj(from) && (r = merge_one(b, f, from)) < 0)
            return r;
        yyjson_mut_arr_foreach (from, k, n, item) {
            if ((r = merge_one(b, f, item)) < 0)
                return r;
        }
    }
    return r;
}

static int on_close(struct builder *b) {
    struct frame *f = &b->stack[b->depth - 1];
    int r = f->merges ? merge_all(b, f) : 0;
    anchor_close(f->anchor, f->val);
    map_free(TAKE(f->keys));
    b->depth--;
    return r;
}

static int on_document(struct builder *b, struct fy_event *ev) {
    if (b->documents++)
        return fail(b, event_mark(b, ev), "a second document; only one is expected in this file");
    return 0;
}

static int on_event(struct builder *b, struct fy_event *ev) {
    switch (ev->type) {
    case FYET_DOCUMENT_START: return on_document(b, ev);
    case FYET_MAPPING_START: return on_open(b, ev, true);
    case FYET_SEQUENCE_START: return on_open(b, ev, false);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END: return on_close(b);
    case FYET_SCALAR: return on_scalar(b, ev);
    case FYET_ALIAS: return on_alias(b, ev);
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END: break;
    }
    return 0;
}

/* The library takes a byte that is no UTF-8 for the end of the input, and would read half a file
 * as a whole one. */
static int check_text(struct builder *b, const char *text, size_t n) {
    size_t good = yaml_text_prefix(text, n);
    if (good == n)
        return 0;
    struct yaml_mark m = {1, 1};
    for (size_t i = 0; i < good; i++)
        m = text[i] == '\n' ? (struct yaml_mark){m.line + 1, 1}
                            : (struct yaml_mark){m.line, m.column + 1};
    return fail(b, m, "byte 0x%02x: not UTF-8 text", (unsigned char)text[good]);
}

/* The first complaint of the library is the cause; later ones follow from it. */
static int syntax_error(struct builder *b, struct fy_diag *diag) {
    void *iter = NULL;
    const struct fy_diag_error *x = fy_diag_errors_iterate(diag, &iter);
    struct yaml_mark m = {1, 1};
    if (x && x->line > 0)
        m = (struct yaml_mark){(unsigned)x->line, (unsigned)MAX(x->column, 1)};
    return fail(b, m, "%s", x && x->msg ? x->msg : "not valid YAML");
}

static int read_events(struct builder *b, struct fy_parser *p, struct fy_diag *diag) {
    for (;;) {
        struct fy_event *ev = fy_parser_parse(p);
        if (!ev)
            return syntax_error(b, diag);
        bool end = ev->type == FYET_STREAM_END;
        int r = on_event(b, ev);
        fy_parser_event_free(p, ev);
        if (r < 0 || end)
            return r;
    }
}

static int run_parser(struct builder *b, const char *text, size_t n) {
    struct fy_diag_cfg dc;
    fy_diag_cfg_default(&dc);
    dc.fp = NULL; /* library code prints nothing */
    struct fy_diag *diag = fy_diag_create(&dc);
    MUST(diag);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {
        /* kubectl's parser takes a closing bracket in column 1, so files have it. */
        .flags = FYPCF_QUIET | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_2 |
                 FYPCF_SLOPPY_FLOW_INDENTATION,
        .diag = diag,
    };
    struct fy_parser *p = fy_parser_create(&cfg);
    MUST(p);
    int r = fy_parser_set_string(p, text, n);
    r = r < 0 ? syntax_error(b, diag) : read_events(b, p, diag);
    fy_parser_destroy(p);
    fy_diag_destroy(diag);
    return r;
}

int yaml_parse(struct arena *a, const char *name, const char *text, size_t n, bool expand_env,
               struct yaml_doc *ret, struct err *e) {
    if (n > MAX_BYTES)
        return err_set(e, -EFBIG, "%s: larger than %d bytes", name, MAX_BYTES);
    struct yaml_doc d = {.file = arena_strdup(a, name),
                         .doc = json_doc(a),
                         .marks = arena_new_of(a, struct yaml_marks)};
    AUTO_MAP anchors = map_new();
    struct builder b = {.a = a, .d = &d, .e = e, .anchors = anchors, .expand = expand_env};
    int r = check_text(&b, text, n);
    if (r == 0 && n)
        r = run_parser(&b, text, n);
    while (b.depth)
        map_free(b.stack[--b.depth].keys);
    if (r < 0)
        return r;
    if (!d.root) { /* nothing but comments */
        d.root = yyjson_mut_null(d.doc);
        mark_put(a, d.marks, d.root, (struct yaml_mark){1, 1});
    }
    yyjson_mut_doc_set_root(d.doc, d.root);
    *ret = d;
    return 0;
}

int yaml_load(struct arena *a, const char *path, bool expand_env, struct yaml_doc *ret,
              struct err *e) {
    char *text;
    size_t n;
    int r = file_read(a, path, MAX_BYTES, &text, &n, e);
    return r < 0 ? r : yaml_parse(a, path, text, n, expand_env, ret, e);
}
