#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/str.h"

extern char **environ;

enum { OUTPUT_MAX = 1 << 20, KILL_AFTER_MS = 1000, POLL_MS = 50 };

struct child {
    pid_t pid;
    int in, out, err;
    size_t fed;
    struct sb out_buf, err_buf;
};

static void child_done(struct child *c) {
    cleanup_fd(&c->in);
    cleanup_fd(&c->out);
    cleanup_fd(&c->err);
    sb_done(&c->out_buf);
    sb_done(&c->err_buf);
}

static void fill_env(struct strvec *env, const char *const *add) {
    for (char **p = environ; *p; p++) {
        size_t n = strcspn(*p, "=") + 1;
        bool replaced = false;
        for (size_t i = 0; add && add[i]; i++)
            replaced |= strncmp(add[i], *p, n) == 0;
        if (!replaced)
            strvec_add(env, *p);
    }
    for (size_t i = 0; add && add[i]; i++)
        strvec_add(env, add[i]);
}

/* Pipe ends: [0] read, [1] write, both close-on-exec. */
static int spawn(const struct proc_run *p, struct child *c, struct err *e) {
    int in[2], out[2], er[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(er, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot make a pipe");
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_adddup2(&fa, in[0], 0);
    posix_spawn_file_actions_adddup2(&fa, out[1], 1);
    posix_spawn_file_actions_adddup2(&fa, er[1], 2);
    if (p->dir)
        posix_spawn_file_actions_addchdir_np(&fa, p->dir);
    sigset_t none, usual; /* what this process ignores is none of the child's */
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &usual);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                      POSIX_SPAWN_SETSIGDEF);
    AUTO_STRVEC env = {0};
    fill_env(&env, p->env);
    int r = posix_spawnp(&c->pid, p->argv[0], &fa, &at, (char *const *)(uintptr_t)p->argv, env.v);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    close(in[0]);
    close(out[1]);
    close(er[1]);
    c->in = in[1];
    c->out = out[0];
    c->err = er[0];
    return r ? err_errno(e, r, "cannot run %s", p->argv[0]) : 0;
}

/* write() that says EPIPE whatever the process does about SIGPIPE: a child may end without reading.
 */
static ssize_t write_quietly(int fd, const char *p, size_t n) {
    sigset_t broken, old;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    MUST(pthread_sigmask(SIG_BLOCK, &broken, &old) == 0);
    ssize_t r = write(fd, p, n);
    int why = errno;
    if (r < 0 && why == EPIPE)
        sigtimedwait(&broken, NULL, &(struct timespec){0}); /* what it has raised in this thread */
    MUST(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    errno = why;
    return r;
}

static void feed(const struct proc_run *p, struct child *c) {
    if (c->fed < p->input_len) {
        ssize_t n = write_quietly(c->in, p->input + c->fed, p->input_len - c->fed);
        if (n > 0)
            c->fed += (size_t)n;
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            c->fed = p->input_len;
    }
    if (c->fed >= p->input_len) {
        close(c->in);
        c->in = -1;
    }
}

static void drain(int *fd, struct sb *b) {
    char buf[8192];
    ssize_t n = read(*fd, buf, sizeof buf);
    if (n > 0) {
        size_t room = b->max - b->len;
        sb_add(b, buf, MIN((size_t)n, room));
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(*fd);
        *fd = -1;
    }
}

static void pump(const struct proc_run *p, struct child *c, int timeout_ms) {
    struct pollfd f[3] = {{.fd = c->in, .events = POLLOUT},
                          {.fd = c->out, .events = POLLIN},
                          {.fd = c->err, .events = POLLIN}};
    if (poll(f, 3, timeout_ms) <= 0)
        return;
    if (f[0].revents)
        feed(p, c);
    if (f[1].revents)
        drain(&c->out, &c->out_buf);
    if (f[2].revents)
        drain(&c->err, &c->err_buf);
}

/* Runs until the child has ended; returns its wait status. */
static int supervise(const struct proc_run *p, struct child *c, bool *ret_timed_out) {
    uint64_t start = clock_now_ms();
    int status = 0;
    bool gone = false;
    uint64_t gone_at = 0;
    while (!gone || c->out >= 0 || c->err >= 0) {
        pump(p, c, POLL_MS);
        if (!gone && waitpid(c->pid, &status, WNOHANG) == c->pid) {
            gone = true;
            gone_at = clock_now_ms();
        }
        /* A grandchild that keeps the pipe open does not keep us. */
        if (gone && clock_now_ms() - gone_at > KILL_AFTER_MS)
            break;
        uint64_t age = clock_now_ms() - start;
        if (!gone && p->timeout_ms && age > p->timeout_ms) {
            kill(-c->pid, age > p->timeout_ms + KILL_AFTER_MS ? SIGKILL : SIGTERM);
            *ret_timed_out = true;
        }
    }
    return status;
}

int proc_run(struct arena *a, const struct proc_run *p, struct proc_result *ret, struct err *e) {
    size_t max = p->max_output ? p->max_output : OUTPUT_MAX;
    struct child c = {.pid = -1, .in = -1, .out = -1, .err = -1};
    c.out_buf.max = c.err_buf.max = max;
    int r = spawn(p, &c, e);
    if (r < 0) {
        child_done(&c);
        return r;
    }
    for (size_t i = 0; i < 3; i++)
        fcntl(i == 0 ? c.in : i == 1 ? c.out : c.err, F_SETFL, O_NONBLOCK);
    bool timed_out = false;
    int st = supervise(p, &c, &timed_out);
    *ret = (struct proc_result){
        .status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st),
        .timed_out = timed_out,
        .out = arena_strndup(a, sb_get(&c.out_buf), c.out_buf.len),
        .err_out = arena_strndup(a, sb_get(&c.err_buf), c.err_buf.len),
        .out_len = c.out_buf.len,
        .err_len = c.err_buf.len,
    };
    child_done(&c);
    return 0;
}
