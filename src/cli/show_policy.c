#include <strings.h>

#include "cli/show.h"

/* --- the whole table --- */

static bool concerns(yyjson_mut_val *row, const char *kind) {
    const char *own = json_mut_str(row, "kind");
    return !kind || !own || strcasecmp(own, kind) == 0;
}

static void only_kind(yyjson_mut_val *list, const char *kind) {
    yyjson_mut_arr_iter it = yyjson_mut_arr_iter_with(list);
    yyjson_mut_val *v;
    while ((v = yyjson_mut_arr_iter_next(&it)))
        if (!concerns(v, kind))
            json_mut_arr_drop(&it);
}

static const char *kind_of(struct arena *a, yyjson_mut_val *row) {
    const char *group = json_mut_str(row, "group"), *kind = json_mut_str(row, "kind");
    if (!group)
        return kind ? kind : "all";
    return arena_printf(a, "%s%s%s", kind ? kind : "all", *group ? " of " : "", group);
}

static void print_rows(struct arena *a, yyjson_mut_val *policy) {
    size_t i, max;
    yyjson_mut_val *row;
    yyjson_mut_arr_foreach (json_mut_get(policy, "fields"), i, max, row) {
        bool sometimes = yyjson_mut_is_true(json_mut_get(row, "conditional"));
        printf("%-8s %s %s: %s%s\n", json_mut_str(row, "fate"), kind_of(a, row),
               json_mut_str(row, "path"), sometimes ? "(sometimes) " : "",
               json_mut_str(row, "why"));
    }
    yyjson_mut_arr_foreach (json_mut_get(policy, "kinds"), i, max, row) {
        printf("never    %s: %s [%s]\n", kind_of(a, row), json_mut_str(row, "why"),
               json_mut_str(row, "rule"));
    }
}

int show_policy(enum output o, const char *kind, struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_val *policy = policy_json(json_doc(a));
    only_kind(json_mut_get(policy, "fields"), kind);
    only_kind(json_mut_get(policy, "kinds"), kind);
    if (o != OUT_JSON && o != OUT_YAML) {
        print_rows(a, policy);
        return 0;
    }
    size_t n;
    const char *text = json_mut_write(a, policy, &n);
    return cli_print_tree(o, text, n, e);
}
