/* Field by field, and readiness by readiness. */
#include "lab.h"

#include "migrate/world_impl.h"

#define BODY(api, kind, meta, more)                                                                \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{'name':'x','namespace':'shop'" meta     \
    "}" more "}"
#define ACCOUNT(list)                                                                              \
    "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'default','namespace':'shop'}," \
    "'imagePullSecrets':[" list "]}"
#define CM(more) BODY("v1", "ConfigMap", "", more)

/* Differences as "PATH: SRC -> DST", joined by "; "; "-" stands for nothing there. */
static const char *differences(struct arena *a, struct object *o) {
    AUTO_SB b = SB_INIT(0);
    for (struct change *c = o->changes; c; c = c->next)
        sb_fmt(&b, "%s%s: %s -> %s", b.len ? "; " : "", c->path, c->src ? c->src : "-",
               c->dst ? c->dst : "-");
    return arena_strdup(a, sb_get(&b));
}

static struct object *compared(struct arena *a, const char *src, const char *dst) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_val *s = lab_json(a, src), *t = lab_json(a, dst);
    struct object *o = arena_new_of(a, struct object);
    struct kind *k = lab_kind(a, s);
    k->merge = str_eq(k->src->kind, "Namespace") || str_eq(k->src->kind, "ServiceAccount");
    *o = (struct object){.kind = k, .ns = "shop", .name = json_str(s, "metadata", "name")};
    compare_trees(o, a, scrub_object(d, k, s, SCRUB_SOURCE, NULL, NULL, NULL),
                  scrub_object(d, k, t, SCRUB_DESTINATION, NULL, NULL, NULL));
    return o;
}

static const struct {
    const char *name, *src, *dst, *want;
} rows[] = {
    {"the same", CM(",'data':{'a':'1','b':'2'}"), CM(",'data':{'b':'2','a':'1'}"), ""},
    {"a value", CM(",'data':{'a':'1'}"), CM(",'data':{'a':'2'}"), "/data/a: \"1\" -> \"2\""},
    {"only in the source", CM(",'data':{'a':'1'}"), CM(",'data':{}"), "/data/a: \"1\" -> -"},
    {"only in the destination", CM(",'data':{}"), CM(",'data':{'a':'1'}"), "/data/a: - -> \"1\""},
    {"a whole member", CM(",'data':{'a':'1'}"), CM(""), "/data: {\"a\":\"1\"} -> -"},
    {"null is something", CM(",'data':null"), CM(""), "/data: null -> -"},
    {"another type", CM(",'data':{'a':1}"), CM(",'data':{'a':'1'}"), "/data/a: 1 -> \"1\""},
    {"the order comes from the source", CM(",'data':{'z':1,'a':1}"), CM(",'data':{'a':2,'z':2}"),
     "/data/z: 1 -> 2; /data/a: 1 -> 2"},
    {"escapes in the path", CM(",'data':{'a/b~c':1}"), CM(",'data':{'a/b~c':2}"),
     "/data/a~1b~0c: 1 -> 2"},
    {"one number, spelled otherwise", CM(",'data':{'a':1.0}"), CM(",'data':{'a':1}"), ""},
    {"integers beyond doubles", CM(",'data':{'a':9007199254740993}"),
     CM(",'data':{'a':9007199254740992}"), "/data/a: 9007199254740993 -> 9007199254740992"},
    {"lists of one length", CM(",'data':[1,{'a':1,'b':2},3]"), CM(",'data':[1,{'a':2,'b':2},4]"),
     "/data/1/a: 1 -> 2; /data/2: 3 -> 4"},
    {"lists of two lengths", CM(",'data':[1,2]"), CM(",'data':[1]"), "/data: [1,2] -> [1]"},
    {"a list and a map", CM(",'data':[]"), CM(",'data':{}"), "/data: [] -> {}"},
    {"a Secret's value", BODY("v1", "Secret", "", ",'data':{'a':'cGFzcw=='}"),
     BODY("v1", "Secret", "", ",'data':{'a':'b3RoZXI='}"), "/data/a: (secret) -> (secret)"},
    {"a Secret's key on one side", BODY("v1", "Secret", "", ",'data':{'a':'cGFzcw=='}"),
     BODY("v1", "Secret", "", ""), "/data: (secret) -> -"},
    {"a Secret's annotation", BODY("v1", "Secret", ",'annotations':{'a':'cGFzcw=='}", ""),
     BODY("v1", "Secret", ",'annotations':{'a':'b3RoZXI='}", ""),
     "/metadata/annotations/a: (secret) -> (secret)"},
    {"what only the destination's namespace has",
     BODY("v1", "Namespace", ",'labels':{'a':'1','b':'1'}", ""),
     BODY("v1", "Namespace", ",'labels':{'a':'2','c':'3'}", ""),
     "/metadata/labels/a: \"1\" -> \"2\"; /metadata/labels/b: \"1\" -> -"},
    {"lists of a completed object", ACCOUNT("{'name':'b'},{'name':'a','x':'1'}"),
     ACCOUNT("{'name':'a','x':'1','y':'2'},{'name':'c'},{'name':'b'}"), ""},
    {"lists of a completed object, of one length", ACCOUNT("{'name':'a'}"), ACCOUNT("{'name':'b'}"),
     "/imagePullSecrets: [{\"name\":\"a\"}] -> [{\"name\":\"b\"}]"},
    {"an account that is not the default one", BODY("v1", "ServiceAccount", "", ""),
     BODY("v1", "ServiceAccount", "", ",'automountServiceAccountToken':false"),
     "/automountServiceAccountToken: - -> false"},
};

