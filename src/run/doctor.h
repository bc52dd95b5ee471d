/* Everything that is checked before an upgrade: rights, versions, hazards, load balancers. Reads
 * only. */
#pragma once

#include "migrate/hazards.h"
#include "run/session.h"

struct doctor_report {
    struct findings f; /* worst first; in s->a */
    size_t count[SEV_COUNT], silenced;
};
/* Both clusters, or with `target` ("1.37") the source alone. What the credentials may not read is a
 * finding, and the rest is looked at all the same. The configuration's silences are applied. */
int doctor_examine(struct session *s, const char *target, struct doctor_report *ret, struct err *e);

/* The report as JSON (docs/HAZARDS.md), and as SARIF 2.1.0. In a. */
char *doctor_json(struct arena *a, const struct doctor_report *r, size_t *ret_n);
char *doctor_sarif(struct arena *a, const struct doctor_report *r, size_t *ret_n);
