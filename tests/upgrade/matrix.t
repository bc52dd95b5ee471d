#!/usr/bin/env bash
# A tenth of tests/matrix: each stage of an upgrade x each fault. Which tenth depends on the commit, so
# that commit by commit all of them come up.
. "$(dirname "$0")/lib.sh"
needs_faults
export TANDEM_FAULTS
bed_ready a b lb
commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo 0)
parts=10
part=$((16#${commit: -6} % parts))
exits "part $part of $parts" 0 "$root/tests/matrix" --part "$part/$parts"
cells=0
while read -r result what; do
    case $result in
    ok | skip) tap_result 0 "$what$([ "$result" = ok ] || echo ' # SKIP')" ;;
    not) tap_result 1 "${what#ok }" ;;
    *) continue ;;
    esac
    cells=$((cells + 1))
done <"$work/out"
ok "there were cells ($cells)" test "$cells" -ge 4
done_testing
