/* What a destination is asked before anything is written, against a scripted one. */
#include "kube_bench.h"

#include "lab.h"
#include "migrate/dryrun.h"
#include "migrate/world_impl.h"

#define CORE                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{},\"versions\":[{\"version\":"  \
    "\"v1\",\"resources\":[{\"resource\":\"services\",\"responseKind\":{\"kind\":\"Service\"},"    \
    "\"scope\":\"Namespaced\",\"singularResource\":\"x\",\"verbs\":[\"get\",\"list\"]}]}]}]}"
#define NO_GROUPS "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}"
#define SERVICE(uid, app)                                                                          \
    "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\",\"namespace\":"    \
    "\"default\",\"uid\":\"" uid "\",\"resourceVersion\":\"5\",\"managedFields\":[{\"manager\":"   \
    "\"kubectl\",\"fieldsV1\":{\"f:spec\":{\"f:ports\":{\"k:{\\\"port\\\":80,\\\"protocol\\\":"    \
    "\\\"TCP\\\"}\":{\"f:nodePort\":{}}}}}}]},\"spec\":{\"selector\":{\"app\":\"" app              \
    "\"},\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"nodePort\":30080}]}}"
#define LIST(items)                                                                                \
    "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" items "]}"
#define SPACE "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"default\"}}"
#define TAKEN                                                                                      \
    "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"spec.ports[0].nodePort: Invalid "   \
    "value: 30080: provided port is already allocated\"}"
#define ROW(want, status, body)                                                                    \
    { want, status, body, NULL, API_WHOLE, 0, 0 }
#define SERVICES "/api/v1/namespaces/default/services"

static const struct {
    const char *name, *dst;
    int post, patch; /* status of the answer */
    enum verdict verdict;
    const char *sent;
} cases[] = {
    {"a new one", "[" SPACE "]", 201, 500, V_CREATE, "POST " SERVICES "?dryRun=All"},
    {"a new one whose port another has", "[" SPACE "]", 422, 500, V_BLOCK,
     "POST " SERVICES "?dryRun=All"},
    {"one that is there, with the same port", "[" SPACE "," SERVICE("b-web", "old") "]", 422, 200,
     V_UPDATE, "PATCH " SERVICES "/web?dryRun=All"},
    {"one that may not be changed so", "[" SPACE "," SERVICE("b-web", "old") "]", 422, 422, V_BLOCK,
     "{\"spec\":{\"selector\":{\"app\":\"new\"}},\"metadata\":{\"resourceVersion\":\"5\"}}"},
};

static void every_case(void **state UNUSED) {
    static const struct user_rule rule = {.kind = "Service", .overwrite = true};
    static const struct api_row a_rows[] = {
        ROW("GET /api/v1/services?", 200, LIST(SERVICE("a-web", "new")))};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const bool refused = cases[i].post == 422, misfit = cases[i].patch == 422;
        const struct api_row b_rows[] = {
            ROW("GET /api ", 200, CORE),
            ROW("GET /apis ", 200, NO_GROUPS),
            ROW("GET " SERVICES "/web", 200, SERVICE("b-web", "old")),
            ROW("POST " SERVICES, cases[i].post, refused ? TAKEN : SERVICE("b-web", "new")),
            ROW("PATCH " SERVICES "/web", cases[i].patch, misfit ? TAKEN : SERVICE("b-web", "new")),
        };
        struct bench a = BENCH(a_rows), b = BENCH(b_rows);
        struct world_opts o = {.src = a.c, .dst = b.c, .rules = &rule, .n_rules = 1};
        struct world *w =
            lab_world(a.a, &o, "[" SPACE "," SERVICE("a-web", "new") "]", cases[i].dst, NULL);
        struct err e = {0};
        struct dryrun d;
        expect(0, kube_discover(b.c, &w->ddst, &e), &e);
        expect(0, dryrun_world(w, DRYRUN_ALL, &d, &e), &e);
        const struct object *x = world_find(w, "", "Service", "default", "web");
        if (x->verdict != cases[i].verdict || d.sent != 1 || !api_count(b.api, cases[i].sent))
            fail_msg("%s: %s (%s), %zu sent", cases[i].name, verdict_name(x->verdict), x->why,
                     d.sent);
        dryrun_done(&d);
        world_free(w);
        bench_free(&a);
        bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
    };
    return cmocka_run_group_tests_name("dryrun", tests, NULL, NULL);
}
