/* Holding and letting go, in a tree and as a patch against a live object. */
#include "lab.h"

#include "migrate/facts.h"
#include "migrate/hold.h"

#define META(notes) "'metadata':{'name':'x','namespace':'shop','resourceVersion':'9'" notes "}"
#define HELD(value) ",'annotations':{'tandem.dev/held':'" value "'}"
#define CRON(notes, spec)                                                                          \
    "{'apiVersion':'batch/v1','kind':'CronJob'," META(notes) ",'spec':{" spec "}}"
#define WORK(api, kind, notes, spec)                                                               \
    "{'apiVersion':'" api "','kind':'" kind "'," META(notes) ",'spec':{" spec "}}"
#define PATCH(note, spec)                                                                          \
    "{\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{\"tandem.dev/held\":" note          \
    "}},\"spec\":{" spec "}}"

/* An object, the same held, and the patches there and back. */
static const struct {
    const char *group, *kind, *loose, *held, *hold, *unhold;
} golden[] = {
    {"batch", "CronJob", CRON("", "'schedule':'@daily','suspend':false"),
     CRON(HELD("false"), "'schedule':'@daily','suspend':true"),
     PATCH("\"false\"", "\"suspend\":true"), PATCH("null", "\"suspend\":false")},
    {"batch", "CronJob", CRON("", "'schedule':'@daily'"),
     CRON(HELD("null"), "'schedule':'@daily','suspend':true"),
     PATCH("\"null\"", "\"suspend\":true"), PATCH("null", "\"suspend\":null")},
    {"batch", "Job", WORK("batch/v1", "Job", "", "'parallelism':2"),
     WORK("batch/v1", "Job", HELD("null"), "'parallelism':2,'suspend':true"),
     PATCH("\"null\"", "\"suspend\":true"), PATCH("null", "\"suspend\":null")},
    {"apps", "Deployment", WORK("apps/v1", "Deployment", "", "'replicas':3"),
     WORK("apps/v1", "Deployment", HELD("3"), "'replicas':0"), PATCH("\"3\"", "\"replicas\":0"),
     PATCH("null", "\"replicas\":3")},
    {"apps", "StatefulSet", WORK("apps/v1", "StatefulSet", "", "'serviceName':'x'"),
     WORK("apps/v1", "StatefulSet", HELD("null"), "'serviceName':'x','replicas':0"),
     PATCH("\"null\"", "\"replicas\":0"), PATCH("null", "\"replicas\":null")},
    {"apps", "ReplicaSet", WORK("apps/v1", "ReplicaSet", "", "'replicas':1"),
     WORK("apps/v1", "ReplicaSet", HELD("1"), "'replicas':0"), PATCH("\"1\"", "\"replicas\":0"),
     PATCH("null", "\"replicas\":1")},
    {"", "ReplicationController", WORK("v1", "ReplicationController", "", "'replicas':1"),
     WORK("v1", "ReplicationController", HELD("1"), "'replicas':0"),
     PATCH("\"1\"", "\"replicas\":0"), PATCH("null", "\"replicas\":1")},
};

/* Custom resources: a spec with what stands where the hold goes, the same held, and the facts
 * without which it is not. */
