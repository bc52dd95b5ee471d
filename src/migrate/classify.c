/* From facts to verdicts. */
#include "migrate/hold.h"
#include "migrate/order.h"
#include "migrate/pernamespace.h"
#include "migrate/removals.h"
#include "migrate/rules.h"
#include "migrate/scaler.h"
#include "migrate/singleton.h"
#include "migrate/unclassified.h"
#include "migrate/world_impl.h"

static bool any_pattern(const char *const *patterns, const char *s) {
    for (size_t i = 0; patterns && patterns[i]; i++)
        if (str_glob(patterns[i], s))
            return true;
    return false;
}

bool selected_namespace(const struct world *w, const char *ns) {
    bool all = !w->o.ns_include || !w->o.ns_include[0];
    return (all || any_pattern(w->o.ns_include, ns)) && !any_pattern(w->o.ns_exclude, ns);
}

/* One term of a label selector: "k", "!k", "k=v", "k!=v". */
static bool label_term(yyjson_val *labels, const char *term, size_t n) {
    char buf[512];
    snprintf(buf, sizeof buf, "%.*s", (int)n, term);
    char *eq = strchr(buf, '=');
    bool negate = *buf == '!' || (eq && eq > buf && eq[-1] == '!');
    char *key = *buf == '!' ? buf + 1 : buf;
    char *value = NULL;
    if (eq) {
        value = eq[1] == '=' ? eq + 2 : eq + 1;
        *(negate ? eq - 1 : eq) = 0;
    }
    yyjson_val *v = yyjson_obj_get(labels, key);
    bool is = value ? v && str_eq(yyjson_get_str(v), value) : v != NULL;
    return is != negate;
}

static bool labels_match(yyjson_val *body, const char *selector) {
    yyjson_val *labels = json_get(body, "metadata", "labels");
    while (selector && *selector) {
        size_t n = strcspn(selector, ",");
        if (n && !label_term(labels, selector, n))
            return false;
        selector += n + (selector[n] == ',');
    }
    return true;
}

int classify_user_rule(const struct world *w, const struct kube_resource *r, yyjson_val *body) {
    const char *name = json_str(body, "metadata", "name");
    const char *ns = json_str(body, "metadata", "namespace");
    for (size_t i = 0; i < w->o.n_rules; i++) {
        const struct user_rule *u = &w->o.rules[i];
        if (str_glob(u->group, r->group) && str_glob(u->kind, r->kind) && str_glob(u->name, name) &&
            (!u->namespace || str_glob(u->namespace, ns ? ns : "")) &&
            labels_match(body, u->labels))
            return (int)i;
    }
    return -1;
}

static void decide(struct object *o, enum verdict v, const char *rule, const char *why) {
    o->verdict = (uint8_t)v;
    o->rule = rule;
    o->why = why;
}

static bool decide_by_user(struct world *w, struct object *o) {
    const struct user_rule *u = o->user_rule >= 0 ? &w->o.rules[o->user_rule] : NULL;
    enum verdict v = u && u->verdict ? verdict_of(u->verdict) : V_COUNT;
    if (v == V_COUNT)
        return false;
    decide(o, v, w->rule_ids[o->user_rule], u->why ? u->why : "a rule of the configuration");
    o->held = v == V_HOLD;
    return true;
}

static const struct object *definition_of(const struct world *w, const struct object *o) {
    const struct kube_resource *r = o->kind->src;
    const char *name = arena_printf(w->text, "%s.%s", r->plural, r->group);
    return world_find(w, "apiextensions.k8s.io", "CustomResourceDefinition", "", name);
}

/* What the destination lacks, and what to do about it. One text for all objects of a kind. */
static const char *block_missing_api(struct world *w, const struct object *o) {
    struct kind *k = &w->kinds[o->kind - w->kinds];
    const struct kube_resource *r = k->src;
    if (k->missing)
        return k->missing;
    const struct kube_resource *other =
        w->ddst ? kube_discovery_find(w->ddst, r->group, NULL, r->kind) : NULL;
    const struct removal *gone = removal_of(r);
    const struct object *crd = definition_of(w, o);
    AUTO_SB b = SB_INIT(0);
    sb_fmt(&b, "the destination does not serve %s %s", r->plural, kube_api_version(w->text, r));
    if (other)
        sb_fmt(&b, ", only %s, and the source does not serve that",
               kube_api_version(w->text, other));
    if (gone)
        sb_fmt(&b, ": Kubernetes 1.%d removed it; %s%s", gone->minor,
               gone->instead ? "move it to " : "nothing took its place",
               gone->instead ? gone->instead : "");
    else if (crd && crd->in_dst && !other)
        sb_fmt(&b, ": the definition %s that is there serves no such kind", crd->name);
    else if (crd && !other)
        sb_fmt(&b, ": its definition %s does not go over [%s]", crd->name, crd->rule);
    else if (!other && !crd)
        sb_str(&b, ": install there what serves it, or skip it by a rule");
    return k->missing = arena_strdup(w->a, sb_get(&b));
}

