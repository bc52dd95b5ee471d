/* Holding: what acts on the world by itself is created without being let loose.
 *
 * A held object carries the annotation tandem.dev/held whose value is the original JSON of the
 * field that holds it ("null" where the field was absent). That field may be an annotation itself:
 * many controllers are paused by one. Its original value also goes into the journal
 * (effect.previous). hold_undo() gives a tree its original value back, so that a held object
 * compares equal to the one it was made from. */
#pragma once

#include "migrate/object.h"

#define HOLD_ANNOTATION "tandem.dev/held"

struct hold_row {
    const char *group, *kind; /* group is a pattern; kind NULL: any */
    const char *path;         /* JSON pointer of what holds it */
    const char *value;        /* JSON of the holding value, a scalar */
    bool drives;              /* while it acts, it undoes holds of other objects */
    uint32_t only_when;       /* facts of which one must be there; 0: none */
    uint32_t not_when;        /* facts that make a hold needless; UINT32_MAX: only where asked */
    const char *id, *why;
    const char *source; /* who says that this field holds it */
};
/* First match decides. */
const struct hold_row *hold_rows(size_t *ret_n);
/* The row for objects of this kind that can be held, or NULL. */
const struct hold_row *hold_row_of(const struct kube_resource *r);
const struct hold_row *hold_row_for(const char *group, const char *kind);
/* Does the row speak of this kind? */
bool hold_fits(const struct hold_row *row, const char *group, const char *kind);
/* Must an object with these facts be held by the row, without anybody asking for it? */
bool hold_by_row(const struct hold_row *row, uint32_t facts);
/* Must this object be held by the table (not by a user's rule)? The row, or NULL. */
const struct hold_row *hold_wanted(const struct object *o);
/* The i-th segment of the row's path, unescaped, into out, which is returned; NULL: it has fewer.
 */
enum { HOLD_SEGMENT_MAX = 128 };
const char *hold_segment(const struct hold_row *row, size_t i, char out[HOLD_SEGMENT_MAX]);
/* Has the field the holding value, whoever gave it that? */
bool hold_holds(const struct hold_row *row, yyjson_val *body);
/* JSON of the field's value, "null" when it is absent. In a. */
const char *hold_value(struct arena *a, const struct hold_row *row, yyjson_val *body);
/* What the journal keeps as `previous` of a hold: the row's path and this value (JSON). In a. */
char *hold_previous(struct arena *a, const struct hold_row *row, const char *value);

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
