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

void index_by_ref(struct index *x, struct object *const *v, size_t n) {
    make(x, v, n);
    for (size_t i = 0; i < n; i++) {
        const struct kube_resource *r = v[i]->kind->src;
        size_t at = place(x, index_hash_ref(r->group, r->kind, v[i]->ns, v[i]->name));
        while (x->slot[at] &&
               !same_ref(v[x->slot[at] - 1], r->group, r->kind, v[i]->ns, v[i]->name))
            at = (at + 1) & x->mask;
        x->slot[at] = (uint32_t)(i + 1);
    }
}

void index_by_uid(struct index *x, struct object *const *v, size_t n) {
    make(x, v, n);
    for (size_t i = 0; i < n; i++) {
        if (!uid_given(v[i]->uid_src))
            continue;
        size_t at = place(x, index_hash_uid(v[i]->uid_src));
        while (x->slot[at] && !uid_same(v[x->slot[at] - 1]->uid_src, v[i]->uid_src))
            at = (at + 1) & x->mask;
        x->slot[at] = (uint32_t)(i + 1);
    }
}

void index_done(struct index *x) {
    xfree(x->slot);
    *x = (struct index){0};
}

struct object *index_find_ref(const struct index *x, const char *group, const char *kind,
                              const char *ns, const char *name) {
    if (!x->slot)
        return NULL;
    size_t at = place(x, index_hash_ref(group, kind, ns, name));
    for (; x->slot[at]; at = (at + 1) & x->mask)
        if (same_ref(x->v[x->slot[at] - 1], group, kind, ns, name))
            return x->v[x->slot[at] - 1];
    return NULL;
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
