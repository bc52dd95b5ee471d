#include "run/upgrade.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/abort.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/stages.h"
#include "run/switch.h"
#include "run/trail.h"
#include "run/upgrade_impl.h"

/* SURE_MS: for a Lease that has run out, because an API server does not answer. */
enum { TICK_MS = 100, PROBE_MS = 1000, RECHECK_MS = 10000, DRAIN_MS = 30000, SURE_MS = 60000 };
#define FACT_UNTIL "upgrade.until"

/* --- waiting --- */

static enum asked asked(struct upgrade *u, struct err *e) {
    pthread_mutex_lock(&u->lock);
    enum asked what = u->asked;
    if (what)
        err_set(e, -ESTOPPED, "%s has asked for it%s%s", u->asked_by, *u->asked_why ? ": " : "",
                u->asked_why);
    pthread_mutex_unlock(&u->lock);
    return what;
}

/* Another process may have taken over while this one was stopped, or its machine slept: then
 * nothing more is done here. */
static int still_ours(struct upgrade *u, struct err *e) {
    struct session *s = u->s;
    int r = session_holds_still(s, 0, e);
    int now = r >= 0 && s->n_tiers && u->percent >= 0 ? switch_observe(s, NULL) : -1;
    return r < 0 || now < 0 || now == u->percent
               ? r
               : err_set(e, -EGUARD,
                         "the traffic was moved by somebody else: %d %% go to %c now, not %d %%; "
                         "nothing more is done here",
                         now, s->destination, u->percent);
}

int upgrade_pulse(struct upgrade *u, struct err *e) {
    uint64_t now = clock_now_ms();
    if (asked(u, e))
        return -ESTOPPED;
    if (atomic_load(&u->s->cancel.stop))
        return err_set(e, -ESTOPPED, "stopped; `tandem resume` goes on");
    if (now < u->next_check_ms)
        return 0;
    u->next_check_ms = now + PROBE_MS;
    int r = still_ours(u, e);
    /* Nor are the probes of one that was stopped believed, until it is known whether it acts. */
    if (r < 0 || session_in_doubt(u->s))
        return r;
    r = watchers_check(u->w, e);
    u->broken = u->broken || r < 0;
    return r;
}

static bool poked(struct upgrade *u) {
    pthread_mutex_lock(&u->lock);
    bool poke = u->poke;
    u->poke = false;
    pthread_mutex_unlock(&u->lock);
    return poke;
}

int upgrade_wait(struct upgrade *u, uint64_t ms, struct err *e) {
    uint64_t end = clock_now_ms() + ms;
    for (;;) {
        uint64_t now = clock_now_ms();
        int r = upgrade_pulse(u, e);
        if (r < 0 || now >= end || poked(u))
            return r;
        clock_sleep_ms(MIN(end - now, (uint64_t)TICK_MS));
    }
}

void upgrade_waits(struct upgrade *u, int gate, uint64_t left_ms, const char *text) {
    pthread_mutex_lock(&u->lock);
    bool news = text && !str_eq(u->waiting, text);
    u->gate = gate;
    u->left_ms = left_ms;
    snprintf(u->waiting, sizeof u->waiting, "%s", text ? text : "");
    pthread_mutex_unlock(&u->lock);
    if (news && gate >= 0)
        log_info(
            "waits at the gate before %s: %s (`tandem approve` or `abort` from another terminal)",
            run_stage_name(gate), text);
    else if (news)
        log_debug("%s", text);
}

const struct run_facts *upgrade_facts(struct upgrade *u) {
    if (u->f)
        following_status(u->f, &u->follow);
    u->facts.follow = u->f ? &u->follow : NULL;
    return &u->facts;
}

/* --- live sync --- */

int upgrade_follow(struct upgrade *u, struct err *e) {
    struct following *f;
    if (u->f)
        return 0;
    /* From where the users are. */
    struct following_opts fo = {.reverse = u->stage >= RUN_SWITCH};
    int r = following_start(u->s, &fo, &f, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&u->lock);
    u->reverse = fo.reverse;
    u->f = f;
    pthread_mutex_unlock(&u->lock);
    return 0;
}

static void end_drain(struct upgrade *u);

static struct following *take_follow(struct upgrade *u) {
    pthread_mutex_lock(&u->lock);
    struct following *f = TAKE(u->f);
    pthread_mutex_unlock(&u->lock);
    return f;
}

void upgrade_unfollow(struct upgrade *u) {
    end_drain(u);
    following_stop(take_follow(u));
}

