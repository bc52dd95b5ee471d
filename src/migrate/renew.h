/* A world that lives on: one object after another is read anew as its source changes, beside all
 * others that stay as they were read. For follow.c. Everything under one lock of the caller's,
 * which also guards every other use of the world meanwhile, but for writers that have an item in
 * hand. */
#pragma once

#include "migrate/world.h"

/* After apply_plan(): what it wrote is ours, and as it should be. */
int world_applied(struct world *w, struct err *e);
/* Is the source's body what o was made from, as far as the destination is concerned, and has the
 * destination what it should have? whole: the body is no PartialObjectMetadata. */
bool world_unchanged(struct world *w, const struct object *o, yyjson_val *src, bool whole);

/* o's record and verdict anew from its body (src) and the destination's (dst, or NULL: not asked,
 * or not there). Of a kind that rules out of scope *ret is NULL. What the record says (changes,
 * note, why) lives in a until world_rest(). -ENODATA: src has metadata alone, and its whole body is
 * needed. Other failures are the object's: its verdict is then block. */
int world_renew(struct world *w, struct arena *a, const struct kind *k, yyjson_val *src, bool whole,
                yyjson_val *dst, struct object **ret, struct err *e);
/* Lets go of what lives in the arena of world_renew(). */
void world_rest(struct object *o);
/* The destination has o now as it should be, under this uid; ours: a run wrote it, made: and
 * created it just now. */
void world_written(struct world *w, struct object *o, const char *uid, bool ours, bool made);
/* It is gone from the source; deleted: and from the destination too. */
void world_gone(struct world *w, struct object *o, bool deleted);
/* Is an owner of o to be in the destination and is not yet? first: o may go before it all the same
 * and is linked to it afterwards (data before its custom resource, a cycle). */
bool world_owner_missing(struct world *w, const struct object *o, bool *ret_first);
