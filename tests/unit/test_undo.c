/* Taking a run back, against a scripted destination: what must not go with it. */
#include "kube_bench.h"

#include <unistd.h>

#include "base/str.h"
#include "lab.h"
#include "migrate/keep.h"
#include "migrate/leaves.h"
#include "migrate/previous.h"
#include "migrate/unmigrate.h"

#define RESOURCE(plural, kind, scope)                                                              \
    "{'resource':'" plural "','responseKind':{'kind':'" kind "'},'scope':'" scope                  \
    "','singularResource':'x','verbs':['get','list','create','patch','delete']}"
#define CLUSTER "Cluster"
#define NS      "Namespaced"
#define CORE                                                                                       \
    "{'kind':'APIGroupDiscoveryList','items':[{'metadata':{},'versions':[{'version':'v1',"         \
    "'resources':[" RESOURCE("namespaces", "Namespace", CLUSTER) "," RESOURCE(                     \
        "persistentvolumes", "PersistentVolume",                                                   \
        CLUSTER) "," RESOURCE("persistentvolumeclaims", "PersistentVolumeClaim",                   \
                              NS) "," RESOURCE("serviceaccounts", "ServiceAccount",                \
                                               NS) "," RESOURCE("secrets", "Secret",               \
                                                                NS) "," RESOURCE("configmaps",     \
                                                                                 "ConfigMap",      \
                                                                                 NS) "]}]}]}"
#define NO_GROUPS "{'kind':'APIGroupDiscoveryList','items':[]}"
#define BROKEN                                                                                     \
    "{'kind':'APIGroupDiscoveryList','items':[{'metadata':{'name':'metrics.k8s.io'},"              \
    "'versions':[{'version':'v1beta1','freshness':'Stale'}]}]}"
#define EMPTY "{'kind':'List','metadata':{'resourceVersion':'9'},'items':[]}"
#define GONE  "{'kind':'Status','status':'Success'}"
#define META(name, ns, more)                                                                       \
    "'metadata':{'name':'" name "'" ns                                                             \
    ",'uid':'u-1','resourceVersion':'5','creationTimestamp':'2026-01-01T00:00:00Z'" more "}"
#define IN(ns) ",'namespace':'" ns "'"
/* The label is somebody's. */
#define PV(label, policy)                                                                          \
    "{'apiVersion':'v1','kind':'PersistentVolume'," META(                                          \
        "pv1", "",                                                                                 \
        label) ",'spec':{'capacity':{'storage':'1Gi'},'persistentVolumeReclaimPolicy':'" policy    \
               "','claimRef':{'namespace':'shop','name':'data'}}}"
#define CLAIM                                                                                      \
    "{'apiVersion':'v1','kind':'PersistentVolumeClaim'," META("data", IN("shop"),                  \
                                                              "") ",'spec':{'volumeName':'pv1'}}"
#define NAMESPACE(more) "{'apiVersion':'v1','kind':'Namespace'," META("shop", "", more) "}"
#define THING(more)     "{'apiVersion':'v1','kind':'ConfigMap'," META("c", IN("shop"), more) "}"

struct fixture {
    struct bench b;
    struct journal *j;
    struct journal_run run;
    struct kube_discovery *d;
    char path[128];
};

static const char *plain(struct arena *a, const char *quoted) {
    char *s = arena_strdup(a, quoted);
    for (char *p = s; p && *p; p++)
        if (*p == '\'')
            *p = '"';
    return s;
}

/* The rows' bodies are quoted as lab.h has it; edited in place. */
static struct fixture start(struct arena *a, struct api_row *rows, size_t n) {
    struct fixture f = {0};
    struct err e = {0};
    for (size_t i = 0; i < n; i++)
        rows[i].body = plain(a, rows[i].body);
    f.b = bench_new(rows, n);
    snprintf(f.path, sizeof f.path, "%s/t.db", f.b.dir);
    expect(0, journal_open(f.path, false, &f.j, &e), &e);
    expect(0, journal_run_begin(f.j, 'a', 'b', &f.run, &e), &e);
    expect(0, kube_discover(f.b.c, &f.d, &e), &e);
    return f;
}

static void finish(struct fixture *f) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    kube_discovery_free(f->d);
    journal_close(f->j);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(f->b.a, "%s%s", f->path, names[i]));
    bench_free(&f->b);
}

