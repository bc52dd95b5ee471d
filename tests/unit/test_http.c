#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/queue.h"
#include "base/str.h"
#include "fake_http.h"
#include "net/frame.h"
#include "net/http.h"

#define OK    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define HEAD5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
#define TE    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define BUSY  "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"
#define NA    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

static char http_date[128]; /* a 503 whose Retry-After is a date */

static const struct fake_reply replies[] = {
    {"/ok", OK},
    {"/echo", "ECHO"},
    {"/bye", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
     .then = FAKE_CLOSE},
    {"/headers", "HTTP/1.1 100 Continue\r\nX-No: 1\r\n\r\nHTTP/1.1 201 Created\r\nX-One:  a b \r\n"
                 "x-empty:\r\nContent-Length: 0\r\n\r\n"},
    {"/chunked", TE "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
    {"/until-close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde", .then = FAKE_CLOSE},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n"},
    {"/big", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .again = "8\r\n12345678\r\n",
     .repeat = 1000, .then = FAKE_CLOSE},
    {"/missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"},
    /* Faults. */
    {"/close", NULL, .then = FAKE_CLOSE},
    {"/reset", NULL, .then = FAKE_RESET},
    {"/cut-head", "HTTP/1.1 200 OK\r\nContent-Le", .then = FAKE_CLOSE},
    {"/cut-status", "HTTP/1.1 200", .then = FAKE_CLOSE},
    {"/cut-status-line", "HTTP/1.1 200 OK\r\n", .then = FAKE_CLOSE},
    {"/cut-100", "HTTP/1.1 100 Continue\r\n\r\n", .then = FAKE_CLOSE},
    {"/cut-after-head", HEAD5, .then = FAKE_CLOSE},
    {"/cut-body", HEAD5 "abc", .then = FAKE_CLOSE},
    {"/cut-chunk", TE "5\r\nab", .then = FAKE_CLOSE},
    {"/cut-chunks", TE "2\r\nab\r\n", .then = FAKE_CLOSE},
    {"/reset-body", HEAD5 "abc", .then = FAKE_RESET},
    {"/garbage", "SSH-2.0-OpenSSH_9.2\r\n", .then = FAKE_CLOSE},
    {"/long-header", "HTTP/1.1 200 OK\r\n",
     .again = "X-Pad: ..........................................\r\n", .repeat = 10000,
     .then = FAKE_CLOSE},
    {"/hang", NULL, .then = FAKE_HANG},
    {"/hang-body", HEAD5 "abc", .then = FAKE_HANG},
    {"/drip", TE, .again = "1\r\nx\r\n", .repeat = 8, .every_ms = 100, .then = FAKE_HANG},
    {"/die-once", NULL, .then = FAKE_CLOSE, .times = 1},
    {"/die-once", OK},
    /* A stream of lines. */
    {"/watch", TE, .again = "6\r\n{\"a\":1\r\n2\r\n}\n\r\n", .repeat = 5, .every_ms = 5,
     .then = FAKE_HANG},
    {"/watch-end", TE "4\r\na\nb\n\r\n0\r\n\r\n"},
    {"/watch-cut-once", TE "4\r\na\nb\n\r\n", .then = FAKE_CLOSE, .times = 1},
    {"/watch-cut-once", TE "0\r\n\r\n"},
    /* Busy. */
    {"/busy-once", BUSY, .times = 1},
    {"/busy-once", OK},
    {"/busy", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy"},
    {"/na-date", http_date, .times = 1},
    {"/na-date", OK},
    {"/na-once", NA, .times = 1},
    {"/na-once", OK},
    {"/500", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"},
    {"/501", "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n"},
    {"/long-wait",
     "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"},
};

static struct http_client *client;
static struct fake *server;
static struct arena *arena;

static int setup(void **state UNUSED) {
    time_t at = time(NULL) + 2;
    struct tm tm;
    char date[64];
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
    snprintf(http_date, sizeof http_date,
             "HTTP/1.1 503 Unavailable\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    server = fake_start(replies, COUNT_OF(replies), NULL);
    client = http_client_new();
    arena = arena_new();
    return 0;
}

static int teardown(void **state UNUSED) {
    http_client_free(client);
    fake_stop(server);
    arena_free(arena);
    return 0;
}

static const char *url(const char *path) {
    return arena_printf(arena, "http://127.0.0.1:%d%s", fake_port(server), path);
}

static struct http_req get(const char *path) {
    return (struct http_req){.method = "GET", .url = url(path)};
}

static int ask(const struct http_req *req, struct http_resp *ret, bool *sent, struct err *e) {
    return http_do(client, arena, req, ret, sent, e);
}

static struct http_resp must_ask(struct http_req req) {
    struct http_resp resp;
    struct err e = {0};
    bool sent = true;
    if (ask(&req, &resp, &sent, &e) < 0)
        fail_msg("%s: %s", req.url, e.msg);
    assert_false(sent);
    return resp;
}

static void test_answers(void **state UNUSED) {
    static const struct {
        const char *method, *path;
        int status;
        const char *body;
    } rows[] = {
        {"GET", "/ok", 200, "ok"},         {"POST", "/ok", 200, "ok"},
        {"GET", "/chunked", 200, "abcde"}, {"GET", "/until-close", 200, "abcde"},
        {"GET", "/redirect", 302, ""},     {"GET", "/missing", 404, "gone"},
        {"GET", "/500", 500, "oops"},      {"GET", "/bye", 200, "ok"},
        {"DELETE", "/busy", 429, "busy"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_req req = get(rows[i].path);
        req.method = rows[i].method;
        struct http_resp resp = must_ask(req);
        assert_int_equal(resp.status, rows[i].status);
        assert_int_equal(resp.body_len, strlen(rows[i].body));
        assert_string_equal(resp.body, rows[i].body);
        assert_true(resp.time_ns > 0 && resp.time_ns < 5000000000u);
    }
}

static void test_headers(void **state UNUSED) {
    struct http_resp resp = must_ask(get("/headers"));
    assert_int_equal(resp.status, 201);
    assert_string_equal(http_header(&resp, "x-one"), "a b");
    assert_string_equal(http_header(&resp, "x-empty"), "");
    assert_null(http_header(&resp, "x-no"));
    assert_null(http_header(&resp, "x-on"));
    assert_string_equal(resp.body, "");
    size_t n = 0;
    while (resp.headers[n])
        n++;
    assert_int_equal(n, 3);
}

/* What goes over the wire: each row is a part that must, or with '!' must not, be there. */
static void test_sent(void **state UNUSED) {
    static const char *const plain[] = {NULL};
    static const char *const typed[] = {"Content-Type: application/json", "X-A: b", NULL};
    static const struct {
        const char *method, *body;
        const char *const *headers;
        const char *want;
    } rows[] = {
        {"GET", NULL, NULL, "GET /echo?a=%20../b HTTP/1.1\r\n"},
        {"GET", NULL, plain, "!Content-"},
        {"GET", NULL, typed, "\r\nX-A: b\r\n"},
        {"POST", "{}", typed, "\r\nContent-Length: 2\r\n"},
        {"POST", "{}", typed, "\r\nContent-Type: application/json\r\n"},
        {"POST", "{}", typed, "\r\n\r\n{}"},
        {"POST", "{}", NULL, "!Content-Type"},
        {"POST", NULL, NULL, "\r\nContent-Length: 0\r\n"},
        {"POST", "{}", NULL, "!Expect"},
        {"PUT", "x", NULL, "PUT /echo"},
        {"PUT", "x", NULL, "\r\n\r\nx"},
        {"PATCH", "y", NULL, "PATCH /echo"},
        {"DELETE", NULL, NULL, "!Content-"},
        {"DELETE", NULL, NULL, "DELETE /echo"},
        {"DELETE", "{}", NULL, "\r\n\r\n{}"},
        {"LIST", NULL, NULL, "LIST /echo"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_req req = get("/echo?a=%20../b");
        req.method = rows[i].method;
        req.headers = rows[i].headers;
        req.body = rows[i].body;
        req.body_len = rows[i].body ? strlen(rows[i].body) : 0;
        struct http_resp resp = must_ask(req);
        bool not = rows[i].want[0] == '!';
        if (!strstr(resp.body, rows[i].want + not ) != not )
            fail_msg("row %zu: %s", i, resp.body);
    }
}

static void test_large_body(void **state UNUSED) {
    struct http_req req = get("/echo");
    req.method = "POST";
    req.body_len = 5 << 20;
    char *body = arena_raw(arena, req.body_len);
    memset(body, 'z', req.body_len);
    req.body = body;
    struct http_resp resp = must_ask(req);
    assert_true(resp.body_len > req.body_len);
    assert_null(strstr(resp.body, "Expect:")); /* waiting for 100 Continue would cost a round */
    assert_memory_equal(resp.body + resp.body_len - req.body_len, body, req.body_len);
    req.method = "GET"; /* nothing of it stays in the handle */
    req.body = NULL;
    req.body_len = 0;
    assert_true(must_ask(req).body_len < 200);
    req.method = "HEAD";
    req.url = url("/missing");
    assert_int_equal(must_ask(req).body_len, 0);
}

static void test_bad_requests(void **state UNUSED) {
    static const char *const split[] = {"X-A: b\r\nX-Evil: c", NULL};
    const struct http_req rows[] = {
        {.method = "GET", .url = "ftp://127.0.0.1/"},
        {.method = "GET", .url = "127.0.0.1/"},
        {.method = "GET", .url = "http:///x"},
        {.method = "GET", .url = "http://127.0.0.1/a b"},
        {.method = "GET", .url = "http://127.0.0.1:99999/"},
        {.method = "GET /x", .url = "http://127.0.0.1/"},
        {.method = "", .url = "http://127.0.0.1/"},
        {.method = "GET", .url = "http://127.0.0.1/", .headers = split},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_resp resp = {.status = 77};
        struct err e;
        bool sent = true;
        assert_int_equal(ask(&rows[i], &resp, &sent, &e), -EINVAL);
        assert_int_equal(resp.status, 77);
        assert_false(sent || e.retry);
    }
}

static void test_faults(void **state UNUSED) {
    static const struct {
        const char *method, *path;
        int code;
        bool sent, retry;
        unsigned timeout_ms, stall_ms;
        size_t max_body;
    } rows[] = {
        {"POST", "/close", -ECONNRESET, true, true},
        {"GET", "/close", -ECONNRESET, true, true},
        {"POST", "/reset", -ECONNRESET, true, true},
        {"POST", "/cut-head", -ECONNRESET, true, true},
        {"POST", "/cut-status", -ECONNRESET, true, true},
        {"POST", "/cut-status-line", -ECONNRESET, true, true},
        {"POST", "/cut-100", -ECONNRESET, true, true},
        {"POST", "/cut-after-head", -ECONNRESET, true, true},
        {"POST", "/cut-body", -ECONNRESET, true, true},
        {"GET", "/cut-chunk", -ECONNRESET, true, true},
        {"GET", "/cut-chunks", -ECONNRESET, true, true},
        {"GET", "/reset-body", -ECONNRESET, true, true},
        {"GET", "/garbage", -EIO, true, false},
        {"GET", "/long-header", -EMSGSIZE, true, false},
        {"GET", "/big", -EMSGSIZE, true, false, .max_body = 1000},
        {"POST", "/hang", -ETIMEDOUT, true, true, .timeout_ms = 150},
        {"GET", "/hang-body", -ETIMEDOUT, true, true, .timeout_ms = 150},
        {"GET", "/hang", -ETIMEDOUT, true, true, .stall_ms = 100},
        {"GET", "/hang-body", -ETIMEDOUT, true, true, .stall_ms = 100},
        {"GET", "/drip", -ETIMEDOUT, true, true, .timeout_ms = UINT32_MAX, .stall_ms = 250},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_resp resp = {.status = 77};
        struct err e = {0};
        bool sent = !rows[i].sent;
        struct http_req req = get(rows[i].path);
        req.method = rows[i].method;
        req.timeout_ms = rows[i].timeout_ms;
        req.stall_timeout_ms = rows[i].stall_ms;
        req.max_body = rows[i].max_body;
        fake_drop_connections(server); /* fresh ones, so that a cut is not taken for an old one */
        clock_sleep_ms(20);
        unsigned before = fake_requests(server);
        int r = ask(&req, &resp, &sent, &e);
        if (r != rows[i].code || sent != rows[i].sent || e.retry != rows[i].retry || e.code != r ||
            resp.status != 77)
            fail_msg("%s: %d, sent %d, retry %d: %s", rows[i].path, r, sent, e.retry, e.msg);
        assert_int_equal(fake_requests(server), before + 1);
        assert_non_null(strstr(e.msg, "127.0.0.1"));
    }
}

static void test_sizes(void **state UNUSED) {
    struct http_req req = get("/missing");
    struct http_resp resp;
    req.max_body = 4;
    assert_string_equal(must_ask(req).body, "gone");
    req.max_body = 3;
    assert_int_equal(ask(&req, &resp, NULL, NULL), -EMSGSIZE);
    assert_string_equal(must_ask(get("/ok")).body, "ok");
}

static void test_drip_survives_stall(void **state UNUSED) {
    struct http_req req = get("/drip");
    struct http_resp resp;
    req.stall_timeout_ms = 400;
    uint64_t t0 = clock_now_ms();
    assert_int_equal(ask(&req, &resp, NULL, NULL), -ETIMEDOUT);
    assert_true(clock_now_ms() - t0 > 1100); /* 8 x 100 ms of bytes, then the silence */
}

/* A port where nobody listens, made by closing a listener. */
static int closed_port(void) {
    struct fake *f = fake_start(replies, 1, NULL);
    int port = fake_port(f);
    fake_stop(f);
    return port;
}

static void test_unreachable(void **state UNUSED) {
    struct http_resp resp;
    struct err e;
    bool sent = true;
    struct http_req req = {.method = "POST", .body = "x", .body_len = 1};
    req.url = arena_printf(arena, "http://user:secret@127.0.0.1:%d/x", closed_port());
    assert_int_equal(ask(&req, &resp, &sent, &e), -ECONNREFUSED);
    assert_false(sent);
    assert_true(e.retry);
    assert_null(strstr(e.msg, "secret"));
    req.url = "http://no-such-host.invalid/x";
    sent = true;
    assert_int_equal(ask(&req, &resp, &sent, &e), -EHOSTUNREACH);
    assert_false(sent);
    assert_non_null(strstr(e.msg, "no-such-host.invalid"));
}

/* A listener whose queue is full drops SYNs. */
static void test_connect_timeout(void **state UNUSED) {
    struct fake_blackhole *hole = fake_blackhole_new();
    struct http_req req = {.method = "POST", .connect_timeout_ms = 150};
    struct http_resp resp;
    struct err e;
    bool sent = true;
    req.url = arena_printf(arena, "http://127.0.0.1:%d/", fake_blackhole_port(hole));
    uint64_t t0 = clock_now_ms();
    assert_int_equal(ask(&req, &resp, &sent, &e), -ETIMEDOUT);
    assert_in_range(clock_now_ms() - t0, 100, 2000);
    assert_false(sent);
    assert_true(e.retry);
    fake_blackhole_free(hole);
}

static void test_keep_alive(void **state UNUSED) {
    for (int i = 0; i < 20; i++)
        must_ask(get(i % 2 ? "/ok" : "/chunked"));
    assert_int_equal(fake_accepted(server), 1);
    must_ask(get("/bye"));
    must_ask(get("/ok"));
    assert_int_equal(fake_accepted(server), 2);
    fake_drop_connections(server); /* closed while at rest: noticed before it is used */
    clock_sleep_ms(50);
    struct http_req post = get("/ok");
    post.method = "POST";
    must_ask(post);
    assert_int_equal(fake_accepted(server), 3);
}

static void test_lanes(void **state UNUSED) {
    static const char *const lanes[] = {NULL, "x", "y", "x", "y", NULL};
    static const unsigned accepted[] = {1, 2, 3, 3, 3, 3};
    for (size_t i = 0; i < COUNT_OF(lanes); i++) {
        struct http_req req = get("/ok");
        req.lane = lanes[i];
        must_ask(req);
        assert_int_equal(fake_accepted(server), accepted[i]);
    }
}

/* Names are looked up by threads of libcurl, which tell by sockets of their own; each lane looks up
 * for itself. */
static void test_lookups(void **state UNUSED) {
    uint64_t t0 = clock_now_ms();
    for (int i = 0; i < 12; i++) {
        struct http_req req = {.method = "GET", .lane = arena_printf(arena, "%d", i)};
        req.url = arena_printf(arena, "http://localhost:%d/bye", fake_port(server));
        must_ask(req);
    }
    assert_true(clock_now_ms() - t0 < 3000);
}

static void test_connect_to(void **state UNUSED) {
    struct http_req req = {.method = "GET", .url = "http://www.example.com:8080/echo"};
    req.connect_to = arena_printf(arena, "127.0.0.1:%d", fake_port(server));
    assert_non_null(strstr(must_ask(req).body, "Host: www.example.com:8080\r\n"));
    struct fake *other = fake_start(replies, COUNT_OF(replies), NULL);
    req.connect_to = arena_printf(arena, "127.0.0.1:%d", fake_port(other));
    must_ask(req);
    must_ask(req);
    assert_int_equal(fake_accepted(server), 1);
    assert_int_equal(fake_accepted(other), 1);
    fake_stop(other);
}

/* A kept-alive connection that dies under a request: curl would send it again by itself. A read
 * may be; a write may not, its sender has to know. */
static void test_no_hidden_resend(void **state UNUSED) {
    static const struct {
        const char *method;
        int want;
        unsigned hits;
    } rows[] = {{"POST", -ECONNRESET, 1},
                {"PUT", -ECONNRESET, 1},
                {"PATCH", -ECONNRESET, 1},
                {"DELETE", -ECONNRESET, 1},
                {"GET", 200, 2}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fake *f = fake_start(replies, COUNT_OF(replies), NULL);
        struct http_req req = {.method = "GET"};
        struct http_resp resp;
        struct err e = {0};
        bool sent = false;
        req.url = arena_printf(arena, "http://127.0.0.1:%d/ok", fake_port(f));
        must_ask(req);
        req.method = rows[i].method;
        req.url = arena_printf(arena, "http://127.0.0.1:%d/die-once", fake_port(f));
        int r = ask(&req, &resp, &sent, &e);
        assert_int_equal(r < 0 ? r : resp.status, rows[i].want);
        assert_int_equal(sent, r < 0);
        assert_int_equal(e.retry, r < 0);
        assert_int_equal(fake_hits(f, "/die-once"), rows[i].hits);
        fake_stop(f);
    }
}

/* libcurl's own limit of five resends is for the life of a handle; ours are kept for ever. */
static void test_resends_are_not_counted_up(void **state UNUSED) {
    enum { N = 8 };
    static const char *const paths[N] = {"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"};
    struct fake_reply table[2 * N];
    for (size_t i = 0; i < N; i++) {
        table[2 * i] = (struct fake_reply){paths[i], NULL, .then = FAKE_CLOSE, .times = i ? 1 : 0};
        table[2 * i + 1] = (struct fake_reply){paths[i], OK};
    }
    table[0] = table[1];
    struct fake *f = fake_start(table, COUNT_OF(table), NULL);
    for (size_t i = 0; i < N; i++) {
        struct http_req req = {.method = "GET"};
        req.url = arena_printf(arena, "http://127.0.0.1:%d%s", fake_port(f), paths[i]);
        must_ask(req);
        assert_int_equal(fake_hits(f, paths[i]), i ? 2 : 1);
    }
    fake_stop(f);
}

static void test_proxy(void **state UNUSED) {
    const struct {
        const char *url, *connect_to;
        bool proxied;
    } rows[] = {
        {"http://www.example.com/ok", NULL, true},
        {url("/ok"), NULL, false}, /* loopback */
        {"http://www.example.com/ok", strstr(url(""), "127.0.0.1"), false},
        {arena_printf(arena, "http://localhost:%d/ok", fake_port(server)), NULL, false},
    };
    static const struct fake_reply via[] = {{"http://www.example.com/ok", OK}};
    struct fake *proxy = fake_start(via, COUNT_OF(via), NULL);
    unsigned proxied = 0;
    setenv("http_proxy", arena_printf(arena, "http://127.0.0.1:%d", fake_port(proxy)), 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_req req = {
            .method = "GET", .url = rows[i].url, .connect_to = rows[i].connect_to};
        assert_int_equal(must_ask(req).status, 200);
        proxied += rows[i].proxied;
        assert_int_equal(fake_requests(proxy), proxied);
    }
    unsetenv("http_proxy");
    fake_stop(proxy);
}

struct canceller {
    struct http_cancel cancel;
    struct http_req req;
    int result;
    uint64_t ended_ms;
    struct err e;
    bool retry;
};

static void ask_cancellable(void *ctx, size_t index UNUSED) {
    struct canceller *c = ctx;
    AUTO_ARENA a = arena_new();
    struct http_resp resp;
    c->result = c->retry ? http_do_retry(client, a, &c->req, &(struct http_retry){.attempts = 9},
                                         &resp, NULL, NULL, &c->e)
                         : http_do(client, a, &c->req, &resp, NULL, &c->e);
    c->ended_ms = clock_now_ms();
}

static int ignore_data(void *ctx UNUSED, const char *p UNUSED, size_t n UNUSED) {
    return 0;
}

static void test_cancel(void **state UNUSED) {
    static const struct {
        const char *path;
        bool stream, retry;
    } rows[] = {{"/hang", false, false},
                {"/hang-body", false, false},
                {"/watch", true, false},
                {"/long-wait", false, true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct canceller c = {.req = get(rows[i].path), .retry = rows[i].retry};
        c.req.cancel = &c.cancel;
        c.req.timeout_ms = UINT32_MAX;
        c.req.on_data = rows[i].stream ? ignore_data : NULL;
        struct workers *w = workers_start(1, ask_cancellable, &c);
        clock_sleep_ms(150);
        uint64_t t0 = clock_now_ms();
        atomic_store(&c.cancel.stop, true);
        workers_join(w);
        assert_int_equal(c.result, -ESTOPPED);
        assert_true(c.ended_ms >= t0 && c.ended_ms - t0 < 200);
        assert_int_equal(http_do(client, arena, &c.req, &(struct http_resp){0}, NULL, NULL),
                         -ESTOPPED);
    }
}

static void test_free_cancels(void **state UNUSED) {
    struct canceller c[3] = {{.req = get("/hang")},
                             {.req = get("/watch"), .e = {0}},
                             {.req = get("/long-wait"), .retry = true}};
    struct workers *w[3];
    for (size_t i = 0; i < COUNT_OF(c); i++)
        w[i] = workers_start(1, ask_cancellable, &c[i]);
    clock_sleep_ms(100);
    uint64_t t0 = clock_now_ms();
    http_client_free(client);
    assert_true(clock_now_ms() - t0 < 500);
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        workers_join(w[i]);
        assert_int_equal(c[i].result, -ESTOPPED);
    }
    client = http_client_new(); /* for the teardown */
}

struct stream {
    struct frame frame;
    unsigned lines, stop_after;
};

static int on_line(void *ctx, char *line, size_t len) {
    struct stream *s = ctx;
    if (len != strlen(line))
        return -EIO;
    return ++s->lines == s->stop_after ? -ECANCELED : 0;
}

static int on_stream(void *ctx, const char *p, size_t n) {
    struct stream *s = ctx;
    return frame_feed(&s->frame, p, n, on_line, s, NULL);
}

static void test_stream(void **state UNUSED) {
    static const struct {
        const char *path;
        unsigned stop_after;
        int want;
        unsigned lines;
        const char *body;
    } rows[] = {
        {"/watch", 3, -ECANCELED, 3, NULL},
        {"/watch-end", 0, 200, 2, ""},
        {"/missing", 0, 404, 0, "gone"}, /* not a 2xx: collected as usual */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct stream s = {.stop_after = rows[i].stop_after};
        struct http_req req = get(rows[i].path);
        struct http_resp resp;
        frame_init(&s.frame, 100);
        req.on_data = on_stream;
        req.ctx = &s;
        req.timeout_ms = UINT32_MAX;
        int r = ask(&req, &resp, NULL, NULL);
        assert_int_equal(r < 0 ? r : resp.status, rows[i].want);
        assert_int_equal(s.lines, rows[i].lines);
        if (r >= 0)
            assert_string_equal(resp.body, rows[i].body);
        frame_done(&s.frame);
    }
}

static void test_retry(void **state UNUSED) {
    static const struct {
        const char *method, *path;
        bool idempotent;
        int want;
        unsigned attempts;
        bool sent;
        uint64_t least_ms;
    } rows[] = {
        {"POST", "/na-date", false, 200, 2, .least_ms = 500},
        {"POST", "/ok", false, 200, 1},
        {"POST", "/busy-once", false, 200, 2, .least_ms = 1000},
        {"POST", "/busy", false, 429, 3}, /* nothing was done, whoever asks */
        {"GET", "/busy", true, 429, 3},   /* the last answer is handed out */
        {"POST", "/na-once", false, 503, 1},
        {"GET", "/na-once", true, 200, 1}, /* the row above took the one 503 */
        {"POST", "/500", false, 500, 1},
        {"PUT", "/500", true, 500, 3},
        {"GET", "/501", true, 501, 1},
        {"POST", "/close", false, -ECONNRESET, 1, true},
        {"PUT", "/close", true, -ECONNRESET, 3, true},
        {"PUT", "/die-once", true, 200, 2, true}, /* the lost one may have been carried out */
        {"GET", "/long-wait", true, 429, 3, .least_ms = 2 * 6 * 20},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_req req = get(rows[i].path);
        struct http_retry how = {
            .attempts = 3, .base_ms = 5, .cap_ms = 1000, .idempotent = rows[i].idempotent};
        struct http_resp resp;
        unsigned made = 0;
        bool sent = !rows[i].sent;
        struct err e = {0};
        req.method = rows[i].method;
        if (str_eq(rows[i].path, "/long-wait"))
            how.cap_ms = 20;
        uint64_t t0 = clock_now_ms();
        int r = http_do_retry(client, arena, &req, &how, &resp, &sent, &made, &e);
        r = r < 0 ? r : resp.status;
        uint64_t took = clock_now_ms() - t0;
        if (r != rows[i].want || made != rows[i].attempts || sent != rows[i].sent ||
            took < rows[i].least_ms || took > 4000)
            fail_msg("%s %s: %d, %u attempts, sent %d, %llu ms", rows[i].method, rows[i].path, r,
                     made, sent, (unsigned long long)took);
    }
}

static void test_retry_unsent(void **state UNUSED) {
    struct http_req req = {.method = "POST"};
    struct http_retry how = {.attempts = 4, .base_ms = 1};
    struct http_resp resp;
    struct err e;
    unsigned made;
    bool sent = true;
    req.url = arena_printf(arena, "http://127.0.0.1:%d/", closed_port());
    assert_int_equal(http_do_retry(client, arena, &req, &how, &resp, &sent, &made, &e),
                     -ECONNREFUSED);
    assert_int_equal(made, 4);
    assert_false(sent);
}

/* What on_data has seen cannot be taken back, so a stream that broke is not started again. */
static void test_retry_stream(void **state UNUSED) {
    struct stream s = {0};
    struct http_req req = get("/watch-cut-once");
    struct http_retry how = {.idempotent = true, .base_ms = 1};
    struct http_resp resp;
    unsigned made;
    frame_init(&s.frame, 100);
    req.on_data = on_stream;
    req.ctx = &s;
    assert_int_equal(http_do_retry(client, arena, &req, &how, &resp, NULL, &made, NULL),
                     -ECONNRESET);
    assert_int_equal(made, 1);
    assert_int_equal(s.lines, 2);
    frame_done(&s.frame);
}

enum { CROWD = 64, EACH = 200 };

static atomic_uint crowd_bad;

static void crowd_member(void *ctx UNUSED, size_t index) {
    AUTO_ARENA a = arena_new();
    for (unsigned i = 0; i < EACH; i++) {
        char body[64];
        arena_reset(a);
        int n = snprintf(body, sizeof body, "thread %zu request %u", index, i);
        struct http_req req = {.method = "POST", .body = body, .body_len = (size_t)n};
        req.url = arena_printf(a, "http://127.0.0.1:%d/echo", fake_port(server));
        struct http_resp resp;
        struct err e;
        if (http_do(client, a, &req, &resp, NULL, &e) < 0 || resp.status != 200 ||
            !str_ends(resp.body, body))
            atomic_fetch_add(&crowd_bad, 1);
    }
}

static void test_crowd(void **state UNUSED) {
    atomic_store(&crowd_bad, 0);
    workers_join(workers_start(CROWD, crowd_member, NULL));
    assert_int_equal(atomic_load(&crowd_bad), 0);
    assert_int_equal(fake_requests(server), CROWD * EACH);
    assert_in_range(fake_accepted(server), 1, CROWD);
}

/* Everything at once: what goes wrong for one request never touches another. */
static void storm_member(void *ctx UNUSED, size_t index) {
    static const struct {
        const char *path;
        int want;
    } rows[] = {{"/ok", 200},          {"/close", -ECONNRESET},    {"/echo", 200},
                {"/hang", -ETIMEDOUT}, {"/cut-body", -ECONNRESET}, {"/chunked", 200},
                {"/bye", 200},         {"/big", -EMSGSIZE},        {"/watch", -ECANCELED},
                {"/watch", -ESTOPPED}};
    AUTO_ARENA a = arena_new();
    for (size_t i = index; i < index + 4 * COUNT_OF(rows); i++) {
        size_t k = i % COUNT_OF(rows);
        struct http_cancel cancel = {.stop = rows[k].want == -ESTOPPED};
        struct stream s = {.stop_after = 2};
        struct http_req req = {.method = "GET", .timeout_ms = 20000, .max_body = 2000};
        struct http_resp resp;
        struct err e = {0};
        frame_init(&s.frame, 100);
        req.url = arena_printf(a, "http://127.0.0.1:%d%s", fake_port(server), rows[k].path);
        req.lane = index % 4 ? "x" : NULL;
        req.cancel = &cancel;
        req.stall_timeout_ms = rows[k].want == -ETIMEDOUT ? 60 : 0;
        req.on_data = str_eq(rows[k].path, "/watch") ? on_stream : NULL;
        req.ctx = &s;
        int r = http_do(client, a, &req, &resp, NULL, &e);
        if ((r < 0 ? r : resp.status) != rows[k].want) {
            print_error("%s: %d %s\n", rows[k].path, r, e.msg);
            atomic_fetch_add(&crowd_bad, 1);
        }
        frame_done(&s.frame);
    }
}

static void test_storm(void **state UNUSED) {
    atomic_store(&crowd_bad, 0);
    workers_join(workers_start(24, storm_member, NULL));
    assert_int_equal(atomic_load(&crowd_bad), 0);
    must_ask(get("/ok"));
}

static int collect(void *ctx, char *line, size_t len) {
    struct sb *b = ctx;
    sb_fmt(b, "<%.*s>", (int)len, line);
    return str_eq(line, "stop") ? -ECANCELED : 0;
}

static void test_frame(void **state UNUSED) {
    static const struct {
        const char *in, *want;
        int result;
    } rows[] = {
        {"", "", 0},
        {"a\nb\n", "<a><b>", 0},
        {"\n\na\n\n", "<a>", 0},
        {"a\npart", "<a>", 0},
        {"12345678\n", "<12345678>", 0},
        {"a\n123456789\n", "<a>", -EMSGSIZE},
        {"a\nstop\nb\n", "<a><stop>", -ECANCELED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t step = 1; step < 12; step++) {
            struct frame f;
            AUTO_SB got = SB_INIT(0);
            int r = 0;
            frame_init(&f, 8);
            for (size_t at = 0, n = strlen(rows[i].in); at < n && r == 0; at += step)
                r = frame_feed(&f, rows[i].in + at, MIN(step, n - at), collect, &got, NULL);
            assert_int_equal(r, rows[i].result);
            assert_string_equal(sb_get(&got), rows[i].want);
            frame_done(&f);
        }
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame),
        WITH(test_answers),
        WITH(test_headers),
        WITH(test_sent),
        WITH(test_large_body),
        WITH(test_bad_requests),
        WITH(test_faults),
        WITH(test_sizes),
        WITH(test_drip_survives_stall),
        WITH(test_unreachable),
        WITH(test_connect_timeout),
        WITH(test_keep_alive),
        WITH(test_lanes),
        WITH(test_connect_to),
        WITH(test_lookups),
        WITH(test_no_hidden_resend),
        WITH(test_cancel),
        WITH(test_free_cancels),
        WITH(test_stream),
        WITH(test_retry),
        WITH(test_retry_unsent),
        WITH(test_retry_stream),
        WITH(test_crowd),
        WITH(test_storm),
        WITH(test_proxy),
        WITH(test_resends_are_not_counted_up),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
