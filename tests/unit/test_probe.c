/* The prober against a scripted server: every way to lose a request has its fate, nothing is tried
 * twice, nothing is left out of the count. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "probe/probe.h"
#include "probe_peer.h"

/* --- helpers --- */

static struct probe *start(struct probe_config *c, int port) {
    struct err e = {0};
    struct probe *p = NULL;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/healthz?x=1", port);
    if (!c->url)
        c->url = url;
    if (!c->identify_header)
        c->identify_header = "X-Cluster";
    if (probe_start(c, &p, &e) < 0)
        fail_msg("probe_start: %s", err_msg(&e));
    return p;
}

static void wait_done(struct probe *p) {
    uint64_t until = clock_now_ms() + 30000;
    while (!probe_done(p) && clock_now_ms() < until)
        clock_sleep_ms(5);
    assert_true(probe_done(p));
    probe_stop(p);
}

static void assert_adds_up(const struct probe_stats *s) {
    uint64_t sum = 0;
    for (size_t i = 0; i < PROBE_FATES; i++)
        sum += s->fate[i];
    assert_int_equal(s->sent, sum);
    assert_int_equal(s->sent, s->ok + s->lost + s->not_measured);
    assert_int_equal(s->ok, s->fate[PROBE_OK]);
    assert_true(s->lost_a <= s->by_a && s->lost_b <= s->by_b);
}

/* Runs to its max_requests and returns the counts. */
static struct probe_stats run(struct probe_config *c, int port) {
    struct probe_stats s;
    struct probe *p = start(c, port);
    wait_done(p);
    probe_stats(p, &s);
    assert_adds_up(&s);
    probe_free(p);
    return s;
}

/* --- one fate each --- */

enum lane { NEW, REUSED, BOTH };

static const struct fate_row {
    const char *what;
    enum peer_way way;
    int status, expect_status;
    const char *expect_body;
    enum lane lane;
    enum probe_fate fate;
    bool answered; /* an answer began and named its cluster */
} fate_rows[] = {
    {"200", PEER_LENGTH, 200, 0, NULL, BOTH, PROBE_OK, true},
    {"text in the body", PEER_LENGTH, 200, 0, "pulse is up", BOTH, PROBE_OK, true},
    {"text over two chunks", PEER_CHUNKED, 200, 0, "pulse is up", BOTH, PROBE_OK, true},
    {"body to the end", PEER_TO_END, 200, 0, "is up", BOTH, PROBE_OK, true},
    {"interim answer first", PEER_INTERIM, 200, 0, "is up", BOTH, PROBE_OK, true},
    {"byte by byte", PEER_BYTEWISE, 200, 0, "is up", BOTH, PROBE_OK, true},
    {"204 has no body", PEER_EMPTY, 204, 0, NULL, BOTH, PROBE_OK, true},
    {"304 has no body", PEER_EMPTY, 304, 0, NULL, BOTH, PROBE_OK, true},
    {"302 is not followed", PEER_LENGTH, 302, 0, NULL, BOTH, PROBE_OK, true},
    {"404 when expected", PEER_LENGTH, 404, 404, NULL, BOTH, PROBE_OK, true},
    {"404", PEER_LENGTH, 404, 0, NULL, BOTH, PROBE_STATUS, true},
    {"200 when 404 is expected", PEER_LENGTH, 200, 404, NULL, BOTH, PROBE_STATUS, true},
    {"503", PEER_LENGTH, 503, 0, NULL, BOTH, PROBE_STATUS, true},
    {"other text", PEER_LENGTH, 200, 0, "pulse is down", BOTH, PROBE_BODY, true},
    {"text in no body", PEER_EMPTY, 204, 0, "pulse", BOTH, PROBE_BODY, true},
    {"closed before the answer, new", PEER_CLOSE, 200, 0, NULL, NEW, PROBE_RESET, false},
    {"closed before the answer, reused", PEER_CLOSE, 200, 0, NULL, REUSED, PROBE_RESET, false},
    {"reset before the answer", PEER_RST, 200, 0, NULL, BOTH, PROBE_RESET, false},
    {"closed in the body", PEER_HALF, 200, 0, NULL, BOTH, PROBE_RESET, true},
    {"stops in the body", PEER_HANG, 200, 0, NULL, BOTH, PROBE_TIMEOUT, true},
    {"silent", PEER_SILENT, 200, 0, NULL, BOTH, PROBE_TIMEOUT, false},
    {"not HTTP", PEER_GARBAGE, 200, 0, NULL, BOTH, PROBE_PROTOCOL, false},
    {"endless head", PEER_ENDLESS_HEAD, 200, 0, NULL, BOTH, PROBE_PROTOCOL, false},
};

