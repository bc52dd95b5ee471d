/* Reads off a body what the rules need to know, so that the body can be let go. */
#pragma once

#include "migrate/object.h"

/* Fact bits of one body of this group and kind. */
uint32_t facts_read(const char *group, const char *kind, yyjson_val *body);
/* The owner references, copied into a; NULL when there are none. */
struct owner *facts_owners(struct arena *a, yyjson_val *body);
/* True when only parts of the control plane have written fields of the body; false when it names no
 * manager at all, since exports and some proxies leave them out. */
bool facts_system_made(yyjson_val *body);
/* Is it a part of the control plane (kube-controller-manager, …)? */
bool facts_system_manager(const char *manager);
/* ACCOUNT-token- or ACCOUNT-dockercfg- and five characters of the alphabet that the controllers
 * draw names from (k8s.io/apimachinery util/rand): a name that a person would hardly choose. */
bool facts_token_name(const char *name, const char *account);
/* Does a manager outside the control plane own the field that fields_v1_path (like
 * {"f:spec","f:clusterIP"}, NULL-terminated) names? Array elements: "k:" and "v:" keys match "*".
 */
bool facts_user_owns(yyjson_val *body, const char *const *fields_v1_path);
