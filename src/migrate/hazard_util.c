#include <ctype.h>
#include <strings.h>

#include "migrate/hazards_impl.h"
#include "migrate/rules.h"

static void each_string_at(yyjson_val *v, struct sb *at,
                           void (*fn)(void *ctx, const char *at, const char *text), void *ctx) {
    size_t i, max, mark = at->len;
    yyjson_val *k, *x;
    if (yyjson_is_str(v))
        fn(ctx, sb_get(at), yyjson_get_str(v));
    json_obj_foreach (yyjson_is_obj(v) ? v : NULL, i, max, k, x) {
        json_pointer_add(at, yyjson_get_str(k));
        each_string_at(x, at, fn, ctx);
        at->len = mark;
    }
    yyjson_arr_foreach (v, i, max, x) { /* none when it is no array */
        sb_fmt(at, "/%zu", i);
        each_string_at(x, at, fn, ctx);
        at->len = mark;
    }
    if (at->p)
        at->p[mark] = 0;
}

void each_string(yyjson_val *v, const char *at,
                 void (*fn)(void *ctx, const char *at, const char *text), void *ctx) {
    AUTO_SB b = SB_INIT(1 << 16);
    sb_str(&b, at);
    each_string_at(v, &b, fn, ctx);
}

static void each_of(struct look *l, yyjson_val *c, const char *at, bool init,
                    void (*fn)(struct look *, const struct word *)) {
    static const char *const lists[] = {"command", "args"};
    char path[160];
    size_t i, max;
    yyjson_val *x;
    snprintf(path, sizeof path, "%s/image", at);
    const char *image = json_str(c, "image");
    fn(l, &(struct word){path, "image", image ? image : "", init});
    for (size_t k = 0; k < COUNT_OF(lists); k++)
        yyjson_arr_foreach (json_get(c, lists[k]), i, max, x) {
            snprintf(path, sizeof path, "%s/%s/%zu", at, lists[k], i);
            const char *text = yyjson_get_str(x);
            fn(l, &(struct word){path, lists[k], text ? text : "", init});
        }
    yyjson_arr_foreach (json_get(c, "env"), i, max, x) {
        snprintf(path, sizeof path, "%s/env/%zu", at, i);
        const char *name = json_str(x, "name"), *value = json_str(x, "value");
        fn(l, &(struct word){path, name ? name : "", value ? value : "", init});
    }
}

void each_word(struct look *l, void (*fn)(struct look *l, const struct word *w)) {
    static const char *const lists[] = {"containers", "initContainers"};
    for (size_t k = 0; k < COUNT_OF(lists); k++) {
        size_t i, max;
        yyjson_val *c;
        yyjson_arr_foreach (json_get(l->pod, lists[k]), i, max, c) {
            char at[64];
            snprintf(at, sizeof at, "/%s/%zu", lists[k], i);
            each_of(l, c, at, k == 1, fn);
        }
    }
}

bool served_there(const struct look *l, const char *group, const char *version, const char *kind) {
    const struct kube_discovery *d = world_discovery(l->sc->w, true);
    if (d)
        return kube_discovery_find(d, group, version, kind);
    const struct kind *k = world_kind_of(l->sc->w, group, kind); /* all that is known offline */
    return k && k->dst && (!version || str_eq(k->dst->version, version));
}

static double scale_of(const char *suffix) {
    static const struct {
        const char *suffix;
        double scale;
    } table[] = {{"", 1},        {"n", 1e-9},    {"u", 1e-6},    {"m", 1e-3},
                 {"k", 1e3},     {"M", 1e6},     {"G", 1e9},     {"T", 1e12},
                 {"P", 1e15},    {"E", 1e18},    {"Ki", 0x1p10}, {"Mi", 0x1p20},
                 {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60}};
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (str_eq(table[i].suffix, suffix))
            return table[i].scale;
    return 0;
}

