/* What stands behind a webhook, an aggregated API or a converted kind has to be there before it is
 * switched on: a webhook that cannot be called blocks everything it guards, its own back end
 * included. */
#include <errno.h>

#include "base/clock.h"
#include "kube/list.h"
#include "migrate/apply_impl.h"
#include "migrate/previous.h"
#include "migrate/scrub.h"

enum { LOOK_MS = 250, TRY_AGAIN_MS = 500, TRIES_MIN = 3, TRY_MS = 10000, CANDIDATES_MAX = 6 };

/* --- endpoints --- */

/* Where a kind names the Service that answers for it; "*": every element. */
static const struct {
    const char *group, *kind, *list, *service;
} places[] = {
    {"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "/webhooks",
     "/clientConfig/service"},
    {"admissionregistration.k8s.io", "MutatingWebhookConfiguration", "/webhooks",
     "/clientConfig/service"},
    {"apiregistration.k8s.io", "APIService", NULL, "/spec/service"},
    {"apiextensions.k8s.io", "CustomResourceDefinition", NULL,
     "/spec/conversion/webhook/clientConfig/service"},
};

static bool any_ready(yyjson_val *slice) {
    size_t i, max;
    yyjson_val *ep;
    yyjson_arr_foreach (json_get(slice, "endpoints"), i, max, ep) {
        bool ready = !yyjson_is_false(json_get(ep, "conditions", "ready"));
        if (ready && yyjson_arr_size(json_get(ep, "addresses")))
            return true;
    }
    return false;
}

struct look {
    bool ready;
};

static int look_at_slice(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct look *l = ctx;
    l->ready |= any_ready(item);
    return 0;
}

/* 1 ready, 0 not (yet). */
static int service_ready(struct world *w, struct arena *a, const char *ns, const char *name,
                         struct http_cancel *c, struct err *e) {
    const struct kube_resource *r =
        kube_discovery_find(world_discovery(w, true), "discovery.k8s.io", NULL, "EndpointSlice");
    struct look l = {0};
    struct kube_list_opts lo = {.namespace = ns,
                                .label_selector =
                                    arena_printf(a, "kubernetes.io/service-name=%s", name),
                                .cancel = c};
    struct kube_list_fn fn = {.item = look_at_slice, .ctx = &l};
    if (!r)
        return 1; /* nothing to be known */
    int n = kube_list(world_opts(w)->dst, a, r, &lo, &fn, NULL, e);
    return n < 0 ? n : l.ready;
}

static int wait_service(struct world *w, yyjson_val *service, uint64_t until, struct http_cancel *c,
                        struct err *e) {
    const char *ns = json_str(service, "namespace"), *name = json_str(service, "name");
    if (!ns || !name)
        return 0;
    for (;;) {
        AUTO_ARENA a = arena_new();
        int r = service_ready(w, a, ns, name, c, e);
        if (r != 0)
            return MIN(r, 0);
        if (c && atomic_load(&c->stop))
            return err_set(e, -ESTOPPED, "stopped while waiting for Service %s/%s", ns, name);
        if (clock_now_ms() >= until)
            return err_set(e, -EHOSTUNREACH,
                           "what answers for it, Service %s/%s, has no ready endpoint in the "
                           "destination; run `tandem migrate` again when it has",
                           ns, name);
        clock_sleep_ms(LOOK_MS);
    }
}

int backend_wait(struct world *w, const struct object *o, yyjson_val *body, uint64_t until,
                 struct http_cancel *c, struct err *e) {
    int r = 0;
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        if (!object_is(o, places[i].group, places[i].kind))
            continue;
        if (!places[i].list)
            return wait_service(w, yyjson_ptr_get(body, places[i].service), until, c, e);
        size_t k, max;
        yyjson_val *hook;
        yyjson_arr_foreach (yyjson_ptr_get(body, places[i].list), k, max, hook) {
            if (r >= 0)
                r = wait_service(w, yyjson_ptr_get(hook, places[i].service), until, c, e);
        }
    }
    return r;
}

/* --- a request that it has to let through --- */

static bool lists(yyjson_val *array, const char *word) {
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (array, i, max, v) {
        const char *s = yyjson_get_str(v);
        if (str_eq(s, word) || str_eq(s, "*") || str_eq(s, "*/*"))
            return true;
    }
    return false;
}

