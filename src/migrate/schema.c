/* Compares two schemas of a kind, place by place. Components (named schemas) are compared once per
 * pair, so that the result is a small graph, cyclic where the schemas are. */
#include "migrate/schema.h"

#include "base/map.h"
#include "migrate/schema_impl.h"

struct comparing {
    struct arena *a;
    yyjson_val *src, *dst; /* components.schemas */
    bool custom;
    struct map *done; /* "SRC|DST" -> node */
    struct schema_node *nodes;
};

/* --- reading a schema --- */

static const char *ref_of(yyjson_val *s) {
    yyjson_val *all = json_get(s, "allOf");
    const char *ref = json_str(s, "$ref");
    if (!ref && yyjson_arr_size(all) == 1)
        ref = json_str(yyjson_arr_get_first(all), "$ref");
    const char *name = ref ? strrchr(ref, '/') : NULL;
    return name ? name + 1 : NULL;
}

static yyjson_val *deref(yyjson_val *components, yyjson_val *s, const char **ret_name) {
    enum { HOPS_MAX = 8 };
    for (unsigned i = 0; i < HOPS_MAX && ref_of(s); i++) {
        *ret_name = ref_of(s);
        s = yyjson_obj_get(components, *ret_name);
    }
    return s;
}

static bool is_set(yyjson_val *s, const char *key) {
    return yyjson_is_true(yyjson_obj_get(s, key));
}

/* additionalProperties, unless it is a bare true or false. */
static yyjson_val *members_of(yyjson_val *s) {
    yyjson_val *v = yyjson_obj_get(s, "additionalProperties");
    return yyjson_is_obj(v) ? v : NULL;
}

/* Members that no property names are kept. Of a Go type, no property at all means any (RawExtension
 * and the like); a definition's schema must say so. */
static bool is_open(const struct comparing *c, yyjson_val *s) {
    if (!s || is_set(s, "x-kubernetes-preserve-unknown-fields") ||
        is_set(s, "additionalProperties") || members_of(s))
        return true;
    return !yyjson_obj_size(yyjson_obj_get(s, "properties")) &&
           (!c->custom || !str_eq(json_str(s, "type"), "object"));
}

static const char *text(struct arena *a, yyjson_val *v) {
    AUTO_SB b = SB_INIT(0);
    if (v)
        json_canonical(&b, v);
    return v ? arena_strdup(a, sb_get(&b)) : NULL;
}

static bool same_value(yyjson_val *x, yyjson_val *y) {
    if (!x || !y)
        return x == y;
    AUTO_SB b = SB_INIT(0);
    AUTO_SB d = SB_INIT(0);
    json_canonical(&b, x);
    json_canonical(&d, y);
    return str_eq(sb_get(&b), sb_get(&d));
}

/* --- one place: its value --- */

static bool has_value(yyjson_val *list, yyjson_val *v) {
    yyjson_val *x;
    size_t i, max;
    yyjson_arr_foreach (list, i, max, x) {
        if (same_value(x, v))
            return true;
    }
    return false;
}

/* Every value that the source may hold is one of the destination's. */
static bool within(yyjson_val *src, yyjson_val *dst) {
    yyjson_val *x;
    size_t i, max;
    yyjson_arr_foreach (src, i, max, x) {
        if (!has_value(dst, x))
            return false;
    }
    return yyjson_is_arr(src);
}

static const char *const *texts(struct arena *a, yyjson_val *list) {
    const char **out = arena_array(a, const char *, yyjson_arr_size(list) + 1);
    yyjson_val *x;
    size_t i, max;
    yyjson_arr_foreach (list, i, max, x) {
        out[i] = text(a, x);
    }
    return out;
}

/* What the destination may check in another way. A limit that it has dropped is none. */
static const char *const limits[] = {
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "uniqueItems",
    "multipleOf",
    "oneOf",
    "anyOf",
    "not",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
};

static void compare_limits(struct comparing *c, struct schema_node *n, yyjson_val *s,
                           yyjson_val *d) {
    for (size_t i = 0; i < COUNT_OF(limits) && !n->doubt; i++) {
        yyjson_val *want = yyjson_obj_get(d, limits[i]);
        bool formatted = str_eq(limits[i], "format");
        /* Formats say how a Go type is spelled; only a definition's are checked. */
        if (want && !(formatted && (!c->custom || !s)) &&
            !same_value(yyjson_obj_get(s, limits[i]), want))
            n->doubt = limits[i];
    }
    if (!n->doubt && s && is_set(s, "nullable") && !is_set(d, "nullable"))
        n->doubt = "nullable";
}

