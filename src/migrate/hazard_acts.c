/* Looks for what acts on the world by itself, and would do so from two clusters. Values of
 * environment variables are never shown: passwords stand there. */
#include <ctype.h>
#include <strings.h>

#include "base/hash.h"
#include "migrate/hazards_impl.h"
#include "migrate/hold.h"

/* Does the object act by itself, and now? The table of holds knows which of its kind do, whether or
 * not somebody has decided that this one may. */
static bool acts(const struct look *l) {
    const struct hold_row *row = hold_row_of(l->kind);
    uint32_t facts = l->o->facts & ~(uint32_t)FACT_HOLD_REFUSED;
    return row && !(facts & FACT_STILL) && hold_by_row(row, facts);
}

/* --- H1, H3: by schedule, or once --- */

void look_schedule(struct look *l) {
    const char *t = json_str(l->body, "spec", "schedule");
    bool late = json_get(l->body, "spec", "startingDeadlineSeconds");
    if (l->o->facts & FACT_SUSPENDED)
        return;
    found(l, "/spec/schedule", "schedule %s%s", t ? t : "?",
          late ? ""
               : ", and without startingDeadlineSeconds a missed run starts when it is let go");
}

void look_schedule_resource(struct look *l) {
    static const char *const places[] = {"/spec/schedule", "/spec/trigger/cronSchedule/cron"};
    const char *t = NULL, *at = "/spec";
    for (size_t i = 0; i < COUNT_OF(places) && !t; i++) {
        t = yyjson_get_str(yyjson_ptr_get(l->body, places[i]));
        at = t ? places[i] : at;
    }
    if (acts(l))
        found(l, at, "acts by a schedule%s%s", t ? " of its own: " : "", t ? t : "");
}

void look_job(struct look *l) {
    const char *hook = json_str(l->body, "metadata", "annotations", "helm.sh/hook");
    if (!(l->o->facts & (FACT_FINISHED | FACT_SUSPENDED)) && !l->o->owners)
        found(l, "/status", "has not finished%s%s", hook ? "; a Helm hook: " : "",
              hook ? hook : "");
}

static void init_word(struct look *l, const struct word *w) {
    static const char *const words[] = {"migrat", "flyway", "liquibase", "alembic"};
    bool told =
        w->init && (str_eq(w->key, "image") || str_eq(w->key, "args") || str_eq(w->key, "command"));
    if (told && text_has(w->text, words, COUNT_OF(words)))
        found_pod(l, w->at, "an init container that migrates data starts with each new pod");
}

void look_migration(struct look *l) {
    each_word(l, init_word);
}

/* --- H2: consumers --- */

void look_trigger(struct look *l) {
    size_t i, max;
    yyjson_val *t;
    yyjson_arr_foreach (json_get(l->body, "spec", "triggers"), i, max, t) {
        const char *type = json_str(t, "type");
        char at[64];
        snprintf(at, sizeof at, "/spec/triggers/%zu/type", i);
        if (type && !str_eq(type, "cpu") && !str_eq(type, "memory"))
            found(l, at, "scaled by %s: what it scales takes work from there", type);
    }
}

static bool has_service(const struct look *l, yyjson_val *labels) {
    size_t n = strlen(l->ns);
    for (size_t i = 0; i < map_len(l->src->services); i++) {
        const char *key = map_key(l->src->services, i);
        void *v = map_value(l->src->services, i);
        if (strncmp(key, l->ns, n) == 0 && key[n] == '/' && v != (void *)l->src->services &&
            yyjson_obj_size(v) && labels_have(labels, v))
            return true;
    }
    return false;
}

static void consumer_word(struct look *l, const struct word *w) {
    static const char *const keys[] = {"KAFKA", "AMQP",     "RABBITMQ", "SQS",        "CONSUMER",
                                       "NATS_", "GROUP_ID", "QUEUE",    "PUBSUB_SUB", "BROKER"};
    static const char *const texts[] = {"amqp://", "amqps://",       "kafka://", "sqs.",
                                        "--queue", "consumer-group", "celery"};
    bool image = str_eq(w->key, "image");
    bool named = !image && text_has(w->key, keys, COUNT_OF(keys));
    const char *hit = named || image ? NULL : text_has(w->text, texts, COUNT_OF(texts));
    if ((named || hit) && !l->told)
        found_pod(l, w->at, "no Service leads to it, and %s tells of a queue",
                  named ? w->key : hit);
}

void look_consumer(struct look *l) {
    yyjson_val *labels = json_get(l->body, "spec", "template", "metadata", "labels");
    if (runs_replicas(l) && !has_service(l, labels))
        each_word(l, consumer_word);
}

