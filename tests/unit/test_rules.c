/* The classification table row by row, and the table of what an owner makes again. */
#include "lab.h"

#include "migrate/rules.h"

#define AT(n)      "'metadata':{'name':'" n "','namespace':'shop','uid':'u1'}"
#define CLUSTER(n) "'metadata':{'name':'" n "','uid':'u1'}"
#define OWNED(api, kind, name, uid)                                                                \
    "'ownerReferences':[{'apiVersion':'" api "','kind':'" kind "','name':'" name "','uid':'" uid   \
    "','controller':true}]"
#define OCP "'managedFields':[{'manager':'openshift.io/image-registry-pull-secrets_x'}]"

#define SYSTEM_ROLE                                                                                \
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole'," CLUSTER(                  \
        "system:metrics-server") "}"

/* A body that the row skips, what else has to be in the world, and the nearest body that the row
 * must leave alone (NULL where a whole kind is skipped): recreated, or skipped by another row. */
static const struct {
    const char *id, *body, *others, *near, *near_rule;
} golden[] = {
    {"kind-event", "{'apiVersion':'v1','kind':'Event'," AT("e") "}", "",
     "{'apiVersion':'calendar.example.com/v1','kind':'Event'," AT("e") "}", "recreate"},
    {"kind-event", "{'apiVersion':'events.k8s.io/v1','kind':'Event'," AT("e") "}", "", NULL, NULL},
    {"kind-node", "{'apiVersion':'v1','kind':'Node'," CLUSTER("n1") "}", "", NULL, NULL},
    {"kind-binding", "{'apiVersion':'v1','kind':'Binding'," AT("b") "}", "", NULL, NULL},
    {"kind-csinode", "{'apiVersion':'storage.k8s.io/v1','kind':'CSINode'," CLUSTER("n1") "}", "",
     "{'apiVersion':'storage.k8s.io/v1','kind':'CSIDriver'," CLUSTER("d") "}", "recreate"},
    {"kind-volumeattachment",
     "{'apiVersion':'storage.k8s.io/v1','kind':'VolumeAttachment'," CLUSTER("v") "}", "", NULL,
     NULL},
    {"kind-csistoragecapacity",
     "{'apiVersion':'storage.k8s.io/v1','kind':'CSIStorageCapacity'," AT("c") "}", "", NULL, NULL},
    {"kind-lease", "{'apiVersion':'coordination.k8s.io/v1','kind':'Lease'," AT("l") "}", "", NULL,
     NULL},
    {"kind-leasecandidate",
     "{'apiVersion':'coordination.k8s.io/v1beta1','kind':'LeaseCandidate'," AT("l") "}", "", NULL,
     NULL},
    {"kind-storageversion",
     "{'apiVersion':'internal.apiserver.k8s.io/v1alpha1','kind':'StorageVersion'," CLUSTER("s") "}",
     "", NULL, NULL},
    {"kind-storageversionmigration",
     "{'apiVersion':'storagemigration.k8s.io/v1beta1','kind':'StorageVersionMigration'," CLUSTER(
         "s") "}",
     "", NULL, NULL},
    {"kind-storageversionmigration",
     "{'apiVersion':'migration.k8s.io/v1alpha1','kind':'StorageVersionMigration'," CLUSTER("s") "}",
     "", NULL, NULL},
    {"kind-resourceslice",
     "{'apiVersion':'resource.k8s.io/v1','kind':'ResourceSlice'," CLUSTER("s") "}", "",
     "{'apiVersion':'resource.k8s.io/v1','kind':'DeviceClass'," CLUSTER("s") "}", "recreate"},
    {"kind-csr",
     "{'apiVersion':'certificates.k8s.io/v1','kind':'CertificateSigningRequest'," CLUSTER("c") "}",
     "", NULL, NULL},
    {"kind-podcertificaterequest",
     "{'apiVersion':'certificates.k8s.io/v1beta1','kind':'PodCertificateRequest'," AT("c") "}", "",
     NULL, NULL},
    {"kind-metrics", "{'apiVersion':'metrics.k8s.io/v1beta1','kind':'PodMetrics'," AT("p") "}", "",
     NULL, NULL},
    {"kind-certificaterequest",
     "{'apiVersion':'cert-manager.io/v1','kind':'CertificateRequest'," AT("c") "}", "",
     "{'apiVersion':'cert-manager.io/v1','kind':'Certificate'," AT("c") "}", "recreate"},
    {"kind-acme", "{'apiVersion':'acme.cert-manager.io/v1','kind':'Order'," AT("o") "}", "", NULL,
     NULL},
    {"kind-policyreport",
     "{'apiVersion':'wgpolicyk8s.io/v1alpha2','kind':'PolicyReport'," AT("p") "}", "", NULL, NULL},
    {"kind-policyreport", "{'apiVersion':'openreports.io/v1alpha1','kind':'Report'," AT("r") "}",
     "", NULL, NULL},
    {"kind-kyverno", "{'apiVersion':'reports.kyverno.io/v1','kind':'EphemeralReport'," AT("r") "}",
     "", NULL, NULL},
    {"kind-kyverno", "{'apiVersion':'kyverno.io/v1alpha2','kind':'AdmissionReport'," AT("r") "}",
     "", "{'apiVersion':'kyverno.io/v1','kind':'ClusterPolicy'," AT("r") "}", "recreate"},
    {"kind-kyverno",
     "{'apiVersion':'kyverno.io/v1alpha2','kind':'ClusterAdmissionReport'," AT("r") "}", "",
     "{'apiVersion':'kyverno.io/v1','kind':'ClusterPolicy'," AT("r") "}", "recreate"},
    {"kind-kyverno",
     "{'apiVersion':'kyverno.io/v1alpha2','kind':'BackgroundScanReport'," AT("r") "}", "",
     "{'apiVersion':'kyverno.io/v1','kind':'ClusterPolicy'," AT("r") "}", "recreate"},
    {"kind-kyverno",
     "{'apiVersion':'kyverno.io/v1alpha2','kind':'ClusterBackgroundScanReport'," AT("r") "}", "",
     "{'apiVersion':'kyverno.io/v1','kind':'ClusterPolicy'," AT("r") "}", "recreate"},
    {"kind-kyverno-request", "{'apiVersion':'kyverno.io/v2','kind':'UpdateRequest'," AT("r") "}",
     "", "{'apiVersion':'kyverno.io/v2','kind':'PolicyException'," AT("r") "}", "recreate"},
    {"kind-kyverno-request", "{'apiVersion':'kyverno.io/v2','kind':'GenerateRequest'," AT("r") "}",
     "", "{'apiVersion':'kyverno.io/v2','kind':'PolicyException'," AT("r") "}", "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'VulnerabilityReport'," AT("r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterVulnerabilityReport'," AT(
         "r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ConfigAuditReport'," AT("r") "}", "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterConfigAuditReport'," AT(
         "r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ExposedSecretReport'," AT("r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'RbacAssessmentReport'," AT("r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterRbacAssessmentReport'," AT(
         "r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'InfraAssessmentReport'," AT("r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterInfraAssessmentReport'," AT(
         "r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'SbomReport'," AT("r") "}", "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterSbomReport'," AT("r") "}", "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-trivy",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceDetailReport'," AT(
         "r") "}",
     "",
     "{'apiVersion':'aquasecurity.github.io/v1alpha1','kind':'ClusterComplianceReport'," AT(
         "r") "}",
     "recreate"},
    {"kind-gatekeeper",
     "{'apiVersion':'status.gatekeeper.sh/v1beta1','kind':'ConstraintPodStatus'," AT("r") "}", "",
     "{'apiVersion':'templates.gatekeeper.sh/v1','kind':'ConstraintTemplate'," AT("r") "}",
     "recreate"},
    {"kind-ciliumendpoint", "{'apiVersion':'cilium.io/v2','kind':'CiliumEndpoint'," AT("c") "}", "",
     "{'apiVersion':'cilium.io/v2','kind':'CiliumNetworkPolicy'," AT("c") "}", "recreate"},
    {"kind-ciliumidentity",
     "{'apiVersion':'cilium.io/v2','kind':'CiliumIdentity'," CLUSTER("1") "}", "", NULL, NULL},
    {"kind-ciliumnode", "{'apiVersion':'cilium.io/v2','kind':'CiliumNode'," CLUSTER("n") "}", "",
     NULL, NULL},
    {"kind-installplan",
     "{'apiVersion':'operators.coreos.com/v1alpha1','kind':'InstallPlan'," AT("i") "}", "",
     "{'apiVersion':'operators.coreos.com/v1alpha1','kind':'Subscription'," AT("i") "}",
     "recreate"},
    {"kind-tekton-run", "{'apiVersion':'tekton.dev/v1','kind':'PipelineRun'," AT("r") "}", "",
     "{'apiVersion':'tekton.dev/v1','kind':'Pipeline'," AT("r") "}", "recreate"},
    {"kind-tekton-run", "{'apiVersion':'tekton.dev/v1','kind':'TaskRun'," AT("r") "}", "",
     "{'apiVersion':'tekton.dev/v1','kind':'Pipeline'," AT("r") "}", "recreate"},
    {"kind-tekton-run", "{'apiVersion':'tekton.dev/v1','kind':'CustomRun'," AT("r") "}", "",
     "{'apiVersion':'tekton.dev/v1','kind':'Pipeline'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'Backup'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'Restore'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'DeleteBackupRequest'," AT("r") "}",
     "", "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'DownloadRequest'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'ServerStatusRequest'," AT("r") "}",
     "", "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'PodVolumeBackup'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'PodVolumeRestore'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'DataUpload'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-velero-run", "{'apiVersion':'velero.io/v1','kind':'DataDownload'," AT("r") "}", "",
     "{'apiVersion':'velero.io/v1','kind':'BackupStorageLocation'," AT("r") "}", "recreate"},
    {"kind-cnpg-backup", "{'apiVersion':'postgresql.cnpg.io/v1','kind':'Backup'," AT("r") "}", "",
     "{'apiVersion':'postgresql.cnpg.io/v1','kind':'Cluster'," AT("r") "}", "recreate"},
    {"workflow-finished",
     "{'apiVersion':'argoproj.io/v1alpha1','kind':'Workflow'," AT(
         "w") ",'status':{'phase':'Error'}}",
     "",
     "{'apiVersion':'argoproj.io/v1alpha1','kind':'Workflow'," AT(
         "w") ",'status':{'phase':'Running'}}",
     "hold-schedule"},
    {"kind-openshift-rbac",
     "{'apiVersion':'authorization.openshift.io/v1','kind':'RoleBinding'," AT("r") "}", "",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'RoleBinding'," AT("r") "}", "recreate"},
    {"kind-openshift-project",
     "{'apiVersion':'project.openshift.io/v1','kind':'Project'," CLUSTER("p") "}", "", NULL, NULL},

    {"tandem-own",
     "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'p','namespace':'tandem-system',"
     "'uid':'u1'}}",
     "", "{'apiVersion':'v1','kind':'Secret'," AT("tandem-system") "}", "recreate"},
    {"tandem-own", "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("tandem-probe-0a1b2c") "}", "",
     "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("tandem-prober") "}", "recreate"},
    {"tandem-own", "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("tandem-system") "}", "",
     "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("tandem-systems") "}", "recreate"},
    {"deleting",
     "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','namespace':'shop',"
     "'deletionTimestamp':'2026-01-01T00:00:00Z'}}",
     "", "{'apiVersion':'v1','kind':'ConfigMap'," AT("c") "}", "recreate"},
    {"system-namespace", "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("default") "}", "",
     "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("default2") "}", "recreate"},
    {"system-namespace", "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("kube-node-lease") "}",
     "", "{'apiVersion':'v1','kind':'Namespace'," CLUSTER("kube-flannel") "}", "recreate"},
    {"in-system-namespace",
     "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'coredns','namespace':'kube-system'}"
     "}",
     "",
     "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'coredns','namespace':'default'}}",
     "recreate"},
    {"kubernetes-service",
     "{'apiVersion':'v1','kind':'Service','metadata':{'name':'kubernetes','namespace':'default'}}",
     "", "{'apiVersion':'v1','kind':'Service'," AT("kubernetes") "}", "recreate"},
    {"kubernetes-endpoints",
     "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'kubernetes','namespace':'default'}"
     "}",
     "", "{'apiVersion':'v1','kind':'Endpoints'," AT("kubernetes") "}", "recreate"},
    {"kubernetes-endpoints",
     "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'kubernetes',"
     "'namespace':'default'}}",
     "", "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice'," AT("kubernetes") "}",
     "recreate"},
    {"root-ca", "{'apiVersion':'v1','kind':'ConfigMap'," AT("kube-root-ca.crt") "}", "",
     "{'apiVersion':'v1','kind':'ConfigMap'," AT("my-root-ca.crt") "}", "recreate"},
    {"root-ca", "{'apiVersion':'v1','kind':'ConfigMap'," AT("openshift-service-ca.crt") "}", "",
     "{'apiVersion':'v1','kind':'Secret'," AT("openshift-service-ca.crt") "}", "recreate"},
    {"default-account", "{'apiVersion':'v1','kind':'ServiceAccount'," AT("default") "}", "",
     "{'apiVersion':'v1','kind':'ServiceAccount'," AT(
         "default") ",'imagePullSecrets':[{'name':'hub'}]}",
     "recreate"},
    {"openshift-account",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'builder','namespace':'shop'"
     "," OCP "},'imagePullSecrets':[{'name':'builder-dockercfg-lgfpb'}]}",
     "",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'builder','namespace':'shop',"
     "'managedFields':[{'manager':'kubectl-create'}]},'imagePullSecrets':[{'name':'hub'}]}",
     "recreate"},
    {"openshift-pull-secret",
     "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'default-dockercfg-jpgs2','namespace':"
     "'shop','annotations':{'openshift.io/"
     "internal-registry-auth-token.service-account':'default'}},"
     "'type':'kubernetes.io/dockercfg'}",
     "",
     "{'apiVersion':'v1','kind':'Secret'," AT(
         "my-dockercfg-jpgs2") ",'type':'kubernetes.io/dockercfg'}",
     "recreate"},
    {"bootstrap-token",
     "{'apiVersion':'v1','kind':'Secret'," AT("t") ",'type':'bootstrap.kubernetes.io/token'}", "",
     "{'apiVersion':'v1','kind':'Secret'," AT("t") ",'type':'helm.sh/release.v1'}", "recreate"},
    {"token-auto",
     "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'app-token-x7k2b','namespace':'shop',"
     "'annotations':{'kubernetes.io/service-account.name':'app'}},"
     "'type':'kubernetes.io/service-account-token'}",
     ",{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'app','namespace':'shop'},"
     "'secrets':[{'name':'app-token-x7k2b'}]}",
     /* made by hand: of that shape, but no account lists it */
     "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'app-token-x7k2b','namespace':'shop',"
     "'annotations':{'kubernetes.io/service-account.name':'app'}},"
     "'type':'kubernetes.io/service-account-token'}",
     "recreate"},
    {"bootstrap-rbac",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'admin',"
     "'labels':{'kubernetes.io/bootstrapping':'rbac-defaults'}}}",
     "", "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole'," CLUSTER("admin") "}",
     "recreate"},
    {"bootstrap-rbac",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRoleBinding'," CLUSTER(
         "kubeadm:get-nodes") "}",
     "",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRoleBinding'," CLUSTER(
         "my:system:x") "}",
     "recreate"},
    {"system-rbac", SYSTEM_ROLE, "", SYSTEM_ROLE, "recreate"},
    {"apf-auto",
     "{'apiVersion':'flowcontrol.apiserver.k8s.io/"
     "v1','kind':'FlowSchema','metadata':{'name':'probes',"
     "'annotations':{'apf.kubernetes.io/autoupdate-spec':'true'}}}",
     "",
     "{'apiVersion':'flowcontrol.apiserver.k8s.io/"
     "v1','kind':'FlowSchema','metadata':{'name':'probes',"
     "'annotations':{'apf.kubernetes.io/autoupdate-spec':'false'}}}",
     "recreate"},
    {"apf-auto",
     "{'apiVersion':'flowcontrol.apiserver.k8s.io/v1','kind':'PriorityLevelConfiguration'," CLUSTER(
         "catch-all") "}",
     "",
     "{'apiVersion':'flowcontrol.apiserver.k8s.io/v1','kind':'PriorityLevelConfiguration'," CLUSTER(
         "batch") "}",
     "recreate"},
    {"apiservice-auto",
     "{'apiVersion':'apiregistration.k8s.io/v1','kind':'APIService','metadata':{'name':'v1.apps',"
     "'labels':{'kube-aggregator.kubernetes.io/automanaged':'onstart'}},'spec':{}}",
     "",
     "{'apiVersion':'apiregistration.k8s.io/v1','kind':'APIService'," CLUSTER(
         "v1.x.example.com") ",'spec':{'service':{'name':'x','namespace':'shop'}}}",
     "recreate"},
    {"apiservice-auto",
     "{'apiVersion':'apiregistration.k8s.io/v1','kind':'APIService'," CLUSTER(
         "v1.") ",'spec':{'service':null}}",
     "", NULL, NULL},
    {"priority-system",
     "{'apiVersion':'scheduling.k8s.io/v1','kind':'PriorityClass'," CLUSTER(
         "system-node-critical") "}",
     "", "{'apiVersion':'scheduling.k8s.io/v1','kind':'PriorityClass'," CLUSTER("systemic") "}",
     "recreate"},
    {"service-range",
     "{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR'," CLUSTER("kubernetes") "}", "",
     "{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR'," CLUSTER("more") "}",
     "service-range-own"},
    {"service-range-own",
     "{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR'," CLUSTER("more") "}", "", NULL,
     NULL},
    {"ip-allocated",
     "{'apiVersion':'networking.k8s.io/"
     "v1','kind':'IPAddress','metadata':{'name':'10.0.0.1','labels':"
     "{'ipaddress.kubernetes.io/managed-by':'ipallocator.k8s.io'}}}",
     "", "{'apiVersion':'networking.k8s.io/v1','kind':'IPAddress'," CLUSTER("10.0.0.1") "}",
     "recreate"},
    {"trust-bundle",
     "{'apiVersion':'certificates.k8s.io/v1beta1','kind':'ClusterTrustBundle'," CLUSTER(
         "b") ",'spec':{'signerName':'kubernetes.io/kube-apiserver-serving'}}",
     "",
     "{'apiVersion':'certificates.k8s.io/v1beta1','kind':'ClusterTrustBundle'," CLUSTER(
         "b") ",'spec':{'signerName':'example.com/mine'}}",
     "recreate"},
    {"endpoints-managed",
     "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'web','namespace':'shop','labels':{"
     "'endpoints.kubernetes.io/managed-by':'endpoint-controller'}}}",
     "",
     "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'web','namespace':'shop','labels':{"
     "'endpoints.kubernetes.io/managed-by':'me'}}}",
     "recreate"},
    {"endpoints-leader",
     "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'lock','namespace':'shop',"
     "'annotations':{'control-plane.alpha.kubernetes.io/leader':'{}'}}}",
     "", "{'apiVersion':'v1','kind':'Endpoints'," AT("lock") "}", "recreate"},
    {"configmap-leader",
     "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'lock','namespace':'shop',"
     "'annotations':{'control-plane.alpha.kubernetes.io/leader':'{}'}}}",
     "", "{'apiVersion':'v1','kind':'ConfigMap'," AT("lock") "}", "recreate"},
    {"endpointslice-managed",
     "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'web-1',"
     "'namespace':'shop','labels':{'endpointslice.kubernetes.io/managed-by':"
     "'endpointslicemirroring-controller.k8s.io'}}}",
     "", "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice'," AT("web-1") "}", "recreate"},
    {"endpointslice-owned",
     "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'web-1',"
     "'namespace':'shop','ownerReferences':[{'apiVersion':'v1','kind':'Service','name':'web',"
     "'uid':'gone','controller':true}]}}",
     "",
     "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'web-1',"
     "'namespace':'shop','ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'web',"
     "'uid':'gone'}]}}",
     "recreate"},
    {"pod-mirror",
     "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'etcd-n1','namespace':'shop','annotations'"
     ":{"
     "'kubernetes.io/config.mirror':'x'}}}",
     "", "{'apiVersion':'v1','kind':'Pod'," AT("etcd-n1") "}", "recreate"},
    {"pod-finished", "{'apiVersion':'v1','kind':'Pod'," AT("p") ",'status':{'phase':'Succeeded'}}",
     "", "{'apiVersion':'v1','kind':'Pod'," AT("p") ",'status':{'phase':'Running'}}", "recreate"},
    {"job-finished",
     "{'apiVersion':'batch/v1','kind':'Job'," AT(
         "j") ",'status':{'conditions':[{'type':'Suspended','status':'False'},"
              "{'type':'Failed','status':'True'}]}}",
     "",
     "{'apiVersion':'batch/v1','kind':'Job'," AT(
         "j") ",'status':{'conditions':[{'type':'Complete','status':'False'}]}}",
     "hold-job"},
    {"volume-dynamic",
     "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pvc-1','annotations':{"
     "'pv.kubernetes.io/provisioned-by':'ebs.csi.aws.com'}}}",
     "", "{'apiVersion':'v1','kind':'PersistentVolume'," CLUSTER("nfs-1") "}", "recreate"},
    {"snapshot-bound",
     "{'apiVersion':'snapshot.storage.k8s.io/v1','kind':'VolumeSnapshotContent'," CLUSTER(
         "s") ",'spec':{'source':{'volumeHandle':'v'}}}",
     "",
     "{'apiVersion':'snapshot.storage.k8s.io/v1','kind':'VolumeSnapshotContent'," CLUSTER(
         "s") ",'spec':{'source':{'snapshotHandle':'v'}}}",
     "recreate"},
    {"olm-copy",
     "{'apiVersion':'operators.coreos.com/v1alpha1','kind':'ClusterServiceVersion','metadata':{"
     "'name':'op.v1','namespace':'shop','labels':{'olm.copiedFrom':'operators'}}}",
     "",
     "{'apiVersion':'operators.coreos.com/v1alpha1','kind':'ClusterServiceVersion'," AT(
         "op.v1") "}",
     "recreate"},
    {"endpoints-selector", "{'apiVersion':'v1','kind':'Endpoints'," AT("web") "}",
     ",{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'shop'},"
     "'spec':{'selector':{'app':'web'}}}",
     "{'apiVersion':'v1','kind':'Endpoints'," AT("web2") "}", "recreate"},
    {"owner-makes-it",
     "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'web-1','namespace':'shop',"
     "'ownerReferences':[{'apiVersion':'apps/v1','kind':'Deployment','name':'web','uid':'o1',"
     "'controller':true}]}}",
     ",{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'shop',"
     "'uid':'o1'}}",
     /* an owner that is no controller does not make it again */
     "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'web-1','namespace':'shop',"
     "'ownerReferences':[{'apiVersion':'apps/v1','kind':'Deployment','name':'web','uid':'o1'}]}}",
     "recreate"},
    {"stays-with-owner",
     "{'apiVersion':'example.com/"
     "v1','kind':'Score','metadata':{'name':'s','namespace':'shop'," OWNED("apps/v1", "ReplicaSet",
                                                                           "web-1", "r1") "}}",
     ",{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'web-1','namespace':'shop',"
     "'uid':'r1'," OWNED(
         "apps/v1", "Deployment", "web",
         "o1") "}}"
               ",{'apiVersion':'apps/"
               "v1','kind':'Deployment','metadata':{'name':'web','namespace':'shop',"
               "'uid':'o1'}}",
     /* data is kept, whoever owned it */
     "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s','namespace':'shop'," OWNED(
         "apps/v1", "ReplicaSet", "web-1", "r1") "}}",
     "recreate"},
    {"stays-with-owner",
     "{'apiVersion':'v1','kind':'Service','metadata':{'name':'s','namespace':'shop'," OWNED(
         "acme.cert-manager.io/v1", "Challenge", "c", "c1") "}}",
     "",
     "{'apiVersion':'v1','kind':'Service','metadata':{'name':'s','namespace':'shop'," OWNED(
         "cert-manager.io/v1", "Certificate", "c", "c1") "}}",
     "recreate"},
    {"owner-makes-it",
     "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'shop'," OWNED(
         "tekton.dev/v1", "TaskRun", "t", "t1") "}}",
     "", NULL, NULL},
    {"generated-per-namespace", "{'apiVersion':'v1','kind':'ConfigMap'," AT("mesh-ca") "}", "",
     "{'apiVersion':'v1','kind':'Secret'," AT("mesh-ca") "}", "recreate"},
};

enum { ROWS_MAX = 256 };

static void check(const char *body, const char *others, const char *rule, unsigned *hits) {
    AUTO_ARENA a = arena_new();
    static const char *const generated[] = {"/ConfigMap/mesh-ca", NULL};
    struct world_opts wo = {.generated = generated};
    const char *there = str_eq(rule, "system-rbac") ? arena_printf(a, "[%s]", body) : NULL;
    struct world *w = lab_world(a, &wo, arena_printf(a, "[%s%s]", body, others), there, NULL);
    struct object *o = lab_find(w, lab_json(a, body));
    if (!str_eq(o->rule, rule))
        fail_msg("%s: rule %s, wanted %s", body, o->rule, rule);
    const struct rule *r = rules_match(o, w);
    assert_int_equal(o->verdict == V_SKIP, r != NULL);
    if (r) {
        size_t n;
        hits[r - rules_table(&n)]++;
        assert_ptr_equal(o->why, r->why);
    }
    world_free(w);
}

/* Every row decides at least one golden case: none is unreachable, none without a case. */
static void every_row_decides(void **state UNUSED) {
    unsigned hits[ROWS_MAX] = {0}, ignored[ROWS_MAX] = {0};
    size_t n;
    const struct rule *table = rules_table(&n);
    assert_in_range(n, 1, ROWS_MAX);
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        check(golden[i].body, golden[i].others, golden[i].id, hits);
        if (golden[i].near)
            check(golden[i].near, str_eq(golden[i].id, "token-auto") ? "" : golden[i].others,
                  golden[i].near_rule, ignored);
    }
    for (size_t i = 0; i < n; i++)
        if (!hits[i])
            fail_msg("row %zu (%s, %s) decided no golden case", i, table[i].id,
                     table[i].kind ? table[i].kind : "any kind");
}

