/* The queue of live sync: each object once, in its newest state; and the guard of deletes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "migrate/follow_impl.h"

static const struct kube_resource resource = {
    .group = "", .version = "v1", .kind = "ConfigMap", .plural = "configmaps"};
static const struct kind kind = {.src = &resource, .dst = &resource};
#define REF(name) "/ConfigMap/n/" name

static void put(struct changes *q, const char *ref, const char *body) {
    changes_put(q, ref, &kind, body ? xstrdup(body) : NULL, body ? strlen(body) : 0, true);
}

static size_t pending(struct changes *q) {
    struct changes_count c;
    changes_count(q, &c);
    return c.pending;
}

static void newest_state_once(void **state) {
    (void)state;
    struct changes *q = changes_new();
    put(q, REF("a"), "1");
    put(q, REF("a"), "2");
    put(q, REF("b"), "1");
    assert_int_equal(pending(q), 2);
    struct pending *p = changes_next(q);
    assert_string_equal(p->ref, REF("a"));
    assert_string_equal(p->body, "2");
    struct pending *r = changes_next(q);
    assert_string_equal(r->ref, REF("b"));
    changes_done(q, p);
    changes_done(q, r);
    assert_int_equal(pending(q), 0);
    changes_free(q);
}

static void waits_while_it_is_carried(void **state) {
    (void)state;
    struct changes *q = changes_new();
    put(q, REF("a"), "1");
    struct pending *p = changes_next(q);
    put(q, REF("a"), "2");
    put(q, REF("a"), NULL);
    assert_string_equal(p->body, "1"); /* in hand: nobody touches it */
    assert_int_equal(pending(q), 1);
    changes_done(q, p);
    assert_int_equal(pending(q), 1);
    p = changes_next(q);
    assert_null(p->body);
    changes_done(q, p);
    assert_int_equal(pending(q), 0);
    changes_free(q);
}

/* What came meanwhile is not thrown away with a failure, and begins at once. */
static void newer_replaces_a_failure(void **state) {
    (void)state;
    struct changes *q = changes_new();
    struct changes_count c;
    put(q, REF("a"), "1");
    struct pending *p = changes_next(q);
    changes_retry(q, p, "no");
    changes_count(q, &c);
    assert_int_equal(c.failing, 1);
    assert_string_equal(c.why, "ConfigMap n/a: no");
    put(q, REF("a"), "2");
    p = changes_next(q);
    assert_string_equal(p->body, "2");
    assert_int_equal(p->tries, 0);
    put(q, REF("a"), "3");
    changes_retry(q, p, "no");
    p = changes_next(q);
    assert_string_equal(p->body, "3");
    changes_done(q, p);
    changes_free(q);
}

static void failures_come_back_later(void **state) {
    (void)state;
    struct changes *q = changes_new();
    put(q, REF("a"), "1");
    uint64_t start = clock_now_ms();
    for (int i = 0; i < 4; i++) { /* 20 + 40 + 80 + 160 ms */
        struct pending *p = changes_next(q);
        assert_string_equal(p->body, "1");
        changes_retry(q, p, "no");
    }
    struct pending *p = changes_next(q);
    assert_in_range(clock_now_ms() - start, 300, 5000);
    assert_int_equal(p->tries, 4);
    changes_done(q, p);
    changes_free(q);
}

/* Only one that changes more than five times a second waits, and not longer than 100 ms. */
static void hot_ones_are_gathered(void **state) {
    (void)state;
    struct changes *q = changes_new();
    uint64_t start = clock_now_ms();
    for (int i = 0; i < 5; i++) {
        put(q, REF("a"), "x");
        changes_done(q, changes_next(q));
    }
    assert_true(clock_now_ms() - start < 90);
    start = clock_now_ms();
    put(q, REF("a"), "6");
    put(q, REF("a"), "7");
    put(q, REF("cool"), "1");
    struct pending *p = changes_next(q);
    assert_string_equal(p->ref, REF("cool"));
    changes_done(q, p);
    assert_true(clock_now_ms() - start < 90);
    put(q, REF("a"), "8");
    p = changes_next(q);
    assert_string_equal(p->body, "8");
    assert_in_range(clock_now_ms() - start, 95, 2000);
    changes_done(q, p);
    changes_free(q);
}

static bool is_ref(void *ctx, const struct pending *p) {
    return str_eq(ctx, p->ref);
}

static char *held; /* "ref asks why" of the last one told */
static void note_held(void *ctx, const char *ref, bool asks, const char *why) {
    AUTO_ARENA a = arena_new();
    (void)ctx;
    xfree(held);
    held = xstrdup(arena_printf(a, "%s %d %s", ref, asks, why));
}

