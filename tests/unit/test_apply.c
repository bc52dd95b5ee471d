/* Carrying a plan out against two scripted API servers: rounds, and what stands behind webhooks. */
#include "kube_bench.h"

#include <unistd.h>

#include "base/clock.h"
#include "lab.h"
#include "migrate/apply_impl.h"
#include "migrate/world_impl.h"

enum { ROWS_MAX = 16, OBJECTS_MAX = 8 };

#define CORE "{'kind':'APIGroupDiscoveryList','items':[]}"
#define GROUPS                                                                                     \
    "{'kind':'APIGroupDiscoveryList','items':[{'metadata':{'name':'discovery.k8s.io'},"            \
    "'versions':[{'version':'v1','resources':[{'resource':'endpointslices','responseKind':{"       \
    "'kind':'EndpointSlice'},'scope':'Namespaced','singularResource':'x','verbs':['get','list']}"  \
    "]}]}]}"
#define LIST(items)  "{'kind':'List','metadata':{'resourceVersion':'1'},'items':[" items "]}"
#define READY        LIST("{'endpoints':[{'addresses':['10.0.0.1'],'conditions':{'ready':true}}]}")
#define MADE(uid)    "{'metadata':{'name':'x','uid':'" uid "','resourceVersion':'5'}}"
#define STATUS(text) "{'kind':'Status','reason':'InternalError','message':'" text "'}"

#define SERVICE(name) "'clientConfig':{'service':{'namespace':'n','name':'" name "'}}"
#define DEFINITION(more)                                                                           \
    "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{"       \
    "'name':'gadgets.x.io','uid':'a-crd'},'spec':{'group':'x.io','names':{'kind':'Gadget',"        \
    "'plural':'gadgets'},'conversion':{'strategy':'Webhook','webhook':{" SERVICE(                  \
        "conv") "}}}" more "}"
#define ESTABLISHED ",'status':{'conditions':[{'type':'Established','status':'True'}]}"
#define GADGET                                                                                     \
    "{'apiVersion':'x.io/v1','kind':'Gadget','metadata':{'name':'g','namespace':'n',"              \
    "'uid':'a-g'},'spec':{'size':1}}"
#define HOOK                                                                                       \
    "{'apiVersion':'admissionregistration.k8s.io/v1','kind':'ValidatingWebhookConfiguration',"     \
    "'metadata':{'name':'h','uid':'a-h'},'webhooks':[{'name':'h.x.io','sideEffects':'None',"       \
    "'rules':[{'operations':['CREATE','UPDATE'],'apiGroups':['x.io'],'resources':['gadgets']}],"   \
    "" SERVICE("hook") "}]}"

#define CRDS          "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define HOOKS         "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
#define GADGETS       "/apis/x.io/v1/namespaces/n/gadgets"
#define LOOK(service) "service-name%3D" service

/* --- the two clusters --- */

struct fixture {
    struct bench a, b;
    struct journal *j;
    struct journal_run run;
    struct world *w;
    struct http_cancel cancel;
    struct apply_result res;
    char path[128];
};

static char *plain(struct arena *a, const char *quoted) {
    char *s = arena_strdup(a, quoted);
    for (char *p = s; *p; p++)
        if (*p == '\'')
            *p = '"';
    return s;
}

static struct bench serve(struct arena *a, const struct api_row *script) {
    struct api_row *rows = arena_array(a, struct api_row, ROWS_MAX);
    size_t n = 0;
    for (; n < ROWS_MAX && script[n].want; n++) {
        rows[n] = script[n];
        rows[n].body = plain(a, script[n].body);
    }
    return bench_new(rows, n);
}

/* Each object can be got, one by one. */
static struct bench serve_source(struct arena *a, yyjson_val *list) {
    struct api_row *rows = arena_array(a, struct api_row, OBJECTS_MAX + 1);
    struct world_side s = lab_side(a, list);
    assert_true(s.n <= OBJECTS_MAX);
    for (size_t i = 0; i < s.n; i++) {
        yyjson_val *body = s.items[i].body;
        const char *path =
            kube_path(a, s.items[i].resource, json_str(body, "metadata", "namespace"),
                      json_str(body, "metadata", "name"), NULL);
        rows[i] = (struct api_row){.want = arena_printf(a, "GET %s ", path),
                                   .status = 200,
                                   .body = json_write(a, body, &(size_t){0})};
    }
    return serve(a, rows);
}

static void start(struct fixture *f, struct arena *a, const char *src, const char *dst,
                  const struct api_row *script, const struct user_rule *rule) {
    *f = (struct fixture){0};
    struct err e = {0};
    f->a = serve_source(a, lab_json(a, src));
    f->b = serve(a, script);
    snprintf(f->path, sizeof f->path, "%s/t.db", f->b.dir);
    expect(0, journal_open(f->path, false, &f->j, &e), &e);
    expect(0, journal_run_begin(f->j, 'a', 'b', &f->run, &e), &e);
    struct world_opts o = {.src = f->a.c, .dst = f->b.c, .rules = rule, .n_rules = rule != NULL};
    f->w = lab_world(a, &o, src, dst, NULL);
    expect(0, kube_discover(f->b.c, &f->w->ddst, &e), &e);
}

