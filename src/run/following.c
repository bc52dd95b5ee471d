#include "run/following.h"

#include <errno.h>
#include <pthread.h>

#include "base/log.h"
#include "migrate/follow.h"
#include "run/holding.h"
#include "run/move.h"

struct following {
    struct follow *f;
    struct following_opts o;
    char from, to;
    const char *actor;          /* of the session */
    struct http_cancel *cancel; /* of the session: ends a drain */
    pthread_t thread;
    struct err e; /* of follow_run() */
};

#define DIRECTION_KEY "follow.direction"

const char *following_state_name(enum following_state s) {
    static const char *const names[] = {"reading", "live", "asks", "broken", "stopped"};
    return s < COUNT_OF(names) ? names[s] : "?";
}

/* --- the recorded direction --- */

int following_direction(struct session *s, char *ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    char *text = NULL;
    int r = s->journal ? journal_get(s->journal, a, DIRECTION_KEY, &text, e) : 0;
    if (r >= 0)
        *ret = str_empty(text) ? 0 : *text;
    return r;
}

int following_turn(struct session *s, char direction, struct err *e) {
    const char text[2] = {direction, 0};
    MUST(direction == 0 || direction == 'f' || direction == 'r');
    return journal_set(s->journal, DIRECTION_KEY, direction ? text : NULL, e);
}

/* The recorded direction changes only where the traffic says so: objects are carried from where the
 * users are. In between, and where it cannot be told, what was recorded stays. */
static int turn_if_traffic_did(struct session *s, char want, struct err *e) {
    int percent = s->n_tiers ? switch_observe(s, e) : -1;
    if (percent < -1)
        return percent;
    if (s->n_tiers && percent == (want == 'r' ? 100 : 0)) {
        session_event(s, "sync turned",
                      want == 'r' ? "destination to source" : "source to destination");
        return following_turn(s, want, e);
    }
    return err_set(e, -EGUARD,
                   "objects are carried from %c to %c in this run; the other way only when all "
                   "traffic is on %c",
                   want == 'r' ? s->source : s->destination,
                   want == 'r' ? s->destination : s->source,
                   want == 'r' ? s->destination : s->source);
}

/* What users delete where they are would be made again from the other side. */
static int refuse_after_switch(struct session *s, struct err *e) {
    int percent = s->n_tiers ? switch_observe(s, e) : 0;
    return percent < -1 ? percent
           : percent == 100
               ? err_set(
                     e, -EGUARD,
                     "all traffic is on %c: what changes there is carried back by `tandem follow "
                     "--reverse`, and nothing from %c over it",
                     s->destination, s->source)
               : 0;
}

static int take_direction(struct session *s, bool reverse, struct err *e) {
    char now, want = reverse ? 'r' : 'f';
    int r = following_direction(s, &now, e);
    if (r >= 0 && now == want && want == 'f')
        r = refuse_after_switch(s, e);
    if (r < 0 || now == want)
        return r;
    return now || reverse ? turn_if_traffic_did(s, want, e) : following_turn(s, want, e);
}

/* --- life --- */

static void tell(void *ctx) {
    struct following *g = ctx;
    struct following_status st;
    following_status(g, &st);
    g->o.tell(g->o.ctx, &st);
}

static void *run(void *arg) {
    struct following *g = arg;
    if (follow_run(g->f, &g->e) < 0)
        log_error("live sync has ended: %s", err_msg(&g->e));
    return NULL;
}

/* The other way round: what was the destination is read, and the original written. */
static void turn_round(struct world_opts *wo) {
    struct kube_client *c = wo->src;
    const char *const *names = wo->class_from;
    char slot = wo->src_slot;
    wo->src = wo->dst;
    wo->dst = c;
    wo->src_slot = wo->dst_slot;
    wo->dst_slot = slot;
    wo->class_from = wo->class_to;
    wo->class_to = names;
    wo->write_back = true;
}

int following_start(struct session *s, const struct following_opts *o, struct following **ret,
                    struct err *e) {
    struct follow_opts fo = {.writes = MAX(s->cfg->writes / 2, 1u),
                             .watches = s->cfg->watches,
                             .delete_max = s->cfg->delete_max,
                             .delete_percent = s->cfg->delete_percent,
                             .ask_deletes = o->reverse};
    if (!s->run_open || !session_stage_done(s, "migrate", NULL))
        return err_set(e, -EGUARD, "nothing has been migrated in this run: `tandem migrate` first");
    int r = session_hold(s, holding_slot(o->reverse ? s->source : s->destination), e);
    if (r >= 0)
        r = session_world_opts(s, NULL, &fo.world, e);
    if (r >= 0)
        r = take_direction(s, o->reverse, e);
    if (r < 0)
        return r;
    if (o->reverse)
        turn_round(&fo.world);
    struct following *g = xcalloc(1, sizeof *g);
    g->o = *o;
    g->actor = s->actor;
    g->cancel = &s->cancel;
    g->from = fo.world.src_slot;
    g->to = fo.world.dst_slot;
    fo.tell = o->tell ? tell : NULL;
    fo.tell_ctx = g;
    g->f = follow_new(&fo);
    MUST(pthread_create(&g->thread, NULL, run, g) == 0);
    *ret = g;
    return 0;
}

