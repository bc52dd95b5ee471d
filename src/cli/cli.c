#include "cli/cli.h"

#include <errno.h>
#include <libfyaml.h>
#include <signal.h>

#include "base/clock.h"

/* --- options --- */

struct parse {
    const struct command *c;
    const struct option_row *rows[2]; /* the command's, the common ones */
    struct err e;
};

static const struct option_row *find_row(const struct parse *p, const char *name, size_t n,
                                         char letter) {
    for (size_t t = 0; t < COUNT_OF(p->rows); t++)
        for (const struct option_row *r = p->rows[t]; r && r->name; r++)
            if (letter ? r->letter == letter : strlen(r->name) == n && !memcmp(r->name, name, n))
                return r;
    return NULL;
}

static const char *nearest_option(const struct parse *p, const char *name) {
    const char *names[64];
    size_t n = 0;
    for (size_t t = 0; t < COUNT_OF(p->rows); t++)
        for (const struct option_row *r = p->rows[t]; r && r->name && n < COUNT_OF(names); r++)
            names[n++] = r->name;
    return str_nearest(name, names, n);
}

static int unknown_option(struct parse *p, const char *arg) {
    char name[64];
    const char *at = arg + strspn(arg, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "="), at);
    const char *near = nearest_option(p, name);
    return err_set(&p->e, -EUSAGE, "unknown option %s%s%s%s; see `tandem %s --help`", arg,
                   near ? ", did you mean --" : "", near ? near : "", near ? "?" : "", p->c->name);
}

static int parse_output(const char *v, enum output *ret) {
    static const char *const names[] = {"text", "wide", "name", "json", "yaml", "sarif"};
    for (unsigned i = 0; i < COUNT_OF(names); i++)
        if (str_eq(v, names[i])) {
            *ret = i;
            return 0;
        }
    return -EINVAL;
}

static int set_option(struct parse *p, const struct option_row *r, const char *v) {
    uint64_t n;
    struct err e = {0};
    switch (r->kind) {
    case OPT_FLAG: *(bool *)r->target = true; return 0;
    case OPT_STRING: *(const char **)r->target = v; return 0;
    case OPT_LIST: strvec_split(r->target, v, ','); return 0;
    case OPT_UINT:
        if (str_u64(v, &n) < 0 || n > UINT32_MAX)
            return err_set(&p->e, -EUSAGE, "--%s: \"%s\" is not a number", r->name, v);
        *(unsigned *)r->target = (unsigned)n;
        return 0;
    case OPT_DURATION:
        if (clock_parse_duration(v, r->target, &e) < 0)
            return err_set(&p->e, -EUSAGE, "--%s: %s", r->name, err_msg(&e));
        return 0;
    case OPT_OUTPUT:
        if (parse_output(v, r->target) < 0 ||
            (*(enum output *)r->target == OUT_SARIF && !p->c->sarif))
            return err_set(&p->e, -EUSAGE, "-o: \"%s\" is none of text, wide, name, json, yaml", v);
        return 0;
    default: return 0;
    }
}

/* Takes one option and, when it is a separate word, its value. Returns words used, or negative. */
static int take_option(struct parse *p, int argc, char **argv) {
    const char *arg = argv[0], *v = NULL;
    const struct option_row *r;
    if (arg[1] == '-') {
        size_t n = strcspn(arg + 2, "=");
        r = find_row(p, arg + 2, n, 0);
        v = arg[2 + n] == '=' ? arg + 3 + n : NULL;
    } else {
        r = find_row(p, NULL, 0, arg[1]);
        v = arg[2] ? arg + 2 + (arg[2] == '=') : NULL;
    }
    if (!r)
        return unknown_option(p, arg);
    if (r->kind == OPT_FLAG) {
        if (v)
            return err_set(&p->e, -EUSAGE, "--%s takes no value", r->name);
        return set_option(p, r, NULL) < 0 ? -EUSAGE : 1;
    }
    int used = v ? 1 : 2;
    if (!v && argc < 2)
        return err_set(&p->e, -EUSAGE, "--%s needs a value (%s)", r->name, r->arg ? r->arg : "…");
    return set_option(p, r, v ? v : argv[1]) < 0 ? -EUSAGE : used;
}

static void print_rows(FILE *f, const struct option_row *r) {
    for (; r && r->name; r++) {
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", r->letter ? "-" : "",
                 r->letter ? r->letter : ' ', r->letter ? ", " : "   ", r->name, r->arg ? " " : "",
                 r->arg ? r->arg : "");
        fprintf(f, "  %-34s %s\n", left, r->help);
    }
}

static void print_help(const struct command *c, const struct option_row *rows,
                       const struct option_row *common) {
    printf("tandem %s: %s\n\nUsage: tandem %s%s%s [options]\n\n%s\n", c->name, c->summary, c->name,
           *c->args ? " " : "", c->args, c->text);
    if (rows && rows->name) {
        puts("\nOptions:");
        print_rows(stdout, rows);
    }
    puts("\nCommon options:");
    print_rows(stdout, common);
    puts("\nExit codes: 0 done, 1 error or failed check, 2 differences found, 3 waits at a gate,\n"
         "4 refused by a guard or no --yes, 64 wrong use, 130 stopped (can be resumed).");
}

