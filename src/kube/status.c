/* HTTP statuses and Status objects as errors.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
#include <errno.h>

#include "kube/client_impl.h"

static const struct row {
    int http;
    const char *reason; /* NULL: any */
    int code;
    bool retry;
    const char *phrase; /* when the Status gives no reason */
} rows[] = {
    {400, NULL, -EINVAL, false, "Bad Request"},
    {401, NULL, -EPERM, false, "Unauthorized"},
    {403, NULL, -EACCES, false, "Forbidden"},
    {404, NULL, -ENOENT, false, "Not Found"},
    {405, NULL, -EOPNOTSUPP, false, "Method Not Allowed"},
    {406, NULL, -EOPNOTSUPP, false, "Not Acceptable"},
    {409, "AlreadyExists", -EEXIST, false, "AlreadyExists"},
    {409, NULL, -EAGAIN, false, "Conflict"},
    {410, NULL, -ESTALE, false, "Gone"},
    {413, NULL, -EINVAL, false, "Request Entity Too Large"},
    {415, NULL, -EOPNOTSUPP, false, "Unsupported Media Type"},
    {422, NULL, -EINVAL, false, "Unprocessable Entity"},
    {429, NULL, -EBUSY, true, "Too Many Requests"},
    {500, NULL, -EREMOTEIO, true, "Internal Server Error"},
    {502, NULL, -EREMOTEIO, true, "Bad Gateway"},
    {503, NULL, -EBUSY, true, "Service Unavailable"},
    {504, NULL, -EREMOTEIO, true, "Gateway Timeout"},
};

static const struct row *row_of(int http, const char *reason) {
    static const struct row ranges[] = {{0, NULL, -EPROTO, false, "Unexpected Answer"},
                                        {4, NULL, -EINVAL, false, "Refused"},
                                        {5, NULL, -EREMOTEIO, true, "Server Error"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].http == http && (!rows[i].reason || str_eq(rows[i].reason, reason)))
            return &rows[i];
    for (size_t i = 1; i < COUNT_OF(ranges); i++)
        if (http / 100 == ranges[i].http)
            return &ranges[i];
    return &ranges[0];
}

int kube_status_code(int http, const char *reason) {
    return row_of(http, reason)->code;
}

int kube_status_err(struct err *e, const char *what, int http, yyjson_val *status) {
    bool is = str_eq(json_str(status, "kind"), "Status");
    const char *reason = is ? json_str(status, "reason") : NULL;
    const char *message = is ? json_str(status, "message") : NULL;
    const struct row *row = row_of(http, reason);
    err_set(e, row->code, "%s: %d %s%s%s", what, http, str_empty(reason) ? row->phrase : reason,
            str_empty(message) ? "" : ": ", str_empty(message) ? "" : message);
    if (e) {
        e->http = http;
        e->retry = row->retry;
        snprintf(e->reason, sizeof e->reason, "%s", reason ? reason : "");
    }
    return row->code;
}
