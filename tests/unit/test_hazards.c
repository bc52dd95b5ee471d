/* The hazard table row by row, references that nothing will satisfy, and blocked objects. */
#include "lab.h"

#include "migrate/hazards_impl.h"

#define META                  "'metadata':{'name':'x','namespace':'shop'}"
#define BODY(api, kind, more) "{'apiVersion':'" api "','kind':'" kind "'," META more "}"
#define WIDE(api, kind, more)                                                                      \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{'name':'x'}" more "}"
#define NAMED(api, kind, name, more)                                                               \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{'name':'" name                          \
    "','namespace':'shop'}" more "}"
#define NOTED(api, kind, key, value)                                                               \
    "{'apiVersion':'" api "','kind':'" kind                                                        \
    "','metadata':{'name':'x','namespace':'shop','annotations':{'" key "':'" value "'}}}"
#define LABELLED(api, kind, ns, key, value)                                                        \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{'name':'x'," ns "'labels':{'" key       \
    "':'" value "'}}}"
#define DYNAMIC                                                                                    \
    "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv','annotations':{"         \
    "'pv.kubernetes.io/provisioned-by':'p'}}}"
#define STATIC "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv'}}"
#define CLAIM  BODY("v1", "PersistentVolumeClaim", ",'spec':{'volumeName':'pv'}")
#define HOOK(kind, hook)                                                                           \
    WIDE("admissionregistration.k8s.io/v1", kind,                                                  \
         ",'webhooks':[{'name':'a','failurePolicy':'Ignore','clientConfig':{'service':{}}},{" hook \
         "}]")
#define CALLS                                                                                      \
    "'name':'b','clientConfig':{'service':{'namespace':'shop','name':'hook'}},'rules':[{"          \
    "'resources':['pods']}]"
#define WORKLOAD(kind, spec)                                                                       \
    BODY("apps/v1", kind,                                                                          \
         ",'spec':{'template':{'metadata':{'labels':{'app':'x'}},'spec':{" spec "}}}")
#define DEPLOY(spec) WORKLOAD("Deployment", spec)
#define ROLLOUT(spec)                                                                              \
    BODY("argoproj.io/v1alpha1", "Rollout",                                                        \
         ",'spec':{'template':{'metadata':{'labels':{'app':'x'}},'spec':{" spec "}}}")
#define AGENT(spec)  WORKLOAD("DaemonSet", spec)
#define IMAGE(image) DEPLOY("'containers':[{'name':'c'},{'image':'" image "'}]")
#define ENV(name, val)                                                                             \
    DEPLOY("'containers':[{'image':'i','env':[{'name':'" name "','value':'" val "'}]}]")
#define SERVICE(spec) BODY("v1", "Service", ",'spec':{" spec "}")
#define PV(spec)      WIDE("v1", "PersistentVolume", ",'spec':{" spec "}")
#define TOKEN         ",'type':'kubernetes.io/service-account-token'"
#define NODE(spec)                                                                                 \
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n','labels':{'disk':'ssd'}},'spec':{"    \
    "'podCIDRs':['10.244.0.0/24'],'taints':[" spec                                                 \
    "]},'status':{'allocatable':{'cpu':'2','memory':"                                              \
    "'4Gi','pods':'10'},'addresses':[{'type':'InternalIP','address':'192.168.7.1'}]}}"
#define NS(name) "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'" name "'}}"
#define SLICE                                                                                      \
    "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'hook-1',"      \
    "'namespace':'shop','labels':{'kubernetes.io/"                                                 \
    "service-name':'hook'}},'endpoints':[{'addresses':"                                            \
    "['10.1.1.1'],'conditions':{'ready':true}}]}"
#define LAST_APPLIED(api)                                                                          \
    NOTED("apps/v1", "Deployment", "kubectl.kubernetes.io/last-applied-configuration",             \
          "{\\'apiVersion\\':\\'" api "\\',\\'kind\\':\\'Deployment\\'}")
#define CRD(version)                                                                               \
    WIDE("apiextensions.k8s.io/v1", "CustomResourceDefinition",                                    \
         ",'spec':{'group':'example.com','names':{'kind':'Lamp'},'versions':[{'name':'" version    \
         "','served':true}]}")                                                                     \
    "," BODY("example.com/v1", "Lamp", "")

/* Bodies of the source in which the row finds its evidence about the first one, the nearest ones in
 * which it does not, and what the destination has in both. */
