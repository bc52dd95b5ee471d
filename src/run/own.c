#include "run/own.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "migrate/keep.h"

#define NAMESPACES "/api/v1/namespaces"
#define BY         "app.kubernetes.io/managed-by"
#define ENV_LABEL  "tandem.dev/environment"
#define OWN_TYPE   "tandem.dev/record"

/* The API's own bounds (events.k8s.io/v1 validation): a note of 1 KiB, words of 128 bytes. */
enum { NOTE_MAX = 1000, WORD_MAX = 128 };

static const struct {
    const char *kind, *path;
} kinds[] = {
    [OWN_CONFIGMAP] = {"ConfigMap", NAMESPACES "/" KEEP_NAMESPACE "/configmaps"},
    [OWN_SECRET] = {"Secret", NAMESPACES "/" KEEP_NAMESPACE "/secrets"},
};

static int ask(const struct own *o, struct arena *a, const struct kube_req *what, yyjson_val **ret,
               struct err *e) {
    uint64_t now = clock_now_ms(), left = now < o->until_ms ? o->until_ms - now : 0;
    struct kube_req req = *what;
    struct kube_resp resp = {0};
    if (!left)
        return err_set(e, -ETIMEDOUT, "%s: no time is left for it", kube_client_name(o->c));
    req.timeout_ms = (uint32_t)MIN(left, o->each_ms ? o->each_ms : UINT32_MAX - 1);
    req.no_retry = true;
    int r = kube_do(o->c, a, &req, &resp, e);
    return r < 0 || !ret ? r : json_parse(a, resp.body, resp.body_len, ret, e);
}

static int send(const struct own *o, struct arena *a, const char *method, const char *path,
                yyjson_mut_val *body, yyjson_val **ret, struct err *e) {
    size_t n;
    const char *text = json_mut_write(a, body, &n);
    struct kube_req req = {.method = method,
                           .path = path,
                           .query = "fieldManager=tandem",
                           .body = text,
                           .body_len = n,
                           .content_type =
                               str_eq(method, "PATCH") ? "application/json-patch+json" : NULL};
    return ask(o, a, &req, ret, e);
}

static int make_namespace(const struct own *o, struct arena *a, struct err *e) {
    struct kube_req req = {.method = "POST",
                           .path = NAMESPACES,
                           .query = "fieldManager=tandem",
                           .body = keep_namespace_body,
                           .body_len = strlen(keep_namespace_body)};
    int r = ask(o, a, &req, NULL, e);
    return r == -EEXIST ? 0 : r;
}

int own_get(const struct own *o, struct arena *a, enum own_kind kind, const char *name,
            yyjson_val **ret, struct err *e) {
    struct kube_req req = {.method = "GET",
                           .path = arena_printf(a, "%s/%s", kinds[kind].path, name)};
    return ask(o, a, &req, ret, e);
}

static yyjson_mut_val *body_of(const struct own *o, enum own_kind kind, const char *name,
                               yyjson_mut_doc *d, yyjson_mut_val *data) {
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "apiVersion", "v1");
    json_mut_set_str(d, root, "kind", kinds[kind].kind);
    yyjson_mut_val *meta = json_mut_obj_at(d, root, "metadata");
    json_mut_set_str(d, meta, "name", name);
    yyjson_mut_val *labels = json_mut_obj_at(d, meta, "labels");
    json_mut_set_str(d, labels, BY, "tandem");
    json_mut_set_str(d, labels, ENV_LABEL, o->environment);
    if (kind == OWN_SECRET)
        json_mut_set_str(d, root, "type", OWN_TYPE);
    json_mut_set(d, root, "data", data);
    return root;
}

/* POST, and once more when the namespace was missing. */
static int create(const struct own *o, struct arena *a, enum own_kind kind, yyjson_mut_val *body,
                  yyjson_val **ret, struct err *e) {
    int r = send(o, a, "POST", kinds[kind].path, body, ret, e);
    if (r != -ENOENT)
        return r;
    r = make_namespace(o, a, e);
    return r < 0 ? r : send(o, a, "POST", kinds[kind].path, body, ret, e);
}

