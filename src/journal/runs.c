#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "journal/db.h"

/* --- runs --- */

static void copy_text(char *to, size_t size, sqlite3_stmt *st, int i) {
    snprintf(to, size, "%s", (const char *)sqlite3_column_text(st, i));
}

static void read_run(sqlite3_stmt *st, struct journal_run *r) {
    *r = (struct journal_run){0};
    copy_text(r->id, sizeof r->id, st, 0);
    r->source = (char)sqlite3_column_text(st, 1)[0];
    r->destination = (char)sqlite3_column_text(st, 2)[0];
    copy_text(r->state, sizeof r->state, st, 3);
    r->started_ms = sqlite3_column_int64(st, 4);
    r->ended_ms = sqlite3_column_int64(st, 5);
}

/* "r-20261123-ab12": the day in UTC and two random bytes. */
static void make_run_id(int64_t now_ms, char *out, size_t size) {
    uint8_t random[2];
    char hex[5];
    struct tm tm;
    time_t t = (time_t)(now_ms / 1000);
    hash_random(random, sizeof random);
    gmtime_r(&t, &tm);
    size_t n = strftime(out, size, "r-%Y%m%d-", &tm);
    snprintf(out + n, size - n, "%s", hash_hex(random, sizeof random, hex));
}

int journal_run_begin(struct journal *j, char source, char destination, struct journal_run *ret,
                      struct err *e) {
    const char from[] = {source, 0}, to[] = {destination, 0};
    struct journal_run run = {
        .source = source,
        .destination = destination,
        .state = "open",
        .started_ms = clock_wall_ms(),
    };
    AUTO_USE u = {0};
    int r = use_write(&u, j, "record a run", e);
    if (r < 0)
        return r;
    do { /* two runs of one day may draw the same number */
        make_run_id(run.started_ms, run.id, sizeof run.id);
        r = query_run(j, Q_RUN_INSERT,
                      ARGS(TEXT(run.id), TEXT(from), TEXT(to), INT(run.started_ms)), e);
    } while (r == -EEXIST);
    if (r >= 0)
        r = use_commit(&u, e);
    if (r >= 0)
        *ret = run;
    return r;
}

int journal_run_open(struct journal *j, struct journal_run *ret, struct err *e) {
    AUTO_USE u = use_read(j, "read the open run");
    AUTO_STMT st = NULL;
    int r = query(j, Q_RUN_OPEN, NO_ARGS, &st, e);
    if (r >= 0)
        r = query_next(j, st, e);
    if (r > 0)
        read_run(st, ret);
    return r;
}

int journal_run_end(struct journal *j, const char *run, const char *state, struct err *e) {
    AUTO_USE u = {0};
    int r = use_write(&u, j, "record the end of a run", e);
    if (r >= 0)
        r = query_run(j, Q_RUN_END, ARGS(TEXT(run), TEXT(state), INT(clock_wall_ms())), e);
    if (r == 0)
        return err_set(e, -ENOENT, "journal %s: there is no open run %s", j->path, run);
    return r < 0 ? r : use_commit(&u, e);
}

int journal_runs(struct journal *j, struct arena *a, struct journal_run **ret, size_t *n,
                 struct err *e) {
    AUTO_USE u = use_read(j, "read the runs");
    AUTO_STMT st = NULL;
    struct journal_run *v = NULL;
    size_t len = 0, cap = 0;
    int r = query(j, Q_RUNS, NO_ARGS, &st, e);
    while (r >= 0 && (r = query_next(j, st, e)) > 0)
        read_run(st, ARENA_PUSH(a, v, len, cap));
    if (r < 0)
        return r;
    *ret = v;
    *n = len;
    return 0;
}

/* --- steps --- */

int journal_step_begin(struct journal *j, const char *run, const char *stage, const char *what,
                       const char *detail, int64_t *ret_id, struct err *e) {
    return row_insert(
        j, "record a step", Q_STEP_INSERT,
        ARGS(TEXT(run_or_null(run)), TEXT(stage), TEXT(what), TEXT(detail), INT(clock_wall_ms())),
        ret_id, e);
}

int journal_step_end(struct journal *j, int64_t id, const char *state, const char *note,
                     struct err *e) {
    return row_end(j, "record the end of a step", Q_STEP_END, "step", id, state, note, e);
}

static struct journal_step read_step(struct arena *a, sqlite3_stmt *st) {
    return (struct journal_step){
        .id = sqlite3_column_int64(st, 0),
        .stage = column_text(a, st, 1),
        .what = column_text(a, st, 2),
        .detail = column_text(a, st, 3),
        .state = column_text(a, st, 4),
        .note = column_text(a, st, 5),
        .begun_ms = sqlite3_column_int64(st, 6),
        .ended_ms = sqlite3_column_int64(st, 7),
    };
}

int journal_steps(struct journal *j, struct arena *a, const char *run, struct journal_step **ret,
                  size_t *n, struct err *e) {
    AUTO_USE u = use_read(j, "read the steps");
    AUTO_STMT st = NULL;
    struct journal_step *v = NULL;
    size_t len = 0, cap = 0;
    int r = query(j, Q_STEPS, ARGS(TEXT(run_or_null(run))), &st, e);
    while (r >= 0 && (r = query_next(j, st, e)) > 0)
        *ARENA_PUSH(a, v, len, cap) = read_step(a, st);
    if (r < 0)
        return r;
    *ret = v;
    *n = len;
    return 0;
}
