#!/usr/bin/env bash
# Live sync: creates, changes and deletes; what must not be carried; a guard that asks; API servers that
# restart, a sync that is killed, a source that was restored from a backup; and the other way round.
. "$(dirname "$0")/lib.sh"
bed_ready a b lb
config bare

follow() { # OPTIONS...: in the background, until it is in step
    : >"$work/follow.log"
    "$TANDEM" follow --yes -f "$work/tandem.yaml" --metrics "$work/metrics" "$@" >"$work/follow.out" 2>"$work/follow.log" &
    follow=$!
    within 60 grep -Eq 'is in step|waits for a person|refused|error' "$work/follow.log"
}
trap 'kill $follow 2>/dev/null; rm -rf "$work"' EXIT
ended() { # SIGNAL: its exit code
    kill -s "$1" "$follow" 2>/dev/null
    wait "$follow"
}
same() { # KIND NAME JSONPATH: both show the same there
    [ "$(ka -n f get "$1" "$2" -o "jsonpath=$3" 2>&1)" = "$(kb -n f get "$1" "$2" -o "jsonpath=$3" 2>&1)" ]
}
gone() { ! kb -n "${3:-f}" get "$1" "$2" >/dev/null 2>&1; }
metric() { sed -n "s/^tandem_follow_$1{[^}]*} //p" "$work/metrics"; }

{
    echo '{apiVersion: v1, kind: Namespace, metadata: {name: f}}'
    for i in $(seq 100); do
        printf -- '---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%s, namespace: f}, data: {v: "0"}}\n' "$i"
    done
    cat <<'YAML'
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: f}, stringData: {v: "0"}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: f}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: f}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick, namespace: f}, spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}
YAML
} | ka apply -f - >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }

exits 'nothing is followed before it was migrated' 4 t follow --yes
exits 'the platform is migrated' 0 t migrate --yes --settle 30s
kb -n f create configmap theirs --from-literal=a=b >/dev/null # B's own

follow
ok 'it comes into step' grep -q 'b is in step with a' "$work/follow.log"

# --- creates, changes, deletes ---
ka -n f create configmap new --from-literal=v=1 >/dev/null
ka -n f patch configmap c1 --type=merge -p '{"data":{"v":"1"}}' >/dev/null
ka -n f patch secret s --type=merge -p '{"stringData":{"v":"1"}}' >/dev/null
ka -n f scale deployment web --replicas=3 >/dev/null
ka -n f delete configmap c2 >/dev/null
ok 'a create comes' within 10 same configmap new '{.data.v}'
is 'with its value' "$(kb -n f get configmap new -o jsonpath='{.data.v}')" 1
ok 'a change comes' within 10 same configmap c1 '{.data.v}'
ok 'a change of a Secret comes' within 10 same secret s '{.data.v}'
ok 'and one of a Deployment' within 10 same deployment web '{.spec.replicas}'
ok 'a delete comes' within 10 gone configmap c2
ok "B's own is left alone" kb -n f get configmap theirs
is 'the CronJob stays held' "$(kb -n f get cronjob tick -o jsonpath='{.spec.suspend}')" true
ka -n f patch cronjob tick --type=merge -p '{"spec":{"schedule":"1 0 1 1 *"}}' >/dev/null
ok 'a change of what is held comes' within 10 same cronjob tick '{.spec.schedule}'
is 'and it stays held' "$(kb -n f get cronjob tick -o jsonpath='{.spec.suspend}')" true
is 'nothing was carried twice: no update without a change' \
    "$(kb -n f get configmap c3 -o jsonpath='{.metadata.managedFields[*].operation}')" Update

# A namespace with everything in it, in one go, and a definition with its objects.
cat <<'YAML' | ka apply -f - >/dev/null
{apiVersion: v1, kind: Namespace, metadata: {name: f2}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: app, namespace: f2}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: f2}, spec: {replicas: 1, selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {serviceAccountName: app, containers: [{name: c, image: i}]}}}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gears.follow.example.com}, spec: {group: follow.example.com, scope: Namespaced, names: {kind: Gear, plural: gears, singular: gear}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
YAML
ok 'a new namespace comes with what is in it' within 15 kb -n f2 get deployment d
ok 'a new definition comes' within 15 kb get crd gears.follow.example.com
within 10 ka -n f get gears >/dev/null
printf '{apiVersion: follow.example.com/v1, kind: Gear, metadata: {name: g, namespace: f}, spec: {teeth: 7}}' | ka apply -f - >/dev/null
ok 'and its kind joins by itself' within 20 kb -n f get gear g
is 'as it is' "$(kb -n f get gear g -o jsonpath='{.spec.teeth}')" 7
ka -n f patch gear g --type=merge -p '{"spec":{"teeth":8}}' >/dev/null
ok 'its changes too' within 10 same gear g '{.spec.teeth}'

# Owners get B's uids.
printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: child, namespace: f, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: new, uid: "%s"}]}}' \
    "$(ka -n f get configmap new -o jsonpath='{.metadata.uid}')" | ka apply -f - >/dev/null
ok 'a child comes' within 10 kb -n f get configmap child
is "with its owner's uid in B" "$(kb -n f get configmap child -o jsonpath='{.metadata.ownerReferences[0].uid}')" \
    "$(kb -n f get configmap new -o jsonpath='{.metadata.uid}')"

