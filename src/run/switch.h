/* Moving the traffic, and back. Every tier moves together; a step is held and watched before the
 * next one. */
#pragma once

#include "run/move.h"
#include "run/watchers.h"

/* The last step of a cutover: with it the switch is done. */
#define SWITCH_LAST "pre-live to the idle cluster"

struct switch_opts {
    const int *steps; /* percent of the destination, ascending; the last is the goal */
    size_t n_steps;
    uint64_t hold_ms;                /* between steps */
    bool no_probe;                   /* do not send requests of our own */
    const struct watchers *watchers; /* probes that the caller runs already; NULL: own ones */
    bool force;                      /* even when the balancer shows no healthy server */
    /* Told after each change and about once a second while holding. May be NULL. */
    void (*watch)(void *ctx, struct session *s, int percent, uint64_t left_ms,
                  const struct probe_stats *probe);
    void *ctx;
};

/* The steps; each is a journalled action. When a configured probe breaks its limit, or a step
 * fails, everything goes back to the source by itself (back.h), or nothing (traffic.onAbort: stop),
 * and -EPROTO tells why. After 100 % is proven
 * (read back, and the probe's answers come from the destination only) pre-live is led to the
 * source, which is idle now. */
int switch_cutover(struct session *s, const struct switch_opts *o, struct err *e);

/* traffic.onAbort is stop: after a failure nothing is taken back by itself. */
bool switch_leaves(const struct session *s);
/* That, for the failure that *e tells of: everything stays as it is, everybody is told (notice.h),
 * with what the probes have seen, and *e says what a person can do. Returns -EPROTO. */
int switch_leave(struct session *s, const char *stage, const struct watchers *w, struct err *e);

/* Who answers on the live side: asks each configured probe URL a few times. *ret_elsewhere counts
 * answers that did not name the destination. Returns answers in all, or negative. */
int switch_ask_live(struct session *s, unsigned times, unsigned *ret_elsewhere, struct err *e);
