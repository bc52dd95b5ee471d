/* The run as a state machine: which moves are legal, what their guards say, what is in the journal
 * of them, and what becomes of moves that a dead process left open. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/file.h"
#include "base/log.h"
#include "fake_haproxy.h"
#include "run/gate.h"
#include "run/run.h"
#include "run/switch.h"

struct fixture {
    struct session s; /* as session_open() would leave it, without clusters */
    char *dir, *path, *map, *socket;
    struct fake fake;
    struct traffic_tier *tier;
    bool has_tier;
};

static void good(int r, const struct err *e) {
    if (r < 0)
        fail_msg("%d: %s", r, err_msg(e));
}

static int setup(void **state) {
    struct err e = {0};
    struct fixture *f = xcalloc(1, sizeof *f);
    struct session *s = &f->s;
    log_setup(LOG_ERROR, LOG_TEXT);
    s->a = arena_new();
    f->dir = mkdtemp(arena_strdup(s->a, "/tmp/test_run.XXXXXX"));
    f->path = arena_printf(s->a, "%s/t.db", f->dir);
    s->source = 'a';
    s->destination = 'b';
    snprintf(s->actor, sizeof s->actor, "ann@desk");
    good(config_default("x", "y", &s->cfg, &e), &e);
    s->cfg->dir = f->dir;
    s->cfg->journal = f->path;
    good(journal_open(f->path, false, &s->journal, &e), &e);
    s->recording = true;
    good(session_begin_run(s, &e), &e);
    *state = f;
    return 0;
}

/* A load balancer in front, with so many percent on b. */
static void add_tier(struct fixture *f, int live_b) {
    struct session *s = &f->s;
    f->map = arena_printf(s->a, "%s/t.map", f->dir);
    f->socket = arena_printf(s->a, "%s/t.sock", f->dir);
    char *text =
        arena_printf(s->a, "frontend.pct_b %d\nfrontend.prelive_b %d\n", live_b, live_b ? 0 : 100);
    assert_int_equal(file_write_atomic(f->map, text, strlen(text), 0640, NULL), 0);
    fake_start(&f->fake, f->socket, f->map, live_b, live_b ? 0 : 100);
    const char **sockets = arena_array(s->a, const char *, 2);
    sockets[0] = f->socket;
    struct traffic_config tc = {.name = "frontend",
                                .driver = "haproxy",
                                .sockets = sockets,
                                .map = f->map,
                                .live_a = "paas_a",
                                .live_b = "paas_b",
                                .timeout_ms = 300};
    struct err e = {0};
    good(traffic_open(&tc, &f->tier, &e), &e);
    s->tiers = &f->tier;
    s->n_tiers = 1;
    f->has_tier = true;
}

static int teardown(void **state) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *f = *state;
    if (f->has_tier) {
        traffic_close(f->tier);
        fake_stop(&f->fake);
        unlink(f->socket);
        unlink(f->map);
    }
    journal_close(f->s.journal);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(f->s.a, "%s%s", f->path, names[i]));
    int r = rmdir(f->dir);
    config_free(f->s.cfg);
    arena_free(f->s.a);
    xfree(f);
    return r;
}

/* --- ways to get somewhere --- */

static int nothing(struct session *s, void *ctx, struct err *e) {
    (void)s;
    (void)ctx;
    (void)e;
    return 0;
}

/* The step of a single command, without the command's walk over the stages. */
static void step(struct fixture *f, const char *stage, const char *what) {
    struct err e = {0};
    good(session_step(&f->s, stage, what, nothing, NULL, &e), &e);
}

static int64_t intent(struct fixture *f, int from, int to) {
    struct err e = {0};
    int64_t id = 0;
    struct journal_move m = {.from = run_stage_name(from),
                             .to = run_stage_name(to),
                             .name = "test",
                             .actor = "ann@desk"};
    good(journal_move_begin(f->s.journal, f->s.run.id, &m, &id, &e), &e);
    return id;
}

/* The journal says so; whether the table has such a move does not matter here. */
static void put_at(struct fixture *f, int stage) {
    struct err e = {0};
    int at = run_stage(&f->s, &e);
    if (at != stage)
        good(journal_move_end(f->s.journal, intent(f, at, stage), "done", NULL, &e), &e);
    assert_int_equal(run_stage(&f->s, &e), stage);
}

