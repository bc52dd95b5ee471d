#include "journal/db.h"
#include "base/clock.h"

#include <errno.h>

#include "base/fault.h"

/* --- errors --- */

static const struct {
    int sqlite; /* primary or extended result code */
    int code;   /* 0: whatever the operating system said */
    bool retry;
    const char *hint;
} meanings[] = {
    {SQLITE_FULL, -ENOSPC, true, "; make room on that disk, then run tandem resume"},
    {SQLITE_BUSY, -EBUSY, true, "; another program is writing to the file"},
    {SQLITE_LOCKED, -EBUSY, true, ""},
    {SQLITE_READONLY, -EROFS, false, ""},
    {SQLITE_PERM, -EACCES, false, ""},
    {SQLITE_AUTH, -EACCES, false, ""},
    {SQLITE_CANTOPEN, 0, false, ""},
    {SQLITE_IOERR, 0, false, ""},
    {SQLITE_CORRUPT, -EBADMSG, false, "; the file is damaged: keep a copy, then restore a backup"},
    {SQLITE_NOTADB, -EBADMSG, false, ""},
    {SQLITE_TOOBIG, -EFBIG, false, ""},
    {SQLITE_CONSTRAINT_FOREIGNKEY, -ENOENT, false, "; there is no such run"},
    {SQLITE_CONSTRAINT_PRIMARYKEY, -EEXIST, false, ""},
    {SQLITE_CONSTRAINT, -EINVAL, false, ""},
};

static int os_error(sqlite3 *db) {
    int no = sqlite3_system_errno(db);
    return no > 0 ? -no : -EIO;
}

int db_error(const struct journal *j, struct err *e) {
    int rc = sqlite3_extended_errcode(j->db);
    MUST((rc & 0xff) != SQLITE_NOMEM && (rc & 0xff) != SQLITE_MISUSE);
    int code = -EIO;
    bool retry = false;
    const char *hint = "";
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        if (meanings[i].sqlite != rc && meanings[i].sqlite != (rc & 0xff))
            continue;
        code = meanings[i].code ? meanings[i].code : os_error(j->db);
        retry = meanings[i].retry;
        hint = meanings[i].hint;
        break;
    }
    /* A full disk also shows as a failed write or as a file that cannot be lengthened. */
    if (code == -ENOSPC || code == -EDQUOT) {
        code = -ENOSPC;
        retry = meanings[0].retry;
        hint = meanings[0].hint;
    }
    err_set(e, code, "journal %s: cannot %s: %s%s", j->path, j->doing, sqlite3_errmsg(j->db), hint);
    if (e)
        e->retry = retry;
    return code;
}

/* --- statements --- */

int db_exec(struct journal *j, const char *sql, struct err *e) {
    return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(j, e);
}

int db_int(struct journal *j, const char *sql, int64_t *ret, struct err *e) {
    sqlite3_stmt *st = NULL;
    int r = 0;
    if (sqlite3_prepare_v2(j->db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        r = db_error(j, e);
    else
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return r;
}

static void bind(sqlite3_stmt *st, int i, const struct arg *v) {
    int rc = v->is_num ? sqlite3_bind_int64(st, i, v->num)
                       : sqlite3_bind_text(st, i, v->text, -1, SQLITE_STATIC);
    MUST(rc == SQLITE_OK);
}

int query(struct journal *j, enum query_name q, const struct arg *v, size_t n, sqlite3_stmt **ret,
          struct err *e) {
    if (!j->stmt[q] && sqlite3_prepare_v3(j->db, sql_query[q], -1, SQLITE_PREPARE_PERSISTENT,
                                          &j->stmt[q], NULL) != SQLITE_OK)
        return db_error(j, e);
    for (size_t i = 0; i < n; i++)
        bind(j->stmt[q], (int)i + 1, &v[i]);
    *ret = j->stmt[q];
    return 0;
}

int query_next(struct journal *j, sqlite3_stmt *st, struct err *e) {
    int rc = sqlite3_step(st);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : db_error(j, e);
}

int query_run(struct journal *j, enum query_name q, const struct arg *v, size_t n, struct err *e) {
    AUTO_STMT st = NULL;
    int r = query(j, q, v, n, &st, e);
    while (r >= 0 && (r = query_next(j, st, e)) > 0)
        ;
    return r < 0 ? r : sqlite3_changes(j->db);
}

int row_insert(struct journal *j, const char *doing, enum query_name q, const struct arg *v,
               size_t n, int64_t *ret_id, struct err *e) {
    AUTO_USE u = {0};
    int r = use_write(&u, j, doing, e);
    if (r >= 0)
        r = query_run(j, q, v, n, e);
    int64_t id = r < 0 ? 0 : sqlite3_last_insert_rowid(j->db);
    if (r >= 0)
        r = use_commit(&u, e);
    if (r >= 0 && ret_id)
        *ret_id = id;
    return r;
}

int row_end(struct journal *j, const char *doing, enum query_name q, const char *what, int64_t id,
            const char *state, const char *note, struct err *e) {
    AUTO_USE u = {0};
    int r = use_write(&u, j, doing, e);
    if (r >= 0)
        r = query_run(j, q, ARGS(INT(id), TEXT(state), TEXT(note), INT(clock_wall_ms())), e);
    if (r == 0)
        return err_set(e, -ENOENT, "journal %s: there is no open %s %lld", j->path, what,
                       (long long)id);
    return r < 0 ? r : use_commit(&u, e);
}

char *column_text(struct arena *a, sqlite3_stmt *st, int i) {
    const char *s = (const char *)sqlite3_column_text(st, i);
    return s ? arena_strndup(a, s, (size_t)sqlite3_column_bytes(st, i)) : NULL;
}

void *arena_grow(struct arena *a, const void *v, size_t n, size_t *cap, size_t size) {
    *cap = *cap ? *cap * 2 : 16;
    void *grown = arena_raw(a, *cap * size);
    return n ? memcpy(grown, v, n * size) : grown;
}

/* --- holding the connection --- */

struct use use_read(struct journal *j, const char *doing) {
    MUST(pthread_mutex_lock(&j->mutex) == 0);
    j->doing = doing;
    return (struct use){.j = j};
}

int use_write(struct use *u, struct journal *j, const char *doing, struct err *e) {
    if (j->read_only)
        return err_set(e, -EGUARD, "journal %s: cannot %s: it was opened for reading only", j->path,
                       doing);
    *u = use_read(j, doing);
    int r = query_run(j, Q_BEGIN, NO_ARGS, e);
    u->tx = r >= 0;
    return r;
}

int use_commit(struct use *u, struct err *e) {
    int r = query_run(u->j, Q_COMMIT, NO_ARGS, e);
    if (r < 0)
        return r;
    u->tx = false;
    FAULT_POINT();
    return 0;
}

void cleanup_use(struct use *u) {
    if (!u->j)
        return;
    /* SQLite itself rolls back on some errors, a full disk among them. */
    if (u->tx && !sqlite3_get_autocommit(u->j->db))
        (void)query_run(u->j, Q_ROLLBACK, NO_ARGS, NULL);
    MUST(pthread_mutex_unlock(&u->j->mutex) == 0);
}
