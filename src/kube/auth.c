#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "kube/auth_impl.h"

/* A credential is renewed so long before its end that it is still good when it arrives. */
enum { LEEWAY_MS = 5000 };

static const char SERVICE_ACCOUNT[] = "/var/run/secrets/kubernetes.io/serviceaccount";

static struct kube_auth *auth_alloc(void) {
    struct kube_auth *a = xcalloc(1, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    a->a = arena_new();
    a->ca_fingerprint = "";
    return a;
}

void kube_auth_free(struct kube_auth *a) {
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    arena_free(a->a);
    xfree(a);
}

/* --- the cluster --- */

static const char *server_url(struct arena *a, const char *s) {
    size_t n = strlen(s);
    while (n && s[n - 1] == '/')
        n--;
    const char *scheme = strstr(s, "://") ? "" : "https://";
    return arena_printf(a, "%s%.*s", scheme, (int)n, s);
}

static int read_ca(struct kube_auth *auth, struct kc_view *v) {
    struct source ca = {0};
    if (auth_pem(v, "certificate-authority", &ca) < 0)
        return v->r;
    v->r = source_refresh(auth->a, &ca, false, v->e);
    if (v->r < 0)
        return err_ctx(v->e, v->r, "certificate-authority of cluster \"%s\"", v->en->name);
    if (ca.text && !strstr(ca.text, "-----BEGIN "))
        return v->r = kc_error(v->e, -EINVAL, v->en, NULL,
                               "certificate-authority of cluster \"%s\" holds no PEM block",
                               v->en->name);
    auth->tls.ca_pem = ca.text;
    auth->ca_fingerprint = auth_ca_fingerprint(auth->a, ca.text);
    return 0;
}

static bool is_loopback(const char *url) {
    static const char *const here[] = {"http://127.", "http://localhost:", "http://[::1]"};
    for (size_t i = 0; i < COUNT_OF(here); i++)
        if (str_starts(url, here[i]))
            return true;
    return false;
}

static void warn_unverified(const struct kube_auth *auth, const struct kc_entry *cluster) {
    if (auth->tls.insecure)
        log_warn("context %s: TLS is NOT verified (insecure-skip-tls-verify of cluster \"%s\"): "
                 "anybody on the way to %s can read and change everything",
                 auth->context, cluster->name, auth->server);
    else if (str_starts(auth->server, "http://") && !is_loopback(auth->server))
        log_warn("context %s: NO TLS at all (%s of cluster \"%s\"): anybody on the way can read "
                 "and change everything, the credential included",
                 auth->context, auth->server, cluster->name);
}

static int read_cluster(struct kube_auth *auth, const struct kc_entry *en, struct err *e) {
    struct kc_view v = {.en = en, .obj = en->v, .a = auth->a, .e = e};
    const char *server = kc_str(&v, "server");
    if (v.r >= 0 && !server)
        return kc_error(e, -EINVAL, en, NULL, "cluster \"%s\" has no server", en->name);
    auth->tls.server_name = kc_str(&v, "tls-server-name");
    auth->tls.insecure = kc_bool(&v, "insecure-skip-tls-verify");
    const char *proxy = kc_str(&v, "proxy-url");
    if (v.r < 0 || read_ca(auth, &v) < 0)
        return v.r;
    auth->server = server_url(auth->a, server);
    if (proxy)
        return kc_error(e, -ENOTSUP, en, yyjson_mut_obj_get(en->v, "proxy-url"),
                        "proxy-url of cluster \"%s\" is not supported; set HTTPS_PROXY in the "
                        "environment instead",
                        en->name);
    if (auth->tls.insecure && auth->tls.ca_pem)
        return kc_error(e, -EINVAL, en, NULL,
                        "cluster \"%s\" has both insecure-skip-tls-verify and a "
                        "certificate-authority; keep the second",
                        en->name);
    warn_unverified(auth, en);
    return 0;
}

/* --- the user --- */

static const char *join_impersonation(struct strvec *lines, struct kc_view *v) {
    const char *as = kc_str(v, "as"), *uid = kc_str(v, "as-uid");
    if (as)
        strvec_fmt(lines, "Impersonate-User: %s", as);
    if (uid)
        strvec_fmt(lines, "Impersonate-Uid: %s", uid);
    size_t i, j, max, most;
    yyjson_mut_val *g, *key, *list;
    yyjson_mut_arr_foreach (yyjson_mut_obj_get(v->obj, "as-groups"), i, max, g) {
        if (yyjson_mut_is_str(g))
            strvec_fmt(lines, "Impersonate-Group: %s", yyjson_mut_get_str(g));
    }
    yyjson_mut_obj_foreach (yyjson_mut_obj_get(v->obj, "as-user-extra"), i, max, key, list) {
        AUTO_SB name = SB_INIT(1024);
        sb_urlenc(&name, yyjson_mut_get_str(key));
        yyjson_mut_arr_foreach (list, j, most, g) {
            if (yyjson_mut_is_str(g))
                strvec_fmt(lines, "Impersonate-Extra-%s: %s", sb_get(&name), yyjson_mut_get_str(g));
        }
    }
    return as;
}

/* To drop "as" silently would act as somebody else than the file says. */
static int read_impersonation(struct kube_auth *auth, struct kc_view *v) {
    AUTO_STRVEC lines = {0};
    const char *as = join_impersonation(&lines, v);
    if (v->r < 0 || !lines.n)
        return v->r;
    if (!as)
        return v->r = kc_error(v->e, -EINVAL, v->en, NULL,
                               "user \"%s\" impersonates groups, but no user (as)", v->en->name);
    const char **out = arena_array(auth->a, const char *, lines.n + 1);
    for (size_t i = 0; i < lines.n; i++) {
        if (strpbrk(lines.v[i], "\r\n"))
            return v->r = kc_error(v->e, -EINVAL, v->en, NULL,
                                   "user \"%s\": as must not hold line breaks", v->en->name);
        out[i] = arena_strdup(auth->a, lines.v[i]);
    }
    auth->impersonate = out;
    return 0;
}

static int read_basic(struct kube_auth *auth, struct kc_view *v) {
    const char *name = kc_str(v, "username"), *password = kc_str(v, "password");
    if (v->r < 0 || (!name && !password))
        return v->r;
    AUTO_ARENA tmp = arena_new();
    const char *both = arena_printf(tmp, "%s:%s", name ? name : "", password ? password : "");
    auth->basic =
        arena_printf(auth->a, "Authorization: Basic %s", base64_encode(tmp, both, strlen(both)));
    return 0;
}

static int read_exec(struct kube_auth *auth, struct kc_view *v, const struct kc_entry *cluster) {
    yyjson_mut_val *exec = yyjson_mut_obj_get(v->obj, "exec");
    if (!exec || yyjson_mut_is_null(exec))
        return 0;
    if (!yyjson_mut_is_obj(exec))
        return v->r = kc_error(v->e, -EINVAL, v->en, exec, "exec must be a mapping");
    struct kc_view inner = {.en = v->en, .obj = exec, .a = auth->a, .e = v->e};
    return v->r = auth_exec_parse(&inner, auth, cluster, &auth->exec);
}

static int check_user(const struct kube_auth *auth, struct kc_view *v) {
    yyjson_mut_val *provider = yyjson_mut_obj_get(v->obj, "auth-provider");
    const char *user = v->en->name;
    if (provider && !yyjson_mut_is_null(provider))
        return v->r = kc_error(v->e, -ENOTSUP, v->en, provider,
                               "user \"%s\" uses an auth-provider, which Kubernetes removed in "
                               "1.26; use the exec plugin of your provider instead",
                               user);
    bool token = auth->token.path || auth->token.text;
    if (auth->basic && token)
        return v->r = kc_error(v->e, -EINVAL, v->en, NULL,
                               "user \"%s\" has both a token and a password; keep one", user);
    bool cert = auth->cert.path || auth->cert.text, key = auth->key.path || auth->key.text;
    if (cert != key)
        return v->r = kc_error(v->e, -EINVAL, v->en, NULL, "user \"%s\" has a client-%s but no %s",
                               user, cert ? "certificate" : "key",
                               cert ? "client-key" : "client-certificate");
    return 0;
}

static const char *kind_of(const struct kube_auth *auth) {
    if (auth->exec) {
        const char *slash = strrchr(auth->exec->argv[0], '/');
        return arena_printf(auth->a, "exec %s", slash ? slash + 1 : auth->exec->argv[0]);
    }
    if (auth->token.path)
        return "token file";
    if (auth->token.text)
        return "token";
    if (auth->basic)
        return "password";
    return auth->cert.path || auth->cert.text ? "client certificate" : "no credential";
}

static int read_user(struct kube_auth *auth, const struct kc_entry *en,
                     const struct kc_entry *cluster, struct err *e) {
    struct kc_view v = {.en = en, .obj = en->v, .a = auth->a, .e = e};
    auth->token.text = kc_str(&v, "token");
    auth->token.path = kc_path(&v, "tokenFile");
    if (v.r < 0 || auth_pem(&v, "client-certificate", &auth->cert) < 0 ||
        auth_pem(&v, "client-key", &auth->key) < 0 || read_basic(auth, &v) < 0 ||
        check_user(auth, &v) < 0 || read_impersonation(auth, &v) < 0 ||
        read_exec(auth, &v, cluster) < 0)
        return v.r;
    auth->kind = kind_of(auth);
    return 0;
}

/* --- making one --- */

static int missing(const struct kube_context *ctx, const char *what, const char *name,
                   struct err *e) {
    if (!name)
        return err_set(e, -EINVAL, "context \"%s\" names no %s", ctx->name, what);
    return err_set(e, -ENOENT, "context \"%s\": there is no %s \"%s\" in the kubeconfig", ctx->name,
                   what, name);
}

static int resolve(struct kube_auth *auth, const struct kubeconfig *k,
                   const struct kube_context *ctx, struct err *e) {
    const struct kc_entry *cluster = kubeconfig_cluster(k, ctx->cluster);
    const struct kc_entry *user = kubeconfig_user(k, ctx->user);
    if (!cluster)
        return missing(ctx, "cluster", ctx->cluster, e);
    if (!user && ctx->user)
        return missing(ctx, "user", ctx->user, e);
    auth->context = arena_strdup(auth->a, ctx->name);
    auth->user = arena_strdup(auth->a, ctx->user ? ctx->user : "");
    auth->kind = "no credential";
    int r = read_cluster(auth, cluster, e);
    return r < 0 || !user ? r : read_user(auth, user, cluster, e);
}

int kube_auth_new(const struct kubeconfig *k, const struct kube_context *ctx,
                  struct kube_auth **ret, struct err *e) {
    struct kube_auth *auth = auth_alloc();
    int r = resolve(auth, k, ctx, e);
    if (r < 0) {
        kube_auth_free(auth);
        return r;
    }
    *ret = auth;
    return 0;
}

int auth_in_cluster_from(const char *dir, struct kube_auth **ret, struct err *e) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (str_empty(host) || str_empty(port))
        return err_set(e, -ENOENT,
                       "not inside a cluster: KUBERNETES_SERVICE_HOST and _PORT are not set");
    struct kube_auth *auth = auth_alloc();
    bool v6 = strchr(host, ':');
    auth->server =
        arena_printf(auth->a, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    auth->context = "in-cluster";
    auth->user = "the pod's service account";
    auth->kind = "service account token";
    auth->token.path = arena_printf(auth->a, "%s/token", dir);
    struct source ca = {.path = arena_printf(auth->a, "%s/ca.crt", dir)};
    int r = source_refresh(auth->a, &ca, false, e);
    if (r >= 0)
        r = source_refresh(auth->a, &auth->token, false, e);
    if (r < 0) {
        kube_auth_free(auth);
        return err_ctx(e, r, "service account of this pod");
    }
    auth->tls.ca_pem = ca.text;
    auth->ca_fingerprint = auth_ca_fingerprint(auth->a, ca.text);
    *ret = auth;
    return 0;
}

int kube_auth_in_cluster(struct kube_auth **ret, struct err *e) {
    return auth_in_cluster_from(SERVICE_ACCOUNT, ret, e);
}

const char *kube_auth_server(const struct kube_auth *a) {
    return a->server;
}

const char *kube_auth_ca_fingerprint(const struct kube_auth *a) {
    return a->ca_fingerprint;
}

const char *kube_auth_kind(const struct kube_auth *a) {
    return a->kind;
}

/* --- using it; with the lock held --- */

static int refresh_exec(struct kube_auth *a, bool force, struct err *e) {
    if (!force && a->cred.valid && clock_wall_ms() < a->cred.expires_ms - LEEWAY_MS)
        return 0;
    struct exec_cred fresh;
    int r = auth_exec_run(a->a, a->exec, &fresh, e);
    if (r >= 0)
        a->cred = fresh;
    return r;
}

static int refresh(struct kube_auth *a, bool force, struct err *e) {
    struct source *all[] = {&a->token, &a->cert, &a->key};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        int r = source_refresh(a->a, all[i], force, e);
        if (r < 0)
            return err_ctx(e, r, "%s of user \"%s\"", a->kind, a->user);
    }
    if (a->exec) {
        int r = refresh_exec(a, force, e);
        if (r < 0)
            return r;
    }
    bool plugin = a->cred.cert;
    a->tls.cert_pem = plugin ? a->cred.cert : a->cert.text;
    a->tls.key_pem = plugin ? a->cred.key : a->key.text;
    return 0;
}

