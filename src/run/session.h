/* What a command works with: configuration, the two clusters, the journal, the load balancers,
 * opened as far as the command needs them and closed together.
 *
 * Also the guards that hold for every command: --read-only, the pin of each slot to one cluster,
 * a and b not being the same cluster. One thread. */
#pragma once

#include "journal/journal.h"
#include "kube/discovery.h"
#include "migrate/world.h"
#include "run/config.h"

enum session_need {
    NEED_A = 1,
    NEED_B = 2,
    NEED_CLUSTERS = NEED_A | NEED_B,
    NEED_JOURNAL = 4,        /* for writing; made when missing */
    NEED_JOURNAL_IF_ANY = 8, /* for reading, if there is one */
    NEED_TRAFFIC = 16,       /* at least one tier must be configured */
    NEED_TRAFFIC_IF_ANY = 32,
    NEED_CONFIG_FILE = 64,
    TOLERATE_DEAD = 128,   /* a cluster that cannot be reached is no error (the way back) */
    TOLERATE_DENIED = 512, /* nor is a credential that may not read something (doctor) */
    WALKS_STAGES = 4096,   /* upgrade, resume, abort: an interrupted move is theirs to settle */
    TOLERATE_BUSY = 256,   /* nor is a journal that is missing or held by another process */
    NEED_LIVE = 1024,      /* who is live is as the journal believes, else -EGUARD (adopt.h) */
};

struct session_opts {
    const char *config; /* -f; NULL: ./tandem.yaml if there is one */
    const char *context_a, *context_b;
    const char *const *namespaces; /* -n, NULL-terminated; NULL: the configuration's */
    const char *label_selector;
    bool read_only;
    const char *actor; /* who runs it, for the audit trail; NULL: $USER@host */
};

struct session {
    struct session_opts o;
    unsigned needs; /* of session_open() */
    struct arena *a;
    struct config *cfg;
    struct http_client *http;
    struct http_cancel cancel;
    struct kube_client *cluster[2]; /* [0] a, [1] b; NULL: not opened or dead */
    struct kube_identity id[2];     /* uid NULL: it may not be read */
    struct kube_version version[2];
    struct journal *journal; /* or NULL */
    bool recording;          /* the journal can be written */
    struct traffic_tier **tiers;
    size_t n_tiers;
    char source, destination; /* 'a' / 'b' */
    bool run_open;
    struct journal_run run; /* valid when run_open */
    char actor[128];
    bool walking;                    /* `upgrade` records the moves of the run itself (run.h) */
    bool without_digests, read_made; /* see world_opts; before session_world() */
    struct lease *lease[2];          /* of the clusters that are written to (holding.h); or NULL */
    const char *taken_from;          /* the last that was taken over: where, from whom; or NULL */
    unsigned without_lease;          /* NEED_A, NEED_B: none could be had, which was said */
    bool failure_told;               /* the one that is on its way out (notice.h) */
    bool refused;   /* another process writes to the destination: session_hold() has said so last */
    int patience;   /* see session_patience() */
    bool take_over; /* the way back from a holder that hangs: see holding.h */
};

int session_open(const struct session_opts *o, unsigned needs, struct session **ret, struct err *e);
void session_close(struct session *s); /* NULL is fine */

/* Opens those clusters of `needs` that are not open yet: for what must not wait for them at first
 * (the way back moves the traffic before it looks for an API server). With TOLERATE_DEAD one that
 * does not answer within a few seconds is left out, with a warning. When a cluster is not the one
 * that its slot is pinned to, neither stays open. */
int session_reach(struct session *s, unsigned needs, struct err *e);
/* Closes the clusters again, of which no Lease is held. */
void session_leave(struct session *s);
/* Tries again to get the journal that another process held when the session was opened, for so
 * long. Returns whether what is done from now on is recorded. */
bool session_record(struct session *s, uint64_t max_ms);

struct kube_client *session_source(const struct session *s);
struct kube_client *session_destination(const struct session *s);
int session_slot(char slot); /* 'a' -> 0, 'b' -> 1 */

/* Reads both clusters and classifies: the common beginning of plan, migrate, verify, explain. */
/* plan_salt: see world_opts; NULL without a frozen plan. */
int session_world_of(struct session *s, const uint8_t *plan_salt,
                     void (*progress)(void *, const char *, size_t), void *ctx, struct world **ret,
                     struct err *e);
int session_world(struct session *s, void (*progress)(void *, const char *, size_t), void *ctx,
                  struct world **ret, struct err *e);

/* What such a world is made with; rules and patterns live as long as the session. */
int session_world_opts(struct session *s, const uint8_t *plan_salt, struct world_opts *ret,
                       struct err *e);

/* Until it is called with false as often as with true: bear that an API server restarts or cannot
 * keep up, as long as a minute at a time. For what reads and writes much and could not go on in the
 * midst of it; never for the way back. */
void session_patience(struct session *s, bool on);

/* The open run, begun when there is none. Pins both slots. */
int session_begin_run(struct session *s, struct err *e);
/* One recorded action around fn: intent before, outcome after, event in the audit trail. When the
 * journal can be had only afterwards (session_record), it is recorded then. */
int session_step(struct session *s, const char *stage, const char *what,
                 int (*fn)(struct session *s, void *ctx, struct err *e), void *ctx, struct err *e);
/* The same for what leads forward: where the intent cannot be recorded (a full disk) nothing is
 * done, -EUNRECORDED; nor when somebody has stopped it meanwhile, -ESTOPPED. The way back uses the
 * one above. */
int session_step_recorded(struct session *s, const char *stage, const char *what,
                          int (*fn)(struct session *s, void *ctx, struct err *e), void *ctx,
                          struct err *e);
/* What the step of a migration of everything is called; one under -n or -l is another. */
#define MIGRATE_ALL "recreate objects"

/* Was a step of this stage (and what, unless NULL) done in the open run, with nothing of the same
 * stage undoing it later? */
bool session_stage_done(struct session *s, const char *stage, const char *what);
void session_event(struct session *s, const char *what, const char *detail);
