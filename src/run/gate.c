#include "run/gate.h"

#include <errno.h>

#include "base/proc.h"

enum { CHECK_MS = 5 * 60 * 1000, NOTE_MAX = 200 };

static bool has_check(const struct session *s, const char *stage) {
    for (size_t i = 0; i < s->cfg->n_checks; i++)
        if (str_eq(s->cfg->checks[i].stage, stage))
            return true;
    return false;
}

static bool is_configured(const struct session *s, int stage) {
    for (const char *const *g = s->cfg->gates_before; *g; g++)
        if (str_eq(*g, run_stage_name(stage)))
            return true;
    return false;
}

unsigned gate_needs(const struct session *s, int stage) {
    return is_configured(s, stage) ? s->cfg->approvers : stage == RUN_RETIRE ? 1 : 0;
}

bool gate_is(const struct session *s, int stage) {
    return gate_needs(s, stage) || has_check(s, run_stage_name(stage));
}

/* --- people --- */

/* Approvals that are not younger than this move count no more. */
static int last_way_back(struct session *s, struct arena *a, int64_t *ret, struct err *e) {
    struct journal_move *v;
    size_t n;
    int r = journal_moves(s->journal, a, s->run.id, &v, &n, e);
    *ret = 0;
    for (size_t i = 0; r >= 0 && i < n; i++)
        if (str_eq(v[i].state, "done") &&
            sm_find(&run_table, v[i].to) < sm_find(&run_table, v[i].from))
            *ret = v[i].id;
    return r;
}

static bool listed(const char *const *who, unsigned n, const char *actor) {
    for (unsigned i = 0; i < n; i++)
        if (str_eq(who[i], actor))
            return true;
    return false;
}

/* Why it does not count, or NULL. */
static const char *weigh(const struct session *s, const struct gate *g, int64_t since,
                         const char *runner, const struct journal_approval *v) {
    if (v->after < since)
        return "given before the run went back";
    if (s->cfg->approvers_differ && str_eq(v->actor, runner))
        return "who runs the upgrade is none of the approvers (gates.differ)";
    return listed(g->who, g->has, v->actor) ? "one person counts once" : NULL;
}

int gate_people(struct session *s, struct arena *a, int stage, const char *runner, struct gate *ret,
                struct err *e) {
    struct gate g = {.stage = run_stage_name(stage), .needs = gate_needs(s, stage)};
    struct journal_approval *v;
    size_t n;
    int64_t since;
    int r = last_way_back(s, a, &since, e);
    if (r >= 0)
        r = journal_approvals(s->journal, a, s->run.id, &v, &n, e);
    if (r < 0)
        return r;
    const char **who = arena_array(a, const char *, n + 1);
    g.who = who;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(v[i].gate, g.stage))
            continue;
        const char *but = weigh(s, &g, since, runner, &v[i]);
        if (but)
            g.but = but;
        else
            who[g.has++] = v[i].actor;
    }
    g.open = g.has >= g.needs;
    *ret = g;
    return 0;
}

/* "migrate, switch, retire" */
static const char *gates_named(const struct session *s, struct arena *a) {
    AUTO_SB b = SB_INIT(256);
    for (int i = RUN_PREFLIGHT; i <= RUN_RETIRE; i++)
        if (gate_needs(s, i))
            sb_fmt(&b, "%s%s", b.len ? ", " : "", run_stage_name(i));
    return arena_strdup(a, sb_get(&b));
}

int gate_approve(struct session *s, int stage, const char *actor, const char *reason,
                 const char *runner, struct err *e) {
    AUTO_ARENA a = arena_new();
    if (!gate_needs(s, stage))
        return err_set(e, -EGUARD,
                       "nobody has to approve %s: people are asked before %s (gates.before)",
                       run_stage_name(stage), gates_named(s, a));
    if (s->cfg->approvers_differ && str_eq(actor, runner))
        return err_set(e, -EGUARD,
                       "%s runs this upgrade, and gates.differ wants somebody else to approve it",
                       actor);
    int r = journal_approve(s->journal, s->run.id, run_stage_name(stage), actor, reason, e);
    if (r < 0)
        return r;
    return journal_event(s->journal, s->run.id, actor,
                         arena_printf(a, "approved: %s", run_stage_name(stage)), reason, e);
}

/* --- checks --- */

