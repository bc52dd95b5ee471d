/* What auth.c needs of a loaded kubeconfig: its raw entries, and errors that say where they stood.
 * Everything lives as long as the kubeconfig. */
#pragma once

#include "base/yaml.h"
#include "kube/kubeconfig.h"

/* A named cluster, user or context: the first one of that name wins, whole. */
struct kc_entry {
    const char *name;
    yyjson_mut_val *v; /* an object */
    const struct yaml_doc *doc;
    const char *dir; /* relative paths of the entry are relative to this */
};

const struct kc_entry *kubeconfig_cluster(const struct kubeconfig *k, const char *name);
const struct kc_entry *kubeconfig_user(const struct kubeconfig *k, const char *name);
/* "FILE:LINE:COLUMN: ..." of `at`, or of the entry when at is NULL. */
int kc_error(struct err *e, int code, const struct kc_entry *en, const yyjson_mut_val *at,
             const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Reads members of an entry; the first wrong type is kept in r and e, later reads do nothing. */
struct kc_view {
    const struct kc_entry *en;
    yyjson_mut_val *obj; /* the entry's object, or one inside it */
    struct arena *a;     /* where strings go */
    int r;
    struct err *e;
};
/* NULL when missing or empty. */
const char *kc_str(struct kc_view *v, const char *key);
/* As kc_str; a relative path is made relative to the file it stands in. */
const char *kc_path(struct kc_view *v, const char *key);
bool kc_bool(struct kc_view *v, const char *key);
