#include "run/record.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "journal/export.h"
#include "migrate/keep.h"
#include "run/holding.h"
#include "run/own.h"
#include "run/record_parts.h"

/* LOOK_MS: for the first request, by which a dead destination is noticed. */
enum { VERSION = 1, LOOK_MS = 1500, ASK_MS = 10000, ALL_MS = 120000 };

static const char *head_name(struct arena *a, const struct session *s, int which) {
    return arena_printf(a, "tandem-record-%s-%d", s->cfg->name, which);
}

static const char *salt_name(struct arena *a, const struct session *s) {
    return arena_printf(a, "tandem-record-%s", s->cfg->name);
}

static const char *part_name(struct arena *a, const struct session *s, const char *sha256) {
    return arena_printf(a, "tandem-record-%s-%.24s", s->cfg->name, sha256);
}

/* --- heads --- */

struct head {
    yyjson_val *map;  /* the ConfigMap; NULL: none */
    yyjson_val *tree; /* what it says; NULL: damaged */
    int64_t generation;
    char cluster;
    const char *why; /* it is damaged */
};

static void judge(struct arena *a, struct head *h) {
    const char *text = json_str(h->map, "data", "head"), *hash = json_str(h->map, "data", "sha256");
    char hex[SHA256_HEX];
    yyjson_val *v;
    if (!text || !hash || !str_eq(hash_sha256_hex(text, strlen(text), hex), hash))
        h->why = "its head is not what its hash says";
    else if (json_parse(a, text, strlen(text), &v, NULL) < 0)
        h->why = "its head is no JSON";
    else if (json_int(json_get(v, "version"), 0) != VERSION)
        h->why = "a newer tandem has written it";
    else
        h->tree = v;
    h->generation = h->tree ? json_int(json_get(h->tree, "generation"), 0) : 0;
}

/* Both halves; what is not there has no map. */
static int read_heads(const struct session *s, const struct own *o, struct arena *a, char cluster,
                      struct head ret[2], struct err *e) {
    for (int i = 0; i < 2; i++) {
        struct own one = *o;
        ret[i] = (struct head){.cluster = cluster};
        if (i == 0)
            one.each_ms = MIN(one.each_ms, (uint32_t)LOOK_MS);
        int r = own_get(&one, a, OWN_CONFIGMAP, head_name(a, s, i), &ret[i].map, e);
        if (r == -ENOENT)
            ret[i].map = NULL;
        else if (r < 0)
            return r;
        else
            judge(a, &ret[i]);
    }
    return 0;
}

/* --- whose it is --- */

/* The journals that have written this record, each named in its own facts before it writes the
 * first time: whoever takes over takes them with the rest, and knows that they were before it. */
static const char *writer_key(struct arena *a, int64_t made_ms) {
    return arena_printf(a, "record.by.%lld", (long long)made_ms);
}

static bool has_writer(struct journal *j, struct arena *a, int64_t made_ms) {
    char *is = NULL;
    return journal_get(j, a, writer_key(a, made_ms), &is, NULL) < 0 || is;
}

static int note_writer(struct journal *j, struct arena *a, int64_t made_ms, struct err *e) {
    return !made_ms || has_writer(j, a, made_ms)
               ? 0
               : journal_set(j, writer_key(a, made_ms), "has written the record", e);
}

static bool has_run(const struct session *s, const char *id) {
    struct journal_run *v = NULL;
    size_t n = 0;
    bool found = s->journal && journal_runs(s->journal, s->a, &v, &n, NULL) < 0;
    for (size_t i = 0; i < n; i++)
        found = found || str_eq(v[i].id, id);
    return found;
}

static int64_t writer_of(const struct head *h) {
    return json_int(json_get(h->tree, "journal"), 0);
}

/* Written by the journal of this session, or by one before it. */
static bool is_ours(const struct session *s, const struct head *h) {
    int64_t wrote = writer_of(h);
    return has_run(s, json_str(h->tree, "run")) &&
           (!wrote || wrote == journal_made_ms(s->journal) || has_writer(s->journal, s->a, wrote));
}

static void copy(char *to, size_t n, const char *text) {
    snprintf(to, n, "%s", text ? text : "?");
}

