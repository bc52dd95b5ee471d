# shellcheck shell=bash
# What frozen.t and takeover.t share beside lib.sh: a process that walks the stages in the background,
# stopped and woken, and what was written to the clusters by whom.

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

start() { # COMMAND...: in the background, in the folder it is called in; $pid
    "$TANDEM" "$@" >"$work/bg.out" 2>"$work/bg.err" &
    pid=$!
}
ended() { # NAME WANTED: of what was started last
    local got=0
    within 60 not_there "$pid" || kill -9 "$pid"
    wait "$pid" || got=$?
    [ "$got" = "$2" ]
    tap_result $? "$1" "exit $got, wanted $2"$'\n'"$(tail -30 "$work/bg.err")"
}
not_there() { # PID: ended, and perhaps not yet waited for
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    [ "${state%% *}" = Z ]
}
stands() { # PID: every thread of it is stopped
    local s
    for s in /proc/"$1"/task/*/stat; do
        [[ $(sed 's/.*) //' "$s") = T* ]] || return 1
    done
}
freeze() {
    kill -STOP "$pid"
    within 10 stands "$pid"
    tap_result $? "$1: its holder is stopped"
}
at_gate() { # STAGE [FOLDER]: until the holder says that it waits there
    within 90 sh -c 'cd "$3" && [ "$("$1" status -f tandem.yaml -o json 2>/dev/null | jq -r .live.gate)" = "$2" ]' _ "$TANDEM" "$1" "${2:-$work}"
}
field() { "$TANDEM" status -f "${2:-$work}/tandem.yaml" -o json 2>/dev/null | jq -r "$1"; }

# --- what reached the clusters ---
audit_of() { [ "$1" = a ] && echo "$BED_A_AUDIT" || echo "$BED_B_AUDIT"; }
n_marks=0
mark() { # a|b: a line of its audit log, with all that came before it; in $marked
    local name log
    n_marks=$((n_marks + 1))
    name=mark-$$-$n_marks log=$(audit_of "$1")
    kubectl --context "paas-$1" create configmap -n default "$name" >/dev/null
    kubectl --context "paas-$1" delete configmap -n default "$name" >/dev/null
    within 20 grep -q "\"delete\".*$name\|$name.*\"delete\"" "$log"
    marked=$(wc -l <"$log")
}
written() { # a|b FROM TO: tandem's writes between two marks; not its Leases, its questions, and the
    # marks, which a live sync that is as it should be carries
    sed -n "$(($2 + 1)),$3p" "$(audit_of "$1")" | jq -r 'select(.stage == "ResponseComplete" and (.userAgent | startswith("tandem/"))
        and (.verb | IN("create", "update", "patch", "delete", "deletecollection")) and .objectRef.resource != "leases"
        and (.objectRef.name // "" | startswith("mark-") | not)
        and (.objectRef.apiGroup // "" | startswith("authorization.k8s.io") | not))
        | "\(.verb) \(.objectRef.resource) \(.objectRef.namespace // "")/\(.objectRef.name // "") \(.responseStatus.code)"'
}
