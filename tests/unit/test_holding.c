/* When a command that writes goes on, with a Lease or without, and when it does not. */
#include "kube_bench.h"
#include "run/holding.h"

#include "base/log.h"

#define LEASE "GET /apis/coordination.k8s.io/v1/namespaces/tandem-system/leases/tandem-prod "
#define MAKE  "POST /apis/coordination.k8s.io/v1/namespaces/tandem-system/leases"
#define PUT   "PUT /apis/coordination.k8s.io/v1/namespaces/tandem-system/leases/tandem-prod"
#define NS    "POST /api/v1/namespaces?"
#define GONE  "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"not found\"}"
#define OURS  "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"1\"},\"spec\":{}}"
#define THEIRS(rv)                                                                                 \
    "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"" rv                                       \
    "\"},\"spec\":{\"holderIdentity\":\"jo@box:1:x\",\"leaseDurationSeconds\":15}}"
#define STATUS(text) "{\"kind\":\"Status\",\"message\":\"" text "\"}"

struct lab {
    struct bench b;
    struct config cfg;
    struct session s;
};

static void lab_open(struct lab *l, const struct api_row *rows, size_t n) {
    *l = (struct lab){.b = bench_new(rows, n), .cfg = {.name = "prod"}};
    l->s = (struct session){
        .cfg = &l->cfg, .a = l->b.a, .cluster = {NULL, l->b.c}, .source = 'a', .destination = 'b'};
    snprintf(l->s.actor, sizeof l->s.actor, "me@here");
}

static void lab_close(struct lab *l) {
    session_let_go(&l->s);
    bench_free(&l->b);
}

static void holding(void **state) {
    (void)state;
    static const struct {
        const char *what;
        struct api_row rows[5];
        bool take_over, read_only;
        int want;
        const char *says;
        bool lease;
    } rows[] = {
        {"one and its namespace are made",
         {{LEASE, 404, GONE},
          {MAKE, 404, GONE, .times = 1},
          {NS, 201, "{}"},
          {MAKE, 201, OURS},
          {PUT, 200, OURS}},
         .lease = true},
        {"no right to Leases", {{LEASE, 403, STATUS("no")}}},
        {"no right to make the namespace",
         {{LEASE, 404, GONE}, {MAKE, 404, GONE}, {NS, 403, STATUS("no")}}},
        {"a webhook that refuses it",
         {{LEASE, 404, GONE}, {MAKE, 500, STATUS("failed calling webhook \\\"x\\\"")}}},
        {"another holds it",
         {{LEASE, 200, THEIRS("1"), .times = 1}, {LEASE, 200, THEIRS("2")}},
         .want = -EGUARD,
         .says = "jo@box:1:x writes to this cluster"},
        {"who has it cannot be told",
         {{LEASE, 500, STATUS("etcd")}},
         .want = -EREMOTEIO,
         .says = "etcd"},
        {"not in the way back's way", {{LEASE, 500, STATUS("etcd")}}, .take_over = true},
        {"read-only", {{LEASE, 404, GONE}}, .read_only = true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct lab l;
        struct err e = {0};
        size_t n = 0;
        while (n < COUNT_OF(rows[i].rows) && rows[i].rows[n].want)
            n++;
        lab_open(&l, rows[i].rows, n);
        l.s.take_over = rows[i].take_over;
        l.s.o.read_only = rows[i].read_only;
        int r = session_hold(&l.s, NEED_CLUSTERS, &e);
        if (r != rows[i].want || (r < 0 && e.code != r) ||
            (rows[i].says && !strstr(e.msg, rows[i].says)) || rows[i].lease != !!l.s.lease[1])
            fail_msg("%s: %d, %s", rows[i].what, r, e.msg);
        unsigned asked = api_count(l.b.api, LEASE);
        if (r == 0 && session_hold(&l.s, NEED_B, &e) < 0) /* said once, asked once */
            fail_msg("%s, again: %s", rows[i].what, e.msg);
        if (r == 0)
            assert_int_equal(asked, api_count(l.b.api, LEASE));
        assert_int_equal(rows[i].read_only ? 0 : 1, MIN(asked, 1));
        lab_close(&l);
    }
}

static void it_goes_with_the_run(void **state) {
    (void)state;
    static const struct api_row rows[] = {{LEASE, 404, GONE, .times = 1},
                                          {MAKE, 201, OURS},
                                          {PUT, 200, OURS},
                                          {"DELETE /apis/coordination.k8s.io", 200, "{}"},
                                          {"GET /api/v1/namespaces/", 404, GONE}};
    struct lab l;
    struct err e = {0};
    lab_open(&l, rows, COUNT_OF(rows));
    expect(0, session_hold(&l.s, holding_slot('b'), &e), &e);
    assert_non_null(l.s.lease[1]);
    expect(0, session_sweep(&l.s, "r-1", &e), &e);
    assert_null(l.s.lease[1]);
    assert_int_equal(1, api_count(l.b.api, "DELETE"));
    assert_int_equal(0, api_count(l.b.api, "PUT"));
    lab_close(&l);
}

int main(void) {
    log_setup(LOG_ERROR, LOG_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holding),
        cmocka_unit_test(it_goes_with_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
