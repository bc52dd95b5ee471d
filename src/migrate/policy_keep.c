/* The other half of the field policy: what is kept, on purpose. Scrubbing does not look at these
 * rows (what no row of policy.c touches stays as it is, known or not); they are there to be read,
 * by people in `tandem explain` and by the test that no field of any kind is forgotten.
 *
 * Where a kind mixes what people wish with what a cluster fills in, its fields stand one by one, so
 * that a field new to the API has to be thought about; elsewhere the whole tree is a wish. */
#include "migrate/order.h"
#include "migrate/scrub.h"

#define ADM   "admissionregistration.k8s.io"
#define CERTS "certificates.k8s.io"
#define CRD   "apiextensions.k8s.io"
#define FLOW  "flowcontrol.apiserver.k8s.io"
#define NET   "networking.k8s.io"
#define RBAC  "rbac.authorization.k8s.io"
#define RES   "resource.k8s.io"
#define SCHED "scheduling.k8s.io"
#define STORE "storage.k8s.io"

#define KEEP(group, kind, path, why)                                                               \
    { group, kind, path, FIELD_KEEP, NULL, NULL, why }

#define CLASS_WHY   "the same name, unless storageClasses of the configuration maps it"
#define SOURCE_WHY  "where the bytes are; that both clusters would use them is a hazard of its own"
#define RUN_WHY     "how it is to run"
#define PLACE_WHY   "where it may run"
#define IDENT_WHY   "as whom it runs"
#define POD_WHY     "what runs, as its authors wrote it"
#define ALLOC_WHY   "chosen by a person; an allocated one is dropped"
#define SERVICE_WHY "how the service is to be reached"
#define JOB_WHY     "how often, how long, how many at a time"

