/* What an object names. */
#include "lab.h"

#include "migrate/refs.h"

/* A body in which a row's path leads to "NAME" (every "*" an element of one). */
static const char *nest(struct arena *a, const char *path, const char *leaf) {
    if (!*path)
        return leaf;
    size_t n = strcspn(path + 1, "/");
    const char *inner = nest(a, path + 1 + n, leaf);
    if (path[1] == '*')
        return arena_printf(a, "[%s]", inner);
    return arena_printf(a, "{'%.*s':%s}", (int)n, path + 1, inner);
}

static const char *with_zeroes(struct arena *a, const char *prefix, const char *path) {
    AUTO_SB b = SB_INIT(0);
    sb_str(&b, prefix);
    for (; *path; path++)
        sb_chr(&b, *path == '*' ? '0' : *path);
    return arena_strdup(a, sb_get(&b));
}

static const struct {
    const char *api, *kind, *path;
} templates[] = {
    {"v1", "Pod", ""},
    {"apps/v1", "Deployment", "/spec/template"},
    {"apps/v1", "StatefulSet", "/spec/template"},
    {"apps/v1", "DaemonSet", "/spec/template"},
    {"apps/v1", "ReplicaSet", "/spec/template"},
    {"v1", "ReplicationController", "/spec/template"},
    {"batch/v1", "Job", "/spec/template"},
    {"argoproj.io/v1alpha1", "Rollout", "/spec/template"},
    {"batch/v1", "CronJob", "/spec/jobTemplate/spec/template"},
};

static void finds(const struct ref_row *row, const char *api, const char *kind,
                  const char *prefix) {
    AUTO_ARENA a = arena_new();
    const char *path = arena_printf(a, "%s%s", prefix, row->path);
    const char *inner = nest(a, path, "'named'");
    struct kind *k =
        lab_kind(a, lab_json(a, arena_printf(a, "{'apiVersion':'%s','kind':'%s'}", api, kind)));
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *body = yyjson_val_mut_copy(d, lab_json(a, inner));
    json_mut_set_str(d, json_mut_obj_at(d, body, "metadata"), "namespace", "shop");
    yyjson_val *v;
    size_t n;
    const char *text = json_mut_write(a, body, &n);
    assert_int_equal(json_parse(a, text, n, &v, NULL), 0);
    struct ref *r = refs_of(a, k, v);
    if (!r)
        fail_msg("%s %s: nothing found in %s", kind, row->path, text);
    assert_null(r->next);
    assert_string_equal(r->kind, row->to_kind);
    assert_string_equal(r->group, row->to_group);
    assert_string_equal(r->name, "named");
    assert_string_equal(r->ns, row->cluster_scoped ? "" : "shop");
    assert_string_equal(r->path, with_zeroes(a, prefix, row->path));
    assert_false(r->optional);
}

static void every_row_finds(void **state UNUSED) {
    size_t n;
    const struct ref_row *rows = refs_rows(&n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        if (str_eq(rows[i].kind, "(pod)")) {
            for (size_t k = 0; k < COUNT_OF(templates); k++)
                finds(&rows[i], templates[k].api, templates[k].kind, templates[k].path);
        } else {
            AUTO_ARENA a = arena_new();
            finds(&rows[i], arena_printf(a, "%s%sv1", rows[i].group, *rows[i].group ? "/" : ""),
                  rows[i].kind, "");
        }
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(rows[i].kind, rows[k].kind) && str_eq(rows[i].path, rows[k].path));
    }
}

/* References of a body as "KIND NAME", "?" behind optional ones, in the table's order. */
static const char *found(struct arena *a, const char *quoted) {
    yyjson_val *body = lab_json(a, quoted);
    const char *text = "";
    for (struct ref *r = refs_of(a, lab_kind(a, body), body); r; r = r->next)
        text = arena_printf(a, "%s%s%s%s%s", r->kind, r->optional ? "? " : " ", r->name,
                            *text ? ", " : "", text);
    return text;
}

#define POD(spec)                                                                                  \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'x','namespace':'shop'},'spec':{" spec "}" \
    "}"

