/* A child: what it does not read, what it does not end, what it inherits. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/str.h"

enum { INPUT_BYTES = 1 << 20, PIPE_STATUS = 128 + SIGPIPE };

static char input[INPUT_BYTES];

static struct proc_result shell(struct arena *a, const char *script, size_t n,
                                uint64_t timeout_ms) {
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct proc_run p = {.argv = argv, .input = input, .input_len = n, .timeout_ms = timeout_ms};
    struct proc_result res;
    struct err e = {0};
    int r = proc_run(a, &p, &res, &e);
    if (r < 0)
        fail_msg("%s: %s", script, e.msg);
    return res;
}

static int fill(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (char)('a' + i % 26);
    return 0;
}

/* More than a pipe holds, both ways at once: neither side may wait for the other. */
static void test_both_ways(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct proc_result res = shell(a, "tee /dev/stderr", sizeof input, 30000);
    assert_int_equal(res.status, 0);
    assert_false(res.timed_out);
    assert_int_equal(res.out_len, sizeof input);
    assert_int_equal(res.err_len, sizeof input);
    assert_memory_equal(res.out, input, sizeof input);
    assert_memory_equal(res.err_out, input, sizeof input);
}

/* The test does not ignore SIGPIPE: a child that ends without reading must not end its parent. */
static void test_input_not_read(void **state) {
    (void)state;
    static const size_t sizes[] = {1, sizeof input};
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int round = 0; round < 20; round++) {
            struct proc_result res = shell(a, "exec <&-; echo done; exit 7", sizes[i], 30000);
            assert_int_equal(res.status, 7);
            assert_string_equal(res.out, "done\n");
        }
}

/* Nor may one that never reads hold it up beyond its time. */
static void test_input_never_read(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    uint64_t start = clock_now_ms();
    struct proc_result res = shell(a, "sleep 60", sizeof input, 300);
    assert_true(res.timed_out);
    assert_true(clock_now_ms() - start < 20000);
}

/* tandem ignores SIGPIPE; `yes | head` within a hook counts on it. */
static void test_signals_are_the_usual(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    assert_int_equal(sigaction(SIGPIPE, &ignore, &old), 0);
    struct proc_result res = shell(a, "kill -PIPE $$; echo ignored", 0, 30000);
    assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
    assert_string_equal(res.out, "");
    assert_int_equal(res.status, PIPE_STATUS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_input_not_read),
        cmocka_unit_test(test_input_never_read),
        cmocka_unit_test(test_signals_are_the_usual),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
