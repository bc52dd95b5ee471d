/* Digests of leaf fields, the lists among them, and what an update notes of what it changes. */
#include "lab.h"

#include "base/clock.h"
#include "base/hash.h"
#include "migrate/hold.h"
#include "migrate/leaves.h"
#include "migrate/lists.h"
#include "migrate/previous.h"

static const uint8_t salt[LEAVES_SALT] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

#define CM(more)                                                                                   \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','namespace':'n'}" more "}"
#define POD(containers)                                                                            \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'x'},'spec':{'containers':[" containers    \
    "]}}"

/* The vectors of the paper's reference implementation: key 00..0f, input 00..len-1. */
static void sip_vectors(void **state) {
    (void)state;
    static const struct {
        size_t n;
        uint64_t want;
    } rows_[] = {{0, 0x726fdb47dd0e0e31u},
                 {1, 0x74f839c593dc67fdu},
                 {8, 0x93f5f5799a932462u},
                 {15, 0xa129ca6149be45e5u}};
    uint8_t in[16];
    for (uint8_t i = 0; i < 16; i++)
        in[i] = i;
    for (size_t i = 0; i < COUNT_OF(rows_); i++)
        assert_int_equal(hash_sip(0x0706050403020100u, 0x0f0e0d0c0b0a0908u, in, rows_[i].n),
                         rows_[i].want);
}

static void add_pointer(void *ctx, const char *pointer, enum leaf_fate fate) {
    struct sb *b = ctx;
    sb_fmt(b, "%s%s%s", b->len ? " " : "", fate == LEAF_OTHER ? "!" : "+", pointer);
}

static yyjson_mut_val *mut(struct arena *a, const char *quoted) {
    return yyjson_val_mut_copy(json_doc(a), lab_json(a, quoted));
}

static const char *against(struct arena *a, const char *was, const char *now) {
    struct leaves l;
    struct leaves_count c;
    AUTO_SB b = SB_INIT(0);
    assert_int_equal(leaves_read(salt, leaves_text(a, salt, mut(a, was)), &l, NULL), 0);
    leaves_compare(&l, mut(a, now), &c, add_pointer, &b);
    for (size_t i = 0; i < c.gone; i++)
        sb_str(&b, b.len ? " -" : "-");
    return arena_strdup(a, sb_get(&b));
}

/* "!" another value, "+" not written, "-" gone. */
static const struct {
    const char *name, *was, *now, *want;
} rows[] = {
    {"the same", CM(",'data':{'a':'1','b':'2'}"), CM(",'data':{'b':'2','a':'1'}"), ""},
    {"a value", CM(",'data':{'a':'1'}"), CM(",'data':{'a':'2'}"), "!/data/a"},
    {"a string is no number", CM(",'data':{'a':'1'}"), CM(",'data':{'a':1}"), "!/data/a"},
    {"nor a map", CM(",'data':{'a':'{}'}"), CM(",'data':{'a':{}}"), "!/data/a"},
    {"null is a value", CM(",'data':{'a':null}"), CM(",'data':{'a':'null'}"), "!/data/a"},
    {"added", CM(",'data':{'a':'1'}"), CM(",'data':{'a':'1','b':'1'}"), "+/data/b"},
    {"gone", CM(",'data':{'a':'1','b':'1'}"), CM(",'data':{'a':'1'}"), "-"},
    {"a value moves to another name", CM(",'data':{'a':'1'}"), CM(",'data':{'b':'1'}"),
     "+/data/b -"},
    {"an empty map is a leaf", CM(",'data':{}"), CM(""), "-"},
    {"identity and owners are none", CM(""),
     "{'apiVersion':'v2','kind':'X','metadata':{'name':'y','namespace':'m',"
     "'ownerReferences':[{'uid':'u'}]}}",
     ""},
    {"a name deeper down is", CM(",'data':{'name':'x'}"), CM(",'data':{'name':'y'}"),
     "!/data/name"},
    {"one element changes", POD("{'name':'a','image':'1'},{'name':'b','image':'1'}"),
     POD("{'name':'a','image':'1'},{'name':'b','image':'2'}"), "!/spec/containers/b/image"},
    {"one is put in front", POD("{'name':'a','image':'1'}"),
     POD("{'name':'sidecar','image':'9'},{'name':'a','image':'1'}"),
     "+/spec/containers/sidecar/name +/spec/containers/sidecar/image"},
    {"two of one name are one value", POD("{'name':'a'},{'name':'a'}"),
     POD("{'name':'a'},{'name':'b'}"), "+/spec/containers/a/name +/spec/containers/b/name -"},
    {"ports by number and protocol",
     POD("{'name':'a','ports':[{'containerPort':53,'protocol':'TCP'},"
         "{'containerPort':53,'protocol':'UDP'}]}"),
     POD("{'name':'a','ports':[{'containerPort':53,'protocol':'UDP'},"
         "{'containerPort':53,'protocol':'TCP','name':'t'}]}"),
     "+/spec/containers/a/ports/53 TCP/name"},
    {"a list of words is one value", POD("{'name':'a','args':['x','y']}"),
     POD("{'name':'a','args':['x','z']}"), "!/spec/containers/a/args"},
};

