/* The haproxy driver against a HAProxy that follows a script: what goes wrong, and what then is
 * true of the file, of the process and of the message. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/queue.h"
#include "fake_haproxy.h"
#include "traffic/haproxy.h"

enum { TIMEOUT_MS = 300 };

/* One tier before up to two fakes. */
struct bench {
    char dir[64], socket[2][128], map[128];
    const char *sockets[3];
    struct fake fake[2];
    size_t fakes;
    struct traffic_config cfg;
    struct traffic_tier *tier;
    struct err e;
};

static void write_map(struct bench *b, const char *text) {
    assert_int_equal(file_write_atomic(b->map, text, strlen(text), 0640, NULL), 0);
}

static void bench_open(struct bench *b, size_t fakes, int live_b) {
    *b = (struct bench){.dir = "/tmp/test-haproxy-XXXXXX", .fakes = fakes};
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->map, sizeof b->map, "%s/t.map", b->dir);
    for (size_t i = 0; i < 2; i++) {
        snprintf(b->socket[i], sizeof b->socket[i], "%s/%zu.sock", b->dir, i);
        b->sockets[i] = i < MAX(fakes, 1) ? b->socket[i] : NULL;
        if (i < fakes)
            fake_start(&b->fake[i], b->socket[i], b->map, live_b, 100);
    }
    char text[80];
    snprintf(text, sizeof text, "# mine\nfrontend.pct_b %d\nfrontend.prelive_b 100\n", live_b);
    write_map(b, text);
    b->cfg = (struct traffic_config){.name = "frontend",
                                     .driver = "haproxy",
                                     .sockets = b->sockets,
                                     .map = b->map,
                                     .live_a = "paas_a",
                                     .live_b = "paas_b",
                                     .timeout_ms = TIMEOUT_MS};
    assert_int_equal(traffic_open(&b->cfg, &b->tier, &b->e), 0);
}

static void bench_close(struct bench *b) {
    traffic_close(b->tier);
    for (size_t i = 0; i < b->fakes; i++)
        fake_stop(&b->fake[i]);
    for (size_t i = 0; i < 2; i++)
        unlink(b->socket[i]);
    unlink(b->map);
    assert_int_equal(rmdir(b->dir), 0); /* nothing is left behind, no temporary file either */
}

static const char *in_file(struct bench *b, const char *key) {
    static char text[32];
    AUTO_ARENA a = arena_new();
    struct haproxy_value v;
    char *content;
    assert_int_equal(haproxy_map_read(a, b->map, &content, NULL), 0);
    haproxy_map_value(content, key, &v);
    snprintf(text, sizeof text, "%s", v.text);
    return text;
}

#define assert_says(b, text)                                                                       \
    do {                                                                                           \
        if (!strstr((b)->e.msg, text))                                                             \
            fail_msg("\"%s\" does not say \"%s\"", (b)->e.msg, text);                              \
    } while (0)

/* --- one command --- */

static void commands(void **state) {
    static const struct {
        enum fake_fault fault;
        const char *text;
        int code;
        const char *says;
    } rows[] = {
        {FAKE_ANSWER, "\n", 0, ""},
        {FAKE_ANSWER, "a\nb\n\n", 0, ""},
        {FAKE_DRIBBLE, NULL, 0, ""},
        {FAKE_ANSWER, "a\nb\n", -EUNKNOWNOUTCOME, "cut off"},
        {FAKE_ANSWER, "garbage", -EUNKNOWNOUTCOME, "not HAProxy"},
        {FAKE_ANSWER, "", -EUNKNOWNOUTCOME, "without an answer"},
        {FAKE_CLOSE, NULL, -EUNKNOWNOUTCOME, ""},
        {FAKE_CUT, NULL, -EUNKNOWNOUTCOME, "cut off"},
        {FAKE_HANG, NULL, -EUNKNOWNOUTCOME, "no answer in time"},
    };
    (void)state;
    struct bench b;
    bench_open(&b, 1, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        char *text = NULL;
        uint64_t start = clock_now_ms();
        fake_fail(&b.fake[0], "show map", rows[i].fault, rows[i].text);
        int r = haproxy_command(a, b.socket[0], TIMEOUT_MS, "show map", &text, &e);
        if (r != rows[i].code || !strstr(e.msg, rows[i].says) || (r == 0) != (text != NULL))
            fail_msg("row %zu: %d, %s", i, r, e.msg);
        assert_true(r == 0 || (e.retry && strstr(e.msg, b.socket[0])));
        assert_in_range(clock_now_ms() - start, 0, 4 * TIMEOUT_MS);
        if (rows[i].fault == FAKE_HANG) { /* it still waits: begin with another */
            fake_stop(&b.fake[0]);
            fake_start(&b.fake[0], b.socket[0], b.map, 0, 100);
        }
    }
    bench_close(&b);
}

