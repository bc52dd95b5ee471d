#!/usr/bin/env python3
"""Every kind that both clusters serve, with as many fields set as their servers accept, from A to B.

    every_kind.py make            creates the objects in A; prints what A refuses, as it says it
    every_kind.py compare         field by field: each difference has to be explained by the policy
                                  table (`tandem explain --policy -o json` on stdin)

make starts from the objects of ../shared/corpora/every-kind (every field filled, few values valid),
makes them plausible by the tables of every_kind_table.py, and then does what the API server says:
a value that is not supported is replaced by one that is, a field that is refused is taken out. What
was taken out, and why, is the second half of the result. Nothing here knows of tandem's own code.
"""
import argparse
import copy
import fnmatch
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]

import compare_world as cw  # noqa: E402
import every_kind_table as table  # noqa: E402

CORPUS = os.path.join(HERE, "..", "..", "..", "shared", "corpora", "every-kind")
NAMESPACE = "every-kind"
ROUNDS = 150


class Api(cw.Api):
    """compare_world's, that can also create."""

    def post(self, path, body, dry_run=False):
        """(status, answer)"""
        query = "?fieldValidation=Strict&fieldManager=team" + ("&dryRun=All" if dry_run else "")
        self.connection = self.connection or self.connect()
        self.connection.request("POST", self.prefix + path + query, json.dumps(body),
                                {"Content-Type": "application/json", **self.headers})
        answer = self.connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {"message": text.decode(errors="replace")}


# --- paths: tuples of keys and indexes ---


def parse_path(text):
    """spec.ports[0].name and metadata.labels[a.b/c] as a tuple."""
    out = []
    for name, inside in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", text):
        out.append(name if name else int(inside) if inside.isdigit() else inside.strip('"'))
    return tuple(out)


def pointer(path):
    return "".join("/" + str(k).replace("~", "~0").replace("/", "~1") for k in path)


def general(path):
    """As a pattern: every index a star."""
    return pointer("*" if isinstance(k, int) else k for k in path)


def find(tree, path):
    for key in path:
        if isinstance(tree, dict) and key in tree:
            tree = tree[key]
        elif isinstance(tree, list) and isinstance(key, int) and key < len(tree):
            tree = tree[key]
        else:
            return None
    return tree


def remove(tree, path):
    """Takes out the field, and what gets empty by it. The path that went, or None."""
    parent = find(tree, path[:-1])
    if not path or find(tree, path) is None or not isinstance(parent, (dict, list)):
        return None
    del parent[path[-1]]
    return (remove(tree, path[:-1]) if not parent and len(path) > 2 else None) or path


def leaves(tree, path=()):
    """(path, value) of each leaf, and of each empty map or list."""
    if isinstance(tree, (dict, list)) and tree:
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, (*path, key))
    else:
        yield path, tree


def merge(tree, patch):
    """RFC 7386."""
    if not isinstance(patch, dict) or not isinstance(tree, dict):
        return copy.deepcopy(patch)
    for key, value in patch.items():
        if value is None:
            tree.pop(key, None)
        else:
            tree[key] = merge(tree.get(key, {}), value)
    return tree


# --- from the corpus to something that a server may take ---


def tame(tree, key=""):
    """Plausible values: by the name of the field, else a DNS label made of the corpus' word."""
    if key == "metadata":
        return copy.deepcopy(table.INNER_METADATA)
    if isinstance(tree, dict):
        out = {}
        for k, v in tree.items():
            for new in table.KEYS.get(k, [k]):
                out[new] = table.VALUES[new] if new in table.VALUES and new != k else tame(v, k)
        return table.split(key, out)
    if isinstance(tree, list):
        return table.spread(key, [tame(v, key) for v in tree])
    if key in table.WORDS:
        return table.WORDS[key]
    if isinstance(tree, str) and tree.endswith("Value"):
        return re.sub(r"(?<!^)([A-Z])", r"-\1", tree[:-5]).lower()
    return tree


