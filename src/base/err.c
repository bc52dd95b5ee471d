#include "base/err.h"

#include <stdarg.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...) {
    MUST(code < 0);
    if (!e)
        return code;
    *e = (struct err){.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return code;
}

int err_ctx(struct err *e, int r, const char *fmt, ...) {
    if (!e)
        return r;
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof e->msg)
        n = (int)sizeof e->msg - 1;
    snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", old);
    return r;
}

int err_errno(struct err *e, int errno_value, const char *fmt, ...) {
    if (!e)
        return -errno_value;
    *e = (struct err){.code = -errno_value};
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof e->msg)
        n = (int)sizeof e->msg - 1;
    snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", strerror(errno_value));
    return -errno_value;
}

const char *err_msg(const struct err *e) {
    return e && e->msg[0] ? e->msg : "unknown error";
}
