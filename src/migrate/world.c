#include "migrate/world.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/hash.h"
#include "base/queue.h"
#include "kube/list.h"
#include "migrate/hold.h"
#include "migrate/rules.h"
#include "migrate/sources.h"
#include "migrate/three.h"
#include "migrate/world_impl.h"

enum { REF_MAX = 1024, KIND_MAX = 512 };

void object_list_add(struct object_list *l, struct object *o) {
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->v = xrealloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->n++] = o;
}

/* --- what scrubbing asks --- */

static const char *storage_class(void *ctx, const char *name) {
    const struct world *w = ctx;
    for (size_t i = 0; w->o.class_from && w->o.class_from[i]; i++)
        if (str_eq(w->o.class_from[i], name))
            return w->o.class_to[i];
    return NULL;
}

static bool volume_moves(void *ctx, const char *name) {
    struct world *w = ctx;
    world_lock(w); /* it may grow while others write (renew.c) */
    bool moves = name && map_has(w->volumes, name);
    world_unlock(w);
    return moves;
}

static bool service_ip_fits(void *ctx, const char *ip) {
    const struct world *w = ctx;
    uint8_t addr[16];
    int family = ip && strchr(ip, ':') ? AF_INET6 : AF_INET;
    if (!ip || inet_pton(family, ip, addr) != 1)
        return false;
    for (size_t i = 0; i < w->n_ranges; i++) {
        const struct service_range *r = &w->ranges[i];
        unsigned bytes = r->bits / 8, rest = r->bits % 8;
        uint8_t mask = (uint8_t)(0xff00u >> rest);
        if (r->family == family && memcmp(r->addr, addr, bytes) == 0 &&
            (!rest || (r->addr[bytes] & mask) == (addr[bytes] & mask)))
            return true;
    }
    return false;
}

static int add_range(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct world *w = ctx;
    yyjson_val *cidrs = json_get(item, "spec", "cidrs"), *c;
    size_t i, max;
    yyjson_arr_foreach (cidrs, i, max, c) {
        char text[64];
        snprintf(text, sizeof text, "%s", yyjson_get_str(c) ? yyjson_get_str(c) : "");
        char *slash = strchr(text, '/');
        uint64_t bits;
        if (!slash || w->n_ranges == COUNT_OF(w->ranges) || str_u64(slash + 1, &bits) < 0)
            continue;
        *slash = 0;
        struct service_range *r = &w->ranges[w->n_ranges];
        r->family = strchr(text, ':') ? AF_INET6 : AF_INET;
        r->bits = (unsigned)bits;
        if (bits <= (r->family == AF_INET ? 32u : 128u) && inet_pton(r->family, text, r->addr) == 1)
            w->n_ranges++;
    }
    return 0;
}

/* Before 1.31 the ranges are not in the API: then no chosen address is kept. */
static void read_service_ranges(struct world *w) {
    const struct kube_resource *r =
        kube_discovery_find(w->ddst, "networking.k8s.io", NULL, "ServiceCIDR");
    struct kube_list_fn fn = {.item = add_range, .ctx = w};
    struct kube_list_opts lo = {.cancel = w->o.cancel};
    if (r && kube_list(w->o.dst, w->a, r, &lo, &fn, NULL, NULL) < 0)
        w->n_ranges = 0;
}

/* --- making --- */

/* Holding what somebody else made, or letting it go, does not make it ours. */
static bool is_writing(const char *verb) {
    return str_eq(verb, "create") || str_eq(verb, "update") || str_eq(verb, "patch");
}

/* What is there afterwards is what was there before the run, or somebody's. */
static bool is_taking_back(const char *verb) {
    return str_eq(verb, "delete") || str_eq(verb, "restore");
}

/* ref: "GROUP/KIND/NAMESPACE/NAME". */
static void note_kind(struct world *w, const char *ref) {
    const char *slash = strchr(ref, '/');
    size_t n = slash ? (size_t)(slash - ref) + 1 + strcspn(slash + 1, "/") : 0;
    char key[KIND_MAX];
    if (!n || n >= sizeof key)
        return;
    memcpy(key, ref, n);
    key[n] = 0;
    if (!map_has(w->kinds_ours, key))
        map_put(w->kinds_ours, arena_strdup(w->a, key), w);
}

