#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "kube/client_impl.h"

enum {
    STREAM_STALL_MS = 150000,
    HEADERS_MAX = 8,
    FETCH_TRIES = 3,
    CAP_MS = 5000,
    ROLES_MS = 20000,
    ROLES_EVERY_MS = 250
};

struct kube_client *kube_client_new(struct http_client *http, struct kube_auth *auth,
                                    const struct kube_client_opts *opts) {
    struct kube_client *c = xcalloc(1, sizeof *c);
    c->http = http;
    c->auth = auth;
    c->name = xstrdup(opts->name ? opts->name : auth->context);
    c->user_agent = xstrdup(opts->user_agent ? opts->user_agent : "tandem/" TANDEM_VERSION);
    c->field_manager = xstrdup(opts->field_manager ? opts->field_manager : "tandem");
    atomic_init(&c->read_only, opts->read_only);
    atomic_init(&c->reads, 0);
    atomic_init(&c->writes, 0);
    atomic_init(&c->patience_ms, 0);
    atomic_init(&c->cancel, NULL);
    atomic_init(&c->fence, NULL);
    atomic_init(&c->heard_ms, 0);
    atomic_init(&c->lost_ms, 0);
    atomic_init(&c->dead, false);
    gate_init(&c->gate, opts->max_reads);
    pace_init(&c->pace);
    return c;
}

void kube_client_free(struct kube_client *c) {
    if (!c)
        return;
    gate_done(&c->gate);
    pace_done(&c->pace);
    kube_auth_free(c->auth);
    xfree(c->name);
    xfree(c->user_agent);
    xfree(c->field_manager);
    xfree(c);
}

const char *kube_client_name(const struct kube_client *c) {
    return c->name;
}

const struct kube_auth *kube_client_auth(const struct kube_client *c) {
    return c->auth;
}

void kube_client_set_read_only(struct kube_client *c) {
    atomic_store(&c->read_only, true);
}

void kube_client_set_patience(struct kube_client *c, uint32_t ms, struct http_cancel *cancel) {
    atomic_store(&c->patience_ms, ms);
    atomic_store(&c->cancel, cancel);
}

void kube_client_set_fence(struct kube_client *c, struct kube_fence *f) {
    atomic_store(&c->fence, f);
}

uint64_t kube_client_heard_ms(const struct kube_client *c) {
    return atomic_load(&c->heard_ms);
}

void kube_client_counts(const struct kube_client *c, uint64_t *ret_reads, uint64_t *ret_writes) {
    *ret_reads = atomic_load(&c->reads);
    *ret_writes = atomic_load(&c->writes);
}

/* --- what reads and what writes --- */

/* Reviews that say something about the asker and store nothing. */
static const char *const reviews[] = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
};

/* CONNECT verbs of the core group come as GET too, and do things. A pod may be called "exec": the
 * place in the path counts. */
static bool is_connect(const char *path) {
    static const char *const subs[] = {"exec", "attach", "portforward", "proxy"};
    AUTO_STRVEC seg = {0};
    strvec_split(&seg, path, '/');
    size_t at = 4; /* api v1 nodes NAME sub */
    if (seg.n < 5 || !str_eq(seg.v[0], "api"))
        return false;
    if (str_eq(seg.v[2], "namespaces"))
        at = 6; /* api v1 namespaces NS pods NAME sub */
    for (size_t i = 0; at < seg.n && i < COUNT_OF(subs); i++)
        if (str_eq(seg.v[at], subs[i]))
            return true;
    return false;
}

bool kube_is_read(const char *method, const char *path) {
    if (str_eq(method, "GET") || str_eq(method, "HEAD"))
        return !is_connect(path);
    for (size_t i = 0; str_eq(method, "POST") && i < COUNT_OF(reviews); i++)
        if (str_eq(path, reviews[i]))
            return true;
    return false;
}

/* --- one request on the wire --- */

