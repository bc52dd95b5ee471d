/* The inside of kube_client, for list.c, watch.c, discovery.c: answers before they become errors.
 */
#pragma once

#include <pthread.h>

#include "kube/auth_impl.h"
#include "kube/client.h"
#include "kube/fence.h"
#include "kube/pace.h"

/* How many reads may be under way, and the pause after a slow one. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t room;
    unsigned max, used; /* max 0: no limit */
    unsigned waiting;   /* of the foreground */
    bool slow;          /* the last read took long: the next one waits a little */
};
void gate_init(struct gate *g, unsigned max);
void gate_done(struct gate *g);
/* Waits for a place, in the background for two seconds also while anybody else waits for one.
 * -ESTOPPED when cancelled meanwhile. */
int gate_enter(struct gate *g, bool background, const struct http_cancel *cancel);
void gate_leave(struct gate *g, uint64_t took_ns);

struct kube_client {
    struct http_client *http;
    struct kube_auth *auth;
    char *name, *user_agent, *field_manager;
    atomic_bool read_only;
    atomic_uint_fast64_t reads, writes;
    struct gate gate;
    struct pace pace; /* of writes */
    atomic_uint patience_ms;
    struct http_cancel *_Atomic cancel; /* of requests that have none */
    struct kube_fence *_Atomic fence;   /* NULL: none */
    atomic_uint_fast64_t heard_ms;      /* 0: never */
    atomic_uint_fast64_t lost_ms;       /* when there was last no answer; 0: never */
    atomic_bool dead; /* a request was tried as often as it may be, and nothing was heard since */
};

struct kube_sent {
    unsigned attempts;
    bool maybe_sent;
};

/* 0 for every HTTP answer, whatever its status; negative as kube_do when there was none. A request
 * with on_data is a stream: it takes no place among the reads in flight. */
int kube_send(struct kube_client *c, struct arena *a, const struct kube_req *req,
              struct http_resp *ret, struct kube_sent *sent, struct err *e);
/* Turns an answer that is not 2xx into an error, 0 for 2xx. */
int kube_check(const struct kube_client *c, const struct kube_req *req,
               const struct http_resp *resp, struct err *e);
/* Sends a GET and parses the answer; a body that is no JSON (cut on the way) is asked for again.
 * -EBADMSG when it stays so. *ret NULL and 0 when the status is not 2xx. */
int kube_fetch(struct kube_client *c, struct arena *a, const struct kube_req *req,
               struct http_resp *resp, yyjson_val **ret, struct err *e);

/* Does this request only read? Reviews of one's own rights do; exec, attach, proxy do not. */
bool kube_is_read(const char *method, const char *path);

/* --- status.c --- */

/* The errno-like code of an HTTP status; reason may be NULL. */
int kube_status_code(int http, const char *reason);
/* From a Status object (NULL when the answer carried none). what: "A: GET /api/v1/nodes". */
int kube_status_err(struct err *e, const char *what, int http, yyjson_val *status);

/* "?"-less query with selectors; appended to b. */
void kube_query_add(struct sb *b, const char *key, const char *value);