/* A create whose answer nobody has seen may have made what is there now; an update without a uid
 * was never sent (previous.h). */
static void remember_uid(struct world *w, const struct journal_effect *ef) {
    bool done = ef->state == EFFECT_DONE;
    if (ef->uid) {
        uid_set_add(&w->uids_ours, uid_of(ef->uid));
        if (done && !w->o.write_back && map_has(w->in_doubt, ef->ref))
            map_put(w->in_doubt, ef->ref, NULL);
    } else if (done || str_eq(ef->verb, "create")) {
        map_put(w->in_doubt, arena_strdup(w->a, ef->ref), w);
    }
}

/* Of what a run made of it the original may be changed again, whatever its uid. */
static void remember_original(struct world *w, const struct journal_effect *ef) {
    if (!w->o.write_back || !is_writing(ef->verb) || ef->state == EFFECT_FAILED)
        return;
    uid_set_add(&w->ours, uid_of(ef->ref));
    note_kind(w, ef->ref);
    map_put(w->in_doubt, arena_strdup(w->a, ef->ref), w);
}

static int remember_ours(void *ctx, const struct journal_effect *ef) {
    struct world *w = ctx;
    char slot[2] = {w->o.dst_slot, 0};
    w->last_effect = ef->id;
    if (!ef->ref)
        return 0;
    if (!str_eq(ef->cluster, slot)) {
        remember_original(w, ef);
        return 0;
    }
    if (is_writing(ef->verb) && ef->state != EFFECT_FAILED) {
        if (str_eq(ef->verb, "create"))
            uid_set_add(&w->made, uid_of(ef->ref));
        uid_set_add(&w->ours, uid_of(ef->ref));
        note_kind(w, ef->ref);
        remember_uid(w, ef);
        if (map_has(w->taken_back, ef->ref)) /* and written again */
            map_put(w->taken_back, ef->ref, NULL);
    } else if (is_taking_back(ef->verb) && ef->state == EFFECT_DONE) {
        map_put(w->taken_back, arena_strdup(w->a, ef->ref), w);
    }
    return 0;
}

static struct world *world_make(const struct world_opts *o) {
    struct world *w = xcalloc(1, sizeof *w);
    w->o = *o;
    w->a = w->text = arena_new();
    w->uids_since = map_new();
    w->since = map_new();
    w->rule_ids = arena_array(w->a, const char *, o->n_rules + 1);
    for (size_t i = 0; i < o->n_rules; i++)
        w->rule_ids[i] = arena_printf(w->a, "user-%zu", i + 1);
    w->kinds_ours = map_new();
    w->odd_uids = map_new();
    w->sa_secrets = map_new();
    w->taken_back = map_new();
    w->made_since = map_new();
    w->in_doubt = map_new();
    w->consumers = map_new();
    w->selectors = map_new();
    w->volumes = map_new();
    w->generated = map_new();
    w->sources = map_new();
    w->env = (struct scrub_env){storage_class, volume_moves, service_ip_fits, sources_there, w};
    pthread_mutex_init(&w->lock, NULL);
    if (o->salt)
        memcpy(w->salt, o->salt, sizeof w->salt);
    else
        hash_random(w->salt, sizeof w->salt);
    return w;
}

int world_read_journal(struct world *w, struct err *e) {
    if (!w->o.journal || !w->o.run)
        return 0;
    int r =
        journal_effects_each_after(w->o.journal, w->last_effect, w->o.run, -1, remember_ours, w, e);
    uid_set_sort(&w->ours);
    uid_set_sort(&w->uids_ours);
    uid_set_sort(&w->made);
    return r;
}

static int hand_out(struct world *w, int r, struct world **ret) {
    if (r < 0)
        world_free(w);
    else
        *ret = w;
    return r < 0 ? r : 0;
}

/* Both clusters side by side. */
struct discovering {
    struct kube_client *c[2];
    struct kube_discovery **ret[2];
    int r[2];
    struct err e[2];
};

static void discover(void *ctx, size_t i) {
    struct discovering *d = ctx;
    d->r[i] = kube_discover(d->c[i], d->ret[i], &d->e[i]);
}

