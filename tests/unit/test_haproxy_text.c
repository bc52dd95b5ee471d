/* What HAProxy answers, and the map file: the parts that need no HAProxy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "traffic/haproxy.h"

static void percent(void **state) {
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"0", 0},    {"100", 100}, {"7", 7},    {"007", 7},   {"101", -1}, {"", -1},
        {"-1", -1},  {"+5", -1},   {"5 ", -1},  {" 5", -1},   {"5x", -1},  {"0x5", -1},
        {"5.0", -1}, {"1e1", -1},  {"999", -1}, {"0100", -1}, {"x", -1},   {"%", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (haproxy_percent(rows[i].text, strlen(rows[i].text)) != rows[i].want)
            fail_msg("percent of \"%s\" is not %d", rows[i].text, rows[i].want);
}

static void map_edit(void **state) {
    static const struct {
        const char *before, *after; /* f.pct_b becomes 25 */
    } rows[] = {
        {"f.pct_b 0\n", "f.pct_b 25\n"},
        {"f.pct_b 0", "f.pct_b 25"},
        {"", "f.pct_b 25\n"},
        {"g.pct_b 7\n", "g.pct_b 7\nf.pct_b 25\n"},
        {"g.pct_b 7", "g.pct_b 7\nf.pct_b 25\n"},
        {"# why\n\n  f.pct_b \t 100  \r\nz 1\n", "# why\n\n  f.pct_b \t 25  \r\nz 1\n"},
        {"#f.pct_b 1\n", "#f.pct_b 1\nf.pct_b 25\n"},
        {"  # f.pct_b 1\nf.pct_b 2\n", "  # f.pct_b 1\nf.pct_b 25\n"},
        {"f.pct_b\n", "f.pct_b 25\n"},
        {"f.pct_b", "f.pct_b 25"},
        {"f.pct_b \n", "f.pct_b 25\n"},
        {"f.pct_b 1\nx\nf.pct_b 2\n", "f.pct_b 25\nx\nf.pct_b 25\n"},
        {"f.pct_bx 1\nff.pct_b 2\nF.pct_b 3\n", "f.pct_bx 1\nff.pct_b 2\nF.pct_b 3\nf.pct_b 25\n"},
        {"f.pct_b a b c\n", "f.pct_b 25\n"},
        {"x f.pct_b\nf.pct_b 1 # no comment\n", "x f.pct_b\nf.pct_b 25\n"},
        {"\n\n\n", "\n\n\nf.pct_b 25\n"},
        {"\xff\xfe 1\n", "\xff\xfe 1\nf.pct_b 25\n"},
    };
    (void)state;
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct haproxy_value v;
        const char *now = haproxy_map_edit(a, rows[i].before, "f.pct_b", 25);
        assert_string_equal(now, rows[i].after);
        assert_string_equal(haproxy_map_edit(a, now, "f.pct_b", 25), now);
        haproxy_map_value(now, "f.pct_b", &v);
        assert_int_equal(v.percent, 25);
        assert_false(v.differ);
    }
}

