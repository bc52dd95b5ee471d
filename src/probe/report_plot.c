#include "probe/report_plot.h"

#include <math.h>
#include <string.h>

#include "probe/svg.h"

enum {
    BINS_MAX = 520,
    LABEL_SIZE = 12,
    LABEL_ROWS_MAX = 9,
    LABEL_ROW = 17,
    LABEL_CHARS = 40,
};

/* A column of the drawing: one or more points of the series. */
struct bin {
    double from, to;                        /* seconds */
    double a, b, unknown, lost, unmeasured; /* per second */
    uint64_t lost_lane[LANES], lost_all;
    double p50, p99; /* ms; p99 < 0: nothing was answered */
};

struct figure {
    const struct report *r;
    struct bin *bin;
    size_t n;
    double width;
    double x_max;
    bool merged; /* a column stands for several seconds */
};

/* --- bins --- */

static void bin_add(struct bin *o, const struct point *p, double *ok) {
    const struct counts *c = &p->c;
    o->a += c->by[WHO_A] - c->lost_by[WHO_A];
    o->b += c->by[WHO_B] - c->lost_by[WHO_B];
    o->unknown += c->fate[PROBE_OK];
    for (size_t k = 0; k < LANES; k++)
        o->lost_lane[k] += p->lost_lane[k];
    o->lost_all += counts_lost(c);
    o->unmeasured += c->fate[PROBE_NOT_MEASURED];
    if (!c->fate[PROBE_OK])
        return;
    o->p50 += p->p50_us / 1e3 * c->fate[PROBE_OK];
    o->p99 = MAX(o->p99, p->p99_us / 1e3);
    *ok += c->fate[PROBE_OK];
}

static void bin_close(struct bin *o, double ok) {
    double span = MAX(o->to - o->from, 1e-3);
    o->unknown = MAX(o->unknown - o->a - o->b, 0.0) / span;
    o->a /= span;
    o->b /= span;
    o->lost = (double)o->lost_all / span;
    o->unmeasured /= span;
    o->p50 = ok > 0 ? o->p50 / ok : -1;
    if (ok <= 0)
        o->p99 = -1;
}

/* The last second is not over when the report is made: too small a rest of it is left out, since a
 * rate over it says nothing. */
static void make_bins(struct figure *f, size_t most) {
    const struct stats *s = f->r->s;
    size_t n = s->n_points;
    double end = f->r->elapsed_s, step = s->step_s;
    if (n > 1 && end - (double)(n - 1) * step < 0.25 * step && !counts_lost(&s->points[n - 1].c))
        n--;
    size_t each = (n + most - 1) / MAX(most, (size_t)1);
    each = MAX(each, (size_t)1);
    f->n = (n + each - 1) / each;
    f->bin = xcalloc(MAX(f->n, (size_t)1), sizeof *f->bin);
    for (size_t i = 0; i < f->n; i++) {
        struct bin *o = &f->bin[i];
        double ok = 0;
        size_t last = MIN(n, (i + 1) * each);
        for (size_t k = i * each; k < last; k++)
            bin_add(o, &s->points[k], &ok);
        o->from = (double)(i * each) * step;
        o->to = MAX(MIN((double)last * step, end), o->from + 0.05);
        bin_close(o, ok);
    }
    f->merged = each * s->step_s > 1;
    f->x_max = f->n ? f->bin[f->n - 1].to : 1;
}

/* --- marks --- */

struct placed {
    double x, from, to;
    int row; /* -1: no room for its name */
    bool leftward;
    char text[LABEL_CHARS * 4];
};

/* At most LABEL_CHARS characters, cut between characters. */
static void shorten(char *out, size_t room, const char *s) {
    size_t i = 0, chars = 0;
    while (s[i] && chars < LABEL_CHARS && i + 5 < room) {
        i++;
        while ((s[i] & 0xc0) == 0x80)
            i++;
        chars++;
    }
    snprintf(out, room, "%.*s%s", (int)MIN(i, room - 5), s, s[i] ? "…" : "");
}

