#include "journal/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"

enum { HOLDER_MAX = 256, HOLDER_TRIES = 10, HOLDER_WAIT_MS = 10 };

/* Whoever just got the lock may not have written its line yet: look again for a moment. */
static void read_holder(int fd, char out[HOLDER_MAX]) {
    for (int i = 0; i < HOLDER_TRIES; i++) {
        ssize_t n = pread(fd, out, HOLDER_MAX - 1, 0);
        out[n > 0 ? n : 0] = 0;
        char *end = strchr(out, '\n');
        if (end) {
            *end = 0;
            return;
        }
        clock_sleep_ms(HOLDER_WAIT_MS);
    }
    snprintf(out, HOLDER_MAX, "another process");
}

static int write_holder(int fd) {
    char host[65] = "unknown", at[CLOCK_RFC3339_MAX], line[HOLDER_MAX];
    (void)gethostname(host, sizeof host - 1);
    int n = snprintf(line, sizeof line, "process %d on %s since %s\n", (int)getpid(), host,
                     clock_rfc3339(clock_wall_ms(), at));
    if (ftruncate(fd, 0) < 0)
        return -errno;
    ssize_t w = pwrite(fd, line, (size_t)n, 0);
    return w == n ? 0 : w < 0 ? -errno : -ENOSPC;
}

static int busy(int fd, const char *db_path, struct err *e) {
    char holder[HOLDER_MAX];
    read_holder(fd, holder);
    err_set(e, -EBUSY,
            "journal %s: this environment is in use by %s; `tandem status` shows it, `tandem "
            "abort` ends it",
            db_path, holder);
    if (e)
        e->retry = true;
    return -EBUSY;
}

int lock_take(const char *db_path, int *ret_fd, struct err *e) {
    AUTO_SB path = SB_INIT(PATH_MAX);
    sb_fmt(&path, "%s.lock", db_path);
    AUTO_FD fd = open(sb_get(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot open the lock file %s", sb_get(&path));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &l) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return busy(fd, db_path, e);
        return err_errno(e, errno, "cannot lock %s", sb_get(&path));
    }
    /* The mode given to open() is subject to the umask, and the file may be an older one. */
    int r = fchmod(fd, 0600) < 0 ? -errno : write_holder(fd);
    if (r < 0)
        return err_errno(e, -r, "cannot write the lock file %s", sb_get(&path));
    *ret_fd = fd;
    fd = -1;
    return 0;
}

void lock_release(int fd) {
    if (fd < 0)
        return;
    /* The line is for people, and nobody reads it unless the lock is held: no need to succeed. */
    int r UNUSED = ftruncate(fd, 0);
    close(fd);
}
