#include "run/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/holder_wire.h"

enum { GUESTS = 16, BACKLOG = 32 };

/* One connection: its line comes in, the answer goes out, and it is closed. */
struct guest {
    int fd; /* -1: free */
    uint64_t end_ms;
    struct sb in, out;
    size_t sent;
    bool answering;
};

struct holder {
    struct session *s;
    holder_fn fn;
    void *ctx;
    struct holder_place place;
    int fd, stop;
    dev_t dev;
    ino_t ino;
    pthread_t thread;
    struct guest guest[GUESTS];
};

/* --- guests --- */

static void guest_go(struct guest *g) {
    cleanup_fd(&g->fd);
    sb_done(&g->in);
    sb_done(&g->out);
    *g = (struct guest){.fd = -1};
}

static void guest_come(struct holder *h, struct guest *g) {
    int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!holder_same_user(fd)) {
        log_warn("a request by another user was refused at %s", h->place.at.sun_path);
        close(fd);
        return;
    }
    *g = (struct guest){.fd = fd,
                        .end_ms = clock_now_ms() + HOLDER_WIRE_MS,
                        .in = SB_INIT(HOLDER_REQUEST_MAX),
                        .out = SB_INIT(HOLDER_ANSWER_MAX)};
}

static void answer_error(struct guest *g, const struct err *e) {
    sb_reset(&g->out);
    g->out.full = false;
    sb_fmt(&g->out, "{\"ok\":false,\"code\":%d,\"http\":%d,\"retry\":%s,\"reason\":", e->code,
           e->http, e->retry ? "true" : "false");
    sb_json(&g->out, e->reason, strlen(e->reason));
    sb_str(&g->out, ",\"msg\":");
    sb_json(&g->out, e->msg, strlen(e->msg));
    sb_str(&g->out, "}\n");
}

static int understand(struct arena *a, const char *p, size_t n, struct holder_request *ret,
                      struct err *e) {
    yyjson_val *v = NULL;
    int r = json_parse(a, p, n, &v, NULL);
    const char *verb = json_str(v, "verb"), *actor = json_str(v, "actor");
    yyjson_val *args = json_get(v, "args");
    if (r < 0 || !verb || (args && !yyjson_is_obj(args)))
        return err_set(e, -EBADMSG,
                       "not a request: one line with {\"verb\":…,\"actor\":…,"
                       "\"args\":{…}} is wanted");
    if (!args)
        r = json_parse(a, "{}", 2, &args, e);
    *ret = (struct holder_request){.verb = verb, .args = args, .actor = actor ? actor : "?"};
    return r;
}

/* What the function says goes out on one line, whatever it looks like. */
static int run(struct holder *h, struct guest *g, size_t line, struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_SB json = SB_INIT(HOLDER_ANSWER_MAX);
    struct holder_request rq;
    yyjson_val *v;
    int r = understand(a, g->in.p, line, &rq, e);
    if (r >= 0)
        r = h->fn(h->ctx, &rq, &json, e);
    if (r < 0)
        return r;
    if (!json.len)
        sb_str(&json, "{}");
    if (json_parse(a, json.p, json.len, &v, NULL) < 0 || !yyjson_is_obj(v))
        return err_set(e, -EBADMSG, "%s: the answer is no JSON object", rq.verb);
    sb_fmt(&g->out, "{\"ok\":true,\"answer\":%s}\n", json_write(a, v, NULL));
    return g->out.full ? err_set(e, -EMSGSIZE, "%s: the answer is too long", rq.verb) : 0;
}

static void answer(struct holder *h, struct guest *g, size_t line) {
    struct err e = {0};
    int r = g->in.full
                ? err_set(&e, -EMSGSIZE, "a request has %d bytes at most", HOLDER_REQUEST_MAX)
                : run(h, g, line, &e);
    if (r < 0) {
        if (!e.code)
            err_set(&e, r, "failed");
        answer_error(g, &e);
    }
    g->answering = true;
    g->end_ms = clock_now_ms() + HOLDER_WIRE_MS;
}

/* Who asked has closed by now: it was not answered in time and has acted itself, or was ended. What
 * it wanted then is not done later, when this process wakes up. Half closed is not gone. */
