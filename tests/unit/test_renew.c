/* A world that lives on: one object after another made anew. */
#include "lab.h"

#include "migrate/renew.h"
#include "migrate/world_impl.h"

struct bodies {
    struct arena *a;
    struct world *w;
};

#define CM(name, uid, more)                                                                        \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'" name                              \
    "','namespace':'n','uid':'" uid "'" more "}}"
#define UID(n) "00000000-0000-0000-0000-00000000000" n
#define OWNED(kind, name, uid)                                                                     \
    ",'ownerReferences':[{'apiVersion':'v1','kind':'" kind "','name':'" name "','uid':'" uid "'}]"

static struct world *world_of(struct arena *a, const char *src, const char *dst) {
    struct world_opts o = {.src_slot = 'a', .dst_slot = 'b'};
    return lab_world(a, &o, src, dst, NULL);
}

static const struct kind *kind_of(struct world *w, const char *kind) {
    const struct kind *k = world_kind_of(w, "", kind);
    assert_non_null(k);
    return k;
}

static struct object *renew(struct arena *a, struct world *w, const char *kind, const char *src,
                            const char *dst) {
    struct object *o;
    struct err e = {0};
    int r = world_renew(w, a, kind_of(w, kind), lab_json(a, src), true,
                        dst ? lab_json(a, dst) : NULL, &o, &e);
    assert_int_equal(r, 0);
    return o;
}

static bool unchanged(struct arena *a, struct world *w, const char *src) {
    yyjson_val *body = lab_json(a, src);
    struct object *o =
        world_find(w, "", json_str(body, "kind"), "n", json_str(body, "metadata", "name"));
    assert_non_null(o);
    return world_unchanged(w, o, body, true);
}

static void what_matters_is_a_change(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, "[" CM("c", UID("1"), "") "]", "[" CM("c", UID("2"), "") "]");
    struct object *o = world_find(w, "", "ConfigMap", "n", "c");
    assert_int_equal(o->verdict, V_SAME);
    assert_true(unchanged(a, w, CM("c", UID("1"), "")));
    /* What is the source's own */
    assert_true(unchanged(a, w, CM("c", UID("1"), ",'resourceVersion':'77','generation':9")));
    assert_false(unchanged(a, w, CM("c", UID("1"), ",'labels':{'a':'b'}")));
    assert_false(unchanged(a, w, CM("c", UID("3"), ""))); /* made anew */
    assert_false(unchanged(a, w, CM("c", UID("1"), OWNED("ConfigMap", "p", UID("4")))));
    assert_false(unchanged(a, w, CM("c", UID("1"), ",'deletionTimestamp':'2026-01-01T00:00:00Z'")));
    world_free(w);
}

static void new_objects_get_a_verdict(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, "[" CM("c", UID("1"), "") "]", NULL);
    for (int i = 0; i < 300; i++) { /* beyond what the tables had room for */
        const char *text =
            arena_printf(a,
                         "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x%d',"
                         "'namespace':'n','uid':'10000000-0000-0000-0000-%012d'}}",
                         i, i);
        struct object *o = renew(a, w, "ConfigMap", text, NULL);
        assert_int_equal(o->verdict, V_CREATE);
    }
    for (int i = 0; i < 300; i++) {
        struct object *o = world_find(w, "", "ConfigMap", "n", arena_printf(a, "x%d", i));
        assert_non_null(o);
        assert_ptr_equal(
            world_by_uid(w, uid_of(arena_printf(a, "10000000-0000-0000-0000-%012d", i))), o);
    }
    assert_int_equal(world_count(w), 301);
    struct object *o = renew(a, w, "ConfigMap", CM("kube-root-ca.crt", UID("9"), ""), NULL);
    assert_int_equal(o->verdict, V_SKIP);
    world_free(w);
}

/* The same record, wherever it is known by its address; another uid is found by that one alone. */
static void made_anew_in_place(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, "[" CM("c", UID("1"), "") "]", NULL);
    struct object *o = world_find(w, "", "ConfigMap", "n", "c");
    assert_ptr_equal(renew(a, w, "ConfigMap", CM("c", UID("5"), ",'labels':{'a':'b'}"), NULL), o);
    assert_ptr_equal(world_by_uid(w, uid_of(UID("5"))), o);
    assert_null(world_by_uid(w, uid_of(UID("1"))));
    assert_int_equal(world_count(w), 1);
    world_free(w);
}

