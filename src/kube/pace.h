/* How many writes may be in flight at one API server: as many as ask, until it says that this is
 * too much; then fewer (multiplied), and again more, one after the other, as long as it is content
 * (added): the rule by which TCP finds its rate (RFC 5681). Any thread. */
#pragma once

#include <pthread.h>

#include "net/http.h"

struct pace {
    pthread_mutex_t lock;
    pthread_cond_t room;
    double limit;    /* how many may be in flight; PACE_MOST: nobody has complained */
    unsigned used;   /* how many are */
    uint64_t cut_ns; /* when the limit was last cut: answers to what began before say nothing new */
    double recent_ns, usual_ns; /* how long an answer takes: lately, and at its best */
    uint64_t answers;
};

enum { PACE_MOST = 256 };

void pace_init(struct pace *p);
void pace_done(struct pace *p);
/* Waits for a place. -ESTOPPED when cancelled meanwhile. */
int pace_begin(struct pace *p, const struct http_cancel *cancel);
/* What came of it: the status (0: no answer) and how long it took. Frees the place. */
void pace_end(struct pace *p, int status, uint64_t took_ns);
/* How many may be in flight now. */
unsigned pace_limit(struct pace *p);
