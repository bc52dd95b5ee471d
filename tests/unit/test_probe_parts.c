/* The prober's parts by themselves: the HTTP reader byte by byte, the histogram's accuracy, the
 * statistics over hours. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "probe/hist.h"
#include "probe/http1.h"
#include "probe/stats.h"

/* --- HTTP --- */

#define OK200 "HTTP/1.1 200 OK\r\n"

static const struct http_row {
    const char *text;
    enum http1_result result; /* after all of it; MORE: the end of the connection decides */
    enum http1_result at_end; /* when the connection then ends */
    int status;
    bool close;
    const char *value, *body;
    size_t rest; /* bytes that are not of this answer */
} http_rows[] = {
    {OK200 "Content-Length: 2\r\n\r\nhi", HTTP1_DONE, HTTP1_DONE, 200, false, "", "hi", 0},
    {OK200 "Content-Length: 2\r\n\r\nhi!!", HTTP1_DONE, HTTP1_DONE, 200, false, "", "hi", 2},
    {OK200 "Content-Length: 0\r\n\r\n", HTTP1_DONE, HTTP1_DONE, 200, false, "", "", 0},
    {OK200 "Content-Length: 3\r\n\r\nhi", HTTP1_MORE, HTTP1_MORE, 200, false, "", "hi", 0},
    {OK200 "\r\nhi", HTTP1_MORE, HTTP1_DONE, 200, true, "", "hi", 0},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HTTP1_DONE, HTTP1_DONE, 200, false, "", "", 0},
    {"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", HTTP1_DONE, HTTP1_DONE, 200, false, "", "x", 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", HTTP1_DONE, HTTP1_DONE, 200, true, "", "x",
     0},
    {OK200 "Connection: x, CLOSE\r\ncontent-length:1 \r\n\r\nx", HTTP1_DONE, HTTP1_DONE, 200, true,
     "", "x", 0},
    {OK200 "x-cluster: \t b \r\nX-Cluster: a\r\nContent-Length: 0\r\n\r\n", HTTP1_DONE, HTTP1_DONE,
     200, false, "b", "", 0},
    {OK200 "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\nA;q=1\r\n0123456789\r\n0\r\n\r\nZ",
     HTTP1_DONE, HTTP1_DONE, 200, false, "", "hi0123456789", 1},
    {OK200 "Transfer-Encoding: chunked\r\n\r\n0\r\nT: 1\r\nU: 2\r\n\r\n", HTTP1_DONE, HTTP1_DONE,
     200, false, "", "", 0},
    {OK200 "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", HTTP1_MORE, HTTP1_MORE, 200, false, "",
     "hi", 0},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX-Y: z\r\n\r\nHTTP/1.1 503 Busy\r\n"
     "Content-Length: 1\r\n\r\n!",
     HTTP1_DONE, HTTP1_DONE, 503, false, "", "!", 0},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", HTTP1_DONE, HTTP1_DONE, 204, false, "",
     "", 0},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", HTTP1_DONE, HTTP1_DONE, 304, false, "", "", 0},
    {OK200 "Content-Le", HTTP1_MORE, HTTP1_MORE, 0, false, "", "", 0},
    {"", HTTP1_MORE, HTTP1_MORE, 0, false, "", "", 0},
};

static const char *const not_http[] = {
    "SSH-2.0-x\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 20x OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    OK200 "no colon\r\n\r\n",
    OK200 ": no name\r\n\r\n",
    OK200 "Content-Length: -1\r\n\r\n",
    OK200 "Content-Length: 99999999999999999999999\r\n\r\n",
    OK200 "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    OK200 "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    OK200 "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "\r\n\r\n\r\n\r\n\r\n",
};

/* Feeds the text in pieces of that size; returns what was left over when it stopped. */
static size_t feed(struct http1 *h, const char *text, size_t piece, enum http1_result *ret) {
    size_t n = strlen(text), at = 0;
    *ret = HTTP1_MORE;
    while (at < n && *ret == HTTP1_MORE) {
        size_t used;
        *ret = http1_feed(h, text + at, MIN(piece, n - at), &used);
        at += used;
    }
    return n - at;
}

static void check_http(struct http1 *h, const struct http_row *row, size_t piece) {
    enum http1_result got;
    http1_reset(h);
    size_t rest = feed(h, row->text, piece, &got);
    if (got != row->result || (got == HTTP1_MORE && http1_eof(h) != row->at_end) ||
        h->status != row->status || h->close != row->close || !str_eq(h->value, row->value) ||
        !str_eq(sb_get(&h->body), row->body) || rest != row->rest)
        fail_msg("in pieces of %zu: %s\n-> %d, at end %d, %d, close %d, \"%s\", \"%s\", rest %zu",
                 piece, row->text, (int)got, (int)http1_eof(h), h->status, h->close, h->value,
                 sb_get(&h->body), rest);
}

