#include "migrate/three.h"

#include "migrate/facts.h"
#include "migrate/hold.h"
#include "migrate/world_impl.h"

static bool is_write(const struct journal_effect *ef) {
    return ef->leaves && (str_eq(ef->verb, "create") || str_eq(ef->verb, "update"));
}

static bool read_one(const struct world *w, const struct object *o, struct arena *a,
                     const char *text, struct leaves *ret) {
    return leaves_read(world_salt(w), text, ret, NULL) >= 0 &&
           str_eq(ret->version, kube_api_version(a, o->kind->src));
}

/* Effects in order: the last that was answered is the base, what came after it is in doubt. Without
 * an answer at all the first is the base. */
static bool choose(const struct world *w, const struct object *o, struct arena *a, int64_t own,
                   const struct journal_effect *v, size_t n, struct three *ret) {
    bool have = false;
    for (size_t i = 0; i < n; i++) {
        struct leaves l;
        /* Taken back: what is there now is what was there before the run. */
        if (v[i].state == EFFECT_DONE &&
            (str_eq(v[i].verb, "delete") || str_eq(v[i].verb, "restore"))) {
            have = false;
            ret->n_doubt = 0;
        }
        if (!is_write(&v[i]) || v[i].state == EFFECT_FAILED || !read_one(w, o, a, v[i].leaves, &l))
            continue;
        if (v[i].state == EFFECT_DONE || (!have && v[i].id != own)) {
            ret->base = l;
            ret->n_doubt = 0;
            have = true;
        } else if (ret->n_doubt < THREE_DOUBTS_MAX) {
            ret->doubt[ret->n_doubt++] = l;
        }
    }
    return have;
}

static bool is_autoscaled(yyjson_val *live) {
    yyjson_val *all = json_get(live, "metadata", "managedFields"), *m;
    size_t i, max;
    yyjson_arr_foreach (all, i, max, m) {
        if (str_eq(json_str(m, "subresource"), "scale") &&
            facts_system_manager(json_str(m, "manager")))
            return true;
    }
    return false;
}

/* Is it to be held? As far as one object tells. */
static bool wants_hold(const struct world_opts *wo, const struct object *o) {
    const char *ruled = o->user_rule >= 0 ? wo->rules[o->user_rule].verdict : NULL;
    if (o->facts & (FACT_HELD | FACT_STILL))
        return false; /* it does not act in the source: what stops it there is no hold of ours */
    if (ruled)
        return str_eq(ruled, "hold");
    return hold_wanted(o) || o->facts & FACT_HOLD_ASKED || o->singleton;
}

/* Held, and somebody took the annotation that says so, or its value, away: the holding value is
 * not the destination's own then. Kept, it would act in neither after `tandem activate`. */
static void find_lost_hold(const struct world_opts *wo, struct arena *a, const struct object *o,
                           yyjson_val *live, struct three *t) {
    const struct hold_row *row = hold_row_of(o->kind->src);
    char segment[HOLD_SEGMENT_MAX];
    t->hold_lost = row && wants_hold(wo, o) && hold_holds(row, live) && !unhold_patch(a, live, row);
    t->hold = leaves_top();
    for (size_t i = 0; t->hold_lost && hold_segment(row, i, segment); i++)
        t->hold = leaves_in(&t->base, t->hold, segment);
    t->hold.field = NULL; /* of the segment, which goes */
}

static int by_id(const void *x, const void *y) {
    const struct journal_effect *p = x, *q = y;
    return p->id < q->id ? -1 : p->id > q->id;
}

/* What was written last, to either side: after the sync has run the other way for a while, both
 * agreed on that. */
static int read_tails(const struct world_opts *wo, struct arena *a, const char *ref,
                      struct journal_effect **ret, size_t *ret_n, struct err *e) {
    struct journal_effect *v[2];
    size_t n[2];
    for (size_t i = 0; i < 2; i++) {
        const char slot[2] = {i ? wo->src_slot : wo->dst_slot, 0};
        int r = journal_effects_tail(wo->journal, a, wo->run, slot, ref, &v[i], &n[i], e);
        if (r < 0)
            return r;
    }
    *ret = v[0];
    *ret_n = n[0] + n[1];
    if (!n[1])
        return 0;
    *ret = arena_array(a, struct journal_effect, *ret_n);
    if (n[0]) /* else there is no array of it */
        memcpy(*ret, v[0], n[0] * sizeof **ret);
    memcpy(*ret + n[0], v[1], n[1] * sizeof **ret);
    qsort(*ret, *ret_n, sizeof **ret, by_id);
    return 0;
}

int three_read(struct world *w, struct arena *a, const struct object *o, yyjson_val *live,
               int64_t own, struct three *ret, struct err *e) {
    const struct world_opts *wo = world_opts(w);
    struct journal_effect *v = NULL;
    size_t n = 0;
    if (!wo->journal || !wo->run)
        return 0;
    int r = read_tails(wo, a, object_ref(a, o), &v, &n, e);
    *ret = (struct three){.autoscaled = is_autoscaled(live)};
    if (r < 0 || !choose(w, o, a, own, v, n, ret))
        return r < 0 ? r : 0;
    find_lost_hold(wo, a, o, live, ret);
    return 1;
}

