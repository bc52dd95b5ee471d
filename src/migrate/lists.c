#include "migrate/lists.h"

/* Longer ones are one value: finding names in them would cost its square. */
enum { LIST_NAMED_MAX = 300 };

static const struct list_row rows[] = {
    {"containers", "name", NULL},
    {"initContainers", "name", NULL},
    {"ephemeralContainers", "name", NULL},
    {"env", "name", NULL},
    {"volumes", "name", NULL},
    {"volumeMounts", "mountPath", NULL},
    {"volumeDevices", "devicePath", NULL},
    {"ports", "containerPort", "protocol"},
    {"ports", "port", "protocol"},
    {"imagePullSecrets", "name", NULL},
    {"secrets", "name", NULL},
    {"hostAliases", "ip", NULL},
    {"resourceClaims", "name", NULL},
    {"topologySpreadConstraints", "topologyKey", "whenUnsatisfiable"},
    {"webhooks", "name", NULL},
    {"versions", "name", NULL},
};

const struct list_row *list_rows(size_t *ret_n) {
    *ret_n = COUNT_OF(rows);
    return rows;
}

static const char *scalar(yyjson_mut_val *v) {
    if (yyjson_mut_is_raw(v))
        return yyjson_mut_get_raw(v);
    return yyjson_mut_get_str(v);
}

const char *list_id(const struct list_row *row, yyjson_mut_val *element, char out[LIST_ID_MAX]) {
    const char *key = scalar(json_mut_get(element, row->key));
    const char *with = row->with ? scalar(json_mut_get(element, row->with)) : NULL;
    if (!key)
        return NULL;
    int n = snprintf(out, LIST_ID_MAX, "%s%s%s", key, with ? " " : "", with ? with : "");
    return n < LIST_ID_MAX ? out : NULL;
}

yyjson_mut_val *list_find(const struct list_row *row, yyjson_mut_val *arr, const char *id) {
    size_t i, max;
    yyjson_mut_val *v;
    char buf[LIST_ID_MAX];
    yyjson_mut_arr_foreach (arr, i, max, v) {
        if (str_eq(list_id(row, v, buf), id))
            return v;
    }
    return NULL;
}

static bool same_name(const struct list_row *row, yyjson_mut_val *x, yyjson_mut_val *y) {
    return str_eq(scalar(json_mut_get(x, row->key)), scalar(json_mut_get(y, row->key))) &&
           (!row->with ||
            str_eq(scalar(json_mut_get(x, row->with)), scalar(json_mut_get(y, row->with))));
}

static bool is_first(const struct list_row *row, yyjson_mut_val *arr, yyjson_mut_val *v) {
    yyjson_mut_arr_iter it = yyjson_mut_arr_iter_with(arr);
    yyjson_mut_val *x;
    while ((x = yyjson_mut_arr_iter_next(&it)) && x != v)
        if (same_name(row, x, v))
            return false;
    return true;
}

static bool all_named(const struct list_row *row, yyjson_mut_val *arr) {
    size_t i, max;
    yyjson_mut_val *v;
    char id[LIST_ID_MAX];
    if (yyjson_mut_arr_size(arr) > LIST_NAMED_MAX)
        return false;
    yyjson_mut_arr_foreach (arr, i, max, v) {
        if (!list_id(row, v, id) || !is_first(row, arr, v))
            return false;
    }
    return max > 0;
}

const struct list_row *list_keyed(const char *field, yyjson_mut_val *arr) {
    if (!yyjson_mut_is_arr(arr))
        return NULL;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (str_eq(rows[i].field, field) && all_named(&rows[i], arr))
            return &rows[i];
    return NULL;
}

static bool holds(yyjson_mut_val *arr, yyjson_mut_val *element) {
    size_t i, max;
    yyjson_mut_val *v;
    yyjson_mut_arr_foreach (arr, i, max, v) {
        if (json_mut_equal(v, element))
            return true;
    }
    return false;
}

static void put_over(yyjson_mut_doc *d, yyjson_mut_val *into, yyjson_mut_val *from) {
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (from, i, max, key, val)
        json_mut_set(d, into, yyjson_mut_get_str(key), yyjson_mut_val_mut_copy(d, val));
}

yyjson_mut_val *list_union(yyjson_mut_doc *d, const char *field, yyjson_mut_val *want,
                           yyjson_mut_val *have) {
    const struct list_row *row = list_keyed(field, want);
    bool named = row && row == list_keyed(field, have);
    yyjson_mut_val *out = yyjson_mut_val_mut_copy(d, have), *v;
    size_t i, max;
    char id[LIST_ID_MAX];
    yyjson_mut_arr_foreach (want, i, max, v) {
        yyjson_mut_val *same = named ? list_find(row, out, list_id(row, v, id)) : NULL;
        if (same)
            put_over(d, same, v);
        else if (!holds(have, v))
            yyjson_mut_arr_append(out, yyjson_mut_val_mut_copy(d, v));
    }
    return out;
}