struct call {
    struct kube_client *c;
    const struct kube_req *req;
    struct arena *a;
    bool read;
    const char *url;
    struct http_tls tls;
    char *header;      /* Authorization, or NULL */
    uint64_t began_ns; /* the attempt */
    bool gated;        /* takes a place among max_reads */
};

void kube_query_add(struct sb *b, const char *key, const char *value) {
    if (str_empty(value))
        return;
    sb_fmt(b, "%s%s=", b->len ? "&" : "", key);
    sb_urlenc(b, value);
}

static bool takes_field_manager(const char *method) {
    return str_eq(method, "POST") || str_eq(method, "PUT") || str_eq(method, "PATCH");
}

static const char *full_url(const struct call *k) {
    AUTO_SB q = SB_INIT(16384);
    sb_str(&q, k->req->query ? k->req->query : "");
    if (!k->read && takes_field_manager(k->req->method) && !strstr(sb_get(&q), "fieldManager="))
        kube_query_add(&q, "fieldManager", k->c->field_manager);
    MUST(!q.full);
    return arena_printf(k->a, "%s%s%s%s", k->c->auth->server, k->req->path, q.len ? "?" : "",
                        sb_get(&q));
}

static const char *const *headers_of(const struct call *k) {
    const char *const *as = k->c->auth->impersonate;
    size_t extra = 0, n = 0;
    while (as && as[extra])
        extra++;
    const char **h = arena_array(k->a, const char *, HEADERS_MAX + extra);
    h[n++] = arena_printf(k->a, "Accept: %s", k->req->accept ? k->req->accept : "application/json");
    h[n++] = arena_printf(k->a, "User-Agent: %s", k->c->user_agent);
    if (k->req->body)
        h[n++] = arena_printf(k->a, "Content-Type: %s",
                              k->req->content_type ? k->req->content_type : "application/json");
    if (k->header)
        h[n++] = k->header;
    for (size_t i = 0; i < extra; i++)
        h[n++] = as[i];
    return h;
}

/* The network's message without the host it begins with: the server is named already. */
static const char *reason_of(const struct call *k, int r, const struct err *e) {
    const char *msg = err_msg(e), *host = strstr(k->c->auth->server, "://") + 3;
    size_t n = strcspn(host, "/");
    if (r == -ECONNREFUSED)
        return "connection refused";
    return strncmp(msg, host, n) == 0 && str_starts(msg + n, ": ") ? msg + n + 2 : msg;
}

static int unreachable(const struct call *k, int r, struct err *e) {
    char why[512];
    bool retry = e && e->retry;
    snprintf(why, sizeof why, "%s", reason_of(k, r, e));
    err_set(e, r, "%s: cannot reach %s: %s (context %s)", k->c->name, k->c->auth->server, why,
            k->c->auth->context);
    if (e)
        e->retry = retry;
    return r;
}

static struct kube_fence *fence_of(const struct call *k) {
    return k->read || k->req->unfenced ? NULL : atomic_load(&k->c->fence);
}

static int no_answer(const struct call *k, int r, bool maybe_sent, struct err *e) {
    if (r == -ECONNREFUSED || r == -EHOSTUNREACH || (r == -EPROTO && !maybe_sent))
        return unreachable(k, r, e);
    if (r == -ESTOPPED)
        return err_ctx(e, r, "%s: %s %s", k->c->name, k->req->method, k->req->path);
    if (k->read || !maybe_sent)
        return err_ctx(e, r, "%s: %s %s (context %s)", k->c->name, k->req->method, k->req->path,
                       k->c->auth->context);
    err_ctx(e, r, "%s: %s %s: the answer was lost, it may have been carried out", k->c->name,
            k->req->method, k->req->path);
    if (e)
        e->code = -EUNKNOWNOUTCOME;
    return -EUNKNOWNOUTCOME;
}

static void count(struct call *k, int r, const struct kube_sent *now) {
    /* A connection that was refused sent nothing. */
    unsigned n = r < 0 && !now->maybe_sent ? 0 : MAX(now->attempts, 1u);
    atomic_fetch_add(k->read ? &k->c->reads : &k->c->writes, n);
}

