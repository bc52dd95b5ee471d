/* The field policy row by row, and what no row names: untouched. */
#include "lab.h"

/* --- what the world would answer --- */

static const char *gp2_is_gp3(void *ctx UNUSED, const char *name) {
    return str_eq(name, "gp2") ? "gp3" : NULL;
}

static bool nfs_moves(void *ctx UNUSED, const char *name) {
    return str_starts(name, "nfs-");
}

static bool fits_10_96(void *ctx UNUSED, const char *ip) {
    return str_starts(ip, "10.96.");
}

static bool new_is_there(void *ctx UNUSED, const char *group, const char *kind, const char *ns,
                         const char *name) {
    return str_eq(group, "snapshot.storage.k8s.io") && str_eq(kind, "VolumeSnapshot") &&
           str_eq(ns, "shop") && str_eq(name, "new");
}

static const struct scrub_env env = {gp2_is_gp3, nfs_moves, fits_10_96, new_is_there, NULL};

/* --- golden cases --- */

#define NS       "'name':'x','namespace':'shop'"
#define CM(meta) "{'apiVersion':'v1','kind':'ConfigMap','metadata':{" NS meta "}}"
#define NOTES(api, kind, notes)                                                                    \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{" NS ",'annotations':{" notes           \
    "'mine':'1'}}}"
#define NULL_META "'metadata':{'creationTimestamp':null,'labels':{'a':'b'}}"
#define KEPT_META "'metadata':{'labels':{'a':'b'}}"
#define TIME_META "'metadata':{'creationTimestamp':'2026-01-01T00:00:00Z'}"
#define EPHEMERAL(meta)                                                                            \
    "'spec':{'volumes':[{'name':'v','ephemeral':{'volumeClaimTemplate':{" meta "}}}]}"
#define APPLIED(json)        "'kubectl.kubernetes.io/last-applied-configuration':'" json "'"
#define MANAGED(who, fields) "'managedFields':[{'manager':'" who "','fieldsV1':{" fields "}}]"
#define SVC(meta, spec)                                                                            \
    "{'apiVersion':'v1','kind':'Service','metadata':{" NS meta "},'spec':{" spec "}}"
#define JOB_LABELS                                                                                 \
    "'labels':{'app':'j','controller-uid':'u','batch.kubernetes.io/controller-uid':'u',"           \
    "'job-name':'x','batch.kubernetes.io/job-name':'x'}"
#define JOB(spec)                                                                                  \
    "{'apiVersion':'batch/v1','kind':'Job','metadata':{" NS "," JOB_LABELS "},'spec':{" spec       \
    "'selector':{'matchLabels':{'controller-uid':'u'}},'template':{'metadata':{" JOB_LABELS "}}}}"
#define FILLED(source, where)                                                                      \
    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS "},'spec':{"               \
    "'dataSource':{'apiGroup':'snapshot.storage.k8s.io','kind':'VolumeSnapshot','name':'" source   \
    "'},'dataSourceRef':{'apiGroup':'snapshot.storage.k8s.io','kind':'VolumeSnapshot','name':"     \
    "'" source "'" where "}}}"
#define HOOK(kind, notes, ca)                                                                      \
    "{'apiVersion':'admissionregistration.k8s.io/v1','kind':'" kind                                \
    "','metadata':{'name':'x'" notes "},'webhooks':[{'clientConfig':{" ca                          \
    "'service':{'name':'s'}}},{'clientConfig':{" ca "'url':'https://x'}}]}"
#define INJECT ",'annotations':{'cert-manager.io/inject-ca-from':'shop/ca'}"
#define CRD(notes, ca)                                                                             \
    "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{"       \
    "'name':'x'" notes "},'spec':{'conversion':{'webhook':{'clientConfig':{" ca "'url':'u'}}}}}"
#define APISERVICE(notes, ca)                                                                      \
    "{'apiVersion':'apiregistration.k8s.io/v1','kind':'APIService','metadata':{'name':'x'" notes   \
    "},'spec':{" ca "'group':'g'}}"

