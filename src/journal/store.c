#include "journal/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"

enum { BUSY_MS = 5000, HEADER_LEN = 100, HEADER_APPLICATION_ID = 68 };
enum { STRICT_SINCE = 3037000 };

/* --- whose file it is --- */

static uint32_t be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The first bytes, through SQLite's own descriptor: one of ours, when closed, would drop the POSIX
 * locks that another connection of this process has on the file. No lock is taken and nothing is
 * made beside it, as no transaction begins. */
static int read_header(struct journal *j, uint8_t out[HEADER_LEN], int64_t *ret_size,
                       struct err *e) {
    sqlite3_file *f = NULL;
    sqlite3_int64 size = 0;
    int rc = sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(j->db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    if (rc != SQLITE_OK)
        return db_error(j, e);
    MUST(f && f->pMethods);
    if (f->pMethods->xFileSize(f, &size) != SQLITE_OK)
        return err_set(e, -EIO, "cannot read the journal %s", j->path);
    rc = size < HEADER_LEN ? SQLITE_OK : f->pMethods->xRead(f, out, HEADER_LEN, 0);
    if (rc != SQLITE_OK)
        return err_set(e, -EIO, "cannot read the journal %s", j->path);
    *ret_size = size;
    return 0;
}

/* https://www.sqlite.org/fileformat.html, 1.3: the database header. */
static int whose(const char *path, const uint8_t *h, int64_t size, struct err *e) {
    if (size < HEADER_LEN || memcmp(h, "SQLite format 3", 16) != 0)
        return err_set(e, -EBADMSG,
                       "%s is not a journal of tandem: no SQLite file; give another path or move "
                       "it away",
                       path);
    if (be32(h + HEADER_APPLICATION_ID) != SQL_APPLICATION_ID)
        return err_set(e, -EBADMSG,
                       "%s is not a journal of tandem: it is the SQLite file of another program; "
                       "give another path or move it away",
                       path);
    return 0;
}

int store_look(const char *path, enum store_found *ret, struct err *e) {
    struct stat st = {0};
    bool there = stat(path, &st) == 0;
    if (!there && errno != ENOENT)
        return err_errno(e, errno, "cannot open the journal %s", path);
    if (!there || (S_ISREG(st.st_mode) && st.st_size == 0)) {
        *ret = STORE_NONE;
        return 0;
    }
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EBADMSG, "%s is no regular file: a journal is one", path);
    AUTO_ARENA a = arena_new();
    struct journal j = {.path = arena_strdup(a, path), .doing = "look at it"};
    uint8_t header[HEADER_LEN] = {0};
    int64_t size = 0;
    int r = read_header(&j, header, &size, e);
    sqlite3_close(j.db);
    if (r >= 0)
        r = whose(path, header, size, e);
    if (r >= 0)
        *ret = STORE_OURS;
    return r;
}

static int tighten_one(const char *path, struct err *e) {
    struct stat st;
    if (stat(path, &st) < 0 || (st.st_mode & 07777u) == 0600)
        return 0;
    if (chmod(path, 0600) < 0)
        return err_errno(e, errno, "%s is open to others and that cannot be changed", path);
    return 0;
}

int store_tighten(const char *path, struct err *e) {
    static const char *const beside[] = {"", "-wal", "-shm"};
    AUTO_ARENA a = arena_new();
    int r = 0;
    for (size_t i = 0; r >= 0 && i < COUNT_OF(beside); i++)
        r = tighten_one(arena_printf(a, "%s%s", path, beside[i]), e);
    return r;
}

/* --- schema --- */

static int read_version(struct journal *j, int64_t *ret, struct err *e) {
    int r = db_int(j, "PRAGMA user_version", ret, e);
    if (r >= 0 && *ret > SQL_SCHEMA_VERSION)
        return err_set(e, -ENOTSUP,
                       "journal %s was written by a newer tandem (schema %lld, this one knows up "
                       "to %d): use that tandem",
                       j->path, (long long)*ret, SQL_SCHEMA_VERSION);
    return r;
}

static int run_schema(struct journal *j, int64_t from, struct err *e) {
    AUTO_SB sql = SB_INIT(1 << 16);
    bool strict = sqlite3_libversion_number() >= STRICT_SINCE;
    for (size_t i = 0; i < sql_schema_len; i++) {
        const struct sql_statement *s = &sql_schema[i];
        if (s->since > from)
            sb_fmt(&sql, "%s%s;\n", s->text, s->table && strict ? " STRICT" : "");
    }
    sb_fmt(&sql, "PRAGMA application_id = %d;\nPRAGMA user_version = %d;\n", SQL_APPLICATION_ID,
           SQL_SCHEMA_VERSION);
    MUST(!sql.full);
    return db_exec(j, sb_get(&sql), e);
}

static int upgrade(struct journal *j, struct err *e) {
    int64_t version = 0;
    int r = read_version(j, &version, e);
    j->version = version;
    if (r < 0 || version == SQL_SCHEMA_VERSION || j->read_only)
        return r;
    AUTO_USE u = {0};
    r = use_write(&u, j, "bring the file to this version", e);
    if (r >= 0)
        r = run_schema(j, version, e);
    if (r >= 0)
        r = use_commit(&u, e);
    if (r >= 0)
        j->version = SQL_SCHEMA_VERSION;
    return r;
}