#define CR(api, kind, notes, spec) "{'apiVersion':'" api "','kind':'" kind "'," META(notes) spec "}"
static const struct {
    const char *loose, *held, *calm;
} custom[] = {
    {CR("argoproj.io/v1alpha1", "ApplicationSet", "", ",'spec':{'generators':[]}"),
     CR("argoproj.io/v1alpha1", "ApplicationSet", HELD("null"),
        ",'spec':{'generators':[],'template':{'metadata':{'annotations':{"
        "'argocd.argoproj.io/skip-reconcile':'true'}}}}"),
     NULL},
    {CR("argoproj.io/v1alpha1", "Application", "", ",'spec':{'syncPolicy':{'automated':{}}}"),
     CR("argoproj.io/v1alpha1", "Application",
        ",'annotations':{'tandem.dev/held':'null','argocd.argoproj.io/skip-reconcile':'true'}",
        ",'spec':{'syncPolicy':{'automated':{}}}"),
     CR("argoproj.io/v1alpha1", "Application", "", ",'spec':{}")},
    {CR("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "", ",'spec':{'suspend':false}"),
     CR("kustomize.toolkit.fluxcd.io/v1", "Kustomization", HELD("false"),
        ",'spec':{'suspend':true}"),
     CR("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "", ",'spec':{'suspend':true}")},
    {CR("helm.toolkit.fluxcd.io/v2", "HelmRelease", "", ",'spec':{}"),
     CR("helm.toolkit.fluxcd.io/v2", "HelmRelease", HELD("null"), ",'spec':{'suspend':true}"),
     NULL},
    {CR("image.toolkit.fluxcd.io/v1", "ImageUpdateAutomation", "", ",'spec':{}"),
     CR("image.toolkit.fluxcd.io/v1", "ImageUpdateAutomation", HELD("null"),
        ",'spec':{'suspend':true}"),
     NULL},
    {CR("keda.sh/v1alpha1", "ScaledObject", "",
        ",'spec':{'triggers':[{'type':'cpu'},{'type':'rabbitmq'}]}"),
     CR("keda.sh/v1alpha1", "ScaledObject",
        ",'annotations':{'tandem.dev/held':'null','autoscaling.keda.sh/paused-replicas':'0'}",
        ",'spec':{'triggers':[{'type':'cpu'},{'type':'rabbitmq'}]}"),
     CR("keda.sh/v1alpha1", "ScaledObject", "",
        ",'spec':{'triggers':[{'type':'cpu'},{'type':'prometheus'}]}")},
    {CR("keda.sh/v1alpha1", "ScaledJob", ",'annotations':{'autoscaling.keda.sh/paused':'false'}",
        ",'spec':{}"),
     CR("keda.sh/v1alpha1", "ScaledJob",
        ",'annotations':{'autoscaling.keda.sh/paused':'true','tandem.dev/held':'\\'false\\''}",
        ",'spec':{}"),
     NULL},
    {CR("kafka.strimzi.io/v1", "KafkaConnector", "", ",'spec':{}"),
     CR("kafka.strimzi.io/v1", "KafkaConnector", HELD("null"), ",'spec':{'state':'paused'}"), NULL},
    {CR("argoproj.io/v1alpha1", "CronWorkflow", "", ",'spec':{}"),
     CR("argoproj.io/v1alpha1", "CronWorkflow", HELD("null"), ",'spec':{'suspend':true}"), NULL},
    {CR("argoproj.io/v1alpha1", "Workflow", "", ",'spec':{}"),
     CR("argoproj.io/v1alpha1", "Workflow", HELD("null"), ",'spec':{'suspend':true}"),
     CR("argoproj.io/v1alpha1", "Workflow", "", ",'spec':{},'status':{'phase':'Failed'}")},
    {CR("kubeflow.org/v1beta1", "ScheduledWorkflow", "", ",'spec':{'enabled':true}"),
     CR("kubeflow.org/v1beta1", "ScheduledWorkflow", HELD("true"), ",'spec':{'enabled':false}"),
     CR("kubeflow.org/v1beta1", "ScheduledWorkflow", "", ",'spec':{}")},
    {CR("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", "", ",'spec':{}"),
     CR("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", HELD("null"),
        ",'spec':{'suspend':true}"),
     NULL},
    {CR("chaos-mesh.org/v1alpha1", "NetworkChaos", "", ",'spec':{}"),
     CR("chaos-mesh.org/v1alpha1", "NetworkChaos",
        ",'annotations':{'tandem.dev/held':'null','experiment.chaos-mesh.org/pause':'true'}",
        ",'spec':{}"),
     NULL},
    {CR("velero.io/v1", "Schedule", "", ",'spec':{}"),
     CR("velero.io/v1", "Schedule", HELD("null"), ",'spec':{'paused':true}"), NULL},
    {CR("postgresql.cnpg.io/v1", "ScheduledBackup", "", ",'spec':{}"),
     CR("postgresql.cnpg.io/v1", "ScheduledBackup", HELD("null"), ",'spec':{'suspend':true}"),
     NULL},
    {CR("medusa.k8ssandra.io/v1alpha1", "MedusaBackupSchedule", "", ",'spec':{}"),
     CR("medusa.k8ssandra.io/v1alpha1", "MedusaBackupSchedule", HELD("null"),
        ",'spec':{'disabled':true}"),
     NULL},
    {CR("snapscheduler.backube/v1", "SnapshotSchedule", "", ",'spec':{}"),
     CR("snapscheduler.backube/v1", "SnapshotSchedule", HELD("null"), ",'spec':{'disabled':true}"),
     NULL},
    {CR("volsync.backube/v1alpha1", "ReplicationSource", "", ",'spec':{}"),
     CR("volsync.backube/v1alpha1", "ReplicationSource", HELD("null"), ",'spec':{'paused':true}"),
     NULL},
    {CR("volsync.backube/v1alpha1", "ReplicationDestination", "", ",'spec':{}"),
     CR("volsync.backube/v1alpha1", "ReplicationDestination", HELD("null"),
        ",'spec':{'paused':true}"),
     NULL},
    {CR("stash.appscode.com/v1beta1", "BackupConfiguration", "", ",'spec':{}"),
     CR("stash.appscode.com/v1beta1", "BackupConfiguration", HELD("null"),
        ",'spec':{'paused':true}"),
     NULL},
    {CR("core.kubestash.com/v1alpha1", "BackupConfiguration", "", ",'spec':{}"),
     CR("core.kubestash.com/v1alpha1", "BackupConfiguration", HELD("null"),
        ",'spec':{'paused':true}"),
     NULL},
    {CR("config.kio.kasten.io/v1alpha1", "Policy", "", ",'spec':{}"),
     CR("config.kio.kasten.io/v1alpha1", "Policy", HELD("null"), ",'spec':{'paused':true}"), NULL},
    {CR("s3.aws.crossplane.io/v1beta1", "Bucket", "", ",'spec':{}"),
     CR("s3.aws.crossplane.io/v1beta1", "Bucket",
        ",'annotations':{'tandem.dev/held':'null','crossplane.io/paused':'true'}", ",'spec':{}"),
     CR("pkg.crossplane.io/v1", "Provider", "", ",'spec':{}")},
    {CR("s3.aws.upbound.io/v1beta1", "Bucket", "", ",'spec':{}"),
     CR("s3.aws.upbound.io/v1beta1", "Bucket",
        ",'annotations':{'tandem.dev/held':'null','crossplane.io/paused':'true'}", ",'spec':{}"),
     NULL},
    {CR("pkg.crossplane.io/v1", "Provider", "", ",'spec':{}"),
     CR("pkg.crossplane.io/v1", "Provider",
        ",'annotations':{'tandem.dev/held':'null','crossplane.io/paused':'true'}", ",'spec':{}"),
     CR("pkg.crossplane.io/v1", "Provider", "", ",'spec':{}")},
    {CR("storage.azure.com/v1", "StorageAccount",
        ",'annotations':{'serviceoperator.azure.com/reconcile-policy':'manage'}", ",'spec':{}"),
     CR("storage.azure.com/v1", "StorageAccount",
        ",'annotations':{'serviceoperator.azure.com/reconcile-policy':'skip',"
        "'tandem.dev/held':'\\'manage\\''}",
        ",'spec':{}"),
     NULL},
    {CR("cluster.x-k8s.io/v1beta1", "Cluster", "", ",'spec':{}"),
     CR("cluster.x-k8s.io/v1beta1", "Cluster", HELD("null"), ",'spec':{'paused':true}"), NULL},
    {CR("infra.contrib.fluxcd.io/v1alpha2", "Terraform", "", ",'spec':{}"),
     CR("infra.contrib.fluxcd.io/v1alpha2", "Terraform", HELD("null"), ",'spec':{'suspend':true}"),
     NULL},
    {CR("argoproj.io/v1alpha1", "Rollout", "", ",'spec':{'replicas':2}"),
     CR("argoproj.io/v1alpha1", "Rollout", HELD("2"), ",'spec':{'replicas':0}"),
     CR("argoproj.io/v1alpha1", "Rollout", "", ",'spec':{'replicas':2}")},
};

static const struct hold_row *row_for(struct arena *a, const char *quoted) {
    return hold_row_of(lab_kind(a, lab_json(a, quoted))->src);
}

static yyjson_mut_val *tree(struct arena *a, yyjson_mut_doc *d, const char *quoted) {
    return yyjson_val_mut_copy(d, lab_json(a, quoted));
}

static void there_and_back(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_mut_doc *d = json_doc(a);
        const struct hold_row *row = row_for(a, golden[i].loose);
        assert_non_null(row);
        yyjson_mut_val *t = tree(a, d, golden[i].loose);
        assert_true(hold_do(d, t, row));
        assert_string_equal(lab_mut_text(a, t), lab_text(a, lab_json(a, golden[i].held)));
        assert_false(hold_do(d, t, row)); /* a second time keeps the first original */
        assert_string_equal(lab_mut_text(a, t), lab_text(a, lab_json(a, golden[i].held)));
        assert_true(hold_undo(d, t));
        json_mut_del(json_mut_get(t, "metadata"), "annotations"); /* an empty one may stay */
        assert_string_equal(lab_mut_text(a, t), lab_text(a, lab_json(a, golden[i].loose)));
        assert_false(hold_undo(d, t));
    }
}

static void patches(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        const struct hold_row *row = row_for(a, golden[i].loose);
        yyjson_val *loose = lab_json(a, golden[i].loose), *held = lab_json(a, golden[i].held);
        assert_string_equal(hold_patch(a, loose, row), golden[i].hold);
        assert_string_equal(unhold_patch(a, held, row), golden[i].unhold);
        assert_null(hold_patch(a, held, row));
        assert_null(unhold_patch(a, loose, row));
    }
}

static void every_row_has_its_case(void **state UNUSED) {
    size_t n;
    const struct hold_row *t = hold_rows(&n);
    for (size_t i = 0; i < n; i++) {
        bool hit = false;
        for (size_t k = 0; k < COUNT_OF(golden); k++)
            hit |= str_eq(t[i].group, golden[k].group) && str_eq(t[i].kind, golden[k].kind);
        for (size_t k = 0; k < COUNT_OF(custom) && !hit; k++) {
            AUTO_ARENA b = arena_new();
            hit = row_for(b, custom[k].loose) == &t[i]; /* and none is hidden by another */
        }
        if (!hit)
            fail_msg("%s of %s has no golden case", t[i].kind ? t[i].kind : "any", t[i].group);
        assert_false(str_empty(t[i].id));
        assert_false(str_empty(t[i].why));
        assert_false(str_empty(t[i].source));
        for (size_t k = 0; k < i; k++)
            if (str_eq(t[i].id, t[k].id))
                assert_string_equal(t[i].why, t[k].why);
    }
}

static bool is_wanted(struct arena *a, const char *quoted) {
    yyjson_val *body = lab_json(a, quoted);
    struct kind *k = lab_kind(a, body);
    struct object o = {.kind = k, .facts = facts_read(k->src->group, k->src->kind, body)};
    return hold_wanted(&o) != NULL;
}

/* There, told apart from what does not act, and back again, as a tree and as merge patches. */
static void custom_resources(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(custom); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_mut_doc *d = json_doc(a);
        const struct hold_row *row = row_for(a, custom[i].loose);
        const char *loose = lab_text(a, lab_json(a, custom[i].loose));
        yyjson_val *held = lab_json(a, custom[i].held);
        yyjson_mut_val *t = tree(a, d, custom[i].loose);
        assert_true(hold_do(d, t, row));
        assert_string_equal(lab_mut_text(a, t), lab_text(a, held));
        assert_true(hold_undo(d, t));
        if (!strstr(custom[i].loose, "annotations"))
            json_mut_del(json_mut_get(t, "metadata"), "annotations");
        assert_string_equal(lab_mut_text(a, t), loose);
        assert_true(hold_holds(row, held));
        assert_null(hold_patch(a, held, row));
        assert_non_null(hold_patch(a, lab_json(a, custom[i].loose), row));
        assert_non_null(unhold_patch(a, held, row));
        bool asked_only = row->not_when == UINT32_MAX;
        if (is_wanted(a, custom[i].loose) == asked_only ||
            is_wanted(a, custom[i].held) == asked_only)
            fail_msg("%s", custom[i].loose);
        if (custom[i].calm && is_wanted(a, custom[i].calm))
            fail_msg("%s", custom[i].calm);
    }
}

