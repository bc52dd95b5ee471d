#include "run_bench.h"

#include "base/file.h"

static void write_file(const struct run_bench *b, const char *name, const char *text) {
    struct err e = {0};
    if (file_write_atomic(run_bench_path(b, name), text, strlen(text), 0600, &e) < 0)
        fail_msg("%s", e.msg);
}

void run_bench_good(int r, const struct err *e) {
    if (r < 0)
        fail_msg("%d: %s", r, e->msg);
}

const char *run_bench_path(const struct run_bench *b, const char *name) {
    return arena_printf(b->s->a, "%s/%s", b->dir, name);
}

static struct kube_client *client(const struct run_bench *b, int i) {
    struct kubeconfig *k = NULL;
    const struct kube_context *ctx;
    struct kube_auth *auth = NULL;
    struct err e = {0};
    run_bench_good(kubeconfig_load(run_bench_path(b, i ? "kube-b" : "kube-a"), &k, &e), &e);
    run_bench_good(kubeconfig_context(k, "x", &ctx, &e), &e);
    run_bench_good(kube_auth_new(k, ctx, &auth, &e), &e);
    kubeconfig_free(k);
    struct kube_client_opts o = {.name = i ? "B" : "A"};
    return kube_client_new(b->s->http, auth, &o);
}

static void open_slot(struct run_bench *b, int i) {
    write_file(b, i ? "kube-b" : "kube-a",
               arena_printf(b->s->a,
                            "clusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:%d'}\n"
                            "users:\n- name: jo\n  user: {token: t}\n"
                            "contexts:\n- name: x\n  context: {cluster: c, user: jo}\n",
                            api_port(store_api(b->store[i]))));
    b->s->cluster[i] = client(b, i);
    b->s->id[i] = (struct kube_identity){i ? "uid-b" : "uid-a", "ca"};
}

static void open_session(struct run_bench *b, const char *yaml) {
    struct err e = {0};
    struct session *s = b->s = xcalloc(1, sizeof *b->s);
    s->a = arena_new();
    s->http = http_client_new();
    s->source = 'a';
    s->destination = 'b';
    snprintf(s->actor, sizeof s->actor, "jo@desk");
    snprintf(b->dir, sizeof b->dir, "/tmp/test-run-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    write_file(b, "tandem.yaml",
               arena_printf(s->a,
                            "apiVersion: tandem.dev/v1\nkind: Environment\n"
                            "metadata: {name: prod}\n"
                            "clusters:\n  a: {context: paas-a}\n  b: {context: paas-b}\n%s",
                            yaml));
    run_bench_good(config_load(run_bench_path(b, "tandem.yaml"), &s->cfg, &e), &e);
    run_bench_good(journal_open(s->cfg->journal, false, &s->journal, &e), &e);
    s->recording = true;
    for (int i = 0; i < 2; i++)
        open_slot(b, i);
}

struct run_bench run_bench_new(const char *yaml) {
    struct err e = {0};
    struct run_bench b = {.store = {store_start(), store_start()}};
    open_session(&b, yaml);
    /* As session_begin_run() leaves it for whoever goes on with it: no Lease is held, nobody was
     * asked. */
    run_bench_good(journal_run_begin(b.s->journal, 'a', 'b', &b.s->run, &e), &e);
    b.s->run_open = true;
    session_event(b.s, "run begun", "a to b");
    run_bench_good(session_begin_run(b.s, &e), &e);
    return b;
}

struct run_bench run_bench_beside(const struct run_bench *other) {
    struct run_bench b = {.store = {other->store[0], other->store[1]}};
    open_session(&b, "");
    b.store[0] = b.store[1] = NULL; /* the other's to stop */
    return b;
}

void run_bench_free(struct run_bench *b) {
    static const char *const names[] = {"tandem.yaml",    "kube-a",        "kube-b",
                                        "tandem.db",      "tandem.db-wal", "tandem.db-shm",
                                        "tandem.db.lock", "tandem.db.sig"};
    struct store *store[] = {b->store[0], b->store[1]};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(run_bench_path(b, names[i]));
    session_close(b->s);
    for (size_t i = 0; i < 2; i++)
        if (store[i])
            store_stop(store[i]);
    assert_int_equal(rmdir(b->dir), 0);
}
