/* The hazard table row by row, and references that nothing will satisfy. */
#include "lab.h"

#include "migrate/hazards.h"

#define META                  "'metadata':{'name':'x','namespace':'shop'}"
#define BODY(api, kind, more) "{'apiVersion':'" api "','kind':'" kind "'," META more "}"
#define NOTED(api, kind, key, value)                                                               \
    "{'apiVersion':'" api "','kind':'" kind                                                        \
    "','metadata':{'name':'x','namespace':'shop','annotations':{'" key "':'" value "'}}}"
#define DYNAMIC                                                                                    \
    ",{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv','annotations':{"        \
    "'pv.kubernetes.io/provisioned-by':'p'}}}"
#define STATIC ",{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv'}}"
#define CLAIM  BODY("v1", "PersistentVolumeClaim", ",'spec':{'volumeName':'pv'}")
#define HOOK(kind, hook)                                                                           \
    BODY("admissionregistration.k8s.io/v1", kind,                                                  \
         ",'webhooks':[{'name':'a','failurePolicy':'Ignore','clientConfig':{'service':{}}},{" hook \
         "}]")
#define AGENT(spec) BODY("apps/v1", "DaemonSet", ",'spec':{'template':{'spec':{" spec "}}}")
#define IMAGE(image)                                                                               \
    BODY("apps/v1", "Deployment",                                                                  \
         ",'spec':{'template':{'spec':{'containers':[{'name':'c'},{'image':'" image "'}]}}}")
#define TOKEN ",'type':'kubernetes.io/service-account-token'"

/* A body in which the row finds its evidence, and the nearest one in which it does not. */
static const struct {
    const char *id, *body, *evidence, *near;
} golden[] = {
    {"H1-cronjob", BODY("batch/v1", "CronJob", ",'spec':{'schedule':'@daily'}"), "schedule @daily",
     BODY("batch/v1", "CronJob", ",'spec':{'schedule':'@daily','suspend':true}")},
    {"H3-job", BODY("batch/v1", "Job", ""), "has not finished",
     BODY("batch/v1", "Job", ",'spec':{'suspend':true}")},
    {"H4-external-dns", IMAGE("registry.k8s.io/external-dns/external-dns:v0.15"),
     "image external-dns", IMAGE("coredns:1")},
    {"H6-load-balancer", BODY("v1", "Service", ",'spec':{'type':'LoadBalancer'}"),
     "type LoadBalancer", BODY("v1", "Service", ",'spec':{'type':'ClusterIP'}")},
    {"H7-cold",
     BODY("autoscaling/v2", "HorizontalPodAutoscaler",
          ",'spec':{'minReplicas':2},'status':{'desiredReplicas':9}"),
     "runs 9 replicas, minReplicas is 2",
     BODY("autoscaling/v2", "HorizontalPodAutoscaler", ",'status':{'desiredReplicas':1}")},
    {"H9-shared-volume",
     BODY("v1", "PersistentVolume", ",'spec':{'persistentVolumeReclaimPolicy':'Delete'}"),
     "persistentVolumeReclaimPolicy: Delete",
     BODY("v1", "PersistentVolume", ",'spec':{'persistentVolumeReclaimPolicy':'Retain'}")},
    {"H10-claims",
     BODY("apps/v1", "StatefulSet",
          ",'spec':{'persistentVolumeClaimRetentionPolicy':{'whenScaled':'Delete'}}"),
     "whenScaled: Delete",
     BODY("apps/v1", "StatefulSet",
          ",'spec':{'persistentVolumeClaimRetentionPolicy':{'whenScaled':'Retain','whenDeleted':"
          "'Delete'}}")},
    {"H15-webhook",
     HOOK("ValidatingWebhookConfiguration", "'name':'b','clientConfig':{'service':{}}"),
     "webhook b, failurePolicy Fail",
     HOOK("ValidatingWebhookConfiguration", "'name':'b','clientConfig':{'url':'https://x'}")},
    {"H15-webhook",
     HOOK("MutatingWebhookConfiguration", "'name':'b','clientConfig':{'service':{}}"),
     "webhook b, failurePolicy Fail",
     HOOK("MutatingWebhookConfiguration", "'name':'b','clientConfig':{'url':'https://x'}")},
    {"H16-conversion",
     BODY("apiextensions.k8s.io/v1", "CustomResourceDefinition",
          ",'spec':{'conversion':{'strategy':'Webhook'}}"),
     "conversion by a webhook",
     BODY("apiextensions.k8s.io/v1", "CustomResourceDefinition",
          ",'spec':{'conversion':{'strategy':'None'}}")},
    {"H20-disruption",
     BODY("policy/v1", "PodDisruptionBudget",
          ",'status':{'disruptionsAllowed':0,'expectedPods':2}"),
     "disruptionsAllowed is 0",
     BODY("policy/v1", "PodDisruptionBudget",
          ",'status':{'disruptionsAllowed':0,'expectedPods':0}")},
    {"H22-identity", NOTED("v1", "ServiceAccount", "eks.amazonaws.com/role-arn", "arn"),
     "annotation eks.amazonaws.com/role-arn",
     NOTED("v1", "ServiceAccount", "example.com/x", "arn")},
    {"H22-identity", NOTED("v1", "ServiceAccount", "iam.gke.io/gcp-service-account", "a"),
     "annotation iam.gke.io/gcp-service-account", NULL},
    {"H22-identity", NOTED("v1", "ServiceAccount", "azure.workload.identity/client-id", "a"),
     "annotation azure.workload.identity/client-id", NULL},
    {"H22-token", BODY("v1", "Secret", TOKEN), "its token is another one in the destination",
     BODY("v1", "Secret", ",'type':'Opaque'")},
    {"H30-data", CLAIM DYNAMIC, "volume pv stays in the source", CLAIM STATIC},
    {"H31-default-class",
     NOTED("storage.k8s.io/v1", "StorageClass", "storageclass.kubernetes.io/is-default-class",
           "true"),
     "marked as the default",
     NOTED("storage.k8s.io/v1", "StorageClass", "storageclass.kubernetes.io/is-default-class",
           "false")},
    {"H34-node-agent", AGENT("'hostNetwork':true"), "hostNetwork", AGENT("'hostNetwork':false")},
    {"H34-node-agent", AGENT("'hostPID':true"), "hostPID", AGENT("'hostIPC':true")},
};

