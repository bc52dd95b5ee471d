#!/usr/bin/env bash
# Every tenth point of tests/crash, with the journal's batches at their default and of one; which
# tenth depends on the commit, so that commit by commit all of them come up.
. "$(dirname "$0")/../upgrade/lib.sh"
needs_faults
export TANDEM_FAULTS
bed_ready a b
commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo 0)
every=10
offset=$((16#${commit: -6} % every))
for batch in 0 1; do
    exits "every ${every}th point from $offset, batches of ${batch/#0/the default}" 0 \
        "$root/tests/crash" --every $every --offset $offset --batch $batch
    sed 's/^/# /' "$work/out" | tail -n 1
done
done_testing
