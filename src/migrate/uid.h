/* Uids in 16 bytes instead of 37, and sets of them.
 *
 * An API server's uid is a UUID in lower case, which has just those bits. Any other text (of an
 * export, of another kind of server) stands for itself by the first half of its SHA-256: different
 * texts are different uids for every purpose, but the text cannot be had back. */
#pragma once

#include "base/util.h"

struct uid {
    uint8_t b[16]; /* all zero: none */
};

enum { UID_TEXT_MAX = 37 };

/* NULL and "" are none. */
struct uid uid_of(const char *text);
bool uid_given(struct uid u);
bool uid_same(struct uid x, struct uid y);
/* Is it a UUID as API servers write it, so that uid_text() gives it back? */
bool uid_is_uuid(const char *text);
const char *uid_text(struct uid u, char out[UID_TEXT_MAX]);

/* A set; uid_set_sort() must stand between the last uid_set_add() and the first uid_set_has().
 * Zero is an empty one. One thread, or many readers and no writer. */
struct uid_set {
    struct uid *v;
    size_t n, cap;
};
void uid_set_add(struct uid_set *s, struct uid u);
void uid_set_sort(struct uid_set *s);
bool uid_set_has(const struct uid_set *s, struct uid u);
void uid_set_done(struct uid_set *s);
