#include "migrate/apply.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/queue.h"
#include "kube/page.h"
#include "migrate/apply_impl.h"
#include "migrate/order.h"

enum {
    WRITES_DEFAULT = 32,
    BATCH_DEFAULT = 100,
    LANES = 2,
    SERVICE_WRITERS = 2,
    QUEUE_MAX = 512,
    RECORD_MS = 40,
    GET_INSTEAD_OF_LIST =
        20, /* objects to write below which (or a 20th of the kind) GETs are used */
    ROUNDS_MAX = 3,
    ESTABLISH_MS = 30000,
    SILENT_MS = 45000, /* longer than the longest webhook may take */
    WATCH_MS = 50,
};

struct job {
    const struct apply_opts *o;
    struct world *w;
    struct queue *todo[LANES], *done;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t pending[LANES]; /* handed to writers, not answered */
    size_t lane1_left;     /* objects of lane 1 without an outcome, handed over or not */
    struct apply_result res;
    struct err fatal; /* of the journal or of the source */
    bool stop;
    const char *wave;          /* shown as progress */
    struct http_cancel cancel; /* of the writers: the user's, or a destination that is silent */
    uint64_t heard_ms;         /* when the destination last answered, or was last idle */
    atomic_bool over;
};

static size_t batch_max(const struct job *j) {
    return j->o->batch ? j->o->batch : BATCH_DEFAULT;
}

static bool stopped(struct job *j) {
    pthread_mutex_lock(&j->lock);
    bool stop = j->stop || (j->o->cancel && atomic_load(&j->o->cancel->stop));
    pthread_mutex_unlock(&j->lock);
    return stop;
}

static void fail_whole(struct job *j, const struct err *e) {
    pthread_mutex_lock(&j->lock);
    if (!j->stop)
        j->fatal = *e;
    j->stop = true;
    pthread_cond_broadcast(&j->idle);
    pthread_mutex_unlock(&j->lock);
}

static bool to_write(const struct object *o) {
    return (o->verdict == V_CREATE || o->verdict == V_HOLD || o->verdict == V_UPDATE) &&
           o->outcome != OUT_DONE && o->outcome != OUT_STALE;
}

/* --- writers --- */

static void keep_times(struct job *j, const struct item *it) {
    struct apply_result *r = &j->res;
    if (!r->first_write_ns || it->sent_ns < r->first_write_ns)
        r->first_write_ns = it->sent_ns;
    r->last_answer_ns = MAX(r->last_answer_ns, it->answered_ns);
    r->extra_requests += it->requests > 1 ? it->requests - 1 : 0;
}

/* No answer, or one of a gateway or of an API server whose store does not answer. */
static bool is_silence(const struct err *e) {
    static const int codes[] = {-ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, -ECONNRESET,
                                -EUNKNOWNOUTCOME};
    if (e->http)
        return e->http == 503 || e->http == 504;
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (e->code == codes[i])
            return true;
    return false;
}

static void answered(struct job *j, struct item *it) {
    struct object *o = it->o;
    world_lock(j->w);
    o->outcome = it->ok ? OUT_DONE : it->err.code == -ESTOPPED ? OUT_SENT : OUT_FAILED;
    if (it->ok && !o->uid_dst)
        o->uid_dst = world_keep(j->w, it->uid);
    world_unlock(j->w);
    pthread_mutex_lock(&j->lock);
    keep_times(j, it);
    if (it->ok || !is_silence(&it->err))
        j->heard_ms = clock_now_ms();
    j->pending[order_lane(o->kind->src)]--;
    if (order_lane(o->kind->src) == 1)
        j->lane1_left--;
    pthread_cond_broadcast(&j->idle);
    pthread_mutex_unlock(&j->lock);
}

struct lane_ctx {
    struct job *j;
    size_t lane;
};

static void writer(void *ctx, size_t index UNUSED) {
    struct lane_ctx *lc = ctx;
    struct item *it;
    while ((it = queue_pop(lc->j->todo[lc->lane]))) {
        if (stopped(lc->j))
            it->err = (struct err){.code = -ESTOPPED, .msg = "stopped before it was sent"};
        else
            write_item(lc->j->w, it, &lc->j->cancel);
        answered(lc->j, it);
        MUST(queue_push(lc->j->done, it));
    }
}

