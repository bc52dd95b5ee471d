#include "migrate/refs.h"

/* Where the pod template of a kind stands. */
static const struct {
    const char *group, *kind, *path, *spec;
} templates[] = {
    {"", "Pod", "", "/spec"},
    {"apps", "Deployment", "/spec/template", "/spec/template/spec"},
    {"apps", "StatefulSet", "/spec/template", "/spec/template/spec"},
    {"apps", "DaemonSet", "/spec/template", "/spec/template/spec"},
    {"apps", "ReplicaSet", "/spec/template", "/spec/template/spec"},
    {"", "ReplicationController", "/spec/template", "/spec/template/spec"},
    {"batch", "Job", "/spec/template", "/spec/template/spec"},
    /* One with a workloadRef has no template; the Deployment that it names has. */
    {"argoproj.io", "Rollout", "/spec/template", "/spec/template/spec"},
    {"batch", "CronJob", "/spec/jobTemplate/spec/template", "/spec/jobTemplate/spec/template/spec"},
};

static const struct ref_row rows[] = {
    {NULL, "(pod)", "/spec/volumes/*/configMap/name", "", "ConfigMap", false},
    {NULL, "(pod)", "/spec/volumes/*/secret/secretName", "", "Secret", false},
    {NULL, "(pod)", "/spec/volumes/*/projected/sources/*/configMap/name", "", "ConfigMap", false},
    {NULL, "(pod)", "/spec/volumes/*/projected/sources/*/secret/name", "", "Secret", false},
    {NULL, "(pod)", "/spec/volumes/*/persistentVolumeClaim/claimName", "", "PersistentVolumeClaim",
     false},
    {NULL, "(pod)", "/spec/containers/*/env/*/valueFrom/configMapKeyRef/name", "", "ConfigMap",
     false},
    {NULL, "(pod)", "/spec/containers/*/env/*/valueFrom/secretKeyRef/name", "", "Secret", false},
    {NULL, "(pod)", "/spec/containers/*/envFrom/*/configMapRef/name", "", "ConfigMap", false},
    {NULL, "(pod)", "/spec/containers/*/envFrom/*/secretRef/name", "", "Secret", false},
    {NULL, "(pod)", "/spec/initContainers/*/env/*/valueFrom/configMapKeyRef/name", "", "ConfigMap",
     false},
    {NULL, "(pod)", "/spec/initContainers/*/env/*/valueFrom/secretKeyRef/name", "", "Secret",
     false},
    {NULL, "(pod)", "/spec/initContainers/*/envFrom/*/configMapRef/name", "", "ConfigMap", false},
    {NULL, "(pod)", "/spec/initContainers/*/envFrom/*/secretRef/name", "", "Secret", false},
    {NULL, "(pod)", "/spec/imagePullSecrets/*/name", "", "Secret", false},
    {NULL, "(pod)", "/spec/serviceAccountName", "", "ServiceAccount", false},
    {NULL, "(pod)", "/spec/priorityClassName", "scheduling.k8s.io", "PriorityClass", true},
    {NULL, "(pod)", "/spec/runtimeClassName", "node.k8s.io", "RuntimeClass", true},
    {"", "ServiceAccount", "/imagePullSecrets/*/name", "", "Secret", false},
    {"", "PersistentVolumeClaim", "/spec/storageClassName", "storage.k8s.io", "StorageClass", true},
    {"", "PersistentVolumeClaim", "/spec/volumeName", "", "PersistentVolume", true},
    {"", "PersistentVolume", "/spec/csi/driver", "storage.k8s.io", "CSIDriver", true},
    {NULL, "(pod)", "/spec/volumes/*/csi/driver", "storage.k8s.io", "CSIDriver", true},
    {"", "PersistentVolume", "/spec/storageClassName", "storage.k8s.io", "StorageClass", true},
    {"apps", "StatefulSet", "/spec/volumeClaimTemplates/*/spec/storageClassName", "storage.k8s.io",
     "StorageClass", true},
    {"apps", "StatefulSet", "/spec/serviceName", "", "Service", false},
    {"networking.k8s.io", "Ingress", "/spec/ingressClassName", "networking.k8s.io", "IngressClass",
     true},
    {"networking.k8s.io", "Ingress", "/spec/tls/*/secretName", "", "Secret", false},
    {"networking.k8s.io", "Ingress", "/spec/rules/*/http/paths/*/backend/service/name", "",
     "Service", false},
    {"gateway.networking.k8s.io", "Gateway", "/spec/gatewayClassName", "gateway.networking.k8s.io",
     "GatewayClass", true},
    {"snapshot.storage.k8s.io", "VolumeSnapshot", "/spec/volumeSnapshotClassName",
     "snapshot.storage.k8s.io", "VolumeSnapshotClass", true},
    {"resource.k8s.io", "ResourceClaim", "/spec/devices/requests/*/exactly/deviceClassName",
     "resource.k8s.io", "DeviceClass", true},
    {"resource.k8s.io", "ResourceClaimTemplate",
     "/spec/spec/devices/requests/*/exactly/deviceClassName", "resource.k8s.io", "DeviceClass",
     true},
    {"networking.k8s.io", "Ingress", "/spec/defaultBackend/service/name", "", "Service", false},
};

