# shellcheck shell=bash
# The few words of TAP that a shell test needs. Source it, say what is expected,
# end with `done_testing`.
#
#   ok NAME COMMAND...           the command succeeds
#   not_ok NAME COMMAND...       the command fails
#   is NAME GOT WANT             two texts are equal
#   like NAME TEXT REGEX         a text has a match (extended, of bash)
#   within SECONDS COMMAND...    the command succeeds before the time is over
#   skip_all WHY                 nothing can be tested here

tap_count=0
tap_failed=0

tap_result() { # GOOD NAME [DIAGNOSTICS]
    tap_count=$((tap_count + 1))
    if [ "$1" = 0 ]; then
        printf 'ok %d - %s\n' "$tap_count" "$2"
    else
        tap_failed=$((tap_failed + 1))
        printf 'not ok %d - %s\n' "$tap_count" "$2"
        printf '%s\n' "${3:-}" | sed 's/^/# /'
    fi
}

ok() {
    local name=$1 out r=0
    shift
    out=$("$@" 2>&1) || r=$?
    tap_result "$r" "$name" "exit $r of: $*"$'\n'"$out"
}

not_ok() {
    local name=$1 out r=1
    shift
    out=$("$@" 2>&1) || r=0
    tap_result "$r" "$name" "should have failed: $*"$'\n'"$out"
}

is() {
    [ "$2" = "$3" ]
    tap_result $? "$1" "got:  $2"$'\n'"want: $3"
}

like() {
    [[ $2 =~ $3 ]]
    tap_result $? "$1" "got:  $2"$'\n'"want a match of: $3"
}

within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { "$@"; return; }
        sleep 0.1
    done
}

skip_all() {
    printf '1..0 # SKIP %s\n' "$*"
    exit 0
}

done_testing() {
    printf '1..%d\n' "$tap_count"
    [ "$tap_failed" = 0 ]
}
