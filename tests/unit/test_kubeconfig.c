/* kubeconfig: merging, paths, errors with places, and every way to get a credential. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/proc.h"
#include "kube/auth_impl.h"

/* Two certificates are enough for fingerprints; what is in them does not matter. */
#define CERT_1 "-----BEGIN CERTIFICATE-----\nQUJDRA==\n-----END CERTIFICATE-----\n"
#define CERT_1_WRAPPED                                                                             \
    "# a comment\n-----BEGIN CERTIFICATE-----\nQUJD\nRA==\n-----END CERTIFICATE-----\n"
#define CERT_2 "-----BEGIN CERTIFICATE-----\nRUZHSA==\n-----END CERTIFICATE-----\n"

static char dir[64];
static struct arena *mem;

static const char *in_dir(const char *name) {
    return arena_printf(mem, "%s/%s", dir, name);
}

static const char *put_mode(const char *name, const char *text, unsigned mode) {
    const char *path = in_dir(name);
    struct err e = {0};
    assert_int_equal(0, file_mkdirs(file_dirname(mem, path), 0700, &e));
    unlink(path);
    assert_int_equal(0, file_write_atomic(path, text, strlen(text), mode, &e));
    return path;
}

static const char *put(const char *name, const char *text) {
    return put_mode(name, text, 0600);
}

static int set_up(void **state) {
    (void)state;
    mem = arena_new();
    snprintf(dir, sizeof dir, "%s", "/tmp/test-kubeconfig-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    const char *const rm[] = {"rm", "-rf", dir, NULL};
    struct proc_result r;
    proc_run(mem, &(struct proc_run){.argv = rm}, &r, NULL);
    arena_free(mem);
    return 0;
}

/* --- loading --- */

#define TWO                                                                                        \
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"                                         \
    "clusters:\n- name: c\n  cluster: {server: 'https://c:6443/'}\n"                               \
    "users:\n- name: u\n  user: {token: from-first}\n"                                             \
    "contexts:\n"                                                                                  \
    "- name: one\n  context: {cluster: c, user: u, namespace: n1}\n"                               \
    "- name: other\n  context: {cluster: c, user: u}\n"

static struct kubeconfig *load(const char *paths) {
    struct kubeconfig *k = NULL;
    struct err e = {0};
    if (kubeconfig_load(paths, &k, &e) < 0)
        fail_msg("%s", e.msg);
    return k;
}

static void contexts_in_order(void **state) {
    (void)state;
    struct kubeconfig *k = load(put("config", TWO));
    const struct kube_context *c;
    assert_int_equal(2, kubeconfig_contexts(k, &c));
    assert_string_equal("one", c[0].name);
    assert_string_equal("c", c[0].cluster);
    assert_string_equal("u", c[0].user);
    assert_string_equal("n1", c[0].namespace);
    assert_string_equal("other", c[1].name);
    assert_null(c[1].namespace);
    assert_string_equal("one", kubeconfig_current(k));
    struct err e = {0};
    assert_int_equal(0, kubeconfig_context(k, NULL, &c, &e));
    assert_string_equal("one", c->name);
    kubeconfig_free(k);
}

static struct kube_auth *auth_of(const char *paths, const char *context) {
    struct kubeconfig *k = load(paths);
    const struct kube_context *c;
    struct kube_auth *a = NULL;
    struct err e = {0};
    if (kubeconfig_context(k, context, &c, &e) < 0 || kube_auth_new(k, c, &a, &e) < 0)
        fail_msg("%s", e.msg);
    kubeconfig_free(k); /* the auth must not need it any more */
    return a;
}

static const char *header(struct kube_auth *a, bool force) {
    struct http_tls tls;
    char *h = NULL;
    struct err e = {0};
    if (kube_auth_get(a, mem, force, &tls, &h, &e) < 0)
        fail_msg("%s", e.msg);
    return h;
}

static void first_file_wins_whole(void **state) {
    (void)state;
    const char *first = put("first", TWO);
    const char *second = put("second", "current-context: late\n"
                                       "clusters:\n- name: c\n  cluster: {server: 'https://late', "
                                       "insecure-skip-tls-verify: true}\n"
                                       "- name: c2\n  cluster: {server: 'https://c2'}\n"
                                       "users:\n- name: u\n  user: {token: late}\n"
                                       "contexts:\n- name: one\n  context: {cluster: c2}\n"
                                       "- name: late\n  context: {cluster: c2, user: u}\n");
    const char *both = arena_printf(mem, "%s:%s::%s", first, in_dir("absent"), second);
    struct kubeconfig *k = load(both);
    const struct kube_context *c;
    assert_int_equal(3, kubeconfig_contexts(k, &c));
    assert_string_equal("c", c[0].cluster);
    assert_string_equal("one", kubeconfig_current(k));
    kubeconfig_free(k);

    struct kube_auth *a = auth_of(both, "one");
    assert_string_equal("https://c:6443", kube_auth_server(a));
    assert_false(a->tls.insecure);
    kube_auth_free(a);
    a = auth_of(both, "late");
    assert_string_equal("https://c2", kube_auth_server(a));
    assert_string_equal("Authorization: Bearer from-first", header(a, false));
    kube_auth_free(a);
}

static void environment_names_the_files(void **state) {
    (void)state;
    setenv("KUBECONFIG", put("env", TWO), 1);
    struct kubeconfig *k = load(NULL);
    assert_string_equal("one", kubeconfig_current(k));
    kubeconfig_free(k);
    put("home/.kube/config", "current-context: home\n");
    setenv("KUBECONFIG", "", 1);
    setenv("HOME", in_dir("home"), 1);
    k = load(NULL);
    assert_string_equal("home", kubeconfig_current(k));
    kubeconfig_free(k);
}

/* Errors of loading: what is wrong and where. */
static void load_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"- a\n", ":1:1: a kubeconfig must be a mapping"},
        {"kind: Pod\n", ":1:7: this is no kubeconfig"},
        {"clusters: {a: b}\n", ":1:11: clusters must be a list"},
        {"clusters:\n- cluster: {}\n", "no name that is a string"},
        {"clusters:\n- name: 12\n  cluster: {}\n", ":2:9: an entry of clusters has no name"},
        {"users:\n- name: u\n  user: [x]\n", ":3:9: user of users \"u\" must be a mapping"},
        {"users:\n- name: u\n  user: {}\n- name: u\n  user: {}\n", ":4:9: users names \"u\" twice"},
        {"contexts:\n- name: c\n  context: {cluster: 5}\n", ":3:22: cluster must be a string"},
        {"clusters: [\n", "config:"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = put("config", rows[i].text);
        struct kubeconfig *k = NULL;
        struct err e = {0};
        assert_true(kubeconfig_load(path, &k, &e) < 0);
        assert_null(k);
        if (!strstr(e.msg, rows[i].says) || !str_starts(e.msg, path))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, e.msg, rows[i].says);
    }
}

