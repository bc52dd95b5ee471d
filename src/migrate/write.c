/* One object's write: the request, and every way it can end. */
#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "kube/list.h"
#include "migrate/apply_impl.h"
#include "migrate/hold.h"
#include "migrate/world_impl.h"

#define WRITE_QUERY "fieldManager=tandem"
/* Only metadata comes back: the uid is all we need. */
#define META_ONLY "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

enum { PATIENCE_MS = 15000, FIRST_PAUSE_MS = 50, LONGEST_PAUSE_MS = 1000, LOOK_MS = 10000 };

/* Refusals that end by themselves when a controller has caught up. */
static const struct {
    int http;
    const char *text; /* part of the message */
    const char *why;
} passing[] = {
    {403, "service account", "the namespace's ServiceAccount is not made yet"},
    {403, "status unknown for quota", "the quota has not been counted yet"},
    {404, "could not find the requested resource", "the definition is not served yet"},
    {404, "serviceaccounts \"default\" not found", "the controller has not made it yet"},
    {403, "not yet ready to handle request", "an admission controller is starting"},
    {500, "etcdserver: request timed out", "the store is slow"},
};

static bool passes(const struct err *e) {
    for (size_t i = 0; i < COUNT_OF(passing); i++)
        if (e->http == passing[i].http && strstr(e->msg, passing[i].text))
            return true;
    return false;
}

static bool is_update(const struct object *o) {
    return o->verdict == V_UPDATE;
}

static char *object_path(struct arena *a, const struct object *o, bool collection) {
    return kube_path(a, o->kind->dst, *o->ns ? o->ns : NULL, collection ? NULL : o->name, NULL);
}

int write_prepare(struct world *w, struct object *o, yyjson_val *body, struct item **ret,
                  struct err *e) {
    struct arena *a = arena_new();
    struct item *it = arena_new_of(a, struct item);
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root;
    it->a = a;
    it->o = o;
    int r = world_body(w, o, body, d, a, &root, &it->previous, e);
    uint8_t digest[16];
    if (r >= 0)
        r = world_digest(w, o, body, NULL, digest, e);
    if (r < 0) {
        arena_free(a);
        return r;
    }
    char *hex = arena_alloc(a, 33);
    it->body = json_mut_write(a, root, &it->body_len);
    it->path = object_path(a, o, !is_update(o));
    static const char *const slot_name[] = {"a", "b"};
    it->effect = (struct journal_effect){
        .cluster = slot_name[world_opts(w)->dst_slot == 'b'],
        .ref = object_ref(a, o),
        .verb = is_update(o) ? "update" : "create", /* held or not: what it is made from tells */
        .digest = hash_hex(digest, 16, hex),
        .previous = it->previous,
        .state = EFFECT_INTENT,
    };
    *ret = it;
    return 0;
}

void item_free(struct item *it) {
    if (it)
        arena_free(it->a);
}

static int keep_identity(struct item *it, yyjson_val *meta_of, struct err *e) {
    const char *uid = json_str(meta_of, "metadata", "uid");
    const char *rv = json_str(meta_of, "metadata", "resourceVersion");
    if (!uid)
        return err_set(e, -EBADMSG, "the answer carries no uid");
    snprintf(it->uid, sizeof it->uid, "%s", uid);
    snprintf(it->rv, sizeof it->rv, "%s", rv ? rv : "");
    return 0;
}

static int keep_answer(struct item *it, struct arena *a, const struct kube_resp *resp,
                       struct err *e) {
    yyjson_val *root;
    int r = json_parse(a, resp->body, resp->body_len, &root, e);
    return r < 0 ? r : keep_identity(it, root, e);
}

/* The object as the destination shows it; -ENOENT when it is not there. */
static int get_live(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                    yyjson_val **ret, struct err *e) {
    struct kube_req req = {
        .method = "GET", .path = object_path(a, it->o, false), .timeout_ms = LOOK_MS, .cancel = c};
    struct kube_resp resp = {0};
    it->requests++;
    int r = kube_do(world_opts(w)->dst, a, &req, &resp, e);
    return r < 0 ? r : json_parse(a, resp.body, resp.body_len, ret, e);
}

/* It was there before our create was answered: ours from an earlier attempt, or somebody's? The
 * content decides. */
static int settle_existing(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                           struct err *e) {
    yyjson_val *live, *want;
    struct object probe = *it->o;
    int r = get_live(w, it, a, c, &live, e);
    if (r >= 0)
        r = json_parse(a, it->body, it->body_len, &want, e);
    if (r < 0)
        return r;
    yyjson_mut_doc *d = json_doc(a);
    probe.changes = NULL;
    probe.n_changes = 0;
    compare_trees(&probe, a,
                  scrub_object(d, probe.kind, want, SCRUB_DESTINATION, &w->env, NULL, NULL),
                  scrub_object(d, probe.kind, live, SCRUB_DESTINATION, &w->env, NULL, NULL));
    if (probe.n_changes)
        return err_set(e, -EEXIST, "exists in the destination and differs at %s%s",
                       probe.changes->path, probe.n_changes > 1 ? " and elsewhere" : "");
    return keep_identity(it, live, e);
}

static int update_once(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                       struct err *e);

