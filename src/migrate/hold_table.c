/* What is held, and by which field. docs/OBJECTS.md is this in readable form; each row names who
 * says that the field does it. */
#include "migrate/hold.h"

#define NOTE(key) "/metadata/annotations/" key
#define ASKED     false, 0, UINT32_MAX, "hold-asked", "asked for"
#define ALWAYS    false, 0, FACT_FINISHED
#define DRIVES    true, 0, 0
#define SOME      true, FACT_ACTS, 0

#define GITOPS   "what deploys by itself deploys in both clusters, and fights what is being moved"
#define BACKUP   "what copies data in both clusters copies it twice, into one place"
#define SCHEDULE "what runs by itself in both clusters runs twice"
#define OUTSIDE  "two controllers would own one resource outside of the clusters"

/* GitOps controllers and KEDA drive others: while they act, they undo a hold of what they deploy or
 * scale. Handing over stops them first and lets them loose last (handover.c). */
static const struct hold_row table[] = {
    {"argoproj.io", "ApplicationSet", "/spec/template" NOTE("argocd.argoproj.io~1skip-reconcile"),
     "\"true\"", DRIVES, "hold-gitops", GITOPS,
     "argo-cd.readthedocs.io/en/stable/user-guide/skip_reconcile"},
    {"argoproj.io", "Application", NOTE("argocd.argoproj.io~1skip-reconcile"), "\"true\"", SOME,
     "hold-gitops", GITOPS, "argo-cd.readthedocs.io/en/stable/user-guide/skip_reconcile"},
    {"kustomize.toolkit.fluxcd.io", "Kustomization", "/spec/suspend", "true", DRIVES, "hold-gitops",
     GITOPS, "fluxcd.io/flux/components/kustomize/kustomizations"},
    {"helm.toolkit.fluxcd.io", "HelmRelease", "/spec/suspend", "true", DRIVES, "hold-gitops",
     GITOPS, "fluxcd.io/flux/components/helm/helmreleases"},
    {"image.toolkit.fluxcd.io", "ImageUpdateAutomation", "/spec/suspend", "true", DRIVES,
     "hold-gitops", GITOPS, "fluxcd.io/flux/components/image/imageupdateautomations"},
    {"keda.sh", "ScaledObject", NOTE("autoscaling.keda.sh~1paused-replicas"), "\"0\"", SOME,
     "hold-queue", "it would start consumers of a queue that the source still works on",
     "keda.sh/docs/latest/concepts/scaling-deployments"},
    {"keda.sh", "ScaledJob", NOTE("autoscaling.keda.sh~1paused"), "\"true\"", DRIVES, "hold-queue",
     "it would start consumers of a queue that the source still works on",
     "keda.sh/docs/latest/concepts/scaling-jobs"},
    {"kafka.strimzi.io", "KafkaConnector", "/spec/state", "\"paused\"", DRIVES, "hold-connector",
     "it would carry the same records a second time",
     "strimzi.io/docs/operators/latest/configuring: KafkaConnectorSpec"},

    {"batch", "CronJob", "/spec/suspend", "true", false, 0, FACT_SUSPENDED, "hold-cronjob",
     "a CronJob that runs in both clusters runs twice",
     "kubernetes.io/docs/concepts/workloads/controllers/cron-jobs"},
    {"batch", "Job", "/spec/suspend", "true", false, 0, FACT_SUSPENDED | FACT_FINISHED, "hold-job",
     "an unfinished Job would run a second time",
     "kubernetes.io/docs/concepts/workloads/controllers/job"},
    {"argoproj.io", "CronWorkflow", "/spec/suspend", "true", ALWAYS, "hold-schedule", SCHEDULE,
     "argo-workflows.readthedocs.io/en/latest/cron-workflows"},
    {"argoproj.io", "Workflow", "/spec/suspend", "true", ALWAYS, "hold-schedule", SCHEDULE,
     "argo-workflows.readthedocs.io/en/latest/fields: WorkflowSpec"},
    {"kubeflow.org", "ScheduledWorkflow", "/spec/enabled", "false", false, FACT_ACTS, 0,
     "hold-schedule", SCHEDULE,
     "github.com/kubeflow/pipelines apis/scheduledworkflow/v1beta1: ScheduledWorkflowSpec.Enabled"},
    {"sparkoperator.k8s.io", "ScheduledSparkApplication", "/spec/suspend", "true", ALWAYS,
     "hold-schedule", SCHEDULE,
     "kubeflow.org/docs/components/spark-operator: ScheduledSparkApplicationSpec"},
    {"chaos-mesh.org", NULL, NOTE("experiment.chaos-mesh.org~1pause"), "\"true\"", ALWAYS,
     "hold-schedule", SCHEDULE, "chaos-mesh.org/docs/run-a-chaos-experiment"},

    {"velero.io", "Schedule", "/spec/paused", "true", ALWAYS, "hold-backup", BACKUP,
     "velero.io/docs/main/api-types/schedule"},
    {"postgresql.cnpg.io", "ScheduledBackup", "/spec/suspend", "true", ALWAYS, "hold-backup",
     BACKUP, "cloudnative-pg.io/documentation/current/cloudnative-pg.v1: ScheduledBackupSpec"},
    {"medusa.k8ssandra.io", "MedusaBackupSchedule", "/spec/disabled", "true", ALWAYS, "hold-backup",
     BACKUP, "k8ssandra-operator apis/medusa/v1alpha1: MedusaBackupScheduleSpec"},
    {"snapscheduler.backube", "SnapshotSchedule", "/spec/disabled", "true", ALWAYS, "hold-backup",
     BACKUP, "backube.github.io/snapscheduler/usage"},
    {"volsync.backube", "ReplicationSource", "/spec/paused", "true", ALWAYS, "hold-backup", BACKUP,
     "volsync api/v1alpha1: ReplicationSourceSpec"},
    {"volsync.backube", "ReplicationDestination", "/spec/paused", "true", ALWAYS, "hold-backup",
     BACKUP, "volsync api/v1alpha1: ReplicationDestinationSpec"},
    {"stash.appscode.com", "BackupConfiguration", "/spec/paused", "true", ALWAYS, "hold-backup",
     BACKUP, "stash.run/docs/latest/concepts/crds/backupconfiguration"},
    {"core.kubestash.com", "BackupConfiguration", "/spec/paused", "true", ALWAYS, "hold-backup",
     BACKUP, "kubestash.com/docs/latest/concepts/crds/backupconfiguration"},
    {"config.kio.kasten.io", "Policy", "/spec/paused", "true", ALWAYS, "hold-backup", BACKUP,
     "docs.kasten.io/latest/api/policies"},

    /* Packages and what they define are made ready; only the resources are held. */
    {"pkg.crossplane.io", NULL, NOTE("crossplane.io~1paused"), "\"true\"", ASKED,
     "docs.crossplane.io/latest/packages"},
    {"*.crossplane.io", NULL, NOTE("crossplane.io~1paused"), "\"true\"", ALWAYS, "hold-outside",
     OUTSIDE, "docs.crossplane.io/latest/managed-resources: crossplane.io/paused"},
    {"*.upbound.io", NULL, NOTE("crossplane.io~1paused"), "\"true\"", ALWAYS, "hold-outside",
     OUTSIDE, "docs.crossplane.io/latest/managed-resources: crossplane.io/paused"},
    {"*.azure.com", NULL, NOTE("serviceoperator.azure.com~1reconcile-policy"), "\"skip\"", ALWAYS,
     "hold-outside", OUTSIDE, "azure.github.io/azure-service-operator/guide/annotations"},
    {"cluster.x-k8s.io", "Cluster", "/spec/paused", "true", ALWAYS, "hold-outside", OUTSIDE,
     "cluster-api.sigs.k8s.io: ClusterSpec.paused"},
    {"infra.contrib.fluxcd.io", "Terraform", "/spec/suspend", "true", ALWAYS, "hold-outside",
     OUTSIDE, "flux-iac.github.io/tofu-controller: TerraformSpec.suspend"},

    /* Held only where a rule or the annotation tandem.dev/hold asks for it, or where it is a
     * singleton (singleton.c). */
    {"apps", "Deployment", "/spec/replicas", "0", ASKED, "kubernetes.io/docs/reference"},
    {"apps", "StatefulSet", "/spec/replicas", "0", ASKED, "kubernetes.io/docs/reference"},
    {"apps", "ReplicaSet", "/spec/replicas", "0", ASKED, "kubernetes.io/docs/reference"},
    {"", "ReplicationController", "/spec/replicas", "0", ASKED, "kubernetes.io/docs/reference"},
    {"argoproj.io", "Rollout", "/spec/replicas", "0", ASKED,
     "argo-rollouts.readthedocs.io/en/stable/features/specification"},
};

const struct hold_row *hold_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(table);
    return table;
}
