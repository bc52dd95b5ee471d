/* One connection: opens, speaks TLS if need be, sends one request at a time and reads its answer,
 * without ever blocking and without ever trying anything twice (but for the other address family,
 * as RFC 8305 has it, before a connection exists). The lane that owns it drives it. */
#pragma once

#include "probe/http1.h"
#include "probe/target.h"

enum conn_state {
    CONN_CONNECTING,
    CONN_TLS,
    CONN_SENDING,
    CONN_WAITING, /* for the first byte of the answer */
    CONN_READING,
    CONN_IDLE,
    CONN_LINGER, /* answered; waits for the peer to close first, so that its side keeps TIME_WAIT */
};

struct conn {
    struct conn *prev, *next; /* in one of the lane's lists */
    struct target *target;
    int epoll, fd, family;
    enum conn_state state;
    bool fell_back; /* the other address family has been tried */
    bool fresh;     /* this request is the first of the connection */
    bool opening;   /* counted by the lane as not open yet */
    bool peer_gone; /* the peer has sent its last byte */
    SSL *ssl;
    struct http1 answer;
    uint64_t due, sent; /* ns since start, of the request under way */
    uint64_t deadline;  /* of the list it is in */
    char detail[DETAIL_MAX];
    size_t len, off; /* of what is to be sent */
    size_t cap;
    char out[];
};

/* What a step of a connection led to. */
enum conn_event {
    CONN_GOES_ON,
    CONN_ANSWERED, /* a whole answer was read */
    CONN_FAILED,   /* *ret_why says how */
    CONN_CLOSED,   /* an idle or lingering connection has ended */
};

/* Starts to connect. NULL with *ret_why when it fails at once; detail (DETAIL_MAX) says more. */
struct conn *conn_open(struct target *t, int epoll, unsigned turn, const char *identify,
                       bool keep_body, size_t request_max, enum probe_why *ret_why, char *detail);
void conn_free(struct conn *c);
/* The text of the next request, sent as soon as the connection allows. */
void conn_request(struct conn *c, const char *text, size_t n);
/* Goes as far as it can. `scratch` is room for reading, shared by the lane's connections. */
enum conn_event conn_step(struct conn *c, char *scratch, size_t room, enum probe_why *ret_why);
/* Why a request that has run out of time did. */
enum probe_why conn_timeout_why(const struct conn *c);
