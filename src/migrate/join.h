/* Two clusters' lists of one kind, joined by name.
 *
 * An API server lists a kind in the order of its store's keys, NAMESPACE/NAME bytewise, so that two
 * lists can be joined like sorted files and only two pages are in memory. A list that comes in
 * another order (an aggregated API may) is noticed and that kind is read again with the
 * destination's objects held in a table. */
#pragma once

#include "migrate/world.h"

struct join {
    /* src NULL: only in the destination; dst NULL: only in the source. The trees live during the
     * call. */
    void (*pair)(void *ctx, yyjson_val *src, yyjson_val *dst);
    /* The lists begin again: what was given so far does not count. */
    void (*again)(void *ctx);
    /* Or NULL. The source's resourceVersion from which a watch misses nothing of what was given. */
    void (*listed)(void *ctx, const char *rv);
    void *ctx;
    bool destination_denied; /* it may not be read there: everything is only in the source */
    bool metadata_only;      /* of the source: items have nothing else */
    bool source_only; /* what only the destination has is not of interest: pair need not be called
                         for it where the source has nothing */
};

/* The one namespace in which objects of k are selected, or NULL: who may read no other must not be
 * asked for all. */
const char *join_namespace(const struct world *w, const struct kind *k);

/* The label selector with which the source is asked for objects of k, or NULL. In a. */
const char *join_selector(const struct world_opts *o, struct arena *a,
                          const struct kube_resource *r);

/* Does a rule of the user's want objects of this kind? It comes before every other. */
bool join_ruled(const struct world_opts *o, const struct kube_resource *r);

/* All objects of kind k that the world's options select in the source, with what the destination
 * has of the kind. Any thread; the options and clients of w are only read. A kind that cannot be
 * listed (any more) has no objects. */
int join_kind(const struct world *w, const struct kind *k, const struct join *j, struct err *e);
