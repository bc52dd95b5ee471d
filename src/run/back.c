#include "run/back.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "run/following.h"
#include "run/move.h"
#include "run/stages.h"
#include "run/trail.h"

int back_choose(struct session *s, const char *to, struct err *e) {
    if (to && (strlen(to) != 1 || (*to != 'a' && *to != 'b')))
        return err_set(e, -EUSAGE, "--to: \"%s\" is neither a nor b", to);
    if (!to && !s->journal)
        return err_set(e, -EUSAGE, "without the journal say where back is: --to a or --to b");
    if (!to && !s->run_open)
        return err_set(e, -EGUARD,
                       "no run is open: there is nothing to go back from (--to moves "
                       "the traffic all the same)");
    if (to && s->run_open && *to != s->source)
        return err_set(e, -EGUARD,
                       "the open run goes from %c to %c, so back is %c; to %c leads `tandem "
                       "cutover`",
                       s->source, s->destination, s->source, s->destination);
    if (to) {
        s->source = *to;
        s->destination = *to == 'a' ? 'b' : 'a';
    }
    return 0;
}

struct way {
    const struct back_opts *o;
    struct back_result *ret;
    struct trail trail; /* as it was before */
    struct losses losses;
    bool trail_known;
    char direction;  /* of the sync, as recorded */
    struct sb wrong; /* what could not be done, and what to do about it */
};

/* --- the parts --- */

static int traffic(struct session *s, struct way *w, struct err *e) {
    int r = s->n_tiers ? switch_back_traffic(s, &w->ret->traffic_ms, e) : 0;
    w->ret->traffic_back = !s->n_tiers || switch_observe(s, NULL) == 0;
    if (s->n_tiers && w->ret->traffic_back)
        log_info("all live traffic goes to %c again", s->source);
    return r;
}

/* Only what needs them opens the clusters: an abort before anything was activated does not. */
static bool needs_clusters(const struct way *w) {
    return !w->o->automatic || w->trail.acts_ms || w->direction == 'r' || !w->trail_known;
}

static int reach(struct session *s, struct way *w, struct err *e) {
    return needs_clusters(w) ? session_reach(s, NEED_CLUSTERS | TOLERATE_DEAD, e) : 0;
}

/* What cannot be taken back, in the audit trail under the name of who went back all the same. */
static int accept_losses(struct session *s, struct way *w, struct err *e UNUSED) {
    const char *named = w->o->named;
    if (!named) {
        AUTO_SB b = SB_INIT(0);
        losses_there(s, &w->losses, &w->trail);
        losses_share(s, &w->losses, w->ret->percent_before);
        back_losses_text(&w->losses, &b);
        named = arena_strdup(s->a, sb_get(&b));
        log_warn("%s", named);
    }
    w->ret->losses = named;
    session_event(s,
                  w->o->automatic ? "switch-back: accepted by traffic.onAbort: back"
                                  : "switch-back: accepted",
                  named);
    return 0;
}

/* Each try reads both clusters anew. Deletions that wait for a person are not waited for: the
 * source keeps what they would take. */
static int drain(const struct session *s, struct following *f, struct err *e) {
    static const uint64_t tries[] = {10000, 20000};
    struct following_status st = {0};
    int r = -ETIMEDOUT;
    for (size_t i = 0; i < COUNT_OF(tries) && r == -ETIMEDOUT && !st.asks; i++) {
        r = following_drain(f, tries[i], e);
        following_status(f, &st);
    }
    return r < 0 ? err_ctx(e, r, "not all that changed in %c is carried back", s->destination) : 0;
}

/* A reverse sync that a process which is no more has left: once more for as long as it takes. */
static int catch_up(struct session *s, struct err *e) {
    struct following_opts fo = {.reverse = true};
    struct following *f;
    if (!s->cluster[0] || !s->cluster[1])
        return err_set(e, -EHOSTUNREACH, "what changed in %c last was not carried back: %s",
                       s->destination, "a cluster does not answer");
    int r = following_start(s, &fo, &f, e);
    if (r < 0)
        return err_ctx(e, r, "what changed in %c last was not carried back", s->destination);
    r = drain(s, f, e);
    following_stop(f);
    return r;
}

/* Whatever becomes of the rest of it, reverse sync ends here: the source is live again, and what it
 * does from now on must not be overwritten. Forward sync may go on. */
static int sync_direction(struct session *s, struct way *w, struct err *e) {
    int r = 0;
    if (w->o->reverse && *w->o->reverse) {
        r = drain(s, *w->o->reverse, e);
        following_stop(TAKE(*w->o->reverse));
    } else if (w->direction == 'r' && s->recording) {
        r = catch_up(s, e);
    }
    FAULT_POINT();
    if (w->direction != 'r')
        return r;
    if (!s->recording)
        return err_set(e, -EBUSY,
                       "the journal, which is in use, says that changes of %c are carried to %c",
                       s->destination, s->source);
    struct err turn = {0};
    int t = following_turn(s, 0, &turn);
    if (t >= 0)
        return r;
    if (e)
        *e = turn;
    return t;
}

