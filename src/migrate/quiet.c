/* When is what was stopped really still? Facts from the CronJob controller of Kubernetes
 * (pkg/controller/cronjob/cronjob_controllerv2.go, 1.33 and 1.37):
 *
 * - It reads the CronJob from its informer's cache when a schedule time has come (100 ms later),
 * and starts nothing once it sees `suspend`. Schedule times are whole minutes, in every time zone.
 * - A run is a Job named CRONJOB-MINUTES, made first; status.lastScheduleTime is written
 * afterwards, and that write fails for good when a suspend came in between. So the newest Job
 * counts, not the status alone.
 * - Let loose again it makes up for the newest schedule time since lastScheduleTime (or the
 * creation) that startingDeadlineSeconds still allows.
 *
 * So: suspend away from the turn of the minute, give the cache time to see it, read status and
 * Jobs, write lastScheduleTime over there, and only then let loose there. A minute that turns
 * meanwhile is made up for by whoever is let loose. The clocks of this machine and of the control
 * planes have to agree to a few seconds. */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "kube/list.h"
#include "migrate/facts.h"
#include "migrate/handover_impl.h"

enum {
    MINUTE_MS = 60000,
    AFTER_MS = 5000,  /* a run of the last minute is begun by then */
    BEFORE_MS = 6000, /* from here on the next minute may come before all is done */
    SETTLE_MS = 2000, /* an informer's cache is never that late, but for one that hangs */
    STEP_MS = 250,
    RUNS_STEP_MS = 1000,
    WAIT_MS = 60000,
};

static bool is_cronjob(const struct held *h) {
    return str_eq(h->row->group, "batch") && str_eq(h->r->kind, "CronJob");
}

static bool is_stopped(const struct http_cancel *c) {
    return c && atomic_load(&c->stop);
}

static void nap(uint64_t ms, const struct http_cancel *c) {
    for (uint64_t end = clock_now_ms() + ms; !is_stopped(c);) {
        uint64_t now = clock_now_ms();
        if (now >= end)
            return;
        clock_sleep_ms(MIN(end - now, (uint64_t)STEP_MS));
    }
}

static uint64_t wait_until(const struct handover_opts *o) {
    return clock_now_ms() + (o->wait_ms ? o->wait_ms : WAIT_MS);
}

bool quiet_fits(int64_t since, int64_t now) {
    int64_t left = MINUTE_MS - now % MINUTE_MS, used = now - since;
    return since / MINUTE_MS == now / MINUTE_MS && left > BEFORE_MS + used;
}

void quiet_window(struct held *h, struct http_cancel *cancel) {
    int64_t at = clock_wall_ms() % MINUTE_MS;
    h->timed = is_cronjob(h);
    if (!h->timed || (at >= AFTER_MS && at < MINUTE_MS - BEFORE_MS))
        return;
    log_progress("waiting for the turn of the minute to pass");
    nap((uint64_t)((AFTER_MS - at + MINUTE_MS) % MINUTE_MS), cancel);
}

/* --- pods --- */

/* "k=v,k2=v2" of what the workload selects; NULL when it is not that simple. In a. */
static const char *pod_selector(struct arena *a, yyjson_val *live) {
    yyjson_val *sel = json_get(live, "spec", "selector"), *key, *val;
    yyjson_val *labels = json_get(sel, "matchLabels");
    size_t i, max;
    AUTO_SB b = SB_INIT(0);
    if (json_get(sel, "matchExpressions"))
        return NULL;
    if (!labels)
        labels = sel; /* of a ReplicationController */
    if (!labels)
        return NULL;
    json_obj_foreach (labels, i, max, key, val) {
        const char *v = yyjson_get_str(val);
        if (!v)
            return NULL;
        sb_fmt(&b, "%s%s=%s", b.len ? "," : "", yyjson_get_str(key), v);
    }
    return b.len ? arena_strdup(a, b.p) : NULL;
}

static int count_pod(void *ctx, yyjson_val *pod, struct err *e UNUSED) {
    const char *phase = json_str(pod, "status", "phase");
    *(size_t *)ctx += !str_eq(phase, "Succeeded") && !str_eq(phase, "Failed");
    return 0;
}

