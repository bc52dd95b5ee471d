/* What others are told of a run, and that nobody is held up by it. */
#include "run_bench.h"

#include "base/clock.h"
#include "base/file.h"
#include "run/notice.h"

#define OWN    "/api/v1/namespaces/tandem-system"
#define STATE  OWN "/configmaps/tandem-prod"
#define EVENTS "/apis/events.k8s.io/v1/namespaces/"
#define OFF    "notices: {clusters: false, record: false}\n"

/* Each hook appends a line to the file `log` beside tandem.yaml. */
#define LOGS(name, more)                                                                           \
    "  - name: " name "\n    exec: [sh, -c, 'echo " name                                           \
    " $TANDEM_EVENT $TANDEM_STAGE >>log; cat >last']\n" more

static char *content(struct run_bench *b, const char *name) {
    char *text = NULL;
    const char *path = run_bench_path(b, name);
    return file_read(b->s->a, path, 1 << 16, &text, NULL, NULL) < 0 ? "" : text;
}

static void done(struct run_bench *b) {
    unlink(run_bench_path(b, "log"));
    unlink(run_bench_path(b, "last"));
    run_bench_free(b);
}

static void test_hooks(void **state) {
    (void)state;
    struct run_bench b =
        run_bench_new(OFF "hooks:\n" LOGS("one", "    on: [before, after, failed, terminal]\n")
                          LOGS("two", "    on: [after, failed]\n"
                                      "    stages: [switch]\n"));
    struct err e = {0};
    static const struct {
        enum notice_when when;
        const char *stage;
    } calls[] = {{NOTICE_BEFORE, "migrate"}, {NOTICE_AFTER, "migrate"},
                 {NOTICE_BEFORE, "switch"},  {NOTICE_FAILED, "switch"},
                 {NOTICE_AFTER, "switch"},   {NOTICE_TERMINAL, "retire"}};
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        run_bench_good(notice(b.s, calls[i].when, calls[i].stage, NULL, NULL, &e), &e);
    assert_string_equal(content(&b, "log"), "one before migrate\none after migrate\n"
                                            "one before switch\n"
                                            "one failed switch\ntwo failed switch\n"
                                            "one after switch\ntwo after switch\n"
                                            "one terminal retire\n");
    done(&b);
}