static void map_value(void **state) {
    static const struct {
        const char *text;
        unsigned found;
        int percent;
        bool differ;
    } rows[] = {
        {"f.pct_b 5\n", 1, 5, false},
        {"\tf.pct_b\t5\r\n", 1, 5, false},
        {"f.pct_b 5", 1, 5, false},
        {"", 0, -1, false},
        {"# f.pct_b 5\n", 0, -1, false},
        {"f.pct_b 5\nf.pct_b 5\n", 2, 5, false},
        {"f.pct_b 5\nf.pct_b 6\n", 2, 5, true},
        {"f.pct_b\n", 1, -1, false},
        {"f.pct_b 101\n", 1, -1, false},
        {"f.pct_b 5 6\n", 1, -1, false},
        {"f.pct_b 1111111111111111111111111111111111111111111111\n", 1, -1, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct haproxy_value v;
        haproxy_map_value(rows[i].text, "f.pct_b", &v);
        if (v.found != rows[i].found || v.percent != rows[i].percent || v.differ != rows[i].differ)
            fail_msg("row %zu: found %u, percent %d, differ %d", i, v.found, v.percent, v.differ);
    }
}

#define ID     "# id (file) description\n"
#define LOADED " pattern loaded from file 'x' used by map at file 'h.cfg' line 1.\n"

static void find_map(void **state) {
    char dir[] = "/tmp/test-haproxy-XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO_ARENA a = arena_new();
    const char *real = arena_printf(a, "%s/real.map", dir), *other = arena_printf(a, "%s/o", dir);
    const char *link = arena_printf(a, "%s/link.map", dir);
    assert_int_equal(file_write_atomic(real, "", 0, 0600, NULL), 0);
    assert_int_equal(symlink("real.map", link), 0);
    const struct {
        const char *answer, *path, *want;
        int code;
    } rows[] = {
        {arena_printf(a, ID "0 (%s)" LOADED, real), real, real, 0},
        {arena_printf(a, ID "0 (%s)" LOADED, real), link, real, 0},
        {arena_printf(a, ID "0 (%s)" LOADED, link), real, link, 0},
        {arena_printf(a, ID "1 (%s)" LOADED "2 (%s)" LOADED, link, real), real, real, 0},
        {arena_printf(a, ID "1 (%s)" LOADED "2 (%s)" LOADED, real, link), real, real, 0},
        {arena_printf(a, ID "0 (%s)" LOADED, real), other, NULL, -ENOENT},
        {ID, real, NULL, -ENOENT},
        {ID "-1 () pattern loaded from line\n", real, NULL, -ENOENT},
        {ID "0 (maps/t.map)" LOADED, "/etc/haproxy/maps/t.map", "maps/t.map", 0},
        {ID "0 (./t.map)" LOADED, "/etc/haproxy/t.map", "./t.map", 0},
        {ID "0 (t.map)" LOADED "1 (a/t.map)" LOADED, "/e/a/t.map", NULL, -ENOTUNIQ},
        {ID "0 (t.map)" LOADED "1 (/e/a/t.map)" LOADED, "/e/a/t.map", "/e/a/t.map", 0},
        {ID "0 (map)" LOADED, "/etc/t.map", NULL, -ENOENT},
        {ID "0 (/a b;c\\d.map)" LOADED, "/a b;c\\d.map", "/a\\ b\\;c\\\\d.map", 0},
        {ID "0 (opt@/e/t.map) pattern\n", "/e/t.map", "opt@/e/t.map", 0},
        {ID "0 (/e/t.map) something new\n", "/e/t.map", "/e/t.map", 0},
        {ID "0 (/e/t.map", "/e/t.map", NULL, -ENOENT},
        {"Permission denied\n", real, NULL, -EACCES},
        {"HTTP/1.0 400 Bad request\n", real, NULL, -EPROTO},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *name = NULL;
        struct err e = {0};
        int r = haproxy_find_map(a, rows[i].answer, rows[i].path, &name, &e);
        if (r != rows[i].code || !str_eq(name, rows[i].want))
            fail_msg("row %zu: %d, %s, %s", i, r, name ? name : "(none)", e.msg);
        assert_true(r == 0 || e.msg[0]);
    }
    unlink(link);
    unlink(real);
    rmdir(dir);
}

static void find_value(void **state) {
    static const struct {
        const char *answer;
        int code;
        unsigned found;
        int percent;
        bool differ;
    } rows[] = {
        {"0x5 f.pct_b 5\n0x6 g 1\n", 0, 1, 5, false},
        {"0x6 g 1\n0x5 f.pct_b 5\n", 0, 1, 5, false},
        {"", 0, 0, -1, false},
        {"0x6 f.pct_bb 1\n0x7 ff.pct_b 2\n0x8 f.pct_b\n", 0, 0, -1, false},
        {"0x5 f.pct_b 9\n0x6 f.pct_b 8\n", 0, 2, 9, true},
        {"0x5 f.pct_b 9\n0x6 f.pct_b 9\n", 0, 2, 9, false},
        {"0x5 f.pct_b -9\n", 0, 1, -1, false},
        {"0x5 f.pct_b \n", 0, 1, -1, false},
        {"Unknown map identifier. Please use #<id> or <file>.\n", -ENOENT, 0, 0, false},
        {"f.pct_b 5\n", -EPROTO, 0, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct haproxy_value v = {0};
        int r = haproxy_find_value(rows[i].answer, "f.pct_b", &v, NULL);
        if (r != rows[i].code || v.found != rows[i].found || v.percent != rows[i].percent ||
            v.differ != rows[i].differ)
            fail_msg("row %zu: %d, found %u, percent %d, differ %d", i, r, v.found, v.percent,
                     v.differ);
    }
}

#define HEAD "# pxname,svname,qcur,scur,status,weight,last_chk\n"

static void find_backend(void **state) {
    static const struct {
        const char *rows;
        int code;
        unsigned servers, healthy;
        unsigned sessions;
    } rows[] = {
        {HEAD "b,s1,0,1,UP,1,\nb,s2,0,2,DOWN,1,\nb,BACKEND,0,3,UP,1,\n", 0, 2, 1, 3},
        {HEAD "b,s1,0,0,UP 1/2,1,\nb,s2,0,0,DOWN 1/2,1,\n", 0, 2, 1, 0},
        {HEAD "b,s1,0,0,no check,1,\n", 0, 1, 1, 0},
        {HEAD "b,s1,0,0,DRAIN,0,\nb,s2,0,0,MAINT,1,\nb,s3,0,0,NOLB,1,\n", 0, 3, 0, 0},
        {HEAD "b,s1,0,0,MAINT (via a/b),1,\nb,s1,0,0,UP,0,\n", 0, 2, 0, 0},
        {HEAD "b,s1,0,0,DOWN (agent),1,\nb,s1,0,0,MAINT (resolution),1,\n", 0, 2, 0, 0},
        {HEAD "a,s1,0,9,UP,1,\nbb,s1,0,9,UP,1,\nb,FRONTEND,0,9,OPEN,1,\n", 0, 0, 0, 0},
        {HEAD "b,s1,0,7,UP,1,\"a, \"\"b\"\"\nc\"\nb,BACKEND,0,5,UP,1,\n", 0, 1, 1, 7},
        {HEAD "b,BACKEND,4,6,UP,0,\n", 0, 0, 0, 6},
        {HEAD "b,s1\n\n,,,,,\n", 0, 0, 0, 0},
        {HEAD "b,s1,0,99999999999999999999999999,UP,1\n", 0, 1, 1, 0},
        {"# svname,status,pxname,weight,scur\ns1,UP,b,1,4\n", 0, 1, 1, 4},
        {"# pxname,svname,qcur,scur,status\nb,s1,0,0,UP\n", -EPROTO, 0, 0, 0},
        {"", -EPROTO, 0, 0, 0},
        {"# ", -EPROTO, 0, 0, 0},
        {"No such proxy.\n", -ENOENT, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct haproxy_backend b = {0};
        int r = haproxy_find_backend(rows[i].rows, "b", &b, NULL);
        if (r != rows[i].code || b.servers != rows[i].servers || b.healthy != rows[i].healthy ||
            b.sessions != rows[i].sessions)
            fail_msg("row %zu: %d, servers %u, healthy %u, sessions %u", i, r, b.servers, b.healthy,
                     (unsigned)b.sessions);
    }
}

static void answers(void **state) {
    static const struct {
        const char *answer, *wanted;
        int code;
        const char *says;
    } rows[] = {
        {"", NULL, 0, ""},
        {"0x1 a 1\n", "0x", 0, ""},
        {"0x1 a 1\n", NULL, -EPROTO, "not understood"},
        {"Permission denied\n", NULL, -EACCES, "level"},
        {"Unknown map identifier. Please use #<id> or <file>.\n", "0x", -ENOENT, "no front end"},
        {"Unknown command: 'x', but maybe\n  show map\n", NULL, -EOPNOTSUPP, "HAProxy 2.6"},
        {"No such proxy.\n", "# ", -ENOENT, "back end"},
        {"entry not found.\n", NULL, -ENOKEY, "key"},
        {"unable to parse 'x'.\n", NULL, -EINVAL, "whole numbers"},
        {"Out of memory error.\n", NULL, -ENOMEM, "memory"},
        {"\033[31mred\a\n", NULL, -EPROTO, "\"?[31mred?\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        int r = haproxy_answer_check(rows[i].answer, rows[i].wanted, &e);
        if (r != rows[i].code || !strstr(e.msg, rows[i].says))
            fail_msg("row %zu: %d, %s", i, r, e.msg);
    }
}

static void addresses(void **state) {
    static const struct {
        const char *address;
        bool good, local;
    } rows[] = {
        {"/run/haproxy/admin.sock", true, true},
        {"unix:///run/haproxy/admin.sock", true, true},
        {"./admin.sock", true, true},
        {"tcp://lb2:9999", true, false},
        {"tcp://127.0.0.1:9999", true, true},
        {"tcp://[::1]:9999", true, true},
        {"tcp://[fd00::2]:9999", true, false},
        {"tcp://fd00::2:9999", false, false},
        {"tcp://lb2", false, false},
        {"tcp://lb2:", false, false},
        {"tcp://lb2:0", false, false},
        {"tcp://lb2:65536", false, false},
        {"tcp://:9999", false, false},
        {"http://lb2:9999", false, true},
        {"", false, true},
        {"/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
         "8901234567890123456789",
         false, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        int r = haproxy_address_check(rows[i].address, &e);
        if ((r == 0) != rows[i].good || haproxy_address_local(rows[i].address) != rows[i].local)
            fail_msg("%s: %d, %s", rows[i].address, r, e.msg);
        assert_true(r == 0 || e.msg[0]);
    }
}

static void drivers(void **state) {
    (void)state;
    size_t n = 0;
    for (; traffic_drivers[n]; n++) {
        const struct traffic_driver *d = traffic_drivers[n];
        assert_true(!str_empty(d->name) && !str_empty(d->why));
        assert_true(d->open && d->close && d->observe && d->set_live && d->set_prelive);
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(traffic_drivers[i]->name, d->name);
    }
    assert_true(n >= 1);
}

static void refused(void **state) {
    static const char *const sockets[] = {"/s", NULL}, *const none[] = {NULL};
    static const char *const bad[] = {"tcp://x", NULL};
    static const char *const many[] = {"/1",  "/2",  "/3",  "/4",  "/5",  "/6",
                                       "/7",  "/8",  "/9",  "/10", "/11", "/12",
                                       "/13", "/14", "/15", "/16", "/17", NULL};
    static const struct {
        struct traffic_config cfg;
        const char *says;
    } rows[] = {
        {{"f", "haproxy", sockets, "/m", "a", "b"}, NULL},
        {{"f", "nginx", sockets, "/m", "a", "b"}, "driver nginx is not known; there is: haproxy"},
        {{"f", NULL, sockets, "/m", "a", "b"}, "driver (none)"},
        {{NULL, "haproxy", sockets, "/m", "a", "b"}, "tier (unnamed): name of the tier is missing"},
        {{"f f", "haproxy", sockets, "/m", "a", "b"}, "letters, digits"},
        {{"f;g", "haproxy", sockets, "/m", "a", "b"}, "letters, digits"},
        {{"f", "haproxy", none, "/m", "a", "b"}, "sockets is empty"},
        {{"f", "haproxy", NULL, "/m", "a", "b"}, "sockets is empty"},
        {{"f", "haproxy", bad, "/m", "a", "b"}, "wants tcp://HOST:PORT"},
        {{"f", "haproxy", many, "/m", "a", "b"}, "more than 16"},
        {{"f", "haproxy", sockets, "", "a", "b"}, "map is missing"},
        {{"f", "haproxy", sockets, "/m\n", "a", "b"}, "control characters"},
        {{"f", "haproxy", sockets, "/m", "a", "a"}, "the same back end"},
        {{"f", "haproxy", sockets, "/m", NULL, "b"}, "live.a is missing"},
        {{"f", "haproxy", sockets, "/m", "a", "b\n"}, "live.b"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct traffic_tier *t = NULL;
        struct err e = {0};
        int r = traffic_open(&rows[i].cfg, &t, &e);
        if ((r == 0) != !rows[i].says || (rows[i].says && !strstr(e.msg, rows[i].says)))
            fail_msg("row %zu: %d, %s", i, r, e.msg);
        assert_true((t != NULL) == (r == 0));
        traffic_close(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent),      cmocka_unit_test(map_edit),   cmocka_unit_test(map_value),
        cmocka_unit_test(find_map),     cmocka_unit_test(find_value), cmocka_unit_test(answers),
        cmocka_unit_test(find_backend), cmocka_unit_test(addresses),  cmocka_unit_test(drivers),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
