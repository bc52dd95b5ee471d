/* Handing over between two scripted clusters. */
#include "kube_bench.h"

#include <unistd.h>

#include "base/str.h"
#include "migrate/access.h"
#include "migrate/handover_impl.h"

#define GROUP   "kustomize.toolkit.fluxcd.io"
#define PATH(v) "/apis/" GROUP "/" v "/namespaces/flux/kustomizations/apps"
#define SERVES(v)                                                                                  \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"" GROUP              \
    "\"},\"versions\":[{\"version\":\"" v "\",\"resources\":[{\"resource\":\"kustomizations\","    \
    "\"responseKind\":{\"kind\":\"Kustomization\"},\"scope\":\"Namespaced\","                      \
    "\"singularResource\":\"kustomization\",\"verbs\":[\"get\",\"list\",\"patch\"]}]}]}]}"
#define CORE "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}"
#define OBJECT(v, notes, suspend)                                                                  \
    "{\"apiVersion\":\"" GROUP "/" v "\",\"kind\":\"Kustomization\",\"metadata\":{\"name\":"       \
    "\"apps\",\"namespace\":\"flux\",\"uid\":\"u\",\"resourceVersion\":\"5\"" notes                \
    "},\"spec\":{\"suspend\":" suspend "}}"
#define HELD ",\"annotations\":{\"tandem.dev/held\":\"false\"}"
#define LIST(item)                                                                                 \
    "{\"kind\":\"KustomizationList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" item "]}"

/* The source serves an older version than the destination: its twin is found, and held first. */
static void twin_in_another_version(void **state) {
    (void)state;
    static const struct api_row a[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, SERVES("v1beta2")},
        {"PATCH " PATH("v1beta2"), 200, OBJECT("v1beta2", HELD, "true")},
        {"GET " PATH("v1beta2"), 200, OBJECT("v1beta2", "", "false")},
        {"GET /apis/" GROUP "/v1beta2/kustomizations", 200, LIST(OBJECT("v1beta2", HELD, "true"))},
    };
    static const struct api_row b[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, SERVES("v1")},
        {"PATCH " PATH("v1"), 200, OBJECT("v1", "", "false")},
        {"GET " PATH("v1"), 200, OBJECT("v1", HELD, "true")},
        {"GET /apis/" GROUP "/v1/kustomizations", 200, LIST(OBJECT("v1", HELD, "true"))},
    };
    struct bench from = BENCH(a), to = BENCH(b);
    struct err e = {0};
    struct handover_opts o = {.from = from.c, .to = to.c, .from_slot = 'a', .to_slot = 'b'};
    struct kube_discovery *df, *dt;
    struct handover_item *items = NULL;
    expect(0, kube_discover(from.c, &df, &e), &e);
    expect(0, kube_discover(to.c, &dt, &e), &e);
    o.discovery = dt;
    o.from_discovery = df;
    o.forward = true;
    expect(0, handover(to.a, &o, &items, &e), &e);
    assert_non_null(items);
    assert_string_equal(handover_state_name(items->state), "handed over");
    assert_true(api_count(from.api, "\"suspend\":true") > 0);
    assert_true(api_count(to.api, "\"suspend\":false") > 0);
    kube_discovery_free(df);
    kube_discovery_free(dt);
    bench_free(&from);
    bench_free(&to);
}

#define BATCH                                                                                      \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"batch\"},"           \
    "\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"cronjobs\","                 \
    "\"responseKind\":{\"kind\":\"CronJob\"},\"scope\":\"Namespaced\",\"singularResource\":"       \
    "\"cronjob\",\"verbs\":[\"get\",\"list\",\"patch\"]}]}]}]}"
#define DEPLOYMENTS                                                                                \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"apps\"},"            \
    "\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"deployments\","              \
    "\"responseKind\":{\"kind\":\"Deployment\"},\"scope\":\"Namespaced\",\"singularResource\":"    \
    "\"deployment\",\"verbs\":[\"get\",\"list\",\"patch\"]}]}]}]}"
#define THING(api, kind, ns, more, spec)                                                           \
    "{\"apiVersion\":\"" api "\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"c\","              \
    "\"namespace\":\"" ns "\",\"uid\":\"u\",\"resourceVersion\":\"5\"" more "},\"spec\":{" spec    \
    "}}"
