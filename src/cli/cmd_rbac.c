#include <errno.h>

#include "cli/commands.h"
#include "migrate/access.h"

static int work(struct session *s, const struct strvec *args, bool no_secrets, struct err *e) {
    const char *slot = args->n == 1 ? args->v[0] : "";
    if (!str_eq(slot, "a") && !str_eq(slot, "b"))
        return err_set(e, -EUSAGE, "tandem rbac takes a or b");
    struct kube_discovery *d;
    int r = kube_discover(s->cluster[session_slot(*slot)], &d, e);
    if (r < 0)
        return r;
    fputs(access_role_yaml(s->a, d, *slot == s->source ? ACCESS_SOURCE : ACCESS_DESTINATION,
                           no_secrets),
          stdout);
    kube_discovery_free(d);
    return 0;
}

int cmd_rbac(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    bool no_secrets = false;
    const struct option_row rows[] = {
        {"no-secrets", 0, OPT_FLAG, &no_secrets, NULL, "leave Secrets out"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    unsigned cluster = args.n == 1 && str_eq(args.v[0], "b") ? NEED_B : NEED_A;
    int r = cli_open(&m, cluster | NEED_JOURNAL_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &args, no_secrets, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
