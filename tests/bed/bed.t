#!/usr/bin/env bash
# The test bed is what its README says: two beds side by side, in odd places.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/tap.sh"

command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || skip_all "no haproxy here"
command -v go >/dev/null || skip_all "no Go here"

bed=$here/bed
unset TANDEM_BED KUBECONFIG
tmp=$(mktemp -d)
one=$tmp/one two=$tmp/two
cleanup() {
    "$bed" down --purge --dir "$one"
    "$bed" down --purge --dir "$two"
    rm -rf "$tmp"
}
trap cleanup EXIT

kc() { kubectl --context "$@"; }
# get URL [HOST]: "STATUS CLUSTER" of an answer
get() {
    curl -s -m 5 -o /dev/null -w '%{http_code} %header{x-cluster}\n' -H "Host: ${2:-www.example.com}" \
        "${@:3}" "$1"
}
answers() { [ "$(get "$2" "${3:-www.example.com}")" = "$1" ]; }
set_map() { echo "set map $BED_HAPROXY_MAP $1 $2" | socat -t 2 - "$BED_HAPROXY_SOCKET"; }
alive() { kill -0 "$1" 2>/dev/null; }
pids() { cat "$1"/run/*.pid; }

sample() {
    kc "$1" apply -f - <<'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec: {selector: {app: none}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
  - host: www.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}
      - {path: /empty, pathType: Prefix, backend: {service: {name: empty, port: {number: 80}}}}
      - {path: /gone, pathType: Exact, backend: {service: {name: gone, port: {number: 80}}}}
  - host: "*.wild.example.com"
    http:
      paths:
      - {path: /only, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: page
  namespace: shop
  annotations: {bed.tandem.dev/body: "page of ${service} at ${path}", bed.tandem.dev/status: "203"}
spec:
  rules:
  - host: page.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
YAML
}

not_ok 'status of no bed fails' "$bed" status --dir "$one"
not_ok 'an unknown version is refused' "$bed" up --dir "$one" --a-version 1.0.0
like 'a path that HAProxy could not take is refused' \
    "$("$bed" up --dir "$tmp/a bed" 2>&1)" 'letters, digits'
ok 'up' "$bed" up --dir "$one" --nodes 2
if [ "$tap_failed" != 0 ]; then
    echo 'Bail out! no bed'
    exit 1
fi
eval "$("$bed" env --dir "$one")"
before=$(pids "$one")
ok 'up again changes nothing' "$bed" up --dir "$one"
is 'the same processes run' "$(pids "$one")" "$before"
is 'kubeconfig is private' "$(stat -c %a "$KUBECONFIG")" 600
is 'admin socket is private' "$(stat -c %a "$BED_HAPROXY_SOCKET")" 600
not_ok 'a running bed does not change its version' "$bed" up --dir "$one" --a-version 1.37.2

# Clusters.
for x in a b; do
    up=${x^^} version=BED_${x^^}_VERSION
    is "$x: version" "$(kc "paas-$x" get --raw /version | jq -r .gitVersion)" "v${!version}"
    is "$x: nodes are ready" "$(kc "paas-$x" get nodes --no-headers | grep -c ' Ready ')" 2
    ok "$x: sample platform" sample "paas-$x"
    ok "$x: Deployment becomes ready" kc "paas-$x" -n shop rollout status deploy/web --timeout 30s
    url=BED_INGRESS_${up}_URL
    ok "$x: ingress answers" within 10 answers "200 $x" "${!url}"
done
is 'a and b hand out Service addresses of their own' \
    "$(for x in a b; do kc paas-$x -n shop get svc web -o 'jsonpath={.spec.clusterIP}' | cut -d. -f1,2; done | xargs)" \
    '10.96 10.112'
ok 'endpoints fill' test -n "$(kc paas-a -n shop get endpointslices -l kubernetes.io/service-name=web \
    -o 'jsonpath={.items[*].endpoints[*].addresses[0]}')"

# Credentials.
not_ok 'nobody reads nothing' kc paas-a-nobody get configmaps -A
ok 'nosecrets reads ConfigMaps' kc paas-a-nosecrets get configmaps -A
ok 'nosecrets reads Deployments' kc paas-a-nosecrets get deployments -A
not_ok 'nosecrets reads no Secrets' kc paas-a-nosecrets get secrets -A
ok 'reader reads Secrets' kc paas-a-reader get secrets -A
not_ok 'reader writes nothing' kc paas-a-reader create namespace no
ok 'writer writes' kc paas-b-writer create namespace yes
like 'an expired token is refused' "$(kc paas-a-expired get ns 2>&1)" Unauthorized
like 'nobody is at the unreachable address' "$(kc paas-a-unreachable get ns 2>&1)" refused
ok 'the audit log names user and agent' jq -se 'any(.user.username == "bed:reader" and
    .verb == "create" and .responseStatus.code == 403 and (.userAgent | startswith("kubectl/")))' \
    "$BED_A_AUDIT"
is 'the audit log has no bodies' "$(grep -c requestObject "$BED_A_AUDIT")" 0

# Ingress.
is 'no ready endpoint: 503' "$(get "$BED_INGRESS_A_URL/empty/x")" '503 a'
is 'no Service: 404' "$(get "$BED_INGRESS_A_URL/gone")" '404 a'
is 'an exact path is exact' "$(get "$BED_INGRESS_A_URL/gone/on")" '200 a'
is 'a prefix ends at a slash' "$(get "$BED_INGRESS_A_URL/emptyness")" '200 a'
is 'no such host: 404' "$(get "$BED_INGRESS_A_URL/" other.example.com)" '404 a'
is 'a wildcard host' "$(get "$BED_INGRESS_A_URL/only/x" one.wild.example.com)" '200 a'
is 'a wildcard stands for one label' "$(get "$BED_INGRESS_A_URL/only" a.b.wild.example.com)" '404 a'
is 'a path that no rule has' "$(get "$BED_INGRESS_A_URL/else" one.wild.example.com)" '404 a'
is '/healthz on a known host' "$(get "$BED_INGRESS_A_URL/healthz" one.wild.example.com)" '200 a'
is 'body and status by annotation' \
    "$(curl -s -w ' %{http_code}' -H 'Host: page.example.com' "$BED_INGRESS_A_URL/p")" \
    'page of shop/web at /p 203'
is '/stream' "$(curl -sN -H 'Host: www.example.com' "$BED_INGRESS_A_URL/stream?n=3&ms=5" | wc -l)" 3
slow=$(curl -s -o /dev/null -w '%{time_total}' -H 'Host: www.example.com' "$BED_INGRESS_A_URL/slow?ms=300")
ok '/slow' test "${slow/./}" -ge 300000
kc paas-a -n shop scale deploy/web --replicas 0 >/dev/null
ok 'scaled to nothing: 503' within 10 answers '503 a' "$BED_INGRESS_A_URL"
kc paas-a -n shop scale deploy/web --replicas 1 >/dev/null
ok 'scaled up: 200' within 10 answers '200 a' "$BED_INGRESS_A_URL"

# Load balancer.
ok 'live leads to a' within 5 answers '200 a' "$BED_LIVE_URL"
ok 'pre-live leads to b' within 5 answers '200 b' "$BED_PRELIVE_URL"
is 'live by TLS, checked against the CA' "$(curl -s -m 5 -o /dev/null -w '%{http_code} %header{x-cluster}' \
    --cacert "$BED_TLS_CA" --connect-to "www.example.com:443:${BED_LIVE_TLS_URL#https://}" \
    https://www.example.com/)" '200 a'
is 'pre-live by TLS' "$(get "$BED_PRELIVE_TLS_URL" www.example.com --cacert "$BED_TLS_CA")" '200 b'
set_map frontend.pct_b 100 >/dev/null
set_map frontend.prelive_b 0 >/dev/null
is 'live leads to b after set map' "$(get "$BED_LIVE_URL")" '200 b'
is 'pre-live leads to a after set map' "$(get "$BED_PRELIVE_URL")" '200 a'
set_map frontend.pct_b 30 >/dev/null
share=$(for i in $(seq 1000); do
    printf 'next\nurl = "%s"\nheader = "Host: www.example.com"\ncookie = "sid=user-%d"\n' "$BED_LIVE_URL" "$i"
    printf 'silent\noutput = /dev/null\nwrite-out = "%%header{x-cluster}\\n"\n'
done | sed 1d | curl -K - | grep -c b)
ok "30 % is near 30 % ($share of 1000)" test "$share" -ge 250 -a "$share" -le 350
is 'who comes back gets the same side' \
    "$(for _ in 1 2 3 4 5 6; do get "$BED_LIVE_URL" www.example.com -b sid=user-7; done | sort -u | wc -l)" 1
ok 'Prometheus metrics' curl -sf -o /dev/null "$BED_HAPROXY_STATS_URL/metrics"

# A second bed, and faults.
ok 'a second bed, both of one version' "$bed" up --dir "$two" --a-version 1.37.2 --nodes 1 \
    --arg a.etcd=--unsafe-no-fsync
is 'the first bed still has its namespace' "$(kc paas-a get ns shop -o name)" namespace/shop
is 'the second has none' "$(KUBECONFIG=$two/kubeconfig kc paas-a get ns --no-headers | grep -c shop)" 0
like 'status shows both the same' "$("$bed" status --dir "$two")" \
    'a-apiserver +running +[0-9]+ +[0-9]+ +1\.37\.2'
ok 'stop of one piece' "$bed" stop --dir "$two" a apiserver --kill
like 'status shows what is stopped' "$("$bed" status --dir "$two")" 'a-apiserver +stopped'
not_ok 'status fails then' "$bed" status --dir "$two"
ok 'start of one piece' "$bed" start --dir "$two" a apiserver
ok 'a stalled server' "$bed" signal --dir "$two" a apiserver STOP
ok 'and going on' "$bed" signal --dir "$two" a apiserver CONT
not_ok 'an unknown piece is refused' "$bed" stop --dir "$two" a nothing
pids_two=$(pids "$two")
ok 'down' "$bed" down --dir "$two"
is 'no process is left' "$(for p in $pids_two; do alive "$p" && cat "/proc/$p/cmdline"; done)" ''
ok 'down again' "$bed" down --dir "$two"

ok 'reset of a' "$bed" reset --dir "$one" a
is 'a is empty' "$(kc paas-a get ns --no-headers | grep -c shop)" 0
is 'b is not' "$(kc paas-b get ns shop -o name)" namespace/shop
ok 'the same credentials hold' kc paas-a-nosecrets get configmaps -A
is 'the map is as it was set' "$(echo "show map $BED_HAPROXY_MAP" | socat -t 2 - "$BED_HAPROXY_SOCKET" |
    grep -o 'pct_b.*')" 'pct_b 30'
ok 'reset of the load balancer' "$bed" reset --dir "$one" lb
is 'live leads to a again' "$(echo "show map $BED_HAPROXY_MAP" | socat -t 2 - "$BED_HAPROXY_SOCKET" |
    grep -o 'pct_b.*')" 'pct_b 0'

# A server that cannot start says why.
mkdir -p "$two"
ok 'second bed goes' "$bed" down --dir "$two" --purge
like 'a failing piece is named, with its log' \
    "$("$bed" up --dir "$two" --arg b.etcd=--no-such-flag 2>&1)" 'b-etcd died .*no-such-flag'
all=$(pids "$one"; cat "$two"/run/*.pid)
ok 'second bed down and gone' "$bed" down --dir "$two" --purge
ok 'first bed down and gone' "$bed" down --dir "$one" --purge
is 'nothing is left running' "$(for p in $all; do alive "$p" && cat "/proc/$p/cmdline"; done)" ''
is 'nothing is left lying' "$(ls -A "$tmp")" ''

done_testing
