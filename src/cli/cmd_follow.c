#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "run/following.h"
#include "run/notice.h"

struct follow_cli {
    bool reverse, until_synced;
    struct strvec approve;
    const char *metrics;
    uint64_t timeout_ms;
};

enum { HELD_MAX = 20, TICK_MS = 100, METRICS_MS = 1000 };

/* --- telling --- */

struct teller {
    enum following_state said;
    bool began;
};

static void say_state(const struct following_status *st) {
    char t[CLOCK_RFC3339_MAX];
    switch (st->state) {
    case FOLLOWING_READING: log_info("reading both clusters"); break;
    case FOLLOWING_LIVE:
        log_info("%c is in step with %c: %llu changes and %llu deletes carried, %llu watches open",
                 st->to, st->from, (unsigned long long)st->carried, (unsigned long long)st->deleted,
                 (unsigned long long)st->watches);
        break;
    case FOLLOWING_ASKS: log_warn("waits for a person: %s", st->why); break;
    case FOLLOWING_BROKEN:
        log_warn("behind by %s, trying again: %s", clock_human(st->oldest_ms, t), st->why);
        break;
    case FOLLOWING_STOPPED: break;
    }
}

static void tell(void *ctx, const struct following_status *st) {
    struct teller *l = ctx;
    char t[2][CLOCK_RFC3339_MAX];
    if (!l->began || l->said != st->state)
        say_state(st);
    l->began = true;
    l->said = st->state;
    log_progress("%s; %llu pending, oldest %s; %llu carried, %llu deleted%s%s%s",
                 following_state_name(st->state), (unsigned long long)st->pending,
                 st->oldest_ms ? clock_human(st->oldest_ms, t[0]) : "none",
                 (unsigned long long)st->carried, (unsigned long long)st->deleted,
                 st->asks ? "; deletes ask" : "", st->blocked ? "; some blocked" : "",
                 st->failing ? "; some fail" : "");
}

static void show_held(void *ctx, const char *ref, bool asks, const char *why) {
    size_t *n = ctx;
    AUTO_ARENA a = arena_new();
    printf("  %-7s %s\n          %s\n", asks ? "asks" : "blocked", object_ref_title(a, ref), why);
    ++*n;
}

/* --- metrics --- */

static const struct metric {
    const char *name, *type, *help;
    size_t at;
    bool seconds;
} metrics[] = {
#define AT(member) offsetof(struct following_status, member)
    {"tandem_follow_pending", "gauge", "Changes seen in the source and not in the destination.",
     AT(pending), false},
    {"tandem_follow_lag_seconds", "gauge", "Age of the oldest of them.", AT(oldest_ms), true},
    {"tandem_follow_asks", "gauge", "Deletes that wait for a person.", AT(asks), false},
    {"tandem_follow_blocked", "gauge", "Objects that cannot be carried until somebody acts.",
     AT(blocked), false},
    {"tandem_follow_failing", "gauge", "Changes that were refused and are tried again.",
     AT(failing), false},
    {"tandem_follow_carried_total", "counter", "Creates and changes carried.", AT(carried), false},
    {"tandem_follow_deleted_total", "counter", "Deletes carried.", AT(deleted), false},
    {"tandem_follow_watches", "gauge", "Open watches.", AT(watches), false},
    {"tandem_follow_heard_seconds", "gauge", "Since the source was last heard.", AT(heard_ms),
     true},
#undef AT
};

/* For node_exporter's textfile collector: replaced as a whole. */
static void write_metrics(const char *path, const struct following_status *st) {
    AUTO_SB b = SB_INIT(1 << 16);
    struct err e = {0};
    sb_fmt(&b,
           "# HELP tandem_follow_in_step 1 while every change is carried as it comes.\n"
           "# TYPE tandem_follow_in_step gauge\ntandem_follow_in_step{from=\"%c\",to=\"%c\"} %d\n",
           st->from, st->to, st->state == FOLLOWING_LIVE && !st->failing && !st->blocked);
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        const struct metric *m = &metrics[i];
        uint64_t v = *(const uint64_t *)((const char *)st + m->at);
        sb_fmt(&b, "# HELP %s %s\n# TYPE %s %s\n%s{from=\"%c\",to=\"%c\"} ", m->name, m->help,
               m->name, m->type, m->name, st->from, st->to);
        if (m->seconds)
            sb_fmt(&b, "%llu.%03llu\n", (unsigned long long)v / 1000, (unsigned long long)v % 1000);
        else
            sb_fmt(&b, "%llu\n", (unsigned long long)v);
    }
    if (file_write_atomic(path, b.p, b.len, 0644, &e) < 0)
        log_warn("%s", err_msg(&e));
}

/* --- approvals --- */

/* The words of --approve: each counts once, for what asks when both were read and nothing is under
 * way any more. */
struct approvals {
    const struct strvec *words;
    size_t next;
    uint64_t readings; /* that must have been since */
};

