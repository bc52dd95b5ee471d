/* Who owns whom: in which order owners and owned are written, and what the references become. */
#include "lab.h"

#include "migrate/world_impl.h"

#define META(name, owners)                                                                         \
    "'metadata':{'name':'" name "','namespace':'n','uid':'a-" name "','ownerReferences':[" owners  \
    "]}"
#define CM(name, owners)     "{'apiVersion':'v1','kind':'ConfigMap'," META(name, owners) "}"
#define SECRET(name, owners) "{'apiVersion':'v1','kind':'Secret'," META(name, owners) "}"
#define DEPLOY(name, owners) "{'apiVersion':'apps/v1','kind':'Deployment'," META(name, owners) "}"
#define RS(name, owners)     "{'apiVersion':'apps/v1','kind':'ReplicaSet'," META(name, owners) "}"
#define CR(name, owners)     "{'apiVersion':'x.io/v1','kind':'Gadget'," META(name, owners) "}"
#define REF(api, kind, name, more)                                                                 \
    "{'apiVersion':'" api "','kind':'" kind "','name':'" name "','uid':'a-" name "'" more "}"
#define OF_CM(name)     REF("v1", "ConfigMap", name, "")
#define OF_CR(name)     REF("x.io/v1", "Gadget", name, ",'controller':true")
#define OF_DEPLOY(name) REF("apps/v1", "Deployment", name, ",'controller':true")

/* The first body is looked at. order: how its wave stands to that of the second ('<', '=', '>', or
 * 0). refs: uids of its references once each owner is in the destination as b-NAME. */
static const struct {
    const char *name, *src;
    char order;
    const char *refs;
    enum verdict verdict;
} cases[] = {
    {"Deployment of a custom resource", DEPLOY("d", OF_CR("r")) "," CR("r", ""), '>', "b-r",
     V_CREATE},
    {"Secret of a custom resource: first, it carries data", SECRET("s", OF_CR("r")) "," CR("r", ""),
     '<', "b-r", V_CREATE},
    {"ConfigMap of a custom resource: the same", CM("c", OF_CR("r")) "," CR("r", ""), '<', "b-r",
     V_CREATE},
    {"ConfigMap of a ConfigMap", CM("c", OF_CM("d")) "," CM("d", ""), '>', "b-d", V_CREATE},
    {"the third of a chain", CM("c", OF_CM("d")) "," CM("d", OF_CM("e")) "," CM("e", ""), '>',
     "b-d", V_CREATE},
    {"custom resource of a ConfigMap", CR("r", OF_CM("c")) "," CM("c", ""), '>', "b-c", V_CREATE},
    {"two owners", CM("c", OF_CM("d") "," OF_CM("e")) "," CM("d", "") "," CM("e", ""), '>',
     "b-d b-e", V_CREATE},
    {"two owners, one of them gone", CM("c", OF_CM("gone") "," OF_CM("d")) "," CM("d", ""), '>',
     "b-d", V_CREATE},
    {"an orphan", SECRET("s", OF_CR("gone")) "," CR("r", ""), '<', "", V_CREATE},
    {"a ReplicaSet whose Deployment is gone", RS("s", OF_DEPLOY("gone")) "," CR("r", ""), '<', "",
     V_CREATE},
    {"a ReplicaSet whose Deployment is there", RS("s", OF_DEPLOY("d")) "," DEPLOY("d", ""), 0, NULL,
     V_SKIP},
    {"one that its Deployment does not control",
     RS("s", REF("apps/v1", "Deployment", "d", "")) "," DEPLOY("d", ""), '>', "b-d", V_CREATE},
    {"a circle", CM("c", OF_CM("d")) "," CM("d", OF_CM("c")), '=', "b-d", V_CREATE},
    {"its own owner", CM("c", OF_CM("c")) "," CM("d", ""), '=', "b-c", V_CREATE},
};

static struct world *world_of(struct arena *a, const char *src) {
    return lab_world(a, NULL, arena_printf(a, "[%s]", src), NULL, NULL);
}

