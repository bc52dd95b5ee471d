#!/usr/bin/env bash
# What others are told of a run: hooks in their order and signed, Events and a ConfigMap in both
# clusters, the record that another machine can read, and what of it all is left at the end: nothing.
. "$(dirname "$0")/lib.sh"
bed_ready a b
config bare
ns=notice-$$
port=$BED_SPARE_PORT
printf 's3cret\n' >"$work/hook.secret"
cat >"$work/receiver.py" <<'PY'
# Answers the webhook: each body on a line of FILE, and whether its signature is what
# docs/NOTICES.md says it is.
import hashlib, hmac, http.server, sys
secret, out = open(sys.argv[2], "rb").read().rstrip(b"\n"), open(sys.argv[3], "a", buffering=1)
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        want = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        ok = hmac.compare_digest(want, self.headers["X-Tandem-Signature"])
        out.write('{"ok": %s, "body": %s}\n' % (str(ok).lower(), body.decode()))
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
PY
python3 "$work/receiver.py" "$port" "$work/hook.secret" "$work/received" &
receiver=$!
trap 'kill $receiver; rm -rf "$work"' EXIT
within 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
cat >>"$work/tandem.yaml" <<YAML
hooks:
  - {name: log, on: [before, after, failed, terminal], exec: [sh, -c, 'echo "\$TANDEM_EVENT \$TANDEM_STAGE" >>calls; cat >/dev/null']}
  - {name: window, on: [before], stages: [retire], exec: [test, -e, window-open], retries: 0, policy: fail}
  - {name: web, on: [after, failed, terminal], url: "http://127.0.0.1:$port/hook", secretFile: hook.secret}
  - {name: dead, on: [after], stages: [migrate], url: "http://127.0.0.1:1/hook", retries: 1}
YAML
received() { jq -r "$1" "$work/received" 2>/dev/null; }
state() { # CONTEXT KEY
    kubectl --context "$1" get configmap -n tandem-system tandem-test -o json 2>/dev/null | jq -r ".data.$2"
}
reasons() { # CONTEXT NAMESPACE: of tandem's Events, in their order
    kubectl --context "$1" get events -n "$2" -o json |
        jq -r '[.items[] | select(.reportingComponent == "tandem.dev/tandem")] | sort_by(.eventTime) | map("\(.action) \(.reason)") | join(", ")'
}
gone() { # CONTEXT
    ! kubectl --context "$1" get namespace tandem-system >/dev/null 2>&1
}

ka create namespace "$ns" >/dev/null
ka create secret generic -n "$ns" key --from-literal=k=not-for-anybody-4711 >/dev/null
for i in 1 2 3; do ka create configmap -n "$ns" "c$i" --from-literal=a=1 >/dev/null; done

# --- a run that is taken back ---
exits 'plan tells nobody' 0 t plan
not_ok 'no hook was called' test -e "$work/calls"
ok 'and nothing was made' gone paas-a
exits 'migrate' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --yes --settle 1s
cp "$work/err" "$work/err.migrate"
is 'the hooks were called in order' "$(paste -sd, "$work/calls")" 'before migrate,after migrate'
is 'the webhook too, and its signature is right' "$(received '"\(.ok) \(.body.event) \(.body.stage) \(.body.environment)"')" \
    'true after migrate test'
like 'who does not answer is told of' "$(cat "$work/err.migrate")" 'hook dead \(after migrate\)'
is 'the audit trail has each call' "$(t history | grep -o 'hook [a-z]*: [a-z]* [a-z]*' | paste -sd,)" \
    'hook log: before migrate,hook log: after migrate,hook web: after migrate,hook dead: after migrate'
run=$(t history -o json | jq -r '.[-1].run')
for c in paas-a paas-b; do
    is "$c: a ConfigMap says what is under way" "$(state $c run) $(state $c stage) $(state $c state) $(state $c from)$(state $c to)" "$run migrate done ab"
    is "$c: and Events" "$(reasons $c tandem-system)" 'Migrate StageBegins, Migrate StageDone'
    like "$c: as kubectl shows them" "$(kubectl --context $c get events -n tandem-system)" 'configmap/tandem-test +upgrade of test from a to b'
done

