/* Uids in 16 bytes, sets of them, and records found without a stored key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "migrate/index.h"

static const struct {
    const char *text;
    bool uuid;
} texts[] = {
    {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", true},
    {"ffffffff-ffff-ffff-ffff-ffffffffffff", true},
    {"00000000-0000-0000-0000-000000000001", true},
    {"00000000-0000-0000-0000-000000000000", false}, /* those bits mean "none" */
    {"6BA7B810-9DAD-11D1-80B4-00C04FD430C8", false}, /* would come back in another case */
    {"6ba7b810-9dad-11d1-80b4-00c04fd430c", false},
    {"6ba7b810-9dad-11d1-80b4-00c04fd430c88", false},
    {"6ba7b8109dad-11d1-80b4-00c04fd430c8-", false},
    {"6ba7b810-9dad-11d1-80b4-00c04fd430cg", false},
    {"u-1", false},
    {"x", false},
};

static void texts_come_back(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char out[UID_TEXT_MAX];
        struct uid u = uid_of(texts[i].text);
        assert_true(uid_given(u));
        assert_int_equal(uid_is_uuid(texts[i].text), texts[i].uuid);
        assert_int_equal(str_eq(uid_text(u, out), texts[i].text), texts[i].uuid);
        for (size_t k = 0; k < COUNT_OF(texts); k++)
            assert_int_equal(uid_same(u, uid_of(texts[k].text)), i == k);
    }
    assert_false(uid_given(uid_of(NULL)));
    assert_false(uid_given(uid_of("")));
}

static void sets_have_what_was_added(void **state UNUSED) {
    struct uid_set s = {0};
    char name[32];
    assert_false(uid_set_has(&s, uid_of("u-0")));
    for (size_t i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "u-%zu", i * 7 % 1000);
        uid_set_add(&s, uid_of(name));
    }
    uid_set_sort(&s);
    for (size_t i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "u-%zu", i);
        assert_int_equal(uid_set_has(&s, uid_of(name)), i < 1000);
    }
    uid_set_done(&s);
}

enum { RECORDS = 3000 };

static void records_are_found(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    static const struct kube_resource r[] = {{.group = "", .kind = "Secret"},
                                             {.group = "apps", .kind = "Deployment"}};
    const struct kind k[] = {{.src = &r[0]}, {.src = &r[1]}};
    struct object **v = arena_array(a, struct object *, RECORDS);
    struct index by_ref = {0}, by_uid = {0};
    assert_null(index_find_ref(&by_ref, "", "Secret", "n", "x"));
    assert_null(index_find_uid(&by_uid, uid_of("u")));
    for (size_t i = 0; i < RECORDS; i++) {
        v[i] = arena_new_of(a, struct object);
        *v[i] = (struct object){.kind = &k[i % 2],
                                .ns = i % 3 ? "shop" : "",
                                .name = arena_printf(a, "o-%zu", i / 2),
                                .uid_src = uid_of(arena_printf(a, "u-%zu", i))};
    }
    v[7]->uid_src = v[5]->uid_src; /* one object under two API groups: the later counts */
    v[9]->uid_src = (struct uid){0};
    index_by_ref(&by_ref, v, RECORDS);
    index_by_uid(&by_uid, v, RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        const struct kube_resource *x = v[i]->kind->src;
        assert_ptr_equal(index_find_ref(&by_ref, x->group, x->kind, v[i]->ns, v[i]->name), v[i]);
        assert_ptr_equal(index_find_uid(&by_uid, v[i]->uid_src), i == 5   ? v[7]
                                                                 : i == 9 ? NULL
                                                                          : v[i]);
    }
    assert_null(index_find_ref(&by_ref, "", "Secret", "shop", "o-none"));
    assert_null(index_find_ref(&by_ref, "apps", "Secret", "shop", v[2]->name));
    assert_null(index_find_ref(&by_ref, "", "Secret", "other", v[2]->name));
    assert_null(index_find_uid(&by_uid, uid_of("u-none")));
    index_done(&by_ref);
    index_done(&by_uid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(sets_have_what_was_added),
        cmocka_unit_test(records_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