/* --- places --- */

static bool is_object(yyjson_mut_val *v) {
    return !v || yyjson_mut_is_obj(v);
}

enum three_shape three_shape(const struct three *t, struct leaf_at at, yyjson_mut_val *src,
                             yyjson_mut_val *dst, const struct list_row **ret_row) {
    if (leaves_is_leaf(&t->base, at, src) || leaves_is_leaf(&t->base, at, dst))
        return SHAPE_LEAF;
    if (is_object(src) && is_object(dst))
        return SHAPE_OBJECT;
    const struct list_row *s = src ? list_keyed(at.field, src) : NULL;
    const struct list_row *d = dst ? list_keyed(at.field, dst) : NULL;
    if ((src && !s) || (dst && !d) || (s && d && s != d))
        return SHAPE_LEAF;
    *ret_row = s ? s : d;
    return SHAPE_LIST;
}

static bool as_written(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v) {
    return leaves_judge(l, at, v) == (v ? LEAF_SAME : LEAF_ABSENT);
}

enum change_fate three_fate(const struct three *t, struct leaf_at at, yyjson_mut_val *src,
                            yyjson_mut_val *dst) {
    if (t->hold_lost && at.hash == t->hold.hash && at.depth == t->hold.depth)
        return CHANGE_TAKE;
    bool source_changed = !as_written(&t->base, at, src);
    bool destination_changed = !as_written(&t->base, at, dst);
    for (size_t i = 0; i < t->n_doubt; i++)
        if (as_written(&t->doubt[i], at, dst))
            destination_changed = false;
    if (!destination_changed)
        return CHANGE_TAKE;
    bool replicas = at.depth == 2 && str_eq(at.field, "replicas");
    return source_changed && !(replicas && t->autoscaled) ? CHANGE_CLASH : CHANGE_KEEP;
}

/* --- merging --- */

static yyjson_mut_val *merge(yyjson_mut_doc *d, const struct three *t, struct leaf_at at,
                             yyjson_mut_val *src, yyjson_mut_val *dst);

static yyjson_mut_val *merge_objects(yyjson_mut_doc *d, const struct three *t, struct leaf_at at,
                                     yyjson_mut_val *src, yyjson_mut_val *dst) {
    yyjson_mut_val *out = yyjson_mut_obj(d), *key, *val;
    size_t i, max;
    yyjson_mut_obj_foreach (src, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *v = leaves_passed_over(at, k) ? yyjson_mut_val_mut_copy(d, val)
                                                      : merge(d, t, leaves_in(&t->base, at, k), val,
                                                              yyjson_mut_obj_get(dst, k));
        if (v)
            json_mut_set(d, out, k, v);
    }
    yyjson_mut_obj_foreach (dst, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (yyjson_mut_obj_get(src, k) || leaves_passed_over(at, k))
            continue;
        yyjson_mut_val *v = merge(d, t, leaves_in(&t->base, at, k), NULL, val);
        if (v)
            json_mut_set(d, out, k, v);
    }
    return yyjson_mut_obj_size(out) || (src && dst) ? out : NULL;
}

static yyjson_mut_val *merge_lists(yyjson_mut_doc *d, const struct three *t, struct leaf_at at,
                                   const struct list_row *row, yyjson_mut_val *src,
                                   yyjson_mut_val *dst) {
    yyjson_mut_val *out = yyjson_mut_arr(d), *el;
    size_t i, max;
    char id[LIST_ID_MAX];
    yyjson_mut_arr_foreach (src, i, max, el) {
        if (!list_id(row, el, id))
            continue;
        yyjson_mut_val *v =
            merge(d, t, leaves_in(&t->base, at, id), el, dst ? list_find(row, dst, id) : NULL);
        if (v)
            yyjson_mut_arr_append(out, v);
    }
    yyjson_mut_arr_foreach (dst, i, max, el) {
        if (!list_id(row, el, id) || (src && list_find(row, src, id)))
            continue;
        yyjson_mut_val *v = merge(d, t, leaves_in(&t->base, at, id), NULL, el);
        if (v)
            yyjson_mut_arr_append(out, v);
    }
    return yyjson_mut_arr_size(out) || (src && dst) ? out : NULL;
}

static yyjson_mut_val *merge(yyjson_mut_doc *d, const struct three *t, struct leaf_at at,
                             yyjson_mut_val *src, yyjson_mut_val *dst) {
    const struct list_row *row = NULL;
    if (src && dst && json_mut_equal(src, dst))
        return yyjson_mut_val_mut_copy(d, src);
    switch (three_shape(t, at, src, dst, &row)) {
    case SHAPE_OBJECT: return merge_objects(d, t, at, src, dst);
    case SHAPE_LIST: return merge_lists(d, t, at, row, src, dst);
    case SHAPE_LEAF: break;
    }
    yyjson_mut_val *v = three_fate(t, at, src, dst) == CHANGE_KEEP ? dst : src;
    return v ? yyjson_mut_val_mut_copy(d, v) : NULL;
}

yyjson_mut_val *three_merge(yyjson_mut_doc *d, const struct three *t, yyjson_mut_val *src,
                            yyjson_mut_val *dst) {
    return merge_objects(d, t, leaves_top(), src, dst);
}
