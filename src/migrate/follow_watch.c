/* The watch of one kind: from where it was read, and from where it was when it ended. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "kube/page.h"
#include "migrate/follow_impl.h"
#include "migrate/join.h"
#include "migrate/renew.h"
#include "migrate/world_impl.h"

enum { WATCH_S = 290, PAUSE_MS = 100, PAUSE_MAX_MS = 3000, REF_MAX = 1024, RELIST_TRIES = 5 };

uint64_t follow_rv(const char *rv) {
    uint64_t n;
    return rv && str_u64(rv, &n) == 0 ? n : 0;
}

static const char *ref_of(const struct kind *k, yyjson_val *item, char out[REF_MAX]) {
    const char *ns = json_str(item, "metadata", "namespace");
    const char *name = json_str(item, "metadata", "name");
    int n = snprintf(out, REF_MAX, "%s/%s/%s/%s", k->src->group, k->src->kind, ns ? ns : "",
                     name ? name : "");
    return name && n > 0 && n < REF_MAX ? out : NULL;
}

static void put(struct follow_watch *t, yyjson_val *item, bool gone) {
    char ref[REF_MAX];
    size_t n = 0;
    AUTO_ARENA a = arena_new();
    if (!ref_of(t->kind, item, ref))
        return;
    const char *text = gone ? NULL : json_write(a, item, &n);
    char *body = text ? xmalloc(n + 1) : NULL;
    if (body)
        memcpy(body, text, n + 1);
    changes_put(t->f->q, ref, t->kind, body, n, !t->kind->shallow);
}

static void note_rv(struct follow_watch *t, const char *rv) {
    uint64_t n = follow_rv(rv);
    if (n && n < t->number)
        follow_went_back(t->f, t->kind->src->plural, t->number, n);
    t->number = MAX(t->number, n);
}

static int on_event(void *ctx, enum kube_event ev, yyjson_val *object, struct err *e) {
    struct follow_watch *t = ctx;
    atomic_store(&t->f->heard_ms, clock_now_ms());
    note_rv(t, json_str(object, "metadata", "resourceVersion"));
    if (follow_pauses(t->f))
        return err_set(e, -ESTOPPED, "stopped");
    if (ev != KUBE_BOOKMARK)
        put(t, object, ev == KUBE_DELETED);
    return 0;
}

/* --- listed and compared again --- */

struct relist {
    struct follow_watch *t;
    struct arena *a;
    struct map *seen;
};

static bool has_changed(struct follow_watch *t, const char *ref, yyjson_val *item) {
    struct follow *f = t->f;
    AUTO_ARENA a = arena_new();
    char *part[4];
    MUST(object_ref_split(a, ref, part));
    pthread_mutex_lock(&f->lock);
    struct object *o = world_find(f->w, part[0], part[1], part[2], part[3]);
    bool changed = !o || !world_unchanged(f->w, o, item, !t->kind->shallow);
    pthread_mutex_unlock(&f->lock);
    return changed;
}

static int relist_item(void *ctx, yyjson_val *item, struct err *e) {
    struct relist *l = ctx;
    char ref[REF_MAX];
    if (follow_pauses(l->t->f))
        return err_set(e, -ESTOPPED, "stopped");
    if (!ref_of(l->t->kind, item, ref))
        return 0;
    map_put(l->seen, arena_strdup(l->a, ref), l);
    if (has_changed(l->t, ref, item))
        put(l->t, item, false);
    return 0;
}

static void relist_again(void *ctx) {
    struct relist *l = ctx;
    map_free(l->seen);
    l->seen = map_new();
}

/* What is known of the kind and was not in the list. */
static void put_missing(struct relist *l) {
    struct follow *f = l->t->f;
    AUTO_STRVEC gone = {0};
    AUTO_ARENA a = arena_new();
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < world_count(f->w); i++) {
        const struct object *o = world_at(f->w, i);
        if (o->kind != l->t->kind || o->gone)
            continue;
        arena_reset(a);
        const char *ref = object_ref(a, o);
        if (!map_has(l->seen, ref))
            strvec_add(&gone, ref);
    }
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < gone.n; i++)
        changes_put(f->q, gone.v[i], l->t->kind, NULL, 0, true);
}

