/* The command line: a table of commands, each in a file of its own, and options from tables.
 *
 * A command's file holds its usage text, its option table and a function that turns options into
 * calls of the libraries. Nothing is decided here. Results go to stdout, everything else to
 * stderr. Exit codes are those of docs/ARCHITECTURE.md. */
#pragma once

#include "base/log.h"
#include "kube/list.h"
#include "run/session.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_ERROR = 1,
    EXIT_DIFFERS = 2,
    EXIT_GATE = 3,
    EXIT_REFUSED = 4,
    EXIT_USAGE = 64,
    EXIT_STOPPED = 130,
};

enum output { OUT_TEXT, OUT_WIDE, OUT_NAME, OUT_JSON, OUT_YAML, OUT_SARIF };

/* Options that every command takes. */
struct common {
    struct session_opts session;
    struct strvec namespaces;
    enum output output;
    bool yes, help, man;
    const char *log_format;
    bool verbose, quiet;
};

enum option_kind { OPT_FLAG, OPT_STRING, OPT_LIST, OPT_UINT, OPT_DURATION, OPT_OUTPUT };

struct option_row {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum option_kind kind;
    void *target;    /* bool, const char *, struct strvec, unsigned, uint64_t (ms), enum output */
    const char *arg; /* its name in the help, or NULL */
    const char *help;
};

struct command {
    const char *name;
    const char *args;    /* "[plan.json]", for the usage line */
    const char *summary; /* one line */
    const char *text;    /* paragraphs for --help and the man page */
    const char *group;   /* heading in `tandem --help` */
    int (*run)(const struct command *c, int argc, char **argv);
    bool sarif; /* takes -o sarif too */
};

const struct command *commands_table(size_t *ret_n);

/* Parses argv (argv[0] is the command's name): rows of the command (name NULL ends them; may be
 * NULL) and the common ones. Positional arguments are returned in *ret_args. 0: go on; otherwise
 * *ret_exit is the exit code to end with (help was printed, or wrong use told). */
int cli_parse(const struct command *c, int argc, char **argv, const struct option_row *rows,
              struct common *m, struct strvec *ret_args, int *ret_exit);
void common_done(struct common *m);

/* Prints the error and maps it to an exit code. */
int cli_fail(const struct err *e);
/* "A: 214 reads, 0 writes. B: 61 reads, 0 writes." to stderr. */
void cli_print_counts(const struct session *s);
/* Asks on the terminal, or obeys --yes. 0, or -EGUARD when there is nobody to ask or the answer is
 * no. */
int cli_confirm(const struct common *m, const char *question, struct err *e);
/* One letter of `letters` that the user types after the question, in lower case; 0 when there is no
 * terminal to ask on, or the answer is none of them. */
int cli_choose(const char *question, const char *letters);
/* Prints JSON text as JSON (indented) or YAML. */
int cli_print_tree(enum output o, const char *json, size_t n, struct err *e);
/* SIGINT and SIGTERM set the flag; a second one ends the process. */
void cli_catch_stop(struct http_cancel *flag);
/* session_open with the common options and their signals. */
int cli_open(struct common *m, unsigned needs, struct session **ret, struct err *e);
/* Progress of reading, for session_world. */
void cli_reading(void *ctx, const char *kind, size_t objects);
