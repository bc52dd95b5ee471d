#include "lab.h"

#include <ctype.h>

#include "base/file.h"

yyjson_val *lab_json(struct arena *a, const char *quoted) {
    char *text = arena_strdup(a, quoted);
    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    yyjson_val *v = NULL;
    struct err e = {0};
    if (json_parse(a, text, strlen(text), &v, &e) < 0)
        fail_msg("%s\nin %s", err_msg(&e), text);
    return v;
}

struct kube_resource *lab_resource(struct arena *a, const char *api_version, const char *kind) {
    struct kube_resource *r = arena_new_of(a, struct kube_resource);
    const char *slash = strchr(api_version, '/');
    r->group = slash ? arena_strndup(a, api_version, (size_t)(slash - api_version)) : "";
    r->version = slash ? slash + 1 : api_version;
    r->kind = kind;
    char *plural = arena_printf(a, "%ss", kind);
    for (char *p = plural; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    r->plural = plural;
    r->singular = arena_strndup(a, plural, strlen(plural) - 1);
    r->namespaced = true;
    r->verbs = KUBE_LIST | KUBE_GET | KUBE_CREATE;
    r->preferred = true;
    return r;
}

static struct kube_resource *resource_of(struct arena *a, yyjson_val *body) {
    const char *api = json_str(body, "apiVersion"), *kind = json_str(body, "kind");
    assert_non_null(api);
    assert_non_null(kind);
    struct kube_resource *r = lab_resource(a, arena_strdup(a, api), arena_strdup(a, kind));
    r->namespaced = json_str(body, "metadata", "namespace") != NULL;
    return r;
}

struct kind *lab_kind(struct arena *a, yyjson_val *body) {
    struct kind *k = arena_new_of(a, struct kind);
    k->src = k->dst = resource_of(a, body);
    return k;
}

struct world_side lab_side(struct arena *a, yyjson_val *list) {
    size_t n = yyjson_arr_size(list), i, max;
    struct world_item *items = arena_array(a, struct world_item, n + 1);
    yyjson_val *v;
    yyjson_arr_foreach (list, i, max, v) {
        items[i] = (struct world_item){resource_of(a, v), v};
    }
    return (struct world_side){.items = items, .n = n};
}

static void serve(struct arena *a, struct world_side *s, const struct world_side *source,
                  const char *const *words) {
    size_t n = 0;
    const struct kube_resource **list =
        arena_array(a, const struct kube_resource *, source->n + 64);
    for (size_t i = 0; !words && i < source->n; i++)
        list[n++] = source->items[i].resource;
    for (; words && *words; words++) {
        const char *space = strchr(*words, ' ');
        list[n++] = lab_resource(a, arena_strndup(a, *words, (size_t)(space - *words)), space + 1);
    }
    s->serves = list;
    s->n_serves = n;
}

struct world *lab_world(struct arena *a, const struct world_opts *o, const char *src,
                        const char *dst, const char *const *serves) {
    static const uint8_t salt[32] = {7};
    struct world_opts opts = o ? *o : (struct world_opts){0};
    opts.salt = salt;
    opts.src_slot = 'a';
    opts.dst_slot = 'b';
    struct world_side s = lab_side(a, lab_json(a, src)),
                      d = lab_side(a, lab_json(a, dst ? dst : "[]"));
    serve(a, &d, &s, serves);
    struct world *w = NULL;
    struct err e = {0};
    if (world_offline(&opts, &s, &d, &w, &e) < 0)
        fail_msg("%s", err_msg(&e));
    return w;
}

struct object *lab_find(struct world *w, yyjson_val *body) {
    AUTO_ARENA a = arena_new();
    struct kube_resource *r = resource_of(a, body);
    struct object *o = world_find(w, r->group, r->kind, json_str(body, "metadata", "namespace"),
                                  json_str(body, "metadata", "name"));
    if (!o)
        fail_msg("no record of %s %s", r->kind, json_str(body, "metadata", "name"));
    return o;
}

const char *lab_text(struct arena *a, yyjson_val *v) {
    AUTO_SB b = SB_INIT(0);
    if (v)
        json_canonical(&b, v);
    return arena_strdup(a, sb_get(&b));
}

const char *lab_mut_text(struct arena *a, yyjson_mut_val *v) {
    AUTO_SB b = SB_INIT(0);
    if (v)
        json_mut_canonical(&b, v);
    return arena_strdup(a, sb_get(&b));
}

const char *lab_scrub(struct arena *a, const char *quoted, enum scrub_side side,
                      const struct scrub_env *env) {
    yyjson_val *body = lab_json(a, quoted);
    return lab_mut_text(a,
                        scrub_object(json_doc(a), lab_kind(a, body), body, side, env, NULL, NULL));
}

const char *lab_corpora(struct arena *a, const char *folder) {
    const char *root = getenv("SOURCE_ROOT");
    if (!root) { /* this file is ROOT/tests/unit/lab.c */
        char *here = file_resolve(a, NULL, __FILE__);
        root = file_dirname(a, file_dirname(a, file_dirname(a, here)));
    }
    const char *path = arena_printf(a, "%s/../shared/corpora/%s", root, folder);
    if (file_exists(path))
        return path;
    print_message("SKIP: %s is not there\n", path);
    return NULL;
}
