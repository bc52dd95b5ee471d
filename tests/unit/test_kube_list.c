/* Lists and watches against a scripted API server. */
#include <pthread.h>

#include "base/clock.h"
#include "kube/page.h"
#include "kube_bench.h"

/* --- lists --- */

#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"
#define PAGE(rv, next, items)                                                                      \
    "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"" rv "\",\"continue\":\"" next      \
    "\"},\"items\":[" items "]}"
#define GONE(next)                                                                                 \
    "{\"kind\":\"Status\",\"metadata\":{\"continue\":\"" next                                      \
    "\"},\"reason\":\"Expired\",\"message\":\"too old\",\"code\":410}"

struct names {
    struct sb got;
    const char *stop_at;
};

static int take_name(void *ctx, yyjson_val *item, struct err *e) {
    struct names *n = ctx;
    const char *name = json_str(item, "metadata", "name");
    sb_fmt(&n->got, "%s ", name ? name : "?");
    return str_eq(name, n->stop_at) ? err_set(e, -ECANCELED, "enough") : 0;
}

static void begin_again(void *ctx) {
    struct names *n = ctx;
    sb_str(&n->got, "again ");
}

struct list_case {
    struct api_row script[6];
    bool again;
    const char *stop_at;
    int code;
    const char *got, *rv, *says;
};

static const struct list_case list_cases[] = {
    {{{"GET /api/v1/pods?limit=200 ", 200, PAGE("5", "", ITEM("a") "," ITEM("b"))}},
     .got = "a b ",
     .rv = "5"},
    {{{NULL, 200,
       "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"5\"},\"items\":null}"}},
     .got = "",
     .rv = "5"},
    {{{"continue=t%2F1 ", 200, PAGE("5", "t2", ITEM("b"))},
      {"continue=t2 ", 200, PAGE("5", "", ITEM("c"))},
      {NULL, 200, PAGE("5", "t/1", ITEM("a"))}},
     .got = "a b c ",
     .rv = "5"},
    /* 410 with a token: complete, but not of one moment: to be watched from the first. */
    {{{"continue=t1 ", 410, GONE("t2")},
      {"continue=t2 ", 200, PAGE("9", "", ITEM("b"))},
      {NULL, 200, PAGE("5", "t1", ITEM("a"))}},
     .got = "a b ",
     .rv = "5"},
    /* ... but a token that is always too old is not followed for ever. */
    {{{"continue=t", 410, GONE("t2")}, {NULL, 200, PAGE("5", "t1", ITEM("a"))}},
     .code = -ESTALE,
     .got = "a ",
     .says = "410 Expired: too old"},
    /* 410 without one: from the beginning, or not at all. */
    {{{"continue=t1 ", 410, GONE(""), .times = 1},
      {"continue=t1 ", 200, PAGE("6", "", ITEM("b"))},
      {NULL, 200, PAGE("6", "t1", ITEM("a"))}},
     .again = true,
     .got = "a again a b ",
     .rv = "6"},
    {{{"continue=t1 ", 410, GONE("")}, {NULL, 200, PAGE("6", "t1", ITEM("a"))}},
     .code = -ESTALE,
     .got = "a ",
     .says = "A: GET /api/v1/pods: 410 Expired: too old"},
    {{{"continue=t1 ", 410, GONE("")}, {NULL, 200, PAGE("6", "t1", ITEM("a"))}},
     .again = true,
     .code = -ESTALE,
     .got = "a again a again a again a again a ",
     .says = "410"},
    /* Half a body, whether the transport notices it or not. */
    {{{NULL, 200, PAGE("5", "", ITEM("a")), .end = API_CUT, .times = 2},
      {NULL, 200, PAGE("5", "", ITEM("a"))}},
     .got = "a ",
     .rv = "5"},
    {{{NULL, 200, "{\"items\":[{\"metadata\":", .times = 2}, {NULL, 200, PAGE("5", "", ITEM("a"))}},
     .got = "a ",
     .rv = "5"},
    {{{NULL, 200, "{\"items\":[{\"metadata\":"}},
     .code = -EBADMSG,
     .got = "",
     .says = "cut short or not from an API server"},
    {{{NULL, 200, "{\"items\":{}}"}}, .code = -EBADMSG, .got = "", .says = "no list"},
    {{{NULL, 200, "[]"}}, .code = -EBADMSG, .got = "", .says = "no list"},
    {{{"continue=t1 ", 403, "{\"kind\":\"Status\",\"message\":\"m\"}"},
      {NULL, 200, PAGE("5", "t1", ITEM("a"))}},
     .code = -EACCES,
     .got = "a ",
     .says = "403 Forbidden: m"},
    {{{NULL, 500, "x", .times = 2}, {NULL, 200, PAGE("5", "", ITEM("a"))}}, .got = "a ", .rv = "5"},
    /* A server that leads in a circle. */
    {{{NULL, 200, PAGE("5", "t1", ITEM("a"))}},
     .code = -EBADMSG,
     .got = "a ",
     .says = "the list does not end: its continue token stays the same"},
    /* The caller has seen enough. */
    {{{"continue=t1 ", 200, PAGE("5", "", ITEM("c"))},
      {NULL, 200, PAGE("5", "t1", ITEM("a") "," ITEM("b"))}},
     .stop_at = "a",
     .code = -ECANCELED,
     .got = "a ",
     .says = "enough"},
};

