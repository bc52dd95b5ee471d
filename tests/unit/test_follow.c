/* The life of live sync: when it is stopped, and what a caller may rely on then. What it carries is
 * tested on real servers (tests/upgrade/follow.t, reverse.t, soak.t). */
#include "kube_bench.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "migrate/follow.h"

#define CORE                                                                                       \
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"\"},\"versions\":[{" \
    "\"version\":\"v1\",\"resources\":[{\"resource\":\"configmaps\",\"responseKind\":{\"kind\":"   \
    "\"ConfigMap\"},\"scope\":\"Namespaced\",\"singularResource\":\"x\",\"verbs\":[\"get\","       \
    "\"list\","                                                                                    \
    "\"watch\",\"create\",\"delete\"]}]}]}]}"
#define GROUPS "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}"
#define LIST                                                                                       \
    "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\"},"  \
    "\"items\":[{\"metadata\":{\"name\":\"c\",\"namespace\":\"n\",\"uid\":\"u\","                  \
    "\"resourceVersion\":"                                                                         \
    "\"4\"},\"data\":{\"a\":\"1\"}}]}"

struct fixture {
    struct bench a, b;
    struct journal *j;
    struct journal_run run;
    struct follow *f;
    atomic_uint asked; /* requests to both clusters, watches apart */
    unsigned stop_at;  /* of them; 0: when it is live */
};

static int answer(void *ctx, const char *request, struct sb *ret_body) {
    struct fixture *f = ctx;
    if (strstr(request, "watch=")) /* ends at once: nothing has happened */
        return 200;
    if (atomic_fetch_add(&f->asked, 1) + 1 == f->stop_at)
        follow_stop(f->f);
    const char *body = strstr(request, "GET /api ")                ? CORE
                       : strstr(request, "GET /apis ")             ? GROUPS
                       : strstr(request, "GET /api/v1/configmaps") ? LIST
                                                                   : NULL;
    sb_str(ret_body, body ? body : "{\"kind\":\"Status\",\"reason\":\"NotFound\"}");
    return body ? 200 : 404;
}

static void stop_when_live(void *ctx) {
    struct fixture *f = ctx;
    struct follow_status st;
    follow_status(f->f, &st);
    if (!f->stop_at && st.state == FOLLOW_LIVE)
        follow_stop(f->f);
}

static void start(struct fixture *f, unsigned stop_at) {
    struct err e = {0};
    *f = (struct fixture){.stop_at = stop_at};
    f->a = bench_before(api_start_with(answer, f), &(struct kube_client_opts){.name = "A"});
    f->b = bench_before(api_start_with(answer, f), &(struct kube_client_opts){.name = "B"});
    expect(0, journal_open(arena_printf(f->a.a, "%s/t.db", f->a.dir), false, &f->j, &e), &e);
    expect(0, journal_run_begin(f->j, 'a', 'b', &f->run, &e), &e);
    struct follow_opts o = {.world = {.src = f->a.c,
                                      .dst = f->b.c,
                                      .src_slot = 'a',
                                      .dst_slot = 'b',
                                      .journal = f->j,
                                      .run = f->run.id},
                            .writes = 2,
                            .tell = stop_when_live,
                            .tell_ctx = f};
    f->f = follow_new(&o);
}

static void finish(struct fixture *f) {
    static const char *const names[] = {"", "-wal", "-shm", ".lock"};
    follow_free(f->f);
    journal_close(f->j);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(f->a.a, "%s/t.db%s", f->a.dir, names[i]));
    bench_free(&f->a);
    bench_free(&f->b);
}

/* Reading has no moment at which a stop leaves something behind: at the first request, in the
 * midst, and at the last, when all has been read and nothing is watched yet. */
static void a_stop_ends_it_at_any_request(void **state UNUSED) {
    struct fixture f;
    struct err e = {0};
    struct follow_status st;
    start(&f, 0);
    expect(0, follow_run(f.f, &e), &e);
    follow_status(f.f, &st);
    assert_int_equal(st.readings, 1);
    unsigned all = atomic_load(&f.asked);
    finish(&f);
    assert_in_range(all, 7, 100);
    for (unsigned at = 1; at <= all; at++) {
        start(&f, at);
        expect(0, follow_run(f.f, &e), &e);
        follow_status(f.f, &st);
        if (st.state != FOLLOW_STOPPED || st.readings || st.watches)
            fail_msg("stopped at request %u of %u: state %d, %llu readings", at, all, st.state,
                     (unsigned long long)st.readings);
        finish(&f);
    }
}

/* --- drain --- */

struct drain {
    struct fixture *f;
    pthread_t thread;
    struct err e;
    int r;
};

static void *drain(void *arg) {
    struct drain *d = arg;
    d->r = follow_drain(d->f->f, 10000, NULL, &d->e);
    follow_stop(d->f->f);
    return NULL;
}

/* Whoever wants both to be equal is not answered by a reading that had begun before. */
static void a_drain_waits_for_a_reading_of_its_own(void **state UNUSED) {
    struct fixture f;
    struct follow_status st;
    struct err e = {0};
    start(&f, UINT32_MAX);
    struct drain d = {.f = &f};
    assert_int_equal(pthread_create(&d.thread, NULL, drain, &d), 0);
    clock_sleep_ms(50); /* it has looked: nothing has been read yet */
    expect(0, follow_run(f.f, &e), &e);
    pthread_join(d.thread, NULL);
    expect(0, d.r, &d.e);
    follow_status(f.f, &st);
    assert_in_range(st.readings, 2, 3); /* the one that it asked for, or one more */
    finish(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_ends_it_at_any_request),
        cmocka_unit_test(a_drain_waits_for_a_reading_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
