/* Reads both clusters kind by kind (join.h) and makes the records. */
#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/queue.h"
#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/hold.h"
#include "migrate/join.h"
#include "migrate/order.h"
#include "migrate/pernamespace.h"
#include "migrate/rules.h"
#include "migrate/scaler.h"
#include "migrate/singleton.h"
#include "migrate/sources.h"
#include "migrate/tuned.h"
#include "migrate/world_impl.h"

enum { READERS = 2, ONE_BY_ONE_MAX = 50 };

/* --- which kinds --- */

/* The version to speak: the source's preferred one if the destination serves it, else the first
 * that both serve (the source's API server converts). */
static const struct kube_resource *common_version(struct world *w, const struct kube_resource *r,
                                                  const struct kube_resource **ret_dst) {
    const struct kube_resource *all;
    size_t n = kube_discovery_all(w->dsrc, &all);
    *ret_dst = kube_discovery_find(w->ddst, r->group, r->version, r->kind);
    if (*ret_dst)
        return r;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(all[i].group, r->group) || !str_eq(all[i].kind, r->kind) ||
            !(all[i].verbs & KUBE_LIST))
            continue;
        *ret_dst = kube_discovery_find(w->ddst, r->group, all[i].version, r->kind);
        if (*ret_dst)
            return &all[i];
    }
    return r;
}

static bool readable(const struct kube_resource *r) {
    const unsigned need = KUBE_LIST | KUBE_GET | KUBE_CREATE;
    return r->preferred && (r->verbs & need) == need && !strchr(r->plural, '/') &&
           !rules_skip_kind(r);
}

static bool merges(const struct kube_resource *r) {
    return !*r->group && (str_eq(r->kind, "Namespace") || str_eq(r->kind, "ServiceAccount"));
}

/* Volumes first: whether a claim may name its volume depends on them. */
static int kind_rank(const struct kube_resource *r) {
    return str_eq(r->kind, "PersistentVolume") && !*r->group ? 0 : 1;
}

static void add_kind(struct world *w, const struct kube_resource *src,
                     const struct kube_resource *dst) {
    struct kind *k = &w->kinds[w->n_kinds++];
    *k = (struct kind){.src = src,
                       .dst = dst,
                       .wave = order_wave(src, order_is_custom(src)),
                       .merge = merges(src)};
}

int inventory_kinds(struct world *w, struct err *e UNUSED) {
    const struct kube_resource *all;
    size_t n = kube_discovery_all(w->dsrc, &all);
    w->kinds = arena_array(w->a, struct kind, n);
    for (int rank = 0; rank < 2; rank++) {
        for (size_t i = 0; i < n; i++) {
            if (!readable(&all[i]) || kind_rank(&all[i]) != rank)
                continue;
            if (w->o.only_namespaced && !all[i].namespaced && !str_eq(all[i].kind, "Namespace"))
                continue;
            const struct kube_resource *dst, *src = common_version(w, &all[i], &dst);
            add_kind(w, src, dst);
        }
    }
    for (const char *const *f = kube_discovery_failed(w->dsrc); f && *f; f++)
        strvec_fmt(&w->warnings, "the source does not answer for API %s: its objects are not seen",
                   *f);
    return 0;
}

/* --- one reader --- */

struct reader {
    struct world *w;
    struct arena *a;   /* of the records */
    struct arena *tmp; /* of one object */
    struct object_list objects;
    struct map *names; /* of namespaces, each once */
    struct uid_set uids_dst;
    struct strvec secrets;
    struct strvec left_over;
    struct scaler *scalers;
    struct selector *selectors;
    struct trait *traits;
    struct census *census; /* of the destination's objects of one kind that nobody of us wrote */
    bool shallow;          /* items have metadata alone */
    size_t one_by_one;     /* of them are to be read whole */
    size_t namespaces_dst;
};

static bool in_scope(const struct world *w, const struct kind *k, yyjson_val *item) {
    const char *ns = json_str(item, "metadata", "namespace");
    if (ns)
        return selected_namespace(w, ns);
    bool is_ns = str_eq(k->src->kind, "Namespace") && !*k->src->group;
    return !is_ns || selected_namespace(w, json_str(item, "metadata", "name"));
}