static void lists(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(list_cases); i++) {
        const struct list_case *row = &list_cases[i];
        struct bench b = BENCH(row->script);
        struct names n = {.got = SB_INIT(0), .stop_at = row->stop_at};
        struct kube_list_fn fn = {take_name, row->again ? begin_again : NULL, &n};
        const char *rv = NULL;
        struct err e = {0};
        int r = kube_list(b.c, b.a, &pods, NULL, &fn, &rv, &e);
        if (r != row->code || !str_eq(row->got, sb_get(&n.got)) || !str_eq(row->rv, rv))
            fail_msg("row %zu: %d \"%s\" at %s, %s", i, r, sb_get(&n.got), rv, e.msg);
        if (row->says)
            says(&e, row->says);
        sb_done(&n.got);
        bench_free(&b);
    }
}

/* A page with one object of so many bytes. */
static char *page_of(struct arena *a, size_t bytes, const char *next) {
    char *filler = arena_alloc(a, bytes + 1);
    memset(filler, 'x', bytes);
    return arena_printf(a, PAGE("5", "%s", "{\"metadata\":{\"name\":\"%.1s\"},\"data\":\"%s\"}"),
                        next, next, filler);
}

/* As many objects as make 768 KiB; fewer when even that is too much for one answer. */
static void token_beyond_all_bounds(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    char *token = arena_alloc(a, 70000);
    memset(token, 't', 69999);
    const struct api_row rows[] = {{NULL, 200, arena_printf(a, PAGE("5", "%s", ITEM("a")), token)}};
    struct bench b = BENCH(rows);
    struct names n = {.got = SB_INIT(0)};
    struct kube_list_fn fn = {take_name, NULL, &n};
    struct err e = {0};
    assert_int_equal(kube_list(b.c, b.a, &pods, NULL, &fn, NULL, &e), -EBADMSG);
    says(&e, "its continue token is too long");
    sb_done(&n.got);
    bench_free(&b);
}

static void pages_are_bounded(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    const struct {
        struct api_row script[4];
        const char *got;
    } cases[] = {
        {{{"limit=200 ", 200, page_of(a, 300000, "t")},
          {"limit=2&continue=t ", 200, page_of(a, 10, "u")},
          {"limit=500&continue=u ", 200, PAGE("5", "", ITEM("a"))}},
         "t u a "},
        {{{"limit=200 ", 200, page_of(a, 3 << 20, "t")},
          {"limit=1&continue=t ", 200, PAGE("5", "", ITEM("a"))}},
         "t a "},
        {{{"limit=200 ", 200, page_of(a, 17 << 20, "t")},
          {"limit=12 ", 200, page_of(a, 17 << 20, "t")},
          {"limit=1 ", 200, page_of(a, 17 << 20, "t")},
          {"limit=1&continue=t ", 200, PAGE("5", "", ITEM("a"))}},
         "t a "},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bench b = BENCH(cases[i].script);
        struct names n = {.got = SB_INIT(0)};
        struct kube_list_fn fn = {take_name, NULL, &n};
        struct err e = {0};
        int r = kube_list(b.c, b.a, &pods, NULL, &fn, NULL, &e);
        if (r != 0 || !str_eq(cases[i].got, sb_get(&n.got)))
            fail_msg("row %zu: %d \"%s\", %s", i, r, sb_get(&n.got), e.msg);
        sb_done(&n.got);
        bench_free(&b);
    }
}

