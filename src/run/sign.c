#include "run/sign.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/proc.h"

/* See PROTOCOL.sshsig and ssh-keygen(1) of OpenSSH: the namespace keeps a signature of a history
 * from being taken for one of anything else. */
#define NAMESPACE "tandem"

enum { LIST_MAX = 1 << 24, KEYGEN_MS = 60000 };

struct signature {
    int64_t id;
    const char *environment, *hash, *at, *identity, *text;
};

static const char *list_path(const struct session *s) {
    return arena_printf(s->a, "%s.sig", s->cfg->journal);
}

static char *message(const struct session *s, const struct signature *g) {
    return arena_printf(s->a, "tandem history 1\nenvironment: %s\nevent: %lld\nhash: %s\n",
                        g->environment, (long long)g->id, g->hash);
}

/* Runs it without a terminal: what would ask for a passphrase fails instead of waiting for one. */
static int keygen(struct session *s, const char *const *argv, const char *input,
                  struct proc_result *ret, struct err *e) {
    static const char *const env[] = {"SSH_ASKPASS_REQUIRE=force", "SSH_ASKPASS=/bin/false", NULL};
    bool own = getenv("SSH_ASKPASS") != NULL;
    struct proc_run p = {.argv = argv,
                         .env = own ? NULL : env,
                         .input = input,
                         .input_len = strlen(input),
                         .timeout_ms = KEYGEN_MS};
    int r = proc_run(s->a, &p, ret, e);
    if (r == -ENOENT)
        return err_set(e, r, "there is no ssh-keygen here: it comes with OpenSSH (8.1 or newer)");
    if (r >= 0 && ret->timed_out)
        return err_set(e, -ETIMEDOUT, "ssh-keygen did not end in time");
    return r;
}

/* The last line of what it says on stderr tells most. */
static const char *complaint(struct session *s, const struct proc_result *res) {
    AUTO_STRVEC lines = {0};
    strvec_split(&lines, res->err_len ? res->err_out : res->out, '\n');
    return lines.n ? arena_printf(s->a, "%.200s", lines.v[lines.n - 1]) : "no reason given";
}

/* --- the list --- */

static int read_list(struct session *s, yyjson_val **ret, struct err *e) {
    const char *path = list_path(s);
    char *text;
    size_t n;
    *ret = NULL;
    if (!file_exists(path))
        return 0;
    int r = file_read(s->a, path, LIST_MAX, &text, &n, e);
    if (r >= 0)
        r = json_parse(s->a, text, n, ret, e);
    if (r >= 0 && !yyjson_is_arr(*ret))
        r = err_set(e, -EBADMSG, "it is no list");
    return r < 0 ? err_ctx(e, r, "the signatures in %s", path) : 0;
}

static int append(struct session *s, const struct signature *g, struct err *e) {
    yyjson_val *old;
    yyjson_mut_doc *d = json_doc(s->a);
    int r = read_list(s, &old, e);
    if (r < 0)
        return r;
    yyjson_mut_val *list = old ? yyjson_val_mut_copy(d, old) : yyjson_mut_arr(d);
    yyjson_mut_val *x = yyjson_mut_obj(d);
    json_mut_set_int(d, x, "event", g->id);
    json_mut_set_str(d, x, "hash", g->hash);
    json_mut_set_str(d, x, "environment", g->environment);
    json_mut_set_str(d, x, "at", g->at);
    json_mut_set_str(d, x, "identity", g->identity);
    json_mut_set_str(d, x, "signature", g->text);
    yyjson_mut_arr_append(list, x);
    size_t n;
    const char *text = json_mut_write(s->a, list, &n);
    return file_write_atomic(list_path(s), text, n, 0600, e);
}

static int read_entry(struct session *s, yyjson_val *x, struct signature *ret, struct err *e) {
    *ret = (struct signature){.id = json_int(json_get(x, "event"), -1),
                              .environment = json_str(x, "environment"),
                              .hash = json_str(x, "hash"),
                              .at = json_str(x, "at"),
                              .identity = json_str(x, "identity"),
                              .text = json_str(x, "signature")};
    bool whole = ret->id > 0 && ret->environment && ret->hash && ret->text;
    return whole ? 0 : err_set(e, -EBADMSG, "%s has an entry that is not whole", list_path(s));
}

/* --- signing --- */

static int head_of(struct session *s, struct signature *ret, struct err *e) {
    struct journal_event_row *v;
    size_t n;
    if (!s->journal)
        return err_set(e, -ENOENT, "there is no journal at %s: nothing to sign", s->cfg->journal);
    int r = journal_events_verify(s->journal, e);
    if (r >= 0)
        r = journal_events(s->journal, s->a, NULL, &v, &n, e);
    if (r < 0)
        return r;
    if (!n)
        return err_set(e, -ENOENT, "the history is empty: nothing to sign");
    char t[CLOCK_RFC3339_MAX];
    *ret = (struct signature){.id = v[n - 1].id,
                              .hash = v[n - 1].hash,
                              .environment = s->cfg->name,
                              .at = arena_strdup(s->a, clock_rfc3339(clock_wall_ms(), t)),
                              .identity = s->actor};
    return 0;
}

