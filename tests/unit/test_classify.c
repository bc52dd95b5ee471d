/* From two clusters to verdicts: what the source has, what the destination has, what the user says.
 */
#include "lab.h"

#include <stdlib.h>
#include <unistd.h>

#include "kube/discovery_impl.h"
#include "migrate/hold.h"
#include "migrate/world_impl.h"

#define NS "'name':'x','namespace':'shop','uid':'u-x'"
#define CM(meta, data)                                                                             \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{" NS meta "},'data':{" data "}}"
#define SYSTEM ",'managedFields':[{'manager':'kube-controller-manager'}]"
#define CRON(notes, spec)                                                                          \
    "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{" NS notes "},'spec':{" spec "}}"
#define DEPLOY(notes)                                                                              \
    "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{" NS notes "},'spec':{'replicas':3}}"
#define SPACE(labels)                                                                              \
    "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'x','uid':'u','labels':{" labels "}" \
    "}"                                                                                            \
    "}"
#define ACCOUNT(name, more)                                                                        \
    "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'" name "','namespace':'shop'," \
    "'uid':'u-x'}" more "}"
#define WIDGET "{'apiVersion':'example.com/v1','kind':'Widget','metadata':{" NS "}}"
#define WIDGET_OF(uid)                                                                             \
    "{'apiVersion':'example.com/v1','kind':'Widget','metadata':{'name':'x','namespace':'shop',"    \
    "'uid':'" uid "'}}"
#define DEFINITION                                                                                 \
    ",{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{"      \
    "'name':'widgets.example.com'}}"
#define HELD    ",'annotations':{'tandem.dev/held':'false'}"
#define HOLD(v) ",'annotations':{'tandem.dev/hold':'" v "'}"
#define TEN(p)                                                                                     \
    "'" p "0':'','" p "1':'','" p "2':'','" p "3':'','" p "4':'','" p "5':'','" p "6':'','" p      \
    "7':'','" p "8':'','" p "9':''"

static const char *const no_kinds[] = {NULL};
static const char *const crds_only[] = {"apiextensions.k8s.io/v1 CustomResourceDefinition", NULL};

/* The first body of src is looked at. */
static const struct {
    const char *name, *src, *dst;
    const char *const *serves;
    enum verdict verdict;
    const char *rule;
    bool held;
} rows[] = {
    {"only in the source", CM("", ""), "", NULL, V_CREATE, "recreate", false},
    {"the same in both", CM(",'resourceVersion':'1'", "'a':'b'"), CM("", "'a':'b'"), NULL, V_SAME,
     "recreate", false},
    {"another one there", CM("", "'a':'b'"), CM("", "'a':'c'"), NULL, V_BLOCK, "foreign", false},
    {"one that the destination made", CM("", "'a':'b'"), CM(SYSTEM, "'a':'c'"), NULL, V_SKIP,
     "destination-own", false},
    {"made by both clusters, the same", CM("", ""), CM(SYSTEM, ""), NULL, V_SAME, "recreate",
     false},

    {"API that the destination lacks", WIDGET, "", no_kinds, V_BLOCK, "api-missing", false},
    {"its definition is on the way", WIDGET DEFINITION, "", crds_only, V_CREATE, "recreate", false},
    {"its definition cannot go either", WIDGET DEFINITION, "", no_kinds, V_BLOCK, "api-missing",
     false},

    {"CronJob", CRON("", "'suspend':false"), "", NULL, V_HOLD, "hold-cronjob", true},
    {"CronJob that its owner suspended", CRON("", "'suspend':true"), "", NULL, V_CREATE, "recreate",
     false},
    {"CronJob held there", CRON("", "'suspend':false"), CRON(HELD, "'suspend':true"), NULL, V_SAME,
     "hold-cronjob", true},
    {"CronJob active there", CRON("", "'suspend':false"), CRON("", "'suspend':false"), NULL, V_SAME,
     "hold-cronjob", false},
    {"CronJob held here, active there: switched over", CRON(HELD, "'suspend':true"),
     CRON("", "'suspend':false"), NULL, V_SAME, "hold-cronjob", false},
    {"Deployment", DEPLOY(""), "", NULL, V_CREATE, "unclassified", false},
    {"Deployment that asks for it", DEPLOY(HOLD("true")), "", NULL, V_HOLD, "hold-asked", true},
    {"Deployment that asks not to", DEPLOY(HOLD("false")), "", NULL, V_CREATE, "recreate", false},
    {"hold asked of what cannot be held", CM(HOLD("true"), ""), "", NULL, V_BLOCK,
     "hold-impossible", false},

    {"namespace", SPACE(""), "", NULL, V_CREATE, "recreate", false},
    {"namespace with more labels there", SPACE("'a':'b'"), SPACE("'a':'b','c':'d'"), NULL, V_SAME,
     "recreate", false},
    {"namespace with very many more labels there", SPACE("'a':'b'"),
     SPACE("'a':'b'," TEN("p") "," TEN("q") "," TEN("r")), NULL, V_SAME, "recreate", false},
    {"namespace that lacks a label there", SPACE("'a':'b'"), SPACE("'c':'d'"), NULL, V_UPDATE,
     "recreate", false},
    {"default account", ACCOUNT("default", ",'imagePullSecrets':[{'name':'hub'}]"),
     ACCOUNT("default", ""), NULL, V_UPDATE, "recreate", false},
    {"default account, completed", ACCOUNT("default", ",'imagePullSecrets':[{'name':'hub'}]"),
     ACCOUNT("default", ",'imagePullSecrets':[{'name':'hub'}],'secrets':[{'name':'s'}]"), NULL,
     V_SAME, "recreate", false},
    {"other account with more there", ACCOUNT("x", ""), ACCOUNT("x", ",'secrets':[{'name':'s'}]"),
     NULL, V_BLOCK, "foreign", false},
};

