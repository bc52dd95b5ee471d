/* Which process this is, so that another one on the same machine can tell for certain that it has
 * ended: a pid alone is used again, and means nothing on another machine. Any thread. */
#pragma once

#include "base/util.h"

enum { ALIVE_MAX = 128 };

/* "BOOT-ID PID-NAMESPACE PID START" of this process; "" where /proc does not tell. Returns out. */
const char *alive_stamp(char out[ALIVE_MAX]);
/* Has the process of this stamp certainly ended? False for one of another machine, of another pid
 * namespace or from before a restart: whether that one lives cannot be seen from here. */
bool alive_ended(const char *stamp);
