/* Three-way: who has changed what since it was written, what is written then, and what cannot be.
 */
#include <stdlib.h>
#include <unistd.h>

#include "lab.h"

#include "migrate/hold.h"
#include "migrate/immutable.h"
#include "migrate/three.h"
#include "migrate/world_impl.h"

static const uint8_t salt[LEAVES_SALT] = {7};

#define BODY(api, kind, more)                                                                      \
    "{'apiVersion':'" api "','kind':'" kind "','metadata':{'name':'x','namespace':'n'}" more "}"
#define CM(data) BODY("v1", "ConfigMap", ",'data':{" data "}")
#define DEPLOY(n, cs)                                                                              \
    BODY("apps/v1", "Deployment", ",'spec':{'replicas':" n ",'containers':[" cs "]}")
#define C(name, img) "{'name':'" name "','image':'" img "'}"

static yyjson_mut_val *mut(struct arena *a, const char *quoted) {
    return yyjson_val_mut_copy(json_doc(a), lab_json(a, quoted));
}

static struct three three_of(struct arena *a, const char *base, const char *doubt) {
    struct three t = {0};
    assert_int_equal(leaves_read(salt, leaves_text(a, salt, mut(a, base)), &t.base, NULL), 0);
    if (doubt) {
        t.n_doubt = 1;
        assert_int_equal(leaves_read(salt, leaves_text(a, salt, mut(a, doubt)), &t.doubt[0], NULL),
                         0);
    }
    return t;
}

/* "FATE POINTER" of each difference, in order. */
static const char *judged(struct arena *a, const struct three *t, const char *src, const char *dst,
                          struct object *o) {
    AUTO_SB b = SB_INIT(0);
    *o = (struct object){.kind = lab_kind(a, lab_json(a, src)), .ns = "n", .name = "x"};
    compare_three(o, a, t, mut(a, src), mut(a, dst));
    for (struct change *c = o->changes; c; c = c->next)
        sb_fmt(&b, "%s%s %s", b.len ? "; " : "", change_fate_name(c->fate), c->path);
    return arena_strdup(a, sb_get(&b));
}

static const struct {
    const char *name, *base, *doubt, *src, *dst, *want;
    const char *merged; /* what is written then */
} rows[] = {
    {"changed in the source", CM("'a':'1'"), NULL, CM("'a':'2'"), CM("'a':'1'"), "take /data/a",
     CM("'a':'2'")},
    {"changed in the destination", CM("'a':'1'"), NULL, CM("'a':'1'"), CM("'a':'2'"),
     "keep /data/a", CM("'a':'2'")},
    {"changed in both", CM("'a':'1'"), NULL, CM("'a':'2'"), CM("'a':'3'"), "clash /data/a",
     CM("'a':'2'")},
    {"changed in both alike", CM("'a':'1'"), NULL, CM("'a':'2'"), CM("'a':'2'"), "", CM("'a':'2'")},
    {"added in the source", CM("'a':'1'"), NULL, CM("'a':'1','b':'1'"), CM("'a':'1'"),
     "take /data/b", CM("'a':'1','b':'1'")},
    {"added in the destination", CM("'a':'1'"), NULL, CM("'a':'1'"), CM("'a':'1','b':'1'"),
     "keep /data/b", CM("'a':'1','b':'1'")},
    {"taken away in the source", CM("'a':'1','b':'1'"), NULL, CM("'a':'1'"), CM("'a':'1','b':'1'"),
     "take /data/b", CM("'a':'1'")},
    {"taken away in the destination", CM("'a':'1','b':'1'"), NULL, CM("'a':'1','b':'1'"),
     CM("'a':'1'"), "keep /data/b", CM("'a':'1'")},
    {"taken away in one, changed in the other", CM("'a':'1','b':'1'"), NULL, CM("'a':'1'"),
     CM("'a':'1','b':'2'"), "clash /data/b", CM("'a':'1'")},
    {"one field each", CM("'a':'1','b':'1'"), NULL, CM("'a':'2','b':'1'"), CM("'a':'1','b':'2'"),
     "take /data/a; keep /data/b", CM("'a':'2','b':'2'")},
    {"a whole member of the destination's", CM("'a':'1'"), NULL, CM("'a':'1'"),
     BODY("v1", "ConfigMap", ",'data':{'a':'1'},'binaryData':{'k':'AA=='}"), "keep /binaryData/k",
     BODY("v1", "ConfigMap", ",'data':{'a':'1'},'binaryData':{'k':'AA=='}")},
    {"a sidecar that a webhook put in front, and a new image", DEPLOY("1", C("app", "1")), NULL,
     DEPLOY("1", C("app", "2")), DEPLOY("1", C("proxy", "9") "," C("app", "1")),
     "take /spec/containers/app/image; keep /spec/containers/proxy/name; "
     "keep /spec/containers/proxy/image",
     DEPLOY("1", C("app", "2") "," C("proxy", "9"))},
    {"scaled in both", DEPLOY("1", C("app", "1")), NULL, DEPLOY("2", C("app", "1")),
     DEPLOY("3", C("app", "1")), "clash /spec/replicas", DEPLOY("2", C("app", "1"))},
    {"an update that may have arrived, and has", CM("'a':'1'"), CM("'a':'2'"), CM("'a':'3'"),
     CM("'a':'2'"), "take /data/a", CM("'a':'3'")},
    {"an update that may have arrived, and has not", CM("'a':'1'"), CM("'a':'2'"), CM("'a':'2'"),
     CM("'a':'1'"), "take /data/a", CM("'a':'2'")},
    {"neither", CM("'a':'1'"), CM("'a':'2'"), CM("'a':'2'"), CM("'a':'9'"), "clash /data/a",
     CM("'a':'2'")},
};

