/* Discovery, aggregated and group by group, and finding resources by what people type. */
#include "kube_bench.h"

/* --- discovery --- */

#define ALL_VERBS                                                                                  \
    "[\"create\",\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"update\",\"watch\"]"

static const char AGG_CORE[] =
    "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"metadata\":{},"
    "\"items\":[{\"metadata\":{\"creationTimestamp\":null},\"versions\":[{\"version\":\"v1\","
    "\"freshness\":\"Current\",\"resources\":["
    "{\"resource\":\"pods\",\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"Pod\"},"
    "\"scope\":\"Namespaced\",\"singularResource\":\"pod\",\"verbs\":" ALL_VERBS ","
    "\"shortNames\":[\"po\"],\"subresources\":[{\"subresource\":\"status\"},"
    "{\"subresource\":\"log\"}]},"
    "{\"resource\":\"bindings\",\"responseKind\":{\"kind\":\"Binding\"},"
    "\"scope\":\"Namespaced\",\"singularResource\":\"binding\",\"verbs\":[\"create\"]},"
    "{\"resource\":\"nodes\",\"responseKind\":{\"kind\":\"Node\"},\"scope\":\"Cluster\","
    "\"singularResource\":\"node\",\"verbs\":[\"get\",\"list\"]},"
    "{\"resource\":\"events\",\"responseKind\":{\"kind\":\"Event\"},\"scope\":\"Namespaced\","
    "\"singularResource\":\"event\",\"verbs\":[\"get\",\"list\"],\"shortNames\":[\"ev\"]}"
    "]}]}]}";
static const char AGG_GROUPS[] =
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":["
    "{\"metadata\":{\"name\":\"events.k8s.io\"},\"versions\":[{\"version\":\"v1\",\"resources\":["
    "{\"resource\":\"events\",\"responseKind\":{\"kind\":\"Event\"},\"scope\":\"Namespaced\","
    "\"singularResource\":\"event\",\"verbs\":[\"get\",\"list\"],\"shortNames\":[\"ev\"]}]}]},"
    "{\"metadata\":{\"name\":\"apps\"},\"versions\":["
    "{\"version\":\"v1\",\"resources\":[{\"resource\":\"deployments\","
    "\"responseKind\":{\"kind\":\"Deployment\"},\"scope\":\"Namespaced\","
    "\"singularResource\":\"deployment\",\"verbs\":" ALL_VERBS ",\"shortNames\":[\"deploy\"],"
    "\"subresources\":[{\"subresource\":\"scale\"},{\"subresource\":\"status\"}]}]},"
    "{\"version\":\"v1beta1\",\"resources\":[{\"resource\":\"deployments\","
    "\"responseKind\":{\"kind\":\"Deployment\"},\"scope\":\"Namespaced\",\"verbs\":[\"list\"]},"
    "{\"resource\":\"oldies\",\"responseKind\":{\"kind\":\"Oldie\"},\"verbs\":[\"list\"]}]}]},"
    "{\"metadata\":{\"name\":\"metrics.k8s.io\"},\"versions\":[{\"version\":\"v1beta1\","
    "\"freshness\":\"Stale\"}]}]}";

static const char LIST_CORE[] =
    "{\"kind\":\"APIResourceList\",\"groupVersion\":\"v1\",\"resources\":["
    "{\"name\":\"pods/status\",\"kind\":\"Pod\",\"namespaced\":true,\"verbs\":[\"get\"]},"
    "{\"name\":\"pods/log\",\"kind\":\"Pod\",\"namespaced\":true,\"verbs\":[\"get\"]},"
    "{\"name\":\"pods\",\"singularName\":\"pod\",\"kind\":\"Pod\",\"namespaced\":true,"
    "\"verbs\":" ALL_VERBS ",\"shortNames\":[\"po\"]},"
    "{\"name\":\"bindings\",\"singularName\":\"binding\",\"kind\":\"Binding\","
    "\"namespaced\":true,\"verbs\":[\"create\"]},"
    "{\"name\":\"nodes\",\"singularName\":\"node\",\"kind\":\"Node\",\"namespaced\":false,"
    "\"verbs\":[\"get\",\"list\"]},"
    "{\"name\":\"events\",\"singularName\":\"event\",\"kind\":\"Event\",\"namespaced\":true,"
    "\"verbs\":[\"get\",\"list\"],\"shortNames\":[\"ev\"]}]}";
