#!/usr/bin/env python3
"""Compares who owns the fields (metadata.managedFields) of the objects that two clusters share.

    owners.py [--a CONTEXT] [--b CONTEXT] [-v] [NAMESPACE...]

Knows nothing of the product's tables. An owned field is (manager, operation, path); a difference is
one that only one cluster has, and each must be explained by a row of ALLOWED. Prints what is left
and exits 1; with -v counts the differences allowed, by reason.
"""
import argparse
import collections
import json
import subprocess
import sys

OWN = "tandem"
HOLD = ("f:metadata", "f:annotations", "f:tandem.dev/held")
CONTROL_PLANE = ("kube-", "bed", "kubelet", "kwok", "cloud-controller-manager", "api-priority",
                 "horizontal-pod-autoscaler", "kubeadm")


def kubectl(context, *args):
    out = subprocess.run(["kubectl", "--context", context, *args], stdout=subprocess.PIPE, check=True)
    return out.stdout


def listed(context, namespaces):
    names = kubectl(context, "api-resources", "--verbs=list,create", "-o", "name").decode().split()
    skip = ("events", "events.events.k8s.io", "leases.coordination.k8s.io", "bindings")
    raw = kubectl(context, "get", ",".join(n for n in names if n not in skip), "-A", "-o", "json",
                  "--show-managed-fields")
    objects = {}
    for o in json.loads(raw)["items"]:
        m = o["metadata"]
        if not namespaces or m.get("namespace") in namespaces:
            objects[o["kind"], o["apiVersion"].split("/")[0], m.get("namespace", ""), m["name"]] = o
    return objects


def uid_names(o):
    return {r["uid"]: r["kind"] + "/" + r["name"] for r in o["metadata"].get("ownerReferences", [])}


def leaves(tree, path=()):
    for key, below in tree.items():
        if below:
            yield from leaves(below, path + (key,))
        else:
            yield path + (key,)


def owned(o):
    """{(manager, operation, path): subresource}; an owner's uid is replaced by its name."""
    fields, uids = {}, uid_names(o)
    for e in o["metadata"].get("managedFields", []):
        for path in leaves(e.get("fieldsV1", {})):
            if len(path) > 2 and path[1] == "f:ownerReferences" and path[2].startswith("k:"):
                uid = json.loads(path[2][2:])["uid"]
                path = path[:2] + (uids.get(uid, uid),) + path[3:]
            fields[e["manager"], e["operation"], path] = e.get("subresource", "")
    return fields


def there(value, path):
    """Does this path of fieldsV1 lead to something?"""
    for step in path:
        kind, _, rest = step.partition(":")
        if step == ".":
            return True
        if kind == "f":
            if not isinstance(value, dict) or rest not in value:
                return False
            value = value[rest]
        elif kind in "kv" and isinstance(value, list):
            want = json.loads(rest)
            match = [x for x in value if (x == want if kind == "v" else
                                          all(x.get(k) == v for k, v in want.items()))]
            if not match:
                return False
            value = match[0]
    return True


class Diff:
    def __init__(self, key, a, b, side, field):
        self.key, self.a, self.b, self.side = key, a, b, side
        self.manager, self.operation, self.path = field
        self.fa, self.fb = owned(a), owned(b)
        self.sub = (self.fa if side == "a" else self.fb)[field]

    def owners(self, fields):
        return {(m, op) for (m, op, p), sub in fields.items() if p == self.path}

    def real_a(self):
        """Managers of A that own something which B's object has, but by a subresource."""
        return {(m, op) for (m, op, p), sub in self.fa.items() if not sub and p[-1] != "." and there(self.b, p)}


def is_status(d):
    return d.sub == "status" or d.path[0] == "f:status"


def is_control_plane(d):
    return d.manager.startswith(CONTROL_PLANE)


def is_gone(d):
    return d.side == "a" and not there(d.b, d.path)


def is_container(d):
    return d.path[-1] == "."


def is_hold(d):
    held = "tandem.dev/held" in d.b["metadata"].get("annotations", {})
    return d.side == "b" and d.manager == OWN and held and (
        d.path == HOLD or d.path in (("f:spec", "f:suspend"), ("f:spec", "f:replicas")))


def is_scaled(d):
    return d.sub == "scale" and d.side == "a" and len(d.real_a()) == 1 and bool(d.owners(d.fb) & d.real_a())


def is_sole(d):
    sole = d.real_a()
    return d.side == "b" and sole == {(d.manager, "Update")} and d.operation == "Update" and all(
        d.fa[m, op, p] for (m, op, p) in d.fa if p == d.path)


ALLOWED = (
    ("status", is_status, "observed by each cluster's controllers"),
    ("control-plane", is_control_plane, "each cluster's own controllers write for themselves"),
    ("gone", is_gone, "the field is not in B's object: dropped by the field policy"),
    ("container", is_container, "owning a map or an element itself, beside what is in it"),
    ("hold", is_hold, "held by tandem until it is let loose"),
    ("scaled", is_scaled, "set through /scale; in B by the one manager that made the object"),
    ("sole", is_sole, "nobody's in A (or set through /scale); in B the one manager's"),
)


def compare(key, a, b, count):
    fa, fb = owned(a), owned(b)
    for side, fields, other in (("a", fa, fb), ("b", fb, fa)):
        for field in fields:
            if field in other:
                continue
            d = Diff(key, a, b, side, field)
            for name, test, _ in ALLOWED:
                if test(d):
                    count[name] += 1
                    break
            else:
                yield "%s %s: only in %s: %s %s %s" % (key[0], "/".join(key[2:]), side, d.manager, d.operation,
                                                       " ".join(d.path))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--a", default="paas-a")
    p.add_argument("--b", default="paas-b")
    p.add_argument("-v", action="store_true")
    p.add_argument("namespaces", nargs="*")
    o = p.parse_args()
    a, b = listed(o.a, o.namespaces), listed(o.b, o.namespaces)
    count, left, both, fields = collections.Counter(), [], 0, 0
    system = ("kube-system", "kube-public", "kube-node-lease")
    for key in sorted(a):
        if key in b and key[2] not in system and a[key]["metadata"].get("managedFields"):
            both += 1
            fields += len(owned(a[key]))
            left += compare(key, a[key], b[key], count)
    for line in left:
        print(line)
    if o.v:
        for name, _, why in ALLOWED:
            print("%6d %-14s %s" % (count[name], name, why))
    print("%d objects in both, %d owned fields in %s, %d differences not explained" % (both, fields, o.a, len(left)))
    return 1 if left or not both else 0


if __name__ == "__main__":
    sys.exit(main())
