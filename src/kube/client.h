/* Requests to one API server. The one place where requests are made: credentials, counting, the
 * read-only guard, retries, typed errors. Shared by all threads. */
#pragma once

#include "base/json.h"
#include "kube/kubeconfig.h"

struct kube_client;

struct kube_client_opts {
    const char *name;   /* "A", "B": for messages */
    bool read_only;     /* every request but GET (and SelfSubject*Reviews) is refused, -EGUARD; so
                           is GET of exec, attach, portforward and proxy, which act */
    unsigned max_reads; /* GETs on the wire at once (one that waits to be tried again is not);
                           0: unlimited. The gentle default of A is 2 */
    const char *user_agent;    /* NULL: tandem/VERSION */
    const char *field_manager; /* default for writes, NULL: "tandem" */
};

/* Takes auth over. */
struct kube_client *kube_client_new(struct http_client *http, struct kube_auth *auth,
                                    const struct kube_client_opts *opts);
void kube_client_free(struct kube_client *c);
const char *kube_client_name(const struct kube_client *c);
const struct kube_auth *kube_client_auth(const struct kube_client *c);
/* Makes a client read-only for good (--read-only decided later than its making). */
void kube_client_set_read_only(struct kube_client *c);

/* How long to go on asking an API server that has answered before and now restarts, cannot be
 * reached or has too much to do (see struct http_retry). 0, as at first: a few attempts. One that
 * never answered is never waited for. cancel (or NULL; borrowed until the next call) ends requests
 * that carry none of their own. */
void kube_client_set_patience(struct kube_client *c, uint32_t ms, struct http_cancel *cancel);
/* From now on a write is sent only while the fence allows it (kube/fence.h); NULL: always.
 * Borrowed. Refused with -EGUARD. */
struct kube_fence;
void kube_client_set_fence(struct kube_client *c, struct kube_fence *f);
/* When the API server last answered (clock_now_ms; 0: never). What a balancer says before it (502,
 * 503, 504) is no answer. */
uint64_t kube_client_heard_ms(const struct kube_client *c);

/* Requests sent so far; SelfSubjectAccessReviews and dry runs count as reads and as nothing
 * written? No: a dry run counts as a write (it is one on the wire), a SelfSubjectReview as a read.
 */
void kube_client_counts(const struct kube_client *c, uint64_t *ret_reads, uint64_t *ret_writes);

struct kube_req {
    const char *method; /* GET POST PUT PATCH DELETE */
    const char *path;   /* "/api/v1/namespaces", already percent-encoded, no query */
    const char *query;  /* "limit=500&..." or NULL */
    const void *body;
    size_t body_len;
    const char *content_type; /* NULL: application/json */
    const char *accept;       /* NULL: application/json */
    const char *lane;         /* connection lane, NULL: common */
    uint32_t timeout_ms;      /* 0: 60 s */
    size_t max_body;          /* a larger answer is -EMSGSIZE; 0: 64 MiB */
    bool no_retry;            /* one attempt only */
    bool idempotent;          /* see struct http_retry; GET always is */
    bool background;          /* a read that lets all others go first, where max_reads is reached */
    bool unfenced;            /* a Lease's own: neither the fence nor the pace of writes holds it */
    int (*on_data)(void *ctx, const char *p, size_t n);
    void *ctx;
    struct http_cancel *cancel;
};

struct kube_resp {
    int status;
    char *body;
    size_t body_len;
    uint64_t time_ns;
    unsigned attempts; /* set on failure too */
    bool maybe_sent;   /* set on failure too: the request may have reached the server */
};

/* Without an answer a request is tried again, as often as http_do_retry() does; once one was given
 * up so, the others have one attempt each until the server is heard again (patience counts all the
 * same).
 *
 * 0 only for 2xx. Else a negative code and in e: http status, reason (Status.reason) and a message
 * of the form "A: GET /api/v1/nodes: 403 Forbidden: nodes is forbidden: ..."; codes: -EACCES (401
 * -> -EPERM, 403 -> -EACCES), -ENOENT 404, -EEXIST 409 AlreadyExists, -EAGAIN 409 Conflict, -ESTALE
 * 410, -EINVAL 400/422, -EBUSY 429/503, -EREMOTEIO other 5xx, -EUNKNOWNOUTCOME (a write whose
 * answer was lost, or that a gateway gave up on: 502, 504), -EOPNOTSUPP 405/406/415, -EGUARD, else
 * those of http_do. A request with on_data is a stream: it takes no place among max_reads. On 401
 * the credential is renewed once and the request repeated. Response bodies of failures never reach
 * the message when they may hold Secret values (Status.message only). */
int kube_do(struct kube_client *c, struct arena *a, const struct kube_req *req,
            struct kube_resp *ret, struct err *e);

/* The body of a DELETE that takes one object and no other of its name: by uid (NULL: the
 * server refuses it) and, where rv is not NULL, in this version alone. What it owns goes after it.
 * In a. */
char *kube_delete_body(struct arena *a, const char *uid, const char *rv);

/* GET of path parsed as JSON, tree in a. */
int kube_get(struct kube_client *c, struct arena *a, const char *path, const char *query,
             yyjson_val **ret, struct err *e);

/* /version */
struct kube_version {
    int major, minor;
    char git[32]; /* v1.33.13 */
};
int kube_get_version(struct kube_client *c, struct kube_version *ret, struct err *e);

/* What a slot is pinned to: uid of namespace kube-system and CA fingerprint. Strings in a. */
struct kube_identity {
    const char *uid, *ca;
};
int kube_get_identity(struct kube_client *c, struct arena *a, struct kube_identity *ret,
                      struct err *e);

/* SelfSubjectAccessReview. resource may be "*", group "" or "*", namespace NULL: all. */
int kube_can_i(struct kube_client *c, const char *verb, const char *group, const char *resource,
               const char *namespace, bool *ret, struct err *e);
