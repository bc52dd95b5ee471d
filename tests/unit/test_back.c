/* The way back, who is live, and what would be lost: sessions over a scripted HAProxy, with
 * clusters that are dead or scripted. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fake_api.h"
#include "fake_following.h"
#include "fake_haproxy.h"
#include "migrate/hands.h"
#include "run/adopt.h"
#include "run/back.h"
#include "run/move.h"
#include "run/notice.h"
#include "run/switch.h"
#include "run/trail.h"

/* An environment of one tier in a folder of its own; both clusters are dead unless a port says
 * otherwise. */
struct env {
    char dir[64], yaml[128], db[128], map[128], sock[128];
    struct fake lb;
    struct arena *a;
    struct session *s;
    struct err e;
};

static void put_file(struct env *v, const char *path, const char *text) {
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &v->e), 0);
}

static const char *server(struct env *v, int port) {
    return arena_printf(v->a, "http://127.0.0.1:%d", port ? port : 1);
}

static void env_start_with(struct env *v, int percent_b, int port_a, int port_b, const char *more) {
    *v = (struct env){.dir = "/tmp/test-back-XXXXXX", .a = arena_new()};
    assert_non_null(mkdtemp(v->dir));
    snprintf(v->yaml, sizeof v->yaml, "%s/tandem.yaml", v->dir);
    snprintf(v->db, sizeof v->db, "%s/tandem.db", v->dir);
    snprintf(v->map, sizeof v->map, "%s/t.map", v->dir);
    snprintf(v->sock, sizeof v->sock, "%s/lb.sock", v->dir);
    fake_start(&v->lb, v->sock, v->map, percent_b, 100);
    put_file(v, v->map,
             arena_printf(v->a, "frontend.pct_b %d\nfrontend.prelive_b 100\n", percent_b));
    put_file(v, arena_printf(v->a, "%s/kube", v->dir),
             arena_printf(v->a,
                          "clusters:\n- {name: a, cluster: {server: '%s'}}\n"
                          "- {name: b, cluster: {server: '%s'}}\n"
                          "users:\n- {name: jo, user: {token: t}}\n"
                          "contexts:\n- {name: a, context: {cluster: a, user: jo}}\n"
                          "- {name: b, context: {cluster: b, user: jo}}\n",
                          server(v, port_a), server(v, port_b)));
    put_file(v, v->yaml,
             arena_printf(v->a,
                          "apiVersion: tandem.dev/v1\nkind: Environment\nmetadata: {name: t}\n"
                          "clusters:\n  a: {kubeconfig: kube, context: a}\n"
                          "  b: {kubeconfig: kube, context: b}\njournal: tandem.db\n"
                          "traffic:\n  tiers:\n    frontend: {driver: haproxy, sockets: [lb.sock], "
                          "map: t.map, live: {a: paas_a, b: paas_b}, timeout: 500ms}\n%s",
                          more ? more : ""));
}

static void env_start(struct env *v, int percent_b, int port_b, const char *more) {
    env_start_with(v, percent_b, 0, port_b, more);
}

static int env_try(struct env *v, unsigned needs) {
    struct session_opts o = {.config = v->yaml, .actor = "jo@test"};
    v->e = (struct err){0};
    return session_open(&o, needs, &v->s, &v->e);
}

static void env_open(struct env *v, unsigned needs) {
    if (env_try(v, needs) < 0)
        fail_msg("%s", v->e.msg);
}

static void env_close(struct env *v) {
    session_close(TAKE(v->s));
}

static void env_end(struct env *v) {
    static const char *const files[] = {
        "tandem.yaml",    "tandem.db", "tandem.db-wal", "tandem.db-shm",
        "tandem.db.lock", "t.map",     "lb.sock",       "kube"};
    env_close(v);
    fake_stop(&v->lb);
    for (size_t i = 0; i < COUNT_OF(files); i++)
        unlink(arena_printf(v->a, "%s/%s", v->dir, files[i]));
    rmdir(v->dir);
    arena_free(v->a);
}

static void says(const struct env *v, const char *text) {
    if (!strstr(v->e.msg, text))
        fail_msg("\"%s\" does not say \"%s\"", v->e.msg, text);
}

/* --- the journal's steps --- */

struct past {
    const char *stage, *what, *state; /* state NULL: cut short */
};

static void live_past(struct env *v, const struct past *p, size_t n) {
    int64_t id;
    env_open(v, NEED_JOURNAL);
    assert_int_equal(session_begin_run(v->s, &v->e), 0);
    for (size_t i = 0; i < n && p[i].stage; i++) {
        assert_int_equal(journal_step_begin(v->s->journal, v->s->run.id, p[i].stage, p[i].what,
                                            NULL, &id, &v->e),
                         0);
        if (p[i].state)
            assert_int_equal(journal_step_end(v->s->journal, id, p[i].state, NULL, &v->e), 0);
    }
    env_close(v);
}

#define TO(p)    "switch", p " % to b"
#define ACTIVATE "activate", "hand singletons over"
#define BACK     "switch", "back to a"
#define WHOLE    "switch-back", "everything to a"

