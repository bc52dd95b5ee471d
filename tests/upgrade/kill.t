#!/usr/bin/env bash
# kill -9 in the middle of `tandem migrate`, at 20 points, each with namespaces of its own; running
# it again ends in the same state.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare
points=20

objects() { # NAMESPACE: one of each that waits for another, and enough of the rest
    cat <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $1, labels: {kill: test}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: $1}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: $1, annotations: {kubernetes.io/service-account.name: app}}
type: kubernetes.io/service-account-token
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: $1}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all, namespace: $1}
spec: {hard: {configmaps: "60", services: "30"}}
YAML
    for i in $(seq 25); do
        cat <<YAML
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c$i, namespace: $1}
data: {n: "$i"}
---
apiVersion: v1
kind: Secret
metadata: {name: s$i, namespace: $1}
stringData: {n: "$i"}
YAML
    done
    for i in $(seq 8); do
        cat <<YAML
---
apiVersion: v1
kind: Service
metadata: {name: v$i, namespace: $1}
spec: {selector: {app: d$i}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d$i, namespace: $1}
spec: {replicas: 0, selector: {matchLabels: {app: d$i}}, template: {metadata: {labels: {app: d$i}}, spec: {containers: [{name: c, image: i}]}}}
YAML
    done
}

stamp=k$$
for i in $(seq 0 $((points + 2))); do objects "$stamp-$i"; echo ---; done >"$work/objects.yaml"
ok 'objects are in A' ka create -f "$work/objects.yaml"

# How long one takes, undisturbed: the shortest of three, so that the points lie within a run.
whole=999999
for i in 0 $((points + 1)) $((points + 2)); do
    start=$(date +%s%N)
    exits "run $i, undisturbed" 0 "$TANDEM" migrate -f "$work/tandem.yaml" -n "$stamp-$i" --yes --settle 1s
    took=$((($(date +%s%N) - start) / 1000000))
    [ "$took" -lt "$whole" ] && whole=$took
done

killed=0
for i in $(seq $points); do
    ns=$stamp-$i
    "$TANDEM" migrate -f "$work/tandem.yaml" -n "$ns" --yes --settle 1s >/dev/null 2>&1 &
    pid=$!
    sleep "$(awk -v w="$whole" -v i="$i" -v n=$points 'BEGIN {printf "%.3f", w * i / (n + 1) / 1000}')"
    kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
    wait "$pid" 2>/dev/null
    there=$(kb get configmap,secret,service,deploy,cronjob,quota -n "$ns" -o name 2>/dev/null | wc -l)
    exits "point $i ($there objects there): run again" 0 \
        "$TANDEM" migrate -f "$work/tandem.yaml" -n "$ns" --yes --settle 1s
    exits "point $i: the same state" 0 \
        python3 "$root/tests/lib/compare.py" -n "$ns" --namespaced-only --wait 20
done
ok "at least half of the runs were really killed ($killed of $points)" test "$killed" -ge $((points / 2))
exits 'all of it: nothing is left to do' 0 "$TANDEM" verify -f "$work/tandem.yaml" \
    -n "$(seq -s, -f "$stamp-%g" 0 $((points + 2)))"
ka delete ns -l kill=test --wait=false >/dev/null
kb delete ns -l kill=test --wait=false >/dev/null
done_testing
