#!/usr/bin/env bash
# docs/TRAFFIC.md: what the page tells operators to write is what HAProxy takes, and the commands
# for an emergency do what they say.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/bed/tap.sh
. "$here/../bed/tap.sh"
# shellcheck source=tests/traffic/lib.sh
. "$here/lib.sh"

for program in haproxy socat openssl python3 curl; do
    command -v "$program" >/dev/null || skip_all "no $program here"
done
dir=$(mktemp -d) || exit 1
trap 'lb_stop; rm -rf "$dir"' EXIT

who() { # URL
    curl -sS --cacert "$dir/certs/ca.pem" -o /dev/null -D - "$@" |
        tr -d '\r' | sed -n 's/^x-cluster: //Ip'
}

runtime() { # KEY
    lb_command "$dir" "show map $dir/tandem.map" | awk -v key="$1" '$2 == key {print $3}'
}

in_file() { # KEY
    awk -v key="$1" '$1 == key {print $2}' "$dir/tandem.map"
}

reload() {
    local before
    before=$(lb_command "$dir" "show info" | sed -n 's/^Pid: //p')
    kill -USR2 "$LB_PID"
    within 10 eval "[ \"\$(lb_command '$dir' 'show info' | sed -n 's/^Pid: //p')\" != '$before' ]"
}

lb_prepare "$dir" || { echo 'Bail out! cannot prepare the configuration'; exit 1; }
is 'the page has the map with both keys' "$(cut -d' ' -f1 "$dir/tandem.map" | paste -sd ' ')" \
    'frontend.pct_b frontend.prelive_b'

docs_block haproxy | in_dir "$dir" >"$dir/as-is.cfg"
ok 'haproxy -c takes the page as it stands, without a warning' haproxy -dW -c -f "$dir/as-is.cfg"

{
    docs_block haproxy | sed '/^frontend/,/^backend paas_a/{/^backend paas_a/!d}'
    docs_block 'haproxy tcp'
} | sed '/^defaults/,/^$/{/http\|idle-close\|forwardfor/d}; /^backend/,${/http/d; /^backend/a\    mode tcp
}' | in_dir "$dir" >"$dir/tcp.cfg"
ok 'and the front end that passes TLS through' haproxy -dW -c -f "$dir/tcp.cfg"

lb_start "$dir" || { cat "$dir/log"; echo 'Bail out! HAProxy does not run with it'; exit 1; }
is 'live leads to a' "$(who "http://$LB_LIVE/")" a
is 'pre-live leads to b' "$(who "http://$LB_PRELIVE/")" b
is 'live over TLS' "$(who "https://$LB_LIVE_TLS/")" a
is 'pre-live over TLS' "$(who "https://$LB_PRELIVE_TLS/")" b
is 'HTTP/2 is offered' "$(curl -sS --cacert "$dir/certs/ca.pem" -o /dev/null \
    -w '%{http_version}' "https://$LB_LIVE_TLS/")" 2

lb_command "$dir" "set map $dir/tandem.map frontend.pct_b 30" >/dev/null
sides() { # of 200 users, in order
    for i in $(seq 200); do
        printf 'url = "http://%s/"\ncookie = "sid=%d"\noutput = "/dev/null"\n' "$LB_LIVE" "$i"
        printf 'write-out = "%%header{x-cluster}\\n"\nnext\n'
    done | sed '$d' | curl -sS -K - | paste -sd ''
}
first=$(sides)
is 'who comes back by cookie is led to the same side' "$(sides)" "$first"
share=$(printf '%s' "$first" | tr -cd b | wc -c)
ok "30 % is about 30 % of 200 users ($share)" test "$share" -ge 40 -a "$share" -le 80

# By hand, from where tandem left off: live at b, in the file too.
sed -i 's/^frontend.pct_b 0/frontend.pct_b 100/' "$dir/tandem.map"
printf '# kept\nauth.pct_b 7\n' >>"$dir/tandem.map"
mkdir "$dir/behind" && mv "$dir/tandem.map" "$dir/behind/" && ln -s behind/tandem.map "$dir/tandem.map"
lb_command "$dir" "set map $dir/tandem.map frontend.pct_b 100" >/dev/null
is 'live leads to b' "$(who "http://$LB_LIVE/")" b
docs_block 'sh by-hand' | in_dir "$dir" >"$dir/by-hand"
out=$(sh -e "$dir/by-hand" 2>&1)
like 'the way back by hand shows what it did' "$out" 'frontend.pct_b 0'
is 'live leads to a again' "$(who "http://$LB_LIVE/")" a
is 'the file says so too' "$(in_file frontend.pct_b)" 0
is 'its other lines are left alone' "$(grep -c -e '^# kept$' -e '^auth.pct_b 7$' "$dir/tandem.map")" 2
ok 'and the link is one still' test -L "$dir/tandem.map"
ok 'after a reload' reload
is 'live still leads to a' "$(who "http://$LB_LIVE/")" a

# A machine whose file did not follow.
lb_command "$dir" "set map $dir/tandem.map frontend.pct_b 100" >/dev/null
docs_block 'sh save-map' | in_dir "$dir" >"$dir/save-map"
ok 'the map is saved' sh "$dir/save-map"
is 'with what the process has loaded' "$(in_file frontend.pct_b)" 100
ok 'and after a reload' reload
is 'live still leads to b' "$(runtime frontend.pct_b) $(who "http://$LB_LIVE/")" '100 b'

lb_stop
cp "$dir/tandem.map" "$dir/before"
not_ok 'without HAProxy saving fails' sh "$dir/save-map"
ok 'and leaves the file alone' cmp "$dir/before" "$dir/tandem.map"

done_testing
