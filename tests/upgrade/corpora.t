#!/usr/bin/env bash
# Applications as their authors published them: every object that A accepts is in B after migrate, and
# an independent comparison finds no difference. What A refuses is shown with its server's word. Then
# RockBands, whose definition serves other versions in B, with and without a conversion webhook.
. "$(dirname "$0")/lib.sh"
apps=$root/../shared/corpora/apps
[ -d "$apps" ] || skip_all 'no corpus at ../shared/corpora/apps'
bed_ready a b
config bare
compare() { python3 "$root/tests/lib/compare.py" --wait 60 "$@"; }

# --- applications ---
refused=0 accepted=0
load() { # NAMESPACE FILE...
    local ns=$1 file
    shift
    ka get namespace "$ns" >/dev/null 2>&1 || ka create namespace "$ns" >/dev/null
    for file; do
        ka apply -n "$ns" -f "$file" >"$work/out" 2>"$work/err"
        accepted=$((accepted + $(grep -c -E '(created|configured)$' "$work/out")))
        grep -v '^Warning:' "$work/err" | sed "s|^|# refused by A: $(basename "$file"): |" >"$work/refused"
        refused=$((refused + $(wc -l <"$work/refused")))
        cat "$work/refused"
    done
}
# complete-demo.yaml makes its own namespace, and so does nginx
load sock-shop "$apps"/sock-shop/complete-demo.yaml "$apps"/sock-shop/policy/*.yaml "$apps"/sock-shop/autoscaling/*.yaml
load guestbook "$apps"/guestbook/*.yaml
load cassandra "$apps"/cassandra/*.yaml
ka create -f - >/dev/null <<'YAML'
apiVersion: v1
kind: PersistentVolume
metadata: {name: nginx-logs}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: nginx-example, name: nginx-logs}
  nfs: {server: nfs.example.com, path: /logs}
YAML
sed 's/# *storageClassName:.*/storageClassName: ""/' "$apps/nginx/with-pv.yaml" >"$work/with-pv.yaml"
load nginx-example "$work/with-pv.yaml"
sed 's/nginx-example/nginx-base/' "$apps/nginx/base.yaml" >"$work/base.yaml"
load nginx-base "$work/base.yaml"
load nginx-base "$apps/rockband/case-a-source-v1beta1.yaml" # of an API that is served no more
printf '# %d objects accepted by A, %d lines of refusals\n' "$accepted" "$refused"
ok 'A took the applications' test "$accepted" -ge 50
is 'and refused what is of a version that it does not serve' "$refused" "$(wc -l <"$work/refused")"
like 'with a word' "$(cat "$work/refused")" 'apiextensions.k8s.io/v1beta1'
ok 'the claim of nginx is bound in A' within 30 sh -c \
    'kubectl --context paas-a get pvc -n nginx-example nginx-logs -o "jsonpath={.status.phase}" | grep -q Bound'
exits 'migrate' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --unclassified=run --yes
exits 'an independent comparison finds no difference' 0 compare
sed 's/^/# /' "$work/out" | tail -20
is 'the claim of nginx is bound in B, to the same volume' "$(kb get pvc -n nginx-example nginx-logs \
    -o 'jsonpath={.status.phase} {.spec.volumeName}')" 'Bound nginx-logs'
names() { kubectl --context "paas-$1" get "$2" -n "$3" -o name | sort; }
for what in 'deploy,svc,netpol,hpa sock-shop' 'rc,deploy,svc guestbook' 'sts,svc cassandra' 'deploy,svc,pvc nginx-example'; do
    # shellcheck disable=SC2086
    is "the same in both: $what" "$(names b $what)" "$(names a $what)"
done
kb delete svc -n sock-shop carts >/dev/null
exits 'the comparison can fail' 2 python3 "$root/tests/lib/compare.py" -n sock-shop

