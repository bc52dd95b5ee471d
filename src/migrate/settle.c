#include "migrate/settle.h"

#include "base/clock.h"
#include "base/queue.h"
#include "migrate/join.h"
#include "migrate/world_impl.h"

/* MOMENT_MS: a look that is older tells no more what stayed. */
enum { LOOKERS = 2, LOOK_MS = 500, LOOK_MAX_MS = 5000, MOMENT_MS = 1000 };

size_t settled_lost(const struct settled *s) {
    return s->gone + s->replaced + s->deleting;
}

static bool is_looked_at(const struct object *o) {
    return o->verdict == V_SAME || (object_goes_over(o) && o->outcome == OUT_DONE);
}

static void say(struct world *w, struct object *o, const char *note) {
    world_lock(w);
    if (!o->note || !str_eq(o->note, note))
        o->note = world_keep(w, note);
    world_unlock(w);
}

struct look {
    struct world *w;
    const struct kind *k;
    struct arena *tmp;
};

static struct object *record_of(const struct look *l, yyjson_val *body) {
    const struct kube_resource *r = l->k->src;
    return world_find(l->w, r->group, r->kind, json_str(body, "metadata", "namespace"),
                      json_str(body, "metadata", "name"));
}

/* The newest manager that is neither ours nor a writer of status. */
static const char *last_manager(yyjson_val *dst) {
    const char *name = NULL, *at = "";
    size_t i, max;
    yyjson_val *m;
    yyjson_arr_foreach (json_get(dst, "metadata", "managedFields"), i, max, m) {
        const char *time = json_str(m, "time");
        if (json_str(m, "subresource") || str_eq(json_str(m, "manager"), "tandem") || !time ||
            strcmp(time, at) < 0)
            continue;
        at = time;
        name = json_str(m, "manager");
    }
    return name;
}

/* A change by hand in the source meanwhile is none of the destination's. */
static void look_at_content(struct look *l, struct object *o, struct object *seen,
                            yyjson_val *dst) {
    bool moved = memcmp(seen->digest, o->digest, sizeof o->digest) != 0;
    bool written = o->verdict != V_SAME;
    if (!written || moved || !seen->n_changes)
        return;
    const char *who = last_manager(dst);
    o->fate = FATE_CHANGED;
    say(l->w, o,
        arena_printf(l->tmp, "changed in the destination after it was written, at %s%s%s%s",
                     seen->changes->path, seen->n_changes > 1 ? " and elsewhere" : "",
                     who ? ", last by " : "", who ? who : ""));
}

static void look_at_pair(void *ctx, yyjson_val *src, yyjson_val *dst) {
    struct look *l = ctx;
    struct object *o = record_of(l, src ? src : dst);
    if (!o || !is_looked_at(o) || !dst)
        return;
    struct uid uid = uid_of(json_str(dst, "metadata", "uid"));
    o->fate = FATE_FINE;
    o->unready = false;
    if (uid_given(o->uid_dst) && !uid_same(uid, o->uid_dst)) {
        o->fate = FATE_REPLACED;
        say(l->w, o, "another object of this name has taken its place in the destination");
        return;
    }
    if (json_get(dst, "metadata", "deletionTimestamp")) {
        o->fate = FATE_DELETING;
        say(l->w, o, "is being deleted in the destination");
        return;
    }
    if (!src)
        return; /* gone from the source meanwhile */
    arena_reset(l->tmp);
    struct object seen = *o;
    seen.changes = NULL;
    seen.n_changes = 0;
    seen.note = NULL;
    if (world_judge(l->w, &seen, l->tmp, l->tmp, src, dst, NULL) < 0)
        return;
    o->unready = seen.unready;
    look_at_content(l, o, &seen, dst);
    if (seen.unready && seen.note)
        say(l->w, o, seen.note);
}

/* Whatever is not seen in this look is gone. */
static void expect_all(void *ctx) {
    const struct look *l = ctx;
    for (size_t i = 0; i < world_count(l->w); i++) {
        struct object *o = world_at(l->w, i);
        if (o->kind == l->k && is_looked_at(o))
            o->fate = FATE_GONE;
    }
}

static int look_at_kind(struct world *w, const struct kind *k, struct err *e) {
    AUTO_ARENA tmp = arena_new();
    struct look l = {w, k, tmp};
    struct join j = {.pair = look_at_pair, .again = expect_all, .ctx = &l};
    expect_all(&l);
    int r = join_kind(w, k, &j, e);
    for (size_t i = 0; i < world_count(w); i++) {
        struct object *o = world_at(w, i);
        if (o->kind != k || !is_looked_at(o) || o->fate != FATE_GONE)
            continue;
        if (r < 0)
            o->fate = FATE_FINE; /* a list that ended early tells nothing of what it lacks */
        else
            say(w, o, "it was written and is gone from the destination");
    }
    return r;
}