static struct journal_move last_move(struct fixture *f, size_t *ret_n) {
    struct journal_move *v;
    struct err e = {0};
    good(journal_moves(f->s.journal, f->s.a, f->s.run.id, &v, ret_n, &e), &e);
    return *ret_n ? v[*ret_n - 1] : (struct journal_move){0};
}

/* --- the table --- */

static void test_table_is_sound(void **state) {
    struct err e = {0};
    (void)state;
    good(sm_check(&run_table, &e), &e);
    assert_int_equal(run_table.n_states, RUN_STAGES);
}

/* Written down once more, by hand: one line per stage, the stages that can be reached from it. */
static const char *const legal[RUN_STAGES] = {
    [RUN_BEGIN] = "preflight migrate unmigrated",
    [RUN_PREFLIGHT] = "migrate unmigrated",
    [RUN_MIGRATE] = "follow activate switch retire unmigrated",
    [RUN_FOLLOW] = "test activate switch migrate unmigrated",
    [RUN_TEST] = "activate switch migrate unmigrated",
    [RUN_ACTIVATE] = "switch retire migrate",
    [RUN_SWITCH] = "bake retire migrate activate",
    [RUN_BAKE] = "retire migrate activate",
    [RUN_RETIRE] = "",
    [RUN_UNMIGRATED] = "",
};

static void test_every_pair(void **state) {
    struct fixture *f = *state;
    size_t allowed = 0;
    step(f, "migrate", MIGRATE_ALL); /* so that no guard stands in the way */
    for (int from = 0; from < RUN_STAGES; from++) {
        AUTO_STRVEC can = {0};
        strvec_split(&can, legal[from], ' ');
        put_at(f, from);
        for (int to = 0; to < RUN_STAGES; to++) {
            struct err e = {0};
            bool want = strvec_has(&can, run_stage_name(to));
            int r = run_may(&f->s, NULL, to, &e);
            allowed += r >= 0;
            if ((r >= 0) != want || (r < 0 && r != -EGUARD))
                fail_msg("%s -> %s: %d %s", run_stage_name(from), run_stage_name(to), r,
                         err_msg(&e));
            if (r < 0 && !strstr(e.msg, *legal[from] ? "it can go to" : "this is its end"))
                fail_msg("%s -> %s does not say what is possible: %s", run_stage_name(from),
                         run_stage_name(to), e.msg);
        }
    }
    assert_int_equal(allowed, run_table.n_moves);
}

static void test_words(void **state) {
    struct err e = {0};
    (void)state;
    for (int i = RUN_PREFLIGHT; i <= RUN_RETIRE; i++)
        assert_int_equal(run_stage_of(run_stage_name(i), &e), i);
    assert_int_equal(run_stage_of("begin", &e), -EUSAGE);
    assert_int_equal(run_stage_of("swich", &e), -EUSAGE);
    assert_non_null(strstr(e.msg, "did you mean switch?"));
}

/* --- guards --- */

static void test_guard_whole(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    put_at(f, RUN_MIGRATE);
    assert_int_equal(run_may(&f->s, NULL, RUN_FOLLOW, &e), -EGUARD);
    assert_non_null(strstr(e.msg, "has not ended well"));
    step(f, "migrate", "recreate some objects");
    assert_int_equal(run_may(&f->s, NULL, RUN_ACTIVATE, &e), -EGUARD);
    step(f, "migrate", MIGRATE_ALL);
    good(run_may(&f->s, NULL, RUN_FOLLOW, &e), &e);
}

