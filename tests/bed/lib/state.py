"""What a bed is: its folder, and what was chosen for it at its first `up` and
holds until it is purged: versions, ports, tokens."""

import contextlib
import fcntl
import glob
import json
import os
import random
import re
import secrets
import socket
import subprocess

from proc import BedError, Process, write_file

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLUSTERS = ("a", "b")
CLUSTER_PIECES = ("etcd", "apiserver", "controller-manager", "scheduler", "kwok", "ingress")
PIECES = {"a": CLUSTER_PIECES, "b": CLUSTER_PIECES, "lb": ("haproxy",)}

# Counted up whenever a folder made before no longer fits the code.
FORMAT = 1

# Places in the bed's block of ports. The last eight are for a test's own servers.
BLOCK = 32
OFFSETS = {
    "a-etcd": 0, "a-etcd-peer": 1, "a-apiserver": 2, "a-ingress": 3, "a-unreachable": 4,
    "b-etcd": 8, "b-etcd-peer": 9, "b-apiserver": 10, "b-ingress": 11, "b-unreachable": 12,
    "live": 16, "live-tls": 17, "prelive": 18, "prelive-tls": 19, "stats": 20, "spare": 24,
}
# Below the kernel's ephemeral range, where an outgoing connection could sit on a
# port while its server is stopped.
LOWEST, HIGHEST = 10240, 32000

USERS = {  # static tokens: user name and groups
    "nobody": "bed:nobody",
    "nosecrets": "bed:nosecrets",
    "reader": "bed:reader",
    "writer": "bed:writer",
}


def port_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


CLAIMS = f"/tmp/tandem-bed-ports-{os.getuid()}"  # links PORT -> folder of the bed


@contextlib.contextmanager
def claims():
    """The first ports of all beds by folder, and no one else changes them."""
    os.makedirs(CLAIMS, mode=0o700, exist_ok=True)
    with open(os.path.join(CLAIMS, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield {int(n): os.readlink(os.path.join(CLAIMS, n)) for n in os.listdir(CLAIMS)
               if n != "lock"}


def claim(base, folder):
    """Takes a block of ports for the bed in folder, unless another bed that still
    exists has it, running or stopped."""
    with claims() as taken:
        for port, owner in taken.items():
            if owner == folder or not os.path.exists(os.path.join(owner, "state.json")):
                os.unlink(os.path.join(CLAIMS, str(port)))
            elif abs(port - base) < BLOCK:
                return False
        os.symlink(folder, os.path.join(CLAIMS, str(base)))
    return True


def release(folder):
    with claims() as taken:
        for port in [p for p, owner in taken.items() if owner == folder]:
            os.unlink(os.path.join(CLAIMS, str(port)))


def choose_ports(folder):
    bases = list(range(LOWEST, HIGHEST, BLOCK))
    random.shuffle(bases)
    for base in bases:
        if all(port_free(base + n) for n in range(BLOCK)) and claim(base, folder):
            return base
    raise BedError(f"no block of {BLOCK} free ports between {LOWEST} and {HIGHEST}")


def newest(tool):
    """The folder name of a tool's newest pinned version."""
    names = [os.path.basename(p) for p in glob.glob(os.path.join(HERE, "tools", tool + "-*"))]
    return max(names, key=lambda n: [int(x) for x in re.findall(r"\d+", n)])


class Bed:
    def __init__(self, folder):
        self.dir = os.path.abspath(folder)
        self.state = {}
        self.programs = {}
        try:
            with open(self.path("state.json"), encoding="utf-8") as f:
                self.state = json.load(f)
        except FileNotFoundError:
            return
        if self.state.get("format", 1) != FORMAT:
            raise BedError(f"{self.dir} was made by another version of this program; "
                           "end its processes (run/*.pid) and remove it")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def exists(self):
        return bool(self.state)

    def must_exist(self):
        if not self.exists():
            raise BedError(f"no bed in {self.dir}; `bed up` makes one")

    def check_path(self):
        # HAProxy's runtime commands name the map by its path, and split at spaces.
        if re.search(r"[^\w./@+-]", self.dir):
            raise BedError(f"'{self.dir}': a bed's path may have letters, digits and ._/@+- only")
        # Unix socket addresses end at 107 bytes.
        if len(self.path("haproxy", "admin.sock")) > 100:
            raise BedError(f"{self.dir}: too long a path for a socket in it; choose a shorter --dir")

    def create(self, versions, nodes, args, port_base):
        """First `up`: makes the folder and chooses what is to last."""
        for name in ("a", "b", "haproxy", "run", "log", "bin", "home"):
            os.makedirs(self.path(name), mode=0o700, exist_ok=True)
        base = port_base or choose_ports(self.dir)
        if port_base and not claim(port_base, self.dir):
            raise BedError(f"ports from {port_base} on belong to another bed")
        self.state = {
            "format": FORMAT, "versions": versions, "nodes": nodes, "args": args, "port_base": base,
            "tokens": {name: secrets.token_urlsafe(24) for name in USERS},
        }
        self.save()

    def save(self):
        write_file(self.path("state.json"), json.dumps(self.state, indent=1) + "\n")

    def port(self, name):
        return self.state["port_base"] + OFFSETS[name]

    def url(self, name, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port(name)}"

    def version(self, scope, piece):
        if piece in ("apiserver", "controller-manager", "scheduler"):
            return self.state["versions"][scope]
        if piece in ("etcd", "kwok"):
            return newest(piece).partition("-")[2]
        return ""

    def process(self, scope, piece):
        return Process(f"{scope}-{piece}", self.path("run"), self.path("log"))

    def processes(self, *scopes):
        return [self.process(s, p) for s in scopes or PIECES for p in PIECES[s]]

    def tools(self):
        kubernetes = {f"kubernetes-{v}" for v in self.state["versions"].values()}
        return sorted(kubernetes | {newest("kubernetes"), newest("etcd"), newest("kwok"),
                                    newest("helm"), "ingress"})

    def build(self):
        """Builds what is missing and learns where the programs are."""
        build = os.path.join(HERE, "build")
        for tool in self.tools():
            folder = os.path.join(HERE, "tools", tool)
            if tool != "ingress" and not os.path.isdir(folder):
                raise BedError(f"no {tool} in {os.path.join(HERE, 'tools')}")
        if subprocess.run([build, *self.tools()], check=False).returncode:
            raise BedError("building the bed's programs failed")
        out = subprocess.run([build, "--dirs"], check=True, capture_output=True, text=True).stdout
        self.programs = dict(line.split(" ", 1) for line in out.splitlines())

    def program(self, tool, name):
        if not self.programs:
            self.build()
        return os.path.join(self.programs[tool], name)

    def link_programs(self):
        """DIR/bin, which `bed env` puts first on PATH."""
        links = {"kubectl": newest("kubernetes"), "helm": newest("helm"), "etcd": newest("etcd"),
                 "etcdctl": newest("etcd"), "kwok": newest("kwok")}
        for name, tool in links.items():
            link = self.path("bin", name)
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(self.program(tool, name), link)

    def child_env(self):
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TZ", "TMPDIR")}
        return {**keep, "HOME": self.path("home")}
