/* Makes of an object as the source shows it the body that the destination should get, by the field
 * policy table (policy.c). The same table, applied to an object of the destination, takes out what
 * that cluster filled in by itself, so that the two can be compared.
 *
 * What is not named by a row is kept untouched: unknown fields, empty values, number spelling. */
#pragma once

#include "migrate/object.h"

/* What scrubbing needs to know of the world. Callbacks may be NULL. */
struct scrub_env {
    /* storageClasses of tandem.yaml: name in the destination for a name in the source. */
    const char *(*storage_class)(void *ctx, const char *name);
    /* Is this PersistentVolume (by name) recreated, so that a claim may stay bound to it? */
    bool (*volume_moves)(void *ctx, const char *name);
    /* Does the destination's service range hold this address? */
    bool (*service_ip_fits)(void *ctx, const char *ip);
    /* Is what a claim is to be filled from in the destination, or will it be? Also true where that
     * is not to be known. ns: of the claim, unless its reference names another. */
    bool (*source_there)(void *ctx, const char *group, const char *kind, const char *ns,
                         const char *name);
    void *ctx;
};

enum scrub_side { SCRUB_SOURCE, SCRUB_DESTINATION };

enum field_fate { FIELD_DROP, FIELD_REWRITE, FIELD_KEEP };
const char *field_fate_name(enum field_fate f);

/* Called for each field that a row touched (never FIELD_KEEP); `path` is a JSON pointer, valid
 * during the call. */
typedef void (*scrub_trace)(void *ctx, enum field_fate fate, const char *path, const char *why);

struct scrub {
    yyjson_mut_doc *doc;
    yyjson_mut_val *root; /* edited in place */
    yyjson_val *orig;     /* the object as read */
    const struct kind *kind;
    enum scrub_side side;
    const struct scrub_env *env;
    scrub_trace trace;
    void *trace_ctx;
};

/* Copies `body` into d and scrubs it. apiVersion and kind are set from the kind (lists leave them
 * out). ownerReferences are removed on both sides: the caller compares and relinks owners. A held
 * object gets its original value back (hold.h). Returns the root in d. */
yyjson_mut_val *scrub_object(yyjson_mut_doc *d, const struct kind *kind, yyjson_val *body,
                             enum scrub_side side, const struct scrub_env *env, scrub_trace trace,
                             void *trace_ctx);

/* --- the tables, for tests and for `explain` --- */
struct policy_row {
    const char *group, *kind; /* NULL: any */
    /* JSON pointer; "*": every element of an array; of FIELD_KEEP "**" as the last step: the
     * field and everything below it. */
    const char *path;
    enum field_fate fate;
    /* NULL: always. val is the field, parent what it stands in. */
    bool (*when)(const struct scrub *s, yyjson_mut_val *parent, yyjson_mut_val *val);
    /* For FIELD_REWRITE; NULL result: drop. */
    yyjson_mut_val *(*rewrite)(const struct scrub *s, yyjson_mut_val *val);
    const char *why;
};
/* What is dropped or rewritten: the rows that scrubbing walks. */
const struct policy_row *policy_rows(size_t *ret_n);
/* What is kept on purpose: FIELD_KEEP without a condition. Scrubbing does not walk these. A group
 * POLICY_CUSTOM stands for every API group that Kubernetes does not bring itself. */
#define POLICY_CUSTOM "(custom)"
const struct policy_row *policy_keep_rows(size_t *ret_n);
/* The first of them that covers this JSON pointer in objects of that kind, or NULL. */
const struct policy_row *policy_kept_by(const struct kube_resource *r, const char *path);
/* Does the pattern of a row, with its stars, lead to just this field (or, where it ends in "**", to
 * something around it)? */
bool policy_covers(const char *pattern, const char *path);
bool policy_matches(const struct policy_row *r, const struct kube_resource *k);
/* All of what becomes of fields, as data for other programs: {"fields": [{"fate", "group", "kind",
 * "path", "conditional", "value", "why"}], "kinds": [{"rule", "group", "kind", "why"}]}. fate is
 * keep, drop, rewrite, hold (value: what holds it) or default (filled in by one side's version
 * alone; value and path are patterns). group or kind null: any. kinds: those that are never
 * recreated. In d. */
yyjson_mut_val *policy_json(yyjson_mut_doc *d);
