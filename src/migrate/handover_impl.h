/* Between handing over (handover.c), finding what is to change hands (handover_find.c) and waiting
 * until what was stopped stands still (quiet.c). */
#pragma once

#include "migrate/handover.h"
#include "migrate/hold.h"

struct side {
    struct kube_client *c;
    char slot;
    const struct kube_discovery *d;
};

/* What became of the twin in the cluster that is to stop acting. */
enum twin { TWIN_NONE, TWIN_HELD, TWIN_STOPPED /* by its owner */, TWIN_FINISHED };

/* One held object found in the cluster that is to act. */
struct held {
    const struct kube_resource *r;
    const struct hold_row *row;
    const char *ns, *name; /* ns NULL: cluster-scoped */
    struct handover_item *item;
    enum twin twin;
    bool failed; /* nothing more is done about it */
    bool late;   /* let loose after the others of its chunk */
    bool timed;  /* a CronJob that was suspended just now, away from the turn of the minute */
    size_t busy; /* runs under way beside which its owner wants no other */
    bool unheld; /* its twin could not be asked */
    const char *under_way; /* what of it still runs where it was stopped, for people; or NULL */
    struct held *next;
};

/* handover_find.c */
enum look {
    LOOK_HELD,         /* by tandem */
    LOOK_ACTING,       /* neither held nor stopped nor at its end */
    LOOK_ACTING_ALONE, /* and the object alone tells that two may not act */
};

struct finder {
    struct arena *a;
    const struct kube_resource *r;
    const struct hold_row *row;
    const char *const *inc, *const *exc;
    bool only_namespaced;
    enum look look;
    struct held *first, **tail; /* what was found */
    /* Kinds that cannot be listed are reported here, and the others are found; NULL: the first such
     * one is an error. */
    struct handover_item **unlisted;
    char slot; /* for that report */
};
/* Fills f->first, in the order of the table of holds. Negative when the cluster cannot be read. */
int handover_find(struct finder *f, struct kube_client *c, const struct kube_discovery *d,
                  struct err *e);
bool handover_wanted(enum look look, const struct hold_row *row, const struct kube_resource *r,
                     yyjson_val *item);

/* handover.c */
int handover_read(struct arena *a, const struct side *s, const struct held *h, yyjson_val **ret,
                  struct err *e);

/* quiet.c */
/* Before a CronJob is suspended: sleeps over the turn of the minute, when its controller may be
 * starting a run. */
void quiet_window(struct held *h, struct http_cancel *cancel);
/* May one more be suspended beside those of which the first was at `since`, and all be let loose
 * before the minute turns? That takes about as long as stopping them did. ms since the epoch. */
bool quiet_fits(int64_t since, int64_t now);
/* After twins of one row (first up to end) were stopped: sleeps until none can begin anything any
 * more, and until pods of stopped workloads are gone. What takes too long is noted in under_way.
 * Runs of CronJobs are not waited for, but those that nothing may run beside are counted in busy.
 */
void quiet_wait(struct arena *a, const struct handover_opts *o, const struct side *from,
                struct held *first, struct held *end);
/* Waits until none of them is busy any more, but no longer than wait_ms. */
void quiet_end_runs(struct arena *a, const struct handover_opts *o, const struct side *from,
                    struct held *first, struct held *end);
/* Carries the time of a CronJob's last run over, so that none is missed or run twice. */
int quiet_carry(struct arena *a, const struct kube_discovery *d, const struct side *from,
                const struct side *to, const struct held *h, struct err *e);
