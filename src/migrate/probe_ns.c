#include "migrate/probe_ns.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/queue.h"
#include "kube/list.h"
#include "migrate/rules.h"

#define NAMESPACES "/api/v1/namespaces"

/* STABLE_MS: control loops answer to a new namespace within tens of milliseconds; what waits for
 * something else (a certificate) comes later and is seen when the wait starts again with it. */
enum { STABLE_MS = 1000, LONGEST_MS = 10000, FIRST_MS = 100, TICK_MS = 150, LISTERS = 4 };
enum { ABANDONED_MS = 10 * 60 * 1000 };

const char *probe_ns_name(char out[PROBE_NS_NAME_MAX]) {
    uint8_t raw[3];
    char hex[2 * sizeof raw + 1];
    hash_random(raw, sizeof raw);
    snprintf(out, PROBE_NS_NAME_MAX, PROBE_NS_PREFIX "%s", hash_hex(raw, sizeof raw, hex));
    return out;
}

bool probe_ns_named(const char *name) {
    const char *hex = str_starts(name, PROBE_NS_PREFIX) ? name + strlen(PROBE_NS_PREFIX) : "";
    return strlen(hex) == 6 && strspn(hex, "0123456789abcdef") == 6;
}

/* --- making and deleting --- */

/* An answer that was lost is settled by looking: the name is random, so what has it is ours. */
static int make(const struct probe_ns_opts *o, struct arena *a, const char **ret_uid,
                struct err *e) {
    const char *body = arena_printf(
        a,
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\",\"labels\":{"
        "\"" PROBE_NS_LABEL "\":\"true\"},\"annotations\":{\"tandem.dev/why\":"
        "\"shows what this cluster puts into each namespace; deleted at once\"}}}",
        o->name);
    struct kube_req req = {.method = "POST",
                           .path = NAMESPACES,
                           .query = "fieldManager=tandem",
                           .body = body,
                           .body_len = strlen(body),
                           .cancel = o->cancel};
    struct kube_resp resp = {0};
    yyjson_val *made;
    int r = kube_do(o->c, a, &req, &resp, e);
    if (r >= 0)
        r = json_parse(a, resp.body, resp.body_len, &made, e);
    else if (resp.maybe_sent &&
             kube_get(o->c, a, arena_printf(a, NAMESPACES "/%s", o->name), NULL, &made, NULL) >= 0)
        r = 0;
    const char *uid = r < 0 ? NULL : json_str(made, "metadata", "uid");
    if (r >= 0 && (!uid || !json_get(made, "metadata", "labels", PROBE_NS_LABEL)))
        r = err_set(e, -EBADMSG, "namespace %s is not as it was made", o->name);
    if (r >= 0)
        *ret_uid = uid;
    return r;
}

static int delete_it(struct kube_client *c, struct arena *a, const char *name, const char *uid,
                     struct err *e) {
    const char *body = kube_delete_body(a, uid, NULL);
    struct kube_req req = {.method = "DELETE",
                           .path = arena_printf(a, NAMESPACES "/%s", name),
                           .body = body,
                           .body_len = strlen(body),
                           .idempotent = true};
    struct kube_resp resp = {0};
    int r = kube_do(c, a, &req, &resp, e);
    return r == -ENOENT || r == -EAGAIN ? 0 : r; /* gone, or another one by now */
}

/* --- looking --- */

struct lister {
    struct arena *a;
    struct strvec found;
    const struct kube_resource *r; /* being listed */
};

struct round {
    const struct probe_ns_opts *o;
    struct lister by[LISTERS];
    atomic_size_t next;
};

static int note(void *ctx, yyjson_val *item, struct err *e UNUSED) {
    struct lister *l = ctx;
    const char *name = json_str(item, "metadata", "name");
    strvec_fmt(&l->found, "%s/%s/%s", l->r->group, l->r->kind, name ? name : "");
    return 0;
}

/* A kind that cannot be listed tells nothing, and no more than that. */
static void run_lister(void *ctx, size_t index) {
    struct round *rd = ctx;
    struct lister *l = &rd->by[index];
    struct kube_list_opts lo = {
        .namespace = rd->o->name, .metadata_only = true, .cancel = rd->o->cancel};
    struct kube_list_fn fn = {.item = note, .ctx = l};
    size_t i;
    while ((i = atomic_fetch_add(&rd->next, 1)) < rd->o->n_kinds) {
        struct err passed = {0};
        l->r = rd->o->kinds[i].dst;
        if (l->r && l->r->namespaced && !rules_skip_kind(l->r))
            kube_list(rd->o->c, l->a, l->r, &lo, &fn, NULL, &passed);
        arena_reset(l->a);
    }
}

