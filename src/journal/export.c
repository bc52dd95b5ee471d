#include "journal/export.h"

#include <errno.h>

#include "journal/db.h"

/* In an order in which rows may refer to rows before them. A table that this file does not have is
 * passed over. */
static const struct export_table {
    const char *name;
    enum journal_part part;
    const char *without; /* a column that stays here, or NULL */
    bool merge;          /* may be there already: what comes wins */
    const char *why;
} tables[] = {
    {"fact", EXPORT_CORE, NULL, true, "who is live, the pins of the slots, what is remembered"},
    {"run", EXPORT_CORE, NULL, false, "every run, the open one among them"},
    {"step", EXPORT_CORE, NULL, false, "how far it came, and what was cut short"},
    {"move", EXPORT_CORE, NULL, false, "the stages it went through"},
    {"approval", EXPORT_CORE, NULL, false, "who let it pass a gate"},
    {"event", EXPORT_CORE, NULL, false, "the audit trail with its chain"},
    {"effect", EXPORT_EFFECTS, "error", false,
     "what is tandem's own in the destination, and what to take back; texts of failures are long "
     "and decide nothing"},
};

enum { PAGE = 500, COLUMNS_MAX = 32, LINE_MAX_BYTES = 1 << 26 };

struct columns {
    const char *name[COLUMNS_MAX];
    size_t n;
};

static bool has_column(const struct columns *c, const char *name) {
    for (size_t i = 0; i < c->n; i++)
        if (str_eq(c->name[i], name))
            return true;
    return false;
}

static void add_name(struct sb *b, const char *name) {
    sb_chr(b, '"');
    for (; *name; name++) { /* SQL doubles a quote within a quoted name */
        sb_chr(b, *name);
        if (*name == '"')
            sb_chr(b, '"');
    }
    sb_chr(b, '"');
}

static void add_names(struct sb *b, const struct columns *c) {
    for (size_t i = 0; i < c->n; i++) {
        sb_str(b, i ? ", " : "");
        add_name(b, c->name[i]);
    }
}

/* Statements whose text depends on what the file has cannot be in sql.c's table. */
static int prepare(struct journal *j, const struct sb *sql, sqlite3_stmt **ret, struct err *e) {
    MUST(!sql->full);
    return sqlite3_prepare_v2(j->db, sql->p, (int)sql->len, ret, NULL) == SQLITE_OK
               ? 0
               : db_error(j, e);
}

static void cleanup_final(sqlite3_stmt **st) {
    sqlite3_finalize(*st);
}
#define AUTO_FINAL CLEANUP(cleanup_final) sqlite3_stmt *

/* None: this file has no such table. */
static int columns_of(struct journal *j, struct arena *a, const struct export_table *t,
                      struct columns *ret, struct err *e) {
    AUTO_STMT st = NULL;
    *ret = (struct columns){0};
    int r = query(j, Q_COLUMNS, ARGS(TEXT(t->name)), &st, e);
    while (r >= 0 && (r = query_next(j, st, e)) > 0) {
        const char *name = column_text(a, st, 0);
        if (str_eq(name, t->without))
            continue;
        MUST(ret->n < COLUMNS_MAX);
        ret->name[ret->n++] = name;
    }
    return r;
}

/* --- out --- */

struct out {
    struct journal *j;
    int (*fn)(void *ctx, const char *line, size_t n);
    void *ctx;
    struct sb line;
};

static int give(struct out *o, struct err *e) {
    sb_chr(&o->line, '\n');
    if (o->line.full)
        return err_set(e, -EFBIG, "journal %s: a row is larger than %d bytes", o->j->path,
                       LINE_MAX_BYTES);
    int r = o->fn(o->ctx, o->line.p, o->line.len);
    sb_reset(&o->line);
    return r;
}

static int give_head(struct out *o, const struct export_table *t, const struct columns *c,
                     struct err *e) {
    sb_fmt(&o->line, "{\"table\":\"%s\",\"columns\":[", t->name);
    for (size_t i = 0; i < c->n; i++) {
        sb_str(&o->line, i ? "," : "");
        sb_json(&o->line, c->name[i], strlen(c->name[i]));
    }
    sb_str(&o->line, "]}");
    return give(o, e);
}

static void add_value(struct sb *b, sqlite3_stmt *st, int i) {
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_NULL: sb_str(b, "null"); return;
    case SQLITE_INTEGER: sb_fmt(b, "%lld", (long long)sqlite3_column_int64(st, i)); return;
    default:
        sb_json(b, (const char *)sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i));
    }
}

