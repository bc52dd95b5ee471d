/* The prober at a given rate for a given time, beside a bare timer of the same rate, as one line of
 * JSON. Helper of tests/bench/probe.
 *
 *   probe_rate URL CONNECT_TO RATE SECONDS new|reused|both [CA.pem] */
#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "probe/probe.h"

enum { CA_MAX = 1 << 20, TIMER_RATE_MAX = 2000 };

/* What this machine's timers can do without any prober: how late a thread wakes up that does
 * nothing but sleep until the next moment of a schedule. Kept apart from the measured code. */
struct timer {
    double rate;
    size_t n;
    uint64_t *late; /* ns */
};

static void *timer_run(void *ctx) {
    struct timer *t = ctx;
    uint64_t start = clock_now_ns() + 5000000u;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    for (size_t i = 0; i < t->n; i++) {
        uint64_t due = start + (uint64_t)((double)i * 1e9 / t->rate);
        struct timespec at = {.tv_sec = (time_t)(due / 1000000000u),
                              .tv_nsec = (long)(due % 1000000000u)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
            continue;
        t->late[i] = clock_now_ns() - due;
    }
    return NULL;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double p99_ms(uint64_t *v, size_t n) {
    if (!n)
        return 0;
    qsort(v, n, sizeof *v, by_size);
    return (double)v[n - 1 - n / 100] / 1e6;
}

static int measure(struct probe_config *c, double seconds, struct err *e) {
    struct probe *p;
    struct timer t = {.rate = MIN(c->rate, (double)TIMER_RATE_MAX)};
    pthread_t thread;
    t.n = (size_t)(t.rate * seconds);
    t.late = xcalloc(t.n + 1, sizeof *t.late);
    int r = probe_start(c, &p, e);
    if (r < 0)
        return r;
    MUST(pthread_create(&thread, NULL, timer_run, &t) == 0);
    clock_sleep_ms((uint64_t)(seconds * 1000));
    probe_stop(p);
    pthread_join(thread, NULL);
    AUTO_ARENA a = arena_new();
    printf("{\"timer_lag_p99_ms\":%.4f,\"report\":%s}\n", p99_ms(t.late, t.n),
           probe_json(p, a, NULL));
    probe_free(p);
    xfree(t.late);
    return 0;
}

int main(int argc, char **argv) {
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    char *pem = NULL;
    if (argc < 6) {
        fprintf(stderr, "usage: probe_rate URL CONNECT_TO RATE SECONDS new|reused|both [CA.pem]\n");
        return 64;
    }
    int r = argc > 6 ? file_read(a, argv[6], CA_MAX, &pem, NULL, &e) : 0;
    struct probe_config c = {.url = argv[1],
                             .connect_to = argv[2],
                             .rate = strtod(argv[3], NULL),
                             .identify_header = "X-Cluster",
                             .ca_pem = pem,
                             .timeout_ms = 2000,
                             .lane_new = !str_eq(argv[5], "reused"),
                             .lane_reused = !str_eq(argv[5], "new")};
    if (r >= 0)
        r = measure(&c, strtod(argv[4], NULL), &e);
    if (r < 0)
        fprintf(stderr, "probe_rate: %s\n", err_msg(&e));
    return r < 0;
}
