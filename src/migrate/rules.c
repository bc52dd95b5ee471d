#include "migrate/rules.h"

#include "migrate/keep.h"
#include "migrate/order.h"
#include "migrate/pernamespace.h"
#include "migrate/probe_ns.h"

#define NET   "networking.k8s.io"
#define RBAC  "rbac.authorization.k8s.io"
#define FLOW  "flowcontrol.apiserver.k8s.io"
#define CERTS "certificates.k8s.io"
#define TRIVY "aquasecurity.github.io"
#define KYVER "kyverno.io"

bool rules_system_namespace(const char *ns) {
    return str_eq(ns, "kube-system") || str_eq(ns, "kube-public") || str_eq(ns, "kube-node-lease");
}

static bool in_system_namespace(const struct object *o, const struct world *w UNUSED) {
    return rules_system_namespace(o->ns);
}

bool rules_tandem_namespace(const char *ns) {
    return str_eq(ns, KEEP_NAMESPACE) || str_starts(ns, PROBE_NS_PREFIX);
}

/* What tandem keeps for itself, in either cluster. */
bool rules_tandem_own(const struct object *o) {
    return rules_tandem_namespace(o->ns) ||
           (object_is(o, "", "Namespace") && rules_tandem_namespace(o->name));
}

static bool tandem_own(const struct object *o, const struct world *w UNUSED) {
    return rules_tandem_own(o);
}

static bool own_namespace(const struct object *o, const struct world *w UNUSED) {
    return rules_system_namespace(o->name) || str_eq(o->name, "default");
}

static bool named(const struct object *o, const char *ns, const char *name) {
    return str_eq(o->ns, ns) && str_eq(o->name, name);
}

static bool kubernetes_service(const struct object *o, const struct world *w UNUSED) {
    return named(o, "default", "kubernetes");
}

static bool root_ca(const struct object *o, const struct world *w UNUSED) {
    return str_eq(o->name, "kube-root-ca.crt") || str_eq(o->name, "openshift-service-ca.crt");
}

static bool default_account(const struct object *o, const struct world *w UNUSED) {
    return str_eq(o->name, "default");
}

static bool listed_token(const struct object *o, const struct world *w) {
    return w && world_sa_lists_secret(w, o->ns, o->name);
}

static bool service_has_selector(const struct object *o, const struct world *w) {
    const struct object *svc = w ? world_find(w, "", "Service", o->ns, o->name) : NULL;
    return svc && (svc->facts & FACT_SELECTOR);
}

static bool any_controller(const struct object *o, const struct world *w UNUSED) {
    for (const struct owner *x = o->owners; x; x = x->next)
        if (x->controller)
            return true;
    return false;
}

static bool system_priority(const struct object *o, const struct world *w UNUSED) {
    return str_starts(o->name, "system-");
}

static bool first_service_range(const struct object *o, const struct world *w UNUSED) {
    return str_eq(o->name, "kubernetes");
}

/* Never true of the first one; a condition all the same, since a kind that a row without one skips
 * is not even read, and nobody would see that a range was left out. */
static bool added_service_range(const struct object *o, const struct world *w) {
    return !first_service_range(o, w);
}

/* What a run put there is the platform's, whatever its name. */
static bool clusters_own_name(const struct object *o, const struct world *w UNUSED) {
    return o->facts & FACT_SYSTEM_MADE || (o->in_dst && !o->ours);
}

static bool openshift_account(const struct object *o, const struct world *w UNUSED) {
    return str_eq(o->name, "default") || str_eq(o->name, "builder") || str_eq(o->name, "deployer");
}

static bool made_in_each_namespace(const struct object *o, const struct world *w) {
    return w && pernamespace_find(w, o);
}

/* Rows without a condition: objects of such a kind are never read. */
static bool never_read(const char *group, const char *kind);

/* The child of a controller that makes it again, wherever that controller goes: with its owner
 * recreated a copy would be a duplicate, with its owner left out it would be an orphan nobody asked
 * for. A child whose owner is gone from the source is an orphan already and stays one. */