static void approve(struct following *g, const struct following_status *st, struct approvals *a) {
    const char *word = a->next < a->words->n ? a->words->v[a->next] : NULL;
    bool quiet = !st->pending || str_eq(word, "restore"); /* until then everything waits */
    bool settled = (st->state == FOLLOWING_LIVE || st->state == FOLLOWING_ASKS) && quiet &&
                   st->readings > a->readings;
    if (!settled || !word)
        return;
    a->next++;
    struct err e = {0};
    int r = following_approve(g, word, &e);
    if (r < 0)
        log_info("%s", err_msg(&e));
    else
        log_info("%d let go by --approve %s", r, word);
    if (r > 0 && str_eq(word, "restore"))
        a->readings = st->readings; /* what lacks in it is known after the next */
}

/* --- the command --- */

/* Until ^C, or (once) until the approvals are given. */
static int watch_over(struct session *s, struct following *g, const struct follow_cli *o, bool once,
                      struct err *e) {
    struct approvals a = {.words = &o->approve};
    uint64_t told = 0;
    while (!atomic_load(&s->cancel.stop)) {
        struct following_status st;
        following_status(g, &st);
        if (st.state == FOLLOWING_STOPPED)
            return err_set(e, -EIO, "live sync has ended by itself");
        approve(g, &st, &a);
        if (o->metrics && clock_now_ms() - told >= METRICS_MS) {
            write_metrics(o->metrics, &st);
            told = clock_now_ms();
        }
        if (once && a.next == o->approve.n)
            return 0;
        clock_sleep_ms(TICK_MS);
    }
    return once ? err_set(e, -ESTOPPED, "stopped before both were equal") : 0;
}

static void report(struct following *g, const struct common *m) {
    struct following_status st;
    size_t held = 0;
    following_status(g, &st);
    if (m->output == OUT_JSON) {
        printf(
            "{\"state\":\"%s\",\"pending\":%llu,\"oldestMs\":%llu,\"asks\":%llu,\"blocked\":%llu,"
            "\"failing\":%llu,\"carried\":%llu,\"deleted\":%llu}\n",
            following_state_name(st.state), (unsigned long long)st.pending,
            (unsigned long long)st.oldest_ms, (unsigned long long)st.asks,
            (unsigned long long)st.blocked, (unsigned long long)st.failing,
            (unsigned long long)st.carried, (unsigned long long)st.deleted);
        return;
    }
    printf("%llu changes and %llu deletes carried, %llu pending\n", (unsigned long long)st.carried,
           (unsigned long long)st.deleted, (unsigned long long)st.pending);
    following_each_held(g, HELD_MAX, show_held, &held);
}

/* *ret_code: an exit code for what is no error, or 0. */
static int work(struct session *s, const struct common *m, const struct follow_cli *o,
                int *ret_code, struct err *e) {
    struct following_status st;
    struct teller l = {0};
    struct following_opts fo = {.reverse = o->reverse, .tell = tell, .ctx = &l};
    struct following *g;
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "carry every change of %c to %c", o->reverse ? s->destination : s->source,
           o->reverse ? s->source : s->destination);
    int r = cli_confirm(m, q.p, e);
    if (r >= 0)
        r = record_no_other(s, e);
    if (r >= 0)
        r = following_start(s, &fo, &g, e);
    if (r < 0)
        return r;
    struct holder *h = NULL;
    r = holder_listen(s, following_answer, g, &h, e);
    if (r >= 0)
        r = watch_over(s, g, o, o->until_synced, e);
    if (r >= 0 && o->until_synced)
        r = following_drain(g, o->timeout_ms ? o->timeout_ms : UINT32_MAX, e);
    following_status(g, &st);
    *ret_code = r != -EBUSY ? 0 : st.asks || !st.blocked ? EXIT_GATE : EXIT_DIFFERS;
    log_progress_end();
    report(g, m);
    holder_close(h);
    following_stop(g);
    return r;
}

int cmd_follow(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct follow_cli o = {0};
    const struct option_row rows[] = {
        {"until-synced", 0, OPT_FLAG, &o.until_synced, NULL, "end as soon as both are equal"},
        {"timeout", 0, OPT_DURATION, &o.timeout_ms, "TIME", "longest wait of --until-synced"},
        {"approve", 0, OPT_LIST, &o.approve, "WHAT[,WHAT]",
         "once: let deletes go that ask: deletes (all), a kind, or restore (an older source)"},
        {"metrics", 0, OPT_STRING, &o.metrics, "FILE",
         "keep Prometheus metrics in a file, for a textfile collector"},
        {"reverse", 0, OPT_FLAG, &o.reverse, NULL,
         "from the destination to the source, after the switch"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = 0, special = 0;
    if (m.session.read_only)
        r = err_set(&e, -EGUARD, "--read-only: follow writes; `tandem plan` shows what differs");
    if (r >= 0)
        r = cli_open(&m, NEED_CLUSTERS | NEED_JOURNAL | NEED_TRAFFIC_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &m, &o, &special, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    code = special ? special : code;
    cli_print_counts(s);
    session_close(s);
    strvec_done(&o.approve);
    common_done(&m);
    return code;
}