/* The findings of the first body, as "ID: WHAT". */
static const char *findings(struct arena *a, const struct world_opts *opts, const char *bodies,
                            struct kind *ret_kind) {
    yyjson_val *list = lab_json(a, arena_printf(a, "[%s]", bodies));
    struct world *w = lab_world(a, opts, arena_printf(a, "[%s]", bodies), NULL, NULL);
    AUTO_SB b = SB_INIT(0);
    const struct object *o = lab_find(w, yyjson_arr_get_first(list));
    for (struct finding *f = hazards_of(w, a, o, yyjson_arr_get_first(list)); f; f = f->next) {
        assert_false(str_empty(f->remedy));
        assert_non_null(strstr(f->where, "x"));
        sb_fmt(&b, "%s%s: %s", b.len ? "; " : "", f->id, f->what);
    }
    if (ret_kind)
        *ret_kind = *o->kind;
    world_free(w);
    return arena_strdup(a, sb_get(&b));
}

static void every_row_has_its_case(void **state UNUSED) {
    bool hit[128] = {false};
    size_t n;
    const struct hazard_row *t = hazard_rows(&n);
    assert_in_range(n, 1, COUNT_OF(hit));
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        struct kind k;
        assert_string_equal(findings(a, NULL, golden[i].body, &k),
                            arena_printf(a, "%s: %s", golden[i].id, golden[i].evidence));
        if (golden[i].near)
            assert_string_equal(findings(a, NULL, golden[i].near, NULL), "");
        for (size_t r = 0; r < n; r++)
            hit[r] |= str_eq(t[r].id, golden[i].id) && str_eq(t[r].kind, k.src->kind) &&
                      str_eq(t[r].group, k.src->group);
    }
    for (size_t r = 0; r < n; r++)
        if (!hit[r])
            fail_msg("%s of %s has no golden case", t[r].id, t[r].kind);
}

static void rows_say_what_to_do(void **state UNUSED) {
    size_t n;
    const struct hazard_row *t = hazard_rows(&n);
    for (size_t r = 0; r < n; r++) {
        assert_false(str_empty(t[r].remedy));
        assert_string_not_equal(severity_name(t[r].severity), "?");
        for (size_t k = 0; k < r; k++)
            if (str_eq(t[r].id, t[k].id))
                assert_true(str_eq(t[r].remedy, t[k].remedy) && t[r].severity == t[k].severity);
    }
}