def corpus_object(group, version, kind):
    name = f"{group or 'core'}.{version}.{kind}.json"
    for release in ("v1.36", "v1.33"):
        path = os.path.join(CORPUS, release, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                return json.load(f)
    return None


def with_metadata(o, name, namespaced):
    meta = {"name": name, "labels": {"app": "every-kind", "example.com/empty": ""},
            "annotations": {"example.com/note": "kept", "example.com/empty": ""},
            "finalizers": ["example.com/held-by-the-team"]}
    if namespaced:
        meta["namespace"] = NAMESPACE
    o["metadata"] = meta
    o.pop("status", None)
    return o


def wishes(group, version, kind, namespaced):
    """(what the corpus has of one kind, made plausible; the objects to begin with)"""
    whole = table.MADE_HERE.get(kind)
    base = copy.deepcopy(whole) if whole else corpus_object(group, version, kind)
    if base is None:
        return None, []
    if not whole:
        base.pop("metadata", None)
        base.pop("status", None)
        base = tame(base)
    base["apiVersion"], base["kind"] = (f"{group}/{version}" if group else version), kind
    title = kind_title(group, kind)
    corpus = {k: v for k, v in copy.deepcopy(base).items() if k != "metadata"}
    base = table.reshape(kind, merge(base, table.OVERLAYS.get(title, table.OVERLAYS.get(kind, {}))))
    out = []
    for suffix, patch in table.VARIANTS.get(kind, [("", {})]):
        own = base.get("metadata", {})
        name = table.NAMES.get(title) or "full" + ("-" + suffix if suffix else "")
        o = with_metadata(copy.deepcopy(base), name, namespaced)
        out.append(merge(merge(o, {"metadata": own}), patch))
    return corpus, out


# --- doing what the server says ---


class Refused(Exception):
    """A's last word."""


CAUSE = re.compile(r'supported values: (.*)$')


def supported(message):
    m = CAUSE.search(message)
    return re.findall(r'"([^"]*)"', m[1]) if m else []


class Settler:
    """One object on its way to being accepted."""

    def __init__(self, api, path, o):
        self.api, self.path, self.o = api, path, o
        self.refused = {}  # path that was taken out -> the server's message
        self.tried = {}

    def take_out(self, path, message):
        if path[-1] in table.NEEDED or path[-2:-1] == ("containers",):
            return None
        gone = remove(self.o, path)
        if gone:
            self.refused[general(gone)] = message
        return gone

    def choose(self, path, values, message):
        n = self.tried[path] = self.tried.get(path, -1) + 1
        if n >= len(values):
            return self.take_out(path, message)
        find(self.o, path[:-1])[path[-1]] = values[n]
        return True

    def obey(self, cause):
        path, message = parse_path(cause.get("field", "")), cause.get("message", "")
        parent = find(self.o, path[:-1])
        values = supported(message)
        if values and isinstance(parent, (dict, list)) and path:
            return self.choose(path, values, message)
        if find(self.o, path) is not None and path and path[0] not in ("metadata", "apiVersion", "kind"):
            return self.take_out(path, message)
        for n in range(len(path) - 1, 0, -1):  # something in it is missing: then without it
            if find(self.o, path[:n]) is not None:
                return self.take_out(path[:n], message)
        return None

    def unknown_fields(self, message):
        found = False
        for text in re.findall(r'unknown field "([^"]+)"', message):
            found = self.take_out(parse_path(text), f'unknown field "{text}"') or found
        return found

    def round(self):
        status, answer = self.api.post(self.path, self.o, dry_run=True)
        if status in (200, 201):
            return True
        message = answer.get("message", "")
        causes = (answer.get("details") or {}).get("causes") or []
        if self.unknown_fields(message):
            return False
        # later elements first, so that indexes stay right
        done = [self.obey(c) for c in sorted(causes, key=lambda c: c.get("field", ""), reverse=True)]
        if not any(done):
            raise Refused(f"{status} {message}")
        return False

    def settle(self, rounds=ROUNDS):
        for _ in range(rounds):
            if self.round():
                return
        raise Refused("no end of it")


# --- and asking for the rest, field by field ---


def carried(objects):
    """Every field that one of them has, and what stands around it, as patterns."""
    out = set()
    for o in objects:
        for path, _ in leaves(o):
            out.update(general(path[:n]) for n in range(1, len(path) + 1))
    return out


def place(tree, path):
    """The path with the index, in each list, of the element that has most of the rest; and how much."""
    if not path:
        return (), 0
    key, rest = path[0], path[1:]
    if isinstance(tree, list) and isinstance(key, int):
        found = [((i, *place(x, rest)[0]), 1 + place(x, rest)[1]) for i, x in enumerate(tree)]
        return max(found, key=lambda f: f[1]) if found else (path, 0)
    if isinstance(tree, dict) and key in tree:
        inner, n = place(tree[key], rest)
        return (key, *inner), n + 1
    return path, 0


def put(tree, path, value):
    for key, following in zip(path, (*path[1:], None)):
        empty = [] if isinstance(following, int) else {}
        if isinstance(tree, list) and key >= len(tree):
            tree.append(empty)
            key = len(tree) - 1
        elif isinstance(tree, dict) and not isinstance(tree.get(key), (dict, list)):
            tree[key] = empty
        if following is None:
            tree[key] = copy.deepcopy(value)
        tree = tree[key]


def members(tree):
    """Of a list the first: the others are there because its alternatives were taken apart."""
    if isinstance(tree, dict):
        return list(tree.items())
    return [(0, tree[0])] if isinstance(tree, list) and tree else []


# Pods and claims are asked about once, as Pods and claims.
TEMPLATES = (("template",), ("spec", "template"), ("spec", "jobTemplate", "spec", "template"),
             ("spec", "volumeClaimTemplates"))


class Enricher:
    """Asks for each field of the corpus that no object of the kind has yet."""

    def __init__(self, api, path, objects):
        self.api, self.path, self.objects = api, path, objects
        self.have = carried(objects)
        self.refused = {}

    def attempt(self, o, path, value):
        """None when o now has it, else the server's message."""
        trial = copy.deepcopy(o)
        put(trial, place(trial, path)[0], value)
        s = Settler(self.api, self.path, trial)
        try:
            s.settle(5)
        except (Refused, TypeError, IndexError, KeyError) as e:
            return list(s.refused.values() or [str(e)])[-1]
        now = carried([trial])
        if carried([o]) <= now and general(path) in now:
            o.clear()
            o.update(trial)
            self.have |= now
            return None
        return list(s.refused.values() or ["another field went for it"])[-1]

    def ask(self, path, value):
        best = sorted(self.objects, key=lambda o: -place(o, path)[1])
        for o in best[:2]:
            message = self.attempt(o, path, value)
            if message is None:
                return
        before = dict(self.refused)
        for key, inner in members(value):
            self.ask((*path, key), inner)
        if general(path) not in self.have:  # nothing of it: one line for the whole
            self.refused = {**before, general(path): message}

    def walk(self, tree, path=()):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            here = (*path, key)
            if (not path and key in ("apiVersion", "kind", "metadata")) or (here in TEMPLATES):
                continue
            if general(here) not in self.have:
                self.ask(here, value)
            elif isinstance(value, (dict, list)):
                self.walk(value, here)


def collection(group, version, plural, namespaced):
    return cw.root(group, version) + (f"/namespaces/{NAMESPACE}/" if namespaced else "/") + plural


def shared_kinds(a, b):
    """{(group, kind): (version, plural, namespaced)} of what both list and create."""
    mine, other = a.creatable(), b.creatable()
    out = {}
    for (group, plural), (kind, namespaced, versions) in mine.items():
        both = set(versions) & set(other.get((group, plural), ("", False, []))[2])
        if both:
            out[group, kind] = (min(both, key=cw.version_rank), plural, namespaced)
    return out


def creatable(api):
    found = {}
    groups = [("", ["v1"])] + [(g["name"], [v["version"] for v in g["versions"]])
                               for g in api.get("/apis")["groups"]]
    for group, versions in groups:
        for version in versions:
            status, text = api.request(cw.root(group, version))  # 503: an APIService without a back end
            for r in json.loads(text)["resources"] if status == 200 else []:
                if "/" not in r["name"] and {"list", "create", "get"} <= set(r["verbs"]):
                    found.setdefault((group, r["name"]), (r["kind"], r["namespaced"], []))[2].append(version)
    return found


Api.creatable = creatable


def kind_title(group, kind):
    return f"{kind}.{group}" if group else kind


def settle_all(api, path_of, found, say):
    out = []
    for o in found:
        try:
            Settler(api, path_of(o), o).settle()
            out.append(o)
        except Refused as e:
            say(o["metadata"]["name"], str(e))
    return out


def create(api, path, o, refused):
    """Creates it; what is accepted and does not come back is named."""
    status, stored = api.post(path, o)
    if status not in (200, 201):
        raise Refused(f"{status} {stored.get('message')}")
    for p, v in leaves(o):
        if find(stored, p) is None and v not in ("", None, False, 0, {}, []):
            refused.setdefault(general(p), "accepted, and not stored")


def owner_of(api):
    for name in (NAMESPACE, NAMESPACE + "-limits"):
        api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    _, o = api.post(f"/api/v1/namespaces/{NAMESPACE}/configmaps",
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": o["metadata"]["uid"],
             "blockOwnerDeletion": True}]


