#include "migrate/removals.h"

#define ADM  "admissionregistration.k8s.io"
#define FLOW "flowcontrol.apiserver.k8s.io"

/* Sources: https://kubernetes.io/docs/reference/using-api/deprecation-guide/ and the
 * zz_generated.prerelease-lifecycle.go of each group. A kind's own row stands before its group's.
 */
static const struct removal rows[] = {
    {"extensions", "v1beta1", "Ingress", 22, "networking.k8s.io/v1"},
    {"extensions", "v1beta1", "NetworkPolicy", 16, "networking.k8s.io/v1"},
    {"extensions", "v1beta1", "PodSecurityPolicy", 16, NULL},
    {"extensions", "v1beta1", NULL, 16, "apps/v1"},
    {"apps", "v1beta1", NULL, 16, "apps/v1"},
    {"apps", "v1beta2", NULL, 16, "apps/v1"},
    {ADM, "v1beta1", "ValidatingWebhookConfiguration", 22, ADM "/v1"},
    {ADM, "v1beta1", "MutatingWebhookConfiguration", 22, ADM "/v1"},
    {ADM, "v1alpha1", "ValidatingAdmissionPolicy", 32, ADM "/v1"},
    {ADM, "v1alpha1", "ValidatingAdmissionPolicyBinding", 32, ADM "/v1"},
    {ADM, "v1beta1", "ValidatingAdmissionPolicy", 34, ADM "/v1"},
    {ADM, "v1beta1", "ValidatingAdmissionPolicyBinding", 34, ADM "/v1"},
    {"apiextensions.k8s.io", "v1beta1", NULL, 22, "apiextensions.k8s.io/v1"},
    {"apiregistration.k8s.io", "v1beta1", NULL, 22, "apiregistration.k8s.io/v1"},
    {"certificates.k8s.io", "v1beta1", "CertificateSigningRequest", 22, "certificates.k8s.io/v1"},
    {"coordination.k8s.io", "v1beta1", "Lease", 22, "coordination.k8s.io/v1"},
    {"networking.k8s.io", "v1beta1", "Ingress", 22, "networking.k8s.io/v1"},
    {"networking.k8s.io", "v1beta1", "IngressClass", 22, "networking.k8s.io/v1"},
    {"networking.k8s.io", "v1beta1", NULL, 37, "networking.k8s.io/v1"},
    {"rbac.authorization.k8s.io", "v1beta1", NULL, 22, "rbac.authorization.k8s.io/v1"},
    {"scheduling.k8s.io", "v1beta1", "PriorityClass", 22, "scheduling.k8s.io/v1"},
    {"storage.k8s.io", "v1beta1", "CSIStorageCapacity", 27, "storage.k8s.io/v1"},
    {"storage.k8s.io", "v1beta1", "VolumeAttributesClass", 37, "storage.k8s.io/v1"},
    {"storage.k8s.io", "v1beta1", NULL, 22, "storage.k8s.io/v1"},
    {"storage.k8s.io", "v1alpha1", NULL, 35, "storage.k8s.io/v1"},
    {"batch", "v1beta1", "CronJob", 25, "batch/v1"},
    {"discovery.k8s.io", "v1beta1", NULL, 25, "discovery.k8s.io/v1"},
    {"events.k8s.io", "v1beta1", NULL, 25, "events.k8s.io/v1"},
    {"autoscaling", "v2beta1", NULL, 25, "autoscaling/v2"},
    {"autoscaling", "v2beta2", NULL, 26, "autoscaling/v2"},
    {"policy", "v1beta1", "PodDisruptionBudget", 25, "policy/v1"},
    {"policy", "v1beta1", "PodSecurityPolicy", 25, NULL},
    {"node.k8s.io", "v1beta1", NULL, 25, "node.k8s.io/v1"},
    {FLOW, "v1beta1", NULL, 26, FLOW "/v1"},
    {FLOW, "v1beta2", NULL, 29, FLOW "/v1"},
    {FLOW, "v1beta3", NULL, 32, FLOW "/v1"},
    {"resource.k8s.io", "v1beta1", NULL, 38, "resource.k8s.io/v1"},
    {"resource.k8s.io", "v1beta2", NULL, 39, "resource.k8s.io/v1"},
};

const struct removal *removals_table(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

const struct removal *removal_of(const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq(rows[i].group, r->group) && str_eq(rows[i].version, r->version) &&
            (!rows[i].kind || str_eq(rows[i].kind, r->kind)))
            return &rows[i];
    return NULL;
}
