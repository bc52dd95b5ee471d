#include "traffic/traffic.h"

#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "traffic/haproxy.h"

enum { DRAIN_POLL_MS = 20 };

const struct traffic_driver *const traffic_drivers[] = {&traffic_haproxy, NULL};

struct traffic_tier {
    struct traffic_config cfg;
    const struct traffic_driver *driver;
    void *impl;
};

static const struct traffic_driver *find_driver(const char *name, struct err *e) {
    AUTO_SB known = SB_INIT(256);
    for (size_t i = 0; traffic_drivers[i]; i++) {
        if (str_eq(traffic_drivers[i]->name, name))
            return traffic_drivers[i];
        sb_fmt(&known, "%s%s", i ? ", " : "", traffic_drivers[i]->name);
    }
    err_set(e, -EINVAL, "driver %s is not known; there is: %s", name ? name : "(none)",
            sb_get(&known));
    return NULL;
}

static int open_tier(struct traffic_tier *t, struct err *e) {
    t->driver = find_driver(t->cfg.driver, e);
    return t->driver ? t->driver->open(&t->cfg, &t->impl, e) : -EINVAL;
}

int traffic_open(const struct traffic_config *cfg, struct traffic_tier **ret, struct err *e) {
    struct traffic_tier *t = xcalloc(1, sizeof *t);
    t->cfg = *cfg;
    int r = open_tier(t, e);
    if (r < 0) {
        xfree(t);
        return err_ctx(e, r, "tier %s", str_empty(cfg->name) ? "(unnamed)" : cfg->name);
    }
    *ret = t;
    return 0;
}

void traffic_close(struct traffic_tier *t) {
    if (!t)
        return;
    t->driver->close(t->impl);
    xfree(t);
}

const char *traffic_name(const struct traffic_tier *t) {
    return t->cfg.name;
}

/* What all reachable nodes agree on; where they do not, the state drifts. */
static void aggregate(struct traffic_state *s) {
    bool first = true;
    s->live_b = s->prelive_b = -1;
    for (size_t i = 0; i < s->n; i++) {
        const struct traffic_node *n = &s->node[i];
        if (!n->reachable)
            continue;
        s->drift |= n->drift;
        if (first) {
            s->live_b = n->live_b;
            s->prelive_b = n->prelive_b;
        }
        first = false;
    }
    int live_b = s->live_b, prelive_b = s->prelive_b;
    for (size_t i = 0; i < s->n; i++) {
        const struct traffic_node *n = &s->node[i];
        if (!n->reachable || (n->live_b == live_b && n->prelive_b == prelive_b))
            continue;
        s->drift = true;
        if (n->live_b != live_b)
            s->live_b = -1;
        if (n->prelive_b != prelive_b)
            s->prelive_b = -1;
    }
}

static size_t count_unreachable(const struct traffic_state *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->node[i].reachable ? 0 : 1;
    return n;
}

/* The error that names every node that cannot be reached. */
static int unreachable_nodes(const struct traffic_state *s, struct err *e) {
    AUTO_SB b = SB_INIT(sizeof e->msg);
    for (size_t i = 0; i < s->n; i++)
        if (!s->node[i].reachable)
            sb_fmt(&b, "%s%s", b.len ? "; " : "", s->node[i].problem);
    err_set(e, -EHOSTUNREACH, "%s", sb_get(&b));
    if (e)
        e->retry = true;
    return -EHOSTUNREACH;
}

int traffic_observe(struct traffic_tier *t, struct traffic_state *ret, struct err *e) {
    struct traffic_state s = {0};
    int r = t->driver->observe(t->impl, &s, e);
    if (r == 0 && count_unreachable(&s) == s.n)
        r = unreachable_nodes(&s, e);
    if (r < 0)
        return err_ctx(e, r, "%s", t->cfg.name);
    aggregate(&s);
    *ret = s;
    return 0;
}

/* Which clusters would get traffic that they do not have yet on this node. */
static bool gains(const struct traffic_node *n, char cluster, int percent_b) {
    int have = cluster == 'b' ? n->live_b : 100 - n->live_b;
    int want = cluster == 'b' ? percent_b : 100 - percent_b;
    return n->live_b < 0 ? want > 0 : want > have;
}

