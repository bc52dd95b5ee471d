/* Who writes to a cluster: the fence before each write, and the Lease that moves it on. */
#include "kube/lease.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/alive.h"
#include "base/clock.h"
#include "base/queue.h"
#include "kube_bench.h"

#define LEASE "GET /apis/coordination.k8s.io/v1/namespaces/tandem-system/leases/tandem-x"
#define MAKE  "POST /apis/coordination.k8s.io/v1/namespaces/tandem-system/leases"
#define PUT   "PUT /apis/coordination.k8s.io/v1/namespaces/tandem-system/leases/tandem-x"
#define WRITE "POST /api/v1/namespaces"
#define OBJECT                                                                                     \
    "{\"metadata\":{\"name\":\"tandem-x\",\"uid\":\"u\",\"resourceVersion\":\"%s\"%s},\"spec\":{%" \
    "s"                                                                                            \
    "\"leaseDurationSeconds\":1,\"leaseTransitions\":4,\"acquireTime\":\"2026-01-01T00:00:00."     \
    "000000Z"                                                                                      \
    "\"}}"
#define THERE(rv, holder)                                                                          \
    "{\"metadata\":{\"name\":\"tandem-x\",\"uid\":\"u\",\"resourceVersion\":\"" rv                 \
    "\"},\"spec\":{"                                                                               \
    "\"holderIdentity\":\"" holder "\",\"leaseDurationSeconds\":1,\"leaseTransitions\":4,"         \
    "\"acquireTime\":\"2026-01-01T00:00:00.000000Z\"}}"
#define CONFLICT "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"changed\"}"
#define GONE     "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"leases not found\"}"
#define GIVEN_BACK                                                                                 \
    "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"8\"},\"spec\":{\"leaseTransitions\":4}}"

static const uint64_t ms = 1000000;

/* --- the fence --- */

static void a_write_past_its_time_is_not_sent(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, "{}"}};
    struct bench b = BENCH(rows);
    struct kube_fence f;
    struct kube_resp resp;
    struct err e;
    fence_init(&f);
    kube_client_set_fence(b.c, &f);
    atomic_store(&f.until_ns, clock_boot_ns() - 1);
    expect(-EGUARD, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    says(&e, "POST /api/v1/namespaces was not sent: lost the lease of this cluster at 2");
    assert_false(resp.maybe_sent);
    assert_int_equal(0, api_count(b.api, ""));
    expect(0, bench_ask(&b, "GET", "/api/v1/namespaces", &resp, &e), &e);
    atomic_store(&f.until_ns, clock_boot_ns() + 10000 * ms);
    expect(0, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    fence_lose(&f, "jo holds it");
    uint64_t start = clock_now_ms();
    expect(-EGUARD, bench_ask(&b, "DELETE", "/api/v1/namespaces/x", &resp, &e), &e);
    says(&e, "jo holds it");
    assert_true(clock_now_ms() - start < 1000); /* what is lost for good is not waited for */
    assert_int_equal(2, api_count(b.api, ""));
    bench_free(&b);
}

static void move_on(void *ctx, size_t i UNUSED) {
    struct kube_fence *f = ctx;
    clock_sleep_ms(300);
    atomic_store(&f->until_ns, clock_boot_ns() + 10000 * ms);
}

static void a_renewal_that_comes_late_is_waited_for(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, "{}"}};
    struct bench b = BENCH(rows);
    struct kube_fence f;
    struct kube_resp resp;
    struct err e;
    fence_init(&f);
    kube_client_set_fence(b.c, &f);
    struct workers *w = workers_start(1, move_on, &f);
    expect(0, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    workers_join(w);
    assert_int_equal(1, api_count(b.api, "POST"));
    bench_free(&b);
}

/* The other cluster's fence: what was lost there stops writes here; one that has run out is waited
 * for until somebody has looked, and not for ever. */
