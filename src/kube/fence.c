#include "kube/fence.h"

#include "base/clock.h"

enum { LEAST_MS = 2000, LOOK_MS = 20 };

void fence_init(struct kube_fence *f) {
    atomic_init(&f->until_ns, 0);
    atomic_init(&f->tried_ns, 0);
    atomic_init(&f->partner, NULL);
    atomic_init(&f->lost, false);
    f->why[0] = 0;
}

void fence_lose(struct kube_fence *f, const char *why) {
    if (atomic_load(&f->lost))
        return;
    snprintf(f->why, sizeof f->why, "%s", why);
    atomic_store(&f->until_ns, 0);
    atomic_store(&f->lost, true);
}

/* When the Lease ran out, as a wall clock shows it. */
static const char *ran_out(uint64_t until_ns, char out[CLOCK_RFC3339_MAX]) {
    uint64_t ago_ms = (clock_boot_ns() - until_ns) / 1000000;
    return clock_rfc3339(clock_wall_ms() - (int64_t)ago_ms, out);
}

static int refuse(struct kube_fence *f, struct err *e) {
    char at[CLOCK_RFC3339_MAX];
    if (atomic_load(&f->lost))
        return err_set(e, -EGUARD, "%s", f->why);
    return err_set(
        e, -EGUARD,
        "lost the lease of this cluster at %s; another may hold it. Run the same command "
        "again to go on",
        ran_out(atomic_load(&f->until_ns), at));
}

bool fence_in_doubt(struct kube_fence *f) {
    uint64_t until = atomic_load(&f->until_ns);
    return clock_boot_ns() >= until && atomic_load(&f->tried_ns) < until;
}

/* 1: not yet. */
static int look(struct kube_fence *f, bool patient, struct err *e) {
    struct kube_fence *p = atomic_load(&f->partner);
    if (atomic_load(&f->lost))
        return refuse(f, e);
    if (p && atomic_load(&p->lost))
        return err_ctx(e, refuse(p, e), "the other cluster");
    return clock_boot_ns() >= atomic_load(&f->until_ns) || (p && patient && fence_in_doubt(p));
}

int fence_pass(struct kube_fence *f, uint64_t patience_ms, const struct http_cancel *cancel,
               struct err *e) {
    uint64_t begin = clock_now_ms(), end = begin + MAX(patience_ms, (uint64_t)LEAST_MS);
    for (;;) {
        int r = look(f, clock_now_ms() < begin + LEAST_MS, e);
        if (r <= 0)
            return r;
        if (cancel && atomic_load(&cancel->stop))
            return err_set(e, -ESTOPPED, "stopped");
        if (clock_now_ms() >= end)
            return refuse(f, e);
        clock_sleep_ms(LOOK_MS);
    }
}
