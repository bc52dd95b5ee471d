/* Copies of Secrets, kept in the cluster that they are changed in: no Secret value comes into the
 * journal, and yet what an update or a delete took away can be put back.
 *
 * A copy is a Secret in namespace tandem-system (made when first needed) with the data of the
 * original; the rest of the original's body stands in an annotation. A run keeps one copy of each
 * Secret (of each uid): the first, which is how it was before the run; and another when it changes
 * it again after it was taken back. The namespace and what is in it are
 * tandem's own: never migrated, removed when nothing needs them. */
#pragma once

#include "kube/client.h"

#define KEEP_NAMESPACE "tandem-system"

/* Makes the namespace; 0 when it is there already. */
int keep_namespace(struct kube_client *c, struct arena *a, struct err *e);

/* Keeps `live` (a Secret as its cluster shows it) of `ref` for this run; *ret_name in a. Done
 * already since the effect `since`, by which the run's changes were taken back last (0: never
 * were): nothing happens. -EACCES: the rights for it are missing. */
int keep_secret(struct kube_client *c, struct arena *a, const char *run, const char *ref,
                int64_t since, yyjson_val *live, const char **ret_name, struct err *e);
/* The body that was kept (type, data, labels, annotations, immutable and what else it had), in d.
 * -ENOENT when there is none of that name. */
int keep_fetch(struct kube_client *c, struct arena *a, yyjson_mut_doc *d, const char *name,
               yyjson_mut_val **ret, struct err *e);
/* Removes the copies of this run (NULL: of every run), and the namespace when it is tandem's and
 * nothing else is in it, for whose end it waits up to half a minute. Nothing there: nothing
 * happens. */
int keep_sweep(struct kube_client *c, const char *run, struct err *e);
/* The body with which the namespace is made, by whoever needs it first; its label says whose it is.
 */
extern const char keep_namespace_body[];
/* Removes the namespace when it is tandem's and nothing but the cluster's own is left in it. wait:
 * for its end, as above. */
int keep_leave(struct kube_client *c, bool wait, struct err *e);
