#include "migrate/keep.h"

#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "kube/discovery.h"
#include "migrate/pernamespace.h"
#include "migrate/rules.h"

enum { GONE_MS = 30000, LOOK_MS = 200 };

#define SECRETS     "/api/v1/namespaces/" KEEP_NAMESPACE "/secrets"
#define NAMESPACE   "/api/v1/namespaces/" KEEP_NAMESPACE
#define BY          "app.kubernetes.io/managed-by"
#define RUN_LABEL   "tandem.dev/run"
#define BODY_NOTE   "tandem.dev/previous"
#define REF_NOTE    "tandem.dev/of"
#define COPY_TYPE   "tandem.dev/previous"
#define WRITE_QUERY "fieldManager=tandem"

static int post(struct kube_client *c, struct arena *a, const char *path, const char *body,
                size_t n, struct err *e) {
    struct kube_req req = {
        .method = "POST", .path = path, .query = WRITE_QUERY, .body = body, .body_len = n};
    struct kube_resp resp = {0};
    int r = kube_do(c, a, &req, &resp, e);
    return r == -EEXIST ? 0 : r;
}

const char keep_namespace_body[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" KEEP_NAMESPACE
    "\",\"labels\":{\"" BY "\":\"tandem\"},\"annotations\":{\"tandem.dev/why\":"
    "\"an upgrade is under way: its state, and copies of Secrets as they were before it; removed "
    "when it is retired or taken back\"}}}";

int keep_namespace(struct kube_client *c, struct arena *a, struct err *e) {
    return post(c, a, "/api/v1/namespaces", keep_namespace_body, strlen(keep_namespace_body), e);
}

/* One name for each object of each run: a second copy would be of what the run itself wrote, unless
 * that was taken back in between. */
static const char *copy_name(struct arena *a, const char *run, const char *ref, const char *uid,
                             int64_t since) {
    char hex[SHA256_HEX];
    const char *of = arena_printf(a, "%s %s %lld", ref, uid ? uid : "", (long long)since);
    hash_sha256_hex(of, strlen(of), hex);
    return arena_printf(a, "previous-%s-%.20s", run, hex);
}

/* What the API server makes anew for the restored object. */
static void strip_identity(yyjson_mut_val *root) {
    static const char *const own[] = {
        "uid",        "resourceVersion", "creationTimestamp", "managedFields",
        "generation", "selfLink",        "deletionTimestamp", "deletionGracePeriodSeconds"};
    yyjson_mut_val *meta = json_mut_get(root, "metadata");
    for (size_t i = 0; i < COUNT_OF(own); i++)
        json_mut_del(meta, own[i]);
}

static char *copy_body(struct arena *a, const char *name, const char *run, const char *ref,
                       yyjson_val *live, size_t *ret_len) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *orig = yyjson_val_mut_copy(d, live), *copy = yyjson_mut_obj(d);
    yyjson_mut_val *data = json_mut_get(orig, "data");
    if (data)
        data = yyjson_mut_val_mut_copy(d, data);
    strip_identity(orig);
    json_mut_del(orig, "data");
    json_mut_set_str(d, copy, "apiVersion", "v1");
    json_mut_set_str(d, copy, "kind", "Secret");
    json_mut_set_str(d, copy, "type", COPY_TYPE);
    yyjson_mut_val *meta = json_mut_obj_at(d, copy, "metadata");
    json_mut_set_str(d, meta, "name", name);
    yyjson_mut_val *labels = json_mut_obj_at(d, meta, "labels");
    json_mut_set_str(d, labels, BY, "tandem");
    json_mut_set_str(d, labels, RUN_LABEL, run);
    yyjson_mut_val *notes = json_mut_obj_at(d, meta, "annotations");
    json_mut_set_str(d, notes, REF_NOTE, ref);
    json_mut_set_str(d, notes, BODY_NOTE, json_mut_write(a, orig, NULL));
    if (data)
        json_mut_set(d, copy, "data", data);
    return json_mut_write(a, copy, ret_len);
}

int keep_secret(struct kube_client *c, struct arena *a, const char *run, const char *ref,
                int64_t since, yyjson_val *live, const char **ret_name, struct err *e) {
    const char *name = copy_name(a, run, ref, json_str(live, "metadata", "uid"), since);
    size_t n;
    char *body = copy_body(a, name, run, ref, live, &n);
    struct err first = {0};
    int r = post(c, a, SECRETS, body, n, &first);
    if (r == -ENOENT) { /* the namespace */
        r = keep_namespace(c, a, e);
        if (r >= 0)
            r = post(c, a, SECRETS, body, n, e);
    } else if (r < 0 && e) {
        *e = first;
    }
    if (r < 0)
        return err_ctx(e, r, "keeping a copy of the Secret in namespace " KEEP_NAMESPACE);
    *ret_name = name;
    return 0;
}

int keep_fetch(struct kube_client *c, struct arena *a, yyjson_mut_doc *d, const char *name,
               yyjson_mut_val **ret, struct err *e) {
    yyjson_val *copy, *orig;
    int r = kube_get(c, a, arena_printf(a, SECRETS "/%s", name), NULL, &copy, e);
    if (r < 0)
        return r;
    const char *text = json_str(copy, "metadata", "annotations", BODY_NOTE);
    if (!text || json_parse(a, text, strlen(text), &orig, NULL) < 0)
        return err_set(e, -EBADMSG, "Secret " KEEP_NAMESPACE "/%s is no copy of tandem's", name);
    yyjson_mut_val *root = yyjson_val_mut_copy(d, orig);
    if (json_get(copy, "data"))
        json_mut_set(d, root, "data", yyjson_val_mut_copy(d, json_get(copy, "data")));
    *ret = root;
    return 0;
}

