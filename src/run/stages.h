/* The stages that need more than one call: migrating with its settling, handing over, going back,
 * retiring. Each is what the command of the same name does. */
#pragma once

#include "migrate/apply.h"
#include "migrate/handover.h"
#include "migrate/plan.h"
#include "migrate/settle.h"
#include "run/session.h"

struct migrate_opts {
    enum stale_mode stale;
    const struct plan_file *plan; /* frozen, or NULL */
    uint64_t settle_ms;           /* longest wait for readiness; 0: 60 s */
    bool no_probe;                /* make no probe namespace (probing.h) */
    /* What a probe namespace has changed in w's verdicts, before anything else is written; NULL:
     * nobody wants to know. */
    void (*probed)(const struct session *s, const struct world *w);
    void (*progress)(void *ctx, size_t done, size_t failed, size_t total, const char *wave);
    void *progress_ctx;
};
struct migrate_result {
    struct apply_result apply;
    struct plan_counts before;
    uint64_t plan_ms, write_ms, settle_ms;
    struct settled settled; /* what became of what was written */
};
/* Carries `w` out. The run is begun when none is open. */
int stage_migrate(struct session *s, struct world *w, const struct migrate_opts *o,
                  struct migrate_result *ret, struct err *e);

/* back false: activate, true: deactivate. *ret items in s->a. Returns the number that failed. */
int stage_handover(struct session *s, bool back, bool dry_run, struct handover_item **ret,
                   struct err *e);

/* Does nothing stay held in the destination that acts in the source? -EGUARD says how many do. */
int stage_singletons_over(struct session *s, struct err *e);
/* Guards first (-EGUARD says which); then ends the run: the destination is live from now on. */
int stage_retire(struct session *s, struct err *e);

/* What `status` shows. */
struct way_back {
    bool open;   /* a run is open: switch-back is legal */
    int percent; /* of the live side on the destination; -1 unknown */
    size_t held_source, held_destination;
    bool known_source, known_destination; /* the cluster answered */
};
void stage_way_back(struct session *s, struct way_back *ret);
