#include "probe/hist.h"

#include <string.h>

/* Values below 2*HIST_SUB have a bucket each; above, the top six bits choose the bucket. */
static size_t bucket_of(uint64_t us) {
    if (us < HIST_SUB)
        return (size_t)us;
    unsigned top = 63u - (unsigned)__builtin_clzll(us); /* 5 .. */
    size_t i = (size_t)(top - 4) * HIST_SUB + (size_t)((us >> (top - 5)) - HIST_SUB);
    return MIN(i, (size_t)HIST_BUCKETS - 1);
}

/* The middle of the bucket. */
static uint64_t value_of(size_t i) {
    if (i < 2 * HIST_SUB)
        return i;
    unsigned shift = (unsigned)(i / HIST_SUB) - 1;
    uint64_t low = (uint64_t)(i % HIST_SUB + HIST_SUB) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

void hist_add(struct hist *h, uint64_t us) {
    h->n[bucket_of(us)]++;
    h->count++;
    h->max = MAX(h->max, us);
}

void hist_merge(struct hist *into, const struct hist *from) {
    if (!from->count)
        return;
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        into->n[i] += from->n[i];
    into->count += from->count;
    into->max = MAX(into->max, from->max);
}

void hist_reset(struct hist *h) {
    if (h->count)
        memset(h, 0, sizeof *h);
}

uint64_t hist_at(const struct hist *h, double q) {
    if (!h->count)
        return 0;
    double want = q * (double)h->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->n[i];
        if (h->n[i] && (double)seen >= want)
            return MIN(value_of(i), h->max);
    }
    return h->max;
}
