#include "migrate/scaler.h"

#include "migrate/hold.h"
#include "migrate/world_impl.h"

/* KEDA's defaults: apps/v1, Deployment (keda.sh/docs/latest/reference/scaledobject-spec). */
static const char *group_of(struct arena *a, const char *api_version) {
    const char *slash = api_version ? strchr(api_version, '/') : NULL;
    if (!api_version)
        return "apps";
    return slash ? arena_strndup(a, api_version, (size_t)(slash - api_version)) : "";
}

static bool wakes(yyjson_val *body) {
    yyjson_val *triggers = json_get(body, "spec", "triggers"), *t;
    size_t i, max;
    yyjson_arr_foreach (triggers, i, max, t) {
        const char *type = json_str(t, "type");
        if (!str_eq(type, "cpu") && !str_eq(type, "memory"))
            return true;
    }
    return false;
}

struct scaler *scaler_read(struct arena *a, struct object *o, yyjson_val *body) {
    yyjson_val *ref = json_get(body, "spec", "scaleTargetRef");
    const char *kind = json_str(ref, "kind"), *name = json_str(ref, "name");
    if (!object_is(o, "keda.sh", "ScaledObject"))
        return NULL;
    struct scaler *s = arena_new_of(a, struct scaler);
    *s = (struct scaler){.o = o,
                         .group = group_of(a, json_str(ref, "apiVersion")),
                         .kind = arena_strdup(a, kind ? kind : "Deployment"),
                         .name = arena_strdup(a, name ? name : ""),
                         .wakes = wakes(body)};
    return s;
}

struct object *scaler_target(const struct world *w, const struct scaler *s) {
    return world_find(w, s->group, s->kind, s->o->ns, s->name);
}

static void tell(struct world *w, const struct object *o, const struct object *target) {
    char *text =
        arena_printf(w->text,
                     "%s is held, but %s, which scales it, may act in both clusters: KEDA will "
                     "start it; hold both, or neither",
                     object_title(w->text, target), object_title(w->text, o));
    if (!strvec_has(&w->warnings, text))
        strvec_add(&w->warnings, text);
}

static void hold(struct world *w, struct object *o, const struct object *target) {
    const struct hold_row *row = hold_row_of(o->kind->src);
    if (o->verdict == V_SAME && !o->ours) {
        tell(w, o, target); /* of the destination's own making */
        return;
    }
    if (o->verdict == V_SAME)
        world_add_change(w, o, row->path, arena_printf(w->text, "%s (held)", row->value),
                         "acts there, and scales what is held");
    o->verdict = o->verdict == V_CREATE ? V_HOLD : V_UPDATE;
    o->held = true;
    o->undecided = false;
    o->rule = "hold-scaler";
    o->why =
        arena_printf(w->text, "it would start %s, which is held", object_title(w->text, target));
}

static void follow(struct world *w, const struct scaler *s) {
    struct object *o = s->o;
    const struct object *t = scaler_target(w, s);
    bool paused = (o->facts & (FACT_STILL | FACT_HELD)) == FACT_STILL ||
                  (o->verdict == V_SAME && o->facts_dst & FACT_STILL);
    bool allowed =
        o->facts & FACT_HOLD_REFUSED || (o->user_rule >= 0 && w->o.rules[o->user_rule].verdict);
    if (!t || !t->held || !object_goes_over(t) || !object_goes_over(o) || o->held || paused)
        return;
    if (allowed)
        tell(w, o, t);
    else
        hold(w, o, t);
}

void scaler_follow_one(struct world *w, const struct object *o) {
    const struct scaler *s = w->scalers;
    while (s && s->o != o)
        s = s->next;
    if (s) /* the newest of it comes first */
        follow(w, s);
}

void scalers_follow(struct world *w) {
    for (const struct scaler *s = w->scalers; s; s = s->next)
        follow(w, s);
}
