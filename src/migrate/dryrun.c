#include "migrate/dryrun.h"

#include <errno.h>

#include "kube/list.h"
#include "migrate/apply_impl.h"
#include "migrate/join.h"
#include "migrate/schema.h"
#include "migrate/world_impl.h"

#define ADM      "admissionregistration.k8s.io"
#define STAND_IN "default"

enum { SHAPES_MAX = 512, PER_SHAPE_MAX = 50, HOOKS_MAX = 256 };

struct shape {
    uint64_t id;
    bool update; /* a patch says nothing of a create: what it leaves as it is need not be valid */
    bool passed;
    size_t tried;
};

struct trial {
    struct world *w;
    struct dryrun *d;
    struct arena *a;              /* of the webhooks */
    yyjson_val *hooks[HOOKS_MAX]; /* with side effects */
    size_t n_hooks;
    struct shape shape[SHAPES_MAX];
    size_t n_shapes;
    const struct kind *kind; /* that is being read */
};

static const char *const words[] = {
    [DRYRUN_NONE] = "none", [DRYRUN_DOUBT] = "doubt", [DRYRUN_ALL] = "all"};

const char *dryrun_mode_name(enum dryrun_mode mode) {
    return words[mode];
}

int dryrun_mode_of(const char *word, enum dryrun_mode *ret, struct err *e) {
    for (unsigned i = 0; i < COUNT_OF(words); i++)
        if (str_eq(word, words[i])) {
            *ret = (enum dryrun_mode)i;
            return 0;
        }
    return err_set(e, -EUSAGE, "--dry-run: \"%s\" is none of none, doubt, all", word);
}

void dryrun_done(struct dryrun *d) {
    strvec_done(&d->hooks);
}

/* --- webhooks that must not be called --- */

/* v1 takes no others any more, but one that v1beta1 stored may say Some or Unknown. */
bool dryrun_hook_acts(yyjson_val *hook) {
    const char *effects = json_str(hook, "sideEffects");
    return !str_eq(effects, "None") && !str_eq(effects, "NoneOnDryRun");
}

static int note_hooks(void *ctx, yyjson_val *item, struct err *e) {
    struct trial *t = ctx;
    size_t i, max, n;
    yyjson_val *hook, *kept;
    yyjson_arr_foreach (json_get(item, "webhooks"), i, max, hook) {
        if (!dryrun_hook_acts(hook))
            continue;
        const char *text = json_write(t->a, hook, &n);
        if (t->n_hooks == HOOKS_MAX)
            return err_set(e, -E2BIG, "more than %d webhooks with side effects", HOOKS_MAX);
        if (json_parse(t->a, text, n, &kept, e) >= 0)
            t->hooks[t->n_hooks++] = kept;
    }
    return 0;
}

static int read_hooks(struct trial *t, struct err *e) {
    static const char *const kinds[] = {"ValidatingWebhookConfiguration",
                                        "MutatingWebhookConfiguration"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const struct kube_resource *r =
            kube_discovery_find(world_discovery(t->w, true), ADM, NULL, kinds[i]);
        struct kube_list_fn fn = {.item = note_hooks, .ctx = t};
        struct kube_list_opts lo = {.cancel = t->w->o.cancel};
        int n = r ? kube_list(t->w->o.dst, t->a, r, &lo, &fn, NULL, e) : 0;
        if (n < 0)
            return err_ctx(e, n, "looking for webhooks that a dry run would call");
    }
    return 0;
}

/* Selectors are not looked at: who might be called counts as called. */
static bool is_hooked(struct trial *t, const struct object *o) {
    for (size_t i = 0; i < t->n_hooks; i++) {
        if (!hook_wants(t->hooks[i], o, o->verdict == V_UPDATE ? "UPDATE" : "CREATE"))
            continue;
        const char *name = json_str(t->hooks[i], "name");
        if (name && !strvec_has(&t->d->hooks, name))
            strvec_add(&t->d->hooks, name);
        return true;
    }
    return false;
}

/* --- one object --- */

static bool is_candidate(const struct object *o) {
    /* What is made anew would be refused as long as it is there. */
    return o->kind->dst && !o->recreate &&
           (o->verdict == V_CREATE || o->verdict == V_HOLD || o->verdict == V_UPDATE);
}