static void check_fate(const struct fate_row *row) {
    struct peer *peer = peer_start(false);
    atomic_store(&peer->way, row->way);
    atomic_store(&peer->status, row->status);
    atomic_store(&peer->cluster, 'b');
    bool times_out = row->fate == PROBE_TIMEOUT;
    struct probe_config c = {.rate = 400,
                             .max_requests = 40,
                             .connections = 4,
                             .timeout_ms = times_out ? 150 : 10000,
                             .expect_status = row->expect_status,
                             .expect_body = row->expect_body,
                             .lane_new = row->lane == NEW,
                             .lane_reused = row->lane == REUSED};
    struct probe_stats s = run(&c, peer->port);
    if (s.fate[row->fate] != 40)
        fail_msg("%s: %d of 40 are %s", row->what, (int)s.fate[row->fate],
                 probe_fate_name(row->fate));
    if (s.by_b != (row->answered ? 40 : 0) || s.by_a || s.lost_b != (row->answered ? s.lost : 0))
        fail_msg("%s: by a %d, by b %d, of which lost %d", row->what, (int)s.by_a, (int)s.by_b,
                 (int)s.lost_b);
    assert_int_equal(s.sent, 40);
    assert_int_equal(atomic_load(&peer->requests), 40); /* nothing was sent twice */
    peer_stop(peer);
}

static void each_fate(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(fate_rows); i++)
        check_fate(&fate_rows[i]);
}

static void refused(void **state UNUSED) {
    struct probe_config c = {.rate = 400, .max_requests = 40};
    struct probe_stats s = run(&c, peer_closed_port());
    assert_int_equal(s.fate[PROBE_CONNECT], 40);
    assert_int_equal(s.by_a + s.by_b + s.by_unknown, 0);
}

/* --- no loss where there is none --- */

static void nothing_lost(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    struct probe_stats s;
    atomic_store(&peer->cluster, 'a');
    struct probe_config c = {.rate = 500, .cookie = "sid", .users = 50};
    struct probe *p = start(&c, peer->port);
    clock_sleep_ms(3000);
    probe_stop(p);
    probe_stats(p, &s);
    assert_adds_up(&s);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.not_measured, 0);
    assert_in_range(s.sent, 1480, 1520); /* the schedule was kept */
    assert_int_equal(s.by_a, s.ok);
    assert_int_equal(atomic_load(&peer->requests), s.sent);
    assert_true(atomic_load(&peer->users) == (1ull << 50) - 1); /* each user came */
    /* Half of the requests opened a connection each, the other half share 20. */
    assert_in_range(atomic_load(&peer->connections), s.sent / 2 + 20, s.sent / 2 + 80);
    probe_free(p);
    peer_stop(peer);
}

/* --- kept connections --- */

/* The server closes what is idle. Seen before the next request it is no loss, but it is counted. */
static void idle_closed(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    atomic_store(&peer->idle_close_ms, 60);
    AUTO_ARENA a = arena_new();
    struct probe_stats s;
    struct probe_config c = {
        .rate = 100, .connections = 20, .lane_reused = true, .max_requests = 100};
    struct probe *p = start(&c, peer->port);
    wait_done(p);
    probe_stats(p, &s);
    size_t n;
    char *text = probe_json(p, a, &n);
    yyjson_val *json;
    assert_true(json_parse(a, text, n, &json, NULL) >= 0);
    int64_t closed = json_int(json_get(json, "totals", "idle_closed"), -1);
    assert_adds_up(&s);
    assert_true(s.ok >= 97); /* a request may meet a close half-way */
    assert_int_equal(s.lost, s.fate[PROBE_RESET]);
    assert_true(closed >= 60);
    assert_int_equal(s.idle_closed, closed);
    assert_int_equal(atomic_load(&peer->requests) + s.lost, s.sent);
    probe_free(p);
    peer_stop(peer);
}

/* The server takes the second request of a connection and closes: a client library would quietly
 * send it again. */