/* A body of the source and what the destination should get. */
static const struct {
    const char *name, *body, *want;
} golden[] = {
    {"what every object has",
     CM(",'uid':'u','resourceVersion':'7','generation':3,'creationTimestamp':'t','selfLink':'/x',"
        "'deletionTimestamp':'t','deletionGracePeriodSeconds':0,'managedFields':[],"
        "'generateName':'x-','finalizers':['a/b'],'labels':{'a':'b'},'annotations':{'c':'d'},"
        "'ownerReferences':[{'kind':'Pod','name':'p','uid':'u'}]"),
     CM(",'labels':{'a':'b'},'annotations':{'c':'d'}")},
    {"status", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{" NS "},'status':{'x':1}}",
     CM("")},
    {"empty maps of labels say nothing", CM(",'labels':{},'annotations':{}"), CM("")},

    {"null times: Deployment",
     "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{" NS
     "},'spec':{'template':{" NULL_META "," EPHEMERAL(NULL_META) "}}}",
     "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{" NS
     "},'spec':{'template':{" KEPT_META "," EPHEMERAL(KEPT_META) "}}}"},
    {"null times: StatefulSet",
     "{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{" NS "},'spec':{"
     "'volumeClaimTemplates':[{" NULL_META ",'spec':{'storageClassName':'gp2'},'status':{"
     "'phase':'Pending'}},{" TIME_META ",'spec':{'storageClassName':'io1'}}]}}",
     "{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{" NS "},'spec':{"
     "'volumeClaimTemplates':[{" KEPT_META ",'spec':{'storageClassName':'gp3'}},{" TIME_META
     ",'spec':{'storageClassName':'io1'}}]}}"},
    {"null times: ReplicationController",
     "{'apiVersion':'v1','kind':'ReplicationController','metadata':{" NS
     "},'spec':{'template':{" NULL_META "," EPHEMERAL(NULL_META) "}}}",
     "{'apiVersion':'v1','kind':'ReplicationController','metadata':{" NS
     "},'spec':{'template':{" KEPT_META "," EPHEMERAL(KEPT_META) "}}}"},
    {"null times: Job",
     "{'apiVersion':'batch/v1','kind':'Job','metadata':{" NS "},'spec':{'template':{" NULL_META
     "," EPHEMERAL(NULL_META) "}}}",
     "{'apiVersion':'batch/v1','kind':'Job','metadata':{" NS "},'spec':{'template':{" KEPT_META
     "," EPHEMERAL(KEPT_META) "}}}"},
    {"null times: CronJob",
     "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{" NS
     "},'spec':{'jobTemplate':{" NULL_META ",'spec':{'template':{" NULL_META
     "," EPHEMERAL(NULL_META) "}}}}}",
     "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{" NS
     "},'spec':{'jobTemplate':{" KEPT_META ",'spec':{'template':{" KEPT_META
     "," EPHEMERAL(KEPT_META) "}}}}}"},
    {"null times: PodTemplate",
     "{'apiVersion':'v1','kind':'PodTemplate','metadata':{" NS "},'template':{" NULL_META "}}",
     "{'apiVersion':'v1','kind':'PodTemplate','metadata':{" NS "},'template':{" KEPT_META "}}"},
    {"null times: ResourceClaimTemplate",
     "{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaimTemplate','metadata':{" NS
     "},'spec':{" NULL_META "}}",
     "{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaimTemplate','metadata':{" NS
     "},'spec':{" KEPT_META "}}"},
    {"null times: Pod",
     "{'apiVersion':'v1','kind':'Pod','metadata':{" NS "}," EPHEMERAL(NULL_META) "}",
     "{'apiVersion':'v1','kind':'Pod','metadata':{" NS "}," EPHEMERAL(KEPT_META) "}"},
    {"a time that is set: apps",
     "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{" NS
     "},'spec':{'template':{" TIME_META "," EPHEMERAL(TIME_META) "}}}",
     NULL},
    {"a time that is set: ReplicationController",
     "{'apiVersion':'v1','kind':'ReplicationController','metadata':{" NS
     "},'spec':{'template':{" TIME_META "," EPHEMERAL(TIME_META) "}}}",
     NULL},
    {"a time that is set: Job",
     "{'apiVersion':'batch/v1','kind':'Job','metadata':{" NS "},'spec':{'template':{" TIME_META
     "," EPHEMERAL(TIME_META) "}}}",
     NULL},
    {"a time that is set: CronJob",
     "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{" NS
     "},'spec':{'jobTemplate':{" TIME_META ",'spec':{'template':{" TIME_META
     "," EPHEMERAL(TIME_META) "}}}}}",
     NULL},
    {"null times: PodTemplate's claim",
     "{'apiVersion':'v1','kind':'PodTemplate','metadata':{" NS
     "},'template':{" EPHEMERAL(NULL_META) "}}",
     "{'apiVersion':'v1','kind':'PodTemplate','metadata':{" NS
     "},'template':{" EPHEMERAL(KEPT_META) "}}"},
    {"a time that is set: PodTemplate's claim",
     "{'apiVersion':'v1','kind':'PodTemplate','metadata':{" NS
     "},'template':{" EPHEMERAL(TIME_META) "}}",
     NULL},
    {"a time that is set: PodTemplate",
     "{'apiVersion':'v1','kind':'PodTemplate','metadata':{" NS "},'template':{" TIME_META "}}",
     NULL},
    {"a time that is set: ResourceClaimTemplate",
     "{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaimTemplate','metadata':{" NS
     "},'spec':{" TIME_META "}}",
     NULL},
    {"a time that is set: Pod",
     "{'apiVersion':'v1','kind':'Pod','metadata':{" NS "}," EPHEMERAL(TIME_META) "}", NULL},

    {"notes of controllers: Deployment",
     NOTES(
         "apps/v1", "Deployment",
         "'deployment.kubernetes.io/revision':'4','deployment.kubernetes.io/desired-replicas':'1',"
         "'deployment.kubernetes.io/max-replicas':'2',"
         "'deployment.kubernetes.io/revision-history':'1,2',"),
     NOTES("apps/v1", "Deployment", "")},
    {"notes of controllers: DaemonSet",
     NOTES("apps/v1", "DaemonSet", "'deprecated.daemonset.template.generation':'4',"),
     NOTES("apps/v1", "DaemonSet", "")},
    {"notes of controllers: Endpoints",
     NOTES("v1", "Endpoints",
           "'control-plane.alpha.kubernetes.io/leader':'{}',"
           "'endpoints.kubernetes.io/last-change-trigger-time':'t',"),
     NOTES("v1", "Endpoints", "")},
    {"notes of controllers: HPA",
     NOTES("autoscaling/v1", "HorizontalPodAutoscaler",
           "'autoscaling.alpha.kubernetes.io/conditions':'[]',"
           "'autoscaling.alpha.kubernetes.io/current-metrics':'[]',"),
     NOTES("autoscaling/v1", "HorizontalPodAutoscaler", "")},
    {"notes of controllers: CronJob",
     NOTES("batch/v1", "CronJob", "'batch.kubernetes.io/cronjob-scheduled-timestamp':'t',"),
     NOTES("batch/v1", "CronJob", "")},
    {"notes of controllers: Service", NOTES("v1", "Service", "'cloud.google.com/neg-status':'{}',"),
     NOTES("v1", "Service", "")},
    {"notes of controllers: Pod",
     NOTES("v1", "Pod",
           "'cni.projectcalico.org/podIP':'1','cni.projectcalico.org/podIPs':'1',"
           "'cni.projectcalico.org/containerID':'c','k8s.v1.cni.cncf.io/network-status':'[]',"),
     NOTES("v1", "Pod", "")},
    {"the same key in another kind is the user's",
     NOTES("v1", "ConfigMap", "'deployment.kubernetes.io/revision':'4',"), NULL},
    {"an escaped key is one key, not a path",
     "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{" NS ",'annotations':{"
     "'deployment.kubernetes.io~1revision':'1','deployment.kubernetes.io':{'revision':'1'}}}}",
     NULL},

    {"a claim",
     "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS ",'annotations':{"
     "'pv.kubernetes.io/bind-completed':'yes','pv.kubernetes.io/bound-by-controller':'yes',"
     "'volume.kubernetes.io/selected-node':'n1','volume.kubernetes.io/storage-provisioner':'p',"
     "'volume.beta.kubernetes.io/storage-provisioner':'p','mine':'1'}},'spec':{"
     "'volumeName':'pvc-1','storageClassName':'gp2','resources':{'requests':{'storage':'1Gi'}}},"
     "'status':{'phase':'Bound'}}",
     "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS ",'annotations':{"
     "'mine':'1'}},'spec':{'storageClassName':'gp3','resources':{'requests':{'storage':'1Gi'}}}}"},
    {"a claim whose volume moves along",
     "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS
     "},'spec':{'volumeName':'nfs-1','storageClassName':''}}",
     NULL},
    {"a claim filled from what is there", FILLED("new", ""), NULL},
    {"a claim filled from what is gone", FILLED("old", ""),
     "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS "},'spec':{}}"},
    {"a claim filled from what is there, but not here", FILLED("new", ",'namespace':'other'"),
     "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS "},'spec':{"
     "'dataSource':{'apiGroup':'snapshot.storage.k8s.io','kind':'VolumeSnapshot','name':'new'}}}"},
    {"a volume",
     "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'nfs-1','annotations':{"
     "'pv.kubernetes.io/bound-by-controller':'yes'}},'spec':{'claimRef':{'name':'c','namespace':"
     "'shop','uid':'u','resourceVersion':'1'},'persistentVolumeReclaimPolicy':'Delete',"
     "'storageClassName':'gp2'}}",
     "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'nfs-1'},'spec':{'claimRef':{"
     "'name':'c','namespace':'shop'},'persistentVolumeReclaimPolicy':'Retain',"
     "'storageClassName':'gp3'}}"},
    {"a volume of a class that stays, and that is kept already",
     "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'nfs-1'},'spec':{"
     "'persistentVolumeReclaimPolicy':'Retain','storageClassName':'nfs'}}",
     NULL},

    {"a namespace",
     "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop','labels':{"
     "'kubernetes.io/metadata.name':'shop','pod-security.kubernetes.io/enforce':'baseline'}},"
     "'spec':{'finalizers':['kubernetes']},'status':{'phase':'Active'}}",
     "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop','labels':{"
     "'pod-security.kubernetes.io/enforce':'baseline'}}}"},

    {"Service: everything allocated",
     SVC("", "'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7'],'ipFamilies':['IPv4'],"
             "'ipFamilyPolicy':'SingleStack','healthCheckNodePort':31111,'ports':["
             "{'port':80,'protocol':'TCP','nodePort':30080}],'type':'NodePort'"),
     SVC("", "'ipFamilyPolicy':'SingleStack','ports':[{'port':80,'protocol':'TCP'}],"
             "'type':'NodePort'")},
    {"Service: headless stays headless",
     SVC("", "'clusterIP':'None','clusterIPs':['None'],'selector':{'a':'b'}"), NULL},
    {"Service: a chosen address that the destination can have",
     SVC("," MANAGED("kubectl-create", "'f:spec':{'f:clusterIP':{},'f:ipFamilies':{},"
                                       "'f:healthCheckNodePort':{}}"),
         "'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7'],'ipFamilies':['IPv4'],"
         "'healthCheckNodePort':31111"),
     SVC("", "'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7'],'ipFamilies':['IPv4'],"
             "'healthCheckNodePort':31111")},
    {"Service: a chosen address that it cannot have",
     SVC("," MANAGED("kubectl-create", "'f:spec':{'f:clusterIP':{}}"),
         "'clusterIP':'172.20.0.7','clusterIPs':['172.20.0.7']"),
     SVC("", "")},
    {"Service: an address that the control plane wrote",
     SVC("," MANAGED("kube-apiserver", "'f:spec':{'f:clusterIP':{}}"), "'clusterIP':'10.96.0.7'"),
     SVC("", "")},
    {"Service: port chosen with kubectl apply, its neighbour allocated",
     SVC(",'annotations':{" APPLIED(
             "{\\'spec\\':{\\'ports\\':[{\\'port\\':80,\\'nodePort\\': 30080},"
             "{\\'port\\':81}]}}") "}",
         "'ports':[{'port':80,'nodePort':30080},{'port':81,'nodePort':3008}]"),
     SVC(",'annotations':{" APPLIED(
             "{\\'spec\\':{\\'ports\\':[{\\'port\\':80,\\'nodePort\\': 30080},"
             "{\\'port\\':81}]}}") "}",
         "'ports':[{'port':80,'nodePort':30080},{'port':81}]")},
    {"Service: last-applied that is no JSON asks for nothing",
     SVC(",'annotations':{" APPLIED("nodePort:30080") "}",
         "'ports':[{'port':80,'nodePort':30080}]"),
     SVC(",'annotations':{" APPLIED("nodePort:30080") "}", "'ports':[{'port':80}]")},
    {"Service: port chosen by server-side apply, its neighbour allocated",
     SVC("," MANAGED("argocd",
                     "'f:spec':{'f:ports':{'k:{\\'port\\':80,\\'protocol\\':\\'TCP\\'}':{"
                     "'.':{},'f:nodePort':{}},'k:{\\'port\\':80,\\'protocol\\':\\'UDP\\'}':"
                     "{'.':{}}}}"),
         "'ports':[{'port':80,'protocol':'TCP','nodePort':30080},"
         "{'port':80,'protocol':'UDP','nodePort':30081}]"),
     SVC("",
         "'ports':[{'port':80,'protocol':'TCP','nodePort':30080},{'port':80,'protocol':'UDP'}]")},

    {"Pod",
     "{'apiVersion':'v1','kind':'Pod','metadata':{" NS ",'labels':{'app':'p',"
     "'topology.kubernetes.io/zone':'eu-1a','topology.kubernetes.io/region':'eu-1'}},'spec':{"
     "'nodeName':'n1','priority':0,'ephemeralContainers':[{'name':'debug'}],'volumes':[{'name':'d'}"
     ","
     "{'name':'kube-api-access-x7k2b'}],'containers':[{'name':'c','volumeMounts':[{'name':'d'},"
     "{'name':'kube-api-access-x7k2b'}]}],'initContainers':[{'name':'i','volumeMounts':["
     "{'name':'kube-api-access-x7k2b'},{'name':'d'}]}],'schedulingGates':[{'name':'g'}]}}",
     "{'apiVersion':'v1','kind':'Pod','metadata':{" NS ",'labels':{'app':'p'}},'spec':{"
     "'volumes':[{'name':'d'}],'containers':[{'name':'c','volumeMounts':[{'name':'d'}]}],"
     "'initContainers':[{'name':'i','volumeMounts':[{'name':'d'}]}],"
     "'schedulingGates':[{'name':'g'}]}}"},

    {"Job with a generated selector", JOB(""),
     "{'apiVersion':'batch/v1','kind':'Job','metadata':{" NS ",'labels':{'app':'j'}},'spec':{"
     "'template':{'metadata':{'labels':{'app':'j'}}}}}"},
    {"Job with a selector of its own", JOB("'manualSelector':true,"), NULL},

    {"ServiceAccount with a token made for it",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS
     "},'secrets':[{'name':'x-token-x7k2b'}],'imagePullSecrets':[{'name':'hub'}]}",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS
     "},'imagePullSecrets':[{'name':'hub'}]}"},
    {"ServiceAccount with tokens beside each other",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS
     "},'secrets':[{'name':'x-token-x7k2b'},{'name':'x-token-x7k2c'},{'name':'mine'},"
     "{'name':'x-token-x7k2d'},{'name':'x-token-x7k2f'}]}",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS "},'secrets':[{'name':'mine'}]}"},
    {"ServiceAccount with Secrets of a person, whatever they are called",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS
     "},'secrets':[{'name':'x-token-signing-key'},{'name':'x-token-x7k2ba'},{'name':'x-token-x7k2'}"
     ",{'name':'other-token-x7k2b'},{'name':'x'}]}",
     NULL},
    {"ServiceAccount of OpenShift",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS ",'annotations':{"
     "'openshift.io/internal-registry-pull-secret-ref':'x-dockercfg-jpgs2'}},"
     "'secrets':[{'name':'x-dockercfg-jpgs2'}],'imagePullSecrets':[{'name':'x-dockercfg-jpgs2'}]}",
     "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS "}}"},
    {"Route with a host name that was made",
     "{'apiVersion':'route.openshift.io/v1','kind':'Route','metadata':{" NS
     ",'annotations':{'openshift.io/"
     "host.generated':'true'}},'spec':{'host':'x-shop.apps.a','to':{}}}",
     "{'apiVersion':'route.openshift.io/v1','kind':'Route','metadata':{" NS "},'spec':{'to':{}}}"},
    {"Route with a host name that was chosen",
     "{'apiVersion':'route.openshift.io/v1','kind':'Route','metadata':{" NS
     "},'spec':{'host':'www.example.com'}}",
     NULL},

    {"Secret with a token",
     "{'apiVersion':'v1','kind':'Secret','metadata':{" NS ",'labels':{"
     "'kubernetes.io/legacy-token-last-used':'2026-01-01',"
     "'kubernetes.io/legacy-token-invalid-since':'2026-01-01'},'annotations':{"
     "'kubernetes.io/service-account.name':'sa','kubernetes.io/service-account.uid':'u'}},"
     "'data':{'token':'eA=='},'type':'kubernetes.io/service-account-token'}",
     "{'apiVersion':'v1','kind':'Secret','metadata':{" NS ",'annotations':{"
     "'kubernetes.io/service-account.name':'sa'}},'type':'kubernetes.io/service-account-token'}"},
    {"Secret of a person, labelled likewise",
     "{'apiVersion':'v1','kind':'Secret','metadata':{" NS ",'labels':{"
     "'kubernetes.io/legacy-token-last-used':'2026-01-01',"
     "'kubernetes.io/legacy-token-invalid-since':'2026-01-01'}},'data':{'token':'eA=='},"
     "'type':'Opaque'}",
     NULL},

    {"ClusterRole filled in by aggregation",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'x'},"
     "'aggregationRule':{'clusterRoleSelectors':[]},'rules':[{'verbs':['get']}]}",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'x'},"
     "'aggregationRule':{'clusterRoleSelectors':[]}}"},
    {"ClusterRole",
     "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'x'},"
     "'rules':[{'verbs':['get']}]}",
     NULL},

    {"webhook with an injected CA",
     HOOK("MutatingWebhookConfiguration", INJECT, "'caBundle':'eA==',"),
     HOOK("MutatingWebhookConfiguration", INJECT, "")},
    {"webhook with a CA of its own",
     HOOK("ValidatingWebhookConfiguration", ",'annotations':{'cert-manager.io/issuer':'x'}",
          "'caBundle':'eA==',"),
     NULL},
    {"conversion with an injected CA",
     CRD(",'annotations':{'service.beta.openshift.io/inject-cabundle':'true'}",
         "'caBundle':'eA==',"),
     CRD(",'annotations':{'service.beta.openshift.io/inject-cabundle':'true'}", "")},
    {"conversion with a CA of its own", CRD("", "'caBundle':'eA==',"), NULL},
    {"APIService with an injected CA", APISERVICE(INJECT, "'caBundle':'eA==',"),
     APISERVICE(INJECT, "")},
    {"APIService with a CA of its own", APISERVICE("", "'caBundle':'eA==',"), NULL},
};

