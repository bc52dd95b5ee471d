#include "run/adopt.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/move.h"
#include "run/trail.h"

int live_look(struct session *s, struct live_view *ret, struct err *e) {
    struct trail t;
    int r = trail_read(s, &t, e);
    int observed = r < 0 ? -1 : switch_observe(s, e);
    if (r < 0 || observed < -1)
        return r < 0 ? r : observed;
    *ret = (struct live_view){.observed = observed,
                              .believed = t.percent,
                              .last = t.last,
                              .last_ms = t.last_ms,
                              .differs = t.percent >= 0 && observed != t.percent};
    return 0;
}

static const char *share(struct session *s, int percent) {
    return percent < 0 ? "differing shares from tier to tier"
                       : arena_printf(s->a, "%d %% of the live traffic", percent);
}

static const char *belief(struct session *s, const struct live_view *v) {
    char t[CLOCK_RFC3339_MAX];
    if (!s->run_open)
        return arena_printf(s->a, "no run is open and %c is live", s->source);
    if (!v->last)
        return "nothing was moved in this run";
    return arena_printf(s->a, "%d %% (\"%s\" at %s)", v->believed, v->last,
                        clock_rfc3339(v->last_ms, t));
}

int session_check_live(struct session *s, struct err *e) {
    struct live_view v;
    struct err why = {0};
    if (!s->n_tiers)
        return 0;
    if (live_look(s, &v, &why) < 0) {
        log_warn("who is live cannot be observed: %s", err_msg(&why));
        return 0;
    }
    if (!v.differs)
        return 0;
    return err_set(
        e, -EGUARD,
        "who is live is not what the journal believes. The load balancers send %s to %c; "
        "the journal says: %s. Somebody moved the traffic without tandem, or this is not "
        "the environment's journal. `tandem adopt` records what is observed as true; "
        "`tandem switch-back` leads all of it to %c",
        share(s, v.observed), s->destination, belief(s, &v), s->source);
}

/* Every node of every tier, and all of one mind: the rest would be a guess. */
static int check_whole(struct session *s, struct err *e) {
    for (size_t i = 0; i < s->n_tiers; i++) {
        const char *tier = traffic_name(s->tiers[i]);
        struct traffic_state st;
        int r = traffic_observe(s->tiers[i], &st, e);
        if (r < 0)
            return r;
        for (size_t k = 0; k < st.n; k++)
            if (!st.node[k].reachable)
                return err_set(e, -EGUARD, "tier %s: %s; what it does cannot be taken as true",
                               tier, st.node[k].problem);
        if (st.drift)
            return err_set(e, -EGUARD,
                           "tier %s drifts (nodes differ, or HAProxy from its map file): see "
                           "`tandem status`; `tandem switch-back` sets them all",
                           tier);
    }
    return 0;
}

static int check_side(struct session *s, const struct live_view *v, struct err *e) {
    if (v->observed < 0)
        return err_set(e, -EGUARD,
                       "the tiers lead to different sides, which no step leaves behind: `tandem "
                       "switch-back` leads all of them to %c",
                       s->source);
    if (s->run_open || v->observed == 0 || v->observed == 100)
        return 0;
    return err_set(e, -EGUARD,
                   "%d %% go to %c and no run is open: nobody is live alone. Lead all of it to one "
                   "side first: `tandem switch-back --to a` or `--to b`",
                   v->observed, s->destination);
}

static int record_move(struct session *s, const struct live_view *v, const char *reason,
                       struct err *e) {
    int64_t id;
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *o = yyjson_mut_obj(d);
    size_t n;
    json_mut_set_bool(d, o, "adopted", true);
    json_mut_set_str(d, o, "reason", reason ? reason : "");
    int r = journal_step_begin(s->journal, s->run.id, "switch", trail_move(s, v->observed),
                               json_mut_write(s->a, o, &n), &id, e);
    return r < 0 ? r
                 : journal_step_end(s->journal, id, "done", "adopted: observed, not done by tandem",
                                    e);
}

static int record_live(struct session *s, const struct live_view *v, struct err *e) {
    const char live[2] = {v->observed == 100 ? s->destination : s->source, 0};
    return journal_set(s->journal, "live", live, e);
}

int stage_adopt(struct session *s, const char *reason, struct live_view *ret, struct err *e) {
    struct live_view v;
    int r = live_look(s, &v, e);
    if (r >= 0)
        r = check_whole(s, e);
    if (r >= 0)
        r = check_side(s, &v, e);
    if (r < 0)
        return err_ctx(e, r, "nothing is adopted");
    *ret = v;
    if (v.observed == v.believed)
        return 0;
    r = s->run_open ? record_move(s, &v, reason, e) : record_live(s, &v, e);
    if (r < 0)
        return r;
    session_event(s, "adopt: the observed state is true",
                  arena_printf(s->a, "%s goes to %c; the journal said: %s%s%s",
                               share(s, v.observed), s->destination, belief(s, &v),
                               reason ? "; " : "", reason ? reason : ""));
    return 1;
}
