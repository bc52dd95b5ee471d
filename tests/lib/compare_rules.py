# SPDX-License-Identifier: Apache-2.0
"""What compare.py knows of Kubernetes: what clusters make by themselves (EXCLUDED), what may differ
(ALLOWED), and what of the status must be alike (STATE). Each row says why; what no row names is a
difference. Nothing here is taken from tandem."""
import collections
import fnmatch
import json
import re

from compare_world import ABSENT, HELD, annotation, at, controlled_by, controller, finished, group_of, held, key_of, \
    kind_id, label, managers, meta, same

# Which field of which kind holds it, and with what value.
HOLDS = {
    "CronJob.batch": ("suspend", True),
    "Job.batch": ("suspend", True),
    "Deployment.apps": ("replicas", 0),
    "StatefulSet.apps": ("replicas", 0),
    "ReplicaSet.apps": ("replicas", 0),
    "ReplicationController": ("replicas", 0),
}


# ---------------------------------------------------------------------------------------------------
# What clusters make by themselves. Each row is asked about an object of either cluster; an object is left
# out when both clusters' (or the only one) are. The first row that says yes is counted.

Excluded = collections.namedtuple("Excluded", "name kinds when why")
SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


def generated_token(o, w):
    account = annotation(o, "kubernetes.io/service-account.name")
    listed = at(w.get("ServiceAccount", meta(o, "namespace"), account), "secrets", default=[]) or []
    return (o.get("type") == "kubernetes.io/service-account-token"
            and re.fullmatch(re.escape(account or "") + "-token-[bcdfghjklmnpqrstvwxz2456789]{5}", meta(o, "name"))
            and any(s.get("name") == meta(o, "name") for s in listed))


def has_selector(o, w):
    return bool(at(w.get("Service", meta(o, "namespace"), meta(o, "name")), "spec", "selector"))


