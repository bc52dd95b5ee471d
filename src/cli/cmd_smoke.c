#include "cli/commands.h"
#include "run/smoke.h"

static int work(struct session *s, const struct common *m, struct err *e) {
    struct smoke_result *res;
    size_t n;
    int failed = smoke_run(s, &res, &n, e);
    if (failed < 0)
        return failed;
    AUTO_SB b = SB_INIT(0);
    for (size_t i = 0; i < n; i++) {
        if (m->output == OUT_TEXT || m->output == OUT_WIDE) {
            printf("  %-4s %s (%llu ms): %s\n", res[i].ok ? "ok" : "FAIL", res[i].name,
                   (unsigned long long)res[i].time_ms, res[i].note ? res[i].note : "");
            continue;
        }
        sb_str(&b, i ? ",{\"name\":" : "[{\"name\":");
        sb_json(&b, res[i].name, strlen(res[i].name));
        sb_fmt(&b, ",\"ok\":%s,\"ms\":%llu,\"note\":", res[i].ok ? "true" : "false",
               (unsigned long long)res[i].time_ms);
        sb_json(&b, res[i].note ? res[i].note : "", res[i].note ? strlen(res[i].note) : 0);
        sb_chr(&b, '}');
    }
    if (b.len) {
        sb_chr(&b, ']');
        int r = cli_print_tree(m->output, b.p, b.len, e);
        if (r < 0)
            return r;
    }
    session_event(s, "smoke", failed ? "failed" : "passed");
    return failed;
}

int cmd_smoke(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, NULL, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    unsigned journal = m.session.read_only ? NEED_JOURNAL_IF_ANY : NEED_JOURNAL;
    int r = cli_open(&m, NEED_CONFIG_FILE | journal, &s, &e);
    if (r >= 0)
        r = work(s, &m, &e);
    code = r < 0 ? cli_fail(&e) : r ? EXIT_ERROR : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
