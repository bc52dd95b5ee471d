/* Small questions to a cluster: its version, its identity, one's own rights in it. */
#include <errno.h>

#include "kube/client_impl.h"

static const char PARTIAL[] = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
                              "application/json";

int kube_get_version(struct kube_client *c, struct kube_version *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *root;
    int r = kube_get(c, a, "/version", NULL, &root, e);
    if (r < 0)
        return r;
    const char *git = json_str(root, "gitVersion"), *major = json_str(root, "major"),
               *minor = json_str(root, "minor");
    if (!git || !major || !minor)
        return err_set(e, -EBADMSG, "%s: %s does not answer like a Kubernetes API server",
                       kube_client_name(c), c->auth->server);
    /* minor may carry a "+" of the provider: "27+" */
    struct kube_version v = {.major = (int)strtol(major, NULL, 10),
                             .minor = (int)strtol(minor, NULL, 10)};
    snprintf(v.git, sizeof v.git, "%s", git);
    *ret = v;
    return 0;
}

int kube_get_identity(struct kube_client *c, struct arena *a, struct kube_identity *ret,
                      struct err *e) {
    AUTO_ARENA tmp = arena_new();
    struct kube_req req = {
        .method = "GET", .path = "/api/v1/namespaces/kube-system", .accept = PARTIAL};
    struct http_resp resp = {0};
    yyjson_val *root;
    int r = kube_fetch(c, tmp, &req, &resp, &root, e);
    if (r >= 0)
        r = kube_check(c, &req, &resp, e);
    if (r < 0)
        return r;
    const char *uid = json_str(root, "metadata", "uid");
    if (str_empty(uid))
        return err_set(e, -EBADMSG, "%s: namespace kube-system has no uid", c->name);
    ret->uid = arena_strdup(a, uid);
    ret->ca = arena_strdup(a, c->auth->ca_fingerprint);
    return 0;
}

/* resource may be "pods/exec". */
static const char *review_body(struct arena *a, const char *verb, const char *group,
                               const char *resource, const char *namespace, size_t *ret_len) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "apiVersion", "authorization.k8s.io/v1");
    json_mut_set_str(d, root, "kind", "SelfSubjectAccessReview");
    yyjson_mut_val *attr =
        json_mut_obj_at(d, json_mut_obj_at(d, root, "spec"), "resourceAttributes");
    size_t n = strcspn(resource, "/");
    json_mut_set_str(d, attr, "verb", verb);
    json_mut_set_str(d, attr, "group", group ? group : "");
    json_mut_set_str(d, attr, "resource", arena_strndup(a, resource, n));
    if (resource[n])
        json_mut_set_str(d, attr, "subresource", resource + n + 1);
    if (namespace)
        json_mut_set_str(d, attr, "namespace", namespace);
    return json_mut_write(a, root, ret_len);
}

int kube_can_i(struct kube_client *c, const char *verb, const char *group, const char *resource,
               const char *namespace, bool *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct kube_req req = {.method = "POST",
                           .path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                           .idempotent = true};
    req.body = review_body(a, verb, group, resource, namespace, &req.body_len);
    struct kube_resp resp = {0};
    int r = kube_do(c, a, &req, &resp, e);
    if (r < 0)
        return r;
    yyjson_val *root;
    r = json_parse(a, resp.body, resp.body_len, &root, e);
    if (r < 0)
        return err_ctx(e, r, "%s: SelfSubjectAccessReview", c->name);
    *ret = yyjson_get_bool(json_get(root, "status", "allowed"));
    return 0;
}
