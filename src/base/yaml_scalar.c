#include "base/yaml_scalar.h"

#include <errno.h>

static bool is_one_of(const char *s, size_t n, const char *const *words) {
    for (; *words; words++)
        if (strlen(*words) == n && memcmp(*words, s, n) == 0)
            return true;
    return false;
}

static size_t digits(const char *s, size_t n, size_t i) {
    while (i < n && s[i] >= '0' && s[i] <= '9')
        i++;
    return i;
}

/* RFC 8259, section 6. */
static bool is_json_number(const char *s, size_t n) {
    size_t i = n && s[0] == '-' ? 1 : 0, start = i;
    i = digits(s, n, i);
    if (i == start || (s[start] == '0' && i - start > 1))
        return false;
    if (i < n && s[i] == '.') {
        start = ++i;
        i = digits(s, n, i);
        if (i == start)
            return false;
    }
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        if (i < n && (s[i] == '+' || s[i] == '-'))
            i++;
        start = i;
        i = digits(s, n, i);
        if (i == start)
            return false;
    }
    return i == n;
}

enum yaml_kind yaml_plain_kind(const char *s, size_t n) {
    static const struct {
        enum yaml_kind kind;
        const char *words[6];
    } table[] = {
        {YAML_NULL, {"", "~", "null", "Null", "NULL"}},
        {YAML_TRUE, {"true", "True", "TRUE"}},
        {YAML_FALSE, {"false", "False", "FALSE"}},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (is_one_of(s, n, table[i].words))
            return table[i].kind;
    return is_json_number(s, n) ? YAML_NUMBER : YAML_STRING;
}

const char *yaml_kind_name(enum yaml_kind k) {
    static const char *const names[] = {"a string", "a number", "a boolean", "a boolean", "null"};
    return names[k];
}

/* Length of the sequence that starts with c, and the least code point it may stand for. */
static size_t utf8_len(unsigned char c, uint32_t *ret_bits, uint32_t *ret_least) {
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if ((c & forms[i].mask) != forms[i].lead)
            continue;
        *ret_bits = c & (unsigned char)~forms[i].mask;
        *ret_least = forms[i].least;
        return i + 1;
    }
    return 0;
}

/* Length of the valid character at s, 0 when it is none. */
static size_t utf8_char(const char *s, size_t n) {
    uint32_t cp, least;
    size_t len = utf8_len((unsigned char)s[0], &cp, &least);
    if (!len || len > n)
        return 0;
    for (size_t k = 1; k < len; k++) {
        unsigned char c = (unsigned char)s[k];
        if ((c & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (c & 0x3f);
    }
    return cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff) ? 0 : len;
}

size_t yaml_utf8_prefix(const char *s, size_t n) {
    size_t i = 0;
    for (size_t len; i < n && (len = utf8_char(s + i, n - i)) > 0;)
        i += len;
    return i;
}

size_t yaml_text_prefix(const char *s, size_t n) {
    n = yaml_utf8_prefix(s, n);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return i;
    }
    return n;
}

static size_t name_len(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && (s[i] == '_' || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') ||
                     (i && s[i] >= '0' && s[i] <= '9')))
        i++;
    return i;
}

/* s points behind "${"; *ret_used counts the closing brace. */
static int expand_one(struct sb *out, const char *s, size_t n, size_t *ret_used, struct err *e) {
    char name[128];
    size_t len = name_len(s, n);
    if (!len || len >= sizeof name || len == n || s[len] != '}')
        return err_set(e, -EINVAL,
                       "\"${\" must be followed by the name of an environment variable and \"}\" "
                       "(write $${ for a literal ${)");
    memcpy(name, s, len);
    name[len] = 0;
    const char *value = getenv(name);
    if (!value)
        return err_set(e, -EINVAL, "environment variable %s is not set", name);
    sb_str(out, value);
    *ret_used = len + 1;
    return 0;
}

int yaml_expand(struct sb *out, const char *s, size_t n, struct err *e) {
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && memcmp(s + i, "$${", 3) == 0) {
            sb_str(out, "${");
            i += 3;
        } else if (n - i >= 2 && s[i] == '$' && s[i + 1] == '{') {
            size_t used = 0;
            int r = expand_one(out, s + i + 2, n - i - 2, &used, e);
            if (r < 0)
                return r;
            i += 2 + used;
        } else {
            sb_chr(out, s[i++]);
        }
    }
    return out->full ? err_set(e, -EFBIG, "larger than %zu bytes after expansion", out->max) : 0;
}