static void skipped_objects_are_no_hazard(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    assert_string_equal(
        findings(a, NULL,
                 "{'apiVersion':'v1','kind':'Service','metadata':{'name':'x','namespace':"
                 "'shop','deletionTimestamp':'t'},'spec':{'type':'LoadBalancer'}}",
                 NULL),
        "");
}

/* --- references --- */

#define POD(spec) BODY("v1", "Pod", ",'spec':{" spec "}")
#define CONFIG(name, more)                                                                         \
    ",{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'" name "','namespace':'shop'" more \
    "}}"
#define ENV "'containers':[{'envFrom':[{'configMapRef':{'name':'c'}}]}]"
#define MISSING_C                                                                                  \
    "H17-missing: names ConfigMap c (/spec/containers/0/envFrom/0/configMapRef/name), which the "  \
    "destination will not have"
#define CLASS(name)                                                                                \
    ",{'apiVersion':'storage.k8s.io/v1','kind':'StorageClass','metadata':{'name':'" name "'}}"
#define CLAIM_OF(class)                                                                            \
    BODY("v1", "PersistentVolumeClaim", ",'spec':{'storageClassName':'" class "'}")

static const struct {
    const char *bodies, *want;
} refs[] = {
    {POD(ENV), MISSING_C},
    {POD(ENV) CONFIG("c", ""), ""},
    {POD(ENV) CONFIG("d", ""), MISSING_C},
    {POD(ENV) CONFIG("c", ",'deletionTimestamp':'t'"), MISSING_C},
    {POD("'containers':[{'envFrom':[{'configMapRef':{'name':'c','optional':true}}]}]"), ""},
    {POD("'serviceAccountName':'default','priorityClassName':'system-node-critical',"
         "'volumes':[{'configMap':{'name':'kube-root-ca.crt'}}]"),
     ""},
    {CLAIM_OF("io1") CLASS("io1"), ""},
    {CLAIM_OF("io1"), "H17-missing: names StorageClass io1 (/spec/storageClassName), which the "
                      "destination will not have"},
    /* mapped by the configuration: what counts is the name that goes there */
    {CLAIM_OF("gp2") CLASS("gp3"), ""},
    {CLAIM_OF("gp2") CLASS("gp2"), "H17-missing: names StorageClass gp3 (/spec/storageClassName), "
                                   "which the destination will not have"},
    /* the volume of a provisioner stays, and the claim does not name it any more */
    {CLAIM DYNAMIC, "H30-data: volume pv stays in the source"},
};

static void references(void **state UNUSED) {
    static const char *const from[] = {"gp2", NULL}, *const to[] = {"gp3", NULL};
    struct world_opts o = {.class_from = from, .class_to = to};
    for (size_t i = 0; i < COUNT_OF(refs); i++) {
        AUTO_ARENA a = arena_new();
        assert_string_equal(findings(a, &o, refs[i].bodies, NULL), refs[i].want);
    }
}

/* --- blocked objects --- */

#define NAMED(name, meta)                                                                          \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'" name "','namespace':'shop'" meta  \
    "},'data':{'a':'1'}}"

/* Each reason that blocks has its own id, and says what to do. None of these kinds is asked for
 * again, so that no server is needed. */
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
        "[{'apiVersion':'example.com/"
        "v1','kind':'Widget','metadata':{'name':'w','namespace':'shop'}}"
        "," NAMED("foreign", "") "," NAMED(
            "held",
            ",'annotations':{'"
            "tandem.dev/"
            "hold':'true'}") "," NAMED("patched", "") "," NAMED("by-rule", "") "," NAMED("fine",
                                                                                         "") "]",
        "[{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'"
        "foreign','namespace':'shop'}}]",
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
    struct finding *f = NULL;
    struct err e = {0};
    if (hazards_find(w, a, &f, &e) < 0)
        fail_msg("%s", err_msg(&e));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_case),
        cmocka_unit_test(rows_say_what_to_do),
        cmocka_unit_test(skipped_objects_are_no_hazard),
        cmocka_unit_test(references),
        cmocka_unit_test(blocked_objects),
    };
    return cmocka_run_group_tests_name("hazards", tests, NULL, NULL);
}
