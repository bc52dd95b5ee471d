#include "run/abort.h"

#include <errno.h>

#include "base/log.h"
#include "run/trail.h"

struct abort_ctx {
    struct session *s;
    const struct abort_opts *o;
    struct abort_result *res;
};

static int take_back(void *ctx, struct err *e) {
    struct abort_ctx *c = ctx;
    struct back_opts bo = {.traffic_only = c->o->traffic_only,
                           .reason = c->o->reason,
                           .automatic = c->o->automatic,
                           .reverse = c->o->reverse};
    if (!c->res->needed)
        return 0;
    int r = stage_switch_back(c->s, &bo, &c->res->back, e);
    c->res->traffic_back = c->res->back.traffic_back || !c->s->n_tiers;
    if (r >= 0 && !c->res->traffic_back)
        return err_set(e, -EPROTO, "the traffic was left as it is");
    return r;
}

/* Where the run stands afterwards, as far as the journal can be read and written. */
static int stand(struct session *s) {
    struct run_seen seen;
    run_look(s, &seen);
    int stage = s->recording ? run_settle(s, &seen, NULL) : run_stage(s, NULL);
    return MAX(stage, 0);
}

/* Where nobody can tell, they may. A hand-over that was cut short has left some there, although the
 * stage was never reached; and a way back that was is ended, whatever there is left of it. */
static bool singletons_away(struct session *s, int stage) {
    struct trail t = {0};
    return stage >= RUN_ACTIVATE || trail_read(s, &t, NULL) < 0 || t.acts_ms || t.back;
}

int run_abort(struct session *s, const struct abort_opts *o, struct abort_result *ret,
              struct err *e) {
    struct run_seen seen;
    if (!s->run_open)
        return err_set(e, -EGUARD,
                       "no run is open: there is nothing to abort (`tandem "
                       "switch-back --to` moves the traffic all the same)");
    run_look(s, &seen);
    int stage = s->recording ? run_settle(s, &seen, e) : run_stage(s, e);
    if (stage < 0) /* the way back does not wait for a journal */
        log_warn("the journal does not tell the stage: %s", err_msg(e));
    int to = o->traffic_only ? RUN_ACTIVATE : RUN_MIGRATE;
    bool moved = s->n_tiers && seen.percent != 0;
    *ret = (struct abort_result){
        .needed = stage < 0 || moved || (!o->traffic_only && singletons_away(s, stage)),
        .traffic_back = true,
    };
    struct abort_ctx c = {s, o, ret};
    bool walking = s->walking;
    s->walking = true; /* the move is recorded here */
    int r = stage > to && sm_row(&run_table, stage, to)
                ? run_move(s, NULL, to, o->reason, take_back, &c, e)
                : take_back(&c, e);
    s->walking = walking;
    ret->stage = stand(s);
    return r;
}