# --- the record ---
mkdir "$work/elsewhere"
sed "s|^journal: .*|journal: $work/elsewhere/tandem.db|" "$work/tandem.yaml" >"$work/elsewhere/tandem.yaml"
exits 'another machine sees the history' 0 "$TANDEM" history --from-cluster -f "$work/elsewhere/tandem.yaml"
cp "$work/out" "$work/elsewhere/history"
like 'verified' "$(cat "$work/err")" "record [0-9]+ of run $run in b, .*chain of [0-9]+ events is whole"
is 'as it is here' "$(cat "$work/elsewhere/history")" "$(t history)"
not_ok 'and makes no journal' test -e "$work/elsewhere/tandem.db"
exits 'a reader does, too' 0 bash -c 'sed "s/context: paas-a}/context: paas-a-reader}/; s/context: paas-b}/context: paas-b-nosecrets}/" "$2" >"$2.reader" && "$1" history --from-cluster -f "$2.reader"' _ "$TANDEM" "$work/elsewhere/tandem.yaml"
parts() { # all text of the record
    kb get configmap -n tandem-system -o json | jq -r '.items[].data | to_entries[] | select(.key | test("^part")) | .value' |
        while read -r p; do base64 -d <<<"$p" | zcat; done
}
parts >"$work/parts"
like 'the record has the objects' "$(grep -c "ConfigMap/$ns/c[123]" "$work/parts")" '^[1-9]'
like 'the Secret as well' "$(grep -c "Secret/$ns/key" "$work/parts")" '^[1-9]'
not_ok 'but not what is in it' grep -q -e not-for-anybody -e "$(printf not-for-anybody-4711 | base64)" "$work/parts"
m=$(kb get cm -n tandem-system tandem-record-test-0 -o json)
is 'its hash can be checked by hand, as docs/RECORD.md says' "$(jq -r .data.head <<<"$m" | tr -d '\n' | sha256sum | cut -d' ' -f1)" "$(jq -r .data.sha256 <<<"$m")"
exits 'migrate again, with more' 0 bash -c 'kubectl --context paas-a create configmap -n "$2" c4 --from-literal=a=1 >/dev/null; "$1" migrate -f "$3" --yes --settle 1s' _ "$TANDEM" "$ns" "$work/tandem.yaml"
ok 'the other half is written' kb get cm -n tandem-system tandem-record-test-1
kb patch cm -n tandem-system tandem-record-test-1 --type merge -p '{"data":{"part-1":"AAAA"}}' >/dev/null
exits 'with that half damaged' 0 "$TANDEM" history --from-cluster -f "$work/elsewhere/tandem.yaml"
is 'the older one is shown' "$(cat "$work/out")" "$(cat "$work/elsewhere/history")"
like 'and it says so' "$(cat "$work/err")" 'one half of the record cannot be used'
is 'nothing of it is migrated' "$(t plan -o json | jq -r '.objects[] | select(.namespace == "tandem-system" or .name == "tandem-system") | .verdict' | grep -v skip)" ''

: >"$work/calls"; : >"$work/received"
exits 'unmigrate' 0 "$TANDEM" unmigrate -f "$work/tandem.yaml" --yes
is 'told from its beginning to its end' "$(paste -sd, "$work/calls")" 'before unmigrate,after unmigrate,terminal unmigrate'
is 'with the reason' "$(received 'select(.body.event == "terminal") | "\(.ok) \(.body.reason)"')" 'true taken back'
for c in paas-a paas-b; do
    ok "$c: nothing is left of it" within 30 gone $c
    like "$c: but its end can be read" "$(reasons $c default)" 'Unmigrate RunEnded$'
done
exits 'no record is left' 1 "$TANDEM" history --from-cluster -f "$work/elsewhere/tandem.yaml"
like 'which is said' "$(cat "$work/err")" 'neither cluster has a record'

