/* Takes back what a run wrote to its destination, and only that.
 *
 * What the run created is deleted (guarded by uid and resourceVersion), what it updated gets its
 * previous values back, in the reverse order of waves. Before each the object is looked at: fields
 * that somebody has changed since are a reason to leave it and say so. What controllers of the
 * cluster changed (status, allocated fields) is none. A namespace or a definition goes only when
 * nothing that is somebody else's would go with it; volumes are set to Retain first, so that no
 * storage is deleted that the source may be using.
 *
 * Each step is in the journal before it is sent (verbs delete and restore), and each begins by
 * looking: killed at any point, the same call again goes on. */
#pragma once

#include "base/map.h"
#include "journal/journal.h"
#include "kube/discovery.h"

enum taken {
    TAKEN_WOULD,    /* dry run: it would be deleted or restored */
    TAKEN_DELETED,  /* is gone */
    TAKEN_RESTORED, /* has its previous values */
    TAKEN_ALREADY,  /* was gone, or as before the run */
    TAKEN_MOVED,    /* changed since by somebody else: left, or only partly restored */
    TAKEN_KEPT,     /* somebody else's objects would go with it */
    TAKEN_HANGS,    /* told to go, and still there */
    TAKEN_FAILED,
    TAKEN_COUNT
};
const char *taken_name(enum taken t);

struct unmigrate_item {
    const char *title, *ref;
    enum taken taken;
    const char *note; /* or NULL */
    struct unmigrate_item *next;
};

struct unmigrate_opts {
    struct kube_client *c; /* the destination */
    char slot;
    const struct kube_discovery *discovery; /* of it */
    struct journal *journal;
    const char *run;
    const char *const *generated;  /* "GROUP/KIND/NAME" that the cluster puts into each namespace,
                                      NULL-terminated, or NULL */
    const char *const *ns_include; /* patterns; NULL or empty: everything, also cluster-scoped */
    const struct map *only;        /* refs; NULL: all. Those that the run created are deleted, what
                                      it only updated is left; no volume may be among them */
    const char *const *refs;       /* the same, for a few: looked up one by one, and volumes may be
                                      among them; NULL-terminated, or NULL */
    bool dry_run;                  /* look only */
    bool force;                    /* what has moved on is taken back too */
    unsigned writes;               /* in flight; 0: 16 */
    uint64_t wait_ms;              /* for what is told to go, each wave; 0: 120 s */
    struct http_cancel *cancel;
    void (*progress)(void *ctx, size_t done, size_t total, const char *what);
    void *progress_ctx;
};

struct unmigrate_result {
    size_t total, by[TAKEN_COUNT];
    struct unmigrate_item *items; /* in the order of taking back */
    bool clean;                   /* nothing of the run is left in the destination */
};

/* Negative only when the whole cannot go on (journal, ^C); what becomes of single objects is in the
 * result, in a, also then. */
int unmigrate(struct arena *a, const struct unmigrate_opts *o, struct unmigrate_result *ret,
              struct err *e);
/* How many objects the run has written, and how many of them are claims and volumes. */
int unmigrate_count(const struct unmigrate_opts *o, size_t *ret_objects, size_t *ret_storage,
                    struct err *e);
