#!/usr/bin/env bash
# The main job, end to end on two real control planes: A to B with everything that may go between,
# and then the next upgrade B to A with the same file.
. "$(dirname "$0")/lib.sh"
bed_ready a b lb
ok 'the sample platform loads into A' "$root/demo/load" --context paas-a
config

# --- looking changes nothing ---
reads_only() { # lines of the audit log since mark $1 that are writes by the test's credential
    tail -n +"$(($1 + 1))" "$BED_A_AUDIT" | jq -r 'select(.user.username == "bed:reader")
        | select(.verb | test("^(get|list|watch)$") | not)
        | select(.objectRef.resource | test("selfsubject") | not)
        | "\(.verb) \(.requestURI)"'
}
mark=$(wc -l <"$BED_A_AUDIT")
cd "$work" || exit 1
exits 'doctor on two contexts, no file, read-only' 2 \
    "$TANDEM" doctor --context-a paas-a-reader --context-b paas-b --read-only
exits 'plan on two contexts, no file, read-only' 0 \
    "$TANDEM" plan --context-a paas-a-reader --context-b paas-b --read-only
like 'plan counts its requests' "$(cat "$work/err")" 'A: [0-9]+ reads, 0 writes\. B: [0-9]+ reads, 0 writes\.'
sleep 1
is "A's audit log shows reads only" "$(reads_only "$mark")" ''
not_ok 'no journal was made by looking' test -e "$work/tandem.db"
exits 'explain knows what lists leave out' 0 "$TANDEM" explain -n shop -f tandem.yaml \
    "EndpointSlice/$(ka get endpointslice -n shop -l endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io -o jsonpath='{.items[0].metadata.name}')"
like 'and says which rule does' "$(cat "$work/out")" 'endpointslice-managed'
is 'a plan does not' "$("$TANDEM" plan -f tandem.yaml -o json 2>/dev/null | jq '[.objects[] | select(.kind == "EndpointSlice")] | length')" \
    "$(ka get endpointslice -A -l 'endpointslice.kubernetes.io/managed-by notin (endpointslice-controller.k8s.io,endpointslicemirroring-controller.k8s.io)' -o name | wc -l)"
exits 'migrate is refused under --read-only' 4 "$TANDEM" migrate -f tandem.yaml --read-only --yes
exits 'migrate is refused without --yes and a terminal' 4 "$TANDEM" migrate -f tandem.yaml

# --- recreate ---
exits 'plan --detailed-exitcode says that there is work' 2 "$TANDEM" plan -f tandem.yaml --detailed-exitcode
exits 'plan is frozen' 0 "$TANDEM" plan -f tandem.yaml --out plan.json
not_ok 'no Secret value is in the plan' grep -q -e "$(ka get secret -n shop -o json |
    jq -r '[.items[].data // {} | .[] | select(length > 12)][0]')" plan.json
sed 's/"create"/"crEate"/' plan.json >bent.json
exits 'a plan that was changed by hand is refused' 1 "$TANDEM" migrate bent.json -f tandem.yaml --yes
exits 'a part is migrated' 0 "$TANDEM" migrate -f tandem.yaml -n auth --yes
exits 'but a part unlocks no cutover' 4 "$TANDEM" cutover -f tandem.yaml --yes
exits 'a namespace that is not there is named' 0 "$TANDEM" plan -f tandem.yaml -n nosuch
like 'in a warning' "$(cat err)" 'nosuch'
exits '--stale=refuse: what changed since the plan is refused' 4 bash -c '
    kubectl --context paas-a label configmap -n pulse pulse-config touched=yes >/dev/null
    "$1" migrate plan.json -f tandem.yaml --yes --stale=refuse' _ "$TANDEM"
ka label configmap -n pulse pulse-config touched- >/dev/null
exits 'the plan is made again' 0 "$TANDEM" plan -f tandem.yaml --out plan.json
exits 'migrate carries the plan out' 0 "$TANDEM" migrate plan.json -f tandem.yaml --yes
exits 'verify finds no difference' 0 "$TANDEM" verify -f tandem.yaml
exits 'a second plan says that nothing is left' 0 "$TANDEM" plan -f tandem.yaml --detailed-exitcode
exits 'the independent comparison finds no difference' 0 \
    python3 "$root/tests/lib/compare.py" --wait 40

