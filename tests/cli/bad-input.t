#!/usr/bin/env bash
# Bad input gets a sentence, an exit code and no harm.
. "$(dirname "$0")/../upgrade/lib.sh"
bed_ready lb
config bare
cd "$work" || exit 1

says() { # NAME CODE REGEX COMMAND...
    local name=$1 want=$2 regex=$3 got=0
    shift 3
    "$@" >out 2>err || got=$?
    [ "$got" = "$want" ] && [[ $(cat out err) =~ $regex ]]
    tap_result $? "$name" "exit $got, wanted $want with $regex: $*"$'\n'"$(cat out err)"
}
two() { "$TANDEM" plan --context-a "$1" --context-b "$2"; }

says 'no command' 64 'Usage' "$TANDEM"
says 'unknown command' 64 'did you mean migrate' "$TANDEM" migate
says 'unknown option' 64 'did you mean --context-a' "$TANDEM" plan --contxt-a x
says 'an option without its value' 64 'needs a value' "$TANDEM" plan --context-a
says 'a wrong output format' 64 'none of text' "$TANDEM" plan -o xml
mkdir empty
says 'no file and no contexts' 64 'tandem init' bash -c 'cd empty && "$1" plan' _ "$TANDEM"
says 'a file that is not there' 1 'nonexistent.*tandem init' "$TANDEM" plan -f /nonexistent/tandem.yaml
says 'unknown context' 1 'paas-a' two pass-a paas-b
says 'the same cluster twice' 4 'same cluster' two paas-a paas-a-reader
says 'expired token' 1 '401|not accepted|expired' two paas-a-expired paas-b
says 'no rights at all' 1 '403|forbidden|may not' two paas-a-nobody paas-b
says 'no rights to list Secrets' 1 'secrets' two paas-a-nosecrets paas-b
says 'doctor names the right that is missing' 4 'secrets' \
    "$TANDEM" doctor --context-a paas-a-nosecrets --context-b paas-b
says 'API server that cannot be reached' 1 'refused|reach' two paas-a-unreachable paas-b
sed 's/^clusters:/clusetrs:/' tandem.yaml >bad.yaml
says 'wrong key: file, line, column, nearest key' 1 'bad\.yaml:4:1.*clusetrs.*did you mean.*clusters' \
    "$TANDEM" plan -f bad.yaml
printf 'apiVersion: tandem.dev/v1\nkind: [\n' >broken.yaml
says 'broken YAML: file and line' 1 'broken\.yaml:[0-9]+' "$TANDEM" plan -f broken.yaml
config
sed "s|sockets: .*|sockets: [$work/absent.sock]|" tandem.yaml >nosock.yaml
says 'HAProxy socket absent: doctor' 4 'absent\.sock' "$TANDEM" doctor -f nosock.yaml
says 'cutover before migrate' 4 'migrate' "$TANDEM" cutover -f tandem.yaml --yes
says 'migrate under --read-only' 4 'read-only' "$TANDEM" migrate -f tandem.yaml --yes --read-only
not_ok 'a kubeconfig credential is in no message' grep -rqE 'eyJ[A-Za-z0-9_-]{20}|BEGIN .*PRIVATE' err out
python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("up", flush=True); time.sleep(60)' \
    "$BED_SPARE_PORT" >listening &
listener=$!
within 5 grep -q up listening
says 'port in use' 1 'in use|taken|port' "$root/tests/bed/bed" up --dir "$work/bed2" --port-base "$BED_SPARE_PORT"
kill "$listener"
says 'a journal of somebody else' 1 'not.*journal|file is not a database|not ours' \
    bash -c 'printf "SQLite format 3\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" >tandem.db; "$1" migrate -f tandem.yaml --yes' _ "$TANDEM"
done_testing