/* The run created it so. */
static void created(struct fixture *f, const char *ref, const char *body) {
    struct err e = {0};
    struct arena *a = f->b.a;
    yyjson_mut_val *root = yyjson_val_mut_copy(json_doc(a), lab_json(a, body));
    yyjson_mut_val *meta = json_mut_get(root, "metadata");
    json_mut_del(meta, "uid");
    json_mut_del(meta, "resourceVersion");
    json_mut_del(meta, "creationTimestamp");
    struct journal_effect ef = {.cluster = "b", .ref = ref, .verb = "create"};
    ef.leaves = leaves_text(a, journal_salt(f->j), root);
    expect(0, journal_effects_begin(f->j, f->run.id, &ef, 1, &e), &e);
    ef.state = EFFECT_DONE;
    ef.uid = "u-1";
    ef.resource_version = "1";
    expect(0, journal_effects_end(f->j, &ef, 1, &e), &e);
}

/* The run changed what was there, as this merge patch says; copy: of a Secret, else NULL. hands: 1
 * when somebody had changed it before, 0 when nobody had, -1 when that is not noted. */
static void updated_after(struct fixture *f, const char *ref, const char *was, const char *patch,
                          const char *copy, int hands) {
    struct err e = {0};
    struct arena *a = f->b.a;
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *had = yyjson_val_mut_copy(d, lab_json(a, was)), *note = yyjson_mut_obj(d);
    yyjson_mut_val *sent = yyjson_val_mut_copy(d, lab_json(a, patch));
    if (copy)
        json_mut_set_str(d, note, "copy", copy);
    else
        json_mut_set(d, note, "restore", previous_reverse(d, sent, had));
    json_mut_set_str(d, note, "wrote", previous_wrote(a, journal_salt(f->j), sent, had));
    json_mut_set_bool(d, note, "links", json_mut_get(sent, "metadata", "ownerReferences"));
    if (hands >= 0)
        json_mut_set_bool(d, note, "hands", hands);
    struct journal_effect ef = {.cluster = "b", .ref = ref, .verb = "update"};
    expect(0, journal_effects_begin(f->j, f->run.id, &ef, 1, &e), &e);
    ef.previous = json_mut_write(a, note, NULL);
    ef.uid = json_str(lab_json(a, was), "metadata", "uid");
    expect(0, journal_effect_note(f->j, &ef, &e), &e);
    ef.state = EFFECT_DONE;
    expect(0, journal_effects_end(f->j, &ef, 1, &e), &e);
}

static void updated(struct fixture *f, const char *ref, const char *was, const char *patch,
                    const char *copy) {
    updated_after(f, ref, was, patch, copy, -1);
}

static int take_back(struct fixture *f, const char *const *namespaces, struct unmigrate_result *ret,
                     struct err *e) {
    struct unmigrate_opts o = {.c = f->b.c,
                               .slot = 'b',
                               .discovery = f->d,
                               .journal = f->j,
                               .run = f->run.id,
                               .ns_include = namespaces,
                               .wait_ms = 300};
    *e = (struct err){0};
    return unmigrate(f->b.a, &o, ret, e);
}

#define LABEL ",'labels':{'by':'hand'}"

/* A volume with Delete names the source's storage. It is set to Retain before its claim goes: as it
 * was made; when somebody has changed it and it stays; when only its claim's namespace is taken
 * back. */
static void volumes_are_retained(void **state) {
    (void)state;
    static const char *const shop[] = {"shop", NULL}, *const other[] = {"other", NULL};
    static const struct {
        const char *live;
        const char *const *namespaces;
        unsigned patches, claims;
    } rows[] = {
        {PV("", "Delete"), NULL, 1, 1},    {PV(LABEL, "Delete"), NULL, 1, 1},
        {PV(LABEL, "Delete"), shop, 1, 1}, {PV("", "Delete"), shop, 1, 1},
        {PV("", "Delete"), other, 0, 0},   {PV("", "Retain"), NULL, 0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e;
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, NO_GROUPS},
            {"GET /api/v1/persistentvolumes/pv1", 200, rows[i].live},
            {"PATCH /api/v1/persistentvolumes/pv1", 200, rows[i].live},
            {"DELETE ", 200, GONE},
            {"GET /api/v1/namespaces/shop/persistentvolumeclaims/data", 200, CLAIM},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        created(&f, "/PersistentVolume//pv1", PV("", "Delete"));
        created(&f, "/PersistentVolumeClaim/shop/data", CLAIM);
        expect(0, take_back(&f, rows[i].namespaces, &res, &e), &e);
        unsigned patches = api_count(f.b.api, "{\"persistentVolumeReclaimPolicy\":\"Retain\"}");
        unsigned claims = api_count(f.b.api, "DELETE /api/v1/namespaces/shop/persistentvolumecl");
        if (patches != rows[i].patches || claims != rows[i].claims)
            fail_msg("row %zu: %u patches, %u claims deleted", i, patches, claims);
        finish(&f);
    }
}

