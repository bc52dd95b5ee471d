#!/usr/bin/env bash
# B's etcd is full in the midst of a migration: what cannot be stored fails and is named, and when
# there is room again, the next run writes the rest and only that.
. "$(dirname "$0")/lib.sh"
bed_ready a b
stamp=f$$
ns=$stamp-full
config bare
etcd() { etcdctl --endpoints "$BED_B_ETCD_URL" "$@"; }
status() { etcd endpoint status -w json | jq ".[0].Status.$1"; }
objects "$ns" >"$work/objects.yaml"
big=$(head -c 100000 /dev/zero | tr '\0' x)
for i in $(seq 80); do # 8 MB
    printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: big%s, namespace: %s}\ndata: {n: "%s"}\n' \
        "$i" "$ns" "$big"
done >>"$work/objects.yaml"
ok 'objects are in A' ka create -f "$work/objects.yaml"

etcd compact --physical "$(status header.revision)" >/dev/null
etcd defrag >/dev/null
quota=$(($(status dbSize) + 4000000))
bed restart b etcd --arg "b.etcd=--quota-backend-bytes=$quota" >>"$work/bed.log" 2>&1
within 30 kb get --raw /readyz >/dev/null
exits 'the first run fails' 1 "$TANDEM" migrate -f "$work/tandem.yaml" -n "$ns" --yes --settle 1s
like 'and says why' "$(cat "$work/out")" 'database space exceeded'
like 'etcd raised the alarm' "$(etcd alarm list)" 'alarm:NOSPACE'
there=$(kb get configmap -n "$ns" -o name | wc -l)
ok "some of it is there ($there of 106)" test "$there" -gt 10 -a "$there" -lt 100
kb get configmap -n "$ns" -o json | jq -r '.items[].metadata | .name + " " + .uid' | sort >"$work/before"

etcd compact --physical "$(status header.revision)" >/dev/null
etcd defrag >/dev/null
bed restart b etcd >>"$work/bed.log" 2>&1
etcd alarm disarm >/dev/null
within 30 kb get --raw /readyz >/dev/null
# a kubelet goes on telling how its pods are; kwok gives up on those that it could not tell of
bed restart b kwok >>"$work/bed.log" 2>&1
exits 'with room again the next run ends well' 0 \
    "$TANDEM" migrate -f "$work/tandem.yaml" -n "$ns" --yes --settle 30s
exits 'B is complete and correct' 0 \
    python3 "$root/tests/lib/compare.py" -n "$ns" --namespaced-only --wait 60
kb get configmap -n "$ns" -o json | jq -r '.items[].metadata | .name + " " + .uid' | sort >"$work/after"
is 'what was there is the same' "$(comm -23 "$work/before" "$work/after")" ''
ka delete ns "$ns" --wait=false >/dev/null
kb delete ns "$ns" --wait=false >/dev/null
done_testing