int world_new(const struct world_opts *o, struct world **ret, struct err *e) {
    struct world *w = world_make(o);
    w->schemas = schemas_new(o->src, o->dst);
    struct discovering d = {.c = {o->src, o->dst}, .ret = {&w->dsrc, &w->ddst}};
    workers_join(workers_start(2, discover, &d));
    int bad = d.r[0] < 0 ? 0 : 1, r = d.r[bad];
    if (r < 0 && e)
        *e = d.e[bad];
    if (r >= 0)
        r = world_read_journal(w, e);
    if (r >= 0)
        r = inventory_kinds(w, e);
    return hand_out(w, r, ret);
}

int world_offline(const struct world_opts *o, const struct world_side *src,
                  const struct world_side *dst, struct world **ret, struct err *e) {
    struct world *w = world_make(o);
    int r = world_read_journal(w, e);
    for (size_t i = 0; r >= 0 && i < dst->n; i++)
        if (str_eq(dst->items[i].resource->kind, "ServiceCIDR"))
            r = add_range(w, dst->items[i].body, e);
    if (r >= 0)
        r = inventory_offline(w, src, dst, e);
    if (r >= 0)
        classify_all(w);
    return hand_out(w, r, ret);
}

void world_free(struct world *w) {
    if (!w)
        return;
    kube_discovery_free(w->dsrc);
    kube_discovery_free(w->ddst);
    index_done(&w->by_ref);
    index_done(&w->by_uid);
    uid_set_done(&w->uids_dst);
    uid_set_done(&w->ours);
    uid_set_done(&w->uids_ours);
    map_free(w->uids_since);
    map_free(w->since);
    map_free(w->kinds_ours);
    map_free(w->odd_uids);
    map_free(w->sa_secrets);
    map_free(w->taken_back);
    map_free(w->made_since);
    uid_set_done(&w->made);
    map_free(w->in_doubt);
    map_free(w->consumers);
    map_free(w->selectors);
    map_free(w->volumes);
    map_free(w->sources);
    map_free(w->generated);
    strvec_done(&w->makers);
    strvec_done(&w->warnings);
    strvec_done(&w->left_over);
    xfree(w->objects.v);
    for (size_t i = 0; i < COUNT_OF(w->reader_arena); i++)
        arena_free(w->reader_arena[i]);
    arena_free(w->a);
    schemas_free(w->schemas);
    pthread_mutex_destroy(&w->lock);
    xfree(w);
}

void world_settle_schema(struct world *w, const struct kind *k) {
    if (w->schemas)
        schemas_settle(w->schemas, w->kinds, w->n_kinds, k);
}

int world_read(struct world *w, struct err *e) {
    read_service_ranges(w);
    int r = inventory_read(w, e);
    if (r < 0)
        return r;
    classify_all(w);
    return 0;
}

/* --- looking up --- */

const struct world_opts *world_opts(const struct world *w) {
    return &w->o;
}

size_t world_count(const struct world *w) {
    return w->objects.n;
}

struct object *world_at(const struct world *w, size_t i) {
    return w->objects.v[i];
}

size_t world_kinds(const struct world *w, const struct kind **ret) {
    *ret = w->kinds;
    return w->n_kinds;
}

const struct kind *world_kind_at(const struct world *w, size_t i) {
    return &w->kinds[i];
}

const struct kind *world_kind_of(const struct world *w, const char *group, const char *kind) {
    for (size_t i = 0; i < w->n_kinds; i++)
        if (str_eq(w->kinds[i].src->kind, kind) && str_eq(w->kinds[i].src->group, group))
            return &w->kinds[i];
    return NULL;
}

const struct kube_discovery *world_discovery(const struct world *w, bool destination) {
    return destination ? w->ddst : w->dsrc;
}

static const char *const *listed(const struct strvec *v) {
    static const char *const none[] = {NULL};
    return v->n ? (const char *const *)v->v : none;
}

const char *const *world_left_over(const struct world *w) {
    return listed(&w->left_over);
}

const char *const *world_warnings(const struct world *w) {
    return listed(&w->warnings);
}

