/* hazards.silence: what the operator has looked at. */
#include "migrate/hazards.h"
#include "run/config_impl.h"

static const struct field silence_fields[] = {
    {"id", FIELD_STRING, offsetof(struct silence, id)},
    {"match.kind", FIELD_STRING, offsetof(struct silence, kind)},
    {"match.name", FIELD_STRING, offsetof(struct silence, name)},
    {"match.namespace", FIELD_STRING, offsetof(struct silence, namespace)},
    {"why", FIELD_STRING, offsetof(struct silence, why)},
};

/* The nearest id by spelling, or the first one of the same number. */
static const char *nearest(struct config_reader *rd, const char *id) {
    size_t n;
    const struct finding_id *all = finding_ids(rd->a, &n);
    const char **names = arena_array(rd->a, const char *, n);
    for (size_t i = 0; i < n; i++)
        names[i] = all[i].id;
    const char *near = str_nearest(id, names, n);
    for (size_t i = 0; !near && i < n; i++)
        if (finding_id_number(id) && finding_id_number(id) == finding_id_number(names[i]))
            near = names[i];
    return near;
}

static int check_id(struct config_reader *rd, yyjson_mut_val *v, const char *id) {
    if (finding_id_of(id).text)
        return 0;
    const char *near = nearest(rd, id);
    return near ? config_fail(rd, config_at(v, "id"),
                              "doctor finds nothing of the id \"%.80s\"; did you mean \"%s\"?", id,
                              near)
                : config_fail(
                      rd, config_at(v, "id"),
                      "doctor finds nothing of the id \"%.80s\"; docs/HAZARDS.md has them all", id);
}

int config_hazards(struct config_reader *rd, yyjson_mut_val *hazards, struct config *c) {
    yyjson_mut_val *list = config_at(hazards, "silence"), *v;
    size_t i, max;
    c->silences = arena_array(rd->a, struct silence, yyjson_mut_arr_size(list) + 1);
    yyjson_mut_arr_foreach (list, i, max, v) {
        struct silence *s = &c->silences[c->n_silences++];
        int r = config_fields(rd, v, silence_fields, COUNT_OF(silence_fields), s);
        if (r < 0 || (r = check_id(rd, v, s->id)) < 0)
            return r;
    }
    return 0;
}
