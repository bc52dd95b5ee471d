#include "migrate/uid.h"

#include <string.h>

#include "base/hash.h"

/* Value plus one of a digit, 0: none. A table, since every object of both clusters comes by here.
 */
static const uint8_t digit_of[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static bool is_dash(size_t at) {
    return at == 8 || at == 13 || at == 18 || at == 23;
}

/* False when the text is no UUID; out is half filled then. */
static bool read_uuid(const char *text, struct uid *out) {
    size_t n = 0;
    for (size_t i = 0; i < UID_TEXT_MAX - 1; i++) {
        if (is_dash(i)) {
            if (text[i] != '-')
                return false;
            continue;
        }
        unsigned v = digit_of[(uint8_t)text[i]];
        if (!v--)
            return false;
        out->b[n / 2] = (uint8_t)(n % 2 ? out->b[n / 2] | v : v << 4);
        n++;
    }
    return !text[UID_TEXT_MAX - 1] && uid_given(*out);
}

struct uid uid_of(const char *text) {
    struct uid u = {0};
    if (!text || !*text || read_uuid(text, &u))
        return u;
    uint8_t full[SHA256_LEN];
    hash_sha256(text, strlen(text), full);
    memcpy(u.b, full, sizeof u.b);
    return u;
}

bool uid_given(struct uid u) {
    static const struct uid none;
    return memcmp(&u, &none, sizeof u) != 0;
}

bool uid_same(struct uid x, struct uid y) {
    return memcmp(&x, &y, sizeof x) == 0;
}

bool uid_is_uuid(const char *text) {
    struct uid u;
    return read_uuid(text, &u);
}

const char *uid_text(struct uid u, char out[UID_TEXT_MAX]) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < UID_TEXT_MAX - 1; i++) {
        if (is_dash(i)) {
            out[i] = '-';
            continue;
        }
        out[i] = digits[n % 2 ? u.b[n / 2] & 15 : u.b[n / 2] >> 4];
        n++;
    }
    out[UID_TEXT_MAX - 1] = 0;
    return out;
}

void uid_set_add(struct uid_set *s, struct uid u) {
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap + s->cap / 2 : 256;
        s->v = xrealloc(s->v, s->cap * sizeof *s->v);
    }
    s->v[s->n++] = u;
}

static int cmp_uid(const void *x, const void *y) {
    return memcmp(x, y, sizeof(struct uid));
}

void uid_set_sort(struct uid_set *s) {
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, cmp_uid);
    size_t n = s->n > 0;
    for (size_t i = 1; i < s->n; i++) /* each once */
        if (!uid_same(s->v[i], s->v[n - 1]))
            s->v[n++] = s->v[i];
    s->n = n;
}

bool uid_set_has(const struct uid_set *s, struct uid u) {
    return s->n && bsearch(&u, s->v, s->n, sizeof *s->v, cmp_uid);
}

void uid_set_done(struct uid_set *s) {
    xfree(s->v);
    *s = (struct uid_set){0};
}
