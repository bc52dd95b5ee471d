/* The frozen plan: what is in it, what is not, and that nobody changed it. */
#include "lab.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "migrate/plan.h"
#include "migrate/unclassified.h"

#define AT(n)       "'metadata':{'name':'" n "','namespace':'shop','uid':'u-" n "','resourceVersion':'5'}"
#define CM(n, data) "{'apiVersion':'v1','kind':'ConfigMap'," AT(n) ",'data':{" data "}}"
#define DEPLOYMENT(ready)                                                                          \
    "{'apiVersion':'apps/v1','kind':'Deployment'," AT("cart") ",'status':{'readyReplicas':" ready  \
                                                              "}}"
#define SECRET(value)                                                                              \
    "{'apiVersion':'v1','kind':'Secret'," AT("s") ",'data':{'password':'" value "'}}"

static const char source[] =
    "[" CM("new", "'a':'b'") "," CM("same", "'a':'b'") "," CM("foreign", "'a':'b'") "," CM(
        "kube-root-ca.crt",
        "'ca.crt':'x'") "," DEPLOYMENT("3") "," SECRET("c2VjcmV0MQ==") ","
                                                                       "{'apiVersion':'batch/"
                                                                       "v1','kind':'CronJob'," AT(
                                                                           "cron") "},"
                                                                                   "{'apiVersion':'"
                                                                                   "v1','kind':'"
                                                                                   "Namespace','"
                                                                                   "metadata':{'"
                                                                                   "name':'shop','"
                                                                                   "labels':{'a':'"
                                                                                   "b'}}}]";
static const char destination[] =
    "[" CM("same", "'a':'b'") "," CM("foreign", "'a':'c'") "," DEPLOYMENT("1") "," SECRET(
        "c2VjcmV0Mg==") ",{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop'}}]";

static struct world *the_world(struct arena *a) {
    return lab_world(a, NULL, source, destination, NULL);
}

static void counts(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    struct plan_counts c;
    plan_count(w, &c);
    static const size_t want[V_COUNT] = {
        [V_CREATE] = 1, [V_UPDATE] = 1, [V_SAME] = 2, [V_HOLD] = 1, [V_SKIP] = 1, [V_BLOCK] = 2};
    for (unsigned v = 0; v < V_COUNT; v++)
        if (c.by_verdict[v] != want[v])
            fail_msg("%s: %zu", verdict_name((enum verdict)v), c.by_verdict[v]);
    assert_int_equal(c.objects, 8);
    assert_int_equal(c.held, 1);
    assert_int_equal(c.unready, 1);
    assert_true(plan_has_work(&c));
    world_free(w);
}

static void work_to_do(void **state UNUSED) {
    for (unsigned v = 0; v < V_COUNT; v++) {
        struct plan_counts c = {0};
        assert_false(plan_has_work(&c));
        c.by_verdict[v] = 1;
        assert_int_equal(plan_has_work(&c), v == V_CREATE || v == V_UPDATE || v == V_HOLD);
    }
}

static yyjson_val *plan_of(struct world *w, struct arena *a) {
    size_t n;
    yyjson_val *v;
    char *text = plan_json(w, a, "uid-a", "uid-b", NULL, &n);
    assert_int_equal(json_parse(a, text, n, &v, NULL), 0);
    return v;
}

/* By namespace, kind, group, name, whatever the order of reading. */
static void sorted(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    yyjson_val *x;
    size_t i, max;
    const char *last = "";
    yyjson_arr_foreach (json_get(plan_of(w, a), "objects"), i, max, x) {
        const char *ns = json_str(x, "namespace");
        const char *key =
            arena_printf(a, "%s %s %s", ns ? ns : "", json_str(x, "kind"), json_str(x, "name"));
        if (strcmp(last, key) >= 0)
            fail_msg("%s stands after %s", key, last);
        last = key;
    }
    assert_int_equal(max, 8);
    world_free(w);
}

