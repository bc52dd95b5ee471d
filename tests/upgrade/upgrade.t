#!/usr/bin/env bash
# The whole upgrade as one command: gates and who approves, stopped, killed and gone on with, aborted
# from another terminal and by a probe while it waits.
. "$(dirname "$0")/lib.sh"
bed_ready a b lb
ok 'the sample platform loads into A' "$root/demo/load" --context paas-a
config
sed -i 's/^  hold: 1s/  hold: 3s\n  bake: 3s/' "$work/tandem.yaml"
cat >>"$work/tandem.yaml" <<YAML
gates:
  before: [migrate, activate, switch]
  checks: {switch: [[test, -e, $work/go]]}
follow: {maxLag: 20s}
YAML
cd "$work" || exit 1
up() { "$TANDEM" "$@" -f tandem.yaml --yes --settle 5s; }
as() { # USER COMMAND...: who it is for the record
    local who=$1
    shift
    USER=$who "$TANDEM" "$@" -f tandem.yaml
}
field() { "$TANDEM" status -f tandem.yaml -o json 2>/dev/null | jq -r "$1"; }
moving() { # STAGE [SECONDS]: until a move there is under way
    python3 - tandem.db "$1" "${2:-60}" <<'PY'
import sqlite3, sys, time
end = time.time() + float(sys.argv[3])
while time.time() < end:
    try:
        c = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
        if c.execute("SELECT 1 FROM move WHERE to_stage = ? AND state = 'intent'", sys.argv[2:3]).fetchone():
            sys.exit(0)
        c.close()
    except sqlite3.Error:
        pass
    time.sleep(0.05)
sys.exit(1)
PY
}
at_gate() { # STAGE: until the holder says that it waits there
    within 60 sh -c '[ "$("$1" status -f tandem.yaml -o json 2>/dev/null | jq -r .live.gate)" = "$2" ]' _ "$TANDEM" "$1"
}
start() { # COMMAND...: in the background, $pid
    "$TANDEM" "$@" -f tandem.yaml --yes --settle 5s >bg.out 2>bg.err &
    pid=$!
}
ended() { # NAME WANTED
    local got=0
    wait "$pid" || got=$?
    [ "$got" = "$2" ]
    tap_result $? "$1" "exit $got, wanted $2"$'\n'"$(tail -30 bg.err)"
}
killed() { # STAGE: a resume that is killed on its way there
    start resume --wait
    moving "$1" 90
    tap_result $? "$1 is under way" "$(tail -20 bg.err)"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    is "$1: status says what was interrupted" "$(field '"\(.underWay) \(.holder)"')" "$1 none"
}
cron() { # CONTEXT: does the CronJob act there
    kubectl --context "$1" get cronjob -n shop cart-sweeper -o jsonpath='{.spec.suspend}'
}

# --- wrong words, and a gate with nobody to ask ---
exits 'a stage that is none' 64 up upgrade --until swich
like 'the nearest is named' "$(cat err)" 'did you mean switch'
exits 'nothing to resume yet' 4 up resume
exits 'a gate with nobody to ask ends it with 3' 3 up upgrade
like 'it says which, and what to do' "$(cat err)" 'gate before migrate: 0 of 1 approvals.*tandem approve migrate'
is 'preflight is done, nothing is written' "$(field .stage) $(kb get ns shop -o name 2>/dev/null)" 'preflight '
exits 'what cannot be reached from there is refused' 4 up upgrade --from switch
like 'with what can' "$(cat err)" 'it can go to migrate'
exits 'approve, as somebody else' 0 as bob approve migrate --reason 'read the plan'
exits 'not what lies behind' 4 as bob approve preflight
exits 'nor what is no stage' 64 as bob approve swich
like 'and it names the near one' "$(cat err)" 'did you mean switch'
exits 'nor what nobody has to approve' 4 as bob approve bake
like 'and says what is asked' "$(cat err)" 'people are asked before .*retire'
exits 'nor what live sync might ask, when nothing follows' 1 as bob approve deletes
is 'status says who approved' "$(field '.gates[] | select(.before == "migrate") | .approvedBy[0] | split("@")[0]')" bob
like 'and the text too' "$("$TANDEM" status -f tandem.yaml 2>/dev/null)" 'migrate +gate: 1 of 1 approvals \(bob@'

# --- killed in migrate, and on ---
killed migrate
exits 'another command says in one line that a run was interrupted' 4 as ann retire --yes
like 'which' "$(cat err)" 'interrupted on its way from preflight to migrate: `tandem resume`'
killed follow
exits 'resume goes on, to the next gate' 3 up resume
like 'before activate' "$(cat err)" 'gate before activate'
is 'at test' "$(field .stage)" test
exits 'verify finds no difference' 0 "$TANDEM" verify -f tandem.yaml
is 'nothing was examined twice' "$(field '[.moves[] | select(.to == "preflight" and .state == "done")] | length')" 1

# --- waiting at a gate: others look, approve, and may not run it too ---
start resume --wait
ok 'it waits at the gate' at_gate activate
like 'status shows where' "$("$TANDEM" status -f tandem.yaml 2>/dev/null)" 'activate +WAITS HERE, gate: 0 of 1 approvals'
exits 'status -w where there is no terminal writes lines' 0 \
    timeout --preserve-status -s INT 5 "$TANDEM" status -w -f tandem.yaml
