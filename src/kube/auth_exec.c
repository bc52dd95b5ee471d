/* Credential plugins: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
 * #client-go-credential-plugins and the API client.authentication.k8s.io/v1. */
#include <errno.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/proc.h"
#include "kube/auth_impl.h"

enum { PLUGIN_TIMEOUT_MS = 120000, STDERR_SHOWN = 300 };

#define GROUP "client.authentication.k8s.io/"

/* --- reading the configuration --- */

static int check_version(struct kc_view *v, const char *version) {
    yyjson_mut_val *at = yyjson_mut_obj_get(v->obj, "apiVersion");
    if (str_eq(version, GROUP "v1") || str_eq(version, GROUP "v1beta1"))
        return 0;
    if (!version)
        return v->r = kc_error(v->e, -EINVAL, v->en, v->obj,
                               "exec of user \"%s\" needs apiVersion: " GROUP "v1", v->en->name);
    return v->r = kc_error(v->e, -EINVAL, v->en, at,
                           "exec of user \"%s\": apiVersion %s is not known (" GROUP
                           "v1 and v1beta1 are)",
                           v->en->name, version);
}

/* The child has no terminal: a plugin that insists on one is told so before it hangs. */
static int check_interactive(struct kc_view *v) {
    static const char *const modes[] = {"IfAvailable", "Never", "Always"};
    const char *mode = kc_str(v, "interactiveMode");
    yyjson_mut_val *at = yyjson_mut_obj_get(v->obj, "interactiveMode");
    if (v->r < 0 || !mode || str_eq(mode, modes[0]) || str_eq(mode, modes[1]))
        return v->r;
    if (str_eq(mode, modes[2]))
        return v->r = kc_error(v->e, -ENOTTY, v->en, at,
                               "exec of user \"%s\" needs a terminal (interactiveMode: Always), "
                               "and tandem runs without one; log in with the plugin first, or "
                               "use IfAvailable",
                               v->en->name);
    return v->r = kc_error(v->e, -EINVAL, v->en, at,
                           "interactiveMode must be IfAvailable, Never or Always");
}

static const char *const *parse_argv(struct kc_view *v) {
    const char *command = kc_str(v, "command");
    if (v->r >= 0 && !command)
        v->r = kc_error(v->e, -EINVAL, v->en, v->obj, "exec of user \"%s\" has no command",
                        v->en->name);
    if (v->r >= 0 && strchr(command, '/'))
        command = kc_path(v, "command");
    yyjson_mut_val *args = yyjson_mut_obj_get(v->obj, "args"), *arg;
    const char **argv = arena_array(v->a, const char *, yyjson_mut_arr_size(args) + 2);
    argv[0] = command;
    size_t i, max;
    yyjson_mut_arr_foreach (args, i, max, arg) {
        if (!yyjson_mut_is_str(arg) && v->r >= 0)
            v->r = kc_error(v->e, -EINVAL, v->en, arg, "args must be strings");
        argv[i + 1] = arena_strdup(v->a, yyjson_mut_get_str(arg));
    }
    return argv;
}

static const char *const *parse_env(struct kc_view *v, const char *info) {
    yyjson_mut_val *env = yyjson_mut_obj_get(v->obj, "env"), *item;
    const char **out = arena_array(v->a, const char *, yyjson_mut_arr_size(env) + 2);
    size_t i, max, n = 0;
    out[n++] = arena_printf(v->a, "KUBERNETES_EXEC_INFO=%s", info);
    yyjson_mut_arr_foreach (env, i, max, item) {
        struct kc_view one = {.en = v->en, .obj = item, .a = v->a, .r = v->r, .e = v->e};
        const char *name = kc_str(&one, "name"), *value = kc_str(&one, "value");
        if (one.r >= 0 && !name)
            one.r = kc_error(v->e, -EINVAL, v->en, item, "an entry of env has no name");
        v->r = one.r;
        if (v->r >= 0)
            out[n++] = arena_printf(v->a, "%s=%s", name, value ? value : "");
    }
    return out;
}

/* The extension that the plugin's own configuration travels in. */
static yyjson_mut_val *exec_config(const struct kc_entry *cluster) {
    size_t i, max;
    yyjson_mut_val *item;
    yyjson_mut_arr_foreach (yyjson_mut_obj_get(cluster->v, "extensions"), i, max, item) {
        if (str_eq(json_mut_str(item, "name"), GROUP "exec"))
            return yyjson_mut_obj_get(item, "extension");
    }
    return NULL;
}

static yyjson_mut_val *cluster_info(yyjson_mut_doc *d, struct arena *a,
                                    const struct kube_auth *auth, const struct kc_entry *cluster) {
    yyjson_mut_val *o = yyjson_mut_obj(d);
    json_mut_set_str(d, o, "server", auth->server);
    if (auth->tls.server_name)
        json_mut_set_str(d, o, "tls-server-name", auth->tls.server_name);
    if (auth->tls.insecure)
        json_mut_set_bool(d, o, "insecure-skip-tls-verify", true);
    if (auth->tls.ca_pem)
        json_mut_set_str(d, o, "certificate-authority-data",
                         base64_encode(a, auth->tls.ca_pem, strlen(auth->tls.ca_pem)));
    yyjson_mut_val *config = exec_config(cluster);
    if (config)
        json_mut_set(d, o, "config", yyjson_mut_val_mut_copy(d, config));
    return o;
}

