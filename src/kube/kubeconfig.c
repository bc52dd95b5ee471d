#include "kube/kubeconfig_impl.h"

#include <errno.h>
#include <stdarg.h>

#include "base/file.h"
#include "base/map.h"

enum section { CLUSTERS, USERS, CONTEXTS, SECTIONS };

static const struct {
    const char *list, *member;
} sections[SECTIONS] = {
    [CLUSTERS] = {"clusters", "cluster"},
    [USERS] = {"users", "user"},
    [CONTEXTS] = {"contexts", "context"},
};

struct kubeconfig {
    struct arena *a;
    struct map *entries[SECTIONS]; /* name -> struct kc_entry */
    struct kube_context *contexts;
    const char *current, *paths;
};

/* --- errors and typed reads --- */

static int at_error(struct err *e, int code, const struct yaml_doc *d, const yyjson_mut_val *at,
                    const char *msg) {
    struct yaml_mark m = at ? yaml_where(d, at) : (struct yaml_mark){0};
    if (!m.line)
        return err_set(e, code, "%s: %s", d->file, msg);
    return err_set(e, code, "%s:%u:%u: %s", d->file, m.line, m.column, msg);
}

int kc_error(struct err *e, int code, const struct kc_entry *en, const yyjson_mut_val *at,
             const char *fmt, ...) {
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return at_error(e, code, en->doc, at ? at : en->v, msg);
}

const char *kc_str(struct kc_view *v, const char *key) {
    yyjson_mut_val *val = v->obj ? yyjson_mut_obj_get(v->obj, key) : NULL;
    if (v->r < 0 || !val || yyjson_mut_is_null(val))
        return NULL;
    if (!yyjson_mut_is_str(val)) {
        v->r = kc_error(v->e, -EINVAL, v->en, val, "%s must be a string (put it in quotes)", key);
        return NULL;
    }
    return yyjson_mut_get_len(val) ? arena_strdup(v->a, yyjson_mut_get_str(val)) : NULL;
}

const char *kc_path(struct kc_view *v, const char *key) {
    const char *s = kc_str(v, key);
    return s ? file_resolve(v->a, v->en->dir, s) : NULL;
}

bool kc_bool(struct kc_view *v, const char *key) {
    yyjson_mut_val *val = v->obj ? yyjson_mut_obj_get(v->obj, key) : NULL;
    if (v->r < 0 || !val || yyjson_mut_is_null(val))
        return false;
    if (!yyjson_mut_is_bool(val))
        v->r = kc_error(v->e, -EINVAL, v->en, val, "%s must be true or false", key);
    return yyjson_mut_get_bool(val);
}

/* --- one file --- */

static int add_entry(struct kubeconfig *k, enum section s, const struct yaml_doc *d,
                     const char *dir, yyjson_mut_val *item, struct err *e) {
    yyjson_mut_val *name = yyjson_mut_obj_get(item, "name");
    yyjson_mut_val *v = yyjson_mut_obj_get(item, sections[s].member);
    char msg[256];
    if (!yyjson_mut_is_str(name)) {
        snprintf(msg, sizeof msg, "an entry of %s has no name that is a string", sections[s].list);
        return at_error(e, -EINVAL, d, name ? name : item, msg);
    }
    const char *key = yyjson_mut_get_str(name);
    if (!v || yyjson_mut_is_null(v))
        v = yyjson_mut_obj(d->doc);
    if (!yyjson_mut_is_obj(v)) {
        snprintf(msg, sizeof msg, "%s of %s \"%s\" must be a mapping", sections[s].member,
                 sections[s].list, key);
        return at_error(e, -EINVAL, d, v, msg);
    }
    const struct kc_entry *had = map_get(k->entries[s], key);
    if (had && had->doc == d) {
        snprintf(msg, sizeof msg, "%s names \"%s\" twice", sections[s].list, key);
        return at_error(e, -EINVAL, d, name, msg);
    }
    if (had)
        return 0; /* the first file that has the name wins, whole */
    struct kc_entry *en = arena_new_of(k->a, struct kc_entry);
    *en = (struct kc_entry){.name = key, .v = v, .doc = d, .dir = dir};
    map_put(k->entries[s], key, en);
    return 0;
}

