#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/hash.h"
#include "base/queue.h"
#include "base/str.h"
#include "journal/journal.h"

/* --- a journal of its own for each test --- */

struct fixture {
    struct arena *a;
    char *dir, *path;
    struct journal *j;
    struct journal_run run;
};

static int setup(void **state) {
    struct err e = {0};
    struct fixture *f = xcalloc(1, sizeof *f);
    f->a = arena_new();
    f->dir = mkdtemp(arena_strdup(f->a, "/tmp/test_journal.XXXXXX"));
    f->path = arena_printf(f->a, "%s/t.db", f->dir);
    *state = f;
    if (journal_open(f->path, false, &f->j, &e) < 0 ||
        journal_run_begin(f->j, 'a', 'b', &f->run, &e) < 0) {
        print_error("%s\n", e.msg);
        return -1;
    }
    return 0;
}

static int teardown(void **state) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *f = *state;
    journal_close(f->j);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(f->a, "%s%s", f->path, names[i]));
    int r = rmdir(f->dir);
    arena_free(f->a);
    xfree(f);
    return r;
}

static void good(int r, const struct err *e) {
    if (r < 0)
        fail_msg("%d: %s", r, e->msg);
}

/* Past the library, as somebody with sqlite3 at hand would. */
static int meddle(struct fixture *f, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

/* --- facts and runs --- */

static void test_facts(void **state) {
    static const struct {
        const char *key, *set, *want;
    } rows[] = {
        {"live", "a", "a"},       {"live", "b", "b"},   {"pin.a", "", ""},
        {"ü'\"", "ü'\"", "ü'\""}, {"live", NULL, NULL}, {"never", NULL, NULL},
    };
    struct fixture *f = *state;
    struct err e = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *got = (char *)"untouched";
        good(journal_set(f->j, rows[i].key, rows[i].set, &e), &e);
        good(journal_get(f->j, f->a, rows[i].key, &got, &e), &e);
        if (!str_eq(got, rows[i].want))
            fail_msg("row %zu: %s", i, got ? got : "(null)");
    }
}

static void test_salt_is_kept(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    uint8_t salt[32], zeros[32] = {0};
    memcpy(salt, journal_salt(f->j), sizeof salt);
    assert_memory_not_equal(salt, zeros, sizeof salt);
    journal_close(f->j);
    good(journal_open(f->path, false, &f->j, &e), &e);
    assert_memory_equal(salt, journal_salt(f->j), sizeof salt);
}

static void test_runs(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_run got, second, *all;
    struct tm tm;
    char day[24];
    size_t n;
    time_t t = (time_t)(f->run.started_ms / 1000);
    strftime(day, sizeof day, "r-%Y%m%d-", gmtime_r(&t, &tm));
    assert_true(str_starts(f->run.id, day));
    assert_int_equal(strlen(f->run.id), strlen("r-20261123-ab12"));
    assert_int_equal(journal_run_open(f->j, &got, &e), 1);
    assert_string_equal(got.id, f->run.id);
    assert_string_equal(got.state, "open");
    assert_int_equal(got.source, 'a');
    assert_int_equal(got.destination, 'b');
    assert_int_equal(got.ended_ms, 0);
    good(journal_run_end(f->j, f->run.id, "retired", &e), &e);
    assert_int_equal(journal_run_open(f->j, &got, &e), 0);
    good(journal_run_begin(f->j, 'b', 'a', &second, &e), &e);
    good(journal_runs(f->j, f->a, &all, &n, &e), &e);
    assert_int_equal(n, 2);
    assert_string_equal(all[0].id, second.id);
    assert_int_equal(all[0].source, 'b');
    assert_string_equal(all[1].state, "retired");
    assert_true(all[1].ended_ms >= all[1].started_ms && all[1].started_ms > 0);
}

