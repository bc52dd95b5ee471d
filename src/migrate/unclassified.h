/* Workloads that look as if they act by themselves, and of which nobody has said whether two may. A
 * person decides, before anything is written: by a rule, by the annotation tandem.dev/hold, or for
 * all of them at once. */
#pragma once

#include "migrate/world.h"

enum unclassified { UNCLASSIFIED_ASK, UNCLASSIFIED_HOLD, UNCLASSIFIED_RUN };
/* "hold" or "run"; NULL: ask. -EUSAGE on another word. */
int unclassified_mode(const char *word, enum unclassified *ret, struct err *e);

/* Marks (object.undecided) what is to be created, has a hint, and no verdict by anybody. Reads the
 * source's Leases where there is something to ask about. */
void unclassified_mark(struct world *w);
/* The same for one object, without the Leases. */
void unclassified_mark_one(struct world *w, struct object *o);
/* The evidence: "no Service selects its pods; it elects a leader". In a. */
const char *unclassified_hints(struct arena *a, const struct object *o);
size_t unclassified_count(const struct world *w);
/* Decides for all that are marked, and holds what would start what is held now. */
void unclassified_decide(struct world *w, enum unclassified how);
/* The same for one object. */
void unclassified_decide_one(struct object *o, enum unclassified how);
