/* Looks for names and addresses: claimed twice, or of A written into what goes to B. */
#include "base/hash.h"
#include "migrate/hazards_impl.h"

/* --- H4, H6: claimed twice --- */

void look_dns_name(struct look *l) {
    static const char *const key = "external-dns.alpha.kubernetes.io/hostname";
    const char *name = json_str(l->body, "metadata", "annotations", key);
    if (str_eq(l->kind->kind, "DNSEndpoint"))
        found(l, "/spec", "DNS records that two controllers would keep");
    else if (name)
        found(l, annotation_at(l, key), "claims the DNS name %s", name);
}

static bool is_balancer(const struct look *l) {
    return str_eq(json_str(l->body, "spec", "type"), "LoadBalancer");
}

void look_balancer(struct look *l) {
    if (is_balancer(l))
        found(l, "/spec/type", "type LoadBalancer");
}

static const char *const address_notes[] = {
    "metallb.universe.tf/loadBalancerIPs",
    "metallb.io/loadBalancerIPs",
    "kube-vip.io/loadbalancerIPs",
    "lbipam.cilium.io/ips",
    "io.cilium/lb-ipam-ips",
    "service.beta.kubernetes.io/aws-load-balancer-name",
    "service.beta.kubernetes.io/aws-load-balancer-eip-allocations",
    "service.beta.kubernetes.io/azure-load-balancer-ipv4",
    "service.beta.kubernetes.io/azure-pip-name",
    "networking.gke.io/load-balancer-ip-addresses"};

void look_fixed_address(struct look *l) {
    if (!is_balancer(l))
        return;
    if (json_str(l->body, "spec", "loadBalancerIP"))
        found(l, "/spec/loadBalancerIP", "asks for the address %s, which A has",
              json_str(l->body, "spec", "loadBalancerIP"));
    for (size_t i = 0; i < COUNT_OF(address_notes); i++) {
        const char *v = json_str(l->body, "metadata", "annotations", address_notes[i]);
        if (v)
            found(l, annotation_at(l, address_notes[i]), "asks for %s, which A has", v);
    }
}

void look_claimed_address(struct look *l) {
    yyjson_val *list = json_get(l->body, "status", "loadBalancer", "ingress"), *x;
    size_t i, max;
    yyjson_arr_foreach (list, i, max, x) {
        const char *at = json_str(x, "ip") ? json_str(x, "ip") : json_str(x, "hostname");
        const char *there = at ? map_get(l->dst->balancers, at) : NULL;
        char field[80];
        snprintf(field, sizeof field, "/status/loadBalancer/ingress/%zu", i);
        if (there)
            found(l, field, "has the address %s, and so has Service %s of the destination", at,
                  there);
    }
}

void look_ingress_group(struct look *l) {
    static const char *const keys[] = {"alb.ingress.kubernetes.io/group.name",
                                       "alb.ingress.kubernetes.io/load-balancer-name",
                                       "kubernetes.io/ingress.global-static-ip-name"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const char *v = json_str(l->body, "metadata", "annotations", keys[i]);
        if (v)
            found(l, annotation_at(l, keys[i]), "names the load balancer %s, which A has", v);
    }
}

void look_target_group(struct look *l) {
    if (!yyjson_is_true(json_get(l->body, "spec", "multiClusterTargetGroup")))
        found(l, "/spec/targetGroupARN",
              "the destination's controller would deregister A's targets");
}

/* --- H36, H35: ports --- */

void look_pinned(struct look *l) {
    yyjson_val *spec = json_get(l->body, "spec");
    if (str_eq(json_str(spec, "type"), "NodePort"))
        found(l, "/spec/type", "type NodePort: whoever calls it knows A's machines");
    if (str_eq(json_str(spec, "externalTrafficPolicy"), "Local"))
        found(l, "/spec/externalTrafficPolicy",
              "Local: outside health checks know which of A's machines answer");
    if (yyjson_arr_size(json_get(spec, "loadBalancerSourceRanges")))
        found(l, "/spec/loadBalancerSourceRanges", "a firewall of the load balancer");
}