static int singletons(struct session *s, struct way *w, struct err *e) {
    if (w->o->automatic && w->trail_known && !w->trail.acts_ms)
        return 0;
    int r = stage_handover(s, true, false, &w->ret->items, e);
    w->ret->failed = r > 0 ? r : 0;
    for (const struct handover_item *i = w->o->automatic ? w->ret->items : NULL; i; i = i->next)
        log_info("%s %s%s%s", handover_state_name(i->state), i->title,
                 str_empty(i->note) ? "" : ": ", i->note ? i->note : "");
    return r > 0 ? -EREMOTEIO : r;
}

/* The order, and why it is safe. Each part is done whatever became of the ones before, and does
 * nothing where all is back already, so that the same command goes on after a crash. */
static const struct part {
    const char *name;
    int (*fn)(struct session *s, struct way *w, struct err *e);
    bool of_traffic_only;
    const char *why, *what_to_do;
} parts[] = {
    {"traffic", traffic, true,
     "first: it is what hurts, and needs neither clusters nor a journal. Requests that reach the "
     "source before its singletons act wait for those; the other way round they would be lost",
     "run it again; what each load balancer does: `tandem status`"},
    {"clusters", reach, false, "one that hangs costs seconds, which the traffic does not wait for",
     "see that the context leads to the right cluster, then `tandem switch-back` again"},
    {"losses", accept_losses, true,
     "counted before the sync's last changes and the singletons' own are among them", ""},
    {"sync", sync_direction, false,
     "before the singletons: what they need of the changes made in the destination is then there, "
     "and nobody writes to objects that change hands; after the traffic, so that the last change "
     "that a user made is among what is carried",
     "carry it over by hand, or leave it: `tandem verify` shows what differs"},
    {"singletons", singletons, false,
     "last: the destination's are held before the source's are let loose, which waits for runs "
     "under way",
     "when both clusters answer, `tandem switch-back` again holds and lets loose what is left"},
};

static void note_wrong(struct way *w, const struct part *p, const struct err *why) {
    log_error("%s: %s", p->name, err_msg(why));
    sb_fmt(&w->wrong, "%s%s: %s%s%s", w->wrong.len ? "; " : "", p->name, err_msg(why),
           *p->what_to_do ? ": " : "", p->what_to_do);
}

static int go_back(struct session *s, void *ctx, struct err *e) {
    struct way *w = ctx;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct err why = {0};
        if (w->o->traffic_only && !parts[i].of_traffic_only)
            continue;
        FAULT_POINT();
        int r = parts[i].fn(s, w, &why);
        if (r == -ESTOPPED && atomic_load(&s->cancel.stop)) { /* by the user; a sync ends so too */
            if (e)
                *e = why;
            return r;
        }
        if (r < 0)
            note_wrong(w, &parts[i], &why);
    }
    return w->wrong.len ? err_set(e, -EREMOTEIO, "not everything is back: %s", sb_get(&w->wrong))
                        : 0;
}

/* What was, before anything is changed: the journal's word, and one look at the balancers. */
static void look_first(struct session *s, struct way *w) {
    w->ret->percent_before = s->n_tiers ? MAX(switch_observe(s, NULL), -1) : -1;
    w->trail_known = s->journal && s->run_open && trail_read(s, &w->trail, NULL) >= 0;
    if (w->trail_known)
        (void)following_direction(s, &w->direction, NULL);
    if (w->o->reverse && *w->o->reverse)
        w->direction = 'r';
}

int stage_switch_back(struct session *s, const struct back_opts *o, struct back_result *ret,
                      struct err *e) {
    uint64_t start = clock_now_ms();
    struct way w = {.o = o, .ret = ret, .wrong = SB_INIT(sizeof e->msg)};
    *ret = (struct back_result){.percent_before = -1};
    look_first(s, &w);
    if (o->reason)
        session_event(s, o->automatic ? "switch-back by itself" : "switch-back asked for",
                      o->reason);
    int r = session_step(
        s, "switch-back",
        arena_printf(s->a, "%s to %c", o->traffic_only ? "traffic" : BACK_WHOLE, s->source),
        go_back, &w, e);
    sb_done(&w.wrong);
    if (!s->recording && s->journal)
        log_warn("not recorded: another process holds the journal, which believes something else "
                 "now. Once that process has ended, `tandem switch-back` again records it");
    ret->total_ms = clock_now_ms() - start;
    return r;
}
