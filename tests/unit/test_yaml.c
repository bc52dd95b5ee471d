#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/yaml.h"

static int parse(struct arena *a, const char *text, bool expand, struct yaml_doc *d,
                 struct err *e) {
    return yaml_parse(a, "f.yaml", text, strlen(text), expand, d, e);
}

/* YAML on the left, the same as compact JSON on the right. */
static const struct {
    const char *yaml, *json;
} trees[] = {
    {"a: 1", "{\"a\":1}"},
    {"a: 1.50", "{\"a\":1.50}"},
    {"a: -1e9", "{\"a\":-1e9}"},
    {"a: 123456789012345678901234567890", "{\"a\":123456789012345678901234567890}"},
    {"a: '1'", "{\"a\":\"1\"}"},
    {"a: \"true\"", "{\"a\":\"true\"}"},
    {"[true, True, TRUE, false, False]", "[true,true,true,false,false]"},
    {"[null, ~, Null, NULL]", "[null,null,null,null]"},
    {"a:", "{\"a\":null}"},
    {"a:\nb: x", "{\"a\":null,\"b\":\"x\"}"},
    {"[yes, no, on, off, y, n]", "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\"]"},
    {"[0755, 0o17, 0x1F, +1, .5, 1., .inf, .nan, 1_000]",
     "[\"0755\",\"0o17\",\"0x1F\",\"+1\",\".5\",\"1.\",\".inf\",\".nan\",\"1_000\"]"},
    {"[0, -0, 0.0, 1e5, 1E+5, 1e, 1.e5, 12a]", "[0,-0,0.0,1e5,1E+5,\"1e\",\"1.e5\",\"12a\"]"},
    {"a: 2026-11-23", "{\"a\":\"2026-11-23\"}"},
    {"a: |\n  x\n   y\n\n", "{\"a\":\"x\\n y\\n\"}"},
    {"a: |-\n  1\n", "{\"a\":\"1\"}"},
    {"a: |+\n  x\n\n", "{\"a\":\"x\\n\\n\"}"},
    {"a: >\n  x\n  y\n\n  z\n", "{\"a\":\"x y\\nz\\n\"}"},
    {"a: x\n  y", "{\"a\":\"x y\"}"},
    {"a: \"\\u00e9\\n\\t\\x41\"", "{\"a\":\"é\\n\\tA\"}"},
    {"a: 'it''s'", "{\"a\":\"it's\"}"},
    {"# c\na: b # c\n", "{\"a\":\"b\"}"},
    {"---\na: b\n...\n", "{\"a\":\"b\"}"},
    {"%YAML 1.2\n---\na: b\n", "{\"a\":\"b\"}"},
    {"", "null"},
    {"# nothing\n", "null"},
    {"---\n", "null"},
    {"hello", "\"hello\""},
    {"- a\n- - b\n  - c\n-\n  d: e\n", "[\"a\",[\"b\",\"c\"],{\"d\":\"e\"}]"},
    {"a:\n- b\n- c: d\n  e: f\n", "{\"a\":[\"b\",{\"c\":\"d\",\"e\":\"f\"}]}"},
    {"{a: {b: [c, {d: e}]}, f: }", "{\"a\":{\"b\":[\"c\",{\"d\":\"e\"}]},\"f\":null}"},
    {"{\n\t\"a\": 1,\n\t\"b\": [ true, null, \"x\" ]\n}\n", "{\"a\":1,\"b\":[true,null,\"x\"]}"},
    {"{\"a\":{\"b\":\"c\"},\"d\":[]}", "{\"a\":{\"b\":\"c\"},\"d\":[]}"},
    {"a: {\n  b: c\n}\nd: [\n  1\n]\n", "{\"a\":{\"b\":\"c\"},\"d\":[1]}"},
    {"a: &x [1, {b: c}]\nd: *x\n", "{\"a\":[1,{\"b\":\"c\"}],\"d\":[1,{\"b\":\"c\"}]}"},
    {"a: &x 1\nb: *x\nc: &x 2\nd: *x", "{\"a\":1,\"b\":1,\"c\":2,\"d\":2}"},
    {"b: &b {x: 1, y: 2}\nm:\n  <<: *b\n  y: 3\n",
     "{\"b\":{\"x\":1,\"y\":2},\"m\":{\"y\":3,\"x\":1}}"},
    {"m:\n  y: 3\n  <<: {x: 1, y: 2}\n", "{\"m\":{\"y\":3,\"x\":1}}"},
    {"- &a {x: 1}\n- &b {x: 2, y: 2}\n- <<: [*a, *b]\n  z: 3\n",
     "[{\"x\":1},{\"x\":2,\"y\":2},{\"z\":3,\"x\":1,\"y\":2}]"},
    {"- &a {x: 1}\n- &b {<<: *a, y: 2}\n- <<: *b\n",
     "[{\"x\":1},{\"y\":2,\"x\":1},{\"y\":2,\"x\":1}]"},
    {"'<<': 1", "{\"<<\":1}"},
    {"a: !!str 1", "{\"a\":\"1\"}"},
    {"a: ! 1", "{\"a\":\"1\"}"},
    {"a: !!int 1", "{\"a\":1}"},
    {"a: !!int '7'", "{\"a\":7}"},
    {"\"1\": a\n'true': b", "{\"1\":\"a\",\"true\":\"b\"}"},
    {"? a\n: b", "{\"a\":\"b\"}"},
    {"a: \"x\\0y\"", "{\"a\":\"x\\u0000y\"}"},
    {"url: https://x.example:8443/a#b", "{\"url\":\"https://x.example:8443/a#b\"}"},
    {"\xef\xbb\xbf"
     "a: b",
     "{\"a\":\"b\"}"},
    {"a: b\r\nc: d\r\n", "{\"a\":\"b\",\"c\":\"d\"}"},
};