/* --- which rows did what --- */

/* Next segment of a pointer, with its slash; its length in *n. */
static const char *segment(const char *p, size_t *n) {
    *n = *p ? 1 + strcspn(p + 1, "/") : 0;
    return p;
}

static bool path_fits(const char *pattern, const char *path) {
    while (*pattern && *path) {
        size_t n, m;
        const char *x = segment(pattern, &n), *y = segment(path, &m);
        bool star = n == 2 && x[1] == '*';
        if (!star && (n != m || memcmp(x, y, n) != 0))
            return false;
        pattern += n;
        path += m;
    }
    return !*pattern && !*path;
}

enum { ROWS_MAX = 256, FIELDS_MAX = 4096 };

static struct tally { unsigned fired[ROWS_MAX], passed[ROWS_MAX]; } tally;

static size_t n_rows(void) {
    size_t n;
    policy_rows(&n);
    assert_in_range(n, 1, ROWS_MAX);
    return n;
}

struct told {
    const struct kube_resource *r;
    unsigned of_row[ROWS_MAX];
};

static void on_field(void *ctx, enum field_fate fate, const char *path, const char *why) {
    struct told *t = ctx;
    const struct policy_row *rows = policy_rows(&(size_t){0});
    bool known = false;
    for (size_t i = 0; i < n_rows(); i++) {
        if (!policy_matches(&rows[i], t->r) || !path_fits(rows[i].path, path) ||
            rows[i].fate != fate || !str_eq(rows[i].why, why))
            continue;
        t->of_row[i]++;
        known = true;
    }
    if (!known)
        fail_msg("%s was touched (%s), and no row says so", path, why);
}

