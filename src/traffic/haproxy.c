#include "traffic/haproxy.h"

#include <errno.h>

#include "base/file.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/str.h"

struct haproxy {
    struct traffic_config cfg;
    struct haproxy_node_ref node[TRAFFIC_NODES_MAX];
    size_t n;
    bool any_local; /* a node of this machine: the map file here is the one it loads */
    struct haproxy_claim claim;
};

/* Names go into the socket's command line and into the map file, where blanks cut. */
static int check_name(const char *what, const char *name, struct err *e) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.:";
    if (str_empty(name))
        return err_set(e, -EINVAL, "%s is missing", what);
    if (name[strspn(name, allowed)] || strlen(name) > HAPROXY_KEY_MAX - 16)
        return err_set(e, -EINVAL, "%s \"%.100s\": HAProxy takes letters, digits, - _ . : only",
                       what, name);
    return 0;
}

static int check_map(const char *path, struct err *e) {
    if (str_empty(path))
        return err_set(e, -EINVAL, "map is missing: the path of HAProxy's map file");
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < ' ')
            return err_set(e, -EINVAL, "map: control characters in the path");
    return 0;
}

static int check_config(const struct traffic_config *cfg, struct err *e) {
    int r = check_name("name of the tier", cfg->name, e);
    if (r == 0)
        r = check_name("live.a", cfg->live_a, e);
    if (r == 0)
        r = check_name("live.b", cfg->live_b, e);
    if (r == 0)
        r = check_map(cfg->map, e);
    if (r < 0)
        return r;
    if (str_eq(cfg->live_a, cfg->live_b))
        return err_set(e, -EINVAL, "live.a and live.b are the same back end, %s", cfg->live_a);
    if (!cfg->sockets || !cfg->sockets[0])
        return err_set(e, -EINVAL, "sockets is empty: name HAProxy's `stats socket`");
    return 0;
}

static int add_nodes(struct haproxy *h, struct err *e) {
    for (const char *const *s = h->cfg.sockets; *s; s++) {
        if (h->n == TRAFFIC_NODES_MAX)
            return err_set(e, -E2BIG, "more than %d sockets", TRAFFIC_NODES_MAX);
        int r = haproxy_address_check(*s, e);
        if (r < 0)
            return err_ctx(e, r, "sockets");
        h->node[h->n++] = (struct haproxy_node_ref){*s, h->cfg.map, h->cfg.timeout_ms};
        h->any_local |= haproxy_address_local(*s);
    }
    return 0;
}

static int haproxy_open(const struct traffic_config *cfg, void **ret, struct err *e) {
    int r = check_config(cfg, e);
    if (r < 0)
        return r;
    struct haproxy *h = xcalloc(1, sizeof *h);
    h->cfg = *cfg;
    snprintf(h->claim.key, sizeof h->claim.key, "%s.epoch", cfg->name);
    r = add_nodes(h, e);
    if (r < 0) {
        xfree(h);
        return r;
    }
    *ret = h;
    return 0;
}

static void haproxy_close(void *impl) {
    xfree(impl);
}

/* Nodes are asked side by side: one that hangs must not keep the others from being set. */
static void each_node(struct haproxy *h, void (*fn)(void *ctx, size_t index), void *ctx) {
    if (h->n == 1)
        fn(ctx, 0);
    else
        workers_join(workers_start(h->n, fn, ctx));
}

struct observing {
    struct haproxy *h;
    struct traffic_state *state;
};

static void observe_one(void *ctx, size_t i) {
    struct observing *o = ctx;
    haproxy_node_observe(&o->h->node[i], &o->h->cfg, &o->state->node[i]);
}

static int file_share(const char *text, const char *tier, const char *what) {
    char key[HAPROXY_KEY_MAX];
    struct haproxy_value v;
    snprintf(key, sizeof key, "%s.%s", tier, what);
    haproxy_map_value(text, key, &v);
    return v.percent;
}

/* A node elsewhere loads a file that cannot be seen from here, unless all are elsewhere and share
 * this one. */
static void observe_file(struct haproxy *h, struct traffic_state *state) {
    AUTO_ARENA a = arena_new();
    struct err e = {0};
    char *text = NULL;
    bool read = haproxy_map_read(a, h->cfg.map, &text, &e) == 0;
    for (size_t i = 0; i < state->n; i++) {
        struct traffic_node *n = &state->node[i];
        bool local = haproxy_address_local(n->name);
        bool known = read && (local || !h->any_local);
        n->file_live_b = known ? file_share(text, h->cfg.name, "pct_b") : -1;
        n->file_prelive_b = known ? file_share(text, h->cfg.name, "prelive_b") : -1;
        n->drift = n->reachable && (known || local) &&
                   (n->file_live_b != n->live_b || n->file_prelive_b != n->prelive_b);
        if (!read && local && n->reachable)
            haproxy_note(n, e.msg);
    }
}

