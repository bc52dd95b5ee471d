#!/usr/bin/env bash
# Which cluster acts: after hands have changed the singletons, after an activate that was killed, and
# after activate, deactivate and retire in any order. At no moment do both act.
. "$(dirname "$0")/lib.sh"
needs_faults
bed_ready a b lb
config
echo 'notices: {clusters: false, record: false}' >>"$work/tandem.yaml" # requests are counted here
ns=single-$$
tn() { "$TANDEM" "$@" -f "$work/tandem.yaml" -n "$ns" --yes; }

cron() { # NAME SUSPEND
    printf -- '---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: %s, namespace: %s}, spec: {schedule: "0 0 1 1 *", suspend: %s, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}\n' "$1" "$ns" "$2"
}
job() { # NAME: never ends by itself
    printf -- '---\n{apiVersion: batch/v1, kind: Job, metadata: {name: %s, namespace: %s}, spec: {template: {spec: {restartPolicy: Never, nodeSelector: {never: "yes"}, containers: [{name: c, image: i}]}}}}\n' "$1" "$ns"
}
state() { # a|b NAME: "suspend held" of a CronJob or Job
    kubectl --context "paas-$1" get "${3:-cronjob}" -n "$ns" "$2" -o json |
        jq -r '"\(.spec.suspend // false) \(.metadata.annotations["tandem.dev/held"] // "-")"'
}
all() { # a|b: every CronJob in one line
    kubectl --context "paas-$1" get cronjob -n "$ns" -o json |
        jq -r '[.items[] | "\(.metadata.name)=\(.spec.suspend)"] | join(" ")'
}
acting() { all "$1" | tr ' ' '\n' | grep false | sort; }
patch() { kubectl --context "paas-$1" patch cronjob -n "$ns" "$2" --type merge -p "$3" >/dev/null; }
note() { kubectl --context "paas-$1" annotate --overwrite cronjob -n "$ns" "$2" "$3" >/dev/null; }

ka create namespace "$ns" >/dev/null
{ cron plain false; cron own true; cron later false; cron bare false; cron loose false; cron naked false
  cron bent false; cron stays false; job ends; job runs; } | ka create -f - >/dev/null
exits 'nothing acts in B before a run: activate is refused' 4 tn activate
exits 'migrate' 0 tn migrate --settle 1s
before=$(all a)
exits 'deactivate without activate' 0 tn deactivate
is 'changes nothing in A' "$(all a)" "$before"
is 'and lets nothing loose in B' "$(kb get cronjob -n "$ns" -o json | jq '[.items[] | select(.spec.suspend | not)] | length')" 0

# --- changed by hand ---
patch a later '{"spec":{"suspend":true}}'
note b bare tandem.dev/held-
patch b loose '{"spec":{"suspend":false}}'
note b naked tandem.dev/held-
patch b naked '{"spec":{"suspend":false}}'
note b bent 'tandem.dev/held={"x":1}'
exits 'verify sees it' 2 tn verify
exits 'activate refuses what it could not let loose again' 1 tn activate
is 'and leaves that acting in A' "$(state a bent) $(state b bent)" 'false - true {"x":1}'
is 'what its owner suspended since is let loose nowhere' "$(state a later) $(state b later)" 'true - true -'
exits 'back' 0 tn deactivate
note b stays tandem.dev/held-
exits 'migrate holds in B what acts in A' 0 tn migrate --settle 1s
is 'whatever was done to it there' "$(for c in bare loose naked bent stays; do state b $c; done | sort -u)" 'true false'
is 'while A acts' "$(for c in bare loose naked bent stays; do state a $c; done | sort -u)" 'false -'
exits 'verify is content' 0 tn verify

# --- a Job that ends meanwhile; an activate that is killed ---
ka patch job -n "$ns" ends --type merge -p '{"spec":{"activeDeadlineSeconds":1}}' >/dev/null
within 20 sh -c 'kubectl --context paas-a get job -n "$1" ends -o json | jq -e ".status.conditions[]? | select(.type == \"Failed\")"' _ "$ns" >/dev/null
for at in 3 7 11; do # each goes on where the last was killed
    exits "activate, killed at its point $at" 137 killed_at $at activate -f "$work/tandem.yaml" -n "$ns" --yes
    is 'none acts in both' "$(comm -12 <(acting a) <(acting b))" ''
done
exits 'run again' 0 tn activate
is 'all act in B' "$(all b)" "$(all a | sed 's/plain=true/plain=false/; s/bare=true/bare=false/; s/loose=true/loose=false/; s/naked=true/naked=false/; s/bent=true/bent=false/; s/stays=true/stays=false/')"
is 'the Job that ended in A does not run in B, and is held no more' "$(state b ends job)" 'true -'
is 'the other one does' "$(state b runs job)" 'false -'
exits 'a second time' 0 tn activate
like 'changes nothing' "$(cat "$work/err")" ' [01] writes\..* [01] writes\.' # the Lease, at most
exits 'deactivate' 0 tn deactivate
is 'A is as it was, but for what its owner has changed' "$(all a)" "${before/later=false/later=true}"
exits 'a second time' 0 tn deactivate
like 'changes nothing' "$(cat "$work/err")" ' [01] writes\..* [01] writes\.' # the Lease, at most
exits 'the answer is JSON' 0 bash -c '"$1" activate -f "$2" -n "$3" --yes -o json | jq -e length >/dev/null' _ "$TANDEM" "$work/tandem.yaml" "$ns"

# --- a namespace of both: what only B has stays ---
kb label namespace "$ns" theirs=1 >/dev/null
ka label namespace "$ns" mine=1 >/dev/null
exits 'migrate completes the namespace' 0 tn migrate --settle 1s
is 'and takes nothing from it' "$(kb get namespace "$ns" -o json | jq -r '.metadata.labels | "\(.mine) \(.theirs)"')" '1 1'
ka delete namespace "$ns" --wait=false >/dev/null
kb delete namespace "$ns" --wait=false >/dev/null
done_testing
