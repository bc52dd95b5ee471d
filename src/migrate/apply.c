#include "migrate/apply.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "migrate/apply_impl.h"
#include "migrate/order.h"

enum {
    WRITES_DEFAULT = 32,
    BATCH_DEFAULT = 100,
    SERVICE_WRITERS = 2,
    QUEUE_MAX = 128,
    RECORD_MS = 40,
    ROUNDS_MAX = 10,   /* each must have fewer failures than the one before */
    SILENT_MS = 45000, /* longer than the longest webhook may take */
    WATCH_MS = 50,
};

size_t job_batch(const struct job *j) {
    return j->o->batch ? j->o->batch : BATCH_DEFAULT;
}

bool job_stopped(struct job *j) {
    pthread_mutex_lock(&j->lock);
    bool stop = j->stop || (j->o->cancel && atomic_load(&j->o->cancel->stop));
    pthread_mutex_unlock(&j->lock);
    return stop;
}

void job_fail(struct job *j, const struct err *e) {
    pthread_mutex_lock(&j->lock);
    if (!j->stop)
        j->fatal = *e;
    j->stop = true;
    pthread_cond_broadcast(&j->idle);
    pthread_mutex_unlock(&j->lock);
}

/* --- writers --- */

static void keep_times(struct job *j, const struct item *it) {
    struct apply_result *r = &j->res;
    if (!it->sent_ns)
        return; /* stopped before it was sent */
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
    if (it->ok && !o->in_dst)
        world_set_uid_dst(j->w, o, it->uid);
    if (o->outcome == OUT_FAILED)
        o->note = world_keep(j->w, err_msg(&it->err));
    world_unlock(j->w);
    pthread_mutex_lock(&j->lock);
    keep_times(j, it);
    if (it->ok || !is_silence(&it->err))
        j->heard_ms = clock_now_ms();
    j->pending[order_lane(o)]--;
    waits_answered(j->waits, o);
    if (o->outcome == OUT_FAILED)
        waits_failed(j->waits, o);
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
        if (job_stopped(lc->j))
            it->err = (struct err){.code = -ESTOPPED, .msg = "stopped before it was sent"};
        else
            write_item(lc->j->w, it, &lc->j->cancel);
        if (it->err.code == -EGUARD) /* the lease is lost: no other write would get further */
            job_fail(lc->j, &it->err);
        backend_prove(lc->j->w, it, &lc->j->cancel);
        answered(lc->j, it);
        MUST(queue_push(lc->j->done, it));
    }
}

/* --- watch --- */

static bool is_silent(struct job *j) {
    pthread_mutex_lock(&j->lock);
    bool waits = !j->stop && (j->pending[0] || j->pending[1]);
    uint64_t heard = MAX(j->heard_ms, kube_client_heard_ms(world_opts(j->w)->dst));
    bool silent = waits && clock_now_ms() > heard + SILENT_MS;
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
            job_fail(j, &e);
        }
        if (e.code || (j->o->cancel && atomic_load(&j->o->cancel->stop)))
            atomic_store(&j->cancel.stop, true);
        clock_sleep_ms(WATCH_MS);
    }
    return NULL;
}

/* --- recorder --- */

/* A server that failed half-way may have written it all the same. */
static bool outcome_unknown(const struct err *e) {
    return e->http >= 500 || e->code == -EUNKNOWNOUTCOME || e->code == -ESTOPPED;
}

void item_outcome(struct item *it) {
    bool made = it->written && !it->theirs;
    bool unknown = !it->theirs && (it->lost || outcome_unknown(&it->err));
    it->effect.state = made ? EFFECT_DONE : unknown ? EFFECT_UNKNOWN : EFFECT_FAILED;
    it->effect.uid = *it->uid ? it->uid : NULL;
    it->effect.resource_version = *it->rv ? it->rv : NULL;
    it->effect.error = it->theirs ? it->theirs : it->ok ? NULL : it->err.msg;
}

static void record(struct job *j, struct item **v, size_t n) {
    struct journal_effect *ef = xcalloc(n, sizeof *ef);
    for (size_t i = 0; i < n; i++) {
        item_outcome(v[i]);
        ef[i] = v[i]->effect;
    }
    struct err e = {0};
    if (journal_effects_end(j->o->journal, ef, n, &e) < 0)
        job_fail(j, &e);
    xfree(ef);
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
        size_t n = 0, max = MIN(job_batch(j) * 2, COUNT_OF(batch));
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

/* --- rounds --- */

static int by_turn(const void *x, const void *y) {
    const struct object *p = *(struct object *const *)x, *q = *(struct object *const *)y;
    if (order_lane(p) != order_lane(q))
        return order_lane(p) - order_lane(q);
    if (p->wave != q->wave)
        return p->wave < q->wave ? -1 : 1;
    if (p->kind != q->kind)
        return p->kind < q->kind ? -1 : 1;
    return 0;
}

/* What stands behind a webhook may come with what is tried now; with nothing but webhooks it does
 * not, and they have been waited for. */
static void renew_backends(struct job *j) {
    for (size_t i = 0; i < j->agenda.n; i++)
        if (j->agenda.v[i]->wave < WAVE_ADMISSION)
            memset(j->backends_ms, 0, sizeof j->backends_ms);
}

static void make_agenda(struct job *j) {
    j->agenda.n = 0;
    waits_forget_failures(j->waits);
    for (size_t i = 0; i < world_count(j->w); i++) {
        struct object *o = world_at(j->w, i);
        if (o->outcome == OUT_LATER)
            o->outcome = OUT_NONE;
        if (!object_due(o))
            continue;
        j->agenda.v[j->agenda.n++] = o;
        if (order_lane(o) == 1)
            waits_expect(j->waits, o);
    }
    qsort(j->agenda.v, j->agenda.n, sizeof *j->agenda.v, by_turn);
    renew_backends(j);
}

/* Services that nobody will hand over any more must not be waited for. */
static void give_up_services(struct job *j) {
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->agenda.n; i++)
        if (order_lane(j->agenda.v[i]) == 1 && object_due(j->agenda.v[i]))
            waits_answered(j->waits, j->agenda.v[i]);
    pthread_cond_broadcast(&j->idle);
    pthread_mutex_unlock(&j->lock);
}

