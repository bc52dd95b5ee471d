#include "base/str.h"

#include <errno.h>

static bool sb_room(struct sb *b, size_t n) {
    size_t max = b->max ? b->max : SIZE_MAX / 2;
    if (b->full || n > max || b->len > max - n) {
        b->full = true;
        return false;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        while (cap < b->len + n + 1)
            cap *= 2;
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
    return true;
}

void sb_add(struct sb *b, const char *s, size_t n) {
    if (!sb_room(b, n))
        return;
    if (n)
        memcpy(b->p + b->len, s, n);
    b->len += n;
    b->p[b->len] = 0;
}

void sb_str(struct sb *b, const char *s) {
    sb_add(b, s, strlen(s));
}

void sb_chr(struct sb *b, char c) {
    sb_add(b, &c, 1);
}

void sb_fmt(struct sb *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    MUST(n >= 0);
    if (sb_room(b, (size_t)n)) {
        vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void sb_reset(struct sb *b) {
    b->len = 0;
    b->full = false;
    if (b->p)
        b->p[0] = 0;
}

void sb_done(struct sb *b) {
    xfree(b->p);
    b->p = NULL;
    b->len = b->cap = 0;
}

char *sb_take(struct sb *b) {
    if (!b->p)
        sb_str(b, "");
    b->len = b->cap = 0;
    return TAKE(b->p);
}

const char *sb_get(const struct sb *b) {
    return b->p ? b->p : "";
}

void sb_json(struct sb *b, const char *s, size_t n) {
    sb_chr(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            sb_fmt(b, "\\%c", c);
        else if (c == '\n')
            sb_str(b, "\\n");
        else if (c == '\t')
            sb_str(b, "\\t");
        else if (c < 0x20)
            sb_fmt(b, "\\u%04x", c);
        else
            sb_chr(b, (char)c);
    }
    sb_chr(b, '"');
}

static bool unreserved(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void sb_urlenc(struct sb *b, const char *s) {
    for (; *s; s++) {
        if (unreserved((unsigned char)*s))
            sb_chr(b, *s);
        else
            sb_fmt(b, "%%%02X", (unsigned char)*s);
    }
}

void sb_html(struct sb *b, const char *s) {
    for (; *s; s++) {
        switch (*s) {
        case '&': sb_str(b, "&amp;"); break;
        case '<': sb_str(b, "&lt;"); break;
        case '>': sb_str(b, "&gt;"); break;
        case '"': sb_str(b, "&quot;"); break;
        case '\'': sb_str(b, "&#39;"); break;
        default: sb_chr(b, *s);
        }
    }
}

static void strvec_own(struct strvec *v, char *s) {
    if (v->n + 2 > v->cap) {
        v->cap = v->cap ? v->cap * 2 : 8;
        v->v = xrealloc(v->v, v->cap * sizeof *v->v);
    }
    v->v[v->n++] = s;
    v->v[v->n] = NULL;
}

void strvec_add(struct strvec *v, const char *s) {
    strvec_own(v, xstrdup(s));
}

void strvec_fmt(struct strvec *v, const char *fmt, ...) {
    struct sb b = SB_INIT(0);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    MUST(n >= 0 && sb_room(&b, (size_t)n));
    va_start(ap, fmt);
    vsnprintf(b.p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    strvec_own(v, b.p);
}

void strvec_split(struct strvec *v, const char *s, char sep) {
    while (s && *s) {
        const char *e = strchr(s, sep);
        size_t n = e ? (size_t)(e - s) : strlen(s);
        if (n)
            strvec_fmt(v, "%.*s", (int)n, s);
        s = e ? e + 1 : NULL;
    }
}

bool strvec_has(const struct strvec *v, const char *s) {
    for (size_t i = 0; i < v->n; i++)
        if (str_eq(v->v[i], s))
            return true;
    return false;
}

void strvec_done(struct strvec *v) {
    for (size_t i = 0; i < v->n; i++)
        xfree(v->v[i]);
    xfree(v->v);
    *v = (struct strvec){0};
}

bool str_starts(const char *s, const char *prefix) {
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix) {
    size_t n = s ? strlen(s) : 0, m = strlen(suffix);
    return s && n >= m && strcmp(s + n - m, suffix) == 0;
}

bool str_glob(const char *pattern, const char *s) {
    if (!pattern)
        return true;
    const char *star = NULL, *back = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = pattern++;
            back = s;
        } else if (*pattern == '?' || *pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star + 1;
            s = ++back;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

int str_u64(const char *s, uint64_t *ret) {
    if (str_empty(s))
        return -EINVAL;
    uint64_t v = 0;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        uint64_t d = (uint64_t)(*s - '0');
        if (v > (UINT64_MAX - d) / 10)
            return -ERANGE;
        v = v * 10 + d;
    }
    *ret = v;
    return 0;
}

enum { DISTANCE_MAX = 64 };

size_t str_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > DISTANCE_MAX || m > DISTANCE_MAX)
        return SIZE_MAX;
    size_t row[DISTANCE_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t up = row[j], cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), diag + cost);
            diag = up;
        }
    }
    return row[m];
}

const char *str_nearest(const char *s, const char *const *cand, size_t n) {
    const char *best = NULL;
    size_t best_d = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t d = str_distance(s, cand[i]);
        if (d < best_d) {
            best_d = d;
            best = cand[i];
        }
    }
    return best_d <= MAX((size_t)2, strlen(s) / 3) ? best : NULL;
}
