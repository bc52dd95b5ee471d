#include "cli/commands.h"
#include "cli/show.h"

static int work(struct session *s, const struct common *m, bool *ret_differs, struct err *e) {
    struct world *w;
    struct plan_counts c;
    s->without_digests = m->output != OUT_JSON && m->output != OUT_YAML;
    int r = session_world(s, cli_reading, NULL, &w, e);
    if (r < 0)
        return r;
    log_progress_end();
    plan_count(w, &c);
    show_warnings(w);
    size_t differ = c.kept + c.by_verdict[V_CREATE] + c.by_verdict[V_HOLD] +
                    c.by_verdict[V_UPDATE] + c.by_verdict[V_BLOCK];
    *ret_differs = differ || c.unready || *world_left_over(w);
    if (m->output == OUT_JSON || m->output == OUT_YAML) {
        AUTO_ARENA a = arena_new();
        size_t n;
        char *json = plan_json(w, a, s->id[session_slot(s->source)].uid,
                               s->id[session_slot(s->destination)].uid, NULL, &n);
        r = cli_print_tree(m->output, json, n, e);
    } else {
        show_plan(w, m->output, SHOW_DIFF | SHOW_CREATES);
        differ += show_left_over(w);
        printf("\n%zu objects are the same in %c and %c (%zu of them held), %zu differ, %zu are "
               "less ready; %zu are each cluster's own.\n",
               c.by_verdict[V_SAME] - c.kept, s->source, s->destination, c.held, differ, c.unready,
               c.by_verdict[V_SKIP]);
    }
    world_free(w);
    return r;
}

int cmd_verify(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, NULL, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    bool differs = false;
    int r = cli_open(&m, NEED_CLUSTERS | NEED_JOURNAL_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &m, &differs, &e);
    code = r < 0 ? cli_fail(&e) : differs ? EXIT_DIFFERS : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
