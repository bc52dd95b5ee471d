# shellcheck shell=bash
# What the fault tests share: namespaces to migrate, a fault proxy before one API server for each
# case, and what has to hold afterwards. Sourced by *.t.
. "$(dirname "${BASH_SOURCE[0]}")/../upgrade/lib.sh"
faultproxy=$root/tests/lib/faultproxy
trap 'cat "$work"/*/pid 2>/dev/null | xargs -r kill 2>/dev/null; rm -rf "$work"' EXIT

# One namespace with one of each kind that waits for another or is filled in by the server, and
# enough of the rest.
objects() { # NAMESPACE [CONFIGMAPS]
    cat <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $1, labels: {faults: "$stamp"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: $1}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: $1, annotations: {kubernetes.io/service-account.name: app}}
type: kubernetes.io/service-account-token
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: $1}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all, namespace: $1}
spec: {hard: {configmaps: "900", services: "30"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: $1}
spec: {limits: [{type: Container, default: {cpu: 100m}, defaultRequest: {cpu: 10m}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: app, namespace: $1}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: app, namespace: $1}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}
subjects: [{kind: ServiceAccount, name: app, namespace: $1}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: $1}
spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: $1}
spec: {replicas: 1, serviceName: v1, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: www, namespace: $1}
spec: {rules: [{host: "$1.example.com", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: v1, port: {number: 80}}}}]}}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: $1}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: node, namespace: $1}
spec: {type: NodePort, selector: {app: db}, ports: [{port: 80}]}
YAML
    for i in $(seq "${2:-25}"); do
        printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%s, namespace: %s}\n' "$i" "$1"
        printf 'data: {n: "%s"}\n' "$i"
    done
    for i in $(seq 15); do
        printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: s%s, namespace: %s}\n' "$i" "$1"
        printf 'stringData: {n: "%s"}\n' "$i"
    done
    for i in $(seq 6); do
        cat <<YAML
---
apiVersion: v1
kind: Service
metadata: {name: v$i, namespace: $1}
spec: {selector: {app: d$i}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d$i, namespace: $1}
spec: {replicas: 1, selector: {matchLabels: {app: d$i}}, template: {metadata: {labels: {app: d$i}}, spec: {containers: [{name: c, image: i}]}}}
YAML
    done
}

# More for it that several managers have applied: two of each, and one alone.
applied() { # one|other NAMESPACE
    local i
    printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: applied, namespace: %s, labels: {%s: "1"}}\n' "$2" "$1"
    [ "$1" = other ] || echo 'spec: {replicas: 1, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}}'
    for i in 1 2 3 4 5; do
        [ "$1$i" = other5 ] || [ "$1$i" = other4 ] ||
            printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a%s, namespace: %s}\ndata: {%s: "%s"}\n' \
                "$i" "$2" "$1" "$i"
    done
}

load() { # NAMESPACE...: all of them in A
    local m ns
    for ns; do objects "$ns"; echo ---; done | ka create -f - >/dev/null || return
    for m in one other; do
        for ns; do applied $m "$ns"; echo ---; done | ka apply --server-side --field-manager=$m -f - >/dev/null || return
    done
}

# How the proxied user is known: a client certificate does not get through the proxy.
user_of() { # DIR SIDE token|file|exec
    local n
    [ "$3" = token ] || kubectl --context "paas-$2" get clusterrolebinding "system:bed:faults-$2" >/dev/null 2>&1 ||
        kubectl --context "paas-$2" create clusterrolebinding "system:bed:faults-$2" \
            --clusterrole=cluster-admin --serviceaccount=default:default >/dev/null
    [ "$3" = token ] || for n in 1 2; do
        (umask 077 && kubectl --context "paas-$2" -n default create token default >"$1/token.$n") || return
        sleep 1.1 # a token made in the same second is the same
    done
    case $3 in
    token) echo "{token: $(kubectl config view --raw -o jsonpath="{.users[?(@.name==\"paas-$2-writer\")].user.token}")}" ;;
    file) cp "$1/token.1" "$1/token" && echo "{tokenFile: $1/token}" ;;
    exec) echo "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: $root/tests/faults/token-plugin, args: [$1]}}" ;;
    esac
}