static void compare_value(struct comparing *c, struct schema_node *n, yyjson_val *s,
                          yyjson_val *d) {
    yyjson_val *allowed = yyjson_obj_get(d, "enum"), *type = yyjson_obj_get(d, "type");
    if (allowed && !within(yyjson_obj_get(s, "enum"), allowed)) {
        n->allowed = texts(c->a, allowed);
        /* A Go type's list may name no more than the usual values, unless it named this one. */
        n->sure = c->custom || yyjson_obj_get(s, "enum");
    }
    if (type && !same_value(yyjson_obj_get(s, "type"), type) &&
        !is_set(d, "x-kubernetes-int-or-string"))
        n->type = arena_strdup(c->a, yyjson_get_str(type));
    compare_limits(c, n, s, d);
    yyjson_val *req = yyjson_obj_get(d, "required"), *x;
    const char **out = arena_array(c->a, const char *, yyjson_arr_size(req) + 1);
    size_t i, max, k = 0;
    yyjson_arr_foreach (req, i, max, x) {
        yyjson_val *prop = json_get(d, "properties", yyjson_get_str(x));
        if (!has_value(yyjson_obj_get(s, "required"), x) && !yyjson_obj_get(prop, "default"))
            out[k++] = arena_strdup(c->a, yyjson_get_str(x));
    }
    n->required = k ? out : NULL;
}

/* --- one place: what is below it --- */

static struct schema_node *compare(struct comparing *c, yyjson_val *s, yyjson_val *d);

static void add_field(struct comparing *c, struct schema_node *n, const char *name,
                      struct schema_field f) {
    bool says = f.side != SCHEMA_BOTH || f.below || f.def_dst || n->closed;
    if (!says)
        return;
    struct schema_field *x = arena_new_of(c->a, struct schema_field);
    *x = f;
    x->name = arena_strdup(c->a, name);
    x->next = n->fields;
    n->fields = x;
}

/* A property of the source. */
static void compare_property(struct comparing *c, struct schema_node *n, const char *name,
                             yyjson_val *sp, yyjson_val *d) {
    yyjson_val *dp = json_get(d, "properties", name);
    struct schema_field f = {.side = SCHEMA_BOTH};
    if (!dp && members_of(d)) {
        f.below = compare(c, sp, members_of(d));
    } else if (!dp) {
        f.side = is_open(c, d) ? SCHEMA_BOTH : SCHEMA_GONE;
        f.def_src = text(c->a, yyjson_obj_get(sp, "default"));
    } else {
        yyjson_val *def = yyjson_obj_get(dp, "default");
        f.below = compare(c, sp, dp);
        if (def && !same_value(yyjson_obj_get(sp, "default"), def))
            f.def_dst = text(c->a, def);
    }
    add_field(c, n, name, f);
}

/* A property that only the destination names. */
static void compare_new(struct comparing *c, struct schema_node *n, const char *name, yyjson_val *s,
                        yyjson_val *dp) {
    bool possible = is_open(c, s); /* the source may hold it all the same */
    struct schema_field f = {.side = possible ? SCHEMA_BOTH : SCHEMA_NEW,
                             .def_dst = text(c->a, yyjson_obj_get(dp, "default"))};
    if (possible)
        f.below = compare(c, members_of(s), dp);
    add_field(c, n, name, f);
}

