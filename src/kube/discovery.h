/* What an API server serves: aggregated discovery (apidiscovery.k8s.io v2, v2beta1), falling back
 * to the group-by-group one. Read-only after it is made; any thread. */
#pragma once

#include "kube/client.h"

enum kube_verb {
    KUBE_GET = 1,
    KUBE_LIST = 2,
    KUBE_WATCH = 4,
    KUBE_CREATE = 8,
    KUBE_UPDATE = 16,
    KUBE_PATCH = 32,
    KUBE_DELETE = 64,
    KUBE_DELETECOLLECTION = 128,
};

/* One resource of one group in one version. */
struct kube_resource {
    const char *group;   /* "" for core */
    const char *version; /* "v1" */
    const char *kind;    /* "Deployment" */
    const char *plural;  /* "deployments" */
    const char *singular;
    bool namespaced;
    unsigned verbs;  /* kube_verb bits */
    bool has_status; /* serves /status */
    bool has_scale;
    bool preferred;                 /* this group+resource's first version in the server's order */
    const char *const *short_names; /* NULL-terminated */
};

struct kube_discovery;
/* Groups whose back end is down (stale or failing aggregated APIs) are left out and listed. */
int kube_discover(struct kube_client *c, struct kube_discovery **ret, struct err *e);
void kube_discovery_free(struct kube_discovery *d);
/* All, each group+version+plural once, in the server's order. */
size_t kube_discovery_all(const struct kube_discovery *d, const struct kube_resource **ret);
/* "group/version" of APIs whose discovery failed, NULL-terminated. */
const char *const *kube_discovery_failed(const struct kube_discovery *d);
/* version NULL: the preferred one. NULL when not served. */
const struct kube_resource *kube_discovery_find(const struct kube_discovery *d, const char *group,
                                                const char *version, const char *kind);
/* By what a person types: "deploy", "deployments", "Deployment", "deployments.apps". Preferred
 * version. NULL if none. */
const struct kube_resource *kube_discovery_by_name(const struct kube_discovery *d,
                                                   const char *name);

/* "/apis/apps/v1/namespaces/NS/deployments[/NAME][/SUB]"; ns NULL: all namespaces or
 * cluster-scoped; name, sub may be NULL. Percent-encoded where needed. */
char *kube_path(struct arena *a, const struct kube_resource *r, const char *ns, const char *name,
                const char *sub);
/* "apps/v1", "v1". */
char *kube_api_version(struct arena *a, const struct kube_resource *r);
