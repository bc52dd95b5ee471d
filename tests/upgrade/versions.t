#!/usr/bin/env bash
# Schemas that differ: fields that B would drop or refuse, versions that it does not serve, and what
# a rule or a dry run makes of them.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare

# NAME-OF-KIND VERSIONS-JSON: a definition whose versions are [{name, storage, spec}]
definition() {
    jq -n --arg k "$1" --argjson v "$2" '($k | ascii_downcase) as $s | {
        apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition",
        metadata: {name: "\($s)s.version.test"},
        spec: {group: "version.test", scope: "Namespaced",
            names: {kind: $k, plural: "\($s)s", singular: $s, listKind: "\($k)List"},
            versions: [$v[] | {name, served: true, storage: (.storage // false), schema:
                {openAPIV3Schema: {type: "object", properties: {spec: {type: "object", properties: .spec}}}}}]}}'
}
gadget() { # NAME SPEC
    jq -n --arg n "$1" --argjson s "$2" '{apiVersion: "version.test/v1", kind: "Gadget",
        metadata: {name: $n, namespace: "vers"}, spec: $s}'
}
old='{"size":{"type":"integer"},"mode":{"type":"string","enum":["fast","slow","none"]},"extra":{"type":"string"}}'
new='{"size":{"type":"integer","maximum":10},"mode":{"type":"string","enum":["fast","slow"]},"grade":{"type":"string","default":"low"}}'
ka create namespace vers >/dev/null
{
    definition Gadget "[{\"name\":\"v1\",\"spec\":$old},{\"name\":\"v1alpha1\",\"storage\":true,\"spec\":$old}]"
    definition Gizmo '[{"name":"v1","storage":true,"spec":{}}]'
    definition Late '[{"name":"v1","storage":true,"spec":{"a":{"type":"string"}}}]'
} | ka apply -f - >/dev/null
{
    definition Gadget "[{\"name\":\"v1alpha1\",\"storage\":true,\"spec\":$new}]"
    definition Gizmo '[{"name":"v2","storage":true,"spec":{}}]'
} | kb apply -f - >/dev/null
ka wait --for=condition=Established crd/gadgets.version.test crd/gizmos.version.test crd/lates.version.test >/dev/null
kb wait --for=condition=Established crd/gadgets.version.test crd/gizmos.version.test >/dev/null
for _ in $(seq 50); do # served by discovery a moment later
    ka get lates.version.test -A >/dev/null 2>&1 && kb get gizmos.version.test -A >/dev/null 2>&1 && break
    sleep 0.2
done
{
    gadget plain '{"size":5}'
    gadget lost '{"size":5,"extra":"x"}'
    gadget refused '{"mode":"none"}'
    gadget big '{"size":50}'
    echo '{"apiVersion":"version.test/v1","kind":"Gizmo","metadata":{"name":"g","namespace":"vers"}}'
    echo '{"apiVersion":"version.test/v1","kind":"Late","metadata":{"name":"l","namespace":"vers"},"spec":{"a":"b"}}'
} | ka apply -f - >/dev/null
is 'the source has them all' "$(ka get gadgets,gizmos,lates -n vers -o name | wc -l)" 6