/* How many fields of the body does a row's path reach? */
static unsigned reach(yyjson_val *v, const char *path) {
    if (!v || !*path)
        return v != NULL;
    size_t n, i, max;
    segment(path, &n);
    if (n == 2 && path[1] == '*') {
        unsigned sum = 0;
        yyjson_val *x;
        yyjson_arr_foreach (v, i, max, x) {
            sum += reach(x, path + n);
        }
        return sum;
    }
    char key[256];
    size_t k = 0;
    for (i = 1; i < n; i++)
        key[k++] = path[i] == '~' ? (path[++i] == '0' ? '~' : '/') : path[i];
    return reach(yyjson_obj_getn(v, key, k), path + n);
}

static void run_golden(size_t c) {
    AUTO_ARENA a = arena_new();
    yyjson_val *body = lab_json(a, golden[c].body);
    struct kind *k = lab_kind(a, body);
    struct told t = {.r = k->src};
    const struct policy_row *rows = policy_rows(&(size_t){0});
    const char *got =
        lab_mut_text(a, scrub_object(json_doc(a), k, body, SCRUB_SOURCE, &env, on_field, &t));
    const char *want = lab_text(a, lab_json(a, golden[c].want ? golden[c].want : golden[c].body));
    if (!str_eq(got, want))
        fail_msg("%s:\n got %s\nwant %s", golden[c].name, got, want);
    for (size_t i = 0; i < n_rows(); i++) {
        if (!policy_matches(&rows[i], k->src))
            continue;
        tally.fired[i] += t.of_row[i];
        tally.passed[i] += reach(body, rows[i].path) > t.of_row[i];
    }
}

