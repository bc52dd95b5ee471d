#include "migrate/hazards.h"

#include <errno.h>

#include "kube/list.h"
#include "migrate/refs.h"

const char *severity_name(enum severity s) {
    static const char *const names[] = {"info", "warning", "blocker"};
    return s < COUNT_OF(names) ? names[s] : "?";
}

/* --- checks on one object; each returns its evidence or NULL --- */

static const char *acts_by_schedule(struct arena *a, struct world *w UNUSED, const struct object *o,
                                    yyjson_val *body) {
    const char *t = json_str(body, "spec", "schedule");
    return o->facts & FACT_SUSPENDED ? NULL : arena_printf(a, "schedule %s", t ? t : "?");
}

static const char *unfinished_job(struct arena *a UNUSED, struct world *w UNUSED,
                                  const struct object *o, yyjson_val *body UNUSED) {
    return o->facts & (FACT_FINISHED | FACT_SUSPENDED) || o->owners ? NULL : "has not finished";
}

static const char *load_balancer(struct arena *a UNUSED, struct world *w UNUSED,
                                 const struct object *o UNUSED, yyjson_val *body) {
    return str_eq(json_str(body, "spec", "type"), "LoadBalancer") ? "type LoadBalancer" : NULL;
}

static const char *scaled_up(struct arena *a, struct world *w UNUSED, const struct object *o UNUSED,
                             yyjson_val *body) {
    int64_t now = json_int(json_get(body, "status", "desiredReplicas"), 0);
    int64_t least = json_int(json_get(body, "spec", "minReplicas"), 1);
    return now > least ? arena_printf(a, "runs %lld replicas, minReplicas is %lld", (long long)now,
                                      (long long)least)
                       : NULL;
}

