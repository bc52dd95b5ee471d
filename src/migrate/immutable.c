#include "migrate/immutable.h"

#define RBAC     "rbac.authorization.k8s.io"
#define SELECTOR "what it owns is found by it"
#define STORAGE  "a volume is bound by it"
#define CRD      "stored objects are named by it"

/* Sources: validation of each kind in the Kubernetes source (pkg/apis/KIND/validation). */
static const struct immutable_row rows[] = {
    {"apps", "Deployment", "/spec/selector", false, SELECTOR},
    {"apps", "ReplicaSet", "/spec/selector", false, SELECTOR},
    {"apps", "DaemonSet", "/spec/selector", false, SELECTOR},
    {"apps", "StatefulSet", "/spec/selector", false, SELECTOR},
    {"apps", "StatefulSet", "/spec/serviceName", false, "its pods are named by it"},
    {"apps", "StatefulSet", "/spec/podManagementPolicy", false, "set for its whole life"},
    {"apps", "StatefulSet", "/spec/volumeClaimTemplates", false, "its claims are made from it"},
    {"batch", "Job", "/spec/template", false, "its pods were made from it"},
    {"batch", "Job", "/spec/selector", false, SELECTOR},
    {"batch", "Job", "/spec/completionMode", false, "set for its whole life"},
    {"batch", "Job", "/spec/podFailurePolicy", false, "set for its whole life"},
    {"batch", "Job", "/spec/managedBy", false, "set for its whole life"},
    {"", "Service", "/spec/clusterIP", false, "clients hold the address; headless stays headless"},
    {"", "Service", "/spec/clusterIPs", false, "clients hold the address; headless stays headless"},
    {"", "Service", "/spec/loadBalancerClass", false, "another controller would have to take over"},
    {"", "PersistentVolumeClaim", "/spec/accessModes", false, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/selector", false, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/storageClassName", false, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/volumeName", false, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/volumeMode", false, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/dataSource", false, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/dataSourceRef", false, STORAGE},
    {"", "PersistentVolume", "/spec/volumeMode", false, STORAGE},
    {"", "PersistentVolume", "/spec/csi", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/nfs", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/hostPath", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/local", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/iscsi", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/fc", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/cephfs", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/rbd", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/awsElasticBlockStore", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/azure*", false, "it names the storage itself"},
    {"", "PersistentVolume", "/spec/gcePersistentDisk", false, "it names the storage itself"},
    {"", "Secret", "/type", false, "its keys were checked by it"},
    {"", "Secret", "/data", true, "it says immutable: true"},
    {"", "Secret", "/immutable", true, "it says immutable: true"},
    {"", "ConfigMap", "/data", true, "it says immutable: true"},
    {"", "ConfigMap", "/binaryData", true, "it says immutable: true"},
    {"", "ConfigMap", "/immutable", true, "it says immutable: true"},
    {RBAC, "RoleBinding", "/roleRef", false, "a binding is to one role for its whole life"},
    {RBAC, "ClusterRoleBinding", "/roleRef", false, "a binding is to one role for its whole life"},
    {"storage.k8s.io", "StorageClass", "/provisioner", false, "volumes were made by it"},
    {"storage.k8s.io", "StorageClass", "/parameters", false, "volumes were made by them"},
    {"storage.k8s.io", "StorageClass", "/reclaimPolicy", false, "volumes were made by it"},
    {"storage.k8s.io", "StorageClass", "/volumeBindingMode", false, "set for its whole life"},
    {"storage.k8s.io", "VolumeAttributesClass", "/driverName", false, "volumes were changed by it"},
    {"storage.k8s.io", "VolumeAttributesClass", "/parameters", false, "volumes were changed by it"},
    {"scheduling.k8s.io", "PriorityClass", "/value", false, "pods have it already"},
    {"scheduling.k8s.io", "PriorityClass", "/preemptionPolicy", false, "pods have it already"},
    {"node.k8s.io", "RuntimeClass", "/handler", false, "pods run by it already"},
    {"networking.k8s.io", "IngressClass", "/spec/controller", false, "set for its whole life"},
    {"discovery.k8s.io", "EndpointSlice", "/addressType", false, "set for its whole life"},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/group", false, CRD},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/scope", false, CRD},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/names/plural", false, CRD},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/names/kind", false, CRD},
};

const struct immutable_row *immutable_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

static bool at_or_below(const char *pattern, const char *pointer) {
    char below[256];
    snprintf(below, sizeof below, "%s/*", pattern);
    return str_glob(pattern, pointer) || str_glob(below, pointer);
}

const struct immutable_row *immutable_at(const struct kube_resource *r, const char *pointer,
                                         yyjson_mut_val *dst_root) {
    bool marked = yyjson_mut_is_true(yyjson_mut_obj_get(dst_root, "immutable"));
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq(rows[i].kind, r->kind) && str_eq(rows[i].group, r->group) &&
            (!rows[i].when_marked || marked) && at_or_below(rows[i].path, pointer))
            return &rows[i];
    return NULL;
}
