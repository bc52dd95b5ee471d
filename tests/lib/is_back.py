#!/usr/bin/env python3
"""Is everything back where it was before an upgrade began? Knows nothing of tandem's tables.

    is_back.py remember FILE [--source CONTEXT]      before: what acts in the source
    is_back.py check FILE [options]                  after a way back; prints what is not, exit 1

Looked at: the balancer's map file and its running process (all live traffic on the source, pre-live
on the destination); every CronJob, Job, Deployment and StatefulSet of the source (suspended, and
replicas, as they were, and no annotation of a hold left); in the destination, that what acted in the
source and was held there is held again: no CronJob acts in both, and what asked to be held
(tandem.dev/hold: "true") has no replicas; and the journal's sync direction, where there is one.
"""

import argparse
import json
import socket
import sqlite3
import subprocess
import sys

KINDS = "cronjobs,jobs,deployments,statefulsets"
HELD, ASKED = "tandem.dev/held", "tandem.dev/hold"


def kubectl(context, *args):
    r = subprocess.run(["kubectl", "--context", context, *args], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"is_back: kubectl {' '.join(args)}: {r.stderr.strip()}")
    return r.stdout


def notes(o):
    return o["metadata"].get("annotations") or {}


def listed(a, context, kinds):
    where = ["-n", a.namespace] if a.namespace else ["-A"]
    return json.loads(kubectl(context, "get", kinds, *where, "-o", "json"))["items"]


def objects(a, context):
    """{"CronJob shop/report": object} of what nobody owns."""
    found = {}
    for o in listed(a, context, KINDS):
        if not o["metadata"].get("ownerReferences"):
            found[f"{o['kind']} {o['metadata']['namespace']}/{o['metadata']['name']}"] = o
    return found


def scaled(a, context):
    """What an autoscaler sets replicas of."""
    names = set()
    for o in listed(a, context, "hpa"):
        ref = o["spec"]["scaleTargetRef"]
        names.add(f"{ref['kind']} {o['metadata']['namespace']}/{ref['name']}")
    return names


def state(name, o, auto):
    spec = o["spec"]
    return {"suspend": bool(spec.get("suspend")), "replicas": None if name in auto else spec.get("replicas"),
            "asked": notes(o).get(ASKED) == "true"}


def remember(a):
    auto = scaled(a, a.source)
    seen = {name: state(name, o, auto) for name, o in objects(a, a.source).items()}
    with open(a.file, "w", encoding="utf-8") as f:
        json.dump(seen, f)
    print(f"{len(seen)} objects remembered")


def of_source(a, before):
    auto, now = scaled(a, a.source), objects(a, a.source)
    for name, was in before.items():
        if name not in now:
            if not name.startswith("Job "):
                yield f"{name} is gone from the source"
            continue
        is_now = state(name, now[name], auto)
        for key in ("suspend", "replicas"):
            if is_now[key] != was[key] and was[key] is not None:
                yield f"{name} in the source: {key} is {is_now[key]}, was {was[key]}"
        if HELD in notes(now[name]):
            yield f"{name} in the source still carries {HELD}"


def of_destination(a, before):
    for name, o in objects(a, a.destination).items():
        was = before.get(name)
        if not was:
            continue
        now = state(name, o, ())
        if name.startswith("CronJob ") and not was["suspend"]:
            if not now["suspend"] or HELD not in notes(o):
                yield f"{name} acts in the source and is not held in the destination"
        elif was["asked"] and was["replicas"] and (now["replicas"] != 0 or HELD not in notes(o)):
            yield f"{name} has {now['replicas']} replicas in the destination"


def runtime_map(path, sock):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(sock)
        s.sendall(f"show map {path}\n".encode())
        text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    return dict(line.split()[1:3] for line in text.splitlines() if len(line.split()) > 2)


def file_map(path):
    with open(path, encoding="utf-8") as f:
        return dict(line.split()[:2] for line in f if len(line.split()) > 1 and not line.startswith("#"))


def of_traffic(a):
    want = {f"{a.tier}.pct_b": "0", f"{a.tier}.prelive_b": "100"}
    if a.back == "b":
        want = {f"{a.tier}.pct_b": "100", f"{a.tier}.prelive_b": "0"}
    for where, values in (("the map file", file_map(a.map)), ("HAProxy", runtime_map(a.map, a.socket))):
        for key, value in want.items():
            if values.get(key) != value:
                yield f"{key} is {values.get(key)} in {where}, not {value}"


def of_journal(a):
    db = sqlite3.connect(f"file:{a.journal}?mode=ro", uri=True)
    for key, value in db.execute("SELECT key, value FROM fact WHERE key LIKE '%follow%' OR key LIKE '%direction%'"):
        if value.startswith("r"):
            yield f"the sync still goes in reverse ({key} = {value})"


def check(a):
    with open(a.file, encoding="utf-8") as f:
        before = json.load(f)
    wrong = list(of_traffic(a))
    if not a.no_source:
        wrong += of_source(a, before)
    if not a.no_destination:
        wrong += of_destination(a, before)
    if a.journal:
        wrong += of_journal(a)
    for line in wrong:
        print(line)
    print(f"{len(before)} objects, {len(wrong)} not back")
    return 1 if wrong or not before else 0


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("what", choices=["remember", "check"])
    p.add_argument("file")
    p.add_argument("--source", default="paas-a")
    p.add_argument("--destination", default="paas-b")
    p.add_argument("--namespace", metavar="NS", help="this one alone")
    p.add_argument("--back", choices=["a", "b"], default="a", help="the slot of the source")
    p.add_argument("--tier", default="frontend")
    p.add_argument("--map")
    p.add_argument("--socket")
    p.add_argument("--journal")
    p.add_argument("--no-source", action="store_true", help="it is dead")
    p.add_argument("--no-destination", action="store_true")
    a = p.parse_args()
    return remember(a) if a.what == "remember" else check(a)


if __name__ == "__main__":
    sys.exit(main())
