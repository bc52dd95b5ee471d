/* What a cluster makes in each of its namespaces: by whom, in how many, and what becomes of it. */
#include "lab.h"

#include "migrate/pernamespace.h"
#include "migrate/probe_ns.h"

#define BY(m) "'managedFields':[{'manager':'" m "','operation':'Update'}]"

static const struct {
    const char *manager;
    bool hand;
} managers[] = {
    {"kubectl", true},
    {"kubectl-client-side-apply", true},
    {"helm", true},
    {"Helm", true},
    {"helm-controller", true},
    {"argocd-controller", true},
    {"argocd-application-controller", true},
    {"kustomize-controller", true},
    {"Terraform", true},
    {"HashiCorp", true},
    {"pulumi-kubernetes", true},
    {"OpenAPI-Generator", true},
    {"python-requests", true},
    {"Go-http-client", true},
    {"Mozilla", true},
    {"tandem", true},
    {"unknown", true},
    {"", true},
    {NULL, true},
    {"mesh-controller", false},
    {"pilot-discovery", false},
    {"kube-controller-manager", false},
    {"trust-manager", false},
    {"openshift.io/image-registry-pull-secrets_service-account-controller", false},
    {"manager", false},
    {"ocelot", false},
};

static void people_are_no_controllers(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(managers); i++)
        if (pernamespace_by_hand(managers[i].manager) != managers[i].hand)
            fail_msg("%s: wanted %s", managers[i].manager, managers[i].hand ? "by hand" : "not");
}

static const struct {
    const char *fields, *maker;
} makers[] = {
    {BY("mesh-controller"), "mesh-controller"},
    {"'managedFields':[{'manager':'m'},{'manager':'m','subresource':'status'}]", "m"},
    {"'managedFields':[{'manager':'m'},{'manager':'n'}]", NULL},
    {"'managedFields':[{'manager':'m'},{'manager':'kubectl-edit'}]", NULL},
    {BY("kubectl"), NULL},
    {"'managedFields':[]", NULL},
    {"'name':'x'", NULL},
    {"'managedFields':[{'operation':'Update'}]", NULL},
};

static void one_maker(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(makers); i++) {
        AUTO_ARENA a = arena_new();
        const char *got =
            pernamespace_maker(lab_json(a, arena_printf(a, "{'metadata':{%s}}", makers[i].fields)));
        if (!str_eq(got, makers[i].maker))
            fail_msg("%s: %s", makers[i].fields, got ? got : "nobody");
    }
}

static const struct {
    size_t n, total;
    bool all;
} shares[] = {
    {2, 2, false}, {3, 3, true},     {0, 0, false},   {9, 10, true},
    {8, 9, false}, {89, 100, false}, {90, 100, true}, {4, 3, true}, /* read while one was made */
};

static void nearly_all(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(shares); i++)
        if (census_nearly_all(shares[i].n, shares[i].total) != shares[i].all)
            fail_msg("%zu of %zu", shares[i].n, shares[i].total);
}

/* --- worlds --- */

/* `have` of the `n` namespaces n0, n1, … hold an object called x, with more metadata. */
static void fill(struct sb *b, const char *api, const char *kind, size_t n, size_t have,
                 const char *meta) {
    for (size_t i = 0; i < n; i++) {
        sb_fmt(b, "%s{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'n%zu'}}",
               b->len ? "," : "[", i);
        if (i < have)
            sb_fmt(
                b,
                ",{'apiVersion':'%s','kind':'%s','metadata':{'name':'x','namespace':'n%zu'%s%s}}",
                api, kind, i, *meta ? "," : "", meta);
    }
    sb_str(b, "]");
}

#define OWNED "'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'p','uid':'u'}]"

