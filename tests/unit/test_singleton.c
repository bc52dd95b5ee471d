/* Workloads that act by themselves: known by their images, scaled by a queue, or only looking so.
 */
#include "lab.h"

#include "migrate/singleton.h"
#include "migrate/unclassified.h"

#define META(name, more)                                                                           \
    "'metadata':{'name':'" name "','namespace':'shop','uid':'u-" name "'" more "}"
#define POD(image, more)                                                                           \
    "'template':{'metadata':{'labels':{'app':'x','tier':'back'}},'spec':{'containers':[{'name':"   \
    "'c','image':'" image "'" more "}]}}"
#define WORK(kind, name, notes, spec)                                                              \
    "{'apiVersion':'apps/v1','kind':'" kind "'," META(name, notes) ",'spec':{" spec "}}"
#define PLAIN WORK("Deployment", "x", "", "'replicas':2," POD("shop/x:1", ""))
#define SERVICE(ns, selector)                                                                      \
    ",{'apiVersion':'v1','kind':'Service','metadata':{'name':'s','namespace':'" ns                 \
    "','uid':'u-s'},'spec':{'selector':{" selector "}}}"
#define SERVED  SERVICE("shop", "'app':'x'")
#define HOLD(v) ",'annotations':{'tandem.dev/hold':'" v "'}"
#define SCALER(type)                                                                               \
    ",{'apiVersion':'keda.sh/v1alpha1','kind':'ScaledObject'," META(                               \
        "so", "") ",'spec':{'scaleTargetRef':{'name':'x'},'triggers':[{'type':'" type "'}]}}"

/* A ScaledObject named x, and what it scales, which stands idle or not. */
#define SCALES(notes, trigger, target)                                                             \
    "{'apiVersion':'keda.sh/v1alpha1','kind':'ScaledObject'," META(                                \
        "x", notes) ",'spec':{'scaleTargetRef':{'name':'y'},'triggers':[{'type':'" trigger         \
                    "'}]}}," target
#define TARGET(notes, replicas)                                                                    \
    WORK("Deployment", "y", notes, "'replicas':" replicas "," POD("shop/x:1", ""))
#define IDLE "KEDA may start what stands idle; no Service selects its pods"

