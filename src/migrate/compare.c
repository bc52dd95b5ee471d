/* Field by field: what the destination should hold against what it holds. */
#include "migrate/immutable.h"
#include "migrate/managers.h"
#include "migrate/three.h"
#include "migrate/world_impl.h"

enum { VALUE_MAX = 160 };

/* What a newer API server fills in that an older one did not know: no difference anyone made.
 * Each row was seen on real servers. */
static const struct new_default new_defaults[] = {
    {"apps", "StatefulSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable", "1",
     "defaulted from 1.35 on"},
    {"storage.k8s.io", "CSIDriver", "/spec/preventPodSchedulingIfMissing", "false",
     "defaulted from 1.37 on, where its feature is on"},
    {"", "Pod", "/spec/*ontainers/*/httpGet/protocol", "\"HTTP1\"",
     "defaulted from 1.37 on, where its feature is on"},
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
    const struct three *three; /* what was written there, or NULL */
    yyjson_mut_val *src_root, *dst_root;
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

/* Also into the flags, which count where the list is full. */
static enum change_fate fate_of(struct cmp *c, struct leaf_at at, yyjson_mut_val *src,
                                yyjson_mut_val *dst) {
    enum change_fate f = c->three ? three_fate(c->three, at, src, dst) : CHANGE_TAKE;
    struct immutable_change change = {src, dst, c->src_root, c->dst_root};
    if (f == CHANGE_TAKE && immutable_at(c->o->kind->src, sb_get(&c->path), &change))
        f = CHANGE_FIXED;
    c->o->kept |= f == CHANGE_KEEP;
    c->o->clash |= f == CHANGE_CLASH;
    c->o->fixed |= f == CHANGE_FIXED;
    return f;
}

static size_t count_listed(const struct object *o) {
    size_t n = 0;
    for (const struct change *x = o->changes; x; x = x->next)
        n++;
    return n;
}

static bool explained(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst);

static bool explained_in(struct cmp *c, const char *key, yyjson_mut_val *src, yyjson_mut_val *dst) {
    size_t mark = c->path.len;
    json_pointer_add(&c->path, key);
    bool yes = explained(c, src, dst);
    c->path.len = mark;
    c->path.p[mark] = 0;
    return yes;
}

static bool objects_explained(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (src, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (!explained_in(c, k, val, yyjson_mut_obj_get(dst, k)))
            return false;
    }
    yyjson_mut_obj_foreach (dst, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (!yyjson_mut_obj_get(src, k) && !explained_in(c, k, NULL, val))
            return false;
    }
    return true;
}

/* Does all that differs here come from the two servers' versions? A leaf of a body that has many
 * is a whole map, with what the destination has filled in somewhere inside. */
static bool explained(struct cmp *c, yyjson_mut_val *src, yyjson_mut_val *dst) {
    if (src && dst && json_mut_equal(src, dst))
        return true;
    if (schema_explains(c->o->kind->schema, sb_get(&c->path), src, dst))
        return true;
    /* Either way round: a newer source may run into an older destination. */
    if ((!src && dst && is_new_default(c, dst)) || (!dst && src && is_new_default(c, src)))
        return true;
    if (yyjson_mut_is_obj(src) && yyjson_mut_is_obj(dst))
        return objects_explained(c, src, dst);
    size_t n = yyjson_mut_arr_size(src);
    if (!yyjson_mut_is_arr(src) || !yyjson_mut_is_arr(dst) || n != yyjson_mut_arr_size(dst))
        return false;
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        if (!explained_in(c, key, yyjson_mut_arr_get(src, i), yyjson_mut_arr_get(dst, i)))
            return false;
    }
    return true;
}

static void note(struct cmp *c, struct leaf_at at, yyjson_mut_val *src, yyjson_mut_val *dst) {
    if ((!src && object_merges(c->o)) || explained(c, src, dst))
        return;
    enum change_fate fate = fate_of(c, at, src, dst);
    c->o->n_changes += fate != CHANGE_KEEP;
    if (count_listed(c->o) >= CHANGES_MAX)
        return;
    struct change *x = arena_new_of(c->a, struct change);
    *x = (struct change){arena_strdup(c->a, sb_get(&c->path)), text_of(c, src), text_of(c, dst),
                         NULL, (uint8_t)fate};
    struct change **tail = &c->o->changes;
    while (*tail)
        tail = &(*tail)->next;
    *tail = x;
}

