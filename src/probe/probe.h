/* The prober: open-loop requests on an absolute schedule, lanes over new and over reused
 * connections, and the statistics that show whether a request was lost.
 *
 * Open loop: request i of a lane is due at start + i/rate whatever happened to the ones before, and
 * its latency counts from when it was due (no coordinated omission). A lane has threads of its own;
 * probe_* may be called from any thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

struct probe_config {
    const char *name;            /* "pulse" */
    const char *url;             /* as clients write it: live host name */
    const char *connect_to;      /* host:port where TCP goes, or NULL */
    double rate;                 /* requests per second in all, split evenly over the lanes */
    const char *identify_header; /* response header that names the cluster ("X-Cluster"), or NULL */
    const char *cookie;          /* name of a cookie that carries a virtual user's id, or NULL */
    unsigned users;              /* number of virtual users; 0: 1000 */
    unsigned connections;        /* reused connections; 0: 20 */
    uint32_t timeout_ms;         /* per request; 0: 5,000 */
    const char *ca_pem;          /* for https, NULL: the system's */
    bool insecure;
    int expect_status;          /* 0: any 2xx or 3xx */
    const char *expect_body;    /* substring, or NULL */
    bool lane_new, lane_reused; /* both false: both */
    uint64_t max_requests;      /* stop by itself after so many; 0: none */
};

/* A request that was due has exactly one fate. "not measured" is a shortage of our own machine
 * (no local port, no descriptor), never an outage. */
enum probe_fate {
    PROBE_OK,
    PROBE_STATUS,
    PROBE_BODY,
    PROBE_CONNECT,
    PROBE_TIMEOUT,
    PROBE_RESET,
    PROBE_TLS,
    PROBE_PROTOCOL,
    PROBE_NOT_MEASURED,
    PROBE_FATES,
};

struct probe;
int probe_start(const struct probe_config *cfg, struct probe **ret, struct err *e);
/* Stops making new requests, waits for those under way (bounded by the timeout). */
void probe_stop(struct probe *p);
void probe_free(struct probe *p); /* NULL is fine; stops first if need be */
/* True once max_requests were sent and all have their fate (or it was stopped). */
bool probe_done(struct probe *p);

/* Counts since start, or over the last window.
 *
 * sent counts every request that was due, so after probe_stop() it is ok + lost + not_measured. In
 * a window everything counts at the moment when its fate was known (a timeout is seen when it
 * happens), so there the sum always holds. by_a counts every answer that named A, failed ones too:
 * lost_a <= by_a. The share that B failed is lost_b / by_b. Latencies are those of OK requests. */
struct probe_stats {
    uint64_t sent, ok, lost, not_measured; /* lost: every fate but OK and NOT_MEASURED */
    uint64_t fate[PROBE_FATES];
    uint64_t by_a, by_b, by_unknown; /* who answered (identified) */
    uint64_t lost_a, lost_b;         /* failed answers that identified themselves */
    double p50_ms, p99_ms, max_ms;
    double lag_p99_ms;    /* how late requests were sent against the schedule */
    uint64_t idle_closed; /* kept connections closed by the peer while idle; 0 in a window */
};
void probe_stats(struct probe *p, struct probe_stats *ret);
/* Over the last window_ms (at most 120,000, whole seconds). */
void probe_window(struct probe *p, uint32_t window_ms, struct probe_stats *ret);

/* Marks a moment (a stage, a step) that the report shows on its time line. */
void probe_mark(struct probe *p, const char *label);

/* Everything as JSON: config, totals, per-lane, per-second series, marks, first failures with time,
 * lane and reason. Ends with no trailing newline. */
char *probe_json(struct probe *p, struct arena *a, size_t *ret_len);
/* One self-contained HTML file (no script from elsewhere, plots as inline SVG): answered by A and
 * by B over time, losses, latency percentiles over time, marks, table of lanes and fates.
 * `extra_html` (may be NULL) is put below the summary: trusted, from the caller. */
int probe_write_html(struct probe *p, const char *path, const char *title, const char *extra_html,
                     struct err *e);
const char *probe_fate_name(enum probe_fate f);
