#!/usr/bin/env bash
# What the destination has already: changed there since, changed in both, written by somebody else,
# not to be changed. And what an update replaced comes back, of Secrets from the copy kept in B.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare
ns=three-$$
cat >>"$work/tandem.yaml" <<YAML
rules:
  - match: {kind: Secret, namespace: $ns, name: theirs}
    overwrite: true
  - match: {kind: Secret, namespace: $ns, name: linked}
    overwrite: true
  - match: {kind: Secret, namespace: $ns, name: deleted}
    overwrite: true
  - match: {kind: ConfigMap, namespace: $ns, name: theirs-too}
    overwrite: true
YAML
migrate() { "$TANDEM" migrate -f "$work/tandem.yaml" -n "$ns" --yes --settle 1s "$@"; }
plan() { "$TANDEM" plan -f "$work/tandem.yaml" -n "$ns" -o wide --diff "$@"; }
snapshot() { python3 "$root/tests/lib/snapshot.py" --context paas-b -n "$ns"; }
val() { "$1" get "$2" -n "$ns" -o jsonpath="$3"; }

anew() { # VALUE: a Deployment whose selector has it
    printf '{apiVersion: apps/v1, kind: Deployment, metadata: {name: anew, namespace: %s}, spec: {replicas: 0,
        selector: {matchLabels: {is: "%s"}}, template: {metadata: {labels: {is: "%s"}}, spec: {containers: [{name: c, image: i}]}}}}\n' "$ns" "$1" "$1"
}

for k in ka kb; do $k create namespace "$ns" >/dev/null; done
# B's own of the same names, before any run.
kb create secret generic -n "$ns" theirs --from-literal=password=b-has-this --from-literal=only-b=1 >/dev/null
kb annotate secret -n "$ns" theirs by=b >/dev/null
for s in linked deleted; do kb create secret generic -n "$ns" $s --from-literal=password=b-has-this >/dev/null; done
kb create configmap -n "$ns" theirs-too --from-literal=a=b >/dev/null
kb create configmap -n "$ns" foreign --from-literal=a=b >/dev/null
within 20 sh -c "kubectl --context paas-b get sa default configmap/kube-root-ca.crt -n $ns >/dev/null 2>&1"
snapshot >"$work/before"

ka create secret generic -n "$ns" theirs --from-literal=password=a-has-this >/dev/null
ka create configmap -n "$ns" theirs-too --from-literal=a=a >/dev/null
ka create configmap -n "$ns" foreign --from-literal=a=a >/dev/null
ka create configmap -n "$ns" both --from-literal=a=1 --from-literal=b=1 >/dev/null
ka create configmap -n "$ns" clash --from-literal=a=1 >/dev/null
ka create secret generic -n "$ns" ours --from-literal=k=1 >/dev/null
cat <<YAML | ka apply -f - >/dev/null
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, namespace: $ns}
immutable: true
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: touched, namespace: $ns}
immutable: true
data: {a: "1"}
---
$(anew 1)
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: $ns}
spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}
YAML

# In A one of them belongs to a Deployment; in B it will, and not go with it.
anew boss | sed 's/name: anew/name: boss/' | ka create -f - >/dev/null
owner=$(val ka deploy/boss '{.metadata.uid}')
for s in linked deleted; do ka create secret generic -n "$ns" $s --from-literal=password=a-has-this >/dev/null; done
ka patch secret -n "$ns" linked --type merge -p \
    '{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"boss","uid":"'"$owner"'"}]}}' >/dev/null

# --- written by somebody else ---
exits 'another object of the name blocks' 1 migrate
like 'and is named' "$(cat "$work/out")" 'blocked +ConfigMap [^ ]*/foreign'
is 'it is untouched' "$(val kb configmap/foreign '{.data.a}')" b
is 'one that a rule overwrites has what A has' "$(val kb secret/theirs '{.data.password}{.data.only-b}')" \
    "$(printf a-has-this | base64)"
is 'so has the ConfigMap' "$(val kb configmap/theirs-too '{.data.a}')" a
is "the Secret's previous values are kept in B" \
    "$(kb get secret -n tandem-system -o json | jq -r '.items[] | .data.password // empty' | sort -u)" \
    "$(printf b-has-this | base64)"
is 'one has the owner that it has in A' "$(val kb secret/linked '{.metadata.ownerReferences[*].uid}')" \
    "$(val kb deploy/boss '{.metadata.uid}')"
not_ok 'and not in the journal' grep -qa -e b-has-this -e "$(printf b-has-this | base64)" "$work"/tandem.db*