/* A volume that cannot be looked at cannot be protected: nothing goes. */
static void no_claim_goes_unprotected(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct unmigrate_result res;
    struct err e;
    struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, NO_GROUPS},
        {"GET /api/v1/persistentvolumes/pv1", 403,
         "{'kind':'Status','reason':'Forbidden','message':'no'}"},
        {"DELETE ", 200, GONE},
        {"GET /api/v1/namespaces/shop/persistentvolumeclaims/data", 200, CLAIM},
    };
    struct fixture f = start(a, api, COUNT_OF(api));
    created(&f, "/PersistentVolume//pv1", PV("", "Delete"));
    created(&f, "/PersistentVolumeClaim/shop/data", CLAIM);
    expect(-EACCES, take_back(&f, NULL, &res, &e), &e);
    says(&e, "setting volume pv1 to Retain");
    assert_int_equal(api_count(f.b.api, "DELETE "), 0);
    finish(&f);
}

#define GOING ",'deletionTimestamp':'2026-01-02T00:00:00Z','finalizers':['x/y']"

/* What was told to go and hangs is not forgotten by the next call. */
static void what_hangs_stays_in_sight(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct unmigrate_result res;
    struct err e;
    struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, NO_GROUPS},
        {"DELETE ", 200, THING(GOING)},
        {"GET /api/v1/namespaces/shop/configmaps/c", 200, THING(""), .times = 1},
        {"GET /api/v1/namespaces/shop/configmaps/c", 200, THING(GOING)},
    };
    struct fixture f = start(a, api, COUNT_OF(api));
    created(&f, "/ConfigMap/shop/c", THING(""));
    for (int i = 0; i < 2; i++) {
        expect(0, take_back(&f, NULL, &res, &e), &e);
        assert_int_equal(res.by[TAKEN_HANGS], 1);
        assert_false(res.clean);
        assert_string_equal(res.items->note, "finalizers: x/y");
    }
    assert_int_equal(api_count(f.b.api, "DELETE "), 1);
    finish(&f);
}

/* A namespace stays with what somebody has made in it since (also under a name of the run's), and
 * while an API that may hold something in it does not answer. */
static void namespaces_that_stay(void **state) {
    (void)state;
    static const struct {
        const char *groups, *things;
        const char *note; /* NULL: it goes */
    } rows[] = {
        {NO_GROUPS, EMPTY, NULL},
        {NO_GROUPS, "{'kind':'ConfigMapList','metadata':{},'items':[" THING("") "]}",
         "1 objects would go with it that stay: ConfigMap c"},
        {BROKEN, EMPTY,
         "what it holds of metrics.k8s.io/v1beta1 cannot be seen: that API does not answer"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e;
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, rows[i].groups},
            {"DELETE ", 200, GONE},
            {"GET /api/v1/namespaces/shop/configmaps/c", 200, THING("")},
            {"GET /api/v1/namespaces/shop/configmaps", 200, rows[i].things},
            {"GET /api/v1/namespaces/shop/persistentvolumeclaims", 200, EMPTY},
            {"GET /api/v1/namespaces/shop/serviceaccounts", 200, EMPTY},
            {"GET /api/v1/namespaces/shop", 200, NAMESPACE("")},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        created(&f, "/Namespace//shop", NAMESPACE(""));
        created(&f, "/ConfigMap/shop/c", THING(""));
        expect(0, take_back(&f, NULL, &res, &e), &e);
        const struct unmigrate_item *last = res.items->next;
        if (!str_eq(last->note, rows[i].note))
            fail_msg("row %zu: %s: %s", i, taken_name(last->taken), last->note);
        assert_int_equal(last->taken, rows[i].note ? TAKEN_KEPT : TAKEN_DELETED);
        finish(&f);
    }
}

