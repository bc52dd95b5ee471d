#include "migrate/hold.h"

enum { SEGMENTS_MAX = 8, SEGMENT_MAX = HOLD_SEGMENT_MAX };

/* The segments of a JSON pointer, unescaped. */
struct pointer {
    char v[SEGMENTS_MAX][SEGMENT_MAX];
    size_t n;
};

static void pointer_parse(const char *path, struct pointer *p) {
    p->n = 0;
    while (*path == '/') {
        MUST(p->n < SEGMENTS_MAX);
        char *out = p->v[p->n++];
        size_t k = 0;
        for (path++; *path && *path != '/'; path++) {
            MUST(k + 1 < SEGMENT_MAX);
            if (*path == '~')
                out[k++] = *++path == '1' ? '/' : '~';
            else
                out[k++] = *path;
        }
        out[k] = 0;
    }
    MUST(p->n);
}

static yyjson_val *value_at(yyjson_val *v, const char *path) {
    struct pointer p;
    pointer_parse(path, &p);
    for (size_t i = 0; v && i < p.n; i++)
        v = yyjson_obj_get(v, p.v[i]);
    return v;
}

static yyjson_mut_val *mut_value_at(yyjson_mut_val *v, const char *path) {
    struct pointer p;
    pointer_parse(path, &p);
    for (size_t i = 0; v && i < p.n; i++)
        v = yyjson_mut_obj_get(v, p.v[i]);
    return v;
}

/* Sets the field, making what it stands in. */
static void set_at(yyjson_mut_doc *d, yyjson_mut_val *root, const char *path, yyjson_mut_val *v) {
    struct pointer p;
    pointer_parse(path, &p);
    for (size_t i = 0; i + 1 < p.n; i++)
        root = json_mut_obj_at(d, root, p.v[i]);
    json_mut_set(d, root, p.v[p.n - 1], v);
}

/* Takes the field out, and what stands empty without it below the first level: a hold may have made
 * those. */
static void del_at(yyjson_mut_val *root, const char *path) {
    struct pointer p;
    yyjson_mut_val *at[SEGMENTS_MAX] = {root};
    pointer_parse(path, &p);
    for (size_t i = 0; i + 1 < p.n; i++) {
        at[i + 1] = yyjson_mut_obj_get(at[i], p.v[i]);
        if (!at[i + 1])
            return;
    }
    json_mut_del(at[p.n - 1], p.v[p.n - 1]);
    for (size_t i = p.n - 1; i > 1 && yyjson_mut_obj_size(at[i]) == 0; i--)
        json_mut_del(at[i - 1], p.v[i - 1]);
}

bool hold_fits(const struct hold_row *row, const char *group, const char *kind) {
    return str_glob(row->group, group) && (!row->kind || str_eq(row->kind, kind));
}

const struct hold_row *hold_row_for(const char *group, const char *kind) {
    size_t n;
    const struct hold_row *t = hold_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (hold_fits(&t[i], group, kind))
            return &t[i];
    return NULL;
}

const struct hold_row *hold_row_of(const struct kube_resource *r) {
    return hold_row_for(r->group, r->kind);
}

bool hold_by_row(const struct hold_row *row, uint32_t facts) {
    if (row->not_when == UINT32_MAX || facts & FACT_HOLD_REFUSED)
        return false;
    return (!row->only_when || facts & row->only_when) && !(facts & row->not_when);
}

const struct hold_row *hold_wanted(const struct object *o) {
    const struct hold_row *row = hold_row_of(o->kind->src);
    if (!row || row->not_when == UINT32_MAX)
        return NULL;
    /* What is held in the source now is let loose later, so it is held in the destination too. */
    if (o->facts & FACT_HELD)
        return o->facts & FACT_FINISHED ? NULL : row;
    return hold_by_row(row, o->facts) && !(o->facts & FACT_STILL) ? row : NULL;
}

const char *hold_segment(const struct hold_row *row, size_t i, char out[HOLD_SEGMENT_MAX]) {
    struct pointer p;
    pointer_parse(row->path, &p);
    return i < p.n ? memcpy(out, p.v[i], HOLD_SEGMENT_MAX) : NULL;
}

bool hold_holds(const struct hold_row *row, yyjson_val *body) {
    AUTO_SB b = SB_INIT(0);
    yyjson_val *v = value_at(body, row->path);
    if (v)
        json_canonical(&b, v);
    return str_eq(sb_get(&b), row->value);
}

const char *hold_value(struct arena *a, const struct hold_row *row, yyjson_val *body) {
    yyjson_val *v = value_at(body, row->path);
    return v ? json_write(a, v, NULL) : "null";
}