static bool is_definition(const struct object *o) {
    return object_is(o, "apiextensions.k8s.io", "CustomResourceDefinition");
}

/* A kind that the destination lacks today, but whose definition is on its way there. */
static bool definition_comes(struct world *w, const struct object *o) {
    const struct object *crd = definition_of(w, o);
    if (!crd || crd->verdict == V_SKIP || crd->verdict == V_BLOCK)
        return false;
    /* What somebody else put there stays as it is, with the versions that it serves. */
    if (crd->in_dst && !crd->ours)
        return false;
    w->kinds[o->kind - w->kinds].dst = o->kind->src;
    return true;
}

/* A hold that is needed and cannot be had: to create it unheld would let loose what must not act,
 * and nobody would notice. */
static bool cannot_hold(struct object *o) {
    if (hold_row_of(o->kind->src))
        return false;
    o->held = false;
    decide(o, V_BLOCK, "hold-impossible",
           "it should be held, but objects of its kind have no field that holds them; hold what "
           "runs it, or skip it");
    return true;
}

static bool is_hold_asked(const struct object *o) {
    return o->verdict == V_HOLD || (!o->rule && (o->facts & FACT_HOLD_ASKED));
}

/* Workloads that are known to act by themselves, and what KEDA scales by a queue. One that its
 * owner has stopped goes over as it is. */
static bool decide_singleton(struct world *w, struct object *o) {
    size_t n;
    const struct singleton_row *row = singleton_rows(&n);
    bool still = (o->facts & (FACT_STILL | FACT_HELD)) == FACT_STILL;
    bool consumes = world_is_consumer(w, o);
    if (still || o->facts & FACT_HOLD_REFUSED || (!o->singleton && !consumes))
        return false;
    if (cannot_hold(o))
        return true;
    o->held = true;
    if (consumes)
        decide(o, V_HOLD, "hold-consumer", "KEDA scales it by a queue that both clusters see");
    else
        decide(o, V_HOLD, row[o->singleton - 1].id, row[o->singleton - 1].why);
    return true;
}

/* The row's own words, or where the evidence is counted, the numbers. */
static const char *why_skipped(struct world *w, const struct object *o, const struct rule *r) {
    const struct generated *g = str_eq(r->id, PERNAMESPACE_RULE) ? pernamespace_find(w, o) : NULL;
    return g && g->by ? arena_printf(w->text,
                                     "the destination makes its own: %s %s is in %zu of %zu "
                                     "namespaces there, written by %s",
                                     o->kind->src->kind, o->name, g->n, g->of, g->by)
                      : r->why;
}

/* Recreated at all? Sets skip, block, hold or create; what is in the destination comes after. */
static void decide_by_rules(struct world *w, struct object *o) {
    if (!rules_tandem_own(o) && decide_by_user(w, o) && o->verdict != V_CREATE &&
        o->verdict != V_HOLD)
        return;
    const struct rule *r = rules_match(o, w);
    if (r && !o->rule) {
        decide(o, V_SKIP, r->id, why_skipped(w, o, r));
        return;
    }
    if (!o->kind->dst && !definition_comes(w, o)) {
        decide(o, V_BLOCK, "api-missing", block_missing_api(w, o));
        return;
    }
    if ((is_hold_asked(o) && cannot_hold(o)) || o->rule)
        return;
    const struct hold_row *h = hold_wanted(o);
    if (!h && (o->facts & FACT_HOLD_ASKED))
        h = hold_row_of(o->kind->src);
    o->held = h != NULL;
    if (h)
        decide(o, V_HOLD, h->id, h->why);
    else if (!decide_singleton(w, o))
        decide(o, V_CREATE, "recreate", "runs in the source, not made by the cluster itself");
}

static void block_broken(struct object *o) {
    if (o->broken && (o->verdict == V_CREATE || o->verdict == V_HOLD))
        decide(o, V_BLOCK, "patch-misfit", o->note);
}

/* --- what is in the destination --- */

static bool owner_kept(const struct world *w, const struct owner *x) {
    const struct object *p = world_by_uid(w, x->uid);
    return p && object_goes_over(p);
}

