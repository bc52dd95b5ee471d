/* An incremental reader of one HTTP/1.1 answer (RFC 9112): status, framing, the one header that
 * names the cluster, and, when asked, whether the body holds a text.
 *
 * A kept connection owns one and resets it for each request. One thread. */
#pragma once

#include "base/str.h"

enum {
    HTTP1_HEAD_MAX = 32 * 1024,
    HTTP1_BODY_MAX = 256 * 1024, /* so much of a body is searched */
    HTTP1_VALUE_MAX = 64,
};

enum http1_result {
    HTTP1_MORE,
    HTTP1_DONE,
    HTTP1_BAD,   /* not HTTP/1.x */
    HTTP1_LARGE, /* head beyond HTTP1_HEAD_MAX */
};

enum http1_phase { HTTP1_IN_HEAD, HTTP1_IN_LENGTH, HTTP1_IN_CHUNK, HTTP1_TO_END, HTTP1_ENDED };

struct http1 {
    /* What to look for; set once. */
    const char *identify; /* header name or NULL */
    bool keep_body;
    /* What was found. */
    int status;
    bool began;      /* a byte of the answer has come */
    bool close;      /* the connection ends with this answer */
    bool identified; /* the header was there */
    char value[HTTP1_VALUE_MAX];
    struct sb body;
    /* Where it stands. */
    enum http1_phase phase;
    unsigned chunk; /* part of a chunk */
    uint64_t left;
    struct sb head;
};

void http1_init(struct http1 *h, const char *identify, bool keep_body);
void http1_done(struct http1 *h);
void http1_reset(struct http1 *h);
/* Takes n bytes; *ret_used says how many belonged to this answer. */
enum http1_result http1_feed(struct http1 *h, const char *p, size_t n, size_t *ret_used);
/* The connection ended in good order: DONE when that is what ends the body, else MORE. */
enum http1_result http1_eof(const struct http1 *h);
