/* A watch's bytes, however they are cut: the lines that come out are those that went in, none
 * longer than allowed, and each is JSON or a message. */
#include <string.h>

#include "base/json.h"
#include "net/frame.h"

enum { LINE_MAX_BYTES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_line(void *ctx, char *line, size_t len) {
    AUTO_ARENA a = arena_new();
    yyjson_val *root;
    struct err e = {0};
    MUST(len && len <= LINE_MAX_BYTES && !line[len] && !memchr(line, '\n', len));
    MUST(json_parse(a, line, len, &root, &e) >= 0 || e.msg[0]);
    sb_fmt(ctx, "%zu:", len);
    for (size_t i = 0; i < len; i++)
        sb_fmt(ctx, "%02x", (unsigned char)line[i]);
    return 0;
}

/* What comes out when it is fed `step` bytes at a time. */
static int feed(const char *p, size_t n, size_t step, struct sb *out) {
    struct frame f;
    int r = 0;
    frame_init(&f, LINE_MAX_BYTES);
    for (size_t at = 0; r >= 0 && at < n; at += step) {
        struct err e = {0};
        r = frame_feed(&f, p + at, MIN(step, n - at), on_line, out, &e);
        MUST(r >= 0 || e.msg[0]);
    }
    frame_done(&f);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    AUTO_SB whole = SB_INIT(0), cut = SB_INIT(0);
    if (!size)
        return 0;
    const char *p = (const char *)data + 1;
    int a = feed(p, size - 1, size, &whole), b = feed(p, size - 1, 1u + data[0] % 32, &cut);
    MUST((a < 0) == (b < 0));
    MUST(a < 0 || str_eq(sb_get(&whole), sb_get(&cut)));
    return 0;
}
