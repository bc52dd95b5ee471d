#include "run/run.h"

#include <errno.h>

#include "base/log.h"
#include "run/switch.h"

/* --- the table --- */

static const struct sm_state states[RUN_STAGES] = {
    [RUN_BEGIN] = {"begin", "the run has a number; nothing was examined or written"},
    [RUN_PREFLIGHT] = {"preflight", "both clusters were examined and nothing blocks"},
    [RUN_MIGRATE] = {"migrate", "everything was recreated in the destination, what acts by itself "
                                "is held there"},
    [RUN_FOLLOW] = {"follow", "the destination has caught up with the source; changes are carried "
                              "as they come while `upgrade` runs"},
    [RUN_TEST] = {"test", "the configured checks have passed through pre-live"},
    [RUN_ACTIVATE] = {"activate", "what acts by itself acts in the destination, and no longer in "
                                  "the source"},
    [RUN_SWITCH] = {"switch", "all live traffic is on the destination, pre-live leads to the "
                              "source"},
    [RUN_BAKE] = {"bake", "the destination has carried the traffic for the configured time within "
                          "the limits of the probes"},
    [RUN_RETIRE] = {"retire", "the source was let go; the run has ended"},
    [RUN_UNMIGRATED] = {"unmigrated", "what the run wrote was taken back; the run has ended"},
};

#define WHOLE "the migration is whole"
#define NEAR  "the destination keeps up"
#define MOVED "all live traffic is on the destination"
#define AWAY  "no live traffic is on the destination"

#define BACK_WHY  "the way back: the traffic, then the singletons, go to the source again"
#define CLEAN_WHY "deletes in the destination what the run has made and changes back the rest"

static const struct sm_move moves[] = {
    {RUN_BEGIN, RUN_PREFLIGHT, "examine", NULL, NULL, "only reads; there is nothing to undo"},
    {RUN_PREFLIGHT, RUN_MIGRATE, "migrate", NULL, "unmigrate", "writes to the destination only"},
    {RUN_MIGRATE, RUN_FOLLOW, "follow", WHOLE, "switch-back", "live sync begins and catches up"},
    {RUN_FOLLOW, RUN_TEST, "test", NULL, "switch-back", "sends requests through pre-live"},
    {RUN_TEST, RUN_ACTIVATE, "activate", WHOLE, "switch-back", "hands the singletons over"},
    {RUN_ACTIVATE, RUN_SWITCH, "cutover", NEAR, "switch-back", "moves the traffic, step by step"},
    {RUN_SWITCH, RUN_BAKE, "bake", MOVED, "switch-back", "waits and watches the probes"},
    {RUN_BAKE, RUN_RETIRE, "retire", MOVED, NULL,
     "from here on nobody keeps the source ready: there is no way back"},

    /* The single commands leave stages out. */
    {RUN_BEGIN, RUN_MIGRATE, "migrate", NULL, "unmigrate", "without asking doctor first"},
    {RUN_MIGRATE, RUN_ACTIVATE, "activate", WHOLE, "switch-back", "without live sync and checks"},
    {RUN_FOLLOW, RUN_ACTIVATE, "activate", WHOLE, "switch-back", "without the checks"},
    {RUN_MIGRATE, RUN_SWITCH, "cutover", WHOLE, "switch-back", "the singletons stay behind"},
    {RUN_FOLLOW, RUN_SWITCH, "cutover", NEAR, "switch-back", "the singletons stay behind"},
    {RUN_TEST, RUN_SWITCH, "cutover", NEAR, "switch-back", "the singletons stay behind"},
    {RUN_SWITCH, RUN_RETIRE, "retire", MOVED, NULL, "without waiting; there is no way back"},

    {RUN_MIGRATE, RUN_RETIRE, "retire", MOVED, NULL,
     "the traffic was moved by other means; there is no way back"},
    {RUN_ACTIVATE, RUN_RETIRE, "retire", MOVED, NULL,
     "the traffic was moved by other means; there is no way back"},

    {RUN_FOLLOW, RUN_MIGRATE, "switch-back", NULL, "follow", "live sync ends"},
    {RUN_TEST, RUN_MIGRATE, "switch-back", NULL, "follow", "live sync ends"},
    {RUN_ACTIVATE, RUN_MIGRATE, "switch-back", NULL, "activate", BACK_WHY},
    {RUN_SWITCH, RUN_MIGRATE, "switch-back", NULL, "cutover", BACK_WHY},
    {RUN_BAKE, RUN_MIGRATE, "switch-back", NULL, "cutover", BACK_WHY},
    {RUN_SWITCH, RUN_ACTIVATE, "traffic-back", NULL, "cutover", "the singletons stay over there"},
    {RUN_BAKE, RUN_ACTIVATE, "traffic-back", NULL, "cutover", "the singletons stay over there"},

    {RUN_BEGIN, RUN_UNMIGRATED, "unmigrate", NULL, NULL, "ends a run that has written nothing"},
    {RUN_PREFLIGHT, RUN_UNMIGRATED, "unmigrate", NULL, NULL, "ends a run before it was whole"},
    {RUN_MIGRATE, RUN_UNMIGRATED, "unmigrate", AWAY, NULL, CLEAN_WHY},
    {RUN_FOLLOW, RUN_UNMIGRATED, "unmigrate", AWAY, NULL, CLEAN_WHY},
    {RUN_TEST, RUN_UNMIGRATED, "unmigrate", AWAY, NULL, CLEAN_WHY},
};

