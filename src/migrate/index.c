#include "migrate/index.h"

#include <string.h>

static uint64_t mix(uint64_t h, const char *s) {
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u; /* FNV-1a */
    return (h ^ '/') * 1099511628211u;
}

uint64_t index_hash_ref(const char *group, const char *kind, const char *ns, const char *name) {
    return mix(mix(mix(mix(14695981039346656037u, group), kind), ns), name);
}

uint64_t index_hash_uid(struct uid u) {
    uint64_t h[2];
    memcpy(h, u.b, sizeof h);
    return (h[0] ^ h[1]) * 0x9e3779b97f4a7c15u;
}

static bool same_ref(const struct object *o, const char *group, const char *kind, const char *ns,
                     const char *name) {
    return str_eq(o->name, name) && str_eq(o->ns, ns) && str_eq(o->kind->src->kind, kind) &&
           str_eq(o->kind->src->group, group);
}

static size_t place(const struct index *x, uint64_t h) {
    return (size_t)(h ^ h >> 32) & x->mask;
}

/* Half full at most. */
static void make(struct index *x, struct object *const *v, size_t n) {
    size_t room = 16;
    while (room < n * 2)
        room *= 2;
    index_done(x);
    *x = (struct index){.v = v, .slot = xcalloc(room, sizeof *x->slot), .mask = room - 1};
}

static void enter_ref(struct index *x, size_t i) {
    const struct object *o = x->v[i];
    const struct kube_resource *r = o->kind->src;
    size_t at = place(x, index_hash_ref(r->group, r->kind, o->ns, o->name));
    while (x->slot[at] && !same_ref(x->v[x->slot[at] - 1], r->group, r->kind, o->ns, o->name))
        at = (at + 1) & x->mask;
    x->n += x->slot[at] == 0;
    x->slot[at] = (uint32_t)(i + 1);
}

static void enter_uid(struct index *x, size_t i) {
    if (!uid_given(x->v[i]->uid_src))
        return;
    size_t at = place(x, index_hash_uid(x->v[i]->uid_src));
    while (x->slot[at] && !uid_same(x->v[x->slot[at] - 1]->uid_src, x->v[i]->uid_src))
        at = (at + 1) & x->mask;
    x->n += x->slot[at] == 0;
    x->slot[at] = (uint32_t)(i + 1);
}

static void fill(struct index *x, struct object *const *v, size_t n,
                 void (*enter)(struct index *, size_t)) {
    make(x, v, n);
    for (size_t i = 0; i < n; i++)
        enter(x, i);
}

/* A slot whose object has another uid by now stays taken until the index is made anew. */
static void add(struct index *x, struct object *const *v, size_t n, size_t i,
                void (*enter)(struct index *, size_t)) {
    x->v = v;
    if (x->slot && x->n * 4 < x->mask * 3)
        enter(x, i);
    else
        fill(x, v, n, enter);
}

void index_by_ref(struct index *x, struct object *const *v, size_t n) {
    fill(x, v, n, enter_ref);
}

void index_by_uid(struct index *x, struct object *const *v, size_t n) {
    fill(x, v, n, enter_uid);
}

void index_add_ref(struct index *x, struct object *const *v, size_t n, size_t i) {
    add(x, v, n, i, enter_ref);
}

void index_add_uid(struct index *x, struct object *const *v, size_t n, size_t i) {
    add(x, v, n, i, enter_uid);
}

void index_done(struct index *x) {
    xfree(x->slot);
    *x = (struct index){0};
}

size_t index_place_ref(const struct index *x, const char *group, const char *kind, const char *ns,
                       const char *name) {
    if (!x->slot)
        return SIZE_MAX;
    size_t at = place(x, index_hash_ref(group, kind, ns, name));
    for (; x->slot[at]; at = (at + 1) & x->mask)
        if (same_ref(x->v[x->slot[at] - 1], group, kind, ns, name))
            return x->slot[at] - 1;
    return SIZE_MAX;
}

struct object *index_find_ref(const struct index *x, const char *group, const char *kind,
                              const char *ns, const char *name) {
    size_t i = index_place_ref(x, group, kind, ns, name);
    return i == SIZE_MAX ? NULL : x->v[i];
}

struct object *index_find_uid(const struct index *x, struct uid u) {
    if (!x->slot || !uid_given(u))
        return NULL;
    size_t at = place(x, index_hash_uid(u));
    for (; x->slot[at]; at = (at + 1) & x->mask)
        if (uid_same(x->v[x->slot[at] - 1]->uid_src, u))
            return x->v[x->slot[at] - 1];
    return NULL;
}
