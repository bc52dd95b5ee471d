/* Lists that are maps in disguise: their elements have names, and their order says little.
 *
 * A place in such a list is named by its element ("containers/app"), not by its index, so that an
 * element that an admission webhook puts in front moves no other. The keys are the merge keys of
 * the API's own types (x-kubernetes-patch-merge-key, x-kubernetes-list-map-keys in its OpenAPI). */
#pragma once

#include "base/json.h"

enum { LIST_ID_MAX = 512 };

struct list_row {
    const char *field;
    const char *key, *with; /* members that name an element; with: a second one, may be missing */
};
const struct list_row *list_rows(size_t *ret_n);

/* The row by which each element of arr (the value of member `field`) has a name of its own; NULL:
 * one does not, so the list is one value. An empty list is one value. */
const struct list_row *list_keyed(const char *field, yyjson_mut_val *arr);
/* The name of one element into out, which is returned; NULL when it has none, or too long a one. */
const char *list_id(const struct list_row *row, yyjson_mut_val *element, char out[LIST_ID_MAX]);
/* The element of that name in arr, or NULL. */
yyjson_mut_val *list_find(const struct list_row *row, yyjson_mut_val *arr, const char *id);
/* What have holds, and of want what have lacks: elements by name, those of one name with the
 * members of both (want's go before); where they have no names, by value. Equal to have when it
 * lacks nothing. A new list in d. */
yyjson_mut_val *list_union(yyjson_mut_doc *d, const char *field, yyjson_mut_val *want,
                           yyjson_mut_val *have);