void following_stop(struct following *g) {
    if (!g)
        return;
    follow_stop(g->f);
    pthread_join(g->thread, NULL);
    follow_free(g->f);
    xfree(g);
}

void following_status(struct following *g, struct following_status *ret) {
    static const enum following_state states[] = {[FOLLOW_READING] = FOLLOWING_READING,
                                                  [FOLLOW_LIVE] = FOLLOWING_LIVE,
                                                  [FOLLOW_ASKS] = FOLLOWING_ASKS,
                                                  [FOLLOW_BROKEN] = FOLLOWING_BROKEN,
                                                  [FOLLOW_STOPPED] = FOLLOWING_STOPPED};
    struct follow_status st;
    follow_status(g->f, &st);
    *ret = (struct following_status){.state = states[st.state],
                                     .from = g->from,
                                     .to = g->to,
                                     .pending = st.pending,
                                     .oldest_ms = st.oldest_ms,
                                     .asks = st.asks,
                                     .failing = st.failing,
                                     .blocked = st.blocked,
                                     .readings = st.readings,
                                     .carried = st.carried,
                                     .deleted = st.deleted,
                                     .watches = st.watches,
                                     .heard_ms = st.heard_ms};
    snprintf(ret->why, sizeof ret->why, "%s", st.why);
}

int following_approve(struct following *g, const char *what, struct err *e) {
    return follow_approve(g->f, what, e);
}

int following_drain(struct following *g, uint64_t max_ms, struct err *e) {
    return follow_drain(g->f, max_ms, g->cancel, e);
}

void following_each_held(struct following *g, size_t n,
                         void (*fn)(void *ctx, const char *ref, bool asks, const char *why),
                         void *ctx) {
    follow_each_held(g->f, n, fn, ctx);
}

/* --- requests of other processes --- */

yyjson_mut_val *following_json(yyjson_mut_doc *d, struct following *g) {
    struct following_status st;
    yyjson_mut_val *x = yyjson_mut_obj(d);
    following_status(g, &st);
    json_mut_set_str(d, x, "state", following_state_name(st.state));
    json_mut_set_str(d, x, "from", (char[]){st.from, 0});
    json_mut_set_str(d, x, "to", (char[]){st.to, 0});
    json_mut_set_int(d, x, "pending", (int64_t)st.pending);
    json_mut_set_int(d, x, "lagMs", (int64_t)st.oldest_ms);
    json_mut_set_int(d, x, "asks", (int64_t)st.asks);
    json_mut_set_int(d, x, "blocked", (int64_t)st.blocked);
    json_mut_set_int(d, x, "failing", (int64_t)st.failing);
    json_mut_set_int(d, x, "carried", (int64_t)st.carried);
    json_mut_set_int(d, x, "deleted", (int64_t)st.deleted);
    json_mut_set_int(d, x, "watches", (int64_t)st.watches);
    json_mut_set_str(d, x, "why", st.why);
    return x;
}

static void answer_status(struct following *g, struct sb *ret_json) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    size_t n;
    json_mut_set_str(d, root, "actor", g->actor);
    json_mut_set_int(d, root, "pid", getpid());
    json_mut_set(d, root, "follow", following_json(d, g));
    const char *text = json_mut_write(a, root, &n);
    sb_add(ret_json, text, n);
}

int following_answer(void *ctx, const struct holder_request *rq, struct sb *ret_json,
                     struct err *e) {
    struct following *g = ctx;
    const char *what = json_str(rq->args, "what");
    if (str_eq(rq->verb, "status")) {
        answer_status(g, ret_json);
        return 0;
    }
    if (!str_eq(rq->verb, "approve"))
        return err_set(e, -EUSAGE, "`tandem follow` knows no request \"%s\": end it first",
                       rq->verb);
    if (str_empty(what))
        return err_set(e, -EGUARD,
                       "live sync runs by itself here: what may be approved are its deletes "
                       "(\"deletes\", or a kind), or \"restore\"");
    int n = following_approve(g, what, e);
    if (n >= 0)
        sb_fmt(ret_json, "{\"let\":%d}", n);
    return n;
}
