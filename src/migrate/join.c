#include "migrate/join.h"

#include <errno.h>

#include "base/log.h"
#include "kube/page.h"

enum { UNSORTED = -4100, KEY_MAX = 600, RELIST_MAX = 4 };

struct side {
    struct kube_pager *pager; /* NULL: this side does not have the kind */
    struct arena *a;
    yyjson_arr_iter it;
    yyjson_val *item; /* under the cursor; NULL: at the end */
    char key[KEY_MAX], last[KEY_MAX];
    bool done;
};

static void key_of(yyjson_val *item, char out[KEY_MAX]) {
    const char *ns = json_str(item, "metadata", "namespace");
    const char *name = json_str(item, "metadata", "name");
    snprintf(out, KEY_MAX, "%s%s%s", ns ? ns : "", ns ? "/" : "", name ? name : "");
}

/* 0 or negative; UNSORTED when the order is not the store's. */
static int side_advance(struct side *s, struct err *e) {
    s->item = NULL;
    while (!s->done && !(s->item = yyjson_arr_iter_next(&s->it))) {
        yyjson_val *items;
        if (!s->pager) {
            s->done = true;
            break;
        }
        arena_reset(s->a);
        int r = kube_pager_next(s->pager, s->a, &items, e);
        if (r < 0)
            return r;
        s->done = r == 0;
        if (r > 0)
            yyjson_arr_iter_init(items, &s->it);
    }
    if (!s->item)
        return 0;
    snprintf(s->last, KEY_MAX, "%s", s->key);
    key_of(s->item, s->key);
    return *s->last && strcmp(s->key, s->last) < 0 ? UNSORTED : 0;
}

static struct side side_open(struct kube_client *c, const struct kube_resource *r,
                             const struct kube_list_opts *lo) {
    return (struct side){.pager = r ? kube_pager_new(c, r, lo) : NULL, .a = arena_new()};
}

static void side_ahead(struct side *s) {
    if (s->pager)
        kube_pager_ahead(s->pager);
}

static void side_close(struct side *s) {
    kube_pager_free(s->pager);
    arena_free(s->a);
}

/* Most kinds of a platform have no objects: then the destination is not asked at all. */
static int merge_join(const struct join *j, struct side *s, struct side *d, struct err *e) {
    if (!j->source_only)
        side_ahead(d);
    int n = side_advance(s, e);
    if (n >= 0 && !s->item && j->source_only)
        return 0;
    if (n >= 0)
        n = side_advance(d, e);
    while (n >= 0 && (s->item || d->item)) {
        int c = !s->item ? 1 : !d->item ? -1 : strcmp(s->key, d->key);
        j->pair(j->ctx, c <= 0 ? s->item : NULL, c >= 0 ? d->item : NULL);
        if (c <= 0)
            n = side_advance(s, e);
        if (n >= 0 && c >= 0)
            n = side_advance(d, e);
    }
    return n;
}

/* The other way: everything of the destination in a table. */
static int table_join(const struct join *j, struct side *s, struct side *d, struct err *e) {
    AUTO_ARENA hold = arena_new();
    AUTO_MAP table = map_new();
    yyjson_val *items = NULL, *it;
    size_t i, max;
    char key[KEY_MAX];
    int n = 0;
    while (d->pager && (n = kube_pager_next(d->pager, hold, &items, e)) > 0) {
        yyjson_arr_foreach (items, i, max, it) {
            key_of(it, key);
            map_put(table, arena_strdup(hold, key), it);
        }
    }
    while (n >= 0 && (arena_reset(s->a), n = kube_pager_next(s->pager, s->a, &items, e)) > 0) {
        yyjson_arr_foreach (items, i, max, it) {
            key_of(it, key);
            yyjson_val *dst = map_get(table, key);
            j->pair(j->ctx, it, dst);
            if (dst)
                map_put(table, key, NULL);
        }
    }
    for (i = 0; n >= 0 && i < map_len(table); i++)
        if (map_value(table, i))
            j->pair(j->ctx, NULL, map_value(table, i));
    return n;
}

const char *join_namespace(const struct world *w, const struct kind *k) {
    const char *const *inc = world_opts(w)->ns_include;
    bool one = k->src->namespaced && inc && inc[0] && !inc[1] && !strpbrk(inc[0], "*?");
    return one ? inc[0] : NULL;
}

/* What controllers make of every Service, and say so in a label: two or three objects each, which
 * both servers would write as JSON to have them left out by the rules of the same names. */
static const struct {
    const char *group, *kind, *selector;
} made[] = {
    {"", "Endpoints", "endpoints.kubernetes.io/managed-by!=endpoint-controller"},
    {"discovery.k8s.io", "EndpointSlice",
     "endpointslice.kubernetes.io/managed-by notin "
     "(endpointslice-controller.k8s.io,endpointslicemirroring-controller.k8s.io)"},
    {"networking.k8s.io", "IPAddress", "ipaddress.kubernetes.io/managed-by!=ipallocator.k8s.io"},
};

bool join_ruled(const struct world_opts *o, const struct kube_resource *r) {
    for (size_t i = 0; i < o->n_rules; i++)
        if ((!o->rules[i].kind || str_glob(o->rules[i].kind, r->kind)) &&
            !str_eq(o->rules[i].verdict, "skip"))
            return true;
    return false;
}

static const char *without_made(const struct world_opts *o, const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(made) && !o->read_made; i++)
        if (str_eq(made[i].kind, r->kind) && str_eq(made[i].group, r->group) && !join_ruled(o, r))
            return made[i].selector;
    return NULL;
}

const char *join_selector(const struct world_opts *o, struct arena *a,
                          const struct kube_resource *r) {
    const char *others = without_made(o, r), *chosen = o->label_selector;
    return chosen && others ? arena_printf(a, "%s,%s", chosen, others) : chosen ? chosen : others;
}

int join_kind(const struct world *w, const struct kind *k, const struct join *j, struct err *e) {
    const struct world_opts *o = world_opts(w);
    AUTO_ARENA a = arena_new();
    struct kube_list_opts all = {.label_selector = without_made(o, k->src), .cancel = o->cancel};
    struct kube_list_opts lo = all;
    lo.metadata_only = j->metadata_only;
    lo.label_selector = join_selector(o, a, k->src);
    lo.namespace = all.namespace = join_namespace(w, k);
    bool sorted = true;
    int n = -ESTALE;
    for (unsigned i = 0; i < RELIST_MAX && (n == -ESTALE || n == UNSORTED); i++) {
        struct side s = side_open(o->src, k->src, &lo);
        struct side d = side_open(o->dst, j->destination_denied ? NULL : k->dst, &all);
        side_ahead(&s);
        n = (sorted ? merge_join : table_join)(j, &s, &d, e);
        if (n >= 0 && j->listed)
            j->listed(j->ctx, kube_pager_first_rv(s.pager));
        side_close(&s);
        side_close(&d);
        sorted = sorted && n != UNSORTED;
        if (n < 0)
            j->again(j->ctx);
    }
    /* A kind may vanish, or not be listable, between discovery and list. */
    if (n == -ENOENT || (n < 0 && e && e->http == 405)) {
        log_debug("%s cannot be listed: %s", k->src->plural, err_msg(e));
        return 0;
    }
    return n < 0 ? err_ctx(e, n, "reading %s", k->src->plural) : 0;
}
