/* What the steps of the open run say of where things were left: the traffic, the singletons, and
 * how long moving took. One thread. */
#pragma once

#include "run/session.h"

/* What the step of the whole way back is called; one that moves the traffic alone is another. */
#define BACK_WHOLE "everything"

struct trail {
    int percent; /* of the live side on the destination, as the last move left it; 0 before any;
                    -1: that move failed or was cut short, so that anything may be */
    const char *last; /* that move, "50 % to b", in s->a; NULL before any */
    int64_t last_ms;  /* and when it began, wall time */
    int64_t moved_ms; /* since when the destination has traffic (wall time); 0: it has none */
    const char *back; /* the newest way back, if it was cut short or failed and nothing went forward
                         since, in s->a; or NULL */
    int64_t back_ms;
    int64_t acts_ms; /* since when singletons act there, some of them at least; 0: none does */
};
/* Without a run, or a journal, everything is 0. */
int trail_read(struct session *s, struct trail *ret, struct err *e);
/* What a move of the live side is called as a step: "50 % to b", or "back to a" for 0. In s->a. */
const char *trail_move(struct session *s, int percent);
/* How long the newest whole way back of this environment took, else the newest move of the traffic;
 * 0: none was ever made. ms. */
uint64_t trail_way_back_ms(struct session *s);
