#!/usr/bin/env bash
# What B makes by itself in each namespace is not migrated: found in a probe namespace, in the
# namespaces that B has, and remembered by the run.
. "$(dirname "$0")/lib.sh"
needs_faults
bed_ready a b
config bare
# What is counted in points are the requests of a migration alone.
echo "notices: {clusters: false, record: false}" >>"$work/tandem.yaml"

# A control loop of B: a ConfigMap mesh-ca in every namespace that comes, under its own name.
mesh() {
    kubectl --context paas-b get ns --watch -o name 2>/dev/null | while IFS=/ read -r _ ns; do
        case $ns in kube-* | default) continue ;; esac
        printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"mesh-ca"},"data":{"ca":"of-b"}}' |
            kubectl --context paas-b create -n "$ns" --field-manager=mesh-controller -f - >/dev/null 2>&1
    done
}
stop_mesh() { [ -z "${mesh_pid:-}" ] || { kill -- "-$mesh_pid"; wait "$mesh_pid"; } 2>/dev/null; mesh_pid=; }
start_mesh() { set -m; mesh & mesh_pid=$!; set +m; }
trap 'stop_mesh; rm -rf "$work"' EXIT

platform() { # NAMESPACE...: with A's own mesh-ca, and with data
    for ns; do
        ka create ns "$ns" >/dev/null
        ka create configmap -n "$ns" mesh-ca --from-literal=ca=of-a --field-manager=mesh-controller >/dev/null
        ka create configmap -n "$ns" settings --from-literal=n="$ns" >/dev/null
    done
}
probes() { kb get ns -l tandem.dev/probe=true -o name; }
no_probe() { [ -z "$(kb get ns -o name | grep tandem-probe-)" ]; }
made() { "$TANDEM" history -f "$work/tandem.yaml" | grep -c 'probe-namespace: namespace'; }
migrate() { "$TANDEM" migrate -f "$work/tandem.yaml" --yes --settle 10s "$@"; }
ca() { kb get configmap mesh-ca -n "$1" -o jsonpath='{.data.ca}'; }

platform shop auth mail
start_mesh

# --- plan ---
exits 'plan looks only' 0 t plan -o wide
ok 'and made no namespace' no_probe
like 'so all that A tells is a hint' "$(cat "$work/err")" 'ConfigMap mesh-ca is in 3 of 3 namespaces of the source, made by mesh-controller'
like 'and no verdict' "$(cat "$work/out")" 'create ConfigMap mesh-ca'
exits '--read-only makes none' 4 t plan --probe --read-only
ok 'really none' no_probe
exits 'plan --probe' 0 "$TANDEM" plan --probe -o wide -f "$work/tandem.yaml"
like 'says what B makes' "$(cat "$work/out")" 'generated in every namespace of b: ConfigMap mesh-ca \(3 objects skipped\)'
like 'with the rule' "$("$TANDEM" explain -f "$work/tandem.yaml" configmap/mesh-ca -n shop)" 'generated-per-namespace'
ok 'the probe namespace is gone' within 60 no_probe
exits 'what was found is remembered' 0 t plan -o name
like 'as a skip' "$(cat "$work/out")" 'skip /ConfigMap/shop/mesh-ca'

# --- migrate, with nothing known ---
rm -f "$work"/tandem.db*
start=$(date +%s%N)
exits 'migrate' 0 migrate
like 'says what it skips, before it writes' "$(head -1 "$work/out")" \
    '^generated in every namespace of b: ConfigMap mesh-ca \(3 objects skipped\)'
is 'one probe' "$(made)" 1
ok 'of which nothing stays' within 60 no_probe
for ns in shop auth mail; do
    ok "$ns: B's controller has made its own" within 20 sh -c "[ \"\$(kubectl --context paas-b get configmap mesh-ca -n $ns -o jsonpath='{.data.ca}')\" = of-b ]"
    is "$ns: the rest went over" "$(kb get configmap settings -n "$ns" -o jsonpath='{.data.n}')" "$ns"
done
exits 'verify finds no difference' 0 t verify
exits 'migrate again: nothing is to be created' 0 migrate
is 'and no probe is made' "$(made)" 1

# --- some namespaces ---
platform jobs
ka create configmap -n shop late --from-literal=a=1 >/dev/null
exits 'into a namespace that B has' 0 migrate -n shop
is 'no probe is made' "$(made)" 1
exits 'without one, where it is not wanted' 0 migrate -n jobs --no-probe
is 'none' "$(made)" 1
is 'what was found before holds' "$("$TANDEM" plan -f "$work/tandem.yaml" -o name | grep jobs/mesh-ca)" 'skip /ConfigMap/jobs/mesh-ca'

# --- kill -9 while it looks ---
# each time with a namespace that B lacks: there is something to look for, and to write after it
cut=0
for at in $(seq 20); do
    platform "logs-$at"
    exits "migrate, killed at its point $at" 137 killed_at "$at" migrate -f "$work/tandem.yaml" --yes
    [ "$(kb get ns -l tandem.dev/probe=true -o json | jq '[.items[] | select(.metadata.deletionTimestamp | not)] | length')" = 0 ] ||
        cut=$((cut + 1))
done
ok "one or more left a probe namespace behind ($cut of 20)" test "$cut" -ge 1
exits 'migrate goes on' 0 migrate
ok 'and no probe namespace stays' within 60 no_probe
is 'every probe has an end' "$("$TANDEM" status -f "$work/tandem.yaml" -o json | jq -c '[.. | objects | select(.stage? == "probe-namespace" and .state? == "open")]')" '[]'
# the control loop of B takes one namespace after the other: what it has not come to yet is not wrong
all_have_one() { for at in $(seq 20); do ca "logs-$at" 2>/dev/null | grep -q . || return 1; done; }
ok "B's controller has come to each" within 60 all_have_one
for at in $(seq 20); do
    [ "$(ca "logs-$at")" = of-b ] || echo "logs-$at"
done >"$work/wrong"
is 'A is not written over B' "$(cat "$work/wrong")" ''

# --- a namespace of that name in A is nobody's ---
ka create ns tandem-probe-0a1b2c >/dev/null
like 'is never migrated' "$("$TANDEM" plan -f "$work/tandem.yaml" -o name)" 'skip /Namespace//tandem-probe-0a1b2c'

# --- the way back ---
exits 'unmigrate takes the namespaces too, generated things in them or not' 0 \
    "$TANDEM" unmigrate -f "$work/tandem.yaml" --yes
ok 'B is empty' within 60 sh -c '! kubectl --context paas-b get ns -o name | grep -E "shop|auth|mail|jobs|logs"'

# --- what B has tells too ---
rm -f "$work"/tandem.db*
for ns in b1 b2 b3; do kb create ns "$ns" >/dev/null; done
ok 'B has three namespaces of its own, each with mesh-ca' within 20 sh -c \
    '[ "$(kubectl --context paas-b get configmap -A -o name | grep -c mesh-ca)" = 3 ]'
exits 'plan, which writes nothing' 0 t plan -o wide
like 'knows it from them' "$("$TANDEM" explain -f "$work/tandem.yaml" configmap/mesh-ca -n shop)" \
    'mesh-ca is in 3 of 3 namespaces there, written by mesh-controller'
stop_mesh

done_testing