static void add_op(yyjson_mut_doc *d, yyjson_mut_val *patch, const char *path, yyjson_mut_val *v) {
    yyjson_mut_val *op = yyjson_mut_obj(d);
    json_mut_set_str(d, op, "op", "add"); /* replaces what is there */
    json_mut_set_str(d, op, "path", path);
    json_mut_set(d, op, "value", v);
    yyjson_mut_arr_append(patch, op);
}

/* A patch and no PUT: the roles that tandem has know no other verb. The data as a whole, so that no
 * key of before stays; the version, so that what somebody wrote meanwhile is not lost. */
static yyjson_mut_val *patch_of(yyjson_mut_doc *d, yyjson_mut_val *body, yyjson_val *there) {
    yyjson_mut_val *patch = yyjson_mut_arr(d);
    add_op(d, patch, "/metadata/resourceVersion",
           yyjson_mut_strcpy(d, json_str(there, "metadata", "resourceVersion")));
    add_op(d, patch, "/metadata/labels",
           yyjson_mut_val_mut_copy(d, json_mut_get(body, "metadata", "labels")));
    add_op(d, patch, "/data", yyjson_mut_val_mut_copy(d, json_mut_get(body, "data")));
    return patch;
}

static int put_once(const struct own *o, struct arena *a, enum own_kind kind, const char *name,
                    yyjson_mut_doc *d, yyjson_mut_val *body, yyjson_val **ret, struct err *e) {
    yyjson_val *there;
    int r = own_get(o, a, kind, name, &there, e);
    if (r == -ENOENT)
        return create(o, a, kind, body, ret, e);
    return r < 0 ? r
                 : send(o, a, "PATCH", arena_printf(a, "%s/%s", kinds[kind].path, name),
                        patch_of(d, body, there), ret, e);
}

int own_put(const struct own *o, struct arena *a, enum own_kind kind, const char *name,
            yyjson_mut_doc *d, yyjson_mut_val *data, const char **ret_uid, struct err *e) {
    yyjson_mut_val *body = body_of(o, kind, name, d, data);
    yyjson_val *made;
    int r = put_once(o, a, kind, name, d, body, &made, e);
    if (r == -EAGAIN || r == -EEXIST) /* somebody came between looking and writing */
        r = put_once(o, a, kind, name, d, body, &made, e);
    if (r >= 0 && ret_uid)
        *ret_uid = json_str(made, "metadata", "uid");
    return r;
}

int own_make(const struct own *o, struct arena *a, const char *name, yyjson_mut_doc *d,
             yyjson_mut_val *data, struct err *e) {
    yyjson_mut_val *body = body_of(o, OWN_CONFIGMAP, name, d, data);
    json_mut_set_bool(d, body, "immutable", true);
    int r = create(o, a, OWN_CONFIGMAP, body, NULL, e);
    return r == -EEXIST ? 0 : r;
}

/* --- deleting --- */

static int delete_item(const struct own *o, struct arena *a, enum own_kind kind, yyjson_val *item,
                       struct err *e) {
    const char *body = kube_delete_body(a, json_str(item, "metadata", "uid"), NULL);
    struct kube_req req = {
        .method = "DELETE",
        .path = arena_printf(a, "%s/%s", kinds[kind].path, json_str(item, "metadata", "name")),
        .body = body,
        .body_len = strlen(body)};
    int r = ask(o, a, &req, NULL, e);
    return r == -ENOENT ? 0 : r;
}

