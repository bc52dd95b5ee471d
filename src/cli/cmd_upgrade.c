/* upgrade and resume: the same walk over the stages, begun and gone on with. */
#include <errno.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "run/notice.h"
#include "run/upgrade.h"

struct upgrade_cli {
    const char *until, *from, *unclassified;
    struct strvec approve;
    uint64_t settle_ms;
    bool wait, no_wait, take_over;
};

static void examined(void *ctx UNUSED, const struct doctor_report *r) {
    for (const struct finding *f = r->f.first; f; f = f->next)
        if (f->severity == SEV_BLOCKER && !f->silenced)
            fprintf(stderr, "  %s %s: %s\n", f->id, f->where, f->what);
    log_info("%zu blockers, %zu warnings, %zu notes (`tandem doctor` lists them)",
             r->count[SEV_BLOCKER], r->count[SEV_WARNING], r->count[SEV_INFO]);
}

static void undecided(void *ctx UNUSED, const struct world *w) {
    show_undecided(stderr, w);
}

static void migrated(void *ctx UNUSED, struct session *s, const struct world *w,
                     const struct migrate_result *r) {
    char t[CLOCK_RFC3339_MAX];
    log_info("%zu written, %zu failed, %zu blocked, in %s", r->apply.done, r->apply.failed,
             r->before.by_verdict[V_BLOCK], clock_human(r->write_ms, t));
    show_failures(w);
    show_fates(w);
    if (r->settled.unready)
        log_warn("%zu objects are not as ready as in %c: see `tandem verify`", r->settled.unready,
                 s->source);
}

static void tested(void *ctx UNUSED, const struct smoke_result *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        log_info("%s %s: %s", v[i].ok ? "ok" : "FAILED", v[i].name, v[i].note ? v[i].note : "");
}

static void handed(void *ctx UNUSED, const struct handover_item *items) {
    for (; items; items = items->next)
        log_info("%s %s%s%s", handover_state_name(items->state), items->title,
                 str_empty(items->note) ? "" : ": ", items->note ? items->note : "");
}

static void print_end(struct session *s, const struct upgrade_result *res) {
    if (res->ended)
        printf("%c is retired, %c is live. tandem has deleted nothing: the cluster of %c is yours "
               "to destroy\n",
               s->source, s->destination, s->source);
    else
        printf("the run stands at %s: %s. Onwards: tandem resume --until STAGE. The way back: "
               "tandem switch-back\n",
               run_stage_name(res->stage), run_table.states[res->stage].why);
}

static int work(struct session *s, const struct common *m, struct upgrade_cli *o, bool resume,
                struct err *e) {
    struct upgrade_result res;
    struct upgrade_opts uo = {
        .from = o->from,
        .until = o->until,
        .approve = o->approve.n ? (const char *const *)o->approve.v : NULL,
        .resume = resume,
        .wait = !o->no_wait && (o->wait || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))),
        .settle_ms = o->settle_ms,
        .show = {cli_reading, examined, undecided, migrated, tested, handed, NULL},
    };
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "upgrade from %c to %c", s->source, s->destination);
    int r = unclassified_mode(o->unclassified, &uo.unclassified, e);
    if (r >= 0)
        r = cli_confirm(m, q.p, e);
    if (r >= 0)
        r = upgrade(s, &uo, &res, e);
    if (r >= 0)
        print_end(s, &res);
    return r;
}

enum {
    NEEDS = NEED_CLUSTERS | NEED_JOURNAL | NEED_TRAFFIC_IF_ANY | NEED_CONFIG_FILE | WALKS_STAGES
};

/* The journal is made first; which run it has is known to the session opened after it. */
static int take_over(struct common *m, struct err *e) {
    struct session *s = NULL;
    int r = cli_open(m, NEEDS, &s, e);
    if (r >= 0)
        r = record_take_over(s, e);
    session_close(s);
    return r;
}

int cmd_upgrade(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct upgrade_cli o = {0};
    bool resume = str_eq(c->name, "resume");
    const struct option_row rows[] = {
        {"until", 0, OPT_STRING, &o.until, "STAGE", "stop when it is reached"},
        {"from", 0, OPT_STRING, &o.from, "STAGE", "leave out what lies before it"},
        {"approve", 0, OPT_LIST, &o.approve, "STAGE,…", "gates that you approve herewith"},
        {"wait", 0, OPT_FLAG, &o.wait, NULL, "wait at gates, also without a terminal"},
        {"no-wait", 0, OPT_FLAG, &o.no_wait, NULL, "end at a gate with exit code 3"},
        {"unclassified", 0, OPT_STRING, &o.unclassified, "HOW",
         "workloads that look as if they act by themselves: hold or run"},
        {"settle", 0, OPT_DURATION, &o.settle_ms, "TIME",
         "longest wait for readiness after the migration (default 60s)"},
        {resume ? "take-over" : NULL, 0, OPT_FLAG, &o.take_over, NULL,
         "go on with a run of another machine, from its record in the destination"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = o.take_over ? take_over(&m, &e) : 0;
    if (r >= 0)
        r = cli_open(&m, NEEDS | NEED_LIVE, &s, &e);
    if (r >= 0)
        r = work(s, &m, &o, resume, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    strvec_done(&o.approve);
    common_done(&m);
    return code;
}
