/* Field by field: what the destination should hold against what it holds. */
#include "migrate/world_impl.h"

enum { VALUE_MAX = 160 };

/* What a newer API server fills in that an older one did not know: no difference anyone made.
 * Each row was seen on real servers. */
static const struct new_default new_defaults[] = {
    {"apps", "StatefulSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable", "1",
     "defaulted from 1.35 on"},
    {"", "Pod", "/metadata/labels/topology.kubernetes.io~1*", "*",
     "copied from its node by an admission plugin from 1.35 on"},
    {"", "Pod", "/spec/tolerations", "*", "added by the DefaultTolerationSeconds admission"},
    {"", "Pod", "/spec/volumes", "*", "added by the ServiceAccount admission"},
};

const struct new_default *compare_new_defaults(size_t *ret_n) {
    *ret_n = COUNT_OF(new_defaults);
    return new_defaults;
}

struct cmp {
    struct object *o;
    struct arena *a;
    struct sb path;
    bool secret;
};

static const char *text_of(struct cmp *c, yyjson_mut_val *v) {
    if (!v)
        return NULL;
    if (c->secret)
        return "(secret)";
    AUTO_SB b = SB_INIT(0);
    json_mut_canonical(&b, v);
    if (b.len <= VALUE_MAX)
        return arena_strdup(c->a, sb_get(&b));
    /* Not in the middle of a character: half of one could not be written as JSON. */
    size_t n = VALUE_MAX;
    while (n && (b.p[n] & 0xc0) == 0x80)
        n--;
    return arena_printf(c->a, "%.*s… (%zu bytes)", (int)n, b.p, b.len);
}

static bool is_new_default(const struct cmp *c, yyjson_mut_val *only) {
    const struct kube_resource *r = c->o->kind->src;
    AUTO_SB b = SB_INIT(0);
    json_mut_canonical(&b, only);
    for (size_t i = 0; i < COUNT_OF(new_defaults); i++)
        if (str_eq(new_defaults[i].group, r->group) && str_eq(new_defaults[i].kind, r->kind) &&
            str_glob(new_defaults[i].path, sb_get(&c->path)) &&
            str_glob(new_defaults[i].value, sb_get(&b)))
            return true;
    return false;
}

static void note(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst) {
    if (!src && object_merges(c->o))
        return;
    /* Either way round: a newer source may run into an older destination. */
    if ((!src && dst && is_new_default(c, dst)) || (!dst && src && is_new_default(c, src)))
        return;
    if (c->o->n_changes++ >= CHANGES_MAX)
        return;
    struct change *x = arena_new_of(c->a, struct change);
    *x = (struct change){arena_strdup(c->a, sb_get(&c->path)), text_of(c, src), text_of(c, dst),
                         NULL};
    struct change **tail = &c->o->changes;
    while (*tail)
        tail = &(*tail)->next;
    *tail = x;
}

static void differ(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst);

static void step(struct cmp *c, const char *key, yyjson_mut_val *src, yyjson_mut_val *dst) {
    size_t mark = c->path.len;
    json_pointer_add(&c->path, key);
    differ(c, src, dst);
    c->path.len = mark;
    c->path.p[mark] = 0;
}

static void differ_objects(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (src, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        step(c, k, val, yyjson_mut_obj_get(dst, k));
    }
    yyjson_mut_obj_foreach (dst, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (!yyjson_mut_obj_get(src, k))
            step(c, k, NULL, val);
    }
}

static void differ(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst) {
    if (src && dst && json_mut_equal(src, dst))
        return;
    if (yyjson_mut_is_obj(src) && yyjson_mut_is_obj(dst)) {
        differ_objects(c, src, dst);
        return;
    }
    size_t n = yyjson_mut_arr_size(src);
    if (!yyjson_mut_is_arr(src) || !yyjson_mut_is_arr(dst) || n != yyjson_mut_arr_size(dst)) {
        note(c, src, dst);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        step(c, key, yyjson_mut_arr_get(src, i), yyjson_mut_arr_get(dst, i));
    }
}

void compare_trees(struct object *o, struct arena *a, yyjson_mut_val *src, yyjson_mut_val *dst) {
    if (json_mut_equal(src, dst))
        return;
    struct cmp c = {.o = o, .a = a, .secret = object_is_secret(o)};
    sb_str(&c.path, "");
    differ(&c, src, dst);
    sb_done(&c.path);
}
