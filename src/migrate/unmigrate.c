#include "migrate/unmigrate.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/queue.h"
#include "kube/client.h"
#include "migrate/order.h"
#include "migrate/undo.h"

enum { WAVE_LINKED = WAVE_ADMISSION + 1 };
enum { BATCH = 200, WRITES_DEFAULT = 16, WAIT_MS = 120000, LOOK_MS = 200, LOOK_MAX_MS = 2000 };

const char *taken_name(enum taken t) {
    static const char *const names[TAKEN_COUNT] = {"would go", "deleted", "restored", "already",
                                                   "moved on", "kept",    "hangs",    "failed"};
    return t < TAKEN_COUNT ? names[t] : "?";
}

/* --- what the run wrote --- */

static bool matches(const char *const *patterns, const char *s) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (str_glob(patterns[i], s))
            return true;
    return false;
}

static bool in_scope(const struct unmigrate_opts *o, const char *kind, const char *ns,
                     const char *name) {
    if (!o->ns_include || !o->ns_include[0])
        return true;
    return matches(o->ns_include, *ns || !str_eq(kind, "Namespace") ? ns : name);
}

/* In the version that it was written in, which its digests are of. */
static const struct kube_resource *resource_of(const struct undo *u, const char *group,
                                               const char *kind, const char *leaves) {
    const char *end = leaves ? strchr(leaves, ' ') : NULL;
    const struct kube_resource *r = NULL;
    if (end) {
        char version[128];
        snprintf(version, sizeof version, "%.*s", (int)(end - leaves), leaves);
        const char *slash = strchr(version, '/');
        r = kube_discovery_find(u->o->discovery, group, slash ? slash + 1 : version, kind);
    }
    return r ? r : kube_discovery_find(u->o->discovery, group, NULL, kind);
}

static bool does_not_answer(const struct undo *u, const char *group) {
    for (const char *const *f = kube_discovery_failed(u->o->discovery); f && *f; f++)
        if (str_starts(*f, group) && (*f)[strlen(group)] == '/')
            return true;
    return false;
}

static bool is_write(const struct undo *u, const struct journal_effect *ef) {
    return str_eq(ef->cluster, u->slot) && ef->ref && ef->state != EFFECT_FAILED &&
           (str_eq(ef->verb, "create") || str_eq(ef->verb, "update"));
}

/* Until all are there the map holds their places, from 1. */
static struct piece *collected(const struct undo *u, const char *ref) {
    uintptr_t at = (uintptr_t)map_get(u->by_ref, ref);
    return at ? &u->v[at - 1] : NULL;
}

/* It may have been given owners; find_linked() asks more. */
static bool may_link(const struct journal_effect *ef) {
    return ef->previous && strstr(ef->previous, "\"links\"");
}

static int collect_one(void *ctx, const struct journal_effect *ef) {
    struct undo *u = ctx;
    char *part[4];
    AUTO_ARENA tmp = arena_new();
    if (!is_write(u, ef))
        return 0;
    struct piece *known = collected(u, ef->ref);
    if (known) {
        known->linked |= may_link(ef);
        return 0;
    }
    if (!object_ref_split(tmp, ef->ref, part) || (u->o->only && !map_has(u->o->only, ef->ref)) ||
        !in_scope(u->o, part[1], part[2], part[3]) ||
        (u->volumes_only && !(str_eq(part[1], "PersistentVolume") && !*part[0])))
        return 0;
    const struct kube_resource *r = resource_of(u, part[0], part[1], ef->leaves);
    bool lost = !r && does_not_answer(u, part[0]);
    if (!r && !lost)
        return 0; /* its definition is gone, and all objects of it */
    if (u->n == u->cap) {
        u->cap = u->cap ? u->cap * 2 : 256;
        u->v = xrealloc(u->v, u->cap * sizeof *u->v);
    }
    struct piece *p = &u->v[u->n++];
    *p = (struct piece){.r = r,
                        .ref = arena_strdup(u->a, ef->ref),
                        .ns = arena_strdup(u->a, part[2]),
                        .name = arena_strdup(u->a, part[3]),
                        .seq = (uint32_t)(u->n - 1),
                        .wave = r ? order_wave(r, order_is_custom(r)) : INT32_MAX,
                        .linked = may_link(ef),
                        .taken = lost ? TAKEN_FAILED : TAKEN_WOULD,
                        .note = lost ? "its API does not answer" : NULL};
    map_put(u->by_ref, p->ref, (void *)(uintptr_t)u->n);
    return 0;
}

