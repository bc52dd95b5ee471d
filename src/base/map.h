/* Hash map from string to pointer. Keys are not copied: they must outlive the map (put them in the
 * arena that everything else of the table lives in). Iteration is in insertion order. Removing is
 * not offered; set a value to NULL instead. One thread, or many readers and no writer. */
#pragma once

#include "base/util.h"

struct map;

struct map *map_new(void);
void map_free(struct map *m);
/* Sets key to value; returns the value that was there before, or NULL. */
void *map_put(struct map *m, const char *key, void *value);
void *map_get(const struct map *m, const char *key);
bool map_has(const struct map *m, const char *key);
size_t map_len(const struct map *m);
/* i in 0 .. map_len-1, in insertion order. */
const char *map_key(const struct map *m, size_t i);
void *map_value(const struct map *m, size_t i);
uint64_t map_hash(const char *s); /* FNV-1a, 64 bits */

static inline void cleanup_map(struct map **m) {
    map_free(*m);
}
#define AUTO_MAP CLEANUP(cleanup_map) struct map *
