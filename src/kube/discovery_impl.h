/* The inside of kube_discovery: what the two kinds of documents are parsed into. */
#pragma once

#include "base/map.h"
#include "kube/client_impl.h"
#include "kube/discovery.h"

struct kube_discovery {
    struct arena *a;
    struct kube_resource *all;
    size_t n, cap;
    struct strvec failed;
    struct map *by_key; /* "group/version/plural" -> index + 1 */
};

struct kube_discovery *discovery_new(void);
/* APIGroupDiscoveryList, v2 or v2beta1. */
int discovery_add_aggregated(struct kube_discovery *d, yyjson_val *root, struct err *e);
/* APIResourceList of one group and version. */
int discovery_add_list(struct kube_discovery *d, const char *group, const char *version,
                       yyjson_val *root, struct err *e);
/* Marks what is preferred; after everything was added. */
void discovery_finish(struct kube_discovery *d);