/* One row below every name that this one would touch. A line begins beside its name, so with rows
 * going down from left to right no line crosses a name either. */
static int row_below(const struct placed *v, size_t n, const struct placed *p) {
    int row = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].row >= row && p->from < v[i].to + 8 && v[i].from < p->to + 8)
            row = v[i].row + 1;
    return row;
}

static bool row_is_free(const struct placed *v, size_t n, int row, const struct placed *p) {
    for (size_t i = 0; i < n; i++)
        if (v[i].row == row && p->from < v[i].to + 8 && v[i].from < p->to + 8)
            return false;
    return true;
}

/* With too many marks at once, any row will do, and then none: the table below has them all. */
static int choose_row(const struct placed *v, size_t n, const struct placed *p) {
    int row = row_below(v, n, p);
    if (row < LABEL_ROWS_MAX)
        return row;
    for (row = 0; row < LABEL_ROWS_MAX; row++)
        if (row_is_free(v, n, row, p))
            return row;
    return -1;
}

/* A name stands right of its line, or left of it near the right edge. Returns the rows used. */
static int place_marks(const struct figure *f, const struct plot *p, struct placed *v) {
    int rows = 0;
    for (size_t i = 0; i < f->r->s->n_marks; i++) {
        const struct mark *m = &f->r->s->mark[i];
        struct placed *o = &v[i];
        shorten(o->text, sizeof o->text, m->label);
        double w = text_width(o->text, LABEL_SIZE) + 6;
        o->x = plot_x(p, (double)m->at / 1e9);
        o->leftward = o->x + w > p->width - 2;
        o->from = o->leftward ? o->x - w : o->x;
        o->to = o->leftward ? o->x : o->x + w;
        o->row = choose_row(v, i, o);
        rows = MAX(rows, o->row + 1);
    }
    return rows;
}

static double name_top(const struct placed *o) {
    return 4 + o->row * LABEL_ROW;
}

static void draw_marks(const struct plot *p, const struct placed *v, size_t n, bool names) {
    for (size_t i = 0; i < n; i++)
        svg_line(p->b, v[i].x, names && v[i].row >= 0 ? name_top(&v[i]) : p->top, v[i].x,
                 p->height - p->bottom, "mark");
    for (size_t i = 0; names && i < n; i++)
        if (v[i].row >= 0)
            svg_text(p->b, v[i].x + (v[i].leftward ? -5 : 5), name_top(&v[i]) + 11, "label",
                     v[i].leftward ? "end" : "start", v[i].text);
}

/* --- who answered --- */

/* The area between two heights of every bin, as steps: a switch is an edge, not a slope. */
static void area(const struct figure *f, struct plot *p, const char *cls,
                 double (*low)(const struct bin *), double (*high)(const struct bin *)) {
    struct sb *b = p->b;
    sb_fmt(b, "<path class=\"%s\" d=\"M", cls);
    for (size_t i = 0; i < f->n; i++)
        sb_fmt(b, "%.1f %.1fH%.1f%s", plot_x(p, f->bin[i].from), plot_y(p, high(&f->bin[i])),
               plot_x(p, f->bin[i].to), i + 1 < f->n ? "L" : "");
    for (size_t i = f->n; i-- > 0;)
        sb_fmt(b, "L%.1f %.1fH%.1f", plot_x(p, f->bin[i].to), plot_y(p, low(&f->bin[i])),
               plot_x(p, f->bin[i].from));
    sb_str(b, "Z\"/>");
}

static double level_0(const struct bin *o UNUSED) {
    return 0;
}
static double level_a(const struct bin *o) {
    return o->a;
}
static double level_b(const struct bin *o) {
    return o->a + o->b;
}
static double level_answered(const struct bin *o) {
    return o->a + o->b + o->unknown;
}
static double level_lost(const struct bin *o) {
    return o->a + o->b + o->unknown + o->lost;
}
static double level_all(const struct bin *o) {
    return o->a + o->b + o->unknown + o->lost + o->unmeasured;
}

