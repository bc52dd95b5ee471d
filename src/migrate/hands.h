/* Who has changed an object since it was created, by its managedFields: the control plane's own
 * parts and tandem are nobody, and neither is who came with the create (its webhooks and defaults
 * are entered under its name and time). */
#pragma once

#include "base/json.h"

/* The manager that changed the object at all, or NULL. */
const char *hands_on(yyjson_val *live);
/* The same since a moment (RFC 3339 in UTC, whole seconds). */
const char *hands_since(yyjson_val *live, const char *since);
/* Does a part of the control plane own what stands at this pointer? */
bool hands_system(yyjson_val *live, const char *pointer);
/* The manager that changed what stands at this pointer (elements of lists by name, as leaves.h has
 * them), or NULL. */
const char *hands_at(yyjson_val *live, const char *pointer);