/* A's x in namespace shop, and what stands in B's namespaces. */
static const struct {
    const char *what, *api, *kind, *meta_a, *meta_b;
    size_t n, have;
    const char *rule;
} inferred[] = {
    {"in each, by one controller", "v1", "ConfigMap", BY("mesh"), BY("mesh"), 3, 3,
     PERNAMESPACE_RULE},
    {"another release calls itself otherwise", "v1", "ConfigMap", BY("mesh2"), BY("mesh"), 3, 3,
     PERNAMESPACE_RULE},
    {"in nine of ten", "v1", "ConfigMap", BY("mesh"), BY("mesh"), 10, 9, PERNAMESPACE_RULE},
    {"in eight of ten", "v1", "ConfigMap", BY("mesh"), BY("mesh"), 10, 8, "recreate"},
    {"in two", "v1", "ConfigMap", BY("mesh"), BY("mesh"), 2, 2, "recreate"},
    {"in each, by a pipeline", "v1", "ConfigMap", BY("mesh"), BY("argocd-controller"), 5, 5,
     "recreate"},
    {"in each, by nobody", "v1", "ConfigMap", BY("mesh"), "", 5, 5, "recreate"},
    {"in each, with an owner", "v1", "ConfigMap", BY("mesh"), BY("mesh") "," OWNED, 5, 5,
     "recreate"},
    {"the source's is a person's", "v1", "ConfigMap", BY("kubectl"), BY("mesh"), 5, 5, "recreate"},
    {"the source's has an owner", "v1", "ConfigMap", BY("mesh") "," OWNED, BY("mesh"), 5, 5,
     "recreate"},
    {"a Secret holds data", "v1", "Secret", BY("mesh"), BY("mesh"), 5, 5, "recreate"},
    {"a custom kind", "x.example.com/v1", "Sidecar", BY("mesh"), BY("mesh"), 5, 5,
     PERNAMESPACE_RULE},
};

static void destination_tells(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(inferred); i++) {
        AUTO_ARENA a = arena_new();
        AUTO_SB b = SB_INIT(0);
        fill(&b, inferred[i].api, inferred[i].kind, inferred[i].n, inferred[i].have,
             inferred[i].meta_b);
        const char *x =
            arena_printf(a,
                         "{'apiVersion':'%s','kind':'%s','metadata':{'name':'x','namespace':"
                         "'shop',%s}}",
                         inferred[i].api, inferred[i].kind, inferred[i].meta_a);
        const char *src = arena_printf(
            a, "[%s,{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop'}}]", x);
        struct world *w = lab_world(a, NULL, src, b.p, NULL);
        struct object *o = lab_find(w, lab_json(a, x));
        if (!str_eq(o->rule, inferred[i].rule))
            fail_msg("%s: %s (%s)", inferred[i].what, o->rule, o->why);
        assert_int_equal(o->verdict == V_SKIP, str_eq(o->rule, PERNAMESPACE_RULE));
        if (o->verdict == V_SKIP)
            assert_non_null(strstr(o->why, "written by mesh"));
        world_free(w);
    }
}

static size_t hints(const struct world *w) {
    size_t n = 0;
    for (const char *const *t = world_warnings(w); *t; t++)
        n += strstr(*t, "namespaces of the source, made by mesh") != NULL;
    return n;
}

