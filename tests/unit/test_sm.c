#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/sm.h"
#include "base/str.h"

/* The stages of a run in their order, as the machine has to carry them. */
enum { PREFLIGHT, MIGRATE, FOLLOW, TEST, ACTIVATE, SWITCH, BAKE, RETIRE, N_STATES };

static const struct sm_state states[] = {
    [PREFLIGHT] = {"preflight", "nothing was written"},
    [MIGRATE] = {"migrate", "objects are made in the destination"},
    [FOLLOW] = {"follow", "the destination is kept in step"},
    [TEST] = {"test", "the destination is tried out"},
    [ACTIVATE] = {"activate", "singletons act in the destination"},
    [SWITCH] = {"switch", "traffic moves"},
    [BAKE] = {"bake", "the source waits for switch-back"},
    [RETIRE] = {"retire", "the source is taken off"},
};

static const struct sm_move moves[] = {
    {PREFLIGHT, MIGRATE, "migrate", "no-blockers", "unmigrate", "begins to write"},
    {MIGRATE, FOLLOW, "follow", NULL, "unmigrate", "all is there"},
    {MIGRATE, PREFLIGHT, "unmigrate", "no-live-traffic", "migrate", "takes back"},
    {FOLLOW, PREFLIGHT, "unmigrate", "no-live-traffic", "migrate", "takes back"},
    {FOLLOW, TEST, "test", NULL, "follow", "tries"},
    {TEST, FOLLOW, "follow", NULL, "test", "once more"},
    {TEST, ACTIVATE, "activate", "tests-passed", "deactivate", "hands over"},
    {ACTIVATE, TEST, "deactivate", NULL, "activate", "hands back"},
    {ACTIVATE, SWITCH, "cutover", "destination-ready", "switch-back", "moves traffic"},
    {SWITCH, FOLLOW, "switch-back", NULL, "test", "the whole way back"},
    {SWITCH, BAKE, "bake", NULL, "switch-back", "all traffic moved"},
    {BAKE, FOLLOW, "switch-back", NULL, "test", "the whole way back"},
    {BAKE, RETIRE, "retire", "source-idle", NULL, "the source is gone"},
};

static const struct sm_table run = {"run", states, N_STATES, moves, COUNT_OF(moves)};

/* --- moving --- */

/* The guard named by ctx does not agree, all others do. */
static int one_refuses(void *ctx, const char *name, struct err *e) {
    return str_eq(ctx, name) ? err_set(e, -EREMOTEIO, "3 checks failed") : 0;
}

static void test_moves(void **state) {
    static const struct {
        int from, to;
        const char *refuses;
        int code;
        const char *says;
    } rows[] = {
        {PREFLIGHT, MIGRATE, NULL, 0, ""},
        {PREFLIGHT, MIGRATE, "no-blockers", -EREMOTEIO,
         "the run cannot go from preflight to migrate: no-blockers: 3 checks failed"},
        {PREFLIGHT, MIGRATE, "source-idle", 0, ""}, /* another row's guard */
        {PREFLIGHT, SWITCH, NULL, -EGUARD,
         "the run is at preflight and cannot go to switch from there; it can go to migrate "
         "(migrate)"},
        {TEST, SWITCH, NULL, -EGUARD, "it can go to follow (follow), activate (activate)"},
        {TEST, TEST, NULL, -EGUARD, "cannot go to test"},
        {ACTIVATE, TEST, NULL, 0, ""},
        {SWITCH, FOLLOW, NULL, 0, ""},
        {BAKE, FOLLOW, NULL, 0, ""},
        {BAKE, RETIRE, "source-idle", -EREMOTEIO, "source-idle"},
        {BAKE, RETIRE, NULL, 0, ""},
        {RETIRE, FOLLOW, NULL, -EGUARD, "this is its end"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sm m = {&run, rows[i].from, one_refuses, (void *)rows[i].refuses};
        struct err may = {0}, did = {0};
        int r = sm_may(&m, rows[i].to, &may);
        assert_int_equal(m.state, rows[i].from);
        if (r != rows[i].code || sm_move(&m, rows[i].to, &did) != r ||
            !strstr(did.msg, rows[i].says) || !str_eq(may.msg, did.msg))
            fail_msg("row %zu: %d %s", i, r, may.msg);
        assert_int_equal(m.state, r < 0 ? rows[i].from : rows[i].to);
    }
}

static void test_no_guard_function(void **state) {
    struct sm m = {.table = &run};
    (void)state;
    for (int i = MIGRATE; i <= RETIRE; i++)
        assert_int_equal(sm_move(&m, i, NULL), 0);
    assert_string_equal(sm_name(&m), "retire");
}

static void test_names(void **state) {
    (void)state;
    for (int i = 0; i < N_STATES; i++)
        assert_int_equal(sm_find(&run, states[i].name), i);
    assert_int_equal(sm_find(&run, "nowhere"), -1);
    assert_int_equal(sm_find(&run, NULL), -1);
    assert_string_equal(sm_row(&run, TEST, ACTIVATE)->undo, "deactivate");
    assert_null(sm_row(&run, BAKE, RETIRE)->undo);
    assert_null(sm_row(&run, RETIRE, BAKE));
}

/* --- is the table sound? --- */

static void test_check(void **state) {
    static const struct sm_state good[] = {{"x", "w"}, {"y", "w"}, {"z", "w"}};
    static const struct sm_state twice[] = {{"x", "w"}, {"y", "w"}, {"x", "w"}};
    static const struct sm_state unnamed[] = {{"x", "w"}, {"", "w"}, {"z", "w"}};
    static const struct sm_state no_why[] = {{"x", "w"}, {"y", NULL}, {"z", "w"}};
    static const struct {
        const struct sm_state *states;
        struct sm_move second;
        const char *says; /* NULL: sound */
    } rows[] = {
        {good, {1, 2, "b", NULL, NULL, "w"}, NULL},
        {good, {1, 2, "b", NULL, "c", "w"}, "no move called c leaves z"},
        {good, {1, 0, "b", NULL, "a", "w"}, "no move leads to z"},
        {good, {2, 1, "b", NULL, NULL, "w"}, "no move leads to z"},
        {good, {0, 1, "b", NULL, NULL, "w"}, "twice"},
        {good, {1, 1, "b", NULL, NULL, "w"}, "out of range"},
        {good, {1, 3, "b", NULL, NULL, "w"}, "out of range"},
        {good, {-1, 2, "b", NULL, NULL, "w"}, "out of range"},
        {good, {1, 2, "", NULL, NULL, "w"}, "no name"},
        {good, {1, 2, "b", NULL, NULL, ""}, "no why"},
        {twice, {1, 2, "b", NULL, NULL, "w"}, "state x of t is there twice"},
        {unnamed, {1, 2, "b", NULL, NULL, "w"}, "no name"},
        {no_why, {1, 2, "b", NULL, NULL, "w"}, "no why"},
    };
    struct err e = {0};
    (void)state;
    if (sm_check(&run, &e) < 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct sm_move two[] = {{0, 1, "a", NULL, NULL, "w"}, rows[i].second};
        const struct sm_table t = {"t", rows[i].states, 3, two, 2};
        e = (struct err){0};
        int r = sm_check(&t, &e);
        if (r != (rows[i].says ? -EINVAL : 0) || (rows[i].says && !strstr(e.msg, rows[i].says)))
            fail_msg("row %zu: %d %s", i, r, e.msg);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_no_guard_function),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