/* --- catching up before the traffic moves --- */

struct drain {
    struct following *f;
    pthread_t thread;
    atomic_bool done;
};

static void *drain_run(void *arg) {
    struct drain *d = arg;
    (void)following_drain(d->f, DRAIN_MS, NULL);
    atomic_store(&d->done, true);
    return NULL;
}

static void end_drain(struct upgrade *u) {
    struct drain *d = TAKE(u->drain);
    if (d)
        pthread_join(d->thread, NULL);
    xfree(d);
}

/* Draining hears the source anew and blocks, so a thread of its own does it while this one goes on
 * looking at requests and probes; an abort does not wait for it. Once: that it did not get there is
 * the guard's to say. */
static int drain(struct upgrade *u, struct err *e) {
    int r = 0;
    struct drain *d = u->drain = xcalloc(1, sizeof *d);
    d->f = u->f;
    MUST(pthread_create(&d->thread, NULL, drain_run, d) == 0);
    upgrade_waits(u, -1, 0, "live sync catches up");
    while (r >= 0 && !atomic_load(&d->done))
        r = upgrade_wait(u, TICK_MS, e);
    if (r >= 0)
        end_drain(u);
    return r;
}

/* Live sync may begin to read again at any moment (a watch that was cut, a definition that is new):
 * that is waited for. */
static int wait_while_reading(struct upgrade *u, struct err *e) {
    int r = 0;
    while (r >= 0 && u->f && upgrade_facts(u)->follow->state == FOLLOWING_READING) {
        upgrade_waits(u, -1, 0, "live sync reads both clusters");
        r = upgrade_wait(u, TICK_MS, e);
    }
    return r;
}

static int catch_up(struct upgrade *u, struct err *e) {
    int r = u->f ? drain(u, e) : 0;
    if (r >= 0)
        r = wait_while_reading(u, e);
    upgrade_waits(u, -1, 0, NULL);
    return r;
}

/* --- a gate --- */

static int at_gate(struct upgrade *u, int to, const char *missing, const char *hint,
                   struct err *e) {
    if (!u->o->wait)
        return err_set(e, -EGATE, "waits at the gate before %s: %s. %s`tandem resume` goes on",
                       run_stage_name(to), missing, hint);
    upgrade_waits(u, to, 0, missing);
    return upgrade_wait(u, PROBE_MS, e);
}

/* 1: open. *next: when commands may be run again. */
static int look_at_gate(struct upgrade *u, struct arena *a, int to, uint64_t *next,
                        const char **ret_missing, const char **ret_hint, struct err *e) {
    struct gate g;
    int r = gate_people(u->s, a, to, u->s->actor, &g, e);
    if (r < 0)
        return r;
    if (g.open && clock_now_ms() < *next)
        return 0;
    if (g.open) {
        gate_check_all(u->s, a, to, upgrade_facts(u), u->w, &g);
        *next = clock_now_ms() + RECHECK_MS;
    }
    *ret_missing = gate_missing(a, &g);
    *ret_hint = gate_hint(a, &g);
    return g.open;
}

static int pass_gate(struct upgrade *u, int to, struct err *e) {
    uint64_t next = 0;
    AUTO_SB missing = SB_INIT(2048);
    int r = 0;
    while (r >= 0 && gate_is(u->s, to)) {
        AUTO_ARENA a = arena_new();
        const char *what = NULL, *hint = "";
        r = look_at_gate(u, a, to, &next, &what, &hint, e);
        if (r > 0)
            break;
        if (what) {
            sb_reset(&missing);
            sb_str(&missing, what);
        }
        if (r >= 0)
            r = at_gate(u, to, sb_get(&missing), hint, e);
    }
    upgrade_waits(u, -1, 0, NULL);
    return MIN(r, 0);
}

/* --- a stage --- */

struct work {
    struct upgrade *u;
    int to;
};

static int work(void *ctx, struct err *e) {
    struct work *w = ctx;
    return upgrade_work(w->u, w->to, e);
}

static void set_doing(struct upgrade *u, int doing) {
    pthread_mutex_lock(&u->lock);
    u->doing = doing;
    u->since_ms = clock_wall_ms();
    pthread_mutex_unlock(&u->lock);
}

static void set_stage(struct upgrade *u, int stage) {
    pthread_mutex_lock(&u->lock);
    u->stage = stage;
    pthread_mutex_unlock(&u->lock);
}