EXCLUDED = [
    Excluded("runtime", (
        "Event", "Event.events.k8s.io", "Lease.coordination.k8s.io", "LeaseCandidate.coordination.k8s.io",
        "Node", "CSINode.storage.k8s.io", "CSIStorageCapacity.storage.k8s.io", "VolumeAttachment.storage.k8s.io",
        "ComponentStatus", "StorageVersion.internal.apiserver.k8s.io", "ResourceSlice.resource.k8s.io",
        "CertificateSigningRequest.certificates.k8s.io", "PodCertificateRequest.certificates.k8s.io",
        "StorageVersionMigration.storagemigration.k8s.io", "NodeMetrics.metrics.k8s.io", "PodMetrics.metrics.k8s.io"),
        lambda o, w: True, "tells how this one cluster runs"),
    Excluded("system-namespace", ("Namespace",), lambda o, w: meta(o, "name") in SYSTEM + ("default",),
             "every cluster is born with it"),
    Excluded("in-system-namespace", ("*",), lambda o, w: meta(o, "namespace") in SYSTEM,
             "the control plane's own"),
    Excluded("tandem-system", ("*",), lambda o, w: "tandem-system" in (
        meta(o, "namespace"), meta(o, "name") if o["kind"] == "Namespace" else ""), "tandem's own notes"),
    Excluded("tandem-probe", ("*",), lambda o, w: (meta(o, "namespace") or "").startswith("tandem-probe-") or (
        o["kind"] == "Namespace" and meta(o, "name").startswith("tandem-probe-") and bool(meta(o, "deletionTimestamp"))),
        "made empty by tandem for a moment, and on its way out"),
    Excluded("test-bed", ("ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io"),
             lambda o, w: meta(o, "name").startswith("system:bed:") and managers(o) == {"bed"},
             "roles of the test bed's own users"),
    Excluded("deleted", ("*",), lambda o, w: bool(meta(o, "deletionTimestamp")) and w.is_a,
             "is being deleted in A"),
    Excluded("pod-of-controller", ("Pod",), lambda o, w: bool(controller(o)), "its controller makes it"),
    Excluded("mirror-pod", ("Pod",), lambda o, w: annotation(o, "kubernetes.io/config.mirror") is not None,
             "a file on a node makes it"),
    Excluded("done-pod", ("Pod",), lambda o, w: at(o, "status", "phase") in ("Succeeded", "Failed"),
             "has run, and would run again"),
    Excluded("replicaset-of-deployment", ("ReplicaSet.apps",), controlled_by("Deployment"),
             "its Deployment makes it"),
    Excluded("revision", ("ControllerRevision.apps",), controlled_by("StatefulSet", "DaemonSet"),
             "history that its controller keeps"),
    Excluded("job-of-cronjob", ("Job.batch",), controlled_by("CronJob"), "its CronJob makes it"),
    Excluded("finished-job", ("Job.batch",), lambda o, w: finished(o) and w.is_a,
             "has been done in A; B is checked not to do it again"),
    Excluded("claim-of-pod", ("PersistentVolumeClaim", "ResourceClaim.resource.k8s.io"), controlled_by("Pod"),
             "made with its Pod"),
    Excluded("provisioned-volume", ("PersistentVolume",), lambda o, w: annotation(
        o, "pv.kubernetes.io/provisioned-by") is not None and re.fullmatch(r"pvc-[0-9a-f-]{36}", meta(o, "name")),
        "a provisioner makes it for a claim, under a name of its own"),
    Excluded("endpointslice", ("EndpointSlice.discovery.k8s.io",), lambda o, w: label(
        o, "endpointslice.kubernetes.io/managed-by") in (
            "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"),
        "made from a Service's pods, or from its Endpoints; judged as a whole by state.endpoints"),
    Excluded("endpoints", ("Endpoints",), lambda o, w: has_selector(o, w) or label(
        o, "endpoints.kubernetes.io/managed-by") == "endpoint-controller", "made from a Service's pods"),
    Excluded("api-service", ("Service", "Endpoints", "EndpointSlice.discovery.k8s.io"),
             lambda o, w: meta(o, "namespace") == "default" and meta(o, "name") == "kubernetes",
             "the API server itself"),
    Excluded("ca-bundle", ("ConfigMap",), lambda o, w: meta(o, "name") == "kube-root-ca.crt"
             and set(o.get("data", {})) == {"ca.crt"}, "the cluster's own CA, in every namespace"),
    Excluded("default-account", ("ServiceAccount",), lambda o, w: meta(o, "name") == "default" and not (
        o.get("imagePullSecrets") or o.get("secrets") or "automountServiceAccountToken" in o
        or meta(o, "labels") or meta(o, "annotations")), "every namespace is born with it; nobody changed it"),
    Excluded("generated-token", ("Secret",), generated_token, "the cluster made it for an account by itself"),
    Excluded("bootstrap-token", ("Secret",), lambda o, w: o.get("type") == "bootstrap.kubernetes.io/token",
             "lets nodes join this one cluster"),
    Excluded("bootstrap-rbac", ("ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io"),
             lambda o, w: label(o, "kubernetes.io/bootstrapping") == "rbac-defaults"
             or meta(o, "name").startswith("kubeadm:"),
             "each version brings its own; subjects that A added are checked"),
    Excluded("flow-control", ("FlowSchema.flowcontrol.apiserver.k8s.io",
                              "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io"),
             lambda o, w: annotation(o, "apf.kubernetes.io/autoupdate-spec") == "true"
             or meta(o, "name") in ("exempt", "catch-all"), "the API server keeps it as its version wants"),
    Excluded("priority-class", ("PriorityClass.scheduling.k8s.io",), lambda o, w: meta(o, "name") in (
        "system-node-critical", "system-cluster-critical"), "every cluster is born with it"),
    Excluded("api-registration", ("APIService.apiregistration.k8s.io",), lambda o, w: label(
        o, "kube-aggregator.kubernetes.io/automanaged") is not None or not at(o, "spec", "service"),
        "follows from the server and its CustomResourceDefinitions"),
    Excluded("service-cidr", ("ServiceCIDR.networking.k8s.io",), lambda o, w: meta(o, "name") == "kubernetes",
             "from the API server's own flags"),
    Excluded("ip-address", ("IPAddress.networking.k8s.io",), lambda o, w: label(
        o, "ipaddress.kubernetes.io/managed-by") == "ipallocator.k8s.io", "the record of a Service's address"),
    Excluded("trust-bundle", ("ClusterTrustBundle.certificates.k8s.io",), lambda o, w: at(
        o, "spec", "signerName", default="").startswith("kubernetes.io/"), "the cluster's own signer's"),
]


