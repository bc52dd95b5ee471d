/* What one cluster's schema of a kind keeps or accepts that the other's does not.
 *
 * Made from the two OpenAPI v3 documents of a group and version, which are hundreds of times larger
 * than what is kept: the places where they differ, in the caller's arena. An object of the source
 * is then led along these places only; where the two agree (nearly always) nothing is walked.
 * Read-only after it is made; any thread.
 *
 * Sources: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3,
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 * (structural schemas, pruning, defaulting). */
#pragma once

#include "migrate/object.h"

struct schema_diff;

/* src and dst: the documents' trees, or any tree with components.schemas; they may go afterwards.
 * custom: the kind is defined by a CustomResourceDefinition, whose API server prunes and validates
 * by exactly this schema. NULL when nothing of it differs, or one document lacks the kind. */
struct schema_diff *schema_compare(struct arena *a, yyjson_val *src, yyjson_val *dst,
                                   const struct kube_resource *r, bool custom);
/* Is there anything to look for in an object of the source? */
bool schema_has_checks(const struct schema_diff *d);

/* What becomes of root, the body that the destination is to get, there: at most CONCERNS_MAX, in
 * a. A field counts when it holds something (not null, {} or []) that is not the source's default.
 * secret: values are not quoted. */
struct concern *schema_concerns(struct arena *a, const struct schema_diff *d, yyjson_mut_val *root,
                                bool secret);

/* Is it by the schemas alone that one side has this field and the other has not? path: JSON
 * pointer; src, dst: the values, one of them NULL. True for a field that only one side knows, and
 * for a value that only the destination fills in. d may be NULL. */
bool schema_explains(const struct schema_diff *d, const char *path, yyjson_mut_val *src,
                     yyjson_mut_val *dst);

/* "HASH" of the concerns that are in doubt: equal for objects of one kind whose doubtful field
 * paths are the same, whatever stands in them and however long the lists are. 0: no doubt. */
uint64_t schema_shape(const struct object *o);
