/* Digests, base64, random bytes, over OpenSSL. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum { SHA256_LEN = 32, SHA256_HEX = 65 };

void hash_sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
void hash_hmac256(const void *key, size_t key_len, const void *p, size_t n,
                  uint8_t out[SHA256_LEN]);
/* Lower-case hex of n bytes; out has 2n+1 bytes; returned. */
const char *hash_hex(const uint8_t *p, size_t n, char *out);
/* SHA-256 as hex, in one go. */
const char *hash_sha256_hex(const void *p, size_t n, char out[SHA256_HEX]);
void hash_random(void *p, size_t n);

/* SipHash-2-4 (Aumasson, Bernstein 2012) of n bytes: a keyed digest of 64 bits that costs
 * nanoseconds, for many short inputs. */
uint64_t hash_sip(uint64_t k0, uint64_t k1, const void *p, size_t n);

/* A digest over several pieces. */
struct hash;
struct hash *hash_new(void);
void hash_add(struct hash *h, const void *p, size_t n);
void hash_end(struct hash *h, uint8_t out[SHA256_LEN]); /* frees h */

char *base64_encode(struct arena *a, const void *p, size_t n);
/* Standard alphabet, line breaks ignored. -EINVAL on anything else. The result is NUL-terminated
 * beyond *ret_len. */
int base64_decode(struct arena *a, const char *s, uint8_t **ret, size_t *ret_len, struct err *e);
