/* Records from bodies: what reading both clusters keeps of each object. Inside of reading, for
 * inventory.c (live clusters), offline.c (bodies at hand) and renew.c (one object that changed). */
#pragma once

#include "migrate/world_impl.h"

struct census;
struct scaler;
struct selector;
struct trait;

/* One thread's share of reading. */
struct reader {
    struct world *w;
    struct arena *a; /* of the records */
    struct arena
        *rel; /* of what other records' verdicts need of them; lives as long as the world */
    struct arena *tmp; /* of one object */
    struct object_list objects;
    struct map *names; /* of namespaces, each once */
    struct uid_set uids_dst;
    struct strvec secrets;
    struct strvec left_over; /* their refs */
    struct scaler *scalers;
    struct selector *selectors;
    struct trait *traits;
    struct census *census; /* of the destination's objects of one kind that nobody of us wrote */
    struct object *into;   /* the record to make anew, with the names that it has; NULL: a new one
                              each time */
    bool shallow;          /* items have metadata alone */
    size_t one_by_one;     /* of them are to be read whole */
    size_t namespaces_dst;
};

/* a: of the records; it must live as long as the world. */
struct reader reader_make(struct world *w, struct arena *a);
/* One object, as both sides show it. src NULL: only in the destination; dst NULL: only in the
 * source. */
void reader_take(struct reader *r, const struct kind *k, yyjson_val *src, yyjson_val *dst);
void reader_end_census(struct reader *r);
/* Everything that was read goes into the world; r is done with. */
void reader_gather(struct world *w, struct reader *r);
/* Forgets what o said of others (renew.c). */
void records_unrelate(struct world *w, const struct object *o);
/* What is learned of relations between objects, into the world. */
void reader_relate(struct world *w, struct reader *r);
/* Volumes that are recreated, known before any claim is read. */
void reader_note_volumes(struct world *w, const struct reader *r);

/* Is it in the namespaces that are selected? */
bool record_in_scope(const struct world *w, const struct kind *k, yyjson_val *item);
/* The destination has it, as dst shows it. */
void record_note_destination(struct world *w, struct arena *a, struct object *o, yyjson_val *dst,
                             bool skipped);
/* Digest, differences and readiness, from the bodies. */
void record_look(struct world *w, struct arena *a, struct arena *tmp, struct object *o,
                 yyjson_val *src, yyjson_val *dst);

/* Body of o in the source or the destination, in a. */
typedef int (*record_fetch)(void *ctx, struct arena *a, const struct object *o, bool destination,
                            yyjson_val **ret, struct err *e);
/* Children whose owner is gone, or that never had one, go over like anything else, so their bodies
 * are looked at after all, one by one: there are hardly any. One that is gone by now is left as it
 * is; whoever writes it finds that out. */
int records_read_orphans(struct world *w, record_fetch fetch, void *ctx, struct err *e);
