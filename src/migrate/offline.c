/* A world from bodies at hand, as an export of a namespace has them. */
#include <errno.h>

#include "migrate/pernamespace.h"
#include "migrate/record.h"
#include "migrate/sources.h"

static bool same_kind(const struct kube_resource *x, const struct kube_resource *y) {
    return str_eq(x->kind, y->kind) && str_eq(x->group, y->group) && str_eq(x->version, y->version);
}

static const struct kube_resource *served(const struct world_side *s,
                                          const struct kube_resource *r) {
    for (size_t i = 0; i < s->n_serves; i++)
        if (same_kind(s->serves[i], r))
            return s->serves[i];
    for (size_t i = 0; i < s->n; i++)
        if (same_kind(s->items[i].resource, r))
            return s->items[i].resource;
    return NULL;
}

static const struct kind *kind_for(const struct world *w, const struct kube_resource *r) {
    for (size_t i = 0; i < w->n_kinds; i++)
        if (same_kind(w->kinds[i].src, r))
            return &w->kinds[i];
    return NULL;
}

static char *item_ref(struct arena *a, const struct world_item *x) {
    return object_ref_of(a, x->resource->group, x->resource->kind,
                         json_str(x->body, "metadata", "namespace"),
                         json_str(x->body, "metadata", "name"));
}

struct offline {
    struct reader *r;
    const struct world_side *src, *dst;
    struct map *at_src, *at_dst; /* ref -> body */
};

/* All pairs of the kinds of one rank. */
static void take_rank(struct offline *f, int rank) {
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < f->src->n; i++) {
        const struct world_item *x = &f->src->items[i];
        if (inventory_rank(x->resource) == rank)
            reader_take(f->r, kind_for(f->r->w, x->resource), x->body,
                        map_get(f->at_dst, item_ref(a, x)));
    }
    for (size_t i = 0; i < f->dst->n; i++) {
        const struct world_item *x = &f->dst->items[i];
        const struct kind *k = kind_for(f->r->w, x->resource);
        if (k && inventory_rank(k->src) == rank && !map_has(f->at_src, item_ref(a, x)))
            reader_take(f->r, k, NULL, x->body);
    }
}

static void map_items(struct arena *a, struct map *m, const struct world_side *s) {
    for (size_t i = 0; i < s->n; i++)
        map_put(m, item_ref(a, &s->items[i]), s->items[i].body);
}

/* Of the kinds of both. */
static void note_sources(struct world *w, const struct world_side *s, bool destination) {
    for (size_t i = 0; i < s->n; i++)
        sources_have(w, &s->items[i], destination);
}

static int fetch_offline(void *ctx, struct arena *a, const struct object *o, bool destination,
                         yyjson_val **ret, struct err *e UNUSED) {
    struct offline *f = ctx;
    yyjson_val *body = map_get(destination ? f->at_dst : f->at_src, object_ref(a, o));
    if (!body)
        return -ENOENT;
    *ret = body;
    return 0;
}

int inventory_offline(struct world *w, const struct world_side *src, const struct world_side *dst,
                      struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_MAP at_src = map_new();
    AUTO_MAP at_dst = map_new();
    struct reader r = reader_make(w, w->reader_arena[0] = arena_new());
    struct offline f = {&r, src, dst, at_src, at_dst};
    w->kinds = arena_array(w->a, struct kind, src->n);
    for (size_t i = 0; i < src->n; i++)
        if (!kind_for(w, src->items[i].resource))
            inventory_add_kind(w, src->items[i].resource, served(dst, src->items[i].resource));
    map_items(a, at_src, src);
    map_items(a, at_dst, dst);
    note_sources(w, src, false);
    note_sources(w, dst, true);
    take_rank(&f, 0);
    reader_note_volumes(w, &r);
    take_rank(&f, 1);
    reader_gather(w, &r);
    pernamespace_settle(w);
    world_index(w);
    return records_read_orphans(w, fetch_offline, &f, e);
}
