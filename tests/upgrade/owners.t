#!/usr/bin/env bash
# Who owns whom, in B as in A: chains, two owners, owners that do not control, a circle, orphans. No
# uid of A is ever seen in B, children that carry data are there before what would make new ones, and
# the garbage collector of B has nothing to collect.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare
ns=owned

ka create -f - >/dev/null <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.owners.example.com}
spec:
  group: owners.example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
YAML
ka wait --for condition=Established crd/gadgets.owners.example.com --timeout 30s >/dev/null
ka create namespace $ns >/dev/null

uid() { kubectl --context "paas-$1" get "$2" -n $ns -o 'jsonpath={.metadata.uid}'; }
ref() { # API KIND NAME [more YAML]: an owner reference with A's uid
    printf '{apiVersion: %s, kind: %s, name: %s, uid: %s%s}' "$1" "$2" "$3" "$(uid a "$(tr '[:upper:]' '[:lower:]' <<<"$2")/$3")" "${4:-}"
}
meta() { printf 'metadata: {name: %s, namespace: %s, ownerReferences: [%s]}' "$1" $ns "$2"; }
make() { ka create -f - >/dev/null; }
cm() { printf -- '{apiVersion: v1, kind: ConfigMap, %s, data: {is: %s}}\n' "$(meta "$1" "${2:-}")" "$1" | make; }
pods='selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: i}]}}'

printf '{apiVersion: owners.example.com/v1, kind: Gadget, %s, spec: {size: 3}}' "$(meta top '')" | within 20 make
gadget() { ref owners.example.com/v1 Gadget top "${1:-}"; }
# a custom resource and what its operator made of it
printf '{apiVersion: apps/v1, kind: Deployment, %s, spec: {%s}}' "$(meta worker "$(gadget ', controller: true, blockOwnerDeletion: true')")" "$pods" | make
printf '{apiVersion: v1, kind: Secret, %s, stringData: {password: minted-once}}' "$(meta password "$(gadget ', controller: true')")" | make
# a chain, and owners that do not control
cm first
cm second "$(ref v1 ConfigMap first)"
cm third "$(ref v1 ConfigMap second ', blockOwnerDeletion: true')"
cm two-owners "$(gadget), $(ref v1 ConfigMap first)"
# a custom resource that is owned by a ConfigMap
printf '{apiVersion: owners.example.com/v1, kind: Gadget, %s}' "$(meta below "$(ref v1 ConfigMap third)")" | make
# a circle
cm ring-a
cm ring-b "$(ref v1 ConfigMap ring-a)"
ka patch configmap -n $ns ring-a --type merge -p "{\"metadata\":{\"ownerReferences\":[$(kubectl --context paas-a get configmap -n $ns ring-b -o json |
    jq -c '{apiVersion: "v1", kind: "ConfigMap", name: .metadata.name, uid: .metadata.uid}')]}}" >/dev/null
# an orphan: its Deployment went without it
printf '{apiVersion: apps/v1, kind: Deployment, %s, spec: {replicas: 1, %s}}' "$(meta gone '')" "${pods//app: x/app: other}" | make
within 20 sh -c "kubectl --context paas-a get rs -n $ns -l app=other -o name | grep -q ."
ka delete deployment -n $ns gone --cascade=orphan >/dev/null
within 20 sh -c "! kubectl --context paas-a get deployment -n $ns gone"
orphan=$(ka get rs -n $ns -l app=other -o 'jsonpath={.items[0].metadata.name}')
# half an orphan: one of two owners is no more, and no collector has looked yet
bed stop a controller-manager >/dev/null 2>&1
stale=00000000-0000-4000-8000-000000000000
cm stale "{apiVersion: v1, kind: ConfigMap, name: never, uid: $stale}"
cm half "{apiVersion: v1, kind: ConfigMap, name: never, uid: $stale}, $(ref v1 ConfigMap first)"

