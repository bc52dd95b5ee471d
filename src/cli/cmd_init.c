#include <errno.h>

#include "base/file.h"
#include "cli/commands.h"

static const char *pick(const struct kube_context *v, size_t n, const char *given, size_t nth) {
    return given ? given : nth < n ? v[nth].name : NULL;
}

static void write_text(struct sb *b, const char *ctx_a, const char *ctx_b, const char *others) {
    sb_fmt(b,
           "# The environment that tandem upgrades. Every key is described in docs/CONFIG.md.\n"
           "apiVersion: tandem.dev/v1\n"
           "kind: Environment\n"
           "metadata: {name: prod}\n"
           "\n"
           "# The two slots. Which one is live changes with every upgrade.\n"
           "%s"
           "clusters:\n"
           "  a: {context: %s}\n"
           "  b: {context: %s}\n"
           "\n"
           "# What was done, what is to be done: keep it safe, it is the way to resume.\n"
           "journal: ./tandem.db\n"
           "\n"
           "# Default: everything that no cluster makes by itself.\n"
           "# select:\n"
           "#   namespaces: {exclude: [scratch-*]}\n"
           "\n"
           "# Before the built-in rules; the first match decides.\n"
           "# rules:\n"
           "#   - match: {kind: Secret, name: legacy-*}\n"
           "#     verdict: skip\n"
           "#     why: replaced by External Secrets\n"
           "\n"
           "# Storage classes that are called something else in the other cluster.\n"
           "# storageClasses: {gp2: gp3}\n"
           "\n"
           "# The load balancer that clients come through (docs/TRAFFIC.md).\n"
           "# traffic:\n"
           "#   tiers:\n"
           "#     frontend:\n"
           "#       driver: haproxy\n"
           "#       sockets: [/run/haproxy/admin.sock]\n"
           "#       map: /etc/haproxy/tandem.map\n"
           "#       live: {a: paas_a, b: paas_b}\n"
           "#       prelive: {follows: idle, url: \"https://prelive.example.com\"}\n"
           "#   steps: [5, 25, 50, 100]\n"
           "#   hold: 5m\n"
           "\n"
           "# Requests that show whether anything is lost.\n"
           "# probes:\n"
           "#   main:\n"
           "#     url: https://www.example.com/healthz\n"
           "#     rate: 50/s\n"
           "#     identify: {header: X-Cluster}\n"
           "#     abort: {failures: 1%%, window: 10s, atLeast: 50}\n"
           "\n"
           "# Checks of the idle cluster before it gets traffic.\n"
           "# smoke:\n"
           "#   - {name: login, http: \"https://www.example.com/login\", expect: {status: 200}}\n",
           others, ctx_a ? ctx_a : "CONTEXT-OF-A", ctx_b ? ctx_b : "CONTEXT-OF-B");
}

static int work(const struct common *m, struct err *e) {
    const char *path = m->session.config ? m->session.config : "tandem.yaml";
    struct kubeconfig *k = NULL;
    const struct kube_context *v = NULL;
    AUTO_SB others = SB_INIT(0), text = SB_INIT(0);
    if (m->session.read_only)
        return err_set(e, -EGUARD, "--read-only: init writes %s", path);
    if (file_exists(path) && !m->yes)
        return err_set(e, -EGUARD, "%s exists; --yes replaces it", path);
    int r = kubeconfig_load(NULL, &k, e);
    if (r < 0 && !(m->session.context_a && m->session.context_b))
        return r;
    size_t n = k ? kubeconfig_contexts(k, &v) : 0;
    sb_str(&others, n ? "# Contexts in your kubeconfig:" : "");
    for (size_t i = 0; i < n; i++)
        sb_fmt(&others, " %s", v[i].name);
    sb_str(&others, n ? "\n" : "");
    write_text(&text, pick(v, n, m->session.context_a, 0), pick(v, n, m->session.context_b, 1),
               sb_get(&others));
    kubeconfig_free(k);
    r = file_write_atomic(path, text.p, text.len, 0644, e);
    if (r >= 0)
        log_info("wrote %s; look it through, then: tandem doctor", path);
    return r;
}

int cmd_init(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, NULL, &m, &args, &code) < 0)
        return code;
    struct err e = {0};
    int r = work(&m, &e);
    common_done(&m);
    return r < 0 ? cli_fail(&e) : EXIT_DONE;
}