/* The first page is on its way before anybody waits for it, and is asked for once. */
static void first_page_comes_ahead(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, PAGE("5", "", ITEM("a"))}};
    struct bench b = BENCH(rows);
    struct kube_pager *p = kube_pager_new(b.c, &pods, NULL);
    yyjson_val *items;
    kube_pager_ahead(p);
    kube_pager_ahead(p);
    for (unsigned i = 0; i < 500 && !api_count(b.api, "GET /api/v1/pods"); i++)
        clock_sleep_ms(10);
    assert_int_equal(1, api_count(b.api, "GET /api/v1/pods"));
    assert_int_equal(1, kube_pager_next(p, b.a, &items, NULL));
    assert_string_equal("a", json_str(yyjson_arr_get_first(items), "metadata", "name"));
    assert_int_equal(0, kube_pager_next(p, b.a, &items, NULL));
    kube_pager_ahead(p);
    assert_int_equal(1, api_count(b.api, "GET /api/v1/pods"));
    kube_pager_free(p);
    bench_free(&b);
}

static void list_options_are_asked_for(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, PAGE("5", "", "")}};
    struct bench b = BENCH(rows);
    struct names n = {.got = SB_INIT(0)};
    struct err e = {0};
    struct kube_list_opts o = {.namespace = "n",
                               .label_selector = "a=b,c in (d)",
                               .field_selector = "metadata.name=x",
                               .limit = 7,
                               .metadata_only = true};
    expect(0, kube_list(b.c, b.a, &pods, &o, &(struct kube_list_fn){take_name, NULL, &n}, NULL, &e),
           &e);
    assert_int_equal(1, api_count(b.api, "GET /api/v1/namespaces/n/pods?limit=7&labelSelector="
                                         "a%3Db%2Cc%20in%20%28d%29&fieldSelector=metadata.name%3Dx "
                                         "HTTP"));
    assert_int_equal(1, api_count(b.api, "as=PartialObjectMetadataList"));
    sb_done(&n.got);
    bench_free(&b);
}

static void pager_goes_on_after_a_failure(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"continue=t1 ", 403, "{}", .times = 1},
        {"continue=t1 ", 200, PAGE("5", "", ITEM("b"))},
        {NULL, 200, PAGE("5", "t1", ITEM("a"))},
    };
    struct bench b = BENCH(rows);
    struct kube_pager *p = kube_pager_new(b.c, &pods, NULL);
    yyjson_val *items = NULL;
    struct err e = {0};
    expect(1, kube_pager_next(p, b.a, &items, &e), &e);
    assert_string_equal("a", json_str(yyjson_arr_get(items, 0), "metadata", "name"));
    expect(-EACCES, kube_pager_next(p, b.a, &items, &e), &e);
    expect(1, kube_pager_next(p, b.a, &items, &e), &e);
    assert_string_equal("b", json_str(yyjson_arr_get(items, 0), "metadata", "name"));
    expect(0, kube_pager_next(p, b.a, &items, &e), &e);
    expect(0, kube_pager_next(p, b.a, &items, &e), &e);
    assert_string_equal("5", kube_pager_rv(p));
    kube_pager_free(p);
    bench_free(&b);
}

/* Freed while the next page is still on its way: it is given up, not waited for. */
static void pager_is_freed_at_once(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"continue=t1 ", 200, PAGE("5", "", ITEM("b")), .delay_ms = 5000},
        {NULL, 200, PAGE("5", "t1", ITEM("a"))},
    };
    struct bench b = BENCH(rows);
    struct kube_pager *p = kube_pager_new(b.c, &pods, NULL);
    yyjson_val *items;
    struct err e = {0};
    expect(1, kube_pager_next(p, b.a, &items, &e), &e);
    uint64_t start = clock_now_ms();
    kube_pager_free(p);
    assert_true(clock_now_ms() - start < 2500);
    bench_free(&b);
}

/* --- watches --- */

#define EVENT(type, name, rv)                                                                      \
    "{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name                            \
    "\",\"resourceVersion\":\"" rv "\"}}}\n"
#define WATCH_410                                                                                  \
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","     \
    "\"message\":\"too old\"}}\n"

struct events {
    struct sb got;
    const char *stop_at;
    unsigned slow_ms;
    struct http_cancel *cancel_after_first;
    pthread_t thread;
};