static bool made_again(const struct object *o, const struct world *w) {
    if (!w)
        return false;
    /* Under a label selector an owner that was not read may well be there. */
    bool guess = world_opts(w)->label_selector != NULL;
    for (const struct owner *x = o->owners; x; x = x->next)
        if (x->controller && rules_regenerable(o->kind->src->kind, x->kind) &&
            (guess || never_read(x->group, x->kind) || world_by_uid(w, x->uid)))
            return true;
    return false;
}

static bool is_left(const struct object *o, const struct world *w, unsigned depth);

/* Whose owner is not recreated, since that is left to an owner of its own or each cluster has its
 * own of the kind: without a reference a copy would be an orphan that nobody cleans up, a report
 * of each ReplicaSet for example. Data is kept, whoever owned it. */
static bool stays_with_owner(const struct object *o, const struct world *w, unsigned depth) {
    if (!w || !depth || order_carries_data(o->kind->src))
        return false;
    for (const struct owner *x = o->owners; x; x = x->next) {
        const struct object *p = x->controller ? world_by_uid(w, x->uid) : NULL;
        if (x->controller && (never_read(x->group, x->kind) || (p && is_left(p, w, depth - 1))))
            return true;
    }
    return false;
}

/* A rule of the user's that lets it go over decides before. */
static bool is_left(const struct object *o, const struct world *w, unsigned depth) {
    const struct user_rule *u = o->user_rule >= 0 ? &world_opts(w)->rules[o->user_rule] : NULL;
    return !(u && u->verdict && !str_eq(u->verdict, "skip")) &&
           (made_again(o, w) || stays_with_owner(o, w, depth));
}

static bool left_with_owner(const struct object *o, const struct world *w) {
    enum { OWNERS_MAX = 8 };
    return stays_with_owner(o, w, OWNERS_MAX);
}

static const struct regenerable regenerable[] = {
    {"Pod", NULL},
    {"ReplicaSet", "Deployment"},
    {"ReplicaSet", "Rollout"},
    {"ControllerRevision", NULL},
    {"Job", "CronJob"},
    {"Workflow", "CronWorkflow"},
    {"PersistentVolumeClaim", "Pod"},
    {"ResourceClaim", "Pod"},
    {"EndpointSlice", "Service"},
    {"EndpointSlice", "Endpoints"},
    {"PodMetrics", NULL},
    {"CertificateRequest", "Certificate"},
    {"Order", "CertificateRequest"},
    {"Challenge", "Order"},
};

const struct regenerable *rules_regenerables(size_t *ret_n) {
    *ret_n = COUNT_OF(regenerable);
    return regenerable;
}

bool rules_regenerable(const char *child_kind, const char *owner_kind) {
    for (size_t i = 0; i < COUNT_OF(regenerable); i++)
        if (str_eq(regenerable[i].child, child_kind) &&
            (!regenerable[i].owner || str_eq(regenerable[i].owner, owner_kind)))
            return true;
    return false;
}

#define ONCE   "asked for once; creating it would do it again"
#define REPORT "reported, not made"
#define KIND(id, group, kind, why)                                                                 \
    { id, group, kind, 0, NULL, why }