bool hook_wants(yyjson_val *hook, const struct object *o, const char *operation) {
    size_t i, max;
    yyjson_val *rule;
    yyjson_arr_foreach (json_get(hook, "rules"), i, max, rule) {
        if (lists(json_get(rule, "operations"), operation) &&
            lists(json_get(rule, "apiGroups"), o->kind->dst->group) &&
            lists(json_get(rule, "resources"), o->kind->dst->plural))
            return true;
    }
    return false;
}

/* The copy of an object of the destination that a create could be tried with. */
static const char *copy_of(struct world *w, struct arena *a, const struct object *o, size_t *ret_n,
                           struct err *e) {
    yyjson_val *live;
    const char *path = kube_path(a, o->kind->dst, *o->ns ? o->ns : NULL, o->name, NULL);
    if (kube_get(world_opts(w)->dst, a, path, NULL, &live, e) < 0)
        return NULL;
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root =
        scrub_object(d, o->kind, live, SCRUB_DESTINATION, world_scrub_env(w), NULL, NULL);
    json_mut_set_str(d, json_mut_obj_at(d, root, "metadata"), "name", "tandem-try");
    return json_mut_write(a, root, ret_n);
}

/* -EHOSTUNREACH when the API server says that it cannot call the webhook; any other answer is one
 * that it has let through, or that has nothing to do with it. */
static int try_with(struct world *w, const struct object *o, bool create, const char *hook,
                    struct http_cancel *c, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct err why = {0};
    struct kube_req req = {
        .method = create ? "POST" : "PATCH",
        .path = kube_path(a, o->kind->dst, *o->ns ? o->ns : NULL, create ? NULL : o->name, NULL),
        .query = "dryRun=All&fieldManager=tandem",
        .body = "{}",
        .body_len = 2,
        .content_type = create ? NULL : "application/merge-patch+json",
        .no_retry = true,
        .cancel = c};
    struct kube_resp resp = {0};
    if (create)
        req.body = copy_of(w, a, o, &req.body_len, &why);
    if (!req.body || kube_do(world_opts(w)->dst, a, &req, &resp, &why) >= 0)
        return 0;
    bool dead = strstr(why.msg, "failed calling webhook") && strstr(why.msg, hook);
    return dead ? err_set(e, -EHOSTUNREACH, "%s", why.msg) : 0;
}

static int try_hook(struct world *w, yyjson_val *hook, struct http_cancel *c, struct err *e) {
    const char *name = json_str(hook, "name"), *effects = json_str(hook, "sideEffects");
    const char *ns = NULL;
    int r = 0, tried = 0;
    if (!str_eq(effects, "None") && !str_eq(effects, "NoneOnDryRun"))
        return 0; /* the API server refuses dry runs that would call it */
    for (size_t i = 0; r >= 0 && tried < CANDIDATES_MAX && i < world_count(w); i++) {
        world_lock(w); /* those of the last wave are still being written, others come (renew.c) */
        const struct object *o = world_at(w, i);
        bool there = o->in_dst;
        world_unlock(w);
        bool update = there && o->kind->dst && hook_wants(hook, o, "UPDATE");
        bool create = there && o->kind->dst && !update && hook_wants(hook, o, "CREATE");
        if ((!update && !create) || str_eq(ns, o->ns))
            continue; /* one of each namespace: its selector may want only some */
        ns = o->ns;
        tried++;
        r = try_with(w, o, create, name ? name : "", c, e);
    }
    return r;
}

static bool is_stopped(const struct http_cancel *c) {
    return c && atomic_load(&c->stop);
}

/* -ESTOPPED: nobody knows. */
static int try_all(struct world *w, yyjson_val *body, struct http_cancel *c, struct err *e) {
    uint64_t until = clock_now_ms() + TRY_MS;
    int r = 0;
    /* The API server learns of a configuration a moment after it is stored, and an endpoint of a
     * moment ago may not be reachable yet: neither the first good nor the first bad answer counts.
     */
    for (unsigned n = 0; n < TRIES_MIN || (r < 0 && clock_now_ms() < until); n++) {
        size_t i, max;
        yyjson_val *hook;
        clock_sleep_ms(TRY_AGAIN_MS);
        r = 0;
        yyjson_arr_foreach (json_get(body, "webhooks"), i, max, hook) {
            if (r >= 0)
                r = try_hook(w, hook, c, e);
        }
        if (is_stopped(c))
            return err_set(e, -ESTOPPED, "stopped before a request had passed it");
    }
    return r;
}

