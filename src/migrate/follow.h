/* Live sync: watches every kind of the source that is migrated, from where it was read, and carries
 * creates, changes and deletes to the destination through the same rules, scrubbing and three-way
 * comparison as a migration.
 *
 * After client-go's informers and work queues: lists that are watched on (410: listed and compared
 * again), a queue in which an object stands once however often it changes, one carrier an object at
 * a time, failures tried again ever more slowly. Nothing is taken from an event but that something
 * has happened and what the source showed then: whether there is anything to do is decided by
 * comparing, so that events may come twice, late, or not in order.
 *
 * Deletes are carried for what runs of this environment have created, and for nothing else; each is
 * first confirmed by asking the source. A guard stops and asks when there are many (follow_impl.h),
 * and always for what takes other things along. When the source's resourceVersions go back it has
 * been restored from a backup: nothing at all is carried until a person has said that its older
 * state is the true one. */
#pragma once

#include "migrate/world.h"

struct follow;

struct follow_opts {
    struct world_opts world; /* with journal and run; everything in it outlives the follow */
    unsigned writes;         /* carriers; 0: 16 */
    unsigned watches;        /* at most; 0: 256. What is beyond is compared once a minute */
    unsigned delete_max;     /* the guard: of a kind, in an hour; 0: 20 */
    unsigned delete_percent; /* and of so many of it; 0: 5 */
    bool ask_deletes;        /* every delete waits for a person (the reverse direction) */
    /* Told about once a second and when the state changes, from the thread of follow_run(). */
    void (*tell)(void *ctx);
    void *tell_ctx;
};

enum follow_state { FOLLOW_READING, FOLLOW_LIVE, FOLLOW_ASKS, FOLLOW_BROKEN, FOLLOW_STOPPED };

struct follow_status {
    enum follow_state state;
    uint64_t pending, oldest_ms, failing, asks, blocked;
    uint64_t carried, deleted, unchanged;
    uint64_t watches, relists, readings, heard_ms;
    char why[400];
};

struct follow *follow_new(const struct follow_opts *o);
void follow_free(struct follow *f); /* after follow_run() has returned; NULL is fine */
/* Until follow_stop(): reads, catches up, watches. What goes wrong is tried again; negative only
 * when it can never work (-EGUARD). */
int follow_run(struct follow *f, struct err *e);
void follow_stop(struct follow *f);                              /* any thread, returns at once */
void follow_status(struct follow *f, struct follow_status *ret); /* any thread */
/* Lets deletes go that wait for a person: "deletes" (all), a kind, or a reference; "restore" says
 * that the source's older state is the true one. The number; -ENOENT: none waits. Any thread. */
int follow_approve(struct follow *f, const char *what, struct err *e);
/* Reads both clusters again and returns when they have been found, or made, equal after this call:
 * nothing pending, nothing asks, nothing blocked. -EBUSY: what is left waits for somebody;
 * -ETIMEDOUT: it is not settled yet. Any thread. */
int follow_drain(struct follow *f, uint64_t max_ms, struct http_cancel *cancel, struct err *e);
/* Calls fn for each object that asks (asks true) or is blocked, with its reason, at most n. */
void follow_each_held(struct follow *f, size_t n,
                      void (*fn)(void *ctx, const char *ref, bool asks, const char *why),
                      void *ctx);
