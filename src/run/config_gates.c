#include "run/config_impl.h"

static const char *const stages[] = {"preflight", "migrate", "follow", "test",
                                     "activate",  "switch",  "bake",   "retire"};

static int check_stage(struct config_reader *rd, yyjson_mut_val *key) {
    const char *word = yyjson_mut_get_str(key);
    for (size_t i = 0; i < COUNT_OF(stages); i++)
        if (str_eq(stages[i], word))
            return 0;
    const char *near = str_nearest(word, stages, COUNT_OF(stages));
    return config_fail(rd, key, "gates.checks: \"%.80s\" is no stage%s%s%s", word,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int read_checks(struct config_reader *rd, const char *stage, yyjson_mut_val *list,
                       struct config *c) {
    size_t i, max;
    yyjson_mut_val *v;
    yyjson_mut_arr_foreach (list, i, max, v) {
        const char *const *argv = config_strings(rd, v);
        if (!argv[0])
            return config_fail(rd, v, "the command is empty");
        c->checks[c->n_checks++] = (struct config_check){stage, argv};
    }
    return 0;
}

int config_gates(struct config_reader *rd, yyjson_mut_val *gates, struct config *c) {
    size_t i, max, n = 0;
    yyjson_mut_val *key, *list, *checks = config_at(gates, "checks");
    if (!checks)
        return 0;
    yyjson_mut_obj_foreach (checks, i, max, key, list) {
        n += yyjson_mut_arr_size(list);
    }
    c->checks = arena_array(rd->a, struct config_check, n + 1);
    yyjson_mut_obj_foreach (checks, i, max, key, list) {
        int r = check_stage(rd, key);
        if (r >= 0)
            r = read_checks(rd, yyjson_mut_get_str(key), list, c);
        if (r < 0)
            return r;
    }
    return 0;
}
