#include "run/move.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"

/* For a holder that gives way once it sees the traffic moved (still_ours() in switch.c). */
enum { GIVES_WAY_MS = 5000 };

/* Share of b for so many percent of the destination. */
static int share_of_b(const struct session *s, int percent_destination) {
    return s->destination == 'b' ? percent_destination : 100 - percent_destination;
}

int switch_observe(struct session *s, struct err *e) {
    int agreed = -1;
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct traffic_state st;
        int r = traffic_observe(s->tiers[i], &st, e);
        if (r < 0)
            return err_ctx(e, MIN(r, -2), "tier %s", traffic_name(s->tiers[i]));
        int percent = st.live_b < 0 ? -1 : share_of_b(s, st.live_b);
        if (i && percent != agreed)
            return -1;
        agreed = percent;
    }
    return agreed;
}

int move_live(struct session *s, void *ctx, struct err *e) {
    const struct move *m = ctx;
    int worst = 0;
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct err why = {0};
        FAULT_POINT();
        int r = traffic_set_live(s->tiers[i], share_of_b(s, m->percent), m->force, &why);
        FAULT_POINT();
        if (r >= 0)
            continue;
        if (e)
            *e = why;
        worst = err_ctx(e, r, "tier %s", traffic_name(s->tiers[i]));
        if (m->percent > 0)
            break;
    }
    return worst;
}

int move_claim(struct session *s, bool force, struct err *e) {
    int worst = 0;
    for (size_t i = 0; i < s->n_tiers; i++) {
        int r = traffic_claim(s->tiers[i], force, e);
        worst = r < 0 ? err_ctx(e, r, "tier %s", traffic_name(s->tiers[i])) : worst;
        if (r < 0 && !force)
            break;
    }
    return worst;
}

int move_prelive(struct session *s, char cluster, struct err *e) {
    int worst = 0;
    for (size_t i = 0; i < s->n_tiers; i++) {
        int r = traffic_set_prelive(s->tiers[i], cluster, e);
        FAULT_POINT();
        worst = r < 0 ? err_ctx(e, r, "tier %s, pre-live", traffic_name(s->tiers[i])) : worst;
    }
    return worst;
}

struct prelive {
    int r;
    struct err e;
    uint64_t ms; /* until all was moved */
};

/* The step tells of the live side; pre-live is what is seen to afterwards. */
static int move_back(struct session *s, void *ctx, struct err *e) {
    struct move m = {0, true};
    struct prelive *p = ctx;
    struct err why = {0};
    uint64_t start = clock_now_ms();
    if (move_claim(s, true, &why) < 0)
        log_warn("%s", err_msg(&why));
    int r = move_live(s, &m, e);
    p->r = move_prelive(s, s->destination, &p->e);
    p->ms = clock_now_ms() - start;
    session_record(s, GIVES_WAY_MS);
    return r;
}

int switch_back_traffic(struct session *s, uint64_t *ret_ms, struct err *e) {
    struct prelive p = {0};
    int r =
        session_step(s, "switch", arena_printf(s->a, "back to %c", s->source), move_back, &p, e);
    *ret_ms = p.ms;
    if (r >= 0 && p.r < 0 && e)
        *e = p.e;
    return r < 0 ? r : p.r;
}
