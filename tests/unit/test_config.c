#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/schema.h"
#include "run/config.h"

#define HEAD                                                                                       \
    "apiVersion: tandem.dev/v1\nkind: Environment\n"                                               \
    "clusters:\n  a: {context: paas-a}\n  b: {context: paas-b}\n"
/* HEAD has five lines: what follows starts in line 6. */

static char dir[] = "/tmp/test_config.XXXXXX";
static char path[64];

static int setup(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s/t.yaml", mkdtemp(dir));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static int load(const char *text, struct config **ret, struct err *e) {
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    return config_load(path, ret, e);
}

static struct config *load_ok(const char *text) {
    struct config *c = NULL;
    struct err e = {0};
    if (load(text, &c, &e) < 0)
        fail_msg("%s", e.msg);
    return c;
}

static const char *in_dir(const char *name) {
    static char out[128];
    snprintf(out, sizeof out, "%s/%s", dir, name);
    return out;
}

static void test_silences(void **state) {
    (void)state;
    struct config *c = load_ok(HEAD "hazards:\n"
                                    "  silence:\n"
                                    "    - {id: access, why: one}\n"
                                    "    - id: H6-load-balancer\n"
                                    "      match: {kind: Service, name: web-*, namespace: shop}\n"
                                    "      why: budgeted\n");
    assert_int_equal(c->n_silences, 2);
    assert_string_equal(c->silences[0].id, "access");
    assert_null(c->silences[0].kind);
    assert_string_equal(c->silences[1].id, "H6-load-balancer");
    assert_string_equal(c->silences[1].kind, "Service");
    assert_string_equal(c->silences[1].name, "web-*");
    assert_string_equal(c->silences[1].namespace, "shop");
    assert_string_equal(c->silences[1].why, "budgeted");
    config_free(c);
    c = load_ok(HEAD "hazards: {}\n");
    assert_int_equal(c->n_silences, 0);
    config_free(c);
}

static void test_defaults(void **state) {
    (void)state;
    struct config *c = load_ok(HEAD);
    assert_string_equal(c->path, path);
    assert_string_equal(c->dir, dir);
    assert_string_equal(c->name, "default");
    assert_null(c->cluster[0].kubeconfig);
    assert_string_equal(c->cluster[0].context, "paas-a");
    assert_string_equal(c->cluster[1].context, "paas-b");
    assert_string_equal(c->journal, in_dir("tandem.db"));
    assert_null(c->ns_include[0]);
    assert_null(c->ns_exclude[0]);
    assert_null(c->storage_class_from[0]);
    assert_null(c->storage_class_to[0]);
    assert_int_equal(c->n_rules + c->n_tiers + c->n_probes + c->n_smokes, 0);
    assert_int_equal(c->reads, 2);
    assert_int_equal(c->writes, 32);
    assert_int_equal(c->max_unready_pods, 200);
    assert_int_equal(c->n_steps, 3);
    assert_int_equal(c->steps[0], 5);
    assert_int_equal(c->steps[2], 100);
    assert_int_equal(c->hold_ms, 60000);
    assert_int_equal(c->bake_ms, 86400000);
    assert_null(c->identify_header);
    assert_null(c->gates_before[0]);
    assert_int_equal(c->approvers, 1);
    config_free(c);
}

static void test_hooks(void **state) {
    (void)state;
    struct config *c = load_ok(HEAD "journal: {path: j.db, signKey: key}\n"
                                    "notices: {clusters: false}\n"
                                    "hooks:\n"
                                    "  - {name: one, on: [before, after], exec: [./x, y]}\n"
                                    "  - {name: two, on: [before], stages: [switch], url: "
                                    "'https://h/x', secretFile: s, caFile: /c, timeout: 1s, "
                                    "retries: 0, policy: fail}\n");
    assert_string_equal(c->journal, in_dir("j.db"));
    assert_string_equal(c->sign_key, in_dir("key"));
    assert_false(c->tell_clusters);
    assert_true(c->mirror);
    assert_int_equal(c->n_hooks, 2);
    const struct config_hook *h = c->hooks;
    assert_string_equal(h[0].exec[1], "y");
    assert_string_equal(h[0].on[1], "after");
    assert_null(h[0].stages);
    assert_int_equal(h[0].timeout_ms, 10000);
    assert_int_equal(h[0].retries, 2);
    assert_false(h[0].must);
    assert_string_equal(h[1].url, "https://h/x");
    assert_string_equal(h[1].stages[0], "switch");
    assert_string_equal(h[1].secret_file, in_dir("s"));
    assert_string_equal(h[1].ca_file, "/c");
    assert_int_equal(h[1].timeout_ms, 1000);
    assert_int_equal(h[1].retries, 0);
    assert_true(h[1].must);
    config_free(c);
}