/* First match is what `explain` shows: the particular before the general. */
static const struct policy_row rows[] = {
    KEEP(NULL, NULL, "/apiVersion", "in a version that both clusters serve"),
    KEEP(NULL, NULL, "/kind", "what it is"),
    KEEP(NULL, NULL, "/metadata/name", "what others refer to"),
    KEEP(NULL, NULL, "/metadata/namespace", "what others refer to"),
    KEEP(NULL, NULL, "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
         "without it the next kubectl apply could not prune"),
    KEEP(NULL, NULL, "/metadata/labels/**", "selectors and people find it by them"),
    KEEP(NULL, NULL, "/metadata/annotations/**", "read by the tools of its team"),

    KEEP(POLICY_CUSTOM, NULL, "/**", "its own controller gives it its meaning"),

    KEEP("", "ConfigMap", "/data/**", "the content"),
    KEEP("", "ConfigMap", "/binaryData/**", "the content"),
    KEEP("", "ConfigMap", "/immutable", "a promise to those who read it"),
    KEEP("", "Secret", "/data/**", "the content; a token of the source's key is dropped"),
    KEEP("", "Secret", "/stringData/**", "write-only; no server shows it"),
    KEEP("", "Secret", "/immutable", "a promise to those who read it"),
    KEEP("", "Secret", "/type", "what it is for"),
    KEEP("", "ServiceAccount", "/secrets/**", "listed by a person; made tokens are dropped"),
    KEEP("", "ServiceAccount", "/imagePullSecrets/**",
         "given by a person; those of OpenShift's own registry are dropped"),
    KEEP("", "ServiceAccount", "/automountServiceAccountToken", "a choice about its pods"),

    KEEP("", "Service", "/spec/ports/*/nodePort", ALLOC_WHY),
    KEEP("", "Service", "/spec/ports/**", SERVICE_WHY),
    KEEP("", "Service", "/spec/selector/**", "what stands behind it"),
    KEEP("", "Service", "/spec/clusterIP", "None, or chosen and free in the destination's range"),
    KEEP("", "Service", "/spec/clusterIPs/**",
         "None, or chosen and free in the destination's range"),
    KEEP("", "Service", "/spec/type", SERVICE_WHY),
    KEEP("", "Service", "/spec/externalIPs/**",
         "addresses that lead to it; that only one cluster can have them is a hazard of its own"),
    KEEP("", "Service", "/spec/sessionAffinity", SERVICE_WHY),
    KEEP("", "Service", "/spec/sessionAffinityConfig/**", SERVICE_WHY),
    KEEP("", "Service", "/spec/loadBalancerIP",
         "asked for by a person; that only one cluster can have it is a hazard of its own"),
    KEEP("", "Service", "/spec/loadBalancerSourceRanges/**", "who may reach it"),
    KEEP("", "Service", "/spec/externalName", "what it stands for"),
    KEEP("", "Service", "/spec/externalTrafficPolicy", SERVICE_WHY),
    KEEP("", "Service", "/spec/internalTrafficPolicy", SERVICE_WHY),
    KEEP("", "Service", "/spec/trafficDistribution", SERVICE_WHY),
    KEEP("", "Service", "/spec/healthCheckNodePort", ALLOC_WHY),
    KEEP("", "Service", "/spec/publishNotReadyAddresses", SERVICE_WHY),
    KEEP("", "Service", "/spec/ipFamilies/**", "chosen by a person; defaulted ones are dropped"),
    KEEP("", "Service", "/spec/ipFamilyPolicy", "what is asked of the cluster's addresses"),
    KEEP("", "Service", "/spec/allocateLoadBalancerNodePorts", SERVICE_WHY),
    KEEP("", "Service", "/spec/loadBalancerClass", "which controller is to serve it"),
    KEEP("", "Endpoints", "/subsets/**", "written by hand: a controller's are not recreated"),
    KEEP("discovery.k8s.io", "EndpointSlice", "/addressType",
         "written by hand: a controller's are not recreated"),
    KEEP("discovery.k8s.io", "EndpointSlice", "/endpoints/**",
         "written by hand: a controller's are not recreated"),
    KEEP("discovery.k8s.io", "EndpointSlice", "/ports/**",
         "written by hand: a controller's are not recreated"),

    KEEP("", "PersistentVolumeClaim", "/spec/accessModes/**", "what is asked of the storage"),
    KEEP("", "PersistentVolumeClaim", "/spec/selector/**", "what is asked of the storage"),
    KEEP("", "PersistentVolumeClaim", "/spec/resources/**", "what is asked of the storage"),
    KEEP("", "PersistentVolumeClaim", "/spec/volumeName",
         "the volume is recreated, and the claim stays its claim"),
    KEEP("", "PersistentVolumeClaim", "/spec/storageClassName", CLASS_WHY),
    KEEP("", "PersistentVolumeClaim", "/spec/volumeMode", "what is asked of the storage"),
    KEEP("", "PersistentVolumeClaim", "/spec/dataSource/**",
         "what it is to be filled from, where the destination has that"),
    KEEP("", "PersistentVolumeClaim", "/spec/dataSourceRef/**",
         "what it is to be filled from, where the destination has that"),
    KEEP("", "PersistentVolumeClaim", "/spec/volumeAttributesClassName",
         "what is asked of the storage"),
    KEEP("", "PersistentVolume", "/spec/claimRef/**",
         "whom it is reserved for, by name; the uid is dropped"),
    KEEP("", "PersistentVolume", "/spec/storageClassName", CLASS_WHY),
    KEEP("", "PersistentVolume", "/spec/accessModes/**", "what it can do"),
    KEEP("", "PersistentVolume", "/spec/capacity/**", "what it can do"),
    KEEP("", "PersistentVolume", "/spec/mountOptions/**", "how it is mounted"),
    KEEP("", "PersistentVolume", "/spec/volumeMode", "what it can do"),
    KEEP("", "PersistentVolume", "/spec/nodeAffinity/**", "from where it can be reached"),
    KEEP("", "PersistentVolume", "/spec/persistentVolumeReclaimPolicy",
         "Retain; anything else becomes it, since the source's volume names the same storage"),
    KEEP("", "PersistentVolume", "/spec/volumeAttributesClassName", "what it can do"),
    KEEP("", "PersistentVolume", "/spec/awsElasticBlockStore/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/azureDisk/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/azureFile/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/cephfs/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/cinder/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/csi/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/fc/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/flexVolume/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/flocker/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/gcePersistentDisk/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/glusterfs/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/hostPath/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/iscsi/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/local/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/nfs/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/photonPersistentDisk/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/portworxVolume/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/quobyte/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/rbd/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/scaleIO/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/storageos/**", SOURCE_WHY),
    KEEP("", "PersistentVolume", "/spec/vsphereVolume/**", SOURCE_WHY),

    /* A bare Pod. What its node, its scheduler and admission added is in policy.c. */
    KEEP("", "Pod", "/spec/containers/**", POD_WHY),
    KEEP("", "Pod", "/spec/initContainers/**", POD_WHY),
    KEEP("", "Pod", "/spec/volumes/**", POD_WHY),
    KEEP("", "Pod", "/spec/activeDeadlineSeconds", RUN_WHY),
    KEEP("", "Pod", "/spec/dnsConfig/**", RUN_WHY),
    KEEP("", "Pod", "/spec/dnsPolicy", RUN_WHY),
    KEEP("", "Pod", "/spec/enableServiceLinks", RUN_WHY),
    KEEP("", "Pod", "/spec/hostAliases/**", RUN_WHY),
    KEEP("", "Pod", "/spec/hostIPC", RUN_WHY),
    KEEP("", "Pod", "/spec/hostNetwork", RUN_WHY),
    KEEP("", "Pod", "/spec/hostPID", RUN_WHY),
    KEEP("", "Pod", "/spec/hostUsers", RUN_WHY),
    KEEP("", "Pod", "/spec/hostname", RUN_WHY),
    KEEP("", "Pod", "/spec/hostnameOverride", RUN_WHY),
    KEEP("", "Pod", "/spec/os/**", RUN_WHY),
    KEEP("", "Pod", "/spec/overhead/**", "by its runtime class; refused where that says otherwise"),
    KEEP("", "Pod", "/spec/readinessGates/**", RUN_WHY),
    KEEP("", "Pod", "/spec/resources/**", RUN_WHY),
    KEEP("", "Pod", "/spec/restartPolicy", RUN_WHY),
    KEEP("", "Pod", "/spec/runtimeClassName", RUN_WHY),
    KEEP("", "Pod", "/spec/securityContext/**", RUN_WHY),
    KEEP("", "Pod", "/spec/setHostnameAsFQDN", RUN_WHY),
    KEEP("", "Pod", "/spec/shareProcessNamespace", RUN_WHY),
    KEEP("", "Pod", "/spec/subdomain", RUN_WHY),
    KEEP("", "Pod", "/spec/terminationGracePeriodSeconds", RUN_WHY),
    KEEP("", "Pod", "/spec/affinity/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/nodeSelector/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/preemptionPolicy", "by its priority class, like the priority"),
    KEEP("", "Pod", "/spec/priorityClassName", PLACE_WHY),
    KEEP("", "Pod", "/spec/resourceClaims/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/schedulerName", PLACE_WHY),
    KEEP("", "Pod", "/spec/schedulingGates/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/schedulingGroup/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/tolerations/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/topologySpreadConstraints/**", PLACE_WHY),
    KEEP("", "Pod", "/spec/automountServiceAccountToken", IDENT_WHY),
    KEEP("", "Pod", "/spec/imagePullSecrets/**", IDENT_WHY),
    KEEP("", "Pod", "/spec/serviceAccount", IDENT_WHY),
    KEEP("", "Pod", "/spec/serviceAccountName", IDENT_WHY),
    KEEP("", "PodTemplate", "/template/**", POD_WHY),

    KEEP("apps", NULL, "/spec/template/**", POD_WHY),
    KEEP("apps", NULL, "/spec/selector/**", "which pods are its own"),
    KEEP("apps", NULL, "/spec/minReadySeconds", RUN_WHY),
    KEEP("apps", NULL, "/spec/revisionHistoryLimit", RUN_WHY),
    KEEP("apps", NULL, "/spec/replicas", "how many; 0 while it is held"),
    KEEP("apps", NULL, "/spec/updateStrategy/**", RUN_WHY),
    KEEP("apps", "Deployment", "/spec/strategy/**", RUN_WHY),
    KEEP("apps", "Deployment", "/spec/paused", "stopped by a person, and it stays so"),
    KEEP("apps", "Deployment", "/spec/progressDeadlineSeconds", RUN_WHY),
    KEEP("apps", "Deployment", "/spec/rollbackTo/**", "of versions that are served no more"),
    KEEP("apps", "StatefulSet", "/spec/serviceName", "the names of its pods hang on it"),
    KEEP("apps", "StatefulSet", "/spec/podManagementPolicy", RUN_WHY),
    KEEP("apps", "StatefulSet", "/spec/persistentVolumeClaimRetentionPolicy/**",
         "what becomes of the bytes"),
    KEEP("apps", "StatefulSet", "/spec/ordinals/**", "the names of its pods hang on it"),
    KEEP("apps", "StatefulSet", "/spec/volumeClaimTemplates/*/spec/storageClassName", CLASS_WHY),
    KEEP("apps", "StatefulSet", "/spec/volumeClaimTemplates/**", "what is asked of the storage"),
    KEEP("apps", "ControllerRevision", "/data/**", "an orphan's; others are made again"),
    KEEP("apps", "ControllerRevision", "/revision", "an orphan's; others are made again"),
    KEEP("", "ReplicationController", "/spec/template/**", POD_WHY),
    KEEP("", "ReplicationController", "/spec/selector/**", "which pods are its own"),
    KEEP("", "ReplicationController", "/spec/minReadySeconds", RUN_WHY),
    KEEP("", "ReplicationController", "/spec/replicas", "how many; 0 while it is held"),
    KEEP("extensions", NULL, "/spec/**", "of a group that is served no more"),

    KEEP("batch", "CronJob", "/spec/suspend", "its owner's; true while it is held"),
    KEEP("batch", "CronJob", "/spec/schedule", JOB_WHY),
    KEEP("batch", "CronJob", "/spec/timeZone", JOB_WHY),
    KEEP("batch", "CronJob", "/spec/startingDeadlineSeconds", JOB_WHY),
    KEEP("batch", "CronJob", "/spec/concurrencyPolicy", JOB_WHY),
    KEEP("batch", "CronJob", "/spec/successfulJobsHistoryLimit", JOB_WHY),
    KEEP("batch", "CronJob", "/spec/failedJobsHistoryLimit", JOB_WHY),
    KEEP("batch", "CronJob", "/spec/jobTemplate/**", POD_WHY),
    KEEP("batch", "Job", "/spec/suspend", "its owner's; true while it is held"),
    KEEP("batch", "Job", "/spec/template/**", POD_WHY),
    KEEP("batch", "Job", "/spec/manualSelector", "which pods are its own"),
    KEEP("batch", "Job", "/spec/selector/**", "which pods are its own, by hand"),
    KEEP("batch", "Job", "/spec/activeDeadlineSeconds", JOB_WHY),
    KEEP("batch", "Job", "/spec/backoffLimit", JOB_WHY),
    KEEP("batch", "Job", "/spec/backoffLimitPerIndex", JOB_WHY),
    KEEP("batch", "Job", "/spec/completionMode", JOB_WHY),
    KEEP("batch", "Job", "/spec/completions", JOB_WHY),
    KEEP("batch", "Job", "/spec/managedBy", "which controller is to run it"),
    KEEP("batch", "Job", "/spec/maxFailedIndexes", JOB_WHY),
    KEEP("batch", "Job", "/spec/parallelism", JOB_WHY),
    KEEP("batch", "Job", "/spec/podFailurePolicy/**", JOB_WHY),
    KEEP("batch", "Job", "/spec/podReplacementPolicy", JOB_WHY),
    KEEP("batch", "Job", "/spec/successPolicy/**", JOB_WHY),
    KEEP("batch", "Job", "/spec/ttlSecondsAfterFinished", JOB_WHY),

    KEEP("autoscaling", "HorizontalPodAutoscaler", "/spec/**", "what people set"),
    KEEP("policy", "PodDisruptionBudget", "/spec/**", "what people set"),
    KEEP("", "LimitRange", "/spec/**", "what people set"),
    KEEP("", "ResourceQuota", "/spec/**", "what people set"),
    KEEP(NET, "Ingress", "/spec/**", "what people set"),
    KEEP(NET, "IngressClass", "/spec/**", "what people set"),
    KEEP(NET, "NetworkPolicy", "/spec/**", "what people set"),
    KEEP(NET, "ServiceCIDR", "/spec/**", "never written: each cluster has its own ranges"),
    KEEP(NET, "IPAddress", "/spec/**", "written by hand: an allocated one is not recreated"),
    KEEP("node.k8s.io", "RuntimeClass", "/handler", "what the nodes offer"),
    KEEP("node.k8s.io", "RuntimeClass", "/overhead/**", "what people set"),
    KEEP("node.k8s.io", "RuntimeClass", "/scheduling/**", "what people set"),
    KEEP("node.k8s.io", "RuntimeClass", "/spec/**", "of a version that is served no more"),
    KEEP(SCHED, "PriorityClass", "/description", "what people set"),
    KEEP(SCHED, "PriorityClass", "/globalDefault", "what people set"),
    KEEP(SCHED, "PriorityClass", "/preemptionPolicy", "what people set"),
    KEEP(SCHED, "PriorityClass", "/value", "what people set"),
    KEEP(SCHED, "PodGroup", "/spec/**", "what people set"),
    KEEP(SCHED, "Workload", "/spec/**", "what people set"),
    KEEP(STORE, "StorageClass", "/allowVolumeExpansion", "what people set"),
    KEEP(STORE, "StorageClass", "/allowedTopologies/**", "what people set"),
    KEEP(STORE, "StorageClass", "/mountOptions/**", "what people set"),
    KEEP(STORE, "StorageClass", "/parameters/**", "what people set"),
    KEEP(STORE, "StorageClass", "/provisioner", "what people set"),
    KEEP(STORE, "StorageClass", "/reclaimPolicy", "what people set"),
    KEEP(STORE, "StorageClass", "/volumeBindingMode", "what people set"),
    KEEP(STORE, "VolumeAttributesClass", "/driverName", "what people set"),
    KEEP(STORE, "VolumeAttributesClass", "/parameters/**", "what people set"),
    KEEP(STORE, "CSIDriver", "/spec/**", "what the driver's authors set"),
    KEEP(RES, "DeviceClass", "/spec/**", "what people set"),
    KEEP(RES, "DeviceTaintRule", "/spec/**", "what people set"),
    KEEP(RES, "ResourceClaim", "/spec/**", "what is asked of the devices"),
    KEEP(RES, "ResourceClaimTemplate", "/spec/**", "what is asked of the devices"),
    KEEP(RES, "ResourcePoolStatusRequest", "/spec/**", "what is asked"),
    KEEP(CERTS, "ClusterTrustBundle", "/spec/**",
         "whom people trust; the cluster's own is skipped"),

    KEEP(RBAC, "ClusterRole", "/aggregationRule/**", "which roles it is made of"),
    KEEP(RBAC, "ClusterRole", "/rules/**", "what is allowed; of an aggregated one it is dropped"),
    KEEP(RBAC, "Role", "/rules/**", "what is allowed"),
    KEEP(RBAC, NULL, "/roleRef/**", "who may do what"),
    KEEP(RBAC, NULL, "/subjects/**", "who may do what"),
    KEEP(FLOW, "FlowSchema", "/spec/**", "tuned by a person; the cluster's own is skipped"),
    KEEP(FLOW, "PriorityLevelConfiguration", "/spec/**",
         "tuned by a person; the cluster's own is skipped"),
    KEEP(ADM, NULL, "/spec/**", "what is admitted, as people set it"),
    KEEP(ADM, NULL, "/webhooks/*/clientConfig/caBundle",
         "pinned by a person; an injected one is dropped"),
    KEEP(ADM, NULL, "/webhooks/**", "what is admitted, as people set it"),
    KEEP(CRD, "CustomResourceDefinition", "/spec/conversion/webhook/clientConfig/caBundle",
         "pinned by a person; an injected one is dropped"),
    KEEP(CRD, "CustomResourceDefinition", "/spec/**", "the definition"),
    KEEP("apiregistration.k8s.io", "APIService", "/spec/caBundle",
         "pinned by a person; an injected one is dropped"),
    KEEP("apiregistration.k8s.io", "APIService", "/spec/**", "which service answers for the API"),
};

const struct policy_row *policy_keep_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

bool policy_covers(const char *pattern, const char *path) {
    while (*pattern) {
        if (str_eq(pattern, "/**"))
            return true;
        size_t n = 1 + strcspn(pattern + 1, "/"), m = *path ? 1 + strcspn(path + 1, "/") : 0;
        bool star = n == 2 && pattern[1] == '*';
        if (!m || (!star && (n != m || memcmp(pattern, path, n) != 0)))
            return false;
        pattern += n;
        path += m;
    }
    return !*path;
}

static bool of_kind(const struct policy_row *row, const struct kube_resource *r) {
    return str_eq(row->group, POLICY_CUSTOM) ? order_is_custom(r) : policy_matches(row, r);
}

const struct policy_row *policy_kept_by(const struct kube_resource *r, const char *path) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (of_kind(&rows[i], r) && policy_covers(rows[i].path, path))
            return &rows[i];
    return NULL;
}
