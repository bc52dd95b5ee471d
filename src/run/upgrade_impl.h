/* The process that walks the stages, for the files upgrade*.c only. */
#pragma once

#include <pthread.h>

#include "run/gate.h"
#include "run/holder.h"
#include "run/upgrade.h"

enum asked { ASKED_NOTHING, ASKED_ABORT, ASKED_TRAFFIC_BACK };

struct upgrade {
    struct session *s;
    const struct upgrade_opts *o;
    int stage, until, from;
    int heading; /* the stage that it is on its way to, or was last */
    struct holder *h;
    struct following_status follow; /* the walker's copy */
    struct run_facts facts;
    struct drain *drain; /* of live sync, under way; or NULL (upgrade.c) */
    bool broken;         /* a probe has lost more than its limit */
    uint64_t next_check_ms;

    pthread_mutex_t lock; /* guards what follows: the holder's thread looks at it */
    struct following *f;  /* NULL: nothing follows */
    bool reverse;         /* it carries from the destination to the source */
    struct watchers *w;   /* NULL: no probes run */
    int doing, gate;      /* run_stage; -1 none */
    int64_t since_ms;     /* wall */
    char waiting[600];    /* for what; "" */
    int percent;          /* of the live side; -1 unknown */
    uint64_t left_ms;     /* of a hold or of the bake */
    bool poke;            /* an approval has come */
    enum asked asked;
    char asked_by[128], asked_why[400];
};

/* --- for the stages (upgrade_stage.c) --- */
/* What a stage does; the row of the stage in the table of works. */
int upgrade_work(struct upgrade *u, int to, struct err *e);
/* Looks at everything that can end a waiting: ^C and requests (-ESTOPPED), the probes (-EPROTO). */
int upgrade_pulse(struct upgrade *u, struct err *e);
/* Waits so long, pulsing; sooner when somebody pokes. */
int upgrade_wait(struct upgrade *u, uint64_t ms, struct err *e);
/* What `status` shows others; text NULL: waits for nothing. Said in the log when it changes. */
void upgrade_waits(struct upgrade *u, int gate, uint64_t left_ms, const char *text);
/* The users are on the destination now: from here on its changes are carried back, so that going
 * back loses none. What the source has taken until then is carried first. That changes cannot be
 * carried back is warned of and no failure; -ESTOPPED, -EPROTO as upgrade_pulse(). */
int upgrade_turn_sync(struct upgrade *u, struct err *e);
/* The facts as they are now. */
const struct run_facts *upgrade_facts(struct upgrade *u);
/* Live sync, in the direction that the journal records; 0 when it runs already. */
int upgrade_follow(struct upgrade *u, struct err *e);
void upgrade_unfollow(struct upgrade *u);

/* --- requests (upgrade_listen.c) --- */
int upgrade_answer(void *ctx, const struct holder_request *rq, struct sb *ret_json, struct err *e);
