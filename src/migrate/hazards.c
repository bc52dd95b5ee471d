/* The interpreter: reads each kind once, shows every body to the rows that look at its kind. */
#include "migrate/hazards.h"

#include <errno.h>

#include "base/log.h"
#include "kube/list.h"
#include "migrate/hazards_impl.h"
#include "migrate/order.h"
#include "migrate/refs.h"
#include "migrate/rules.h"
#include "migrate/world_impl.h"

/* --- reporting --- */

static char slot_of(const struct scene *sc, bool destination) {
    const struct world_opts *o = world_opts(sc->w);
    return destination ? o->dst_slot : o->src_slot;
}

static const char *place_of(const struct look *l) {
    const char *in = l->destination ? (slot_of(l->sc, true) == 'a' ? " (in A)" : " (in B)") : "";
    return arena_printf(l->sc->out->a, "%s %s%s%s%s", l->kind->kind, l->ns, *l->ns ? "/" : "",
                        l->name, in);
}

/* Of a row, or of an id that has none. */
static void report(struct look *l, const char *id, enum severity sev, const char *field,
                   const char *what, const char *remedy) {
    struct arena *a = l->sc->out->a;
    struct finding *f = findings_add(l->sc->out, id, sev, place_of(l), what, remedy);
    f->group = arena_strdup(a, l->kind->group);
    f->kind = arena_strdup(a, l->kind->kind);
    f->ns = arena_strdup(a, l->ns);
    f->name = arena_strdup(a, l->name);
    f->field = arena_strdup(a, field);
    f->cluster = slot_of(l->sc, l->destination);
    l->told++;
}

/* What is created held does not act yet: that is no more than a note. */
static bool waits(const struct look *l) {
    return l->row->flags & UNLESS_HELD && l->o && l->o->held;
}

static void report_row(struct look *l, const char *field, const char *what) {
    if (waits(l))
        report(l, l->row->id, SEV_INFO, field, what,
               "created held; `tandem activate` hands it over");
    else
        report(l, l->row->id, l->row->severity, field, what, l->row->remedy);
}

void found(struct look *l, const char *field, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(l->sc->out->a, fmt, ap);
    va_end(ap);
    report_row(l, field, what);
}

void found_pod(struct look *l, const char *field, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(l->sc->out->a, fmt, ap);
    va_end(ap);
    report_row(l, arena_printf(l->sc->out->a, "%s%s", l->pod_at, field), what);
}

void found_at(struct look *l, bool destination, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(l->sc->out->a, fmt, ap);
    va_end(ap);
    char slot = slot_of(l->sc, destination);
    struct finding *f = findings_add(l->sc->out, l->row->id, l->row->severity,
                                     slot == 'a' ? "A" : "B", what, l->row->remedy);
    f->cluster = slot;
}

/* --- references --- */

/* Not in the source: whether the destination has it decides. Each is asked for once. */
static bool destination_has(struct scene *sc, const struct ref *r, const char *name) {
    const struct kube_discovery *d = world_discovery(sc->w, true);
    const struct kube_resource *res = d ? kube_discovery_find(d, r->group, NULL, r->kind) : NULL;
    if (!d)
        return false; /* an offline world knows no more than it was given */
    if (!res)
        return true;
    const char *path = kube_path(sc->a, res, *r->ns ? r->ns : NULL, name, NULL);
    const char *known = map_get(sc->there, path);
    if (!known) {
        AUTO_ARENA a = arena_new();
        yyjson_val *v;
        struct err e = {0};
        int n = kube_get(world_opts(sc->w)->dst, a, path, NULL, &v, &e);
        known = n >= 0 || n == -EACCES ? path : "";
        map_put(sc->there, path, (void *)(uintptr_t)known);
    }
    return *known;
}

/* The name that the destination's body will have there: references are read off the source's. */
static const char *name_there(struct world *w, const struct ref *r) {
    const struct scrub_env *env = world_scrub_env(w);
    const char *mapped =
        str_eq(r->kind, "StorageClass") ? env->storage_class(env->ctx, r->name) : NULL;
    return mapped ? mapped : r->name;
}

/* A claim whose volume stays behind no longer names it. */
static bool is_taken_out(struct world *w, const struct ref *r) {
    const struct scrub_env *env = world_scrub_env(w);
    return str_eq(r->kind, "PersistentVolume") && !env->volume_moves(env->ctx, r->name);
}