static void partners(void **state) {
    (void)state;
    static const struct {
        const char *what;
        bool runs, lost, tried;
        int want;
        uint64_t least_ms, most_ms;
    } rows[] = {
        {"it runs", true, false, false, 0, 0, 1000},
        {"it was lost", false, true, false, -EGUARD, 0, 1000},
        {"it has run out, and its server does not answer", false, false, true, 0, 0, 1000},
        {"it has run out, and nobody has looked", false, false, false, 0, 1900, 5000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kube_fence f, other;
        struct err e = {0};
        uint64_t now = clock_boot_ns();
        fence_init(&f);
        fence_init(&other);
        atomic_store(&f.until_ns, now + 60000 * ms);
        atomic_store(&other.until_ns, rows[i].runs ? now + 60000 * ms : now - 1000 * ms);
        atomic_store(&other.tried_ns, rows[i].tried ? now : now - 2000 * ms);
        atomic_store(&f.partner, &other);
        if (rows[i].lost)
            fence_lose(&other, "jo holds it");
        uint64_t start = clock_now_ms();
        int r = fence_pass(&f, 0, NULL, &e);
        uint64_t took = clock_now_ms() - start;
        if (r != rows[i].want || took < rows[i].least_ms || took > rows[i].most_ms)
            fail_msg("%s: %d after %llu ms", rows[i].what, r, (unsigned long long)took);
        if (r < 0)
            says(&e, "the other cluster: jo holds it");
    }
}

static void each_attempt_looks_again(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 429, "{}", "Retry-After: 1", .times = 1},
                                          {NULL, 201, "{}"}};
    struct bench b = BENCH(rows);
    struct kube_fence f;
    struct kube_resp resp;
    struct err e;
    fence_init(&f);
    kube_client_set_fence(b.c, &f);
    atomic_store(&f.until_ns, clock_boot_ns() + 500 * ms);
    expect(-EGUARD, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    assert_int_equal(1, api_count(b.api, "POST"));
    bench_free(&b);
}

/* A server whose queue is full: the connection stands about a second later, when it is taken up. */
struct slow {
    int listener, filler[4], got;
    char bytes[64];
};

static int filler(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)connect(fd, (struct sockaddr *)&at, sizeof at);
    return fd;
}

static int slow_open(struct slow *s) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(s->listener, (struct sockaddr *)&at, sizeof at));
    assert_int_equal(0, listen(s->listener, 0));
    assert_int_equal(0, getsockname(s->listener, (struct sockaddr *)&at, &n));
    for (size_t i = 0; i < COUNT_OF(s->filler); i++)
        s->filler[i] = filler(ntohs(at.sin_port));
    return ntohs(at.sin_port);
}

/* Takes everybody up after half a second, and keeps what the request's connection sends. */
static void slow_serve(void *ctx, size_t i UNUSED) {
    struct slow *s = ctx;
    clock_sleep_ms(500);
    for (size_t k = 0; k < COUNT_OF(s->filler); k++)
        close(s->filler[k]);
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return;
        ssize_t n = recv(fd, s->bytes, sizeof s->bytes, 0);
        s->got += n > 0 ? (int)n : 0;
        close(fd);
    }
}

static void it_is_looked_at_when_the_connection_stands(void **state) {
    (void)state;
    struct slow s = {0};
    AUTO_ARENA a = arena_new();
    struct http_client *c = http_client_new();
    int port = slow_open(&s);
    struct workers *w = workers_start(1, slow_serve, &s);
    atomic_uint_fast64_t until = clock_boot_ns() + 200 * ms;
    struct http_req req = {.method = "POST",
                           .url = arena_printf(a, "http://127.0.0.1:%d/", port),
                           .body = "x",
                           .body_len = 1,
                           .connect_timeout_ms = 20000,
                           .until_ns = &until};
    struct http_resp resp;
    struct err e = {0};
    bool sent = true;
    expect(-EGUARD, http_do(c, a, &req, &resp, &sent, &e), &e);
    assert_false(sent);
    http_client_free(c);
    shutdown(s.listener, SHUT_RDWR);
    workers_join(w);
    close(s.listener);
    assert_int_equal(0, s.got);
}

/* --- processes --- */

static void stamp_of_a_dead_one(char out[ALIVE_MAX]) {
    int p[2];
    assert_int_equal(0, pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        char own[ALIVE_MAX];
        alive_stamp(own);
        _exit(write(p[1], own, sizeof own) == sizeof own ? 0 : 1);
    }
    assert_int_equal(ALIVE_MAX, read(p[0], out, ALIVE_MAX));
    assert_int_equal(pid, waitpid(pid, NULL, 0));
    close(p[0]);
    close(p[1]);
}

