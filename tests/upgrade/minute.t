#!/usr/bin/env bash
# A CronJob of each minute runs exactly once a minute, counted over both clusters: over activate at a
# random second, and over the whole way back with traffic.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/back.lib.sh"
bed_ready a b lb
traffic_config
ka create namespace back >/dev/null
for policy in Allow Forbid Replace; do
    printf -- '---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: %s, namespace: back}, spec: {schedule: "* * * * *", concurrencyPolicy: %s, successfulJobsHistoryLimit: 100, failedJobsHistoryLimit: 100, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}\n' \
        "minute-${policy,,}" "$policy"
done | ka create -f - >/dev/null

runs() { # NAME: "TIME CLUSTER" of each run
    for c in a b; do
        kubectl --context "paas-$c" get job -n back -o json | jq -r --arg n "$1" --arg c $c '.items[]
            | select(.metadata.ownerReferences[]?.name == $n)
            | "\(.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]) \($c)"'
    done | sort
}
times() { runs "$1" | cut -d' ' -f1; }
gaps() { # of lines with times: those that are not 60 s after the one before
    while read -r at; do date -d "$at" +%s; done |
        awk 'NR > 1 && $1 - last != 60 {print $1 - last} {last = $1}'
}
has_run() { [ -n "$(runs minute-allow)" ]; }
rest_of_minute() { sleep $((70 - 10#$(date +%S))); } # until 10 s into the next

ok 'the first run in A' within 90 has_run
exits 'migrate' 0 t migrate --yes --settle 1s
second=$((RANDOM % 60))
sleep $(((second - 10#$(date +%S) + 60) % 60))
exits "activate, begun at second $second" 0 t activate --yes
exits 'cutover' 0 t cutover --yes --no-probe --steps 100
rest_of_minute
second=$((RANDOM % 60))
sleep $(((second - 10#$(date +%S) + 60) % 60))
exits "switch-back, begun at second $second" 0 t switch-back --yes
is 'the traffic is back' "$(share)" 0
rest_of_minute
for c in minute-allow minute-forbid minute-replace; do
    runs "$c" | sed "s/^/# $c /"
    is "$c: no minute twice" "$(times "$c" | uniq -d)" ''
    is "$c: no minute lost" "$(times "$c" | gaps)" ''
    is "$c: A has run, then B, then A" "$(runs "$c" | cut -d' ' -f2 | uniq | paste -sd ' ')" 'a b a'
    is "$c: no run is under way twice or left held" "$(ka get cronjob -n back "$c" -o jsonpath='{.spec.suspend}') $(kb get cronjob -n back "$c" -o jsonpath='{.spec.suspend}')" 'false true'
done
done_testing
