#include <errno.h>

#include "base/log.h"
#include "kube/discovery_impl.h"

static const char AGGREGATED[] =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json";

static int get_document(struct kube_client *c, struct arena *a, const char *path, yyjson_val **ret,
                        struct err *e) {
    struct kube_req req = {.method = "GET", .path = path, .accept = AGGREGATED};
    struct http_resp resp = {0};
    yyjson_val *root;
    int r = kube_fetch(c, a, &req, &resp, &root, e);
    if (r >= 0)
        r = kube_check(c, &req, &resp, e);
    if (r >= 0)
        *ret = root;
    return r;
}

/* --- classic: a request for each group and version --- */

/* A group whose server is down must not hide the others; what concerns us all does. */
static bool only_this_group(int r, const struct err *e) {
    return r == -EBADMSG || e->http == 404 || e->http == 406 || e->http >= 500;
}

static int read_list(struct kube_client *c, struct kube_discovery *d, const char *group,
                     const char *version, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *root;
    struct err why = {0};
    const char *path = *group ? arena_printf(a, "/apis/%s/%s", group, version)
                              : arena_printf(a, "/api/%s", version);
    struct kube_req req = {.method = "GET", .path = path};
    struct http_resp resp = {0};
    int r = kube_fetch(c, a, &req, &resp, &root, &why);
    if (r >= 0)
        r = kube_check(c, &req, &resp, &why);
    if (r >= 0)
        r = discovery_add_list(d, group, version, root, &why);
    if (r < 0 && only_this_group(r, &why)) {
        log_debug("%s", err_msg(&why));
        strvec_fmt(&d->failed, "%s%s%s", group, *group ? "/" : "", version);
        return 0;
    }
    if (r < 0 && e)
        *e = why;
    return r;
}

static int read_core(struct kube_client *c, struct kube_discovery *d, yyjson_val *root,
                     struct err *e) {
    size_t i, max;
    yyjson_val *v;
    int r = 0;
    yyjson_arr_foreach (json_get(root, "versions"), i, max, v) {
        if (r >= 0 && yyjson_is_str(v))
            r = read_list(c, d, "", yyjson_get_str(v), e);
    }
    return r;
}

static int read_group(struct kube_client *c, struct kube_discovery *d, yyjson_val *g,
                      struct err *e) {
    const char *group = json_str(g, "name");
    const char *first = json_str(g, "preferredVersion", "version");
    if (!group)
        return err_set(e, -EBADMSG, "discovery: a group has no name");
    int r = first ? read_list(c, d, group, first, e) : 0;
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (json_get(g, "versions"), i, max, v) {
        const char *version = json_str(v, "version");
        if (r >= 0 && version && !str_eq(version, first))
            r = read_list(c, d, group, version, e);
    }
    return r;
}

static int read_groups(struct kube_client *c, struct kube_discovery *d, yyjson_val *root,
                       struct err *e) {
    size_t i, max;
    yyjson_val *g;
    int r = 0;
    yyjson_arr_foreach (json_get(root, "groups"), i, max, g) {
        if (r >= 0)
            r = read_group(c, d, g, e);
    }
    return r;
}

static const struct {
    const char *kind;
    int (*read)(struct kube_client *c, struct kube_discovery *d, yyjson_val *root, struct err *e);
} classic[] = {{"APIVersions", read_core}, {"APIGroupList", read_groups}};

/* --- both --- */

static int read_root(struct kube_client *c, struct kube_discovery *d, const char *path,
                     struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *root;
    int r = get_document(c, a, path, &root, e);
    if (r < 0)
        return r;
    const char *kind = json_str(root, "kind");
    if (str_eq(kind, "APIGroupDiscoveryList")) {
        r = discovery_add_aggregated(d, root, e);
        return r < 0 ? err_ctx(e, r, "%s: GET %s", c->name, path) : 0;
    }
    for (size_t i = 0; i < COUNT_OF(classic); i++)
        if (str_eq(kind, classic[i].kind))
            return classic[i].read(c, d, root, e);
    return err_set(e, -EBADMSG, "%s: GET %s: %s does not answer like a Kubernetes API server",
                   c->name, path, c->auth->server);
}

int kube_discover(struct kube_client *c, struct kube_discovery **ret, struct err *e) {
    struct kube_discovery *d = discovery_new();
    int r = read_root(c, d, "/api", e);
    if (r >= 0)
        r = read_root(c, d, "/apis", e);
    if (r < 0) {
        kube_discovery_free(d);
        return r;
    }
    discovery_finish(d);
    *ret = d;
    return 0;
}

size_t kube_discovery_all(const struct kube_discovery *d, const struct kube_resource **ret) {
    *ret = d->all;
    return d->n;
}

const char *const *kube_discovery_failed(const struct kube_discovery *d) {
    static const char *const none[] = {NULL};
    return d->failed.n ? (const char *const *)d->failed.v : none;
}

/* --- looking up --- */

const struct kube_resource *kube_discovery_find(const struct kube_discovery *d, const char *group,
                                                const char *version, const char *kind) {
    for (size_t i = 0; i < d->n; i++) {
        const struct kube_resource *r = &d->all[i];
        bool right = version ? str_eq(r->version, version) : r->preferred;
        if (right && str_eq(r->kind, kind) && str_eq(r->group, group ? group : ""))
            return r;
    }
    return NULL;
}

static bool is_short(const struct kube_resource *r, const char *word) {
    for (size_t i = 0; r->short_names && r->short_names[i]; i++)
        if (str_eq(r->short_names[i], word))
            return true;
    return false;
}

static bool is_plural(const struct kube_resource *r, const char *word) {
    return str_eq(r->plural, word);
}

static bool is_kind(const struct kube_resource *r, const char *word) {
    return strcasecmp(r->singular, word) == 0 || strcasecmp(r->kind, word) == 0;
}

/* What follows the first dot: "apps", "v1.apps", "v1" (of the core group), or NULL. */
static bool in_group(const struct kube_resource *r, const char *rest) {
    if (!rest)
        return r->preferred;
    if (str_eq(r->group, rest))
        return r->preferred;
    size_t n = strlen(r->version);
    return strncmp(rest, r->version, n) == 0 &&
           (rest[n] == '.' ? str_eq(rest + n + 1, r->group) : !rest[n] && !*r->group);
}

const struct kube_resource *kube_discovery_by_name(const struct kube_discovery *d,
                                                   const char *name) {
    /* In kubectl's order: the plural, then the short names, then kind and singular. */
    static bool (*const ways[])(const struct kube_resource *, const char *) = {is_plural, is_short,
                                                                               is_kind};
    AUTO_ARENA tmp = arena_new();
    size_t n = strcspn(name, ".");
    const char *word = arena_strndup(tmp, name, n), *rest = name[n] ? name + n + 1 : NULL;
    /* Nothing would match the singular that old API groups leave empty. */
    for (size_t k = 0; n && k < COUNT_OF(ways); k++)
        for (size_t i = 0; i < d->n; i++)
            if (ways[k](&d->all[i], word) && in_group(&d->all[i], rest))
                return &d->all[i];
    return NULL;
}
