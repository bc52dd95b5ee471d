#include <errno.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/undo.h"

struct unmigrate_cli {
    bool dry_run, force;
    uint64_t wait_ms;
};

static void progress(void *ctx UNUSED, size_t done, size_t total, const char *what) {
    log_progress("%zu of %zu taken back (%s)", done, total, what);
}

static int print_tree(struct session *s, const struct unmigrate_result *r, enum output o,
                      struct err *e) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *root = yyjson_mut_obj(d), *list = yyjson_mut_arr(d);
    json_mut_set_str(d, root, "run", s->run.id);
    json_mut_set_bool(d, root, "clean", r->clean);
    for (unsigned t = 0; t < TAKEN_COUNT; t++)
        json_mut_set_int(d, json_mut_obj_at(d, root, "counts"), taken_name(t), (int64_t)r->by[t]);
    for (const struct unmigrate_item *i = r->items; i; i = i->next) {
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "ref", i->ref);
        json_mut_set_str(d, x, "result", taken_name(i->taken));
        if (i->note)
            json_mut_set_str(d, x, "note", i->note);
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "objects", list);
    size_t n;
    char *text = json_mut_write(s->a, root, &n);
    return cli_print_tree(o, text, n, e);
}

static bool is_shown(const struct unmigrate_item *i, enum output o, bool dry_run) {
    if (o == OUT_WIDE || o == OUT_NAME || (dry_run && i->taken == TAKEN_WOULD))
        return true;
    return i->taken != TAKEN_WOULD && i->taken != TAKEN_DELETED && i->taken != TAKEN_RESTORED &&
           i->taken != TAKEN_ALREADY;
}

static void print_text(const struct session *s, const struct unmigrate_result *r, enum output o,
                       bool dry_run) {
    for (const struct unmigrate_item *i = r->items; i; i = i->next) {
        if (!is_shown(i, o, dry_run))
            continue;
        printf("  %-9s %s%s%s\n", taken_name(i->taken), o == OUT_NAME ? i->ref : i->title,
               i->note ? ": " : "", i->note ? i->note : "");
    }
    if (dry_run)
        printf("%zu objects of run %s would be taken back, %zu have moved on, %zu stay\n",
               r->by[TAKEN_WOULD], s->run.id, r->by[TAKEN_MOVED], r->by[TAKEN_KEPT]);
    else
        printf("%zu deleted, %zu restored, %zu were so already, %zu have moved on, %zu stay, %zu "
               "hang, %zu failed\n",
               r->by[TAKEN_DELETED], r->by[TAKEN_RESTORED], r->by[TAKEN_ALREADY],
               r->by[TAKEN_MOVED], r->by[TAKEN_KEPT], r->by[TAKEN_HANGS], r->by[TAKEN_FAILED]);
    if (r->clean)
        printf("Nothing of run %s is left in %c: it is ended.\n", s->run.id, s->destination);
    else if (!dry_run && r->by[TAKEN_MOVED])
        puts("What has moved on was left as it is; --force takes it back too.");
    if (!dry_run && r->by[TAKEN_KEPT])
        puts("What is kept holds objects that the run did not make: they would go with it, also "
             "with --force.");
}

struct taking {
    const struct undo_opts *o;
    struct unmigrate_result *res;
};

static int take(struct session *s, void *ctx, struct err *e) {
    struct taking *t = ctx;
    return stage_unmigrate(s, t->o, t->res, e);
}

/* Looking is no stage: nobody is told of it. */
static int take_or_look(struct session *s, const struct undo_opts *o, struct unmigrate_result *res,
                        struct err *e) {
    struct taking t = {o, res};
    if (o->dry_run)
        return stage_unmigrate(s, o, res, e);
    int r = run_announce(s, "unmigrate", holding_slot(s->destination), take, &t, e);
    if (r >= 0 && res->clean)
        (void)notice(s, NOTICE_TERMINAL, "unmigrate", "taken back", NULL, NULL);
    return r;
}

static int work(struct session *s, const struct common *m, const struct unmigrate_cli *u,
                bool *ret_left, struct err *e) {
    struct unmigrate_result res = {0};
    size_t objects, storage;
    AUTO_SB q = SB_INIT(0);
    int r = undo_count(s, &objects, &storage, e);
    if (r < 0)
        return r;
    sb_fmt(&q, "take back from %c what run %s wrote there (%zu objects)", s->destination, s->run.id,
           objects);
    if (storage)
        sb_fmt(&q, "; %zu of them are claims and volumes: what was written in %c since is lost",
               storage, s->destination);
    r = u->dry_run ? 0 : cli_confirm(m, q.p, e);
    if (r < 0)
        return r;
    struct undo_opts o = {
        .dry_run = u->dry_run, .force = u->force, .wait_ms = u->wait_ms, .progress = progress};
    r = take_or_look(s, &o, &res, e);
    log_progress_end();
    *ret_left = res.by[TAKEN_MOVED] + res.by[TAKEN_KEPT] > 0;
    struct err show = {0};
    if (m->output != OUT_JSON && m->output != OUT_YAML) {
        if (r >= 0 || res.total)
            print_text(s, &res, m->output, u->dry_run);
    } else if (print_tree(s, &res, m->output, &show) < 0 && r >= 0) {
        *e = show;
        return show.code;
    }
    return r;
}

int cmd_unmigrate(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct unmigrate_cli u = {0};
    const struct option_row rows[] = {
        {"dry-run", 0, OPT_FLAG, &u.dry_run, NULL, "only list what would be taken back"},
        {"force", 0, OPT_FLAG, &u.force, NULL, "also what somebody has changed since"},
        {"wait", 0, OPT_DURATION, &u.wait_ms, "TIME",
         "longest wait for what is told to go (default 2m each wave)"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    bool left = false;
    int r = 0;
    u.dry_run = u.dry_run || m.session.read_only;
    if (m.session.label_selector)
        r = err_set(&e, -EUSAGE, "unmigrate takes no -l: the journal knows objects by name");
    unsigned journal = u.dry_run ? NEED_JOURNAL_IF_ANY : NEED_JOURNAL;
    if (r >= 0)
        r = cli_open(&m, NEED_CLUSTERS | NEED_TRAFFIC_IF_ANY | journal, &s, &e);
    if (r >= 0)
        r = work(s, &m, &u, &left, &e);
    code = r < 0 ? cli_fail(&e) : left ? EXIT_DIFFERS : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