static void who_has_ended_is_known(void **state) {
    (void)state;
    char own[ALIVE_MAX], dead[ALIVE_MAX], other[ALIVE_MAX];
    alive_stamp(own);
    assert_true(own[0]);
    assert_false(alive_ended(own));
    stamp_of_a_dead_one(dead);
    assert_true(alive_ended(dead));
    snprintf(other, sizeof other, "%s", dead);
    other[0] = other[0] == '0' ? '1' : '0'; /* another machine's boot id */
    assert_false(alive_ended(other));
    assert_false(alive_ended(NULL));
    assert_false(alive_ended(""));
    assert_false(alive_ended("a b c d"));
    snprintf(other, sizeof other, "%.*s 1", (int)(strrchr(own, ' ') - own), own);
    assert_true(alive_ended(other)); /* the pid was given to another */
}

/* --- taking it --- */

static struct lease_opts opts(void) {
    return (struct lease_opts){.namespace = "tandem-system",
                               .name = "tandem-x",
                               .identity = "me",
                               .duration_ms = 1000,
                               .write_ms = 600,
                               .renew_ms = 200};
}

/* Rows of a server, and what comes of taking the lease there. */
static const struct {
    const char *what;
    struct api_row rows[6];
    bool by_force;
    int want;
    const char *says; /* the error, or who it was taken from */
    int64_t epoch;
    uint64_t least_ms, most_ms;
} cases[] = {
    {"a new one", {{LEASE, 404, GONE}, {MAKE, 201, THERE("1", "me")}}, .most_ms = 900},
    {"no namespace", {{LEASE, 404, GONE}, {MAKE, 404, GONE}}, .want = -ENOENT},
    {"no right", {{LEASE, 403, "{}"}}, .want = -EACCES},
    {"given back",
     {{LEASE, 200, GIVEN_BACK}, {PUT, 200, THERE("9", "me")}},
     .epoch = 5,
     .most_ms = 900},
    {"one that lives",
     {{LEASE, 200, THERE("1", "jo"), .times = 1}, {LEASE, 200, THERE("2", "jo")}},
     .want = -EBUSY,
     .says = "jo writes to this cluster since 2026-01-01T00:00:00.000000Z"},
    {"a stale one",
     {{LEASE, 200, THERE("1", "jo")}, {PUT, 200, THERE("9", "me")}},
     .says = "jo (it was not renewed",
     .epoch = 5,
     .least_ms = 1000},
    {"given back meanwhile",
     {{LEASE, 200, THERE("1", "jo"), .times = 1},
      {LEASE, 200, GIVEN_BACK},
      {PUT, 200, THERE("9", "me")}},
     .epoch = 5},
    {"somebody was faster",
     {{LEASE, 200, GIVEN_BACK, .times = 1},
      {PUT, 409, CONFLICT},
      {LEASE, 200, THERE("9", "jo"), .times = 1},
      {LEASE, 200, THERE("10", "jo")}},
     .want = -EBUSY,
     .says = "jo writes"},
    {"the answer to the create was lost",
     {{LEASE, 404, GONE, .times = 1},
      {MAKE, 201, "", NULL, API_RESET},
      {LEASE, 200, THERE("3", "me")},
      {PUT, 200, THERE("9", "me")}},
     .epoch = 4},
    {"by force",
     {{LEASE, 200, THERE("1", "jo")}, {PUT, 200, THERE("9", "me")}},
     .by_force = true,
     .says = "jo (by force",
     .epoch = 5,
     .least_ms = 600},
};

static void taking(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = 0;
        while (n < COUNT_OF(cases[i].rows) && cases[i].rows[n].want)
            n++;
        struct bench b = bench_new(cases[i].rows, n);
        struct lease_opts o = opts();
        struct lease *l = NULL;
        struct lease_taken how = {0};
        struct err e = {0};
        o.by_force = cases[i].by_force;
        uint64_t start = clock_now_ms();
        int r = lease_take(b.c, &o, &l, &how, &e);
        uint64_t took = clock_now_ms() - start;
        const char *text = r < 0 ? e.msg : how.from;
        if (r != cases[i].want || (cases[i].says && !strstr(text, cases[i].says)))
            fail_msg("%s: %d, %s", cases[i].what, r, text);
        if (r == 0 && (how.epoch != cases[i].epoch || how.over != (cases[i].says != NULL)))
            fail_msg("%s: epoch %lld, %s", cases[i].what, (long long)how.epoch, how.from);
        if (took < cases[i].least_ms || (cases[i].most_ms && took > cases[i].most_ms))
            fail_msg("%s took %llu ms", cases[i].what, (unsigned long long)took);
        lease_end(l, false);
        bench_free(&b);
    }
}