static void no_file_at_all(void **state) {
    (void)state;
    struct kubeconfig *k = NULL;
    struct err e = {0};
    const char *paths = arena_printf(mem, "%s:%s", in_dir("x"), in_dir("y"));
    assert_int_equal(-ENOENT, kubeconfig_load(paths, &k, &e));
    assert_non_null(strstr(e.msg, "does not exist"));
}

static void one_that_cannot_be_read(void **state) {
    (void)state;
    struct kubeconfig *k = NULL;
    struct err e = {0};
    assert_int_equal(0, symlink("loop", in_dir("loop")));
    assert_true(kubeconfig_load(in_dir("loop"), &k, &e) < 0);
    assert_null(strstr(e.msg, "does not exist"));
    assert_non_null(strstr(e.msg, "symbolic links"));
}

static void unknown_context_names_the_nearest(void **state) {
    (void)state;
    struct kubeconfig *k = load(put("config", TWO));
    const struct kube_context *c = NULL;
    struct err e = {0};
    assert_int_equal(-ENOENT, kubeconfig_context(k, "othr", &c, &e));
    assert_non_null(strstr(e.msg, "no context \"othr\"; did you mean \"other\"?"));
    assert_non_null(strstr(e.msg, "one, other"));
    assert_int_equal(-ENOENT, kubeconfig_context(k, "quite-different", &c, &e));
    assert_null(strstr(e.msg, "did you mean"));
    kubeconfig_free(k);
    k = load(put("config", "contexts: []\n"));
    assert_int_equal(-ENOENT, kubeconfig_context(k, NULL, &c, &e));
    assert_non_null(strstr(e.msg, "no current-context"));
    kubeconfig_free(k);
}

/* --- resolving --- */

/* A kubeconfig with one context x out of a cluster and a user in flow style. */
static const char *config(const char *cluster, const char *user) {
    return put("config",
               arena_printf(mem,
                            "clusters:\n- name: c\n  cluster: %s\nusers:\n- name: u\n  user: %s\n"
                            "contexts:\n- name: x\n  context: {cluster: c, user: u}\n",
                            cluster, user));
}

