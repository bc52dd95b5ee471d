/* The network thread: one epoll, and one multi handle for each lane, because that is what a
 * connection cache belongs to. curl_multi_socket_action() touches only the transfers that have
 * something to do; curl_multi_perform() polls every one of them each time. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/http_impl.h"

enum {
    CONNECTIONS_MAX = 512, /* kept open per lane */
    TICK_MS = 50,          /* how soon a cancel flag or a stall is noticed */
    EVENTS = 64,
};

struct lane {
    struct lane *next;
    struct http_client *client;
    char *name; /* NULL: the common one */
    CURLM *multi;
    uint64_t deadline_ms; /* when curl wants to be called; UINT64_MAX: not */
};

/* With the lock held, so that the descriptor is open. */
void loop_wake(struct http_client *c) {
    uint64_t one = 1;
    c->asleep = false;
    MUST(write(c->wake, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

static struct watch *watch_of(struct http_client *c, curl_socket_t fd) {
    size_t i = (size_t)fd;
    if (i >= c->n_watch) {
        size_t n = MAX(i + 1, c->n_watch * 2 + 64);
        c->watch = xrealloc(c->watch, n * sizeof *c->watch);
        memset(c->watch + c->n_watch, 0, (n - c->n_watch) * sizeof *c->watch);
        c->n_watch = n;
    }
    return &c->watch[i];
}

/* Errors are left alone: a descriptor that is gone needs no watching, and one that epoll refuses
 * runs into the request's time-out. */
static void arm(struct http_client *c, int fd, struct watch *w, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (w->armed == events)
        return;
    int op = !events ? EPOLL_CTL_DEL : w->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    epoll_ctl(c->epoll, op, fd, &ev);
    w->armed = events;
}

static int on_socket(CURL *easy UNUSED, curl_socket_t fd, int what, void *userp,
                     void *sockp UNUSED) {
    struct lane *lane = userp;
    struct watch *w = watch_of(lane->client, fd);
    w->lane = lane;
    w->want = 0;
    if (what != CURL_POLL_REMOVE)
        w->want = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (w->want || !w->ours)
        arm(lane->client, fd, w, w->want);
    return 0;
}

static int on_timer(CURLM *multi UNUSED, long ms, void *userp) {
    struct lane *lane = userp;
    /* One more, since the clock is rounded down. */
    lane->deadline_ms = ms < 0 ? UINT64_MAX : ms == 0 ? 0 : clock_now_ms() + (uint64_t)ms + 1;
    return 0;
}

curl_socket_t loop_opensocket(void *client, curlsocktype purpose UNUSED,
                              struct curl_sockaddr *addr) {
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd >= 0)
        *watch_of(client, fd) = (struct watch){.ours = true};
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

int loop_closesocket(void *client, curl_socket_t fd) {
    /* close() takes it out of the epoll. */
    *watch_of(client, fd) = (struct watch){0};
    return close(fd);
}

static struct lane *lane_new(struct http_client *c, const char *name) {
    struct lane *lane = xcalloc(1, sizeof *lane);
    lane->client = c;
    lane->name = name ? xstrdup(name) : NULL;
    lane->deadline_ms = UINT64_MAX;
    lane->multi = curl_multi_init();
    MUST(lane->multi);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
    curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    lane->next = c->lanes;
    c->lanes = lane;
    return lane;
}

static struct lane *lane_of(struct http_client *c, const char *name) {
    for (struct lane *lane = c->lanes; lane; lane = lane->next)
        if (str_eq(lane->name, name))
            return lane;
    return lane_new(c, name);
}

void loop_free_lanes(struct http_client *c) {
    for (struct lane *lane = c->lanes, *next; lane; lane = next) {
        next = lane->next;
        curl_multi_cleanup(lane->multi);
        xfree(lane->name);
        xfree(lane);
    }
}

static bool ticks(const struct call *call) {
    return call->req->cancel || call->req->stall_timeout_ms;
}

/* The caller owns the call, and may have freed it, once `done` is posted. */
static void finish(struct http_client *c, struct call *call) {
    curl_multi_remove_handle(call->lane->multi, call->easy);
    if (call->newer)
        call->newer->older = call->older;
    else
        c->active = call->older;
    if (call->older)
        call->older->newer = call->newer;
    c->ticking -= ticks(call);
    call->end_ns = clock_now_ns();
    MUST(sem_post(&call->done) == 0);
}

static void start(struct http_client *c, struct call *call, bool quit) {
    call->lane = lane_of(c, call->req->lane);
    call->newer = NULL;
    call->older = c->active;
    if (c->active)
        c->active->newer = call;
    c->active = call;
    c->ticking += ticks(call);
    CURLMcode m = quit ? CURLM_OK : curl_multi_add_handle(call->lane->multi, call->easy);
    if (quit || m != CURLM_OK) {
        call->fail = quit ? -ESTOPPED : -EIO;
        finish(c, call);
    }
}

static void reap(struct http_client *c, struct lane *lane) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(lane->multi, &left));) {
        char *p = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode result = m->data.result; /* m dies with the removal */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
        struct call *call = (struct call *)(void *)p;
        call->result = result;
        finish(c, call);
    }
}

