#include <errno.h>

#include "base/log.h"
#include "base/queue.h"
#include "kube/client_impl.h"
#include "kube/page.h"

/* A page is what a reader holds in memory, several times over: at first as many objects as will
 * hardly be too much, then as many as make PAGE_BYTES. An answer beyond PAGE_MAX is asked for again
 * with fewer, since 200 Secrets may have 200 MiB. */
enum {
    LIMIT_FIRST = 200,
    LIMIT_MAX = 500,
    LIMIT_LESS = 16,
    PAGE_BYTES = 3 << 18,
    PAGE_MAX = 16 << 20,
    PAGE_TRIES = 3,
    STARTS_MAX = 5
};

static const char PARTIAL_LIST[] =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/* What the wire gave for one page. */
struct page {
    struct arena *a; /* holds the body until it is parsed into the caller's */
    int r;
    struct err e;
    struct http_resp resp;
};

/* While the caller works on one page, a thread of ours asks for the next: the server's time and
 * the caller's overlap, and never more than one page is ahead. */
struct kube_pager {
    struct kube_client *c;
    const struct kube_resource *r;
    struct kube_list_opts o;
    struct arena *a; /* the path */
    const char *path;
    struct sb token; /* of the page to ask for next; empty: the first */
    struct sb rv, first_rv;
    unsigned limit; /* of the next page */
    bool done;
    struct http_cancel stop;
    struct page page;
    struct workers *ahead; /* NULL: nobody is fetching */
};

enum { TOKEN_MAX = 1 << 16 };

struct kube_pager *kube_pager_new(struct kube_client *c, const struct kube_resource *r,
                                  const struct kube_list_opts *o) {
    struct kube_pager *p = xcalloc(1, sizeof *p);
    p->c = c;
    p->r = r;
    p->o = o ? *o : (struct kube_list_opts){0};
    p->limit = p->o.limit ? p->o.limit : LIMIT_FIRST;
    p->a = arena_new();
    p->page.a = arena_new();
    p->path = kube_path(p->a, r, p->o.namespace, NULL, NULL);
    p->token.max = p->rv.max = p->first_rv.max = TOKEN_MAX;
    atomic_init(&p->stop.stop, false);
    return p;
}

static void wait_ahead(struct kube_pager *p) {
    workers_join(TAKE(p->ahead));
}

void kube_pager_free(struct kube_pager *p) {
    if (!p)
        return;
    atomic_store(&p->stop.stop, true);
    wait_ahead(p);
    sb_done(&p->token);
    sb_done(&p->rv);
    sb_done(&p->first_rv);
    arena_free(p->page.a);
    arena_free(p->a);
    xfree(p);
}

const char *kube_pager_rv(const struct kube_pager *p) {
    return sb_get(&p->rv);
}

const char *kube_pager_first_rv(const struct kube_pager *p) {
    return sb_get(&p->first_rv);
}

static struct kube_req page_req(const struct kube_pager *p, struct arena *a) {
    AUTO_SB q = SB_INIT(TOKEN_MAX * 4);
    sb_fmt(&q, "limit=%u", p->limit);
    kube_query_add(&q, "labelSelector", p->o.label_selector);
    kube_query_add(&q, "fieldSelector", p->o.field_selector);
    kube_query_add(&q, "continue", sb_get(&p->token));
    /* Without a cancel of the caller ours ends a page that nobody waits for any more. */
    struct http_cancel *cancel =
        p->o.cancel ? p->o.cancel : (struct http_cancel *)(uintptr_t)&p->stop;
    return (struct kube_req){.method = "GET",
                             .path = p->path,
                             .query = arena_strndup(a, sb_get(&q), q.len),
                             .accept = p->o.metadata_only ? PARTIAL_LIST : NULL,
                             .max_body = p->limit > 1 ? PAGE_MAX : 0,
                             .background = p->o.background,
                             .cancel = cancel};
}

static void fetch(void *ctx, size_t index UNUSED) {
    struct kube_pager *p = ctx;
    struct page *g = &p->page;
    arena_reset(g->a);
    struct kube_req req = page_req(p, g->a);
    struct kube_sent sent = {0};
    g->r = kube_send(p->c, g->a, &req, &g->resp, &sent, &g->e);
}

static void set_token(struct kube_pager *p, const char *token) {
    sb_reset(&p->token);
    sb_str(&p->token, token ? token : "");
}

/* 410 in the middle: 1 when the server gave a token to go on with, else -ESTALE. */
static int expired(struct kube_pager *p, struct err *e) {
    struct page *g = &p->page;
    struct kube_req req = {.method = "GET", .path = p->path};
    yyjson_val *status = NULL;
    const char *token = NULL;
    if (p->token.len && json_parse(g->a, g->resp.body, g->resp.body_len, &status, NULL) >= 0)
        token = json_str(status, "metadata", "continue");
    if (!str_empty(token)) {
        log_debug("%s: list of %s expired; going on from where it was", p->c->name, p->r->plural);
        set_token(p, token);
        return 1;
    }
    set_token(p, NULL);
    return kube_check(p->c, &req, &g->resp, e);
}

