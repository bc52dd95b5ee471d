#include <errno.h>

#include "cli/commands.h"
#include "migrate/access.h"

/* The kinds of the source decide for both: definitions that it has and the destination lacks come
 * with the migration. */
static int work(struct session *s, char slot, bool no_secrets, struct err *e) {
    struct kube_discovery *d;
    if (!session_source(s))
        return err_set(e, -EUSAGE, "the role in %c depends on what %c has: give both contexts",
                       slot, s->source);
    int r = kube_discover(session_source(s), &d, e);
    if (r < 0)
        return r;
    fputs(access_role_yaml(s->a, d, slot == s->source ? ACCESS_SOURCE : ACCESS_DESTINATION,
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
    const char *slot = args.n == 1 ? args.v[0] : "";
    bool a_alone = str_eq(slot, "a") && m.session.context_a && !m.session.context_b;
    int r = str_eq(slot, "a") || str_eq(slot, "b")
                ? cli_open(&m, (a_alone ? NEED_A : NEED_CLUSTERS) | NEED_JOURNAL_IF_ANY, &s, &e)
                : err_set(&e, -EUSAGE, "tandem rbac takes a or b");
    if (r >= 0)
        r = work(s, *slot, no_secrets, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
