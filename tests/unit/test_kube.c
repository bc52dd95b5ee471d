/* The client of an API server, against a scripted one: errors, credentials, guard, counts. */
#include "base/clock.h"
#include "base/queue.h"
#include "kube_bench.h"

/* --- errors --- */

static void statuses_become_errors(void **state) {
    (void)state;
    static const struct {
        int http;
        const char *body;
        int code;
        bool retry;
        const char *msg;
    } rows[] = {
        {400, "{\"kind\":\"Status\",\"reason\":\"BadRequest\",\"message\":\"m\"}", -EINVAL, false,
         "w: 400 BadRequest: m"},
        {403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}", -EACCES, false,
         "w: 403 Forbidden: no"},
        {404, "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"m\"}", -ENOENT, false,
         "w: 404 NotFound: m"},
        {409, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"m\"}", -EEXIST,
         false, "w: 409 AlreadyExists: m"},
        {409, "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"m\"}", -EAGAIN, false,
         "w: 409 Conflict: m"},
        {410, "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"m\"}", -ESTALE, false,
         "w: 410 Expired: m"},
        {422, "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"m\"}", -EINVAL, false,
         "w: 422 Invalid: m"},
        {405, "{}", -EOPNOTSUPP, false, "w: 405 Method Not Allowed"},
        {429, "{}", -EBUSY, true, "w: 429 Too Many Requests"},
        {503, "null", -EBUSY, true, "w: 503 Service Unavailable"},
        {500, "{\"kind\":\"Status\",\"message\":\"etcd\"}", -EREMOTEIO, true,
         "w: 500 Internal Server Error: etcd"},
        {599, "{}", -EREMOTEIO, true, "w: 599 Server Error"},
        {418, "{}", -EINVAL, false, "w: 418 Refused"},
        {302, "{}", -EPROTO, false, "w: 302 Unexpected Answer"},
        /* No Status: nothing of it is repeated. */
        {403, "{\"kind\":\"Secret\",\"message\":\"hidden\"}", -EACCES, false, "w: 403 Forbidden"},
        {422, "{\"kind\":\"Status\",\"reason\":7,\"message\":[1]}", -EINVAL, false,
         "w: 422 Unprocessable Entity"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        yyjson_val *v;
        assert_int_equal(0, json_parse(a, rows[i].body, strlen(rows[i].body), &v, &e));
        assert_int_equal(rows[i].code, kube_status_err(&e, "w", rows[i].http, v));
        assert_string_equal(rows[i].msg, e.msg);
        assert_int_equal(rows[i].code, e.code);
        assert_int_equal(rows[i].http, e.http);
        assert_int_equal(rows[i].retry, e.retry);
    }
}

static void failed_requests(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"GET /forbidden ", 403,
         "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"m\"}"},
        {"GET /page ", 404, "<html>hunter2</html>"},
        {"POST /page?", 422, "hunter2"},
        {"POST /gateway?", 504, "x"},
        {"GET /gateway ", 501, "x"},
        {"POST /lost?", .end = API_RESET},
        {"POST /busy?", 503, "x"},
    };
    static const struct {
        const char *method, *path;
        int code;
        const char *msg;
        bool maybe_sent;
    } want[] = {
        {"GET", "/forbidden", -EACCES, "A: GET /forbidden: 403 Forbidden: m", true},
        {"GET", "/page", -ENOENT, "A: GET /page: 404 Not Found", true},
        {"POST", "/page", -EINVAL, "A: POST /page: 422 Unprocessable Entity", true},
        {"POST", "/gateway", -EUNKNOWNOUTCOME, "A: POST /gateway: 504 Gateway Timeout", true},
        {"GET", "/gateway", -EREMOTEIO, "A: GET /gateway: 501 Server Error", true},
        {"POST", "/lost", -EUNKNOWNOUTCOME, "A: POST /lost: the answer was lost, it may have",
         true},
        {"POST", "/busy", -EBUSY, "A: POST /busy: 503 Service Unavailable", true},
    };
    struct bench b = BENCH(rows);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct kube_resp resp;
        struct err e;
        int r = bench_ask(&b, want[i].method, want[i].path, &resp, &e);
        expect(want[i].code, r, &e);
        assert_int_equal(want[i].code, e.code);
        says(&e, want[i].msg);
        assert_null(strstr(e.msg, "hunter2"));
        assert_int_equal(want[i].maybe_sent, resp.maybe_sent);
    }
    assert_int_equal(1, api_count(b.api, "POST /lost")); /* never twice */
    bench_free(&b);
}

