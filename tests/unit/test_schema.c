/* Two schemas of a kind, and what becomes of an object between them. */
#include "lab.h"

#include "migrate/apply_impl.h"
#include "migrate/dryrun.h"
#include "migrate/removals.h"
#include "migrate/schema.h"

#define KIND "'x-kubernetes-group-version-kind':[{'group':'g','kind':'K','version':'v1'}]"
/* spec: of the kind's schema; more: further components. */
#define DOC(spec, more)                                                                            \
    "{'components':{'schemas':{'g.K':{'type':'object','properties':{'apiVersion':{'type':"         \
    "'string'},'spec':" spec "}," KIND "}" more "}}}"
#define OBJ(props) "{'type':'object','properties':{" props "}}"
#define STR        "{'type':'string'}"
#define REF(name)  "{'default':{},'allOf':[{'$ref':'#/components/schemas/" name "'}]}"
#define BODY(spec) "{'apiVersion':'g/v1','kind':'K','metadata':{'name':'x'},'spec':" spec "}"
#define OPEN       "{'type':'object','x-kubernetes-preserve-unknown-fields':true}"
#define TREE(more) ",'t':" OBJ("'in':{'$ref':'#/components/schemas/t'}" more)

static struct schema_diff *diff_of(struct arena *a, const char *src, const char *dst, bool custom) {
    struct kube_resource *r = lab_resource(a, "g/v1", "K");
    return schema_compare(a, lab_json(a, src), lab_json(a, dst), r, custom);
}

/* "lost /spec/a; doubt /spec/b" */
static const char *concerns_of(struct arena *a, const struct schema_diff *d, const char *body) {
    static const char *const words[] = {"lost", "refused", "doubt"};
    AUTO_SB b = SB_INIT(0);
    yyjson_mut_doc *doc = json_doc(a);
    struct concern *c = schema_concerns(a, d, yyjson_val_mut_copy(doc, lab_json(a, body)), false);
    for (; c; c = c->next)
        sb_fmt(&b, "%s%s %s", b.len ? "; " : "", words[c->kind], c->path);
    return arena_strdup(a, sb_get(&b));
}