static void closed_under_the_request(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    atomic_store(&peer->drop_after, 1);
    AUTO_ARENA a = arena_new();
    struct probe_stats s;
    struct probe_config c = {
        .rate = 200, .connections = 10, .lane_reused = true, .max_requests = 100};
    struct probe *p = start(&c, peer->port);
    wait_done(p);
    probe_stats(p, &s);
    assert_adds_up(&s);
    assert_in_range(s.fate[PROBE_RESET], 45, 55);
    assert_int_equal(s.lost, s.fate[PROBE_RESET]);
    assert_int_equal(atomic_load(&peer->requests), 100);
    assert_non_null(strstr(probe_json(p, a, NULL), "\"reason\":\"reset_kept\""));
    probe_free(p);
    peer_stop(peer);
}

static void announced_close(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    atomic_store(&peer->announce_after, 3);
    struct probe_config c = {
        .rate = 300, .connections = 5, .lane_reused = true, .max_requests = 150};
    struct probe_stats s = run(&c, peer->port);
    assert_int_equal(s.ok, 150);
    assert_in_range(atomic_load(&peer->connections), 50, 56);
    peer_stop(peer);
}

/* --- time --- */

/* A stall of 300 ms delays every request that was due in it, though none of them is lost: that is
 * what a closed loop hides. */
static void stall_is_seen(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    struct probe_stats s;
    struct probe_config c = {.rate = 200, .max_requests = 300};
    struct probe *p = start(&c, peer->port);
    clock_sleep_ms(500);
    atomic_store(&peer->stall_until, clock_now_ns() + 300000000ull);
    wait_done(p);
    probe_stats(p, &s);
    assert_adds_up(&s);
    assert_int_equal(s.ok, 300);
    assert_true(s.max_ms >= 280);
    /* 60 of 300 waited, evenly from 300 ms down to 0: the slowest 1 % more than 280 ms. */
    assert_true(s.p99_ms >= 240);
    assert_true(s.lag_p99_ms < 200); /* they were sent on time */
    probe_free(p);
    peer_stop(peer);
}

static void cut_over(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    AUTO_ARENA a = arena_new();
    struct probe_stats s;
    atomic_store(&peer->cluster, 'a');
    struct probe_config c = {.rate = 200, .max_requests = 200};
    struct probe *p = start(&c, peer->port);
    clock_sleep_ms(500);
    probe_mark(p, "100 % to <b>");
    atomic_store(&peer->cluster, 'b');
    clock_sleep_ms(300);
    atomic_store(&peer->cluster, 0);
    wait_done(p);
    probe_stats(p, &s);
    assert_int_equal(s.ok, 200);
    assert_int_equal(s.by_a + s.by_b + s.by_unknown, 200);
    assert_in_range(s.by_a, 80, 120);
    assert_in_range(s.by_b, 40, 80);
    yyjson_val *json;
    size_t n;
    char *text = probe_json(p, a, &n);
    assert_true(json_parse(a, text, n, &json, NULL) >= 0);
    yyjson_val *mark = yyjson_arr_get(json_get(json, "marks"), 0);
    assert_string_equal(json_str(mark, "label"), "100 % to <b>");
    assert_true(json_int(json_get(mark, "first_b_ms"), 999) < 200);
    probe_free(p);
    peer_stop(peer);
}

/* A timeout belongs to the window in which it was noticed, or an abort rule would never see it. */
static void window_sees_timeouts(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    struct probe_stats s;
    struct probe_config c = {.rate = 100, .timeout_ms = 1500};
    struct probe *p = start(&c, peer->port);
    clock_sleep_ms(1000);
    probe_window(p, 1000, &s);
    assert_true(s.ok > 0);
    assert_int_equal(s.lost, 0);
    atomic_store(&peer->way, PEER_SILENT);
    clock_sleep_ms(3600);
    probe_window(p, 2000, &s);
    assert_adds_up(&s);
    assert_true(s.lost >= 80);
    assert_int_equal(s.ok, 0);
    assert_int_equal(s.lost, s.fate[PROBE_TIMEOUT]);
    probe_free(p);
    peer_stop(peer);
}

/* --- our own shortage is no outage --- */

static void no_descriptors(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    struct probe_stats s;
    struct rlimit before, few;
    struct probe_config c = {.rate = 200, .max_requests = 200, .lane_new = true};
    struct probe *p = start(&c, peer->port);
    clock_sleep_ms(400);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    clock_sleep_ms(300);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    wait_done(p);
    probe_stats(p, &s);
    assert_adds_up(&s);
    assert_true(s.not_measured >= 30);
    assert_true(s.ok >= 60);
    /* The server cannot accept either for that time, but what reached it was answered. */
    assert_int_equal(s.lost, 0);
    probe_free(p);
    peer_stop(peer);
}