static void test_trees(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        AUTO_ARENA a = arena_new();
        struct yaml_doc d;
        struct err e = {0};
        if (parse(a, trees[i].yaml, false, &d, &e) < 0)
            fail_msg("row %zu <%s>: %s", i, trees[i].yaml, e.msg);
        assert_string_equal(json_mut_write(a, d.root, NULL), trees[i].json);
    }
}

static const struct {
    const char *yaml, *where, *what;
} wrong[] = {
    {"a: 1\nb: 2\na: 3", "f.yaml:3:1: ", "duplicate key \"a\" (first in line 1)"},
    {"a: {x: 1, \"x\": 2}", "f.yaml:1:11: ", "duplicate key \"x\""},
    {"a: 1\n---\nb: 2", "f.yaml:2:1: ", "second document"},
    {"1: a", "f.yaml:1:1: ", "a number"},
    {"x:\n  true: a", "f.yaml:2:3: ", "a boolean"},
    {"~: a", "f.yaml:1:1: ", "null"},
    {"[a]: b", "f.yaml:1:1: ", "a key must be a string"},
    {"? {a: b}\n: c", "f.yaml:1:3: ", "a key must be a string"},
    {"a: &x b\n*x : c", "f.yaml:2:1: ", "alias cannot be a key"},
    {"a: *nope", "f.yaml:1:4: ", "no anchor &nope"},
    {"a: &x\n  b: *x", "f.yaml:2:6: ", "would contain itself"},
    {"a: &x [1, *x]", "f.yaml:1:11: ", "would contain itself"},
    {"<<: 1", "f.yaml:1:5: ", "<< takes"},
    {"<<: [1]", "f.yaml:1:6: ", "<< takes"},
    {"a: !!int x", "f.yaml:1:10: ", "does not fit"},
    {"a: !!int", "f.yaml:1:1: ", "does not fit"},
    {"b:\n  a: {x: !!int }", "f.yaml:2:7: ", "does not fit"},
    {"a: !vault x", "f.yaml:1:11: ", "does not fit"},
    {"a: [1, 2", "f.yaml:", ""},
    {"a: \"x", "f.yaml:", ""},
    {"a: b: c", "f.yaml:1:", ""},
    {"a:\n\t- b", "f.yaml:2:", ""},
    {"a: 'x\n", "f.yaml:", ""},
    {"a: \xff\xfe", "f.yaml:1:4: ", "byte 0xff: not UTF-8"},
    {"a: b\nc: x\x01", "f.yaml:2:5: ", "byte 0x01"},
    {"a: \xc0\x80", "f.yaml:1:4: ", "byte 0xc0"},
    {"a: \xed\xa0\x80", "f.yaml:1:4: ", "byte 0xed"},
    {"a: \xf5\x80\x80\x80", "f.yaml:1:4: ", "byte 0xf5"},
    {"a: \xe2\x82", "f.yaml:1:4: ", "byte 0xe2"},
    {"a: \"\\ud800\"", "f.yaml:1:", ""},
    {"\"a\\0b\": c", "f.yaml:1:1: ", "NUL"},
    {"a: b\n c: d", "f.yaml:1:4: ", "multiline plain key"},
    {"a: @x", "f.yaml:1:", ""},
};

