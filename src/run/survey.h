/* What `tandem init` finds in the clusters, to write a configuration that already fits. Reads only;
 * a cluster that does not answer is left out. */
#pragma once

#include "run/session.h"

enum { SURVEY_MAX = 8 };

struct survey {
    const char *hosts[SURVEY_MAX]; /* of Ingresses in a */
    size_t n_hosts;
    const char *missing_classes[SURVEY_MAX]; /* StorageClasses of a that b does not have */
    size_t n_missing;
    const char *default_class_b; /* or NULL */
};

void survey_read(struct session *s, struct survey *ret); /* strings in s->a */
