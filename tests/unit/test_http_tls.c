#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/queue.h"
#include "base/str.h"
#include "fake_http.h"
#include "net/http.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct fake_reply replies[] = {
    {"/ok", OK},
    {"/echo", "ECHO"},
    {"/cut-body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", .then = FAKE_CLOSE},
    {"/cut-reset", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", .then = FAKE_RESET},
    {"/cut-no-length", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", .then = FAKE_RESET},
    {"/slow", OK, .delay_ms = 300},
    {"/close", NULL, .then = FAKE_CLOSE},
    {"/die-once", NULL, .then = FAKE_CLOSE, .times = 1},
    {"/die-once", OK},
};

/* ca signed server, client and stranger; other_ca signed other_client. */
static struct fake_cert ca, other_ca, server_cert, client_cert, other_client;
static struct http_client *client;
static struct fake *server, *mutual;
static struct arena *arena;

static int make_certs(void **state UNUSED) {
    fake_cert_make(&ca, "test CA", NULL, NULL);
    fake_cert_make(&other_ca, "another CA", NULL, NULL);
    fake_cert_make(&server_cert, "api.test", "DNS:api.test,IP:127.0.0.1", &ca);
    fake_cert_make(&client_cert, "client", "DNS:client", &ca);
    fake_cert_make(&other_client, "client", "DNS:client", &other_ca);
    return 0;
}

static int setup(void **state UNUSED) {
    struct fake_tls tls = {.cert_pem = server_cert.cert_pem, .key_pem = server_cert.key_pem};
    server = fake_start(replies, COUNT_OF(replies), &tls);
    tls.client_ca_pem = ca.cert_pem;
    mutual = fake_start(replies, COUNT_OF(replies), &tls);
    client = http_client_new();
    arena = arena_new();
    return 0;
}

static int teardown(void **state UNUSED) {
    http_client_free(client);
    fake_stop(server);
    fake_stop(mutual);
    arena_free(arena);
    return 0;
}

static const char *url(struct fake *f, const char *host, const char *path) {
    return arena_printf(arena, "https://%s:%d%s", host, fake_port(f), path);
}

/* The status, or the failure. */
static int ask(const char *method, const char *where, const struct http_tls *tls, bool *sent,
               struct err *e) {
    struct http_req req = {.method = method, .url = where, .tls = tls};
    struct http_resp resp;
    int r = http_do(client, arena, &req, &resp, sent, e);
    return r < 0 ? r : resp.status;
}

static void test_trust(void **state UNUSED) {
    const struct {
        const char *host;
        struct http_tls tls;
        bool system;
        int want;
    } rows[] = {
        {"127.0.0.1", {.ca_pem = ca.cert_pem}, false, 200},
        {"127.0.0.1", {.ca_pem = other_ca.cert_pem}, false, -EPROTO},
        {"127.0.0.1", {.ca_pem = NULL}, false, -EPROTO},
        {"127.0.0.1", {.ca_pem = NULL}, true, -EPROTO},
        {"127.0.0.1", {.ca_pem = "no PEM at all"}, false, -EPROTO},
        {"127.0.0.1", {.insecure = true}, false, 200},
        {"127.0.0.1", {.ca_pem = other_ca.cert_pem, .insecure = true}, false, 200},
        {"localhost", {.ca_pem = ca.cert_pem}, false, -EPROTO}, /* not a name of the certificate */
        {"localhost", {.ca_pem = ca.cert_pem, .server_name = "api.test"}, false, 200},
        {"127.0.0.1", {.ca_pem = ca.cert_pem, .server_name = "api.test"}, false, 200},
        {"127.0.0.1", {.ca_pem = ca.cert_pem, .server_name = "www.test"}, false, -EPROTO},
        {"localhost", {.ca_pem = ca.cert_pem, .server_name = "127.0.0.1"}, false, 200},
        {"127.0.0.1",
         {.ca_pem = ca.cert_pem, .cert_pem = "x", .key_pem = client_cert.key_pem},
         false,
         -EPROTO},
        {"127.0.0.1",
         {.ca_pem = ca.cert_pem, .cert_pem = client_cert.cert_pem, .key_pem = ca.key_pem},
         false,
         -EPROTO},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int round = 0; round < 2; round++) { /* no row helps, or spoils, another one */
            bool sent = true;
            struct err e = {0};
            int r = ask("POST", url(server, rows[i].host, "/ok"),
                        rows[i].system ? NULL : &rows[i].tls, &sent, &e);
            if (r != rows[i].want || sent || e.retry)
                fail_msg("row %zu: %d, sent %d: %s", i, r, sent, e.msg);
        }
}

static void test_server_name_keeps_host(void **state UNUSED) {
    struct http_tls tls = {.ca_pem = ca.cert_pem, .server_name = "api.test"};
    static const char *const own_host[] = {"Host: third.test", NULL};
    struct http_req req = {.method = "GET", .tls = &tls};
    struct http_resp resp;
    req.url = url(server, "localhost", "/echo?q=1");
    assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), 0);
    assert_true(str_starts(resp.body, "GET /echo?q=1 HTTP/1.1\r\n"));
    assert_non_null(
        strstr(resp.body, arena_printf(arena, "\r\nHost: localhost:%d\r\n", fake_port(server))));
    req.headers = own_host;
    assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), 0);
    assert_non_null(strstr(resp.body, "\r\nHost: third.test\r\n"));
    /* connect_to decides about TCP, the name about TLS, the URL about Host. */
    req.headers = NULL;
    req.url = "https://www.example.com/echo";
    req.connect_to = arena_printf(arena, "127.0.0.1:%d", fake_port(server));
    assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), 0);
    assert_non_null(strstr(resp.body, "\r\nHost: www.example.com\r\n"));
    tls.server_name = NULL;
    assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), -EPROTO);
    req.url = "https://api.test/echo";
    assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), 0);
}