static void three_way(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct object o;
        struct three t = three_of(a, rows[i].base, rows[i].doubt);
        const char *got = judged(a, &t, rows[i].src, rows[i].dst, &o);
        if (!str_eq(got, rows[i].want))
            fail_msg("%s: %s, wanted %s", rows[i].name, got, rows[i].want);
        assert_int_equal(o.kept, strstr(got, "keep") != NULL);
        assert_int_equal(o.clash, strstr(got, "clash") != NULL);
        assert_int_equal(o.n_changes > 0, strstr(got, "take") || o.clash);
        const char *merged =
            lab_mut_text(a, three_merge(json_doc(a), &t, mut(a, rows[i].src), mut(a, rows[i].dst)));
        const char *want = lab_text(a, lab_json(a, rows[i].merged));
        if (!str_eq(merged, want))
            fail_msg("%s: writes %s, wanted %s", rows[i].name, merged, want);
    }
}

/* A body of so many leaves that the digests are of whole maps: what a newer server has filled in
 * inside of one is nobody's change, and what somebody has changed beside it is. */
static void coarse(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    AUTO_SB many = SB_INIT(0);
    for (int i = 0; i <= LEAVES_MAX; i++)
        sb_fmt(&many, "%s'k%d':'%d'", i ? "," : "", i, i);
    struct object o;
#define POD(get)                                                                                   \
    arena_printf(a,                                                                                \
                 "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'x','namespace':'n',"         \
                 "'annotations':{%s}},'spec':{'containers':[{'name':'c','livenessProbe':{"         \
                 "'httpGet':{" get "}}}]}}",                                                       \
                 sb_get(&many))
    const char *was = POD("'path':'/'");
    struct three t = three_of(a, was, NULL);
    assert_string_equal(judged(a, &t, was, POD("'path':'/','protocol':'HTTP1'"), &o), "");
    assert_false(o.kept);
    assert_non_null(strstr(judged(a, &t, was, POD("'path':'/x','protocol':'HTTP1'"), &o),
                           "keep /spec/containers"));
    assert_non_null(strstr(judged(a, &t, was, POD("'path':'/','protocol':'HTTP2'"), &o),
                           "keep /spec/containers"));
#undef POD
}

static void autoscaled(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct object o;
    struct three t = three_of(a, DEPLOY("1", C("app", "1")), NULL);
    t.autoscaled = true;
    assert_string_equal(judged(a, &t, DEPLOY("2", C("app", "2")), DEPLOY("3", C("app", "1")), &o),
                        "keep /spec/replicas; take /spec/containers/app/image");
}

