#include "cli/demo.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/proc.h"
#include "migrate/object.h"
#include "probe/probe.h"

enum {
    STEP_TIMEOUT_MS = 600000,
    LIVE_EVERY_MS = 500,
    LINE_EVERY_MS = 5000,
    PLAN_MAX = 64 << 20,
    READY_MS = 60000,
    STAGES_MAX = 24
};

struct stage_time {
    const char *name;
    uint64_t ms;
};

struct demo {
    const struct demo_opts *o;
    struct arena *a;
    const char *source, *dir, *self, *config, *plan;
    struct strvec env; /* K=V of the bed, for children */
    struct map *vars;  /* NAME -> value */
    struct probe *probe;
    struct stage_time stage[STAGES_MAX];
    size_t n_stages;
    uint64_t started_ms;
};

static const char *var(const struct demo *d, const char *name) {
    const char *v = map_get(d->vars, name);
    return v ? v : "";
}

/* --- children, with the live line while they run --- */

struct child {
    struct arena *a;
    struct proc_run run;
    struct proc_result res;
    struct err err;
    int r;
    atomic_bool done;
};

static void *child_main(void *arg) {
    struct child *c = arg;
    c->r = proc_run(c->a, &c->run, &c->res, &c->err);
    atomic_store(&c->done, true);
    return NULL;
}

static void live_line(struct demo *d, const char *what, uint64_t since, bool plain) {
    struct probe_stats all, w;
    char t[CLOCK_RFC3339_MAX];
    clock_human(clock_now_ms() - since, t);
    if (!d->probe) {
        log_progress("  %s … %s", what, t);
        return;
    }
    probe_stats(d->probe, &all);
    probe_window(d->probe, 5000, &w);
    uint64_t known = MAX(w.by_a + w.by_b, (uint64_t)1);
    const char *fmt =
        "  %-12s %-7s | %6llu requests, %llu lost | last 5 s: A %3llu %%, B %3llu %%, "
        "p50 %.1f ms, p99 %.1f ms";
#define LIVE_ARGS                                                                                  \
    what, t, (unsigned long long)all.sent, (unsigned long long)all.lost,                           \
        (unsigned long long)(w.by_a * 100 / known), (unsigned long long)(w.by_b * 100 / known),    \
        w.p50_ms, w.p99_ms
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wformat-nonliteral\"");
    if (plain)
        log_info(fmt, LIVE_ARGS);
    else
        log_progress(fmt, LIVE_ARGS);
    _Pragma("GCC diagnostic pop");
#undef LIVE_ARGS
}

static void wait_child(struct demo *d, struct child *c, const char *what) {
    uint64_t since = clock_now_ms(), said = since;
    while (!atomic_load(&c->done)) {
        clock_sleep_ms(LIVE_EVERY_MS / 5);
        live_line(d, what, since, false);
        if (!log_is_tty() && d->probe && clock_now_ms() - said > LINE_EVERY_MS) {
            live_line(d, what, since, true);
            said = clock_now_ms();
        }
    }
    log_progress_end();
}

/* Runs argv; its output is printed when `show`. Exit codes up to `worst` are fine. */
static int run_child(struct demo *d, const char *what, const char *const *argv, int worst,
                     bool show, char **ret_out, struct err *e) {
    struct child c = {.a = d->a,
                      .run = {.argv = argv,
                              .env = (const char *const *)d->env.v,
                              .timeout_ms = STEP_TIMEOUT_MS,
                              .max_output = 8 << 20}};
    pthread_t t;
    MUST(pthread_create(&t, NULL, child_main, &c) == 0);
    wait_child(d, &c, what);
    pthread_join(t, NULL);
    if (c.r < 0) {
        *e = c.err;
        return c.r;
    }
    if (show)
        fputs(c.res.out, stdout);
    fflush(stdout);
    if (c.res.timed_out)
        return err_set(e, -ETIMEDOUT, "%s did not end in time", what);
    if (c.res.status > worst)
        return err_set(e, -EREMOTEIO, "%s ended with exit code %d:\n%s%s", what, c.res.status,
                       show ? "" : c.res.out, c.res.err_out);
    if (show)
        fputs(c.res.err_out, stderr);
    if (ret_out)
        *ret_out = c.res.out;
    return 0;
}

/* --- the bed --- */

static int bed(struct demo *d, const char *verb, const char *more1, const char *more2,
               const char *more3, char **ret_out, struct err *e) {
    const char *argv[] = {arena_printf(d->a, "%s/tests/bed/bed", d->source),
                          verb,
                          "--dir",
                          d->dir,
                          more1,
                          more2,
                          more3,
                          NULL};
    return run_child(d, arena_printf(d->a, "bed %s", verb), argv, 0, false, ret_out, e);
}