/* Beyond the limit of requests in flight a request is lost, not skipped. */
static void stop_while_waiting(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    struct probe_stats s;
    atomic_store(&peer->way, PEER_SILENT);
    struct probe_config c = {.rate = 200, .timeout_ms = 400};
    struct probe *p = start(&c, peer->port);
    clock_sleep_ms(300);
    probe_stats(p, &s);
    assert_true(s.sent >= 40); /* nothing waited for the silent ones */
    uint64_t from = clock_now_ms();
    probe_stop(p);
    assert_in_range(clock_now_ms() - from, 150, 2000);
    probe_stats(p, &s);
    assert_adds_up(&s);
    assert_int_equal(s.lost, s.sent);
    probe_stop(p); /* twice is fine */
    probe_free(p);
    probe_free(NULL);
    peer_stop(peer);
}

/* --- TLS --- */

static const struct {
    const char *what, *host;
    bool right_ca, insecure, plain_server;
    enum probe_fate fate;
} tls_rows[] = {
    {"right", "pulse.example", true, false, false, PROBE_OK},
    {"unknown CA", "pulse.example", false, false, false, PROBE_TLS},
    {"other name", "other.example", true, false, false, PROBE_TLS},
    {"address that is not in it", "127.0.0.1", true, false, false, PROBE_TLS},
    {"not verified", "other.example", false, true, false, PROBE_OK},
    {"no TLS at all", "pulse.example", true, false, true, PROBE_TLS},
};

static void tls(void **state UNUSED) {
    struct peer *secure = peer_start(true), *plain = peer_start(false);
    for (size_t i = 0; i < COUNT_OF(tls_rows); i++) {
        char url[64], to[64];
        struct peer *peer = tls_rows[i].plain_server ? plain : secure;
        snprintf(url, sizeof url, "https://%s/x", tls_rows[i].host);
        snprintf(to, sizeof to, "127.0.0.1:%d", peer->port);
        struct probe_config c = {.rate = 200,
                                 .max_requests = 40,
                                 .url = url,
                                 .connect_to = to,
                                 .ca_pem = tls_rows[i].right_ca ? secure->ca : NULL,
                                 .insecure = tls_rows[i].insecure};
        struct probe_stats s = run(&c, peer->port);
        if (s.fate[tls_rows[i].fate] != 40)
            fail_msg("%s: %d of 40 are %s", tls_rows[i].what, (int)s.fate[tls_rows[i].fate],
                     probe_fate_name(tls_rows[i].fate));
    }
    peer_stop(secure);
    peer_stop(plain);
}

/* While handshakes take long, requests wait for the few connections that are being opened: a prober
 * must not answer a slow server with a storm of handshakes. Nor may it leave one out. */
static void slow_handshakes(void **state UNUSED) {
    static const struct {
        int handshake_ms;
        enum probe_fate fate;
    } rows[] = {{300, PROBE_OK}, {2500, PROBE_TIMEOUT}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer *peer = peer_start(true);
        char url[64];
        struct probe_stats s;
        snprintf(url, sizeof url, "https://127.0.0.1:%d/", peer->port);
        atomic_store(&peer->handshake_ms, rows[i].handshake_ms);
        struct probe_config c = {.rate = 100,
                                 .connections = 2,
                                 .max_requests = 60,
                                 .url = url,
                                 .insecure = true,
                                 .lane_reused = true,
                                 .timeout_ms = 800};
        struct probe *p = start(&c, peer->port);
        wait_done(p);
        probe_stats(p, &s);
        assert_adds_up(&s);
        assert_int_equal(s.fate[rows[i].fate], 60);
        if (rows[i].fate == PROBE_OK) {
            assert_in_range(atomic_load(&peer->connections), 2, 8);
            assert_in_range((int)s.max_ms, 280, 800);
        }
        probe_free(p);
        peer_stop(peer);
    }
}

/* A name with two families of which one answers is no loss; nor is the host's case. */
static void localhost(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    char url[64];
    snprintf(url, sizeof url, "http://localhost:%d", peer->port);
    struct probe_config c = {.rate = 200, .max_requests = 60, .url = url};
    struct probe_stats s = run(&c, peer->port);
    assert_int_equal(s.ok, 60);
    peer_stop(peer);
}

/* --- refusals --- */

