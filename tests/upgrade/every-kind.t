#!/usr/bin/env bash
# Every kind that both servers serve with list and create, with as many fields as they accept, goes
# from A to B; what differs then is explained field by field by the policy table, and by nothing else.
#
# every-kind.refused: the fields that no object can carry and the kinds that cannot be made, with the
# word of A's server (UPDATE=1 writes it anew). Once each, pods and what holds a pod as "(pod)".
#
# A bed of its own, with every API and feature on, so that there are more kinds and more fields.
. "$(dirname "$0")/lib.sh"
[ -d "$root/../shared/corpora/every-kind" ] || skip_all 'no corpus at ../shared/corpora/every-kind'
TANDEM_BED=$TANDEM_BED-kinds
trap 'bed down --purge >/dev/null 2>&1; rm -rf "$work"' EXIT
bed down --purge >/dev/null 2>&1
args=()
for slot in a b; do
    args+=(--arg "$slot.apiserver=--runtime-config=api/all=true"
        --arg "$slot.apiserver=--feature-gates=AllAlpha=true,AllBeta=true")
done
bed up "${args[@]}" >"$work/bed.log" 2>&1 || { cat "$work/bed.log" >&2; exit 1; }
eval "$(bed env)"
config bare
tool=$root/tests/upgrade/every_kind.py table=$root/tests/upgrade/every-kind.refused

exits 'objects of every kind are made in A' 0 python3 "$tool" make
cp "$work/out" "$work/refused"
sed 's/^/# /' "$work/err"
[ -z "${UPDATE:-}" ] || cp "$work/refused" "$table"
is 'what no object can carry is what the table says' \
    "$(cut -f1,2 "$work/refused" | diff - <(cut -f1,2 "$table"))" ''
is 'and each line has the word of the server' "$(awk -F'\t' 'NF != 3 || $3 == ""' "$table")" ''
exits 'migrate' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --unclassified=run --yes
exits 'the policy table, as data' 0 "$TANDEM" explain --policy -o json
cp "$work/out" "$work/policy.json"
exits 'every difference has its row' 0 python3 "$tool" compare <"$work/policy.json"
sed 's/^/# /' "$work/err"
exits 'and verify finds none' 0 "$TANDEM" verify -f "$work/tandem.yaml"
# The comparison itself can fail: without the rows that drop, and for a field that differs.
jq '.fields |= map(select(.fate != "drop"))' "$work/policy.json" >"$work/less.json"
exits 'without its rows the comparison fails' 1 python3 "$tool" compare <"$work/less.json"
kb patch networkpolicy -n every-kind full --type merge -p '{"spec":{"policyTypes":["Ingress"],"egress":null}}' >/dev/null
exits 'a field that is not as in A is found' 1 python3 "$tool" compare <"$work/policy.json"
like 'and named' "$(cat "$work/out")" 'NetworkPolicy.networking.k8s.io full /spec/policyTypes/1'
done_testing
