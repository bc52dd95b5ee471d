/* A finding: one thing that an operator should know before an upgrade, and where it was seen.
 *
 * Findings are made by hazards.c, doctor and whoever else looks; each adds to a list of its own or
 * of its caller's. Texts are not copied: they are literals or live in the list's arena. A value of
 * a Secret never stands in a finding. One thread at a time. */
#pragma once

#include "base/arena.h"

enum severity { SEV_INFO, SEV_WARNING, SEV_BLOCKER, SEV_COUNT };
const char *severity_name(enum severity s);

struct finding {
    const char *id; /* stable: "H1-cronjob"; a row of hazard_table.c */
    enum severity severity;
    const char *where; /* for people: "CronJob shop/report", or "A" */
    const char *what, *remedy;
    /* The object and the field where it shows, for machines; NULL where none applies. */
    const char *group, *kind, *ns, *name;
    const char *field;    /* JSON pointer into the object */
    char cluster;         /* 'a' or 'b', where the object was seen; 0: none */
    const char *silenced; /* why the operator silenced it; NULL: it counts */
    struct finding *next;
};

struct findings {
    struct arena *a;
    struct finding *first, **tail; /* where the next one is hung */
    size_t n;
};
void findings_init(struct findings *l, struct arena *a);
/* Adds one of no object; the rest of it may be filled in. Never NULL. */
struct finding *findings_add(struct findings *l, const char *id, enum severity sev,
                             const char *where, const char *what, const char *remedy);
/* Adds copies, texts too, of all that hang on f. */
void findings_copy(struct findings *l, const struct finding *f);
/* Worst first; among equals by id, and then in the order in which they came. */
void findings_sort(struct findings *l);

/* What the operator has looked at and does not want to hear of again. */
struct silence {
    const char *id;
    const char *kind, *name, *namespace; /* patterns with * and ?, NULL: any */
    const char *why;                     /* never empty */
};
/* Sets `silenced` of each finding that one of them matches; the first decides. A finding of no
 * object is matched by silences without patterns alone. */
void findings_silence(struct findings *l, const struct silence *rows, size_t n);
/* Of those that are not silenced, by severity; *ret_silenced (may be NULL): of the others. */
void findings_count(const struct findings *l, size_t count[SEV_COUNT], size_t *ret_silenced);