static void note_account_secrets(struct reader *r, const char *ns, yyjson_val *item) {
    yyjson_val *list = json_get(item, "secrets"), *s;
    size_t i, max;
    yyjson_arr_foreach (list, i, max, s) {
        strvec_fmt(&r->secrets, "%s/%s", ns, json_str(s, "name") ? json_str(s, "name") : "");
    }
}

/* Skipped, unless its owner turns out to be gone: see read_orphans(). */
static bool expected_again(const struct object *o) {
    for (const struct owner *x = o->owners; x; x = x->next)
        if (x->controller && rules_regenerable(o->kind->src->kind, x->kind))
            return true;
    return false;
}

static const char *namespace_name(struct reader *r, const char *ns) {
    const char *have = ns ? map_get(r->names, ns) : "";
    if (!have) {
        char *copy = arena_strdup(r->a, ns);
        map_put(r->names, copy, copy);
        have = copy;
    }
    return have;
}

/* One that can start what stands idle may be asked about (unclassified.c). */
static void note_scaler(struct reader *r, struct object *o, yyjson_val *item) {
    const uint32_t decided =
        FACT_STILL | FACT_HOLD_ASKED | FACT_HOLD_REFUSED | FACT_DELETING | FACT_SYSTEM_MADE;
    struct scaler *s = scaler_read(r->a, o, item);
    if (!s)
        return;
    if (s->wakes && !(o->facts & decided))
        o->hints = HINT_ASKABLE;
    s->next = r->scalers;
    r->scalers = s;
}

static void note_trait(struct arena *a, struct trait **list, struct object *o, yyjson_val *item) {
    struct trait *t = trait_read(a, o, item);
    if (!t)
        return;
    if (!t->idle)
        o->hints = HINT_ASKABLE;
    t->next = *list;
    *list = t;
}

/* What the body tells. */
static void note_body(struct arena *a, struct trait **list, struct object *o, yyjson_val *item) {
    const struct kube_resource *r = o->kind->src;
    o->facts = facts_read(r->group, r->kind, item);
    o->singleton = singleton_of(r->group, r->kind, item);
    note_trait(a, list, o, item);
}

/* What verdicts on other objects need to know of this one. */
static void note_relations(struct reader *r, struct object *o, yyjson_val *item) {
    if (object_is(o, "", "ServiceAccount"))
        note_account_secrets(r, o->ns, item);
    note_scaler(r, o, item);
    struct selector *s = object_is(o, "", "Service") ? selector_read(r->a, item) : NULL;
    if (s) {
        s->ns = o->ns;
        s->next = r->selectors;
        r->selectors = s;
    }
}

/* A platform has a few dozen controllers at most: a list will do. */
static uint8_t maker_id(struct world *w, yyjson_val *item) {
    const char *maker = pernamespace_maker(item);
    size_t i = 0;
    if (!maker)
        return 0;
    world_lock(w);
    while (i < w->makers.n && !str_eq(w->makers.v[i], maker))
        i++;
    if (i == w->makers.n && i < UINT8_MAX)
        strvec_add(&w->makers, maker);
    world_unlock(w);
    return i < UINT8_MAX ? (uint8_t)(i + 1) : 0;
}

static struct object *make_record(struct reader *r, const struct kind *k, yyjson_val *item) {
    struct object *o = arena_new_of(r->a, struct object);
    o->kind = k;
    o->ns = namespace_name(r, json_str(item, "metadata", "namespace"));
    o->name = arena_strdup(r->a, json_str(item, "metadata", "name"));
    o->uid_src = uid_of(json_str(item, "metadata", "uid"));
    o->owners = facts_owners(r->a, item);
    o->user_rule = (int16_t)classify_user_rule(r->w, k->src, item);
    o->ours = world_wrote(r->w, k->src->group, k->src->kind, o->ns, o->name, NULL);
    o->maker = *o->ns ? maker_id(r->w, item) : 0;
    note_body(r->a, &r->traits, o, item);
    note_relations(r, o, item);
    object_list_add(&r->objects, o);
    return o;
}