static void test_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        AUTO_ARENA a = arena_new();
        struct yaml_doc d = {.file = "untouched"};
        struct err e = {0};
        if (parse(a, wrong[i].yaml, false, &d, &e) >= 0)
            fail_msg("row %zu <%s> was accepted as %s", i, wrong[i].yaml,
                     json_mut_write(a, d.root, NULL));
        if (!str_starts(e.msg, wrong[i].where) || !strstr(e.msg, wrong[i].what))
            fail_msg("row %zu <%s>: %s", i, wrong[i].yaml, e.msg);
        assert_string_equal(d.file, "untouched");
    }
}

static void test_positions(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct yaml_doc d;
    struct err e;
    const char *text = "clusters:\n  a: {context: x}\nlist:\n  - é: y\n    k: &v z\n  - *v\n";
    assert_int_equal(parse(a, text, false, &d, &e), 0);
    yyjson_mut_val *clusters = yyjson_mut_obj_get(d.root, "clusters");
    yyjson_mut_val *list = yyjson_mut_obj_get(d.root, "list");
    yyjson_mut_val *second = yyjson_mut_arr_get(list, 0);
    yyjson_mut_obj_iter it = yyjson_mut_obj_iter_with(second);
    const yyjson_mut_val *key = yyjson_mut_obj_iter_next(&it);
    const struct {
        const yyjson_mut_val *v;
        unsigned line, column;
    } rows[] = {
        {d.root, 1, 1},
        {clusters, 2, 3},
        {json_mut_get(clusters, "a"), 2, 6},
        {json_mut_get(clusters, "a", "context"), 2, 16},
        {list, 4, 3},
        {key, 4, 5},
        {json_mut_get(second, "é"), 4, 8},
        {json_mut_get(second, "k"), 5, 11},
        {yyjson_mut_arr_get(list, 1), 5, 11}, /* an alias: where its value is written */
        {yyjson_mut_int(d.doc, 1), 0, 0},     /* added later */
        {NULL, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct yaml_mark m = yaml_where(&d, rows[i].v);
        if (m.line != rows[i].line || m.column != rows[i].column)
            fail_msg("row %zu: %u:%u, expected %u:%u", i, m.line, m.column, rows[i].line,
                     rows[i].column);
    }
}

static void test_expand(void **state) {
    (void)state;
    setenv("TANDEM_T1", "one", 1);
    setenv("TANDEM_EMPTY", "", 1);
    setenv("TANDEM_BAD", "\xff", 1);
    unsetenv("TANDEM_NONE");
    static const struct {
        const char *yaml, *json, *error;
    } rows[] = {
        {"a: ${TANDEM_T1}", "{\"a\":\"one\"}", NULL},
        {"a: x-${TANDEM_T1}-${TANDEM_T1}y", "{\"a\":\"x-one-oney\"}", NULL},
        {"a: '${TANDEM_T1}'", "{\"a\":\"one\"}", NULL},
        {"a: |\n  ${TANDEM_T1}\n", "{\"a\":\"one\\n\"}", NULL},
        {"[\"${TANDEM_EMPTY}\"]", "[\"\"]", NULL},
        {"a: $${TANDEM_T1}", "{\"a\":\"${TANDEM_T1}\"}", NULL},
        {"a: $TANDEM_T1 $ $$ {", "{\"a\":\"$TANDEM_T1 $ $$ {\"}", NULL},
        {"${TANDEM_T1}: a", "{\"${TANDEM_T1}\":\"a\"}", NULL},
        {"# ${TANDEM_NONE}\na: 1", "{\"a\":1}", NULL},
        {"x: 1\na: ${TANDEM_NONE}", NULL,
         "f.yaml:2:4: environment variable TANDEM_NONE is not set"},
        {"a: ${TANDEM_T1:-x}", NULL, "f.yaml:1:4: \"${\" must be followed"},
        {"a: ${", NULL, "f.yaml:1:4: \"${\" must be followed"},
        {"a: ${TANDEM_T1", NULL, "f.yaml:1:4: \"${\" must be followed"},
        {"a: '${}'", NULL, "f.yaml:1:4: \"${\" must be followed"},
        {"a: ${TANDEM_BAD}", NULL, "not UTF-8"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct yaml_doc d;
        struct err e = {0};
        int r = parse(a, rows[i].yaml, true, &d, &e);
        if ((r < 0) != (rows[i].error != NULL))
            fail_msg("row %zu: %d %s", i, r, e.msg);
        if (r < 0 && !strstr(e.msg, rows[i].error))
            fail_msg("row %zu: %s", i, e.msg);
        if (r == 0)
            assert_string_equal(json_mut_write(a, d.root, NULL), rows[i].json);
    }
}

static char *repeat(struct arena *a, const char *open, size_t n, const char *middle,
                    const char *close) {
    AUTO_SB b = SB_INIT(32 << 20);
    for (size_t i = 0; i < n; i++)
        sb_str(&b, open);
    sb_str(&b, middle);
    for (size_t i = 0; i < n; i++)
        sb_str(&b, close);
    return arena_strdup(a, sb_get(&b));
}

static void test_depth(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct yaml_doc d;
    struct err e;
    assert_int_equal(parse(a, repeat(a, "[", 60, "1", "]"), false, &d, &e), 0);
    assert_true(parse(a, repeat(a, "[", 70, "1", "]"), false, &d, &e) < 0);
    assert_true(parse(a, repeat(a, "{a: ", 70, "1", "}"), false, &d, &e) < 0);
    assert_true(parse(a, repeat(a, "- ", 70, "1", ""), false, &d, &e) < 0);
    assert_non_null(strstr(e.msg, "deeper than 64"));
    assert_true(parse(a, repeat(a, "[", 100000, "1", "]"), false, &d, &e) < 0);
    /* each line one level deeper, though none of them nests */
    AUTO_SB b = SB_INIT(1 << 16);
    sb_str(&b, "a0: &a0 [1]\n");
    for (int i = 1; i < 70; i++)
        sb_fmt(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    assert_true(parse(a, sb_get(&b), false, &d, &e) < 0);
    assert_non_null(strstr(e.msg, "deeper than 64"));
}

static void test_billion_laughs(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    AUTO_SB b = SB_INIT(1 << 16);
    sb_str(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        sb_fmt(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            sb_fmt(&b, "%s*a%d", k ? "," : "", i - 1);
        sb_str(&b, "]\n");
    }
    struct yaml_doc d;
    struct err e;
    assert_true(parse(a, sb_get(&b), false, &d, &e) < 0);
    assert_non_null(strstr(e.msg, "more than 1000000 values"));
}

static void test_size(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    size_t n = (16u << 20) + 1;
    char *text = xmalloc(n);
    memset(text, ' ', n);
    struct yaml_doc d;
    struct err e;
    assert_int_equal(yaml_parse(a, "f.yaml", text, n, false, &d, &e), -EFBIG);
    xfree(text);
    assert_int_equal(yaml_load(a, "/nonexistent/f.yaml", false, &d, &e), -ENOENT);
    assert_non_null(strstr(e.msg, "/nonexistent/f.yaml"));
}

static void test_values_are_not_quoted(void **state) {
    (void)state;
    static const char *const rows[] = {
        "token: hunter2\ntoken: hunter2",
        "token: !!int hunter2",
        "token: \"hunter2",
        "token: hunter2: x",
        "token: [hunter2",
        "hunter2",
    };
    for (size_t i = 0; i + 1 < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct yaml_doc d;
        struct err e = {0};
        assert_true(parse(a, rows[i], false, &d, &e) < 0);
        assert_null(strstr(e.msg, "hunter2"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),     cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_positions), cmocka_unit_test(test_expand),
        cmocka_unit_test(test_depth),     cmocka_unit_test(test_billion_laughs),
        cmocka_unit_test(test_size),      cmocka_unit_test(test_values_are_not_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