/* --- H4, H13, H14: known by their images --- */

/* "ghcr.io/x/external-dns:v1" holds "external-dns" behind its registry. */
static bool image_is(const struct word *w, const char *part) {
    const char *slash = strchr(w->text, '/');
    return str_eq(w->key, "image") && !w->init && strstr(slash ? slash : w->text, part);
}

static void dns_word(struct look *l, const struct word *w) {
    if (image_is(w, "external-dns"))
        found_pod(l, w->at, "image external-dns");
    if (str_eq(w->key, "args") && strstr(w->text, "--txt-owner-id"))
        found_pod(l, w->at, "its owner id goes to the destination too");
}

static bool has_image(struct look *l, const char *part) {
    size_t i, max;
    yyjson_val *c;
    yyjson_arr_foreach (json_get(l->pod, "containers"), i, max, c) {
        const char *image = json_str(c, "image");
        if (image && image_is(&(struct word){"", "image", image, false}, part))
            return true;
    }
    return false;
}

void look_external_dns(struct look *l) {
    if (has_image(l, "external-dns"))
        each_word(l, dns_word);
}

/* What deploys. Sources, policies and notifications of Flux change nothing by themselves, nor does
 * an Application that somebody syncs by hand. */
void look_gitops(struct look *l) {
    if (acts(l))
        found(l, "/spec", "a %s of %s", l->kind->kind, l->kind->group);
}

static void ci_word(struct look *l, const struct word *w) {
    static const char *const images[] = {
        "jenkins",   "gitlab-runner", "actions-runner",
        "argocd",    "drone",         "spinnaker",
        "concourse", "buildkite",     "image-automation-controller"};
    for (size_t i = 0; i < COUNT_OF(images); i++)
        if (image_is(w, images[i])) {
            found_pod(l, w->at, "builds or deploys by itself (%s)", images[i]);
            return;
        }
}

void look_ci(struct look *l) {
    each_word(l, ci_word);
}

static const struct {
    const char *image, *does;
} agents[] = {
    {"cluster-autoscaler", "adds and removes machines by A's cluster name"},
    {"karpenter", "adds and removes machines by A's cluster name"},
    {"cloud-controller-manager", "owns routes, machines and load balancers of one cluster"},
    {"aws-load-balancer-controller", "owns load balancers by the cluster's name"},
    {"velero", "writes backups to one bucket"},
    {"alertmanager", "sends each alert a second time"},
    {"thanos", "compacts or reads one bucket"},
    {"kubecost", "writes figures under the cluster's name"},
};

static void agent_word(struct look *l, const struct word *w) {
    for (size_t i = 0; i < COUNT_OF(agents); i++)
        if (image_is(w, agents[i].image)) {
            found_pod(l, w->at, "image %s: %s", agents[i].image, agents[i].does);
            return;
        }
    if (str_eq(w->key, "args") && strstr(w->text, "remote-write"))
        found_pod(l, w->at, "writes its series to an outside store");
}

void look_agent(struct look *l) {
    each_word(l, agent_word);
}

static void remote_write(void *ctx, const char *at, const char *text) {
    if (strstr(text, "remote_write:"))
        found(ctx, at, "remote_write: series of both clusters end in one store");
}

void look_remote_write(struct look *l) {
    if (str_eq(l->kind->kind, "ConfigMap"))
        each_string(json_get(l->body, "data"), "/data", remote_write, l);
    else if (yyjson_arr_size(json_get(l->body, "spec", "remoteWrite")))
        found(l, "/spec/remoteWrite", "series of both clusters end in one store");
}

/* --- H12: one at a time, in each cluster --- */

void look_lease(struct look *l) {
    const char *holder = json_str(l->body, "spec", "holderIdentity");
    if (holder && *holder && !system_ns(l->ns))
        found(l, "/spec/holderIdentity",
              "elects a leader: each cluster has one of its own, and both act");
}

void look_singleton(struct look *l) {
    yyjson_val *spec = json_get(l->body, "spec");
    if (json_int(json_get(spec, "replicas"), 1) == 1 &&
        str_eq(json_str(spec, "strategy", "type"), "Recreate"))
        found(l, "/spec/strategy/type", "one replica, Recreate: it must not run twice");
}

/* --- H27: quorums --- */

static bool internal(const struct look *l, const char *text) {
    const char *svc = json_str(l->body, "spec", "serviceName");
    return strstr(text, ".svc") || strstr(text, "$(") || strstr(text, "provider=k8s") ||
           (svc && *svc && strstr(text, svc));
}