/* The first body is looked at. hints NULL: nobody is asked. */
static const struct {
    const char *name, *bodies;
    enum verdict verdict;
    const char *rule, *hints;
} rows[] = {
    {"served", PLAIN SERVED, V_CREATE, "recreate", NULL},
    {"not served", PLAIN, V_CREATE, "unclassified", "no Service selects its pods"},
    {"a Service of another namespace", PLAIN SERVICE("other", "'app':'x'"), V_CREATE,
     "unclassified", "no Service selects its pods"},
    {"a Service that wants more", PLAIN SERVICE("shop", "'app':'x','tier':'front'"), V_CREATE,
     "unclassified", "no Service selects its pods"},
    {"a Service without a selector", PLAIN SERVICE("shop", ""), V_CREATE, "unclassified",
     "no Service selects its pods"},
    {"a StatefulSet", WORK("StatefulSet", "x", "", POD("shop/x:1", "")), V_CREATE, "unclassified",
     "no Service selects its pods"},
    {"no replicas", WORK("Deployment", "x", "", "'replicas':0," POD("shop/x:1", "")), V_CREATE,
     "recreate", NULL},
    {"made by an operator",
     WORK("Deployment", "x",
          ",'ownerReferences':[{'apiVersion':'example.com/v1','kind':'Shop','name':'s','uid':'1',"
          "'controller':true}]",
          POD("shop/x:1", "")),
     V_CREATE, "recreate", NULL},
    {"elects a leader",
     WORK("Deployment", "x", "", POD("shop/x:1", ",'args':['--leader-elect=true']")) SERVED,
     V_CREATE, "unclassified", "it elects a leader"},
    {"elects none",
     WORK("Deployment", "x", "", POD("shop/x:1", ",'args':['--leader-elect=false']")) SERVED,
     V_CREATE, "recreate", NULL},
    {"never two",
     WORK("Deployment", "x", "", "'strategy':{'type':'Recreate'}," POD("shop/x:1", "")) SERVED,
     V_CREATE, "unclassified", "one replica, strategy Recreate"},
    {"never two, for the sake of its volume",
     WORK("Deployment", "x", "",
          "'strategy':{'type':'Recreate'},'template':{'metadata':{'labels':{'app':'x'}},'spec':{"
          "'containers':[],'volumes':[{'persistentVolumeClaim':{'claimName':'c'}}]}}") SERVED,
     V_CREATE, "recreate", NULL},
    {"decided: hold", WORK("Deployment", "x", HOLD("true"), POD("shop/x:1", "")), V_HOLD,
     "hold-asked", NULL},
    {"decided: run", WORK("Deployment", "x", HOLD("false"), POD("shop/x:1", "")), V_CREATE,
     "recreate", NULL},
    {"a schedule nobody knows",
     "{'apiVersion':'example.com/v1','kind':'Report'," META("x", "") ",'spec':{'schedule':'0 3 * * "
                                                                     "*'}}",
     V_CREATE, "unclassified", "it has a schedule"},
    {"a schedule that its owner stopped",
     "{'apiVersion':'example.com/v1','kind':'Report'," META("x", "") ",'spec':{'schedule':'@daily',"
                                                                     "'suspend':true}}",
     V_CREATE, "recreate", NULL},
    {"a schedule that is a name",
     "{'apiVersion':'example.com/v1','kind':'Report'," META("x",
                                                            "") ",'spec':{'schedule':'night'}}",
     V_CREATE, "recreate", NULL},

    {"scaled by a queue", PLAIN SCALER("kafka"), V_HOLD, "hold-consumer", NULL},
    {"scaled by a queue, of a kind that cannot be held",
     "{'apiVersion':'apps.openshift.io/v1','kind':'DeploymentConfig'," META(
         "x", "") ",'spec':{'replicas':2}},{'apiVersion':'keda.sh/"
                  "v1alpha1','kind':'ScaledObject'," META("so",
                                                          "") ",'spec':{'scaleTargetRef':{'"
                                                              "apiVersion':'apps.openshift.io/v1',"
                                                              "'kind':'DeploymentConfig','name':'x'"
                                                              "},'triggers':[{'type':"
                                                              "'kafka'}]}}",
     V_BLOCK, "hold-impossible", NULL},
    {"starts what is held", SCALES("", "prometheus", TARGET(HOLD("true"), "2")), V_HOLD,
     "hold-scaler", NULL},
    {"starts what is held, whatever its trigger", SCALES("", "cpu", TARGET(HOLD("true"), "2")),
     V_HOLD, "hold-scaler", NULL},
    {"starts what is held and idle", SCALES("", "cron", TARGET(HOLD("true"), "0")), V_HOLD,
     "hold-scaler", NULL},
    {"starts what is held, and may", SCALES(HOLD("false"), "cron", TARGET(HOLD("true"), "2")),
     V_CREATE, "recreate", NULL},
    {"starts what is held, and is paused",
     SCALES(",'annotations':{'autoscaling.keda.sh/paused-replicas':'0'}", "cron",
            TARGET(HOLD("true"), "2")),
     V_CREATE, "recreate", NULL},
    {"starts what is idle", SCALES("", "postgresql", TARGET("", "0")), V_CREATE, "unclassified",
     IDLE},
    {"starts what is idle, and has a Service", SCALES("", "cron", TARGET("", "0") SERVED), V_CREATE,
     "recreate", NULL},
    {"starts what is idle and may run", SCALES("", "cron", TARGET(HOLD("false"), "0")), V_CREATE,
     "recreate", NULL},
    {"cannot start what is idle", SCALES("", "memory", TARGET("", "0")), V_CREATE, "recreate",
     NULL},
    {"scales what runs", SCALES("", "cron", TARGET(HOLD("false"), "2")), V_CREATE, "recreate",
     NULL},
    {"scaled by its load", PLAIN SERVED SCALER("cpu"), V_CREATE, "recreate", NULL},
    {"external-dns",
     WORK("Deployment", "x", "", POD("registry.k8s.io/external-dns/external-dns:v0.14.0", "")),
     V_HOLD, "hold-external-dns", NULL},
    {"external-dns, with a port and a digest",
     WORK("Deployment", "x", "", POD("hub:5000/external-dns@sha256:0123", "")), V_HOLD,
     "hold-external-dns", NULL},
    {"one of that name before the tag",
     WORK("Deployment", "x", "", POD("shop/x:external-dns", "")) SERVED, V_CREATE, "recreate",
     NULL},
    {"known, but it may run",
     WORK("Deployment", "x", HOLD("false"), POD("bitnami/external-dns:1", "")), V_CREATE,
     "recreate", NULL},
    {"known, and stopped by its owner",
     WORK("Deployment", "x", "", "'replicas':0," POD("bitnami/external-dns:1", "")), V_CREATE,
     "recreate", NULL},
    {"cluster-autoscaler",
     WORK("Deployment", "x", "", POD("registry.k8s.io/autoscaling/cluster-autoscaler:v1.30.0", "")),
     V_HOLD, "hold-autoscaler", NULL},
    {"cluster-autoscaler of an architecture",
     WORK("Deployment", "x", "",
          POD("registry.k8s.io/autoscaling/cluster-autoscaler-arm64:v1", "")),
     V_HOLD, "hold-autoscaler", NULL},
    {"karpenter", WORK("Deployment", "x", "", POD("public.ecr.aws/karpenter/controller:1.0.0", "")),
     V_HOLD, "hold-autoscaler", NULL},
    {"cert-manager",
     WORK("Deployment", "x", "", POD("quay.io/jetstack/cert-manager-controller:v1.15.0", "")),
     V_HOLD, "hold-issuer", NULL},
    {"its webhook",
     WORK("Deployment", "x", "", POD("quay.io/jetstack/cert-manager-webhook:v1", "")) SERVED,
     V_CREATE, "recreate", NULL},
    {"ACK", WORK("Deployment", "x", "", POD("ghcr.io/ack-s3-controller:1", "")), V_HOLD,
     "hold-operator", NULL},
    {"ACK by its registry",
     WORK("Deployment", "x", "", POD("public.ecr.aws/aws-controllers-k8s/s3-controller:1", "")),
     V_HOLD, "hold-operator", NULL},
    {"Config Connector",
     WORK("StatefulSet", "x", "", POD("gcr.io/gke-release/cnrm/controller:1", "")), V_HOLD,
     "hold-operator", NULL},
    {"Config Connector of GKE", WORK("StatefulSet", "x", "", POD("gke.gcr.io/cnrm/recorder:1", "")),
     V_HOLD, "hold-operator", NULL},
    {"Terraform", WORK("Deployment", "x", "", POD("hashicorp/terraform-cloud-operator:2", "")),
     V_HOLD, "hold-operator", NULL},
    {"Terraform, renamed",
     WORK("Deployment", "x", "", POD("hashicorp/hcp-terraform-operator:2", "")), V_HOLD,
     "hold-operator", NULL},
    {"Pulumi", WORK("Deployment", "x", "", POD("pulumi/pulumi-kubernetes-operator:2", "")), V_HOLD,
     "hold-operator", NULL},
    {"image updater",
     WORK("Deployment", "x", "", POD("quay.io/argoprojlabs/argocd-image-updater:v0.12", "")),
     V_HOLD, "hold-updater", NULL},
    {"Keel", WORK("Deployment", "x", "", POD("docker.io/keelhq/keel:latest", "")), V_HOLD,
     "hold-deployer", NULL},
};

