/* Running a child: argv only (never a shell), its own process group, bounded time and output.
 * Credentials go in by stdin or environment, never argv. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct proc_run {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* "K=V" additions to the environment, NULL-terminated, or NULL */
    const char *dir;         /* working directory or NULL */
    const char *input;       /* for stdin; NULL: /dev/null */
    size_t input_len;
    uint64_t timeout_ms; /* 0: none. After it the group gets TERM, a second later KILL */
    size_t max_output;   /* 0: 1 MiB each of stdout and stderr; excess is dropped */
};

struct proc_result {
    int status; /* exit code, or 128 + signal */
    bool timed_out;
    char *out, *err_out; /* NUL-terminated, in the arena */
    size_t out_len, err_len;
};

/* 0 when the child ran (look at status); negative when it could not be started. */
int proc_run(struct arena *a, const struct proc_run *p, struct proc_result *ret, struct err *e);
