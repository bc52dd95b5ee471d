/* Looks for what B's machines, quotas and registries cannot hold. */
#include "migrate/hazards_impl.h"

/* --- H18 --- */

/* Required node affinity: one of the terms. k8s.io/component-helpers nodeaffinity: a term without
 * requirements matches nothing. */
static bool affinity_fits(yyjson_val *required, const struct seen_node *n) {
    yyjson_val *terms = json_get(required, "nodeSelectorTerms"), *t;
    size_t i, max;
    if (!required)
        return true;
    yyjson_arr_foreach (terms, i, max, t) {
        yyjson_val *x = json_get(t, "matchExpressions");
        if (yyjson_arr_size(json_get(t, "matchFields")))
            return true; /* names of machines: seldom, and never of both clusters */
        if (yyjson_arr_size(x) && expressions_match(x, n->labels))
            return true;
    }
    return false;
}

static bool tolerates(yyjson_val *pod, yyjson_val *taint) {
    size_t i, max;
    yyjson_val *t;
    yyjson_arr_foreach (json_get(pod, "tolerations"), i, max, t) {
        const char *key = json_str(t, "key"), *effect = json_str(t, "effect");
        bool exists = str_eq(json_str(t, "operator"), "Exists");
        if ((str_empty(key) ? exists : str_eq(key, json_str(taint, "key"))) &&
            (str_empty(effect) || str_eq(effect, json_str(taint, "effect"))) &&
            (exists || str_eq(json_str(t, "value"), json_str(taint, "value")) ||
             (!json_str(t, "value") && str_empty(json_str(taint, "value")))))
            return true;
    }
    return false;
}

static bool taints_fit(yyjson_val *pod, const struct seen_node *n) {
    size_t i, max;
    yyjson_val *t;
    yyjson_arr_foreach (n->taints, i, max, t) {
        if (!str_eq(json_str(t, "effect"), "PreferNoSchedule") && !tolerates(pod, t))
            return false;
    }
    return true;
}

/* Resources of the list that `asked` does not name already. */
static bool resources_fit(yyjson_val *list, yyjson_val *asked, const struct seen_node *n) {
    size_t i, max;
    yyjson_val *key, *v;
    json_obj_foreach (list, i, max, key, v) {
        const char *name = yyjson_get_str(key);
        if (!json_get(asked, name) && quantity_of(v) > quantity_of(json_get(n->allocatable, name)))
            return false;
    }
    return true;
}

/* Of one container at a time: the least that a machine must have. A limit without a request asks
 * for as much (k8s.io/kubernetes pkg/apis/core/v1 SetDefaults_Pod), and in a template it stands
 * alone: so do GPUs. */
static bool requests_fit(yyjson_val *pod, const struct seen_node *n) {
    size_t i, max;
    yyjson_val *c;
    yyjson_arr_foreach (json_get(pod, "containers"), i, max, c) {
        yyjson_val *asked = json_get(c, "resources", "requests");
        if (!resources_fit(asked, NULL, n) ||
            !resources_fit(json_get(c, "resources", "limits"), asked, n))
            return false;
    }
    return true;
}

static yyjson_val *required_affinity(yyjson_val *pod) {
    return json_get(pod, "affinity", "nodeAffinity",
                    "requiredDuringSchedulingIgnoredDuringExecution");
}

enum { BY_SELECTOR = 1, BY_AFFINITY = 2, BY_TAINTS = 4, BY_REQUESTS = 8 };

static int misfit(yyjson_val *pod, const struct seen_node *n) {
    return (labels_have(n->labels, json_get(pod, "nodeSelector")) ? 0 : BY_SELECTOR) |
           (affinity_fits(required_affinity(pod), n) ? 0 : BY_AFFINITY) |
           (taints_fit(pod, n) && !n->closed ? 0 : BY_TAINTS) |
           (requests_fit(pod, n) ? 0 : BY_REQUESTS);
}

