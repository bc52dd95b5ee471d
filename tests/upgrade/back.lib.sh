# shellcheck shell=bash
# What back.t, adopt.t, minute.t, frozen.t and takeover.t share beside lib.sh: a small platform, the
# ways there, and whether all is back.

traffic_config() { # MORE-OF-TRAFFIC: clusters, journal, one tier; a probe on it
    config bare
    cat >>"$work/tandem.yaml" <<YAML
traffic:
  tiers:
    frontend:
      driver: haproxy
      sockets: [$BED_HAPROXY_SOCKET]
      map: $BED_HAPROXY_MAP
      live: {a: paas_a, b: paas_b}
  ${1:-steps: [50, 100]}
probes:
  pulse:
    url: http://pulse.example.com/healthz
    connectTo: ${BED_LIVE_URL#http://}
    rate: 20/s
    cookie: sid
    identify: {header: X-Cluster}
    abort: {failures: 1%, window: 10s, atLeast: 50}
YAML
}

# A page that answers, and what acts by itself.
platform() {
    ka create namespace back >/dev/null
    ka create -n back -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: pulse}
spec:
  replicas: 1
  selector: {matchLabels: {app: pulse}}
  template: {metadata: {labels: {app: pulse}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: v1
kind: Service
metadata: {name: pulse}
spec: {selector: {app: pulse}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: pulse}
spec:
  rules:
    - host: pulse.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: pulse, port: {number: 80}}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: consumer, annotations: {tandem.dev/hold: "true"}}
spec:
  replicas: 2
  selector: {matchLabels: {app: consumer}}
  template: {metadata: {labels: {app: consumer}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: queue, annotations: {tandem.dev/hold: "true"}}
spec:
  serviceName: queue
  replicas: 1
  selector: {matchLabels: {app: queue}}
  template: {metadata: {labels: {app: queue}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: own}
spec:
  schedule: "0 4 * * *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
YAML
}

# Is all as it was? By a script that knows nothing of tandem.
look=(python3 "$root/tests/lib/is_back.py")
remembered() { ok 'what acts is remembered' "${look[@]}" remember "$work/before"; }
is_back() { # NAME [OPTIONS]
    local name=$1
    shift
    exits "$name: an independent script finds all back" 0 "${look[@]}" check "$work/before" \
        --map "$BED_HAPROXY_MAP" --socket "$BED_HAPROXY_SOCKET" "$@"
}

share() { awk '$1 == "frontend.pct_b" {print $2}' "$BED_HAPROXY_MAP"; }
is_share() { [ "$(share)" = "$1" ]; }
acts() { # a|b
    kubectl --context "paas-$1" get cronjob -n back nightly -o jsonpath='{.spec.suspend}'
}
serves() { # a|b
    [ "$(kubectl --context "paas-$1" get deploy -n back pulse -o jsonpath='{.status.readyReplicas}')" = 1 ]
}