static int try_auth(const char *cluster, const char *user, struct err *e) {
    struct kubeconfig *k = load(config(cluster, user));
    const struct kube_context *c;
    assert_int_equal(0, kubeconfig_context(k, "x", &c, e));
    struct kube_auth *a = NULL;
    int r = kube_auth_new(k, c, &a, e);
    kube_auth_free(a);
    kubeconfig_free(k);
    return r;
}

#define SERVER "{server: 'https://h'}"
#define EXEC   "client.authentication.k8s.io/"

static void auth_errors(void **state) {
    (void)state;
    static const struct {
        const char *cluster, *user;
        int code;
        const char *says;
    } rows[] = {
        {"{}", "{}", -EINVAL, ":3:12: cluster \"c\" has no server"},
        {"{server: 5}", "{}", -EINVAL, ":3:21: server must be a string"},
        {"{server: 'https://h', proxy-url: 'http://p'}", "{}", -ENOTSUP, "proxy-url"},
        {"{server: 'https://h', certificate-authority-data: '%%'}", "{}", -EINVAL,
         "certificate-authority-data is not base64"},
        {"{server: 'https://h', certificate-authority-data: QUJD}", "{}", -EINVAL, "no PEM block"},
        {"{server: 'https://h', certificate-authority: absent.pem}", "{}", -ENOENT, "absent.pem"},
        {"{server: 'https://h', insecure-skip-tls-verify: 'yes'}", "{}", -EINVAL, "true or false"},
        {SERVER, "{token: 7}", -EINVAL, "token must be a string"},
        {SERVER, "{token: t, username: a, password: b}", -EINVAL, "both a token and a password"},
        {SERVER, "{client-certificate: a.pem}", -EINVAL, "but no client-key"},
        {SERVER, "{client-key: a.pem}", -EINVAL, "but no client-certificate"},
        {SERVER, "{auth-provider: {name: gcp}}", -ENOTSUP, "removed in 1.26"},
        {SERVER, "{as-groups: [g]}", -EINVAL, "impersonates groups, but no user"},
        {SERVER, "{exec: {command: p}}", -EINVAL, "needs apiVersion"},
        {SERVER, "{exec: {command: p, apiVersion: " EXEC "v1alpha1}}", -EINVAL, "v1alpha1"},
        {SERVER, "{exec: {apiVersion: " EXEC "v1}}", -EINVAL, "has no command"},
        {SERVER, "{exec: {command: p, apiVersion: " EXEC "v1, interactiveMode: Always}}", -ENOTTY,
         "needs a terminal"},
        {SERVER, "{exec: {command: p, apiVersion: " EXEC "v1, interactiveMode: Maybe}}", -EINVAL,
         "IfAvailable, Never or Always"},
        {SERVER, "{exec: {command: p, apiVersion: " EXEC "v1, env: [{value: x}]}}", -EINVAL,
         "no name"},
        {SERVER, "{exec: {command: p, apiVersion: " EXEC "v1, args: [1]}}", -EINVAL,
         "args must be strings"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        int r = try_auth(rows[i].cluster, rows[i].user, &e);
        if (r != rows[i].code || !strstr(e.msg, rows[i].says))
            fail_msg("row %zu: %d \"%s\" instead of %d \"%s\"", i, r, e.msg, rows[i].code,
                     rows[i].says);
    }
}

static void kinds(void **state) {
    (void)state;
    put("a.pem", CERT_1);
    put("token", "t");
    static const struct {
        const char *user, *kind;
    } rows[] = {
        {"{}", "no credential"},
        {"{token: t}", "token"},
        {"{tokenFile: token}", "token file"},
        {"{username: a, password: b}", "password"},
        {"{client-certificate: a.pem, client-key: a.pem}", "client certificate"},
        {"{exec: {command: /opt/bin/aws, apiVersion: " EXEC "v1beta1}}", "exec aws"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kube_auth *a = auth_of(config(SERVER, rows[i].user), "x");
        assert_string_equal(rows[i].kind, kube_auth_kind(a));
        kube_auth_free(a);
    }
}

static void servers(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"https://h:6443/", "https://h:6443"},
        {"https://h/k8s/clusters/c-1//", "https://h/k8s/clusters/c-1"},
        {"http://127.0.0.1:8001", "http://127.0.0.1:8001"},
        {"h:6443", "https://h:6443"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kube_auth *a =
            auth_of(config(arena_printf(mem, "{server: '%s'}", rows[i][0]), "{}"), "x");
        assert_string_equal(rows[i][1], kube_auth_server(a));
        kube_auth_free(a);
    }
}

static void files_are_relative_to_their_kubeconfig(void **state) {
    (void)state;
    put("sub/ca.pem", CERT_1);
    put("sub/pki/cert.pem", CERT_2);
    put("sub/pki/key.pem", "-----BEGIN KEY-----\n");
    const char *path =
        put("sub/config", "clusters:\n- name: c\n  cluster: {server: 'https://h', "
                          "certificate-authority: ca.pem, tls-server-name: kubernetes}\n"
                          "users:\n- name: u\n  user: {client-certificate: pki/cert.pem, "
                          "client-key: ./pki/key.pem}\n"
                          "contexts:\n- name: x\n  context: {cluster: c, user: u}\n");
    struct kube_auth *a = auth_of(path, "x");
    struct http_tls tls;
    char *h = NULL;
    struct err e = {0};
    assert_int_equal(0, kube_auth_get(a, mem, false, &tls, &h, &e));
    assert_string_equal(CERT_1, tls.ca_pem);
    assert_string_equal(CERT_2, tls.cert_pem);
    assert_string_equal("-----BEGIN KEY-----\n", tls.key_pem);
    assert_string_equal("kubernetes", tls.server_name);
    assert_null(h);
    /* A certificate that is replaced is read again. */
    put("sub/pki/cert.pem", CERT_1);
    assert_int_equal(0, kube_auth_get(a, mem, false, &tls, &h, &e));
    assert_string_equal(CERT_1, tls.cert_pem);
    kube_auth_free(a);
}

static void data_wins_over_the_file(void **state) {
    (void)state;
    const char *data = base64_encode(mem, CERT_1, strlen(CERT_1));
    struct kube_auth *a =
        auth_of(config(arena_printf(mem,
                                    "{server: 'https://h', certificate-authority: absent, "
                                    "certificate-authority-data: %s}",
                                    data),
                       "{}"),
                "x");
    assert_string_equal(CERT_1, a->tls.ca_pem);
    kube_auth_free(a);
}

static void fingerprints(void **state) {
    (void)state;
    const char *one = auth_ca_fingerprint(mem, CERT_1);
    char want[SHA256_HEX];
    assert_string_equal(hash_sha256_hex("ABCD", 4, want), one);
    assert_string_equal(one, auth_ca_fingerprint(mem, CERT_1_WRAPPED));
    assert_string_not_equal(one, auth_ca_fingerprint(mem, CERT_2));
    assert_string_equal(auth_ca_fingerprint(mem, CERT_1 CERT_2),
                        auth_ca_fingerprint(mem, CERT_2 CERT_1));
    assert_string_not_equal(one, auth_ca_fingerprint(mem, CERT_1 CERT_2));
    assert_string_equal("", auth_ca_fingerprint(mem, NULL));
    assert_string_equal("", auth_ca_fingerprint(mem, "no certificate"));
}

static void password_and_impersonation(void **state) {
    (void)state;
    struct kube_auth *a = auth_of(config(SERVER, "{username: jo, password: 'p:w', as: ann, "
                                                 "as-groups: [g1, g2], as-uid: '7', "
                                                 "as-user-extra: {a/b: [v]}}"),
                                  "x");
    const char *want =
        arena_printf(mem, "Authorization: Basic %s", base64_encode(mem, "jo:p:w", 6));
    assert_string_equal(want, header(a, false));
    static const char *const lines[] = {"Impersonate-User: ann", "Impersonate-Uid: 7",
                                        "Impersonate-Group: g1", "Impersonate-Group: g2",
                                        "Impersonate-Extra-a%2Fb: v"};
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_string_equal(lines[i], a->impersonate[i]);
    assert_null(a->impersonate[COUNT_OF(lines)]);
    kube_auth_free(a);
}

/* --- token files --- */

static void token_file_is_read_again(void **state) {
    (void)state;
    put("token", "first\n");
    struct kube_auth *a = auth_of(config(SERVER, "{token: never, tokenFile: token}"), "x");
    assert_string_equal("Authorization: Bearer first", header(a, false));
    put("token", "second");
    assert_string_equal("Authorization: Bearer second", header(a, false));
    /* A token that is gone for a moment does not stop what runs. */
    unlink(in_dir("token"));
    assert_string_equal("Authorization: Bearer second", header(a, false));
    kube_auth_free(a);
}

static void bad_token_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {{NULL, "token: No such file"}, {"\n", "empty"}, {"a\nb\n", "several lines"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].text)
            put("token", rows[i].text);
        struct kube_auth *a = auth_of(config(SERVER, "{tokenFile: token}"), "x");
        struct http_tls tls;
        char *h = NULL;
        struct err e = {0};
        assert_true(kube_auth_get(a, mem, false, &tls, &h, &e) < 0);
        if (!strstr(e.msg, rows[i].says) || !strstr(e.msg, "user \"u\""))
            fail_msg("row %zu: %s", i, e.msg);
        assert_null(strstr(e.msg, "a\nb"));
        kube_auth_free(a);
    }
}

