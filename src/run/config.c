#include "run/config.h"

#include <errno.h>

#include "base/file.h"
#include "base/schema.h"
#include "run/config_impl.h"

static const int default_steps[] = {5, 25, 100};
static const char *const no_strings[] = {NULL};

/* The struct that callers see is the first member: config_free() needs only its address. */
struct holder {
    struct config c;
    struct arena *a;
};

static const struct field top_fields[] = {
    {"metadata.name", FIELD_STRING, offsetof(struct config, name)},
    {"select.namespaces.include", FIELD_LIST, offsetof(struct config, ns_include)},
    {"select.namespaces.exclude", FIELD_LIST, offsetof(struct config, ns_exclude)},
    {"limits.reads", FIELD_U32, offsetof(struct config, reads)},
    {"limits.writes", FIELD_U32, offsetof(struct config, writes)},
    {"limits.watches", FIELD_U32, offsetof(struct config, watches)},
    {"follow.deletes.max", FIELD_U32, offsetof(struct config, delete_max)},
    {"follow.deletes.percent", FIELD_U32, offsetof(struct config, delete_percent)},
    {"limits.maxUnreadyPods", FIELD_U32, offsetof(struct config, max_unready_pods)},
    {"traffic.hold", FIELD_MS64, offsetof(struct config, hold_ms)},
    {"traffic.bake", FIELD_MS64, offsetof(struct config, bake_ms)},
    {"traffic.onAbort", FIELD_STRING, offsetof(struct config, on_abort)},
    {"gates.before", FIELD_LIST, offsetof(struct config, gates_before)},
    {"gates.approvers", FIELD_U32, offsetof(struct config, approvers)},
    {"gates.differ", FIELD_BOOL, offsetof(struct config, approvers_differ)},
    {"follow.maxLag", FIELD_MS64, offsetof(struct config, max_lag_ms)},
};

static struct config *config_new(struct arena *a) {
    struct holder *h = arena_new_of(a, struct holder);
    h->a = a;
    h->c = (struct config){
        .path = "",
        .dir = "",
        .name = "default",
        .journal = "./tandem.db",
        .ns_include = no_strings,
        .ns_exclude = no_strings,
        .storage_class_from = no_strings,
        .storage_class_to = no_strings,
        .reads = 2,
        .writes = 32,
        .watches = 256,
        .delete_max = 20,
        .delete_percent = 5,
        .max_unready_pods = 200,
        .steps = arena_array(a, int, COUNT_OF(default_steps)),
        .n_steps = COUNT_OF(default_steps),
        .hold_ms = 60 * 1000,
        .bake_ms = 24 * 3600 * 1000,
        .on_abort = "back",
        .gates_before = no_strings,
        .approvers = 1,
        .max_lag_ms = 10 * 1000,
    };
    memcpy(h->c.steps, default_steps, sizeof default_steps);
    return &h->c;
}

void config_free(struct config *c) {
    if (c)
        arena_free(((struct holder *)c)->a);
}

yyjson_val *config_schema(struct arena *a) {
    yyjson_val *v;
    struct err e;
    MUST(json_parse(a, config_schema_text, strlen(config_schema_text), &v, &e) == 0);
    return v;
}

/* --- sections --- */

/* "a:b" or a list, each made absolute against the file, as one colon-separated list again. */
static int read_kubeconfig(struct config_reader *rd, yyjson_mut_val *v, const char **ret) {
    AUTO_STRVEC parts = {0};
    AUTO_SB b = SB_INIT(1 << 16);
    size_t i, max;
    yyjson_mut_val *x;
    if (yyjson_mut_is_str(v))
        strvec_split(&parts, yyjson_mut_get_str(v), ':');
    yyjson_mut_arr_foreach (v, i, max, x) {
        strvec_add(&parts, yyjson_mut_get_str(x));
    }
    for (size_t k = 0; k < parts.n; k++)
        sb_fmt(&b, "%s%s", k ? ":" : "", file_resolve(rd->a, rd->dir, parts.v[k]));
    if (!b.len)
        return config_fail(rd, v, "no kubeconfig is named here");
    *ret = arena_strdup(rd->a, sb_get(&b));
    return 0;
}

static int read_cluster(struct config_reader *rd, yyjson_mut_val *v, struct config_cluster *c) {
    yyjson_mut_val *file = config_at(v, "kubeconfig"), *context = config_at(v, "context");
    if (!file && !context)
        return config_fail(rd, v, "needs a context, or a kubeconfig, or both");
    c->context = yyjson_mut_get_str(context);
    return file ? read_kubeconfig(rd, file, &c->kubeconfig) : 0;
}