# --- a run to its end ---
: >"$work/calls"; : >"$work/received"
exits 'migrate' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --yes --settle 1s
exits 'activate' 0 "$TANDEM" activate -f "$work/tandem.yaml" --yes
exits 'retire is refused by a hook' 4 "$TANDEM" retire -f "$work/tandem.yaml" --yes
like 'which is named' "$(cat "$work/err")" 'hook window refuses retire'
is 'and told of' "$(tail -2 "$work/calls" | paste -sd,) $(received 'select(.body.stage == "retire") | .body.event')" 'before retire,failed retire failed'
like 'the run is open' "$(t status)" "$run|open|migrate"
is 'kubectl shows the failure' "$(state paas-a stage) $(state paas-a state)" 'retire failed'
touch "$work/window-open"
exits 'retire, with the window open' 0 "$TANDEM" retire -f "$work/tandem.yaml" --yes
is 'is told of' "$(tail -3 "$work/calls" | paste -sd,)" 'before retire,after retire,terminal retire'
for c in paas-a paas-b; do
    ok "$c: nothing is left of it" within 30 gone $c
    like "$c: but its end can be read" "$(reasons $c default)" 'Retire RunEnded$'
done

# --- signatures ---
for k in jo eve; do ssh-keygen -q -t ed25519 -N '' -C $k -f "$work/$k"; done
echo "jo@example.com $(cut -d' ' -f1,2 "$work/jo.pub")" >"$work/signers"
exits 'the history is signed' 0 "$TANDEM" history -f "$work/tandem.yaml" --sign "$work/jo"
exits 'and verified' 0 "$TANDEM" history -f "$work/tandem.yaml" --verify --signers "$work/signers"
like 'by whom' "$(cat "$work/err")" 'signed .* by jo@example\.com'
exits 'without signers, too' 0 "$TANDEM" history -f "$work/tandem.yaml" --verify
like 'which proves less' "$(cat "$work/err")" 'nobody vouches'
echo "eve $(cut -d' ' -f1,2 "$work/eve.pub")" >"$work/others"
exits 'a key that is not among the signers' 1 "$TANDEM" history -f "$work/tandem.yaml" --verify --signers "$work/others"
cp "$work/tandem.db" "$work/whole.db"
python3 - "$work/tandem.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("DROP TRIGGER event_kept")
db.execute("DELETE FROM event WHERE id > (SELECT max(id) - 2 FROM event)")
db.execute("UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM event) WHERE name = 'event'")
db.commit()
PY
exits 'a history that was cut, by who knew how' 1 "$TANDEM" history -f "$work/tandem.yaml" --verify --signers "$work/signers"
like 'is found out by the signature' "$(cat "$work/err")" 'the history was cut'
rm -f "$work"/tandem.db*

# --- with the least rights ---
user() { kubectl --context "$1" auth whoami -o json | jq -r .status.userInfo.username; }
for p in a:source:paas-a-nobody b:destination:paas-b-reader; do
    IFS=: read -r slot role context <<<"$p"
    "$TANDEM" rbac "$slot" --context-a paas-a --context-b paas-b | kubectl --context "paas-$slot" apply -f - >/dev/null
    kubectl --context "paas-$slot" create clusterrolebinding "notice-$slot" --clusterrole "tandem-$role" --user "$(user "$context")" >/dev/null
done
ka create rolebinding -n tandem-system notice-a --role tandem-source --user "$(user paas-a-nobody)" >/dev/null
sed -i 's/context: paas-a}/context: paas-a-nobody}/; s/context: paas-b}/context: paas-b-reader}/' "$work/tandem.yaml"
mark_a=$(wc -l <"$BED_A_AUDIT") mark_b=$(wc -l <"$BED_B_AUDIT")
exits 'migrate with the roles of tandem rbac' 0 "$TANDEM" migrate -f "$work/tandem.yaml" --yes --settle 1s
not_ok 'both clusters could be told' grep -q -e 'is not told' -e 'not mirrored' "$work/err"
is 'as they were' "$(state paas-a stage) $(state paas-b stage)" 'migrate migrate'
sleep 1
refused() { # FILE MARK USER: what was forbidden in tandem's namespace
    tail -n +"$(($2 + 1))" "$1" | jq -r --arg u "$3" 'select(.user.username == $u and .objectRef.namespace == "tandem-system"
        and .responseStatus.code == 403) | "\(.verb) \(.requestURI)"'
}
is 'nothing of it was forbidden in A' "$(refused "$BED_A_AUDIT" "$mark_a" "$(user paas-a-nobody)")" ''
is 'nor in B' "$(refused "$BED_B_AUDIT" "$mark_b" "$(user paas-b-reader)")" ''
done_testing
