#!/usr/bin/env bash
# The whole way back: from every weight, with the journal and without, from every state, with B dead
# or hanging and with both dead, after kill -9 at counted points, and by itself. Each time a script
# that knows nothing of tandem looks whether all is back (tests/lib/is_back.py).
#
#   BACK_POINTS=N   kills at so many points of the way back (default 6), others each day
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/back.lib.sh"
needs_faults
bed_ready a b lb
traffic_config
platform
ok 'the page answers in A' within 30 serves a

there() { # NAME WEIGHT [activate]: away from the source
    local name=$1 weight=$2
    [ "${3:-}" != activate ] || exits "$name: activate" 0 t activate --yes
    [ "$weight" = 0 ] || exits "$name: cutover to $weight %" 0 t cutover --yes --no-probe --steps "$weight"
    is "$name: the traffic is there" "$(share)" "$weight"
}
losses() { t status -o json | jq -c ".wayBack.losses | $1"; }

remembered
exits 'migrate' 0 t migrate --yes --settle 20s
ok 'the page answers in B' within 30 serves b
is_back 'migrated, nothing moved'
exits 'with nothing moved there is nothing to lose, as status says' 0 t status
like 'in words' "$(cat "$work/out")" 'nothing is lost'

# --- from every weight, with the journal and without ---
for weight in 0 1 5 50 100; do
    for journal in with without; do
        name="$weight %, $journal journal"
        there "$name" "$weight" activate
        not_ok "$name: the script sees that it is not back" "${look[@]}" check "$work/before" \
            --map "$BED_HAPROXY_MAP" --socket "$BED_HAPROXY_SOCKET"
        if [ $journal = with ]; then
            exits "$name: switch-back" 0 t switch-back --yes --reason "test of $weight"
            is_back "$name" --journal "$work/tandem.db"
            continue
        fi
        mkdir "$work/away" && mv "$work"/tandem.db* "$work/away"
        exits "$name: switch-back" 0 t switch-back --to a --yes
        is_back "$name"
        rm -f "$work"/tandem.db*
        mv "$work"/away/* "$work" && rmdir "$work/away"
        [ "$weight" = 0 ] && continue
        exits "$name: the old journal is not believed" 4 t cutover --yes
        like "$name: and it says what to do" "$(cat "$work/err")" 'tandem adopt'
        exits "$name: adopt" 0 t adopt --yes --reason 'went back without the journal'
    done
done
exits 'the trail has who accepted what' 0 t history
like 'with the words that were accepted' "$(cat "$work/out")" "$(id -un).*switch-back: accepted: not taken back: what b's applications did"
like 'and why it was done' "$(cat "$work/out")" 'switch-back asked for: test of 50'

# --- from the other states ---
there 'half, nothing activated' 50
exits 'half, nothing activated: switch-back' 0 t switch-back --yes
is_back 'half, nothing activated'
exits 'switch-back where all is back already' 0 t switch-back --yes
is_back 'already back'

# --- what would be lost ---
there 'fully' 100 activate
is 'activating and moving lose nothing' "$(losses '[.known, .changed, .created]')" '[true,0,0]'
sleep 1
kb create configmap -n back made-in-b --from-literal=a=1 >/dev/null
kb label deployment -n back pulse touched=yes >/dev/null
is 'an object made in B and one changed there are counted' "$(losses '[.changed, .created, (.objects | sort)]')" \
    '[1,1,["ConfigMap back/made-in-b","Deployment back/pulse"]]'
ok 'how long the way back took is measured' test "$(losses .measuredMs)" -gt 0
at_terminal() { # ANSWER
    script -qec "'$TANDEM' switch-back -f '$work/tandem.yaml'" /dev/null <<<"$1" >"$work/asked" 2>&1
}
got=0
at_terminal n || got=$?
is 'a person is asked, and no is no' "$got $(share) $(acts b)" '4 100 false'
like 'and sees before the question what would be lost' "$(cat "$work/asked")" '1 objects changed and 1 created in b.*go back to a\?'
exits 'fully: switch-back' 0 t switch-back --yes
like 'they are named on the way' "$(cat "$work/err")" '1 objects changed and 1 created in b'
is_back 'fully'
kb delete configmap -n back made-in-b >/dev/null

# --- a reverse sync that nobody runs any more ---
there 'reverse sync' 100 activate
python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?, 0)", ("follow.direction", "r"))
db.commit()' "$work/tandem.db"
kb create configmap -n back late-in-b --from-literal=a=1 >/dev/null
not_ok 'the script sees the direction' "${look[@]}" check "$work/before" --map "$BED_HAPROXY_MAP" \
    --socket "$BED_HAPROXY_SOCKET" --no-source --no-destination --journal "$work/tandem.db"
exits 'reverse sync: switch-back' 0 t switch-back --yes
is_back 'reverse sync' --journal "$work/tandem.db"
if "$TANDEM" --list-commands | grep -q '^follow$'; then
    ok 'what changed in B last was carried back' ka get configmap -n back late-in-b
fi
kb delete configmap -n back late-in-b >/dev/null
ka delete configmap -n back late-in-b --ignore-not-found >/dev/null

# --- killed, and again ---
there 'to count the points' 50 activate
exits 'a switch-back, counted' 0 env TANDEM_CRASH_COUNT="$work/count" "$TANDEM_FAULTS" switch-back -f "$work/tandem.yaml" --yes
points=$(cat "$work/count")
ok "there are points to kill it at ($points)" test "$points" -gt 15
every=$((points / ${BACK_POINTS:-6} + 1))
for ((at = 1 + $(date +%s) / 86400 % every; at <= points; at += every)); do
    there "kill at $at" 50 activate
    exits "kill at $at of $points" 137 killed_at "$at" switch-back -f "$work/tandem.yaml" --yes
    exits "kill at $at: the same command goes on" 0 t switch-back --yes
    is_back "kill at $at" --journal "$work/tandem.db"
done

there 'killed half-way' 50 activate
exits 'kill half-way' 137 killed_at $((points / 2)) switch-back -f "$work/tandem.yaml" --yes
exits 'resume does not go forward from there' 4 t resume --yes
like 'and says what was wanted last' "$(cat "$work/err")" 'a way back \(everything to a\) was begun .* has not ended well'
exits 'which ends it' 0 t switch-back --yes
is_back 'killed half-way' --journal "$work/tandem.db"

# --- dead, hanging, both dead ---
moved_within() { # SECONDS SHARE
    within "$1" sh -c 'test "$(awk "\$1 == \"frontend.pct_b\" {print \$2}" "$1")" = "$2"' _ "$BED_HAPROXY_MAP" "$2"
}
there 'B dead' 100 activate
bed stop b apiserver --kill >/dev/null 2>&1
exits 'B dead: what could not be done is an error' 1 t switch-back --yes
like 'B dead: it is named, with what to do' "$(cat "$work/err")" 'b does not answer.*tandem switch-back. again'
is_back 'B dead' --no-destination
exits 'B dead, once more: still not all of it' 1 t switch-back --yes
bed start b apiserver >/dev/null 2>&1
exits 'B is there again: the same command goes on' 0 t switch-back --yes
is_back 'B is there again'

there 'B hangs' 100 activate
bed signal b apiserver STOP
(t switch-back --yes >"$work/hang.out" 2>"$work/hang.err"; echo $? >"$work/hang.code") &
hang=$!
hang_since=$SECONDS
ok 'B hangs: the traffic is back at once' moved_within 2 0
wait "$hang"
is 'B hangs: it ends, and not well' "$(cat "$work/hang.code")" 1
ok 'B hangs: and is not waited for long' test $((SECONDS - hang_since)) -lt 60
bed signal b apiserver CONT
exits 'B hangs no more' 0 t switch-back --yes
is_back 'B hangs no more'

there 'both dead' 50 activate
bed stop a apiserver --kill >/dev/null 2>&1
bed stop b apiserver --kill >/dev/null 2>&1
exits 'both dead' 1 t switch-back --yes
like 'both dead: it says what stays' "$(cat "$work/err")" 'cluster a does not answer, and what is held there cannot be let loose'
is_back 'both dead' --no-source --no-destination
bed start a apiserver >/dev/null 2>&1
bed start b apiserver >/dev/null 2>&1
exits 'both are there again' 0 t switch-back --yes
is_back 'both are there again' --journal "$work/tandem.db"

# --- by itself ---
aborts() { # NAME WANTED-SHARE: B loses its ingress while half of the traffic is there
    exits "$1: activate" 0 t activate --yes
    t cutover --steps 50,100 --hold 30s --yes >"$work/abort.out" 2>"$work/abort.err" &
    local cutover=$! got=0
    moved_within 10 50
    sleep 4
    bed stop b ingress --kill >/dev/null 2>&1
    wait "$cutover" || got=$?
    cp "$work/err" "$work/abort.err"
    bed start b ingress >/dev/null 2>&1
    is "$1: the cutover ends with 1" "$got" 1
    is "$1: the traffic" "$(share)" "$2"
}
aborts 'abort' 0
like 'abort: it says why' "$(cat "$work/abort.err")" 'probe pulse lost .*the traffic is back on a'
is_back 'abort' --journal "$work/tandem.db"
traffic_config 'onAbort: stop'
cat >>"$work/tandem.yaml" <<YAML
hooks:
  - {name: page, on: [failed], exec: [sh, -c, 'cat >>paged']}
YAML
aborts 'onAbort: stop' 50
like 'onAbort: stop says so' "$(cat "$work/abort.err")" 'NOTHING IS TAKEN BACK'
is 'somebody is called, once, with what was seen' \
    "$(jq -r '[.event, .stage, .percent, .evidence.onAbort, (.evidence.probes[0] | .name, .lost > 0)] | join(" ")' "$work/paged")" \
    'failed switch 50 stop pulse true'
like 'with the reason' "$(jq -r .reason "$work/paged")" 'probe pulse lost .*a person has to decide'
for c in paas-a paas-b; do
    like "$c: kubectl shows it" "$(kubectl --context $c get events -n tandem-system)" 'Warning +NothingTakenBack .*probe pulse lost'
done
is 'the singletons stay in B too' "$(acts a) $(acts b)" 'true false'
exits 'a person goes back' 0 t switch-back --yes
is_back 'onAbort: stop, then switch-back'
exits 'the audit trail is whole' 0 t history --verify
done_testing
