/* One object's write: the request, and every way it can end. */
#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "kube/list.h"
#include "migrate/apply_impl.h"
#include "migrate/hold.h"
#include "migrate/leaves.h"
#include "migrate/lists.h"
#include "migrate/order.h"
#include "migrate/previous.h"
#include "migrate/three.h"
#include "migrate/world_impl.h"

#define WRITE_QUERY "fieldManager=" MANAGER_OWN
/* Only metadata comes back: the uid is all we need. */
#define META_ONLY "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

/* A webhook may take 30 s, and who looks whether the destination is silent (apply.c) waits 45. */
enum { WRITE_MS = 35000, LOOK_MS = 10000, FIRST_PAUSE_MS = 50, LONGEST_PAUSE_MS = 1000 };
enum { RESTORE_ATTEMPTS = 6 };

/* How long to try again what is refused: the first row that fits. */
static const struct passing {
    int http;
    const char *text; /* part of the message */
    uint32_t ms;
    const char *why;
} passing[] = {
    {403, "service account", 15000, "the namespace's ServiceAccount is not made yet"},
    {403, "status unknown for quota", 15000, "the quota has not been counted yet"},
    {403, "not yet ready to handle request", 15000, "an admission controller is starting"},
    {404, "could not find the requested resource", 15000, "the definition is not served yet"},
    {404, "serviceaccounts \"default\" not found", 15000, "the controller has not made it yet"},
    {409, "", 15000, "somebody else wrote at the same moment"},
    {500, "database space exceeded", 0, "the store is full until somebody makes room"},
    {500, "webhook", 0, "its back end may come with the objects of this run: the next round tells"},
    {500, "etcdserver: ", 15000, "the store is slow, or elects a leader"},
    {500, "", 2000, "a moment's weakness, or a permanent one"},
    {503, "", 60000, "the API server or its balancer starts anew"},
    {0, "", 60000, "no answer; whether it was carried out was looked at"},
};

static uint64_t patience_ms(int r, const struct err *e) {
    bool again = r == -EAGAIN || r == -EUNKNOWNOUTCOME || e->http;
    for (size_t i = 0; again && i < COUNT_OF(passing); i++)
        if (e->http == passing[i].http && strstr(e->msg, passing[i].text))
            return passing[i].ms;
    return r == -EAGAIN ? passing[COUNT_OF(passing) - 1].ms : 0;
}

static bool is_update(const struct object *o) {
    return o->verdict == V_UPDATE || (o->relink && o->in_dst);
}

static char *object_path(struct arena *a, const struct object *o, bool collection) {
    return kube_path(a, o->kind->dst, *o->ns ? o->ns : NULL, collection ? NULL : o->name, NULL);
}

static bool served_there(void *ctx, const char *api_version) {
    struct item *it = ctx;
    const struct kube_resource *r = it->o->kind->dst;
    char group[256] = "";
    const char *slash = strchr(api_version, '/');
    if (slash)
        snprintf(group, sizeof group, "%.*s", (int)(slash - api_version), api_version);
    return kube_discovery_find(it->served, group, slash ? slash + 1 : api_version, r->kind);
}

/* An apply patch creates what is not there; the resourceVersion keeps it from changing what is. */
static void prepare_apply(struct item *it, yyjson_mut_doc *d, yyjson_mut_val *root) {
    json_mut_set_str(d, json_mut_obj_at(d, root, "metadata"), "resourceVersion", MANAGER_NEW_ONLY);
    it->body = json_mut_write(it->a, root, &it->body_len);
    it->path = object_path(it->a, it->o, false);
}

/* The other way, when that cannot be: POST, and the owners by a request of their own. */
static void apply_no_more(struct item *it) {
    yyjson_val *v;
    yyjson_mut_doc *d = json_doc(it->a);
    MUST(json_parse(it->a, it->body, it->body_len, &v, NULL) >= 0);
    yyjson_mut_val *root = yyjson_val_mut_copy(d, v);
    json_mut_del(yyjson_mut_obj_get(root, "metadata"), "resourceVersion");
    it->body = json_mut_write(it->a, root, &it->body_len);
    it->path = object_path(it->a, it->o, true);
    it->query = arena_strdup(it->a, WRITE_QUERY);
    it->managers.way = MANAGERS_RESTORE;
}