static struct kube_resource resource_of(const struct immutable_row *r) {
    return (struct kube_resource){.group = r->group, .kind = r->kind, .version = "v1"};
}

/* Each row: a change there is one that cannot be made, and the neighbour's can. */
static void immutable(void **state) {
    (void)state;
    size_t n;
    const struct immutable_row *r = immutable_rows(&n);
    for (size_t i = 0; i < n; i++) {
        AUTO_ARENA a = arena_new();
        struct kube_resource k = resource_of(&r[i]);
        const struct immutable_change none = {0};
        AUTO_SB p = SB_INIT(0);
        for (const char *c = r[i].path; *c; c++)
            sb_chr(&p, *c == '*' ? 'x' : *c);
        assert_true(*r[i].why);
        assert_null(immutable_at(&k, "/metadata/labels/x", &none));
        if (r[i].allowed)
            continue; /* below */
        assert_ptr_equal(immutable_at(&k, p.p, &none), &r[i]);
        assert_ptr_equal(immutable_at(&k, arena_printf(a, "%s/below", p.p), &none), &r[i]);
        if (!strchr(r[i].path, '*'))
            assert_null(immutable_at(&k, arena_printf(a, "%sOther", p.p), &none));
    }
}

#define SPEC(more) "{'spec':{" more "}}"
#define T(key)     "{'key':'" key "'}"

/* src_root and dst_root; the field is where the pointer leads in them. */
static const struct {
    const char *group, *kind, *pointer, *src, *dst;
    bool allowed;
} changes[] = {
    {"", "ConfigMap", "/data", "{'data':1}", "{'data':2}", true},
    {"", "ConfigMap", "/data", "{'data':1}", "{'data':2,'immutable':true}", false},
    {"", "ConfigMap", "/binaryData", "{'binaryData':1}", "{}", true},
    {"", "ConfigMap", "/binaryData", "{'binaryData':1}", "{'immutable':true}", false},
    {"", "ConfigMap", "/immutable", "{'immutable':true}", "{}", true},
    {"", "ConfigMap", "/immutable", "{}", "{'immutable':true}", false},
    {"", "Secret", "/data", "{'data':1}", "{'data':2}", true},
    {"", "Secret", "/data", "{'data':1}", "{'data':2,'immutable':true}", false},
    {"", "Secret", "/immutable", "{'immutable':true}", "{}", true},
    {"", "Secret", "/immutable", "{}", "{'immutable':true}", false},
    {"", "Pod", "/spec/containers/app/image", "{}", "{}", true},
    {"", "Pod", "/spec/containers/0/image", "{}", "{}", true},
    {"", "Pod", "/spec/containers/app/imagePullPolicy", "{}", "{}", false},
    {"", "Pod", "/spec/containers", "{}", "{}", false},
    {"", "Pod", "/spec/initContainers/app/image", "{}", "{}", true},
    {"", "Pod", "/spec/activeDeadlineSeconds", SPEC("'activeDeadlineSeconds':5"),
     SPEC("'activeDeadlineSeconds':6"), true},
    {"", "Pod", "/spec/activeDeadlineSeconds", SPEC("'activeDeadlineSeconds':5"), SPEC(""), true},
    {"", "Pod", "/spec/activeDeadlineSeconds", SPEC("'activeDeadlineSeconds':7"),
     SPEC("'activeDeadlineSeconds':6"), false},
    {"", "Pod", "/spec/activeDeadlineSeconds", SPEC(""), SPEC("'activeDeadlineSeconds':6"), false},
    {"", "Pod", "/spec/tolerations", SPEC("'tolerations':[" T("a") "," T("b") "]"),
     SPEC("'tolerations':[" T("b") "]"), true},
    {"", "Pod", "/spec/tolerations", SPEC("'tolerations':[" T("a") "]"), SPEC(""), true},
    {"", "Pod", "/spec/tolerations", SPEC("'tolerations':[" T("a") "]"),
     SPEC("'tolerations':[" T("a") "," T("b") "]"), false},
    {"", "Pod", "/spec/tolerations/0/key", SPEC("'tolerations':[" T("a") "]"),
     SPEC("'tolerations':[" T("b") "]"), false},
    {"", "Pod", "/spec/schedulingGates", SPEC(""), SPEC("'schedulingGates':[" T("a") "]"), true},
    {"", "Pod", "/spec/schedulingGates", SPEC("'schedulingGates':[" T("a") "]"), SPEC(""), false},
    {"batch", "Job", "/spec/completions",
     SPEC("'completionMode':'Indexed','completions':3,'parallelism':3"),
     SPEC("'completionMode':'Indexed','completions':2,'parallelism':2"), true},
    {"batch", "Job", "/spec/completions",
     SPEC("'completionMode':'Indexed','completions':3,'parallelism':2"),
     SPEC("'completionMode':'Indexed','completions':2,'parallelism':2"), false},
    {"batch", "Job", "/spec/completions", SPEC("'completions':3,'parallelism':3"),
     SPEC("'completions':2,'parallelism':2"), false},
    {"", "PersistentVolume", "/spec/nodeAffinity/required", SPEC("'nodeAffinity':{'required':1}"),
     SPEC(""), true},
    {"", "PersistentVolume", "/spec/nodeAffinity/required", SPEC("'nodeAffinity':{'required':1}"),
     SPEC("'nodeAffinity':{}"), false},
    {"", "PersistentVolume", "/spec/csi/controllerExpandSecretRef",
     SPEC("'csi':{'controllerExpandSecretRef':1}"), SPEC("'csi':{}"), true},
    {"", "PersistentVolume", "/spec/csi/controllerExpandSecretRef",
     SPEC("'csi':{'controllerExpandSecretRef':1}"), SPEC("'csi':{'controllerExpandSecretRef':2}"),
     false},
};

