#include "migrate/world.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/hash.h"
#include "kube/list.h"
#include "migrate/hold.h"
#include "migrate/rules.h"
#include "migrate/world_impl.h"

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
    const struct world *w = ctx;
    return name && map_has(w->volumes, name);
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
    struct kube_list_opts lo = {0};
    if (r && kube_list(w->o.dst, w->a, r, &lo, &fn, NULL, NULL) < 0)
        w->n_ranges = 0;
}

/* --- making --- */

/* Holding what somebody else made, or letting it go, does not make it ours. */
static bool is_writing(const char *verb) {
    return str_eq(verb, "create") || str_eq(verb, "update") || str_eq(verb, "patch");
}

static int remember_ours(void *ctx, const struct journal_effect *ef) {
    struct world *w = ctx;
    char slot[2] = {w->o.dst_slot, 0};
    if (str_eq(ef->cluster, slot) && is_writing(ef->verb) && ef->state != EFFECT_FAILED &&
        ef->ref && !map_has(w->ours, ef->ref))
        map_put(w->ours, arena_strdup(w->a, ef->ref), w);
    return 0;
}

static struct world *world_make(const struct world_opts *o) {
    struct world *w = xcalloc(1, sizeof *w);
    w->o = *o;
    w->a = arena_new();
    w->by_ref = map_new();
    w->by_uid = map_new();
    w->uids_dst = map_new();
    w->sa_secrets = map_new();
    w->ours = map_new();
    w->volumes = map_new();
    w->env = (struct scrub_env){storage_class, volume_moves, service_ip_fits, w};
    pthread_mutex_init(&w->lock, NULL);
    if (o->salt)
        memcpy(w->salt, o->salt, sizeof w->salt);
    else
        hash_random(w->salt, sizeof w->salt);
    return w;
}

static int read_journal(struct world *w, struct err *e) {
    if (!w->o.journal || !w->o.run)
        return 0;
    return journal_effects_each(w->o.journal, w->o.run, -1, remember_ours, w, e);
}

static int hand_out(struct world *w, int r, struct world **ret) {
    if (r < 0)
        world_free(w);
    else
        *ret = w;
    return r < 0 ? r : 0;
}

int world_new(const struct world_opts *o, struct world **ret, struct err *e) {
    struct world *w = world_make(o);
    int r = kube_discover(o->src, &w->dsrc, e);
    if (r >= 0)
        r = kube_discover(o->dst, &w->ddst, e);
    if (r >= 0)
        r = read_journal(w, e);
    if (r >= 0)
        r = inventory_kinds(w, e);
    return hand_out(w, r, ret);
}

int world_offline(const struct world_opts *o, const struct world_side *src,
                  const struct world_side *dst, struct world **ret, struct err *e) {
    struct world *w = world_make(o);
    int r = read_journal(w, e);
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
    map_free(w->by_ref);
    map_free(w->by_uid);
    map_free(w->uids_dst);
    map_free(w->sa_secrets);
    map_free(w->ours);
    map_free(w->volumes);
    strvec_done(&w->warnings);
    strvec_done(&w->left_over);
    xfree(w->objects.v);
    for (size_t i = 0; i < COUNT_OF(w->reader_arena); i++)
        arena_free(w->reader_arena[i]);
    arena_free(w->a);
    pthread_mutex_destroy(&w->lock);
    xfree(w);
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
    char buf[1024];
    int n = snprintf(buf, sizeof buf, "%s/%s/%s/%s", group, kind, ns ? ns : "", name);
    return n > 0 && (size_t)n < sizeof buf ? map_get(w->by_ref, buf) : NULL;
}

struct object *world_by_uid(const struct world *w, const char *uid) {
    return uid ? map_get(w->by_uid, uid) : NULL;
}

bool world_dst_has_uid(const struct world *w, const char *uid) {
    return uid && map_has(w->uids_dst, uid);
}