/* The keys of annotations hold slashes: a patch names them as they are. */
static void patch_of_an_annotation(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_val *live = lab_json(a, CR("keda.sh/v1alpha1", "ScaledJob", "", ""));
    const struct hold_row *row = hold_row_for("keda.sh", "ScaledJob");
    assert_string_equal(hold_patch(a, live, row),
                        "{\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{"
                        "\"tandem.dev/held\":\"null\",\"autoscaling.keda.sh/paused\":\"true\"}}}");
    assert_string_equal(hold_previous(a, row, "null"),
                        "{\"/metadata/annotations/autoscaling.keda.sh~1paused\":null}");
}

/* Held no more, and does not act either. */
static void stays(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_val *held = lab_json(a, golden[0].held), *loose = lab_json(a, golden[0].loose);
    const struct hold_row *row = row_for(a, golden[0].loose);
    assert_string_equal(stay_patch(a, held, row), PATCH("null", "\"suspend\":true"));
    assert_null(stay_patch(a, loose, row));
}

/* Its owner suspended it: held or not, it stays as it is, and letting go does not start it. */
static void owner_suspended(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    const char *body = CRON("", "'schedule':'@daily','suspend':true");
    const struct hold_row *row = row_for(a, body);
    yyjson_mut_val *t = tree(a, d, body);
    assert_false(hold_do(d, t, row));
    assert_string_equal(lab_mut_text(a, t), lab_text(a, lab_json(a, body)));
    assert_false(hold_undo(d, t));
    assert_null(hold_patch(a, lab_json(a, body), row));
    assert_null(unhold_patch(a, lab_json(a, body), row));
}

