/* The configured checks against the destination through the pre-live side: live host name and SNI,
 * TCP to the pre-live address. An answer that does not name itself as the destination's fails: it
 * would prove the wrong cluster. */
#pragma once

#include "run/session.h"

struct smoke_result {
    const char *name;
    bool ok;
    const char *note; /* why not, or what was seen */
    uint64_t time_ms;
};

/* Runs all; *ret in s->a, *n of them. Returns the number that failed, or negative. */
int smoke_run(struct session *s, struct smoke_result **ret, size_t *n, struct err *e);
