#!/usr/bin/env bash
# Each check of doctor on two real clusters: the object that it must name, and the nearest one that it
# must not. One pass loads all, one doctor reads all. Then silences, SARIF, and missing rights.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare
make() { python3 "$root/tests/upgrade/hazards_objects.py" "$1"; }

load() { # CONTEXT WHAT: until nothing is left, since kinds of new definitions take a moment
    make "$2" | kubectl --context "$1" create -f - >/dev/null 2>"$work/load.err" ||
        ! grep -v -e AlreadyExists -e 'already allocated' -e 'exceeded quota' "$work/load.err"
}
ok 'definitions are in A' load paas-a crds
ok 'definitions are in B' load paas-b crds-b
within 20 load paas-a a >/dev/null 2>&1
ok 'the objects are in A' load paas-a a
ok 'the objects are in B' within 20 load paas-b b
kubectl config view --raw --minify --context paas-a >"$work/kubeconfig"
ka create secret generic -n hz-pos pos-h38-certificate --from-file=config="$work/kubeconfig" >/dev/null
ka create secret generic -n hz-neg neg-h38-certificate --from-literal=config=none >/dev/null
# kubectl create writes over an annotation of this name that it is given
for side in pos:apps/v1beta2 neg:apps/v1; do
    ka annotate deployment -n "hz-${side%%:*}" "${side%%:*}-h24-last-applied" \
        "kubectl.kubernetes.io/last-applied-configuration={\"apiVersion\":\"${side#*:}\",\"kind\":\"Deployment\"}" >/dev/null
done
quota() { [ "$(ka get resourcequota -n hz-pos pos-h19-quota -o jsonpath='{.status.used}')" != '' ]; }
budget() { [ "$(ka get pdb -n hz-pos pos-h20-disruption -o jsonpath='{.status.expectedPods}')" -gt 0 ]; }
within 30 quota
within 30 budget
ka patch service -n hz-pos pos-h6-claimed --subresource status --type merge \
    -p '{"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.7"}]}}}' >/dev/null
ka patch hpa -n hz-pos pos-h7-cold --subresource status --type merge \
    -p '{"status":{"desiredReplicas":9,"currentReplicas":9}}' >/dev/null

# What a person changed in what each cluster makes by itself.
ka patch clusterrolebinding cluster-admin --type json \
    -p '[{"op":"add","path":"/subjects/-","value":{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"hz"}}]' >/dev/null
ka annotate flowschema service-accounts apf.kubernetes.io/autoupdate-spec=false --overwrite >/dev/null
ka patch flowschema service-accounts --type merge -p '{"spec":{"matchingPrecedence":8999}}' >/dev/null
ka create clusterrole system:hz --verb=get --resource=pods >/dev/null

present() { # CONTEXT WHAT: names of what is there of it
    make "$2" | kubectl --context "$1" get -f - -o name --ignore-not-found 2>>"$work/present.err"
}
there_a="$(present paas-a crds; present paas-a a; ka get secrets -n hz-neg -o name)"
there_b="$(present paas-b b)"

exits 'doctor finds blockers' 4 "$TANDEM" doctor -f "$work/tandem.yaml" -o json
cp "$work/out" "$work/all.json"
exits 'doctor as SARIF' 4 "$TANDEM" doctor -f "$work/tandem.yaml" -o sarif
cp "$work/out" "$work/all.sarif"

# --- every id ---
names() { jq -r --arg id "$1" '.findings[] | select(.id == $id) | "\(.where) \(.object.name // "")"' "$work/all.json"; }
skip=' H22-issuer H19-capacity '
of_b=' H15-no-back-end H25-limits H25-mutator '
for id in $(jq -r '.runs[0].tool.driver.rules[].id | select(startswith("H"))' "$work/all.sarif"); do
    [[ $skip = *" $id "* ]] && continue
    low=${id,,}
    like "$id names the one" "$(names "$id")" "pos-$low"
    not_ok "$id does not name the other" grep -q "neg-$low" <(names "$id")
    there=$there_a
    [[ $of_b = *" $id "* ]] && there=$there_b
    like "$id: the other is there" "$there" "neg-$low"
done
is 'H19-capacity is about CPUs, and not about memory' \
    "$(jq -r '.findings[] | select(.id == "H19-capacity") | "\(.where) \(.what[0:4])"' "$work/all.json")" 'B cpu:'
like 'H22-issuer names both' "$(jq -r '.findings[] | select(.id == "H22-issuer") | .what' "$work/all.json")" \
    'b\.bed\.tandem\.dev.*a\.bed\.tandem\.dev'
