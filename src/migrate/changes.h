/* What has changed in the source and is not in the destination yet: a work queue in which each
 * object stands once, in its newest state, after client-go's util/workqueue.
 *
 * An object that changes more than HOT times a second waits until HOT_WAIT_MS after the first
 * change that is not carried yet; every other one is carried at once. While it is carried, what
 * comes for it waits for its turn. Any thread. */
#pragma once

#include "migrate/object.h"

enum { CHANGES_HOT = 5, CHANGES_HOT_WAIT_MS = 100 };

enum change_state { CHANGE_IDLE, CHANGE_WAITS, CHANGE_RUNS, CHANGE_ASKS, CHANGE_BLOCKED };

struct pending {
    /* For whoever carries it (CHANGE_RUNS). */
    const char *ref;
    const struct kind *kind;
    char *body; /* as the source showed it (xfree); NULL: it is gone */
    size_t len;
    bool whole;    /* the body is not metadata alone */
    bool approved; /* a person has let this delete go */
    unsigned tries;

    /* The queue's own. */
    struct pending *chain;
    uint64_t hash, seen_ms, again_ms, due_ms;
    uint64_t recent[CHANGES_HOT + 1];
    unsigned n_recent;
    size_t heap; /* place from 1; 0: in no heap */
    enum change_state state;
    bool again;
    char *next_body;
    size_t next_len;
    bool next_whole;
    char *why;
};

struct changes;

struct changes *changes_new(void);
void changes_free(struct changes *q);
/* body (xmalloc'ed, NULL: gone) becomes the queue's. */
void changes_put(struct changes *q, const char *ref, const struct kind *kind, char *body,
                 size_t len, bool whole);
/* The next one that is due; waits for it. NULL: closed. It stays the queue's; give it back by one
 * of the three below. */
struct pending *changes_next(struct changes *q);
void changes_done(struct changes *q, struct pending *p);
/* Again, later; unless something newer has come for it. why: for people. */
void changes_retry(struct changes *q, struct pending *p, const char *why);
/* It waits for a person (CHANGE_ASKS), or for the object to change (CHANGE_BLOCKED). */
void changes_hold(struct changes *q, struct pending *p, enum change_state state, const char *why);
/* Lets those that ask go for which match says so. Their number. */
size_t changes_approve(struct changes *q, bool (*match)(void *ctx, const struct pending *p),
                       void *ctx);
/* Nothing is handed out while it is frozen. */
void changes_freeze(struct changes *q, bool frozen);
/* Wakes everybody; from here on changes_next() says NULL. */
void changes_close(struct changes *q);

struct changes_count {
    size_t pending, failing, asks, blocked;
    uint64_t oldest_ms; /* age */
    char why[300];      /* of the first that asks, else is blocked, else fails; or "" */
};
void changes_count(struct changes *q, struct changes_count *ret);
/* Forgets objects that rest and have been quiet for some seconds. */
void changes_reap(struct changes *q);
void changes_each_held(struct changes *q, size_t n,
                       void (*fn)(void *ctx, const char *ref, bool asks, const char *why),
                       void *ctx);