static const struct {
    const char *body, *want;
} golden[] = {
    {POD("'volumes':[{'configMap':{'name':'c','optional':true}},{'emptyDir':{}},"
         "{'secret':{'secretName':'s','optional':false}},{'configMap':{'name':'d'}}]"),
     "ConfigMap? c, ConfigMap d, Secret s"},
    {POD("'containers':[{'env':[{'name':'A','value':'x'},{'valueFrom':{'secretKeyRef':{'name':'s',"
         "'key':'k','optional':true}}}]},{'env':[{'valueFrom':{'fieldRef':{'fieldPath':'x'}}}]}]"),
     "Secret? s"},
    {POD("'serviceAccountName':'sa','priorityClassName':'','imagePullSecrets':[{'name':'hub'},{}]"),
     "Secret hub, ServiceAccount sa"},
    {POD("'volumes':'x','containers':{'env':1},'serviceAccountName':7"), ""},
    {POD(""), ""},
    /* one of each: the table's own spelling proves nothing */
    {POD("'serviceAccountName':'sa','priorityClassName':'pc','runtimeClassName':'rc',"
         "'imagePullSecrets':[{'name':'ips'}],'volumes':[{'configMap':{'name':'v1'}},"
         "{'secret':{'secretName':'v2'}},{'persistentVolumeClaim':{'claimName':'v3'}},"
         "{'projected':{'sources':[{'configMap':{'name':'v4'}},{'secret':{'name':'v5'}}]}}],"
         "'containers':[{'env':[{'valueFrom':{'configMapKeyRef':{'name':'c1','key':'k'}}},"
         "{'valueFrom':{'secretKeyRef':{'name':'c2','key':'k'}}}],'envFrom':[{'configMapRef':{'"
         "name':"
         "'c3'}},{'secretRef':{'name':'c4'}}]}],'initContainers':[{'env':[{'valueFrom':{"
         "'configMapKeyRef':{'name':'i1','key':'k'}}},{'valueFrom':{'secretKeyRef':{'name':'i2',"
         "'key':'k'}}}],'envFrom':[{'configMapRef':{'name':'i3'}},{'secretRef':{'name':'i4'}}]}]"),
     "ConfigMap v1, Secret v2, ConfigMap v4, Secret v5, PersistentVolumeClaim v3, ConfigMap c1, "
     "Secret c2, ConfigMap c3, Secret c4, ConfigMap i1, Secret i2, ConfigMap i3, Secret i4, "
     "Secret ips, ServiceAccount sa, PriorityClass pc, RuntimeClass rc"},
    {"{'apiVersion':'networking.k8s.io/"
     "v1','kind':'Ingress','metadata':{'name':'x','namespace':'n'},"
     "'spec':{'ingressClassName':'nginx','tls':[{'hosts':['h'],'secretName':'t'}],"
     "'defaultBackend':{'service':{'name':'d','port':{'number':80}}}}}",
     "IngressClass nginx, Secret t, Service d"},
    {"{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{'name':'x','namespace':'n'},'spec':{"
     "'serviceName':'s','volumeClaimTemplates':[{'spec':{'storageClassName':'gp2'}}],'template':{"
     "'spec':{'serviceAccountName':'sa'}}}}",
     "ServiceAccount sa, StorageClass gp2, Service s"},
    {"{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'x','namespace':'n'},"
     "'spec':{'storageClassName':'gp2','volumeName':'pv'}}",
     "StorageClass gp2, PersistentVolume pv"},
    {"{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'x'},'spec':{"
     "'storageClassName':'gp2'}}",
     "StorageClass gp2"},
    {"{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'x','namespace':'n'},"
     "'imagePullSecrets':[{'name':'hub'}],'secrets':[{'name':'s'}]}",
     "Secret hub"},
    {"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'},'spec':{'serviceAccountName':'"
     "a'}}",
     ""},
    {"{'apiVersion':'example.com/"
     "v1','kind':'Deployment','metadata':{'name':'x'},'spec':{'template':"
     "{'spec':{'serviceAccountName':'a'}}}}",
     ""},
    {"{'apiVersion':'networking.k8s.io/"
     "v1','kind':'Ingress','metadata':{'name':'x','namespace':'n'},"
     "'spec':{'rules':[{'host':'h'},{'http':{'paths':[{'backend':{'service':{'name':'a'}}},"
     "{'backend':{'resource':{'name':'r'}}},{'backend':{'service':{'name':'b'}}}]}}]}}",
     "Service a, Service b"},
};

static void cases(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        AUTO_ARENA a = arena_new();
        assert_string_equal(found(a, golden[i].body), golden[i].want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_finds),
        cmocka_unit_test(cases),
    };
    return cmocka_run_group_tests_name("refs", tests, NULL, NULL);
}
