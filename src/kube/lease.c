#include "kube/lease.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/alive.h"
#include "base/clock.h"
#include "base/log.h"
#include "kube/fence.h"

/* DURATION, WRITE, RENEW: client-go's LeaseDuration and RenewDeadline, and half of the latter: a
 * renewal may fail once. */
enum { DURATION_MS = 15000, WRITE_MS = 10000, RENEW_MS = 5000, AGAIN_MS = 1000 };
/* A strange Lease shall not make anybody wait for hours. */
enum { LONGEST_S = 60, LOOK_MS = 1000, TICK_MS = 100, ROUNDS = 6, WEAK_ROUNDS = 6, WEAK_MS = 100 };
enum { REQUEST_MS = 4000, TERMINATING_MS = 30000 };

#define GROUP   "/apis/coordination.k8s.io/v1/namespaces/"
#define PROCESS "tandem.dev/process"
#define BY      "app.kubernetes.io/managed-by"

struct lease {
    struct kube_client *c;
    struct lease_opts o;
    struct arena *a; /* for what o names */
    const char *path;
    char process[ALIVE_MAX];
    struct kube_fence fence;
    char uid[64], rv[64];
    int64_t epoch, taken_ms; /* wall */
    pthread_t thread;
    int stop;                  /* eventfd */
    struct http_cancel cancel; /* of renewals; never the command's, which ^C sets */
};

/* One that is there. */
struct seen {
    const char *holder, *rv, *uid, *process, *since, *renewed;
    int64_t epoch;
    uint32_t duration_ms;
};

/* --- requests --- */

static int ask(struct lease *l, struct arena *a, const char *method, const char *path,
               const char *body, bool once, yyjson_val **ret, struct err *e) {
    struct kube_req req = {.method = method,
                           .path = path,
                           .body = body,
                           .body_len = body ? strlen(body) : 0,
                           .lane = "lease",
                           .timeout_ms = REQUEST_MS,
                           .no_retry = once,
                           .unfenced = true,
                           .cancel = !once && l->o.cancel ? l->o.cancel : &l->cancel};
    struct kube_resp resp = {0};
    int r = kube_do(l->c, a, &req, &resp, e);
    return r < 0 ? r : json_parse(a, resp.body, resp.body_len, ret, e);
}

/* A MicroTime takes six digits behind the point, no more and no fewer. */
static const char *micro_time(struct arena *a, int64_t wall_ms) {
    char at[CLOCK_RFC3339_MAX];
    clock_rfc3339(wall_ms, at);
    return arena_printf(a, "%.*s000Z", (int)strlen(at) - 1, at);
}

/* rv NULL: a new one. held: ours; else given back. */
static char *body_of(const struct lease *l, struct arena *a, const char *rv, bool held) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "apiVersion", "coordination.k8s.io/v1");
    json_mut_set_str(d, root, "kind", "Lease");
    yyjson_mut_val *meta = json_mut_obj_at(d, root, "metadata");
    json_mut_set_str(d, meta, "name", l->o.name);
    json_mut_set_str(d, meta, "namespace", l->o.namespace);
    if (rv)
        json_mut_set_str(d, meta, "resourceVersion", rv);
    json_mut_set_str(d, json_mut_obj_at(d, meta, "labels"), BY, "tandem");
    if (held)
        json_mut_set_str(d, json_mut_obj_at(d, meta, "annotations"), PROCESS, l->process);
    yyjson_mut_val *spec = json_mut_obj_at(d, root, "spec");
    if (held)
        json_mut_set_str(d, spec, "holderIdentity", l->o.identity);
    json_mut_set_int(d, spec, "leaseDurationSeconds", l->o.duration_ms / 1000);
    json_mut_set_str(d, spec, "acquireTime", micro_time(a, l->taken_ms));
    json_mut_set_str(d, spec, "renewTime", micro_time(a, clock_wall_ms()));
    json_mut_set_int(d, spec, "leaseTransitions", l->epoch);
    return json_mut_write(a, root, NULL);
}

static void read_seen(yyjson_val *v, struct seen *ret) {
    const char *holder = json_str(v, "spec", "holderIdentity");
    const char *since = json_str(v, "spec", "acquireTime");
    const char *renewed = json_str(v, "spec", "renewTime");
    int64_t s = json_int(json_get(v, "spec", "leaseDurationSeconds"), DURATION_MS / 1000);
    *ret = (struct seen){
        .holder = holder ? holder : "",
        .rv = json_str(v, "metadata", "resourceVersion"),
        .uid = json_str(v, "metadata", "uid"),
        .process = json_str(v, "metadata", "annotations", PROCESS),
        .since = since ? since : "an unknown time",
        .renewed = renewed ? renewed : "never",
        .epoch = json_int(json_get(v, "spec", "leaseTransitions"), 0),
        .duration_ms = (uint32_t)MIN(MAX(s, 1), LONGEST_S) * 1000,
    };
}

