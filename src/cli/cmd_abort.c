#include "cli/commands.h"
#include "cli/show.h"
#include "run/abort.h"
#include "run/ask.h"
#include "run/notice.h"

static void print_stand(struct session *s, int stage, bool needed) {
    printf("%s; the run stands at %s. On with `tandem resume`; `tandem unmigrate` takes the "
           "objects back\n",
           needed ? s->source == 'a' ? "everything is back on a" : "everything is back on b"
                  : "nothing had to go back",
           run_stage_name(stage));
}

static int go_back(struct session *s, const char *reason, struct err *e) {
    struct abort_opts o = {.reason = reason};
    struct abort_result res = {.stage = -1};
    s->take_over = true; /* the way back is kept from nobody by a Lease of one that hangs */
    int r = run_abort(s, &o, &res, e);
    show_back(s, &res.back);
    if (r >= 0 && s->recording)
        print_stand(s, res.stage, res.needed);
    record_mirror(s);
    return r;
}

/* Asks whoever carries the run out; 1: it has gone back and ended. */
static int hand_over(struct common *m, const char *reason, struct err *e) {
    struct session *s = NULL;
    int r = cli_open(m, NEED_JOURNAL_IF_ANY | NEED_CONFIG_FILE | WALKS_STAGES, &s, e);
    if (r >= 0)
        r = cli_confirm(m, "abort the run and go back", e);
    if (r >= 0)
        r = ask_back(s, "abort", reason, false, e);
    session_close(s);
    return r;
}

/* What came of it, as the holder has left it. */
static int look(struct session *s, struct err *e) {
    int stage = run_stage(s, e);
    if (stage < 0)
        return stage;
    if (!s->run_open)
        return err_set(e, -EGUARD,
                       "it came too late: the run has ended meanwhile, and nothing was taken back "
                       "(`tandem history`)");
    if (stage > RUN_MIGRATE)
        return err_set(e, -1, "the run still stands at %s: see `tandem status` and its own words",
                       run_stage_name(stage));
    print_stand(s, stage, true);
    return 0;
}

int cmd_abort(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    const char *reason = NULL;
    const struct option_row rows[] = {
        {"reason", 0, OPT_STRING, &reason, "TEXT", "why, for the record"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    /* No cluster yet, as for switch-back: the traffic waits for none. */
    int handed = hand_over(&m, reason, &e), r = handed;
    unsigned needs = handed == 1 ? NEED_JOURNAL_IF_ANY | NEED_CONFIG_FILE
                                 : NEED_JOURNAL | TOLERATE_BUSY | NEED_TRAFFIC_IF_ANY |
                                       NEED_CONFIG_FILE | WALKS_STAGES;
    if (r >= 0)
        r = cli_open(&m, needs, &s, &e);
    if (r >= 0)
        r = handed == 1 ? look(s, &e) : go_back(s, reason, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
