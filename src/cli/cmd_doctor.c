#include "cli/commands.h"
#include "run/doctor.h"

static void print_text(const struct session *s, const struct finding *f, const size_t *count) {
    for (int i = 0; i < 2; i++)
        if (s->cluster[i])
            printf("%s: %s at %s, by %s\n", i ? "B" : "A", s->version[i].git,
                   kube_auth_server(kube_client_auth(s->cluster[i])),
                   kube_auth_kind(kube_client_auth(s->cluster[i])));
    for (; f; f = f->next)
        printf("\n%-8s %s  [%s]\n         %s\n         -> %s\n", severity_name(f->severity),
               f->where, f->id, f->what, f->remedy);
    printf("\n%zu blockers, %zu warnings, %zu notes.\n", count[SEV_BLOCKER], count[SEV_WARNING],
           count[SEV_INFO]);
}

static int print_json(struct session *s, const struct common *m, const struct finding *f,
                      struct err *e) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (; f; f = f->next) {
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "id", f->id);
        json_mut_set_str(d, x, "severity", severity_name(f->severity));
        json_mut_set_str(d, x, "where", f->where);
        json_mut_set_str(d, x, "what", f->what);
        json_mut_set_str(d, x, "remedy", f->remedy);
        yyjson_mut_arr_append(list, x);
    }
    size_t n;
    char *text = json_mut_write(s->a, list, &n);
    return cli_print_tree(m->output, text, n, e);
}

static int work(struct session *s, const struct common *m, const char *target, struct err *e) {
    struct finding *f;
    size_t count[3] = {0};
    int r = doctor_examine(s, target, &f, e);
    if (r < 0)
        return r;
    for (const struct finding *i = f; i; i = i->next)
        count[i->severity]++;
    if (m->output == OUT_JSON || m->output == OUT_YAML)
        r = print_json(s, m, f, e);
    else
        print_text(s, f, count);
    return r < 0 ? r : count[SEV_BLOCKER] ? EXIT_REFUSED : count[SEV_WARNING] ? EXIT_DIFFERS : 0;
}

int cmd_doctor(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    const char *target = NULL;
    const struct option_row rows[] = {
        {"target", 0, OPT_STRING, &target, "VERSION", "look at A alone, for this version (1.37)"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    m.session.read_only = true;
    struct session *s = NULL;
    struct err e = {0};
    unsigned clusters = target ? NEED_A : NEED_CLUSTERS;
    int r = cli_open(&m, clusters | NEED_JOURNAL_IF_ANY | NEED_TRAFFIC_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &m, target, &e);
    code = r < 0 ? cli_fail(&e) : r;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