char *hold_previous(struct arena *a, const struct hold_row *row, const char *value) {
    AUTO_SB b = SB_INIT(0);
    sb_chr(&b, '{');
    sb_json(&b, row->path, strlen(row->path));
    sb_fmt(&b, ":%s}", value);
    return arena_strdup(a, b.p);
}

static bool is_holding(yyjson_mut_val *v, const struct hold_row *row) {
    AUTO_SB b = SB_INIT(0);
    if (v)
        json_mut_canonical(&b, v);
    return str_eq(sb_get(&b), row->value);
}

/* NULL when it is not JSON. */
static yyjson_mut_val *literal(yyjson_mut_doc *d, const char *json) {
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)json, strlen(json),
                                       YYJSON_READ_NUMBER_AS_RAW, &d->alc, NULL);
    return doc ? yyjson_val_mut_copy(d, yyjson_doc_get_root(doc)) : NULL;
}

/* What the annotation holds was ours when it was written; since then anybody may have put anything
 * there, and it goes into a patch as it is. */
static bool is_literal(const char *json) {
    AUTO_ARENA a = arena_new();
    yyjson_val *v;
    return json && json_parse(a, json, strlen(json), &v, NULL) >= 0 && !yyjson_is_ctn(v);
}

static yyjson_mut_val *notes_of(yyjson_mut_doc *d, yyjson_mut_val *root) {
    return json_mut_obj_at(d, json_mut_obj_at(d, root, "metadata"), "annotations");
}

bool hold_do(yyjson_mut_doc *d, yyjson_mut_val *root, const struct hold_row *row) {
    yyjson_mut_val *now = mut_value_at(root, row->path);
    if (is_holding(now, row))
        return false;
    AUTO_SB orig = SB_INIT(0);
    if (now)
        json_mut_canonical(&orig, now);
    else
        sb_str(&orig, "null");
    json_mut_set_str(d, notes_of(d, root), HOLD_ANNOTATION, orig.p);
    set_at(d, root, row->path, literal(d, row->value));
    return true;
}

static const struct hold_row *row_of_tree(yyjson_mut_val *root) {
    const char *kind = json_mut_str(root, "kind"), *api = json_mut_str(root, "apiVersion");
    const char *slash = api ? strchr(api, '/') : NULL;
    char group[SEGMENT_MAX * 2] = "";
    if (slash)
        snprintf(group, sizeof group, "%.*s", (int)(slash - api), api);
    return hold_row_for(group, kind);
}

bool hold_undo(yyjson_mut_doc *d, yyjson_mut_val *root) {
    yyjson_mut_val *notes = json_mut_get(root, "metadata", "annotations");
    const char *orig = json_mut_str(notes, HOLD_ANNOTATION);
    const struct hold_row *row = is_literal(orig) ? row_of_tree(root) : NULL;
    if (!row)
        return false;
    if (str_eq(orig, "null"))
        del_at(root, row->path);
    else
        set_at(d, root, row->path, literal(d, orig));
    json_mut_del(json_mut_get(root, "metadata", "annotations"), HOLD_ANNOTATION);
    return true;
}

/* note NULL: the annotation goes. */
static char *patch_text(struct arena *a, yyjson_val *live, const struct hold_row *row,
                        const char *value, const char *note) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d), *meta = json_mut_obj_at(d, root, "metadata");
    const char *rv = json_str(live, "metadata", "resourceVersion");
    json_mut_set_str(d, meta, "resourceVersion", rv ? rv : "");
    if (note)
        json_mut_set_str(d, notes_of(d, root), HOLD_ANNOTATION, note);
    else
        json_mut_set(d, notes_of(d, root), HOLD_ANNOTATION, yyjson_mut_null(d));
    set_at(d, root, row->path, literal(d, value));
    size_t n;
    return json_mut_write(a, root, &n);
}

char *hold_patch(struct arena *a, yyjson_val *live, const struct hold_row *row) {
    return hold_holds(row, live) ? NULL
                                 : patch_text(a, live, row, row->value, hold_value(a, row, live));
}

char *unhold_patch(struct arena *a, yyjson_val *live, const struct hold_row *row) {
    const char *orig = json_str(live, "metadata", "annotations", HOLD_ANNOTATION);
    return is_literal(orig) ? patch_text(a, live, row, orig, NULL) : NULL;
}

char *stay_patch(struct arena *a, yyjson_val *live, const struct hold_row *row) {
    return json_str(live, "metadata", "annotations", HOLD_ANNOTATION)
               ? patch_text(a, live, row, row->value, NULL)
               : NULL;
}