static void test_guard_near(void **state) {
    struct fixture *f = *state;
    static const struct {
        struct following_status st;
        const char *says; /* NULL: the move may be made */
    } rows[] = {
        {{.state = FOLLOWING_LIVE, .oldest_ms = 0}, NULL},
        {{.state = FOLLOWING_LIVE, .oldest_ms = 10000, .pending = 3}, NULL},
        {{.state = FOLLOWING_LIVE, .oldest_ms = 10001, .pending = 3}, "10001 ms"},
        {{.state = FOLLOWING_READING}, "live sync is "},
        {{.state = FOLLOWING_BROKEN, .why = "a does not answer"}, "a does not answer"},
        {{.state = FOLLOWING_ASKS, .why = "21 deletions"}, "waits for a person: 21 deletions"},
        {{.state = FOLLOWING_STOPPED}, "live sync is "},
    };
    put_at(f, RUN_ACTIVATE);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        struct run_facts facts = {.follow = &rows[i].st};
        int r = run_may(&f->s, &facts, RUN_SWITCH, &e);
        if ((r >= 0) != !rows[i].says || (rows[i].says && !strstr(e.msg, rows[i].says)))
            fail_msg("row %zu: %d %s", i, r, err_msg(&e));
    }
}

static void test_guard_traffic(void **state) {
    static const struct {
        int percent, from, to;
        bool may;
    } rows[] = {
        {0, RUN_MIGRATE, RUN_UNMIGRATED, true},    {5, RUN_MIGRATE, RUN_UNMIGRATED, false},
        {100, RUN_MIGRATE, RUN_UNMIGRATED, false}, {0, RUN_SWITCH, RUN_BAKE, false},
        {99, RUN_SWITCH, RUN_BAKE, false},         {100, RUN_SWITCH, RUN_BAKE, true},
        {99, RUN_BAKE, RUN_RETIRE, false},         {100, RUN_BAKE, RUN_RETIRE, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        void *own = NULL;
        struct err e = {0};
        assert_int_equal(setup(&own), 0);
        struct fixture *f = own;
        add_tier(f, rows[i].percent);
        put_at(f, rows[i].from);
        int r = run_may(&f->s, NULL, rows[i].to, &e);
        if ((r >= 0) != rows[i].may)
            fail_msg("row %zu: %d %s", i, r, err_msg(&e));
        assert_int_equal(teardown(&own), 0);
    }
    (void)state;
}

/* --- moving --- */

struct seen {
    struct fixture *f;
    int result;
    char state[16];
    size_t calls;
};

static int look_inside(void *ctx, struct err *e) {
    struct seen *s = ctx;
    size_t n;
    s->calls++;
    snprintf(s->state, sizeof s->state, "%s", last_move(s->f, &n).state);
    return s->result < 0 ? err_set(e, s->result, "it broke") : 0;
}

static void test_move_is_intent_then_done(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct seen seen = {.f = f};
    size_t n;
    good(run_move(&f->s, NULL, RUN_PREFLIGHT, "why not", look_inside, &seen, &e), &e);
    assert_string_equal(seen.state, "intent");
    struct journal_move m = last_move(f, &n);
    assert_int_equal(n, 1);
    assert_string_equal(m.state, "done");
    assert_string_equal(m.from, "begin");
    assert_string_equal(m.to, "preflight");
    assert_string_equal(m.name, "examine");
    assert_string_equal(m.actor, "ann@desk");
    assert_string_equal(m.reason, "why not");
    assert_true(m.ended_ms >= m.at_ms && m.at_ms > 0);
    assert_int_equal(run_stage(&f->s, &e), RUN_PREFLIGHT);

    struct journal_event_row *v;
    good(journal_events(f->s.journal, f->s.a, NULL, &v, &n, &e), &e);
    assert_string_equal(v[n - 1].what, "stage begin -> preflight: done");
    good(journal_events_verify(f->s.journal, &e), &e);
}

static void test_move_that_fails(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct seen seen = {.f = f, .result = -EIO};
    size_t n;
    assert_int_equal(run_move(&f->s, NULL, RUN_PREFLIGHT, NULL, look_inside, &seen, &e), -EIO);
    struct journal_move m = last_move(f, &n);
    assert_string_equal(m.state, "failed");
    assert_string_equal(m.note, "it broke");
    assert_int_equal(run_stage(&f->s, &e), RUN_BEGIN);
    assert_int_equal(run_move(&f->s, NULL, RUN_SWITCH, NULL, look_inside, &seen, &e), -EGUARD);
    assert_int_equal(seen.calls, 1); /* an illegal move does nothing and leaves no row */
    last_move(f, &n);
    assert_int_equal(n, 1);
}

/* Forward without a row that says so is refused; back is made all the same. */
static void test_move_without_a_journal_to_write(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct seen seen = {.f = f};
    put_at(f, RUN_ACTIVATE);
    f->s.recording = false;
    assert_int_equal(run_move(&f->s, NULL, RUN_SWITCH, NULL, look_inside, &seen, &e), -EGUARD);
    f->s.recording = f->s.walking = true;
    step(f, "migrate", MIGRATE_ALL);
    f->s.recording = false;
    assert_int_equal(run_move(&f->s, NULL, RUN_SWITCH, NULL, look_inside, &seen, &e), -EROFS);
    assert_int_equal(seen.calls, 0);
    good(run_move(&f->s, NULL, RUN_MIGRATE, NULL, look_inside, &seen, &e), &e);
    assert_int_equal(seen.calls, 1);
    f->s.recording = true;
}

static int exec_sql(struct fixture *f, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

/* The disk is full, as far as these can tell. */
static int lose_the_journal(void *ctx, struct err *e UNUSED) {
    struct seen *s = ctx;
    s->calls++;
    assert_int_equal(exec_sql(s->f, "ALTER TABLE move RENAME TO gone"), SQLITE_OK);
    return 0;
}

static void test_move_whose_end_is_not_recorded(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct seen seen = {.f = f};
    size_t n;
    assert_true(run_move(&f->s, NULL, RUN_PREFLIGHT, NULL, lose_the_journal, &seen, &e) < 0);
    assert_non_null(strstr(err_msg(&e), "stage preflight is done, and that cannot be recorded"));
    assert_int_equal(exec_sql(f, "ALTER TABLE gone RENAME TO move"), SQLITE_OK);
    assert_string_equal(last_move(f, &n).state, "intent");

    put_at(f, RUN_ACTIVATE); /* the way back is not the worse for it */
    good(run_move(&f->s, NULL, RUN_MIGRATE, NULL, lose_the_journal, &seen, &e), &e);
    assert_int_equal(seen.calls, 2);
}

static int count_call(struct session *s UNUSED, void *ctx, struct err *e UNUSED) {
    ++*(int *)ctx;
    return 0;
}

static void test_step_that_cannot_be_recorded(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    int calls = 0;
    assert_int_equal(exec_sql(f, "ALTER TABLE step RENAME TO gone"), SQLITE_OK);
    assert_int_equal(session_step_recorded(&f->s, "switch", "50 % to b", count_call, &calls, &e),
                     -EUNRECORDED);
    assert_int_equal(calls, 0);
    good(session_step(&f->s, "switch", "back to a", count_call, &calls, &e), &e);
    assert_int_equal(calls, 1);
    assert_int_equal(exec_sql(f, "ALTER TABLE gone RENAME TO step"), SQLITE_OK);
    good(session_step_recorded(&f->s, "switch", "50 % to b", count_call, &calls, &e), &e);
    assert_int_equal(calls, 2);
}

static void test_rows_are_append_only(void **state) {
    static const char *const sql[] = {
        "DELETE FROM move",
        "UPDATE move SET state = 'intent' WHERE id = 1",
        "UPDATE move SET to_stage = 'bake' WHERE id = 2",
        "UPDATE move SET actor = 'x' WHERE id = 2",
        "UPDATE move SET reason = 'x' WHERE id = 2",
        "DELETE FROM approval",
        "UPDATE approval SET actor = 'x'",
        ("INSERT INTO move(run, from_stage, to_stage, name, actor, state, at_ms) "
         "SELECT id, 'test', 'test', 'x', 'x', 'done', 1 FROM run"),
    };
    struct fixture *f = *state;
    struct err e = {0};
    put_at(f, RUN_PREFLIGHT);
    intent(f, RUN_PREFLIGHT, RUN_MIGRATE);
    good(gate_approve(&f->s, RUN_RETIRE, "bob@desk", NULL, NULL, &e), &e);
    for (size_t i = 0; i < COUNT_OF(sql); i++)
        if (exec_sql(f, sql[i]) != SQLITE_CONSTRAINT)
            fail_msg("this was allowed: %s", sql[i]);
    assert_int_equal(exec_sql(f, "UPDATE move SET state = 'done' WHERE id = 2"), SQLITE_OK);
    assert_int_equal(journal_move_end(f->s.journal, 2, "failed", NULL, &e), -ENOENT);
}

/* --- single commands leave their trace --- */

static void test_single_commands(void **state) {
    static const struct {
        const char *stage, *what;
        int want;
    } rows[] = {
        {"migrate", "recreate some objects", RUN_BEGIN},
        {"migrate", MIGRATE_ALL, RUN_MIGRATE},
        {"migrate", MIGRATE_ALL, RUN_MIGRATE},
        {"activate", "hand singletons over", RUN_ACTIVATE},
        {"deactivate", "hand singletons over", RUN_MIGRATE},
        {"activate", "hand singletons over", RUN_ACTIVATE},
        {"switch", "50 % to b", RUN_ACTIVATE},
        {"switch", "100 % to b", RUN_ACTIVATE},
        {"switch", SWITCH_LAST, RUN_SWITCH},
        {"migrate", MIGRATE_ALL, RUN_SWITCH}, /* what A did since, carried over once more */
        {"switch", "back to a", RUN_ACTIVATE},
        {"deactivate", "hand singletons over", RUN_MIGRATE},
        {"switch", SWITCH_LAST, RUN_SWITCH}, /* the singletons left behind */
        {"activate", "hand singletons over", RUN_SWITCH},
        {"deactivate", "hand singletons over", RUN_SWITCH}, /* traffic stays */
        {"switch", "back to a", RUN_MIGRATE},
        {"activate", "hand singletons over", RUN_ACTIVATE},
        {"switch", SWITCH_LAST, RUN_SWITCH},
        {"retire", "let the source go", RUN_RETIRE},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        step(f, rows[i].stage, rows[i].what);
        int got = run_stage(&f->s, &e);
        if (got != rows[i].want)
            fail_msg("row %zu (%s: %s): at %s, wanted %s", i, rows[i].stage, rows[i].what,
                     run_stage_name(got), run_stage_name(rows[i].want));
    }
}

static void test_walking_records_itself(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    f->s.walking = true;
    step(f, "migrate", MIGRATE_ALL);
    run_note_end(&f->s, RUN_UNMIGRATED, "x");
    assert_int_equal(run_stage(&f->s, &e), RUN_BEGIN);
    f->s.walking = false;
    run_note_end(&f->s, RUN_UNMIGRATED, "x");
    assert_int_equal(run_stage(&f->s, &e), RUN_UNMIGRATED);
}

/* --- resuming --- */

/* From each stage, with each move that may be under way: what was seen decides. */
enum { M = 1, A = 2, S = 4 };
static const struct {
    int from, to, seen, percent, want;
    const char *becomes; /* state of the move that was open */
} settling[] = {
    {RUN_BEGIN, RUN_PREFLIGHT, 0, 0, RUN_BEGIN, "failed"},
    {RUN_PREFLIGHT, RUN_MIGRATE, 0, 0, RUN_PREFLIGHT, "failed"},
    {RUN_PREFLIGHT, RUN_MIGRATE, M, 0, RUN_MIGRATE, "done"},
    {RUN_BEGIN, RUN_MIGRATE, M, 0, RUN_MIGRATE, "done"},
    {RUN_MIGRATE, RUN_FOLLOW, M, 0, RUN_MIGRATE, "failed"},
    {RUN_FOLLOW, RUN_TEST, M, 0, RUN_FOLLOW, "failed"},
    {RUN_TEST, RUN_ACTIVATE, M, 0, RUN_TEST, "failed"},
    {RUN_TEST, RUN_ACTIVATE, M | A, 0, RUN_ACTIVATE, "done"},
    {RUN_ACTIVATE, RUN_SWITCH, M | A, 0, RUN_ACTIVATE, "failed"},
    {RUN_ACTIVATE, RUN_SWITCH, M | A, 50, RUN_ACTIVATE, "failed"},
    {RUN_ACTIVATE, RUN_SWITCH, M | A, 100, RUN_ACTIVATE, "failed"}, /* not proven yet */
    {RUN_ACTIVATE, RUN_SWITCH, M | A | S, 100, RUN_SWITCH, "done"},
    {RUN_ACTIVATE, RUN_SWITCH, M | A | S, -1, RUN_SWITCH, "done"}, /* balancer is silent */
    {RUN_ACTIVATE, RUN_SWITCH, M, 0, RUN_MIGRATE, "failed"},       /* aborted, then killed */
    {RUN_SWITCH, RUN_BAKE, M | A | S, 100, RUN_SWITCH, "failed"},
    {RUN_SWITCH, RUN_BAKE, M | A, 0, RUN_ACTIVATE, "failed"},
    {RUN_SWITCH, RUN_BAKE, M | A | S, 0, RUN_ACTIVATE, "failed"}, /* moved past the journal */
    {RUN_BAKE, RUN_RETIRE, M | A | S, 100, RUN_BAKE, "failed"},
    {RUN_BAKE, RUN_MIGRATE, M | A | S, 100, RUN_BAKE, "failed"},
    {RUN_BAKE, RUN_MIGRATE, M | A, 0, RUN_ACTIVATE, "failed"}, /* traffic back, no more */
    {RUN_BAKE, RUN_MIGRATE, M, 0, RUN_MIGRATE, "done"},
    {RUN_SWITCH, RUN_ACTIVATE, M | A, 0, RUN_ACTIVATE, "done"},
    {RUN_ACTIVATE, RUN_MIGRATE, M, 0, RUN_MIGRATE, "done"},
    {RUN_ACTIVATE, RUN_MIGRATE, M | A, 0, RUN_ACTIVATE, "failed"},
};

static void test_settle(void **state) {
    for (size_t i = 0; i < COUNT_OF(settling); i++) {
        void *own = NULL;
        struct err e = {0};
        size_t n;
        assert_int_equal(setup(&own), 0);
        struct fixture *f = own;
        put_at(f, settling[i].from);
        int64_t id = intent(f, settling[i].from, settling[i].to);
        struct run_seen seen = {.migrated = settling[i].seen & M,
                                .activated = settling[i].seen & A,
                                .switched = settling[i].seen & S,
                                .percent = settling[i].percent};
        int got = run_settle(&f->s, &seen, &e);
        struct journal_move *v, m;
        good(journal_moves(f->s.journal, f->s.a, f->s.run.id, &v, &n, &e), &e);
        for (size_t k = 0; k < n; k++)
            if (v[k].id == id && !str_eq(v[k].state, settling[i].becomes))
                fail_msg("row %zu: the move became %s", i, v[k].state);
        if (got != settling[i].want)
            fail_msg("row %zu: at %d (%s), wanted %s", i, got,
                     got < 0 ? e.msg : run_stage_name(got), run_stage_name(settling[i].want));
        assert_int_equal(run_under_way(&f->s, &m, &e), 0);
        assert_int_equal(run_settle(&f->s, &seen, &e), got); /* looking again changes nothing */
        size_t again;
        last_move(f, &again);
        assert_int_equal(again, n);
        assert_int_equal(teardown(&own), 0);
    }
    (void)state;
}

/* A journal that `migrate` of the tandem before this one has written, killed in `activate`. */
static void test_old_journal(void **state) {
    struct fixture *f = *state;
    struct session *s = &f->s;
    struct err e = {0};
    char *sql, *value;
    size_t n;
    const char *root = getenv("SOURCE_ROOT");
    const char *file = root ? arena_printf(s->a, "%s/tests/unit/journal-v1.sql", root)
                            : arena_printf(s->a, "%s/journal-v1.sql", file_dirname(s->a, __FILE__));
    good(file_read(s->a, file, 1 << 20, &sql, NULL, &e), &e);
    journal_close(TAKE(s->journal));
    unlink(f->path);
    unlink(arena_printf(s->a, "%s-wal", f->path));
    assert_int_equal(exec_sql(f, sql), SQLITE_OK);

    struct journal_move *moves;
    struct journal_approval *approvals;
    good(journal_open(f->path, true, &s->journal, &e), &e); /* a reader leaves it as it is */
    good(journal_moves(s->journal, s->a, "r-20261101-0a1b", &moves, &n, &e), &e);
    assert_int_equal(n, 0);
    good(journal_approvals(s->journal, s->a, "r-20261101-0a1b", &approvals, &n, &e), &e);
    assert_int_equal(n, 0);
    journal_close(TAKE(s->journal));

    good(journal_open(f->path, false, &s->journal, &e), &e);
    assert_int_equal(journal_run_open(s->journal, &s->run, &e), 1);
    assert_string_equal(s->run.id, "r-20261101-0a1b");
    good(journal_events_verify(s->journal, &e), &e);
    good(journal_get(s->journal, s->a, "live", &value, &e), &e);
    assert_string_equal(value, "a");
    struct journal_effect effect;
    assert_int_equal(
        journal_effect_last(s->journal, s->a, "b", "/ConfigMap/shop/prices", &effect, &e), 1);
    struct run_seen seen;
    run_look(s, &seen);
    assert_true(seen.migrated && !seen.activated);
    assert_int_equal(run_settle(s, &seen, &e), RUN_MIGRATE);
    good(gate_approve(s, RUN_RETIRE, "bob@desk", "seen", NULL, &e), &e);
    good(journal_events_verify(s->journal, &e), &e);
}

/* --- gates --- */

static struct gate people(struct fixture *f, int stage, const char *runner) {
    struct gate g = {0};
    struct err e = {0};
    good(gate_people(&f->s, f->s.a, stage, runner, &g, &e), &e);
    return g;
}

static void approve(struct fixture *f, int stage, const char *actor) {
    struct err e = {0};
    good(gate_approve(&f->s, stage, actor, "seen", NULL, &e), &e);
}

static void test_approvals(void **state) {
    static const char *const before[] = {"migrate", "switch", NULL};
    struct fixture *f = *state;
    f->s.cfg->gates_before = before;
    f->s.cfg->approvers = 2;
    assert_true(gate_is(&f->s, RUN_SWITCH));
    assert_false(gate_is(&f->s, RUN_TEST));
    assert_int_equal(gate_needs(&f->s, RUN_RETIRE), 1); /* always */
    assert_true(people(f, RUN_TEST, NULL).open);
    assert_false(people(f, RUN_RETIRE, NULL).open);

    put_at(f, RUN_ACTIVATE);
    assert_false(people(f, RUN_SWITCH, "ann@desk").open);
    approve(f, RUN_SWITCH, "bob@desk");
    approve(f, RUN_SWITCH, "bob@desk");
    approve(f, RUN_MIGRATE, "cid@desk"); /* another gate */
    struct gate g = people(f, RUN_SWITCH, "ann@desk");
    assert_int_equal(g.has, 1);
    assert_false(g.open);
    assert_non_null(strstr(gate_missing(f->s.a, &g), "1 of 2 approvals"));
    assert_non_null(strstr(gate_missing(f->s.a, &g), "one person counts once"));
    approve(f, RUN_SWITCH, "ann@desk");
    assert_true(people(f, RUN_SWITCH, "ann@desk").open);
    assert_string_equal(gate_missing(f->s.a, &(struct gate){.open = true}), "");

    f->s.cfg->approvers_differ = true;
    g = people(f, RUN_SWITCH, "ann@desk");
    assert_false(g.open);
    assert_non_null(strstr(gate_missing(f->s.a, &g), "gates.differ"));
    struct err e = {0};
    assert_int_equal(gate_approve(&f->s, RUN_SWITCH, "ann@desk", NULL, "ann@desk", &e), -EGUARD);
    assert_true(people(f, RUN_SWITCH, "cid@desk").open); /* somebody else runs it now */
}

/* What was agreed to before the run went back is not what stands there now. */
static void test_approvals_end_with_a_way_back(void **state) {
    static const char *const before[] = {"switch", NULL};
    struct fixture *f = *state;
    f->s.cfg->gates_before = before;
    step(f, "migrate", MIGRATE_ALL);
    put_at(f, RUN_TEST);
    approve(f, RUN_SWITCH, "bob@desk");
    put_at(f, RUN_ACTIVATE);
    assert_true(people(f, RUN_SWITCH, NULL).open); /* forward keeps it */
    put_at(f, RUN_MIGRATE);
    struct gate g = people(f, RUN_SWITCH, NULL);
    assert_false(g.open);
    assert_non_null(strstr(gate_missing(f->s.a, &g), "before the run went back"));
    approve(f, RUN_SWITCH, "bob@desk");
    assert_true(people(f, RUN_SWITCH, NULL).open);
}

static void test_checks(void **state) {
    static const char *const yes[] = {"sh", "-c",
                                      "test \"$TANDEM_STAGE$TANDEM_DESTINATION\" = testb", NULL};
    static const char *const no[] = {"sh", "-c", "echo not today >&2; exit 7", NULL};
    static const char *const none[] = {"/nonexistent/check", NULL};
    static struct config_check all[] = {{"test", yes}, {"switch", no}, {"bake", none}};
    static const struct {
        int stage;
        struct following_status st;
        const char *says; /* NULL: the gate opens */
    } rows[] = {
        {RUN_TEST, {.state = FOLLOWING_LIVE}, NULL},
        {RUN_SWITCH, {.state = FOLLOWING_LIVE}, "exit code 7: not today"},
        {RUN_BAKE, {.state = FOLLOWING_LIVE}, "/nonexistent/check"},
        {RUN_TEST, {.state = FOLLOWING_LIVE, .oldest_ms = 10001}, "check lag does not hold"},
        {RUN_TEST, {.state = FOLLOWING_ASKS, .why = "9 deletions"}, "9 deletions"},
    };
    struct fixture *f = *state;
    f->s.cfg->checks = all;
    f->s.cfg->n_checks = COUNT_OF(all);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(gate_is(&f->s, rows[i].stage));
        struct gate g = people(f, rows[i].stage, NULL);
        struct run_facts facts = {.follow = &rows[i].st};
        gate_check_all(&f->s, f->s.a, rows[i].stage, &facts, NULL, &g);
        const char *missing = gate_missing(f->s.a, &g);
        if (g.open != !rows[i].says || (rows[i].says && !strstr(missing, rows[i].says)))
            fail_msg("row %zu: open %d, %s", i, g.open, missing);
    }
}

/* A command typed by a person passes no gate that `upgrade` would wait at. */
static void test_gate_by_hand(void **state) {
    static const char *const before[] = {"switch", NULL};
    static const char *const no[] = {"sh", "-c", "exit 7", NULL};
    static struct config_check check = {"activate", no};
    struct fixture *f = *state;
    struct err e = {0};
    put_at(f, RUN_ACTIVATE);
    good(gate_by_hand(&f->s, RUN_SWITCH, &e), &e);
    good(gate_by_hand(&f->s, RUN_RETIRE, &e), &e); /* who types it is the one that it takes */
    assert_int_equal(gate_approve(&f->s, RUN_BAKE, "bob@desk", NULL, NULL, &e), -EGUARD);
    assert_non_null(strstr(e.msg, "before retire"));
    f->s.cfg->gates_before = before;
    f->s.cfg->checks = &check;
    f->s.cfg->n_checks = 1;
    assert_int_equal(gate_by_hand(&f->s, RUN_SWITCH, &e), -EGATE);
    assert_non_null(strstr(e.msg, "0 of 1 approvals"));
    approve(f, RUN_SWITCH, "bob@desk");
    good(gate_by_hand(&f->s, RUN_SWITCH, &e), &e);
    assert_int_equal(gate_by_hand(&f->s, RUN_ACTIVATE, &e), -EGATE);
    assert_non_null(strstr(e.msg, "exit code 7"));
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound),
        ROW(test_every_pair),
        cmocka_unit_test(test_words),
        ROW(test_guard_whole),
        ROW(test_guard_near),
        cmocka_unit_test(test_guard_traffic),
        ROW(test_move_is_intent_then_done),
        ROW(test_move_that_fails),
        ROW(test_move_without_a_journal_to_write),
        ROW(test_move_whose_end_is_not_recorded),
        ROW(test_step_that_cannot_be_recorded),
        ROW(test_rows_are_append_only),
        ROW(test_single_commands),
        ROW(test_walking_records_itself),
        cmocka_unit_test(test_settle),
        ROW(test_old_journal),
        ROW(test_approvals),
        ROW(test_approvals_end_with_a_way_back),
        ROW(test_checks),
        ROW(test_gate_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
