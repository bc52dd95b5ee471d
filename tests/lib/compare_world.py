# SPDX-License-Identifier: Apache-2.0
"""Clusters as compare.py sees them: their objects, and how they are read."""
import base64
import collections
import concurrent.futures
import http.client
import json
import re
import ssl
import subprocess
import tempfile
import urllib.parse

HELD = "tandem.dev/held"  # value: the original JSON of the field that holds it, null where it was absent
ABSENT = type("Absent", (), {"__repr__": lambda self: "absent"})()


class CompareError(Exception):
    """Something that the person at the keyboard is told, without a traceback."""


def at(tree, *path, default=None):
    """The value at a path of keys, or default."""
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return default
        tree = tree[key]
    return tree


def meta(o, field, default=None):
    return at(o, "metadata", field, default=default)


def annotation(o, key, default=None):
    return at(o, "metadata", "annotations", key, default=default)


def label(o, key, default=None):
    return at(o, "metadata", "labels", key, default=default)


def group_of(api_version):
    return api_version.rpartition("/")[0]


def kind_id(o):
    """Kind, or Kind.group outside of the core group."""
    group = group_of(o["apiVersion"])
    return o["kind"] + ("." + group if group else "")


def key_of(o):
    return kind_id(o), meta(o, "namespace", ""), meta(o, "name")


def title(key):
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def controller(o):
    """The controlling owner reference, or an empty one."""
    return next((r for r in meta(o, "ownerReferences", []) if r.get("controller")), {})


def controlled_by(*kinds):
    return lambda o, w: controller(o).get("kind") in kinds


def condition(o, kind):
    return next((c for c in at(o, "status", "conditions", default=[]) or [] if c.get("type") == kind), {})


def finished(job):
    return any(condition(job, c).get("status") == "True" for c in ("Complete", "Failed"))


def held(o):
    return annotation(o, HELD) is not None


def managers(o):
    return {m.get("manager") for m in meta(o, "managedFields", [])}


def owner_key(world, o, ref):
    """The key of the object that a reference of o means: in its namespace, or in none."""
    group = group_of(ref.get("apiVersion", ""))
    kind = ref.get("kind", "") + ("." + group if group else "")
    inside = kind, meta(o, "namespace", ""), ref.get("name")
    namespaced = "{ns}" in world.kinds.get(kind, "")
    return inside if namespaced or inside in world.objects else (kind, "", ref.get("name"))


class World:
    """All objects of one cluster. api is None in tests."""

    def __init__(self, objects, kinds=None, api=None):
        self.objects = {key_of(o): o for o in objects}
        self.by_kind = collections.defaultdict(list)
        self.by_service = collections.defaultdict(list)  # EndpointSlices
        self.by_uid = {meta(o, "uid"): o for o in objects if meta(o, "uid")}
        self.kinds = kinds or {}  # kind id -> path of its collection, with {ns} where namespaced
        self.api = api
        self.children = collections.defaultdict(list)
        for o in objects:
            self.by_kind[kind_id(o)].append(o)
            service = label(o, "kubernetes.io/service-name")
            if service and o["kind"] == "EndpointSlice":
                self.by_service[meta(o, "namespace"), service].append(o)
            for ref in meta(o, "ownerReferences", []):
                self.children[ref.get("uid")].append(o)

    def get(self, kind, namespace, name):
        return self.objects.get((kind, namespace, name))

    def all(self, kind, namespace=None):
        return [o for o in self.by_kind[kind] if namespace in (None, meta(o, "namespace", ""))]

    def slices(self, service):
        return self.by_service[meta(service, "namespace"), meta(service, "name")]

    def again(self, kind, namespace, name):
        """Reads one object anew: what was listed a moment ago may be gone or new."""
        path = self.kinds.get(kind)
        if not self.api or not path:
            return self.get(kind, namespace, name)
        return self.api.get(path.format(ns=namespace) + "/" + urllib.parse.quote(name), missing=None)


