/* What both ends of the holder's socket share (holder.c listens, holder_ask.c asks). */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/str.h"

enum {
    HOLDER_REQUEST_MAX = 64 << 10,
    HOLDER_ANSWER_MAX = 4 << 20,
    HOLDER_WIRE_MS = 5000, /* for one end to read or write a whole line */
};

/* Where the socket of a journal is. The descriptor of the folder must stay open as long as `at` is
 * used. */
struct holder_place {
    int dir; /* of its folder */
    char name[80];
    struct sockaddr_un at;
};
int holder_place(const char *journal_path, struct holder_place *ret, struct err *e);
static inline void cleanup_holder_place(struct holder_place *p) {
    cleanup_fd(&p->dir);
}
#define AUTO_HOLDER_PLACE CLEANUP(cleanup_holder_place) struct holder_place

/* Is the other end of this connection a process of our user? */
bool holder_same_user(int fd);