/* Nearly all of the 65536 numbers of a day are taken: the draw is repeated. */
static void test_run_ids_differ(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_run run, *all;
    size_t n;
    assert_int_equal(meddle(f, "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM c WHERE "
                               "i < 65000) INSERT OR IGNORE INTO run(id, source, destination, "
                               "state, started_ms) SELECT printf('r-%s-%04x', strftime('%Y%m%d', "
                               "'now'), i), 'a', 'b', 'aborted', 1 FROM c"),
                     SQLITE_OK);
    for (int i = 0; i < 5; i++)
        good(journal_run_begin(f->j, 'a', 'b', &run, &e), &e);
    good(journal_runs(f->j, f->a, &all, &n, &e), &e);
    assert_true(n >= 65005);
    assert_string_equal(all[0].id, run.id);
}

/* --- steps --- */

static void test_steps(void **state) {
    static const struct {
        const char *stage, *what, *detail, *end, *note;
    } rows[] = {
        {"preflight", "doctor", NULL, "done", NULL},
        {"migrate", "apply", "{\"n\":3}", "failed", "quota 'x' is full"},
        {"activate", "CronJob shop/mail", NULL, "skipped", "suspended in the source"},
        {"switch", "weight 5", "{}", NULL, NULL},
    };
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_step *v;
    int64_t id[COUNT_OF(rows)];
    size_t n;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        good(journal_step_begin(f->j, f->run.id, rows[i].stage, rows[i].what, rows[i].detail,
                                &id[i], &e),
             &e);
        if (rows[i].end)
            good(journal_step_end(f->j, id[i], rows[i].end, rows[i].note, &e), &e);
    }
    good(journal_steps(f->j, f->a, f->run.id, &v, &n, &e), &e);
    assert_int_equal(n, COUNT_OF(rows));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v[i].id, id[i]);
        assert_string_equal(v[i].stage, rows[i].stage);
        assert_string_equal(v[i].what, rows[i].what);
        assert_true(str_eq(v[i].detail, rows[i].detail));
        assert_string_equal(v[i].state, rows[i].end ? rows[i].end : "open");
        assert_true(str_eq(v[i].note, rows[i].note));
        assert_true(v[i].begun_ms > 0);
        assert_int_equal(v[i].ended_ms != 0, rows[i].end != NULL);
    }
    good(journal_steps(f->j, f->a, "r-none", &v, &n, &e), &e);
    assert_int_equal(n, 0);
}

/* --- effects --- */

static int collect(void *ctx, const struct journal_effect *e) {
    struct sb *b = ctx;
    sb_fmt(b, "%s%s:%d", b->len ? " " : "", e->ref, (int)e->state);
    return 0;
}

static void test_effects(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_effect ef[] = {
        {.cluster = "b", .ref = "/Namespace//shop", .verb = "create", .digest = "d1"},
        {.cluster = "b",
         .ref = "apps/Deployment/shop/cart",
         .verb = "hold",
         .leaves = "{}",
         .previous = "{\"/spec/replicas\":3}"},
        {.cluster = "b", .ref = "/Secret/shop/key", .verb = "create", .digest = "d3"},
        {.cluster = "b", .ref = "/Service/shop/cart", .verb = "update", .uid = "u0"},
        {.cluster = "a", .ref = "/Service/shop/cart", .verb = "update"},
    };
    good(journal_effects_begin(f->j, f->run.id, ef, COUNT_OF(ef), &e), &e);
    for (size_t i = 0; i < COUNT_OF(ef); i++)
        assert_int_equal(ef[i].id, i + 1);
    ef[0].state = EFFECT_DONE;
    ef[0].uid = "u1";
    ef[0].resource_version = "77";
    ef[1].state = EFFECT_FAILED;
    ef[1].error = "quota exceeded";
    ef[2].state = EFFECT_UNKNOWN;
    ef[3].state = EFFECT_DONE;
    ef[3].uid = NULL; /* stays u0 */
    ef[3].digest = "d4";
    good(journal_effects_end(f->j, ef, 4, &e), &e);

    struct journal_effect got = {0};
    assert_int_equal(journal_effect_last(f->j, f->a, "b", ef[0].ref, &got, &e), 1);
    assert_string_equal(got.uid, "u1");
    assert_string_equal(got.resource_version, "77");
    assert_string_equal(got.digest, "d1");
    assert_string_equal(got.verb, "create");
    assert_string_equal(got.cluster, "b");
    assert_null(got.previous);
    assert_int_equal(journal_effect_last(f->j, f->a, "b", ef[1].ref, &got, &e), 0); /* failed */
    assert_int_equal(journal_effect_last(f->j, f->a, "b", ef[3].ref, &got, &e), 1);
    assert_string_equal(got.uid, "u0");
    assert_string_equal(got.digest, "d4");
    assert_int_equal(journal_effect_last(f->j, f->a, "a", ef[4].ref, &got, &e), 1);
    assert_int_equal(got.state, EFFECT_INTENT);
    assert_int_equal(got.id, 5);
    assert_int_equal(journal_effect_last(f->j, f->a, "a", "/Node//x", &got, &e), 0);
}

