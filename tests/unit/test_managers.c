/* Under whose name an object is written, and the list of owners that is put there. */
#include "lab.h"

#include "migrate/managers.h"

#define FIELDS(f) "'fieldsType':'FieldsV1','fieldsV1':{" f "}}"
#define BY(name, op, version, f)                                                                   \
    "{'manager':'" name "','operation':'" op "','apiVersion':'" version                            \
    "','time':'2026-01-02T03:04:05Z'," FIELDS(f)
#define SUB(name, sub, f)                                                                          \
    "{'manager':'" name "','operation':'Update','subresource':'" sub                               \
    "','apiVersion':'v1'," FIELDS(f)
#define UPD(name, f) BY(name, "Update", "v1", f)
#define APP(name, f) BY(name, "Apply", "v1", f)
#define DATA(keys)   "'f:data':{" keys "}"
#define CM(meta, data)                                                                             \
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','namespace':'n'" meta            \
    "},'data':{" data "}}"
#define REF(uid)  "{'apiVersion':'v1','kind':'Thing','name':'o','uid':'" uid "'}"
#define REFS(uid) ",'ownerReferences':[" REF(uid) "]"
#define REF_SET(uid)                                                                               \
    "'f:metadata':{'f:ownerReferences':{'.':{},'k:{\\\"uid\\\":\\\"" uid "\\\"}':{}}}"
#define PORT(n, more) "{'port':" n ",'protocol':'TCP'" more "}"
#define PORT_KEY(n)   "'k:{\\\"port\\\":" n ",\\\"protocol\\\":\\\"TCP\\\"}'"
#define SVC(ports)                                                                                 \
    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'x'},'spec':{'ports':[" ports "]}}"

enum flags { HELD = 1, ALWAYS = 2, NO_PATCH = 4, SOURCE_REFS = 8 };

/* What the source says of its managers, what is sent, and what comes of it. list NULL: none;
 * name NULL: ours. */