/* export NAME='value' or NAME=value */
static void read_env(struct demo *d, const char *text) {
    AUTO_STRVEC lines = {0};
    strvec_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *p = lines.v[i] + (str_starts(lines.v[i], "export ") ? 7 : 0);
        const char *eq = strchr(p, '=');
        if (!eq)
            continue;
        const char *v = eq + 1;
        size_t n = strlen(v);
        if (n >= 2 && (*v == '\'' || *v == '"') && v[n - 1] == *v) {
            v++;
            n -= 2;
        }
        char *name = arena_strndup(d->a, p, (size_t)(eq - p)), *value = arena_strndup(d->a, v, n);
        /* PATH is given as an addition to the caller's. */
        const char *path = getenv("PATH");
        char *mark = strstr(value, "$PATH");
        if (!mark)
            mark = strstr(value, "${PATH}");
        if (mark)
            value = arena_printf(d->a, "%.*s%s", (int)(mark - value), value, path ? path : "");
        map_put(d->vars, name, value);
        strvec_fmt(&d->env, "%s=%s", name, value);
    }
}

static int bring_up(struct demo *d, struct err *e) {
    char *env;
    log_info("Two control planes, HAProxy and simulated machines on this host (the first time the "
             "servers are built: about ten minutes)");
    int r = bed(d, "up", NULL, NULL, NULL, NULL, e);
    if (r >= 0)
        r = bed(d, "reset", "a", "b", "lb", NULL, e);
    if (r >= 0)
        r = bed(d, "env", NULL, NULL, NULL, &env, e);
    if (r >= 0)
        read_env(d, env);
    return r;
}

static int load_platform(struct demo *d, struct err *e) {
    const char *argv[] = {arena_printf(d->a, "%s/demo/load", d->source), "--context", "paas-a",
                          NULL};
    log_info("A sample platform for A");
    return run_child(d, "load", argv, 0, true, NULL, e);
}

/* http://127.0.0.1:17080 -> 127.0.0.1:17080 */
static const char *authority(struct demo *d, const char *url) {
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    return arena_strndup(d->a, p, strcspn(p, "/"));
}

static int write_config(struct demo *d, struct err *e) {
    const char *live = var(d, "BED_LIVE_URL");
    const char *text = arena_printf(
        d->a,
        "apiVersion: tandem.dev/v1\nkind: Environment\nmetadata: {name: demo}\n"
        "clusters:\n  a: {kubeconfig: %s, context: paas-a}\n"
        "  b: {kubeconfig: %s, context: paas-b}\n"
        "journal: %s/demo.db\n"
        "traffic:\n  tiers:\n    frontend:\n      driver: haproxy\n      sockets: [%s]\n"
        "      map: %s\n      live: {a: paas_a, b: paas_b}\n"
        "      prelive: {follows: idle, url: \"%s\"}\n"
        "  steps: [5, 50, 100]\n  hold: %llums\n"
        "probes:\n  pulse:\n    url: http://pulse.example.com/healthz\n    connectTo: %s\n"
        "    rate: 20/s\n    cookie: sid\n    identify: {header: X-Cluster}\n"
        "    abort: {failures: 1%%, window: 10s, atLeast: 50}\n"
        "smoke:\n"
        "  - {name: pulse, http: \"http://pulse.example.com/healthz\", expect: {status: 200}}\n"
        "  - {name: shop, http: \"http://www.example.com/\", expect: {status: 200}}\n",
        var(d, "KUBECONFIG"), var(d, "KUBECONFIG"), d->dir, var(d, "BED_HAPROXY_SOCKET"),
        var(d, "BED_HAPROXY_MAP"), var(d, "BED_PRELIVE_URL"),
        (unsigned long long)(d->o->hold_ms ? d->o->hold_ms : 5000), authority(d, live));
    d->config = arena_printf(d->a, "%s/tandem.yaml", d->dir);
    d->plan = arena_printf(d->a, "%s/plan.json", d->dir);
    static const char *const db[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < COUNT_OF(db); i++)
        unlink(arena_printf(d->a, "%s/demo.db%s", d->dir, db[i]));
    return file_write_atomic(d->config, text, strlen(text), 0600, e);
}

/* --- the prober --- */