const struct ref_row *refs_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

struct finder {
    struct arena *a;
    const struct ref_row *row;
    const char *ns;
    struct ref *first;
    struct sb at;
};

static void found(struct finder *f, yyjson_val *v, bool optional) {
    const char *name = yyjson_get_str(v);
    if (str_empty(name))
        return;
    struct ref *r = arena_new_of(f->a, struct ref);
    *r = (struct ref){f->row->to_group,
                      f->row->to_kind,
                      f->row->cluster_scoped ? "" : f->ns,
                      arena_strdup(f->a, name),
                      arena_strdup(f->a, sb_get(&f->at)),
                      optional,
                      f->first};
    f->first = r;
}

static void walk(struct finder *f, yyjson_val *v, const char *path, bool optional) {
    if (!v)
        return;
    if (!*path) {
        found(f, v, optional);
        return;
    }
    size_t n = strcspn(path + 1, "/"), mark = f->at.len;
    const char *rest = path + 1 + n;
    if (path[1] == '*') {
        size_t i, max;
        yyjson_val *x;
        yyjson_arr_foreach (v, i, max, x) {
            sb_fmt(&f->at, "/%zu", i);
            walk(f, x, rest, optional);
            f->at.len = mark;
        }
        return;
    }
    sb_add(&f->at, path, n + 1);
    walk(f, yyjson_obj_getn(v, path + 1, n), rest,
         optional || yyjson_is_true(yyjson_obj_get(v, "optional")));
    f->at.len = mark;
}

static yyjson_val *template_of(const struct kube_resource *r, yyjson_val *body, struct sb *at) {
    for (size_t i = 0; i < COUNT_OF(templates); i++) {
        if (!str_eq(templates[i].group, r->group) || !str_eq(templates[i].kind, r->kind))
            continue;
        sb_str(at, templates[i].path);
        return *templates[i].path ? yyjson_ptr_get(body, templates[i].path) : body;
    }
    return NULL;
}

struct ref *refs_of(struct arena *a, const struct kind *kind, yyjson_val *body) {
    const struct kube_resource *r = kind->src;
    AUTO_SB prefix = SB_INIT(0);
    yyjson_val *pod = template_of(r, body, &prefix);
    const char *ns = json_str(body, "metadata", "namespace");
    struct finder f = {.a = a, .ns = arena_strdup(a, ns ? ns : "")};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool for_pod = str_eq(rows[i].kind, "(pod)");
        if (!for_pod && (!str_eq(rows[i].kind, r->kind) || !str_eq(rows[i].group, r->group)))
            continue;
        f.row = &rows[i];
        sb_reset(&f.at);
        sb_str(&f.at, for_pod ? sb_get(&prefix) : "");
        walk(&f, for_pod ? pod : body, rows[i].path, false);
    }
    sb_done(&f.at);
    return f.first;
}

yyjson_val *refs_pod_spec(const struct kube_resource *r, yyjson_val *body, const char **ret_at) {
    for (size_t i = 0; i < COUNT_OF(templates); i++) {
        if (!str_eq(templates[i].group, r->group) || !str_eq(templates[i].kind, r->kind))
            continue;
        *ret_at = templates[i].spec;
        return yyjson_ptr_get(body, templates[i].spec);
    }
    return NULL;
}

bool refs_has_pod(const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(templates); i++)
        if (str_eq(templates[i].group, r->group) && str_eq(templates[i].kind, r->kind))
            return true;
    return false;
}

bool refs_looked_at(const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].group && str_eq(rows[i].group, r->group) && str_eq(rows[i].kind, r->kind))
            return true;
    return refs_has_pod(r);
}
