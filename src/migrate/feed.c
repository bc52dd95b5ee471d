/* Reads bodies from the source, page by page, makes of each what the destination should get,
 * journals intents batch by batch, and hands them to the writers in their turn. */
#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "kube/page.h"
#include "migrate/apply_impl.h"
#include "migrate/join.h"
#include "migrate/order.h"

enum {
    GET_INSTEAD_OF_LIST =
        20, /* objects to write below which (or a 20th of the kind) GETs are used */
    ESTABLISH_MS = 30000,
    READY_MS = 60000,
    LOOK_AGAIN_MS = 50,
    LIST_STARTS_MAX = 10,
};

struct feeder {
    struct job *j;
    int lane;
    struct item *batch[256];
    size_t n;
};

/* --- the batch --- */

/* Intents of the batch into the journal, then to the writers. */
static int flush(struct feeder *f, struct err *e) {
    struct job *j = f->j;
    size_t n = f->n;
    if (!n)
        return 0;
    struct journal_effect *ef = xcalloc(n, sizeof *ef);
    for (size_t i = 0; i < n; i++)
        ef[i] = f->batch[i]->effect;
    int r = journal_effects_begin(j->o->journal, j->o->run, ef, n, e);
    for (size_t i = 0; r >= 0 && i < n; i++)
        f->batch[i]->effect.id = ef[i].id;
    xfree(ef);
    f->n = 0;
    if (r < 0) {
        for (size_t i = 0; i < n; i++)
            item_free(f->batch[i]);
        return r;
    }
    pthread_mutex_lock(&j->lock);
    if (!j->pending[0] && !j->pending[1])
        j->heard_ms = clock_now_ms();
    j->pending[f->lane] += n;
    for (size_t i = 0; i < n; i++)
        waits_handed(j->waits, f->batch[i]->o);
    pthread_mutex_unlock(&j->lock);
    for (size_t i = 0; i < n; i++)
        MUST(queue_push(j->todo[f->lane], f->batch[i]));
    return 0;
}

/* What was prepared and will not be sent. */
static void drop_batch(struct feeder *f) {
    for (size_t i = 0; i < f->n; i++)
        item_free(f->batch[i]);
    f->n = 0;
}

/* --- one object --- */

/* It gets no request: outcome and why. */
static void leave(struct job *j, struct object *o, enum outcome out, const char *note) {
    world_lock(j->w);
    o->outcome = (uint8_t)out;
    o->note = world_keep(j->w, note);
    world_unlock(j->w);
    pthread_mutex_lock(&j->lock);
    j->res.failed += out == OUT_FAILED;
    j->res.stale += out == OUT_STALE;
    if (order_lane(o) == 1)
        waits_answered(j->waits, o);
    if (out == OUT_FAILED)
        waits_failed(j->waits, o);
    pthread_cond_broadcast(&j->idle);
    pthread_mutex_unlock(&j->lock);
}

/* The source's object is not what the frozen plan saw. */
static bool is_stale(struct job *j, const struct object *o, yyjson_val *body) {
    const char *planned = NULL;
    if (j->o->plan_digests && j->o->stale != STALE_ACCEPT) {
        AUTO_ARENA a = arena_new();
        planned = map_get(j->o->plan_digests, object_ref(a, o));
    }
    uint8_t d[16];
    char hex[33];
    return planned && world_digest(j->w, o, body, j->o->plan_salt, d, NULL) >= 0 &&
           !str_eq(hash_hex(d, 16, hex), planned);
}

/* Until what it may name is answered. Its own batch goes ahead of it, so that no writer is idle. */
static int wait_turn(struct feeder *f, const struct object *o, struct err *e) {
    struct job *j = f->j;
    pthread_mutex_lock(&j->lock);
    bool clear = waits_clear(j->waits, o);
    pthread_mutex_unlock(&j->lock);
    if (clear)
        return 0;
    int r = flush(f, e);
    pthread_mutex_lock(&j->lock);
    while (r >= 0 && !j->stop && !waits_clear(j->waits, o))
        pthread_cond_wait(&j->idle, &j->lock);
    pthread_mutex_unlock(&j->lock);
    return r;
}

/* An owner that comes in a later wave, or (a cycle) in the same one, is linked to afterwards. */
static bool before_its_owner(struct world *w, const struct object *o) {
    bool before = false;
    world_lock(w);
    for (const struct owner *x = o->owners; x; x = x->next) {
        const struct object *p = world_by_uid(w, x->uid);
        before |= p && object_goes_over(p) && !uid_given(p->uid_dst) && p->wave >= o->wave;
    }
    world_unlock(w);
    return before;
}