static void rows_say_why(void **state UNUSED) {
    size_t n;
    const struct rule *t = rules_table(&n);
    for (size_t i = 0; i < n; i++) {
        assert_false(str_empty(t[i].id));
        assert_false(str_empty(t[i].why));
        for (size_t k = 0; k < i; k++)
            if (str_eq(t[k].id, t[i].id) && !str_eq(t[k].why, t[i].why))
                fail_msg("id %s stands for two things", t[i].id);
    }
}

/* Kinds that are not even read are exactly those of the rows without a condition. */
static void kinds_not_read(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    size_t n;
    const struct rule *t = rules_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (!t[i].group || !t[i].kind)
            continue;
        const struct rule *r = rules_skip_kind(lab_resource(
            a, arena_printf(a, "%s%sv1", t[i].group, *t[i].group ? "/" : ""), t[i].kind));
        if (t[i].facts || t[i].when)
            assert_null(r);
        else
            assert_ptr_equal(r, &t[i]);
    }
    assert_null(rules_skip_kind(lab_resource(a, "v1", "Pod")));
    assert_non_null(rules_skip_kind(lab_resource(a, "metrics.k8s.io/v1beta1", "NodeMetrics")));
}

/* --- what an owner makes again --- */

static const struct {
    const char *child_api, *child, *owner_api, *owner;
} made[] = {
    {"v1", "Pod", "apps/v1", "StatefulSet"},
    {"apps/v1", "ReplicaSet", "apps/v1", "Deployment"},
    {"apps/v1", "ReplicaSet", "argoproj.io/v1alpha1", "Rollout"},
    {"apps/v1", "ControllerRevision", "apps/v1", "DaemonSet"},
    {"batch/v1", "Job", "batch/v1", "CronJob"},
    {"argoproj.io/v1alpha1", "Workflow", "argoproj.io/v1alpha1", "CronWorkflow"},
    {"v1", "PersistentVolumeClaim", "v1", "Pod"},
    {"resource.k8s.io/v1", "ResourceClaim", "v1", "Pod"},
    {"discovery.k8s.io/v1", "EndpointSlice", "v1", "Service"},
    {"discovery.k8s.io/v1", "EndpointSlice", "v1", "Endpoints"},
    {"metrics.k8s.io/v1beta1", "PodMetrics", "v1", "Pod"},
    {"cert-manager.io/v1", "CertificateRequest", "cert-manager.io/v1", "Certificate"},
    {"acme.cert-manager.io/v1", "Order", "cert-manager.io/v1", "CertificateRequest"},
    {"acme.cert-manager.io/v1", "Challenge", "acme.cert-manager.io/v1", "Order"},
};

