/* What KEDA scales. A ScaledObject undoes a hold of its target: KEDA scales from 0 whenever a
 * trigger says so. So it is held with its target, and where the target stands idle, the question
 * whether it may act in both clusters is one about the ScaledObject. */
#pragma once

#include "migrate/world.h"

struct scaler {
    struct scaler *next;
    struct object *o;                /* the ScaledObject */
    const char *group, *kind, *name; /* of its target, in the same namespace */
    bool wakes; /* a trigger may be active while no pod runs; by cpu and memory none can */
};
/* NULL when o is of another kind. In a. */
struct scaler *scaler_read(struct arena *a, struct object *o, yyjson_val *body);
/* The target's record, or NULL. */
struct object *scaler_target(const struct world *w, const struct scaler *s);
/* Holds each whose target is held; again after verdicts have changed. One of which somebody has
 * said that it may act is only told (world_warnings()). */
void scalers_follow(struct world *w);
/* The same for o alone, where it is one. */
void scaler_follow_one(struct world *w, const struct object *o);
