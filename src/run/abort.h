/* Taking a run back as far as its stage needs: traffic and singletons to the source by
 * run/back.h; the run stays open, at `migrate`, and `unmigrate` takes the objects back. */
#pragma once

#include "run/back.h"
#include "run/run.h"

struct abort_opts {
    const char *reason;         /* or NULL */
    bool automatic;             /* a probe broke its limit, nobody asked */
    bool traffic_only;          /* singletons stay where they are */
    struct following **reverse; /* see back.h; or NULL */
};
struct abort_result {
    bool needed;             /* traffic or singletons had to go back */
    int stage;               /* where the run stands now */
    bool traffic_back;       /* proven by reading back; true when none had to go */
    struct back_result back; /* valid when needed */
};
/* Always legal while a run is open; what can be done is done, also without a journal that can be
 * written. Negative when something of it could not be done, or was left by traffic.onAbort. */
int run_abort(struct session *s, const struct abort_opts *o, struct abort_result *ret,
              struct err *e);