#define ACCOUNT(name) "{'apiVersion':'v1','kind':'ServiceAccount'," META(name, IN("shop"), "") "}"

/* Killed before a create was sent: what has its name is somebody's, or the cluster's own, which is
 * no reason to say that something was left. */
static void creates_that_never_came(void **state) {
    (void)state;
    static const struct {
        const char *ref, *path, *live, *wrote;
        enum taken taken;
    } rows[] = {
        {"/ServiceAccount/shop/default", "GET /api/v1/namespaces/shop/serviceaccounts/default",
         ACCOUNT("default"),
         "{'apiVersion':'v1','kind':'ServiceAccount'," META(
             "default", IN("shop"), "") ",'imagePullSecrets':[{'name':'r'}]}",
         TAKEN_ALREADY},
        {"/ServiceAccount/shop/cart", "GET /api/v1/namespaces/shop/serviceaccounts/cart",
         ACCOUNT("cart"),
         "{'apiVersion':'v1','kind':'ServiceAccount'," META(
             "cart", IN("shop"), "") ",'imagePullSecrets':[{'name':'r'}]}",
         TAKEN_MOVED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e;
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, NO_GROUPS},
            {rows[i].path, 200, rows[i].live},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        struct journal_effect ef = {.cluster = "b", .ref = rows[i].ref, .verb = "create"};
        ef.leaves = leaves_text(a, journal_salt(f.j),
                                yyjson_val_mut_copy(json_doc(a), lab_json(a, rows[i].wrote)));
        expect(0, journal_effects_begin(f.j, f.run.id, &ef, 1, &e), &e);
        expect(0, take_back(&f, NULL, &res, &e), &e);
        assert_int_equal(res.items->taken, rows[i].taken);
        assert_int_equal(api_count(f.b.api, "DELETE "), 0);
        finish(&f);
    }
}

