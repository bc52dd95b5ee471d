/* Live sync of a session: source to destination, on threads of its own, beside whatever the caller
 * does meanwhile. What is carried and how: migrate/follow.h. */
#pragma once

#include "run/holder.h"
#include "run/session.h"

struct following;

enum following_state {
    FOLLOWING_READING, /* both clusters are read and compared, at first and after a break */
    FOLLOWING_LIVE,    /* watching: changes are carried as they come */
    FOLLOWING_ASKS,    /* watching, and something waits for `approve` (see why) */
    FOLLOWING_BROKEN,  /* a cluster does not answer, or the journal cannot be written; it goes on
                          trying: see why */
    FOLLOWING_STOPPED,
};
const char *following_state_name(enum following_state s);

struct following_status {
    enum following_state state;
    char from, to;             /* 'a' / 'b' */
    uint64_t pending;          /* changes seen in the source and not in the destination yet */
    uint64_t oldest_ms;        /* age of the oldest of them; 0: none. This is the lag */
    uint64_t asks;             /* deletions that wait for a person */
    uint64_t failing;          /* of pending: tried and refused, tried again */
    uint64_t blocked;          /* cannot be carried until somebody changes something (see why) */
    uint64_t readings;         /* of both clusters as a whole, so far */
    uint64_t carried, deleted; /* since it began */
    uint64_t watches;          /* open ones */
    uint64_t heard_ms;         /* since anything was heard of the source; bookmarks count */
    char why[400];             /* of ASKS and BROKEN: one sentence for the operator; else "" */
};

struct following_opts {
    bool reverse; /* destination to source, after the switch */
    /* Told about once a second, and at once when the state changes; from a thread of its own. May
     * be NULL. */
    void (*tell)(void *ctx, const struct following_status *st);
    void *ctx;
};

/* Begins, in a thread of its own; the run must be open. The direction becomes a fact of the
 * journal; -EGUARD while the recorded direction is the other one (following_turn()). */
int following_start(struct session *s, const struct following_opts *o, struct following **ret,
                    struct err *e);
void following_status(struct following *f, struct following_status *ret);
/* Lets what waits for a person go: "deletes" (all that wait now), a kind ("Deployment"), a
 * reference, or "restore" (the source's older state is true). Any thread. Returns how many were let
 * go; -ENOENT: nothing of it waits. */
int following_approve(struct following *f, const char *what, struct err *e);
/* Reads both clusters once more, and returns when they were found, or made, equal after this call
 * (a gate before the switch): 0. -EBUSY: what is left asks or is blocked; -ETIMEDOUT: it is not
 * settled yet; -ESTOPPED: the session was stopped. */
int following_drain(struct following *f, uint64_t max_ms, struct err *e);
/* As it is now, an object in d. */
yyjson_mut_val *following_json(yyjson_mut_doc *d, struct following *f);
/* For holder_listen() of a process that does nothing but follow (ctx: the struct following):
 * "status", and "approve" with {"what":…}. */
int following_answer(void *ctx, const struct holder_request *rq, struct sb *ret_json,
                     struct err *e);
/* Ends it and what it has under way; NULL is fine. */
void following_stop(struct following *f);

/* Calls fn for each object that asks for an approval or is blocked, with its reason; at most n. */
void following_each_held(struct following *f, size_t n,
                         void (*fn)(void *ctx, const char *ref, bool asks, const char *why),
                         void *ctx);

/* The direction that the journal records: 'f' forward, 'r' reverse, 0 never followed. */
int following_direction(struct session *s, char *ret, struct err *e);
/* Records another direction (0: none); never while one runs. */
int following_turn(struct session *s, char direction, struct err *e);