static int take_event(void *ctx, enum kube_event ev, yyjson_val *o, struct err *e) {
    static const char mark[] = {'+', '~', '-', '*'};
    struct events *w = ctx;
    const char *name = json_str(o, "metadata", "name");
    assert_true(pthread_equal(w->thread, pthread_self()));
    sb_fmt(&w->got, "%c%s ", mark[ev], name ? name : "?");
    if (w->cancel_after_first)
        atomic_store(&w->cancel_after_first->stop, true);
    clock_sleep_ms(w->slow_ms);
    return str_eq(name, w->stop_at) ? err_set(e, -ECANCELED, "enough") : 0;
}

struct watch_case {
    struct api_row row;
    const char *stop_at;
    int code;
    const char *got, *rv, *says;
};

static const struct watch_case watch_cases[] = {
    {{NULL, 200, EVENT("ADDED", "a", "1") EVENT("MODIFIED", "a", "2") EVENT("DELETED", "a", "3"),
      .end = API_STREAM},
     .got = "+a ~a -a ",
     .rv = "3"},
    /* Lines and chunks do not agree. */
    {{NULL, 200,
      "{\"type\":\"AD|DED\",\"object\":{\"metadata\":{\"name\":\"a\",|"
      "\"resourceVersion\":\"1\"}}}|\n" EVENT("ADDED", "b", "2") "|\n|\n" EVENT("ADDED", "c", "3"),
      .end = API_STREAM},
     .got = "+a +b +c ",
     .rv = "3"},
    {{NULL, 200, EVENT("ADDED", "a", "1") EVENT("BOOKMARK", "bm", "9"), .end = API_STREAM},
     .got = "+a *bm ",
     .rv = "9"},
    {{NULL, 200, "", .end = API_STREAM}, .got = "", .rv = NULL},
    {{NULL, 410, GONE("")}, .code = -ESTALE, .got = "", .says = "410 Expired: too old"},
    {{NULL, 200, EVENT("ADDED", "a", "1") WATCH_410 EVENT("ADDED", "b", "2"), .end = API_STREAM},
     .code = -ESTALE,
     .got = "+a ",
     .rv = "1",
     .says = "A: watch of /api/v1/pods: 410 Expired: too old"},
    {{NULL, 200, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500}}\n",
      .end = API_STREAM},
     .code = -EREMOTEIO,
     .got = "",
     .says = "500"},
    {{NULL, 403, "{\"kind\":\"Status\",\"message\":\"m\"}"},
     .code = -EACCES,
     .got = "",
     .says = "A: GET /api/v1/pods: 403 Forbidden: m"},
    /* Cut in the middle of an event: what was whole was given. */
    {{NULL, 200, EVENT("ADDED", "a", "1") "{\"type\":\"ADDED\",\"obj", .end = API_BREAK},
     .code = -ECONNRESET,
     .got = "+a ",
     .rv = "1",
     .says = "A: GET /api/v1/pods"},
    /* Ended in the middle of one: the next watch gets it whole. */
    {{NULL, 200, EVENT("ADDED", "a", "1") "{\"type\":\"ADDED\",\"obj", .end = API_STREAM},
     .got = "+a ",
     .rv = "1"},
    {{NULL, 200, "{\"type\":\n", .end = API_STREAM}, .code = -EBADMSG, .got = "", .says = "JSON"},
    {{NULL, 200, "{\"type\":\"GROWN\",\"object\":{}}\n", .end = API_STREAM},
     .code = -EBADMSG,
     .got = "",
     .says = "no event"},
    {{NULL, 200, EVENT("ADDED", "a", "1") EVENT("ADDED", "b", "2") EVENT("ADDED", "c", "3"),
      .end = API_HANG},
     .stop_at = "b",
     .code = -ECANCELED,
     .got = "+a +b ",
     .rv = "1",
     .says = "enough"},
};