/* Made by another a moment before our create, which then completed it: it is not ours to delete. */
static void completed_is_not_created(void **state) {
    (void)state;
#define LABELS ",'labels':{'team':'x','own':'y'}"
    static const struct {
        const char *ref, *get, *patch, *live;
    } rows[] = {
        {"/Namespace//shop", "GET /api/v1/namespaces/shop ", "PATCH /api/v1/namespaces/shop",
         NAMESPACE(LABELS)},
        {"/ServiceAccount/shop/cart", "GET /api/v1/namespaces/shop/serviceaccounts/cart ",
         "PATCH /api/v1/namespaces/shop/serviceaccounts/cart",
         "{'apiVersion':'v1','kind':'ServiceAccount'," META("cart", IN("shop"), LABELS) "}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e = {0};
        struct api_row api[] = {
            {"GET /api ", 200, CORE},         {"GET /apis ", 200, NO_GROUPS},
            {"DELETE ", 200, GONE},           {rows[i].patch, 200, rows[i].live},
            {rows[i].get, 200, rows[i].live}, {"GET /api/v1/namespaces/shop/", 200, EMPTY},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        yyjson_mut_doc *d = json_doc(a);
        yyjson_mut_val *patch =
            yyjson_val_mut_copy(d, lab_json(a, "{'metadata':{'labels':{'team':'x'}}}"));
        yyjson_mut_val *was =
            yyjson_val_mut_copy(d, lab_json(a, "{'metadata':{'labels':{'own':'y'}}}"));
        struct journal_effect ef = {.cluster = "b", .ref = rows[i].ref, .verb = "create"};
        expect(0, journal_effects_begin(f.j, f.run.id, &ef, 1, &e), &e);
        ef.previous = arena_printf(
            a, "{\"restore\":{\"metadata\":{\"labels\":{\"team\":null}}},\"wrote\":\"%s\"}",
            previous_wrote(a, journal_salt(f.j), patch, was));
        expect(0, journal_effect_note(f.j, &ef, &e), &e);
        ef.state = EFFECT_DONE;
        ef.uid = "u-1";
        expect(0, journal_effects_end(f.j, &ef, 1, &e), &e);
        expect(0, take_back(&f, NULL, &res, &e), &e);
        assert_int_equal(api_count(f.b.api, "DELETE "), 0);
        assert_int_equal(api_count(f.b.api, "\"team\":null"), 1);
        finish(&f);
    }
}

#define SYSTEM "/api/v1/namespaces/tandem-system"
#define OWNED                                                                                      \
    "'ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'boss','uid':'u-boss'}]"
#define BOSS                                                                                       \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'boss','namespace':'shop',"          \
    "'uid':'u-1','resourceVersion':'1'}}"
#define FORBIDDEN    "{'kind':'Status','reason':'Forbidden','message':'no'}"
#define SECRET(more) "{'apiVersion':'v1','kind':'Secret'," META("s", IN("shop"), more) "}"
#define KEPT(orig)   "{'metadata':{'annotations':{'tandem.dev/previous':'" orig "'}}}"
#define BARE_SECRET                                                                                \
    "{\\'apiVersion\\':\\'v1\\',\\'kind\\':\\'Secret\\',\\'metadata\\':{\\'name\\':\\'s\\',"       \
    "\\'namespace\\':\\'shop\\'}}"

/* What was there before the run and was given an owner by it is let go before that owner is
 * deleted, and when it cannot be, nothing is: the garbage collector would take it along. */
static void owned_ones_are_freed_first(void **state) {
    (void)state;
    static const char *const freed = "{\"metadata\":{\"ownerReferences\":null,\"uid\":\"u-1\"";
    static const struct {
        const char *name, *ref, *was, *live;
        int status, copy_status;
        unsigned freed, deleted;
    } rows[] = {
        {"a ConfigMap", "/ConfigMap/shop/c", THING(""), THING("," OWNED), 200, 404, 1, 1},
        {"refused", "/ConfigMap/shop/c", THING(""), THING("," OWNED), 403, 404, 1, 0},
        {"its owners taken away by hand", "/ConfigMap/shop/c", THING(""), THING(""), 403, 404, 0,
         1},
        {"a Secret", "/Secret/shop/s", SECRET(""), SECRET("," OWNED), 200, 200, 1, 1},
        {"its copy is gone", "/Secret/shop/s", SECRET(""), SECRET("," OWNED), 200, 404, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e;
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, NO_GROUPS},
            {"GET /api/v1/namespaces/shop/configmaps/boss", 200, BOSS},
            {"GET /api/v1/namespaces/shop/", 200, rows[i].live},
            {"PATCH /api/v1/namespaces/shop/", rows[i].status,
             rows[i].status == 200 ? rows[i].live : FORBIDDEN},
            {"GET " SYSTEM "/secrets/kept", rows[i].copy_status, KEPT(BARE_SECRET)},
            {"DELETE ", 200, GONE},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        updated(&f, rows[i].ref, rows[i].was, "{'metadata':{" OWNED "}}",
                rows[i].copy_status == 200 || strstr(rows[i].ref, "Secret") ? "kept" : NULL);
        created(&f, "/ConfigMap/shop/boss", BOSS);
        expect(rows[i].deleted ? 0 : -EBUSY, take_back(&f, NULL, &res, &e), &e);
        unsigned n_freed = api_count(f.b.api, freed), n_deleted = api_count(f.b.api, "DELETE ");
        if (n_freed != rows[i].freed || n_deleted != rows[i].deleted)
            fail_msg("%s: freed %u, deleted %u", rows[i].name, n_freed, n_deleted);
        finish(&f);
    }
}

#define COPY                                                                                       \
    "{'metadata':{'resourceVersion':'9'},'items':[{'type':'tandem.dev/previous','metadata':{"      \
    "'name':'previous-1','uid':'u-2'}}]}"
#define OURS   ",'labels':{'app.kubernetes.io/managed-by':'tandem'}"
#define ROOT   "{'items':[{'metadata':{'name':'kube-root-ca.crt'}}]}"
#define CLAIMS "{'items':[{'metadata':{'name':'data'}}]}"

/* The copies go, and their namespace unless something else is in it, of whatever kind. */
static void copies_are_swept(void **state) {
    (void)state;
    static const struct {
        const char *label, *claims, *groups;
        unsigned gone;
    } rows[] = {
        {OURS, EMPTY, NO_GROUPS, 1},
        {OURS, CLAIMS, NO_GROUPS, 0},
        {OURS, EMPTY, BROKEN, 0},
        {"", EMPTY, NO_GROUPS, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct err e = {0};
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, rows[i].groups},
            {"GET " SYSTEM "/secrets?labelSelector=", 200, COPY},
            {"GET " SYSTEM "/configmaps", 200, ROOT},
            {"GET " SYSTEM "/persistentvolumeclaims", 200, rows[i].claims},
            {"GET " SYSTEM " ", 200,
             arena_printf(a, "{'metadata':{'name':'tandem-system','uid':'u-3'%s}}", rows[i].label),
             .times = 1},
            {"DELETE ", 200, GONE},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        expect(0, keep_sweep(f.b.c, "r-1", &e), &e);
        assert_int_equal(api_count(f.b.api, "{\"uid\":\"u-2\"}"), 1);
        assert_int_equal(api_count(f.b.api, "{\"uid\":\"u-3\"}"), rows[i].gone);
        finish(&f);
    }
}

/* Where something is to be made anew, what was there before the run stays, with the owners that it
 * has by it: that holds nothing else up. */
static void making_anew_keeps_what_was_there(void **state) {
    (void)state;
    AUTO_ARENA a = arena_new();
    struct unmigrate_result res;
    struct err e = {0};
    struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, NO_GROUPS},
        {"DELETE ", 200, GONE},
        {"GET /api/v1/namespaces/shop/configmaps/boss", 200, BOSS},
        {"GET /api/v1/namespaces/shop/configmaps/c", 200, THING("," OWNED)},
    };
    struct fixture f = start(a, api, COUNT_OF(api));
    AUTO_MAP only = map_new();
    updated(&f, "/ConfigMap/shop/c", THING(""), "{'metadata':{" OWNED "}}", NULL);
    created(&f, "/ConfigMap/shop/boss", BOSS);
    map_put(only, "/ConfigMap/shop/c", only);
    map_put(only, "/ConfigMap/shop/boss", only);
    struct unmigrate_opts o = {
        .c = f.b.c, .slot = 'b', .discovery = f.d, .journal = f.j, .run = f.run.id, .only = only};
    expect(0, unmigrate(a, &o, &res, &e), &e);
    assert_int_equal(res.by[TAKEN_KEPT], 1);
    assert_int_equal(res.by[TAKEN_DELETED], 1);
    assert_int_equal(api_count(f.b.api, "PATCH "), 0);
    finish(&f);
}

