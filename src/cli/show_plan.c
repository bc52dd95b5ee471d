/* A plan on a terminal: counts first, then only what a person has to read. */
#include "cli/show.h"
#include "migrate/explain.h"

enum { ALIKE_MAX = 6, NAMED_MAX = 3, PLACES_MAX = 40, LINES_MAX = 300 };

/* In the order in which they are read: what wants a decision first. */
static const struct {
    enum verdict verdict;
    char sign;
    const char *colour;
} looks[] = {
    {V_BLOCK, '!', "\033[31m"},  {V_UPDATE, '~', "\033[33m"}, {V_HOLD, '#', "\033[36m"},
    {V_CREATE, '+', "\033[32m"}, {V_SAME, '=', ""},           {V_SKIP, '-', "\033[2m"},
};

static unsigned look_of(enum verdict v) {
    unsigned i = 0;
    while (looks[i].verdict != v)
        i++;
    return i;
}

struct showing {
    struct object **v; /* sorted by place */
    size_t n;
    enum output out;
    unsigned what;
    bool colour;
    const char *ns; /* of the heading above, or NULL */
    size_t lines, left_out;
};

static int by_place(const void *x, const void *y) {
    const struct object *a = *(struct object *const *)x, *b = *(struct object *const *)y;
    int c = strcmp(a->ns, b->ns);
    if (!c)
        c = (int)look_of(a->verdict) - (int)look_of(b->verdict);
    if (!c)
        c = strcmp(a->kind->src->kind, b->kind->src->kind);
    if (!c)
        c = strcmp(a->rule, b->rule);
    return c ? c : strcmp(a->name, b->name);
}

/* --- counts --- */

static const char *place(const char *ns) {
    return *ns ? ns : "(no namespace)";
}

struct place_counts {
    const char *ns;
    size_t n[V_COUNT];
};

static bool has_news(const struct place_counts *p) {
    return p->n[V_BLOCK] + p->n[V_UPDATE] + p->n[V_HOLD] + p->n[V_CREATE] > 0;
}

/* One for each namespace, in a. */
static struct place_counts *count_places(struct arena *a, const struct showing *s, size_t *ret_n) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += !i || !str_eq(s->v[i]->ns, s->v[i - 1]->ns);
    struct place_counts *p = arena_array(a, struct place_counts, n + 1), *at = p;
    for (size_t i = 0; i < s->n; i++) {
        if (i && !str_eq(s->v[i]->ns, s->v[i - 1]->ns))
            at++;
        at->ns = s->v[i]->ns;
        at->n[s->v[i]->verdict]++;
    }
    *ret_n = n;
    return p;
}

static void add_places(struct place_counts *sum, const struct place_counts *p) {
    for (unsigned v = 0; v < V_COUNT; v++)
        sum->n[v] += p->n[v];
}

static void print_place(const char *name, int width, const struct place_counts *p,
                        const struct place_counts *all) {
    printf("  %-*s", width, name);
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        enum verdict v = looks[i].verdict;
        if (all->n[v] && p->n[v])
            printf("  %7zu", p->n[v]);
        else if (all->n[v])
            printf("  %7s", "");
    }
    putchar('\n');
}

static void print_heading(int width, const struct place_counts *all) {
    printf("\n  %-*s", width, "namespace");
    for (size_t i = 0; i < COUNT_OF(looks); i++)
        if (all->n[looks[i].verdict])
            printf("  %7s", verdict_name(looks[i].verdict));
    putchar('\n');
}

static void show_places(const struct showing *s) {
    AUTO_ARENA a = arena_new();
    size_t n, shown = 0, folded = 0;
    struct place_counts *p = count_places(a, s, &n), all = {0}, rest = {0};
    int width = (int)strlen("(no namespace)");
    for (size_t i = 0; i < n; i++) {
        add_places(&all, &p[i]);
        width = MAX(width, (int)strlen(p[i].ns));
    }
    if (n < 2)
        return;
    print_heading(width, &all);
    for (size_t i = 0; i < n; i++) {
        if (has_news(&p[i]) && shown++ < PLACES_MAX) {
            print_place(place(p[i].ns), width, &p[i], &all);
        } else {
            add_places(&rest, &p[i]);
            folded++;
        }
    }
    if (folded)
        print_place(arena_printf(a, "(%zu %s)", folded, shown ? "others" : "in all"), width, &rest,
                    &all);
}

/* --- objects --- */

static bool is_shown(const struct showing *s, const struct object *o) {
    switch ((enum verdict)o->verdict) {
    case V_CREATE: return s->what & SHOW_CREATES || s->out == OUT_WIDE;
    case V_SAME: return o->held || o->unready || o->kept || o->concerns || s->out == OUT_WIDE;
    case V_SKIP: return o->tuned || s->out == OUT_WIDE;
    case V_UPDATE:
    case V_HOLD:
    case V_BLOCK:
    case V_COUNT: break;
    }
    return true;
}

