/* What was written, leaf field by leaf field, as salted digests: enough to tell later who changed
 * a field, too little to tell what it held.
 *
 * A text is "VERSION DEPTH ENTRIES": the API version of the body, how deep its leaves lie (one
 * character), and eight characters for each leaf: 24 bits of a keyed digest of its path, 24 of its
 * path and value. Short on purpose: 100,000 objects make some 30 MB of journal, and a value that
 * is worth guessing (a Secret's) fits every sixteen-millionth guess. That a change goes unseen
 * takes the same chance, and only where the two sides differ is anybody asked.
 *
 * A leaf is a scalar, an empty map, a list whose elements have no names (lists.h), or what lies
 * deeper than DEPTH: a body of more than LEAVES_MAX leaves gets coarser ones. Identity (apiVersion,
 * kind, name, namespace) and owner references are no leaves, and a hold is none: a held object has
 * the leaves of the one that it is made from. */
#pragma once

#include "base/json.h"

enum { LEAVES_MAX = 400, LEAVES_SALT = 32 };

/* The text for the body `root` (scrubbed, held or not), in a. */
char *leaves_text(struct arena *a, const uint8_t salt[LEAVES_SALT], yyjson_mut_val *root);

/* A text, read. Points into it. */
struct leaves {
    uint64_t key[4];
    char version[128]; /* "apps/v1" */
    unsigned depth;
    const char *entry;
    size_t n;
};
/* -EBADMSG when text is none. */
int leaves_read(const uint8_t salt[LEAVES_SALT], const char *text, struct leaves *ret,
                struct err *e);

/* A place in a body. */
struct leaf_at {
    uint64_t hash;
    unsigned depth;
    const char *field; /* the member that led here, or the list's for its elements */
};
/* Nothing yet, for entries that leaves_add() makes one by one. */
void leaves_empty(const uint8_t salt[LEAVES_SALT], struct leaves *ret);
/* The beginning of a text of single entries, and one entry: v may be any value, JSON null too. */
void leaves_add_head(struct sb *b);
void leaves_add(const struct leaves *l, struct sb *b, struct leaf_at at, yyjson_mut_val *v);

struct leaf_at leaves_top(void);
/* One step down: to a member of an object, or to an element of a list by its name. */
struct leaf_at leaves_in(const struct leaves *l, struct leaf_at at, const char *key);
/* Is what stands there a leaf? False for NULL. */
bool leaves_is_leaf(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v);
/* Identity and owners, which no leaf is made of. */
bool leaves_passed_over(struct leaf_at at, const char *key);

enum leaf_fate {
    LEAF_ABSENT, /* nothing was written there */
    LEAF_SAME,   /* this value was */
    LEAF_OTHER,  /* another value was */
};
/* v as a leaf at that place against what was written. v NULL: LEAF_ABSENT or LEAF_OTHER. */
enum leaf_fate leaves_judge(const struct leaves *l, struct leaf_at at, yyjson_mut_val *v);

/* The body against what was written: how many leaves of it were written so, otherwise or not at
 * all, and how many that were written are there no more. */
struct leaves_count {
    size_t same, other, added, gone;
};
/* each (may be NULL) is called for every leaf that is not the same, with its JSON pointer (elements
 * by name); those that are gone have none. */
void leaves_compare(const struct leaves *l, yyjson_mut_val *root, struct leaves_count *ret,
                    void (*each)(void *ctx, const char *pointer, enum leaf_fate fate), void *ctx);
