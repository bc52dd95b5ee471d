/* One change, from the source's body to the destination's answer. */
#include <errno.h>

#include "base/clock.h"
#include "kube/client.h"
#include "migrate/apply_impl.h"
#include "migrate/follow_impl.h"
#include "migrate/order.h"
#include "migrate/renew.h"
#include "migrate/scaler.h"
#include "migrate/unmigrate.h"
#include "migrate/world_impl.h"

/* BACKEND_MS: for what answers for a webhook; what it waits for may be carried meanwhile, and it is
 * tried again. */
enum { BACKEND_MS = 2000, DEFINITION_MS = 2000, DELETE_WAIT_MS = 1, HASTE_TRIES = 7 };

struct carrying {
    struct follow *f;
    struct pending *p;
    struct arena *a;
    yyjson_val *src, *dst;
    struct object *o;
    bool was;     /* in the destination, as far as was known */
    bool counted; /* by the guard */
    struct err e;
};

static const struct world_opts *opts(const struct carrying *c) {
    return &c->f->o.world;
}

static void again(struct carrying *c) {
    changes_retry(c->f->q, c->p, err_msg(&c->e));
}

static void done(struct carrying *c) {
    changes_done(c->f->q, c->p);
}

static int get(struct carrying *c, bool destination, yyjson_val **ret) {
    char *part[4];
    const struct kube_resource *r = destination ? c->p->kind->dst : c->p->kind->src;
    MUST(object_ref_split(c->a, c->p->ref, part));
    const char *path = kube_path(c->a, r, *part[2] ? part[2] : NULL, part[3], NULL);
    struct kube_req req = {.method = "GET", .path = path, .cancel = &c->f->stop};
    struct kube_resp resp = {0};
    int n = kube_do(destination ? opts(c)->dst : opts(c)->src, c->a, &req, &resp, &c->e);
    return n < 0 ? n : json_parse(c->a, resp.body, resp.body_len, ret, &c->e);
}

static struct object *record(struct carrying *c) {
    char *part[4];
    MUST(object_ref_split(c->a, c->p->ref, part));
    return world_find(c->f->w, part[0], part[1], part[2], part[3]);
}

/* Counts what the destination has of the kind, for the guard. Under the lock. */
static void count_live(struct carrying *c, const struct object *o) {
    size_t *n = &c->f->live[o->kind - world_kind_at(c->f->w, 0)];
    if (o->in_dst && !c->was)
        ++*n;
    else if (!o->in_dst && c->was && *n)
        --*n;
}

/* --- what is to be done --- */

enum verdict_now { NOW_NOTHING, NOW_WRITE, NOW_AGAIN, NOW_BLOCKED };

/* Looks at the record before anything is asked. True: nothing to do. */
static bool is_unchanged(struct carrying *c, bool *ret_ask) {
    struct follow *f = c->f;
    pthread_mutex_lock(&f->lock);
    struct object *o = record(c);
    bool same = o && !c->p->tries && world_unchanged(f->w, o, c->src, c->p->whole);
    c->was = o && o->in_dst;
    *ret_ask = c->p->kind->dst && (c->was || c->p->tries);
    pthread_mutex_unlock(&f->lock);
    return same;
}

/* An owner that comes later: o waits for it, or goes first and is linked afterwards. */
static enum verdict_now mind_owners(struct carrying *c) {
    bool first;
    if (!world_owner_missing(c->f->w, c->o, &first))
        return NOW_WRITE;
    if (first && !c->o->in_dst) {
        c->o->relink = true;
        return NOW_WRITE;
    }
    err_set(&c->e, -EAGAIN, "its owner is not in the destination yet");
    return NOW_AGAIN;
}

/* Whether a Service selects it is known when that has come too: for about two seconds a new
 * workload is not held for the lack of one. */
static bool is_hasty(const struct carrying *c) {
    return str_eq(c->o->rule, "hold-unclassified") && c->p->tries < HASTE_TRIES;
}

