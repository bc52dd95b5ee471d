/* An API server for tests: answers by a script, row by row, and remembers what was asked. Plain
 * HTTP on a free port of 127.0.0.1, on threads of its own. */
#pragma once

#include "base/str.h"

enum api_end {
    API_WHOLE,  /* the body, whole */
    API_CUT,    /* half of the body, then the connection is closed */
    API_RESET,  /* closed without an answer */
    API_STREAM, /* chunked; '|' in the body is where one chunk ends and the next begins */
    API_BREAK,  /* as API_STREAM, but closed in the middle */
    API_HANG,   /* as API_STREAM, and then nothing until the other side closes */
};

struct api_row {
    const char *want; /* must stand in the head of the request; NULL: every request */
    int status;
    const char *body, *header; /* header: one line without its end, or NULL */
    enum api_end end;
    unsigned times;    /* used so often, then a later row; 0: for ever */
    unsigned delay_ms; /* before the answer */
};

struct api;

/* The rows must outlive the server. A request that no row wants gets a 404 Status. */
struct api *api_start(const struct api_row *rows, size_t n);
/* Answers by a function instead, one request at a time: the status, and the body in *ret_body
 * (empty before). */
typedef int (*api_fn)(void *ctx, const char *request, struct sb *ret_body);
struct api *api_start_with(api_fn fn, void *ctx);
void api_stop(struct api *s);
int api_port(const struct api *s);
/* How many requests so far had this in their head or body. */
unsigned api_count(struct api *s, const char *text);
/* Which request (from 0, over all) was the nth (from 0) that had this in its head or body; -1. */
int api_when(struct api *s, const char *text, unsigned nth);