static void test_empty_sections(void **state) {
    (void)state;
    struct config *c =
        load_ok(HEAD "rules:\ntraffic:\n  tiers:\n  steps:\nprobes:\nsmoke:\nlimits:\n"
                     "gates:\n  before:\nstorageClasses:\nselect:\nmetadata:\n");
    assert_int_equal(c->n_rules, 0);
    assert_int_equal(c->n_steps, 3);
    assert_int_equal(c->reads, 2);
    config_free(c);
}

static void test_without_file(void **state) {
    (void)state;
    struct config *c;
    struct err e;
    assert_int_equal(config_default("x", NULL, &c, &e), 0);
    assert_string_equal(c->path, "");
    assert_string_equal(c->dir, "");
    assert_string_equal(c->journal, "./tandem.db");
    assert_string_equal(c->cluster[0].context, "x");
    assert_null(c->cluster[1].context);
    assert_int_equal(c->reads, 2);
    config_free(c);
    assert_int_equal(config_default("x", "x", &c, &e), -EINVAL);
    assert_int_equal(config_load("/nonexistent/tandem.yaml", &c, &e), -ENOENT);
    assert_non_null(strstr(e.msg, "tandem init"));
    config_free(NULL);
}

static void test_clusters(void **state) {
    (void)state;
    setenv("HOME", "/home/op", 1);
    setenv("TANDEM_CTX", "ctx-b", 1);
    struct config *c =
        load_ok("apiVersion: tandem.dev/v1\nkind: Environment\nmetadata: {name: prod-1}\n"
                "journal: /var/lib/tandem/prod.db\n"
                "clusters:\n"
                "  a: {kubeconfig: '~/.kube/config:kube/a:/etc/k'}\n"
                "  b: {kubeconfig: [kube/b, ~/b], context: '${TANDEM_CTX}'}\n"
                "select: {namespaces: {include: [a, b-*], exclude: [scratch-?]}}\n"
                "storageClasses: {gp2: gp3, old: new}\n"
                "limits: {reads: 4, writes: 64, maxUnreadyPods: 10}\n"
                "gates:\n  before: [migrate, switch]\n  approvers: 2\n  differ: true\n"
                "  checks:\n    switch: [[./ok.sh, -q], [\"true\"]]\n    retire:\n"
                "follow: {maxLag: 3s}\n");
    assert_string_equal(c->name, "prod-1");
    assert_string_equal(c->journal, "/var/lib/tandem/prod.db");
    char want[256];
    snprintf(want, sizeof want, "/home/op/.kube/config:%s/kube/a:/etc/k", dir);
    assert_string_equal(c->cluster[0].kubeconfig, want);
    assert_null(c->cluster[0].context);
    snprintf(want, sizeof want, "%s/kube/b:/home/op/b", dir);
    assert_string_equal(c->cluster[1].kubeconfig, want);
    assert_string_equal(c->cluster[1].context, "ctx-b");
    assert_string_equal(c->ns_include[1], "b-*");
    assert_null(c->ns_include[2]);
    assert_string_equal(c->ns_exclude[0], "scratch-?");
    assert_string_equal(c->storage_class_from[1], "old");
    assert_string_equal(c->storage_class_to[1], "new");
    assert_null(c->storage_class_from[2]);
    assert_int_equal(c->reads, 4);
    assert_int_equal(c->writes, 64);
    assert_int_equal(c->max_unready_pods, 10);
    assert_string_equal(c->gates_before[1], "switch");
    assert_true(c->approvers_differ);
    assert_int_equal(c->n_checks, 2);
    assert_string_equal(c->checks[0].stage, "switch");
    assert_string_equal(c->checks[0].exec[1], "-q");
    assert_string_equal(c->checks[1].exec[0], "true");
    assert_int_equal(c->max_lag_ms, 3000);
    assert_int_equal(c->approvers, 2);
    config_free(c);
}

static void test_rules(void **state) {
    (void)state;
    struct config *c =
        load_ok(HEAD "rules:\n"
                     "  - match: {kind: Secret, name: legacy-*}\n"
                     "    verdict: skip\n"
                     "    why: replaced\n"
                     "  - match: {group: apps, labels: 'role=consumer,!x,a.b/c!=d,e'}\n"
                     "    verdict: hold\n"
                     "  - match: {kind: ConfigMap, namespace: platform}\n"
                     "    patch: [{op: replace, path: /data/cluster, value: paas-b}]\n");
    assert_int_equal(c->n_rules, 3);
    const struct config_rule *r = c->rules;
    assert_string_equal(r[0].kind, "Secret");
    assert_string_equal(r[0].name, "legacy-*");
    assert_null(r[0].group);
    assert_null(r[0].labels);
    assert_string_equal(r[0].verdict, "skip");
    assert_string_equal(r[0].why, "replaced");
    assert_int_equal(r[0].line, 7);
    assert_string_equal(r[1].group, "apps");
    assert_string_equal(r[1].labels, "role=consumer,!x,a.b/c!=d,e");
    assert_int_equal(r[1].line, 10);
    assert_non_null(strstr(r[1].why, "line 10"));
    assert_null(r[2].verdict);
    assert_string_equal(r[2].namespace, "platform");
    assert_int_equal(yyjson_mut_arr_size(r[2].patch), 1);
    assert_string_equal(json_mut_str(yyjson_mut_arr_get(r[2].patch, 0), "value"), "paas-b");
    config_free(c);
}

