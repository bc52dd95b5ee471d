/* Objects that no one here wrote: every kind of the Kubernetes API with every field filled, and
 * live exports with what another tool (crane) made of them. Absent data is a skipped test. */
#include "lab.h"

#include <glob.h>

#include "base/file.h"
#include "base/yaml.h"
#include "migrate/rules.h"
#include "migrate/world_impl.h"

static yyjson_val *load_json(struct arena *a, const char *path) {
    char *text;
    size_t n;
    yyjson_val *v = NULL;
    struct err e = {0};
    if (file_read(a, path, 16 << 20, &text, &n, &e) < 0 || json_parse(a, text, n, &v, &e) < 0)
        fail_msg("%s: %s", path, err_msg(&e));
    return v;
}

static yyjson_val *load_yaml(struct arena *a, const char *path) {
    struct yaml_doc d;
    struct err e = {0};
    yyjson_val *v = NULL;
    size_t n;
    if (yaml_load(a, path, false, &d, &e) < 0)
        fail_msg("%s", err_msg(&e));
    const char *text = json_mut_write(a, d.root, &n);
    assert_int_equal(json_parse(a, text, n, &v, &e), 0);
    return v;
}

/* --- every kind: what no row names is kept --- */

/* Paths of leaves (and of empty maps and lists) with their values. */
static void flatten(struct arena *a, struct map *m, struct sb *path, yyjson_val *v) {
    size_t i, max, mark = path->len;
    yyjson_val *key, *x;
    json_obj_foreach (v, i, max, key, x) {
        json_pointer_add(path, yyjson_get_str(key));
        flatten(a, m, path, x);
        path->len = mark;
    }
    yyjson_arr_foreach (v, i, max, x) {
        sb_fmt(path, "/%zu", i);
        flatten(a, m, path, x);
        path->len = mark;
    }
    if (!yyjson_is_ctn(v) || yyjson_get_len(v) == 0)
        map_put(m, arena_strndup(a, sb_get(path), mark), (void *)(uintptr_t)lab_text(a, v));
}

static struct map *leaves(struct arena *a, yyjson_val *v) {
    struct map *m = map_new();
    AUTO_SB path = SB_INIT(0);
    sb_str(&path, "");
    flatten(a, m, &path, v);
    return m;
}

/* Does the row's path lead to the leaf or to something around it? */
static bool reaches(const char *pattern, const char *path) {
    while (*pattern) {
        size_t n = 1 + strcspn(pattern + 1, "/"), m = *path ? 1 + strcspn(path + 1, "/") : 0;
        bool star = n == 2 && pattern[1] == '*';
        if (!m || (!star && (n != m || memcmp(pattern, path, n) != 0)))
            return false;
        pattern += n;
        path += m;
    }
    return true;
}

/* What a row may leave as it is. */
static bool conditional(const struct policy_row *r) {
    return r->when || (r->rewrite && !str_eq(r->path, "/metadata/ownerReferences"));
}

/* Does a row drop or rewrite the leaf? always: whatever the object holds besides. */
static bool row_names(const struct kube_resource *r, const char *path, bool always) {
    size_t n;
    const struct policy_row *rows = policy_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (policy_matches(&rows[i], r) && reaches(rows[i].path, path) &&
            (!always || !conditional(&rows[i])))
            return true;
    return false;
}

static bool row_rewrites(const struct kube_resource *r, const char *path) {
    size_t n;
    const struct policy_row *rows = policy_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (rows[i].fate == FIELD_REWRITE && policy_matches(&rows[i], r) &&
            reaches(rows[i].path, path))
            return true;
    return false;
}

/* What is taken out of, or changed in, an object with every field filled, beyond the metadata and
 * the status that every kind has. A new row of the policy has to be named here too: on purpose, not
 * by accident. */