static struct world *world_of(struct arena *a, const struct world_opts *o, const char *bodies) {
    return lab_world(a, o, arena_printf(a, "[%s]", bodies), NULL, NULL);
}

static struct object *first(struct world *w) {
    for (size_t i = 0; i < world_count(w); i++)
        if (str_eq(world_at(w, i)->name, "x"))
            return world_at(w, i);
    fail_msg("no object x");
    return NULL;
}

static void verdicts(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, rows[i].bodies);
        const struct object *o = first(w);
        if (o->verdict != rows[i].verdict || !str_eq(o->rule, rows[i].rule))
            fail_msg("%s: %s by %s", rows[i].name, verdict_name(o->verdict), o->rule);
        if (o->undecided != (rows[i].hints != NULL))
            fail_msg("%s: undecided %d", rows[i].name, o->undecided);
        assert_int_equal(unclassified_count(w), o->undecided);
        if (rows[i].hints)
            assert_string_equal(unclassified_hints(a, o), rows[i].hints);
        assert_int_equal(o->held, o->verdict == V_HOLD);
        world_free(w);
    }
}

/* Every image and every hint that needs no Lease is met by a row; tests/upgrade/holds.t has a
 * Lease. */
static void tables(void **state UNUSED) {
    size_t n, n_hints;
    const struct singleton_row *t = singleton_rows(&n);
    const struct hint_row *h = hint_rows(&n_hints);
    unsigned hit[64] = {0};
    unsigned hints = HINT_LEASE;
    assert_in_range(n, 1, COUNT_OF(hit));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, rows[i].bodies);
        hit[first(w)->singleton]++;
        hints |= first(w)->hints;
        world_free(w);
    }
    for (size_t i = 0; i < n; i++) {
        if (!hit[i + 1])
            fail_msg("nothing shows %s", t[i].image);
        assert_false(str_empty(t[i].why) || str_empty(t[i].id) || str_empty(t[i].source));
        for (size_t k = 0; k < i; k++)
            if (str_eq(t[i].id, t[k].id))
                assert_string_equal(t[i].why, t[k].why);
    }
    for (size_t i = 0; i < n_hints; i++) {
        assert_true(hints & h[i].hint);
        assert_false(str_empty(h[i].what) || str_empty(h[i].why));
    }
}

