/* What a cluster makes by itself in each of its namespaces (a mesh's CA, a tenant's quota): known
 * by kind and name.
 *
 * Two ways tell. A probe namespace (probe_ns.h): what appeared in an empty namespace is made in
 * each. And, without writing anything, the namespaces that are there: what stands in nearly all of
 * them and was written by one controller. A census counts the latter while a kind is read; the
 * source's is a hint only, since what is made there may not be made in the destination. */
#pragma once

#include "migrate/world.h"

#define PERNAMESPACE_RULE "generated-per-namespace"

/* In at least 90 of 100 namespaces, and in three. */
enum { PERNAMESPACE_SHARE = 90, PERNAMESPACE_LEAST = 3 };

/* The one manager that all of metadata.managedFields names (borrowed from body), when it is a
 * controller. NULL: none, several, or what people and pipelines write with. */
const char *pernamespace_maker(yyjson_val *body);
/* Is it what people or pipelines write with (kubectl, Helm, Argo CD, Terraform, a bare client)?
 * They make an object in each namespace as well, but no cluster does it for them. */
bool pernamespace_by_hand(const char *manager);

/* --- counting --- */

struct census;
struct census *census_new(void);
void census_free(struct census *c); /* NULL is fine */
void census_reset(struct census *c);
/* One object of this name, made by `maker`; strings are copied. */
void census_add(struct census *c, const struct kube_resource *r, const char *name,
                const char *maker);
/* Calls fn for each kind and name that was counted at least `least` times and has one maker; key is
 * "GROUP/KIND/NAME". Strings live until the census is reset. */
void census_each(const struct census *c, size_t least,
                 void (*fn)(void *ctx, const char *key, const char *maker, size_t n), void *ctx);
/* Is n that part of total? */
bool census_nearly_all(size_t n, size_t total);

/* --- of a world --- */

struct generated {
    const char *key, *by; /* by NULL: seen in a probe namespace */
    size_t n, of;         /* in so many namespaces of the destination, when by is given */
    size_t skipped;       /* objects that pernamespace_learn() made skips */
    size_t by_hand;       /* of them: not one controller alone has written the source's */
};

/* Why o is left out: its kind and name are made in each namespace of the destination. NULL: it is
 * not, or o is one that has to go over all the same. */
const struct generated *pernamespace_find(const struct world *w, const struct object *o);
/* Candidates of the readers, with the number of the destination's namespaces, into w. Before
 * anything is classified. */
void pernamespace_candidate(struct world *w, const char *key, const char *maker, size_t n);
void pernamespace_settle(struct world *w);
/* After classifying: a warning for what a controller makes in nearly all namespaces of the source
 * and nobody knows of in the destination. */
void pernamespace_hint(struct world *w);
/* keys ("GROUP/KIND/NAME", NULL-terminated, copied) were seen in a probe namespace: what goes over
 * of them becomes a skip. Nothing else changes. Returns how many did. */
size_t pernamespace_learn(struct world *w, const char *const *keys);
/* The i-th of what is known, NULL behind the last. */
const struct generated *pernamespace_at(const struct world *w, size_t i);