owners() { # a|b: who owns what, by name, with the flags
    kubectl --context "paas-$1" get configmap,secret,deployment,replicaset,gadgets.owners.example.com -n $ns -o json | jq -r --arg stale $stale '
        .items[] | select(.metadata.name != "kube-root-ca.crt") | . as $o | (.metadata.ownerReferences // [])[]
        | select(.uid != $stale) | "\($o.kind) \($o.metadata.name) < \(.kind) \(.name) \(.controller) \(.blockOwnerDeletion)"' | grep -v '^ReplicaSet worker' | sort
}
uids() { # a|b: every uid
    kubectl --context "paas-$1" get configmap,secret,deployment,replicaset,gadgets.owners.example.com -n $ns -o json 2>/dev/null |
        jq -r '.items[].metadata.uid' | sort
}
seen() { # RESOURCE: every object that B ever shows while tandem works
    exec kubectl --context paas-b get "$1" -A -w -o json >"$work/seen.$1" 2>/dev/null
}
for kind in configmap secret deployment; do
    seen $kind &
    watchers="${watchers:-} $!"
done
sleep 1
mark=$(wc -l <"$BED_B_AUDIT")
exits 'plan' 0 "$TANDEM" plan -f "$work/tandem.yaml"
exits 'migrate' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --yes
is 'who owns what is in B as in A' "$(owners b)" "$(owners a)"
is 'they are ten references' "$(owners b | grep -c '<')" 10
is 'the orphan is an orphan' "$(kb get rs -n $ns "$orphan" -o json | jq -c '.metadata.ownerReferences')" null
is 'an owner that is no more is left out' "$(kb get cm -n $ns stale -o json | jq -c '.metadata.ownerReferences')" null
is 'the other owner stays' "$(kb get cm -n $ns half -o json | jq -r '[.metadata.ownerReferences[].name] | join(" ")')" first
is "every owner has the uid that B gave it" "$(kb get configmap,secret,deployment,gadgets.owners.example.com -n $ns -o json |
    jq -r '.items[] | (.metadata.ownerReferences // [])[].uid' | sort -u | grep -v -x -F "$(uids b)")" ''
sleep 1
# shellcheck disable=SC2086
kill $watchers 2>/dev/null
# shellcheck disable=SC2086
wait $watchers 2>/dev/null
for kind in configmap secret deployment; do # the last object of each may be cut off
    jq -r '(.metadata.ownerReferences // [])[].uid' "$work/seen.$kind" 2>/dev/null
done | sort -u >"$work/seen"
is 'and no uid of A was ever there' "$(grep -x -F -e "$stale" -e "$(uids a)" "$work/seen")" ''
ok 'the watch did look' test -s "$work/seen"
made() { # KIND NAME: line of its create in B's audit log
    tail -n +"$((mark + 1))" "$BED_B_AUDIT" | jq -r 'select(.verb == "create" and .stage == "ResponseComplete"
        and .responseStatus.code == 201) | "\(.objectRef.resource) \(.objectRef.name)"' | grep -n -x "$1 $2" | head -1 | cut -d: -f1
}
ok 'the Secret was there before what would mint another' test "$(made secrets password)" -lt "$(made gadgets top)"
ok 'the Deployment came after what controls it' test "$(made gadgets top)" -lt "$(made deployments worker)"
is 'the password is that of A' "$(kb get secret -n $ns password -o 'jsonpath={.data.password}' | base64 -d)" minted-once

before=$(kb get configmap,secret,deployment,gadgets.owners.example.com -n $ns -o json | jq -r '.items[] | "\(.kind) \(.metadata.name) \(.metadata.uid)"' | sort)
sleep 15 # the garbage collector of B looks at what is new within seconds
is 'nothing was collected in B' "$(kb get configmap,secret,deployment,gadgets.owners.example.com -n $ns -o json |
    jq -r '.items[] | "\(.kind) \(.metadata.name) \(.metadata.uid)"' | sort)" "$before"
exits 'verify finds no difference' 0 "$TANDEM" verify -f "$work/tandem.yaml"
exits 'the independent comparison finds none' 0 python3 "$root/tests/lib/compare.py" -n $ns --wait 30
exits 'migrate again' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --yes
like 'has nothing to do' "$(cat "$work/out")" '^0 written'
# owners mean the same in B: without the owner the chain goes, the circle and the orphan stay
kb delete configmap -n $ns first >/dev/null
ok 'the chain is collected in B when its owner goes' within 60 sh -c \
    "! kubectl --context paas-b get cm -n $ns second && ! kubectl --context paas-b get cm -n $ns third && ! kubectl --context paas-b get gadget -n $ns below"
is 'but not what another still owns' "$(kb get cm -n $ns two-owners -o name)" configmap/two-owners
done_testing
