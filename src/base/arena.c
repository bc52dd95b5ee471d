#include "base/arena.h"

#include <string.h>

enum { CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20, ALIGN = 16 };

struct chunk {
    struct chunk *next;
    size_t size, used;
    size_t pad;
    _Alignas(ALIGN) char data[];
};

struct arena {
    struct chunk *head;
    size_t next_size, used;
};

struct arena *arena_new(void) {
    struct arena *a = xcalloc(1, sizeof *a);
    a->next_size = CHUNK_MIN;
    return a;
}

static void free_chunks(struct chunk *c) {
    while (c) {
        struct chunk *next = c->next;
        xfree(c);
        c = next;
    }
}

void arena_free(struct arena *a) {
    if (!a)
        return;
    free_chunks(a->head);
    xfree(a);
}

void arena_reset(struct arena *a) {
    struct chunk *keep = NULL;
    for (struct chunk *c = a->head; c; c = c->next)
        if (c->size <= CHUNK_MAX && (!keep || c->size > keep->size))
            keep = c;
    struct chunk *c = a->head;
    while (c) {
        struct chunk *next = c->next;
        if (c != keep)
            xfree(c);
        c = next;
    }
    a->head = keep;
    a->used = 0;
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
}

size_t arena_used(const struct arena *a) {
    return a->used;
}

static struct chunk *add_chunk(struct arena *a, size_t need) {
    size_t size = MAX(need, a->next_size);
    if (a->next_size < CHUNK_MAX)
        a->next_size *= 2;
    struct chunk *c = xmalloc(sizeof *c + size);
    c->size = size;
    c->used = 0;
    /* A large single block goes behind the head, so that the room left in the head stays usable. */
    if (need > CHUNK_MAX / 2 && a->head) {
        c->next = a->head->next;
        a->head->next = c;
    } else {
        c->next = a->head;
        a->head = c;
    }
    return c;
}

void *arena_raw(struct arena *a, size_t n) {
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct chunk *c = a->head;
    if (!c || c->size - c->used < n)
        c = add_chunk(a, n);
    void *p = c->data + c->used;
    c->used += n;
    a->used += n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n) {
    return memset(arena_raw(a, n), 0, n);
}

char *arena_strndup(struct arena *a, const char *s, size_t n) {
    char *p = arena_raw(a, n + 1);
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *arena_strdup(struct arena *a, const char *s) {
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    MUST(n >= 0);
    char *p = arena_raw(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

static void *alc_malloc(void *ctx, size_t n) {
    return arena_raw(ctx, n);
}

static void *alc_realloc(void *ctx, void *p, size_t old, size_t n) {
    struct arena *a = ctx;
    struct chunk *c = a->head;
    size_t was = (old + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t want = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (n <= old)
        return p;
    if (c && (char *)p + was == c->data + c->used && c->size - c->used >= want - was) {
        c->used += want - was;
        a->used += want - was;
        return p;
    }
    return memcpy(arena_raw(a, n), p, old);
}

static void alc_free(void *ctx UNUSED, void *p UNUSED) {
}

yyjson_alc arena_alc(struct arena *a) {
    return (yyjson_alc){alc_malloc, alc_realloc, alc_free, a};
}