static const struct {
    const char *id, *src, *evidence, *near, *dst;
} golden[] = {
    {"H1-cronjob", BODY("batch/v1", "CronJob", ",'spec':{'schedule':'@daily'}"), "schedule @daily",
     BODY("batch/v1", "CronJob", ",'spec':{'schedule':'@daily','suspend':true}"), NULL},
    {"H1-schedule", BODY("argoproj.io/v1", "CronWorkflow", ",'spec':{'schedule':'@daily'}"),
     "@daily", BODY("argoproj.io/v1", "CronWorkflow", ",'spec':{'suspend':true}"), NULL},
    {"H1-schedule",
     BODY("kubeflow.org/v1beta1", "ScheduledWorkflow",
          ",'spec':{'enabled':true,'trigger':{'cronSchedule':{'cron':'0 0 3 * * *'}}}"),
     "acts by a schedule of its own: 0 0 3",
     BODY("kubeflow.org/v1beta1", "ScheduledWorkflow", ",'spec':{'enabled':false}"), NULL},
    {"H1-schedule",
     BODY("kubeflow.org/v1beta1", "ScheduledWorkflow",
          ",'spec':{'enabled':true,'trigger':{'periodicSchedule':{'intervalSecond':'60'}}}"),
     "acts by", BODY("kubeflow.org/v1beta1", "ScheduledWorkflow", ",'spec':{}"), NULL},
    {"H1-schedule", BODY("velero.io/v1", "Schedule", ",'spec':{'schedule':'@daily'}"), "@daily",
     BODY("velero.io/v1", "Schedule", ",'spec':{'schedule':'@daily','paused':true}"), NULL},
    {"H1-schedule", BODY("postgresql.cnpg.io/v1", "ScheduledBackup", ",'spec':{}"), "acts by",
     BODY("postgresql.cnpg.io/v1", "ScheduledBackup", ",'spec':{'suspend':true}"), NULL},
    {"H2-trigger", BODY("keda.sh/v1", "ScaledObject", ",'spec':{'triggers':[{'type':'kafka'}]}"),
     "scaled by kafka", BODY("keda.sh/v1", "ScaledObject", ",'spec':{'triggers':[{'type':'cpu'}]}"),
     NULL},
    {"H2-consumer", ENV("KAFKA_GROUP", "g"), "KAFKA_GROUP",
     ENV("KAFKA_GROUP", "g") "," NAMED("v1", "Service", "s", ",'spec':{'selector':{'app':'x'}}"),
     NULL},
    {"H2-consumer", ROLLOUT("'containers':[{'env':[{'name':'QUEUE','value':'q'}]}]"), "QUEUE",
     ROLLOUT("'containers':[{'env':[{'name':'QUEUE','value':'q'}]}]") "," NAMED(
         "v1", "Service", "s", ",'spec':{'selector':{'app':'x'}}"),
     NULL},
    {"H2-consumer", ENV("URL", "amqp://user:geheim@q"), "amqp://", ENV("URL", "http://q"), NULL},
    {"H3-job", BODY("batch/v1", "Job", ""), "has not finished",
     BODY("batch/v1", "Job", ",'spec':{'suspend':true}"), NULL},
    {"H3-migration", DEPLOY("'initContainers':[{'image':'i','args':['db','migrate']}]"),
     "init container", DEPLOY("'containers':[{'image':'i','args':['db','migrate']}]"), NULL},
    {"H3-job", NOTED("batch/v1", "Job", "helm.sh/hook", "pre-upgrade"), "a Helm hook: pre-upgrade",
     NULL, NULL},
    {"H4-external-dns", IMAGE("registry.k8s.io/external-dns/external-dns:v0.15"),
     "image external-dns", IMAGE("coredns:1"), NULL},
    {"H4-dns-name",
     NOTED("v1", "Service", "external-dns.alpha.kubernetes.io/hostname", "w.example"), "w.example",
     NOTED("v1", "Service", "external-dns.alpha.kubernetes.io/ttl", "60"), NULL},
    {"H4-dns-name",
     NOTED("networking.k8s.io/v1", "Ingress", "external-dns.alpha.kubernetes.io/hostname", "w"),
     "w", BODY("networking.k8s.io/v1", "Ingress", ""), NULL},
    {"H4-dns-name", BODY("externaldns.k8s.io/v1alpha1", "DNSEndpoint", ""), "DNS records",
     BODY("example.com/v1", "DNSEndpoint", ""), NULL},
    {"H5-certificate", BODY("cert-manager.io/v1", "Certificate", ",'spec':{'secretName':'t'}"),
     "Secret t",
     BODY("cert-manager.io/v1", "Certificate",
          ",'spec':{'secretName':'t'}") "," NAMED("v1", "Secret", "t", ""),
     NULL},
    {"H5-acme", BODY("cert-manager.io/v1", "Issuer", ",'spec':{'acme':{}}"), "ACME",
     BODY("cert-manager.io/v1", "Issuer", ",'spec':{'ca':{}}"), NULL},
    {"H6-load-balancer", SERVICE("'type':'LoadBalancer'"), "type LoadBalancer",
     SERVICE("'type':'ClusterIP'"), NULL},
    {"H6-fixed-address", SERVICE("'type':'LoadBalancer','loadBalancerIP':'198.51.100.7'"),
     "198.51.100.7", SERVICE("'type':'LoadBalancer'"), NULL},
    {"H6-claimed",
     BODY("v1", "Service", ",'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.7'}]}}"),
     "Service shop/other",
     BODY("v1", "Service", ",'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.8'}]}}"),
     NAMED("v1", "Service", "other", ",'spec':{'loadBalancerIP':'198.51.100.7'}")},
    {"H6-ingress-group",
     NOTED("networking.k8s.io/v1", "Ingress", "alb.ingress.kubernetes.io/group.name", "edge"),
     "edge", NOTED("networking.k8s.io/v1", "Ingress", "alb.ingress.kubernetes.io/scheme", "edge"),
     NULL},
    {"H6-target-group", BODY("elbv2.k8s.aws/v1", "TargetGroupBinding", ",'spec':{}"), "deregister",
     BODY("elbv2.k8s.aws/v1", "TargetGroupBinding", ",'spec':{'multiClusterTargetGroup':true}"),
     NULL},
    {"H7-cold",
     BODY("autoscaling/v2", "HorizontalPodAutoscaler",
          ",'spec':{'minReplicas':2},'status':{'desiredReplicas':9}"),
     "runs 9 replicas, minReplicas is 2",
     BODY("autoscaling/v2", "HorizontalPodAutoscaler", ",'status':{'desiredReplicas':1}"), NULL},
    {"H7-metrics",
     BODY("autoscaling/v2", "HorizontalPodAutoscaler", ",'spec':{'metrics':[{'type':'Pods'}]}"),
     "custom.metrics.k8s.io",
     BODY("autoscaling/v2", "HorizontalPodAutoscaler", ",'spec':{'metrics':[{'type':'Resource'}]}"),
     BODY("metrics.k8s.io/v1beta1", "PodMetrics", "")},
    {"H8-same-volume", PV("'nfs':{'server':'s','path':'/p'}"), "volume y of the destination",
     PV("'local':{'path':'/p'}"),
     "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'y'},'spec':{'nfs':{'server':"
     "'s','path':'/p'}}}"},
    {"H8-same-volume", PV("'csi':{'driver':'d','volumeHandle':'v'}"), "goes over with its storage",
     PV("'hostPath':{'path':'/p'}"), NULL},
    {"H8-share", DEPLOY("'volumes':[{'nfs':{'server':'s','path':'/p'}}]"), "mounts s:/p",
     DEPLOY("'volumes':[{'nfs':{'server':'s','path':'/p','readOnly':true}}]"), NULL},
    {"H9-shared-volume", PV("'persistentVolumeReclaimPolicy':'Delete'"),
     "persistentVolumeReclaimPolicy: Delete", PV("'persistentVolumeReclaimPolicy':'Retain'"), NULL},
    {"H9-shared-volume", PV("'csi':{'driver':'d','volumeHandle':'v'}"),
     "Delete in volume y of the destination", PV("'csi':{'driver':'d','volumeHandle':'w'}"),
     "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'y'},'spec':{"
     "'persistentVolumeReclaimPolicy':'Delete','csi':{'driver':'d','volumeHandle':'v'}}}"},
    {"H10-claims",
     BODY("apps/v1", "StatefulSet",
          ",'spec':{'persistentVolumeClaimRetentionPolicy':{'whenScaled':'Delete'}}"),
     "whenScaled: Delete",
     BODY("apps/v1", "StatefulSet",
          ",'spec':{'persistentVolumeClaimRetentionPolicy':{'whenScaled':'Retain','whenDeleted':"
          "'Delete'}}"),
     NULL},
#define OUTSIDE(api, kind)                                                                         \
    {                                                                                              \
        "H11-outside-resource", BODY(api, kind, ",'spec':{}"), "two controllers own it",           \
            BODY(api, kind, ",'spec':{'deletionPolicy':'Orphan'}"), NULL                           \
    }
    OUTSIDE("ec2.aws.crossplane.io/v1", "VPC"),
    OUTSIDE("ec2.aws.upbound.io/v1", "VPC"),
    OUTSIDE("s3.services.k8s.aws/v1", "Bucket"),
    OUTSIDE("sql.cnrm.cloud.google.com/v1", "SQLInstance"),
    OUTSIDE("cluster.x-k8s.io/v1beta1", "Cluster"),
    OUTSIDE("infra.contrib.fluxcd.io/v1", "Terraform"),
    OUTSIDE("app.terraform.io/v1", "Workspace"),
    {"H12-leader", BODY("coordination.k8s.io/v1", "Lease", ",'spec':{'holderIdentity':'p'}"),
     "elects", BODY("coordination.k8s.io/v1", "Lease", ",'spec':{'holderIdentity':''}"), NULL},
    {"H12-singleton",
     BODY("apps/v1", "Deployment", ",'spec':{'replicas':1,'strategy':{'type':'Recreate'}}"),
     "Recreate",
     BODY("apps/v1", "Deployment", ",'spec':{'replicas':2,'strategy':{'type':'Recreate'}}"), NULL},
    {"H13-gitops", BODY("argoproj.io/v1alpha1", "ApplicationSet", ""), "ApplicationSet",
     BODY("app.k8s.io/v1", "Application", ""), NULL},
    {"H13-gitops", BODY("kustomize.toolkit.fluxcd.io/v1", "Kustomization", ",'spec':{}"),
     "Kustomization",
     BODY("kustomize.toolkit.fluxcd.io/v1", "Kustomization", ",'spec':{'suspend':true}"), NULL},
    {"H13-gitops",
     BODY("argoproj.io/v1alpha1", "Application", ",'spec':{'syncPolicy':{'automated':{}}}"),
     "Application", BODY("argoproj.io/v1alpha1", "Application", ",'spec':{'syncPolicy':{}}"), NULL},
    {"H13-gitops", BODY("helm.toolkit.fluxcd.io/v2", "HelmRelease", ",'spec':{}"), "HelmRelease",
     BODY("source.toolkit.fluxcd.io/v1", "HelmRepository", ",'spec':{}") "," BODY(
         "source.toolkit.fluxcd.io/v1", "GitRepository",
         ",'spec':{}") "," BODY("notification.toolkit.fluxcd.io/v1beta3", "Alert", ",'spec':{}"),
     NULL},
    {"H13-ci", IMAGE("docker.io/jenkins/jenkins:lts"), "jenkins",
     IMAGE("jenkins.example.com/web:1"), NULL},
    {"H14-agent", IMAGE("registry.k8s.io/autoscaling/cluster-autoscaler:v1"), "cluster-autoscaler",
     IMAGE("registry.k8s.io/pause:3"), NULL},
    {"H14-remote-write", BODY("v1", "ConfigMap", ",'data':{'p.yml':'remote_write: []'}"),
     "remote_write", BODY("v1", "ConfigMap", ",'data':{'p.yml':'remote_read: []'}"), NULL},
    {"H14-remote-write",
     BODY("monitoring.coreos.com/v1", "Prometheus", ",'spec':{'remoteWrite':[{'url':'u'}]}"),
     "one store", BODY("monitoring.coreos.com/v1", "Prometheus", ",'spec':{'remoteWrite':[]}"),
     NULL},
    {"H15-webhook", HOOK("ValidatingWebhookConfiguration", CALLS), "webhook b, failurePolicy Fail",
     HOOK("ValidatingWebhookConfiguration", "'name':'b','clientConfig':{'url':'https://x'}"), NULL},
    {"H15-webhook", HOOK("MutatingWebhookConfiguration", CALLS), "Service shop/hook",
     HOOK("MutatingWebhookConfiguration", CALLS ",'failurePolicy':'Ignore'"), NULL},
    {"H15-itself", HOOK("MutatingWebhookConfiguration", CALLS) "," NS("shop"), "namespace shop",
     HOOK("MutatingWebhookConfiguration", CALLS ",'namespaceSelector':{'matchExpressions':[{'key':'"
                                                "inject','operator':'Exists'}]}") "," NS("shop"),
     NULL},
    {"H16-conversion",
     WIDE("apiextensions.k8s.io/v1", "CustomResourceDefinition",
          ",'spec':{'conversion':{'strategy':'Webhook'}}"),
     "conversion by a webhook",
     WIDE("apiextensions.k8s.io/v1", "CustomResourceDefinition",
          ",'spec':{'conversion':{'strategy':'None'}}"),
     NULL},
    {"H18-no-node", DEPLOY("'nodeSelector':{'disk':'hdd'}"), "these labels",
     DEPLOY("'nodeSelector':{'disk':'ssd'}"), NODE("")},
    {"H18-no-node",
     DEPLOY("'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{"
            "'nodeSelectorTerms':[{'matchExpressions':[{'key':'disk','operator':'NotIn','values':["
            "'ssd']}]}]}}}"),
     "no machine of the destination matches",
     DEPLOY("'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{"
            "'nodeSelectorTerms':[{'matchExpressions':[{'key':'gpu','operator':'Exists'}]},{"
            "'matchExpressions':[{'key':'disk','operator':'In','values':['ssd']}]}]}}}"),
     NODE("")},
    {"H18-no-node", DEPLOY("'containers':[]"), "tainted",
     DEPLOY("'tolerations':[{'key':'team','operator':'Exists'}]"),
     NODE("{'key':'team','value':'a','effect':'NoSchedule'}")},
    {"H18-no-node", DEPLOY("'containers':[{'resources':{'requests':{'cpu':'2500m'}}}]"),
     "has what it requests",
     DEPLOY("'containers':[{'resources':{'requests':{'cpu':'2','memory':'1Gi'}}}]"), NODE("")},
    {"H18-no-node", DEPLOY("'containers':[{'resources':{'limits':{'nvidia.com/gpu':1}}}]"),
     "has what it requests",
     DEPLOY("'containers':[{'resources':{'requests':{'cpu':'1'},'limits':{'cpu':'64'}}}]"),
     NODE("")},
    {"H18-host-path", DEPLOY("'volumes':[{'hostPath':{'path':'/data'}}]"), "/data",
     AGENT("'volumes':[{'hostPath':{'path':'/data'}}]"), NULL},
    {"H18-volume-node",
     PV("'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'zone',"
        "'operator':'In','values':['z']}]}]}}"),
     "no machine",
     PV("'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'disk',"
        "'operator':'In','values':['ssd']}]}]}}"),
     NODE("")},
    {"H19-quota",
     BODY("v1", "ResourceQuota", ",'spec':{'hard':{'cpu':'1'}},'status':{'used':{'cpu':'1500m'}}"),
     "cpu: A uses more",
     BODY("v1", "ResourceQuota",
          ",'spec':{'hard':{'cpu':'1500m'}},'status':{'used':{'cpu':'1.5'}}"),
     NULL},
    {"H19-quota",
     BODY("v1", "ResourceQuota", ",'spec':{'hard':{'pods':'9'}},'status':{'used':{'pods':'5'}}"),
     "of the destination",
     BODY("v1", "ResourceQuota", ",'spec':{'hard':{'pods':'9'}},'status':{'used':{'pods':'3'}}"),
     BODY("v1", "ResourceQuota", ",'spec':{'hard':{'pods':'3'}}")},
    {"H20-disruption",
     BODY("policy/v1", "PodDisruptionBudget",
          ",'status':{'disruptionsAllowed':0,'expectedPods':2}"),
     "disruptionsAllowed is 0",
     BODY("policy/v1", "PodDisruptionBudget",
          ",'status':{'disruptionsAllowed':0,'expectedPods':0}"),
     NULL},
    {"H21-registry", IMAGE("10.1.2.3:5000/web:1"), "10.1.2.3:5000", IMAGE("library/web:1.2.3.4"),
     NULL},
    {"H21-registry", IMAGE("registry.infra.svc.cluster.local/web"), "registry.infra.svc",
     IMAGE("registry.example.com/web"), NULL},
    {"H21-cloud-pull", IMAGE("1.dkr.ecr.eu-west-1.amazonaws.com/web:1"), "dkr.ecr",
     DEPLOY(
         "'imagePullSecrets':[{'name':'s'}],'containers':[{'image':'1.dkr.ecr.eu-west-1.amazonaws"
         ".com/web:1'}]"),
     NULL},
    {"H22-identity", NOTED("v1", "ServiceAccount", "eks.amazonaws.com/role-arn", "arn"),
     "annotation eks.amazonaws.com/role-arn", NOTED("v1", "ServiceAccount", "example.com/x", "arn"),
     NULL},
    {"H22-identity", NOTED("v1", "ServiceAccount", "iam.gke.io/gcp-service-account", "a"),
     "annotation iam.gke.io/gcp-service-account", NULL, NULL},
    {"H22-identity", NOTED("v1", "ServiceAccount", "azure.workload.identity/client-id", "a"),
     "annotation azure.workload.identity/client-id", NULL, NULL},
    {"H22-identity",
     DEPLOY("'volumes':[{'projected':{'sources':[{'serviceAccountToken':{'audience':'vault'}}]}}]"),
     "vault",
     DEPLOY("'volumes':[{'projected':{'sources':[{'serviceAccountToken':{'path':'t'}}]}}]"), NULL},
    {"H22-token", BODY("v1", "Secret", TOKEN), "its token is another one in the destination",
     BODY("v1", "Secret", ",'type':'Opaque'"), NULL},
    {"H23-address",
     BODY("v1", "ConfigMap", ",'data':{'u':'http://10.96.4.4:80/'}") "," NAMED(
         "v1", "Service", "s", ",'spec':{'clusterIP':'10.96.4.4'}"),
     "10.96.4.4, the address of Service shop/s in A",
     BODY(
         "v1", "ConfigMap",
         ",'data':{'u':'http://10.96.4.40:80/','v':'1.10.96.4.4','w':'x10.96.4.4'}") "," NAMED("v1",
                                                                                               "Ser"
                                                                                               "vic"
                                                                                               "e",
                                                                                               "s",
                                                                                               ",'"
                                                                                               "spe"
                                                                                               "c':"
                                                                                               "{'"
                                                                                               "clu"
                                                                                               "ste"
                                                                                               "rIP"
                                                                                               "':'"
                                                                                               "10."
                                                                                               "96."
                                                                                               "4."
                                                                                               "4'"
                                                                                               "}"),
     NULL},
    {"H23-address", /* base64 of http://10.96.4.4/, and of http://10.97.4.4/ */
     BODY("v1", "Secret", ",'data':{'u':'aHR0cDovLzEwLjk2LjQuNC8='}") "," NAMED(
         "v1", "Service", "s", ",'spec':{'clusterIP':'10.96.4.4'}"),
     "holds the address of Service shop/s in A",
     BODY("v1", "Secret", ",'data':{'u':'aHR0cDovLzEwLjk3LjQuNC8='}") "," NAMED(
         "v1", "Service", "s", ",'spec':{'clusterIP':'10.96.4.4'}"),
     NULL},
    {"H23-address", ENV("HOST", "192.168.7.1") "," NODE(""), "A's machine n",
     ENV("HOST", "192.168.7.2") "," NODE(""), NULL},
    {"H23-address",
     BODY("v1", "Endpoints", ",'subsets':[{'addresses':[{'ip':'10.244.0.9'}]}]") "," NODE(""),
     "A's pod range",
     BODY("v1", "Endpoints", ",'subsets':[{'addresses':[{'ip':'10.245.0.9'}]}]") "," NODE(""),
     NULL},
    {"H23-address",
     BODY("discovery.k8s.io/v1", "EndpointSlice",
          ",'endpoints':[{'addresses':['192.168.7.1']}]") "," NODE(""),
     "A's machine n",
     BODY("discovery.k8s.io/v1", "EndpointSlice",
          ",'endpoints':[{'addresses':['192.168.8.1']}]") "," NODE(""),
     NULL},
    {"H23-address", SERVICE("'externalIPs':['192.168.7.1']") "," NODE(""), "A's machine n",
     SERVICE("'externalIPs':['198.51.100.1']") "," NODE(""), NULL},
    {"H23-ip-block",
     BODY("networking.k8s.io/v1", "NetworkPolicy",
          ",'spec':{'ingress':[{'from':[{'ipBlock':{'cidr':'10.244.0.0/16'}}]}]}") "," NODE(""),
     "A's pod range",
     BODY("networking.k8s.io/v1", "NetworkPolicy",
          ",'spec':{'ingress':[{'from':[{'ipBlock':{'cidr':'0.0.0.0/0'}},{'ipBlock':{'cidr':"
          "'203.0.113.0/24'}}]}]}") "," NODE(""),
     NULL},
    {"H24-crd-version", CRD("v2"), "version v2", CRD("v1"), BODY("example.com/v1", "Lamp", "")},
    {"H24-last-applied", LAST_APPLIED("apps/v1beta2"), "apps/v1beta2", LAST_APPLIED("apps/v1"),
     NULL},
    {"H25-pod-security", NS("x"), "level restricted, A none",
     LABELLED("v1", "Namespace", "", "pod-security.kubernetes.io/enforce", "restricted"),
     LABELLED("v1", "Namespace", "", "pod-security.kubernetes.io/enforce", "restricted")},
    {"H26-sealing-key",
     LABELLED("v1", "Secret", "'namespace':'kube-system',",
              "sealedsecrets.bitnami.com/sealed-secrets-key", "active"),
     "cannot unseal",
     LABELLED("v1", "Secret", "'namespace':'shop',", "sealedsecrets.bitnami.com/sealed-secrets-key",
              "active"),
     NULL},
    {"H27-peers",
     WORKLOAD("StatefulSet", "'containers':[{'args':['-retry-join=consul.example.com']}]"),
     "the same quorum",
     WORKLOAD("StatefulSet", "'containers':[{'args':['-retry-join=consul-0.consul.shop.svc']}]"),
     NULL},
    {"H30-data", CLAIM "," DYNAMIC, "volume pv stays in the source", CLAIM "," STATIC, NULL},
#define MARKED(api, kind, name, key)                                                               \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{'name':'" name "','annotations':{'" key \
    "':'true'}}}"
#define SC_KEY "storageclass.kubernetes.io/is-default-class"
#define IC_KEY "ingressclass.kubernetes.io/is-default-class"
    {"H31-default-class", MARKED("storage.k8s.io/v1", "StorageClass", "x", SC_KEY),
     "so is y of the destination", MARKED("storage.k8s.io/v1", "StorageClass", "y", SC_KEY),
     MARKED("storage.k8s.io/v1", "StorageClass", "y", SC_KEY)},
    {"H31-default-class", MARKED("networking.k8s.io/v1", "IngressClass", "x", IC_KEY),
     "so is y of the destination", MARKED("networking.k8s.io/v1", "IngressClass", "y", IC_KEY),
     MARKED("networking.k8s.io/v1", "IngressClass", "y", IC_KEY)},
    {"H31-default-class", WIDE("scheduling.k8s.io/v1", "PriorityClass", ",'globalDefault':true"),
     "so is y", WIDE("scheduling.k8s.io/v1", "PriorityClass", ",'globalDefault':false"),
     "{'apiVersion':'scheduling.k8s.io/v1','kind':'PriorityClass','metadata':{'name':'y'},"
     "'globalDefault':true}"},
    {"H32-finalizer",
     "{'apiVersion':'example.com/v1','kind':'Lamp','metadata':{'name':'x','namespace':'shop',"
     "'finalizers':['example.com/lamp']}}",
     "example.com/lamp",
     "{'apiVersion':'example.com/v1','kind':'Lamp','metadata':{'name':'x','namespace':'shop',"
     "'finalizers':['foregroundDeletion','kubernetes.io/x']}}",
     NULL},
    /* What stands behind the first @ is still the password. */
    {"H33-database", ENV("DSN", "postgres://user:ge@heim.is.it/x@db.example.com:5432/shop"),
     "postgres://db.example.com", ENV("DSN", "postgres://user:geheim@db.shop.svc:5432/shop"), NULL},
    {"H33-database", ENV("DSN", "postgres://user:geheim@db.example.com:5432/shop"),
     "postgres://db.example.com", ENV("DSN", "postgres://user:geheim@db.shop.svc:5432/shop"), NULL},
    {"H33-database", BODY("v1", "ConfigMap", ",'data':{'dsn':'jdbc:mysql://db.example.com/x'}"),
     "mysql://db.example.com", BODY("v1", "ConfigMap", ",'data':{'dsn':'mysql://db/x'}"), NULL},
    {"H33-database", /* base64 of mysql://u:geheim@db.example.com/x, and of mysql://u:geheim@db/x */
     BODY("v1", "Secret", ",'data':{'dsn':'bXlzcWw6Ly91OmdlaGVpbUBkYi5leGFtcGxlLmNvbS94'}"),
     "a mysql:// address outside",
     BODY("v1", "Secret", ",'data':{'dsn':'bXlzcWw6Ly91OmdlaGVpbUBkYi94'}"), NULL},
    {"H33-database", ENV("DB_HOST", "shop.c1.eu-west-1.rds.amazonaws.com"),
     "shop.c1.eu-west-1.rds.amazonaws.com: outside", ENV("DB_HOST", "db.shop.svc"), NULL},
    {"H33-database", ENV("PGHOST", "db.example.com:5432"), "db.example.com: outside",
     ENV("FEEDBACK_HOST", "www.example.com:443"), NULL},
    {"H33-database", ENV("redis.host", "10.1.2.3"), "10.1.2.3: outside",
     ENV("redis.host", "10.1.2.3") "," NAMED("v1", "Service", "s",
                                             ",'spec':{'clusterIP':'10.1.2.3'}"),
     NULL},
    {"H33-database",
     BODY("v1", "ConfigMap", ",'data':{'app.yml':'user: geheim@shop.x1.mongodb.net, retry: 3'}"),
     "shop.x1.mongodb.net: outside",
     BODY("v1", "ConfigMap", ",'data':{'app.yml':'see mongodb.net','DB_HOST':'db one two'}"), NULL},
    {"H33-database", /* base64 of db.example.com */
     BODY("v1", "Secret", ",'data':{'DB_HOST':'ZGIuZXhhbXBsZS5jb20='}"),
     "a database's address outside",
     BODY("v1", "Secret", ",'data':{'WEB_HOST':'ZGIuZXhhbXBsZS5jb20='}"), NULL},
    {"H34-node-agent", AGENT("'hostNetwork':true"), "hostNetwork", AGENT("'hostNetwork':false"),
     NULL},
    {"H34-node-agent", AGENT("'hostPID':true"), "hostPID", AGENT("'hostIPC':true"), NULL},
    {"H34-node-agent", AGENT("'containers':[{'securityContext':{'privileged':true}}]"),
     "privileged", AGENT("'containers':[{'securityContext':{'privileged':false}}]"), NULL},
    {"H34-node-agent", AGENT("'volumes':[{'hostPath':{'path':'/etc/cni/net.d'}}]"), "/etc/cni",
     AGENT("'volumes':[{'hostPath':{'path':'/srv'}}]"), NULL},
    {"H35-host-port", DEPLOY("'containers':[{'ports':[{'containerPort':80,'hostPort':8443}]}]"),
     "pod infra/edge", DEPLOY("'containers':[{'ports':[{'containerPort':8443}]}]"),
     "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'edge','namespace':'infra'},'spec':{"
     "'hostNetwork':true,'containers':[{'ports':[{'containerPort':8443}]}]}}"},
    {"H35-node-port", SERVICE("'ports':[{'nodePort':30080}]"), "Service shop/other",
     SERVICE("'ports':[{'nodePort':30081}]"),
     NAMED("v1", "Service", "other", ",'spec':{'ports':[{'nodePort':30080}]}")},
    {"H36-pinned", SERVICE("'type':'NodePort'"), "NodePort", SERVICE("'type':'ClusterIP'"), NULL},
    {"H36-pinned", SERVICE("'externalTrafficPolicy':'Local'"), "Local",
     SERVICE("'externalTrafficPolicy':'Cluster'"), NULL},
    {"H36-pinned", SERVICE("'loadBalancerSourceRanges':['203.0.113.0/24']"), "firewall",
     SERVICE("'loadBalancerSourceRanges':[]"), NULL},
    {"H39-labels", BODY("v1", "ConfigMap", ",'data':{'p':'global: {external_labels: {a: b}}'}"),
     "external_labels", BODY("v1", "ConfigMap", ",'data':{'p':'global: {}'}"), NULL},
    {"H39-labels",
     BODY("monitoring.coreos.com/v1", "Prometheus", ",'spec':{'externalLabels':{'cluster':'a'}}"),
     "same labels", BODY("monitoring.coreos.com/v1", "Prometheus", ",'spec':{}"), NULL},
    {"H39-labels",
     AGENT("'containers':[{'image':'x/fluent-bit:3','env':[{'name':'CLUSTER_NAME','value':'a'}]}]"),
     "CLUSTER_NAME",
     AGENT("'containers':[{'image':'x/web:3','env':[{'name':'CLUSTER_NAME','value':'a'}]}]"), NULL},
    /* of the destination's own objects */
    {"H15-no-back-end", NULL, "its Service shop/hook has no ready endpoint", NULL,
     HOOK("ValidatingWebhookConfiguration", CALLS)},
    {"H25-limits", NS("shop"), "none of this name", BODY("v1", "LimitRange", "") "," NS("shop"),
     BODY("v1", "LimitRange", "")},
    {"H25-mutator", NS("shop"), "none of this name", NULL,
     WIDE("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "")},
    {"H25-mutator", NS("shop"), "none of this name",
     HOOK("MutatingWebhookConfiguration", CALLS) "," NS("shop"),
     HOOK("MutatingWebhookConfiguration", CALLS)},
};

static struct findings *all_findings(struct arena *a, const struct world_opts *opts,
                                     const char *src, const char *dst) {
    const char *s = arena_printf(a, "[%s]", src ? src : ""),
               *d = arena_printf(a, "[%s]", dst ? dst : "");
    yyjson_val *sv = lab_json(a, s), *dv = lab_json(a, d);
    /* what the destination has beside what the source has: both serve the same */
    struct world *w = lab_world(a, opts, s, d, NULL);
    struct world_side ss = lab_side(a, sv), ds = lab_side(a, dv);
    struct findings *out = arena_new_of(a, struct findings);
    struct findings raw;
    struct err e = {0};
    AUTO_ARENA tmp = arena_new();
    findings_init(&raw, tmp);
    findings_init(out, a);
    if (hazards_offline(w, &ss, &ds, &raw, &e) < 0)
        fail_msg("%s", err_msg(&e));
    findings_copy(out, raw.first);
    world_free(w);
    return out;
}

static const struct finding *first_of(const struct findings *l, const char *id) {
    for (const struct finding *f = l->first; f; f = f->next)
        if (str_eq(f->id, id))
            return f;
    return NULL;
}

static bool is_of(const struct hazard_row *row, const struct finding *f, bool pod) {
    if (!str_eq(row->id, f->id))
        return false;
    if (str_eq(row->kind, "(pod)"))
        return pod;
    return f->kind && str_glob(row->kind, f->kind) && str_glob(row->group, f->group);
}

static bool has_pod(const char *kind) {
    static const char *const kinds[] = {"Deployment", "StatefulSet", "DaemonSet", "Rollout",
                                        "Pod",        "Job",         "CronJob"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_eq(kinds[i], kind))
            return true;
    return false;
}

/* What a row needs and bodies at hand cannot tell: on the bed, tests/upgrade/hazards.t. */
static bool on_the_bed(const struct hazard_row *row) {
    return str_eq(row->id, "H22-issuer") || str_eq(row->id, "H19-capacity") ||
           str_eq(row->id, "H28-mesh") || str_eq(row->id, "H38-certificate");
}

/* What is wrong with a case, or NULL. Marks the rows that found. */
static const char *wrong(struct arena *a, size_t i, bool *hit) {
    size_t n;
    const struct hazard_row *t = hazard_rows(&n);
    const struct finding *f =
        first_of(all_findings(a, NULL, golden[i].src, golden[i].dst), golden[i].id);
    const struct finding *g =
        golden[i].near
            ? first_of(all_findings(a, NULL, golden[i].near, golden[i].dst), golden[i].id)
            : NULL;
    if (!f)
        return arena_printf(a, "finds nothing in %s", golden[i].src);
    for (size_t r = 0; r < n; r++)
        hit[r] |= is_of(&t[r], f, has_pod(f->kind));
    if (!strstr(f->what, golden[i].evidence) || !str_eq(f->name, "x"))
        return arena_printf(a, "%s: %s, wanted %s", f->where, f->what, golden[i].evidence);
    if (str_empty(f->remedy) || (f->field && *f->field != '/'))
        return arena_printf(a, "field %s, remedy %s", f->field, f->remedy);
    return g ? arena_printf(a, "%s: %s, in %s", g->where, g->what, golden[i].near) : NULL;
}

static void every_row_has_its_case(void **state UNUSED) {
    bool hit[160] = {false};
    size_t n, bad = 0;
    const struct hazard_row *t = hazard_rows(&n);
    assert_in_range(n, 1, COUNT_OF(hit));
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        const char *what = wrong(a, i, hit);
        if (what)
            print_error("%s: %s\n", golden[i].id, what);
        bad += what != NULL;
    }
    for (size_t r = 0; r < n; r++) {
        bool missing = !hit[r] && !on_the_bed(&t[r]);
        if (missing)
            print_error("%s of %s has no golden case\n", t[r].id, t[r].kind);
        bad += missing;
    }
    assert_int_equal(bad, 0);
}

/* Machine i with a range of pods of its own, as cluster CIDRs are cut up. */
static void add_machines(struct sb *b, unsigned n, const char *pods, const char *ip) {
    for (unsigned i = 0; i < n; i++)
        sb_fmt(b,
               "%s{'apiVersion':'v1','kind':'Node','metadata':{'name':'m%u'},'spec':{'podCIDRs':["
               "'%s.%u.0/24']},'status':{'addresses':[{'address':'%s.%u'}]}}",
               b->len ? "," : "", i, pods, i, ip, i + 1);
}

/* A block that says the same in both clusters is no hazard; ranges of many machines are all seen,
 * and the range of Services behind them. */
static void blocks_of_both(void **state UNUSED) {
#define POLICY(cidr)                                                                               \
    BODY("networking.k8s.io/v1", "NetworkPolicy",                                                  \
         ",'spec':{'egress':[{'to':[{'ipBlock':{'cidr':'" cidr "'}}]}]}")
#define SERVICES(cidr) WIDE("networking.k8s.io/v1", "ServiceCIDR", ",'spec':{'cidrs':['" cidr "']}")
    static const struct {
        const char *policy, *pods_b, *ip_b, *services_b, *what;
    } cases[] = {
        {POLICY("10.244.0.0/16"), "10.244", "192.168.7", SERVICES("10.96.0.0/16"), NULL},
        {POLICY("10.244.3.0/24"), "10.244", "192.168.7", SERVICES("10.96.0.0/16"), NULL},
        {POLICY("10.244.0.0/16"), "10.32", "192.168.7", SERVICES("10.96.0.0/16"), "A's pod range"},
        {POLICY("10.0.0.0/8"), "10.32", "192.168.7", SERVICES("10.96.0.0/16"), NULL},
        {POLICY("10.96.0.0/12"), "10.244", "192.168.7", SERVICES("10.112.0.0/16"),
         "A's Service range"},
        {POLICY("10.96.0.0/16"), "10.244", "192.168.7", SERVICES("10.96.0.0/12"), NULL},
        {POLICY("192.168.7.0/24"), "10.244", "192.168.7", SERVICES("10.96.0.0/16"), NULL},
        {POLICY("192.168.7.0/24"), "10.244", "192.168.8", SERVICES("10.96.0.0/16"),
         "machines of A"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        AUTO_SB src = SB_INIT(0);
        AUTO_SB dst = SB_INIT(0);
        add_machines(&src, 100, "10.244", "192.168.7");
        add_machines(&dst, 90, cases[i].pods_b, cases[i].ip_b);
        sb_fmt(&src, ",%s,%s", SERVICES("10.96.0.0/16"), cases[i].policy);
        sb_fmt(&dst, ",%s", cases[i].services_b);
        const struct finding *f = first_of(all_findings(a, NULL, src.p, dst.p), "H23-ip-block");
        if (!f != !cases[i].what || (f && !strstr(f->what, cases[i].what)))
            fail_msg("case %zu: %s", i, f ? f->what : "nothing");
    }
}

/* Whatever is told, no value of a Secret and no user's password is in it. */
static void secrets_stay_secret(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        const struct findings *l = all_findings(a, NULL, golden[i].src, golden[i].dst);
        for (const struct finding *f = l->first; f; f = f->next)
            if (strstr(f->what, "geheim") || strstr(f->where, "geheim"))
                fail_msg("%s: %s", f->id, f->what);
    }
}

static void capacity(void **state UNUSED) {
#define ASKS(api, kind)                                                                            \
    BODY(api, kind,                                                                                \
         ",'spec':{'replicas':3,'template':{'spec':{'containers':[{'resources':{'requests':{"      \
         "'cpu':'800m','memory':'1Gi'}}}]}}}")
    static const char *const asks[] = {ASKS("apps/v1", "Deployment"),
                                       ASKS("argoproj.io/v1alpha1", "Rollout")};
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        AUTO_ARENA a = arena_new();
        const struct findings *l = all_findings(a, NULL, asks[i], NODE(""));
        const struct finding *f = first_of(l, "H19-capacity");
        assert_non_null(f);
        assert_string_equal(f->where, "B");
        assert_string_equal(f->what,
                            "cpu: what goes over asks for 2.4 CPUs, the machines have 2.0");
        assert_null(first_of(&(struct findings){.first = f->next}, "H19-capacity"));
    }
}