/* What was there before the run and has owners by it is given its previous ones before anything
 * goes: else the garbage collector would delete it with the first of them. */
static int find_linked(struct undo *u, struct err *e) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < u->n; i++) {
        struct piece *p = &u->v[i];
        if (p->linked)
            r = undo_links(u, p, &p->linked, e);
        if (p->linked && p->r)
            p->wave = WAVE_LINKED;
    }
    return r;
}

/* The last wave first; in a wave what was written last first: children before their owners. */
static int last_first(const void *x, const void *y) {
    const struct piece *p = x, *q = y;
    if (p->wave != q->wave)
        return p->wave > q->wave ? -1 : 1;
    return p->seq > q->seq ? -1 : 1;
}

static struct undo begin(struct arena *a, const struct unmigrate_opts *o) {
    return (struct undo){.o = o, .slot = o->slot == 'b' ? "b" : "a", .by_ref = map_new(), .a = a};
}

static void end(struct undo *u) {
    map_free(u->by_ref);
    xfree(u->v);
}

static int collect_refs(struct undo *u, struct err *e) {
    int r = 0;
    for (const char *const *ref = u->o->refs; r >= 0 && *ref; ref++) {
        AUTO_ARENA a = arena_new();
        struct journal_effect *v;
        size_t n;
        r = journal_effects_of(u->o->journal, a, u->o->run, u->slot, *ref, &v, &n, e);
        for (size_t i = 0; r >= 0 && i < n; i++)
            collect_one(u, &v[i]);
    }
    return r;
}

static int collect(struct undo *u, struct err *e) {
    int r = u->o->refs ? collect_refs(u, e)
                       : journal_effects_each(u->o->journal, u->o->run, -1, collect_one, u, e);
    if (r >= 0)
        r = find_linked(u, e);
    if (r < 0)
        return r;
    if (u->n)
        qsort(u->v, u->n, sizeof *u->v, last_first);
    for (size_t i = 0; i < u->n; i++)
        map_put(u->by_ref, u->v[i].ref, &u->v[i]);
    return 0;
}

/* --- many at once --- */

struct crew {
    struct undo *u;
    struct look *v;
    size_t n;
    atomic_size_t next;
    void (*fn)(struct undo *u, struct look *l);
};

static bool stopped(const struct undo *u) {
    return u->o->cancel && atomic_load(&u->o->cancel->stop);
}

static void crew_work(void *ctx, size_t index UNUSED) {
    struct crew *c = ctx;
    size_t i;
    while ((i = atomic_fetch_add(&c->next, 1)) < c->n)
        c->fn(c->u, &c->v[i]);
}

static void all(struct undo *u, struct look *v, size_t n,
                void (*fn)(struct undo *, struct look *)) {
    struct crew c = {.u = u, .v = v, .n = n, .fn = fn};
    size_t writes = u->o->writes ? u->o->writes : WRITES_DEFAULT;
    workers_join(workers_start(MIN(writes, n), crew_work, &c));
}

/* --- a batch --- */

static bool holds_others(const struct piece *p) {
    return undo_is(p, "", "Namespace") ||
           undo_is(p, "apiextensions.k8s.io", "CustomResourceDefinition");
}