static const struct {
    const char *what, *managers, *sent;
    int flags;
    enum managers_way way;
    const char *name, *list;
} rows[] = {
    {"nobody", "", CM("", "'a':'1'"), 0, MANAGERS_OWN, NULL, NULL},
    {"a manager without a name", UPD("", DATA("'f:a':{}")), CM("", "'a':'1'"), 0, MANAGERS_OWN,
     NULL, NULL},
    {"one by updates", UPD("helm", DATA("'.':{},'f:a':{}")), CM("", "'a':'1'"), 0, MANAGERS_CREATE,
     "helm", NULL},
    {"one by updates, and subresources",
     UPD("helm", DATA("'f:a':{}")) "," SUB("kube-controller-manager", "status",
                                           "'f:status':{'f:x':{}}") "," SUB("kubectl", "scale",
                                                                            DATA("'f:a':{}")),
     CM("", "'a':'1'"), 0, MANAGERS_CREATE, "helm", NULL},
    {"one by updates in two versions",
     UPD("helm", DATA("'f:a':{}")) "," BY("helm", "Update", "v2", DATA("'f:b':{}")),
     CM("", "'a':'1','b':'2'"), 0, MANAGERS_CREATE, "helm", NULL},
    {"the second owns nothing that is sent",
     UPD("helm", DATA("'f:a':{}")) "," UPD("kcm", "'f:metadata':{'f:annotations':{'.':{},"
                                                  "'f:gone':{}}}"),
     CM("", "'a':'1'"), 0, MANAGERS_CREATE, "helm", "[" UPD("helm", DATA("'f:a':{}")) "]"},
    {"the second owns the map and nothing in it",
     UPD("helm", DATA("'f:a':{}")) "," UPD("kcm", "'f:metadata':{'f:annotations':{'.':{},"
                                                  "'f:gone':{}}}"),
     CM(",'annotations':{'k':'v'}", "'a':'1'"), 0, MANAGERS_CREATE, "helm",
     "[" UPD("helm", DATA("'f:a':{}")) "]"},
    {"but it owns the map when it is empty",
     UPD("helm", DATA("'f:a':{}")) "," UPD("kcm", "'f:binaryData':{'.':{}}"),
     "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'},'data':{'a':'1'},"
     "'binaryData':{}}",
     0, MANAGERS_RESTORE, "helm",
     "[" UPD("helm", DATA("'f:a':{}")) "," UPD("kcm", "'f:binaryData':{'.':{}}") "]"},
    {"two by updates", UPD("helm", DATA("'f:a':{}")) "," UPD("kubectl-edit", DATA("'f:b':{}")),
     CM("", "'a':'1','b':'2'"), 0, MANAGERS_RESTORE, "helm",
     "[" UPD("helm", DATA("'f:a':{}")) "," UPD("kubectl-edit", DATA("'f:b':{}")) "]"},
    {"none owns what is sent",
     UPD("helm", DATA("'f:x':{}")) "," UPD("kubectl-edit", DATA("'f:y':{}")), CM("", "'a':'1'"), 0,
     MANAGERS_CREATE, "helm", "[]"},
    {"one by apply that owns all", APP("argo", DATA("'f:a':{},'f:b':{}")),
     CM("", "'a':'1','b':'2'"), 0, MANAGERS_APPLY, "argo",
     "[" APP("argo", DATA("'f:a':{},'f:b':{}")) "]"},
    {"one by apply, and a status",
     APP("argo", DATA("'f:a':{}")) "," SUB("kcm", "status", "'f:status':{'f:x':{}}"),
     CM("", "'a':'1'"), 0, MANAGERS_APPLY, "argo", "[" APP("argo", DATA("'f:a':{}")) "]"},
    {"one by apply that does not own all", APP("argo", DATA("'f:a':{}")), CM("", "'a':'1','b':'2'"),
     0, MANAGERS_RESTORE, "argo", "[" APP("argo", DATA("'f:a':{}")) "]"},
    {"one by apply that does not own a label", APP("argo", DATA("'f:a':{}")),
     CM(",'labels':{'l':'v'}", "'a':'1'"), 0, MANAGERS_RESTORE, "argo",
     "[" APP("argo", DATA("'f:a':{}")) "]"},
    {"one by apply in another version", BY("argo", "Apply", "v1beta1", DATA("'f:a':{}")),
     CM("", "'a':'1'"), 0, MANAGERS_RESTORE, "argo", "[" APP("argo", DATA("'f:a':{}")) "]"},
    {"what it owned is not sent", APP("argo", DATA("'f:a':{},'f:gone':{}")), CM("", "'a':'1'"), 0,
     MANAGERS_APPLY, "argo", "[" APP("argo", DATA("'f:a':{}")) "]"},
    {"apply and updates", APP("argo", DATA("'f:a':{}")) "," UPD("kubectl", DATA("'f:a':{}")),
     CM("", "'a':'1'"), 0, MANAGERS_RESTORE, "argo",
     "[" APP("argo", DATA("'f:a':{}")) "," UPD("kubectl", DATA("'f:a':{}")) "]"},
    {"the scale that was set stays with who set it",
     APP("argo", DATA("'f:a':{}")) "," SUB("kubectl", "scale", DATA("'f:b':{}")),
     CM("", "'a':'1','b':'2'"), 0, MANAGERS_RESTORE, "argo",
     "[" APP("argo", DATA("'f:a':{}")) "," SUB("kubectl", "scale", DATA("'f:b':{}")) "]"},
    {"elements by key",
     APP("argo",
         "'f:spec':{'f:ports':{'.':{}," PORT_KEY("80") ":{'.':{},'f:port':{},"
                                                       "'f:protocol':{},'f:nodePort':{}}," PORT_KEY(
                                                           "81") ":{'.':{},'f:port':{}}}}"),
     SVC(PORT("80", "")), 0, MANAGERS_APPLY, "argo",
     "[" APP("argo", "'f:spec':{'f:ports':{'.':{}," PORT_KEY("80") ":{'.':{},'f:port':{},"
                                                                   "'f:protocol':{}}}}") "]"},
    {"an element that nobody owns",
     APP("argo", "'f:spec':{'f:ports':{'.':{}," PORT_KEY("80") ":{'.':{},'f:port':{},"
                                                               "'f:protocol':{}}}}"),
     SVC(PORT("80", "") "," PORT("81", "")), 0, MANAGERS_RESTORE, "argo",
     "[" APP("argo", "'f:spec':{'f:ports':{'.':{}," PORT_KEY("80") ":{'.':{},'f:port':{},"
                                                                   "'f:protocol':{}}}}") "]"},
    {"elements by value",
     APP("argo", "'f:spec':{'f:list':{'v:\\\"x\\\"':{},'v:\\\"gone\\\"':{},'v:3':{}}}"),
     "{'apiVersion':'v1','kind':'T','metadata':{'name':'x'},'spec':{'list':['x',3]}}", 0,
     MANAGERS_APPLY, "argo",
     "[" APP("argo", "'f:spec':{'f:list':{'v:\\\"x\\\"':{},'v:3':{}}}") "]"},
    {"an owner gets the uid that is sent", APP("argo", REF_SET("old") "," DATA("'f:a':{}")),
     CM(REFS("new"), "'a':'1'"), SOURCE_REFS, MANAGERS_APPLY, "argo",
     "[" APP("argo", REF_SET("new") "," DATA("'f:a':{}")) "]"},
    {"a version that is served and not written keeps its paths",
     UPD("helm", DATA("'f:a':{}")) "," BY("old", "Update", "v1alpha1",
                                          "'f:metadata':{'f:labels':{'f:gone':{}}},"
                                          "'f:other':{'f:y':{}},'f:status':{'f:z':{}}"),
     CM("", "'a':'1'"), 0, MANAGERS_RESTORE, "helm",
     "[" UPD("helm", DATA("'f:a':{}")) "," BY("old", "Update", "v1alpha1",
                                              "'f:other':{'f:y':{}}") "]"},
    {"held", UPD("helm", DATA("'f:a':{}")), CM("", "'a':'1'"), HELD, MANAGERS_RESTORE, "helm",
     "[" UPD("helm", DATA("'f:a':{}")) ",HOLD]"},
    {"held, and nobody is known", "", CM("", "'a':'1'"), HELD, MANAGERS_OWN, NULL, NULL},
    {"held in the source too: that hold is not handed on",
     UPD("helm", DATA("'f:a':{}")) "," UPD("tandem", "'f:metadata':{'f:annotations':{"
                                                     "'f:tandem.dev/held':{}}},"
                                                     "'f:spec':{'f:suspend':{}}"),
     CM("", "'a':'1'"), 0, MANAGERS_CREATE, "helm", NULL},
    {"an update has its list", UPD("helm", DATA("'f:a':{}")), CM("", "'a':'1'"), ALWAYS,
     MANAGERS_CREATE, "helm", "[" UPD("helm", DATA("'f:a':{}")) "]"},
    {"a kind without patch", UPD("helm", DATA("'f:a':{}")) "," APP("argo", DATA("'f:b':{}")),
     CM("", "'a':'1','b':'2'"), NO_PATCH, MANAGERS_CREATE, "helm", NULL},
    {"a kind without patch, by apply", APP("argo", DATA("'f:a':{}")), CM("", "'a':'1'"), NO_PATCH,
     MANAGERS_CREATE, "argo", NULL},
};

