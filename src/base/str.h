/* Strings: a builder with a maximum, string lists for argv, small predicates.
 *
 * A builder owns its buffer; sb_done() frees it, sb_take() hands it over (xfree it). Appending
 * beyond the maximum sets the `full` flag and drops the excess; the flag is checked once at the
 * end. One thread. */
#pragma once

#include <string.h>

#include "base/arena.h"

struct sb {
    char *p; /* always NUL-terminated once something was appended */
    size_t len, cap, max;
    bool full;
};

#define SB_INIT(maximum)                                                                           \
    { .max = (maximum) }

void sb_add(struct sb *b, const char *s, size_t n);
void sb_str(struct sb *b, const char *s);
void sb_chr(struct sb *b, char c);
void sb_fmt(struct sb *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sb_reset(struct sb *b); /* empty again, buffer kept */
void sb_done(struct sb *b);
char *sb_take(struct sb *b);
const char *sb_get(const struct sb *b); /* "" when empty */
/* JSON string with quotes and escapes. */
void sb_json(struct sb *b, const char *s, size_t n);
/* Percent-encodes everything but unreserved characters (RFC 3986). */
void sb_urlenc(struct sb *b, const char *s);
/* & < > " ' for HTML and XML. */
void sb_html(struct sb *b, const char *s);

static inline void cleanup_sb(struct sb *b) {
    sb_done(b);
}
#define AUTO_SB CLEANUP(cleanup_sb) struct sb

struct strvec {
    char **v; /* NULL-terminated once something was added */
    size_t n, cap;
};
void strvec_add(struct strvec *v, const char *s); /* copies */
void strvec_fmt(struct strvec *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Splits s at sep, dropping empty parts. */
void strvec_split(struct strvec *v, const char *s, char sep);
bool strvec_has(const struct strvec *v, const char *s);
void strvec_done(struct strvec *v);
static inline void cleanup_strvec(struct strvec *v) {
    strvec_done(v);
}
#define AUTO_STRVEC CLEANUP(cleanup_strvec) struct strvec

static inline bool str_eq(const char *a, const char *b) {
    return a == b || (a && b && *a == *b && strcmp(a, b) == 0);
}
static inline bool str_empty(const char *s) {
    return !s || !*s;
}
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Shell-like pattern with * and ? only; NULL pattern matches everything. */
bool str_glob(const char *pattern, const char *s);
/* Whole string as a non-negative decimal number. 0, or -EINVAL / -ERANGE. */
int str_u64(const char *s, uint64_t *ret);
/* Levenshtein distance, for "did you mean". */
size_t str_distance(const char *a, const char *b);
/* The nearest of the n candidates, or NULL when none is near enough to be a typing error. */
const char *str_nearest(const char *s, const char *const *cand, size_t n);