/* roff, for the man page that the build makes of each command. */
static void roff_text(const char *s) {
    for (; *s; s++) {
        if (*s == '-')
            fputs("\\-", stdout);
        else if (*s == '\\')
            fputs("\\e", stdout);
        else
            putchar(*s);
    }
}

static void roff_rows(const struct option_row *r) {
    for (; r && r->name; r++) {
        printf(".TP\n");
        if (r->letter)
            printf("\\fB\\-%c\\fR, ", r->letter);
        printf("\\fB\\-\\-");
        roff_text(r->name);
        printf("\\fR%s%s\n", r->arg ? " " : "", r->arg ? r->arg : "");
        roff_text(r->help);
        putchar('\n');
    }
}

static void print_man(const struct command *c, const struct option_row *rows,
                      const struct option_row *common) {
    printf(".TH TANDEM-%s 1\n.SH NAME\ntandem\\-%s \\- ", c->name, c->name);
    roff_text(c->summary);
    printf("\n.SH SYNOPSIS\n.B tandem %s\n%s [options]\n.SH DESCRIPTION\n.nf\n", c->name, c->args);
    roff_text(c->text);
    printf("\n.fi\n");
    if (rows && rows->name) {
        printf(".SH OPTIONS\n");
        roff_rows(rows);
    }
    printf(".SH COMMON OPTIONS\n");
    roff_rows(common);
    printf(".SH EXIT STATUS\n0 done, 1 error or failed check, 2 differences found, 3 waits at a "
           "gate, 4 refused by a guard or no \\-\\-yes, 64 wrong use, 130 stopped.\n");
}

static int setup_log(struct common *m, struct err *e) {
    if (m->log_format && !str_eq(m->log_format, "text") && !str_eq(m->log_format, "json"))
        return err_set(e, -EUSAGE, "--log-format: \"%s\" is neither text nor json", m->log_format);
    log_setup(m->verbose ? LOG_DEBUG
              : m->quiet ? LOG_WARN
                         : LOG_INFO,
              str_eq(m->log_format, "json") ? LOG_JSON : LOG_TEXT);
    return 0;
}

/* At most one, and only where the usage line names one. */
static int check_args(struct parse *p, const struct strvec *args) {
    size_t most = *p->c->args ? 1 : 0;
    if (args->n <= most)
        return 0;
    return err_set(&p->e, -EUSAGE, "\"%s\" is one word too many; see `tandem %s --help`",
                   args->v[most], p->c->name);
}

int cli_parse(const struct command *c, int argc, char **argv, const struct option_row *rows,
              struct common *m, struct strvec *ret_args, int *ret_exit) {
    const struct option_row common[] = {
        {"config", 'f', OPT_STRING, &m->session.config, "FILE",
         "configuration (default: ./tandem.yaml)"},
        {"context-a", 0, OPT_STRING, &m->session.context_a, "NAME", "kubeconfig context of a"},
        {"context-b", 0, OPT_STRING, &m->session.context_b, "NAME", "kubeconfig context of b"},
        {"namespace", 'n', OPT_LIST, &m->namespaces, "NS[,NS]", "only these namespaces"},
        {"selector", 'l', OPT_STRING, &m->session.label_selector, "LABELS",
         "only objects with these labels"},
        {"read-only", 0, OPT_FLAG, &m->session.read_only, NULL,
         "no write of any kind leaves the process"},
        {"output", 'o', OPT_OUTPUT, &m->output, "FORMAT", "text, wide, name, json or yaml"},
        {"yes", 'y', OPT_FLAG, &m->yes, NULL, "do not ask"},
        {"log-format", 0, OPT_STRING, &m->log_format, "FORMAT", "text or json, for stderr"},
        {"verbose", 'v', OPT_FLAG, &m->verbose, NULL, "say more"},
        {"quiet", 'q', OPT_FLAG, &m->quiet, NULL, "warnings and errors only"},
        {"help", 'h', OPT_FLAG, &m->help, NULL, "this text"},
        {"man", 0, OPT_FLAG, &m->man, NULL, "the same as a man page (roff)"},
        {0},
    };
    struct parse p = {.c = c, .rows = {rows, common}};
    int r = 0;
    for (int i = 1; i < argc && r >= 0;) {
        if (str_eq(argv[i], "--")) {
            for (i++; i < argc; i++)
                strvec_add(ret_args, argv[i]);
        } else if (argv[i][0] == '-' && argv[i][1]) {
            r = take_option(&p, argc - i, argv + i);
            i += r > 0 ? r : 0;
        } else {
            strvec_add(ret_args, argv[i++]);
        }
    }
    if (r >= 0)
        r = check_args(&p, ret_args);
    if (r >= 0)
        r = setup_log(m, &p.e);
    m->session.namespaces = m->namespaces.n ? (const char *const *)m->namespaces.v : NULL;
    if (r < 0) {
        *ret_exit = cli_fail(&p.e);
        return -1;
    }
    if (m->help || m->man) {
        (m->man ? print_man : print_help)(c, rows, common);
        *ret_exit = EXIT_DONE;
        return -1;
    }
    return 0;
}