static void every_row_has_its_case(void **state UNUSED) {
    const struct policy_row *rows = policy_rows(&(size_t){0});
    memset(&tally, 0, sizeof tally);
    for (size_t c = 0; c < COUNT_OF(golden); c++)
        run_golden(c);
    for (size_t i = 0; i < n_rows(); i++) {
        const char *kind = rows[i].kind ? rows[i].kind : "any kind";
        if (!tally.fired[i])
            fail_msg("row %zu (%s %s) touched nothing in any case", i, kind, rows[i].path);
        /* is_empty looks at what other rows left: in the body the field is not empty yet */
        bool conditional = rows[i].when || (rows[i].fate == FIELD_REWRITE &&
                                            !str_eq(rows[i].path, "/metadata/ownerReferences"));
        if (conditional && !tally.passed[i])
            fail_msg("row %zu (%s %s): no case where its condition is false", i, kind,
                     rows[i].path);
    }
}

static void rows_say_why(void **state UNUSED) {
    const struct policy_row *rows = policy_rows(&(size_t){0});
    for (size_t i = 0; i < n_rows(); i++) {
        assert_false(str_empty(rows[i].why));
        assert_int_equal(rows[i].path[0], '/');
        assert_int_equal(rows[i].fate == FIELD_REWRITE, rows[i].rewrite != NULL);
        for (size_t k = 0; k < i; k++)
            if (str_eq(rows[i].group, rows[k].group) && str_eq(rows[i].kind, rows[k].kind) &&
                str_eq(rows[i].path, rows[k].path) && rows[i].when == rows[k].when)
                fail_msg("rows %zu and %zu are the same: %s", k, i, rows[i].path);
    }
}

