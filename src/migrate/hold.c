#include "migrate/hold.h"

static const struct hold_row table[] = {
    {"batch", "CronJob", "suspend", "true", FACT_SUSPENDED, "hold-cronjob",
     "a CronJob that runs in both clusters runs twice"},
    {"batch", "Job", "suspend", "true", FACT_SUSPENDED | FACT_FINISHED, "hold-job",
     "an unfinished Job would run a second time"},
    /* Held only where a rule or the annotation tandem.dev/hold asks for it. */
    {"apps", "Deployment", "replicas", "0", UINT32_MAX, "hold-asked", "asked for"},
    {"apps", "StatefulSet", "replicas", "0", UINT32_MAX, "hold-asked", "asked for"},
    {"apps", "ReplicaSet", "replicas", "0", UINT32_MAX, "hold-asked", "asked for"},
    {"", "ReplicationController", "replicas", "0", UINT32_MAX, "hold-asked", "asked for"},
};

const struct hold_row *hold_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(table);
    return table;
}

const struct hold_row *hold_row_of(const struct kube_resource *r) {
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (str_eq(table[i].group, r->group) && str_eq(table[i].kind, r->kind))
            return &table[i];
    return NULL;
}

const struct hold_row *hold_wanted(const struct object *o) {
    const struct hold_row *row = hold_row_of(o->kind->src);
    if (!row || row->not_when == UINT32_MAX)
        return NULL;
    /* What is held in the source now is let loose later, so it is held in the destination too. */
    if (o->facts & FACT_HELD)
        return o->facts & FACT_FINISHED ? NULL : row;
    return o->facts & row->not_when ? NULL : row;
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

bool hold_do(yyjson_mut_doc *d, yyjson_mut_val *root, const struct hold_row *row) {
    yyjson_mut_val *spec = json_mut_obj_at(d, root, "spec");
    yyjson_mut_val *now = yyjson_mut_obj_get(spec, row->field);
    if (is_holding(now, row))
        return false;
    AUTO_SB orig = SB_INIT(0);
    if (now)
        json_mut_canonical(&orig, now);
    else
        sb_str(&orig, "null");
    json_mut_set(d, spec, row->field, literal(d, row->value));
    yyjson_mut_val *notes = json_mut_obj_at(d, json_mut_obj_at(d, root, "metadata"), "annotations");
    json_mut_set_str(d, notes, HOLD_ANNOTATION, orig.p);
    return true;
}

static const struct hold_row *row_of_tree(yyjson_mut_val *root) {
    const char *kind = json_mut_str(root, "kind"), *api = json_mut_str(root, "apiVersion");
    const char *slash = api ? strchr(api, '/') : NULL;
    size_t n = slash ? (size_t)(slash - api) : 0;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (str_eq(table[i].kind, kind) && strlen(table[i].group) == n &&
            (!n || memcmp(table[i].group, api, n) == 0))
            return &table[i];
    return NULL;
}

bool hold_undo(yyjson_mut_doc *d, yyjson_mut_val *root) {
    yyjson_mut_val *notes = json_mut_get(root, "metadata", "annotations");
    const char *orig = json_mut_str(notes, HOLD_ANNOTATION);
    const struct hold_row *row = is_literal(orig) ? row_of_tree(root) : NULL;
    if (!row)
        return false;
    yyjson_mut_val *spec = json_mut_obj_at(d, root, "spec");
    if (str_eq(orig, "null"))
        json_mut_del(spec, row->field);
    else
        json_mut_set(d, spec, row->field, literal(d, orig));
    json_mut_del(notes, HOLD_ANNOTATION);
    return true;
}

static char *patch_text(struct arena *a, yyjson_val *live, const struct hold_row *row,
                        const char *value, const char *note) {
    AUTO_SB b = SB_INIT(0);
    sb_str(&b, "{\"metadata\":{\"resourceVersion\":");
    const char *rv = json_str(live, "metadata", "resourceVersion");
    sb_json(&b, rv ? rv : "", rv ? strlen(rv) : 0);
    sb_str(&b, ",\"annotations\":{\"" HOLD_ANNOTATION "\":");
    if (note)
        sb_json(&b, note, strlen(note));
    else
        sb_str(&b, "null");
    sb_fmt(&b, "}},\"spec\":{\"%s\":%s}}", row->field, value);
    return arena_strdup(a, b.p);
}

char *hold_patch(struct arena *a, yyjson_val *live, const struct hold_row *row) {
    yyjson_val *now = json_get(live, "spec", row->field);
    AUTO_SB cur = SB_INIT(0);
    if (now)
        json_canonical(&cur, now);
    if (str_eq(sb_get(&cur), row->value))
        return NULL;
    return patch_text(a, live, row, row->value, now ? cur.p : "null");
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