static struct world *world_of(struct arena *a, const struct world_opts *o, const char *src,
                              const char *dst, const char *const *serves) {
    return lab_world(a, o, arena_printf(a, "[%s]", src), arena_printf(a, "[%s]", dst), serves);
}

static void expect(const char *name, const struct object *o, enum verdict v, const char *rule,
                   bool held) {
    if (o->verdict != v || !str_eq(o->rule, rule) || o->held != held)
        fail_msg("%s: %s by %s%s, wanted %s by %s%s (%s)", name, verdict_name(o->verdict), o->rule,
                 o->held ? ", held" : "", verdict_name(v), rule, held ? ", held" : "", o->why);
    assert_false(str_empty(o->why));
}

static void verdicts(void **state UNUSED) {
    bool seen[V_COUNT] = {false};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, rows[i].src, rows[i].dst, rows[i].serves);
        expect(rows[i].name, world_at(w, 0), rows[i].verdict, rows[i].rule, rows[i].held);
        seen[rows[i].verdict] = true;
        world_free(w);
    }
    for (unsigned v = 0; v < V_COUNT; v++)
        assert_true(seen[v]);
}

static void words(void **state UNUSED) {
    for (unsigned v = 0; v < V_COUNT; v++)
        assert_int_equal(verdict_of(verdict_name((enum verdict)v)), v);
    assert_int_equal(verdict_of("destroy"), V_COUNT);
    assert_int_equal(verdict_of(NULL), V_COUNT);
}

/* --- rules of the user --- */

#define LABELLED CM(",'labels':{'app':'web','tier':''}", "'a':'b'")