/* Is what the reference names in the destination, or on its way there? */
static bool satisfied(struct scene *sc, const struct ref *r) {
    const char *name = name_there(sc->w, r);
    const struct object *o = world_find(sc->w, r->group, r->kind, r->ns, name);
    return o ? o->in_dst || will_be_there(o) : destination_has(sc, r, name);
}

static bool always_there(const struct scene *sc, const struct ref *r) {
    /* a driver needs no object of its own: where A has one, B does too */
    if (str_eq(r->kind, "CSIDriver") && !world_find(sc->w, r->group, r->kind, "", r->name))
        return true;
    return (str_eq(r->kind, "ServiceAccount") && str_eq(r->name, "default")) ||
           (str_eq(r->kind, "PriorityClass") && str_starts(r->name, "system-")) ||
           (str_eq(r->kind, "ConfigMap") && str_eq(r->name, "kube-root-ca.crt"));
}

static void check_refs(struct look *l) {
    AUTO_ARENA a = arena_new();
    for (struct ref *r = refs_of(a, l->o->kind, l->body); r; r = r->next) {
        if (r->optional || always_there(l->sc, r) || is_taken_out(l->sc->w, r) ||
            satisfied(l->sc, r))
            continue;
        const char *what =
            arena_printf(l->sc->out->a, "names %s %s, which the destination will not have", r->kind,
                         name_there(l->sc->w, r));
        report(l, "H17-missing", SEV_WARNING, r->path, what, finding_id_of("H17-missing").text);
    }
}

/* --- rows --- */

static bool applies(const struct hazard_row *row, const struct kube_resource *r, bool pod) {
    if (str_eq(row->kind, "(pod)"))
        return pod;
    return str_glob(row->kind, r->kind) && str_glob(row->group, r->group) &&
           (!(row->flags & LOOK_CUSTOM) || order_is_custom(r));
}

static bool wants(const struct hazard_row *row, const struct look *l) {
    bool there = row->flags & LOOK_DESTINATION;
    if (there != l->destination || !applies(row, l->kind, l->pod != NULL))
        return false;
    if (there)
        return true;
    if (row->flags & UNLESS_HELD && l->o && !l->o->held && l->o->facts & FACT_STILL)
        return false; /* its owner stopped it, in both */
    return row->flags & LOOK_SKIPPED || (l->o && l->o->verdict != V_SKIP);
}

static bool in_scope(const struct scene *sc, yyjson_val *body) {
    const char *ns = json_str(body, "metadata", "namespace");
    return !ns || selected_namespace(sc->w, ns);
}

static void look_at(struct scene *sc, bool destination, const struct kube_resource *r,
                    yyjson_val *body) {
    const char *ns = json_str(body, "metadata", "namespace");
    struct look l = {.sc = sc,
                     .kind = r,
                     .destination = destination,
                     .ns = ns ? ns : "",
                     .name = json_str(body, "metadata", "name"),
                     .body = body,
                     .src = &sc->side[0],
                     .dst = &sc->side[1]};
    l.pod = refs_pod_spec(r, body, &l.pod_at);
    l.o = l.name ? world_find(sc->w, r->group, r->kind, l.ns, l.name) : NULL;
    if (!l.name)
        return;
    scene_gather(&l);
    if (!in_scope(sc, body))
        return;
    size_t n;
    const struct hazard_row *rows = hazard_rows(&n);
    for (size_t i = 0; i < n; i++) {
        l.row = &rows[i];
        l.told = 0;
        if (rows[i].look && wants(&rows[i], &l))
            rows[i].look(&l);
    }
    if (!destination && l.o && l.o->verdict != V_SKIP)
        check_refs(&l);
}

static void look_at_the_end(struct scene *sc) {
    static const struct kube_resource none = {.group = "", .kind = "", .version = ""};
    struct look l = {
        .sc = sc, .kind = &none, .ns = "", .name = "", .src = &sc->side[0], .dst = &sc->side[1]};
    size_t n;
    const struct hazard_row *rows = hazard_rows(&n);
    for (size_t i = 0; i < n; i++) {
        l.row = &rows[i];
        if (str_eq(rows[i].kind, "(end)"))
            rows[i].look(&l);
    }
}

/* --- blocked objects, and what stays behind --- */