/* Up to `limit` rows (-1: all) behind *after; their number. Column 0 is the row's own id. */
static int give_rows(struct out *o, const struct export_table *t, const struct columns *c,
                     int64_t *after, int limit, struct err *e) {
    AUTO_SB sql = SB_INIT(1 << 16);
    AUTO_FINAL st = NULL;
    int n = 0;
    sb_str(&sql, "SELECT rowid, ");
    add_names(&sql, c);
    sb_fmt(&sql, " FROM \"%s\" WHERE rowid > ?1 ORDER BY rowid LIMIT %d", t->name, limit);
    int r = prepare(o->j, &sql, &st, e);
    if (r >= 0)
        sqlite3_bind_int64(st, 1, *after);
    while (r >= 0 && (r = query_next(o->j, st, e)) > 0) {
        *after = sqlite3_column_int64(st, 0);
        for (size_t i = 0; i < c->n; i++) {
            sb_chr(&o->line, i ? ',' : '[');
            add_value(&o->line, st, (int)i + 1);
        }
        sb_chr(&o->line, ']');
        r = give(o, e);
        n++;
    }
    return r < 0 ? r : n;
}

static int export_core(struct out *o, struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_USE u = use_read(o->j, "write it out");
    int r = 0;
    for (size_t i = 0; r >= 0 && i < COUNT_OF(tables); i++) {
        struct columns c;
        int64_t after = INT64_MIN;
        if (tables[i].part != EXPORT_CORE)
            continue;
        r = columns_of(o->j, a, &tables[i], &c, e);
        if (r < 0 || !c.n)
            continue;
        r = give_head(o, &tables[i], &c, e);
        if (r >= 0)
            r = give_rows(o, &tables[i], &c, &after, -1, e);
    }
    return r < 0 ? r : 0;
}

/* A page is one moment; between pages the connection is free. */
static int export_page(struct out *o, const struct export_table *t, int64_t *after, bool first,
                       struct err *e) {
    AUTO_ARENA a = arena_new();
    AUTO_USE u = use_read(o->j, "write it out");
    struct columns c;
    int r = columns_of(o->j, a, t, &c, e);
    if (r >= 0 && first)
        r = give_head(o, t, &c, e);
    return r < 0 ? r : give_rows(o, t, &c, after, PAGE, e);
}

static int export_effects(struct out *o, struct err *e) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < COUNT_OF(tables); i++) {
        int64_t after = INT64_MIN;
        bool first = true;
        if (tables[i].part != EXPORT_EFFECTS)
            continue;
        do {
            r = export_page(o, &tables[i], &after, first, e);
            first = false;
        } while (r == PAGE);
    }
    return r < 0 ? r : 0;
}

int journal_export(struct journal *j, enum journal_part part,
                   int (*fn)(void *ctx, const char *line, size_t n), void *ctx, struct err *e) {
    struct out o = {.j = j, .fn = fn, .ctx = ctx, .line = SB_INIT(LINE_MAX_BYTES)};
    int r = part == EXPORT_CORE ? export_core(&o, e) : export_effects(&o, e);
    sb_done(&o.line);
    return r;
}

/* --- in --- */

struct in {
    struct journal *j;
    const struct export_table *table; /* of the rows that follow */
    size_t columns;
    sqlite3_stmt *insert;
    size_t line;
};

static int damaged(const struct in *in, const char *why, struct err *e) {
    return err_set(e, -EBADMSG, "line %zu of the record: %s", in->line, why);
}

static int newer(const char *what, const char *name, struct err *e) {
    return err_set(e, -EPROTONOSUPPORT,
                   "the record has a %s \"%.40s\" that this tandem does not know: a newer one has "
                   "written it; take over with that one",
                   what, name);
}

static const struct export_table *table_named(const char *name) {
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (str_eq(tables[i].name, name))
            return &tables[i];
    return NULL;
}

/* Names of columns go into SQL: only those that the table has here. */
static int read_columns(struct in *in, struct arena *a, yyjson_val *list, struct columns *ret,
                        struct err *e) {
    struct columns have;
    size_t i, max;
    yyjson_val *x;
    int r = columns_of(in->j, a, in->table, &have, e);
    if (r < 0)
        return r;
    if (!have.n)
        return newer("table", in->table->name, e);
    *ret = (struct columns){0};
    yyjson_arr_foreach (list, i, max, x) {
        const char *name = yyjson_get_str(x);
        if (!name || has_column(ret, name))
            return damaged(in, "a column has no name, or one twice", e);
        if (!has_column(&have, name))
            return newer("column", name, e);
        ret->name[ret->n++] = name;
    }
    return ret->n ? 0 : damaged(in, "a table without columns", e);
}

static int begin_table(struct in *in, struct arena *a, yyjson_val *head, struct err *e) {
    AUTO_SB sql = SB_INIT(1 << 16);
    const char *name = json_str(head, "table");
    struct columns c;
    in->table = table_named(name);
    if (!in->table)
        return name ? newer("table", name, e) : damaged(in, "a table without a name", e);
    int r = read_columns(in, a, json_get(head, "columns"), &c, e);
    if (r < 0)
        return r;
    sb_fmt(&sql, "INSERT%s INTO \"%s\"(", in->table->merge ? " OR REPLACE" : "", in->table->name);
    add_names(&sql, &c);
    sb_str(&sql, ") VALUES (");
    for (size_t i = 0; i < c.n; i++)
        sb_str(&sql, i ? ", ?" : "?");
    sb_chr(&sql, ')');
    in->columns = c.n;
    sqlite3_finalize(TAKE(in->insert));
    return prepare(in->j, &sql, &in->insert, e);
}