static int look(struct lease *l, struct arena *a, bool once, struct seen *ret, struct err *e) {
    yyjson_val *v;
    int r = ask(l, a, "GET", l->path, NULL, once, &v, e);
    if (r >= 0)
        read_seen(v, ret);
    return r;
}

/* Writes may go on from when the request began: nobody else's clock for it began earlier. */
static void keep(struct lease *l, yyjson_val *v, uint64_t began_ns) {
    const char *uid = json_str(v, "metadata", "uid"),
               *rv = json_str(v, "metadata", "resourceVersion");
    snprintf(l->uid, sizeof l->uid, "%s", uid ? uid : "");
    snprintf(l->rv, sizeof l->rv, "%s", rv ? rv : "");
    atomic_store(&l->fence.until_ns, began_ns + l->o.write_ms * UINT64_C(1000000));
}

static int put(struct lease *l, struct arena *a, const char *rv, bool once, struct err *e) {
    uint64_t began = clock_boot_ns();
    yyjson_val *v;
    int r = ask(l, a, "PUT", l->path, body_of(l, a, rv, true), once, &v, e);
    if (r >= 0)
        keep(l, v, began);
    return r;
}

/* A namespace that is on its way out takes nothing in, and is gone in a moment. */
static int create(struct lease *l, struct arena *a, struct err *e) {
    uint64_t end = clock_now_ms() + TERMINATING_MS;
    const char *path = arena_printf(a, GROUP "%s/leases", l->o.namespace);
    for (;;) {
        uint64_t began = clock_boot_ns();
        struct err own = {0};
        yyjson_val *v;
        int r = ask(l, a, "POST", path, body_of(l, a, NULL, true), false, &v, &own);
        if (r >= 0) {
            keep(l, v, began);
            return 0;
        }
        bool ending = r == -EACCES && strstr(own.msg, "being terminated");
        if (!ending || clock_now_ms() >= end) {
            if (e)
                *e = own;
            return r;
        }
        clock_sleep_ms(LOOK_MS / 2);
    }
}

/* --- taking it --- */

static bool stopped(const struct lease *l) {
    return l->o.cancel && atomic_load(&l->o.cancel->stop);
}

static int wait_ms(const struct lease *l, uint64_t ms, struct err *e) {
    for (uint64_t end = clock_now_ms() + ms; clock_now_ms() < end; clock_sleep_ms(TICK_MS))
        if (stopped(l))
            return err_set(e, -ESTOPPED, "stopped while waiting for the lease of another");
    return 0;
}

static int busy(const struct lease *l, const struct seen *s, struct err *e) {
    return err_set(e, -EBUSY,
                   "%s: %s writes to this cluster since %s (lease %s/%s, renewed %s): wait for it, "
                   "or stop it",
                   kube_client_name(l->c), s->holder, s->since, l->o.namespace, l->o.name,
                   s->renewed);
}

/* Seen unchanged for its duration: 0, and s is as it was; -EAGAIN: it was given back or deleted; or
 * it lives. Times in it are not looked at: they are of another clock. */
static int outwait(struct lease *l, struct arena *a, const struct seen *s, struct err *e) {
    uint64_t end = clock_now_ms() + MAX(s->duration_ms, l->o.duration_ms);
    if (l->o.waiting)
        l->o.waiting(kube_client_name(l->c), s->holder, (uint32_t)(end - clock_now_ms()));
    while (clock_now_ms() < end) {
        struct seen now;
        int r = wait_ms(l, MIN((uint64_t)LOOK_MS, end - clock_now_ms()), e);
        if (r >= 0)
            r = look(l, a, false, &now, e);
        if (r == -ENOENT || (r >= 0 && str_empty(now.holder)))
            return -EAGAIN;
        if (r < 0)
            return r;
        if (!str_eq(now.rv, s->rv))
            return busy(l, &now, e);
    }
    return 0;
}

/* Why it is ours to take: 0 with the reason in how, or negative. */
static int may_take(struct lease *l, struct arena *a, const struct seen *s, struct lease_taken *how,
                    struct err *e) {
    const char *why = NULL;
    if (str_empty(s->holder))
        return 0;
    if (str_eq(s->holder, l->o.identity))
        return 0; /* the answer to our own request was lost */
    if (alive_ended(s->process))
        why = "its process has ended";
    else if (l->o.by_force)
        why = "by force, for the way back";
    int r = why ? 0 : outwait(l, a, s, e);
    if (r < 0)
        return r;
    how->over = true;
    snprintf(how->from, sizeof how->from, "%.180s (%s)", s->holder,
             why ? why : "it was not renewed for its whole duration");
    return 0;
}

