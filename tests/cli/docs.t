#!/usr/bin/env bash
# Commands, man pages, completion and documents agree.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/bed/tap.sh
. "$root/tests/bed/tap.sh"
TANDEM=${TANDEM:-$root/build/src/cli/tandem}
[ -x "$TANDEM" ] || skip_all "no binary at $TANDEM: make first"
commands=$("$TANDEM" --list-commands)
for c in $commands; do
    like "$c --help says how to use it" "$("$TANDEM" "$c" --help)" "Usage: tandem $c"
    like "$c has a man page" "$("$TANDEM" "$c" --man)" "^\.TH TANDEM-$c 1"
    ok "$c: its man page is built" grep -qw -- "'$c'" "$root/src/cli/meson.build"
    ok "$c is in the README" grep -qE "tandem $c\b" "$root/README.md"
done
like 'the usage names every group' "$("$TANDEM" --help)" 'Look first.*Recreate.*Switch.*go back.*Try it'
complete=$(bash -c '. "$1"; COMP_WORDS=(tandem mig) COMP_CWORD=1; tandem() { "$2" "$@"; }
    COMP_WORDS[0]=$2; _tandem; printf "%s\n" "${COMPREPLY[@]}"' _ "$root/share/completion/tandem.bash" "$TANDEM")
is 'completion knows the commands' "$complete" migrate
for id in $(sed -n 's/^    \(KIND(\|{\)"\([a-z0-9-]*\)",.*/\2/p' "$root/src/migrate/rules.c" | sort -u); do
    ok "rule $id is in docs/OBJECTS.md" grep -qF "\`$id\`" "$root/docs/OBJECTS.md"
done
for id in $(grep -ohE '"(hold|recreate|foreign|conflict|immutable|schema|api-missing|patch-misfit|destination-own)[a-z-]*",' \
    "$root"/src/migrate/{hold_table,singleton,classify,scaler,unclassified}.c | tr -d '",' | sort -u); do
    ok "rule $id is in docs/OBJECTS.md" grep -qF "\`$id\`" "$root/docs/OBJECTS.md"
done
found=$(grep -ohE '"H[0-9]+-[a-z-]+"' "$root/src/migrate/hazard_table.c" | tr -d '"' | sort -u)
for id in $found; do
    ok "hazard $id is in docs/HAZARDS.md" grep -qF "\`$id\`" "$root/docs/HAZARDS.md"
done
is 'docs/HAZARDS.md names no check that there is not' \
    "$(grep -oE '`H[0-9]+-[a-z-]+`' "$root/docs/HAZARDS.md" | tr -d '`' | sort -u | comm -23 - <(printf '%s\n' $found))" ''
is 'docs/HAZARDS.md has all forty' "$(grep -cE '^\| H([1-9]|[1-3][0-9]|40) \|' "$root/docs/HAZARDS.md")" 40
is 'docs/OBJECTS.md names no rule that there is not' \
    "$(sed -n '/^## Skipped/,/^Made again/p' "$root/docs/OBJECTS.md" | sed -n 's/^| *\(`[^|]*\)|.*/\1/p' |
        grep -oE '`[a-z-]+`' | tr -d '`' | while read -r id; do
        grep -qF "\"$id\"" "$root/src/migrate/rules.c" || echo "$id"; done)" ''
for page in "$root"/README.md "$root"/docs/*.md; do
    for link in $(grep -oE '\]\([^)#: ]+[)#]' "$page" | tr -d ']()#'); do
        ok "${page#"$root"/}: $link is there" test -e "$(dirname "$page")/$link"
    done
done
done_testing