void look_node_port(struct look *l) {
    size_t i, max;
    yyjson_val *p;
    const char *own = arena_printf(l->sc->a, "%s/%s", l->ns, l->name);
    yyjson_arr_foreach (json_get(l->body, "spec", "ports"), i, max, p) {
        char port[16], field[48];
        snprintf(port, sizeof port, "%lld", (long long)json_int(json_get(p, "nodePort"), 0));
        snprintf(field, sizeof field, "/spec/ports/%zu/nodePort", i);
        const char *there = map_get(l->dst->node_ports, port);
        if (there && !str_eq(there, own))
            found(l, field, "Service %s of the destination has node port %s", there, port);
    }
}

/* --- H23: addresses of A --- */

/* The range that holds all of it, or NULL. */
static const struct seen_range *range_of(const struct sight *s, const struct ip_range *ip) {
    for (size_t i = 0; i < s->n_ranges; i++)
        if (ip_range_covers(&s->ranges[i].ip, ip))
            return &s->ranges[i];
    return NULL;
}

/* What of A is it, or NULL. What B has in the same place is no hazard. */
static const char *whose(struct look *l, const struct ip_range *ip, const char *text) {
    const char *service = map_get(l->src->by_ip, text), *node = map_get(l->src->node_ips, text);
    struct arena *a = l->sc->out->a;
    if (map_has(l->dst->node_ips, text))
        return NULL;
    if (service)
        return str_eq(service, map_get(l->dst->by_ip, text))
                   ? NULL
                   : arena_printf(a, "the address of Service %s in A", service);
    if (node)
        return str_eq(node, "the API server")
                   ? "an address of A's API server"
                   : arena_printf(a, "the address of A's machine %s", node);
    const struct seen_range *r = range_of(l->dst, ip) ? NULL : range_of(l->src, ip);
    return r ? arena_printf(a, "an address of A's %s range", r->what) : NULL;
}

static const char *own_text(struct look *l, const char *text) {
    const struct sight *s = l->src;
    if (s->server && strlen(s->server) > 3 && strstr(text, s->server) &&
        !str_eq(s->server, l->dst->server))
        return "the address of A's API server";
    if ((s->ca && strlen(s->ca) > 20 && strstr(text, s->ca)) ||
        (s->ca_base64 && strstr(text, s->ca_base64)))
        return "the certificate of A's CA";
    if (s->domain && l->dst->domain && !str_eq(s->domain, l->dst->domain)) {
        char svc[256];
        snprintf(svc, sizeof svc, ".svc.%s", s->domain);
        if (strstr(text, svc))
            return "A's cluster domain";
    }
    return NULL;
}

/* The first thing of A in a text; its spelling goes to *ret_spelt when it is an address. */
static const char *of_source(struct look *l, const char *text, const char **ret_spelt) {
    const char *what = own_text(l, text), *at = text, *from;
    struct ip_range ip;
    *ret_spelt = NULL;
    while (!what && ip_next(&at, &from, &ip)) {
        char spelt[64];
        size_t n = (size_t)(at - from);
        const char *colon = ip.family == 2 ? memchr(from, ':', n) : NULL;
        n = colon ? (size_t)(colon - from) : n;
        while (n && from[n - 1] == '.')
            n--;
        snprintf(spelt, sizeof spelt, "%.*s", (int)n, from);
        what = whose(l, &ip, spelt);
        if (what)
            *ret_spelt = arena_strdup(l->sc->out->a, spelt);
    }
    return what;
}

static void address_text(void *ctx, const char *at, const char *text) {
    const char *spelt, *what = of_source(ctx, text, &spelt);
    if (what)
        found(ctx, at, "holds %s%s%s", spelt ? spelt : "", spelt ? ", " : "", what);
}

/* Of a Secret only what was recognised is told, and where. */
static void address_secret(void *ctx, const char *at, const char *text) {
    uint8_t *p;
    size_t n;
    const char *spelt;
    AUTO_ARENA a = arena_new();
    if (base64_decode(a, text, &p, &n, NULL) < 0 || strlen((char *)p) != n)
        return;
    const char *what = of_source(ctx, (char *)p, &spelt);
    if (what)
        found(ctx, at, "holds %s", what);
}

