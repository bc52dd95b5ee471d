/* What the looks need to know of both clusters beside the body at hand, gathered while bodies pass
 * by: addresses, ports, labels, classes, machines. */
#include "base/hash.h"
#include "kube/list.h"
#include "migrate/hazards_impl.h"

enum { AT_SOURCE = 1, AT_DESTINATION = 2, AT_BOTH = 3 };

static const char *keep(struct look *l, const char *s) {
    return arena_strdup(l->sc->a, s);
}

static struct sight *sight_of(struct look *l) {
    return l->destination ? l->dst : l->src;
}

static const char *full_name(struct look *l) {
    return *l->ns ? arena_printf(l->sc->a, "%s/%s", l->ns, l->name) : keep(l, l->name);
}

static void put(struct map *m, const char *key, const void *value) {
    if (key && !map_has(m, key))
        map_put(m, key, (void *)(uintptr_t)value);
}

static void add_range(struct look *l, const char *text, const char *what) {
    struct sight *s = sight_of(l);
    struct seen_range r = {.what = what};
    if (!text || !ip_range_parse(text, &r.ip))
        return;
    if (s->n_ranges == s->cap_ranges) {
        size_t cap = s->cap_ranges ? 2 * s->cap_ranges : 16;
        struct seen_range *more = arena_array(l->sc->a, struct seen_range, cap);
        if (s->n_ranges)
            memcpy(more, s->ranges, s->n_ranges * sizeof *more);
        s->ranges = more;
        s->cap_ranges = cap;
    }
    s->ranges[s->n_ranges++] = r;
}

/* --- by kind --- */

static void gather_node(struct look *l) {
    struct sight *s = sight_of(l);
    struct arena *a = l->sc->a;
    struct seen_node *n = arena_new_of(a, struct seen_node);
    *n = (struct seen_node){keep(l, l->name),
                            json_keep(a, json_get(l->body, "metadata", "labels")),
                            json_keep(a, json_get(l->body, "spec", "taints")),
                            json_keep(a, json_get(l->body, "status", "allocatable")),
                            yyjson_is_true(json_get(l->body, "spec", "unschedulable")),
                            s->nodes};
    s->nodes = n;
    s->n_nodes++;
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(l->body, "status", "addresses"), i, max, x) {
        put(s->node_ips, keep(l, json_str(x, "address")), n->name);
    }
    yyjson_arr_foreach (json_get(l->body, "spec", "podCIDRs"), i, max, x) {
        add_range(l, yyjson_get_str(x), "pod");
    }
}

static void gather_range(struct look *l) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(l->body, "spec", "cidrs"), i, max, x) {
        add_range(l, yyjson_get_str(x), "Service");
    }
}

static void gather_ports(struct look *l, struct sight *s, const char *name) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(l->body, "spec", "ports"), i, max, x) {
        int64_t port = json_int(json_get(x, "nodePort"), 0);
        if (port)
            put(s->node_ports, arena_printf(l->sc->a, "%lld", (long long)port), name);
    }
}

static void gather_service(struct look *l) {
    struct sight *s = sight_of(l);
    const char *name = full_name(l), *ip = json_str(l->body, "spec", "clusterIP");
    size_t i, max;
    yyjson_val *x, *selector = json_keep(l->sc->a, json_get(l->body, "spec", "selector"));
    put(s->services, name, selector ? (void *)selector : (void *)s->services);
    if (ip && !str_eq(ip, "None"))
        put(s->by_ip, keep(l, ip), name);
    yyjson_arr_foreach (json_get(l->body, "spec", "clusterIPs"), i, max, x) {
        if (!str_eq(yyjson_get_str(x), "None"))
            put(s->by_ip, keep(l, yyjson_get_str(x)), name);
    }
    gather_ports(l, s, name);
    put(s->balancers, keep(l, json_str(l->body, "spec", "loadBalancerIP")), name);
    yyjson_arr_foreach (json_get(l->body, "status", "loadBalancer", "ingress"), i, max, x) {
        const char *at = json_str(x, "ip") ? json_str(x, "ip") : json_str(x, "hostname");
        put(s->balancers, keep(l, at), name);
    }
}