/* Somebody has said that what the destination does not know may go. */
static bool is_accepted(const struct world *w, const struct object *o) {
    return o->user_rule >= 0 && w->o.rules[o->user_rule].verdict;
}

static void drop_doubts(struct object *o) {
    struct concern **at = &o->concerns;
    while (*at)
        if ((*at)->kind == CONCERN_DOUBT)
            *at = (*at)->next;
        else
            at = &(*at)->next;
}

static bool has_namespace(const struct world *w, const char *ns) {
    const struct object *o = world_find(w, "", "Namespace", "", ns);
    return o && o->in_dst;
}

static int post_body(struct trial *t, struct object *o, yyjson_val *body, struct arena *a,
                     struct kube_req *req, struct err *e) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root;
    bool stand_in = *o->ns && !has_namespace(t->w, o->ns);
    const char *ns = stand_in ? STAND_IN : *o->ns ? o->ns : NULL;
    int r = world_trial(t->w, o, body, d, &root, e);
    if (r < 0)
        return r;
    if (stand_in)
        json_mut_set_str(d, json_mut_obj_at(d, root, "metadata"), "namespace", STAND_IN);
    req->method = "POST";
    req->path = kube_path(a, o->kind->dst, ns, NULL, NULL);
    req->body = json_mut_write(a, root, &req->body_len);
    return 0;
}

/* What is there cannot be tried by a create: the ports and addresses that it has itself are taken.
 */
static int patch_body(struct trial *t, struct object *o, yyjson_val *body, struct arena *a,
                      struct kube_req *req, struct err *e) {
    yyjson_val *live;
    req->method = "PATCH";
    req->content_type = "application/merge-patch+json";
    req->path = kube_path(a, o->kind->dst, *o->ns ? o->ns : NULL, o->name, NULL);
    int r = kube_get(t->w->o.dst, a, req->path, NULL, &live, e);
    if (r < 0)
        return r;
    req->body = write_trial(t->w, o, body, live, a, &req->body_len, e);
    return req->body ? 0 : e->code;
}

static int send(struct trial *t, struct object *o, yyjson_val *body, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct kube_req req = {.query = is_accepted(t->w, o)
                                        ? "dryRun=All&fieldManager=tandem"
                                        : "dryRun=All&fieldValidation=Strict&fieldManager=tandem",
                           .idempotent = true, /* nothing is stored */
                           .cancel = t->w->o.cancel};
    int r = o->verdict == V_UPDATE ? patch_body(t, o, body, a, &req, e)
                                   : post_body(t, o, body, a, &req, e);
    if (r < 0)
        return r;
    struct kube_resp resp = {0};
    t->d->sent++;
    return kube_do(t->w->o.dst, a, &req, &resp, e);
}

static void block_refused(struct trial *t, struct object *o, const struct err *e) {
    world_lock(t->w);
    o->verdict = V_BLOCK;
    o->rule = "dry-run-refused";
    o->why = object_is_secret(o) ? "the destination refuses it" : world_keep(t->w, err_msg(e));
    world_unlock(t->w);
    t->d->refused++;
}

static void note_untold(struct trial *t, const struct err *e) {
    if (!t->d->untold++) {
        world_lock(t->w);
        t->d->untold_why = world_keep(t->w, err_msg(e));
        world_unlock(t->w);
    }
}

/* Its definition is on its way there, and nobody can try before it has arrived. */
static bool is_unserved(const struct trial *t, const struct object *o) {
    const struct kube_resource *r = o->kind->dst;
    return !kube_discovery_find(t->w->ddst, r->group, r->version, r->kind);
}

/* 1 passed, 0 not, negative: stop. An object of that name in the way means that everything else
 * was fine: the store is asked last. */
static int try_object(struct trial *t, struct object *o, yyjson_val *body, struct err *e) {
    struct err why = {0};
    if (is_unserved(t, o)) {
        t->d->unserved++;
        return 0;
    }
    if (is_hooked(t, o)) {
        t->d->hooked++;
        return 0;
    }
    int r = send(t, o, body, &why);
    bool no_dry_run = strstr(why.msg, "does not support dry run") != NULL;
    if (r >= 0 || r == -EEXIST) {
        drop_doubts(o);
        t->d->passed++;
        return 1;
    }
    if (r == -EINVAL && !no_dry_run) {
        block_refused(t, o, &why);
    } else if (r == -ESTOPPED || r == -EGUARD) {
        if (e)
            *e = why;
        return r;
    } else {
        note_untold(t, &why);
    }
    return 0;
}

