#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static struct {
    pthread_mutex_t lock;
    enum log_level least;
    enum log_format format;
    bool progress; /* an unfinished progress line is on the terminal */
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .least = LOG_INFO};

static const char *const level_name[] = {"debug", "info", "warn", "error"};
static const char *const level_head[] = {"debug: ", "", "warning: ", "error: "};

void log_setup(enum log_level least, enum log_format format) {
    g.least = least;
    g.format = format;
}

bool log_is_tty(void) {
    return isatty(STDERR_FILENO) == 1 && g.format == LOG_TEXT;
}

bool log_colour(int fd) {
    const char *no = getenv("NO_COLOR");
    return isatty(fd) == 1 && !(no && *no);
}

static void clear_progress(void) {
    if (g.progress)
        fputs("\r\033[K", stderr);
    g.progress = false;
}

static void print_json(enum log_level level, const char *msg) {
    char when[CLOCK_RFC3339_MAX];
    AUTO_SB b = SB_INIT(0);
    sb_fmt(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":", clock_rfc3339(clock_wall_ms(), when),
           level_name[level]);
    sb_json(&b, msg, strlen(msg));
    sb_str(&b, "}\n");
    fputs(b.p, stderr);
}

void log_at(enum log_level level, const char *fmt, ...) {
    if (level < g.least)
        return;
    AUTO_ARENA a = arena_new();
    va_list ap;
    va_start(ap, fmt);
    const char *msg = arena_vprintf(a, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&g.lock);
    clear_progress();
    if (g.format == LOG_JSON)
        print_json(level, msg);
    else
        fprintf(stderr, "%s%s\n", level_head[level], msg);
    pthread_mutex_unlock(&g.lock);
}

void log_progress(const char *fmt, ...) {
    if (!log_is_tty() || g.least > LOG_INFO)
        return;
    AUTO_ARENA a = arena_new();
    va_list ap;
    va_start(ap, fmt);
    const char *msg = arena_vprintf(a, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&g.lock);
    fprintf(stderr, "\r\033[K%s", msg);
    fflush(stderr);
    g.progress = true;
    pthread_mutex_unlock(&g.lock);
}

void log_progress_end(void) {
    pthread_mutex_lock(&g.lock);
    clear_progress();
    pthread_mutex_unlock(&g.lock);
}
