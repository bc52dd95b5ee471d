#include "base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

void hash_sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]) {
    MUST(EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1);
}

void hash_hmac256(const void *key, size_t key_len, const void *p, size_t n,
                  uint8_t out[SHA256_LEN]) {
    unsigned len = SHA256_LEN;
    MUST(HMAC(EVP_sha256(), key, (int)key_len, p, n, out, &len));
}

const char *hash_hex(const uint8_t *p, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

const char *hash_sha256_hex(const void *p, size_t n, char out[SHA256_HEX]) {
    uint8_t d[SHA256_LEN];
    hash_sha256(p, n, d);
    return hash_hex(d, sizeof d, out);
}

void hash_random(void *p, size_t n) {
    MUST(RAND_bytes(p, (int)n) == 1);
}

/* --- SipHash-2-4; OpenSSL's takes longer to set up than a short input takes to digest --- */

static uint64_t le64(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint64_t rotate(uint64_t v, unsigned by) {
    return v << by | v >> (64 - by);
}

static void sip_rounds(uint64_t v[4], unsigned n) {
    for (; n; n--) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t m) {
    v[3] ^= m;
    sip_rounds(v, 2);
    v[0] ^= m;
}

uint64_t hash_sip(uint64_t k0, uint64_t k1, const void *data, size_t n) {
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    const uint8_t *p = data;
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8)
        sip_word(v, le64(p, 8));
    sip_word(v, le64(p, left) | (uint64_t)n << 56);
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct hash {
    EVP_MD_CTX *ctx;
};

struct hash *hash_new(void) {
    struct hash *h = xcalloc(1, sizeof *h);
    h->ctx = EVP_MD_CTX_new();
    MUST(h->ctx && EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1);
    return h;
}

void hash_add(struct hash *h, const void *p, size_t n) {
    MUST(EVP_DigestUpdate(h->ctx, p, n) == 1);
}

void hash_end(struct hash *h, uint8_t out[SHA256_LEN]) {
    MUST(EVP_DigestFinal_ex(h->ctx, out, NULL) == 1);
    EVP_MD_CTX_free(h->ctx);
    xfree(h);
}

char *base64_encode(struct arena *a, const void *p, size_t n) {
    char *out = arena_raw(a, 4 * ((n + 2) / 3) + 1);
    EVP_EncodeBlock((unsigned char *)out, p, (int)n);
    return out;
}

int base64_decode(struct arena *a, const char *s, uint8_t **ret, size_t *ret_len, struct err *e) {
    size_t n = strlen(s), pad = 0, len = 0;
    uint8_t *in = arena_raw(a, n + 1);
    for (size_t i = 0; i < n; i++)
        if (s[i] != '\n' && s[i] != '\r' && s[i] != ' ')
            in[len++] = (uint8_t)s[i];
    while (pad < 2 && len > pad && in[len - 1 - pad] == '=')
        pad++;
    uint8_t *out = arena_raw(a, len / 4 * 3 + 4);
    int got = len % 4 == 0 ? EVP_DecodeBlock(out, in, (int)len) : -1;
    if (got < 0)
        return err_set(e, -EINVAL, "not valid base64");
    *ret_len = (size_t)got - (len ? pad : 0);
    out[*ret_len] = 0;
    *ret = out;
    return 0;
}