static struct gate_check check_lag(struct session *s, struct arena *a, const struct run_facts *f) {
    struct gate_check c = {"lag", true, ""};
    const struct following_status *st = f ? f->follow : NULL;
    if (!st)
        return c;
    if (st->state == FOLLOWING_ASKS || st->state == FOLLOWING_BROKEN) {
        c.note = arena_strdup(a, st->why);
        c.ok = false;
    } else if (st->oldest_ms > s->cfg->max_lag_ms) {
        c.note =
            arena_printf(a, "a change waits for %llu ms, follow.maxLag is %llu ms",
                         (unsigned long long)st->oldest_ms, (unsigned long long)s->cfg->max_lag_ms);
        c.ok = false;
    }
    return c;
}

static struct gate_check check_probes(struct arena *a, const struct watchers *w) {
    struct err e = {0};
    bool ok = watchers_check(w, &e) >= 0;
    return (struct gate_check){"probes", ok, ok ? "" : arena_strdup(a, err_msg(&e))};
}

static const char *joined(struct arena *a, const char *const *argv) {
    AUTO_SB b = SB_INIT(512);
    for (; *argv; argv++)
        sb_fmt(&b, "%s%s", b.len ? " " : "", *argv);
    return arena_strdup(a, sb_get(&b));
}

static struct gate_check check_exec(struct session *s, struct arena *a, int stage,
                                    const char *const *argv) {
    struct gate_check c = {joined(a, argv), false, ""};
    const char *env[] = {arena_printf(a, "TANDEM_RUN=%s", s->run.id),
                         arena_printf(a, "TANDEM_STAGE=%s", run_stage_name(stage)),
                         arena_printf(a, "TANDEM_SOURCE=%c", s->source),
                         arena_printf(a, "TANDEM_DESTINATION=%c", s->destination), NULL};
    struct proc_run p = {.argv = argv, .env = env, .dir = s->cfg->dir, .timeout_ms = CHECK_MS};
    struct proc_result res;
    struct err e = {0};
    if (proc_run(a, &p, &res, &e) < 0)
        c.note = arena_strdup(a, err_msg(&e));
    else if (res.timed_out)
        c.note = "did not end in time";
    else if (res.status != 0)
        c.note = arena_printf(a, "exit code %d%s%.*s", res.status, res.err_len ? ": " : "",
                              NOTE_MAX, res.err_out);
    else
        c.ok = true;
    return c;
}

void gate_check_all(struct session *s, struct arena *a, int stage, const struct run_facts *f,
                    const struct watchers *w, struct gate *g) {
    struct gate_check *v = arena_array(a, struct gate_check, s->cfg->n_checks + 2);
    size_t n = 0;
    v[n++] = check_lag(s, a, f);
    v[n++] = check_probes(a, w);
    for (size_t i = 0; i < s->cfg->n_checks; i++)
        if (str_eq(s->cfg->checks[i].stage, g->stage))
            v[n++] = check_exec(s, a, stage, s->cfg->checks[i].exec);
    for (size_t i = 0; i < n; i++)
        g->open = g->open && v[i].ok;
    g->checks = v;
    g->n_checks = n;
}

int gate_by_hand(struct session *s, int stage, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *name = run_stage_name(stage);
    struct gate g = {.stage = name, .open = true};
    bool people = is_configured(s, stage);
    if (!s->run_open || (!people && !has_check(s, name)))
        return 0;
    int r = people ? gate_people(s, a, stage, s->actor, &g, e) : 0;
    if (r < 0)
        return r;
    if (g.open)
        gate_check_all(s, a, stage, NULL, NULL, &g);
    return g.open
               ? 0
               : err_set(e, -EGATE, "waits at the gate before %s: %s. %sThe same command goes on",
                         name, gate_missing(a, &g), gate_hint(a, &g));
}

const char *gate_hint(struct arena *a, const struct gate *g) {
    return g->has < g->needs
               ? arena_printf(a, "`tandem approve %s --reason …` approves. ", g->stage)
               : "";
}

const char *gate_missing(struct arena *a, const struct gate *g) {
    AUTO_SB b = SB_INIT(2048);
    if (g->open)
        return "";
    if (g->has < g->needs)
        sb_fmt(&b, "%u of %u approvals%s%s%s", g->has, g->needs,
               g->but ? " (one does not count: " : "", g->but ? g->but : "", g->but ? ")" : "");
    for (size_t i = 0; i < g->n_checks; i++)
        if (!g->checks[i].ok)
            sb_fmt(&b, "%scheck %s does not hold: %s", b.len ? "; " : "", g->checks[i].name,
                   g->checks[i].note);
    return arena_strdup(a, sb_get(&b));
}
