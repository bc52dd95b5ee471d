/* Cuts a byte stream into lines, for newline-delimited JSON (Kubernetes watch). One thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct frame {
    struct sb buf;
};

/* A line may not exceed max bytes. */
void frame_init(struct frame *f, size_t max);
void frame_done(struct frame *f);
/* Feeds bytes; fn is called for each whole non-empty line (without "\n", NUL-terminated, valid
 * during the call). A negative return of fn stops and is returned. -EMSGSIZE when a line is too
 * long. */
int frame_feed(struct frame *f, const char *p, size_t n,
               int (*fn)(void *ctx, char *line, size_t len), void *ctx, struct err *e);