static yyjson_val *entry_of(yyjson_val *plan, const char *ref) {
    yyjson_val *x;
    size_t i, max;
    yyjson_arr_foreach (json_get(plan, "objects"), i, max, x) {
        if (str_eq(json_str(x, "ref"), ref))
            return x;
    }
    fail_msg("no entry %s", ref);
    return NULL;
}

static void entries(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    yyjson_val *plan = plan_of(w, a), *x;
    assert_string_equal(json_str(plan, "source"), "a");
    assert_string_equal(json_str(plan, "sourceUid"), "uid-a");
    assert_string_equal(json_str(plan, "destinationUid"), "uid-b");
    assert_int_equal(json_int(json_get(plan, "counts", "create"), -1), 1);
    assert_int_equal(yyjson_arr_size(json_get(plan, "objects")), 8);
    size_t i, max;
    yyjson_arr_foreach (json_get(plan, "objects"), i, max, x) {
        assert_int_not_equal(verdict_of(json_str(x, "verdict")), V_COUNT);
        assert_false(str_empty(json_str(x, "rule")));
        assert_false(str_empty(json_str(x, "why")));
        assert_int_equal(strlen(json_str(x, "digest")), 32);
    }
    x = entry_of(plan, "batch/CronJob/shop/cron");
    assert_string_equal(json_str(x, "verdict"), "hold");
    assert_true(yyjson_is_true(json_get(x, "held")));
    assert_string_equal(json_str(x, "apiVersion"), "batch/v1");
    assert_string_equal(json_str(x, "namespace"), "shop");
    x = entry_of(plan, "/Namespace//shop");
    assert_null(json_get(x, "namespace"));
    assert_string_equal(lab_text(a, json_get(x, "changes")),
                        "[{\"path\":\"/metadata/labels\",\"source\":\"{\\\"a\\\":\\\"b\\\"}\"}]");
    assert_int_equal(json_int(json_get(x, "changeCount"), 0), 1);
    x = entry_of(plan, "apps/Deployment/shop/cart");
    assert_string_equal(json_str(x, "note"), "1 of 3 replicas ready");
    world_free(w);
}

/* Neither a Secret's value nor a digest of it, whatever differs. */
static void no_secret_value(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    size_t n;
    const char *text = plan_json(w, a, "uid-a", "uid-b", NULL, &n);
    assert_null(strstr(text, "c2VjcmV0"));
    yyjson_val *x = entry_of(plan_of(w, a), "/Secret/shop/s");
    assert_string_equal(lab_text(a, json_get(x, "changes")),
                        "[{\"destination\":\"(secret)\",\"path\":\"/data/password\",\"source\":"
                        "\"(secret)\"}]");
    world_free(w);
}

/* --- in a file --- */

static char folder[] = "/tmp/tandem-plan-XXXXXX";

static int make_folder(void **state UNUSED) {
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    unlink(arena_printf(a, "%s/plan.json", folder));
    return rmdir(folder);
}

static const char *save(struct arena *a, const char *text) {
    const char *path = arena_printf(a, "%s/plan.json", folder);
    struct err e = {0};
    if (file_write_atomic(path, text, strlen(text), 0600, &e) < 0)
        fail_msg("%s", err_msg(&e));
    return path;
}

static void there_and_back(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    struct plan_file p;
    struct err e = {0};
    const char *path = save(a, plan_json(w, a, "uid-a", "uid-b", NULL, NULL));
    if (plan_load(a, path, &p, &e) < 0)
        fail_msg("%s", err_msg(&e));
    assert_string_equal(p.source_uid, "uid-a");
    assert_string_equal(p.destination_uid, "uid-b");
    assert_int_equal(p.source, 'a');
    assert_memory_equal(p.salt, world_salt(w), sizeof p.salt);
    assert_int_equal(map_len(p.verdicts), world_count(w));
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        const char *ref = object_ref(a, o), *digest = map_get(p.digests, ref);
        char hex[33];
        assert_string_equal(map_get(p.verdicts, ref), verdict_name(o->verdict));
        if (o->verdict == V_SKIP || o->verdict == V_BLOCK)
            assert_null(digest);
        else
            assert_string_equal(digest, hash_hex(o->digest, 16, hex));
    }
    plan_done(&p);
    world_free(w);
}