/* --- watch --- */

static bool is_silent(struct job *j) {
    pthread_mutex_lock(&j->lock);
    bool waits = !j->stop && (j->pending[0] || j->pending[1]);
    bool silent = waits && clock_now_ms() - j->heard_ms > SILENT_MS;
    pthread_mutex_unlock(&j->lock);
    return silent;
}

/* With the destination down each object would be waited for by itself, for hours in all. */
static void *watch(void *arg) {
    struct job *j = arg;
    struct err e = {0};
    while (!atomic_load(&j->over)) {
        if (is_silent(j)) {
            err_set(&e, -EHOSTUNREACH,
                    "the destination has not answered for %d seconds; run `tandem migrate` again "
                    "when it does",
                    SILENT_MS / 1000);
            fail_whole(j, &e);
        }
        if (e.code || (j->o->cancel && atomic_load(&j->o->cancel->stop)))
            atomic_store(&j->cancel.stop, true);
        clock_sleep_ms(WATCH_MS);
    }
    return NULL;
}

/* --- recorder --- */

static bool outcome_unknown(const struct err *e) {
    return e->code == -EUNKNOWNOUTCOME || e->code == -ESTOPPED;
}

static void fill_effect(struct item *it) {
    it->effect.state = it->ok                      ? EFFECT_DONE
                       : outcome_unknown(&it->err) ? EFFECT_UNKNOWN
                                                   : EFFECT_FAILED;
    it->effect.uid = *it->uid ? it->uid : NULL;
    it->effect.resource_version = *it->rv ? it->rv : NULL;
    it->effect.error = it->ok ? NULL : it->err.msg;
}

static void record(struct job *j, struct item **v, size_t n) {
    struct journal_effect *ef = xcalloc(n, sizeof *ef);
    for (size_t i = 0; i < n; i++) {
        fill_effect(v[i]);
        ef[i] = v[i]->effect;
    }
    struct err e = {0};
    if (journal_effects_end(j->o->journal, ef, n, &e) < 0)
        fail_whole(j, &e);
    xfree(ef);
    world_lock(j->w);
    for (size_t i = 0; i < n; i++)
        if (v[i]->o->outcome == OUT_FAILED)
            v[i]->o->note = world_keep(j->w, err_msg(&v[i]->err));
    world_unlock(j->w);
    for (size_t i = 0; i < n; i++)
        item_free(v[i]);
}

static void count(struct job *j, struct item **v, size_t n) {
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < n; i++)
        *(v[i]->ok ? &j->res.done : &j->res.failed) += 1;
    struct apply_result r = j->res;
    const char *wave = j->wave;
    pthread_mutex_unlock(&j->lock);
    if (j->o->progress)
        j->o->progress(j->o->progress_ctx, r.done, r.failed, r.total, wave);
}

static void *recorder(void *arg) {
    struct job *j = arg;
    struct item *batch[256];
    struct item *it;
    while ((it = queue_pop(j->done))) {
        size_t n = 0, max = MIN(batch_max(j) * 2, COUNT_OF(batch));
        uint64_t until = clock_now_ms() + RECORD_MS;
        batch[n++] = it;
        while (n < max) {
            uint64_t now = clock_now_ms();
            it = now < until ? queue_pop_for(j->done, until - now) : queue_try_pop(j->done);
            if (!it)
                break;
            batch[n++] = it;
        }
        count(j, batch, n);
        record(j, batch, n);
    }
    return NULL;
}

/* --- feeder --- */

struct feeder {
    struct job *j;
    size_t lane;
    struct item *batch[256];
    size_t n;
};

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

/* The source's object is not what the frozen plan saw. True: do not write it. */
static bool is_stale(struct job *j, struct object *o, yyjson_val *body) {
    const char *planned = NULL;
    if (j->o->plan_digests && j->o->stale != STALE_ACCEPT) {
        AUTO_ARENA a = arena_new();
        planned = map_get(j->o->plan_digests, object_ref(a, o));
    }
    if (!planned)
        return false;
    uint8_t d[16];
    char hex[33];
    if (world_digest(j->w, o, body, j->o->plan_salt, d, NULL) < 0 ||
        str_eq(hash_hex(d, 16, hex), planned))
        return false;
    pthread_mutex_lock(&j->lock);
    j->res.stale++;
    if (order_lane(o->kind->src) == 1)
        j->lane1_left--;
    pthread_mutex_unlock(&j->lock);
    o->outcome = OUT_STALE;
    o->note = "changed in the source since the plan was made";
    return true;
}

