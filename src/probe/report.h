/* One look at a prober, taken under its lock once and then read at leisure, with the figures that
 * both reports show. */
#pragma once

#include "probe/prober.h"

enum {
    PERIODS_UNSEEN = 2
}; /* an outage may begin one period before its first loss, end one after */

struct report {
    const struct probe *p;
    struct stats *s; /* a copy */
    struct probe_stats t;
    bool running;
    double elapsed_s;
    int64_t start_ms, end_ms;  /* wall clock */
    double availability;       /* per cent, rounded down; -1: nothing was measured */
    double lost_upper_percent; /* with 95 % confidence, when nothing was lost; else -1 */
    double spell_ms;           /* the longest spell of loss, first loss to last */
    uint64_t announced;        /* ends of kept connections that came with an answer */
    double cpu_us;             /* of processor time per request */
    double lag_max_ms;
};

void report_open(struct report *r, struct probe *p);
void report_close(struct report *r);
/* Wall clock, ms, of a moment of the run. */
int64_t report_wall(const struct report *r, uint64_t ns);
double spell_ms(const struct spell *x);
const char *who_name(unsigned who); /* "a", "b", "unknown", "" */
/* May a cluster be told from the answers? */
bool report_identifies(const struct report *r);