static const struct {
    const char *name, *src, *dst, *body, *want;
    bool go; /* a Go type, not a definition */
} rows[] = {
    {"the same", DOC(OBJ("'a':" STR), ""), DOC(OBJ("'a':" STR), ""), BODY("{'a':'1','z':1}"), "",
     false},
    {"a field gone", DOC(OBJ("'a':" STR ",'b':" STR), ""), DOC(OBJ("'a':" STR), ""),
     BODY("{'a':'1','b':'2'}"), "lost /spec/b", false},
    {"a field gone, not used", DOC(OBJ("'a':" STR ",'b':" STR), ""), DOC(OBJ("'a':" STR), ""),
     BODY("{'a':'1'}"), "", false},
    {"a field gone, with nothing in it", DOC(OBJ("'b':" OPEN ",'c':{'type':'array'},'d':" STR), ""),
     DOC(OBJ("'a':" STR), ""), BODY("{'b':{},'c':[],'d':null}"), "", false},
    {"a field gone that says no", DOC(OBJ("'b':{'type':'boolean'}"), ""), DOC(OBJ("'a':" STR), ""),
     BODY("{'b':false}"), "lost /spec/b", false},
    {"a field gone, holding the default", DOC(OBJ("'b':{'type':'string','default':'x'}"), ""),
     DOC(OBJ("'a':" STR), ""), BODY("{'b':'x'}"), "", false},
    {"in a list", DOC(OBJ("'l':{'type':'array','items':" OBJ("'a':" STR ",'b':" STR) "}"), ""),
     DOC(OBJ("'l':{'type':'array','items':" OBJ("'a':" STR) "}"), ""),
     BODY("{'l':[{'a':'1'},{'b':'1'}]}"), "lost /spec/l/1/b", false},
    {"in a map", DOC(OBJ("'m':{'type':'object','additionalProperties':" OBJ("'a':" STR) "}"), ""),
     DOC(OBJ("'m':{'type':'object','additionalProperties':" OBJ("'b':" STR) "}"), ""),
     BODY("{'m':{'k/1':{'a':'1'}}}"), "lost /spec/m/k~11/a", false},
    {"in a component", DOC(REF("c"), ",'c':" OBJ("'a':" STR)), DOC(REF("c"), ",'c':" OBJ("")),
     BODY("{'a':'1'}"), "lost /spec/a", false},
    {"a Go type without members holds any", DOC(REF("c"), ",'c':" OBJ("'a':" STR)),
     DOC(REF("c"), ",'c':" OBJ("")), BODY("{'a':'1'}"), "", true},
    {"in a component that holds itself", DOC(REF("t"), TREE(",'a':" STR)), DOC(REF("t"), TREE("")),
     BODY("{'in':{'in':{'a':'1'}}}"), "lost /spec/in/in/a", false},
    {"open before, closed now", DOC(OPEN, ""), DOC(OBJ("'a':" STR ",'b':" OBJ("'c':" STR)), ""),
     BODY("{'a':'1','b':{'c':'1','d':1},'e':1}"), "lost /spec/b/d; lost /spec/e", false},
    {"closed before, open now", DOC(OBJ("'a':" STR), ""), DOC(OPEN, ""), BODY("{'a':'1'}"), "",
     false},
    {"a map before, members now", DOC("{'type':'object','additionalProperties':" STR "}", ""),
     DOC(OBJ("'a':" STR), ""), BODY("{'a':'1','b':'1'}"), "lost /spec/b", false},
    {"members before, a map now", DOC(OBJ("'a':" STR), ""),
     DOC("{'type':'object','additionalProperties':" STR "}", ""), BODY("{'a':'1'}"), "", false},
    {"a value gone", DOC(OBJ("'a':{'type':'string','enum':['x','y']}"), ""),
     DOC(OBJ("'a':{'type':'string','enum':['x']}"), ""), BODY("{'a':'y'}"), "refused /spec/a",
     true},
    {"a value that stays", DOC(OBJ("'a':{'type':'string','enum':['x','y']}"), ""),
     DOC(OBJ("'a':{'type':'string','enum':['x']}"), ""), BODY("{'a':'x'}"), "", false},
    {"values named for the first time", DOC(OBJ("'a':" STR), ""),
     DOC(OBJ("'a':{'type':'string','enum':['x']}"), ""), BODY("{'a':'y'}"), "doubt /spec/a", true},
    {"and in a definition", DOC(OBJ("'a':" STR), ""),
     DOC(OBJ("'a':{'type':'string','enum':['x']}"), ""), BODY("{'a':'y'}"), "refused /spec/a",
     false},
    {"another type", DOC(OBJ("'a':" STR), ""), DOC(OBJ("'a':{'type':'integer'}"), ""),
     BODY("{'a':'1'}"), "refused /spec/a", false},
    {"another type that fits", DOC(OBJ("'a':{'type':'number'}"), ""),
     DOC(OBJ("'a':{'type':'integer'}"), ""), BODY("{'a':1}"), "", false},
    {"required from now on", DOC(OBJ("'a':" STR), ""),
     DOC("{'type':'object','required':['b'],'properties':{'a':" STR ",'b':" STR "}}", ""),
     BODY("{'a':'1'}"), "refused /spec", false},
    {"required by a Go type", DOC(OBJ("'a':" STR), ""),
     DOC("{'type':'object','required':['b'],'properties':{'a':" STR ",'b':" STR "}}", ""),
     BODY("{'a':'1'}"), "doubt /spec", true},
    {"required, but filled in", DOC(OBJ("'a':" STR), ""),
     DOC("{'type':'object','required':['b'],'properties':{'a':" STR
         ",'b':{'type':'string','default':'x'}}}",
         ""),
     BODY("{'a':'1'}"), "", false},
    {"a tighter limit", DOC(OBJ("'a':{'type':'string','maxLength':9}"), ""),
     DOC(OBJ("'a':{'type':'string','maxLength':5}"), ""), BODY("{'a':'1'}"), "doubt /spec/a",
     false},
    {"a limit dropped", DOC(OBJ("'a':{'type':'string','maxLength':9}"), ""),
     DOC(OBJ("'a':" STR), ""), BODY("{'a':'1'}"), "", false},
    {"a new rule", DOC(OBJ("'a':" STR), ""),
     DOC("{'type':'object','properties':{'a':" STR "},'x-kubernetes-validations':[{'rule':'x'}]}",
         ""),
     BODY("{'a':'1'}"), "doubt /spec", false},
    {"what every object has", DOC(OBJ("'a':" STR ",'metadata':" STR), ""), DOC(OBJ("'a':" STR), ""),
     BODY("{'a':'1'}"), "", false},
};

