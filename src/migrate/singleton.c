#include "migrate/singleton.h"

#include "base/map.h"

enum { LABELS_MAX = 32 };

#define OUTSIDE "two controllers would own one resource outside of the clusters"

/* By image: charts and manifests rename everything else. */
static const struct singleton_row table[] = {
    {"external-dns", "hold-external-dns", "two with one owner id delete each other's records",
     "github.com/kubernetes-sigs/external-dns/issues/1862"},
    {"cluster-autoscaler", "hold-autoscaler",
     "it takes the machines of the other cluster for its own where names are the same",
     "github.com/kubernetes/autoscaler: --cluster-name, node group discovery by tags"},
    {"cluster-autoscaler-*", "hold-autoscaler",
     "it takes the machines of the other cluster for its own where names are the same",
     "github.com/kubernetes/autoscaler: images by architecture"},
    {"karpenter/controller", "hold-autoscaler",
     "it takes the machines of the other cluster for its own where names are the same",
     "karpenter.sh/docs: discovery by tags of the cluster's name"},
    {"cert-manager-controller", "hold-issuer",
     "both would ask for one certificate: authorities limit how often, and challenges are answered "
     "by the live cluster",
     "cert-manager.io/docs/devops-tips/backup"},
    {"ack-*-controller", "hold-operator", OUTSIDE, "aws-controllers-k8s.github.io"},
    {"aws-controllers-k8s/*-controller", "hold-operator", OUTSIDE, "aws-controllers-k8s.github.io"},
    {"gke.gcr.io/cnrm*", "hold-operator", OUTSIDE, "cloud.google.com/config-connector"},
    {"cnrm/controller", "hold-operator", OUTSIDE, "cloud.google.com/config-connector"},
    {"terraform-cloud-operator", "hold-operator", OUTSIDE,
     "github.com/hashicorp/hcp-terraform-operator"},
    {"hcp-terraform-operator", "hold-operator", OUTSIDE,
     "github.com/hashicorp/hcp-terraform-operator"},
    {"pulumi-kubernetes-operator", "hold-operator", OUTSIDE,
     "github.com/pulumi/pulumi-kubernetes-operator"},
    {"argocd-image-updater", "hold-updater",
     "both would write new versions into one Git repository",
     "argocd-image-updater.readthedocs.io"},
    {"keelhq/keel", "hold-deployer", "both would deploy new versions by themselves",
     "keel.sh/docs"},
};

const struct singleton_row *singleton_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(table);
    return table;
}

static const struct hint_row hints[] = {
    {HINT_WAKES, "KEDA may start what stands idle",
     "that is at 0 by its trigger, not by its owner's wish"},
    {HINT_NO_SERVICE, "no Service selects its pods",
     "what nobody calls finds its work by itself: in a queue, a database, a mailbox"},
    {HINT_LEASE, "a pod of it holds a Lease", "it sees to it that only one acts, in one cluster"},
    {HINT_RECREATE, "one replica, strategy Recreate",
     "its owner never wants two of it, and no volume explains that"},
    {HINT_LEADER, "it elects a leader", "it sees to it that only one acts, in one cluster"},
    {HINT_SCHEDULE, "it has a schedule", "what runs by the clock runs in both clusters"},
};

const struct hint_row *hint_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(hints);
    return hints;
}

/* --- known ones --- */

/* registry:5000/path/name:tag@sha256:… -> without tag and digest. */
static void image_name(const char *image, char *out, size_t max) {
    snprintf(out, max, "%.*s", (int)strcspn(image, "@"), image);
    char *slash = strrchr(out, '/'), *colon = strrchr(out, ':');
    if (colon && (!slash || colon > slash))
        *colon = 0;
}

static bool image_fits(const char *pattern, const char *name) {
    char inner[256];
    snprintf(inner, sizeof inner, "*/%s", pattern);
    return str_glob(pattern, name) || str_glob(inner, name);
}

static uint8_t known_image(const char *image) {
    char name[512];
    image_name(image, name, sizeof name);
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (image_fits(table[i].image, name))
            return (uint8_t)(i + 1);
    return 0;
}

static bool is_workload(const char *group, const char *kind) {
    return (str_eq(group, "apps") && (str_eq(kind, "Deployment") || str_eq(kind, "StatefulSet"))) ||
           (str_eq(group, "argoproj.io") && str_eq(kind, "Rollout"));
}

uint8_t singleton_of(const char *group, const char *kind, yyjson_val *body) {
    yyjson_val *cs = json_get(body, "spec", "template", "spec", "containers"), *c;
    size_t i, max;
    uint8_t row = 0;
    if (!is_workload(group, kind))
        return 0;
    yyjson_arr_foreach (cs, i, max, c) {
        const char *image = json_str(c, "image");
        row = row || !image ? row : known_image(image);
    }
    return row;
}

/* --- hints of one body --- */