static double highest(const struct figure *f) {
    double most = f->r->p->cfg.rate;
    for (size_t i = 0; i < f->n; i++)
        most = MAX(most, level_all(&f->bin[i]));
    return nice_above(MIN(most, f->r->p->cfg.rate * 4) * 1.02);
}

static void answered(const struct figure *f, struct sb *b, struct placed *v) {
    struct plot p = {.b = b,
                     .width = f->width,
                     .height = 300,
                     .left = 52,
                     .right = 14,
                     .bottom = 22,
                     .x_max = f->x_max,
                     .y_max = highest(f),
                     .start_ms = f->r->start_ms};
    int rows = place_marks(f, &p, v);
    p.top = 30 + rows * LABEL_ROW;
    p.height += rows * LABEL_ROW - 20;
    plot_open(&p, "Requests answered per second by each cluster, over time");
    plot_y_axis(&p, "req/s");
    plot_x_axis(&p, false);
    if (f->n) {
        area(f, &p, "area-a", level_0, level_a);
        area(f, &p, "area-b", level_a, level_b);
        area(f, &p, "area-u", level_b, level_answered);
        area(f, &p, "area-lost", level_answered, level_lost);
        area(f, &p, "area-not", level_lost, level_all);
    }
    draw_marks(&p, v, f->r->s->n_marks, true);
    plot_close(&p);
}

/* --- losses: one row of ticks per lane --- */

static void lost_row(const struct figure *f, struct sb *b, const struct plot *p, unsigned lane) {
    double y = p->top + lane * 24;
    sb_fmt(b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"16\" rx=\"3\" class=\"strip\"/>",
           p->left, y, p->width - p->left - p->right);
    svg_text(b, p->left - 8, y + 12, "num", "end", f->r->p->lane[lane].name);
    for (size_t i = 0; i < f->n; i++) {
        const struct bin *o = &f->bin[i];
        if (!o->lost_lane[lane])
            continue;
        double x = plot_x(p, o->from), w = MAX(plot_x(p, o->to) - x, 2.5);
        sb_fmt(b,
               "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"16\" class=\"lost\"><title>"
               "%llu lost from %.0f s to %.0f s</title></rect>",
               MIN(x, p->width - p->right - w), y, w, (unsigned long long)o->lost_lane[lane],
               o->from, o->to);
    }
}

static void lost_counts(const struct figure *f, struct sb *b, const struct plot *p) {
    char text[96] = "";
    uint64_t all = 0;
    for (unsigned i = 0; i < f->r->p->n_lanes; i++) {
        uint64_t n = fate_lost(f->r->s->lane[i].fate);
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s: %llu", i ? " · " : "", f->r->p->lane[i].name,
                 (unsigned long long)n);
        all += n;
    }
    svg_text(b, p->width - p->right, 14, all ? "num bad" : "num", "end", text);
}

static void losses(const struct figure *f, struct sb *b, const struct placed *v) {
    struct plot p = {.b = b,
                     .width = f->width,
                     .left = 52,
                     .right = 14,
                     .top = 24,
                     .bottom = 2,
                     .height = 26.0 + 24 * f->r->p->n_lanes,
                     .x_max = f->x_max};
    sb_fmt(b,
           "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"Lost requests over time, "
           "by lane\">",
           p.width, p.height);
    svg_text(b, 2, 14, "unit", "start", "lost, by lane");
    lost_counts(f, b, &p);
    for (unsigned i = 0; i < f->r->p->n_lanes; i++)
        lost_row(f, b, &p, i);
    draw_marks(&p, v, f->r->s->n_marks, false);
    plot_close(&p);
}

/* --- latency --- */

