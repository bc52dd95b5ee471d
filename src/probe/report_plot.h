/* The figures of the HTML report. */
#pragma once

#include "probe/report.h"

/* Who answered, with losses below, and latency, both over the same time axis; drawn twice, for wide
 * and for narrow pages, of which the page's CSS shows one. */
void report_plots(struct sb *b, const struct report *r);