int sign_history(struct session *s, const char *key, int64_t *ret_id, struct err *e) {
    const char *argv[] = {"ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key, NULL};
    struct signature g = {0};
    struct proc_result res;
    int r = file_exists(key) ? head_of(s, &g, e) : err_set(e, -ENOENT, "%s: no such key", key);
    if (r >= 0)
        r = keygen(s, argv, message(s, &g), &res, e);
    if (r < 0)
        return r;
    if (res.status || !res.out_len)
        return err_set(e, -EPERM, "ssh-keygen does not sign with %s: %s", key, complaint(s, &res));
    g.text = res.out;
    r = append(s, &g, e);
    if (r >= 0 && ret_id)
        *ret_id = g.id;
    return r;
}

/* --- verifying --- */

/* Ids count from 1 without a gap: the chain was verified. */
static int check_head(const struct signature *g, const struct journal_event_row *v, size_t n,
                      struct err *e) {
    if ((uint64_t)g->id > n)
        return err_set(e, -EBADMSG,
                       "the history was cut: event %lld was signed %s, and it ends with event %zu",
                       (long long)g->id, g->at ? g->at : "once", n);
    if (!str_eq(v[g->id - 1].hash, g->hash))
        return err_set(e, -EBADMSG,
                       "the history was rewritten: event %lld is not the one that was signed %s",
                       (long long)g->id, g->at ? g->at : "once");
    return 0;
}

static int find_signer(struct session *s, const char *file, const char *signers, const char **ret,
                       struct err *e) {
    const char *argv[] = {"ssh-keygen", "-Y", "find-principals", "-s", file, "-f", signers, NULL};
    struct proc_result res;
    int r = keygen(s, argv, "", &res, e);
    if (r < 0)
        return r;
    size_t n = strcspn(res.out, ",\n"); /* one of its names is enough */
    if (res.status || !n)
        return err_set(e, -EPERM, "it was signed with a key that %s does not name: %s", signers,
                       complaint(s, &res));
    *ret = arena_strndup(s->a, res.out, n);
    return 0;
}

/* Without signers a signature can be whole, but nobody says whose it is. */
static int ask_keygen(struct session *s, const struct signature *g, const char *file,
                      const char *signers, const char **ret_who, struct err *e) {
    const char *who = NULL;
    struct proc_result res;
    int r = signers ? find_signer(s, file, signers, &who, e) : 0;
    if (r < 0)
        return r;
    const char *known[] = {"ssh-keygen", "-Y", "verify",  "-f", signers, "-I",
                           who,          "-n", NAMESPACE, "-s", file,    NULL};
    const char *alone[] = {"ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s",
                           file,         NULL};
    r = keygen(s, signers ? known : alone, message(s, g), &res, e);
    if (r < 0)
        return r;
    if (res.status)
        return err_set(e, -EBADMSG, "the signature does not fit: %s", complaint(s, &res));
    const char *print = strstr(res.out, "SHA256:");
    *ret_who = who ? who : print ? arena_strndup(s->a, print, strcspn(print, " \n")) : "?";
    return 0;
}

/* ssh-keygen wants a signature in a file. */
static int check_one(struct session *s, const struct signature *g, const char *signers,
                     const char **ret_who, struct err *e) {
    const char *tmp = getenv("TMPDIR");
    char *file = arena_printf(s->a, "%s/tandem-sig-XXXXXX", str_empty(tmp) ? "/tmp" : tmp);
    AUTO_FD fd = mkstemp(file);
    if (fd < 0)
        return err_errno(e, errno, "cannot make %s", file);
    size_t n = strlen(g->text);
    int r = write(fd, g->text, n) == (ssize_t)n ? 0 : err_errno(e, EIO, "cannot write %s", file);
    if (r >= 0)
        r = ask_keygen(s, g, file, signers, ret_who, e);
    unlink(file);
    return r < 0 ? err_ctx(e, r, "event %lld", (long long)g->id) : 0;
}

static int check_all(struct session *s, yyjson_val *list, const char *signers,
                     struct sign_checked *ret, struct err *e) {
    struct journal_event_row *v;
    size_t i, max, n;
    yyjson_val *x;
    int r = journal_events(s->journal, s->a, NULL, &v, &n, e);
    yyjson_arr_foreach (list, i, max, x) {
        struct signature g;
        if (r >= 0)
            r = read_entry(s, x, &g, e);
        if (r >= 0)
            r = check_head(&g, v, n, e);
        if (r >= 0)
            r = check_one(s, &g, signers, &ret[i].who, e);
        if (r < 0)
            return r;
        ret[i].event = g.id;
        ret[i].at = g.at;
        ret[i].identity = g.identity;
    }
    return r;
}

int sign_verify(struct session *s, const char *signers, struct sign_checked **ret, size_t *n,
                struct err *e) {
    yyjson_val *list = NULL;
    int r = journal_events_verify(s->journal, e);
    if (r >= 0)
        r = read_list(s, &list, e);
    if (r < 0)
        return r;
    if (signers && !yyjson_arr_size(list))
        return err_set(e, -ENOENT, "nothing is signed: there is no signature in %s", list_path(s));
    if (signers && !file_exists(signers))
        return err_set(e, -ENOENT, "%s: no such file of signers", signers);
    struct sign_checked *out = arena_array(s->a, struct sign_checked, yyjson_arr_size(list) + 1);
    r = check_all(s, list, signers, out, e);
    if (r >= 0) {
        *ret = out;
        *n = yyjson_arr_size(list);
    }
    return r;
}
