#include "net/frame.h"

#include <errno.h>

void frame_init(struct frame *f, size_t max) {
    f->buf = (struct sb)SB_INIT(max);
}

void frame_done(struct frame *f) {
    sb_done(&f->buf);
}

int frame_feed(struct frame *f, const char *p, size_t n,
               int (*fn)(void *ctx, char *line, size_t len), void *ctx, struct err *e) {
    while (n) {
        const char *nl = memchr(p, '\n', n);
        size_t part = nl ? (size_t)(nl - p) : n;
        sb_add(&f->buf, p, part);
        if (f->buf.full)
            return err_set(e, -EMSGSIZE, "a line of the stream is longer than %zu bytes",
                           f->buf.max);
        if (!nl)
            return 0;
        int r = f->buf.len ? fn(ctx, f->buf.p, f->buf.len) : 0;
        sb_reset(&f->buf);
        if (r < 0)
            return r;
        p += part + 1;
        n -= part + 1;
    }
    return 0;
}
