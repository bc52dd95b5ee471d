/* Leads an object of the source along the places where the destination's schema is another one. */
#include "base/map.h"
#include "migrate/schema_impl.h"

struct walk {
    struct arena *a;
    const struct schema_diff *diff;
    bool secret;
    struct sb path;
    struct concern *first, **tail;
    size_t n;
};

static void concern(struct walk *w, enum concern_kind kind, const char *why) {
    if (w->n++ >= CONCERNS_MAX)
        return;
    struct concern *c = arena_new_of(w->a, struct concern);
    *c = (struct concern){kind, arena_strdup(w->a, sb_get(&w->path)), why, NULL};
    *w->tail = c;
    w->tail = &c->next;
}

static const char *text_of(struct sb *b, yyjson_mut_val *v) {
    sb_reset(b);
    json_mut_canonical(b, v);
    return sb_get(b);
}

static bool holds_nothing(yyjson_mut_val *v) {
    return yyjson_mut_is_null(v) || (yyjson_mut_is_ctn(v) && yyjson_mut_get_len(v) == 0);
}

static bool equals(yyjson_mut_val *v, const char *canonical) {
    AUTO_SB b = SB_INIT(0);
    return canonical && str_eq(text_of(&b, v), canonical);
}

static void check_allowed(struct walk *w, const struct schema_node *n, yyjson_mut_val *v) {
    for (const char *const *x = n->allowed; *x; x++)
        if (equals(v, *x))
            return;
    AUTO_SB b = SB_INIT(0);
    const char *value = w->secret ? "its value" : text_of(&b, v);
    concern(w, n->sure ? CONCERN_REFUSED : CONCERN_DOUBT,
            arena_printf(w->a, "the destination does not list %.80s among the values it accepts",
                         value));
}

static bool is_type(yyjson_mut_val *v, const char *type) {
    if (str_eq(type, "object"))
        return yyjson_mut_is_obj(v);
    if (str_eq(type, "array"))
        return yyjson_mut_is_arr(v);
    if (str_eq(type, "string"))
        return yyjson_mut_is_str(v);
    if (str_eq(type, "boolean"))
        return yyjson_mut_is_bool(v);
    bool number = yyjson_mut_is_raw(v) || yyjson_mut_is_num(v);
    if (str_eq(type, "integer"))
        return number && !(yyjson_mut_is_raw(v) && strpbrk(yyjson_mut_get_raw(v), ".eE"));
    return number;
}

static void check_value(struct walk *w, const struct schema_node *n, yyjson_mut_val *v) {
    if (n->type && !is_type(v, n->type))
        concern(w, CONCERN_REFUSED, arena_printf(w->a, "the destination wants type %s", n->type));
    else if (n->allowed)
        check_allowed(w, n, v);
    if (n->doubt)
        concern(w, CONCERN_DOUBT,
                arena_printf(w->a, "the destination checks it in another way (%s)", n->doubt));
    for (const char *const *r = n->required; r && *r && yyjson_mut_is_obj(v); r++)
        if (!yyjson_mut_obj_get(v, *r))
            concern(w, w->diff->custom ? CONCERN_REFUSED : CONCERN_DOUBT,
                    arena_printf(w->a, "the destination requires %s in it", *r));
}

static void walk_value(struct walk *w, const struct schema_node *n, yyjson_mut_val *v);

static void lost(struct walk *w, yyjson_mut_val *v, const char *def_src) {
    if (!holds_nothing(v) && !equals(v, def_src))
        concern(w, CONCERN_LOST, "the destination does not know this field and would drop it");
}

static void walk_field(struct walk *w, const struct schema_field *f, yyjson_mut_val *v) {
    if (f->side == SCHEMA_GONE)
        lost(w, v, f->def_src);
    else if (f->below)
        walk_value(w, f->below, v);
}

static size_t go(struct walk *w, const char *key) {
    size_t mark = w->path.len;
    json_pointer_add(&w->path, key);
    return mark;
}

