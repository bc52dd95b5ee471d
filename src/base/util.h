/* Small things every file needs: attributes, cleanup macros, array sizes.
 *
 * AUTO(type) declares a variable that is released when its scope ends; TAKE(p) hands the value on
 * and leaves NULL behind, so that a hand-over of ownership is visible where it happens. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define CLEANUP(fn)       __attribute__((cleanup(fn)))
#define UNUSED            __attribute__((unused))
#define COUNT_OF(a)       (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)         ((a) < (b) ? (a) : (b))
#define MAX(a, b)         ((a) > (b) ? (a) : (b))

#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })

static inline void cleanup_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
}
static inline void cleanup_file(FILE **f) {
    if (*f)
        fclose(*f);
}
#define AUTO_FD   CLEANUP(cleanup_fd) int
#define AUTO_FILE CLEANUP(cleanup_file) FILE *

/* Memory that cannot be had aborts: a run survives kill -9, so it survives this too. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
void xfree(void *p);

_Noreturn void bug(const char *file, int line, const char *what);
/* An assertion that stays in production: continuing after a broken invariant could destroy data. */
#define MUST(cond) ((cond) ? (void)0 : bug(__FILE__, __LINE__, #cond))
