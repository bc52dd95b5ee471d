#include "probe/svg.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { TICKS_APART_Y = 42, TICKS_APART_X = 92, DECADES_MAX = 9 };

double plot_x(const struct plot *p, double seconds) {
    double share = p->x_max > 0 ? seconds / p->x_max : 0;
    return p->left + (p->width - p->left - p->right) * MIN(MAX(share, 0.0), 1.0);
}

double plot_y(const struct plot *p, double v) {
    double low = p->y_min, high = p->y_max;
    if (p->log) {
        v = log10(MAX(v, p->y_min));
        low = log10(low);
        high = log10(high);
    }
    double share = high > low ? (v - low) / (high - low) : 0;
    return p->height - p->bottom - (p->height - p->top - p->bottom) * MIN(MAX(share, 0.0), 1.0);
}

void svg_text(struct sb *b, double x, double y, const char *cls, const char *anchor,
              const char *text) {
    sb_fmt(b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, cls, anchor);
    sb_html(b, text);
    sb_str(b, "</text>");
}

void svg_line(struct sb *b, double x1, double y1, double x2, double y2, const char *cls) {
    sb_fmt(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>", x1, y1, x2,
           y2, cls);
}

double text_width(const char *text, double size) {
    double n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80; /* bytes that begin a character */
    return n * size * 0.58;
}

void plot_open(struct plot *p, const char *label) {
    sb_fmt(p->b, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", p->width, p->height);
    sb_html(p->b, label);
    sb_fmt(p->b, "\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"ground\"/>",
           p->left, p->top, p->width - p->left - p->right, p->height - p->top - p->bottom);
}

void plot_close(struct plot *p) {
    sb_str(p->b, "</svg>\n");
}

/* --- scales --- */

double nice_above(double v) {
    static const double steps[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10};
    if (v <= 0)
        return 1;
    double ten = pow(10, floor(log10(v)));
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (steps[i] * ten >= v * 0.999999)
            return steps[i] * ten;
    return 10 * ten;
}

static double nice_step(double span, double ticks) {
    static const double steps[] = {1, 2, 5, 10};
    double rough = span / MAX(ticks, 1.0), ten = pow(10, floor(log10(rough)));
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (steps[i] * ten >= rough * 0.999999)
            return steps[i] * ten;
    return 10 * ten;
}

static void y_tick(struct plot *p, double v) {
    char text[32];
    double y = plot_y(p, v);
    snprintf(text, sizeof text, "%.6g", v);
    if (v >= 1e6)
        snprintf(text, sizeof text, "%.4gM", v / 1e6);
    else if (v >= 1e4)
        snprintf(text, sizeof text, "%.4gk", v / 1e3);
    svg_line(p->b, p->left, y, p->width - p->right, y, "grid");
    svg_text(p->b, p->left - 8, y + 4, "num", "end", text);
}

static void y_log_ticks(struct plot *p) {
    double v = pow(10, ceil(log10(p->y_min) - 1e-9));
    double decades = log10(p->y_max / p->y_min);
    for (int i = 0; i < DECADES_MAX && v <= p->y_max * 1.000001; i++, v *= 10) {
        y_tick(p, v);
        for (double half = 2; decades < 2.2 && half <= 5; half += 3)
            if (v * half <= p->y_max * 1.000001)
                y_tick(p, v * half);
    }
}

void plot_y_axis(struct plot *p, const char *unit) {
    svg_text(p->b, 2, p->top - 10, "unit", "start", unit);
    if (p->log) {
        y_log_ticks(p);
        return;
    }
    double span = p->y_max - p->y_min;
    double step = nice_step(span, (p->height - p->top - p->bottom) / TICKS_APART_Y);
    for (double v = p->y_min; v <= p->y_max + step / 1000; v += step)
        y_tick(p, v);
}

/* --- time --- */

static double time_step(double span, double ticks) {
    static const double steps[] = {0.1, 0.2, 0.5, 1,    2,    5,    10,    15,    30,    60,   120,
                                   300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (span / steps[i] <= ticks)
            return steps[i];
    return nice_step(span, ticks);
}

static const char *elapsed_text(double s, double step, char out[40]) {
    unsigned long long t = (unsigned long long)(s + 0.0001);
    if (step < 1)
        snprintf(out, 32, "%.1f s", s);
    else if (s < 60 && step < 60)
        snprintf(out, 32, "%llu s", t);
    else if (t < 3600)
        snprintf(out, 32, "%llu:%02llu", t / 60, t % 60);
    else
        snprintf(out, 32, "%llu:%02llu:%02llu", t / 3600, t / 60 % 60, t % 60);
    return out;
}

static void clock_text(const struct plot *p, double s, double step, char out[40]) {
    int64_t ms = p->start_ms + (int64_t)(s * 1000 + 0.5);
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(out, 32, step >= 60 && tm.tm_sec == 0 ? "%H:%M" : "%H:%M:%S", &tm);
    if (step < 1)
        snprintf(out + n, 32 - n, ".%d", (int)(ms % 1000 / 100));
}

void plot_x_axis(struct plot *p, bool names) {
    char text[40];
    double frame = p->width - p->left - p->right, base = p->height - p->bottom;
    double step = time_step(p->x_max, MAX(frame / TICKS_APART_X, 2.0));
    for (double s = 0; s <= p->x_max + step / 1000; s += step) {
        double x = plot_x(p, s);
        svg_line(p->b, x, p->top, x, base, "grid");
        if (!names)
            continue;
        svg_line(p->b, x, base, x, base + 5, "tick");
        svg_text(p->b, x, base + 19, "num strong", "middle", elapsed_text(s, step, text));
        clock_text(p, s, step, text);
        if (s <= 0)
            snprintf(text + strlen(text), 8, " UTC");
        svg_text(p->b, x, base + 34, "num", "middle", text);
    }
    svg_line(p->b, p->left, base, p->width - p->right, base, "axis");
}