static yyjson_mut_val *at_pointer(yyjson_mut_val *root, const char *pointer) {
    return yyjson_mut_ptr_get(root, pointer);
}

/* Some changes of such a field can be made all the same; each row that says so has one of each. */
static void some_changes_are_allowed(void **state) {
    (void)state;
    size_t n;
    const struct immutable_row *r = immutable_rows(&n);
    bool seen[2][128] = {{false}};
    assert_true(n <= COUNT_OF(seen[0]));
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_mut_val *src = mut(a, changes[i].src), *dst = mut(a, changes[i].dst);
        struct immutable_change c = {at_pointer(src, changes[i].pointer),
                                     at_pointer(dst, changes[i].pointer), src, dst};
        struct kube_resource k = {
            .group = changes[i].group, .kind = changes[i].kind, .version = "v1"};
        if (!immutable_at(&k, changes[i].pointer, &c) != changes[i].allowed)
            fail_msg("%s %s: %s", changes[i].kind, changes[i].pointer, changes[i].src);
        for (size_t x = 0; x < n; x++)
            if (str_eq(r[x].kind, k.kind) && str_starts(changes[i].pointer, r[x].path))
                seen[changes[i].allowed][x] = true;
    }
    for (size_t i = 0; i < n; i++)
        if (r[i].allowed && !strchr(r[i].path, '*') && !(seen[0][i] && seen[1][i]))
            fail_msg("%s %s: not a change of each sort", r[i].kind, r[i].path);
}

static void fixed_fields(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct object o;
    const char *one = BODY("v1", "ConfigMap", ",'immutable':true,'data':{'a':'1'}");
    const char *two = BODY("v1", "ConfigMap", ",'immutable':true,'data':{'a':'2'}");
    struct three t = three_of(a, one, NULL);
    assert_string_equal(judged(a, &t, two, one, &o), "fixed /data/a");
    assert_true(o.fixed);
    assert_string_equal(judged(a, NULL, two, one, &o), "fixed /data/a");
    assert_string_equal(judged(a, NULL, CM("'a':'1'"), CM("'a':'2'"), &o), "take /data/a");
}

