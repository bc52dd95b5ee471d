#include "base/schema.h"

#include <errno.h>
#include <regex.h>
#include <stdarg.h>

#include "base/str.h"

enum {
    MAX_REF_DEPTH = 200, /* data is at most 64 deep; the rest would be a $ref loop */
    MAX_CANDIDATES = 64,
};

struct complaint {
    struct yaml_mark at;
    char *text;
};

struct checker {
    const struct yaml_doc *d;
    yyjson_val *root;
    struct sb path; /* "traffic.tiers.web", "" at the top */
    struct complaint found[SCHEMA_MAX_ERRORS];
    unsigned n, depth;
};

static void check(struct checker *c, yyjson_val *s, yyjson_mut_val *v);

PRINTF_LIKE(3, 4)
static void complain(struct checker *c, yyjson_mut_val *where, const char *fmt, ...) {
    if (c->n == SCHEMA_MAX_ERRORS)
        return;
    AUTO_SB b = SB_INIT(512);
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sb_fmt(&b, "%s%s%s", sb_get(&c->path), c->path.len ? ": " : "", text);
    c->found[c->n++] = (struct complaint){yaml_where(c->d, where), sb_take(&b)};
}

static void path_key(struct checker *c, const char *key) {
    sb_fmt(&c->path, "%s%.80s", c->path.len ? "." : "", key);
}

static void path_cut(struct checker *c, size_t len) {
    if (c->path.p)
        c->path.p[len] = 0;
    c->path.len = len;
}

/* --- types --- */

static bool is_number(yyjson_mut_val *v) {
    return yyjson_mut_is_raw(v) || yyjson_mut_is_num(v);
}

static double number_of(yyjson_mut_val *v) {
    return yyjson_mut_is_raw(v) ? strtod(yyjson_mut_get_raw(v), NULL) : yyjson_mut_get_num(v);
}

static double schema_number(yyjson_val *v) {
    return yyjson_is_raw(v) ? strtod(yyjson_get_raw(v), NULL) : yyjson_get_num(v);
}

static bool is_integer(yyjson_mut_val *v) {
    if (!yyjson_mut_is_raw(v))
        return yyjson_mut_is_int(v);
    const char *s = yyjson_mut_get_raw(v);
    s += *s == '-';
    return *s && strspn(s, "0123456789") == strlen(s);
}

static bool is_string(yyjson_mut_val *v) {
    return yyjson_mut_is_str(v);
}
static bool is_bool(yyjson_mut_val *v) {
    return yyjson_mut_is_bool(v);
}
static bool is_array(yyjson_mut_val *v) {
    return yyjson_mut_is_arr(v);
}
static bool is_object(yyjson_mut_val *v) {
    return yyjson_mut_is_obj(v);
}
static bool is_null(yyjson_mut_val *v) {
    return yyjson_mut_is_null(v);
}

/* "integer" stands before "number", which holds it: the first that fits names a value. */
static const struct type {
    const char *name, *words;
    bool (*is)(yyjson_mut_val *v);
} types[] = {
    {"object", "a mapping", is_object}, {"array", "a list", is_array},
    {"string", "a string", is_string},  {"integer", "a whole number", is_integer},
    {"number", "a number", is_number},  {"boolean", "true or false", is_bool},
    {"null", "empty", is_null},
};

static const struct type *type_named(const char *name) {
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (str_eq(types[i].name, name))
            return &types[i];
    return NULL;
}

static const char *words_for(yyjson_mut_val *v) {
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].is(v))
            return types[i].words;
    return "something else";
}

/* The i-th type that the keyword allows (it is one name or a list of names), or NULL. */
static const struct type *allowed_type(yyjson_val *k, size_t i) {
    if (yyjson_is_arr(k))
        return type_named(yyjson_get_str(yyjson_arr_get(k, i)));
    return i == 0 ? type_named(yyjson_get_str(k)) : NULL;
}

static bool type_fits(yyjson_val *s, yyjson_mut_val *v) {
    yyjson_val *k = yyjson_obj_get(s, "type");
    const struct type *t = NULL;
    for (size_t i = 0; (t = allowed_type(k, i)); i++)
        if (t->is(v))
            return true;
    return !k;
}