/* What the guard has seen here is what it sees when the move is made. */
static int ready(struct upgrade *u, int to, struct err *e) {
    int r = to == RUN_SWITCH ? catch_up(u, e) : 0;
    while (r >= 0) {
        r = run_may(u->s, upgrade_facts(u), to, e);
        if (r >= 0 || to != RUN_SWITCH || !u->f || u->follow.state != FOLLOWING_READING)
            break;
        r = wait_while_reading(u, e);
    }
    return r;
}

static int go_to(struct upgrade *u, int to, struct err *e) {
    const char *name = run_stage_name(to);
    struct work w = {u, to};
    int r = ready(u, to, e);
    if (r >= 0)
        r = session_holds_still(u->s, SURE_MS, e);
    if (r >= 0)
        r = notice(u->s, NOTICE_BEFORE, name, NULL, NULL, e);
    if (r < 0)
        return r;
    log_info("stage %s: %s", name, sm_row(&run_table, u->stage, to)->why);
    set_doing(u, to);
    r = run_move(u->s, &u->facts, to, NULL, work, &w, e);
    set_doing(u, -1);
    if (r >= 0)
        set_stage(u, to);
    /* Hooks of a failure come when it is known what became of the run: say_end(). */
    if (r >= 0)
        (void)notice(u->s, NOTICE_AFTER, name, NULL, NULL, NULL);
    if (r >= 0 && to != RUN_RETIRE)
        record_mirror(u->s);
    return r;
}

/* Nobody is asked to approve what would be refused then. A cluster that cannot be asked now is
 * asked again when it comes to it. */
static int worth_approving(struct upgrade *u, int to, struct err *e) {
    struct err why = {0};
    if (to != RUN_RETIRE || stage_singletons_over(u->s, &why) != -EGUARD)
        return 0;
    if (e)
        *e = why;
    return -EGUARD;
}

static int walk(struct upgrade *u, struct err *e) {
    int r = 0;
    while (r >= 0 && u->stage < u->until) {
        int to = u->heading = MAX(u->stage + 1, u->from);
        r = upgrade_pulse(u, e);
        if (r >= 0)
            r = worth_approving(u, to, e);
        if (r >= 0)
            r = pass_gate(u, to, e);
        if (r >= 0)
            r = go_to(u, to, e);
    }
    return r;
}

/* The source was let go, and the run is open still: whoever did it was killed, or met a full disk,
 * before its end. All of it is done again, which changes nothing that was done. */
static int end_retired(struct upgrade *u, struct err *e) {
    log_info("%c was let go already; what is left is to end the run", u->s->source);
    return upgrade_work(u, RUN_RETIRE, e);
}

/* --- going back --- */

static int go_back(struct upgrade *u, bool automatic, bool traffic_only, struct err *e) {
    struct err why = *e, back = {0};
    struct following *reverse = u->reverse ? take_follow(u) : NULL;
    struct abort_opts o = {.reason = err_msg(&why),
                           .automatic = automatic,
                           .traffic_only = traffic_only,
                           .reverse = reverse ? &reverse : NULL};
    struct abort_result res;
    log_error("%s", err_msg(&why));
    atomic_store(&u->s->cancel.stop, false);
    set_doing(u, traffic_only ? RUN_ACTIVATE : RUN_MIGRATE);
    int r = run_abort(u->s, &o, &res, &back);
    set_doing(u, -1);
    following_stop(reverse);
    upgrade_unfollow(u);
    set_stage(u, res.stage);
    record_mirror(u->s);
    if (r < 0)
        return err_set(e, r, "aborted: %s; BUT %s: %s", err_msg(&why),
                       res.traffic_back ? "not everything went back"
                                        : "the traffic is NOT back on the source",
                       err_msg(&back));
    return err_set(e, -EPROTO,
                   "aborted: %s; %s. The run stands at %s: `tandem resume` tries again, "
                   "`tandem unmigrate` takes the objects back",
                   err_msg(&why),
                   res.needed ? arena_printf(u->s->a, "everything is back on %c", u->s->source)
                              : "nothing had to go back",
                   run_stage_name(res.stage));
}

/* Has the destination traffic? What cannot be told counts as yes once it was moved. */
static bool carries(struct upgrade *u) {
    struct run_seen seen;
    run_look(u->s, &seen);
    return seen.percent > 0 || (seen.percent < 0 && u->stage >= RUN_SWITCH);
}

