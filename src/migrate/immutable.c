#include "migrate/immutable.h"

#define RBAC     "rbac.authorization.k8s.io"
#define SELECTOR "what it owns is found by it"
#define STORAGE  "a volume is bound by it"
#define CRD      "stored objects are named by it"
#define SOURCE   "it names the storage itself"

static bool always(const struct immutable_change *c UNUSED) {
    return true;
}

static bool unmarked(const struct immutable_change *c) {
    return !yyjson_mut_is_true(yyjson_mut_obj_get(c->dst_root, "immutable"));
}

static bool is_within(yyjson_mut_val *part, yyjson_mut_val *whole) {
    size_t i, max, k, n;
    yyjson_mut_val *v, *x;
    yyjson_mut_arr_foreach (part, i, max, v) {
        bool found = false;
        yyjson_mut_arr_foreach (whole, k, n, x)
            found |= json_mut_equal(v, x);
        if (!found)
            return false;
    }
    return true;
}

static bool is_list(yyjson_mut_val *v) {
    return !v || yyjson_mut_is_arr(v);
}

static bool only_more(const struct immutable_change *c) {
    return is_list(c->src) && is_list(c->dst) && is_within(c->dst, c->src);
}

static bool only_less(const struct immutable_change *c) {
    return is_list(c->src) && is_list(c->dst) && is_within(c->src, c->dst);
}

static bool sooner(const struct immutable_change *c) {
    return c->src && (!c->dst || json_mut_int(c->src, 0) < json_mut_int(c->dst, 0));
}

static bool elastic(const struct immutable_change *c) {
    yyjson_mut_val *spec = json_mut_get(c->src_root, "spec");
    int64_t n = json_mut_int(json_mut_get(spec, "completions"), -1);
    return str_eq(json_mut_str(spec, "completionMode"), "Indexed") &&
           n == json_mut_int(json_mut_get(spec, "parallelism"), -2);
}

static bool affinity_unset(const struct immutable_change *c) {
    return !json_mut_get(c->dst_root, "spec", "nodeAffinity");
}

static bool expansion_unset(const struct immutable_change *c) {
    return !json_mut_get(c->dst_root, "spec", "csi", "controllerExpandSecretRef");
}

/* Sources: validation of each kind in the Kubernetes source (pkg/apis/KIND/validation). The first
 * row that covers a field decides. */
