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