static void peer_word(struct look *l, const struct word *w) {
    static const char *const names[] = {
        "retry-join",      "RETRY_JOIN",   "SEEDS",       "seed_hosts",    "initial_master_nodes",
        "INITIAL_CLUSTER", "initial-clus", "ZOO_SERVERS", "ETCD_INITIAL_", "wsrep_cluster_address",
        "REPLICAOF",       "CLUSTER_NODES"};
    bool named =
        text_has(w->key, names, COUNT_OF(names)) || text_has(w->text, names, COUNT_OF(names));
    const char *value = strchr(w->text, '=');
    value = value && isupper((unsigned char)*w->key) == 0 ? value + 1 : w->text;
    if (named && strchr(value, '.') && !internal(l, value))
        found_pod(l, w->at,
                  "names peers outside of its own Service: in the destination it joins "
                  "the same quorum");
}

void look_peers(struct look *l) {
    if (str_eq(l->kind->kind, "StatefulSet"))
        each_word(l, peer_word);
}

/* --- H33: databases outside --- */

static const char *const schemes[] = {
    "postgres://", "postgresql://", "mysql://", "mongodb://", "mongodb+srv://",
    "mariadb://",  "sqlserver://",  "redis://", "rediss://",  "oracle:thin:@//"};

/* Endpoints that the clouds give to databases and to nothing else. */
static const char *const endpoints[] = {".rds.amazonaws.com",
                                        ".rds.cn-",
                                        ".docdb.amazonaws.com",
                                        ".cache.amazonaws.com",
                                        ".redshift.amazonaws.com",
                                        ".database.windows.net",
                                        ".database.azure.com",
                                        ".documents.azure.com",
                                        ".cosmos.azure.com",
                                        ".redis.cache.windows.net",
                                        ".mongodb.net",
                                        ".aivencloud.com",
                                        ".db.ondigitalocean.com",
                                        ".cockroachlabs.cloud",
                                        ".neon.tech",
                                        ".psdb.cloud"};

/* A host outside, in the findings' arena; NULL: it is none, or a Service of A by its address. */
static const char *outside(struct look *l, const char *host, size_t n) {
    const char *s = outside_host(host, n) ? arena_strndup(l->sc->out->a, host, n) : NULL;
    return s && !map_has(l->src->by_ip, s) ? s : NULL;
}

static bool is_host_char(char c) {
    return isalnum((unsigned char)c) || c == '.' || c == '-';
}

static const char *endpoint_in(struct look *l, const char *text) {
    for (size_t i = 0; i < COUNT_OF(endpoints); i++) {
        const char *p = strcasestr(text, endpoints[i]), *end = p;
        while (p && p > text && is_host_char(p[-1]))
            p--;
        while (end && is_host_char(*end))
            end++;
        const char *host = p ? outside(l, p, (size_t)(end - p)) : NULL;
        if (host)
            return host;
    }
    return NULL;
}

/* One of the words between _, - and . of a name; case is ignored. */
static bool has_part(const char *name, const char *const *parts, size_t n) {
    for (; *name; name += strspn(name, "_-.")) {
        size_t len = strcspn(name, "_-.");
        for (size_t i = 0; i < n; i++)
            if (strlen(parts[i]) == len && strncasecmp(name, parts[i], len) == 0)
                return true;
        name += len;
    }
    return false;
}

/* DB_HOST, PGHOST, spring.redis.host: where a database is, by itself. */
static bool names_database(const char *key) {
    static const char *const whole[] = {"pghost", "pghostaddr", "dbhost", "dbserver"};
    static const char *const bases[] = {"db",     "database", "postgres", "postgresql", "pg",
                                        "mysql",  "mariadb",  "mongo",    "mongodb",    "redis",
                                        "oracle", "mssql",    "sqlserver"};
    static const char *const hosts[] = {"host", "hostname", "server",
                                        "addr", "address",  "endpoint"};
    return has_part(key, whole, COUNT_OF(whole)) ||
           (has_part(key, bases, COUNT_OF(bases)) && has_part(key, hosts, COUNT_OF(hosts)));
}

/* "db.example.com", "db.example.com:5432". */
static const char *host_alone(struct look *l, const char *text) {
    size_t n = strcspn(text, ":");
    const char *port = text[n] ? text + n + 1 : text + n;
    return port[strspn(port, "0123456789")] ? NULL : outside(l, text, n);
}

