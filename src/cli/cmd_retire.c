#include "cli/commands.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/stages.h"

static int retire(struct session *s, void *ctx UNUSED, struct err *e) {
    return stage_retire(s, e);
}

static int work(struct session *s, const struct common *m, struct err *e) {
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "retire %c: there is no way back after it", s->source);
    int r = cli_confirm(m, q.p, e);
    if (r >= 0)
        r = run_announce(s, "retire", holding_slot(s->destination), retire, NULL, e);
    if (r < 0)
        return r;
    (void)notice(s, NOTICE_TERMINAL, "retire", "retired", NULL, NULL);
    const struct kube_client *src = session_source(s);
    printf("%c is retired, %c is live. tandem has deleted nothing. What is yours to destroy now:\n"
           "  - the cluster behind context %s (%s)\n"
           "  - its load balancer back end, once its machines are gone\n"
           "The next upgrade goes from %c to %c with the same file: bring a new cluster up in "
           "slot %c.\n",
           s->source, s->destination, s->cfg->cluster[session_slot(s->source)].context,
           src ? kube_auth_server(kube_client_auth(src)) : "not reachable", s->destination,
           s->source, s->source);
    return 0;
}

int cmd_retire(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, NULL, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = cli_open(&m,
                     NEED_CLUSTERS | TOLERATE_DEAD | NEED_JOURNAL | NEED_TRAFFIC_IF_ANY |
                         NEED_CONFIG_FILE | NEED_LIVE,
                     &s, &e);
    if (r >= 0)
        r = work(s, &m, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
