/* Discovery documents. Aggregated: KEP-3352, apidiscovery.k8s.io; classic: APIResourceList of
 * meta/v1. */
#include <errno.h>

#include "kube/discovery_impl.h"

struct kube_discovery *discovery_new(void) {
    struct kube_discovery *d = xcalloc(1, sizeof *d);
    d->a = arena_new();
    d->by_key = map_new();
    return d;
}

void kube_discovery_free(struct kube_discovery *d) {
    if (!d)
        return;
    map_free(d->by_key);
    strvec_done(&d->failed);
    xfree(d->all);
    arena_free(d->a);
    xfree(d);
}

static const struct {
    const char *name;
    enum kube_verb verb;
} verb_names[] = {
    {"get", KUBE_GET},       {"list", KUBE_LIST},
    {"watch", KUBE_WATCH},   {"create", KUBE_CREATE},
    {"update", KUBE_UPDATE}, {"patch", KUBE_PATCH},
    {"delete", KUBE_DELETE}, {"deletecollection", KUBE_DELETECOLLECTION},
};

static unsigned verbs_of(yyjson_val *list) {
    unsigned bits = 0;
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (list, i, max, v) {
        for (size_t k = 0; k < COUNT_OF(verb_names); k++)
            if (str_eq(yyjson_get_str(v), verb_names[k].name))
                bits |= verb_names[k].verb;
    }
    return bits;
}

static const char *const *strings_of(struct arena *a, yyjson_val *list) {
    const char **out = arena_array(a, const char *, yyjson_arr_size(list) + 1);
    size_t i, max, n = 0;
    yyjson_val *v;
    yyjson_arr_foreach (list, i, max, v) {
        if (yyjson_is_str(v))
            out[n++] = arena_strdup(a, yyjson_get_str(v));
    }
    return out;
}

static struct kube_resource *find_plural(struct kube_discovery *d, const char *group,
                                         const char *version, const char *plural) {
    AUTO_ARENA tmp = arena_new();
    size_t i = (size_t)map_get(d->by_key, arena_printf(tmp, "%s/%s/%s", group, version, plural));
    return i ? &d->all[i - 1] : NULL;
}

/* Strings of r are copied. A second one of the same name is dropped. */
static void add(struct kube_discovery *d, const struct kube_resource *r) {
    if (str_empty(r->kind) || str_empty(r->plural) ||
        find_plural(d, r->group, r->version, r->plural))
        return;
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->all = xrealloc(d->all, d->cap * sizeof *d->all);
    }
    struct kube_resource *n = &d->all[d->n++];
    *n = *r;
    n->group = arena_strdup(d->a, r->group);
    n->version = arena_strdup(d->a, r->version);
    n->kind = arena_strdup(d->a, r->kind);
    n->plural = arena_strdup(d->a, r->plural);
    n->singular = arena_strdup(d->a, r->singular ? r->singular : "");
    map_put(d->by_key, arena_printf(d->a, "%s/%s/%s", n->group, n->version, n->plural),
            (void *)(uintptr_t)d->n);
}

static void fail(struct kube_discovery *d, const char *group, const char *version) {
    strvec_fmt(&d->failed, "%s%s%s", group, *group ? "/" : "", version);
}

static int no_document(const char *what, struct err *e) {
    return err_set(e, -EBADMSG, "discovery: %s", what);
}

/* --- aggregated --- */

static void add_resource(struct kube_discovery *d, const char *group, const char *version,
                         yyjson_val *v) {
    struct kube_resource r = {.group = group,
                              .version = version,
                              .kind = json_str(v, "responseKind", "kind"),
                              .plural = json_str(v, "resource"),
                              .singular = json_str(v, "singularResource"),
                              .namespaced = str_eq(json_str(v, "scope"), "Namespaced"),
                              .verbs = verbs_of(json_get(v, "verbs")),
                              .short_names = strings_of(d->a, json_get(v, "shortNames"))};
    size_t i, max;
    yyjson_val *sub;
    yyjson_arr_foreach (json_get(v, "subresources"), i, max, sub) {
        const char *name = json_str(sub, "subresource");
        r.has_status = r.has_status || str_eq(name, "status");
        r.has_scale = r.has_scale || str_eq(name, "scale");
    }
    add(d, &r);
}

static int add_version(struct kube_discovery *d, const char *group, yyjson_val *v, struct err *e) {
    const char *version = json_str(v, "version");
    if (!version)
        return no_document("a version of a group has no name", e);
    if (str_eq(json_str(v, "freshness"), "Stale")) {
        fail(d, group, version);
        return 0;
    }
    size_t i, max;
    yyjson_val *res;
    yyjson_arr_foreach (json_get(v, "resources"), i, max, res) {
        add_resource(d, group, version, res);
    }
    return 0;
}

int discovery_add_aggregated(struct kube_discovery *d, yyjson_val *root, struct err *e) {
    yyjson_val *items = json_get(root, "items"), *g, *v;
    size_t i, k, max, most;
    if (items && !yyjson_is_arr(items) && !yyjson_is_null(items))
        return no_document("items is no list", e);
    yyjson_arr_foreach (items, i, max, g) {
        const char *group = json_str(g, "metadata", "name");
        yyjson_arr_foreach (json_get(g, "versions"), k, most, v) {
            int r = add_version(d, group ? group : "", v, e);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* --- classic --- */

static void add_sub(struct kube_discovery *d, const char *group, const char *version,
                    const char *name) {
    const char *slash = strchr(name, '/');
    AUTO_ARENA tmp = arena_new();
    struct kube_resource *r =
        find_plural(d, group, version, arena_strndup(tmp, name, (size_t)(slash - name)));
    if (r && str_eq(slash + 1, "status"))
        r->has_status = true;
    if (r && str_eq(slash + 1, "scale"))
        r->has_scale = true;
}

static void add_classic(struct kube_discovery *d, const char *group, const char *version,
                        yyjson_val *v) {
    add(d, &(struct kube_resource){.group = group,
                                   .version = version,
                                   .kind = json_str(v, "kind"),
                                   .plural = json_str(v, "name"),
                                   .singular = json_str(v, "singularName"),
                                   .namespaced = yyjson_get_bool(json_get(v, "namespaced")),
                                   .verbs = verbs_of(json_get(v, "verbs")),
                                   .short_names = strings_of(d->a, json_get(v, "shortNames"))});
}

int discovery_add_list(struct kube_discovery *d, const char *group, const char *version,
                       yyjson_val *root, struct err *e) {
    yyjson_val *list = json_get(root, "resources"), *v;
    if (!str_eq(json_str(root, "kind"), "APIResourceList") || !yyjson_is_arr(list))
        return no_document("this is no APIResourceList", e);
    size_t i, max;
    /* Resources first: a subresource may stand before its parent. */
    yyjson_arr_foreach (list, i, max, v) {
        const char *name = json_str(v, "name");
        if (name && !strchr(name, '/'))
            add_classic(d, group, version, v);
    }
    yyjson_arr_foreach (list, i, max, v) {
        const char *name = json_str(v, "name");
        if (name && strchr(name, '/'))
            add_sub(d, group, version, name);
    }
    return 0;
}

void discovery_finish(struct kube_discovery *d) {
    AUTO_MAP seen = map_new();
    AUTO_ARENA tmp = arena_new();
    for (size_t i = 0; i < d->n; i++) {
        struct kube_resource *r = &d->all[i];
        const char *key = arena_printf(tmp, "%s/%s", r->group, r->plural);
        r->preferred = !map_has(seen, key);
        map_put(seen, key, r);
    }
}