static const struct {
    struct probe_config c;
    int code;
    const char *says;
} bad_configs[] = {
    {{.url = "http://127.0.0.1/", .rate = 0}, -EINVAL, "rate"},
    {{.url = "http://127.0.0.1/", .rate = -1}, -EINVAL, "rate"},
    {{.url = "http://127.0.0.1/", .rate = 1e9}, -EINVAL, "rate"},
    {{.url = "http://127.0.0.1/", .rate = 1, .timeout_ms = 70000}, -EINVAL, "timeout"},
    {{.url = "http://127.0.0.1/", .rate = 1, .expect_status = 99}, -EINVAL, "99"},
    {{.url = NULL, .rate = 1}, -EINVAL, "no URL"},
    {{.url = "ftp://127.0.0.1/", .rate = 1}, -EINVAL, "http://"},
    {{.url = "http://", .rate = 1}, -EINVAL, "cannot be read"},
    {{.url = "http://127.0.0.1/", .rate = 1, .connect_to = "nowhere"}, -EINVAL, "HOST:PORT"},
    {{.url = "http://127.0.0.1/", .rate = 1, .connect_to = "x:70000"}, -EINVAL, "HOST:PORT"},
    {{.url = "http://127.0.0.1/", .rate = 1, .cookie = "a\r\nX: y"}, -EINVAL, "control"},
    {{.url = "https://127.0.0.1/", .rate = 1, .ca_pem = "rubbish"}, -EINVAL, "PEM"},
    {{.url = "http://no-such-host.invalid/", .rate = 1}, -ENOENT, "no-such-host.invalid"},
};

static void refusals(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(bad_configs); i++) {
        struct err e = {0};
        struct probe *p = NULL;
        int r = probe_start(&bad_configs[i].c, &p, &e);
        if (r != bad_configs[i].code || !strstr(err_msg(&e), bad_configs[i].says) || p)
            fail_msg("row %zu: %d %s", i, r, err_msg(&e));
    }
}

/* --- reports --- */

static void mixed_run(struct peer *peer, struct probe *p) {
    clock_sleep_ms(600);
    probe_mark(p, "first <mark> & \"quotes\"");
    atomic_store(&peer->status, 503);
    clock_sleep_ms(300);
    probe_mark(p, "second mark, right after the first, with a long name that must be cut short");
    atomic_store(&peer->status, 200);
    atomic_store(&peer->cluster, 'b');
    clock_sleep_ms(600);
    probe_stop(p);
}

static int64_t column_sum(yyjson_val *json, const char *name) {
    yyjson_val *columns = json_get(json, "series", "columns"), *v, *row;
    size_t i, max, at = SIZE_MAX;
    int64_t sum = 0;
    yyjson_arr_foreach (columns, i, max, v) {
        if (str_eq(yyjson_get_str(v), name))
            at = i;
    }
    assert_true(at != SIZE_MAX);
    yyjson_arr_foreach (json_get(json, "series", "rows"), i, max, row)
        sum += json_int(yyjson_arr_get(row, at), 0);
    return sum;
}

static void report_json(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    AUTO_ARENA a = arena_new();
    struct probe_stats s;
    struct err e = {0};
    atomic_store(&peer->cluster, 'a');
    struct probe_config c = {.name = "pul\"se", .rate = 200};
    struct probe *p = start(&c, peer->port);
    mixed_run(peer, p);
    probe_stats(p, &s);
    assert_adds_up(&s);
    yyjson_val *json;
    size_t n;
    char *text = probe_json(p, a, &n);
    if (json_parse(a, text, n, &json, &e) < 0)
        fail_msg("%s", err_msg(&e));
    assert_string_equal(json_str(json, "name"), "pul\"se");
    assert_int_equal(json_int(json_get(json, "totals", "sent"), -1), s.sent);
    assert_int_equal(json_int(json_get(json, "totals", "lost"), -1), s.lost);
    assert_int_equal(json_int(json_get(json, "totals", "fates", "status"), -1), s.lost);
    assert_true(s.lost > 30);
    assert_int_equal(column_sum(json, "ok"), s.ok);
    assert_int_equal(column_sum(json, "lost"), s.lost);
    assert_int_equal(column_sum(json, "by_a"), s.by_a);
    assert_int_equal(column_sum(json, "by_b"), s.by_b);
    assert_int_equal(yyjson_arr_size(json_get(json, "lanes")), 2);
    assert_int_equal(yyjson_arr_size(json_get(json, "marks")), 2);
    assert_int_equal(yyjson_arr_size(json_get(json, "failures")), MIN(s.lost, 100u));
    assert_in_range(yyjson_arr_size(json_get(json, "spells")), 2, 4); /* one in each lane */
    yyjson_val *first = yyjson_arr_get(json_get(json, "failures"), 0);
    assert_int_equal(json_int(json_get(first, "status"), 0), 503);
    assert_string_equal(json_str(first, "cluster"), "a");
    assert_string_equal(json_str(first, "reason"), "status_cluster");
    assert_true(text[n] == '\0' && text[n - 1] == '}');
    probe_free(p);
    peer_stop(peer);
}

