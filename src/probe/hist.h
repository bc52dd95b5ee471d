/* A histogram of durations with logarithmic buckets: 32 per doubling, so that a percentile is wrong
 * by 1.6 % at most, whatever the range. Values are microseconds. The caller locks. */
#pragma once

#include "base/util.h"

enum { HIST_SUB = 32, HIST_OCTAVES = 24, HIST_BUCKETS = HIST_SUB * HIST_OCTAVES };

struct hist {
    uint32_t n[HIST_BUCKETS];
    uint64_t count;
    uint64_t max;
};

void hist_add(struct hist *h, uint64_t us);
void hist_merge(struct hist *into, const struct hist *from);
void hist_reset(struct hist *h);
/* The value that a share q (0..1) of the values do not exceed; 0 when empty. */
uint64_t hist_at(const struct hist *h, double q);