# --- changed since ---
kb patch configmap -n "$ns" both --type merge -p '{"data":{"b":"hand","new":"hand"}}' >/dev/null
kb set env deploy -n "$ns" web ADDED=1 >/dev/null
exits 'verify sees what B has changed' 2 "$TANDEM" verify -f "$work/tandem.yaml" -n "$ns"
like 'and says that it is kept' "$(cat "$work/out")" 'both .*changed since by others, and kept: /data/b, /data/new'
ka patch configmap -n "$ns" both --type merge -p '{"data":{"a":"2"}}' >/dev/null
ka set image deploy -n "$ns" web c=j >/dev/null
ka patch configmap -n "$ns" clash --type merge -p '{"data":{"a":"2"}}' >/dev/null
kb patch configmap -n "$ns" clash --type merge -p '{"data":{"a":"3"}}' >/dev/null
ka patch secret -n "$ns" ours --type merge -p '{"stringData":{"k":"2"}}' >/dev/null
ka delete configmap -n "$ns" fixed >/dev/null
ka create configmap -n "$ns" fixed --from-literal=a=2 >/dev/null
exits 'plan' 0 plan
like 'changed in both blocks, with the field' "$(cat "$work/out")" 'clash .*changed in both.*/data/a.*\[conflict\]'
like 'so does what cannot be changed' "$(cat "$work/out")" 'fixed .*cannot be changed.*\[immutable\]'
like "B's own field is shown as kept" "$(cat "$work/out")" '= /data/b: "hand" is kept'
exits 'migrate does the rest' 1 migrate
is "A's change arrives, B's stays" "$(val kb configmap/both '{.data.a} {.data.b} {.data.new}')" '2 hand hand'
is "beside an element of B's own" "$(val kb deploy/web '{.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env[0].name}')" 'j ADDED'
is 'a Secret that was written before' "$(val kb secret/ours '{.data.k}')" "$(printf 2 | base64)"
is 'the clash is as B has it' "$(val kb configmap/clash '{.data.a}')" 3
exits 'again: nothing more changes' 1 migrate
like 'not one write' "$(cat "$work/out")" '^0 written'

# --- what cannot be changed is made anew where a rule says so ---
for k in touched fixed; do
    ka delete configmap -n "$ns" $k >/dev/null
    ka create configmap -n "$ns" $k --from-literal=a=9 >/dev/null
done
kb label configmap -n "$ns" touched by=hand >/dev/null
ka delete deploy -n "$ns" anew --wait >/dev/null
anew 2 | ka create -f - >/dev/null
was=$(val kb deploy/anew '{.metadata.uid}')
exits 'without a rule' 0 plan
like 'it is blocked' "$(cat "$work/out")" 'anew .*cannot be changed.*/spec/selector.*\[immutable\]'
cat >>"$work/tandem.yaml" <<YAML
  - match: {kind: ConfigMap, namespace: $ns, name: fixed}
    recreate: true
  - match: {kind: ConfigMap, namespace: $ns, name: touched}
    recreate: true
  - match: {kind: Deployment, namespace: $ns, name: anew}
    recreate: true
YAML
exits 'with one' 0 plan
like 'the plan says that it goes and comes' "$(cat "$work/out")" 'update Deployment anew  is deleted and made anew, as a rule says.*/spec/selector'
is 'by a mark in JSON too' "$("$TANDEM" plan -f "$work/tandem.yaml" -n "$ns" -o json 2>/dev/null |
    jq -r '[.objects[] | select(.recreate) | .name] | sort | join(" ")')" 'anew fixed touched'
exits 'migrate makes it anew, and leaves what B has changed' 1 migrate
like 'which it names' "$(cat "$work/out")" '^2 written, .* 3 blocked.*cannot be made anew: moved on: changed since: .*labels/by'
is 'the selector is that of A' "$(val kb deploy/anew '{.spec.selector.matchLabels.is}')" 2
not_ok 'the object is another' test "$was" = "$(val kb deploy/anew '{.metadata.uid}')"
is 'so is the ConfigMap, without its mark' "$(val kb configmap/fixed '{.data.a}{.immutable}')" 9
is 'the touched one is as it was' "$(val kb configmap/touched '{.data.a}{.metadata.labels.by}')" 1hand
exits 'again' 1 migrate
like 'nothing is made anew twice' "$(cat "$work/out")" '^0 written'

# --- taken back ---
sleep 1.1
kb patch secret -n "$ns" theirs --type merge -p '{"stringData":{"later":"hand"}}' >/dev/null
linked=$(val kb secret/linked '{.metadata.uid}')
kb delete secret -n "$ns" deleted >/dev/null
exits 'what B changed since is left' 2 "$TANDEM" unmigrate -f "$work/tandem.yaml" --yes -o wide
like 'by name' "$(cat "$work/out")" 'moved on +ConfigMap [^ ]*/both: changed since'
like 'a Secret by field' "$(cat "$work/out")" 'moved on +Secret [^ ]*/theirs: changed since: /data/later'
is 'but its other fields are as they were' "$(val kb secret/theirs '{.data.password}{.data.later}')" \
    "$(printf b-has-this | base64)$(printf hand | base64)"
like 'one that was deleted is restored' "$(cat "$work/out")" 'restored +Secret [^ ]*/deleted'
is 'with what it had' "$(val kb secret/deleted '{.data.password}')" "$(printf b-has-this | base64)"
within 30 sh -c "! kubectl --context paas-b get deploy -n $ns boss >/dev/null 2>&1"
sleep 3 # for the garbage collector, which must not want it
is 'one whose owner went is there, the same' "$(val kb secret/linked '{.metadata.uid} {.metadata.ownerReferences}')" "$linked "
exits 'with --force all of it' 0 "$TANDEM" unmigrate -f "$work/tandem.yaml" --yes --force
within 30 sh -c '! kubectl --context paas-b get ns tandem-system >/dev/null 2>&1'
tap_result $? 'the copies are gone'
snapshot >"$work/after"
diff -u "$work/before" "$work/after" >"$work/diff"
tap_result $? 'B is as it was, Secrets too' "$(cat "$work/diff")"
for k in ka kb; do $k delete namespace "$ns" --wait=false >/dev/null; done
done_testing
