#include "migrate/sources.h"

#include <errno.h>

#include "migrate/world_impl.h"

/* Values of world.sources. */
static char is_there[1], is_gone[1];

static bool is_skipped(const struct world *w, const struct kube_resource *r, yyjson_val *body) {
    int rule = classify_user_rule(w, r, body);
    return rule >= 0 && str_eq(w->o.rules[rule].verdict, "skip");
}

static bool goes_over(const struct world *w, const struct kube_resource *r, yyjson_val *body) {
    return !is_skipped(w, r, body) && !json_get(body, "metadata", "deletionTimestamp");
}

struct wanted {
    const char *group, *kind, *ns, *name;
};

/* 1 there, 0 not; negative: not to be known. */
static int look(const struct world *w, const struct wanted *x, bool destination, struct err *e) {
    const struct kube_resource *r =
        kube_discovery_find(destination ? w->ddst : w->dsrc, x->group, NULL, x->kind);
    AUTO_ARENA a = arena_new();
    yyjson_val *body;
    if (!r)
        return 0;
    const char *path = kube_path(a, r, r->namespaced ? x->ns : NULL, x->name, NULL);
    int n = kube_get(destination ? w->o.dst : w->o.src, a, path, NULL, &body, e);
    if (n < 0)
        return n == -ENOENT ? 0 : n;
    return destination || goes_over(w, r, body);
}

static bool ask(struct world *w, const struct wanted *x) {
    struct err e = {0};
    if (!w->dsrc || !w->ddst)
        return false; /* offline: everything that there is was told */
    int n = look(w, x, true, &e);
    if (n == 0)
        n = look(w, x, false, &e);
    if (n < 0 && !w->renewing) {
        world_lock(w);
        strvec_fmt(&w->warnings, "claims keep the source %s %s%s%s, of which nothing is known: %s",
                   x->kind, x->ns, *x->ns ? "/" : "", x->name, err_msg(&e));
        world_unlock(w);
    }
    return n != 0;
}

static void *known(struct world *w, const char *ref) {
    world_lock(w);
    void *v = map_get(w->sources, ref);
    world_unlock(w);
    return v;
}

static void remember(struct world *w, const char *ref, bool there) {
    world_lock(w);
    map_put(w->sources, world_keep(w, ref), there ? is_there : is_gone);
    world_unlock(w);
}

bool sources_there(void *ctx, const char *group, const char *kind, const char *ns,
                   const char *name) {
    struct world *w = ctx;
    AUTO_ARENA a = arena_new();
    const struct wanted x = {group, kind, ns ? ns : "", name};
    const char *ref = object_ref_of(a, x.group, x.kind, x.ns, x.name);
    void *v = known(w, ref);
    if (v)
        return v == is_there;
    bool there = ask(w, &x);
    remember(w, ref, there);
    return there;
}

void sources_have(struct world *w, const struct world_item *x, bool destination) {
    AUTO_ARENA a = arena_new();
    const char *ns = json_str(x->body, "metadata", "namespace");
    const char *name = json_str(x->body, "metadata", "name");
    if (destination || goes_over(w, x->resource, x->body))
        remember(w, object_ref_of(a, x->resource->group, x->resource->kind, ns ? ns : "", name),
                 true);
}
