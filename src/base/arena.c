#include "base/arena.h"

#include <string.h>

enum { CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20, ALIGN = 16 };

/* Aligned blocks from the front, texts from the back: names are short, and rounding each up to
 * ALIGN would cost more than they hold. */
struct chunk {
    struct chunk *next;
    size_t size;      /* of data */
    size_t used, end; /* free: used .. end */
    _Alignas(ALIGN) char data[];
};

/* A block that came from elsewhere; the note itself is in the arena. */
struct guest {
    struct guest *next;
    void *p;
};

struct arena {
    struct chunk *head;
    struct guest *guests;
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

static void free_guests(struct arena *a) {
    for (struct guest *g = a->guests; g; g = g->next)
        xfree(g->p);
    a->guests = NULL;
}

void arena_free(struct arena *a) {
    if (!a)
        return;
    free_guests(a);
    free_chunks(a->head);
    xfree(a);
}

void arena_reset(struct arena *a) {
    struct chunk *keep = NULL;
    free_guests(a);
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
        keep->end = keep->size;
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
    c->end = size;
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
    if (!c || c->end - c->used < n)
        c = add_chunk(a, n);
    void *p = c->data + c->used;
    c->used += n;
    a->used += n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n) {
    return memset(arena_raw(a, n), 0, n);
}

static char *raw_text(struct arena *a, size_t n) {
    struct chunk *c = a->head;
    if (!c || c->end - c->used < n)
        c = add_chunk(a, n);
    c->end -= n;
    a->used += n;
    return c->data + c->end;
}

char *arena_strndup(struct arena *a, const char *s, size_t n) {
    char *p = raw_text(a, n + 1);
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

void arena_adopt(struct arena *a, void *p) {
    struct guest *g = arena_new_of(a, struct guest);
    *g = (struct guest){a->guests, p};
    a->guests = g;
}

void arena_join(struct arena *a, struct arena *src) {
    struct guest **g = &a->guests;
    struct chunk **c = &a->head;
    while (*g)
        g = &(*g)->next;
    *g = TAKE(src->guests);
    while (*c)
        c = &(*c)->next;
    *c = TAKE(src->head);
    a->used += src->used;
    src->used = 0;
    src->next_size = CHUNK_MIN;
}

char *arena_strdup(struct arena *a, const char *s) {
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    MUST(n >= 0);
    char *p = raw_text(a, (size_t)n + 1);
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
    if (c && (char *)p + was == c->data + c->used && c->end - c->used >= want - was) {
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
