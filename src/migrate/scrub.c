#include "migrate/scrub.h"

#include "migrate/hold.h"

enum { SEGMENT_MAX = 256 };

/* The next segment of a pointer, unescaped into out; returns the rest ("" at the end). */
static const char *segment(const char *path, char out[SEGMENT_MAX]) {
    size_t n = 0;
    MUST(*path == '/');
    for (path++; *path && *path != '/'; path++) {
        MUST(n + 1 < SEGMENT_MAX);
        if (*path == '~' && (path[1] == '0' || path[1] == '1'))
            out[n++] = *++path == '0' ? '~' : '/';
        else
            out[n++] = *path;
    }
    out[n] = 0;
    return path;
}

struct walk {
    const struct scrub *s;
    const struct policy_row *row;
    struct sb at; /* pointer of the field under the cursor, only kept when tracing */
};

static void tell(struct walk *w) {
    if (w->s->trace)
        w->s->trace(w->s->trace_ctx, w->row->fate, sb_get(&w->at), w->row->why);
}

/* What the row leaves of val: val itself, another value, or NULL for nothing. */
static yyjson_mut_val *judge(struct walk *w, yyjson_mut_val *parent, yyjson_mut_val *val) {
    const struct policy_row *r = w->row;
    if (r->when && !r->when(w->s, parent, val))
        return val;
    yyjson_mut_val *out = r->fate == FIELD_REWRITE ? r->rewrite(w->s, val) : NULL;
    if (out != val)
        tell(w);
    return out;
}

static void walk_value(struct walk *w, yyjson_mut_val *v, const char *path);

static void walk_array(struct walk *w, yyjson_mut_val *arr, const char *rest) {
    yyjson_mut_arr_iter it = yyjson_mut_arr_iter_with(arr);
    yyjson_mut_val *v;
    size_t mark = w->at.len;
    for (size_t i = 0; (v = yyjson_mut_arr_iter_next(&it)); i++) {
        if (w->s->trace)
            sb_fmt(&w->at, "/%zu", i);
        if (*rest) {
            walk_value(w, v, rest);
        } else {
            yyjson_mut_val *out = judge(w, arr, v);
            if (!out)
                json_mut_arr_drop(&it);
        }
        w->at.len = mark;
    }
}

static void walk_member(struct walk *w, yyjson_mut_val *obj, const char *key, const char *rest) {
    yyjson_mut_val *v = yyjson_mut_obj_get(obj, key);
    if (!v)
        return;
    size_t mark = w->at.len;
    if (w->s->trace)
        json_pointer_add(&w->at, key);
    if (*rest) {
        walk_value(w, v, rest);
    } else {
        yyjson_mut_val *out = judge(w, obj, v);
        if (!out)
            json_mut_del(obj, key);
        else if (out != v)
            json_mut_set(w->s->doc, obj, key, out);
    }
    w->at.len = mark;
}

static void walk_value(struct walk *w, yyjson_mut_val *v, const char *path) {
    char key[SEGMENT_MAX];
    const char *rest = segment(path, key);
    bool star = str_eq(key, "*");
    if (yyjson_mut_is_obj(v) && !star)
        walk_member(w, v, key, rest);
    else if (yyjson_mut_is_arr(v) && star)
        walk_array(w, v, rest);
}

static void apply_rows(struct scrub *s) {
    size_t n;
    const struct policy_row *rows = policy_rows(&n);
    struct walk w = {.s = s};
    for (size_t i = 0; i < n; i++) {
        if (!policy_matches(&rows[i], s->kind->src))
            continue;
        w.row = &rows[i];
        walk_value(&w, s->root, rows[i].path);
    }
    sb_done(&w.at);
}

/* An empty map of labels or annotations says the same as none; the API server drops it. */
static void drop_empty_maps(yyjson_mut_val *root) {
    yyjson_mut_val *meta = yyjson_mut_obj_get(root, "metadata");
    static const char *const maps[] = {"labels", "annotations"};
    for (size_t i = 0; i < COUNT_OF(maps); i++) {
        yyjson_mut_val *m = yyjson_mut_obj_get(meta, maps[i]);
        if (m && yyjson_mut_obj_size(m) == 0)
            json_mut_del(meta, maps[i]);
    }
}

/* The typed members first, as a person would write them. */
static yyjson_mut_val *with_type(yyjson_mut_doc *d, const struct kind *kind, yyjson_val *body) {
    const struct kube_resource *r = kind->src;
    yyjson_mut_val *root = yyjson_mut_obj(d);
    char api[SEGMENT_MAX];
    snprintf(api, sizeof api, "%s%s%s", r->group, *r->group ? "/" : "", r->version);
    yyjson_mut_obj_add_val(d, root, "apiVersion", yyjson_mut_strcpy(d, api));
    yyjson_mut_obj_add_val(d, root, "kind", yyjson_mut_strcpy(d, r->kind));
    size_t i, max;
    yyjson_val *key, *val;
    json_obj_foreach (body, i, max, key, val) {
        const char *k = yyjson_get_str(key);
        if (str_eq(k, "apiVersion") || str_eq(k, "kind") || str_eq(k, "status"))
            continue;
        yyjson_mut_obj_add(root, yyjson_val_mut_copy(d, key), yyjson_val_mut_copy(d, val));
    }
    return root;
}

yyjson_mut_val *scrub_object(yyjson_mut_doc *d, const struct kind *kind, yyjson_val *body,
                             enum scrub_side side, const struct scrub_env *env, scrub_trace trace,
                             void *trace_ctx) {
    struct scrub s = {.doc = d,
                      .root = with_type(d, kind, body),
                      .orig = body,
                      .kind = kind,
                      .side = side,
                      .env = env,
                      .trace = trace,
                      .trace_ctx = trace_ctx};
    if (trace && json_get(body, "status"))
        trace(trace_ctx, FIELD_DROP, "/status", "observed by the cluster, not wished");
    apply_rows(&s);
    hold_undo(d, s.root);
    drop_empty_maps(s.root);
    return s.root;
}
