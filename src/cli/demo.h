/* The demo: a whole upgrade on this machine, played with the same commands a person would type. */
#pragma once

#include "cli/cli.h"

struct demo_opts {
    const char *bed;    /* folder of the bed; NULL: a temporary one that is taken down again */
    bool keep;          /* leave the bed up */
    const char *report; /* HTML file; NULL: tandem-demo.html in the working directory */
    const char *source; /* folder with tests/bed and demo/; NULL: where this binary was built */
    unsigned rate;      /* requests per second; 0: 200 */
    uint64_t hold_ms;   /* between steps; 0: 5 s */
    unsigned requests;  /* at least so many in all; 0: 10,000 */
};

int demo_run(const struct demo_opts *o, struct err *e);