static void rows_say_what_to_do(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    size_t n, n_ids;
    const struct hazard_row *t = hazard_rows(&n);
    const struct finding_id *ids = finding_ids(a, &n_ids);
    for (size_t r = 0; r < n; r++) {
        assert_false(str_empty(t[r].remedy));
        assert_non_null(t[r].look);
        assert_string_not_equal(severity_name(t[r].severity), "?");
        assert_in_range(finding_id_number(t[r].id), 1, 40);
        for (size_t k = 0; k < r; k++)
            if (str_eq(t[r].id, t[k].id))
                assert_true(t[r].severity == t[k].severity);
    }
    for (size_t i = 0; i < n_ids; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[i].id, ids[k].id);
    assert_null(finding_id_of("H1-cronjobs").text);
}

static void all_forty(void **state UNUSED) {
    size_t n;
    const struct hazard *h = hazards_all(&n);
    assert_int_equal(n, 40);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(h[i].number, (int)i + 1);
        assert_false(str_empty(h[i].title));
        assert_true(!h[i].blind == !h[i].look);
        /* what no check finds is at least named */
        assert_true(hazard_has_check(h[i].number) || h[i].blind);
    }
}

static void skipped_and_held_objects(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    assert_null(first_of(
        all_findings(a, NULL,
                     "{'apiVersion':'v1','kind':'Service','metadata':{'name':'x','namespace':"
                     "'shop','deletionTimestamp':'t'},'spec':{'type':'LoadBalancer'}}",
                     NULL),
        "H6-load-balancer"));
    /* held, it waits: a note, with who lets it go */
    const struct user_rule hold = {.kind = "Deployment", .verdict = "hold", .why = "w"};
    const struct user_rule create = {.kind = "Deployment", .verdict = "create", .why = "w"};
    struct world_opts held = {.rules = &hold, .n_rules = 1},
                      loose = {.rules = &create, .n_rules = 1};
    const char *body = IMAGE("x/external-dns:1");
    const struct finding *f = first_of(all_findings(a, &held, body, NULL), "H4-external-dns");
    assert_non_null(f);
    assert_int_equal(f->severity, SEV_INFO);
    assert_non_null(strstr(f->remedy, "tandem activate"));
    f = first_of(all_findings(a, &loose, body, NULL), "H4-external-dns");
    assert_non_null(f);
    assert_int_equal(f->severity, SEV_WARNING);
    /* held in A by a switch: it acts in neither, and nothing is to be said */
    body = "{'apiVersion':'helm.toolkit.fluxcd.io/v2','kind':'HelmRelease','metadata':{'name':'x',"
           "'namespace':'shop','annotations':{'tandem.dev/held':'null'}},'spec':{'suspend':true}}";
    assert_null(first_of(all_findings(a, NULL, body, NULL), "H13-gitops"));
    body = NOTED("helm.toolkit.fluxcd.io/v2", "HelmRelease", "tandem.dev/hold", "false");
    f = first_of(all_findings(a, NULL, body, NULL), "H13-gitops");
    assert_non_null(f);
    assert_int_equal(f->severity, SEV_WARNING);
}

