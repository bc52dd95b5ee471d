#!/usr/bin/env bash
# A run that another machine goes on with: another folder, another home, nothing but tandem.yaml and the
# credentials, and the record that the first one left in B. The first was killed, or stopped; one that
# lives is not taken over from.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/back.lib.sh"
. "$(dirname "$0")/holder.lib.sh"
bed_ready a b lb
traffic_config $'steps: [50, 100]\n  hold: 1s\n  bake: 1s'
sed -i "s|^journal: .*|journal: tandem.db|" "$work/tandem.yaml"
echo 'gates: {before: [activate]}' >>"$work/tandem.yaml"
platform
ka create secret generic -n back key --from-literal=k=not-for-anybody-4711 >/dev/null
for i in 1 2 3; do ka create configmap -n back "c$i" --from-literal=a=1 >/dev/null; done
ok 'the page answers in A' within 30 serves a

remembered
machine() { # NAME: a folder with what another machine would have
    mkdir -p "$work/$1/home"
    cp "$work/tandem.yaml" "$work/$1"
}
on() { # NAME COMMAND...: there, by somebody of that name
    local name=$1
    shift
    (cd "$work/$name" && exec env -u KUBECONFIG HOME="$work/$name/home" USER="$name" "$TANDEM" "$@")
}
start_on() { # NAME COMMAND...: in the background; $pid
    local name=$1
    shift
    (cd "$work/$name" && exec env -u KUBECONFIG HOME="$work/$name/home" USER="$name" "$TANDEM" "$@") \
        >"$work/bg.out" 2>"$work/bg.err" &
    pid=$!
}
events() { on "$1" history -o json 2>/dev/null | jq -r "$2"; }
there() { # what is in B, and that it is the same
    kb get configmaps,secrets,services,deployments,statefulsets,cronjobs,ingresses,serviceaccounts -n back -o json |
        jq -r '.items[] | "\(.kind)/\(.metadata.name) \(.metadata.uid)"' | sort
}
made() { # FROM TO: what tandem created in B between two marks, its own notices apart
    written b "$1" "$2" | grep '^create' | grep -v ' tandem-system/'
}
killed() { # kill -9, as a lost machine
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
}

# --- killed at a gate, everything recreated ---
machine one
machine two
start_on one upgrade --wait --yes --settle 5s
ok 'the first one waits at a gate' at_gate activate "$work/one"
exits 'while it lives it is not taken over from' 4 on two resume --take-over --yes
like 'with who it is' "$(cat "$work/err")" 'the run is not taken over: .*one@[^ ]* writes to this cluster'
is 'and the other machine knows of no run' "$(on two history -o json 2>/dev/null | jq length)" 0
killed
run=$(events one '.[-1].run')
exits 'nor is a second run begun beside it' 4 on two upgrade --yes --until preflight
like 'with whose it is, and what to do' "$(cat "$work/err")" "run $run of this environment is open.*by one@.*resume --take-over"
exits 'by migrate neither' 4 on two migrate --yes
like 'with the same words' "$(cat "$work/err")" "run $run of this environment is open"
is 'no run is left behind by that' "$(on two history -o json 2>/dev/null | jq length)" 0
there >"$work/there"
mark b
from=$marked
ka create configmap -n back made-after-the-crash --from-literal=a=1 >/dev/null
exits 'status there knows of it, without a journal' 0 on two status
like 'whose, and what to do' "$(cat "$work/out")" "run $run is open, .*by one@.*resume --take-over"
exits 'another machine takes it over, to the next gate' 3 on two resume --take-over --yes --settle 5s
like 'from whom, at once' "$(cat "$work/err")" 'lease taken over in b: .*one@.*its process has ended'
is 'the run is the same, and stands where it stood' "$(field '"\(.run) \(.stage)"' "$work/two")" "$run test"
is 'who took over is recorded' "$(events two '[.[] | select(.what == "run taken over")] | map(.actor | split("@")[0]) | join(" ")')" two
like 'and from which record' "$(events two '.[] | select(.what == "run taken over") | .detail')" '^record [0-9]+ in b, written [^ ]+Z by one@'
like 'the Lease too' "$(events two '.[] | select(.what == "lease taken over") | .detail')" 'from one@'
exits 'the first one wakes up and is refused' 4 on one resume --yes
like 'since it is elsewhere' "$(cat "$work/err")" 'taken over from this journal and goes on elsewhere'
exits 'whatever it wants to do' 4 on one activate --yes
exits 'the history verifies' 0 on two history --verify
like 'of both' "$(cat "$work/out")" 'stage preflight -> migrate: done.*run taken over'
is 'what was done is not done again' "$(field '[.moves[] | select(.state == "done") | .to] | join(" ")' "$work/two")" 'preflight migrate follow test'
mark b
is 'nothing is created twice' "$(made "$from" "$marked")" ''
there >"$work/there.now"
is 'everything is the same object' "$(diff "$work/there" "$work/there.now")" ''
not_ok 'no value of a Secret came along' grep -qa -e not-for-anybody -e "$(printf not-for-anybody-4711 | base64)" "$work"/two/tandem.db*