static void http(void **state UNUSED) {
    struct http1 h;
    http1_init(&h, "X-Cluster", true);
    for (size_t piece = 1; piece < 9; piece++)
        for (size_t i = 0; i < COUNT_OF(http_rows); i++)
            check_http(&h, &http_rows[i], piece == 8 ? 4096 : piece);
    http1_done(&h);
}

static void http_refused(void **state UNUSED) {
    struct http1 h;
    http1_init(&h, NULL, false);
    for (size_t piece = 1; piece < 9; piece++)
        for (size_t i = 0; i < COUNT_OF(not_http); i++) {
            enum http1_result got;
            http1_reset(&h);
            feed(&h, not_http[i], piece == 8 ? 4096 : piece, &got);
            if (got != HTTP1_BAD)
                fail_msg("in pieces of %zu: %s -> %d", piece, not_http[i], (int)got);
        }
    http1_done(&h);
}

static void http_limits(void **state UNUSED) {
    struct http1 h;
    enum http1_result got;
    AUTO_SB big = SB_INIT(0);
    http1_init(&h, "X", true);
    sb_str(&big, OK200);
    while (big.len <= HTTP1_HEAD_MAX)
        sb_str(&big, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    feed(&h, big.p, 1000, &got);
    assert_int_equal(got, HTTP1_LARGE);

    sb_reset(&big);
    http1_reset(&h);
    sb_fmt(&big, OK200 "Content-Length: %d\r\n\r\n", HTTP1_BODY_MAX + 100);
    feed(&h, big.p, 1000, &got);
    sb_reset(&big);
    while (big.len < HTTP1_BODY_MAX + 100)
        sb_chr(&big, 'x');
    feed(&h, big.p, 777, &got);
    assert_int_equal(got, HTTP1_DONE);
    assert_int_equal(h.body.len, HTTP1_BODY_MAX); /* the rest is counted, not kept */

    sb_reset(&big);
    http1_reset(&h);
    sb_str(&big, OK200 "Transfer-Encoding: chunked\r\n\r\n1;");
    for (int i = 0; i < 6000; i++)
        sb_chr(&big, 'e');
    feed(&h, big.p, 1000, &got);
    assert_int_equal(got, HTTP1_LARGE);
    http1_done(&h);
}

/* --- histogram --- */

static void histogram(void **state UNUSED) {
    static const uint64_t values[] = {0, 1, 31, 32, 63, 64, 65, 100, 999, 12345, 1000000, 59999999};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct hist h = {0};
        hist_add(&h, 0);
        hist_add(&h, values[i]);
        hist_add(&h, UINT64_MAX / 2); /* so that the largest does not cap the answer */
        double got = (double)hist_at(&h, 0.5), want = (double)values[i];
        if (got < want * 0.983 || got > want * 1.017)
            fail_msg("%g reads as %g", want, got);
    }
    struct hist h = {0}, sum = {0};
    assert_int_equal(hist_at(&h, 0.99), 0);
    for (uint64_t v = 1; v <= 10000; v++)
        hist_add(&h, v);
    hist_merge(&sum, &h);
    hist_merge(&sum, &h);
    assert_int_equal(sum.count, 20000);
    assert_in_range(hist_at(&sum, 0.5), 4900, 5100);
    assert_in_range(hist_at(&sum, 0.99), 9700, 10000);
    assert_int_equal(hist_at(&sum, 1), 10000);
    hist_reset(&sum);
    assert_int_equal(sum.count + hist_at(&sum, 1), 0);
}

/* --- statistics --- */

static const uint64_t s_ns = 1000000000u;

static void add(struct stats *s, uint64_t due, uint64_t took, enum probe_why why, unsigned who,
                unsigned lane) {
    struct sample x = {
        .due = due, .sent = due, .done = due + took, .lane = lane, .why = why, .who = who};
    stats_due(s, lane, 1);
    stats_add(s, &x);
}

static void sum_points(const struct stats *s, uint64_t *ret_ok, uint64_t *ret_lost) {
    *ret_ok = *ret_lost = 0;
    for (size_t i = 0; i < s->n_points; i++) {
        *ret_ok += s->points[i].c.fate[PROBE_OK];
        *ret_lost += counts_lost(&s->points[i].c);
    }
}

/* A day and a night: the series stays bounded and still holds every request. */
static void long_run(void **state UNUSED) {
    struct stats *s = stats_new(1e9);
    uint64_t seconds = 90000, ok, lost;
    for (uint64_t i = 0; i < seconds; i++)
        add(s, i * s_ns, 5000000, i % 1000 ? WHY_OK : WHY_REFUSED, i % 1000 ? WHO_A : WHO_NOBODY,
            i & 1);
    struct stats *c = stats_copy(s);
    struct probe_stats t;
    stats_total(c, &t);
    sum_points(c, &ok, &lost);
    assert_int_equal(t.sent, seconds);
    assert_int_equal(t.lost, 90);
    assert_int_equal(ok, t.ok);
    assert_int_equal(lost, t.lost);
    assert_true(c->n_points <= STATS_POINTS);
    assert_int_equal(c->step_s, 8);
    assert_int_equal(c->n_spells, 90);
    for (size_t i = 0; i < c->n_points; i++)
        assert_in_range(c->points[i].p50_us, 4900, 5100);
    stats_free(c);
    stats_free(s);
}