static bool is_other(const struct session *s, const struct head *h, struct record_other *ret) {
    const char *run = json_str(h->tree, "run");
    if (!run || is_ours(s, h))
        return false;
    *ret = (struct record_other){.there = true, .cluster = h->cluster, .taken = has_run(s, run)};
    copy(ret->run, sizeof ret->run, run);
    copy(ret->at, sizeof ret->at, json_str(h->tree, "at"));
    copy(ret->actor, sizeof ret->actor, json_str(h->tree, "actor"));
    return true;
}

/* --- writing --- */

struct writing {
    struct session *s;
    const struct own *o;
    struct arena *a;
    yyjson_mut_doc *d;
    yyjson_mut_val *data, *parts; /* of the head */
    size_t inlined;               /* bytes of parts that the head itself carries */
    bool full;                    /* no further ones */
    const char *of;               /* "core" or "effects" */
    struct map *there, *named;    /* names of parts: in the cluster; by a head */
    struct record_packer packer;
};

static int write_part(struct writing *w, const char *name, const struct record_part *p,
                      struct err *e) {
    AUTO_ARENA a = arena_new();
    yyjson_mut_doc *d = json_doc(a);
    yyjson_mut_val *data = yyjson_mut_obj(d);
    if (map_get(w->there, name))
        return 0;
    json_mut_set_str(d, data, "part", p->text);
    return own_make(w->o, a, name, d, data, e);
}

/* The first ones into the head, as long as it takes them. */
static int add_part(void *ctx, const struct record_part *p, struct err *e) {
    struct writing *w = ctx;
    yyjson_mut_val *x = yyjson_mut_obj(w->d);
    json_mut_set_str(w->d, x, "of", w->of);
    json_mut_set_str(w->d, x, "sha256", p->sha256);
    yyjson_mut_arr_append(w->parts, x);
    w->full |= w->inlined + p->len > RECORD_PART_MAX;
    if (!w->full) {
        const char *key = arena_printf(w->a, "part-%zu", yyjson_mut_arr_size(w->parts));
        w->inlined += p->len;
        json_mut_set_str(w->d, x, "key", key);
        json_mut_set_str(w->d, w->data, key, p->text);
        return 0;
    }
    const char *name = part_name(w->a, w->s, p->sha256);
    json_mut_set_str(w->d, x, "name", name);
    map_put(w->named, name, w);
    return write_part(w, name, p, e);
}

struct feeding {
    struct writing *w;
    struct err *e;
};

static int feed(void *ctx, const char *line, size_t n) {
    struct feeding *f = ctx;
    return record_pack(&f->w->packer, line, n, f->e);
}

static int write_parts(struct writing *w, struct err *e) {
    static const char *const of[] = {[EXPORT_CORE] = "core", [EXPORT_EFFECTS] = "effects"};
    struct feeding f = {w, e};
    int r = 0;
    record_packer_init(&w->packer, add_part, w);
    for (unsigned i = 0; r >= 0 && i < COUNT_OF(of); i++) {
        w->of = of[i];
        r = journal_export(w->s->journal, i, feed, &f, e);
        if (r >= 0)
            r = record_pack_end(&w->packer, e);
    }
    record_packer_done(&w->packer);
    return r;
}

static const char *const pin_keys[] = {"pin.a", "pin.b"};

static void fill_pins(struct writing *w, yyjson_mut_val *pins) {
    for (size_t i = 0; i < COUNT_OF(pin_keys); i++) {
        char *pin = NULL;
        if (journal_get(w->s->journal, w->a, pin_keys[i], &pin, NULL) >= 0 && !str_empty(pin))
            json_mut_set_str(w->d, pins, pin_keys[i], pin);
    }
}

static void fill_head(struct writing *w, int64_t generation) {
    struct session *s = w->s;
    char t[CLOCK_RFC3339_MAX], hex[SHA256_HEX];
    yyjson_mut_doc *d = w->d;
    yyjson_mut_val *root = yyjson_mut_obj(d);
    json_mut_set_int(d, root, "version", VERSION);
    json_mut_set_int(d, root, "generation", generation);
    json_mut_set_int(d, root, "journal", journal_made_ms(s->journal));
    json_mut_set_str(d, root, "environment", s->cfg->name);
    json_mut_set_str(d, root, "run", s->run.id);
    json_mut_set_str(d, root, "source", (char[]){s->source, 0});
    json_mut_set_str(d, root, "destination", (char[]){s->destination, 0});
    json_mut_set_str(d, root, "at", clock_rfc3339(clock_wall_ms(), t));
    json_mut_set_str(d, root, "actor", s->actor);
    json_mut_set_str(d, root, "salt", hash_sha256_hex(journal_salt(s->journal), SHA256_LEN, hex));
    fill_pins(w, json_mut_obj_at(d, root, "pins"));
    json_mut_set(d, root, "parts", w->parts);
    const char *text = json_mut_write(w->a, root, NULL);
    json_mut_set_str(d, w->data, "head", text);
    json_mut_set_str(d, w->data, "sha256", hash_sha256_hex(text, strlen(text), hex));
}

