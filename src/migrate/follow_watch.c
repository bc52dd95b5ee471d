/* The watch of one kind: from where it was read, and from where it was when it ended. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "kube/page.h"
#include "migrate/follow_impl.h"
#include "migrate/join.h"
#include "migrate/record.h"
#include "migrate/renew.h"

enum {
    WATCH_S = 290,
    PAUSE_MS = 100,
    PAUSE_MAX_MS = 3000,
    SHORT_MS = 1000, /* a watch that ended before that, without an event, was none */
    POLL_MS = 60000,
    DENIED_MS = 20000,
    REF_MAX = 1024,
};

static const char *ref_of(const struct kind *k, yyjson_val *item, char out[REF_MAX]) {
    const char *ns = json_str(item, "metadata", "namespace");
    const char *name = json_str(item, "metadata", "name");
    int n = snprintf(out, REF_MAX, "%s/%s/%s/%s", k->src->group, k->src->kind, ns ? ns : "",
                     name ? name : "");
    return name && n > 0 && n < REF_MAX ? out : NULL;
}

/* From between the list and the end of reading: what it shows may be older than what was read, or
 * than its end. Without a body whoever carries it asks the source. */
static bool is_old(const struct follow_watch *t, yyjson_val *item) {
    uint64_t n = follow_rv(json_str(item, "metadata", "resourceVersion"));
    return t->f->as_of && n && n <= t->f->as_of;
}

static void put(struct follow_watch *t, yyjson_val *item, bool gone) {
    char ref[REF_MAX];
    size_t n = 0;
    AUTO_ARENA a = arena_new();
    if (!ref_of(t->kind, item, ref) || !record_in_scope(t->f->w, t->kind, item))
        return;
    const char *text = gone || is_old(t, item) ? NULL : json_write(a, item, &n);
    char *body = text ? xmalloc(n + 1) : NULL;
    if (body)
        memcpy(body, text, n + 1);
    changes_put(t->f->q, ref, t->kind, body, n, !t->kind->shallow);
}

static void note_rv(struct follow_watch *t, const char *rv) {
    uint64_t n = follow_rv(rv);
    if (n > atomic_load(&t->number))
        atomic_store(&t->number, n);
}

/* A list is of the newest state there is, so an older one tells of a restore. Events tell nothing:
 * a watch goes on from where it was, which may be before the last list. */
static void judge_rv(struct follow_watch *t, const char *rv) {
    uint64_t n = follow_rv(rv), was = atomic_load(&t->number);
    if (n && n < was)
        follow_went_back(t->f, t->kind->src->plural, was, n);
    note_rv(t, rv);
}

static int on_event(void *ctx, enum kube_event ev, yyjson_val *object, struct err *e) {
    struct follow_watch *t = ctx;
    t->told = true;
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
    if (!ref_of(l->t->kind, item, ref) || !record_in_scope(l->t->f->w, l->t->kind, item))
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
                                .background = true,
                                .cancel = &f->pause};
    const char *rv = NULL;
    int r = kube_list(f->o.world.src, a, t->kind->src, &lo, &fn, &rv, e);
    if (r >= 0) {
        atomic_fetch_add(&f->relists, 1);
        judge_rv(t, rv);
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
                                .background = true,
                                .cancel = &f->pause};
    struct kube_pager *p = kube_pager_new(f->o.world.src, t->kind->src, &lo);
    yyjson_val *items;
    int r = kube_pager_next(p, a, &items, e);
    if (r >= 0)
        judge_rv(t, kube_pager_rv(p));
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

/* One watch to its end, and what has to be done before the next. Where the source's store stands is
 * asked first: nothing of one that was restored may be believed. */
static int watch_and_look(struct follow_watch *t, struct err *e) {
    struct follow *f = t->f;
    struct err age = {0};
    t->told = false;
    int r = watch_once(t, e);
    if (follow_pauses(f))
        return 0;
    int n = look_at_age(t, &age);
    t->looked = n >= 0;
    if (n < 0) {
        *e = age;
        return n;
    }
    if (r != -ESTALE || atomic_load(&f->restored))
        return r == -ESTALE || r == -ESTOPPED ? 0 : r;
    *e = (struct err){0};
    return relist(t, e);
}

static int poll_once(struct follow_watch *t, struct err *e) {
    pause_for(t->f, POLL_MS);
    int r = follow_pauses(t->f) ? 0 : look_at_age(t, e);
    return r < 0 || follow_pauses(t->f) || atomic_load(&t->f->restored) ? r : relist(t, e);
}

/* Who may not watch may list all the same. An API server that has just started does not know yet
 * who may what: where watching has worked it is not given up at once, and never where listing is
 * forbidden as well. */
static bool is_refused(struct follow_watch *t, int r, const struct err *e) {
    bool denied = r < 0 && t->looked && (e->http == 401 || e->http == 403);
    uint64_t now = clock_now_ms();
    if (!denied)
        t->denied_ms = 0;
    else if (!t->denied_ms)
        t->denied_ms = now;
    return (denied && (!t->was_open || now - t->denied_ms > DENIED_MS)) ||
           (r < 0 && (e->http == 405 || e->http == 406));
}

/* What was forbidden is tried again each time that the kind was listed instead. */
static void watch_or_poll(struct follow_watch *t, int r, const struct err *e) {
    if (t->polled) {
        t->polled = !(t->denied_ms && r >= 0);
        return;
    }
    uint64_t since = t->denied_ms;
    t->was_open = t->was_open || r >= 0 || t->told;
    t->polled = is_refused(t, r, e);
    if (t->polled && (!since || t->was_open)) /* said once */
        log_warn("%s is not watched, but listed once a minute: %s", t->kind->src->plural,
                 err_msg(e));
    if (t->polled)
        t->was_open = false;
}

void follow_watch_run(void *ctx, size_t index) {
    struct follow *f = ctx;
    struct follow_watch *t = &f->watch[index];
    uint64_t pause = PAUSE_MS;
    while (!follow_pauses(f)) {
        struct err e = {0};
        uint64_t start = clock_now_ms();
        int r = t->polled ? poll_once(t, &e) : watch_and_look(t, &e);
        if (follow_pauses(f))
            break;
        if (r == -ENOENT) { /* its definition is gone, or its API */
            follow_reread(f, PAUSE_MAX_MS);
            return;
        }
        watch_or_poll(t, r, &e);
        atomic_store(&t->failing, r < 0);
        if (r < 0)
            follow_is_broken(f, &e);
        bool in_vain = r < 0 || (!t->told && clock_now_ms() - start < SHORT_MS);
        pause = in_vain ? MIN(pause * 2, (uint64_t)PAUSE_MAX_MS) : PAUSE_MS;
        if (in_vain)
            pause_for(f, pause);
    }
}