static void *service_lane(void *arg) {
    struct job *j = arg;
    struct err e = {0};
    if (feed_waves(j, 1, 0, INT32_MAX, &e) < 0)
        job_fail(j, &e);
    give_up_services(j);
    return NULL;
}

/* One pass over everything that is to be written and has not been tried in this pass. */
static void run_round(struct job *j) {
    struct err e = {0};
    pthread_t services;
    make_agenda(j);
    int r = feed_waves(j, 0, 0, WAVE_NAMESPACE, &e);
    feed_wait_idle(j);
    MUST(pthread_create(&services, NULL, service_lane, j) == 0);
    if (r >= 0)
        r = feed_waves(j, 0, WAVE_NAMESPACE, INT32_MAX, &e);
    if (r < 0)
        job_fail(j, &e);
    pthread_join(services, NULL);
    feed_wait_idle(j);
}

/* What failed may succeed now that the rest is there. */
static bool may_be_tried_again(const struct object *o) {
    return object_to_write(o) &&
           (o->outcome == OUT_FAILED || o->outcome == OUT_SENT || o->outcome == OUT_LATER);
}

static size_t count_failures(struct job *j) {
    size_t n = 0;
    for (size_t i = 0; i < world_count(j->w); i++)
        n += may_be_tried_again(world_at(j->w, i));
    return n;
}

static void forget_failures(struct job *j) {
    for (size_t i = 0; i < world_count(j->w); i++) {
        struct object *o = world_at(j->w, i);
        if (may_be_tried_again(o))
            o->outcome = OUT_NONE;
    }
    pthread_mutex_lock(&j->lock);
    j->res.failed = 0;
    pthread_mutex_unlock(&j->lock);
}

/* References to owners that were not there yet, now that they are. */
static void run_relinks(struct job *j) {
    size_t n = 0;
    for (size_t i = 0; i < world_count(j->w); i++) {
        struct object *o = world_at(j->w, i);
        o->relink = o->relink && o->outcome == OUT_DONE;
        n += o->relink;
        if (o->relink)
            o->outcome = OUT_NONE;
    }
    if (n && !job_stopped(j))
        run_round(j);
}

static void run_until_stuck(struct job *j) {
    size_t before = SIZE_MAX;
    for (unsigned round = 0; round < ROUNDS_MAX && !job_stopped(j); round++) {
        if (round) {
            size_t failed = count_failures(j);
            if (!failed || failed >= before)
                break;
            before = failed;
            forget_failures(j);
        }
        run_round(j);
    }
}

static bool any_held_back(const struct job *j) {
    for (size_t i = 0; i < world_count(j->w); i++)
        if (world_at(j->w, i)->outcome == OUT_LATER)
            return true;
    return false;
}

/* Some of what failed may need what was held back: all of it is tried once more after that. */
static void run_rounds(struct job *j) {
    j->hold_back = true;
    run_until_stuck(j);
    j->hold_back = false;
    if (any_held_back(j))
        run_until_stuck(j);
    run_relinks(j);
}

static void count_results(struct job *j) {
    j->res.done = j->res.failed = j->res.stale = j->res.left = 0;
    bool cut = job_stopped(j);
    for (size_t i = 0; i < world_count(j->w); i++) {
        const struct object *o = world_at(j->w, i);
        if (o->verdict != V_CREATE && o->verdict != V_HOLD && o->verdict != V_UPDATE)
            continue;
        j->res.done += o->outcome == OUT_DONE;
        j->res.stale += o->outcome == OUT_STALE;
        bool open = o->outcome == OUT_NONE || o->outcome == OUT_SENT || o->outcome == OUT_LATER;
        j->res.left += open && cut;
        j->res.failed += o->outcome == OUT_FAILED || (open && !cut);
    }
}

int apply_plan(const struct apply_opts *o, struct apply_result *ret, struct err *e) {
    struct job j = {
        .o = o, .w = o->world, .lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};
    for (size_t i = 0; i < world_count(o->world); i++)
        j.res.total += object_to_write(world_at(o->world, i));
    size_t n_kinds = world_kinds(o->world, &(const struct kind *){NULL});
    j.waits = waits_new(o->world);
    j.agenda.v = xcalloc(world_count(o->world) + 1, sizeof *j.agenda.v);
    j.of_kind = xcalloc(n_kinds + 1, sizeof *j.of_kind);
    for (size_t i = 0; i < world_count(o->world); i++)
        j.of_kind[world_at(o->world, i)->kind - world_kind_at(o->world, 0)]++;
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
    waits_free(j.waits);
    xfree(j.agenda.v);
    xfree(j.of_kind);
    count_results(&j);
    *ret = j.res;
    if (o->cancel && atomic_load(&o->cancel->stop))
        return err_set(e, -ESTOPPED, "stopped; run `tandem migrate` again to go on");
    if (j.stop && e)
        *e = j.fatal;
    return !j.stop ? 0 : j.fatal.code < 0 ? j.fatal.code : -EIO;
}