static struct http_cancel *cancel_of(const struct call *k) {
    return k->req->cancel ? k->req->cancel : atomic_load(&k->c->cancel);
}

static bool is_cancelled(const struct call *k) {
    struct http_cancel *c = cancel_of(k);
    return c && atomic_load(&c->stop);
}

static bool is_paced(const struct call *k) {
    return !k->read && !k->req->unfenced;
}

/* Each attempt takes a place of its own: where a cluster is dead, those who wait to try again would
 * hold all of them. */
static int attempt_begins(void *ctx, const struct http_req *req) {
    struct call *k = ctx;
    int r = is_paced(k) ? pace_begin(&k->c->pace, req->cancel) : 0;
    if (k->gated)
        r = gate_enter(&k->c->gate, k->req->background, req->cancel);
    k->began_ns = clock_now_ns();
    return r;
}

static void attempt_ends(void *ctx, const struct http_resp *resp) {
    struct call *k = ctx;
    int status = resp ? resp->status : 0;
    uint64_t took_ns = clock_now_ns() - k->began_ns;
    if (is_paced(k))
        pace_end(&k->c->pace, status, took_ns);
    if (k->gated)
        gate_leave(&k->c->gate, resp ? took_ns : 0);
    bool heard = status && (status < 502 || status > 504);
    atomic_store(heard ? &k->c->heard_ms : &k->c->lost_ms, clock_now_ms());
    if (heard)
        atomic_store(&k->c->dead, false);
}

/* Where the one before was given up, one attempt tells as much as five, and who goes on without the
 * cluster asks many times. */
static unsigned attempts_of(const struct call *k) {
    return k->req->no_retry || atomic_load(&k->c->dead) ? 1 : 0;
}

static int send_while(struct call *k, struct kube_fence *f, struct http_resp *ret,
                      struct kube_sent *sent, struct err *e) {
    const struct kube_req *q = k->req;
    struct http_req h = {.method = q->method,
                         .url = k->url,
                         .headers = headers_of(k),
                         .body = q->body,
                         .body_len = q->body_len,
                         .tls = &k->tls,
                         .lane = q->lane,
                         .timeout_ms = q->timeout_ms,
                         .max_body = q->max_body,
                         .stall_timeout_ms = q->on_data ? STREAM_STALL_MS : 0,
                         .on_data = q->on_data,
                         .ctx = q->ctx,
                         .cancel = cancel_of(k),
                         .until_ns = f ? &f->until_ns : NULL};
    struct http_pacer pacer = {.begin = attempt_begins, .end = attempt_ends, .ctx = k};
    bool patient = !q->no_retry && kube_client_heard_ms(k->c);
    struct http_retry how = {.attempts = attempts_of(k),
                             .cap_ms = CAP_MS,
                             .patience_ms = patient ? atomic_load(&k->c->patience_ms) : 0,
                             .idempotent = q->idempotent || k->read,
                             .pacer = &pacer};
    struct kube_sent now = {0};
    int r = http_do_retry(k->c->http, k->a, &h, &how, ret, &now.maybe_sent, &now.attempts, e);
    count(k, r, &now);
    if (r < 0 && now.attempts > 1 && !is_cancelled(k))
        atomic_store(&k->c->dead, true);
    sent->attempts += now.attempts;
    sent->maybe_sent |= now.maybe_sent || r >= 0;
    return r < 0 && r != -EGUARD ? no_answer(k, r, now.maybe_sent, e) : r;
}

/* What the fence stopped is sent when the Lease has been renewed after all. */
static int attempt(struct call *k, struct http_resp *ret, struct kube_sent *sent, struct err *e) {
    struct kube_fence *f = fence_of(k);
    uint64_t patience = k->req->no_retry ? 0 : atomic_load(&k->c->patience_ms);
    for (;;) {
        int r = f ? fence_pass(f, patience, cancel_of(k), e) : 0;
        if (r < 0)
            return err_ctx(e, r, "%s: %s %s was not sent", k->c->name, k->req->method,
                           k->req->path);
        r = send_while(k, f, ret, sent, e);
        if (r != -EGUARD)
            return r;
        if (e)
            *e = (struct err){0}; /* it is sent again: what it was is over */
    }
}

