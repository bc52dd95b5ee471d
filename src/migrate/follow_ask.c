/* What others ask of a sync that runs: its state, an approval, to be in step. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "migrate/follow_impl.h"

enum { LOOK_MS = 50 };

void follow_status(struct follow *f, struct follow_status *ret) {
    uint64_t now = clock_now_ms(), heard = atomic_load(&f->heard_ms);
    *ret = (struct follow_status){.carried = atomic_load(&f->carried),
                                  .deleted = atomic_load(&f->deleted),
                                  .unchanged = atomic_load(&f->unchanged),
                                  .relists = atomic_load(&f->relists),
                                  .heard_ms = heard ? now - heard : 0};
    pthread_mutex_lock(&f->lock);
    ret->state = f->state;
    ret->readings = f->readings;
    if (f->q) {
        struct changes_count c;
        changes_count(f->q, &c);
        ret->pending = c.pending;
        ret->failing = c.failing;
        ret->asks = c.asks;
        ret->blocked = c.blocked;
        ret->oldest_ms = c.oldest_ms;
        snprintf(ret->why, sizeof ret->why, "%s", c.why);
    }
    uint64_t broken = f->state == FOLLOW_BROKEN ? atomic_load(&f->broken_ms) : 0;
    if (f->behind_ms)
        ret->oldest_ms = MAX(ret->oldest_ms, now - f->behind_ms);
    if (broken && broken < now) /* what is not heard may have waited since then */
        ret->oldest_ms = MAX(ret->oldest_ms, now - broken);
    for (size_t i = 0; i < f->n_watch; i++)
        ret->watches += atomic_load(&f->watch[i].open);
    if (atomic_load(&f->restored))
        snprintf(ret->why, sizeof ret->why, "%s", f->restored_why);
    else if (f->state == FOLLOW_BROKEN &&
             !(f->log && follow_log_broken(f->log, ret->why, sizeof ret->why)))
        snprintf(ret->why, sizeof ret->why, "%s", err_msg(&f->broken));
    pthread_mutex_unlock(&f->lock);
}

static bool matches(void *ctx, const struct pending *p) {
    const char *what = ctx;
    return str_eq(what, "deletes") || str_eq(what, p->ref) || str_eq(what, p->kind->src->kind) ||
           str_eq(what, p->kind->src->plural);
}

static void reset_guard(struct follow *f, const char *what) {
    char now[24];
    struct err e = {0};
    const struct kind *k = NULL;
    for (size_t i = 0; f->w && i < world_kinds(f->w, &(const struct kind *){NULL}); i++)
        if (str_eq(what, world_kind_at(f->w, i)->src->kind) ||
            str_eq(what, world_kind_at(f->w, i)->src->plural))
            k = world_kind_at(f->w, i);
    if (k)
        follow_guard_reset(f->guard, k->src->group, k->src->kind);
    if (!str_eq(what, "deletes"))
        return;
    follow_guard_reset(f->guard, NULL, NULL);
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
    if (journal_set(f->o.world.journal, "follow.approved", now, &e) < 0)
        log_debug("%s", err_msg(&e));
}

/* It is read then, and what lacks in it is under the guard. */
static int approve_restore(struct follow *f, struct err *e) {
    if (!atomic_load(&f->restored))
        return err_set(e, -ENOENT, "the source has not gone back to an older state");
    atomic_store(&f->accepted, true);
    return 1;
}

int follow_approve(struct follow *f, const char *what, struct err *e) {
    if (str_eq(what, "restore"))
        return approve_restore(f, e);
    pthread_mutex_lock(&f->lock);
    size_t n = f->q ? changes_approve(f->q, matches, (void *)(uintptr_t)what) : 0;
    if (n)
        reset_guard(f, what);
    pthread_mutex_unlock(&f->lock);
    return n ? (int)n : err_set(e, -ENOENT, "nothing waits for an approval of \"%s\"", what);
}

void follow_each_held(struct follow *f, size_t n,
                      void (*fn)(void *ctx, const char *ref, bool asks, const char *why),
                      void *ctx) {
    pthread_mutex_lock(&f->lock);
    if (f->q)
        changes_each_held(f->q, n, fn, ctx);
    pthread_mutex_unlock(&f->lock);
}

static int not_in_step(const struct follow_status *st, int code, struct err *e) {
    return err_set(e, code,
                   "the destination is not in step: %llu changes pending, %llu deletes ask, %llu "
                   "objects blocked%s%s",
                   (unsigned long long)st->pending, (unsigned long long)st->asks,
                   (unsigned long long)st->blocked, *st->why ? ": " : "", st->why);
}

/* Those after which one more has begun after this call: one that is under way does not count. */
static uint64_t readings_begun(struct follow *f) {
    pthread_mutex_lock(&f->lock);
    uint64_t n = f->readings + !f->q;
    pthread_mutex_unlock(&f->lock);
    return n;
}

int follow_drain(struct follow *f, uint64_t max_ms, struct http_cancel *cancel, struct err *e) {
    uint64_t end = clock_now_ms() + max_ms, begun = readings_begun(f);
    struct follow_status st;
    follow_status(f, &st);
    follow_reread(f, 0);
    while (clock_now_ms() < end) {
        follow_status(f, &st);
        bool fresh = st.readings > begun;
        bool waits = atomic_load(&f->restored);
        bool settled =
            fresh && (!st.pending || waits) && (st.state == FOLLOW_LIVE || st.state == FOLLOW_ASKS);
        if (settled)
            return st.asks || st.blocked || st.state == FOLLOW_ASKS ? not_in_step(&st, -EBUSY, e)
                                                                    : 0;
        if (st.state == FOLLOW_STOPPED || (cancel && atomic_load(&cancel->stop)))
            return err_set(e, -ESTOPPED, "stopped before both were equal");
        if (!fresh)
            follow_reread(f, 0);
        clock_sleep_ms(LOOK_MS);
    }
    return not_in_step(&st, -ETIMEDOUT, e);
}