/* What follows from a failure, before it is reported. */
static int give_way(struct upgrade *u, int r, struct err *e) {
    struct err by = {0};
    enum asked what = asked(u, &by);
    if (what) {
        *e = by;
        return go_back(u, false, what == ASKED_TRAFFIC_BACK, e);
    }
    bool moved = u->broken && carries(u);
    if (moved && switch_leaves(u->s))
        return switch_leave(u->s, run_stage_name(MAX(u->heading, 0)), u->w, e);
    if (moved)
        return go_back(u, true, false, e);
    if (u->broken)
        return err_ctx(e, r, "aborted before any traffic was moved");
    /* A cutover that failed has taken the traffic back by itself. */
    struct run_seen seen;
    run_look(u->s, &seen);
    int stage = run_settle(u->s, &seen, NULL);
    set_stage(u, stage < 0 ? u->stage : stage);
    return r;
}

/* --- beginning and ending --- */

static int approve_ahead(struct upgrade *u, struct err *e) {
    struct session *s = u->s;
    AUTO_ARENA a = arena_new();
    int r = 0;
    for (const char *const *v = u->o->approve; r >= 0 && v && *v; v++) {
        struct gate g = {0};
        int stage = run_stage_of(*v, e);
        r = stage < 0 ? stage : gate_people(s, a, stage, s->actor, &g, e);
        bool there = false;
        for (unsigned i = 0; r >= 0 && i < g.has; i++)
            there = there || str_eq(g.who[i], s->actor);
        if (r >= 0 && stage > u->stage && !gate_needs(s, stage))
            log_warn("--approve %s: nobody has to approve it (gates.before in tandem.yaml)", *v);
        else if (r >= 0 && !there && stage > u->stage)
            r = gate_approve(s, stage, s->actor, "--approve", s->actor, e);
    }
    return r;
}

/* How far it goes: as said, else as a resumed run has recorded it, else to the end. */
static int choose_until(struct upgrade *u, struct err *e) {
    struct session *s = u->s;
    const char *name = u->o->until;
    char *kept = NULL;
    int r = journal_get(s->journal, s->a, FACT_UNTIL, &kept, e);
    if (r < 0)
        return r;
    if (!name && u->o->resume && kept && str_starts(kept, s->run.id))
        name = kept + strlen(s->run.id) + 1;
    u->until = name ? run_stage_of(name, e) : RUN_RETIRE;
    if (u->until < 0)
        return u->until;
    if (u->until >= RUN_SWITCH && !s->n_tiers)
        return err_set(e, -EUSAGE,
                       "no load balancer is configured (traffic.tiers): --until activate is how "
                       "far it can go");
    return journal_set(s->journal, FACT_UNTIL,
                       arena_printf(s->a, "%s %s", s->run.id, run_stage_name(u->until)), e);
}

static int choose_from(struct upgrade *u, struct err *e) {
    if (!u->o->from)
        return 0;
    u->from = run_stage_of(u->o->from, e);
    if (u->from < 0)
        return u->from;
    if (u->from > u->until)
        return err_set(e, -EUSAGE, "--from %s lies behind --until %s", u->o->from,
                       run_stage_name(u->until));
    return run_may(u->s, NULL, u->from, e);
}

static int check_words(const struct upgrade_opts *o, struct err *e) {
    int r = o->from ? run_stage_of(o->from, e) : 0;
    if (r >= 0 && o->until)
        r = run_stage_of(o->until, e);
    for (const char *const *v = o->approve; r >= 0 && v && *v; v++)
        r = run_stage_of(*v, e);
    return r;
}

/* A share that a cutover which was cut short, or `tandem adopt`, has left there. */
static const char *some_there(const struct upgrade *u) {
    return u->stage < RUN_SWITCH && u->percent > 0
               ? arena_printf(u->s->a, "; %d %% of the live traffic goes to %c", u->percent,
                              u->s->destination)
               : "";
}

/* The last that was wanted was to go back. */
static int no_half_way_back(struct session *s, struct err *e) {
    struct trail t;
    char at[CLOCK_RFC3339_MAX];
    int r = trail_read(s, &t, e);
    if (r < 0 || !t.back)
        return r;
    return err_set(e, -EGUARD,
                   "a way back (%s) was begun at %s and has not ended well: `tandem switch-back` "
                   "ends it; then `tandem resume` goes forward again",
                   t.back, clock_rfc3339(t.back_ms, at));
}

