#include "migrate/schemas.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "migrate/order.h"

struct schemas {
    struct kube_client *client[2]; /* source, destination */
    pthread_mutex_t lock;
    struct arena *a; /* of the differences and of the indexes */
    bool indexed;
    yyjson_val *index[2]; /* "paths" of /openapi/v3; NULL: could not be read */
    const char *warning;
};

struct schemas *schemas_new(struct kube_client *src, struct kube_client *dst) {
    struct schemas *s = xcalloc(1, sizeof *s);
    s->client[0] = src;
    s->client[1] = dst;
    s->a = arena_new();
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void schemas_free(struct schemas *s) {
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    arena_free(s->a);
    xfree(s);
}

const char *schemas_warning(const struct schemas *s) {
    return s ? s->warning : NULL;
}

static void warn(struct schemas *s, int side, const struct err *e) {
    if (!s->warning && e->code != -ESTOPPED)
        s->warning = arena_printf(
            s->a, "schemas of the %s cannot be read, so fields that are lost are not seen: %s",
            side ? "destination" : "source", err_msg(e));
}

static void read_indexes(struct schemas *s) {
    if (s->indexed)
        return;
    s->indexed = true;
    for (int i = 0; i < 2; i++) {
        struct err e = {0};
        yyjson_val *v;
        if (kube_get(s->client[i], s->a, "/openapi/v3", NULL, &v, &e) < 0)
            warn(s, i, &e);
        else
            s->index[i] = json_get(v, "paths");
    }
}

/* Two thirds of a document describe requests: only the schemas are parsed. Quotes inside of a
 * string are escaped, so this text is a member wherever it stands. */
static int parse(struct arena *a, const char *text, size_t n, yyjson_val **ret, struct err *e) {
    static const char mark[] = "\"components\":{\"schemas\":";
    const char *at = strstr(text, mark);
    if (!at)
        return json_parse(a, text, n, ret, e);
    AUTO_SB b = SB_INIT(0);
    sb_chr(&b, '{');
    sb_add(&b, at, n - (size_t)(at - text));
    return json_parse(a, sb_get(&b), b.len, ret, e);
}

static int fetch(struct schemas *s, int side, const char *gv, struct arena *a, yyjson_val **ret,
                 struct err *e) {
    AUTO_ARENA body = arena_new();
    struct kube_req req = {.method = "GET", .path = arena_printf(body, "/openapi/v3/%s", gv)};
    struct kube_resp resp = {0};
    int r = kube_do(s->client[side], body, &req, &resp, e);
    return r < 0 ? r : parse(a, resp.body, resp.body_len, ret, e);
}

/* "api/v1", "apis/apps/v1": the index's name of a group and version. */
static const char *index_name(struct arena *a, const struct kube_resource *r) {
    return arena_printf(a, "%s%s%s%s", *r->group ? "apis/" : "api/", r->group, *r->group ? "/" : "",
                        r->version);
}

/* One group and version of both sides, read side by side. */
struct documents {
    struct schemas *s;
    const char *gv;
    struct arena *a[2];
    yyjson_val *doc[2]; /* NULL: they are one and the same, or a side has none */
    struct err e[2];
};

static void fetch_side(void *ctx, size_t i) {
    struct documents *d = ctx;
    if (fetch(d->s, (int)i, d->gv, d->a[i], &d->doc[i], &d->e[i]) < 0)
        d->doc[i] = NULL;
}

static void documents(struct documents *d) {
    const char *url[2];
    read_indexes(d->s);
    for (int i = 0; i < 2; i++)
        url[i] = json_str(d->s->index[i], d->gv, "serverRelativeURL");
    if (!url[0] || !url[1] || (strchr(url[0], '?') && str_eq(url[0], url[1])))
        return;
    workers_join(workers_start(2, fetch_side, d));
    for (int i = 0; i < 2; i++)
        if (!d->doc[i])
            warn(d->s, i, &d->e[i]);
}

void schemas_settle(struct schemas *s, struct kind *kinds, size_t n, const struct kind *k) {
    if (__atomic_load_n(&k->schema_known, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&s->lock);
    if (!k->schema_known) {
        AUTO_ARENA of_src = arena_new();
        AUTO_ARENA of_dst = arena_new();
        uint64_t start = clock_now_ms();
        struct documents d = {.s = s, .gv = index_name(of_src, k->src), .a = {of_src, of_dst}};
        documents(&d); /* though the destination lack this one: it settles the others too */
        for (size_t i = 0; i < n; i++) {
            const struct kube_resource *r = kinds[i].src;
            if (!str_eq(r->group, k->src->group) || !str_eq(r->version, k->src->version))
                continue;
            if (d.doc[0] && d.doc[1] && kinds[i].dst)
                kinds[i].schema = schema_compare(s->a, d.doc[0], d.doc[1], r, order_is_custom(r));
            __atomic_store_n(&kinds[i].schema_known, true, __ATOMIC_RELEASE);
        }
        log_debug("schemas of %s %s: %s, %llu ms, %zu bytes kept of all so far", k->src->group,
                  k->src->version, d.doc[0] && d.doc[1] ? "compared" : "alike or not there",
                  (unsigned long long)(clock_now_ms() - start), arena_used(s->a));
    }
    pthread_mutex_unlock(&s->lock);
}
