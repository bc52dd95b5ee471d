#!/usr/bin/env bash
# `tandem unmigrate`: after migrate and unmigrate the destination is as it was, whatever was there
# before, and whoever has changed something meanwhile finds it untouched.
. "$(dirname "$0")/lib.sh"
needs_faults
bed_ready a b lb
config

unmigrate() { "$TANDEM" unmigrate -f "$work/tandem.yaml" --yes "$@"; }
migrate() { "$TANDEM" migrate -f "$work/tandem.yaml" --yes --settle 20s "$@"; }

# Everything that B lists, by kubectl and python: no word of tandem's own code.
snapshot() { python3 "$root/tests/lib/snapshot.py" --context paas-b "$@"; }
same() { # NAME BEFORE AFTER
    diff -u "$2" "$3" >"$work/diff"
    tap_result $? "$1" "$(head -40 "$work/diff")"
}

ok 'the sample platform loads into A' "$root/demo/load" --context paas-a
# What B had before: a namespace of its own that the source has too, and a Secret in it.
kb create namespace pulse >/dev/null
kb label namespace pulse owner=b >/dev/null
kb create configmap -n pulse bs-own --from-literal=a=1 >/dev/null
cat <<'YAML' | ka apply -f - >/dev/null
apiVersion: v1
kind: PersistentVolume
metadata: {name: shared-data}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  persistentVolumeReclaimPolicy: Delete
  storageClassName: shared
  nfs: {server: nfs.example.com, path: /data}
YAML
within 20 sh -c 'kubectl --context paas-b get sa default -n pulse >/dev/null 2>&1'
snapshot >"$work/before"

# --- nothing to take back ---
exits 'without a run there is nothing to take back' 4 unmigrate

# --- all of it ---
exits 'migrate' 0 migrate
is "a volume that names A's storage keeps it when it goes" \
    "$(kb get pv shared-data -o jsonpath='{.spec.persistentVolumeReclaimPolicy}')" Retain
exits 'unmigrate is refused without --yes and a terminal' 4 \
    "$TANDEM" unmigrate -f "$work/tandem.yaml"
exits 'a dry run lists what would go' 0 unmigrate --dry-run
like 'by name' "$(cat "$work/out")" 'would go +Deployment shop/cart'
not_ok 'and no namespace of which something else would go' grep -q 'kept.*Namespace shop' "$work/out"
is 'and changes nothing' "$(kb get deploy -n shop cart -o name)" deployment.apps/cart
exits 'unmigrate' 0 unmigrate
like 'says that nothing is left' "$(cat "$work/out")" 'Nothing of run .* is left in b'
snapshot >"$work/after"
same 'B is as it was: the same objects, specs and data' "$work/before" "$work/after"
is 'the namespace that B had is there, with its label alone' \
    "$(kb get ns pulse -o json | jq -c '.metadata.labels')" '{"kubernetes.io/metadata.name":"pulse","owner":"b"}'
exits 'the run is ended: there is nothing more to take back' 4 unmigrate
like 'the audit trail has it' "$("$TANDEM" history -f "$work/tandem.yaml")" 'unmigrate: take back'

# --- with hands in between ---
exits 'migrate again' 0 migrate
sleep 1.1 # field managers carry seconds
kb patch configmap -n pulse pulse-config --type merge -p '{"data":{"by-hand":"yes"}}' >/dev/null
kb set env deploy -n shop cart BY_HAND=yes >/dev/null
kb create configmap -n shop somebodys --from-literal=a=1 >/dev/null
gone=$(kb get configmap -n pulse -o name | grep -v -e bs-own -e kube-root -e pulse-config | head -1)
secret=$(kb get secret -n shop -o name | head -1)
kb delete "$secret" -n shop >/dev/null
kb create -n shop secret generic "${secret#secret/}" --from-literal=other=1 >/dev/null
exits 'what has moved on is left, and said' 2 unmigrate
cp "$work/out" "$work/moved"
like 'the field and who changed it' "$(cat "$work/moved")" \
    'moved on +ConfigMap pulse/pulse-config: changed since: \+/data/by-hand \(kubectl'
like 'an element that was added to a list' "$(cat "$work/moved")" \
    'moved on +Deployment shop/cart: .*/env/BY_HAND/[a-z]+ \(kubectl'
like 'what was made anew' "$(cat "$work/moved")" "moved on +Secret shop/${secret#secret/}: somebody has made it anew"
like 'a namespace with others in it' "$(cat "$work/moved")" 'kept +Namespace shop: .*would go with it'
like 'which names them' "$(cat "$work/moved")" 'ConfigMap somebodys'
is "what is somebody's is untouched" "$(kb get configmap -n shop somebodys -o name
    kb get configmap -n pulse pulse-config -o jsonpath='{.data.by-hand}'
    kb get "$secret" -n shop -o jsonpath='{.data.other}')" $'configmap/somebodys\nyesMQ=='
is 'the rest is gone' "$(kb get deploy -A -o name | sort)" deployment.apps/cart
like 'the run is still open' "$("$TANDEM" status -f "$work/tandem.yaml" 2>&1)" 'r-[0-9]+-'
kb delete configmap -n shop somebodys >/dev/null
kb delete "$secret" -n shop >/dev/null
exits 'with --force it goes too' 0 unmigrate --force
snapshot >"$work/after"
same 'and B is as it was' "$work/before" "$work/after"

# --- kill -9 half-way, and again ---
# In some namespaces; they themselves belong to it.
few='auth,consul,pulse-dev,shop-dev'
for at in 2 20 70; do
    exits "migrate, to be killed in unmigrate at its point $at" 0 migrate -n "$few"
    exits 'killed there' 137 killed_at $at unmigrate -f "$work/tandem.yaml" --yes
    left=$(kb get configmap,secret,deploy,service -A -o name | wc -l)
    exits "unmigrate goes on after the kill ($left objects there)" 0 unmigrate
    snapshot >"$work/after"
    same "killed at $at, B is as it was in the end" "$work/before" "$work/after"
done
for at in 12 60; do
    exits "migrate, killed at its point $at" 137 killed_at $at migrate -f "$work/tandem.yaml" --yes -n "$few"
    left=$(kb get configmap,secret,deploy,service -A -o name | wc -l)
    exits "migrate killed at $at ($left objects there) is taken back" 0 unmigrate
    snapshot >"$work/after"
    same "migrate killed at $at: B is as it was" "$work/before" "$work/after"
done

# --- guards ---
exits 'migrate for the guards' 0 migrate --settle 60s
exits 'activate' 0 "$TANDEM" activate -f "$work/tandem.yaml" --yes
exits 'unmigrate is refused while B runs the singletons' 4 unmigrate
like 'and says what to do' "$(cat "$work/err")" 'tandem deactivate'
exits 'deactivate' 0 "$TANDEM" deactivate -f "$work/tandem.yaml" --yes
exits 'cutover to half' 0 "$TANDEM" cutover -f "$work/tandem.yaml" --steps 50 --yes
exits 'unmigrate is refused while B has live traffic' 4 unmigrate
like 'and says so' "$(cat "$work/err")" 'live traffic|cannot be told|came from b'
exits 'switch-back' 0 "$TANDEM" switch-back -f "$work/tandem.yaml" --yes
exits 'then it is taken back, handed over or not' 0 unmigrate
snapshot >"$work/after"
same 'and B is as it was, once more' "$work/before" "$work/after"

done_testing