static const struct immutable_row rows[] = {
    {"apps", "Deployment", "/spec/selector", NULL, SELECTOR},
    {"apps", "ReplicaSet", "/spec/selector", NULL, SELECTOR},
    {"apps", "DaemonSet", "/spec/selector", NULL, SELECTOR},
    {"apps", "StatefulSet", "/spec/selector", NULL, SELECTOR},
    {"apps", "StatefulSet", "/spec/serviceName", NULL, "its pods are named by it"},
    {"apps", "StatefulSet", "/spec/podManagementPolicy", NULL, "set for its whole life"},
    {"apps", "StatefulSet", "/spec/volumeClaimTemplates", NULL, "its claims are made from it"},
    {"batch", "Job", "/spec/template", NULL, "its pods were made from it"},
    {"batch", "Job", "/spec/selector", NULL, SELECTOR},
    {"batch", "Job", "/spec/completionMode", NULL, "set for its whole life"},
    {"batch", "Job", "/spec/podFailurePolicy", NULL, "set for its whole life"},
    {"batch", "Job", "/spec/managedBy", NULL, "set for its whole life"},
    {"batch", "Job", "/spec/successPolicy", NULL, "set for its whole life"},
    {"batch", "Job", "/spec/backoffLimitPerIndex", NULL, "set for its whole life"},
    {"batch", "Job", "/spec/completions", elastic, "only with parallelism, of an indexed one"},
    {"", "Pod", "/spec/containers/*/image", always, "an image may be replaced"},
    {"", "Pod", "/spec/initContainers/*/image", always, "an image may be replaced"},
    {"", "Pod", "/spec/activeDeadlineSeconds", sooner, "its end may only come sooner"},
    {"", "Pod", "/spec/tolerations", only_more, "it runs by them; more may come"},
    {"", "Pod", "/spec/schedulingGates", only_less, "it was held by them; they may only go"},
    {"", "Pod", "/spec", NULL, "its containers run by it"},
    {"apps", "ControllerRevision", "/data", NULL, "set for its whole life"},
    {"", "Service", "/spec/clusterIP", NULL, "clients hold the address; headless stays headless"},
    {"", "Service", "/spec/clusterIPs", NULL, "clients hold the address; headless stays headless"},
    {"", "Service", "/spec/loadBalancerClass", NULL, "another controller would have to take over"},
    {"", "PersistentVolumeClaim", "/spec/accessModes", NULL, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/selector", NULL, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/storageClassName", NULL, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/volumeName", NULL, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/volumeMode", NULL, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/dataSource", NULL, STORAGE},
    {"", "PersistentVolumeClaim", "/spec/dataSourceRef", NULL, STORAGE},
    {"", "PersistentVolume", "/spec/volumeMode", NULL, STORAGE},
    {"", "PersistentVolume", "/spec/nodeAffinity", affinity_unset, "pods were placed by it"},
    {"", "PersistentVolume", "/spec/csi/controllerExpandSecretRef", expansion_unset, SOURCE},
    {"", "PersistentVolume", "/spec/csi", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/nfs", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/hostPath", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/local", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/iscsi", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/fc", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/cephfs", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/rbd", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/awsElasticBlockStore", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/azure*", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/gcePersistentDisk", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/cinder", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/flexVolume", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/flocker", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/glusterfs", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/photonPersistentDisk", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/portworxVolume", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/quobyte", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/scaleIO", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/storageos", NULL, SOURCE},
    {"", "PersistentVolume", "/spec/vsphereVolume", NULL, SOURCE},
    {"", "Secret", "/type", NULL, "its keys were checked by it"},
    {"", "Secret", "/data", unmarked, "it says immutable: true"},
    {"", "Secret", "/immutable", unmarked, "it says immutable: true"},
    {"", "ConfigMap", "/data", unmarked, "it says immutable: true"},
    {"", "ConfigMap", "/binaryData", unmarked, "it says immutable: true"},
    {"", "ConfigMap", "/immutable", unmarked, "it says immutable: true"},
    {RBAC, "RoleBinding", "/roleRef", NULL, "a binding is to one role for its whole life"},
    {RBAC, "ClusterRoleBinding", "/roleRef", NULL, "a binding is to one role for its whole life"},
    {"storage.k8s.io", "StorageClass", "/provisioner", NULL, "volumes were made by it"},
    {"storage.k8s.io", "StorageClass", "/parameters", NULL, "volumes were made by them"},
    {"storage.k8s.io", "StorageClass", "/reclaimPolicy", NULL, "volumes were made by it"},
    {"storage.k8s.io", "StorageClass", "/volumeBindingMode", NULL, "set for its whole life"},
    {"storage.k8s.io", "CSIDriver", "/spec/attachRequired", NULL, "volumes were attached by it"},
    {"storage.k8s.io", "CSIDriver", "/spec/volumeLifecycleModes", NULL, "set for its whole life"},
    {"storage.k8s.io", "VolumeAttributesClass", "/driverName", NULL, "volumes were changed by it"},
    {"storage.k8s.io", "VolumeAttributesClass", "/parameters", NULL, "volumes were changed by it"},
    {"scheduling.k8s.io", "PriorityClass", "/value", NULL, "pods have it already"},
    {"scheduling.k8s.io", "PriorityClass", "/preemptionPolicy", NULL, "pods have it already"},
    {"node.k8s.io", "RuntimeClass", "/handler", NULL, "pods run by it already"},
    {"networking.k8s.io", "IngressClass", "/spec/controller", NULL, "set for its whole life"},
    {"networking.k8s.io", "ServiceCIDR", "/spec/cidrs", NULL, "addresses were given from them"},
    {"networking.k8s.io", "IPAddress", "/spec/parentRef", NULL, "set for its whole life"},
    {"resource.k8s.io", "ResourceClaim", "/spec", NULL, "devices were given by it"},
    {"resource.k8s.io", "ResourceClaimTemplate", "/spec", NULL, "claims were made from it"},
    {"certificates.k8s.io", "ClusterTrustBundle", "/spec/signerName", NULL,
     "set for its whole life"},
    {"", "ResourceQuota", "/spec/scopes", NULL, "what counts was chosen by them"},
    {"discovery.k8s.io", "EndpointSlice", "/addressType", NULL, "set for its whole life"},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/group", NULL, CRD},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/scope", NULL, CRD},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/names/plural", NULL, CRD},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "/spec/names/kind", NULL, CRD},
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
                                         const struct immutable_change *c) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq(rows[i].kind, r->kind) && str_eq(rows[i].group, r->group) &&
            at_or_below(rows[i].path, pointer))
            return rows[i].allowed && rows[i].allowed(c) ? NULL : &rows[i];
    return NULL;
}