static const char *const taken_out[] = {
    "Namespace /spec/finalizers/0",
    "PersistentVolume /spec/claimRef/resourceVersion",
    "PersistentVolume /spec/claimRef/uid",
    "PersistentVolume /spec/persistentVolumeReclaimPolicy",
    "PersistentVolumeClaim /spec/volumeName",
    "Service /spec/clusterIP",
    "Service /spec/clusterIPs/0",
    "Service /spec/healthCheckNodePort",
    "Service /spec/ipFamilies/0",
    "Service /spec/ports/0/nodePort",
    "Pod /spec/ephemeralContainers/0/*",
    "Pod /spec/nodeName",
    "Pod /spec/priority",
    "ClusterRole /rules/0/*",
    "StatefulSet /spec/volumeClaimTemplates/0/status/*",
};

static const char *const of_all[] = {
    "/metadata/uid",          "/metadata/resourceVersion",   "/metadata/generation",
    "/metadata/selfLink",     "/metadata/creationTimestamp", "/metadata/deletionTimestamp",
    "/metadata/generateName", "/metadata/managedFields/*",   "/metadata/deletionGracePeriodSeconds",
    "/metadata/finalizers/*", "/metadata/ownerReferences/*", "/status*",
};

static bool expected(const char *kind, const char *path, bool seen[COUNT_OF(taken_out)]) {
    for (size_t i = 0; i < COUNT_OF(of_all); i++)
        if (str_glob(of_all[i], path))
            return true;
    AUTO_ARENA a = arena_new();
    const char *line = arena_printf(a, "%s %s", kind, path);
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(taken_out); i++)
        if (str_glob(taken_out[i], line))
            found = seen[i] = true;
    return found;
}

static void every_field(yyjson_val *body, bool seen[COUNT_OF(taken_out)]) {
    AUTO_ARENA a = arena_new();
    struct kind *k = lab_kind(a, body);
    yyjson_mut_val *root = scrub_object(json_doc(a), k, body, SCRUB_SOURCE, NULL, NULL, NULL);
    size_t n;
    const char *text = json_mut_write(a, root, &n);
    yyjson_val *out;
    assert_int_equal(json_parse(a, text, n, &out, NULL), 0);
    AUTO_MAP before = leaves(a, body);
    AUTO_MAP after = leaves(a, out);
    for (size_t i = 0; i < map_len(before); i++) {
        const char *path = map_key(before, i), *now = map_get(after, path);
        if (now && str_eq(now, map_value(before, i)))
            continue;
        if (now ? !row_rewrites(k->src, path) : !row_names(k->src, path, false))
            fail_msg("%s %s: %s became %s, and no row says so", k->src->kind, path,
                     (const char *)map_value(before, i), now ? now : "nothing");
        if (!expected(k->src->kind, path, seen))
            fail_msg("%s %s is %s; is that meant? Then say so in this test", k->src->kind, path,
                     now ? "changed" : "taken out");
    }
    for (size_t i = 0; i < map_len(after); i++) {
        const char *path = map_key(after, i), *value = map_value(after, i);
        bool emptied = str_eq(value, "{}") || str_eq(value, "[]");
        if (!emptied && !map_has(before, path))
            fail_msg("%s %s was added", k->src->kind, path);
    }
}

