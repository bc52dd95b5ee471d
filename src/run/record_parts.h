/* Parts of a record: its text cut, packed and named by its hash, each small enough for a ConfigMap.
 *
 * The text is cut at fixed places from its beginning, so that what has not changed since gives the
 * same parts, which need not be written again. One thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

/* Of a ConfigMap's 1 MiB. */
enum { RECORD_PART_MAX = 900 * 1024 };

struct record_part {
    char sha256[SHA256_HEX]; /* of text */
    const char *text;        /* base64 of gzip; lives as long as the call */
    size_t len;
};
/* Negative ends the packing and is returned. */
typedef int (*record_part_fn)(void *ctx, const struct record_part *p, struct err *e);

struct record_packer {
    record_part_fn fn;
    void *ctx;
    struct sb raw; /* not packed yet */
};
void record_packer_init(struct record_packer *p, record_part_fn fn, void *ctx);
void record_packer_done(struct record_packer *p);
int record_pack(struct record_packer *p, const char *text, size_t n, struct err *e);
/* What is left becomes the last part; the packer can begin anew. */
int record_pack_end(struct record_packer *p, struct err *e);

/* Appends a part's text, unpacked, to out; -EBADMSG when it is not what sha256 says, or damaged. */
int record_unpack(const char *text, size_t len, const char *sha256, struct sb *out, struct err *e);