static void watches(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(watch_cases); i++) {
        const struct watch_case *row = &watch_cases[i];
        struct bench b = bench_new(&row->row, 1);
        struct events w = {.got = SB_INIT(0), .stop_at = row->stop_at, .thread = pthread_self()};
        const char *rv = NULL;
        struct err e = {0};
        struct kube_watch_opts o = {.resource_version = "0"};
        int r = kube_watch(b.c, b.a, &pods, &o, take_event, &w, &rv, &e);
        if (r != row->code || !str_eq(row->got, sb_get(&w.got)) || !str_eq(row->rv, rv))
            fail_msg("row %zu: %d \"%s\" at %s, %s", i, r, sb_get(&w.got), rv, e.msg);
        if (row->says)
            says(&e, row->says);
        assert_int_equal(1, api_count(b.api, "GET /api/v1/pods?watch=true&allowWatchBookmarks=true&"
                                             "timeoutSeconds=300&resourceVersion=0 "));
        sb_done(&w.got);
        bench_free(&b);
    }
}

static void watch_can_be_stopped(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, EVENT("ADDED", "a", "1"), .end = API_HANG}};
    struct bench b = BENCH(rows);
    struct http_cancel cancel = {false};
    struct events w = {.got = SB_INIT(0), .thread = pthread_self(), .cancel_after_first = &cancel};
    struct err e = {0};
    struct kube_watch_opts o = {.cancel = &cancel};
    uint64_t start = clock_now_ms();
    expect(-ESTOPPED, kube_watch(b.c, b.a, &pods, &o, take_event, &w, NULL, &e), &e);
    assert_true(clock_now_ms() - start < 2500);
    sb_done(&w.got);
    bench_free(&b);
}

/* A watch holds no place among the reads, or a handful of them would stop everything else. */
static int read_inside(void *ctx, enum kube_event ev, yyjson_val *o, struct err *e) {
    (void)ev;
    (void)o;
    struct bench *b = ctx;
    AUTO_ARENA a = arena_new();
    yyjson_val *v;
    int r = kube_get(b->c, a, "/other", NULL, &v, e);
    return r < 0 ? r : err_set(e, -ECANCELED, "read");
}

static void watch_takes_no_place(void **state) {
    (void)state;
    static const struct api_row rows[] = {{"GET /other ", 200, "{}"},
                                          {NULL, 200, EVENT("ADDED", "a", "1"), .end = API_HANG}};
    struct bench b =
        bench_with(rows, COUNT_OF(rows), &(struct kube_client_opts){.name = "A", .max_reads = 1});
    struct err e = {0};
    struct kube_watch_opts o = {0};
    expect(-ECANCELED, kube_watch(b.c, b.a, &pods, &o, read_inside, &b, NULL, &e), &e);
    bench_free(&b);
}

enum { MANY = 250000 };

struct lazy {
    unsigned n;
    unsigned last;
};

static int slow_at_first(void *ctx, enum kube_event ev, yyjson_val *o, struct err *e) {
    (void)ev;
    (void)e;
    struct lazy *l = ctx;
    if (l->n++ == 0)
        clock_sleep_ms(1500);
    l->last = (unsigned)strtoul(json_str(o, "metadata", "resourceVersion"), NULL, 10);
    assert_int_equal(l->n, l->last); /* nothing is left out in the middle */
    return 0;
}

/* Who stays too far behind has the watch ended where it stands, and memory stays bounded. */
static void watch_of_a_slow_caller_ends_in_good_order(void **state) {
    (void)state;
    AUTO_SB body = SB_INIT(0);
    for (unsigned i = 1; i <= MANY; i++)
        sb_fmt(&body,
               "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a-rather-long-name\","
               "\"resourceVersion\":\"%u\"}}}\n",
               i);
    struct api_row rows[] = {{NULL, 200, body.p}};
    struct bench b = BENCH(rows);
    struct lazy l = {0};
    const char *rv = NULL;
    struct err e = {0};
    expect(0, kube_watch(b.c, b.a, &pods, &(struct kube_watch_opts){0}, slow_at_first, &l, &rv, &e),
           &e);
    assert_true(l.n > 1000 && l.n < MANY);
    assert_string_equal(arena_printf(b.a, "%u", l.last), rv);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(token_beyond_all_bounds),
        cmocka_unit_test(pages_are_bounded),
        cmocka_unit_test(first_page_comes_ahead),
        cmocka_unit_test(list_options_are_asked_for),
        cmocka_unit_test(pager_goes_on_after_a_failure),
        cmocka_unit_test(pager_is_freed_at_once),
        cmocka_unit_test(watches),
        cmocka_unit_test(watch_can_be_stopped),
        cmocka_unit_test(watch_takes_no_place),
        cmocka_unit_test(watch_of_a_slow_caller_ends_in_good_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
