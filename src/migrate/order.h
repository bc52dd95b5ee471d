/* The order of writing: a wave per kind, and owners before the owned. */
#pragma once

#include "migrate/object.h"

struct wave_row {
    int wave;
    const char *group, *kind; /* kind NULL: the whole group */
    bool wait;                /* everything before must have been answered before this begins */
    const char *why;
};
const struct wave_row *order_table(size_t *ret_n);
/* Is it of an API group that Kubernetes does not bring itself? */
bool order_is_custom(const struct kube_resource *r);
/* Wave of a kind by the table. Custom resources are a wave of their own. */
int order_wave(const struct kube_resource *r, bool custom);
/* Must everything of earlier waves be answered before a kind of this wave is begun? */
bool order_waits(int wave);
const char *order_why(int wave);
/* Objects of lane 1 are written beside the others (Services: serial in the server). */
int order_lane(const struct kube_resource *r);
