"""What an API server's audit log says happened: the bench's second witness, beside
what tandem says of itself."""

import datetime
import json

WRITES = {"create", "update", "patch", "delete", "deletecollection"}
USER = "paas-admin"  # whom tandem and the bare loop are to the bed


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class Audit:
    """Requests of the measured program to one API server after a moment in time."""

    def __init__(self, path, after):
        self.writes = []  # (received, answered, verb, resource, status) in the mix's namespaces
        self.all = []     # (received, verb, resource, status)
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                if f'"username":"{USER}"' in line:
                    self.take(json.loads(line), after)
        mine = [w for w in self.writes if w[4] == 201]
        self.begin = min((w[0] for w in self.writes), default=0.0)
        self.end = max((w[1] for w in self.writes), default=0.0)
        self.created = len(mine)

    def take(self, event, after):
        received = seconds(event["requestReceivedTimestamp"])
        ref = event.get("objectRef", {})
        status = event.get("responseStatus", {}).get("code", 0)
        if received < after or event["user"]["username"] != USER:
            return
        self.all.append((received, event["verb"], ref.get("resource", ""), status))
        if event["verb"] in WRITES and ref.get("namespace", "").startswith("bench-"):
            self.writes.append((received, seconds(event["stageTimestamp"]), event["verb"],
                                ref.get("resource", ""), status))

    def extra(self):
        """Requests while it wrote, beyond the one that created each object: (verb, resource,
        status) -> number."""
        found = {}
        for received, verb, resource, status in self.all:
            if self.begin <= received <= self.end and not (verb == "create" and status == 201):
                key = f"{verb} {resource} {status}"
                found[key] = found.get(key, 0) + 1
        return found