static bool same_owner(const struct owner *x, const struct owner *y) {
    return str_eq(x->kind, y->kind) && str_eq(x->name, y->name) && str_eq(x->group, y->group);
}

void world_add_change(struct world *w, struct object *o, const char *path, const char *src,
                      const char *dst) {
    struct change *c = arena_new_of(w->text, struct change);
    *c = (struct change){path, src, dst, o->changes};
    o->changes = c;
    o->n_changes++;
}

/* Owners of the source that go over must be there, with uids that the destination has. */
static void compare_owners(struct world *w, struct object *o) {
    for (const struct owner *x = o->owners; x; x = x->next) {
        if (!owner_kept(w, x))
            continue;
        const struct owner *y = o->owners_dst;
        while (y && !same_owner(x, y))
            y = y->next;
        const char *path =
            arena_printf(w->text, "/metadata/ownerReferences/%s %s", x->kind, x->name);
        if (!y)
            world_add_change(w, o, path, x->name, NULL);
        else if (!world_dst_has_uid(w, y->uid))
            world_add_change(w, o, path, "a uid of the destination", "a uid that it does not have");
    }
}

/* Whether the destination has this one is not known. */
static bool read_shallow(const struct world *w, const struct owner *y) {
    for (size_t i = 0; i < w->n_kinds; i++)
        if (w->kinds[i].shallow && str_eq(w->kinds[i].src->kind, y->kind) &&
            str_eq(w->kinds[i].src->group, y->group))
            return true;
    return false;
}

/* Made in the destination by the controller of the same owner, which may make it otherwise there.
 * Not so with data: another password is a difference that matters. */
static bool its_controllers_own(const struct world *w, const struct object *o) {
    for (const struct owner *x = o->owners; x; x = x->next)
        for (const struct owner *y = o->owners_dst; y; y = y->next)
            if (x->controller && y->controller && same_owner(x, y) &&
                (world_dst_has_uid(w, y->uid) || read_shallow(w, y)))
                return !order_carries_data(o->kind->src);
    return false;
}

/* Is it to be held in the destination when it is written there? */
static bool held_after(const struct object *o) {
    bool still = o->facts & FACT_STILL;
    if (o->verdict == V_HOLD && !still)
        return true; /* acts in the source, so it must not act here, whatever it does now */
    if (still && !(o->facts & FACT_HELD))
        return false; /* its owner stopped it, and that goes over as it is */
    return o->facts_dst & FACT_HELD;
}

/* It should be held in the destination and is not: somebody let it loose there by hand. What no run
 * wrote may be each cluster's own, and is only told. */
static void note_double(struct world *w, struct object *o) {
    const struct hold_row *row = hold_row_of(o->kind->src);
    bool loose = !((o->facts | o->facts_dst) & FACT_STILL) && !(o->facts_dst & FACT_FINISHED);
    if (o->verdict != V_HOLD || !row || !loose)
        return;
    if (o->ours)
        world_add_change(w, o, row->path, arena_printf(w->text, "%s (held)", row->value),
                         "acts in both clusters");
    else if (!o->n_changes)
        strvec_fmt(&w->warnings,
                   "%s %s/%s acts in both clusters, and no run of this environment wrote it: "
                   "suspend it in one of them unless each is to have its own",
                   o->kind->src->kind, o->ns, o->name);
}

enum { ANY_FATE = -1 };

/* The fields of that fate, after some words. */
static const char *told_apart(struct world *w, const struct object *o, int fate,
                              const char *words) {
    enum { NAMED_MAX = 3 };
    AUTO_SB b = SB_INIT(0);
    size_t n = 0;
    for (const struct change *c = o->changes; c; c = c->next)
        if ((fate == ANY_FATE || c->fate == fate) && n++ < NAMED_MAX)
            sb_fmt(&b, "%s%s", b.len ? ", " : "", c->path);
    return arena_printf(w->text, "%s%s%s", words, sb_get(&b), n > NAMED_MAX ? ", …" : "");
}

/* What would go with it, or what nobody would make again, is a person's decision each time. */
static bool is_only_itself(const struct world *w, const struct object *o) {
    static const struct {
        const char *group, *kind;
    } others[] = {{"", "Namespace"},
                  {"", "PersistentVolume"},
                  {"", "PersistentVolumeClaim"},
                  {"apiextensions.k8s.io", "CustomResourceDefinition"}};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (object_is(o, others[i].group, others[i].kind))
            return false;
    for (size_t i = 0; i < w->objects.n; i++) {
        const struct object *x = w->objects.v[i];
        for (const struct owner *own = x->owners; own && !x->unread; own = own->next)
            if (uid_given(own->uid) && uid_same(own->uid, o->uid_src))
                return false;
    }
    return true;
}