static void one_that_has_ended_is_not_waited_for(void **state) {
    (void)state;
    static char body[1024];
    char dead[ALIVE_MAX], notes[2 * ALIVE_MAX];
    stamp_of_a_dead_one(dead);
    snprintf(notes, sizeof notes, ",\"annotations\":{\"tandem.dev/process\":\"%s\"}", dead);
    snprintf(body, sizeof body, OBJECT, "1", notes, "\"holderIdentity\":\"jo\",");
    const struct api_row rows[] = {{LEASE, 200, body}, {PUT, 200, THERE("9", "me")}};
    struct bench b = BENCH(rows);
    struct lease_opts o = opts();
    struct lease *l;
    struct lease_taken how;
    struct err e = {0};
    uint64_t start = clock_now_ms();
    expect(0, lease_take(b.c, &o, &l, &how, &e), &e);
    assert_true(clock_now_ms() - start < 900);
    assert_true(how.over && strstr(how.from, "its process has ended"));
    lease_end(l, false);
    bench_free(&b);
}

static void waiting_for_another_can_be_stopped(void **state) {
    (void)state;
    static const struct api_row rows[] = {{LEASE, 200, THERE("1", "jo")}};
    struct bench b = BENCH(rows);
    struct lease_opts o = opts();
    struct http_cancel cancel = {true};
    struct lease *l = NULL;
    struct lease_taken how;
    struct err e = {0};
    o.cancel = &cancel;
    expect(-ESTOPPED, lease_take(b.c, &o, &l, &how, &e), &e);
    assert_int_equal(0, api_count(b.api, "PUT"));
    bench_free(&b);
}

/* --- holding it --- */

static struct lease *take(struct bench *b, const struct lease_opts *o) {
    struct lease *l = NULL;
    struct lease_taken how;
    struct err e = {0};
    expect(0, lease_take(b->c, o, &l, &how, &e), &e);
    return l;
}

static bool within(bool (*is)(struct lease *), struct lease *l, uint64_t longest_ms) {
    uint64_t end = clock_now_ms() + longest_ms;
    while (!is(l) && clock_now_ms() < end)
        clock_sleep_ms(10);
    return is(l);
}

static bool is_lost(struct lease *l) {
    return lease_lost(l);
}

