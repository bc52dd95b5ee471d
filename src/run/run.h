/* The run as a state machine over the journal: its stages, the moves between them, and where it
 * stands.
 *
 * The current stage is where the last done move of the open run led; every move is a row of the
 * journal, an intent before and done or failed after. A stage's name says what has been reached: at
 * `migrate` everything was recreated. The single commands record their moves with run_note(), so
 * that `upgrade` and `resume` go on from there (docs/ARCHITECTURE.md, The run). One thread.
 *
 * Requests that the process which walks the stages takes from others (run/holder.h), args and
 * answers in JSON:
 *   status       {}                              -> {"run","stage","doing","since","actor","pid",
 *                 "until","waiting","gate","percent","leftMs","asked","follow":{…},"probes":[…]}
 *   approve      {"gate","what","reason"}        -> {"approved":GATE} | {"let":N} (what: deletions
 *                 that live sync asks about; neither: the gate at which it waits)
 *   abort        {"reason"}                      -> {"accepted":true,"stage":STAGE}; what came of
 * it is in the journal once the holder has ended switch-back  {"reason","trafficOnly"}        -> as
 * abort */
#pragma once

#include "base/sm.h"
#include "run/following.h"
#include "run/session.h"

enum run_stage {
    RUN_BEGIN,
    RUN_PREFLIGHT,
    RUN_MIGRATE,
    RUN_FOLLOW,
    RUN_TEST,
    RUN_ACTIVATE,
    RUN_SWITCH,
    RUN_BAKE,
    RUN_RETIRE,
    RUN_UNMIGRATED,
    RUN_STAGES,
};
extern const struct sm_table run_table;
const char *run_stage_name(int stage);
/* One of preflight to retire, or -EUSAGE with the nearest. */
int run_stage_of(const char *name, struct err *e);

/* The stage of the open run, or negative. RUN_BEGIN without one. */
int run_stage(struct session *s, struct err *e);
/* The move that is under way, or was when its process ended: 1, or 0 when none. In s->a. */
int run_under_way(struct session *s, struct journal_move *ret, struct err *e);

/* What the guards of the moves look at beside the session. */
struct run_facts {
    const struct following_status *follow; /* NULL: nothing follows in this process */
};
/* May the run go there now? -EGUARD says why not, or what is possible instead. */
int run_may(struct session *s, const struct run_facts *f, int to, struct err *e);
/* Goes there: guard, intent, fn, done or failed. fn's result and error are returned. */
int run_move(struct session *s, const struct run_facts *f, int to, const char *reason,
             int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e);
/* A step of a single command is done (session_step() calls it): brings the stage to what the steps
 * say, where the table has such a move. What goes wrong is only told. Nothing while s->walking:
 * then run_move() records. */
void run_note(struct session *s, const char *reason);
/* The run is about to end there (RUN_UNMIGRATED); as run_note(). */
void run_note_end(struct session *s, int to, const char *reason);
/* One line for the operator when the process that walked the stages is gone in the midst of a move;
 * for a session that may write, which nobody else can hold then. */
void run_hint(struct session *s);

/* What the steps of the journal and the load balancers say, whatever the moves say. */
struct run_seen {
    bool migrated, activated, switched, retired; /* done, and not undone since */
    int percent; /* of the live traffic on the destination; -1 unknown */
};
void run_look(struct session *s, struct run_seen *ret);
/* Ends moves that a dead process left open, done or failed as seen, and brings the stage to what is
 * seen; each correction is a move of its own. Returns the stage. */
int run_settle(struct session *s, const struct run_seen *seen, struct err *e);
