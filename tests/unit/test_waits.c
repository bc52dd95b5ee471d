/* Who waits for whom: rows of "these are on their way, may that one go?". */
#include "lab.h"

#include "base/str.h"
#include "migrate/waits.h"

enum {
    NONE,
    SPACE,
    CLASS,
    MAP_A,
    MAP_B,
    ACCOUNT_A,
    SECRET_A,
    SERVICE_A,
    RUN_A,
    RUN_B,
    WIDGET_A,
    QUOTA_B,
    HOOK,
    OBJECTS
};

static const struct {
    const char *api, *kind, *ns;
} objects[OBJECTS] = {
    [SPACE] = {"v1", "Namespace", NULL},
    [CLASS] = {"scheduling.k8s.io/v1", "PriorityClass", NULL},
    [MAP_A] = {"v1", "ConfigMap", "a"},
    [MAP_B] = {"v1", "ConfigMap", "b"},
    [ACCOUNT_A] = {"v1", "ServiceAccount", "a"},
    [SECRET_A] = {"v1", "Secret", "a"},
    [SERVICE_A] = {"v1", "Service", "a"},
    [RUN_A] = {"apps/v1", "Deployment", "a"},
    [RUN_B] = {"apps/v1", "Deployment", "b"},
    [WIDGET_A] = {"example.com/v1", "Widget", "a"},
    [QUOTA_B] = {"v1", "ResourceQuota", "b"},
    [HOOK] = {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", NULL},
};

static struct world *world_of_all(struct arena *a) {
    AUTO_SB text = SB_INIT(0);
    for (size_t i = SPACE; i < OBJECTS; i++)
        sb_fmt(&text,
               "%s{'apiVersion':'%s','kind':'%s','metadata':{'name':'o%zu','uid':'u%zu'%s%s%s}}",
               text.len ? "," : "", objects[i].api, objects[i].kind, i, i,
               objects[i].ns ? ",'namespace':'" : "", objects[i].ns ? objects[i].ns : "",
               objects[i].ns ? "'" : "");
    return lab_world(a, NULL, arena_printf(a, "[%s]", sb_get(&text)), "[]", NULL);
}

static struct object *at(struct world *w, int which) {
    return world_at(w, (size_t)which - 1);
}

static const struct {
    const char *name;
    int on_the_way[3], expected; /* a Service that is still to come */
    int may;
    bool clear;
} rows[] = {
    {"nothing on its way", {NONE}, NONE, RUN_A, true},
    {"what it may name", {MAP_A}, NONE, RUN_A, false},
    {"the same of another namespace", {MAP_B}, NONE, RUN_A, true},
    {"a class, for all namespaces", {CLASS}, NONE, RUN_A, false},
    {"another of its own wave", {SECRET_A}, NONE, MAP_A, true},
    {"an earlier and one of its own wave", {ACCOUNT_A, MAP_A}, NONE, SECRET_A, false},
    {"a wave that names nothing", {SPACE}, NONE, CLASS, true},
    {"the namespace's Service, not sent yet", {NONE}, SERVICE_A, RUN_A, false},
    {"the Service of another namespace", {NONE}, SERVICE_A, RUN_B, true},
    {"Services do not keep accounts waiting", {NONE}, SERVICE_A, SECRET_A, true},
    {"a Service waits for nothing", {MAP_A, CLASS}, NONE, SERVICE_A, true},
    {"custom resource after what it may name", {SECRET_A}, NONE, WIDGET_A, false},
    {"quota after what runs there", {RUN_B}, NONE, QUOTA_B, false},
    {"quota beside what runs elsewhere", {RUN_A}, NONE, QUOTA_B, true},
    {"webhook after everything", {RUN_B}, NONE, HOOK, false},
    {"webhook after every Service", {NONE}, SERVICE_A, HOOK, false},
};

static void each_row(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = world_of_all(a);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct waits *ws = waits_new(w);
        const int *v = rows[i].on_the_way;
        for (size_t k = 0; k < COUNT_OF(rows[i].on_the_way) && v[k]; k++)
            waits_handed(ws, at(w, v[k]));
        if (rows[i].expected)
            waits_expect(ws, at(w, rows[i].expected));
        if (waits_clear(ws, at(w, rows[i].may)) != rows[i].clear)
            fail_msg("%s", rows[i].name);
        for (size_t k = 0; k < COUNT_OF(rows[i].on_the_way) && v[k]; k++)
            waits_answered(ws, at(w, v[k]));
        if (rows[i].expected)
            waits_answered(ws, at(w, rows[i].expected));
        if (!waits_clear(ws, at(w, rows[i].may)))
            fail_msg("%s: not clear when all is answered", rows[i].name);
        waits_free(ws);
    }
    world_free(w);
}

/* Answers of an earlier wave that come late must not be taken for those of the present one. */
static void late_answers(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = world_of_all(a);
    struct waits *ws = waits_new(w);
    waits_handed(ws, at(w, ACCOUNT_A));
    waits_handed(ws, at(w, MAP_A));
    waits_answered(ws, at(w, MAP_A));
    assert_false(waits_clear(ws, at(w, SECRET_A)));
    waits_answered(ws, at(w, ACCOUNT_A));
    assert_true(waits_clear(ws, at(w, SECRET_A)));
    waits_free(ws);
    world_free(w);
}

/* What failed in this round, and what may then not be written before it is tried again. */
static void held_back(void **state UNUSED) {
    static const struct {
        const char *name;
        int failed, what;
        bool back;
    } cases[] = {
        {"a quota and what runs there", RUN_B, QUOTA_B, true},
        {"a quota and what runs elsewhere", RUN_A, QUOTA_B, false},
        {"a quota and a class", CLASS, QUOTA_B, false},
        {"a webhook and what runs somewhere", RUN_A, HOOK, true},
        {"a webhook and a class", CLASS, HOOK, true},
        {"a webhook and a quota", QUOTA_B, HOOK, false},
        {"what refuses nothing", RUN_A, WIDGET_A, false},
    };
    AUTO_ARENA a = arena_new();
    struct world *w = world_of_all(a);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct waits *ws = waits_new(w);
        waits_failed(ws, at(w, cases[i].failed));
        if (waits_held_back(ws, at(w, cases[i].what)) != cases[i].back)
            fail_msg("%s", cases[i].name);
        waits_forget_failures(ws);
        assert_false(waits_held_back(ws, at(w, cases[i].what)));
        waits_free(ws);
    }
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(late_answers),
        cmocka_unit_test(held_back),
    };
    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