static void check_type(struct checker *c, yyjson_val *s, yyjson_mut_val *v) {
    yyjson_val *k = yyjson_obj_get(s, "type");
    AUTO_SB b = SB_INIT(200);
    const struct type *t;
    for (size_t i = 0; (t = allowed_type(k, i)); i++)
        sb_fmt(&b, "%s%s", i ? " or " : "", t->words);
    complain(c, v, "must be %s, not %s", sb_get(&b), words_for(v));
}

/* --- keywords: each is called only for values of the type it speaks about --- */

static yyjson_val *resolve(yyjson_val *root, const char *ref) {
    static const char prefix[] = "#/$defs/";
    if (!str_starts(ref, prefix))
        return NULL;
    return yyjson_obj_get(yyjson_obj_get(root, "$defs"), ref + sizeof prefix - 1);
}

static void kw_ref(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    yyjson_val *target = resolve(c->root, yyjson_get_str(k));
    MUST(target);
    check(c, target, v);
}

static bool equals(yyjson_val *want, yyjson_mut_val *v) {
    if (yyjson_is_str(want))
        return yyjson_mut_is_str(v) && str_eq(yyjson_get_str(want), yyjson_mut_get_str(v));
    if (yyjson_is_bool(want))
        return yyjson_mut_is_bool(v) && yyjson_get_bool(want) == yyjson_mut_get_bool(v);
    return is_number(v) && number_of(v) == schema_number(want);
}

static const char *nearest(const char *s, const char *const *names, size_t n, struct sb *b) {
    const char *near = s ? str_nearest(s, names, n) : NULL;
    if (near)
        sb_fmt(b, "; did you mean \"%s\"?", near);
    return sb_get(b);
}

static void kw_enum(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    const char *names[MAX_CANDIDATES];
    size_t i, max, n = 0;
    yyjson_val *x;
    AUTO_SB list = SB_INIT(300);
    AUTO_SB hint = SB_INIT(200);
    yyjson_arr_foreach (k, i, max, x) {
        if (equals(x, v))
            return;
        if (yyjson_is_str(x) && n < MAX_CANDIDATES) {
            sb_fmt(&list, "%s%s", n ? ", " : "", yyjson_get_str(x));
            names[n++] = yyjson_get_str(x);
        }
    }
    complain(c, v, "must be one of %s%s", sb_get(&list),
             nearest(yyjson_mut_get_str(v), names, n, &hint));
}

static void kw_const(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    if (equals(k, v))
        return;
    AUTO_SB b = SB_INIT(200);
    if (yyjson_is_str(k))
        sb_fmt(&b, " \"%s\"", yyjson_get_str(k));
    complain(c, v, "must be%s", b.len ? sb_get(&b) : " the one value that is allowed here");
}

static void kw_pattern(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    regex_t re;
    MUST(regcomp(&re, yyjson_get_str(k), REG_EXTENDED | REG_NOSUB) == 0);
    bool ok = regexec(&re, yyjson_mut_get_str(v), 0, NULL, 0) == 0;
    regfree(&re);
    if (ok)
        return;
    AUTO_SB b = SB_INIT(200);
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (yyjson_obj_get(s, "examples"), i, max, x) {
        if (yyjson_is_str(x))
            sb_fmt(&b, "%s%s", b.len ? ", " : "", yyjson_get_str(x));
    }
    if (b.len)
        complain(c, v, "must be written like %s", sb_get(&b));
    else
        complain(c, v, "must match %s", yyjson_get_str(k));
}

static void kw_minimum(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    if (number_of(v) < schema_number(k))
        complain(c, v, "must be at least %g", schema_number(k));
}

static void kw_maximum(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    if (number_of(v) > schema_number(k))
        complain(c, v, "must be at most %g", schema_number(k));
}

static void kw_min_items(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    if ((double)yyjson_mut_arr_size(v) < schema_number(k))
        complain(c, v, "needs at least %g item%s", schema_number(k),
                 schema_number(k) > 1 ? "s" : "");
}