static int carry_out(struct fixture *f, uint64_t ready_ms) {
    struct apply_opts o = {.world = f->w,
                           .journal = f->j,
                           .run = f->run.id,
                           .writes = 4,
                           .batch = 1,
                           .ready_ms = ready_ms,
                           .cancel = &f->cancel};
    return apply_plan(&o, &f->res, NULL);
}

static void finish(struct fixture *f) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    world_free(f->w);
    journal_close(f->j);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(f->b.a, "%s%s", f->path, names[i]));
    bench_free(&f->a);
    bench_free(&f->b);
}

#define ROW(want, status, body)                                                                    \
    { want, status, body, NULL, API_WHOLE, 0, 0 }
#define TIMES(n, want, status, body)                                                               \
    { want, status, body, NULL, API_WHOLE, n, 0 }
#define DISCOVERY ROW("GET /api ", 200, CORE), ROW("GET /apis ", 200, GROUPS)

/* --- how long back ends are waited for --- */

/* What takes its time between a definition's back end and a webhook's is not the webhook's time;
 * what a later round brings is waited for anew, and nothing is when only the webhook is left. */
static void back_ends_get_their_time(void **state UNUSED) {
    static const struct {
        const char *name, *src;
        struct api_row rows[ROWS_MAX];
        size_t done;
        unsigned looks;
    } cases[] = {
        {"a custom resource that takes long",
         "[" DEFINITION("") "," GADGET "," HOOK "]",
         {DISCOVERY,
          ROW("POST " CRDS, 201, MADE("b-crd")),
          ROW("GET " CRDS "/gadgets.x.io", 200, DEFINITION(ESTABLISHED)),
          ROW(LOOK("conv"), 200, READY),
          {"POST " GADGETS, 201, MADE("b-g"), NULL, API_WHOLE, 0, 700},
          TIMES(2, LOOK("hook"), 200, LIST("")),
          ROW(LOOK("hook"), 200, READY),
          ROW("POST " HOOKS, 201, MADE("b-h"))},
         3,
         3},
        {"what is behind it comes in a later round",
         "[" GADGET "," HOOK "]",
         {DISCOVERY, TIMES(2, "POST " GADGETS, 500, STATUS("failed calling webhook")),
          ROW("POST " GADGETS, 201, MADE("b-g")), TIMES(5, LOOK("hook"), 200, LIST("")),
          ROW(LOOK("hook"), 200, READY), ROW("POST " HOOKS, 201, MADE("b-h"))},
         2,
         6},
        {"nothing is behind it",
         "[" GADGET "," HOOK "]",
         {DISCOVERY, ROW("POST " GADGETS, 201, MADE("b-g")), ROW(LOOK("hook"), 200, LIST(""))},
         1,
         4},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct fixture f;
        start(&f, a, cases[i].src, "[]", cases[i].rows, NULL);
        expect(0, carry_out(&f, 300), &(struct err){0});
        unsigned looks = api_count(f.b.api, LOOK("hook"));
        if (f.res.done != cases[i].done || looks != cases[i].looks)
            fail_msg("%s: %zu done, %zu failed, looked %u times", cases[i].name, f.res.done,
                     f.res.failed, looks);
        finish(&f);
    }
}

/* --- webhooks that no request has passed --- */

#define OLD_HOOK                                                                                   \
    "{'apiVersion':'admissionregistration.k8s.io/v1','kind':'ValidatingWebhookConfiguration',"     \
    "'metadata':{'name':'h','uid':'b-h','resourceVersion':'4'},'webhooks':[{'name':'old.x.io'}]}"
#define OUR_GADGET                                                                                 \
    "{'apiVersion':'x.io/v1','kind':'Gadget','metadata':{'name':'g','namespace':'n',"              \
    "'uid':'b-g'},'spec':{'size':1}}"
#define DEAD STATUS("failed calling webhook \\'h.x.io\\'")

static const struct user_rule overwrite = {.kind = "ValidatingWebhookConfiguration",
                                           .overwrite = true};

static struct journal_effect *effects_of_hook(struct fixture *f, struct arena *a, size_t n) {
    struct journal_effect *v;
    size_t got = 0;
    struct err e = {0};
    expect(0,
           journal_effects_of(f->j, a, f->run.id, "b",
                              "admissionregistration.k8s.io/ValidatingWebhookConfiguration//h", &v,
                              &got, &e),
           &e);
    assert_int_equal(got, n);
    return v;
}

/* One that was changed and cannot be called then gets its old values back: deleting it would take
 * what was there before the run. In the next round it can be called. */