static void test_client_certificate(void **state UNUSED) {
    const struct {
        const char *cert, *key;
        int want;
    } rows[] = {
        {client_cert.cert_pem, client_cert.key_pem, 200},
        {NULL, NULL, -EPROTO},
        {other_client.cert_pem, other_client.key_pem, -EPROTO},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_tls tls = {
            .ca_pem = ca.cert_pem, .cert_pem = rows[i].cert, .key_pem = rows[i].key};
        struct err e = {0};
        int r = ask("GET", url(mutual, "127.0.0.1", "/ok"), &tls, NULL, &e);
        if (r != rows[i].want)
            fail_msg("row %zu: %d: %s", i, r, e.msg);
    }
}

/* One connection for each identity; the texts are compared, not the pointers. */
static void test_reuse(void **state UNUSED) {
    char *copy = arena_strdup(arena, ca.cert_pem);
    char *rotated = arena_printf(arena, "%s%s", ca.cert_pem, other_ca.cert_pem);
    const struct {
        struct http_tls tls;
        const char *lane;
        unsigned accepted;
    } rows[] = {
        {{.ca_pem = ca.cert_pem}, NULL, 1},
        {{.ca_pem = copy}, NULL, 1},
        {{.ca_pem = rotated}, NULL, 2},
        {{.ca_pem = ca.cert_pem, .cert_pem = client_cert.cert_pem, .key_pem = client_cert.key_pem},
         NULL,
         3},
        {{.ca_pem = ca.cert_pem,
          .cert_pem = other_client.cert_pem,
          .key_pem = other_client.key_pem},
         NULL,
         4},
        {{.ca_pem = ca.cert_pem, .server_name = "api.test"}, NULL, 5},
        {{.insecure = true}, NULL, 6},
        {{.ca_pem = ca.cert_pem}, "lane", 7},
        {{.ca_pem = copy}, "lane", 7},
        {{.ca_pem = ca.cert_pem}, NULL, 7},
        {{.ca_pem = ca.cert_pem, .server_name = "api.test"}, NULL, 7},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_req req = {.method = "GET", .tls = &rows[i].tls, .lane = rows[i].lane};
        struct http_resp resp;
        req.url = url(server, "127.0.0.1", "/ok");
        assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), 0);
        if (fake_accepted(server) != rows[i].accepted)
            fail_msg("row %zu: %u connections", i, fake_accepted(server));
    }
}

/* A new connection takes up the TLS session of an earlier one, also from another lane. */
static void test_session_resumed(void **state UNUSED) {
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    struct http_req req = {.method = "GET", .tls = &tls};
    struct http_resp resp;
    req.url = url(server, "127.0.0.1", "/ok");
    for (int i = 0; i < 3; i++) {
        req.lane = i == 2 ? "lane" : NULL;
        assert_int_equal(http_do(client, arena, &req, &resp, NULL, NULL), 0);
        fake_drop_connections(server);
        clock_sleep_ms(50);
    }
    assert_int_equal(fake_accepted(server), 3);
    assert_int_equal(fake_resumed(server), 2);
}

static void ask_slowly(void *ctx, size_t index UNUSED) {
    AUTO_ARENA a = arena_new();
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    struct http_req req = {.method = "GET", .url = ctx, .tls = &tls};
    struct http_resp resp;
    if (http_do(client, a, &req, &resp, NULL, NULL) < 0)
        fake_drop_connections(server); /* fails the count below */
}

