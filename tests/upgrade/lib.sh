# shellcheck shell=bash
# What the upgrade tests share: a bed, a configuration for it, and words for what is looked at.
# Sourced by *.t; needs TANDEM (the binary) and uses the bed in TANDEM_BED.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/bed/tap.sh
. "$root/tests/bed/tap.sh"
TANDEM=${TANDEM:-$root/build/src/cli/tandem}
export TANDEM_BED=${TANDEM_BED:-${TMPDIR:-/tmp}/tandem-test-bed-$UID}
[ -x "$TANDEM" ] || skip_all "no binary at $TANDEM: make first"

bed() { "$root/tests/bed/bed" "$@"; }

bed_ready() { # PIECES to reset...
    bed up >"$work/bed.log" 2>&1 || { cat "$work/bed.log" >&2; exit 1; }
    [ $# = 0 ] || bed reset "$@" >>"$work/bed.log" 2>&1 || { cat "$work/bed.log" >&2; exit 1; }
    eval "$(bed env)"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

config() { # [bare]: writes $work/tandem.yaml; bare: clusters and journal alone
    cat >"$work/tandem.yaml" <<YAML
apiVersion: tandem.dev/v1
kind: Environment
metadata: {name: test}
clusters:
  a: {kubeconfig: $KUBECONFIG, context: paas-a}
  b: {kubeconfig: $KUBECONFIG, context: paas-b}
journal: $work/tandem.db
YAML
    [ "${1:-}" = bare ] || cat >>"$work/tandem.yaml" <<YAML
traffic:
  tiers:
    frontend:
      driver: haproxy
      sockets: [$BED_HAPROXY_SOCKET]
      map: $BED_HAPROXY_MAP
      live: {a: paas_a, b: paas_b}
      prelive: {follows: idle, url: "$BED_PRELIVE_URL"}
  steps: [50, 100]
  hold: 1s
probes:
  pulse:
    url: http://pulse.example.com/healthz
    connectTo: ${BED_LIVE_URL#http://}
    rate: 20/s
    cookie: sid
    identify: {header: X-Cluster}
    abort: {failures: 1%, window: 10s, atLeast: 50}
smoke:
  - {name: pulse, http: "http://pulse.example.com/healthz", expect: {status: 200}}
  - {name: tls, http: "https://www.example.com/", via: "$BED_PRELIVE_TLS_URL", caFile: $BED_TLS_CA, expect: {status: 200}}
  - {name: e2e, exec: [sh, -c, 'test -n "\$TANDEM_DESTINATION"'], timeout: 5s}
YAML
}

# For tests that kill: the binary with fault points (src/base/fault.h), and `exits NAME 137 killed_at N
# COMMAND...`, tandem's command killed at its Nth point.
needs_faults() {
    TANDEM_FAULTS=${TANDEM_FAULTS:-$root/build-faults/src/cli/tandem}
    [ -x "$TANDEM_FAULTS" ] || skip_all "no binary with fault points at $TANDEM_FAULTS (tests/run builds it)"
}
killed_at() { # N COMMAND...
    local at=$1
    shift
    TANDEM_CRASH_AT=$at "$TANDEM_FAULTS" "$@"
}

t() { "$TANDEM" "$@" -f "$work/tandem.yaml" 2>"$work/err"; }

exits() { # NAME WANTED-CODE COMMAND...
    local name=$1 want=$2 got=0
    shift 2
    "$@" >"$work/out" 2>"$work/err" || got=$?
    [ "$got" = "$want" ]
    tap_result $? "$name" "exit $got, wanted $want: $*"$'\n'"$(tail -30 "$work/out")"$'\n'"$(tail -30 "$work/err")"
}

ka() { kubectl --context paas-a "$@"; }
kb() { kubectl --context paas-b "$@"; }
who() { # URL: which cluster answers
    curl -s -o /dev/null -D - -H 'Host: pulse.example.com' "$1/healthz" |
        tr -d '\r' | sed -n 's/^[Xx]-[Cc]luster: *//p'
}