static int create_once(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                       struct err *e) {
    struct kube_req req = {.method = "POST",
                           .path = it->path,
                           .query = WRITE_QUERY,
                           .body = it->body,
                           .body_len = it->body_len,
                           .accept = META_ONLY,
                           .lane = strstr(it->path, "/services") ? "services" : NULL,
                           .cancel = c};
    struct kube_resp resp = {0};
    it->requests++;
    int r = kube_do(world_opts(w)->dst, a, &req, &resp, e);
    if (r >= 0)
        return keep_answer(it, a, &resp, e);
    /* A controller was faster (the default ServiceAccount of a namespace made just now). */
    if (r == -EEXIST && it->o->kind->merge)
        return update_once(w, it, a, c, e);
    if (r == -EEXIST)
        return settle_existing(w, it, a, c, e);
    /* A Service with a chosen port that is there already is refused for the port, not the name. */
    if (r == -EINVAL && strstr(err_msg(e), "provided port is already allocated")) {
        struct err look = {0};
        if (settle_existing(w, it, a, c, &look) >= 0)
            return 0;
    }
    if (r == -EUNKNOWNOUTCOME) {
        struct err look = {0};
        int found = settle_existing(w, it, a, c, &look);
        if (found != -ENOENT) {
            *e = found < 0 ? look : *e;
            return found;
        }
        e->retry = true;
        return -EAGAIN;
    }
    return r;
}

/* --- update: a merge patch (RFC 7386) of what differs, guarded by resourceVersion --- */

static void merge_diff(yyjson_mut_doc *d, yyjson_mut_val *patch, yyjson_mut_val *want,
                       yyjson_mut_val *have, bool only_add) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (want, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *h = yyjson_mut_obj_get(have, k);
        if (h && json_mut_equal(val, h))
            continue;
        if (yyjson_mut_is_obj(val) && yyjson_mut_is_obj(h))
            merge_diff(d, json_mut_obj_at(d, patch, k), val, h, only_add);
        else
            json_mut_set(d, patch, k, yyjson_mut_val_mut_copy(d, val));
    }
    yyjson_mut_obj_foreach (have, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        if (!only_add && !yyjson_mut_obj_get(want, k))
            json_mut_set(d, patch, k, yyjson_mut_null(d));
    }
}

/* What is written without a hold has none afterwards: a comparison does not see the annotation. */
static void drop_hold(yyjson_mut_doc *d, yyjson_mut_val *patch, yyjson_mut_val *want,
                      yyjson_val *live) {
    if (json_str(live, "metadata", "annotations", HOLD_ANNOTATION) &&
        !json_mut_str(want, "metadata", "annotations", HOLD_ANNOTATION))
        json_mut_set(d, json_mut_obj_at(d, json_mut_obj_at(d, patch, "metadata"), "annotations"),
                     HOLD_ANNOTATION, yyjson_mut_null(d));
}

static char *update_patch(struct world *w, struct item *it, struct arena *a, yyjson_val *live,
                          size_t *ret_len, struct err *e) {
    yyjson_val *want_text;
    if (json_parse(a, it->body, it->body_len, &want_text, e) < 0)
        return NULL;
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *want = yyjson_val_mut_copy(d, want_text);
    yyjson_mut_val *have =
        scrub_object(d, it->o->kind, live, SCRUB_DESTINATION, &w->env, NULL, NULL);
    yyjson_mut_val *patch = yyjson_mut_obj(d);
    bool only_add = object_merges(it->o) || (it->o->kind->merge && !it->o->ours);
    merge_diff(d, patch, want, have, only_add);
    drop_hold(d, patch, want, live);
    const char *rv = json_str(live, "metadata", "resourceVersion");
    json_mut_set_str(d, json_mut_obj_at(d, patch, "metadata"), "resourceVersion", rv ? rv : "");
    return json_mut_write(a, patch, ret_len);
}

static int update_once(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                       struct err *e) {
    yyjson_val *live;
    int r = get_live(w, it, a, c, &live, e);
    if (r < 0)
        return r;
    struct kube_req req = {.method = "PATCH",
                           .path = object_path(a, it->o, false),
                           .query = WRITE_QUERY,
                           .content_type = "application/merge-patch+json",
                           .accept = META_ONLY,
                           .idempotent = true, /* guarded by resourceVersion */
                           .cancel = c};
    req.body = update_patch(w, it, a, live, &req.body_len, e);
    if (!req.body)
        return e->code;
    struct kube_resp resp = {0};
    it->requests++;
    r = kube_do(world_opts(w)->dst, a, &req, &resp, e);
    return r < 0 ? r : keep_answer(it, a, &resp, e);
}

void write_item(struct world *w, struct item *it, struct http_cancel *cancel) {
    uint64_t start = clock_now_ms(), pause = FIRST_PAUSE_MS;
    it->sent_ns = clock_now_ns();
    for (;;) {
        AUTO_ARENA a = arena_new();
        it->err = (struct err){0};
        int r = is_update(it->o) ? update_once(w, it, a, cancel, &it->err)
                                 : create_once(w, it, a, cancel, &it->err);
        it->ok = r >= 0;
        bool again = r == -EAGAIN || passes(&it->err);
        if (it->ok || !again || clock_now_ms() - start > PATIENCE_MS)
            break;
        if (cancel && atomic_load(&cancel->stop))
            break;
        clock_sleep_ms(pause);
        pause = MIN(pause * 2, (uint64_t)LONGEST_PAUSE_MS);
    }
    it->answered_ns = clock_now_ns();
}
