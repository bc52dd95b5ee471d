#include "base/clock.h"
#include "journal/db.h"

enum { MOVES_SINCE = 2 }; /* schema version */

/* --- moves --- */

int journal_move_begin(struct journal *j, const char *run, const struct journal_move *m,
                       int64_t *ret_id, struct err *e) {
    return row_insert(j, "record a move", Q_MOVE_INSERT,
                      ARGS(TEXT(run), TEXT(m->from), TEXT(m->to), TEXT(m->name), TEXT(m->actor),
                           TEXT(m->reason), INT(clock_wall_ms())),
                      ret_id, e);
}

int journal_move_end(struct journal *j, int64_t id, const char *state, const char *note,
                     struct err *e) {
    return row_end(j, "record the end of a move", Q_MOVE_END, "move", id, state, note, e);
}

static struct journal_move read_move(struct arena *a, sqlite3_stmt *st) {
    return (struct journal_move){
        .id = sqlite3_column_int64(st, 0),
        .from = column_text(a, st, 1),
        .to = column_text(a, st, 2),
        .name = column_text(a, st, 3),
        .actor = column_text(a, st, 4),
        .reason = column_text(a, st, 5),
        .state = column_text(a, st, 6),
        .note = column_text(a, st, 7),
        .at_ms = sqlite3_column_int64(st, 8),
        .ended_ms = sqlite3_column_int64(st, 9),
    };
}

int journal_moves(struct journal *j, struct arena *a, const char *run, struct journal_move **ret,
                  size_t *n, struct err *e) {
    AUTO_USE u = use_read(j, "read the moves");
    AUTO_STMT st = NULL;
    struct journal_move *v = NULL;
    size_t len = 0, cap = 0;
    int r = j->version < MOVES_SINCE ? 0 : query(j, Q_MOVES, ARGS(TEXT(run)), &st, e);
    while (st && r >= 0 && (r = query_next(j, st, e)) > 0)
        *ARENA_PUSH(a, v, len, cap) = read_move(a, st);
    if (r < 0)
        return r;
    *ret = v;
    *n = len;
    return 0;
}

/* --- approvals --- */

int journal_approve(struct journal *j, const char *run, const char *gate, const char *actor,
                    const char *reason, struct err *e) {
    return row_insert(j, "record an approval", Q_APPROVAL_INSERT,
                      ARGS(TEXT(run), TEXT(gate), TEXT(actor), TEXT(reason), INT(clock_wall_ms())),
                      NULL, e);
}

static struct journal_approval read_approval(struct arena *a, sqlite3_stmt *st) {
    return (struct journal_approval){
        .id = sqlite3_column_int64(st, 0),
        .gate = column_text(a, st, 1),
        .actor = column_text(a, st, 2),
        .reason = column_text(a, st, 3),
        .after = sqlite3_column_int64(st, 4),
        .at_ms = sqlite3_column_int64(st, 5),
    };
}

int journal_approvals(struct journal *j, struct arena *a, const char *run,
                      struct journal_approval **ret, size_t *n, struct err *e) {
    AUTO_USE u = use_read(j, "read the approvals");
    AUTO_STMT st = NULL;
    struct journal_approval *v = NULL;
    size_t len = 0, cap = 0;
    int r = j->version < MOVES_SINCE ? 0 : query(j, Q_APPROVALS, ARGS(TEXT(run)), &st, e);
    while (st && r >= 0 && (r = query_next(j, st, e)) > 0)
        *ARENA_PUSH(a, v, len, cap) = read_approval(a, st);
    if (r < 0)
        return r;
    *ret = v;
    *n = len;
    return 0;
}