/* The text with its first `from` replaced by as many bytes of `to`. */
static const char *changed(struct arena *a, const char *text, const char *from, const char *to) {
    char *copy = arena_strdup(a, text), *at = strstr(copy, from);
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    return copy;
}

static void refused(struct arena *a, const char *text, const char *says) {
    struct plan_file p = {.source = 'x'};
    struct err e = {0};
    const char *path = save(a, text);
    assert_int_equal(plan_load(a, path, &p, &e), -EBADMSG);
    assert_int_equal(p.source, 'x'); /* untouched */
    if (!strstr(err_msg(&e), says))
        fail_msg("%s", err_msg(&e));
    assert_non_null(strstr(err_msg(&e), path));
}

/* A person may print a plan anew, but not change it. */
static void changed_files(void **state UNUSED) {
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"\"verdict\":\"block\"", "\"verdict\":\"hold \""},
        {"\"source\":\"a\"", "\"source\":\"b\""},
        {"uid-b", "uid-c"},
        {"\"wave\":50", "\"wave\":51"},
        {"\"held\":true", "\"hels\":true"},
    };
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    const char *text = plan_json(w, a, "uid-a", "uid-b", NULL, NULL);
    world_free(w);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refused(a, changed(a, text, cases[i].from, cases[i].to), "was changed");
    const char *hash = strstr(text, "\"hash\":\"");
    refused(a,
            changed(a, text, arena_strndup(a, hash, 9),
                    hash[8] == '0' ? "\"hash\":\"1" : "\"hash\":\"0"),
            "was changed");
    refused(a, arena_strndup(a, text, strlen(text) / 2), "not valid JSON");
}

/* What a terminal shows, a machine gets too; a plan without dry runs (verify's) does not say that
 * none was sent. */
static void warnings_and_dry_runs(void **state UNUSED) {
    static const char cron[] =
        "[{'apiVersion':'batch/v1','kind':'CronJob'," AT("c") ",'spec':{'suspend':false}}]";
    AUTO_ARENA a = arena_new();
    struct world *w = lab_world(a, NULL, cron, cron, NULL);
    struct dryrun d = {.mode = DRYRUN_ALL,
                       .doubtful = 7,
                       .left = 6,
                       .sent = 5,
                       .passed = 2,
                       .refused = 1,
                       .untold = 3,
                       .unserved = 8,
                       .hooked = 4};
    strvec_add(&d.hooks, "a.example.com");
    size_t n;
    const char *text = plan_json(w, a, "uid-a", "uid-b", &d, &n);
    yyjson_val *v;
    assert_int_equal(json_parse(a, text, n, &v, NULL), 0);
    assert_int_equal(yyjson_arr_size(json_get(v, "warnings")), 1);
    assert_non_null(strstr(yyjson_get_str(yyjson_arr_get_first(json_get(v, "warnings"))),
                           "CronJob shop/c acts in both clusters"));
    assert_string_equal(lab_text(a, json_get(v, "dryRun")),
                        "{\"doubtful\":7,\"hooked\":4,\"left\":6,\"mode\":\"all\",\"passed\":2,"
                        "\"refused\":1,\"sent\":5,\"unserved\":8,\"untold\":3,\"webhooks\":["
                        "\"a.example.com\"]}");
    refused(a, changed(a, text, "\"sent\":5", "\"sent\":6"), "was changed");
    assert_null(json_get(plan_of(w, a), "dryRun"));
    dryrun_done(&d);
    world_free(w);
}