def excluded_by(o, world):
    """The name of the rule that leaves this object out, or None."""
    kind = kind_id(o)
    for row in EXCLUDED:
        if ("*" in row.kinds or kind in row.kinds) and row.when(o, world):
            return row.name
    return None


# ---------------------------------------------------------------------------------------------------
# What may differ. A path is a row of keys; * in a key matches as in a shell, a last ** matches the rest.
# `when` sees a Diff; it must say yes, too.

Diff = collections.namedtuple("Diff", "a b path va vb wa wb")  # objects, path, values, worlds
Allowed = collections.namedtuple("Allowed", "name kinds path when why")


def always(d):
    return True


def owns_field(o, *path):
    """Did a person's tool write this field? The API server records what a request carried, before it
    fills in what it chooses itself."""
    for manager in meta(o, "managedFields", []):
        tree = manager.get("fieldsV1", {})
        for part in path:
            tree = tree.get(part) if isinstance(tree, dict) else None
        if tree is not None:
            return True
    return False


def port_chosen(d):
    """Is the nodePort at this path in A somebody's choice? By record of fields, or by last-applied."""
    ports = at(d.a, "spec", "ports", default=[])
    index = d.path[2] if isinstance(d.path[2], int) else next(
        (i for i, p in enumerate(ports) if f"name={p.get('name')}" == d.path[2]), None)
    if index is None or index >= len(ports):
        return False
    p = ports[index]
    entry = "k:" + json.dumps({"port": p["port"], "protocol": p.get("protocol", "TCP")}, separators=(",", ":"))
    if owns_field(d.a, "f:spec", "f:ports", entry, "f:nodePort"):
        return True
    applied = json.loads(annotation(d.a, "kubectl.kubernetes.io/last-applied-configuration", "{}"))
    return any(q.get("nodePort") == p.get("nodePort") for q in at(applied, "spec", "ports", default=[]))


def address_unchosen(d):
    fixed = "None" in (at(d.a, "spec", "clusterIP"), at(d.b, "spec", "clusterIP"))
    return not fixed and ABSENT not in (d.va, d.vb) and not owns_field(d.a, "f:spec", "f:clusterIP")


def binds_own_claim(d):
    """claimRef.uid in B: unset while unbound, or the uid of B's own claim."""
    ref = at(d.b, "spec", "claimRef", default={})
    claim = d.wb.get("PersistentVolumeClaim", ref.get("namespace", ""), ref.get("name", ""))
    return d.vb is ABSENT or (claim is not None and ref.get("uid") == meta(claim, "uid"))


def volume_provisioned(d):
    volume = d.wa.get("PersistentVolume", "", d.va if isinstance(d.va, str) else "")
    return annotation(volume, "pv.kubernetes.io/provisioned-by") is not None


def own_account(d):
    account = d.wb.get("ServiceAccount", meta(d.b, "namespace"),
                       annotation(d.b, "kubernetes.io/service-account.name"))
    return account is not None and d.vb == meta(account, "uid")


def is_token(d):
    return at(d.a, "type") == at(d.b, "type") == "kubernetes.io/service-account-token"


def own_job_uid(d):
    return not at(d.a, "spec", "manualSelector") and d.va == meta(d.a, "uid") and d.vb == meta(d.b, "uid")


def injected_ca(d):
    return any(annotation(d.a, "cert-manager.io/inject-" + k) for k in ("ca-from", "ca-from-secret", "apiserver-ca"))


