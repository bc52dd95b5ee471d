#include <errno.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "migrate/unclassified.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/probing.h"
#include "run/stages.h"

struct migrate_cli {
    const char *stale, *unclassified;
    uint64_t settle_ms;
    bool no_probe;
};

static void progress(void *ctx UNUSED, size_t done, size_t failed, size_t total, const char *wave) {
    log_progress("%zu of %zu written, %zu failed (%s)", done, MAX(total, done), failed,
                 wave ? wave : "");
}

static void show_probed(const struct session *s, const struct world *w) {
    log_progress_end();
    show_generated(s, w);
    fflush(stdout);
}

static int stale_mode(const char *word, enum stale_mode *ret, struct err *e) {
    static const char *const words[] = {"skip", "refuse", "accept"};
    for (unsigned i = 0; i < COUNT_OF(words); i++)
        if (str_eq(word ? word : "skip", words[i])) {
            *ret = i;
            return 0;
        }
    return err_set(e, -EUSAGE, "--stale: \"%s\" is none of skip, refuse, accept", word);
}

static int check_plan(struct session *s, const struct plan_file *p, struct err *e) {
    bool fits = p->source == s->source &&
                str_eq(p->source_uid, s->id[session_slot(s->source)].uid) &&
                str_eq(p->destination_uid, s->id[session_slot(s->destination)].uid);
    return fits ? 0 : err_set(e, -EGUARD, "the plan was made for other clusters");
}

static void report(const struct session *s, const struct world *w, const struct migrate_result *r) {
    char t[2][CLOCK_RFC3339_MAX];
    printf("%zu written, %zu failed, %zu left out, %zu blocked, in %s (settled after %s)\n",
           r->apply.done, r->apply.failed, r->apply.stale, r->before.by_verdict[V_BLOCK],
           clock_human(r->write_ms, t[0]), clock_human(r->settle_ms, t[1]));
    if (r->apply.left)
        printf("%zu were not reached\n", r->apply.left);
    show_failures(w);
    show_fates(w);
    if (r->settled.unready)
        printf("%zu objects are not as ready as in %c: see `tandem verify`\n", r->settled.unready,
               s->source);
    if (r->before.held)
        printf("%zu singletons are held in %c until `tandem activate`\n", r->before.held,
               s->destination);
}

/* For tests/bench/migrate: what design figures are computed from. */
static void report_json(const struct migrate_result *r) {
    const struct apply_result *a = &r->apply;
    double s = (double)(a->last_answer_ns - a->first_write_ns) / 1e9;
    printf("{\"written\":%zu,\"failed\":%zu,\"left\":%zu,\"stale\":%zu,\"blocked\":%zu,\"unready\":"
           "%zu,\"gone\":%zu,\"replaced\":%zu,\"deleting\":%zu,\"changed\":%zu,"
           "\"planMs\":%llu,\"writeMs\":%llu,\"settleMs\":%llu,\"firstToLastSeconds\":%.6f,"
           "\"extraRequests\":%llu,\"cpuMs\":%llu}\n",
           a->done, a->failed, a->left, a->stale, r->before.by_verdict[V_BLOCK], r->settled.unready,
           r->settled.gone, r->settled.replaced, r->settled.deleting, r->settled.changed,
           (unsigned long long)r->plan_ms, (unsigned long long)r->write_ms,
           (unsigned long long)r->settle_ms, s, (unsigned long long)a->extra_requests,
           (unsigned long long)clock_cpu_ms());
}

/* Before anything is written somebody has to say what may act twice. */
static int decide(const struct common *m, struct world *w, enum unclassified how, struct err *e) {
    unclassified_decide(w, how);
    size_t n = unclassified_count(w);
    if (!n)
        return 0;
    show_undecided(stderr, w);
    int answer = m->yes ? 0 : cli_choose("hold them all, run them all, or stop", "hrs");
    unclassified_decide(w, answer == 'h'   ? UNCLASSIFIED_HOLD
                           : answer == 'r' ? UNCLASSIFIED_RUN
                                           : UNCLASSIFIED_ASK);
    return unclassified_count(w)
               ? err_set(e, -EGUARD,
                         "%zu workloads look as if they act by themselves and nobody has decided "
                         "(listed above): nothing was written",
                         n)
               : 0;
}

struct carrying {
    struct world *w;
    const struct migrate_opts *o;
    struct migrate_result *res;
};

