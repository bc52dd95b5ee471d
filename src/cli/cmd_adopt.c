#include "base/clock.h"
#include "cli/commands.h"
#include "run/adopt.h"

static void print_share(const char *who, int percent, char slot) {
    if (percent < 0)
        printf("  %-9s unknown\n", who);
    else
        printf("  %-9s %d %% of the live traffic goes to %c\n", who, percent, slot);
}

static int work(struct session *s, const struct common *m, const char *reason, struct err *e) {
    struct live_view v;
    int r = live_look(s, &v, e);
    if (r < 0)
        return err_ctx(e, r, "nothing is adopted");
    print_share("observed", v.observed, s->destination);
    print_share("journal", v.believed, s->destination);
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "take what is observed as true");
    r = v.observed == v.believed ? 0 : cli_confirm(m, q.p, e);
    if (r >= 0)
        r = stage_adopt(s, reason, &v, e);
    if (r >= 0)
        puts(r ? "adopted" : "nothing to adopt: the journal believes what is observed");
    return r;
}

int cmd_adopt(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    const char *reason = NULL;
    const struct option_row rows[] = {
        {"reason", 0, OPT_STRING, &reason, "TEXT", "why, for the audit trail"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = cli_open(&m, NEED_TRAFFIC | NEED_JOURNAL | NEED_CONFIG_FILE, &s, &e);
    if (r >= 0)
        r = work(s, &m, reason, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
