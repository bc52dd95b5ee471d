#include <errno.h>

#include "base/str.h"
#include "traffic/haproxy.h"

/* "show stat" is CSV with a header; the columns wanted, found by name since their number grows with
 * every version. */
enum column { COL_PXNAME, COL_SVNAME, COL_SCUR, COL_STATUS, COL_WEIGHT, COLUMNS };
static const char *const column_names[COLUMNS] = {"pxname", "svname", "scur", "status", "weight"};

enum { CSV_COLUMNS_MAX = 256 };

struct field {
    const char *p;
    size_t n;
};

/* Cuts one line into fields; quotes stay on, commas inside them do not cut. Moves *text on. */
static size_t csv_line(const char **text, struct field f[CSV_COLUMNS_MAX]) {
    const char *p = *text;
    size_t n = 0;
    while (*p && *p != '\n') {
        const char *start = p;
        bool quoted = false;
        for (; *p && (quoted || (*p != ',' && *p != '\n')); p++)
            if (*p == '"')
                quoted = !quoted;
        if (n < CSV_COLUMNS_MAX)
            f[n++] = (struct field){start, (size_t)(p - start)};
        if (*p == ',')
            p++;
    }
    *text = *p ? p + 1 : p;
    return n;
}

static bool field_is(struct field f, const char *s) {
    return f.n == strlen(s) && memcmp(f.p, s, f.n) == 0;
}

static uint64_t field_number(struct field f) {
    char text[24];
    uint64_t v = 0;
    if (f.n >= sizeof text)
        return 0;
    memcpy(text, f.p, f.n);
    text[f.n] = 0;
    return str_u64(text, &v) < 0 ? 0 : v;
}

static int find_columns(const struct field *f, size_t n, size_t col[COLUMNS], struct err *e) {
    for (size_t c = 0; c < COLUMNS; c++) {
        col[c] = SIZE_MAX;
        for (size_t i = 0; i < n; i++)
            if (field_is(f[i], column_names[c]))
                col[c] = i;
        if (col[c] == SIZE_MAX)
            return err_set(e, -EPROTO, "HAProxy's statistics have no column %s", column_names[c]);
    }
    return 0;
}

/* "UP", "UP 1/2" (on its way down, still used), "no check". Not "DOWN 1/2", DRAIN, MAINT, NOLB. */
static bool healthy(struct field status, struct field weight) {
    bool up = status.n >= 2 && memcmp(status.p, "UP", 2) == 0;
    return (up || field_is(status, "no check")) && field_number(weight) > 0;
}

static void count_row(struct haproxy_backend *b, uint64_t *of_servers, const struct field *f,
                      const size_t col[COLUMNS]) {
    uint64_t sessions = field_number(f[col[COL_SCUR]]);
    if (field_is(f[col[COL_SVNAME]], "BACKEND")) {
        b->sessions = sessions;
        return;
    }
    b->servers++;
    *of_servers += sessions;
    if (healthy(f[col[COL_STATUS]], f[col[COL_WEIGHT]]))
        b->healthy++;
}

int haproxy_find_backend(const char *answer, const char *backend, struct haproxy_backend *ret,
                         struct err *e) {
    struct field f[CSV_COLUMNS_MAX];
    size_t col[COLUMNS];
    const char *text = answer;
    int r = haproxy_answer_check(answer, "# ", e);
    if (r < 0)
        return r;
    text += *text ? 2 : 0;
    r = find_columns(f, csv_line(&text, f), col, e);
    if (r < 0)
        return r;
    struct haproxy_backend b = {0};
    uint64_t of_servers = 0;
    while (*text) {
        size_t n = csv_line(&text, f);
        if (n > col[COL_WEIGHT] && n > col[COL_STATUS] && field_is(f[col[COL_PXNAME]], backend) &&
            !field_is(f[col[COL_SVNAME]], "FRONTEND"))
            count_row(&b, &of_servers, f, col);
    }
    b.sessions = MAX(b.sessions, of_servers);
    *ret = b;
    return 0;
}