/* All of them together get the time, so that ten dead back ends do not take ten times as long. It
 * is the time that is waited that counts: what is written between two of them costs them nothing.
 */
static int wait_backend(struct job *j, const struct object *o, yyjson_val *body, struct err *e) {
    uint64_t *waited = &j->backends_ms[o->wave >= WAVE_ADMISSION];
    uint64_t start = clock_now_ms(), all = j->o->ready_ms ? j->o->ready_ms : READY_MS;
    int r = backend_wait(j->w, o, body, start + all - MIN(all, *waited), &j->cancel, e);
    *waited += clock_now_ms() - start;
    return r;
}

/* Asked in its turn: what comes before it is answered. */
static bool is_held_back(struct job *j, const struct object *o) {
    pthread_mutex_lock(&j->lock);
    bool yes = j->hold_back && waits_held_back(j->waits, o);
    pthread_mutex_unlock(&j->lock);
    return yes;
}

static int feed(struct feeder *f, struct object *o, yyjson_val *body, struct err *e) {
    struct job *j = f->j;
    struct item *it;
    struct err mine = {0};
    if (job_stopped(j))
        return err_set(e, -ESTOPPED, "stopped");
    o->outcome = OUT_SENT;
    if (is_stale(j, o, body)) {
        leave(j, o, OUT_STALE, "changed in the source since the plan was made");
        return 0;
    }
    int r = wait_turn(f, o, e);
    if (r < 0)
        return r;
    if (is_held_back(j, o)) {
        o->outcome = OUT_LATER;
        return 0;
    }
    o->relink = o->relink || before_its_owner(j->w, o);
    if (o->wave >= WAVE_ADMISSION)
        r = wait_backend(j, o, body, &mine);
    if (r >= 0)
        r = write_prepare(j->w, o, body, &it, &mine);
    if (r == -ESTOPPED)
        return err_set(e, r, "%s", err_msg(&mine));
    if (r < 0) {
        leave(j, o, OUT_FAILED, err_msg(&mine));
        return 0;
    }
    it->journal = j->o->journal;
    it->run = j->o->run;
    f->batch[f->n++] = it;
    return f->n >= MIN(job_batch(j), COUNT_OF(f->batch)) ? flush(f, e) : 0;
}

/* --- one kind of one wave --- */

/* What is written of one kind in one wave; a part of the agenda. */
struct group {
    const struct kind *kind;
    int wave;
    struct object **v;
    size_t n;
};

static const char GONE[] = "gone from the source since the plan was made";

static int feed_by_get(struct feeder *f, const struct group *g, struct err *e) {
    for (size_t i = 0; i < g->n; i++) {
        AUTO_ARENA a = arena_new();
        struct object *o = g->v[i];
        yyjson_val *body;
        const char *path = kube_path(a, g->kind->src, *o->ns ? o->ns : NULL, o->name, NULL);
        struct err mine = {0};
        int r = kube_get(world_opts(f->j->w)->src, a, path, NULL, &body, &mine);
        if (r == -ENOENT) {
            leave(f->j, o, OUT_STALE, GONE);
            continue;
        }
        if (r < 0) {
            *e = mine;
            return r;
        }
        if ((r = feed(f, o, body, e)) < 0)
            return r;
    }
    return 0;
}