# --- to the end of the bake, and all the way back, from there ---
mark b
from=$marked
exits 'it goes on' 0 on two resume --yes --settle 5s --approve activate --until bake
is 'the traffic and the singletons are in B' "$(share) $(acts a) $(acts b)" '100 true false'
mark b
is 'what came after the crash was carried over, once' "$(made "$from" "$marked")" 'create configmaps back/made-after-the-crash 201'
there | grep -v made-after-the-crash >"$work/there.now"
is 'everything is still the same object' "$(diff "$work/there" "$work/there.now")" ''
exits 'a second take-over is refused' 1 on two resume --take-over --yes
like 'since the run is here' "$(cat "$work/err")" 'tandem resume. goes on'
exits 'switch-back from there' 0 on two switch-back --yes --reason 'drill'
is_back 'taken over' --journal "$work/two/tandem.db"
exits 'the record is that of the way back' 0 on two history --from-cluster
like 'with its reason' "$(cat "$work/out")" 'switch-back asked for: drill'

# --- killed in the midst of the switch ---
sed -i 's/hold: 1s/hold: 120s/' "$work/two/tandem.yaml"
start_on two resume --wait --yes --settle 5s --approve activate
ok 'half is moved' within 90 is_share 50
killed
machine three
exits 'where the traffic is not where the record has it' 4 on three resume --take-over --yes
like 'that is said' "$(cat "$work/err")" 'send 50 % of the live traffic to b; the journal says.*tandem adopt'
is 'nothing was moved' "$(share)" 50
exits 'adopt' 0 on three adopt --yes --reason 'the machine was lost in the midst of it'
exits 'and on from there' 0 on three resume --yes --settle 5s --until switch
is 'all of it' "$(share) $(acts a) $(acts b)" '100 true false'

# --- stopped at the last gate, and woken up ---
start_on three resume --wait --yes --settle 5s --until retire
ok 'it waits at the last gate' at_gate retire "$work/three"
freeze 'stopped'
frozen=$pid
machine four
begun=$SECONDS
(on four resume --take-over --wait --yes --settle 5s --until retire >"$work/four.out" 2>"$work/four.err") &
four=$!
ok 'taken over from one that is stopped' at_gate retire "$work/four"
echo "# after $((SECONDS - begun)) s"
like 'once its Lease had run out' "$(cat "$work/four.err")" 'lease taken over in b: .*three@.*not renewed for its whole duration'
is 'it stands where it stood' "$(field '"\(.run) \(.stage)"' "$work/four")" "$run bake"
from=()
for c in a b; do mark $c && from+=("$marked"); done
pid=$frozen
kill -CONT "$pid"
ended 'the one that wakes up ends with 4' 4
like 'and says why' "$(cat "$work/bg.err")" 'lost the lease of this cluster: four@'
is 'nothing was moved meanwhile' "$(share) $(acts a) $(acts b)" '100 true false'
n=0
for c in a b; do
    mark $c
    is "the woken one has written nothing to $c" "$(written $c "${from[n]}" "$marked")" ''
    n=$((n + 1))
done
exits 'the way back is handed to the taker' 0 on four switch-back --yes --reason 'enough'
like 'which does it' "$(cat "$work/out")" 'everything is back on a: the process that held'
got=0
wait "$four" || got=$?
is 'and ends' "$got" 1
is_back 'stopped' --journal "$work/four/tandem.db"
exits 'the history verifies, over four machines' 0 on four history --verify
is 'who took over, in order' "$(events four '[.[] | select(.what == "run taken over") | .actor | split("@")[0]] | join(" ")')" 'two three four'

# --- and taken back ---
exits 'unmigrate from there' 0 on four unmigrate --yes
ok 'what the run has made is gone' within 30 sh -c '! kubectl --context paas-b get namespace back'
is 'the record with it' "$(kb get configmaps -n tandem-system -o name 2>/dev/null | grep record)" ''
done_testing