plan() { t plan -o json "$@" | jq -r '.objects[] | select(.namespace == "vers" and .name != "default")
    | "\(.kind) \(.name) \(.verdict) \(.rule)"' | grep -v -e kube-root-ca -e '^Event' | sort; }
sleep 1
is 'what the schemas tell' "$(plan --dry-run none)" 'Gadget big create recreate
Gadget lost block schema-lost
Gadget plain create recreate
Gadget refused block schema-refused
Gizmo g block api-missing
Late l create recreate'
# As findings: each names its objects, and neither the one that fits nor what a dry run alone tells.
t doctor -o json >"$work/doctor.json"
found() { jq -r --arg id "$1" '[.findings[] | select(.id == $id and .object.namespace == "vers") |
    "\(.severity) \(.object.kind) \(.object.name)"] | sort | join(", ")' "$work/doctor.json"; }
is 'H24-schema names what would lose a field or be refused' "$(found H24-schema)" \
    'blocker Gadget lost, blocker Gadget refused'
is 'H24-api names what B does not serve' "$(found H24-api)" 'blocker Gizmo g'
is 'a dry run tells the rest' "$(plan | grep -e big -e plain)" 'Gadget big block dry-run-refused
Gadget plain create recreate'
is 'nothing came of it' "$(kb get ns vers -o name --ignore-not-found; kb get gadgets -A -o name)" ''
t plan -o json >"$work/plan.json"
is 'a plan as data says what was asked' "$(jq -c '.dryRun | [.mode, .left, .refused, .sent == .passed + .refused]' \
    "$work/plan.json")" '["doubt",0,1,true]'
exits 'a plan as data of a namespace that is not there' 0 t plan -o json -n nowhere
is 'warns in the data' "$(jq -r '.warnings[]' "$work/out")" 'the source has no namespace nowhere'
exits 'and once more' 0 "$TANDEM" plan -o json -n nowhere -f "$work/tandem.yaml"
like 'on stderr as well' "$(cat "$work/err")" 'the source has no namespace nowhere'
exits 'under --read-only' 0 t plan --read-only
like 'none is sent and that is said' "$(cat "$work/out")" 'stay in doubt.*No dry run was sent'
like 'nor is it counted' "$(cat "$work/err")" 'B: [0-9]+ reads, 0 writes'
exits 'a dry run that is asked for under --read-only is refused' 4 t plan --read-only --dry-run all
exits 'a word that is no mode is refused' 64 t plan --dry-run some
exits 'every object is tried' 0 t plan --dry-run all
like 'and counted' "$(cat "$work/out")" '[0-9]+ dry runs were sent to b.* passed, 1 refused'
like 'what waits for its definition is not' "$(cat "$work/out")" '1 were not tried'
why=$(t plan -o json | jq -r '.objects[] | select(.kind == "Gizmo") | .why')
like 'a version that B does not serve is named, with what it serves' "$why" 'gizmos version.test/v1, only version.test/v2'
like 'the field is named' "$(t plan)" 'Gadget lost  /spec/extra: .*would drop it'
is 'explain as data has the concerns' "$(t explain gadget/lost -n vers -o json |
    jq -c '[.verdict, .object.apiVersion, (.schema[] | select(.concern == "lost") | .path)]')" \
    '["block","version.test/v1alpha1","/spec/extra"]'

# --- webhooks that a dry run must not call ---
hook() { # sideEffects
    jq -n --arg e "$1" '{apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingWebhookConfiguration",
        metadata: {name: "acts"}, webhooks: [{name: "acts.version.test", sideEffects: $e,
            admissionReviewVersions: ["v1"], failurePolicy: "Ignore", timeoutSeconds: 1,
            clientConfig: {url: "https://127.0.0.1:1/"},
            rules: [{apiGroups: ["version.test"], apiVersions: ["*"], operations: ["CREATE"], resources: ["gadgets"]}]}]}'
}
hook NoneOnDryRun | kb apply -f - >/dev/null
sleep 1
is 'a webhook without side effects is no reason' "$(plan | grep big)" 'Gadget big block dry-run-refused'
kb delete validatingwebhookconfiguration acts >/dev/null
# v1 takes no other word than those two; what was stored by v1beta1 may hold one.
like 'the API itself refuses to store one that acts' "$(hook Some | kb apply -f - 2>&1)" 'sideEffects'