static void objects(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct schema_diff *d = diff_of(a, rows[i].src, rows[i].dst, !rows[i].go);
        const char *got = concerns_of(a, d, rows[i].body);
        if (!str_eq(got, rows[i].want))
            fail_msg("%s:\n got %s\nwant %s", rows[i].name, got, rows[i].want);
    }
}

/* No walk where there is nothing to find. */
static void fast_path(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    assert_null(diff_of(a, DOC(REF("t"), TREE("")), DOC(REF("t"), TREE("")), true));
    struct schema_diff *more =
        diff_of(a, DOC(OBJ("'a':" STR), ""), DOC(OBJ("'a':" STR ",'n':" STR), ""), true);
    assert_non_null(more);
    assert_false(schema_has_checks(more));
    assert_true(schema_has_checks(
        diff_of(a, DOC(OBJ("'a':" STR ",'n':" STR), ""), DOC(OBJ("'a':" STR), ""), true)));
    assert_false(schema_has_checks(NULL));
    struct kube_resource *other = lab_resource(a, "g/v1", "Other");
    yyjson_val *doc = lab_json(a, DOC(OBJ(""), ""));
    assert_null(schema_compare(a, doc, doc, other, true));
}

static const struct {
    const char *path;
    bool in_src;
    const char *value;
    bool want;
} explained[] = {
    {"/spec/new", false, "1", true},      /* only the destination knows it */
    {"/spec/new", true, "1", false},      /* then the source cannot have it */
    {"/spec/gone", true, "1", true},      /* only the source knows it */
    {"/spec/filled", false, "'d'", true}, /* the destination's default */
    {"/spec/filled", false, "'e'", false},     {"/spec/filled", true, "'d'", false},
    {"/spec/both", false, "1", false},         {"/spec/list/3/new", false, "1", true},
    {"/spec/list/3/both", false, "1", false},  {"/spec/nosuch", false, "1", false},
    {"/metadata/labels/a", false, "1", false},
};

static void explanations(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct schema_diff *d =
        diff_of(a,
                DOC(OBJ("'gone':" STR ",'filled':" STR ",'both':" STR
                        ",'list':{'type':'array','items':" OBJ("'both':" STR) "}"),
                    ""),
                DOC(OBJ("'new':" STR ",'filled':{'type':'string','default':'d'},'both':" STR
                        ",'list':{'type':'array','items':" OBJ("'both':" STR ",'new':" STR) "}"),
                    ""),
                true);
    yyjson_mut_doc *doc = json_doc(a);
    for (size_t i = 0; i < COUNT_OF(explained); i++) {
        yyjson_mut_val *v = yyjson_val_mut_copy(
            doc, yyjson_arr_get_first(lab_json(a, arena_printf(a, "[%s]", explained[i].value))));
        bool got = schema_explains(d, explained[i].path, explained[i].in_src ? v : NULL,
                                   explained[i].in_src ? NULL : v);
        if (got != explained[i].want)
            fail_msg("%s, row %zu", explained[i].path, i);
    }
    assert_false(schema_explains(NULL, "/spec/new", NULL, NULL));
}

static uint64_t shape(struct arena *a, const char *kind, const char *p1, const char *p2,
                      enum concern_kind k) {
    struct concern *y = arena_new_of(a, struct concern), *x = arena_new_of(a, struct concern);
    *y = (struct concern){k, p2, "", NULL};
    *x = (struct concern){k, p1, "", y};
    struct kind *kd = arena_new_of(a, struct kind);
    kd->src = lab_resource(a, "g/v1", kind);
    struct object o = {.kind = kd, .concerns = x};
    return schema_shape(&o);
}

