/* The journal's connection, for the files of this folder only: statements by name, a mutex that is
 * held as long as an AUTO_USE lives, errors of SQLite in our words.
 *
 * A cached statement belongs to whoever holds the mutex; AUTO_STMT gives it back reset. Declare it
 * after AUTO_USE, so that it is reset before the transaction ends and the mutex opens. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "base/hash.h"
#include "journal/journal.h"
#include "journal/sql.h"

struct journal {
    sqlite3 *db;
    pthread_mutex_t mutex; /* guards db, doing and stmt */
    char *path;            /* real path: symbolic links resolved */
    int lock_fd;           /* -1 when read-only */
    bool read_only;
    int64_t version;   /* of the file; older than ours only when read_only */
    const char *doing; /* what the holder of the mutex is about, for its error texts */
    uint8_t salt[SHA256_LEN];
    int64_t made_ms; /* wall time */
    sqlite3_stmt *stmt[Q_COUNT];
};

/* What SQLite last complained about on j->db, as a sentence. */
int db_error(const struct journal *j, struct err *e);
/* Runs SQL text whose rows nobody wants to see. */
int db_exec(struct journal *j, const char *sql, struct err *e);
/* The integer that the SQL text (a PRAGMA) answers with. */
int db_int(struct journal *j, const char *sql, int64_t *ret, struct err *e);

/* --- holding the connection --- */

struct use {
    struct journal *j;
    bool tx;
};
/* Waits for the mutex. */
struct use use_read(struct journal *j, const char *doing);
/* Waits for the mutex and begins a transaction; it is rolled back unless use_commit() follows. */
int use_write(struct use *u, struct journal *j, const char *doing, struct err *e);
int use_commit(struct use *u, struct err *e);
void cleanup_use(struct use *u);
/* UNUSED: a reader only wants it to live. */
#define AUTO_USE                                                                                   \
    UNUSED CLEANUP(cleanup_use)                                                                    \
    struct use

/* --- statements --- */

struct arg {
    const char *text; /* NULL: SQL NULL; must stay until the statement was stepped */
    int64_t num;
    bool is_num;
};
#define TEXT(s)   ((struct arg){.text = (s)})
#define INT(v)    ((struct arg){.num = (v), .is_num = true})
#define ARGS(...) (const struct arg[]){__VA_ARGS__}, COUNT_OF(((const struct arg[]){__VA_ARGS__}))
#define NO_ARGS   NULL, 0

/* The statement q with its arguments bound, not stepped yet. */
int query(struct journal *j, enum query_name q, const struct arg *v, size_t n, sqlite3_stmt **ret,
          struct err *e);
/* Next row: 1, or 0 after the last. */
int query_next(struct journal *j, sqlite3_stmt *st, struct err *e);
/* Runs q to its end; the number of rows it changed. */
int query_run(struct journal *j, enum query_name q, const struct arg *v, size_t n, struct err *e);
/* One row, in a transaction of its own; *ret_id (may be NULL) is its number. */
int row_insert(struct journal *j, const char *doing, enum query_name q, const struct arg *v,
               size_t n, int64_t *ret_id, struct err *e);
/* The end of one that is open: its number, state, note and the time are q's arguments. -ENOENT when
 * there is none ("what" of that number). */
int row_end(struct journal *j, const char *doing, enum query_name q, const char *what, int64_t id,
            const char *state, const char *note, struct err *e);
/* Column i in the arena, NULL for SQL NULL. */
char *column_text(struct arena *a, sqlite3_stmt *st, int i);

/* Room for one more at the end of the arena's array v of n elements. */
#define ARENA_PUSH(a, v, n, cap)                                                                   \
    __extension__({                                                                                \
        if ((n) == (cap))                                                                          \
            (v) = arena_grow((a), (v), (n), &(cap), sizeof *(v));                                  \
        &(v)[(n)++];                                                                               \
    })
void *arena_grow(struct arena *a, const void *v, size_t n, size_t *cap, size_t size);

static inline void cleanup_stmt(sqlite3_stmt **st) {
    if (*st) {
        sqlite3_reset(*st);
        sqlite3_clear_bindings(*st);
    }
}
#define AUTO_STMT CLEANUP(cleanup_stmt) sqlite3_stmt *

/* journal_events_verify() for who holds the mutex. */
int events_verify(struct journal *j, struct err *e);

/* "" means no run, as NULL does: the foreign key wants NULL. */
static inline const char *run_or_null(const char *run) {
    return run && *run ? run : NULL;
}