/* Namespace default is as old as the cluster: what makes something in each may have come later. */
static bool counts_for_census(const struct world *w, const char *ns) {
    return !rules_system_namespace(ns) && !rules_tandem_namespace(ns) && !str_eq(ns, "default") &&
           !world_wrote(w, "", "Namespace", NULL, ns, NULL);
}

static void count_destination(struct reader *r, const struct kind *k, yyjson_val *dst) {
    const char *ns = json_str(dst, "metadata", "namespace");
    const char *name = json_str(dst, "metadata", "name");
    if (!ns) {
        bool is_ns = !*k->src->group && str_eq(k->src->kind, "Namespace");
        r->namespaces_dst += is_ns && counts_for_census(r->w, name);
        return;
    }
    const char *maker = pernamespace_maker(dst);
    if (maker && !json_get(dst, "metadata", "ownerReferences") && counts_for_census(r->w, ns) &&
        !world_wrote(r->w, k->src->group, k->src->kind, ns, name, json_str(dst, "metadata", "uid")))
        census_add(r->census, k->src, name, maker);
}

static void note_uid(struct reader *r, yyjson_val *dst) {
    struct uid uid = uid_of(json_str(dst, "metadata", "uid"));
    if (uid_given(uid))
        uid_set_add(&r->uids_dst, uid);
}

static void note_destination(struct world *w, struct arena *a, struct object *o, yyjson_val *dst,
                             bool skipped) {
    /* A server gives every object a uid; an export may have lost it. */
    const char *uid = json_str(dst, "metadata", "uid");
    world_lock(w);
    world_set_uid_dst(w, o, uid);
    world_unlock(w);
    o->ours =
        o->ours && world_wrote(w, o->kind->src->group, o->kind->src->kind, o->ns, o->name, uid);
    o->facts_dst = facts_read(o->kind->src->group, o->kind->src->kind, dst);
    o->owners_dst = skipped ? NULL : facts_owners(a, dst);
}

/* Written by an earlier run and gone from the source since: it is not deleted, but it is shown.
 * Under a label selector the source was not asked for everything. */
static void note_left_over(struct reader *r, const struct kind *k, yyjson_val *dst) {
    if (r->w->o.label_selector || !in_scope(r->w, k, dst))
        return;
    const char *ns = json_str(dst, "metadata", "namespace");
    const char *name = json_str(dst, "metadata", "name");
    if (world_wrote(r->w, k->src->group, k->src->kind, ns, name, json_str(dst, "metadata", "uid")))
        strvec_fmt(&r->left_over, "%s %s%s%s", k->src->kind, ns ? ns : "", ns ? "/" : "", name);
}

static void look_at(struct world *w, struct arena *a, struct arena *tmp, struct object *o,
                    yyjson_val *src, yyjson_val *dst) {
    struct err why = {0};
    arena_reset(tmp);
    if (w->schemas)
        schemas_settle(w->schemas, w->kinds, w->n_kinds, o->kind);
    /* A patch of the user's that does not fit this object blocks it, not everything. */
    o->broken = world_judge(w, o, a, tmp, src, dst, &why) < 0;
    if (o->broken)
        o->note = arena_strdup(a, err_msg(&why));
}

/* What is skipped since the destination has its own may hold what a person granted in the source.
 */
static void note_tuned(struct reader *r, struct object *o, yyjson_val *src, yyjson_val *dst) {
    if (o->facts & FACT_DELETING || !(o->facts & (FACT_BOOTSTRAP_RBAC | FACT_SYSTEM_NAME)))
        return;
    o->note = tuned_rbac(r->a, src, dst);
    o->tuned = o->note != NULL;
}