/* What an update changes is noted between intent and outcome, and stays. */
static void test_effect_note(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_effect ef[] = {{.cluster = "b", .ref = "x", .verb = "update"},
                                  {.cluster = "b", .ref = "y", .verb = "update"},
                                  {.cluster = "a", .ref = "x", .verb = "update"},
                                  {.cluster = "b", .ref = "x", .verb = "delete"}};
    good(journal_effects_begin(f->j, f->run.id, ef, COUNT_OF(ef), &e), &e);
    struct journal_effect note = {
        .id = ef[0].id, .ref = "x", .previous = "{}", .uid = "u1", .resource_version = "1"};
    good(journal_effect_note(f->j, &note, &e), &e);
    ef[0].state = EFFECT_DONE;
    ef[0].resource_version = "2";
    good(journal_effects_end(f->j, &ef[0], 1, &e), &e);
    struct journal_effect *v;
    size_t n = 0;
    good(journal_effects_of(f->j, f->a, f->run.id, "b", "x", &v, &n, &e), &e);
    assert_int_equal(n, 2);
    assert_string_equal(v[0].previous, "{}");
    assert_string_equal(v[0].uid, "u1");
    assert_string_equal(v[0].resource_version, "2");
    assert_string_equal(v[1].verb, "delete");
    good(journal_effects_of(f->j, f->a, f->run.id, "b", "z", &v, &n, &e), &e);
    assert_int_equal(n, 0);
    note.id = 4711;
    assert_int_equal(journal_effect_note(f->j, &note, &e), -ENOENT);
    note = (struct journal_effect){
        .id = ef[1].id, .ref = "/Secret/shop/key", .previous = "{\"restore\":{\"data\":{}}}"};
    assert_int_equal(journal_effect_note(f->j, &note, &e), -EGUARD);
}

