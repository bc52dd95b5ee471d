/* The field policy: what a cluster fills in by itself, and what becomes of it. Facts and sources in
 * docs/OBJECTS.md. A field that no row names is kept; what is kept on purpose: policy_keep.c. */
#include "migrate/facts.h"
#include "migrate/scrub.h"

#define NET  "networking.k8s.io"
#define RBAC "rbac.authorization.k8s.io"
#define ADM  "admissionregistration.k8s.io"

static bool user_owns_spec(const struct scrub *s, const char *field) {
    return facts_user_owns(s->orig, (const char *const[]){"f:spec", field, NULL});
}

/* spec of what `kubectl apply` was last given, or NULL. Lives in the scrub's document. */
static yyjson_val *last_applied_spec(const struct scrub *s) {
    const char *text = json_str(s->orig, "metadata", "annotations",
                                "kubectl.kubernetes.io/last-applied-configuration");
    yyjson_doc *d = text ? yyjson_read_opts((char *)(uintptr_t)text, strlen(text),
                                            YYJSON_READ_NUMBER_AS_RAW, &s->doc->alc, NULL)
                         : NULL;
    return json_get(yyjson_doc_get_root(d), "spec");
}

static bool applied_node_port(const struct scrub *s, int64_t number) {
    yyjson_val *ports = json_get(last_applied_spec(s), "ports"), *p;
    size_t i, max;
    yyjson_arr_foreach (ports, i, max, p) {
        if (json_int(json_get(p, "nodePort"), -1) == number)
            return true;
    }
    return false;
}

/* Was this number asked for by a person? last-applied says so (kubectl apply), or a field manager
 * outside the control plane owns it: an allocated one is owned by nobody. Each port of a Service
 * by itself: one may be chosen and its neighbour allocated. */
static bool allocated_node_port(const struct scrub *s, yyjson_mut_val *parent,
                                yyjson_mut_val *val) {
    const char *protocol = json_mut_str(parent, "protocol");
    AUTO_SB key = SB_INIT(0);
    sb_fmt(&key, "k:{\"port\":%lld,\"protocol\":\"%s\"}",
           (long long)json_mut_int(json_mut_get(parent, "port"), 0), protocol ? protocol : "TCP");
    const char *const path[] = {"f:spec", "f:ports", sb_get(&key), "f:nodePort", NULL};
    return !facts_user_owns(s->orig, path) && !applied_node_port(s, json_mut_int(val, -2));
}

static bool allocated_health_port(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                                  yyjson_mut_val *val UNUSED) {
    return !user_owns_spec(s, "f:healthCheckNodePort");
}

static const char *cluster_ip(const struct scrub *s) {
    return json_str(s->orig, "spec", "clusterIP");
}

/* Headless stays headless; an address that a person chose stays if the destination can have it. */
static bool allocated_cluster_ip(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                                 yyjson_mut_val *val UNUSED) {
    const char *ip = cluster_ip(s);
    if (str_eq(ip, "None"))
        return false;
    bool asked = user_owns_spec(s, "f:clusterIP") || user_owns_spec(s, "f:clusterIPs");
    return !(asked && s->env && s->env->service_ip_fits &&
             s->env->service_ip_fits(s->env->ctx, ip));
}

static bool defaulted_families(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                               yyjson_mut_val *val UNUSED) {
    return !user_owns_spec(s, "f:ipFamilies");
}

static bool volume_stays_behind(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                                yyjson_mut_val *val) {
    return !(s->env && s->env->volume_moves &&
             s->env->volume_moves(s->env->ctx, yyjson_mut_get_str(val)));
}

/* dataSource as well as dataSourceRef. */
static bool source_is_gone(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                           yyjson_mut_val *val) {
    const char *group = json_mut_str(val, "apiGroup"), *ns = json_mut_str(val, "namespace");
    const char *kind = json_mut_str(val, "kind"), *name = json_mut_str(val, "name");
    return kind && name && s->env && s->env->source_there &&
           !s->env->source_there(s->env->ctx, group ? group : "", kind,
                                 ns ? ns : json_str(s->orig, "metadata", "namespace"), name);
}