static void adapt_limit(struct kube_pager *p, size_t items) {
    size_t each = items ? p->page.resp.body_len / items + 1 : 0;
    if (!p->o.limit && each)
        p->limit = (unsigned)MAX(1u, MIN((size_t)LIMIT_MAX, PAGE_BYTES / each));
}

void kube_pager_ahead(struct kube_pager *p) {
    if (!p->done && !p->ahead)
        p->ahead = workers_start(1, fetch, p);
}

/* The items of a parsed page; takes note of where the list stands. */
static int take_page(struct kube_pager *p, struct arena *a, yyjson_val *root, yyjson_val **ret,
                     struct err *e) {
    yyjson_val *items = json_get(root, "items"), *meta = json_get(root, "metadata");
    if (!yyjson_is_obj(meta) || (items && !yyjson_is_arr(items) && !yyjson_is_null(items)))
        return err_set(e, -EBADMSG, "%s: GET %s: the answer is no list", p->c->name, p->path);
    if (!yyjson_is_arr(items)) {
        int r = json_parse(a, "[]", 2, &items, e);
        MUST(r >= 0);
    }
    const char *rv = json_str(meta, "resourceVersion");
    if (rv) {
        sb_reset(&p->rv);
        sb_str(&p->rv, rv);
    }
    if (rv && !p->token.len) {
        sb_reset(&p->first_rv);
        sb_str(&p->first_rv, rv);
    }
    const char *next = json_str(meta, "continue");
    bool stands = p->token.len && str_eq(next, sb_get(&p->token));
    if (stands || (next && strlen(next) > TOKEN_MAX))
        return err_set(e, -EBADMSG, "%s: GET %s: the list does not end: its continue token %s",
                       p->c->name, p->path, stands ? "stays the same" : "is too long");
    set_token(p, next);
    p->done = p->token.len == 0;
    adapt_limit(p, yyjson_arr_size(items));
    kube_pager_ahead(p);
    *ret = items;
    return 1;
}

/* 1: a page. 0: ask again. */
static int settle(struct kube_pager *p, struct arena *a, yyjson_val **ret, struct err *e) {
    struct page *g = &p->page;
    struct kube_req req = {.method = "GET", .path = p->path};
    if (g->r == -EMSGSIZE && p->limit > 1) {
        p->limit = MAX(1u, p->limit / LIMIT_LESS);
        log_debug("%s: GET %s: too large; %u objects at a time", p->c->name, p->path, p->limit);
        return 0;
    }
    if (g->r < 0) {
        if (e)
            *e = g->e;
        return g->r;
    }
    if (g->resp.status == 410) {
        int r = expired(p, e);
        return r < 0 ? r : 0;
    }
    int r = kube_check(p->c, &req, &g->resp, e);
    if (r < 0)
        return r;
    yyjson_val *root;
    arena_join(a, g->a);
    r = json_parse_in_place(a, g->resp.body, g->resp.body_len, &root, e);
    if (r < 0) {
        log_debug("%s: GET %s: %s; asked again", p->c->name, p->path, err_msg(e));
        return 0;
    }
    return take_page(p, a, root, ret, e);
}

static int give_up(struct kube_pager *p, struct err *e) {
    struct kube_req req = {.method = "GET", .path = p->path};
    if (p->page.resp.status == 410) {
        set_token(p, NULL);
        return kube_check(p->c, &req, &p->page.resp, e);
    }
    return err_set(e, -EBADMSG,
                   "%s: GET %s: the answer is cut short or not from an API server, %d times",
                   p->c->name, p->path, PAGE_TRIES);
}

int kube_pager_next(struct kube_pager *p, struct arena *a, yyjson_val **ret_items, struct err *e) {
    if (p->done)
        return 0;
    for (unsigned i = 0; i < PAGE_TRIES; i++) {
        if (p->ahead)
            wait_ahead(p);
        else
            fetch(p, 0);
        int r = settle(p, a, ret_items, e);
        if (r != 0)
            return r;
    }
    return give_up(p, e);
}

static int give_items(const struct kube_list_fn *fn, yyjson_val *items, struct err *e) {
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach (items, i, max, item) {
        int r = fn->item(fn->ctx, item, e);
        if (r < 0)
            return r;
    }
    return 1;
}

static int list_all(struct kube_pager *p, const struct kube_list_fn *fn, struct err *e) {
    AUTO_ARENA page = arena_new();
    int r = 1;
    for (unsigned starts = 1; r > 0;) {
        yyjson_val *items;
        arena_reset(page);
        r = kube_pager_next(p, page, &items, e);
        if (r == -ESTALE && fn->again && starts++ < STARTS_MAX) {
            fn->again(fn->ctx);
            r = 1;
        } else if (r > 0) {
            r = give_items(fn, items, e);
        }
    }
    return r;
}

int kube_list(struct kube_client *c, struct arena *a, const struct kube_resource *r,
              const struct kube_list_opts *o, const struct kube_list_fn *fn, const char **ret_rv,
              struct err *e) {
    struct kube_pager *p = kube_pager_new(c, r, o);
    int n = list_all(p, fn, e);
    if (n >= 0 && ret_rv)
        *ret_rv = arena_strdup(a, kube_pager_first_rv(p));
    kube_pager_free(p);
    return n < 0 ? n : 0;
}