static int relist(struct follow_watch *t, struct err *e) {
    struct follow *f = t->f;
    AUTO_ARENA a = arena_new();
    struct relist l = {.t = t, .a = a, .seen = map_new()};
    struct kube_list_fn fn = {.item = relist_item, .again = relist_again, .ctx = &l};
    struct kube_list_opts lo = {.namespace = join_namespace(f->w, t->kind),
                                .label_selector = join_selector(&f->o.world, a, t->kind->src),
                                .metadata_only = t->kind->shallow,
                                .cancel = &f->pause};
    const char *rv = NULL;
    int r = kube_list(f->o.world.src, a, t->kind->src, &lo, &fn, &rv, e);
    if (r >= 0) {
        atomic_fetch_add(&f->relists, 1);
        note_rv(t, rv);
        if (!atomic_load(&f->restored)) /* else its absence may be the backup's age */
            put_missing(&l);
        t->rv = arena_strdup(t->a, rv);
    }
    map_free(l.seen);
    return r;
}

/* --- between two watches --- */

/* A watch from a resourceVersion that is yet to come says nothing for as long: an API server whose
 * store was restored must be asked where it stands. */
static int look_at_age(struct follow_watch *t, struct err *e) {
    struct follow *f = t->f;
    AUTO_ARENA a = arena_new();
    struct kube_list_opts lo = {.namespace = join_namespace(f->w, t->kind),
                                .metadata_only = true,
                                .limit = 1,
                                .cancel = &f->pause};
    struct kube_pager *p = kube_pager_new(f->o.world.src, t->kind->src, &lo);
    yyjson_val *items;
    int r = kube_pager_next(p, a, &items, e);
    if (r >= 0)
        note_rv(t, kube_pager_rv(p));
    kube_pager_free(p);
    return r;
}

static void pause_for(struct follow *f, uint64_t ms) {
    uint64_t end = clock_now_ms() + ms;
    while (!follow_pauses(f) && clock_now_ms() < end)
        clock_sleep_ms(MIN(ms, (uint64_t)PAUSE_MS));
}

static int watch_once(struct follow_watch *t, struct err *e) {
    struct follow *f = t->f;
    AUTO_ARENA a = arena_new();
    const char *last = NULL;
    struct kube_watch_opts wo = {.namespace = join_namespace(f->w, t->kind),
                                 .label_selector = join_selector(&f->o.world, a, t->kind->src),
                                 .metadata_only = t->kind->shallow,
                                 .resource_version = t->rv,
                                 .timeout_s = WATCH_S,
                                 .cancel = &f->pause};
    atomic_store(&t->open, true);
    int r = kube_watch(f->o.world.src, a, t->kind->src, &wo, on_event, t, &last, e);
    atomic_store(&t->open, false);
    if (last && !str_eq(last, t->rv)) {
        arena_reset(t->a);
        t->rv = arena_strdup(t->a, last);
    }
    return r;
}

void follow_watch_run(void *ctx, size_t index) {
    struct follow *f = ctx;
    struct follow_watch *t = &f->watch[index];
    uint64_t pause = PAUSE_MS;
    while (!follow_pauses(f)) {
        struct err e = {0};
        uint64_t start = clock_now_ms();
        int r = watch_once(t, &e);
        if (follow_pauses(f))
            break;
        if (r == -ESTALE)
            r = relist(t, &e);
        else
            r = look_at_age(t, &e);
        if (r == -ENOENT || (r < 0 && e.http == 405)) { /* its definition is gone */
            follow_reread(f, PAUSE_MAX_MS);
            return;
        }
        if (r < 0 && r != -ESTOPPED)
            follow_is_broken(f, &e);
        else
            follow_is_well(f);
        bool quick = clock_now_ms() - start < PAUSE_MAX_MS && r < 0;
        pause = quick ? MIN(pause * 2, (uint64_t)PAUSE_MAX_MS) : PAUSE_MS;
        if (r < 0)
            pause_for(f, pause);
    }
}