/* Under the lock. */
static enum verdict_now decide(struct carrying *c, struct item **ret) {
    struct object *o = c->o;
    if (!o)
        return NOW_NOTHING;
    switch ((enum verdict)o->verdict) {
    case V_SAME:
        world_written(c->f->w, o, json_str(c->dst, "metadata", "uid"), o->ours, false);
        return NOW_NOTHING;
    case V_SKIP:
    case V_COUNT: return NOW_NOTHING;
    case V_BLOCK: err_set(&c->e, -EREMOTEIO, "[%s] %s", o->rule, o->why); return NOW_BLOCKED;
    case V_CREATE:
    case V_HOLD:
    case V_UPDATE: break;
    }
    if (is_hasty(c)) {
        err_set(&c->e, -EAGAIN, "looks as if it acts by itself; what tells otherwise may follow");
        return NOW_AGAIN;
    }
    if (o->recreate) {
        err_set(&c->e, -EREMOTEIO, "has to be made anew: `tandem migrate` does that (%s)", o->why);
        return NOW_BLOCKED;
    }
    enum verdict_now now = mind_owners(c);
    if (now == NOW_WRITE && write_prepare(c->f->w, o, c->src, ret, &c->e) < 0)
        return NOW_AGAIN;
    return now;
}

/* --- writing --- */

static int send(struct carrying *c, struct item *it) {
    struct follow *f = c->f;
    int r = follow_log_begin(f->log, &it->effect, &c->e);
    if (r < 0)
        return r;
    it->journal = opts(c)->journal;
    it->run = opts(c)->run;
    it->live = c->dst;
    if (it->o->wave >= WAVE_ADMISSION)
        r = backend_wait(f->w, it->o, c->src, clock_now_ms() + BACKEND_MS, &f->stop, &it->err);
    if (r >= 0) {
        write_item(f->w, it, &f->stop);
        backend_prove(f->w, it, &f->stop);
        r = it->ok ? 0 : it->err.code ? it->err.code : -EIO;
    }
    item_outcome(it);
    follow_log_end(f->log, &it->effect);
    if (r < 0)
        c->e = it->err;
    return r;
}

/* --- definitions --- */

static bool is_definition(const struct kube_resource *r) {
    return str_eq(r->kind, "CustomResourceDefinition") && str_eq(r->group, "apiextensions.k8s.io");
}

/* Has every version that it serves its kind among those that are followed? */
static bool is_known(const struct world *w, yyjson_val *crd) {
    const char *group = json_str(crd, "spec", "group");
    const char *kind = json_str(crd, "spec", "names", "kind");
    yyjson_val *v;
    size_t i, max;
    yyjson_arr_foreach (json_get(crd, "spec", "versions"), i, max, v) {
        if (yyjson_is_true(json_get(v, "served")) &&
            !kube_discovery_find(world_discovery(w, false), group, json_str(v, "name"), kind))
            return false;
    }
    return true;
}

/* Its kind joins, whoever made the definition in the destination. */
static void mind_definition(struct carrying *c) {
    if (is_definition(c->p->kind->src) && c->src && !is_known(c->f->w, c->src))
        follow_reread(c->f, DEFINITION_MS);
}

/* --- one body --- */

/* What scales it was decided upon without it. */
static void ask_scalers(struct follow *f, const struct object *o) {
    AUTO_STRVEC refs = {0};
    AUTO_ARENA a = arena_new();
    pthread_mutex_lock(&f->lock);
    for (const struct scaler *s = f->w->scalers; s; s = s->next)
        if (!s->o->gone && scaler_target(f->w, s) == o)
            strvec_add(&refs, object_ref(a, s->o));
    const struct kind *k = world_kind_of(f->w, "keda.sh", "ScaledObject");
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; k && i < refs.n; i++)
        changes_put(f->q, refs.v[i], k, NULL, 0, true);
}

static void write_it(struct carrying *c, struct item *it) {
    struct follow *f = c->f;
    bool relink = it->o->relink && it->o->verdict != V_UPDATE;
    bool made = str_eq(it->effect.verb, "create");
    int r = send(c, it);
    pthread_mutex_lock(&f->lock);
    if (r >= 0)
        world_written(f->w, it->o, it->uid, !it->theirs, made);
    world_rest(it->o);
    count_live(c, it->o);
    pthread_mutex_unlock(&f->lock);
    if (r >= 0 && made)
        ask_scalers(f, it->o);
    if (r >= 0 && relink)
        r = err_set(&c->e, -EAGAIN, "is linked to its owner when that is in the destination");
    if (r >= 0)
        atomic_fetch_add(&f->carried, 1);
    mind_definition(c);
    item_free(it);
    r < 0 ? again(c) : done(c);
}

static int see_destination(struct carrying *c, bool ask) {
    int r = ask ? get(c, true, &c->dst) : 0;
    if (r == -ENOENT)
        c->dst = NULL;
    return r == -ENOENT ? 0 : r;
}

