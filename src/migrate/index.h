/* Finding records by a hash of their own fields: four bytes a record and no keys, where a map of
 * texts would cost more than the records. */
#pragma once

#include "migrate/object.h"

/* Zero is an empty one. Between two calls that are given it the records' array
 * must stay as it is. */
struct index {
    struct object *const *v;
    uint32_t *slot; /* place in v plus one, 0: free */
    size_t mask, n; /* n: slots taken */
};

uint64_t index_hash_ref(const char *group, const char *kind, const char *ns, const char *name);
uint64_t index_hash_uid(struct uid u);

/* By GROUP/KIND/NS/NAME, and by uid in the source; of two equals the later one counts. */
void index_by_ref(struct index *x, struct object *const *v, size_t n);
void index_by_uid(struct index *x, struct object *const *v, size_t n);
void index_done(struct index *x);
/* v[i] is new, or has another uid than when it was entered; v may have moved. Grows when it must.
 */
void index_add_ref(struct index *x, struct object *const *v, size_t n, size_t i);
void index_add_uid(struct index *x, struct object *const *v, size_t n, size_t i);

struct object *index_find_ref(const struct index *x, const char *group, const char *kind,
                              const char *ns, const char *name);
/* Its place in v, or SIZE_MAX. */
size_t index_place_ref(const struct index *x, const char *group, const char *kind, const char *ns,
                       const char *name);
struct object *index_find_uid(const struct index *x, struct uid u);