static void golden(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        const char *got = differences(a, compared(a, rows[i].src, rows[i].dst));
        if (!str_eq(got, rows[i].want))
            fail_msg("%s:\n got %s\nwant %s", rows[i].name, got, rows[i].want);
    }
}

/* --- the table of what newer servers fill in --- */

static const struct {
    const char *group, *kind, *path, *without, *with, *other; /* other: a value that does differ */
} defaults[] = {
    {"apps", "StatefulSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable",
     BODY("apps/v1", "StatefulSet", "",
          ",'spec':{'updateStrategy':{'rollingUpdate':{'partition':0}}}"),
     BODY("apps/v1", "StatefulSet", "",
          ",'spec':{'updateStrategy':{'rollingUpdate':{'partition':0,'maxUnavailable':1}}}"),
     BODY("apps/v1", "StatefulSet", "",
          ",'spec':{'updateStrategy':{'rollingUpdate':{'partition':0,'maxUnavailable':2}}}")},
    {"", "Pod", "/metadata/labels/topology.kubernetes.io~1*",
     BODY("v1", "Pod", ",'labels':{'a':'b'}", ""),
     BODY("v1", "Pod", ",'labels':{'a':'b','topology.kubernetes.io/rack':'r1'}", ""),
     BODY("v1", "Pod", ",'labels':{'a':'b','topology.example.com/rack':'r1'}", "")},
    {"", "Pod", "/spec/tolerations", BODY("v1", "Pod", "", ",'spec':{'x':1}"),
     BODY("v1", "Pod", "", ",'spec':{'x':1,'tolerations':[{'key':'k'}]}"),
     BODY("v1", "Pod", "", ",'spec':{'x':1,'toleration':[]}")},
    {"", "Pod", "/spec/*ontainers/*/httpGet/protocol",
     BODY("v1", "Pod", "", ",'spec':{'initContainers':[{'startupProbe':{'httpGet':{'x':1}}}]}"),
     BODY("v1", "Pod", "",
          ",'spec':{'initContainers':[{'startupProbe':{'httpGet':{'x':1,'protocol':'HTTP1'}}}]}"),
     BODY("v1", "Pod", "",
          ",'spec':{'initContainers':[{'startupProbe':{'httpGet':{'x':1,'protocol':'HTTP2'}}}]}")},
    {"storage.k8s.io", "CSIDriver", "/spec/preventPodSchedulingIfMissing",
     BODY("storage.k8s.io/v1", "CSIDriver", "", ",'spec':{'x':1}"),
     BODY("storage.k8s.io/v1", "CSIDriver", "",
          ",'spec':{'x':1,'preventPodSchedulingIfMissing':false}"),
     BODY("storage.k8s.io/v1", "CSIDriver", "",
          ",'spec':{'x':1,'preventPodSchedulingIfMissing':true}")},
    {"", "Pod", "/spec/volumes", BODY("v1", "Pod", "", ",'spec':{'x':1}"),
     BODY("v1", "Pod", "", ",'spec':{'x':1,'volumes':[]}"),
     BODY("v1", "Pod", "", ",'spec':{'x':1,'volume':[]}")},
};