static const struct {
    const char *rule; /* that blocks; NULL: one of the user's */
    const char *id;
} blocked[] = {
    {"api-missing", "H24-api"},
    {"schema-lost", "H24-schema"},
    {"schema-refused", "H24-schema"},
    {"foreign", "H37-foreign"},
    {"hold-impossible", "hold-impossible"},
    {"patch-misfit", "patch-misfit"},
    {"immutable", "immutable"},
    {"conflict", "conflict"},
    {"dry-run-refused", "dry-run-refused"},
    {NULL, "blocked"},
};

static const char *id_of_block(const struct object *o) {
    size_t k = 0;
    while (blocked[k].rule && !str_eq(blocked[k].rule, o->rule))
        k++;
    return blocked[k].id;
}

/* What the verdicts say already. */
static void report_verdicts(struct scene *sc) {
    for (size_t i = 0; i < world_count(sc->w); i++) {
        const struct object *o = world_at(sc->w, i);
        bool tuned = o->tuned && o->verdict == V_SKIP;
        if (o->verdict != V_BLOCK && !tuned)
            continue;
        struct look l = {.sc = sc, .kind = o->kind->src, .o = o, .ns = o->ns, .name = o->name};
        const struct finding_id id = finding_id_of(tuned ? "system-tuned" : id_of_block(o));
        report(&l, id.id, id.severity, NULL, arena_strdup(sc->out->a, tuned ? o->note : o->why),
               id.text);
    }
}

/* --- reading --- */

/* Where bodies come from: two API servers, or two lists. */
struct reading {
    struct scene *sc;
    const struct world_side *side[2]; /* NULL: live */
    bool destination;
    const struct kube_resource *kind;
};

static int take(void *ctx, yyjson_val *body, struct err *e UNUSED) {
    struct reading *rd = ctx;
    look_at(rd->sc, rd->destination, rd->kind, body);
    return 0;
}

static bool same_kind(const struct kube_resource *x, const struct kube_resource *y) {
    return str_eq(x->kind, y->kind) && str_eq(x->group, y->group);
}

static void not_read(struct reading *rd, const struct err *e) {
    struct scene *sc = rd->sc;
    char slot = slot_of(sc, rd->destination);
    const struct finding_id id = finding_id_of("not-read");
    struct finding *f = findings_add(
        sc->out, id.id, id.severity, slot == 'a' ? "A" : "B",
        arena_printf(sc->out->a, "%s%s%s cannot be listed (%s): the checks that need them say less",
                     rd->kind->plural, *rd->kind->group ? "." : "", rd->kind->group,
                     e->http == 403 ? "403, no right" : err_msg(e)),
        id.text);
    f->group = arena_strdup(sc->out->a, rd->kind->group);
    f->kind = arena_strdup(sc->out->a, rd->kind->kind);
    f->cluster = slot;
}

static int read_live(struct reading *rd, struct err *e) {
    const struct world_opts *wo = world_opts(rd->sc->w);
    struct kube_list_fn fn = {.item = take, .ctx = rd};
    struct kube_list_opts lo = {.cancel = wo->cancel};
    struct err why = {0};
    AUTO_ARENA a = arena_new();
    int r = kube_list(rd->destination ? wo->dst : wo->src, a, rd->kind, &lo, &fn, NULL, &why);
    if (r >= 0 || r == -ENOENT || why.http == 405)
        return 0;
    if (r == -EACCES || r == -EBUSY || r == -EREMOTEIO) {
        not_read(rd, &why);
        return 0;
    }
    if (e)
        *e = why;
    return err_ctx(e, r, "looking at %s", rd->kind->plural);
}

static int read_kind(struct reading *rd, struct err *e) {
    const struct world_side *s = rd->side[rd->destination];
    if (!s)
        return read_live(rd, e);
    for (size_t i = 0; i < s->n; i++)
        if (same_kind(s->items[i].resource, rd->kind))
            take(rd, s->items[i].body, e);
    return 0;
}

/* Does a row look at this kind, or a reference of its objects count? */
static bool looked_at(const struct kube_resource *r, bool destination) {
    size_t n;
    const struct hazard_row *rows = hazard_rows(&n);
    bool pod = refs_has_pod(r);
    for (size_t i = 0; i < n; i++)
        if (!(rows[i].flags & LOOK_DESTINATION) == !destination && applies(&rows[i], r, pod))
            return true;
    return !destination && refs_looked_at(r);
}

/* Nothing of it is recreated, and no row looks at what is not. */
static bool all_skipped(const struct scene *sc, const struct kube_resource *r) {
    size_t n;
    const struct hazard_row *rows = hazard_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (rows[i].flags & LOOK_SKIPPED && applies(&rows[i], r, refs_has_pod(r)))
            return false;
    for (size_t i = 0; i < world_count(sc->w); i++)
        if (same_kind(world_at(sc->w, i)->kind->src, r) && world_at(sc->w, i)->verdict != V_SKIP)
            return false;
    return true;
}

