/* Waves: what comes before what, and what waits. */
#include "lab.h"

#include "migrate/order.h"

/* One kind for each row, in the order in which they are written. */
static const struct {
    const char *api, *kind;
    int wave;
    bool waits;
} golden[] = {
    {"v1", "Namespace", 10, false},
    {"apiextensions.k8s.io/v1", "CustomResourceDefinition", 20, false},
    {"storage.k8s.io/v1", "StorageClass", 30, false},
    {"scheduling.k8s.io/v1", "PriorityClass", 30, false},
    {"node.k8s.io/v1", "RuntimeClass", 30, false},
    {"networking.k8s.io/v1", "IngressClass", 30, false},
    {"gateway.networking.k8s.io/v1", "GatewayClass", 30, false},
    {"v1", "ServiceAccount", 40, false},
    {"rbac.authorization.k8s.io/v1", "Role", 40, false},
    {"rbac.authorization.k8s.io/v1", "ClusterRole", 40, false},
    {"rbac.authorization.k8s.io/v1", "RoleBinding", 41, true},
    {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", 41, true},
    {"v1", "ConfigMap", 50, true},
    {"v1", "Secret", 50, true},
    {"v1", "PersistentVolume", 60, false},
    {"v1", "PersistentVolumeClaim", 61, true},
    {"v1", "Service", 70, false},
    {"v1", "Endpoints", 71, true},
    {"discovery.k8s.io/v1", "EndpointSlice", 71, true},
    {"apps/v1", "Deployment", 80, true},
    {"batch/v1", "CronJob", 80, true},
    {"v1", "ReplicationController", 80, true},
    {"v1", "Pod", 80, true},
    {"v1", "PodTemplate", 100, false},
    {"example.com/v1", "Widget", 110, true},
    {"autoscaling.k8s.io/v1", "VerticalPodAutoscaler", 110, true},
    {"policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", 110, true},
    {"gateway.networking.k8s.io/v1", "HTTPRoute", 110, true},
    {"autoscaling/v2", "HorizontalPodAutoscaler", 120, false},
    {"policy/v1", "PodDisruptionBudget", 120, false},
    {"networking.k8s.io/v1", "Ingress", 120, false},
    {"v1", "LimitRange", 130, true},
    {"v1", "ResourceQuota", 130, true},
    {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", 140, true},
    {"apiregistration.k8s.io/v1", "APIService", 140, true},
};

static void every_row_has_its_case(void **state UNUSED) {
    bool hit[128] = {false};
    size_t n;
    const struct wave_row *t = order_table(&n);
    assert_in_range(n, 1, COUNT_OF(hit));
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        struct kube_resource *r = lab_resource(a, golden[i].api, golden[i].kind);
        int wave = order_wave(r, order_is_custom(r));
        if (wave != golden[i].wave)
            fail_msg("%s is of wave %d, wanted %d", golden[i].kind, wave, golden[i].wave);
        if (order_waits(wave) != golden[i].waits)
            fail_msg("wave %d (%s) waits: %d", wave, golden[i].kind, order_waits(wave));
        bool by_kind = false;
        for (size_t k = 0; k < n; k++)
            by_kind |=
                t[k].wave == wave && str_eq(t[k].group, r->group) && str_eq(t[k].kind, r->kind);
        for (size_t k = 0; k < n; k++)
            hit[k] |= t[k].wave == wave &&
                      (by_kind ? str_eq(t[k].group, r->group) && str_eq(t[k].kind, r->kind)
                               : !t[k].kind && (!t[k].group || str_eq(t[k].group, r->group)));
    }
    for (size_t k = 0; k < n; k++)
        if (!hit[k])
            fail_msg("row %zu (wave %d, %s %s) orders nothing", k, t[k].wave,
                     t[k].group ? t[k].group : "any", t[k].kind ? t[k].kind : "");
}

static void rows_are_sane(void **state UNUSED) {
    size_t n;
    const struct wave_row *t = order_table(&n);
    for (size_t i = 0; i < n; i++) {
        assert_false(str_empty(t[i].why));
        assert_false(str_empty(order_why(t[i].wave)));
        if (i)
            assert_true(t[i].wave >= t[i - 1].wave);
        for (size_t k = 0; k < i; k++)
            if (t[i].group && str_eq(t[i].group, t[k].group) && str_eq(t[i].kind, t[k].kind))
                fail_msg("two rows for %s %s", t[i].group, t[i].kind ? t[i].kind : "");
    }
}

/* Between two waves there are those of owned objects, one after their owner: they wait for uids. */
static void owned_objects_wait(void **state UNUSED) {
    assert_true(order_waits(81));
    assert_true(order_waits(111));
    assert_string_equal(order_why(81), "after its owner");
}

static void lanes(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    static const struct {
        const char *api, *kind;
        int wave, lane;
    } rows[] = {
        {"v1", "Service", WAVE_SERVICE, 1},
        {"v1", "Service", 111, 0}, /* waits for its owner, as the others wait for it */
        {"serving.knative.dev/v1", "Service", WAVE_SERVICE, 0},
        {"v1", "Pod", WAVE_SERVICE, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kind k = {.src = lab_resource(a, rows[i].api, rows[i].kind)};
        struct object o = {.kind = &k, .wave = rows[i].wave};
        assert_int_equal(order_lane(&o), rows[i].lane);
    }
}

static void what_carries_data(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    assert_true(order_carries_data(lab_resource(a, "v1", "Secret")));
    assert_true(order_carries_data(lab_resource(a, "v1", "PersistentVolumeClaim")));
    assert_false(order_carries_data(lab_resource(a, "apps/v1", "Deployment")));
    assert_false(order_carries_data(lab_resource(a, "example.com/v1", "Secret")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_case), cmocka_unit_test(rows_are_sane),
        cmocka_unit_test(owned_objects_wait),     cmocka_unit_test(lanes),
        cmocka_unit_test(what_carries_data),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