static const char *deletes_claims(struct arena *a UNUSED, struct world *w UNUSED,
                                  const struct object *o UNUSED, yyjson_val *body) {
    const char *p = json_str(body, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled");
    return str_eq(p, "Delete") ? "whenScaled: Delete" : NULL;
}

static const char *deletes_volume(struct arena *a UNUSED, struct world *w UNUSED,
                                  const struct object *o, yyjson_val *body) {
    const char *p = json_str(body, "spec", "persistentVolumeReclaimPolicy");
    return str_eq(p, "Delete") && !(o->facts & FACT_PV_DYNAMIC)
               ? "persistentVolumeReclaimPolicy: Delete"
               : NULL;
}

static const char *empty_claim(struct arena *a, struct world *w, const struct object *o UNUSED,
                               yyjson_val *body) {
    const char *pv = json_str(body, "spec", "volumeName");
    const struct object *v = pv ? world_find(w, "", "PersistentVolume", "", pv) : NULL;
    return v && (v->facts & FACT_PV_DYNAMIC) ? arena_printf(a, "volume %s stays in the source", pv)
                                             : NULL;
}

static const char *fails_closed(struct arena *a, struct world *w UNUSED,
                                const struct object *o UNUSED, yyjson_val *body) {
    yyjson_val *hooks = json_get(body, "webhooks"), *h;
    size_t i, max;
    yyjson_arr_foreach (hooks, i, max, h) {
        const char *policy = json_str(h, "failurePolicy");
        if (json_get(h, "clientConfig", "service") && !str_eq(policy, "Ignore"))
            return arena_printf(a, "webhook %s, failurePolicy Fail", json_str(h, "name"));
    }
    return NULL;
}

static const char *conversion_webhook(struct arena *a UNUSED, struct world *w UNUSED,
                                      const struct object *o UNUSED, yyjson_val *body) {
    return str_eq(json_str(body, "spec", "conversion", "strategy"), "Webhook")
               ? "conversion by a webhook"
               : NULL;
}

static const char *no_disruption(struct arena *a UNUSED, struct world *w UNUSED,
                                 const struct object *o UNUSED, yyjson_val *body) {
    yyjson_val *st = json_get(body, "status");
    bool none = json_int(json_get(st, "disruptionsAllowed"), -1) == 0 &&
                json_int(json_get(st, "expectedPods"), 0) > 0;
    return none ? "disruptionsAllowed is 0" : NULL;
}

static const char *cloud_identity(struct arena *a, struct world *w UNUSED,
                                  const struct object *o UNUSED, yyjson_val *body) {
    static const char *const keys[] = {"eks.amazonaws.com/role-arn",
                                       "iam.gke.io/gcp-service-account",
                                       "azure.workload.identity/client-id"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (json_get(body, "metadata", "annotations", keys[i]))
            return arena_printf(a, "annotation %s", keys[i]);
    return NULL;
}

static const char *manual_token(struct arena *a UNUSED, struct world *w UNUSED,
                                const struct object *o, yyjson_val *body UNUSED) {
    return o->facts & FACT_TOKEN && o->verdict != V_SKIP
               ? "its token is another one in the destination"
               : NULL;
}

static const char *default_class(struct arena *a UNUSED, struct world *w UNUSED,
                                 const struct object *o UNUSED, yyjson_val *body) {
    const char *k =
        json_str(body, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class");
    return str_eq(k, "true") ? "marked as the default" : NULL;
}

static const char *node_agent(struct arena *a UNUSED, struct world *w UNUSED,
                              const struct object *o UNUSED, yyjson_val *body) {
    yyjson_val *spec = json_get(body, "spec", "template", "spec");
    if (yyjson_is_true(json_get(spec, "hostNetwork")))
        return "hostNetwork";
    return yyjson_is_true(json_get(spec, "hostPID")) ? "hostPID" : NULL;
}

static const char *external_dns(struct arena *a UNUSED, struct world *w UNUSED,
                                const struct object *o UNUSED, yyjson_val *body) {
    yyjson_val *cs = json_get(body, "spec", "template", "spec", "containers"), *c;
    size_t i, max;
    yyjson_arr_foreach (cs, i, max, c) {
        const char *image = json_str(c, "image");
        if (image && strstr(image, "external-dns"))
            return "image external-dns";
    }
    return NULL;
}

#define ADM "admissionregistration.k8s.io"

static const struct hazard_row rows[] = {
    {"H1-cronjob", SEV_INFO, "batch", "CronJob", acts_by_schedule,
     "created suspended; `tandem activate` hands it over"},
    {"H3-job", SEV_INFO, "batch", "Job", unfinished_job,
     "created suspended; `tandem activate` hands it over"},
    {"H4-external-dns", SEV_WARNING, "apps", "Deployment", external_dns,
     "two with one owner id delete each other's records: hold it by a rule"},
    {"H6-load-balancer", SEV_WARNING, "", "Service", load_balancer,
     "the destination's cloud makes a second load balancer: count its cost, check fixed addresses"},
    {"H7-cold", SEV_WARNING, "autoscaling", "HorizontalPodAutoscaler", scaled_up,
     "idle, the destination scales down: raise minReplicas there until it has the traffic"},
    {"H9-shared-volume", SEV_WARNING, "", "PersistentVolume", deletes_volume,
     "deleting it in one cluster deletes what both use: set Retain in both"},
    {"H10-claims", SEV_WARNING, "apps", "StatefulSet", deletes_claims,
     "scaling to 0 deletes its claims: set whenScaled to Retain before holding it"},
    {"H15-webhook", SEV_WARNING, ADM, "ValidatingWebhookConfiguration", fails_closed,
     "created last; see that its Service has ready endpoints in the destination"},
    {"H15-webhook", SEV_WARNING, ADM, "MutatingWebhookConfiguration", fails_closed,
     "created last; see that its Service has ready endpoints in the destination"},
    {"H16-conversion", SEV_WARNING, "apiextensions.k8s.io", "CustomResourceDefinition",
     conversion_webhook, "its objects cannot be listed while the webhook is down"},
    {"H20-disruption", SEV_INFO, "policy", "PodDisruptionBudget", no_disruption,
     "blocks draining when the source is retired"},
    {"H22-identity", SEV_WARNING, "", "ServiceAccount", cloud_identity,
     "the destination has another issuer: let the cloud role trust it"},
    {"H22-token", SEV_INFO, "", "Secret", manual_token,
     "whoever holds the source's token outside needs the new one"},
    {"H30-data", SEV_WARNING, "", "PersistentVolumeClaim", empty_claim,
     "the claim gets a fresh, empty volume in the destination: carry the data yourself"},
    {"H31-default-class", SEV_INFO, "storage.k8s.io", "StorageClass", default_class,
     "see that only one class of the destination is the default"},
    {"H34-node-agent", SEV_WARNING, "apps", "DaemonSet", node_agent,
     "an agent of machines may break the destination's: skip it by a rule unless it is meant"},
};

const struct hazard_row *hazard_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

/* --- finding --- */

struct search {
    struct world *w;
    struct arena *a;
    const struct kind *kind;
    struct finding **tail; /* where the next one is hung */
};

static void report(struct search *s, const char *id, enum severity sev, const char *where,
                   const char *what, const char *remedy) {
    struct finding *f = arena_new_of(s->a, struct finding);
    *f = (struct finding){id, sev, where, what, remedy, NULL};
    *s->tail = f;
    s->tail = &f->next;
}

/* Not in the source: whether the destination has it decides. */
static bool destination_has(struct world *w, const struct ref *r, const char *name) {
    const struct kube_discovery *d = world_discovery(w, true);
    if (!d)
        return false; /* an offline world knows no more than it was given */
    const struct kube_resource *res = kube_discovery_find(d, r->group, NULL, r->kind);
    AUTO_ARENA a = arena_new();
    yyjson_val *v;
    return !res ||
           kube_get(world_opts(w)->dst, a, kube_path(a, res, *r->ns ? r->ns : NULL, name, NULL),
                    NULL, &v, NULL) >= 0;
}

/* The name that the destination's body will have there: references are read off the source's. */
static const char *name_there(struct world *w, const struct ref *r) {
    const struct scrub_env *env = world_scrub_env(w);
    const char *mapped =
        str_eq(r->kind, "StorageClass") ? env->storage_class(env->ctx, r->name) : NULL;
    return mapped ? mapped : r->name;
}

/* A claim whose volume stays behind no longer names it. */
static bool is_taken_out(struct world *w, const struct ref *r) {
    const struct scrub_env *env = world_scrub_env(w);
    return str_eq(r->kind, "PersistentVolume") && !env->volume_moves(env->ctx, r->name);
}

/* Is what the reference names in the destination, or on its way there? */
static bool satisfied(struct world *w, const struct ref *r) {
    const char *name = name_there(w, r);
    const struct object *o = world_find(w, r->group, r->kind, r->ns, name);
    if (o)
        return o->uid_dst || o->verdict == V_CREATE || o->verdict == V_HOLD;
    return destination_has(w, r, name);
}

static bool always_there(const struct ref *r) {
    return (str_eq(r->kind, "ServiceAccount") && str_eq(r->name, "default")) ||
           (str_eq(r->kind, "PriorityClass") && str_starts(r->name, "system-")) ||
           (str_eq(r->kind, "ConfigMap") && str_eq(r->name, "kube-root-ca.crt"));
}

static void check_refs(struct search *s, const struct object *o, yyjson_val *body) {
    for (struct ref *r = refs_of(s->a, o->kind, body); r; r = r->next) {
        if (r->optional || always_there(r) || is_taken_out(s->w, r) || satisfied(s->w, r))
            continue;
        report(s, "H17-missing", SEV_WARNING, object_title(s->a, o),
               arena_printf(s->a, "names %s %s (%s), which the destination will not have", r->kind,
                            name_there(s->w, r), r->path),
               "create it in the destination, or see whether the source misses it too");
    }
}

static void look_at(struct search *s, const struct object *o, yyjson_val *body) {
    const struct kube_resource *k = o->kind->src;
    if (o->verdict == V_SKIP)
        return;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!str_eq(rows[i].kind, k->kind) || !str_eq(rows[i].group, k->group))
            continue;
        const char *evidence = rows[i].look(s->a, s->w, o, body);
        if (evidence)
            report(s, rows[i].id, rows[i].severity, object_title(s->a, o), evidence,
                   rows[i].remedy);
    }
    check_refs(s, o, body);
}

struct finding *hazards_of(struct world *w, struct arena *a, const struct object *o,
                           yyjson_val *body) {
    struct finding *first = NULL;
    struct search s = {.w = w, .a = a, .tail = &first};
    look_at(&s, o, body);
    return first;
}

static int look(void *ctx, yyjson_val *body, struct err *e UNUSED) {
    struct search *s = ctx;
    const struct kube_resource *k = s->kind->src;
    const struct object *o =
        world_find(s->w, k->group, k->kind, json_str(body, "metadata", "namespace"),
                   json_str(body, "metadata", "name"));
    if (o)
        look_at(s, o, body);
    return 0;
}

static bool looked_at(const struct kube_resource *k) {
    static const char *const more[] = {"Deployment", "StatefulSet",    "DaemonSet",
                                       "Ingress",    "ServiceAccount", "Pod"};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq(rows[i].kind, k->kind) && str_eq(rows[i].group, k->group))
            return true;
    for (size_t i = 0; i < COUNT_OF(more); i++)
        if (str_eq(more[i], k->kind))
            return true;
    return false;
}

