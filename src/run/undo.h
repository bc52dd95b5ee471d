/* Taking back what the open run wrote to the destination: the guards around unmigrate(), and what
 * ends the run when nothing of it is left. */
#pragma once

#include "migrate/unmigrate.h"
#include "migrate/world.h"
#include "run/session.h"

struct undo_opts {
    bool dry_run, force;
    uint64_t wait_ms; /* for finalizers; 0: unmigrate's own */
    void (*progress)(void *ctx, size_t done, size_t total, const char *what);
    void *progress_ctx;
};
/* What it is about, for the question: objects that the run wrote, claims and volumes among them. */
int undo_count(struct session *s, size_t *ret_objects, size_t *ret_storage, struct err *e);
/* -EGUARD while the destination has live traffic or runs singletons, and without an open run.
 * Items in s->a. When nothing of the run is left, its copies of Secrets go too and the run ends as
 * aborted. Negative also when single objects failed (-EREMOTEIO); *ret says which. */
/* Deletes what the plan makes anew (object.recreate) and a run has created, under the guards of
 * unmigrate: unchanged since, not live. What cannot go is blocked in w, with the reason. Before the
 * first write of migrate. */
int undo_make_room(struct session *s, struct world *w, struct err *e);
int stage_unmigrate(struct session *s, const struct undo_opts *o, struct unmigrate_result *ret,
                    struct err *e);