static void every_kind(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const char *folder = lab_corpora(a, "every-kind");
    if (!folder)
        skip();
    glob_t g;
    size_t n = 0;
    bool seen[COUNT_OF(taken_out)] = {false};
    assert_int_equal(glob(arena_printf(a, "%s/*/*.json", folder), 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        AUTO_ARENA b = arena_new();
        yyjson_val *body = load_json(b, g.gl_pathv[i]);
        if (!yyjson_is_obj(json_get(body, "metadata")))
            continue; /* options and reviews: no objects */
        every_field(body, seen);
        n++;
    }
    globfree(&g);
    print_message("%zu kinds with every field filled\n", n);
    assert_true(n > 200);
    for (size_t i = 0; i < COUNT_OF(taken_out); i++)
        if (!seen[i])
            fail_msg("%s: nothing of that is taken out", taken_out[i]);
}

/* --- every field has a row, and every row that keeps something has a field --- */

/* Of the API, but never stored: nothing that could be listed and recreated. */
static const char *const acts[] = {
    "APIGroupDiscovery",
    "Binding",
    "ComponentStatus",
    "DeploymentRollback",
    "Eviction",
    "ImageReview",
    "LocalSubjectAccessReview",
    "RangeAllocation",
    "Scale",
    "SelfSubjectAccessReview",
    "SelfSubjectReview",
    "SelfSubjectRulesReview",
    "Status",
    "SubjectAccessReview",
    "TokenRequest",
    "TokenReview",
};

static bool is_act(const char *kind) {
    for (size_t i = 0; i < COUNT_OF(acts); i++)
        if (str_eq(acts[i], kind))
            return true;
    return false;
}

enum { KEEP_MAX = 512 };

/* Rows of policy_keep_rows() that cover a field which nothing else takes. */
static void cover(yyjson_val *body, bool used[KEEP_MAX]) {
    AUTO_ARENA a = arena_new();
    struct kind *k = lab_kind(a, body);
    if (is_act(k->src->kind) || rules_skip_kind(k->src))
        return;
    const struct policy_row *first = policy_keep_rows(&(size_t){0});
    AUTO_MAP all = leaves(a, body);
    for (size_t i = 0; i < map_len(all); i++) {
        const char *path = map_key(all, i);
        if (row_names(k->src, path, true))
            continue;
        const struct policy_row *row = policy_kept_by(k->src, path);
        if (!row)
            fail_msg("%s %s %s: no row says what becomes of it", k->src->group, k->src->kind, path);
        used[row - first] = true;
    }
}

/* What the corpus does not hold: kinds of API groups that come with a CRD or an add-on. */
static const char *const others[] = {
    "{'apiVersion':'example.com/v1','kind':'Widget','metadata':{'name':'w'},'spec':{'a':1}}",
    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','annotations':{"
    "'kubectl.kubernetes.io/last-applied-configuration':'{}'}}}",
    "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{"
    "'name':'c'},'spec':{'group':'x.io','conversion':{'webhook':{'clientConfig':{'caBundle':"
    "'eA=='}}}}}",
    "{'apiVersion':'apiregistration.k8s.io/v1','kind':'APIService','metadata':{'name':'c'},"
    "'spec':{'group':'x.io','caBundle':'eA=='}}",
};

static void cover_corpus(struct arena *a, const char *folder, bool used[KEEP_MAX]) {
    glob_t g;
    assert_int_equal(glob(arena_printf(a, "%s/*/*.json", folder), 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        AUTO_ARENA b = arena_new();
        yyjson_val *body = load_json(b, g.gl_pathv[i]);
        if (yyjson_is_obj(json_get(body, "metadata")))
            cover(body, used);
    }
    globfree(&g);
}

static void every_field_has_a_row(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const char *folder = lab_corpora(a, "every-kind");
    if (!folder)
        skip();
    bool used[KEEP_MAX] = {false};
    size_t n;
    const struct policy_row *rows = policy_keep_rows(&n);
    assert_in_range(n, 1, KEEP_MAX);
    cover_corpus(a, folder, used);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        cover(lab_json(a, others[i]), used);
    for (size_t i = 0; i < n; i++)
        if (!used[i])
            fail_msg("row %zu (%s %s %s) keeps no field of any object", i, rows[i].group,
                     rows[i].kind ? rows[i].kind : "any kind", rows[i].path);
    print_message("%zu rows keep what every kind holds\n", n);
}

/* A field that no row covers is found: of a kind whose fields stand one by one. */
static void a_new_field_is_noticed(void **state UNUSED) {
    static const struct {
        const char *api, *kind, *path;
        bool covered;
    } cases[] = {
        {"v1", "Service", "/spec/newField", false},
        {"v1", "Service", "/spec/typeX", false},
        {"v1", "Service", "/spec", false},
        {"v1", "Service", "/spec/ports", true},
        {"v1", "Service", "/spec/ports/0/nodePort", true},
        {"v1", "Pod", "/spec/newField/a", false},
        {"v1", "Pod", "/newField", false},
        {"v1", "Pod", "/metadata/newField", false},
        {"batch/v1", "Job", "/spec/newField", false},
        {"batch/v1", "Job", "/spec/template/spec/newField", true},
        {"apps/v1", "Deployment", "/spec/newField", false},
        {"networking.k8s.io/v1", "Ingress", "/spec/newField", true},
        {"networking.k8s.io/v1", "NewKind", "/spec/a", false},
        {"example.com/v1", "NewKind", "/spec/a", true},
    };
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct kube_resource *r = lab_resource(a, cases[i].api, cases[i].kind);
        if ((policy_kept_by(r, cases[i].path) != NULL) != cases[i].covered)
            fail_msg("%s %s: wanted %s", cases[i].kind, cases[i].path,
                     cases[i].covered ? "a row" : "no row");
    }
}

static void keep_rows_say_why(void **state UNUSED) {
    size_t n;
    const struct policy_row *rows = policy_keep_rows(&n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].fate, FIELD_KEEP);
        assert_null(rows[i].when);
        assert_false(str_empty(rows[i].why));
        assert_int_equal(rows[i].path[0], '/');
    }
}