/* src NULL: only in the destination; dst NULL: only in the source. */
static void take_pair(struct reader *r, const struct kind *k, yyjson_val *src, yyjson_val *dst) {
    if (dst) {
        note_uid(r, dst);
        count_destination(r, k, dst);
    }
    if (!src) {
        note_left_over(r, k, dst);
        return;
    }
    if (!in_scope(r->w, k, src))
        return;
    struct object *o = make_record(r, k, src);
    o->in_dst = dst != NULL; /* rules look at it */
    bool skipped = o->user_rule < 0 && rules_match(o, NULL);
    if (dst)
        note_destination(r->w, r->a, o, dst, skipped);
    if (dst && skipped)
        note_tuned(r, o, src, dst);
    if (o->user_rule < 0)
        o->unread = expected_again(o);
    if (skipped || o->unread)
        return;
    o->unread = r->shallow;
    r->one_by_one += r->shallow;
    if (!r->shallow)
        look_at(r->w, r->a, r->tmp, o, src, dst);
}

/* --- one kind --- */

struct kind_reading {
    struct reader *r;
    const struct kind *k;
    size_t objects, left_over, namespaces_dst; /* before it */
    struct selector *selectors;
    struct trait *traits;
    struct scaler *scalers;
};

static struct kind_reading begin(struct reader *r, const struct kind *k) {
    return (struct kind_reading){
        r, k, r->objects.n, r->left_over.n, r->namespaces_dst, r->selectors, r->traits, r->scalers};
}

static void take(void *ctx, yyjson_val *src, yyjson_val *dst) {
    struct kind_reading *kr = ctx;
    take_pair(kr->r, kr->k, src, dst);
}

static void undo(void *ctx) {
    struct kind_reading *kr = ctx;
    struct reader *r = kr->r;
    r->objects.n = kr->objects;
    r->namespaces_dst = kr->namespaces_dst;
    r->one_by_one = 0;
    r->selectors = kr->selectors;
    r->traits = kr->traits;
    r->scalers = kr->scalers;
    census_reset(r->census);
    while (r->left_over.n > kr->left_over)
        xfree(r->left_over.v[--r->left_over.n]);
}

static int join_twice(struct reader *r, const struct kind *k, struct err *e) {
    struct kind_reading kr = begin(r, k);
    struct join j = {.pair = take, .again = undo, .ctx = &kr};
    j.source_only = !world_wrote_kind(r->w, k->src); /* nothing of it can be left over */
    int n = join_kind(r->w, k, &j, e);
    if (n != -EACCES || !r->w->o.tolerate_denied)
        return n;
    j.destination_denied = true; /* perhaps it is the destination's alone that may not be read */
    n = join_kind(r->w, k, &j, e);
    return n == -EACCES ? 0 : n;
}

static void candidate(void *ctx, const char *key, const char *maker, size_t n) {
    struct world *w = ctx;
    world_lock(w);
    pernamespace_candidate(w, key, maker, n);
    world_unlock(w);
}

static void end_census(struct reader *r) {
    census_each(r->census, PERNAMESPACE_LEAST, candidate, r->w);
    census_reset(r->census);
}

