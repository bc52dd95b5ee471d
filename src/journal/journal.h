/* The journal: SQLite (WAL, synchronous=FULL, 0600), one file per environment, schema versioned.
 *
 * intent -> effect -> done: what a write will do is here before it is tried and what it did after
 * it is known. Rows are append-only but for a step's and an effect's state. Every call may come
 * from any thread; a mutex guards the connection. Secret values never come here, only salted
 * digests. Errors are translated here; a full disk is -ENOSPC. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

struct journal;

/* Opens or makes the file (and its folder). Takes the environment's file lock (PATH.lock, with pid
 * and start time in it) unless read_only; -EBUSY says who holds it since when. A read-only open
 * never writes and works while another process holds it. */
int journal_open(const char *path, bool read_only, struct journal **ret, struct err *e);
void journal_close(struct journal *j); /* NULL is fine */
/* 32 random bytes made once per journal: the salt of every digest. */
const uint8_t *journal_salt(const struct journal *j);
/* When the file was made (wall time), which tells it from one that was made from its export. */
int64_t journal_made_ms(const struct journal *j);

/* A write on a journal that was opened read-only is -EGUARD. Wherever a run is named for writing,
 * NULL or "" records outside of any run; a run that does not exist is -ENOENT. */

/* --- environment: small facts by key (cluster pins, who is live as we left it) --- */
/* value NULL: not set any more. */
int journal_set(struct journal *j, const char *key, const char *value, struct err *e);
/* *ret NULL when not set. */
int journal_get(struct journal *j, struct arena *a, const char *key, char **ret, struct err *e);

/* --- runs --- */
struct journal_run {
    char id[24];                  /* "r-20261123-ab12" */
    char source, destination;     /* 'a' / 'b' */
    char state[16];               /* open, retired, aborted */
    int64_t started_ms, ended_ms; /* wall; 0: not ended */
};
int journal_run_begin(struct journal *j, char source, char destination, struct journal_run *ret,
                      struct err *e);
/* The newest run whose state is "open": 1 when found, 0 when none. */
int journal_run_open(struct journal *j, struct journal_run *ret, struct err *e);
int journal_run_end(struct journal *j, const char *run, const char *state, struct err *e);
/* Newest first. */
int journal_runs(struct journal *j, struct arena *a, struct journal_run **ret, size_t *n,
                 struct err *e);

/* --- steps: one recorded action each (a stage, a weight change, an activation of one CronJob) ---
 */
/* Intent. *ret_id identifies it. detail is JSON text or NULL. */
int journal_step_begin(struct journal *j, const char *run, const char *stage, const char *what,
                       const char *detail, int64_t *ret_id, struct err *e);
/* Once per step (-ENOENT when it is not open). state: done, failed, skipped. note: what came of it,
 * or NULL. */
int journal_step_end(struct journal *j, int64_t id, const char *state, const char *note,
                     struct err *e);
struct journal_step {
    int64_t id;
    const char *stage, *what, *detail, *state, *note; /* state "open" until ended */
    int64_t begun_ms, ended_ms;
};
int journal_steps(struct journal *j, struct arena *a, const char *run, struct journal_step **ret,
                  size_t *n, struct err *e);

/* --- moves: from stage to stage of a run; the words are run/run.h's --- */
struct journal_move {
    int64_t id;
    const char *from, *to, *name, *actor;
    const char *reason; /* who asked or what broke, or NULL */
    const char *state;  /* intent, done, failed */
    const char *note;   /* what came of it, or NULL */
    int64_t at_ms, ended_ms;
};
/* Intent: from, to, name, actor and reason of m. A run must be named. */
int journal_move_begin(struct journal *j, const char *run, const struct journal_move *m,
                       int64_t *ret_id, struct err *e);
/* Once per move (-ENOENT when it is no intent). state: done, failed. */
int journal_move_end(struct journal *j, int64_t id, const char *state, const char *note,
                     struct err *e);
/* In order. None in a file that an older tandem wrote and this one may only read. */
int journal_moves(struct journal *j, struct arena *a, const char *run, struct journal_move **ret,
                  size_t *n, struct err *e);

/* --- approvals: append-only --- */
struct journal_approval {
    int64_t id;
    int64_t after; /* id of the run's newest move when it was given; 0: none */
    const char *gate, *actor, *reason;
    int64_t at_ms;
};
/* reason or NULL. */
int journal_approve(struct journal *j, const char *run, const char *gate, const char *actor,
                    const char *reason, struct err *e);
/* In order; as journal_moves(). */
int journal_approvals(struct journal *j, struct arena *a, const char *run,
                      struct journal_approval **ret, size_t *n, struct err *e);

