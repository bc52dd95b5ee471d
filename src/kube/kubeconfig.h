/* kubeconfig: several files merged as kubectl does (first value wins), contexts, and every way of
 * authentication kubectl knows that is still alive: client certificates (file or data), token,
 * tokenFile (re-read), exec plugins (client.authentication.k8s.io v1 and v1beta1, cached until
 * expirationTimestamp, interactiveMode honoured), basic auth, in-cluster. auth-provider (removed in
 * 1.26) is an error that says so, and so is proxy-url (HTTPS_PROXY works). Impersonation (as, as-*)
 * is honoured by kube_do(). insecure-skip-tls-verify is loud: a warning each time it is resolved.
 *
 * Source of rules:
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ A kube_auth
 * is shared by threads; kube_auth_headers() locks. */
#pragma once

#include "net/http.h"

struct kube_context {
    const char *name;                       /* of the context */
    const char *cluster, *user, *namespace; /* namespace may be NULL */
};

struct kubeconfig;

/* paths: colon-separated list; NULL: $KUBECONFIG, else ~/.kube/config. A missing file of a list is
 * skipped like kubectl does, when none exists that is an error. Errors name file, line, column. */
int kubeconfig_load(const char *paths, struct kubeconfig **ret, struct err *e);
void kubeconfig_free(struct kubeconfig *k);
size_t kubeconfig_contexts(const struct kubeconfig *k, const struct kube_context **ret);
const char *kubeconfig_current(const struct kubeconfig *k); /* or NULL */
/* NULL name: the current context. -ENOENT names the contexts there are, and the nearest one. */
int kubeconfig_context(const struct kubeconfig *k, const char *name,
                       const struct kube_context **ret, struct err *e);

struct kube_auth;
/* Resolves a context into where and how to connect. `k` may be freed afterwards. */
int kube_auth_new(const struct kubeconfig *k, const struct kube_context *ctx,
                  struct kube_auth **ret, struct err *e);
/* From the service account mounted into a pod (KUBERNETES_SERVICE_HOST etc.). */
int kube_auth_in_cluster(struct kube_auth **ret, struct err *e);
void kube_auth_free(struct kube_auth *a);
const char *
kube_auth_server(const struct kube_auth *a); /* https://host:port[/prefix], no trailing / */
/* SHA-256 (hex) over the cluster's CA certificates, "" when none is given. Stable identity part. */
const char *kube_auth_ca_fingerprint(const struct kube_auth *a);

/* The TLS identity and the Authorization header ("Authorization: ..." or NULL) as of now; runs the
 * exec plugin or re-reads the token file when due. force: a 401 came back, get a new one. The
 * header lives in `arena`, the texts of ret_tls as long as the kube_auth, replaced ones too. */
int kube_auth_get(struct kube_auth *a, struct arena *arena, bool force, struct http_tls *ret_tls,
                  char **ret_header, struct err *e);
/* One line for people, without any credential: "client certificate", "token", "exec aws". */
const char *kube_auth_kind(const struct kube_auth *a);
