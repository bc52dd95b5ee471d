/* Gates: what must hold, and who must have agreed, before a stage begins (gates in tandem.yaml).
 *
 * An approval counts for the gate that it names until the run goes back a stage: what people agreed
 * to then is not what stands there any more. The gate before retire is always there, since there is
 * no way back behind it. One thread. */
#pragma once

#include "run/run.h"
#include "run/watchers.h"

struct gate_check {
    const char *name; /* "lag", "probes", or the command */
    bool ok;
    const char *note; /* why not; "" */
};

struct gate {
    const char *stage;      /* before which */
    unsigned needs, has;    /* approvals of different people */
    const char *const *who; /* those who have; needs not be all, n: has */
    const char *but;        /* why an approval that is there does not count, or NULL */
    const struct gate_check *checks;
    size_t n_checks;
    bool open;
};

/* Does anything stand before this stage? */
bool gate_is(const struct session *s, int stage);
/* How many people must approve it. */
unsigned gate_needs(const struct session *s, int stage);

/* Counts the approvals; runner: who runs the upgrade. No check is made: open when nobody is
 * missing. In a. */
int gate_people(struct session *s, struct arena *a, int stage, const char *runner, struct gate *ret,
                struct err *e);
/* Makes the checks, and closes the gate when one does not hold. In a. */
void gate_check_all(struct session *s, struct arena *a, int stage, const struct run_facts *f,
                    const struct watchers *w, struct gate *g);
/* What is missing, as a sentence; "" when it is open. In a. */
const char *gate_missing(struct arena *a, const struct gate *g);
/* How people approve it, as a sentence with a space behind; "" where nobody is missing. In a. */
const char *gate_hint(struct arena *a, const struct gate *g);

/* For a command that is a stage by itself, typed by a person: the gate that tandem.yaml puts before
 * it, where a run is open. -EGATE says what is missing. To retire, where nobody asks for more,
 * takes who types it. */
int gate_by_hand(struct session *s, int stage, struct err *e);

/* Records an approval and the event of it. Any thread: the session is only read. -EGUARD for a
 * stage that needs none, or when the approver may not (gates.differ; runner NULL: nobody runs it
 * now). */
int gate_approve(struct session *s, int stage, const char *actor, const char *reason,
                 const char *runner, struct err *e);
