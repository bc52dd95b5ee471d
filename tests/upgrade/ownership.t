#!/usr/bin/env bash
# Who owns the fields in B: what applied an object in A goes on in B as if it had always been there,
# by kubectl apply, kubectl apply --server-side and helm, with a field changed and a field removed.
. "$(dirname "$0")/lib.sh"
needs_faults
bed_ready a b
ns=own-$$
config bare
printf 'select: {namespaces: {include: [%s, %s-k]}}\n' "$ns" "$ns" >>"$work/tandem.yaml"
tn() { "$TANDEM" "$@" -f "$work/tandem.yaml" --yes; }
ssa() { # a|b MANAGER [OPTION...], manifest on stdin
    local c=$1 m=$2
    shift 2
    kubectl --context "paas-$c" apply --server-side --field-manager="$m" "$@" -f -
}
csa() { kubectl --context "paas-$1" apply -f -; }
get() { kubectl --context "paas-$1" get -n "$ns" "$2" -o json --show-managed-fields; }
# a|b KIND/NAME: "manager/operation[/subresource]" of all but status, sorted
owners() {
    get "$1" "$2" | jq -r '[.metadata.managedFields[]? | select(.subresource != "status")
        | [.manager, .operation, .subresource // empty] | join("/")] | sort | join(" ")'
}
has() { get b "$1" | jq -r "$2"; }
# writes of the test's own user to this object in B since the beginning
writes() {
    jq -r --arg ns "$ns" --arg r "$1" --arg n "$2" 'select(.stage == "ResponseComplete")
        | select(.user.username == "paas-admin" and (.verb | test("create|patch|update")))
        | select(.objectRef.namespace == $ns and .objectRef.resource == $r)
        | select((.objectRef.name // .responseObject.metadata.name // "") == $n or
                 ((.objectRef.name // "") == "" and ((.requestObject.metadata.name // "") == $n)))
        | .verb' "$BED_B_AUDIT" | paste -sd' '
}

meta() { printf '{name: %s, namespace: %s%s}' "$1" "$ns" "${2:+, $2}"; }
cm() { # NAME DATA [META]
    printf -- '---\n{apiVersion: v1, kind: ConfigMap, metadata: %s, data: {%s}}\n' "$(meta "$1" "${3:-}")" "$2"
}
deploy() { # NAME SPEC ENV
    printf -- '---\n{apiVersion: apps/v1, kind: Deployment, metadata: %s, spec: {%s selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: c, image: "i:1", ports: [{containerPort: 80}], env: [%s]}]}}}}\n' \
        "$(meta "$1")" "$2" "$1" "$1" "$3"
}
service() { # NAME PORTS
    printf -- '---\n{apiVersion: v1, kind: Service, metadata: %s, spec: {type: NodePort, selector: {app: x}, ports: [%s]}}\n' "$(meta "$1")" "$2"
}
cron() { # NAME SPEC
    printf -- '---\n{apiVersion: batch/v1, kind: CronJob, metadata: %s, spec: {schedule: "0 0 1 1 *", %s jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}\n' \
        "$(meta "$1")" "$2"
}
thing() { # NAME SPEC
    printf -- '---\n{apiVersion: own.example.com/v1, kind: Thing, metadata: %s, spec: {%s}}\n' "$(meta "$1")" "$2"
}
definition() {
    cat <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.own.example.com}
spec:
  group: own.example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, singular: thing, listKind: ThingList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              mode: {type: string}
              list:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [key]
                items: {type: object, properties: {key: {type: string}, val: {type: string}}, required: [key]}
YAML
}
A1='{name: A, value: "1"}' B1='{name: B, value: "1"}' A2='{name: A, value: "2"}'

# --- in A, by many hands ---
ka create namespace "$ns" >/dev/null
{ definition; } | kubectl --context paas-a apply --server-side --field-manager=platform -f - >/dev/null
ka wait --for=condition=Established crd/things.own.example.com --timeout=20s >/dev/null
{ cm csa 'a: "1", b: "1"'; deploy csa 'replicas: 2,' "$A1, $B1"; service csa '{port: 80}'; cron csa ''; } |
    csa a >/dev/null 2>&1
{ cm ssa 'a: "1", b: "1"'; deploy ssa '' "$A1, $B1"; service ssa '{port: 80}, {port: 81, name: two}' |
    sed 's/{port: 80}/{port: 80, name: one}/'; cron ssa 'suspend: false,'; cron plain ''
  thing ssa 'size: 3, mode: fast, list: [{key: k1, val: "1"}, {key: k2, val: "1"}]'; } |
    ssa a team >/dev/null
cm two 'a: "1"' | ssa a one >/dev/null
cm two 'b: "1", c: "1"' | ssa a other >/dev/null
deploy mixed 'replicas: 1,' "$A1, $B1" | ssa a team >/dev/null
ka scale -n "$ns" deploy mixed --replicas=2 >/dev/null
ka label -n "$ns" deploy mixed tier=web >/dev/null
cm edited 'a: "1", b: "1"' | csa a >/dev/null
ka label -n "$ns" cm edited by=hand >/dev/null
ka create configmap -n "$ns" bare --from-literal=a=1 >/dev/null
# What YAML would read in another way than JSON: a line separator, a delete, a long number.
jq -n --arg ns "$ns" '{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "odd", namespace: $ns},
    data: {a: "one\u2028two\u0085three", b: "12345678901234567890", "c": "\ud83d\ude00"}}' | ssa a team >/dev/null
uid=$(ka get cm -n "$ns" csa -o jsonpath='{.metadata.uid}')
cm child 'a: "1"' "ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: csa, uid: $uid}]" | ssa a team >/dev/null
if command -v helm >/dev/null; then
    mkdir -p "$work/chart/templates"
    printf 'apiVersion: v2\nname: mini\nversion: 0.1.0\n' >"$work/chart/Chart.yaml"
    printf 'data: {a: "1", b: "1"}\nenv: [{name: A, value: "1"}, {name: B, value: "1"}]\n' >"$work/chart/values.yaml"
    { cm helm '' | sed 's/data: {}/data: {{ toJson .Values.data }}/'
      deploy helm '' '' | sed 's/env: \[\]/env: {{ toJson .Values.env }}/'; } >"$work/chart/templates/all.yaml"
    ok 'helm installs in A' helm --kube-context paas-a install -n "$ns" mini "$work/chart"
fi

# --- over ---
exits 'migrate' 0 tn migrate --unclassified=run --settle 1s
exits 'every field has the owners it had' 0 python3 "$root/tests/lib/owners.py" -v "$ns"
sed 's/^/# /' "$work/out"
exits 'a second plan says that nothing is left' 0 tn plan --detailed-exitcode
is 'what kubectl create made has one owner' "$(owners b cm/bare)" kubectl-create/Update
is 'server-side apply stays apply' "$(owners b cm/ssa)" team/Apply
is 'two that apply' "$(owners b cm/two)" 'one/Apply other/Apply'
is 'apply, scale and label' "$(owners b deploy/mixed)" "$(owners a deploy/mixed)"
like 'which are three' "$(owners b deploy/mixed)" 'kubectl-label/Update kubectl/Update/scale team/Apply'
is 'what YAML reads otherwise arrives as it was' "$(get b cm/odd | jq -c .data)" "$(get a cm/odd | jq -c .data)"
is 'and is applied all the same' "$(owners b cm/odd)" team/Apply
is 'an owner is owned by its uid in B' "$(get b cm/child | jq -r '.metadata.managedFields[0].fieldsV1["f:metadata"]["f:ownerReferences"] | keys[]')" \
    "k:{\"uid\":\"$(get b cm/csa | jq -r .metadata.uid)\"}"
is 'no field that was left behind has an owner' "$(get b service/ssa | jq -r '[.. | objects | keys[] | select(test("^f:(nodePort|clusterIP)"))] | join(" ")')" ''
is 'a held CronJob is the team'"'"'s, and the hold ours' "$(owners b cronjob/ssa)" 'tandem/Update team/Apply'
is 'one request where that is enough: client-side' "$(writes configmaps csa)" create
is 'by kubectl create' "$(writes configmaps bare)" create
is 'and by one that applies' "$(writes configmaps ssa)" patch
is 'two where it is not' "$(writes configmaps two)" 'create patch'

# --- the owners go on in B ---
{ cm csa 'a: "2"'; deploy csa 'replicas: 3,' "$A2"; service csa '{port: 81}'; } >"$work/csa2"
ok 'kubectl apply' sh -c 'kubectl --context paas-b apply -f "$1"' _ "$work/csa2"
is 'changes and prunes' "$(has cm/csa '.data | tojson') $(has deploy/csa '"\(.spec.replicas) \(.spec.template.spec.containers[0].env | tojson)"') $(has svc/csa '.spec.ports[].port')" \
    '{"a":"2"} 3 [{"name":"A","value":"2"}] 81'
{ cm ssa 'a: "2"'; deploy ssa '' "$A2"; service ssa '{port: 80, name: one}'
  thing ssa 'size: 4, list: [{key: k1, val: "2"}]'; } >"$work/ssa2"
ok 'kubectl apply --server-side, without a conflict' \
    kubectl --context paas-b apply --server-side --field-manager=team -f "$work/ssa2"
is 'changes and prunes a ConfigMap' "$(has cm/ssa '.data | tojson')" '{"a":"2"}'
is 'an element of a Deployment' "$(has deploy/ssa '.spec.template.spec.containers[0].env | tojson')" '[{"name":"A","value":"2"}]'
is 'a port of a Service' "$(has svc/ssa '[.spec.ports[].port] | tojson')" '[80]'
is 'a custom resource' "$(has thing/ssa '.spec | tojson')" '{"list":[{"key":"k1","val":"2"}],"size":4}'
cm two 'b: "2"' >"$work/two2"
ok 'the second of two that apply' kubectl --context paas-b apply --server-side --field-manager=other -f "$work/two2"
is 'prunes its own and leaves the rest' "$(has cm/two '.data | tojson')" '{"a":"1","b":"2"}'
cm two 'b: "3"' >"$work/two3"
not_ok 'who never owned it still meets a conflict' \
    kubectl --context paas-b apply --server-side --field-manager=one -f "$work/two3"
deploy mixed '' "$A2" >"$work/mixed2"
ok 'beside scale and label' kubectl --context paas-b apply --server-side --field-manager=team -f "$work/mixed2"
is 'prunes, and what the others set stays' "$(has deploy/mixed '"\(.spec.replicas) \(.metadata.labels.tier) \(.spec.template.spec.containers[0].env | length)"')" '2 web 1'
cm edited 'a: "2"' >"$work/edited2"
ok 'client-side beside a label by hand' sh -c 'kubectl --context paas-b apply -f "$1"' _ "$work/edited2"
is 'prunes, and the label stays' "$(has cm/edited '"\(.data | tojson) \(.metadata.labels.by)"')" '{"a":"2"} hand'
{ cm csa 'z: "1"'; deploy csa '' "$B1"; } >"$work/csa3"
ok 'from client-side to server-side apply' \
    kubectl --context paas-b apply --server-side --force-conflicts -f "$work/csa3"
is 'prunes as it does at home' "$(has cm/csa '.data | tojson') $(has deploy/csa '.spec.template.spec.containers[0].env | tojson')" \
    '{"z":"1"} [{"name":"B","value":"1"}]'
if command -v helm >/dev/null; then
    ok 'helm upgrade' helm --kube-context paas-b upgrade -n "$ns" mini "$work/chart" \
        --set-json 'data={"a":"2","b":null},env=[{"name":"A","value":"2"}]'
    is 'changes and prunes' "$(has cm/helm '.data | tojson') $(has deploy/helm '.spec.template.spec.containers[0].env | tojson')" \
        '{"a":"2"} [{"name":"A","value":"2"}]'
    is 'and nobody but helm is in it' "$(owners b cm/helm)" helm/Update
    like 'its release goes on' "$(helm --kube-context paas-b history -n "$ns" mini 2>&1)" '2 .*deployed'
else
    tap_result 0 '# SKIP helm is not installed'
fi

# --- what is held ---
cron ssa 'suspend: false,' >"$work/cron2"
not_ok 'while it is held, nobody lets it loose by applying' \
    kubectl --context paas-b apply --server-side --field-manager=team -f "$work/cron2"
like 'and is told who holds it' "$(kubectl --context paas-b apply --server-side --field-manager=team -f "$work/cron2" 2>&1)" 'conflict with "tandem"'
cron plain 'concurrencyPolicy: Forbid,' >"$work/cron3"
ok 'what does not touch the hold is applied' \
    kubectl --context paas-b apply --server-side --field-manager=team -f "$work/cron3"
is 'and it is held still' "$(has cronjob/plain '"\(.spec.suspend) \(.spec.concurrencyPolicy) \(.metadata.annotations["tandem.dev/held"])"')" 'true Forbid false'
exits 'activate' 0 tn activate
is 'afterwards it is the team'"'"'s alone' "$(owners b cronjob/ssa) $(owners b cronjob/csa)" 'team/Apply kubectl-client-side-apply/Update'
is 'in A too, beside the hold' "$(owners a cronjob/ssa) $(get a cronjob/ssa | jq '[.metadata.managedFields[] | select(.manager == "team") | .fieldsV1["f:spec"] | has("f:suspend")] | all')" \
    'tandem/Update team/Apply true'
{ cron ssa 'suspend: true,'; cron plain ''; } >"$work/cron4"
ok 'the next apply meets no conflict' kubectl --context paas-b apply --server-side --field-manager=team -f "$work/cron4"
is 'suspends and prunes' "$(has cronjob/ssa .spec.suspend) $(has cronjob/plain .spec.concurrencyPolicy)" 'true Allow'
cron ssa '' >"$work/cron5"
ok 'and a removed suspend' kubectl --context paas-b apply --server-side --field-manager=team -f "$work/cron5"
is 'is pruned' "$(has cronjob/ssa .spec.suspend)" false
cron csa 'suspend: true,' >"$work/cron6"
ok 'kubectl apply' sh -c 'kubectl --context paas-b apply -f "$1"' _ "$work/cron6"
is 'suspends' "$(has cronjob/csa .spec.suspend)" true
exits 'deactivate' 0 tn deactivate
is 'gives A back to its owners' "$(owners a cronjob/ssa)" team/Apply

# --- changes of A, carried over ---
cm bare 'a: "2"' >/dev/null
ka patch cm -n "$ns" bare --type merge --field-manager=kubectl-create -p '{"data":{"a":"2"}}' >/dev/null
ka delete cm -n "$ns" two >/dev/null
cm two 'a: "7"' | ssa a one >/dev/null
cm two 'b: "1"' | ssa a other >/dev/null
tn migrate --unclassified=run --settle 1s >"$work/out" 2>&1
is 'an update is its manager'"'"'s' "$(has cm/bare .data.a) $(owners b cm/bare)" '2 kubectl-create/Update'
is 'also where there are two, and what B has changed stays' "$(has cm/two '.data | tojson') $(owners b cm/two)" '{"a":"7","b":"2"} one/Apply other/Apply'

# --- cut short between the write and the owners ---
kb patch cm -n "$ns" two --type merge -p '{"metadata":{"managedFields":[{"manager":"tandem","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{},"f:b":{}}}}]}}' >/dev/null
exits 'owners that were not restored are a difference' 2 tn plan --detailed-exitcode
like 'which is named' "$(t verify)" 'metadata/managedFields'
tn migrate --unclassified=run --settle 1s >"$work/out" 2>&1
is 'the next run restores them' "$(owners b cm/two)" 'one/Apply other/Apply'
k=$ns-k
ka create namespace "$k" >/dev/null
for i in $(seq 60); do
    printf -- '---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d, namespace: %s}, data: {a: "1"}}\n' "$i" "$k"
done >"$work/many"
kubectl --context paas-a apply --server-side --field-manager=one -f "$work/many" >/dev/null
sed 's/a: "1"/b: "1"/' "$work/many" | kubectl --context paas-a apply --server-side --field-manager=other -f - >/dev/null
with() { # OWNERS: how many of the objects in B have these
    kb get cm -n "$k" -o json --show-managed-fields 2>/dev/null | jq --arg w "$1" '[.items[]
        | [.metadata.managedFields[].manager] | sort | join(" ") | select(. == $w)] | length'
}
cut=0 right=
for at in 60 100 150 200; do
    kb delete cm -n "$k" -l '!none' >/dev/null 2>&1
    rm -f "$work"/kill.db*
    { sed 's|/tandem.db|/kill.db|' "$work/tandem.yaml" && echo 'notices: {clusters: false, record: false}'; } >"$work/kill.yaml"
    exits "killed at point $at" 137 killed_at $at migrate -f "$work/kill.yaml" -n "$k" --yes --settle 1s
    [ "$(with tandem)" = 0 ] || cut=$((cut + 1))
    "$TANDEM" migrate -f "$work/kill.yaml" -n "$k" --yes --settle 1s >"$work/out" 2>&1
    right="$right $(with 'one other')"
done
ok "one or more left an object between its write and its owners ($cut of 4)" test "$cut" -ge 1
is 'killed at any moment and run again: all 60 have their owners' "$right" ' 60 60 60 60'

# --- what the engine relies on ---
for c in a b; do
    cm guard 'a: "1"' '"resourceVersion": "1"' >"$work/guard"
    ok "$c: an apply patch with a resourceVersion creates" \
        kubectl --context "paas-$c" apply --server-side --field-manager=x -f "$work/guard"
    not_ok "$c: and changes nothing that is there, even by force" \
        kubectl --context "paas-$c" apply --server-side --force-conflicts --field-manager=y -f "$work/guard"
done
kubectl --context paas-b delete ns "$k" "$ns" --wait=false >/dev/null
kubectl --context paas-a delete ns "$k" "$ns" --wait=false >/dev/null
kubectl --context paas-a delete crd things.own.example.com --wait=false >/dev/null
kubectl --context paas-b delete crd things.own.example.com --wait=false >/dev/null
done_testing
