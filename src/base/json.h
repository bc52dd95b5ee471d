/* Views and edits of JSON trees, over yyjson. Numbers stay raw text: what came in goes out byte for
 * byte. Read-only trees are yyjson_val, trees under edit yyjson_mut_val; both live in an arena. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Parses; the tree lives in a. Strict JSON, at most 64 levels deep by our own check elsewhere. */
int json_parse(struct arena *a, const char *p, size_t n, yyjson_val **ret, struct err *e);
/* The same without a copy: strings of the tree stand in p, which is changed, must live as long as a
 * and be followed by JSON_PAD bytes that may be written. Only for what nobody else looks at. */
enum { JSON_PAD = 4 };
int json_parse_in_place(struct arena *a, char *p, size_t n, yyjson_val **ret, struct err *e);
/* The member reached by the keys, NULL when any is missing. End the list with NULL. */
yyjson_val *json_path(yyjson_val *v, ...) __attribute__((sentinel));
yyjson_mut_val *json_mut_path(yyjson_mut_val *v, ...) __attribute__((sentinel));
#define json_get(v, ...)     json_path((v), __VA_ARGS__, NULL)
#define json_mut_get(v, ...) json_mut_path((v), __VA_ARGS__, NULL)
/* As yyjson_obj_foreach, but NULL has no members (yyjson computes an address from it). */
#define json_obj_foreach(obj, i, max, key, val)                                                    \
    if (!(obj)) {                                                                                  \
    } else                                                                                         \
        yyjson_obj_foreach ((obj), i, max, key, val)
/* The string there, or NULL. */
#define json_str(v, ...)     yyjson_get_str(json_path((v), __VA_ARGS__, NULL))
#define json_mut_str(v, ...) yyjson_mut_get_str(json_mut_path((v), __VA_ARGS__, NULL))
/* Integer value of a raw or parsed number; `otherwise` when it is none. */
int64_t json_int(yyjson_val *v, int64_t otherwise);
int64_t json_mut_int(yyjson_mut_val *v, int64_t otherwise);

/* Compact text in the arena. */
char *json_write(struct arena *a, yyjson_val *v, size_t *ret_len);
char *json_mut_write(struct arena *a, yyjson_mut_val *v, size_t *ret_len);
/* Canonical text: keys sorted bytewise at every level, compact. For digests and comparisons. */
void json_canonical(struct sb *b, yyjson_val *v);
void json_mut_canonical(struct sb *b, yyjson_mut_val *v);
/* Equal as JSON values: key order ignored, number spelling compared as text first, then as value.
 */
bool json_mut_equal(yyjson_mut_val *a, yyjson_mut_val *b);

yyjson_mut_doc *json_doc(struct arena *a);
/* Sets key (copied) to v in obj, replacing; keeps the place of an existing key. */
void json_mut_set(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, yyjson_mut_val *v);
void json_mut_set_str(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, const char *s);
void json_mut_set_bool(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, bool v);
void json_mut_set_int(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, int64_t v);
void json_mut_del(yyjson_mut_val *obj, const char *key);
/* Takes out what the iterator has just returned. yyjson_mut_arr_iter_remove() of yyjson 0.10 makes
 * the iterator jump over the element behind it. */
void json_mut_arr_drop(yyjson_mut_arr_iter *it);
/* The object at key, made when missing or not an object. */
yyjson_mut_val *json_mut_obj_at(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key);

/* RFC 6901 pointer step: appends "/key" with ~ and / escaped. */
void json_pointer_add(struct sb *b, const char *key);
/* RFC 6902, all six operations; on failure the tree may be partly changed: work on a copy. The
 * patch must belong to doc d or outlive it. *root is replaced where the patch replaces the whole.
 */
int json_patch(yyjson_mut_doc *d, yyjson_mut_val **root, yyjson_val *patch, struct err *e);