static void compares(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        const char *got = against(a, rows[i].was, rows[i].now);
        if (!str_eq(got, rows[i].want))
            fail_msg("%s: %s, wanted %s", rows[i].name, got, rows[i].want);
    }
}

static void another_salt_tells_nothing(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct leaves l;
    struct leaves_count c;
    yyjson_mut_val *body = mut(a, CM(",'data':{'password':'hunter2'}"));
    const uint8_t other[LEAVES_SALT] = {9};
    const char *text = leaves_text(a, salt, body);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "password"));
    assert_int_equal(leaves_read(other, text, &l, NULL), 0);
    leaves_compare(&l, body, &c, NULL, NULL);
    assert_int_equal(c.same, 0);
    assert_int_equal(c.gone, 1);
}

static void held_as_unheld(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    const char *cron = "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'x'},"
                       "'spec':{'schedule':'* * * * *','suspend':false}}";
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_val_mut_copy(d, lab_json(a, cron));
    struct kube_resource *r = lab_resource(a, "batch/v1", "CronJob");
    assert_true(hold_do(d, root, hold_row_of(r)));
    assert_string_equal(leaves_text(a, salt, root), leaves_text(a, salt, mut(a, cron)));
    assert_non_null(json_mut_str(root, "metadata", "annotations", HOLD_ANNOTATION));
}

/* Too many leaves: coarser ones, and a change still shows. */
static void many_leaves(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    AUTO_SB b = SB_INIT(0), c = SB_INIT(0);
    sb_str(&b, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'},'data':{'k':'v'");
    for (unsigned i = 0; i < 2 * LEAVES_MAX; i++)
        sb_fmt(&b, ",'k%u':'v'", i);
    sb_fmt(&c, "%s,'k':'v'}}", b.p);
    sb_str(&b, "}}");
    assert_true(strlen(leaves_text(a, salt, mut(a, b.p))) < 8 * LEAVES_MAX + 32);
    assert_string_equal(against(a, b.p, b.p), "");
    char *k = strstr(c.p, "'k700':'v'");
    k[8] = 'w';
    assert_string_equal(against(a, b.p, c.p), "!/data");
}

static void bad_texts(void **state) {
    (void)state;
    static const char *const bad[] = {"", "v1", "v1 ", "v1 _", "v1 _ abc", "v1 _ abcdefg!", " _ "};
    struct leaves l;
    struct err e = {0};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (leaves_read(salt, bad[i], &l, &e) >= 0)
            fail_msg("\"%s\" was read", bad[i]);
    assert_true(leaves_read(salt, NULL, &l, &e) < 0);
    assert_int_equal(leaves_read(salt, "v1 _ ", &l, &e), 0);
}

/* --- what an update notes --- */

static const struct {
    const char *name, *patch, *live, *want;
} undo[] = {
    {"a value", "{'data':{'a':'2'}}", "{'data':{'a':'1','b':'1'}}", "{\"data\":{\"a\":\"1\"}}"},
    {"one that was not there", "{'data':{'b':'2'}}", "{'data':{'a':'1'}}",
     "{\"data\":{\"b\":null}}"},
    {"one that is taken away", "{'data':{'a':null}}", "{'data':{'a':'1'}}",
     "{\"data\":{\"a\":\"1\"}}"},
    {"a whole member that was not there", "{'data':{'a':'1'}}", "{}", "{\"data\":null}"},
    {"a list", "{'l':[1]}", "{'l':[2,3]}", "{\"l\":[2,3]}"},
    {"a map in place of a value", "{'x':{'a':1}}", "{'x':5}", "{\"x\":5}"},
    {"never the version", "{'metadata':{'resourceVersion':'7','labels':{'a':'b'}}}",
     "{'metadata':{'resourceVersion':'7','labels':{}}}",
     "{\"metadata\":{\"labels\":{\"a\":null}}}"},
};

static void reverses(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(undo); i++) {
        AUTO_ARENA a = arena_new();
        const char *got = lab_mut_text(
            a, previous_reverse(json_doc(a), mut(a, undo[i].patch), mut(a, undo[i].live)));
        if (!str_eq(got, undo[i].want))
            fail_msg("%s: %s, wanted %s", undo[i].name, got, undo[i].want);
    }
}

static void earlier_wins(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *later = yyjson_val_mut_copy(d, lab_json(a, "{'data':{'a':'2','c':null}}"));
    yyjson_mut_val *first = yyjson_val_mut_copy(d, lab_json(a, "{'data':{'a':'1','b':null}}"));
    assert_string_equal(lab_mut_text(a, previous_over(d, later, first)),
                        "{\"data\":{\"a\":\"1\",\"b\":null,\"c\":null}}");
}

