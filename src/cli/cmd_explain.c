#include <errno.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "migrate/explain.h"
#include "migrate/rules.h"

/* --- the tree, for people --- */

static const char *text(yyjson_mut_val *v, const char *key) {
    const char *s = json_mut_str(v, key);
    return s ? s : "";
}

static void print_verdict(yyjson_mut_val *x) {
    yyjson_mut_val *o = json_mut_get(x, "object");
    const char *ns = text(o, "namespace");
    bool there = yyjson_mut_is_true(json_mut_get(x, "inDestination"));
    bool ours = yyjson_mut_is_true(json_mut_get(x, "writtenByRun"));
    printf("%s %s%s%s (%s)\n\nverdict   %s%s\nrule      %s\nwhy       %s\nwave      %lld, %s\n",
           text(o, "kind"), ns, *ns ? "/" : "", text(o, "name"), text(o, "apiVersion"),
           text(x, "verdict"), yyjson_mut_is_true(json_mut_get(x, "held")) ? ", held" : "",
           text(x, "rule"), text(x, "why"), (long long)json_mut_int(json_mut_get(x, "wave"), 0),
           text(x, "waveWhy"));
    if (there)
        printf("there     yes, %swritten by a run of this environment\n", ours ? "" : "not ");
    if (*text(x, "note"))
        printf("note      %s\n", text(x, "note"));
}

static void print_field(yyjson_mut_val *v) {
    printf("  %-8s %s: %s\n", text(v, "fate"), text(v, "path"), text(v, "why"));
}

static void print_concern(yyjson_mut_val *v) {
    printf("  %-8s %s: %s\n", text(v, "concern"), text(v, "path"), text(v, "why"));
}

/* An arrow alone says that it will be so. */
static const char *fate_words(const char *fate) {
    if (str_eq(fate, "keep"))
        return "changed there since it was written: stays as it is there";
    if (str_eq(fate, "clash"))
        return "changed in both since it was written: decide";
    return str_eq(fate, "fixed") ? "cannot be changed there" : "";
}

static void print_change(yyjson_mut_val *v) {
    const char *dst = json_mut_str(v, "destination"), *src = json_mut_str(v, "source");
    const char *fate = json_mut_str(v, "fate");
    printf("  %s: %s -> %s%s%s%s\n", text(v, "path"), dst ? dst : "(none)", src ? src : "(none)",
           fate ? " [" : "", fate_words(fate), fate ? "]" : "");
}

static void print_manager(yyjson_mut_val *v) {
    const char *sub = text(v, "subresource");
    printf("  %s (%s)%s%s\n", text(v, "manager"), text(v, "operation"), *sub ? " /" : "", sub);
}

static void print_relation(yyjson_mut_val *v) {
    const char *path = text(v, "path");
    bool known = yyjson_mut_is_true(json_mut_get(v, "inSource"));
    printf("  %s %s%s%s%s: %s\n", text(v, "kind"), text(v, "name"), *path ? " (" : "", path,
           *path ? ")" : "", known ? text(v, "verdict") : "not in the source");
}

/* Sections in the order in which they are read; one without entries is left out. */
static const struct {
    const char *key, *heading;
    void (*print)(yyjson_mut_val *v);
} sections[] = {
    {"schema", "what the destination's schema does to it", print_concern},
    {"changes", "differences (destination -> source)", print_change},
    {"fields", "fields", print_field},
    {"owners", "owned by", print_relation},
    {"owns", "owns", print_relation},
    {"refersTo", "refers to", print_relation},
    {"referredToBy", "referred to by", print_relation},
    {"managers", "field managers in the source", print_manager},
};

static void print_sections(yyjson_mut_val *x) {
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        yyjson_mut_val *list = json_mut_get(x, sections[i].key), *v;
        size_t k, max;
        if (yyjson_mut_arr_size(list))
            printf("\n%s\n", sections[i].heading);
        yyjson_mut_arr_foreach (list, k, max, v) {
            sections[i].print(v);
        }
    }
}

/* --- which object --- */

/* The reference that plan -o name prints: GROUP/KIND/NS/NAME, where group and namespace may be
 * empty. */