static void kw_min_length(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    if ((double)yyjson_mut_get_len(v) < schema_number(k))
        complain(c, v, "must not be empty");
}

static void kw_required(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (k, i, max, x) {
        yyjson_mut_val *m = yyjson_mut_obj_get(v, yyjson_get_str(x));
        if (!m || yyjson_mut_is_null(m))
            complain(c, v, "key \"%s\" is missing", yyjson_get_str(x));
    }
}

static void unknown_key(struct checker *c, yyjson_val *props, yyjson_mut_val *key) {
    const char *names[MAX_CANDIDATES];
    size_t i, max, n = 0;
    yyjson_val *k, *x;
    if (props) { /* the macro computes NULL + 1 otherwise */
        json_obj_foreach (props, i, max, k, x) {
            if (n < MAX_CANDIDATES)
                names[n++] = yyjson_get_str(k);
        }
    }
    AUTO_SB hint = SB_INIT(200);
    const char *name = yyjson_mut_get_str(key);
    complain(c, key, "unknown key \"%.80s\"%s", name, nearest(name, names, n, &hint));
}

/* Whether a member that is there without a value is to be looked at: only where null is a value. */
static bool takes_null(struct checker *c, yyjson_val *s, yyjson_mut_val *null) {
    yyjson_val *ref = yyjson_obj_get(s, "$ref");
    return type_fits(s, null) &&
           (!ref || takes_null(c, resolve(c->root, yyjson_get_str(ref)), null));
}

/* Both keywords in one walk, so that complaints come in the order of the file. */
static void check_members(struct checker *c, yyjson_val *s, yyjson_mut_val *v) {
    yyjson_val *props = yyjson_obj_get(s, "properties");
    yyjson_val *more = yyjson_obj_get(s, "additionalProperties");
    size_t i, max, len = c->path.len;
    yyjson_mut_val *key, *x;
    yyjson_mut_obj_foreach (v, i, max, key, x) {
        yyjson_val *sub = yyjson_obj_get(props, yyjson_mut_get_str(key));
        sub = sub ? sub : more;
        if (yyjson_is_false(sub)) {
            unknown_key(c, props, key);
        } else if (yyjson_is_obj(sub) && (!is_null(x) || takes_null(c, sub, x))) {
            path_key(c, yyjson_mut_get_str(key));
            check(c, sub, x);
            path_cut(c, len);
        }
    }
}

static void kw_items(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v) {
    (void)s;
    size_t i, max, len = c->path.len;
    yyjson_mut_val *x;
    yyjson_mut_arr_foreach (v, i, max, x) {
        sb_fmt(&c->path, "[%zu]", i);
        check(c, k, x);
        path_cut(c, len);
    }
}

/* NULL `check`: read elsewhere (type, members), or an annotation. NULL `is`: every type. */
static const struct keyword {
    const char *name;
    bool (*is)(yyjson_mut_val *v);
    void (*check)(struct checker *c, yyjson_val *s, yyjson_val *k, yyjson_mut_val *v);
} keywords[] = {
    {"$ref", NULL, kw_ref},
    {"enum", NULL, kw_enum},
    {"const", NULL, kw_const},
    {"pattern", is_string, kw_pattern},
    {"minLength", is_string, kw_min_length},
    {"minimum", is_number, kw_minimum},
    {"maximum", is_number, kw_maximum},
    {"minItems", is_array, kw_min_items},
    {"items", is_array, kw_items},
    {"required", is_object, kw_required},
    {"type", NULL, NULL},
    {"properties", NULL, NULL},
    {"additionalProperties", NULL, NULL},
    {"title", NULL, NULL},
    {"description", NULL, NULL},
    {"default", NULL, NULL},
    {"examples", NULL, NULL},
    {"$schema", NULL, NULL},
    {"$id", NULL, NULL},
    {"$defs", NULL, NULL},
};