static bool has_objects(struct world *w, const struct kind *k) {
    for (size_t i = 0; i < world_count(w); i++)
        if (world_at(w, i)->kind == k && world_at(w, i)->verdict != V_SKIP)
            return true;
    return false;
}

static const struct {
    const char *rule; /* that blocks; NULL: one of the user's */
    const char *id, *remedy;
} blocked[] = {
    {"api-missing", "H24-api", "move the object to an API that both serve, or skip it by a rule"},
    {"foreign", "H37-foreign", "see `tandem plan --diff`"},
    {"hold-impossible", "hold-impossible", "hold what runs it, or skip it by a rule"},
    {"patch-misfit", "patch-misfit", "correct the patch in tandem.yaml, or narrow its match"},
    {NULL, "blocked", "a rule of the configuration says so"},
};

static void report_blocked(struct search *s) {
    for (size_t i = 0; i < world_count(s->w); i++) {
        const struct object *o = world_at(s->w, i);
        if (o->verdict != V_BLOCK)
            continue;
        size_t k = 0;
        while (blocked[k].rule && !str_eq(blocked[k].rule, o->rule))
            k++;
        report(s, blocked[k].id, SEV_BLOCKER, object_title(s->a, o), o->why, blocked[k].remedy);
    }
}

int hazards_find(struct world *w, struct arena *a, struct finding **ret, struct err *e) {
    struct search s = {.w = w, .a = a, .tail = ret};
    const struct kind *kinds;
    size_t n = world_kinds(w, &kinds);
    *ret = NULL;
    report_blocked(&s);
    for (size_t i = 0; i < n; i++) {
        if (!looked_at(kinds[i].src) || !has_objects(w, &kinds[i]))
            continue;
        s.kind = &kinds[i];
        struct kube_list_fn fn = {.item = look, .ctx = &s};
        struct kube_list_opts lo = {.cancel = world_opts(w)->cancel};
        int r = kube_list(world_opts(w)->src, a, kinds[i].src, &lo, &fn, NULL, e);
        if (r < 0)
            return err_ctx(e, r, "looking at %s", kinds[i].src->plural);
    }
    return 0;
}

