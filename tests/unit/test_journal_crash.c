/* The journal as a file: who may open it, and what is left after a crash or on a full disk. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "journal/journal.h"

struct fixture {
    struct arena *a;
    char *dir, *path;
};

static int setup_in(void **state, const char *parent) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->a = arena_new();
    f->dir = mkdtemp(arena_printf(f->a, "%s/test_journal.XXXXXX", parent));
    f->path = arena_printf(f->a, "%s/t.db", f->dir);
    *state = f;
    return f->dir ? 0 : -1;
}

static int setup(void **state) {
    return setup_in(state, "/tmp");
}

static int teardown(void **state) {
    static const char *const names[] = {"",     "-wal",         "-shm",     ".lock",
                                        ".new", ".new-journal", ".new-wal", ".link"};
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(arena_printf(f->a, "%s%s", f->path, names[i]));
    int r = rmdir(f->dir);
    arena_free(f->a);
    xfree(f);
    return r;
}

static void good(int r, const struct err *e) {
    if (r < 0)
        fail_msg("%d: %s", r, e->msg);
}

static struct journal *open_or_fail(const char *path, bool read_only) {
    struct err e = {0};
    struct journal *j = NULL;
    good(journal_open(path, read_only, &j, &e), &e);
    return j;
}

static unsigned mode_of(struct fixture *f, const char *suffix) {
    struct stat st;
    return stat(arena_printf(f->a, "%s%s", f->path, suffix), &st) < 0 ? 0 : st.st_mode & 07777u;
}

static int64_t ask(const char *path, const char *sql) {
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

/* What the child's last words are worth: its exit status. */
static int wait_for(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* --- permissions --- */

static void test_modes(void **state) {
    static const mode_t masks[] = {0, 022, 077, 0777};
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < COUNT_OF(masks); i++) {
        void *own = NULL;
        assert_int_equal(setup(&own), 0);
        struct fixture *f = own;
        mode_t was = umask(masks[i]);
        struct journal *j = open_or_fail(f->path, false);
        good(journal_set(j, "k", "v", NULL), &(struct err){0});
        umask(was);
        for (size_t k = 0; k < COUNT_OF(suffixes); k++)
            if (mode_of(f, suffixes[k]) != 0600)
                fail_msg("umask %03o, %s: %o", masks[i], suffixes[k], mode_of(f, suffixes[k]));
        journal_close(j);
        assert_int_equal(teardown(&own), 0);
    }
    (void)state;
}

static void test_modes_are_tightened(void **state) {
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *f = *state;
    journal_close(open_or_fail(f->path, false));
    for (size_t k = 0; k < COUNT_OF(suffixes); k++)
        assert_int_equal(chmod(arena_printf(f->a, "%s%s", f->path, suffixes[k]), 0666), 0);
    journal_close(open_or_fail(f->path, false));
    for (size_t k = 0; k < COUNT_OF(suffixes); k++)
        assert_int_equal(mode_of(f, suffixes[k]), 0600);
}

/* --- settings that matter for durability; they are per connection, so from inside --- */