static void too_long(void **state) {
    (void)state;
    struct bench b;
    AUTO_ARENA a = arena_new();
    AUTO_SB text = SB_INIT(0);
    while (text.len <= HAPROXY_ANSWER_MAX)
        sb_str(&text, "0x1 some.key 1\n");
    char *answer;
    bench_open(&b, 1, 0);
    fake_fail(&b.fake[0], "show map", FAKE_ANSWER, text.p);
    assert_int_equal(haproxy_command(a, b.socket[0], 5000, "show map", &answer, &b.e),
                     -EUNKNOWNOUTCOME);
    assert_says(&b, "longer than 4 MiB");
    bench_close(&b);
}

static void absent(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 0, 0);
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), -EHOSTUNREACH);
    char want[512];
    snprintf(want, sizeof want,
             "frontend: HAProxy's socket %s: No such file or directory; is HAProxy running, and is "
             "`stats socket` set?",
             b.socket[0]);
    assert_string_equal(b.e.msg, want);
    assert_true(b.e.retry);
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), -EHOSTUNREACH);
    assert_string_equal(in_file(&b, "frontend.pct_b"), "0");
    /* By force the file is written: HAProxy may be down, and comes back with it. */
    assert_int_equal(traffic_set_live(b.tier, 100, true, &b.e), -EHOSTUNREACH);
    assert_says(&b, "the map file is set, for the next start");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "100");
    assert_int_equal(traffic_drain(b.tier, 'a', 0, &b.e), -EHOSTUNREACH);
    bench_close(&b);
}

/* --- setting --- */

static void moves(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 2, 0);
    static const int steps[] = {1, 5, 50, 100, 100, 0};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        char want[8];
        snprintf(want, sizeof want, "%d", steps[i]);
        assert_int_equal(traffic_set_live(b.tier, steps[i], false, &b.e), 0);
        assert_string_equal(in_file(&b, "frontend.pct_b"), want);
        for (size_t n = 0; n < 2; n++)
            assert_string_equal(fake_value(&b.fake[n], "frontend.pct_b"), want);
        assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
        assert_int_equal(s.live_b, steps[i]);
        assert_int_equal(s.prelive_b, 100);
        assert_false(s.drift);
        assert_true(str_empty(s.node[0].problem) && str_empty(s.node[1].problem));
    }
    assert_int_equal(traffic_set_prelive(b.tier, 'a', &b.e), 0);
    assert_string_equal(fake_value(&b.fake[1], "frontend.prelive_b"), "0");
    assert_string_equal(in_file(&b, "frontend.prelive_b"), "0");
    assert_int_equal(traffic_set_prelive(b.tier, 'b', &b.e), 0);
    assert_string_equal(in_file(&b, "frontend.prelive_b"), "100");
    assert_true(str_empty(b.e.msg)); /* no failure is left in it after success */
    struct stat st;
    assert_int_equal(stat(b.map, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    bench_close(&b);
}

static void bad_shares(void **state) {
    static const int bad[] = {-1, 101, 1000, -100};
    (void)state;
    struct bench b;
    bench_open(&b, 1, 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(traffic_set_live(b.tier, bad[i], true, &b.e), -EINVAL);
        assert_says(&b, "whole percent from 0 to 100");
    }
    assert_int_equal(traffic_set_prelive(b.tier, 'c', &b.e), -EINVAL);
    assert_int_equal(fake_count(&b.fake[0], ""), 0);
    bench_close(&b);
}

static void read_only(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 1, 0);
    traffic_close(b.tier);
    b.cfg.read_only = true;
    assert_int_equal(traffic_open(&b.cfg, &b.tier, &b.e), 0);
    assert_int_equal(traffic_set_live(b.tier, 100, true, &b.e), -EGUARD);
    assert_int_equal(traffic_set_prelive(b.tier, 'a', &b.e), -EGUARD);
    assert_says(&b, "read-only");
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_int_equal(fake_count(&b.fake[0], "set") + fake_count(&b.fake[0], "add"), 0);
    assert_string_equal(in_file(&b, "frontend.pct_b"), "0");
    bench_close(&b);
}