/* Once; again when the half that stays was written with another. */
static int write_salt(struct writing *w, yyjson_val *other, struct err *e) {
    struct session *s = w->s;
    char hex[SHA256_HEX];
    if (str_eq(json_str(other, "salt"), hash_sha256_hex(journal_salt(s->journal), SHA256_LEN, hex)))
        return 0;
    yyjson_mut_doc *d = json_doc(w->a);
    yyjson_mut_val *data = yyjson_mut_obj(d);
    json_mut_set_str(d, data, "salt", base64_encode(w->a, journal_salt(s->journal), SHA256_LEN));
    return own_put(w->o, w->a, OWN_SECRET, salt_name(w->a, s), d, data, NULL, e);
}

static void name_parts(struct writing *w, yyjson_val *tree) {
    size_t i, max;
    yyjson_val *x;
    yyjson_arr_foreach (json_get(tree, "parts"), i, max, x) {
        if (json_str(x, "name"))
            map_put(w->named, arena_strdup(w->a, json_str(x, "name")), w);
    }
}

static bool note_there(void *ctx, const char *name) {
    struct writing *w = ctx;
    map_put(w->there, arena_strdup(w->a, name), w);
    return true;
}

static bool is_named(void *ctx, const char *name) {
    struct writing *w = ctx;
    return map_get(w->named, name) != NULL;
}

/* The half that is older, or damaged, or not there; the other one stays as it is. */
static int write_all(struct writing *w, struct err *e) {
    struct head heads[2];
    const char *begins = arena_printf(w->a, "tandem-record-%s-", w->s->cfg->name);
    int r = read_heads(w->s, w->o, w->a, w->s->destination, heads, e);
    if (r < 0)
        return r;
    struct record_other other;
    int which = heads[1].generation < heads[0].generation;
    if (is_other(w->s, &heads[!which], &other))
        return err_set(e, -EGUARD, "%s has written it, of run %s, at %s", other.actor, other.run,
                       other.at);
    for (int i = 0; i < 2; i++)
        map_put(w->named, head_name(w->a, w->s, i), w);
    name_parts(w, heads[!which].tree);
    r = own_each(w->o, begins, note_there, w, e);
    if (r >= 0)
        r = write_salt(w, heads[!which].tree, e);
    if (r >= 0)
        r = write_parts(w, e);
    if (r < 0)
        return r;
    fill_head(w, MAX(heads[0].generation, heads[1].generation) + 1);
    r = own_put(w->o, w->a, OWN_CONFIGMAP, head_name(w->a, w->s, which), w->d, w->data, NULL, e);
    return r < 0 ? r : own_each(w->o, begins, is_named, w, e);
}

static bool is_open(const struct session *s) {
    struct journal_run run;
    return s->recording && s->run_open && journal_run_open(s->journal, &run, NULL) > 0;
}

void record_mirror(struct session *s) {
    struct kube_client *c = session_destination(s);
    struct err e = {0};
    if (!c || !s->cfg->mirror || s->o.read_only || !is_open(s))
        return;
    AUTO_ARENA a = arena_new();
    AUTO_MAP there = map_new();
    AUTO_MAP named = map_new();
    struct own o = {c, s->cfg->name, clock_now_ms() + ALL_MS, ASK_MS};
    struct writing w = {.s = s, .o = &o, .a = a, .d = json_doc(a), .there = there, .named = named};
    w.data = yyjson_mut_obj(w.d);
    w.parts = yyjson_mut_arr(w.d);
    int r = session_holds_still(s, 0, &e);
    if (r >= 0)
        r = note_writer(s->journal, a, journal_made_ms(s->journal), &e);
    if (r >= 0)
        r = write_all(&w, &e);
    if (r < 0)
        log_warn("the run's record is not mirrored into %c: %s", s->destination, err_msg(&e));
}