/* Lists everything once; what was not there before goes into `seen`. Returns how many. */
static size_t look_once(const struct probe_ns_opts *o, struct arena *a, struct map *seen) {
    struct round rd = {.o = o};
    size_t before = map_len(seen);
    for (size_t i = 0; i < LISTERS; i++)
        rd.by[i].a = arena_new();
    workers_join(workers_start(LISTERS, run_lister, &rd));
    for (size_t i = 0; i < LISTERS; i++) {
        for (size_t k = 0; k < rd.by[i].found.n; k++)
            if (!map_has(seen, rd.by[i].found.v[k]))
                map_put(seen, arena_strdup(a, rd.by[i].found.v[k]), a);
        strvec_done(&rd.by[i].found);
        arena_free(rd.by[i].a);
    }
    return map_len(seen) - before;
}

static bool is_stopped(const struct probe_ns_opts *o) {
    return o->cancel && atomic_load(&o->cancel->stop);
}

static void sleep_for(const struct probe_ns_opts *o, uint64_t ms) {
    uint64_t end = clock_now_ms() + ms, now;
    while (!is_stopped(o) && (now = clock_now_ms()) < end)
        clock_sleep_ms(MIN(end - now, 50));
}

static bool look(const struct probe_ns_opts *o, struct arena *a, struct map *seen) {
    uint64_t start = clock_now_ms(), last = start;
    bool born = false;
    sleep_for(o, FIRST_MS);
    while (!is_stopped(o)) {
        uint64_t before = clock_now_ms();
        if (look_once(o, a, seen))
            last = clock_now_ms();
        else if (born && before - last >= STABLE_MS)
            return true;
        if (clock_now_ms() - start >= LONGEST_MS)
            return false;
        born = map_has(seen, "/ServiceAccount/default") &&
               map_has(seen, "/ConfigMap/kube-root-ca.crt");
        sleep_for(o, born ? STABLE_MS : TICK_MS);
    }
    return false;
}

int probe_ns_look(const struct probe_ns_opts *o, struct probe_ns_seen *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_MAP seen = map_new();
    const char *uid = NULL;
    struct err left = {0};
    int r = make(o, a, &uid, e);
    if (r < 0)
        return r;
    MUST(uid);
    struct probe_ns_seen s = {.settled = look(o, a, seen)};
    s.left = delete_it(o->c, a, o->name, uid, &left) < 0;
    if (is_stopped(o))
        return err_set(e, -ESTOPPED, "stopped");
    for (size_t i = 0; i < map_len(seen); i++)
        strvec_add(&s.keys, map_key(seen, i));
    *ret = s;
    return 0;
}

/* --- after a crash --- */

static bool is_abandoned(yyjson_val *ns) {
    int64_t made;
    const char *when = json_str(ns, "metadata", "creationTimestamp");
    return when && clock_parse_rfc3339(when, &made, NULL) >= 0 &&
           clock_wall_ms() - made > ABANDONED_MS;
}

int probe_ns_sweep(struct kube_client *c, bool (*ours)(void *ctx, const char *name), void *ctx,
                   size_t *ret_n, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_val *list, *ns;
    size_t i, max, n = 0;
    int r = kube_get(c, a, NAMESPACES, "labelSelector=tandem.dev%2Fprobe%3Dtrue", &list, e);
    yyjson_arr_foreach (r < 0 ? NULL : json_get(list, "items"), i, max, ns) {
        const char *name = json_str(ns, "metadata", "name");
        const char *uid = json_str(ns, "metadata", "uid");
        if (r < 0 || !uid || !probe_ns_named(name) || json_get(ns, "metadata", "deletionTimestamp"))
            continue;
        if (!ours(ctx, name) && !is_abandoned(ns))
            continue;
        r = delete_it(c, a, name, uid, e);
        n += r >= 0;
    }
    if (r < 0)
        return r;
    *ret_n = n;
    return 0;
}
