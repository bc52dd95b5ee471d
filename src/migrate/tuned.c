#include "migrate/tuned.h"

#include "migrate/facts.h"

enum { NAMED_MAX = 5 };

/* What was found so far: the first few by name, all by number. */
struct telling {
    struct sb names;
    size_t n;
};

static struct sb *next(struct telling *t) {
    if (t->n++ >= NAMED_MAX)
        return NULL;
    sb_str(&t->names, t->n > 1 ? ", " : "");
    return &t->names;
}

/* --- subjects --- */

static bool same_subject(yyjson_val *x, yyjson_val *y) {
    return str_eq(json_str(x, "kind"), json_str(y, "kind")) &&
           str_eq(json_str(x, "name"), json_str(y, "name")) &&
           str_eq(json_str(x, "namespace"), json_str(y, "namespace"));
}

static bool has_subject(yyjson_val *binding, yyjson_val *subject) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(binding, "subjects"), i, max, x) {
        if (same_subject(x, subject))
            return true;
    }
    return false;
}

static void tell_subjects(struct telling *t, yyjson_val *src, yyjson_val *dst) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(src, "subjects"), i, max, x) {
        const char *kind = json_str(x, "kind"), *ns = json_str(x, "namespace");
        struct sb *b = has_subject(dst, x) ? NULL : next(t);
        if (b)
            sb_fmt(b, "subject %s %s%s%s", kind ? kind : "?", ns ? ns : "", ns ? "/" : "",
                   json_str(x, "name") ? json_str(x, "name") : "?");
    }
}

/* --- rights --- */

/* One of the many that a rule grants; name NULL: of any name. */
struct right {
    const char *verb, *group, *resource, *name, *url;
};

static bool lists(yyjson_val *list, const char *s, bool any) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (list, i, max, x) {
        const char *v = yyjson_get_str(x);
        if (str_eq(v, s) || (any && str_eq(v, "*")))
            return true;
    }
    return false;
}

/* "pods/log" is in "*" and in "*" "/log" (k8s.io/kubernetes pkg/apis/rbac/v1 ResourceMatches). */
static bool lists_resource(yyjson_val *list, const char *resource) {
    char all[256];
    const char *sub = strchr(resource, '/');
    snprintf(all, sizeof all, "*%s", sub ? sub : "");
    return lists(list, resource, true) || (sub && lists(list, all, false));
}

static bool lists_url(yyjson_val *list, const char *url) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (list, i, max, x) {
        if (str_glob(yyjson_get_str(x), url)) /* a * stands at the end alone */
            return true;
    }
    return false;
}

static bool grants(yyjson_val *rule, const struct right *r) {
    yyjson_val *names = json_get(rule, "resourceNames");
    if (!lists(json_get(rule, "verbs"), r->verb, true))
        return false;
    if (r->url)
        return lists_url(json_get(rule, "nonResourceURLs"), r->url);
    return lists(json_get(rule, "apiGroups"), r->group, true) &&
           lists_resource(json_get(rule, "resources"), r->resource) &&
           (!yyjson_arr_size(names) || (r->name && lists(names, r->name, false)));
}

static void tell_right(struct telling *t, yyjson_val *dst, const struct right *r) {
    size_t i, max;
    yyjson_val *rule;
    yyjson_arr_foreach (json_get(dst, "rules"), i, max, rule) {
        if (grants(rule, r))
            return;
    }
    struct sb *b = next(t);
    if (b && r->url)
        sb_fmt(b, "%s %s", r->verb, r->url);
    else if (b)
        sb_fmt(b, "%s %s%s%s%s%s", r->verb, r->resource, *r->group ? "." : "", r->group,
               r->name ? " " : "", r->name ? r->name : "");
}

static void tell_names(struct telling *t, yyjson_val *dst, yyjson_val *rule, struct right r) {
    size_t i, max;
    yyjson_val *x, *names = json_get(rule, "resourceNames");
    if (!yyjson_arr_size(names))
        tell_right(t, dst, &r);
    yyjson_arr_foreach (names, i, max, x) {
        r.name = yyjson_get_str(x);
        tell_right(t, dst, &r);
    }
}

static void tell_verb(struct telling *t, yyjson_val *dst, yyjson_val *rule, const char *verb) {
    size_t i, max, k, n;
    yyjson_val *x, *y;
    yyjson_arr_foreach (json_get(rule, "nonResourceURLs"), i, max, x) {
        tell_right(t, dst, &(struct right){.verb = verb, .url = yyjson_get_str(x)});
    }
    yyjson_arr_foreach (json_get(rule, "apiGroups"), i, max, x) {
        yyjson_arr_foreach (json_get(rule, "resources"), k, n, y) {
            tell_names(t, dst, rule,
                       (struct right){.verb = verb,
                                      .group = yyjson_get_str(x),
                                      .resource = yyjson_get_str(y)});
        }
    }
}

static void tell_rights(struct telling *t, yyjson_val *src, yyjson_val *dst) {
    size_t i, max, k, n;
    yyjson_val *rule, *verb;
    if (facts_system_made(src) || json_get(src, "aggregationRule"))
        return;
    yyjson_arr_foreach (json_get(src, "rules"), i, max, rule) {
        yyjson_arr_foreach (json_get(rule, "verbs"), k, n, verb) {
            tell_verb(t, dst, rule, yyjson_get_str(verb));
        }
    }
}

const char *tuned_rbac(struct arena *a, yyjson_val *src, yyjson_val *dst) {
    struct telling t = {.names = SB_INIT(0)};
    tell_subjects(&t, src, dst);
    tell_rights(&t, src, dst);
    const char *text = NULL;
    if (t.n > NAMED_MAX)
        text = arena_printf(a, "only the source's has %s and %zu more", t.names.p, t.n - NAMED_MAX);
    else if (t.n)
        text = arena_printf(a, "only the source's has %s", t.names.p);
    sb_done(&t.names);
    return text;
}
