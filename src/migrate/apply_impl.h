/* Inside of the carrying out: rounds, writers and journal (apply.c), reading and handing over
 * (feed.c), who waits for whom (waits.c), one write (write.c), what stands behind a webhook
 * (backend.c). */
#pragma once

#include <pthread.h>

#include "base/queue.h"
#include "migrate/apply.h"
#include "migrate/managers.h"
#include "migrate/waits.h"

/* One object on its way; owns its arena. Moves feeder -> writer -> recorder. */
struct item {
    struct arena *a;
    struct object *o;
    char *path, *query;
    char *body;
    size_t body_len;
    const char *previous;
    struct journal *journal; /* borrowed; NULL: nothing is noted */
    const char *run;         /* borrowed */
    const char *noted;       /* previous.h: what was noted for an attempt that may have worked */
    struct journal_effect effect;
    struct managers managers;
    const struct kube_discovery *served; /* by the destination */
    /* Written, but under our name: the owners of its fields are to be restored in what was answered
     * (which lives during one attempt). */
    bool left_open;
    yyjson_val *answer;
    yyjson_val *live; /* as it was seen a moment ago, for the first attempt of an update; or NULL */
    char uid[64], rv[32];
    struct err err;
    bool ok;
    bool written;       /* what is there was written by us, whatever came after it */
    bool lost;          /* an answer was lost, or told nothing: it may be there */
    const char *theirs; /* ok, but not made by us: by whom */
    unsigned requests;
    uint64_t sent_ns, answered_ns;
};

/* Makes the item of o from its body as the source shows it. */
int write_prepare(struct world *w, struct object *o, yyjson_val *body, struct item **ret,
                  struct err *e);
void item_free(struct item *it);
/* The merge patch that an update of o would send, for a dry run: made from its body as the source
 * shows it and from what the destination has (live), without owners; in a. NULL: err says why. */
char *write_trial(struct world *w, struct object *o, yyjson_val *body, yyjson_val *live,
                  struct arena *a, size_t *ret_len, struct err *e);
/* What the journal is told of it, from what write_item() and backend_prove() found. */
void item_outcome(struct item *it);
/* Does a rule of this webhook name the object's kind and the operation? (backend.c) */
bool hook_wants(yyjson_val *hook, const struct object *o, const char *operation);
/* Sends it and settles what came of it: it->ok, uid, rv or err. */
void write_item(struct world *w, struct item *it, struct http_cancel *cancel);

enum { LANES = 2 };

/* What is written in one round, in order of lane, wave and kind. */
struct agenda {
    struct object **v;
    size_t n;
};

struct job {
    const struct apply_opts *o;
    struct world *w;
    struct queue *todo[LANES], *done;
    pthread_mutex_t lock;
    pthread_cond_t idle;   /* something was answered, or the run stopped */
    size_t pending[LANES]; /* handed to writers, not answered */
    struct waits *waits;
    bool hold_back; /* what may refuse others, while some are tried again; the main thread's */
    struct agenda agenda;
    size_t *of_kind; /* objects of each kind in the world */
    struct apply_result res;
    struct err fatal; /* of the journal or of the source */
    bool stop;
    uint64_t backends_ms[2];   /* waited for the back ends of definitions, of admission; lane 0's */
    const char *wave;          /* shown as progress */
    struct http_cancel cancel; /* of the writers: the user's, or a destination that is silent */
    uint64_t heard_ms;         /* when the destination last answered, or was last idle */
    atomic_bool over;
};

size_t job_batch(const struct job *j);
bool job_stopped(struct job *j);
/* Ends the run: what concerns all objects failed. The first one stays. */
void job_fail(struct job *j, const struct err *e);

/* Hands over everything of the agenda that belongs to this lane and whose wave is in
 * after < wave <= upto, and waits for nothing but what the order asks for. */
int feed_waves(struct job *j, int lane, int after, int upto, struct err *e);
/* Until everything handed over so far, in any lane, is answered. */
void feed_wait_idle(struct job *j);

/* Waits until what answers for a webhook, an API or a conversion that `body` configures can do so
 * in the destination: a Service with a ready endpoint. 0 at once when body names no Service;
 * -EHOSTUNREACH, with a sentence for the operator, when it is not so at `until` (monotonic ms). */
int backend_wait(struct world *w, const struct object *o, yyjson_val *body, uint64_t until,
                 struct http_cancel *c, struct err *e);
/* After a webhook configuration was created, or its webhooks were changed: dry runs of requests
 * that it wants to see, in up to six namespaces. When the API server cannot call it, it is deleted
 * again, or what was changed is put back (guarded by uid), and the item has failed. A webhook whose
 * sideEffects forbid dry runs, or that guards nothing the destination has, cannot be tried and
 * stays. When the run is stopped meanwhile nobody knows, and nothing is taken back: the item was
 * stopped, its effect is unknown, and the next run tries it (WORLD_UNPROVEN). Other items are left
 * alone. */
void backend_prove(struct world *w, struct item *it, struct http_cancel *c);
