#include "probe/http1.h"

#include <strings.h>

/* Parts of a chunk. */
enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER };

enum { LINE_MAX_LEN = 4096 };

void http1_init(struct http1 *h, const char *identify, bool keep_body) {
    *h = (struct http1){.identify = identify, .keep_body = keep_body};
    h->head.max = HTTP1_HEAD_MAX;
    h->body.max = HTTP1_BODY_MAX;
}

void http1_done(struct http1 *h) {
    sb_done(&h->head);
    sb_done(&h->body);
}

void http1_reset(struct http1 *h) {
    sb_reset(&h->head);
    sb_reset(&h->body);
    h->status = 0;
    h->began = h->close = h->identified = false;
    h->value[0] = '\0';
    h->phase = HTTP1_IN_HEAD;
    h->chunk = CHUNK_SIZE;
    h->left = 0;
}

/* --- the head --- */

struct framing {
    bool chunked, has_length, bad, keep_alive;
    uint64_t length;
};

/* Is `token` one of the comma-separated words of the value? */
static bool has_token(const char *v, size_t n, const char *token) {
    size_t len = strlen(token);
    for (size_t i = 0; i < n;) {
        while (i < n && (v[i] == ' ' || v[i] == '\t' || v[i] == ','))
            i++;
        size_t from = i;
        while (i < n && v[i] != ',')
            i++;
        size_t to = i;
        while (to > from && (v[to - 1] == ' ' || v[to - 1] == '\t'))
            to--;
        if (to - from == len && strncasecmp(v + from, token, len) == 0)
            return true;
    }
    return false;
}

static bool parse_digits(const char *p, size_t n, unsigned base, uint64_t *ret) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i], d;
        if (c >= '0' && c <= '9')
            d = (unsigned char)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            d = (unsigned char)((c | 32) - 'a' + 10);
        else
            return false;
        if (d >= base || v > (UINT64_MAX - d) / base)
            return false;
        v = v * base + d;
    }
    *ret = v;
    return n > 0;
}

static bool name_is(const char *p, size_t n, const char *name) {
    return strlen(name) == n && strncasecmp(p, name, n) == 0;
}

static void header(struct http1 *h, struct framing *f, const char *line, size_t n) {
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line) {
        f->bad = true;
        return;
    }
    size_t name = (size_t)(colon - line);
    const char *v = colon + 1, *end = line + n;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t len = (size_t)(end - v);
    if (name_is(line, name, "content-length")) {
        f->bad |= !parse_digits(v, len, 10, &f->length);
        f->has_length = true;
    } else if (name_is(line, name, "transfer-encoding")) {
        f->chunked |= has_token(v, len, "chunked");
    } else if (name_is(line, name, "connection")) {
        h->close |= has_token(v, len, "close");
        f->keep_alive |= has_token(v, len, "keep-alive");
    } else if (h->identify && !h->identified && name_is(line, name, h->identify)) {
        h->identified = true;
        snprintf(h->value, sizeof h->value, "%.*s", (int)MIN(len, sizeof h->value - 1), v);
    }
}

/* "HTTP/1.1 200 OK" */
static bool status_line(struct http1 *h, const char *line, size_t n) {
    uint64_t status;
    if (n < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
        !parse_digits(line + 9, 3, 10, &status) || (n > 12 && line[12] != ' ') || status < 100)
        return false;
    h->status = (int)status;
    h->close = line[7] == '0';
    return true;
}

/* RFC 9112 section 6.3, for the answer to a GET. */
static enum http1_result choose_body(struct http1 *h, const struct framing *f) {
    if (f->bad)
        return HTTP1_BAD;
    if (f->keep_alive && h->close && !f->has_length && !f->chunked)
        h->close = true; /* HTTP/1.0 without a length ends with the connection whatever it says */
    if (h->status < 200) {
        sb_reset(&h->head);
        h->close = false;
        return h->status == 101 ? HTTP1_BAD : HTTP1_MORE;
    }
    if (h->status == 204 || h->status == 304) {
        h->phase = HTTP1_ENDED;
    } else if (f->chunked) {
        h->phase = HTTP1_IN_CHUNK;
    } else if (f->has_length) {
        h->left = f->length;
        h->phase = f->length ? HTTP1_IN_LENGTH : HTTP1_ENDED;
    } else {
        h->close = true;
        h->phase = HTTP1_TO_END;
    }
    sb_reset(&h->head);
    return h->phase == HTTP1_ENDED ? HTTP1_DONE : HTTP1_MORE;
}

