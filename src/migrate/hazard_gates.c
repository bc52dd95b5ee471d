/* Looks for what stands between a write and the store: webhooks, conversion, versions, admission.
 */
#include "migrate/hazards_impl.h"

/* --- H15, H16 --- */

/* Calls fn for each webhook of the body that fails closed and is called by a Service. */
static void each_closed(struct look *l,
                        void (*fn)(struct look *l, yyjson_val *hook, const char *at)) {
    size_t i, max;
    yyjson_val *h;
    yyjson_arr_foreach (json_get(l->body, "webhooks"), i, max, h) {
        char at[32];
        snprintf(at, sizeof at, "/webhooks/%zu", i);
        /* v1: the default is Fail */
        if (json_get(h, "clientConfig", "service") &&
            !str_eq(json_str(h, "failurePolicy"), "Ignore"))
            fn(l, h, at);
    }
}

static const char *service_of(struct look *l, yyjson_val *config) {
    const char *ns = json_str(config, "service", "namespace");
    const char *name = json_str(config, "service", "name");
    return arena_printf(l->sc->out->a, "%s/%s", ns ? ns : "?", name ? name : "?");
}

static void closed(struct look *l, yyjson_val *h, const char *at) {
    const char *svc = service_of(l, json_get(h, "clientConfig"));
    const char *state = !map_has(l->src->services, svc) ? ", which A does not have"
                        : !map_has(l->src->ready, svc)  ? ", which has no ready endpoint in A"
                                                        : "";
    found(l, at, "webhook %s, failurePolicy Fail, is called at Service %s%s", json_str(h, "name"),
          svc, state);
}

void look_fails_closed(struct look *l) {
    each_closed(l, closed);
}

static void no_backend(struct look *l, yyjson_val *h, const char *at) {
    const char *svc = service_of(l, json_get(h, "clientConfig"));
    if (!map_has(l->dst->ready, svc))
        found(l, at, "webhook %s fails closed, and its Service %s has no ready endpoint",
              json_str(h, "name"), svc);
}

void look_no_backend(struct look *l) {
    each_closed(l, no_backend);
}

static bool about_pods(yyjson_val *hook) {
    size_t i, max, k, n;
    yyjson_val *r, *x;
    yyjson_arr_foreach (json_get(hook, "rules"), i, max, r) {
        yyjson_arr_foreach (json_get(r, "resources"), k, n, x) {
            const char *s = yyjson_get_str(x);
            if (str_eq(s, "pods") || str_eq(s, "*") || str_eq(s, "*/*") || str_eq(s, "pods/*"))
                return true;
        }
    }
    return false;
}

static void itself(struct look *l, yyjson_val *h, const char *at) {
    const char *ns = json_str(h, "clientConfig", "service", "namespace");
    void *seen = ns ? map_get(l->src->namespaces, ns) : NULL;
    yyjson_val *labels = seen == (void *)l->src->namespaces ? NULL : seen;
    if (!seen || !about_pods(h) || yyjson_obj_size(json_get(h, "objectSelector")) ||
        !selector_matches(json_get(h, "namespaceSelector"), labels))
        return;
    found(l, arena_printf(l->sc->a, "%s/namespaceSelector", at),
          "webhook %s must allow the pods that it runs in (namespace %s): once down, it stays down",
          json_str(h, "name"), ns);
}

void look_matches_itself(struct look *l) {
    each_closed(l, itself);
}

void look_conversion(struct look *l) {
    yyjson_val *c = json_get(l->body, "spec", "conversion");
    if (str_eq(json_str(c, "strategy"), "Webhook"))
        found(l, "/spec/conversion/strategy", "conversion by a webhook at Service %s",
              service_of(l, json_get(c, "webhook", "clientConfig")));
}

/* --- H24 --- */

void look_crd_versions(struct look *l) {
    const char *group = json_str(l->body, "spec", "group");
    const char *kind = json_str(l->body, "spec", "names", "kind");
    size_t i, max;
    yyjson_val *v;
    if (!group || !kind || !served_there(l, group, NULL, kind))
        return;
    yyjson_arr_foreach (json_get(l->body, "spec", "versions"), i, max, v) {
        char at[48];
        snprintf(at, sizeof at, "/spec/versions/%zu/name", i);
        const char *name = json_str(v, "name");
        if (yyjson_is_true(json_get(v, "served")) && name && !served_there(l, group, name, kind))
            found(l, at, "the destination has the definition and does not serve version %s", name);
    }
}

/* Only apiVersion and kind of the annotation are looked at: it holds the whole object. */
void look_last_applied(struct look *l) {
    static const char *const key = "kubectl.kubernetes.io/last-applied-configuration";
    const char *text = json_str(l->body, "metadata", "annotations", key);
    yyjson_val *v;
    if (!text)
        return;
    AUTO_ARENA a = arena_new();
    if (json_parse(a, text, strlen(text), &v, NULL) < 0)
        return;
    const char *api = json_str(v, "apiVersion"), *kind = json_str(v, "kind");
    const char *slash = api ? strchr(api, '/') : NULL;
    const char *group = slash ? arena_strndup(a, api, (size_t)(slash - api)) : "";
    if (!api || !kind || !served_there(l, group, NULL, kind) ||
        served_there(l, group, slash ? slash + 1 : api, kind))
        return;
    found(l, annotation_at(l, key),
          "was last applied as %s, which the destination does not serve: the next apply fails",
          api);
}

/* --- H25 --- */

static int level_of(const char *s) {
    return str_eq(s, "restricted") ? 2 : str_eq(s, "baseline") ? 1 : 0;
}

void look_pod_security(struct look *l) {
    static const char *const key = "pod-security.kubernetes.io/enforce";
    void *seen = map_get(l->dst->namespaces, l->name);
    const char *there = seen && seen != (void *)l->dst->namespaces ? json_str(seen, key) : NULL;
    const char *here = json_str(l->body, "metadata", "labels", key);
    if (level_of(there) > level_of(here))
        found(l, "/metadata/labels/pod-security.kubernetes.io~1enforce",
              "the destination enforces pod security level %s, A %s", there, here ? here : "none");
}

/* Looks at the destination's objects: does the source have one of the name? */
void look_only_there(struct look *l) {
    if (l->o || system_ns(l->ns))
        return;
    bool used = !*l->ns || map_has(l->src->namespaces, l->ns) ||
                world_find(l->sc->w, "", "Namespace", "", l->ns);
    if (used)
        found(l, "/metadata/name", "A has none of this name: it changes or refuses what comes");
}

/* --- H32 --- */

void look_finalizer(struct look *l) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(l->body, "metadata", "finalizers"), i, max, x) {
        const char *s = yyjson_get_str(x);
        char at[48];
        snprintf(at, sizeof at, "/metadata/finalizers/%zu", i);
        if (s && !str_starts(s, "kubernetes.io/") && !str_eq(s, "foregroundDeletion") &&
            !str_eq(s, "orphan"))
            found(l, at, "finalizer %s", s);
    }
}