/* Under whose name it is written, see managers.h. */
static void choose_manager(struct world *w, struct item *it, yyjson_val *body, yyjson_mut_val *root,
                           yyjson_mut_doc *d) {
    const struct kube_resource *r = it->o->kind->dst;
    it->served = world_discovery(w, true);
    managers_decide(it->a,
                    &(struct managers_ask){.source = body,
                                           .sent = root,
                                           .api_version = json_mut_str(root, "apiVersion"),
                                           .held = it->previous ? hold_row_of(r)->path : NULL,
                                           .always_list = is_update(it->o),
                                           .can_patch = r->verbs & KUBE_PATCH,
                                           .served = served_there,
                                           .ctx = it},
                    &it->managers);
    /* Only what is new is applied. */
    bool named = it->managers.way == MANAGERS_CREATE ||
                 (it->managers.way == MANAGERS_APPLY && !is_update(it->o));
    AUTO_SB q = SB_INIT(0);
    sb_str(&q, "fieldManager=");
    sb_urlenc(&q, named ? it->managers.name : MANAGER_OWN);
    it->query = arena_strdup(it->a, sb_get(&q));
    it->managers.name = NULL; /* the body's */
    if (it->managers.way != MANAGERS_APPLY || is_update(it->o))
        return;
    if (managers_yaml_safe(it->body, it->body_len))
        prepare_apply(it, d, root);
    else
        apply_no_more(it);
}

int write_prepare(struct world *w, struct object *o, yyjson_val *body, struct item **ret,
                  struct err *e) {
    /* Hundreds wait for a writer: the trees of their bodies do not. */
    AUTO_ARENA tmp = arena_new();
    yyjson_mut_doc *d = json_doc(tmp);
    yyjson_mut_val *root;
    const char *previous;
    uint8_t digest[16];
    int r = world_body_digest(w, o, body, d, tmp, &root, &previous, digest, e);
    if (r < 0)
        return r;
    struct arena *a = arena_new();
    struct item *it = arena_new_of(a, struct item);
    char hex[33];
    it->a = a;
    it->o = o;
    it->previous = arena_strdup(a, previous);
    it->body = json_mut_write(tmp, root, &it->body_len);
    it->body = arena_strndup(a, it->body, it->body_len);
    it->path = object_path(a, o, !is_update(o));
    static const char *const slot_name[] = {"a", "b"};
    it->effect = (struct journal_effect){
        .cluster = slot_name[world_opts(w)->dst_slot == 'b'],
        .ref = object_ref(a, o),
        .verb = is_update(o) ? "update" : "create", /* held or not: what it is made from tells */
        .digest = arena_strdup(a, hash_hex(digest, 16, hex)),
        .leaves = leaves_text(a, world_salt(w), root),
        .previous = it->previous,
        .state = EFFECT_INTENT,
    };
    choose_manager(w, it, body, root, d);
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
    it->left_open = it->managers.list && managers_left_open(meta_of);
    it->answer = meta_of;
    it->written = true;
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

static const char *controller_uid(yyjson_val *body) {
    size_t i, max;
    yyjson_val *ref;
    yyjson_arr_foreach (json_get(body, "metadata", "ownerReferences"), i, max, ref) {
        if (yyjson_is_true(json_get(ref, "controller")))
            return json_str(ref, "uid");
    }
    return NULL;
}

/* Our create was late: its owner was there already, and the owner's controller has made it. */
static bool made_by_same_owner(const struct object *o, yyjson_val *want, yyjson_val *live) {
    const char *uid = controller_uid(want);
    return uid && str_eq(uid, controller_uid(live)) && !order_carries_data(o->kind->src);
}

static int take_theirs(struct item *it, yyjson_val *live, const char *whose, struct err *e) {
    int r = keep_identity(it, live, e);
    it->theirs = whose;
    it->left_open = false;
    return r;
}

/* An earlier create of this run that may have made just this one: 1, 0, or negative. */
static int tried_before(struct item *it, struct arena *a, yyjson_val *live, struct err *e) {
    const char *uid = json_str(live, "metadata", "uid");
    struct journal_effect *v;
    size_t n;
    int found = 0;
    if (!it->journal)
        return 0;
    int r =
        journal_effects_of(it->journal, a, it->run, it->effect.cluster, it->effect.ref, &v, &n, e);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (str_eq(v[i].verb, "delete") && v[i].state == EFFECT_DONE)
            found = 0;
        if (v[i].id != it->effect.id && v[i].state != EFFECT_FAILED &&
            str_eq(v[i].verb, "create") && (!v[i].uid || str_eq(v[i].uid, uid)))
            found = 1;
    }
    return r < 0 ? r : found;
}

