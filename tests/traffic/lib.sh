# shellcheck shell=bash
# A real HAProxy with the configuration of docs/TRAFFIC.md, on free ports of loopback, before two
# back ends that answer with their name. Source it after tap.sh.
#
#   docs_block 'haproxy'     a fenced block of the page
#   lb_prepare DIR           the page's configuration and map in DIR, made to run here
#   lb_start DIR, lb_stop    HAProxy ($LB_PID) and its back ends

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$PATH:/usr/sbin:/usr/local/sbin
lb_pids=()

docs_block() {
    awk -v fence="\`\`\`$1" '$0 == fence {on = 1; next} /^```/ {on = 0} on' "$root/docs/TRAFFIC.md"
}

free_ports() { # N
    python3 -c 'import socket, sys
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[x.getsockname()[1] for x in s])' "$1"
}

# Paths of the page into DIR; what is left is as it stands there.
in_dir() { # DIR
    sed "s,/etc/haproxy,$1,g; s,/run/haproxy,$1,g; s,/run/tandem,$1,g"
}

lb_prepare() {
    local dir=$1 live live_tls pre pre_tls
    mkdir -p "$dir/certs"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
        -keyout "$dir/certs/key" -out "$dir/certs/ca.pem" 2>/dev/null || return
    cat "$dir/certs/ca.pem" "$dir/certs/key" >"$dir/certs/live.pem"
    docs_block 'text map' >"$dir/tandem.map"
    read -r live live_tls pre pre_tls LB_A LB_B < <(free_ports 6)
    LB_LIVE=127.0.0.1:$live LB_LIVE_TLS=127.0.0.1:$live_tls
    LB_PRELIVE=127.0.0.1:$pre LB_PRELIVE_TLS=127.0.0.1:$pre_tls
    docs_block haproxy | in_dir "$dir" |
        sed "s,bind :80\$,bind $LB_LIVE,; s,bind :443 ,bind $LB_LIVE_TLS ,
             s,bind :8080\$,bind $LB_PRELIVE,; s,bind :8443 ,bind $LB_PRELIVE_TLS ,
             s,10\.1\.0\.1[12]:30080,127.0.0.1:$LB_A,; s,10\.2\.0\.1[12]:30080,127.0.0.1:$LB_B," \
            >"$dir/haproxy.cfg"
}

lb_command() { # DIR LINE
    printf '%s\n' "$2" | socat -t 5 - "$1/admin.sock"
}

statuses() { # DIR BACKEND: of its servers, one a line
    lb_command "$1" "show stat $2 4 -1" | sed 1d | cut -d, -f18 | grep .
}

healthy() { # DIR BACKEND: every server is, without doubt
    statuses "$1" "$2" | grep -q '^UP$' && ! statuses "$1" "$2" | grep -qv '^UP$'
}

down() { # DIR BACKEND
    statuses "$1" "$2" | grep -q . && ! statuses "$1" "$2" | grep -q '^UP'
}

lb_start() {
    local port
    for port in "$LB_A" "$LB_B"; do
        python3 "$root/tests/traffic/backend" "$port" &
        lb_pids+=($!)
    done
    haproxy -W -f "$1/haproxy.cfg" -p "$1/pid" >"$1/log" 2>&1 &
    lb_pids+=($!)
    # shellcheck disable=SC2034
    LB_PID=$!
    within 10 healthy "$1" paas_a && within 10 healthy "$1" paas_b
}

lb_stop() {
    local pid
    for pid in "${lb_pids[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    lb_pids=()
    return 0
}
