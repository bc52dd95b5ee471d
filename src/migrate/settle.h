/* What became of what was written. An answer of 201 proves nothing: the garbage collector, the
 * token controller or an operator may take an object away a moment later, a webhook may have
 * changed it, a claim may never be bound. */
#pragma once

#include "migrate/world.h"

enum fate {
    FATE_FINE,
    FATE_GONE,     /* it was there and is not any more */
    FATE_REPLACED, /* another object of this name is there, with another uid */
    FATE_DELETING, /* it is there, and will be gone when its finalizers are through */
    FATE_CHANGED,  /* somebody in the destination changed what we wrote */
};

struct settled {
    size_t unready; /* less ready than in the source */
    size_t gone, replaced, deleting, changed;
};
/* Of what was there, how many will not stay. */
size_t settled_lost(const struct settled *s);

struct settle_opts {
    uint64_t max_ms;  /* longest wait for readiness */
    uint64_t from_ms; /* monotonic; no look before: controllers need a moment to take offence */
    struct http_cancel *cancel;
    void (*progress)(size_t waiting); /* or NULL */
};

/* Looks at everything of w that was written or was there already, until it is as ready as in the
 * source or the time is over; after the first look only at the kinds that are waited for, and when
 * that took more than a moment, at the end once more at the others. Sets fate, unready and note of
 * the records. Negative when a cluster cannot be read. */
int settle(struct world *w, const struct settle_opts *o, struct settled *ret, struct err *e);
