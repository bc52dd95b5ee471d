/* Between handing over (handover.c) and waiting until what was stopped stands still (quiet.c). */
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
    bool failed;           /* nothing more is done about it */
    bool unheld;           /* its twin could not be asked */
    const char *under_way; /* what of it still runs where it was stopped, for people; or NULL */
    struct held *next;
};

int handover_read(struct arena *a, const struct side *s, const struct held *h, yyjson_val **ret,
                  struct err *e);

/* Before a CronJob is suspended: sleeps over the turn of the minute, when its controller may be
 * starting a run. */
void quiet_window(const struct held *h, struct http_cancel *cancel);
/* After twins of one row (first up to end) were stopped: sleeps until none can begin anything any
 * more, and until pods of stopped workloads are gone. What takes too long is noted in under_way. */
void quiet_wait(struct arena *a, const struct side *from, struct held *first, struct held *end,
                struct http_cancel *cancel);
/* Carries the time of a CronJob's last run over, so that none is missed or run twice. */
int quiet_carry(struct arena *a, const struct kube_discovery *d, const struct side *from,
                const struct side *to, const struct held *h, struct err *e);
