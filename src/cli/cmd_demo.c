#include "cli/commands.h"
#include "cli/demo.h"

int cmd_demo(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct demo_opts o = {0};
    const struct option_row rows[] = {
        {"bed", 0, OPT_STRING, &o.bed, "DIR", "folder of the bed, taken as it is if it is up"},
        {"keep", 0, OPT_FLAG, &o.keep, NULL, "leave the bed up"},
        {"report", 0, OPT_STRING, &o.report, "FILE", "HTML report (default tandem-demo.html)"},
        {"source", 0, OPT_STRING, &o.source, "DIR", "the checkout with tests/bed and demo"},
        {"rate", 0, OPT_UINT, &o.rate, "N", "requests per second (default 200)"},
        {"requests", 0, OPT_UINT, &o.requests, "N", "at least so many (default 10000)"},
        {"hold", 0, OPT_DURATION, &o.hold_ms, "TIME", "between steps (default 5s)"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct err e = {0};
    int r = demo_run(&o, &e);
    common_done(&m);
    return r < 0 ? cli_fail(&e) : EXIT_DONE;
}
