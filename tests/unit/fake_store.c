#include "fake_store.h"

#include "base/json.h"

enum { OBJECTS = 4096 };

struct stored {
    char *path, *body; /* NULL: deleted */
};

struct store {
    struct api *api;
    struct stored v[OBJECTS];
    size_t n;
    unsigned version;
};

static struct stored *find(struct store *s, const char *path) {
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].path && str_eq(s->v[i].path, path))
            return &s->v[i];
    return NULL;
}

static int fail(struct sb *body, int status, const char *reason) {
    sb_fmt(body, "{\"kind\":\"Status\",\"reason\":\"%s\",\"message\":\"no\"}", reason);
    return status;
}

static void keep(struct store *s, const char *path, struct arena *a, yyjson_mut_doc *d,
                 yyjson_mut_val *root, struct sb *body) {
    struct stored *x = find(s, path);
    yyjson_mut_val *meta = json_mut_obj_at(d, root, "metadata");
    json_mut_set_str(d, meta, "resourceVersion", arena_printf(a, "%u", ++s->version));
    if (!json_mut_str(meta, "uid"))
        json_mut_set_str(d, meta, "uid", arena_printf(a, "u-%u", s->version));
    MUST(x || s->n < OBJECTS);
    if (!x) {
        x = &s->v[s->n++];
        x->path = xstrdup(path);
    }
    xfree(x->body);
    x->body = xstrdup(json_mut_write(a, root, NULL));
    sb_str(body, x->body);
}

static int create(struct store *s, struct arena *a, const char *path, const char *text,
                  struct sb *body) {
    yyjson_val *v;
    if (json_parse(a, text, strlen(text), &v, NULL) < 0)
        return fail(body, 400, "BadRequest");
    const char *slash = strrchr(path, '/'), *name = json_str(v, "metadata", "name");
    const char *ns = arena_strndup(a, path, (size_t)(slash - path));
    bool inside = strstr(path, "/api/v1/namespaces/") == path;
    if (inside && !find(s, ns))
        return fail(body, 404, "NotFound");
    const char *full = arena_printf(a, "%s/%s", path, name);
    if (find(s, full))
        return fail(body, 409, "AlreadyExists");
    yyjson_mut_doc *d = json_doc(a);
    keep(s, full, a, d, yyjson_val_mut_copy(d, v), body);
    return 201;
}

static int patch(struct store *s, struct arena *a, const char *path, const char *text,
                 struct sb *body) {
    struct stored *x = find(s, path);
    yyjson_val *v, *p;
    if (!x)
        return fail(body, 404, "NotFound");
    if (json_parse(a, x->body, strlen(x->body), &v, NULL) < 0 ||
        json_parse(a, text, strlen(text), &p, NULL) < 0)
        return fail(body, 400, "BadRequest");
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_val_mut_copy(d, v);
    if (json_patch(d, &root, p, NULL) < 0)
        return fail(body, 422, "Invalid");
    if (!str_eq(json_mut_str(root, "metadata", "resourceVersion"),
                json_str(v, "metadata", "resourceVersion")))
        return fail(body, 409, "Conflict");
    keep(s, path, a, d, root, body);
    return 200;
}

static int list(struct store *s, const char *path, struct sb *body) {
    size_t n = strlen(path);
    bool first = true;
    sb_str(body, "{\"items\":[");
    for (size_t i = 0; i < s->n; i++) {
        const char *p = s->v[i].path;
        if (!p || strncmp(p, path, n) != 0 || p[n] != '/' || strchr(p + n + 1, '/'))
            continue;
        sb_fmt(body, "%s%s", first ? "" : ",", s->v[i].body);
        first = false;
    }
    sb_str(body, "]}");
    return 200;
}

static void drop(struct stored *x) {
    if (x) {
        xfree(TAKE(x->path));
        xfree(TAKE(x->body));
    }
}

static int answer(void *ctx, const char *request, struct sb *body) {
    struct store *s = ctx;
    AUTO_ARENA a = arena_new();
    size_t n = strcspn(request, " ");
    const char *method = arena_strndup(a, request, n), *rest = request + n + 1;
    const char *path = arena_strndup(a, rest, strcspn(rest, " ?"));
    const char *text = strstr(request, "\r\n\r\n");
    struct stored *x = find(s, path);
    text = text ? text + 4 : "";
    if (str_eq(method, "POST"))
        return create(s, a, path, text, body);
    if (str_eq(method, "PATCH"))
        return patch(s, a, path, text, body);
    if (str_eq(method, "GET") && (str_ends(path, "/configmaps") || str_ends(path, "/secrets")))
        return list(s, path, body);
    if (!x)
        return fail(body, 404, "NotFound");
    sb_str(body, x->body);
    if (str_eq(method, "DELETE"))
        drop(x);
    return 200;
}

struct store *store_start(void) {
    struct store *s = xcalloc(1, sizeof *s);
    s->api = api_start_with(answer, s);
    return s;
}

void store_stop(struct store *s) {
    api_stop(s->api);
    for (size_t i = 0; i < s->n; i++)
        drop(&s->v[i]);
    xfree(s);
}

struct api *store_api(struct store *s) {
    return s->api;
}

const char *store_at(struct store *s, const char *path) {
    struct stored *x = find(s, path);
    return x ? x->body : NULL;
}

void store_bend(struct store *s, const char *path, const char *from, const char *to) {
    struct stored *x = find(s, path);
    char *at = x ? strstr(x->body, from) : NULL;
    MUST(at && strlen(from) == strlen(to));
    memcpy(at, to, strlen(to));
}

void store_drop(struct store *s, const char *path) {
    drop(find(s, path));
}

unsigned store_count(struct store *s, const char *begins) {
    unsigned n = 0;
    while (store_nth(s, begins, n))
        n++;
    return n;
}

const char *store_nth(struct store *s, const char *begins, unsigned nth) {
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].path && str_starts(s->v[i].path, begins) && nth-- == 0)
            return s->v[i].path;
    return NULL;
}
