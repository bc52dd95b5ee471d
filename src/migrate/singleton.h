/* Ordinary workloads that act on the world by themselves: known ones, by their images, and what
 * else looks like one. Nothing in the API says of a Deployment whether two of it may run. */
#pragma once

#include "migrate/object.h"

struct singleton_row {
    const char *image; /* pattern of the image's name, without registry, tag and digest */
    const char *id, *why;
    const char *source;
};
const struct singleton_row *singleton_rows(size_t *ret_n);
/* The row, counted from 1, that knows one of the containers of this body; 0: none. */
uint8_t singleton_of(const char *group, const char *kind, yyjson_val *body);

/* Hints that a workload nobody has classified acts by itself. */
enum hint {
    HINT_NO_SERVICE = 1 << 0,
    HINT_LEASE = 1 << 1,
    HINT_RECREATE = 1 << 2,
    HINT_LEADER = 1 << 3,
    HINT_SCHEDULE = 1 << 4,
    HINT_WAKES = 1 << 5,   /* of a ScaledObject; the other hints are its target's then */
    HINT_ASKABLE = 1 << 7, /* no hint: it has a trait */
};
struct hint_row {
    enum hint hint;
    const char *what; /* the evidence, for people */
    const char *why;
};
const struct hint_row *hint_rows(size_t *ret_n);

/* What is kept of a body for finding hints that need other objects. */
struct trait {
    struct trait *next;
    struct object *o;
    uint8_t hints; /* those that the body alone gives */
    bool pods;     /* has a pod template: a Service may select it */
    bool idle;     /* its owner has stopped it: asked about is only who may start it */
    uint8_t n;
    uint64_t label[]; /* hashes of the template's labels */
};
/* NULL when the body is of no kind that is asked about, or does not act at all and nobody but its
 * owner could start it. In a. */
struct trait *trait_read(struct arena *a, struct object *o, yyjson_val *body);

/* A Service's selector, as hashes. */
struct selector {
    struct selector *next;
    const char *ns;         /* for whoever collects them */
    const struct object *o; /* the Service */
    uint8_t n;
    uint64_t label[];
};
/* NULL when it selects nothing. In a. */
struct selector *selector_read(struct arena *a, yyjson_val *service);
bool trait_selected(const struct selector *s, const struct trait *t);
