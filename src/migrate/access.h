/* The least rights that this configuration needs, as a ClusterRole, and whether they are there. */
#pragma once

#include "migrate/world.h"

enum access_role { ACCESS_SOURCE, ACCESS_DESTINATION };

/* YAML of a ClusterRole for the cluster in this role, and of a Role in tandem's own namespace where
 * that is not enough there. no_secrets leaves Secrets out (they are then not migrated). In a. */
char *access_role_yaml(struct arena *a, const struct kube_discovery *d, enum access_role role,
                       bool no_secrets);

/* One thing that is not allowed: "list secrets in A". */
struct access_gap {
    const char *verb, *group, *plural; /* plural may be "cronjobs/status" */
    bool hands;                        /* only handing singletons over needs it */
    struct access_gap *next;
};
/* Asks the API server (SelfSubjectAccessReview). *ret NULL when everything is allowed. Gaps of one
 * verb need not stand together. */
int access_check(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                 enum access_role role, struct access_gap **ret, struct err *e);