# A proxy before the API server of SIDE, with the rules of DIR/rules.json, and DIR/tandem.yaml that
# leads through it.
proxied() { # DIR SIDE USER
    local dir=$1 side=$2 server=BED_${2^^}_SERVER ca=BED_${2^^}_CA pki=$BED_DIR/$2/pki user x
    user=$(user_of "$dir" "$side" "$3") || return
    "$faultproxy" --upstream "${!server}" --ca "${!ca}" --cert "$pki/apiserver.crt" \
        --key "$pki/apiserver.key" --rules "$dir/rules.json" --log "$dir/log" \
        --port-file "$dir/port" >/dev/null 2>"$dir/proxy.err" &
    echo $! >"$dir/pid"
    within 60 test -s "$dir/port" || return
    (umask 077 && cat >"$dir/kubeconfig") <<YAML
apiVersion: v1
kind: Config
clusters: [{name: fault, cluster: {server: "https://127.0.0.1:$(cat "$dir/port")", certificate-authority: "${!ca}"}}]
users: [{name: fault, user: $user}]
contexts: [{name: fault, context: {cluster: fault, user: fault}}]
YAML
    {
        printf 'apiVersion: tandem.dev/v1\nkind: Environment\nmetadata: {name: %s}\n' "faults-${dir##*/}"
        # What is counted and broken here are the requests of a migration alone.
        printf 'notices: {clusters: false, record: false}\n'
        printf 'journal: %s/tandem.db\nclusters:\n' "$dir"
        for x in a b; do
            if [ $x = "$side" ]; then
                echo "  $x: {kubeconfig: $dir/kubeconfig, context: fault}"
            else
                echo "  $x: {kubeconfig: $KUBECONFIG, context: paas-$x}"
            fi
        done
    } >"$dir/tandem.yaml"
}

# What the log of a proxy says: how often each fault came.
fired() { # DIR
    python3 - "$1/log" <<'PY'
import collections, json, sys
n = collections.Counter(json.loads(l).get("fault", "") for l in open(sys.argv[1]))
print(" ".join(f"{k}={v}" for k, v in sorted(n.items()) if k))
PY
}
unfired() { # DIR: rules that met no request
    python3 - "$1/log" "$1/rules.json" <<'PY' || echo 'could not be told'
import json, sys
came = {json.loads(l).get("fault") for l in open(sys.argv[1])}
print(*(r["name"] for r in json.load(open(sys.argv[2])) if r["name"] not in came))
PY
}

# What B has in the namespaces of all cases, for made_anew.
in_b() {
    kb get configmap,secret,serviceaccount,service,deployment,statefulset,cronjob,resourcequota,limitrange,\
role,rolebinding,pvc,ingress -A -o json
}

# What a proxy before B saw being made in the namespace and is not, under the same uid, in B (the
# output of in_b); and "saw N" when that were fewer than N.
made_anew() { # DIR NAMESPACE IN-B N
    python3 - "$1/log" "$2" "$3" "$4" <<'PY' || echo 'could not be told'
import json, sys
log, ns, in_b, least = sys.argv[1:]
there = {o["metadata"]["uid"] for o in json.load(open(in_b))["items"] if o["metadata"]["namespace"] == ns}
made = [(e["object"], e["uid"]) for e in map(json.loads, open(log))
        if e.get("uid") and f"/namespaces/{ns}/" in e["object"] and "dryRun=" not in e["path"]]
for o, uid in made:
    if uid not in there:
        print(o, uid)
if len(made) < int(least):
    print("saw", len(made))
PY
}

differences() { # COMPARED NAMESPACE: those of compare.py that lie in one namespace
    python3 - "$1" "$2" <<'PY' || echo 'could not be told'
import json, sys
for d in json.load(open(sys.argv[1]))["differences"]:
    if sys.argv[2] in (d["namespace"], d["name"]):
        print(d["kind"], d["name"], d["path"], d["check"], d.get("a"), d.get("b"), d.get("text", ""))
PY
}
