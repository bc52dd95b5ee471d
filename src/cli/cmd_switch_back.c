#include "base/clock.h"
#include "cli/commands.h"
#include "run/stages.h"
#include "run/switch.h"

static int singletons_back(struct session *s, struct err *e) {
    struct handover_item *items = NULL;
    int r = stage_handover(s, true, false, &items, e);
    for (; items; items = items->next)
        printf("  %-11s %s%s%s\n", handover_state_name(items->state), items->title,
               str_empty(items->note) ? "" : ": ", items->note ? items->note : "");
    return r > 0 ? -1 : r;
}

/* What the destination did to the outside world meanwhile is not taken back, and is said first. */
static void say_losses(struct session *s) {
    int percent = s->n_tiers ? switch_observe(s, NULL) : -1;
    if (percent >= 0)
        log_info("now %d %% of the live traffic goes to %c", percent, s->destination);
    log_warn("not taken back: what %c's applications wrote to databases, queues and volumes since "
             "they got traffic, and objects changed in %c since the migration",
             s->destination, s->destination);
}

/* Which way is back: the journal knows; without it only a person does. */
static int choose_source(struct session *s, const char *to, struct err *e) {
    if (to && (strlen(to) != 1 || (*to != 'a' && *to != 'b')))
        return err_set(e, -EUSAGE, "--to: \"%s\" is neither a nor b", to);
    if (!to && !s->journal)
        return err_set(e, -EUSAGE, "without the journal say where back is: --to a or --to b");
    if (!to && !s->run_open)
        return err_set(e, -EGUARD,
                       "no run is open: there is nothing to go back from (--to moves "
                       "the traffic all the same)");
    if (to) {
        s->source = *to;
        s->destination = *to == 'a' ? 'b' : 'a';
    }
    return 0;
}

static int work(struct session *s, const struct common *m, const char *to, bool traffic_only,
                struct err *e) {
    int r = choose_source(s, to, e);
    if (r < 0)
        return r;
    say_losses(s);
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "go back to %c", s->source);
    r = cli_confirm(m, q.p, e);
    if (r < 0)
        return r;
    uint64_t start = clock_now_ms();
    if (s->n_tiers)
        r = switch_back_traffic(s, e);
    if (r < 0)
        return r;
    char t[CLOCK_RFC3339_MAX];
    if (s->n_tiers)
        printf("all live traffic goes to %c (took %s)\n", s->source,
               clock_human(clock_now_ms() - start, t));
    return traffic_only ? 0 : singletons_back(s, e);
}

int cmd_switch_back(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    bool traffic_only = false;
    const char *to = NULL;
    const struct option_row rows[] = {
        {"to", 0, OPT_STRING, &to, "a|b", "where back is, when the journal is not there to tell"},
        {"traffic-only", 0, OPT_FLAG, &traffic_only, NULL, "leave the singletons where they are"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    unsigned needs = NEED_JOURNAL | TOLERATE_BUSY | NEED_TRAFFIC_IF_ANY | NEED_CONFIG_FILE;
    if (!traffic_only)
        needs |= NEED_CLUSTERS | TOLERATE_DEAD;
    int r = cli_open(&m, needs, &s, &e);
    if (r >= 0)
        r = work(s, &m, to, traffic_only, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
