/* Inside of the hazards: what a look sees, and what was gathered of both clusters. */
#pragma once

#include "base/ip.h"
#include "migrate/hazards.h"

enum hazard_flag {
    LOOK_DESTINATION = 1, /* at the destination's objects instead of the source's */
    LOOK_SKIPPED = 2, /* also at what is not recreated, and at kinds that no record is kept of */
    UNLESS_HELD = 4,  /* what is created held does not act: a note, not more */
    LOOK_CUSTOM = 8,  /* at custom resources only */
};

/* One machine of a cluster, copied out of its Node. */
struct seen_node {
    const char *name;
    yyjson_val *labels, *taints, *allocatable;
    bool closed; /* unschedulable */
    struct seen_node *next;
};

/* A range of addresses that a cluster gives to its own. */
struct seen_range {
    struct ip_range ip;
    const char *what; /* "pod", of one machine; "Service" */
};

/* What the looks need to know of one cluster beside the body at hand. Keys and values in the
 * scene's arena; a Service is named "NS/NAME" and a volume by its handle. */
struct sight {
    struct map *services;   /* NS/NAME -> its selector (yyjson_val *) or the map itself: none */
    struct map *by_ip;      /* an address of a Service -> NS/NAME */
    struct map *ready;      /* NS/NAME of Services with a ready endpoint */
    struct map *node_ports; /* "30080" -> NS/NAME */
    struct map *host_ports; /* "80/TCP" -> NS/POD */
    struct map *balancers;  /* an address of a load balancer -> NS/NAME */
    struct map *volumes;    /* handle -> name of the PersistentVolume */
    struct map *deleting;   /* handles of volumes whose policy is Delete */
    struct map *attached;   /* names of volumes that a machine has attached */
    struct map *namespaces; /* name -> labels (yyjson_val *) or the map itself: none */
    struct map *defaults;   /* "KIND NAME" of classes that are the default -> NAME */
    struct map *quotas;     /* NS/NAME/RESOURCE -> hard, as text */
    struct map *apis;       /* groups served */
    struct seen_node *nodes;
    struct map *node_ips; /* -> node's name */
    size_t n_nodes;
    struct seen_range *ranges; /* as many as there are machines, and more */
    size_t n_ranges, cap_ranges;
    const char *server;         /* host:port of the API server */
    const char *ca, *ca_base64; /* pieces by which its CA is recognised */
    const char *ca_pem;         /* all CAs that sign for it */
    const char *domain;         /* of its cluster DNS, from CoreDNS' Corefile; NULL: not known */
    const char *issuer;         /* of its tokens; NULL: not known */
};

enum { SUM_CPU, SUM_MEMORY, SUM_PODS, SUM_COUNT };

struct scene {
    struct arena *a;
    struct world *w;
    struct findings *out;
    struct sight side[2];    /* [0] source, [1] destination */
    double asked[SUM_COUNT]; /* by all workloads that go over */
    struct map *there;       /* what the destination was asked for: path -> itself, or "" */
};

/* What a row's look gets: one body, as its cluster shows it. */
struct look {
    struct scene *sc;
    const struct hazard_row *row;
    const struct kube_resource *kind;
    const struct object *o; /* the record; NULL: none is kept */
    bool destination;
    const char *ns, *name; /* ns "" when cluster-scoped */
    yyjson_val *body;
    yyjson_val *pod;    /* spec of its pod template; NULL: it has none */
    const char *pod_at; /* where that stands: "/spec/template/spec" */
    struct sight *src, *dst;
    unsigned told; /* findings of this row so far */
};

/* kind "(pod)": whatever has a pod template; "(end)": once, when everything was seen. Group and
 * kind are patterns with * and ?; group NULL is any. */
struct hazard_row {
    const char *id;
    enum severity severity;
    const char *group, *kind;
    unsigned flags;
    void (*look)(struct look *l);
    const char *remedy;
};
const struct hazard_row *hazard_rows(size_t *ret_n);
/* Ids without a row of their own. */
const struct finding_id *hazard_extra_ids(size_t *ret_n);

