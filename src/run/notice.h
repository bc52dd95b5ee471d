/* Telling others of the run: hooks of tandem.yaml (commands and webhooks), Events and a ConfigMap
 * in the clusters, and the record's mirror, by which another machine can take the run over.
 * docs/NOTICES.md is for those who receive it. One thread. */
#pragma once

#include "run/session.h"

enum notice_when {
    NOTICE_BEFORE,
    NOTICE_AFTER,
    NOTICE_FAILED,
    NOTICE_LEFT, /* failed, and a person has to decide: nothing is taken back (traffic.onAbort) */
    NOTICE_TERMINAL,
};

/* Runs the hooks of this moment and tells the clusters; records each hook in the journal. stage: a
 * word of the run's stages. reason, evidence (JSON text): or NULL. -EGUARD when a hook whose policy
 * is `fail` refuses a NOTICE_BEFORE (the hooks behind it are not asked); everything else is only
 * warned about. At NOTICE_TERMINAL, when no run is open any more, what tandem kept in the clusters
 * goes, and the history is signed if the file says so. The clusters take two seconds at most,
 * whatever state they are in; the hooks what tandem.yaml gives them. At NOTICE_LEFT clusters that
 * are not open yet are opened for it, after the hooks; the failure that follows from it is not told
 * of again. Nothing happens under --read-only. */
int notice(struct session *s, enum notice_when when, const char *stage, const char *reason,
           const char *evidence, struct err *e);

/* A command that is a stage by itself: record_no_other(), session_hold() of these slots and the
 * gate of that stage, so that who may not write does not tell either; then before, fn, after or
 * failed, and the mirror. Whatever fn returns is returned; a refusal is -EGUARD or -EGATE, and fn
 * is not called. `tandem upgrade`, which does all that itself, must not be within it. */
int run_announce(struct session *s, const char *stage, unsigned holds,
                 int (*fn)(struct session *s, void *ctx, struct err *e), void *ctx, struct err *e);

/* Removes what notice() and record_mirror() keep in the clusters; the source's namespace too if it
 * was tandem's (the destination's goes by keep_sweep(), which the caller is about to call). For the
 * end of a run; what goes wrong is only told. */
void notice_sweep(struct session *s);

/* Mirrors the run's state and history into the destination (never Secret values); what goes wrong
 * is only told. Nothing happens when no run is open. */
void record_mirror(struct session *s);
/* A record in the clusters that is not of this journal. */
struct record_other {
    bool there;
    bool taken;   /* of a run that this journal has: it was taken over and goes on elsewhere */
    char cluster; /* in which it was found */
    char run[24], at[40], actor[128]; /* whose, written when and by whom */
};
/* 1 and *ret: there is one, 0: none, negative: that cannot be read. Without a journal every record
 * is another's. */
int record_other(struct session *s, struct record_other *ret, struct err *e);
/* Before anything is written: -EGUARD where there is one, with whose it is and what to do. What
 * cannot be read says nothing. */
int record_no_other(struct session *s, struct err *e);
/* Makes the journal of this machine from the mirror of a run that another machine began: for
 * `resume --take-over`. The session's run and direction are then the run's. -EEXIST when this
 * journal knows of a run already; -ENOENT when there is no record; -EBADMSG when none is whole;
 * -EGUARD when it is of other clusters. */
int record_take_over(struct session *s, struct err *e);
