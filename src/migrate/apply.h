/* Carries a plan out: reads bodies from the source page by page, writes them to the destination
 * with many requests in flight, and keeps the journal one step ahead.
 *
 * Data path: feeder thread (lists the source, scrubs, journals intents batch by batch) -> queue ->
 * writers (one POST or PATCH each) -> queue -> recorder thread (journals outcomes batch by batch).
 * Services have a feeder and writers of their own: their address allocation is serial in the API
 * server. Who waits for whom: waits.h. Admission webhooks come last, when what answers for them
 * can. */
#pragma once

#include "migrate/world.h"

enum stale_mode { STALE_SKIP, STALE_REFUSE, STALE_ACCEPT };

struct apply_opts {
    struct world *world;
    struct journal *journal;
    const char *run;
    unsigned writes;   /* in flight; 0: 32 */
    unsigned batch;    /* journal batch; 0: 100 */
    uint64_t ready_ms; /* longest wait for what stands behind webhooks; 0: 60 s */
    enum stale_mode stale;
    const struct map *plan_digests; /* ref -> hex digest of a frozen plan, or NULL */
    const uint8_t *plan_salt;       /* of those digests */
    struct http_cancel *cancel;
    /* Called now and then, from one thread at a time. */
    void (*progress)(void *ctx, size_t done, size_t failed, size_t total, const char *wave);
    void *progress_ctx;
};

struct apply_result {
    size_t total, done, failed, stale;
    size_t left; /* not reached: it was stopped, or something that concerns all objects failed */
    uint64_t first_write_ns, last_answer_ns; /* monotonic; 0: nothing was written */
    uint64_t extra_requests;                 /* beyond one write per object */
};

/* Negative only when the run as a whole could not go on (journal, cancel); failures of single
 * objects are in the result and in each object's outcome and note. */
int apply_plan(const struct apply_opts *o, struct apply_result *ret, struct err *e);