static bool mounts_claim(yyjson_val *body) {
    yyjson_val *vs = json_get(body, "spec", "template", "spec", "volumes"), *v;
    size_t i, max;
    yyjson_arr_foreach (vs, i, max, v) {
        if (json_get(v, "persistentVolumeClaim"))
            return true;
    }
    return false;
}

/* A volume that one machine alone may mount wants Recreate: then it says nothing of what it does.
 */
static bool never_two(yyjson_val *body) {
    return str_eq(json_str(body, "spec", "strategy", "type"), "Recreate") &&
           json_int(json_get(body, "spec", "replicas"), 1) == 1 && !mounts_claim(body);
}

static bool asks_for_leader(yyjson_val *args) {
    yyjson_val *v;
    size_t i, max;
    yyjson_arr_foreach (args, i, max, v) {
        const char *s = yyjson_get_str(v);
        bool named = s && (strstr(s, "leader-elect") || strstr(s, "leader_elect"));
        if (named && !str_ends(s, "=false"))
            return true;
    }
    return false;
}

static bool elects(yyjson_val *body) {
    yyjson_val *cs = json_get(body, "spec", "template", "spec", "containers"), *c;
    size_t i, max;
    yyjson_arr_foreach (cs, i, max, c) {
        if (asks_for_leader(json_get(c, "args")) || asks_for_leader(json_get(c, "command")))
            return true;
    }
    return false;
}

/* Five words, or a macro: not every member called schedule is one. */
static bool is_cron(const char *s) {
    size_t words = 0;
    for (const char *p = s; p && *p; words++) {
        p += strspn(p, " ");
        p += strcspn(p, " ");
    }
    return s && (*s == '@' || words == 5 || words == 6) && strpbrk(s, "@*/0123456789");
}

static uint64_t pair_hash(yyjson_val *key, yyjson_val *val) {
    char text[384];
    const char *v = yyjson_get_str(val);
    snprintf(text, sizeof text, "%s=%s", yyjson_get_str(key), v ? v : "");
    return map_hash(text);
}

static uint8_t hash_labels(yyjson_val *labels, uint64_t *out) {
    yyjson_val *key, *val;
    size_t i, max;
    uint8_t n = 0;
    if (!labels) /* yyjson computes with the address */
        return 0;
    json_obj_foreach (labels, i, max, key, val) {
        if (n < LABELS_MAX)
            out[n++] = pair_hash(key, val);
    }
    return n;
}

static struct trait *workload_trait(struct arena *a, yyjson_val *body) {
    yyjson_val *labels = json_get(body, "spec", "template", "metadata", "labels");
    uint64_t label[LABELS_MAX];
    uint8_t n = hash_labels(labels, label);
    struct trait *t = arena_alloc(a, sizeof *t + n * sizeof *label);
    t->pods = true;
    t->hints = (uint8_t)((never_two(body) ? HINT_RECREATE : 0) | (elects(body) ? HINT_LEADER : 0));
    t->n = n;
    memcpy(t->label, label, n * sizeof *label);
    return t;
}

static struct trait *schedule_trait(struct arena *a, yyjson_val *body) {
    if (!is_cron(json_str(body, "spec", "schedule")) ||
        yyjson_is_true(json_get(body, "spec", "suspend")) ||
        yyjson_is_true(json_get(body, "spec", "paused")))
        return NULL;
    struct trait *t = arena_new_of(a, struct trait);
    t->hints = HINT_SCHEDULE;
    return t;
}

static bool is_controlled(const struct object *o) {
    for (const struct owner *x = o->owners; x; x = x->next)
        if (x->controller)
            return true;
    return false;
}

struct trait *trait_read(struct arena *a, struct object *o, yyjson_val *body) {
    const struct kube_resource *r = o->kind->src;
    const uint32_t decided =
        FACT_HELD | FACT_HOLD_ASKED | FACT_HOLD_REFUSED | FACT_DELETING | FACT_SYSTEM_MADE;
    bool still = o->facts & FACT_STILL;
    struct trait *t = NULL;
    /* What an operator makes, the operator lets act or not. */
    if (o->facts & decided || o->singleton || is_controlled(o))
        return NULL;
    if (is_workload(r->group, r->kind))
        t = workload_trait(a, body);
    else if (strchr(r->group, '.') && !still)
        t = schedule_trait(a, body);
    if (!t)
        return NULL;
    t->o = o;
    t->idle = still;
    return t;
}

struct selector *selector_read(struct arena *a, yyjson_val *service) {
    uint64_t label[LABELS_MAX];
    uint8_t n = hash_labels(json_get(service, "spec", "selector"), label);
    if (!n)
        return NULL;
    struct selector *s = arena_alloc(a, sizeof *s + n * sizeof *label);
    s->n = n;
    memcpy(s->label, label, n * sizeof *label);
    return s;
}

bool trait_selected(const struct selector *s, const struct trait *t) {
    for (uint8_t i = 0; i < s->n; i++) {
        bool has = false;
        for (uint8_t k = 0; k < t->n && !has; k++)
            has = t->label[k] == s->label[i];
        if (!has)
            return false;
    }
    return true;
}