/* Where something is to be made anew: what the run did not make, and what would take data along. */
static void keep_what_stays(struct look *l) {
    bool claims =
        l->p->act == ACT_DELETE &&
        str_eq(json_str(l->live, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"),
               "Delete");
    if (undo_brings_back(l->p))
        l->p->note = "was there before the run";
    else if (claims)
        l->p->note = "its claims would be deleted with it: "
                     "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
    else
        return;
    l->bound = false; /* nothing of `only` owns anything */
    l->p->act = ACT_NONE;
    l->p->taken = TAKEN_KEPT;
}

/* Single objects go, not the run. */
static bool is_partial(const struct undo *u) {
    return u->o->only || u->o->refs;
}

static void look_one(struct undo *u, struct look *l) {
    const char *rest = NULL;
    if (!l->p->r || stopped(u))
        return;
    int r = undo_look(u, l, &l->err);
    if (r >= 0 && l->p->act == ACT_DELETE && holds_others(l->p))
        r = undo_rest(u, l->a, l->p, &rest, &l->err);
    if (r >= 0 && is_partial(u))
        keep_what_stays(l);
    if (r < 0)
        l->bound = l->p->linked && !is_partial(u);
    if (r < 0 || rest) {
        l->p->act = ACT_NONE;
        l->p->taken = r < 0 ? TAKEN_FAILED : TAKEN_KEPT;
        l->p->note = r < 0 ? l->err.msg : rest;
    }
}

static void act_one(struct undo *u, struct look *l) {
    if (l->p->act == ACT_NONE)
        return;
    if (stopped(u))
        l->effect.state = EFFECT_UNKNOWN;
    else
        undo_act(u, l);
}

static int journal_intents(struct undo *u, struct look *v, size_t n, struct err *e) {
    struct journal_effect *ef = xcalloc(n, sizeof *ef);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].p->act == ACT_NONE)
            continue;
        ef[k++] = (struct journal_effect){
            .cluster = u->slot,
            .ref = v[i].p->ref,
            .verb = v[i].p->act == ACT_DELETE ? "delete" : "restore",
            .uid = v[i].uid,
            .resource_version = v[i].rv,
            .state = EFFECT_INTENT,
        };
    }
    int r = journal_effects_begin(u->o->journal, u->o->run, ef, k, e);
    for (size_t i = 0, m = 0; r >= 0 && i < n; i++)
        if (v[i].p->act != ACT_NONE)
            v[i].effect = ef[m++];
    xfree(ef);
    return r;
}

static int journal_outcomes(struct undo *u, struct look *v, size_t n, struct err *e) {
    struct journal_effect *ef = xcalloc(n, sizeof *ef);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].p->act != ACT_NONE || v[i].effect.id)
            ef[k++] = v[i].effect;
    int r = journal_effects_end(u->o->journal, ef, k, e);
    xfree(ef);
    return r;
}

static int carry_out(struct undo *u, struct look *v, size_t n, struct err *e) {
    if (u->o->dry_run)
        return 0;
    int r = journal_intents(u, v, n, e);
    if (r < 0)
        return r;
    all(u, v, n, act_one);
    return journal_outcomes(u, v, n, e);
}

static int run_batch(struct undo *u, struct piece *p, size_t n, struct err *e) {
    struct look *v = xcalloc(n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct look){.p = &p[i], .a = arena_new()};
    all(u, v, n, look_one);
    int r = stopped(u) ? err_set(e, -ESTOPPED, "stopped; run `tandem unmigrate` again to go on")
                       : carry_out(u, v, n, e);
    for (size_t i = 0; i < n; i++) {
        if (r < 0 && p[i].act != ACT_NONE && p[i].taken == TAKEN_WOULD)
            p[i].act = ACT_NONE;
        p[i].note = arena_strdup(u->a, p[i].note);
        p[i].bound = v[i].bound;
        arena_free(v[i].a);
    }
    xfree(v);
    return r;
}

/* --- until what was told to go is gone --- */

static void see_whether_gone(struct undo *u, struct look *l) {
    yyjson_val *live, *f;
    size_t i, max;
    if (!l->p->pending || stopped(u))
        return;
    int r = kube_get(u->o->c, l->a, undo_path(l->a, l->p), NULL, &live, &l->err);
    l->p->pending = r != -ENOENT && !(r >= 0 && !json_get(live, "metadata", "deletionTimestamp"));
    AUTO_SB b = SB_INIT(0);
    yyjson_arr_foreach (r < 0 ? NULL : json_get(live, "metadata", "finalizers"), i, max, f) {
        sb_fmt(&b, "%s%s", b.len ? ", " : "finalizers: ", yyjson_get_str(f));
    }
    yyjson_arr_foreach (r < 0 ? NULL : json_get(live, "status", "conditions"), i, max, f) {
        if (str_eq(json_str(f, "status"), "True") && undo_is(l->p, "", "Namespace"))
            sb_fmt(&b, "%s%s", b.len ? "; " : "", json_str(f, "message"));
    }
    l->p->note = r < 0 ? l->err.msg : arena_strdup(l->a, sb_get(&b));
}

