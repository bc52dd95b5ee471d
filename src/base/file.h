/* Files read whole and written so that a crash leaves the old or the new content. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* The content, NUL-terminated beyond *ret_len; refused above max bytes (-EFBIG). */
int file_read(struct arena *a, const char *path, size_t max, char **ret, size_t *ret_len,
              struct err *e);
/* Temporary file beside it, fsync, rename, fsync of the folder. An existing file keeps its mode
 * and owner; a new one gets `mode`. */
int file_write_atomic(const char *path, const void *p, size_t n, unsigned mode, struct err *e);
bool file_exists(const char *path);
/* mkdir -p. */
int file_mkdirs(const char *path, unsigned mode, struct err *e);
/* "~/x" and relative paths made absolute against `base_dir` (NULL: the working directory). */
char *file_resolve(struct arena *a, const char *base_dir, const char *path);
char *file_dirname(struct arena *a, const char *path);
