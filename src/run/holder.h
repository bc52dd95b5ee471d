/* Who holds the environment: the process that carries a run out listens on a 0600 Unix socket
 * beside the journal (JOURNAL.sock), and other commands hand their requests over to it there. */
#pragma once

#include "base/json.h"
#include "run/session.h"

struct holder;

/* A request of another process of the same user (SO_PEERCRED; anybody else is refused). */
struct holder_request {
    const char *verb;  /* "status", "approve", "abort", "switch-back", ... */
    yyjson_val *args;  /* an object */
    const char *actor; /* who asks: user@host, or what --actor says */
};
/* Answers in JSON (an object) or fails; runs on the holder's thread, one request at a time. */
typedef int (*holder_fn)(void *ctx, const struct holder_request *rq, struct sb *ret_json,
                         struct err *e);
/* Listens until holder_close(). A socket that a dead process left is replaced. */
int holder_listen(struct session *s, holder_fn fn, void *ctx, struct holder **ret, struct err *e);
void holder_close(struct holder *h); /* NULL is fine */

/* Hands a request to the holder of this journal. args: JSON object text or NULL. *ret_json in a.
 * -ENOENT: nobody listens (the caller acts itself); -ETIMEDOUT: the holder hangs or is frozen; else
 * the holder's own error, with its code and text. */
int holder_ask(const char *journal_path, struct arena *a, const char *verb, const char *args,
               const char *actor, uint32_t timeout_ms, char **ret_json, struct err *e);