/* --- one cluster alone --- */

/* API versions that newer servers no longer serve; source: the deprecation guide and
 * zz_generated.prerelease-lifecycle.go of Kubernetes. minor: the first 1.x without it. */
static const struct {
    const char *group, *version;
    int minor;
    const char *instead;
} removed[] = {
    {"flowcontrol.apiserver.k8s.io", "v1beta2", 29, "v1"},
    {"flowcontrol.apiserver.k8s.io", "v1beta3", 32, "v1"},
    {"admissionregistration.k8s.io", "v1alpha1", 32, "v1"},
    {"admissionregistration.k8s.io", "v1beta1", 34, "v1"},
    {"storage.k8s.io", "v1alpha1", 35, "v1"},
    {"networking.k8s.io", "v1beta1", 37, "v1"},
    {"storage.k8s.io", "v1beta1", 37, "v1"},
    {"resource.k8s.io", "v1beta1", 38, "v1"},
    {"resource.k8s.io", "v1beta2", 39, "v1"},
};

int hazards_target(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                   const char *target, struct finding **ret, struct err *e) {
    struct search s = {.a = a, .tail = ret};
    struct kube_version v;
    uint64_t minor;
    *ret = NULL;
    if (!str_starts(target, "1.") || str_u64(target + 2, &minor) < 0)
        return err_set(e, -EUSAGE, "--target: \"%s\" is not a version like 1.37", target);
    int r = kube_get_version(c, &v, e);
    if (r < 0)
        return r;
    if ((int)minor < v.minor)
        report(&s, "version-older", SEV_BLOCKER, "A",
               arena_printf(a, "runs %s, the target is older", v.git), "choose a newer target");
    const struct kube_resource *all;
    size_t n = kube_discovery_all(d, &all);
    for (size_t i = 0; i < n; i++) {
        bool other = false;
        for (size_t k = 0; k < n; k++)
            other |= k != i && str_eq(all[k].group, all[i].group) &&
                     str_eq(all[k].kind, all[i].kind) && !str_eq(all[k].version, all[i].version);
        for (size_t k = 0; k < COUNT_OF(removed); k++)
            if (str_eq(removed[k].group, all[i].group) &&
                str_eq(removed[k].version, all[i].version) && (int)minor >= removed[k].minor &&
                !other)
                report(&s, "H24-api", SEV_WARNING, all[i].kind,
                       arena_printf(a, "%s/%s is gone from 1.%d on", all[i].group, all[i].version,
                                    removed[k].minor),
                       arena_printf(a, "use %s", removed[k].instead));
    }
    return 0;
}