static void test_traffic(void **state) {
    (void)state;
    struct config *c =
        load_ok(HEAD "traffic:\n"
                     "  tiers:\n"
                     "    frontend:\n"
                     "      driver: haproxy\n"
                     "      sockets: [/run/h.sock, run/h.sock, 'tcp://lb2:9999']\n"
                     "      map: maps/tandem.map\n"
                     "      live: {a: paas_a, b: paas_b}\n"
                     "      prelive: {follows: idle, url: 'https://pre.example.com'}\n"
                     "      sticky: {cookie: sid}\n"
                     "      timeout: 1.5s\n"
                     "    auth:\n"
                     "      driver: aws-elbv2\n"
                     "      live: {a: x, b: y}\n"
                     "      sticky: source\n"
                     "  steps: [1, 50]\n"
                     "  hold: 5m\n"
                     "  bake: 0\n");
    assert_int_equal(c->n_tiers, 2);
    const struct traffic_config *t = c->tiers;
    assert_string_equal(t[0].name, "frontend");
    assert_string_equal(t[0].driver, "haproxy");
    assert_string_equal(t[0].sockets[0], "/run/h.sock");
    assert_string_equal(t[0].sockets[1], in_dir("run/h.sock"));
    assert_string_equal(t[0].sockets[2], "tcp://lb2:9999");
    assert_null(t[0].sockets[3]);
    assert_string_equal(t[0].map, in_dir("maps/tandem.map"));
    assert_string_equal(t[0].live_a, "paas_a");
    assert_string_equal(t[0].live_b, "paas_b");
    assert_int_equal(t[0].timeout_ms, 1500);
    assert_string_equal(c->tier_prelive[0], "https://pre.example.com");
    assert_string_equal(t[1].name, "auth");
    assert_null(c->tier_prelive[1]);
    assert_int_equal(c->n_steps, 3);
    assert_int_equal(c->steps[0], 1);
    assert_int_equal(c->steps[1], 50);
    assert_int_equal(c->steps[2], 100);
    assert_int_equal(c->hold_ms, 300000);
    assert_int_equal(c->bake_ms, 0);
    config_free(c);
}

static void test_probes(void **state) {
    (void)state;
    struct config *c =
        load_ok(HEAD "probes:\n"
                     "  bare: {url: http://x/}\n"
                     "  pulse:\n"
                     "    url: https://pulse.example.com/healthz\n"
                     "    rate: 100/s\n"
                     "    identify: {header: X-Cluster}\n"
                     "    cookie: sid\n"
                     "    users: 7\n"
                     "    connections: 3\n"
                     "    timeout: 2s\n"
                     "    caFile: ca.pem\n"
                     "    insecure: true\n"
                     "    connectTo: 127.0.0.1:8443\n"
                     "    lanes: [reused]\n"
                     "    expect: {status: 204, body: ok}\n"
                     "    abort: {failures: 2.5%, of: destination, against: source, window: 20s, "
                     "atLeast: 9}\n"
                     "  slow: {url: http://x/, rate: 30/m, abort: {}, lanes: [new, reused]}\n"
                     "  num: {url: http://x/, rate: 2.5}\n");
    assert_int_equal(c->n_probes, 4);
    const struct config_probe *p = &c->probes[0];
    assert_string_equal(p->p.name, "bare");
    assert_true(p->p.rate == 10);
    assert_true(p->abort_failures == 0);
    assert_false(p->p.lane_new || p->p.lane_reused || p->p.insecure);
    p = &c->probes[1];
    assert_string_equal(p->p.url, "https://pulse.example.com/healthz");
    assert_true(p->p.rate == 100);
    assert_string_equal(p->p.identify_header, "X-Cluster");
    assert_string_equal(p->p.cookie, "sid");
    assert_int_equal(p->p.users, 7);
    assert_int_equal(p->p.connections, 3);
    assert_int_equal(p->p.timeout_ms, 2000);
    assert_string_equal(p->ca_file, in_dir("ca.pem"));
    assert_true(p->p.insecure);
    assert_string_equal(p->p.connect_to, "127.0.0.1:8443");
    assert_true(!p->p.lane_new && p->p.lane_reused);
    assert_int_equal(p->p.expect_status, 204);
    assert_string_equal(p->p.expect_body, "ok");
    assert_true(p->abort_failures == 0.025);
    assert_int_equal(p->abort_window_ms, 20000);
    assert_int_equal(p->abort_at_least, 9);
    p = &c->probes[2];
    assert_true(p->p.rate == 0.5);
    assert_true(p->abort_failures == 0.01);
    assert_int_equal(p->abort_window_ms, 10000);
    assert_int_equal(p->abort_at_least, 50);
    assert_true(p->p.lane_new && p->p.lane_reused);
    assert_true(c->probes[3].p.rate == 2.5);
    assert_string_equal(c->identify_header, "X-Cluster");
    config_free(c);
}

