#include "kube_bench.h"

#include "base/file.h"

const struct kube_resource pods = {
    .group = "", .version = "v1", .kind = "Pod", .plural = "pods", .namespaced = true};

void bench_write(struct bench *b, const char *name, const char *text) {
    struct err e = {0};
    const char *path = arena_printf(b->a, "%s/%s", b->dir, name);
    if (file_write_atomic(path, text, strlen(text), 0600, &e) < 0)
        fail_msg("%s", e.msg);
}

struct kube_auth *bench_auth(struct bench *b, int port) {
    bench_write(b, "token", "t1");
    bench_write(b, "config",
                arena_printf(b->a,
                             "clusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:%d'}\n"
                             "users:\n- name: jo\n  user: {tokenFile: token}\n"
                             "contexts:\n- name: x\n  context: {cluster: c, user: jo}\n",
                             port));
    struct kubeconfig *k = NULL;
    const struct kube_context *ctx;
    struct kube_auth *auth = NULL;
    struct err e = {0};
    const char *path = arena_printf(b->a, "%s/config", b->dir);
    if (kubeconfig_load(path, &k, &e) < 0 || kubeconfig_context(k, "x", &ctx, &e) < 0 ||
        kube_auth_new(k, ctx, &auth, &e) < 0)
        fail_msg("%s", e.msg);
    kubeconfig_free(k);
    return auth;
}

struct bench bench_before(struct api *api, const struct kube_client_opts *opts) {
    struct bench b = {.a = arena_new(), .http = http_client_new(), .api = api};
    snprintf(b.dir, sizeof b.dir, "%s", "/tmp/test-kube-XXXXXX");
    assert_non_null(mkdtemp(b.dir));
    b.c = kube_client_new(b.http, bench_auth(&b, api_port(b.api)), opts);
    return b;
}

struct bench bench_with(const struct api_row *rows, size_t n, const struct kube_client_opts *opts) {
    return bench_before(api_start(rows, n), opts);
}

struct bench bench_new(const struct api_row *rows, size_t n) {
    return bench_with(rows, n, &(struct kube_client_opts){.name = "A"});
}

void bench_free(struct bench *b) {
    kube_client_free(b->c);
    http_client_free(b->http);
    api_stop(b->api);
    unlink(arena_printf(b->a, "%s/config", b->dir));
    unlink(arena_printf(b->a, "%s/token", b->dir));
    rmdir(b->dir);
    arena_free(b->a);
}

void expect(int want, int got, const struct err *e) {
    if (want != got)
        fail_msg("%d instead of %d: %s", got, want, e->msg);
}

void says(const struct err *e, const char *text) {
    if (!strstr(e->msg, text))
        fail_msg("\"%s\" does not say \"%s\"", e->msg, text);
}

int bench_ask(struct bench *b, const char *method, const char *path, struct kube_resp *resp,
              struct err *e) {
    bool body = !str_eq(method, "GET") && !str_eq(method, "DELETE");
    struct kube_req req = {.method = method,
                           .path = path,
                           .body = body ? "{\"secret\":\"hunter2\"}" : NULL,
                           .body_len = body ? 20 : 0};
    *e = (struct err){0};
    *resp = (struct kube_resp){0};
    return kube_do(b->c, b->a, &req, resp, e);
}
