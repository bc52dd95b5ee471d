#include "run/config_read.h"

#include <errno.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/file.h"

int config_fail(struct config_reader *rd, yyjson_mut_val *at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(rd->a, fmt, ap);
    va_end(ap);
    struct yaml_mark m = yaml_where(rd->d, at);
    return err_set(rd->e, -EINVAL, "%s:%u:%u: %s", rd->d->file, m.line, m.column, what);
}

yyjson_mut_val *config_at(yyjson_mut_val *obj, const char *key) {
    while (obj && *key) {
        size_t n = strcspn(key, ".");
        obj = yyjson_mut_obj_getn(obj, key, n);
        key += n + (key[n] == '.');
    }
    return yyjson_mut_is_null(obj) ? NULL : obj;
}

const char *const *config_strings(struct config_reader *rd, yyjson_mut_val *list) {
    if (!list)
        return NULL;
    const char **out = arena_array(rd->a, const char *, yyjson_mut_arr_size(list) + 1);
    size_t i, max;
    yyjson_mut_val *x;
    yyjson_mut_arr_foreach (list, i, max, x) {
        out[i] = yyjson_mut_get_str(x);
    }
    return out;
}

static int read_ms(struct config_reader *rd, yyjson_mut_val *v, uint64_t most, uint64_t *ret) {
    struct err why;
    uint64_t ms = 0;
    if (!yyjson_mut_is_str(v)) {
        if (json_mut_int(v, -1) != 0)
            return config_fail(rd, v, "a duration needs its unit: 250ms, 10s, 5m, 1h30m");
    } else if (clock_parse_duration(yyjson_mut_get_str(v), &ms, &why) < 0) {
        return config_fail(rd, v, "%s", why.msg);
    }
    if (ms > most)
        return config_fail(rd, v, "this duration is too long");
    *ret = ms;
    return 0;
}

static int read_ms32(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    uint64_t ms = 0;
    int r = read_ms(rd, v, UINT32_MAX, &ms);
    if (r == 0)
        *(uint32_t *)into = (uint32_t)ms;
    return r;
}

static int read_ms64(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    const uint64_t ten_years = 3650ull * 24 * 3600 * 1000;
    return read_ms(rd, v, ten_years, into);
}

static int read_rate(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    const char *s = yyjson_mut_is_str(v) ? yyjson_mut_get_str(v) : yyjson_mut_get_raw(v);
    double rate = strtod(s, NULL);
    if (str_ends(s, "/m"))
        rate /= 60;
    if (!(rate > 0 && rate <= 100000))
        return config_fail(rd, v, "the rate must be above 0 and at most 100000/s");
    *(double *)into = rate;
    return 0;
}

static int read_share(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    (void)rd;
    *(double *)into = strtod(yyjson_mut_get_str(v), NULL) / 100;
    return 0;
}

static int read_string(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    (void)rd;
    *(const char **)into = yyjson_mut_get_str(v);
    return 0;
}

static int read_path(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    *(const char **)into = file_resolve(rd->a, rd->dir, yyjson_mut_get_str(v));
    return 0;
}

static int read_bool(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    (void)rd;
    *(bool *)into = yyjson_mut_get_bool(v);
    return 0;
}

static int read_int(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    (void)rd;
    *(int *)into = (int)json_mut_int(v, 0); /* the schema keeps it small */
    return 0;
}

static int read_u32(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    (void)rd;
    *(uint32_t *)into = (uint32_t)json_mut_int(v, 0);
    return 0;
}

static int read_list(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    *(const char *const **)into = config_strings(rd, v);
    return 0;
}

static int read_tree(struct config_reader *rd, yyjson_mut_val *v, void *into) {
    (void)rd;
    *(yyjson_mut_val **)into = v;
    return 0;
}

static int (*const readers[])(struct config_reader *rd, yyjson_mut_val *v, void *into) = {
    [FIELD_STRING] = read_string, [FIELD_PATH] = read_path, [FIELD_BOOL] = read_bool,
    [FIELD_INT] = read_int,       [FIELD_U32] = read_u32,   [FIELD_MS32] = read_ms32,
    [FIELD_MS64] = read_ms64,     [FIELD_RATE] = read_rate, [FIELD_SHARE] = read_share,
    [FIELD_LIST] = read_list,     [FIELD_TREE] = read_tree,
};

int config_fields(struct config_reader *rd, yyjson_mut_val *obj, const struct field *t, size_t n,
                  void *into) {
    int r = 0;
    for (size_t i = 0; i < n && r >= 0; i++) {
        yyjson_mut_val *v = config_at(obj, t[i].key);
        if (v)
            r = readers[t[i].how](rd, v, (char *)into + t[i].offset);
    }
    return r;
}
