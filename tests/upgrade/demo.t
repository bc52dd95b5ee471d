#!/usr/bin/env bash
# The demo: a whole upgrade with a prober on it; what it leaves behind is compared by a script that
# knows nothing of tandem.
. "$(dirname "$0")/lib.sh"
bed_ready a b lb
exits 'the demo ends well' 0 "$TANDEM" demo --bed "$TANDEM_BED" --keep --source "$root" --report "$work/report.html"
out=$(cat "$work/out")
like 'no request was lost' "$out" 'lost +0'
requests=$(sed -n 's/^ *requests *\([0-9]*\) in.*/\1/p' "$work/out")
ok "at least 10,000 requests ($requests)" test "${requests:-0}" -ge 10000
like 'A and B answered' "$out" 'answered by  A [1-9][0-9.]* %, B [1-9][0-9.]* %'
like 'the report is named' "$out" "report +$work/report.html"
ok 'and is one page that loads nothing from elsewhere' bash -c '
    grep -q "<svg" "$1" && ! grep -qE "(src|href)=\"?(https?:)?//" "$1"' _ "$work/report.html"
like 'B is live' "$("$TANDEM" status -f "$TANDEM_BED/tandem.yaml" 2>/dev/null)" 'b is live, a is idle'
is 'and answers' "$(who "$BED_LIVE_URL")" b
exits 'verify finds no difference' 0 "$TANDEM" verify -f "$TANDEM_BED/tandem.yaml"
exits 'the independent comparison finds no difference' 0 \
    python3 "$root/tests/lib/compare.py" --wait 40 --skip-check held-acted
done_testing
