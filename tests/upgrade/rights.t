#!/usr/bin/env bash
# The roles that `tandem rbac` prints are enough for the main job, custom resources included whose
# definition only the source has; and doctor says so when they are not there.
. "$(dirname "$0")/lib.sh"
bed_ready a b lb
config bare
sed -i 's/context: paas-a}/context: paas-a-nobody}/; s/context: paas-b}/context: paas-b-reader}/' \
    "$work/tandem.yaml"
user() { kubectl --context "$1" auth whoami -o json | jq -r .status.userInfo.username; }

ka apply -f - >/dev/null <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.rights.example.com}
spec:
  group: rights.example.com
  scope: Namespaced
  names: {plural: lamps, singular: lamp, kind: Lamp}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: rights}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: rights}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: rights}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: eve, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: rights}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}
YAML
made() { ka apply -f - <<<'{apiVersion: rights.example.com/v1, kind: Lamp, metadata: {name: one, namespace: rights}}'; }
within 20 made >/dev/null 2>&1
ok 'a custom resource is in A' ka get lamp -n rights one

bind() { # a|b ROLE CONTEXT
    "$TANDEM" rbac "$1" --context-a paas-a --context-b paas-b | kubectl --context "paas-$1" apply -f - &&
        kubectl --context "paas-$1" create clusterrolebinding "rights-$1" --clusterrole "$2" --user "$(user "$3")"
}
ok 'the role in A can be made' bind a tandem-source paas-a-nobody
exits 'doctor: the rights in B are missing' 4 "$TANDEM" doctor -f "$work/tandem.yaml"
like 'and names those for what only A defines' "$(cat "$work/out")" 'may not create .*lamps\.rights\.example\.com'
ok 'the role in B can be made' bind b tandem-destination paas-b-reader
"$TANDEM" doctor -f "$work/tandem.yaml" >"$work/out" 2>&1
like 'doctor finds no right missing' "$(cat "$work/out")" '0 blockers'
not_ok 'nor one that only activate needs' grep -q 'this credential may not' "$work/out"
exits 'migrate' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --yes
ok 'the custom resource is in B' kb get lamp -n rights one
exits 'activate' 0 "$TANDEM" activate -f "$work/tandem.yaml" --yes
exits 'deactivate' 0 "$TANDEM" deactivate -f "$work/tandem.yaml" --yes
exits 'verify' 0 "$TANDEM" verify -f "$work/tandem.yaml"
done_testing