static void new_defaults(void **state UNUSED) {
    size_t n;
    const struct new_default *t = compare_new_defaults(&n);
    for (size_t i = 0; i < n; i++) {
        bool hit = false;
        for (size_t k = 0; k < COUNT_OF(defaults); k++)
            hit |= str_eq(t[i].group, defaults[k].group) && str_eq(t[i].kind, defaults[k].kind) &&
                   str_eq(t[i].path, defaults[k].path);
        if (!hit)
            fail_msg("%s has no golden case", t[i].path);
        assert_false(str_empty(t[i].why));
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(t[i].path, t[k].path) && str_eq(t[i].kind, t[k].kind));
    }
    for (size_t k = 0; k < COUNT_OF(defaults); k++) {
        AUTO_ARENA a = arena_new();
        assert_string_equal(differences(a, compared(a, defaults[k].without, defaults[k].with)), "");
        assert_string_equal(differences(a, compared(a, defaults[k].with, defaults[k].without)), "");
        assert_int_equal(compared(a, defaults[k].without, defaults[k].other)->n_changes, 1);
    }
}

/* The labels that the admission plugin copies are gone altogether, even as the only ones. */
static void topology_labels(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    assert_string_equal(differences(a, compared(a, BODY("v1", "Pod", "", ""),
                                                BODY("v1", "Pod",
                                                     ",'labels':{'topology.kubernetes.io/zone':'z',"
                                                     "'topology.kubernetes.io/region':'r'}",
                                                     ""))),
                        "");
}

/* --- limits --- */

static void many_changes(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    AUTO_SB s = SB_INIT(0), d = SB_INIT(0);
    for (int i = 0; i < 3 * CHANGES_MAX; i++) {
        sb_fmt(&s, "%s'k%d':1", i ? "," : "", i);
        sb_fmt(&d, "%s'k%d':2", i ? "," : "", i);
    }
    struct object *o = compared(a, arena_printf(a, CM(",'data':{%s}"), sb_get(&s)),
                                arena_printf(a, CM(",'data':{%s}"), sb_get(&d)));
    size_t kept = 0;
    for (struct change *c = o->changes; c; c = c->next)
        kept++;
    assert_int_equal(kept, CHANGES_MAX);
    assert_int_equal(o->n_changes, 3 * CHANGES_MAX);
    assert_string_equal(o->changes->path, "/data/k0");
}

/* A long value is cut, between characters: half of one would be no JSON. */
static void long_values(void **state UNUSED) {
    for (size_t pad = 0; pad < 4; pad++) {
        AUTO_ARENA a = arena_new();
        AUTO_SB b = SB_INIT(0);
        for (size_t i = 0; i < 150 + pad; i++)
            sb_chr(&b, 'x');
        for (size_t i = 0; i < 20; i++)
            sb_str(&b, "\xe2\x82\xac"); /* three bytes each */
        struct object *o = compared(a, arena_printf(a, CM(",'data':'%s'"), sb_get(&b)), CM(""));
        const char *text = o->changes->src;
        assert_in_range(strlen(text), 150, 200);
        assert_non_null(strstr(text, "bytes)"));
        AUTO_SB json = SB_INIT(0);
        sb_json(&json, text, strlen(text));
        yyjson_val *v;
        assert_int_equal(json_parse(a, sb_get(&json), json.len, &v, NULL), 0);
    }
}

/* --- readiness --- */

#define STATUS(api, kind, status) BODY(api, kind, "", ",'status':{" status "}")
#define COND(type, value)                                                                          \
    "'conditions':[{'type':'Other','status':'False'},{'type':'" type "','status':'" value "'}]"