static void test_smoke(void **state) {
    (void)state;
    struct config *c =
        load_ok(HEAD "smoke:\n"
                     "  - {name: login, http: https://www.example.com/login, "
                     "via: https://prelive.example.com, expect: {status: 200, body: Sign in}, "
                     "caFile: /ca.pem, insecure: true}\n"
                     "  - {name: e2e, exec: [./e2e.sh, -v], timeout: 10m}\n"
                     "  - {name: quick, http: http://x/}\n");
    assert_int_equal(c->n_smokes, 3);
    const struct config_smoke *s = c->smokes;
    assert_string_equal(s[0].name, "login");
    assert_string_equal(s[0].http, "https://www.example.com/login");
    assert_string_equal(s[0].via, "https://prelive.example.com");
    assert_int_equal(s[0].expect_status, 200);
    assert_string_equal(s[0].expect_body, "Sign in");
    assert_string_equal(s[0].ca_file, "/ca.pem");
    assert_true(s[0].insecure);
    assert_null(s[0].exec);
    assert_string_equal(s[1].exec[0], "./e2e.sh");
    assert_string_equal(s[1].exec[1], "-v");
    assert_null(s[1].exec[2]);
    assert_int_equal(s[1].timeout_ms, 600000);
    assert_int_equal(s[2].timeout_ms, 10000);
    assert_int_equal(s[2].expect_status, 0);
    config_free(c);
}

#define TIER "traffic: {tiers: {web: {driver: haproxy, sockets: [s], map: m, live: {a: x, b: y}"

