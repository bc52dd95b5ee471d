/* gzip (RFC 1952) in memory, over zlib. The same bytes in make the same bytes out: no time and no
 * name stand in the header. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

void *gzip_pack(struct arena *a, const void *p, size_t n, size_t *ret_n);
/* One whole member; NUL-terminated beyond *ret_n. -EBADMSG when it is damaged, cut or followed by
 * something; -EFBIG when it would become larger than max. */
int gzip_unpack(struct arena *a, const void *p, size_t n, size_t max, char **ret, size_t *ret_n,
                struct err *e);
