#include "journal/journal.h"

#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/file.h"
#include "journal/db.h"
#include "journal/lock.h"
#include "journal/store.h"

/* --- opening --- */

/* Two names of one file must meet at one lock: symbolic links are resolved. The file may be
 * missing, its folder must not. */
static int real_path(const char *path, char **ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    char buf[PATH_MAX];
    if (realpath(path, buf)) {
        *ret = xstrdup(buf);
        return 0;
    }
    if (errno != ENOENT || !realpath(file_dirname(a, path), buf))
        return err_errno(e, errno, "journal %s", path);
    const char *slash = strrchr(path, '/');
    *ret = xstrdup(arena_printf(a, "%s/%s", str_eq(buf, "/") ? "" : buf, slash ? slash + 1 : path));
    return 0;
}

static int take_and_make(struct journal *j, struct err *e) {
    int r = lock_take(j->path, &j->lock_fd, e);
    enum store_found found = STORE_NONE;
    /* Once more: until the lock was ours somebody else may have made it. */
    if (r >= 0)
        r = store_look(j->path, &found, e);
    if (r >= 0 && found == STORE_NONE)
        r = store_make(j->path, e);
    return r < 0 ? r : store_tighten(j->path, e);
}

static int open_path(struct journal *j, const char *path, struct err *e) {
    enum store_found found = STORE_NONE;
    int r = real_path(path, &j->path, e);
    if (r >= 0)
        r = store_look(j->path, &found, e);
    if (r < 0)
        return r;
    if (j->read_only && found == STORE_NONE)
        return err_set(e, -ENOENT, "there is no journal %s yet: nothing was run from here", path);
    if (!j->read_only)
        r = take_and_make(j, e);
    return r < 0 ? r : store_open(j, e);
}

int journal_open(const char *path, bool read_only, struct journal **ret, struct err *e) {
    AUTO_ARENA a = arena_new();
    int r = read_only ? 0 : file_mkdirs(file_dirname(a, path), 0700, e);
    if (r < 0)
        return r;
    struct journal *j = xcalloc(1, sizeof *j);
    j->read_only = read_only;
    j->lock_fd = -1;
    MUST(pthread_mutex_init(&j->mutex, NULL) == 0);
    r = open_path(j, path, e);
    if (r < 0) {
        journal_close(j);
        return r;
    }
    *ret = j;
    return 0;
}

void journal_close(struct journal *j) {
    if (!j)
        return;
    for (size_t i = 0; i < Q_COUNT; i++)
        sqlite3_finalize(j->stmt[i]);
    sqlite3_close(j->db);
    lock_release(j->lock_fd); /* last: the next holder finds everything on disk */
    pthread_mutex_destroy(&j->mutex);
    xfree(j->path);
    xfree(j);
}

const uint8_t *journal_salt(const struct journal *j) {
    return j->salt;
}

int64_t journal_made_ms(const struct journal *j) {
    return j->made_ms;
}

/* --- facts --- */

int journal_set(struct journal *j, const char *key, const char *value, struct err *e) {
    AUTO_USE u = {0};
    int r = use_write(&u, j, "record a fact", e);
    if (r >= 0)
        r = value ? query_run(j, Q_FACT_SET, ARGS(TEXT(key), TEXT(value), INT(clock_wall_ms())), e)
                  : query_run(j, Q_FACT_DELETE, ARGS(TEXT(key)), e);
    return r < 0 ? r : use_commit(&u, e);
}

int journal_get(struct journal *j, struct arena *a, const char *key, char **ret, struct err *e) {
    AUTO_USE u = use_read(j, "read a fact");
    AUTO_STMT st = NULL;
    int r = query(j, Q_FACT_GET, ARGS(TEXT(key)), &st, e);
    if (r >= 0)
        r = query_next(j, st, e);
    if (r < 0)
        return r;
    *ret = r ? column_text(a, st, 0) : NULL;
    return 0;
}
