/* What became of what was written, against two scripted API servers: what goes away while something
 * else is waited for, and what only seems to be there. */
#include "lab.h"

#include "base/clock.h"
#include "kube_bench.h"
#include "migrate/settle.h"

#define LIST(items)                                                                                \
    "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"1\"},"           \
    "\"items\":[" items "]}"
#define MAP(uid, more)                                                                             \
    "{\"metadata\":{\"name\":\"c\",\"namespace\":\"n\",\"uid\":\"" uid "\"" more                   \
    "},\"data\":{\"k\":\"v\"}}"
#define CART(uid, ready)                                                                           \
    "{\"metadata\":{\"name\":\"cart\",\"namespace\":\"n\",\"uid\":\"" uid                          \
    "\"},\"spec\":{\"replicas\":1},\"status\":{\"readyReplicas\":" ready "}}"
#define MAPS(n, items)                                                                             \
    { "GET /api/v1/configmaps?", 200, LIST(items), NULL, API_WHOLE, n, 0 }
#define CARTS(n, ready)                                                                            \
    { "GET /apis/apps/v1/deployments?", 200, LIST(CART("b-cart", ready)), NULL, API_WHOLE, n, 0 }
#define DELETING ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"finalizers\":[\"x/y\"]"

static const struct api_row source[] = {
    MAPS(0, MAP("a-c", "")),
    {"GET /apis/apps/v1/deployments?", 200, LIST(CART("a-cart", "1")), NULL, API_WHOLE, 0, 0},
};

static const struct {
    const char *name;
    struct api_row rows[4];
    uint64_t max_ms;
    struct settled want;
    unsigned maps_asked; /* how often the destination was asked for ConfigMaps */
} cases[] = {
    {"all is well: one look", {MAPS(0, MAP("b-c", "")), CARTS(0, "1")}, 9000, {0}, 1},
    {"a moment's wait for one kind: the others are not asked for again",
     {MAPS(0, MAP("b-c", "")), CARTS(1, "0"), CARTS(0, "1")},
     9000,
     {0},
     1},
    {"taken away while another was waited for",
     {MAPS(1, MAP("b-c", "")), MAPS(0, ""), CARTS(2, "0"), CARTS(0, "1")},
     9000,
     {.gone = 1},
     2},
    {"taken away while another never became ready",
     {MAPS(1, MAP("b-c", "")), MAPS(0, ""), CARTS(0, "0")},
     1200,
     {.unready = 1, .gone = 1},
     2},
    {"being deleted: not waited for, and lost",
     {MAPS(0, MAP("b-c", DELETING)), CARTS(0, "1")},
     9000,
     {.deleting = 1},
     1},
    {"another of its name", {MAPS(0, MAP("b-other", "")), CARTS(0, "1")}, 9000, {.replaced = 1}, 1},
};

static struct world *written(struct arena *a, struct kube_client *src, struct kube_client *dst) {
    struct world_opts o = {.src = src, .dst = dst};
    struct world *w =
        lab_world(a, &o,
                  "[{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','namespace':'n',"
                  "'uid':'a-c'},'data':{'k':'v'}},{'apiVersion':'apps/v1','kind':'Deployment',"
                  "'metadata':{'name':'cart','namespace':'n','uid':'a-cart'},'spec':{'replicas':1}}"
                  "]",
                  "[]", NULL);
    for (size_t i = 0; i < world_count(w); i++) {
        struct object *x = world_at(w, i);
        assert_int_equal(x->verdict, V_CREATE);
        x->outcome = OUT_DONE;
        world_set_uid_dst(w, x, arena_printf(a, "b-%s", x->name));
    }
    return w;
}

static void every_case(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = 0;
        while (n < COUNT_OF(cases[i].rows) && cases[i].rows[n].want)
            n++;
        struct bench src = BENCH(source), dst = bench_new(cases[i].rows, n);
        struct world *w = written(src.a, src.c, dst.c);
        struct settle_opts o = {.max_ms = cases[i].max_ms};
        struct settled got, want = cases[i].want;
        struct err e = {0};
        expect(0, settle(w, &o, &got, &e), &e);
        if (memcmp(&got, &want, sizeof got) != 0)
            fail_msg("%s: %zu unready, %zu gone, %zu replaced, %zu deleting, %zu changed",
                     cases[i].name, got.unready, got.gone, got.replaced, got.deleting, got.changed);
        assert_int_equal(settled_lost(&got), want.gone + want.replaced + want.deleting);
        unsigned asked = api_count(dst.api, "GET /api/v1/configmaps?");
        if (asked != cases[i].maps_asked)
            fail_msg("%s: asked %u times", cases[i].name, asked);
        world_free(w);
        bench_free(&src);
        bench_free(&dst);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
    };
    return cmocka_run_group_tests_name("settle", tests, NULL, NULL);
}