static void changed_ones_are_put_back(void **state UNUSED) {
    static const struct api_row rows[ROWS_MAX] = {
        DISCOVERY,
        ROW(LOOK("hook"), 200, READY),
        ROW("GET " HOOKS "/h", 200, OLD_HOOK),
        ROW("PATCH " HOOKS "/h", 200, MADE("b-h")),
        TIMES(22, "PATCH " GADGETS "/g?dryRun=All", 500, DEAD), /* ten seconds of them, and more */
        ROW("PATCH " GADGETS "/g?dryRun=All", 200, MADE("b-g")),
    };
    AUTO_ARENA a = arena_new();
    struct fixture f;
    start(&f, a, "[" GADGET "," HOOK "]", "[" OUR_GADGET "," OLD_HOOK "]", rows, &overwrite);
    expect(0, carry_out(&f, 300), &(struct err){0});
    const struct journal_effect *v = effects_of_hook(&f, a, 2);
    assert_int_equal(v[0].state, EFFECT_FAILED);
    assert_non_null(strstr(v[0].error, "put back as it was"));
    assert_int_equal(v[1].state, EFFECT_DONE);
    assert_int_equal(f.res.done, 1);
    assert_int_equal(api_count(f.b.api, "{\"webhooks\":[{\"name\":\"old.x.io\"}],"
                                        "\"metadata\":{\"uid\":\"b-h\"}}"),
                     1);
    assert_int_equal(api_count(f.b.api, "DELETE " HOOKS), 0);
    finish(&f);
}

static void *stop_soon(void *arg) {
    struct fixture *f = arg;
    while (!api_count(f->b.api, "PATCH " GADGETS "/g?dryRun=All"))
        clock_sleep_ms(10);
    atomic_store(&f->cancel.stop, true);
    return NULL;
}

/* Stopped in the middle of it: nobody knows, and the next run has to try it. */
static void a_stop_proves_nothing(void **state UNUSED) {
    static const struct api_row rows[ROWS_MAX] = {
        DISCOVERY,
        ROW(LOOK("hook"), 200, READY),
        ROW("POST " HOOKS, 201, MADE("b-h")),
        ROW("PATCH " GADGETS "/g?dryRun=All", 200, MADE("b-g")),
    };
    AUTO_ARENA a = arena_new();
    struct fixture f;
    pthread_t t;
    start(&f, a, "[" GADGET "," HOOK "]", "[" OUR_GADGET "]", rows, NULL);
    MUST(pthread_create(&t, NULL, stop_soon, &f) == 0);
    expect(-ESTOPPED, carry_out(&f, 300), &(struct err){0});
    pthread_join(t, NULL);
    const struct journal_effect *v = effects_of_hook(&f, a, 1);
    assert_int_equal(v->state, EFFECT_UNKNOWN);
    assert_string_equal(v->uid, "b-h");
    assert_int_equal(f.res.left, 1);
    assert_int_equal(api_count(f.b.api, "DELETE " HOOKS), 0);
    finish(&f);
}

/* --- what may refuse others --- */

#define QUOTA(ns)                                                                                  \
    "{'apiVersion':'v1','kind':'ResourceQuota','metadata':{'name':'q','namespace':'" ns            \
    "','uid':'a-q-" ns "'},'spec':{'hard':{'pods':'1'}}}"
#define QUOTAS(ns) "POST /api/v1/namespaces/" ns "/resourcequotas"

/* A quota and a webhook wait until what failed before them has been tried again, if they could
 * refuse it; and are written all the same when that does not help. */
static void limits_are_held_back(void **state UNUSED) {
    for (unsigned failures = 1; failures < 10; failures += 8) {
        const struct api_row rows[ROWS_MAX] = {
            DISCOVERY,
            ROW(LOOK("hook"), 200, READY),
            TIMES(failures, "POST " GADGETS, 500, STATUS("failed calling webhook")),
            ROW("POST " GADGETS, 201, MADE("b-g")),
            ROW("PATCH " GADGETS "/g?dryRun=All", 200, MADE("b-g")),
            ROW(QUOTAS("n"), 201, MADE("b-q")),
            ROW(QUOTAS("other"), 201, MADE("b-o")),
            ROW("POST " HOOKS, 201, MADE("b-h")),
        };
        AUTO_ARENA a = arena_new();
        struct fixture f;
        start(&f, a, "[" HOOK "," QUOTA("n") "," QUOTA("other") "," GADGET "]", "[]", rows, NULL);
        expect(0, carry_out(&f, 300), &(struct err){0});
        int again = api_when(f.b.api, "POST " GADGETS, 1);
        assert_true(again >= 0);
        assert_true(api_when(f.b.api, QUOTAS("n"), 0) > again);
        assert_true(api_when(f.b.api, "POST " HOOKS, 0) > again);
        assert_in_range(api_when(f.b.api, QUOTAS("other"), 0), 0, again);
        assert_int_equal(f.res.done, failures == 1 ? 4 : 3);
        assert_int_equal(f.res.failed, failures == 1 ? 0 : 1);
        finish(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_ends_get_their_time),
        cmocka_unit_test(changed_ones_are_put_back),
        cmocka_unit_test(a_stop_proves_nothing),
        cmocka_unit_test(limits_are_held_back),
    };
    return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