/* Length of the token without the line break that files end with. */
static int token_len(const char *t) {
    size_t n = strlen(t);
    while (n && strchr(" \t\r\n", t[n - 1]))
        n--;
    return (int)n;
}

static int header_of(const struct kube_auth *a, struct arena *arena, char **ret, struct err *e) {
    const char *t = a->cred.token ? a->cred.token : a->token.text;
    if (!t) {
        *ret = arena_strdup(arena, a->basic);
        return 0;
    }
    int n = token_len(t);
    if (n == 0 || strcspn(t, "\r\n") < (size_t)n)
        return err_set(e, -EINVAL, "%s of user \"%s\": it is empty or has several lines", a->kind,
                       a->user);
    *ret = arena_printf(arena, "Authorization: Bearer %.*s", n, t);
    return 0;
}

static int give(const struct kube_auth *a, struct arena *arena, struct http_tls *ret_tls,
                char **ret_header, struct err *e) {
    int r = header_of(a, arena, ret_header, e);
    if (r >= 0)
        *ret_tls = a->tls;
    return r;
}

int kube_auth_get(struct kube_auth *a, struct arena *arena, bool force, struct http_tls *ret_tls,
                  char **ret_header, struct err *e) {
    pthread_mutex_lock(&a->lock);
    int r = refresh(a, force, e);
    if (r >= 0)
        r = give(a, arena, ret_tls, ret_header, e);
    pthread_mutex_unlock(&a->lock);
    return r;
}

static bool same(const struct http_tls *x, const char *xh, const struct http_tls *y,
                 const char *yh) {
    return str_eq(x->cert_pem, y->cert_pem) && str_eq(x->key_pem, y->key_pem) && str_eq(xh, yh);
}

int kube_auth_renew(struct kube_auth *a, struct arena *arena, const struct http_tls *old_tls,
                    const char *old_header, struct http_tls *ret_tls, char **ret_header,
                    bool *ret_changed, struct err *e) {
    struct http_tls tls = {0};
    char *header = NULL;
    pthread_mutex_lock(&a->lock);
    /* Many threads get their 401 at once; one of them renews for all. */
    int r = give(a, arena, &tls, &header, e);
    if (r >= 0 && same(&tls, header, old_tls, old_header)) {
        r = refresh(a, true, e);
        if (r >= 0)
            r = give(a, arena, &tls, &header, e);
    }
    pthread_mutex_unlock(&a->lock);
    if (r < 0)
        return r;
    *ret_changed = !same(&tls, header, old_tls, old_header);
    *ret_tls = tls;
    *ret_header = header;
    return 0;
}
