/* Inside of a schema_diff: schema.c makes it, schema_walk.c leads objects along it. */
#pragma once

#include "migrate/schema.h"

enum field_side {
    SCHEMA_BOTH,
    SCHEMA_GONE, /* the source's only: the destination drops it */
    SCHEMA_NEW,  /* the destination's only: no object of the source can hold it */
};

struct schema_node;

struct schema_field {
    const char *name;
    enum field_side side;
    const char *def_src; /* of what is gone: canonical JSON of its default, or NULL */
    const char *def_dst; /* what the destination fills in and the source does not, or NULL */
    struct schema_node *below;
    struct schema_field *next;
};

/* One place. Only what the two schemas do not say alike. */
struct schema_node {
    struct schema_field *fields;
    struct schema_node *each;        /* elements of a list, members of a map */
    struct schema_node *made_before; /* all nodes of one diff */
    bool says;                       /* here or below is anything at all */
    bool closed;                 /* members that no field names are dropped; all are named then */
    bool general;                /* but apiVersion, kind, metadata */
    bool checks;                 /* here or below is something to look for in an object */
    bool sure;                   /* of allowed: what is no member is refused */
    const char *const *allowed;  /* canonical JSON, NULL-terminated, or NULL */
    const char *const *required; /* new ones, NULL-terminated, or NULL */
    const char *type;            /* of the destination, where it is another one, or NULL */
    const char *doubt;           /* the keyword that differs, or NULL */
};

struct schema_diff {
    bool custom;
    struct schema_node *root;
};