/* --- what is not named is kept, byte for byte --- */

static void nothing_else_changes(void **state UNUSED) {
    static const char text[] =
        "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"zz\":1,\"aa\":{\"b\":2,\"a\":1},"
        "\"metadata\":{\"name\":\"w\",\"namespace\":\"n\",\"labels\":{\"z\":\"\",\"a\":\"x\"},"
        "\"unheardOf\":{\"x\":[]}},\"spec\":{\"big\":9007199254740993,\"huge\":1e400,\"minus\":-0."
        "0,"
        "\"exp\":1E+5,\"long\":123456789012345678901234567890.50,\"null\":null,\"empty\":\"\","
        "\"list\":[],\"map\":{},\"no\":false,\"nul\":\"a\\u0000b\",\"\":\"empty key\","
        "\"text\":\"\xc3\xa9\xe2\x82\xac\\\"\\\\\\n/\",\"finalizers\":[\"x\"],\"uid\":\"kept\"},"
        "\"uid\":\"kept too\",\"data\":null}";
    AUTO_ARENA a = arena_new();
    yyjson_val *body;
    assert_int_equal(json_parse(a, text, sizeof text - 1, &body, NULL), 0);
    for (int side = SCRUB_SOURCE; side <= SCRUB_DESTINATION; side++) {
        yyjson_mut_val *root = scrub_object(json_doc(a), lab_kind(a, body), body,
                                            (enum scrub_side)side, &env, NULL, NULL);
        assert_string_equal(json_mut_write(a, root, NULL), text);
    }
}