static bool generated_job_selector(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                                   yyjson_mut_val *val UNUSED) {
    return !yyjson_is_true(json_get(s->orig, "spec", "manualSelector"));
}

static bool is_token_secret(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                            yyjson_mut_val *val UNUSED) {
    return str_eq(json_str(s->orig, "type"), "kubernetes.io/service-account-token");
}

static bool is_aggregated(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                          yyjson_mut_val *val UNUSED) {
    return yyjson_is_obj(json_get(s->orig, "aggregationRule"));
}

static bool ca_injected(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                        yyjson_mut_val *val UNUSED) {
    yyjson_val *an = json_get(s->orig, "metadata", "annotations"), *key, *v;
    size_t i, max;
    if (!an) /* yyjson computes with the address */
        return false;
    json_obj_foreach (an, i, max, key, v) {
        const char *k = yyjson_get_str(key);
        if (str_starts(k, "cert-manager.io/inject-") ||
            str_eq(k, "service.beta.openshift.io/inject-cabundle"))
            return true;
    }
    return false;
}

static bool is_api_access(const struct scrub *s UNUSED, yyjson_mut_val *parent UNUSED,
                          yyjson_mut_val *val) {
    return str_starts(json_mut_str(val, "name"), "kube-api-access-");
}

/* The pull secret that OpenShift gave the account for its own registry. */
static bool is_registry_ref(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                            yyjson_mut_val *val) {
    const char *ref = json_str(s->orig, "metadata", "annotations",
                               "openshift.io/internal-registry-pull-secret-ref");
    return ref && str_eq(ref, json_mut_str(val, "name"));
}

/* The reference to a token that the token controller made, by its shape (the name alone may begin
 * like one that a person made): the destination makes its own. */
static bool is_auto_token_ref(const struct scrub *s, yyjson_mut_val *parent, yyjson_mut_val *val) {
    const char *sa = json_str(s->orig, "metadata", "name"), *ref = json_mut_str(val, "name");
    return is_registry_ref(s, parent, val) || facts_token_name(ref, sa);
}

static bool is_empty(const struct scrub *s UNUSED, yyjson_mut_val *parent UNUSED,
                     yyjson_mut_val *val) {
    return yyjson_mut_get_len(val) == 0;
}

static bool is_null(const struct scrub *s UNUSED, yyjson_mut_val *parent UNUSED,
                    yyjson_mut_val *val) {
    return yyjson_mut_is_null(val);
}

static bool is_generated_host(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                              yyjson_mut_val *val UNUSED) {
    return str_eq(json_str(s->orig, "metadata", "annotations", "openshift.io/host.generated"),
                  "true");
}

static yyjson_mut_val *map_storage_class(const struct scrub *s, yyjson_mut_val *val) {
    const char *name = yyjson_mut_get_str(val), *to = NULL;
    if (s->side == SCRUB_SOURCE && name && s->env && s->env->storage_class)
        to = s->env->storage_class(s->env->ctx, name);
    return to ? yyjson_mut_strcpy(s->doc, to) : val;
}

/* Two volumes that name one storage: deleting either must not take the bytes from under the other.
 * Only on the way: what the destination says is what is compared with it. */
static yyjson_mut_val *retain(const struct scrub *s, yyjson_mut_val *val) {
    bool other = s->side == SCRUB_SOURCE && !str_eq(yyjson_mut_get_str(val), "Retain");
    return other ? yyjson_mut_str(s->doc, "Retain") : val;
}

/* The caller compares owners and writes the references anew (world_body). */
static yyjson_mut_val *take_out(const struct scrub *s UNUSED, yyjson_mut_val *val UNUSED) {
    return NULL;
}

/* Until 1.33 or so the API server printed an unset creationTimestamp of a template as null. */
#define NULL_TIME(g, k, path)                                                                      \
    {                                                                                              \
        g, k, path "/metadata/creationTimestamp", FIELD_DROP, is_null, NULL,                       \
            "an unset time, printed by older API servers only"                                     \
    }
#define META(field, why_)                                                                          \
    { NULL, NULL, "/metadata/" field, FIELD_DROP, NULL, NULL, why_ }