const struct sm_table run_table = {"run", states, RUN_STAGES, moves, COUNT_OF(moves)};

const char *run_stage_name(int stage) {
    MUST(stage >= 0 && stage < RUN_STAGES);
    return states[stage].name;
}

int run_stage_of(const char *name, struct err *e) {
    const char *names[RUN_STAGES];
    size_t n = 0;
    for (int i = RUN_PREFLIGHT; i <= RUN_RETIRE; i++) {
        if (str_eq(states[i].name, name))
            return i;
        names[n++] = states[i].name;
    }
    const char *near = str_nearest(name, names, n);
    return err_set(e, -EUSAGE,
                   "\"%s\" is no stage%s%s%s; they are preflight, migrate, follow, test, activate, "
                   "switch, bake, retire",
                   name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* --- where it stands --- */

static int moves_of(struct session *s, struct journal_move **ret, size_t *n, struct err *e) {
    *ret = NULL;
    *n = 0;
    return s->journal && s->run_open ? journal_moves(s->journal, s->a, s->run.id, ret, n, e) : 0;
}

int run_stage(struct session *s, struct err *e) {
    struct journal_move *v;
    size_t n;
    int stage = RUN_BEGIN, r = moves_of(s, &v, &n, e);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (!str_eq(v[i].state, "done"))
            continue;
        stage = sm_find(&run_table, v[i].to);
        if (stage < 0)
            return err_set(e, -EBADMSG,
                           "move %lld of the journal leads to a stage \"%s\" that "
                           "this tandem does not know",
                           (long long)v[i].id, v[i].to);
    }
    return r < 0 ? r : stage;
}

int run_under_way(struct session *s, struct journal_move *ret, struct err *e) {
    struct journal_move *v;
    size_t n;
    int r = moves_of(s, &v, &n, e), found = 0;
    for (size_t i = 0; r >= 0 && i < n; i++)
        if (str_eq(v[i].state, "intent")) {
            *ret = v[i];
            found = 1;
        }
    return r < 0 ? r : found;
}

/* --- guards --- */

static int guard_whole(struct session *s, const struct run_facts *f UNUSED, struct err *e) {
    return session_stage_done(s, "migrate", MIGRATE_ALL)
               ? 0
               : err_set(e, -EGUARD,
                         "the migration of this run has not ended well: `tandem "
                         "migrate` first");
}

static int guard_near(struct session *s, const struct run_facts *f, struct err *e) {
    const struct following_status *st = f ? f->follow : NULL;
    if (!st)
        return guard_whole(s, f, e);
    if (st->state == FOLLOWING_ASKS)
        return err_set(e, -EGUARD, "live sync waits for a person: %s", st->why);
    if (st->state != FOLLOWING_LIVE)
        return err_set(e, -EGUARD, "live sync is %s%s%s", following_state_name(st->state),
                       *st->why ? ": " : "", st->why);
    if (st->oldest_ms > s->cfg->max_lag_ms)
        return err_set(e, -EGUARD,
                       "a change of %c waits for %llu ms to be carried (%llu of them, %llu "
                       "refused); follow.maxLag is %llu ms",
                       s->source, (unsigned long long)st->oldest_ms,
                       (unsigned long long)st->pending, (unsigned long long)st->failing,
                       (unsigned long long)s->cfg->max_lag_ms);
    return 0;
}

static int percent_is(struct session *s, int want, struct err *e) {
    int percent = s->n_tiers ? switch_observe(s, e) : want;
    if (percent < -1)
        return percent;
    return percent == want ? 0
                           : err_set(e, -EGUARD, "%d %% of the live traffic are on %c", percent,
                                     s->destination);
}

static int guard_moved(struct session *s, const struct run_facts *f UNUSED, struct err *e) {
    return percent_is(s, 100, e);
}

static int guard_away(struct session *s, const struct run_facts *f UNUSED, struct err *e) {
    return percent_is(s, 0, e);
}

static const struct {
    const char *name;
    int (*holds)(struct session *s, const struct run_facts *f, struct err *e);
} guards[] = {{WHOLE, guard_whole}, {NEAR, guard_near}, {MOVED, guard_moved}, {AWAY, guard_away}};

struct guard_ctx {
    struct session *s;
    const struct run_facts *f;
};

static int ask_guard(void *ctx, const char *name, struct err *e) {
    const struct guard_ctx *g = ctx;
    for (size_t i = 0; i < COUNT_OF(guards); i++)
        if (str_eq(guards[i].name, name))
            return guards[i].holds(g->s, g->f, e);
    bug(__FILE__, __LINE__, name); /* a row of moves[] names a guard that there is not */
}

int run_may(struct session *s, const struct run_facts *f, int to, struct err *e) {
    struct guard_ctx g = {s, f};
    int stage = run_stage(s, e);
    struct sm m = {&run_table, stage, ask_guard, &g};
    return stage < 0 ? stage : sm_may(&m, to, e);
}

/* --- moving --- */

static void tell_event(struct session *s, int from, int to, const char *state, const char *detail) {
    AUTO_SB what = SB_INIT(128);
    sb_fmt(&what, "stage %s -> %s: %s", run_stage_name(from), run_stage_name(to), state);
    session_event(s, sb_get(&what), detail);
}

static int intend(struct session *s, int from, int to, const char *reason, int64_t *ret_id,
                  struct err *e) {
    const struct sm_move *row = sm_row(&run_table, from, to);
    struct journal_move m = {.from = run_stage_name(from),
                             .to = run_stage_name(to),
                             .name = row->name,
                             .actor = s->actor,
                             .reason = reason};
    return journal_move_begin(s->journal, s->run.id, &m, ret_id, e);
}

/* Going back never waits for the journal; going on does, since resume could not know. */
int run_move(struct session *s, const struct run_facts *f, int to, const char *reason,
             int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e) {
    int64_t id = 0;
    struct err je = {0};
    int from = run_stage(s, e), r = from < 0 ? from : run_may(s, f, to, e);
    if (r < 0)
        return r;
    int began = s->recording ? intend(s, from, to, reason, &id, &je) : -EROFS;
    if (began < 0 && to > from)
        return err_set(e, began, "the move to %s cannot be recorded and is not made: %s",
                       run_stage_name(to), err_msg(&je));
    r = fn(ctx, e);
    int ended = began < 0 ? 0
                          : journal_move_end(s->journal, id, r < 0 ? "failed" : "done",
                                             r < 0 ? err_msg(e) : NULL, &je);
    if (ended < 0 && r >= 0 && to > from)
        return err_set(e, ended, "stage %s is done, and that cannot be recorded: %s",
                       run_stage_name(to), err_msg(&je));
    if (ended < 0)
        log_warn("not recorded in the journal: %s", err_msg(&je));
    tell_event(s, from, to, r < 0 ? "failed" : "done", r < 0 ? err_msg(e) : reason);
    return r;
}

static int record(struct session *s, int from, int to, const char *reason, struct err *e) {
    int64_t id;
    int r = intend(s, from, to, reason, &id, e);
    if (r >= 0)
        r = journal_move_end(s->journal, id, "done", NULL, e);
    if (r >= 0)
        tell_event(s, from, to, "done", reason);
    return r;
}

void run_note_end(struct session *s, int to, const char *reason) {
    struct err e = {0};
    if (s->walking || !s->recording || !s->run_open)
        return;
    int from = run_stage(s, &e), r = from;
    if (r >= 0 && sm_row(&run_table, from, to))
        r = record(s, from, to, reason, &e);
    if (r < 0)
        log_warn("the stage is not recorded in the journal: %s", err_msg(&e));
}

/* --- settling --- */

static struct run_seen look_at_steps(struct session *s) {
    return (struct run_seen){
        .migrated = session_stage_done(s, "migrate", MIGRATE_ALL),
        .activated = session_stage_done(s, "activate", NULL),
        .switched = session_stage_done(s, "switch", SWITCH_LAST),
        .retired = session_stage_done(s, "retire", NULL),
        .percent = -1,
    };
}

void run_look(struct session *s, struct run_seen *ret) {
    *ret = look_at_steps(s);
    if (s->n_tiers)
        ret->percent = MAX(switch_observe(s, NULL), -1);
}

static bool is_switched(const struct run_seen *seen) {
    return seen->switched && (seen->percent == 100 || seen->percent < 0);
}

/* Did what this move was to do come to pass, although nobody was left to say so? What only looks or
 * waits is done again. */
static bool came_to_pass(int from, int to, const struct run_seen *seen) {
    switch (to) {
    case RUN_MIGRATE: return from < to ? seen->migrated : !seen->activated && seen->percent == 0;
    case RUN_ACTIVATE: return from < to ? seen->activated : seen->percent == 0;
    case RUN_SWITCH: return is_switched(seen);
    default: return false;
    }
}

static int end_open_moves(struct session *s, const struct run_seen *seen, struct err *e) {
    struct journal_move *v;
    size_t n;
    int r = moves_of(s, &v, &n, e);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (!str_eq(v[i].state, "intent"))
            continue;
        int from = sm_find(&run_table, v[i].from), to = sm_find(&run_table, v[i].to);
        bool done = from >= 0 && to >= 0 && came_to_pass(from, to, seen);
        r = journal_move_end(s->journal, v[i].id, done ? "done" : "failed",
                             done ? "its process ended before it was recorded; seen to be done"
                                  : "its process ended",
                             e);
        if (r >= 0 && from >= 0 && to >= 0)
            tell_event(s, from, to, done ? "done" : "failed", "interrupted; settled by looking");
    }
    return r;
}

