#include "probe/lane.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/clock.h"

enum {
    EVENTS = 256,
    SCRATCH = 16 * 1024,
    BURST = 64, /* requests sent in a row before answers are looked at again */
    NICENESS = -10,
};

static const uint64_t ms_ns = 1000000u;

/* --- lists --- */

static void list_add(struct conn_list *l, struct conn *c) {
    c->prev = l->last;
    c->next = NULL;
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
    l->n++;
}

/* Keeps the list in the order of deadlines. Nearly always the place is the end; a request that has
 * waited for its connection is a little older than the last one. */
static void list_add_by_deadline(struct conn_list *l, struct conn *c) {
    struct conn *after = l->last;
    while (after && after->deadline > c->deadline)
        after = after->prev;
    c->prev = after;
    c->next = after ? after->next : l->first;
    if (c->next)
        c->next->prev = c;
    else
        l->last = c;
    if (after)
        after->next = c;
    else
        l->first = c;
    l->n++;
}

static void list_del(struct conn_list *l, struct conn *c) {
    if (c->prev)
        c->prev->next = c->next;
    else
        l->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        l->last = c->prev;
    c->prev = c->next = NULL;
    l->n--;
}

static void list_clear(struct conn_list *l) {
    while (l->first) {
        struct conn *c = l->first;
        list_del(l, c);
        conn_free(c);
    }
}

static struct conn_list *list_of(struct lane *l, const struct conn *c) {
    return c->state == CONN_IDLE ? &l->idle : c->state == CONN_LINGER ? &l->linger : &l->busy;
}

/* --- time --- */

static uint64_t since_start(const struct lane *l) {
    uint64_t now = clock_now_ns();
    return now > l->start ? now - l->start : 0;
}

/* When request n of this lane is due: the lanes take turns, so that together they are even. */
static uint64_t due_of(const struct lane *l, uint64_t n) {
    return (uint64_t)((double)(n * l->of + l->index) * 1e9 / l->cfg->rate);
}

static uint64_t timeout_ns(const struct lane *l) {
    return l->cfg->timeout_ms * ms_ns;
}

static bool sending(struct lane *l) {
    return !atomic_load_explicit(&l->stop, memory_order_relaxed) &&
           (!l->quota || l->next < l->quota);
}

/* --- fates --- */

/* "a", "b", or a name that ends so: "paas-a", "cluster_b". */
static unsigned who_of(const struct http1 *h) {
    size_t n = strlen(h->value);
    if (!h->identified || !n || (n > 1 && !strchr("-_./: ", h->value[n - 2])))
        return WHO_UNKNOWN;
    char last = h->value[n - 1] | 0x20;
    return last == 'a' ? WHO_A : last == 'b' ? WHO_B : WHO_UNKNOWN;
}

static bool status_fits(const struct lane *l, int status) {
    int want = l->cfg->expect_status;
    return want ? status == want : status >= 200 && status < 400;
}

static enum probe_why judge(const struct lane *l, const struct conn *c, unsigned who) {
    const struct http1 *h = &c->answer;
    if (!status_fits(l, h->status))
        return who <= WHO_B ? WHY_STATUS_CLUSTER : WHY_STATUS_FRONT;
    const char *want = l->cfg->expect_body;
    if (want && !memmem(sb_get(&h->body), h->body.len, want, strlen(want)))
        return WHY_BODY;
    return WHY_OK;
}

static void settle(struct lane *l, struct conn *c, enum probe_why why) {
    const struct http1 *h = &c->answer;
    struct sample x = {.due = c->due,
                       .sent = c->sent,
                       .done = since_start(l),
                       .lane = l->index,
                       .who = h->status ? who_of(h) : WHO_NOBODY,
                       .status = h->status,
                       .detail = c->detail};
    x.why = why == WHY_OK ? judge(l, c, x.who) : why;
    stats_add(l->stats, &x);
}

/* A request that never got as far as a connection. */
static void settle_unsent(struct lane *l, uint64_t due, uint64_t sent, enum probe_why why,
                          const char *detail) {
    struct sample x = {.due = due,
                       .sent = sent,
                       .done = MAX(since_start(l), due),
                       .lane = l->index,
                       .who = WHO_NOBODY,
                       .why = why,
                       .detail = detail};
    stats_add(l->stats, &x);
}

/* --- a connection after its answer --- */

static void linger(struct lane *l, struct conn *c) {
    c->state = CONN_LINGER;
    c->deadline = since_start(l) + LANE_LINGER_MS * ms_ns;
    list_add(&l->linger, c);
}

