#include <errno.h>

#include "base/file.h"
#include "cli/commands.h"
#include "run/survey.h"

static const char head[] =
    "# The environment that tandem upgrades. Every key is described in docs/CONFIG.md.\n"
    "apiVersion: tandem.dev/v1\n"
    "kind: Environment\n"
    "metadata: {name: prod}\n\n";

static const char middle[] =
    "\n# What was done and what is still to be done: keep it safe, it is the way to resume.\n"
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
    "\n";

static const char traffic[] =
    "\n# The load balancer that clients come through (docs/TRAFFIC.md).\n"
    "# traffic:\n"
    "#   tiers:\n"
    "#     frontend:\n"
    "#       driver: haproxy\n"
    "#       sockets: [/run/haproxy/admin.sock]\n"
    "#       map: /etc/haproxy/tandem.map\n"
    "#       live: {a: paas_a, b: paas_b}\n"
    "#       prelive: {follows: idle, url: \"https://prelive.example.com\"}\n"
    "#   steps: [5, 25, 50, 100]\n"
    "#   hold: 5m\n";

static void write_contexts(struct sb *b, const struct kube_context *v, size_t n) {
    sb_str(b, n ? "# Contexts in your kubeconfig:" : "");
    for (size_t i = 0; i < n; i++)
        sb_fmt(b, " %s", v[i].name);
    sb_str(b, n ? "\n" : "");
}

static void write_clusters(struct sb *b, const char *ctx_a, const char *ctx_b) {
    sb_str(b, "# The two slots. Which one is live changes with every upgrade.\nclusters:\n  a: "
              "{context: ");
    sb_json(b, ctx_a, strlen(ctx_a));
    sb_str(b, "}\n  b: {context: ");
    sb_json(b, ctx_b, strlen(ctx_b));
    sb_str(b, "}\n");
}

static void write_classes(struct sb *b, const struct survey *v) {
    sb_str(b, "# Storage classes that are called something else in the other cluster.\n");
    if (!v->n_missing)
        sb_str(b, "# storageClasses: {gp2: gp3}\n");
    else
        sb_str(b, "# What b lacks, and is created there unless you map it:\n# storageClasses: {");
    for (size_t i = 0; i < v->n_missing; i++)
        sb_fmt(b, "%s%s: %s", i ? ", " : "", v->missing_classes[i],
               v->default_class_b ? v->default_class_b : "NAME-IN-B");
    sb_str(b, v->n_missing ? "}\n" : "");
}

static void write_probes(struct sb *b, const struct survey *v) {
    const char *host = v->n_hosts ? v->hosts[0] : "www.example.com";
    sb_fmt(b,
           "\n# Requests that show whether anything is lost%s.\n"
           "# probes:\n"
           "#   main:\n"
           "#     url: https://%s/\n"
           "#     rate: 50/s\n"
           "#     identify: {header: X-Cluster}\n"
           "#     abort: {failures: 1%%, window: 10s, atLeast: 50}\n"
           "\n"
           "# Checks of the idle cluster before it gets traffic.\n"
           "# smoke:\n",
           v->n_hosts ? ", on hosts found in a's Ingresses" : "", host);
    for (size_t i = 0; i < MAX(v->n_hosts, (size_t)1); i++)
        sb_fmt(b, "#   - {name: %s, http: \"https://%s/\", expect: {status: 200}}\n",
               v->n_hosts ? v->hosts[i] : host, v->n_hosts ? v->hosts[i] : host);
}

/* A look into the clusters; what does not answer is simply not known. */
static void look(const struct common *m, const char *ctx_a, const char *ctx_b, struct arena *a,
                 struct survey *ret) {
    struct session_opts so = m->session;
    struct session *s;
    so.config = NULL;
    so.context_a = ctx_a;
    so.context_b = ctx_b;
    so.read_only = true;
    *ret = (struct survey){0};
    if (session_open(&so, NEED_CLUSTERS | TOLERATE_DEAD, &s, NULL) < 0)
        return;
    survey_read(s, ret);
    for (size_t i = 0; i < ret->n_hosts; i++)
        ret->hosts[i] = arena_strdup(a, ret->hosts[i]);
    for (size_t i = 0; i < ret->n_missing; i++)
        ret->missing_classes[i] = arena_strdup(a, ret->missing_classes[i]);
    ret->default_class_b = arena_strdup(a, ret->default_class_b);
    cli_print_counts(s);
    session_close(s);
}

static int work(const struct common *m, struct err *e) {
    const char *path = m->session.config ? m->session.config : "tandem.yaml";
    struct kubeconfig *k = NULL;
    const struct kube_context *v = NULL;
    const char *a_name = m->session.context_a, *b_name = m->session.context_b;
    if (file_exists(path) && !m->yes)
        return err_set(e, -EGUARD, "%s exists; --yes replaces it", path);
    int r = kubeconfig_load(NULL, &k, e);
    if (r < 0 && !(a_name && b_name))
        return r;
    AUTO_ARENA a = arena_new();
    AUTO_SB text = SB_INIT(0);
    struct survey found = {0};
    size_t n = k ? kubeconfig_contexts(k, &v) : 0;
    /* Of more than two, which one is to be written to is not for us to guess. */
    a_name = a_name ? a_name : n == 2 ? v[0].name : NULL;
    b_name = b_name ? b_name : n == 2 ? v[1].name : NULL;
    if (a_name && b_name)
        look(m, a_name, b_name, a, &found);
    sb_str(&text, head);
    write_contexts(&text, v, n);
    write_clusters(&text, a_name ? a_name : "CONTEXT-OF-A", b_name ? b_name : "CONTEXT-OF-B");
    sb_str(&text, middle);
    write_classes(&text, &found);
    sb_str(&text, traffic);
    write_probes(&text, &found);
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