static void line(const struct figure *f, struct plot *p, const char *cls, bool p99) {
    bool pen = false;
    sb_fmt(p->b, "<path class=\"%s\" d=\"", cls);
    for (size_t i = 0; i < f->n; i++) {
        const struct bin *o = &f->bin[i];
        double v = p99 ? o->p99 : o->p50;
        if (v < 0) {
            pen = false;
            continue;
        }
        sb_fmt(p->b, "%s%.1f %.1fH%.1f", pen ? "L" : "M", plot_x(p, o->from), plot_y(p, v),
               plot_x(p, o->to));
        pen = true;
    }
    sb_str(p->b, "\"/>");
}

/* Linear while the slowest is near the usual, logarithmic when a linear scale would flatten it. */
static void latency_scale(const struct figure *f, struct plot *p) {
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->bin[i].p99 < 0)
            continue;
        low = MIN(low, MAX(f->bin[i].p50, 0.001));
        high = MAX(high, f->bin[i].p99);
    }
    if (high <= 0) {
        p->y_max = 1;
        return;
    }
    p->log = high / low > 12;
    p->y_max = nice_above(high * 1.05);
    if (!p->log)
        return;
    p->y_min = pow(10, floor(log10(low)));
    p->y_max = MAX(p->y_max, p->y_min * 10);
}

static void latency(const struct figure *f, struct sb *b, const struct placed *v) {
    struct plot p = {.b = b,
                     .width = f->width,
                     .height = 250,
                     .left = 52,
                     .right = 14,
                     .top = 28,
                     .bottom = 42,
                     .x_max = f->x_max,
                     .start_ms = f->r->start_ms};
    latency_scale(f, &p);
    plot_open(&p, "Latency from the due time, median and 99th percentile, over time");
    plot_y_axis(&p, p.log ? "ms (log)" : "ms");
    plot_x_axis(&p, true);
    line(f, &p, "line-p99", true);
    line(f, &p, "line-p50", false);
    draw_marks(&p, v, f->r->s->n_marks, false);
    plot_close(&p);
}

/* --- the whole --- */

static void legend(struct sb *b, const char *cls, const char *text) {
    sb_fmt(b, "<span class=\"key\"><i class=\"%s\"></i>%s</span>", cls, text);
}

static void legend_answered(struct sb *b, const struct report *r) {
    sb_str(b, "<div class=\"legend\">");
    if (r->t.by_a)
        legend(b, "key-a", "answered by A");
    if (r->t.by_b)
        legend(b, "key-b", "answered by B");
    if (!report_identifies(r))
        legend(b, "key-u", "answered");
    else if (r->t.ok > r->t.by_a - r->t.lost_a + r->t.by_b - r->t.lost_b)
        legend(b, "key-u", "answered, cluster not named");
    legend(b, "key-lost", "lost");
    if (r->t.not_measured)
        legend(b, "key-not", "not measured");
    if (r->s->n_marks)
        legend(b, "key-mark", "mark");
    sb_str(b, "</div>");
}

static void draw(struct sb *b, const struct report *r, double width, const char *cls) {
    struct figure f = {.r = r, .width = width};
    struct placed v[STATS_MARKS];
    make_bins(&f, MIN((size_t)(width / 2), (size_t)BINS_MAX));
    sb_fmt(b, "<div class=\"%s\">", cls);
    sb_str(b, "<figure><figcaption><h2>Who answered</h2>");
    legend_answered(b, r);
    sb_str(b, "</figcaption>\n");
    answered(&f, b, v);
    losses(&f, b, v);
    sb_str(b, "</figure>\n<figure><figcaption><h2>Latency <small>from the moment each request was "
              "due</small></h2><div class=\"legend\">");
    legend(b, "key-p50", "median");
    legend(b, "key-p99", f.merged ? "99th percentile (of the worst second)" : "99th percentile");
    sb_str(b, "</div></figcaption>\n");
    latency(&f, b, v);
    sb_str(b, "</figure></div>\n");
    xfree(f.bin);
}

void report_plots(struct sb *b, const struct report *r) {
    draw(b, r, 1080, "wide");
    draw(b, r, 540, "narrow");
}