static const struct {
    const char *name;
    struct user_rule rule;
    const char *body;
    enum verdict verdict;
    const char *by;
} user[] = {
    {"skip", {.kind = "ConfigMap", .verdict = "skip"}, CM("", ""), V_SKIP, "user-1"},
    {"skip by a pattern",
     {.name = "?", .namespace = "sh*", .verdict = "skip"},
     CM("", ""),
     V_SKIP,
     "user-1"},
    {"another namespace",
     {.namespace = "shop2", .verdict = "skip"},
     CM("", ""),
     V_CREATE,
     "recreate"},
    {"another group", {.group = "apps", .verdict = "skip"}, CM("", ""), V_CREATE, "recreate"},
    {"block", {.verdict = "block", .why = "no"}, CM("", ""), V_BLOCK, "user-1"},
    {"create what the table skips",
     {.verdict = "create"},
     CM(",'deletionTimestamp':'t'", ""),
     V_CREATE,
     "user-1"},
    {"create what the table holds", {.verdict = "create"}, CRON("", ""), V_CREATE, "user-1"},
    {"hold", {.verdict = "hold"}, DEPLOY(""), V_HOLD, "user-1"},
    {"hold what cannot be held", {.verdict = "hold"}, CM("", ""), V_BLOCK, "hold-impossible"},
    {"a patch alone decides nothing", {.kind = "CronJob"}, CRON("", ""), V_HOLD, "hold-cronjob"},

    {"label there", {.labels = "app", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"label not there", {.labels = "nope", .verdict = "skip"}, LABELLED, V_CREATE, "recreate"},
    {"label equal", {.labels = "app=web", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"label equal, doubled", {.labels = "app==web", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"label another", {.labels = "app=we", .verdict = "skip"}, LABELLED, V_CREATE, "recreate"},
    {"label unequal", {.labels = "app!=db", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"label unequal, not there", {.labels = "x!=y", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"label unequal, equal",
     {.labels = "app!=web", .verdict = "skip"},
     LABELLED,
     V_CREATE,
     "recreate"},
    {"label absent", {.labels = "!x", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"label absent, there", {.labels = "!app", .verdict = "skip"}, LABELLED, V_CREATE, "recreate"},
    {"label empty", {.labels = "tier=", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"labels, all", {.labels = "app=web,!x,tier", .verdict = "skip"}, LABELLED, V_SKIP, "user-1"},
    {"labels, not all", {.labels = "app=web,x", .verdict = "skip"}, LABELLED, V_CREATE, "recreate"},
    {"no labels at all", {.labels = "app!=web", .verdict = "skip"}, CM("", ""), V_SKIP, "user-1"},
};

static void user_rules(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(user); i++) {
        AUTO_ARENA a = arena_new();
        struct world_opts o = {.rules = &user[i].rule, .n_rules = 1};
        struct world *w = world_of(a, &o, user[i].body, "", NULL);
        expect(user[i].name, world_at(w, 0), user[i].verdict, user[i].by,
               user[i].verdict == V_HOLD);
        world_free(w);
    }
}

static void first_user_rule_wins(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const struct user_rule two[] = {{.name = "y", .verdict = "block"},
                                    {.name = "x", .verdict = "skip", .why = "mine"},
                                    {.verdict = "block"}};
    struct world_opts o = {.rules = two, .n_rules = COUNT_OF(two)};
    struct world *w = world_of(a, &o, CM("", ""), "", NULL);
    expect("two rules", world_at(w, 0), V_SKIP, "user-2", false);
    assert_string_equal(world_at(w, 0)->why, "mine");
    world_free(w);
}

/* A definition that a rule of the user's skips does not come, so its objects cannot. */
static void skipped_definition(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const struct user_rule skip = {.kind = "CustomResourceDefinition", .verdict = "skip"};
    struct world_opts o = {.rules = &skip, .n_rules = 1};
    struct world *w = world_of(a, &o, WIDGET DEFINITION, "", crds_only);
    expect("skipped definition", world_at(w, 0), V_BLOCK, "api-missing", false);
    world_free(w);
}

static yyjson_mut_val *body_of(struct world *w, struct arena *a, const char *quoted,
                               const char **ret_previous) {
    yyjson_val *body = lab_json(a, quoted);
    yyjson_mut_val *root = NULL;
    struct err e = {0};
    if (world_body(w, lab_find(w, body), body, json_doc(a), a, &root, ret_previous, &e) < 0)
        fail_msg("%s", err_msg(&e));
    return root;
}

/* A patched object is compared as patched, and sent so. */
static void user_patch(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    const struct user_rule rule = {
        .patch = yyjson_val_mut_copy(
            d, lab_json(a, "[{'op':'replace','path':'/data/a','value':'paas-b'}]"))};
    struct world_opts o = {.rules = &rule, .n_rules = 1};
    struct world *w = world_of(a, &o, CM("", "'a':'paas-a'"), CM("", "'a':'paas-b'"), NULL);
    expect("patched", world_at(w, 0), V_SAME, "recreate", false);
    assert_string_equal(json_mut_str(body_of(w, a, CM("", "'a':'paas-a'"), NULL), "data", "a"),
                        "paas-b");
    world_free(w);
}

/* It blocks its object, and only where that would be written. */
static void patch_that_does_not_fit(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    const struct user_rule rule = {
        .name = "x",
        .patch = yyjson_val_mut_copy(d, lab_json(a, "[{'op':'remove','path':'/data/zz'}]"))};
    struct world_opts o = {.rules = &rule, .n_rules = 1};
    struct world *w = world_of(a, &o,
                               CM("", "") ",{'apiVersion':'v1','kind':'ConfigMap','metadata':{"
                                          "'name':'y','namespace':'shop'}}",
                               "", NULL);
    expect("patch", world_at(w, 0), V_BLOCK, "patch-misfit", false);
    assert_non_null(strstr(world_at(w, 0)->why, "rule 1"));
    expect("neighbour", world_at(w, 1), V_CREATE, "recreate", false);
    world_free(w);
    w = world_of(a, &o, CM(",'deletionTimestamp':'t'", ""), "", NULL);
    expect("skipped anyway", world_at(w, 0), V_SKIP, "deleting", false);
    world_free(w);
}

/* --- which namespaces --- */

static void namespaces(void **state UNUSED) {
    static const struct {
        const char *include, *exclude;
        size_t n; /* of five bodies below */
    } cases[] = {
        {NULL, NULL, 5},   {"shop", NULL, 3},   {"sh*", NULL, 5},
        {NULL, "shop", 3}, {"sh*", "shop2", 3}, {"nope", NULL, 1},
    };
    const char *src =
        "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop'}},"
        "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop2'}},"
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'shop'}},"
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'shop2'}},"
        "{'apiVersion':'storage.k8s.io/v1','kind':'StorageClass','metadata':{'name':'c'}}";
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        const char *in[] = {cases[i].include, NULL}, *out[] = {cases[i].exclude, NULL};
        struct world_opts o = {.ns_include = in, .ns_exclude = out};
        struct world *w = world_of(a, &o, src, "", NULL);
        assert_int_equal(world_count(w), cases[i].n);
        world_free(w);
    }
}

/* --- owners --- */

#define CHILD(uid_of_owner)                                                                        \
    "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'c','namespace':'shop','uid':'u-c',"    \
    "'ownerReferences':[{'apiVersion':'example.com/"                                               \
    "v1','kind':'Widget','name':'x','uid':'" uid_of_owner "'}]}}"

static void owners_come_first(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, NULL, CHILD("u-x") "," WIDGET, "", NULL);
    struct object *child = world_at(w, 0), *owner = world_at(w, 1);
    assert_true(child->wave <
                owner->wave); /* a Secret of a custom resource: its password is kept */
    world_free(w);
    w = world_of(a, NULL,
                 DEPLOY(",'ownerReferences':[{'apiVersion':'example.com/v1','kind':'Widget',"
                        "'name':'x','uid':'u-w'}]") "," WIDGET_OF("u-w"),
                 "", NULL);
    assert_int_equal(world_at(w, 0)->wave, world_at(w, 1)->wave + 1);
    world_free(w);
    w = world_of(a, NULL, CHILD("gone") "," WIDGET, "", NULL);
    assert_true(world_at(w, 0)->wave < world_at(w, 1)->wave); /* a Secret like any other */
    world_free(w);
}