static void faults(void **state) {
    static const struct {
        enum fake_fault fault; /* of "set map" */
        const char *text;
        int code;
        const char *says;
        const char *runtime, *file; /* afterwards; it was 0, and 100 was asked for */
    } rows[] = {
        /* a definite no of every node: the file goes back */
        {FAKE_ANSWER, "Permission denied\n\n", -EACCES, "`level`", "0", "0"},
        {FAKE_ANSWER, "unable to parse '100'.\n\n", -EINVAL, "whole", "0", "0"},
        {FAKE_ANSWER, "Hello.\n\n", -EPROTO, "\"Hello.\"", "0", "0"},
        {FAKE_IGNORE, NULL, -EIO, "was set to 100, but HAProxy reads back 0", "0", "0"},
        /* the answer is lost: what is read back decides */
        {FAKE_CUT, NULL, 0, "", "100", "100"},
        {FAKE_CLOSE, NULL, -EHOSTUNREACH, "without an answer", "0", "100"},
        {FAKE_ANSWER, "half an ans", -EHOSTUNREACH, "cut off", "0", "100"},
        {FAKE_DRIBBLE, NULL, 0, "", "100", "100"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bench b;
        bench_open(&b, 1, 0);
        fake_fail(&b.fake[0], "set map", rows[i].fault, rows[i].text);
        int r = traffic_set_live(b.tier, 100, false, &b.e);
        if (r != rows[i].code || !strstr(b.e.msg, rows[i].says))
            fail_msg("row %zu: %d, %s", i, r, b.e.msg);
        assert_true(r == 0 || str_starts(b.e.msg, "frontend: "));
        assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), rows[i].runtime);
        assert_string_equal(in_file(&b, "frontend.pct_b"), rows[i].file);
        bench_close(&b);
    }
}

static void other_map(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 1, 0);
    WITH_FAKE(&b.fake[0]) {
        snprintf(b.fake[0].map, sizeof b.fake[0].map, "/elsewhere.map");
    }
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_true(s.node[0].reachable && s.drift);
    assert_int_equal(s.live_b, -1);
    assert_non_null(strstr(s.node[0].problem, "does not use the map"));
    assert_int_equal(s.node[0].healthy_b, 1);
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), -ENOENT);
    assert_says(&b, "docs/TRAFFIC.md");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "0");
    bench_close(&b);
}

static void missing_key(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 1, -1);
    write_map(&b, "other 1\n");
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_int_equal(s.live_b, -1);
    assert_non_null(strstr(s.node[0].problem, "no key frontend.pct_b"));
    for (int share = 10; share <= 30; share += 10) {
        assert_int_equal(traffic_set_live(b.tier, share, false, &b.e), 0);
        assert_int_equal(fake_count(&b.fake[0], "add map"), 1);
    }
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "30");
    WITH_FAKE(&b.fake[0]) {
        assert_int_equal(b.fake[0].entries, 2);
    }
    assert_string_equal(in_file(&b, "frontend.pct_b"), "30");
    assert_string_equal(in_file(&b, "other"), "1");
    bench_close(&b);
}

/* --- guards --- */

