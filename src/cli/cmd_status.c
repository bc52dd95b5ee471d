#include "base/clock.h"
#include "cli/commands.h"
#include "run/view.h"

enum { REDRAW_MS = 1000, DEEP_MS = 15000, TICK_MS = 100 };

enum how { SHOW_ONCE, SHOW_REDRAWN, SHOW_LINES };

/* Where nothing can be drawn over, a line for each change. */
static void show_line(const struct view *v) {
    static char last[1024];
    char t[CLOCK_RFC3339_MAX];
    AUTO_SB b = SB_INIT(sizeof last);
    view_line(v, &b);
    if (str_eq(last, sb_get(&b)))
        return;
    snprintf(last, sizeof last, "%s", sb_get(&b));
    printf("%s  %s\n", clock_rfc3339(clock_wall_ms(), t), last);
    fflush(stdout);
}

static int show(const struct view *v, const struct common *m, enum how how, struct err *e) {
    AUTO_SB b = SB_INIT(1 << 20);
    if (m->output == OUT_JSON || m->output == OUT_YAML) {
        size_t n;
        char *text = view_json(v, &n);
        return cli_print_tree(m->output, text, n, e);
    }
    if (how == SHOW_LINES) {
        show_line(v);
        return 0;
    }
    /* Over what stood there, and nothing left of it below. */
    if (how == SHOW_REDRAWN)
        sb_str(&b, "\033[H\033[J");
    view_text(v, log_colour(STDOUT_FILENO), &b);
    fwrite(b.p, 1, b.len, stdout);
    fflush(stdout);
    return 0;
}

/* A session of its own for each look: the run may begin, end or change hands meanwhile. */
static int look(struct common *m, unsigned needs, const struct view_deep *deep, enum how how,
                struct view_deep *ret_deep, struct http_cancel *stop, struct err *e) {
    struct session *s = NULL;
    struct view v;
    int r = session_open(&m->session, needs, &s, e);
    if (r >= 0)
        r = view_read(s, deep, &v, e);
    if (r >= 0 && !atomic_load(&stop->stop))
        r = show(&v, m, how, e);
    if (r >= 0) {
        *ret_deep = v.deep;
        ret_deep->back.open = false;
        ret_deep->losses.titles = NULL; /* of the session */
    }
    session_close(s);
    return r;
}

static int watch(struct common *m, unsigned needs, struct err *e) {
    enum how how = isatty(STDOUT_FILENO) ? SHOW_REDRAWN : SHOW_LINES;
    static struct http_cancel stop; /* the signal handler keeps its address */
    struct view_deep deep = {0};
    uint64_t deep_at = 0;
    int r = 0;
    cli_catch_stop(&stop);
    while (r >= 0 && !atomic_load(&stop.stop)) {
        uint64_t now = clock_now_ms();
        bool anew = !deep_at || now - deep_at > DEEP_MS;
        r = look(m, anew ? needs : needs & ~(unsigned)NEED_CLUSTERS, anew ? NULL : &deep, how,
                 &deep, &stop, e);
        if (anew)
            deep_at = now;
        while (!atomic_load(&stop.stop) && clock_now_ms() < now + REDRAW_MS)
            clock_sleep_ms(TICK_MS);
    }
    return r;
}

int cmd_status(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    bool follow = false;
    const struct option_row rows[] = {
        {"watch", 'w', OPT_FLAG, &follow, NULL, "once a second, until ^C"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    unsigned needs = NEED_CLUSTERS | TOLERATE_DEAD | NEED_JOURNAL_IF_ANY | NEED_TRAFFIC_IF_ANY;
    struct view v;
    int r = follow ? watch(&m, needs, &e) : cli_open(&m, needs, &s, &e);
    if (r >= 0 && !follow)
        r = view_read(s, NULL, &v, &e);
    if (r >= 0 && !follow)
        r = show(&v, &m, SHOW_ONCE, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