/* Every tag that opens closes again, in order. */
static void assert_balanced(const char *html) {
    static const char *const empty[] = {"meta", "br", "!DOCTYPE"}; /* need no end */
    char stack[64][16];
    size_t depth = 0;
    for (const char *p = strchr(html, '<'); p; p = strchr(p + 1, '<')) {
        char name[16];
        size_t n = strcspn(p + 1, " />\n");
        bool closing = p[1] == '/';
        if (closing)
            n = strcspn(p + 2, ">");
        snprintf(name, sizeof name, "%.*s", (int)MIN(n, sizeof name - 1), p + 1 + closing);
        const char *end = strchr(p, '>');
        assert_non_null(end);
        bool alone = end[-1] == '/';
        for (size_t i = 0; i < COUNT_OF(empty); i++)
            alone |= strcmp(name, empty[i]) == 0;
        if (alone)
            continue;
        if (!closing) {
            assert_true(depth < COUNT_OF(stack));
            memcpy(stack[depth++], name, sizeof name);
            continue;
        }
        if (!depth || strcmp(stack[depth - 1], name) != 0)
            fail_msg("</%s> closes <%s> near %.60s", name, depth ? stack[depth - 1] : "", p);
        depth--;
    }
    assert_int_equal(depth, 0);
}

static void report_html(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    char path[] = "/tmp/test_probe-XXXXXX";
    AUTO_FD fd = mkstemp(path);
    assert_true(fd >= 0);
    atomic_store(&peer->cluster, 'a');
    struct probe_config c = {.rate = 200};
    struct probe *p = start(&c, peer->port);
    mixed_run(peer, p);
    if (probe_write_html(p, path, "A <to> B", "<p>extra</p>", &e) < 0)
        fail_msg("%s", err_msg(&e));
    char *html;
    assert_true(file_read(a, path, 1 << 22, &html, NULL, &e) >= 0);
    unlink(path);
    assert_non_null(strstr(html, "<title>A &lt;to&gt; B</title>"));
    assert_non_null(strstr(html, "first &lt;mark&gt; &amp; "));
    assert_non_null(strstr(html, "<p>extra</p>"));
    assert_non_null(strstr(html, "requests were lost."));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http-equiv"));
    assert_null(strstr(html, "nan"));
    assert_balanced(html);
    assert_true(probe_write_html(p, "/no-such-folder/x.html", NULL, NULL, &e) < 0);
    assert_non_null(strstr(err_msg(&e), "no-such-folder"));
    probe_free(p);
    peer_stop(peer);
}

/* A report of a prober that has not sent anything yet is a report, not a crash. */
static void report_at_once(void **state UNUSED) {
    struct peer *peer = peer_start(false);
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    char path[] = "/tmp/test_probe-XXXXXX";
    AUTO_FD fd = mkstemp(path);
    assert_true(fd >= 0);
    struct probe_config c = {.rate = 1};
    struct probe *p = start(&c, peer->port);
    size_t n;
    yyjson_val *json;
    char *text = probe_json(p, a, &n);
    assert_true(json_parse(a, text, n, &json, &e) >= 0);
    assert_true(probe_write_html(p, path, NULL, NULL, &e) >= 0);
    unlink(path);
    probe_free(p);
    peer_stop(peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fate),
        cmocka_unit_test(refused),
        cmocka_unit_test(nothing_lost),
        cmocka_unit_test(idle_closed),
        cmocka_unit_test(closed_under_the_request),
        cmocka_unit_test(announced_close),
        cmocka_unit_test(stall_is_seen),
        cmocka_unit_test(cut_over),
        cmocka_unit_test(window_sees_timeouts),
        cmocka_unit_test(no_descriptors),
        cmocka_unit_test(stop_while_waiting),
        cmocka_unit_test(tls),
        cmocka_unit_test(slow_handshakes),
        cmocka_unit_test(localhost),
        cmocka_unit_test(refusals),
        cmocka_unit_test(report_json),
        cmocka_unit_test(report_html),
        cmocka_unit_test(report_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
