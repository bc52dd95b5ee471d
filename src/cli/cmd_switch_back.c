#include "cli/commands.h"
#include "cli/show.h"
#include "run/ask.h"
#include "run/back.h"
#include "run/move.h"
#include "run/notice.h"
#include "run/run.h"

struct back_cli {
    const char *to, *reason;
    bool traffic_only;
};

/* Who is asked sees what would be lost before the answer; who said --yes does not wait for it: the
 * traffic goes back at once, and what is lost is named on the way. */
static const char *say_losses(struct session *s, const struct common *m, bool clusters) {
    int percent = s->n_tiers ? switch_observe(s, NULL) : -1;
    struct losses l;
    struct err e = {0};
    AUTO_SB b = SB_INIT(0);
    if (percent >= 0)
        log_info("before: %d %% of the live traffic goes to %c", percent, s->destination);
    if (m->yes)
        return NULL;
    if (clusters && session_reach(s, NEED_CLUSTERS | TOLERATE_DEAD, &e) < 0)
        log_warn("%s", err_msg(&e));
    stage_losses(s, &l);
    back_losses_text(&l, &b);
    log_warn("%s", sb_get(&b));
    return arena_strdup(s->a, sb_get(&b));
}

/* Whoever holds the environment does it, if there is one that listens and answers; the way back is
 * not kept from anybody by one that refuses. True: it has, as well as it could, and has ended. */
static bool hand_over(struct session *s, const struct back_cli *o) {
    struct err e = {0};
    if (s->recording)
        return false; /* it is ours */
    int r = ask_back(s, "switch-back", o->reason, o->traffic_only, &e);
    if (r < 0)
        log_warn("the process that holds this environment refuses: %s; going back without it",
                 err_msg(&e));
    return r > 0;
}

/* What came of it, as the holder has left it. */
static int look(struct session *s, bool traffic_only, struct err *e) {
    int percent = s->n_tiers ? switch_observe(s, e) : 0;
    int stage = percent < -1 ? percent : run_stage(s, e);
    if (stage < 0)
        return stage;
    if (percent != 0 || (!traffic_only && stage > RUN_MIGRATE))
        return err_set(e, -1,
                       "the process that held this environment has ended, and not everything is "
                       "back: the run stands at %s, and %s of the live traffic goes to %c. It says "
                       "why; `tandem switch-back` again goes on",
                       run_stage_name(stage),
                       percent < 0 ? "an unknown share" : arena_printf(s->a, "%d %%", percent),
                       s->destination);
    printf("%s on %c: the process that held this environment has done it, and ended\n",
           traffic_only ? "all live traffic is back" : "everything is back", s->source);
    return 0;
}

static int work(struct session *s, const struct common *m, const struct back_cli *o,
                struct err *e) {
    struct back_result res = {0};
    struct back_opts bo = {.traffic_only = o->traffic_only, .reason = o->reason};
    int r = back_choose(s, o->to, e);
    if (r < 0)
        return r;
    bo.named = say_losses(s, m, !o->traffic_only);
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "go back to %c", s->source);
    r = cli_confirm(m, q.p, e);
    if (r >= 0 && hand_over(s, o))
        return look(s, o->traffic_only, e);
    if (r < 0)
        return r;
    s->take_over = true;
    r = stage_switch_back(s, &bo, &res, e);
    show_back(s, &res);
    record_mirror(s);
    return r;
}

int cmd_switch_back(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct back_cli o = {0};
    const struct option_row rows[] = {
        {"to", 0, OPT_STRING, &o.to, "a|b", "where back is, when the journal is not there to tell"},
        {"traffic-only", 0, OPT_FLAG, &o.traffic_only, NULL,
         "leave singletons and sync where they are"},
        {"reason", 0, OPT_STRING, &o.reason, "TEXT", "why, for the audit trail"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    /* No cluster yet: one that hangs must not be waited for while the traffic is where it is. */
    int r =
        cli_open(&m, NEED_JOURNAL | TOLERATE_BUSY | NEED_TRAFFIC_IF_ANY | NEED_CONFIG_FILE, &s, &e);
    if (r >= 0)
        r = work(s, &m, &o, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