/* Metadata is enough: a record has megabytes. */
static int list(const struct own *o, struct arena *a, enum own_kind kind, yyjson_val **ret,
                struct err *e) {
    struct kube_req req = {
        .method = "GET",
        .path = kinds[kind].path,
        .query = arena_printf(a,
                              "labelSelector=app.kubernetes.io%%2Fmanaged-by%%3Dtandem%%2C"
                              "tandem.dev%%2Fenvironment%%3D%s",
                              o->environment),
        .accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"};
    return ask(o, a, &req, ret, e);
}

static int prune(const struct own *o, enum own_kind kind, const char *begins,
                 bool (*keep)(void *ctx, const char *name), void *ctx, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *all, *item;
    size_t i, max;
    int r = list(o, a, kind, &all, e);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    yyjson_arr_foreach (json_get(all, "items"), i, max, item) {
        const char *name = json_str(item, "metadata", "name");
        if (r >= 0 && name && str_starts(name, begins) && !(keep && keep(ctx, name)))
            r = delete_item(o, a, kind, item, e);
    }
    return r;
}

int own_each(const struct own *o, const char *begins, bool (*keep)(void *ctx, const char *name),
             void *ctx, struct err *e) {
    return prune(o, OWN_CONFIGMAP, begins, keep, ctx, e);
}

int own_sweep(const struct own *o, struct err *e) {
    int r = prune(o, OWN_CONFIGMAP, "", NULL, NULL, e);
    return r < 0 ? r : prune(o, OWN_SECRET, "", NULL, NULL, e);
}

/* --- events --- */

/* metav1.MicroTime takes six digits, no fewer. */
static const char *micro_time(struct arena *a, int64_t wall_ms) {
    char t[CLOCK_RFC3339_MAX];
    clock_rfc3339(wall_ms, t);
    return arena_printf(a, "%.*s000Z", (int)strcspn(t, "Z"), t);
}

/* Not in the middle of a character. */
static const char *cut(struct arena *a, const char *s, size_t max) {
    size_t n = strlen(s);
    if (n <= max)
        return s;
    for (n = max; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
        ;
    return arena_strndup(a, s, n);
}

static void set_regarding(yyjson_mut_doc *d, yyjson_mut_val *root, const struct own_event *ev) {
    yyjson_mut_val *x = json_mut_obj_at(d, root, "regarding");
    json_mut_set_str(d, x, "apiVersion", "v1");
    json_mut_set_str(d, x, "kind", ev->about ? "ConfigMap" : "Namespace");
    json_mut_set_str(d, x, "name", ev->about ? ev->about : KEEP_NAMESPACE);
    if (ev->about)
        json_mut_set_str(d, x, "namespace", KEEP_NAMESPACE);
    if (ev->uid)
        json_mut_set_str(d, x, "uid", ev->uid);
}

int own_event(const struct own *o, struct arena *a, const struct own_event *ev, struct err *e) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    const char *ns = ev->about ? KEEP_NAMESPACE : "default";
    hash_random(random, sizeof random);
    hash_hex(random, sizeof random, hex);
    json_mut_set_str(d, root, "apiVersion", "events.k8s.io/v1");
    json_mut_set_str(d, root, "kind", "Event");
    yyjson_mut_val *meta = json_mut_obj_at(d, root, "metadata");
    json_mut_set_str(d, meta, "name", arena_printf(a, "tandem-%s.%s", o->environment, hex));
    json_mut_set_str(d, meta, "namespace", ns);
    json_mut_set_str(d, root, "eventTime", micro_time(a, clock_wall_ms()));
    json_mut_set_str(d, root, "reportingController", "tandem.dev/tandem");
    json_mut_set_str(d, root, "reportingInstance", cut(a, ev->actor, WORD_MAX));
    json_mut_set_str(d, root, "action", ev->action);
    json_mut_set_str(d, root, "reason", ev->reason);
    json_mut_set_str(d, root, "type", ev->warning ? "Warning" : "Normal");
    json_mut_set_str(d, root, "note", cut(a, ev->note, NOTE_MAX));
    set_regarding(d, root, ev);
    return send(o, a, "POST", arena_printf(a, "/apis/events.k8s.io/v1/namespaces/%s/events", ns),
                root, NULL, e);
}
