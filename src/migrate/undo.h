/* One object on its way back: between the orchestration (unmigrate.c) and looking at it
 * (undo_look.c), acting on it (undo_act.c), and what else would go with it (undo_rest.c). */
#pragma once

#include "base/map.h"
#include "migrate/object.h"
#include "migrate/unmigrate.h"

/* ACT_REMAKE: a Secret that is gone, from its copy. */
enum undo_act { ACT_NONE, ACT_DELETE, ACT_RESTORE, ACT_REMAKE };

/* Small: there may be 100,000. */
struct piece {
    const struct kube_resource *r;
    const char *ref, *ns, *name;
    int wave;
    uint32_t seq; /* in the order of writing */
    bool pending; /* told to go, not gone */
    bool linked;  /* was there before the run, which gave it owners: their end would be its end */
    bool bound;   /* and has them still */
    uint8_t act;  /* enum undo_act */
    uint8_t taken;
    const char *note;
};

struct undo {
    const struct unmigrate_opts *o;
    const char *slot; /* "a", "b" */
    struct piece *v;  /* in the order of taking back */
    size_t n, cap;
    struct map *by_ref;
    bool volumes_only; /* collect nothing else */
    struct arena *a;
};

/* What is found out about one object, in the arena of the batch. */
struct look {
    struct piece *p;
    struct arena *a; /* the thread's */
    yyjson_val *live;
    const char *uid, *rv;
    yyjson_mut_val *restore; /* merge patch, for ACT_RESTORE; whole body, for ACT_REMAKE */
    bool bound;              /* piece.bound, as far as is known */
    struct journal_effect effect;
    struct err err;
};

/* Fills l: p->act says what is to be done, or p->taken and p->note why nothing. Negative: the
 * journal or the cluster could not be read. */
int undo_look(struct undo *u, struct look *l, struct err *e);
/* piece.linked, from the journal alone. */
int undo_links(struct undo *u, const struct piece *p, bool *ret, struct err *e);
/* Carries it out; p->taken, p->note and l->effect say what came of it. */
void undo_act(struct undo *u, struct look *l);
/* Does a patch that restores an object say whose it is? */
bool undo_gives_owners(yyjson_mut_val *restore);
bool undo_brings_back(const struct piece *p); /* it stays or comes back, as it was */
/* For a Namespace or a CustomResourceDefinition: what is in it that nobody would make again, as a
 * sentence in a; NULL: nothing. */
int undo_rest(struct undo *u, struct arena *a, const struct piece *p, const char **ret,
              struct err *e);
/* What the cluster puts into every namespace, what an owner that goes would leave to the garbage
 * collector, and what control loops made. */
bool undo_clusters_own(struct arena *a, const struct kube_resource *r, yyjson_val *item);
char *undo_path(struct arena *a, const struct piece *p);
bool undo_is(const struct piece *p, const char *group, const char *kind);
