#!/usr/bin/env bash
# The static gates: the checkout passes them, and each of them can fail.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/bed/tap.sh"
export PYTHONDONTWRITEBYTECODE=1
check=$root/scripts/check
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ok 'the checkout passes every gate' "$check"

# A small tree in which nothing is wrong.
fresh() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"/{src/{base,net,kube,journal,migrate,traffic,run,cli,serve},tests/unit,build}
    cp "$root/.clang-format" "$work/tree/"
    printf '#include "base/util.h"\n\nint one(void) {\n    return 1;\n}\n' >"$work/tree/src/base/one.c"
}
put() { # FILE TEXT (printf escapes)
    mkdir -p "$work/tree/$(dirname "$1")"
    printf '%b' "$2" >"$work/tree/$1"
}
# What each gate must not mind.
harmless() {
    put src/net/words.c '/* strcpy( is not called, nor malloc */\n#include "base/util.h"\n\nconst char *two(struct x *p) {\n    p->free(p);\n    p.free = NULL;\n    xfree(p); // free(p)\n    _exit(1);\n    return "sprintf(\\"exit(1)\\")";\n}\n'
    put src/net/marked.c 'void three(char *p) {\n    free(p); /* alloc-ok: made by yyjson */\n}\n'
    put src/base/util.c 'void *xmalloc(size_t n) {\n    return malloc(n);\n}\n'
    put src/cli/main.c '#include "base/a.h"\n#include "cli/b.h"\n#include "kube/c.h"\n#include "run/d.h"\n\nint main(void) {\n    exit(0);\n}\n'
    put build/made.c 'int main(){strcpy(a,b);}\n'
    put tests/unit/t.c '#include "fake.h"\n\nint t(void) {\n    char d[] = "/tmp/t.XXXXXX";\n    return d[0];\n}\n'
}
finds() { # NAME GATE FILE LINE REGEX: exactly this one finding, by this gate
    local name=$1 gate=$2 where=$3:$4 regex=$5 out got=0
    out=$("$check" --root "$work/tree" 2>&1) || got=$?
    [ "$got" = 1 ] && [[ $out =~ (^|$'\n')"$where: $gate: "[^$'\n']*$regex ]] &&
        [[ $out =~ ' 1 findings'$ ]]
    tap_result $? "$name" "exit $got, wanted 1 and only: $where: $gate: ...$regex"$'\n'"$out"
}
bad() { # NAME GATE FILE LINE REGEX TEXT
    fresh
    put "$3" "$6"
    finds "${@:1:5}"
}
call() { # CODE: a function that has it in line 2
    printf 'void f(void) {\n    %s\n}\n' "$1"
}
body() { # LINES: a function of so many lines
    printf 'void f(void) {\n'
    for ((i = 2; i < $1; i++)); do printf '    x();\n'; done
    printf '}\n'
}

fresh
ok 'a small tree passes' "$check" --root "$work/tree"
harmless
ok 'comments, strings, members, marked lines and build folders do not matter' \
    "$check" --root "$work/tree"

bad 'format: indentation' format src/net/f.c 1 'clang-format -i src/net/f\.c' 'void f(void) {\n  x();\n}\n'
bad 'format: a header' format tests/unit/f.h 1 'clang-format' 'int  f(void);\n'

for word in strcpy strcat sprintf strtok atoi gets; do
    bad "words: $word" words src/cli/f.c 2 "$word is banned" "$(call "$word(a);")\n"
done
for word in malloc calloc realloc free; do
    bad "words: $word" words src/run/f.c 2 "$word is banned: use x?$word" "$(call "$word(a);")\n"
    bad "words: $word in a test" words tests/unit/f.c 2 "$word is banned" "$(call "$word(a);")\n"
