#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "kube/client_impl.h"

/* A read above SLOW_NS says that the API server has enough to do: the next one comes PAUSE_MS
 * later. Cancellation is looked at every POLL_MS. In the background one lets others go first for
 * PATIENT_MS. */
#define SLOW_NS 2000000000u
enum { PAUSE_MS = 250, POLL_MS = 50, PATIENT_MS = 2000 };

void gate_init(struct gate *g, unsigned max) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->room, &attr);
    pthread_condattr_destroy(&attr);
    g->max = max;
}

void gate_done(struct gate *g) {
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->room);
}

static bool stopped(const struct http_cancel *c) {
    return c && atomic_load(&c->stop);
}

static struct timespec soon(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += POLL_MS * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

static void pause_unless_stopped(const struct http_cancel *c) {
    for (unsigned ms = 0; ms < PAUSE_MS && !stopped(c); ms += POLL_MS)
        clock_sleep_ms(POLL_MS);
}

static bool is_full(const struct gate *g, bool gives_way) {
    return g->max && (g->used >= g->max || (gives_way && g->waiting));
}

int gate_enter(struct gate *g, bool background, const struct http_cancel *cancel) {
    pthread_mutex_lock(&g->lock);
    g->waiting += !background;
    uint64_t patient = clock_now_ms() + PATIENT_MS;
    while (is_full(g, background && clock_now_ms() < patient) && !stopped(cancel)) {
        struct timespec t = soon();
        pthread_cond_timedwait(&g->room, &g->lock, &t);
    }
    g->waiting -= !background;
    if (stopped(cancel)) {
        pthread_mutex_unlock(&g->lock);
        return -ESTOPPED;
    }
    g->used++;
    bool slow = g->slow;
    g->slow = false;
    pthread_mutex_unlock(&g->lock);
    if (slow)
        pause_unless_stopped(cancel);
    return 0;
}

void gate_leave(struct gate *g, uint64_t took_ns) {
    pthread_mutex_lock(&g->lock);
    g->used--;
    g->slow = g->slow || took_ns > SLOW_NS;
    pthread_cond_broadcast(&g->room); /* who is woken alone may have to let another go first */
    pthread_mutex_unlock(&g->lock);
}