static void unreachable_server(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, "{}"}};
    struct bench b = BENCH(rows);
    struct api *gone = api_start(rows, 1);
    int port = api_port(gone);
    api_stop(gone);
    kube_client_free(b.c);
    b.c = kube_client_new(b.http, bench_auth(&b, port), &(struct kube_client_opts){.name = "B"});
    struct kube_resp resp;
    struct err e;
    expect(-ECONNREFUSED, bench_ask(&b, "POST", "/x", &resp, &e), &e);
    says(&e, arena_printf(
                 b.a, "B: cannot reach http://127.0.0.1:%d: connection refused (context x)", port));
    assert_false(resp.maybe_sent);
    assert_true(e.retry);
    uint64_t reads, writes;
    kube_client_counts(b.c, &reads, &writes);
    assert_int_equal(0, reads + writes);
    bench_free(&b);
}

/* --- credentials --- */

static void credential_is_renewed_once(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"Bearer t2", 200, "{\"ok\":true}"},
        {NULL, 401, "{\"kind\":\"Status\",\"reason\":\"Unauthorized\",\"message\":\"x\"}"},
    };
    struct bench b = BENCH(rows);
    struct kube_resp resp;
    struct err e;
    /* The same credential is not tried again. */
    expect(-EPERM, bench_ask(&b, "GET", "/a", &resp, &e), &e);
    assert_string_equal("A: GET /a: 401 Unauthorized: the credential (token file) of user \"jo\" "
                        "(context x) was not accepted; it may have expired",
                        e.msg);
    assert_int_equal(401, e.http);
    assert_int_equal(1, api_count(b.api, "GET /a"));
    /* Rotated while we held the old one: kube_auth_get sees that by itself. */
    bench_write(&b, "token", "t2");
    expect(0, bench_ask(&b, "GET", "/b", &resp, &e), &e);
    assert_int_equal(1, api_count(b.api, "GET /b"));
    bench_free(&b);
}

static void plugin_is_run_again_on_401(void **state) {
    (void)state;
    static const struct api_row rows[] = {{"Bearer p2", 200, "{}"}, {NULL, 401, "{}"}};
    struct bench b = BENCH(rows);
    const char *script = arena_printf(b.a,
                                      "n=$(cat %s/n); echo $((n+1)) > %s/n; "
                                      "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":"
                                      "\"client.authentication.k8s.io/v1\",\"status\":"
                                      "{\"token\":\"p'$n'\"}}'",
                                      b.dir, b.dir);
    bench_write(&b, "n", "1");
    struct kube_auth *auth = bench_auth(&b, api_port(b.api));
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct exec_plugin plugin = {
        .user = "jo", .argv = argv, .api_version = "client.authentication.k8s.io/v1"};
    auth->exec = &plugin;
    auth->token = (struct source){0};
    kube_client_free(b.c);
    b.c = kube_client_new(b.http, auth, &(struct kube_client_opts){.name = "A"});
    struct kube_resp resp;
    struct err e;
    expect(0, bench_ask(&b, "GET", "/a", &resp, &e), &e);
    assert_int_equal(2, resp.attempts);
    assert_int_equal(1, api_count(b.api, "Bearer p1"));
    uint64_t reads, writes;
    kube_client_counts(b.c, &reads, &writes);
    assert_int_equal(2, reads);
    unlink(arena_printf(b.a, "%s/n", b.dir));
    bench_free(&b);
}

/* --- reads, writes, the guard --- */