static int guard_node(const struct traffic_tier *t, const struct traffic_node *n, char cluster,
                      struct err *e) {
    bool b = cluster == 'b';
    unsigned healthy = b ? n->healthy_b : n->healthy_a;
    if (healthy)
        return 0;
    return err_set(e, -EGUARD,
                   "cluster %c is not to get traffic: none of the %u servers of back end %s is "
                   "healthy on %s%s%s",
                   cluster, b ? n->servers_b : n->servers_a, b ? t->cfg.live_b : t->cfg.live_a,
                   n->name, n->problem[0] ? "; " : "", n->problem);
}

static int guard(struct traffic_tier *t, int percent_b, struct err *e) {
    struct traffic_state s;
    int r = traffic_observe(t, &s, e);
    if (r < 0)
        return r;
    if (s.drift)
        log_warn("%s: drift before the change: nodes differ, or HAProxy from its map file",
                 t->cfg.name);
    for (size_t i = 0; i < s.n; i++) {
        const struct traffic_node *n = &s.node[i];
        for (const char *c = "ab"; *c && n->reachable; c++) {
            r = gains(n, *c, percent_b) ? guard_node(t, n, *c, e) : 0;
            if (r < 0)
                return err_ctx(e, r, "%s", t->cfg.name);
        }
    }
    return 0;
}

static int check_writable(const struct traffic_tier *t, struct err *e) {
    return t->cfg.read_only
               ? err_set(e, -EGUARD, "%s: read-only: traffic is not moved", t->cfg.name)
               : 0;
}

int traffic_claim(struct traffic_tier *t, bool force, struct err *e) {
    int r = check_writable(t, e);
    if (r < 0 || !t->driver->claim)
        return r;
    r = t->driver->claim(t->impl, force, e);
    return r < 0 ? err_ctx(e, r, "%s", t->cfg.name) : 0;
}

int traffic_claimed(struct traffic_tier *t, struct err *e) {
    int r = t->driver->claimed ? t->driver->claimed(t->impl, e) : 0;
    return r < 0 ? err_ctx(e, r, "%s", t->cfg.name) : 0;
}

int traffic_set_live(struct traffic_tier *t, int percent_b, bool force, struct err *e) {
    int (*set)(void *, int, struct err *) =
        force && t->driver->force_live ? t->driver->force_live : t->driver->set_live;
    if (percent_b < 0 || percent_b > 100)
        return err_set(e, -EINVAL, "%s: %d is no share: whole percent from 0 to 100", t->cfg.name,
                       percent_b);
    int r = check_writable(t, e);
    if (r == 0 && !force)
        r = guard(t, percent_b, e);
    if (r < 0)
        return r;
    r = set(t->impl, percent_b, e);
    return r < 0 ? err_ctx(e, r, "%s", t->cfg.name) : 0;
}

int traffic_set_prelive(struct traffic_tier *t, char cluster, struct err *e) {
    if (cluster != 'a' && cluster != 'b')
        return err_set(e, -EINVAL, "%s: pre-live leads to a or to b", t->cfg.name);
    int r = check_writable(t, e);
    if (r < 0)
        return r;
    r = t->driver->set_prelive(t->impl, cluster == 'b' ? 100 : 0, e);
    return r < 0 ? err_ctx(e, r, "%s", t->cfg.name) : 0;
}

static uint64_t sessions_of(const struct traffic_state *s, char cluster) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += cluster == 'b' ? s->node[i].sessions_b : s->node[i].sessions_a;
    return n;
}

/* Zero twice in a row: a request may be between its choice of a back end and its queue. */
int traffic_drain(struct traffic_tier *t, char cluster, uint32_t timeout_ms, struct err *e) {
    uint64_t deadline = clock_now_ms() + timeout_ms;
    for (unsigned zeros = 0;;) {
        struct traffic_state s;
        int r = traffic_observe(t, &s, e);
        if (r < 0)
            return r;
        uint64_t left = sessions_of(&s, cluster);
        bool all = count_unreachable(&s) == 0;
        zeros = all && left == 0 ? zeros + 1 : 0;
        if (zeros == 2)
            return 0;
        if (clock_now_ms() >= deadline)
            return all ? (int)MIN(left, (uint64_t)INT_MAX)
                       : err_ctx(e, unreachable_nodes(&s, e), "%s: sessions of cluster %c",
                                 t->cfg.name, cluster);
        clock_sleep_ms(DRAIN_POLL_MS);
    }
}
