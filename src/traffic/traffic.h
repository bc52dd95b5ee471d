/* Moving traffic: what every driver of a load balancer can do, and the table of drivers.
 *
 * A tier is one load balancer pair that switches as a whole. A share is the percentage (0-100) of
 * the live side that goes to cluster b. Every change is: declare durably, apply, read back; the
 * result is what was read back, never what was asked. Calls block; one thread per tier. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum { TRAFFIC_NODES_MAX = 16 };

/* One tier as tandem.yaml describes it (design.md section 4). Strings outlive the tier. */
struct traffic_config {
    const char *name;            /* "frontend" */
    const char *driver;          /* "haproxy" */
    const char *const *sockets;  /* paths or tcp://host:port, NULL-terminated */
    const char *map;             /* path of the map file */
    const char *live_a, *live_b; /* names of the back ends of a and of b */
    uint32_t timeout_ms;         /* per socket command; 0: 2,000 */
    bool read_only;              /* every set_* is refused with -EGUARD */
};

/* One load balancer process behind the tier, as observed. */
struct traffic_node {
    const char *name; /* the socket's address */
    bool reachable;
    char problem[256]; /* why not reachable, or what is wrong with it, or "" */
    int live_b;        /* percent to b; -1 unknown */
    int prelive_b;     /* 0: pre-live leads to a, 100: to b; -1 unknown */
    int file_live_b;   /* what the map file says (what a reload would bring back); -1 unknown */
    int file_prelive_b;
    unsigned healthy_a, healthy_b; /* servers UP in each back end */
    unsigned servers_a, servers_b;
    bool lacks_a, lacks_b;           /* reachable, and has no such back end (see problem) */
    uint64_t sessions_a, sessions_b; /* current sessions (scur) */
    bool drift;                      /* file and runtime differ */
};

struct traffic_state {
    size_t n;
    struct traffic_node node[TRAFFIC_NODES_MAX];
    int live_b; /* agreed by all reachable nodes, else -1 */
    int prelive_b;
    bool drift; /* nodes differ from each other, or runtime from file */
};

struct traffic_tier;

struct traffic_driver {
    const char *name;
    const char *why; /* one line for docs and messages */
    int (*open)(const struct traffic_config *cfg, void **ret, struct err *e);
    void (*close)(void *impl);
    int (*observe)(void *impl, struct traffic_state *ret, struct err *e);
    int (*set_live)(void *impl, int percent_b, struct err *e);
    int (*set_prelive)(void *impl, int percent_b, struct err *e);
    /* As set_live, but goes on when the durable place cannot be written (a full disk must not stand
     * in the way back); still fails then, after the change. NULL: set_live. */
    int (*force_live)(void *impl, int percent_b, struct err *e);
    /* traffic_claim() and traffic_claimed(). NULL: changes of others are not noticed. */
    int (*claim)(void *impl, bool force, struct err *e);
    int (*claimed)(void *impl, struct err *e);
};

/* The table of all drivers, ended by NULL. */
extern const struct traffic_driver *const traffic_drivers[];

/* Checks cfg and makes the tier; touches neither sockets nor files. */
int traffic_open(const struct traffic_config *cfg, struct traffic_tier **ret, struct err *e);
void traffic_close(struct traffic_tier *t);
const char *traffic_name(const struct traffic_tier *t);

/* Takes the tier over: from now on this handle is the one that moves its traffic, and whoever
 * claimed it before is refused with -EGUARD at its next change, however long it was stopped
 * meanwhile. A handle that never claimed is not checked. force, for the way back: what cannot be
 * reached or written is left out, and the change itself tells. */
int traffic_claim(struct traffic_tier *t, bool force, struct err *e);
/* -EGUARD when somebody else has claimed it since; what cannot be asked just now counts as ours. */
int traffic_claimed(struct traffic_tier *t, struct err *e);

/* What is, on every node. 0 also when some nodes are unreachable (see node[]); negative when none
 * is. */
int traffic_observe(struct traffic_tier *t, struct traffic_state *ret, struct err *e);
/* Moves the live side. The durable place (map file) first, then the running process, then reads
 * back and compares. A node that cannot be reached: -EHOSTUNREACH after the others were set
 * (towards = whichever), the message names it. Refused with -EGUARD when the cluster that is to get
 * traffic has no healthy server on a reachable node (not when force). With force nothing is asked
 * first: with no node reachable at all the map file is still written, for the next start. */
int traffic_set_live(struct traffic_tier *t, int percent_b, bool force, struct err *e);
/* Where pre-live leads: 'a' or 'b'. */
int traffic_set_prelive(struct traffic_tier *t, char cluster, struct err *e);
/* Waits until the back end of `cluster` has no current session or the time is over; returns the
 * sessions left (>= 0) or negative. -EHOSTUNREACH when the sessions of some node cannot be known.
 */
int traffic_drain(struct traffic_tier *t, char cluster, uint32_t timeout_ms, struct err *e);
