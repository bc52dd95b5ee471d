/* API versions of Kubernetes itself that newer servers no longer serve, and what to use instead. */
#pragma once

#include "kube/discovery.h"

struct removal {
    const char *group, *version;
    const char *kind;    /* NULL: every kind of it */
    int minor;           /* the first 1.x that does not serve it */
    const char *instead; /* NULL: nothing took its place */
};

const struct removal *removals_table(size_t *ret_n);
/* The row of this kind in this version, or NULL. */
const struct removal *removal_of(const struct kube_resource *r);