/* --- effects: one per object written, what `migrate` resumes from and `unmigrate` takes back ---
 */
enum journal_effect_state { EFFECT_INTENT, EFFECT_DONE, EFFECT_FAILED, EFFECT_UNKNOWN };
struct journal_effect {
    int64_t id;          /* 0 until written */
    const char *cluster; /* "a" or "b" */
    const char
        *ref; /* "apps/Deployment/shop/cart" = GROUP/KIND/NS/NAME, NS empty if cluster-scoped */
    const char *verb;   /* create, update, patch, delete, hold, unhold */
    const char *digest; /* salted digest of the body sent (hex), or NULL */
    const char *leaves; /* JSON: JSON pointer -> salted digest of the leaf value, or NULL */
    const char
        *previous; /* JSON of previous values of what was changed (never Secret values), or NULL */
    const char *uid, *resource_version; /* in that cluster, once known */
    const char *error;                  /* when failed */
    enum journal_effect_state state;
};
/* Writes n intents in one transaction and fills their ids: all or none. `previous` of a Secret that
 * carries values of it is refused with -EGUARD. */
int journal_effects_begin(struct journal *j, const char *run, struct journal_effect *e, size_t n,
                          struct err *err);
/* Adds to an intent, before its write is sent, what that write will change: `previous` (as above),
 * and uid and resource_version of the object as it was; NULL leaves what is there. -ENOENT when
 * there is no such effect. */
int journal_effect_note(struct journal *j, const struct journal_effect *e, struct err *err);
/* Records the outcome of n effects in one transaction, by id: state and error as given, and uid,
 * resource_version, digest, leaves where given; NULL leaves what is there. */
int journal_effects_end(struct journal *j, const struct journal_effect *e, size_t n,
                        struct err *err);
/* Both in one transaction, so that they cost one sync of the disk. */
int journal_effects_turn(struct journal *j, const char *run, struct journal_effect *begun,
                         size_t n_begun, const struct journal_effect *ended, size_t n_ended,
                         struct err *err);
/* The newest effect of ref in cluster over all runs that is not failed; 1 found, 0 none. */
int journal_effect_last(struct journal *j, struct arena *a, const char *cluster, const char *ref,
                        struct journal_effect *ret, struct err *err);
/* All effects of ref in cluster by one run, in order of id; in a. */
int journal_effects_of(struct journal *j, struct arena *a, const char *run, const char *cluster,
                       const char *ref, struct journal_effect **ret, size_t *n, struct err *err);
/* The same from the newest on that was done and has leaves, or took it back: all that a three-way
 * comparison needs, however often the object was written. */
int journal_effects_tail(struct journal *j, struct arena *a, const char *run, const char *cluster,
                         const char *ref, struct journal_effect **ret, size_t *n, struct err *err);
/* What a run has, or may have, deleted in a cluster since then (wall ms), in order. */
int journal_deleted_since(struct journal *j, const char *run, const char *cluster, int64_t since_ms,
                          void (*fn)(void *ctx, const char *ref, int64_t at_ms), void *ctx,
                          struct err *err);
/* Calls fn for each effect of a run (NULL or "": all runs) in order of id; `only` -1: any state.
 * The connection is free meanwhile: fn may call the journal, and other threads go on writing. What
 * fn is given lives until it returns. A result of fn other than 0 ends the walk and is returned,
 * with err untouched. */
int journal_effects_each(struct journal *j, const char *run, int only,
                         int (*fn)(void *ctx, const struct journal_effect *e), void *ctx,
                         struct err *err);

/* The same for those with an id above `after` alone. */
int journal_effects_each_after(struct journal *j, int64_t after, const char *run, int only,
                               int (*fn)(void *ctx, const struct journal_effect *e), void *ctx,
                               struct err *err);

/* --- events: append-only audit trail, each row carrying the hash of the one before ---
 * hash = hex SHA-256 of the hash before (64 zeros at first) followed by the row as the JSON array
 * [id,at_ms,run,actor,what,detail] without spaces. */
int journal_event(struct journal *j, const char *run, const char *actor, const char *what,
                  const char *detail, struct err *e);
struct journal_event_row {
    int64_t id, at_ms;
    const char *run, *actor, *what, *detail, *hash;
};
/* In order; run NULL or "": all. */
int journal_events(struct journal *j, struct arena *a, const char *run,
                   struct journal_event_row **ret, size_t *n, struct err *e);
/* Recomputes the chain: 0 when whole, -EBADMSG with the first bad row otherwise. */
int journal_events_verify(struct journal *j, struct err *e);