static void test_payload(void **state) {
    (void)state;
    struct run_bench b = run_bench_new(OFF "hooks:\n" LOGS("h", "    on: [failed]\n"));
    struct err e = {0};
    yyjson_val *v;
    run_bench_good(
        notice(b.s, NOTICE_FAILED, "switch", "probe pulse lost 7 of 50", "{\"lost\":7}", &e), &e);
    const char *text = content(&b, "last");
    run_bench_good(json_parse(b.s->a, text, strlen(text), &v, &e), &e);
    static const struct {
        const char *key, *in, *want;
    } rows[] = {{"event", NULL, "failed"},
                {"environment", NULL, "prod"},
                {"stage", NULL, "switch"},
                {"actor", NULL, "jo@desk"},
                {"reason", NULL, "probe pulse lost 7 of 50"},
                {"source", "slot", "a"},
                {"source", "context", "paas-a"},
                {"source", "uid", "uid-a"},
                {"destination", "slot", "b"},
                {"destination", "uid", "uid-b"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(rows[i].in ? json_str(v, rows[i].key, rows[i].in)
                                       : json_str(v, rows[i].key),
                            rows[i].want);
    assert_string_equal(json_str(v, "run"), b.s->run.id);
    assert_int_equal(json_int(json_get(v, "evidence", "lost"), 0), 7);
    assert_int_equal(strlen(json_str(v, "delivery")), 32);
    int64_t at = 0;
    run_bench_good(clock_parse_rfc3339(json_str(v, "at"), &at, &e), &e);
    assert_true(clock_wall_ms() - at < 60000);
    /* The audit trail has the same delivery. */
    struct journal_event_row *ev;
    size_t n;
    run_bench_good(journal_events(b.s->journal, b.s->a, NULL, &ev, &n, &e), &e);
    assert_string_equal(ev[n - 1].what, "hook h");
    assert_non_null(strstr(ev[n - 1].detail, "failed switch: done ("));
    assert_non_null(strstr(ev[n - 1].detail, json_str(v, "delivery")));
    done(&b);
}

struct stage {
    unsigned called;
    int result;
};

static int stage(struct session *s, void *ctx, struct err *e) {
    struct stage *x = ctx;
    (void)s;
    x->called++;
    return x->result ? err_set(e, x->result, "the stage broke") : 0;
}

/* A hook that says no before a stage ends it when its policy is fail, and is told in any case. */
static void test_policy(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        int result; /* of the stage */
        int want;
        unsigned called;
        const char *log;
    } rows[] = {
        {"warn", 0, 0, 1, "w after migrate\n"},
        {"warn", -EREMOTEIO, -EREMOTEIO, 1, "w failed migrate\n"},
        {"fail", 0, -EGUARD, 0, "w failed migrate\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO_ARENA a = arena_new();
        const char *yaml = arena_printf(
            a,
            OFF "hooks:\n  - {name: says-no, on: [before], exec: ['false'], retries: 0, "
                "policy: %s}\n" LOGS("late", "    on: [before]\n") LOGS("w", "    on: [after, "
                                                                             "failed]\n"),
            rows[i].policy);
        struct run_bench b = run_bench_new(yaml);
        struct stage x = {.result = rows[i].result};
        struct err e = {0};
        struct journal_event_row *ev;
        size_t n, told = 0;
        assert_int_equal(run_announce(b.s, "migrate", 0, stage, &x, &e), rows[i].want);
        assert_int_equal(x.called, rows[i].called);
        if (rows[i].want == -EGUARD)
            assert_non_null(strstr(e.msg, "hook says-no refuses migrate"));
        /* Whoever stands behind a refusal is not asked. */
        const char *log = content(&b, "log");
        assert_string_equal(str_starts(log, "late before migrate\n") ? log + 20 : log, rows[i].log);
        assert_int_equal(str_starts(log, "late"), rows[i].want != -EGUARD);
        run_bench_good(journal_events(b.s->journal, b.s->a, NULL, &ev, &n, &e), &e);
        for (size_t k = 0; k < n; k++)
            told += str_eq(ev[k].what, "hook says-no") && strstr(ev[k].detail, "exit code 1");
        assert_int_equal(told, 1);
        done(&b);
    }
}

/* --- the clusters --- */

static const char *event_of(struct store *s, const char *ns, unsigned nth) {
    AUTO_ARENA a = arena_new();
    const char *path = store_nth(s, arena_printf(a, EVENTS "%s/events/", ns), nth);
    return path ? store_at(s, path) : "";
}

static void test_clusters_are_told(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("notices: {record: false}\n");
    struct err e = {0};
    run_bench_good(notice(b.s, NOTICE_BEFORE, "migrate", NULL, NULL, &e), &e);
    run_bench_good(notice(b.s, NOTICE_FAILED, "switch-back", "why \"it\" broke", NULL, &e), &e);
    for (int i = 0; i < 2; i++) {
        const char *map = store_at(b.store[i], STATE);
        assert_non_null(map);
        assert_non_null(strstr(map, b.s->run.id));
        assert_non_null(strstr(map, "\"stage\":\"switch-back\""));
        assert_non_null(strstr(map, "\"state\":\"failed\""));
        assert_non_null(strstr(map, "\"from\":\"a\""));
        assert_non_null(strstr(store_at(b.store[i], OWN), "managed-by\":\"tandem\""));
        const char *first = event_of(b.store[i], "tandem-system", 0);
        assert_non_null(strstr(first, "\"reason\":\"StageBegins\""));
        assert_non_null(strstr(first, "\"type\":\"Normal\""));
        assert_non_null(strstr(first, "\"kind\":\"ConfigMap\",\"name\":\"tandem-prod\""));
        const char *second = event_of(b.store[i], "tandem-system", 1);
        assert_non_null(strstr(second, "\"reason\":\"StageFailed\""));
        assert_non_null(strstr(second, "\"action\":\"SwitchBack\""));
        assert_non_null(strstr(second, "\"type\":\"Warning\""));
        assert_non_null(strstr(second, "why \\\"it\\\" broke"));
    }
    done(&b);
}

/* At the end of the run what is said outlives what was kept. */
static void test_the_end(void **state) {
    (void)state;
    struct run_bench b = run_bench_new("");
    struct err e = {0};
    run_bench_good(notice(b.s, NOTICE_BEFORE, "retire", NULL, NULL, &e), &e);
    record_mirror(b.s);
    assert_true(store_count(b.store[1], OWN "/configmaps/tandem-") >= 2);
    run_bench_good(journal_run_end(b.s->journal, b.s->run.id, "retired", &e), &e);
    run_bench_good(notice(b.s, NOTICE_AFTER, "retire", NULL, NULL, &e), &e);
    run_bench_good(notice(b.s, NOTICE_TERMINAL, "retire", "retired", NULL, &e), &e);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_count(b.store[i], OWN "/configmaps/tandem-"), 0);
        assert_int_equal(store_count(b.store[i], OWN "/secrets/tandem-"), 0);
        assert_non_null(strstr(event_of(b.store[i], "default", 1), "\"reason\":\"RunEnded\""));
        assert_non_null(strstr(event_of(b.store[i], "default", 1), "\"kind\":\"Namespace\""));
    }
    done(&b);
}