static void test_file_format(void **state) {
    struct fixture *f = *state;
    journal_close(open_or_fail(f->path, false));
    assert_int_equal(ask(f->path, "PRAGMA application_id"), 0x746e646d);
    assert_int_equal(ask(f->path, "PRAGMA user_version"), 2);
    assert_int_equal(ask(f->path, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(ask(f->path, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' "
                                  "AND type = 'table' AND name NOT LIKE 'sqlite%' AND NOT strict"),
                     0);
}

/* Every commit waits for the disk: SQLite's calls of these are counted. */
static unsigned syncs;

int fdatasync(int fd) {
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}
int fsync(int fd) {
    syncs++;
    return (int)syscall(SYS_fsync, fd);
}

static void test_commits_are_synced(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal *j = open_or_fail(f->path, false);
    for (int i = 0; i < 10; i++) {
        unsigned before = syncs;
        good(journal_set(j, "k", i % 2 ? "v" : "w", &e), &e);
        assert_true(syncs > before);
    }
    journal_close(j);
}

/* --- files that are not ours --- */

static void put_text(struct fixture *f, const char *text) {
    assert_int_equal(file_write_atomic(f->path, text, strlen(text), 0600, NULL), 0);
}
static void make_sqlite(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}
static void no_file(struct fixture *f) {
    unlink(f->path);
}
static void empty(struct fixture *f) {
    put_text(f, "");
}
static void leftovers(struct fixture *f) { /* of a crash while one was being made */
    static const char *const names[] = {".new", ".new-journal", ".new-wal"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_int_equal(
            file_write_atomic(arena_printf(f->a, "%s%s", f->path, names[i]), "half", 4, 0400, NULL),
            0);
}
static void prose(struct fixture *f) {
    put_text(f, "apiVersion: tandem.dev/v1\n");
}
static void long_prose(struct fixture *f) {
    char *s = arena_alloc(f->a, 9001);
    put_text(f, memset(s, 'x', 9000));
}
static void other_sqlite(struct fixture *f) {
    make_sqlite(f->path, "PRAGMA application_id = 252006674; CREATE TABLE t(x)");
}
static void plain_sqlite(struct fixture *f) {
    make_sqlite(f->path, "CREATE TABLE run(x)");
}
static void newer(struct fixture *f) {
    journal_close(open_or_fail(f->path, false));
    make_sqlite(f->path, "PRAGMA user_version = 3");
}
static void no_salt(struct fixture *f) {
    journal_close(open_or_fail(f->path, false));
    make_sqlite(f->path, "DELETE FROM journal");
}
static void damaged(struct fixture *f) {
    journal_close(open_or_fail(f->path, false));
    int fd = open(f->path, O_WRONLY);
    for (int i = 1; i < 10; i++)
        assert_int_equal(pwrite(fd, "garbage garbage garbage", 23, i * 4096), 23);
    close(fd);
}
static void folder(struct fixture *f) {
    f->path = f->dir;
}
static void device(struct fixture *f) {
    f->path = arena_strdup(f->a, "/dev/null");
}

/* code 0: opens. */
static const struct {
    void (*make)(struct fixture *f);
    int code_reader, code_writer;
    const char *says;
} kinds[] = {
    {no_file, -ENOENT, 0, "no journal"},
    {empty, -ENOENT, 0, "no journal"},
    {leftovers, -ENOENT, 0, "no journal"},
    {prose, -EBADMSG, -EBADMSG, "not a journal of tandem"},
    {long_prose, -EBADMSG, -EBADMSG, "not a journal of tandem"},
    {other_sqlite, -EBADMSG, -EBADMSG, "another program"},
    {plain_sqlite, -EBADMSG, -EBADMSG, "another program"},
    {newer, -ENOTSUP, -ENOTSUP, "newer tandem (schema 3"},
    {no_salt, -EBADMSG, -EBADMSG, "salt"},
    {damaged, -EBADMSG, -EBADMSG, "damaged"},
    {folder, -EBADMSG, -EBADMSG, "no regular file"},
    {device, -EBADMSG, -EBADMSG, "no regular file"},
};

static void test_foreign_files(void **state) {
    for (size_t i = 0; i < 2 * COUNT_OF(kinds); i++) {
        bool read_only = i % 2;
        int want = read_only ? kinds[i / 2].code_reader : kinds[i / 2].code_writer;
        void *own = NULL;
        struct err e = {0};
        struct journal *j = NULL;
        assert_int_equal(setup(&own), 0);
        struct fixture *f = own;
        kinds[i / 2].make(f);
        int r = journal_open(f->path, read_only, &j, &e);
        if (r != want || (want < 0 && !strstr(e.msg, kinds[i / 2].says)))
            fail_msg("row %zu%s: %d %s", i / 2, read_only ? " read-only" : "", r, e.msg);
        assert_int_equal(j != NULL, want == 0);
        journal_close(j);
        f->path = arena_printf(f->a, "%s/t.db", f->dir);
        assert_int_equal(teardown(&own), 0);
    }
    (void)state;
}

/* A file that is not ours is left as it was, with nothing beside it. */
static void test_foreign_files_are_untouched(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal *j = NULL;
    char *before, *after;
    size_t n, m;
    other_sqlite(f);
    good(file_read(f->a, f->path, 1 << 20, &before, &n, &e), &e);
    assert_true(journal_open(f->path, false, &j, &e) < 0);
    good(file_read(f->a, f->path, 1 << 20, &after, &m, &e), &e);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    assert_int_equal(mode_of(f, ".lock"), 0);
    assert_int_equal(mode_of(f, "-wal"), 0);
}

/* --- one process at a time --- */

#define LEAVE_WAL "--leave-wal"

static void test_busy(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal *j = open_or_fail(f->path, false), *k = NULL;
    char pid[40], day[CLOCK_RFC3339_MAX];
    snprintf(pid, sizeof pid, "process %d on ", (int)getpid());
    clock_rfc3339(clock_wall_ms(), day);
    day[10] = 0; /* the date */
    char *link = arena_printf(f->a, "%s.link", f->path);
    assert_int_equal(symlink(f->path, link), 0);
    const char *const names[] = {f->path, link}; /* two names of one file, one lock */
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        e = (struct err){0};
        assert_int_equal(journal_open(names[i], false, &k, &e), -EBUSY);
        assert_true(e.retry);
        if (!strstr(e.msg, pid) || !strstr(e.msg, " since ") || !strstr(e.msg, day))
            fail_msg("%s", e.msg);
    }
    assert_null(k);
    journal_close(j);
    journal_close(open_or_fail(f->path, false));
}

/* In a process of its own, since SQLite's idea of the locks held is per process: leaving WAL mode
 * needs the file for oneself. 0 when that was refused. */
static int try_to_leave_wal(const char *path) {
    sqlite3 *db;
    sqlite3_open(path, &db);
    int rc = sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    sqlite3_close(db);
    return rc == SQLITE_BUSY ? 0 : 1;
}

/* Two opens in one process must not cost the first its locks (POSIX locks go with any close). */
static void test_locks_survive_a_second_open(void **state) {
    struct fixture *f = *state;
    struct journal *j = open_or_fail(f->path, false), *k = NULL;
    assert_int_equal(journal_open(f->path, false, &k, NULL), -EBUSY);
    journal_close(open_or_fail(f->path, true));
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_journal_crash", LEAVE_WAL, f->path, NULL);
        _exit(1);
    }
    assert_int_equal(wait_for(pid), 0);
    journal_close(j);
}

static void test_dead_holder(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct journal *j = NULL;
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (journal_open(f->path, false, &j, NULL) < 0 || journal_set(j, "k", "v", NULL) < 0 ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    char *who = arena_printf(f->a, "process %d on ", (int)pid), *v = NULL;
    assert_int_equal(journal_open(f->path, false, &j, &e), -EBUSY);
    assert_non_null(strstr(e.msg, who));
    kill(pid, SIGKILL);
    assert_true(WIFSIGNALED(wait_for(pid)));
    j = open_or_fail(f->path, false);
    good(journal_get(j, f->a, "k", &v, &e), &e);
    assert_string_equal(v, "v");
    journal_close(j);
}

/* --- reading beside a holder, and where nothing can be written --- */

static void test_reader_beside_holder(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    char *v = NULL;
    struct journal *j = open_or_fail(f->path, false), *k = open_or_fail(f->path, true);
    good(journal_set(j, "k", "1", &e), &e);
    good(journal_get(k, f->a, "k", &v, &e), &e);
    assert_string_equal(v, "1");
    assert_memory_equal(journal_salt(j), journal_salt(k), 32);
    assert_int_equal(journal_set(k, "k", "2", &e), -EGUARD);
    good(journal_set(j, "k", "3", &e), &e);
    good(journal_get(k, f->a, "k", &v, &e), &e);
    assert_string_equal(v, "3");
    journal_close(j); /* the holder goes, the reader stays, the next holder comes */
    j = open_or_fail(f->path, false);
    good(journal_set(j, "k", "4", &e), &e);
    good(journal_get(k, f->a, "k", &v, &e), &e);
    assert_string_equal(v, "4");
    journal_close(k);
    journal_close(j);
}

/* In a mount namespace of the child's own, so that nothing is left behind. */
static bool mount_small(const char *dir, const char *options) {
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, options) == 0;
}

enum { SKIPPED = 77 };

static void in_child(struct fixture *f, int (*fn)(struct fixture *f)) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn(f));
    int status = wait_for(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        print_message("SKIP: a tmpfs cannot be mounted here (needs root)\n");
        skip();
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("child: status %x", status);
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print_error("%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, e.msg);                      \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int remount(const char *dir, unsigned long flags) {
    return mount("tmpfs", dir, "tmpfs", MS_REMOUNT | flags, "size=4m");
}

static int read_only_folder(struct fixture *f) {
    struct err e = {0};
    struct journal *j = NULL;
    char *v = NULL;
    if (!mount_small(f->dir, "size=4m"))
        return SKIPPED;
    CHECK(journal_open(f->path, false, &j, &e) == 0 && journal_set(j, "k", "v", &e) == 0);
    journal_close(j);
    char *wal = arena_printf(f->a, "%s-wal", f->path), *shm = arena_printf(f->a, "%s-shm", f->path);
    for (int round = 0; round < 2; round++) {
        CHECK(remount(f->dir, MS_RDONLY) == 0);
        CHECK(journal_open(f->path, true, &j, &e) == 0);
        CHECK(journal_get(j, f->a, "k", &v, &e) == 0 && str_eq(v, "v"));
        journal_close(j);
        CHECK(journal_open(f->path, false, &j, &e) == -EROFS);
        CHECK(remount(f->dir, 0) == 0);
        unlink(wal); /* second round: as if only the journal had been copied there */
        unlink(shm);
    }
    return 0;
}

/* A log with rows in it and no index: to be refused, since its rows would be overlooked. */
static int read_only_folder_with_log(struct fixture *f) {
    struct err e = {0};
    struct journal *j = NULL;
    if (!mount_small(f->dir, "size=4m"))
        return SKIPPED;
    pid_t pid = fork();
    if (pid == 0) {
        bool ok =
            journal_open(f->path, false, &j, NULL) == 0 && journal_set(j, "k", "v", NULL) == 0;
        raise(ok ? SIGKILL : SIGTERM);
    }
    CHECK(WTERMSIG(wait_for(pid)) == SIGKILL);
    CHECK(unlink(arena_printf(f->a, "%s-shm", f->path)) == 0);
    CHECK(remount(f->dir, MS_RDONLY) == 0);
    CHECK(journal_open(f->path, true, &j, &e) < 0);
    CHECK(strstr(e.msg, "copy the journal and its -wal elsewhere"));
    return 0;
}

static void test_read_only_folder(void **state) {
    in_child(*state, read_only_folder);
}
static void test_read_only_folder_with_log(void **state) {
    in_child(*state, read_only_folder_with_log);
}

/* --- full disk --- */

static int count_refs(void *ctx, const struct journal_effect *e) {
    size_t *count = ctx;
    count[str_starts(e->ref, "full/")]++;
    return 0;
}

static int fill_disk(struct journal *j, const char *run, size_t *ret_n, struct err *e) {
    static char leaves[8000];
    memset(leaves, 'x', sizeof leaves - 1);
    struct journal_effect ef[4];
    int r;
    do {
        for (size_t i = 0; i < COUNT_OF(ef); i++)
            ef[i] = (struct journal_effect){
                .cluster = "b", .ref = "full/x", .verb = "create", .leaves = leaves};
        r = journal_effects_begin(j, run, ef, COUNT_OF(ef), e);
        *ret_n += r < 0 ? 0 : COUNT_OF(ef);
    } while (r >= 0 && *ret_n < 10000);
    return r;
}

static int full_disk(struct fixture *f) {
    struct err e = {0};
    struct journal *j = NULL;
    struct journal_run run;
    size_t n = 0, count[2] = {0};
    if (!mount_small(f->dir, "size=1m"))
        return SKIPPED;
    CHECK(journal_open(f->path, false, &j, &e) == 0);
    CHECK(journal_run_begin(j, 'a', 'b', &run, &e) == 0);
    CHECK(fill_disk(j, run.id, &n, &e) == -ENOSPC);
    CHECK(n > 0 && e.retry && strstr(e.msg, "make room"));
    CHECK(fill_disk(j, run.id, &n, &e) == -ENOSPC);
    /* What was promised is there; what failed is not; reading goes on. */
    CHECK(journal_effects_each(j, NULL, -1, count_refs, count, &e) == 0 && count[1] == n);
    /* With room again the same journal goes on. */
    CHECK(remount(f->dir, 0) == 0);
    CHECK(journal_event(j, run.id, "me", "made room", NULL, &e) == 0);
    struct journal_effect ef = {.cluster = "b", .ref = "r", .verb = "create"};
    CHECK(journal_effects_begin(j, run.id, &ef, 1, &e) == 0);
    journal_close(j);
    CHECK(journal_open(f->path, false, &j, &e) == 0);
    memset(count, 0, sizeof count);
    CHECK(journal_effects_each(j, NULL, -1, count_refs, count, &e) == 0);
    CHECK(count[1] == n && count[0] == 1 && journal_events_verify(j, &e) == 0);
    journal_close(j);
    CHECK(ask(f->path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
    return 0;
}

/* Nothing half made stays when there is no room for a journal at all. */
static int no_room_to_begin(struct fixture *f) {
    struct err e = {0};
    struct journal *j = NULL;
    if (!mount_small(f->dir, "size=32k"))
        return SKIPPED;
    CHECK(journal_open(f->path, false, &j, &e) == -ENOSPC);
    CHECK(!file_exists(f->path) && !file_exists(arena_printf(f->a, "%s.new", f->path)));
    CHECK(remount(f->dir, 0) == 0);
    CHECK(journal_open(f->path, false, &j, &e) == 0);
    journal_close(j);
    return 0;
}

static void test_full_disk(void **state) {
    in_child(*state, full_disk);
}
static void test_no_room_to_begin(void **state) {
    in_child(*state, no_room_to_begin);
}

/* --- kill -9 --- */

enum { KILLS = 20, KILL_BATCH = 40 };

/* Writes batches until killed; tells how many intents and outcomes it was promised. */
static void write_until_killed(const char *path, int round, int out) {
    struct journal *j;
    struct journal_run run;
    if (journal_open(path, false, &j, NULL) < 0 || journal_run_begin(j, 'a', 'b', &run, NULL) < 0)
        _exit(1);
    for (int32_t batch = 0;; batch++) {
        struct journal_effect ef[KILL_BATCH];
        char ref[64];
        snprintf(ref, sizeof ref, "%d/%d", round, batch);
        for (int i = 0; i < KILL_BATCH; i++)
            ef[i] = (struct journal_effect){.cluster = "b", .ref = ref, .verb = "create"};
        if (journal_effects_begin(j, run.id, ef, KILL_BATCH, NULL) < 0)
            _exit(2);
        for (int i = 0; i < KILL_BATCH; i++)
            ef[i].state = EFFECT_DONE;
        if (journal_effects_end(j, ef, KILL_BATCH, NULL) < 0 ||
            journal_event(j, run.id, "child", ref, NULL, NULL) < 0)
            _exit(3);
        if (write(out, &batch, sizeof batch) != sizeof batch)
            _exit(4);
    }
}

/* The last batch that the child was told to be safe, -1 for none. */
static int32_t kill_one(const char *path, int round) {
    int32_t safe = -1, batch;
    int p[2];
    assert_int_equal(pipe(p), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(p[0]);
        write_until_killed(path, round, p[1]);
    }
    close(p[1]);
    clock_sleep_ms(5 + (uint64_t)rand() % 120);
    kill(pid, SIGKILL);
    while (read(p[0], &batch, sizeof batch) == sizeof batch)
        safe = batch;
    close(p[0]);
    int status = wait_for(pid);
    if (!WIFSIGNALED(status))
        fail_msg("round %d: the child ended by itself: %x", round, status);
    return safe;
}

static void test_kill(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    int64_t batches = 0;
    srand((unsigned)clock_wall_ms());
    journal_close(open_or_fail(f->path, false));
    for (int round = 0; round < KILLS; round++) {
        int32_t safe = kill_one(f->path, round);
        batches += safe + 1;
        struct journal *j = open_or_fail(f->path, false);
        good(journal_events_verify(j, &e), &e);
        journal_close(j);
        assert_int_equal(ask(f->path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"),
                         1);
        assert_int_equal(ask(f->path, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        /* No batch in part: neither of its intents nor of its outcomes. */
        assert_int_equal(ask(f->path, "SELECT count(*) FROM (SELECT count(*) AS n, sum(state) AS s "
                                      "FROM effect GROUP BY ref) "
                                      "WHERE n <> 40 OR s NOT IN (0, 40)"),
                         0);
        char *sql = arena_printf(f->a,
                                 "SELECT count(DISTINCT ref) FROM effect WHERE state = 1 "
                                 "AND ref LIKE '%d/%%'",
                                 round);
        assert_true(ask(f->path, sql) >= safe + 1); /* nothing promised is lost */
    }
    assert_true(batches > 0);
    print_message("%d kills, %lld whole batches\n", KILLS, (long long)batches);
}

/* Killed while the file is being made: the next one finds none or a whole one. */
static void test_kill_at_birth(void **state) {
    struct fixture *f = *state;
    for (int round = 0; round < KILLS; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct journal *j;
            journal_open(f->path, false, &j, NULL);
            pause();
        }
        clock_sleep_ms((uint64_t)round / 4);
        kill(pid, SIGKILL);
        wait_for(pid);
        struct journal *j = open_or_fail(f->path, false);
        good(journal_set(j, "k", "v", NULL), &(struct err){0});
        journal_close(j);
        unlink(f->path);
        unlink(arena_printf(f->a, "%s-wal", f->path));
        unlink(arena_printf(f->a, "%s-shm", f->path));
    }
}

/* --- speed --- */

#ifdef __has_feature /* clang's way of saying it; gcc defines the macros */
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED true
#else
#define SANITIZED false
#endif

static int setup_shm(void **state) {
    return setup_in(state, "/dev/shm"); /* fsync costs nothing there: what is left is ours */
}

static void test_speed(void **state) {
    enum { N = 500, TIMES = 20 };
    struct fixture *f = *state;
    struct err e = {0};
    struct journal_run run;
    struct journal *j = open_or_fail(f->path, false);
    struct journal_effect ef[N];
    uint64_t best_begin = UINT64_MAX, best_end = UINT64_MAX;
    good(journal_run_begin(j, 'a', 'b', &run, &e), &e);
    for (int t = 0; t < TIMES; t++) {
        for (size_t i = 0; i < N; i++)
            ef[i] = (struct journal_effect){
                .cluster = "b",
                .ref = arena_printf(f->a, "apps/Deployment/shop-%d/cart-%zu", t, i),
                .verb = "create",
                .digest = "0123456789abcdef0123456789abcdef",
                .leaves = "{\"/spec/replicas\":\"0123456789abcdef\"}"};
        uint64_t t0 = clock_now_ns();
        good(journal_effects_begin(j, run.id, ef, N, &e), &e);
        uint64_t t1 = clock_now_ns();
        for (size_t i = 0; i < N; i++) {
            ef[i].state = EFFECT_DONE;
            ef[i].uid = "5f2b1c0e-0000-4000-8000-000000000000";
        }
        uint64_t t2 = clock_now_ns();
        good(journal_effects_end(j, ef, N, &e), &e);
        best_begin = MIN(best_begin, t1 - t0);
        best_end = MIN(best_end, clock_now_ns() - t2);
    }
    journal_close(j);
    print_message("500 rows: begin %.2f ms, end %.2f ms\n", (double)best_begin / 1e6,
                  (double)best_end / 1e6);
    assert_true(best_begin < (SANITIZED ? 50000000 : 10000000));
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv) {
    if (argc == 3 && str_eq(argv[1], LEAVE_WAL))
        return try_to_leave_wal(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        ROW(test_modes_are_tightened),
        ROW(test_file_format),
        ROW(test_commits_are_synced),
        cmocka_unit_test(test_foreign_files),
        ROW(test_foreign_files_are_untouched),
        ROW(test_busy),
        ROW(test_locks_survive_a_second_open),
        ROW(test_dead_holder),
        ROW(test_reader_beside_holder),
        ROW(test_read_only_folder),
        ROW(test_read_only_folder_with_log),
        ROW(test_full_disk),
        ROW(test_no_room_to_begin),
        ROW(test_kill),
        ROW(test_kill_at_birth),
        cmocka_unit_test_setup_teardown(test_speed, setup_shm, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
