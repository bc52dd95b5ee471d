/* A session without a command around it, with a cluster that keeps what it is given on each side,
 * for tests of what a run tells others. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_store.h"
#include "run/session.h"

struct run_bench {
    struct session *s;
    struct store *store[2];
    char dir[64]; /* with tandem.yaml, the journal and credentials */
};

/* yaml: what stands behind the clusters of tandem.yaml. A run is open. */
struct run_bench run_bench_new(const char *yaml);
/* Another machine, with the same clusters and no journal yet. */
struct run_bench run_bench_beside(const struct run_bench *b);
void run_bench_free(struct run_bench *b);
const char *run_bench_path(const struct run_bench *b, const char *name); /* in b's arena */
void run_bench_good(int r, const struct err *e);
