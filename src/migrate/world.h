/* Both clusters as the engine knows them: kinds, records of objects, and how they relate.
 *
 * world_read() pages through every kind of both sides at once and joins them by name, so that
 * bodies are held for one page only; then the rules give each record its verdict. A world is made
 * and used by one thread, but for the writers of apply.c, which change a record's uid_dst and
 * outcome under world_lock(). */
#pragma once

#include "base/map.h"
#include "journal/journal.h"
#include "migrate/object.h"
#include "migrate/scrub.h"

struct world;

/* A rule of the user's (tandem.yaml `rules`). Patterns with * and ?, NULL: any. */
struct user_rule {
    const char *group, *kind, *name, *namespace;
    const char *labels;  /* "k=v,k2,!k3,k4!=v" or NULL */
    const char *verdict; /* create, skip, hold, block or NULL (patch only) */
    const char *why;
    yyjson_mut_val *patch; /* RFC 6902, or NULL */
    bool overwrite;        /* the source's wins, whoever wrote or changed the destination's */
    bool recreate;         /* what a run made goes and is made anew where an update cannot do it */
};

struct world_opts {
    struct kube_client *src, *dst;
    char src_slot, dst_slot;       /* 'a' / 'b' */
    const char *const *ns_include; /* patterns; NULL or empty: all */
    const char *const *ns_exclude;
    bool only_namespaced;       /* -n was given: no cluster-scoped objects but Namespace */
    const char *label_selector; /* -l, or NULL */
    const struct user_rule *rules;
    size_t n_rules;
    const char *const *class_from, *const *class_to; /* storageClasses, NULL-terminated, or NULL */
    struct journal *journal;                         /* with run: who wrote what; NULL: nobody */
    const char *run;     /* the open run, which alone has written there; NULL: nobody has */
    const uint8_t *salt; /* 32 bytes; NULL: a fresh one */
    const uint8_t
        *plan_salt; /* of a frozen plan that is carried out: object.digest is made with it */
    const char *const
        *generated;       /* "GROUP/KIND/NAME" that a probe namespace of the destination had,
                             NULL-terminated, or NULL; borrowed until the world is read */
    bool tolerate_denied; /* a kind that may not be listed is left out; the caller tells of it */
    bool without_digests; /* object.digest is not made: no plan is frozen or carried out */
    bool read_made;       /* also what a server can tell by a label to be its own (join.c) */
    bool follow;          /* the world lives on (renew.h) */
    bool write_back;      /* after the switch: what the run wrote to src goes back to dst, which it
                             was made from; the user's patches are in it already */
    struct http_cancel *cancel;
    void (*progress)(void *ctx, const char *kind, size_t objects);
    void *progress_ctx;
};

int world_new(const struct world_opts *o, struct world **ret, struct err *e);
void world_free(struct world *w);

/* Reads both sides and classifies everything. */
int world_read(struct world *w, struct err *e);

/* One object as an API server would list it. The tree is needed during the call only. */
struct world_item {
    const struct kube_resource *resource; /* must outlive the world */
    yyjson_val *body;
};
struct world_side {
    const struct world_item *items;
    size_t n;
    /* Kinds that this side serves beyond those of its items; only the destination's are looked at.
     * A body is there in one version, so a kind counts as served in that version alone. */
    const struct kube_resource *const *serves;
    size_t n_serves;
};
/* The same world without API servers: from bodies at hand, as an export of a namespace has them.
 * Everything after reading is what world_new() and world_read() do; of o, the clients, the label
 * selector and the progress callback are not used. Kinds that the live path does not even read get
 * their records here, skipped by the same rule. */
int world_offline(const struct world_opts *o, const struct world_side *src,
                  const struct world_side *dst, struct world **ret, struct err *e);

const struct world_opts *world_opts(const struct world *w);
size_t world_count(const struct world *w);
struct object *world_at(const struct world *w, size_t i);
size_t world_kinds(const struct world *w, const struct kind **ret);
const struct kind *world_kind_at(const struct world *w, size_t i);
const struct kind *world_kind_of(const struct world *w, const char *group, const char *kind);
const struct kube_discovery *world_discovery(const struct world *w, bool destination);
/* Objects that a run wrote to the destination and that are gone from the source: references,
 * NULL-terminated. Only `follow` does anything to them. */
const char *const *world_left_over(const struct world *w);
/* Problems that no object carries: an API group that could not be read, ... NULL-terminated. */
const char *const *world_warnings(const struct world *w);

struct object *world_find(const struct world *w, const char *group, const char *kind,
                          const char *ns, const char *name);
struct object *world_by_uid(const struct world *w, struct uid uid_src);
bool world_dst_has_uid(const struct world *w, struct uid uid);
/* o is in the destination, under this uid (NULL or "": of which none is known). Under world_lock().
 */
void world_set_uid_dst(struct world *w, struct object *o, const char *uid);
/* The text of o's uid in the destination, in a, or NULL when it has none. Takes world_lock(). */
const char *world_uid_dst(struct world *w, struct arena *a, const struct object *o);
bool world_sa_lists_secret(const struct world *w, const char *ns, const char *secret);
const struct scrub_env *world_scrub_env(const struct world *w);
const uint8_t *world_salt(const struct world *w);
/* A copy of s that lives as long as the world. Under world_lock(). */
const char *world_keep(struct world *w, const char *s);
void world_lock(struct world *w);
void world_unlock(struct world *w);

/* Does a rule of the user's say that the destination's object is to be overwritten? */
bool world_overwrites(const struct world *w, const struct object *o);
/* Rule of a webhook whose write was cut short before it was proved: an update that proves it. */
#define WORLD_UNPROVEN "unproven"
/* o was to be made anew (object.recreate) and is gone from the destination: from here on it is
 * created like one that never was there. */
void world_made_room(struct object *o);
/* The body that the destination should get for o, made from `body` as the source shows it now:
 * scrubbed, patched by the user's rule, owners relinked to uids of the destination, held where the
 * verdict says so. d's memory is the caller's. *ret_previous (may be NULL): JSON of the values that
 * a hold replaced, or NULL. -ENOENT when an owner is not in the destination yet. */
int world_body(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
               struct arena *a, yyjson_mut_val **ret, const char **ret_previous, struct err *e);
/* The same, and what world_digest() says of the body under the world's salt (16 bytes, may be
 * NULL), without making it twice. */
int world_body_digest(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                      struct arena *a, yyjson_mut_val **ret, const char **ret_previous,
                      uint8_t *ret_digest, struct err *e);
/* The digest that object.digest holds, of a body as the source shows it: of what the destination
 * should get, and for a Secret of its uid and resourceVersion only, so that nothing made of a
 * secret value is written anywhere. salt: 32 bytes, NULL: the world's. */
int world_digest(struct world *w, const struct object *o, yyjson_val *body, const uint8_t *salt,
                 uint8_t out[16], struct err *e);
/* That body for a dry run: without owners, which may not be there yet. In d. */
int world_trial(struct world *w, const struct object *o, yyjson_val *body, yyjson_mut_doc *d,
                yyjson_mut_val **ret, struct err *e);
/* Compares body_src (of the source) with body_dst as the plan does; fills o's changes (in a). */
int world_compare(struct world *w, struct object *o, struct arena *a, yyjson_val *body_src,
                  yyjson_val *body_dst, struct err *e);
