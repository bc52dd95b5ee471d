#!/usr/bin/env bash
# An answer of 201 proves nothing: what somebody in B does to objects right after they were written
# is found and told.
. "$(dirname "$0")/../faults/lib.sh"
bed_ready a b
t() { "$TANDEM" "$@" -f "$work/p/tandem.yaml" 2>"$work/err"; }
{
    echo '{apiVersion: v1, kind: Namespace, metadata: {name: settle}}'
    for n in doomed changed quiet; do
        printf -- '---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: settle}, data: {a: "1"}}\n' "$n"
    done
} | ka apply -f - >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }

# Somebody in B who takes one away and changes another when they are there and tandem knows nothing of
# it yet.
mkdir "$work/p"
cat >"$work/p/rules.json" <<'JSON'
[{"name": "gone", "method": "POST", "path": "/settle/configmaps$", "body": "\"name\":\"doomed\"",
  "do": {"after": "kubectl --context paas-b -n settle delete configmap doomed"}},
 {"name": "changed", "method": "POST", "path": "/settle/configmaps$", "body": "\"name\":\"changed\"",
  "do": {"after": "kubectl --context paas-b -n settle patch configmap changed --field-manager=meddler --type=merge -p '{\"data\":{\"a\":\"2\"}}'"}}]
JSON
proxied "$work/p" b token || exit 1
echo 'select: {namespaces: {include: [settle]}}' >>"$work/p/tandem.yaml"

exits 'what did not stay fails the run' 1 t migrate --yes --settle 20s
is 'both were meddled with, in time' "$(jq -r 'select(.fault) | "\(.fault) \(.server) \(.hook)"' "$work/p/log" | sort)" \
    $'changed 201 0\ngone 201 0'
out=$(cat "$work/out" "$work/err")
like 'what is gone is named' "$out" 'gone again:'$'\n''  ConfigMap settle/doomed'
like 'what was changed is named, with the field and who' "$out" \
    'ConfigMap settle/changed'$'\n''.*/data/a.*by meddler'
not_ok 'what stayed is not named' grep -q settle/quiet "$work/out"
exits 'verify finds both' 2 t verify
like 'by name' "$(cat "$work/out")" 'doomed'
like 'by name' "$(cat "$work/out")" 'changed'
exits 'another migrate completes it' 0 t migrate --yes --settle 20s
is 'the one that was taken away is there' "$(kb -n settle get configmap doomed -o jsonpath='{.data.a}')" 1
done_testing
