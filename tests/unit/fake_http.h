/* A scripted HTTP server for tests: what it does with a request is told by a table, by path. Runs
 * on threads of its own, on a free port of 127.0.0.1; with or without TLS. */
#pragma once

#include "base/util.h"

enum fake_then { FAKE_KEEP, FAKE_CLOSE, FAKE_RESET, FAKE_HANG };

struct fake_reply {
    const char *path; /* "*" matches every one */
    const char *raw;  /* the bytes sent; NULL: none. "ECHO": 200 with the request as the body */
    unsigned delay_ms;
    unsigned repeat, every_ms; /* after raw, `again` is sent so many times, at this distance */
    const char *again;
    enum fake_then then;
    unsigned times; /* the row is used so often, then a later one of the path; 0: for ever */
};

struct fake_tls {
    const char *cert_pem, *key_pem;
    const char *client_ca_pem; /* a client certificate of this CA is asked for and required */
};

struct fake;

/* The table must outlive the server. */
struct fake *fake_start(const struct fake_reply *replies, size_t n, const struct fake_tls *tls);
/* One that ends each connection at its first bytes: FAKE_CLOSE or FAKE_RESET. */
struct fake *fake_start_rude(enum fake_then how);
void fake_stop(struct fake *f);
int fake_port(const struct fake *f);
/* Counts since the start: connections accepted, whole requests read, of them with this path. */
unsigned fake_accepted(struct fake *f);
unsigned fake_requests(struct fake *f);
unsigned fake_hits(struct fake *f, const char *path);
unsigned fake_resumed(struct fake *f); /* TLS handshakes that took up an earlier session */
/* Closes every connection that is open now. */
void fake_drop_connections(struct fake *f);

/* A port where connecting never ends: the queue of its listener is full. */
struct fake_blackhole;
struct fake_blackhole *fake_blackhole_new(void);
int fake_blackhole_port(const struct fake_blackhole *b);
void fake_blackhole_free(struct fake_blackhole *b);

/* Certificates made on the spot. */
struct fake_cert {
    char cert_pem[2048], key_pem[1024];
};
/* alt: "DNS:x,IP:y", or NULL for a CA. by: the CA that signs, or NULL: itself. */
void fake_cert_make(struct fake_cert *out, const char *name, const char *alt,
                    const struct fake_cert *by);
