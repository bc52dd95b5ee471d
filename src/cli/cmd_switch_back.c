#include "base/clock.h"
#include "cli/commands.h"
#include "run/back.h"
#include "run/holder.h"
#include "run/move.h"

struct back_cli {
    const char *to, *reason;
    bool traffic_only;
};

static void print_items(const struct handover_item *i) {
    for (; i; i = i->next)
        printf("  %-11s %s%s%s\n", handover_state_name(i->state), i->title,
               str_empty(i->note) ? "" : ": ", i->note ? i->note : "");
}

/* Who is asked sees what would be lost before the answer; who said --yes does not wait for it: the
 * traffic goes back at once, and what is lost is named on the way. */
static const char *say_losses(struct session *s, const struct common *m, bool clusters) {
    int percent = s->n_tiers ? switch_observe(s, NULL) : -1;
    struct losses l;
    struct err e = {0};
    AUTO_SB b = SB_INIT(0);
    if (percent >= 0)
        log_info("now %d %% of the live traffic goes to %c", percent, s->destination);
    if (m->yes)
        return NULL;
    if (clusters && session_reach(s, NEED_CLUSTERS | TOLERATE_DEAD, &e) < 0)
        log_warn("%s", err_msg(&e));
    stage_losses(s, &l);
    back_losses_text(&l, &b);
    log_warn("%s", sb_get(&b));
    return arena_strdup(s->a, sb_get(&b));
}

static void print_result(struct session *s, const struct back_result *res) {
    char t[CLOCK_RFC3339_MAX];
    if (s->n_tiers && res->traffic_back)
        printf("all live traffic goes to %c (took %s)\n", s->source,
               clock_human(res->traffic_ms, t));
    print_items(res->items);
}

/* Whoever holds the environment does it, if there is one that listens and answers; the way back is
 * not kept from anybody by one that refuses. True: it does. */
static bool hand_over(struct session *s, bool traffic_only) {
    char *answer = NULL;
    struct err e = {0};
    if (s->recording)
        return false; /* it is ours */
    const char *args = traffic_only ? "{\"trafficOnly\":true}" : "{\"trafficOnly\":false}";
    int r = holder_or_self(s, "switch-back", args, &answer, &e);
    if (r > 0)
        printf("handed over to the process that holds this environment: %s\n", answer);
    else if (r < 0)
        log_warn("the process that holds this environment refuses: %s; going back without it",
                 err_msg(&e));
    return r > 0;
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
    if (r < 0 || hand_over(s, o->traffic_only))
        return r;
    s->take_over = true;
    r = stage_switch_back(s, &bo, &res, e);
    print_result(s, &res);
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