static void shapes(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    uint64_t one = shape(a, "K", "/spec/l/0/a", "/spec/b", CONCERN_DOUBT);
    assert_true(one != 0);
    assert_true(one == shape(a, "K", "/spec/l/17/a", "/spec/b", CONCERN_DOUBT));
    assert_true(one != shape(a, "L", "/spec/l/0/a", "/spec/b", CONCERN_DOUBT));
    assert_true(one != shape(a, "K", "/spec/l/0/a", "/spec/c", CONCERN_DOUBT));
    assert_true(shape(a, "K", "/spec/a", "/spec/b", CONCERN_LOST) == 0);
}

#define HOOK(effects, groups, operations)                                                          \
    "{'name':'h'" effects ",'rules':[{'apiGroups':[" groups "],'operations':[" operations          \
    "],'resources':['ks']}]}"

static const struct {
    const char *hook;
    bool acts, wants;
} hooks[] = {
    {HOOK(",'sideEffects':'None'", "'g'", "'CREATE'"), false, true},
    {HOOK(",'sideEffects':'NoneOnDryRun'", "'g'", "'CREATE'"), false, true},
    {HOOK(",'sideEffects':'Some'", "'g'", "'CREATE'"), true, true},
    {HOOK(",'sideEffects':'Unknown'", "'*'", "'*'"), true, true},
    {HOOK("", "'g'", "'UPDATE','CREATE'"), true, true},
    {HOOK("", "'other'", "'CREATE'"), true, false},
    {HOOK("", "'g'", "'UPDATE'"), true, false},
};

/* Which webhooks a dry run must not call. */
static void acting_hooks(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    struct kind *k = lab_kind(a, lab_json(a, "{'apiVersion':'g/v1','kind':'K'}"));
    struct object o = {.kind = k};
    for (size_t i = 0; i < COUNT_OF(hooks); i++) {
        yyjson_val *hook = lab_json(a, hooks[i].hook);
        if (dryrun_hook_acts(hook) != hooks[i].acts ||
            hook_wants(hook, &o, "CREATE") != hooks[i].wants)
            fail_msg("row %zu", i);
    }
}

static void modes(void **state UNUSED) {
    enum dryrun_mode m = DRYRUN_ALL;
    assert_int_equal(dryrun_mode_of("none", &m, NULL), 0);
    assert_int_equal(m, DRYRUN_NONE);
    assert_int_equal(dryrun_mode_of("doubt", &m, NULL), 0);
    assert_int_equal(m, DRYRUN_DOUBT);
    assert_int_equal(dryrun_mode_of("some", &m, NULL), -EUSAGE);
    assert_int_equal(m, DRYRUN_DOUBT);
}

/* A row that another one hides is never found. */
static void removed(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    size_t n;
    const struct removal *r = removals_table(&n);
    assert_true(n > 20);
    for (size_t i = 0; i < n; i++) {
        const char *kind = r[i].kind ? r[i].kind : "Whatever";
        struct kube_resource *k =
            lab_resource(a, arena_printf(a, "%s/%s", r[i].group, r[i].version), kind);
        assert_ptr_equal(removal_of(k), &r[i]);
        assert_true(r[i].minor >= 16 && r[i].minor < 60);
    }
    assert_null(removal_of(lab_resource(a, "apps/v1", "Deployment")));
    assert_int_equal(removal_of(lab_resource(a, "batch/v1beta1", "CronJob"))->minor, 25);
    /* Came to its group's v1beta1 when the validating ones left it. */
    assert_null(removal_of(
        lab_resource(a, "admissionregistration.k8s.io/v1beta1", "MutatingAdmissionPolicy")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects), cmocka_unit_test(fast_path), cmocka_unit_test(explanations),
        cmocka_unit_test(shapes),  cmocka_unit_test(removed),   cmocka_unit_test(acting_hooks),
        cmocka_unit_test(modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