static int pods_left(struct arena *a, const struct side *s, const struct held *h,
                     const char *selector, size_t *ret) {
    static const struct kube_resource pods = {.group = "",
                                              .version = "v1",
                                              .kind = "Pod",
                                              .plural = "pods",
                                              .namespaced = true,
                                              .verbs = KUBE_LIST};
    size_t n = 0;
    struct kube_list_opts lo = {.namespace = h->ns, .label_selector = selector};
    struct kube_list_fn fn = {.item = count_pod, .ctx = &n};
    int r = kube_list(s->c, a, &pods, &lo, &fn, NULL, NULL);
    *ret = r < 0 ? 0 : n;
    return r;
}

/* A pod that is being ended still acts, for up to its grace period. */
static void wait_pods(struct arena *a, const struct side *s, struct held *h, uint64_t end,
                      struct http_cancel *cancel) {
    yyjson_val *live;
    bool has_pods = str_eq(h->row->path, "/spec/replicas") ||
                    (str_eq(h->r->group, "batch") && str_eq(h->r->kind, "Job"));
    if (!has_pods || handover_read(a, s, h, &live, NULL) < 0)
        return;
    const char *selector = pod_selector(a, live);
    size_t n = 0;
    int r = selector ? pods_left(a, s, h, selector, &n) : 0;
    while (r >= 0 && n && clock_now_ms() < end && !is_stopped(cancel)) {
        log_progress("waiting for %zu pods of %s %s/%s to end", n, h->r->kind, h->ns, h->name);
        clock_sleep_ms(STEP_MS);
        r = pods_left(a, s, h, selector, &n);
    }
    if (r < 0 || !selector)
        h->under_way =
            arena_printf(a, "; whether its pods have ended in %c could not be seen", s->slot);
    if (n)
        h->under_way = arena_printf(a, "; %zu of its pods are still ending in %c", n, s->slot);
}

/* --- the last run of a CronJob --- */

static void later(const char *text, int64_t *at) {
    int64_t ms;
    if (text && clock_parse_rfc3339(text, &ms, NULL) >= 0)
        *at = MAX(*at, ms);
}

struct runs {
    const char *uid;
    const char *cronjob;
    int64_t last;  /* ms since the epoch; 0: none */
    size_t active; /* runs that have not ended */
};

static bool is_run(const struct runs *r, yyjson_val *job) {
    yyjson_val *owners = json_get(job, "metadata", "ownerReferences"), *o;
    size_t i, max;
    yyjson_arr_foreach (owners, i, max, o) {
        if (str_eq(json_str(o, "uid"), r->uid))
            return true;
    }
    return false;
}

/* The annotation is there from 1.28 on; before, the name alone tells. */
static void note_time(struct runs *r, yyjson_val *job) {
    const char *at =
        json_str(job, "metadata", "annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp");
    const char *name = json_str(job, "metadata", "name");
    uint64_t minutes;
    size_t n = strlen(r->cronjob);
    if (at)
        later(at, &r->last);
    else if (name && str_starts(name, r->cronjob) && name[n] == '-' &&
             str_u64(name + n + 1, &minutes) >= 0)
        r->last = MAX(r->last, (int64_t)minutes * MINUTE_MS);
}

/* As the CronJob's controller counts them: until it has ended, with pods or without. */
static int note_run(void *ctx, yyjson_val *job, struct err *e UNUSED) {
    struct runs *r = ctx;
    if (!is_run(r, job))
        return 0;
    note_time(r, job);
    r->active += !(facts_read("batch", "Job", job) & (FACT_FINISHED | FACT_SUSPENDED));
    return 0;
}

