/* What is borne of an API server that restarts or has too much to do, and how the number of writes
 * in flight follows what it says. */
#include "base/clock.h"
#include "base/queue.h"
#include "kube_bench.h"

static void send_all(struct pace *p, unsigned n, int status, uint64_t took_ns) {
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(0, pace_begin(p, NULL));
    for (unsigned i = 0; i < n; i++)
        pace_end(p, status, took_ns);
}

static void pace_follows_the_answers(void **state) {
    (void)state;
    static const uint64_t ms = 1000000;
    static const struct {
        const char *what;
        unsigned in_flight;
        int status;
        uint64_t took_ns;
        unsigned rounds, least, most; /* limits afterwards */
    } rows[] = {
        {"nobody complains", 32, 201, 40 * ms, 3, PACE_MOST, PACE_MOST},
        {"refusals of one moment count once", 30, 429, 1000 * ms, 1, 21, 21},
        {"more, one by one", 21, 201, 1 * ms, 1, 21, 22},
        {"up to as many as are asked for", 20, 201, 1 * ms, 40, 21, 22},
        {"refused again and again", 1, 429, 0, 60, 1, 1},
        {"one is always let through, and it goes up again", 1, 201, 1 * ms, 3, 2, 4},
    };
    struct pace p;
    pace_init(&p);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (unsigned k = 0; k < rows[i].rounds; k++)
            send_all(&p, rows[i].in_flight, rows[i].status, rows[i].took_ns);
        unsigned limit = pace_limit(&p);
        if (limit < rows[i].least || limit > rows[i].most)
            fail_msg("%s: limit %u", rows[i].what, limit);
    }
    assert_int_equal(0, p.used);
    pace_done(&p);
}