/* A file of an earlier version lacks members; its hash is over what it has. */
static void older_file(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    yyjson_mut_doc *doc = json_doc(a);
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, plan_of(w, a));
    json_mut_del(root, "warnings");
    json_mut_del(root, "hash");
    AUTO_SB b = SB_INIT(0);
    json_mut_canonical(&b, root);
    char hex[SHA256_HEX];
    json_mut_set_str(doc, root, "hash", hash_sha256_hex(b.p, b.len, hex));
    struct plan_file p;
    assert_int_equal(plan_load(a, save(a, json_mut_write(a, root, NULL)), &p, NULL), 0);
    plan_done(&p);
    world_free(w);
}

static void reprinted(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct world *w = the_world(a);
    yyjson_alc alc = arena_alc(a);
    const char *pretty =
        yyjson_val_write_opts(plan_of(w, a), YYJSON_WRITE_PRETTY, &alc, NULL, NULL);
    struct plan_file p;
    assert_int_equal(plan_load(a, save(a, pretty), &p, NULL), 0);
    plan_done(&p);
    world_free(w);
}

/* --- carried out --- */

#define WORKER(more)                                                                               \
    "[{'apiVersion':'apps/v1','kind':'Deployment'," AT("x") ",'spec':{'replicas':2,'template':{"   \
                                                            "'metadata':{'labels':{'app':'x'}}}"   \
                                                            "}}" more "]"
#define SCALED                                                                                     \
    ",{'apiVersion':'keda.sh/v1alpha1','kind':'ScaledObject'," AT("so") ",'spec':{"                \
                                                                        "'scaleTargetRef':{"       \
                                                                        "'name':'x'},'triggers'"   \
                                                                        ":[{'type':'kafka'}]}}"
#define CALLED ",{'apiVersion':'v1','kind':'Service'," AT("s") ",'spec':{'selector':{'app':'x'}}}"

static const struct user_rule to_hold = {.kind = "Deployment", .verdict = "hold"},
                              to_create = {.kind = "Deployment", .verdict = "create"};

static void load_plan(struct arena *a, struct world *w, struct plan_file *p) {
    struct err e = {0};
    if (plan_load(a, save(a, plan_json(w, a, "uid-a", "uid-b", NULL, NULL)), p, &e) < 0)
        fail_msg("%s", err_msg(&e));
}

static struct world *world_with(struct arena *a, const char *bodies, const struct user_rule *u,
                                const char *there) {
    struct world_opts o = {.rules = u, .n_rules = u != NULL};
    return lab_world(a, &o, bodies, there, NULL);
}

/* The digest is that of a body that is not held: whether it is held is compared by itself. */
static void a_hold_binds(void **state UNUSED) {
    static const struct {
        const char *planned, *now;
        const struct user_rule *rule_planned, *rule_now;
        enum unclassified how_planned, how_now;
        const char *stale;
    } rows[] = {
        {WORKER(SCALED), WORKER(SCALED), .stale = NULL},
        {WORKER(SCALED), WORKER(CALLED), .stale = "not to be held any more"},
        {WORKER(""), WORKER(CALLED), .how_planned = UNCLASSIFIED_HOLD,
         .stale = "not to be held any more"},
        {WORKER(""), WORKER(""), .how_planned = UNCLASSIFIED_HOLD},
        {WORKER(""), WORKER(""), .how_planned = UNCLASSIFIED_RUN},
        {WORKER(""), WORKER(""), .how_now = UNCLASSIFIED_HOLD}, /* left open, and decided now */
        {WORKER(""), WORKER(""), &to_hold, &to_create, .stale = "not to be held any more"},
        {WORKER(""), WORKER(""), &to_create, &to_hold, .stale = "to be held now"},
        {WORKER(""), WORKER(""), &to_hold, &to_hold},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct plan_file p;
        struct world *w = world_with(a, rows[i].planned, rows[i].rule_planned, NULL);
        unclassified_decide(w, rows[i].how_planned);
        load_plan(a, w, &p);
        world_free(w);
        w = world_with(a, rows[i].now, rows[i].rule_now, NULL);
        plan_decide(&p, w);
        unclassified_decide(w, rows[i].how_now);
        const struct object *o = world_find(w, "apps", "Deployment", "shop", "x");
        const char *why = plan_stale(&p, o);
        if (!why != !rows[i].stale || (why && !strstr(why, rows[i].stale)))
            fail_msg("row %zu: %s", i, why ? why : "not stale");
        assert_int_equal(unclassified_count(w), 0);
        plan_done(&p);
        world_free(w);
    }
}