static void test_effects_each(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_run second;
    struct journal_effect one[] = {{.cluster = "b", .ref = "p", .verb = "create"},
                                   {.cluster = "b", .ref = "q", .verb = "create"},
                                   {.cluster = "b", .ref = "r", .verb = "create"}};
    struct journal_effect two[] = {{.cluster = "a", .ref = "s", .verb = "patch"}};
    good(journal_run_begin(f->j, 'a', 'b', &second, &e), &e);
    good(journal_effects_begin(f->j, f->run.id, one, COUNT_OF(one), &e), &e);
    good(journal_effects_begin(f->j, second.id, two, COUNT_OF(two), &e), &e);
    one[1].state = EFFECT_DONE;
    one[2].state = EFFECT_UNKNOWN;
    good(journal_effects_end(f->j, &one[1], 2, &e), &e);
    const struct {
        const char *run;
        int only;
        const char *want;
    } rows[] = {
        {NULL, -1, "p:0 q:1 r:3 s:0"},
        {"", -1, "p:0 q:1 r:3 s:0"},
        {f->run.id, -1, "p:0 q:1 r:3"},
        {second.id, -1, "s:0"},
        {NULL, EFFECT_INTENT, "p:0 s:0"},
        {f->run.id, EFFECT_INTENT, "p:0"},
        {NULL, EFFECT_UNKNOWN, "r:3"},
        {NULL, EFFECT_FAILED, ""},
        {"r-none", -1, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_SB b = SB_INIT(4096);
        good(journal_effects_each(f->j, rows[i].run, rows[i].only, collect, &b, &e), &e);
        if (!str_eq(sb_get(&b), rows[i].want))
            fail_msg("row %zu: \"%s\" is not \"%s\"", i, sb_get(&b), rows[i].want);
    }
}

struct settle {
    struct journal *j;
    int64_t last;
    size_t n, stop_at;
};

/* As resume does: looks at an open intent and records what came of it, in the same journal. */
static int settle_one(void *ctx, const struct journal_effect *e) {
    struct settle *s = ctx;
    struct journal_effect done = {.id = e->id, .state = EFFECT_DONE, .uid = "u"};
    assert_true(e->id > s->last);
    s->last = e->id;
    if (++s->n == s->stop_at)
        return -ECANCELED;
    return journal_effects_end(s->j, &done, 1, NULL);
}

static void test_each_may_write(void **state) {
    enum { N = 600 }; /* more than two pages */
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_effect ef[N];
    for (size_t i = 0; i < N; i++)
        ef[i] = (struct journal_effect){.cluster = "b", .ref = "r", .verb = "create"};
    good(journal_effects_begin(f->j, f->run.id, ef, N, &e), &e);
    struct settle s = {.j = f->j, .stop_at = 300};
    assert_int_equal(journal_effects_each(f->j, NULL, EFFECT_INTENT, settle_one, &s, &e),
                     -ECANCELED);
    assert_int_equal(s.n, 300);
    s = (struct settle){.j = f->j};
    good(journal_effects_each(f->j, NULL, EFFECT_INTENT, settle_one, &s, &e), &e);
    assert_int_equal(s.n, N - 299);
    s = (struct settle){.j = f->j};
    good(journal_effects_each(f->j, NULL, EFFECT_INTENT, settle_one, &s, &e), &e);
    assert_int_equal(s.n, 0);
}

static void test_batches_are_whole(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_effect ef[] = {{.cluster = "b", .ref = "p", .verb = "create"},
                                  {.cluster = "c", .ref = "q", .verb = "create"}};
    AUTO_SB b = SB_INIT(4096);
    assert_int_equal(journal_effects_begin(f->j, f->run.id, ef, 2, &e), -EINVAL);
    assert_int_equal(ef[0].id, 0);
    ef[1].cluster = "b";
    good(journal_effects_begin(f->j, f->run.id, ef, 2, &e), &e);
    ef[0].state = ef[1].state = EFFECT_DONE;
    ef[1].id = 99;
    assert_int_equal(journal_effects_end(f->j, ef, 2, &e), -ENOENT);
    good(journal_effects_each(f->j, NULL, -1, collect, &b, &e), &e);
    assert_string_equal(sb_get(&b), "p:0 q:0");
}

/* --- what is refused --- */

static int end_run_twice(struct fixture *f, struct err *e) {
    good(journal_run_end(f->j, f->run.id, "aborted", e), e);
    return journal_run_end(f->j, f->run.id, "retired", e);
}
static int end_run_unknown(struct fixture *f, struct err *e) {
    return journal_run_end(f->j, "r-none", "retired", e);
}
static int end_run_oddly(struct fixture *f, struct err *e) {
    return journal_run_end(f->j, f->run.id, "perhaps", e);
}
static int run_onto_itself(struct fixture *f, struct err *e) {
    struct journal_run r;
    return journal_run_begin(f->j, 'a', 'a', &r, e);
}
static int step_without_run(struct fixture *f, struct err *e) {
    int64_t id;
    return journal_step_begin(f->j, "r-none", "migrate", "apply", NULL, &id, e);
}
static int end_step_twice(struct fixture *f, struct err *e) {
    int64_t id = 0;
    good(journal_step_begin(f->j, f->run.id, "migrate", "apply", NULL, &id, e), e);
    good(journal_step_end(f->j, id, "done", NULL, e), e);
    return journal_step_end(f->j, id, "failed", NULL, e);
}
static int effect_without_run(struct fixture *f, struct err *e) {
    struct journal_effect ef = {.cluster = "b", .ref = "r", .verb = "create"};
    return journal_effects_begin(f->j, "r-none", &ef, 1, e);
}
static int secret_data(struct fixture *f, struct err *e) {
    struct journal_effect ef = {.cluster = "b",
                                .ref = "/Secret/shop/key",
                                .verb = "update",
                                .previous = "{\"/data/password\":\"aHVudGVyMg==\"}"};
    return journal_effects_begin(f->j, f->run.id, &ef, 1, e);
}
static int event_without_run(struct fixture *f, struct err *e) {
    return journal_event(f->j, "r-none", "me", "looked", NULL, e);
}

static void test_refused(void **state) {
    static const struct {
        int (*fn)(struct fixture *f, struct err *e);
        int code;
        const char *says;
    } rows[] = {
        {end_run_oddly, -EINVAL, "end of a run"},
        {end_run_twice, -ENOENT, "no open run"},
        {end_run_unknown, -ENOENT, "no open run r-none"},
        {run_onto_itself, -EINVAL, "record a run"},
        {step_without_run, -ENOENT, "no such run"},
        {end_step_twice, -ENOENT, "no open step"},
        {effect_without_run, -ENOENT, "no such run"},
        {secret_data, -EGUARD, "never recorded"},
        {event_without_run, -ENOENT, "no such run"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        int r = rows[i].fn(f, &e);
        if (r != rows[i].code || !strstr(e.msg, rows[i].says))
            fail_msg("row %zu: %d %s", i, r, e.msg);
        if (strstr(e.msg, "aHVudGVyMg"))
            fail_msg("row %zu shows the Secret: %s", i, e.msg);
        /* The mutex is free and no transaction is left open. */
        good(journal_set(f->j, "after", "x", &e), &e);
    }
}

/* The way back must be recordable when no run is open. */
static void test_outside_of_a_run(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_effect ef = {.cluster = "a", .ref = "r", .verb = "unhold"};
    struct journal_step *v;
    size_t n;
    int64_t id;
    good(journal_effects_begin(f->j, NULL, &ef, 1, &e), &e);
    good(journal_step_begin(f->j, "", "switch", "back", NULL, &id, &e), &e);
    good(journal_event(f->j, "", "me", "switched back", NULL, &e), &e);
    good(journal_steps(f->j, f->a, "", &v, &n, &e), &e);
    assert_int_equal(n, 1);
}

/* --- events --- */

static void add_events(struct fixture *f) {
    struct err e = {0};
    good(journal_event(f->j, f->run.id, "ann", "run begun", "a to b", &e), &e);
    good(journal_event(f->j, "", "bob", "said \"hm\"\n", NULL, &e), &e);
    good(journal_event(f->j, f->run.id, "ann", "approved", "migrate", &e), &e);
}

static void test_events(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_event_row *v;
    size_t n;
    good(journal_events_verify(f->j, &e), &e);
    add_events(f);
    good(journal_events_verify(f->j, &e), &e);
    good(journal_events(f->j, f->a, NULL, &v, &n, &e), &e);
    assert_int_equal(n, 3);
    assert_string_equal(v[0].run, f->run.id);
    assert_string_equal(v[0].detail, "a to b");
    assert_null(v[1].run);
    assert_null(v[1].detail);
    assert_string_equal(v[1].what, "said \"hm\"\n");
    good(journal_events(f->j, f->a, f->run.id, &v, &n, &e), &e);
    assert_int_equal(n, 2);
    assert_string_equal(v[1].what, "approved");
}

/* The recipe of the header, by hand: others must be able to follow it. */
static void test_chain_recipe(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_event_row *v;
    size_t n;
    add_events(f);
    good(journal_events(f->j, f->a, NULL, &v, &n, &e), &e);
    char hex[65];
    char *zeros = arena_alloc(f->a, 65);
    memset(zeros, '0', 64);
    char *one = arena_printf(f->a, "%s[1,%lld,\"%s\",\"ann\",\"run begun\",\"a to b\"]", zeros,
                             (long long)v[0].at_ms, f->run.id);
    assert_string_equal(v[0].hash, hash_sha256_hex(one, strlen(one), hex));
    char *two = arena_printf(f->a, "%s[2,%lld,null,\"bob\",\"said \\\"hm\\\"\\n\",null]", v[0].hash,
                             (long long)v[1].at_ms);
    assert_string_equal(v[1].hash, hash_sha256_hex(two, strlen(two), hex));
}

static void test_chain_shows_tampering(void **state) {
    static const struct {
        const char *sql, *says;
    } rows[] = {
        {"UPDATE event SET what = 'approved not' WHERE id = 3", "event 3"},
        {"UPDATE event SET detail = NULL WHERE id = 1", "event 1"},
        {"UPDATE event SET detail = '' WHERE id = 2", "event 2"},
        {"UPDATE event SET run = NULL WHERE id = 1", "event 1"},
        {"UPDATE event SET at_ms = at_ms + 1 WHERE id = 2", "event 2"},
        {"UPDATE event SET actor = 'b', what = 'obsaid' WHERE id = 2", "event 2"},
        {"UPDATE event SET hash = lower(hex(zeroblob(32))) WHERE id = 2", "event 2"},
        {"DELETE FROM event WHERE id = 2", "event 2"},
        {"DELETE FROM event WHERE id = 3", "event 3"},
        {"DELETE FROM event", "event 1"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        void *own = NULL;
        struct err e = {0};
        assert_int_equal(setup(&own), 0);
        struct fixture *f = own;
        add_events(f);
        assert_int_equal(meddle(f, rows[i].sql), SQLITE_CONSTRAINT); /* the triggers' first say */
        good(journal_events_verify(f->j, &e), &e);
        assert_int_equal(meddle(f, "DROP TRIGGER event_kept; DROP TRIGGER event_fixed"), SQLITE_OK);
        assert_int_equal(meddle(f, rows[i].sql), SQLITE_OK);
        if (journal_events_verify(f->j, &e) != -EBADMSG || !strstr(e.msg, rows[i].says))
            fail_msg("row %zu: %s", i, e.msg);
        assert_int_equal(teardown(&own), 0);
    }
    (void)state;
}

/* --- threads --- */

enum { THREADS = 6, ROUNDS = 25, BATCH = 10 };

static void work(void *ctx, size_t index) {
    struct fixture *f = ctx;
    struct err e = {0};
    AUTO_ARENA a = arena_new();
    for (int i = 0; i < ROUNDS; i++) {
        struct journal_effect ef[BATCH];
        char ref[32];
        snprintf(ref, sizeof ref, "/ConfigMap/t%zu/c%d", index, i);
        for (int k = 0; k < BATCH; k++)
            ef[k] = (struct journal_effect){.cluster = "b", .ref = ref, .verb = "create"};
        MUST(journal_effects_begin(f->j, f->run.id, ef, BATCH, &e) >= 0);
        for (int k = 0; k < BATCH; k++)
            ef[k].state = EFFECT_DONE;
        MUST(journal_effects_end(f->j, ef, BATCH, &e) >= 0);
        MUST(journal_event(f->j, f->run.id, "worker", ref, NULL, &e) >= 0);
        struct journal_effect last;
        MUST(journal_effect_last(f->j, a, "b", ref, &last, &e) == 1 && last.id == ef[9].id);
    }
}

static int count_done(void *ctx, const struct journal_effect *e) {
    *(size_t *)ctx += e->state == EFFECT_DONE;
    return 0;
}

static void test_threads(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    size_t n = 0;
    struct workers *w = workers_start(THREADS, work, f);
    for (int i = 0; i < 10; i++) /* and a reader that walks meanwhile */
        good(journal_effects_each(f->j, NULL, -1, count_done, &n, &e), &e);
    workers_join(w);
    n = 0;
    good(journal_effects_each(f->j, f->run.id, EFFECT_DONE, count_done, &n, &e), &e);
    assert_int_equal(n, THREADS * ROUNDS * BATCH);
    good(journal_events_verify(f->j, &e), &e);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        ROW(test_facts),
        ROW(test_salt_is_kept),
        ROW(test_runs),
        ROW(test_run_ids_differ),
        ROW(test_steps),
        ROW(test_effects),
        ROW(test_effect_note),
        ROW(test_effects_each),
        ROW(test_each_may_write),
        ROW(test_batches_are_whole),
        ROW(test_refused),
        ROW(test_outside_of_a_run),
        ROW(test_events),
        ROW(test_chain_recipe),
        cmocka_unit_test(test_chain_shows_tampering),
        ROW(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
