#include "migrate/waits.h"

#include "migrate/order.h"

/* What is on its way in one namespace, in none (""), or in all. */
struct pending {
    size_t all, latest; /* not answered; of these, of the wave handed over last */
    int wave;
    size_t services; /* of lane 1, handed over or not */
    size_t failed;   /* in this round */
};

struct waits {
    struct arena *a;
    struct map *by_ns;
    struct pending total;
};

struct waits *waits_new(const struct world *w) {
    struct arena *a = arena_new();
    struct waits *ws = arena_new_of(a, struct waits);
    ws->a = a;
    ws->by_ns = map_new();
    map_put(ws->by_ns, "", arena_new_of(a, struct pending));
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        if (!map_has(ws->by_ns, o->ns))
            map_put(ws->by_ns, o->ns, arena_new_of(a, struct pending));
    }
    return ws;
}

void waits_free(struct waits *ws) {
    if (!ws)
        return;
    map_free(ws->by_ns);
    arena_free(ws->a);
}

static struct pending *of(const struct waits *ws, const struct object *o) {
    struct pending *p = map_get(ws->by_ns, o->ns);
    MUST(p);
    return p;
}

void waits_expect(struct waits *ws, const struct object *o) {
    of(ws, o)->services++;
    ws->total.services++;
}

static void add(struct pending *p, int wave) {
    if (p->wave != wave) {
        p->wave = wave;
        p->latest = 0;
    }
    p->all++;
    p->latest++;
}

void waits_handed(struct waits *ws, const struct object *o) {
    if (order_lane(o) == 1)
        return;
    add(of(ws, o), o->wave);
    add(&ws->total, o->wave);
}

static void take(struct pending *p, int wave) {
    p->all--;
    p->latest -= p->wave == wave;
}

void waits_answered(struct waits *ws, const struct object *o) {
    struct pending *p = of(ws, o);
    if (order_lane(o) == 1) {
        p->services--;
        ws->total.services--;
        return;
    }
    take(p, o->wave);
    take(&ws->total, o->wave);
}

static bool nothing_before(const struct pending *p, int wave) {
    size_t same = p->wave == wave ? p->latest : 0;
    return p->all == same && (wave <= WAVE_SERVICE || !p->services);
}

bool waits_clear(const struct waits *ws, const struct object *o) {
    if (order_lane(o) == 1 || !order_waits(o->wave))
        return true;
    if (!*o->ns)
        return nothing_before(&ws->total, o->wave);
    return nothing_before(of(ws, o), o->wave) && nothing_before(map_get(ws->by_ns, ""), o->wave);
}

void waits_failed(struct waits *ws, const struct object *o) {
    if (order_limits(o->kind->src))
        return;
    of(ws, o)->failed++;
    ws->total.failed++;
}

void waits_forget_failures(struct waits *ws) {
    ws->total.failed = 0;
    for (size_t i = 0; i < map_len(ws->by_ns); i++)
        ((struct pending *)map_value(ws->by_ns, i))->failed = 0;
}

bool waits_held_back(const struct waits *ws, const struct object *o) {
    return order_limits(o->kind->src) && (*o->ns ? of(ws, o) : &ws->total)->failed;
}
