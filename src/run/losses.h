/* What going back would cost now: how long it takes, and what of the destination would be lost.
 * Looks at both, changes nothing; reads lists of metadata (of every kind that is migrated, at most
 * LOSSES_OBJECTS objects) and the running pods of the destination: not for every second. One
 * thread. */
#pragma once

#include "run/session.h"

enum { LOSSES_OBJECTS = 20000, LOSSES_TITLES = 8 };

struct losses {
    uint64_t measured_ms;    /* the last way back or cutover step took so long; 0: never measured */
    bool known;              /* the destination answered, and the journal knows since when */
    size_t changed, created; /* objects in the destination, since the traffic came there */
    size_t claims;           /* PersistentVolumeClaims mounted by running pods there */
    bool claims_known;
    bool more;          /* there is more than was looked at: "more than" */
    bool followed_back; /* reverse sync runs: changed and created are carried */
    char slot;          /* of the destination */
    int percent;        /* of the live side there; -1: unknown, or no load balancer */
    int64_t since_ms; /* wall time since when it has traffic or acts; 0: neither, as far as known */
    const char *const *titles; /* of the first ones, NULL-terminated, in s->a; NULL: none kept */
};
/* Clusters that are not open are not asked for: see session_reach(). */
void stage_losses(struct session *s, struct losses *ret);
struct trail;
/* The same as of another moment, for who has moved the traffic already; losses_share() says how
 * much of it was there (percent; -1 unknown, or no load balancer). */
void losses_there(struct session *s, struct losses *ret, const struct trail *t);
void losses_share(const struct session *s, struct losses *l, int percent);
/* Sentences for people, without a line end: what is named before every way back. */
void back_losses_text(const struct losses *l, struct sb *b);
/* The same for programs: an object of d. */
yyjson_mut_val *back_losses_json(const struct losses *l, yyjson_mut_doc *d);