static bool is_ready(yyjson_val *endpoint) {
    yyjson_val *ready = json_get(endpoint, "conditions", "ready");
    return !yyjson_is_false(ready); /* absent: ready (discovery.k8s.io/v1 EndpointConditions) */
}

static void gather_slice(struct look *l) {
    struct sight *s = sight_of(l);
    const char *svc = json_str(l->body, "metadata", "labels", "kubernetes.io/service-name");
    bool server = str_eq(l->ns, "default") && str_eq(svc ? svc : l->name, "kubernetes");
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(l->body, "endpoints"), i, max, x) {
        const char *at = yyjson_get_str(yyjson_arr_get_first(json_get(x, "addresses")));
        if (svc && is_ready(x))
            put(s->ready, arena_printf(l->sc->a, "%s/%s", l->ns, svc), s);
        if (server && at)
            put(s->node_ips, keep(l, at), "the API server");
    }
}

static void gather_namespace(struct look *l) {
    struct sight *s = sight_of(l);
    yyjson_val *labels = json_keep(l->sc->a, json_get(l->body, "metadata", "labels"));
    put(s->namespaces, keep(l, l->name), labels ? (void *)labels : (void *)s->namespaces);
}

const char *volume_handle(struct arena *a, yyjson_val *pv) {
    yyjson_val *spec = json_get(pv, "spec"), *csi = json_get(spec, "csi");
    if (json_str(csi, "volumeHandle"))
        return arena_printf(a, "csi %s/%s", json_str(csi, "driver"), json_str(csi, "volumeHandle"));
    if (json_str(spec, "nfs", "server"))
        return arena_printf(a, "nfs %s:%s", json_str(spec, "nfs", "server"),
                            json_str(spec, "nfs", "path"));
    if (json_str(spec, "awsElasticBlockStore", "volumeID"))
        return arena_printf(a, "ebs %s", json_str(spec, "awsElasticBlockStore", "volumeID"));
    if (json_str(spec, "gcePersistentDisk", "pdName"))
        return arena_printf(a, "gce-pd %s", json_str(spec, "gcePersistentDisk", "pdName"));
    return NULL;
}

static void gather_volume(struct look *l) {
    struct sight *s = sight_of(l);
    const char *handle = volume_handle(l->sc->a, l->body);
    put(s->volumes, handle, keep(l, l->name));
    if (str_eq(json_str(l->body, "spec", "persistentVolumeReclaimPolicy"), "Delete"))
        put(s->deleting, handle, s);
}

static void gather_attachment(struct look *l) {
    put(sight_of(l)->attached, keep(l, json_str(l->body, "spec", "source", "persistentVolumeName")),
        l->sc);
}

static const char *const default_marks[] = {"storageclass.kubernetes.io/is-default-class",
                                            "ingressclass.kubernetes.io/is-default-class"};

static void gather_class(struct look *l) {
    bool marked = yyjson_is_true(json_get(l->body, "globalDefault"));
    for (size_t i = 0; i < COUNT_OF(default_marks); i++)
        marked |= str_eq(json_str(l->body, "metadata", "annotations", default_marks[i]), "true");
    if (marked)
        put(sight_of(l)->defaults, keep(l, l->kind->kind), keep(l, l->name));
}

static void gather_quota(struct look *l) {
    size_t i, max;
    yyjson_val *k, *v;
    json_obj_foreach (json_get(l->body, "spec", "hard"), i, max, k, v) {
        put(sight_of(l)->quotas,
            arena_printf(l->sc->a, "%s/%s/%s", l->ns, l->name, yyjson_get_str(k)),
            json_keep(l->sc->a, v));
    }
}

static void gather_host_ports(struct look *l) {
    bool host = yyjson_is_true(json_get(l->pod, "hostNetwork"));
    const char *phase = json_str(l->body, "status", "phase");
    size_t i, max, k, n;
    yyjson_val *c, *p;
    if (str_eq(phase, "Succeeded") || str_eq(phase, "Failed"))
        return;
    yyjson_arr_foreach (json_get(l->pod, "containers"), i, max, c) {
        yyjson_arr_foreach (json_get(c, "ports"), k, n, p) {
            int64_t port = json_int(json_get(p, host ? "containerPort" : "hostPort"), 0);
            const char *proto = json_str(p, "protocol");
            if (port)
                put(sight_of(l)->host_ports,
                    arena_printf(l->sc->a, "%lld/%s", (long long)port, proto ? proto : "TCP"),
                    full_name(l));
        }
    }
}