/* --- making --- */

static int add_salt(struct journal *j, struct err *e) {
    char hex[2 * SHA256_LEN + 1], sql[256];
    hash_random(j->salt, sizeof j->salt);
    snprintf(sql, sizeof sql, "INSERT INTO journal(id, salt, made_ms) VALUES (1, x'%s', %lld)",
             hash_hex(j->salt, sizeof j->salt, hex), (long long)clock_wall_ms());
    return db_exec(j, sql, e);
}

static int fill_new(struct journal *j, struct err *e) {
    if (sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return db_error(j, e);
    int r = db_exec(j, "PRAGMA synchronous = FULL; BEGIN", e);
    if (r >= 0)
        r = run_schema(j, 0, e);
    if (r >= 0)
        r = add_salt(j, e);
    if (r >= 0)
        r = db_exec(j, "COMMIT; PRAGMA journal_mode = WAL", e);
    return r;
}

static void remove_all(struct arena *a, const char *path) {
    static const char *const beside[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; i < COUNT_OF(beside); i++)
        unlink(arena_printf(a, "%s%s", path, beside[i]));
}

static int sync_folder(const char *folder, struct err *e) {
    AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems do not sync folders and say EINVAL. */
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
        return err_errno(e, errno, "cannot sync the folder %s", folder);
    return 0;
}

int store_make(const char *path, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct journal j = {.path = arena_printf(a, "%s.new", path), .doing = "make it"};
    remove_all(a, j.path);
    int fd = open(j.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot make the journal %s", path);
    int r = fchmod(fd, 0600) < 0 ? err_errno(e, errno, "cannot make the journal %s", path) : 0;
    close(fd);
    if (r >= 0)
        r = fill_new(&j, e);
    sqlite3_close(j.db);
    if (r >= 0 && rename(j.path, path) < 0)
        r = err_errno(e, errno, "cannot make the journal %s", path);
    if (r < 0) {
        remove_all(a, j.path);
        return r;
    }
    return sync_folder(file_dirname(a, path), e);
}

/* --- opening --- */

static int read_salt(struct journal *j, struct err *e) {
    AUTO_STMT st = NULL;
    int r = query(j, Q_SALT, NO_ARGS, &st, e);
    if (r >= 0)
        r = query_next(j, st, e);
    if (r < 0)
        return r;
    if (r == 0 || sqlite3_column_bytes(st, 0) != SHA256_LEN)
        return err_set(e, -EBADMSG, "journal %s: the salt is missing; the file is damaged",
                       j->path);
    memcpy(j->salt, sqlite3_column_blob(st, 0), SHA256_LEN);
    j->made_ms = sqlite3_column_int64(st, 1);
    return 0;
}

static int configure(struct journal *j, struct err *e) {
    sqlite3_extended_result_codes(j->db, 1);
    sqlite3_busy_timeout(j->db, BUSY_MS);
    int r = db_exec(j, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF", e);
    if (r < 0 || j->read_only)
        return r;
    /* The log and its index stay when the last process leaves, so that somebody who may only read
     * finds them instead of having to make them. */
    int one = 1;
    sqlite3_file_control(j->db, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
    return db_exec(j,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                   "PRAGMA journal_size_limit = 0; PRAGMA temp_store = MEMORY",
                   e);
}

static void close_db(struct journal *j) {
    for (size_t i = 0; i < Q_COUNT; i++)
        sqlite3_finalize(TAKE(j->stmt[i]));
    sqlite3_close(TAKE(j->db));
}

static int open_as(struct journal *j, const char *name, int flags, struct err *e) {
    j->doing = "open it";
    int r = 0;
    if (sqlite3_open_v2(name, &j->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = db_error(j, e);
    if (r >= 0)
        r = configure(j, e);
    if (r >= 0)
        r = upgrade(j, e);
    if (r >= 0)
        r = read_salt(j, e);
    if (r < 0)
        close_db(j);
    return r;
}

static bool log_is_empty(const struct journal *j) {
    AUTO_ARENA a = arena_new();
    struct stat st;
    return stat(arena_printf(a, "%s-wal", j->path), &st) < 0 || st.st_size == 0;
}

/* Reading a WAL file needs its index, PATH-shm, which a read-only folder may lack. Without a log
 * the file is complete by itself and nobody is writing it: it can be read as it lies. */
static int open_reader(struct journal *j, struct err *e) {
    int r = open_as(j, j->path, SQLITE_OPEN_READONLY, e);
    if (r != -EROFS && r != -EACCES && r != -ENOENT && r != -EIO)
        return r;
    if (!log_is_empty(j))
        return err_ctx(
            e, r,
            "the folder cannot be written to and the log beside the journal holds rows "
            "that it lacks: copy the journal and its -wal elsewhere and read them there");
    AUTO_SB uri = SB_INIT(1 << 15);
    sb_str(&uri, "file:");
    sb_urlenc(&uri, j->path);
    sb_str(&uri, "?immutable=1");
    return open_as(j, sb_get(&uri), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
}

int store_open(struct journal *j, struct err *e) {
    if (j->read_only)
        return open_reader(j, e);
    int r = open_as(j, j->path, SQLITE_OPEN_READWRITE, e);
    return r < 0 ? r : store_tighten(j->path, e);
}
