/* Reads both clusters kind by kind, page by page, and joins them by name.
 *
 * An API server lists a kind in the order of its store's keys, NAMESPACE/NAME bytewise, so that two
 * lists can be joined like sorted files and only two pages are in memory. A list that comes in
 * another order (an aggregated API may) is noticed and that kind is read again with the
 * destination's objects held in a table. */
#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/queue.h"
#include "kube/page.h"
#include "migrate/facts.h"
#include "migrate/hold.h"
#include "migrate/order.h"
#include "migrate/rules.h"
#include "migrate/world_impl.h"

enum { READERS = 2, UNSORTED = -4100, KEY_MAX = 600 };

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
    struct arena *a; /* of the records */
    struct object_list objects;
    struct strvec uids_dst;
    struct strvec secrets;
    struct strvec left_over;
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

static struct object *make_record(struct reader *r, const struct kind *k, yyjson_val *item) {
    struct object *o = arena_new_of(r->a, struct object);
    const char *ns = json_str(item, "metadata", "namespace");
    o->kind = k;
    o->ns = ns ? arena_strdup(r->a, ns) : "";
    o->name = arena_strdup(r->a, json_str(item, "metadata", "name"));
    o->uid_src = arena_strdup(r->a, json_str(item, "metadata", "uid"));
    o->facts = facts_read(k->src->group, k->src->kind, item);
    o->owners = facts_owners(r->a, item);
    o->user_rule = (int16_t)classify_user_rule(r->w, k->src, item);
    char *ref = object_ref(r->a, o);
    o->ours = map_has(r->w->ours, ref);
    if (str_eq(k->src->kind, "ServiceAccount") && !*k->src->group)
        note_account_secrets(r, o->ns, item);
    object_list_add(&r->objects, o);
    return o;
}

static void note_uid(struct reader *r, yyjson_val *dst) {
    const char *uid = json_str(dst, "metadata", "uid");
    if (uid)
        strvec_add(&r->uids_dst, uid);
}

static void note_destination(struct reader *r, struct object *o, yyjson_val *dst) {
    /* A server gives every object a uid; an export may have lost it. */
    const char *uid = json_str(dst, "metadata", "uid");
    o->uid_dst = arena_strdup(r->a, uid ? uid : "");
    o->facts_dst = facts_read(o->kind->src->group, o->kind->src->kind, dst);
    o->owners_dst = facts_owners(r->a, dst);
}

/* Written by an earlier run and gone from the source since: it is not deleted, but it is shown.
 * Under a label selector the source was not asked for everything. */
static void note_left_over(struct reader *r, const struct kind *k, yyjson_val *dst) {
    if (r->w->o.label_selector || !in_scope(r->w, k, dst))
        return;
    AUTO_ARENA a = arena_new();
    const char *ns = json_str(dst, "metadata", "namespace");
    const char *name = json_str(dst, "metadata", "name");
    if (map_has(r->w->ours, object_ref_of(a, k->src->group, k->src->kind, ns, name)))
        strvec_fmt(&r->left_over, "%s %s%s%s", k->src->kind, ns ? ns : "", ns ? "/" : "", name);
}

static int look_at(struct world *w, struct arena *a, struct object *o, yyjson_val *src,
                   yyjson_val *dst, struct err *e) {
    struct err why = {0};
    int n = world_digest(w, o, src, w->o.plan_salt, o->digest, &why);
    if (n >= 0 && dst)
        n = world_compare(w, o, a, src, dst, &why);
    /* A patch of the user's that does not fit this object blocks it, not everything. */
    o->broken = n < 0;
    if (o->broken)
        o->note = arena_strdup(a, err_msg(&why));
    (void)e;
    return 0;
}

/* src NULL: only in the destination; dst NULL: only in the source. */
static int take_pair(struct reader *r, const struct kind *k, yyjson_val *src, yyjson_val *dst,
                     struct err *e) {
    if (dst)
        note_uid(r, dst);
    if (!src) {
        note_left_over(r, k, dst);
        return 0;
    }
    if (!in_scope(r->w, k, src))
        return 0;
    struct object *o = make_record(r, k, src);
    if (dst)
        note_destination(r, o, dst);
    if (o->user_rule < 0) {
        o->unread = expected_again(o);
        if (o->unread || rules_match(o, NULL))
            return 0;
    }
    return look_at(r->w, r->a, o, src, dst, e);
}

/* --- joining --- */

struct side {
    struct kube_pager *pager; /* NULL: this side does not have the kind */
    struct arena *a;
    yyjson_arr_iter it;
    yyjson_val *item; /* under the cursor; NULL: at the end */
    char key[KEY_MAX], last[KEY_MAX];
    bool done;
};