static void differ(struct cmp *c, struct leaf_at at, yyjson_mut_val *src, yyjson_mut_val *dst);

static void step(struct cmp *c, struct leaf_at at, const char *key, yyjson_mut_val *src,
                 yyjson_mut_val *dst) {
    size_t mark = c->path.len;
    json_pointer_add(&c->path, key);
    struct leaf_at in = {.field = key};
    differ(c, c->three ? leaves_in(&c->three->base, at, key) : in, src, dst);
    c->path.len = mark;
    c->path.p[mark] = 0;
}

static void differ_objects(struct cmp *c, struct leaf_at at, yyjson_mut_val *src,
                           yyjson_mut_val *dst) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (src, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        step(c, at, k, val, yyjson_mut_obj_get(dst, k));
    }
    yyjson_mut_obj_foreach (dst, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (!yyjson_mut_obj_get(src, k))
            step(c, at, k, NULL, val);
    }
}

/* Element by element, by name: one that was put in front moves no other. */
static void differ_named(struct cmp *c, struct leaf_at at, const struct list_row *row,
                         yyjson_mut_val *src, yyjson_mut_val *dst) {
    size_t i, max;
    yyjson_mut_val *el;
    char id[LIST_ID_MAX];
    yyjson_mut_arr_foreach (src, i, max, el) {
        if (list_id(row, el, id))
            step(c, at, id, el, dst ? list_find(row, dst, id) : NULL);
    }
    yyjson_mut_arr_foreach (dst, i, max, el) {
        if (list_id(row, el, id) && !(src && list_find(row, src, id)))
            step(c, at, id, NULL, el);
    }
}

static void differ_three(struct cmp *c, struct leaf_at at, yyjson_mut_val *src,
                         yyjson_mut_val *dst) {
    const struct list_row *row = NULL;
    switch (three_shape(c->three, at, src, dst, &row)) {
    case SHAPE_OBJECT: differ_objects(c, at, src, dst); return;
    case SHAPE_LIST: differ_named(c, at, row, src, dst); return;
    case SHAPE_LEAF: note(c, at, src, dst); return;
    }
}

/* The destination's has all of it: an update would leave it as it is (write.c). */
static bool is_completed(struct leaf_at at, yyjson_mut_val *src, yyjson_mut_val *dst) {
    AUTO_ARENA tmp = arena_new();
    return json_mut_equal(list_union(json_doc(tmp), at.field, src, dst), dst);
}

static void differ(struct cmp *c, struct leaf_at at, yyjson_mut_val *src, yyjson_mut_val *dst) {
    if (src && dst && json_mut_equal(src, dst))
        return;
    if (object_merges(c->o) && yyjson_mut_is_arr(src) && yyjson_mut_is_arr(dst)) {
        if (!is_completed(at, src, dst))
            note(c, at, src, dst);
        return;
    }
    if (c->three) {
        differ_three(c, at, src, dst);
        return;
    }
    if (yyjson_mut_is_obj(src) && yyjson_mut_is_obj(dst)) {
        differ_objects(c, at, src, dst);
        return;
    }
    size_t n = yyjson_mut_arr_size(src);
    if (!yyjson_mut_is_arr(src) || !yyjson_mut_is_arr(dst) || n != yyjson_mut_arr_size(dst)) {
        note(c, at, src, dst);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        step(c, at, key, yyjson_mut_arr_get(src, i), yyjson_mut_arr_get(dst, i));
    }
}

void compare_three(struct object *o, struct arena *a, const struct three *t, yyjson_mut_val *src,
                   yyjson_mut_val *dst) {
    if (json_mut_equal(src, dst))
        return;
    struct cmp c = {.o = o,
                    .a = a,
                    .secret = object_is_secret(o),
                    .three = t,
                    .src_root = src,
                    .dst_root = dst};
    sb_str(&c.path, "");
    differ(&c, leaves_top(), src, dst);
    sb_done(&c.path);
}

void compare_trees(struct object *o, struct arena *a, yyjson_mut_val *src, yyjson_mut_val *dst) {
    compare_three(o, a, NULL, src, dst);
}

void compare_managers(struct object *o, struct arena *a, yyjson_val *src, yyjson_val *dst) {
    if (!o->ours || !managers_differ(src, dst))
        return;
    struct change *x = arena_new_of(a, struct change);
    *x = (struct change){"/metadata/managedFields", "the owners of its fields", MANAGER_OWN,
                         o->changes};
    o->changes = x;
    o->n_changes++;
}