static void guards(void **state) {
    static const struct {
        int from, to;
        const char *status_a, *status_b;
        int code;
        const char *says;
    } rows[] = {
        {0, 100, "UP", "UP", 0, ""},
        {0, 5, "UP", "DOWN", -EGUARD,
         "cluster b is not to get traffic: none of the 1 servers of "
         "back end paas_b is healthy"},
        {0, 100, "DOWN", "UP", 0, ""},
        {100, 0, "DOWN", "UP", -EGUARD, "cluster a is not to get traffic"},
        {100, 0, "UP", "DOWN", 0, ""},
        {50, 25, "DOWN", "UP", -EGUARD, "cluster a"},
        {50, 75, "UP", "MAINT", -EGUARD, "cluster b"},
        {50, 75, "UP", "DRAIN", -EGUARD, "cluster b"},
        {50, 50, "DOWN", "DOWN", 0, ""}, /* nobody gets anything new */
        {0, 100, "UP", "no check", 0, ""},
        {0, 100, "UP", "UP 1/3", 0, ""},
        {0, 100, "UP", "DOWN 2/3", -EGUARD, "cluster b"},
        {-1, 0, "UP", "DOWN", 0, ""}, /* share unknown: who is to have some must be healthy */
        {-1, 100, "DOWN", "UP", 0, ""},
        {-1, 50, "DOWN", "UP", -EGUARD, "cluster a"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bench b;
        bench_open(&b, 2, rows[i].from);
        WITH_FAKE(&b.fake[1]) { /* one bad node of two is enough */
            b.fake[1].status_a = rows[i].status_a;
            b.fake[1].status_b = rows[i].status_b;
        }
        int r = traffic_set_live(b.tier, rows[i].to, false, &b.e);
        if (r != rows[i].code || !strstr(b.e.msg, rows[i].says))
            fail_msg("row %zu: %d, %s", i, r, b.e.msg);
        bool changed = fake_count(&b.fake[0], "set") + fake_count(&b.fake[0], "add") > 0;
        assert_true(changed == (r == 0));
        assert_int_equal(traffic_set_live(b.tier, rows[i].to, true, &b.e), 0);
        bench_close(&b);
    }
}

/* --- several nodes --- */

static void one_away(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 2, 0);
    fake_stop(&b.fake[1]);
    b.fakes = 1;
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), -EHOSTUNREACH);
    assert_says(&b, b.socket[1]);
    assert_says(&b, "Connection refused");
    assert_says(&b, "the other nodes are set");
    assert_null(strstr(b.e.msg, b.socket[0]));
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "100");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "100");
    b.e = (struct err){0};
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_true(str_empty(b.e.msg));
    assert_true(s.node[0].reachable && !s.node[1].reachable);
    assert_int_equal(s.live_b, 100);
    assert_int_equal(s.node[1].live_b, -1);
    assert_false(s.drift);
    assert_int_equal(traffic_drain(b.tier, 'a', 50, &b.e), -EHOSTUNREACH);
    assert_says(&b, b.socket[1]);
    bench_close(&b);
}

/* One that hangs must not keep the other from being set, nor for long the operator. */
static void one_hangs(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 2, 100);
    fake_fail(&b.fake[0], "", FAKE_HANG, NULL);
    uint64_t start = clock_now_ms();
    assert_int_equal(traffic_set_live(b.tier, 0, true, &b.e), -EHOSTUNREACH);
    assert_in_range(clock_now_ms() - start, TIMEOUT_MS - 50, 3 * TIMEOUT_MS);
    assert_says(&b, "no answer in time");
    assert_string_equal(fake_value(&b.fake[1], "frontend.pct_b"), "0");
    bench_close(&b);
}

static void one_refuses(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 2, 0);
    fake_fail(&b.fake[0], "set", FAKE_ANSWER, "Permission denied\n\n");
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), -EACCES);
    assert_says(&b, b.socket[0]);
    assert_says(&b, "the other nodes are set");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "100");
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_int_equal(s.live_b, -1);
    assert_int_equal(s.prelive_b, 100);
    assert_true(s.drift);
    bench_close(&b);
}

static void drift(void **state) {
    static const struct {
        const char *runtime, *file;
        bool drift;
        int live_b, file_live_b;
    } rows[] = {
        {"0", "frontend.pct_b 0\nfrontend.prelive_b 100\n", false, 0, 0},
        {"100", "frontend.pct_b 0\nfrontend.prelive_b 100\n", true, 100, 0},
        {"0", "frontend.pct_b 0\nfrontend.prelive_b 0\n", true, 0, 0},
        {"0", "frontend.prelive_b 100\n", true, 0, -1},
        {"5x", "frontend.pct_b 0\nfrontend.prelive_b 100\n", true, -1, 0},
        {"101", "frontend.pct_b 101\nfrontend.prelive_b 100\n", false, -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bench b;
        struct traffic_state s;
        bench_open(&b, 1, 0);
        WITH_FAKE(&b.fake[0]) {
            snprintf(b.fake[0].entry[0].value, sizeof b.fake[0].entry[0].value, "%s",
                     rows[i].runtime);
        }
        write_map(&b, rows[i].file);
        assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
        if (s.drift != rows[i].drift || s.node[0].drift != rows[i].drift ||
            s.live_b != rows[i].live_b || s.node[0].file_live_b != rows[i].file_live_b)
            fail_msg("row %zu: drift %d, live %d, file %d", i, s.drift, s.live_b,
                     s.node[0].file_live_b);
        assert_true(s.live_b >= 0 || strstr(s.node[0].problem, rows[i].runtime));
        assert_int_equal(traffic_set_live(b.tier, 60, false, &b.e), 0); /* brings both together */
        assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
        assert_int_equal(s.live_b, 60);
        assert_int_equal(s.node[0].file_live_b, 60);
        bench_close(&b);
    }
}

static void doubled_key(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 1, 0);
    WITH_FAKE(&b.fake[0]) {
        b.fake[0].entry[b.fake[0].entries++] = (struct fake_entry){"frontend.pct_b", "50"};
    }
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_int_equal(s.live_b, -1);
    assert_true(s.drift);
    assert_non_null(strstr(s.node[0].problem, "2 times"));
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), 0); /* sets both */
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_int_equal(s.live_b, 100);
    bench_close(&b);
}

