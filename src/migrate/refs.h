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

/* The spec of the body's pod template, with where it stands ("/spec/template/spec"); NULL: it has
 * none. */
yyjson_val *refs_pod_spec(const struct kube_resource *r, yyjson_val *body, const char **ret_at);
/* Do objects of this kind have a pod template? */
bool refs_has_pod(const struct kube_resource *r);
/* Does the table follow references of this kind? */
bool refs_looked_at(const struct kube_resource *r);

/* --- the table, for tests and docs --- */
struct ref_row {
    const char *group, *kind; /* of the object; kind "(pod)": a pod template */
    const char *path;         /* to a name; "*": every element */
    const char *to_group, *to_kind;
    bool cluster_scoped;
};
const struct ref_row *refs_rows(size_t *ret_n);