/* --- exec plugins --- */

static const char *plugin(const char *script) {
    return put_mode("plugin", arena_printf(mem, "#!/bin/sh\n%s", script), 0700);
}

static const char *exec_user(const char *more) {
    return arena_printf(mem,
                        "{exec: {command: ./plugin, apiVersion: " EXEC "v1, "
                        "interactiveMode: Never, args: [get, token], "
                        "env: [{name: STAGE, value: test}]%s}}",
                        more);
}

#define CREDENTIAL "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC "v1\",\"status\":"

/* Counts its calls; the token tells how many there were. */
#define COUNTING "echo x >> \"$0.calls\"; n=$(wc -l < \"$0.calls\"); "

static void plugin_is_asked_once(void **state) {
    (void)state;
    plugin(COUNTING "echo '" CREDENTIAL "{\"token\":\"'$1-$2-$STAGE-$n'\"}}'");
    struct kube_auth *a = auth_of(config(SERVER, exec_user("")), "x");
    assert_string_equal("exec plugin", kube_auth_kind(a));
    assert_string_equal("Authorization: Bearer get-token-test-1", header(a, false));
    assert_string_equal("Authorization: Bearer get-token-test-1", header(a, false));
    assert_string_equal("Authorization: Bearer get-token-test-2", header(a, true));
    kube_auth_free(a);
}

