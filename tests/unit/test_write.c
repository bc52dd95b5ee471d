/* One write against a scripted API server, and what the journal is told of it: what was written
 * must not be called failed, or nobody takes it back; what was not must not be called ours. */
#include "lab.h"

#include <unistd.h>

#include "kube_bench.h"
#include "migrate/apply_impl.h"

#define FIELDS      "'fieldsType':'FieldsV1','fieldsV1':{'f:spec':{'f:size':{}}}"
#define ENTRY(name) "{'manager':'" name "','operation':'Update','apiVersion':'x.io/v1'," FIELDS "}"
#define OWNER                                                                                      \
    "{'apiVersion':'x.io/v1','kind':'Gadget','metadata':{'name':'boss','namespace':'n',"           \
    "'uid':'a-boss'},'spec':{'size':1}}"
/* Two owners of its fields: they are restored by a request of their own. */
#define TWO                                                                                        \
    "{'apiVersion':'x.io/v1','kind':'Gadget','metadata':{'name':'g','namespace':'n','uid':'a-g',"  \
    "'managedFields':[" ENTRY("jo") "," ENTRY("sam") "]},'spec':{'size':1}}"
/* One that applied all of it: it is written by applying. */
#define APPLIED                                                                                    \
    "{'apiVersion':'x.io/v1','kind':'Gadget','metadata':{'name':'g','namespace':'n','uid':'a-g',"  \
    "'managedFields':[{'manager':'jo','operation':'Apply','apiVersion':'x.io/v1','fieldsType':"    \
    "'FieldsV1','fieldsV1':{'f:spec':{'f:size':{}}}}]},'spec':{'size':1}}"
#define CHILD                                                                                      \
    "{'apiVersion':'x.io/v1','kind':'Gadget','metadata':{'name':'g','namespace':'n','uid':'a-g',"  \
    "'ownerReferences':[{'apiVersion':'x.io/v1','kind':'Gadget','name':'boss','uid':'a-boss',"     \
    "'controller':true}]},'spec':{'size':1}}"

#define LIVE(uid, size, more)                                                                      \
    "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Gadget\",\"metadata\":{\"name\":\"g\",\"namespace\":"  \
    "\"n\",\"uid\":\"" uid "\",\"resourceVersion\":\"5\"" more "},\"spec\":{\"size\":" size "}}"
#define OURS                                                                                       \
    ",\"managedFields\":[{\"manager\":\"tandem\",\"operation\":\"Update\",\"apiVersion\":"         \
    "\"x.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:size\":{}}}}]"
#define BY_JO                                                                                      \
    ",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"managedFields\":[{\"manager\":\"jo\","      \
    "\"operation\":\"Update\",\"time\":\"2026-01-01T00:00:05Z\",\"fieldsV1\":{\"f:spec\":{}}}]"
#define BY_BOSS                                                                                    \
    ",\"ownerReferences\":[{\"apiVersion\":\"x.io/v1\",\"kind\":\"Gadget\",\"name\":\"boss\","     \
    "\"uid\":\"b-boss\",\"controller\":true}]"
#define STATUS(reason, message)                                                                    \
    "{\"kind\":\"Status\",\"reason\":\"" reason "\",\"message\":\"" message "\"}"
#define EXISTS                                                                                     \
    { "POST", 409, STATUS("AlreadyExists", "there is one"), NULL, API_WHOLE, 0, 0 }

