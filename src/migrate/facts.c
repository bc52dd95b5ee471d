#include "migrate/facts.h"

#include "migrate/hold.h"

static yyjson_val *label(yyjson_val *b, const char *key) {
    return json_get(b, "metadata", "labels", key);
}

static yyjson_val *annotation(yyjson_val *b, const char *key) {
    return json_get(b, "metadata", "annotations", key);
}

/* Components that write on behalf of the cluster itself; KEP-555 names, plus kubeadm's. */
static const char *const system_managers[] = {
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "cloud-controller-manager",
    "kubeadm",
    "api-priority-and-fairness-config-consumer-v1",
    "api-priority-and-fairness-config-producer-v1",
    "service-account-controller",
    "node-controller",
};

/* OpenShift's controllers name themselves openshift.io/CONTROLLER. */
bool facts_system_manager(const char *name) {
    for (size_t i = 0; i < COUNT_OF(system_managers); i++)
        if (str_eq(name, system_managers[i]))
            return true;
    return str_starts(name, "openshift.io/") || str_eq(name, "openshift-controller-manager");
}

bool facts_system_made(yyjson_val *body) {
    yyjson_val *mf = json_get(body, "metadata", "managedFields"), *m;
    size_t i, max;
    if (yyjson_arr_size(mf) == 0)
        return false;
    yyjson_arr_foreach (mf, i, max, m) {
        if (!facts_system_manager(json_str(m, "manager")))
            return false;
    }
    return true;
}

static bool owns(yyjson_val *fields, const char *const *path) {
    if (!fields)
        return false;
    if (!*path)
        return true;
    if (!str_eq(*path, "*"))
        return owns(yyjson_obj_get(fields, *path), path + 1);
    size_t i, max;
    yyjson_val *key, *val;
    json_obj_foreach (fields, i, max, key, val) {
        if (!str_eq(yyjson_get_str(key), ".") && owns(val, path + 1))
            return true;
    }
    return false;
}

bool facts_user_owns(yyjson_val *body, const char *const *path) {
    yyjson_val *mf = json_get(body, "metadata", "managedFields"), *m;
    size_t i, max;
    yyjson_arr_foreach (mf, i, max, m) {
        if (!facts_system_manager(json_str(m, "manager")) && owns(json_get(m, "fieldsV1"), path))
            return true;
    }
    return false;
}

static bool is_deleting(yyjson_val *b) {
    return json_get(b, "metadata", "deletionTimestamp") != NULL;
}

static bool bootstrap_label(yyjson_val *b) {
    return str_eq(yyjson_get_str(label(b, "kubernetes.io/bootstrapping")), "rbac-defaults");
}

static bool bootstrap_rbac(yyjson_val *b) {
    return bootstrap_label(b) || str_starts(json_str(b, "metadata", "name"), "kubeadm:");
}

/* The API server labels all that it makes; charts and cloud providers use the prefix too. */
static bool system_name(yyjson_val *b) {
    return !bootstrap_label(b) && str_starts(json_str(b, "metadata", "name"), "system:");
}

static bool token(yyjson_val *b) {
    return str_eq(json_str(b, "type"), "kubernetes.io/service-account-token");
}

bool facts_token_name(const char *name, const char *account) {
    if (!name || !account || !str_starts(name, account))
        return false;
    const char *tail = name + strlen(account);
    size_t n = str_starts(tail, "-token-") ? 7 : str_starts(tail, "-dockercfg-") ? 11 : 0;
    return n && strlen(tail) == n + 5 && strspn(tail + n, "bcdfghjklmnpqrstvwxz2456789") == 5;
}

static bool token_shape(yyjson_val *b) {
    return token(b) &&
           facts_token_name(json_str(b, "metadata", "name"),
                            yyjson_get_str(annotation(b, "kubernetes.io/service-account.name")));
}

static bool bootstrap_token(yyjson_val *b) {
    return str_eq(json_str(b, "type"), "bootstrap.kubernetes.io/token");
}

static bool has_selector(yyjson_val *b) {
    return yyjson_obj_size(json_get(b, "spec", "selector")) > 0;
}

static bool managed_endpoints(yyjson_val *b) {
    const char *slice = yyjson_get_str(label(b, "endpointslice.kubernetes.io/managed-by"));
    const char *ep = yyjson_get_str(label(b, "endpoints.kubernetes.io/managed-by"));
    return str_eq(slice, "endpointslice-controller.k8s.io") ||
           str_eq(slice, "endpointslicemirroring-controller.k8s.io") ||
           str_eq(ep, "endpoint-controller");
}

static bool leader(yyjson_val *b) {
    return annotation(b, "control-plane.alpha.kubernetes.io/leader") != NULL;
}

static bool ip_allocated(yyjson_val *b) {
    return str_eq(yyjson_get_str(label(b, "ipaddress.kubernetes.io/managed-by")),
                  "ipallocator.k8s.io");
}