static const char LIST_EVENTS[] =
    "{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"events\",\"singularName\":\"event\","
    "\"kind\":\"Event\",\"namespaced\":true,\"verbs\":[\"get\",\"list\"],"
    "\"shortNames\":[\"ev\"]}]}";
static const char LIST_APPS[] =
    "{\"kind\":\"APIResourceList\",\"resources\":["
    "{\"name\":\"deployments\",\"singularName\":\"deployment\",\"kind\":\"Deployment\","
    "\"namespaced\":true,\"verbs\":" ALL_VERBS ",\"shortNames\":[\"deploy\"]},"
    "{\"name\":\"deployments/scale\",\"group\":\"autoscaling\",\"kind\":\"Scale\","
    "\"namespaced\":true,\"verbs\":[\"get\"]},"
    "{\"name\":\"deployments/status\",\"kind\":\"Deployment\",\"namespaced\":true,"
    "\"verbs\":[\"get\"]}]}";
static const char LIST_APPS_OLD[] =
    "{\"kind\":\"APIResourceList\",\"resources\":["
    "{\"name\":\"deployments\",\"kind\":\"Deployment\",\"namespaced\":true,\"verbs\":[\"list\"]},"
    "{\"name\":\"oldies\",\"kind\":\"Oldie\",\"namespaced\":false,\"verbs\":[\"list\"]}]}";
static const char GROUP_LIST[] =
    "{\"kind\":\"APIGroupList\",\"groups\":["
    "{\"name\":\"events.k8s.io\",\"versions\":[{\"version\":\"v1\"}]},"
    "{\"name\":\"apps\",\"versions\":[{\"version\":\"v1beta1\"},{\"version\":\"v1\"}],"
    "\"preferredVersion\":{\"version\":\"v1\"}},"
    "{\"name\":\"metrics.k8s.io\",\"versions\":[{\"version\":\"v1beta1\"}]}]}";

static const struct api_row aggregated[] = {
    {"GET /api ", 200, AGG_CORE},
    {"GET /apis ", 200, AGG_GROUPS},
};
static const struct api_row classic[] = {
    {"GET /api ", 200, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"]}"},
    {"GET /apis ", 200, GROUP_LIST},
    {"GET /api/v1 ", 200, LIST_CORE},
    {"GET /apis/events.k8s.io/v1 ", 200, LIST_EVENTS},
    {"GET /apis/apps/v1 ", 200, LIST_APPS},
    {"GET /apis/apps/v1beta1 ", 200, LIST_APPS_OLD},
    {"GET /apis/metrics.k8s.io/v1beta1 ", 503, "down", .header = "Retry-After: 0"},
};

static void check_discovery(const struct kube_discovery *d) {
    const struct kube_resource *r;
    assert_int_equal(8, kube_discovery_all(d, &r));
    static const struct {
        const char *group, *version, *plural, *kind;
        bool namespaced, status, scale, preferred;
        unsigned verbs;
    } want[] = {
        {"", "v1", "pods", "Pod", true, true, false, true, 255},
        {"", "v1", "bindings", "Binding", true, false, false, true, KUBE_CREATE},
        {"", "v1", "nodes", "Node", false, false, false, true, KUBE_GET | KUBE_LIST},
        {"", "v1", "events", "Event", true, false, false, true, KUBE_GET | KUBE_LIST},
        {"events.k8s.io", "v1", "events", "Event", true, false, false, true, KUBE_GET | KUBE_LIST},
        {"apps", "v1", "deployments", "Deployment", true, true, true, true, 255},
        {"apps", "v1beta1", "deployments", "Deployment", true, false, false, false, KUBE_LIST},
        {"apps", "v1beta1", "oldies", "Oldie", false, false, false, true, KUBE_LIST},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        assert_string_equal(want[i].group, r[i].group);
        assert_string_equal(want[i].version, r[i].version);
        assert_string_equal(want[i].plural, r[i].plural);
        assert_string_equal(want[i].kind, r[i].kind);
        assert_int_equal(want[i].namespaced, r[i].namespaced);
        assert_int_equal(want[i].status, r[i].has_status);
        assert_int_equal(want[i].scale, r[i].has_scale);
        assert_int_equal(want[i].preferred, r[i].preferred);
        assert_int_equal(want[i].verbs, r[i].verbs);
    }
    assert_string_equal("metrics.k8s.io/v1beta1", kube_discovery_failed(d)[0]);
    assert_null(kube_discovery_failed(d)[1]);
}