/* Beside a field that is taken out the others keep their order, their spelling and their emptiness.
 */
static void neighbours_stay(void **state UNUSED) {
    static const char text[] =
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"unheardOf\":[1.50,{}],\"spec\":{\"zz\":1E3,"
        "\"clusterIP\":\"10.1.2.3\",\"ports\":[{\"z\":\"\",\"nodePort\":30001,\"port\":80,\"a\":"
        "null}],"
        "\"clusterIPs\":[\"10.1.2.3\"],\"selector\":{}},\"metadata\":{\"uid\":\"u\",\"z\":-0,"
        "\"resourceVersion\":\"5\",\"name\":\"s\",\"ownerReferences\":[{\"uid\":\"x\"}],\"a\":[]},"
        "\"status\":{}}";
    static const char want[] =
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"unheardOf\":[1.50,{}],\"spec\":{\"zz\":1E3,"
        "\"ports\":[{\"z\":\"\",\"port\":80,\"a\":null}],\"selector\":{}},\"metadata\":{\"z\":-0,"
        "\"name\":\"s\",\"a\":[]}}";
    AUTO_ARENA a = arena_new();
    yyjson_val *body;
    assert_int_equal(json_parse(a, text, sizeof text - 1, &body, NULL), 0);
    yyjson_mut_val *root =
        scrub_object(json_doc(a), lab_kind(a, body), body, SCRUB_SOURCE, NULL, NULL, NULL);
    assert_string_equal(json_mut_write(a, root, NULL), want);
}