/* --- reading --- */

struct found {
    struct head head;
    struct sb text;
};

static int read_part(const struct session *s, const struct own *o, const struct head *h,
                     yyjson_val *part, struct sb *out, struct err *e) {
    AUTO_ARENA a = arena_new();
    const char *key = json_str(part, "key"), *hash = json_str(part, "sha256");
    yyjson_val *map;
    if (!hash)
        return err_set(e, -EBADMSG, "a part has no hash");
    const char *name = part_name(a, s, hash);
    const char *text = key ? json_str(h->map, "data", key) : NULL;
    if (!key) {
        int r = own_get(o, a, OWN_CONFIGMAP, name, &map, e);
        if (r == -ENOENT)
            return err_set(e, -EBADMSG, "its part %s is gone", name);
        if (r < 0)
            return r;
        text = json_str(map, "data", "part");
    }
    return text ? record_unpack(text, strlen(text), hash, out, e)
                : err_set(e, -EBADMSG, "its part %s is empty", key ? key : name);
}

static int read_parts(const struct session *s, const struct own *o, const struct head *h,
                      struct sb *out, struct err *e) {
    size_t i, max;
    yyjson_val *x;
    int r = 0;
    sb_reset(out);
    if (!h->tree)
        return err_set(e, -EBADMSG, "%s", h->why);
    yyjson_arr_foreach (json_get(h->tree, "parts"), i, max, x) {
        if (r >= 0)
            r = read_part(s, o, h, x, out, e);
    }
    return r;
}

static struct own own_of(const struct session *s, char cluster) {
    return (struct own){s->cluster[session_slot(cluster)], s->cfg->name, clock_now_ms() + ALL_MS,
                        ASK_MS};
}

/* Damaged ones first, so that they are noticed; the two clusters count for themselves. */
static bool comes_before(const struct head *x, const struct head *y) {
    if (!x->tree || !y->tree)
        return !x->tree && y->tree;
    if (x->cluster == y->cluster)
        return x->generation > y->generation;
    const char *when = json_str(x->tree, "at"), *other = json_str(y->tree, "at");
    return when && other && strcmp(when, other) > 0;
}

/* The heads of both clusters, the newest first; those that could be read also on failure. */
static int all_heads(const struct session *s, struct head ret[4], size_t *n, struct err *e) {
    size_t count = 0;
    int failed = 0;
    for (char c = 'a'; c <= 'b'; c++) {
        struct own o = own_of(s, c);
        struct head two[2];
        struct err why = {0};
        int r = o.c ? read_heads(s, &o, s->a, c, two, &why) : -ENOENT;
        if (r < 0 && r != -ENOENT) {
            failed = r;
            if (e)
                *e = why;
        }
        for (int i = 0; r >= 0 && i < 2; i++)
            if (two[i].map)
                ret[count++] = two[i];
    }
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k && comes_before(&ret[k], &ret[k - 1]); k--) {
            struct head swap = ret[k];
            ret[k] = ret[k - 1];
            ret[k - 1] = swap;
        }
    *n = count;
    return failed;
}

/* The newest that is whole. */
static int find(const struct session *s, struct found *ret, const char **ret_damaged,
                struct err *e) {
    struct head heads[4];
    size_t n;
    *ret_damaged = NULL;
    int r = all_heads(s, heads, &n, e);
    if (r < 0)
        return r;
    if (!n)
        return err_set(e, -ENOENT, "neither cluster has a record of environment %s", s->cfg->name);
    for (size_t i = 0; i < n; i++) {
        struct own o = own_of(s, heads[i].cluster);
        struct err why = {0};
        r = read_parts(s, &o, &heads[i], &ret->text, &why);
        if (r >= 0) {
            ret->head = heads[i];
            return 0;
        }
        if (r != -EBADMSG) {
            *e = why;
            return r;
        }
        *ret_damaged = arena_strdup(s->a, err_msg(&why));
    }
    return err_set(e, -EBADMSG, "neither half of the record of environment %s is whole: %s",
                   s->cfg->name, *ret_damaged);
}

