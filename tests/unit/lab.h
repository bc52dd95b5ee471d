/* Bodies, kinds and worlds for the tests of src/migrate, written by hand.
 *
 * JSON may be written with ' for ", so that tables stay readable; text that has to hold a ' itself
 * is built otherwise. Everything lives in the arena of the lab. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "migrate/scrub.h"
#include "migrate/world.h"

/* The tree of this text; a test fails on text that is no JSON. */
yyjson_val *lab_json(struct arena *a, const char *quoted);
/* "apps/v1", "Deployment". Namespaced unless the body says otherwise; list and create verbs. */
struct kube_resource *lab_resource(struct arena *a, const char *api_version, const char *kind);
/* The kind of a body, as the source and the destination serve it. */
struct kind *lab_kind(struct arena *a, yyjson_val *body);
/* Bodies of a JSON array. */
struct world_side lab_side(struct arena *a, yyjson_val *list);
/* A world of two JSON arrays (quoted text; dst may be NULL), with fixed salt. serves: "v1 Pod",
 * … beyond those of dst's bodies, NULL-terminated, NULL: everything of the source. Freed by the
 * caller. */
struct world *lab_world(struct arena *a, const struct world_opts *o, const char *src,
                        const char *dst, const char *const *serves);
/* The object of this body, which is in the world's source. */
struct object *lab_find(struct world *w, yyjson_val *body);
/* Canonical text of the body scrubbed. */
const char *lab_scrub(struct arena *a, const char *quoted, enum scrub_side side,
                      const struct scrub_env *env);
/* Canonical text. */
const char *lab_text(struct arena *a, yyjson_val *v);
const char *lab_mut_text(struct arena *a, yyjson_mut_val *v);
/* The folder of test data beside the project, or NULL where it is absent (then the test skips,
 * having said why). */
const char *lab_corpora(struct arena *a, const char *folder);
