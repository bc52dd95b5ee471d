#include <errno.h>

#include "base/str.h"
#include "traffic/haproxy.h"

static int command(struct arena *a, const struct haproxy_node_ref *ref, char **ret, struct err *e,
                   const char *fmt, ...) PRINTF_LIKE(5, 6);

static int command(struct arena *a, const struct haproxy_node_ref *ref, char **ret, struct err *e,
                   const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *line = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return haproxy_command(a, ref->address, ref->timeout_ms, line, ret, e);
}

static int find_name(struct arena *a, const struct haproxy_node_ref *ref, const char **ret,
                     struct err *e) {
    char *answer;
    int r = command(a, ref, &answer, e, "show map");
    return r < 0 ? r : haproxy_find_map(a, answer, ref->map, ret, e);
}

static int show_map(struct arena *a, const struct haproxy_node_ref *ref, const char *name,
                    char **ret, struct err *e) {
    int r = command(a, ref, ret, e, "show map %s", name);
    return r < 0 ? r : haproxy_answer_check(*ret, "0x", e);
}

int haproxy_node_map(struct arena *a, const struct haproxy_node_ref *ref, char **ret,
                     struct err *e) {
    const char *name;
    int r = find_name(a, ref, &name, e);
    return r < 0 ? r : show_map(a, ref, name, ret, e);
}

/* True when what failed is the conversation, not what it was about. */
static bool is_transport(int r) {
    return r == -EHOSTUNREACH || r == -EUNKNOWNOUTCOME;
}

void haproxy_note(struct traffic_node *n, const char *text) {
    size_t used = strlen(n->problem);
    snprintf(n->problem + used, sizeof n->problem - used, "%s%.200s", used ? "; " : "", text);
}

/* One key of the map as a share; says what is wrong with it. */
static int share(struct traffic_node *n, const char *answer, const char *tier, const char *what) {
    char key[HAPROXY_KEY_MAX], text[256];
    struct haproxy_value v;
    snprintf(key, sizeof key, "%s.%s", tier, what);
    if (haproxy_find_value(answer, key, &v, NULL) < 0)
        return -1;
    text[0] = 0;
    if (!v.found)
        snprintf(text, sizeof text, "the map has no key %s", key);
    else if (v.differ)
        snprintf(text, sizeof text, "the map has %s %u times, with different values", key, v.found);
    else if (v.percent < 0)
        snprintf(text, sizeof text, "%s is \"%s\", no whole number from 0 to 100", key, v.text);
    if (text[0])
        haproxy_note(n, text);
    return v.differ ? -1 : v.percent;
}

static int observe_map(struct arena *a, const struct haproxy_node_ref *ref, const char *tier,
                       struct traffic_node *n, struct err *e) {
    char *answer;
    int r = haproxy_node_map(a, ref, &answer, e);
    if (r < 0)
        return r;
    n->live_b = share(n, answer, tier, "pct_b");
    n->prelive_b = share(n, answer, tier, "prelive_b");
    return 0;
}

static int observe_backend(struct arena *a, const struct haproxy_node_ref *ref, const char *name,
                           struct haproxy_backend *b, struct err *e) {
    char *answer;
    int r = command(a, ref, &answer, e, "show stat %s 6 -1", name);
    if (r == 0)
        r = haproxy_find_backend(answer, name, b, e);
    return r < 0 && !is_transport(r) ? err_ctx(e, r, "back end %s", name) : r;
}

void haproxy_node_observe(const struct haproxy_node_ref *ref, const struct traffic_config *cfg,
                          struct traffic_node *ret) {
    AUTO_ARENA a = arena_new();
    struct haproxy_backend b[2] = {0};
    struct err e = {0};
    *ret = (struct traffic_node){.name = ref->address, .live_b = -1, .prelive_b = -1};
    int r = observe_map(a, ref, cfg->name, ret, &e);
    if (r < 0)
        haproxy_note(ret, e.msg);
    const char *name[2] = {cfg->live_a, cfg->live_b};
    bool lacks[2] = {0};
    for (size_t i = 0; i < 2 && !is_transport(r); i++) {
        r = observe_backend(a, ref, name[i], &b[i], &e);
        lacks[i] = r < 0 && !is_transport(r);
        if (r < 0)
            haproxy_note(ret, e.msg);
    }
    ret->reachable = !is_transport(r);
    ret->lacks_a = lacks[0];
    ret->lacks_b = lacks[1];
    if (!ret->reachable)
        ret->live_b = ret->prelive_b = -1;
    ret->servers_a = b[0].servers;
    ret->servers_b = b[1].servers;
    ret->healthy_a = b[0].healthy;
    ret->healthy_b = b[1].healthy;
    ret->sessions_a = b[0].sessions;
    ret->sessions_b = b[1].sessions;
}

/* --- changing --- */

