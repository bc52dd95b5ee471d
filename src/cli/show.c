#include "cli/show.h"

#include "base/clock.h"
#include "migrate/pernamespace.h"
#include "migrate/settle.h"
#include "migrate/unclassified.h"

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

void show_dryrun(const struct dryrun *d, char dst) {
    if (d->sent)
        printf("\n%zu dry runs were sent to %c, which stores nothing of them: %zu passed, %zu "
               "refused, %zu told nothing.\n",
               d->sent, dst, d->passed, d->refused, d->untold);
    if (d->untold_why)
        printf("    the first that told nothing: %s\n", d->untold_why);
    if (d->unserved)
        printf("\n%zu were not tried: their definitions are still to come.\n", d->unserved);
    for (size_t i = 0; i < d->hooks.n; i++)
        printf("%s%s%s",
               i ? ", " : "\nNot tried, since a webhook with side effects would be called (",
               d->hooks.v[i], i + 1 == d->hooks.n ? ")" : "");
    if (d->hooks.n)
        printf(": %zu objects.\n", d->hooked);
    if (d->left)
        printf(
            "\n%zu objects stay in doubt: %c checks fields of theirs in another way; --diff with "
            "-o wide shows which.%s\n",
            d->left, dst, d->sent ? "" : " No dry run was sent.");
}

void show_warnings(const struct world *w) {
    for (const char *const *t = world_warnings(w); *t; t++)
        log_warn("%s", *t);
}

size_t show_left_over(const struct world *w) {
    AUTO_ARENA a = arena_new();
    const char *const *t = world_left_over(w);
    size_t n = 0;
    for (; t[n]; n++)
        printf("%s  ? %s\n",
               n ? "" : "\ngone from the source, still in the destination (delete them there)\n",
               object_ref_title(a, t[n]));
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

void show_generated(const struct session *s, const struct world *w) {
    const struct generated *g;
    for (size_t i = 0; (g = pernamespace_at(w, i)); i++) {
        const char *kind = strchr(g->key, '/') + 1, *name = strchr(kind, '/') + 1;
        if (!g->skipped)
            continue;
        printf("generated in every namespace of %c: %.*s %s (%zu object%s skipped", s->destination,
               (int)(name - 1 - kind), kind, name, g->skipped, g->skipped == 1 ? "" : "s");
        if (g->by_hand)
            printf("; not only a controller has written %zu of them in %c", g->by_hand, s->source);
        puts(")");
    }
}

void show_undecided(FILE *f, const struct world *w) {
    size_t n = unclassified_count(w);
    if (!n)
        return;
    fprintf(f, "\n%zu %s as if %s by %s; say for each whether it may act in both clusters:\n", n,
            n == 1 ? "looks" : "look", n == 1 ? "it acts" : "they act",
            n == 1 ? "itself" : "themselves");
    for (size_t i = 0; i < world_count(w); i++) {
        AUTO_ARENA a = arena_new();
        const struct object *o = world_at(w, i);
        if (o->undecided)
            fprintf(f, "  ? %s: %s\n", object_title(a, o), unclassified_hints(a, o));
    }
    fputs("by a rule (verdict hold or create), the annotation tandem.dev/hold (\"true\" or "
          "\"false\"), or for all of them --unclassified=hold or =run\n",
          f);
}

void show_fates(const struct world *w) {
    static const struct {
        enum fate fate;
        const char *head;
    } rows[] = {
        {FATE_GONE, "Written, and gone again:"},
        {FATE_REPLACED, "Replaced in the destination by another object of the name:"},
        {FATE_DELETING, "Being deleted in the destination:"},
        {FATE_CHANGED, "Changed in the destination after they were written:"},
    };
    for (size_t k = 0; k < COUNT_OF(rows); k++) {
        AUTO_ARENA a = arena_new();
        size_t n = 0;
        for (size_t i = 0; i < world_count(w); i++) {
            const struct object *o = world_at(w, i);
            if (o->fate != rows[k].fate)
                continue;
            if (n++ == 0)
                printf("\n%s\n", rows[k].head);
            if (n <= FATES_SHOWN)
                printf("  %s\n          %s\n", object_title(a, o), o->note ? o->note : "");
        }
        if (n > FATES_SHOWN)
            printf("  ... and %zu more: `tandem verify`\n", n - FATES_SHOWN);
    }
}

void show_handover(const struct handover_item *i) {
    for (; i; i = i->next)
        printf("  %-11s %s%s%s\n", handover_state_name(i->state), i->title,
               str_empty(i->note) ? "" : ": ", i->note ? i->note : "");
}

void show_back(const struct session *s, const struct back_result *r) {
    char t[CLOCK_RFC3339_MAX];
    if (s->n_tiers && r->traffic_back)
        printf("all live traffic goes to %c (took %s)\n", s->source, clock_human(r->traffic_ms, t));
    show_handover(r->items);
}
