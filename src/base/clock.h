/* Time: monotonic for durations, wall for records. Any thread. */
#pragma once

#include "base/err.h"

enum { CLOCK_RFC3339_MAX = 32 };

uint64_t clock_now_ns(void); /* CLOCK_MONOTONIC */
uint64_t clock_now_ms(void); /* CLOCK_MONOTONIC */
/* CLOCK_BOOTTIME: goes on while the machine sleeps. For what ends at a time that others count too.
 */
uint64_t clock_boot_ns(void);
int64_t clock_wall_ms(void); /* since the epoch */
void clock_sleep_ms(uint64_t ms);
/* "2026-11-23T10:00:00.123Z" into out, which is returned. */
const char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_MAX]);
/* The other way; fractions and offsets understood. */
int clock_parse_rfc3339(const char *s, int64_t *ret_ms, struct err *e);
/* "5m", "1h30m", "250ms", "10s", "24h" (Go's duration syntax, as Kubernetes tools use). */
int clock_parse_duration(const char *s, uint64_t *ret_ms, struct err *e);
/* "1h02m", "3m20s", "12.3s", "250ms". Returns out. */
const char *clock_human(uint64_t ms, char out[CLOCK_RFC3339_MAX]);
/* CPU time this process has used, user and system, in milliseconds. */
uint64_t clock_cpu_ms(void);
