/* What `upgrade` does at each stage. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "migrate/dryrun.h"
#include "run/probing.h"
#include "run/switch.h"
#include "run/upgrade_impl.h"

/* FAILING_MS: as long as a refusal may be a passing one. EVENT_MS: longer than an event takes to
 * come from a server that works. REST_MS: after that what is not carried is given up. */
enum { LOOK_MS = 200, SAY_MS = 15000, FAILING_MS = 60000, EVENT_MS = 300, REST_MS = 15000 };

/* --- preflight --- */

static int work_preflight(struct upgrade *u, struct err *e) {
    struct doctor_report report;
    unsigned needs = u->s->needs;
    u->s->needs |= TOLERATE_DENIED; /* a missing right is a finding */
    int r = doctor_examine(u->s, NULL, &report, e);
    u->s->needs = needs;
    if (r < 0)
        return r;
    if (u->o->show.examined)
        u->o->show.examined(u->o->show.ctx, &report);
    return report.count[SEV_BLOCKER]
               ? err_set(e, -EGUARD, "%zu findings block the upgrade: `tandem doctor` lists them",
                         report.count[SEV_BLOCKER])
               : 0;
}

/* --- migrate --- */

static void written(void *ctx, size_t done, size_t failed, size_t total, const char *wave) {
    struct upgrade *u = ctx;
    log_progress("%zu of %zu written, %zu failed (%s)", done, MAX(total, done), failed,
                 wave ? wave : "");
    pthread_mutex_lock(&u->lock);
    snprintf(u->waiting, sizeof u->waiting, "%zu of %zu objects written, %zu failed", done,
             MAX(total, done), failed);
    pthread_mutex_unlock(&u->lock);
}

static int decide(struct upgrade *u, struct world *w, struct err *e) {
    const struct upgrade_show *show = &u->o->show;
    unclassified_decide(w, u->o->unclassified);
    size_t n = unclassified_count(w);
    if (!n)
        return 0;
    if (show->undecided)
        show->undecided(show->ctx, w);
    return err_set(e, -EGUARD,
                   "%zu workloads look as if they act by themselves and nobody has decided "
                   "(listed above; --unclassified=hold|run, or a rule): nothing was written",
                   n);
}

static int carry_out(struct upgrade *u, struct world *w, struct err *e) {
    const struct upgrade_show *show = &u->o->show;
    struct migrate_opts mo = {.settle_ms = u->o->settle_ms, .progress = written, .progress_ctx = u};
    struct migrate_result res;
    struct dryrun d = {0};
    int r = dryrun_world(w, DRYRUN_DOUBT, &d, e);
    dryrun_done(&d);
    if (r < 0)
        return r;
    r = stage_migrate(u->s, w, &mo, &res, e);
    log_progress_end();
    if (show->migrated)
        show->migrated(show->ctx, u->s, w, &res);
    return r;
}

static int work_migrate(struct upgrade *u, struct err *e) {
    struct world *w;
    probing_sweep(u->s);
    int r = session_world(u->s, u->o->show.reading, u->o->show.ctx, &w, e);
    log_progress_end();
    if (r < 0)
        return r;
    r = decide(u, w, e);
    if (r >= 0)
        r = carry_out(u, w, e);
    world_free(w);
    upgrade_waits(u, -1, 0, NULL);
    return r;
}

/* --- follow --- */

static const char *follow_text(struct arena *a, const struct following_status *st) {
    return arena_printf(a, "live sync is %s%s%s; %llu changes to carry, %llu of them refused",
                        following_state_name(st->state), *st->why ? ": " : "", st->why,
                        (unsigned long long)st->pending, (unsigned long long)st->failing);
}

/* 1: it has caught up; negative when waiting longer is of no use. */
/* 1: it has. A source that never stands still always has something on its way: then all that was
 * waiting when live sync began has to be through, and the rest within the limit. */