# --- what a rule makes of it ---
cat >>"$work/tandem.yaml" <<'YAML'
rules:
  - match: {kind: Gadget, name: lost}
    verdict: create
    why: nobody reads it
  - match: {kind: Gadget, name: refused}
    patch: [{op: replace, path: /spec/mode, value: slow}]
  - match: {kind: Gadget, name: big}
    verdict: skip
  - match: {kind: Gizmo}
    verdict: skip
  - match: {kind: CustomResourceDefinition, name: "g*.version.test"}
    verdict: skip
YAML
is 'accepted, patched, skipped' "$(plan)" 'Gadget big skip user-3
Gadget lost create user-1
Gadget plain create recreate
Gadget refused create recreate
Gizmo g skip user-4
Late l create recreate'
exits 'and so it goes over' 0 t migrate --yes
is 'as the rules say' "$(kb get gadgets -n vers -o json | jq -c '.items[] | [.metadata.name, .spec]')" \
    '["lost",{"grade":"low","size":5}]
["plain",{"grade":"low","size":5}]
["refused",{"grade":"low","mode":"slow"}]'
is 'the definition that came along serves its objects' "$(kb get lates -n vers -o jsonpath='{.items[*].spec.a}')" b
is 'neither the loss nor a default of B is a difference' "$(plan | grep Gadget)" 'Gadget big skip user-3
Gadget lost same user-1
Gadget plain same recreate
Gadget refused same recreate'

# --- a plan that people can read ---
ka create namespace many >/dev/null
jq -nc 'range(400) | {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "c\(.)", namespace: "many"}, data: {a: "b"}},
    (select(. < 30) | {apiVersion: "batch/v1", kind: "CronJob", metadata: {name: "j\(.)", namespace: "many"},
    spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: "Never",
        containers: [{name: "c", image: "busybox"}]}}}}}})' | ka apply -f - >/dev/null
t plan >"$work/plan.txt"
ok '400 creates are counted, not listed' grep -qE '^  many +30 +400 ' "$work/plan.txt"
is 'nor is any of them named' "$(grep -c ConfigMap "$work/plan.txt")" 0
is '30 holds for one reason are one line' "$(grep 'CronJob ×30' "$work/plan.txt")" \
    '  # hold   CronJob ×30: j0, j1, j10, …  a CronJob that runs in both clusters runs twice [hold-cronjob]'
is '-o wide lists each' "$(t plan -o wide | grep -c '+ create ConfigMap c')" 400
is '-o name too' "$(t plan -o name | grep -c '^create /ConfigMap/many/c')" 400
ka create secret generic token -n many --from-literal=word=swordfish >/dev/null
kb create namespace many >/dev/null
kb create secret generic token -n many --from-literal=word=another >/dev/null
t plan --diff >"$work/plan.txt"
ok 'a Secret that differs is shown to differ' grep -qF '~ /data/word: (secret) -> (secret)' "$work/plan.txt"
not_ok 'and no value of it' grep -q -e "$(printf swordfish | base64)" -e "$(printf another | base64)" \
    "$work/plan.txt" <(t plan -o json) <(t explain secret/token -n many -o json)

# --- the other way: a newer API server has fields that the older one never heard of ---
kb create namespace newer >/dev/null
kb apply -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: newer}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      hostnameOverride: chosen
      containers: [{name: web, image: nginx}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: newer}
spec:
  replicas: 0
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: nginx}]}}
YAML
mkdir "$work/elsewhere" # no file there, so no journal whose clusters are pinned
back() { "$TANDEM" plan --context-a paas-b --context-b paas-a -n newer "$@" 2>"$work/err"; }
is 'B has stored the field' "$(kb get deploy web -n newer -o jsonpath='{.spec.template.spec.hostnameOverride}')" chosen
is 'a field that A lacks blocks, a default of B does not' "$(cd "$work/elsewhere" && back -o json |
    jq -r '.objects[] | select(.kind == "Deployment" or .kind == "StatefulSet") | "\(.name) \(.verdict) \(.schema[0].path // "")"')" \
    'web block /spec/template/spec/hostnameOverride
db create '
done_testing