static int authenticated(struct call *k, struct http_resp *ret, struct kube_sent *sent,
                         struct err *e) {
    struct kube_auth *auth = k->c->auth;
    int r = kube_auth_get(auth, k->a, false, &k->tls, &k->header, e);
    if (r < 0)
        return err_ctx(e, r, "%s", k->c->name);
    struct http_resp resp;
    r = attempt(k, &resp, sent, e);
    bool changed = false;
    if (r >= 0 && resp.status == 401) {
        r = kube_auth_renew(auth, k->a, &k->tls, k->header, &k->tls, &k->header, &changed, e);
        if (r < 0)
            return err_ctx(e, r, "%s", k->c->name);
        if (changed)
            r = attempt(k, &resp, sent, e);
    }
    if (r >= 0)
        *ret = resp;
    return r;
}

/* An API server that starts serves before it has read the roles, and then forbids what they allow
 * (kube-apiserver, registry/rbac: the authorizer's informers are not waited for). The connections
 * may all have been idle meanwhile, or a balancer's, so that none was seen to be lost. */
static bool lost_lately(const struct call *k) {
    uint64_t lost = atomic_load(&k->c->lost_ms);
    return lost && clock_now_ms() - lost < ROLES_MS;
}

/* Everybody may ask for the version (ClusterRole system:public-info-viewer), and a session has. */
static bool knows_no_roles(const struct call *k) {
    AUTO_ARENA a = arena_new();
    struct kube_req req = {.method = "GET", .path = "/version", .no_retry = true};
    struct call v = {.c = k->c, .req = &req, .a = a, .read = true, .gated = k->gated};
    struct http_resp resp;
    struct kube_sent sent = {0};
    v.url = full_url(&v);
    return authenticated(&v, &resp, &sent, NULL) >= 0 && resp.status == 403;
}

static int allowed(struct call *k, struct http_resp *ret, struct kube_sent *sent, struct err *e) {
    uint64_t patience = k->req->no_retry ? 0 : atomic_load(&k->c->patience_ms);
    uint64_t end = clock_now_ms() + patience;
    for (bool once_more = true;; clock_sleep_ms(ROLES_EVERY_MS)) {
        int r = authenticated(k, ret, sent, e);
        if (r < 0 || ret->status != 403 || clock_now_ms() >= end || is_cancelled(k))
            return r;
        if (lost_lately(k) || knows_no_roles(k))
            continue;
        if (!once_more) /* they may have been read between the two questions */
            return r;
        once_more = false;
    }
}

static int guard(const struct call *k, struct err *e) {
    if (k->read || !atomic_load(&k->c->read_only))
        return 0;
    return err_set(e, -EGUARD, "%s: --read-only: refused to send %s %s", k->c->name, k->req->method,
                   k->req->path);
}

int kube_send(struct kube_client *c, struct arena *a, const struct kube_req *req,
              struct http_resp *ret, struct kube_sent *sent, struct err *e) {
    struct call k = {.c = c, .req = req, .a = a, .read = kube_is_read(req->method, req->path)};
    int r = guard(&k, e);
    if (r < 0)
        return r;
    k.url = full_url(&k);
    k.gated = k.read && !req->on_data;
    struct http_resp resp = {0};
    r = allowed(&k, &resp, sent, e);
    if (r >= 0)
        *ret = resp;
    return r;
}

