/* How old the source is: each kind's newest resourceVersion, over readings and, for one kind, over
 * restarts. One that went back was restored. */
#include "base/clock.h"
#include "base/log.h"
#include "kube/page.h"
#include "migrate/follow_impl.h"
#include "migrate/join.h"

/* What tells the age of a source over restarts: a kind that every API server has. */
#define MARK_KEY "/ConfigMap"

uint64_t follow_rv(const char *rv) {
    uint64_t n;
    return rv && str_u64(rv, &n) == 0 ? n : 0;
}

void follow_went_back(struct follow *f, const char *plural, uint64_t was, uint64_t is) {
    if (atomic_exchange(&f->restored, true))
        return;
    pthread_mutex_lock(&f->lock);
    snprintf(
        f->restored_why, sizeof f->restored_why,
        "the source's resourceVersion of %s went back from %llu to %llu: it was restored to an "
        "older state; nothing is carried until `tandem approve restore` says that this state "
        "is the true one",
        plural, (unsigned long long)was, (unsigned long long)is);
    log_error("%s", f->restored_why);
    if (f->q)
        changes_freeze(f->q, true);
    pthread_mutex_unlock(&f->lock);
}

void follow_age_mark(struct follow *f, const struct kind *k, uint64_t number) {
    char key[512];
    snprintf(key, sizeof key, "%s/%s", k->src->group, k->src->kind);
    uint64_t was = (uint64_t)(uintptr_t)map_get(f->marks, key);
    if (number <= was)
        return;
    map_put(f->marks, map_has(f->marks, key) ? key : arena_strdup(f->a, key),
            (void *)(uintptr_t)number);
}

static const char *fact_key(const struct follow *f) {
    return f->o.world.src_slot == 'b' ? "follow.rv.b" : "follow.rv.a";
}

void follow_age_save(struct follow *f) {
    char text[24];
    uint64_t n = 0;
    for (size_t i = 0; i < f->n_watch; i++)
        if (str_eq(f->watch[i].kind->src->kind, "ConfigMap") && !*f->watch[i].kind->src->group)
            n = atomic_load(&f->watch[i].number);
    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    struct err e = {0};
    if (n && !atomic_load(&f->restored) &&
        journal_set(f->o.world.journal, fact_key(f), text, &e) < 0)
        log_debug("%s", err_msg(&e));
}

void follow_age_check(struct follow *f, const struct world *w) {
    AUTO_ARENA a = arena_new();
    char *saved = NULL;
    if (journal_get(f->o.world.journal, a, fact_key(f), &saved, NULL) < 0)
        saved = NULL;
    for (size_t i = 0; i < world_kinds(w, &(const struct kind *){NULL}); i++) {
        const struct kind *k = world_kind_at(w, i);
        char key[512];
        snprintf(key, sizeof key, "%s/%s", k->src->group, k->src->kind);
        uint64_t was = (uint64_t)(uintptr_t)map_get(f->marks, key), is = follow_rv(k->rv);
        if (str_eq(key, MARK_KEY))
            was = MAX(was, follow_rv(saved));
        if (is && is < was)
            follow_went_back(f, k->src->plural, was, is);
    }
}

uint64_t follow_age_now(struct follow *f, const struct world *w) {
    AUTO_ARENA a = arena_new();
    const struct kind *k = world_kind_of(w, "", "ConfigMap");
    struct kube_list_opts lo = {.limit = 1, .metadata_only = true, .cancel = &f->stop};
    yyjson_val *items;
    if (!k)
        return 0;
    lo.namespace = join_namespace(w, k);
    struct kube_pager *p = kube_pager_new(f->o.world.src, k->src, &lo);
    uint64_t n = kube_pager_next(p, a, &items, NULL) >= 0 ? follow_rv(kube_pager_rv(p)) : 0;
    kube_pager_free(p);
    return n;
}

void follow_age_accept(struct follow *f) {
    struct err e = {0};
    atomic_store(&f->accepted, false);
    map_free(f->marks);
    f->marks = map_new();
    if (journal_set(f->o.world.journal, fact_key(f), NULL, &e) < 0)
        log_warn("%s", err_msg(&e));
    atomic_store(&f->restored, false);
}
