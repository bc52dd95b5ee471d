/* One hook: its signature, its tries, its time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "fake_api.h"
#include "run/hook.h"

enum { PATIENT_MS = 20000 }; /* for what answers, however busy the machine is */

static char dir[] = "/tmp/test_hook.XXXXXX";
static const char *const all_events[] = {"before", NULL};

static int setup(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return rmdir(dir);
}

static const char *at(struct arena *a, const char *name) {
    return arena_printf(a, "%s/%s", dir, name);
}

static char *content(struct arena *a, const char *path) {
    char *text = NULL;
    return file_read(a, path, 1 << 16, &text, NULL, NULL) < 0 ? NULL : text;
}

/* GitHub's own example ("Validating webhook deliveries") and RFC 4231's case 2. */
static void test_signature(void **state) {
    (void)state;
    static const struct {
        const char *secret, *body, *want;
    } rows[] = {
        {"It's a Secret to Everybody", "Hello, World!",
         "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        {"Jefe", "what do ya want for nothing?",
         "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    };
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(hook_signature(a, rows[i].secret, strlen(rows[i].secret), rows[i].body,
                                           strlen(rows[i].body)),
                            rows[i].want);
}

static struct hook_call call(const char *body) {
    return (struct hook_call){.event = "before",
                              .stage = "migrate",
                              .run = "r-1",
                              .delivery = "d1",
                              .body = body,
                              .body_len = strlen(body)};
}

/* sh -c SCRIPT, with the test's folder as $1. */
static int command(struct arena *a, const char *script, uint32_t timeout_ms, unsigned retries,
                   struct hook_result *res, struct err *e) {
    const char **argv = arena_array(a, const char *, 6);
    const char *const filled[] = {"sh", "-c", script, "hook", dir, NULL};
    memcpy(argv, filled, sizeof filled);
    struct config_hook h = {
        .name = "h", .on = all_events, .exec = argv, .timeout_ms = timeout_ms, .retries = retries};
    struct hook_call c = call("{\"a\":1}");
    *e = (struct err){0};
    return hook_run(&h, &c, res, e);
}

static void test_command(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct hook_result res;
    struct err e;
    const char *out = at(a, "out");
    assert_int_equal(command(a,
                             "cat >$1/out; printf ' %s %s %s %s' \"$TANDEM_EVENT\" "
                             "\"$TANDEM_STAGE\" \"$TANDEM_RUN\" \"$TANDEM_DELIVERY\" >>$1/out",
                             5000, 0, &res, &e),
                     0);
    assert_string_equal(content(a, out), "{\"a\":1} before migrate r-1 d1");
    assert_int_equal(res.attempts, 1);
    unlink(out);
}

/* Each try is the same; the last one decides. */
static void test_tries(void **state) {
    (void)state;
    static const struct {
        const char *script;
        unsigned retries;
        int want;
        unsigned attempts;
    } rows[] = {
        {"echo x >>$1/n; exit 1", 0, -EREMOTEIO, 1},
        {"echo x >>$1/n; exit 1", 1, -EREMOTEIO, 2},
        {"echo x >>$1/n; test $(wc -l <$1/n) = 2", 3, 0, 2},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct hook_result res;
        struct err e;
        int r = command(a, rows[i].script, 5000, rows[i].retries, &res, &e);
        if (r != rows[i].want || res.attempts != rows[i].attempts)
            fail_msg("row %zu: %d after %u: %s", i, r, res.attempts, e.msg);
        assert_int_equal(strlen(content(a, at(a, "n"))), 2 * rows[i].attempts);
        unlink(at(a, "n"));
    }
}

/* A zombie that nobody has collected yet is dead too. */
static bool is_alive(int pid) {
    AUTO_ARENA a = arena_new();
    char *stat = content(a, arena_printf(a, "/proc/%d/stat", pid));
    return stat && !strstr(stat, ") Z ") && !strstr(stat, ") X ");
}

/* Its children go with it. */
static void test_timeout(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct hook_result res;
    struct err e;
    uint64_t start = clock_now_ms();
    assert_int_equal(command(a, "sleep 60 & echo $! >$1/pid; sleep 60", 1500, 0, &res, &e),
                     -ETIMEDOUT);
    assert_true(clock_now_ms() - start < 30000);
    char *pid = content(a, at(a, "pid"));
    assert_non_null(pid);
    while (is_alive((int)strtol(pid, NULL, 10))) {
        assert_true(clock_now_ms() - start < 30000);
        clock_sleep_ms(10);
    }
    unlink(at(a, "pid"));
}

static void test_no_such_command(void **state) {
    (void)state;
    static const char *const argv[] = {"/nonexistent/hook", NULL};
    struct config_hook h = {.name = "h", .exec = argv, .timeout_ms = 1000, .retries = 5};
    struct hook_call c = call("{}");
    struct hook_result res;
    struct err e = {0};
    assert_int_equal(hook_run(&h, &c, &res, &e), -ENOENT);
    assert_int_equal(res.attempts, 1);
}

/* What a command prints may be anything: it is no part of the error. */
static void test_output_stays_out(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct hook_result res;
    struct err e;
    assert_int_equal(command(a, "echo hunter2; echo hunter2 >&2; exit 3", 5000, 0, &res, &e),
                     -EREMOTEIO);
    assert_null(strstr(e.msg, "hunter2"));
    assert_non_null(strstr(e.msg, "exit code 3"));
}

/* --- webhooks --- */

static int post(const struct api_row *rows, size_t n, const char *secret_file, unsigned retries,
                uint32_t timeout_ms, struct hook_result *res, const char *seen, unsigned *ret_seen,
                struct err *e) {
    AUTO_ARENA a = arena_new();
    struct api *api = api_start(rows, n);
    struct config_hook h = {.name = "h",
                            .url = arena_printf(a, "http://127.0.0.1:%d/hook", api_port(api)),
                            .secret_file = secret_file,
                            .timeout_ms = timeout_ms,
                            .retries = retries};
    struct hook_call c = call("Hello, World!");
    c.http = http_client_new();
    *e = (struct err){0};
    int r = hook_run(&h, &c, res, e);
    *ret_seen = api_count(api, seen);
    http_client_free(c.http);
    api_stop(api);
    return r;
}

static void test_webhook(void **state) {
    (void)state;
    static const struct {
        const char *name;
        struct api_row rows[2];
        unsigned retries;
        int want;
        unsigned attempts;
    } rows[] = {
        {"good", {{NULL, 204, ""}}, 2, 0, 1},
        {"passes", {{NULL, 503, "", .times = 1}, {NULL, 200, ""}}, 2, 0, 2},
        {"too many requests pass", {{NULL, 429, "", .times = 1}, {NULL, 200, ""}}, 2, 0, 2},
        {"does not pass", {{NULL, 500, ""}}, 1, -EREMOTEIO, 2},
        {"no is no", {{NULL, 403, "", .times = 1}, {NULL, 200, ""}}, 5, -EREMOTEIO, 1},
        {"a redirect is no answer", {{NULL, 302, ""}}, 0, -EREMOTEIO, 1},
        {"broken off", {{NULL, 0, "", .end = API_RESET, .times = 1}, {NULL, 200, ""}}, 1, 0, 2},
        {"too late", {{NULL, 200, "", .delay_ms = 1500}}, 0, -ETIMEDOUT, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hook_result res;
        struct err e;
        unsigned seen;
        int r = post(rows[i].rows, COUNT_OF(rows[i].rows), NULL, rows[i].retries,
                     rows[i].want == -ETIMEDOUT ? 300 : PATIENT_MS, &res, "X-Tandem-Delivery: d1",
                     &seen, &e);
        if (r != rows[i].want || res.attempts != rows[i].attempts || seen != rows[i].attempts)
            fail_msg("%s: %d after %u, %u seen: %s", rows[i].name, r, res.attempts, seen, e.msg);
    }
}

static void test_signed_webhook(void **state) {
    (void)state;
    static const struct api_row rows[] = {{NULL, 200, ""}};
    AUTO_ARENA a = arena_new();
    const char *file = at(a, "secret"), *secret = "It's a Secret to Everybody\n";
    struct hook_result res;
    struct err e;
    unsigned seen;
    assert_int_equal(file_write_atomic(file, secret, strlen(secret), 0600, &e), 0);
    int r = post(rows, 1, file, 0, PATIENT_MS, &res,
                 "X-Tandem-Signature: "
                 "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\r\n",
                 &seen, &e);
    assert_int_equal(r, 0);
    assert_int_equal(seen, 1);
    assert_int_equal(file_write_atomic(file, "\n", 1, 0600, &e), 0);
    assert_int_equal(post(rows, 1, file, 3, PATIENT_MS, &res, "", &seen, &e), -EINVAL);
    assert_int_equal(seen, 0); /* never unsigned instead */
    unlink(file);
    assert_int_equal(post(rows, 1, file, 3, PATIENT_MS, &res, "", &seen, &e), -ENOENT);
    assert_int_equal(seen, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature),       cmocka_unit_test(test_command),
        cmocka_unit_test(test_tries),           cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_no_such_command), cmocka_unit_test(test_output_stays_out),
        cmocka_unit_test(test_webhook),         cmocka_unit_test(test_signed_webhook),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