/* Reports the body under the row's id. field: a JSON pointer, or NULL. */
void found(struct look *l, const char *field, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same with a pointer below the pod's spec. */
void found_pod(struct look *l, const char *field, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Of a whole cluster. */
void found_at(struct look *l, bool destination, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* --- hazard_scene.c --- */

struct scene *scene_new(struct world *w, struct findings *out); /* lives in out->a */
void scene_free(struct scene *sc);                              /* the maps */
/* Kinds that something is gathered from are read first, by rank; the others have SCENE_RANKS. */
enum { SCENE_RANKS = 12 };
int scene_rank(const struct kube_resource *r, bool destination);
/* Takes what the looks need from a body. l->o decides where only what goes over counts. */
void scene_gather(struct look *l);
/* Single objects and addresses that no list has. */
void scene_read_alone(struct scene *sc);
/* Without discovery: the groups of the bodies at hand, which outlive the scene. */
void scene_take_apis(struct scene *sc, bool destination, const struct world_side *side);
void scene_take_ca(struct sight *s, struct arena *a, yyjson_val *config_map);
/* The handle of a volume's storage, "csi DRIVER/HANDLE" or "nfs SERVER:PATH"; NULL: none that two
 * clusters could share. In a. */
const char *volume_handle(struct arena *a, yyjson_val *pv);

/* --- hazard_util.c --- */

/* Calls fn for each string at and below v, with its JSON pointer. */
void each_string(yyjson_val *v, const char *at,
                 void (*fn)(void *ctx, const char *at, const char *text), void *ctx);
/* A container's words: its image, args, command and environment, wherever the pod has containers.
 * key: "image", "args", "command", or the name of the variable; text may be "". at is below the
 * pod's spec. */
struct word {
    const char *at, *key, *text;
    bool init; /* of an init container */
};
void each_word(struct look *l, void (*fn)(struct look *l, const struct word *w));
/* Does the destination serve it? version NULL: in any. */
bool served_there(const struct look *l, const char *group, const char *version, const char *kind);
/* A Kubernetes quantity ("250m", "1Gi", "1e3"); 0 when it is none. */
double quantity_of(yyjson_val *v);
/* A LabelSelector: {} and NULL match everything. */
bool selector_matches(yyjson_val *selector, yyjson_val *labels);
/* A map as selectors of Services have it: each key with this value. */
bool labels_have(yyjson_val *labels, yyjson_val *wanted);
/* One NodeSelectorTerm or the requirements of a selector (matchExpressions). */
bool expressions_match(yyjson_val *list, yyjson_val *labels);
yyjson_val *json_keep(struct arena *a, yyjson_val *v); /* a copy; NULL stays NULL */
/* Is it of a kind that keeps so many pods of one template running? */
bool runs_replicas(const struct look *l);
/* Does it go over, or is it there? */
bool will_be_there(const struct object *o);
/* Words in a text, case ignored. */
const char *text_has(const char *text, const char *const *words, size_t n);
/* A host name or an address that is no part of the cluster. */
bool outside_host(const char *host, size_t n);
/* Namespaces of the system and of tandem. */
bool system_ns(const char *ns);
/* Pointer below the body: "/metadata/annotations/" and the escaped key. */
const char *annotation_at(struct look *l, const char *key);

/* --- looks: hazard_acts.c, hazard_net.c, hazard_state.c, hazard_gates.c, hazard_fit.c,
 *     hazard_trust.c --- */

#define LOOK(name) void name(struct look *l)
LOOK(look_schedule);
LOOK(look_schedule_resource);
LOOK(look_trigger);
LOOK(look_consumer);
LOOK(look_job);
LOOK(look_migration);
LOOK(look_external_dns);
LOOK(look_gitops);
LOOK(look_lease);
LOOK(look_singleton);
LOOK(look_ci);
LOOK(look_agent);
LOOK(look_remote_write);
LOOK(look_peers);
LOOK(look_database_pod);
LOOK(look_database_data);
LOOK(look_outside_resource);
LOOK(look_labels_text);
LOOK(look_labels_resource);
LOOK(look_labels_agent);

LOOK(look_dns_name);
LOOK(look_balancer);
LOOK(look_fixed_address);
LOOK(look_claimed_address);
LOOK(look_ingress_group);
LOOK(look_target_group);
LOOK(look_pinned);
LOOK(look_node_port);
LOOK(look_ip_block);
LOOK(look_address_data);
LOOK(look_address_pod);
LOOK(look_address_endpoints);
LOOK(look_address_service);

LOOK(look_scaled_up);
LOOK(look_metrics);
LOOK(look_same_volume);
LOOK(look_mounted_share);
LOOK(look_shared_volume);
LOOK(look_shared_volume_there);
LOOK(look_deletes_claims);
LOOK(look_empty_claim);
LOOK(look_default_class);
LOOK(look_no_disruption);

LOOK(look_fails_closed);
LOOK(look_no_backend);
LOOK(look_matches_itself);
LOOK(look_conversion);
LOOK(look_crd_versions);
LOOK(look_last_applied);
LOOK(look_pod_security);
LOOK(look_only_there);
LOOK(look_finalizer);

LOOK(look_no_node);
LOOK(look_host_path);
LOOK(look_volume_node);
LOOK(look_capacity);
LOOK(look_quota);
LOOK(look_registry);
LOOK(look_cloud_pull);
LOOK(look_node_agent);
LOOK(look_host_port);

LOOK(look_certificate);
LOOK(look_acme);
LOOK(look_cloud_identity);
LOOK(look_pod_identity);
LOOK(look_token);
LOOK(look_issuer);
LOOK(look_sealing_key);
LOOK(look_mesh);
LOOK(look_signed);