static void what_counts_as_a_read(void **state) {
    (void)state;
    static const struct {
        const char *method, *path;
        bool read;
    } rows[] = {
        {"GET", "/api/v1/pods", true},
        {"HEAD", "/readyz", true},
        {"POST", "/api/v1/namespaces", false},
        {"PUT", "/api/v1/namespaces/x", false},
        {"PATCH", "/api/v1/namespaces/x", false},
        {"DELETE", "/api/v1/namespaces/x", false},
        {"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", true},
        {"POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", true},
        {"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", true},
        {"PUT", "/apis/authentication.k8s.io/v1/selfsubjectreviews", false},
        {"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", false},
        {"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/../x", false},
        {"GET", "/api/v1/namespaces/n/pods/p/exec", false},
        {"GET", "/api/v1/namespaces/n/pods/p/attach", false},
        {"GET", "/api/v1/namespaces/n/pods/p/portforward", false},
        {"GET", "/api/v1/namespaces/n/services/s/proxy/admin", false},
        {"GET", "/api/v1/nodes/n/proxy/run", false},
        {"GET", "/api/v1/namespaces/n/pods/exec", true}, /* a pod of that name */
        {"GET", "/api/v1/namespaces/n/pods/p/log", true},
        {"GET", "/apis/x.io/v1/namespaces/n/things/t/proxy", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (kube_is_read(rows[i].method, rows[i].path) != rows[i].read)
            fail_msg("%s %s", rows[i].method, rows[i].path);
}

static void read_only_refuses_writes(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"selfsubjectaccessreviews", 201, "{\"status\":{\"allowed\":true}}"},
        {NULL, 200, "{}"},
    };
    struct bench b = BENCH(rows);
    struct kube_resp resp;
    struct err e;
    expect(0, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    kube_client_set_read_only(b.c);
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        expect(-EGUARD, bench_ask(&b, methods[i], "/api/v1/namespaces/x", &resp, &e), &e);
        says(&e, arena_printf(b.a, "A: --read-only: refused to send %s /api/v1/namespaces/x",
                              methods[i]));
        assert_int_equal(0, api_count(b.api, "/api/v1/namespaces/x"));
    }
    bool can = false;
    expect(0, kube_can_i(b.c, "get", "", "pods/exec", "n", &can, &e), &e);
    assert_true(can);
    assert_int_equal(1, api_count(b.api, "\"subresource\":\"exec\""));
    expect(0, bench_ask(&b, "GET", "/x", &resp, &e), &e);
    uint64_t reads, writes;
    kube_client_counts(b.c, &reads, &writes);
    assert_int_equal(2, reads);
    assert_int_equal(1, writes);
    bench_free(&b);
}

static void headers_and_field_manager(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, "{}"}};
    struct bench b = BENCH(rows);
    struct kube_resp resp;
    struct err e = {0};
    expect(0, bench_ask(&b, "POST", "/a", &resp, &e), &e);
    assert_int_equal(1, api_count(b.api, "POST /a?fieldManager=tandem "));
    assert_int_equal(1, api_count(b.api, "User-Agent: tandem/"));
    assert_int_equal(1, api_count(b.api, "Authorization: Bearer t1\r\n"));
    assert_int_equal(1, api_count(b.api, "Content-Type: application/json\r\n"));
    struct kube_req req = {.method = "PATCH",
                           .path = "/b",
                           .query = "fieldManager=other&dryRun=All",
                           .body = "{}",
                           .body_len = 2,
                           .content_type = "application/apply-patch+yaml",
                           .accept = "application/x"};
    expect(0, kube_do(b.c, b.a, &req, &resp, &e), &e);
    assert_int_equal(1, api_count(b.api, "PATCH /b?fieldManager=other&dryRun=All "));
    assert_int_equal(1, api_count(b.api, "Content-Type: application/apply-patch+yaml\r\n"));
    assert_int_equal(1, api_count(b.api, "Accept: application/x\r\n"));
    expect(0, bench_ask(&b, "GET", "/c", &resp, &e), &e);
    expect(0, bench_ask(&b, "DELETE", "/d", &resp, &e), &e);
    assert_int_equal(1, api_count(b.api, "GET /c "));
    assert_int_equal(1, api_count(b.api, "DELETE /d "));
    bench_free(&b);
}

static void attempts_are_counted(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"GET /a ", 500, "x", .times = 1},
        {"GET /a ", 200, "{}"},
        {"POST /a?", 429, "x", .header = "Retry-After: 0", .times = 1},
        {"POST /a?", 201, "{}"},
    };
    struct bench b = BENCH(rows);
    struct kube_resp resp;
    struct err e;
    expect(0, bench_ask(&b, "GET", "/a", &resp, &e), &e);
    assert_int_equal(2, resp.attempts);
    expect(0, bench_ask(&b, "POST", "/a", &resp, &e), &e);
    assert_int_equal(2, resp.attempts);
    uint64_t reads, writes;
    kube_client_counts(b.c, &reads, &writes);
    assert_int_equal(2, reads);
    assert_int_equal(2, writes);
    bench_free(&b);
}

struct crowd {
    struct bench *b;
    struct http_cancel cancel;
    int r[4];
};

static void one_read(void *ctx, size_t i) {
    struct crowd *c = ctx;
    AUTO_ARENA a = arena_new();
    struct kube_resp resp = {0};
    struct err e = {0};
    struct kube_req req = {.method = "GET", .path = "/slow", .cancel = &c->cancel};
    c->r[i] = kube_do(c->b->c, a, &req, &resp, &e);
}

