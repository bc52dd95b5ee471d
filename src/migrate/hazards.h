/* What goes wrong when the same platform runs twice: a table of checks over what both clusters
 * show. Ids are stable. Numbers H1..H40 are those of docs/HAZARDS.md.
 *
 * hazards.c interprets, hazard_table.c is the table, hazard_scene.c gathers what a check needs to
 * know beside the object it looks at, the other hazard_*.c are the looks of the table's rows, by
 * theme. Every kind is read once, page by page, however many rows look at it. */
#pragma once

#include "migrate/finding.h"
#include "migrate/world.h"

/* All findings about the objects of both clusters: of the table's rows, of references that nothing
 * in the destination will satisfy, of blocked objects. A kind that may not be read is left out and
 * becomes a finding (not-read) itself. Texts in out->a, or as old as the program. */
int hazards_find(struct world *w, struct findings *out, struct err *e);
/* The same over bodies at hand, those that the world was made from. */
int hazards_offline(struct world *w, const struct world_side *src, const struct world_side *dst,
                    struct findings *out, struct err *e);
/* A alone, before there is a destination: APIs that `target` ("1.37") no longer serves. */
int hazards_target(struct kube_client *c, const struct kube_discovery *d, const char *target,
                   struct findings *out, struct err *e);

/* --- the catalogue --- */

/* One of the forty. */
struct hazard {
    int number;
    const char *title;
    const char *blind; /* what the two APIs do not show; NULL: nothing worth naming */
    const char *look;  /* what the operator should look at for it; NULL with blind */
};
const struct hazard *hazards_all(size_t *ret_n);
/* Is there an id of its number? */
bool hazard_has_check(int number);

/* Every id that a finding of doctor or plan may have. */
struct finding_id {
    const char *id;
    enum severity severity;
    const char *text; /* what it means: the remedy of a check */
};
/* In order of their rows, each id once, in a. */
const struct finding_id *finding_ids(struct arena *a, size_t *ret_n);
/* What an id stands for; the text is NULL when there is none of this name. */
struct finding_id finding_id_of(const char *id);
/* The number of the hazard that an id belongs to, 0: none. */
int finding_id_number(const char *id);
