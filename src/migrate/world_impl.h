/* Inside of struct world, for the files that fill it: world.c, inventory.c, classify.c. */
#pragma once

#include <pthread.h>

#include "migrate/index.h"
#include "migrate/schemas.h"
#include "migrate/world.h"

struct service_range {
    int family; /* AF_INET / AF_INET6 */
    uint8_t addr[16];
    unsigned bits;
};

struct object_list {
    struct object **v;
    size_t n, cap;
};
void object_list_add(struct object_list *l, struct object *o);

struct world {
    struct world_opts o;
    struct arena *a;       /* of the main thread; readers have their own until they are done */
    const char **rule_ids; /* "user-1", … */
    struct arena *text;    /* of what verdicts say: a, or one object's while it is renewed */
    struct arena *reader_arena[8];
    struct kube_discovery *dsrc, *ddst;
    struct kind *kinds;
    size_t n_kinds;
    struct object_list objects;
    struct index by_ref, by_uid;
    struct uid_set uids_dst; /* every uid seen in the destination */
    bool renewing;           /* one object after another: warnings have nobody to read them */
    struct map *uids_since;  /* text of those that came there since (renew.c): value set */
    struct map *since;       /* ref -> uid of what was written since the journal was read; NULL: and
                                is gone again */
    struct uid_set ours;     /* uid_of() of each ref that a run of this environment wrote */
    struct uid_set uids_ours; /* of the objects that those refs were then */
    int64_t last_effect;      /* of those that were read */
    struct uid_set made;      /* uid_of() of each ref that a run created */
    struct map *made_since;   /* refs that it created since (renew.c): value set; under lock */
    struct map *in_doubt;     /* refs of it whose uid nobody knows: value set */
    struct map *kinds_ours;   /* "GROUP/KIND" of those */
    struct map *odd_uids;     /* uid_text() of those that are no UUID -> their text */
    struct map *taken_back;   /* refs that the run wrote and that unmigrate took back: value set */
    struct map *sa_secrets;   /* "ns/name" listed by a ServiceAccount */
    struct map *consumers;    /* "ns/Kind/name" that KEDA scales by a queue: the struct scaler */
    struct scaler *scalers;   /* every ScaledObject of KEDA */
    struct map *selectors;    /* namespace -> struct selector of its Services */
    struct trait *traits;     /* of what may look like a singleton */
    struct map *generated;    /* "GROUP/KIND/NAME" -> struct generated (pernamespace.h), or NULL */
    size_t namespaces_dst;    /* of the destination: no system's, not written by us */
    struct strvec makers;     /* controllers' names, object.maker is the place from 1; under lock */
    struct map *volumes;      /* PersistentVolumes of the source that are recreated */
    struct map *sources;      /* what claims are filled from (sources.h), under lock */
    struct service_range ranges[8];
    size_t n_ranges;
    struct scrub_env env;
    struct schemas *schemas; /* NULL: offline */
    uint8_t salt[32];
    struct strvec left_over;
    struct strvec warnings;
    pthread_mutex_t lock;
    size_t progress; /* objects read so far, under lock */
};

/* inventory.c */
int inventory_kinds(struct world *w, struct err *e);
int inventory_read(struct world *w, struct err *e);
/* Kinds of a lower rank are read before the others. */
int inventory_rank(const struct kube_resource *r);
void inventory_add_kind(struct world *w, const struct kube_resource *src,
                        const struct kube_resource *dst);
/* offline.c: the same from bodies at hand; fills the kinds too. */
int inventory_offline(struct world *w, const struct world_side *src, const struct world_side *dst,
                      struct err *e);
/* Who wrote what in the destination; again after more was written. */
int world_read_journal(struct world *w, struct err *e);
/* The schemas that bodies of this kind are judged by, where none of its group was looked at yet:
 * asks both clusters then. Any thread. */
void world_settle_schema(struct world *w, const struct kind *k);
/* After the last record: from here on world_find() and world_by_uid() answer. */
void world_index(struct world *w);
/* What reading does with each object that no rule skips: its digest, under the plan's salt, and
 * where dst is given its differences and readiness (in a). tmp is scratch. Negative when a patch of
 * the user's does not fit. */
int world_judge(struct world *w, struct object *o, struct arena *a, struct arena *tmp,
                yyjson_val *src, yyjson_val *dst, struct err *e);
/* Has a run of this environment written the object of this reference? uid: the one that it has in
 * the destination now; another than it had when it was written is another object's. NULL: under
 * this name at all. */
bool world_wrote(const struct world *w, const char *group, const char *kind, const char *ns,
                 const char *name, const char *uid);
/* Has a run of this environment created it, so that taking the run back deletes it? Any thread. */
bool world_created(struct world *w, const struct object *o);
/* Any object of this kind? */
bool world_wrote_kind(const struct world *w, const struct kube_resource *r);
/* classify.c */
void classify_all(struct world *w);
void classify_one(struct world *w, struct object *o);
bool world_is_consumer(const struct world *w, const struct object *o);
/* One more difference of o. Texts are not copied. */
void world_add_change(struct world *w, struct object *o, const char *path, const char *src,
                      const char *dst);
bool selected_namespace(const struct world *w, const char *ns);
/* First rule of the user's that matches this body, or -1. */
int classify_user_rule(const struct world *w, const struct kube_resource *r, yyjson_val *body);
/* compare.c: differences of two scrubbed trees, written into o (strings in a). */
void compare_trees(struct object *o, struct arena *a, yyjson_mut_val *src, yyjson_mut_val *dst);
/* A write of an earlier step was cut short before the owners of the fields were restored. */
void compare_managers(struct object *o, struct arena *a, yyjson_val *src, yyjson_val *dst);
/* The same with what was written there (three.h): what is the destination's own is told apart. t
 * may be NULL. */
struct three;
void compare_three(struct object *o, struct arena *a, const struct three *t, yyjson_mut_val *src,
                   yyjson_mut_val *dst);
/* Fields that only the destination has and that are no difference; path and value are patterns. */
struct new_default {
    const char *group, *kind, *path, *value, *why;
};
const struct new_default *compare_new_defaults(size_t *ret_n);
/* readiness.c: sets o->unready and o->note when the destination's is less ready. */
void readiness_compare(struct object *o, struct arena *a, yyjson_val *src, yyjson_val *dst);