void look_address_data(struct look *l) {
    bool secret = str_eq(l->kind->kind, "Secret");
    if (l->o && l->o->facts & FACT_TOKEN)
        return; /* filled in by each cluster itself */
    each_string(json_get(l->body, "data"), "/data", secret ? address_secret : address_text, l);
}

static void address_word(struct look *l, const struct word *w) {
    const char *spelt, *what = str_eq(w->key, "image") ? NULL : of_source(l, w->text, &spelt);
    if (what)
        found_pod(l, w->at, "holds %s%s%s", spelt ? spelt : "", spelt ? ", " : "", what);
}

void look_address_pod(struct look *l) {
    each_word(l, address_word);
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(l->pod, "hostAliases"), i, max, x) {
        char at[48];
        snprintf(at, sizeof at, "/hostAliases/%zu/ip", i);
        const char *ip = json_str(x, "ip"), *spelt, *what = ip ? of_source(l, ip, &spelt) : NULL;
        if (what)
            found_pod(l, at, "holds %s, %s", ip, what);
    }
}

void look_address_endpoints(struct look *l) {
    bool slice = str_eq(l->kind->kind, "EndpointSlice");
    const char *key = slice ? "endpoints" : "subsets";
    each_string(json_get(l->body, key), arena_printf(l->sc->a, "/%s", key), address_text, l);
}

void look_address_service(struct look *l) {
    each_string(json_get(l->body, "spec", "externalIPs"), "/spec/externalIPs", address_text, l);
    if (json_str(l->body, "spec", "externalName"))
        each_string(json_get(l->body, "spec", "externalName"), "/spec/externalName", address_text,
                    l);
}

/* Is the block as right in B: is A's range one of B's too, or does the block hold all that B has
 * of the kind? Of one family; B's may have others beside. */
static bool block_fits(const struct sight *dst, const struct ip_range *block,
                       const struct seen_range *of_a) {
    size_t seen = 0, held = 0;
    for (size_t i = 0; i < dst->n_ranges; i++) {
        const struct seen_range *r = &dst->ranges[i];
        if (!str_eq(r->what, of_a->what) || r->ip.family != block->family)
            continue;
        if (ip_range_covers(&r->ip, &of_a->ip))
            return true;
        seen++;
        held += ip_range_covers(block, &r->ip);
    }
    return seen && held == seen;
}

static void count_machines(const struct sight *s, const struct ip_range *block, size_t *ret_seen,
                           size_t *ret_held) {
    struct ip_range ip;
    for (size_t i = 0; i < map_len(s->node_ips); i++) {
        if (!ip_range_parse(map_key(s->node_ips, i), &ip) || ip.family != block->family)
            continue;
        ++*ret_seen;
        *ret_held += ip_range_covers(block, &ip);
    }
}

/* A block that A's ranges lie in, or that lies in one of them, or that holds a machine of A: what
 * it allows or forbids are A's pods and machines, unless it says the same of B's. A block of
 * everything is no hazard. */
static const char *block_of(struct look *l, const struct ip_range *block) {
    if (block->bits < 8)
        return NULL;
    for (size_t i = 0; i < l->src->n_ranges; i++) {
        const struct seen_range *r = &l->src->ranges[i];
        bool about = ip_range_covers(block, &r->ip) || ip_range_covers(&r->ip, block);
        if (about && !block_fits(l->dst, block, r))
            return arena_printf(l->sc->out->a, "A's %s range", r->what);
    }
    size_t seen = 0, held = 0, seen_there = 0, held_there = 0;
    count_machines(l->src, block, &seen, &held);
    count_machines(l->dst, block, &seen_there, &held_there);
    bool fits = seen_there && held_there == seen_there;
    return held && !fits ? "machines of A" : NULL;
}

static void ip_block(void *ctx, const char *at, const char *text) {
    struct ip_range block;
    const char *what;
    if (strstr(at, "/ipBlock/") && ip_range_parse(text, &block) && (what = block_of(ctx, &block)))
        found(ctx, at, "%s is about %s", text, what);
}

void look_ip_block(struct look *l) {
    each_string(json_get(l->body, "spec"), "/spec", ip_block, l);
}
