/* The error out-parameter of every function that can fail.
 *
 * A function that can fail returns int (>= 0 good, negative errno-like bad) and takes
 * `struct err *e` last. The caller owns it, on its stack; it may be NULL when the caller only
 * wants the return value. Outputs are untouched on failure. Messages are whole sentences for an
 * operator: what, where, why; never a credential. Any thread; no shared state. */
#pragma once

#include "base/util.h"

struct err {
    int code;        /* negative errno-like value, 0: none */
    int http;        /* HTTP status where one was the reason, else 0 */
    bool retry;      /* trying the same again later may succeed */
    char reason[48]; /* machine word where the peer gave one (Status.reason of Kubernetes) */
    char msg[1024];
};

/* Outcome of a request that may or may not have been carried out: the answer was lost. */
#define EUNKNOWNOUTCOME 4001
/* Refused by a guard of ours (read-only, identity pin, live side): exit code 4. */
#define EGUARD 4002
/* Stopped by the user: exit code 130. */
#define ESTOPPED 4003
/* Wrong use of the command line: exit code 64. */
#define EUSAGE 4004
/* Waits at a gate, for a person or a check: exit code 3. */
#define EGATE 4005
/* Not done, since the journal could not take the intent. */
#define EUNRECORDED 4006

/* Fills e (if not NULL) and returns code, which must be negative. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " in front of the message, keeps everything else, and returns r. */
int err_ctx(struct err *e, int r, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, adding strerror of errno_value (positive). Returns -errno_value. */
int err_errno(struct err *e, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The message, or a fallback when e carries none. */
const char *err_msg(const struct err *e);