static bool has_left(const struct guest *g) {
    struct pollfd p = {.fd = g->fd};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void guest_says(struct holder *h, struct guest *g) {
    char buf[4096];
    ssize_t n = recv(g->fd, buf, sizeof buf, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* half a line is no request */
        guest_go(g);
        return;
    }
    sb_add(&g->in, buf, (size_t)n);
    const char *end = memchr(g->in.p, '\n', g->in.len);
    if (has_left(g))
        guest_go(g);
    else if (end || g->in.full)
        answer(h, g, end ? (size_t)(end - g->in.p) : 0);
}

static void guest_hears(struct guest *g) {
    ssize_t n = send(g->fd, g->out.p + g->sent, g->out.len - g->sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        g->sent += (size_t)n;
    if (n <= 0 || g->sent == g->out.len)
        guest_go(g);
}

/* --- the loop --- */

static size_t look(struct holder *h, struct pollfd *p, struct guest **who, uint64_t now) {
    size_t n = 2;
    struct guest *room = NULL;
    for (size_t i = 0; i < GUESTS; i++) {
        struct guest *g = &h->guest[i];
        if (g->fd >= 0 && now >= g->end_ms)
            guest_go(g); /* it hangs, and others want its place */
        if (g->fd < 0) {
            room = g;
            continue;
        }
        who[n] = g;
        p[n++] = (struct pollfd){.fd = g->fd, .events = g->answering ? POLLOUT : POLLIN};
    }
    who[1] = room;
    p[0] = (struct pollfd){.fd = h->stop, .events = POLLIN};
    p[1] = (struct pollfd){.fd = room ? h->fd : -1, .events = POLLIN};
    return n;
}

static int longest(const struct holder *h, uint64_t now) {
    uint64_t end = UINT64_MAX;
    for (size_t i = 0; i < GUESTS; i++)
        if (h->guest[i].fd >= 0)
            end = MIN(end, h->guest[i].end_ms);
    return end == UINT64_MAX ? -1 : end <= now ? 0 : (int)MIN(end - now, 60000);
}

static void *holder_main(void *arg) {
    struct holder *h = arg;
    struct pollfd p[GUESTS + 2];
    struct guest *who[GUESTS + 2];
    for (;;) {
        uint64_t now = clock_now_ms();
        size_t n = look(h, p, who, now);
        if (poll(p, n, longest(h, now)) < 0)
            continue;
        if (p[0].revents)
            return NULL;
        for (size_t i = 2; i < n; i++) {
            if (!p[i].revents)
                continue;
            if (who[i]->answering)
                guest_hears(who[i]);
            else
                guest_says(h, who[i]);
        }
        if (p[1].revents)
            guest_come(h, who[1]);
    }
}

/* --- beginning and end --- */

/* Did a process that is gone leave it? Only a socket is taken away. */
static int clear_stale(const struct holder_place *p, struct err *e) {
    struct stat st;
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "%s", p->at.sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, -EEXIST, "%s is there and is no socket", p->at.sun_path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&p->at, sizeof p->at) == 0 ||
        errno != ECONNREFUSED)
        return err_set(e, -EBUSY, "another process listens at %s", p->at.sun_path);
    return unlinkat(p->dir, p->name, 0) < 0 && errno != ENOENT
               ? err_errno(e, errno, "%s", p->at.sun_path)
               : 0;
}

/* The mode of the descriptor is that of the file from its first moment (unix(7), unix_bind() of the
 * kernel): there is no time at which others may connect. */
static int listen_at(struct holder *h, struct err *e) {
    struct stat st;
    h->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0 || fchmod(h->fd, 0600) < 0)
        return err_errno(e, errno, "a socket");
    int r = clear_stale(&h->place, e);
    if (r < 0)
        return r;
    if (bind(h->fd, (struct sockaddr *)&h->place.at, sizeof h->place.at) < 0 ||
        fstatat(h->place.dir, h->place.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        listen(h->fd, BACKLOG) < 0)
        return err_errno(e, errno, "cannot listen at %s", h->place.at.sun_path);
    h->dev = st.st_dev;
    h->ino = st.st_ino;
    return st.st_mode & 077
               ? err_set(e, -EACCES, "%s can be reached by others", h->place.at.sun_path)
               : 0;
}

/* Only what we made: another process may have its own there by now. */
static void unlink_own(const struct holder *h) {
    struct stat st;
    if (h->ino && fstatat(h->place.dir, h->place.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == h->dev && st.st_ino == h->ino)
        unlinkat(h->place.dir, h->place.name, 0);
}

static void holder_free(struct holder *h) {
    for (size_t i = 0; i < GUESTS; i++)
        guest_go(&h->guest[i]);
    unlink_own(h);
    cleanup_fd(&h->fd);
    cleanup_fd(&h->stop);
    cleanup_holder_place(&h->place);
    xfree(h);
}

int holder_listen(struct session *s, holder_fn fn, void *ctx, struct holder **ret, struct err *e) {
    MUST(s->cfg->journal);
    struct holder *h = xcalloc(1, sizeof *h);
    *h = (struct holder){.s = s, .fn = fn, .ctx = ctx, .place = {.dir = -1}, .fd = -1};
    for (size_t i = 0; i < GUESTS; i++)
        h->guest[i].fd = -1;
    h->stop = eventfd(0, EFD_CLOEXEC);
    MUST(h->stop >= 0);
    int r = holder_place(s->cfg->journal, &h->place, e);
    if (r >= 0)
        r = listen_at(h, e);
    if (r < 0) {
        holder_free(h);
        return r;
    }
    MUST(pthread_create(&h->thread, NULL, holder_main, h) == 0);
    *ret = h;
    return 0;
}

void holder_close(struct holder *h) {
    if (!h)
        return;
    MUST(eventfd_write(h->stop, 1) == 0);
    pthread_join(h->thread, NULL);
    holder_free(h);
}