/* The run's was replaced by another's, which a later update of the run took for its own: that is
 * given back, and never deleted. */
static void anothers_is_never_deleted(void **state) {
    (void)state;
    static const char was[] = "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c',"
                              "'namespace':'shop','uid':'u-2','resourceVersion':'7'}}";
    static const char now[] =
        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c',"
        "'namespace':'shop','uid':'u-2','resourceVersion':'8'},'data':{'a':'1'}}";
    AUTO_ARENA a = arena_new();
    struct unmigrate_result res;
    struct err e = {0};
    struct api_row api[] = {
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, NO_GROUPS},
        {"DELETE ", 200, GONE},
        {"GET /api/v1/namespaces/shop/configmaps/c", 200, now},
        {"PATCH /api/v1/namespaces/shop/configmaps/c", 200, was},
    };
    struct fixture f = start(a, api, COUNT_OF(api));
    created(&f, "/ConfigMap/shop/c", THING(""));
    updated(&f, "/ConfigMap/shop/c", was, "{'data':{'a':'1'}}", NULL);
    struct unmigrate_opts o = {
        .c = f.b.c, .slot = 'b', .discovery = f.d, .journal = f.j, .run = f.run.id, .force = true};
    expect(0, unmigrate(a, &o, &res, &e), &e);
    assert_int_equal(res.items->taken, TAKEN_RESTORED);
    assert_int_equal(api_count(f.b.api, "DELETE "), 0);
    assert_int_equal(api_count(f.b.api, "{\"data\":null"), 1);
    finish(&f);
}

#define BY(who, time)                                                                              \
    "{'manager':'" who "','operation':'Update','time':'" time                                      \
    "','fieldsV1':{'f:data':{'f:more':{}"                                                          \
    "}}}"
