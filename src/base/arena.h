/* Bump allocation: what is made in an arena lives exactly as long as the arena.
 *
 * A function that returns memory from an arena takes `struct arena *a` first. One arena belongs to
 * one thread at a time; it may be handed over. arena_reset() keeps the largest chunk, so that a
 * loop which resets at its top stops allocating after a few rounds. */
#pragma once

#include <stdarg.h>
#include <yyjson.h>

#include "base/util.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a); /* bytes handed out since new/reset */

/* p, of xmalloc(), is freed with the arena (or by its reset). */
void arena_adopt(struct arena *a, void *p);
/* All of src's memory becomes a's; src is then as after a reset. */
void arena_join(struct arena *a, struct arena *src);

/* Zeroed, 16-byte aligned, never NULL. */
void *arena_alloc(struct arena *a, size_t n);
/* Not zeroed. */
void *arena_raw(struct arena *a, size_t n);
char *arena_strdup(struct arena *a, const char *s); /* NULL in, NULL out */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* An allocator for yyjson documents whose memory is the arena's: never free such a document. */
yyjson_alc arena_alc(struct arena *a);

#define arena_new_of(a, type)   ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

static inline void cleanup_arena(struct arena **a) {
    arena_free(*a);
}
#define AUTO_ARENA CLEANUP(cleanup_arena) struct arena *