/* Where the stage should be, one move at a time; the same stage when all agrees. */
static int correction(int stage, const struct run_seen *seen) {
    if (seen->retired && sm_row(&run_table, stage, RUN_RETIRE))
        return RUN_RETIRE;
    switch (stage) {
    case RUN_BEGIN:
    case RUN_PREFLIGHT: return seen->migrated ? RUN_MIGRATE : stage;
    case RUN_MIGRATE:
    case RUN_FOLLOW:
    case RUN_TEST: return is_switched(seen) ? RUN_SWITCH : seen->activated ? RUN_ACTIVATE : stage;
    case RUN_ACTIVATE:
        return is_switched(seen) ? RUN_SWITCH : seen->activated ? stage : RUN_MIGRATE;
    case RUN_SWITCH:
    case RUN_BAKE: return is_switched(seen) ? stage : seen->activated ? RUN_ACTIVATE : RUN_MIGRATE;
    default: return stage;
    }
}

static int correct(struct session *s, const struct run_seen *seen, const char *reason,
                   struct err *e) {
    int stage = run_stage(s, e);
    for (int i = 0; stage >= 0 && i < RUN_STAGES; i++) {
        int to = correction(stage, seen);
        if (to == stage)
            break;
        int r = record(s, stage, to, reason, e);
        stage = r < 0 ? r : to;
    }
    return stage;
}

int run_settle(struct session *s, const struct run_seen *seen, struct err *e) {
    int r = end_open_moves(s, seen, e);
    return r < 0 ? r : correct(s, seen, "seen", e);
}

void run_note(struct session *s, const char *reason) {
    struct err e = {0};
    if (s->walking || !s->recording || !s->run_open)
        return;
    struct run_seen seen = look_at_steps(s);
    if (correct(s, &seen, reason, &e) < 0)
        log_warn("the stage is not recorded in the journal: %s", err_msg(&e));
}

void run_hint(struct session *s) {
    struct journal_move m;
    if (s->recording && run_under_way(s, &m, NULL) > 0)
        log_warn("an upgrade was interrupted on its way from %s to %s: `tandem resume` goes on",
                 m.from, m.to);
}