static int not_accepted(const struct kube_client *c, const char *what, struct err *e) {
    const struct kube_auth *auth = c->auth;
    bool none = str_eq(auth->kind, "no credential");
    err_set(e, -EPERM,
            none ? "%s: 401 Unauthorized: the server wants a credential, and %s%s%s (context %s) "
                   "has none"
                 : "%s: 401 Unauthorized: the credential (%s) of user \"%s\"%s (context %s) was "
                   "not accepted; it may have expired",
            what, none ? "user \"" : auth->kind, auth->user, none ? "\"" : "", auth->context);
    if (e) {
        e->http = 401;
        snprintf(e->reason, sizeof e->reason, "Unauthorized");
    }
    return -EPERM;
}

int kube_check(const struct kube_client *c, const struct kube_req *req,
               const struct http_resp *resp, struct err *e) {
    if (resp->status / 100 == 2)
        return 0;
    char what[512];
    snprintf(what, sizeof what, "%s: %s %s", c->name, req->method, req->path);
    if (resp->status == 401)
        return not_accepted(c, what, e);
    AUTO_ARENA tmp = arena_new();
    yyjson_val *status = NULL;
    if (json_parse(tmp, resp->body, resp->body_len, &status, NULL) < 0)
        status = NULL;
    int r = kube_status_err(e, what, resp->status, status);
    /* A gateway that gave up waiting does not know what became of the write behind it. */
    bool unknown =
        !kube_is_read(req->method, req->path) && (resp->status == 502 || resp->status == 504);
    if (!unknown)
        return r;
    if (e)
        e->code = -EUNKNOWNOUTCOME;
    return -EUNKNOWNOUTCOME;
}

int kube_do(struct kube_client *c, struct arena *a, const struct kube_req *req,
            struct kube_resp *ret, struct err *e) {
    struct http_resp resp = {0};
    struct kube_sent sent = {0};
    int r = kube_send(c, a, req, &resp, &sent, e);
    if (r >= 0)
        r = kube_check(c, req, &resp, e);
    ret->maybe_sent = sent.maybe_sent;
    ret->attempts = sent.attempts;
    if (r < 0)
        return r;
    *ret = (struct kube_resp){.status = resp.status,
                              .body = resp.body,
                              .body_len = resp.body_len,
                              .time_ns = resp.time_ns,
                              .attempts = sent.attempts,
                              .maybe_sent = sent.maybe_sent};
    return 0;
}

int kube_fetch(struct kube_client *c, struct arena *a, const struct kube_req *req,
               struct http_resp *resp, yyjson_val **ret, struct err *e) {
    int r = -EBADMSG;
    for (unsigned i = 0; i < FETCH_TRIES && r == -EBADMSG; i++) {
        struct kube_sent sent = {0};
        *ret = NULL;
        r = kube_send(c, a, req, resp, &sent, e);
        if (r >= 0 && resp->status / 100 == 2)
            r = json_parse(a, resp->body, resp->body_len, ret, e);
        if (r == -EBADMSG)
            log_debug("%s: GET %s: %s; asked again", c->name, req->path, err_msg(e));
    }
    if (r == -EBADMSG)
        return err_ctx(e, r, "%s: GET %s: the answer is cut short or not from an API server",
                       c->name, req->path);
    return r;
}

char *kube_delete_body(struct arena *a, const char *uid, const char *rv) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "apiVersion", "v1");
    json_mut_set_str(d, root, "kind", "DeleteOptions");
    json_mut_set_str(d, root, "propagationPolicy", "Background");
    yyjson_mut_val *only = json_mut_obj_at(d, root, "preconditions");
    json_mut_set_str(d, only, "uid", uid ? uid : ""); /* none known: refused, never any */
    if (rv)
        json_mut_set_str(d, only, "resourceVersion", rv);
    return json_mut_write(a, root, NULL);
}

int kube_get(struct kube_client *c, struct arena *a, const char *path, const char *query,
             yyjson_val **ret, struct err *e) {
    struct kube_req req = {.method = "GET", .path = path, .query = query};
    struct http_resp resp = {0};
    yyjson_val *root;
    int r = kube_fetch(c, a, &req, &resp, &root, e);
    if (r >= 0)
        r = kube_check(c, &req, &resp, e);
    if (r >= 0)
        *ret = root;
    return r;
}