static int replace(struct lease *l, struct arena *a, const struct seen *s, struct err *e) {
    bool ours = str_eq(s->holder, l->o.identity);
    l->epoch = ours ? s->epoch : s->epoch + 1;
    return put(l, a, s->rv, false, e);
}

/* One that lived may go on to write until it has noticed, or its own fence has run out. */
static int wait_for_its_fence(struct lease *l, struct arena *a, struct err *e) {
    int r = wait_ms(l, l->o.write_ms, e);
    return r < 0 ? r : put(l, a, l->rv, false, e);
}

/* One round; -EAGAIN: somebody was faster, or what became of it is not known: look again. */
static int try_once(struct lease *l, struct lease_taken *how, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct seen s;
    int r = look(l, a, false, &s, e);
    if (r == -ENOENT) {
        l->epoch = 0;
        r = create(l, a, e);
        return r == -EEXIST || r == -EUNKNOWNOUTCOME ? -EAGAIN : r;
    }
    if (r < 0)
        return r;
    if (!str_eq(s.holder, l->o.identity))
        *how = (struct lease_taken){0};
    r = may_take(l, a, &s, how, e);
    if (r < 0)
        return r;
    r = replace(l, a, &s, e);
    if (r >= 0 && how->over && l->o.by_force && !alive_ended(s.process))
        r = wait_for_its_fence(l, a, e);
    return r == -EUNKNOWNOUTCOME || r == -ENOENT ? -EAGAIN : r;
}

/* --- renewal --- */

static void lose(struct lease *l, const char *who) {
    char why[384], at[CLOCK_RFC3339_MAX];
    snprintf(why, sizeof why,
             "lost the lease of this cluster: %.200s (noticed at %s). Nothing more is written", who,
             clock_rfc3339(clock_wall_ms(), at));
    fence_lose(&l->fence, why);
    log_error("%s: %s", kube_client_name(l->c), why);
}

/* It was changed, or is not there: by us, in a request whose answer was lost, or by another? */
static bool still_ours(struct lease *l, struct arena *a) {
    struct seen s;
    struct err e = {0};
    int r = look(l, a, true, &s, &e);
    if (r >= 0 && str_eq(s.holder, l->o.identity)) {
        snprintf(l->rv, sizeof l->rv, "%s", s.rv ? s.rv : "");
        return true;
    }
    if (r >= 0)
        lose(l, str_empty(s.holder) ? "somebody has given it back"
                                    : arena_printf(a, "%s holds it since %s", s.holder, s.since));
    else if (r == -ENOENT)
        lose(l, "it was deleted");
    return false;
}

static bool renew(struct lease *l) {
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    int r = put(l, a, l->rv, true, &e);
    if ((r == -EAGAIN || r == -ENOENT) && still_ours(l, a))
        r = put(l, a, l->rv, true, &e);
    if (r < 0)
        log_debug("%s: the lease was not renewed: %s", kube_client_name(l->c), err_msg(&e));
    return r >= 0;
}

/* Whether it is to end is looked at in between, and so is the clock that goes on in a machine's
 * sleep, which no wait does. */
static bool sleep_until(struct lease *l, uint64_t boot_ns) {
    struct pollfd p = {.fd = l->stop, .events = POLLIN};
    while (clock_boot_ns() < boot_ns)
        if (poll(&p, 1, TICK_MS) > 0)
            return false;
    return poll(&p, 1, 0) == 0;
}

static void *renew_main(void *arg) {
    struct lease *l = arg;
    uint64_t due = clock_boot_ns() + l->o.renew_ms * UINT64_C(1000000);
    while (sleep_until(l, due) && !lease_lost(l)) {
        uint64_t began = clock_boot_ns();
        bool good = renew(l);
        atomic_store(&l->fence.tried_ns, began);
        uint32_t pause = good ? l->o.renew_ms : MIN(l->o.renew_ms, (uint32_t)AGAIN_MS);
        due = began + pause * UINT64_C(1000000);
    }
    return NULL;
}

bool lease_lost(const struct lease *l) {
    return atomic_load(&((struct lease *)(uintptr_t)l)->fence.lost);
}

bool lease_in_doubt(struct lease *l) {
    return !lease_lost(l) && fence_in_doubt(&l->fence);
}

int lease_check(struct lease *l, uint64_t patience_ms, const struct http_cancel *cancel,
                struct err *e) {
    return patience_ms || lease_lost(l) ? fence_pass(&l->fence, patience_ms, cancel, e) : 0;
}

/* --- the whole --- */

