#include "fake_api.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"

enum { CONNS = 128, REQUEST_MAX = 1 << 22 };

struct conn {
    struct api *api;
    pthread_t thread;
    int fd;
};

struct api {
    const struct api_row *rows;
    size_t n;
    unsigned *used;
    api_fn fn;
    void *ctx;
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stop;
    struct strvec seen;
    size_t conns;
    struct conn conn[CONNS];
};

int api_port(const struct api *s) {
    return s->port;
}

unsigned api_count(struct api *s, const char *text) {
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->seen.n; i++)
        n += strstr(s->seen.v[i], text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return n;
}

int api_when(struct api *s, const char *text, unsigned nth) {
    int found = -1;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->seen.n && found < 0; i++)
        if (strstr(s->seen.v[i], text) && nth-- == 0)
            found = (int)i;
    pthread_mutex_unlock(&s->lock);
    return found;
}

static bool send_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static bool read_request(int fd, struct sb *b) {
    char buf[8192];
    size_t need = SIZE_MAX;
    sb_reset(b);
    while (b->len < need) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0)
            return false;
        sb_add(b, buf, (size_t)n);
        const char *end = strstr(b->p, "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(b->p, "\r\nContent-Length:");
        need = (size_t)(end + 4 - b->p);
        if (length && length < end)
            need += strtoul(length + 17, NULL, 10);
    }
    return true;
}

static const struct api_row *row_for(struct api *s, const char *request) {
    static const struct api_row none = {
        .status = 404,
        .body = "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"not scripted\"}"};
    const struct api_row *found = NULL;
    pthread_mutex_lock(&s->lock);
    strvec_add(&s->seen, request);
    for (size_t i = 0; i < s->n && !found; i++) {
        const struct api_row *r = &s->rows[i];
        if ((!r->want || strstr(request, r->want)) && (!r->times || s->used[i] < r->times)) {
            s->used[i]++;
            found = r;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found ? found : &none;
}

static void head_of(struct sb *b, const struct api_row *r) {
    sb_fmt(b, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n", r->status);
    if (r->header)
        sb_fmt(b, "%s\r\n", r->header);
}

static bool send_stream(int fd, const struct api_row *r) {
    AUTO_SB b = SB_INIT(0);
    head_of(&b, r);
    sb_str(&b, "Transfer-Encoding: chunked\r\n\r\n");
    if (!send_all(fd, b.p, b.len))
        return false;
    for (const char *p = r->body; *p;) {
        size_t n = strcspn(p, "|");
        sb_reset(&b);
        sb_fmt(&b, "%zx\r\n%.*s\r\n", n, (int)n, p);
        if (n && !send_all(fd, b.p, b.len))
            return false;
        clock_sleep_ms(5);
        p += n + (p[n] == '|');
    }
    char x;
    if (r->end == API_HANG)
        while (recv(fd, &x, 1, 0) > 0)
            ;
    return r->end == API_STREAM && send_all(fd, "0\r\n\r\n", 5);
}

/* False: the connection ends. */
static bool answer(int fd, const struct api_row *r) {
    if (r->delay_ms)
        clock_sleep_ms(r->delay_ms);
    if (r->end == API_RESET)
        return false;
    if (r->end >= API_STREAM)
        return send_stream(fd, r);
    AUTO_SB b = SB_INIT(0);
    size_t n = r->body ? strlen(r->body) : 0;
    head_of(&b, r);
    sb_fmt(&b, "Content-Length: %zu\r\n\r\n", n);
    sb_add(&b, r->body ? r->body : "", r->end == API_CUT ? n / 2 : n);
    return send_all(fd, b.p, b.len) && r->end == API_WHOLE;
}

/* One request at a time: what the function keeps needs no lock. */
static bool answer_with(int fd, struct api *s, const char *request) {
    AUTO_SB body = SB_INIT(0);
    pthread_mutex_lock(&s->lock);
    strvec_add(&s->seen, request);
    struct api_row r = {.status = s->fn(s->ctx, request, &body)};
    pthread_mutex_unlock(&s->lock);
    r.body = sb_get(&body);
    return answer(fd, &r);
}

static void *conn_main(void *arg) {
    struct conn *c = arg;
    AUTO_SB b = SB_INIT(REQUEST_MAX);
    while (read_request(c->fd, &b) &&
           (c->api->fn ? answer_with(c->fd, c->api, b.p) : answer(c->fd, row_for(c->api, b.p))))
        ;
    shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *accept_main(void *arg) {
    struct api *s = arg;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        pthread_mutex_lock(&s->lock);
        bool stop = s->stop;
        if (fd >= 0 && !stop) {
            MUST(s->conns < CONNS);
            struct conn *c = &s->conn[s->conns++];
            *c = (struct conn){.api = s, .fd = fd};
            MUST(pthread_create(&c->thread, NULL, conn_main, c) == 0);
        } else if (fd >= 0) {
            close(fd);
        }
        pthread_mutex_unlock(&s->lock);
        if (stop)
            return NULL;
    }
}

static struct api *start(const struct api_row *rows, size_t n, api_fn fn, void *ctx) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct api *s = xcalloc(1, sizeof *s);
    s->rows = rows;
    s->n = n;
    s->fn = fn;
    s->ctx = ctx;
    s->used = xcalloc(n + 1, sizeof *s->used);
    pthread_mutex_init(&s->lock, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(s->listener >= 0 && bind(s->listener, (struct sockaddr *)&at, sizeof at) == 0);
    MUST(listen(s->listener, 64) == 0);
    MUST(getsockname(s->listener, (struct sockaddr *)&at, &len) == 0);
    s->port = ntohs(at.sin_port);
    MUST(pthread_create(&s->thread, NULL, accept_main, s) == 0);
    return s;
}

struct api *api_start(const struct api_row *rows, size_t n) {
    return start(rows, n, NULL, NULL);
}

struct api *api_start_with(api_fn fn, void *ctx) {
    return start(NULL, 0, fn, ctx);
}

void api_stop(struct api *s) {
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_mutex_unlock(&s->lock);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (size_t i = 0; i < s->conns; i++) {
        shutdown(s->conn[i].fd, SHUT_RDWR);
        pthread_join(s->conn[i].thread, NULL);
        close(s->conn[i].fd);
    }
    close(s->listener);
    strvec_done(&s->seen);
    pthread_mutex_destroy(&s->lock);
    xfree(s->used);
    xfree(s);
}
