/* activate and deactivate: the same table of singletons, in the two directions. */
#include <errno.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "run/notice.h"
#include "run/stages.h"

static int print_tree(struct session *s, const struct handover_item *items, enum output o,
                      struct err *e) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (const struct handover_item *i = items; i; i = i->next) {
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "object", i->title);
        json_mut_set_str(d, x, "state", handover_state_name(i->state));
        json_mut_set_str(d, x, "note", i->note ? i->note : "");
        yyjson_mut_arr_append(list, x);
    }
    size_t n;
    char *text = json_mut_write(s->a, list, &n);
    return cli_print_tree(o, text, n, e);
}

static int show_items(struct session *s, const struct handover_item *items, enum output o,
                      struct err *e) {
    if (o == OUT_JSON || o == OUT_YAML)
        return print_tree(s, items, o, e);
    show_handover(items);
    if (!items)
        puts("Nothing is held: nothing to hand over.");
    return 0;
}

struct handing {
    bool back;
    struct handover_item **items;
};

static int hand(struct session *s, void *ctx, struct err *e) {
    struct handing *h = ctx;
    int r = stage_handover(s, h->back, false, h->items, e);
    return r > 0 ? -EREMOTEIO : r;
}

static int work(struct session *s, const struct common *m, bool back, bool dry_run, struct err *e) {
    struct handover_item *items = NULL;
    AUTO_SB q = SB_INIT(0);
    char to = back ? s->source : s->destination;
    sb_fmt(&q, "let the singletons act in %c instead of %c", to, back ? s->destination : s->source);
    int r = dry_run ? 0 : cli_confirm(m, q.p, e);
    if (r < 0)
        return r;
    struct handing h = {back, &items};
    r = dry_run ? stage_handover(s, back, true, &items, e)
                : run_announce(s, back ? "deactivate" : "activate", NEED_CLUSTERS, hand, &h, e);
    struct err show = {0};
    if ((items || r >= 0) && show_items(s, items, m->output, &show) < 0 && r >= 0) {
        *e = show;
        return show.code;
    }
    return r > 0 ? -1 : r;
}

int cmd_activate(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    bool dry_run = false;
    const struct option_row rows[] = {
        {"dry-run", 0, OPT_FLAG, &dry_run, NULL, "only list what would change hands"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    unsigned journal = dry_run || m.session.read_only ? NEED_JOURNAL_IF_ANY : NEED_JOURNAL;
    bool back = str_eq(c->name, "deactivate");
    unsigned live = journal == NEED_JOURNAL && !back ? NEED_LIVE : 0;
    int r = cli_open(&m, NEED_CLUSTERS | journal | live, &s, &e);
    if (r >= 0)
        r = work(s, &m, back, dry_run || m.session.read_only, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