static const char *uids(struct arena *a, yyjson_mut_val *body) {
    AUTO_SB b = SB_INIT(0);
    yyjson_mut_val *ref;
    size_t i, max;
    yyjson_mut_arr_foreach (json_mut_get(body, "metadata", "ownerReferences"), i, max, ref) {
        sb_fmt(&b, "%s%s", b.len ? " " : "", json_mut_str(ref, "uid"));
        assert_non_null(json_mut_str(ref, "name"));
    }
    return arena_strdup(a, sb_get(&b));
}

static const char *refs_of_first(struct world *w, struct arena *a, const char *src) {
    yyjson_val *body = yyjson_arr_get_first(lab_json(a, arena_printf(a, "[%s]", src)));
    yyjson_mut_val *root;
    struct err e = {0};
    if (world_body(w, world_at(w, 0), body, json_doc(a), a, &root, NULL, &e) < 0)
        return arena_printf(a, "error %d: %s", e.code, err_msg(&e));
    return uids(a, root);
}

static char order_of(int x, int y) {
    return x < y ? '<' : x > y ? '>' : '=';
}

static void every_case(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct world *w = world_of(a, cases[i].src);
        struct object *o = world_at(w, 0);
        if (o->verdict != cases[i].verdict)
            fail_msg("%s: %s", cases[i].name, verdict_name(o->verdict));
        if (cases[i].order && order_of(o->wave, world_at(w, 1)->wave) != cases[i].order)
            fail_msg("%s: waves %d and %d", cases[i].name, o->wave, world_at(w, 1)->wave);
        for (size_t k = 0; k < world_count(w); k++)
            world_set_uid_dst(w, world_at(w, k), arena_printf(a, "b-%s", world_at(w, k)->name));
        const char *got = cases[i].refs ? refs_of_first(w, a, cases[i].src) : NULL;
        if (cases[i].refs && !str_eq(got, cases[i].refs))
            fail_msg("%s: %s", cases[i].name, got);
        world_free(w);
    }
}

/* Before its owner is there a child is not sent with a reference, stale or invented: either it
 * waits (an error), or it goes without and is linked afterwards. */
static void no_uid_of_the_source(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        if (!cases[i].refs || !*cases[i].refs)
            continue;
        struct world *w = world_of(a, cases[i].src);
        struct object *o = world_at(w, 0);
        const char *got = refs_of_first(w, a, cases[i].src);
        if (!str_starts(got, "error"))
            fail_msg("%s: sent with \"%s\", though no owner is there", cases[i].name, got);
        o->relink = true;
        got = refs_of_first(w, a, cases[i].src);
        bool waits = cases[i].order == '>'; /* its owner comes first, so it must be there */
        if (waits != str_starts(got, "error") || strstr(got, "a-"))
            fail_msg("%s: to be linked afterwards, sent with \"%s\"", cases[i].name, got);
        world_free(w);
    }
}

/* A chain that is longer than the waves go keeps its references all the same. */
static void long_chain(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    AUTO_SB src = SB_INIT(0);
    enum { LENGTH = 14 };
    for (int i = 0; i < LENGTH; i++)
        sb_fmt(
            &src,
            "%s{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c%d','namespace':'n',"
            "'uid':'a-c%d','ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'c%d',"
            "'uid':'a-c%d'}]}}",
            i ? "," : "", i, i, i + 1, i + 1);
    struct world *w = world_of(a, sb_get(&src));
    for (size_t i = 0; i + 1 < LENGTH; i++)
        assert_true(world_at(w, i)->wave >= world_at(w, i + 1)->wave);
    assert_true(world_at(w, 0)->wave < 60); /* nothing that needs ConfigMaps comes before */
    world_set_uid_dst(w, world_at(w, 1), "b-c1");
    assert_string_equal(refs_of_first(w, a, sb_get(&src)), "b-c1");
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(no_uid_of_the_source),
        cmocka_unit_test(long_chain),
    };
    return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