static bool served(void *ctx, const char *api_version) {
    assert_ptr_equal(ctx, rows);
    return str_eq(api_version, "v1") || str_eq(api_version, "v1alpha1");
}

static yyjson_val *source(struct arena *a, const char *managers, bool refs) {
    return lab_json(a, arena_printf(a, "{'metadata':{'managedFields':[%s]%s}}", managers,
                                    refs ? REFS("old") : ""));
}

/* The text of the list with our hold, whose time is now, as the word HOLD. */
static const char *without_hold(struct arena *a, const char *list) {
    const char *hold = list ? strstr(list, ",{\"manager\":\"tandem\"") : NULL;
    if (!hold)
        return list;
    static const char tail[] = "\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{"
                               "\"f:tandem.dev/held\":{}}},\"f:spec\":{\"f:suspend\":{}}}}]";
    assert_true(str_ends(hold, tail));
    return arena_printf(a, "%.*s,\"HOLD\"]", (int)(hold - list), list);
}

static void decisions(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        struct managers m;
        yyjson_mut_doc *d = json_doc(a);
        int f = rows[i].flags;
        managers_decide(
            a,
            &(struct managers_ask){.source = source(a, rows[i].managers, f & SOURCE_REFS),
                                   .sent = yyjson_val_mut_copy(d, lab_json(a, rows[i].sent)),
                                   .api_version = "v1",
                                   .held = f & HELD ? "/spec/suspend" : NULL,
                                   .always_list = f & ALWAYS,
                                   .can_patch = !(f & NO_PATCH),
                                   .served = served,
                                   .ctx = (void *)(uintptr_t)rows},
            &m);
        if (m.way != rows[i].way || !str_eq(m.name, rows[i].name))
            fail_msg("%s: way %d by %s", rows[i].what, (int)m.way, m.name ? m.name : "us");
        if (!m.list != !rows[i].list)
            fail_msg("%s: list %s", rows[i].what, m.list ? m.list : "none");
        if (!m.list)
            continue;
        yyjson_val *got;
        const char *text = without_hold(a, m.list);
        assert_true(json_parse(a, text, strlen(text), &got, NULL) >= 0);
        const char *want = rows[i].list, *hold = strstr(want, ",HOLD]");
        if (hold)
            want = arena_printf(a, "%.*s,'HOLD']", (int)(hold - want), want);
        if (!str_eq(lab_text(a, got), lab_text(a, lab_json(a, want))))
            fail_msg("%s: %s", rows[i].what, m.list);
    }
}

