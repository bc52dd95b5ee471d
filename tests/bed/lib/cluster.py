"""One cluster: how each of its pieces is started, when it is ready, and what the
bed puts into it (nodes, roles)."""

import os
import shutil

import pki
from api import Api, http_ok
from proc import BedError, stop_all, wait_until, write_file
from state import CLUSTER_PIECES, USERS, newest

SERVICES = {"a": "10.96.0.0/16", "b": "10.112.0.0/16"}
PODS = {"a": "10.44.0.1/16", "b": "10.45.0.1/16"}
# The address an API server gives out as its own: none may be loopback, and with
# no endpoint reconciler nobody ever dials it (RFC 5737, for documentation).
ADVERTISE = {"a": "192.0.2.10", "b": "192.0.2.20"}
ZONES = 3

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""

# name: (subject, what its kubeconfig is for)
CLIENTS = {
    "bed": "/O=system:masters/CN=bed",
    "admin": "/O=system:masters/CN=paas-admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kwok": "/O=system:masters/CN=bed:kwok",
    "ingress": "/O=system:masters/CN=bed:ingress",
}

RBAC = "/apis/rbac.authorization.k8s.io/v1"
READ = ["get", "list", "watch"]


class Cluster:
    def __init__(self, bed, name):
        self.bed = bed
        self.name = name
        self.ca = pki.Authority(self.path("pki"))

    def path(self, *parts):
        return self.bed.path(self.name, *parts)

    def process(self, piece):
        return self.bed.process(self.name, piece)

    def port(self, piece):
        return self.bed.port(f"{self.name}-{piece}")

    def issuer(self):
        return f"https://{self.name}.bed.tandem.dev"

    def server(self):
        return f"https://127.0.0.1:{self.port('apiserver')}"

    def api(self):
        return Api(self.port("apiserver"), self.ca.crt, self.path("pki", "bed.crt"),
                   self.path("pki", "bed.key"))

    # Files made at the first `up`, and kept through every reset.

    def create(self):
        os.makedirs(self.path("pki"), mode=0o700, exist_ok=True)
        self.ca.create(f"bed-{self.name}")
        self.ca.issue("apiserver", "/CN=kube-apiserver", "serverAuth",
                      "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
                      f"DNS:localhost,IP:127.0.0.1,IP:{ADVERTISE[self.name]},"
                      f"IP:{SERVICES[self.name].replace('.0/16', '.1')}")
        for client, subject in CLIENTS.items():
            self.ca.issue(client, subject, "clientAuth")
        pki.rsa_pair(self.path("pki", "sa.key"), self.path("pki", "sa.pub"))
        write_file(self.path("audit-policy.yaml"), AUDIT_POLICY)
        tokens = self.bed.state["tokens"]
        write_file(self.path("tokens.csv"), "".join(
            f'{tokens[name]},{user},{user}\n' for name, user in USERS.items()))
        for client in ("controller-manager", "scheduler", "kwok"):
            self.write_kubeconfig(client)
        write_file(self.path("scheduler.yaml"), SCHEDULER.format(
            kubeconfig=self.path("scheduler.kubeconfig")))

    def write_kubeconfig(self, client):
        crt, key = self.path("pki", client + ".crt"), self.path("pki", client + ".key")
        write_file(self.path(client + ".kubeconfig"), KUBECONFIG.format(
            server=self.server(), ca=self.ca.crt, crt=crt, key=key))

    # Starting and stopping.

    def argv(self, piece):
        version = self.bed.state["versions"][self.name]
        tool = {"etcd": newest("etcd"), "kwok": newest("kwok"), "ingress": "ingress"}
        program = piece if piece in tool else "kube-" + piece
        path = self.bed.program(tool.get(piece, f"kubernetes-{version}"), program)
        flags = getattr(self, "flags_" + piece.replace("-", "_"))()
        extra = self.bed.state["args"].get(f"{self.name}.{piece}", [])
        # In place of, not beside: some flags add up.
        given = {word.lstrip("-").partition("=")[0] for word in extra}
        return [path, *(f"--{k}={v}" for k, v in flags.items() if k not in given), *extra]

    def flags_etcd(self):
        client, peer = (f"http://127.0.0.1:{self.port(p)}" for p in ("etcd", "etcd-peer"))
        return {
            "name": self.name, "data-dir": self.path("etcd"),
            "listen-client-urls": client, "advertise-client-urls": client,
            "listen-peer-urls": peer, "initial-advertise-peer-urls": peer,
            "initial-cluster": f"{self.name}={peer}",
            "quota-backend-bytes": 8 << 30, "log-level": "warn",
        }

    def flags_apiserver(self):
        p = self.path
        return {
            "etcd-servers": f"http://127.0.0.1:{self.port('etcd')}",
            "bind-address": "127.0.0.1", "secure-port": self.port("apiserver"),
            "advertise-address": ADVERTISE[self.name], "endpoint-reconciler-type": "none",
            "client-ca-file": self.ca.crt, "tls-cert-file": p("pki", "apiserver.crt"),
            "tls-private-key-file": p("pki", "apiserver.key"),
            "token-auth-file": p("tokens.csv"), "authorization-mode": "RBAC",
            "service-cluster-ip-range": SERVICES[self.name],
            "service-account-issuer": self.issuer(),
            "service-account-key-file": p("pki", "sa.pub"),
            "service-account-signing-key-file": p("pki", "sa.key"),
            "allow-privileged": "true",
            "audit-policy-file": p("audit-policy.yaml"), "audit-log-path": p("audit.log"),
            "audit-log-maxsize": 0,
        }

    def flags_controller_manager(self):
        return {
            "kubeconfig": self.path("controller-manager.kubeconfig"),
            "secure-port": 0, "leader-elect": "false", "controllers": "*",
            "use-service-account-credentials": "true", "root-ca-file": self.ca.crt,
            "service-account-private-key-file": self.path("pki", "sa.key"),
            "cluster-signing-cert-file": self.ca.crt, "cluster-signing-key-file": self.ca.key,
            "kube-api-qps": 500, "kube-api-burst": 1000,
        }

    def flags_scheduler(self):
        return {"config": self.path("scheduler.yaml"), "secure-port": 0}

    def flags_kwok(self):
        return {
            "kubeconfig": self.path("kwok.kubeconfig"), "manage-all-nodes": "true",
            "cidr": PODS[self.name], "node-lease-duration-seconds": 40,
        }

    def flags_ingress(self):
        return {
            "listen": f"127.0.0.1:{self.port('ingress')}", "cluster": self.name,
            "server": self.server(), "ca": self.ca.crt,
            "cert": self.path("pki", "ingress.crt"), "key": self.path("pki", "ingress.key"),
        }

    def launch(self, piece):
        process = self.process(piece)
        if process.pid() is None:
            process.start(self.argv(piece), self.bed.child_env())

    def wait(self, piece):
        what = f"cluster {self.name}: {piece}"
        checks = {
            "etcd": lambda: http_ok(self.port("etcd"), "/health"),
            "apiserver": lambda: self.api().ok("/readyz"),
            "controller-manager": self.namespace_ready,
            "kwok": self.nodes_ready,
            "ingress": lambda: http_ok(self.port("ingress"), "/__health"),
        }
        wait_until(what, checks.get(piece, lambda: True), self.process(piece))

    def start(self, piece, wait=True):
        self.launch(piece)
        if wait:
            self.wait(piece)

    def up(self):
        """Everything, in order; what runs already is left alone."""
        self.start("etcd")
        self.start("apiserver")
        # They need nothing that the bed puts into the cluster, so they may start
        # while it does.
        for piece in ("controller-manager", "scheduler", "kwok", "ingress"):
            self.launch(piece)
        self.make_nodes()
        self.make_roles()
        for piece in CLUSTER_PIECES:
            self.wait(piece)

    def stop(self, pieces=CLUSTER_PIECES, kill=False):
        """Clients before servers, so that none spends its last breath retrying."""
        late = [p for p in ("apiserver", "etcd") if p in pieces]
        early = [p for p in pieces if p not in late]
        stop_all([self.process(p) for p in early], kill)
        for piece in late:
            stop_all([self.process(piece)], kill, patience=1.0)

    def wipe(self):
        """Everything the cluster ever knew; ports, CA and credentials stay."""
        shutil.rmtree(self.path("etcd"), ignore_errors=True)
        if os.path.exists(self.path("audit.log")):
            os.unlink(self.path("audit.log"))

    # What the bed puts into the cluster.

    def namespace_ready(self):
        api = self.api()
        return (api.ok("/api/v1/namespaces/default/serviceaccounts/default")
                and api.ok("/api/v1/namespaces/default/configmaps/kube-root-ca.crt"))

    def nodes_ready(self):
        nodes = self.api().get("/api/v1/nodes")["items"]
        ready = [n for n in nodes for c in n.get("status", {}).get("conditions", [])
                 if c["type"] == "Ready" and c["status"] == "True"]
        if len(ready) < self.bed.state["nodes"]:
            raise BedError(f"{len(ready)} of {self.bed.state['nodes']} nodes are ready")
        return True

    def make_nodes(self):
        api = self.api()
        have = {n["metadata"]["name"] for n in api.get("/api/v1/nodes")["items"]}
        for i in range(self.bed.state["nodes"]):
            node = self.node(i)
            if node["metadata"]["name"] in have:
                continue
            status, answer = api.request("POST", "/api/v1/nodes", node)
            if status != 201:
                raise BedError(f"cluster {self.name}: cannot create a node: {status} {answer}")

    def node(self, i):
        name = f"{self.name}-node-{i}"
        room = {"cpu": "1000", "memory": "4Ti", "pods": "20000", "ephemeral-storage": "100Ti"}
        return {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {
                    "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64", "node-role.kubernetes.io/worker": "",
                    "node.kubernetes.io/instance-type": "m5.large",
                    "topology.kubernetes.io/region": "eu-west-1",
                    "topology.kubernetes.io/zone": "eu-west-1" + "abc"[i % ZONES],
                },
            },
            "spec": {"providerID": f"kwok://{name}"},
            "status": {
                "capacity": room, "allocatable": room,
                "nodeInfo": {
                    "architecture": "amd64", "operatingSystem": "linux", "machineID": "",
                    "bootID": "", "systemUUID": "", "kernelVersion": "6.1.0", "osImage": "fake",
                    "containerRuntimeVersion": "fake://1", "kubeProxyVersion": "",
                    "kubeletVersion": "v" + self.bed.state["versions"][self.name],
                },
            },
        }

    def make_roles(self):
        """Roles of the static tokens. RBAC cannot say "all but": the role without
        Secrets names what there is now, so it is made anew by `bed roles`."""
        api = self.api()
        core = sorted({r["name"] for r in api.get("/api/v1")["resources"]} - {"secrets"})
        groups = sorted(g["name"] for g in api.get("/apis")["groups"])
        paths = {"nonResourceURLs": ["*"], "verbs": ["get"]}
        self.grant(api, "nosecrets", [
            {"apiGroups": [""], "resources": core, "verbs": READ},
            {"apiGroups": groups, "resources": ["*"], "verbs": READ}, paths])
        self.grant(api, "reader", [{"apiGroups": ["*"], "resources": ["*"], "verbs": READ}, paths])
        self.grant(api, "writer", None, role="cluster-admin")

    def grant(self, api, user, rules, role=None):
        name = f"system:bed:{user}"  # named as what a cluster has by itself
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1"}
        if rules:
            api.apply(RBAC + "/clusterroles", name, {
                **kind, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
        api.apply(RBAC + "/clusterrolebindings", name, {
            **kind, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": role or name},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io",
                          "name": USERS[user]}],
        })


KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: bed
  cluster: {{server: "{server}", certificate-authority: "{ca}"}}
users:
- name: bed
  user: {{client-certificate: "{crt}", client-key: "{key}"}}
contexts:
- name: bed
  context: {{cluster: bed, user: bed}}
current-context: bed
"""

SCHEDULER = """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {{kubeconfig: "{kubeconfig}", qps: 500, burst: 1000}}
leaderElection: {{leaderElect: false}}
"""
