#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

int file_read(struct arena *a, const char *path, size_t max, char **ret, size_t *ret_len,
              struct err *e) {
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "%s", path);
    AUTO_SB b = SB_INIT(max);
    char buf[16384];
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "%s", path);
        if (n == 0)
            break;
        sb_add(&b, buf, (size_t)n);
        if (b.full)
            return err_set(e, -EFBIG, "%s: larger than %zu bytes", path, max);
    }
    *ret = arena_strndup(a, sb_get(&b), b.len);
    if (ret_len)
        *ret_len = b.len;
    return 0;
}

static int write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -errno;
        p += w;
        n -= (size_t)w;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static void sync_dir(const char *path) {
    AUTO_ARENA a = arena_new();
    AUTO_FD fd = open(file_dirname(a, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
}

int file_write_atomic(const char *path, const void *p, size_t n, unsigned mode, struct err *e) {
    AUTO_ARENA a = arena_new();
    struct stat st;
    bool had = stat(path, &st) == 0;
    char *tmp = arena_printf(a, "%s.XXXXXX", path);
    AUTO_FD fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot create a file beside %s", path);
    int r = write_all(fd, p, n);
    if (r == 0 && fchmod(fd, had ? st.st_mode & 07777u : mode) < 0)
        r = -errno;
    if (r == 0 && had && (st.st_uid != geteuid() || st.st_gid != getegid()))
        r = fchown(fd, st.st_uid, st.st_gid) < 0 ? -errno : 0;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(tmp);
        return err_errno(e, -r, "cannot write %s", path);
    }
    sync_dir(path);
    return 0;
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

int file_mkdirs(const char *path, unsigned mode, struct err *e) {
    AUTO_ARENA a = arena_new();
    char *p = arena_strdup(a, path);
    for (char *s = p + 1;; s++) {
        if (*s && *s != '/')
            continue;
        char c = *s;
        *s = 0;
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot create folder %s", p);
        if (!c)
            return 0;
        *s = c;
    }
}

char *file_resolve(struct arena *a, const char *base_dir, const char *path) {
    const char *home = getenv("HOME");
    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
        return arena_printf(a, "%s%s", home, path + 1);
    if (path[0] == '/' || !base_dir || str_eq(base_dir, "."))
        return arena_strdup(a, path);
    return arena_printf(a, "%s/%s", base_dir, path);
}

char *file_dirname(struct arena *a, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return arena_strdup(a, ".");
    return slash == path ? arena_strdup(a, "/") : arena_strndup(a, path, (size_t)(slash - path));
}
