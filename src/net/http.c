#include "net/http_impl.h"

#include <errno.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fault.h"

enum {
    HEAD_MAX = 256 * 1024,
    BODY_MAX = 64 << 20,
    BODY_KEEP = 128 * 1024, /* a larger buffer is not kept for the next request */
};

static void global_init(void) {
    MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static void read_defaults(struct http_client *c) {
    CURL *easy = curl_easy_init();
    MUST(easy);
    char *s = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CAINFO, &s) == CURLE_OK && s)
        c->ca_file = xstrdup(s);
    s = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CAPATH, &s) == CURLE_OK && s)
        c->ca_path = xstrdup(s);
    curl_easy_cleanup(easy);
}

/* Signals are for the threads that expect them; curl's writes must not raise SIGPIPE here. */
static void start_thread(struct http_client *c) {
    sigset_t all, old;
    sigfillset(&all);
    MUST(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MUST(pthread_create(&c->thread, NULL, loop_main, c) == 0);
    MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

struct http_client *http_client_new(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    struct http_client *c = xcalloc(1, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    c->tail = &c->submitted;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(c->epoll >= 0 && c->wake >= 0);
    c->share = curl_share_init();
    MUST(c->share);
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    read_defaults(c);
    start_thread(c);
    return c;
}

static void call_free(struct call *call) {
    curl_easy_cleanup(call->easy);
    sem_destroy(&call->done);
    sb_done(&call->head);
    sb_done(&call->body);
    xfree(call);
}

void http_client_free(struct http_client *c) {
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    loop_wake(c);
    pthread_mutex_unlock(&c->lock);
    /* It ends everything under way and returns once the last caller has left. */
    pthread_join(c->thread, NULL);
    for (struct call *call = c->pool, *next; call; call = next) {
        next = call->next;
        call_free(call);
    }
    loop_free_lanes(c);
    curl_share_cleanup(c->share);
    close(c->epoll);
    close(c->wake);
    pthread_mutex_destroy(&c->lock);
    xfree(c->watch);
    xfree(c->ca_file);
    xfree(c->ca_path);
    xfree(c);
}

bool client_enter(struct http_client *c) {
    pthread_mutex_lock(&c->lock);
    bool ok = !c->quit;
    c->inside += ok;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

void client_leave(struct http_client *c) {
    pthread_mutex_lock(&c->lock);
    if (--c->inside == 0 && c->quit)
        loop_wake(c);
    pthread_mutex_unlock(&c->lock);
}

bool client_quits(struct http_client *c) {
    pthread_mutex_lock(&c->lock);
    bool quit = c->quit;
    pthread_mutex_unlock(&c->lock);
    return quit;
}

/* With the lock held: attaching to the share counts in it. */
static struct call *call_new(struct http_client *c) {
    struct call *call = xcalloc(1, sizeof *call);
    call->client = c;
    call->easy = curl_easy_init();
    MUST(call->easy);
    MUST(sem_init(&call->done, 0, 0) == 0);
    call_setup_once(call);
    return call;
}

static struct call *pool_get(struct http_client *c) {
    pthread_mutex_lock(&c->lock);
    struct call *call = c->pool;
    if (call)
        c->pool = call->next;
    else
        call = call_new(c);
    pthread_mutex_unlock(&c->lock);
    return call;
}

static void pool_put(struct http_client *c, struct call *call) {
    if (call->body.cap > BODY_KEEP)
        sb_done(&call->body);
    call->req = NULL;
    pthread_mutex_lock(&c->lock);
    if (call->resent) {
        /* libcurl counts resends over the life of a handle, and after five refuses the next. */
        curl_easy_reset(call->easy);
        call_setup_once(call);
    }
    call->next = c->pool;
    c->pool = call;
    pthread_mutex_unlock(&c->lock);
}

static void call_reset(struct call *call, const struct http_req *req) {
    call->next = call->newer = call->older = NULL;
    call->req = req;
    call->start_ns = clock_now_ns();
    call->heard_ms = call->start_ns / 1000000u;
    call->max_body = req->max_body ? req->max_body : BODY_MAX;
    sb_reset(&call->head);
    sb_reset(&call->body);
    call->head.max = HEAD_MAX;
    call->body.max = call->max_body;
    call->n_headers = 0;
    call->status = 0;
    call->head_done = false;
    call->result = CURLE_OK;
    call->fail = 0;
    call->sent = call->resent = call->streamed = false;
    call->detail[0] = 0;
}

/* The network thread is woken only when it sleeps: under load it finds the new work by itself. */
/* Where a test may kill us: a write was handed over, a write was answered. Renewals of a Lease come
 * by the clock, so that no two runs would have the same points. */
static void write_point(const struct http_req *req UNUSED) {
    if (!str_eq(req->method, "GET") && !str_eq(req->lane, "lease"))
        FAULT_POINT();
}

static void submit_and_wait(struct http_client *c, struct call *call) {
    pthread_mutex_lock(&c->lock);
    *c->tail = call;
    c->tail = &call->next;
    if (c->asleep)
        loop_wake(c);
    pthread_mutex_unlock(&c->lock);
    write_point(call->req);
    while (sem_wait(&call->done) < 0)
        MUST(errno == EINTR);
    write_point(call->req);
}

/* A large body changes hands instead of being copied. */
static char *give_body(struct call *call, struct arena *a) {
    size_t n = call->body.len;
    char *p;
    if (n > BODY_KEEP) {
        p = xrealloc(sb_take(&call->body), n + HTTP_BODY_PAD);
        arena_adopt(a, p);
    } else {
        p = arena_raw(a, n + HTTP_BODY_PAD);
        memcpy(p, sb_get(&call->body), n);
    }
    memset(p + n, 0, HTTP_BODY_PAD);
    return p;
}

static void give_answer(struct call *call, struct arena *a, struct http_resp *ret) {
    const char **lines = arena_array(a, const char *, call->n_headers + 1);
    char *p = arena_raw(a, call->head.len + 1);
    if (call->head.len)
        memcpy(p, call->head.p, call->head.len);
    for (size_t i = 0; i < call->n_headers; i++) {
        lines[i] = p;
        p += strlen(p) + 1;
    }
    size_t n = call->body.len;
    *ret = (struct http_resp){
        .status = call->status,
        .body = give_body(call, a),
        .body_len = n,
        .headers = lines,
        .time_ns = call->end_ns - call->start_ns,
    };
}

static bool stopped(const struct http_req *req) {
    return req->cancel && atomic_load(&req->cancel->stop);
}

int call_once(struct http_client *c, struct arena *a, const struct http_req *req,
              struct http_resp *ret, bool *maybe_sent, bool *streamed, struct err *e) {
    *maybe_sent = *streamed = false;
    if (stopped(req))
        return err_set(e, -ESTOPPED, "stopped");
    if (too_late(req))
        return err_set(e, -EGUARD, "not sent: its time was over");
    struct call *call = pool_get(c);
    call_reset(call, req);
    int r = call_setup(call, a, e);
    if (r >= 0) {
        submit_and_wait(c, call);
        r = call_error(call, e);
        *maybe_sent = r < 0 && call->sent;
        *streamed = call->streamed;
    }
    if (r >= 0)
        give_answer(call, a, ret);
    pool_put(c, call);
    return r;
}

int http_do(struct http_client *c, struct arena *a, const struct http_req *req,
            struct http_resp *ret, bool *maybe_sent, struct err *e) {
    bool sent = false, streamed;
    int r;
    if (client_enter(c)) {
        r = call_once(c, a, req, ret, &sent, &streamed, e);
        client_leave(c);
    } else {
        r = err_set(e, -ESTOPPED, "stopped");
    }
    if (maybe_sent)
        *maybe_sent = sent;
    return r;
}

const char *http_header(const struct http_resp *r, const char *name) {
    size_t n = strlen(name);
    for (const char *const *h = r->headers; h && *h; h++)
        if (strncasecmp(*h, name, n) == 0 && (*h)[n] == ':')
            return *h + n + 1 + ((*h)[n + 1] == ' ');
    return NULL;
}
