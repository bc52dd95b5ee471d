/* A plan: what is to become of each object, for people, for machines, and frozen in a file.
 *
 * The file is JSON (docs/PLAN.md): header with the two clusters' identities, one entry per object
 * with verdict, rule, why, wave and a salted digest (with the salt), and a SHA-256 over everything
 * before it. It holds no bodies and nothing made of a Secret value. */
#pragma once

#include "migrate/dryrun.h"

struct plan_counts {
    size_t by_verdict[V_COUNT];
    size_t held;      /* of create/hold/same: held in the destination */
    size_t unready;   /* same, but less ready than in the source */
    size_t undecided; /* look as if they act by themselves, and nobody has decided */
    size_t kept;      /* same, but for what the destination has changed since */
    size_t objects;
};
void plan_count(const struct world *w, struct plan_counts *ret);
/* Something is left to do: creates, updates or holds. */
bool plan_has_work(const struct plan_counts *c);

/* The whole plan as JSON, in a; the uids identify the clusters. d: what was asked by dry runs, or
 * NULL where nobody asked. */
char *plan_json(const struct world *w, struct arena *a, const char *source_uid,
                const char *destination_uid, const struct dryrun *d, size_t *ret_len);
struct plan_file {
    const char *source_uid, *destination_uid;
    char source;           /* slot */
    struct map *digests;   /* ref -> hex digest of objects to be written */
    struct map *verdicts;  /* ref -> verdict name */
    struct map *held;      /* ref: held in the destination, or to be created so */
    struct map *undecided; /* ref: nobody had decided whether to hold it */
    uint8_t salt[32];
    const char *hash;
};
/* -EBADMSG when it was changed after it was written. Everything lives in a, but for the maps
 * (plan_done). */
int plan_load(struct arena *a, const char *path, struct plan_file *ret, struct err *e);
void plan_done(struct plan_file *p);
/* Says of each object that nobody has decided about what the plan says: held or not. One that the
 * plan left open is still open. */
void plan_decide(const struct plan_file *p, struct world *w);
/* Why o, which is to be written, is not what the plan showed; NULL when it is. */
const char *plan_stale(const struct plan_file *p, const struct object *o);