#define NOTE(g, k, note, why_)                                                                     \
    { g, k, "/metadata/annotations/" note, FIELD_DROP, NULL, NULL, why_ }
#define DROP(g, k, path, why_)                                                                     \
    { g, k, path, FIELD_DROP, NULL, NULL, why_ }
#define DROP_IF(g, k, path, when, why_)                                                            \
    { g, k, path, FIELD_DROP, when, NULL, why_ }
#define REWRITE(g, k, path, fn, why_)                                                              \
    { g, k, path, FIELD_REWRITE, NULL, fn, why_ }

static const struct policy_row rows[] = {
    META("uid", "each cluster gives its own"),
    META("resourceVersion", "counts the writes of one cluster's store"),
    META("generation", "counts changes of the spec in one cluster"),
    META("creationTimestamp", "the destination sets its own"),
    META("selfLink", "removed from the API"),
    META("deletionTimestamp", "a state of the object in one cluster"),
    META("deletionGracePeriodSeconds", "a state of the object in one cluster"),
    META("managedFields", "kept by the API server; a body's own is ignored"),
    META("generateName", "the name is settled"),
    META("finalizers", "their controller adds them again; without it the object could not be "
                       "deleted"),
    REWRITE(NULL, NULL, "/metadata/ownerReferences", take_out,
            "written anew for the owners that go over, with their uids in the destination"),
    DROP(NULL, NULL, "/status", "observed by the cluster, not wished"),

    NULL_TIME("apps", NULL, "/spec/template"),
    NULL_TIME("apps", "StatefulSet", "/spec/volumeClaimTemplates/*"),
    NULL_TIME("", "ReplicationController", "/spec/template"),
    NULL_TIME("batch", "Job", "/spec/template"),
    NULL_TIME("batch", "CronJob", "/spec/jobTemplate"),
    NULL_TIME("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    NULL_TIME("", "PodTemplate", "/template"),
    NULL_TIME("resource.k8s.io", "ResourceClaimTemplate", "/spec"),
    NULL_TIME("", "Pod", "/spec/volumes/*/ephemeral/volumeClaimTemplate"),
    NULL_TIME("", "ReplicationController",
              "/spec/template/spec/volumes/*/ephemeral/volumeClaimTemplate"),
    NULL_TIME("", "PodTemplate", "/template/spec/volumes/*/ephemeral/volumeClaimTemplate"),
    NULL_TIME("apps", NULL, "/spec/template/spec/volumes/*/ephemeral/volumeClaimTemplate"),
    NULL_TIME("batch", "Job", "/spec/template/spec/volumes/*/ephemeral/volumeClaimTemplate"),
    NULL_TIME("batch", "CronJob",
              "/spec/jobTemplate/spec/template/spec/volumes/*/ephemeral/volumeClaimTemplate"),

    NOTE("apps", NULL, "deployment.kubernetes.io~1revision", "counted by the controller"),
    NOTE("apps", NULL, "deployment.kubernetes.io~1desired-replicas", "kept by the controller"),
    NOTE("apps", NULL, "deployment.kubernetes.io~1max-replicas", "kept by the controller"),
    NOTE("apps", NULL, "deployment.kubernetes.io~1revision-history", "kept by the controller"),
    NOTE("apps", "DaemonSet", "deprecated.daemonset.template.generation",
         "counted by the controller"),
    NOTE("", NULL, "control-plane.alpha.kubernetes.io~1leader", "a lock held in one cluster"),
    NOTE("", "Endpoints", "endpoints.kubernetes.io~1last-change-trigger-time",
         "kept by the controller"),
    NOTE("autoscaling", NULL, "autoscaling.alpha.kubernetes.io~1conditions", "status as a note"),
    NOTE("autoscaling", NULL, "autoscaling.alpha.kubernetes.io~1current-metrics",
         "status as a note"),
    NOTE("", "Secret", "kubernetes.io~1service-account.uid",
         "names the account's uid in the source; the token controller deletes a Secret that does"),
    NOTE("", NULL, "cloud.google.com~1neg-status", "state of a cloud resource of one cluster"),
    NOTE("", "Pod", "cni.projectcalico.org~1podIP", "address in one cluster"),
    NOTE("", "Pod", "cni.projectcalico.org~1podIPs", "address in one cluster"),
    NOTE("", "Pod", "cni.projectcalico.org~1containerID", "a container of one cluster"),
    NOTE("", "Pod", "k8s.v1.cni.cncf.io~1network-status", "address in one cluster"),
    NOTE("batch", "CronJob", "batch.kubernetes.io~1cronjob-scheduled-timestamp",
         "set by the controller"),
    NOTE("", "PersistentVolumeClaim", "pv.kubernetes.io~1bind-completed",
         "a claim that says so without a volume that agrees is Lost"),
    NOTE("", "PersistentVolumeClaim", "pv.kubernetes.io~1bound-by-controller",
         "set by the controller when it binds"),
    NOTE("", "PersistentVolumeClaim", "volume.kubernetes.io~1selected-node",
         "a node of one cluster"),
    NOTE("", "PersistentVolumeClaim", "volume.kubernetes.io~1storage-provisioner",
         "set by the controller"),
    NOTE("", "PersistentVolumeClaim", "volume.beta.kubernetes.io~1storage-provisioner",
         "set by the controller"),
    NOTE("", "PersistentVolume", "pv.kubernetes.io~1bound-by-controller",
         "set by the controller when it binds"),

    DROP("", "Namespace", "/metadata/labels/kubernetes.io~1metadata.name",
         "set by the API server on every namespace"),
    DROP("", "Namespace", "/spec", "holds nothing but the API server's finalizer"),

    DROP_IF("", "Service", "/spec/clusterIP", allocated_cluster_ip,
            "allocated by the cluster; None and chosen addresses stay"),
    DROP_IF("", "Service", "/spec/clusterIPs", allocated_cluster_ip,
            "allocated by the cluster; None and chosen addresses stay"),
    DROP_IF("", "Service", "/spec/ipFamilies", defaulted_families,
            "follows the cluster's address families"),
    DROP_IF("", "Service", "/spec/ports/*/nodePort", allocated_node_port,
            "allocated by the cluster; a port that a person chose stays"),
    DROP_IF("", "Service", "/spec/healthCheckNodePort", allocated_health_port,
            "allocated by the cluster; a port that a person chose stays"),

    DROP_IF("", "PersistentVolumeClaim", "/spec/volumeName", volume_stays_behind,
            "names a volume that is not recreated"),
    DROP_IF("", "PersistentVolumeClaim", "/spec/dataSource", source_is_gone,
            "it was filled from what is gone: a new claim would wait for that for ever"),
    DROP_IF("", "PersistentVolumeClaim", "/spec/dataSourceRef", source_is_gone,
            "it was filled from what is gone: a new claim would wait for that for ever"),
    REWRITE("", "PersistentVolumeClaim", "/spec/storageClassName", map_storage_class,
            "storageClasses of the configuration"),
    REWRITE("", "PersistentVolume", "/spec/storageClassName", map_storage_class,
            "storageClasses of the configuration"),
    REWRITE("", "PersistentVolume", "/spec/persistentVolumeReclaimPolicy", retain,
            "Retain, since the source's volume names the same storage: the end of the claim in the "
            "destination would delete it for both"),
    REWRITE("apps", "StatefulSet", "/spec/volumeClaimTemplates/*/spec/storageClassName",
            map_storage_class, "storageClasses of the configuration"),
    DROP("apps", "StatefulSet", "/spec/volumeClaimTemplates/*/status",
         "filled in by the API server"),
    DROP("", "PersistentVolume", "/spec/claimRef/uid",
         "the claim has another uid in the destination; without it the volume is reserved by name"),
    DROP("", "PersistentVolume", "/spec/claimRef/resourceVersion", "of the source's store"),

    DROP("", "Pod", "/spec/nodeName", "chosen by the scheduler"),
    DROP("", "Pod", "/metadata/labels/topology.kubernetes.io~1zone",
         "copied from its node by an admission plugin from 1.35 on"),
    DROP("", "Pod", "/metadata/labels/topology.kubernetes.io~1region",
         "copied from its node by an admission plugin from 1.35 on"),
    DROP("", "Pod", "/spec/priority", "computed from the priority class"),
    DROP("", "Pod", "/spec/ephemeralContainers", "added to a running pod by hand"),
    DROP_IF("", "Pod", "/spec/volumes/*", is_api_access, "added by the ServiceAccount admission"),
    DROP_IF("", "Pod", "/spec/containers/*/volumeMounts/*", is_api_access,
            "added by the ServiceAccount admission"),
    DROP_IF("", "Pod", "/spec/initContainers/*/volumeMounts/*", is_api_access,
            "added by the ServiceAccount admission"),

    DROP_IF("batch", "Job", "/spec/selector", generated_job_selector,
            "made from the Job's uid in the source"),
    DROP_IF("batch", "Job", "/spec/template/metadata/labels/controller-uid", generated_job_selector,
            "the Job's uid in the source"),
    DROP_IF("batch", "Job", "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid",
            generated_job_selector, "the Job's uid in the source"),
    DROP_IF("batch", "Job", "/spec/template/metadata/labels/job-name", generated_job_selector,
            "set by the API server"),
    DROP_IF("batch", "Job", "/spec/template/metadata/labels/batch.kubernetes.io~1job-name",
            generated_job_selector, "set by the API server"),
    DROP_IF("batch", "Job", "/metadata/labels/controller-uid", generated_job_selector,
            "the Job's uid in the source"),
    DROP_IF("batch", "Job", "/metadata/labels/batch.kubernetes.io~1controller-uid",
            generated_job_selector, "the Job's uid in the source"),
    DROP_IF("batch", "Job", "/metadata/labels/job-name", generated_job_selector,
            "set by the API server"),
    DROP_IF("batch", "Job", "/metadata/labels/batch.kubernetes.io~1job-name",
            generated_job_selector, "set by the API server"),

    DROP_IF("", "ServiceAccount", "/secrets/*", is_auto_token_ref,
            "a token that the source's controller made"),
    DROP_IF("", "ServiceAccount", "/secrets", is_empty, "nothing left in it"),
    DROP_IF("", "ServiceAccount", "/imagePullSecrets/*", is_registry_ref,
            "made by OpenShift for the registry inside one cluster"),
    DROP_IF("", "ServiceAccount", "/imagePullSecrets", is_empty, "nothing left in it"),
    NOTE("", "ServiceAccount", "openshift.io~1internal-registry-pull-secret-ref",
         "set by OpenShift for the registry inside one cluster"),
    DROP_IF("route.openshift.io", "Route", "/spec/host", is_generated_host,
            "made from the source's own domain"),
    NOTE("route.openshift.io", "Route", "openshift.io~1host.generated",
         "set by the API server when it makes a host name"),
    DROP_IF("", "Secret", "/data", is_token_secret, "a token signed by the source's key"),
    DROP_IF("", "Secret", "/metadata/labels/kubernetes.io~1legacy-token-last-used", is_token_secret,
            "set by the API server"),
    DROP_IF("", "Secret", "/metadata/labels/kubernetes.io~1legacy-token-invalid-since",
            is_token_secret, "set by the controller"),

    DROP_IF(RBAC, "ClusterRole", "/rules", is_aggregated,
            "filled in by the aggregation controller"),
    DROP_IF("apiextensions.k8s.io", "CustomResourceDefinition",
            "/spec/conversion/webhook/clientConfig/caBundle", ca_injected,
            "injected by a controller of the source"),
    DROP_IF(ADM, NULL, "/webhooks/*/clientConfig/caBundle", ca_injected,
            "injected by a controller of the source"),
    DROP_IF("apiregistration.k8s.io", "APIService", "/spec/caBundle", ca_injected,
            "injected by a controller of the source"),
};

const char *field_fate_name(enum field_fate f) {
    static const char *const names[] = {"drop", "rewrite", "keep"};
    return names[f];
}

const struct policy_row *policy_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

bool policy_matches(const struct policy_row *r, const struct kube_resource *k) {
    return (!r->group || str_eq(r->group, k->group)) && (!r->kind || str_eq(r->kind, k->kind));
}
