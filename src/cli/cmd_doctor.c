#include "cli/commands.h"
#include "run/doctor.h"

enum { SHOWN_PER_ID = 8 };

static void print_head(const struct session *s) {
    for (int i = 0; i < 2; i++)
        if (s->cluster[i])
            printf("%s: %s at %s, by %s\n", i ? "B" : "A", s->version[i].git,
                   kube_auth_server(kube_client_auth(s->cluster[i])),
                   kube_auth_kind(kube_client_auth(s->cluster[i])));
}

static bool same_group(const struct finding *x, const struct finding *y) {
    return y && x->severity == y->severity && str_eq(x->id, y->id) && str_eq(x->remedy, y->remedy);
}

/* One id: its remedy once, and the objects below. Returns the first finding behind it. */
static const struct finding *print_group(const struct finding *f, bool all) {
    const struct finding *i = f;
    size_t n = 0, silenced = 0;
    for (; same_group(f, i); i = i->next) {
        n += !i->silenced;
        silenced += i->silenced != NULL;
    }
    if (!n && !all)
        return i;
    printf("\n  %s (%zu)%s%s\n", f->id, all ? n + silenced : n, f->remedy ? "  -> " : "",
           f->remedy ? f->remedy : "");
    size_t shown = 0;
    for (const struct finding *k = f; k != i; k = k->next) {
        if ((k->silenced && !all) || (!all && shown++ >= SHOWN_PER_ID))
            continue;
        printf("    %s%s%s: %s\n", k->where, k->field ? " " : "", k->field ? k->field : "",
               k->what);
        if (k->silenced)
            printf("      silenced: %s\n", k->silenced);
    }
    if (!all && n > SHOWN_PER_ID)
        printf("    and %zu more: --all\n", n - SHOWN_PER_ID);
    return i;
}

/* The two that nothing shows are always named; what a check cannot see, with --all. */
static void print_blind(bool all) {
    size_t n, rest = 0;
    const struct hazard *h = hazards_all(&n);
    printf("\nNot checkable from the two APIs:\n");
    for (size_t i = 0; i < n; i++) {
        if (h[i].blind && (all || !hazard_has_check(h[i].number)))
            printf("  H%d %s: look at %s\n", h[i].number, all ? h[i].blind : h[i].title, h[i].look);
        else
            rest += h[i].blind != NULL;
    }
    if (rest)
        printf("  and parts of %zu others: --all\n", rest);
}

static void print_text(const struct session *s, const struct doctor_report *r, bool all) {
    static const char *const titles[SEV_COUNT] = {"Notes", "Warnings", "Blockers"};
    print_head(s);
    int last = SEV_COUNT;
    for (const struct finding *f = r->f.first; f;) {
        if ((int)f->severity != last && (r->count[f->severity] || all))
            printf("\n%s\n", titles[f->severity]);
        last = (int)f->severity;
        f = print_group(f, all);
    }
    print_blind(all);
    printf("\n%zu blockers, %zu warnings, %zu notes", r->count[SEV_BLOCKER], r->count[SEV_WARNING],
           r->count[SEV_INFO]);
    if (r->silenced)
        printf(", %zu silenced%s", r->silenced, all ? "" : " (--all shows them)");
    printf(".\n");
}

static int print(struct session *s, const struct common *m, const struct doctor_report *r, bool all,
                 struct err *e) {
    size_t n;
    if (m->output == OUT_SARIF) {
        char *text = doctor_sarif(s->a, r, &n);
        return cli_print_tree(OUT_JSON, text, n, e);
    }
    if (m->output == OUT_JSON || m->output == OUT_YAML) {
        char *text = doctor_json(s->a, r, &n);
        return cli_print_tree(m->output, text, n, e);
    }
    print_text(s, r, all);
    return 0;
}

static int work(struct session *s, const struct common *m, const char *target, bool all,
                struct err *e) {
    struct doctor_report report;
    int r = doctor_examine(s, target, &report, e);
    if (r >= 0)
        r = print(s, m, &report, all, e);
    return r < 0                       ? r
           : report.count[SEV_BLOCKER] ? EXIT_REFUSED
           : report.count[SEV_WARNING] ? EXIT_DIFFERS
                                       : 0;
}

int cmd_doctor(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    const char *target = NULL;
    bool all = false;
    const struct option_row rows[] = {
        {"target", 0, OPT_STRING, &target, "VERSION", "look at A alone, for this version (1.37)"},
        {"all", 0, OPT_FLAG, &all, NULL, "every object, what is silenced, what no check sees"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    m.session.read_only = true;
    struct session *s = NULL;
    struct err e = {0};
    unsigned clusters = target ? NEED_A : NEED_CLUSTERS | TOLERATE_DENIED;
    int r = cli_open(&m, clusters | NEED_JOURNAL_IF_ANY | NEED_TRAFFIC_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &m, target, all, &e);
    code = r < 0 ? cli_fail(&e) : r;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
