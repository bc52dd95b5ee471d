#!/usr/bin/env bash
# A tenth of tests/matrix: each stage of an upgrade x each fault. Which tenth depends on the commit, so
# that commit by commit all of them come up.
. "$(dirname "$0")/lib.sh"
needs_faults
export TANDEM_FAULTS
bed_ready a b lb
commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo 0000000)
parts=10
part=$((16#${commit: -6} % parts))
how=()
[ $((16#${commit: -7:1} % 2)) = 0 ] || how=(--swallow) # a cluster that is cut off refuses, or says nothing
exits "part $part of $parts ${how[*]}" 0 "$root/tests/matrix" --part "$part/$parts" "${how[@]}"
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
