/* A state machine as a table: the states, and the moves that are allowed between them.
 *
 * After dqlite's lib/sm.c, with one difference: there an illegal move is a broken invariant, here
 * it is what somebody asked for, so it is refused with a sentence that says what is possible
 * instead. Each move names the guard that must agree to it and the move that undoes it. The table
 * is constant and shared; a struct sm belongs to one thread at a time, and whoever owns it may keep
 * it by value (states are small numbers; write their names down, not the numbers). */
#pragma once

#include "base/err.h"

struct sm_state {
    const char *name;
    const char *why; /* what is true while here, for people */
};
struct sm_move {
    int from, to;
    const char *name;  /* what people call it: "cutover" */
    const char *guard; /* handed to sm.guard before the move; NULL: none needed */
    const char *undo;  /* name of a move that leaves `to` again; NULL: cannot be undone */
    const char *why;   /* what it means, or why it cannot be undone */
};
struct sm_table {
    const char *what; /* of what these are the states: "run" */
    const struct sm_state *states;
    int n_states; /* the first is where everything begins */
    const struct sm_move *moves;
    int n_moves; /* at most one from one state to another */
};

struct sm {
    const struct sm_table *table;
    int state;
    /* Negative, with e filled, when the named guard does not agree. NULL: all agree. */
    int (*guard)(void *ctx, const char *name, struct err *e);
    void *ctx;
};

/* The number of the state with this name, or -1. */
int sm_find(const struct sm_table *t, const char *name);
const char *sm_name(const struct sm *m);
/* The row that leads from one state to another, or NULL. */
const struct sm_move *sm_row(const struct sm_table *t, int from, int to);
/* May it move there now? 0, -EGUARD when no row leads there or another negative code when the
 * row's guard does not agree. Nothing changes. */
int sm_may(const struct sm *m, int to, struct err *e);
/* As sm_may, and then moves. To the state where it is already: refused, as any move without a row.
 */
int sm_move(struct sm *m, int to, struct err *e);
/* For tests: numbers in range, names and reasons given, no state or move twice, every state
 * reachable, every undo a move that leaves the state that its move led to. */
int sm_check(const struct sm_table *t, struct err *e);