versions() { kb get "$(kb api-resources --verbs=list -o name | grep -v -e '^events' -e leases |
    grep -v -e componentstatuses -e '^nodes' -e csinodes | paste -sd,)" -A -o json 2>/dev/null |
    jq -r '.items[] | select(.kind != "HorizontalPodAutoscaler") | "\(.kind) \(.metadata.namespace) \(.metadata.name) \(.metadata.uid)"' | sort; }
before=$(versions)
exits 'migrate again' 0 "$TANDEM" migrate -f tandem.yaml --yes
like 'changes nothing' "$(cat "$work/out" "$work/err")" $'(^|\n)0 written,|B: [0-9]+ reads, 0 writes'
is 'no object of B was made or replaced by it' "$(versions | grep -v -e '^Pod ' -e '^Job ')" \
    "$(printf '%s\n' "$before" | grep -v -e '^Pod ' -e '^Job ')"

# --- A lives on ---
ka create configmap -n pulse late --from-literal=a=1 >/dev/null
ka delete configmap -n shop prices-2016-08 >/dev/null
ka patch configmap -n pulse pulse-config --type merge -p '{"data":{"late":"yes"}}' >/dev/null
exits 'verify sees what A has done since' 2 "$TANDEM" verify -f tandem.yaml
like 'what is new' "$(cat out)" 'create ConfigMap late'
like 'what has changed, by field' "$(cat out)" '/data/late'
like 'what is gone' "$(cat out)" 'gone from the source.*ConfigMap shop/prices-2016-08'
exits 'migrate carries creates and changes over' 0 "$TANDEM" migrate -f tandem.yaml --yes
is 'the change is in B' "$(kb get configmap -n pulse pulse-config -o jsonpath='{.data.late}')" yes
kb delete configmap -n shop prices-2016-08 >/dev/null
exits 'and verify is content' 0 "$TANDEM" verify -f tandem.yaml

