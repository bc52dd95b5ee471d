#include <errno.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "kube/auth_impl.h"

enum { PEM_MAX = 4 << 20 };

static const char BEGIN[] = "-----BEGIN ";

int auth_pem(struct kc_view *v, const char *key, struct source *ret) {
    AUTO_ARENA tmp = arena_new();
    const char *data_key = arena_printf(tmp, "%s-data", key);
    const char *data = kc_str(v, data_key);
    const char *path = data ? NULL : kc_path(v, key);
    if (v->r < 0)
        return v->r;
    if (!data) {
        *ret = (struct source){.path = path};
        return 0;
    }
    uint8_t *pem;
    size_t n;
    yyjson_mut_val *at = yyjson_mut_obj_get(v->obj, data_key);
    if (base64_decode(v->a, data, &pem, &n, NULL) < 0)
        return v->r = kc_error(v->e, -EINVAL, v->en, at, "%s is not base64", data_key);
    if (!strstr((char *)pem, BEGIN))
        return v->r = kc_error(v->e, -EINVAL, v->en, at, "%s holds no PEM block", data_key);
    *ret = (struct source){.text = (char *)pem};
    return 0;
}

static bool same_file(const struct stat *x, const struct stat *y) {
    return x->st_dev == y->st_dev && x->st_ino == y->st_ino && x->st_size == y->st_size &&
           x->st_mtim.tv_sec == y->st_mtim.tv_sec && x->st_mtim.tv_nsec == y->st_mtim.tv_nsec;
}

int source_refresh(struct arena *a, struct source *s, bool force, struct err *e) {
    if (!s->path)
        return 0;
    struct stat st;
    int r = stat(s->path, &st) < 0 ? -errno : 0;
    if (r == 0 && s->text && !force && same_file(&st, &s->seen))
        return 0;
    AUTO_ARENA tmp = arena_new();
    char *text;
    size_t n;
    struct err why = {0};
    r = file_read(tmp, s->path, PEM_MAX, &text, &n, &why);
    if (r < 0 && s->text) {
        log_debug("%s; the last good content stays in use", err_msg(&why));
        return 0;
    }
    if (r < 0) {
        if (e)
            *e = why;
        return r;
    }
    s->seen = st;
    if (!str_eq(text, s->text))
        s->text = arena_strndup(a, text, n);
    return 0;
}

/* The next certificate of a PEM text, decoded; NULL at the end. */
static const char *next_cert(struct arena *a, const char *p, uint8_t **der, size_t *len) {
    static const char from[] = "-----BEGIN CERTIFICATE-----", to[] = "-----END CERTIFICATE-----";
    for (; (p = strstr(p, from)); p++) {
        p += sizeof from - 1;
        const char *end = strstr(p, to);
        if (!end)
            return NULL;
        if (base64_decode(a, arena_strndup(a, p, (size_t)(end - p)), der, len, NULL) == 0)
            return end;
    }
    return NULL;
}

enum { CERTS_MAX = 256 };

static int compare_digests(const void *x, const void *y) {
    return memcmp(x, y, SHA256_LEN);
}

const char *auth_ca_fingerprint(struct arena *a, const char *pem) {
    if (!pem)
        return "";
    AUTO_ARENA tmp = arena_new();
    uint8_t(*digest)[SHA256_LEN] = arena_alloc(tmp, (size_t)CERTS_MAX * SHA256_LEN);
    uint8_t *der;
    size_t len, n = 0;
    while (n < CERTS_MAX && (pem = next_cert(tmp, pem, &der, &len)))
        hash_sha256(der, len, digest[n++]);
    if (!n)
        return "";
    if (n == 1)
        return hash_hex(digest[0], SHA256_LEN, arena_raw(a, SHA256_HEX));
    qsort(digest, n, SHA256_LEN, compare_digests);
    return hash_sha256_hex(digest, n * SHA256_LEN, arena_raw(a, SHA256_HEX));
}