#define HOLD_SET      "'f:metadata':{'f:annotations':{'f:tandem.dev/held':{}}},'f:spec':{'f:suspend':{}}"
#define OBJ(managers) "{'metadata':{'resourceVersion':'7','managedFields':[" managers "]}}"

static const struct {
    const char *source, *live;
    bool open, differ;
} ends[] = {
    {OBJ(UPD("helm", DATA("'f:a':{}"))), OBJ(UPD("tandem", DATA("'f:a':{}"))), true, true},
    {OBJ(UPD("helm", DATA("'f:a':{}"))), OBJ(UPD("helm", DATA("'f:a':{}"))), false, false},
    {OBJ(UPD("helm", DATA("'f:a':{}"))), OBJ(UPD("tandem", HOLD_SET)), false, false},
    {OBJ(UPD("helm", DATA("'f:a':{}"))), OBJ(UPD("tandem", "'f:spec':{'f:suspend':{}}")), true,
     true},
    {OBJ(UPD("helm", DATA("'f:a':{}"))), OBJ(APP("tandem", DATA("'f:a':{}"))), false, false},
    {OBJ(UPD("helm", DATA("'f:a':{}"))), OBJ(SUB("tandem", "status", "'f:status':{'f:x':{}}")),
     false, false},
    /* Right there: the source says nothing, or says the same. */
    {OBJ(""), OBJ(UPD("tandem", DATA("'f:a':{}"))), true, false},
    {OBJ(UPD("tandem", DATA("'f:a':{}")) "," UPD("helm", DATA("'f:b':{}"))),
     OBJ(UPD("tandem", DATA("'f:a':{}"))), true, false},
    {OBJ(UPD("tandem", HOLD_SET)), OBJ(UPD("tandem", DATA("'f:a':{}"))), true, false},
};

