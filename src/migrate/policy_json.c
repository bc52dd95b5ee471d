/* The tables of what becomes of fields, as one tree. */
#include "migrate/hold.h"
#include "migrate/rules.h"
#include "migrate/world_impl.h"

static yyjson_mut_val *text_or_null(yyjson_mut_doc *d, const char *s) {
    return s ? yyjson_mut_str(d, s) : yyjson_mut_null(d);
}

struct field {
    const char *fate, *group, *kind, *path, *value, *why;
    bool conditional;
};

static void add_field(yyjson_mut_doc *d, yyjson_mut_val *list, const struct field *f) {
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(d, list);
    json_mut_set_str(d, o, "fate", f->fate);
    json_mut_set(d, o, "group", text_or_null(d, f->group));
    json_mut_set(d, o, "kind", text_or_null(d, f->kind));
    json_mut_set_str(d, o, "path", f->path);
    json_mut_set_bool(d, o, "conditional", f->conditional);
    if (f->value)
        json_mut_set_str(d, o, "value", f->value);
    json_mut_set_str(d, o, "why", f->why);
}

static void add_policy(yyjson_mut_doc *d, yyjson_mut_val *list, const struct policy_row *rows,
                       size_t n) {
    for (size_t i = 0; i < n; i++)
        add_field(d, list,
                  &(struct field){.fate = field_fate_name(rows[i].fate),
                                  .group = rows[i].group,
                                  .kind = rows[i].kind,
                                  .path = rows[i].path,
                                  .conditional = rows[i].when != NULL,
                                  .why = rows[i].why});
}

static void add_holds(yyjson_mut_doc *d, yyjson_mut_val *list) {
    size_t n;
    const struct hold_row *rows = hold_rows(&n);
    add_field(d, list,
              &(struct field){.fate = "hold",
                              .path = "/metadata/annotations/tandem.dev~1held",
                              .why = "the original value of the field that holds it",
                              .conditional = true});
    for (size_t i = 0; i < n; i++)
        add_field(d, list,
                  &(struct field){.fate = "hold",
                                  .group = rows[i].group,
                                  .kind = rows[i].kind,
                                  .path = rows[i].path,
                                  .value = rows[i].value,
                                  .why = rows[i].why,
                                  .conditional = true});
}

static void add_defaults(yyjson_mut_doc *d, yyjson_mut_val *list) {
    size_t n;
    const struct new_default *rows = compare_new_defaults(&n);
    for (size_t i = 0; i < n; i++)
        add_field(d, list,
                  &(struct field){.fate = "default",
                                  .group = rows[i].group,
                                  .kind = rows[i].kind,
                                  .path = rows[i].path,
                                  .value = rows[i].value,
                                  .why = rows[i].why,
                                  .conditional = true});
}

static void add_kinds(yyjson_mut_doc *d, yyjson_mut_val *list) {
    size_t n;
    const struct rule *rules = rules_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (rules[i].facts || rules[i].when)
            continue;
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(d, list);
        json_mut_set_str(d, o, "rule", rules[i].id);
        json_mut_set(d, o, "group", text_or_null(d, rules[i].group));
        json_mut_set(d, o, "kind", text_or_null(d, rules[i].kind));
        json_mut_set_str(d, o, "why", rules[i].why);
    }
}

yyjson_mut_val *policy_json(yyjson_mut_doc *d) {
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_val *fields = yyjson_mut_arr(d), *kinds = yyjson_mut_arr(d);
    size_t n, kept;
    const struct policy_row *rows = policy_rows(&n), *keep = policy_keep_rows(&kept);
    add_policy(d, fields, rows, n);
    add_holds(d, fields);
    add_defaults(d, fields);
    add_policy(d, fields, keep, kept);
    add_kinds(d, kinds);
    json_mut_set(d, root, "fields", fields);
    json_mut_set(d, root, "kinds", kinds);
    return root;
}