static void written_is_the_same_until_it_changes(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, "[" CM("c", UID("1"), "") "]", NULL);
    AUTO_ARENA said = arena_new();
    struct object *o = renew(said, w, "ConfigMap", CM("c", UID("1"), ",'labels':{'a':'b'}"), NULL);
    assert_false(world_wrote(w, "", "ConfigMap", "n", "c", NULL));
    world_written(w, o, UID("7"), true, true);
    world_rest(o);
    assert_int_equal(o->verdict, V_SAME);
    assert_true(unchanged(a, w, CM("c", UID("1"), ",'labels':{'a':'b'}")));
    assert_false(unchanged(a, w, CM("c", UID("1"), "")));
    assert_true(world_wrote(w, "", "ConfigMap", "n", "c", UID("7")));
    assert_false(world_wrote(w, "", "ConfigMap", "n", "c", UID("8"))); /* another's of the name */
    assert_true(world_dst_has_uid(w, uid_of(UID("7"))));
    world_gone(w, o, true);
    assert_false(world_wrote(w, "", "ConfigMap", "n", "c", NULL));
    assert_null(world_by_uid(w, uid_of(UID("1"))));
    assert_false(world_unchanged(w, o, lab_json(a, CM("c", UID("1"), "")), true));
    /* and back */
    o = renew(a, w, "ConfigMap", CM("c", UID("2"), ""), NULL);
    assert_int_equal(o->verdict, V_CREATE);
    assert_false(o->gone);
    world_written(w, o, UID("3"), true, true);
    assert_true(world_wrote(w, "", "ConfigMap", "n", "c", UID("3")));
    world_free(w);
}

/* By somebody else just before: not ours, so that nothing of it is deleted later. */
static void anothers_is_not_ours(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, "[" CM("c", UID("1"), "") "]", NULL);
    struct object *o = renew(a, w, "ConfigMap", CM("c", UID("1"), ""), NULL);
    world_written(w, o, UID("7"), false, false);
    assert_false(world_wrote(w, "", "ConfigMap", "n", "c", NULL));
    world_free(w);
}

static void differences_make_an_update_of_ours_alone(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct world *w = world_of(a, "[" CM("c", UID("1"), "") "]", NULL);
    const char *now = CM("c", UID("1"), ",'labels':{'a':'b'}");
    struct object *o = renew(a, w, "ConfigMap", now, CM("c", UID("7"), ""));
    assert_int_equal(o->verdict, V_BLOCK);
    assert_string_equal(o->rule, "foreign");
    o = renew(a, w, "ConfigMap", CM("c", UID("1"), ""), NULL);
    world_written(w, o, UID("7"), true, true);
    o = renew(a, w, "ConfigMap", now, CM("c", UID("7"), ""));
    assert_int_equal(o->verdict, V_UPDATE);
    world_free(w);
}

static void owners_come_first(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    bool first;
    struct world *w = world_of(a, "[" CM("owner", UID("1"), "") "]", NULL);
    struct object *o = renew(a, w, "ConfigMap",
                             CM("child", UID("2"), OWNED("ConfigMap", "owner", UID("1"))), NULL);
    assert_true(world_owner_missing(w, o, &first));
    assert_false(first); /* it is in a later wave */
    world_written(w, world_find(w, "", "ConfigMap", "n", "owner"), UID("8"), true, true);
    assert_false(world_owner_missing(w, o, &first));
    /* One that is no object of the source any more is no reason to wait. */
    o = renew(a, w, "ConfigMap", CM("child", UID("2"), OWNED("ConfigMap", "gone", UID("6"))), NULL);
    assert_false(world_owner_missing(w, o, &first));
    world_free(w);
}

/* A volume's record may be of metadata alone: then its body is asked for where it matters. */
static void metadata_is_enough_for_what_is_made_again(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    struct object *o;
    struct world *w = world_of(
        a,
        "[{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'r','namespace':'n','uid':"
        "'" UID("1") "'},'spec':{'replicas':1}},{'apiVersion':'v1','kind':'Pod','metadata':{'name':"
                     "'p','namespace':'n','uid':'" UID("2") "'},'spec':{}}]",
        NULL);
    const char *child = "{'metadata':{'name':'q','namespace':'n','uid':'" UID(
        "3") "','ownerReferences':[{'apiVersion':'apps/"
             "v1','kind':'ReplicaSet','name':'r','uid':'" UID("1") "','controller':true}]}}";
    assert_int_equal(world_renew(w, a, kind_of(w, "Pod"), lab_json(a, child), false, NULL, &o, &e),
                     0);
    assert_int_equal(o->verdict, V_SKIP);
    assert_true(world_unchanged(w, o, lab_json(a, child), false));
    const char *bare = "{'metadata':{'name':'s','namespace':'n','uid':'" UID("4") "'}}";
    assert_int_equal(world_renew(w, a, kind_of(w, "Pod"), lab_json(a, bare), false, NULL, &o, &e),
                     -ENODATA);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_matters_is_a_change),
        cmocka_unit_test(new_objects_get_a_verdict),
        cmocka_unit_test(made_anew_in_place),
        cmocka_unit_test(written_is_the_same_until_it_changes),
        cmocka_unit_test(anothers_is_not_ours),
        cmocka_unit_test(differences_make_an_update_of_ours_alone),
        cmocka_unit_test(owners_come_first),
        cmocka_unit_test(metadata_is_enough_for_what_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