static bool is_general(const char *name) {
    static const char *const names[] = {"apiVersion", "kind", "metadata", "status"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

/* general: those members of every object, which are not compared here. */
static void compare_members(struct comparing *c, struct schema_node *n, yyjson_val *s,
                            yyjson_val *d, bool general) {
    yyjson_val *sp = yyjson_obj_get(s, "properties"), *dp = yyjson_obj_get(d, "properties");
    yyjson_val *key, *val, *each = members_of(d);
    size_t i, max;
    bool object = !s || dp || str_eq(json_str(d, "type"), "object");
    n->closed = is_open(c, s) && !is_open(c, d) && object;
    n->general = n->closed && (general || is_set(d, "x-kubernetes-embedded-resource"));
    json_obj_foreach (sp, i, max, key, val) {
        if (!general || !is_general(yyjson_get_str(key)))
            compare_property(c, n, yyjson_get_str(key), val, d);
    }
    json_obj_foreach (dp, i, max, key, val) {
        const char *name = yyjson_get_str(key);
        if (!yyjson_obj_get(sp, name) && !(general && is_general(name)))
            compare_new(c, n, name, s, val);
    }
    if (each && !sp)
        n->each = compare(c, members_of(s), each);
    else if (yyjson_obj_get(d, "items"))
        n->each = compare(c, yyjson_obj_get(s, "items"), yyjson_obj_get(d, "items"));
}

/* Reasons of the place itself. */
static bool checks_itself(const struct schema_node *n) {
    for (const struct schema_field *f = n->fields; f; f = f->next)
        if (f->side == SCHEMA_GONE)
            return true;
    return n->allowed || n->type || n->doubt || n->required || n->closed;
}

static bool says_itself(const struct schema_node *n) {
    for (const struct schema_field *f = n->fields; f; f = f->next)
        if (f->side != SCHEMA_BOTH || f->def_dst)
            return true;
    return checks_itself(n);
}

/* True: there is something to keep. While a component is compared, one that holds itself counts as
 * something; settle() finds out. */
static bool compare_at(struct comparing *c, struct schema_node *n, yyjson_val *s, yyjson_val *d,
                       bool general) {
    compare_value(c, n, s, d);
    compare_members(c, n, s, d, general);
    n->checks = checks_itself(n);
    n->says = says_itself(n);
    return n->says || n->fields || n->each;
}

static struct schema_node *new_node(struct comparing *c) {
    struct schema_node *n = arena_new_of(c->a, struct schema_node);
    n->made_before = c->nodes;
    return c->nodes = n;
}

/* s NULL: the source says nothing, it may hold anything there. */
static struct schema_node *compare(struct comparing *c, yyjson_val *s, yyjson_val *d) {
    static char nothing;
    const char *from = NULL, *to = NULL;
    s = s ? deref(c->src, s, &from) : NULL;
    d = deref(c->dst, d, &to);
    if (!d)
        return NULL;
    if (!to || (s && !from)) {
        struct schema_node tmp = {0};
        if (!compare_at(c, &tmp, s, d, false))
            return NULL;
        struct schema_node *n = new_node(c);
        tmp.made_before = n->made_before;
        *n = tmp;
        return n;
    }
    AUTO_ARENA scratch = arena_new();
    const char *pair = arena_printf(scratch, "%s|%s", from ? from : "", to);
    void *known = map_get(c->done, pair);
    if (known)
        return known == &nothing ? NULL : known;
    struct schema_node *n = new_node(c);
    pair = arena_strdup(c->a, pair);
    map_put(c->done, pair, n);
    bool any = compare_at(c, n, s, d, false);
    map_put(c->done, pair, any ? (void *)n : &nothing);
    return any ? n : NULL;
}

/* What is below counts too; components may hold themselves, so until nothing changes. */
static void settle(struct comparing *c) {
    for (bool again = true; again;) {
        again = false;
        for (struct schema_node *n = c->nodes; n; n = n->made_before) {
            bool checks = n->checks || (n->each && n->each->checks);
            bool says = n->says || (n->each && n->each->says);
            for (const struct schema_field *f = n->fields; f; f = f->next) {
                checks |= f->below && f->below->checks;
                says |= f->below && f->below->says;
            }
            again |= checks != n->checks || says != n->says;
            n->checks = checks;
            n->says = says;
        }
    }
}

/* --- a kind --- */

static yyjson_val *schema_of_kind(yyjson_val *components, const struct kube_resource *r) {
    yyjson_val *key, *s, *x;
    size_t i, max, k, n;
    json_obj_foreach (components, i, max, key, s) {
        yyjson_val *kinds = yyjson_obj_get(s, "x-kubernetes-group-version-kind");
        yyjson_arr_foreach (kinds, k, n, x) {
            if (str_eq(json_str(x, "kind"), r->kind) && str_eq(json_str(x, "group"), r->group) &&
                str_eq(json_str(x, "version"), r->version))
                return s;
        }
    }
    return NULL;
}

struct schema_diff *schema_compare(struct arena *a, yyjson_val *src, yyjson_val *dst,
                                   const struct kube_resource *r, bool custom) {
    AUTO_MAP done = map_new();
    struct comparing c = {.a = a,
                          .src = json_get(src, "components", "schemas"),
                          .dst = json_get(dst, "components", "schemas"),
                          .custom = custom,
                          .done = done};
    yyjson_val *s = schema_of_kind(c.src, r), *d = schema_of_kind(c.dst, r);
    if (!s || !d)
        return NULL;
    struct schema_diff *out = arena_new_of(a, struct schema_diff);
    out->custom = custom;
    out->root = new_node(&c);
    compare_at(&c, out->root, s, d, true);
    settle(&c);
    return out->root->says ? out : NULL;
}

bool schema_has_checks(const struct schema_diff *d) {
    return d && d->root->checks;
}
