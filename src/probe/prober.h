/* What a prober is made of, for the reports. */
#pragma once

#include "probe/lane.h"

struct probe {
    struct arena *a; /* strings of the configuration */
    struct probe_config cfg;
    struct target target;
    struct stats *stats;
    struct lane lane[LANES];
    unsigned n_lanes;
    uint64_t start;     /* clock_now_ns() */
    int64_t start_wall; /* ms */
    uint64_t end;       /* clock_now_ns() when it stopped; 0: it runs. Under `lock` */
    pthread_mutex_t lock;
    pthread_mutex_t stopping; /* held while somebody stops it, which takes up to the timeout */
};

/* Nanoseconds from the start until now, or until it stopped. */
uint64_t probe_elapsed(struct probe *p);
