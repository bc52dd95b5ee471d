#!/usr/bin/env bash
# Who is live is observed. When the load balancer does not do what the journal believes, commands
# that act are refused until a person adopts what is, or goes back.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/back.lib.sh"
bed_ready a b lb
traffic_config
platform
ok 'the page answers in A' within 30 serves a

runtime() { # LINE for HAProxy
    python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b"\n")
while s.recv(65536): pass' "$BED_HAPROXY_SOCKET" "$1"
}
by_hand() { # PERCENT: as docs/TRAFFIC.md says: file first, then the process
    sed -i "s/^frontend.pct_b .*/frontend.pct_b $1/" "$BED_HAPROXY_MAP"
    runtime "set map $BED_HAPROXY_MAP frontend.pct_b $1"
}

# --- a balancer that is not as the file says ---
t doctor >"$work/out" 2>/dev/null
not_ok 'doctor has nothing against probes and back ends' grep -qE 'no-probes|balancer-backend' "$work/out"
sed -e '/^probes:/,$d' -e 's/b: paas_b}/b: paas_bee}/' "$work/tandem.yaml" >"$work/other.yaml"
exits 'a back end that is not there blocks' 4 "$TANDEM" doctor -f "$work/other.yaml"
like 'and is named' "$(cat "$work/out")" 'balancer-backend.*paas_bee'
like 'that nothing watches is warned of' "$(cat "$work/out")" 'no-probes'

# --- before any run ---
by_hand 100
exits 'B is live by hand, and no journal knows: migrate is refused' 4 t migrate --yes
like 'it says who is live' "$(cat "$work/err")" '100 % of the live traffic to b'
like 'and what to do' "$(cat "$work/err")" 'tandem adopt'
exits 'looking is not refused' 0 t plan
by_hand 40
exits 'with half of it nobody is live: adopt refuses' 4 t adopt --yes
like 'and says what to do' "$(cat "$work/err")" 'switch-back --to a'
exits 'which leads all of it to one side' 4 t switch-back --to a --traffic-only --read-only --yes
exits 'not under --read-only, but so' 0 t switch-back --to a --traffic-only --yes
is 'all is on A' "$(share)" 0
exits 'then migrate goes' 0 t migrate --yes --settle 20s
ok 'the page answers in B' within 30 serves b

# --- in a run ---
by_hand 30
for c in activate cutover retire migrate; do
    exits "somebody moved it: $c is refused" 4 t $c --yes
    like "$c says so" "$(cat "$work/err")" 'is not what the journal believes'
done
is 'nothing was done by them' "$(acts a) $(acts b) $(share)" 'false true 30'
exits 'status still answers' 0 t status
like 'and says that it differs' "$(cat "$work/out")" 'the journal believes that 0 % go to b: .*tandem adopt'
not_ok 'and not that nothing could be lost' grep -q 'nothing is lost' "$work/out"
exits 'adopt asks' 4 t adopt
exits 'adopt' 0 t adopt --yes --reason 'jo did it'
like 'it shows both' "$(cat "$work/out")" 'observed +30 % .*journal +0 %'
exits 'a second time there is nothing to adopt' 0 t adopt --yes
like 'as it says' "$(cat "$work/out")" 'nothing to adopt'
exits 'the trail knows' 0 t history
like 'with the reason' "$(cat "$work/out")" 'adopt: the observed state is true: 30 % of the live traffic goes to b; the journal said: nothing was moved in this run; jo did it'
exits 'cutover goes on from there' 0 t cutover --yes --no-probe --steps 20,60
is 'to 60, never back to 20' "$(share)" 60

# --- what cannot be seen whole ---
runtime "set map $BED_HAPROXY_MAP frontend.pct_b 10"
exits 'the process does not do what its file says: adopt refuses' 4 t adopt --yes
like 'and says so' "$(cat "$work/err")" 'drifts'
exits 'switch-back brings all together' 0 t switch-back --yes
is 'on A' "$(share)" 0
bed stop lb >/dev/null 2>&1
exits 'no load balancer answers: adopt refuses' 1 t adopt --yes
like 'and adopts nothing' "$(cat "$work/err")" 'nothing is adopted'
bed start lb >/dev/null 2>&1
exits 'afterwards all is as it was' 0 t cutover --yes --no-probe --steps 50
exits 'and back' 0 t switch-back --yes
exits 'the audit trail is whole' 0 t history --verify
done_testing