/* --- the map file --- */

static void file_gone(void **state) {
    (void)state;
    struct bench b;
    struct traffic_state s;
    bench_open(&b, 1, 0);
    WITH_FAKE(&b.fake[0]) {
        b.fake[0].entry[b.fake[0].entries++] = (struct fake_entry){"auth.pct_b", "7"};
    }
    unlink(b.map);
    assert_int_equal(traffic_observe(b.tier, &s, &b.e), 0);
    assert_true(s.drift);
    assert_int_equal(s.live_b, 0);
    assert_int_equal(s.node[0].file_live_b, -1);
    assert_non_null(strstr(s.node[0].problem, "No such file"));
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), 0);
    assert_string_equal(in_file(&b, "auth.pct_b"), "7"); /* the other tiers' keys came back too */
    assert_string_equal(in_file(&b, "frontend.prelive_b"), "100");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "100");
    bench_close(&b);
}

/* A file that cannot be written: nothing moves, but for force, which must bring traffic back even
 * when the disk is full. A folder in the file's place stands for that, since root writes anything.
 */
static void file_unwritable(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 1, 100);
    unlink(b.map);
    assert_int_equal(mkdir(b.map, 0700), 0);
    assert_int_equal(traffic_set_live(b.tier, 0, false, &b.e), -EISDIR);
    assert_says(&b, "frontend: HAProxy's map file");
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "100");
    assert_int_equal(traffic_set_live(b.tier, 0, true, &b.e), -EISDIR);
    assert_says(&b, "frontend.pct_b is 0 now, but a reload of HAProxy would undo it");
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "0");
    rmdir(b.map);
    bench_close(&b);
}

static void file_link(void **state) {
    (void)state;
    struct bench b;
    struct stat st;
    char real[160];
    bench_open(&b, 1, 0);
    snprintf(real, sizeof real, "%s/real", b.dir);
    assert_int_equal(rename(b.map, real), 0);
    assert_int_equal(symlink("real", b.map), 0);
    WITH_FAKE(&b.fake[0]) { /* HAProxy knows it by its own name */
        snprintf(b.fake[0].map, sizeof b.fake[0].map, "%s", real);
    }
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), 0);
    assert_int_equal(lstat(b.map, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_string_equal(in_file(&b, "frontend.pct_b"), "100");
    unlink(real);
    bench_close(&b);
}

/* Two tiers in one file, changed at once by two threads: no change is lost. */
static void race(void *ctx, size_t index) {
    struct bench *b = ctx;
    struct haproxy_value old;
    char key[32];
    snprintf(key, sizeof key, "tier%zu.pct_b", index);
    for (int i = 0; i <= 50; i++)
        if (haproxy_map_set(b->map, key, i, NULL, NULL, &old, NULL) < 0 || old.percent != i - 1)
            b->e.code = -EIO;
}

static void file_shared(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 1, 0);
    workers_join(workers_start(4, race, &b));
    assert_int_equal(b.e.code, 0);
    static const char *const keys[] = {"tier0.pct_b", "tier1.pct_b", "tier2.pct_b", "tier3.pct_b"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_string_equal(in_file(&b, keys[i]), "50");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "0");
    bench_close(&b);
}

/* --- claims --- */

static struct traffic_tier *another(struct bench *b) {
    struct traffic_tier *t = NULL;
    assert_int_equal(traffic_open(&b->cfg, &t, &b->e), 0);
    return t;
}

