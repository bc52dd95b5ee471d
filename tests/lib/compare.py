#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two clusters object by object and field by field, knowing nothing of tandem's engine.

  compare.py --context-a X --context-b Y [-n NS]... [--namespaced-only] [--json]

Everything listable is read from both (compare_world.py). What clusters make by themselves is left out by
EXCLUDED, what may differ is named in ALLOWED, how things stand is compared by STATE (compare_rules.py), and
CHECKS look at B alone (compare_checks.py). Every row says why. Whatever no row names is a difference.
Secret values are shown as digests only.

With --at-least N, fewer than N objects that both have is a difference, too: in each namespace given, in all
where none is.

Exit: 0 equal, 2 differences, 1 error, 64 wrong use.
"""
import argparse
import base64
import binascii
import collections
import contextlib
import fnmatch
import hashlib
import json
import os
import re
import signal
import sys
import time

from compare_checks import CHECKS
from compare_rules import EXCLUDED, NOTES, Diff, allowed_by, excluded_by, generated_token, state_of
from compare_world import ABSENT, HELD, CompareError, annotation, dotted, held, key_of, meta, owner_key, read_both, \
    same, title


# ---------------------------------------------------------------------------------------------------
# Differences between two values.

def by_name(items):
    """{"name=x": item} when all items are objects with different names, else None."""
    named = {f"name={i['name']}": i for i in items if isinstance(i, dict) and isinstance(i.get("name"), str)}
    return named if len(named) == len(items) else None


def differences(a, b, path=()):
    """Yields (path, value in a, value in b) as deep as can be told."""
    if same(a, b):
        return
    # An absent map is gone through by its keys, so that each can be judged; an empty one is itself.
    left, right = ({} if x is ABSENT and isinstance(y, dict) and y else x for x, y in ((a, b), (b, a)))
    if isinstance(left, list) and isinstance(right, list):
        if len(left) == len(right):
            left, right = dict(enumerate(left)), dict(enumerate(right))
        elif by_name(left) and by_name(right):
            left, right = by_name(left), by_name(right)
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(k for k in right if k not in left)]:
            yield from differences(left.get(key, ABSENT), right.get(key, ABSENT), (*path, key))
    else:
        yield path, a, b


def owner_differences(a, b, wa, wb, allow):
    """Owners must be the same objects by name, and B's references must carry B's uids."""
    mine = {owner_key(wa, a, r): r for r in meta(a, "ownerReferences", [])}
    theirs = {owner_key(wb, b, r): r for r in meta(b, "ownerReferences", [])}
    path = ("metadata", "ownerReferences")
    for key in [*mine, *(k for k in theirs if k not in mine)]:
        ra, rb = mine.get(key), theirs.get(key)
        if ra and ra.get("uid") not in wa.by_uid and not rb:
            allow("orphan", title(key_of(a)))
            continue
        where = (*path, title(key))
        if not ra or not rb:
            yield where, ra or ABSENT, rb or ABSENT
            continue
        for p, va, vb in differences(*({k: v for k, v in r.items() if k != "uid"} for r in (ra, rb)), where):
            yield p, va, vb
        owner = wb.objects.get(key)
        if not owner or rb.get("uid") != meta(owner, "uid"):
            yield (*where, "uid"), ra.get("uid"), f"{rb.get('uid')}, but B's is {owner and meta(owner, 'uid')}"
        elif ra.get("uid") != rb.get("uid"):
            allow("owner-uid", title(key_of(a)))


def comparable(o, world):
    """The object as it is compared: owners apart, a Pod's token volume without its random name, an
    account without the tokens that the cluster listed by itself, and how it stands added."""
    text = json.dumps({k: v for k, v in o.items() if k != "state"})
    if o["kind"] == "Pod":
        text = re.sub(r'"kube-api-access-[a-z0-9]{5}"', '"kube-api-access-*"', text)
    o = json.loads(text)
    o["metadata"].pop("ownerReferences", None)
    if o["kind"] == "ServiceAccount" and o.get("secrets"):
        kept = [s for s in o["secrets"] if not is_generated(world, o, s.get("name"))]
        o["secrets"] = kept
        if not kept:
            del o["secrets"]
    o["state"] = state_of(o, world)
    return o


def is_generated(world, account, name):
    secret = world.get("Secret", meta(account, "namespace"), name)
    return secret is not None and bool(generated_token(secret, world))


# ---------------------------------------------------------------------------------------------------
# The comparison.

class Result:
    def __init__(self):
        self.compared = 0
        self.by_namespace = collections.Counter()
        self.excluded = {"a": collections.Counter(), "b": collections.Counter()}
        self.allowed = collections.Counter()
        self.held = []
        self.differences = []

    def add(self, check, key, path, **values):
        kind, namespace, name = key
        self.differences.append({"check": check, "kind": kind, "namespace": namespace, "name": name,
                                 "path": path, **values})


def wanted(o, options):
    kind, namespace, name = key = key_of(o)
    if options.namespaced_only and not namespace:
        return False
    scope = name if kind == "Namespace" else namespace
    if options.namespaces and scope and scope not in options.namespaces:
        return False
    plain = f"{o['kind']}/{namespace + '/' if namespace else ''}{name}"
    return not any(fnmatch.fnmatchcase(t, p) for p in options.ignore
                   for t in (plain, f"{kind}/{plain.partition('/')[2]}", o["kind"], kind) if key)


def compare(wa, wb, options):
    wa.is_a, wb.is_a = True, False
    result = Result()
    for key in sorted(wa.objects.keys() | wb.objects.keys()):
        a, b = wa.objects.get(key), wb.objects.get(key)
        if wanted(a or b, options):
            compare_key(key, a, b, wa, wb, options, result)

    def left_out(o):
        return excluded_by(o, wb) is not None

    for check in CHECKS:
        if check.name in options.skip_check:
            continue
        for key, path, text in check.run(wa, wb, left_out):
            if wanted(wa.objects.get(key) or wb.objects[key], options):
                result.add(check.name, key, path, text=text)
    for name, n in [(name, result.by_namespace[name]) for name in options.namespaces] or [("", result.compared)]:
        if n < options.at_least:
            result.add("at-least", ("Namespace", "", name), "",
                       text=f"{n} objects were compared, and there should be {options.at_least} or more")
    return result


def compare_key(key, a, b, wa, wb, options, result):
    without = [excluded_by(o, w) if o else None for o, w in ((a, wa), (b, wb))]
    if all(o is None or rule for o, rule in zip((a, b), without)) or without[0] == "finished-job":
        for side, rule in zip("ab", without):
            if rule:
                result.excluded[side][rule] += 1
        return
    if b is None:
        result.add("absent", key, "", a="present", b="absent")
        return
    if a is None:
        result.add("extra", key, "", a="absent", b="present")
        return
    result.compared += 1
    result.by_namespace[key[1]] += 1

    def allow(rule, where):
        result.allowed[rule] += 1

    found = list(owner_differences(a, b, wa, wb, allow))
    ca, cb = comparable(a, wa), comparable(b, wb)
    for path, va, vb in differences(ca, cb):
        rule = allowed_by(Diff(a, b, path, va, vb, wa, wb), options.held_ok)
        if rule is None:
            found.append((path, va, vb))
            continue
        allow(rule, path)
        if rule == "held" and path[0] == "spec":
            side = "b" if held(b) else "a"
            result.held.append({"kind": key[0], "namespace": key[1], "name": key[2], "path": dotted(path),
                                "in": side, "original": plain(va if side == "b" else vb)})
    if held(a) and held(b) and not same(annotation(a, HELD), annotation(b, HELD)):
        found.append(((*NOTES, HELD), annotation(a, HELD), annotation(b, HELD)))
    for path, va, vb in found:
        shown_a, shown_b = show(a, path, va, vb)
        result.add("field", key, dotted(path), a=shown_a, b=shown_b)


# ---------------------------------------------------------------------------------------------------
# Showing it.

def plain(value):
    return None if value is ABSENT else value


def is_secret(o, path):
    return o["kind"] == "Secret" and (path[0] in ("data", "stringData")
                                      or path[-1] == "kubectl.kubernetes.io/last-applied-configuration")


def digest(value):
    if value is ABSENT:
        return "absent"
    raw = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    with contextlib.suppress(ValueError, binascii.Error):
        return digest_bytes(base64.b64decode(raw, validate=True))
    return digest_bytes(raw.encode())


def digest_bytes(raw):
    return f"sha256:{hashlib.sha256(raw).hexdigest()[:12]} ({len(raw)} bytes)"


def show(o, path, va, vb, width=160):
    """Both values as text, long ones cut around the place where they begin to differ."""
    if is_secret(o, path):
        return digest(va), digest(vb)
    texts = [repr(v) if v is ABSENT else json.dumps(v, ensure_ascii=False) for v in (va, vb)]
    start = max(0, len(os.path.commonprefix(texts)) - width // 4)
    if max(map(len, texts)) <= width:
        start = 0
    return tuple(("…" if start else "") + t[start:start + width] + ("…" if len(t) > start + width else "")
                 for t in texts)


def line(d):
    text = title((d["kind"], d["namespace"], d["name"]))
    if d["path"]:
        text += " " + d["path"]
    return f"{text}: {d['text']} [{d['check']}]" if "text" in d else f"{text}: a={d['a']} b={d['b']}"


def print_text(result, out):
    for d in result.differences:
        print(line(d), file=out)
    for h in result.held:
        print(f"held in {h['in']}: {title((h['kind'], h['namespace'], h['name']))} {h['path']}, "
              f"originally {json.dumps(h['original'])}", file=out)
    whys = {r.name: r.why for r in EXCLUDED}
    print("excluded (a/b):", file=out)
    for rule in [r.name for r in EXCLUDED if result.excluded["a"][r.name] or result.excluded["b"][r.name]]:
        print(f"  {rule:<26}{result.excluded['a'][rule]:>6} /{result.excluded['b'][rule]:>6}  {whys[rule]}", file=out)
    print("allowed differences:", file=out)
    for rule, n in sorted(result.allowed.items()):
        print(f"  {rule:<26}{n:>6}", file=out)
    print(f"compared {result.compared} objects, excluded {sum(result.excluded['a'].values())} of A and "
          f"{sum(result.excluded['b'].values())} of B, allowed {sum(result.allowed.values())} differences, "
          f"{len(result.held)} held: {len(result.differences)} differences", file=out)


def as_json(result):
    return {"compared": result.compared, "excluded": {s: dict(c) for s, c in result.excluded.items()},
            "allowed": dict(result.allowed), "held": result.held, "differences": result.differences}


# ---------------------------------------------------------------------------------------------------
# The command.

def parse(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.error = lambda text: (print(f"compare: {text} (try --help)", file=sys.stderr), sys.exit(64))
    p.add_argument("--context-a", default="paas-a", metavar="NAME")
    p.add_argument("--context-b", default="paas-b", metavar="NAME")
    p.add_argument("--kubeconfig", metavar="FILE")
    p.add_argument("-n", "--namespace", dest="namespaces", action="append", default=[], metavar="NS",
                   help="only these namespaces (and what has none)")
    p.add_argument("--namespaced-only", action="store_true", help="only what has a namespace")
    p.add_argument("--held-ok", action=argparse.BooleanOptionalAction, default=True,
                   help="held objects are listed, not differences (default)")
    p.add_argument("--ignore", action="append", default=[], metavar="KIND[/[NS/]NAME]",
                   help="leave these out; * as in a shell")
    p.add_argument("--skip-check", action="append", default=[], choices=[c.name for c in CHECKS])
    p.add_argument("--wait", type=float, default=0, metavar="SECONDS",
                   help="compare again until equal, at most this long")
    p.add_argument("--at-least", type=int, default=0, metavar="N",
                   help="so many objects have to be in both (in each -n)")
    p.add_argument("--json", action="store_true")
    return p.parse_args(argv)


def main(argv=None):
    options = parse(argv)
    end = time.monotonic() + options.wait
    try:
        while True:
            result = compare(*read_both(options), options)
            if not result.differences or time.monotonic() >= end:
                break
            time.sleep(0.5)
    except (CompareError, KeyError, ValueError, OSError) as e:
        print(f"compare: {e if isinstance(e, CompareError) else repr(e)}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(as_json(result), indent=1, ensure_ascii=False))
    else:
        print_text(result, sys.stdout)
    return 2 if result.differences else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `compare.py | head` is no error
    sys.exit(main())