static void reads_in_flight_are_limited(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, "{}", .delay_ms = 150}};
    struct bench b = bench_with(rows, 1, &(struct kube_client_opts){.name = "A", .max_reads = 2});
    struct crowd c = {.b = &b};
    uint64_t start = clock_now_ms();
    workers_join(workers_start(4, one_read, &c));
    assert_true(clock_now_ms() - start >= 300); /* two and two */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(0, c.r[i]);
    bench_free(&b);
}

static void one_that_is_tried_again(void *ctx, size_t i) {
    struct crowd *c = ctx;
    AUTO_ARENA a = arena_new();
    struct kube_resp resp = {0};
    struct kube_req req = {.method = "GET", .path = "/busy", .cancel = &c->cancel};
    c->r[i] = kube_do(c->b->c, a, &req, &resp, NULL);
}

/* Where a cluster is dead, those who wait to try again keep nobody from asking. */
static void who_waits_to_try_again_has_no_place(void **state) {
    (void)state;
    static const struct api_row rows[] = {{"GET /other ", 200, "{}"},
                                          {NULL, 503, "{}", .header = "Retry-After: 20"}};
    struct bench b =
        bench_with(rows, COUNT_OF(rows), &(struct kube_client_opts){.name = "A", .max_reads = 1});
    struct crowd c = {.b = &b};
    struct workers *w = workers_start(4, one_that_is_tried_again, &c);
    for (unsigned i = 0; i < 1000 && api_count(b.api, "GET /busy") < 4; i++)
        clock_sleep_ms(10);
    assert_int_equal(api_count(b.api, "GET /busy"), 4);
    yyjson_val *v;
    struct err e = {0};
    expect(0, kube_get(b.c, b.a, "/other", NULL, &v, &e), &e); /* while all four wait */
    assert_int_equal(api_count(b.api, "GET /busy"), 4);
    atomic_store(&c.cancel.stop, true);
    workers_join(w);
    bench_free(&b);
}

struct turns {
    struct gate g;
    atomic_uint waiting;
    atomic_int next;
    int turn[2];
};

static void take_turn(void *ctx, size_t i) {
    struct turns *t = ctx;
    atomic_fetch_add(&t->waiting, 1);
    assert_int_equal(0, gate_enter(&t->g, i == 0, NULL));
    t->turn[i] = atomic_fetch_add(&t->next, 1);
    gate_leave(&t->g, 0);
}

static void the_background_lets_others_go_first(void **state) {
    (void)state;
    struct turns t = {0};
    gate_init(&t.g, 1);
    assert_int_equal(0, gate_enter(&t.g, false, NULL));
    struct workers *w = workers_start(2, take_turn, &t);
    for (unsigned waiting = 0; !waiting;) { /* the one of the foreground stands there */
        pthread_mutex_lock(&t.g.lock);
        waiting = t.g.waiting;
        pthread_mutex_unlock(&t.g.lock);
    }
    while (atomic_load(&t.waiting) < 2)
        clock_sleep_ms(1);
    gate_leave(&t.g, 0);
    workers_join(w);
    assert_int_equal(t.turn[0], 1); /* of the background */
    assert_int_equal(t.turn[1], 0);
    gate_done(&t.g);
}

/* Who goes on without a cluster asks it many times, and waits for the first alone. */
static void one_attempt_where_the_server_is_dead(void **state) {
    (void)state;
    static const struct api_row rows[] = {{.end = API_RESET, .times = 7}, {NULL, 200, "{}"}};
    static const struct {
        const char *path;
        bool answered;
        unsigned attempts;
    } asks[] = {{"/a", false, 5}, {"/a", false, 1}, {"/a", false, 1}, {"/a", true, 1}};
    struct bench b = bench_new(rows, COUNT_OF(rows));
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        struct kube_resp resp = {0};
        struct err e = {0};
        int r = bench_ask(&b, "GET", asks[i].path, &resp, &e);
        if ((r >= 0) != asks[i].answered || resp.attempts != asks[i].attempts)
            fail_msg("row %zu: %d after %u: %s", i, r, resp.attempts, e.msg);
    }
    bench_free(&b);
}

static void waiting_for_a_place_can_be_stopped(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, "{}", .delay_ms = 5000}};
    struct bench b = bench_with(rows, 1, &(struct kube_client_opts){.name = "A", .max_reads = 1});
    struct crowd c = {.b = &b};
    uint64_t start = clock_now_ms();
    struct workers *w = workers_start(3, one_read, &c);
    clock_sleep_ms(100);
    atomic_store(&c.cancel.stop, true);
    workers_join(w);
    assert_true(clock_now_ms() - start < 2500);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(-ESTOPPED, c.r[i]);
    bench_free(&b);
}

