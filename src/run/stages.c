#include "run/stages.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "run/holding.h"
#include "run/notice.h"
#include "run/probing.h"
#include "run/switch.h"
#include "run/trail.h"
#include "run/undo.h"

/* OFFENCE_MS: within which the garbage collector, the token controller and their like take away
 * what they do not want, counted from the last write. */
enum { SETTLE_MS = 60000, OFFENCE_MS = 1000 };

/* --- migrate --- */

static void waiting(size_t n) {
    log_progress("waiting for %zu objects to become ready", n);
}

struct migrate_ctx {
    struct world *w;
    const struct migrate_opts *o;
    struct migrate_result *res;
};

static int write_and_settle(struct session *s, void *ctx, struct err *e) {
    struct migrate_ctx *m = ctx;
    struct apply_opts ao = {
        .world = m->w,
        .journal = s->journal,
        .run = s->run.id,
        .writes = s->cfg->writes,
        .batch = FAULT_NUMBER("TANDEM_CRASH_BATCH", 0),
        .ready_ms = m->o->settle_ms,
        .stale = m->o->stale,
        .plan_digests = m->o->plan ? m->o->plan->digests : NULL,
        .plan_salt = m->o->plan ? m->o->plan->salt : NULL,
        .cancel = &s->cancel,
        .progress = m->o->progress,
        .progress_ctx = m->o->progress_ctx,
    };
    uint64_t start = clock_now_ms();
    int r = undo_make_room(s, m->w, e);
    plan_count(m->w, &m->res->before);
    if (r >= 0)
        r = apply_plan(&ao, &m->res->apply, e);
    m->res->write_ms = clock_now_ms() - start;
    if (r < 0)
        return r;
    start = clock_now_ms();
    struct settle_opts so = {.max_ms = m->o->settle_ms ? m->o->settle_ms : SETTLE_MS,
                             .from_ms = m->res->apply.last_answer_ns / 1000000 + OFFENCE_MS,
                             .cancel = &s->cancel,
                             .progress = waiting};
    r = settle(m->w, &so, &m->res->settled, e);
    m->res->settle_ms = clock_now_ms() - start;
    if (r < 0)
        return err_ctx(e, r, "looking at what became of the objects");
    size_t bad = m->res->apply.failed + m->res->before.by_verdict[V_BLOCK];
    if (bad)
        return err_set(e, -EREMOTEIO, "%zu objects failed or are blocked", bad);
    size_t lost = settled_lost(&m->res->settled);
    return lost ? err_set(e, -EREMOTEIO, "%zu objects did not stay in the destination", lost) : 0;
}

static int patiently(struct session *s, void *ctx, struct err *e) {
    session_patience(s, true);
    int r = write_and_settle(s, ctx, e);
    session_patience(s, false);
    return r;
}

/* What the frozen plan did not show as it is now is not written: its reader has not agreed to it.
 */
static int keep_to_plan(struct world *w, const struct plan_file *plan, enum stale_mode mode,
                        struct err *e) {
    size_t stale = 0;
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < world_count(w) && mode != STALE_ACCEPT; i++) {
        struct object *o = world_at(w, i);
        bool writes = o->verdict == V_CREATE || o->verdict == V_HOLD || o->verdict == V_UPDATE;
        const char *why = writes ? plan_stale(plan, o) : NULL;
        if (!why)
            continue;
        if (mode == STALE_REFUSE)
            return err_set(e, -EGUARD, "%s: %s (--stale=refuse)", object_title(a, o), why);
        o->outcome = OUT_STALE;
        o->note = why;
        stale++;
    }
    if (stale)
        log_warn("%zu objects are not as the plan showed them and are left out (--stale=accept "
                 "takes them)",
                 stale);
    return 0;
}

/* First of all writes. Who may not make a namespace goes without: the plan stays as it was shown.
 */
static int probe_first(struct session *s, struct world *w, const struct migrate_opts *o,
                       struct err *e) {
    struct err why = {0};
    if (o->no_probe || !probing_wanted(s, w))
        return 0;
    int r = probing_look(s, w, &why);
    if (r == -ESTOPPED) {
        *e = why;
        return r;
    }
    if (r < 0)
        log_warn("what %c makes in each namespace is not known: %s", s->destination, err_msg(&why));
    else if (o->probed)
        o->probed(s, w);
    return 0;
}

