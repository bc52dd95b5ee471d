/* Who holds the environment: the process that carries a run out listens on a 0600 Unix socket
 * beside the journal (JOURNAL.sock), and other commands hand their requests over to it there.
 *
 * One JSON object a line, one request a connection:
 *   {"verb":"abort","actor":"jo@box","args":{...}}
 *   {"ok":true,"answer":{...}}  or
 * {"ok":false,"code":-4002,"http":0,"retry":false,"reason":"","msg":"..."} Requests up to 64 KiB,
 * answers up to 4 MiB, each within five seconds on the wire. The path of a socket has room for 107
 * bytes: a longer one is reached through /proc/self/fd of its folder, and a name that is too long
 * even so is replaced by a digest of it. */
#pragma once

#include "base/json.h"
#include "run/session.h"

struct holder;

/* A request of another process of the same user (SO_PEERCRED; anybody else is refused). */
struct holder_request {
    const char *verb;  /* "status", "approve", "abort", "switch-back", ... */
    yyjson_val *args;  /* an object; empty where none was given */
    const char *actor; /* who asks: user@host, or what --actor says */
};
/* Answers in JSON (an object; nothing: {}) or fails; runs on the holder's thread, one request at a
 * time, so that it must not take long: who asks waits. */
typedef int (*holder_fn)(void *ctx, const struct holder_request *rq, struct sb *ret_json,
                         struct err *e);
/* Listens until holder_close(). A socket that a dead process left is replaced; -EBUSY: somebody
 * listens there. One thread; s must outlive the holder, of which only the journal's path is used.
 */
int holder_listen(struct session *s, holder_fn fn, void *ctx, struct holder **ret, struct err *e);
void holder_close(struct holder *h); /* NULL is fine */

/* Hands a request to the holder of this journal. args: JSON object text or NULL. *ret_json in a.
 * -ENOENT: nobody listens, or whoever did has ended (the caller acts itself); -ETIMEDOUT: the
 * holder hangs or is frozen (when it wakes it drops what it has not begun by then); -EACCES: it is
 * another user's; else the holder's own error, with its code and text. */
int holder_ask(const char *journal_path, struct arena *a, const char *verb, const char *args,
               const char *actor, uint32_t timeout_ms, char **ret_json, struct err *e);
