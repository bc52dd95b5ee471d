/* Everything that tandem knows of one object, as a tree: for people and for machines. */
#pragma once

#include "migrate/world.h"

/* body: the object as the source shows it. The keys are those of docs/PLAN.md ("Explanation").
 * Lists the kinds of the source that may refer to it. The tree is in a; no value of a Secret is in
 * it. */
int explain_object(struct world *w, struct arena *a, const struct object *o, yyjson_val *body,
                   yyjson_mut_val **ret, struct err *e);
/* A concern's word: lost, refused, doubt. */
const char *concern_name(enum concern_kind k);
/* Appends {"concern", "path", "why"} for each to `out` as member "schema". */
void explain_concerns(yyjson_mut_doc *d, yyjson_mut_val *out, const struct object *o);