def autoscaled(d):
    """Both counts lie between the bounds of an autoscaler of A that B has as well."""
    kind, namespace, name = key_of(d.a)
    for hpa in d.wa.all("HorizontalPodAutoscaler.autoscaling", namespace):
        ref = at(hpa, "spec", "scaleTargetRef", default={})
        same = (ref.get("kind"), group_of(ref.get("apiVersion", "")), ref.get("name")) == (
            d.a["kind"], group_of(d.a["apiVersion"]), name)
        low, high = at(hpa, "spec", "minReplicas", default=1), at(hpa, "spec", "maxReplicas")
        if same and d.wb.get(*key_of(hpa)) and all(
                isinstance(v, int) and low <= v <= high for v in (d.va, d.vb)):
            return True
    return False


def holding(o):
    """Is it held, as HOLDS says?"""
    field, value = HOLDS.get(kind_id(o), (None, None))
    return held(o) and field and same(at(o, "spec", field), value)


def original(o):
    """What the held field was, or ABSENT; an annotation that is no JSON equals nothing."""
    try:
        value = json.loads(annotation(o, HELD))
    except (TypeError, ValueError):
        return object()
    return ABSENT if value is None else value


def hold_differs_rightly(d):
    """One side is held, and remembers what the other side has."""
    if d.path != ("spec", HOLDS.get(kind_id(d.a), (None,))[0]):
        return False
    return (holding(d.b) and not held(d.a) and same(original(d.b), d.va)) or (
        holding(d.a) and not held(d.b) and same(original(d.a), d.vb))


def selects(selector, labels):
    return bool(selector) and all((labels or {}).get(k) == v for k, v in selector.items())


def backends(world, service):
    """The workloads whose pods a Service selects."""
    selector = at(service, "spec", "selector")
    return [o for kind in ("Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps")
            for o in world.all(kind, meta(service, "namespace"))
            if not controller(o) and selects(selector, at(o, "spec", "template", "metadata", "labels"))]


def backend_held(d):
    return any(held(o) for s, w in ((d.a, d.wa), (d.b, d.wb)) for o in backends(w, s))


def backends_follow(d):
    """The count of endpoints follows an autoscaler or the number of nodes, and neither side has none."""
    if not (isinstance(d.va, int) and isinstance(d.vb, int) and d.va > 0 and d.vb > 0):
        return False
    for o in backends(d.wa, d.a):
        other = d.wb.get(*key_of(o))
        if not other:
            return False
        counts = at(o, "spec", "replicas"), at(other, "spec", "replicas")
        if o["kind"] != "DaemonSet" and not (counts[0] != counts[1] and autoscaled(Diff(
                o, other, ("spec", "replicas"), *counts, d.wa, d.wb))):
            return False
    return True


def target_held(d):
    ref = at(d.a, "spec", "scaleTargetRef", default={})
    group = group_of(ref.get("apiVersion", ""))
    kind = ref.get("kind", "") + ("." + group if group else "")
    return any(held(o) for w in (d.wa, d.wb)
               for o in [w.get(kind, meta(d.a, "namespace"), ref.get("name"))] if o)


def budget_held(d):
    selector = at(d.a, "spec", "selector", "matchLabels")
    return any(held(o) for w in (d.wa, d.wb) for kind in ("Deployment.apps", "StatefulSet.apps")
               for o in w.all(kind, meta(d.a, "namespace"))
               if selects(selector, at(o, "spec", "template", "metadata", "labels")))


def fed_by_bootstrap(d):
    """Aggregates rules of roles that each version of Kubernetes brings itself."""
    wanted = [s.get("matchLabels", {}) for s in at(d.a, "aggregationRule", "clusterRoleSelectors", default=[])]
    return any(label(r, "kubernetes.io/bootstrapping") == "rbac-defaults" and any(
        selects(s, meta(r, "labels")) for s in wanted) for r in d.wa.all("ClusterRole.rbac.authorization.k8s.io"))


def source_gone(d):
    ref = at(d.a, "spec", d.path[1])
    kind = ref["kind"] + ("." + ref["apiGroup"] if ref.get("apiGroup") else "")
    where = ref.get("namespace") or meta(d.a, "namespace")
    return d.vb is ABSENT and not any(w.get(kind, where, ref["name"]) for w in (d.wa, d.wb))