/* One value on its way into a node's map. */
struct setting {
    const struct haproxy_node_ref *ref;
    const char *name; /* of the map */
    const char *key, *value;
    const struct haproxy_claim *claim; /* obeyed, or NULL */
    bool looked;                       /* the claim held when the change was sent */
};

/* A second "add map" of a key makes a second entry, so it is looked for first. */
static int put(struct arena *a, const struct setting *s, const char *answer, const char *key,
               const char *value, struct err *e) {
    struct haproxy_value v;
    char *said;
    int r = haproxy_find_value(answer, key, &v, e);
    if (r < 0)
        return r;
    r = command(a, s->ref, &said, e, "%s map %s %s %s", v.found ? "set" : "add", s->name, key,
                value);
    return r < 0 ? r : haproxy_answer_check(said, NULL, e);
}

static int check_claim(const struct setting *s, const char *answer, struct haproxy_value *ret,
                       struct err *e) {
    *ret = (struct haproxy_value){0};
    if (!s->claim || !s->claim->epoch)
        return 0;
    int r = haproxy_find_value(answer, s->claim->key, ret, e);
    return r < 0 ? r : haproxy_claim_check(s->claim, ret, s->ref->address, e);
}

/* A node that began anew with an older file, or was not reached by the claim, learns of it. */
static int set_or_add(struct arena *a, struct setting *s, struct err *e) {
    struct haproxy_value epoch;
    char *answer;
    int r = show_map(a, s->ref, s->name, &answer, e);
    if (r == 0)
        r = check_claim(s, answer, &epoch, e);
    bool behind = r == 0 && s->claim && haproxy_epoch(&epoch) < s->claim->epoch;
    if (behind && !str_eq(s->key, s->claim->key))
        r = put(a, s, answer, s->claim->key,
                arena_printf(a, "%llu", (unsigned long long)s->claim->epoch), e);
    s->looked = r == 0;
    return r < 0 ? r : put(a, s, answer, s->key, s->value, e);
}

static int read_back(struct arena *a, const struct setting *s, struct err *e) {
    struct haproxy_value v, epoch;
    char *answer;
    int r = show_map(a, s->ref, s->name, &answer, e);
    if (r == 0)
        r = check_claim(s, answer, &epoch, e);
    if (r == 0)
        r = haproxy_find_value(answer, s->key, &v, e);
    if (r < 0)
        return r;
    if (!v.found || v.differ || !str_eq(v.text, s->value))
        return err_set(e, -EIO, "%s was set to %s, but HAProxy reads back %s", s->key, s->value,
                       !v.found ? "no such key" : v.text);
    return 0;
}

/* Text tells little and a lost answer tells nothing: what counts is what is read back. */
static int set_checked(struct arena *a, struct setting *s, struct err *e) {
    struct err first = {0};
    int r = find_name(a, s->ref, &s->name, e);
    if (r < 0)
        return r;
    r = set_or_add(a, s, &first);
    int back = r == -EHOSTUNREACH || r == -EGUARD ? r : read_back(a, s, e);
    if (r >= 0 || back >= 0 || (back == -EGUARD && back != r))
        return back;
    if (e)
        *e = first;
    return r;
}

static int set_value(struct setting *s, struct err *e) {
    AUTO_ARENA a = arena_new();
    int r = set_checked(a, s, e);
    if (r == -EUNKNOWNOUTCOME && e)
        e->code = -EHOSTUNREACH;
    if (r < 0 && r != -EGUARD && !is_transport(r))
        return err_ctx(e, r, "%s", s->ref->address);
    return is_transport(r) ? -EHOSTUNREACH : r;
}

int haproxy_node_set(const struct haproxy_node_ref *ref, const char *key, int percent,
                     const struct haproxy_claim *claim, bool *ret_late, struct err *e) {
    char value[16];
    snprintf(value, sizeof value, "%d", percent);
    struct setting s = {.ref = ref, .key = key, .value = value, .claim = claim};
    int r = set_value(&s, e);
    *ret_late = r == -EGUARD && s.looked;
    return r;
}

int haproxy_node_claim(const struct haproxy_node_ref *ref, const struct haproxy_claim *claim,
                       struct err *e) {
    char value[24];
    snprintf(value, sizeof value, "%llu", (unsigned long long)claim->epoch);
    struct setting s = {.ref = ref, .key = claim->key, .value = value, .claim = claim};
    return set_value(&s, e);
}

int haproxy_node_epoch(const struct haproxy_node_ref *ref, const char *key, uint64_t *ret,
                       struct err *e) {
    AUTO_ARENA a = arena_new();
    struct haproxy_value v;
    char *answer;
    int r = haproxy_node_map(a, ref, &answer, e);
    if (r >= 0)
        r = haproxy_find_value(answer, key, &v, e);
    if (r >= 0)
        *ret = haproxy_epoch(&v);
    return r;
}