/* What controllers make again, nearly all of it, and more than anything else of a platform. */
static bool mostly_made_again(const struct kube_resource *r) {
    static const char *const kinds[][2] = {
        {"", "Pod"}, {"apps", "ReplicaSet"}, {"apps", "ControllerRevision"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_eq(r->group, kinds[i][0]) && str_eq(r->kind, kinds[i][1]))
            return true;
    return false;
}

/* By metadata alone, which tells of nearly each that its controller makes it again, so that nobody
 * needs to know what it holds or whether the destination has it; read_orphans() reads the others.
 * False: there are too many of those. */
static bool read_shallow(struct reader *r, struct kind *k, int *ret, struct err *e) {
    struct world *w = r->w;
    if (!mostly_made_again(k->src) || w->o.read_made || join_ruled(&w->o, k->src) ||
        world_wrote_kind(w, k->src))
        return false;
    struct kind_reading kr = begin(r, k);
    struct join j = {.pair = take,
                     .again = undo,
                     .ctx = &kr,
                     .destination_denied = true,
                     .source_only = true,
                     .metadata_only = true};
    r->one_by_one = 0;
    r->shallow = k->shallow = true;
    *ret = join_kind(w, k, &j, e);
    r->shallow = false;
    if (*ret != -EACCES && (*ret < 0 || r->one_by_one <= ONE_BY_ONE_MAX))
        return true;
    k->shallow = false;
    undo(&kr);
    return false;
}

static int read_kind(struct reader *r, struct kind *k, struct err *e) {
    int n = 0;
    if (!read_shallow(r, k, &n, e))
        n = join_twice(r, k, e);
    end_census(r);
    return n;
}

struct reading {
    struct world *w;
    struct reader reader[READERS];
    atomic_size_t next;
    atomic_bool failed;
    struct err err;
};

static void report(struct world *w, const struct kind *k, size_t objects) {
    world_lock(w);
    w->progress += objects;
    size_t sum = w->progress;
    world_unlock(w);
    if (w->o.progress)
        w->o.progress(w->o.progress_ctx, k->src->plural, sum);
}

static void run_reader(void *ctx, size_t index) {
    struct reading *rd = ctx;
    struct reader *r = &rd->reader[index];
    size_t i;
    while (!atomic_load(&rd->failed) && (i = atomic_fetch_add(&rd->next, 1)) < rd->w->n_kinds) {
        struct err e = {0};
        size_t before = r->objects.n;
        if (read_kind(r, &rd->w->kinds[i], &e) < 0) {
            world_lock(rd->w);
            if (!atomic_exchange(&rd->failed, true))
                rd->err = e;
            world_unlock(rd->w);
        }
        report(rd->w, &rd->w->kinds[i], r->objects.n - before);
    }
}

static struct reader reader_make(struct world *w, size_t i) {
    w->reader_arena[i] = arena_new();
    return (struct reader){.w = w,
                           .a = w->reader_arena[i],
                           .tmp = arena_new(),
                           .names = map_new(),
                           .census = census_new()};
}

static void gather(struct world *w, struct reader *r) {
    for (size_t i = 0; i < r->objects.n; i++)
        object_list_add(&w->objects, r->objects.v[i]);
    for (size_t i = 0; i < r->uids_dst.n; i++)
        uid_set_add(&w->uids_dst, r->uids_dst.v[i]);
    for (size_t i = 0; i < r->secrets.n; i++)
        map_put(w->sa_secrets, arena_strdup(w->a, r->secrets.v[i]), w);
    for (struct scaler *x = r->scalers, *next; x; x = next) {
        next = x->next;
        x->next = w->scalers;
        w->scalers = x;
        if (x->o->facts & FACT_ACTS)
            map_put(w->consumers, arena_printf(w->a, "%s/%s/%s", x->o->ns, x->kind, x->name), x);
    }
    for (struct trait *t = r->traits, *next; t; t = next) {
        next = t->next;
        t->next = w->traits;
        w->traits = t;
    }
    for (struct selector *s = r->selectors, *next; s; s = next) {
        next = s->next;
        s->next = map_put(w->selectors, s->ns, s);
    }
    for (size_t i = 0; i < r->left_over.n; i++)
        strvec_add(&w->left_over, r->left_over.v[i]);
    strvec_done(&r->left_over);
    xfree(r->objects.v);
    uid_set_done(&r->uids_dst);
    end_census(r);
    census_free(r->census);
    w->namespaces_dst += r->namespaces_dst;
    map_free(r->names);
    arena_free(r->tmp);
    strvec_done(&r->secrets);
}

/* Body of o in the source or the destination, in a. */
typedef int (*fetch_fn)(void *ctx, struct arena *a, const struct object *o, bool destination,
                        yyjson_val **ret, struct err *e);

/* Children whose owner is gone, or that never had one, go over like anything else, so their bodies
 * are looked at after all, one by one: there are hardly any. One that is gone by now is left as it
 * is; whoever writes it finds that out. */
static int read_orphans(struct world *w, fetch_fn fetch, void *ctx, struct err *e) {
    for (size_t i = 0; i < w->objects.n; i++) {
        struct object *o = w->objects.v[i];
        if (!o->unread || rules_match(o, w))
            continue;
        AUTO_ARENA a = arena_new();
        AUTO_ARENA tmp = arena_new();
        yyjson_val *src, *dst = NULL;
        int n = fetch(ctx, a, o, false, &src, e);
        if (n == -ENOENT)
            continue;
        if (n >= 0 && (o->in_dst || (o->kind->shallow && o->kind->dst)))
            n = fetch(ctx, a, o, true, &dst, e);
        if (n < 0 && n != -ENOENT)
            return n;
        if (dst && !o->in_dst)
            note_destination(w, w->a, o, dst, false);
        if (o->kind->shallow)
            note_body(w->a, &w->traits, o, src);
        if (!rules_match(o, w))
            look_at(w, w->a, tmp, o, src, dst);
        o->unread = false;
    }
    return 0;
}

static int fetch_live(void *ctx, struct arena *a, const struct object *o, bool destination,
                      yyjson_val **ret, struct err *e) {
    const struct world *w = ctx;
    const struct kube_resource *r = destination ? o->kind->dst : o->kind->src;
    return kube_get(destination ? w->o.dst : w->o.src, a,
                    kube_path(a, r, *o->ns ? o->ns : NULL, o->name, NULL), NULL, ret, e);
}

/* Volumes that are recreated, known before any claim is read. */
static void note_volumes(struct world *w, const struct reader *r) {
    for (size_t i = 0; i < r->objects.n; i++) {
        struct object *o = r->objects.v[i];
        const struct user_rule *u = o->user_rule >= 0 ? &w->o.rules[o->user_rule] : NULL;
        bool skipped = u && str_eq(u->verdict, "skip");
        if (object_is(o, "", "PersistentVolume") && !(o->facts & FACT_PV_DYNAMIC) && !skipped)
            map_put(w->volumes, o->name, o);
    }
}

static int note_volume(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct world *w = ctx;
    const struct kube_resource *r = kube_discovery_find(w->dsrc, "", NULL, "PersistentVolume");
    int rule = classify_user_rule(w, r, item);
    bool skipped = rule >= 0 && str_eq(w->o.rules[rule].verdict, "skip");
    if (!skipped && !(facts_read("", "PersistentVolume", item) & FACT_PV_DYNAMIC))
        map_put(w->volumes, arena_strdup(w->a, json_str(item, "metadata", "name")), w);
    return 0;
}

/* Under -n volumes are not migrated, but claims still name them. Who may not list them loses only
 * that. */
static void look_at_volumes(struct world *w) {
    const struct kube_resource *r = kube_discovery_find(w->dsrc, "", NULL, "PersistentVolume");
    struct kube_list_fn fn = {.item = note_volume, .ctx = w};
    struct kube_list_opts lo = {.cancel = w->o.cancel};
    struct err e = {0};
    if (w->o.only_namespaced && r && kube_list(w->o.src, w->a, r, &lo, &fn, NULL, &e) < 0)
        strvec_fmt(&w->warnings, "claims lose the names of their volumes: %s", err_msg(&e));
}

static void warn_missing_namespaces(struct world *w) {
    for (const char *const *p = w->o.ns_include; p && *p; p++)
        if (!strpbrk(*p, "*?") && !world_find(w, "", "Namespace", "", *p))
            strvec_fmt(&w->warnings, "the source has no namespace %s", *p);
}

int inventory_read(struct world *w, struct err *e) {
    struct reading rd = {.w = w};
    for (size_t i = 0; i < READERS; i++)
        rd.reader[i] = reader_make(w, i);
    int n = 0;
    look_at_volumes(w);
    while (atomic_load(&rd.next) < w->n_kinds && n >= 0 && kind_rank(w->kinds[rd.next].src) == 0)
        n = read_kind(&rd.reader[0], &w->kinds[atomic_fetch_add(&rd.next, 1)], e);
    if (n >= 0) {
        note_volumes(w, &rd.reader[0]);
        workers_join(workers_start(READERS, run_reader, &rd));
        if (atomic_load(&rd.failed)) {
            n = rd.err.code;
            if (e)
                *e = rd.err;
        }
    }
    for (size_t i = 0; i < READERS; i++)
        gather(w, &rd.reader[i]);
    pernamespace_settle(w);
    world_index(w);
    if (n < 0)
        return n;
    warn_missing_namespaces(w);
    if (schemas_warning(w->schemas))
        strvec_add(&w->warnings, schemas_warning(w->schemas));
    return read_orphans(w, fetch_live, w, e);
}

/* --- bodies at hand --- */

static bool same_kind(const struct kube_resource *x, const struct kube_resource *y) {
    return str_eq(x->kind, y->kind) && str_eq(x->group, y->group) && str_eq(x->version, y->version);
}

static const struct kube_resource *served(const struct world_side *s,
                                          const struct kube_resource *r) {
    for (size_t i = 0; i < s->n_serves; i++)
        if (same_kind(s->serves[i], r))
            return s->serves[i];
    for (size_t i = 0; i < s->n; i++)
        if (same_kind(s->items[i].resource, r))
            return s->items[i].resource;
    return NULL;
}

static const struct kind *kind_for(const struct world *w, const struct kube_resource *r) {
    for (size_t i = 0; i < w->n_kinds; i++)
        if (same_kind(w->kinds[i].src, r))
            return &w->kinds[i];
    return NULL;
}

static char *item_ref(struct arena *a, const struct world_item *x) {
    return object_ref_of(a, x->resource->group, x->resource->kind,
                         json_str(x->body, "metadata", "namespace"),
                         json_str(x->body, "metadata", "name"));
}

struct offline {
    struct reader *r;
    const struct world_side *src, *dst;
    struct map *at_src, *at_dst; /* ref -> body */
};

/* All pairs of the kinds of one rank. */
static void take_rank(struct offline *f, int rank) {
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < f->src->n; i++) {
        const struct world_item *x = &f->src->items[i];
        if (kind_rank(x->resource) == rank)
            take_pair(f->r, kind_for(f->r->w, x->resource), x->body,
                      map_get(f->at_dst, item_ref(a, x)));
    }
    for (size_t i = 0; i < f->dst->n; i++) {
        const struct world_item *x = &f->dst->items[i];
        const struct kind *k = kind_for(f->r->w, x->resource);
        if (k && kind_rank(k->src) == rank && !map_has(f->at_src, item_ref(a, x)))
            take_pair(f->r, k, NULL, x->body);
    }
}

