/* The order of writing: a wave per kind, and owners before the owned. */
#pragma once

#include "migrate/object.h"

enum { WAVE_NAMESPACE = 10, WAVE_DEFINITION = 20, WAVE_SERVICE = 70, WAVE_ADMISSION = 140 };

struct wave_row {
    int wave;
    const char *group, *kind; /* kind NULL: the whole group */
    bool wait;                /* what it may name comes in earlier waves: see waits.h */
    const char *why;
    bool limits; /* it may refuse what comes after it: held back while others are tried again */
};
const struct wave_row *order_table(size_t *ret_n);
/* Is it of an API group that Kubernetes does not bring itself? */
bool order_is_custom(const struct kube_resource *r);
/* Wave of a kind by the table. Custom resources are a wave of their own. */
int order_wave(const struct kube_resource *r, bool custom);
/* Must what it can name be answered before an object of this wave is sent? See waits.h. */
bool order_waits(int wave);
/* May an object of this kind refuse what is created after it, though it ran in the source: a quota
 * that was made smaller since, a policy that came later? */
bool order_limits(const struct kube_resource *r);
const char *order_why(int wave);
/* Objects of lane 1 are written beside the others (Services: serial in the server). A Service that
 * waits for an owner goes with the others. */
int order_lane(const struct object *o);
/* Does an object of this kind carry data that its controller, once it sees its owner, would make
 * anew (a password, a certificate, a volume)? Such a child goes before an owner that is a custom
 * resource, and is linked to it afterwards. */
bool order_carries_data(const struct kube_resource *r);
