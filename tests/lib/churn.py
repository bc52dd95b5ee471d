# SPDX-License-Identifier: Apache-2.0
"""A platform that lives: creates, updates and deletes over twenty kinds at a steady rate, and an observer
that sees, independently of tandem, when each of them has come to the other cluster."""
import bisect
import collections
import http.client
import json
import queue
import random
import threading
import time

LABEL = "churn"  # value: the number of the change
IMAGE = {"containers": [{"name": "c", "image": "registry.example.com/app:1"}]}
TEMPLATE = {"metadata": {"labels": {"app": "c"}}, "spec": IMAGE}
SELECTOR = {"selector": {"matchLabels": {"app": "c"}}, "template": TEMPLATE}
JOB = {"template": {"spec": {**IMAGE, "restartPolicy": "Never"}}}


def _deploy(n):
    return {"spec": {"replicas": 0, "revisionHistoryLimit": n % 9 + 1, **SELECTOR}}


# Kind: path of the API, plural, namespaced, body for a change of number n. None of them runs anything.
KINDS = {
    "ConfigMap": ("/api/v1", "configmaps", True, lambda n: {"data": {"n": str(n), "text": "x" * 400}}),
    "Secret": ("/api/v1", "secrets", True, lambda n: {"stringData": {"n": str(n)}}),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True, lambda n: {"automountServiceAccountToken": bool(n % 2)}),
    "Service": ("/api/v1", "services", True, lambda n: {"spec": {"ports": [{"port": 80 + n % 900}]}}),
    "LimitRange": ("/api/v1", "limitranges", True,
                   lambda n: {"spec": {"limits": [{"type": "Pod", "max": {"cpu": str(n % 90 + 10)}}]}}),
    "ResourceQuota": ("/api/v1", "resourcequotas", True, lambda n: {"spec": {"hard": {"pods": str(n % 90 + 900)}}}),
    "PodTemplate": ("/api/v1", "podtemplates", True, lambda n: {"template": {
        "metadata": {"labels": {"app": "c", "n": str(n)}}, "spec": IMAGE}}),
    "ReplicationController": ("/api/v1", "replicationcontrollers", True, lambda n: {"spec": {
        "replicas": 0, "minReadySeconds": n % 50, "selector": {"app": "c"}, "template": TEMPLATE}}),
    "Deployment": ("/apis/apps/v1", "deployments", True, _deploy),
    "StatefulSet": ("/apis/apps/v1", "statefulsets", True,
                    lambda n: {"spec": {"replicas": 0, "serviceName": "s", "minReadySeconds": n % 50, **SELECTOR}}),
    "DaemonSet": ("/apis/apps/v1", "daemonsets", True, lambda n: {"spec": {
        "minReadySeconds": n % 50, "selector": SELECTOR["selector"],
        "template": {**TEMPLATE, "spec": {**IMAGE, "nodeSelector": {"no": "node"}}}}}),
    "CronJob": ("/apis/batch/v1", "cronjobs", True,
                lambda n: {"spec": {"suspend": True, "schedule": f"{n % 60} 1 1 1 *", "jobTemplate": {"spec": JOB}}}),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses", True, lambda n: {"spec": {"rules": [
        {"host": f"h{n}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {
            "service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies", True,
                      lambda n: {"spec": {"podSelector": {"matchLabels": {"n": str(n)}}, "policyTypes": ["Ingress"]}}),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets", True, lambda n: {"spec": {
        "minAvailable": n % 9, "selector": {"matchLabels": {"app": "nobody"}}}}),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers", True, lambda n: {"spec": {
        "maxReplicas": n % 9 + 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}}}),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles", True, lambda n: {"rules": [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": [f"p{n}"], "verbs": ["get"]}]}),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings", True, lambda n: {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": f"u{n}"}]}),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False, lambda n: {"rules": [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": [f"p{n}"], "verbs": ["get"]}]}),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses", False, lambda n: {
        "value": 7, "description": f"d{n}"}),
}


def path_of(kind, namespace, name=None):
    base, plural, namespaced, _ = KINDS[kind]
    ns = f"/namespaces/{namespace}" if namespaced else ""
    return f"{base}{ns}/{plural}" + (f"/{name}" if name else "")


def body_of(kind, namespace, name, n):
    """Each workload selects its own Pods: else they adopt each other's ReplicaSets."""
    base, _, namespaced, make = KINDS[kind]
    own = json.loads(json.dumps(make(n)).replace(json.dumps({"app": "c"}), json.dumps({"app": name})))
    return {"apiVersion": base.rpartition("/api/")[2] if base.startswith("/api/") else base[len("/apis/"):],
            "kind": kind,
            "metadata": {"name": name, "labels": {LABEL: str(n)}, **({"namespace": namespace} if namespaced else {})},
            **own}


Change = collections.namedtuple("Change", "at kind namespace name number deleted")


