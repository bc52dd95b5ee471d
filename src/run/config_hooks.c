/* The sections about telling others: hooks, notices, and where and how the journal is kept. */
#include "run/config_impl.h"

#include <errno.h>

enum { TIMEOUT_MS = 10 * 1000, RETRIES = 2 };

static const struct field hook_fields[] = {
    {"name", FIELD_STRING, offsetof(struct config_hook, name)},
    {"on", FIELD_LIST, offsetof(struct config_hook, on)},
    {"stages", FIELD_LIST, offsetof(struct config_hook, stages)},
    {"exec", FIELD_LIST, offsetof(struct config_hook, exec)},
    {"url", FIELD_STRING, offsetof(struct config_hook, url)},
    {"secretFile", FIELD_PATH, offsetof(struct config_hook, secret_file)},
    {"caFile", FIELD_PATH, offsetof(struct config_hook, ca_file)},
    {"timeout", FIELD_MS32, offsetof(struct config_hook, timeout_ms)},
    {"retries", FIELD_U32, offsetof(struct config_hook, retries)},
};

/* Keys that would be read and then have no effect are errors: they are somebody's mistake. */
static int check_hook(struct config_reader *rd, yyjson_mut_val *v, const struct config_hook *h) {
    static const char *const url_only[] = {"secretFile", "caFile"};
    if (!h->url == !h->exec)
        return config_fail(rd, v, "a hook needs either \"exec\" or \"url\"");
    for (size_t i = 0; h->exec && i < COUNT_OF(url_only); i++)
        if (config_at(v, url_only[i]))
            return config_fail(rd, config_at(v, url_only[i]),
                               "\"%s\" has no effect on a hook with \"exec\"", url_only[i]);
    if (h->exec && str_empty(h->exec[0]))
        return config_fail(rd, config_at(v, "exec"), "the command is empty");
    bool before = false;
    for (size_t i = 0; h->on[i]; i++)
        before |= str_eq(h->on[i], "before");
    if (h->must && !before)
        return config_fail(rd, config_at(v, "policy"),
                           "policy fail has an effect only on a hook that is called \"before\": "
                           "nothing else can be refused");
    return h->timeout_ms ? 0 : config_fail(rd, config_at(v, "timeout"), "timeout must be above 0");
}

int config_hooks(struct config_reader *rd, yyjson_mut_val *list, struct config *c) {
    size_t i, max;
    yyjson_mut_val *v;
    c->hooks = arena_array(rd->a, struct config_hook, yyjson_mut_arr_size(list) + 1);
    yyjson_mut_arr_foreach (list, i, max, v) {
        struct config_hook *h = &c->hooks[c->n_hooks++];
        *h = (struct config_hook){.timeout_ms = TIMEOUT_MS, .retries = RETRIES};
        int r = config_fields(rd, v, hook_fields, COUNT_OF(hook_fields), h);
        h->must = str_eq(yyjson_mut_get_str(config_at(v, "policy")), "fail");
        if (r < 0 || (r = check_hook(rd, v, h)) < 0)
            return r;
    }
    return 0;
}

static const struct field notice_fields[] = {
    {"clusters", FIELD_BOOL, offsetof(struct config, tell_clusters)},
    {"record", FIELD_BOOL, offsetof(struct config, mirror)},
};

int config_notices(struct config_reader *rd, yyjson_mut_val *v, struct config *c) {
    return config_fields(rd, v, notice_fields, COUNT_OF(notice_fields), c);
}

/* A path, or an object with it. */
int config_journal(struct config_reader *rd, yyjson_mut_val *v, struct config *c) {
    static const struct field plain[] = {{"", FIELD_PATH, offsetof(struct config, journal)}};
    static const struct field fields[] = {
        {"path", FIELD_PATH, offsetof(struct config, journal)},
        {"signKey", FIELD_PATH, offsetof(struct config, sign_key)},
    };
    return yyjson_mut_is_obj(v) ? config_fields(rd, v, fields, COUNT_OF(fields), c)
                                : config_fields(rd, v, plain, COUNT_OF(plain), c);
}