static void slow_answers_are_followed_by_a_pause(void **state) {
    (void)state;
    static const struct {
        uint64_t took_ns;
        bool pause;
    } rows[] = {{1900000000u, false}, {2100000000u, true}, {0, false}};
    struct gate g = {.max = 0};
    gate_init(&g, 2);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(0, gate_enter(&g, false, NULL));
        gate_leave(&g, rows[i].took_ns);
        uint64_t start = clock_now_ms();
        assert_int_equal(0, gate_enter(&g, false, NULL));
        assert_int_equal(rows[i].pause, clock_now_ms() - start >= 200);
        gate_leave(&g, 0);
    }
    gate_done(&g);
}

/* --- small questions --- */

static void version_and_identity(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {"GET /version ", 200, "{\"major\":\"1\",\"minor\":\"27+\",\"gitVersion\":\"v1.27.3-eks\"}",
         .times = 1},
        {"GET /version ", 200, "{\"hello\":1}", .times = 1},
        {"GET /version ", 200, "<html>"},
        {"GET /api/v1/namespaces/kube-system ", 200, "{\"metadata\":{\"uid\":\"u-1\"}}"},
    };
    struct bench b = BENCH(rows);
    struct kube_version v = {0};
    struct err e = {0};
    expect(0, kube_get_version(b.c, &v, &e), &e);
    assert_int_equal(1, v.major);
    assert_int_equal(27, v.minor);
    assert_string_equal("v1.27.3-eks", v.git);
    expect(-EBADMSG, kube_get_version(b.c, &v, &e), &e);
    says(&e, "does not answer like a Kubernetes API server");
    expect(-EBADMSG, kube_get_version(b.c, &v, &e), &e);
    says(&e, "cut short or not from an API server");
    struct kube_identity id = {0};
    expect(0, kube_get_identity(b.c, b.a, &id, &e), &e);
    assert_string_equal("u-1", id.uid);
    assert_string_equal("", id.ca);
    bench_free(&b);
}

static void paths(void **state) {
    (void)state;
    static const struct kube_resource deploys = {
        .group = "apps", .version = "v1", .plural = "deployments", .namespaced = true};
    static const struct kube_resource roles = {
        .group = "rbac.authorization.k8s.io", .version = "v1", .plural = "clusterroles"};
    static const struct {
        const struct kube_resource *r;
        const char *ns, *name, *sub, *want;
    } rows[] = {
        {&pods, NULL, NULL, NULL, "/api/v1/pods"},
        {&pods, "", NULL, NULL, "/api/v1/pods"},
        {&pods, "n", NULL, NULL, "/api/v1/namespaces/n/pods"},
        {&pods, "n", "p", NULL, "/api/v1/namespaces/n/pods/p"},
        {&pods, "n", "p", "status", "/api/v1/namespaces/n/pods/p/status"},
        {&pods, "n", NULL, "status", "/api/v1/namespaces/n/pods"},
        {&deploys, "n", "d", "scale", "/apis/apps/v1/namespaces/n/deployments/d/scale"},
        {&roles, "ignored", "system:node/x", NULL,
         "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode%2Fx"},
    };
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(rows[i].want,
                            kube_path(a, rows[i].r, rows[i].ns, rows[i].name, rows[i].sub));
    assert_string_equal("v1", kube_api_version(a, &pods));
    assert_string_equal("apps/v1", kube_api_version(a, &deploys));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_become_errors),
        cmocka_unit_test(failed_requests),
        cmocka_unit_test(unreachable_server),
        cmocka_unit_test(credential_is_renewed_once),
        cmocka_unit_test(plugin_is_run_again_on_401),
        cmocka_unit_test(what_counts_as_a_read),
        cmocka_unit_test(read_only_refuses_writes),
        cmocka_unit_test(headers_and_field_manager),
        cmocka_unit_test(attempts_are_counted),
        cmocka_unit_test(reads_in_flight_are_limited),
        cmocka_unit_test(one_attempt_where_the_server_is_dead),
        cmocka_unit_test(waiting_for_a_place_can_be_stopped),
        cmocka_unit_test(who_waits_to_try_again_has_no_place),
        cmocka_unit_test(the_background_lets_others_go_first),
        cmocka_unit_test(slow_answers_are_followed_by_a_pause),
        cmocka_unit_test(version_and_identity),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