/* --- live exports, and a second opinion --- */

/* Where our verdict differs from crane's. Patterns; reason: why ours is the better one. */
static const struct {
    const char *suite, *object;
    bool goes_over; /* ours; crane's is the opposite */
    const char *reason;
} verdicts[] = {
    {"*redis", "PersistentVolumeClaim redis/redis-data", true,
     "crane hands claims to another command of its own (transfer-pvc); without the claim the "
     "Deployment that mounts it stays Pending, and that the new one is empty is said by H30"},
};

/* Where the bodies differ, when both let the object go over. */
static const struct {
    const char *suite, *kind, *path;
    const char *reason;
} fields[] = {
    {"*", "Service", "/spec/ipFamilies",
     "follows the address families of the destination, which need not be those of the source"},
    {"golden-manifests-ocp/*", "Service", "/spec/ipFamilyPolicy",
     "the export does not hold it either: crane's expectation comes from another cluster"},
    {"*", "Deployment", "/spec/template/metadata/creationTimestamp",
     "an unset time; servers from 1.34 on do not print it, and it would show as a difference"},
    {"*", "Route", "/metadata/annotations",
     "says that the host name was made; the destination makes its own and says so itself"},
    {"*", "Deployment", "/metadata/annotations",
     "the revision counts roll-outs in one cluster; its controller overwrites what it finds"},
};

struct suite {
    const char *name, *folder;
    struct arena *a;
    struct world_side side;
    char **files; /* of side.items */
};

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void read_suite(struct suite *s, glob_t *g) {
    assert_int_equal(
        glob(arena_printf(s->a, "%s/export/resources/*/*.yaml", s->folder), 0, NULL, g), 0);
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < g->gl_pathc; i++)
        yyjson_mut_arr_append(list, yyjson_val_mut_copy(d, load_yaml(s->a, g->gl_pathv[i])));
    yyjson_val *v;
    size_t n;
    const char *text = json_mut_write(s->a, list, &n);
    assert_int_equal(json_parse(s->a, text, n, &v, NULL), 0);
    s->side = lab_side(s->a, v);
    s->files = g->gl_pathv;
}

static const char *cranes_file(const struct suite *s, const char *ns, const char *file) {
    const char *path =
        arena_printf(s->a, "%s/output/resources/%s/%s", s->folder, ns, base_name(file));
    return file_exists(path) ? path : NULL;
}

static void judge_verdict(const struct suite *s, const struct object *o, bool crane,
                          bool used[COUNT_OF(verdicts)]) {
    bool ours = o->verdict == V_CREATE || o->verdict == V_HOLD;
    const char *title = object_title(s->a, o);
    if (ours == crane)
        return;
    print_message("%s: %s: %s by %s (%s); crane %s it\n", s->name, title, verdict_name(o->verdict),
                  o->rule, o->why, crane ? "keeps" : "drops");
    for (size_t i = 0; i < COUNT_OF(verdicts); i++) {
        if (!str_glob(verdicts[i].suite, s->name) || !str_glob(verdicts[i].object, title) ||
            verdicts[i].goes_over != ours)
            continue;
        used[i] = true;
        return;
    }
    fail_msg("crane decides otherwise, and no line says why we are right");
}