#define CRON(ns)     THING("batch/v1", "CronJob", ns, "", "\"schedule\":\"@daily\"")
#define WORKER(more) THING("apps/v1", "Deployment", "shop", more, "\"replicas\":2")
#define STOPPED      THING("apps/v1", "Deployment", "shop", "", "\"replicas\":0")
#define OWNED                                                                                      \
    ",\"ownerReferences\":[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Shop\",\"name\":\"s\","   \
    "\"uid\":\"1\"}]"
#define ASKED ",\"annotations\":{\"tandem.dev/hold\":\"true\"}"
#define FREED ",\"annotations\":{\"tandem.dev/hold\":\"false\"}"

/* Something acts in both clusters. Held is what this run has held before, whatever was the reason;
 * without a journal what acts by itself, but for what each cluster has for itself. */
static const struct {
    const char *kind, *body, *ns;
    bool journal;
    struct journal_effect done; /* verb NULL: none */
    unsigned held;
    const char *twin; /* NULL: the same */
} doubled[] = {
    {"CronJob", CRON("shop"), "shop", true, {.cluster = "a", .verb = "hold"}, 1, NULL},
    {"CronJob", CRON("shop"), "shop", true, {.cluster = "b", .verb = "unhold"}, 1, NULL},
    {"CronJob",
     CRON("shop"),
     "shop",
     true,
     {.cluster = "b", .verb = "create", .previous = "{\"/spec/suspend\":null}"},
     1,
     NULL},
    {"CronJob", CRON("shop"), "shop", true, {.cluster = "b", .verb = "create"}, 0, NULL},
    {"CronJob", CRON("shop"), "shop", true, {0}, 0, NULL},
    {"CronJob", CRON("shop"), "shop", false, {0}, 1, NULL},
    {"CronJob", CRON("kube-system"), "kube-system", false, {0}, 0, NULL},
    {"Deployment", WORKER(""), "shop", true, {.cluster = "a", .verb = "hold"}, 1, NULL},
    {"Deployment", WORKER(OWNED), "shop", true, {.cluster = "b", .verb = "unhold"}, 1, NULL},
    {"Deployment", WORKER(FREED), "shop", true, {.cluster = "b", .verb = "unhold"}, 0, NULL},
    {"Deployment", WORKER(""), "shop", true, {.cluster = "b", .verb = "unhold"}, 0, STOPPED},
    {"Deployment", WORKER(""), "shop", true, {0}, 0, NULL},
    {"Deployment", WORKER(""), "shop", false, {0}, 0, NULL},
    {"Deployment", WORKER(ASKED), "shop", false, {0}, 1, NULL},
    {"Deployment", WORKER(ASKED OWNED), "shop", false, {0}, 0, NULL},
};

static void double_row(size_t i) {
    bool cron = str_eq(doubled[i].kind, "CronJob");
    const char *group = cron ? "batch" : "apps";
    AUTO_ARENA t = arena_new();
    const char *one = arena_printf(t, "GET /apis/%s/v1/namespaces/", group);
    struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, cron ? BATCH : DEPLOYMENTS},
        {"PATCH ", 200, doubled[i].body},
        {one, 200, doubled[i].body},
        {arena_printf(t, "GET /apis/%s/v1/%s", group, cron ? "cronjobs" : "deployments"), 200,
         arena_printf(t, "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}",
                      doubled[i].body)},
    };
    struct api_row api_b[COUNT_OF(api)];
    memcpy(api_b, api, sizeof api);
    if (doubled[i].twin)
        api_b[3].body = doubled[i].twin;
    struct bench a = BENCH(api), b = BENCH(api_b);
    struct err e = {0};
    struct journal *j;
    struct journal_run run;
    struct kube_discovery *d;
    struct handover_item *items;
    const char *path = arena_printf(a.a, "%s/t.db", a.dir);
    expect(0, journal_open(path, false, &j, &e), &e);
    expect(0, journal_run_begin(j, 'a', 'b', &run, &e), &e);
    expect(0, kube_discover(a.c, &d, &e), &e);
    struct journal_effect ef = doubled[i].done;
    ef.ref = arena_printf(a.a, "%s/%s/%s/c", group, doubled[i].kind, doubled[i].ns);
    if (ef.verb)
        expect(0, journal_effects_begin(j, run.id, &ef, 1, &e), &e);
    struct handover_opts o = {.from = a.c, .to = b.c, .from_slot = 'a', .to_slot = 'b'};
    o.discovery = o.from_discovery = d;
    o.journal = doubled[i].journal ? j : NULL;
    o.run = run.id;
    expect(0, handover(a.a, &o, &items, &e), &e);
    unsigned held = api_count(a.api, "tandem.dev/held");
    if (held != doubled[i].held || api_count(b.api, "PATCH ") || !items != !held)
        fail_msg("row %zu: held %u times", i, held);
    kube_discovery_free(d);
    journal_close(j);
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    for (size_t k = 0; k < COUNT_OF(names); k++)
        unlink(arena_printf(a.a, "%s%s", path, names[k]));
    bench_free(&a);
    bench_free(&b);
}

