#!/usr/bin/env bash
# Admission webhooks come last, and only when what answers for them can: one that cannot be called
# blocks what it guards, its own back end included.
# shellcheck source=tests/upgrade/lib.sh
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare

# A webhook server that lets everything pass and keeps count.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat >"$work/hook.py" <<'PY'
import http.server, json, ssl, sys
work = sys.argv[1]
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(work + "/calls", "a") as f:
            f.write("dry\n" if review["request"].get("dryRun") else "real\n")
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": True}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(work + "/cert.pem", work + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(work + "/port", "w") as f:
    f.write(str(server.server_address[1]))
server.serve_forever()
PY
python3 "$work/hook.py" "$work" &
hook=$!
trap 'kill "$hook" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
url=https://127.0.0.1:$(cat "$work/port")/
ca=$(base64 -w0 "$work/cert.pem")

webhook() { # NAME LABEL RESOURCES CLIENT-CONFIG
    cat <<YAML
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $1}
webhooks:
- name: $1.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 1
  namespaceSelector: {matchLabels: {case: $2}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [$3]}]
  clientConfig: {$4}
YAML
}

space() { # NAME LABEL
    cat <<YAML
---
{apiVersion: v1, kind: Namespace, metadata: {name: $1, labels: {case: $2}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: $1}, data: {a: "1"}}
YAML
}

{ space hooks-good good; space hooks-none none; space hooks-dead dead; cat <<YAML
---
{apiVersion: v1, kind: Service, metadata: {name: none, namespace: hooks-none}, spec: {selector: {app: none}, ports: [{port: 443}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: dead, namespace: hooks-dead}, spec: {selector: {app: dead}, ports: [{port: 443}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dead, namespace: hooks-dead}
spec:
  replicas: 1
  selector: {matchLabels: {app: dead}}
  template: {metadata: {labels: {app: dead}}, spec: {containers: [{name: c, image: c}]}}
YAML
} | ka apply -f - >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
ka -n hooks-dead rollout status deployment dead --timeout=60s >/dev/null 2>&1
{ webhook hooks-good good configmaps "url: \"$url\", caBundle: $ca"; echo ---
  webhook hooks-none none podtemplates "service: {name: none, namespace: hooks-none}, caBundle: $ca"; echo ---
  webhook hooks-dead dead configmaps "service: {name: dead, namespace: hooks-dead}, caBundle: $ca"
} | ka apply -f - >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }

exits 'what cannot be called fails, the rest goes over' 1 t migrate --yes --settle 8s
out=$(cat "$work/out" "$work/err")
[[ $out = *hooks-none*'has no ready endpoint'* ]]
tap_result $? 'the one without a ready endpoint is named, with the reason' "$out"
[[ $out = *hooks-dead*'taken back'*'failed calling webhook'* ]]
tap_result $? 'the one that the API server cannot call is taken back, and that is said' "$out"
got=$(kb get validatingwebhookconfigurations -o name | grep -c hooks-good)
is 'the one that answers is there' "$got" 1
got=$(kb get validatingwebhookconfigurations -o name | grep -cE 'hooks-(none|dead)')
is 'neither of the others is in the way' "$got" 0
grep -q dry "$work/calls"
tap_result $? 'a dry run went through the webhook in B' "$(sort "$work/calls" 2>/dev/null | uniq -c)"
got=$(kb get configmap -A -o name | grep -c settings)
is 'everything else is there' "$got" 3
kb -n hooks-dead label configmap settings still=works >/dev/null 2>&1
tap_result $? 'B takes changes in the namespace that the dead one guards'

kb -n hooks-none create deployment none --image=c >/dev/null
kb -n hooks-none rollout status deployment none --timeout=60s >/dev/null
exits 'again, with the back end there' 1 t migrate --yes --settle 8s
got=$(kb get validatingwebhookconfigurations -o name | grep -c hooks-none)
is 'the one whose Service has an endpoint now is there' "$got" 1

# Killed between the create and its proof: the journal has the intent alone, and the back end is dead.
python3 - "$work/tandem.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
changed = db.execute("UPDATE effect SET state = 0 "
                     "WHERE ref LIKE '%WebhookConfiguration//hooks-good' AND verb = 'create'").rowcount
db.commit()
sys.exit(changed != 1)
PY
tap_result $? 'the journal has the intent alone'
exits 'plan' 0 t plan
like 'says that it is not proved' "$(cat "$work/out")" 'hooks-good .*cut short.*\[unproven\]'
: >"$work/calls"
exits 'migrate (one is dead still)' 1 t migrate --yes --settle 8s
ok 'proves it' grep -q dry "$work/calls"
exits 'plan, again' 0 t plan
not_ok 'knows it' grep -q unproven "$work/out"
done_testing