static const struct {
    struct past past[6];
    int percent;
    bool moved, acts, half; /* half: a way back was wanted last, and has not ended well */
} trails[] = {
    {{{0}}, 0, false, false},
    {{{TO("5"), "done"}}, 5, true, false},
    {{{TO("5"), "done"}, {TO("100"), "done"}}, 100, true, false},
    {{{TO("100"), "done"}, {"switch", "pre-live to the idle cluster", "done"}}, 100, true, false},
    {{{TO("5"), NULL}}, -1, true, false},
    {{{TO("5"), "done"}, {TO("25"), "failed"}}, -1, true, false},
    {{{TO("5"), "failed"}, {BACK, "done"}}, 0, false, false},
    {{{TO("50"), "done"}, {BACK, NULL}}, -1, true, false},
    {{{TO("50"), "done"}, {BACK, "failed"}, {BACK, "done"}}, 0, false, false},
    {{{ACTIVATE, "done"}}, 0, false, true},
    {{{ACTIVATE, NULL}}, 0, false, true},
    {{{ACTIVATE, "failed"}}, 0, false, true},
    {{{ACTIVATE, "done"}, {"deactivate", "hand singletons over", "failed"}}, 0, false, true},
    {{{ACTIVATE, "done"}, {"deactivate", "hand singletons over", "done"}}, 0, false, false},
    {{{ACTIVATE, "done"}, {TO("50"), "done"}, {BACK, "done"}}, 0, false, true},
    {{{WHOLE, "done"}}, 0, false, false, false},
    {{{WHOLE, NULL}}, 0, false, false, true},
    {{{WHOLE, "failed"}}, 0, false, false, true},
    {{{WHOLE, NULL}, {WHOLE, "done"}}, 0, false, false, false},
    {{{WHOLE, NULL}, {BACK, "done"}}, 0, false, false, true},
    {{{WHOLE, NULL}, {TO("50"), "done"}}, 50, true, false, false},
    {{{WHOLE, "failed"}, {ACTIVATE, "done"}}, 0, false, true, false},
};

static void trail_of_steps(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(trails); i++) {
        struct env v;
        struct trail t;
        env_start(&v, 0, 0, NULL);
        live_past(&v, trails[i].past, COUNT_OF(trails[i].past));
        env_open(&v, NEED_JOURNAL);
        assert_int_equal(trail_read(v.s, &t, &v.e), 0);
        if (t.percent != trails[i].percent || !t.moved_ms == trails[i].moved ||
            !t.acts_ms == trails[i].acts || !t.back == trails[i].half)
            fail_msg("row %zu: %d %% %d %d %d", i, t.percent, t.moved_ms != 0, t.acts_ms != 0,
                     t.back != NULL);
        env_end(&v);
    }
    print_message("%zu pasts\n", COUNT_OF(trails));
}

static void time_of_the_way_back(void **state UNUSED) {
    static const struct past moves[] = {{TO("50"), "done"}, {BACK, "failed"}};
    static const struct past alone[] = {{"switch-back", "traffic to a", "done"}};
    static const struct past whole[] = {{WHOLE, "done"}};
    struct env v;
    env_start(&v, 0, 0, NULL);
    env_open(&v, NEED_JOURNAL);
    assert_int_equal(trail_way_back_ms(v.s), 0);
    env_close(&v);
    live_past(&v, moves, COUNT_OF(moves));
    env_open(&v, NEED_JOURNAL);
    assert_true(trail_way_back_ms(v.s) > 0);
    /* A slow move does not count once a whole way back was made. */
    int64_t id;
    assert_int_equal(journal_step_begin(v.s->journal, v.s->run.id, TO("75"), NULL, &id, &v.e), 0);
    clock_sleep_ms(300);
    assert_int_equal(journal_step_end(v.s->journal, id, "done", NULL, &v.e), 0);
    assert_true(trail_way_back_ms(v.s) >= 300);
    env_close(&v);
    live_past(&v, alone, COUNT_OF(alone)); /* says nothing of the whole */
    env_open(&v, NEED_JOURNAL);
    assert_true(trail_way_back_ms(v.s) >= 300);
    env_close(&v);
    live_past(&v, whole, COUNT_OF(whole));
    env_open(&v, NEED_JOURNAL);
    assert_in_range(trail_way_back_ms(v.s), 1, 299);
    env_end(&v);
}

/* --- who is live --- */

static const struct {
    struct past past[3];
    bool run; /* else only the fact who is live */
    const char *live;
    int observed;        /* share of b */
    bool refused;        /* for commands that act */
    const char *adopted; /* "live" afterwards, or the last step; NULL: adopt is refused */
} lives[] = {
    {{{0}}, false, NULL, 0, false, ""},
    {{{0}}, false, NULL, 100, true, "b"},
    {{{0}}, false, "a", 100, true, "b"},
    {{{0}}, false, "b", 100, false, ""},
    {{{0}}, false, "b", 0, true, "a"},
    {{{0}}, false, "a", 40, true, NULL},
    {{{0}}, true, NULL, 0, false, ""},
    {{{0}}, true, NULL, 40, true, "40 % to b"},
    {{{TO("50"), "done"}}, true, NULL, 50, false, ""},
    {{{TO("50"), "done"}}, true, NULL, 0, true, "back to a"},
    {{{TO("50"), "done"}}, true, NULL, 100, true, "100 % to b"},
    {{{TO("50"), NULL}}, true, NULL, 0, false, "back to a"},
    {{{TO("50"), "failed"}}, true, NULL, 50, false, "50 % to b"},
    {{{TO("50"), "done"}, {BACK, "done"}}, true, NULL, 50, true, "50 % to b"},
};

