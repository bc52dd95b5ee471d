/* The inside of kube_auth, shared by auth.c, auth_exec.c, auth_tls.c and client.c. */
#pragma once

#include <pthread.h>
#include <sys/stat.h>

#include "kube/kubeconfig_impl.h"

/* A text that comes from the kubeconfig itself or from a file that may be replaced at any time. */
struct source {
    const char *path; /* NULL: not from a file */
    const char *text; /* NULL: none yet */
    struct stat seen;
};

/* What an exec plugin gave. */
struct exec_cred {
    bool valid;
    const char *token, *cert, *key;
    int64_t expires_ms; /* wall clock; INT64_MAX: never */
};

struct exec_plugin {
    const char *user; /* whose plugin, for messages */
    const char *const *argv, *const *env;
    const char *api_version, *install_hint;
};

struct kube_auth {
    pthread_mutex_t lock;
    struct arena *a; /* everything, replaced credentials too: readers may still use them */
    const char *server, *context, *user, *kind;
    const char *ca_fingerprint;
    struct http_tls tls; /* as of the last refresh */
    struct source cert, key, token;
    const char *basic;              /* whole header, or NULL */
    const char *const *impersonate; /* header lines, NULL-terminated, or NULL */
    struct exec_plugin *exec;
    struct exec_cred cred;
};

/* After a 401: renews the credential unless another thread has done so since `old_tls` and
 * `old_header` were given out. *ret_changed tells whether trying again makes sense. */
int kube_auth_renew(struct kube_auth *a, struct arena *arena, const struct http_tls *old_tls,
                    const char *old_header, struct http_tls *ret_tls, char **ret_header,
                    bool *ret_changed, struct err *e);

/* A PEM text from `KEY-data` (base64, wins) or the file `KEY`. */
int auth_pem(struct kc_view *v, const char *key, struct source *ret);
/* Reads again what has changed on disk (force: in any case). A file that cannot be read any more
 * leaves the last good text in place. */
int source_refresh(struct arena *a, struct source *s, bool force, struct err *e);
/* Over the DER of the certificates, in any order and however they are wrapped; "" for NULL. */
const char *auth_ca_fingerprint(struct arena *a, const char *pem);

/* kube_auth_in_cluster with the folder that the service account is mounted to. */
int auth_in_cluster_from(const char *dir, struct kube_auth **ret, struct err *e);

/* v->obj is the exec mapping. cluster: for provideClusterInfo. */
int auth_exec_parse(struct kc_view *v, const struct kube_auth *auth, const struct kc_entry *cluster,
                    struct exec_plugin **ret);
/* Runs the plugin; strings of *ret live in a. */
int auth_exec_run(struct arena *a, const struct exec_plugin *p, struct exec_cred *ret,
                  struct err *e);