/* It was there before our create was answered: ours from an earlier attempt, or somebody's? Where
 * there was one that may have made it, the content decides. */
static int settle_existing(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                           struct err *e) {
    yyjson_val *live, *want;
    struct object probe = *it->o;
    int r = get_live(w, it, a, c, &live, e);
    if (r >= 0)
        r = json_parse(a, it->body, it->body_len, &want, e);
    if (r < 0)
        return r;
    /* Written a moment ago; what came after that is tried again. It may have been changed since. */
    if (it->written && str_eq(it->uid, json_str(live, "metadata", "uid")))
        return keep_identity(it, live, e);
    if (json_get(live, "metadata", "deletionTimestamp")) {
        err_set(e, -EAGAIN,
                "is there and being deleted; run `tandem migrate` again when it is gone");
        e->http = 409;
        return -EAGAIN;
    }
    yyjson_mut_doc *d = json_doc(a);
    probe.changes = NULL;
    probe.n_changes = 0;
    compare_trees(&probe, a,
                  scrub_object(d, probe.kind, want, SCRUB_DESTINATION, &w->env, NULL, NULL),
                  scrub_object(d, probe.kind, live, SCRUB_DESTINATION, &w->env, NULL, NULL));
    if (probe.n_changes && made_by_same_owner(it->o, want, live))
        return take_theirs(it, live, "its owner's controller was faster: not ours", e);
    if (probe.n_changes)
        return err_set(e, -EEXIST, "exists in the destination and differs at %s%s",
                       probe.changes->path, probe.n_changes > 1 ? " and elsewhere" : "");
    r = it->lost ? 1 : tried_before(it, a, live, e);
    if (r == 0)
        return take_theirs(it, live, "somebody else made it just before: not ours", e);
    return r < 0 ? r : keep_identity(it, live, e);
}

static int update_once(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                       struct err *e);

/* Applying knows less than a create: a field that this version's schema does not have, two elements
 * with the same key. */
static bool cannot_apply(int r, const struct err *e) {
    return r == -EINVAL || r == -EOPNOTSUPP || strstr(err_msg(e), "failed to create typed");
}