static void show_changes(const struct object *o) {
    for (const struct change *c = o->changes; c; c = c->next) {
        if (c->fate == CHANGE_KEEP)
            printf("        = %s: %s is kept (%s there)\n", c->path, c->dst ? c->dst : "nothing",
                   c->src ? c->src : "not in the source, but");
        else if (c->src && c->dst)
            printf("        ~ %s: %s -> %s\n", c->path, c->dst, c->src);
        else
            printf("        %c %s: %s\n", c->src ? '+' : '-', c->path, c->src ? c->src : c->dst);
    }
    if (o->n_changes > CHANGES_MAX)
        printf("        … and %u more\n", o->n_changes - CHANGES_MAX);
}

static void show_concerns(const struct object *o) {
    for (const struct concern *c = o->concerns; c; c = c->next)
        printf("        %s %s: %s\n", concern_name(c->kind), c->path, c->why);
}

static void print_verdict(const struct showing *s, const struct object *o) {
    unsigned k = look_of(o->verdict);
    printf("  %s%c %-6s%s %s", s->colour ? looks[k].colour : "", looks[k].sign,
           verdict_name(o->verdict), s->colour && *looks[k].colour ? "\033[0m" : "",
           o->kind->src->kind);
}

static const char *reason(const struct object *o) {
    return o->note && *o->note ? o->note : o->why;
}

static void show_object(const struct showing *s, const struct object *o) {
    bool plain =
        o->verdict == V_CREATE || (o->verdict == V_SAME && !o->unready && !o->held && !o->kept);
    print_verdict(s, o);
    printf(" %s%s", o->name, o->held && o->verdict == V_SAME ? " (held)" : "");
    if (plain)
        putchar('\n');
    else
        printf("  %s [%s]\n", reason(o), o->rule);
    if (!(s->what & SHOW_DIFF))
        return;
    show_concerns(o);
    if (o->verdict == V_UPDATE || o->verdict == V_BLOCK || o->kept)
        show_changes(o);
}

/* Many of one kind for one reason. */
static void show_alike(const struct showing *s, struct object *const *v, size_t n) {
    print_verdict(s, v[0]);
    printf(" ×%zu: ", n);
    for (size_t i = 0; i < NAMED_MAX; i++)
        printf("%s, ", v[i]->name);
    printf("…  %s [%s]\n", reason(v[0]), v[0]->rule);
}

static void heading(struct showing *s, const char *ns) {
    if (!s->ns || !str_eq(s->ns, ns))
        printf("\n%s%s\n", *ns ? "namespace " : "no namespace", ns);
    s->ns = ns;
}

static bool alike(const struct object *x, const struct object *y) {
    return str_eq(x->ns, y->ns) && x->verdict == y->verdict && x->kind == y->kind &&
           str_eq(x->rule, y->rule) && x->held == y->held && !x->tuned && !y->tuned;
}

/* Objects from v[0] on that are alike; returns how many. */
static size_t show_group(struct showing *s, struct object **v, size_t n) {
    size_t k = 1;
    bool each = s->out == OUT_WIDE || s->what & SHOW_DIFF;
    while (k < n && alike(v[0], v[k]))
        k++;
    if (s->lines >= LINES_MAX && s->out != OUT_WIDE) {
        s->left_out += k;
        return k;
    }
    heading(s, v[0]->ns);
    if (k > ALIKE_MAX && !each) {
        show_alike(s, v, k);
        s->lines++;
        return k;
    }
    for (size_t i = 0; i < k; i++)
        show_object(s, v[i]);
    s->lines += k;
    return k;
}

static void show_names(const struct showing *s) {
    for (size_t i = 0; i < s->n; i++) {
        AUTO_ARENA a = arena_new();
        printf("%s %s\n", verdict_name(s->v[i]->verdict), object_ref(a, s->v[i]));
    }
}

static void show_objects(struct showing *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (is_shown(s, s->v[i]))
            s->v[n++] = s->v[i];
    for (size_t i = 0; i < n;)
        i += show_group(s, s->v + i, n - i);
    if (s->left_out)
        printf("\n… and %zu more that want to be read: -o wide lists every object\n", s->left_out);
}

void show_plan(const struct world *w, enum output out, unsigned what) {
    struct showing s = {.n = world_count(w), .out = out, .what = what};
    s.v = xcalloc(s.n + 1, sizeof *s.v);
    s.colour = log_colour(STDOUT_FILENO);
    for (size_t i = 0; i < s.n; i++)
        s.v[i] = world_at(w, i);
    if (s.n)
        qsort(s.v, s.n, sizeof *s.v, by_place);
    if (out == OUT_NAME) {
        show_names(&s);
    } else {
        show_places(&s);
        show_objects(&s);
    }
    xfree(s.v);
}