static void owners_in_a_circle(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(
        a, NULL,
        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','namespace':'n','uid':'1',"
        "'ownerReferences':[{'kind':'ConfigMap','name':'b','uid':'2','apiVersion':'v1'}]}},"
        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'b','namespace':'n','uid':'2',"
        "'ownerReferences':[{'kind':'ConfigMap','name':'a','uid':'1','apiVersion':'v1'},"
        "{'kind':'ConfigMap','name':'b','uid':'2','apiVersion':'v1'}]}}",
        "", NULL);
    assert_in_range(world_at(w, 0)->wave, 50, 60);
    world_free(w);
}

/* The child gets the uid that its owner has in the destination; before that it cannot be sent. */
static void owners_are_linked_again(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, NULL, CHILD("u-x") "," WIDGET, "", NULL);
    yyjson_val *body = lab_json(a, CHILD("u-x"));
    yyjson_mut_val *root;
    struct err e = {0};
    assert_int_equal(world_body(w, world_at(w, 0), body, json_doc(a), a, &root, NULL, &e), -ENOENT);
    assert_non_null(strstr(err_msg(&e), "Widget x"));
    world_set_uid_dst(w, world_at(w, 1), "u-new");
    root = body_of(w, a, CHILD("u-x"), NULL);
    assert_string_equal(lab_mut_text(a, json_mut_get(root, "metadata", "ownerReferences")),
                        "[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"name\":\"x\","
                        "\"uid\":\"u-new\"}]");
    world_free(w);
}

/* In a version that the destination serves: its garbage collector looks for the owner by it. */
static void owners_are_named_as_they_are_served(void **state UNUSED) {
#define OLD_REF "{'apiVersion':'example.com/v1beta1','kind':'Widget','name':'x','uid':'u-x'}"
    static const char child[] = "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'c',"
                                "'namespace':'shop','uid':'u-c','ownerReferences':[" OLD_REF "]}}";
    static const char *const served[][2] = {{"v1", "example.com/v1"},
                                            {"v1beta1", "example.com/v1beta1"}};
    for (size_t i = 0; i < COUNT_OF(served); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, arena_printf(a, "%s," WIDGET, child), "", NULL);
        yyjson_val *list = lab_json(a, "{'kind':'APIResourceList','resources':[{'name':'widgets','"
                                       "kind':'Widget','namespaced':true,"
                                       "'verbs':['get','list','create']}]}");
        struct err e = {0};
        w->ddst = discovery_new();
        assert_int_equal(discovery_add_list(w->ddst, "example.com", served[i][0], list, &e), 0);
        discovery_finish(w->ddst);
        world_set_uid_dst(w, world_at(w, 1), "u-new");
        yyjson_mut_val *refs =
            json_mut_get(body_of(w, a, child, NULL), "metadata", "ownerReferences");
        assert_string_equal(json_mut_str(yyjson_mut_arr_get_first(refs), "apiVersion"),
                            served[i][1]);
        world_free(w);
    }
}

/* A uid that the destination does not know would make its garbage collector delete the child. */
static void stale_owners_are_left_out(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, NULL, CHILD("gone"), "", NULL);
    assert_null(json_mut_get(body_of(w, a, CHILD("gone"), NULL), "metadata", "ownerReferences"));
    world_free(w);
}

/* So is one that does not go over, though it is there to be found. */
static void skipped_owners_are_left_out(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const struct user_rule skip = {.kind = "Widget", .verdict = "skip"};
    struct world_opts o = {.rules = &skip, .n_rules = 1};
    struct world *w = world_of(a, &o, CHILD("u-x") "," WIDGET, "", NULL);
    assert_null(json_mut_get(body_of(w, a, CHILD("u-x"), NULL), "metadata", "ownerReferences"));
    world_free(w);
}

static void owners_are_compared(void **state UNUSED) {
    static const struct {
        const char *dst; /* the child's owner there has this uid; the owner's own is u-x */
        enum verdict v;
    } cases[] = {{CHILD("u-x"), V_SAME}, {CHILD("u-old"), V_BLOCK}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, CHILD("u-x") "," WIDGET,
                                   arena_printf(a, "%s,%s", cases[i].dst, WIDGET), NULL);
        assert_int_equal(world_at(w, 0)->verdict, cases[i].v);
        if (cases[i].v == V_BLOCK)
            assert_string_equal(world_at(w, 0)->changes->path,
                                "/metadata/ownerReferences/Widget x");
        world_free(w);
    }
}

/* A child whose owner is gone goes over like anything else, so it is compared like anything else.
 */