static int wait_answering(struct demo *d, struct err *e) {
    struct http_client *http = http_client_new();
    struct http_req req = {.method = "GET",
                           .url = "http://pulse.example.com/healthz",
                           .connect_to = authority(d, var(d, "BED_LIVE_URL")),
                           .timeout_ms = 2000};
    uint64_t until = clock_now_ms() + READY_MS;
    int status = 0;
    while (status != 200 && clock_now_ms() < until) {
        struct http_resp resp = {0};
        status = http_do(http, d->a, &req, &resp, NULL, NULL) < 0 ? 0 : resp.status;
        if (status != 200)
            clock_sleep_ms(200);
    }
    http_client_free(http);
    return status == 200 ? 0 : err_set(e, -ETIMEDOUT, "the sample application does not answer");
}

static int start_probe(struct demo *d, struct err *e) {
    struct probe_config pc = {.name = "pulse",
                              .url = "http://pulse.example.com/healthz",
                              .connect_to = authority(d, var(d, "BED_LIVE_URL")),
                              .rate = d->o->rate ? d->o->rate : 200,
                              .identify_header = "X-Cluster",
                              .cookie = "sid"};
    int r = wait_answering(d, e);
    if (r < 0)
        return r;
    log_info("The prober sends %.0f requests a second to the live side from now on", pc.rate);
    return probe_start(&pc, &d->probe, e);
}

/* --- the upgrade --- */

static const struct step {
    const char *name;
    int worst; /* exit codes up to this are fine */
    const char *args[6];
} steps[] = {
    {"doctor", 2, {"doctor"}},
    {"plan", 0, {"plan", "--out", "PLAN"}},
    {"migrate", 0, {"migrate", "PLAN", "--yes"}},
    {"verify", 0, {"verify"}},
    {"plan again", 0, {"plan", "--detailed-exitcode"}},
    {"smoke", 0, {"smoke"}},
    {"activate", 0, {"activate", "--yes"}},
    {"cutover", 0, {"cutover", "--to", "b", "--yes"}},
    {"switch-back", 0, {"switch-back", "--yes"}},
    {"activate", 0, {"activate", "--yes"}},
    {"cutover", 0, {"cutover", "--to", "b", "--yes"}},
    {"verify", 0, {"verify"}},
    {"retire", 0, {"retire", "--yes"}},
    {"status", 0, {"status"}},
};

static int run_step(struct demo *d, const struct step *st, struct err *e) {
    const char *argv[12] = {d->self};
    size_t n = 1;
    AUTO_SB shown = SB_INIT(0);
    for (size_t i = 0; i < COUNT_OF(st->args) && st->args[i]; i++) {
        argv[n++] = str_eq(st->args[i], "PLAN") ? d->plan : st->args[i];
        sb_fmt(&shown, " %s", argv[n - 1]);
    }
    argv[n++] = "-f";
    argv[n++] = d->config;
    argv[n] = NULL;
    fprintf(stderr, "\n$ tandem%s -f %s\n", shown.p, d->config);
    probe_mark(d->probe, st->name);
    uint64_t start = clock_now_ms();
    int r = run_child(d, st->name, argv, st->worst, true, NULL, e);
    MUST(d->n_stages < STAGES_MAX);
    d->stage[d->n_stages++] = (struct stage_time){st->name, clock_now_ms() - start};
    return r;
}

static void fill_up(struct demo *d) {
    uint64_t want = d->o->requests ? d->o->requests : 10000;
    struct probe_stats st;
    uint64_t since = clock_now_ms();
    probe_mark(d->probe, "bake");
    for (probe_stats(d->probe, &st); st.sent < want; probe_stats(d->probe, &st)) {
        live_line(d, "bake", since, false);
        clock_sleep_ms(LIVE_EVERY_MS);
    }
    log_progress_end();
}

/* --- the report --- */

static yyjson_val *plan_counts_of(struct demo *d) {
    char *text;
    size_t n;
    yyjson_val *v;
    if (file_read(d->a, d->plan, PLAN_MAX, &text, &n, NULL) < 0 ||
        json_parse(d->a, text, n, &v, NULL) < 0)
        return NULL;
    return json_get(v, "counts");
}

static void stages_html(struct demo *d, struct sb *b) {
    char t[CLOCK_RFC3339_MAX];
    sb_str(b, "<div style=\"display:flex;gap:3rem;flex-wrap:wrap\"><div style=\"flex:1\">"
              "<h2>Stages</h2><table><tr><th>Stage</th><th>Time</th></tr>");
    for (size_t i = 0; i < d->n_stages; i++)
        sb_fmt(b, "<tr><td>%s</td><td>%s</td></tr>", d->stage[i].name,
               clock_human(d->stage[i].ms, t));
    sb_str(b, "</table></div><div style=\"flex:1\"><h2>Objects</h2>"
              "<table><tr><th>Verdict</th><th>Objects</th></tr>");
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_val *counts = plan_counts_of(d);
    MUST(counts); /* the demo has just made the plan */
    json_obj_foreach (counts, i, max, key, v) {
        if (json_int(v, 0) && verdict_of(yyjson_get_str(key)) != V_COUNT)
            sb_fmt(b, "<tr><td>%s</td><td>%lld</td></tr>", yyjson_get_str(key),
                   (long long)json_int(v, 0));
    }
    sb_str(b, "</table></div></div>");
}

