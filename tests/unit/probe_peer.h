/* A scripted HTTP server for the prober's tests: a thread for each connection, an answer chosen by
 * atomics that the test may turn while requests arrive. */
#pragma once

#include <stdatomic.h>

#include "base/util.h"

enum peer_way {
    PEER_LENGTH,   /* with Content-Length */
    PEER_CHUNKED,  /* in chunks, with a trailer */
    PEER_TO_END,   /* until the connection ends */
    PEER_INTERIM,  /* 103 first */
    PEER_EMPTY,    /* 204 */
    PEER_BYTEWISE, /* one byte a packet */
    PEER_CLOSE,    /* closed instead of an answer */
    PEER_RST,      /* reset instead of an answer */
    PEER_HALF,     /* closed in the middle of the body */
    PEER_HANG,     /* stops in the middle of the body */
    PEER_SILENT,   /* no answer */
    PEER_GARBAGE,  /* not HTTP */
    PEER_ENDLESS_HEAD,
};

struct peer {
    /* The script; may be changed at any time. */
    atomic_int way, status, delay_ms, handshake_ms;
    atomic_int cluster;        /* 'a', 'b', or 0: no header */
    atomic_int idle_close_ms;  /* closes a connection on which nothing came for so long; 0: never */
    atomic_int drop_after;     /* reads request n + 1 of a connection, then closes; 0: never */
    atomic_int announce_after; /* says "Connection: close" with answer n; 0: never */
    atomic_ullong stall_until; /* clock_now_ns(): no answer leaves before */
    /* What it has seen. */
    atomic_uint connections, requests;
    atomic_ullong users; /* bit n: a request of user n came (n < 64) */
    /* Its own. */
    int port, listener;
    void *tls; /* SSL_CTX */
    atomic_int open;
    atomic_bool stop;
    char *ca; /* PEM of its own certificate, with TLS */
    void *threads;
};

/* On 127.0.0.1; with TLS for the name "pulse.example". */
struct peer *peer_start(bool tls);
void peer_stop(struct peer *p);
/* A port of 127.0.0.1 where nobody listens. */
int peer_closed_port(void);
