/* Reads both clusters kind by kind (join.h) and makes the records. */
#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/queue.h"
#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/join.h"
#include "migrate/order.h"
#include "migrate/pernamespace.h"
#include "migrate/record.h"
#include "migrate/rules.h"

enum { READERS = 2, ONE_BY_ONE_MAX = 50 };

/* --- which kinds --- */

/* The version to speak: the source's preferred one if the destination serves it, else the first
 * that both serve (the source's API server converts). */
static const struct kube_resource *common_version(struct world *w, const struct kube_resource *r,
                                                  const struct kube_resource **ret_dst) {
    const struct kube_resource *all;
    size_t n = kube_discovery_all(w->dsrc, &all);
    *ret_dst = kube_discovery_find(w->ddst, r->group, r->version, r->kind);
    if (*ret_dst)
        return r;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(all[i].group, r->group) || !str_eq(all[i].kind, r->kind) ||
            !(all[i].verbs & KUBE_LIST))
            continue;
        *ret_dst = kube_discovery_find(w->ddst, r->group, all[i].version, r->kind);
        if (*ret_dst)
            return &all[i];
    }
    return r;
}

static bool readable(const struct kube_resource *r) {
    const unsigned need = KUBE_LIST | KUBE_GET | KUBE_CREATE;
    return r->preferred && (r->verbs & need) == need && !strchr(r->plural, '/') &&
           !rules_skip_kind(r);
}

static bool merges(const struct kube_resource *r) {
    return !*r->group && (str_eq(r->kind, "Namespace") || str_eq(r->kind, "ServiceAccount"));
}

/* Volumes first: whether a claim may name its volume depends on them. */
int inventory_rank(const struct kube_resource *r) {
    return str_eq(r->kind, "PersistentVolume") && !*r->group ? 0 : 1;
}

void inventory_add_kind(struct world *w, const struct kube_resource *src,
                        const struct kube_resource *dst) {
    struct kind *k = &w->kinds[w->n_kinds++];
    *k = (struct kind){.src = src,
                       .dst = dst,
                       .wave = order_wave(src, order_is_custom(src)),
                       .merge = merges(src)};
}

int inventory_kinds(struct world *w, struct err *e UNUSED) {
    const struct kube_resource *all;
    size_t n = kube_discovery_all(w->dsrc, &all);
    w->kinds = arena_array(w->a, struct kind, n);
    for (int rank = 0; rank < 2; rank++) {
        for (size_t i = 0; i < n; i++) {
            if (!readable(&all[i]) || inventory_rank(&all[i]) != rank)
                continue;
            if (w->o.only_namespaced && !all[i].namespaced && !str_eq(all[i].kind, "Namespace"))
                continue;
            const struct kube_resource *dst, *src = common_version(w, &all[i], &dst);
            inventory_add_kind(w, src, dst);
        }
    }
    for (const char *const *f = kube_discovery_failed(w->dsrc); f && *f; f++)
        strvec_fmt(&w->warnings, "the source does not answer for API %s: its objects are not seen",
                   *f);
    return 0;
}

/* --- one kind --- */

struct kind_reading {
    struct reader *r;
    const struct kind *k;
    size_t objects, left_over, namespaces_dst; /* before it */
    struct selector *selectors;
    struct trait *traits;
    struct scaler *scalers;
};

static struct kind_reading begin(struct reader *r, const struct kind *k) {
    return (struct kind_reading){
        r, k, r->objects.n, r->left_over.n, r->namespaces_dst, r->selectors, r->traits, r->scalers};
}

static void take(void *ctx, yyjson_val *src, yyjson_val *dst) {
    struct kind_reading *kr = ctx;
    reader_take(kr->r, kr->k, src, dst);
}

static void undo(void *ctx) {
    struct kind_reading *kr = ctx;
    struct reader *r = kr->r;
    r->objects.n = kr->objects;
    r->namespaces_dst = kr->namespaces_dst;
    r->one_by_one = 0;
    r->selectors = kr->selectors;
    r->traits = kr->traits;
    r->scalers = kr->scalers;
    census_reset(r->census);
    while (r->left_over.n > kr->left_over)
        xfree(r->left_over.v[--r->left_over.n]);
}

static void note_rv(void *ctx, const char *rv) {
    struct kind_reading *kr = ctx;
    struct kind *k = &kr->r->w->kinds[kr->k - kr->r->w->kinds];
    k->rv = arena_strdup(kr->r->rel, rv);
}

static int join_twice(struct reader *r, const struct kind *k, struct err *e) {
    struct kind_reading kr = begin(r, k);
    struct join j = {.pair = take, .again = undo, .listed = note_rv, .ctx = &kr};
    j.source_only = !world_wrote_kind(r->w, k->src); /* nothing of it can be left over */
    int n = join_kind(r->w, k, &j, e);
    if (n != -EACCES || !r->w->o.tolerate_denied)
        return n;
    j.destination_denied = true; /* perhaps it is the destination's alone that may not be read */
    n = join_kind(r->w, k, &j, e);
    return n == -EACCES ? 0 : n;
}