struct object *world_find(const struct world *w, const char *group, const char *kind,
                          const char *ns, const char *name) {
    return name ? index_find_ref(&w->by_ref, group, kind, ns ? ns : "", name) : NULL;
}

struct object *world_by_uid(const struct world *w, struct uid uid) {
    return index_find_uid(&w->by_uid, uid);
}

bool world_dst_has_uid(const struct world *w, struct uid uid) {
    char text[UID_TEXT_MAX];
    return uid_given(uid) &&
           (uid_set_has(&w->uids_dst, uid) ||
            (map_len(w->uids_since) && map_has(w->uids_since, uid_text(uid, text))));
}

void world_set_uid_dst(struct world *w, struct object *o, const char *uid) {
    char key[UID_TEXT_MAX];
    o->in_dst = true;
    o->uid_dst = uid_of(uid);
    if (uid_given(o->uid_dst) && !uid_is_uuid(uid))
        map_put(w->odd_uids, arena_strdup(w->a, uid_text(o->uid_dst, key)),
                arena_strdup(w->a, uid));
}

const char *world_uid_dst(struct world *w, struct arena *a, const struct object *o) {
    char text[UID_TEXT_MAX];
    world_lock(w);
    struct uid u = o->uid_dst;
    const char *odd = uid_given(u) ? map_get(w->odd_uids, uid_text(u, text)) : NULL;
    world_unlock(w);
    return odd ? odd : uid_given(u) ? arena_strdup(a, text) : NULL;
}

bool world_wrote(const struct world *w, const char *group, const char *kind, const char *ns,
                 const char *name, const char *uid) {
    char ref[REF_MAX];
    if (!w->ours.n && !map_len(w->since))
        return false;
    int n = snprintf(ref, sizeof ref, "%s/%s/%s/%s", group, kind, ns ? ns : "", name);
    if (n < 0 || (size_t)n >= sizeof ref)
        return false;
    if (map_has(w->since, ref)) {
        const char *since = map_get(w->since, ref);
        return since && (str_empty(uid) || str_eq(uid, since));
    }
    if (!uid_set_has(&w->ours, uid_of(ref)) || map_get(w->taken_back, ref))
        return false;
    return str_empty(uid) || uid_set_has(&w->uids_ours, uid_of(uid)) || map_get(w->in_doubt, ref);
}

bool world_created(struct world *w, const struct object *o) {
    AUTO_ARENA a = arena_new();
    const char *ref = object_ref(a, o);
    world_lock(w);
    bool since = map_has(w->made_since, ref);
    world_unlock(w);
    return since || uid_set_has(&w->made, uid_of(ref));
}

bool world_wrote_kind(const struct world *w, const struct kube_resource *r) {
    char key[KIND_MAX];
    int n = snprintf(key, sizeof key, "%s/%s", r->group, r->kind);
    return n < 0 || (size_t)n >= sizeof key || map_has(w->kinds_ours, key);
}

void world_index(struct world *w) {
    uid_set_sort(&w->uids_dst);
    index_by_ref(&w->by_ref, w->objects.v, w->objects.n);
    index_by_uid(&w->by_uid, w->objects.v, w->objects.n);
}

bool world_sa_lists_secret(const struct world *w, const char *ns, const char *secret) {
    char buf[600];
    int n = snprintf(buf, sizeof buf, "%s/%s", ns, secret);
    return n > 0 && (size_t)n < sizeof buf && map_has(w->sa_secrets, buf);
}

bool world_is_consumer(const struct world *w, const struct object *o) {
    char buf[700];
    if (map_len(w->consumers) == 0)
        return false;
    int n = snprintf(buf, sizeof buf, "%s/%s/%s", o->ns, o->kind->src->kind, o->name);
    return n > 0 && (size_t)n < sizeof buf && map_has(w->consumers, buf);
}

const struct scrub_env *world_scrub_env(const struct world *w) {
    return &w->env;
}

const uint8_t *world_salt(const struct world *w) {
    return w->salt;
}

const char *world_keep(struct world *w, const char *s) {
    return arena_strdup(w->a, s);
}

void world_lock(struct world *w) {
    pthread_mutex_lock(&w->lock);
}

