#include "run/config_impl.h"

#include <errno.h>

/* Names end up in file names, metrics and messages. */
static int check_name(struct config_reader *rd, yyjson_mut_val *key, const char *what) {
    const char *s = yyjson_mut_get_str(key);
    size_t n = strlen(s);
    bool ok = n && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
              s[0] != '-' && s[n - 1] != '-';
    return ok ? 0
              : config_fail(rd, key,
                            "the name of a %s takes lower-case letters, digits and - inside, 63 "
                            "at most",
                            what);
}

/* --- rules --- */

static const struct field rule_fields[] = {
    {"match.group", FIELD_STRING, offsetof(struct config_rule, group)},
    {"match.kind", FIELD_STRING, offsetof(struct config_rule, kind)},
    {"match.name", FIELD_STRING, offsetof(struct config_rule, name)},
    {"match.namespace", FIELD_STRING, offsetof(struct config_rule, namespace)},
    {"match.labels", FIELD_STRING, offsetof(struct config_rule, labels)},
    {"verdict", FIELD_STRING, offsetof(struct config_rule, verdict)},
    {"why", FIELD_STRING, offsetof(struct config_rule, why)},
    {"patch", FIELD_TREE, offsetof(struct config_rule, patch)},
    {"overwrite", FIELD_BOOL, offsetof(struct config_rule, overwrite)},
    {"recreate", FIELD_BOOL, offsetof(struct config_rule, recreate)},
};

static int check_patch(struct config_reader *rd, yyjson_mut_val *patch) {
    static const struct {
        const char *op, *needs;
    } table[] = {{"add", "value"}, {"replace", "value"}, {"test", "value"},
                 {"move", "from"}, {"copy", "from"},     {"remove", NULL}};
    size_t i, max;
    yyjson_mut_val *x;
    yyjson_mut_arr_foreach (patch, i, max, x) {
        for (size_t k = 0; k < COUNT_OF(table); k++)
            if (str_eq(table[k].op, json_mut_str(x, "op")) && table[k].needs &&
                !yyjson_mut_obj_get(x, table[k].needs))
                return config_fail(rd, x, "patch operation %s needs \"%s\"", table[k].op,
                                   table[k].needs);
    }
    return 0;
}

static int check_rule(struct config_reader *rd, yyjson_mut_val *v, const struct config_rule *r) {
    if (!r->group && !r->kind && !r->name && !r->namespace && !r->labels)
        return config_fail(rd, v, "this rule has no condition and would match every object");
    bool left = str_eq(r->verdict, "skip") || str_eq(r->verdict, "block");
    if (!r->verdict && !r->patch && !r->overwrite && !r->recreate)
        return config_fail(rd, v, "this rule does nothing: give it a verdict, or a patch");
    if (r->overwrite && left)
        return config_fail(rd, v, "overwrite has no effect with verdict %s", r->verdict);
    if (r->recreate && left)
        return config_fail(rd, v, "recreate has no effect with verdict %s", r->verdict);
    if (r->patch && left)
        return config_fail(rd, v, "a patch has no effect with verdict %s", r->verdict);
    return check_patch(rd, r->patch);
}

int config_rules(struct config_reader *rd, yyjson_mut_val *list, struct config *c) {
    size_t i, max;
    yyjson_mut_val *v;
    c->rules = arena_array(rd->a, struct config_rule, yyjson_mut_arr_size(list) + 1);
    yyjson_mut_arr_foreach (list, i, max, v) {
        struct config_rule *rule = &c->rules[c->n_rules++];
        rule->line = yaml_where(rd->d, v).line;
        rule->why = arena_printf(rd->a, "rule in line %u of %s", rule->line, rd->d->file);
        int r = config_fields(rd, v, rule_fields, COUNT_OF(rule_fields), rule);
        if (r < 0 || (r = check_rule(rd, v, rule)) < 0)
            return r;
    }
    return 0;
}

/* --- tiers --- */

static const struct field tier_fields[] = {
    {"driver", FIELD_STRING, offsetof(struct traffic_config, driver)},
    {"map", FIELD_PATH, offsetof(struct traffic_config, map)},
    {"timeout", FIELD_MS32, offsetof(struct traffic_config, timeout_ms)},
    {"live.a", FIELD_STRING, offsetof(struct traffic_config, live_a)},
    {"live.b", FIELD_STRING, offsetof(struct traffic_config, live_b)},
};

