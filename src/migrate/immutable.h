/* Fields that an API server does not let change once the object is there: a table. */
#pragma once

#include "migrate/object.h"

/* A field that differs, and what it stands in. */
struct immutable_change {
    yyjson_mut_val *src, *dst; /* NULL: not there */
    yyjson_mut_val *src_root, *dst_root;
};

struct immutable_row {
    const char *group, *kind;
    const char *path; /* pattern (* and ?) of the field; what stands below it too */
    bool (*allowed)(const struct immutable_change *c); /* this change all the same; NULL: none */
    const char *why;
};
const struct immutable_row *immutable_rows(size_t *ret_n);
/* The row that forbids this change at this pointer of the destination's object, or NULL. */
const struct immutable_row *immutable_at(const struct kube_resource *r, const char *pointer,
                                         const struct immutable_change *c);