done
bad 'words: free handed over as a function' words src/run/f.c 2 'free is banned' "$(call 'x(free);')\n"
bad 'words: a mark without a reason' words src/run/f.c 2 'free is banned' "$(call 'free(p); /* alloc-ok: */')\n"
bad 'words: after a comment of several lines' words src/run/f.c 5 'atoi' "/*\n * x\n */\n$(call 'x = atoi(a);')\n"

for folder in base journal run serve; do
    bad "exits: in $folder" exits "src/$folder/f.c" 2 'only src/cli' "$(call 'exit(1);')\n"
done

bad 'marks: in C' marks src/net/f.c 1 'do it now' "/* TO""DO: later */\nint x;\n"
bad 'marks: in a script' marks scripts/f 2 'FIX''ME' "#!/bin/sh\n# FIX""ME\n"
bad 'marks: in a page' marks docs/f.md 1 'XX''X' "XX""X\n"

# FOLDER OTHER REGEX
while read -r folder other regex; do
    bad "includes: $folder uses $other" includes "src/$folder/f.c" 1 "$regex" "#include \"$other/x.h\"\n"
done <<'ROWS'
base net base.may.not.use.net:.it.stands.above
base cli stands.above
net kube stands.above
kube journal side.by.side
journal kube side.by.side
kube migrate stands.above
migrate traffic side.by.side
migrate run stands.above
run cli stands.above
run serve stands.above
serve cli side.by.side
cli serve side.by.side
cli elsewhere names.no.layer
ROWS
bad 'includes: a header too' includes src/net/f.h 2 'stands above' '#pragma once\n#include "run/x.h"\n'
bad 'includes: no folder' includes src/net/f.c 1 'folder/file' '#include "x.h"\n'
bad 'includes: an unknown folder' includes src/misc/f.c 1 'no layer' 'int x;\n'

bad 'functions: 101 lines' functions src/net/f.c 1 'f\(\) has 101 lines' "$(body 101)\n"
bad 'functions: 101 lines in a test' functions tests/unit/f.c 1 '101 lines' "$(body 101)\n"
bad 'functions: not the first, behind branches' functions src/net/f.c 9 'f\(\) has 120 lines' \
    "#if A\nint a(void) {\n#else\nint a(int b) {\n#endif\n    return 1;\n}\n\n$(body 120)\n"
fresh
put src/net/f.c "$(body 100)\n"
put src/net/g.c "$(body 61)\n"
put src/net/h.c "$(body 60)\n"
out=$("$check" --root "$work/tree")
is 'functions: 100 lines pass' $? 0
like 'functions: those over 60 are listed' "$out" '2 of 4 functions.*100 +src/net/f\.c:1 f\(\).*61 +src/net/g\.c:1'

bad 'files: 901 lines' files src/net/f.h 901 'at most 900' "$(yes 'int x;' | head -901)\n"
fresh
put src/net/f.h "$(yes 'int x;' | head -900)\n"
ok 'files: 900 lines pass' "$check" --root "$work/tree"

bad 'paths: in C' paths src/net/f.c 1 'of one machine' "const char *p = \"/wo""rk/x\";\n"
bad 'paths: in a page' paths docs/f.md 2 'of one machine' "x\nsee /ro""ot/x\n"
bad "paths: the checkout's own" paths docs/f.md 1 'of one machine' "cd $work/tree/src\n"

fresh
mkdir -p "$work/bin"
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$work/bin/python3"
out=$(PATH=$work/bin "$work/bin/python3" "$check" --root "$work/tree" format)
is 'no clang-format: a finding, no pass' $? 1
like 'no clang-format: says so' "$out" 'not installed'
put src/net/f.c 'int  x;\n'
ok 'one gate alone' "$check" --root "$work/tree" words
"$check" nonsense 2>/dev/null
is 'an unknown gate is wrong use' $? 64
"$check" --root "$work/bin" 2>/dev/null
is 'a folder without C files is wrong use' $? 64
like 'gates are listed' "$("$check" --list)" 'format.*words.*exits.*marks.*includes.*functions.*files.*paths'
done_testing
