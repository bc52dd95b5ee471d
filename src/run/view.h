/* What `tandem status` shows: the run's stages, gates and steps from the journal, the traffic and
 * the clusters as observed, and what the process that walks the stages says of itself. Reads only.
 * One thread; what is read lives in s->a. */
#pragma once

#include "run/adopt.h"
#include "run/back.h"
#include "run/gate.h"
#include "run/notice.h"
#include "run/stages.h"

/* What takes requests to the clusters, and is looked at less often when it is shown again and
 * again. */
struct view_deep {
    bool looked;
    struct way_back back;
    struct losses losses;
    struct record_other other; /* a run of another machine, by its record in the clusters */
};

enum view_holder { HOLDER_NONE, HOLDER_THERE, HOLDER_SILENT };

struct view_tier {
    const char *name, *problem; /* problem NULL: observed */
    struct traffic_state st;
};

struct view {
    struct session *s;
    int stage;
    struct journal_move *moves;
    struct journal_step *steps;
    struct journal_approval *approvals;
    size_t n_moves, n_steps, n_approvals;
    const struct journal_move *under_way; /* NULL: none */
    struct gate gate[RUN_STAGES];         /* of the stages ahead */
    enum view_holder holder;
    const char *holder_problem;
    yyjson_val *live; /* the holder's answer (run.h), or NULL */
    struct view_tier *tiers;
    struct live_view share; /* differs: false also where it cannot be told */
    struct view_deep deep;
};

/* deep: known already, or NULL: looked at now if the session has the clusters. */
int view_read(struct session *s, const struct view_deep *deep, struct view *ret, struct err *e);
/* Everything, in s->a. */
char *view_json(const struct view *v, size_t *ret_n);
/* For people: a tree of the stages with what belongs to each, then traffic, live sync, probes, the
 * way back. */
void view_text(const struct view *v, bool colour, struct sb *ret);
/* The same in one line, for logs: what changes while it is watched. */
void view_line(const struct view *v, struct sb *ret);
