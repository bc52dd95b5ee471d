"""An API server by script: lists, creates and keeps the objects of a platform of any size in
little memory and time, so that what a client needs can be measured without two control planes.
Plain HTTP on loopback; no admission, no schema, no watch."""

import hashlib
import http.server
import json
import socketserver
import threading
import urllib.parse

NAMESPACES = 50
# plural: (API group, kind, percent of the objects, who owns one: plural or None). Those of 0 percent
# of the count are what controllers add to the others.
KINDS = {
    "namespaces": ("", "Namespace", 0, None),
    "configmaps": ("", "ConfigMap", 45, None),
    "secrets": ("", "Secret", 25, None),
    "services": ("", "Service", 8, None),
    "serviceaccounts": ("", "ServiceAccount", 5, None),
    "deployments": ("apps", "Deployment", 10, None),
    "roles": ("rbac.authorization.k8s.io", "Role", 3, None),
    "rolebindings": ("rbac.authorization.k8s.io", "RoleBinding", 3, None),
    "cronjobs": ("batch", "CronJob", 1, None),
    "replicasets": ("apps", "ReplicaSet", 10, "deployments"),
    "endpointslices": ("discovery.k8s.io", "EndpointSlice", 8, "services"),
}
OWNED_SUFFIX = {"replicasets": "-7d9f8b6c5", "endpointslices": "-x7k2p"}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
TEXT = "\n".join(f"timeout.retry={hashlib.md5(bytes([i])).hexdigest()[:12]}" for i in range(72))
POD = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{
    "name": "app", "image": "registry.example.com/app:1", "args": ["--listen=:8080"],
    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    "resources": {"limits": {"memory": "256Mi"}}, "imagePullPolicy": "IfNotPresent"}],
    "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}}
WORKLOAD = {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}}, "template": POD},
            "status": {"observedGeneration": 1}}
CONTENT = {
    "configmaps": {"data": {"app.properties": TEXT}},
    "secrets": {"data": {"bundle": "QUJD" * 450}, "type": "Opaque"},
    "services": {"spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 80,
                                     "targetPort": "http"}],
                          "selector": {"app": "x"}, "clusterIP": "10.0.0.9", "type": "ClusterIP",
                          "sessionAffinity": "None"}},
    "deployments": WORKLOAD, "replicasets": WORKLOAD,
    "roles": {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}]},
    "rolebindings": {"subjects": [{"kind": "Group", "name": "team"}], "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "role-1"}},
    "cronjobs": {"spec": {"schedule": "1 * * * *", "suspend": True,
                          "jobTemplate": {"spec": {"template": POD}}}},
    "namespaces": {"status": {"phase": "Active"}},
}
MANAGED = json.dumps([{"manager": "helm", "operation": "Update", "apiVersion": "v1",
                       "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
                       "fieldsV1": {"f:data": {".": {}, "f:a": {}, "f:b": {}}, "f:metadata": {
                           "f:annotations": {".": {}, "f:example.com/owner": {}},
                           "f:labels": {".": {}, "f:app.kubernetes.io/name": {}}}}}])
TAIL = {p: json.dumps(CONTENT.get(p, {"automountServiceAccountToken": False}))[1:] for p in KINDS}