/* Paths are resolved, tcp://host:port stays. */
static int read_sockets(struct config_reader *rd, yyjson_mut_val *list, struct traffic_config *t) {
    const char **out = arena_array(rd->a, const char *, yyjson_mut_arr_size(list) + 1);
    static const struct field as_path = {"", FIELD_PATH, 0};
    size_t i, max;
    yyjson_mut_val *x;
    yyjson_mut_arr_foreach (list, i, max, x) {
        const char *s = yyjson_mut_get_str(x);
        int r = 0;
        if (!str_starts(s, "tcp://"))
            r = config_fields(rd, x, &as_path, 1, &out[i]);
        else if (strlen(s) > 6 && strchr(s + 6, ':'))
            out[i] = s;
        else
            r = config_fail(rd, x, "a socket is a path or tcp://host:port");
        if (r < 0)
            return r;
    }
    t->sockets = out;
    return 0;
}

static int check_tier(struct config_reader *rd, yyjson_mut_val *v, const struct traffic_config *t) {
    if (str_eq(t->live_a, t->live_b))
        return config_fail(rd, config_at(v, "live"), "live.a and live.b are the same");
    if (!str_eq(t->driver, "haproxy"))
        return 0;
    if (!t->sockets[0])
        return config_fail(rd, v, "driver haproxy needs \"sockets\"");
    return t->map ? 0 : config_fail(rd, v, "driver haproxy needs \"map\"");
}

int config_tiers(struct config_reader *rd, yyjson_mut_val *map, struct config *c) {
    size_t i, max, n = yyjson_mut_obj_size(map);
    yyjson_mut_val *key, *v;
    const char **prelive = arena_array(rd->a, const char *, n + 1);
    c->tiers = arena_array(rd->a, struct traffic_config, n + 1);
    c->tier_prelive = prelive;
    yyjson_mut_obj_foreach (map, i, max, key, v) {
        struct traffic_config *t = &c->tiers[c->n_tiers];
        int r = check_name(rd, key, "tier");
        if (r >= 0 && yyjson_mut_is_null(v))
            r = config_fail(rd, key, "this tier is empty");
        if (r >= 0)
            r = config_fields(rd, v, tier_fields, COUNT_OF(tier_fields), t);
        if (r >= 0)
            r = read_sockets(rd, config_at(v, "sockets"), t);
        if (r < 0 || (r = check_tier(rd, v, t)) < 0)
            return r;
        t->name = yyjson_mut_get_str(key);
        prelive[c->n_tiers++] = yyjson_mut_get_str(config_at(v, "prelive.url"));
    }
    return 0;
}

/* --- probes --- */

#define PROBE(member) offsetof(struct config_probe, p.member)

static const struct field probe_fields[] = {
    {"url", FIELD_STRING, PROBE(url)},
    {"connectTo", FIELD_STRING, PROBE(connect_to)},
    {"rate", FIELD_RATE, PROBE(rate)},
    {"identify.header", FIELD_STRING, PROBE(identify_header)},
    {"cookie", FIELD_STRING, PROBE(cookie)},
    {"users", FIELD_U32, PROBE(users)},
    {"connections", FIELD_U32, PROBE(connections)},
    {"timeout", FIELD_MS32, PROBE(timeout_ms)},
    {"insecure", FIELD_BOOL, PROBE(insecure)},
    {"expect.status", FIELD_INT, PROBE(expect_status)},
    {"expect.body", FIELD_STRING, PROBE(expect_body)},
    {"caFile", FIELD_PATH, offsetof(struct config_probe, ca_file)},
    {"abort.failures", FIELD_SHARE, offsetof(struct config_probe, abort_failures)},
    {"abort.window", FIELD_MS32, offsetof(struct config_probe, abort_window_ms)},
    {"abort.atLeast", FIELD_U32, offsetof(struct config_probe, abort_at_least)},
};

static void read_lanes(yyjson_mut_val *list, struct probe_config *p) {
    size_t i, max;
    yyjson_mut_val *x;
    yyjson_mut_arr_foreach (list, i, max, x) {
        if (str_eq(yyjson_mut_get_str(x), "new"))
            p->lane_new = true;
        else
            p->lane_reused = true;
    }
}

