#include "probe/prober.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#include "base/clock.h"

enum {
    RATE_MAX = 100000,
    TIMEOUT_MAX_MS = 60000,
    IN_FLIGHT_MIN = 64,
    IN_FLIGHT_MAX = 8192,
    DESCRIPTORS_SPARE = 512, /* left to the rest of the process */
    HEAD_START_MS = 5,       /* so that request 0 is not late for the threads' start */
};

/* --- configuration --- */

static int check(const struct probe_config *c, struct err *e) {
    if (!(c->rate > 0) || c->rate > RATE_MAX)
        return err_set(e, -EINVAL, "the probe's rate, %g/s, must be above 0 and at most %d",
                       c->rate, RATE_MAX);
    if (c->timeout_ms > TIMEOUT_MAX_MS)
        return err_set(e, -EINVAL, "the probe's timeout, %u ms, must be at most %d", c->timeout_ms,
                       TIMEOUT_MAX_MS);
    if (c->expect_status && (c->expect_status < 200 || c->expect_status > 599))
        return err_set(e, -EINVAL, "the probe expects status %d, which no answer has",
                       c->expect_status);
    return 0;
}

static void copy_config(struct probe *p, const struct probe_config *from) {
    struct probe_config *c = &p->cfg;
    *c = *from;
    c->name = arena_strdup(p->a, str_empty(from->name) ? "probe" : from->name);
    c->url = arena_strdup(p->a, from->url);
    c->connect_to = arena_strdup(p->a, from->connect_to);
    c->identify_header = arena_strdup(p->a, from->identify_header);
    c->cookie = str_empty(from->cookie) ? NULL : arena_strdup(p->a, from->cookie);
    c->expect_body = str_empty(from->expect_body) ? NULL : arena_strdup(p->a, from->expect_body);
    c->ca_pem = NULL; /* already in the TLS context */
    c->users = from->users ? from->users : LANE_USERS;
    c->connections = from->connections ? from->connections : LANE_CONNECTIONS;
    c->timeout_ms = from->timeout_ms ? from->timeout_ms : LANE_TIMEOUT_MS;
    if (!from->lane_new && !from->lane_reused)
        c->lane_new = c->lane_reused = true;
}

/* --- descriptors --- */

/* A target that stops answering holds rate x timeout connections. The soft limit is raised to make
 * room for them, so that an outage is seen as an outage and not as our own shortage. */
static size_t in_flight_limit(const struct probe_config *c, unsigned lanes) {
    double all = c->rate * c->timeout_ms / 1000 * 1.25;
    size_t want = (size_t)MIN(MAX(all / lanes, (double)IN_FLIGHT_MIN), (double)IN_FLIGHT_MAX);
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return want;
    rlim_t need = (rlim_t)(want * 2 + c->connections) * lanes + DESCRIPTORS_SPARE;
    if (l.rlim_cur < need && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = MIN(need, l.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &l) < 0)
            getrlimit(RLIMIT_NOFILE, &l);
    }
    rlim_t spare =
        l.rlim_cur > 2 * DESCRIPTORS_SPARE ? l.rlim_cur - DESCRIPTORS_SPARE : l.rlim_cur / 2;
    return MIN(want, MAX((size_t)spare / lanes, (size_t)1));
}

/* --- start --- */

static uint64_t quota(const struct probe_config *c, unsigned lane, unsigned lanes) {
    return c->max_requests / lanes + (lane < c->max_requests % lanes);
}

static int lane_prepare(struct probe *p, bool reused, unsigned lanes, struct err *e) {
    struct lane *l = &p->lane[p->n_lanes];
    *l = (struct lane){.name = reused ? "reused" : "new",
                       .index = p->n_lanes,
                       .of = lanes,
                       .reused = reused,
                       .cfg = &p->cfg,
                       .target = &p->target,
                       .stats = p->stats,
                       .quota = quota(&p->cfg, p->n_lanes, lanes),
                       .max_in_flight = in_flight_limit(&p->cfg, lanes)};
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    p->n_lanes++;
    if (l->epoll < 0 || l->timer < 0 || l->wake < 0)
        return err_errno(e, errno, "open what the prober's lane \"%s\" waits on", l->name);
    return 0;
}

