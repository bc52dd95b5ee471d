/* Inside of struct world, for the files that fill it: world.c, inventory.c, classify.c. */
#pragma once

#include <pthread.h>

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
    struct arena *a; /* of the main thread; readers have their own until they are done */
    struct arena *reader_arena[8];
    struct kube_discovery *dsrc, *ddst;
    struct kind *kinds;
    size_t n_kinds;
    struct object_list objects;
    struct map *by_ref;     /* GROUP/KIND/NS/NAME -> object */
    struct map *by_uid;     /* uid in the source -> object */
    struct map *uids_dst;   /* every uid seen in the destination */
    struct map *sa_secrets; /* "ns/name" listed by a ServiceAccount */
    struct map *ours;       /* ref -> (void *)1: written by a run of this environment */
    struct map *volumes;    /* PersistentVolumes of the source that are recreated */
    struct service_range ranges[8];
    size_t n_ranges;
    struct scrub_env env;
    uint8_t salt[32];
    struct strvec left_over;
    struct strvec warnings;
    pthread_mutex_t lock;
    size_t progress; /* objects read so far, under lock */
};

/* inventory.c */
int inventory_kinds(struct world *w, struct err *e);
int inventory_read(struct world *w, struct err *e);
/* The same from bodies at hand; fills the kinds too. */
int inventory_offline(struct world *w, const struct world_side *src, const struct world_side *dst,
                      struct err *e);
/* classify.c */
void classify_all(struct world *w);
bool selected_namespace(const struct world *w, const char *ns);
/* First rule of the user's that matches this body, or -1. */
int classify_user_rule(const struct world *w, const struct kube_resource *r, yyjson_val *body);
/* compare.c: differences of two scrubbed trees, written into o (strings in a). */
void compare_trees(struct object *o, struct arena *a, yyjson_mut_val *src, yyjson_mut_val *dst);
/* Fields that only the destination has and that are no difference; path and value are patterns. */
struct new_default {
    const char *group, *kind, *path, *value, *why;
};
const struct new_default *compare_new_defaults(size_t *ret_n);
/* readiness.c: sets o->unready and o->note when the destination's is less ready. */
void readiness_compare(struct object *o, struct arena *a, yyjson_val *src, yyjson_val *dst);
