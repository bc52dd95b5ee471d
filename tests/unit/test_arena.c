/* Memory of an arena: alignment, texts, blocks that come from elsewhere, joining. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/json.h"

enum { MANY = 4000 };

/* Blocks and texts of all sizes, made in turns, do not touch each other. */
static void nothing_overlaps(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    char **text = xcalloc(MANY, sizeof *text);
    uint8_t **block = xcalloc(MANY, sizeof *block);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            text[i] = arena_printf(a, "%zu-%.*s", i, (int)(i % 300),
                                   "........................................................");
            block[i] = arena_alloc(a, 1 + i % 500 + (i % 100 == 7 ? 900000 : 0));
            assert_int_equal((uintptr_t)block[i] % 16, 0);
            memset(block[i], (int)(i & 0xff), 1 + i % 500);
        }
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(strtoul(text[i], NULL, 10), i);
            for (size_t k = 0; k < 1 + i % 500; k++)
                assert_int_equal(block[i][k], i & 0xff);
        }
        arena_reset(a);
        assert_int_equal(arena_used(a), 0);
    }
    xfree(text);
    xfree(block);
}

static void texts_are_packed(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < 1000; i++)
        arena_strdup(a, "name");
    assert_int_equal(arena_used(a), 5000);
}

/* What was made in the one, guests included, lives as long as the other; a leak or a double free is
 * what the sanitizers see. */
static void arenas_are_joined(void **state UNUSED) {
    for (unsigned empty = 0; empty < 4; empty++) {
        AUTO_ARENA a = arena_new();
        AUTO_ARENA b = arena_new();
        char *x = empty & 1 ? NULL : arena_strdup(a, "of a"), *y = NULL, *guest = NULL;
        if (!(empty & 2)) {
            y = arena_strdup(b, "of b");
            guest = xstrdup("guest");
            arena_adopt(b, guest);
            arena_adopt(a, xstrdup("another"));
        }
        arena_join(a, b);
        assert_int_equal(arena_used(b), 0);
        char *z = arena_strdup(b, "b goes on");
        arena_reset(b);
        assert_string_equal(arena_strdup(b, "again"), "again");
        assert_string_equal(arena_strdup(a, "and a"), "and a");
        assert_true(empty & 1 || str_eq(x, "of a"));
        assert_true(empty & 2 || (str_eq(y, "of b") && str_eq(guest, "guest")));
        (void)z;
    }
}

static void json_is_parsed_in_place(void **state UNUSED) {
    static const char text[] = "{\"a\":[\"x\\u00e9\",1.50,{}],\"b\":\"\"}";
    AUTO_ARENA a = arena_new();
    for (size_t cut = 0; cut < sizeof text; cut++) {
        size_t n = sizeof text - 1 - cut;
        char *p = arena_raw(a, n + JSON_PAD), *q = arena_strndup(a, text, n);
        memcpy(p, text, n);
        memset(p + n, 0, JSON_PAD);
        yyjson_val *v = NULL, *w = NULL;
        struct err e = {0}, f = {0};
        int r = json_parse_in_place(a, p, n, &v, &e);
        assert_int_equal(r, json_parse(a, q, n, &w, &f));
        assert_int_equal(r, cut ? -EBADMSG : 0);
        assert_string_equal(err_msg(&e), err_msg(&f));
        if (!cut)
            assert_string_equal(json_write(a, v, NULL), json_write(a, w, NULL));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_overlaps),
        cmocka_unit_test(texts_are_packed),
        cmocka_unit_test(arenas_are_joined),
        cmocka_unit_test(json_is_parsed_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