static bool made_anew(const struct world *w, const struct object *o) {
    return o->user_rule >= 0 && w->o.rules[o->user_rule].recreate && o->ours &&
           is_only_itself(w, o);
}

/* A webhook that blocks what it guards is taken back as soon as it is seen (backend.c); the journal
 * has an outcome of its write only after that. */
static bool is_unproven(const struct world *w, const struct object *o) {
    const char slot[2] = {w->o.dst_slot, 0};
    AUTO_ARENA a = arena_new();
    struct journal_effect *v;
    size_t n;
    if (!o->ours || !w->o.journal || !object_is_webhook(o) ||
        journal_effects_of(w->o.journal, a, w->o.run, slot, object_ref(a, o), &v, &n, NULL) < 0)
        return false;
    bool unproven = false;
    for (size_t i = 0; i < n; i++)
        if (v[i].state == EFFECT_DONE)
            unproven = false;
        else if (v[i].state != EFFECT_FAILED)
            unproven |= str_eq(v[i].verb, "create") || str_eq(v[i].verb, "update");
    return unproven;
}

void world_made_room(struct object *o) {
    o->recreate = o->in_dst = false;
    o->uid_dst = (struct uid){0};
    o->changes = NULL;
    o->n_changes = 0;
    o->verdict = o->held ? V_HOLD : V_CREATE;
}

/* A run wrote one of this name, and what has it now is another. */
static bool is_replacement(const struct world *w, const struct object *o) {
    return !o->ours &&
           world_wrote(w, o->kind->src->group, o->kind->src->kind, o->ns, o->name, NULL);
}

/* Equal, so that nothing is to be done; but it will not be updated, nor taken back. */
static void warn_of_replacement(struct world *w, const struct object *o) {
    if (!object_merges(o) && is_replacement(w, o))
        strvec_fmt(&w->warnings,
                   "%s %s%s%s has been made anew by others in the destination since the run wrote "
                   "one of this name: it is equal, and no longer the run's",
                   o->kind->src->kind, o->ns, *o->ns ? "/" : "", o->name);
}

static void decide_by_destination(struct world *w, struct object *o) {
    if (!o->in_dst || (o->verdict != V_CREATE && o->verdict != V_HOLD))
        return;
    compare_owners(w, o);
    note_double(w, o);
    bool merge = object_merges(o);
    bool held_now = o->facts_dst & FACT_HELD;
    bool overwrite = world_overwrites(w, o);
    bool ours = o->ours || merge || overwrite;
    if (!o->ours && o->n_changes && its_controllers_own(w, o)) {
        decide(o, V_SKIP, "controller-made",
               "the controller of its owner has made its own in the destination");
    } else if (o->n_changes == 0 && is_unproven(w, o)) {
        decide(o, V_UPDATE, WORLD_UNPROVEN,
               "written by a run that was cut short before a request had passed it");
    } else if (o->n_changes == 0) {
        o->held = held_now;
        decide(o, V_SAME, o->rule, held_now ? "held there as it should be" : "already there");
        if (o->kept)
            o->note = told_apart(w, o, CHANGE_KEEP, "there, changed since by others, and kept: ");
        warn_of_replacement(w, o);
    } else if (ours && o->clash) {
        decide(o, V_BLOCK, "conflict",
               told_apart(w, o, CHANGE_CLASH,
                          "changed in both since it was written (settle it in one of them, or "
                          "overwrite: true in a rule): "));
    } else if (ours && o->fixed && made_anew(w, o)) {
        o->recreate = true;
        o->held = held_after(o);
        decide(o, V_UPDATE, o->rule,
               told_apart(w, o, CHANGE_FIXED,
                          "is deleted and made anew, as a rule says: cannot be changed where it "
                          "is: "));
    } else if (ours && o->fixed) {
        decide(o, V_BLOCK, "immutable",
               told_apart(w, o, CHANGE_FIXED,
                          "cannot be changed where it is (delete it in the destination, or skip it "
                          "by a rule): "));
    } else if (ours) {
        o->held = held_after(o);
        decide(o, V_UPDATE, o->rule,
               overwrite ? "a rule says that the source's wins"
               : o->ours ? "written by an earlier run, changed since"
                         : "completed: what the destination has stays");
    } else if (o->facts_dst & FACT_SYSTEM_MADE) {
        decide(o, V_SKIP, "destination-own", "the destination made its own");
        o->tuned = true;
        o->note = told_apart(w, o, ANY_FATE, "the destination made its own, and differs in ");
    } else {
        decide(
            o, V_BLOCK, "foreign",
            is_replacement(w, o)
                ? "others have made it anew in the destination since the run wrote one of this "
                  "name: "
                  "it is theirs; delete or rename it, or skip it or overwrite it by a rule"
                : "the destination has another object of this name that no run of this environment "
                  "wrote; delete or rename it, or skip it or overwrite it by a rule");
    }
}