static void check(struct checker *c, yyjson_val *s, yyjson_mut_val *v) {
    MUST(c->depth < MAX_REF_DEPTH);
    if (!type_fits(s, v)) {
        check_type(c, s, v);
        return; /* the other keywords would only say so again */
    }
    /* C code behind us would see only the first half of such a string. */
    if (is_string(v) && strlen(yyjson_mut_get_str(v)) != yyjson_mut_get_len(v))
        complain(c, v, "must not contain a NUL character");
    c->depth++;
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        yyjson_val *k = keywords[i].check ? yyjson_obj_get(s, keywords[i].name) : NULL;
        if (k && (!keywords[i].is || keywords[i].is(v)))
            keywords[i].check(c, s, k, v);
    }
    if (yyjson_mut_is_obj(v))
        check_members(c, s, v);
    c->depth--;
}

static int by_place(const void *x, const void *y) {
    const struct complaint *a = x, *b = y;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    return (a->at.column > b->at.column) - (a->at.column < b->at.column);
}

static int report(struct checker *c, struct err *e) {
    AUTO_SB b = SB_INIT(1 << 16);
    size_t fits = 0; /* whole lines that e has room for */
    if (c->n > 1)
        qsort(c->found, c->n, sizeof c->found[0], by_place);
    for (unsigned i = 0; i < c->n; i++) {
        const struct complaint *x = &c->found[i];
        sb_fmt(&b, "%s%s:%u:%u: %s", i ? "\n" : "", c->d->file, x->at.line, x->at.column, x->text);
        xfree(c->found[i].text);
        if (!fits || b.len < sizeof e->msg)
            fits = b.len;
    }
    return c->n ? err_set(e, -EINVAL, "%.*s", (int)fits, sb_get(&b)) : 0;
}

int schema_check(yyjson_val *schema, const struct yaml_doc *d, struct err *e) {
    struct checker c = {.d = d, .root = schema, .path = SB_INIT(300)};
    check(&c, schema, d->root);
    sb_done(&c.path);
    return report(&c, e);
}

/* --- the schema itself --- */

static int lint(yyjson_val *root, yyjson_val *s, struct err *e);

static int lint_each(yyjson_val *root, yyjson_val *map, struct err *e) {
    size_t i, max;
    yyjson_val *k, *x;
    int r = 0;
    json_obj_foreach (map, i, max, k, x) {
        if ((r = lint(root, x, e)) < 0)
            return err_ctx(e, r, "%s", yyjson_get_str(k));
    }
    return r;
}

static int lint_keyword(yyjson_val *root, const char *name, yyjson_val *k, struct err *e) {
    size_t i = 0;
    while (i < COUNT_OF(keywords) && !str_eq(keywords[i].name, name))
        i++;
    if (i == COUNT_OF(keywords))
        return err_set(e, -EINVAL, "keyword \"%s\" is not understood", name);
    if (str_eq(name, "properties") || str_eq(name, "$defs"))
        return lint_each(root, k, e);
    if (str_eq(name, "items") || (str_eq(name, "additionalProperties") && !yyjson_is_bool(k)))
        return lint(root, k, e);
    if (str_eq(name, "$ref") && !resolve(root, yyjson_get_str(k)))
        return err_set(e, -EINVAL, "$ref %s leads nowhere", yyjson_get_str(k));
    if (str_eq(name, "type") && !allowed_type(k, 0))
        return err_set(e, -EINVAL, "unknown type");
    regex_t re;
    if (str_eq(name, "pattern")) {
        if (regcomp(&re, yyjson_get_str(k), REG_EXTENDED | REG_NOSUB) != 0)
            return err_set(e, -EINVAL, "pattern %s cannot be compiled", yyjson_get_str(k));
        regfree(&re);
    }
    return 0;
}

static int lint(yyjson_val *root, yyjson_val *s, struct err *e) {
    size_t i, max;
    yyjson_val *k, *x;
    if (!yyjson_is_obj(s))
        return err_set(e, -EINVAL, "a schema must be an object");
    json_obj_foreach (s, i, max, k, x) {
        int r = lint_keyword(root, yyjson_get_str(k), x, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int schema_lint(yyjson_val *schema, struct err *e) {
    return lint(schema, schema, e);
}
