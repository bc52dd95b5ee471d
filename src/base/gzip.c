#include "base/gzip.h"

#include <errno.h>
#include <zlib.h>

/* BEST_SPEED: what is packed here is mostly hexadecimal digits, of which a better search finds
 * hardly more. */
enum { GZIP_BITS = 15 + 16, MEM_LEVEL = 8, ROOM = 64 * 1024 };

void *gzip_pack(struct arena *a, const void *p, size_t n, size_t *ret_n) {
    z_stream z = {0};
    MUST(n <= UINT32_MAX);
    MUST(deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_BITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) ==
         Z_OK);
    size_t room = deflateBound(&z, n);
    uint8_t *out = arena_raw(a, room);
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    int r = deflate(&z, Z_FINISH);
    *ret_n = z.total_out;
    deflateEnd(&z);
    MUST(r == Z_STREAM_END);
    return out;
}

/* Until the end of the member: 0 then, else negative. The buffer grows with what comes, so that a
 * few bytes that claim to be gigabytes cost no more than max. */
static int inflate_all(z_stream *z, char **buf, size_t *cap, size_t max, struct err *e) {
    for (;;) {
        if (z->total_out == *cap) {
            if (*cap >= max)
                return err_set(e, -EFBIG, "it unpacks to more than %zu bytes", max);
            *cap = MIN(*cap * 2 + ROOM, max);
            *buf = xrealloc(*buf, *cap + 1);
        }
        z->next_out = (Bytef *)*buf + z->total_out;
        z->avail_out = (uInt)(*cap - z->total_out);
        uint64_t before = z->total_out;
        int r = inflate(z, Z_NO_FLUSH);
        if (r == Z_STREAM_END)
            return z->avail_in ? err_set(e, -EBADMSG, "something follows its end") : 0;
        MUST(r != Z_MEM_ERROR);
        bool stuck = z->total_out == before && z->avail_out;
        if ((r != Z_OK && r != Z_BUF_ERROR) || stuck)
            return err_set(e, -EBADMSG, "it is cut or damaged");
    }
}

int gzip_unpack(struct arena *a, const void *p, size_t n, size_t max, char **ret, size_t *ret_n,
                struct err *e) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n};
    char *buf = NULL;
    size_t cap = 0;
    MUST(n <= UINT32_MAX && max <= UINT32_MAX);
    MUST(inflateInit2(&z, GZIP_BITS) == Z_OK);
    int r = inflate_all(&z, &buf, &cap, max, e);
    size_t len = z.total_out;
    inflateEnd(&z);
    if (r < 0) {
        xfree(buf);
        return r;
    }
    buf[len] = 0;
    arena_adopt(a, buf);
    *ret = buf;
    *ret_n = len;
    return 0;
}