/* The host of the first database address in the text that is no part of the cluster. */
static const char *url_in(struct look *l, const char *text, const char **ret_scheme) {
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        const char *p = strcasestr(text, schemes[i]);
        if (!p)
            continue;
        p += strlen(schemes[i]);
        /* The last one: a password may have an @ of its own, and what is behind that is shown. */
        size_t word = strcspn(p, " \n\"'");
        const char *at = memrchr(p, '@', word);
        p = at ? at + 1 : p;
        size_t n = strcspn(p, ":/?, \n\"';");
        const char *host = outside(l, p, n);
        if (!host)
            continue;
        *ret_scheme = schemes[i];
        return host;
    }
    return NULL;
}

/* What stands under the key; *ret_scheme is "" where the host stands alone. */
static const char *database_of(struct look *l, const char *key, const char *text,
                               const char **ret_scheme) {
    const char *host = url_in(l, text, ret_scheme);
    if (host)
        return host;
    *ret_scheme = "";
    host = endpoint_in(l, text);
    return host ? host : names_database(key) ? host_alone(l, text) : NULL;
}

static const char *key_of(const char *pointer) {
    const char *slash = strrchr(pointer, '/');
    return slash ? slash + 1 : pointer;
}

static void database_word(struct look *l, const struct word *w) {
    const char *scheme,
        *host = str_eq(w->key, "image") ? NULL : database_of(l, w->key, w->text, &scheme);
    if (host)
        found_pod(l, w->at, "%s%s: outside of the cluster, and used by both", scheme, host);
}

void look_database_pod(struct look *l) {
    each_word(l, database_word);
}

static void database_text(void *ctx, const char *at, const char *text) {
    struct look *l = ctx;
    const char *scheme, *host = database_of(l, key_of(at), text, &scheme);
    if (host)
        found(l, at, "%s%s: outside of the cluster, and used by both", scheme, host);
}

static void database_secret(void *ctx, const char *at, const char *text) {
    struct look *l = ctx;
    uint8_t *p;
    size_t n;
    const char *scheme;
    AUTO_ARENA a = arena_new();
    if (base64_decode(a, text, &p, &n, NULL) == 0 && strlen((char *)p) == n &&
        database_of(l, key_of(at), (char *)p, &scheme))
        found(l, at, "a %s address outside of the cluster, used by both",
              *scheme ? scheme : "database's");
}

void look_database_data(struct look *l) {
    bool secret = str_eq(l->kind->kind, "Secret");
    each_string(json_get(l->body, "data"), "/data", secret ? database_secret : database_text, l);
}

/* --- H11: owners of outside resources --- */

void look_outside_resource(struct look *l) {
    yyjson_val *spec = json_get(l->body, "spec");
    const char *policy = json_str(spec, "deletionPolicy");
    const char *ack =
        json_str(l->body, "metadata", "annotations", "services.k8s.aws/deletion-policy");
    const char *kcc =
        json_str(l->body, "metadata", "annotations", "cnrm.cloud.google.com/deletion-policy");
    if (str_eq(policy, "Orphan") || str_eq(ack, "retain") || str_eq(kcc, "abandon") ||
        yyjson_is_true(json_get(spec, "paused")))
        return;
    found(l, policy ? "/spec/deletionPolicy" : "/spec",
          "stands for a resource outside: two controllers own it, and deleting it in one cluster "
          "destroys it for both");
}

/* --- H39: the same labels --- */

static void labels_text(void *ctx, const char *at, const char *text) {
    if (strstr(text, "external_labels:"))
        found(ctx, at, "external_labels: what both clusters measure bears the same labels");
}

void look_labels_text(struct look *l) {
    each_string(json_get(l->body, "data"), "/data", labels_text, l);
}

void look_labels_resource(struct look *l) {
    if (yyjson_obj_size(json_get(l->body, "spec", "externalLabels")))
        found(l, "/spec/externalLabels", "what both clusters measure bears the same labels");
}

static void cluster_word(struct look *l, const struct word *w) {
    static const char *const names[] = {"CLUSTER_NAME", "K8S_CLUSTER", "CLUSTER_ID", "CLUSTERNAME"};
    if (text_has(w->key, names, COUNT_OF(names)) && *w->text)
        found_pod(l, w->at, "%s: both clusters send under one name", w->key);
}

void look_labels_agent(struct look *l) {
    static const char *const images[] = {"fluent",   "promtail",      "vector",   "datadog",
                                         "otel",     "opentelemetry", "newrelic", "filebeat",
                                         "telegraf", "prometheus",    "alloy",    "cloudwatch"};
    for (size_t i = 0; i < COUNT_OF(images); i++)
        if (has_image(l, images[i])) {
            each_word(l, cluster_word);
            return;
        }
}
