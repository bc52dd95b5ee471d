/* The whole way back: traffic, sync direction and singletons to the source again, as one journalled
 * action in the safe order. Always legal until retire; works with a dead destination, with both
 * API servers dead (traffic only, and says so), and without the journal (docs/SWITCH-BACK.md). */
#pragma once

#include "migrate/handover.h"
#include "run/losses.h"
#include "run/session.h"

struct following;

struct back_opts {
    bool traffic_only;
    const char *reason; /* for the audit trail: who asked, or what broke; or NULL */
    bool automatic;     /* an abort by itself, not a person */
    /* What was named and agreed to before (back_losses_text); NULL: it is looked at and named on
     * the way, once the traffic is back. */
    const char *named;
    /* Reverse sync that this process runs: drained, stopped and set to NULL; or NULL. */
    struct following **reverse;
};
struct back_result {
    int percent_before;            /* of the live side on the destination; -1 unknown */
    uint64_t traffic_ms, total_ms; /* how long it took */
    struct handover_item *items;   /* singletons, in s->a */
    int failed;                    /* of them */
    bool traffic_back;             /* proven by reading back; true without a load balancer */
    const char *losses;            /* what was named, in s->a; NULL: nothing was looked at */
};
/* Which way is back: the open run knows, else `to` ("a" or "b", or NULL) has to say it; -EUSAGE,
 * -EGUARD. Sets the session's source and destination. */
int back_choose(struct session *s, const char *to, struct err *e);
/* Clusters that are not open yet are opened on the way, after the traffic has moved. Negative when
 * something of it could not be done; what could be done is done all the same, and the traffic
 * first. Killed or failed, the same call goes on. */
int stage_switch_back(struct session *s, const struct back_opts *o, struct back_result *ret,
                      struct err *e);