# --- what kubectl sees in B ---
is 'every Deployment is ready' "$(kb get deploy -A -o json | jq -r '.items[]
    | select((.status.readyReplicas // 0) < .spec.replicas and (.spec.paused | not))
    | .metadata.name')" ''
is "the owner's suspended CronJob is suspended, not held" "$(kb get cronjob -A -o json | jq -r '.items[]
    | select(.metadata.name == "old-report") | "\(.spec.suspend) \(.metadata.annotations["tandem.dev/held"])"')" \
    'true null'
is 'the others are held' "$(kb get cronjob -A -o json | jq -r '[.items[] | select(.spec.suspend | not)] | length')" 0
is "the user's nodePort is kept" "$(kb get svc -n platform ingress -o json | jq '[.spec.ports[].nodePort] | index(30080) != null')" true
is 'the headless Services are headless' "$(ka get svc -A -o json | jq -r '.items[] | select(.spec.clusterIP == "None") | .metadata.name' | sort)" \
    "$(kb get svc -A -o json | jq -r '.items[] | select(.spec.clusterIP == "None") | .metadata.name' | sort)"
uids=$(versions | awk '{print $4}')
stale=$(kb get configmap,secret,deploy,sts,rs,job,pod,pvc,endpointslice -A -o json |
    jq -r '.items[].metadata.ownerReferences[]?.uid' | sort -u | grep -v -x -F "$uids")
is 'no owner reference to a uid that B does not have' "$stale" ''

# --- a slot is one cluster ---
sed 's/context: paas-a}/context: x}/; s/context: paas-b}/context: paas-a}/; s/context: x}/context: paas-b}/' \
    tandem.yaml >swapped.yaml
exits 'contexts that suddenly mean other clusters are refused' 4 "$TANDEM" plan -f swapped.yaml
like 'and it says why' "$(cat err)" 'belongs to the cluster'

# --- switch, back, switch ---
is 'live is answered by A' "$(who "$BED_LIVE_URL")" a
exits 'retire is refused before anything has moved' 4 "$TANDEM" retire -f tandem.yaml --yes
exits 'smoke passes on pre-live' 0 "$TANDEM" smoke -f tandem.yaml
exits 'activate' 0 "$TANDEM" activate -f tandem.yaml --yes
is 'the CronJobs act in B' "$(kb get cronjob -n shop cart-sweeper -o jsonpath='{.spec.suspend}')" false
is 'and are held in A' "$(ka get cronjob -n shop cart-sweeper -o jsonpath='{.spec.suspend}')" true
exits 'cutover' 0 "$TANDEM" cutover -f tandem.yaml --to b --yes
is 'live is answered by B' "$(who "$BED_LIVE_URL")" b
is 'pre-live leads to A, which is idle' "$(who "$BED_PRELIVE_URL")" a
is 'the map file says the same' "$(awk '$1 == "frontend.pct_b" {print $2}' "$BED_HAPROXY_MAP")" 100
exits 'verify counts held objects as the same, also now' 0 "$TANDEM" verify -f tandem.yaml
mv tandem.db away.db
exits 'without the journal switch-back asks where back is' 64 "$TANDEM" switch-back -f tandem.yaml --yes
exits 'and goes there' 0 "$TANDEM" switch-back -f tandem.yaml --to a --traffic-only --yes
is 'live is answered by A, without any journal' "$(who "$BED_LIVE_URL")" a
rm -f tandem.db*
mv away.db tandem.db
exits 'the journal that knows nothing of it is not believed' 4 "$TANDEM" cutover -f tandem.yaml --yes
exits 'until what is observed is adopted' 0 "$TANDEM" adopt -f tandem.yaml --yes
exits 'cutover, once more' 0 "$TANDEM" cutover -f tandem.yaml --yes
exits 'switch-back' 0 "$TANDEM" switch-back -f tandem.yaml --yes
is 'live is answered by A again' "$(who "$BED_LIVE_URL")" a
is 'pre-live leads to B again' "$(who "$BED_PRELIVE_URL")" b
is 'the CronJobs act in A again' "$(ka get cronjob -n shop cart-sweeper -o json |
    jq -r '"\(.spec.suspend) \(.metadata.annotations["tandem.dev/held"])"')" 'false null'
is 'and are held in B' "$(kb get cronjob -n shop cart-sweeper -o jsonpath='{.spec.suspend}')" true
# --- a cutover that goes wrong takes the traffic back by itself ---
"$TANDEM" cutover -f tandem.yaml --steps 50,100 --hold 20s --yes >abort.out 2>abort.err &
cutover=$!
within 10 sh -c 'test "$(awk "\$1 == \"frontend.pct_b\" {print \$2}" "$1")" = 50' _ "$BED_HAPROXY_MAP"
sleep 4
bed stop b ingress --kill >/dev/null 2>&1
got=0
wait "$cutover" || got=$?
is 'a cutover that loses requests ends with 1' "$got" 1
like 'and says what was lost and where the traffic is' "$(cat abort.err)" 'probe pulse lost .*the traffic is back on a'
is 'live is answered by A' "$(who "$BED_LIVE_URL")" a
bed start b ingress >/dev/null 2>&1

# --- switch-back from another terminal, while a cutover is under way ---
"$TANDEM" cutover -f tandem.yaml --steps 50,100 --hold 20s --yes >race.out 2>race.err &
cutover=$!
within 10 sh -c 'test "$(awk "\$1 == \"frontend.pct_b\" {print \$2}" "$1")" = 50' _ "$BED_HAPROXY_MAP"
exits 'switch-back beside a cutover' 0 "$TANDEM" switch-back -f tandem.yaml --traffic-only --yes
got=0
wait "$cutover" || got=$?
is 'the cutover gives way' "$got" 4
like 'and says so' "$(cat race.err)" 'moved by somebody else'
is 'live stays with A' "$(who "$BED_LIVE_URL")" a

# --- and beside one that is stopped, and wakes up when the traffic has been taken over ---
"$TANDEM" cutover -f tandem.yaml --steps 50,100 --hold 3s --no-probe --yes >stopped.out 2>stopped.err &
cutover=$!
within 10 sh -c 'test "$(awk "\$1 == \"frontend.pct_b\" {print \$2}" "$1")" = 50' _ "$BED_HAPROXY_MAP"
sleep 1
kill -STOP "$cutover"
"$TANDEM" switch-back -f tandem.yaml --traffic-only --yes >back.out 2>back.err &
back=$!
ok 'beside a stopped cutover live is answered by A at once' within 4 sh -c \
    'test "$(awk "\$1 == \"frontend.pct_b\" {print \$2}" "$1")" = 0' _ "$BED_HAPROXY_MAP"
is 'live is answered by A' "$(who "$BED_LIVE_URL")" a
wait "$back" # what it did is recorded if the other lets go of the journal within five seconds
is 'switch-back ends well' $? 0
# As it left it: it sees no other share than its own, and must go by the claim.
sed -i --follow-symlinks 's/^frontend\.pct_b .*/frontend.pct_b 50/' "$BED_HAPROXY_MAP"
echo "set map $BED_HAPROXY_MAP frontend.pct_b 50" | socat -t 5 - "$BED_HAPROXY_SOCKET" >/dev/null
kill -CONT "$cutover"
got=0
wait "$cutover" || got=$?
is 'awake again it is refused' "$got" 4
like 'and says why' "$(cat stopped.err)" 'taken over by another command'
is 'nothing was moved forward' "$(awk '$1 == "frontend.pct_b" {print $2}' "$BED_HAPROXY_MAP")" 50
exits 'back, once more' 0 "$TANDEM" switch-back -f tandem.yaml --traffic-only --yes

# --- the way back with B dead ---
exits 'activate, before B dies' 0 "$TANDEM" activate -f tandem.yaml --yes
bed stop b apiserver --kill >/dev/null 2>&1
exits 'switch-back with B dead: what acts there is not held' 1 "$TANDEM" switch-back -f tandem.yaml --yes
is 'the CronJobs act in A' "$(ka get cronjob -n shop cart-sweeper -o jsonpath='{.spec.suspend}')" false
bed start b apiserver >/dev/null 2>&1
exits 'B is back: deactivate holds what acts in both' 0 "$TANDEM" deactivate -f tandem.yaml --yes
is 'as it says' "$(grep -c 'acted in both; held in b now' out)" 5
is 'the CronJobs are held in B' "$(kb get cronjob -n shop cart-sweeper -o jsonpath='{.spec.suspend}')" true

exits 'activate again' 0 "$TANDEM" activate -f tandem.yaml --yes
exits 'cutover again' 0 "$TANDEM" cutover -f tandem.yaml --yes
exits 'retire' 0 "$TANDEM" retire -f tandem.yaml --yes
like 'retire says what is to be destroyed' "$(cat "$work/out")" 'context paas-a'
exits 'the audit trail is whole' 0 "$TANDEM" history -f tandem.yaml --verify
for side in a b; do
    within 30 sh -c "! kubectl --context paas-$side get ns tandem-system >/dev/null 2>&1"
    tap_result $? "nothing of tandem's is left in $side" "$(kubectl --context "paas-$side" get lease,secret -n tandem-system 2>&1)"
done
exits 'nothing is left to retire' 4 "$TANDEM" retire -f tandem.yaml --yes

# --- the next upgrade, B to A, with the same file ---
bed reset a >/dev/null 2>&1
exits 'B to A: migrate' 0 "$TANDEM" migrate -f tandem.yaml --yes
exits 'B to A: verify' 0 "$TANDEM" verify -f tandem.yaml
exits 'B to A: the independent comparison finds no difference' 0 \
    python3 "$root/tests/lib/compare.py" --context-a paas-b --context-b paas-a --wait 40
exits 'B to A: smoke' 0 "$TANDEM" smoke -f tandem.yaml
exits 'B to A: activate' 0 "$TANDEM" activate -f tandem.yaml --yes
exits 'B to A: cutover' 0 "$TANDEM" cutover -f tandem.yaml --to a --yes
is 'B to A: live is answered by A' "$(who "$BED_LIVE_URL")" a
exits 'B to A: retire' 0 "$TANDEM" retire -f tandem.yaml --yes
done_testing