/* --- references --- */

#define POD(spec) BODY("v1", "Pod", ",'spec':{" spec "}")
#define CONFIG(name, more)                                                                         \
    ",{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'" name "','namespace':'shop'" more \
    "}}"
#define ENV_FROM "'containers':[{'envFrom':[{'configMapRef':{'name':'c'}}]}]"
#define MISSING_C                                                                                  \
    "/spec/containers/0/envFrom/0/configMapRef/name: names ConfigMap c, which the destination "    \
    "will not have"
#define CLASS(name)                                                                                \
    ",{'apiVersion':'storage.k8s.io/v1','kind':'StorageClass','metadata':{'name':'" name "'}}"
#define CLAIM_OF(class)                                                                            \
    BODY("v1", "PersistentVolumeClaim", ",'spec':{'storageClassName':'" class "'}")
#define MISSING_CLASS(name)                                                                        \
    "/spec/storageClassName: names StorageClass " name ", which the destination will not have"

static const struct {
    const char *bodies, *want;
} refs[] = {
    {POD(ENV_FROM), MISSING_C},
    {POD(ENV_FROM) CONFIG("c", ""), ""},
    {POD(ENV_FROM) CONFIG("d", ""), MISSING_C},
    {POD(ENV_FROM) CONFIG("c", ",'deletionTimestamp':'t'"), MISSING_C},
    {POD("'containers':[{'envFrom':[{'configMapRef':{'name':'c','optional':true}}]}]"), ""},
    {POD("'serviceAccountName':'default','priorityClassName':'system-node-critical',"
         "'volumes':[{'configMap':{'name':'kube-root-ca.crt'}}]"),
     ""},
    {CLAIM_OF("io1") CLASS("io1"), ""},
    {CLAIM_OF("io1"), MISSING_CLASS("io1")},
    /* mapped by the configuration: what counts is the name that goes there */
    {CLAIM_OF("gp2") CLASS("gp3"), ""},
    {CLAIM_OF("gp2") CLASS("gp2"), MISSING_CLASS("gp3")},
    /* the volume of a provisioner stays, and the claim does not name it any more */
    {CLAIM "," DYNAMIC, ""},
    /* drivers need not have an object; where A has one, B needs it too */
    {POD("'volumes':[{'csi':{'driver':'d'}}]"), ""},
};