/* What follows HEAD, where the complaint stands, and what it says. */
static const struct {
    const char *yaml, *at, *what;
} wrong[] = {
    {"clusetrs: {}", "6:1: ", "unknown key \"clusetrs\"; did you mean \"clusters\"?"},
    {"zzz: 1", "6:1: ", "unknown key \"zzz\"\0"},
    {"metadata: {name: Prod}", "6:18: ", "metadata.name: must be written like prod, frontend-2"},
    {"metadata: {labels: x}", "6:12: ", "metadata: unknown key \"labels\""},
    {"journal: 7", "6:10: ", "journal: must be a string or a mapping, not a whole number"},
    {"journal: ''", "6:10: ", "must not be empty"},
    {"journal: \"a\\0b\"", "6:10: ", "NUL"},
    {"rules: {}", "6:8: ", "rules: must be a list, not a mapping"},
    {"rules: [x]", "6:9: ", "rules[0]: must be a mapping, not a string"},
    {"rules: [{match: {kind: X}, verdict: skpi}]", "6:37: ",
     "rules[0].verdict: must be one of create, skip, hold, block; did you mean \"skip\"?"},
    {"rules: [{verdict: skip}]", "6:9: ", "rules[0]: key \"match\" is missing"},
    {"rules: [{match: {}, verdict: skip}]", "6:9: ", "would match every object"},
    {"rules: [{match: {kind: X}}]", "6:9: ", "does nothing"},
    {"rules: [{match: {knd: X}, verdict: skip}]", "6:18: ", "did you mean \"kind\"?"},
    {"rules: [{match: {kind: X}, patch: {op: add}}]", "6:35: ", "patch: must be a list"},
    {"rules: [{match: {kind: X}, patch: []}]", "6:35: ", "needs at least 1 item"},
    {"rules: [{match: {kind: X}, patch: [{op: ad, path: /a}]}]", "6:41: ", "must be one of add"},
    {"rules: [{match: {kind: X}, patch: [{op: add, path: a, value: 1}]}]",
     "6:52: ", "patch[0].path: must be written like /data/cluster"},
    {"rules: [{match: {kind: X}, patch: [{op: add, path: /a}]}]",
     "6:36: ", "operation add needs \"value\""},
    {"rules: [{match: {kind: X}, patch: [{op: move, path: /a}]}]", "6:36: ", "needs \"from\""},
    {"rules: [{match: {kind: X}, verdict: skip, patch: [{op: remove, path: /a}]}]",
     "6:9: ", "no effect with verdict skip"},
    {"rules: [{match: {labels: 'a=b=c'}, verdict: skip}]", "6:26: ", "written like role=consumer"},
    {"rules: [{match: {labels: 'a,'}, verdict: skip}]", "6:26: ", "written like"},
    {"rules: [{match: {labels: 'a in (b)'}, verdict: skip}]", "6:26: ", "written like"},
    {"rules: [{match: {labels: ''}, verdict: skip}]", "6:26: ", "written like"},
    {"rules: [{match: {labels: '!a=b'}, verdict: skip}]", "6:26: ", "written like"},
    {"limits: {reads: 0}", "6:17: ", "limits.reads: must be at least 1"},
    {"limits: {reads: 65}", "6:17: ", "must be at most 64"},
    {"limits: {reads: 2.5}", "6:17: ", "must be a whole number, not a number"},
    {"limits: {reads: '2'}", "6:17: ", "must be a whole number, not a string"},
    {"limits: {reads: 1e1}", "6:17: ", "must be a whole number"},
    {"hazards: {silence: [{id: H1-cronjbo, why: w}]}", "6:", "did you mean \"H1-cronjob\"?"},
    {"hazards: {silence: [{id: H18-pods-fit, why: w}]}", "6:", "did you mean \"H18-no-node\"?"},
    {"hazards: {silence: [{id: H41-new, why: w}]}", "6:", "docs/HAZARDS.md has them all"},
    {"hazards: {silence: [{id: H1-cronjob}]}", "6:", "why"},
    {"hazards: {silence: [{id: H1-cronjob, why: ''}]}", "6:", "why"},
    {"hazards: {silence: [{id: H1-cronjob, why: w, match: {knd: X}}]}",
     "6:", "did you mean \"kind\"?"},
    {"limits: {raeds: 2}", "6:10: ", "did you mean \"reads\"?"},
    {"storageClasses: {a: }", "6:18: ", "no storage class is named for \"a\""},
    {"storageClasses: [a]", "6:17: ", "must be a mapping, not a list"},
    {"traffic: {steps: [5, 5]}", "6:22: ", "must rise: 5 stands after 5"},
    {"traffic: {steps: [50, 5]}", "6:23: ", "must rise"},
    {"traffic: {steps: [100, 200]}", "6:24: ", "at most 100"},
    {"traffic: {steps: [0, 100]}", "6:19: ", "at least 1"},
    {"traffic: {steps: []}", "6:18: ", "at least 1 item"},
    {"traffic: {steps: [5%]}", "6:19: ", "must be a whole number"},
    {"traffic: {hold: 5}", "6:17: ", "a duration needs its unit"},
    {"traffic: {hold: 5 minutes}", "6:17: ", "traffic.hold: must be written like 250ms, 10s"},
    {"traffic: {hold: -5m}", "6:17: ", "must be written like"},
    {"traffic: {bake: 99999h}", "6:17: ", "too long"},
    {TIER ", driver: x}}}", "6:", "duplicate key \"driver\""},
    {TIER ", sokets: x}}}", "6:", "traffic.tiers.web: unknown key \"sokets\"; did you mean"},
    {TIER ", prelive: {follows: live}}}}", "6:", "prelive.follows: must be one of idle"},
    {TIER ", prelive: {url: pre.example.com}}}}", "6:", "prelive.url: must be written like http"},
    {TIER ", sticky: cookie}}}", "6:", "sticky: must be written like source"},
    {TIER ", sticky: {}}}}", "6:", "sticky: key \"cookie\" is missing"},
    {TIER ", timeout: 60d}}}", "6:", "too long"},
    {"traffic: {tiers: {web: {driver: nginx, live: {a: x, b: y}}}}",
     "6:33: ", "must be one of haproxy, aws-elb, aws-elbv2, route53"},
    {"traffic: {tiers: {web: {live: {a: x, b: y}}}}", "6:24: ", "key \"driver\" is missing"},
    {"traffic: {tiers: {web: {driver: haproxy, live: {a: x, b: y}, map: m}}}",
     "6:24: ", "needs \"sockets\""},
    {"traffic: {tiers: {web: {driver: haproxy, live: {a: x, b: y}, sockets: [s]}}}",
     "6:24: ", "needs \"map\""},
    {"traffic: {tiers: {web: {driver: haproxy, live: {a: x, b: x}, sockets: [s], map: m}}}",
     "6:48: ", "are the same"},
    {"traffic: {tiers: {web: {driver: route53, live: {a: x}}}}",
     "6:48: ", "traffic.tiers.web.live: key \"b\" is missing"},
    {"traffic: {tiers: {web: {driver: haproxy, live: {a: x, b: y}, sockets: ['tcp://h'], map: m}}}",
     "6:72: ", "tcp://host:port"},
    {"traffic: {tiers: {We b: {driver: route53, live: {a: x, b: y}}}}", "6:19: ", "lower-case"},
    {"traffic: {tiers: {web: }}", "6:19: ", "this tier is empty"},
    {"probes: {p: {}}", "6:13: ", "probes.p: key \"url\" is missing"},
    {"probes: {p: }", "6:10: ", "this probe is empty"},
    {"probes: {P: {url: http://x}}", "6:10: ", "the name of a probe"},
    {"probes: {p: {url: ftp://x}}", "6:19: ", "probes.p.url: must be written like https://"},
    {"probes: {p: {url: x.example.com}}", "6:19: ", "must be written like https://"},
    {"probes: {p: {url: 'http://'}}", "6:19: ", "must be written like https://"},
    {"probes: {p: {url: 'http://x y/'}}", "6:19: ", "must be written like https://"},
    {"probes: {p: {url: http://x, rate: fast}}", "6:35: ", "must be written like 100/s"},
    {"probes: {p: {url: http://x, rate: 0/s}}", "6:35: ", "above 0"},
    {"probes: {p: {url: http://x, rate: 0}}", "6:35: ", "at least 0.01"},
    {"probes: {p: {url: http://x, rate: 999999/s}}", "6:35: ", "at most 100000"},
    {"probes: {p: {url: http://x, connectTo: x}}", "6:40: ", "must be written like lb1"},
    {"probes: {p: {url: http://x, identify: {}}}", "6:39: ", "key \"header\" is missing"},
    {"probes: {p: {url: http://x, identify: {header: 'X: y'}}}", "6:48: ", "X-Cluster"},
    {"probes: {p: {url: http://x, timeout: 0}}", "6:38: ", "above 0"},
    {"probes: {p: {url: http://x, insecure: yes}}",
     "6:39: ", "must be true or false, not a string"},
    {"probes: {p: {url: http://x, lanes: [old]}}", "6:37: ", "must be one of new, reused"},
    {"probes: {p: {url: http://x, expect: {status: 99}}}", "6:46: ", "at least 100"},
    {"probes: {p: {url: http://x, abort: {failures: 1}}}", "6:47: ", "must be a string"},
    {"probes: {p: {url: http://x, abort: {failures: 101%}}}", "6:47: ", "written like 1%"},
    {"probes: {p: {url: http://x, abort: {failures: 0%}}}", "6:47: ", "above 0%"},
    {"probes: {p: {url: http://x, abort: {window: 500ms}}}", "6:45: ", "whole seconds"},
    {"probes: {p: {url: http://x, abort: {window: 3m}}}", "6:45: ", "whole seconds"},
    {"smoke: [{name: x}]", "6:9: ", "either \"http\" or \"exec\""},
    {"smoke: [{name: x, http: http://x, exec: [y]}]", "6:9: ", "either \"http\" or \"exec\""},
    {"smoke: [{http: http://x}]", "6:9: ", "key \"name\" is missing"},
    {"smoke: [{name: x, exec: []}]", "6:25: ", "at least 1 item"},
    {"smoke: [{name: x, exec: ['']}]", "6:25: ", "the command is empty"},
    {"smoke: [{name: x, exec: [y], via: http://z}]", "6:35: ", "\"via\" has no effect"},
    {"smoke: [{name: x, exec: [y], timeout: 0s}]", "6:39: ", "above 0"},
    {"hooks: [{name: x, on: [before]}]", "6:9: ", "either \"exec\" or \"url\""},
    {"hooks: [{name: x, on: [before], exec: [y], url: http://z}]",
     "6:9: ", "either \"exec\" or \"url\""},
    {"hooks: [{name: x, exec: [y]}]", "6:9: ", "key \"on\" is missing"},
    {"hooks: [{name: x, on: [], exec: [y]}]", "6:23: ", "at least 1 item"},
    {"hooks: [{name: x, on: [befor], exec: [y]}]", "6:24: ", "did you mean \"before\"?"},
    {"hooks: [{name: x, on: [after], stages: [swich], exec: [y]}]",
     "6:41: ", "did you mean \"switch\"?"},
    {"hooks: [{name: x, on: [after], exec: ['']}]", "6:38: ", "the command is empty"},
    {"hooks: [{name: x, on: [after], exec: [y], secretFile: z}]", "6:55: ", "has no effect"},
    {"hooks: [{name: x, on: [after], exec: [y], policy: fail}]", "6:51: ", "called \"before\""},
    {"hooks: [{name: x, on: [after], exec: [y], timeout: 0}]", "6:52: ", "above 0"},
    {"hooks: [{name: x, on: [after], exec: [y], retries: 11}]", "6:52: ", "at most 10"},
    {"notices: {clusters: maybe}", "6:21: ", "must be true or false"},
    {"journal: {signKey: ''}", "6:20: ", "journal.signKey"},
    {"journal: {paht: x}", "6:11: ", "did you mean \"path\"?"},
    {"gates: {before: [mirgate]}", "6:18: ", "did you mean \"migrate\"?"},
    {"gates: {approvers: 0}", "6:20: ", "at least 1"},
    {"gates: {checks: {swich: [[x]]}}", "6:18: ", "did you mean \"switch\"?"},
    {"gates: {checks: {switch: [[]]}}", "6:27: ", "the command is empty"},
    {"follow: {maxlag: 1s}", "6:10: ", "did you mean \"maxLag\"?"},
    {"stacks: 7", "6:9: ", "must be a string or a list or a mapping, not a whole number"},
    {"consul: x", "6:9: ", "must be a mapping"},
    {"journal: ${TANDEM_NOT_SET}", "6:10: ", "TANDEM_NOT_SET is not set"},
};

