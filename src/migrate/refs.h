/* What an object names: the ConfigMaps, Secrets, claims, accounts, classes … that it needs. */
#pragma once

#include "migrate/world.h"

struct ref {
    const char *group, *kind, *ns, *name; /* of what is named */
    const char *path;                     /* where it is named */
    bool optional;                        /* marked optional there */
    struct ref *next;
};

/* References of one body, in a. */
struct ref *refs_of(struct arena *a, const struct kind *kind, yyjson_val *body);

/* --- the table, for tests and docs --- */
struct ref_row {
    const char *group, *kind; /* of the object; kind "(pod)": a pod template */
    const char *path;         /* to a name; "*": every element */
    const char *to_group, *to_kind;
    bool cluster_scoped;
};
const struct ref_row *refs_rows(size_t *ret_n);