static void a_rule_decides(void **state UNUSED) {
    static const struct user_rule create = {.kind = "Deployment", .verdict = "create"},
                                  hold = {.kind = "Deployment", .verdict = "hold"};
    const struct user_rule *const rules[] = {&create, &hold};
    for (size_t i = 0; i < 2; i++) {
        AUTO_ARENA a = arena_new();
        struct world_opts o = {.rules = rules[i], .n_rules = 1};
        struct world *w = world_of(a, &o, PLAIN);
        assert_false(first(w)->undecided);
        assert_string_equal(first(w)->rule, "user-1");
        assert_int_equal(first(w)->verdict, i ? V_HOLD : V_CREATE);
        world_free(w);
    }
}

static void decided_for_all(void **state UNUSED) {
    static const struct {
        const char *word;
        enum verdict verdict, report; /* of a workload, and of a kind that cannot be held */
    } ways[] = {{"hold", V_HOLD, V_BLOCK}, {"run", V_CREATE, V_CREATE}};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        AUTO_ARENA a = arena_new();
        enum unclassified how;
        struct world *w = world_of(a, NULL,
                                   PLAIN ",{'apiVersion':'example.com/v1','kind':'Report'," META(
                                       "r", "") ",'spec':{'schedule':'@daily'}}");
        assert_int_equal(unclassified_count(w), 2);
        assert_int_equal(unclassified_mode(ways[i].word, &how, NULL), 0);
        unclassified_decide(w, how);
        assert_int_equal(unclassified_count(w), 0);
        assert_int_equal(first(w)->verdict, ways[i].verdict);
        assert_int_equal(first(w)->held, ways[i].verdict == V_HOLD);
        assert_int_equal(world_find(w, "example.com", "Report", "shop", "r")->verdict,
                         ways[i].report);
        world_free(w);
    }
    enum unclassified how = UNCLASSIFIED_RUN;
    assert_int_equal(unclassified_mode("both", &how, NULL), -EUSAGE);
    assert_int_equal(how, UNCLASSIFIED_RUN);
    assert_int_equal(unclassified_mode(NULL, &how, NULL), 0);
    assert_int_equal(how, UNCLASSIFIED_ASK);
}