/* --- which objects --- */

static struct shape *shape_of(struct trial *t, const struct object *o) {
    uint64_t id = schema_shape(o);
    bool update = o->verdict == V_UPDATE;
    for (size_t i = 0; i < t->n_shapes; i++)
        if (t->shape[i].id == id && t->shape[i].update == update)
            return &t->shape[i];
    if (t->n_shapes == SHAPES_MAX)
        return NULL;
    t->shape[t->n_shapes] = (struct shape){.id = id, .update = update};
    return &t->shape[t->n_shapes++];
}

static int try_doubtful(struct trial *t, struct object *o, struct err *e) {
    struct shape *s = shape_of(t, o);
    if (s && s->passed)
        drop_doubts(o);
    if (!s || s->passed || s->tried >= PER_SHAPE_MAX)
        return 0;
    AUTO_ARENA a = arena_new();
    yyjson_val *body;
    const char *path = kube_path(a, o->kind->src, *o->ns ? o->ns : NULL, o->name, NULL);
    int r = kube_get(t->w->o.src, a, path, NULL, &body, e);
    if (r == -ENOENT)
        return 0; /* gone meanwhile */
    if (r >= 0)
        r = try_object(t, o, body, e);
    s->tried++;
    s->passed = r == 1;
    return r < 0 ? r : 0;
}

static int try_doubts(struct trial *t, struct err *e) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < world_count(t->w); i++) {
        struct object *o = world_at(t->w, i);
        if (is_candidate(o) && schema_shape(o))
            r = try_doubtful(t, o, e);
    }
    return r;
}

static int try_item(void *ctx, yyjson_val *body, struct err *e) {
    struct trial *t = ctx;
    const struct kube_resource *k = t->kind->src;
    struct object *o = world_find(t->w, k->group, k->kind, json_str(body, "metadata", "namespace"),
                                  json_str(body, "metadata", "name"));
    int r = o && is_candidate(o) ? try_object(t, o, body, e) : 0;
    return r < 0 ? r : 0;
}

static bool any_candidate(const struct world *w, const struct kind *k) {
    for (size_t i = 0; i < world_count(w); i++)
        if (world_at(w, i)->kind == k && is_candidate(world_at(w, i)))
            return true;
    return false;
}

static int try_everything(struct trial *t, struct err *e) {
    const struct kind *kinds;
    size_t n = world_kinds(t->w, &kinds);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        t->kind = &kinds[i];
        struct kube_list_fn fn = {.item = try_item, .ctx = t};
        struct kube_list_opts lo = {.namespace = join_namespace(t->w, t->kind),
                                    .label_selector = t->w->o.label_selector,
                                    .cancel = t->w->o.cancel};
        if (any_candidate(t->w, t->kind))
            r = kube_list(t->w->o.src, t->a, t->kind->src, &lo, &fn, NULL, e);
    }
    return r;
}

static size_t count_doubtful(const struct world *w) {
    size_t n = 0;
    for (size_t i = 0; i < world_count(w); i++)
        n += is_candidate(world_at(w, i)) && schema_shape(world_at(w, i)) != 0;
    return n;
}

int dryrun_world(struct world *w, enum dryrun_mode mode, struct dryrun *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    *ret = (struct dryrun){.mode = mode, .doubtful = count_doubtful(w)};
    ret->left = ret->doubtful;
    if (mode == DRYRUN_NONE || (mode == DRYRUN_DOUBT && !ret->doubtful))
        return 0;
    struct trial *t = arena_new_of(a, struct trial);
    *t = (struct trial){.w = w, .d = ret, .a = a};
    int r = read_hooks(t, e);
    if (r >= 0)
        r = mode == DRYRUN_ALL ? try_everything(t, e) : try_doubts(t, e);
    ret->left = count_doubtful(w);
    return r < 0 ? r : 0;
}