static void window(void **state UNUSED) {
    struct stats *s = stats_new(1e7);
    struct probe_stats w;
    for (uint64_t i = 0; i < 30; i++)
        for (uint64_t k = 0; k < 100; k++)
            add(s, i * s_ns + k * 10000000u, i < 20 ? 1000000 : 9000000, WHY_OK,
                i < 20 ? WHO_A : WHO_B, 0);
    /* Due in second 22, known in second 29. */
    for (uint64_t k = 0; k < 7; k++)
        add(s, 22 * s_ns, 7 * s_ns, WHY_ANSWER_TIMEOUT, WHO_NOBODY, 1);
    add(s, 29 * s_ns, 1, WHY_STATUS_CLUSTER, WHO_B, 1);
    add(s, 29 * s_ns, 1, WHY_NO_PORT, WHO_NOBODY, 1);
    stats_window(s, 30 * s_ns - 1, 5000, &w);
    assert_int_equal(w.ok, 500);
    assert_int_equal(w.lost, 8);
    assert_int_equal(w.not_measured, 1);
    assert_int_equal(w.sent, 509);
    assert_int_equal(w.by_b, 501);
    assert_int_equal(w.lost_b, 1);
    assert_int_equal(w.by_a, 0);
    assert_in_range((int)(w.p50_ms * 100), 880, 920);
    stats_window(s, 30 * s_ns - 1, 15000, &w);
    assert_int_equal(w.by_a, 500);
    stats_window(s, 30 * s_ns - 1, 4000000000u, &w); /* more than is kept is all that is kept */
    assert_int_equal(w.ok, 3000);
    stats_window(s, 300 * s_ns, 10000, &w);
    assert_int_equal(w.sent, 0);
    stats_free(s);
}

/* A request that we send late is as late for a client: its latency begins when it was due, and how
 * late we were is shown beside it. */
static void latency_from_due(void **state UNUSED) {
    struct stats *s = stats_new(1e7);
    struct probe_stats t;
    struct sample x = {.due = s_ns,
                       .sent = s_ns + 200000000,
                       .done = s_ns + 201000000,
                       .why = WHY_OK,
                       .who = WHO_UNKNOWN};
    stats_due(s, 0, 1);
    stats_add(s, &x);
    stats_total(s, &t);
    assert_in_range((int)t.p50_ms, 198, 202);
    assert_in_range((int)t.max_ms, 201, 201);
    assert_in_range((int)t.lag_p99_ms, 197, 200);
    stats_free(s);
}

/* Losses that follow each other are one spell, in each lane by itself, in whatever order they
 * become known. */
static void spells(void **state UNUSED) {
    struct stats *s = stats_new(1e7);
    for (uint64_t i = 100; i-- > 0;)
        add(s, s_ns + i * 10000000u, 1000, WHY_REFUSED, WHO_NOBODY, 0);
    add(s, s_ns, 1000, WHY_REFUSED, WHO_NOBODY, 1);
    add(s, 9 * s_ns, 1000, WHY_REFUSED, WHO_NOBODY, 0);
    assert_int_equal(s->n_spells, 3);
    assert_int_equal(s->spell[0].lost, 100);
    assert_int_equal(s->spell[0].to - s->spell[0].from, 990000000);
    assert_int_equal(s->spell[1].lane, 1);
    for (uint64_t i = 0; i < 2 * STATS_SPELLS; i++)
        add(s, (20 + i) * s_ns, 1000, WHY_REFUSED, WHO_NOBODY, 0);
    assert_int_equal(s->n_spells, STATS_SPELLS);
    assert_true(s->spells_full);
    assert_int_equal(s->n_failures, STATS_FAILURES);
    stats_free(s);
}

static void reasons(void **state UNUSED) {
    for (unsigned w = 0; w < WHY_COUNT; w++) {
        const struct why_row *row = why_row((enum probe_why)w);
        assert_false(str_empty(row->name) || str_empty(row->text));
        assert_true(row->fate < PROBE_FATES && (w == WHY_OK) == (row->fate == PROBE_OK));
        for (unsigned k = 0; k < w; k++)
            assert_false(str_eq(row->name, why_row((enum probe_why)k)->name));
    }
    for (unsigned f = 0; f < PROBE_FATES; f++)
        assert_false(str_empty(probe_fate_name((enum probe_fate)f)) ||
                     str_empty(fate_title((enum probe_fate)f)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http),
        cmocka_unit_test(http_refused),
        cmocka_unit_test(http_limits),
        cmocka_unit_test(histogram),
        cmocka_unit_test(long_run),
        cmocka_unit_test(window),
        cmocka_unit_test(latency_from_due),
        cmocka_unit_test(spells),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