def stable(message):
    """Without what differs from run to run."""
    message = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UID", message)
    return " ".join(re.sub(r"\{.*", "{…", message, flags=re.S).split())[:160]


def make_kind(api, item, owners, say):
    """How many objects of one kind were made."""
    (group, kind), (version, plural, namespaced) = item
    corpus, found = wishes(group, version, kind, namespaced)
    if not found:
        say("-", "no object of it in the corpus")

    def path_of(o):
        path = collection(group, version, plural, namespaced)
        return path.replace(NAMESPACE, o["metadata"].get("namespace", NAMESPACE))

    for o in found:
        if namespaced and kind not in table.UNOWNED:
            o["metadata"].setdefault("ownerReferences", owners)
        table.reuse(kind, o)
    found = settle_all(api, path_of, found, say)
    if not found:
        return 0
    e = Enricher(api, path_of(found[0]), found)
    e.walk(corpus)
    made = 0
    table.remember(kind, found[0])
    for o in found:
        try:
            create(api, path_of(o), o, e.refused)
            made += 1
        except Refused as why:
            say(o["metadata"]["name"], str(why))
    for field, why in e.refused.items():
        say(field, why)
    return made


POD_AT = re.compile(r"^(/spec/jobTemplate/spec/template|/spec/template|/template)?(/spec/)")


