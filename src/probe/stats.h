/* What became of the requests: totals per lane, a series per second since the start, a ring of the
 * last two minutes, spells of loss, the first failures, marks.
 *
 * Lanes add samples, everybody else reads copies; one lock, held for microseconds. Times are
 * nanoseconds since the start. The series counts a request in the second in which it was due, which
 * is where a loss belongs on a time line; the ring counts it in the second in which its fate was
 * known, so that a window sees a timeout when it happens. */
#pragma once

#include <pthread.h>

#include "probe/hist.h"
#include "probe/why.h"

enum {
    LANES = 2,
    WHO_A = 0,
    WHO_B = 1,
    WHO_UNKNOWN = 2,
    WHO_NOBODY = 3,       /* no answer began */
    STATS_LIVE = 128,     /* seconds kept with histograms: the longest window plus timeout */
    STATS_POINTS = 21600, /* six hours by the second; then points are merged two by two */
    STATS_FAILURES = 100,
    STATS_MARKS = 256,
    STATS_SPELLS = 200,
    DETAIL_MAX = 96,
};

struct sample {
    uint64_t due, sent, done; /* ns since start; sent 0: never sent */
    unsigned lane;
    enum probe_why why;
    unsigned who; /* WHO_* */
    int status;   /* HTTP status, or 0 */
    const char *detail;
};

struct counts {
    uint32_t fate[PROBE_FATES];
    uint32_t by[3], lost_by[2];
};

struct point {
    struct counts c;
    uint32_t lost_lane[LANES];
    uint32_t p50_us, p99_us, max_us, lag_us; /* lag: the largest */
};

struct failure {
    uint64_t due, took;
    unsigned lane, who;
    enum probe_why why;
    int status;
    char detail[DETAIL_MAX];
};

/* Losses of one lane that follow each other closely. */
struct spell {
    uint64_t from, to; /* due times of the first and the last */
    uint64_t lost;
    unsigned lane;
};

struct mark {
    uint64_t at;
    char label[120];
    /* Answers due between this mark and the next: the first and the last of each cluster. */
    uint64_t first[2], last[2], n[2];
    bool before[2]; /* had each answered at all when the mark was made? */
};

struct lane_total {
    uint64_t sent, fate[PROBE_FATES], why[WHY_COUNT];
    uint64_t by[3], lost_by[2];
    uint64_t opened;      /* connections opened */
    uint64_t idle_closed; /* kept connections that the peer closed while nothing was asked */
    uint64_t announced;   /* kept connections that the peer ended with "Connection: close" */
    uint64_t fresh;       /* requests of the reused lane that went over a connection just opened */
    uint64_t peak;        /* most requests in flight at once */
    uint64_t cpu_ns;
    struct hist latency, lag;
};

/* Things a lane counts besides fates. */
enum stats_event { EVENT_OPENED, EVENT_IDLE_CLOSED, EVENT_ANNOUNCED, EVENT_FRESH };

struct live {
    uint64_t second; /* which second this slot holds, plus one; 0: none */
    struct counts c;
    struct hist latency, lag;
};

struct stats {
    pthread_mutex_t lock;
    double period_ns; /* between two requests of one lane */
    struct lane_total lane[LANES];
    struct live window[STATS_LIVE]; /* by the second of the outcome */
    struct live recent[STATS_LIVE]; /* by the second in which it was due: histograms only */
    struct point *points;
    size_t n_points, cap_points;
    unsigned step_s; /* seconds per point */
    struct failure failure[STATS_FAILURES];
    size_t n_failures;
    struct spell spell[STATS_SPELLS];
    size_t n_spells;
    bool spells_full;
    struct mark mark[STATS_MARKS];
    size_t n_marks;
    uint64_t resolve_failures;
};

struct stats *stats_new(double period_ns);
void stats_free(struct stats *s);
/* A request has become due: counts it as sent. */
void stats_due(struct stats *s, unsigned lane, uint64_t in_flight);
/* Its one fate. */
void stats_add(struct stats *s, const struct sample *x);
void stats_event(struct stats *s, unsigned lane, enum stats_event ev);
void stats_cpu(struct stats *s, unsigned lane, uint64_t ns);
void stats_resolve_failed(struct stats *s);
void stats_mark(struct stats *s, uint64_t at, const char *label);
void stats_total(struct stats *s, struct probe_stats *ret);
void stats_window(struct stats *s, uint64_t now, uint32_t window_ms, struct probe_stats *ret);
/* A copy for the reports, with every point's percentiles filled in; stats_free() it. */
struct stats *stats_copy(struct stats *s);
uint64_t fate_sum(const uint64_t fate[PROBE_FATES]);
uint64_t fate_lost(const uint64_t fate[PROBE_FATES]);
uint32_t counts_lost(const struct counts *c);
uint32_t counts_sum(const struct counts *c);
