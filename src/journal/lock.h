/* The environment's lock: one process at a time. Internal to this folder.
 *
 * An open-file-description lock on PATH.lock: the kernel gives it back when the holder dies,
 * however it dies, so there are no stale locks to judge. The file itself stays; what is written in
 * it is for people. A second open in the same process is refused too. */
#pragma once

#include "base/err.h"

/* The descriptor that carries the lock; closing it releases. -EBUSY names the holder. */
int lock_take(const char *db_path, int *ret_fd, struct err *e);
void lock_release(int fd); /* -1 is fine */