# --- the guard: of 100 and some ConfigMaps five may go in an hour, one has ---
ka -n f delete configmap c11 c12 c13 c14 c15 c16 c17 c18 c19 c20 >/dev/null
ok 'it asks' within 10 grep -q 'waits for a person' "$work/follow.log"
like 'and says why' "$(cat "$work/follow.log")" 'more than the smaller of 20 and 5 % is asked about'
ka -n f patch configmap c4 --type=merge -p '{"data":{"v":"4"}}' >/dev/null
ok 'all else goes on' within 10 same configmap c4 '{.data.v}'
left=$(kb -n f get configmap c11 c12 c13 c14 c15 c16 c17 c18 c19 c20 --ignore-not-found -o name | wc -l)
is 'four went, the others stay' "$left" 6
is 'and are counted' "$(metric asks)" 6
ka delete namespace f2 --wait=false >/dev/null
sleep 2
ok 'a namespace is never deleted unasked' kb get namespace f2
ended INT
is '^C ends it well' $? 0
like 'what asks is listed' "$(cat "$work/follow.out")" 'asks +ConfigMap f/c1'
follow --approve ConfigMap
ok 'a person lets them go' within 15 gone configmap c20
ok 'the namespace still asks' kb get namespace f2
ended INT
within 60 sh -c '! kubectl --context paas-a get namespace f2 >/dev/null 2>&1'
follow --approve deletes
ok 'until it is let go too' within 60 sh -c '! kubectl --context paas-b get namespace f2 >/dev/null 2>&1'

# --- both changed ---
kb -n f patch configmap c5 --type=merge -p '{"data":{"v":"b"}}' >/dev/null
ka -n f patch configmap c5 --type=merge -p '{"data":{"v":"a"}}' >/dev/null
ok 'what both changed is blocked' within 10 sh -c "grep -q '^tandem_follow_blocked.* 1' $work/metrics"
is 'and stays as it is in B' "$(kb -n f get configmap c5 -o jsonpath='{.data.v}')" b
kb -n f patch configmap c5 --type=merge -p '{"data":{"v":"0"}}' >/dev/null
ka -n f patch configmap c5 --type=merge -p '{"data":{"v":"c"}}' >/dev/null
ok 'settled, it is carried again' within 10 same configmap c5 '{.data.v}'

# --- API servers restart ---
bed restart a apiserver --kill >/dev/null
ka -n f patch configmap c6 --type=merge -p '{"data":{"v":"6"}}' >/dev/null
ok "after a restart of A's API server it goes on" within 40 same configmap c6 '{.data.v}'
bed restart b apiserver --kill >/dev/null &
sleep 0.3
ka -n f patch configmap c7 --type=merge -p '{"data":{"v":"7"}}' >/dev/null
wait $!
ok "and after one of B's" within 40 same configmap c7 '{.data.v}'

# --- killed; what happens meanwhile is seen afterwards ---
ended KILL
ka -n f patch configmap c8 --type=merge -p '{"data":{"v":"8"}}' >/dev/null
ka -n f delete configmap c9 >/dev/null
follow
ok 'what changed meanwhile is carried' within 10 same configmap c8 '{.data.v}'
ok 'what was deleted meanwhile too' within 10 gone configmap c9
ended INT
kb -n f delete configmap theirs >/dev/null
exits 'both are equal' 0 t follow --yes --until-synced --timeout 60s
exits 'an independent comparison finds no difference' 0 python3 "$root/tests/lib/compare.py" \
    --context-a paas-a --context-b paas-b -n f

# --- a source that was restored from a copy of its store: resourceVersions go back ---
store() { # COMMAND...: with A's store at rest
    bed stop a apiserver >/dev/null && bed stop a etcd >/dev/null && "$@" &&
        bed start a etcd >/dev/null && bed start a apiserver >/dev/null
}
back_to_the_copy() { rm -rf "$BED_DIR/a/etcd" && cp -a "$work/store" "$BED_DIR/a/etcd"; }
late() { kb -n f get configmap -o name | grep -c late; }
store cp -a "$BED_DIR/a/etcd" "$work/store" || exit 1
follow
for i in $(seq 30 69); do
    printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: late%s, namespace: f}}\n---\n' "$i"
done | ka apply -f - >/dev/null
ok 'what is made after the copy comes' within 20 kb -n f get configmap late69
sleep 6 # how new the source is was written down
store back_to_the_copy || exit 1
ok 'an older source is noticed' within 60 grep -q 'went back from' "$work/follow.log"
sleep 3
is 'nothing is deleted' "$(late)" 40
ka -n f patch configmap c10 --type=merge -p '{"data":{"v":"10"}}' >/dev/null
sleep 2
is 'and nothing carried' "$(kb -n f get configmap c10 -o jsonpath='{.data.v}')" 0
ended INT
follow
ok 'nor after a restart' grep -q 'went back from' "$work/follow.log"
is 'nothing is deleted then' "$(late)" 40
ended INT
follow --approve restore
ok 'until a person says that it is true' within 30 same configmap c10 '{.data.v}'
ok 'then the guard asks for the deletes' within 15 sh -c "grep -q '^tandem_follow_asks{.* [1-9]' $work/metrics"
is 'of which hardly any has gone' "$([ "$(late)" -ge 34 ] && echo yes)" yes
ended INT
follow --approve deletes
ok 'they go when they are let go' within 30 gone configmap late69
ended INT
done_testing
