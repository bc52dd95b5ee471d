#!/usr/bin/env bash
# What may act twice is asked about before anything is written, and a CronJob that fires every minute
# misses no run and makes none twice while it changes hands there and back.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare
ns=holds-$$
tn() { "$TANDEM" "$@" -f "$work/tandem.yaml" -n "$ns"; }

deployment() { # NAME ARGS: nobody calls it
    printf -- '---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: %s}, spec: {replicas: 1, selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: c, image: i%s}]}}}}\n' "$1" "$ns" "$1" "$1" "${2:-}"
}
cron() { # NAME MORE
    printf -- '---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: %s, namespace: %s}, spec: {schedule: "* * * * *"%s, successfulJobsHistoryLimit: 100, failedJobsHistoryLimit: 100, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}\n' "$1" "$ns" "${2:-}"
}
runs() { # NAME: the scheduled times of both clusters, one a line
    for c in a b; do
        kubectl --context "paas-$c" get job -n "$ns" -o json | jq -r --arg n "$1" '.items[]
            | select(.metadata.ownerReferences[]?.name == $n)
            | .metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]'
    done | sort
}
gaps() { # of lines with times: those that are not 60 s after the one before
    while read -r t; do date -d "$t" +%s; done |
        awk 'NR > 1 && $1 - last != 60 {print $1 - last} {last = $1}'
}

ka create namespace "$ns" >/dev/null
{ cron plain; cron strict ', startingDeadlineSeconds: 30'; cron own ', suspend: true'
  deployment worker; deployment elector ', args: [--leader-elect]'; deployment known
  printf -- '---\n{apiVersion: v1, kind: Service, metadata: {name: elector, namespace: %s}, spec: {selector: {app: elector}, ports: [{port: 80}]}}\n' "$ns"
  printf -- '---\n{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: l, namespace: %s}, spec: {holderIdentity: worker-5d4f8c7b9-abcde_1}}\n' "$ns"; } |
    ka create -f - >/dev/null
ka annotate deployment -n "$ns" known tandem.dev/hold=false >/dev/null

exits 'migrate without a decision is refused' 4 tn migrate --yes
like 'it names what is open, and why' "$(cat "$work/err")" 'worker: no Service selects its pods; a pod of it holds a Lease'
like 'each of them' "$(cat "$work/err")" 'elector: it elects a leader'
not_ok 'and none that was decided' grep -q 'known:' "$work/err"
not_ok 'nothing was written' kb get namespace "$ns"
exits 'plan shows the same' 0 tn plan
like 'as a question' "$(cat "$work/out")" 'worker: no Service selects its pods'
exits 'another word is wrong use' 64 tn migrate --yes --unclassified=both
ka annotate deployment -n "$ns" elector tandem.dev/hold=true >/dev/null
exits 'decided: hold' 0 tn migrate --yes --unclassified=hold --settle 1s
is 'they are held in B, and the one that may run is not' "$(kb get deploy -n "$ns" -o json |
    jq -r '[.items[] | "\(.metadata.name)=\(.spec.replicas)"] | join(" ")')" 'elector=0 known=1 worker=0'
exits 'there the decision stands: nobody is asked again' 0 tn migrate --yes --settle 1s

sleep $((70 - 10#$(date +%S) % 60))
exits 'activate' 0 tn activate --yes
is 'A is still, B acts' "$(kubectl --context paas-a get cronjob -n "$ns" plain -o jsonpath='{.spec.suspend}') $(kb get cronjob -n "$ns" plain -o jsonpath='{.spec.suspend}') $(kb get deploy -n "$ns" worker -o jsonpath='{.spec.replicas}')" 'true false 1'
sleep $((70 - 10#$(date +%S) % 60))
exits 'deactivate' 0 tn deactivate --yes
sleep $((70 - 10#$(date +%S) % 60))
for c in plain strict; do
    is "$c: no schedule time twice" "$(runs "$c" | uniq -d)" ''
    is "$c: none missed" "$(runs "$c" | gaps)" ''
    ok "$c: B has run, and A before and after" test "$(runs "$c" | wc -l)" -ge 3
done
is 'what its owner suspended ran nowhere' "$(runs own)" ''
ka delete namespace "$ns" --wait=false >/dev/null
kb delete namespace "$ns" --wait=false >/dev/null
done_testing
