/* Looks for identities, certificates and keys that hold in A and not in B. */
#include "base/cert.h"
#include "base/hash.h"
#include "migrate/hazards_impl.h"

/* --- H5 --- */

static bool secret_comes(struct look *l, const char *ns, const char *name) {
    const struct object *o = world_find(l->sc->w, "", "Secret", ns, name);
    return o && (o->in_dst || will_be_there(o));
}

void look_certificate(struct look *l) {
    const char *name = json_str(l->body, "spec", "secretName");
    if (name && !secret_comes(l, l->ns, name))
        found(l, "/spec/secretName",
              "the destination will not have its Secret %s: it is issued anew", name);
}

void look_acme(struct look *l) {
    yyjson_val *acme = json_get(l->body, "spec", "acme");
    const char *key = json_str(acme, "privateKeySecretRef", "name");
    const char *ns = *l->ns ? l->ns : "cert-manager";
    if (!acme)
        return;
    found(l, "/spec/acme", "issues by ACME, under the limits of one account%s%s%s",
          key && !secret_comes(l, ns, key) ? "; the account's key (Secret " : "",
          key && !secret_comes(l, ns, key) ? key : "",
          key && !secret_comes(l, ns, key) ? ") does not go over" : "");
}

/* --- H22 --- */

void look_cloud_identity(struct look *l) {
    static const char *const keys[] = {"eks.amazonaws.com/role-arn",
                                       "iam.gke.io/gcp-service-account",
                                       "azure.workload.identity/client-id"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (json_get(l->body, "metadata", "annotations", keys[i]))
            found(l, annotation_at(l, keys[i]), "annotation %s", keys[i]);
}

void look_pod_identity(struct look *l) {
    static const char *const key = "vault.hashicorp.com/role";
    AUTO_SB at = SB_INIT(0);
    sb_str(&at, l->pod_at);
    at.len -= strlen("/spec");
    sb_str(&at, "/metadata/annotations/vault.hashicorp.com~1role");
    yyjson_val *v = yyjson_ptr_get(l->body, sb_get(&at));
    size_t i, max, k, n;
    yyjson_val *vol, *src;
    if (v)
        found(l, sb_get(&at), "annotation %s", key);
    yyjson_arr_foreach (json_get(l->pod, "volumes"), i, max, vol) {
        yyjson_arr_foreach (json_get(vol, "projected", "sources"), k, n, src) {
            char field[96];
            const char *who = json_str(src, "serviceAccountToken", "audience");
            snprintf(field, sizeof field, "/volumes/%zu/projected/sources/%zu/serviceAccountToken",
                     i, k);
            if (who)
                found_pod(l, field, "shows a token of its cluster to %s", who);
        }
    }
}

void look_token(struct look *l) {
    if (l->o->facts & FACT_TOKEN)
        found(l, "/type", "its token is another one in the destination");
}

void look_issuer(struct look *l) {
    const char *a = l->src->issuer, *b = l->dst->issuer;
    if (a && b && !str_eq(a, b))
        found_at(l, true, "its tokens are issued by %s, A's by %s", b, a);
}

/* --- H26, H28 --- */

void look_sealing_key(struct look *l) {
    static const char *const key = "sealedsecrets.bitnami.com/sealed-secrets-key";
    if (json_get(l->body, "metadata", "labels", key) && l->o && !l->o->in_dst &&
        !will_be_there(l->o))
        found(l, "/metadata/labels/sealedsecrets.bitnami.com~1sealed-secrets-key",
              "a sealing key that is not recreated (%s): the destination cannot unseal", l->o->why);
}

void look_mesh(struct look *l) {
    static const struct {
        const char *kind, *name, *what;
    } table[] = {{"Secret", "istio-ca-secret", "Istio's CA"},
                 {"Secret", "cacerts", "Istio's CA"},
                 {"Secret", "linkerd-identity-issuer", "Linkerd's issuer"},
                 {"ConfigMap", "istio", "Istio's mesh configuration"},
                 {"ConfigMap", "linkerd-config", "Linkerd's configuration"},
                 {"ConfigMap", "linkerd-identity-trust-roots", "Linkerd's trust roots"}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (!str_eq(table[i].kind, l->kind->kind) || !str_eq(table[i].name, l->name))
            continue;
        if (l->o && l->o->in_dst && l->o->n_changes)
            found(l, "/data", "%s, and the destination has another one", table[i].what);
        else if (l->o && !l->o->in_dst && !will_be_there(l->o))
            found(l, "/data", "%s, which is not recreated (%s)", table[i].what, l->o->why);
    }
}

/* --- H38 --- */

static bool by_source_ca(struct look *l, const void *p, size_t n) {
    const char *ca = l->src->ca_pem;
    return ca && cert_signed_by(p, n, ca, strlen(ca));
}

/* A kubeconfig's client certificate stands in base64 in the text. */
static bool kubeconfig_signed(struct look *l, const char *text) {
    static const char *const key = "client-certificate-data:";
    const char *p = strstr(text, key);
    AUTO_ARENA a = arena_new();
    uint8_t *pem;
    size_t n;
    if (!p)
        return false;
    p += strlen(key);
    p += strspn(p, " \"'");
    const char *b64 = arena_strndup(a, p, strcspn(p, " \"'\r\n"));
    return base64_decode(a, b64, &pem, &n, NULL) == 0 && by_source_ca(l, pem, n);
}

static void signed_text(void *ctx, const char *at, const char *text) {
    struct look *l = ctx;
    AUTO_ARENA a = arena_new();
    uint8_t *p = (uint8_t *)(uintptr_t)text;
    size_t n = strlen(text);
    if (str_eq(l->kind->kind, "Secret") && base64_decode(a, text, &p, &n, NULL) < 0)
        return;
    if (strlen((char *)p) != n)
        return;
    if (strstr((char *)p, "-----BEGIN CERTIFICATE") && by_source_ca(l, p, n))
        found(l, at, "a certificate that A's CA signed");
    else if (kubeconfig_signed(l, (char *)p))
        found(l, at, "a kubeconfig with a client certificate that A's CA signed");
}

void look_signed(struct look *l) {
    each_string(json_get(l->body, "data"), "/data", signed_text, l);
}