static int add_section(struct kubeconfig *k, enum section s, const struct yaml_doc *d,
                       const char *dir, struct err *e) {
    yyjson_mut_val *list = yyjson_mut_obj_get(d->root, sections[s].list);
    if (!list || yyjson_mut_is_null(list))
        return 0;
    char msg[64];
    snprintf(msg, sizeof msg, "%s must be a list", sections[s].list);
    if (!yyjson_mut_is_arr(list))
        return at_error(e, -EINVAL, d, list, msg);
    size_t i, max;
    yyjson_mut_val *item;
    yyjson_mut_arr_foreach (list, i, max, item) {
        int r = add_entry(k, s, d, dir, item, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_file(struct kubeconfig *k, const char *path, struct err *e) {
    struct yaml_doc *d = arena_new_of(k->a, struct yaml_doc);
    int r = yaml_load(k->a, arena_strdup(k->a, path), false, d, e);
    if (r < 0 || yyjson_mut_is_null(d->root))
        return r;
    if (!yyjson_mut_is_obj(d->root))
        return at_error(e, -EINVAL, d, d->root, "a kubeconfig must be a mapping");
    yyjson_mut_val *kind = yyjson_mut_obj_get(d->root, "kind");
    if (yyjson_mut_is_str(kind) && !str_eq(yyjson_mut_get_str(kind), "Config"))
        return at_error(e, -EINVAL, d, kind, "this is no kubeconfig: its kind is not Config");
    const char *dir = file_dirname(k->a, path);
    for (enum section s = 0; s < SECTIONS; s++)
        if ((r = add_section(k, s, d, dir, e)) < 0)
            return r;
    yyjson_mut_val *current = yyjson_mut_obj_get(d->root, "current-context");
    if (!k->current && yyjson_mut_get_len(current))
        k->current = yyjson_mut_get_str(current);
    return 0;
}

/* --- the whole --- */

static int read_contexts(struct kubeconfig *k, struct err *e) {
    const struct map *m = k->entries[CONTEXTS];
    k->contexts = arena_array(k->a, struct kube_context, map_len(m) + 1);
    for (size_t i = 0; i < map_len(m); i++) {
        const struct kc_entry *en = map_value(m, i);
        struct kc_view v = {.en = en, .obj = en->v, .a = k->a, .e = e};
        k->contexts[i] = (struct kube_context){.name = en->name,
                                               .cluster = kc_str(&v, "cluster"),
                                               .user = kc_str(&v, "user"),
                                               .namespace = kc_str(&v, "namespace")};
        if (v.r < 0)
            return v.r;
    }
    return 0;
}

static const char *default_paths(struct arena *a) {
    const char *env = getenv("KUBECONFIG");
    return str_empty(env) ? file_resolve(a, NULL, "~/.kube/config") : arena_strdup(a, env);
}

static int load_all(struct kubeconfig *k, struct err *e) {
    AUTO_STRVEC files = {0};
    strvec_split(&files, k->paths, ':');
    size_t found = 0;
    for (size_t i = 0; i < files.n; i++) {
        const char *path = file_resolve(k->a, NULL, files.v[i]);
        if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue; /* as kubectl does; what is there and cannot be read is an error */
        found++;
        int r = add_file(k, path, e);
        if (r < 0)
            return r;
    }
    if (!found)
        return err_set(e, -ENOENT,
                       "no kubeconfig: %s does not exist (set KUBECONFIG, or name the file)",
                       k->paths);
    return read_contexts(k, e);
}

int kubeconfig_load(const char *paths, struct kubeconfig **ret, struct err *e) {
    struct kubeconfig *k = xcalloc(1, sizeof *k);
    k->a = arena_new();
    for (enum section s = 0; s < SECTIONS; s++)
        k->entries[s] = map_new();
    k->paths = paths ? arena_strdup(k->a, paths) : default_paths(k->a);
    int r = load_all(k, e);
    if (r < 0) {
        kubeconfig_free(k);
        return r;
    }
    *ret = k;
    return 0;
}

void kubeconfig_free(struct kubeconfig *k) {
    if (!k)
        return;
    for (enum section s = 0; s < SECTIONS; s++)
        map_free(k->entries[s]);
    arena_free(k->a);
    xfree(k);
}

size_t kubeconfig_contexts(const struct kubeconfig *k, const struct kube_context **ret) {
    *ret = k->contexts;
    return map_len(k->entries[CONTEXTS]);
}

const char *kubeconfig_current(const struct kubeconfig *k) {
    return k->current;
}

const struct kc_entry *kubeconfig_cluster(const struct kubeconfig *k, const char *name) {
    return name ? map_get(k->entries[CLUSTERS], name) : NULL;
}

const struct kc_entry *kubeconfig_user(const struct kubeconfig *k, const char *name) {
    return name ? map_get(k->entries[USERS], name) : NULL;
}

enum { NAMES_SHOWN = 12 };

/* "a, b, c and 4 more" */
static const char *context_names(const struct kubeconfig *k, struct arena *a) {
    AUTO_SB b = SB_INIT(600);
    size_t n = map_len(k->entries[CONTEXTS]);
    for (size_t i = 0; i < MIN(n, (size_t)NAMES_SHOWN); i++)
        sb_fmt(&b, "%s%s", i ? ", " : "", k->contexts[i].name);
    if (n > NAMES_SHOWN)
        sb_fmt(&b, " and %zu more", n - NAMES_SHOWN);
    return arena_strdup(a, n ? sb_get(&b) : "none");
}

static int no_context(const struct kubeconfig *k, const char *name, struct err *e) {
    AUTO_ARENA a = arena_new();
    if (!name)
        return err_set(e, -ENOENT, "%s: no current-context is set; contexts there: %s", k->paths,
                       context_names(k, a));
    size_t n = map_len(k->entries[CONTEXTS]);
    const char **names = arena_array(a, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        names[i] = k->contexts[i].name;
    const char *near = str_nearest(name, names, n);
    return err_set(e, -ENOENT, "%s: no context \"%s\"%s%s%s; contexts there: %s", k->paths, name,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                   context_names(k, a));
}

int kubeconfig_context(const struct kubeconfig *k, const char *name,
                       const struct kube_context **ret, struct err *e) {
    if (!name)
        name = k->current;
    size_t n = map_len(k->entries[CONTEXTS]);
    for (size_t i = 0; name && i < n; i++) {
        if (str_eq(k->contexts[i].name, name)) {
            *ret = &k->contexts[i];
            return 0;
        }
    }
    return no_context(k, name, e);
}