/* Planned as held there already, and gone from there since. */
static void held_and_gone(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct plan_file p;
    struct world *w = world_with(
        a, WORKER(""), NULL,
        "[{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'x','namespace':'shop',"
        "'uid':'u','annotations':{'tandem.dev/held':'2'}},'spec':{'replicas':0,'template':{"
        "'metadata':{'labels':{'app':'x'}}}}}]");
    const struct object *o = world_find(w, "apps", "Deployment", "shop", "x");
    assert_int_equal(o->verdict, V_SAME);
    load_plan(a, w, &p);
    world_free(w);
    w = world_with(a, WORKER(""), NULL, NULL);
    plan_decide(&p, w);
    o = world_find(w, "apps", "Deployment", "shop", "x");
    assert_int_equal(o->verdict, V_HOLD);
    assert_true(o->held);
    assert_null(plan_stale(&p, o));
    plan_done(&p);
    world_free(w);
}

/* The scaler of a workload that the plan had left open is held with it. */
static void scaler_decided_now(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    static const char bodies[] =
        WORKER(",{'apiVersion':'keda.sh/v1alpha1','kind':'ScaledObject'," AT(
            "so") ",'spec':{'scaleTargetRef':{'name':'x'},'triggers':[{'type':'cron'}]}}");
    struct plan_file p;
    struct world *w = world_with(a, bodies, NULL, NULL);
    load_plan(a, w, &p);
    world_free(w);
    w = world_with(a, bodies, NULL, NULL);
    plan_decide(&p, w);
    unclassified_decide(w, UNCLASSIFIED_HOLD);
    for (size_t i = 0; i < world_count(w); i++) {
        assert_true(world_at(w, i)->held);
        assert_null(plan_stale(&p, world_at(w, i)));
    }
    plan_done(&p);
    world_free(w);
}

static void no_plans(void **state UNUSED) {
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "7",
                                        "null",
                                        "\"x\"",
                                        "{\"kind\":\"Plan\"}",
                                        "{\"kind\":\"Plan\",\"hash\":\"x\"}",
                                        "{\"kind\":\"Plan\",\"hash\":7,\"source\":\"a\"}"};
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        refused(a, texts[i], "not a plan");
    struct plan_file p;
    struct err e = {0};
    assert_int_equal(plan_load(a, "/nonexistent/plan.json", &p, &e), -ENOENT);
    assert_non_null(strstr(err_msg(&e), "/nonexistent/plan.json"));
}

/* A value cut in the middle of a long text is still text that can be written as JSON. */
static void odd_values(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    AUTO_SB s = SB_INIT(0);
    for (int i = 0; i < 400; i++)
        sb_str(&s, i % 2 ? "\xc3\xa9" : "\xe2\x82\xac");
    struct world *w =
        lab_world(a, NULL, arena_printf(a, "[%s]", arena_printf(a, CM("x", "'a':'%s'"), s.p)),
                  "[" CM("x", "'a':'\\\\u0000\\\\n'") "]", NULL);
    assert_int_equal(json_int(json_get(plan_of(w, a), "counts", "block"), 0), 1);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(sorted),
        cmocka_unit_test(work_to_do),
        cmocka_unit_test(entries),
        cmocka_unit_test(no_secret_value),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(changed_files),
        cmocka_unit_test(reprinted),
        cmocka_unit_test(no_plans),
        cmocka_unit_test(odd_values),
        cmocka_unit_test(a_hold_binds),
        cmocka_unit_test(held_and_gone),
        cmocka_unit_test(scaler_decided_now),
        cmocka_unit_test(warnings_and_dry_runs),
        cmocka_unit_test(older_file),
    };
    return cmocka_run_group_tests_name("plan", tests, make_folder, drop_folder);
}
