/* What else would go with a namespace or a definition. */
#include <errno.h>

#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/rules.h"
#include "migrate/undo.h"

enum { NAMED_MAX = 3 };

struct rest {
    struct undo *u;
    struct arena *a;
    const struct kube_resource *r;
    struct sb names;
    size_t n;
    bool namespace; /* of a Namespace, not of a definition */
};

bool undo_clusters_own(struct arena *a, const struct kube_resource *r, yyjson_val *item) {
    struct kind k = {.src = r, .dst = r};
    const char *ns = json_str(item, "metadata", "namespace");
    struct object o = {.kind = &k,
                       .ns = ns ? ns : "",
                       .name = json_str(item, "metadata", "name"),
                       .user_rule = -1,
                       .facts = facts_read(r->group, r->kind, item),
                       .owners = facts_owners(a, item)};
    for (const struct owner *x = o.owners; x; x = x->next)
        if (x->controller)
            return true;
    return o.facts & (FACT_DELETING | FACT_SYSTEM_MADE) || rules_match(&o, NULL);
}

/* A probe namespace had it too (pernamespace.h). */
static bool is_generated(struct arena *a, const struct rest *rest, const char *name) {
    const char *key = arena_printf(a, "%s/%s/%s", rest->r->group, rest->r->kind, name);
    for (const char *const *k = rest->u->o->generated; rest->namespace && k && *k; k++)
        if (str_eq(*k, key))
            return true;
    return false;
}

/* Would go before. Not in a dry run it has gone: what has its name now was made since. */
static bool is_going(const struct rest *rest, yyjson_val *item) {
    AUTO_ARENA a = arena_new();
    if (!rest->u->o->dry_run)
        return false;
    const char *ns = json_str(item, "metadata", "namespace");
    const struct piece *p =
        map_get(rest->u->by_ref, object_ref_of(a, rest->r->group, rest->r->kind, ns ? ns : "",
                                               json_str(item, "metadata", "name")));
    return p && (p->taken == TAKEN_WOULD || p->taken == TAKEN_DELETED) && !undo_brings_back(p);
}

static int add(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct rest *rest = ctx;
    const char *name = json_str(item, "metadata", "name");
    if (is_going(rest, item) || undo_clusters_own(rest->a, rest->r, item) ||
        is_generated(rest->a, rest, name ? name : ""))
        return 0;
    if (rest->n++ < NAMED_MAX)
        sb_fmt(&rest->names, "%s%s %s", rest->names.len ? ", " : "", rest->r->kind,
               name ? name : "");
    return 0;
}

static int list_one(struct rest *rest, const char *ns, struct err *e) {
    struct kube_list_fn fn = {.item = add, .ctx = rest};
    struct kube_list_opts lo = {.namespace = ns, .cancel = rest->u->o->cancel};
    int r = kube_list(rest->u->o->c, rest->a, rest->r, &lo, &fn, NULL, e);
    return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int in_namespace(struct rest *rest, const char *ns, struct err *e) {
    const struct kube_resource *all;
    size_t n = kube_discovery_all(rest->u->o->discovery, &all);
    for (size_t i = 0; i < n; i++) {
        const unsigned need = KUBE_LIST | KUBE_DELETE;
        if (!all[i].namespaced || !all[i].preferred || (all[i].verbs & need) != need ||
            strchr(all[i].plural, '/') || rules_skip_kind(&all[i]))
            continue;
        rest->r = &all[i];
        int r = list_one(rest, ns, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A definition is named PLURAL.GROUP. */
static int of_definition(struct rest *rest, const char *name, struct err *e) {
    const char *dot = strchr(name, '.');
    const struct kube_resource *all;
    size_t n = kube_discovery_all(rest->u->o->discovery, &all);
    for (size_t i = 0; dot && i < n; i++) {
        if (!all[i].preferred || !str_eq(all[i].group, dot + 1) ||
            strlen(all[i].plural) != (size_t)(dot - name) ||
            strncmp(all[i].plural, name, (size_t)(dot - name)) != 0)
            continue;
        rest->r = &all[i];
        return list_one(rest, NULL, e);
    }
    return 0;
}

/* An API that does not answer now may hold objects in it, which would go as soon as it does. */
static const char *unseen(const struct undo *u, struct arena *a) {
    const char *const *f = kube_discovery_failed(u->o->discovery);
    return f && *f
               ? arena_printf(a, "what it holds of %s%s cannot be seen: that API does not answer",
                              *f, f[1] ? " and others" : "")
               : NULL;
}

int undo_rest(struct undo *u, struct arena *a, const struct piece *p, const char **ret,
              struct err *e) {
    bool ns = undo_is(p, "", "Namespace");
    struct rest rest = {.u = u, .a = a, .namespace = ns};
    *ret = ns ? unseen(u, a) : NULL;
    if (*ret)
        return 0;
    int r = ns ? in_namespace(&rest, p->name, e) : of_definition(&rest, p->name, e);
    *ret = rest.n ? arena_printf(a, "%zu objects would go with it that stay: %s%s", rest.n,
                                 sb_get(&rest.names), rest.n > NAMED_MAX ? ", …" : "")
                  : NULL;
    sb_done(&rest.names);
    return r;
}