static int begin(struct upgrade *u, struct err *e) {
    struct session *s = u->s;
    struct run_seen seen;
    int r = check_words(u->o, e);
    if (r >= 0 && u->o->resume && !s->run_open)
        r = err_set(e, -EGUARD,
                    "no run is open: there is nothing to resume (`tandem upgrade` "
                    "begins one)");
    if (r >= 0)
        r = no_half_way_back(s, e);
    if (r >= 0)
        r = session_begin_run(s, e);
    if (r < 0)
        return r;
    run_look(s, &seen);
    u->percent = seen.percent;
    r = u->stage = run_settle(s, &seen, e);
    if (r >= 0)
        r = choose_until(u, e);
    if (r >= 0)
        r = choose_from(u, e);
    if (r >= 0)
        r = approve_ahead(u, e);
    if (r >= 0 && u->stage > RUN_BEGIN)
        log_info("run %s stands at %s: %s%s", s->run.id, run_stage_name(u->stage),
                 run_table.states[u->stage].why, some_there(u));
    return r;
}

/* Before anybody is told of it, and also where it only waits: on another machine the destination's
 * Lease is all that tells that somebody carries this run out. */
static int hold(struct upgrade *u, struct err *e) {
    return u->stage < u->until ? session_hold(u->s, holding_slot(u->s->destination), e) : 0;
}

/* Live sync, where a run is gone on with: from where the users are. */
static int sync_from_here(struct upgrade *u, struct err *e) {
    if (u->stage < RUN_FOLLOW || u->stage >= u->until)
        return 0;
    if (u->stage >= RUN_SWITCH)
        return upgrade_turn_sync(u, e);
    if (u->percent < 100)
        return upgrade_follow(u, e);
    log_warn("all traffic is on %c: what changed in %c and was not carried by then is not carried "
             "any more, `tandem verify` shows it",
             u->s->destination, u->s->source);
    return 0;
}

static int stand_up(struct upgrade *u, struct err *e) {
    struct watchers *w = NULL;
    int r = holder_listen(u->s, upgrade_answer, u, &u->h, e);
    if (r < 0)
        return err_ctx(e, r, "listening for requests beside the journal");
    r = hold(u, e);
    if (r < 0)
        return r;
    if (u->stage < u->until && u->s->cfg->n_probes)
        r = watchers_start(u->s, &w, e);
    pthread_mutex_lock(&u->lock);
    u->w = w;
    pthread_mutex_unlock(&u->lock);
    if (r >= 0)
        r = sync_from_here(u, e);
    return r;
}

static void take_down(struct upgrade *u) {
    holder_close(u->h);
    upgrade_unfollow(u);
    watchers_stop(u->w);
    pthread_mutex_destroy(&u->lock);
    log_progress_end();
}

/* Who reads the record afterwards wants to know why it stopped, and what was to be seen then. */
static void say_end(struct upgrade *u, bool walked, int r, const struct err *e) {
    struct holder_request rq = {.verb = "status"};
    AUTO_SB seen = SB_INIT(1 << 16);
    if (!u->s->run_open || r == -EUSAGE)
        return;
    if (r < 0)
        session_event(u->s, r == -EGATE ? "upgrade waits" : "upgrade stopped", err_msg(e));
    bool failed = r < 0 && r != -EGATE && r != -ESTOPPED;
    if (!walked || (!failed && u->stage != RUN_RETIRE))
        return;
    (void)upgrade_answer(u, &rq, &seen, NULL);
    (void)notice(u->s, failed ? NOTICE_FAILED : NOTICE_TERMINAL,
                 run_stage_name(failed ? MAX(u->heading, 0) : u->stage),
                 failed ? err_msg(e) : "retired", sb_get(&seen), NULL);
}

int upgrade(struct session *s, const struct upgrade_opts *o, struct upgrade_result *ret,
            struct err *e) {
    struct err own = {0};
    struct upgrade u = {.s = s, .o = o, .from = -1, .doing = -1, .gate = -1, .percent = -1};
    e = e ? e : &own;
    pthread_mutex_init(&u.lock, NULL);
    s->walking = true;
    int r = begin(&u, e);
    if (r >= 0)
        r = stand_up(&u, e);
    bool walked = r >= 0;
    if (walked)
        r = u.stage == RUN_RETIRE ? end_retired(&u, e) : walk(&u, e);
    if (walked && r < 0)
        r = give_way(&u, r, e);
    say_end(&u, walked, r, e);
    take_down(&u);
    s->walking = false;
    *ret = (struct upgrade_result){MAX(u.stage, 0), u.stage == RUN_RETIRE};
    return MIN(r, 0);
}