static size_t count_pending(struct undo *u, struct piece *p, size_t n) {
    struct look *v = xcalloc(n, sizeof *v);
    size_t pending = 0;
    for (size_t i = 0; i < n; i++)
        if (p[i].pending)
            v[pending++] = (struct look){.p = &p[i], .a = arena_new()};
    all(u, v, pending, see_whether_gone);
    size_t left = 0;
    for (size_t i = 0; i < pending; i++) {
        left += v[i].p->pending;
        v[i].p->note = v[i].p->pending ? arena_strdup(u->a, v[i].p->note) : NULL;
        arena_free(v[i].a);
    }
    xfree(v);
    return left;
}

static void wait_gone(struct undo *u, struct piece *p, size_t n) {
    uint64_t end = clock_now_ms() + (u->o->wait_ms ? u->o->wait_ms : WAIT_MS), pause = LOOK_MS;
    while (count_pending(u, p, n) && clock_now_ms() < end && !stopped(u)) {
        clock_sleep_ms(pause);
        pause = MIN(pause * 2, (uint64_t)LOOK_MAX_MS);
    }
    for (size_t i = 0; i < n; i++)
        if (p[i].pending)
            p[i].taken = TAKEN_HANGS;
}

/* --- volumes --- */

/* Does its claim go in this call? Only some namespaces may be taken back. */
static bool claim_goes(const char *const *ns_include, yyjson_val *volume) {
    const char *ns = json_str(volume, "spec", "claimRef", "namespace");
    return !ns_include || !ns_include[0] || (ns && matches(ns_include, ns));
}

static int retain(struct undo *u, struct look *l, const char *const *ns_include, struct err *e) {
    static const char patch[] = "{\"metadata\":{\"uid\":\"%s\"},\"spec\":"
                                "{\"persistentVolumeReclaimPolicy\":\"Retain\"}}";
    if (!l->p->r)
        return err_set(e, -EIO, "its API does not answer");
    int r = undo_look(u, l, e);
    if (r < 0 || (l->p->act != ACT_DELETE && !l->p->pending) || !claim_goes(ns_include, l->live) ||
        str_eq(json_str(l->live, "spec", "persistentVolumeReclaimPolicy"), "Retain"))
        return r;
    char *body = arena_printf(l->a, patch, l->uid);
    struct kube_req req = {.method = "PATCH",
                           .path = undo_path(l->a, l->p),
                           .query = "fieldManager=tandem",
                           .content_type = "application/merge-patch+json",
                           .body = body,
                           .body_len = strlen(body),
                           .idempotent = true};
    struct kube_resp resp = {0};
    r = kube_do(u->o->c, l->a, &req, &resp, e);
    return r == -ENOENT ? 0 : r;
}

/* The source's volumes and those that the run made of them name the same storage. With reclaim
 * policy Delete the end of the claim in the destination would delete it under the source. That goes
 * for every volume of the run whose claim goes, also for one that itself stays: since somebody has
 * changed it, or since it is in no namespace that is taken back. */
static int protect(struct undo *u, struct err *e) {
    struct unmigrate_opts all_of_it = *u->o;
    all_of_it.ns_include = NULL;
    all_of_it.refs = NULL;
    all_of_it.force = true; /* changed or not: it is the run's */
    struct undo v = begin(u->a, &all_of_it);
    v.volumes_only = true;
    int r = collect(&v, e);
    for (size_t i = 0; r >= 0 && i < v.n && !stopped(u); i++) {
        struct look l = {.p = &v.v[i], .a = arena_new()};
        r = retain(&v, &l, u->o->ns_include, e);
        arena_free(l.a);
        if (r < 0)
            r = err_ctx(e, r, "setting volume %s to Retain before its claim goes", v.v[i].name);
    }
    end(&v);
    return r;
}

/* --- waves --- */

static size_t wave_len(const struct undo *u, size_t from) {
    size_t n = from;
    while (n < u->n && u->v[n].wave == u->v[from].wave)
        n++;
    return n - from;
}

/* Their controllers finish what hangs, and would go with the next waves. */
static int stop_for_custom(const struct undo *u, const struct piece *p, size_t n, struct err *e) {
    size_t hang = 0;
    for (size_t i = 0; i < n; i++)
        hang += p[i].taken == TAKEN_HANGS && p[i].r && order_is_custom(p[i].r);
    if (!hang || u->o->force)
        return 0;
    return err_set(e, -EBUSY,
                   "%zu custom resources are told to go and are still there; their controllers are "
                   "left running to finish them: run `tandem unmigrate` again when they are gone, "
                   "or with --force",
                   hang);
}