/* What a rule of the user's says of an object that somebody else wrote. */
static void overwrite(void **state) {
    (void)state;
    struct user_rule rule = {.kind = "ConfigMap", .why = "ours is right", .overwrite = true};
    const char *src = "[" CM("'a':'1'") "]", *dst = "[" CM("'a':'2'") "]";
    for (int on = 0; on < 2; on++) {
        AUTO_ARENA a = arena_new();
        struct world_opts wo = {.rules = &rule, .n_rules = (size_t)on};
        struct world *w = lab_world(a, &wo, src, dst, NULL);
        struct object *o = world_at(w, 0);
        assert_int_equal(o->verdict, on ? V_UPDATE : V_BLOCK);
        assert_string_equal(o->rule, on ? "recreate" : "foreign");
        world_free(w);
    }
}

/* A journal with an open run. */
struct run_of {
    struct journal *j;
    struct journal_run run;
    const char *dir, *path;
    struct world_opts wo;
};

static struct run_of run_new(struct arena *a) {
    struct run_of r = {.dir = mkdtemp(arena_strdup(a, "/tmp/test_three.XXXXXX"))};
    struct err e = {0};
    assert_non_null(r.dir);
    r.path = arena_printf(a, "%s/t.db", r.dir);
    assert_int_equal(journal_open(r.path, false, &r.j, &e), 0);
    assert_int_equal(journal_run_begin(r.j, 'a', 'b', &r.run, &e), 0);
    r.wo = (struct world_opts){.journal = r.j, .run = arena_strdup(a, r.run.id), .dst_slot = 'b'};
    return r;
}

static void run_wrote(struct arena *a, struct run_of *r, const char *ref, const char *verb,
                      enum journal_effect_state state, const char *body) {
    struct err e = {0};
    struct journal_effect ef = {.cluster = "b", .ref = ref, .verb = verb};
    ef.leaves = leaves_text(a, salt, mut(a, body));
    assert_int_equal(journal_effects_begin(r->j, r->run.id, &ef, 1, &e), 0);
    ef.state = state;
    assert_int_equal(journal_effects_end(r->j, &ef, 1, &e), 0);
}

static void run_free(struct arena *a, struct run_of *r) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    journal_close(r->j);
    for (size_t k = 0; k < COUNT_OF(names); k++)
        unlink(arena_printf(a, "%s%s", r->path, names[k]));
    assert_int_equal(rmdir(r->dir), 0);
}

#define CRON(notes, suspend)                                                                       \
    "{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'x','namespace':'n'" notes       \
    "},'spec':{'schedule':'@daily','suspend':" suspend "}}"
#define HELD(value) ",'annotations':{'tandem.dev/held':'" value "'}"

/* A hold whose annotation is gone, or holds nothing of use, is no wish of the destination's, while
 * the source's acts. What its owner has suspended where it acts is. */