like 'one for each change' "$(tail -n 1 out)" '^[^ ]+Z  run r-[^ ]+ at test; 0 % on b; live sync [^;]*; 0 of 1 approvals$'
exits 'a second one is refused' 4 up resume
like 'with who holds it' "$(cat err)" 'in use by process [0-9]+'
exits 'approve without a word is that gate' 0 as bob approve --reason 'looked at it'
like 'and says so' "$(cat out)" 'approved by bob@.*: activate'
ok 'it goes on to the next' at_gate switch
is 'the CronJobs act in B' "$(cron paas-a) $(cron paas-b)" 'true false'
exits 'approved, but a check does not hold' 0 as bob approve switch
ok 'it says which' within 20 grep -q 'check test -e .*/go does not hold: exit code 1' bg.err

# --- abort from a second terminal ---
exits 'abort' 0 as ann abort --reason 'not on a Friday' --yes
like 'says where it stands' "$(cat out)" 'stands at migrate'
ended 'the one that waited ends' 1
like 'and says who and why' "$(cat bg.err)" 'aborted: ann@.*not on a Friday'
is 'the CronJobs act in A again' "$(cron paas-a) $(cron paas-b)" 'false true'
is 'live is answered by A' "$(who "$BED_LIVE_URL")" a
is 'the run is open, at migrate' "$(field '"\(.stage) \(.run != "")"')" 'migrate true'

# --- approvals of before count no more; killed in activate and in switch ---
exits 'the gates are asked again' 3 up resume
like 'the old approval is named' "$(cat err)" 'given before the run went back'
touch go
exits 'approve both' 0 as bob approve activate
exits 'and the other' 0 as bob approve switch
killed activate
killed switch
killed bake
exits 'resume goes on to the end of the bake' 0 up resume --until bake
is 'live is answered by B' "$(who "$BED_LIVE_URL")" b
is 'pre-live leads to A' "$(who "$BED_PRELIVE_URL")" a
is 'the CronJobs act in B' "$(cron paas-a) $(cron paas-b)" 'true false'
is 'every forward move is done once since' "$(field '[.moves[] | select(.state == "done" and .to == "switch")] | length')" 1

# --- a probe that breaks while it waits, and nothing is to be taken back by itself ---
sed -i 's/^  steps: .*/&\n  onAbort: stop/' tandem.yaml
start resume --wait --until retire
ok 'it waits at the last gate' at_gate retire
sleep 4
bed stop b ingress --kill >/dev/null 2>&1
ended 'onAbort: stop: it ends by itself' 1
bed start b ingress >/dev/null 2>&1
like 'it says that a person has to decide' "$(cat bg.err)" 'NOTHING IS TAKEN BACK.*a person has to decide between .tandem switch-back. and .tandem resume.'
is 'nothing was' "$(who "$BED_LIVE_URL") $(cron paas-a) $(cron paas-b) $(field .stage)" 'b true false bake'
like 'kubectl shows it' "$(kb get events -n tandem-system)" 'Warning +NothingTakenBack .*probe pulse lost'
sed -i '/^  onAbort: stop/d' tandem.yaml

# --- the same, and back ---
start resume --wait --until retire
ok 'before retire there is always a gate' at_gate retire
like 'the text has the probes' "$("$TANDEM" status -f tandem.yaml 2>/dev/null)" 'pulse +[0-9]+ ok'
sleep 4
bed stop b ingress --kill >/dev/null 2>&1
ended 'it aborts by itself' 1
like 'and says why' "$(cat bg.err)" 'aborted: probe pulse lost .*everything is back on a'
is 'live is answered by A' "$(who "$BED_LIVE_URL")" a
is 'the CronJobs act in A' "$(cron paas-a) $(cron paas-b)" 'false true'
bed start b ingress >/dev/null 2>&1

# --- abort without anybody who carries it out ---
exits 'up to activate' 0 up resume --approve activate --until activate
exits 'abort acts itself' 0 as ann abort --yes
is 'the CronJobs act in A once more' "$(cron paas-a) $(cron paas-b) $(field .stage)" 'false true migrate'

# --- a probe that breaks before any traffic was moved ---
start resume --wait
ok 'it waits' at_gate activate
sleep 4
bed stop a ingress --kill >/dev/null 2>&1
ended 'it ends by itself' 1
like 'and says that nothing was moved' "$(cat bg.err)" 'aborted before any traffic was moved: probe pulse lost'
bed start a ingress >/dev/null 2>&1
is 'the CronJobs act in A' "$(cron paas-a) $(cron paas-b)" 'false true'

# --- ^C, and to the end ---
start resume --wait
ok 'it waits again' at_gate activate
kill -INT "$pid"
ended '^C leaves it resumable' 130
exits 'to the bake, with the gates that are named' 0 up resume --approve activate,switch --until bake
exits 'somebody hands the singletons back' 0 "$TANDEM" deactivate -f tandem.yaml --yes
exits 'nobody is asked to approve what would be refused' 4 up resume --until retire --no-wait
like 'which says why' "$(cat err)" 'singletons are still held in b and act in a: .tandem activate'
exits 'they are handed over again' 0 "$TANDEM" activate -f tandem.yaml --yes
exits 'to the end' 0 up resume --until retire --approve retire
is 'live is answered by B' "$(who "$BED_LIVE_URL")" b
is 'no run is open' "$(field .run)" ''
exits 'the audit trail is whole' 0 "$TANDEM" history -f tandem.yaml --verify
like 'it has moves and approvals' "$(cat out)" 'approved: migrate: read the plan.*stage preflight -> migrate: done'
done_testing