int stage_migrate(struct session *s, struct world *w, const struct migrate_opts *o,
                  struct migrate_result *ret, struct err *e) {
    *ret = (struct migrate_result){0};
    plan_count(w, &ret->before);
    int r = o->plan ? keep_to_plan(w, o->plan, o->stale, e) : 0;
    if (r >= 0)
        r = session_hold(s, holding_slot(s->destination), e);
    if (r >= 0)
        r = session_begin_run(s, e);
    if (r >= 0)
        r = probe_first(s, w, o, e);
    plan_count(w, &ret->before);
    struct migrate_ctx m = {w, o, ret};
    bool all = !(s->o.namespaces && s->o.namespaces[0]) && !s->o.label_selector;
    return r < 0 ? r
                 : session_step_recorded(s, "migrate", all ? MIGRATE_ALL : "recreate some objects",
                                         patiently, &m, e);
}

/* --- activate, deactivate --- */

struct hand_ctx {
    bool back, dry_run;
    struct handover_item **items;
    int failed, unheld;
};

/* Does anything act in the destination, as far as the journal knows? Without it something may. */
static bool may_act_there(struct session *s) {
    struct trail t;
    return !s->journal || !s->run_open || trail_read(s, &t, NULL) < 0 || t.acts_ms;
}

static int count_items(struct session *s, struct hand_ctx *h, bool dead, struct err *e) {
    for (const struct handover_item *i = *h->items; i; i = i->next) {
        h->failed += i->state == HAND_FAILED;
        h->unheld += i->state == HAND_UNHELD;
    }
    if (h->failed)
        return err_set(e, -EREMOTEIO, "%d objects could not be handed over", h->failed);
    if (h->unheld || (dead && may_act_there(s)))
        return err_set(e, -EHOSTUNREACH,
                       "%c does not answer, so that what acts there was not held: when it is back, "
                       "it acts in both clusters until the same command has run again",
                       h->back ? s->destination : s->source);
    return 0;
}

static int hand_over(struct session *s, void *ctx, struct err *e) {
    struct hand_ctx *h = ctx;
    char from = h->back ? s->destination : s->source, to = h->back ? s->source : s->destination;
    struct kube_client *cf = s->cluster[session_slot(from)], *ct = s->cluster[session_slot(to)];
    struct kube_discovery *d, *df = NULL;
    if (!ct)
        return err_set(e, -EHOSTUNREACH,
                       "cluster %c does not answer, and what is held there cannot be let loose",
                       to);
    int r = kube_discover(ct, &d, e);
    if (r < 0)
        return r;
    struct err why = {0};
    r = cf ? kube_discover(cf, &df, &why) : 0;
    if (r < 0 && !h->back) {
        kube_discovery_free(d);
        *e = why;
        return r;
    }
    if (r < 0 && !why.http)
        cf = NULL; /* it died meanwhile: not to be asked object by object */
    bool narrowed = s->o.namespaces && s->o.namespaces[0];
    struct handover_opts o = {
        .from = cf,
        .to = ct,
        .from_slot = from,
        .to_slot = to,
        .discovery = d,
        .from_discovery = df,
        .ns_include = narrowed ? s->o.namespaces : s->cfg->ns_include,
        .ns_exclude = s->cfg->ns_exclude,
        .only_namespaced = narrowed,
        .journal = s->recording ? s->journal : NULL,
        .run = s->run_open ? s->run.id : "",
        .dry_run = h->dry_run,
        .forward = !h->back,
        .cancel = &s->cancel,
    };
    /* The way back must not wait for a dead cluster; forward, its singletons could wake up later.
     */
    o.from_unreachable_ok = h->back;
    if (!cf && h->back)
        log_warn("cluster %c does not answer: what it runs is not held; see that it stays down",
                 from);
    r = cf || h->back ? handover(s->a, &o, h->items, e)
                      : err_set(e, -EHOSTUNREACH,
                                "cluster %c does not answer: what it runs cannot be held", from);
    kube_discovery_free(d);
    kube_discovery_free(df);
    if (r < 0)
        return r;
    return h->dry_run ? 0 : count_items(s, h, !cf, e);
}

int stage_handover(struct session *s, bool back, bool dry_run, struct handover_item **ret,
                   struct err *e) {
    struct hand_ctx h = {.back = back, .dry_run = dry_run, .items = ret};
    *ret = NULL;
    /* Without a run "forward" may be anywhere: after retire it is the cluster that was let go. */
    if (!back && !dry_run && !s->run_open)
        return err_set(e, -EGUARD, "no run is open: `tandem migrate` first");
    int r = dry_run ? 0 : session_hold(s, NEED_CLUSTERS, e);
    if (r < 0)
        return r;
    const char *what = "hand singletons over";
    r = dry_run ? hand_over(s, &h, e)
        : back  ? session_step(s, "deactivate", what, hand_over, &h, e)
                : session_step_recorded(s, "activate", what, hand_over, &h, e);
    return h.failed ? h.failed : r;
}

