/* Fields that an API server does not let change once the object is there: a table. */
#pragma once

#include "migrate/object.h"

struct immutable_row {
    const char *group, *kind;
    const char *path; /* pattern (* and ?) of the field; what stands below it too */
    bool when_marked; /* only while the object says `immutable: true` */
    const char *why;
};
const struct immutable_row *immutable_rows(size_t *ret_n);
/* The row that forbids a change at this pointer of the destination's object, or NULL. */
const struct immutable_row *immutable_at(const struct kube_resource *r, const char *pointer,
                                         yyjson_mut_val *dst_root);
