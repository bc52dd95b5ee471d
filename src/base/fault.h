/* Places at which a test may kill this process: built with -Dfaults=true only, nothing otherwise.
 *
 * The points are what a crash can fall between: each commit of the journal, each write handed over
 * to the network, each answer to one. With TANDEM_CRASH_AT=N the Nth that is reached raises
 * SIGKILL; TANDEM_CRASH_COUNT=FILE keeps the number of points reached so far in FILE, and
 * TANDEM_CRASH_BATCH=N has the journal of a migration commit N objects at a time. TANDEM_TIMEOUT_MS
 * is the longest that a request may take, TANDEM_PATIENCE_MS how long a cluster that is gone is
 * waited for. Any thread. */
#pragma once

#include "base/util.h"

#ifdef TANDEM_FAULTS
void fault_point(void);
/* The number in an environment variable, or otherwise. */
unsigned fault_number(const char *name, unsigned otherwise);
#define FAULT_POINT()                 fault_point()
#define FAULT_NUMBER(name, otherwise) fault_number(name, otherwise)
#else
#define FAULT_POINT()                 ((void)0)
#define FAULT_NUMBER(name, otherwise) (otherwise)
#endif