static void doubles(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(doubled); i++)
        double_row(i);
}

#define APPS                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"apps\"},"            \
    "\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"statefulsets\","             \
    "\"responseKind\":{\"kind\":\"StatefulSet\"},\"scope\":\"Namespaced\",\"singularResource\":"   \
    "\"statefulset\",\"verbs\":[\"get\",\"list\",\"patch\"]}]}]}]}"
#define SET(notes, spec)                                                                           \
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\",\"metadata\":{\"name\":\"q\","           \
    "\"namespace\":\"shop\",\"uid\":\"u\",\"resourceVersion\":\"5\"" notes "},\"spec\":{" spec     \
    "}}"
#define NOTE ",\"annotations\":{\"tandem.dev/held\":\"2\"}"
#define RETAIN(s)                                                                                  \
    "\"replicas\":2,\"persistentVolumeClaimRetentionPolicy\":{\"whenScaled\":\"" s "\"}"

/* Scaled to 0 it would lose its claims in the cluster that acts: nothing is done, either way. Where
 * it is, its pods are waited for; that they cannot be asked for (no selector, no right) is said. */
static void claims_are_kept(void **state) {
    (void)state;
    static const struct {
        const char *acts;
        bool back;
        const char *said;
    } rows[] = {
        {SET("", RETAIN("Delete")), false, "failed"},
        {SET("", RETAIN("Delete")), true, "failed"},
        {SET("", RETAIN("Retain")), false, "handed over"},
        {SET("", RETAIN("Retain") ",\"selector\":{\"matchLabels\":{\"app\":\"q\"}}"), false,
         "handed over"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct api_row from[] = {{"GET /api ", 200, CORE},
                                       {"GET /apis ", 200, APPS},
                                       {"PATCH ", 200, rows[i].acts},
                                       {"GET /apis/apps/v1/namespaces/", 200, rows[i].acts}};
        static const struct api_row to[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, APPS},
            {"PATCH ", 200, SET("", "\"replicas\":2")},
            {"GET /apis/apps/v1/namespaces/", 200, SET(NOTE, "\"replicas\":0")},
            {"GET /apis/apps/v1/statefulsets", 200,
             "{\"metadata\":{},\"items\":[" SET(NOTE, "\"replicas\":0") "]}"},
        };
        struct bench a = BENCH(from), b = BENCH(to);
        struct err e = {0};
        struct kube_discovery *d;
        struct handover_item *items = NULL;
        expect(0, kube_discover(b.c, &d, &e), &e);
        struct handover_opts o = {.from = a.c, .to = b.c, .from_slot = 'a', .to_slot = 'b'};
        o.discovery = d;
        o.from_unreachable_ok = rows[i].back;
        expect(0, handover(b.a, &o, &items, &e), &e);
        bool done = str_eq(rows[i].said, "handed over");
        assert_string_equal(handover_state_name(items->state), rows[i].said);
        assert_int_equal(api_count(a.api, "PATCH ") > 0, done);
        assert_int_equal(api_count(b.api, "PATCH ") > 0, done);
        assert_int_equal(strstr(items->note, "whenScaled") != NULL, !done);
        assert_int_equal(strstr(items->note, "pods have ended in a could not be seen") != NULL,
                         done);
        kube_discovery_free(d);
        bench_free(&a);
        bench_free(&b);
    }
}

#define SETS                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"apps\"},"            \
    "\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"replicasets\","              \
    "\"responseKind\":{\"kind\":\"ReplicaSet\"},\"scope\":\"Namespaced\",\"singularResource\":"    \
    "\"replicaset\",\"verbs\":[\"get\",\"list\",\"patch\"]}]}]}]}"
#define REPLICASET(name, owner)                                                                    \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"shop\"" owner HELD "}}"