static int feed_page(struct feeder *f, const struct group *g, yyjson_val *items, struct err *e) {
    const struct kube_resource *k = g->kind->src;
    size_t i, max;
    yyjson_val *it;
    yyjson_arr_foreach (items, i, max, it) {
        struct object *o =
            world_find(f->j->w, k->group, k->kind, json_str(it, "metadata", "namespace"),
                       json_str(it, "metadata", "name"));
        int r = o && o->wave == g->wave && object_due(o) ? feed(f, o, it, e) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int feed_by_list(struct feeder *f, const struct group *g, struct err *e) {
    struct world *w = f->j->w;
    struct kube_list_opts lo = {.cancel = f->j->o->cancel,
                                .namespace = join_namespace(w, g->kind),
                                .label_selector = world_opts(w)->label_selector};
    struct kube_pager *p = kube_pager_new(world_opts(w)->src, g->kind->src, &lo);
    AUTO_ARENA a = arena_new();
    yyjson_val *items;
    int r;
    unsigned starts = 1;
    while ((r = kube_pager_next(p, a, &items, e)) != 0) {
        if (r == -ESTALE && starts++ < LIST_STARTS_MAX)
            continue; /* begins again; what was written already is not written twice */
        if (r < 0 || (r = feed_page(f, g, items, e)) < 0)
            break;
        arena_reset(a);
    }
    kube_pager_free(p);
    for (size_t i = 0; r >= 0 && i < g->n; i++)
        if (object_due(g->v[i]))
            leave(f->j, g->v[i], OUT_STALE, GONE);
    return r;
}

/* --- definitions have to be established before their objects --- */

static bool is_established(yyjson_val *definition) {
    yyjson_val *c;
    size_t i, max;
    yyjson_arr_foreach (json_get(definition, "status", "conditions"), i, max, c) {
        if (str_eq(json_str(c, "type"), "Established") && str_eq(json_str(c, "status"), "True"))
            return true;
    }
    return false;
}

/* The definition of a kind that is to be written: NULL when the kind is not defined by one. */
static struct object *definition_of(struct job *j, const struct kind *k) {
    AUTO_ARENA a = arena_new();
    if (!order_is_custom(k->src))
        return NULL;
    return world_find(j->w, "apiextensions.k8s.io", "CustomResourceDefinition", "",
                      arena_printf(a, "%s.%s", k->src->plural, k->src->group));
}

/* Waits until it is served and, where a webhook converts its versions, until that can answer. What
 * goes wrong here is told by the objects themselves, one by one. */
static void wait_definition(struct job *j, const struct kind *k) {
    const struct object *crd = definition_of(j, k);
    uint64_t until = clock_now_ms() + ESTABLISH_MS;
    if (!crd)
        return;
    for (; clock_now_ms() < until && !job_stopped(j); clock_sleep_ms(LOOK_AGAIN_MS)) {
        AUTO_ARENA a = arena_new();
        yyjson_val *body;
        struct err e = {0};
        world_lock(j->w);
        bool failed = crd->outcome == OUT_FAILED || crd->outcome == OUT_STALE ||
                      (!crd->in_dst && !object_goes_over(crd));
        world_unlock(j->w);
        const char *path =
            kube_path(a, crd->kind->dst ? crd->kind->dst : crd->kind->src, NULL, crd->name, NULL);
        int r = failed ? -ENOENT : kube_get(world_opts(j->w)->dst, a, path, NULL, &body, &e);
        if (failed || (r < 0 && r != -ENOENT))
            return;
        if (r < 0 || !is_established(body))
            continue;
        if (wait_backend(j, crd, body, &e) < 0)
            log_warn("%s", err_msg(&e));
        return;
    }
}

/* --- waves --- */

static int feed_group(struct feeder *f, const struct group *g, struct err *e) {
    struct job *j = f->j;
    size_t of_kind = j->of_kind[g->kind - world_kind_at(j->w, 0)];
    pthread_mutex_lock(&j->lock);
    j->wave = g->kind->src->plural;
    pthread_mutex_unlock(&j->lock);
    wait_definition(j, g->kind);
    int r = g->n <= GET_INSTEAD_OF_LIST || g->n * 20 < of_kind ? feed_by_get(f, g, e)
                                                               : feed_by_list(f, g, e);
    return r < 0 ? err_ctx(e, r, "reading %s", g->kind->src->plural) : flush(f, e);
}

int feed_waves(struct job *j, int lane, int after, int upto, struct err *e) {
    struct feeder f = {.j = j, .lane = lane};
    const struct agenda *ag = &j->agenda;
    int r = 0;
    for (size_t i = 0, n; r >= 0 && i < ag->n; i += n) {
        const struct object *o = ag->v[i];
        struct group g = {o->kind, o->wave, &ag->v[i], 0};
        while (i + g.n < ag->n && ag->v[i + g.n]->kind == g.kind && ag->v[i + g.n]->wave == g.wave)
            g.n++;
        n = g.n;
        if (order_lane(o) != lane || o->wave <= after || o->wave > upto)
            continue;
        if (job_stopped(j))
            r = err_set(e, -ESTOPPED, "stopped");
        else
            r = feed_group(&f, &g, e);
    }
    drop_batch(&f);
    return r;
}

void feed_wait_idle(struct job *j) {
    pthread_mutex_lock(&j->lock);
    while (j->pending[0] > 0 || j->pending[1] > 0)
        pthread_cond_wait(&j->idle, &j->lock);
    pthread_mutex_unlock(&j->lock);
}
