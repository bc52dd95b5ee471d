/* Asks the destination's API server whether it would take an object, without storing it: strict
 * dry runs, for what the schemas leave in doubt or for everything. They are writes on the wire. */
#pragma once

#include "base/str.h"
#include "migrate/world.h"

enum dryrun_mode {
    DRYRUN_NONE,  /* only counts what is in doubt */
    DRYRUN_DOUBT, /* one for each kind and set of doubtful field paths; the next object of the same
                     shape too when one was refused, up to a bound */
    DRYRUN_ALL,   /* one for each object that is to be created, held or updated */
};

struct dryrun {
    enum dryrun_mode mode;
    size_t doubtful; /* objects in doubt at the beginning */
    size_t left;     /* and at the end */
    size_t sent, passed, refused;
    size_t untold;          /* sent, but the answer says nothing about the object */
    const char *untold_why; /* of the first of them, in the world, or NULL */
    size_t unserved;        /* not sent: its definition is not there yet */
    size_t hooked;       /* objects not sent: a webhook with side effects would have been called */
    struct strvec hooks; /* their names */
};
void dryrun_done(struct dryrun *d);

/* What is to be created is tried by a POST, what is to be updated by the PATCH that would do it. A
 * refused object is blocked (rule dry-run-refused, with the server's message; of a Secret without
 * it); doubts of what passed are dropped. A namespace that the destination does not have yet is
 * stood in for by `default`: what its quotas and policies say is then no answer. */
int dryrun_world(struct world *w, enum dryrun_mode mode, struct dryrun *ret, struct err *e);
/* Has calling this webhook an effect even in a dry run? */
bool dryrun_hook_acts(yyjson_val *hook);
/* none, doubt, all; -EUSAGE. */
const char *dryrun_mode_name(enum dryrun_mode mode);
int dryrun_mode_of(const char *word, enum dryrun_mode *ret, struct err *e);
