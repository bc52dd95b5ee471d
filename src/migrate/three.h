/* Three-way: what the source says, what the destination holds, and what was written there last,
 * which the journal knows leaf by leaf (leaves.h).
 *
 * A field that only the source has changed since is to be updated. One that only the destination
 * has changed (somebody's hand, a controller, an admission webhook) is its own and stays. One that
 * both have changed is a clash, and a person decides; but for the replicas of what an autoscaler of
 * the destination scales, which are its own. */
#pragma once

#include "migrate/leaves.h"
#include "migrate/lists.h"
#include "migrate/object.h"
#include "migrate/world.h"

enum { THREE_DOUBTS_MAX = 4 };

struct three {
    struct leaves base;                    /* what the last write that was answered sent */
    struct leaves doubt[THREE_DOUBTS_MAX]; /* later ones, which may have arrived */
    size_t n_doubt;
    bool autoscaled;     /* a controller of the destination sets spec.replicas */
    bool hold_lost;      /* held there, and nothing says any more that it is: see `hold` */
    struct leaf_at hold; /* the field that holds it: the source's value, to be held anew */
};

/* What the open run wrote for o; `own` is the effect of a write that is under way, or 0. 1: there;
 * 0: nothing to go by (not written, written by an older tandem, or in another API version). The
 * texts live in a. live: the destination's object. */
int three_read(struct world *w, struct arena *a, const struct object *o, yyjson_val *live,
               int64_t own, struct three *ret, struct err *e);

/* How two values of one place are taken apart. */
enum three_shape { SHAPE_LEAF, SHAPE_OBJECT, SHAPE_LIST };
enum three_shape three_shape(const struct three *t, struct leaf_at at, yyjson_mut_val *src,
                             yyjson_mut_val *dst, const struct list_row **ret_row);
/* Two values that differ; either may be NULL. */
enum change_fate three_fate(const struct three *t, struct leaf_at at, yyjson_mut_val *src,
                            yyjson_mut_val *dst);
/* The tree that the destination should hold: the source's, but for what is the destination's own.
 * Where both have changed, the source's. A new tree in d. */
yyjson_mut_val *three_merge(yyjson_mut_doc *d, const struct three *t, yyjson_mut_val *src,
                            yyjson_mut_val *dst);
