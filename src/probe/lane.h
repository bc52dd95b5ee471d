/* A lane: one thread that sends its share of the requests at the moments they are due, over new or
 * over kept connections, and gives each its fate. */
#pragma once

#include <stdatomic.h>

#include "probe/conn.h"

struct conn_list {
    struct conn *first, *last;
    size_t n;
};

/* A request of the reused lane for which there is no connection yet. */
struct waiting {
    struct waiting *next;
    uint64_t n, due, sent;
};

struct lane {
    /* Set before the thread starts. */
    const char *name;
    unsigned index, of; /* this lane's number, and how many there are */
    bool reused;
    const struct probe_config *cfg;
    struct target *target;
    struct stats *stats;
    uint64_t start; /* clock_now_ns() of request 0 */
    uint64_t quota; /* of requests; 0: none */
    size_t max_in_flight;
    int wake; /* eventfd */
    atomic_bool stop, finished;
    pthread_t thread;
    /* The thread's own. */
    int epoll, timer;
    uint64_t next;  /* number of the next request of this lane */
    uint64_t armed; /* what the timer is set to */
    unsigned turn;  /* of the addresses */
    size_t request_max;
    struct conn_list busy, idle, linger;
    size_t opening; /* of the busy ones: those that are not open yet */
    struct waiting *first_waiting, **end_waiting;
    size_t n_waiting;
    uint64_t cpu_second;
    char *scratch;
    struct sb request;
};

enum {
    LANE_CONNECTIONS = 20,
    LANE_USERS = 1000,
    LANE_TIMEOUT_MS = 5000,
    LANE_LATE_MS = 1000, /* a request that is sent later than this says nothing about the target */
    LANE_LINGER_MS = 1000,
};

/* The thread. Waits for what is under way before it returns. */
void *lane_run(void *lane);
