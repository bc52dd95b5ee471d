/* A Lease (coordination.k8s.io/v1): who writes to a cluster, one at a time, over all machines.
 *
 * As client-go's tools/leaderelection does it: created, or changed with the resourceVersion that
 * was read; renewed every five seconds by a thread; the clock of whoever holds it is not believed.
 * A Lease of another is stale when it was seen unchanged for its whole duration on the clock of
 * this machine, and live as soon as it changes. leaseTransitions is the epoch: each holder's is
 * higher than that of the one before. Three things are more than client-go does: writes are fenced
 * (it says of itself that it "does not guarantee that only one client is acting as a leader"); a
 * holder that has ended on this very machine is known to have (base/alive.h), and nobody waits for
 * it; and a live one can be taken over by force.
 *
 * Taken, ended and lost by one thread; the thread inside ends with it. */
#pragma once

#include "kube/client.h"

struct lease;

struct lease_opts {
    const char *namespace, *name;
    const char *identity; /* of this holder and of no other: user@host:pid:random */
    bool by_force;        /* take over also from one that lives; then wait until it cannot write */
    struct http_cancel *cancel; /* of taking it; or NULL */
    /* Told once before a wait of seconds. May be NULL. */
    void (*waiting)(const char *cluster, const char *holder, uint32_t ms);
    /* For tests; 0: 15 s, 10 s, 5 s. How long it is held without renewal (whole seconds), how long
     * after the last good renewal began writes go on, how often it is renewed. */
    uint32_t duration_ms, write_ms, renew_ms;
};

/* How it came to us. */
struct lease_taken {
    int64_t epoch;
    bool over;      /* from one that had not given it back */
    char from[256]; /* who that was, and why it could be taken */
};

/* Takes it and fences the client's writes with it. -EBUSY: another holds it, with who and since
 * when; -ENOENT: the namespace is not there; -ESTOPPED; else as kube_do: no Lease then, and no
 * fence. Takes as long as the duration where another has not given it back. */
int lease_take(struct kube_client *c, const struct lease_opts *o, struct lease **ret,
               struct lease_taken *how, struct err *e);
/* Two that one process holds: when one is lost, nothing is written behind the other either. Until
 * one of them ends, at which no other thread may write any more. */
void lease_pair(struct lease *a, struct lease *b);
/* Was it taken away? */
bool lease_lost(const struct lease *l);
/* It has run out, while this process was stopped perhaps, and a renewal has not been tried since.
 */
bool lease_in_doubt(struct lease *l);
/* Is it ours, beyond doubt? 0, or -EGUARD: it was taken away, and by whom; or it has run out (the
 * process was stopped, the server does not answer) and was not renewed within patience_ms;
 * -ESTOPPED. patience_ms 0: only what is known by now counts, and nothing is waited for. */
int lease_check(struct lease *l, uint64_t patience_ms, const struct http_cancel *cancel,
                struct err *e);
/* Ends the renewal and the fence and frees l (NULL is fine). Gives it back, so that the next one
 * need not wait; remove: deletes it instead. Not when it was lost. What goes wrong is left alone:
 * the Lease runs out by itself. */
void lease_end(struct lease *l, bool remove);
/* Deletes one that nobody holds; 0 when there is none or somebody has it. */
int lease_sweep(struct kube_client *c, const char *namespace, const char *name, struct err *e);