static const struct {
    const char *name, *src, *dst, *note; /* note NULL: as ready */
} ready[] = {
    {"Deployment", STATUS("apps/v1", "Deployment", "'readyReplicas':3"),
     STATUS("apps/v1", "Deployment", "'readyReplicas':2"), "2 of 3 replicas ready"},
    {"Deployment, more", STATUS("apps/v1", "Deployment", "'readyReplicas':3"),
     STATUS("apps/v1", "Deployment", "'readyReplicas':4"), NULL},
    {"Deployment, none", STATUS("apps/v1", "Deployment", "'readyReplicas':1"),
     STATUS("apps/v1", "Deployment", ""), "0 of 1 replicas ready"},
    {"Deployment, none in either", STATUS("apps/v1", "Deployment", ""),
     STATUS("apps/v1", "Deployment", ""), NULL},
    {"StatefulSet", STATUS("apps/v1", "StatefulSet", "'readyReplicas':1"),
     STATUS("apps/v1", "StatefulSet", "'readyReplicas':0"), "0 of 1 replicas ready"},
    {"DaemonSet", STATUS("apps/v1", "DaemonSet", "'numberReady':2"),
     STATUS("apps/v1", "DaemonSet", "'numberReady':1"), "1 of 2 pods ready"},
    {"ReplicaSet", STATUS("apps/v1", "ReplicaSet", "'readyReplicas':1"),
     STATUS("apps/v1", "ReplicaSet", ""), "0 of 1 replicas ready"},
    {"ReplicationController", STATUS("v1", "ReplicationController", "'readyReplicas':1"),
     STATUS("v1", "ReplicationController", ""), "0 of 1 replicas ready"},
    {"claim", STATUS("v1", "PersistentVolumeClaim", "'phase':'Bound'"),
     STATUS("v1", "PersistentVolumeClaim", "'phase':'Pending'"), "is Pending, in the source Bound"},
    {"claim, pending in both", STATUS("v1", "PersistentVolumeClaim", "'phase':'Pending'"),
     STATUS("v1", "PersistentVolumeClaim", "'phase':'Pending'"), NULL},
    {"volume", STATUS("v1", "PersistentVolume", "'phase':'Bound'"),
     STATUS("v1", "PersistentVolume", "'phase':'Available'"), "is Available, in the source Bound"},
    {"Pod", STATUS("v1", "Pod", "'phase':'Running'"), STATUS("v1", "Pod", ""),
     "is without a phase, in the source Running"},
    {"namespace", STATUS("v1", "Namespace", "'phase':'Active'"),
     STATUS("v1", "Namespace", "'phase':'Terminating'"), "is Terminating, in the source Active"},
    {"HPA, able", STATUS("autoscaling/v2", "HorizontalPodAutoscaler", COND("AbleToScale", "True")),
     STATUS("autoscaling/v2", "HorizontalPodAutoscaler", COND("AbleToScale", "False")),
     "AbleToScale is False, in the source True"},
    {"HPA, active",
     STATUS("autoscaling/v2", "HorizontalPodAutoscaler", COND("ScalingActive", "True")),
     STATUS("autoscaling/v2", "HorizontalPodAutoscaler", ""),
     "ScalingActive is not set, in the source True"},
    {"HPA, inactive in both",
     STATUS("autoscaling/v2", "HorizontalPodAutoscaler", COND("ScalingActive", "False")),
     STATUS("autoscaling/v2", "HorizontalPodAutoscaler", ""), NULL},
    {"definition",
     STATUS("apiextensions.k8s.io/v1", "CustomResourceDefinition", COND("Established", "True")),
     STATUS("apiextensions.k8s.io/v1", "CustomResourceDefinition", COND("Established", "Unknown")),
     "Established is Unknown, in the source True"},
    {"APIService", STATUS("apiregistration.k8s.io/v1", "APIService", COND("Available", "True")),
     STATUS("apiregistration.k8s.io/v1", "APIService", COND("Available", "False")),
     "Available is False, in the source True"},
    {"held on purpose", STATUS("apps/v1", "Deployment", "'readyReplicas':3"),
     BODY("apps/v1", "Deployment", ",'annotations':{'tandem.dev/held':'3'}", ",'status':{}"), NULL},
    {"being deleted", CM(""), BODY("v1", "ConfigMap", ",'deletionTimestamp':'t'", ""),
     "is being deleted in the destination"},
    {"a status of no kind that we know", STATUS("example.com/v1", "Widget", "'readyReplicas':3"),
     STATUS("example.com/v1", "Widget", ""), NULL},
};

static void readiness(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(ready); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_val *s = lab_json(a, ready[i].src), *d = lab_json(a, ready[i].dst);
        struct object o = {.kind = lab_kind(a, s)};
        readiness_compare(&o, a, s, d);
        if (!str_eq(o.note, ready[i].note) || o.unready != (ready[i].note != NULL))
            fail_msg("%s: %s", ready[i].name, o.note ? o.note : "as ready");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),          cmocka_unit_test(new_defaults),
        cmocka_unit_test(topology_labels), cmocka_unit_test(many_changes),
        cmocka_unit_test(long_values),     cmocka_unit_test(readiness),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
