#include <errno.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "migrate/unclassified.h"
#include "run/probing.h"

struct plan_opts {
    const char *out, *dry_run, *unclassified;
    bool detailed, diff, probe;
};

static char *as_json(struct session *s, struct world *w, struct arena *a, const struct dryrun *d,
                     size_t *ret_n) {
    return plan_json(w, a, s->id[session_slot(s->source)].uid,
                     s->id[session_slot(s->destination)].uid, d, ret_n);
}

static int write_file(struct session *s, struct world *w, const char *path, const struct dryrun *d,
                      struct err *e) {
    AUTO_ARENA a = arena_new();
    size_t n;
    char *json = as_json(s, w, a, d, &n);
    int r = file_write_atomic(path, json, n, 0600, e);
    if (r >= 0)
        log_info("plan written to %s; carry it out with `tandem migrate %s`", path, path);
    return r;
}

static int show(struct session *s, struct world *w, const struct common *m,
                const struct plan_opts *o, const struct dryrun *d, struct err *e) {
    struct plan_counts c;
    plan_count(w, &c);
    if (m->output == OUT_JSON || m->output == OUT_YAML) {
        AUTO_ARENA a = arena_new();
        size_t n;
        char *json = as_json(s, w, a, d, &n);
        show_warnings(w);
        return cli_print_tree(m->output, json, n, e);
    }
    AUTO_SB line = SB_INIT(0);
    show_counts(&line, &c);
    if (m->output != OUT_NAME)
        show_generated(s, w);
    if (m->output != OUT_NAME)
        printf("From %c (%s) to %c (%s): %s.\n", s->source, s->version[session_slot(s->source)].git,
               s->destination, s->version[session_slot(s->destination)].git, line.p);
    show_plan(w, m->output, o->diff ? SHOW_DIFF : 0);
    if (m->output != OUT_NAME)
        show_left_over(w);
    if (m->output != OUT_NAME)
        show_dryrun(d, s->destination);
    if (m->output != OUT_NAME && c.held)
        printf("\n%zu held in %c: until `tandem activate` only those of %c act.\n", c.held,
               s->destination, s->source);
    if (m->output == OUT_TEXT && (plan_has_work(&c) || c.by_verdict[V_BLOCK]))
        puts("\n-o wide lists every object, --diff shows fields, `tandem explain KIND/NAME -n "
             "NAMESPACE` tells all about one.");
    show_undecided(stdout, w);
    show_warnings(w);
    if (!plan_has_work(&c) && !c.by_verdict[V_BLOCK] && m->output == OUT_TEXT)
        puts("\nNothing is left to do.");
    return 0;
}

/* Unless asked for otherwise: what is in doubt, and nothing where nothing may be sent. */
static int choose_mode(const struct common *m, const char *word, enum dryrun_mode *ret,
                       struct err *e) {
    *ret = m->session.read_only ? DRYRUN_NONE : DRYRUN_DOUBT;
    int r = word ? dryrun_mode_of(word, ret, e) : 0;
    if (r >= 0 && m->session.read_only && *ret != DRYRUN_NONE)
        return err_set(e, -EGUARD, "--read-only: a dry run is a write on the wire");
    return r;
}

static int probe(struct session *s, struct world *w, struct err *e) {
    probing_sweep(s);
    int r = probing_look(s, w, e);
    return r < 0 ? err_ctx(e, r, "--probe") : 0;
}

static int work(struct session *s, const struct common *m, const struct plan_opts *o,
                struct err *e) {
    struct world *w;
    struct plan_counts c;
    enum dryrun_mode mode;
    struct dryrun d = {0};
    enum unclassified how = UNCLASSIFIED_ASK;
    int r = choose_mode(m, o->dry_run, &mode, e);
    if (r >= 0)
        r = unclassified_mode(o->unclassified, &how, e);
    s->without_digests = !o->out && (m->output == OUT_TEXT || m->output == OUT_WIDE);
    if (r >= 0)
        r = session_world(s, cli_reading, NULL, &w, e);
    if (r < 0)
        return r;
    if (o->probe)
        r = probe(s, w, e);
    unclassified_decide(w, how);
    if (r >= 0)
        r = dryrun_world(w, mode, &d, e);
    log_progress_end();
    if (r >= 0)
        r = show(s, w, m, o, &d, e);
    if (r >= 0 && o->out)
        r = write_file(s, w, o->out, &d, e);
    dryrun_done(&d);
    plan_count(w, &c);
    world_free(w);
    return r < 0 ? r : plan_has_work(&c) || c.by_verdict[V_BLOCK];
}

int cmd_plan(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct plan_opts o = {0};
    const struct option_row rows[] = {
        {"out", 0, OPT_STRING, &o.out, "FILE", "freeze the plan in this file"},
        {"detailed-exitcode", 0, OPT_FLAG, &o.detailed, NULL, "2 when something is left to do"},
        {"dry-run", 0, OPT_STRING, &o.dry_run, "WHAT",
         "strict dry runs of what the schemas leave in doubt (doubt, the default), of all, or "
         "none"},
        {"probe", 0, OPT_FLAG, &o.probe, NULL,
         "make a namespace in the destination for a second to see what it puts into each"},
        {"diff", 0, OPT_FLAG, &o.diff, NULL, "show the fields that differ"},
        {"unclassified", 0, OPT_STRING, &o.unclassified, "HOW",
         "workloads that look as if they act by themselves: hold or run"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = o.probe && m.session.read_only
                ? err_set(&e, -EGUARD, "--read-only: --probe makes a namespace for a second")
                : 0;
    if (r >= 0)
        r = cli_open(&m, NEED_CLUSTERS | (o.probe ? NEED_JOURNAL : NEED_JOURNAL_IF_ANY), &s, &e);
    if (r >= 0)
        r = work(s, &m, &o, &e);
    code = r < 0 ? cli_fail(&e) : r && o.detailed ? EXIT_DIFFERS : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