/* Data that an operator made stays data: it goes over and is linked to its owner again. */
static const struct {
    const char *child, *owner;
} kept[] = {
    {"Secret", "ExternalSecret"},
    {"ConfigMap", "Kafka"},
    {"PersistentVolumeClaim", "StatefulSet"},
    {"Deployment", "Console"},
    {"Job", "Workflow"},
    {"ReplicaSet", "CloneSet"},
    {"Secret", "Certificate"},
    {"Service", "Deployment"},
};

static struct world *family(struct arena *a, const char *child_api, const char *child,
                            const char *owner_api, const char *owner, const char *owner_uid,
                            const char *selector) {
    struct world_opts o = {.label_selector = selector};
    return lab_world(a, &o,
                     arena_printf(a,
                                  "[{'apiVersion':'%s','kind':'%s','metadata':{'name':'c',"
                                  "'namespace':'shop','uid':'u-c','ownerReferences':[{'apiVersion':"
                                  "'%s','kind':'%s','name':'o','uid':'u-o','controller':true}]}},"
                                  "{'apiVersion':'%s','kind':'%s','metadata':{'name':'o',"
                                  "'namespace':'shop','uid':'%s'}}]",
                                  child_api, child, owner_api, owner, owner_api, owner, owner_uid),
                     NULL, NULL);
}