static double requested(yyjson_val *pod, const char *resource) {
    double sum = 0;
    size_t i, max;
    yyjson_val *c;
    yyjson_arr_foreach (json_get(pod, "containers"), i, max, c) {
        yyjson_val *q = json_get(c, "resources", "requests", resource);
        sum += quantity_of(q ? q : json_get(c, "resources", "limits", resource));
    }
    return sum;
}

/* What runs all the time and goes over. Init containers and Jobs come and go. */
static void gather_requests(struct look *l) {
    yyjson_val *n = json_get(l->body, "spec", "replicas");
    bool daemon = str_eq(l->kind->kind, "DaemonSet");
    double replicas = daemon ? (double)l->dst->n_nodes : n ? (double)json_int(n, 1) : 1;
    if (!will_be_there(l->o))
        return;
    l->sc->asked[SUM_CPU] += replicas * requested(l->pod, "cpu");
    l->sc->asked[SUM_MEMORY] += replicas * requested(l->pod, "memory");
    l->sc->asked[SUM_PODS] += replicas;
}

/* --- the table --- */

static const struct {
    int at;
    const char *group, *kind;
    void (*gather)(struct look *l);
} table[SCENE_RANKS] = {
    {AT_BOTH, "", "Node", gather_node},
    {AT_BOTH, "networking.k8s.io", "ServiceCIDR", gather_range},
    {AT_BOTH, "discovery.k8s.io", "EndpointSlice", gather_slice},
    {AT_BOTH, "", "Service", gather_service},
    {AT_BOTH, "", "Namespace", gather_namespace},
    {AT_SOURCE, "storage.k8s.io", "VolumeAttachment", gather_attachment},
    {AT_BOTH, "", "PersistentVolume", gather_volume},
    {AT_DESTINATION, "storage.k8s.io", "StorageClass", gather_class},
    {AT_DESTINATION, "networking.k8s.io", "IngressClass", gather_class},
    {AT_DESTINATION, "scheduling.k8s.io", "PriorityClass", gather_class},
    {AT_DESTINATION, "", "ResourceQuota", gather_quota},
    {AT_DESTINATION, "", "Pod", gather_host_ports},
};

int scene_rank(const struct kube_resource *r, bool destination) {
    int at = destination ? AT_DESTINATION : AT_SOURCE, i = 0;
    while (i < SCENE_RANKS && !(table[i].at & at && str_eq(table[i].kind, r->kind) &&
                                str_eq(table[i].group, r->group)))
        i++;
    return i;
}

void scene_gather(struct look *l) {
    int rank = scene_rank(l->kind, l->destination);
    if (rank < SCENE_RANKS)
        table[rank].gather(l);
    if (!l->destination && l->pod && (runs_replicas(l) || str_eq(l->kind->kind, "DaemonSet")))
        gather_requests(l);
    if (str_eq(l->kind->kind, "ConfigMap") && str_eq(l->ns, "kube-system"))
        scene_take_ca(sight_of(l), l->sc->a, l->body);
}

/* --- single things --- */

/* Pieces of a CA by which it is known again in a text: of its base64 lines, and of the base64 of
 * the whole PEM as a kubeconfig has it. From behind its beginning, where all CAs look alike; a
 * multiple of three bytes in, where base64 of the whole shows the same characters. */
static void take_marks(struct sight *s, struct arena *a, const char *pem) {
    size_t n = strlen(pem);
    const char *line = strchr(pem, '\n');
    if (n < 400 || !line || strlen(line) < 300)
        return;
    for (int i = 0; i < 2 && line; i++)
        line = strchr(line + 1, '\n');
    if (line)
        s->ca = arena_strndup(a, line + 1, strcspn(line + 1, "\r\n"));
    s->ca_base64 = arena_strndup(a, base64_encode(a, pem, n) + 200, 100);
}