static int carry(struct session *s, void *ctx, struct err *e) {
    struct carrying *c = ctx;
    return stage_migrate(s, c->w, c->o, c->res, e);
}

static int carry_out(struct session *s, struct world *w, const struct common *m,
                     const struct plan_file *plan, const struct migrate_opts *o,
                     struct migrate_result *res, struct err *e) {
    struct plan_counts c;
    AUTO_SB q = SB_INIT(0);
    plan_count(w, &c);
    if (!plan_has_work(&c) && !c.by_verdict[V_BLOCK] &&
        session_stage_done(s, "migrate", MIGRATE_ALL)) {
        res->before = c;
        return 0;
    }
    if (plan_has_work(&c)) {
        sb_str(&q, "write to ");
        sb_fmt(&q, "%c (", s->destination);
        show_counts(&q, &c);
        sb_str(&q, ")");
        int r = cli_confirm(m, q.p, e);
        if (r < 0)
            return r;
    }
    struct migrate_opts mo = *o;
    mo.plan = plan;
    struct carrying c_out = {w, &mo, res};
    int r = session_begin_run(s, e); /* others are told of a run, not of an attempt at one */
    return r < 0 ? r : run_announce(s, "migrate", holding_slot(s->destination), carry, &c_out, e);
}

static int work(struct session *s, const struct common *m, const struct migrate_cli *mc,
                const char *plan_path, struct err *e) {
    struct migrate_opts o = {.progress = progress,
                             .settle_ms = mc->settle_ms,
                             .no_probe = mc->no_probe,
                             .probed = m->output == OUT_JSON ? NULL : show_probed};
    struct migrate_result res = {0};
    struct plan_file plan = {0};
    struct world *w;
    enum unclassified how = UNCLASSIFIED_ASK;
    int r = stale_mode(mc->stale, &o.stale, e);
    if (r >= 0)
        r = unclassified_mode(mc->unclassified, &how, e);
    if (r >= 0 && plan_path) {
        r = plan_load(s->a, plan_path, &plan, e);
        if (r >= 0)
            r = check_plan(s, &plan, e);
    }
    uint64_t start = clock_now_ms();
    if (r >= 0)
        probing_sweep(s);
    if (r >= 0)
        r = session_world_of(s, plan_path ? plan.salt : NULL, cli_reading, NULL, &w, e);
    if (r < 0)
        return r;
    uint64_t plan_ms = clock_now_ms() - start;
    show_warnings(w);
    if (plan_path)
        plan_decide(&plan, w);
    r = decide(m, w, how, e);
    struct dryrun d = {0};
    if (r >= 0)
        r = dryrun_world(w, DRYRUN_DOUBT, &d, e);
    log_progress_end();
    if (r >= 0 && m->output != OUT_JSON)
        show_dryrun(&d, s->destination);
    dryrun_done(&d);
    if (r >= 0)
        r = carry_out(s, w, m, plan_path ? &plan : NULL, &o, &res, e);
    res.plan_ms = plan_ms;
    log_progress_end();
    if (r >= 0 || res.apply.total || res.before.by_verdict[V_BLOCK])
        m->output == OUT_JSON ? report_json(&res) : report(s, w, &res);
    world_free(w);
    plan_done(&plan);
    return r;
}

int cmd_migrate(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct migrate_cli o = {0};
    const struct option_row rows[] = {
        {"stale", 0, OPT_STRING, &o.stale, "HOW",
         "objects changed since the plan: skip (default), refuse, accept"},
        {"unclassified", 0, OPT_STRING, &o.unclassified, "HOW",
         "workloads that look as if they act by themselves: hold or run (default: ask)"},
        {"no-probe", 0, OPT_FLAG, &o.no_probe, NULL,
         "make no namespace first to see what the destination puts into each"},
        {"settle", 0, OPT_DURATION, &o.settle_ms, "TIME",
         "longest wait for readiness afterwards (default 60s)"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = 0;
    if (m.session.read_only)
        r = err_set(&e, -EGUARD, "--read-only: migrate writes; `tandem plan` shows what");
    if (r >= 0)
        r = cli_open(&m, NEED_CLUSTERS | NEED_JOURNAL | NEED_LIVE, &s, &e);
    if (r >= 0)
        r = work(s, &m, &o, args.n ? args.v[0] : NULL, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