static void map_items(struct arena *a, struct map *m, const struct world_side *s) {
    for (size_t i = 0; i < s->n; i++)
        map_put(m, item_ref(a, &s->items[i]), s->items[i].body);
}

/* Of the kinds of both. */
static void note_sources(struct world *w, const struct world_side *s, bool destination) {
    for (size_t i = 0; i < s->n; i++)
        sources_have(w, &s->items[i], destination);
}

static int fetch_offline(void *ctx, struct arena *a, const struct object *o, bool destination,
                         yyjson_val **ret, struct err *e UNUSED) {
    struct offline *f = ctx;
    yyjson_val *body = map_get(destination ? f->at_dst : f->at_src, object_ref(a, o));
    if (!body)
        return -ENOENT;
    *ret = body;
    return 0;
}

int inventory_offline(struct world *w, const struct world_side *src, const struct world_side *dst,
                      struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_MAP at_src = map_new();
    AUTO_MAP at_dst = map_new();
    struct reader r = reader_make(w, 0);
    struct offline f = {&r, src, dst, at_src, at_dst};
    w->kinds = arena_array(w->a, struct kind, src->n);
    for (size_t i = 0; i < src->n; i++)
        if (!kind_for(w, src->items[i].resource))
            add_kind(w, src->items[i].resource, served(dst, src->items[i].resource));
    map_items(a, at_src, src);
    map_items(a, at_dst, dst);
    note_sources(w, src, false);
    note_sources(w, dst, true);
    take_rank(&f, 0);
    note_volumes(w, &r);
    take_rank(&f, 1);
    gather(w, &r);
    pernamespace_settle(w);
    world_index(w);
    return read_orphans(w, fetch_offline, &f, e);
}