static int judge_follow(struct upgrade *u, const struct following_status *st, uint64_t *live_ms,
                        struct err *e) {
    uint64_t now = clock_now_ms();
    if (st->state != FOLLOWING_LIVE)
        *live_ms = 0;
    else if (!*live_ms)
        *live_ms = now;
    bool newer = *live_ms && st->oldest_ms + EVENT_MS < now - *live_ms &&
                 st->oldest_ms <= u->s->cfg->max_lag_ms;
    if (st->state == FOLLOWING_LIVE && (!st->pending || newer))
        return 1;
    if (st->state == FOLLOWING_STOPPED)
        return err_set(e, -EIO, "live sync has ended by itself%s%s", *st->why ? ": " : "", st->why);
    if (st->state == FOLLOWING_ASKS && !u->o->wait)
        return err_set(e, -EGATE, "live sync waits for a person: %s", st->why);
    if (st->failing && st->failing == st->pending && st->oldest_ms > FAILING_MS)
        return err_set(
            e, -EREMOTEIO,
            "%c refuses %llu changes of %c: `tandem plan` and `tandem verify` show which",
            u->s->destination, (unsigned long long)st->failing, u->s->source);
    return 0;
}

/* Until it has caught up once. A cluster that does not answer is waited for. */
static int work_follow(struct upgrade *u, struct err *e) {
    uint64_t said = clock_now_ms(), live_ms = 0;
    int r = upgrade_follow(u, e);
    while (r >= 0) {
        AUTO_ARENA a = arena_new();
        const struct following_status *st = upgrade_facts(u)->follow;
        const char *text = follow_text(a, st);
        r = judge_follow(u, st, &live_ms, e);
        if (r != 0)
            break;
        upgrade_waits(u, -1, 0, text);
        if (clock_now_ms() - said > SAY_MS) {
            log_info("%s", text);
            said = clock_now_ms();
        }
        r = upgrade_wait(u, LOOK_MS, e);
    }
    upgrade_waits(u, -1, 0, NULL);
    return MIN(r, 0);
}

/* --- test --- */

static int work_test(struct upgrade *u, struct err *e) {
    const struct upgrade_show *show = &u->o->show;
    struct smoke_result *v;
    size_t n;
    if (!u->s->cfg->n_smokes) {
        log_warn("no checks are configured (`smoke`): nothing of %c was tried", u->s->destination);
        return 0;
    }
    int failed = smoke_run(u->s, &v, &n, e);
    if (failed < 0)
        return failed;
    if (show->tested)
        show->tested(show->ctx, v, n);
    return failed ? err_set(e, -EREMOTEIO,
                            "%d of %zu checks failed: `tandem smoke` runs them "
                            "again",
                            failed, n)
                  : 0;
}

/* --- activate --- */

static int work_activate(struct upgrade *u, struct err *e) {
    struct handover_item *items = NULL;
    int r = stage_handover(u->s, false, false, &items, e);
    if (items && u->o->show.handed)
        u->o->show.handed(u->o->show.ctx, items);
    return r > 0 ? -EREMOTEIO : r;
}

/* --- switch --- */

static void watch(void *ctx, struct session *s, int percent, uint64_t left_ms,
                  const struct probe_stats *p) {
    struct upgrade *u = ctx;
    char t[CLOCK_RFC3339_MAX];
    if (u->percent != percent)
        log_info("%3d %% of the live traffic goes to %c", percent, s->destination);
    pthread_mutex_lock(&u->lock);
    u->percent = percent;
    u->left_ms = left_ms;
    pthread_mutex_unlock(&u->lock);
    log_progress("%d %% on %c, %s left; probe: %llu ok, %llu lost", percent, s->destination,
                 clock_human(left_ms, t), (unsigned long long)(p ? p->ok : 0),
                 (unsigned long long)(p ? p->lost : 0));
}

static int work_switch(struct upgrade *u, struct err *e) {
    const struct config *cfg = u->s->cfg;
    struct switch_opts so = {.steps = cfg->steps,
                             .n_steps = cfg->n_steps,
                             .hold_ms = cfg->hold_ms,
                             .no_probe = !u->w,
                             .watchers = u->w,
                             .watch = watch,
                             .ctx = u};
    int r = switch_cutover(u->s, &so, e);
    log_progress_end();
    upgrade_waits(u, -1, 0, NULL);
    return r;
}

/* --- bake --- */

