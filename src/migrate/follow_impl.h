/* Inside of following: life and reading (follow.c), the source's age (follow_age.c), watches
 * (follow_watch.c), one change (follow_carry.c), the guard of deletes (follow_guard.c), the journal
 * (follow_log.c), what others ask (follow_ask.c). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "migrate/changes.h"
#include "migrate/follow.h"

/* --- the journal, many writers in one transaction --- */

struct follow_log;
struct follow_log *follow_log_start(struct journal *j, const char *run);
/* What is under way is written first. */
void follow_log_stop(struct follow_log *l);
/* Returns when the intent is on disk; fills ef->id. */
int follow_log_begin(struct follow_log *l, struct journal_effect *ef, struct err *e);
/* Returns at once. Its texts are copied. */
void follow_log_end(struct follow_log *l, const struct journal_effect *ef);
/* Returns when all outcomes so far are on disk, or cannot be. */
void follow_log_flush(struct follow_log *l);
/* Why the journal could not be written last, copied to out; false: it could. */
bool follow_log_broken(struct follow_log *l, char *out, size_t n);

/* --- the guard --- */

/* Deletions of a kind in the last hour, or since a person let some go, are not to exceed the
 * smaller of delete_max and delete_percent of its objects in the destination. Restarts do not reset
 * it: the journal knows what was deleted. */
struct follow_guard;
struct follow_guard *follow_guard_new(const struct follow_opts *o);
void follow_guard_free(struct follow_guard *g);
/* Counts one in. True: it may go. Else why not, in a. live: objects of the kind in the destination
 * now. */
bool follow_guard_allows(struct follow_guard *g, struct arena *a, const struct kube_resource *r,
                         size_t live, const char **ret_why);
/* It was counted in and did not happen after all. */
void follow_guard_forget(struct follow_guard *g, const struct kube_resource *r);
/* Deleted at that time, before this process. */
void follow_guard_note(struct follow_guard *g, const char *group, const char *kind, int64_t at_ms);
/* A person has let some of this kind go (NULL: of all): counting begins anew. */
void follow_guard_reset(struct follow_guard *g, const char *group, const char *kind);

/* --- all of it --- */

enum { FOLLOW_HOUR_MS = 3600000 };

struct follow_watch {
    struct follow *f;
    const struct kind *kind;
    struct arena *a;
    const char *rv;              /* in a */
    atomic_uint_fast64_t number; /* of rv; 0: none that can be compared */
    bool told;                   /* of an event, by the watch that is open; its thread's own */
    bool polled;                 /* not watched: listed and compared once a minute */
    bool was_open;               /* a watch has worked once */
    bool looked;                 /* after the last watch the kind could be listed */
    uint64_t denied_ms;          /* clock: since when watching is forbidden; 0: it is not */
    atomic_bool failing;
    atomic_bool open;
};

struct follow {
    struct follow_opts o;
    struct world *w;      /* NULL while it is read */
    pthread_mutex_t lock; /* of w (renew.h) and of what is below it in this struct */
    size_t *live;         /* of each kind of w, what the destination has; under lock */
    struct changes *q;    /* NULL while it is read; set under lock */
    uint64_t readings;    /* that have ended: counted as q is set; under lock */
    struct follow_log *log;
    struct follow_guard *guard;
    struct follow_watch *watch;
    size_t n_watch;
    uint64_t as_of; /* the source's resourceVersion when reading had ended: events up to there are
                       asked about; 0: not known */
    struct workers *watchers, *carriers;
    struct http_cancel stop;        /* everything ends */
    struct http_cancel pause;       /* this reading ends: another follows */
    atomic_bool reread;             /* wanted */
    atomic_uint_fast64_t reread_ms; /* not before */
    atomic_bool restored;           /* the source is older than it was */
    atomic_bool accepted;           /* that older state, by a person; follow_run() acts on it */
    atomic_uint_fast64_t carried, deleted, unchanged, relists, heard_ms;
    atomic_uint_fast64_t broken_ms; /* since when; 0: it is not */
    struct err broken;              /* under lock: the newest failure of a watch or of reading */
    char restored_why[300];         /* under lock */
    struct map *marks;       /* "GROUP/KIND" -> newest resourceVersion of an earlier reading */
    struct arena *a;         /* of their keys */
    enum follow_state state; /* under lock */
    uint64_t behind_ms;      /* under lock: since when, while it is read; 0: up to date then */
};

/* One more reading of both clusters, in so many ms. */
void follow_reread(struct follow *f, uint64_t in_ms);
/* A cluster does not answer: told in the status until it does. */
void follow_is_broken(struct follow *f, const struct err *e);
void follow_is_well(struct follow *f);
bool follow_pauses(struct follow *f);

/* Thread of one watch. */
void follow_watch_run(void *ctx, size_t index);

/* Thread that carries. */
void follow_carry_run(void *ctx, size_t index);

/* --- the source's age (follow_age.c) --- */

/* A resourceVersion as a number; 0 when it is none. */
uint64_t follow_rv(const char *rv);
/* The source's resourceVersion of a kind is lower than it was: nothing is carried from now on. */
void follow_went_back(struct follow *f, const char *plural, uint64_t was, uint64_t is);
/* The newest that a watch of the kind has seen, for the readings to come. */
void follow_age_mark(struct follow *f, const struct kind *k, uint64_t number);
/* One of them into the journal, for later processes. */
void follow_age_save(struct follow *f);
/* What was read just now against both. */
void follow_age_check(struct follow *f, const struct world *w);
/* Where the source stands; 0: not known. Kinds of other stores (aggregated APIs) have numbers of
 * their own, which are asked about once too often, or not. */
uint64_t follow_age_now(struct follow *f, const struct world *w);
/* A person has said that the older state is the true one: what is known of newer ones is forgotten.
 */
void follow_age_accept(struct follow *f);
