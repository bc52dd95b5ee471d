/* Who owns the fields of an object: reads metadata.managedFields (KEP-555) of the source, decides
 * how the destination's object is written so that its fields have the same owners there, and builds
 * the list that is put there when the way of writing alone does not do it.
 *
 * What the destination's server does was tried out on 1.33 and 1.37. A body's own managedFields are
 * ignored by a create. An apply patch creates what is not there, and with a resourceVersion in it
 * is refused (409) for everything that is: so it cannot overwrite a foreign object. A merge patch
 * of metadata.managedFields is taken as it is, times included, but for two things: entries of
 * versions that are not served are dropped, and entries that name fields which are not there are
 * kept so.
 *
 * Everything here works on trees of the caller's; no state, any thread. */
#pragma once

#include "base/json.h"

/* Our own name, under which is written what nobody else is to own. Where it owns more than a hold,
 * a write was cut short before the owners were restored. */
#define MANAGER_OWN "tandem"
/* In an apply patch: no object has it, since a store's first revision is taken before the API
 * server writes there. */
#define MANAGER_NEW_ONLY "1"

enum managers_way {
    MANAGERS_OWN,     /* the source names no manager: written under our own name */
    MANAGERS_CREATE,  /* one, by updates: POST (or PATCH) under its name */
    MANAGERS_APPLY,   /* one, by server-side apply, and it owns all: an apply patch */
    MANAGERS_RESTORE, /* written under our own name, then the list is put there */
};

struct managers {
    enum managers_way way;
    const char *name; /* NULL with OWN; borrowed from the source's body */
    const char *list; /* JSON of the managedFields to be; NULL where it cannot be needed */
};

struct managers_ask {
    yyjson_val *source;      /* the object as the source shows it */
    yyjson_mut_val *sent;    /* what the destination gets */
    const char *api_version; /* in which it is written */
    const char *held;        /* JSON pointer of what holds it; NULL: not held by us */
    bool always_list;        /* also with CREATE: an update may have to take our own entry away */
    bool can_patch;          /* false: the kind cannot be patched, so nothing can be restored */
    /* Does the destination serve this kind in that version? */
    bool (*served)(void *ctx, const char *api_version);
    void *ctx;
};

/* Fills *ret; strings in a, names borrowed. An entry counts when it owns a field that is sent and
 * is not of a subresource. In the list an entry of a version that is not served is converted to the
 * one that is written, fields that are not sent go out, the keys of owner references get the uids
 * that are sent, times stay. While it is held the hold belongs to us beside its owners: who would
 * apply it away is told so by a conflict. */
void managers_decide(struct arena *a, const struct managers_ask *ask, struct managers *ret);

/* Has the object, as the destination shows it, still an entry of ours that owns more than a hold?
 */
bool managers_left_open(yyjson_val *live);
/* The same for an object whose source may itself have such an entry, or name no manager at all:
 * then ours is right there. */
bool managers_differ(yyjson_val *source, yyjson_val *live);

/* A merge patch of live, guarded by its resourceVersion, that puts `list` (JSON) in the place of
 * our entry and of those with the same manager, operation, version and subresource; other managers
 * of the destination keep theirs. Text in a. */
char *managers_patch(struct arena *a, yyjson_val *live, const char *list, size_t *ret_len);
/* The same after an object was held, or let loose, by an update under our name, which took the
 * field that holds away from its owners: they get it back, and ours stays only while it is held.
 * NULL when nobody was known. */
char *managers_hand_over(struct arena *a, yyjson_val *before, yyjson_val *after, bool held,
                         size_t *ret_len);

/* An apply patch is read as YAML, which reads some JSON in another way or not at all. */
bool managers_yaml_safe(const char *json, size_t n);
