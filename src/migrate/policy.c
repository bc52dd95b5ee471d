/* The field policy: what a cluster fills in by itself, and what becomes of it. Facts and sources in
 * docs/OBJECTS.md. A field that no row names is kept. */
#include "migrate/facts.h"
#include "migrate/scrub.h"

#define NET  "networking.k8s.io"
#define RBAC "rbac.authorization.k8s.io"
#define ADM  "admissionregistration.k8s.io"

static bool user_owns_spec(const struct scrub *s, const char *field) {
    return facts_user_owns(s->orig, (const char *const[]){"f:spec", field, NULL});
}

/* Was this number asked for by a person? last-applied says so (kubectl apply), or a field manager
 * outside the control plane owns it: an allocated one is owned by nobody. */
static bool allocated_node_port(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                                yyjson_mut_val *val) {
    const char *last = json_str(s->orig, "metadata", "annotations",
                                "kubectl.kubernetes.io/last-applied-configuration");
    if (facts_user_owns(s->orig,
                        (const char *const[]){"f:spec", "f:ports", "*", "f:nodePort", NULL}))
        return false;
    AUTO_SB want = SB_INIT(64);
    sb_fmt(&want, "\"nodePort\":%lld", (long long)json_mut_int(val, -1));
    return !(last && strstr(last, want.p));
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
    yyjson_obj_foreach (an, i, max, key, v) {
        if (str_starts(yyjson_get_str(key), "cert-manager.io/inject-"))
            return true;
    }
    return false;
}

static bool is_api_access(const struct scrub *s UNUSED, yyjson_mut_val *parent UNUSED,
                          yyjson_mut_val *val) {
    return str_starts(json_mut_str(val, "name"), "kube-api-access-");
}

/* The reference to a token that the token controller made: the destination makes its own. */
static bool is_auto_token_ref(const struct scrub *s, yyjson_mut_val *parent UNUSED,
                              yyjson_mut_val *val) {
    const char *sa = json_str(s->orig, "metadata", "name"), *ref = json_mut_str(val, "name");
    return sa && str_starts(ref, sa) &&
           (str_starts(ref + strlen(sa), "-token-") || str_starts(ref + strlen(sa), "-dockercfg-"));
}

static bool is_empty(const struct scrub *s UNUSED, yyjson_mut_val *parent UNUSED,
                     yyjson_mut_val *val) {
    return yyjson_mut_get_len(val) == 0;
}

static bool is_null(const struct scrub *s UNUSED, yyjson_mut_val *parent UNUSED,
                    yyjson_mut_val *val) {
    return yyjson_mut_is_null(val);
}

static yyjson_mut_val *map_storage_class(const struct scrub *s, yyjson_mut_val *val) {
    const char *name = yyjson_mut_get_str(val), *to = NULL;
    if (s->side == SCRUB_SOURCE && name && s->env && s->env->storage_class)
        to = s->env->storage_class(s->env->ctx, name);
    return to ? yyjson_mut_strcpy(s->doc, to) : val;
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
    DROP(NULL, NULL, "/status", "observed by the cluster, not wished"),

    NULL_TIME("apps", NULL, "/spec/template"),
    NULL_TIME("apps", "StatefulSet", "/spec/volumeClaimTemplates/*"),
    NULL_TIME("", "ReplicationController", "/spec/template"),
    NULL_TIME("batch", "Job", "/spec/template"),
    NULL_TIME("batch", "CronJob", "/spec/jobTemplate"),
    NULL_TIME("batch", "CronJob", "/spec/jobTemplate/spec/template"),

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
    REWRITE("", "PersistentVolumeClaim", "/spec/storageClassName", map_storage_class,
            "storageClasses of the configuration"),
    REWRITE("", "PersistentVolume", "/spec/storageClassName", map_storage_class,
            "storageClasses of the configuration"),
    REWRITE("apps", "StatefulSet", "/spec/volumeClaimTemplates/*/spec/storageClassName",
            map_storage_class, "storageClasses of the configuration"),
    DROP("apps", "StatefulSet", "/spec/volumeClaimTemplates/*/status",
         "filled in by the API server"),
    DROP("", "PersistentVolume", "/spec/claimRef/uid",
         "the claim has another uid in the destination; without it the volume is reserved by name"),
    DROP("", "PersistentVolume", "/spec/claimRef/resourceVersion", "of the source's store"),

    DROP("", "Pod", "/spec/nodeName", "chosen by the scheduler"),
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

const struct policy_row *policy_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

bool policy_matches(const struct policy_row *r, const struct kube_resource *k) {
    return (!r->group || str_eq(r->group, k->group)) && (!r->kind || str_eq(r->kind, k->kind));
}
