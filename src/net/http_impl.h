/* What the files of the HTTP client share; nobody else includes this.
 *
 * A `call` is one request under way. It lives in a pool together with its curl easy handle, whose
 * buffers are thereby kept. Who owns it: the calling thread until it is submitted, the network
 * thread until that posts `done`, then the calling thread again. Shared are only the pool, the
 * submitted list and the flags beside them, under the client's lock. */
#pragma once

#include <curl/curl.h>
#include <pthread.h>
#include <semaphore.h>

#include "base/str.h"
#include "net/http.h"

struct lane;

struct call {
    struct call *next;          /* in the pool or the submitted list */
    struct call *newer, *older; /* under way: list of the network thread */
    struct http_client *client;
    CURL *easy;
    sem_t done;
    const struct http_req *req;
    struct lane *lane;
    uint64_t start_ns, end_ns;
    uint64_t heard_ms; /* when the server last sent something */
    size_t max_body;
    struct sb head; /* "name: value" lines, each ended by NUL */
    struct sb body;
    size_t n_headers;
    int status;
    bool head_done; /* the empty line after the headers has come */
    CURLcode result;
    int fail;      /* our own reason for ending it, over `result` */
    bool sent;     /* bytes of the request may have reached the server */
    bool resent;   /* libcurl wanted to send it again */
    bool streamed; /* on_data got some */
    char detail[CURL_ERROR_SIZE];
};

/* What curl wants of a socket, and what epoll was told. They differ while a connection rests in
 * the cache: it stays armed, which saves two epoll_ctl() a request. */
struct watch {
    struct lane *lane;
    uint32_t want, armed;
    bool ours; /* opened and closed through our callbacks, so that it may stay armed */
};

struct http_client {
    pthread_t thread;
    int epoll, wake;

    pthread_mutex_t lock;
    struct call *pool;              /* last used first: its memory is warm */
    struct call *submitted, **tail; /* not yet taken over by the network thread */
    size_t inside;                  /* callers between enter and leave */
    bool asleep;                    /* the network thread must be woken for new work */
    bool quit;

    /* The network thread's own. */
    CURLSH *share; /* TLS sessions, over all easy handles and lanes */
    struct lane *lanes;
    struct call *active;
    size_t ticking; /* requests that want a look at their cancel flag or silence */
    uint64_t tick_ms;
    struct watch *watch; /* by file descriptor */
    size_t n_watch;

    char *ca_file, *ca_path; /* libcurl's own defaults, or NULL */
};

/* http.c. False when the client is being freed; between enter and leave it will not be. */
bool client_enter(struct http_client *c);
void client_leave(struct http_client *c);
bool client_quits(struct http_client *c);
/* One attempt, within enter and leave. *maybe_sent as http_do; *streamed: on_data was called. */
int call_once(struct http_client *c, struct arena *a, const struct http_req *req,
              struct http_resp *ret, bool *maybe_sent, bool *streamed, struct err *e);

/* http_request.c. What never changes for an easy handle. */
void call_setup_once(struct call *call);
/* Tells the easy handle everything about call->req. What this allocates is in `a` and must live
 * until the call is done. */
int call_setup(struct call *call, struct arena *a, struct err *e);

/* Is its until_ns over? */
bool too_late(const struct http_req *req);

/* http_loop.c */
void *loop_main(void *client);
void loop_wake(struct http_client *c);
void loop_free_lanes(struct http_client *c);
curl_socket_t loop_opensocket(void *client, curlsocktype purpose, struct curl_sockaddr *addr);
int loop_closesocket(void *client, curl_socket_t fd);

/* http_error.c. The failure of a finished call, or 0. */
int call_error(const struct call *call, struct err *e);
/* "host:port" of a URL, without credentials, for messages; *ret_len bytes. */
const char *url_authority(const char *url, size_t *ret_len);