/* r: how the create failed. 0 when the object is there as it should be. */
static int settle_refused(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                          int r, struct err *e) {
    /* A controller was faster (the default ServiceAccount of a namespace made just now). */
    if (r == -EEXIST && it->o->kind->merge) {
        struct err look = {0};
        bool ours = it->lost && settle_existing(w, it, a, c, &look) >= 0;
        return ours ? 0 : update_once(w, it, a, c, e);
    }
    if (r == -EEXIST) {
        r = settle_existing(w, it, a, c, e);
        return r == -ENOENT ? -EAGAIN : r; /* gone again */
    }
    /* A Service with a chosen port that is there already is refused for the port, not the name. */
    if (r == -EINVAL && strstr(err_msg(e), "provided port is already allocated")) {
        struct err look = {0};
        if (settle_existing(w, it, a, c, &look) >= 0)
            return 0;
    }
    if (r == -EUNKNOWNOUTCOME) {
        it->lost = true;
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

static int create_once(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                       struct err *e) {
    bool apply = it->managers.way == MANAGERS_APPLY;
    struct kube_req req = {.method = apply ? "PATCH" : "POST",
                           .path = it->path,
                           .query = it->query,
                           .content_type = apply ? "application/apply-patch+yaml" : NULL,
                           .body = it->body,
                           .body_len = it->body_len,
                           .accept = META_ONLY,
                           .lane = strstr(it->path, "/services") ? "services" : NULL,
                           .timeout_ms = WRITE_MS,
                           .cancel = c};
    struct kube_resp resp = {0};
    it->requests++;
    int r = kube_do(world_opts(w)->dst, a, &req, &resp, e);
    if (r >= 0 && keep_answer(it, a, &resp, e) >= 0)
        return 0;
    if (r >= 0)
        r = -EUNKNOWNOUTCOME; /* it is there, and nobody could read the answer */
    /* It may have been stored all the same, also by one that the client has repeated. */
    bool there = r == -EEXIST || (apply && r == -EAGAIN);
    it->lost |= e->http >= 500 || (there && resp.attempts > 1);
    if (apply && cannot_apply(r, e)) {
        apply_no_more(it);
        *e = (struct err){0};
        return create_once(w, it, a, c, e);
    }
    if (apply && r == -EAGAIN) { /* there is one: see MANAGER_NEW_ONLY */
        apply_no_more(it);
        r = -EEXIST;
    }
    return settle_refused(w, it, a, c, r, e);
}

/* --- update: a merge patch (RFC 7386) of what differs, guarded by resourceVersion --- */

/* only_add: what only the destination has stays. A merge patch sets a list as a whole, with what
 * the destination has in it. */
static void merge_diff(yyjson_mut_doc *d, yyjson_mut_val *patch, yyjson_mut_val *want,
                       yyjson_mut_val *have, bool only_add) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (want, i, max, key, val) {
        const char *k = yyjson_mut_get_str(key);
        yyjson_mut_val *h = yyjson_mut_obj_get(have, k);
        if (h && json_mut_equal(val, h))
            continue;
        bool lists = only_add && yyjson_mut_is_arr(val) && yyjson_mut_is_arr(h);
        yyjson_mut_val *set = lists ? list_union(d, k, val, h) : yyjson_mut_val_mut_copy(d, val);
        if (yyjson_mut_is_obj(val) && yyjson_mut_is_obj(h))
            merge_diff(d, json_mut_obj_at(d, patch, k), val, h, only_add);
        else if (!lists || !json_mut_equal(set, h))
            json_mut_set(d, patch, k, set);
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

/* What is the destination's own stays: the patch leads to the source's wishes with those fields. */
static int keep_its_own(struct world *w, struct item *it, struct arena *a, yyjson_mut_doc *d,
                        yyjson_mut_val **want, yyjson_mut_val *have, yyjson_val *live,
                        struct err *e) {
    struct three t;
    const struct object *o = it->o;
    if (!o->ours || world_overwrites(w, o))
        return 0;
    int r = three_read(w, a, o, live, it->effect.id, &t, e);
    if (r <= 0)
        return r;
    yyjson_mut_val *plain = yyjson_mut_val_mut_copy(d, *want);
    yyjson_mut_val *owners = json_mut_get(plain, "metadata", "ownerReferences");
    bool held = hold_undo(d, plain);
    yyjson_mut_val *merged = three_merge(d, &t, plain, have);
    if (owners)
        json_mut_set(d, json_mut_obj_at(d, merged, "metadata"), "ownerReferences",
                     yyjson_mut_val_mut_copy(d, owners));
    if (held)
        hold_do(d, merged, hold_row_of(o->kind->src));
    *want = merged;
    return 0;
}

/* What this run created and gives its owners now: those alone, since a controller of the
 * destination may have written to it meanwhile. */
static bool is_relink(const struct object *o) {
    return o->relink && o->verdict != V_UPDATE;
}

static void link_owners(yyjson_mut_doc *d, yyjson_mut_val *patch, yyjson_mut_val *want) {
    yyjson_mut_val *refs = json_mut_get(want, "metadata", "ownerReferences");
    if (refs)
        json_mut_set(d, json_mut_obj_at(d, patch, "metadata"), "ownerReferences",
                     yyjson_mut_val_mut_copy(d, refs));
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
    bool relink = is_relink(it->o);
    if (!relink && !only_add && keep_its_own(w, it, a, d, &want, have, live, e) < 0)
        return NULL;
    if (relink) {
        link_owners(d, patch, want);
    } else {
        merge_diff(d, patch, want, have, only_add);
        drop_hold(d, patch, want, live);
    }
    const char *rv = json_str(live, "metadata", "resourceVersion");
    json_mut_set_str(d, json_mut_obj_at(d, patch, "metadata"), "resourceVersion", rv ? rv : "");
    if (previous_note(w, it, a, live, patch, e) < 0)
        return NULL;
    return json_mut_write(a, patch, ret_len);
}

/* Is it what was looked at when the update was decided? What is completed may be any. */
static int same_object(const struct object *o, yyjson_val *live, struct err *e) {
    if (!o->in_dst || object_merges(o) || !uid_given(o->uid_dst) ||
        uid_same(o->uid_dst, uid_of(json_str(live, "metadata", "uid"))))
        return 0;
    return err_set(
        e, -ESTALE,
        "another object of this name has taken its place in the destination; run `tandem "
        "migrate` again");
}

char *write_trial(struct world *w, struct object *o, yyjson_val *body, yyjson_val *live,
                  struct arena *a, size_t *ret_len, struct err *e) {
    struct item it = {.a = a, .o = o};
    yyjson_mut_val *root;
    if (world_trial(w, o, body, json_doc(a), &root, e) < 0)
        return NULL;
    it.body = json_mut_write(a, root, &it.body_len);
    return update_patch(w, &it, a, live, ret_len, e);
}

static int update_once(struct world *w, struct item *it, struct arena *a, struct http_cancel *c,
                       struct err *e) {
    yyjson_val *live = TAKE(it->live); /* too old: then the resourceVersion does not fit */
    const char *noted = it->noted;
    int r = live ? 0 : get_live(w, it, a, c, &live, e);
    if (r >= 0)
        r = same_object(it->o, live, e);
    if (r < 0)
        return r;
    struct kube_req req = {.method = "PATCH",
                           .path = object_path(a, it->o, false),
                           .query = it->query,
                           .content_type = "application/merge-patch+json",
                           .accept = META_ONLY,
                           .idempotent = true, /* guarded by resourceVersion */
                           .timeout_ms = WRITE_MS,
                           .cancel = c};
    req.body = update_patch(w, it, a, live, &req.body_len, e);
    if (!req.body)
        return e->code;
    struct kube_resp resp = {0};
    it->requests++;
    r = kube_do(world_opts(w)->dst, a, &req, &resp, e);
    if (r == -EAGAIN && resp.attempts == 1)
        it->noted = noted; /* refused at first sight: nothing was changed, by this one */
    /* Sent more than once, the first may have been carried out, whatever the last was told. */
    it->lost |= r == -EUNKNOWNOUTCOME || (r < 0 && resp.maybe_sent && resp.attempts > 1);
    return r < 0 ? r : keep_answer(it, a, &resp, e);
}

/* Puts the list of owners where ours is; a controller may write the object at the same time. */
static int restore_managers(struct world *w, struct item *it, struct arena *a,
                            struct http_cancel *c, struct err *e) {
    int r = -EAGAIN;
    for (unsigned i = 0; i < RESTORE_ATTEMPTS && r == -EAGAIN; i++) {
        yyjson_val *live = it->answer;
        if (i && (r = get_live(w, it, a, c, &live, e)) < 0)
            break;
        struct kube_req req = {.method = "PATCH",
                               .path = object_path(a, it->o, false),
                               .query = WRITE_QUERY,
                               .content_type = "application/merge-patch+json",
                               .accept = META_ONLY,
                               .idempotent = true, /* guarded by resourceVersion */
                               .cancel = c};
        req.body = managers_patch(a, live, it->managers.list, &req.body_len);
        struct kube_resp resp = {0};
        it->requests++;
        r = kube_do(world_opts(w)->dst, a, &req, &resp, e);
        if (r >= 0)
            r = keep_answer(it, a, &resp, e);
    }
    return r < 0 ? err_ctx(e, r, "restoring the owners of its fields") : r;
}

void write_item(struct world *w, struct item *it, struct http_cancel *cancel) {
    uint64_t start = clock_now_ms(), pause = FIRST_PAUSE_MS;
    it->sent_ns = clock_now_ns();
    for (;;) {
        AUTO_ARENA a = arena_new();
        it->err = (struct err){0};
        int r = is_update(it->o) ? update_once(w, it, a, cancel, &it->err)
                                 : create_once(w, it, a, cancel, &it->err);
        if (r >= 0 && it->left_open)
            r = restore_managers(w, it, a, cancel, &it->err);
        it->ok = r >= 0;
        if (it->ok || clock_now_ms() - start >= patience_ms(r, &it->err))
            break;
        if (cancel && atomic_load(&cancel->stop))
            break;
        clock_sleep_ms(pause);
        pause = MIN(pause * 2, (uint64_t)LONGEST_PAUSE_MS);
    }
    it->answered_ns = clock_now_ns();
}