SERVICE, VOLUME, CLAIM = ("Service",), ("PersistentVolume",), ("PersistentVolumeClaim",)
ANY, JOB, SECRET = ("*",), ("Job.batch",), ("Secret",)
NOTES = ("metadata", "annotations")
ALLOWED = [
    Allowed("identity", ANY, ("metadata", "uid"), always, "the API server's choice"),
    Allowed("bookkeeping", ANY, ("metadata", "resourceVersion"), always, "the API server's count"),
    Allowed("bookkeeping", ANY, ("metadata", "creationTimestamp"), always, "the API server's clock"),
    Allowed("bookkeeping", ANY, ("metadata", "generation"), always, "the API server's count of changes"),
    Allowed("bookkeeping", ANY, ("metadata", "managedFields", "**"), always, "the API server's record of writers"),
    Allowed("bookkeeping", ANY, ("metadata", "selfLink"), always, "was the API server's"),
    Allowed("generate-name", ANY, ("metadata", "generateName"), lambda d: d.vb is ABSENT,
            "its name is known by now"),
    Allowed("finalizers", ANY, ("metadata", "finalizers"), lambda d: d.vb is ABSENT or (
        d.va is not ABSENT and set(d.vb) < set(d.va)),
        "the controller behind it adds it again; without that controller nothing could be deleted in B"),
    Allowed("status", ANY, ("status", "**"), always,
            "each cluster's own account; what matters in it is compared as state"),
    Allowed("tandem-note", ANY, (*NOTES, "tandem.dev/*"), always, "tandem's own notes"),
    Allowed("revision-note", ("Deployment.apps", "ReplicaSet.apps"), (*NOTES, "deployment.kubernetes.io/*"), always,
            "the deployment controller's count"),
    Allowed("revision-note", ("DaemonSet.apps",), (*NOTES, "deprecated.daemonset.template.generation"), always,
            "the API server's count"),
    Allowed("endpoints-note", ("Endpoints",), (*NOTES, "endpoints.kubernetes.io/last-change-trigger-time"), always,
            "the endpoints controller's clock"),
    Allowed("cluster-ip", SERVICE, ("spec", "clusterIP"), address_unchosen, "from each cluster's own range"),
    Allowed("cluster-ip", SERVICE, ("spec", "clusterIPs", "*"), address_unchosen, "from each cluster's own range"),
    Allowed("node-port", SERVICE, ("spec", "ports", "*", "nodePort"),
            lambda d: ABSENT not in (d.va, d.vb) and not port_chosen(d), "nobody chose it"),
    Allowed("node-port", SERVICE, ("spec", "healthCheckNodePort"), lambda d: ABSENT not in (
        d.va, d.vb) and not owns_field(d.a, "f:spec", "f:healthCheckNodePort"), "nobody chose it"),
    Allowed("binding", VOLUME, ("spec", "claimRef", "uid"), binds_own_claim, "the uid of the claim in B"),
    Allowed("binding", VOLUME, ("spec", "claimRef", "resourceVersion"), always, "of the claim in each cluster"),
    Allowed("binding", VOLUME, (*NOTES, "pv.kubernetes.io/bound-by-controller"), always,
            "who bound it: in A the controller may have chosen what B was told"),
    Allowed("retained", VOLUME, ("spec", "persistentVolumeReclaimPolicy"), lambda d: d.vb == "Retain",
            "both name one storage: the end of the claim in B must not delete it for A"),
    Allowed("binding", CLAIM, (*NOTES, "pv.kubernetes.io/bind-completed"), always, "judged by state.phase"),
    Allowed("binding", CLAIM, (*NOTES, "pv.kubernetes.io/bound-by-controller"), always, "who bound it"),
    Allowed("binding", CLAIM, (*NOTES, "volume.kubernetes.io/selected-node"), always, "a node of one cluster"),
    Allowed("binding", CLAIM, (*NOTES, "volume.*kubernetes.io/storage-provisioner"), always, "written on binding"),
    Allowed("source-gone", CLAIM, ("spec", "dataSource*", "**"), source_gone,
            "what it was filled from is in neither: in B it would wait for that for ever"),
    Allowed("provisioned-volume", CLAIM, ("spec", "volumeName"), volume_provisioned,
            "a provisioner names each cluster's volume"),
    Allowed("token", SECRET, ("data", "token"), is_token, "signed by each cluster for itself"),
    Allowed("token", SECRET, ("data", "ca.crt"), is_token, "each cluster's own CA"),
    Allowed("token", SECRET, (*NOTES, "kubernetes.io/service-account.uid"), own_account,
            "the uid of the account in B"),
    Allowed("token", SECRET, ("metadata", "labels", "kubernetes.io/legacy-token-*"), is_token,
            "the API server's record of use"),
    Allowed("job-uid", JOB, ("metadata", "labels", "*controller-uid"), own_job_uid, "each Job's own uid"),
    Allowed("job-uid", JOB, ("spec", "selector", "matchLabels", "*controller-uid"), own_job_uid, "each Job's own uid"),
    Allowed("job-uid", JOB, ("spec", "template", "metadata", "labels", "*controller-uid"), own_job_uid,
            "each Job's own uid"),
    # Seen between 1.33 and 1.37: what one version writes and another leaves out, meaning the same.
    Allowed("version", ANY, ("**",), lambda d: d.path[-1] == "creationTimestamp" and all(
        v is None or v is ABSENT for v in (d.va, d.vb)), "templates have none; until 1.33 they said null"),
    Allowed("version", ("StatefulSet.apps",), ("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"),
            lambda d: {id(ABSENT)} < {id(d.va), id(d.vb)} and same(d.vb if d.va is ABSENT else d.va, 1),
            "the default that newer versions spell out"),
    Allowed("version", ("Pod",), ("metadata", "labels", "topology.kubernetes.io/*"), lambda d: ABSENT in (d.va, d.vb),
            "newer API servers copy them from the node"),
    Allowed("version", ("HorizontalPodAutoscaler.autoscaling",), ("state", "conditions", "ScaledToZero"),
            lambda d: (d.va is ABSENT and d.vb == "False NotScaledToZero") or (
                d.vb is ABSENT and d.va == "False NotScaledToZero"), "a condition that newer versions add"),
    Allowed("scheduling", ("Pod",), ("spec", "nodeName"), always, "a node of one cluster"),
    Allowed("aggregation", ("ClusterRole.rbac.authorization.k8s.io",), ("rules", "**"),
            lambda d: fed_by_bootstrap(d), "collected from roles that each version brings itself"),
    Allowed("injected-ca", ("*",), ("webhooks", "*", "clientConfig", "caBundle"), injected_ca,
            "an injector writes it in each cluster"),
    Allowed("injected-ca", ("CustomResourceDefinition.apiextensions.k8s.io",),
            ("spec", "conversion", "webhook", "clientConfig", "caBundle"), injected_ca, "an injector writes it"),
    Allowed("injected-ca", ("APIService.apiregistration.k8s.io",), ("spec", "caBundle"), injected_ca,
            "an injector writes it"),
    Allowed("autoscaled", tuple(HOLDS), ("spec", "replicas"), autoscaled, "within its autoscaler's bounds"),
    Allowed("held", tuple(HOLDS), ("spec", "*"), hold_differs_rightly, "held, with the original value noted"),
    Allowed("held", SERVICE, ("state", "endpoints", "**"), backend_held, "what stands behind it is held"),
    Allowed("held", ("HorizontalPodAutoscaler.autoscaling",), ("state", "**"), target_held, "its target is held"),
    Allowed("held", ("PodDisruptionBudget.policy",), ("state", "**"), budget_held, "its pods are held"),
    Allowed("autoscaled", SERVICE, ("state", "endpoints", "ready"), backends_follow,
            "as many as the autoscaler or the nodes make"),
]


