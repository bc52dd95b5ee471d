#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/commands.h"
#include "probe/probe.h"

struct probe_cli {
    const char *rate, *header, *cookie, *connect_to, *ca_file, *report, *json, *name;
    uint64_t duration_ms;
    unsigned requests, users, connections;
    uint64_t timeout_ms;
    bool insecure, only_new, only_reused;
};

static struct http_cancel stop;

static int read_rate(const char *text, double *ret, struct err *e) {
    char *end;
    double v = strtod(text ? text : "100/s", &end);
    if (end == text || !(v > 0) || v > 100000 || (*end && !str_eq(end, "/s")))
        return err_set(e, -EUSAGE, "--rate: \"%s\" is not a rate like 100/s", text ? text : "");
    *ret = v;
    return 0;
}

static int make_config(struct arena *a, const struct probe_cli *o, const char *url,
                       struct probe_config *pc, struct err *e) {
    *pc = (struct probe_config){.name = o->name ? o->name : url,
                                .url = url,
                                .connect_to = o->connect_to,
                                .identify_header = o->header ? o->header : "X-Cluster",
                                .cookie = o->cookie,
                                .users = o->users,
                                .connections = o->connections,
                                .timeout_ms = (uint32_t)o->timeout_ms,
                                .insecure = o->insecure,
                                .lane_new = o->only_new,
                                .lane_reused = o->only_reused,
                                .max_requests = o->requests};
    char *pem = NULL;
    int r = read_rate(o->rate, &pc->rate, e);
    if (r >= 0 && o->ca_file)
        r = file_read(a, o->ca_file, 1 << 20, &pem, NULL, e);
    pc->ca_pem = pem;
    return r;
}

static void live_line(struct probe *p, uint64_t ms) {
    struct probe_stats t, w;
    char d[CLOCK_RFC3339_MAX];
    probe_stats(p, &t);
    probe_window(p, 5000, &w);
    log_progress("%s  %llu sent, %llu lost, A %llu, B %llu; last 5 s: p50 %.1f p99 %.1f ms",
                 clock_human(ms, d), (unsigned long long)t.sent, (unsigned long long)t.lost,
                 (unsigned long long)t.by_a, (unsigned long long)t.by_b, w.p50_ms, w.p99_ms);
}

static void run_until_done(struct probe *p, const struct probe_cli *o) {
    uint64_t start = clock_now_ms();
    struct probe_stats st;
    for (;;) {
        uint64_t now = clock_now_ms() - start;
        probe_stats(p, &st);
        live_line(p, now);
        if (atomic_load(&stop.stop) || (o->duration_ms && now >= o->duration_ms) ||
            (o->requests && st.sent >= o->requests))
            return;
        clock_sleep_ms(200);
    }
}

/* "lost: 20 connect, 3 timeout" */
static void print_lost(const struct probe_stats *t) {
    const char *before = "lost: ";
    for (unsigned f = PROBE_OK + 1; f < PROBE_NOT_MEASURED; f++) {
        if (!t->fate[f])
            continue;
        printf("%s%llu %s", before, (unsigned long long)t->fate[f], probe_fate_name(f));
        before = ", ";
    }
    if (t->lost)
        puts("; --report and --json tell when, where and why");
}

static void print_totals(const struct probe_stats *t) {
    printf("%llu requests, %llu lost, %llu not measured; answered by A %llu, by B %llu; "
           "p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n",
           (unsigned long long)t->sent, (unsigned long long)t->lost,
           (unsigned long long)t->not_measured, (unsigned long long)t->by_a,
           (unsigned long long)t->by_b, t->p50_ms, t->p99_ms, t->max_ms);
    print_lost(t);
}

static int finish(struct probe *p, const struct common *m, const struct probe_cli *o,
                  struct arena *a, struct err *e) {
    struct probe_stats t;
    size_t n;
    int r = 0;
    probe_stop(p);
    probe_stats(p, &t);
    char *json = probe_json(p, a, &n);
    if (o->json)
        r = file_write_atomic(o->json, json, n, 0644, e);
    if (r >= 0 && o->report)
        r = probe_write_html(p, o->report, "Probe report", NULL, e);
    log_progress_end();
    if (r >= 0 && (m->output == OUT_JSON || m->output == OUT_YAML))
        r = cli_print_tree(m->output, json, n, e);
    else if (r >= 0)
        print_totals(&t);
    if (r >= 0 && o->report)
        log_info("report: %s", o->report);
    return r < 0 ? r : t.lost > 0;
}

static int work(const struct common *m, const struct probe_cli *o, const struct strvec *args,
                struct err *e) {
    AUTO_ARENA a = arena_new();
    struct probe_config pc;
    struct probe *p;
    if (args->n != 1)
        return err_set(e, -EUSAGE, "tandem probe takes one URL");
    int r = make_config(a, o, args->v[0], &pc, e);
    if (r >= 0)
        r = probe_start(&pc, &p, e);
    if (r < 0)
        return r;
    run_until_done(p, o);
    r = finish(p, m, o, a, e);
    probe_free(p);
    return r;
}

int cmd_probe(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct probe_cli o = {0};
    const struct option_row rows[] = {
        {"rate", 0, OPT_STRING, &o.rate, "N/s", "requests per second (default 100/s)"},
        {"duration", 0, OPT_DURATION, &o.duration_ms, "TIME", "stop after (default: ^C)"},
        {"requests", 0, OPT_UINT, &o.requests, "N", "stop after so many"},
        {"connect-to", 0, OPT_STRING, &o.connect_to, "HOST:PORT", "where TCP goes"},
        {"identify", 0, OPT_STRING, &o.header, "HEADER",
         "names the cluster that answered (default X-Cluster)"},
        {"cookie", 0, OPT_STRING, &o.cookie, "NAME", "cookie that carries a virtual user"},
        {"users", 0, OPT_UINT, &o.users, "N", "virtual users (default 1000)"},
        {"connections", 0, OPT_UINT, &o.connections, "N", "reused connections (default 20)"},
        {"timeout", 0, OPT_DURATION, &o.timeout_ms, "TIME", "of one request (default 5s)"},
        {"ca", 0, OPT_STRING, &o.ca_file, "FILE", "CA certificates for https"},
        {"insecure", 0, OPT_FLAG, &o.insecure, NULL, "do not verify TLS"},
        {"only-new", 0, OPT_FLAG, &o.only_new, NULL, "only new connections"},
        {"only-reused", 0, OPT_FLAG, &o.only_reused, NULL, "only reused connections"},
        {"name", 0, OPT_STRING, &o.name, "NAME", "in the report"},
        {"report", 0, OPT_STRING, &o.report, "FILE", "write an HTML page"},
        {"json", 0, OPT_STRING, &o.json, "FILE", "write everything as JSON"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct err e = {0};
    cli_catch_stop(&stop);
    int r = work(&m, &o, &args, &e);
    common_done(&m);
    return r < 0 ? cli_fail(&e) : r ? EXIT_DIFFERS : EXIT_DONE;
}
