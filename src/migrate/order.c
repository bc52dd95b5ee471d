#include "migrate/order.h"

enum { WAVE_OTHER = 100, WAVE_CUSTOM = 110 };

/* Between two waves there is room for owned objects, which come one after their owner. */
static const struct wave_row table[] = {
    {WAVE_NAMESPACE, "", "Namespace", false, "what stands in a namespace needs it"},
    {WAVE_DEFINITION, "apiextensions.k8s.io", "CustomResourceDefinition", false,
     "custom resources need their definition established"},
    {30, "storage.k8s.io", NULL, false, "claims and volumes name a class"},
    {30, "scheduling.k8s.io", NULL, false, "pods name a priority"},
    {30, "node.k8s.io", NULL, false, "pods name a runtime"},
    {30, "networking.k8s.io", "IngressClass", false, "ingresses name a class"},
    {30, "gateway.networking.k8s.io", "GatewayClass", false, "gateways name a class"},
    {40, "", "ServiceAccount", false, "pods and token Secrets need it"},
    {40, "rbac.authorization.k8s.io", NULL, false, "what runs needs its rights"},
    {41, "rbac.authorization.k8s.io", "RoleBinding", true, "after the roles it names"},
    {41, "rbac.authorization.k8s.io", "ClusterRoleBinding", true, "after the roles it names"},
    {50, "", "ConfigMap", false, "pods read it"},
    {50, "", "Secret", true, "pods read it; a token Secret needs its ServiceAccount"},
    {60, "", "PersistentVolume", false, "claims bind to it"},
    {61, "", "PersistentVolumeClaim", true, "pods mount it; its volume is there"},
    {WAVE_SERVICE, "", "Service", false, "pods get its name in their environment"},
    {71, "", "Endpoints", true, "belongs to a Service without selector"},
    {71, "discovery.k8s.io", NULL, true, "belongs to a Service without selector"},
    {80, "apps", NULL, true, "everything that a pod names is there"},
    {80, "batch", NULL, true, "everything that a pod names is there"},
    {80, "", "ReplicationController", true, "everything that a pod names is there"},
    {80, "", "Pod", true, "everything that a pod names is there"},
    {WAVE_OTHER, NULL, NULL, false, "no order known"},
    {WAVE_CUSTOM, NULL, NULL, true, "its definition is established"},
    {120, "autoscaling", NULL, false, "after what it scales"},
    {120, "policy", NULL, false, "after what it guards"},
    {120, "networking.k8s.io", NULL, false, "after what it leads to"},
    {130, "", "LimitRange", true, "it must not change what ran without it", true},
    {130, "", "ResourceQuota", true, "it must not block what ran in the source", true},
    {WAVE_ADMISSION, "admissionregistration.k8s.io", NULL, true,
     "it must not block what is being created", true},
    {WAVE_ADMISSION, "apiregistration.k8s.io", NULL, true, "its back end is there"},
};

const struct wave_row *order_table(size_t *ret_n) {
    *ret_n = COUNT_OF(table);
    return table;
}

/* The API groups that Kubernetes itself serves, those of all versions from 1.28 to 1.37. A suffix
 * says nothing: autoscaling.k8s.io and policy.networking.k8s.io, for two, come as CRDs. */
static const char *const own_groups[] = {
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
};

bool order_is_custom(const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(own_groups); i++)
        if (str_eq(own_groups[i], r->group))
            return false;
    return true;
}

/* Of the kind, or of its group; NULL: no order known. */
static const struct wave_row *row_for(const struct kube_resource *r) {
    const struct wave_row *best = NULL;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct wave_row *t = &table[i];
        if (!t->group || !str_eq(t->group, r->group))
            continue;
        if (t->kind && str_eq(t->kind, r->kind))
            return t;
        if (!t->kind)
            best = t;
    }
    return best;
}

int order_wave(const struct kube_resource *r, bool custom) {
    const struct wave_row *t = row_for(r);
    return t ? t->wave : custom ? WAVE_CUSTOM : WAVE_OTHER;
}

bool order_limits(const struct kube_resource *r) {
    const struct wave_row *t = row_for(r);
    return t && t->limits;
}

static const struct wave_row *row_of(int wave) {
    const struct wave_row *best = NULL;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (table[i].wave == wave && (!best || table[i].wait))
            best = &table[i];
    return best;
}

bool order_waits(int wave) {
    const struct wave_row *r = row_of(wave);
    return !r || r->wait; /* a wave of owned objects waits for the owners' uids */
}

const char *order_why(int wave) {
    const struct wave_row *r = row_of(wave);
    return r ? r->why : "after its owner";
}

int order_lane(const struct object *o) {
    return object_is(o, "", "Service") && o->wave <= WAVE_SERVICE ? 1 : 0;
}

static const struct {
    const char *group, *kind;
} data_kinds[] = {
    {"", "Secret"},
    {"", "ConfigMap"},
    {"", "PersistentVolumeClaim"},
};

bool order_carries_data(const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(data_kinds); i++)
        if (str_eq(r->group, data_kinds[i].group) && str_eq(r->kind, data_kinds[i].kind))
            return true;
    return false;
}
