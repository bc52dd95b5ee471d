#include "cli/show.h"

void show_counts(struct sb *b, const struct plan_counts *c) {
    bool any = false;
    for (unsigned v = 0; v < V_COUNT; v++) {
        if (!c->by_verdict[v])
            continue;
        sb_fmt(b, "%s%zu %s", any ? ", " : "", c->by_verdict[v], verdict_name(v));
        any = true;
    }
    if (!any)
        sb_str(b, "nothing");
}

static const char *const colour_of[V_COUNT] = {
    [V_CREATE] = "\033[32m", [V_UPDATE] = "\033[33m", [V_SAME] = "",
    [V_HOLD] = "\033[36m",   [V_SKIP] = "\033[2m",    [V_BLOCK] = "\033[31m",
};
static const char sign_of[V_COUNT] = {
    [V_CREATE] = '+', [V_UPDATE] = '~', [V_SAME] = '=',
    [V_HOLD] = '#',   [V_SKIP] = '-',   [V_BLOCK] = '!',
};

static int by_place(const void *x, const void *y) {
    const struct object *a = *(struct object *const *)x, *b = *(struct object *const *)y;
    int c = strcmp(a->ns, b->ns);
    if (!c)
        c = a->verdict - b->verdict;
    if (!c)
        c = strcmp(a->kind->src->kind, b->kind->src->kind);
    return c ? c : strcmp(a->name, b->name);
}

static void show_changes(const struct object *o) {
    for (const struct change *c = o->changes; c; c = c->next) {
        if (c->src && c->dst)
            printf("        %s: %s -> %s\n", c->path, c->dst, c->src);
        else
            printf("        %s: %s %s\n", c->path, c->src ? "add" : "remove",
                   c->src ? c->src : c->dst);
    }
    if (o->n_changes > CHANGES_MAX)
        printf("        … and %u more\n", o->n_changes - CHANGES_MAX);
}

static bool is_shown(const struct object *o, enum output out) {
    if (out == OUT_WIDE || out == OUT_NAME)
        return true;
    return (o->verdict != V_SKIP && o->verdict != V_SAME) || (o->verdict == V_SAME && o->held) ||
           (o->verdict == V_SAME && o->unready);
}

static void show_object(const struct object *o, bool colour, bool diff) {
    const char *held = o->held && o->verdict == V_SAME ? " (held)" : "";
    printf("  %s%c %-6s%s %s %s%s", colour ? colour_of[o->verdict] : "", sign_of[o->verdict],
           verdict_name(o->verdict), colour ? "\033[0m" : "", o->kind->src->kind, o->name, held);
    if (o->verdict == V_CREATE || (o->verdict == V_SAME && !o->unready && !o->held))
        putchar('\n');
    else
        printf("  [%s] %s\n", o->rule, o->note ? o->note : o->why);
    if (diff && (o->verdict == V_UPDATE || o->verdict == V_BLOCK))
        show_changes(o);
}

static void show_heading(const char *ns) {
    if (*ns)
        printf("\nnamespace %s\n", ns);
    else
        puts("\ncluster-scoped");
}

void show_plan(const struct world *w, enum output out, bool diff) {
    size_t n = world_count(w);
    struct object **v = xcalloc(n, sizeof *v);
    bool colour = log_colour(STDOUT_FILENO);
    const char *ns = NULL;
    for (size_t i = 0; i < n; i++)
        v[i] = world_at(w, i);
    if (n)
        qsort(v, n, sizeof *v, by_place);
    for (size_t i = 0; i < n; i++) {
        if (!is_shown(v[i], out))
            continue;
        if (out == OUT_NAME) {
            AUTO_ARENA a = arena_new();
            printf("%s %s\n", verdict_name(v[i]->verdict), object_ref(a, v[i]));
            continue;
        }
        if (!ns || !str_eq(ns, v[i]->ns))
            show_heading(v[i]->ns);
        ns = v[i]->ns;
        show_object(v[i], colour, diff);
    }
    xfree(v);
}

void show_warnings(const struct world *w) {
    for (const char *const *t = world_warnings(w); *t; t++)
        log_warn("%s", *t);
}

size_t show_left_over(const struct world *w) {
    const char *const *t = world_left_over(w);
    size_t n = 0;
    for (; t[n]; n++)
        printf("%s  ? %s\n",
               n ? "" : "\ngone from the source, still in the destination (delete them there)\n",
               t[n]);
    return n;
}

void show_failures(const struct world *w) {
    AUTO_ARENA a = arena_new();
    bool head = false;
    for (size_t i = 0; i < world_count(w); i++) {
        const struct object *o = world_at(w, i);
        bool failed =
            o->outcome == OUT_FAILED || o->outcome == OUT_STALE ||
            (o->note && o->outcome <= OUT_SENT && o->verdict <= V_HOLD && o->verdict != V_SAME);
        if (!failed && o->verdict != V_BLOCK)
            continue;
        if (!head)
            puts("\nNot done:");
        head = true;
        printf("  %-7s %s\n          %s\n",
               o->outcome == OUT_STALE ? "stale"
               : failed                ? "failed"
                                       : "blocked",
               object_title(a, o), o->note ? o->note : o->why);
    }
}
