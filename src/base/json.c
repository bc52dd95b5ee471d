#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>

static int parse(struct arena *a, char *p, size_t n, yyjson_read_flag flags, yyjson_val **ret,
                 struct err *e) {
    yyjson_alc alc = arena_alc(a);
    yyjson_read_err re;
    yyjson_doc *d = yyjson_read_opts(p, n, flags, &alc, &re);
    if (!d)
        return err_set(e, -EBADMSG, "not valid JSON at byte %zu: %s", re.pos, re.msg);
    *ret = yyjson_doc_get_root(d);
    return 0;
}

int json_parse(struct arena *a, const char *p, size_t n, yyjson_val **ret, struct err *e) {
    return parse(a, (char *)(uintptr_t)p, n, YYJSON_READ_NUMBER_AS_RAW, ret, e);
}

int json_parse_in_place(struct arena *a, char *p, size_t n, yyjson_val **ret, struct err *e) {
    _Static_assert(JSON_PAD >= YYJSON_PADDING_SIZE, "yyjson writes behind the text");
    return parse(a, p, n, YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_INSITU, ret, e);
}

yyjson_val *json_path(yyjson_val *v, ...) {
    va_list ap;
    va_start(ap, v);
    const char *key;
    while (v && (key = va_arg(ap, const char *)))
        v = yyjson_obj_get(v, key);
    va_end(ap);
    return v;
}

yyjson_mut_val *json_mut_path(yyjson_mut_val *v, ...) {
    va_list ap;
    va_start(ap, v);
    const char *key;
    while (v && (key = va_arg(ap, const char *)))
        v = yyjson_mut_obj_get(v, key);
    va_end(ap);
    return v;
}

static int64_t int_of_text(const char *s, int64_t otherwise) {
    if (!s)
        return otherwise;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    return errno || end == s ? otherwise : v;
}

int64_t json_int(yyjson_val *v, int64_t otherwise) {
    if (yyjson_is_int(v))
        return yyjson_get_sint(v);
    return yyjson_is_raw(v) ? int_of_text(yyjson_get_raw(v), otherwise) : otherwise;
}

int64_t json_mut_int(yyjson_mut_val *v, int64_t otherwise) {
    if (yyjson_mut_is_int(v))
        return yyjson_mut_get_sint(v);
    return yyjson_mut_is_raw(v) ? int_of_text(yyjson_mut_get_raw(v), otherwise) : otherwise;
}

char *json_write(struct arena *a, yyjson_val *v, size_t *ret_len) {
    yyjson_alc alc = arena_alc(a);
    size_t n;
    char *s = yyjson_val_write_opts(v, 0, &alc, &n, NULL);
    MUST(s);
    if (ret_len)
        *ret_len = n;
    return s;
}

char *json_mut_write(struct arena *a, yyjson_mut_val *v, size_t *ret_len) {
    yyjson_alc alc = arena_alc(a);
    size_t n;
    char *s = yyjson_mut_val_write_opts(v, 0, &alc, &n, NULL);
    MUST(s);
    if (ret_len)
        *ret_len = n;
    return s;
}

/* One pair of functions for both kinds of tree would cost a copy of every tree; the two walks are
 * short, and generated from one body instead. */