/* Anybody may write the annotation: what is no value of ours does nothing, least of all add
 * members to the patch. */
static void strange_annotations(void **state UNUSED) {
    static const char *const values[] = {"", "yes", "{}", "[1]", "true},\\'x\\':{", "false false"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_mut_doc *d = json_doc(a);
        const char *body = arena_printf(a, CRON(HELD("%s"), "'suspend':true"), values[i]);
        yyjson_mut_val *t = tree(a, d, body);
        assert_false(hold_undo(d, t));
        assert_string_equal(lab_mut_text(a, t), lab_text(a, lab_json(a, body)));
        assert_null(unhold_patch(a, lab_json(a, body), row_for(a, body)));
    }
}

/* Other annotations stay; so does a number's spelling. */
static void neighbours_stay(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    const char *body = WORK("apps/v1", "Deployment", ",'annotations':{'mine':'1'}",
                            "'replicas':3e0,'paused':true");
    yyjson_mut_val *t = tree(a, d, body);
    assert_true(hold_do(d, t, row_for(a, body)));
    assert_string_equal(json_mut_str(t, "metadata", "annotations", "tandem.dev/held"), "3e0");
    assert_true(hold_undo(d, t));
    assert_string_equal(lab_mut_text(a, t), lab_text(a, lab_json(a, body)));
}