/* What a Deployment's controller copied to its ReplicaSets is no hold. */
static void copied_annotation(void **state) {
    (void)state;
    static const struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, SETS},
        {"GET /apis/apps/v1/replicasets", 200,
         LIST(REPLICASET(
             "copy", ",\"ownerReferences\":[{\"kind\":\"Deployment\",\"controller\":true}"
                     "]") "," REPLICASET("loose", ",\"ownerReferences\":[{\"kind\":"
                                                  "\"ConfigMap\"}]") "," REPLICASET("own", ""))},
    };
    struct bench b = BENCH(api);
    struct err e = {0};
    struct kube_discovery *d;
    struct handover_item *items = NULL;
    expect(0, kube_discover(b.c, &d, &e), &e);
    expect(0, handover_held(b.a, b.c, d, NULL, NULL, &items, &e), &e);
    AUTO_SB names = SB_INIT(0);
    for (struct handover_item *i = items; i; i = i->next)
        sb_fmt(&names, "%s; ", i->title);
    assert_string_equal(sb_get(&names), "ReplicaSet shop/own; ReplicaSet shop/loose; ");
    kube_discovery_free(d);
    bench_free(&b);
}

#define CROSS "nop.crossplane.io"
#define RESOURCES                                                                                  \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"" CROSS              \
    "\"},\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"nops\","                 \
    "\"responseKind\":{\"kind\":\"Nop\"},\"scope\":\"Cluster\",\"singularResource\":\"nop\","      \
    "\"verbs\":[\"get\",\"list\",\"patch\"]}]}]}]}"
#define NOP(notes)                                                                                 \
    "{\"apiVersion\":\"" CROSS "/v1\",\"kind\":\"Nop\",\"metadata\":{\"name\":\"bucket\","         \
    "\"uid\":\"u\",\"resourceVersion\":\"5\"" notes "}}"
#define PAUSED ",\"annotations\":{\"tandem.dev/held\":\"null\",\"crossplane.io/paused\":\"true\"}"

/* What is in no namespace changes hands with a choice of namespaces too, but not under -n. */
static void cluster_scoped(void **state) {
    (void)state;
    static const char *const shop[] = {"shop-*", NULL}, *const any[] = {"*", NULL};
    static const struct {
        const char *const *inc, *const *exc;
        bool narrowed, handed;
    } rows[] = {
        {NULL, NULL, false, true}, {shop, NULL, false, true}, {NULL, any, false, true},
        {shop, NULL, true, false}, {any, NULL, true, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static const struct api_row from[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, RESOURCES},
            {"PATCH /apis/" CROSS "/v1/nops/bucket", 200, NOP(PAUSED)},
            {"GET /apis/" CROSS "/v1/nops/bucket", 200, NOP("")},
            {"GET /apis/" CROSS "/v1/nops", 200, "{\"metadata\":{},\"items\":[" NOP(PAUSED) "]}"},
        };
        static const struct api_row to[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, RESOURCES},
            {"PATCH /apis/" CROSS "/v1/nops/bucket", 200, NOP("")},
            {"GET /apis/" CROSS "/v1/nops/bucket", 200, NOP(PAUSED)},
            {"GET /apis/" CROSS "/v1/nops", 200, "{\"metadata\":{},\"items\":[" NOP(PAUSED) "]}"},
        };
        struct bench a = BENCH(from), b = BENCH(to);
        struct err e = {0};
        struct kube_discovery *d;
        struct handover_item *items = NULL, *held = NULL;
        expect(0, kube_discover(b.c, &d, &e), &e);
        struct handover_opts o = {.from = a.c, .to = b.c, .from_slot = 'a', .to_slot = 'b'};
        o.discovery = o.from_discovery = d;
        o.ns_include = rows[i].inc;
        o.ns_exclude = rows[i].exc;
        o.only_namespaced = rows[i].narrowed;
        expect(0, handover(b.a, &o, &items, &e), &e);
        if ((items != NULL) != rows[i].handed)
            fail_msg("row %zu", i);
        assert_true(!items || items->state == HAND_DONE);
        assert_true(!items || str_eq(items->title, "Nop bucket"));
        expect(0, handover_held(b.a, b.c, d, rows[i].inc, rows[i].exc, &held, &e), &e);
        assert_non_null(held); /* for retire it counts in any case */
        kube_discovery_free(d);
        bench_free(&a);
        bench_free(&b);
    }
}

