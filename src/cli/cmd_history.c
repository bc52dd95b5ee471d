#include <errno.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "run/record.h"
#include "run/sign.h"

struct history_cli {
    bool verify, from_cluster;
    const char *sign, *signers;
};

static int print_json(struct session *s, const struct common *m, const struct journal_event_row *v,
                      size_t n, struct err *e) {
    yyjson_mut_doc *d = json_doc(s->a);
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (size_t i = 0; i < n; i++) {
        char t[CLOCK_RFC3339_MAX];
        yyjson_mut_val *x = yyjson_mut_obj(d);
        json_mut_set_int(d, x, "event", v[i].id);
        json_mut_set_str(d, x, "at", clock_rfc3339(v[i].at_ms, t));
        json_mut_set_str(d, x, "run", v[i].run ? v[i].run : "");
        json_mut_set_str(d, x, "actor", v[i].actor ? v[i].actor : "");
        json_mut_set_str(d, x, "what", v[i].what ? v[i].what : "");
        json_mut_set_str(d, x, "detail", v[i].detail ? v[i].detail : "");
        json_mut_set_str(d, x, "hash", v[i].hash ? v[i].hash : "");
        yyjson_mut_arr_append(list, x);
    }
    size_t len;
    char *text = json_mut_write(s->a, list, &len);
    return cli_print_tree(m->output, text, len, e);
}

static int print(struct session *s, const struct common *m, const struct journal_event_row *v,
                 size_t n, struct err *e) {
    if (m->output == OUT_JSON || m->output == OUT_YAML)
        return print_json(s, m, v, n, e);
    for (size_t i = 0; i < n; i++) {
        char t[CLOCK_RFC3339_MAX];
        printf("%s  %-16s %-24s %s%s%s\n", clock_rfc3339(v[i].at_ms, t), v[i].run ? v[i].run : "-",
               v[i].actor, v[i].what, str_empty(v[i].detail) ? "" : ": ",
               v[i].detail ? v[i].detail : "");
    }
    return 0;
}

static void tell_signatures(const struct sign_checked *c, size_t n, bool by_signers,
                            size_t events) {
    for (size_t i = 0; i < n; i++)
        log_info("up to event %lld it was signed %s by %s%s", (long long)c[i].event,
                 c[i].at ? c[i].at : "", by_signers ? "" : "the key ", c[i].who);
    if (n && !by_signers)
        log_warn("whose key that is nobody vouches for: --signers FILE names who may sign");
    if (n && (uint64_t)c[n - 1].event < events)
        log_info("%zu events came after the last signature", events - (size_t)c[n - 1].event);
}

static int verify(struct session *s, const struct history_cli *o, size_t events, struct err *e) {
    struct sign_checked *c;
    size_t n;
    int r = sign_verify(s, o->signers, &c, &n, e);
    if (r < 0)
        return r;
    log_info("the chain of %zu events is whole%s", events, n ? "" : "; nothing of it is signed");
    tell_signatures(c, n, o->signers, events);
    return 0;
}

static int from_cluster(struct session *s, const struct common *m, struct err *e) {
    struct record_info info;
    struct journal_event_row *v;
    size_t n;
    int r = record_history(s, &info, &v, &n, e);
    if (r < 0)
        return r;
    if (info.damaged)
        log_warn("one half of the record cannot be used (%s); this is the other", info.damaged);
    log_info("record %lld of run %s in %c, written %s by %s; its chain of %zu events is whole",
             (long long)info.generation, info.run, info.cluster, info.at, info.actor, n);
    return print(s, m, v, n, e);
}

static int work(struct session *s, const struct common *m, const struct history_cli *o,
                struct err *e) {
    struct journal_event_row *v;
    size_t n;
    int64_t id;
    if (o->from_cluster)
        return from_cluster(s, m, e);
    if (!s->journal)
        return err_set(e, -ENOENT, "there is no journal at %s: nothing has happened yet",
                       s->cfg->journal);
    int r = o->sign ? sign_history(s, o->sign, &id, e) : 0;
    if (r >= 0 && o->sign)
        log_info("signed up to event %lld, in %s.sig", (long long)id, s->cfg->journal);
    if (r >= 0)
        r = journal_events(s->journal, s->a, NULL, &v, &n, e);
    if (r >= 0 && o->verify)
        r = verify(s, o, n, e);
    if (r < 0)
        return r;
    return o->sign ? 0 : print(s, m, v, n, e);
}

static int check_options(const struct history_cli *o, struct err *e) {
    if (o->from_cluster && (o->verify || o->sign || o->signers))
        return err_set(e, -EUSAGE,
                       "--from-cluster reads another's record, which is always verified, and has "
                       "no signatures: --verify, --signers and --sign are for the journal");
    return o->signers && !o->verify
               ? err_set(e, -EUSAGE, "--signers says whose signatures --verify takes")
               : 0;
}

int cmd_history(const struct command *c, int argc, char **argv) {
    struct common m = {0};
    struct history_cli o = {0};
    const struct option_row rows[] = {
        {"verify", 0, OPT_FLAG, &o.verify, NULL, "check the chain of hashes and its signatures"},
        {"signers", 0, OPT_STRING, &o.signers, "FILE",
         "who may sign (ssh-keygen's allowed_signers), for --verify"},
        {"sign", 0, OPT_STRING, &o.sign, "KEY", "sign the last event with this SSH key"},
        {"from-cluster", 0, OPT_FLAG, &o.from_cluster, NULL,
         "of the record that is mirrored in the cluster, without a journal"},
        {0},
    };
    AUTO_STRVEC args = {0};
    int code;
    if (cli_parse(c, argc, argv, rows, &m, &args, &code) < 0)
        return code;
    struct session *s = NULL;
    struct err e = {0};
    int r = check_options(&o, &e);
    if (r >= 0)
        r = cli_open(&m, o.from_cluster ? NEED_CLUSTERS | TOLERATE_DEAD : NEED_JOURNAL_IF_ANY, &s,
                     &e);
    if (r >= 0)
        r = work(s, &m, &o, &e);
    code = r < 0 ? cli_fail(&e) : EXIT_DONE;
    session_close(s);
    common_done(&m);
    return code;
}
