#!/usr/bin/env python3
"""What a cluster holds, as sorted lines that two moments can be compared by: each object's kind,
namespace, name, and the digest of its spec, data, labels and annotations (Secrets too: a digest).

    tests/lib/snapshot.py --context CONTEXT [--full] [-n NS]

Left out: what a cluster writes by itself all the time (events, leases, endpoints, pods and other
children of controllers, tokens) and what counts its writes (uid, resourceVersion, status). Knows
nothing of tandem's tables. --full prints the content instead of the digest (never of Secrets).
"""

import argparse
import hashlib
import json
import subprocess
import sys

SKIP = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "componentstatuses",
        "endpoints", "endpointslices.discovery.k8s.io", "nodes", "csinodes.storage.k8s.io",
        "ipaddresses.networking.k8s.io", "controllerrevisions.apps", "pods", "bindings"}
META = ("labels", "annotations")
OWN = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied")


def kubectl(context, *args):
    r = subprocess.run(["kubectl", "--context", context, *args], capture_output=True, text=True)
    if r.returncode:
        sys.exit("snapshot: kubectl %s: %s" % (" ".join(args), r.stderr.strip()))
    return r.stdout


def is_child(o):
    return any(r.get("controller") for r in o["metadata"].get("ownerReferences", []))


def is_probe(o):
    """A namespace that tandem made for a moment, while it is being deleted."""
    meta = o["metadata"]
    name = meta["name"] if o["kind"] == "Namespace" else meta.get("namespace", "")
    return name.startswith("tandem-probe-") and ("deletionTimestamp" in meta or o["kind"] != "Namespace")


def content(o):
    body = {k: v for k, v in o.items() if k not in ("metadata", "status", "apiVersion", "kind")}
    meta = o["metadata"]
    for part in META:
        kept = {k: v for k, v in (meta.get(part) or {}).items() if not k.startswith(OWN)}
        if kept:
            body[part] = kept
    if o["kind"] == "Namespace":
        body.pop("spec", None)
    return json.dumps(body, sort_keys=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--context", required=True)
    p.add_argument("--full", action="store_true")
    p.add_argument("-n", dest="namespace")
    a = p.parse_args()
    kinds = [k for k in kubectl(a.context, "api-resources", "--verbs=list,get,create", "-o",
                                "name").split() if k not in SKIP]
    where = ["-n", a.namespace] if a.namespace else ["-A"]
    items = json.loads(kubectl(a.context, "get", ",".join(kinds), *where, "-o", "json"))["items"]
    if not items:
        sys.exit("snapshot: %s lists nothing at all" % a.context)
    lines = set()
    for o in items:
        if is_child(o) or is_probe(o):
            continue
        text = content(o)
        if not a.full or o["kind"] == "Secret":
            text = hashlib.sha256(text.encode()).hexdigest()[:16]
        meta = o["metadata"]
        lines.add("%s %s/%s %s" % (o["kind"], meta.get("namespace", ""), meta["name"], text))
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    main()