static void report_text(struct demo *d, const struct probe_stats *st, const char *html) {
    char t[CLOCK_RFC3339_MAX];
    puts("\n──────────────── the upgrade ────────────────");
    for (size_t i = 0; i < d->n_stages; i++)
        printf("  %-12s %s\n", d->stage[i].name, clock_human(d->stage[i].ms, t));
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_val *counts = plan_counts_of(d);
    printf("\n  objects     ");
    json_obj_foreach (counts, i, max, key, v) {
        if (json_int(v, 0) && verdict_of(yyjson_get_str(key)) != V_COUNT)
            printf(" %s %lld", yyjson_get_str(key), (long long)json_int(v, 0));
    }
    uint64_t known = MAX(st->by_a + st->by_b, (uint64_t)1);
    printf("\n  requests     %llu in %s\n", (unsigned long long)st->sent,
           clock_human(clock_now_ms() - d->started_ms, t));
    printf("  lost         %llu\n", (unsigned long long)st->lost);
    printf("  answered by  A %.1f %%, B %.1f %%\n", (double)st->by_a * 100 / (double)known,
           (double)st->by_b * 100 / (double)known);
    printf("  latency      p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n", st->p50_ms, st->p99_ms,
           st->max_ms);
    if (st->not_measured)
        printf("  not measured %llu (this machine was short of ports)\n",
               (unsigned long long)st->not_measured);
    printf("  report       %s\n", html);
}

static int finish(struct demo *d, struct err *e) {
    struct probe_stats st;
    AUTO_SB extra = SB_INIT(0);
    char cwd[4096];
    const char *path = d->o->report ? d->o->report : "tandem-demo.html";
    probe_stop(d->probe);
    probe_stats(d->probe, &st);
    stages_html(d, &extra);
    int r = probe_write_html(d->probe, path, "A whole upgrade, seen by its clients", extra.p, e);
    const char *full =
        *path == '/' || !getcwd(cwd, sizeof cwd) ? path : arena_printf(d->a, "%s/%s", cwd, path);
    report_text(d, &st, r < 0 ? "(not written)" : full);
    if (r < 0)
        return r;
    if (st.lost)
        return err_set(e, -EPROTO, "%llu requests were lost", (unsigned long long)st.lost);
    return 0;
}

static int play(struct demo *d, struct err *e) {
    int r = bring_up(d, e);
    if (r >= 0)
        r = load_platform(d, e);
    if (r >= 0)
        r = write_config(d, e);
    if (r >= 0)
        r = start_probe(d, e);
    d->started_ms = clock_now_ms();
    for (size_t i = 0; r >= 0 && i < COUNT_OF(steps); i++)
        r = run_step(d, &steps[i], e);
    if (r >= 0)
        fill_up(d);
    if (d->probe && r >= 0)
        r = finish(d, e);
    return r;
}

static const char *own_path(struct arena *a) {
    char buf[4096];
    ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);
    return n > 0 ? arena_strndup(a, buf, (size_t)n) : "tandem";
}

int demo_run(const struct demo_opts *o, struct err *e) {
    struct demo d = {.o = o, .a = arena_new(), .vars = map_new()};
    d.source = o->source ? o->source : TANDEM_SOURCE_DIR;
    d.self = own_path(d.a);
    d.dir = o->bed ? o->bed : arena_printf(d.a, "/tmp/tandem-demo-%u", (unsigned)geteuid());
    int r = 0;
    if (!file_exists(arena_printf(d.a, "%s/tests/bed/bed", d.source)))
        r = err_set(e, -ENOENT,
                    "the demo needs the sources' tests/bed and demo folders; name the "
                    "checkout with --source (not in %s)",
                    d.source);
    if (r >= 0)
        r = play(&d, e);
    if (d.probe)
        probe_free(d.probe);
    if (!o->keep) {
        struct err down = {0};
        d.probe = NULL;
        if (bed(&d, "down", NULL, NULL, NULL, NULL, &down) < 0)
            log_warn("the bed in %s is still up: %s", d.dir, err_msg(&down));
    }
    strvec_done(&d.env);
    map_free(d.vars);
    arena_free(d.a);
    return r;
}
