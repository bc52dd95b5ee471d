/* What the JSON layer adds to yyjson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"

/* RFC 6902: what is added, copied or moved to where a member is replaces it. */
static void test_patch(void **state) {
    (void)state;
    static const struct {
        const char *doc, *patch, *want; /* want NULL: refused */
    } rows[] = {
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":2}]",
         "{\"a\":{\"b\":2}}"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/0\",\"value\":2}]", "{\"a\":[2,1]}"},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":2}]", "{\"a\":[1,2]}"},
        {"{\"a\":1,\"b\":2}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]",
         "{\"a\":1,\"b\":1}"},
        {"{\"a\":1,\"b\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"b\":1}"},
        {"{\"a\":1,\"b\":2}", "[{\"op\":\"copy\",\"from\":\"/c\",\"path\":\"/b\"}]", NULL},
        {"{}",
         "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1},{\"op\":\"add\",\"path\":\"/a\",\"value\":"
         "2}]",
         "{\"a\":2}"},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL},
        {"{\"a\":1}", "{}", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        yyjson_val *doc, *patch;
        assert_int_equal(json_parse(a, rows[i].doc, strlen(rows[i].doc), &doc, &e), 0);
        assert_int_equal(json_parse(a, rows[i].patch, strlen(rows[i].patch), &patch, &e), 0);
        yyjson_mut_doc *d = json_doc(a);
        yyjson_mut_val *root = yyjson_val_mut_copy(d, doc);
        int r = json_patch(d, &root, patch, &e);
        const char *got = r < 0 ? NULL : json_mut_write(a, root, NULL);
        if (!str_eq(got, rows[i].want))
            fail_msg("row %zu: %s", i, got ? got : e.msg);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
