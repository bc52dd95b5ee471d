#include "cli/commands.h"
#include "run/ask.h"
#include "run/run.h"

/* What live sync asks about has a kind or a reference for a name, or one of two words. */
static bool is_of_sync(const char *word) {
    return str_eq(word, "deletes") || str_eq(word, "restore") || strchr(word, '/') ||
           (*word >= 'A' && *word <= 'Z');
}

static int work(struct session *s, const char *word, const char *reason, struct err *e) {
    const char *said = "";
    bool stage = !word || !is_of_sync(word);
    if (word && stage && run_stage_of(word, e) < 0)
        return -EUSAGE;
    int r = ask_approve(s, stage ? word : NULL, stage ? NULL : word, reason, &said, e);
    if (r >= 0)
        printf("approved by %s: %s\n", s->actor, said);
    return r;
}

int cmd_approve(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    const char *reason = NULL;
    const struct option_row rows[] = {
        {"reason", 0, OPT_STRING, &reason, "TEXT", "why, for the record"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = cli_open(&m, NEED_JOURNAL | TOLERATE_BUSY | NEED_CONFIG_FILE | WALKS_STAGES, &s, &e);
    if (r >= 0)
        r = work(s, args.n ? args.v[0] : NULL, reason, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