static void live_as_believed(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(lives); i++) {
        struct env v;
        struct live_view seen;
        struct trail t;
        char *live = NULL;
        env_start(&v, lives[i].observed, 0, NULL);
        env_open(&v, NEED_JOURNAL);
        if (lives[i].live)
            assert_int_equal(journal_set(v.s->journal, "live", lives[i].live, &v.e), 0);
        env_close(&v);
        if (lives[i].run)
            live_past(&v, lives[i].past, COUNT_OF(lives[i].past));
        int r = env_try(&v, NEED_JOURNAL | NEED_LIVE);
        if (r != (lives[i].refused ? -EGUARD : 0))
            fail_msg("row %zu: %d %s", i, r, v.e.msg);
        if (lives[i].refused)
            says(&v, "tandem adopt");
        env_close(&v);
        env_open(&v, NEED_JOURNAL | NEED_TRAFFIC);
        r = stage_adopt(v.s, "seen by jo", &seen, &v.e);
        int want = !lives[i].adopted ? -EGUARD : *lives[i].adopted != 0;
        if (r != want)
            fail_msg("row %zu: adopt: %d instead of %d: %s", i, r, want, v.e.msg);
        assert_int_equal(trail_read(v.s, &t, &v.e), 0);
        if (r == 1 && lives[i].run)
            assert_string_equal(t.last, lives[i].adopted);
        assert_int_equal(journal_get(v.s->journal, v.a, "live", &live, &v.e), 0);
        if (r == 1 && !lives[i].run)
            assert_string_equal(live, lives[i].adopted);
        env_close(&v);
        r = env_try(&v, NEED_JOURNAL | NEED_LIVE);
        assert_int_equal(r, lives[i].adopted ? 0 : -EGUARD);
        env_end(&v);
    }
    print_message("%zu lives\n", COUNT_OF(lives));
}

static void adopt_is_no_guess(void **state UNUSED) {
    struct env v;
    struct live_view seen;
    env_start(&v, 0, 0, NULL);
    live_past(&v, NULL, 0);
    put_file(&v, v.map, "frontend.pct_b 70\nfrontend.prelive_b 100\n"); /* HAProxy does not */
    env_open(&v, NEED_JOURNAL | NEED_TRAFFIC);
    assert_int_equal(stage_adopt(v.s, NULL, &seen, &v.e), -EGUARD);
    says(&v, "drifts");
    env_close(&v);
    fake_fail(&v.lb, "show", FAKE_CLOSE, NULL);
    env_open(&v, NEED_JOURNAL | NEED_LIVE); /* only warned about */
    assert_true(stage_adopt(v.s, NULL, &seen, &v.e) < 0);
    says(&v, "nothing is adopted");
    env_end(&v);
}

/* --- going back --- */

static int go_back(struct env *v, const struct back_opts *o, struct back_result *res) {
    v->e = (struct err){0};
    return stage_switch_back(v->s, o, res, &v->e);
}

enum { BACK_NEEDS = NEED_JOURNAL | TOLERATE_BUSY | NEED_TRAFFIC_IF_ANY | NEED_CONFIG_FILE };

static bool has_event(struct env *v, const char *what, const char *detail) {
    struct journal_event_row *rows;
    size_t n;
    assert_int_equal(journal_events(v->s->journal, v->a, NULL, &rows, &n, &v->e), 0);
    for (size_t i = 0; i < n; i++)
        if (str_eq(rows[i].what, what) && strstr(rows[i].detail, detail) &&
            str_eq(rows[i].actor, "jo@test"))
            return true;
    return false;
}

/* The traffic is back whatever became of the rest, which is named, with what to do. */
static void both_dead(void **state UNUSED) {
    static const struct past past[] = {{ACTIVATE, "done"}, {TO("50"), "done"}};
    struct env v;
    struct back_opts o = {.reason = "drill"};
    struct back_result res;
    env_start(&v, 50, 0, NULL);
    live_past(&v, past, COUNT_OF(past));
    env_open(&v, BACK_NEEDS);
    assert_int_equal(back_choose(v.s, NULL, &v.e), 0);
    assert_int_equal(go_back(&v, &o, &res), -EREMOTEIO);
    says(&v, "cluster a does not answer");
    says(&v, "tandem switch-back` again");
    assert_true(res.traffic_back);
    assert_int_equal(res.percent_before, 50);
    assert_string_equal(fake_value(&v.lb, "frontend.pct_b"), "0");
    assert_true(has_event(&v, "switch-back asked for", "drill"));
    assert_true(has_event(&v, "switch-back: accepted", "not taken back"));
    assert_true(has_event(&v, "switch: back to a", "done"));
    assert_true(has_event(&v, "switch-back: everything to a", "not everything is back"));
    struct trail t;
    assert_int_equal(trail_read(v.s, &t, &v.e), 0);
    assert_int_equal(t.percent, 0);
    assert_true(t.acts_ms != 0); /* so that the next one knows */
    env_end(&v);
}