static bool apf_auto(yyjson_val *b) {
    const char *name = json_str(b, "metadata", "name");
    return str_eq(yyjson_get_str(annotation(b, "apf.kubernetes.io/autoupdate-spec")), "true") ||
           str_eq(name, "exempt") || str_eq(name, "catch-all");
}

static bool apiservice_auto(yyjson_val *b) {
    yyjson_val *svc = json_get(b, "spec", "service");
    return label(b, "kube-aggregator.kubernetes.io/automanaged") || !svc || yyjson_is_null(svc);
}

static bool mirror(yyjson_val *b) {
    return annotation(b, "kubernetes.io/config.mirror") != NULL;
}

static bool pod_finished(yyjson_val *b) {
    const char *phase = json_str(b, "status", "phase");
    return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static bool job_finished(yyjson_val *b) {
    yyjson_val *conds = json_get(b, "status", "conditions"), *c;
    size_t i, max;
    yyjson_arr_foreach (conds, i, max, c) {
        const char *type = json_str(c, "type");
        if ((str_eq(type, "Complete") || str_eq(type, "Failed")) &&
            str_eq(json_str(c, "status"), "True"))
            return true;
    }
    return false;
}

static bool suspended(yyjson_val *b) {
    return yyjson_is_true(json_get(b, "spec", "suspend"));
}

static bool pv_dynamic(yyjson_val *b) {
    return annotation(b, "pv.kubernetes.io/provisioned-by") != NULL;
}

static bool aggregated(yyjson_val *b) {
    return yyjson_is_obj(json_get(b, "aggregationRule"));
}

static bool kubernetes_signer(yyjson_val *b) {
    return str_starts(json_str(b, "spec", "signerName"), "kubernetes.io/");
}

static bool olm_copy(yyjson_val *b) {
    return label(b, "olm.copiedFrom") != NULL;
}

static bool hold_asked(yyjson_val *b) {
    const char *v = yyjson_get_str(annotation(b, "tandem.dev/hold"));
    return v && !str_eq(v, "false");
}

static bool hold_refused(yyjson_val *b) {
    return str_eq(yyjson_get_str(annotation(b, "tandem.dev/hold")), "false");
}

/* Scalers of KEDA (keda.sh/docs/latest/scalers) that take work which is there once for both
 * clusters. The others measure load, of which each cluster has its own, or the time. */
static bool is_queue(const char *type) {
    static const char *const types[] = {"activemq",
                                        "apache-kafka",
                                        "artemis-queue",
                                        "aws-dynamodb-streams",
                                        "aws-kinesis-stream",
                                        "aws-sqs-queue",
                                        "azure-blob",
                                        "azure-eventhub",
                                        "azure-pipelines",
                                        "azure-queue",
                                        "azure-servicebus",
                                        "beanstalkd",
                                        "gcp-cloudtasks",
                                        "gcp-pubsub",
                                        "gcp-storage",
                                        "github-runner",
                                        "ibmmq",
                                        "kafka",
                                        "liiklus",
                                        "nats-jetstream",
                                        "nsq",
                                        "pulsar",
                                        "rabbitmq",
                                        "redis",
                                        "redis-cluster",
                                        "redis-cluster-streams",
                                        "redis-sentinel",
                                        "redis-sentinel-streams",
                                        "redis-streams",
                                        "solace-event-queue",
                                        "stan",
                                        "temporal"};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_eq(types[i], type))
            return true;
    return false;
}

static bool scales_consumers(yyjson_val *b) {
    yyjson_val *triggers = json_get(b, "spec", "triggers"), *t;
    size_t i, max;
    yyjson_arr_foreach (triggers, i, max, t) {
        if (is_queue(json_str(t, "type")))
            return true;
    }
    return false;
}

static bool syncs_alone(yyjson_val *b) {
    return yyjson_is_obj(json_get(b, "spec", "syncPolicy", "automated"));
}

/* Absent is false (kubeflow/pipelines ScheduledWorkflowSpec). */
static bool enabled(yyjson_val *b) {
    return yyjson_is_true(json_get(b, "spec", "enabled"));
}

static bool workflow_finished(yyjson_val *b) {
    const char *phase = json_str(b, "status", "phase");
    return str_eq(phase, "Succeeded") || str_eq(phase, "Failed") || str_eq(phase, "Error");
}

static bool registry_token(yyjson_val *b) {
    return annotation(b, "openshift.io/internal-registry-auth-token.service-account") != NULL;
}

/* An account that carries nothing but its name. */
static bool bare_account(yyjson_val *b) {
    static const char *const members[] = {"imagePullSecrets", "secrets"};
    static const char *const notes[] = {"labels", "annotations"};
    for (size_t i = 0; i < 2; i++)
        if (json_get(b, members[i]) || json_get(b, "metadata", notes[i]))
            return false;
    return json_get(b, "automountServiceAccountToken") == NULL;
}

static bool snapshot_bound(yyjson_val *b) {
    return json_get(b, "spec", "source", "volumeHandle") != NULL;
}

