#include "base/sm.h"

#include <errno.h>

#include "base/str.h"

int sm_find(const struct sm_table *t, const char *name) {
    for (int i = 0; i < t->n_states; i++)
        if (str_eq(t->states[i].name, name))
            return i;
    return -1;
}

const char *sm_name(const struct sm *m) {
    MUST(m->state >= 0 && m->state < m->table->n_states);
    return m->table->states[m->state].name;
}

const struct sm_move *sm_row(const struct sm_table *t, int from, int to) {
    for (int i = 0; i < t->n_moves; i++)
        if (t->moves[i].from == from && t->moves[i].to == to)
            return &t->moves[i];
    return NULL;
}

/* --- moving --- */

static int refuse(const struct sm *m, int to, struct err *e) {
    const struct sm_table *t = m->table;
    AUTO_SB can = SB_INIT(512);
    for (int i = 0; i < t->n_moves; i++)
        if (t->moves[i].from == m->state)
            sb_fmt(&can, "%s%s (%s)", can.len ? ", " : "", t->states[t->moves[i].to].name,
                   t->moves[i].name);
    return err_set(e, -EGUARD, "the %s is at %s and cannot go to %s from there; %s%s", t->what,
                   sm_name(m), t->states[to].name, can.len ? "it can go to " : "this is its end",
                   sb_get(&can));
}

int sm_may(const struct sm *m, int to, struct err *e) {
    MUST(to >= 0 && to < m->table->n_states);
    const struct sm_move *row = sm_row(m->table, m->state, to);
    if (!row)
        return refuse(m, to, e);
    int r = m->guard && row->guard ? m->guard(m->ctx, row->guard, e) : 0;
    if (r < 0)
        return err_ctx(e, r, "the %s cannot go from %s to %s: %s", m->table->what, sm_name(m),
                       m->table->states[to].name, row->guard);
    return 0;
}

int sm_move(struct sm *m, int to, struct err *e) {
    int r = sm_may(m, to, e);
    if (r >= 0)
        m->state = to;
    return r;
}

/* --- is the table sound? --- */

static int check_states(const struct sm_table *t, struct err *e) {
    for (int i = 0; i < t->n_states; i++) {
        const struct sm_state *s = &t->states[i];
        if (str_empty(s->name) || str_empty(s->why))
            return err_set(e, -EINVAL, "state %d of %s: no name or no why", i, t->what);
        if (sm_find(t, s->name) != i)
            return err_set(e, -EINVAL, "state %s of %s is there twice", s->name, t->what);
    }
    return 0;
}

static bool leaves_by(const struct sm_table *t, int state, const char *name) {
    for (int i = 0; i < t->n_moves; i++)
        if (t->moves[i].from == state && str_eq(t->moves[i].name, name))
            return true;
    return false;
}

static int check_move(const struct sm_table *t, const struct sm_move *m, struct err *e) {
    bool in_range = m->from >= 0 && m->from < t->n_states && m->to >= 0 && m->to < t->n_states;
    if (!in_range || m->from == m->to || str_empty(m->name) || str_empty(m->why))
        return err_set(e, -EINVAL, "move %d of %s: states out of range, no name or no why",
                       (int)(m - t->moves), t->what);
    const char *from = t->states[m->from].name, *to = t->states[m->to].name;
    if (sm_row(t, m->from, m->to) != m)
        return err_set(e, -EINVAL, "the move of %s from %s to %s is there twice", t->what, from,
                       to);
    if (m->undo && !leaves_by(t, m->to, m->undo))
        return err_set(e, -EINVAL, "%s of %s: no move called %s leaves %s", m->name, t->what,
                       m->undo, to);
    return 0;
}

/* Follows the moves from the first state until nothing new is found. */
static int check_reach(const struct sm_table *t, struct err *e) {
    uint64_t seen = 1, before = 0;
    MUST(t->n_states <= 64);
    while (seen != before) {
        before = seen;
        for (int i = 0; i < t->n_moves; i++)
            if (seen >> t->moves[i].from & 1)
                seen |= UINT64_C(1) << t->moves[i].to;
    }
    for (int i = 0; i < t->n_states; i++)
        if (!(seen >> i & 1))
            return err_set(e, -EINVAL, "no move leads to %s of %s", t->states[i].name, t->what);
    return 0;
}

int sm_check(const struct sm_table *t, struct err *e) {
    int r = check_states(t, e);
    for (int i = 0; r >= 0 && i < t->n_moves; i++)
        r = check_move(t, &t->moves[i], e);
    return r < 0 ? r : check_reach(t, e);
}