static int read_clusters(struct config_reader *rd, yyjson_mut_val *root, struct config *c) {
    static const char *const slots[] = {"clusters.a", "clusters.b"};
    for (size_t i = 0; i < COUNT_OF(slots); i++) {
        int r = read_cluster(rd, config_at(root, slots[i]), &c->cluster[i]);
        if (r < 0)
            return err_ctx(rd->e, r, "%s", slots[i]);
    }
    if (str_eq(c->cluster[0].kubeconfig, c->cluster[1].kubeconfig) &&
        str_eq(c->cluster[0].context, c->cluster[1].context))
        return config_fail(rd, config_at(root, "clusters.b"),
                           "a and b are the same context of the same kubeconfig");
    return 0;
}

static int read_storage_classes(struct config_reader *rd, yyjson_mut_val *map, struct config *c) {
    size_t i, max, n = yyjson_mut_obj_size(map);
    yyjson_mut_val *k, *v;
    const char **from = arena_array(rd->a, const char *, n + 1);
    const char **to = arena_array(rd->a, const char *, n + 1);
    n = 0;
    yyjson_mut_obj_foreach (map, i, max, k, v) {
        if (yyjson_mut_is_null(v))
            return config_fail(rd, k, "no storage class is named for \"%.80s\"",
                               yyjson_mut_get_str(k));
        from[n] = yyjson_mut_get_str(k);
        to[n++] = yyjson_mut_get_str(v);
    }
    c->storage_class_from = from;
    c->storage_class_to = to;
    return 0;
}

static int read_steps(struct config_reader *rd, yyjson_mut_val *list, struct config *c) {
    if (!list)
        return 0;
    size_t i, max;
    yyjson_mut_val *x;
    int *steps = arena_array(rd->a, int, yyjson_mut_arr_size(list) + 1);
    size_t n = 0;
    yyjson_mut_arr_foreach (list, i, max, x) {
        int percent = (int)json_mut_int(x, 0);
        if (n && percent <= steps[n - 1])
            return config_fail(rd, x, "traffic.steps must rise: %d stands after %d", percent,
                               steps[n - 1]);
        steps[n++] = percent;
    }
    if (steps[n - 1] != 100)
        steps[n++] = 100;
    c->steps = steps;
    c->n_steps = n;
    return 0;
}

static int read_sections(struct config_reader *rd, yyjson_mut_val *root, struct config *c) {
    int r = config_fields(rd, root, top_fields, COUNT_OF(top_fields), c);
    if (r >= 0)
        r = config_journal(rd, config_at(root, "journal"), c);
    if (r >= 0)
        r = read_clusters(rd, root, c);
    if (r >= 0)
        r = read_storage_classes(rd, config_at(root, "storageClasses"), c);
    if (r >= 0)
        r = read_steps(rd, config_at(root, "traffic.steps"), c);
    if (r >= 0)
        r = config_rules(rd, config_at(root, "rules"), c);
    if (r >= 0)
        r = config_hazards(rd, config_at(root, "hazards"), c);
    if (r >= 0)
        r = config_tiers(rd, config_at(root, "traffic.tiers"), c);
    if (r >= 0)
        r = config_probes(rd, config_at(root, "probes"), c);
    if (r >= 0)
        r = config_smokes(rd, config_at(root, "smoke"), c);
    if (r >= 0)
        r = config_hooks(rd, config_at(root, "hooks"), c);
    if (r >= 0)
        r = config_notices(rd, config_at(root, "notices"), c);
    if (r >= 0)
        r = config_gates(rd, config_at(root, "gates"), c);
    return r;
}

static int load(struct arena *a, const char *path, struct config **ret, struct err *e) {
    struct yaml_doc *d = arena_new_of(a, struct yaml_doc);
    int r = yaml_load(a, path, true, d, e);
    if (r == -ENOENT)
        return err_set(e, r,
                       "%s: no such file. `tandem init` writes one; without a file give "
                       "--context-a and --context-b",
                       path);
    if (r < 0 || (r = schema_check(config_schema(a), d, e)) < 0)
        return r;
    struct config *c = config_new(a);
    c->path = arena_strdup(a, path);
    c->dir = file_dirname(a, path);
    c->journal = file_resolve(a, c->dir, "tandem.db");
    c->tell_clusters = c->mirror = true;
    struct config_reader rd = {a, d, c->dir, e};
    r = read_sections(&rd, d->root, c);
    if (r >= 0)
        *ret = c;
    return r;
}

int config_load(const char *path, struct config **ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    int r = load(a, path, ret, e);
    if (r < 0)
        return r;
    (void)TAKE(a); /* now the config's */
    return 0;
}

int config_default(const char *context_a, const char *context_b, struct config **ret,
                   struct err *e) {
    if (context_a && str_eq(context_a, context_b))
        return err_set(e, -EINVAL, "a and b are the same context: %s", context_a);
    struct arena *a = arena_new();
    struct config *c = config_new(a);
    c->cluster[0].context = arena_strdup(a, context_a);
    c->cluster[1].context = arena_strdup(a, context_b);
    *ret = c;
    return 0;
}
