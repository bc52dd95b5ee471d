#include <errno.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "run/notice.h"
#include "run/stages.h"
#include "run/switch.h"

struct cutover_cli {
    const char *to, *steps;
    uint64_t hold_ms;
    bool no_probe, force;
};

static void watch(void *ctx UNUSED, struct session *s, int percent, uint64_t left_ms,
                  const struct probe_stats *p) {
    static int said = -1;
    char t[CLOCK_RFC3339_MAX];
    if (percent != said)
        log_info("%3d %% of the live traffic goes to %c", percent, s->destination);
    said = percent;
    if (p)
        log_progress("%d %% on %c, %s left; probe: %llu ok, %llu lost, p99 %.0f ms", percent,
                     s->destination, clock_human(left_ms, t), (unsigned long long)p->ok,
                     (unsigned long long)p->lost, p->p99_ms);
    else
        log_progress("%d %% on %c, %s left", percent, s->destination, clock_human(left_ms, t));
}

/* "5,25,100" */
static int parse_steps(struct session *s, const char *text, int **ret, size_t *n, struct err *e) {
    AUTO_STRVEC parts = {0};
    strvec_split(&parts, text, ',');
    int *out = arena_array(s->a, int, parts.n + 1), last = 0;
    for (size_t i = 0; i < parts.n; i++) {
        uint64_t v;
        if (str_u64(parts.v[i], &v) < 0 || v < 1 || v > 100 || (int)v <= last)
            return err_set(e, -EUSAGE,
                           "--steps: \"%s\": percentages from 1 to 100 in rising "
                           "order, like 5,25,100",
                           text);
        out[i] = last = (int)v;
    }
    if (!parts.n)
        return err_set(e, -EUSAGE, "--steps is empty");
    *ret = out;
    *n = parts.n;
    return 0;
}

static int check_ready(struct session *s, const struct cutover_cli *o, struct err *e) {
    if (o->to && (strlen(o->to) != 1 || (*o->to != 'a' && *o->to != 'b')))
        return err_set(e, -EUSAGE, "--to: \"%s\" is neither a nor b", o->to);
    if (o->to && *o->to != s->destination)
        return err_set(e, -EGUARD,
                       "%s is the source of this run; the way back is `tandem "
                       "switch-back`",
                       o->to);
    if (!s->run_open || !session_stage_done(s, "migrate", MIGRATE_ALL))
        return err_set(e, -EGUARD,
                       "no migration of this environment has ended well: `tandem "
                       "migrate` first");
    if (!session_stage_done(s, "activate", NULL))
        log_warn("the singletons still act in %c: `tandem activate` hands them over", s->source);
    return 0;
}

/* Only the clusters tell whether the run is still this journal's. For the traffic they are not
 * needed: it goes on without, takes no Lease and tells them nothing, so that nothing of it has to
 * be waited for on the way back. */
static int check_record(struct session *s, struct err *e) {
    int r = session_reach(s, NEED_CLUSTERS | TOLERATE_DEAD, e);
    if (r >= 0)
        r = record_no_other(s, e);
    session_leave(s);
    return r;
}

/* What is, not what was asked for: steps that the traffic is beyond are left out. */
static void print_result(struct session *s, int asked) {
    int now = switch_observe(s, NULL);
    if (now > asked)
        printf("nothing was moved: less traffic on %c is the way back, which goes all the way\n",
               s->destination);
    printf("%d %% of the live traffic goes to %c. The way back: tandem switch-back\n",
           now < 0 ? asked : now, s->destination);
}

static int move(struct session *s, void *ctx, struct err *e) {
    return switch_cutover(s, ctx, e);
}

static int work(struct session *s, const struct common *m, const struct cutover_cli *o,
                struct err *e) {
    int *steps = s->cfg->steps;
    size_t n = s->cfg->n_steps;
    int r = o->steps ? parse_steps(s, o->steps, &steps, &n, e) : 0;
    if (r >= 0)
        r = check_ready(s, o, e);
    AUTO_SB q = SB_INIT(0);
    sb_fmt(&q, "move the live traffic to %c", s->destination);
    if (r >= 0)
        r = cli_confirm(m, q.p, e);
    if (r >= 0)
        r = check_record(s, e);
    if (r < 0)
        return r;
    struct switch_opts so = {.steps = steps,
                             .n_steps = n,
                             .hold_ms = o->hold_ms ? o->hold_ms : s->cfg->hold_ms,
                             .no_probe = o->no_probe,
                             .force = o->force,
                             .watch = watch};
    r = run_announce(s, "switch", 0, move, &so, e);
    log_progress_end();
    if (r >= 0)
        print_result(s, steps[n - 1]);
    return r;
}

int cmd_cutover(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct cutover_cli o = {0};
    const struct option_row rows[] = {
        {"to", 0, OPT_STRING, &o.to, "a|b", "the destination, to be sure"},
        {"steps", 0, OPT_STRING, &o.steps, "P,P,…", "percentages, like 5,25,100"},
        {"hold", 0, OPT_DURATION, &o.hold_ms, "TIME", "between steps"},
        {"no-probe", 0, OPT_FLAG, &o.no_probe, NULL, "send no requests of its own"},
        {"force", 0, OPT_FLAG, &o.force, NULL, "even to a back end without a healthy server"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = cli_open(&m, NEED_TRAFFIC | NEED_JOURNAL | NEED_CONFIG_FILE | NEED_LIVE, &s, &e);
    if (r >= 0)
        r = work(s, &m, &o, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
