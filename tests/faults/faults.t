#!/usr/bin/env bash
# What goes wrong between tandem and an API server, made by a proxy before one of them: each case
# has a namespace, a proxy and a journal of its own and ends in a complete and correct B.
#
#   tests/faults/faults.t [CASE...]     all, or these
. "$(dirname "$0")/lib.sh"
bed_ready a b
stamp=f$$
side_by_side=${TANDEM_CASES:-6}
TANDEM_FAULTS=${TANDEM_FAULTS:-$root/build-faults/src/cli/tandem}
made=68 # objects of a namespace, at least

wanted=" $* "
names=()
declare -A side user least rules
while read -r name s u n r; do
    [ $# = 0 ] || [[ $wanted = *" $name "* ]] || continue
    names+=("$name")
    side[$name]=$s user[$name]=$u least[$name]=$n rules[$name]=$r
done < <(sed '/^#/d' "$root/tests/faults/cases")

as_many() { while [ "$(jobs -pr | wc -l)" -ge "$side_by_side" ]; do wait -n; done; }
for i in 0 1 2 3; do # four clients, each with a quarter
    mine=()
    for ((k = i; k < ${#names[@]}; k += 4)); do mine+=("$stamp-${names[k]}"); done
    [ "${#mine[@]}" = 0 ] || { load "${mine[@]}" 2>&1 || echo "${mine[*]}"; } >"$work/load.$i" &
done
wait
is 'objects are in A' "$(cat "$work"/load.*)" ''

run_case() { # NAME
    local dir=$work/$1 start=$SECONDS
    mkdir "$dir"
    sed -e "s|@DIR@|$dir|g" -e "s|@ROOT@|$root|g" <<<"${rules[$1]}" >"$dir/rules.json"
    proxied "$dir" "${side[$1]}" "${user[$1]}" || return
    local tandem=$TANDEM
    [[ $1 != stall-* ]] || [ ! -x "$TANDEM_FAULTS" ] || tandem=$TANDEM_FAULTS
    TANDEM_TIMEOUT_MS=8000 timeout 200 "$tandem" migrate -f "$dir/tandem.yaml" -n "$stamp-$1" --yes --unclassified=run --settle 30s \
        >"$dir/out" 2>"$dir/err" </dev/null
    echo $? >"$dir/exit"
    kill "$(cat "$dir/pid")"
    echo $((SECONDS - start)) >"$dir/seconds"
}

# What concerns a whole cluster comes last and alone.
for name in "${names[@]}"; do
    [[ $name = restart-* ]] && continue
    as_many
    run_case "$name" &
done
wait
for name in "${names[@]}"; do
    [[ $name = restart-* ]] || continue
    run_case "$name"
    bed start "${name:8:1}" apiserver >>"$work/bed.log" 2>&1
done

# One look at both clusters for all cases.
got=0
python3 "$root/tests/lib/compare.py" "${names[@]/#/--namespace=$stamp-}" --namespaced-only \
    --at-least "$made" --wait 60 --json >"$work/compared" 2>"$work/err" || got=$?
[ "$got" = 0 ] || [ "$got" = 2 ]
tap_result $? "the comparison was made ($got)" "$(cat "$work/err")"
in_b >"$work/in-b"
exits 'fields are owned by whom they are in A' 0 python3 "$root/tests/lib/owners.py" "${names[@]/#/$stamp-}"

for name in "${names[@]}"; do
    dir=$work/$name
    [ "$(cat "$dir/exit" 2>&1)" = 0 ]
    tap_result $? "$name: migrate ends well ($(cat "$dir/seconds" 2>&1) s)" \
        "exit $(cat "$dir/exit" 2>&1)"$'\n'"$(tail -n 15 "$dir/out" 2>&1; tail -n 8 "$dir/err" "$dir/proxy.err" 2>&1)"
    faults=$(fired "$dir")
    [ "$(tr ' ' '\n' <<<"$faults" | awk -F= '{n += $2} END {print n + 0}')" -ge "${least[$name]}" ]
    tap_result $? "$name: there were ${least[$name]} faults or more ($faults)" "$faults"
    is "$name: of each rule" "$(unfired "$dir")" ''
    made_least=$made
    [[ $name != restart-* ]] || made_least=30 # an answer that the server sent as it died was not seen
    [ "${side[$name]}" = a ] ||
        is "$name: what was made is what is there" "$(made_anew "$dir" "$stamp-$name" "$work/in-b" "$made_least")" ''
    is "$name: B is complete and correct" "$(differences "$work/compared" "$stamp-$name")" ''
done

ka delete ns -l "faults=$stamp" --wait=false >/dev/null
kb delete ns -l "faults=$stamp" --wait=false >/dev/null
done_testing