bool world_sa_lists_secret(const struct world *w, const char *ns, const char *secret) {
    char buf[600];
    int n = snprintf(buf, sizeof buf, "%s/%s", ns, secret);
    return n > 0 && (size_t)n < sizeof buf && map_has(w->sa_secrets, buf);
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
    if (rule && rule->patch) {
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

static const char *digest_text(struct world *w, const struct object *o, yyjson_val *body,
                               struct arena *a, size_t *ret_len, struct err *e) {
    if (object_is_secret(o)) {
        const char *uid = json_str(body, "metadata", "uid");
        const char *rv = json_str(body, "metadata", "resourceVersion");
        const char *text = arena_printf(a, "%s %s", uid ? uid : "", rv ? rv : "");
        *ret_len = strlen(text);
        return text;
    }
    yyjson_mut_val *root;
    return wished(w, o, body, json_doc(a), &root, e) < 0 ? NULL : json_mut_write(a, root, ret_len);
}

int world_digest(struct world *w, const struct object *o, yyjson_val *body, const uint8_t *salt,
                 uint8_t out[16], struct err *e) {
    AUTO_ARENA a = arena_new();
    struct err why = {0};
    size_t n;
    const char *text = digest_text(w, o, body, a, &n, &why);
    if (!text) {
        if (e)
            *e = why;
        return why.code;
    }
    uint8_t full[SHA256_LEN];
    hash_hmac256(salt ? salt : w->salt, sizeof w->salt, text, n, full);
    memcpy(out, full, 16);
    return 0;
}

int world_compare(struct world *w, struct object *o, struct arena *a, yyjson_val *body_src,
                  yyjson_val *body_dst, struct err *e) {
    AUTO_ARENA tmp = arena_new();
    yyjson_mut_doc *d = json_doc(tmp);
    yyjson_mut_val *src, *dst;
    int r = wished(w, o, body_src, d, &src, e);
    if (r < 0)
        return r;
    dst = scrub_object(d, o->kind, body_dst, SCRUB_DESTINATION, &w->env, NULL, NULL);
    compare_trees(o, a, src, dst);
    readiness_compare(o, a, body_src, body_dst);
    return 0;
}

static void add_owner(yyjson_mut_doc *d, yyjson_mut_val *refs, yyjson_val *orig, const char *uid) {
    yyjson_mut_val *ref = yyjson_val_mut_copy(d, orig);
    json_mut_set_str(d, ref, "uid", uid);
    yyjson_mut_arr_append(refs, ref);
}

static bool goes_over(const struct object *owner) {
    return owner && owner->verdict != V_SKIP && owner->verdict != V_BLOCK;
}

/* Owners that are recreated get the destination's uid; the others are left out: a reference to a
 * uid that the destination does not have makes its garbage collector delete the object. */
static int relink(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                  yyjson_mut_val *root, struct err *e) {
    yyjson_val *refs = json_get(body, "metadata", "ownerReferences"), *ref;
    yyjson_mut_val *out = yyjson_mut_arr(d);
    size_t i, max;
    yyjson_arr_foreach (refs, i, max, ref) {
        const struct object *owner = world_by_uid(w, json_str(ref, "uid"));
        if (!goes_over(owner))
            continue;
        world_lock(w);
        const char *uid = owner->uid_dst;
        world_unlock(w);
        if (!uid)
            return err_set(e, -ENOENT, "its owner %s %s is not in the destination",
                           owner->kind->src->kind, owner->name);
        add_owner(d, out, ref, uid);
    }
    if (yyjson_mut_arr_size(out))
        json_mut_set(d, json_mut_obj_at(d, root, "metadata"), "ownerReferences", out);
    (void)o;
    return 0;
}

int world_body(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
               struct arena *a, yyjson_mut_val **ret, const char **ret_previous, struct err *e) {
    yyjson_mut_val *root;
    int r = wished(w, o, body, d, &root, e);
    if (r >= 0)
        r = relink(w, o, body, d, root, e);
    if (r < 0)
        return r;
    const struct hold_row *hold = o->held ? hold_row_of(o->kind->src) : NULL;
    const char *previous = NULL;
    if (hold && hold_do(d, root, hold))
        previous = arena_printf(a, "{\"/spec/%s\":%s}", hold->field,
                                json_mut_str(root, "metadata", "annotations", HOLD_ANNOTATION));
    *ret = root;
    if (ret_previous)
        *ret_previous = previous;
    return 0;
}