static void judge_field(const struct suite *s, const struct object *o, const struct change *c,
                        bool used[COUNT_OF(fields)]) {
    print_message("%s: %s %s: %s; crane: %s\n", s->name, object_title(s->a, o), c->path,
                  c->src ? c->src : "-", c->dst ? c->dst : "-");
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (!str_glob(fields[i].suite, s->name) || !str_eq(fields[i].kind, o->kind->src->kind) ||
            !str_eq(fields[i].path, c->path))
            continue;
        used[i] = true;
        return;
    }
    fail_msg("crane's body is another, and no line says why ours is right");
}

struct used {
    bool verdict[COUNT_OF(verdicts)], field[COUNT_OF(fields)];
};

/* Whether crane keeps the object. */
static bool judge_object(struct suite *s, struct world *w, size_t i, struct used *used) {
    const struct world_item *x = &s->side.items[i];
    struct object *o = lab_find(w, x->body);
    const char *file = cranes_file(s, o->ns, s->files[i]);
    judge_verdict(s, o, file != NULL, used->verdict);
    if (!file || (o->verdict != V_CREATE && o->verdict != V_HOLD))
        return file != NULL;
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *ours;
    struct err e = {0};
    assert_int_equal(world_body(w, o, x->body, d, s->a, &ours, NULL, &e), 0);
    /* compared as something that is no Secret, so that a difference can be read */
    struct kind plain = *o->kind;
    struct object copy = {.kind = &plain, .ns = o->ns, .name = o->name};
    compare_trees(&copy, s->a, ours, yyjson_val_mut_copy(d, load_yaml(s->a, file)));
    for (struct change *c = copy.changes; c; c = c->next)
        judge_field(s, o, c, used->field);
    return true;
}

/* Nothing that crane keeps was left unlooked at. */
static void judge_all(struct suite *s, struct world *w, struct used *used) {
    glob_t out;
    size_t kept = 0;
    assert_int_equal(
        glob(arena_printf(s->a, "%s/output/resources/*/*.yaml", s->folder), 0, NULL, &out), 0);
    for (size_t i = 0; i < s->side.n; i++)
        kept += judge_object(s, w, i, used);
    assert_int_equal(kept, out.gl_pathc);
    print_message("%s: %zu objects, of which crane keeps %zu\n", s->name, s->side.n, kept);
    globfree(&out);
}

static void run_suite(const char *folder, const char *name, struct used *used) {
    AUTO_ARENA a = arena_new();
    struct suite s = {.name = name, .folder = folder, .a = a};
    glob_t g;
    read_suite(&s, &g);
    struct world_side empty = {.n_serves = s.side.n};
    const struct kube_resource **serves =
        arena_array(a, const struct kube_resource *, s.side.n + 1);
    for (size_t i = 0; i < s.side.n; i++)
        serves[i] = s.side.items[i].resource;
    empty.serves = serves;
    struct world *w = NULL;
    struct err e = {0};
    if (world_offline(&(struct world_opts){0}, &s.side, &empty, &w, &e) < 0)
        fail_msg("%s: %s", name, err_msg(&e));
    assert_int_equal(world_count(w), s.side.n);
    judge_all(&s, w, used);
    world_free(w);
    globfree(&g);
}

static void exports(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    const char *folder = lab_corpora(a, "crane-golden");
    if (!folder)
        skip();
    struct used used = {0};
    glob_t g;
    assert_int_equal(glob(arena_printf(a, "%s/*/*/export", folder), 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char *suite = file_dirname(a, g.gl_pathv[i]);
        run_suite(suite, suite + strlen(folder) + 1, &used);
    }
    globfree(&g);
    for (size_t i = 0; i < COUNT_OF(verdicts); i++)
        if (!used.verdict[i])
            fail_msg("%s: crane decides like us now; drop the line", verdicts[i].object);
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (!used.field[i])
            fail_msg("%s %s: crane's is like ours now; drop the line", fields[i].kind,
                     fields[i].path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(every_field_has_a_row),
        cmocka_unit_test(a_new_field_is_noticed),
        cmocka_unit_test(keep_rows_say_why),
        cmocka_unit_test(exports),
    };
    return cmocka_run_group_tests_name("corpora", tests, NULL, NULL);
}
