/* Handing the singletons over: whatever is held in one cluster acts in the other.
 *
 * to == 'd' (activate): each object held in the destination is let loose there after its twin in
 * the source has been held. Back (deactivate): the destination's is held again, then the source's
 * gets its original value. At no moment do both act; between the two neither does. Every change is
 * journalled (verbs hold and unhold) with the original value, and guarded by resourceVersion. */
#pragma once

#include "migrate/world.h"

enum handover_state {
    HAND_DONE,     /* changed hands */
    HAND_ALREADY,  /* was as wanted */
    HAND_FINISHED, /* a Job that ended in the source meanwhile: stays held in the destination */
    HAND_ALONE,    /* has no twin in the cluster that is to stop acting */
    HAND_UNHELD,   /* acts now; the other cluster did not answer, and may let it act there too */
    HAND_FAILED,
};

struct handover_item {
    const char *title; /* "CronJob shop/report" */
    enum handover_state state;
    const char *note;
    struct handover_item *next;
};

struct handover_opts {
    struct kube_client *from, *to; /* from stops acting, to begins; from NULL: it is dead */
    char from_slot, to_slot;
    /* Of each: they may serve one kind in different versions. from's NULL: it is dead. */
    const struct kube_discovery *discovery, *from_discovery; /* discovery: of `to` */
    const char *const *ns_include, *const *ns_exclude;
    bool only_namespaced;    /* -n was given: nothing that is cluster-scoped */
    struct journal *journal; /* NULL: works without (from annotations alone) */
    const char *run;
    bool dry_run;               /* only say what would happen */
    bool from_unreachable_ok;   /* go on when `from` does not answer (its cluster is gone) */
    bool forward;               /* what has finished in `from` needs no hold in `to` any more */
    uint32_t wait_ms;           /* longest for what still runs where it was stopped; 0: a minute */
    struct http_cancel *cancel; /* looked at between two objects; NULL: never */
};

/* Finds what carries the annotation of a hold in `to`, and hands each over. *ret: one item per
 * object, in a. Negative only when `to` cannot be read; failures of single objects are items, and
 * so is a kind that cannot be listed. */
int handover(struct arena *a, const struct handover_opts *o, struct handover_item **ret,
             struct err *e);
/* What is held in this cluster: titles, in a. Negative when a kind cannot be listed. */
int handover_held(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                  const char *const *ns_include, const char *const *ns_exclude,
                  struct handover_item **ret, struct err *e);
const char *handover_state_name(enum handover_state s);