def uid(slot, *words):
    h = hashlib.md5("/".join((slot, *words)).encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def names(plural, objects):
    """(namespace, name) of each, in the order of an API server's store."""
    if plural == "namespaces":
        return [("", f"bench-{i:02d}") for i in range(NAMESPACES)]
    base, tail = KINDS[plural][3] or plural, OWNED_SUFFIX.get(plural, "")
    return sorted((f"bench-{i % NAMESPACES:02d}", f"{base[:-1]}-{i}{tail}")
                  for i in range(objects * KINDS[plural][2] // 100))


def item(slot, plural, key):
    ns, name = key
    owner = KINDS[plural][3]
    refs = ""
    if owner:
        group, kind, _, _ = KINDS[owner]
        of = name.removesuffix(OWNED_SUFFIX[plural])
        refs = (f',"ownerReferences":[{{"apiVersion":"{group + "/" if group else ""}v1","kind":"{kind}",'
                f'"name":"{of}","uid":"{uid(slot, owner, ns, of)}","controller":true}}]')
    space = f',"namespace":"{ns}"' if ns else ""
    return (f'{{"metadata":{{"name":"{name}"{space},"uid":"{uid(slot, plural, ns, name)}",'
            f'"resourceVersion":"7","creationTimestamp":"2026-01-01T00:00:00Z",'
            f'"labels":{{"app.kubernetes.io/name":"app-1"}},'
            f'"annotations":{{"example.com/owner":"team-1"}}{refs},"managedFields":{MANAGED}}},'
            + TAIL[plural])


def discovery(groups):
    def resource(plural):
        group, kind, _, _ = KINDS[plural]
        return {"resource": plural, "singularResource": kind.lower(), "verbs": VERBS,
                "responseKind": {"group": group, "version": "v1", "kind": kind},
                "scope": "Cluster" if plural == "namespaces" else "Namespaced"}
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [
        {"metadata": {"name": g} if g else {}, "versions": [
            {"version": "v1", "freshness": "Current",
             "resources": [resource(p) for p in KINDS if KINDS[p][0] == g]}]} for g in groups]}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """filled: with all objects; else with the namespaces alone."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, slot, objects, filled):
        self.slot = slot
        self.lock = threading.Lock()
        self.have = {p: dict.fromkeys(names(p, objects) if filled or p == "namespaces" else ())
                     for p in KINDS}
        self.order = {p: list(keys) for p, keys in self.have.items()}
        super().__init__(("127.0.0.1", 0), Handler)

    def create(self, plural, key):
        with self.lock:
            if key in self.have[plural]:
                return False
            self.have[plural][key] = None
            self.order[plural] = None
            return True

    def page(self, plural, first, limit):
        with self.lock:
            if self.order[plural] is None:
                self.order[plural] = sorted(self.have[plural])
            return self.order[plural][first:first + limit], len(self.order[plural])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def answer(self, code, body):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # pylint: disable=invalid-name
        path, _, query = self.path.partition("?")
        fixed = {"/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
                 "/api": discovery([""]),
                 "/apis": discovery(sorted({k[0] for k in KINDS.values() if k[0]})),
                 "/api/v1/namespaces/kube-system": {"metadata": {
                     "name": "kube-system", "uid": uid(self.server.slot, "kube-system")}}}
        plural = path.rpartition("/")[2]
        if path in fixed:
            self.answer(200, fixed[path])
        elif plural in KINDS:
            self.list(plural, dict(urllib.parse.parse_qsl(query)))
        else:
            self.answer(404, {"kind": "Status", "code": 404, "reason": "NotFound"})

    def list(self, plural, query):
        first, limit = int(query.get("continue", 0)), int(query.get("limit", 500))
        keys, total = self.server.page(plural, first, limit)
        more = str(first + limit) if first + limit < total else ""
        items = ",".join(item(self.server.slot, plural, k) for k in keys)
        self.answer(200, (f'{{"kind":"{KINDS[plural][1]}List","apiVersion":"v1","metadata":'
                          f'{{"resourceVersion":"9","continue":"{more}"}},"items":[{items}]}}').encode())

    def do_POST(self):  # pylint: disable=invalid-name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = self.path.partition("?")[0].split("/")
        plural, key = parts[-1], (body["metadata"].get("namespace", ""), body["metadata"]["name"])
        if not self.server.create(plural, key):
            self.answer(409, {"kind": "Status", "code": 409, "reason": "AlreadyExists"})
            return
        self.answer(201, {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                          "metadata": {"name": key[1], "resourceVersion": "7",
                                       "uid": uid(self.server.slot, plural, *key)}})