#define CONNECT_GROUP "kafka.strimzi.io"
#define BOTH                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"" CONNECT_GROUP      \
    "\"},\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"kafkaconnectors\","      \
    "\"responseKind\":{\"kind\":\"KafkaConnector\"},\"scope\":\"Namespaced\","                     \
    "\"singularResource\":\"kafkaconnector\",\"verbs\":[\"get\",\"list\",\"patch\"]}]}]},"         \
    "{\"metadata\":{\"name\":\"apps\"},\"versions\":[{\"version\":\"v1\",\"resources\":[{"         \
    "\"resource\":\"deployments\",\"responseKind\":{\"kind\":\"Deployment\"},\"scope\":"           \
    "\"Namespaced\",\"singularResource\":\"deployment\",\"verbs\":[\"get\",\"list\",\"patch\"]}"   \
    "]}]}]}"
#define STATUS(reason) "{\"kind\":\"Status\",\"reason\":\"" reason "\",\"message\":\"no\"}"

/* One kind that cannot be listed stops no other; a cluster that cannot be read does. */
static void one_kind_fails(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        bool goes_on;
    } rows[] = {{403, STATUS("Forbidden"), true},
                {500, STATUS("InternalError"), true},
                {401, STATUS("Unauthorized"), false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct api_row from[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, BOTH},
            {"PATCH ", 200, WORKER("")},
            {"GET /apis/apps/v1/namespaces/", 200, WORKER("")},
            {"GET /apis/apps/v1/deployments", 200, "{\"metadata\":{},\"items\":[]}"},
            {"GET /apis/" CONNECT_GROUP, 200, "{\"metadata\":{},\"items\":[]}"},
        };
        const struct api_row to[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, BOTH},
            {"PATCH ", 200, WORKER("")},
            {"GET /apis/apps/v1/namespaces/", 200,
             THING("apps/v1", "Deployment", "shop", NOTE, "\"replicas\":0")},
            {"GET /apis/apps/v1/deployments", 200,
             "{\"metadata\":{},\"items\":[" THING("apps/v1", "Deployment", "shop", NOTE,
                                                  "\"replicas\":0") "]}"},
            {"GET /apis/" CONNECT_GROUP, rows[i].status, rows[i].body},
        };
        struct bench a = BENCH(from), b = BENCH(to);
        struct err e = {0};
        struct kube_discovery *d;
        struct handover_item *items = NULL, *held = NULL;
        expect(0, kube_discover(b.c, &d, &e), &e);
        struct handover_opts o = {.from = a.c, .to = b.c, .from_slot = 'a', .to_slot = 'b'};
        o.discovery = o.from_discovery = d;
        int r = handover(b.a, &o, &items, &e);
        assert_int_equal(r >= 0, rows[i].goes_on);
        assert_int_equal(api_count(b.api, "\"replicas\":2"), rows[i].goes_on);
        size_t n = 0;
        for (const struct handover_item *it = items; it; it = it->next, n++) {
            bool connector = str_eq(it->title, "KafkaConnector");
            assert_int_equal(it->state, connector ? HAND_FAILED : HAND_DONE);
            assert_true(!connector || strstr(it->note, "cannot be listed in b"));
        }
        assert_int_equal(n, rows[i].goes_on ? 2 : 0);
        /* What nobody can list may be held: retire must not pass. */
        assert_true(handover_held(b.a, b.c, d, NULL, NULL, &held, &e) < 0);
        kube_discovery_free(d);
        bench_free(&a);
        bench_free(&b);
    }
}

#define REVIEW(allowed)                                                                            \
    "{\"kind\":\"SelfSubjectAccessReview\",\"status\":{\"allowed\":" allowed "}}"
#define CRON_HELD                                                                                  \
    THING("batch/v1", "CronJob", "shop", ",\"annotations\":{\"tandem.dev/held\":\"null\"}",        \
          "\"schedule\":\"@daily\",\"suspend\":true")