/* A body without spec, or without anything. */
static void bare_bodies(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *t = tree(a, d, "{'apiVersion':'batch/v1','kind':'CronJob'}");
    assert_true(hold_do(d, t, row_for(a, CRON("", ""))));
    assert_string_equal(lab_mut_text(a, t),
                        lab_text(a, lab_json(a, "{'apiVersion':'batch/v1','kind':'CronJob',"
                                                "'metadata':{'annotations':{'tandem.dev/held':"
                                                "'null'}},'spec':{'suspend':true}}")));
    t = tree(a, d, "{'metadata':{'annotations':{'tandem.dev/held':'null'}}}");
    assert_false(hold_undo(d, t)); /* of no kind that can be held */
}

/* The hold of a source that was switched away from is undone by scrubbing, in either cluster. */
static void scrub_undoes(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        const char *loose = lab_scrub(a, golden[i].loose, SCRUB_SOURCE, NULL);
        assert_string_equal(lab_scrub(a, golden[i].held, SCRUB_SOURCE, NULL), loose);
        assert_string_equal(lab_scrub(a, golden[i].held, SCRUB_DESTINATION, NULL), loose);
    }
}

/* Which objects the table holds by itself. */
static const struct {
    const char *body;
    bool wanted;
} wants[] = {
    {CRON("", "'suspend':false"), true},
    {CRON("", ""), true},
    {CRON("", "'suspend':true"), false},           /* by its owner */
    {CRON(HELD("false"), "'suspend':true"), true}, /* by us, to be let loose later */
    {WORK("batch/v1", "Job", "", ""), true},
    {"{'apiVersion':'batch/v1','kind':'Job'," META(
         "") ",'status':{'conditions':[{'type':'Complete',"
             "'status':'True'}]}}",
     false},
    {"{'apiVersion':'batch/v1','kind':'Job'," META(HELD("null")) ",'status':{'conditions':[{'type':"
                                                                 "'Failed','status':'True'}]}}",
     false},
    {WORK("apps/v1", "Deployment", "", "'replicas':3"), false},
    {CRON(",'annotations':{'tandem.dev/hold':'false'}", ""), false}, /* each has its own */
    {WORK("v1", "ConfigMap", "", ""), false},
};

static void wanted(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_val *body = lab_json(a, wants[i].body);
        struct kind *k = lab_kind(a, body);
        struct object o = {.kind = k, .facts = facts_read(k->src->group, k->src->kind, body)};
        if ((hold_wanted(&o) != NULL) != wants[i].wanted)
            fail_msg("%s", wants[i].body);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),         cmocka_unit_test(patches),
        cmocka_unit_test(every_row_has_its_case), cmocka_unit_test(stays),
        cmocka_unit_test(custom_resources),       cmocka_unit_test(patch_of_an_annotation),
        cmocka_unit_test(owner_suspended),        cmocka_unit_test(strange_annotations),
        cmocka_unit_test(neighbours_stay),        cmocka_unit_test(bare_bodies),
        cmocka_unit_test(scrub_undoes),           cmocka_unit_test(wanted),
    };
    return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
