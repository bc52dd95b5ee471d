#!/usr/bin/env bash
# Two operators, two machines: one writes at a time, whatever becomes of the other.
. "$(dirname "$0")/lib.sh"
bed_ready a b
python3 "$root/tests/two" --stops 5 --tandem "$TANDEM"
