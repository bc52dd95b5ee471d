#include "base/ip.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/str.h"

bool ip_range_parse(const char *text, struct ip_range *ret) {
    char buf[64];
    if (!text || strlen(text) >= sizeof buf)
        return false;
    snprintf(buf, sizeof buf, "%s", text);
    char *slash = strchr(buf, '/');
    struct ip_range r = {.family = strchr(buf, ':') ? AF_INET6 : AF_INET};
    uint64_t bits, most = r.family == AF_INET ? 32 : 128;
    if (slash)
        *slash = 0;
    if (!slash)
        bits = most;
    else if (str_u64(slash + 1, &bits) < 0 || bits > most)
        return false;
    r.bits = (unsigned)bits;
    if (inet_pton(r.family, buf, r.addr) != 1)
        return false;
    *ret = r;
    return true;
}

bool ip_range_covers(const struct ip_range *outer, const struct ip_range *inner) {
    if (!outer->family || outer->family != inner->family || outer->bits > inner->bits)
        return false;
    unsigned bytes = outer->bits / 8, rest = outer->bits % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);
    return memcmp(outer->addr, inner->addr, bytes) == 0 &&
           (!rest || (outer->addr[bytes] & mask) == (inner->addr[bytes] & mask));
}

static bool inside(char c) {
    return isxdigit((unsigned char)c) || c == '.' || c == ':';
}

static bool wordy(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* 10.0.0.1:80 is an address and a port, fd00::1 is all address. A full stop that ends a sentence is
 * none of it. */
static bool parse_run(const char *s, size_t n, struct ip_range *ret) {
    char buf[64];
    const char *colon = memchr(s, ':', n);
    if (colon && memchr(s, '.', (size_t)(colon - s)))
        n = (size_t)(colon - s);
    while (n && s[n - 1] == '.')
        n--;
    if (n < 3 || n >= sizeof buf)
        return false;
    snprintf(buf, sizeof buf, "%.*s", (int)n, s);
    return (memchr(buf, '.', n) || strstr(buf, "::") || colon) && ip_range_parse(buf, ret);
}

bool ip_next(const char **at, const char **ret_from, struct ip_range *ret) {
    const char *p = *at;
    while (*p) {
        if (!inside(*p)) {
            /* What is glued to a word is a part of it, or none: v1.2.3.4, x-10.0.0.1 */
            bool word = wordy(*p);
            p++;
            while (word && (wordy(*p) || *p == '.'))
                p++;
            continue;
        }
        const char *from = p[0] == ':' && p[1] != ':' ? p + 1 : p;
        while (inside(*p))
            p++;
        if (!wordy(*p) && p > from && parse_run(from, (size_t)(p - from), ret)) {
            *at = p;
            *ret_from = from;
            return true;
        }
        while (*p && (inside(*p) || wordy(*p)))
            p++;
    }
    *at = p;
    return false;
}