static struct lease *lease_new(struct kube_client *c, const struct lease_opts *o) {
    struct lease *l = xcalloc(1, sizeof *l);
    l->c = c;
    l->o = *o;
    l->a = arena_new();
    l->o.namespace = arena_strdup(l->a, o->namespace);
    l->o.name = arena_strdup(l->a, o->name);
    l->o.identity = arena_strdup(l->a, o->identity);
    l->o.duration_ms = o->duration_ms ? o->duration_ms : DURATION_MS;
    l->o.write_ms = o->write_ms ? o->write_ms : WRITE_MS;
    l->o.renew_ms = o->renew_ms ? o->renew_ms : RENEW_MS;
    l->path = arena_printf(l->a, GROUP "%s/leases/%s", o->namespace, o->name);
    l->taken_ms = clock_wall_ms();
    alive_stamp(l->process);
    fence_init(&l->fence);
    l->stop = eventfd(0, EFD_CLOEXEC);
    MUST(l->stop >= 0);
    return l;
}

static void lease_free(struct lease *l) {
    close(l->stop);
    arena_free(l->a);
    xfree(l);
}

/* A moment's weakness of the server, or an answer that nobody could read: what became of it is seen
 * by looking. A webhook that cannot be called stays so. */
static bool is_passing(int r, const struct err *e) {
    return r == -EBADMSG || (r < 0 && e->http >= 500 && !strstr(e->msg, "webhook"));
}

int lease_take(struct kube_client *c, const struct lease_opts *o, struct lease **ret,
               struct lease_taken *how, struct err *e) {
    struct lease *l = lease_new(c, o);
    struct err last = {0};
    struct lease_taken t = {0};
    int r = -EAGAIN;
    for (unsigned i = 0; r == -EAGAIN && i < ROUNDS; i++)
        r = stopped(l) ? err_set(&last, -ESTOPPED, "stopped") : try_once(l, &t, &last);
    for (unsigned i = 0; is_passing(r, &last) && i < WEAK_ROUNDS; i++) {
        struct err e2 = {0};
        r = wait_ms(l, WEAK_MS << i, &e2);
        last = (struct err){0};
        r = r < 0 ? err_set(&last, -ESTOPPED, "stopped") : try_once(l, &t, &last);
        r = r == -EAGAIN ? try_once(l, &t, &last) : r;
    }
    if (r < 0) {
        if (e)
            *e = last;
        if (r == -EAGAIN)
            r = err_set(e, -EBUSY, "%s: others take the lease %s/%s again and again",
                        kube_client_name(c), o->namespace, o->name);
        lease_free(l);
        return r;
    }
    t.epoch = l->epoch;
    l->o.cancel = NULL;
    kube_client_set_fence(c, &l->fence);
    MUST(pthread_create(&l->thread, NULL, renew_main, l) == 0);
    *how = t;
    *ret = l;
    return 0;
}

static int delete_seen(struct lease *l, struct arena *a, const char *uid, const char *rv,
                       struct err *e) {
    yyjson_val *v;
    int r = ask(l, a, "DELETE", l->path, kube_delete_body(a, uid, rv), true, &v, e);
    return r == -ENOENT || r == -EAGAIN ? 0 : r; /* gone, or another's by now */
}

static void give_back(struct lease *l, bool remove) {
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    yyjson_val *v;
    int r = remove ? delete_seen(l, a, l->uid, l->rv, &e)
                   : ask(l, a, "PUT", l->path, body_of(l, a, l->rv, false), true, &v, &e);
    if (r < 0)
        log_debug("%s: the lease was not given back: %s", kube_client_name(l->c), err_msg(&e));
}

void lease_pair(struct lease *a, struct lease *b) {
    atomic_store(&a->fence.partner, &b->fence);
    atomic_store(&b->fence.partner, &a->fence);
}

static void lease_unpair(struct lease *l) {
    struct kube_fence *other = atomic_exchange(&l->fence.partner, NULL);
    if (other)
        atomic_store(&other->partner, NULL);
}

void lease_end(struct lease *l, bool remove) {
    if (!l)
        return;
    atomic_store(&l->cancel.stop, true);
    MUST(eventfd_write(l->stop, 1) == 0);
    pthread_join(l->thread, NULL);
    atomic_store(&l->cancel.stop, false);
    lease_unpair(l);
    if (!lease_lost(l))
        give_back(l, remove);
    kube_client_set_fence(l->c, NULL);
    lease_free(l);
}

int lease_sweep(struct kube_client *c, const char *namespace, const char *name, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct lease_opts o = {.namespace = namespace, .name = name, .identity = ""};
    struct lease *l = lease_new(c, &o);
    struct seen s;
    int r = look(l, a, true, &s, e);
    if (r >= 0 && str_empty(s.holder))
        r = delete_seen(l, a, s.uid, s.rv, e);
    lease_free(l);
    return r == -ENOENT ? 0 : r;
}