static void an_older_claim_moves_nothing(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 2, 0);
    struct traffic_tier *old = another(&b), *none = another(&b);
    assert_int_equal(traffic_claim(old, false, &b.e), 0);
    assert_int_equal(traffic_set_live(old, 50, false, &b.e), 0);
    assert_int_equal(traffic_claimed(old, &b.e), 0);
    assert_string_equal(in_file(&b, "frontend.epoch"), fake_value(&b.fake[1], "frontend.epoch"));
    assert_int_equal(traffic_claim(b.tier, true, &b.e), 0);
    assert_int_equal(traffic_set_live(b.tier, 0, true, &b.e), 0);
    assert_int_equal(traffic_claimed(old, &b.e), -EGUARD);
    for (int force = 0; force < 2; force++) {
        b.e = (struct err){0};
        assert_int_equal(traffic_set_live(old, 100, force, &b.e), -EGUARD);
        assert_says(&b, "taken over by another command");
    }
    assert_int_equal(traffic_set_prelive(old, 'a', &b.e), -EGUARD);
    assert_string_equal(in_file(&b, "frontend.pct_b"), "0");
    assert_string_equal(in_file(&b, "frontend.prelive_b"), "100");
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(fake_value(&b.fake[i], "frontend.pct_b"), "0");
        assert_string_equal(fake_value(&b.fake[i], "frontend.prelive_b"), "100");
    }
    assert_int_equal(traffic_set_live(none, 10, false, &b.e),
                     0); /* never claimed: by hand, as it were */
    assert_int_equal(traffic_claimed(b.tier, &b.e), 0);
    WITH_FAKE(&b.fake[0]) {
        assert_int_equal(b.fake[0].entries, 3); /* no key is there twice */
    }
    assert_int_equal(traffic_claim(old, false, &b.e), 0); /* begun anew, on purpose */
    assert_int_equal(traffic_set_live(old, 100, false, &b.e), 0);
    assert_int_equal(traffic_claimed(b.tier, &b.e), -EGUARD);
    traffic_close(old);
    traffic_close(none);
    bench_close(&b);
}

/* The file alone, or a HAProxy alone, is enough to be refused: the one that was taken over may see
 * only one of them. */
static void one_place_that_knows_is_enough(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 1, 0);
    assert_int_equal(traffic_claim(b.tier, false, &b.e), 0);
    write_map(&b, "frontend.pct_b 7\nfrontend.epoch 99999999\n");
    assert_int_equal(traffic_set_live(b.tier, 100, true, &b.e), -EGUARD);
    assert_says(&b, b.map);
    assert_string_equal(in_file(&b, "frontend.pct_b"), "7");
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "0");
    write_map(&b, "frontend.pct_b 0\n");
    WITH_FAKE(&b.fake[0]) {
        for (size_t i = 0; i < b.fake[0].entries; i++)
            if (str_eq(b.fake[0].entry[i].key, "frontend.epoch"))
                snprintf(b.fake[0].entry[i].value, sizeof b.fake[0].entry[i].value, "99999999");
    }
    assert_int_equal(traffic_set_live(b.tier, 100, false, &b.e), -EGUARD);
    assert_says(&b, b.socket[0]);
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "0");
    bench_close(&b);
}

/* Another takes over between the look and the set, and has set what it wants. */
static void overtaken(struct fake *f) {
    static const struct fake_entry now[] = {{"frontend.pct_b", "3"},
                                            {"frontend.epoch", "99999999"}};
    struct haproxy_value old;
    struct haproxy_claim claim = {.key = "frontend.epoch"};
    for (size_t i = 0; i < f->entries; i++)
        for (size_t k = 0; k < COUNT_OF(now); k++)
            if (str_eq(f->entry[i].key, now[k].key))
                f->entry[i] = now[k];
    MUST(haproxy_map_claim(f->map, &claim, 99999999, NULL, NULL) == 0);
    MUST(haproxy_map_set(f->map, "frontend.pct_b", 3, NULL, NULL, &old, NULL) == 0);
}

static void a_change_that_comes_too_late_is_put_right(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 1, 0);
    assert_int_equal(traffic_claim(b.tier, false, &b.e), 0);
    fake_fail(&b.fake[0], "set map", FAKE_ANSWER, NULL);
    WITH_FAKE(&b.fake[0]) {
        b.fake[0].hook = overtaken;
    }
    int r = traffic_set_live(b.tier, 100, false, &b.e);
    assert_int_equal(r, -EGUARD);
    assert_says(&b, "taken over");
    assert_string_equal(fake_value(&b.fake[0], "frontend.pct_b"), "3");
    assert_string_equal(in_file(&b, "frontend.pct_b"), "3");
    bench_close(&b);
}