static int haproxy_observe(void *impl, struct traffic_state *ret, struct err *e) {
    struct haproxy *h = impl;
    (void)e;
    ret->n = h->n;
    each_node(h, observe_one, &(struct observing){h, ret});
    observe_file(h, ret);
    return 0;
}

/* One change of one key, on its way through file and nodes. */
struct change {
    struct haproxy *h;
    char key[HAPROXY_KEY_MAX];
    int percent;
    struct haproxy_value old; /* in the file before */
    int durable;              /* 0: the file says so; else why not */
    struct err file_error;
    int result[TRAFFIC_NODES_MAX];
    bool late[TRAFFIC_NODES_MAX]; /* set, though another had claimed the tier by then */
    struct err error[TRAFFIC_NODES_MAX];
};

/* What a node has loaded, in the form of a map file, when the file itself is gone: beginning with
 * nothing would lose the keys of the other tiers at the next reload. */
static const char *recover(struct arena *a, struct haproxy *h) {
    char *answer;
    for (size_t i = 0; i < h->n && h->any_local; i++) {
        if (haproxy_node_map(a, &h->node[i], &answer, NULL) < 0)
            continue;
        log_warn("%s: the map file %s is missing; written anew from what %s has loaded",
                 h->cfg.name, h->cfg.map, h->node[i].address);
        return haproxy_map_from_answer(a, answer);
    }
    return NULL;
}

static void write_file(struct change *c) {
    AUTO_ARENA a = arena_new();
    struct haproxy *h = c->h;
    const char *missing = file_exists(h->cfg.map) ? NULL : recover(a, h);
    c->durable = haproxy_map_set(h->cfg.map, c->key, c->percent, &h->claim, missing, &c->old,
                                 &c->file_error);
    for (size_t i = 0; i < h->n && h->any_local && c->durable == 0; i++)
        if (!haproxy_address_local(h->node[i].address))
            log_warn("%s: %s is another machine: bring %s there before it is reloaded "
                     "(docs/TRAFFIC.md)",
                     h->cfg.name, h->node[i].address, h->cfg.map);
}

static void set_one(void *ctx, size_t i) {
    struct change *c = ctx;
    c->result[i] = haproxy_node_set(&c->h->node[i], c->key, c->percent, &c->h->claim, &c->late[i],
                                    &c->error[i]);
}

/* Stopped between the look and the set while another took over: what that one wants is in the file
 * (it comes first), unless the file is older than the claim. */
static void put_right(struct change *c) {
    AUTO_ARENA a = arena_new();
    struct haproxy_value epoch = {0}, want = {.percent = -1};
    char *text;
    if (haproxy_map_read(a, c->h->cfg.map, &text, NULL) == 0) {
        haproxy_map_value(text, c->h->claim.key, &epoch);
        haproxy_map_value(text, c->key, &want);
    }
    for (size_t i = 0; i < c->h->n; i++) {
        bool ignored;
        if (!c->late[i])
            continue;
        bool known = haproxy_epoch(&epoch) > c->h->claim.epoch && want.percent >= 0;
        if (!known ||
            haproxy_node_set(&c->h->node[i], c->key, want.percent, NULL, &ignored, NULL) < 0)
            log_error("%s: %s was set to %d on %s after another had taken over, and could not be "
                      "put right: `tandem status`, then set it again",
                      c->h->cfg.name, c->key, c->percent, c->h->node[i].address);
    }
}

/* Every node refused, so nothing has moved: a file that says otherwise would move the traffic at
 * the next reload, when nobody expects it. */
static void take_back(struct change *c) {
    struct haproxy_value ignored;
    struct err e = {0};
    if (c->durable < 0 || c->old.percent < 0)
        return;
    int r =
        haproxy_map_set(c->h->cfg.map, c->key, c->old.percent, &c->h->claim, NULL, &ignored, &e);
    if (r < 0 && r != -EGUARD) /* else the file is another's by now */
        log_error("%s: the map file still says %s %d: %s", c->h->cfg.name, c->key, c->percent,
                  e.msg);
}

/* The failures of the nodes as one error: unreachable only when nothing worse happened. */
static int failures(struct change *c, struct err *e) {
    AUTO_SB b = SB_INIT(sizeof e->msg);
    size_t failed = 0, unreachable = 0;
    int code = -EHOSTUNREACH;
    for (size_t i = 0; i < c->h->n; i++) {
        if (c->result[i] >= 0)
            continue;
        sb_fmt(&b, "%s%s", failed++ ? "; " : "", c->error[i].msg);
        if (c->result[i] == -EHOSTUNREACH)
            unreachable++;
        else
            code = c->result[i];
    }
    if (!failed)
        return 0;
    if (failed == c->h->n && !unreachable)
        take_back(c);
    const char *rest = "";
    if (failed < c->h->n)
        rest = " (the other nodes are set)";
    else if (unreachable && c->durable == 0)
        rest = " (the map file is set, for the next start)";
    err_set(e, code, "%s%s", sb_get(&b), rest);
    if (e)
        e->retry = code == -EHOSTUNREACH;
    return code;
}

