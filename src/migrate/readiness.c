/* Is the destination's object as ready as the source's? A 201 proves nothing. */
#include "migrate/world_impl.h"

static const struct {
    const char *group, *kind;
    const char *field; /* number under status that counts what is ready */
    const char *words;
} counted[] = {
    {"apps", "Deployment", "readyReplicas", "replicas ready"},
    {"apps", "StatefulSet", "readyReplicas", "replicas ready"},
    {"apps", "DaemonSet", "numberReady", "pods ready"},
    {"apps", "ReplicaSet", "readyReplicas", "replicas ready"},
    {"", "ReplicationController", "readyReplicas", "replicas ready"},
};

static const struct {
    const char *group, *kind, *phase;
} phased[] = {
    {"", "PersistentVolumeClaim", "Bound"},
    {"", "PersistentVolume", "Bound"},
    {"", "Pod", "Running"},
    {"", "Namespace", "Active"},
};

static const struct {
    const char *group, *kind, *condition;
} conditioned[] = {
    {"autoscaling", "HorizontalPodAutoscaler", "AbleToScale"},
    {"autoscaling", "HorizontalPodAutoscaler", "ScalingActive"},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "Established"},
    {"apiregistration.k8s.io", "APIService", "Available"},
};

static void unready(struct object *o, const char *text) {
    o->unready = true;
    o->note = text;
}

static void compare_counts(struct object *o, struct arena *a, const char *field, const char *words,
                           yyjson_val *src, yyjson_val *dst) {
    int64_t have = json_int(json_get(dst, "status", field), 0);
    int64_t want = json_int(json_get(src, "status", field), 0);
    if (have < want)
        unready(o, arena_printf(a, "%lld of %lld %s", (long long)have, (long long)want, words));
}

static const char *condition(yyjson_val *body, const char *type) {
    yyjson_val *conds = json_get(body, "status", "conditions"), *c;
    size_t i, max;
    yyjson_arr_foreach (conds, i, max, c) {
        if (str_eq(json_str(c, "type"), type))
            return json_str(c, "status");
    }
    return NULL;
}

void readiness_compare(struct object *o, struct arena *a, yyjson_val *src, yyjson_val *dst) {
    if (json_get(dst, "metadata", "deletionTimestamp")) {
        unready(o, "is being deleted in the destination");
        return;
    }
    if (json_get(dst, "metadata", "annotations", "tandem.dev/held"))
        return; /* held on purpose */
    for (size_t i = 0; i < COUNT_OF(counted); i++)
        if (object_is(o, counted[i].group, counted[i].kind))
            compare_counts(o, a, counted[i].field, counted[i].words, src, dst);
    for (size_t i = 0; i < COUNT_OF(phased); i++) {
        const char *was = json_str(src, "status", "phase"), *is = json_str(dst, "status", "phase");
        if (object_is(o, phased[i].group, phased[i].kind) && str_eq(was, phased[i].phase) &&
            !str_eq(is, was))
            unready(o,
                    arena_printf(a, "is %s, in the source %s", is ? is : "without a phase", was));
    }
    for (size_t i = 0; i < COUNT_OF(conditioned); i++) {
        const char *type = conditioned[i].condition;
        const char *was = condition(src, type), *is = condition(dst, type);
        if (object_is(o, conditioned[i].group, conditioned[i].kind) && str_eq(was, "True") &&
            !str_eq(is, "True"))
            unready(o, arena_printf(a, "%s is %s, in the source True", type, is ? is : "not set"));
    }
}