# --- RockBands: the two clusters serve different versions ---
bands=$apps/rockband
crd() { # SLOT FILE [conversion as JSON]
    kubectl --context "paas-$1" delete crd rockbands.music.example.io --ignore-not-found >/dev/null
    kubectl --context "paas-$1" create -f "$bands/$2" --dry-run=client -o json |
        jq --argjson c "${3:-null}" 'if $c then .spec.conversion = $c else . end
            | .spec.versions |= map(.schema.openAPIV3Schema.properties.status |= del(.required))' |
        kubectl --context "paas-$1" create -f - >/dev/null &&
        kubectl --context "paas-$1" wait --for condition=Established crd/rockbands.music.example.io --timeout 30s >/dev/null
}
band() { # NAMESPACE FILE
    ka create namespace "$1" >/dev/null
    within 20 ka create -n "$1" -f "$bands/$2"
}
in_b() { # NAMESPACE FILE: path in B, in the version of the file (kubectl would ask its cache)
    echo "/apis/$(sed -n 's/^apiVersion: //p' "$bands/$2")/namespaces/$1/rockbands/beatles"
}
case_of() { # NAME SOURCE TARGET BAND
    local ns=bands-$1
    crd a "$2"
    crd b "$3"
    ok "case $1: A has a band" band "$ns" "$4"
    exits "case $1: migrate" 0 "$TANDEM" migrate -f "$work/tandem.yaml" -n "$ns" --yes
    exits "case $1: no difference" 0 compare -n "$ns" --namespaced-only
    is "case $1: the band is what it was" "$(kb get --raw "$(in_b "$ns" "$4")" | jq -c '.spec')" \
        '{"genre":"60s rock","numberComponents":4}'
}
case_of a case-a-source.yaml case-a-target.yaml music_v1_rockband.yaml
case_of b case-b-source-manually-added-mutations.yaml case-b-target-manually-added-mutations.yaml music_v2beta1_rockband.yaml
case_of c case-b-source-manually-added-mutations.yaml case-c-target-manually-added-mutations.yaml music_v1_rockband.yaml
case_of d case-b-source-manually-added-mutations.yaml case-d-target-manually-added-mutations.yaml music_v2beta2_rockband.yaml

# --- and a webhook converts ---
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout "$work/hook.key" -out "$work/hook.crt" \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null
"$root/tests/upgrade/convert" "$work/hook.crt" "$work/hook.key" >"$work/hook.log" 2>"$work/hook.err" &
hook=$!
trap 'kill "$hook" 2>/dev/null; rm -rf "$work"' EXIT
within 10 test -s "$work/hook.log"
conversion=$(jq -n --arg url "https://127.0.0.1:$(head -1 "$work/hook.log")/" --arg ca "$(base64 -w0 <"$work/hook.crt")" \
    '{strategy: "Webhook", webhook: {conversionReviewVersions: ["v1"], clientConfig: {url: $url, caBundle: $ca}}}')
crd a case-b-source-manually-added-mutations.yaml "$conversion"
crd b case-c-target-manually-added-mutations.yaml "$conversion"
ok 'a band of v1 in A' band bands-hook music_v1_rockband.yaml
ka annotate rockband -n bands-hook beatles rockbands.music.example.io/bass=Paul >/dev/null
exits 'migrate through the webhook' 0 "$TANDEM" migrate -f "$work/tandem.yaml" -n bands-hook --yes
is 'B stores v2, with the field that v1 does not have' "$(kb get rockbands.v2.music.example.io -n bands-hook beatles -o json |
    jq -c '.spec')" '{"bass":"Paul","genre":"60s rock","numberComponents":4}'
exits 'no difference in the version that both serve' 0 compare -n bands-hook --namespaced-only
exits 'and tandem verify agrees' 0 "$TANDEM" verify -f "$work/tandem.yaml" -n bands-hook
like 'the webhook was asked' "$(cat "$work/hook.log")" 'beatles music.example.io/v1 music.example.io/v2'
done_testing