static void fill_info(const struct session *s, const struct found *f, const char *damaged,
                      struct record_info *ret) {
    yyjson_val *t = f->head.tree;
    *ret = (struct record_info){
        .cluster = f->head.cluster,
        .generation = f->head.generation,
        .run = arena_strdup(s->a, json_str(t, "run")),
        .at = arena_strdup(s->a, json_str(t, "at")),
        .actor = arena_strdup(s->a, json_str(t, "actor")),
        .damaged = damaged,
    };
}

/* --- the history alone --- */

static void remove_copy(struct arena *a, const char *dir, const char *path) {
    static const char *const beside[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < COUNT_OF(beside); i++)
        unlink(arena_printf(a, "%s%s", path, beside[i]));
    rmdir(dir);
}

/* In a journal of its own, which verifies it as it does any other. */
static int history_of(struct session *s, const struct sb *text, struct journal_event_row **ret,
                      size_t *n, struct err *e) {
    const char *tmp = getenv("TMPDIR");
    char *dir = arena_printf(s->a, "%s/tandem-record-XXXXXX", str_empty(tmp) ? "/tmp" : tmp);
    struct journal *j = NULL;
    if (!mkdtemp(dir))
        return err_errno(e, errno, "cannot make a folder for the record: %s", dir);
    const char *path = arena_printf(s->a, "%s/record.db", dir);
    int r = journal_open(path, false, &j, e);
    if (r >= 0)
        r = journal_import(j, NULL, sb_get(text), text->len, e);
    if (r >= 0)
        r = journal_events(j, s->a, NULL, ret, n, e);
    journal_close(j);
    remove_copy(s->a, dir, path);
    return r;
}

int record_history(struct session *s, struct record_info *info, struct journal_event_row **ret,
                   size_t *n, struct err *e) {
    struct found f = {.text = SB_INIT(1 << 30)};
    const char *damaged;
    int r = find(s, &f, &damaged, e);
    if (r >= 0)
        r = history_of(s, &f.text, ret, n, e);
    if (r >= 0)
        fill_info(s, &f, damaged, info);
    sb_done(&f.text);
    return r;
}

/* --- another's run --- */

int record_other(struct session *s, struct record_other *ret, struct err *e) {
    struct head heads[4];
    size_t n = 0;
    *ret = (struct record_other){0};
    int r = s->cfg->mirror ? all_heads(s, heads, &n, e) : 0;
    bool seen[2] = {0}; /* the newest of each cluster counts */
    for (size_t i = 0; i < n; i++) {
        if (!heads[i].tree || seen[heads[i].cluster == 'b'])
            continue;
        seen[heads[i].cluster == 'b'] = true;
        if (is_other(s, &heads[i], ret))
            return 1;
    }
    return r;
}

int record_no_other(struct session *s, struct err *e) {
    struct record_other o;
    struct err why = {0};
    int r = record_other(s, &o, &why);
    if (r < 0)
        log_info("whether another machine has a run open is not known: %s", err_msg(&why));
    if (r <= 0)
        return 0;
    if (o.taken)
        return err_set(e, -EGUARD,
                       "run %s was taken over from this journal and goes on elsewhere (its record "
                       "is in %c, of %s, by %s): go on there; to have it here again, move the "
                       "journal %s away, then `tandem resume --take-over`",
                       o.run, o.cluster, o.at, o.actor, s->cfg->journal);
    return err_set(e, -EGUARD,
                   "run %s of this environment is open, and this journal does not know it (its "
                   "record is in %c, of %s, by %s): go on where its journal is, or `tandem resume "
                   "--take-over` here. To give it up, delete the ConfigMaps tandem-record-%s-0 and "
                   "-1 in " KEEP_NAMESPACE " of %c",
                   o.run, o.cluster, o.at, o.actor, s->cfg->name, o.cluster);
}

/* --- taking over --- */

static int read_salt(const struct session *s, const struct head *h, uint8_t ret[SHA256_LEN],
                     struct err *e) {
    struct own o = own_of(s, h->cluster);
    const char *name = salt_name(s->a, s);
    char hex[SHA256_HEX];
    yyjson_val *secret;
    uint8_t *salt;
    size_t n = 0;
    int r = own_get(&o, s->a, OWN_SECRET, name, &secret, e);
    if (r < 0)
        return err_ctx(e, r, "the salt of the record's digests");
    const char *text = json_str(secret, "data", "salt");
    if (!text || base64_decode(s->a, text, &salt, &n, NULL) < 0 || n != SHA256_LEN ||
        !str_eq(hash_sha256_hex(salt, n, hex), json_str(h->tree, "salt")))
        return err_set(e, -EBADMSG, "the Secret %s does not hold the salt of this record", name);
    memcpy(ret, salt, SHA256_LEN);
    return 0;
}

