/* How a world is shown to people: counts, groups, differences. */
#pragma once

#include "cli/cli.h"
#include "migrate/dryrun.h"
#include "migrate/plan.h"
#include "run/back.h"

/* "41 create, 5 hold, 2 same, 120 skip, 0 block" */
void show_counts(struct sb *b, const struct plan_counts *c);
enum show_what {
    SHOW_DIFF = 1,    /* the fields that differ */
    SHOW_CREATES = 2, /* what is to be created, object by object, although it is the usual case */
};
/* Counts by namespace, then the objects that want to be read, by namespace and verdict; many alike
 * in one line. wide: every object; name: "VERDICT REF" of every object and nothing else. */
void show_plan(const struct world *w, enum output o, unsigned what);
/* What was tried, and what stays in doubt; dst: the destination's slot. */
void show_dryrun(const struct dryrun *d, char dst);
/* Problems that no object carries, to stderr. */
void show_warnings(const struct world *w);
/* What a run wrote and the source no longer has; returns how many. */
size_t show_left_over(const struct world *w);
/* Objects with this outcome or verdict in a table with what to do: used at the end of migrate. */
void show_failures(const struct world *w);
/* Every rule about fields; kind: only those that concern it, NULL: all. */
int show_policy(enum output o, const char *kind, struct err *e);
/* What a probe namespace has taken out of the plan. */
void show_generated(const struct session *s, const struct world *w);
/* Workloads that nobody has classified, with the evidence, to f; nothing when there are none. */
void show_undecided(FILE *f, const struct world *w);
/* What did not stay as it was written, each with what became of it. */
enum { FATES_SHOWN = 20 };
void show_fates(const struct world *w);
/* A line for each singleton: what became of it. */
void show_handover(const struct handover_item *i);
/* What the way back has done: when the traffic was moved, how long that took, and the singletons.
 */
void show_back(const struct session *s, const struct back_result *r);