/* Fields that the destination would lose or refuse. A rule that says create or hold has accepted
 * that; one that takes the field out by a patch leaves nothing to find. */
static void block_by_schema(struct world *w, struct object *o) {
    const struct user_rule *u = o->user_rule >= 0 ? &w->o.rules[o->user_rule] : NULL;
    const struct concern *worst = NULL;
    size_t n = 0;
    if ((u && u->verdict) ||
        (o->verdict != V_CREATE && o->verdict != V_HOLD && o->verdict != V_UPDATE))
        return;
    for (const struct concern *c = o->concerns; c; c = c->next) {
        if (c->kind == CONCERN_DOUBT)
            continue;
        n++;
        worst = !worst || c->kind > worst->kind ? c : worst;
    }
    if (!n)
        return;
    const char *more = n > 1 ? arena_printf(w->text, " (and %zu more fields)", n - 1) : "";
    bool lost = worst->kind == CONCERN_LOST;
    decide(o, V_BLOCK, lost ? "schema-lost" : "schema-refused",
           arena_printf(w->text,
                        "%s: %s%s; take it out by a rule with a patch, or %s by a rule with "
                        "verdict %s",
                        worst->path, worst->why, more, lost ? "accept the loss" : "try it anyway",
                        o->held ? "hold" : "create"));
}

/* A password that is there before its custom resource is used, not made anew. */
static bool goes_first(const struct object *o, const struct object *owner) {
    return order_carries_data(o->kind->src) && order_is_custom(owner->kind->src);
}

/* A wave of its own after the latest owner; cycles and long chains are cut at the depth bound. */
static int wave_of(struct world *w, struct object *o, unsigned depth) {
    int wave = o->kind->wave;
    for (const struct owner *x = o->owners; x && depth; x = x->next) {
        struct object *p = world_by_uid(w, x->uid);
        if (p && p != o && owner_kept(w, x) && !goes_first(o, p))
            wave = MAX(wave, wave_of(w, p, depth - 1) + 1);
    }
    return wave;
}

enum { OWNER_DEPTH_MAX = 8 };

/* A controller sets the fields of what it owns, replicas above all. Annotations of others it
 * leaves.
 */
static void warn_of_owners(struct world *w, const struct object *o) {
    const struct hold_row *row = o->held ? hold_row_of(o->kind->src) : NULL;
    if (!row || !object_goes_over(o) || !str_starts(row->path, "/spec/"))
        return;
    for (const struct owner *x = o->owners; x; x = x->next) {
        const struct object *p = x->controller ? world_by_uid(w, x->uid) : NULL;
        if (p && object_goes_over(p) && !p->held)
            strvec_fmt(&w->warnings,
                       "%s is held, but its owner %s is not: who acts for that one may let it "
                       "loose in the destination; hold the owner too, or its operator",
                       object_title(w->text, o), object_title(w->text, p));
    }
}

/* After the rules have spoken. */
static void decide_rest(struct world *w, struct object *o) {
    block_broken(o);
    decide_by_destination(w, o);
    block_by_schema(w, o);
    o->wave = wave_of(w, o, OWNER_DEPTH_MAX);
}

/* What came up after a person was asked is held: that can be undone. */
void classify_one(struct world *w, struct object *o) {
    decide_by_rules(w, o);
    decide_rest(w, o);
    unclassified_mark_one(w, o);
    unclassified_decide_one(o, o->undecided ? UNCLASSIFIED_HOLD : UNCLASSIFIED_ASK);
    scaler_follow_one(w, o);
    warn_of_owners(w, o);
}

void classify_all(struct world *w) {
    /* Definitions first: whether custom resources can go over depends on them. */
    for (int definitions = 1; definitions >= 0; definitions--)
        for (size_t i = 0; i < w->objects.n; i++)
            if (is_definition(w->objects.v[i]) == (definitions == 1))
                decide_by_rules(w, w->objects.v[i]);
    for (size_t i = 0; i < w->objects.n; i++)
        decide_rest(w, w->objects.v[i]);
    unclassified_mark(w);
    scalers_follow(w);
    for (size_t i = 0; i < w->objects.n; i++)
        warn_of_owners(w, w->objects.v[i]);
    pernamespace_hint(w);
}