static void a_node_that_began_anew_learns_of_the_claim(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 2, 0);
    assert_int_equal(traffic_claim(b.tier, false, &b.e), 0);
    fake_stop(&b.fake[1]);
    fake_start(&b.fake[1], b.socket[1], b.map, 0, 100);
    assert_null(fake_value(&b.fake[1], "frontend.epoch"));
    assert_int_equal(traffic_set_live(b.tier, 50, false, &b.e), 0);
    assert_string_equal(fake_value(&b.fake[1], "frontend.epoch"), in_file(&b, "frontend.epoch"));
    bench_close(&b);
}

static void claims_in_trouble(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 2, 0);
    WITH_FAKE(&b.fake[0]) { /* somebody's own text counts as none */
        snprintf(b.fake[0].entry[b.fake[0].entries].key, 64, "frontend.epoch");
        snprintf(b.fake[0].entry[b.fake[0].entries++].value, 32, "mine");
    }
    assert_int_equal(traffic_claim(b.tier, false, &b.e), 0);
    assert_string_equal(fake_value(&b.fake[0], "frontend.epoch"), in_file(&b, "frontend.epoch"));
    fake_stop(&b.fake[1]);
    b.fakes = 1;
    assert_int_equal(traffic_claim(b.tier, false, &b.e), 0); /* one that answers is enough */
    fake_stop(&b.fake[0]);
    b.fakes = 0;
    assert_int_equal(traffic_claim(b.tier, false, &b.e), -EHOSTUNREACH);
    assert_int_equal(traffic_claim(b.tier, true, &b.e), 0); /* never in the way back's way */
    assert_int_equal(traffic_claimed(b.tier, &b.e), 0);
    assert_int_equal(unlink(b.map), 0);
    assert_int_equal(traffic_claim(b.tier, true, &b.e), 0);
    bench_close(&b);
}

/* --- drain --- */

static void drains(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 2, 100);
    WITH_FAKE(&b.fake[0]) {
        b.fake[0].sessions_a = 3;
    }
    assert_int_equal(traffic_drain(b.tier, 'a', 30, &b.e), 3);
    unsigned looks = fake_count(&b.fake[0], "show stat paas_b");
    assert_int_equal(traffic_drain(b.tier, 'b', 5000, &b.e), 0);
    assert_int_equal(fake_count(&b.fake[0], "show stat paas_b") - looks, 2);
    for (size_t i = 0; i < 2; i++) {
        WITH_FAKE(&b.fake[i]) {
            b.fake[i].sessions_a = (unsigned)i + 2;
            b.fake[i].draining = true;
        }
    }
    assert_int_equal(traffic_drain(b.tier, 'a', 5000, &b.e), 0);
    for (size_t i = 0; i < 2; i++) {
        WITH_FAKE(&b.fake[i]) {
            assert_int_equal(b.fake[i].sessions_a, 0);
        }
    }
    bench_close(&b);
}

int main(void) {
    log_setup(LOG_ERROR, LOG_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),
        cmocka_unit_test(too_long),
        cmocka_unit_test(absent),
        cmocka_unit_test(moves),
        cmocka_unit_test(bad_shares),
        cmocka_unit_test(read_only),
        cmocka_unit_test(faults),
        cmocka_unit_test(other_map),
        cmocka_unit_test(missing_key),
        cmocka_unit_test(guards),
        cmocka_unit_test(one_away),
        cmocka_unit_test(one_hangs),
        cmocka_unit_test(one_refuses),
        cmocka_unit_test(drift),
        cmocka_unit_test(doubled_key),
        cmocka_unit_test(file_gone),
        cmocka_unit_test(file_link),
        cmocka_unit_test(file_unwritable),
        cmocka_unit_test(file_shared),
        cmocka_unit_test(drains),
        cmocka_unit_test(an_older_claim_moves_nothing),
        cmocka_unit_test(one_place_that_knows_is_enough),
        cmocka_unit_test(a_change_that_comes_too_late_is_put_right),
        cmocka_unit_test(a_node_that_began_anew_learns_of_the_claim),
        cmocka_unit_test(claims_in_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