/* Their owners would take them along. */
static int stop_for_bound(const struct piece *p, size_t n, struct err *e) {
    size_t bound = 0;
    const char *first = NULL;
    for (size_t i = 0; i < n; i++) {
        bound += p[i].bound;
        first = first || !p[i].bound ? first : p[i].ref;
    }
    if (!bound)
        return 0;
    return err_set(e, -EBUSY,
                   "%zu objects that were there before the run have owners by it still (%s%s) and "
                   "would be deleted with those, so that nothing goes: set their "
                   "metadata.ownerReferences right and run `tandem unmigrate` again",
                   bound, first, bound > 1 ? " and others" : "");
}

static int run_wave(struct undo *u, struct piece *p, size_t n, size_t before, struct err *e) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i += BATCH) {
        r = run_batch(u, p + i, MIN(n - i, (size_t)BATCH), e);
        if (u->o->progress)
            u->o->progress(u->o->progress_ctx, before + MIN(n, i + BATCH), u->n,
                           p->r ? p->r->plural : "");
    }
    if (r >= 0 && !u->o->dry_run) {
        wait_gone(u, p, n);
        r = stop_for_bound(p, n, e);
    }
    if (r >= 0 && !u->o->dry_run)
        r = stop_for_custom(u, p, n, e);
    return r;
}

/* Would storage go? */
static bool takes_volumes(const struct undo *u) {
    for (size_t i = 0; i < u->n; i++)
        if (u->v[i].r && (holds_others(&u->v[i]) || undo_is(&u->v[i], "", "PersistentVolume") ||
                          undo_is(&u->v[i], "", "PersistentVolumeClaim")))
            return true;
    return false;
}

static int run_waves(struct undo *u, struct err *e) {
    bool careful = !u->o->dry_run && !u->o->only && (!u->o->refs || takes_volumes(u));
    int r = careful ? protect(u, e) : 0;
    for (size_t at = 0; r >= 0 && at < u->n;) {
        size_t n = wave_len(u, at);
        r = run_wave(u, &u->v[at], n, at, e);
        at += n;
    }
    return r;
}

/* --- result --- */

static void tell(struct undo *u, struct unmigrate_result *ret) {
    struct unmigrate_item **tail = &ret->items;
    ret->total = u->n;
    for (size_t i = 0; i < u->n; i++) {
        const struct piece *p = &u->v[i];
        ret->by[p->taken]++;
        struct unmigrate_item *x = arena_new_of(u->a, struct unmigrate_item);
        *x = (struct unmigrate_item){.title = object_ref_title(u->a, p->ref),
                                     .ref = p->ref,
                                     .taken = p->taken,
                                     .note = p->note && *p->note ? p->note
                                             : p->taken == TAKEN_WOULD && undo_brings_back(p)
                                                 ? "its previous values"
                                                 : NULL};
        *tail = x;
        tail = &x->next;
    }
    bool narrowed = u->o->ns_include && u->o->ns_include[0];
    ret->clean = !narrowed && !u->o->dry_run &&
                 ret->by[TAKEN_DELETED] + ret->by[TAKEN_RESTORED] + ret->by[TAKEN_ALREADY] == u->n;
}

int unmigrate(struct arena *a, const struct unmigrate_opts *o, struct unmigrate_result *ret,
              struct err *e) {
    struct undo u = begin(a, o);
    *ret = (struct unmigrate_result){0};
    int r = collect(&u, e);
    if (r >= 0)
        r = run_waves(&u, e);
    tell(&u, ret);
    ret->clean = ret->clean && r >= 0;
    end(&u);
    return r;
}

int unmigrate_count(const struct unmigrate_opts *o, size_t *ret_objects, size_t *ret_storage,
                    struct err *e) {
    AUTO_ARENA a = arena_new();
    struct undo u = begin(a, o);
    int r = collect(&u, e);
    if (r >= 0) {
        *ret_objects = u.n;
        *ret_storage = 0;
        for (size_t i = 0; i < u.n; i++)
            *ret_storage += u.v[i].r && (undo_is(&u.v[i], "", "PersistentVolume") ||
                                         undo_is(&u.v[i], "", "PersistentVolumeClaim"));
    }
    end(&u);
    return r;
}
