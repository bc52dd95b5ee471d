#include <errno.h>

#include "base/clock.h"
#include "cli/commands.h"

static int print_json(struct session *s, const struct common *m, const struct journal_event_row *v,
                      size_t n, struct err *e) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < n; i++) {
        char t[CLOCK_RFC3339_MAX];
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "at", clock_rfc3339(v[i].at_ms, t));
        json_mut_set_str(d, x, "run", v[i].run ? v[i].run : "");
        json_mut_set_str(d, x, "actor", v[i].actor ? v[i].actor : "");
        json_mut_set_str(d, x, "what", v[i].what ? v[i].what : "");
        json_mut_set_str(d, x, "detail", v[i].detail ? v[i].detail : "");
        json_mut_set_str(d, x, "hash", v[i].hash ? v[i].hash : "");
        yyjson_mut_arr_append(list, x);
    }
    size_t len;
    char *text = json_mut_write(s->a, list, &len);
    return cli_print_tree(m->output, text, len, e);
}

static int work(struct session *s, const struct common *m, bool verify, struct err *e) {
    struct journal_event_row *v;
    size_t n;
    if (!s->journal)
        return err_set(e, -ENOENT, "there is no journal at %s: nothing has happened yet",
                       s->cfg->journal);
    int r = verify ? journal_events_verify(s->journal, e) : 0;
    if (r >= 0)
        r = journal_events(s->journal, s->a, NULL, &v, &n, e);
    if (r < 0)
        return r;
    if (verify)
        log_info("the chain of %zu events is whole", n);
    if (m->output == OUT_JSON || m->output == OUT_YAML)
        return print_json(s, m, v, n, e);
    for (size_t i = 0; i < n; i++) {
        char t[CLOCK_RFC3339_MAX];
        printf("%s  %-16s %-24s %s%s%s\n", clock_rfc3339(v[i].at_ms, t), v[i].run ? v[i].run : "-",
               v[i].actor, v[i].what, str_empty(v[i].detail) ? "" : ": ",
               v[i].detail ? v[i].detail : "");
    }
    return 0;
}

int cmd_history(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    bool verify = false;
    const struct option_row rows[] = {
        {"verify", 0, OPT_FLAG, &verify, NULL, "check the chain of hashes"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = cli_open(&m, NEED_JOURNAL_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &m, verify, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