static int check_probe(struct config_reader *rd, yyjson_mut_val *v, const struct config_probe *p) {
    uint32_t w = p->abort_window_ms;
    if (w < 1000 || w > 120000 || w % 1000)
        return config_fail(rd, config_at(v, "abort.window"),
                           "abort.window must be whole seconds, 1s to 2m");
    if (config_at(v, "abort.failures") && !(p->abort_failures > 0))
        return config_fail(rd, config_at(v, "abort.failures"),
                           "abort.failures must be above 0%%: with 0%% one lost packet stops a "
                           "cutover");
    yyjson_mut_val *timeout = config_at(v, "timeout");
    return timeout && !p->p.timeout_ms ? config_fail(rd, timeout, "timeout must be above 0") : 0;
}

static int read_probe(struct config_reader *rd, yyjson_mut_val *v, struct config_probe *p) {
    *p = (struct config_probe){.p = {.rate = 10}, .abort_window_ms = 10000, .abort_at_least = 50};
    if (config_at(v, "abort"))
        p->abort_failures = 0.01;
    read_lanes(config_at(v, "lanes"), &p->p);
    int r = config_fields(rd, v, probe_fields, COUNT_OF(probe_fields), p);
    return r < 0 ? r : check_probe(rd, v, p);
}

int config_probes(struct config_reader *rd, yyjson_mut_val *map, struct config *c) {
    size_t i, max;
    yyjson_mut_val *key, *v;
    c->probes = arena_array(rd->a, struct config_probe, yyjson_mut_obj_size(map) + 1);
    yyjson_mut_obj_foreach (map, i, max, key, v) {
        struct config_probe *p = &c->probes[c->n_probes++];
        int r = check_name(rd, key, "probe");
        if (r >= 0 && yyjson_mut_is_null(v))
            r = config_fail(rd, key, "this probe is empty");
        if (r < 0 || (r = read_probe(rd, v, p)) < 0)
            return r;
        p->p.name = yyjson_mut_get_str(key);
        if (!c->identify_header)
            c->identify_header = p->p.identify_header;
    }
    return 0;
}

/* --- smoke checks --- */

static const struct field smoke_fields[] = {
    {"name", FIELD_STRING, offsetof(struct config_smoke, name)},
    {"http", FIELD_STRING, offsetof(struct config_smoke, http)},
    {"via", FIELD_STRING, offsetof(struct config_smoke, via)},
    {"expect.status", FIELD_INT, offsetof(struct config_smoke, expect_status)},
    {"expect.body", FIELD_STRING, offsetof(struct config_smoke, expect_body)},
    {"exec", FIELD_LIST, offsetof(struct config_smoke, exec)},
    {"timeout", FIELD_MS64, offsetof(struct config_smoke, timeout_ms)},
    {"caFile", FIELD_PATH, offsetof(struct config_smoke, ca_file)},
    {"insecure", FIELD_BOOL, offsetof(struct config_smoke, insecure)},
};

/* Keys that would be read and then have no effect are errors: they are somebody's mistake. */
static int check_smoke(struct config_reader *rd, yyjson_mut_val *v, const struct config_smoke *s) {
    static const char *const http_only[] = {"via", "expect", "caFile", "insecure"};
    if (!s->http == !s->exec)
        return config_fail(rd, v, "a smoke check needs either \"http\" or \"exec\"");
    for (size_t i = 0; s->exec && i < COUNT_OF(http_only); i++)
        if (config_at(v, http_only[i]))
            return config_fail(rd, config_at(v, http_only[i]),
                               "\"%s\" has no effect on a check with \"exec\"", http_only[i]);
    if (s->exec && str_empty(s->exec[0]))
        return config_fail(rd, config_at(v, "exec"), "the command is empty");
    return s->timeout_ms ? 0 : config_fail(rd, config_at(v, "timeout"), "timeout must be above 0");
}

int config_smokes(struct config_reader *rd, yyjson_mut_val *list, struct config *c) {
    enum { HTTP_MS = 10 * 1000, EXEC_MS = 5 * 60 * 1000 };
    size_t i, max;
    yyjson_mut_val *v;
    c->smokes = arena_array(rd->a, struct config_smoke, yyjson_mut_arr_size(list) + 1);
    yyjson_mut_arr_foreach (list, i, max, v) {
        struct config_smoke *s = &c->smokes[c->n_smokes++];
        s->timeout_ms = config_at(v, "exec") ? EXEC_MS : HTTP_MS;
        int r = config_fields(rd, v, smoke_fields, COUNT_OF(smoke_fields), s);
        if (r < 0 || (r = check_smoke(rd, v, s)) < 0)
            return r;
    }
    return 0;
}
