/* Deleting, and restoring, one object. */
#include <errno.h>

#include "kube/client.h"
#include "migrate/undo.h"

enum { TRIES = 5 };

/* Gone at once, or only told to go (a namespace, a finalizer, a pod that takes its time)? */
static bool still_there(struct arena *a, const struct kube_resp *resp) {
    yyjson_val *v;
    return json_parse(a, resp->body, resp->body_len, &v, NULL) >= 0 &&
           json_get(v, "metadata", "deletionTimestamp");
}

static int delete_once(struct undo *u, struct look *l, struct err *e) {
    const char *body = kube_delete_body(l->a, l->uid, u->o->force ? NULL : l->rv);
    struct kube_req req = {.method = "DELETE",
                           .path = undo_path(l->a, l->p),
                           .body = body,
                           .body_len = strlen(body),
                           .idempotent = true, /* guarded by uid */
                           .cancel = u->o->cancel};
    struct kube_resp resp = {0};
    int r = kube_do(u->o->c, l->a, &req, &resp, e);
    if (r == -ENOENT)
        r = 0;
    else if (r >= 0)
        l->p->pending = still_there(l->a, &resp);
    if (r >= 0)
        l->p->taken = TAKEN_DELETED;
    return r;
}

static int restore_once(struct undo *u, struct look *l, struct err *e) {
    size_t n;
    const char *body = json_mut_write(l->a, l->restore, &n);
    struct kube_req req = {.method = "PATCH",
                           .path = undo_path(l->a, l->p),
                           .query = "fieldManager=tandem",
                           .content_type = "application/merge-patch+json",
                           .body = body,
                           .body_len = n,
                           .idempotent = true, /* guarded by resourceVersion */
                           .cancel = u->o->cancel};
    struct kube_resp resp = {0};
    int r = kube_do(u->o->c, l->a, &req, &resp, e);
    if (r < 0)
        return r;
    if (undo_gives_owners(l->restore))
        l->bound = false;
    if (l->p->taken != TAKEN_MOVED)
        l->p->taken = TAKEN_RESTORED;
    return 0;
}

static int remake_once(struct undo *u, struct look *l, struct err *e) {
    size_t n;
    const char *body = json_mut_write(l->a, l->restore, &n);
    struct kube_req req = {.method = "POST",
                           .path = kube_path(l->a, l->p->r, l->p->ns, NULL, NULL),
                           .query = "fieldManager=tandem",
                           .body = body,
                           .body_len = n,
                           .cancel = u->o->cancel};
    struct kube_resp resp = {0};
    int r = kube_do(u->o->c, l->a, &req, &resp, e);
    if (r == -ENOENT) {
        l->p->taken = TAKEN_MOVED;
        l->p->note = "somebody has deleted its namespace since";
        return 0;
    }
    if (r >= 0)
        l->p->taken = TAKEN_RESTORED;
    return r;
}

static int act_once(struct undo *u, struct look *l, struct err *e) {
    switch ((enum undo_act)l->p->act) {
    case ACT_DELETE: return delete_once(u, l, e);
    case ACT_RESTORE: return restore_once(u, l, e);
    case ACT_REMAKE: return remake_once(u, l, e);
    case ACT_NONE: break;
    }
    return 0;
}

/* Changed between the look and the act, or the answer was lost: look again. */
static bool look_again(int r) {
    return r == -EAGAIN || r == -EEXIST || r == -EUNKNOWNOUTCOME;
}

void undo_act(struct undo *u, struct look *l) {
    int r = 0;
    uint8_t act = l->p->act;
    for (unsigned i = 0; i < TRIES; i++) {
        l->err = (struct err){0};
        r = act_once(u, l, &l->err);
        if (!look_again(r))
            break;
        struct err again = {0};
        if (undo_look(u, l, &again) < 0) {
            l->err = again;
            break;
        }
        if (l->p->act != act) { /* gone meanwhile, back meanwhile, or changed by somebody */
            r = 0;
            break;
        }
    }
    bool lost = r == -ESTOPPED || r == -EUNKNOWNOUTCOME;
    l->effect.state = r >= 0 ? EFFECT_DONE : lost ? EFFECT_UNKNOWN : EFFECT_FAILED;
    l->effect.error = r < 0 ? l->err.msg : NULL;
    /* Left after all, or still in part: what the run did is not all taken back. */
    if (r >= 0 && l->p->taken == TAKEN_MOVED) {
        l->effect.state = EFFECT_FAILED;
        l->effect.error = l->p->note;
    }
    if (r < 0) {
        l->p->taken = TAKEN_FAILED;
        l->p->note = arena_strdup(l->a, err_msg(&l->err));
    }
}