def path_matches(pattern, path):
    rest = pattern[-1] == "**"
    if rest:
        pattern = pattern[:-1]
    if len(path) < len(pattern) or (not rest and len(path) != len(pattern)):
        return False
    return all(fnmatch.fnmatchcase(str(key), want) for want, key in zip(pattern, path))


def allowed_by(diff, held_ok=True):
    """The name of the rule that allows this difference, or None."""
    kind = kind_id(diff.a)
    for row in ALLOWED:
        if row.name == "held" and not held_ok:
            continue
        if ("*" in row.kinds or kind in row.kinds) and path_matches(row.path, diff.path) and row.when(diff):
            return row.name
    return None


# ---------------------------------------------------------------------------------------------------
# How things stand, as far as it must be alike: compared as if it were a field named state.

State = collections.namedtuple("State", "kinds view why")


def count_state(o, w):
    want, ready = at(o, "spec", "replicas", default=1), at(o, "status", "readyReplicas", default=0)
    seen = at(o, "status", "observedGeneration", default=0) >= meta(o, "generation", 0)
    return {"ready": "all" if ready >= want and seen else f"{ready} of {want}" if seen else "not seen yet"}


def daemon_state(o, w):
    want, ready = at(o, "status", "desiredNumberScheduled", default=0), at(o, "status", "numberReady", default=0)
    return {"ready": "all" if ready >= want and want else f"{ready} of {want}"}


