/* Holding: what acts on the world by itself is created without being let loose.
 *
 * A held object carries the annotation tandem.dev/held whose value is the original JSON of the
 * field that holds it ("null" where the field was absent). Its original value also goes into the
 * journal (effect.previous). hold_undo() gives a tree its original value back, so that a held
 * object compares equal to the one it was made from. */
#pragma once

#include "migrate/object.h"

#define HOLD_ANNOTATION "tandem.dev/held"

struct hold_row {
    const char *group, *kind;
    const char *field; /* member of spec that holds it */
    const char *value; /* JSON of the holding value */
    uint32_t not_when; /* facts that make a hold needless */
    const char *id, *why;
};
const struct hold_row *hold_rows(size_t *ret_n);
/* The row for objects of this kind that can be held, or NULL. */
const struct hold_row *hold_row_of(const struct kube_resource *r);
/* Must this object be held by the table (not by a user's rule)? The row, or NULL. */
const struct hold_row *hold_wanted(const struct object *o);

/* Sets the field to the holding value and writes the annotation. False when it already has that
 * value (its owner holds it): nothing is changed then. */
bool hold_do(yyjson_mut_doc *d, yyjson_mut_val *root, const struct hold_row *row);
/* The other way: original value back, annotation gone. False when it was not held, or when the
 * annotation's value is not one that hold_do() writes: nothing is changed then. */
bool hold_undo(yyjson_mut_doc *d, yyjson_mut_val *root);
/* The same as merge patches (RFC 7386) against a live object, guarded by its resourceVersion. Text
 * in a; NULL when there is nothing to do. */
char *hold_patch(struct arena *a, yyjson_val *live, const struct hold_row *row);
char *unhold_patch(struct arena *a, yyjson_val *live, const struct hold_row *row);
/* The annotation goes, the holding value stays: for what is not to act again. */
char *stay_patch(struct arena *a, yyjson_val *live, const struct hold_row *row);