static int find_last(struct arena *a, const struct kube_discovery *d, const struct side *s,
                     const struct held *h, struct runs *ret, struct err *e) {
    yyjson_val *live;
    const struct kube_resource *job = kube_discovery_find(d, "batch", NULL, "Job");
    int r = handover_read(a, s, h, &live, e);
    if (r < 0)
        return r;
    *ret = (struct runs){.uid = json_str(live, "metadata", "uid"), .cronjob = h->name};
    later(json_str(live, "status", "lastScheduleTime"), &ret->last);
    struct kube_list_opts lo = {.namespace = h->ns};
    struct kube_list_fn fn = {.item = note_run, .ctx = ret};
    return job ? kube_list(s->c, a, job, &lo, &fn, NULL, e) : 0;
}

static int write_last(struct arena *a, const struct side *to, const struct held *h, int64_t at,
                      struct err *e) {
    char when[CLOCK_RFC3339_MAX];
    char *patch = arena_printf(a, "{\"status\":{\"lastScheduleTime\":\"%s\"}}",
                               clock_rfc3339(at - at % 1000, when));
    struct kube_req req = {.method = "PATCH",
                           .path = kube_path(a, h->r, h->ns, h->name, "status"),
                           .query = "fieldManager=tandem",
                           .content_type = "application/merge-patch+json",
                           .body = patch,
                           .body_len = strlen(patch),
                           .idempotent = true};
    struct kube_resp resp;
    return kube_do(to->c, a, &req, &resp, e);
}

int quiet_carry(struct arena *a, const struct kube_discovery *d, const struct side *from,
                const struct side *to, const struct held *h, struct err *e) {
    struct runs there, here;
    if (!is_cronjob(h) || h->unheld)
        return 0;
    int r = find_last(a, d, from, h, &there, e);
    if (r >= 0)
        r = find_last(a, d, to, h, &here, e);
    if (r < 0)
        return err_ctx(e, r, "its last run cannot be told");
    if (there.active)
        h->item->note = arena_printf(a, "%s; %zu of its runs are still under way in %c",
                                     h->item->note, there.active, from->slot);
    return there.last > here.last ? write_last(a, to, h, there.last, e) : 0;
}

/* --- waiting --- */

static bool is_stopping(const struct held *h) {
    return h->twin == TWIN_HELD && !h->failed && !h->unheld;
}

/* Forbid and Replace keep two runs apart in one cluster; nothing does in two. What cannot be told
 * here is told by quiet_carry(). */
static size_t runs_apart(struct arena *a, const struct handover_opts *o, const struct side *from,
                         const struct held *h) {
    yyjson_val *live;
    struct runs runs;
    if (!is_cronjob(h) || handover_read(a, from, h, &live, NULL) < 0)
        return 0;
    const char *policy = json_str(live, "spec", "concurrencyPolicy");
    bool apart = str_eq(policy, "Forbid") || str_eq(policy, "Replace");
    return apart && find_last(a, o->discovery, from, h, &runs, NULL) >= 0 ? runs.active : 0;
}

void quiet_wait(struct arena *a, const struct handover_opts *o, const struct side *from,
                struct held *first, struct held *end) {
    uint64_t until = wait_until(o);
    bool settles = false;
    for (struct held *h = first; h != end; h = h->next)
        settles |= is_stopping(h) && is_cronjob(h);
    if (settles)
        nap(SETTLE_MS, o->cancel);
    for (struct held *h = first; h != end; h = h->next)
        if (is_stopping(h)) {
            wait_pods(a, from, h, until, o->cancel);
            h->busy = runs_apart(a, o, from, h);
        }
}

static struct held *busy_from(struct held *h, const struct held *end) {
    while (h != end && !h->busy)
        h = h->next;
    return h == end ? NULL : h;
}

void quiet_end_runs(struct arena *a, const struct handover_opts *o, const struct side *from,
                    struct held *first, struct held *end) {
    uint64_t until = wait_until(o);
    struct held *h = busy_from(first, end);
    while (h && clock_now_ms() < until && !is_stopped(o->cancel)) {
        log_progress("waiting for %zu runs of %s %s/%s to end", h->busy, h->r->kind, h->ns,
                     h->name);
        nap(RUNS_STEP_MS, o->cancel);
        for (; h; h = busy_from(h->next, end))
            h->busy = runs_apart(a, o, from, h);
        h = busy_from(first, end);
    }
}