is 'each finding has an id, a severity, a place, evidence and a remedy' \
    "$(jq -r '[.findings[] | select((.id and .severity and .where and .what and .remedy) | not)] | length' "$work/all.json")" 0
is 'fields are JSON pointers' "$(jq -r '[.findings[].field // "/" | select(startswith("/") | not)] | length' "$work/all.json")" 0
like 'a Secret is told of without its value' "$(jq -r '.findings[] | select(.object.name == "pos-h33-secret") | .what' "$work/all.json")" \
    'a mysql:// address outside'
not_ok 'no value of a Secret, no password is told' grep -q -e geheim -e 'secret\.example\.com' -e 'PRIVATE KEY' \
    -e "$(awk '/client-key-data/ {print substr($2, 1, 40)}' "$work/kubeconfig")" "$work/all.json" "$work/all.sarif"
is 'system-tuned names what a person changed in what each cluster has, and nothing that came with a release' \
    "$(jq -r '.findings[] | select(.id == "system-tuned" and (.object.name | startswith("system:bed:") | not)) | "\(.where): \(.what)"' \
        "$work/all.json" | sort)" "ClusterRoleBinding cluster-admin: only the source's has subject User hz
FlowSchema service-accounts: the destination made its own, and differs in \
/metadata/annotations/apf.kubernetes.io~1autoupdate-spec, /spec/matchingPrecedence"
is 'a role of that prefix that neither cluster made is recreated' \
    "$(t explain clusterrole/system:hz -o json | jq -r .rule)" recreate
is 'what no check sees is listed' "$(jq -r '[.notCheckable[].hazard] | contains([29, 40])' "$work/all.json")" true

# --- SARIF ---
is 'SARIF has what 2.1.0 needs' "$(jq -r '.version == "2.1.0" and .runs[0].tool.driver.name == "tandem" and
    ([.runs[0].results[] | (.ruleId and .message.text and (.level | test("^(error|warning|note)$")) and
        .locations[0].logicalLocations[0].fullyQualifiedName)] | all)' "$work/all.sarif")" true
is 'each result has its rule' "$(jq -r '[.runs[0].tool.driver.rules[].id] as $r |
    [.runs[0].results[].ruleId | select(IN($r[]) | not)] | length' "$work/all.sarif")" 0

# --- silences ---
cat >>"$work/tandem.yaml" <<'YAML'
hazards:
  silence:
    - {id: H6-load-balancer, match: {kind: Service, namespace: hz-pos, name: pos-h6-l*}, why: budgeted}
YAML
exits 'doctor with a silence' 4 "$TANDEM" doctor -f "$work/tandem.yaml" -o json
is 'it is counted, with its reason' "$(jq -r '"\(.counts.silenced) \([.findings[] | select(.silenced) |
    "\(.object.name) \(.silenced)"] | join(","))"' "$work/out")" '1 pos-h6-load-balancer budgeted'
exits 'in text' 4 "$TANDEM" doctor -f "$work/tandem.yaml"
like 'it is counted' "$(cat "$work/out")" '1 silenced \(--all shows them\)'
not_ok 'and not shown' grep -q 'pos-h6-load-balancer /spec/type' "$work/out"
exits '--all' 4 "$TANDEM" doctor -f "$work/tandem.yaml" --all
like '--all shows it with its reason' "$(cat "$work/out")" 'silenced: budgeted'

# --- issuers that are the same ---
bed restart b apiserver --arg b.apiserver=--service-account-issuer=https://a.bed.tandem.dev >>"$work/bed.log" 2>&1
is 'B issues tokens as A does' "$(kb get --raw /.well-known/openid-configuration | jq -r .issuer)" https://a.bed.tandem.dev
exits 'doctor with one issuer' 4 "$TANDEM" doctor -f "$work/tandem.yaml" -o json
is 'H22-issuer names none' "$(jq -r '[.findings[] | select(.id == "H22-issuer")] | length' "$work/out")" 0
bed restart b apiserver >>"$work/bed.log" 2>&1

# --- no rights ---
exits 'doctor without any right' 4 "$TANDEM" doctor --context-a paas-a-nobody --context-b paas-b-nobody
like 'says which are missing, and how to get them' "$(cat "$work/out")" 'tandem rbac a.*may not list .*secrets'
like 'and goes on with what it can read' "$(cat "$work/out")" 'H22-issuer|Not checkable'
done_testing
