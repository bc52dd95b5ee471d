"""The bed under a bench: bringing it up, reaching its API servers, watching who
uses the processors."""

import base64
import contextlib
import glob
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that the person at the keyboard is told, without a traceback."""


def newest_build(root=ROOT):
    """The build folder with the newest tandem in it."""
    found = [d for d in glob.glob(os.path.join(root, "build*"))
             if os.path.exists(os.path.join(d, "src", "cli", "tandem"))]
    if not found:
        raise BenchError("no built tandem in ./build*: say --build DIR")
    return max(found, key=lambda d: os.path.getmtime(os.path.join(d, "src", "cli", "tandem")))


def program(build, *parts):
    path = os.path.join(build, *parts)
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is not there: ninja -C {build}")
    return os.path.abspath(path)


def run_json(argv, what, ok=(0,), **more):
    """A program that prints one JSON object."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **more)
    if done.returncode not in ok:
        raise BenchError(f"{what}: exit {done.returncode}: "
                         f"{(done.stdout[-2000:] + done.stderr[-2000:]).decode(errors='replace')}")
    return json.loads(done.stdout)


class Api:
    """One API server by the bed's kubeconfig, for the bench's own few requests."""

    def __init__(self, name, kubeconfig, folder):
        self.name = name
        context = f"paas-{name}"
        by_name = {kind: {e["name"]: e[kind[:-1]] for e in kubeconfig[kind]}
                   for kind in ("contexts", "clusters", "users")}
        context = by_name["contexts"][context]
        cluster, user = by_name["clusters"][context["cluster"]], by_name["users"][context["user"]]
        self.address = urllib.parse.urlsplit(cluster["server"])
        self.files = {}
        for what, data in (("ca", cluster["certificate-authority-data"]),
                           ("crt", user["client-certificate-data"]),
                           ("key", user["client-key-data"])):
            self.files[what] = os.path.join(folder, f"{name}.{what}")
            with open(os.open(self.files[what], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                      "wb") as f:
                f.write(base64.b64decode(data))
        self.tls = ssl.create_default_context(cafile=self.files["ca"])
        self.tls.load_cert_chain(self.files["crt"], self.files["key"])

    def target(self):
        """For postloop."""
        return ",".join((self.address.netloc, self.files["ca"], self.files["crt"],
                         self.files["key"]))

    @contextlib.contextmanager
    def connection(self):
        c = http.client.HTTPSConnection(self.address.hostname, self.address.port, timeout=60,
                                        context=self.tls)
        try:
            yield c
        finally:
            c.close()

    def get(self, path, connection=None, accept="application/json"):
        if connection is None:
            with self.connection() as c:
                return self.get(path, c, accept)
        connection.request("GET", path, headers={"Accept": accept, "User-Agent": "bench"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise BenchError(f"GET {path}: {answer.status} {text[:300].decode(errors='replace')}")
        return json.loads(text)

    def pages(self, path, metadata_only=False):
        """Every object of a collection."""
        accept = "application/json"
        if metadata_only:
            accept += ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        token = ""
        with self.connection() as c:
            while True:
                query = urllib.parse.urlencode({"limit": 500, **({"continue": token} if token else {})})
                page = self.get(f"{path}?{query}", c, accept)
                yield from page["items"]
                token = page["metadata"].get("continue", "")
                if not token:
                    return


class Bed:
    """Own and taken down at the end, or one that is there already."""

    def __init__(self, folder=None, keep=False):
        self.own = folder is None
        self.keep = keep
        self.dir = folder or tempfile.mkdtemp(prefix="tandem-bench-")
        self.command = os.path.join(ROOT, "tests", "bed", "bed")
        self.env = dict(os.environ)
        self.api = {}
        self.work = tempfile.mkdtemp(prefix="tandem-bench-work-")

    def __enter__(self):
        try:
            self.call("up")
            for line in self.call("env").splitlines():
                name, _, value = line.removeprefix("export ").partition("=")
                if name != "PATH":
                    self.env[name] = value.strip("'\"")
            kubeconfig = run_json(["kubectl", "config", "view", "--raw", "-o", "json"], "kubectl",
                                  env={**self.env, "PATH": f"{self.dir}/bin:{os.environ['PATH']}"})
            self.api = {x: Api(x, kubeconfig, self.work) for x in "ab"}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.own and not self.keep:
            self.call("down", "--purge")
        if not self.keep:
            shutil.rmtree(self.work, ignore_errors=True)

    def reset(self, cluster):
        """A killed server can hold its ports for a moment after it is a zombie: once more then."""
        try:
            self.call("reset", cluster)
        except BenchError as e:
            if "address already in use" not in str(e):
                raise
            time.sleep(1)
            self.call("reset", cluster)

    def call(self, *words):
        done = subprocess.run([self.command, words[0], "--dir", self.dir, *words[1:]],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise BenchError(f"bed {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def pids(self):
        """Name of each piece -> pid."""
        found = {}
        for path in glob.glob(os.path.join(self.dir, "run", "*.pid")):
            with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as f:
                found[os.path.basename(path)[:-4]] = int(f.read())
        return found

    def audit(self, cluster):
        return os.path.join(self.dir, cluster, "audit.log")

    def wait_quiet(self, limit=30.0, share=0.15, others=0.30):
        """Until servers and machine do little: what came before must not be paid by what comes
        next."""
        end = time.monotonic() + limit
        calm = 0
        while calm < 2 and time.monotonic() < end:
            with Sampler(self.pids()) as s:
                time.sleep(0.5)
            servers = sum(s.used(name, s.first(), s.last()) for name in s.pids)
            rest = s.used("machine", s.first(), s.last()) - servers
            seconds = s.last() - s.first()
            calm = calm + 1 if servers < share * seconds and rest < others * seconds else 0
        return calm == 2


def cpu_of(pid):
    """Seconds of processor time, user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_busy():
    """Seconds that all processors together were not idle."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


class Sampler(threading.Thread):
    """Notes the processor time of processes over time, so that the use between any
    two moments can be told afterwards."""

    EVERY = 0.05

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids = dict(pids)
        self.series = {name: [] for name in [*self.pids, "machine"]}
        self.done = threading.Event()

    def __enter__(self):
        self.note()
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        self.note()

    def run(self):
        while not self.done.wait(self.EVERY):
            self.note()

    def note(self):
        for name, pid in list(self.pids.items()):
            with contextlib.suppress(OSError):
                self.series[name].append((time.time(), cpu_of(pid)))
        self.series["machine"].append((time.time(), cpu_busy()))

    def first(self):
        return self.series["machine"][0][0]

    def last(self):
        return self.series["machine"][-1][0]

    def at(self, name, moment):
        """Processor time at a moment, linear between two notes."""
        before = None
        for t, v in self.series[name]:
            if t >= moment:
                if before is None or t == before[0]:
                    return v
                return before[1] + (v - before[1]) * (moment - before[0]) / (t - before[0])
            before = (t, v)
        return before[1] if before else 0.0

    def used(self, name, begin, end):
        return self.at(name, end) - self.at(name, begin)
