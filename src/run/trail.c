#include "run/trail.h"

const char *trail_move(struct session *s, int percent) {
    return percent ? arena_printf(s->a, "%d %% to %c", percent, s->destination)
                   : arena_printf(s->a, "back to %c", s->source);
}

/* The percentage that a step of stage "switch" sets; -1 when it moves no live traffic. */
static int percent_of(const struct journal_step *step) {
    char to;
    int percent = -1;
    if (!str_eq(step->stage, "switch"))
        return -1;
    if (str_starts(step->what, "back to "))
        return 0;
    return sscanf(step->what, "%d %% to %c", &percent, &to) == 2 ? percent : -1;
}

/* What began and was never undone counts, also when it failed: some of it may have been done. */
static void note_singletons(struct trail *t, const struct journal_step *step) {
    if (str_eq(step->stage, "activate") && !t->acts_ms)
        t->acts_ms = step->begun_ms;
    else if (str_eq(step->stage, "deactivate") && str_eq(step->state, "done"))
        t->acts_ms = 0;
}

static void note_back(struct trail *t, const struct journal_step *step) {
    bool forward = str_eq(step->stage, "activate") || percent_of(step) > 0;
    if (forward)
        t->back = NULL;
    if (!str_eq(step->stage, "switch-back"))
        return;
    t->back = str_eq(step->state, "done") ? NULL : step->what;
    t->back_ms = step->begun_ms;
}

static void note_move(struct trail *t, const struct journal_step *step) {
    int percent = percent_of(step);
    bool done = str_eq(step->state, "done");
    if (percent < 0)
        return;
    t->percent = done ? percent : -1;
    t->last = step->what;
    t->last_ms = step->begun_ms;
    if (percent > 0 && !t->moved_ms)
        t->moved_ms = step->begun_ms;
    else if (percent == 0 && done)
        t->moved_ms = 0;
}

int trail_read(struct session *s, struct trail *ret, struct err *e) {
    struct journal_step *steps;
    struct trail t = {0};
    size_t n = 0;
    int r =
        s->journal && s->run_open ? journal_steps(s->journal, s->a, s->run.id, &steps, &n, e) : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        note_move(&t, &steps[i]);
        note_singletons(&t, &steps[i]);
        note_back(&t, &steps[i]);
    }
    *ret = t;
    return 0;
}

/* Of one run: of the whole way back, or of one move, whichever is asked for. */
static uint64_t newest_ms(struct session *s, const char *run, bool whole) {
    struct journal_step *steps;
    size_t n = 0;
    if (journal_steps(s->journal, s->a, run, &steps, &n, NULL) < 0)
        return 0;
    while (n-- > 0) {
        const struct journal_step *x = &steps[n];
        bool is = whole ? str_eq(x->stage, "switch-back") && str_starts(x->what, BACK_WHOLE)
                        : percent_of(x) >= 0;
        if (is && str_eq(x->state, "done"))
            return (uint64_t)MAX(x->ended_ms - x->begun_ms, (int64_t)1);
    }
    return 0;
}

uint64_t trail_way_back_ms(struct session *s) {
    struct journal_run *runs;
    size_t n = 0;
    uint64_t ms = 0;
    if (!s->journal || journal_runs(s->journal, s->a, &runs, &n, NULL) < 0)
        return 0;
    for (int whole = 1; whole >= 0; whole--)
        for (size_t i = 0; i < n && !ms; i++)
            ms = newest_ms(s, runs[i].id, whole);
    return ms;
}
