/* The live and the pre-live side of all tiers: what a cutover (switch.h) and the way back (back.h)
 * are made of. Needs neither clusters nor a journal. One thread. */
#pragma once

#include "run/session.h"

/* Percent of the live side that goes to the destination on all tiers: 0-100, -1 when they differ
 * or are unknown; negative below -1 on failure. */
int switch_observe(struct session *s, struct err *e);

struct move {
    int percent; /* of the destination */
    bool force;  /* even when the balancer shows no healthy server */
};
/* One move of every tier, for session_step(); ctx: struct move. Forward, the first tier that cannot
 * be moved ends it; on the way back (0 percent) every tier is tried. */
int move_live(struct session *s, void *ctx, struct err *e);
/* From now on nobody who moved the traffic before goes on with it, should it wake up. force: every
 * tier is tried; else the first that another holds ends it. */
int move_claim(struct session *s, bool force, struct err *e);
/* Pre-live of every tier leads to this cluster. */
int move_prelive(struct session *s, char cluster, struct err *e);

/* All traffic to the source, pre-live to the destination, as a step of its own. When another
 * process held the journal, it is waited for a moment afterwards, so that the step is recorded;
 * *ret_ms is how long the moving alone took. */
int switch_back_traffic(struct session *s, uint64_t *ret_ms, struct err *e);
