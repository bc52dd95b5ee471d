/* Drawing of time plots as inline SVG: a frame with scales, axes, areas, lines. Colours come from
 * CSS classes of the page, so that one drawing serves light and dark. One thread. */
#pragma once

#include "base/str.h"

struct plot {
    struct sb *b;
    double width, height;            /* of the drawing */
    double left, right, top, bottom; /* of the frame inside it */
    double x_max;                    /* seconds */
    double y_min, y_max;
    bool log;
    int64_t start_ms; /* wall clock at x = 0 */
};

double plot_x(const struct plot *p, double seconds);
double plot_y(const struct plot *p, double v);
void plot_open(struct plot *p, const char *label); /* <svg …> and the frame's ground */
void plot_close(struct plot *p);
/* The smallest "round" number (1, 2, 5 · 10^n) that is not below v. */
double nice_above(double v);
/* Grid and numbers; unit is written once, above the axis. */
void plot_y_axis(struct plot *p, const char *unit);
/* Elapsed time and, below it, the clock (UTC). `names` false draws only the grid. */
void plot_x_axis(struct plot *p, bool names);
void svg_text(struct sb *b, double x, double y, const char *cls, const char *anchor,
              const char *text);
void svg_line(struct sb *b, double x1, double y1, double x2, double y2, const char *cls);
/* Width in drawing units that a text of the given size is likely to need. */
double text_width(const char *text, double size);
