/* A live sync that only writes down what it was told. Defines all of run/following.h, so that the
 * real one is not linked. */
#pragma once

#include "run/following.h"

extern struct fake_following {
    char direction; /* as recorded */
    int drain_result;
    char calls[256]; /* "start-r drain stop turn-0 " */
} fake_following;
