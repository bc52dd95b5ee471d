#include "run/survey.h"

#include "kube/list.h"

struct names {
    struct arena *a;
    struct strvec all;
    const char *marked; /* the default class */
};

static int take_host(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct names *n = ctx;
    size_t i, max;
    yyjson_val *rule;
    yyjson_arr_foreach (json_get(item, "spec", "rules"), i, max, rule) {
        const char *host = json_str(rule, "host");
        if (host && *host != '*' && !strvec_has(&n->all, host))
            strvec_add(&n->all, host);
    }
    return 0;
}

static int take_class(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct names *n = ctx;
    const char *name = json_str(item, "metadata", "name");
    const char *mark =
        json_str(item, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class");
    strvec_add(&n->all, name);
    if (str_eq(mark, "true"))
        n->marked = arena_strdup(n->a, name);
    return 0;
}

static void gather(struct session *s, int slot, const char *group, const char *kind,
                   int (*take)(void *, yyjson_val *, struct err *), struct names *out) {
    struct kube_client *c = s->cluster[slot];
    struct kube_discovery *d;
    out->a = s->a;
    if (!c || kube_discover(c, &d, NULL) < 0)
        return;
    const struct kube_resource *r = kube_discovery_find(d, group, NULL, kind);
    struct kube_list_fn fn = {.item = take, .ctx = out};
    struct kube_list_opts lo = {0};
    if (r)
        (void)kube_list(c, s->a, r, &lo, &fn, NULL, NULL);
    kube_discovery_free(d);
}

void survey_read(struct session *s, struct survey *ret) {
    struct names hosts = {0}, here = {0}, there = {0};
    *ret = (struct survey){0};
    gather(s, 0, "networking.k8s.io", "Ingress", take_host, &hosts);
    gather(s, 0, "storage.k8s.io", "StorageClass", take_class, &here);
    gather(s, 1, "storage.k8s.io", "StorageClass", take_class, &there);
    for (size_t i = 0; i < hosts.all.n && ret->n_hosts < SURVEY_MAX; i++)
        ret->hosts[ret->n_hosts++] = arena_strdup(s->a, hosts.all.v[i]);
    for (size_t i = 0; s->cluster[1] && i < here.all.n && ret->n_missing < SURVEY_MAX; i++)
        if (!strvec_has(&there.all, here.all.v[i]))
            ret->missing_classes[ret->n_missing++] = arena_strdup(s->a, here.all.v[i]);
    ret->default_class_b = there.marked;
    strvec_done(&hosts.all);
    strvec_done(&here.all);
    strvec_done(&there.all);
}