/* --- taking back what cannot be called --- */

/* What no request has passed yet, of this run's writes: the create of it, or the merge patch that
 * undoes the updates. */
struct doubt {
    bool created;
    yyjson_mut_val *restore;
};

static void add_doubt(struct arena *a, yyjson_mut_doc *d, const struct journal_effect *ef,
                      struct doubt *t) {
    yyjson_val *note, *restore = NULL;
    if (ef->state == EFFECT_DONE)
        *t = (struct doubt){0};
    if (ef->state == EFFECT_DONE || ef->state == EFFECT_FAILED)
        return;
    t->created |= str_eq(ef->verb, "create");
    if (ef->previous && json_parse(a, ef->previous, strlen(ef->previous), &note, NULL) >= 0)
        restore = json_get(note, "restore");
    if (restore)
        t->restore = previous_over(d, yyjson_val_mut_copy(d, restore), t->restore);
}

static struct doubt doubt_of(const struct item *it, struct arena *a, yyjson_mut_doc *d) {
    struct doubt t = {.created = str_eq(it->effect.verb, "create")};
    struct journal_effect *v;
    size_t n = 0;
    if (!t.created && it->journal)
        (void)journal_effects_of(it->journal, a, it->run, it->effect.cluster, it->effect.ref, &v,
                                 &n, NULL);
    for (size_t i = 0; i < n; i++)
        add_doubt(a, d, &v[i], &t);
    return t;
}

static void undo(struct world *w, struct item *it, struct arena *a, struct kube_req *req) {
    struct kube_resp resp = {0};
    struct err why = {0};
    req->path = kube_path(a, it->o->kind->dst, NULL, it->o->name, NULL);
    req->body_len = strlen(req->body);
    req->idempotent = true;
    it->requests++;
    it->written = kube_do(world_opts(w)->dst, a, req, &resp, &why) < 0 && why.code != -ENOENT;
    if (it->written)
        err_ctx(&it->err, it->err.code,
                "it is in the way in the destination and could not be taken back (%s)",
                err_msg(&why));
}

static void take_back(struct world *w, struct item *it, struct arena *a) {
    err_ctx(&it->err, -EHOSTUNREACH,
            "taken back, since it blocked what it guards; run `tandem migrate` again when it can "
            "be called");
    undo(w, it, a,
         &(struct kube_req){.method = "DELETE", .body = kube_delete_body(a, it->uid, NULL)});
}

/* Whatever was written to it since: as it is, it blocks. */
static void put_back(struct world *w, struct item *it, struct arena *a, yyjson_mut_doc *d,
                     yyjson_mut_val *restore) {
    err_ctx(&it->err, -EHOSTUNREACH,
            "put back as it was, since it blocked what it guards; run `tandem migrate` again when "
            "it can be called");
    json_mut_set_str(d, json_mut_obj_at(d, restore, "metadata"), "uid", it->uid);
    undo(w, it, a,
         &(struct kube_req){.method = "PATCH",
                            .query = "fieldManager=tandem",
                            .content_type = "application/merge-patch+json",
                            .body = json_mut_write(a, restore, NULL)});
}

void backend_prove(struct world *w, struct item *it, struct http_cancel *c) {
    AUTO_ARENA a = arena_new();
    yyjson_val *body;
    yyjson_mut_doc *d = json_doc(a);
    struct err e = {0};
    if (!it->ok || it->theirs || !object_is_webhook(it->o))
        return;
    struct doubt t = doubt_of(it, a, d);
    if ((!t.created && !json_mut_get(t.restore, "webhooks")) ||
        json_parse(a, it->body, it->body_len, &body, &e) < 0)
        return;
    int r = try_all(w, body, c, &e);
    if (r >= 0)
        return;
    it->ok = false;
    it->err = e;
    if (r == -ESTOPPED)
        it->written = false; /* unknown, says the journal, and the next run tries it */
    else if (t.created)
        take_back(w, it, a);
    else
        put_back(w, it, a, d, t.restore);
}