/* What may not be let loose is not stopped where it acts. */
static void rights_first(void **state) {
    (void)state;
    static const struct {
        const char *denied, *named;
    } rows[] = {{"\"subresource\":\"status\"", "may not patch cronjobs/status in b"},
                {"selfsubjectaccessreviews", "may not patch cronjobs in b"}};
    static const struct api_row from[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, BATCH},
        {"PATCH ", 200, CRON_HELD},
        {"GET /apis/batch/v1/namespaces/", 200, CRON("shop")},
        {"GET /apis/batch/v1/cronjobs", 200, "{\"metadata\":{},\"items\":[" CRON("shop") "]}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct api_row to[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, BATCH},
            {rows[i].denied, 201, REVIEW("false")},
            {"selfsubjectaccessreviews", 201, REVIEW("true")},
            {"PATCH ", 200, CRON("shop")},
            {"GET /apis/batch/v1/namespaces/", 200, CRON_HELD},
            {"GET /apis/batch/v1/cronjobs", 200, "{\"metadata\":{},\"items\":[" CRON_HELD "]}"},
        };
        struct bench a = BENCH(from), b = BENCH(to);
        struct err e = {0};
        struct kube_discovery *d;
        struct handover_item *items = NULL;
        expect(0, kube_discover(b.c, &d, &e), &e);
        struct handover_opts o = {.from = a.c, .to = b.c, .from_slot = 'a', .to_slot = 'b'};
        o.discovery = o.from_discovery = d;
        expect(0, handover(b.a, &o, &items, &e), &e);
        assert_string_equal(handover_state_name(items->state), "failed");
        assert_non_null(strstr(items->note, rows[i].named));
        assert_int_equal(api_count(a.api, "PATCH ") + api_count(b.api, "PATCH "), 0);
        kube_discovery_free(d);
        bench_free(&a);
        bench_free(&b);
    }
}

#define BATCH_JOBS                                                                                 \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"batch\"},"           \
    "\"versions\":[{\"version\":\"v1\",\"resources\":[{\"resource\":\"cronjobs\","                 \
    "\"responseKind\":{\"kind\":\"CronJob\"},\"scope\":\"Namespaced\",\"singularResource\":"       \
    "\"cronjob\",\"verbs\":[\"get\",\"list\",\"patch\"]},{\"resource\":\"jobs\",\"responseKind\":" \
    "{\"kind\":\"Job\"},\"scope\":\"Namespaced\",\"singularResource\":\"job\",\"verbs\":[\"get\"," \
    "\"list\",\"patch\"]}]}]}]}"
#define CRON_STILL(policy)                                                                         \
    THING("batch/v1", "CronJob", "shop", ",\"annotations\":{\"tandem.dev/held\":\"null\"}",        \
          "\"schedule\":\"@daily\",\"suspend\":true,\"concurrencyPolicy\":\"" policy "\"")
#define ITEMS(item) "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" item "]}"
#define RUN(status)                                                                                \
    "{\"metadata\":{\"name\":\"c-x\",\"namespace\":\"shop\",\"ownerReferences\":[{\"uid\":\"u\"}]" \
    "}"                                                                                            \
    ",\"status\":{" status "}}"
#define ENDED "\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]"

/* A CronJob that was stopped and cannot begin in the other cluster, now or ever, goes on where it
 * was. What must not run beside itself waits until its run has ended. */