static void take_domain(struct sight *s, struct arena *a, const char *corefile) {
    /* "kubernetes cluster.local in-addr.arpa ip6.arpa {" */
    const char *p = corefile ? strstr(corefile, "kubernetes ") : NULL;
    size_t n = p ? strcspn(p + 11, " \t\n{") : 0;
    if (n)
        s->domain = arena_strndup(a, p + 11, n);
}

void scene_take_ca(struct sight *s, struct arena *a, yyjson_val *cm) {
    const char *name = json_str(cm, "metadata", "name");
    const char *root = json_str(cm, "data", "ca.crt"),
               *client = json_str(cm, "data", "client-ca-file");
    if (str_eq(name, "kube-root-ca.crt") && root)
        take_marks(s, a, root);
    if (str_eq(name, "coredns"))
        take_domain(s, a, json_str(cm, "data", "Corefile"));
    if (str_eq(name, "kube-root-ca.crt") || str_eq(name, "extension-apiserver-authentication"))
        s->ca_pem = arena_printf(a, "%s%s\n%s\n", s->ca_pem ? s->ca_pem : "", root ? root : "",
                                 client ? client : "");
}

void scene_take_apis(struct scene *sc, bool destination, const struct world_side *side) {
    for (size_t i = 0; i < side->n; i++)
        put(sc->side[destination].apis, side->items[i].resource->group, sc);
}

static void read_one(struct scene *sc, bool destination, const char *path) {
    yyjson_val *v;
    AUTO_ARENA a = arena_new();
    const struct world_opts *o = world_opts(sc->w);
    if (kube_get(destination ? o->dst : o->src, a, path, NULL, &v, NULL) < 0)
        return; /* whoever may not read it loses what is seen by it */
    if (json_str(v, "issuer"))
        sc->side[destination].issuer = arena_strdup(sc->a, json_str(v, "issuer"));
    else
        scene_take_ca(&sc->side[destination], sc->a, v);
}

void scene_read_alone(struct scene *sc) {
    static const char *const paths[] = {
        "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt",
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
        "/api/v1/namespaces/kube-system/configmaps/coredns",
        "/.well-known/openid-configuration",
    };
    for (int d = 0; d < 2; d++) {
        struct kube_client *c = d ? world_opts(sc->w)->dst : world_opts(sc->w)->src;
        const char *url = kube_auth_server(kube_client_auth(c)), *host = strstr(url, "://");
        sc->side[d].server =
            arena_strndup(sc->a, host ? host + 3 : url, strcspn(host ? host + 3 : url, "/"));
        for (size_t i = 0; i < COUNT_OF(paths); i++)
            read_one(sc, d, paths[i]);
        const struct kube_resource *all;
        size_t n = kube_discovery_all(world_discovery(sc->w, d), &all);
        for (size_t i = 0; i < n; i++)
            put(sc->side[d].apis, arena_strdup(sc->a, all[i].group), sc);
    }
}

/* --- making --- */

static struct map **maps_of(struct sight *s, size_t i) {
    struct map **const all[] = {&s->services,   &s->by_ip,      &s->ready,    &s->node_ports,
                                &s->host_ports, &s->balancers,  &s->volumes,  &s->deleting,
                                &s->attached,   &s->namespaces, &s->defaults, &s->quotas,
                                &s->apis,       &s->node_ips};
    return i < COUNT_OF(all) ? all[i] : NULL;
}

struct scene *scene_new(struct world *w, struct findings *out) {
    struct scene *sc = arena_new_of(out->a, struct scene);
    sc->a = arena_new();
    sc->w = w;
    sc->out = out;
    sc->there = map_new();
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; maps_of(&sc->side[d], i); i++)
            *maps_of(&sc->side[d], i) = map_new();
    return sc;
}

void scene_free(struct scene *sc) {
    map_free(sc->there);
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; maps_of(&sc->side[d], i); i++)
            map_free(*maps_of(&sc->side[d], i));
    arena_free(sc->a);
}
