#!/usr/bin/env bash
# The way back from a second terminal while whoever carries the run out is stopped (SIGSTOP): at once,
# and said; and when that one wakes up it writes nothing more, says why, and ends.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/back.lib.sh"
. "$(dirname "$0")/holder.lib.sh"
bed_ready a b lb
traffic_config $'steps: [50, 100]\n  hold: 1s\n  bake: 1s'
platform
ok 'the page answers in A' within 30 serves a

remembered
# What at once means, with a sanitized binary on a busy machine: the two seconds in which the holder
# may answer, and not the ten in which one that lives may still write.
at_once_ms=6000
goes_back() { # NAME WANTED-CODE COMMAND...: from the second terminal
    local name=$1 want=$2 begun moved got=0 command
    shift 2
    begun=$(now_ms)
    "$TANDEM" "$@" -f "$work/tandem.yaml" --yes >"$work/out" 2>"$work/err" &
    command=$!
    within 30 is_share 0
    moved=$(($(now_ms) - begun))
    wait "$command" || got=$?
    echo "# $name: the traffic was back after $moved ms, all of it after $(($(now_ms) - begun)) ms"
    [ "$got" = "$want" ]
    tap_result $? "$name: $1 ends with $want" "exit $got"$'\n'"$(tail -n 30 "$work/out" "$work/err")"
    ok "$name: the traffic is back at once" test "$moved" -lt $at_once_ms
    like "$name: it says how long that took" "$(cat "$work/out")" 'all live traffic goes to a \(took [0-9]+ms\)'
}
taken_over() { # NAME: from one that listens
    like "$1: it says that it takes over" "$(cat "$work/err")" 'has not answered for 2000 ms.*taking over'
}
# It wakes up, and that is all it does.
wakes() { # NAME TEXT
    local name=$1 from=()
    for c in a b; do mark $c && from+=("$marked"); done
    kill -CONT "$pid"
    ended "$name: it wakes up and ends with 4" 4
    like "$name: and says why" "$(cat "$work/bg.err")" "$2"
    not_ok "$name: what was asked while it slept is not done now" grep -q -e 'asked for it' -e 'aborted' "$work/bg.err"
    mark a
    is "$name: it has written nothing more to A" "$(written a "${from[0]}" "$marked")" ''
    mark b
    is "$name: nor to B" "$(written b "${from[1]}" "$marked")" ''
}
# The journal believes what was, and that is found out; the same command again puts it right.
puts_right() { # NAME
    exits "$1: the journal is not believed" 4 t resume --yes --no-wait
    like "$1: which is said" "$(cat "$work/err")" 'tandem adopt'
    exits "$1: switch-back again records it" 0 t switch-back --yes --reason 'once more'
    is_back "$1, recorded" --journal "$work/tandem.db"
    is "$1: the run stands at" "$(field .stage)" migrate
}

# --- awake: it does it, with the reason that was given ---
start upgrade --wait --yes --settle 5s -f "$work/tandem.yaml"
ok 'awake: all of it, to the last gate' at_gate retire
is 'awake: the traffic is there' "$(share) $(acts a) $(acts b)" '100 true false'
begun=$(now_ms)
exits 'awake: switch-back' 0 t switch-back --yes --reason 'change 4711 is off'
echo "# awake: $(($(now_ms) - begun)) ms"
like 'awake: the holder has done it' "$(cat "$work/out")" 'everything is back on a: the process that held'
ended 'awake: and ended' 1
like 'awake: with the reason' "$(cat "$work/bg.err")" 'has asked for it: change 4711 is off'
is_back 'awake' --journal "$work/tandem.db"
exits 'awake: the trail has it' 0 t history
like 'awake: with the reason, too' "$(cat "$work/out")" 'switch-back asked for: .*change 4711 is off'

# --- at a gate, all of the traffic moved, its reverse sync on ---
start resume --wait --yes --settle 5s -f "$work/tandem.yaml"
ok 'gate: it waits' at_gate retire
freeze gate
kb create configmap -n back made-while-frozen --from-literal=a=1 >/dev/null
goes_back gate 1 switch-back --reason 'the holder hangs'
taken_over gate
like 'gate: what could not be carried back is named' "$(cat "$work/err")" 'sync: the journal, which is in use'
like 'gate: and that it is not recorded' "$(cat "$work/err")" 'not recorded: another process holds the journal'
is_back gate
wakes gate 'lost the lease of this cluster|the traffic was moved by somebody else'
not_ok 'gate: its reverse sync carries nothing more' ka get configmap -n back made-while-frozen
is_back 'gate, awake'
puts_right gate
kb delete configmap -n back made-while-frozen >/dev/null
ka delete configmap -n back made-while-frozen --ignore-not-found >/dev/null

# --- in the midst of the switch: abort ---
sed -i 's/hold: 1s/hold: 120s/' "$work/tandem.yaml"
start resume --wait --yes --settle 5s -f "$work/tandem.yaml"
ok 'switch: half is moved' within 90 is_share 50
freeze switch
goes_back switch 0 abort --reason 'the holder hangs'
taken_over switch
like 'switch: and that it is not recorded' "$(cat "$work/err")" 'not recorded: another process holds the journal'
is_back switch
wakes switch 'lost the lease of this cluster|the traffic was moved by somebody else'
is_back 'switch, awake'
puts_right switch

# --- the single command, which takes no requests ---
exits 'cutover: activate' 0 t activate --yes
start cutover --yes --steps 50,100 --hold 120s -f "$work/tandem.yaml"
ok 'cutover: half is moved' within 60 is_share 50
freeze cutover
goes_back cutover 0 switch-back --reason 'the holder hangs'
is_back cutover
wakes cutover 'the traffic was moved by somebody else'
is_back 'cutover, awake'
puts_right cutover

# --- B dead as well ---
start resume --wait --yes --settle 5s -f "$work/tandem.yaml"
ok 'dead: half is moved' within 90 is_share 50
freeze dead
bed stop b apiserver --kill >/dev/null 2>&1
goes_back dead 1 switch-back --reason 'the holder hangs, and B is dead'
taken_over dead
like 'dead: B is named' "$(cat "$work/err")" 'b does not answer.*tandem switch-back. again'
is_back dead --no-destination
bed start b apiserver >/dev/null 2>&1
wakes dead 'lost the lease of this cluster|the traffic was moved by somebody else'
is_back 'dead, awake' --no-destination
puts_right dead
exits 'the audit trail is whole' 0 t history --verify
done_testing