static void orphans_are_looked_at(void **state UNUSED) {
#define ORPHAN(n)                                                                                  \
    "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{" NS ",'ownerReferences':[{'kind':"   \
    "'Deployment','apiVersion':'apps/"                                                             \
    "v1','name':'d','uid':'gone','controller':true}]},'spec':{'replicas':" n "}}"
    static const uint8_t none[16];
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, NULL, ORPHAN("1"), ORPHAN("2"), NULL);
    expect("orphan", world_at(w, 0), V_BLOCK, "foreign", false);
    assert_memory_not_equal(world_at(w, 0)->digest, none, sizeof none);
    assert_string_equal(world_at(w, 0)->changes->path, "/spec/replicas");
    world_free(w);
    w = world_of(a, NULL, ORPHAN("1"), ORPHAN("1"), NULL);
    expect("orphan, the same", world_at(w, 0), V_SAME, "recreate", false);
    world_free(w);
}

/* --- what scrubbing asks the world --- */

#define PV(notes)                                                                                  \
    ",{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv1'" notes "}}"
#define PVC                                                                                        \
    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{" NS                            \
    "},'spec':{'volumeName':'pv1'}}"

/* The claim stands before its volume, and is read after it all the same. */
static void claims_keep_volumes_that_move(void **state UNUSED) {
    static const struct user_rule skip = {.kind = "PersistentVolume", .verdict = "skip"};
    static const struct {
        const char *src;
        const struct user_rule *rule;
        bool kept;
    } cases[] = {
        {PVC PV(""), NULL, true},
        {PVC, NULL, false},
        {PVC PV(",'annotations':{'pv.kubernetes.io/provisioned-by':'p'}"), NULL, false},
        {PVC PV(""), &skip, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct world_opts o = {.rules = cases[i].rule, .n_rules = cases[i].rule != NULL};
        struct world *w = world_of(a, &o, cases[i].src, "", NULL);
        bool kept = json_mut_get(body_of(w, a, PVC, NULL), "spec", "volumeName") != NULL;
        assert_int_equal(kept, cases[i].kept);
        /* known when the claim was read, too: the plan's digest is of the same body */
        uint8_t digest[16];
        assert_int_equal(
            world_digest(w, lab_find(w, lab_json(a, PVC)), lab_json(a, PVC), NULL, digest, NULL),
            0);
        assert_memory_equal(lab_find(w, lab_json(a, PVC))->digest, digest, sizeof digest);
        world_free(w);
    }
}

static void service_addresses(void **state UNUSED) {
    static const struct {
        const char *cidrs, *ip;
        bool fits;
    } cases[] = {
        {"'10.96.0.0/12'", "10.96.0.1", true},
        {"'10.96.0.0/12'", "10.111.255.255", true},
        {"'10.96.0.0/12'", "10.112.0.0", false},
        {"'10.96.0.0/16','10.20.0.0/24'", "10.20.0.9", true},
        {"'10.96.0.0/16'", "10.20.0.9", false},
        {"'fd00:1::/108'", "fd00:1::f:1", true},
        {"'fd00:1::/108'", "fd00:1::1f:1", false},
        {"'fd00:1::/108'", "10.96.0.1", false},
        {"'0.0.0.0/0'", "1.2.3.4", true},
        {"'10.0.0.1/32'", "10.0.0.1", true},
        {"'10.0.0.1/32'", "10.0.0.2", false},
        {"'10.0.0.0/33'", "10.0.0.1", false},
        {"'nonsense'", "10.0.0.1", false},
        {"'10.0.0.0/8'", "nonsense", false},
        {"'10.0.0.0/8'", "None", false},
        {"", "10.0.0.1", false},
        {"7", "10.0.0.1", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(
            a, NULL, CM("", ""),
            arena_printf(a,
                         "{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR','metadata':{"
                         "'name':'kubernetes'},'spec':{'cidrs':[%s]}}",
                         cases[i].cidrs),
            NULL);
        const struct scrub_env *env = world_scrub_env(w);
        if (env->service_ip_fits(env->ctx, cases[i].ip) != cases[i].fits)
            fail_msg("%s in %s", cases[i].ip, cases[i].cidrs);
        assert_false(env->service_ip_fits(env->ctx, NULL));
        world_free(w);
    }
}

static void storage_classes(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    static const char *const from[] = {"gp2", NULL}, *const to[] = {"gp3", NULL};
    struct world_opts o = {.class_from = from, .class_to = to};
    struct world *w = world_of(a, &o, CM("", ""), "", NULL);
    const struct scrub_env *env = world_scrub_env(w);
    assert_string_equal(env->storage_class(env->ctx, "gp2"), "gp3");
    assert_null(env->storage_class(env->ctx, "io1"));
    world_free(w);
}

/* --- what is sent --- */

static void held_bodies(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const char *previous;
    struct world *w = world_of(a, NULL, CRON("", "'suspend':false"), "", NULL);
    yyjson_mut_val *root = body_of(w, a, CRON("", "'suspend':false"), &previous);
    assert_true(yyjson_mut_is_true(json_mut_get(root, "spec", "suspend")));
    assert_string_equal(json_mut_str(root, "metadata", "annotations", HOLD_ANNOTATION), "false");
    assert_string_equal(previous, "{\"/spec/suspend\":false}");
    world_free(w);

    w = world_of(a, NULL, CRON("", "'suspend':true"), "", NULL);
    root = body_of(w, a, CRON("", "'suspend':true"), &previous);
    assert_null(json_mut_get(root, "metadata", "annotations"));
    assert_null(previous);
    world_free(w);
}

static void digests(void **state UNUSED) {
    static const struct {
        const char *x, *y;
        bool same;
    } cases[] = {
        {CM("", "'a':'b'"), CM("", "'a':'c'"), false},
        {CM(",'resourceVersion':'1'", "'a':'b'"), CM(",'resourceVersion':'2'", "'a':'b'"), true},
        /* of a Secret nothing made of its value, so only the store's own count tells */
        {"{'apiVersion':'v1','kind':'Secret','metadata':{" NS ",'resourceVersion':'1'},'data':{}}",
         "{'apiVersion':'v1','kind':'Secret','metadata':{" NS
         ",'resourceVersion':'1'},'data':{'k':'dg=='}}",
         true},
        {"{'apiVersion':'v1','kind':'Secret','metadata':{" NS ",'resourceVersion':'1'}}",
         "{'apiVersion':'v1','kind':'Secret','metadata':{" NS ",'resourceVersion':'2'}}", false},
    };
    static const uint8_t other_salt[32] = {9};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, cases[i].x, "", NULL);
        struct object *o = world_at(w, 0);
        uint8_t x[16], y[16], z[16];
        assert_int_equal(world_digest(w, o, lab_json(a, cases[i].x), NULL, x, NULL), 0);
        assert_int_equal(world_digest(w, o, lab_json(a, cases[i].y), NULL, y, NULL), 0);
        assert_int_equal(world_digest(w, o, lab_json(a, cases[i].x), other_salt, z, NULL), 0);
        assert_memory_equal(o->digest, x, sizeof x);
        assert_int_equal(memcmp(x, y, sizeof x) == 0, cases[i].same);
        assert_memory_not_equal(x, z, sizeof x);
        world_free(w);
    }
}