/* The source alone is a hint, and no verdict. */
static void source_hints(void **state UNUSED) {
    static const struct {
        const char *meta;
        size_t n, have, hints;
    } rows[] = {
        {BY("mesh"), 4, 4, 1}, {BY("mesh"), 10, 8, 0},
        {BY("mesh"), 2, 2, 0}, {BY("argocd-controller"), 4, 4, 0},
        {"", 4, 4, 0},         {BY("mesh") "," OWNED, 4, 4, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        AUTO_SB b = SB_INIT(0);
        fill(&b, "v1", "ConfigMap", rows[i].n, rows[i].have, rows[i].meta);
        struct world *w = lab_world(a, NULL, b.p, NULL, NULL);
        for (size_t k = 0; k < world_count(w); k++)
            assert_int_equal(world_at(w, k)->verdict, V_CREATE);
        if (hints(w) != rows[i].hints)
            fail_msg("%s in %zu of %zu: %zu hints", rows[i].meta, rows[i].have, rows[i].n,
                     hints(w));
        world_free(w);
    }
}

/* What a probe namespace had is left out, whoever wrote the source's; what a rule of the user's
 * says stays, and so do the default account and what has another name. */
static void probe_tells(void **state UNUSED) {
    static const struct {
        const char *kind, *name, *meta;
        enum verdict verdict;
    } rows[] = {
        {"ConfigMap", "ca", BY("mesh"), V_SKIP},
        {"ConfigMap", "mine", BY("mesh"), V_CREATE},
        {"ConfigMap", "ca2", BY("mesh"), V_CREATE},
        {"Secret", "ca", BY("mesh"), V_CREATE},
        {"Secret", "pull", BY("mesh"), V_SKIP},
        {"LimitRange", "all", BY("kubectl"), V_SKIP},
        {"ServiceAccount", "default", "'labels':{'a':'b'}", V_CREATE},
        {"ServiceAccount", "builder", "'labels':{'a':'b'}", V_SKIP},
    };
    static const char *const keys[] = {"/ConfigMap/ca",
                                       "/ConfigMap/mine",
                                       "/Secret/pull",
                                       "/LimitRange/all",
                                       "/ServiceAccount/default",
                                       "/ServiceAccount/builder",
                                       NULL};
    static const struct user_rule rule = {.kind = "ConfigMap", .name = "mine", .verdict = "create"};
    struct world_opts wo = {.rules = &rule, .n_rules = 1};
    AUTO_ARENA a = arena_new();
    AUTO_SB b = SB_INIT(0);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        sb_fmt(&b, "%s{'apiVersion':'v1','kind':'%s','metadata':{'name':'%s','namespace':'s',%s}}",
               i ? "," : "[", rows[i].kind, rows[i].name, rows[i].meta);
    sb_str(&b, "]");
    struct world *w = lab_world(a, &wo, b.p, NULL, NULL);
    for (size_t i = 0; i < world_count(w); i++)
        assert_int_equal(world_at(w, i)->verdict, V_CREATE);
    assert_int_equal(pernamespace_learn(w, keys), 4);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct object *o = world_find(w, "", rows[i].kind, "s", rows[i].name);
        if (o->verdict != rows[i].verdict)
            fail_msg("%s %s: %s", rows[i].kind, rows[i].name, verdict_name(o->verdict));
    }
    size_t skipped = 0, by_hand = 0;
    const struct generated *g;
    for (size_t i = 0; (g = pernamespace_at(w, i)); i++) {
        skipped += g->skipped;
        by_hand += g->by_hand;
    }
    assert_int_equal(skipped, 4);
    assert_int_equal(by_hand, 2);
    assert_int_equal(pernamespace_learn(w, keys), 0);
    world_free(w);
}

static void probe_names(void **state UNUSED) {
    char one[PROBE_NS_NAME_MAX], two[PROBE_NS_NAME_MAX];
    assert_true(probe_ns_named(probe_ns_name(one)));
    assert_string_not_equal(one, probe_ns_name(two));
    static const char *const others[] = {"tandem-probe-",
                                         "tandem-probe-12345",
                                         "tandem-probe-1234567",
                                         "tandem-probe-12345g",
                                         "tandem-system",
                                         "probe-123456",
                                         NULL};
    for (size_t i = 0; others[i]; i++)
        assert_false(probe_ns_named(others[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_are_no_controllers),
        cmocka_unit_test(one_maker),
        cmocka_unit_test(nearly_all),
        cmocka_unit_test(destination_tells),
        cmocka_unit_test(source_hints),
        cmocka_unit_test(probe_tells),
        cmocka_unit_test(probe_names),
    };
    return cmocka_run_group_tests_name("pernamespace", tests, NULL, NULL);
}