#define EARLY        "2026-01-01T00:00:00Z"
#define LATER        "2026-01-01T00:01:00Z"
#define FIELDS(more) ",'managedFields':[" more "]"
#define MORE(meta)                                                                                 \
    "{'apiVersion':'v1','kind':'ConfigMap'," META("c", IN("shop"), meta) ",'data':{'more':'1'}}"
#define NOBODY "{'manager':'tandem','operation':'Update','time':'" EARLY "','fieldsV1':{}}"

/* A field that the run did not write: what a default or a controller filled in is no change of
 * anybody's, also when the run has written the object more than once. After an update over others'
 * changes managedFields are not enough to tell. */
static void filled_in_is_not_moved_on(void **state) {
    (void)state;
    enum { CREATES, UPDATES, NOTHING };
    static const struct {
        const char *name, *live;
        int then, hands; /* what the run did after its create */
        enum taken taken;
    } rows[] = {
        {"a default, created once", MORE(FIELDS(NOBODY)), NOTHING, 0, TAKEN_DELETED},
        {"a default, created twice", MORE(FIELDS(NOBODY)), CREATES, 0, TAKEN_DELETED},
        {"a default, updated", MORE(FIELDS(NOBODY)), UPDATES, 0, TAKEN_DELETED},
        {"by hand, updated before", MORE(FIELDS(BY("jo", LATER))), UPDATES, 0, TAKEN_MOVED},
        {"by hand, created twice", MORE(FIELDS(BY("jo", LATER))), CREATES, 0, TAKEN_MOVED},
        {"updated over changes", MORE(FIELDS(NOBODY)), UPDATES, 1, TAKEN_MOVED},
        {"nobody knows over what", MORE(FIELDS(NOBODY)), UPDATES, -1, TAKEN_MOVED},
        {"updated over changes, and a controller",
         MORE(FIELDS(BY("kube-controller-manager", LATER))), UPDATES, 1, TAKEN_DELETED},
        {"no managers at all", MORE(""), NOTHING, 0, TAKEN_MOVED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e = {0};
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, NO_GROUPS},
            {"DELETE ", 200, GONE},
            {"GET /api/v1/namespaces/shop/configmaps/c", 200, rows[i].live},
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        if (rows[i].then == CREATES) { /* the first by a process that was killed */
            struct journal_effect ef = {.cluster = "b", .ref = "/ConfigMap/shop/c"};
            ef.verb = "create";
            ef.leaves = leaves_text(a, journal_salt(f.j),
                                    yyjson_val_mut_copy(json_doc(a), lab_json(a, THING(""))));
            expect(0, journal_effects_begin(f.j, f.run.id, &ef, 1, &e), &e);
        }
        created(&f, "/ConfigMap/shop/c", THING(""));
        if (rows[i].then == UPDATES)
            updated_after(&f, "/ConfigMap/shop/c", THING(""), "{'metadata':{'labels':{}}}", NULL,
                          rows[i].hands);
        expect(0, take_back(&f, NULL, &res, &e), &e);
        if (res.items->taken != rows[i].taken)
            fail_msg("%s: %s (%s)", rows[i].name, taken_name(res.items->taken), res.items->note);
        finish(&f);
    }
}

#define COPY_OF(more)                                                                              \
    "{'metadata':{'annotations':{'tandem.dev/previous':'{\\'apiVersion\\':\\'v1\\',\\'kind\\':"    \
    "\\'Secret\\',\\'metadata\\':{\\'name\\':\\'s\\',\\'namespace\\':\\'shop\\'" more "}}'}},"     \
    "'data':{'k':'dg=='}}"
#define HAS_BOSS                                                                                   \
    ",\\'ownerReferences\\':[{\\'apiVersion\\':\\'v1\\',\\'kind\\':\\'ConfigMap\\',\\'name\\':"    \
    "\\'boss\\',\\'uid\\':\\'u-1\\'}]"
#define ANEW(value)                                                                                \
    "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s','namespace':'shop','uid':'u-9',"    \
    "'resourceVersion':'9'},'data':{'k':'" value "'}}"
#define NOT_FOUND "{'kind':'Status','reason':'NotFound','message':'gone'}"
#define EXISTS    "{'kind':'Status','reason':'AlreadyExists','message':'there is one'}"

/* A Secret that the run changed and that was deleted since comes back from its copy: once, also
 * when the answer to that was lost, and not under the hands of one who has made another. */