static const char *exec_info(struct kc_view *v, const char *version, const struct kube_auth *auth,
                             const struct kc_entry *cluster) {
    yyjson_mut_doc *d = json_doc(v->a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_str(d, root, "kind", "ExecCredential");
    json_mut_set_str(d, root, "apiVersion", version);
    yyjson_mut_val *spec = json_mut_obj_at(d, root, "spec");
    json_mut_set_bool(d, spec, "interactive", false);
    if (kc_bool(v, "provideClusterInfo"))
        json_mut_set(d, spec, "cluster", cluster_info(d, v->a, auth, cluster));
    return json_mut_write(v->a, root, NULL);
}

int auth_exec_parse(struct kc_view *v, const struct kube_auth *auth, const struct kc_entry *cluster,
                    struct exec_plugin **ret) {
    const char *version = kc_str(v, "apiVersion");
    if (v->r < 0 || check_version(v, version) < 0 || check_interactive(v) < 0)
        return v->r;
    struct exec_plugin *p = arena_new_of(v->a, struct exec_plugin);
    *p = (struct exec_plugin){
        .user = arena_strdup(v->a, v->en->name),
        .api_version = version,
        .install_hint = kc_str(v, "installHint"),
        .argv = parse_argv(v),
    };
    p->env = parse_env(v, exec_info(v, version, auth, cluster));
    if (v->r >= 0)
        *ret = p;
    return v->r;
}

/* --- running --- */

/* What the plugin complained about: the last line of its stderr, cut. */
static const char *complaint(struct arena *a, const struct proc_result *out) {
    const char *end = out->err_out + out->err_len;
    while (end > out->err_out && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' '))
        end--;
    const char *p = end;
    while (p > out->err_out && p[-1] != '\n')
        p--;
    return arena_strndup(a, p, MIN((size_t)(end - p), (size_t)STDERR_SHOWN));
}

static int plugin_failed(struct arena *a, const struct exec_plugin *p,
                         const struct proc_result *out, struct err *e) {
    const char *why = complaint(a, out);
    if (out->timed_out)
        return err_set(e, -ETIMEDOUT,
                       "user \"%s\": the credential plugin %s did not end within %d s", p->user,
                       p->argv[0], PLUGIN_TIMEOUT_MS / 1000);
    return err_set(e, -EPERM, "user \"%s\": the credential plugin %s ended with exit code %d%s%s",
                   p->user, p->argv[0], out->status, *why ? ": " : "", why);
}

static int bad_answer(const struct exec_plugin *p, const char *what, struct err *e) {
    return err_set(e, -EBADMSG, "user \"%s\": the credential plugin %s gave %s", p->user,
                   p->argv[0], what);
}

static int parse_credential(struct arena *a, const struct exec_plugin *p,
                            const struct proc_result *out, struct exec_cred *ret, struct err *e) {
    yyjson_val *root;
    if (json_parse(a, out->out, out->out_len, &root, NULL) < 0)
        return bad_answer(p, "no JSON", e);
    const char *version = json_str(root, "apiVersion");
    if (!str_eq(json_str(root, "kind"), "ExecCredential") || !str_eq(version, p->api_version))
        return bad_answer(
            p,
            arena_printf(a, "%.64s where ExecCredential %s was asked for (check apiVersion)",
                         version ? version : "something", p->api_version),
            e);
    struct exec_cred c = {.valid = true,
                          .token = json_str(root, "status", "token"),
                          .cert = json_str(root, "status", "clientCertificateData"),
                          .key = json_str(root, "status", "clientKeyData"),
                          .expires_ms = INT64_MAX};
    c.token = str_empty(c.token) ? NULL : c.token;
    const char *until = json_str(root, "status", "expirationTimestamp");
    if (str_empty(c.cert) != str_empty(c.key))
        return bad_answer(p, "a certificate without a key, or a key without a certificate", e);
    if (str_empty(c.cert))
        c.cert = c.key = NULL;
    if (!c.token && !c.cert)
        return bad_answer(p, "neither a token nor a certificate", e);
    if (until && clock_parse_rfc3339(until, &c.expires_ms, NULL) < 0)
        return bad_answer(p, "an expirationTimestamp that is no RFC 3339 time", e);
    *ret = c;
    return 0;
}

int auth_exec_run(struct arena *a, const struct exec_plugin *p, struct exec_cred *ret,
                  struct err *e) {
    AUTO_ARENA tmp = arena_new();
    struct proc_run run = {.argv = p->argv, .env = p->env, .timeout_ms = PLUGIN_TIMEOUT_MS};
    struct proc_result out;
    log_debug("user \"%s\": running the credential plugin %s", p->user, p->argv[0]);
    int r = proc_run(tmp, &run, &out, e);
    if (r < 0)
        return err_set(e, r, "user \"%s\": the credential plugin %s cannot be run: %s%s%s", p->user,
                       p->argv[0], r == -ENOENT ? "not found" : strerror(-r),
                       p->install_hint ? ". " : "", p->install_hint ? p->install_hint : "");
    if (out.status != 0 || out.timed_out)
        return plugin_failed(tmp, p, &out, e);
    struct exec_cred c;
    r = parse_credential(tmp, p, &out, &c, e);
    if (r < 0)
        return r;
    c.token = arena_strdup(a, c.token);
    c.cert = arena_strdup(a, c.cert);
    c.key = arena_strdup(a, c.key);
    *ret = c;
    return 0;
}
