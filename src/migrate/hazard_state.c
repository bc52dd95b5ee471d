/* Looks for storage that two clusters would share, defaults, and what is cold or cannot be drained.
 */
#include "migrate/hazards_impl.h"

/* --- H7 --- */

void look_scaled_up(struct look *l) {
    int64_t now = json_int(json_get(l->body, "status", "desiredReplicas"), 0);
    int64_t least = json_int(json_get(l->body, "spec", "minReplicas"), 1);
    if (now > least)
        found(l, "/spec/minReplicas", "runs %lld replicas, minReplicas is %lld", (long long)now,
              (long long)least);
}

void look_metrics(struct look *l) {
    static const struct {
        const char *type, *group;
    } needs[] = {{"Resource", "metrics.k8s.io"},
                 {"ContainerResource", "metrics.k8s.io"},
                 {"Pods", "custom.metrics.k8s.io"},
                 {"Object", "custom.metrics.k8s.io"},
                 {"External", "external.metrics.k8s.io"}};
    size_t i, max;
    yyjson_val *m;
    yyjson_arr_foreach (json_get(l->body, "spec", "metrics"), i, max, m) {
        char at[48];
        snprintf(at, sizeof at, "/spec/metrics/%zu/type", i);
        for (size_t k = 0; k < COUNT_OF(needs); k++)
            if (str_eq(needs[k].type, json_str(m, "type")) &&
                !map_has(l->dst->apis, needs[k].group))
                found(l, at, "needs %s, which the destination does not serve", needs[k].group);
    }
}

/* --- H8, H9, H10, H30 --- */

void look_same_volume(struct look *l) {
    const char *handle = volume_handle(l->sc->a, l->body);
    const char *there = handle ? map_get(l->dst->volumes, handle) : NULL;
    bool attached = map_has(l->src->attached, l->name);
    if (there)
        found(l, "/spec", "its storage (%s) is also volume %s of the destination%s", handle, there,
              attached ? ", and a machine of A has it attached" : "");
    else if (handle && will_be_there(l->o))
        found(l, "/spec", "goes over with its storage (%s): both clusters can mount it%s", handle,
              attached ? ", and a machine of A has it attached" : "");
}

void look_mounted_share(struct look *l) {
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (json_get(l->pod, "volumes"), i, max, v) {
        char at[48];
        snprintf(at, sizeof at, "/volumes/%zu/nfs", i);
        if (json_str(v, "nfs", "server") && !yyjson_is_true(json_get(v, "nfs", "readOnly")))
            found_pod(l, at, "mounts %s:%s for writing, in both clusters",
                      json_str(v, "nfs", "server"), json_str(v, "nfs", "path"));
    }
}

void look_shared_volume(struct look *l) {
    const char *p = json_str(l->body, "spec", "persistentVolumeReclaimPolicy");
    const char *handle = volume_handle(l->sc->a, l->body);
    bool there = handle && map_has(l->dst->volumes, handle);
    if (str_eq(p, "Delete") && (!(l->o->facts & FACT_PV_DYNAMIC) || there))
        found(l, "/spec/persistentVolumeReclaimPolicy", "persistentVolumeReclaimPolicy: Delete");
    else if (there && map_has(l->dst->deleting, handle))
        found(l, "/spec/persistentVolumeReclaimPolicy",
              "Delete in volume %s of the destination, which is the same storage",
              (const char *)map_get(l->dst->volumes, handle));
}

void look_deletes_claims(struct look *l) {
    if (str_eq(json_str(l->body, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"),
               "Delete"))
        found(l, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled", "whenScaled: Delete");
}

void look_empty_claim(struct look *l) {
    const char *pv = json_str(l->body, "spec", "volumeName");
    const struct object *v = pv ? world_find(l->sc->w, "", "PersistentVolume", "", pv) : NULL;
    if (v && v->facts & FACT_PV_DYNAMIC)
        found(l, "/spec/volumeName", "volume %s stays in the source", pv);
}

/* --- H31 --- */

void look_default_class(struct look *l) {
    static const char *const keys[] = {"storageclass.kubernetes.io/is-default-class",
                                       "ingressclass.kubernetes.io/is-default-class"};
    const char *there = map_get(l->dst->defaults, l->kind->kind);
    if (!there || str_eq(there, l->name) || !will_be_there(l->o))
        return;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (str_eq(json_str(l->body, "metadata", "annotations", keys[i]), "true"))
            found(l, annotation_at(l, keys[i]), "the default, and so is %s of the destination",
                  there);
    if (yyjson_is_true(json_get(l->body, "globalDefault")))
        found(l, "/globalDefault", "the default, and so is %s of the destination", there);
}

/* --- H20 --- */

void look_no_disruption(struct look *l) {
    yyjson_val *st = json_get(l->body, "status");
    if (json_int(json_get(st, "disruptionsAllowed"), -1) == 0 &&
        json_int(json_get(st, "expectedPods"), 0) > 0)
        found(l, "/status/disruptionsAllowed", "disruptionsAllowed is 0");
}