static const char *rule_of_child(struct world *w) {
    for (size_t i = 0; i < world_count(w); i++)
        if (str_eq(world_at(w, i)->name, "c"))
            return world_at(w, i)->rule;
    return NULL;
}

static void children_are_made_again(void **state UNUSED) {
    bool hit[64] = {false};
    size_t n;
    const struct regenerable *t = rules_regenerables(&n);
    assert_in_range(n, 1, COUNT_OF(hit));
    for (size_t i = 0; i < COUNT_OF(made); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = family(a, made[i].child_api, made[i].child, made[i].owner_api,
                                 made[i].owner, "u-o", NULL);
        struct object *c = NULL;
        for (size_t k = 0; k < world_count(w); k++)
            if (str_eq(world_at(w, k)->name, "c"))
                c = world_at(w, k);
        assert_non_null(c);
        if (c->verdict != V_SKIP)
            fail_msg("%s of %s: %s", made[i].child, made[i].owner, c->rule);
        for (size_t k = 0; k < n; k++)
            hit[k] |= str_eq(t[k].child, made[i].child) &&
                      (!t[k].owner || str_eq(t[k].owner, made[i].owner));
        world_free(w);
    }
    for (size_t k = 0; k < n; k++)
        if (!hit[k])
            fail_msg("%s of %s has no golden case", t[k].child, t[k].owner ? t[k].owner : "any");
}

