#include "base/clock.h"
#include "cli/commands.h"
#include "run/losses.h"
#include "run/stages.h"
#include "run/switch.h"

/* What has to be done last for a stage to be done; NULL: any step of it. */
static const struct {
    const char *stage, *last;
} stages[] = {
    {"migrate", MIGRATE_ALL},
    {"activate", NULL},
    {"switch", "pre-live to the idle cluster"},
    {"retire", NULL},
};

static void add_tiers(yyjson_mut_doc *d, yyjson_mut_val *root, struct session *s) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct traffic_state st;
        struct err e = {0};
        yyjson_mut_val *t = yyjson_mut_obj(d);
        json_mut_set_str(d, t, "tier", traffic_name(s->tiers[i]));
        if (traffic_observe(s->tiers[i], &st, &e) < 0) {
            json_mut_set_str(d, t, "problem", err_msg(&e));
        } else {
            json_mut_set_int(d, t, "liveToB", st.live_b);
            json_mut_set_int(d, t, "preliveToB", st.prelive_b);
            json_mut_set_bool(d, t, "drift", st.drift);
        }
        yyjson_mut_arr_append(list, t);
    }
    json_mut_set(d, root, "tiers", list);
}

static void add_stages(yyjson_mut_doc *d, yyjson_mut_val *root, struct session *s) {
    yyjson_mut_val *list = yyjson_mut_arr(d);
    struct journal_step *steps = NULL;
    size_t n = 0;
    if (s->journal && s->run_open)
        (void)journal_steps(s->journal, s->a, s->run.id, &steps, &n, NULL);
    for (size_t i = 0; i < n; i++) {
        char t[CLOCK_RFC3339_MAX];
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_str(d, x, "stage", steps[i].stage);
        json_mut_set_str(d, x, "what", steps[i].what);
        json_mut_set_str(d, x, "state", steps[i].state ? steps[i].state : "open");
        json_mut_set_str(d, x, "at", clock_rfc3339(steps[i].begun_ms, t));
        if (steps[i].note)
            json_mut_set_str(d, x, "note", steps[i].note);
        yyjson_mut_arr_append(list, x);
    }
    json_mut_set(d, root, "steps", list);
}

static void add_way_back(yyjson_mut_doc *d, yyjson_mut_val *root, struct session *s,
                         const struct way_back *w) {
    yyjson_mut_val *x = yyjson_mut_obj(d);
    struct losses l;
    stage_losses(s, &l);
    json_mut_set(d, x, "losses", back_losses_json(&l, d));
    json_mut_set_bool(d, x, "open", w->open);
    json_mut_set_int(d, x, "liveToDestination", w->percent);
    json_mut_set_int(d, x, "heldInSource", w->known_source ? (int64_t)w->held_source : -1);
    json_mut_set_int(d, x, "heldInDestination",
                     w->known_destination ? (int64_t)w->held_destination : -1);
    json_mut_set(d, root, "wayBack", x);
}

static void print_losses(struct session *s) {
    struct losses l;
    char t[CLOCK_RFC3339_MAX];
    AUTO_SB b = SB_INIT(0);
    stage_losses(s, &l);
    back_losses_text(&l, &b);
    printf("  takes %s\n  %s\n",
           l.measured_ms ? clock_human(l.measured_ms, t) : "as long as was never measured here",
           sb_get(&b));
}

static int print_json(struct session *s, const struct common *m, const struct way_back *w,
                      struct err *e) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    char slot[2] = {s->source, 0}, dst[2] = {s->destination, 0};
    json_mut_set_str(d, root, "environment", s->cfg->name ? s->cfg->name : "");
    json_mut_set_str(d, root, "source", slot);
    json_mut_set_str(d, root, "destination", dst);
    json_mut_set_str(d, root, "run", s->run_open ? s->run.id : "");
    add_stages(d, root, s);
    add_tiers(d, root, s);
    add_way_back(d, root, s, w);
    size_t n;
    char *text = json_mut_write(s->a, root, &n);
    return cli_print_tree(m->output, text, n, e);
}

static void print_stages(struct session *s) {
    for (size_t i = 0; i < COUNT_OF(stages); i++) {
        bool done = session_stage_done(s, stages[i].stage, stages[i].last);
        printf("  %-9s %s\n", stages[i].stage, done ? "done" : "not yet");
    }
}

static void print_traffic(struct session *s) {
    for (size_t i = 0; i < s->n_tiers; i++) {
        struct traffic_state st;
        struct err e = {0};
        if (traffic_observe(s->tiers[i], &st, &e) < 0) {
            printf("  %-9s %s\n", traffic_name(s->tiers[i]), err_msg(&e));
            continue;
        }
        printf("  %-9s live: %d %% a, %d %% b; pre-live: %s%s\n", traffic_name(s->tiers[i]),
               st.live_b < 0 ? -1 : 100 - st.live_b, st.live_b,
               st.prelive_b < 0 ? "?"
               : st.prelive_b   ? "b"
                                : "a",
               st.drift ? "; DRIFT between file and process" : "");
    }
}

static void print_held(char slot, bool known, size_t n) {
    if (known)
        printf("  %zu singletons are held in %c\n", n, slot);
    else
        printf("  %c does not answer\n", slot);
}

static void print_text(struct session *s, const struct way_back *w) {
    const char *name = s->cfg->name ? s->cfg->name : "(no file)";
    if (s->run_open) {
        printf("environment %s: an upgrade from %c to %c is under way\n\nrun %s\n", name, s->source,
               s->destination, s->run.id);
        print_stages(s);
    } else {
        printf("environment %s: %c is live, %c is idle; no run is open\n", name, s->source,
               s->destination);
    }
    if (s->n_tiers)
        puts("\ntraffic");
    print_traffic(s);
    puts("\nsingletons");
    print_held(s->source, w->known_source, w->held_source);
    print_held(s->destination, w->known_destination, w->held_destination);
    printf("\nway back: %s\n", w->open ? "open (tandem switch-back)" : "nothing to go back from");
    if (w->open)
        print_losses(s);
}

int cmd_status(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, NULL, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = cli_open(&m, NEED_CLUSTERS | TOLERATE_DEAD | NEED_JOURNAL_IF_ANY | NEED_TRAFFIC_IF_ANY,
                     &s, &e);
    if (r >= 0) {
        struct way_back w;
        stage_way_back(s, &w);
        if (m.output == OUT_JSON || m.output == OUT_YAML)
            r = print_json(s, &m, &w, &e);
        else
            print_text(s, &w);
    }
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
