#include <errno.h>

#include "base/queue.h"
#include "kube/client_impl.h"
#include "kube/list.h"
#include "net/frame.h"

/* Bytes wait for the caller up to QUEUED_MAX. The network thread must never block, so a caller
 * that stays behind further than that has its watch ended as if by the server: it starts the next
 * one at the newest resourceVersion it has seen, and the server's own cache does the queueing. */
enum {
    CHUNKS_MAX = 4096,
    QUEUED_MAX = 16 << 20,
    LINE_MAX_BYTES = 32 << 20,
    SECONDS = 300,
    GRACE_S = 30,
    POLL_MS = 200,
    RV_MAX = 128,
};

static const char PARTIAL[] =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

struct chunk {
    size_t n;
    char data[];
};

struct watch {
    struct kube_client *c;
    struct kube_req req;
    struct arena *a; /* of the request's thread while it runs */
    struct queue *q;
    atomic_size_t queued;
    atomic_bool overrun, ended;
    struct http_cancel stop;
    int r; /* of the request; read after its thread has ended */
    struct err e;

    /* the caller's side */
    int (*fn)(void *ctx, enum kube_event ev, yyjson_val *object, struct err *e);
    void *ctx;
    struct err *fn_err;
    struct arena *event;
    char rv[RV_MAX];
};

/* --- network thread --- */

static int on_data(void *ctx, const char *p, size_t n) {
    struct watch *w = ctx;
    if (atomic_load(&w->queued) > QUEUED_MAX || queue_len(w->q) >= CHUNKS_MAX) {
        atomic_store(&w->overrun, true);
        return -EOVERFLOW;
    }
    struct chunk *c = xmalloc(sizeof *c + n);
    c->n = n;
    memcpy(c->data, p, n);
    atomic_fetch_add(&w->queued, n);
    if (queue_push(w->q, c))
        return 0;
    xfree(c);
    return -ESTOPPED;
}

/* --- the request's thread --- */

static void run_request(void *ctx, size_t index UNUSED) {
    struct watch *w = ctx;
    struct kube_resp resp = {0};
    w->r = kube_do(w->c, w->a, &w->req, &resp, &w->e);
    atomic_store(&w->ended, true);
    queue_close(w->q);
}

/* --- the caller's thread --- */

static int error_event(const struct watch *w, yyjson_val *status, struct err *e) {
    char what[512];
    snprintf(what, sizeof what, "%s: watch of %s", w->c->name, w->req.path);
    int code = (int)json_int(json_get(status, "code"), 500);
    return kube_status_err(e, what, code, status);
}

static int event_of(const char *type, enum kube_event *ret) {
    static const char *const names[] = {[KUBE_ADDED] = "ADDED",
                                        [KUBE_MODIFIED] = "MODIFIED",
                                        [KUBE_DELETED] = "DELETED",
                                        [KUBE_BOOKMARK] = "BOOKMARK"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_eq(type, names[i])) {
            *ret = (enum kube_event)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int on_line(void *ctx, char *line, size_t len) {
    struct watch *w = ctx;
    struct err *e = w->fn_err;
    yyjson_val *root;
    arena_reset(w->event);
    int r = json_parse(w->event, line, len, &root, e);
    if (r < 0)
        return err_ctx(e, r, "%s: watch of %s", w->c->name, w->req.path);
    const char *type = json_str(root, "type");
    yyjson_val *object = json_get(root, "object");
    if (str_eq(type, "ERROR"))
        return error_event(w, object, e);
    enum kube_event ev;
    if (event_of(type, &ev) < 0 || !yyjson_is_obj(object))
        return err_set(e, -EBADMSG, "%s: watch of %s: a line is no event", w->c->name, w->req.path);
    r = w->fn(w->ctx, ev, object, e);
    const char *rv = json_str(object, "metadata", "resourceVersion");
    if (r >= 0 && !str_empty(rv))
        snprintf(w->rv, sizeof w->rv, "%s", rv);
    return r;
}

/* The next chunk, or NULL: look at `stop`, and at *ret_end. Carries the caller's cancellation over.
 */
static struct chunk *next_chunk(struct watch *w, const struct http_cancel *cancel, bool *ret_end) {
    if (!cancel) {
        struct chunk *c = queue_pop(w->q);
        *ret_end = !c;
        return c;
    }
    /* Closed is looked at before the pop: what was pushed before it is still popped. */
    bool closed = atomic_load(&w->ended);
    struct chunk *c = queue_pop_for(w->q, POLL_MS);
    bool stop = atomic_load(&cancel->stop);
    if (stop)
        atomic_store(&w->stop.stop, true);
    *ret_end = stop || (closed && !c);
    return c;
}

static int deliver(struct watch *w, const struct http_cancel *cancel, struct err *e) {
    struct frame f;
    frame_init(&f, LINE_MAX_BYTES);
    bool end = false;
    int r = 0;
    while (r >= 0 && !end) {
        struct chunk *c = next_chunk(w, cancel, &end);
        if (c && !end)
            r = frame_feed(&f, c->data, c->n, on_line, w, e);
        if (c)
            atomic_fetch_sub(&w->queued, c->n);
        xfree(c);
    }
    frame_done(&f);
    return r;
}

static void drop_rest(struct watch *w) {
    for (struct chunk *c; (c = queue_try_pop(w->q));)
        xfree(c);
}

static int run(struct watch *w, const struct http_cancel *cancel, struct err *e) {
    struct workers *t = workers_start(1, run_request, w);
    int r = deliver(w, cancel, e);
    atomic_store(&w->stop.stop, true);
    queue_close(w->q);
    workers_join(t);
    drop_rest(w);
    if (r < 0)
        return r;
    if (w->r < 0 && !atomic_load(&w->overrun)) {
        if (e)
            *e = w->e;
        return w->r;
    }
    return 0;
}

static const char *watch_query(struct arena *a, const struct kube_watch_opts *o, uint32_t seconds) {
    AUTO_SB q = SB_INIT(16384);
    sb_fmt(&q, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%u", seconds);
    kube_query_add(&q, "resourceVersion", o->resource_version);
    kube_query_add(&q, "labelSelector", o->label_selector);
    kube_query_add(&q, "fieldSelector", o->field_selector);
    MUST(!q.full);
    return arena_strndup(a, sb_get(&q), q.len);
}

int kube_watch(struct kube_client *c, struct arena *a, const struct kube_resource *r,
               const struct kube_watch_opts *o,
               int (*fn)(void *ctx, enum kube_event ev, yyjson_val *object, struct err *e),
               void *ctx, const char **last_rv, struct err *e) {
    AUTO_ARENA mem = arena_new();
    AUTO_ARENA event = arena_new();
    uint32_t seconds = o->timeout_s ? o->timeout_s : SECONDS;
    struct watch w = {.c = c, .a = mem, .event = event, .fn = fn, .ctx = ctx, .fn_err = e};
    w.q = queue_new(CHUNKS_MAX);
    w.req = (struct kube_req){.method = "GET",
                              .path = kube_path(mem, r, o->namespace, NULL, NULL),
                              .query = watch_query(mem, o, seconds),
                              .accept = o->metadata_only ? PARTIAL : NULL,
                              .lane = "watch",
                              .timeout_ms = (seconds + GRACE_S) * 1000,
                              .on_data = on_data,
                              .ctx = &w,
                              .cancel = &w.stop};
    int n = run(&w, o->cancel, e);
    queue_free(w.q);
    if (last_rv && *w.rv)
        *last_rv = arena_strdup(a, w.rv);
    return n;
}