void world_unlock(struct world *w) {
    pthread_mutex_unlock(&w->lock);
}

/* --- bodies --- */

/* Scrubbed and patched by the user: what both digest and body start from. */
static int wished(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                  yyjson_mut_val **ret, struct err *e) {
    yyjson_mut_val *root = scrub_object(d, o->kind, body, SCRUB_SOURCE, &w->env, NULL, NULL);
    const struct user_rule *rule = o->user_rule >= 0 ? &w->o.rules[o->user_rule] : NULL;
    if (rule && rule->patch && !w->o.write_back) {
        /* The rules' tree belongs to the configuration; its text goes into this document. */
        size_t n;
        char *text = yyjson_mut_val_write(rule->patch, 0, &n);
        MUST(text);
        yyjson_doc *pd = yyjson_read_opts(text, n, YYJSON_READ_NUMBER_AS_RAW, &d->alc, NULL);
        free(text); /* alloc-ok: made by yyjson */
        int r = json_patch(d, &root, yyjson_doc_get_root(pd), e);
        if (r < 0)
            return err_ctx(e, r, "rule %d of the configuration", o->user_rule + 1);
    }
    *ret = root;
    return 0;
}

/* wish: what wished() made of body; not looked at for a Secret. */
static void digest_of(const struct world *w, const struct object *o, yyjson_val *body,
                      yyjson_mut_val *wish, const uint8_t *salt, uint8_t out[16]) {
    AUTO_ARENA a = arena_new();
    uint8_t full[SHA256_LEN];
    const char *text;
    size_t n;
    if (object_is_secret(o)) {
        const char *uid = json_str(body, "metadata", "uid");
        const char *rv = json_str(body, "metadata", "resourceVersion");
        text = arena_printf(a, "%s %s", uid ? uid : "", rv ? rv : "");
        n = strlen(text);
    } else {
        text = json_mut_write(a, wish, &n);
    }
    hash_hmac256(salt ? salt : w->salt, sizeof w->salt, text, n, full);
    memcpy(out, full, 16);
}

int world_digest(struct world *w, const struct object *o, yyjson_val *body, const uint8_t *salt,
                 uint8_t out[16], struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_val *wish = NULL;
    int r = object_is_secret(o) ? 0 : wished(w, o, body, json_doc(a), &wish, e);
    if (r >= 0)
        digest_of(w, o, body, wish, salt, out);
    return r;
}

bool world_overwrites(const struct world *w, const struct object *o) {
    return o->user_rule >= 0 && w->o.rules[o->user_rule].overwrite;
}

static void compare_with(struct world *w, struct object *o, struct arena *a, yyjson_mut_doc *d,
                         yyjson_mut_val *wish, yyjson_val *src, yyjson_val *dst) {
    yyjson_mut_val *have = scrub_object(d, o->kind, dst, SCRUB_DESTINATION, &w->env, NULL, NULL);
    /* Equal ones are nearly all: for them the journal need not be asked. */
    AUTO_ARENA tmp = arena_new();
    struct three t;
    bool ask =
        o->ours && !object_merges(o) && !world_overwrites(w, o) && !json_mut_equal(wish, have);
    bool know = ask && three_read(w, tmp, o, dst, 0, &t, NULL) > 0;
    compare_three(o, a, know ? &t : NULL, wish, have);
    compare_managers(o, a, src, dst);
    readiness_compare(o, a, src, dst);
}

int world_judge(struct world *w, struct object *o, struct arena *a, struct arena *tmp,
                yyjson_val *src, yyjson_val *dst, struct err *e) {
    yyjson_mut_doc *d = json_doc(tmp);
    yyjson_mut_val *wish;
    int r = wished(w, o, src, d, &wish, e);
    if (r < 0)
        return r;
    if (!w->o.without_digests)
        digest_of(w, o, src, wish, w->o.plan_salt, o->digest);
    if (dst)
        compare_with(w, o, a, d, wish, src, dst);
    /* The places where the schemas differ are few and most kinds have none. */
    if (schema_has_checks(o->kind->schema))
        o->concerns = schema_concerns(a, o->kind->schema, wish, object_is_secret(o));
    return 0;
}

