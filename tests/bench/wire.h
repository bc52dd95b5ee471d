/* One TLS connection to an API server with blocking calls: what the bare loop is made of.
 *
 * A target is shared by all threads, a connection belongs to one. Nothing here is tandem's: the
 * bench measures against it, so it must not share the code that is measured. */
#pragma once

#include <openssl/ssl.h>

#include "base/err.h"

struct target {
    char host[128], port[8];
    SSL_CTX *ctx;
};

enum { WIRE_BUF = 64 * 1024, WIRE_KEEP = 4096 };

struct wire {
    const struct target *to;
    SSL *ssl;
    int fd;
    char out[WIRE_BUF]; /* a request that fits leaves in one TLS record */
    char in[WIRE_BUF];
    size_t in_len, in_at;
};

struct answer {
    int status;
    size_t body_len;
    char head[WIRE_KEEP + 1]; /* the first bytes of the body, NUL-terminated */
    size_t head_len;
};

/* "HOST:PORT,CA,CERT,KEY": PEM files. */
int target_open(const char *spec, struct target *ret, struct err *e);
void target_close(struct target *t);

int wire_open(struct wire *w, const struct target *to, struct err *e);
void wire_close(struct wire *w);

struct request {
    const char *method, *path, *body; /* not NUL-terminated */
    size_t method_len, path_len, body_len;
};
/* Sends and waits for the whole answer. Negative: the connection is of no use any more. */
int wire_do(struct wire *w, const struct request *r, struct answer *ret, struct err *e);