static void what_asks_waits_for_a_person(void **state) {
    (void)state;
    struct changes *q = changes_new();
    struct changes_count c;
    put(q, REF("a"), NULL);
    put(q, REF("b"), NULL);
    for (int i = 0; i < 2; i++) {
        struct pending *p = changes_next(q);
        assert_false(p->approved);
        changes_hold(q, p, CHANGE_ASKS, "many");
    }
    changes_count(q, &c);
    assert_int_equal(c.asks, 2);
    assert_int_equal(c.pending, 0);
    assert_int_equal(c.oldest_ms, 0); /* a question is no lag */
    assert_int_equal(changes_approve(q, is_ref, (void *)(uintptr_t)REF("b")), 1);
    changes_each_held(q, 9, note_held, NULL);
    assert_string_equal(held, REF("a") " 1 many");
    struct pending *p = changes_next(q);
    assert_string_equal(p->ref, REF("b"));
    assert_true(p->approved);
    changes_done(q, p);
    put(q, REF("a"), "back"); /* made again in the source: the question is over */
    p = changes_next(q);
    assert_string_equal(p->body, "back");
    assert_false(p->approved);
    changes_done(q, p);
    xfree(TAKE(held));
    changes_free(q);
}

static void frozen_gives_nothing_out(void **state) {
    (void)state;
    struct changes *q = changes_new();
    changes_freeze(q, true);
    put(q, REF("a"), "1");
    changes_close(q);
    assert_null(changes_next(q));
    assert_int_equal(pending(q), 1);
    changes_free(q);
}

/* By due time, however many. */
static void many_in_order(void **state) {
    (void)state;
    struct changes *q = changes_new();
    enum { N = 2000 };
    AUTO_ARENA a = arena_new();
    for (int i = 0; i < N; i++)
        put(q, arena_printf(a, "/ConfigMap/n/%d", i), "1");
    uint64_t last = 0;
    for (int i = 0; i < N; i++) {
        struct pending *p = changes_next(q);
        assert_true(p->due_ms >= last);
        last = p->due_ms;
        changes_done(q, p);
    }
    assert_int_equal(pending(q), 0);
    changes_free(q);
}

/* --- the guard --- */

static bool allows(struct follow_guard *g, const char *name, size_t live) {
    AUTO_ARENA a = arena_new();
    const char *why = NULL;
    struct kube_resource r = {.group = "", .version = "v1", .kind = name, .plural = "things"};
    if (str_eq(name, "CustomResourceDefinition"))
        r.group = "apiextensions.k8s.io";
    bool yes = follow_guard_allows(g, a, &r, live, &why);
    assert_true(yes == (why == NULL));
    return yes;
}

static void smaller_of_twenty_and_five_percent(void **state) {
    (void)state;
    struct follow_guard *g = follow_guard_new(&(struct follow_opts){0});
    static const struct {
        const char *kind;
        size_t live, most;
    } cases[] = {
        {"Ten", 10, 0},           /* 5 % of it are not one */
        {"Twenty", 20, 1},        /* exactly one */
        {"Hundred", 100, 5},      /* 5 % */
        {"Thousands", 10000, 20}, /* twenty are fewer */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = 0;
        while (allows(g, cases[i].kind, cases[i].live - n))
            n++;
        assert_int_equal(n, cases[i].most);
    }
    follow_guard_free(g);
}

static void some_kinds_always_ask(void **state) {
    (void)state;
    struct follow_guard *g =
        follow_guard_new(&(struct follow_opts){.delete_max = 1000, .delete_percent = 100});
    static const char *const kinds[] = {"Namespace", "CustomResourceDefinition", "PersistentVolume",
                                        "PersistentVolumeClaim"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        assert_false(allows(g, kinds[i], 100000));
    assert_true(allows(g, "ConfigMap", 1));
    follow_guard_free(g);
}

static void restarts_and_approvals_count(void **state) {
    (void)state;
    struct follow_guard *g = follow_guard_new(&(struct follow_opts){0});
    int64_t now = clock_wall_ms();
    for (int i = 0; i < 30; i++) /* more than an hour ago */
        follow_guard_note(g, "", "ConfigMap", now - 3700000);
    for (int i = 0; i < 5; i++)
        follow_guard_note(g, "", "ConfigMap", now - 1000);
    assert_false(allows(g, "ConfigMap", 95)); /* the sixth of a hundred */
    follow_guard_reset(g, "", "ConfigMap");
    assert_true(allows(g, "ConfigMap", 95));
    follow_guard_forget(g, &resource);
    for (int i = 0; i < 4; i++)
        assert_true(allows(g, "ConfigMap", (size_t)(95 - i)));
    assert_false(allows(g, "ConfigMap", 91));
    follow_guard_free(g);
}

static void reverse_always_asks(void **state) {
    (void)state;
    struct follow_guard *g = follow_guard_new(&(struct follow_opts){.ask_deletes = true});
    assert_false(allows(g, "ConfigMap", 100000));
    follow_guard_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_state_once),
        cmocka_unit_test(waits_while_it_is_carried),
        cmocka_unit_test(newer_replaces_a_failure),
        cmocka_unit_test(failures_come_back_later),
        cmocka_unit_test(hot_ones_are_gathered),
        cmocka_unit_test(what_asks_waits_for_a_person),
        cmocka_unit_test(frozen_gives_nothing_out),
        cmocka_unit_test(many_in_order),
        cmocka_unit_test(smaller_of_twenty_and_five_percent),
        cmocka_unit_test(some_kinds_always_ask),
        cmocka_unit_test(restarts_and_approvals_count),
        cmocka_unit_test(reverse_always_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
