/* HTTP client: one network thread owns libcurl's multi handle; callers block in http_do().
 *
 * A client is made once per process and shared by all threads. Connections are kept alive and
 * reused per (host, TLS identity, lane): requests of different lanes never share a connection, so
 * that a slow series cannot hold up another. HTTP/1.1; HTTP/2 only where libcurl >= 8.1.1. */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"

struct http_client;

struct http_client *http_client_new(void);
/* Cancels what is under way, joins the network thread. */
void http_client_free(struct http_client *c);

/* TLS identity. Strings and blobs must outlive the requests that name them. Verification is on
 * unless insecure. PEM texts, not files, so that a rotated file is re-read by whoever owns it. */
struct http_tls {
    const char *ca_pem;   /* NULL: the system's */
    const char *cert_pem; /* client certificate, or NULL */
    const char *key_pem;
    const char *server_name; /* verify against this name instead of the URL's host, or NULL */
    bool insecure;
};

/* Set by any thread to make requests that carry it end with -ESTOPPED soon. */
struct http_cancel {
    atomic_bool stop;
};

struct http_req {
    const char *method;         /* "GET", "POST", ... */
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    const void *body;           /* sent as it is; with Content-Length */
    size_t body_len;
    const struct http_tls *tls;  /* NULL: verify against the system's CAs */
    const char *connect_to;      /* "host:port": TCP goes there, Host and SNI stay the URL's */
    const char *lane;            /* NULL: the common one */
    uint32_t connect_timeout_ms; /* 0: 5,000 */
    uint32_t timeout_ms;         /* whole request; 0: 60,000; UINT32_MAX: none (watch) */
    uint32_t stall_timeout_ms;   /* no byte received for so long ends it; 0: none */
    size_t max_body;             /* answer larger than this is an error; 0: 64 MiB. What on_data
                                    gets is not counted */
    /* When set, body bytes go here (on the network thread, must not block long) and not into the
     * response; a negative return ends the request with that code. Only for 2xx answers; other
     * bodies are collected as usual. */
    int (*on_data)(void *ctx, const char *p, size_t n);
    void *ctx;
    struct http_cancel *cancel; /* or NULL */
    /* CLOCK_BOOTTIME, or NULL: from this moment on the request is not sent any more, -EGUARD.
     * Looked at for each attempt, and on the network thread directly before its first byte; it may
     * be moved meanwhile. */
    atomic_uint_fast64_t *until_ns;
    bool no_redirect_follow; /* redirects are never followed; kept for clarity: always true */
};

/* What a parser that works in place may write behind a body. */
enum { HTTP_BODY_PAD = 4 };

struct http_resp {
    int status;
    char *body; /* in the caller's arena, followed by HTTP_BODY_PAD NULs, never NULL */
    size_t body_len;
    const char *const *headers; /* "name: value" lines with lower-case names, NULL-terminated */
    uint64_t time_ns;           /* from hand-over to the last byte */
};

/* Proxies are those of the environment (https_proxy, no_proxy, ...), as curl reads it; never for
 * loopback, nor where connect_to is given.
 *
 * A write (anything but GET, HEAD, OPTIONS) is sent at most once: when a kept-alive connection dies
 * under it, libcurl would send it again by itself; here the caller gets -ECONNRESET and maybe_sent.
 *
 * Blocks until the answer is there. 0 for any HTTP answer, whatever its status. Failures:
 * -ECONNREFUSED, -EHOSTUNREACH (name or route), -ETIMEDOUT, -ECONNRESET, -EPROTO (TLS; the message
 * says what), -EMSGSIZE (answer too large), -ESTOPPED, -EINVAL (no such URL, method or header),
 * -EIO, -EGUARD (until_ns). When a failed request may have reached the server, *maybe_sent (may be
 * NULL) is set true, else false; e->retry is set where trying again can help. Messages name the
 * host, never headers or bodies. */
int http_do(struct http_client *c, struct arena *a, const struct http_req *req,
            struct http_resp *ret, bool *maybe_sent, struct err *e);

/* Value of a header (case of the name ignored), or NULL. */
const char *http_header(const struct http_resp *r, const char *name);

/* Around each attempt: may hold it back, and learns what came of it. Called on the thread of the
 * request. */
struct http_pacer {
    /* Blocks until the attempt may begin; negative: it does not begin, and that is the result. */
    int (*begin)(void *ctx, const struct http_req *req);
    /* The answer, or NULL where there was none. */
    void (*end)(void *ctx, const struct http_resp *resp);
    void *ctx;
};

/* How a failed attempt is tried again. */
struct http_retry {
    unsigned attempts; /* in all; 0: 5 */
    uint32_t base_ms;  /* first delay; 0: 100 */
    uint32_t cap_ms;   /* longest delay; 0: 10,000. Retry-After is obeyed up to 6 x this */
    /* Beyond `attempts`, what a server says that restarts or is overloaded (no connection, a lost
     * answer, 429, 502, 503, 504) is tried again until so long after the first attempt; a 5xx
     * without Retry-After, which may also mean that something behind the server is gone for good,
     * for a quarter of that. */
    uint32_t patience_ms;
    bool idempotent; /* the same request twice does no harm: lost answers and 5xx are retried;
                        otherwise only refused connections, unsent requests, 429 (which says that
                        nothing was done) and 503 with Retry-After are */
    const struct http_pacer *pacer; /* or NULL */
};

/* http_do with retries: exponential delay with full jitter, Retry-After obeyed. *attempts (may be
 * NULL) tells how many were made. The last answer (also 429/5xx) is returned as an answer.
 * *maybe_sent is true, with an answer too, when an earlier attempt may have been carried out: a 409
 * or 404 may then be the echo of one's own write. A stream that gave bytes to on_data is not tried
 * again. */
int http_do_retry(struct http_client *c, struct arena *a, const struct http_req *req,
                  const struct http_retry *how, struct http_resp *ret, bool *maybe_sent,
                  unsigned *attempts, struct err *e);
