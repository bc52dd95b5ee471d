/* What a person changed in RBAC that each cluster makes by itself.
 *
 * Such objects are not copied (rules.h): the destination has its own. What somebody granted in the
 * source beyond that is lost there unless somebody says so. */
#pragma once

#include "base/json.h"

/* Subjects of a binding and rights of a role that only the source's has, for people, in a; NULL:
 * none. Rights are told only where managedFields does not say that the control plane alone wrote
 * the role, since releases differ in them; of an aggregated role none, since they are put together
 * from others. */
const char *tuned_rbac(struct arena *a, yyjson_val *src, yyjson_val *dst);