static enum http1_result parse_head(struct http1 *h) {
    struct framing f = {0};
    bool first = true;
    const char *p = h->head.p, *end = p + h->head.len;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl)
            break;
        size_t n = (size_t)(nl - p);
        if (n && p[n - 1] == '\r')
            n--;
        if (first && !status_line(h, p, n))
            return HTTP1_BAD;
        if (!first && n)
            header(h, &f, p, n);
        first = false;
        p = nl + 1;
    }
    return choose_body(h, &f);
}

static bool ends_with_empty_line(const struct sb *b) {
    const char *end = b->p + b->len;
    return (b->len >= 2 && end[-2] == '\n') || (b->len >= 3 && end[-2] == '\r' && end[-3] == '\n');
}

/* Takes bytes up to and with the empty line that ends the head. */
static enum http1_result feed_head(struct http1 *h, const char *p, size_t n, size_t *used) {
    while (*used < n) {
        const char *from = p + *used, *nl = memchr(from, '\n', n - *used);
        size_t len = nl ? (size_t)(nl - from) + 1 : n - *used;
        sb_add(&h->head, from, len);
        *used += len;
        if (h->head.full)
            return HTTP1_LARGE;
        if (h->head.len >= 5 && memcmp(h->head.p, "HTTP/", 5) != 0)
            return HTTP1_BAD;
        if (nl && ends_with_empty_line(&h->head))
            return parse_head(h);
    }
    return HTTP1_MORE;
}

/* --- the body --- */

static void keep(struct http1 *h, const char *p, size_t n) {
    if (h->keep_body && n)
        sb_add(&h->body, p, MIN(n, (size_t)HTTP1_BODY_MAX - h->body.len));
}

static size_t take_left(struct http1 *h, const char *p, size_t n) {
    size_t len = (size_t)MIN((uint64_t)n, h->left);
    keep(h, p, len);
    h->left -= len;
    return len;
}

/* A complete line of the chunked coding stands in h->head. */
static enum http1_result chunk_line(struct http1 *h) {
    size_t n = h->head.len - 1;
    const char *line = h->head.p;
    if (n && line[n - 1] == '\r')
        n--;
    enum http1_result r = HTTP1_MORE;
    if (h->chunk == CHUNK_SIZE) {
        size_t digits = strcspn(line, " \t;\r\n");
        if (!parse_digits(line, MIN(digits, n), 16, &h->left))
            return HTTP1_BAD;
        h->chunk = h->left ? CHUNK_DATA : CHUNK_TRAILER;
    } else if (h->chunk == CHUNK_END) {
        if (n)
            return HTTP1_BAD;
        h->chunk = CHUNK_SIZE;
    } else if (n == 0) {
        h->phase = HTTP1_ENDED;
        r = HTTP1_DONE;
    }
    sb_reset(&h->head);
    return r;
}

static enum http1_result feed_chunk(struct http1 *h, const char *p, size_t n, size_t *used) {
    while (*used < n) {
        if (h->chunk == CHUNK_DATA) {
            *used += take_left(h, p + *used, n - *used);
            if (!h->left)
                h->chunk = CHUNK_END;
            continue;
        }
        const char *from = p + *used, *nl = memchr(from, '\n', n - *used);
        size_t len = nl ? (size_t)(nl - from) + 1 : n - *used;
        sb_add(&h->head, from, len);
        *used += len;
        if (h->head.len > LINE_MAX_LEN)
            return HTTP1_LARGE;
        enum http1_result r = nl ? chunk_line(h) : HTTP1_MORE;
        if (r != HTTP1_MORE)
            return r;
    }
    return HTTP1_MORE;
}

enum http1_result http1_feed(struct http1 *h, const char *p, size_t n, size_t *ret_used) {
    size_t used = 0;
    enum http1_result r = HTTP1_MORE;
    h->began |= n > 0;
    while (r == HTTP1_MORE && used < n) {
        switch (h->phase) {
        case HTTP1_IN_HEAD: r = feed_head(h, p, n, &used); break;
        case HTTP1_IN_CHUNK: r = feed_chunk(h, p, n, &used); break;
        case HTTP1_IN_LENGTH:
            used += take_left(h, p + used, n - used);
            r = h->left ? HTTP1_MORE : HTTP1_DONE;
            break;
        case HTTP1_TO_END:
            keep(h, p + used, n - used);
            used = n;
            break;
        case HTTP1_ENDED: r = HTTP1_DONE; break;
        }
    }
    if (r == HTTP1_DONE)
        h->phase = HTTP1_ENDED;
    *ret_used = used;
    return r;
}

enum http1_result http1_eof(const struct http1 *h) {
    return h->phase == HTTP1_TO_END || h->phase == HTTP1_ENDED ? HTTP1_DONE : HTTP1_MORE;
}
