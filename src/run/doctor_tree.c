/* The report for machines. */
#include "run/doctor.h"

/* --- JSON --- */

static void set(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const char *s) {
    if (s)
        json_mut_set_str(d, o, key, s);
}

static yyjson_mut_val *object_of(yyjson_mut_doc *d, const struct finding *f) {
    yyjson_mut_val *o = yyjson_mut_obj(d);
    set(d, o, "group", f->group);
    set(d, o, "kind", f->kind);
    set(d, o, "namespace", str_empty(f->ns) ? NULL : f->ns);
    set(d, o, "name", f->name);
    return o;
}

static yyjson_mut_val *finding_tree(yyjson_mut_doc *d, const struct finding *f) {
    yyjson_mut_val *x = yyjson_mut_obj(d);
    char slot[2] = {f->cluster, 0};
    set(d, x, "id", f->id);
    if (finding_id_number(f->id))
        json_mut_set_int(d, x, "hazard", finding_id_number(f->id));
    set(d, x, "severity", severity_name(f->severity));
    set(d, x, "where", f->where);
    set(d, x, "cluster", *slot ? slot : NULL);
    if (f->kind)
        json_mut_set(d, x, "object", object_of(d, f));
    set(d, x, "field", f->field);
    set(d, x, "what", f->what);
    set(d, x, "remedy", f->remedy);
    set(d, x, "silenced", f->silenced);
    return x;
}

static yyjson_mut_val *blind_tree(yyjson_mut_doc *d) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    size_t n;
    const struct hazard *all = hazards_all(&n);
    for (size_t i = 0; i < n; i++) {
        if (!all[i].blind)
            continue;
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_int(d, x, "hazard", all[i].number);
        set(d, x, "title", all[i].title);
        set(d, x, "unseen", all[i].blind);
        set(d, x, "look", all[i].look);
        yyjson_mut_arr_append(list, x);
    }
    return list;
}

char *doctor_json(struct arena *a, const struct doctor_report *r, size_t *ret_n) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d), *list = yyjson_mut_arr(d);
    set(d, root, "apiVersion", "tandem.dev/v1");
    set(d, root, "kind", "Findings");
    yyjson_mut_val *counts = json_mut_obj_at(d, root, "counts");
    for (int i = SEV_COUNT - 1; i >= 0; i--)
        json_mut_set_int(d, counts, severity_name((enum severity)i), (int64_t)r->count[i]);
    json_mut_set_int(d, counts, "silenced", (int64_t)r->silenced);
    for (const struct finding *f = r->f.first; f; f = f->next)
        yyjson_mut_arr_append(list, finding_tree(d, f));
    json_mut_set(d, root, "findings", list);
    json_mut_set(d, root, "notCheckable", blind_tree(d));
    return json_mut_write(a, root, ret_n);
}

/* --- SARIF (OASIS, 2.1.0) --- */

static const char *level_of(enum severity s) {
    return s == SEV_BLOCKER ? "error" : s == SEV_WARNING ? "warning" : "note";
}

static void set_text(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const char *text) {
    set(d, json_mut_obj_at(d, o, key), "text", text);
}

static const char *title_of(const struct finding_id *id) {
    size_t n;
    const struct hazard *all = hazards_all(&n);
    int number = finding_id_number(id->id);
    return number >= 1 && (size_t)number <= n ? all[number - 1].title : id->id;
}

static yyjson_mut_val *rules_tree(struct arena *a, yyjson_mut_doc *d) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    size_t n;
    const struct finding_id *ids = finding_ids(a, &n);
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *x = yyjson_mut_obj(d);
        set(d, x, "id", ids[i].id);
        set_text(d, x, "shortDescription", title_of(&ids[i]));
        set_text(d, x, "help", ids[i].text);
        set(d, json_mut_obj_at(d, x, "defaultConfiguration"), "level", level_of(ids[i].severity));
        yyjson_mut_arr_append(list, x);
    }
    return list;
}

/* "a/apps/Deployment/shop/cart": the slot, and the object as everywhere else. */
static yyjson_mut_val *locations(struct arena *a, yyjson_mut_doc *d, const struct finding *f) {
    yyjson_mut_val *at = yyjson_mut_obj(d), *logical = yyjson_mut_arr(d), *list = yyjson_mut_arr(d);
    const char *name = f->name && f->kind
                           ? arena_printf(a, "%c/%s/%s/%s/%s", f->cluster ? f->cluster : '-',
                                          f->group, f->kind, f->ns ? f->ns : "", f->name)
                           : f->where;
    yyjson_mut_val *x = yyjson_mut_obj(d);
    set(d, x, "name", f->name ? f->name : f->where);
    set(d, x, "fullyQualifiedName", name);
    set(d, x, "kind", "resource");
    yyjson_mut_arr_append(logical, x);
    json_mut_set(d, at, "logicalLocations", logical);
    yyjson_mut_arr_append(list, at);
    return list;
}

static yyjson_mut_val *suppressions(yyjson_mut_doc *d, const char *why) {
    yyjson_mut_val *x = yyjson_mut_obj(d), *list = yyjson_mut_arr(d);
    set(d, x, "kind", "external");
    set(d, x, "status", "accepted");
    set(d, x, "justification", why);
    yyjson_mut_arr_append(list, x);
    return list;
}

static yyjson_mut_val *result_tree(struct arena *a, yyjson_mut_doc *d, const struct finding *f) {
    yyjson_mut_val *x = yyjson_mut_obj(d);
    set(d, x, "ruleId", f->id);
    set(d, x, "level", level_of(f->severity));
    set_text(d, x, "message", arena_printf(a, "%s: %s. %s", f->where, f->what, f->remedy));
    json_mut_set(d, x, "locations", locations(a, d, f));
    if (f->silenced)
        json_mut_set(d, x, "suppressions", suppressions(d, f->silenced));
    yyjson_mut_val *p = json_mut_obj_at(d, x, "properties");
    set(d, p, "severity", severity_name(f->severity));
    set(d, p, "field", f->field);
    set(d, p, "remedy", f->remedy);
    return x;
}

char *doctor_sarif(struct arena *a, const struct doctor_report *r, size_t *ret_n) {
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d), *run = yyjson_mut_obj(d);
    yyjson_mut_val *results = yyjson_mut_arr(d), *runs = yyjson_mut_arr(d);
    set(d, root, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    set(d, root, "version", "2.1.0");
    yyjson_mut_val *driver = json_mut_obj_at(d, json_mut_obj_at(d, run, "tool"), "driver");
    set(d, driver, "name", "tandem");
    json_mut_set(d, driver, "rules", rules_tree(a, d));
    for (const struct finding *f = r->f.first; f; f = f->next)
        yyjson_mut_arr_append(results, result_tree(a, d, f));
    json_mut_set(d, run, "results", results);
    yyjson_mut_arr_append(runs, run);
    json_mut_set(d, root, "runs", runs);
    return json_mut_write(a, root, ret_n);
}