def same(a, b):
    """Equal, and of equal type: 1, 1.0 and true are three different values."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def leaves(tree, path=()):
    """(path, text) of every text in a tree."""
    if isinstance(tree, str):
        yield path, tree
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from leaves(value, (*path, key))


def dotted(path):
    """metadata.annotations["a.b/c"].ports[0]"""
    out = ""
    for key in path:
        if isinstance(key, int):
            out += f"[{key}]"
        elif re.fullmatch(r"[\w-]+", key):
            out += ("." if out else "") + key
        else:
            out += f"[{json.dumps(key, ensure_ascii=False)}]"
    return out


class Api:
    """One API server: directly where the credentials are plain, through kubectl where they are not."""

    def __init__(self, context, kubeconfig):
        self.base = ["kubectl", *(["--kubeconfig", kubeconfig] if kubeconfig else []), "--context", context]
        self.context = context
        view = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self.connect = self.direct(at(view["clusters"][0], "cluster", default={}),
                                   at(view["users"][0], "user", default={}) if view.get("users") else {})
        self.connection = None

    def kubectl(self, *args):
        done = subprocess.run([*self.base, *args], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompareError(f"{self.context}: {done.stderr.strip() or 'kubectl failed'}")
        return done.stdout

    def direct(self, cluster, user):
        """A function that connects, or None when only kubectl knows how."""
        url = urllib.parse.urlsplit(cluster.get("server", ""))
        odd = set(cluster) - {"server", "certificate-authority-data"} or set(user) - {
            "client-certificate-data", "client-key-data", "token"}
        if url.scheme != "https" or odd:
            return None
        tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster.get("certificate-authority-data", "")).decode() or None)
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as pem:  # mode 0600, and gone at once
                pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n"
                          + base64.b64decode(user["client-key-data"]))
                pem.flush()
                tls.load_cert_chain(pem.name)
        self.headers = {"Authorization": "Bearer " + user["token"]} if "token" in user else {}
        self.prefix = url.path.rstrip("/")
        return lambda: http.client.HTTPSConnection(url.hostname, url.port or 443, timeout=30, context=tls)

    def request(self, path):
        """(status, body)"""
        if not self.connect:
            try:
                return 200, self.kubectl("get", "--raw", path)
            except CompareError as e:
                for word, status in (("NotFound", 404), ("MethodNotAllowed", 405)):
                    if f"({word})" in str(e):
                        return status, str(e)
                raise
        for attempt in (1, 2):
            try:
                self.connection = self.connection or self.connect()
                self.connection.request("GET", self.prefix + path, headers={"Accept": "application/json", **self.headers})
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as e:
                self.connection = None
                if attempt == 2:
                    raise CompareError(f"{self.context}: GET {path}: {e}") from e
        raise AssertionError

    def get(self, path, missing=CompareError):
        status, body = self.request(path)
        if status in (404, 405) and missing is not CompareError:
            return missing
        if status != 200:
            raise CompareError(f"{self.context}: GET {path}: {status} {str(body)[:200]}")
        return json.loads(body)

    def resources(self):
        """{(group, plural): (kind, namespaced, [versions, the preferred first])} of what can be listed."""
        groups = [("", ["v1"])]
        for g in self.get("/apis")["groups"]:
            first = g["preferredVersion"]["version"]
            groups.append((g["name"], [first, *(v["version"] for v in g["versions"] if v["version"] != first)]))
        found = {}
        for group, versions in groups:
            for version in versions:
                listing = self.get(root(group, version), missing={"resources": []})
                for r in listing["resources"]:
                    if "/" in r["name"] or "list" not in r["verbs"] or "get" not in r["verbs"]:
                        continue
                    found.setdefault((group, r["name"]), (r["kind"], r["namespaced"], []))[2].append(version)
        return found

    def objects(self, group, plural, version):
        token = ""
        while True:
            query = urllib.parse.urlencode({"limit": 500, **({"continue": token} if token else {})})
            page = self.get(f"{root(group, version)}/{plural}?{query}", missing={"items": []})
            for o in page["items"]:
                yield o
            token = at(page, "metadata", "continue")
            if not token:
                return


def root(group, version):
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def read_world(api, mine, other):
    """Everything in one cluster, at versions that both serve where there is one."""
    objects, kinds = [], {}
    for (group, plural), (kind, namespaced, versions) in mine.items():
        shared = set(versions) & set(other.get((group, plural), ("", False, []))[2])
        version = min(shared or versions, key=version_rank)
        identity = kind + ("." + group if group else "")
        kinds[identity] = root(group, version) + ("/namespaces/{ns}/" if namespaced else "/") + plural
        for o in api.objects(group, plural, version):
            objects.append({**o, "apiVersion": f"{group}/{version}" if group else version, "kind": kind})
    return World(objects, kinds, api)


def version_rank(version):
    """GA before beta before alpha, newer before older."""
    m = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not m:
        return 3, 0, 0
    return {None: 0, "beta": 1, "alpha": 2}[m[2]], -int(m[1]), -int(m[3] or 0)


def read_both(options):
    apis = [Api(c, options.kubeconfig) for c in (options.context_a, options.context_b)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        mine = list(pool.map(Api.resources, apis))
        return list(pool.map(read_world, apis, mine, mine[::-1]))