static void test_nobody_is_told(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct run_bench b = run_bench_new(i ? OFF : "hooks:\n" LOGS("h", "    on: [before]\n"));
        struct err e = {0};
        int before[2];
        for (int k = 0; k < 2; k++)
            before[k] = api_count(store_api(b.store[k]), "HTTP/1.1");
        b.s->o.read_only = i == 0;
        run_bench_good(notice(b.s, NOTICE_BEFORE, "migrate", NULL, NULL, &e), &e);
        notice_sweep(b.s);
        assert_string_equal(content(&b, "log"), "");
        for (int k = 0; k < 2; k++)
            assert_int_equal(api_count(store_api(b.store[k]), "HTTP/1.1"), before[k]);
        done(&b);
    }
}

static struct kube_client *client_of(struct run_bench *b, int port) {
    struct kubeconfig *k = NULL;
    const struct kube_context *ctx;
    struct kube_auth *auth = NULL;
    struct err e = {0};
    const char *text = arena_printf(
        b->s->a,
        "clusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:%d'}\n"
        "users:\n- name: jo\n  user: {token: t}\ncontexts:\n- name: x\n  context: {cluster: c, "
        "user: jo}\n",
        port);
    run_bench_good(file_write_atomic(run_bench_path(b, "last"), text, strlen(text), 0600, &e), &e);
    run_bench_good(kubeconfig_load(run_bench_path(b, "last"), &k, &e), &e);
    run_bench_good(kubeconfig_context(k, "x", &ctx, &e), &e);
    run_bench_good(kube_auth_new(k, ctx, &auth, &e), &e);
    kubeconfig_free(k);
    struct kube_client_opts o = {.name = "X"};
    return kube_client_new(b->s->http, auth, &o);
}

/* Both clusters hang: two seconds, and no more. One hangs: the other one is told all the same. */
static void test_hanging_clusters(void **state) {
    (void)state;
    static const struct api_row hang[] = {{NULL, 200, "{}", .end = API_HANG}};
    for (int both = 0; both < 2; both++) {
        struct run_bench b = run_bench_new("notices: {record: false}\n");
        struct api *api = api_start(hang, 1);
        struct err e = {0};
        for (int i = 0; i <= both; i++) {
            kube_client_free(b.s->cluster[i]);
            b.s->cluster[i] = client_of(&b, api_port(api));
        }
        uint64_t start = clock_now_ms();
        run_bench_good(notice(b.s, NOTICE_AFTER, "migrate", NULL, NULL, &e), &e);
        assert_true(clock_now_ms() - start < 2200);
        assert_int_equal(store_at(b.store[1], STATE) != NULL, !both);
        done(&b);
        api_stop(api);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_clusters_are_told),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_nobody_is_told),
        cmocka_unit_test(test_hanging_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
