/* Everything that is checked before an upgrade: rights, versions, hazards, load balancers. Reads
 * only. */
#pragma once

#include "migrate/hazards.h"
#include "run/session.h"

/* Both clusters, or with `target` ("1.37") the source alone. Findings in s->a, worst first. */
int doctor_examine(struct session *s, const char *target, struct finding **ret, struct err *e);
