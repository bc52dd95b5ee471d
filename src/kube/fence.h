/* Until when this process may write to a cluster. A Lease (kube/lease.h) moves it on with each
 * renewal; kube_do() obeys it directly before a write is sent, so that a process that was stopped,
 * or whose machine slept, sends nothing once its Lease may be another's.
 *
 * Any thread; who made it sees to it that it outlives the client's use of it. */
#pragma once

#include "net/http.h"

struct kube_fence {
    atomic_uint_fast64_t until_ns; /* CLOCK_BOOTTIME; 0: nothing may be written */
    atomic_bool lost;              /* for good: somebody else has it, or it is given back */
    char why[384];                 /* written once, before lost is set */
};

void fence_init(struct kube_fence *f);
/* Nothing is written from now on. why: a sentence without its end. */
void fence_lose(struct kube_fence *f, const char *why);
/* Waits as long as patience_ms (two seconds at least, which is what the renewal needs after the
 * process was stopped) for a fence that has run out to be moved on. 0: write now; -EGUARD: it was
 * lost, or was not moved on in time; -ESTOPPED. */
int fence_pass(struct kube_fence *f, uint64_t patience_ms, const struct http_cancel *cancel,
               struct err *e);