/* --- sweeping --- */

static int delete_at(struct kube_client *c, struct arena *a, const char *path, yyjson_val *seen,
                     struct err *e) {
    const char *body = kube_delete_body(a, json_str(seen, "metadata", "uid"), NULL);
    struct kube_req req = {.method = "DELETE",
                           .path = path,
                           .body = body,
                           .body_len = strlen(body),
                           .idempotent = true};
    struct kube_resp resp = {0};
    int r = kube_do(c, a, &req, &resp, e);
    return r == -ENOENT ? 0 : r;
}

/* What the cluster puts into every namespace. */
static bool is_clusters_own(const struct kube_resource *r, const char *name) {
    static const struct {
        const char *kind, *name;
    } own[] = {{"ConfigMap", "kube-root-ca.crt"},
               {"ConfigMap", "openshift-service-ca.crt"},
               {"ServiceAccount", "default"},
               {"ServiceAccount", "builder"},
               {"ServiceAccount", "deployer"}};
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (str_eq(own[i].kind, r->kind) && str_eq(own[i].name, name))
            return true;
    return false;
}

/* What cannot be seen counts as something. */
static bool holds_any(struct kube_client *c, struct arena *a, const struct kube_resource *r) {
    yyjson_val *list, *item;
    size_t i, max;
    int got = kube_get(c, a, kube_path(a, r, KEEP_NAMESPACE, NULL, NULL), "limit=5", &list, NULL);
    if (got < 0)
        return got != -ENOENT && got != -EOPNOTSUPP;
    yyjson_arr_foreach (json_get(list, "items"), i, max, item) {
        const char *maker = pernamespace_maker(item);
        bool made = maker && !str_eq(maker, "tandem"); /* a mesh's CA, a tenant's quota */
        if (!made && !is_clusters_own(r, json_str(item, "metadata", "name")))
            return true;
    }
    return false;
}

/* Never migrated, but another environment's says that it is at work here. */
static bool is_lease(const struct kube_resource *r) {
    return str_eq(r->group, "coordination.k8s.io") && str_eq(r->kind, "Lease");
}

/* Of every kind that somebody may have put there: all of it would go with the namespace. */
static bool is_empty(struct kube_client *c, struct arena *a) {
    const unsigned need = KUBE_LIST | KUBE_DELETE;
    const struct kube_resource *all;
    struct kube_discovery *d;
    if (kube_discover(c, &d, NULL) < 0)
        return false;
    const char *const *failed = kube_discovery_failed(d);
    bool empty = !(failed && *failed);
    size_t n = kube_discovery_all(d, &all);
    for (size_t i = 0; empty && i < n; i++)
        if (all[i].namespaced && all[i].preferred && (all[i].verbs & need) == need &&
            !strchr(all[i].plural, '/') && (is_lease(&all[i]) || !rules_skip_kind(&all[i])))
            empty = !holds_any(c, a, &all[i]);
    kube_discovery_free(d);
    return empty;
}

/* A namespace takes its time, and whoever looks after us shall find nothing of ours. */
static void wait_gone(struct kube_client *c) {
    uint64_t end = clock_now_ms() + GONE_MS;
    for (int r = 0; r >= 0 && clock_now_ms() < end;) {
        AUTO_ARENA a = arena_new();
        yyjson_val *ns;
        clock_sleep_ms(LOOK_MS);
        r = kube_get(c, a, NAMESPACE, NULL, &ns, NULL);
    }
}

static bool is_ours(yyjson_val *ns) {
    return str_eq(json_str(ns, "metadata", "labels", BY), "tandem");
}

static int leave(struct kube_client *c, struct arena *a, yyjson_val *ns, bool wait, struct err *e) {
    if (!is_ours(ns) || !is_empty(c, a))
        return 0;
    int r = delete_at(c, a, NAMESPACE, ns, e);
    if (r >= 0 && wait)
        wait_gone(c);
    return r;
}

int keep_leave(struct kube_client *c, bool wait, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *ns;
    int r = kube_get(c, a, NAMESPACE, NULL, &ns, e);
    return r < 0 ? r == -ENOENT ? 0 : r : leave(c, a, ns, wait, e);
}

int keep_sweep(struct kube_client *c, const char *run, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *ns, *list, *item;
    size_t i, max;
    int r = kube_get(c, a, NAMESPACE, NULL, &ns, e);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    const char *query = arena_printf(a,
                                     "labelSelector="
                                     "app.kubernetes.io%%2Fmanaged-by%%3Dtandem"
                                     "%s%s",
                                     run ? "%2Ctandem.dev%2Frun%3D" : "", run ? run : "");
    r = kube_get(c, a, SECRETS, query, &list, e);
    yyjson_arr_foreach (r < 0 ? NULL : json_get(list, "items"), i, max, item) {
        const char *name = json_str(item, "metadata", "name");
        if (r >= 0 && str_eq(json_str(item, "type"), COPY_TYPE))
            r = delete_at(c, a, arena_printf(a, SECRETS "/%s", name), item, e);
    }
    return r < 0 ? r : leave(c, a, ns, true, e);
}