static void after_answer(struct lane *l, struct conn *c) {
    list_del(&l->busy, c);
    bool ended = c->peer_gone || c->answer.close;
    if (l->reused && ended)
        stats_event(l->stats, l->index, EVENT_ANNOUNCED);
    if (c->peer_gone) {
        conn_free(c);
    } else if (!l->reused || ended) {
        linger(l, c);
    } else if (l->idle.n >= l->cfg->connections) {
        conn_free(c); /* opened for a jam that is over */
    } else {
        c->state = CONN_IDLE;
        list_add(&l->idle, c);
    }
}

static void opened(struct lane *l, struct conn *c) {
    if (c->opening)
        l->opening--;
    c->opening = false;
}

/* The end of a busy connection and of its request. */
static void drop_busy(struct lane *l, struct conn *c, enum probe_why why) {
    settle(l, c, why);
    opened(l, c);
    list_del(&l->busy, c);
    conn_free(c);
}

static void drop_quiet(struct lane *l, struct conn *c) {
    if (c->state == CONN_IDLE)
        stats_event(l->stats, l->index, EVENT_IDLE_CLOSED);
    list_del(list_of(l, c), c);
    conn_free(c);
}

static void advance(struct lane *l, struct conn *c) {
    enum probe_why why = WHY_OK;
    enum conn_event event = conn_step(c, l->scratch, SCRATCH, &why);
    if (c->state != CONN_CONNECTING && c->state != CONN_TLS)
        opened(l, c);
    switch (event) {
    case CONN_GOES_ON: break;
    case CONN_CLOSED: drop_quiet(l, c); break;
    case CONN_ANSWERED:
        settle(l, c, WHY_OK);
        after_answer(l, c);
        break;
    case CONN_FAILED: drop_busy(l, c, why); break;
    }
}

/* --- sending --- */

static void compose(struct lane *l, uint64_t n) {
    const struct probe_config *cfg = l->cfg;
    sb_reset(&l->request);
    sb_str(&l->request, l->target->head);
    /* Every lane walks through all users, each lane from another place. */
    if (cfg->cookie)
        sb_fmt(&l->request, "Cookie: %s=u%llu\r\n", cfg->cookie,
               (unsigned long long)((n + l->index * cfg->users / 2) % cfg->users));
    sb_str(&l->request, l->reused ? "\r\n" : "Connection: close\r\n\r\n");
}

static bool may_open(const struct lane *l) {
    return !l->reused || l->opening < l->cfg->connections;
}

/* The kept connection that has rested longest, once the pool is full. */
static struct conn *take_idle(struct lane *l) {
    struct conn *c = l->idle.first;
    bool room = l->idle.n + l->busy.n < l->cfg->connections;
    if (!l->reused || !c || (room && may_open(l)))
        return NULL;
    list_del(&l->idle, c);
    c->fresh = false;
    return c;
}

static struct conn *open_new(struct lane *l, uint64_t due, uint64_t sent) {
    enum probe_why why;
    char detail[DETAIL_MAX];
    struct conn *c = conn_open(l->target, l->epoll, l->turn++, l->cfg->identify_header,
                               l->cfg->expect_body != NULL, l->request_max, &why, detail);
    if (!c) {
        settle_unsent(l, due, sent, why, detail);
        return NULL;
    }
    c->fresh = true;
    c->opening = true;
    l->opening++;
    stats_event(l->stats, l->index, EVENT_OPENED);
    if (l->reused)
        stats_event(l->stats, l->index, EVENT_FRESH);
    return c;
}

/* Over an idle connection, or else over a new one. */
static void launch(struct lane *l, uint64_t n, uint64_t due, uint64_t sent) {
    struct conn *c = take_idle(l);
    if (!c)
        c = open_new(l, due, sent);
    if (!c)
        return;
    c->due = due;
    c->sent = sent;
    c->deadline = sent + timeout_ns(l);
    compose(l, n);
    conn_request(c, l->request.p, l->request.len);
    list_add_by_deadline(&l->busy, c);
    advance(l, c);
}

/* --- requests without a connection --- */

static void wait_for_connection(struct lane *l, uint64_t n, uint64_t due, uint64_t sent) {
    struct waiting *w = xcalloc(1, sizeof *w);
    *w = (struct waiting){.n = n, .due = due, .sent = sent};
    *l->end_waiting = w;
    l->end_waiting = &w->next;
    l->n_waiting++;
}

static struct waiting take_waiting(struct lane *l) {
    struct waiting *w = l->first_waiting, copy = *w;
    l->first_waiting = w->next;
    if (!w->next)
        l->end_waiting = &l->first_waiting;
    l->n_waiting--;
    xfree(w);
    return copy;
}