static void data_is_kept(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (rules_regenerable(kept[i].child, kept[i].owner))
            fail_msg("%s of %s would be lost", kept[i].child, kept[i].owner);
}

/* An owner that stays by a chain, and one that a rule of the user's lets go over. */
static void chains_stay(void **state UNUSED) {
    static const char chain[] =
        "[{'apiVersion':'example.com/v1','kind':'Score','metadata':{'name':'c','namespace':'shop',"
        "'uid':'u-c'," OWNED("example.com/v1", "Scan", "s",
                             "u-s") "}},"
                                    "{'apiVersion':'example.com/"
                                    "v1','kind':'Scan','metadata':{'name':'s','namespace':'shop',"
                                    "'uid':'u-s'," OWNED(
                                        "v1", "Pod", "p",
                                        "u-p") "}},"
                                               "{'apiVersion':'v1','kind':'Pod','metadata':{'name':"
                                               "'p','namespace':'shop','uid':'u-p'," OWNED(
                                                   "apps/v1", "StatefulSet", "d",
                                                   "u-d") "}},"
                                                          "{'apiVersion':'apps/"
                                                          "v1','kind':'StatefulSet','metadata':{'"
                                                          "name':'d','namespace':'shop',"
                                                          "'uid':'u-d'}}]";
    const struct user_rule create = {.kind = "Scan", .verdict = "create"};
    struct world_opts with_rule = {.rules = &create, .n_rules = 1};
    AUTO_ARENA a = arena_new();
    struct world *w = lab_world(a, NULL, chain, NULL, NULL);
    assert_string_equal(rule_of_child(w), "stays-with-owner");
    world_free(w);
    w = lab_world(a, &with_rule, chain, NULL, NULL);
    assert_string_equal(rule_of_child(w), "recreate");
    world_free(w);
}

/* The owner's uid decides, not its name: an owner made anew does not own it. Under a label selector
 * nobody can know, and the usual case is that the owner is there. */
static void orphans_stay(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = family(a, "apps/v1", "ReplicaSet", "apps/v1", "Deployment", "other", NULL);
    assert_string_equal(rule_of_child(w), "recreate");
    world_free(w);
    w = family(a, "apps/v1", "ReplicaSet", "apps/v1", "Deployment", "other", "app=x");
    assert_string_equal(rule_of_child(w), "owner-makes-it");
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_decides), cmocka_unit_test(rows_say_why),
        cmocka_unit_test(kinds_not_read),    cmocka_unit_test(children_are_made_again),
        cmocka_unit_test(data_is_kept),      cmocka_unit_test(orphans_stay),
        cmocka_unit_test(chains_stay),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