/* --- what earlier runs wrote --- */

static struct journal *journal_with(struct arena *a, const char *folder, const char *const *refs,
                                    struct journal_run *ret_run) {
    struct journal *j = NULL;
    struct err e = {0};
    if (journal_open(arena_printf(a, "%s/j.db", folder), false, &j, &e) < 0 ||
        journal_run_begin(j, 'a', 'b', ret_run, &e) < 0)
        fail_msg("%s", err_msg(&e));
    for (; *refs; refs++) { /* VERB REF */
        const char *space = strchr(*refs, ' ');
        struct journal_effect ef = {.cluster = "b",
                                    .ref = space + 1,
                                    .verb = arena_strndup(a, *refs, (size_t)(space - *refs))};
        assert_int_equal(journal_effects_begin(j, ret_run->id, &ef, 1, NULL), 0);
    }
    return j;
}

static void remove_journal(struct arena *a, const char *folder) {
    static const char *const files[] = {"j.db", "j.db.lock", "j.db-wal", "j.db-shm"};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        unlink(arena_printf(a, "%s/%s", folder, files[i]));
    rmdir(folder);
}

static void what_runs_wrote(void **state UNUSED) {
    static const char *const refs[] = {"create /ConfigMap/shop/x", "update /ConfigMap/shop/gone",
                                       "create /ConfigMap/other/gone",
                                       "hold /ConfigMap/shop/theirs", NULL};
    AUTO_ARENA a = arena_new();
    char folder[] = "/tmp/tandem-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct journal_run run;
    struct journal *j = journal_with(a, folder, refs, &run);
    const char *only[] = {"shop", NULL};
    struct world_opts o = {.journal = j, .run = run.id, .ns_include = only};
    struct world *w = world_of(
        a, &o, CM("", "'a':'b'"),
        CM("", "'a':'c'") ",{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'gone',"
                          "'namespace':'shop'}},{'apiVersion':'v1','kind':'ConfigMap','metadata':{"
                          "'name':'theirs','namespace':'shop'}},{'apiVersion':'v1','kind':"
                          "'ConfigMap','metadata':{'name':'gone','namespace':'other'}}",
        NULL);
    expect("ours, changed", world_at(w, 0), V_UPDATE, "recreate", false);
    const char *const *left = world_left_over(w);
    assert_string_equal(left[0], "/ConfigMap/shop/gone");
    assert_null(left[1]); /* not what others made, nor what was not looked at */
    world_free(w);
    journal_close(j);
    remove_journal(a, folder);
}

/* Written, and no answer of the journal's: no request has passed it yet. */
static void unproven_webhooks(void **state UNUSED) {
#define HOOK_REF "admissionregistration.k8s.io/ValidatingWebhookConfiguration//h"
    static const char hook[] = "{'apiVersion':'admissionregistration.k8s.io/v1','kind':"
                               "'ValidatingWebhookConfiguration','metadata':{'name':'h'}}";
    static const char *const refs[][2] = {{"create " HOOK_REF}, {"update " HOOK_REF}};
    for (size_t i = 0; i < COUNT_OF(refs); i++) {
        AUTO_ARENA a = arena_new();
        char folder[] = "/tmp/tandem-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        struct journal_run run;
        struct journal *j = journal_with(a, folder, refs[i], &run);
        struct world_opts o = {.journal = j, .run = run.id};
        struct world *w = world_of(a, &o, hook, hook, NULL);
        expect(refs[i][0], world_at(w, 0), V_UPDATE, WORLD_UNPROVEN, false);
        world_free(w);
        journal_close(j);
        remove_journal(a, folder);
    }
}

