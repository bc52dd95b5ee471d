/* Progress and messages, to stderr. Only cli and serve decide how it looks (log_setup); library
 * code reports errors through struct err and uses the log for what an operator wants to see while
 * it happens. Any thread. Never a credential. */
#pragma once

#include "base/util.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level least, enum log_format format);
void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

/* A line that overwrites itself on a terminal (progress); dropped when stderr is none. */
void log_progress(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_progress_end(void);
bool log_is_tty(void);
/* True when colour may be used on this descriptor: a terminal, and NO_COLOR not set. */
bool log_colour(int fd);