/* Sessions are the client's, not those of one easy handle. */
static void test_session_shared(void **state UNUSED) {
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    char *slow = arena_strdup(arena, url(server, "127.0.0.1", "/slow"));
    assert_int_equal(ask("GET", url(server, "127.0.0.1", "/ok"), &tls, NULL, NULL), 200);
    struct workers *w = workers_start(1, ask_slowly, slow);
    clock_sleep_ms(100);
    assert_int_equal(ask("GET", url(server, "127.0.0.1", "/ok"), &tls, NULL, NULL), 200);
    workers_join(w);
    assert_int_equal(fake_accepted(server), 2);
    assert_int_equal(fake_resumed(server), 1);
}

static void test_cuts(void **state UNUSED) {
    static const struct {
        const char *method, *path;
        int want;
    } rows[] = {
        {"GET", "/cut-body", -ECONNRESET},
        {"GET", "/cut-reset", -ECONNRESET},
        {"GET", "/cut-no-length", -ECONNRESET}, /* no close_notify: not the end of the body */
        {"POST", "/close", -ECONNRESET},
    };
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool sent = false;
        struct err e = {0};
        int r = ask(rows[i].method, url(server, "127.0.0.1", rows[i].path), &tls, &sent, &e);
        if (r != rows[i].want || !sent || !e.retry)
            fail_msg("%s: %d, sent %d, retry %d: %s", rows[i].path, r, sent, e.retry, e.msg);
    }
}

static void test_no_hidden_resend(void **state UNUSED) {
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    bool sent = false;
    assert_int_equal(ask("POST", url(server, "127.0.0.1", "/ok"), &tls, &sent, NULL), 200);
    assert_int_equal(ask("POST", url(server, "127.0.0.1", "/die-once"), &tls, &sent, NULL),
                     -ECONNRESET);
    assert_true(sent);
    assert_int_equal(fake_hits(server, "/die-once"), 1);
}

/* Handshakes that never happen: nothing was sent. */
static void test_no_handshake(void **state UNUSED) {
    static const struct fake_reply plain[] = {{"*", OK}};
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    struct fake *f = fake_start(plain, COUNT_OF(plain), NULL);
    struct http_req req = {.method = "POST", .tls = &tls, .connect_timeout_ms = 200};
    struct http_resp resp;
    struct err e;
    bool sent = true;
    req.url = url(f, "127.0.0.1", "/ok"); /* reads a request for ever: never answers the hello */
    assert_int_equal(http_do(client, arena, &req, &resp, &sent, &e), -ETIMEDOUT);
    assert_false(sent);
    assert_true(e.retry);
    fake_stop(f);
}

static void test_handshake_cut(void **state UNUSED) {
    static const enum fake_then ways[] = {FAKE_CLOSE, FAKE_RESET};
    struct http_tls tls = {.ca_pem = ca.cert_pem};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct fake *f = fake_start_rude(ways[i]);
        struct err e;
        bool sent = true;
        int r = ask("POST", url(f, "127.0.0.1", "/ok"), &tls, &sent, &e);
        if (r != -ECONNRESET)
            fail_msg("way %zu: %d: %s", i, r, e.msg);
        assert_false(sent);
        assert_true(e.retry);
        fake_stop(f);
    }
}

enum { CROWD = 64, EACH = 200 };

static atomic_uint crowd_bad;

static void crowd_member(void *ctx, size_t index) {
    AUTO_ARENA a = arena_new();
    for (unsigned i = 0; i < EACH; i++) {
        char body[64];
        arena_reset(a);
        int n = snprintf(body, sizeof body, "thread %zu request %u", index, i);
        struct http_tls tls = {.ca_pem = ca.cert_pem};
        struct http_req req = {
            .method = "POST", .url = ctx, .tls = &tls, .body = body, .body_len = (size_t)n};
        struct http_resp resp;
        struct err e;
        if (http_do(client, a, &req, &resp, NULL, &e) < 0 || resp.status != 200 ||
            !str_ends(resp.body, body))
            atomic_fetch_add(&crowd_bad, 1);
    }
}

static void test_crowd(void **state UNUSED) {
    atomic_store(&crowd_bad, 0);
    char *where = arena_strdup(arena, url(server, "127.0.0.1", "/echo"));
    workers_join(workers_start(CROWD, crowd_member, where));
    assert_int_equal(atomic_load(&crowd_bad), 0);
    assert_int_equal(fake_requests(server), CROWD * EACH);
    assert_in_range(fake_accepted(server), 1, CROWD);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(test_trust),
        WITH(test_server_name_keeps_host),
        WITH(test_client_certificate),
        WITH(test_reuse),
        WITH(test_session_resumed),
        WITH(test_session_shared),
        WITH(test_cuts),
        WITH(test_no_hidden_resend),
        WITH(test_no_handshake),
        WITH(test_handshake_cut),
        WITH(test_crowd),
    };
    return cmocka_run_group_tests_name("http_tls", tests, make_certs, NULL);
}