/* --- what a person changed in what each cluster makes by itself --- */

#define ROLE(kind, name, meta, more)                                                               \
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'" kind "','metadata':{'name':'" name     \
    "'" meta "}," more "}"
#define LABEL   ",'labels':{'kubernetes.io/bootstrapping':'rbac-defaults'}"
#define BY(who) LABEL ",'managedFields':[{'manager':'kube-apiserver'},{'manager':'" who "'}]"
#define BINDING(subjects)                                                                          \
    ROLE("ClusterRoleBinding", "cluster-admin", LABEL, "'subjects':[" subjects "]")
#define MASTERS           "{'kind':'Group','name':'system:masters'}"
#define CI                "{'kind':'ServiceAccount','name':'builder','namespace':'ci'}"
#define VIEWER(by, rules) ROLE("ClusterRole", "system:viewer", by, "'rules':[" rules "]")
#define RULE(resources, verbs)                                                                     \
    "{'apiGroups':['','apps'],'resources':[" resources "],'verbs':[" verbs "]}"
#define NAMED_ONE "{'apiGroups':[''],'resources':['secrets'],'verbs':['get'],'resourceNames':['s']}"
#define URL(url)  "{'nonResourceURLs':['" url "'],'verbs':['get']}"
#define FLOW(notes, spec, by)                                                                      \
    "{'apiVersion':'flowcontrol.apiserver.k8s.io/v1','kind':'FlowSchema','metadata':{'name':"      \
    "'probes','annotations':{'apf.kubernetes.io/autoupdate-spec':'" notes "'},'managedFields':[{"  \
    "'manager':'" by "'}]},'spec':{'matchingPrecedence':" spec "}}"

static const struct {
    const char *src, *dst, *rule, *note; /* note NULL: nothing is told */
} tuned[] = {
    {BINDING(MASTERS "," CI), BINDING(MASTERS), "bootstrap-rbac",
     "only the source's has subject ServiceAccount ci/builder"},
    {BINDING(MASTERS), BINDING(MASTERS "," CI), "bootstrap-rbac", NULL},
    {BINDING(CI), BINDING("{'kind':'ServiceAccount','name':'builder','namespace':'cd'}"),
     "bootstrap-rbac", "only the source's has subject ServiceAccount ci/builder"},
    {VIEWER(BY("kubectl-edit"), RULE("'pods'", "'get','delete'")),
     VIEWER(LABEL, RULE("'pods','nodes'", "'get'")), "bootstrap-rbac",
     "only the source's has delete pods, delete pods.apps"},
    /* another release has other rights */
    {VIEWER(BY("kube-controller-manager"), RULE("'pods'", "'get','delete'")),
     VIEWER(LABEL, RULE("'pods'", "'get'")), "bootstrap-rbac", NULL},
    {VIEWER(BY("kubectl-edit"),
            RULE("'pods','pods/log'", "'get'") "," NAMED_ONE "," URL("/livez/x")),
     VIEWER(LABEL, RULE("'*'", "'*'") "," URL("/livez/*")), "bootstrap-rbac", NULL},
    {VIEWER(BY("kubectl-edit"), RULE("'secrets'", "'get'") "," URL("/metrics")),
     VIEWER(LABEL, NAMED_ONE "," URL("/livez/*")), "bootstrap-rbac",
     "only the source's has get secrets, get secrets.apps, get /metrics"},
    {VIEWER(BY("kubectl-edit"), RULE("'a','b','c'", "'get'")), VIEWER(LABEL, ""), "bootstrap-rbac",
     "only the source's has get a, get b, get c, get a.apps, get b.apps and 1 more"},
    {ROLE("ClusterRole", "admin", BY("helm"),
          "'aggregationRule':{},'rules':[" RULE("'pods'", "'get'") "]"),
     ROLE("ClusterRole", "admin", LABEL, "'rules':[]"), "bootstrap-rbac", NULL},
    /* of the name, and neither the API server's nor in the destination; and in it */
    {VIEWER("", RULE("'pods'", "'get'")), "", "recreate", NULL},
    {VIEWER(SYSTEM, RULE("'pods'", "'get'")), "", "system-rbac", NULL},
    {VIEWER("", RULE("'pods'", "'get'")), VIEWER("", ""), "system-rbac",
     "only the source's has get pods, get pods.apps"},
    {FLOW("false", "900", "kubectl"), FLOW("true", "1000", "kube-apiserver"), "destination-own",
     "the destination made its own, and differs in "
     "/metadata/annotations/apf.kubernetes.io~1autoupdate-spec, /spec/matchingPrecedence"},
    {FLOW("true", "900", "kubectl"), FLOW("true", "1000", "kube-apiserver"), "apf-auto", NULL},
};

