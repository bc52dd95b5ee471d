#include "kube/pace.h"

#include <errno.h>

#include "base/clock.h"

/* An answer is late that took LATE_NS and LATE_TIMES as long as is usual: a webhook that always
 * takes a while is no reason to send less. Being late alone never leads below LATE_LEAST. */
#define LATE_NS 2000000000.0
#define CUT     0.7
enum { LATE_TIMES = 8, LATE_LEAST = 4, LATE_EVERY_NS = 1000000000, POLL_MS = 50, WEIGHT = 16 };

void pace_init(struct pace *p) {
    pthread_condattr_t attr;
    *p = (struct pace){.limit = PACE_MOST};
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, &attr);
    pthread_condattr_destroy(&attr);
}

void pace_done(struct pace *p) {
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->room);
}

static bool stopped(const struct http_cancel *c) {
    return c && atomic_load(&c->stop);
}

static void wait_soon(struct pace *p) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += POLL_MS * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&p->room, &p->lock, &t);
}

int pace_begin(struct pace *p, const struct http_cancel *cancel) {
    pthread_mutex_lock(&p->lock);
    while (p->used >= (unsigned)p->limit && !stopped(cancel))
        wait_soon(p);
    bool go = !stopped(cancel);
    p->used += go;
    pthread_mutex_unlock(&p->lock);
    return go ? 0 : -ESTOPPED;
}

static void less(struct pace *p, uint64_t now, unsigned least) {
    double from = MIN(p->limit, (double)p->used);
    p->limit = MAX(from * CUT, MIN((double)least, p->limit));
    p->cut_ns = now;
}

/* One more in flight for each round of answers, but only where the limit is what holds us back. */
static void more(struct pace *p) {
    if (p->limit < PACE_MOST && p->used + 1 >= (unsigned)p->limit)
        p->limit = MIN(p->limit + 1 / p->limit, (double)PACE_MOST);
}

static bool is_late(struct pace *p, uint64_t took_ns) {
    double t = (double)took_ns;
    p->recent_ns = p->answers ? p->recent_ns + (t - p->recent_ns) / WEIGHT : t;
    /* The usual is the least of what is recent, and forgets slowly. */
    if (!p->answers || p->recent_ns < p->usual_ns)
        p->usual_ns = p->recent_ns;
    else
        p->usual_ns += (p->recent_ns - p->usual_ns) / 4096;
    p->answers++;
    return p->recent_ns > LATE_NS && p->recent_ns > LATE_TIMES * p->usual_ns;
}

/* What an API server answers that has too much to do, or whose store or balancer does. */
static bool is_too_much(int status) {
    return status == 429 || status == 503 || status == 504 || status == 0;
}

void pace_end(struct pace *p, int status, uint64_t took_ns) {
    uint64_t now = clock_now_ns();
    pthread_mutex_lock(&p->lock);
    if (is_too_much(status)) {
        if (now - took_ns >= p->cut_ns)
            less(p, now, 1);
    } else if (is_late(p, took_ns)) {
        if (now - p->cut_ns > LATE_EVERY_NS)
            less(p, now, LATE_LEAST);
    } else {
        more(p);
    }
    p->used--;
    pthread_cond_signal(&p->room);
    pthread_mutex_unlock(&p->lock);
}

unsigned pace_limit(struct pace *p) {
    pthread_mutex_lock(&p->lock);
    unsigned n = (unsigned)p->limit;
    pthread_mutex_unlock(&p->lock);
    return n;
}