static void wrote_knows_its_values(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    yyjson_mut_val *patch = mut(a, "{'data':{'a':'2','gone':null},'l':[1]}");
    struct leaves l;
    const char *text = previous_wrote(a, salt, patch, mut(a, "{'data':{'a':'1'}}"));
    assert_int_equal(leaves_read(salt, previous_join(a, "- _ ", text), &l, NULL), 0);
    struct leaf_at data = leaves_in(&l, leaves_top(), "data");
    assert_int_equal(leaves_judge(&l, leaves_in(&l, data, "a"), mut(a, "'2'")), LEAF_SAME);
    assert_int_equal(leaves_judge(&l, leaves_in(&l, data, "a"), mut(a, "'3'")), LEAF_OTHER);
    assert_int_equal(leaves_judge(&l, leaves_in(&l, data, "gone"), mut(a, "null")), LEAF_SAME);
    assert_int_equal(leaves_judge(&l, leaves_in(&l, data, "gone"), NULL), LEAF_OTHER);
    assert_int_equal(leaves_judge(&l, leaves_in(&l, data, "x"), mut(a, "'2'")), LEAF_ABSENT);
    assert_int_equal(leaves_judge(&l, leaves_in(&l, leaves_top(), "l"), mut(a, "[1]")), LEAF_SAME);
}

static void lists_are_named(void **state) {
    (void)state;
    size_t n;
    const struct list_row *r = list_rows(&n);
    for (size_t i = 0; i < n; i++) {
        AUTO_ARENA a = arena_new();
        yyjson_mut_val *one = mut(a, arena_printf(a, "[{'%s':'x'}]", r[i].key));
        const struct list_row *got = list_keyed(r[i].field, one);
        if (got != &r[i])
            fail_msg("row %zu (%s by %s) cannot be reached", i, r[i].field, r[i].key);
        assert_null(list_keyed("unknown", one));
        assert_null(list_keyed(r[i].field, mut(a, "[{'other':'x'}]")));
        assert_null(list_keyed(r[i].field, mut(a, "[]")));
    }
}

/* It happens once for each of 100,000 objects: the size is bounded here, the time is shown. */
static void costs_little(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    AUTO_SB b = SB_INIT(0);
    sb_str(&b, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'},'data':{'k':'v'");
    for (unsigned i = 0; i < 40; i++)
        sb_fmt(&b, ",'key-%u':'a value of some forty characters, as they are'", i);
    sb_str(&b, "}}");
    yyjson_mut_val *body = mut(a, b.p);
    AUTO_ARENA t = arena_new();
    enum { TIMES = 20000 };
    uint64_t start = clock_cpu_ms();
    size_t n = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        arena_reset(t);
        n = strlen(leaves_text(t, salt, body));
    }
    double us = (double)(clock_cpu_ms() - start) * 1000 / TIMES;
    print_message("41 leaves: %.1f us of CPU, %zu bytes\n", us, n);
    assert_true(n < 41 * 8 + 16);
}

static void unions(void **state UNUSED) {
    static const struct {
        const char *field, *want, *have, *both;
    } both[] = {
        {"imagePullSecrets", "[{'name':'a'}]", "[{'name':'b'}]", "[{'name':'b'},{'name':'a'}]"},
        {"imagePullSecrets", "[{'name':'a','x':1}]", "[{'name':'a','x':2,'y':2},{'name':'b'}]",
         "[{'name':'a','x':1,'y':2},{'name':'b'}]"},
        {"imagePullSecrets", "[{'name':'a'}]", "[]", "[{'name':'a'}]"},
        {"imagePullSecrets", "[{'name':'a'},{'name':'b'}]", "[{'name':'b'},{'name':'a'}]",
         "[{'name':'b'},{'name':'a'}]"},
        {"imagePullSecrets", "[{'name':'a'},{'name':'a'}]", "[{'name':'a'}]", "[{'name':'a'}]"},
        {"words", "['a','b']", "['c','b']", "['c','b','a']"},
        {"words", "[]", "['c']", "['c']"},
    };
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_mut_val *got =
            list_union(json_doc(a), both[i].field, mut(a, both[i].want), mut(a, both[i].have));
        assert_string_equal(lab_mut_text(a, got), lab_text(a, lab_json(a, both[i].both)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sip_vectors),
        cmocka_unit_test(compares),
        cmocka_unit_test(another_salt_tells_nothing),
        cmocka_unit_test(held_as_unheld),
        cmocka_unit_test(many_leaves),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(reverses),
        cmocka_unit_test(earlier_wins),
        cmocka_unit_test(wrote_knows_its_values),
        cmocka_unit_test(lists_are_named),
        cmocka_unit_test(costs_little),
        cmocka_unit_test(unions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