static void pace_follows_the_latency(void **state) {
    (void)state;
    static const uint64_t s = 1000000000;
    static const struct {
        const char *what;
        uint64_t before_ns, after_ns;
        bool cut;
    } rows[] = {
        {"ten times as slow, but quick", s / 100, s / 10, false},
        {"a webhook that always takes long", 4 * s, 5 * s, false},
        {"much slower than before, and slow", s / 10, 10 * s, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pace p;
        pace_init(&p);
        send_all(&p, 32, 201, rows[i].before_ns);
        send_all(&p, 32, 201, rows[i].after_ns);
        unsigned limit = pace_limit(&p);
        if ((limit < PACE_MOST) != rows[i].cut || limit < 4)
            fail_msg("%s: limit %u", rows[i].what, limit);
        pace_done(&p);
    }
}

struct waiter {
    struct pace *p;
    struct http_cancel cancel;
    int r;
};

static void one_waits(void *ctx, size_t i UNUSED) {
    struct waiter *w = ctx;
    w->r = pace_begin(w->p, &w->cancel);
}

static void pace_waits_and_can_be_stopped(void **state) {
    (void)state;
    struct pace p;
    pace_init(&p);
    send_all(&p, 1, 429, 0);
    assert_int_equal(1, pace_limit(&p));
    assert_int_equal(0, pace_begin(&p, NULL));
    struct waiter w = {.p = &p, .r = 7};
    struct workers *t = workers_start(1, one_waits, &w);
    clock_sleep_ms(120);
    assert_int_equal(7, w.r); /* there is no place */
    pace_end(&p, 201, 1000);
    workers_join(t);
    assert_int_equal(0, w.r);
    w.r = 7;
    t = workers_start(1, one_waits, &w);
    workers_join(t); /* the limit is 2 by now */
    assert_int_equal(0, w.r);
    pace_end(&p, 429, 0);
    w.r = 7;
    t = workers_start(1, one_waits, &w);
    atomic_store(&w.cancel.stop, true);
    workers_join(t);
    assert_int_equal(-ESTOPPED, w.r);
    pace_done(&p);
}

/* Rows of the server: an answer first, that it was heard, then the trouble. */
static void patience(void **state) {
    (void)state;
    static const struct {
        const char *what;
        struct api_row trouble;
        const char *method;
        uint32_t patience_ms;
        bool heard; /* before */
        int want;
    } rows[] = {
        {"eight times too many requests", {NULL, 429, "{}", .times = 8}, "POST", 60000, true, 0},
        {"but not without patience", {NULL, 429, "{}", .times = 8}, "POST", 0, true, -EBUSY},
        {"nor from one that never answered",
         {NULL, 503, "{}", .times = 8},
         "GET",
         60000,
         false,
         -EBUSY},
        {"unavailable for a while", {NULL, 503, "{}", .times = 6}, "GET", 60000, true, 0},
        {"unavailable for too long", {NULL, 503, "{}"}, "GET", 400, true, -EBUSY},
        {"an error of its own is not borne", {NULL, 500, "{}"}, "GET", 60000, true, -EREMOTEIO},
        {"connections cut", {NULL, .end = API_RESET, .times = 7}, "GET", 60000, true, 0},
        {"a lost answer of a write is the caller's to settle",
         {NULL, .end = API_RESET, .times = 7},
         "POST",
         60000,
         true,
         -EUNKNOWNOUTCOME},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_row script[] = {{"GET /first ", 200, "{}"}, rows[i].trouble, {NULL, 200, "{}"}};
        struct bench b = BENCH(script);
        struct kube_resp resp;
        struct err e = {0};
        kube_client_set_patience(b.c, rows[i].patience_ms, NULL);
        if (rows[i].heard)
            expect(0, bench_ask(&b, "GET", "/first", &resp, &e), &e);
        assert_true(!rows[i].heard == !kube_client_heard_ms(b.c));
        int r = bench_ask(&b, rows[i].method, "/then", &resp, &e);
        if (r != rows[i].want)
            fail_msg("%s: %d, %s", rows[i].what, r, err_msg(&e));
        bench_free(&b);
    }
}

/* A 403 right after a lost connection, or when not even the version may be asked for, is that of a
 * server which has not read the roles yet. */
static void forbidden_while_it_starts(void **state) {
    (void)state;
    static const struct {
        const char *what;
        bool lost;
        unsigned no_version, forbidden; /* times */
        uint32_t patience_ms;
        int want;
    } rows[] = {
        {"after a loss", true, 0, 3, 60000, 0},
        {"without patience", true, 3, 3, 0, -EACCES},
        {"without a loss", false, 0, 3, 60000, -EACCES},
        {"without a loss, and nobody may anything", false, 3, 3, 60000, 0},
        {"read between the two questions", false, 2, 3, 60000, 0},
        {"read, and it is forbidden all the same", false, 1, 4, 60000, -EACCES},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_row script[] = {{"GET /first ", 200, "{}"},
                                   {"GET /lost ", .end = API_RESET, .times = 1},
                                   {rows[i].no_version ? "GET /version " : "no such", 403, "{}",
                                    .times = rows[i].no_version},
                                   {"POST /then", 403, "{}", .times = rows[i].forbidden},
                                   {NULL, 200, "{}"}};
        struct bench b = BENCH(script);
        struct kube_resp resp;
        struct err e = {0};
        kube_client_set_patience(b.c, rows[i].patience_ms, NULL);
        expect(0, bench_ask(&b, "GET", rows[i].lost ? "/lost" : "/first", &resp, &e), &e);
        int r = bench_ask(&b, "POST", "/then", &resp, &e);
        if (r != rows[i].want)
            fail_msg("%s: %d, %s", rows[i].what, r, err_msg(&e));
        bench_free(&b);
    }
}

static void patience_can_be_stopped(void **state) {
    (void)state;
    struct api_row script[] = {{"GET /first ", 200, "{}"}, {NULL, 429, "{}"}};
    struct http_cancel cancel = {.stop = true};
    struct bench b = BENCH(script);
    struct kube_resp resp;
    struct err e = {0};
    expect(0, bench_ask(&b, "GET", "/first", &resp, &e), &e);
    kube_client_set_patience(b.c, 60000, &cancel);
    uint64_t start = clock_now_ms();
    expect(-ESTOPPED, bench_ask(&b, "POST", "/then", &resp, &e), &e);
    assert_true(clock_now_ms() - start < 5000);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pace_follows_the_answers),      cmocka_unit_test(pace_follows_the_latency),
        cmocka_unit_test(pace_waits_and_can_be_stopped), cmocka_unit_test(patience),
        cmocka_unit_test(forbidden_while_it_starts),     cmocka_unit_test(patience_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
