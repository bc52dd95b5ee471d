#include "run/record_parts.h"

#include <errno.h>

#include "base/gzip.h"

/* RAW_MAX: of digests, that gives some 700 KiB of base64. What packs worse is halved. */
enum { RAW_MAX = 3 << 19, UNPACKED_MAX = 1 << 26, TOTAL_MAX = 1 << 30 };

void record_packer_init(struct record_packer *p, record_part_fn fn, void *ctx) {
    *p = (struct record_packer){.fn = fn, .ctx = ctx, .raw = SB_INIT(TOTAL_MAX)};
}

void record_packer_done(struct record_packer *p) {
    sb_done(&p->raw);
}

static int pack(struct record_packer *p, const char *raw, size_t n, struct err *e) {
    AUTO_ARENA a = arena_new();
    size_t packed;
    const void *gz = gzip_pack(a, raw, n, &packed);
    struct record_part part = {.text = base64_encode(a, gz, packed)};
    part.len = strlen(part.text);
    if (part.len > RECORD_PART_MAX) {
        int r = pack(p, raw, n / 2, e);
        return r < 0 ? r : pack(p, raw + n / 2, n - n / 2, e);
    }
    hash_sha256_hex(part.text, part.len, part.sha256);
    return p->fn(p->ctx, &part, e);
}

int record_pack(struct record_packer *p, const char *text, size_t n, struct err *e) {
    size_t at = 0;
    int r = 0;
    sb_add(&p->raw, text, n);
    MUST(!p->raw.full);
    for (; r >= 0 && p->raw.len - at >= RAW_MAX; at += RAW_MAX)
        r = pack(p, p->raw.p + at, RAW_MAX, e);
    if (at && r >= 0) {
        memmove(p->raw.p, p->raw.p + at, p->raw.len - at + 1);
        p->raw.len -= at;
    }
    return r;
}

int record_pack_end(struct record_packer *p, struct err *e) {
    int r = p->raw.len ? pack(p, p->raw.p, p->raw.len, e) : 0;
    sb_reset(&p->raw);
    return r;
}

int record_unpack(const char *text, size_t len, const char *sha256, struct sb *out, struct err *e) {
    AUTO_ARENA a = arena_new();
    char hex[SHA256_HEX], *raw;
    uint8_t *gz;
    size_t packed, n;
    if (!str_eq(hash_sha256_hex(text, len, hex), sha256))
        return err_set(e, -EBADMSG, "a part is not what its hash says");
    int r = base64_decode(a, text, &gz, &packed, e);
    if (r >= 0)
        r = gzip_unpack(a, gz, packed, UNPACKED_MAX, &raw, &n, e);
    if (r < 0)
        return err_set(e, -EBADMSG, "a part cannot be unpacked: %s", err_msg(e));
    sb_add(out, raw, n);
    return out->full ? err_set(e, -EFBIG, "it is larger than can be read") : 0;
}
