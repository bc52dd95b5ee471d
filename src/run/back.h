/* The whole way back: traffic, singletons and sync direction to the source again, as one journalled
 * action in the safe order. Always legal until retire; works with a dead destination, with both
 * API servers dead (traffic only, and says so), and without the journal. */
#pragma once

#include "migrate/handover.h"
#include "run/session.h"

struct back_opts {
    bool traffic_only;
    const char *reason; /* for the audit trail: who asked, or what broke; or NULL */
    bool automatic;     /* an abort by itself, not a person */
};
struct back_result {
    int percent_before;            /* of the live side on the destination; -1 unknown */
    uint64_t traffic_ms, total_ms; /* how long it took */
    struct handover_item *items;   /* singletons, in s->a */
    int failed;                    /* of them */
    bool traffic_back;             /* proven by reading back */
};
/* Negative when something of it could not be done; what could be done is done all the same, and the
 * traffic first. */
int stage_switch_back(struct session *s, const struct back_opts *o, struct back_result *ret,
                      struct err *e);

/* What would be lost by going back now; nothing is changed. */
struct losses {
    uint64_t measured_ms;    /* the last way back or cutover step took so long; 0: never measured */
    bool known;              /* the clusters answered */
    size_t changed, created; /* objects in the destination, since the traffic came there */
    size_t claims;           /* PersistentVolumeClaims mounted by running pods there */
    bool followed_back;      /* reverse sync runs: changed and created are carried */
    const char *const *titles; /* of the first ones, NULL-terminated, in s->a */
};
void stage_losses(struct session *s, struct losses *ret);