/* The file is whole now: what the session has read of it before is read again. */
static int adopt(struct session *s, struct err *e) {
    int r = journal_run_open(s->journal, &s->run, e);
    if (r < 0)
        return r;
    s->run_open = r > 0;
    if (!s->run_open)
        return err_set(e, -ENOENT, "the record is of a run that has ended: nothing is to go on");
    s->source = s->run.source;
    s->destination = s->run.destination;
    return 0;
}

/* As session_open() will have it from then on, but before anything is written. */
static int check_clusters(struct session *s, const struct found *f, struct err *e) {
    for (size_t i = 0; i < COUNT_OF(pin_keys); i++) {
        const char *pin = json_str(f->head.tree, "pins", pin_keys[i]);
        const char *is = arena_printf(s->a, "%s %s", s->id[i].uid ? s->id[i].uid : "",
                                      s->id[i].ca ? s->id[i].ca : "");
        if (pin && s->cluster[i] && s->id[i].uid && !str_eq(pin, is))
            return err_set(e, -EGUARD,
                           "the record's cluster %c is %.36s, and the context leads to %s (or by "
                           "another certificate authority): nothing is taken over",
                           'a' + (int)i, pin, s->id[i].uid);
    }
    return 0;
}

/* One that lives goes on with the run, and its record grows: then there is nothing to take over.
 * The journal must have no event of its own before the import. */
static int hold_destination(struct session *s, const struct found *f, struct err *e) {
    const char *to = json_str(f->head.tree, "destination");
    bool recording = s->recording;
    if (!to || (!str_eq(to, "a") && !str_eq(to, "b")))
        return err_set(e, -EBADMSG, "the record does not say where the run leads");
    s->recording = false;
    int r = session_hold(s, holding_slot(*to), e);
    s->recording = recording;
    return r < 0 ? err_ctx(e, r, "the run is not taken over") : r;
}

/* Of heads that could not be used, too. */
static int note_all_writers(struct session *s, struct err *e) {
    struct head heads[4];
    size_t n = 0;
    int r = all_heads(s, heads, &n, e);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = note_writer(s->journal, s->a, writer_of(&heads[i]), e);
    return r;
}

static int take_over(struct session *s, struct found *f, struct err *e) {
    const char *damaged;
    uint8_t salt[SHA256_LEN];
    struct record_info info;
    int r = find(s, f, &damaged, e);
    if (r >= 0)
        r = check_clusters(s, f, e);
    if (r >= 0)
        r = hold_destination(s, f, e);
    if (r >= 0)
        r = find(s, f, &damaged, e); /* whoever had it may have written until then */
    if (r >= 0)
        r = read_salt(s, &f->head, salt, e);
    if (r >= 0)
        r = journal_import(s->journal, salt, sb_get(&f->text), f->text.len, e);
    if (r >= 0)
        r = note_all_writers(s, e);
    if (r >= 0)
        r = adopt(s, e);
    if (r < 0)
        return r;
    fill_info(s, f, damaged, &info);
    if (damaged)
        log_warn("one half of the record could not be used (%s); the other one is", damaged);
    if (s->taken_from)
        session_event(s, "lease taken over", s->taken_from);
    session_event(s, "run taken over",
                  arena_printf(s->a, "record %lld in %c, written %s by %s",
                               (long long)info.generation, info.cluster, info.at, info.actor));
    record_mirror(s); /* where it was, it is learnt that it is here now */
    return 0;
}

int record_take_over(struct session *s, struct err *e) {
    struct found f = {.text = SB_INIT(1 << 30)};
    if (!s->recording)
        return err_set(e, -EGUARD, "a run is taken over into a journal, and there is none");
    if (s->run_open)
        return err_set(e, -EEXIST, "this journal has the run %s open: `tandem resume` goes on",
                       s->run.id);
    int r = take_over(s, &f, e);
    sb_done(&f.text);
    return r;
}