static void expired_plugin_credential_is_renewed(void **state) {
    (void)state;
    static const struct {
        int64_t lasts_ms;
        const char *second;
    } rows[] = {{3600000, "Authorization: Bearer 1"}, {-1000, "Authorization: Bearer 2"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char until[CLOCK_RFC3339_MAX];
        clock_rfc3339(clock_wall_ms() + rows[i].lasts_ms, until);
        unlink(in_dir("./plugin.calls"));
        plugin(arena_printf(mem,
                            COUNTING "echo '" CREDENTIAL
                                     "{\"token\":\"'$n'\",\"expirationTimestamp\":\"%s\"}}'",
                            until));
        struct kube_auth *a = auth_of(config(SERVER, exec_user("")), "x");
        assert_string_equal("Authorization: Bearer 1", header(a, false));
        assert_string_equal(rows[i].second, header(a, false));
        kube_auth_free(a);
    }
}

static void plugin_gives_a_certificate(void **state) {
    (void)state;
    plugin("echo '" CREDENTIAL "{\"clientCertificateData\":\"C\",\"clientKeyData\":\"K\"}}'");
    struct kube_auth *a = auth_of(config(SERVER, exec_user("")), "x");
    struct http_tls tls;
    char *h = NULL;
    struct err e = {0};
    assert_int_equal(0, kube_auth_get(a, mem, false, &tls, &h, &e));
    assert_string_equal("C", tls.cert_pem);
    assert_string_equal("K", tls.key_pem);
    assert_null(h);
    kube_auth_free(a);
}

static void plugin_is_told_the_cluster(void **state) {
    (void)state;
    plugin("echo \"$KUBERNETES_EXEC_INFO\" > \"$0.info\"; "
           "echo '" CREDENTIAL "{\"token\":\"t\"}}'");
    const char *cluster = "{server: 'https://h/', tls-server-name: n, extensions: [{name: " EXEC
                          "exec, extension: {audience: 5}}]}";
    for (int with = 0; with < 2; with++) {
        const char *user = exec_user(with ? ", provideClusterInfo: true" : "");
        struct kube_auth *a = auth_of(config(cluster, user), "x");
        header(a, false);
        kube_auth_free(a);
        char *text;
        size_t n;
        struct err e = {0};
        yyjson_val *info;
        assert_int_equal(0, file_read(mem, in_dir("plugin.info"), 65536, &text, &n, &e));
        assert_int_equal(0, json_parse(mem, text, n, &info, &e));
        assert_string_equal("ExecCredential", json_str(info, "kind"));
        assert_string_equal(EXEC "v1", json_str(info, "apiVersion"));
        assert_true(yyjson_is_false(json_get(info, "spec", "interactive")));
        yyjson_val *c = json_get(info, "spec", "cluster");
        assert_int_equal(with, c != NULL);
        if (with) {
            assert_string_equal("https://h", json_str(c, "server"));
            assert_string_equal("n", json_str(c, "tls-server-name"));
            assert_int_equal(5, json_int(json_get(c, "config", "audience"), 0));
        }
    }
}

static void plugin_errors(void **state) {
    (void)state;
    static const struct {
        const char *script;
        int code;
        const char *says;
    } rows[] = {
        {NULL, -ENOENT, "not found. Install it with: x"},
        {"echo one >&2; echo 'session over, log in' >&2; exit 3", -EPERM,
         "ended with exit code 3: session over, log in"},
        {"echo hello", -EBADMSG, "gave no JSON"},
        {"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC "v1beta1\"}'", -EBADMSG,
         "v1beta1 where ExecCredential " EXEC "v1 was asked for"},
        {"echo '" CREDENTIAL "{}}'", -EBADMSG, "neither a token nor a certificate"},
        {"echo '" CREDENTIAL "{\"clientKeyData\":\"SECRET\"}}'", -EBADMSG, "key without"},
        {"echo '" CREDENTIAL "{\"token\":\"SECRET\",\"expirationTimestamp\":\"x\"}}'", -EBADMSG,
         "no RFC 3339 time"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].script)
            plugin(rows[i].script);
        const char *user = exec_user(", installHint: 'Install it with: x'");
        struct kube_auth *a = auth_of(config(SERVER, user), "x");
        struct http_tls tls;
        char *h = NULL;
        struct err e = {0};
        int r = kube_auth_get(a, mem, false, &tls, &h, &e);
        if (r != rows[i].code || !strstr(e.msg, rows[i].says) || strstr(e.msg, "SECRET"))
            fail_msg("row %zu: %d %s", i, r, e.msg);
        kube_auth_free(a);
    }
}

