/* Who waits for whom while a plan is carried out.
 *
 * An object of a wave that waits (order.h) is sent once everything of earlier waves that stands in
 * its own namespace or in none is answered: all that it can name stands there. One that is
 * cluster-scoped waits for everything earlier. So waves of different namespaces overlap, and a
 * reference that no table knows of (of a custom resource) is kept too.
 *
 * What may refuse others (order_limits) is held back for as long as what has failed before it, in
 * its namespace or, for what is cluster-scoped, anywhere, is tried again: it ran in the source
 * without being asked.
 *
 * Not locked: everything is called under the caller's one mutex. */
#pragma once

#include "migrate/world.h"

struct waits;

struct waits *waits_new(const struct world *w);
void waits_free(struct waits *ws); /* NULL is fine */
/* Lane 1 runs beside the others, so that what is still to come of it counts before it is handed
 * over: expected when a round begins, answered or given up once. */
void waits_expect(struct waits *ws, const struct object *o);
/* o goes to a writer. Waves must come in ascending order, but for lane 1. */
void waits_handed(struct waits *ws, const struct object *o);
/* It was answered, or (lane 1 only) it will not be sent. */
void waits_answered(struct waits *ws, const struct object *o);
/* May o be sent? Stays true until something else is handed over. */
bool waits_clear(const struct waits *ws, const struct object *o);

/* It has failed in this round. */
void waits_failed(struct waits *ws, const struct object *o);
/* A new round: what has failed in the one before is tried again. */
void waits_forget_failures(struct waits *ws);
/* Is o to be held back? */
bool waits_held_back(const struct waits *ws, const struct object *o);