static void tuned_by_people(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(tuned); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, NULL, tuned[i].src, tuned[i].dst, NULL);
        const struct object *o = world_at(w, 0);
        if (!str_eq(o->rule, tuned[i].rule) || !str_eq(o->note, tuned[i].note) ||
            o->tuned != (tuned[i].note != NULL))
            fail_msg("row %zu: %s: %s", i, o->rule, o->note ? o->note : "nothing");
        world_free(w);
    }
}

/* What a run wrote is compared like anything else, whatever its name. */
static void system_names_of_ours(void **state UNUSED) {
    static const char *const mine[] = {
        "create rbac.authorization.k8s.io/ClusterRole//system:viewer", NULL};
    AUTO_ARENA a = arena_new();
    char folder[] = "/tmp/tandem-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct journal_run run;
    struct journal *j = journal_with(a, folder, mine, &run);
    struct world_opts o = {.journal = j, .run = run.id};
    const char *body = VIEWER("", RULE("'pods'", "'get'"));
    struct world *w = world_of(a, &o, body, body, NULL);
    expect("ours", world_at(w, 0), V_SAME, "recreate", false);
    world_free(w);
    journal_close(j);
    remove_journal(a, folder);
}

/* --- who acts, when the destination's was changed by hand or the source's by its owner --- */

#define ACTS  CRON("", "'suspend':false")
#define LOOSE CRON(HELD, "'suspend':false")
#define BENT  CRON(",'annotations':{'tandem.dev/held':'{}'}", "'suspend':true")
#define STILL CRON("", "'suspend':true")
#define BEARS CRON(HELD, "'suspend':true")

static const struct {
    const char *name, *src, *dst;
    bool ours;
    enum verdict verdict;
    bool held;
    unsigned warnings;
} doubles[] = {
    {"held as it should be", ACTS, BEARS, true, V_SAME, true, 0},
    {"annotation taken away", ACTS, STILL, true, V_UPDATE, true, 0},
    {"annotation bent", ACTS, BENT, true, V_UPDATE, true, 0},
    {"let loose by hand", ACTS, LOOSE, true, V_UPDATE, true, 0},
    {"let loose without a trace", ACTS, ACTS, true, V_UPDATE, true, 0},
    {"one of the destination's own acts too", ACTS, ACTS, false, V_SAME, false, 1},
    {"suspended by its owner since", STILL, BEARS, true, V_UPDATE, false, 0},
    {"switched over", BEARS, ACTS, true, V_SAME, false, 0},
    {"between the two", BEARS, BEARS, true, V_SAME, true, 0},
    {"let loose by hand in the source after the switch", LOOSE, ACTS, true, V_UPDATE, true, 0},
};

static void nobody_acts_twice(void **state UNUSED) {
    static const char *const mine[] = {"create batch/CronJob/shop/x", NULL}, *const none[] = {NULL};
    for (size_t i = 0; i < COUNT_OF(doubles); i++) {
        AUTO_ARENA a = arena_new();
        char folder[] = "/tmp/tandem-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        struct journal_run run;
        struct journal *j = journal_with(a, folder, doubles[i].ours ? mine : none, &run);
        struct world_opts o = {.journal = j, .run = run.id};
        struct world *w = world_of(a, &o, doubles[i].src, doubles[i].dst, NULL);
        const struct object *x = world_at(w, 0);
        if (x->verdict != doubles[i].verdict || x->held != doubles[i].held)
            fail_msg("%s: %s%s", doubles[i].name, verdict_name(x->verdict),
                     x->held ? ", held" : "");
        const char *const *t = world_warnings(w);
        for (unsigned n = 0; n < doubles[i].warnings; n++)
            assert_non_null(*t++);
        assert_null(*t);
        world_free(w);
        journal_close(j);
        remove_journal(a, folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(words),
        cmocka_unit_test(user_rules),
        cmocka_unit_test(first_user_rule_wins),
        cmocka_unit_test(skipped_definition),
        cmocka_unit_test(user_patch),
        cmocka_unit_test(patch_that_does_not_fit),
        cmocka_unit_test(namespaces),
        cmocka_unit_test(owners_come_first),
        cmocka_unit_test(owners_in_a_circle),
        cmocka_unit_test(owners_are_linked_again),
        cmocka_unit_test(owners_are_named_as_they_are_served),
        cmocka_unit_test(stale_owners_are_left_out),
        cmocka_unit_test(skipped_owners_are_left_out),
        cmocka_unit_test(owners_are_compared),
        cmocka_unit_test(orphans_are_looked_at),
        cmocka_unit_test(claims_keep_volumes_that_move),
        cmocka_unit_test(service_addresses),
        cmocka_unit_test(storage_classes),
        cmocka_unit_test(held_bodies),
        cmocka_unit_test(digests),
        cmocka_unit_test(what_runs_wrote),
        cmocka_unit_test(unproven_webhooks),
        cmocka_unit_test(tuned_by_people),
        cmocka_unit_test(system_names_of_ours),
        cmocka_unit_test(nobody_acts_twice),
    };
    return cmocka_run_group_tests_name("classify", tests, NULL, NULL);
}