static const struct {
    const char *name, *src;
    struct api_row rows[5];
    bool ok;
    enum journal_effect_state state;
    const char *uid;
} cases[] = {
    {"written, and its owners restored",
     TWO,
     {{"POST", 201, LIVE("b-g", "1", OURS), NULL, API_WHOLE, 0, 0},
      {"PATCH", 200, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"written, and its owners may not be restored: ours, though the object has failed",
     TWO,
     {{"POST", 201, LIVE("b-g", "1", OURS), NULL, API_WHOLE, 0, 0},
      {"PATCH", 403, STATUS("Forbidden", "no patches"), NULL, API_WHOLE, 0, 0}},
     false,
     EFFECT_DONE,
     "b-g"},
    {"a controller changes it all the time: what we wrote ourselves is not another's",
     TWO,
     {{"POST", 201, LIVE("b-g", "1", OURS), NULL, API_WHOLE, 1, 0},
      EXISTS,
      {"PATCH", 409, STATUS("Conflict", "modified"), NULL, API_WHOLE, 7, 0},
      {"GET", 200, LIVE("b-g", "2", OURS), NULL, API_WHOLE, 0, 0},
      {"PATCH", 200, LIVE("b-g", "2", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"there is one that is being deleted: it is waited for",
     CHILD,
     {{"POST", 409, STATUS("AlreadyExists", "there is one"), NULL, API_WHOLE, 1, 0},
      {"GET", 200, LIVE("b-old", "1", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""), NULL,
       API_WHOLE, 0, 0},
      {"POST", 201, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"there was one, and it is gone",
     CHILD,
     {{"POST", 409, STATUS("AlreadyExists", "there is one"), NULL, API_WHOLE, 1, 0},
      {"POST", 201, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"another of its name",
     CHILD,
     {EXISTS, {"GET", 200, LIVE("b-other", "2", ""), NULL, API_WHOLE, 0, 0}},
     false,
     EFFECT_FAILED,
     NULL},
    {"the answer was lost, and nobody tells what became of it",
     CHILD,
     {{"POST", 201, "", NULL, API_RESET, 0, 0},
      {"GET", 403, STATUS("Forbidden", "no reading"), NULL, API_WHOLE, 0, 0}},
     false,
     EFFECT_UNKNOWN,
     NULL},
    {"another of its name and of equal content: it is there, and not ours",
     CHILD,
     {EXISTS, {"GET", 200, LIVE("b-other", "1", OURS), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_FAILED,
     "b-other"},
    {"the same with two owners of its fields: they are not touched",
     TWO,
     {EXISTS,
      {"GET", 200, LIVE("b-other", "1", OURS), NULL, API_WHOLE, 0, 0},
      {"PATCH", 403, STATUS("Forbidden", "no patches"), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_FAILED,
     "b-other"},
    {"the server failed, and had stored it",
     CHILD,
     {{"POST", 500, STATUS("InternalError", "etcdserver: request timed out"), NULL, API_WHOLE, 1,
       0},
      EXISTS,
      {"GET", 200, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"half an answer, and it is there",
     CHILD,
     {{"POST", 201, "{\"kind\":\"Gadget\",", NULL, API_WHOLE, 1, 0},
      EXISTS,
      {"GET", 200, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"applied, half an answer, and it is there",
     APPLIED,
     {{"PATCH", 201, "{\"kind\":\"Gadget\",", NULL, API_WHOLE, 1, 0},
      {"GET", 200, LIVE("b-g", "1", OURS), NULL, API_WHOLE, 0, 0},
      {"PATCH", 200, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"applied, unavailable for a moment, and then there is one",
     APPLIED,
     {{"PATCH", 503, STATUS("ServiceUnavailable", "soon"), "Retry-After: 0", API_WHOLE, 1, 0},
      {"PATCH", 409, STATUS("Conflict", "there is one"), NULL, API_WHOLE, 1, 0},
      {"GET", 200, LIVE("b-g", "1", OURS), NULL, API_WHOLE, 0, 0},
      {"PATCH", 200, LIVE("b-g", "1", ""), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_DONE,
     "b-g"},
    {"its owner's controller was faster",
     CHILD,
     {EXISTS, {"GET", 200, LIVE("b-t", "2", BY_BOSS), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_FAILED,
     "b-t"},
    {"the same, seen after a gateway gave up",
     CHILD,
     {{"POST", 504, "", NULL, API_WHOLE, 0, 0},
      {"GET", 200, LIVE("b-t", "2", BY_BOSS), NULL, API_WHOLE, 0, 0}},
     true,
     EFFECT_FAILED,
     "b-t"},
};

static struct item *write_one(struct arena *a, struct world *w, const char *src) {
    yyjson_val *body = lab_json(a, src);
    struct item *it = NULL;
    struct err e = {0};
    world_set_uid_dst(w, world_at(w, 0), "b-boss");
    if (write_prepare(w, lab_find(w, body), body, &it, &e) < 0)
        fail_msg("%s", err_msg(&e));
    write_item(w, it, NULL);
    item_outcome(it);
    return it;
}

static void every_case(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = 0;
        while (n < COUNT_OF(cases[i].rows) && cases[i].rows[n].want)
            n++;
        struct bench b = bench_new(cases[i].rows, n);
        struct world_opts o = {.dst = b.c};
        struct world *w =
            lab_world(b.a, &o, arena_printf(b.a, "[%s,%s]", OWNER, cases[i].src), "[]", NULL);
        const struct kube_resource *r = world_at(w, 0)->kind->dst;
        ((struct kube_resource *)(uintptr_t)r)->verbs |= KUBE_PATCH;
        struct item *it = write_one(b.a, w, cases[i].src);
        const struct journal_effect *ef = &it->effect;
        bool uid = cases[i].uid ? str_eq(ef->uid, cases[i].uid) : !ef->uid;
        if (it->ok != cases[i].ok || ef->state != cases[i].state || !uid ||
            (ef->state != EFFECT_DONE && !ef->error))
            fail_msg("%s: ok %d, state %d, uid %s: %s", cases[i].name, it->ok, (int)ef->state,
                     ef->uid ? ef->uid : "none", it->err.msg);
        item_free(it);
        world_free(w);
        bench_free(&b);
    }
}

#define ANSWER(verb, status, body, times)                                                          \
    { verb, status, body, NULL, API_WHOLE, times, 0 }
#define CONFLICT STATUS("Conflict", "modified")

/* An update whose first answer was lost, and which then is refused: what the journal has of it has
 * to be what was there before the first, and that it may have been carried out. */
static const struct {
    const char *name;
    struct api_row rows[7];
    bool ok;
    enum journal_effect_state state;
    const char *previous; /* part of the note; NULL: there is none, and nothing was sent */
} updates[] = {
    {"carried out, and twice somebody was faster",
     {ANSWER("GET", 200, LIVE("b-g", "2", ""), 1),
      {"PATCH", 200, "", NULL, API_RESET, 1, 0},
      ANSWER("PATCH", 409, CONFLICT, 2),
      ANSWER("GET", 200, LIVE("b-g", "1", ""), 0),
      ANSWER("PATCH", 200, LIVE("b-g", "1", ""), 0)},
     true,
     EFFECT_DONE,
     "\"spec\":{\"size\":2}"},
    {"refused at first sight, and somebody changed it",
     {ANSWER("GET", 200, LIVE("b-g", "2", ""), 1), ANSWER("PATCH", 409, CONFLICT, 1),
      ANSWER("GET", 200, LIVE("b-g", "3", ""), 0), ANSWER("PATCH", 200, LIVE("b-g", "1", ""), 0)},
     true,
     EFFECT_DONE,
     "\"spec\":{\"size\":3}"},
    {"lost, refused, and then not to be read any more",
     {ANSWER("GET", 200, LIVE("b-g", "2", ""), 1),
      {"PATCH", 200, "", NULL, API_RESET, 1, 0},
      ANSWER("PATCH", 409, CONFLICT, 0),
      ANSWER("GET", 403, STATUS("Forbidden", "no reading"), 0)},
     false,
     EFFECT_UNKNOWN,
     "\"spec\":{\"size\":2}"},
    {"refused at first sight, and then not to be read any more",
     {ANSWER("GET", 200, LIVE("b-g", "2", ""), 1), ANSWER("PATCH", 409, CONFLICT, 0),
      ANSWER("GET", 403, STATUS("Forbidden", "no reading"), 0)},
     false,
     EFFECT_FAILED,
     "\"spec\":{\"size\":2}"},
    {"nobody but us had changed it",
     {ANSWER("GET", 200, LIVE("b-g", "2", OURS), 0), ANSWER("PATCH", 200, LIVE("b-g", "1", ""), 0)},
     true,
     EFFECT_DONE,
     "\"hands\":false"},
    {"somebody had",
     {ANSWER("GET", 200, LIVE("b-g", "2", BY_JO), 0),
      ANSWER("PATCH", 200, LIVE("b-g", "1", ""), 0)},
     true,
     EFFECT_DONE,
     "\"hands\":true"},
    {"nobody can tell",
     {ANSWER("GET", 200, LIVE("b-g", "2", ""), 0), ANSWER("PATCH", 200, LIVE("b-g", "1", ""), 0)},
     true,
     EFFECT_DONE,
     "\"hands\":true"},
    {"another has taken its place",
     {ANSWER("GET", 200, LIVE("b-other", "2", ""), 0)},
     false,
     EFFECT_FAILED,
     NULL},
};

struct log {
    struct journal *j;
    struct journal_run run;
    char path[128];
};

static struct log log_open(const struct bench *b) {
    struct log l = {0};
    struct err e = {0};
    snprintf(l.path, sizeof l.path, "%s/t.db", b->dir);
    expect(0, journal_open(l.path, false, &l.j, &e), &e);
    expect(0, journal_run_begin(l.j, 'a', 'b', &l.run, &e), &e);
    return l;
}

static void log_close(struct log *l, const struct bench *b) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    journal_close(l->j);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(b->a, "%s%s", l->path, names[i]));
}

static struct item *write_logged(struct arena *a, struct world *w, struct log *l, const char *src) {
    yyjson_val *body = lab_json(a, src);
    struct item *it = NULL;
    struct err e = {0};
    world_set_uid_dst(w, world_at(w, 0), "b-boss");
    expect(0, write_prepare(w, lab_find(w, body), body, &it, &e), &e);
    expect(0, journal_effects_begin(l->j, l->run.id, &it->effect, 1, &e), &e);
    it->journal = l->j;
    it->run = l->run.id;
    write_item(w, it, NULL);
    item_outcome(it);
    expect(0, journal_effects_end(l->j, &it->effect, 1, &e), &e);
    return it;
}

static void lost_updates(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(updates); i++) {
        size_t n = 0;
        while (n < COUNT_OF(updates[i].rows) && updates[i].rows[n].want)
            n++;
        struct bench b = bench_new(updates[i].rows, n);
        struct log l = log_open(&b);
        struct world_opts o = {.dst = b.c, .journal = l.j, .run = l.run.id};
        struct world *w =
            lab_world(b.a, &o, "[" OWNER "," CHILD "]", "[" LIVE("b-g", "2", "") "]", NULL);
        struct object *g = lab_find(w, lab_json(b.a, CHILD));
        g->verdict = V_UPDATE;
        struct item *it = write_logged(b.a, w, &l, CHILD);
        struct journal_effect *v;
        size_t n_v;
        expect(0, journal_effects_of(l.j, b.a, l.run.id, "b", it->effect.ref, &v, &n_v, NULL),
               NULL);
        bool noted = updates[i].previous ? v->previous && strstr(v->previous, updates[i].previous)
                                         : !v->previous;
        if (it->ok != updates[i].ok || v->state != updates[i].state || n_v != 1 || !noted)
            fail_msg("%s: ok %d, state %d, %s: %s", updates[i].name, it->ok, (int)v->state,
                     v->previous, it->err.msg);
        item_free(it);
        world_free(w);
        log_close(&l, &b);
        bench_free(&b);
    }
}

/* There already, with what we would have written: ours when an earlier create of the run may have
 * made it. */
static void made_before(void **state UNUSED) {
    static const struct {
        const char *verb, *uid;
        enum journal_effect_state earlier, state;
    } rows[] = {
        {"create", NULL, EFFECT_INTENT, EFFECT_DONE},
        {"create", NULL, EFFECT_UNKNOWN, EFFECT_DONE},
        {"create", "b-g", EFFECT_DONE, EFFECT_DONE},
        {"create", "b-before", EFFECT_DONE, EFFECT_FAILED},
        {"create", NULL, EFFECT_FAILED, EFFECT_FAILED},
        {"hold", "b-g", EFFECT_DONE, EFFECT_FAILED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static const struct api_row api[] = {EXISTS, ANSWER("GET", 200, LIVE("b-g", "1", ""), 0)};
        struct bench b = BENCH(api);
        struct log l = log_open(&b);
        struct err e = {0};
        struct journal_effect ef = {.cluster = "b", .ref = "x.io/Gadget/n/g", .verb = rows[i].verb};
        expect(0, journal_effects_begin(l.j, l.run.id, &ef, 1, &e), &e);
        ef.uid = rows[i].uid;
        ef.state = rows[i].earlier;
        expect(0, journal_effects_end(l.j, &ef, 1, &e), &e);
        struct world_opts o = {.dst = b.c, .journal = l.j, .run = l.run.id};
        struct world *w = lab_world(b.a, &o, "[" OWNER "," CHILD "]", "[]", NULL);
        struct item *it = write_logged(b.a, w, &l, CHILD);
        if (!it->ok || it->effect.state != rows[i].state)
            fail_msg("row %zu: ok %d, state %d", i, it->ok, (int)it->effect.state);
        item_free(it);
        world_free(w);
        log_close(&l, &b);
        bench_free(&b);
    }
}

#define SECRET                                                                                     \
    "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s','namespace':'n'},'data':{'k':'dg==" \
    "'}}"
#define LIVE_SECRET(uid)                                                                           \
    "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"namespace\":"       \
    "\"n\",\"uid\":\"" uid "\",\"resourceVersion\":\"5\"},\"data\":{\"k\":\"eA==\"}}"

static const char *copy_noted(struct arena *a, struct log *l, struct world *w) {
    lab_find(w, lab_json(a, SECRET))->verdict = V_UPDATE;
    struct item *it = write_logged(a, w, l, SECRET);
    yyjson_val *note = NULL;
    if (!it->ok || json_parse(a, it->noted, strlen(it->noted), &note, NULL) < 0)
        fail_msg("%s", it->err.msg);
    const char *copy = json_str(note, "copy");
    item_free(it);
    return copy;
}

/* A Secret that the run updates again: the first copy is how it was before the run, and no copy of
 * before is taken for it after it was taken back, or when another has its name. */
static void one_copy_each(void **state UNUSED) {
    static const struct {
        const char *name, *between, *uid;
        enum journal_effect_state state;
        bool same;
    } rows[] = {
        {"updated twice", NULL, "b-s", EFFECT_DONE, true},
        {"taken back in between", "restore", "b-s", EFFECT_DONE, false},
        {"could not be taken back", "restore", "b-s", EFFECT_FAILED, true},
        {"another of its name", NULL, "b-t", EFFECT_DONE, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        const struct api_row api[] = {
            ANSWER("POST /api/v1/namespaces/tandem-system/secrets", 201, LIVE_SECRET("c"), 0),
            ANSWER("GET", 200, LIVE_SECRET("b-s"), 1),
            {"GET", 200, str_eq(rows[i].uid, "b-s") ? LIVE_SECRET("b-s") : LIVE_SECRET("b-t")},
            ANSWER("PATCH", 200, LIVE_SECRET("b-s"), 0),
        };
        struct bench b = BENCH(api);
        struct log l = log_open(&b);
        struct err e = {0};
        struct world_opts o = {.dst = b.c, .journal = l.j, .run = l.run.id};
        struct world *w = lab_world(a, &o, "[" OWNER "," SECRET "]", "[]", NULL);
        const char *first = copy_noted(a, &l, w);
        struct journal_effect ef = {.cluster = "b", .ref = "/Secret/n/s", .verb = rows[i].between};
        if (rows[i].between) {
            expect(0, journal_effects_begin(l.j, l.run.id, &ef, 1, &e), &e);
            ef.state = rows[i].state;
            expect(0, journal_effects_end(l.j, &ef, 1, &e), &e);
        }
        const char *second = copy_noted(a, &l, w);
        if (!first || !second || str_eq(first, second) != rows[i].same)
            fail_msg("%s: %s, %s", rows[i].name, first, second);
        world_free(w);
        log_close(&l, &b);
        bench_free(&b);
    }
}

/* What each cluster gives the account itself is completed: a list keeps what stands in it. */
static void accounts_are_completed(void **state UNUSED) {
#define ACCOUNT(uid, list)                                                                         \
    "{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"default\","       \
    "\"namespace\":\"n\",\"uid\":\"" uid                                                           \
    "\",\"resourceVersion\":\"5\"},\"imagePullSecrets\":[" list "]}"
#define A_REG "{\"name\":\"a-reg\"}"
#define B_REG "{\"name\":\"b-reg\"}"
    static const struct api_row rows[] = {
        {"GET", 200, ACCOUNT("b-sa", B_REG), NULL, API_WHOLE, 0, 0},
        {"PATCH", 200, ACCOUNT("b-sa", B_REG "," A_REG), NULL, API_WHOLE, 0, 0},
    };
    struct bench b = BENCH(rows);
    struct world_opts o = {.dst = b.c};
    struct world *w =
        lab_world(b.a, &o, "[" ACCOUNT("a-sa", A_REG) "]", "[" ACCOUNT("b-sa", B_REG) "]", NULL);
    assert_int_equal(world_at(w, 0)->verdict, V_UPDATE);
    struct item *it = write_one(b.a, w, ACCOUNT("a-sa", A_REG));
    assert_true(it->ok);
    assert_int_equal(api_count(b.api, "\"imagePullSecrets\":[" B_REG "," A_REG "]"), 1);
    item_free(it);
    world_free(w);
    bench_free(&b);
}

/* What backend_prove() leaves: a webhook in the way that could not be taken back is still ours. */
static void outcomes(void **state UNUSED) {
    static const struct {
        const char *name;
        struct item it;
        enum journal_effect_state state;
    } rows[] = {
        {"taken back", {.err = {.code = -EHOSTUNREACH}}, EFFECT_FAILED},
        {"in the way, and could not be taken back",
         {.written = true, .err = {.code = -EHOSTUNREACH}},
         EFFECT_DONE},
        {"never sent", {.err = {.code = -ESTOPPED}}, EFFECT_UNKNOWN},
        {"refused", {.err = {.code = -EINVAL, .http = 422}}, EFFECT_FAILED},
        {"the server failed", {.err = {.code = -EREMOTEIO, .http = 500}}, EFFECT_UNKNOWN},
        {"lost, then no connection",
         {.lost = true, .err = {.code = -ECONNREFUSED}},
         EFFECT_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct item it = rows[i].it;
        item_outcome(&it);
        if (it.effect.state != rows[i].state || !it.effect.error)
            fail_msg("%s: state %d", rows[i].name, (int)it.effect.state);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),    cmocka_unit_test(outcomes),
        cmocka_unit_test(lost_updates),  cmocka_unit_test(made_before),
        cmocka_unit_test(one_copy_each), cmocka_unit_test(accounts_are_completed),
    };
    return cmocka_run_group_tests_name("write", tests, NULL, NULL);
}
