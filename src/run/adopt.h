/* Who is live: observed from the load balancers, compared with what the journal believes, and
 * taken as true when a person says so. Never a guess. One thread. */
#pragma once

#include "run/session.h"

struct live_view {
    int observed;     /* percent of the live side on s->destination; -1: the tiers differ */
    int believed;     /* the same, by the journal; -1: a move was cut short, so anything fits */
    const char *last; /* the journal's last move, or NULL */
    int64_t last_ms;
    bool differs;
};
/* Fails when a load balancer cannot be observed. */
int live_look(struct session *s, struct live_view *ret, struct err *e);
/* The guard of commands that act: -EGUARD when what is observed is not what the journal believes.
 * What cannot be observed is only warned about; without a load balancer there is nothing to say. */
int session_check_live(struct session *s, struct err *e);
/* Records what is observed as true (a step and an event; without a run, who is live). reason: or
 * NULL. -EGUARD when it cannot be seen whole (a node does not answer, nodes or tiers differ), or
 * when without a run no side has all of it. 1: recorded, 0: the journal believes it already. */
int stage_adopt(struct session *s, const char *reason, struct live_view *ret, struct err *e);