static void back(struct walk *w, size_t mark) {
    w->path.len = mark;
    w->path.p[mark] = 0;
}

static const struct schema_field *field_named(const struct schema_node *n, const char *name) {
    const struct schema_field *f = n->fields;
    while (f && !str_eq(f->name, name))
        f = f->next;
    return f;
}

static bool is_general(const char *name) {
    return str_eq(name, "apiVersion") || str_eq(name, "kind") || str_eq(name, "metadata");
}

static void walk_members(struct walk *w, const struct schema_node *n, yyjson_mut_val *obj) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (obj, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        const struct schema_field *f = field_named(n, k);
        size_t mark = go(w, k);
        if (f)
            walk_field(w, f, val);
        else if (n->closed && !(n->general && is_general(k)))
            lost(w, val, NULL);
        else if (n->each)
            walk_value(w, n->each, val);
        back(w, mark);
    }
}

static void walk_elements(struct walk *w, const struct schema_node *each, yyjson_mut_val *list) {
    size_t i, max;
    yyjson_mut_val *v;
    yyjson_mut_arr_foreach (list, i, max, v) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        size_t mark = go(w, key);
        walk_value(w, each, v);
        back(w, mark);
    }
}

static void walk_value(struct walk *w, const struct schema_node *n, yyjson_mut_val *v) {
    if (!n->checks || yyjson_mut_is_null(v))
        return;
    check_value(w, n, v);
    if (yyjson_mut_is_obj(v))
        walk_members(w, n, v);
    else if (yyjson_mut_is_arr(v) && n->each)
        walk_elements(w, n->each, v);
}

struct concern *schema_concerns(struct arena *a, const struct schema_diff *d, yyjson_mut_val *root,
                                bool secret) {
    if (!schema_has_checks(d))
        return NULL;
    struct walk w = {.a = a, .diff = d, .secret = secret};
    w.tail = &w.first;
    sb_str(&w.path, "");
    walk_value(&w, d->root, root);
    sb_done(&w.path);
    return w.first;
}

/* --- one path --- */

enum { KEY_MAX = 256 };

/* One segment of a JSON pointer, unescaped; returns what follows it, NULL when it is too long. */
static const char *segment(const char *path, char out[KEY_MAX]) {
    size_t n = 0;
    for (path++; *path && *path != '/'; path++) {
        if (n + 1 == KEY_MAX)
            return NULL;
        bool escaped = *path == '~' && (path[1] == '0' || path[1] == '1');
        out[n++] = escaped ? (*++path == '0' ? '~' : '/') : *path;
    }
    out[n] = 0;
    return path;
}

bool schema_explains(const struct schema_diff *d, const char *path, yyjson_mut_val *src,
                     yyjson_mut_val *dst) {
    const struct schema_node *n = d ? d->root : NULL;
    char key[KEY_MAX];
    while (n && path && *path == '/') {
        path = segment(path, key);
        const struct schema_field *f = path ? field_named(n, key) : NULL;
        if (!f && path && !*path && n->closed && src && !dst)
            return !(n->general && is_general(key));
        if (f && !*path) {
            bool filled = f->side == SCHEMA_NEW || (f->def_dst && dst && equals(dst, f->def_dst));
            return src ? !dst && f->side == SCHEMA_GONE : filled;
        }
        n = f ? f->below : n->each;
    }
    return false;
}

uint64_t schema_shape(const struct object *o) {
    AUTO_SB b = SB_INIT(0);
    for (const struct concern *c = o->concerns; c; c = c->next) {
        if (c->kind != CONCERN_DOUBT)
            continue;
        /* Elements of a list are alike. */
        for (const char *p = c->path; *p; p++)
            if (!(*p >= '0' && *p <= '9'))
                sb_chr(&b, *p);
        sb_chr(&b, ' ');
    }
    if (!b.len)
        return 0;
    sb_fmt(&b, "%s/%s", o->kind->src->group, o->kind->src->kind);
    return map_hash(sb_get(&b));
}