/* No signal is handled there; a broken pipe is an answer, not an end. */
static int lane_start(struct lane *l, struct err *e) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&l->thread, NULL, lane_run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return err_errno(e, r, "start the thread of the prober's lane \"%s\"", l->name);
    return 0;
}

static void lane_close(struct lane *l) {
    cleanup_fd(&l->epoll);
    cleanup_fd(&l->timer);
    cleanup_fd(&l->wake);
}

static void lane_stop(struct lane *l) {
    uint64_t one = 1;
    atomic_store(&l->stop, true);
    ssize_t n UNUSED = write(l->wake, &one, sizeof one);
}

static int prepare(struct probe *p, const struct probe_config *cfg, struct err *e) {
    unsigned lanes = (unsigned)p->cfg.lane_new + (unsigned)p->cfg.lane_reused;
    p->stats = stats_new(1e9 * lanes / cfg->rate);
    int r = target_init(&p->target, p->a, cfg, p->stats, e);
    if (r < 0)
        return r;
    if (p->cfg.lane_new)
        r = lane_prepare(p, false, lanes, e);
    if (r >= 0 && p->cfg.lane_reused)
        r = lane_prepare(p, true, lanes, e);
    if (r < 0)
        target_done(&p->target);
    return r;
}

static void release(struct probe *p) {
    for (unsigned i = 0; i < p->n_lanes; i++)
        lane_close(&p->lane[i]);
    stats_free(p->stats);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->stopping);
    arena_free(p->a);
    xfree(p);
}

static void join(struct probe *p, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        lane_stop(&p->lane[i]);
    for (unsigned i = 0; i < n; i++)
        pthread_join(p->lane[i].thread, NULL);
}

static int start_lanes(struct probe *p, struct err *e) {
    p->start = clock_now_ns() + HEAD_START_MS * 1000000u;
    p->start_wall = clock_wall_ms() + HEAD_START_MS;
    for (unsigned i = 0; i < p->n_lanes; i++)
        p->lane[i].start = p->start;
    for (unsigned i = 0; i < p->n_lanes; i++) {
        int r = lane_start(&p->lane[i], e);
        if (r < 0) {
            join(p, i);
            return r;
        }
    }
    return 0;
}

int probe_start(const struct probe_config *cfg, struct probe **ret, struct err *e) {
    int r = check(cfg, e);
    if (r < 0)
        return r;
    struct probe *p = xcalloc(1, sizeof *p);
    p->a = arena_new();
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->stopping, NULL);
    copy_config(p, cfg);
    r = prepare(p, cfg, e);
    if (r < 0) {
        release(p);
        return r;
    }
    r = start_lanes(p, e);
    if (r < 0) {
        target_done(&p->target);
        release(p);
        return r;
    }
    *ret = p;
    return 0;
}

/* --- stop --- */

void probe_stop(struct probe *p) {
    pthread_mutex_lock(&p->stopping);
    if (!p->end) { /* written under both locks, so either will do to read it */
        join(p, p->n_lanes);
        target_done(&p->target);
        pthread_mutex_lock(&p->lock);
        p->end = clock_now_ns();
        pthread_mutex_unlock(&p->lock);
    }
    pthread_mutex_unlock(&p->stopping);
}

void probe_free(struct probe *p) {
    if (!p)
        return;
    probe_stop(p);
    release(p);
}

bool probe_done(struct probe *p) {
    for (unsigned i = 0; i < p->n_lanes; i++)
        if (!atomic_load(&p->lane[i].finished))
            return false;
    return true;
}

/* --- what it has seen --- */

uint64_t probe_elapsed(struct probe *p) {
    pthread_mutex_lock(&p->lock);
    uint64_t at = p->end ? p->end : clock_now_ns();
    pthread_mutex_unlock(&p->lock);
    return at > p->start ? at - p->start : 0;
}

void probe_stats(struct probe *p, struct probe_stats *ret) {
    stats_total(p->stats, ret);
}

void probe_window(struct probe *p, uint32_t window_ms, struct probe_stats *ret) {
    stats_window(p->stats, probe_elapsed(p), window_ms, ret);
}

void probe_mark(struct probe *p, const char *label) {
    stats_mark(p->stats, probe_elapsed(p), label);
}
