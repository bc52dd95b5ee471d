/* `tandem upgrade`: walks the stages of a run in order, stops at gates, takes requests of others
 * meanwhile (run.h), watches the probes while it waits, and goes back when one breaks its limit. */
#pragma once

#include "migrate/unclassified.h"
#include "run/doctor.h"
#include "run/run.h"
#include "run/smoke.h"
#include "run/stages.h"

/* What people want to see of a stage, told on the thread of the caller; each may be NULL. */
struct upgrade_show {
    void (*reading)(void *ctx, const char *kind, size_t objects);
    void (*examined)(void *ctx, const struct doctor_report *r);
    void (*undecided)(void *ctx, const struct world *w);
    void (*migrated)(void *ctx, struct session *s, const struct world *w,
                     const struct migrate_result *r);
    void (*tested)(void *ctx, const struct smoke_result *v, size_t n);
    void (*handed)(void *ctx, const struct handover_item *items);
    void *ctx;
};

struct upgrade_opts {
    const char *from, *until;   /* stages; until NULL: as recorded (resume), else retire */
    const char *const *approve; /* gates that who runs it approves herewith, NULL-terminated */
    bool resume;                /* a run must be open */
    bool wait;                  /* at gates and where live sync asks; else -EGATE */
    enum unclassified unclassified;
    uint64_t settle_ms; /* of migrate */
    struct upgrade_show show;
};
struct upgrade_result {
    int stage;  /* run_stage; where the run stands */
    bool ended; /* the run is retired */
};
/* What is done already is looked at and left out. -EGATE: waits at a gate. -ESTOPPED: resume goes
 * on. -EPROTO: aborted, by somebody or by a probe; the message says what became of the traffic. */
int upgrade(struct session *s, const struct upgrade_opts *o, struct upgrade_result *ret,
            struct err *e);
