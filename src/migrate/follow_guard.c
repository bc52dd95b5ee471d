#include "base/clock.h"
#include "base/map.h"
#include "migrate/follow_impl.h"

enum { MAX_DEFAULT = 20, PERCENT_DEFAULT = 5 };

/* What would take other things along, or what nobody would make again. */
static const struct {
    const char *group, *kind, *why;
} always[] = {
    {"", "Namespace", "everything in it would go with it"},
    {"apiextensions.k8s.io", "CustomResourceDefinition",
     "all objects of its kind would go with it"},
    {"", "PersistentVolume", "it is storage"},
    {"", "PersistentVolumeClaim", "it is storage"},
};

struct tally {
    int64_t *at; /* wall ms, ascending */
    size_t n, cap;
};

struct follow_guard {
    pthread_mutex_t lock;
    struct arena *a;
    struct map *kinds; /* "GROUP/KIND" -> struct tally */
    size_t max, percent;
    bool ask_all;
};

struct follow_guard *follow_guard_new(const struct follow_opts *o) {
    struct follow_guard *g = xcalloc(1, sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->a = arena_new();
    g->kinds = map_new();
    g->max = o->delete_max ? o->delete_max : MAX_DEFAULT;
    g->percent = o->delete_percent ? o->delete_percent : PERCENT_DEFAULT;
    g->ask_all = o->ask_deletes;
    return g;
}

void follow_guard_free(struct follow_guard *g) {
    if (!g)
        return;
    for (size_t i = 0; i < map_len(g->kinds); i++)
        xfree(((struct tally *)map_value(g->kinds, i))->at);
    map_free(g->kinds);
    arena_free(g->a);
    pthread_mutex_destroy(&g->lock);
    xfree(g);
}

static struct tally *tally_of(struct follow_guard *g, const char *group, const char *kind) {
    char key[512];
    snprintf(key, sizeof key, "%s/%s", group, kind);
    struct tally *t = map_get(g->kinds, key);
    if (!t) {
        t = arena_new_of(g->a, struct tally);
        map_put(g->kinds, arena_strdup(g->a, key), t);
    }
    return t;
}

static void add(struct tally *t, int64_t at_ms) {
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->at = xrealloc(t->at, t->cap * sizeof *t->at);
    }
    t->at[t->n++] = at_ms;
}

static void drop_old(struct tally *t, int64_t now_ms) {
    size_t old = 0;
    while (old < t->n && t->at[old] < now_ms - FOLLOW_HOUR_MS)
        old++;
    if (old) {
        t->n -= old;
        for (size_t i = 0; i < t->n; i++)
            t->at[i] = t->at[i + old];
    }
}

static const char *always_asks(const struct follow_guard *g, const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(always); i++)
        if (str_eq(always[i].kind, r->kind) && str_eq(always[i].group, r->group))
            return always[i].why;
    return g->ask_all ? "the traffic has moved away from where it would be deleted" : NULL;
}

bool follow_guard_allows(struct follow_guard *g, struct arena *a, const struct kube_resource *r,
                         size_t live, const char **ret_why) {
    const char *why = always_asks(g, r);
    if (why) {
        *ret_why = arena_printf(a,
                                "gone from the source; whether it is deleted is asked each time "
                                "(%s)",
                                why);
        return false;
    }
    int64_t now = clock_wall_ms();
    pthread_mutex_lock(&g->lock);
    struct tally *t = tally_of(g, r->group, r->kind);
    drop_old(t, now);
    size_t all = live + t->n, after = t->n + 1;
    /* Exceeds the smaller of both; the percentage without rounding. */
    bool many = after > g->max || after * 100 > all * g->percent;
    size_t done = t->n;
    if (!many)
        add(t, now);
    pthread_mutex_unlock(&g->lock);
    if (many)
        *ret_why = arena_printf(a,
                                "gone from the source; %zu of %zu %s were deleted within the last "
                                "hour, and more than the smaller of %zu and %zu %% is asked about",
                                done, all, r->plural, g->max, g->percent);
    return !many;
}

void follow_guard_forget(struct follow_guard *g, const struct kube_resource *r) {
    pthread_mutex_lock(&g->lock);
    struct tally *t = tally_of(g, r->group, r->kind);
    t->n -= t->n > 0;
    pthread_mutex_unlock(&g->lock);
}

void follow_guard_note(struct follow_guard *g, const char *group, const char *kind, int64_t at_ms) {
    pthread_mutex_lock(&g->lock);
    add(tally_of(g, group, kind), at_ms);
    pthread_mutex_unlock(&g->lock);
}

void follow_guard_reset(struct follow_guard *g, const char *group, const char *kind) {
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; !kind && i < map_len(g->kinds); i++)
        ((struct tally *)map_value(g->kinds, i))->n = 0;
    if (kind)
        tally_of(g, group, kind)->n = 0;
    pthread_mutex_unlock(&g->lock);
}