int world_compare(struct world *w, struct object *o, struct arena *a, yyjson_val *body_src,
                  yyjson_val *body_dst, struct err *e) {
    AUTO_ARENA tmp = arena_new();
    yyjson_mut_doc *d = json_doc(tmp);
    yyjson_mut_val *src;
    int r = wished(w, o, body_src, d, &src, e);
    if (r >= 0)
        compare_with(w, o, a, d, src, body_src, body_dst);
    return r;
}

/* Is this how the destination serves r, or one of the ways? */
static bool serves(const struct world *w, const struct kube_resource *r, const char *api_version) {
    const char *slash = api_version ? strchr(api_version, '/') : NULL;
    const char *version = slash ? slash + 1 : api_version;
    return str_eq(version, r->version) ||
           (version && w->ddst && kube_discovery_find(w->ddst, r->group, version, r->kind));
}

/* In a version that the destination serves: its garbage collector looks for the owner by it. */
static void add_owner(struct world *w, yyjson_mut_doc *d, yyjson_mut_val *refs, yyjson_val *orig,
                      const struct kind *owner, const char *uid) {
    yyjson_mut_val *ref = yyjson_val_mut_copy(d, orig);
    const struct kube_resource *r = owner->dst ? owner->dst : owner->src;
    if (!serves(w, r, json_str(orig, "apiVersion"))) {
        AUTO_ARENA a = arena_new();
        json_mut_set_str(d, ref, "apiVersion", kube_api_version(a, r));
    }
    json_mut_set_str(d, ref, "uid", uid);
    yyjson_mut_arr_append(refs, ref);
}

/* Owners that are recreated get the destination's uid; the others are left out: a reference to a
 * uid that the destination does not have makes its garbage collector delete the object. One that is
 * written before its owner (object.relink) gets the reference afterwards. */
static int relink(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                  struct arena *a, yyjson_mut_val *root, struct err *e) {
    yyjson_val *refs = json_get(body, "metadata", "ownerReferences"), *ref;
    yyjson_mut_val *out = yyjson_mut_arr(d);
    size_t i, max;
    yyjson_arr_foreach (refs, i, max, ref) {
        const struct object *owner = world_by_uid(w, uid_of(json_str(ref, "uid")));
        if (!owner || !object_goes_over(owner))
            continue;
        const char *uid = world_uid_dst(w, a, owner);
        if (!uid && o->relink && owner->wave >= o->wave)
            continue; /* linked when it is there */
        if (!uid)
            return err_set(e, -ENOENT, "its owner %s %s is not in the destination",
                           owner->kind->src->kind, owner->name);
        add_owner(w, d, out, ref, owner->kind, uid);
    }
    if (yyjson_mut_arr_size(out))
        json_mut_set(d, json_mut_obj_at(d, root, "metadata"), "ownerReferences", out);
    return 0;
}

int world_body(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
               struct arena *a, yyjson_mut_val **ret, const char **ret_previous, struct err *e) {
    return world_body_digest(w, o, body, d, a, ret, ret_previous, NULL, e);
}

int world_body_digest(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                      struct arena *a, yyjson_mut_val **ret, const char **ret_previous,
                      uint8_t *ret_digest, struct err *e) {
    yyjson_mut_val *root;
    int r = wished(w, o, body, d, &root, e);
    if (r >= 0 && ret_digest)
        digest_of(w, o, body, root, NULL, ret_digest);
    if (r >= 0)
        r = relink(w, o, body, d, a, root, e);
    if (r < 0)
        return r;
    const struct hold_row *hold = o->held ? hold_row_of(o->kind->src) : NULL;
    const char *previous = NULL;
    if (hold && hold_do(d, root, hold))
        previous =
            hold_previous(a, hold, json_mut_str(root, "metadata", "annotations", HOLD_ANNOTATION));
    *ret = root;
    if (ret_previous)
        *ret_previous = previous;
    return 0;
}

int world_trial(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                yyjson_mut_val **ret, struct err *e) {
    int r = wished(w, o, body, d, ret, e);
    const struct hold_row *hold = o->held ? hold_row_of(o->kind->src) : NULL;
    if (r >= 0 && hold)
        hold_do(d, *ret, hold);
    return r;
}