static void key_of(yyjson_val *item, char out[KEY_MAX]) {
    const char *ns = json_str(item, "metadata", "namespace");
    const char *name = json_str(item, "metadata", "name");
    snprintf(out, KEY_MAX, "%s%s%s", ns ? ns : "", ns ? "/" : "", name ? name : "");
}

/* 0 or negative; UNSORTED when the order is not the store's. */
static int side_advance(struct side *s, struct err *e) {
    s->item = NULL;
    while (!s->done && !(s->item = yyjson_arr_iter_next(&s->it))) {
        yyjson_val *items;
        if (!s->pager) {
            s->done = true;
            break;
        }
        arena_reset(s->a);
        int r = kube_pager_next(s->pager, s->a, &items, e);
        if (r < 0)
            return r;
        s->done = r == 0;
        if (r > 0)
            yyjson_arr_iter_init(items, &s->it);
    }
    if (!s->item)
        return 0;
    snprintf(s->last, KEY_MAX, "%s", s->key);
    key_of(s->item, s->key);
    return *s->last && strcmp(s->key, s->last) < 0 ? UNSORTED : 0;
}

static struct side side_open(struct kube_client *c, const struct kube_resource *r,
                             const struct kube_list_opts *lo) {
    return (struct side){.pager = r ? kube_pager_new(c, r, lo) : NULL, .a = arena_new()};
}

static void side_close(struct side *s) {
    kube_pager_free(s->pager);
    arena_free(s->a);
}

static int merge_join(struct reader *r, const struct kind *k, struct side *s, struct side *d,
                      struct err *e) {
    int n = side_advance(s, e);
    if (n >= 0)
        n = side_advance(d, e);
    while (n >= 0 && (s->item || d->item)) {
        int c = !s->item ? 1 : !d->item ? -1 : strcmp(s->key, d->key);
        n = take_pair(r, k, c <= 0 ? s->item : NULL, c >= 0 ? d->item : NULL, e);
        if (n >= 0 && c <= 0)
            n = side_advance(s, e);
        if (n >= 0 && c >= 0)
            n = side_advance(d, e);
    }
    return n;
}

/* The other way: everything of the destination in a table. */
static int table_join(struct reader *r, const struct kind *k, struct side *s, struct side *d,
                      struct err *e) {
    AUTO_ARENA hold = arena_new();
    AUTO_MAP table = map_new();
    yyjson_val *items = NULL, *it;
    size_t i, max;
    int n = 0;
    while (d->pager && (n = kube_pager_next(d->pager, hold, &items, e)) > 0) {
        yyjson_arr_foreach (items, i, max, it) {
            char key[KEY_MAX];
            key_of(it, key);
            map_put(table, arena_strdup(hold, key), it);
            note_uid(r, it);
        }
    }
    while (n >= 0 && (arena_reset(s->a), n = kube_pager_next(s->pager, s->a, &items, e)) > 0) {
        yyjson_arr_foreach (items, i, max, it) {
            char key[KEY_MAX];
            key_of(it, key);
            n = n < 0 ? n : take_pair(r, k, it, map_get(table, key), e);
        }
    }
    return n;
}

static void undo_kind(struct reader *r, size_t objects, size_t left_over) {
    r->objects.n = objects;
    while (r->left_over.n > left_over)
        xfree(r->left_over.v[--r->left_over.n]);
}

enum { RELIST_MAX = 4 };

