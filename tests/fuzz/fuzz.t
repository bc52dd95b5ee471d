#!/usr/bin/env bash
# Each fuzz target for a short time, beginning with its seeds; a finding fails.
#
#   tests/fuzz/fuzz.t [--seconds N]     N seconds each (10, or TANDEM_FUZZ_SECONDS)
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/bed/tap.sh
. "$root/tests/bed/tap.sh"
seconds=${TANDEM_FUZZ_SECONDS:-10}
[ "${1:-}" != --seconds ] || seconds=$2
dir=${TANDEM_FUZZ_BUILD:-$root/build-fuzz}
command -v clang >/dev/null || skip_all 'no clang'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# -Db_sanitize here and -fsanitize=fuzzer in meson.build: ASan, UBSan and libFuzzer together.
[ -f "$dir/build.ninja" ] || CC=clang meson setup "$dir" -Dfuzz=true -Db_sanitize=address,undefined \
    -Db_lundef=false >"$work/setup" 2>&1 || { cat "$work/setup" >&2; exit 1; }
targets=$(cd "$root/tests/fuzz" && printf 'tests/fuzz/%s ' fuzz_*.c | sed 's/\.c / /g')
# shellcheck disable=SC2086
ninja -C "$dir" -j "${TANDEM_JOBS:-$(nproc)}" $targets >"$work/build" 2>&1 ||
    { tail -n 30 "$work/build" >&2; exit 1; }

fuzz() { # TARGET: in a folder of its own, where what it finds stays until the test is over
    mkdir -p "$work/$1/corpus" && cp "$root"/tests/fuzz/seeds/* "$work/$1/corpus"
    (cd "$work/$1" && "$dir/tests/fuzz/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=8192 -print_final_stats=1 corpus >log 2>&1)
}

for t in $targets; do
    name=${t##*/}
    fuzz "$name"
    r=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name/log")
    [ $r = 0 ] && [ "${runs:-0}" -gt 50 ]
    tap_result $? "$name: $runs inputs in $seconds s, nothing found" "$(tail -n 40 "$work/$name/log")
$(for f in "$work/$name"/crash-* "$work/$name"/leak-* "$work/$name"/timeout-*; do [ -f "$f" ] && base64 "$f"; done)"
done
done_testing