static void act(struct http_client *c, struct lane *lane, curl_socket_t fd, int events) {
    int running;
    curl_multi_socket_action(lane->multi, fd, events, &running);
    reap(c, lane);
}

static void run_timers(struct http_client *c) {
    uint64_t now = clock_now_ms();
    for (struct lane *lane = c->lanes; lane; lane = lane->next) {
        if (lane->deadline_ms > now)
            continue;
        lane->deadline_ms = UINT64_MAX;
        act(c, lane, CURL_SOCKET_TIMEOUT, 0);
    }
}

static int verdict(const struct call *call, uint64_t now, bool quit) {
    if (quit || (call->req->cancel && atomic_load(&call->req->cancel->stop)))
        return -ESTOPPED;
    uint64_t stall = call->req->stall_timeout_ms;
    return stall && now > call->heard_ms + stall ? -ETIMEDOUT : 0;
}

static void tick(struct http_client *c, bool quit) {
    uint64_t now = clock_now_ms();
    if (!quit && (!c->ticking || now < c->tick_ms))
        return;
    c->tick_ms = now + TICK_MS;
    for (struct call *call = c->active, *older; call; call = older) {
        older = call->older;
        call->fail = verdict(call, now, quit);
        if (call->fail)
            finish(c, call);
    }
}

/* Milliseconds to sleep at most; -1: until woken. */
static int patience(const struct http_client *c) {
    uint64_t until = c->ticking ? c->tick_ms : UINT64_MAX;
    for (const struct lane *lane = c->lanes; lane; lane = lane->next)
        until = MIN(until, lane->deadline_ms);
    if (until == UINT64_MAX)
        return -1;
    uint64_t now = clock_now_ms();
    return until <= now ? 0 : (int)MIN(until - now, 60000u);
}

static void on_event(struct http_client *c, const struct epoll_event *ev) {
    int fd = ev->data.fd;
    if (fd == c->wake)
        return;
    struct watch *w = watch_of(c, fd);
    if (!w->want) {
        /* A connection at rest was closed by the server; curl sees that before it reuses it. */
        arm(c, fd, w, 0);
        return;
    }
    /* An error is found, with its reason, by the read or write that curl waits to do. */
    uint32_t on = ev->events & (EPOLLERR | EPOLLHUP) ? w->want : ev->events & w->want;
    int events = (on & EPOLLIN ? CURL_CSELECT_IN : 0) | (on & EPOLLOUT ? CURL_CSELECT_OUT : 0);
    act(c, w->lane, fd, events);
}

/* Takes over what was submitted. Otherwise promises, under the same lock, to sleep. */
static struct call *take_submitted(struct http_client *c, bool *quit, bool *end) {
    pthread_mutex_lock(&c->lock);
    struct call *first = c->submitted;
    c->submitted = NULL;
    c->tail = &c->submitted;
    c->asleep = !first;
    *quit = c->quit;
    *end = c->quit && !c->inside;
    pthread_mutex_unlock(&c->lock);
    return first;
}

static void stay_awake(struct http_client *c) {
    pthread_mutex_lock(&c->lock);
    c->asleep = false;
    pthread_mutex_unlock(&c->lock);
}

void *loop_main(void *client) {
    struct http_client *c = client;
    struct epoll_event ev[EVENTS];
    bool quit = false, end = false;
    /* Edge-triggered, so that it need not be read. */
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET, .data.fd = c->wake};
    MUST(epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->wake, &wake) == 0);
    for (;;) {
        struct call *call = take_submitted(c, &quit, &end);
        if (end)
            return NULL;
        bool more = call;
        for (struct call *next; call; call = next) {
            next = call->next;
            start(c, call, quit);
        }
        run_timers(c);
        tick(c, quit);
        int n = epoll_wait(c->epoll, ev, EVENTS, more ? 0 : patience(c));
        if (!more)
            stay_awake(c);
        for (int i = 0; i < n; i++)
            on_event(c, &ev[i]);
    }
}