/* A list leaves apiVersion and kind out of its items: they come from the kind. */
static void type_comes_first(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_val *typed = lab_json(a, "{'apiVersion':'apps/v1','kind':'Deployment'}");
    yyjson_val *item = lab_json(a, "{'spec':{'x':1},'metadata':{'name':'d'}}");
    yyjson_mut_val *root =
        scrub_object(json_doc(a), lab_kind(a, typed), item, SCRUB_SOURCE, NULL, NULL, NULL);
    assert_string_equal(json_mut_write(a, root, NULL),
                        "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"spec\":{\"x\":1},"
                        "\"metadata\":{\"name\":\"d\"}}");
}

/* Rows that expect a list or a map find something else there: nothing to do, no crash. */
static void odd_shapes(void **state UNUSED) {
    static const char *const bodies[] = {
        SVC("", "'ports':{'*':{'nodePort':1}}"),
        SVC("", "'ports':'x'"),
        "{'apiVersion':'v1','kind':'Service','metadata':{" NS "},'spec':null}",
        "{'apiVersion':'v1','kind':'Service','metadata':{" NS "},'spec':[]}",
        "{'apiVersion':'v1','kind':'Pod','metadata':{" NS
        "},'spec':{'volumes':[1,null,{}],'containers':[[]]}}",
        "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{" NS "},'secrets':[null,'x',{}]}",
        "{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{" NS
        "},'spec':{'volumeClaimTemplates':[null,{'spec':{'storageClassName':7}}]}}",
        "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{" NS
        ",'annotations':{'tandem.dev/held':'no JSON at all'}}}",
    };
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(bodies); i++)
        assert_string_equal(lab_scrub(a, bodies[i], SCRUB_SOURCE, &env),
                            lab_text(a, lab_json(a, bodies[i])));
}

/* The storage class is the destination's own there: mapped on the way only. */
static void classes_map_one_way(void **state UNUSED) {
    static const char body[] = "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS
                               "},'spec':{'storageClassName':'gp2'}}";
    AUTO_ARENA a = arena_new();
    assert_non_null(strstr(lab_scrub(a, body, SCRUB_SOURCE, &env), "gp3"));
    assert_non_null(strstr(lab_scrub(a, body, SCRUB_DESTINATION, &env), "gp2"));
    assert_non_null(strstr(lab_scrub(a, body, SCRUB_SOURCE, NULL), "gp2"));
}

/* What the destination says of a volume is seen: Delete there is to become Retain. */
static void volumes_are_retained_one_way(void **state UNUSED) {
    static const char body[] = "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'x'"
                               "},'spec':{'persistentVolumeReclaimPolicy':'Delete'}}";
    AUTO_ARENA a = arena_new();
    assert_non_null(strstr(lab_scrub(a, body, SCRUB_SOURCE, NULL), "Retain"));
    assert_non_null(strstr(lab_scrub(a, body, SCRUB_DESTINATION, NULL), "Delete"));
}

/* Scrubbing what was scrubbed changes nothing: else a plan would never come to rest. */
static void twice_is_once(void **state UNUSED) {
    for (size_t c = 0; c < COUNT_OF(golden); c++) {
        AUTO_ARENA a = arena_new();
        if (!golden[c].want)
            continue;
        const char *once = lab_text(a, lab_json(a, golden[c].want));
        yyjson_val *body;
        assert_int_equal(json_parse(a, once, strlen(once), &body, NULL), 0);
        const char *twice = lab_mut_text(a, scrub_object(json_doc(a), lab_kind(a, body), body,
                                                         SCRUB_DESTINATION, &env, NULL, NULL));
        /* what a manager's record kept cannot be kept a second time: the record is gone */
        if (!strstr(golden[c].body, "managedFields"))
            assert_string_equal(twice, once);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_case), cmocka_unit_test(rows_say_why),
        cmocka_unit_test(nothing_else_changes),   cmocka_unit_test(neighbours_stay),
        cmocka_unit_test(type_comes_first),       cmocka_unit_test(odd_shapes),
        cmocka_unit_test(classes_map_one_way),    cmocka_unit_test(volumes_are_retained_one_way),
        cmocka_unit_test(twice_is_once),
    };
    return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