static bool bind_value(sqlite3_stmt *st, int i, yyjson_val *v) {
    if (yyjson_is_null(v))
        return sqlite3_bind_null(st, i) == SQLITE_OK;
    if (yyjson_is_str(v))
        return sqlite3_bind_text(st, i, yyjson_get_str(v), (int)yyjson_get_len(v), SQLITE_STATIC) ==
               SQLITE_OK;
    bool whole = yyjson_is_raw(v) && json_int(v, 0) == json_int(v, 1);
    return whole && sqlite3_bind_int64(st, i, json_int(v, 0)) == SQLITE_OK;
}

/* What does not fit (a type, a check, a reference) is the record's fault, not this file's. */
static int add_row(struct in *in, yyjson_val *row, struct err *e) {
    size_t i, max;
    yyjson_val *v;
    if (!in->insert)
        return damaged(in, "a row without a table", e);
    if (yyjson_arr_size(row) != in->columns)
        return damaged(in, "a row with too many or too few values", e);
    yyjson_arr_foreach (row, i, max, v) {
        if (!bind_value(in->insert, (int)i + 1, v))
            return damaged(in, "a value that no column takes", e);
    }
    struct err why = {0};
    int r = query_next(in->j, in->insert, &why);
    sqlite3_reset(in->insert);
    if (r >= 0)
        return 0;
    bool disk = r == -ENOSPC || r == -EIO || r == -EBUSY;
    return disk ? err_set(e, r, "%s", err_msg(&why)) : damaged(in, err_msg(&why), e);
}

static int read_line(struct in *in, struct arena *a, const char *p, size_t n, struct err *e) {
    yyjson_val *v;
    if (n == 0)
        return 0;
    if (json_parse(a, p, n, &v, NULL) < 0)
        return damaged(in, "it is no JSON", e);
    return yyjson_is_obj(v)   ? begin_table(in, a, v, e)
           : yyjson_is_arr(v) ? add_row(in, v, e)
                              : damaged(in, "it is neither a table nor a row", e);
}

static int read_lines(struct in *in, const char *text, size_t n, struct err *e) {
    AUTO_ARENA a = arena_new();
    int r = 0;
    for (size_t at = 0; r >= 0 && at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        in->line++;
        if (!end)
            return damaged(in, "it is cut", e);
        arena_reset(a);
        r = read_line(in, a, text + at, (size_t)(end - text) - at, e);
        at = (size_t)(end - text) + 1;
    }
    return r;
}

static int must_be_empty(struct journal *j, struct err *e) {
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        AUTO_FINAL st = NULL;
        AUTO_SB sql = SB_INIT(256);
        struct columns c;
        if (tables[i].merge)
            continue;
        int r = columns_of(j, a, &tables[i], &c, e);
        if (r < 0)
            return r;
        if (!c.n)
            continue;
        sb_fmt(&sql, "SELECT 1 FROM \"%s\" LIMIT 1", tables[i].name);
        r = prepare(j, &sql, &st, e);
        if (r >= 0)
            r = query_next(j, st, e);
        if (r != 0)
            return r < 0 ? r
                         : err_set(e, -EEXIST,
                                   "journal %s has a history of its own (%s): nothing is taken "
                                   "over into it; name another file, or move this one away",
                                   j->path, tables[i].name);
    }
    return 0;
}

static int set_salt(struct journal *j, const uint8_t *salt, struct err *e) {
    AUTO_STMT st = NULL;
    int r = query(j, Q_SALT_SET, NO_ARGS, &st, e);
    if (r >= 0 && sqlite3_bind_blob(st, 1, salt, SHA256_LEN, SQLITE_STATIC) != SQLITE_OK)
        r = db_error(j, e);
    return r < 0 ? r : query_next(j, st, e);
}

/* References may point to rows that come later; they count at the end of the transaction. */
static int fill(struct in *in, const uint8_t *salt, const char *text, size_t n, struct err *e) {
    int r = must_be_empty(in->j, e);
    if (r >= 0)
        r = db_exec(in->j, "PRAGMA defer_foreign_keys = ON", e);
    if (r >= 0 && salt)
        r = set_salt(in->j, salt, e);
    if (r >= 0)
        r = read_lines(in, text, n, e);
    sqlite3_finalize(TAKE(in->insert));
    return r < 0 ? r : events_verify(in->j, e);
}

int journal_import(struct journal *j, const uint8_t *salt, const char *text, size_t n,
                   struct err *e) {
    AUTO_USE u = {0};
    struct in in = {.j = j};
    int r = use_write(&u, j, "take a record over", e);
    if (r >= 0)
        r = fill(&in, salt, text, n, e);
    if (r >= 0)
        r = use_commit(&u, e);
    if (r >= 0 && salt)
        memcpy(j->salt, salt, SHA256_LEN);
    return r < 0 ? r : 0;
}