/* k8s.io/apimachinery resource.ParseQuantity: decimal and binary suffixes, or an exponent. */
double quantity_of(yyjson_val *v) {
    const char *s = yyjson_is_str(v) ? yyjson_get_str(v) : yyjson_get_raw(v);
    char number[48];
    if (!s)
        return 0;
    size_t n = strspn(s, "+-0123456789.");
    if ((s[n] == 'e' || s[n] == 'E') && s[n + 1]) /* 1E is exa */
        n += 1 + strspn(s + n + 1, "+-0123456789");
    if (n >= sizeof number)
        return 0;
    snprintf(number, sizeof number, "%.*s", (int)n, s);
    return strtod(number, NULL) * scale_of(s + n);
}

bool labels_have(yyjson_val *labels, yyjson_val *wanted) {
    size_t i, max;
    yyjson_val *k, *v;
    json_obj_foreach (wanted, i, max, k, v) {
        if (!str_eq(json_str(labels, yyjson_get_str(k)), yyjson_get_str(v)))
            return false;
    }
    return true;
}

static bool listed(yyjson_val *values, const char *s) {
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach (values, i, max, v) {
        if (str_eq(yyjson_get_str(v), s))
            return true;
    }
    return false;
}

/* k8s.io/component-helpers scheduling/corev1/nodeaffinity; NotIn is true where the key is absent.
 */
static bool expression_matches(yyjson_val *x, yyjson_val *labels) {
    const char *op = json_str(x, "operator"), *has = json_str(labels, json_str(x, "key"));
    yyjson_val *values = json_get(x, "values");
    if (str_eq(op, "In"))
        return has && listed(values, has);
    if (str_eq(op, "NotIn"))
        return !has || !listed(values, has);
    if (str_eq(op, "Exists"))
        return has;
    if (str_eq(op, "DoesNotExist"))
        return !has;
    const char *limit = yyjson_get_str(yyjson_arr_get_first(values));
    if (!has || !limit)
        return false;
    long long a = strtoll(has, NULL, 10), b = strtoll(limit, NULL, 10);
    return str_eq(op, "Gt") ? a > b : str_eq(op, "Lt") && a < b;
}

bool expressions_match(yyjson_val *list, yyjson_val *labels) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (list, i, max, x) {
        if (!json_str(x, "key") || !expression_matches(x, labels))
            return false;
    }
    return true;
}

bool selector_matches(yyjson_val *selector, yyjson_val *labels) {
    return labels_have(labels, json_get(selector, "matchLabels")) &&
           expressions_match(json_get(selector, "matchExpressions"), labels);
}

yyjson_val *json_keep(struct arena *a, yyjson_val *v) {
    size_t n;
    yyjson_val *copy = NULL;
    if (v) {
        const char *text = json_write(a, v, &n);
        MUST(json_parse(a, text, n, &copy, NULL) == 0);
    }
    return copy;
}

bool runs_replicas(const struct look *l) {
    static const char *const kinds[] = {"Deployment", "StatefulSet", "Rollout"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_eq(l->kind->kind, kinds[i]))
            return true;
    return false;
}

bool will_be_there(const struct object *o) {
    return o && object_goes_over(o);
}

const char *text_has(const char *text, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (text && strcasestr(text, words[i]))
            return words[i];
    return NULL;
}

static bool ends(const char *s, size_t n, const char *with) {
    size_t k = strlen(with);
    return n > k && strncasecmp(s + n - k, with, k) == 0;
}

bool outside_host(const char *host, size_t n) {
    char buf[64];
    struct ip_range ip;
    if (n < 4 || n >= 254 || ends(host, n, ".svc") || ends(host, n, ".cluster.local") ||
        ends(host, n, ".local") || strncmp(host, "127.", 4) == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)host[i]) && host[i] != '.' && host[i] != '-')
            return false;
    snprintf(buf, sizeof buf, "%.*s", (int)n, host);
    if (ip_range_parse(buf, &ip))
        return true;
    /* name.namespace is a Service; a name with two dots or more is none */
    const char *dot = memchr(host, '.', n);
    return dot && memchr(dot + 1, '.', n - (size_t)(dot + 1 - host));
}

bool system_ns(const char *ns) {
    return rules_system_namespace(ns) || rules_tandem_namespace(ns);
}

const char *annotation_at(struct look *l, const char *key) {
    AUTO_SB b = SB_INIT(0);
    sb_str(&b, "/metadata/annotations");
    json_pointer_add(&b, key);
    return arena_strdup(l->sc->out->a, sb_get(&b));
}
