#!/usr/bin/env bash
# Live sync the other way: after the switch B's changes go back to A, so that a switch-back loses none;
# never both ways at once, and A is never deleted from unasked.
. "$(dirname "$0")/lib.sh"
bed_ready a b lb
config
cat >>"$work/tandem.yaml" <<'YAML'
rules:
  - match: {kind: ConfigMap, name: cluster, namespace: r}
    patch: [{op: replace, path: /data/cluster, value: paas-b}]
YAML
follow() { # OPTIONS...
    : >"$work/follow.log"
    "$TANDEM" follow --yes -f "$work/tandem.yaml" --metrics "$work/metrics" "$@" >"$work/follow.out" 2>"$work/follow.log" &
    follow=$!
    within 60 grep -Eq 'is in step|waits for a person|refused|error' "$work/follow.log"
}
trap 'kill $follow 2>/dev/null; rm -rf "$work"' EXIT
ended() { kill -s INT "$follow" 2>/dev/null && wait "$follow"; }
same() { [ "$(ka -n r get "$1" "$2" -o "jsonpath=$3" 2>&1)" = "$(kb -n r get "$1" "$2" -o "jsonpath=$3" 2>&1)" ]; }

"$root/demo/load" --context paas-a >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
{
    cat <<'YAML'
{apiVersion: v1, kind: Namespace, metadata: {name: r}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cluster, namespace: r}, data: {cluster: paas-a, v: "0"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: r}, stringData: {v: "0"}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick, namespace: r}, spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}
YAML
    for i in $(seq 40); do
        printf -- '---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%s, namespace: r}, data: {v: "0"}}\n' "$i"
    done
} | ka apply -f - >/dev/null
exits 'migrated' 0 t migrate --yes --unclassified run --settle 120s
exits 'the other way is refused before there is traffic' 4 t follow --yes --reverse
exits 'followed until both are equal' 0 t follow --yes --until-synced --timeout 60s
exits 'handed over' 0 t activate --yes
within 60 test "$(who "$BED_PRELIVE_URL")" = b
exits 'cut over' 0 t cutover --yes --hold 1s
exits 'forward is over where all users are on B' 4 t follow --yes --until-synced --timeout 60s
follow --reverse
ok 'now A is in step with B' grep -q 'a is in step with b' "$work/follow.log"
is "the rule's patch is not carried back" "$(ka -n r get configmap cluster -o jsonpath='{.data.cluster}')" paas-a
is 'nor was anything else changed' "$(ka -n r get configmap c1 -o jsonpath='{.metadata.managedFields[*].manager}')" kubectl-client-side-apply

kb -n r create configmap new --from-literal=v=1 >/dev/null
kb -n r patch configmap c1 --type=merge -p '{"data":{"v":"1"}}' >/dev/null
kb -n r patch configmap cluster --type=merge -p '{"data":{"v":"1"}}' >/dev/null
kb -n r patch secret s --type=merge -p '{"stringData":{"v":"1"}}' >/dev/null
kb -n r patch cronjob tick --type=merge -p '{"spec":{"schedule":"1 0 1 1 *"}}' >/dev/null
ok 'a create in B comes to A' within 15 same configmap new '{.data.v}'
ok 'a change' within 15 same configmap c1 '{.data.v}'
ok 'a change of what a rule patches' within 15 same configmap cluster '{.data.v}'
is 'which keeps its own value otherwise' "$(ka -n r get configmap cluster -o jsonpath='{.data.cluster}')" paas-a
ok 'a change of a Secret' within 15 same secret s '{.data.v}'
ok 'a change of a CronJob' within 15 same cronjob tick '{.spec.schedule}'
is 'which stays held in A' "$(ka -n r get cronjob tick -o jsonpath='{.spec.suspend}')" true
is 'and acts in B' "$(kb -n r get cronjob tick -o jsonpath='{.spec.suspend}')" false
kb -n r create cronjob late --schedule='0 0 1 1 *' --image=i >/dev/null
within 15 ka -n r get cronjob late >/dev/null
is 'what acts and is new is held in A' "$(ka -n r get cronjob late -o jsonpath='{.spec.suspend}')" true

kb -n r delete configmap c2 >/dev/null
ok 'every delete asks' within 15 sh -c "grep -q '^tandem_follow_asks{.* 1' $work/metrics"
ok 'and A keeps it' ka -n r get configmap c2
ended
exits 'forward is refused while the traffic is on B' 4 t follow --yes --until-synced --timeout 30s
follow --reverse --approve deletes
ok 'let go, it goes' within 15 sh -c '! kubectl --context paas-a -n r get configmap c2 >/dev/null 2>&1'
ended
exits 'back again' 0 t switch-back --yes
ka -n r patch configmap c1 --type=merge -p '{"data":{"v":"2"}}' >/dev/null
exits 'forward again' 0 t follow --yes --until-synced --timeout 60s
is "with A's newest" "$(kb -n r get configmap c1 -o jsonpath='{.data.v}')" 2
is "and B's rule is kept" "$(kb -n r get configmap cluster -o jsonpath='{.data.cluster}')" paas-b
is 'with what came back' "$(ka -n r get configmap new -o jsonpath='{.data.v}')" 1
done_testing