void common_done(struct common *m) {
    strvec_done(&m->namespaces);
}

/* --- talking --- */

int cli_fail(const struct err *e) {
    log_progress_end();
    switch (e->code) {
    case -EUSAGE: log_error("%s", err_msg(e)); return EXIT_USAGE;
    case -EGUARD: log_error("refused: %s", err_msg(e)); return EXIT_REFUSED;
    case -EGATE: log_warn("%s", err_msg(e)); return EXIT_GATE;
    case -ESTOPPED: log_warn("%s", err_msg(e)); return EXIT_STOPPED;
    default: log_error("%s", err_msg(e)); return EXIT_ERROR;
    }
}

void cli_print_counts(const struct session *s) {
    AUTO_SB b = SB_INIT(0);
    for (int i = 0; i < 2; i++) {
        uint64_t reads, writes;
        if (!s || !s->cluster[i])
            continue;
        kube_client_counts(s->cluster[i], &reads, &writes);
        sb_fmt(&b, "%s%c: %llu reads, %llu writes.", b.len ? " " : "", i ? 'B' : 'A',
               (unsigned long long)reads, (unsigned long long)writes);
    }
    log_progress_end();
    fflush(stdout); /* so that they also come last where both go to one file */
    if (b.len)
        log_info("%s", b.p);
}

int cli_confirm(const struct common *m, const char *question, struct err *e) {
    if (m->session.read_only)
        return err_set(e, -EGUARD, "--read-only: %s would write", question);
    if (m->yes)
        return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return err_set(e, -EGUARD, "%s: nobody to ask here; say --yes", question);
    log_progress_end();
    fprintf(stderr, "%s? [y/N] ", question);
    char line[16] = "";
    if (fgets(line, sizeof line, stdin) && (*line == 'y' || *line == 'Y'))
        return 0;
    return err_set(e, -EGUARD, "%s: not confirmed", question);
}

int cli_choose(const char *question, const char *letters) {
    char line[16] = "";
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return 0;
    log_progress_end();
    fprintf(stderr, "%s? [", question);
    for (const char *p = letters; *p; p++)
        fprintf(stderr, "%s%c", p == letters ? "" : "/", *p);
    fputs("] ", stderr);
    if (!fgets(line, sizeof line, stdin) || !*line)
        return 0;
    int c = *line | 0x20;
    return strchr(letters, c) ? c : 0;
}

static int print_yaml(const char *json, size_t n, struct err *e) {
    struct fy_document *d = fy_document_build_from_string(NULL, json, n);
    char *text = d ? fy_emit_document_to_string(d, FYECF_MODE_BLOCK | FYECF_WIDTH_INF) : NULL;
    if (text)
        fputs(text, stdout);
    free(text); /* alloc-ok: made by libfyaml */
    fy_document_destroy(d);
    return text ? 0 : err_set(e, -EINVAL, "cannot be written as YAML");
}

int cli_print_tree(enum output o, const char *json, size_t n, struct err *e) {
    if (o == OUT_YAML)
        return print_yaml(json, n, e);
    AUTO_ARENA a = arena_new();
    yyjson_val *v;
    int r = json_parse(a, json, n, &v, e);
    if (r < 0)
        return r;
    yyjson_alc alc = arena_alc(a);
    char *text = yyjson_val_write_opts(v, YYJSON_WRITE_PRETTY_TWO_SPACES, &alc, NULL, NULL);
    puts(text ? text : "null");
    return 0;
}

/* --- sessions --- */

static struct http_cancel *g_cancel; /* what the signal handler may touch */

static void on_signal(int sig UNUSED) {
    if (!g_cancel || atomic_exchange(&g_cancel->stop, true))
        _exit(EXIT_STOPPED);
}

void cli_catch_stop(struct http_cancel *flag) {
    g_cancel = flag;
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

/* The kubeconfig's current context must not become the other cluster by accident. */
static int check_contexts(const struct session_opts *o, unsigned needs, struct err *e) {
    if ((needs & NEED_CLUSTERS) != NEED_CLUSTERS || o->config || !o->context_a == !o->context_b)
        return 0;
    return err_set(e, -EUSAGE, "--context-%c is missing: without -f both are needed",
                   o->context_a ? 'b' : 'a');
}

int cli_open(struct common *m, unsigned needs, struct session **ret, struct err *e) {
    int r = check_contexts(&m->session, needs, e);
    if (r >= 0)
        r = session_open(&m->session, needs, ret, e);
    if (r >= 0)
        cli_catch_stop(&(*ret)->cancel);
    return r;
}

void cli_reading(void *ctx UNUSED, const char *kind, size_t objects) {
    log_progress("reading both clusters: %zu objects (%s)", objects, kind);
}
