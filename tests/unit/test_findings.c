/* Lists of findings, and the words that the looks go by. */
#include "lab.h"

#include "migrate/hazards_impl.h"

static struct finding *of(struct findings *l, const char *id, enum severity sev, const char *kind,
                          const char *name) {
    struct finding *f = findings_add(l, id, sev, "w", "t", "r");
    f->kind = kind;
    f->ns = kind ? "shop" : NULL;
    f->name = name;
    return f;
}

static void sorted_and_counted(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct findings l;
    findings_init(&l, a);
    of(&l, "H10-x", SEV_INFO, "Service", "a");
    of(&l, "H9-x", SEV_INFO, "Service", "b");
    of(&l, "H6-x", SEV_WARNING, "Service", "c");
    of(&l, "access", SEV_BLOCKER, NULL, NULL);
    of(&l, "H9-x", SEV_INFO, "Service", "d");
    findings_sort(&l);
    static const char *const want[] = {NULL, "c", "b", "d", "a"};
    size_t i = 0;
    for (const struct finding *f = l.first; f; f = f->next)
        assert_true(str_eq(f->name, want[i++]));
    assert_int_equal(i, COUNT_OF(want));
    of(&l, "H11-x", SEV_INFO, "Service", "last"); /* the list can go on */
    const struct silence rows[] = {{"H9-x", "Serv*", "b", "shop", "one"},
                                   {"H9-x", NULL, NULL, NULL, "two"},
                                   {"access", "Service", NULL, NULL, "needs an object"},
                                   {"H6-x", NULL, NULL, "other", "elsewhere"}};
    findings_silence(&l, rows, COUNT_OF(rows));
    size_t count[SEV_COUNT], silenced;
    findings_count(&l, count, &silenced);
    assert_int_equal(silenced, 2);
    assert_int_equal(count[SEV_BLOCKER], 1);
    assert_int_equal(count[SEV_WARNING], 1);
    assert_int_equal(count[SEV_INFO], 2);
    for (const struct finding *f = l.first; f; f = f->next)
        if (str_eq(f->id, "H9-x"))
            assert_string_equal(f->silenced, str_eq(f->name, "b") ? "one" : "two");
}

static void quantities(void **state UNUSED) {
    static const struct {
        const char *text;
        double is;
    } t[] = {{"'1'", 1},        {"'250m'", 0.25}, {"'1Gi'", 1073741824.0},
             {"'1k'", 1000},    {"'1e3'", 1000},  {"'1E'", 1e18},
             {"'2.5M'", 2.5e6}, {"7", 7},         {"'1000000n'", 1e-3},
             {"'5Zi'", 0},      {"true", 0}};
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        AUTO_ARENA a = arena_new();
        double q = quantity_of(lab_json(a, t[i].text));
        if (q < t[i].is * 0.999999 || q > t[i].is * 1.000001)
            fail_msg("%s is %f", t[i].text, q);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_and_counted),
        cmocka_unit_test(quantities),
    };
    return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