static const struct kube_resource *served(struct reading *rd, size_t i) {
    const struct world_side *s = rd->side[rd->destination];
    if (s) {
        for (size_t k = 0; i < s->n && k < i; k++)
            if (same_kind(s->items[k].resource, s->items[i].resource))
                return NULL;
        return i < s->n ? s->items[i].resource : NULL;
    }
    const struct kube_resource *all;
    size_t n = kube_discovery_all(world_discovery(rd->sc->w, rd->destination), &all);
    if (i >= n || !all[i].preferred || !(all[i].verbs & KUBE_LIST) || strchr(all[i].plural, '/'))
        return NULL;
    const struct kind *k = world_kind_of(rd->sc->w, all[i].group, all[i].kind);
    return k && !rd->destination ? k->src : &all[i];
}

static size_t n_served(struct reading *rd) {
    const struct world_side *s = rd->side[rd->destination];
    const struct kube_resource *all;
    return s ? s->n : kube_discovery_all(world_discovery(rd->sc->w, rd->destination), &all);
}

/* First what the others need to know, in the order in which it is gathered. */
static int read_side(struct reading *rd, struct err *e) {
    int r = 0;
    size_t n = n_served(rd);
    for (int rank = 0; r >= 0 && rank <= SCENE_RANKS; rank++) {
        for (size_t i = 0; r >= 0 && i < n; i++) {
            rd->kind = served(rd, i);
            if (!rd->kind || scene_rank(rd->kind, rd->destination) != rank)
                continue;
            bool gathers = rank < SCENE_RANKS;
            if (!gathers && (!looked_at(rd->kind, rd->destination) ||
                             (!rd->destination && all_skipped(rd->sc, rd->kind))))
                continue;
            r = read_kind(rd, e);
        }
    }
    return r;
}

static int examine(struct reading *rd, struct err *e) {
    report_verdicts(rd->sc);
    if (!rd->side[0])
        scene_read_alone(rd->sc);
    rd->destination = true;
    int r = read_side(rd, e);
    rd->destination = false;
    if (r >= 0)
        r = read_side(rd, e);
    if (r >= 0)
        look_at_the_end(rd->sc);
    scene_free(rd->sc);
    return r;
}

int hazards_find(struct world *w, struct findings *out, struct err *e) {
    struct reading rd = {.sc = scene_new(w, out)};
    return examine(&rd, e);
}

int hazards_offline(struct world *w, const struct world_side *src, const struct world_side *dst,
                    struct findings *out, struct err *e) {
    struct reading rd = {.sc = scene_new(w, out), .side = {src, dst}};
    scene_take_apis(rd.sc, false, src);
    scene_take_apis(rd.sc, true, dst);
    return examine(&rd, e);
}

/* --- ids --- */

/* The one behind i rows and then the extra ids; text NULL at the end. */
static struct finding_id id_at(size_t i) {
    size_t n_rows, n_extra;
    const struct hazard_row *rows = hazard_rows(&n_rows);
    const struct finding_id *extra = hazard_extra_ids(&n_extra);
    if (i < n_rows)
        return (struct finding_id){rows[i].id, rows[i].severity, rows[i].remedy};
    return i - n_rows < n_extra ? extra[i - n_rows] : (struct finding_id){0};
}

const struct finding_id *finding_ids(struct arena *a, size_t *ret_n) {
    size_t n = 0, k = 0;
    while (id_at(n).text)
        n++;
    struct finding_id *all = arena_array(a, struct finding_id, n);
    for (size_t i = 0; i < n; i++)
        if (!k || !str_eq(id_at(i).id, all[k - 1].id))
            all[k++] = id_at(i);
    *ret_n = k;
    return all;
}

struct finding_id finding_id_of(const char *id) {
    size_t i = 0;
    while (id_at(i).text && !str_eq(id_at(i).id, id))
        i++;
    return id_at(i);
}

int finding_id_number(const char *id) {
    return *id == 'H' ? (int)strtol(id + 1, NULL, 10) : 0;
}

bool hazard_has_check(int number) {
    for (size_t i = 0; id_at(i).text; i++)
        if (finding_id_number(id_at(i).id) == number)
            return true;
    return false;
}