/* Sources of the markers: reference of well-known labels and annotations
 * (kubernetes.io/docs/reference/labels-annotations-taints) and the controllers that set them. */
static const struct {
    enum fact fact;
    const char *group, *kind; /* NULL: any */
    bool (*test)(yyjson_val *body);
} table[] = {
    {FACT_DELETING, NULL, NULL, is_deleting},
    {FACT_SYSTEM_MADE, NULL, NULL, facts_system_made},
    {FACT_HOLD_ASKED, NULL, NULL, hold_asked},
    {FACT_HOLD_REFUSED, NULL, NULL, hold_refused},
    {FACT_ACTS, "keda.sh", "ScaledObject", scales_consumers},
    {FACT_ACTS, "argoproj.io", "Application", syncs_alone},
    {FACT_ACTS, "kubeflow.org", "ScheduledWorkflow", enabled},
    {FACT_FINISHED, "argoproj.io", "Workflow", workflow_finished},
    {FACT_BOOTSTRAP_RBAC, "rbac.authorization.k8s.io", NULL, bootstrap_rbac},
    {FACT_SYSTEM_NAME, "rbac.authorization.k8s.io", NULL, system_name},
    {FACT_AGGREGATED, "rbac.authorization.k8s.io", "ClusterRole", aggregated},
    {FACT_TOKEN, "", "Secret", token},
    {FACT_TOKEN_SHAPE, "", "Secret", token_shape},
    {FACT_BOOTSTRAP_TOKEN, "", "Secret", bootstrap_token},
    {FACT_REGISTRY_TOKEN, "", "Secret", registry_token},
    {FACT_SELECTOR, "", "Service", has_selector},
    {FACT_MANAGED_ENDPOINTS, "", "Endpoints", managed_endpoints},
    {FACT_MANAGED_ENDPOINTS, "discovery.k8s.io", "EndpointSlice", managed_endpoints},
    {FACT_LEADER, "", NULL, leader},
    {FACT_IP_ALLOCATED, "networking.k8s.io", "IPAddress", ip_allocated},
    {FACT_APF_AUTO, "flowcontrol.apiserver.k8s.io", NULL, apf_auto},
    {FACT_APISERVICE_AUTO, "apiregistration.k8s.io", "APIService", apiservice_auto},
    {FACT_MIRROR, "", "Pod", mirror},
    {FACT_FINISHED, "", "Pod", pod_finished},
    {FACT_FINISHED, "batch", "Job", job_finished},
    {FACT_SUSPENDED, "batch", NULL, suspended},
    {FACT_PV_DYNAMIC, "", "PersistentVolume", pv_dynamic},
    {FACT_KUBERNETES_SIGNER, "certificates.k8s.io", "ClusterTrustBundle", kubernetes_signer},
    {FACT_BARE_ACCOUNT, "", "ServiceAccount", bare_account},
    {FACT_OLM_COPY, "operators.coreos.com", "ClusterServiceVersion", olm_copy},
    {FACT_SNAPSHOT_BOUND, "snapshot.storage.k8s.io", "VolumeSnapshotContent", snapshot_bound},
};

/* Does not act, whoever saw to that; and by whom. The annotation alone holds nothing: somebody may
 * have let the object loose by hand. */
static uint32_t stillness(const char *group, const char *kind, yyjson_val *body) {
    const struct hold_row *row = hold_row_for(group, kind);
    if (!row || !hold_holds(row, body))
        return 0;
    return FACT_STILL | (annotation(body, HOLD_ANNOTATION) ? (uint32_t)FACT_HELD : 0);
}

uint32_t facts_read(const char *group, const char *kind, yyjson_val *body) {
    uint32_t bits = stillness(group, kind, body);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if ((!table[i].group || str_eq(table[i].group, group)) &&
            (!table[i].kind || str_eq(table[i].kind, kind)) && table[i].test(body))
            bits |= table[i].fact;
    }
    return bits;
}

static void split_api_version(struct arena *a, const char *api_version, const char **ret_group) {
    const char *slash = api_version ? strchr(api_version, '/') : NULL;
    *ret_group = slash ? arena_strndup(a, api_version, (size_t)(slash - api_version)) : "";
}

struct owner *facts_owners(struct arena *a, yyjson_val *body) {
    yyjson_val *refs = json_get(body, "metadata", "ownerReferences"), *r;
    struct owner *first = NULL, **tail = &first;
    size_t i, max;
    yyjson_arr_foreach (refs, i, max, r) {
        struct owner *o = arena_new_of(a, struct owner);
        split_api_version(a, json_str(r, "apiVersion"), &o->group);
        o->kind = arena_strdup(a, json_str(r, "kind"));
        o->name = arena_strdup(a, json_str(r, "name"));
        o->uid = uid_of(json_str(r, "uid"));
        o->controller = yyjson_is_true(json_get(r, "controller"));
        *tail = o;
        tail = &o->next;
    }
    return first;
}