static void in_cluster_needs_a_pod(void **state) {
    (void)state;
    unsetenv("KUBERNETES_SERVICE_HOST");
    struct kube_auth *a = NULL;
    struct err e = {0};
    assert_int_equal(-ENOENT, kube_auth_in_cluster(&a, &e));
    assert_non_null(strstr(e.msg, "not inside a cluster"));
}

static void in_cluster(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"10.0.0.1", "https://10.0.0.1:443"},
                                          {"fd00::1", "https://[fd00::1]:443"}};
    put("ca.crt", CERT_1);
    put("token", "pod\n");
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        setenv("KUBERNETES_SERVICE_HOST", rows[i][0], 1);
        struct kube_auth *a = NULL;
        struct err e = {0};
        assert_int_equal(0, auth_in_cluster_from(dir, &a, &e));
        assert_string_equal(rows[i][1], kube_auth_server(a));
        assert_string_equal("Authorization: Bearer pod", header(a, false));
        assert_string_equal(auth_ca_fingerprint(mem, CERT_1), kube_auth_ca_fingerprint(a));
        kube_auth_free(a);
    }
    unlink(in_dir("token"));
    struct kube_auth *a = NULL;
    struct err e = {0};
    assert_int_equal(-ENOENT, auth_in_cluster_from(dir, &a, &e));
    assert_non_null(strstr(e.msg, "service account of this pod"));
}

int main(void) {
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(contexts_in_order),
        ROW(first_file_wins_whole),
        ROW(environment_names_the_files),
        ROW(load_errors),
        ROW(no_file_at_all),
        ROW(one_that_cannot_be_read),
        ROW(unknown_context_names_the_nearest),
        ROW(auth_errors),
        ROW(kinds),
        ROW(servers),
        ROW(files_are_relative_to_their_kubeconfig),
        ROW(data_wins_over_the_file),
        ROW(fingerprints),
        ROW(password_and_impersonation),
        ROW(token_file_is_read_again),
        ROW(bad_token_files),
        ROW(plugin_is_asked_once),
        ROW(expired_plugin_credential_is_renewed),
        ROW(plugin_gives_a_certificate),
        ROW(plugin_is_told_the_cluster),
        ROW(plugin_errors),
        ROW(in_cluster_needs_a_pod),
        ROW(in_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