def log(text):
    if os.environ.get("VERBOSE"):
        print(time.strftime("%H:%M:%S"), text, file=sys.stderr)


class Said:
    """What the servers refused, each once: of pods whatever they stand in."""

    def __init__(self):
        self.lines = {}

    def add(self, title, what, why):
        m = POD_AT.match(what)
        if m and m[1]:
            title, what = "(pod)", what[len(m[1]):]
        elif title == "Pod":
            title = "(pod)"
        why = re.sub(r"(spec\.jobTemplate\.spec\.template\.|spec\.template\.|template\.)(?=spec\.)", "", stable(why))
        self.lines.setdefault((title, what), why)

    def print(self, out):
        for (title, what), why in sorted(self.lines.items()):
            print(f"{title}\t{what}\t{why}", file=out)


def make(api, kinds, out):
    owners = owner_of(api)
    said, made, objects = Said(), 0, 0
    kinds = {**kinds, **table.OWN_KINDS}
    for item in sorted(kinds.items(), key=table.order):
        title = kind_title(*item[0])
        log(title)
        n = make_kind(api, item, owners, lambda what, why, title=title: said.add(title, what, why))
        made, objects = made + bool(n), objects + n
    said.print(out)
    print(f"{made} kinds, {objects} objects", file=sys.stderr)
    return made



# --- comparing, by the policy table alone ---


def steps(pattern):
    return [k.replace("~1", "/").replace("~0", "~") for k in pattern.split("/")[1:]]


def step_fits(step, key):
    """A star is every element of a list."""
    return step == "*" if isinstance(key, int) else step == key


def around(row, path):
    """Does the row mean this field, or something that it is a part of?"""
    want = row["steps"]
    tree = want[-1:] == ["**"]
    want = want[:-1] if tree else want
    if len(path) < len(want) or not all(map(step_fits, want, path)):
        return False
    return row["fate"] != "keep" or tree or len(path) == len(want)


