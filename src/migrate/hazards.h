/* What goes wrong when the same platform runs twice: a table of checks over a world that was read.
 * Ids are stable. Numbers H1..H40 are those of docs/HAZARDS.md. */
#pragma once

#include "migrate/world.h"

enum severity { SEV_INFO, SEV_WARNING, SEV_BLOCKER };
const char *severity_name(enum severity s);

struct finding {
    const char *id; /* "H1-cronjob" */
    enum severity severity;
    const char *where; /* "CronJob shop/report", or "A" */
    const char *what, *remedy;
    struct finding *next;
};

struct hazard_row {
    const char *id;
    enum severity severity;
    const char *group, *kind; /* of the objects it looks at */
    /* Evidence in the body (as the source shows it), or NULL. In a. */
    const char *(*look)(struct arena *a, struct world *w, const struct object *o, yyjson_val *body);
    const char *remedy;
};
const struct hazard_row *hazard_rows(size_t *ret_n);

/* All findings: of the table, of the references that nothing in the destination will satisfy, of
 * blocked objects. Reads the bodies of the kinds that the table names again. */
int hazards_find(struct world *w, struct arena *a, struct finding **ret, struct err *e);
/* Those of one body as the source shows it, of the table and of its references, in a. */
struct finding *hazards_of(struct world *w, struct arena *a, const struct object *o,
                           yyjson_val *body);
/* A alone, before there is a destination: APIs that `target` ("1.37") no longer serves. */
int hazards_target(struct arena *a, struct kube_client *c, const struct kube_discovery *d,
                   const char *target, struct finding **ret, struct err *e);