#define DEFINE_CANONICAL(PFX, VAL, NAME, CMP, MEMBER)                                              \
    struct MEMBER {                                                                                \
        VAL *key, *val;                                                                            \
    };                                                                                             \
    static int CMP(const void *x, const void *y) {                                                 \
        return strcmp(PFX##_get_str(((const struct MEMBER *)x)->key),                              \
                      PFX##_get_str(((const struct MEMBER *)y)->key));                             \
    }                                                                                              \
    static void NAME##_obj(struct sb *b, VAL *v) {                                                 \
        size_t n = PFX##_obj_size(v), i = 0, max;                                                  \
        struct MEMBER *m = xcalloc(n, sizeof *m);                                                  \
        VAL *key, *val;                                                                            \
        PFX##_obj_foreach(v, i, max, key, val) m[i] = (struct MEMBER){key, val};                   \
        if (n)                                                                                     \
            qsort(m, n, sizeof *m, CMP);                                                           \
        sb_chr(b, '{');                                                                            \
        for (size_t k = 0; k < n; k++) {                                                           \
            if (k)                                                                                 \
                sb_chr(b, ',');                                                                    \
            sb_json(b, PFX##_get_str(m[k].key), PFX##_get_len(m[k].key));                          \
            sb_chr(b, ':');                                                                        \
            NAME(b, m[k].val);                                                                     \
        }                                                                                          \
        sb_chr(b, '}');                                                                            \
        xfree(m);                                                                                  \
    }                                                                                              \
    static void NAME##_arr(struct sb *b, VAL *v) {                                                 \
        size_t i, max;                                                                             \
        VAL *val;                                                                                  \
        sb_chr(b, '[');                                                                            \
        PFX##_arr_foreach(v, i, max, val) {                                                        \
            if (i)                                                                                 \
                sb_chr(b, ',');                                                                    \
            NAME(b, val);                                                                          \
        }                                                                                          \
        sb_chr(b, ']');                                                                            \
    }                                                                                              \
    void NAME(struct sb *b, VAL *v) {                                                              \
        if (PFX##_is_obj(v))                                                                       \
            NAME##_obj(b, v);                                                                      \
        else if (PFX##_is_arr(v))                                                                  \
            NAME##_arr(b, v);                                                                      \
        else if (PFX##_is_str(v))                                                                  \
            sb_json(b, PFX##_get_str(v), PFX##_get_len(v));                                        \
        else if (PFX##_is_raw(v))                                                                  \
            sb_add(b, PFX##_get_raw(v), PFX##_get_len(v));                                         \
        else if (PFX##_is_bool(v))                                                                 \
            sb_str(b, PFX##_get_bool(v) ? "true" : "false");                                       \
        else if (PFX##_is_uint(v))                                                                 \
            sb_fmt(b, "%llu", (unsigned long long)PFX##_get_uint(v));                              \
        else if (PFX##_is_int(v))                                                                  \
            sb_fmt(b, "%lld", (long long)PFX##_get_sint(v));                                       \
        else if (PFX##_is_num(v))                                                                  \
            sb_fmt(b, "%.17g", PFX##_get_num(v));                                                  \
        else                                                                                       \
            sb_str(b, "null");                                                                     \
    }

DEFINE_CANONICAL(yyjson, yyjson_val, json_canonical, cmp_member, member)
DEFINE_CANONICAL(yyjson_mut, yyjson_mut_val, json_mut_canonical, cmp_mut_member, mut_member)

static bool is_number(yyjson_mut_val *v) {
    return yyjson_mut_is_raw(v) || yyjson_mut_is_num(v);
}

static bool numbers_equal(yyjson_mut_val *a, yyjson_mut_val *b) {
    AUTO_SB x = SB_INIT(0), y = SB_INIT(0);
    json_mut_canonical(&x, a);
    json_mut_canonical(&y, b);
    if (strcmp(sb_get(&x), sb_get(&y)) == 0)
        return true;
    bool integers = !strpbrk(x.p, ".eE") && !strpbrk(y.p, ".eE");
    return !integers && fabs(strtod(x.p, NULL) - strtod(y.p, NULL)) <= 0.0;
}

static bool objects_equal(yyjson_mut_val *a, yyjson_mut_val *b) {
    if (yyjson_mut_obj_size(a) != yyjson_mut_obj_size(b))
        return false;
    size_t i, max;
    yyjson_mut_val *key, *val;
    yyjson_mut_obj_foreach (a, i, max, key, val) {
        yyjson_mut_val *other = yyjson_mut_obj_get(b, yyjson_mut_get_str(key));
        if (!other || !json_mut_equal(val, other))
            return false;
    }
    return true;
}

static bool arrays_equal(yyjson_mut_val *a, yyjson_mut_val *b) {
    if (yyjson_mut_arr_size(a) != yyjson_mut_arr_size(b))
        return false;
    yyjson_mut_arr_iter x = yyjson_mut_arr_iter_with(a), y = yyjson_mut_arr_iter_with(b);
    for (yyjson_mut_val *v; (v = yyjson_mut_arr_iter_next(&x));)
        if (!json_mut_equal(v, yyjson_mut_arr_iter_next(&y)))
            return false;
    return true;
}

bool json_mut_equal(yyjson_mut_val *a, yyjson_mut_val *b) {
    if (!a || !b)
        return a == b;
    if (is_number(a) && is_number(b))
        return numbers_equal(a, b);
    if (yyjson_mut_get_type(a) != yyjson_mut_get_type(b))
        return false;
    if (yyjson_mut_is_obj(a))
        return objects_equal(a, b);
    if (yyjson_mut_is_arr(a))
        return arrays_equal(a, b);
    if (yyjson_mut_is_str(a))
        return yyjson_mut_get_len(a) == yyjson_mut_get_len(b) &&
               memcmp(yyjson_mut_get_str(a), yyjson_mut_get_str(b), yyjson_mut_get_len(a)) == 0;
    return yyjson_mut_get_subtype(a) == yyjson_mut_get_subtype(b);
}

yyjson_mut_doc *json_doc(struct arena *a) {
    yyjson_alc *alc = arena_new_of(a, yyjson_alc);
    *alc = arena_alc(a);
    yyjson_mut_doc *d = yyjson_mut_doc_new(alc);
    MUST(d);
    return d;
}

void json_mut_set(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, yyjson_mut_val *v) {
    yyjson_mut_val *k = yyjson_mut_strcpy(d, key);
    if (yyjson_mut_obj_get(obj, key))
        yyjson_mut_obj_replace(obj, k, v);
    else
        yyjson_mut_obj_add(obj, k, v);
}

void json_mut_set_str(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, const char *s) {
    json_mut_set(d, obj, key, yyjson_mut_strcpy(d, s));
}

void json_mut_set_bool(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, bool v) {
    json_mut_set(d, obj, key, yyjson_mut_bool(d, v));
}

void json_mut_set_int(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key, int64_t v) {
    json_mut_set(d, obj, key, yyjson_mut_sint(d, v));
}

void json_mut_del(yyjson_mut_val *obj, const char *key) {
    if (yyjson_mut_is_obj(obj))
        yyjson_mut_obj_remove_key(obj, key);
}

void json_mut_arr_drop(yyjson_mut_arr_iter *it) {
    yyjson_mut_arr_iter_remove(it);
    it->cur = it->pre;
}

yyjson_mut_val *json_mut_obj_at(yyjson_mut_doc *d, yyjson_mut_val *obj, const char *key) {
    yyjson_mut_val *v = yyjson_mut_obj_get(obj, key);
    if (!yyjson_mut_is_obj(v)) {
        v = yyjson_mut_obj(d);
        json_mut_set(d, obj, key, v);
    }
    return v;
}

void json_pointer_add(struct sb *b, const char *key) {
    sb_chr(b, '/');
    for (; *key; key++) {
        if (*key == '~')
            sb_str(b, "~0");
        else if (*key == '/')
            sb_str(b, "~1");
        else
            sb_chr(b, *key);
    }
}

/* Is there a member of an object? An element of an array is none: adding moves it up. */
static bool is_member(yyjson_mut_val *root, const char *pointer) {
    const char *slash = pointer ? strrchr(pointer, '/') : NULL;
    yyjson_mut_val *parent =
        slash ? yyjson_mut_ptr_getn(root, pointer, (size_t)(slash - pointer)) : NULL;
    return yyjson_mut_is_obj(parent) && yyjson_mut_ptr_get(root, pointer);
}

/* RFC 6902, 4.1: what is added replaces the member of that name; yyjson 0.10 writes a second one
 * beside it. */
static void make_room(yyjson_mut_doc *d, yyjson_mut_val *root, yyjson_mut_val *op) {
    const char *what = json_mut_str(op, "op"), *path = json_mut_str(op, "path");
    const char *from = json_mut_str(op, "from");
    if (!is_member(root, path))
        return;
    if (str_eq(what, "add"))
        json_mut_set_str(d, op, "op", "replace");
    else if ((str_eq(what, "copy") || str_eq(what, "move")) && from && !str_starts(from, path) &&
             yyjson_mut_ptr_get(root, from))
        yyjson_mut_ptr_remove(root, path);
}

int json_patch(yyjson_mut_doc *d, yyjson_mut_val **root, yyjson_val *patch, struct err *e) {
    yyjson_mut_val *p = yyjson_val_mut_copy(d, patch), *op;
    size_t i, max;
    if (!yyjson_mut_is_arr(p))
        return err_set(e, -EINVAL, "JSON patch: it is no list");
    yyjson_mut_arr_foreach (p, i, max, op) {
        yyjson_patch_err pe = {0};
        yyjson_mut_val *one = yyjson_mut_arr(d);
        make_room(d, *root, op);
        yyjson_mut_arr_append(one, yyjson_mut_val_mut_copy(d, op));
        yyjson_mut_val *out = yyjson_mut_patch(d, *root, one, &pe);
        if (!out)
            return err_set(e, -EINVAL, "JSON patch: operation %zu cannot be applied: %s", i + 1,
                           pe.msg ? pe.msg : "invalid");
        *root = out;
    }
    return 0;
}