void look_no_node(struct look *l) {
    static const struct {
        int bit;
        const char *field, *what;
    } table[] = {{BY_SELECTOR, "/nodeSelector", "no machine of the destination has these labels"},
                 {BY_AFFINITY, "/affinity/nodeAffinity", "no machine of the destination matches"},
                 {BY_REQUESTS, "/containers", "no machine of the destination has what it requests"},
                 {BY_TAINTS, "/tolerations",
                  "the machines of the destination are tainted or cordoned against it"}};
    int all = BY_SELECTOR | BY_AFFINITY | BY_TAINTS | BY_REQUESTS;
    bool daemon = str_eq(l->kind->kind, "DaemonSet"); /* runs where it fits, in A too */
    if (!l->dst->nodes || daemon)
        return;
    for (const struct seen_node *n = l->dst->nodes; n; n = n->next) {
        int bits = misfit(l->pod, n);
        if (!bits)
            return;
        all &= bits;
    }
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (all & table[i].bit) {
            found_pod(l, table[i].field, "%s", table[i].what);
            return;
        }
    found_pod(l, "", "each machine of the destination lacks something else that it asks for");
}

void look_host_path(struct look *l) {
    size_t i, max;
    yyjson_val *v;
    if (str_eq(l->kind->kind, "DaemonSet"))
        return;
    yyjson_arr_foreach (json_get(l->pod, "volumes"), i, max, v) {
        char at[48];
        snprintf(at, sizeof at, "/volumes/%zu/hostPath", i);
        if (json_str(v, "hostPath", "path"))
            found_pod(l, at, "uses %s of a machine: what is there stays in A",
                      json_str(v, "hostPath", "path"));
    }
}

void look_volume_node(struct look *l) {
    yyjson_val *required = json_get(l->body, "spec", "nodeAffinity", "required");
    if (!required || !l->dst->nodes || !will_be_there(l->o))
        return;
    for (const struct seen_node *n = l->dst->nodes; n; n = n->next)
        if (affinity_fits(required, n))
            return;
    found(l, "/spec/nodeAffinity", "no machine of the destination matches");
}

/* --- H19 --- */

void look_capacity(struct look *l) {
    static const struct {
        const char *name;
        double unit;
        const char *shown;
    } sums[SUM_COUNT] = {
        {"cpu", 1, "CPUs"}, {"memory", 0x1p30, "GiB of memory"}, {"pods", 1, "pods"}};
    if (!l->dst->nodes && l->sc->asked[SUM_PODS] > 0 && map_has(l->dst->apis, "apps"))
        found_at(l, true, "it has no machine that can be seen");
    for (size_t i = 0; l->dst->nodes && i < SUM_COUNT; i++) {
        double has = 0;
        for (const struct seen_node *n = l->dst->nodes; n; n = n->next)
            has += n->closed ? 0 : quantity_of(json_get(n->allocatable, sums[i].name));
        if (l->sc->asked[i] > has)
            found_at(l, true, "%s: what goes over asks for %.1f %s, the machines have %.1f",
                     sums[i].name, l->sc->asked[i] / sums[i].unit, sums[i].shown,
                     has / sums[i].unit);
    }
}

void look_quota(struct look *l) {
    size_t i, max;
    yyjson_val *k, *used;
    json_obj_foreach (json_get(l->body, "status", "used"), i, max, k, used) {
        const char *name = yyjson_get_str(k);
        yyjson_val *hard = json_get(l->body, "spec", "hard", name);
        yyjson_val *there =
            map_get(l->dst->quotas, arena_printf(l->sc->a, "%s/%s/%s", l->ns, l->name, name));
        hard = there ? there : hard;
        AUTO_SB at = SB_INIT(0);
        sb_str(&at, "/spec/hard");
        json_pointer_add(&at, name);
        if (hard && quantity_of(used) > quantity_of(hard))
            found(l, sb_get(&at), "%s: A uses more than the quota %sallows", name,
                  there ? "of the destination " : "");
    }
}

/* --- H21 --- */

/* The registry of an image, or "" when it is Docker Hub (distribution/reference). */
static const char *registry_of(struct look *l, const char *image) {
    size_t n = strcspn(image, "/");
    bool host = image[n] && (memchr(image, '.', n) || memchr(image, ':', n) ||
                             strncmp(image, "localhost", n) == 0);
    return host ? arena_strndup(l->sc->a, image, n) : "";
}

