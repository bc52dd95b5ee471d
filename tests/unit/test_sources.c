/* What claims are filled from, looked for in two scripted clusters. */
#include "kube_bench.h"

#include "lab.h"
#include "migrate/sources.h"
#include "migrate/world_impl.h"

#define SNAPS "snapshot.storage.k8s.io"
#define RESOURCE(plural, kind)                                                                     \
    "{\"resource\":\"" plural "\",\"responseKind\":{\"kind\":\"" kind                              \
    "\"},\"scope\":\"Namespaced\",\"singularResource\":\"x\",\"verbs\":[\"get\",\"list\"]}"
#define GROUP(name, version, resources)                                                            \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"" name               \
    "\"},\"versions\":[{\"version\":\"" version "\",\"resources\":[" resources "]}]}]}"
#define BODY(name, more) "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\"" more "}}"
#define DENIED           "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no reading\"}"
#define PATH             "GET /apis/" SNAPS "/v1/namespaces/n/volumesnapshots/"
#define ROW(want, status, body)                                                                    \
    { want, status, body, NULL, API_WHOLE, 0, 0 }
#define DISCOVERY                                                                                  \
    ROW("GET /api ", 200,                                                                          \
        GROUP("", "v1", RESOURCE("persistentvolumeclaims", "PersistentVolumeClaim"))),             \
        ROW("GET /apis ", 200, GROUP(SNAPS, "v1", RESOURCE("volumesnapshots", "VolumeSnapshot")))

static const struct api_row a_rows[] = {
    DISCOVERY,
    ROW(PATH "in-a", 200, BODY("in-a", "")),
    ROW(PATH "going", 200, BODY("going", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"")),
    ROW(PATH "skipped", 200, BODY("skipped", "")),
    ROW(PATH "hidden", 403, DENIED),
};
static const struct api_row b_rows[] = {
    DISCOVERY,
    ROW(PATH "in-b", 200, BODY("in-b", "")),
    ROW("GET /api/v1/namespaces/n/persistentvolumeclaims/first", 200, BODY("first", "")),
};

static const struct {
    const char *group, *kind, *name;
    bool there;
    unsigned asked; /* of the two */
} cases[] = {
    {SNAPS, "VolumeSnapshot", "in-a", true, 2},      {SNAPS, "VolumeSnapshot", "in-b", true, 1},
    {SNAPS, "VolumeSnapshot", "gone", false, 2},     {SNAPS, "VolumeSnapshot", "going", false, 2},
    {SNAPS, "VolumeSnapshot", "skipped", false, 2},  {SNAPS, "VolumeSnapshot", "hidden", true, 2},
    {"", "PersistentVolumeClaim", "first", true, 1}, {"x.io", "Filler", "of-no-kind", false, 0},
};

static void every_case(void **state UNUSED) {
    static const struct user_rule rule = {
        .kind = "VolumeSnapshot", .name = "skipped", .verdict = "skip"};
    struct bench a = BENCH(a_rows), b = BENCH(b_rows);
    struct err e = {0};
    struct world_opts o = {.src = a.c, .dst = b.c, .rules = &rule, .n_rules = 1};
    struct world *w = lab_world(a.a, &o, "[]", "[]", NULL);
    expect(0, kube_discover(a.c, &w->dsrc, &e), &e);
    expect(0, kube_discover(b.c, &w->ddst, &e), &e);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int twice = 0; twice < 2; twice++)
            if (sources_there(w, cases[i].group, cases[i].kind, "n", cases[i].name) !=
                cases[i].there)
                fail_msg("%s", cases[i].name);
        const char *end = arena_printf(a.a, "/%s ", cases[i].name);
        unsigned asked = api_count(a.api, end) + api_count(b.api, end);
        if (asked != cases[i].asked)
            fail_msg("%s: asked %u times", cases[i].name, asked);
    }
    const char *const *warnings = world_warnings(w);
    assert_non_null(strstr(warnings[0], "claims keep the source VolumeSnapshot n/hidden"));
    assert_null(warnings[1]);
    world_free(w);
    bench_free(&a);
    bench_free(&b);
}

/* From bodies at hand: what neither has is not there. */
static void offline(void **state UNUSED) {
#define CLAIM(name, from)                                                                          \
    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'" name                  \
    "','namespace':'n'},'spec':{'dataSource':{'kind':'PersistentVolumeClaim','name':'" from "'}}}"
    static const char *const from[] = {"first", "second", "gone"};
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        const char *claim = arena_printf(a, CLAIM("c", "%s"), from[i]);
        struct world *w =
            lab_world(a, NULL, arena_printf(a, "[%s," CLAIM("first", "gone") "]", claim),
                      "[" CLAIM("second", "gone") "]", NULL);
        yyjson_val *body = lab_json(a, claim);
        yyjson_mut_val *root = NULL;
        struct err e = {0};
        expect(0, world_trial(w, lab_find(w, body), body, json_doc(a), &root, &e), &e);
        assert_int_equal(json_mut_get(root, "spec", "dataSource") != NULL, i < 2);
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(offline),
    };
    return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