def endpoints_state(o, w):
    """Ports and counts over all slices; addresses of pods are each cluster's own."""
    ports, counts = set(), collections.Counter()
    for piece in w.slices(o):
        endpoints = piece.get("endpoints") or []
        for e in endpoints:
            counts["ready" if at(e, "conditions", "ready", default=True) else "unready"] += 1
        if endpoints:
            ports |= {f"{p.get('name') or ''}:{p.get('port')}/{p.get('protocol')}" for p in piece.get("ports") or []}
    return {"endpoints": {"ports": sorted(ports), "ready": counts["ready"], "unready": counts["unready"]}}


def conditions_state(*kinds):
    """Status and reason of the named conditions, or of all."""
    def view(o, w):
        return {"conditions": {c["type"]: f"{c['status']} {c.get('reason', '')}".strip()
                               for c in at(o, "status", "conditions", default=[]) or []
                               if not kinds or c["type"] in kinds}}
    return view


def phase_state(o, w):
    return {"phase": at(o, "status", "phase", default=ABSENT)}


def token_state(o, w):
    if o.get("type") != "kubernetes.io/service-account-token":
        return {}
    return {"filled in": sorted(k for k in ("token", "ca.crt", "namespace") if at(o, "data", k))}


STATE = [
    State(("Deployment.apps", "StatefulSet.apps", "ReplicaSet.apps", "ReplicationController"), count_state,
          "workloads are as ready as in A"),
    State(("DaemonSet.apps",), daemon_state, "an agent on every node, however many there are"),
    State(SERVICE, endpoints_state, "what a Service leads to"),
    State(("HorizontalPodAutoscaler.autoscaling",), conditions_state(), "autoscalers work, or do not, alike"),
    State((*CLAIM, *VOLUME, "Namespace"), phase_state, "bound, active, as in A"),
    State(("Pod",), lambda o, w: {**phase_state(o, w), **conditions_state("Ready")(o, w)}, "runs as in A"),
    State(("CustomResourceDefinition.apiextensions.k8s.io",), conditions_state("Established", "NamesAccepted"),
          "its objects are served"),
    State(("APIService.apiregistration.k8s.io",), conditions_state("Available"), "is reached"),
    State(("PodDisruptionBudget.policy",), lambda o, w: {"enough": at(o, "status", "currentHealthy", default=0)
                                                         >= at(o, "status", "desiredHealthy", default=0)},
          "enough pods are healthy, as in A"),
    State(JOB, lambda o, w: {"finished": finished(o)}, "unfinished as in A"),
    State(SECRET, token_state, "the token controller has served it"),
]


def state_of(o, world):
    views = [row.view(o, world) for row in STATE if kind_id(o) in row.kinds]
    return {k: v for view in views for k, v in view.items() if v is not ABSENT}