static void lost_hold(void **state) {
    (void)state;
    static const struct {
        const char *src, *dst;
        enum verdict want;
        bool held;
        const char *merged; /* suspend */
    } cases[] = {
        {CRON("", "false"), CRON("", "true"), V_UPDATE, true, "false"},
        {CRON("", "false"), CRON(HELD("{"), "true"), V_UPDATE, true, "false"},
        {CRON("", "false"), CRON(HELD("false"), "true"), V_SAME, true, "false"},
        {CRON(HELD("false"), "true"), CRON("", "true"), V_SAME, false, "true"},
        {CRON(",'annotations':{'tandem.dev/hold':'false'}", "false"), CRON("", "true"), V_SAME,
         false, "true"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct run_of r = run_new(a);
        run_wrote(a, &r, "batch/CronJob/n/x", "create", EFFECT_DONE, cases[i].src);
        struct world *w = lab_world(a, &r.wo, arena_printf(a, "[%s]", cases[i].src),
                                    arena_printf(a, "[%s]", cases[i].dst), NULL);
        struct object *o = world_at(w, 0);
        if (o->verdict != cases[i].want || o->held != cases[i].held)
            fail_msg("case %zu: %s, held %d", i, verdict_name(o->verdict), o->held);
        struct three t;
        struct err e = {0};
        yyjson_mut_val *src = mut(a, cases[i].src), *dst = mut(a, cases[i].dst);
        assert_int_equal(three_read(w, a, o, lab_json(a, cases[i].dst), 0, &t, &e), 1);
        hold_undo(json_doc(a), src);
        hold_undo(json_doc(a), dst);
        yyjson_mut_val *out = three_merge(json_doc(a), &t, src, dst);
        assert_string_equal(lab_mut_text(a, json_mut_get(out, "spec", "suspend")), cases[i].merged);
        world_free(w);
        run_free(a, &r);
    }
}

/* A rule says that what cannot be changed is made anew: not what holds data or others' lives, and
 * not what the run did not write. */
static void made_anew(void **state) {
    (void)state;
#define NAMED(api, kind, more)                                                                     \
    "{'apiVersion':'" api "','kind':'" kind                                                        \
    "','metadata':{'name':'x','namespace':'n','uid':'11111111-0000-4000-8000-000000000001'}" more  \
    "}"
#define FIXED(v) NAMED("v1", "ConfigMap", ",'immutable':true,'data':{'a':'" v "'}")
#define CHILD                                                                                      \
    ",{'apiVersion':'v1','kind':'Secret','metadata':{'name':'c','namespace':'n','ownerReferences'" \
    ":"                                                                                            \
    "[{'apiVersion':'v1','kind':'ConfigMap','name':'x',"                                           \
    "'uid':'11111111-0000-4000-8000-000000000001'}]}}"
#define CLAIM(c) NAMED("v1", "PersistentVolumeClaim", ",'spec':{'storageClassName':'" c "'}")
    static const struct {
        const char *ref, *was, *now, *beside;
        bool wrote, rule;
        enum verdict want;
    } cases[] = {
        {"/ConfigMap/n/x", FIXED("1"), FIXED("2"), "", true, true, V_UPDATE},
        {"/ConfigMap/n/x", FIXED("1"), FIXED("2"), "", true, false, V_BLOCK},
        {"/ConfigMap/n/x", FIXED("1"), FIXED("2"), "", false, true, V_BLOCK},
        {"/ConfigMap/n/x", FIXED("1"), FIXED("2"), CHILD, true, true, V_BLOCK},
        {"/PersistentVolumeClaim/n/x", CLAIM("1"), CLAIM("2"), "", true, true, V_BLOCK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct run_of r = run_new(a);
        struct user_rule rule = {.name = "x", .why = "so", .recreate = true};
        r.wo.rules = &rule;
        r.wo.n_rules = cases[i].rule;
        if (cases[i].wrote)
            run_wrote(a, &r, cases[i].ref, "create", EFFECT_DONE, cases[i].was);
        struct world *w =
            lab_world(a, &r.wo, arena_printf(a, "[%s%s]", cases[i].now, cases[i].beside),
                      arena_printf(a, "[%s]", cases[i].was), NULL);
        struct object *o = lab_find(w, lab_json(a, cases[i].now));
        if (o->verdict != cases[i].want || o->recreate != (o->verdict == V_UPDATE))
            fail_msg("case %zu: %s (%s)", i, verdict_name(o->verdict), o->rule);
        if (o->recreate) {
            world_made_room(o);
            assert_int_equal(o->verdict, V_CREATE);
            assert_false(o->in_dst);
        }
        world_free(w);
        run_free(a, &r);
    }
}

/* Somebody's object has the name of one that the run wrote. It is the run's as long as that was not
 * taken back (deleted, or its previous values restored), and again when it was written again; what
 * was written before is nothing to compare with then. */
static void taken_back(void **state) {
    (void)state;
    static const struct {
        const char *verbs[3];
        enum journal_effect_state last;
        bool ours;
        int three;
    } cases[] = {
        {{"create"}, EFFECT_DONE, true, 1},
        {{"create", "delete"}, EFFECT_DONE, false, 0},
        {{"create", "delete"}, EFFECT_INTENT, true, 1},
        {{"create", "delete", "create"}, EFFECT_INTENT, true, 1},
        {{"update", "restore"}, EFFECT_DONE, false, 0},
        {{"update", "restore"}, EFFECT_FAILED, true, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        struct three t;
        struct run_of r = run_new(a);
        for (size_t k = 0; k < 3 && cases[i].verbs[k]; k++) {
            bool last = k == 2 || !cases[i].verbs[k + 1];
            run_wrote(a, &r, "/ConfigMap/n/x", cases[i].verbs[k],
                      last ? cases[i].last : EFFECT_DONE, CM("'a':'1'"));
        }
        struct world *w = lab_world(a, &r.wo, "[" CM("'a':'2'") "]", "[" CM("'a':'1'") "]", NULL);
        const struct object *o = world_at(w, 0);
        if (o->ours != cases[i].ours || o->verdict != (cases[i].ours ? V_UPDATE : V_BLOCK))
            fail_msg("case %zu: ours %d, %s", i, o->ours, verdict_name(o->verdict));
        assert_int_equal(three_read(w, a, o, NULL, 0, &t, &e), cases[i].three);
        world_free(w);
        run_free(a, &r);
    }
}

/* Another has made an object of the name anew: that one is not the run's, unless nobody knows which
 * one the run's was. */
static void replaced(void **state) {
    (void)state;
#define LIVE(uid)                                                                                  \
    "[{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','namespace':'n','uid':'" uid    \
    "'},'data':{'a':'1'}}]"
    struct write {
        const char *verb, *uid;
        enum journal_effect_state state;
    };
    static const struct {
        const char *name;
        struct write writes[2];
        bool ours;
    } cases[] = {
        {"the run's", {{"create", "u-2", EFFECT_DONE}}, true},
        {"another", {{"create", "u-1", EFFECT_DONE}}, false},
        {"no answer to the create", {{"create", NULL, EFFECT_INTENT}}, true},
        {"no answer to the first, and one to the second",
         {{"create", NULL, EFFECT_INTENT}, {"create", "u-1", EFFECT_DONE}},
         false},
        {"taken over by an update",
         {{"create", "u-1", EFFECT_DONE}, {"update", "u-2", EFFECT_DONE}},
         true},
        {"by one whose answer was lost",
         {{"create", "u-1", EFFECT_DONE}, {"update", "u-2", EFFECT_UNKNOWN}},
         true},
        {"an update that was never sent",
         {{"create", "u-1", EFFECT_DONE}, {"update", NULL, EFFECT_INTENT}},
         false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        struct run_of r = run_new(a);
        for (size_t k = 0; k < 2 && cases[i].writes[k].verb; k++) {
            const struct write *x = &cases[i].writes[k];
            struct journal_effect ef = {.cluster = "b", .ref = "/ConfigMap/n/x", .verb = x->verb};
            assert_int_equal(journal_effects_begin(r.j, r.run.id, &ef, 1, &e), 0);
            ef.uid = x->uid;
            ef.state = x->state;
            assert_int_equal(journal_effects_end(r.j, &ef, 1, &e), 0);
        }
        struct world *w = lab_world(a, &r.wo, "[" CM("'a':'2'") "]", LIVE("u-2"), NULL);
        const struct object *o = world_at(w, 0);
        if (o->ours != cases[i].ours || o->verdict != (cases[i].ours ? V_UPDATE : V_BLOCK) ||
            (!o->ours && !strstr(o->why, "made it anew")))
            fail_msg("%s: ours %d, %s: %s", cases[i].name, o->ours, verdict_name(o->verdict),
                     o->why);
        world_free(w);
        w = lab_world(a, &r.wo, "[" CM("'a':'1'") "]", LIVE("u-2"), NULL);
        o = world_at(w, 0);
        assert_int_equal(o->verdict, V_SAME);
        const char *warning = *world_warnings(w);
        if (!warning == !cases[i].ours)
            fail_msg("%s, equal: %s", cases[i].name, warning);
        world_free(w);
        run_free(a, &r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_way),
        cmocka_unit_test(coarse),
        cmocka_unit_test(autoscaled),
        cmocka_unit_test(immutable),
        cmocka_unit_test(fixed_fields),
        cmocka_unit_test(overwrite),
        cmocka_unit_test(taken_back),
        cmocka_unit_test(made_anew),
        cmocka_unit_test(lost_hold),
        cmocka_unit_test(replaced),
        cmocka_unit_test(some_changes_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