static void it_is_renewed_and_given_back(void **state) {
    (void)state;
    static const struct api_row rows[] = {{LEASE, 404, GONE},
                                          {MAKE, 201, THERE("1", "me")},
                                          {PUT, 200, THERE("2", "me")},
                                          {WRITE, 201, "{}"}};
    struct bench b = BENCH(rows);
    struct lease_opts o = opts();
    struct lease *l = take(&b, &o);
    struct kube_resp resp;
    struct err e;
    clock_sleep_ms(1500); /* longer than a write may come after one renewal */
    expect(0, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    unsigned renewed = api_count(b.api, "PUT");
    assert_in_range(renewed, 4, 8);
    assert_int_equal(renewed, api_count(b.api, "\"holderIdentity\":\"me\"") - 1); /* the create */
    assert_int_equal(1, api_count(b.api, "\"resourceVersion\":\"1\""));
    lease_end(l, false);
    /* The last one names nobody. */
    assert_int_equal(api_count(b.api, "PUT"), api_count(b.api, "holderIdentity"));
    bench_free(&b);
}

static void it_is_deleted_where_that_is_asked_for(void **state) {
    (void)state;
    static const struct api_row rows[] = {
        {LEASE, 404, GONE}, {MAKE, 201, THERE("1", "me")}, {"DELETE ", 200, "{}"}};
    struct bench b = BENCH(rows);
    struct lease_opts o = opts();
    o.renew_ms = 5000;
    lease_end(take(&b, &o), true);
    assert_int_equal(
        1, api_count(b.api, "\"preconditions\":{\"uid\":\"u\",\"resourceVersion\":\"1\"}"));
    bench_free(&b);
}

static void one_that_was_taken_away_ends_all_writing(void **state) {
    (void)state;
    static const struct {
        const char *what;
        struct api_row renewal, look;
        const char *says;
    } rows[] = {
        {"another has it",
         {PUT, 409, CONFLICT},
         {LEASE, 200, THERE("7", "jo")},
         "jo holds it since"},
        {"it was deleted", {PUT, 404, GONE}, {LEASE, 404, GONE}, "it was deleted"},
        {"it was given back for us",
         {PUT, 409, CONFLICT},
         {LEASE, 200, GIVEN_BACK},
         "given it back"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_row script[] = {{LEASE, 404, GONE, .times = 1},
                                   {MAKE, 201, THERE("1", "me")},
                                   rows[i].renewal,
                                   rows[i].look,
                                   {WRITE, 201, "{}"}};
        struct bench b = BENCH(script);
        struct lease_opts o = opts();
        struct lease *l = take(&b, &o);
        struct kube_resp resp;
        struct err e;
        if (!within(is_lost, l, 2000))
            fail_msg("%s: not noticed", rows[i].what);
        expect(-EGUARD, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
        says(&e, rows[i].says);
        assert_int_equal(0, api_count(b.api, WRITE "?"));
        unsigned before = api_count(b.api, "");
        lease_end(l, false);
        assert_int_equal(before, api_count(b.api, "")); /* nothing is given back that is not ours */
        bench_free(&b);
    }
}

static void a_lost_answer_is_settled_by_looking(void **state) {
    (void)state;
    static const struct api_row rows[] = {{LEASE, 404, GONE, .times = 1},
                                          {MAKE, 201, THERE("1", "me")},
                                          {"\"resourceVersion\":\"1\"", 409, CONFLICT},
                                          {LEASE, 200, THERE("5", "me")},
                                          {"\"resourceVersion\":\"5\"", 200, THERE("5", "me")},
                                          {WRITE, 201, "{}"}};
    struct bench b = BENCH(rows);
    struct lease_opts o = opts();
    struct lease *l = take(&b, &o);
    struct kube_resp resp;
    struct err e;
    clock_sleep_ms(900);
    assert_false(lease_lost(l));
    expect(0, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    lease_end(l, false);
    bench_free(&b);
}

static void silence_stops_writing_until_it_is_over(void **state) {
    (void)state;
    static const struct api_row rows[] = {{LEASE, 404, GONE},
                                          {MAKE, 201, THERE("1", "me")},
                                          {PUT, 500, "{}", .times = 6},
                                          {PUT, 200, THERE("2", "me")},
                                          {WRITE, 201, "{}"}};
    struct bench b = BENCH(rows);
    struct lease_opts o = opts();
    struct lease *l = take(&b, &o);
    struct kube_resp resp;
    struct err e;
    clock_sleep_ms(800);
    uint64_t start = clock_now_ms();
    expect(0, bench_ask(&b, "POST", "/api/v1/namespaces", &resp, &e), &e);
    assert_in_range(clock_now_ms() - start, 100, 1900);
    /* It went out after the renewal that went well, the seventh. */
    assert_true(api_when(b.api, PUT, 6) >= 0);
    assert_true(api_when(b.api, WRITE "?", 0) > api_when(b.api, PUT, 6));
    lease_end(l, false);
    bench_free(&b);
}

static void only_what_nobody_holds_is_swept(void **state) {
    (void)state;
    static const struct {
        struct api_row look;
        unsigned deletes;
    } rows[] = {{{LEASE, 404, GONE}, 0},
                {{LEASE, 200, THERE("1", "jo")}, 0},
                {{LEASE, 200, GIVEN_BACK}, 1}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_row script[] = {rows[i].look, {"DELETE ", 200, "{}"}};
        struct bench b = BENCH(script);
        struct err e = {0};
        expect(0, lease_sweep(b.c, "tandem-system", "tandem-x", &e), &e);
        assert_int_equal(rows[i].deletes, api_count(b.api, "DELETE"));
        bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_past_its_time_is_not_sent),
        cmocka_unit_test(a_renewal_that_comes_late_is_waited_for),
        cmocka_unit_test(each_attempt_looks_again),
        cmocka_unit_test(partners),
        cmocka_unit_test(it_is_looked_at_when_the_connection_stands),
        cmocka_unit_test(who_has_ended_is_known),
        cmocka_unit_test(taking),
        cmocka_unit_test(one_that_has_ended_is_not_waited_for),
        cmocka_unit_test(waiting_for_another_can_be_stopped),
        cmocka_unit_test(it_is_renewed_and_given_back),
        cmocka_unit_test(it_is_deleted_where_that_is_asked_for),
        cmocka_unit_test(one_that_was_taken_away_ends_all_writing),
        cmocka_unit_test(a_lost_answer_is_settled_by_looking),
        cmocka_unit_test(silence_stops_writing_until_it_is_over),
        cmocka_unit_test(only_what_nobody_holds_is_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