static const struct {
    bool journal, run;
    const char *to;
    int want;
    char source;
    const char *text;
} choices[] = {
    {true, true, NULL, 0, 'a', NULL},
    {true, true, "a", 0, 'a', NULL},
    {true, true, "b", -EGUARD, 0, "back is a"},
    {true, false, NULL, -EGUARD, 0, "no run is open"},
    {true, false, "b", 0, 'b', NULL},
    {false, false, NULL, -EUSAGE, 0, "--to a or --to b"},
    {false, false, "a", 0, 'a', NULL},
    {false, false, "b", 0, 'b', NULL},
    {false, false, "c", -EUSAGE, 0, "neither a nor b"},
    {false, false, "ab", -EUSAGE, 0, "neither a nor b"},
};

static void where_back_is(void **state UNUSED) {
    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        struct env v;
        env_start(&v, 50, 0, NULL);
        if (choices[i].run)
            live_past(&v, NULL, 0);
        else if (choices[i].journal) {
            env_open(&v, NEED_JOURNAL);
            env_close(&v);
        }
        env_open(&v, BACK_NEEDS);
        int r = back_choose(v.s, choices[i].to, &v.e);
        if (r != choices[i].want)
            fail_msg("row %zu: %d: %s", i, r, v.e.msg);
        if (choices[i].text)
            says(&v, choices[i].text);
        if (r == 0)
            assert_int_equal(v.s->source, choices[i].source);
        env_end(&v);
    }
}

static void without_journal(void **state UNUSED) {
    struct env v;
    struct back_opts o = {0};
    struct back_result res;
    env_start(&v, 50, 0, NULL);
    env_open(&v, BACK_NEEDS);
    assert_int_equal(back_choose(v.s, "b", &v.e), 0);
    assert_true(go_back(&v, &o, &res) < 0);
    assert_true(res.traffic_back);
    assert_string_equal(fake_value(&v.lb, "frontend.pct_b"), "100");
    assert_string_equal(fake_value(&v.lb, "frontend.prelive_b"), "0");
    assert_false(file_exists(v.db)); /* the way back makes none */
    env_end(&v);
}

struct other_process {
    struct journal *j;
    uint64_t ms;
};

static void *gives_way(void *arg) {
    struct other_process *o = arg;
    clock_sleep_ms(o->ms);
    journal_close(o->j);
    return NULL;
}

/* Another process holds the journal and gives way once the traffic has moved: what was done is
 * recorded afterwards, so that the journal believes what is. */
static void recorded_afterwards(void **state UNUSED) {
    static const struct past past[] = {{TO("50"), "done"}};
    struct env v;
    struct back_opts o = {.traffic_only = true};
    struct back_result res;
    struct other_process owner = {.ms = 400};
    pthread_t thread;
    env_start(&v, 50, 0, NULL);
    live_past(&v, past, COUNT_OF(past));
    assert_int_equal(journal_open(v.db, false, &owner.j, &v.e), 0);
    env_open(&v, BACK_NEEDS);
    assert_false(v.s->recording);
    assert_int_equal(pthread_create(&thread, NULL, gives_way, &owner), 0);
    assert_int_equal(go_back(&v, &o, &res), 0);
    pthread_join(thread, NULL);
    assert_true(v.s->recording);
    env_close(&v);
    env_open(&v, NEED_JOURNAL | NEED_LIVE);
    assert_true(has_event(&v, "switch: back to a", "done"));
    assert_true(has_event(&v, "switch-back: traffic to a", "done"));
    env_end(&v);
}

/* One that never gives way is not waited for long, and nothing fails for it. */
static void held_for_good(void **state UNUSED) {
    static const struct past past[] = {{TO("50"), "done"}};
    struct env v;
    struct back_opts o = {.traffic_only = true};
    struct back_result res;
    struct journal *j;
    env_start(&v, 50, 0, NULL);
    live_past(&v, past, COUNT_OF(past));
    assert_int_equal(journal_open(v.db, false, &j, &v.e), 0);
    env_open(&v, BACK_NEEDS);
    assert_int_equal(go_back(&v, &o, &res), 0);
    assert_false(v.s->recording);
    assert_true(res.traffic_back);
    env_close(&v);
    journal_close(j);
    assert_int_equal(env_try(&v, NEED_JOURNAL | NEED_LIVE), -EGUARD);
    says(&v, "50 %");
    env_end(&v);
}

/* HAProxy does not what it is told: said, and no other part keeps quiet about it. */
static void traffic_that_stays(void **state UNUSED) {
    static const struct past past[] = {{TO("50"), "done"}};
    struct env v;
    struct back_opts o = {.traffic_only = true};
    struct back_result res;
    env_start(&v, 50, 0, NULL);
    live_past(&v, past, COUNT_OF(past));
    fake_fail(&v.lb, "set map", FAKE_IGNORE, NULL);
    env_open(&v, BACK_NEEDS);
    assert_int_equal(go_back(&v, &o, &res), -EREMOTEIO);
    assert_false(res.traffic_back);
    says(&v, "traffic: ");
    env_end(&v);
}

static int cut_over(struct session *s, void *ctx, struct err *e) {
    return switch_cutover(s, ctx, e);
}