static void check_names(const struct kube_discovery *d) {
    static const struct {
        const char *name, *group, *version, *plural;
    } rows[] = {
        {"pods", "", "v1", "pods"},
        {"po", "", "v1", "pods"},
        {"Pod", "", "v1", "pods"},
        {"pod", "", "v1", "pods"},
        {"deploy", "apps", "v1", "deployments"},
        {"deployments.apps", "apps", "v1", "deployments"},
        {"deployments.v1beta1.apps", "apps", "v1beta1", "deployments"},
        {"events", "", "v1", "events"},
        {"ev.events.k8s.io", "events.k8s.io", "v1", "events"},
        {"nodes.v1", "", "v1", "nodes"},
        {"oldies", "apps", "v1beta1", "oldies"},
        {"nothing", NULL, NULL, NULL},
        {"pods.apps", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct kube_resource *r = kube_discovery_by_name(d, rows[i].name);
        if (!r != !rows[i].plural)
            fail_msg("%s", rows[i].name);
        if (r && (!str_eq(r->group, rows[i].group) || !str_eq(r->version, rows[i].version) ||
                  !str_eq(r->plural, rows[i].plural)))
            fail_msg("%s is %s/%s/%s", rows[i].name, r->group, r->version, r->plural);
    }
    assert_string_equal("v1", kube_discovery_find(d, "apps", NULL, "Deployment")->version);
    assert_string_equal("v1beta1",
                        kube_discovery_find(d, "apps", "v1beta1", "Deployment")->version);
    assert_non_null(kube_discovery_find(d, NULL, NULL, "Pod"));
    assert_null(kube_discovery_find(d, "apps", NULL, "Pod"));
    assert_null(kube_discovery_find(d, "apps", "v2", "Deployment"));
}

static void both_discoveries_say_the_same(void **state) {
    (void)state;
    static const struct {
        const struct api_row *rows;
        size_t n;
        unsigned requests;
    } ways[] = {{aggregated, COUNT_OF(aggregated), 2}, {classic, COUNT_OF(classic), 11}};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct bench b = bench_new(ways[i].rows, ways[i].n);
        struct kube_discovery *d = NULL;
        struct err e = {0};
        expect(0, kube_discover(b.c, &d, &e), &e);
        check_discovery(d);
        check_names(d);
        assert_true(api_count(b.api, "as=APIGroupDiscoveryList") >= 2);
        assert_int_equal(ways[i].requests, api_count(b.api, "GET "));
        kube_discovery_free(d);
        bench_free(&b);
    }
}

static void discovery_errors(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *api, *apis;
        int code;
        const char *says;
    } rows[] = {
        {200, "{\"kind\":\"Pod\"}", "{}", -EBADMSG, "does not answer like"},
        {200, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":7}", "{}", -EBADMSG, "no list"},
        {200, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"versions\":[{}]}]}", "{}",
         -EBADMSG, "has no name"},
        {200, "{\"kind\":\"APIGroupDiscoveryList\"}",
         "{\"kind\":\"APIGroupList\",\"groups\":[{\"name\":\"g\",\"versions\":[{\"version\":\"v1\"}"
         "]}]}",
         -EACCES, "GET /apis/g/v1: 403"},
        {403, "{}", "{}", -EACCES, "A: GET /api: 403 Forbidden"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_row script[] = {{"GET /api ", rows[i].status, rows[i].api},
                                   {"GET /apis ", 200, rows[i].apis},
                                   {"GET /apis/g/v1 ", 403, "{}"}};
        struct bench b = BENCH(script);
        struct kube_discovery *d = NULL;
        struct err e = {0};
        expect(rows[i].code, kube_discover(b.c, &d, &e), &e);
        says(&e, rows[i].says);
        assert_null(d);
        bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_discoveries_say_the_same),
        cmocka_unit_test(discovery_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