/* Counted from when the traffic was there, however often the process was stopped meanwhile. */
static int switched_at(struct session *s, int64_t *ret, struct err *e) {
    struct journal_move *v;
    size_t n;
    int r = journal_moves(s->journal, s->a, s->run.id, &v, &n, e);
    *ret = clock_wall_ms();
    for (size_t i = 0; r >= 0 && i < n; i++)
        if (str_eq(v[i].to, run_stage_name(RUN_SWITCH)) && str_eq(v[i].state, "done"))
            *ret = v[i].ended_ms;
    return r;
}

/* What came to the source until the traffic had moved is carried before sync turns. Not by reading
 * both again, which would make anew what users have deleted where they are by now: everything that
 * is older than this wait, less the time that an event takes, has to be through. */
static int carry_the_rest(struct upgrade *u, struct err *e) {
    uint64_t begun = clock_now_ms(), age;
    const struct following_status *st;
    int r = 0;
    bool behind = true;
    upgrade_waits(u, -1, 0, "the last changes of the source are carried");
    do {
        r = upgrade_wait(u, EVENT_MS, e);
        st = upgrade_facts(u)->follow;
        age = clock_now_ms() - begun;
        behind = st->state == FOLLOWING_READING || (st->pending && st->oldest_ms + EVENT_MS >= age);
    } while (r >= 0 && behind && age < REST_MS);
    upgrade_waits(u, -1, 0, NULL);
    if (r >= 0 && (behind || st->asks || st->blocked || st->failing))
        log_warn("not every change of %c is carried, and none will be any more: %llu pending, %llu "
                 "ask, %llu blocked. `tandem verify` shows them",
                 u->s->source, (unsigned long long)st->pending, (unsigned long long)st->asks,
                 (unsigned long long)st->blocked);
    return r;
}

int upgrade_turn_sync(struct upgrade *u, struct err *e) {
    struct err why = {0};
    int r = 0;
    if (u->f && !u->reverse) {
        r = carry_the_rest(u, e);
        upgrade_unfollow(u);
    }
    if (r >= 0 && upgrade_follow(u, &why) < 0)
        log_warn("changes of %c are not carried back to %c: %s", u->s->destination, u->s->source,
                 err_msg(&why));
    return r;
}

static int work_bake(struct upgrade *u, struct err *e) {
    int64_t from = 0, now;
    char t[CLOCK_RFC3339_MAX];
    int r = upgrade_turn_sync(u, e);
    if (r >= 0)
        r = switched_at(u->s, &from, e);
    int64_t end = from + (int64_t)u->s->cfg->bake_ms;
    while (r >= 0 && (now = clock_wall_ms()) < end) {
        uint64_t left = (uint64_t)(end - now);
        upgrade_waits(u, -1, left, "the destination carries the traffic and is watched");
        log_progress("watching %c for another %s", u->s->destination, clock_human(left, t));
        r = upgrade_wait(u, MIN(left, (uint64_t)1000), e);
    }
    log_progress_end();
    upgrade_waits(u, -1, 0, NULL);
    return r;
}

/* --- retire --- */

static int work_retire(struct upgrade *u, struct err *e) {
    upgrade_unfollow(u);
    return stage_retire(u->s, e);
}

static int (*const works[RUN_STAGES])(struct upgrade *u, struct err *e) = {
    [RUN_PREFLIGHT] = work_preflight, [RUN_MIGRATE] = work_migrate,   [RUN_FOLLOW] = work_follow,
    [RUN_TEST] = work_test,           [RUN_ACTIVATE] = work_activate, [RUN_SWITCH] = work_switch,
    [RUN_BAKE] = work_bake,           [RUN_RETIRE] = work_retire,
};

/* Does it wait for an API server that restarts? Live sync does so by itself, and moving traffic
 * needs none. */
static const bool patient[RUN_STAGES] = {
    [RUN_PREFLIGHT] = true, [RUN_MIGRATE] = true, [RUN_ACTIVATE] = true, [RUN_RETIRE] = true};

int upgrade_work(struct upgrade *u, int to, struct err *e) {
    MUST(works[to]);
    if (patient[to])
        session_patience(u->s, true);
    int r = works[to](u, e);
    if (patient[to])
        session_patience(u->s, false);
    return r;
}