static bool is_reference(const char *what) {
    size_t slashes = 0;
    for (; *what; what++)
        slashes += *what == '/';
    return slashes == 3;
}

static void not_found(const struct kube_resource *r, const char *ns, const char *name,
                      struct err *e) {
    const struct rule *never = rules_skip_kind(r);
    if (never)
        err_set(e, -ENOENT, "%s is never recreated: %s [%s]", r->kind, never->why, never->id);
    else if (r->namespaced)
        err_set(e, -ENOENT, "the source has no %s %s/%s; -n names another namespace", r->kind, ns,
                name);
    else
        err_set(e, -ENOENT, "the source has no %s %s", r->kind, name);
}

static const struct object *find_reference(struct world *w, const char *what, struct err *e) {
    for (size_t i = 0; i < world_count(w); i++) {
        AUTO_ARENA a = arena_new();
        if (str_eq(object_ref(a, world_at(w, i)), what))
            return world_at(w, i);
    }
    err_set(e, -ENOENT, "the source has no %s", what);
    return NULL;
}

/* KIND/NAME, or a reference. */
static const struct object *find(struct world *w, const struct common *m, const char *what,
                                 struct err *e) {
    AUTO_STRVEC p = {0};
    strvec_split(&p, what, '/');
    const struct kube_resource *r =
        p.n == 2 ? kube_discovery_by_name(world_discovery(w, false), p.v[0]) : NULL;
    const char *ns = m->namespaces.n ? m->namespaces.v[0] : "default";
    const struct object *o = NULL;
    if (is_reference(what))
        return find_reference(w, what, e);
    if (!r)
        err_set(e, -ENOENT, "the source serves no kind \"%s\"", p.v[0]);
    else if (!(o = world_find(w, r->group, r->kind, r->namespaced ? ns : "", p.v[1])))
        not_found(r, ns, p.v[1], e);
    return o;
}

static int explain(struct session *s, struct world *w, const struct object *o, enum output out,
                   struct err *e) {
    const char *path = kube_path(s->a, o->kind->src, *o->ns ? o->ns : NULL, o->name, NULL);
    yyjson_val *body;
    yyjson_mut_val *tree;
    int r = kube_get(session_source(s), s->a, path, NULL, &body, e);
    if (r >= 0)
        r = explain_object(w, s->a, o, body, &tree, e);
    if (r < 0)
        return r;
    if (out == OUT_JSON || out == OUT_YAML) {
        size_t n;
        char *json = json_mut_write(s->a, tree, &n);
        return cli_print_tree(out, json, n, e);
    }
    print_verdict(tree);
    print_sections(tree);
    return 0;
}

static int check_args(const struct strvec *args, bool policy, struct err *e) {
    AUTO_STRVEC p = {0};
    if (policy)
        return 0;
    if (args->n == 1)
        strvec_split(&p, args->v[0], '/');
    bool fits = p.n == 2 || (args->n == 1 && is_reference(args->v[0]));
    return fits ? 0
                : err_set(e, -EUSAGE,
                          "tandem explain takes one KIND/NAME, like deploy/cart, or a reference as "
                          "`tandem plan -o name` prints them");
}

static int work(struct session *s, struct common *m, const struct strvec *args, struct err *e) {
    struct world *w;
    s->o.namespaces = NULL; /* -n says where it is, not what to read: owners may stand elsewhere */
    s->read_made = true;
    int r = session_world(s, cli_reading, NULL, &w, e);
    if (r < 0)
        return r;
    log_progress_end();
    const struct object *o = find(w, m, args->v[0], e);
    r = o ? explain(s, w, o, m->output, e) : e->code;
    world_free(w);
    return r;
}

int cmd_explain(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    bool policy = false;
    const struct option_row rows[] = {
        {"policy", 0, OPT_FLAG, &policy, NULL,
         "every rule about fields (of one KIND, if given), without reading any cluster"},
        {0},
    };
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = check_args(&args, policy, &e);
    if (r >= 0 && policy)
        r = show_policy(m.output, args.n ? args.v[0] : NULL, &e);
    if (r >= 0 && !policy)
        r = cli_open(&m, NEED_CLUSTERS | NEED_JOURNAL_IF_ANY, &s, &e);
    if (s)
        r = work(s, &m, &args, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