/* The record anew, and what is to be done. -ENODATA: once more, with the whole body. */
static int renew(struct carrying *c, enum verdict_now *ret, struct item **ret_item) {
    struct follow *f = c->f;
    world_settle_schema(f->w, c->p->kind); /* may ask both clusters: not under the lock */
    pthread_mutex_lock(&f->lock);
    int r = world_renew(f->w, c->a, c->p->kind, c->src, c->p->whole, c->dst, &c->o, &c->e);
    if (r >= 0) {
        *ret = decide(c, ret_item);
        if (c->o && *ret != NOW_WRITE) {
            world_rest(c->o);
            count_live(c, c->o);
        }
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

static int renew_whole(struct carrying *c, enum verdict_now *ret, struct item **ret_item) {
    int r = renew(c, ret, ret_item);
    if (r != -ENODATA)
        return r;
    r = get(c, false, &c->src);
    c->p->whole = true;
    return r < 0 ? r : renew(c, ret, ret_item);
}

static void carry_body(struct carrying *c) {
    struct follow *f = c->f;
    struct item *it = NULL;
    enum verdict_now now = NOW_NOTHING;
    bool ask;
    if (is_unchanged(c, &ask)) {
        atomic_fetch_add(&f->unchanged, 1);
        mind_definition(c);
        done(c);
        return;
    }
    int r = see_destination(c, ask);
    if (r >= 0 && (r = renew_whole(c, &now, &it)) == -ENOENT) {
        done(c); /* gone by now: that comes as a change of its own */
        return;
    }
    if (r < 0) {
        again(c);
        return;
    }
    switch (now) {
    case NOW_NOTHING:
        mind_definition(c);
        done(c);
        break;
    case NOW_WRITE: write_it(c, it); break;
    case NOW_AGAIN: again(c); break;
    case NOW_BLOCKED:
        mind_definition(c);
        changes_hold(f->q, c->p, CHANGE_BLOCKED, err_msg(&c->e));
        break;
    }
}

/* --- deletes --- */

/* Asked once more: an event, or a list that lacks something, is not enough to delete for. */
static bool is_gone(struct carrying *c) {
    yyjson_val *live;
    int r = get(c, false, &live);
    if (r == -ENOENT)
        return true;
    if (r < 0) {
        again(c);
        return false;
    }
    if (opts(c)->label_selector) { /* it may have left the selection; if not, its watch tells */
        done(c);
        return false;
    }
    const char *text = json_write(c->a, live, &c->p->len);
    c->p->body = xmalloc(c->p->len + 1);
    memcpy(c->p->body, text, c->p->len + 1);
    c->p->whole = true;
    c->src = live;
    carry_body(c);
    return false;
}

static void forget(struct carrying *c, bool deleted) {
    struct follow *f = c->f;
    pthread_mutex_lock(&f->lock);
    struct object *o = record(c);
    c->was = o && o->in_dst;
    if (o) {
        world_gone(f->w, o, deleted);
        count_live(c, o);
    } else if (deleted && f->live[c->p->kind - world_kind_at(f->w, 0)]) {
        f->live[c->p->kind - world_kind_at(f->w, 0)]--; /* left over from before: queue_rest() */
    }
    pthread_mutex_unlock(&f->lock);
    if (deleted && is_definition(c->p->kind->src))
        follow_reread(f, DEFINITION_MS);
}

/* Did a run of this environment write it? And how many of its kind has the destination? */
static bool is_ours(struct carrying *c, size_t *ret_live) {
    struct follow *f = c->f;
    char *part[4];
    MUST(object_ref_split(c->a, c->p->ref, part));
    pthread_mutex_lock(&f->lock);
    bool ours = world_wrote(f->w, part[0], part[1], part[2], part[3], NULL);
    *ret_live = f->live[c->p->kind - world_kind_at(f->w, 0)];
    pthread_mutex_unlock(&f->lock);
    return ours;
}

static void take_out(struct carrying *c) {
    struct follow *f = c->f;
    const char *refs[] = {c->p->ref, NULL};
    struct unmigrate_opts uo = {.c = opts(c)->dst,
                                .slot = opts(c)->dst_slot,
                                .discovery = world_discovery(f->w, true),
                                .journal = opts(c)->journal,
                                .run = opts(c)->run,
                                .generated = opts(c)->generated,
                                .refs = refs,
                                .writes = 1,
                                .wait_ms = DELETE_WAIT_MS,
                                .cancel = &f->stop};
    struct unmigrate_result res;
    follow_log_flush(f->log); /* it reads there what was written */
    int r = unmigrate(c->a, &uo, &res, &c->e);
    const struct unmigrate_item *i = res.items;
    enum taken t = i ? i->taken : TAKEN_ALREADY; /* its definition is gone, and all of its kind */
    bool gone = t == TAKEN_DELETED || t == TAKEN_ALREADY || t == TAKEN_HANGS;
    if (r >= 0 && gone) {
        atomic_fetch_add(&f->deleted, t != TAKEN_ALREADY);
        forget(c, true);
        done(c);
        return;
    }
    if (c->counted)
        follow_guard_forget(f->guard, c->p->kind->src);
    if (r >= 0)
        err_set(&c->e, -EREMOTEIO, "gone from the source, and left in the destination: %s%s%s",
                taken_name(t), i->note ? ": " : "", i->note ? i->note : "");
    if (r >= 0 && t != TAKEN_FAILED)
        changes_hold(f->q, c->p, CHANGE_BLOCKED, err_msg(&c->e));
    else
        again(c);
}

/* An original, which no run has made: as it is now, and only that. */
static int delete_original(struct carrying *c) {
    struct follow *f = c->f;
    char *part[4];
    yyjson_val *live;
    const char slot[2] = {opts(c)->dst_slot, 0};
    int r = get(c, true, &live);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    struct journal_effect ef = {.cluster = slot,
                                .ref = c->p->ref,
                                .verb = "delete",
                                .uid = json_str(live, "metadata", "uid"),
                                .resource_version = json_str(live, "metadata", "resourceVersion")};
    MUST(object_ref_split(c->a, c->p->ref, part));
    const char *body = kube_delete_body(c->a, ef.uid, ef.resource_version);
    struct kube_req req = {
        .method = "DELETE",
        .path = kube_path(c->a, c->p->kind->dst, *part[2] ? part[2] : NULL, part[3], NULL),
        .body = body,
        .body_len = strlen(body),
        .idempotent = true, /* guarded by uid */
        .cancel = &f->stop};
    struct kube_resp resp = {0};
    r = follow_log_begin(f->log, &ef, &c->e);
    if (r < 0)
        return r;
    r = kube_do(opts(c)->dst, c->a, &req, &resp, &c->e);
    r = r == -ENOENT ? 0 : r;
    bool lost = r == -EUNKNOWNOUTCOME || r == -ESTOPPED;
    ef.state = r >= 0 ? EFFECT_DONE : lost ? EFFECT_UNKNOWN : EFFECT_FAILED;
    ef.error = r < 0 ? err_msg(&c->e) : NULL;
    follow_log_end(f->log, &ef);
    atomic_fetch_add(&f->deleted, r >= 0);
    return r;
}

/* What an original takes along, nobody makes again. */
static bool is_only_itself(const struct carrying *c) {
    static const char *const others[][2] = {{"", "Namespace"},
                                            {"", "PersistentVolume"},
                                            {"", "PersistentVolumeClaim"},
                                            {"apiextensions.k8s.io", "CustomResourceDefinition"}};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (str_eq(c->p->kind->src->kind, others[i][1]) &&
            str_eq(c->p->kind->src->group, others[i][0]))
            return false;
    return true;
}

static void take_out_original(struct carrying *c) {
    if (!c->p->kind->dst) {
        forget(c, false);
        done(c);
        return;
    }
    if (!is_only_itself(c)) {
        changes_hold(c->f->q, c->p, CHANGE_BLOCKED,
                     "gone from the destination; what it holds in the source is deleted by hand, "
                     "or not at all");
        return;
    }
    if (delete_original(c) < 0) {
        again(c);
        return;
    }
    forget(c, true);
    done(c);
}

static void carry_delete(struct carrying *c) {
    const char *why;
    size_t live;
    if (!is_gone(c))
        return;
    if (!is_ours(c, &live)) {
        forget(c, false);
        done(c);
        return;
    }
    if (!c->p->approved && !follow_guard_allows(c->f->guard, c->a, c->p->kind->src, live, &why)) {
        changes_hold(c->f->q, c->p, CHANGE_ASKS, why);
        return;
    }
    opts(c)->write_back ? take_out_original(c) : take_out(c);
}

void follow_carry_run(void *ctx, size_t index) {
    struct follow *f = ctx;
    (void)index;
    struct pending *p;
    while ((p = changes_next(f->q))) {
        AUTO_ARENA a = arena_new();
        struct carrying c = {.f = f, .p = p, .a = a};
        if (!p->body)
            carry_delete(&c);
        else if (json_parse(a, p->body, p->len, &c.src, &c.e) < 0)
            changes_done(f->q, p); /* it was a tree when it was put there */
        else
            carry_body(&c);
    }
}