static void launch_waiting(struct lane *l) {
    while (l->first_waiting && (l->idle.n || may_open(l))) {
        struct waiting w = take_waiting(l);
        launch(l, w.n, w.due, w.sent);
    }
}

static void send_one(struct lane *l, uint64_t n, uint64_t due) {
    uint64_t now = since_start(l);
    size_t in_flight = l->busy.n + l->n_waiting;
    stats_due(l->stats, l->index, in_flight + 1);
    if (now > due + LANE_LATE_MS * ms_ns)
        settle_unsent(l, due, 0, WHY_LATE, NULL);
    else if (in_flight >= l->max_in_flight)
        settle_unsent(l, due, now, WHY_TOO_MANY, NULL);
    else if (l->first_waiting || (!l->idle.n && !may_open(l)))
        wait_for_connection(l, n, due, now);
    else
        launch(l, n, due, now);
}

/* Returns whether more are due already. */
static bool send_due(struct lane *l) {
    for (unsigned i = 0; i < BURST; i++) {
        uint64_t due = due_of(l, l->next);
        if (!sending(l) || due > since_start(l))
            return false;
        send_one(l, l->next++, due);
    }
    return true;
}

/* --- the loop --- */

static void expire(struct lane *l) {
    uint64_t now = since_start(l);
    while (l->busy.first && l->busy.first->deadline <= now) {
        struct conn *c = l->busy.first;
        drop_busy(l, c, conn_timeout_why(c));
    }
    while (l->first_waiting && l->first_waiting->sent + timeout_ns(l) <= now) {
        struct waiting w = take_waiting(l);
        settle_unsent(l, w.due, w.sent, WHY_NO_CONNECTION, NULL);
    }
    while (l->linger.first && l->linger.first->deadline <= now) {
        struct conn *c = l->linger.first;
        list_del(&l->linger, c);
        conn_free(c);
    }
}

/* Sets the timer to whatever comes first: a request, or the end of somebody's patience. */
static void arm(struct lane *l) {
    uint64_t at = sending(l) ? due_of(l, l->next) : UINT64_MAX;
    if (l->busy.first)
        at = MIN(at, l->busy.first->deadline);
    if (l->first_waiting)
        at = MIN(at, l->first_waiting->sent + timeout_ns(l));
    if (l->linger.first)
        at = MIN(at, l->linger.first->deadline);
    if (at == l->armed || at == UINT64_MAX)
        return;
    l->armed = at;
    at += l->start;
    struct itimerspec t = {
        .it_value = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)}};
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void note_cpu(struct lane *l, bool now) {
    uint64_t second = since_start(l) / 1000000000u;
    if (!now && second == l->cpu_second)
        return;
    l->cpu_second = second;
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    stats_cpu(l->stats, l->index, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

static void handle(struct lane *l, const struct epoll_event *ev) {
    struct conn *c = ev->data.ptr;
    if (!c)
        return; /* the timer or the wake-up: the loop looks at both anyway */
    if (ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->peer_gone = c->state != CONN_CONNECTING;
    advance(l, c);
}

static void loop(struct lane *l) {
    struct epoll_event ev[EVENTS];
    bool more = false;
    while (sending(l) || l->busy.n || l->n_waiting) {
        arm(l);
        int n = epoll_wait(l->epoll, ev, EVENTS, more ? 0 : -1);
        for (int i = 0; i < n; i++)
            handle(l, &ev[i]);
        expire(l);
        launch_waiting(l);
        more = send_due(l);
        note_cpu(l, false);
    }
}

/* Best effort: a probe is worth little when the machine's load decides when it is sent. */
static void favour_this_thread(void) {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
}

static void watch(struct lane *l, int fd) {
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    MUST(epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0);
}

void *lane_run(void *ctx) {
    struct lane *l = ctx;
    l->armed = UINT64_MAX; /* nothing yet; 0 is the moment of the first request */
    favour_this_thread();
    l->end_waiting = &l->first_waiting;
    l->scratch = xmalloc(SCRATCH);
    l->request_max = strlen(l->target->head) + 128 + (l->cfg->cookie ? strlen(l->cfg->cookie) : 0);
    watch(l, l->timer);
    watch(l, l->wake);
    loop(l);
    note_cpu(l, true);
    list_clear(&l->busy);
    list_clear(&l->idle);
    list_clear(&l->linger);
    xfree(l->scratch);
    sb_done(&l->request);
    atomic_store(&l->finished, true);
    return NULL;
}