static void expect_wrong(const char *text, const char *at, const char *what) {
    struct config *c = NULL;
    struct err e = {0};
    char where[128];
    snprintf(where, sizeof where, "%s:%s", path, at);
    if (load(text, &c, &e) >= 0)
        fail_msg("<%s> was accepted", text);
    if (!strstr(e.msg, where) || !strstr(e.msg, what))
        fail_msg("<%s>: %s", text, e.msg);
    assert_null(c);
}

static void test_wrong(void **state) {
    (void)state;
    unsetenv("TANDEM_NOT_SET");
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        char text[1024];
        snprintf(text, sizeof text, HEAD "%s\n", wrong[i].yaml);
        expect_wrong(text, wrong[i].at, wrong[i].what);
    }
}

static void test_wrong_heads(void **state) {
    (void)state;
#define KIND "apiVersion: tandem.dev/v1\nkind: Environment\n"
    static const struct {
        const char *yaml, *at, *what;
    } rows[] = {
        {"", "1:1: ", "must be a mapping, not empty"},
        {"x", "1:1: ", "must be a mapping, not a string"},
        {"kind: Environment\nclusters: {a: {context: x}, b: {context: y}}",
         "1:1: ", "key \"apiVersion\" is missing"},
        {"apiVersion: v2\nkind: Environment\nclusters: {a: {context: x}, b: {context: y}}",
         "1:13: ", "apiVersion: must be \"tandem.dev/v1\""},
        {KIND, "1:1: ", "key \"clusters\" is missing"},
        {KIND "clusters: {a: {context: x}}", "3:11: ", "clusters: key \"b\" is missing"},
        {KIND "clusters: {a: {context: x}, b: }", "3:11: ", "clusters: key \"b\" is missing"},
        {KIND "clusters: {a: {context: x}, b: {}}", "3:32: ", "needs a context"},
        {KIND "clusters: {a: {context: x}, b: {kubeconfig: ':'}}", "3:45: ", "no kubeconfig"},
        {KIND "clusters: {a: {context: x}, b: {kubeconfig: []}}", "3:45: ", "no kubeconfig"},
        {KIND "clusters: {a: {context: x}, b: {context: x}}", "3:32: ", "same context"},
        {KIND "clusters: {a: {context: x, kubeconfig: k}, b: {context: x, kubeconfig: [k]}}",
         "3:47: ", "same context"},
        {KIND "clusters: {a: {context: x}, b: {contxt: y}}",
         "3:33: ", "clusters.b: unknown key \"contxt\"; did you mean \"context\"?"},
        {KIND "clusters: {a: {context: x}, b: {context: y}, c: {context: z}}",
         "3:46: ", "unknown key \"c\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_wrong(rows[i].yaml, rows[i].at, rows[i].what);
}

static void test_same_context_of_two_files(void **state) {
    (void)state;
    config_free(load_ok(KIND "clusters:\n  a: {context: x, kubeconfig: k}\n"
                             "  b: {context: x, kubeconfig: l}\n"));
    config_free(load_ok(KIND "clusters:\n  a: {kubeconfig: k}\n  b: {kubeconfig: l}\n"));
}

static void test_later_keys(void **state) {
    (void)state;
    config_free(load_ok(HEAD "consul: {x: 1}\nkeycloak: {y: [1]}\ns3: {}\ndeployers: [{z: 1}]\n"
                             "stacks: stacks/*.yaml\n"));
    config_free(load_ok(HEAD "deployers: {jenkins: {url: x}}\nstacks: [a.yaml]\n"));
}

static void test_all_complaints(void **state) {
    (void)state;
    struct config *c = NULL;
    struct err e;
    assert_true(load(HEAD "limits: {reads: 0}\njournal: 7\ntypo: 1\n", &c, &e) < 0);
    char want[512];
    snprintf(want, sizeof want,
             "%s:6:17: limits.reads: must be at least 1\n"
             "%s:7:10: journal: must be a string or a mapping, not a whole number\n"
             "%s:8:1: unknown key \"typo\"",
             path, path, path);
    assert_string_equal(e.msg, want);
    AUTO_SB b = SB_INIT(1 << 16);
    sb_str(&b, HEAD);
    for (int i = 0; i < 40; i++)
        sb_fmt(&b, "unknown%d: 1\n", i);
    assert_true(load(sb_get(&b), &c, &e) < 0);
    size_t lines = 1;
    for (const char *s = e.msg; (s = strchr(s, '\n')); s++)
        lines++;
    assert_int_equal(lines, SCHEMA_MAX_ERRORS);
    assert_non_null(strstr(e.msg, "unknown9"));
    assert_null(strstr(e.msg, "unknown10"));
}

static void each_key(yyjson_val *s, void (*fn)(const char *key, yyjson_val *s)) {
    size_t i, max;
    yyjson_val *k, *v, *props = yyjson_obj_get(s, "properties");
    if (props) { /* the macro computes NULL + 1 otherwise */
        json_obj_foreach (props, i, max, k, v) {
            fn(yyjson_get_str(k), v);
            each_key(v, fn);
        }
    }
    if (yyjson_is_obj(yyjson_obj_get(s, "additionalProperties")))
        each_key(yyjson_obj_get(s, "additionalProperties"), fn);
    if (yyjson_obj_get(s, "items"))
        each_key(yyjson_obj_get(s, "items"), fn);
}

static void has_description(const char *key, yyjson_val *s) {
    if (!yyjson_get_len(yyjson_obj_get(s, "description")))
        fail_msg("%s has no description", key);
}

static void test_schema_itself(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    yyjson_val *s = config_schema(a);
    if (schema_lint(s, &e) < 0)
        fail_msg("%s", e.msg);
    each_key(s, has_description);
    size_t i, max;
    yyjson_val *k, *v;
    json_obj_foreach (yyjson_obj_get(s, "$defs"), i, max, k, v) {
        each_key(v, has_description);
    }
}

/* docs/CONFIG.md, or skips: the folder of the sources is known to `meson test` only. */
static char *read_page(struct arena *a) {
    const char *root = getenv("SOURCE_ROOT");
    char *text;
    struct err e;
    if (!root) {
        print_message("SKIP: SOURCE_ROOT is not set\n");
        skip();
    }
    if (file_read(a, arena_printf(a, "%s/docs/CONFIG.md", root), 1 << 20, &text, NULL, &e) < 0)
        fail_msg("%s", e.msg);
    return text;
}

static void test_example_of_the_page(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    char *begin = strstr(read_page(a), "```yaml\n");
    assert_non_null(begin);
    begin += strlen("```yaml\n");
    char *end = strstr(begin, "\n```\n");
    assert_non_null(end);
    struct config *c = load_ok(arena_strndup(a, begin, (size_t)(end - begin) + 1));
    assert_string_equal(c->name, "prod");
    assert_int_equal(c->n_rules, 4);
    assert_int_equal(c->n_tiers, 1);
    assert_int_equal(c->n_probes, 1);
    assert_int_equal(c->n_smokes, 2);
    assert_int_equal(c->n_steps, 5);
    config_free(c);
}

static const char *page;

/* In the reference as `key` or `path.key`, and written out in the example. */
static void is_on_the_page(const char *key, yyjson_val *s) {
    (void)s;
    const char *reference = strstr(page, "## Reference");
    const char *example = strstr(page, "```yaml");
    char quoted[64], dotted[64], used[64];
    snprintf(quoted, sizeof quoted, "`%s", key);
    snprintf(dotted, sizeof dotted, ".%s`", key);
    snprintf(used, sizeof used, "%s:", key);
    if (!reference || !(strstr(reference, quoted) || strstr(reference, dotted)))
        fail_msg("key %s is not in the reference of docs/CONFIG.md", key);
    const char *at = example ? strstr(example, used) : NULL;
    if (!at || at > reference)
        fail_msg("key %s is not in the example of docs/CONFIG.md", key);
}

static void test_page_has_every_key(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    page = read_page(a);
    yyjson_val *s = config_schema(a);
    each_key(s, is_on_the_page);
    size_t i, max;
    yyjson_val *k, *v;
    json_obj_foreach (yyjson_obj_get(s, "$defs"), i, max, k, v) {
        each_key(v, is_on_the_page);
    }
}

static void test_lint(void **state) {
    (void)state;
    static const struct {
        const char *schema, *what;
    } rows[] = {
        {"{\"properties\":{\"a\":{\"anyOf\":[]}}}", "a: keyword \"anyOf\""},
        {"{\"$defs\":{\"a\":{\"items\":{\"oneOf\":[]}}}}", "keyword \"oneOf\""},
        {"{\"additionalProperties\":{\"$ref\":\"#/$defs/x\"}}", "leads nowhere"},
        {"{\"pattern\":\"(\"}", "cannot be compiled"},
        {"{\"type\":\"text\"}", "unknown type"},
        {"{\"items\":7}", "must be an object"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_val *s;
        struct err e = {0};
        assert_int_equal(json_parse(a, rows[i].schema, strlen(rows[i].schema), &s, &e), 0);
        assert_int_equal(schema_lint(s, &e), -EINVAL);
        if (!strstr(e.msg, rows[i].what))
            fail_msg("row %zu: %s", i, e.msg);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_silences),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_empty_sections),
        cmocka_unit_test(test_without_file),
        cmocka_unit_test(test_clusters),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_traffic),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_smoke),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_wrong_heads),
        cmocka_unit_test(test_later_keys),
        cmocka_unit_test(test_same_context_of_two_files),
        cmocka_unit_test(test_all_complaints),
        cmocka_unit_test(test_schema_itself),
        cmocka_unit_test(test_lint),
        cmocka_unit_test(test_example_of_the_page),
        cmocka_unit_test(test_page_has_every_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
