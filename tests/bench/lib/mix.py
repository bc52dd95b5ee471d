"""The objects that the benches move: what a platform of many small applications
holds, always the same for the same number (docs: README.md)."""

import base64
import json
import random

NAMESPACES = 50
MANAGERS = ("kubectl-client-side-apply", "helm", "argocd-controller", "terraform")

# kind: (share in percent, collection below its API, API, with the namespace in it)
KINDS = {
    "ConfigMap": (45, "v1", "configmaps"),
    "Secret": (25, "v1", "secrets"),
    "Deployment": (10, "apps/v1", "deployments"),
    "Service": (8, "v1", "services"),
    "ServiceAccount": (5, "v1", "serviceaccounts"),
    "Role": (3, "rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": (3, "rbac.authorization.k8s.io/v1", "rolebindings"),
    "CronJob": (1, "batch/v1", "cronjobs"),
}
NODE_PORT_EVERY = 20  # of the Services

# Made by each cluster in every namespace.
CLUSTERS_OWN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


def collection(kind, namespace=None):
    _, api, plural = KINDS[kind]
    root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def counts(objects):
    """How many of each kind; what rounding leaves over are ConfigMaps."""
    n = {kind: objects * share // 100 for kind, (share, *_) in KINDS.items()}
    n["ConfigMap"] += objects - sum(n.values())
    return n


def namespaces():
    return [f"bench-{i:02d}" for i in range(NAMESPACES)]


def namespace_body(name):
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": f"team-{name[-1]}"}}}


def text(rng, size):
    """Lines of a configuration: not one repeated byte, not noise either."""
    words = ("timeout", "retry", "endpoint", "cache", "pool", "region", "level", "format")
    lines, have = [], 0
    while have < size:
        line = f"{rng.choice(words)}.{rng.choice(words)}={rng.getrandbits(48):x}"
        lines.append(line)
        have += len(line) + 1
    return "\n".join(lines)[:size]


def size(rng):
    """Mostly around 2 KB, a few much larger, as configuration is."""
    return min(int(rng.lognormvariate(7.42, 0.62)), 32000)


def config_map(rng, _i):
    whole = size(rng)
    keys = rng.randint(1, 4)
    return {"data": {f"part-{k}.properties": text(rng, whole // keys) for k in range(keys)}}


def secret(rng, _i):
    value = base64.b64encode(rng.randbytes(int(size(rng) * 0.7))).decode()
    return {"type": "Opaque", "data": {
        "password": base64.b64encode(rng.randbytes(24)).decode(), "bundle": value}}


def container(rng, i):
    return {
        "name": "app", "image": f"registry.example.com/team/app-{i}:1.{rng.randint(0, 40)}.0",
        "args": ["--listen=:8080", f"--shard={i % 16}"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "LOG_LEVEL", "value": "info"},
                {"name": "ZONE", "value": f"zone-{i % 3}"}],
        "envFrom": [{"configMapRef": {"name": f"configmap-{i}"}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"},
                      "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}},
    }


def deployment(rng, i):
    labels = {"app": f"app-{i}"}
    return {"spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels}, "spec": {"containers": [container(rng, i)]}}}}


def service(_rng, i):
    spec = {"selector": {"app": f"app-{i}"}, "ports": [
        {"name": "http", "port": 80, "targetPort": "http"},
        {"name": "metrics", "port": 9090, "targetPort": 9090}]}
    return {"spec": {**spec, "type": "NodePort"} if i % NODE_PORT_EVERY == 0 else spec}


def service_account(_rng, _i):
    return {"automountServiceAccountToken": False}


def role(_rng, _i):
    return {"rules": [
        {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "watch"]}]}


def role_binding(_rng, i):
    return {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                        "name": f"role-{i}"},
            "subjects": [{"kind": "ServiceAccount", "name": "default"}]}


def cron_job(rng, i):
    return {"spec": {"schedule": f"{i % 60} * * * *", "suspend": True, "jobTemplate": {"spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "job", "image": f"registry.example.com/team/job-{i}:1.{rng.randint(0, 40)}.0",
             "args": ["run"]}]}}}}}}


MAKERS = {"ConfigMap": config_map, "Secret": secret, "Deployment": deployment,
          "Service": service, "ServiceAccount": service_account, "Role": role,
          "RoleBinding": role_binding, "CronJob": cron_job}


def objects(number):
    """Yields (kind, namespace, name, body)."""
    for kind, n in counts(number).items():
        for i in range(n):
            rng = random.Random(f"{kind}-{i}")
            ns, name = f"bench-{i % NAMESPACES:02d}", f"{kind.lower()}-{i}"
            body = {"apiVersion": KINDS[kind][1], "kind": kind, "metadata": {
                "name": name, "namespace": ns,
                "labels": {"app.kubernetes.io/name": f"app-{i % 997}",
                           "app.kubernetes.io/part-of": ns},
                "annotations": {"example.com/owner": f"team-{i % 40}@example.com"}}}
            body |= MAKERS[kind](rng, i)
            if kind == "RoleBinding":
                body["subjects"][0]["namespace"] = ns
            yield kind, ns, name, body


def line(method, path, body):
    """As postloop reads it."""
    return f"{method}\t{path}\t{json.dumps(body, separators=(',', ':'))}\n"


def write_load(path, number):
    """What fills A: one create each, one field manager each."""
    with open(path, "w", encoding="ascii") as f:
        for i, (kind, ns, _, body) in enumerate(objects(number)):
            manager = MANAGERS[i % len(MANAGERS)]
            f.write(line("POST", f"{collection(kind, ns)}?fieldManager={manager}", body))


def write_second_manager(path, number):
    """A change of every fifth object by another manager."""
    change = {"metadata": {"annotations": {"example.com/reviewed": "yes"}}}
    with open(path, "w", encoding="ascii") as f:
        for i, (kind, ns, name, _) in enumerate(objects(number)):
            if i % 5 == 0:
                f.write(line("PATCH", f"{collection(kind, ns)}/{name}?fieldManager=reviewer",
                             change))


METADATA = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences",
            "generation", "selfLink")
ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies")


def stripped(kind, item):
    """An object of A as B should get it: the bench's own idea of it, not tandem's."""
    item = {"apiVersion": KINDS[kind][1], "kind": kind,
            **{k: v for k, v in item.items() if k != "status"}}
    meta = item["metadata"] = {k: v for k, v in item["metadata"].items() if k not in METADATA}
    if kind == "Service":
        spec = item["spec"] = {k: v for k, v in item["spec"].items() if k not in ALLOCATED}
        spec["ports"] = [{k: v for k, v in p.items() if k != "nodePort"} for p in spec["ports"]]
    if kind == "Deployment":
        meta["annotations"].pop("deployment.kubernetes.io/revision", None)
    return item


def ours(kind, item):
    """Whether an object in a cluster is one of the mix (made by the bench, not by a controller)."""
    meta = item["metadata"]
    return (meta["namespace"].startswith("bench-")
            and (kind, meta["name"]) not in CLUSTERS_OWN)