/* --- status --- */

static bool count_held(struct session *s, char slot, size_t *ret) {
    struct kube_client *c = s->cluster[session_slot(slot)];
    struct kube_discovery *d;
    struct handover_item *items = NULL;
    if (!c || kube_discover(c, &d, NULL) < 0)
        return false;
    int r = handover_held(s->a, c, d, s->cfg->ns_include, s->cfg->ns_exclude, &items, NULL);
    kube_discovery_free(d);
    *ret = 0;
    for (; items; items = items->next)
        ++*ret;
    return r >= 0;
}

void stage_way_back(struct session *s, struct way_back *ret) {
    *ret = (struct way_back){.open = s->run_open, .percent = -1};
    if (s->n_tiers)
        ret->percent = MAX(switch_observe(s, NULL), -1);
    ret->known_source = count_held(s, s->source, &ret->held_source);
    ret->known_destination = count_held(s, s->destination, &ret->held_destination);
}

/* --- retire --- */

static int guard_traffic(struct session *s, struct err *e) {
    if (!s->n_tiers)
        return 0;
    int percent = switch_observe(s, e);
    if (percent < -1)
        return percent;
    if (percent != 100)
        return err_set(e, -EGUARD,
                       "the live side still leads to %c (%d %% on %c): finish `tandem cutover` "
                       "first",
                       s->source, MAX(percent, 0), s->destination);
    unsigned elsewhere = 0;
    int n = s->cfg->n_probes ? switch_ask_live(s, 10, &elsewhere, e) : 0;
    if (n < 0)
        return n;
    return elsewhere ? err_set(e, -EGUARD, "%u of %d answers on the live side did not come from %c",
                               elsewhere, n, s->destination)
                     : 0;
}

static int guard_sessions(struct session *s, struct err *e) {
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct traffic_state st;
        int r = traffic_observe(s->tiers[i], &st, e);
        if (r < 0)
            return r;
        uint64_t open = 0;
        for (size_t k = 0; k < st.n; k++)
            open += s->source == 'a' ? st.node[k].sessions_a : st.node[k].sessions_b;
        /* Health checks of the balancer are no sessions in its statistics. */
        if (open)
            return err_set(e, -EGUARD, "tier %s still has %llu open sessions on %c",
                           traffic_name(s->tiers[i]), (unsigned long long)open, s->source);
    }
    return 0;
}

int stage_singletons_over(struct session *s, struct err *e) {
    size_t held = 0;
    if (!count_held(s, s->destination, &held))
        return err_set(e, -EHOSTUNREACH, "cluster %c does not answer", s->destination);
    return held ? err_set(e, -EGUARD,
                          "%zu singletons are still held in %c and act in %c: `tandem activate` "
                          "hands them over",
                          held, s->destination, s->source)
                : 0;
}

static int end_run(struct session *s, void *ctx UNUSED, struct err *e) {
    const char live[2] = {s->destination, 0};
    int r = journal_set(s->journal, "live", live, e);
    if (r >= 0) /* the slot is free for the next cluster */
        r = journal_set(s->journal, s->source == 'a' ? "pin.a" : "pin.b", "", e);
    return r;
}

int stage_retire(struct session *s, struct err *e) {
    if (!s->run_open)
        return err_set(e, -EGUARD, "no run is open: there is nothing to retire");
    if (!session_stage_done(s, "migrate", MIGRATE_ALL))
        return err_set(e, -EGUARD,
                       "the migration of this run has not ended well: `tandem migrate` "
                       "first");
    int r = guard_traffic(s, e);
    if (r >= 0)
        r = guard_sessions(s, e);
    if (r >= 0)
        r = stage_singletons_over(s, e);
    if (r >= 0)
        r = session_hold(s, holding_slot(s->destination), e);
    if (r >= 0)
        r = session_step_recorded(s, "retire", "let the source go", end_run, NULL, e);
    struct err left = {0};
    if (r >= 0)
        notice_sweep(s);
    if (r >= 0 && session_sweep(s, NULL, &left) < 0)
        log_warn("something of tandem's is left in %c: %s", s->destination, err_msg(&left));
    return r < 0 ? r : journal_run_end(s->journal, s->run.id, "retired", e);
}
