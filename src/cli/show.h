/* How a world is shown to people: counts, groups, differences. */
#pragma once

#include "cli/cli.h"
#include "migrate/plan.h"

/* "41 create, 5 hold, 2 same, 120 skip, 0 block" */
void show_counts(struct sb *b, const struct plan_counts *c);
/* Objects grouped by namespace; wide adds skips with their reasons, diff the changed fields. */
void show_plan(const struct world *w, enum output o, bool diff);
/* Problems that no object carries, to stderr. */
void show_warnings(const struct world *w);
/* What a run wrote and the source no longer has; returns how many. */
size_t show_left_over(const struct world *w);
/* Objects with this outcome or verdict in a table with what to do: used at the end of migrate. */
void show_failures(const struct world *w);