/* What controllers make again, nearly all of it, and more than anything else of a platform. */
static bool mostly_made_again(const struct kube_resource *r) {
    static const char *const kinds[][2] = {
        {"", "Pod"}, {"apps", "ReplicaSet"}, {"apps", "ControllerRevision"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_eq(r->group, kinds[i][0]) && str_eq(r->kind, kinds[i][1]))
            return true;
    return false;
}

/* By metadata alone, which tells of nearly each that its controller makes it again, so that nobody
 * needs to know what it holds or whether the destination has it; records_read_orphans() reads the
 * others. False: there are too many of those. */
static bool read_shallow(struct reader *r, struct kind *k, int *ret, struct err *e) {
    struct world *w = r->w;
    if (!mostly_made_again(k->src) || w->o.read_made || join_ruled(&w->o, k->src) ||
        world_wrote_kind(w, k->src))
        return false;
    struct kind_reading kr = begin(r, k);
    struct join j = {.pair = take,
                     .again = undo,
                     .listed = note_rv,
                     .ctx = &kr,
                     .destination_denied = true,
                     .source_only = true,
                     .metadata_only = true};
    r->one_by_one = 0;
    r->shallow = k->shallow = true;
    *ret = join_kind(w, k, &j, e);
    r->shallow = false;
    if (*ret != -EACCES && (*ret < 0 || r->one_by_one <= ONE_BY_ONE_MAX))
        return true;
    k->shallow = false;
    undo(&kr);
    return false;
}

static int read_kind(struct reader *r, struct kind *k, struct err *e) {
    int n = 0;
    if (!read_shallow(r, k, &n, e))
        n = join_twice(r, k, e);
    reader_end_census(r);
    return n;
}

struct reading {
    struct world *w;
    struct reader reader[READERS];
    atomic_size_t next;
    atomic_bool failed;
    struct err err;
};

static void report(struct world *w, const struct kind *k, size_t objects) {
    world_lock(w);
    w->progress += objects;
    size_t sum = w->progress;
    world_unlock(w);
    if (w->o.progress)
        w->o.progress(w->o.progress_ctx, k->src->plural, sum);
}

static void run_reader(void *ctx, size_t index) {
    struct reading *rd = ctx;
    struct reader *r = &rd->reader[index];
    size_t i;
    while (!atomic_load(&rd->failed) && (i = atomic_fetch_add(&rd->next, 1)) < rd->w->n_kinds) {
        struct err e = {0};
        size_t before = r->objects.n;
        if (read_kind(r, &rd->w->kinds[i], &e) < 0) {
            world_lock(rd->w);
            if (!atomic_exchange(&rd->failed, true))
                rd->err = e;
            world_unlock(rd->w);
        }
        report(rd->w, &rd->w->kinds[i], r->objects.n - before);
    }
}

static int fetch_live(void *ctx, struct arena *a, const struct object *o, bool destination,
                      yyjson_val **ret, struct err *e) {
    const struct world *w = ctx;
    const struct kube_resource *r = destination ? o->kind->dst : o->kind->src;
    return kube_get(destination ? w->o.dst : w->o.src, a,
                    kube_path(a, r, *o->ns ? o->ns : NULL, o->name, NULL), NULL, ret, e);
}

static int note_volume(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct world *w = ctx;
    const struct kube_resource *r = kube_discovery_find(w->dsrc, "", NULL, "PersistentVolume");
    int rule = classify_user_rule(w, r, item);
    bool skipped = rule >= 0 && str_eq(w->o.rules[rule].verdict, "skip");
    if (!skipped && !(facts_read("", "PersistentVolume", item) & FACT_PV_DYNAMIC))
        map_put(w->volumes, arena_strdup(w->a, json_str(item, "metadata", "name")), w);
    return 0;
}

/* Under -n volumes are not migrated, but claims still name them. Who may not list them loses only
 * that. */
static void look_at_volumes(struct world *w) {
    const struct kube_resource *r = kube_discovery_find(w->dsrc, "", NULL, "PersistentVolume");
    struct kube_list_fn fn = {.item = note_volume, .ctx = w};
    struct kube_list_opts lo = {.cancel = w->o.cancel};
    struct err e = {0};
    if (w->o.only_namespaced && r && kube_list(w->o.src, w->a, r, &lo, &fn, NULL, &e) < 0)
        strvec_fmt(&w->warnings, "claims lose the names of their volumes: %s", err_msg(&e));
}

static void warn_missing_namespaces(struct world *w) {
    for (const char *const *p = w->o.ns_include; p && *p; p++)
        if (!strpbrk(*p, "*?") && !world_find(w, "", "Namespace", "", *p))
            strvec_fmt(&w->warnings, "the source has no namespace %s", *p);
}

int inventory_read(struct world *w, struct err *e) {
    struct reading rd = {.w = w};
    for (size_t i = 0; i < READERS; i++)
        rd.reader[i] = reader_make(w, w->reader_arena[i] = arena_new());
    int n = 0;
    look_at_volumes(w);
    while (atomic_load(&rd.next) < w->n_kinds && n >= 0 &&
           inventory_rank(w->kinds[rd.next].src) == 0)
        n = read_kind(&rd.reader[0], &w->kinds[atomic_fetch_add(&rd.next, 1)], e);
    if (n >= 0) {
        reader_note_volumes(w, &rd.reader[0]);
        workers_join(workers_start(READERS, run_reader, &rd));
        if (atomic_load(&rd.failed)) {
            n = rd.err.code;
            if (e)
                *e = rd.err;
        }
    }
    for (size_t i = 0; i < READERS; i++)
        reader_gather(w, &rd.reader[i]);
    pernamespace_settle(w);
    world_index(w);
    if (n < 0)
        return n;
    warn_missing_namespaces(w);
    if (schemas_warning(w->schemas))
        strvec_add(&w->warnings, schemas_warning(w->schemas));
    return records_read_orphans(w, fetch_live, w, e);
}