/* What is decided of the target decides of what scales it, with the plan or after it. */
static void scaler_follows(void **state UNUSED) {
    static const struct user_rule held = {.kind = "Deployment", .verdict = "hold"},
                                  asked = {.kind = "ScaledObject", .verdict = "create"};
    const struct user_rule both[] = {held, asked};
    static const struct {
        const char *replicas;
        enum unclassified how;
        size_t n_rules;
        enum verdict scaler;
        bool warned;
    } ways[] = {
        {"2", UNCLASSIFIED_HOLD, 0, V_HOLD, false}, {"2", UNCLASSIFIED_RUN, 0, V_CREATE, false},
        {"0", UNCLASSIFIED_HOLD, 0, V_HOLD, false}, {"0", UNCLASSIFIED_RUN, 0, V_CREATE, false},
        {"2", UNCLASSIFIED_ASK, 1, V_HOLD, false},  {"0", UNCLASSIFIED_ASK, 1, V_HOLD, false},
        {"2", UNCLASSIFIED_ASK, 2, V_CREATE, true},
    };
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        AUTO_ARENA a = arena_new();
        struct world_opts o = {.rules = both, .n_rules = ways[i].n_rules};
        const char *target = arena_printf(
            a, WORK("Deployment", "y", "", "'replicas':%s," POD("shop/x:1", "")), ways[i].replicas);
        struct world *w = world_of(a, &o, arena_printf(a, SCALES("", "cron", "%s"), target));
        unclassified_decide(w, ways[i].how);
        unclassified_decide(w, UNCLASSIFIED_ASK);
        const struct object *x = first(w);
        if (x->verdict != ways[i].scaler || x->held != (ways[i].scaler == V_HOLD))
            fail_msg("way %zu: %s by %s", i, verdict_name(x->verdict), x->rule);
        const char *const *t = world_warnings(w);
        assert_int_equal(t[0] != NULL, ways[i].warned);
        assert_true(!t[0] || (strstr(t[0], "ScaledObject shop/x") && !t[1]));
        world_free(w);
    }
}

/* Somebody let it loose in the destination, where its target is held. */
static void scaler_there(void **state UNUSED) {
    static const char target[] =
        WORK("Deployment", "y", ",'annotations':{'tandem.dev/hold':'true','tandem.dev/held':'2'}",
             "'replicas':0," POD("shop/x:1", ""));
    AUTO_ARENA a = arena_new();
    struct world *w = lab_world(a, NULL, "[" SCALES("", "cron", TARGET(HOLD("true"), "2")) "]",
                                arena_printf(a, "[" SCALES("", "cron", "%s") "]", target), NULL);
    assert_int_equal(first(w)->verdict, V_SAME);
    assert_non_null(strstr(world_warnings(w)[0], "KEDA will start it"));
    world_free(w);
}

/* An operator sets the replicas of what it owns. */
static void owner_is_told(void **state UNUSED) {
    static const struct {
        const char *notes;
        bool warned;
    } owners[] = {{"", true}, {HOLD("true"), false}};
    for (size_t i = 0; i < COUNT_OF(owners); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(
            a, NULL,
            arena_printf(a,
                         "%s,{'apiVersion':'velero.io/v1','kind':'Schedule','metadata':{'name':'o',"
                         "'namespace':'shop','uid':'u-o'%s},'spec':{'paused':%s}}",
                         WORK("Deployment", "x",
                              ",'ownerReferences':[{'apiVersion':'velero.io/v1','kind':'Schedule',"
                              "'name':'o','uid':'u-o','controller':true}]" HOLD("true"),
                              POD("shop/x:1", "")),
                         owners[i].notes, i ? "false" : "true"));
        assert_int_equal(first(w)->verdict, V_HOLD);
        assert_int_equal(world_warnings(w)[0] != NULL, owners[i].warned);
        world_free(w);
    }
}

/* Under a label selector nobody knows which Services there are. */
static void selected(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world_opts o = {.label_selector = "app=x"};
    struct world *w = world_of(a, &o, PLAIN);
    assert_false(first(w)->undecided);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),       cmocka_unit_test(tables),
        cmocka_unit_test(a_rule_decides), cmocka_unit_test(decided_for_all),
        cmocka_unit_test(selected),       cmocka_unit_test(scaler_follows),
        cmocka_unit_test(scaler_there),   cmocka_unit_test(owner_is_told),
    };
    return cmocka_run_group_tests_name("singleton", tests, NULL, NULL);
}
