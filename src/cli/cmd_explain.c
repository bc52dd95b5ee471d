#include <errno.h>

#include "cli/commands.h"
#include "migrate/hold.h"
#include "migrate/order.h"
#include "migrate/refs.h"
#include "migrate/rules.h"

static void print_fate(void *ctx UNUSED, enum field_fate fate, const char *path, const char *why) {
    printf("  %-8s %s: %s\n", fate == FIELD_DROP ? "dropped" : "rewrite", path, why);
}

static void print_verdict(const struct world *w, const struct object *o) {
    AUTO_ARENA a = arena_new();
    printf("%s (%s)\n\nverdict   %s%s\nrule      %s\nwhy       %s\nwave      %d, %s\n",
           object_title(a, o), kube_api_version(a, o->kind->src), verdict_name(o->verdict),
           o->held ? ", held" : "", o->rule, o->why, o->wave, order_why(o->wave));
    if (o->uid_dst)
        printf("there     yes, %s\n", o->ours ? "written by a run of this environment"
                                              : "not written by a run of this environment");
    if (o->note)
        printf("note      %s\n", o->note);
    for (const struct owner *x = o->owners; x; x = x->next) {
        const struct object *p = world_by_uid(w, x->uid);
        printf("owner     %s %s%s\n", x->kind, x->name,
               !p ? " (gone from the source: the reference is dropped)" : "");
    }
}

static void print_changes(const struct object *o) {
    if (o->changes)
        puts("\ndifferences (destination -> source)");
    for (const struct change *c = o->changes; c; c = c->next)
        printf("  %s: %s -> %s\n", c->path, c->dst ? c->dst : "(none)", c->src ? c->src : "(none)");
}

static void print_refs(struct world *w, const struct object *o, yyjson_val *body) {
    AUTO_ARENA a = arena_new();
    struct ref *r = refs_of(a, o->kind, body);
    if (r)
        puts("\nrefers to");
    for (; r; r = r->next) {
        const struct object *t = world_find(w, r->group, r->kind, r->ns, r->name);
        printf("  %s %s (%s)%s%s\n", r->kind, r->name, r->path, t ? ": " : ": not in the source",
               t ? verdict_name(t->verdict) : "");
    }
}

struct incoming {
    struct world *w;
    const struct object *target;
    const struct kind *kind;
    size_t n;
};

static int match_incoming(void *ctx, yyjson_val *body, struct err *e UNUSED) {
    struct incoming *in = ctx;
    const struct kube_resource *t = in->target->kind->src;
    AUTO_ARENA a = arena_new();
    for (struct ref *r = refs_of(a, in->kind, body); r; r = r->next) {
        if (!str_eq(r->kind, t->kind) || !str_eq(r->group, t->group) ||
            !str_eq(r->ns, in->target->ns) || !str_eq(r->name, in->target->name))
            continue;
        if (!in->n++)
            puts("\nreferred to by");
        printf("  %s %s (%s)\n", in->kind->src->kind, json_str(body, "metadata", "name"), r->path);
    }
    return 0;
}

static int print_incoming(struct world *w, const struct object *o, struct err *e) {
    static const char *const from[] = {
        "Deployment",     "StatefulSet",          "DaemonSet", "CronJob", "Job", "Pod", "Ingress",
        "ServiceAccount", "PersistentVolumeClaim"};
    const struct kind *kinds;
    size_t n = world_kinds(w, &kinds);
    struct incoming in = {.w = w, .target = o};
    AUTO_ARENA a = arena_new();
    for (size_t i = 0; i < n; i++) {
        bool wanted = false;
        for (size_t k = 0; k < COUNT_OF(from); k++)
            wanted |= str_eq(from[k], kinds[i].src->kind);
        if (!wanted)
            continue;
        in.kind = &kinds[i];
        struct kube_list_fn fn = {.item = match_incoming, .ctx = &in};
        struct kube_list_opts lo = {.namespace = *o->ns ? o->ns : NULL};
        int r = kube_list(world_opts(w)->src, a, kinds[i].src, &lo, &fn, NULL, e);
        if (r < 0)
            return r;
    }
    return 0;
}

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

static int explain(struct session *s, struct world *w, const struct object *o, struct err *e) {
    const struct kube_resource *r = o->kind->src;
    yyjson_val *body;
    int n = kube_get(session_source(s), s->a,
                     kube_path(s->a, r, *o->ns ? o->ns : NULL, o->name, NULL), NULL, &body, e);
    if (n < 0)
        return n;
    print_verdict(w, o);
    if (o->verdict != V_SKIP && o->verdict != V_BLOCK) {
        puts("\nfields (all others are kept as they are)");
        scrub_object(json_doc(s->a), o->kind, body, SCRUB_SOURCE, world_scrub_env(w), print_fate,
                     NULL);
        const struct hold_row *h = o->held ? hold_row_of(r) : NULL;
        if (h)
            printf("  held     /spec/%s: %s until `tandem activate`\n", h->field, h->value);
    }
    print_changes(o);
    print_refs(w, o, body);
    return print_incoming(w, o, e);
}

static int check_args(const struct strvec *args, struct err *e) {
    AUTO_STRVEC p = {0};
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
    int r = session_world(s, cli_reading, NULL, &w, e);
    if (r < 0)
        return r;
    log_progress_end();
    const struct object *o = find(w, m, args->v[0], e);
    r = o ? explain(s, w, o, e) : e->code;
    world_free(w);
    return r;
}

int cmd_explain(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, NULL, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = check_args(&args, &e);
    if (r >= 0)
        r = cli_open(&m, NEED_CLUSTERS | NEED_JOURNAL_IF_ANY, &s, &e);
    if (r >= 0)
        r = work(s, &m, &args, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    cli_print_counts(s);
    session_close(s);
    common_done(&m);
    return code;
}