static void references(void **state UNUSED) {
    static const char *const from[] = {"gp2", NULL}, *const to[] = {"gp3", NULL};
    struct world_opts o = {.class_from = from, .class_to = to};
    for (size_t i = 0; i < COUNT_OF(refs); i++) {
        AUTO_ARENA a = arena_new();
        const struct finding *f =
            first_of(all_findings(a, &o, refs[i].bodies, NULL), "H17-missing");
        assert_string_equal(f ? arena_printf(a, "%s: %s", f->field, f->what) : "", refs[i].want);
    }
}

/* --- blocked objects --- */

#define MAP(name, meta)                                                                            \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'" name "','namespace':'shop'" meta  \
    "},'data':{'a':'1'}}"

/* Each reason that blocks has its own id, and says what to do. */
static void blocked_objects(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    static const char *const serves[] = {"v1 ConfigMap", NULL};
    const struct user_rule rules[] = {
        {.name = "by-rule", .verdict = "block", .why = "no"},
        {.name = "patched",
         .patch =
             yyjson_val_mut_copy(json_doc(a), lab_json(a, "[{'op':'remove','path':'/data/zz'}]"))}};
    struct world_opts o = {.rules = rules, .n_rules = COUNT_OF(rules)};
    struct world *w = lab_world(
        a, &o,
        "[" NAMED("example.com/v1", "Widget", "w", "") "," MAP("foreign", "") "," MAP(
            "held",
            ",'annotations':{'tandem.dev/hold':'true'}") "," MAP("patched",
                                                                 "") "," MAP("by-rule",
                                                                             "") "," MAP("fine",
                                                                                         "") "]",
        "[{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'foreign',"
        "'namespace':'shop'}}]",
        serves);
    static const struct {
        const char *where, *id;
    } want[] = {
        {"Widget shop/w", "H24-api"},
        {"ConfigMap shop/foreign", "H37-foreign"},
        {"ConfigMap shop/held", "hold-impossible"},
        {"ConfigMap shop/patched", "patch-misfit"},
        {"ConfigMap shop/by-rule", "blocked"},
    };
    struct findings l;
    struct err e = {0};
    struct world_side none = {0};
    findings_init(&l, a);
    if (hazards_offline(w, &none, &none, &l, &e) < 0)
        fail_msg("%s", err_msg(&e));
    const struct finding *f = l.first;
    for (size_t i = 0; i < COUNT_OF(want); i++, f = f->next) {
        assert_non_null(f);
        assert_string_equal(f->where, want[i].where);
        assert_string_equal(f->id, want[i].id);
        assert_int_equal(f->severity, SEV_BLOCKER);
        assert_false(str_empty(f->what));
        assert_false(str_empty(f->remedy));
    }
    assert_null(f);
    world_free(w);
}

