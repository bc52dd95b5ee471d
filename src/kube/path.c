#include "kube/discovery.h"

static void segment(struct sb *b, const char *s) {
    sb_chr(b, '/');
    sb_urlenc(b, s);
}

char *kube_path(struct arena *a, const struct kube_resource *r, const char *ns, const char *name,
                const char *sub) {
    AUTO_SB b = SB_INIT(8192);
    sb_str(&b, *r->group ? "/apis" : "/api");
    if (*r->group)
        segment(&b, r->group);
    segment(&b, r->version);
    if (r->namespaced && !str_empty(ns)) {
        sb_str(&b, "/namespaces");
        segment(&b, ns);
    }
    segment(&b, r->plural);
    if (name)
        segment(&b, name);
    if (name && sub)
        sb_fmt(&b, "/%s", sub);
    MUST(!b.full);
    return arena_strndup(a, sb_get(&b), b.len);
}

char *kube_api_version(struct arena *a, const struct kube_resource *r) {
    return arena_printf(a, "%s%s%s", r->group, *r->group ? "/" : "", r->version);
}