static int change(struct haproxy *h, const char *what, int percent, bool force, struct err *e) {
    struct change *c = xcalloc(1, sizeof *c);
    *c = (struct change){.h = h, .percent = percent};
    snprintf(c->key, sizeof c->key, "%s.%s", h->cfg.name, what);
    write_file(c);
    int r = 0;
    if (c->durable == 0 || (force && c->durable != -EGUARD)) {
        each_node(h, set_one, c);
        put_right(c);
        r = failures(c, e);
    }
    if (r == 0 && c->durable < 0) {
        r = c->durable;
        if (e)
            *e = c->file_error;
        if (force && r != -EGUARD)
            err_ctx(e, r, "%s is %d now, but a reload of HAProxy would undo it", c->key, percent);
    }
    xfree(c);
    return r;
}

static int haproxy_set_live(void *impl, int percent_b, struct err *e) {
    return change(impl, "pct_b", percent_b, false, e);
}

static int haproxy_force_live(void *impl, int percent_b, struct err *e) {
    return change(impl, "pct_b", percent_b, true, e);
}

static int haproxy_set_prelive(void *impl, int percent_b, struct err *e) {
    return change(impl, "prelive_b", percent_b, false, e);
}

/* --- claims --- */

struct claiming {
    struct haproxy *h;
    uint64_t epoch[TRAFFIC_NODES_MAX];
    int result[TRAFFIC_NODES_MAX];
    struct err error[TRAFFIC_NODES_MAX];
};

static void look_one(void *ctx, size_t i) {
    struct claiming *c = ctx;
    c->result[i] = haproxy_node_epoch(&c->h->node[i], c->h->claim.key, &c->epoch[i], &c->error[i]);
}

static void claim_one(void *ctx, size_t i) {
    struct claiming *c = ctx;
    c->result[i] = haproxy_node_claim(&c->h->node[i], &c->h->claim, &c->error[i]);
}

/* A node that cannot be reached learns of it with the next change that reaches it. */
static int first_failure(const struct claiming *c, struct err *e) {
    size_t reached = 0;
    for (size_t i = 0; i < c->h->n; i++) {
        bool gone = c->result[i] == -EHOSTUNREACH || c->result[i] == -EUNKNOWNOUTCOME;
        reached += !gone;
        if (c->result[i] >= 0 || gone)
            continue;
        if (e)
            *e = c->error[i];
        return c->result[i];
    }
    if (!reached && e)
        *e = c->error[0];
    return reached ? 0 : c->result[0];
}

static int claim_file(struct haproxy *h, uint64_t seen, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *missing = file_exists(h->cfg.map) ? NULL : recover(a, h);
    return haproxy_map_claim(h->cfg.map, &h->claim, seen, missing, e);
}

/* In this order: whoever claims after us sees ours in the file, under its lock. */
static int claim_all(struct haproxy *h, struct claiming *c, bool force, struct err *e) {
    uint64_t seen = h->claim.epoch;
    each_node(h, look_one, c);
    int r = first_failure(c, e);
    if (r < 0 && !force)
        return r;
    for (size_t i = 0; i < h->n; i++)
        seen = MAX(seen, c->epoch[i]);
    r = claim_file(h, seen, e);
    if (r < 0 && !force)
        return r;
    if (r < 0)
        h->claim.epoch = haproxy_epoch_after(seen);
    each_node(h, claim_one, c);
    r = first_failure(c, e);
    return force && r != -EGUARD ? 0 : r;
}

static int haproxy_claim(void *impl, bool force, struct err *e) {
    struct haproxy *h = impl;
    struct claiming *c = xcalloc(1, sizeof *c);
    c->h = h;
    int r = claim_all(h, c, force, e);
    xfree(c);
    return r;
}

static int haproxy_claimed(void *impl, struct err *e) {
    struct haproxy *h = impl;
    if (!h->claim.epoch)
        return 0;
    struct claiming *c = xcalloc(1, sizeof *c);
    int r = 0;
    c->h = h;
    each_node(h, look_one, c);
    for (size_t i = 0; i < h->n && r == 0; i++) {
        struct haproxy_value v = {.found = c->result[i] >= 0};
        snprintf(v.text, sizeof v.text, "%llu", (unsigned long long)c->epoch[i]);
        r = haproxy_claim_check(&h->claim, &v, h->node[i].address, e);
    }
    xfree(c);
    return r;
}

const struct traffic_driver traffic_haproxy = {
    .name = "haproxy",
    .why = "HAProxy in front of both clusters: one map entry moves the traffic, without a reload",
    .open = haproxy_open,
    .close = haproxy_close,
    .observe = haproxy_observe,
    .set_live = haproxy_set_live,
    .set_prelive = haproxy_set_prelive,
    .force_live = haproxy_force_live,
    .claim = haproxy_claim,
    .claimed = haproxy_claimed,
};