/* Sources: docs/OBJECTS.md. */
static const struct rule table[] = {
    KIND("kind-event", "", "Event", "a record of what happened in one cluster"),
    KIND("kind-event", "events.k8s.io", "Event", "a record of what happened in one cluster"),
    KIND("kind-node", "", "Node", "a machine of one cluster"),
    KIND("kind-binding", "", "Binding", "an act, not an object"),
    KIND("kind-csinode", "storage.k8s.io", "CSINode", "state of a machine of one cluster"),
    KIND("kind-volumeattachment", "storage.k8s.io", "VolumeAttachment",
         "state of a machine of one cluster"),
    KIND("kind-csistoragecapacity", "storage.k8s.io", "CSIStorageCapacity",
         "reported by the storage driver of one cluster"),
    KIND("kind-lease", "coordination.k8s.io", "Lease", "a lock held in one cluster"),
    KIND("kind-leasecandidate", "coordination.k8s.io", "LeaseCandidate",
         "a candidate for a lock in one cluster"),
    KIND("kind-storageversion", "internal.apiserver.k8s.io", "StorageVersion",
         "kept by the API servers of one cluster"),
    KIND("kind-storageversionmigration", "storagemigration.k8s.io", "StorageVersionMigration",
         "work on the store of one cluster"),
    KIND("kind-storageversionmigration", "migration.k8s.io", "StorageVersionMigration",
         "work on the store of one cluster"),
    KIND("kind-resourceslice", "resource.k8s.io", "ResourceSlice",
         "reported by the drivers of one cluster's machines"),
    KIND("kind-csr", CERTS, "CertificateSigningRequest", "asks one cluster's signer"),
    KIND("kind-podcertificaterequest", CERTS, "PodCertificateRequest", "asks one cluster's signer"),
    KIND("kind-metrics", "metrics.k8s.io", NULL, "measured, not made"),
    KIND("kind-certificaterequest", "cert-manager.io", "CertificateRequest",
         "made by cert-manager from a Certificate"),
    KIND("kind-acme", "acme.cert-manager.io", NULL, "made by cert-manager while it asks a CA"),
    KIND("kind-policyreport", "wgpolicyk8s.io", NULL, REPORT),
    KIND("kind-policyreport", "openreports.io", NULL, REPORT),
    KIND("kind-kyverno", "reports.kyverno.io", NULL, REPORT),
    KIND("kind-kyverno", KYVER, "AdmissionReport", REPORT),
    KIND("kind-kyverno", KYVER, "ClusterAdmissionReport", REPORT),
    KIND("kind-kyverno", KYVER, "BackgroundScanReport", REPORT),
    KIND("kind-kyverno", KYVER, "ClusterBackgroundScanReport", REPORT),
    KIND("kind-kyverno-request", KYVER, "UpdateRequest", ONCE),
    KIND("kind-kyverno-request", KYVER, "GenerateRequest", ONCE),
    /* Not ClusterComplianceReport: its spec says what is to be reported. */
    KIND("kind-trivy", TRIVY, "VulnerabilityReport", REPORT),
    KIND("kind-trivy", TRIVY, "ClusterVulnerabilityReport", REPORT),
    KIND("kind-trivy", TRIVY, "ConfigAuditReport", REPORT),
    KIND("kind-trivy", TRIVY, "ClusterConfigAuditReport", REPORT),
    KIND("kind-trivy", TRIVY, "ExposedSecretReport", REPORT),
    KIND("kind-trivy", TRIVY, "RbacAssessmentReport", REPORT),
    KIND("kind-trivy", TRIVY, "ClusterRbacAssessmentReport", REPORT),
    KIND("kind-trivy", TRIVY, "InfraAssessmentReport", REPORT),
    KIND("kind-trivy", TRIVY, "ClusterInfraAssessmentReport", REPORT),
    KIND("kind-trivy", TRIVY, "SbomReport", REPORT),
    KIND("kind-trivy", TRIVY, "ClusterSbomReport", REPORT),
    KIND("kind-trivy", TRIVY, "ClusterComplianceDetailReport", REPORT),
    KIND("kind-gatekeeper", "status.gatekeeper.sh", NULL,
         "what the pods of one cluster say of a constraint"),
    KIND("kind-ciliumendpoint", "cilium.io", "CiliumEndpoint", "state of a pod of one cluster"),
    KIND("kind-ciliumidentity", "cilium.io", "CiliumIdentity", "given by one cluster's agents"),
    KIND("kind-ciliumnode", "cilium.io", "CiliumNode", "a machine of one cluster"),
    KIND("kind-tekton-run", "tekton.dev", "PipelineRun", ONCE),
    KIND("kind-tekton-run", "tekton.dev", "TaskRun", ONCE),
    KIND("kind-tekton-run", "tekton.dev", "CustomRun", ONCE),
    KIND("kind-velero-run", "velero.io", "Backup", ONCE),
    KIND("kind-velero-run", "velero.io", "Restore", ONCE),
    KIND("kind-velero-run", "velero.io", "DeleteBackupRequest", ONCE),
    KIND("kind-velero-run", "velero.io", "DownloadRequest", ONCE),
    KIND("kind-velero-run", "velero.io", "ServerStatusRequest", ONCE),
    KIND("kind-velero-run", "velero.io", "PodVolumeBackup", ONCE),
    KIND("kind-velero-run", "velero.io", "PodVolumeRestore", ONCE),
    KIND("kind-velero-run", "velero.io", "DataUpload", ONCE),
    KIND("kind-velero-run", "velero.io", "DataDownload", ONCE),
    KIND("kind-cnpg-backup", "postgresql.cnpg.io", "Backup", ONCE),
    KIND("kind-installplan", "operators.coreos.com", "InstallPlan", "made by OLM"),
    KIND("kind-openshift-rbac", "authorization.openshift.io", NULL,
         "another view of what rbac.authorization.k8s.io holds"),
    KIND("kind-openshift-project", "project.openshift.io", NULL, "another view of Namespaces"),

    {"tandem-own", NULL, NULL, 0, tandem_own, "kept by tandem for itself"},
    {"deleting", NULL, NULL, FACT_DELETING, NULL, "it is being deleted in the source"},
    {"system-namespace", "", "Namespace", 0, own_namespace, "every cluster has it"},
    {"in-system-namespace", NULL, NULL, 0, in_system_namespace,
     "belongs to the cluster itself; the destination has its own"},
    {"kubernetes-service", "", "Service", 0, kubernetes_service,
     "the way to the cluster's own API server"},
    {"kubernetes-endpoints", "", "Endpoints", 0, kubernetes_service,
     "the way to the cluster's own API server"},
    {"kubernetes-endpoints", "discovery.k8s.io", "EndpointSlice", 0, kubernetes_service,
     "the way to the cluster's own API server"},
    {"root-ca", "", "ConfigMap", 0, root_ca,
     "the cluster's own CA, put into each namespace by a controller"},
    {"default-account", "", "ServiceAccount", FACT_BARE_ACCOUNT, default_account,
     "made by a controller in each namespace; nobody changed it"},
    {"openshift-account", "", "ServiceAccount", FACT_SYSTEM_MADE, openshift_account,
     "made by OpenShift in each namespace; nobody changed it"},
    {"openshift-pull-secret", "", "Secret", FACT_REGISTRY_TOKEN, NULL,
     "made by OpenShift for the registry inside one cluster"},
    {"bootstrap-token", "", "Secret", FACT_BOOTSTRAP_TOKEN, NULL, "lets machines join one cluster"},
    {"token-auto", "", "Secret", FACT_TOKEN_SHAPE, listed_token,
     "made by the token controller for a ServiceAccount"},
    {"bootstrap-rbac", RBAC, NULL, FACT_BOOTSTRAP_RBAC, NULL,
     "made by the API server at its start; the destination has its own"},
    {"system-rbac", RBAC, NULL, FACT_SYSTEM_NAME, clusters_own_name,
     "reserved prefix system: made by the control plane, or there by itself in the destination"},
    {"apf-auto", FLOW, NULL, FACT_APF_AUTO, NULL,
     "kept by the API server; nobody tuned it (autoupdate-spec is true)"},
    {"apiservice-auto", "apiregistration.k8s.io", "APIService", FACT_APISERVICE_AUTO, NULL,
     "registered by the API server for its own groups and CRDs"},
    {"priority-system", "scheduling.k8s.io", "PriorityClass", 0, system_priority,
     "reserved name; every cluster has it"},
    {"service-range", NET, "ServiceCIDR", 0, first_service_range,
     "set by a flag of the API server"},
    {"service-range-own", NET, "ServiceCIDR", 0, added_service_range,
     "an address range of one cluster; add one of the destination's by hand if it needs more"},
    {"ip-allocated", NET, "IPAddress", FACT_IP_ALLOCATED, NULL, "allocated for a Service"},
    {"trust-bundle", CERTS, "ClusterTrustBundle", FACT_KUBERNETES_SIGNER, NULL,
     "published by the cluster's own signer"},
    {"endpoints-managed", "", "Endpoints", FACT_MANAGED_ENDPOINTS, NULL,
     "kept by a controller from the Service's selector"},
    {"endpoints-leader", "", "Endpoints", FACT_LEADER, NULL, "a lock held in one cluster"},
    {"configmap-leader", "", "ConfigMap", FACT_LEADER, NULL, "a lock held in one cluster"},
    {"endpointslice-managed", "discovery.k8s.io", "EndpointSlice", FACT_MANAGED_ENDPOINTS, NULL,
     "kept by a controller"},
    {"endpointslice-owned", "discovery.k8s.io", "EndpointSlice", 0, any_controller,
     "kept by a controller"},
    {"pod-mirror", "", "Pod", FACT_MIRROR, NULL, "shows a static pod of a machine"},
    {"job-finished", "batch", "Job", FACT_FINISHED, NULL,
     "has run to its end; creating it would run it again"},
    {"volume-dynamic", "", "PersistentVolume", FACT_PV_DYNAMIC, NULL,
     "made by a provisioner for a claim; the destination's makes its own"},
    {"snapshot-bound", "snapshot.storage.k8s.io", "VolumeSnapshotContent", FACT_SNAPSHOT_BOUND,
     NULL, "made by a driver for a VolumeSnapshot"},
    {"workflow-finished", "argoproj.io", "Workflow", FACT_FINISHED, NULL,
     "has run to its end; creating it would run it again"},
    {"olm-copy", "operators.coreos.com", "ClusterServiceVersion", FACT_OLM_COPY, NULL,
     "copied into each namespace by OLM"},
    {"endpoints-selector", "", "Endpoints", 0, service_has_selector,
     "kept by a controller from the Service's selector"},
    {"owner-makes-it", NULL, NULL, 0, made_again,
     "its owner's controller makes it again in the destination"},
    /* After its owner: lists of metadata do not tell how a Pod fares. */
    {"pod-finished", "", "Pod", FACT_FINISHED, NULL, "has run to its end"},
    {"stays-with-owner", NULL, NULL, 0, left_with_owner,
     "its owner is not recreated but made again, or is of one cluster, and what it owns with it"},
    {"generated-per-namespace", NULL, NULL, 0, made_in_each_namespace,
     "the destination makes one in each of its namespaces"},
};

const struct rule *rules_table(size_t *ret_n) {
    *ret_n = COUNT_OF(table);
    return table;
}

static bool fits(const struct rule *r, const char *group, const char *kind) {
    return (!r->group || str_eq(r->group, group)) && (!r->kind || str_eq(r->kind, kind));
}

static const struct rule *skips_kind(const char *group, const char *kind) {
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (!table[i].facts && !table[i].when && fits(&table[i], group, kind))
            return &table[i];
    return NULL;
}

static bool never_read(const char *group, const char *kind) {
    return skips_kind(group, kind) != NULL;
}

const struct rule *rules_match(const struct object *o, const struct world *w) {
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct rule *r = &table[i];
        if (fits(r, o->kind->src->group, o->kind->src->kind) &&
            (!r->facts || (o->facts & r->facts)) && (!r->when || r->when(o, w)))
            return r;
    }
    return NULL;
}

const struct rule *rules_skip_kind(const struct kube_resource *k) {
    return skips_kind(k->group, k->kind);
}
