#include "fake_following.h"

struct fake_following fake_following;

struct following {
    bool reverse;
};

static void note(const char *word) {
    size_t n = strlen(fake_following.calls);
    snprintf(fake_following.calls + n, sizeof fake_following.calls - n, "%s ", word);
}

const char *following_state_name(enum following_state s) {
    return s == FOLLOWING_STOPPED ? "stopped" : "live";
}

int following_start(struct session *s UNUSED, const struct following_opts *o,
                    struct following **ret, struct err *e UNUSED) {
    *ret = xcalloc(1, sizeof **ret);
    (*ret)->reverse = o->reverse;
    note(o->reverse ? "start-r" : "start-f");
    return 0;
}

void following_status(struct following *f UNUSED, struct following_status *ret) {
    uint64_t n = fake_following.drain_result < 0 ? 3 : 0; /* deletions */
    *ret = (struct following_status){.pending = n, .asks = n};
}

int following_approve(struct following *f UNUSED, const char *what UNUSED, struct err *e UNUSED) {
    note("approve");
    return 0;
}

int following_drain(struct following *f UNUSED, uint64_t max_ms UNUSED, struct err *e) {
    note("drain");
    return fake_following.drain_result < 0
               ? err_set(e, fake_following.drain_result, "deletions wait for a person")
               : 0;
}

void following_stop(struct following *f) {
    if (f)
        note("stop");
    xfree(f);
}

int following_direction(struct session *s UNUSED, char *ret, struct err *e UNUSED) {
    *ret = fake_following.direction;
    return 0;
}

int following_turn(struct session *s UNUSED, char direction, struct err *e UNUSED) {
    note(direction == 'f' ? "turn-f" : direction == 'r' ? "turn-r" : "turn-0");
    fake_following.direction = direction;
    return 0;
}

void following_each_held(struct following *f UNUSED, size_t n UNUSED,
                         void (*fn)(void *ctx, const char *ref, bool asks, const char *why) UNUSED,
                         void *ctx UNUSED) {
}
