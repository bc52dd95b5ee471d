#include "base/util.h"

#include <string.h>

_Noreturn void bug(const char *file, int line, const char *what) {
    fprintf(stderr, "tandem: broken invariant at %s:%d: %s\n", file, line, what);
    abort();
}

void *xmalloc(size_t n) {
    void *p = malloc(n ? n : 1); /* alloc-ok: the one place */
    if (!p)
        bug(__FILE__, __LINE__, "out of memory");
    return p;
}

void *xcalloc(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size ? size : 1); /* alloc-ok: the one place */
    if (!p)
        bug(__FILE__, __LINE__, "out of memory");
    return p;
}

void *xrealloc(void *p, size_t n) {
    p = realloc(p, n ? n : 1); /* alloc-ok: the one place */
    if (!p)
        bug(__FILE__, __LINE__, "out of memory");
    return p;
}

char *xstrdup(const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(xmalloc(n), s, n);
}

void xfree(void *p) {
    free(p);
}
