#!/usr/bin/env bash
# A platform that never stands still through a whole upgrade, with restarts, watches that are cut or
# expire, and kills: tests/soak in short.
. "$(dirname "$0")/lib.sh"
bed_ready
python3 "$root/tests/soak" --faults --seconds 60 --rate 20 --kills 3 --tandem "$TANDEM" --bed "$TANDEM_BED"