class Writers:
    """Changes at a rate, each begun when it is due, by some connections. Every object belongs to one of them,
    so that its changes come in order."""

    def __init__(self, api, rate, namespaces, threads=16, seed=0, most=40, kinds=None):
        self.api, self.rate, self.namespaces, self.most = api, rate, namespaces, most
        self.kinds = list(kinds or KINDS)
        self.random = random.Random(seed)
        self.done = []        # Change
        self.failed = []      # (what, answer)
        self.there = [{} for _ in range(threads)]  # (kind, ns, name) -> number, of each thread
        self.queue = queue.Queue(maxsize=threads)
        self.number = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(i,), daemon=True) for i in range(threads)]

    def _connection(self):
        a = self.api
        return http.client.HTTPSConnection(a.address.hostname, a.address.port, timeout=60, context=a.tls)

    def _send(self, c, method, path, body=None, kind="application/json"):
        """Status and answer; on a connection that broke once more, as any client would."""
        for attempt in (1, 2, 3, 4, 5, 6):
            try:
                c.request(method, path, json.dumps(body) if body is not None else None,
                          {"Content-Type": kind, "Accept": "application/json", "User-Agent": "churn"})
                r = c.getresponse()
                text = r.read()
                if r.status in (429, 500, 503, 504) and attempt < 6:
                    time.sleep(0.5)
                    continue
                return r.status, text
            except (OSError, http.client.HTTPException):
                c.close()
                time.sleep(0.5 * attempt)
        return 0, b"no answer"

    def _choose(self, mine, rng):
        """create, update or delete, so that there are about `most` objects of each kind."""
        kind = rng.choice(self.kinds)
        have = [k for k in mine if k[0] == kind]
        share = max(1, self.most // len(self.threads))
        roll = rng.random()
        if not have or (roll < 0.3 and len(have) < share):
            ns = rng.choice(self.namespaces) if KINDS[kind][2] else ""
            return "create", (kind, ns, f"c{rng.getrandbits(40):010x}")
        return ("delete" if roll > 0.85 or (roll < 0.3 and len(have) >= share) else "update"), rng.choice(have)

    def _write(self, i):
        c, mine, rng = self._connection(), self.there[i], random.Random(self.random.random() + i)
        while True:
            n = self.queue.get()
            if n is None:
                return
            what, key = self._choose(mine, rng)
            kind, ns, name = key
            if what == "create":
                status, text = self._send(c, "POST", path_of(kind, ns), body_of(kind, ns, name, n))
            elif what == "delete":
                status, text = self._send(c, "DELETE", path_of(kind, ns, name), {"propagationPolicy": "Background"})
            else:
                patch = body_of(kind, ns, name, n)
                if kind in ("PriorityClass",):
                    patch.pop("value")
                if kind == "RoleBinding":
                    patch.pop("roleRef")
                for fixed in ("selector", "serviceName", "template"):
                    if kind in ("StatefulSet", "Deployment", "DaemonSet"):
                        patch["spec"].pop(fixed, None)
                status, text = self._send(c, "PATCH", path_of(kind, ns, name), patch, "application/merge-patch+json")
            at = time.monotonic()
            with self.lock:
                if status in (200, 201, 202) or (status == 409 and what == "create") or (
                        status == 404 and what == "delete"):
                    self.done.append(Change(at, kind, ns, name, n, what == "delete"))
                    if what == "delete":
                        mine.pop(key, None)
                    else:
                        mine[key] = n
                else:
                    self.failed.append((what, key, status, text[:200]))

    def run(self, seconds):
        for t in self.threads:
            t.start()
        begin, first = time.monotonic(), self.number
        end = begin + seconds
        while not self.stop.is_set():
            due = begin + (self.number - first) / self.rate
            now = time.monotonic()
            if due >= end:
                break
            if due > now:
                time.sleep(due - now)
            self.number += 1
            self.queue.put(self.number)
        for _ in self.threads:
            self.queue.put(None)
        for t in self.threads:
            t.join()
        return (self.number - first) / max(0.001, time.monotonic() - begin)


class Observer:
    """Watches kinds of a cluster and notes when each object showed which number, or was gone."""

    def __init__(self, api, kinds=None):
        self.api = api
        self.kinds = list(kinds or KINDS)
        self.seen = collections.defaultdict(list)  # (kind, ns, name) -> [(number or inf when gone, at)]
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._watch, args=(k,), daemon=True) for k in self.kinds]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()

    def _note(self, kind, what, o):
        number = o["metadata"].get("labels", {}).get(LABEL)
        if number is None:
            return
        m = o["metadata"]
        with self.lock:
            self.seen[kind, m.get("namespace", ""), m["name"]].append(
                (float("inf") if what == "DELETED" else int(number), time.monotonic()))

    def _watch(self, kind):
        base, plural, _, _ = KINDS[kind]
        while not self.stop.is_set():
            try:
                rv = self.api.get(f"{base}/{plural}?limit=1")["metadata"]["resourceVersion"]
                c = http.client.HTTPSConnection(self.api.address.hostname, self.api.address.port, timeout=700,
                                                context=self.api.tls)
                c.request("GET", f"{base}/{plural}?watch=true&resourceVersion={rv}&labelSelector={LABEL}"
                                 "&timeoutSeconds=690", headers={"Accept": "application/json"})
                r = c.getresponse()
                while not self.stop.is_set():
                    line = r.readline()
                    if not line:
                        break
                    e = json.loads(line)
                    if e["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        self._note(kind, e["type"], e["object"])
            except Exception:  # pylint: disable=broad-except # the server may restart
                time.sleep(0.2)

    def lag(self, change):
        """Seconds from A's answer until B showed this change or a newer one of the object; None: never."""
        with self.lock:
            seen = list(self.seen.get((change.kind, change.namespace, change.name), ()))
        want = float("inf") if change.deleted else change.number
        for number, at in seen:
            if number >= want:
                return max(0.0, at - change.at)
        return None


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


def judge(changes, observer):
    """Their lags, and those that never came."""
    lags, missed = [], []
    for change in changes:
        lag = observer.lag(change)
        if lag is None:
            missed.append(change)
        else:
            lags.append(lag)
    return lags, missed


def histogram(lags, edges=(0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)):
    counts = [0] * (len(edges) + 1)
    for lag in lags:
        counts[bisect.bisect_left(edges, lag)] += 1
    return list(zip([*(f"<= {e * 1000:.0f} ms" for e in edges), "more"], counts))
