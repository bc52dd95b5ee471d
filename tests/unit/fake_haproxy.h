/* A HAProxy that follows a script: a runtime socket with one map and two back ends, and faults for
 * chosen commands. The socket is served by a thread of its own; a test touches the fields in
 * WITH_FAKE(f). */
#pragma once

#include <pthread.h>

#include "base/str.h"

enum fake_fault {
    FAKE_ANSWER,  /* `text` in place of the answer, nothing is done */
    FAKE_IGNORE,  /* the answer of success, nothing is done */
    FAKE_CUT,     /* done, but the answer is cut off */
    FAKE_HANG,    /* done, but no answer */
    FAKE_CLOSE,   /* not done, closed at once */
    FAKE_DRIBBLE, /* done, and answered a few bytes at a time */
};

struct fake_entry {
    char key[64];
    char value[32];
};

enum { FAKE_ENTRIES = 8 };

struct fake {
    char map[256]; /* the name in "show map" */
    struct fake_entry entry[FAKE_ENTRIES];
    size_t entries;
    const char *status_a, *status_b; /* of the one server each */
    unsigned sessions_a, sessions_b;
    bool draining;       /* sessions go down by one with each look */
    struct strvec lines; /* every command */
    /* Called once, before the next command that begins as the fault's; the lock is held. */
    void (*hook)(struct fake *f);
    /* private */
    const char *fault_command, *fault_text;
    enum fake_fault fault;
    int fd, stop[2];
    pthread_t thread;
    pthread_mutex_t lock;
};

/* Listens at path and serves. `live_b`, `prelive_b` are what its map holds; -1: no such key. */
void fake_start(struct fake *f, const char *path, const char *map, int live_b, int prelive_b);
void fake_stop(struct fake *f);
/* From now on for every command that begins so. `text` is for FAKE_ANSWER and outlives the fake. */
void fake_fail(struct fake *f, const char *command, enum fake_fault fault, const char *text);
bool fake_lock(struct fake *f);   /* true */
bool fake_unlock(struct fake *f); /* false */
#define WITH_FAKE(f) for (bool held_ = fake_lock(f); held_; held_ = fake_unlock(f))
/* The value of a key, or NULL. */
const char *fake_value(struct fake *f, const char *key);
unsigned fake_count(struct fake *f, const char *command);