static void registry_word(struct look *l, const struct word *w) {
    struct ip_range ip;
    if (!str_eq(w->key, "image"))
        return;
    const char *host = registry_of(l, w->text);
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(host, ":"), host);
    if (ip_range_parse(name, &ip) || str_eq(name, "localhost") || str_ends(name, ".svc") ||
        strstr(name, ".svc.") || str_ends(name, ".cluster.local"))
        found_pod(l, w->at, "registry %s may be reached from A alone", host);
}

void look_registry(struct look *l) {
    each_word(l, registry_word);
}

static void cloud_word(struct look *l, const struct word *w) {
    static const char *const hosts[] = {".dkr.ecr.", ".azurecr.io", "gcr.io", "-docker.pkg.dev"};
    if (!str_eq(w->key, "image"))
        return;
    const char *host = registry_of(l, w->text);
    if (text_has(host, hosts, COUNT_OF(hosts)))
        found_pod(l, w->at,
                  "registry %s, without a pull Secret of the pod: the machine's identity pulls",
                  host);
}

void look_cloud_pull(struct look *l) {
    if (!yyjson_arr_size(json_get(l->pod, "imagePullSecrets")))
        each_word(l, cloud_word);
}

/* --- H34, H35 --- */

static bool agent_path(const char *path) {
    static const char *const paths[] = {
        "/etc/cni", "/opt/cni",        "/var/lib/kubelet", "/dev",        "/proc",
        "/sys",     "/run/containerd", "/var/run/docker",  "/lib/modules"};
    for (size_t i = 0; path && i < COUNT_OF(paths); i++)
        if (str_starts(path, paths[i]))
            return true;
    return false;
}

void look_node_agent(struct look *l) {
    size_t i, max;
    yyjson_val *x;
    if (yyjson_is_true(json_get(l->pod, "hostNetwork")))
        found_pod(l, "/hostNetwork", "hostNetwork");
    if (yyjson_is_true(json_get(l->pod, "hostPID")))
        found_pod(l, "/hostPID", "hostPID");
    if (str_eq(json_str(l->pod, "priorityClassName"), "system-node-critical"))
        found_pod(l, "/priorityClassName", "system-node-critical");
    yyjson_arr_foreach (json_get(l->pod, "containers"), i, max, x) {
        char at[64];
        snprintf(at, sizeof at, "/containers/%zu/securityContext/privileged", i);
        if (yyjson_is_true(json_get(x, "securityContext", "privileged")))
            found_pod(l, at, "privileged");
    }
    yyjson_arr_foreach (json_get(l->pod, "volumes"), i, max, x) {
        char at[48];
        const char *path = json_str(x, "hostPath", "path");
        snprintf(at, sizeof at, "/volumes/%zu/hostPath/path", i);
        if (agent_path(path))
            found_pod(l, at, "mounts %s of the machine", path);
    }
}

/* Once the workload is in B, its own pods have the port. */
static bool own_pod(const struct look *l, const char *pod) {
    size_t n = strlen(l->ns), m = strlen(l->name);
    return strncmp(pod, l->ns, n) == 0 && pod[n] == '/' && strncmp(pod + n + 1, l->name, m) == 0;
}

void look_host_port(struct look *l) {
    bool host = yyjson_is_true(json_get(l->pod, "hostNetwork"));
    size_t i, max, k, n;
    yyjson_val *c, *p;
    yyjson_arr_foreach (json_get(l->pod, "containers"), i, max, c) {
        yyjson_arr_foreach (json_get(c, "ports"), k, n, p) {
            int64_t port = json_int(json_get(p, host ? "containerPort" : "hostPort"), 0);
            const char *proto = json_str(p, "protocol");
            char key[32], at[64];
            snprintf(key, sizeof key, "%lld/%s", (long long)port, proto ? proto : "TCP");
            snprintf(at, sizeof at, "/containers/%zu/ports/%zu", i, k);
            const char *there = port ? map_get(l->dst->host_ports, key) : NULL;
            if (there && !own_pod(l, there))
                found_pod(l, at, "pod %s of the destination has port %s of its machine", there,
                          key);
        }
    }
}