class Policy:
    def __init__(self, text):
        data = json.loads(text)
        self.rows, self.kinds = data["fields"], data["kinds"]
        for row in self.rows:
            row["steps"] = steps(row["path"])

    @staticmethod
    def concerns(row, group, kind):
        own = row["group"] in (None, group) or (row["group"] == "(custom)" and group == "every.example.com")
        return own and row["kind"] in (None, kind)

    def never(self, group, kind):
        return next((r["why"] for r in self.kinds if self.concerns(r, group, kind)), None)

    def rows_of(self, group, kind, path, fates):
        return [r for r in self.rows if r["fate"] in fates and self.concerns(r, group, kind) and around(r, path)]

    def defaulted(self, group, kind, path, a, b):
        """Only B has it, by a row that knows the value: paths and values are patterns over the text."""
        for n in range(2, len(path) + 1):
            for row in self.rows:
                if (row["fate"] == "default" and self.concerns(row, group, kind) and find(a, path[:n]) is None
                        and fnmatch.fnmatchcase(pointer(path[:n]), row["path"])
                        and fnmatch.fnmatchcase(json.dumps(find(b, path[:n])), row["value"])):
                    return True
        return False

    def explains(self, group, kind, path, same, a, b):
        if same:
            return bool(self.rows_of(group, kind, path, ("keep", "drop", "rewrite", "hold")))
        return bool(self.rows_of(group, kind, path, ("drop", "rewrite", "hold"))) or self.defaulted(
            group, kind, path, a, b)


OPAQUE = (("metadata", "managedFields"), ("status",))


def fields(o):
    """Leaf path -> value; what only servers write counts as one field."""
    out = {}
    for path, value in leaves(o):
        top = next((t for t in OPAQUE if path[:len(t)] == t), None)
        out[top or path] = find(o, top) if top else value
    return out


def compare_one(policy, group, kind, a, b, found):
    """Counts fields; adds what no row explains to found["bad"], what differs to found["differs"]."""
    fa, fb = fields(a), fields(b)
    for path in {**fa, **fb}:
        same = path in fa and path in fb and cw.same(fa[path], fb[path])
        found["fields"] += 1
        if not policy.explains(group, kind, path, same, a, b):
            found["bad"].append(f"{kind_title(group, kind)} {a['metadata']['name']} {pointer(path)}: "
                                f"a={json.dumps(fa.get(path))} b={json.dumps(fb.get(path))}, and no row says so")
        elif not same and path[0] not in ("metadata", "status"):
            found["differs"].add((kind_title(group, kind), general(path)))


def of_the_test(o):
    return cw.label(o, "app") == "every-kind" and not cw.controller(o)


def listed(api, group, version, plural):
    return {(cw.meta(o, "namespace", ""), o["metadata"]["name"]): o for o in api.objects(group, plural, version)}


def compare(a, b, policy, kinds):
    found = {"fields": 0, "bad": [], "differs": set(), "objects": 0, "kinds": set(), "never": set()}
    for (group, kind), (version, plural, _) in sorted({**kinds, **table.OWN_KINDS}.items()):
        title = kind_title(group, kind)
        mine = {k: o for k, o in listed(a, group, version, plural).items() if of_the_test(o)}
        theirs = listed(b, group, version, plural)
        why = policy.never(group, kind) or table.NEVER.get(title)
        for key, o in mine.items():
            if (key in theirs) == bool(why):
                found["bad"].append(f"{title} {'/'.join(key)}: " + (f"is in B, though {why}" if why else "is not in B"))
            elif why:
                found["never"].add(title)
            else:
                found["objects"] += 1
                found["kinds"].add(title)
                compare_one(policy, group, kind, {"apiVersion": "x", "kind": kind, **o},
                            {"apiVersion": "x", "kind": kind, **theirs[key]}, found)
    return found


def report(found):
    """0 when all is explained, and differs where and only where the table of this test says."""
    for line in found["bad"]:
        print("unexplained:", line)
    for title, path in sorted(found["differs"] - table.DIFFERS):
        print(f"differs, by a row of the policy, but this test does not expect it: {title} {path}")
    for title, path in sorted(table.DIFFERS - found["differs"]):
        print(f"does not differ, though this test expects it: {title} {path}")
    print(f"{len(found['kinds'])} kinds, {found['objects']} objects, {found['fields']} fields, "
          f"{len(found['never'])} more kinds that are never recreated", file=sys.stderr)
    return 1 if found["bad"] or found["differs"] != table.DIFFERS or len(found["kinds"]) < 50 else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["make", "compare"])
    p.add_argument("--context-a", default="paas-a")
    p.add_argument("--context-b", default="paas-b")
    o = p.parse_args()
    a, b = Api(o.context_a, None), Api(o.context_b, None)
    kinds = shared_kinds(a, b)
    if o.what == "make":
        make(a, kinds, sys.stdout)
        return 0
    return report(compare(a, b, Policy(sys.stdin.read()), kinds))


if __name__ == "__main__":
    sys.exit(main())
