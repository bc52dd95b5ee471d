#include "base/map.h"

#include <string.h>

struct slot {
    const char *key;
    void *value;
    uint64_t hash;
};

struct map {
    struct slot *e; /* in insertion order */
    uint32_t *idx;  /* open addressing: index into e plus one, 0: free */
    size_t n, cap, mask;
};

uint64_t map_hash(const char *s) {
    uint64_t h = 14695981039346656037u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

struct map *map_new(void) {
    struct map *m = xcalloc(1, sizeof *m);
    m->cap = 8;
    m->mask = 15;
    m->e = xcalloc(m->cap, sizeof *m->e);
    m->idx = xcalloc(m->mask + 1, sizeof *m->idx);
    return m;
}

void map_free(struct map *m) {
    if (!m)
        return;
    xfree(m->e);
    xfree(m->idx);
    xfree(m);
}

static size_t find(const struct map *m, const char *key, uint64_t h) {
    size_t i = (size_t)h & m->mask;
    for (; m->idx[i]; i = (i + 1) & m->mask) {
        const struct slot *s = &m->e[m->idx[i] - 1];
        if (s->hash == h && strcmp(s->key, key) == 0)
            break;
    }
    return i;
}

static void grow(struct map *m) {
    m->cap *= 2;
    m->mask = m->mask * 2 + 1;
    m->e = xrealloc(m->e, m->cap * sizeof *m->e);
    xfree(m->idx);
    m->idx = xcalloc(m->mask + 1, sizeof *m->idx);
    for (size_t k = 0; k < m->n; k++) {
        size_t i = (size_t)m->e[k].hash & m->mask;
        while (m->idx[i])
            i = (i + 1) & m->mask;
        m->idx[i] = (uint32_t)(k + 1);
    }
}

void *map_put(struct map *m, const char *key, void *value) {
    uint64_t h = map_hash(key);
    size_t i = find(m, key, h);
    if (m->idx[i]) {
        struct slot *s = &m->e[m->idx[i] - 1];
        void *old = s->value;
        s->value = value;
        return old;
    }
    if (m->n == m->cap) {
        grow(m);
        i = find(m, key, h);
    }
    m->e[m->n] = (struct slot){key, value, h};
    m->idx[i] = (uint32_t)++m->n;
    return NULL;
}

void *map_get(const struct map *m, const char *key) {
    size_t i = find(m, key, map_hash(key));
    return m->idx[i] ? m->e[m->idx[i] - 1].value : NULL;
}

bool map_has(const struct map *m, const char *key) {
    return m->idx[find(m, key, map_hash(key))] != 0;
}

size_t map_len(const struct map *m) {
    return m->n;
}

const char *map_key(const struct map *m, size_t i) {
    return m->e[i].key;
}

void *map_value(const struct map *m, size_t i) {
    return m->e[i].value;
}