static void count(const struct world *w, struct settled *ret) {
    *ret = (struct settled){0};
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        if (!is_looked_at(o))
            continue;
        ret->unready += o->unready;
        ret->gone += o->fate == FATE_GONE;
        ret->replaced += o->fate == FATE_REPLACED;
        ret->deleting += o->fate == FATE_DELETING;
        ret->changed += o->fate == FATE_CHANGED;
    }
}

struct looking {
    struct world *w;
    const bool *wanted;
    size_t n;
    atomic_size_t next;
    atomic_bool failed;
    struct err err;
};

static void run_looker(void *ctx, size_t index UNUSED) {
    struct looking *g = ctx;
    size_t i;
    while (!atomic_load(&g->failed) && (i = atomic_fetch_add(&g->next, 1)) < g->n) {
        struct err e = {0};
        if (!g->wanted[i] || look_at_kind(g->w, world_kind_at(g->w, i), &e) >= 0)
            continue;
        world_lock(g->w);
        if (!atomic_exchange(&g->failed, true))
            g->err = e;
        world_unlock(g->w);
    }
}

static int look(struct world *w, const bool *wanted, struct err *e) {
    struct looking g = {.w = w, .wanted = wanted};
    g.n = world_kinds(w, &(const struct kind *){NULL});
    workers_join(workers_start(LOOKERS, run_looker, &g));
    if (!atomic_load(&g.failed))
        return 0;
    if (e)
        *e = g.err;
    return g.err.code;
}

static bool is_stopped(const struct settle_opts *o) {
    return o->cancel && atomic_load(&o->cancel->stop);
}

static bool is_over(const struct settle_opts *o, uint64_t end) {
    return clock_now_ms() >= end || is_stopped(o);
}

/* One flag per kind: of which something is to be looked at, or (unready) is waited for. */
static void want(const struct world *w, bool unready, bool *wanted, size_t n) {
    memset(wanted, 0, n);
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        wanted[o->kind - world_kind_at(w, 0)] |= is_looked_at(o) && (!unready || o->unready);
    }
}

/* Until everything is ready or the time is over. wanted: what was looked at last. */
static int wait_ready(struct world *w, const struct settle_opts *o, uint64_t end, bool *wanted,
                      size_t n, struct settled *ret, struct err *e) {
    uint64_t pause = LOOK_MS;
    int r;
    do {
        want(w, true, wanted, n);
        if (o->progress)
            o->progress(ret->unready);
        /* Each look reads the source too, and that is production. */
        clock_sleep_ms(MIN(pause, end - MIN(end, clock_now_ms())));
        pause = MIN(pause * 2, (uint64_t)LOOK_MAX_MS);
        r = look(w, wanted, e);
        if (r >= 0)
            count(w, ret);
    } while (r >= 0 && ret->unready && !is_over(o, end));
    return r;
}

/* While some were waited for, others may have been taken away. */
static int look_at_others(struct world *w, const bool *looked, size_t n, struct settled *ret,
                          struct err *e) {
    bool *others = xcalloc(n + 1, sizeof *others);
    want(w, false, others, n);
    for (size_t i = 0; i < n; i++)
        others[i] = others[i] && !looked[i];
    int r = look(w, others, e);
    if (r >= 0)
        count(w, ret);
    xfree(others);
    return r;
}

int settle(struct world *w, const struct settle_opts *o, struct settled *ret, struct err *e) {
    uint64_t start = clock_now_ms(), end = start + o->max_ms;
    size_t n = world_kinds(w, &(const struct kind *){NULL});
    bool *wanted = xcalloc(n + 1, sizeof *wanted);
    want(w, false, wanted, n);
    if (o->from_ms > start && !is_over(o, end))
        clock_sleep_ms(MIN(o->from_ms - start, o->max_ms));
    int r = look(w, wanted, e);
    uint64_t seen = clock_now_ms(); /* everything was */
    if (r >= 0)
        count(w, ret);
    while (r >= 0 && ret->unready && !is_over(o, end)) {
        r = wait_ready(w, o, end, wanted, n, ret, e);
        if (r < 0 || is_stopped(o) || clock_now_ms() < seen + MOMENT_MS)
            break;
        r = look_at_others(w, wanted, n, ret, e);
        seen = clock_now_ms();
    }
    xfree(wanted);
    return r;
}
