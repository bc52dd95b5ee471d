#include "migrate/follow.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "migrate/apply.h"
#include "migrate/follow_impl.h"
#include "migrate/renew.h"
#include "migrate/unclassified.h"
#include "migrate/world_impl.h"

enum {
    CARRIERS = 16,
    WATCHES_MAX = 256,
    TICK_MS = 50,
    TELL_MS = 1000,
    SAVE_MS = 5000,
    READ_PAUSE_MS = 500,
    READ_PAUSE_MAX_MS = 15000,
    AGAIN_MS = 60000,
    DEFINITION_MS = 2000,
    REREAD_MS = FOLLOW_HOUR_MS, /* all of it is compared once an hour, whatever was heard */
};

struct follow *follow_new(const struct follow_opts *o) {
    struct follow *f = xcalloc(1, sizeof *f);
    f->o = *o;
    f->o.world.cancel = &f->stop;
    f->a = arena_new();
    f->marks = map_new();
    f->guard = follow_guard_new(o);
    f->state = FOLLOW_READING;
    f->behind_ms = clock_now_ms();
    f->o.world.follow = true;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void follow_free(struct follow *f) {
    if (!f)
        return;
    MUST(!f->w && !f->watchers && !f->carriers);
    changes_free(f->q);
    follow_guard_free(f->guard);
    map_free(f->marks);
    arena_free(f->a);
    pthread_mutex_destroy(&f->lock);
    xfree(f);
}

void follow_stop(struct follow *f) {
    atomic_store(&f->stop.stop, true);
    atomic_store(&f->pause.stop, true);
}

static bool stops(const struct follow *f) {
    return atomic_load(&f->stop.stop);
}

bool follow_pauses(struct follow *f) {
    return atomic_load(&f->pause.stop);
}

/* --- what the parts report --- */

void follow_reread(struct follow *f, uint64_t in_ms) {
    uint64_t at = clock_now_ms() + in_ms;
    if (!atomic_exchange(&f->reread, true) || at < atomic_load(&f->reread_ms))
        atomic_store(&f->reread_ms, at);
}

void follow_is_broken(struct follow *f, const struct err *e) {
    uint_fast64_t whole = 0;
    pthread_mutex_lock(&f->lock);
    f->broken = *e;
    pthread_mutex_unlock(&f->lock);
    atomic_compare_exchange_strong(&f->broken_ms, &whole, clock_now_ms());
}

void follow_is_well(struct follow *f) {
    atomic_store(&f->broken_ms, 0);
}

static void set_state(struct follow *f, enum follow_state state) {
    pthread_mutex_lock(&f->lock);
    bool changed = f->state != state;
    f->state = state;
    pthread_mutex_unlock(&f->lock);
    if (changed && f->o.tell)
        f->o.tell(f->o.tell_ctx);
}

/* --- reading --- */

static void note_deleted(void *ctx, const char *ref, int64_t at_ms) {
    struct follow *f = ctx;
    AUTO_ARENA a = arena_new();
    char *part[4];
    if (object_ref_split(a, ref, part))
        follow_guard_note(f->guard, part[0], part[1], at_ms);
}

static int read_guard(struct follow *f, struct err *e) {
    const char slot[2] = {f->o.world.dst_slot, 0};
    follow_guard_reset(f->guard, NULL, NULL);
    char *since = NULL;
    AUTO_ARENA a = arena_new();
    int64_t from = clock_wall_ms() - FOLLOW_HOUR_MS;
    int r = journal_get(f->o.world.journal, a, "follow.approved", &since, e);
    if (r >= 0)
        r = journal_deleted_since(f->o.world.journal, f->o.world.run, slot,
                                  MAX(from, (int64_t)follow_rv(since)), note_deleted, f, e);
    return r;
}

/* What differs is written as a migration does. */
static int catch_up(struct follow *f, struct world *w, struct err *e) {
    size_t n = 0;
    for (size_t i = 0; i < world_count(w); i++) {
        struct object *o = world_at(w, i);
        if (o->recreate && o->verdict == V_UPDATE) { /* a person runs `migrate` for that */
            o->verdict = V_BLOCK;
            o->recreate = false;
        }
        n += object_to_write(o);
    }
    if (!n)
        return 0;
    struct apply_opts ao = {.world = w,
                            .journal = f->o.world.journal,
                            .run = f->o.world.run,
                            .writes = f->o.writes,
                            .cancel = &f->stop};
    struct apply_result res;
    int r = apply_plan(&ao, &res, e);
    atomic_fetch_add(&f->carried, res.done);
    for (size_t i = 0; i < world_count(w); i++)
        if (world_at(w, i)->outcome == OUT_DONE &&
            object_is(world_at(w, i), "apiextensions.k8s.io", "CustomResourceDefinition"))
            follow_reread(f, DEFINITION_MS); /* its kind joins */
    return r < 0 ? r : world_applied(w, e);
}

static void tell_unseen(const struct world *w) {
    for (const char *const *api = kube_discovery_failed(world_discovery(w, false)); api && *api;
         api++)
        log_warn(
            "the source does not answer for API %s: its objects are not followed; asked again in "
            "a minute",
            *api);
}

/* The world is the caller's. */
static int read_both(struct follow *f, struct world **ret, struct err *e) {
    struct world *w;
    int r = world_new(&f->o.world, &w, e);
    if (r < 0)
        return r;
    r = world_read(w, e);
    if (r >= 0) {
        unclassified_decide(w, UNCLASSIFIED_HOLD);
        follow_age_check(f, w);
        r = atomic_load(&f->restored) ? 0 : catch_up(f, w, e);
    }
    if (r >= 0)
        r = read_guard(f, e);
    if (r < 0) {
        world_free(w);
        return r;
    }
    f->as_of = follow_age_now(f, w);
    const char *const *unseen = kube_discovery_failed(world_discovery(w, false));
    tell_unseen(w);
    if (unseen && *unseen)
        follow_reread(f, AGAIN_MS);
    *ret = w;
    return 0;
}

static void sleep_unless_stopped(struct follow *f, uint64_t ms) {
    uint64_t end = clock_now_ms() + ms;
    while (!stops(f) && clock_now_ms() < end)
        clock_sleep_ms(TICK_MS);
}

/* -ESTOPPED: there is no world, though one may have been read. */
static int read_until_done(struct follow *f, struct world **ret, struct err *e) {
    uint64_t pause = READ_PAUSE_MS;
    for (;;) {
        *ret = NULL;
        *e = (struct err){0};
        int r = read_both(f, ret, e);
        if (stops(f)) {
            world_free(TAKE(*ret));
            return err_set(e, -ESTOPPED, "stopped");
        }
        if (r >= 0 || r == -EGUARD)
            return r;
        follow_is_broken(f, e);
        set_state(f, FOLLOW_BROKEN);
        sleep_unless_stopped(f, pause);
        pause = MIN(pause * 2, (uint64_t)READ_PAUSE_MAX_MS);
    }
}

/* --- live --- */

/* What apply_plan() could not do, and what is gone from the source. */
static void queue_rest(struct follow *f) {
    struct world *w = f->w;
    AUTO_ARENA a = arena_new();
    f->live = xcalloc(world_kinds(w, &(const struct kind *){NULL}) + 1, sizeof *f->live);
    for (size_t i = 0; i < world_count(w); i++) {
        struct object *o = world_at(w, i);
        f->live[o->kind - world_kind_at(w, 0)] += o->in_dst;
        arena_reset(a);
        bool left = o->outcome != OUT_NONE && o->outcome != OUT_DONE;
        if (left || o->verdict == V_BLOCK)
            changes_put(f->q, object_ref(a, o), o->kind, NULL, 0, true); /* looked at anew */
    }
    for (const char *const *ref = world_left_over(w); *ref; ref++) {
        char *part[4];
        arena_reset(a);
        const struct kind *k =
            object_ref_split(a, *ref, part) ? world_kind_of(w, part[0], part[1]) : NULL;
        if (k && k->dst) {
            f->live[k - world_kind_at(w, 0)]++;
            changes_put(f->q, *ref, k, NULL, 0, true);
        }
    }
}

static void open_watches(struct follow *f) {
    size_t n = world_kinds(f->w, &(const struct kind *){NULL}), polled = 0;
    size_t most = f->o.watches ? f->o.watches : WATCHES_MAX;
    f->watch = xcalloc(n + 1, sizeof *f->watch);
    f->n_watch = 0;
    for (size_t i = 0; i < n; i++) {
        const struct kind *k = world_kind_at(f->w, i);
        if (!k->rv)
            continue;
        struct follow_watch *t = &f->watch[f->n_watch++];
        t->f = f;
        t->kind = k;
        t->a = arena_new();
        t->rv = arena_strdup(t->a, k->rv);
        t->number = follow_rv(k->rv);
        t->polled = !(k->src->verbs & KUBE_WATCH) || f->n_watch > most;
        polled += t->polled;
    }
    if (polled)
        log_info(
            "%zu kinds cannot be watched or are beyond the limit of %zu watches: they are listed "
            "and compared once a minute",
            polled, most);
}

static void begin_live(struct follow *f, struct world *w) {
    pthread_mutex_lock(&f->lock);
    f->w = w;
    f->q = changes_new();
    changes_freeze(f->q, atomic_load(&f->restored));
    f->log = follow_log_start(f->o.world.journal, f->o.world.run);
    open_watches(f);
    queue_rest(f);
    f->readings++;
    f->behind_ms = 0;
    pthread_mutex_unlock(&f->lock);
    f->carriers = workers_start(f->o.writes ? f->o.writes : CARRIERS, follow_carry_run, f);
    f->watchers = workers_start(f->n_watch, follow_watch_run, f);
}

/* After the last carrier and watch. */
static void take_down(struct follow *f, uint64_t behind_ms) {
    pthread_mutex_lock(&f->lock);
    f->behind_ms = behind_ms;
    struct follow_log *log = TAKE(f->log);
    struct changes *q = TAKE(f->q);
    struct world *w = TAKE(f->w);
    f->state = FOLLOW_READING;
    for (size_t i = 0; i < f->n_watch; i++) {
        follow_age_mark(f, f->watch[i].kind, atomic_load(&f->watch[i].number));
        arena_free(f->watch[i].a);
    }
    xfree(TAKE(f->watch));
    f->n_watch = 0;
    xfree(TAKE(f->live));
    pthread_mutex_unlock(&f->lock);
    follow_log_stop(log);
    changes_free(q);
    world_free(w);
}

static void end_live(struct follow *f) {
    struct changes_count c;
    atomic_store(&f->pause.stop, true);
    changes_count(f->q, &c);
    changes_close(f->q);
    workers_join(TAKE(f->carriers));
    workers_join(TAKE(f->watchers));
    follow_age_save(f);
    uint64_t now = clock_now_ms();
    take_down(f, c.oldest_ms ? now - c.oldest_ms : now);
    atomic_store(&f->pause.stop, stops(f));
}

static enum follow_state state_now(struct follow *f) {
    struct changes_count c;
    char text[8];
    changes_count(f->q, &c);
    if (atomic_load(&f->restored) || c.asks)
        return FOLLOW_ASKS;
    bool failing = false;
    for (size_t i = 0; i < f->n_watch; i++)
        failing |= atomic_load(&f->watch[i].failing);
    if (!failing)
        follow_is_well(f);
    return failing || follow_log_broken(f->log, text, sizeof text) ? FOLLOW_BROKEN : FOLLOW_LIVE;
}

static bool is_time_to_reread(struct follow *f, uint64_t since) {
    uint64_t now = clock_now_ms();
    return (atomic_load(&f->reread) && now >= atomic_load(&f->reread_ms)) ||
           now - since > (uint64_t)REREAD_MS;
}

static void tick(struct follow *f, uint64_t *told, uint64_t *saved) {
    uint64_t now = clock_now_ms();
    set_state(f, state_now(f));
    if (now - *told >= TELL_MS) {
        changes_reap(f->q);
        *told = now;
        if (f->o.tell)
            f->o.tell(f->o.tell_ctx);
    }
    if (now - *saved >= SAVE_MS) {
        follow_age_save(f);
        *saved = now;
    }
}

static void live(struct follow *f, struct world *w) {
    uint64_t since = clock_now_ms(), told = 0, saved = since;
    begin_live(f, w);
    while (!stops(f) && !atomic_load(&f->accepted) && !is_time_to_reread(f, since)) {
        tick(f, &told, &saved);
        clock_sleep_ms(TICK_MS);
    }
    atomic_store(&f->reread, false);
    end_live(f);
    if (atomic_load(&f->accepted))
        follow_age_accept(f);
}

int follow_run(struct follow *f, struct err *e) {
    int r = 0;
    while (r >= 0 && !stops(f)) {
        struct world *w = NULL;
        r = read_until_done(f, &w, e);
        if (r >= 0) {
            follow_is_well(f);
            live(f, w);
        }
    }
    set_state(f, FOLLOW_STOPPED);
    return r == -ESTOPPED ? 0 : r;
}