/* What a world without a run does not come to: judged by three, tried by a dry run. */
static void blocked_in_a_run(void **state UNUSED) {
    static const struct {
        const char *rule, *remedy;
    } rules[] = {{"immutable", "recreate: true"},
                 {"conflict", "overwrite: true"},
                 {"dry-run-refused", "the server's words"}};
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = lab_world(a, NULL, "[" MAP("m", "") "]", NULL, NULL);
        struct findings l;
        struct world_side none = {0};
        findings_init(&l, a);
        world_at(w, 0)->verdict = V_BLOCK;
        world_at(w, 0)->rule = rules[i].rule;
        world_at(w, 0)->why = "why";
        assert_int_equal(hazards_offline(w, &none, &none, &l, NULL), 0);
        assert_string_equal(l.first->id, rules[i].rule);
        assert_non_null(strstr(l.first->remedy, rules[i].remedy));
        world_free(w);
    }
}

/* RBAC that the destination has of its own is not copied; who was granted more is told. */
static void tuned_objects(void **state UNUSED) {
#define ADMINS(more)                                                                               \
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRoleBinding','metadata':{'name':" \
    "'cluster-admin','labels':{'kubernetes.io/bootstrapping':'rbac-defaults'}},'subjects':[{"      \
    "'kind':'Group','name':'system:masters'}" more "]}"
    AUTO_ARENA a = arena_new();
    const struct user_rule rule = {
        .kind = "ClusterRoleBinding", .verdict = "create", .overwrite = true};
    struct world_opts carried = {.rules = &rule, .n_rules = 1};
    const char *ci = ADMINS(",{'kind':'User','name':'ci'}");
    const struct finding *f = first_of(all_findings(a, NULL, ci, ADMINS("")), "system-tuned");
    assert_non_null(f);
    assert_int_equal(f->severity, SEV_WARNING);
    assert_string_equal(f->where, "ClusterRoleBinding cluster-admin");
    assert_string_equal(f->what, "only the source's has subject User ci");
    assert_null(first_of(all_findings(a, NULL, ADMINS(""), ADMINS("")), "system-tuned"));
    assert_null(first_of(all_findings(a, &carried, ci, ADMINS("")), "system-tuned"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_case),
        cmocka_unit_test(secrets_stay_secret),
        cmocka_unit_test(blocks_of_both),
        cmocka_unit_test(capacity),
        cmocka_unit_test(rows_say_what_to_do),
        cmocka_unit_test(all_forty),
        cmocka_unit_test(skipped_and_held_objects),
        cmocka_unit_test(references),
        cmocka_unit_test(blocked_objects),
        cmocka_unit_test(blocked_in_a_run),
        cmocka_unit_test(tuned_objects),
    };
    return cmocka_run_group_tests_name("hazards", tests, NULL, NULL);
}