static void deleted_secrets_come_back(void **state) {
    (void)state;
    static const char *const path = "GET /api/v1/namespaces/shop/secrets/s";
    static const struct {
        const char *name, *copy, *boss;
        struct api_row live[2], post;
        enum taken taken;
        unsigned posts;
    } rows[] = {
        {"deleted",
         COPY_OF(""),
         NULL,
         {{path, 404, NOT_FOUND}, {path, 404, NOT_FOUND}},
         {"POST ", 201, ANEW("dg==")},
         TAKEN_RESTORED,
         1},
        {"its copy is gone",
         NULL,
         NULL,
         {{path, 404, NOT_FOUND}, {path, 404, NOT_FOUND}},
         {"POST ", 201, ANEW("dg==")},
         TAKEN_MOVED,
         0},
        {"its owner is there",
         COPY_OF(HAS_BOSS),
         BOSS,
         {{path, 404, NOT_FOUND}, {path, 404, NOT_FOUND}},
         {"POST ", 201, ANEW("dg==")},
         TAKEN_RESTORED,
         1},
        {"its owner is gone too",
         COPY_OF(HAS_BOSS),
         NULL,
         {{path, 404, NOT_FOUND}, {path, 404, NOT_FOUND}},
         {"POST ", 201, ANEW("dg==")},
         TAKEN_MOVED,
         0},
        {"so is its namespace",
         COPY_OF(""),
         NULL,
         {{path, 404, NOT_FOUND}, {path, 404, NOT_FOUND}},
         {"POST ", 404, NOT_FOUND},
         TAKEN_MOVED,
         1},
        {"the answer was lost",
         COPY_OF(""),
         NULL,
         {{path, 404, NOT_FOUND, .times = 1}, {path, 200, ANEW("dg==")}},
         {"POST ", 201, "", .end = API_RESET},
         TAKEN_ALREADY,
         1},
        {"somebody was faster",
         COPY_OF(""),
         NULL,
         {{path, 404, NOT_FOUND, .times = 1}, {path, 200, ANEW("eA==")}},
         {"POST ", 409, EXISTS},
         TAKEN_MOVED,
         1},
        {"another by hand",
         COPY_OF(""),
         NULL,
         {{path, 200, ANEW("eA==")}, {path, 200, ANEW("eA==")}},
         {"POST ", 201, ANEW("dg==")},
         TAKEN_MOVED,
         0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct unmigrate_result res;
        struct err e;
        struct api_row api[] = {
            {"GET /api ", 200, CORE},
            {"GET /apis ", 200, NO_GROUPS},
            {"GET " SYSTEM "/secrets/kept", rows[i].copy ? 200 : 404,
             rows[i].copy ? rows[i].copy : NOT_FOUND},
            {"GET /api/v1/namespaces/shop/configmaps/boss", rows[i].boss ? 200 : 404,
             rows[i].boss ? rows[i].boss : NOT_FOUND},
            rows[i].live[0],
            rows[i].live[1],
            rows[i].post,
        };
        struct fixture f = start(a, api, COUNT_OF(api));
        updated(&f, "/Secret/shop/s", SECRET(""), "{'data':{'k':'eA=='}}", "kept");
        expect(0, take_back(&f, NULL, &res, &e), &e);
        unsigned posts = api_count(f.b.api, "POST "), sent = api_count(f.b.api, "\"k\":\"dg==\"");
        if (res.items->taken != rows[i].taken || posts != rows[i].posts || sent != posts)
            fail_msg("%s: %s (%s), %u posts, %u with the data", rows[i].name,
                     taken_name(res.items->taken), res.items->note, posts, sent);
        finish(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completed_is_not_created),
        cmocka_unit_test(volumes_are_retained),
        cmocka_unit_test(no_claim_goes_unprotected),
        cmocka_unit_test(what_hangs_stays_in_sight),
        cmocka_unit_test(namespaces_that_stay),
        cmocka_unit_test(copies_are_swept),
        cmocka_unit_test(creates_that_never_came),
        cmocka_unit_test(owned_ones_are_freed_first),
        cmocka_unit_test(deleted_secrets_come_back),
        cmocka_unit_test(anothers_is_never_deleted),
        cmocka_unit_test(filled_in_is_not_moved_on),
        cmocka_unit_test(making_anew_keeps_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