static int read_kind(struct reader *r, const struct kind *k, struct err *e) {
    struct kube_list_opts lo = {.label_selector = r->w->o.label_selector, .cancel = r->w->o.cancel};
    struct kube_list_opts all = {.cancel = r->w->o.cancel};
    const char *const *inc = r->w->o.ns_include;
    if (k->src->namespaced && inc && inc[0] && !inc[1] && !strpbrk(inc[0], "*?"))
        lo.namespace = all.namespace = inc[0];
    bool sorted = true;
    int n = -ESTALE;
    for (unsigned i = 0; i < RELIST_MAX && (n == -ESTALE || n == UNSORTED); i++) {
        size_t objects = r->objects.n, left_over = r->left_over.n;
        struct side s = side_open(r->w->o.src, k->src, &lo);
        struct side d = side_open(r->w->o.dst, k->dst, &all);
        n = (sorted ? merge_join : table_join)(r, k, &s, &d, e);
        side_close(&s);
        side_close(&d);
        sorted = sorted && n != UNSORTED;
        if (n < 0)
            undo_kind(r, objects, left_over);
    }
    /* A kind may vanish, or not be listable, between discovery and list. */
    if (n == -ENOENT || (e && e->http == 405)) {
        log_debug("%s cannot be listed: %s", k->src->plural, err_msg(e));
        return 0;
    }
    return n < 0 ? err_ctx(e, n, "reading %s", k->src->plural) : 0;
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

static void gather(struct world *w, struct reader *r) {
    for (size_t i = 0; i < r->objects.n; i++) {
        struct object *o = r->objects.v[i];
        object_list_add(&w->objects, o);
        map_put(w->by_ref, object_ref(w->a, o), o);
        if (o->uid_src)
            map_put(w->by_uid, o->uid_src, o);
    }
    for (size_t i = 0; i < r->uids_dst.n; i++)
        map_put(w->uids_dst, arena_strdup(w->a, r->uids_dst.v[i]), w);
    for (size_t i = 0; i < r->secrets.n; i++)
        map_put(w->sa_secrets, arena_strdup(w->a, r->secrets.v[i]), w);
    for (size_t i = 0; i < r->left_over.n; i++)
        strvec_add(&w->left_over, r->left_over.v[i]);
    strvec_done(&r->left_over);
    xfree(r->objects.v);
    strvec_done(&r->uids_dst);
    strvec_done(&r->secrets);
}

/* Body of o in the source or the destination, in a. */
typedef int (*fetch_fn)(void *ctx, struct arena *a, const struct object *o, bool destination,
                        yyjson_val **ret, struct err *e);

/* Children whose owner is gone go over like anything else, so their bodies are looked at after all,
 * one by one: there are hardly any. One that is gone by now is left as it is; whoever writes it
 * finds that out. */
static int read_orphans(struct world *w, fetch_fn fetch, void *ctx, struct err *e) {
    for (size_t i = 0; i < w->objects.n; i++) {
        struct object *o = w->objects.v[i];
        if (!o->unread || rules_match(o, w))
            continue;
        AUTO_ARENA a = arena_new();
        yyjson_val *src, *dst = NULL;
        int n = fetch(ctx, a, o, false, &src, e);
        if (n == -ENOENT)
            continue;
        if (n >= 0 && o->uid_dst)
            n = fetch(ctx, a, o, true, &dst, e);
        if (n >= 0 || n == -ENOENT)
            n = look_at(w, w->a, o, src, dst, e);
        if (n < 0)
            return n;
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
    for (size_t i = 0; i < READERS; i++) {
        w->reader_arena[i] = arena_new();
        rd.reader[i] = (struct reader){.w = w, .a = w->reader_arena[i]};
    }
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
    if (n < 0)
        return n;
    warn_missing_namespaces(w);
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
static int take_rank(struct offline *f, int rank, struct err *e) {
    AUTO_ARENA a = arena_new();
    int n = 0;
    for (size_t i = 0; n >= 0 && i < f->src->n; i++) {
        const struct world_item *x = &f->src->items[i];
        if (kind_rank(x->resource) == rank)
            n = take_pair(f->r, kind_for(f->r->w, x->resource), x->body,
                          map_get(f->at_dst, item_ref(a, x)), e);
    }
    for (size_t i = 0; n >= 0 && i < f->dst->n; i++) {
        const struct world_item *x = &f->dst->items[i];
        const struct kind *k = kind_for(f->r->w, x->resource);
        if (k && kind_rank(k->src) == rank && !map_has(f->at_src, item_ref(a, x)))
            n = take_pair(f->r, k, NULL, x->body, e);
    }
    return n;
}

static void map_items(struct arena *a, struct map *m, const struct world_side *s) {
    for (size_t i = 0; i < s->n; i++)
        map_put(m, item_ref(a, &s->items[i]), s->items[i].body);
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
    w->reader_arena[0] = arena_new();
    struct reader r = {.w = w, .a = w->reader_arena[0]};
    struct offline f = {&r, src, dst, at_src, at_dst};
    w->kinds = arena_array(w->a, struct kind, src->n);
    for (size_t i = 0; i < src->n; i++)
        if (!kind_for(w, src->items[i].resource))
            add_kind(w, src->items[i].resource, served(dst, src->items[i].resource));
    map_items(a, at_src, src);
    map_items(a, at_dst, dst);
    int n = take_rank(&f, 0, e);
    note_volumes(w, &r);
    if (n >= 0)
        n = take_rank(&f, 1, e);
    gather(w, &r);
    return n < 0 ? n : read_orphans(w, fetch_offline, &f, e);
}
