/* Until when this process may write to a cluster. A Lease (kube/lease.h) moves it on with each
 * renewal; kube_do() obeys it directly before a write is sent, so that a process that was stopped,
 * or whose machine slept, sends nothing once its Lease may be another's.
 *
 * Any thread; who made it sees to it that it outlives the client's use of it. */
#pragma once

#include "net/http.h"

struct kube_fence {
    atomic_uint_fast64_t until_ns; /* CLOCK_BOOTTIME; 0: nothing may be written */
    atomic_uint_fast64_t tried_ns; /* when the last renewal that has ended began */
    atomic_bool lost;              /* for good: somebody else has it, or it is given back */
    /* Of the other cluster that this process writes to; NULL: none. Whoever took that one over acts
     * here too, also when this one could not be taken from us since its server was dead. */
    struct kube_fence *_Atomic partner;
    char why[384]; /* written once, before lost is set */
};

void fence_init(struct kube_fence *f);
/* Nothing is written from now on. why: a sentence without its end. */
void fence_lose(struct kube_fence *f, const char *why);
/* Has it run out, and nobody has looked since whether it is another's by now? */
bool fence_in_doubt(struct kube_fence *f);
/* Waits as long as patience_ms (two seconds at least, which is what the renewal needs after the
 * process was stopped) for a fence that has run out to be moved on. 0: write now; -EGUARD: it was
 * lost, or was not moved on in time; -ESTOPPED. A partner that was lost refuses too; one that has
 * run out is waited for until a renewal was tried, two seconds at most: a server that does not
 * answer stands in nobody's way. */
int fence_pass(struct kube_fence *f, uint64_t patience_ms, const struct http_cancel *cancel,
               struct err *e);