static void refuse(struct job *j, struct object *o, const struct err *e) {
    world_lock(j->w);
    o->outcome = OUT_FAILED;
    o->note = world_keep(j->w, err_msg(e));
    world_unlock(j->w);
    pthread_mutex_lock(&j->lock);
    j->res.failed++;
    if (order_lane(o->kind->src) == 1)
        j->lane1_left--;
    pthread_mutex_unlock(&j->lock);
}

static int feed(struct feeder *f, struct object *o, yyjson_val *body, struct err *e) {
    if (stopped(f->j))
        return err_set(e, -ESTOPPED, "stopped");
    o->outcome = OUT_SENT;
    if (is_stale(f->j, o, body))
        return 0;
    struct item *it;
    struct err mine = {0};
    if (write_prepare(f->j->w, o, body, &it, &mine) < 0) {
        refuse(f->j, o, &mine);
        return 0;
    }
    f->batch[f->n++] = it;
    return f->n >= MIN(batch_max(f->j), COUNT_OF(f->batch)) ? flush(f, e) : 0;
}

/* Some records, borrowed. */
struct span {
    struct object **v;
    size_t n;
};

static int feed_by_get(struct feeder *f, const struct span *l, struct err *e) {
    for (size_t i = 0; i < l->n; i++) {
        AUTO_ARENA a = arena_new();
        struct object *o = l->v[i];
        yyjson_val *body;
        const char *path = kube_path(a, o->kind->src, *o->ns ? o->ns : NULL, o->name, NULL);
        struct err mine = {0};
        int r = kube_get(world_opts(f->j->w)->src, a, path, NULL, &body, &mine);
        if (r == -ENOENT) {
            refuse(f->j, o, &(struct err){.msg = "gone from the source since it was read"});
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

static int feed_by_list(struct feeder *f, const struct kind *k, int wave, struct err *e) {
    struct world *w = f->j->w;
    struct kube_list_opts lo = {.cancel = f->j->o->cancel,
                                .label_selector = world_opts(w)->label_selector};
    struct kube_pager *p = kube_pager_new(world_opts(w)->src, k->src, &lo);
    AUTO_ARENA a = arena_new();
    yyjson_val *items, *it;
    int r;
    while ((r = kube_pager_next(p, a, &items, e)) != 0) {
        if (r == -ESTALE)
            continue; /* begins again; what was written already is not written twice */
        if (r < 0)
            break;
        size_t i, max;
        yyjson_arr_foreach (items, i, max, it) {
            struct object *o =
                world_find(w, k->src->group, k->src->kind, json_str(it, "metadata", "namespace"),
                           json_str(it, "metadata", "name"));
            if (r >= 0 && o && o->wave == wave && to_write(o) && o->outcome == OUT_NONE) {
                int n = feed(f, o, it, e);
                r = n < 0 ? n : r;
            }
        }
        if (r < 0)
            break;
        arena_reset(a);
    }
    kube_pager_free(p);
    return r;
}

/* Everything of one kind in one wave. */
static int feed_kind(struct feeder *f, const struct kind *k, int wave, const struct span *l,
                     size_t of_kind, struct err *e) {
    int r = l->n <= GET_INSTEAD_OF_LIST || l->n * 20 < of_kind ? feed_by_get(f, l, e)
                                                               : feed_by_list(f, k, wave, e);
    return r < 0 ? err_ctx(e, r, "reading %s", k->src->plural) : flush(f, e);
}

/* Until everything handed over so far is answered: of lane 0, and with `all` also everything that
 * lane 1 has still to do. */
static void wait_idle(struct job *j, bool all) {
    pthread_mutex_lock(&j->lock);
    while (j->pending[0] > 0 || (all && j->pending[1] > 0) ||
           (all && j->lane1_left > 0 && !j->stop))
        pthread_cond_wait(&j->idle, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

/* --- definitions have to be established before their objects --- */

static bool established(struct job *j, const struct object *crd) {
    AUTO_ARENA a = arena_new();
    yyjson_val *body, *c;
    const char *path = kube_path(a, crd->kind->dst, NULL, crd->name, NULL);
    if (kube_get(world_opts(j->w)->dst, a, path, NULL, &body, NULL) < 0)
        return false;
    size_t i, max;
    yyjson_arr_foreach (json_get(body, "status", "conditions"), i, max, c) {
        if (str_eq(json_str(c, "type"), "Established") && str_eq(json_str(c, "status"), "True"))
            return true;
    }
    return false;
}

static void wait_established(struct job *j) {
    uint64_t until = clock_now_ms() + ESTABLISH_MS;
    for (size_t i = 0; i < world_count(j->w); i++) {
        const struct object *o = world_at(j->w, i);
        if (!object_is(o, "apiextensions.k8s.io", "CustomResourceDefinition") ||
            o->outcome != OUT_DONE)
            continue;
        while (!established(j, o) && clock_now_ms() < until && !stopped(j))
            clock_sleep_ms(50);
    }
}

/* --- waves --- */

static int next_wave(struct job *j, size_t lane, int after) {
    int best = INT32_MAX;
    for (size_t i = 0; i < world_count(j->w); i++) {
        const struct object *o = world_at(j->w, i);
        if (to_write(o) && o->outcome == OUT_NONE && o->wave > after && o->wave < best &&
            order_lane(o->kind->src) == (int)lane)
            best = o->wave;
    }
    return best;
}

/* The objects of kind k in this wave; v has room for all objects of the world. */
static size_t collect(struct job *j, const struct kind *k, int wave, struct object **v,
                      size_t *of_kind) {
    size_t n = 0;
    *of_kind = 0;
    for (size_t i = 0; i < world_count(j->w); i++) {
        struct object *o = world_at(j->w, i);
        if (o->kind != k)
            continue;
        ++*of_kind;
        if (o->wave == wave && to_write(o) && o->outcome == OUT_NONE)
            v[n++] = o;
    }
    return n;
}

static int run_wave(struct feeder *f, int wave, struct err *e) {
    struct job *j = f->j;
    const struct kind *kinds;
    size_t n = world_kinds(j->w, &kinds);
    struct object **v = xcalloc(world_count(j->w), sizeof *v);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (order_lane(kinds[i].src) != (int)f->lane)
            continue;
        struct span l = {.v = v};
        size_t of_kind;
        l.n = collect(j, &kinds[i], wave, v, &of_kind);
        if (!l.n)
            continue;
        pthread_mutex_lock(&j->lock);
        j->wave = kinds[i].src->plural;
        pthread_mutex_unlock(&j->lock);
        r = feed_kind(f, &kinds[i], wave, &l, of_kind, e);
    }
    xfree(v);
    return r;
}

enum { WAVE_NAMESPACE = 10, WAVE_DEFINITION = 20, WAVE_SERVICE = 70 };

static int run_waves(struct feeder *f, int after, int upto, struct err *e) {
    struct job *j = f->j;
    int r = 0;
    for (int wave = after; r >= 0 && (wave = next_wave(j, f->lane, wave)) <= upto;) {
        if (stopped(j))
            return err_set(e, -ESTOPPED, "stopped");
        if (f->lane == 0 && order_waits(wave))
            wait_idle(j, wave > WAVE_SERVICE);
        r = run_wave(f, wave, e);
        if (wave == WAVE_NAMESPACE || wave == WAVE_DEFINITION) {
            wait_idle(j, false);
            wait_established(j);
        }
    }
    return r;
}

static void *service_lane(void *arg) {
    struct feeder f = {.j = arg, .lane = 1};
    struct err e = {0};
    if (run_waves(&f, 0, INT32_MAX - 1, &e) < 0)
        fail_whole(f.j, &e);
    drop_batch(&f);
    return NULL;
}

static size_t count_lane1(struct job *j) {
    size_t n = 0;
    for (size_t i = 0; i < world_count(j->w); i++) {
        const struct object *o = world_at(j->w, i);
        n += to_write(o) && o->outcome == OUT_NONE && order_lane(o->kind->src) == 1;
    }
    return n;
}

/* One pass over everything that is to be written and has not been tried in this pass. */
static void run_round(struct job *j) {
    struct feeder f = {.j = j, .lane = 0};
    struct err e = {0};
    pthread_t services;
    j->lane1_left = count_lane1(j);
    int r = run_waves(&f, 0, WAVE_NAMESPACE, &e);
    MUST(pthread_create(&services, NULL, service_lane, j) == 0);
    if (r >= 0)
        r = run_waves(&f, WAVE_NAMESPACE, INT32_MAX - 1, &e);
    if (r < 0)
        fail_whole(j, &e);
    drop_batch(&f);
    pthread_join(services, NULL);
    wait_idle(j, true);
}

/* What failed may succeed now that the rest is there: forget those failures and go again. */
static size_t forgive(struct job *j) {
    size_t n = 0;
    for (size_t i = 0; i < world_count(j->w); i++) {
        struct object *o = world_at(j->w, i);
        if (to_write(o) && (o->outcome == OUT_FAILED || o->outcome == OUT_SENT)) {
            o->outcome = OUT_NONE;
            n++;
        }
    }
    return n;
}

static void run_rounds(struct job *j) {
    size_t before = SIZE_MAX;
    for (unsigned round = 0; round < ROUNDS_MAX && !stopped(j); round++) {
        if (round) {
            size_t failed = forgive(j);
            if (!failed || failed >= before)
                break;
            before = failed;
            pthread_mutex_lock(&j->lock);
            j->res.failed -= MIN(failed, j->res.failed);
            pthread_mutex_unlock(&j->lock);
        }
        run_round(j);
    }
}

static void count_results(struct job *j) {
    j->res.done = j->res.failed = j->res.stale = j->res.left = 0;
    bool cut = stopped(j);
    for (size_t i = 0; i < world_count(j->w); i++) {
        const struct object *o = world_at(j->w, i);
        if (o->verdict != V_CREATE && o->verdict != V_HOLD && o->verdict != V_UPDATE)
            continue;
        j->res.done += o->outcome == OUT_DONE;
        j->res.stale += o->outcome == OUT_STALE;
        bool open = o->outcome == OUT_NONE || o->outcome == OUT_SENT;
        j->res.left += open && cut;
        j->res.failed += o->outcome == OUT_FAILED || (open && !cut);
    }
}

int apply_plan(const struct apply_opts *o, struct apply_result *ret, struct err *e) {
    struct job j = {
        .o = o, .w = o->world, .lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};
    for (size_t i = 0; i < world_count(o->world); i++)
        j.res.total += to_write(world_at(o->world, i));
    struct lane_ctx lc[LANES] = {{&j, 0}, {&j, 1}};
    for (size_t i = 0; i < LANES; i++)
        j.todo[i] = queue_new(QUEUE_MAX);
    j.done = queue_new(QUEUE_MAX);
    unsigned writes = o->writes ? o->writes : WRITES_DEFAULT;
    struct workers *w0 = workers_start(MAX(writes, 3u) - SERVICE_WRITERS, writer, &lc[0]);
    struct workers *w1 = workers_start(SERVICE_WRITERS, writer, &lc[1]);
    pthread_t rec, watcher;
    MUST(pthread_create(&rec, NULL, recorder, &j) == 0);
    MUST(pthread_create(&watcher, NULL, watch, &j) == 0);
    run_rounds(&j);
    for (size_t i = 0; i < LANES; i++)
        queue_close(j.todo[i]);
    workers_join(w0);
    workers_join(w1);
    queue_close(j.done);
    pthread_join(rec, NULL);
    atomic_store(&j.over, true);
    pthread_join(watcher, NULL);
    for (size_t i = 0; i < LANES; i++)
        queue_free(j.todo[i]);
    queue_free(j.done);
    count_results(&j);
    *ret = j.res;
    if (o->cancel && atomic_load(&o->cancel->stop))
        return err_set(e, -ESTOPPED, "stopped; run `tandem migrate` again to go on");
    if (j.stop && e)
        *e = j.fatal;
    return !j.stop ? 0 : j.fatal.code < 0 ? j.fatal.code : -EIO;
}