static void stays_where_it_acts(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        unsigned busy; /* so often its run is seen; 0: always */
        int status;    /* of letting it loose */
        const char *said, *note;
        bool back;
    } rows[] = {
        {CRON_STILL("Forbid"), 0, 200, "failed", "1 of its runs are still under way in a", true},
        {CRON_STILL("Replace"), 0, 200, "failed", "acts in a still", true},
        {CRON_STILL("Forbid"), 1, 200, "handed over", "acts in b now", false},
        {CRON_STILL("Allow"), 0, 200, "handed over", "still under way in a", false},
        {CRON_STILL("Allow"), 0, 422, "failed", "acts in a still", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct api_row from[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, BATCH_JOBS},
            {"PATCH ", 200, CRON("shop")},
            {"GET /apis/batch/v1/namespaces/shop/jobs", 200, ITEMS(RUN("\"active\":0")),
             .times = rows[i].busy},
            {"GET /apis/batch/v1/namespaces/shop/jobs", 200, ITEMS(RUN(ENDED))},
            {"GET /apis/batch/v1/namespaces/", 200, rows[i].policy},
            {"GET /apis/batch/v1/cronjobs", 200, ITEMS("")},
            {"GET /apis/batch/v1/jobs", 200, ITEMS("")},
        };
        const struct api_row to[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, BATCH_JOBS},
            {"PATCH ", rows[i].status, rows[i].status == 200 ? CRON("shop") : STATUS("Invalid")},
            {"GET /apis/batch/v1/namespaces/shop/jobs", 200, ITEMS("")},
            {"GET /apis/batch/v1/namespaces/", 200, CRON_STILL("Forbid")},
            {"GET /apis/batch/v1/cronjobs", 200, ITEMS(CRON_STILL("Forbid"))},
            {"GET /apis/batch/v1/jobs", 200, ITEMS("")},
        };
        struct bench a = BENCH(from), b = BENCH(to);
        struct err e = {0};
        struct kube_discovery *d;
        struct handover_item *items = NULL;
        expect(0, kube_discover(b.c, &d, &e), &e);
        struct handover_opts o = {.from = a.c, .to = b.c, .from_slot = 'a', .to_slot = 'b'};
        o.discovery = o.from_discovery = d;
        o.wait_ms = 1500;
        expect(0, handover(b.a, &o, &items, &e), &e);
        if (!str_eq(handover_state_name(items->state), rows[i].said) ||
            !strstr(items->note, rows[i].note))
            fail_msg("row %zu: %s, %s", i, handover_state_name(items->state), items->note);
        assert_int_equal(api_count(a.api, "\"suspend\":null"), rows[i].back);
        assert_int_equal(api_count(b.api, "\"suspend\":null"),
                         !rows[i].back || rows[i].status != 200);
        kube_discovery_free(d);
        bench_free(&a);
        bench_free(&b);
    }
}

/* Of a chunk that is being stopped: at which second it began, and is there room for one more? */
static void before_the_minute_turns(void **state) {
    (void)state;
    static const struct {
        int64_t since, now;
        bool fits;
    } rows[] = {
        {5000, 5000, true},    {5000, 29000, true},   {5000, 29600, false},   {40000, 46000, true},
        {40000, 47100, false}, {53900, 53900, true},  {54000, 54000, false},  {59000, 59500, false},
        {55000, 61000, false}, {55000, 70000, false}, {50000, 115000, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (quiet_fits(rows[i].since, rows[i].now) != rows[i].fits)
            fail_msg("row %zu", i);
}

#define RIGHTS(group, plural, kind)                                                                \
    "{\"metadata\":{\"name\":\"" group "\"},\"versions\":[{\"version\":\"v1\",\"resources\":[{"    \
    "\"resource\":\"" plural "\",\"responseKind\":{\"kind\":\"" kind "\"},\"scope\":"              \
    "\"Namespaced\",\"singularResource\":\"x\",\"verbs\":[\"get\",\"list\",\"create\",\"patch\"]}" \
    "]}]}"

/* What activate needs is asked for too, of the source as well. */
static void rights_are_asked_for(void **state) {
    (void)state;
    static const struct {
        enum access_role role;
        const char *gaps; /* in the order in which they are found last */
    } rows[] = {
        {ACCESS_SOURCE, "list things; patch cronjobs/status *; patch cronjobs *; list cronjobs; "},
        {ACCESS_DESTINATION,
         "patch things; create things; list things; patch cronjobs/status *; patch "
         "cronjobs; create cronjobs; list cronjobs; "}};
    static const struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200,
         "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[" RIGHTS(
             "batch", "cronjobs", "CronJob") "," RIGHTS("example.com", "things", "Thing") "]}"},
        {"selfsubjectaccessreviews", 201, REVIEW("false")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bench b = BENCH(api);
        struct err e = {0};
        struct kube_discovery *d;
        struct access_gap *g;
        AUTO_SB s = SB_INIT(0);
        expect(0, kube_discover(b.c, &d, &e), &e);
        expect(0, access_check(b.a, b.c, d, rows[i].role, &g, &e), &e);
        for (; g; g = g->next)
            sb_fmt(&s, "%s %s%s; ", g->verb, g->plural, g->hands ? " *" : "");
        assert_string_equal(sb_get(&s), rows[i].gaps);
        kube_discovery_free(d);
        bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twin_in_another_version),
        cmocka_unit_test(doubles),
        cmocka_unit_test(copied_annotation),
        cmocka_unit_test(claims_are_kept),
        cmocka_unit_test(cluster_scoped),
        cmocka_unit_test(one_kind_fails),
        cmocka_unit_test(stays_where_it_acts),
        cmocka_unit_test(before_the_minute_turns),
        cmocka_unit_test(rights_first),
        cmocka_unit_test(rights_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