static void cut_short(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        AUTO_ARENA a = arena_new();
        yyjson_val *src = lab_json(a, ends[i].source), *live = lab_json(a, ends[i].live);
        if (managers_left_open(live) != ends[i].open ||
            managers_differ(src, live) != ends[i].differ)
            fail_msg("row %zu: %s", i, ends[i].live);
    }
}

static void same_text(struct arena *a, const char *got, const char *want) {
    yyjson_val *v;
    assert_true(json_parse(a, got, strlen(got), &v, NULL) >= 0);
    assert_string_equal(lab_text(a, v), lab_text(a, lab_json(a, want)));
}

static void patches(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    size_t n;
    const char *list = lab_text(a, lab_json(a, "[" UPD("helm", DATA("'f:a':{}")) "]"));
    yyjson_val *live =
        lab_json(a, OBJ(UPD("tandem", DATA("'f:a':{}")) "," UPD("kcm", DATA("'f:c':{}")) "," UPD(
                        "helm", DATA("'f:old':{}"))));
    same_text(a, managers_patch(a, live, list, &n),
              OBJ(UPD("helm", DATA("'f:a':{}")) "," UPD("kcm", DATA("'f:c':{}"))));
}

static void handing_over(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    size_t n;
    yyjson_val *loose = lab_json(a, OBJ(UPD("helm", "'f:spec':{'f:suspend':{}}")));
    yyjson_val *taken =
        lab_json(a, OBJ(UPD("tandem", HOLD_SET) "," SUB("kcm", "status", "'f:status':{}")));
    same_text(a, managers_hand_over(a, loose, taken, true, &n),
              OBJ(UPD("helm", "'f:spec':{'f:suspend':{}}") "," SUB(
                  "kcm", "status", "'f:status':{}") "," UPD("tandem", HOLD_SET)));
    yyjson_val *held =
        lab_json(a, OBJ(UPD("helm", "'f:spec':{'f:suspend':{}}") "," UPD("tandem", HOLD_SET)));
    yyjson_val *let = lab_json(a, OBJ(UPD("tandem", "'f:spec':{'f:suspend':{}}")));
    same_text(a, managers_hand_over(a, held, let, false, &n),
              OBJ(UPD("helm", "'f:spec':{'f:suspend':{}}")));
    assert_null(managers_hand_over(a, lab_json(a, OBJ("")), let, false, &n));
}

static void yaml(void **state UNUSED) {
    static const struct {
        const char *text;
        bool safe;
    } texts[] = {
        {"{\"a\":\"plain, \\n \\u0001 <<: & *\"}", true},
        {"{\"a\":\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"}", true},
        {"{\"a\":123456789012345}", true},
        {"{\"a\":1234567890123456}", false},
        {"{\"a\":\"\x7f\"}", false},
        {"{\"a\":\"\xc2\x85\"}", false},
        {"{\"a\":\"\xc2\xa0\"}", true},
        {"{\"a\":\"\xe2\x80\xa8\"}", false},
        {"{\"a\":\"\xe2\x80\xa9\"}", false},
        {"{\"a\":\"\xe2\x80\xa6\"}", true},
        {"{\"a\":\"\xef\xbb\xbf\"}", false},
        {"{\"a\":\"\xef\xbf\xbf\"}", false},
        {"{\"a\":\"\xef\xbf\xbd\"}", true},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (managers_yaml_safe(texts[i].text, strlen(texts[i].text)) != texts[i].safe)
            fail_msg("%s", texts[i].text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),    cmocka_unit_test(cut_short), cmocka_unit_test(patches),
        cmocka_unit_test(handing_over), cmocka_unit_test(yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