/* traffic.onAbort: a step that fails after one that did not. */
static void aborts_as_told(void **state UNUSED) {
    static const struct {
        const char *more;
        const char *share, *text;
    } rows[] = {{"  onAbort: stop\n", "50", "traffic.onAbort is stop"},
                {"  onAbort: back\n", "0", "the traffic is back on a"},
                {NULL, "0", "the traffic is back on a"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct env v;
        int steps[] = {50, 100};
        struct switch_opts o = {.steps = steps, .n_steps = 2, .no_probe = true, .hold_ms = 1};
        env_start(&v, 0, 0, rows[i].more);
        live_past(&v, NULL, 0);
        env_open(&v, NEED_JOURNAL | NEED_TRAFFIC);
        fake_fail(&v.lb, arena_printf(v.a, "set map %s frontend.pct_b 100", v.map), FAKE_IGNORE,
                  NULL);
        assert_int_equal(switch_cutover(v.s, &o, &v.e), -EPROTO);
        says(&v, rows[i].text);
        assert_string_equal(fake_value(&v.lb, "frontend.pct_b"), rows[i].share);
        env_end(&v);
    }
}

/* Who stays as it is waits for a person, and so everybody is told, once, of what was seen: hooks,
 * and the clusters that answer, although a cutover has opened none. */
static void left_is_told(void **state UNUSED) {
    static const struct api_row rows[] = {
        {"GET /version", 200, "{\"major\":\"1\",\"minor\":\"37\",\"gitVersion\":\"v1.37.2\"}"},
        {"GET /api/v1/namespaces/kube-system", 200, "{\"metadata\":{\"uid\":\"u-b\"}}"},
        {"POST ", 201, "{\"metadata\":{\"uid\":\"u-1\"}}"},
    };
    struct api *b = api_start(rows, COUNT_OF(rows));
    struct env v;
    int steps[] = {50, 100};
    struct switch_opts o = {.steps = steps, .n_steps = 2, .no_probe = true, .hold_ms = 1};
    char *told;
    yyjson_val *t;
    size_t n;
    env_start(&v, 0, api_port(b),
              "  onAbort: stop\nnotices: {record: false}\nhooks:\n"
              "  - {name: page, on: [failed], exec: [sh, -c, 'cat >>told']}\n");
    live_past(&v, NULL, 0);
    env_open(&v, NEED_JOURNAL | NEED_TRAFFIC);
    fake_fail(&v.lb, arena_printf(v.a, "set map %s frontend.pct_b 100", v.map), FAKE_IGNORE, NULL);
    assert_int_equal(run_announce(v.s, "switch", 0, cut_over, &o, &v.e), -EPROTO);
    const char *path = arena_printf(v.a, "%s/told", v.dir);
    assert_int_equal(file_read(v.a, path, 1 << 16, &told, &n, &v.e), 0);
    if (json_parse(v.a, told, n, &t, &v.e) < 0) /* twice would be no JSON */
        fail_msg("%s: %s", v.e.msg, told);
    assert_string_equal(json_str(t, "stage"), "switch");
    assert_non_null(strstr(json_str(t, "reason"), "a person has to decide between"));
    assert_int_equal(json_int(json_get(t, "percent"), -1), 50);
    assert_string_equal(json_str(t, "evidence", "onAbort"), "stop");
    assert_int_equal(json_int(json_get(json_get(t, "evidence"), "percent"), -1), 50);
    assert_true(yyjson_is_arr(json_get(json_get(t, "evidence"), "probes")));
    assert_int_equal(api_count(b, "\"reason\":\"NothingTakenBack\""), 1);
    assert_int_equal(api_count(b, "StageFailed"), 0);
    assert_string_equal(fake_value(&v.lb, "frontend.pct_b"), "50");
    unlink(path);
    env_end(&v);
    api_stop(b);
}

/* --- what would be lost --- */

#define CORE                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"\"},\"versions\":[{" \
    "\"version\":\"v1\",\"resources\":[{\"resource\":\"configmaps\",\"responseKind\":{\"kind\":"   \
    "\"ConfigMap\"},\"scope\":\"Namespaced\",\"singularResource\":\"configmap\",\"verbs\":["       \
    "\"get\",\"list\",\"create\"]},{\"resource\":\"secrets\",\"responseKind\":{\"kind\":"          \
    "\"Secret\"},"                                                                                 \
    "\"scope\":\"Namespaced\",\"singularResource\":\"secret\",\"verbs\":[\"get\",\"list\","        \
    "\"create\"]},{"                                                                               \
    "\"resource\":\"pods\",\"responseKind\":{\"kind\":\"Pod\"},\"scope\":\"Namespaced\","          \
    "\"singularResource\":\"pod\",\"verbs\":[\"get\",\"list\",\"create\"]}]}]}]}"
#define NONE "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}"
#define OLD  "2020-01-01T00:00:00Z"
#define NEW  "2099-01-01T00:00:00Z"
#define WHO(manager, time, more)                                                                   \
    "{\"manager\":\"" manager "\",\"operation\":\"Update\",\"time\":\"" time "\"" more "}"
#define OBJECT(ns, name, made, more, who)                                                          \
    "{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name "\",\"uid\":\"u-" name "\","        \
    "\"resourceVersion\":\"7\",\"creationTimestamp\":\"" made "\"" more ",\"managedFields\":[" who \
    "]}}"
#define OWNED ",\"ownerReferences\":[{\"kind\":\"Job\",\"name\":\"j\",\"uid\":\"x\"}]"
#define LIST(kind, items)                                                                          \
    "{\"kind\":\"" kind "List\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" items "]}"
#define CLAIM(name) "{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"" name "\"}}"
#define POD(ns, name, volumes)                                                                     \
    "{\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name                                     \
    "\"},\"spec\":{\"volumes\":[" volumes "]}}"

static const struct api_row cluster_b[] =
    {
        {"GET /version", 200, "{\"major\":\"1\",\"minor\":\"37\",\"gitVersion\":\"v1.37.2\"}"},
        {"GET /api/v1/namespaces/kube-system", 200, "{\"metadata\":{\"uid\":\"u-b\"}}"},
        {"GET /api ", 200, CORE},
        {"GET /apis ", 200, NONE},
        {"GET /api/v1/configmaps", 200,
         LIST(
             "ConfigMap", OBJECT("shop", "as-it-was", OLD,
                                 "", WHO("kubectl", OLD, "")) "," OBJECT("shop", "by-tandem", OLD, "", WHO("tandem", NEW, "")) "," OBJECT("shop", "by-controller", OLD, "", WHO("kube-controller-manager", NEW, "")) "," OBJECT("shop", "status", OLD, "", WHO("op", NEW, ",\"subresource\":\"status\"")) "," OBJECT("shop",
                                                                                                                                                                                                                                                                                                                     "changed",
                                                                                                                                                                                                                                                                                                                     OLD,
                                                                                                                                                                                                                                                                                                                     "", WHO("kubectl", NEW, "")) "," OBJECT("shop",
                                                                                                                                                                                                                                                                                                                                                             "synced",
                                                                                                                                                                                                                                                                                                                                                             OLD,
                                                                                                                                                                                                                                                                                                                                                             "",
                                                                                                                                                                                                                                                                                                                                                             WHO("kubectl", NEW, "")) "," OBJECT("shop", "created", NEW, "", WHO("kubectl", NEW, "")) "," OBJECT("shop",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                 "migrated-late",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                 NEW,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                 "",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                 WHO("kubectl",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                     NEW,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "")) "," OBJECT("shop",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "kube-root-ca.crt",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     NEW,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     WHO("kube-controller-manager", NEW, "")) "," OBJECT("shop", "child",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         NEW, OWNED, WHO("operator", NEW, "")) "," OBJECT("kube-system",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "of-the-system",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          NEW, "",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          WHO("kubectl",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              NEW,
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "")) "," OBJECT("tandem-system", "ours", NEW, "", WHO("x", NEW, "")))},
        {"GET /api/v1/secrets", 200, LIST("Secret", ""), .times = 1},
        {"GET /api/v1/secrets", 403, "{}"},
        {"GET /api/v1/pods", 200,
         LIST("Pod",
              POD("shop", "p0", CLAIM("data-0")) "," POD("shop", "p1", CLAIM("data-0")) "," POD(
                  "shop", "p2",
                  "{\"name\":\"tmp\",\"ephemeral\":{}}") "," POD("other", "p",
                                                                 CLAIM(
                                                                     "data-0")) "," POD("kube-"
                                                                                        "system",
                                                                                        "p",
                                                                                        CLAIM(
                                                                                            "etc"
                                                                                            "d")))},
};

static void effect(struct env *v, const char *ref, const char *uid, const char *rv) {
    struct journal_effect ef = {.cluster = "b", .ref = ref, .verb = "create"};
    assert_int_equal(journal_effects_begin(v->s->journal, v->s->run.id, &ef, 1, &v->e), 0);
    ef.state = EFFECT_DONE;
    ef.uid = uid;
    ef.resource_version = rv;
    assert_int_equal(journal_effects_end(v->s->journal, &ef, 1, &v->e), 0);
}

static void counts_losses(void **state UNUSED) {
    static const struct past past[] = {{TO("50"), "done"}};
    struct api *b = api_start(cluster_b, COUNT_OF(cluster_b));
    struct env v;
    struct losses l;
    AUTO_SB text = SB_INIT(0);
    env_start(&v, 50, api_port(b), NULL);
    live_past(&v, past, COUNT_OF(past));
    env_open(&v, BACK_NEEDS);
    effect(&v, "/ConfigMap/shop/changed", "u-changed", "5");
    effect(&v, "/ConfigMap/shop/synced", "u-synced", "7");
    effect(&v, "/ConfigMap/shop/migrated-late", "u-migrated-late", "7");
    stage_losses(v.s, &l); /* no cluster is open */
    assert_false(l.known || l.claims_known);
    assert_int_equal(session_reach(v.s, NEED_CLUSTERS | TOLERATE_DEAD, &v.e), 0);
    assert_null(v.s->cluster[0]);
    stage_losses(v.s, &l);
    assert_true(l.known && l.claims_known && !l.more);
    assert_int_equal(l.changed, 1);
    assert_int_equal(l.created, 1);
    assert_string_equal(l.titles[0], "ConfigMap shop/changed");
    assert_string_equal(l.titles[1], "ConfigMap shop/created");
    assert_null(l.titles[2]);
    assert_int_equal(l.claims, 3);
    back_losses_text(&l, &text);
    assert_non_null(strstr(text.p, "1 objects changed and 1 created in b (ConfigMap shop/changed"));
    assert_non_null(strstr(text.p, "3 claims"));
    stage_losses(v.s, &l); /* a kind that may not be read now */
    assert_true(l.more);
    assert_int_equal(l.changed + l.created, 2);
    env_end(&v);
    api_stop(b);
}

/* An abort before anything was activated needs no cluster and asks none. */
static void abort_needs_no_cluster(void **state UNUSED) {
    static const struct past past[] = {{TO("50"), "done"}};
    struct api *b = api_start(cluster_b, COUNT_OF(cluster_b));
    struct env v;
    struct back_opts o = {.automatic = true, .reason = "probe pulse lost 3 of 50"};
    struct back_result res;
    env_start(&v, 50, api_port(b), NULL);
    live_past(&v, past, COUNT_OF(past));
    env_open(&v, BACK_NEEDS);
    assert_int_equal(go_back(&v, &o, &res), 0);
    assert_true(res.traffic_back);
    assert_int_equal(api_count(b, "GET "), 0);
    assert_true(has_event(&v, "switch-back by itself", "probe pulse lost"));
    assert_true(has_event(&v, "switch-back: accepted by traffic.onAbort: back", "b's"));
    env_end(&v);
    api_stop(b);
}

/* Where the journal has moved nothing; what somebody else has moved came nobody knows when. */
static void nothing_to_lose(void **state UNUSED) {
    static const struct {
        int share;
        bool known;
        const char *says;
    } rows[] = {{0, true, "nothing is lost"}, {30, false, "cannot be told"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api *b = api_start(cluster_b, COUNT_OF(cluster_b));
        struct env v;
        struct losses l;
        AUTO_SB text = SB_INIT(0);
        env_start(&v, rows[i].share, api_port(b), NULL);
        live_past(&v, NULL, 0);
        env_open(&v, BACK_NEEDS);
        effect(&v, "/ConfigMap/shop/changed", "u-changed", "5");
        assert_int_equal(session_reach(v.s, NEED_CLUSTERS | TOLERATE_DEAD, &v.e), 0);
        stage_losses(v.s, &l);
        assert_int_equal(l.percent, rows[i].share);
        assert_int_equal(l.known, rows[i].known);
        assert_int_equal(l.changed + l.created, 0);
        back_losses_text(&l, &text);
        assert_non_null(strstr(text.p, rows[i].says));
        assert_int_equal(strstr(text.p, "nothing is lost") != NULL, rows[i].known);
        env_end(&v);
        api_stop(b);
    }
}

/* As it is kept from one look to the next. */
static void losses_without_titles(void **state UNUSED) {
    AUTO_ARENA a = arena_new();
    AUTO_SB text = SB_INIT(0);
    struct losses l = {.known = true, .since_ms = 1, .changed = 2, .slot = 'b'};
    back_losses_text(&l, &text);
    assert_non_null(strstr(text.p, "2 objects changed and 0 created in b"));
    yyjson_mut_doc *d = json_doc(a);
    assert_non_null(strstr(json_mut_write(a, back_losses_json(&l, d), NULL), "\"objects\":[]"));
}

/* A context that has come to mean another cluster: the traffic goes back, and nobody touches it. */
static void another_cluster(void **state UNUSED) {
    static const struct past past[] = {{ACTIVATE, "done"}, {TO("50"), "done"}};
    struct api *b = api_start(cluster_b, COUNT_OF(cluster_b));
    struct env v;
    struct back_opts o = {0};
    struct back_result res;
    env_start(&v, 50, api_port(b), NULL);
    live_past(&v, past, COUNT_OF(past));
    env_open(&v, BACK_NEEDS);
    assert_int_equal(journal_set(v.s->journal, "pin.b", "u-other x", &v.e), 0);
    assert_int_equal(go_back(&v, &o, &res), -EREMOTEIO);
    says(&v, "slot b belongs to the cluster");
    assert_true(res.traffic_back);
    assert_null(v.s->cluster[1]);
    assert_int_equal(api_count(b, "PATCH "), 0);
    env_end(&v);
    api_stop(b);
}

/* --- the sync --- */

static const struct api_row cluster_a[] = {
    {"GET /version", 200, "{\"major\":\"1\",\"minor\":\"33\",\"gitVersion\":\"v1.33.13\"}"},
    {"GET /api/v1/namespaces/kube-system", 200, "{\"metadata\":{\"uid\":\"u-a\"}}"},
    {"GET /api ", 200, CORE},
    {"GET /apis ", 200, NONE},
    {"GET /api/v1/", 200, LIST("ConfigMap", "")},
};

/* The reverse sync carries its last changes, ends, and its direction with it, before a singleton is
 * touched; forward sync is left alone. */
static const struct {
    char direction;
    bool running, traffic_only, automatic, b_dead;
    int drain, want;
    const char *calls, *text;
    char after;
} syncs[] = {
    {'r', true, false, false, false, 0, 0, "drain stop turn-0 ", NULL, 0},
    {'r', false, false, false, false, 0, 0, "start-r drain stop turn-0 ", NULL, 0},
    {'r', false, false, true, false, 0, 0, "start-r drain stop turn-0 ", NULL, 0},
    {'r', true, false, false, false, -ETIMEDOUT, -EREMOTEIO, "drain stop turn-0 ",
     "not all that changed in b is carried back", 0},
    {'r', true, false, false, false, -ESTOPPED, -EREMOTEIO, "drain stop turn-0 ",
     "not all that changed in b is carried back", 0},
    {'r', false, false, false, true, 0, -EREMOTEIO, "turn-0 ", "was not carried back", 0},
    {'r', false, true, false, false, 0, 0, "", NULL, 'r'},
    {'f', false, false, false, false, 0, 0, "", NULL, 'f'},
    {0, false, false, false, false, 0, 0, "", NULL, 0},
};

static void sync_comes_to_rest(void **state UNUSED) {
    struct api *a = api_start(cluster_a, COUNT_OF(cluster_a));
    struct api *b = api_start(cluster_b, COUNT_OF(cluster_b));
    for (size_t i = 0; i < COUNT_OF(syncs); i++) {
        struct env v;
        struct following_opts fo = {.reverse = true};
        struct following *f = NULL;
        struct back_opts o = {
            .traffic_only = syncs[i].traffic_only, .automatic = syncs[i].automatic, .reverse = &f};
        struct back_result res;
        env_start_with(&v, 100, api_port(a), syncs[i].b_dead ? 0 : api_port(b), NULL);
        live_past(&v, NULL, 0);
        env_open(&v, BACK_NEEDS);
        fake_following = (struct fake_following){.drain_result = syncs[i].drain};
        if (syncs[i].running)
            assert_int_equal(following_start(v.s, &fo, &f, &v.e), 0);
        fake_following.direction = syncs[i].direction;
        *fake_following.calls = 0;
        int r = go_back(&v, &o, &res);
        if (r != syncs[i].want || !str_eq(fake_following.calls, syncs[i].calls))
            fail_msg("row %zu: %d, \"%s\": %s", i, r, fake_following.calls, v.e.msg);
        if (syncs[i].text)
            says(&v, syncs[i].text);
        assert_null(f);
        if (!syncs[i].traffic_only && !syncs[i].automatic && !syncs[i].b_dead)
            assert_true(has_event(&v, "deactivate: hand singletons over", "done"));
        assert_int_equal(fake_following.direction, syncs[i].after);
        assert_true(res.traffic_back);
        env_end(&v);
    }
    fake_following = (struct fake_following){0};
    api_stop(a);
    api_stop(b);
}

/* Nothing is held in the source any more, but what acts in the dead destination was never held: not
 * all is back, also the second time. */
static void dead_where_it_acts(void **state UNUSED) {
    static const struct past past[] = {{ACTIVATE, "done"}, {TO("50"), "done"}};
    struct api *a = api_start(cluster_a, COUNT_OF(cluster_a));
    struct env v;
    struct back_opts o = {0};
    struct back_result res;
    env_start_with(&v, 50, api_port(a), 0, NULL);
    live_past(&v, past, COUNT_OF(past));
    env_open(&v, BACK_NEEDS);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(go_back(&v, &o, &res), -EREMOTEIO);
        says(&v, "b does not answer, so that what acts there was not held");
        assert_true(res.traffic_back);
    }
    env_end(&v);
    api_stop(a);
}

/* A cluster that takes connections and answers nothing costs seconds, not minutes. */
static void hanging_cluster(void **state UNUSED) {
    static const struct api_row hangs[] = {{NULL, 200, "{", .end = API_HANG}};
    struct api *b = api_start(hangs, COUNT_OF(hangs));
    struct env v;
    env_start(&v, 0, api_port(b), NULL);
    env_open(&v, BACK_NEEDS);
    uint64_t start = clock_now_ms();
    assert_int_equal(session_reach(v.s, NEED_B | TOLERATE_DEAD, &v.e), 0);
    assert_in_range(clock_now_ms() - start, 1000, 12000);
    assert_null(v.s->cluster[1]);
    env_end(&v);
    api_stop(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trail_of_steps),
        cmocka_unit_test(time_of_the_way_back),
        cmocka_unit_test(live_as_believed),
        cmocka_unit_test(adopt_is_no_guess),
        cmocka_unit_test(both_dead),
        cmocka_unit_test(abort_needs_no_cluster),
        cmocka_unit_test(where_back_is),
        cmocka_unit_test(without_journal),
        cmocka_unit_test(recorded_afterwards),
        cmocka_unit_test(held_for_good),
        cmocka_unit_test(traffic_that_stays),
        cmocka_unit_test(aborts_as_told),
        cmocka_unit_test(counts_losses),
        cmocka_unit_test(nothing_to_lose),
        cmocka_unit_test(losses_without_titles),
        cmocka_unit_test(another_cluster),
        cmocka_unit_test(sync_comes_to_rest),
        cmocka_unit_test(dead_where_it_acts),
        cmocka_unit_test(hanging_cluster),
        cmocka_unit_test(left_is_told),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests_name("back", tests, NULL, NULL);
}
