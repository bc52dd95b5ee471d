#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py judges pairs of made-up objects here, without a cluster: each rule lets through what it is
for, and each check finds what it is for. That every row is used is tested, too."""
import base64
import contextlib
import copy
import io
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

# pylint: disable=wrong-import-position
import compare  # noqa: E402
import compare_checks  # noqa: E402
import compare_rules  # noqa: E402
import compare_world  # noqa: E402

APPS, BATCH, RBAC = "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1"
SLICES, AUTOSCALING, POLICY = "discovery.k8s.io/v1", "autoscaling/v2", "policy/v1"
CRD, REGISTRATION = "apiextensions.k8s.io/v1", "apiregistration.k8s.io/v1"
OPTIONS = compare.parse([])


def merge(into, extra):
    for k, v in extra.items():
        if isinstance(v, dict) and isinstance(into.get(k), dict):
            merge(into[k], v)
        else:
            into[k] = copy.deepcopy(v)
    return into


class Pair:
    """Two clusters in the making."""

    def __init__(self):
        self.a, self.b = [], []
        self.add("v1", "Namespace", "app", ns="", status={"phase": "Active"})

    def add(self, api, kind, name, ns="app", only="ab", a=None, b=None, **both):
        """The same object in both clusters but for a uid of its own, with a and b laid over. Returns both."""
        made = []
        for side, extra in (("a", a), ("b", b)):
            o = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "uid": f"{side}-{kind}-{name}"}}
            if ns:
                o["metadata"]["namespace"] = ns
            merge(merge(o, copy.deepcopy(both)), extra or {})
            if side in only:
                getattr(self, side).append(o)
            made.append(o)
        return made

    def config(self, **kw):
        return self.add("v1", "ConfigMap", "c", **{"data": {"k": "v"}, **kw})

    def workload(self, kind="Deployment", name="web", replicas=2, **kw):
        return self.add(APPS, kind, name, **merge({
            "metadata": {"generation": 1}, "spec": {
                "replicas": replicas, "template": {"metadata": {"labels": {"app": name}}}},
            "status": {"readyReplicas": replicas, "observedGeneration": 1}}, kw))

    def service(self, name="web", ready=2, only_slices="ab", a_ready=None, b_ready=None, **kw):
        made = self.add("v1", "Service", name, **merge({
            "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "selector": {"app": name},
                     "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 31000}]}}, kw))
        for side, n in (("a", a_ready), ("b", b_ready)):
            if side in only_slices:
                self.slice(name, side, ready if n is None else n)
        return made

    def slice(self, service, side, ready, name=None, first=1):
        self.add(SLICES, "EndpointSlice", name or f"{service}-{side}xyz12", only=side, metadata={"labels": {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
            endpoints=[{"addresses": [f"10.1.0.{first + i}"], "conditions": {"ready": True}} for i in range(ready)])

    def autoscaler(self, name="web", low=1, high=5, **kw):
        return self.add(AUTOSCALING, "HorizontalPodAutoscaler", name, **merge({"spec": {
            "minReplicas": low, "maxReplicas": high,
            "scaleTargetRef": {"apiVersion": APPS, "kind": "Deployment", "name": name}}}, kw))


def owner(kind, name, uid, api="v1", controller=True):
    return {"metadata": {"ownerReferences": [
        {"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": controller}]}}


def note(key, value):
    return {"metadata": {"annotations": {key: value}}}


def tag(key, value):
    return {"metadata": {"labels": {key: value}}}


def fields(tree, manager="kubectl"):
    return {"metadata": {"managedFields": [{"manager": manager, "fieldsV1": tree}]}}


def chosen_port(p):
    tree = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}}
    a, b = p.service(a=fields(tree))
    b["spec"]["ports"][0]["nodePort"] = 31001


def applied_port(p):
    applied = {"spec": {"ports": [{"port": 80, "nodePort": 31000}]}}
    key = "kubectl.kubernetes.io/last-applied-configuration"
    a, b = p.service(**note(key, json.dumps(applied)))
    b["spec"]["ports"][0]["nodePort"] = 31001


def other_port(p):
    p.service()[1]["spec"]["ports"][0]["nodePort"] = 31001


def other_addresses(p):
    p.service()[1]["spec"].update(clusterIP="10.9.0.7", clusterIPs=["10.9.0.7"])


def headless_lost(p):
    a, _ = p.service()
    a["spec"].update(clusterIP="None", clusterIPs=["None"])


def chosen_address(p):
    _, b = p.service(a=fields({"f:spec": {"f:clusterIP": {}, "f:clusterIPs": {}}}))
    b["spec"].update(clusterIP="10.9.0.7", clusterIPs=["10.9.0.7"])


def owned(uid_b="b-ConfigMap-c", **ref_b):
    def build(p):
        p.config()
        b = owner("ConfigMap", "c", uid_b, controller=False)
        b["metadata"]["ownerReferences"][0].update(ref_b)
        p.add("v1", "Secret", "s", a=owner("ConfigMap", "c", "a-ConfigMap-c", controller=False), b=b)
    return build


def owner_lost(p):
    p.config()
    p.add("v1", "Secret", "s", a=owner("ConfigMap", "c", "a-ConfigMap-c"))


def volume(b_uid="b-PersistentVolumeClaim-c", b_phase="Bound"):
    def build(p):
        p.add("v1", "PersistentVolumeClaim", "c", status={"phase": "Bound"}, spec={"volumeName": "v"},
              a=note("pv.kubernetes.io/bound-by-controller", "yes"),
              b={"status": {"phase": b_phase}, **note("pv.kubernetes.io/bind-completed", "yes")})
        p.add("v1", "PersistentVolume", "v", ns="", status={"phase": "Bound"},
              spec={"claimRef": {"namespace": "app", "name": "c"}},
              a={"spec": {"claimRef": {"uid": "a-PersistentVolumeClaim-c", "resourceVersion": "1"}},
                 **note("pv.kubernetes.io/bound-by-controller", "yes")},
              b={"spec": {"claimRef": {"uid": b_uid, "resourceVersion": "2"}}})
    return build


def reclaim(in_a, in_b):
    return lambda p: p.add("v1", "PersistentVolume", "v", ns="", status={"phase": "Available"},
                           a={"spec": {"persistentVolumeReclaimPolicy": in_a}},
                           b={"spec": {"persistentVolumeReclaimPolicy": in_b}})


def filled(there):
    def build(p):
        if there:
            p.add("v1", "PersistentVolumeClaim", "first", status={"phase": "Bound"})
        p.add("v1", "PersistentVolumeClaim", "c", status={"phase": "Bound"},
              a={"spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "first"}}})
    return build


def provisioned(annotated):
    def build(p):
        name = "pvc-01234567-89ab-cdef-0123-456789abcdef"
        p.add("v1", "PersistentVolume", name, ns="", only="a", status={"phase": "Bound"},
              **(note("pv.kubernetes.io/provisioned-by", "x") if annotated else {}))
        p.add("v1", "PersistentVolumeClaim", "c", status={"phase": "Bound"}, a={"spec": {"volumeName": name}},
              b={"spec": {"volumeName": "pvc-other"}})
    return build


def token(b=None, name="t", account_uid="b-ServiceAccount-robot", listed=False):
    def build(p):
        p.add("v1", "ServiceAccount", "robot", **({"a": {"secrets": [{"name": name}]}} if listed else {}))
        p.add("v1", "Secret", name, type="kubernetes.io/service-account-token", only="a" if listed else "ab",
              a=merge(note("kubernetes.io/service-account.uid", "a-ServiceAccount-robot"),
                      {"data": {"token": "QQ==", "ca.crt": "QQ==", "namespace": "YXBw"}}),
              b=merge(merge(note("kubernetes.io/service-account.uid", account_uid),
                            {"data": {"token": "Qg==", "ca.crt": "Qg==", "namespace": "YXBw"}}), b or {}),
              **note("kubernetes.io/service-account.name", "robot"))
    return build


def job(**b):
    def build(p):
        def uids(side):
            return {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": f"{side}-Job-j"}},
                    "spec": {"selector": {"matchLabels": {"controller-uid": f"{side}-Job-j"}},
                             "template": {"metadata": {"labels": {"controller-uid": f"{side}-Job-j"}}}}}
        p.add(BATCH, "Job", "j", a=uids("a"), b=merge(uids("b"), b))
    return build


def done_job(**b):
    def build(p):
        p.add(BATCH, "Job", "j", only="ab" if b else "a", b=b,
              a={"status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}})
    return build


def cron(value="false", b_suspend=True, a_suspend=False, on="b", jobs=False):
    def build(p):
        held = note(compare_world.HELD, value)
        p.add(BATCH, "CronJob", "nightly", a={"spec": {"suspend": a_suspend}, **(held if on == "a" else {})},
              b={"spec": {"suspend": b_suspend}, **(held if on == "b" else {})})
        if jobs:
            p.add(BATCH, "Job", "nightly-1", only="b",
                  **owner("CronJob", "nightly", "b-CronJob-nightly", BATCH))
    return build


def held_both(p):
    p.add(BATCH, "CronJob", "nightly", spec={"suspend": True}, a=note(compare_world.HELD, "false"),
          b=note(compare_world.HELD, "true"))


def held_backend(p):
    held = merge(note(compare_world.HELD, "2"), {"spec": {"replicas": 0}, "status": {"readyReplicas": 0}})
    p.workload(b=held)
    p.service(b_ready=0)
    condition = {"type": "ScalingActive", "reason": "ScalingDisabled"}
    p.autoscaler(a={"status": {"conditions": [{**condition, "status": "True"}]}},
                 b={"status": {"conditions": [{**condition, "status": "False"}]}})
    p.add(POLICY, "PodDisruptionBudget", "web", spec={"selector": {"matchLabels": {"app": "web"}}},
          a={"status": {"currentHealthy": 2, "desiredHealthy": 1}},
          b={"status": {"currentHealthy": 0, "desiredHealthy": 1}})


def scaled(high):
    def build(p):
        p.workload(b={"spec": {"replicas": 4}, "status": {"readyReplicas": 4}})
        p.autoscaler(high=high)
        p.service(b_ready=4)
    return build


def copies(kind, parent, **body):
    """Two children of one parent in B."""
    def build(p):
        p.workload(parent)
        for n in (1, 2):
            content = copy.deepcopy(body)
            if kind == "ReplicaSet":
                content["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = str(n)
            p.add(APPS, kind, f"web-{n}", only="b", **merge(content, owner(parent, "web", f"b-{parent}-web", APPS)))
    return build


def slice_copied(first):
    def build(p):
        p.service()
        p.slice("web", "b", 1, name="web-old", first=first)
    return build


def aggregated(bootstrap):
    def build(p):
        p.add(RBAC, "ClusterRole", "all", ns="", a={"rules": [{"verbs": ["get"]}]}, b={"rules": [{"verbs": ["list"]}]},
              aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]})
        p.add(RBAC, "ClusterRole", "feeds", ns="", metadata={"labels": {
            "to": "all", **({"kubernetes.io/bootstrapping": "rbac-defaults"} if bootstrap else {})}})
    return build


def bootstrap_binding(b_subjects):
    def build(p):
        p.add(RBAC, "ClusterRoleBinding", "cluster-admin", ns="", **tag("kubernetes.io/bootstrapping", "rbac-defaults"),
              a={"subjects": [{"kind": "Group", "name": "system:masters"}, {"kind": "User", "name": "eve"}]},
              b={"subjects": b_subjects})
    return build


def injected(api, kind, annotated, body_a, body_b):
    return lambda p: p.add(api, kind, "x", ns="", a=body_a, b=body_b,
                           **(note("cert-manager.io/inject-ca-from", "ns/c") if annotated else {}))


def hook(ca):
    return {"webhooks": [{"name": "h", "clientConfig": {"caBundle": ca}}]}


def crd(ca):
    return {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": ca}}}}}


def one_sided(api, kind, name="x", **kw):
    """An object that only A has."""
    return lambda p: p.add(api, kind, name, only="a", **kw)


def both(api, kind, name="x", **kw):
    return lambda p: p.add(api, kind, name, **kw)


def conditions(kind, a, b, api, ns="app"):
    """A condition whose status is a in A and b in B."""
    return both(api, kind, ns=ns, a={"status": {"conditions": [{"type": kind_condition[kind], "status": a}]}},
                b={"status": {"conditions": [{"type": kind_condition[kind], "status": b}]}})


kind_condition = {"CustomResourceDefinition": "Established", "APIService": "Available",
                  "HorizontalPodAutoscaler": "ScalingActive", "Pod": "Ready"}

# (title, what is in the clusters, what must come of it): "-rule" all that was added is left out by that rule,
# "=rule" the difference is allowed by it, "=" equal, "!check path" the one difference found.
CASES = [
    ("equal", lambda p: p.config(), "="),
    ("absent in B", lambda p: p.config(only="a"), "!absent "),
    ("extra in B", lambda p: p.config(only="b"), "!extra "),
    ("a value", lambda p: p.config(b={"data": {"k": "w"}}), "!field data.k"),
    ("a key with dots", lambda p: p.config(b={"data": {"a.b": "w"}}), '!field data["a.b"]'),
    ("a key missing", lambda p: p.config(a={"data": {"l": ""}}), "!field data.l"),
    ("a label", lambda p: p.config(b=tag("x", "1")), "!field metadata.labels.x"),
    ("an annotation", lambda p: p.config(a=note("kubectl.kubernetes.io/last-applied-configuration", "{}")),
     "!field metadata.annotations"),
    ("a type", lambda p: p.config(a={"immutable": True}, b={"immutable": 1}), "!field immutable"),
    ("1 is not 1.0", both("x.io/v1", "W", a={"spec": {"n": 1}}, b={"spec": {"n": 1.0}}), "!field spec.n"),
    ("beyond a double", both("x.io/v1", "W", a={"spec": {"n": 9007199254740993}},
                             b={"spec": {"n": 9007199254740992}}), "!field spec.n"),
    ("empty is not absent", both("x.io/v1", "W", a={"spec": {"emptyDir": {}}}, b={"spec": {}}), "!field spec.emptyDir"),
    ("null is not absent", both("x.io/v1", "W", a={"spec": {"n": None}}, b={"spec": {}}), "!field spec.n"),
    ("order of a list", both("x.io/v1", "W", a={"spec": {"l": ["x"]}}, b={"spec": {"l": ["y"]}}), "!field spec.l[0]"),
    ("a named item missing", both("x.io/v1", "W", a={"spec": {"l": [{"name": "x"}, {"name": "y"}]}},
                                  b={"spec": {"l": [{"name": "y"}]}}), '!field spec.l["name=x"]'),
    ("a shorter list", both("x.io/v1", "W", a={"spec": {"l": [1, 2]}}, b={"spec": {"l": [1]}}), "!field spec.l"),
    ("spec of a custom object", one_sided("x.io/v1", "W"), "!absent "),

    # Left out, and not left out.
    ("events", one_sided("v1", "Event"), "-runtime"),
    ("kube-system itself", one_sided("v1", "Namespace", "kube-system", ns=""), "-system-namespace"),
    ("in kube-system", one_sided("v1", "ConfigMap", ns="kube-system"), "-in-system-namespace"),
    ("in default", one_sided("v1", "ConfigMap", ns="default"), "!absent "),
    ("tandem-system", one_sided("v1", "Secret", ns="tandem-system"), "-tandem-system"),
    ("tandem-system itself", one_sided("v1", "Namespace", "tandem-system", ns=""), "-tandem-system"),
    ("probe namespace on its way out", one_sided("v1", "Namespace", "tandem-probe-x", ns="", metadata={
        "deletionTimestamp": "2026"}), "-tandem-probe"),
    ("in the probe namespace", one_sided("v1", "ConfigMap", ns="tandem-probe-x"), "-tandem-probe"),
    ("probe namespace left behind", one_sided("v1", "Namespace", "tandem-probe-x", ns=""), "!absent "),
    ("roles of the bed", one_sided(RBAC, "ClusterRole", "system:bed:reader", ns="", **fields({}, "bed")), "-test-bed"),
    ("a role named like them", one_sided(RBAC, "ClusterRole", "system:bed:reader", ns="", **fields({})), "!absent "),
    ("leaves A", lambda p: p.config(only="a", metadata={"deletionTimestamp": "2026"}), "-deleted"),
    ("leaves B", lambda p: p.config(b={"metadata": {"deletionTimestamp": "2026"}}), "!field+being-deleted deletionTimestamp"),
    ("pod of a ReplicaSet", lambda p: (p.workload("ReplicaSet"), p.add(
        "v1", "Pod", "x", only="a", **owner("ReplicaSet", "web", "a-ReplicaSet-web", APPS))), "-pod-of-controller"),
    ("bare pod", one_sided("v1", "Pod"), "!absent "),
    ("mirror pod", one_sided("v1", "Pod", **note("kubernetes.io/config.mirror", "x")), "-mirror-pod"),
    ("done pod", one_sided("v1", "Pod", status={"phase": "Succeeded"}), "-done-pod"),
    ("ReplicaSet of a Deployment", lambda p: (p.workload(), p.add(
        APPS, "ReplicaSet", "x", only="a", **owner("Deployment", "web", "a-Deployment-web", APPS))),
     "-replicaset-of-deployment"),
    ("ReplicaSet of its own", one_sided(APPS, "ReplicaSet"), "!absent "),
    ("revision", one_sided(APPS, "ControllerRevision", **owner("DaemonSet", "d", "gone", APPS)), "-revision"),
    ("Job of a CronJob", lambda p: (cron(on="")(p), p.b[-1].update(spec={"suspend": False}), p.add(
        BATCH, "Job", "x", only="a", **owner("CronJob", "nightly", "a-CronJob-nightly", BATCH))), "-job-of-cronjob"),
    ("finished Job", done_job(), "-finished-job"),
    ("finished Job, held in B", done_job(spec={"suspend": True}), "-finished-job"),
    ("finished Job, again", done_job(status={"succeeded": 1}), "!done-again status"),
    ("unfinished Job", one_sided(BATCH, "Job"), "!absent "),
    ("claim of a pod", one_sided("v1", "PersistentVolumeClaim", **owner("Pod", "p", "gone")), "-claim-of-pod"),
    ("slice", one_sided(SLICES, "EndpointSlice", **tag(
        "endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io")), "-endpointslice"),
    ("slice by hand", one_sided(SLICES, "EndpointSlice", **tag(
        "endpointslice.kubernetes.io/managed-by", "me.example.com")), "!absent "),
    ("endpoints", lambda p: (p.service(), p.add("v1", "Endpoints", "web", only="a")), "-endpoints"),
    ("endpoints by hand", one_sided("v1", "Endpoints"), "!absent "),
    ("the API's Service", one_sided("v1", "Service", "kubernetes", ns="default"), "-api-service"),
    ("CA", one_sided("v1", "ConfigMap", "kube-root-ca.crt", data={"ca.crt": "x"}), "-ca-bundle"),
    ("no CA", one_sided("v1", "ConfigMap", "kube-root-ca.crt", data={"mine": "x"}), "!absent "),
    ("account default", one_sided("v1", "ServiceAccount", "default"), "-default-account"),
    ("account default, changed", both("v1", "ServiceAccount", "default", a={"imagePullSecrets": [{"name": "r"}]}),
     "!field imagePullSecrets"),
    ("generated token", token(name="robot-token-x7k2p", listed=True), "-generated-token"),
    ("bootstrap token", one_sided("v1", "Secret", type="bootstrap.kubernetes.io/token"), "-bootstrap-token"),
    ("bootstrap role", one_sided(RBAC, "ClusterRole", ns="", **tag("kubernetes.io/bootstrapping", "rbac-defaults")),
     "-bootstrap-rbac"),
    ("bootstrap subject lost", bootstrap_binding([{"kind": "Group", "name": "system:masters"}]),
     "!bootstrap-subjects subjects"),
    ("flow schema", one_sided("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", ns="", **note(
        "apf.kubernetes.io/autoupdate-spec", "true")), "-flow-control"),
    ("flow schema, tuned", one_sided("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", ns="", **note(
        "apf.kubernetes.io/autoupdate-spec", "false")), "!absent "),
    ("priority", one_sided("scheduling.k8s.io/v1", "PriorityClass", "system-node-critical", ns=""), "-priority-class"),
    ("APIService", one_sided(REGISTRATION, "APIService", ns=""), "-api-registration"),
    ("APIService of a Service", one_sided(REGISTRATION, "APIService", ns="", spec={"service": {"name": "m"}}), "!absent "),
    ("service CIDR", one_sided("networking.k8s.io/v1", "ServiceCIDR", "kubernetes", ns=""), "-service-cidr"),
    ("IP address", one_sided("networking.k8s.io/v1", "IPAddress", ns="", **tag(
        "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io")), "-ip-address"),
    ("trust bundle", one_sided("certificates.k8s.io/v1beta1", "ClusterTrustBundle", ns="", spec={
        "signerName": "kubernetes.io/kube-apiserver-serving"}), "-trust-bundle"),
    ("provisioned volume", provisioned(True), "=provisioned-volume"),
    ("static volume bound anew", provisioned(False), "!absent+field "),

    # Allowed, and not allowed.
    ("bookkeeping", lambda p: p.config(a={"metadata": {"resourceVersion": "1", "creationTimestamp": "x",
                                                       "generation": 1, "managedFields": [{}], "selfLink": "/"}},
                                       b={"metadata": {"resourceVersion": "2", "creationTimestamp": "y",
                                                       "generation": 2, "managedFields": []}}), "=bookkeeping"),
    ("generateName", lambda p: p.config(a={"metadata": {"generateName": "c-"}}), "=generate-name"),
    ("finalizer dropped", lambda p: p.config(a={"metadata": {"finalizers": ["x.io/f"]}}), "=finalizers"),
    ("finalizer added", lambda p: p.config(b={"metadata": {"finalizers": ["x.io/f"]}}), "!field metadata.finalizers"),
    ("status", both("x.io/v1", "W", a={"status": {"phase": "x"}}), "=status"),
    ("own note", lambda p: p.config(b=note("tandem.dev/run", "1")), "=tandem-note"),
    ("revision of a Deployment", lambda p: p.workload(a=note("deployment.kubernetes.io/revision", "7")), "=revision-note"),
    ("that note elsewhere", lambda p: p.config(a=note("deployment.kubernetes.io/revision", "7")),
     "!field metadata.annotations"),
    ("generation of a DaemonSet", lambda p: p.workload("DaemonSet", a=note(
        "deprecated.daemonset.template.generation", "7"), status={"desiredNumberScheduled": 1, "numberReady": 1}),
     "=revision-note"),
    ("endpoints' clock", lambda p: p.add("v1", "Endpoints", "e", a=note(
        "endpoints.kubernetes.io/last-change-trigger-time", "7")), "=endpoints-note"),
    ("address", other_addresses, "=cluster-ip"),
    ("headless lost", headless_lost, "!field spec.clusterIP spec.clusterIPs[0]"),
    ("address, chosen", chosen_address, "!field spec.clusterIP spec.clusterIPs[0]"),
    ("port", other_port, "=node-port"),
    ("port, chosen", chosen_port, "!field nodePort"),
    ("port, chosen by apply", applied_port, "!field nodePort"),
    ("health port", lambda p: p.service(a={"spec": {"healthCheckNodePort": 1}}, b={"spec": {"healthCheckNodePort": 2}}),
     "=node-port"),
    ("binding", volume(), "=binding"),
    ("selected node", lambda p: p.add("v1", "PersistentVolumeClaim", "c", a=merge(
        note("volume.kubernetes.io/selected-node", "n"), note("volume.beta.kubernetes.io/storage-provisioner", "p"))),
     "=binding"),
    ("claim filled from what is gone", filled(False), "=source-gone"),
    ("claim filled from what is there", filled(True), "!field spec.dataSource.kind spec.dataSource.name"),
    ("volume that keeps the storage", reclaim("Delete", "Retain"), "=retained"),
    ("volume that deletes A's storage", reclaim("Retain", "Delete"), "!field spec.persistentVolumeReclaimPolicy"),
    ("bound to no claim of B", volume(b_uid="other"), "!field spec.claimRef.uid"),
    ("bound to A's claim", volume(b_uid="a-PersistentVolumeClaim-c"), "!foreign-uid spec.claimRef.uid"),
    ("claim lost", volume(b_phase="Lost"), "!field state.phase"),
    ("token", token(b=tag("kubernetes.io/legacy-token-last-used", "x")), "=token"),
    ("token of A's account", token(account_uid="a-ServiceAccount-robot"), "!foreign-uid service-account.uid"),
    ("token of an account that was", token(account_uid="gone"), "!field service-account.uid"),
    ("token not filled in", token(b={"data": {"token": "", "ca.crt": "Qg=="}}), "!field state"),
    ("secret named token", both("v1", "Secret", type="Opaque", a={"data": {"token": "QQ=="}}, b={"data": {"token": "Qg=="}}),
     "!field data.token"),
    ("Job's uid", job(), "=job-uid"),
    ("Job's uid of A", job(metadata={"labels": {"batch.kubernetes.io/controller-uid": "other"}}),
     "!field metadata.labels"),
    ("Job's uid, copied", job(metadata={"labels": {"batch.kubernetes.io/controller-uid": "a-Job-j"}}),
     "!foreign-uid metadata.labels"),
    ("null timestamp", both("x.io/v1", "W", a={"spec": {"metadata": {"creationTimestamp": None}}}, b={"spec": {"metadata": {}}}),
     "=version"),
    ("default of newer", lambda p: p.workload("StatefulSet", b={"spec": {"updateStrategy": {"rollingUpdate": {
        "maxUnavailable": 1}}}}), "=version"),
    ("not the default", lambda p: p.workload("StatefulSet", b={"spec": {"updateStrategy": {"rollingUpdate": {
        "maxUnavailable": 2}}}}), "!field maxUnavailable"),
    ("topology labels", both("v1", "Pod", b=tag("topology.kubernetes.io/zone", "z")), "=version"),
    ("scaled to zero", lambda p: p.autoscaler(b={"status": {"conditions": [
        {"type": "ScaledToZero", "status": "False", "reason": "NotScaledToZero"}]}}), "=version"),
    ("node of a pod", both("v1", "Pod", a={"spec": {"nodeName": "n1"}}, b={"spec": {"nodeName": "n2"}}), "=scheduling"),
    ("token volume of a pod", both("v1", "Pod", a={"spec": {"volumes": [{"name": "kube-api-access-ab1cd"}]}},
                                   b={"spec": {"volumes": [{"name": "kube-api-access-xy2zz"}]}}), "="),
    ("aggregated of bootstrap roles", aggregated(True), "=aggregation"),
    ("aggregated of own roles", aggregated(False), "!field rules[0].verbs[0]"),
    ("CA of a webhook", injected("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", True,
                                 hook("x"), hook("y")), "=injected-ca"),
    ("CA of a webhook, by hand", injected("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", False,
                                          hook("x"), hook("y")), "!field webhooks[0].clientConfig.caBundle"),
    ("CA of a conversion", injected(CRD, "CustomResourceDefinition", True, crd("x"), crd("y")), "=injected-ca"),
    ("CA of an APIService", injected(REGISTRATION, "APIService", True, {"spec": {"caBundle": "x", "service": {"name": "s"}}},
                                     {"spec": {"caBundle": "y", "service": {"name": "s"}}}), "=injected-ca"),
    ("replicas", lambda p: p.workload(b={"spec": {"replicas": 1}}), "!field spec.replicas"),
    ("replicas, autoscaled", scaled(5), "=autoscaled"),
    ("replicas, beyond the autoscaler", scaled(3), "!field+field spec.replicas"),

    # Held.
    ("held", cron(), "=held"),
    ("held, originally absent", cron(value="null", a_suspend=None), "!field spec.suspend"),
    ("held, wrong original", cron(value="true"), "!field spec.suspend"),
    ("held, original is no JSON", cron(value="no"), "!field spec.suspend"),
    ("suspended without a word", cron(on=""), "!field spec.suspend"),
    ("held in A, acts in B", cron(on="a", a_suspend=True, b_suspend=False), "=held"),
    ("marked as held, and is not", cron(b_suspend=False), "!held-acted spec.suspend"),
    ("held, and has run", cron(jobs=True), "!held-acted Jobs"),
    ("held, differently", held_both, "!field metadata.annotations"),
    ("workload held", held_backend, "=held"),
    ("workload held, and has pods", lambda p: p.workload(b=merge(note(compare_world.HELD, "2"), {
        "spec": {"replicas": 0}, "status": {"readyReplicas": 0, "replicas": 2}})), "!held-acted status"),
    ("ReplicaSet of a workload that was held", lambda p: (p.workload(), p.add(
        APPS, "ReplicaSet", "x", only="b", spec={"replicas": 2}, status={"replicas": 2},
        **merge(note(compare_world.HELD, "2"), owner("Deployment", "web", "b-Deployment-web", APPS)))),
     "-replicaset-of-deployment"),
    ("held Job has begun", lambda p: p.add(BATCH, "Job", "j", a={"spec": {"suspend": False}}, b=merge(
        note(compare_world.HELD, "false"), {"spec": {"suspend": True}, "status": {"active": 1}})), "!held-acted status"),

    # Owners.
    ("owner in B", owned(), "=owner-uid"),
    ("owner of A", owned("a-ConfigMap-c"), "!dangling-owner+field uid"),
    ("owner that is no more", owned("gone"), "!dangling-owner+field uid"),
    ("owner's flag", owned(controller=True), "!field controller"),
    ("owner forgotten", owner_lost, "!field metadata.ownerReferences"),
    ("orphan of A", lambda p: p.add("v1", "Secret", "s", a=owner("W", "w", "gone", "x.io/v1")), "=orphan"),
    ("orphan copied", lambda p: p.add("v1", "Secret", "s", **owner("W", "w", "gone", "x.io/v1")),
     "!dangling-owner+field ownerReferences"),

    # How things stand.
    ("not ready", lambda p: p.workload(b={"status": {"readyReplicas": 1}}), "!field state.ready"),
    ("not seen", lambda p: p.workload(b={"status": {"observedGeneration": 0}}), "!field state.ready"),
    ("as unready as in A", lambda p: p.workload(status={"readyReplicas": 0}), "="),
    ("agent not ready", lambda p: p.workload("DaemonSet", a={"status": {"desiredNumberScheduled": 2, "numberReady": 2}},
                                             b={"status": {"desiredNumberScheduled": 2, "numberReady": 1}}),
     "!field state.ready"),
    ("agents on fewer nodes", lambda p: (p.workload(
        "DaemonSet", a={"status": {"desiredNumberScheduled": 3, "numberReady": 3}},
        b={"status": {"desiredNumberScheduled": 2, "numberReady": 2}}), p.service(a_ready=3, b_ready=2)), "=autoscaled"),
    ("no endpoints", lambda p: p.service(b_ready=0), "!field+field state.endpoints"),
    ("fewer endpoints", lambda p: (p.workload(), p.service(b_ready=1)), "!field state.endpoints.ready"),
    ("autoscaler", conditions("HorizontalPodAutoscaler", "True", "False", AUTOSCALING), "!field ScalingActive"),
    ("kind not served", conditions("CustomResourceDefinition", "True", "False", CRD, ns=""), "!field Established"),
    ("APIService", both(REGISTRATION, "APIService", ns="", spec={"service": {"name": "s"}},
                        a={"status": {"conditions": [{"type": "Available", "status": "True"}]}},
                        b={"status": {"conditions": [{"type": "Available", "status": "False"}]}}), "!field Available"),
    ("pod", conditions("Pod", "True", "False", "v1"), "!field Ready"),
    ("namespace", both("v1", "Namespace", ns="", a={"status": {"phase": "Active"}},
                       b={"status": {"phase": "Terminating"}}), "!field state.phase"),
    ("budget", both(POLICY, "PodDisruptionBudget", a={"status": {"currentHealthy": 2, "desiredHealthy": 1}},
                    b={"status": {"currentHealthy": 0, "desiredHealthy": 1}}), "!field state.enough"),
    ("Job finished in B", both(BATCH, "Job", b={"status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
     "!field state.finished"),

    # Made twice.
    ("slice copied", slice_copied(1), "!endpoint-twice EndpointSlices"),
    ("two slices", lambda p: (p.service(b_ready=1), p.slice("web", "b", 1, name="web-2", first=9)), "="),
    ("ReplicaSet copied", copies("ReplicaSet", "Deployment", spec={"template": {"metadata": {"labels": {}}}}),
     "!replicaset-twice ReplicaSet"),
    ("revision copied", copies("ControllerRevision", "StatefulSet", data={"x": 1}), "!revision-twice ControllerRevision"),
]


class Recorder:
    """Notes which rows of a table said yes."""

    def __init__(self, rows):
        self.hit = set()
        self.rows = [row._replace(when=self.watch(i, row.when)) for i, row in enumerate(rows)]
        self.names = [f"{row.name}: {row.why}" for row in rows]

    def watch(self, i, when):
        def watched(*args):
            yes = when(*args)
            if yes:
                self.hit.add(i)
            return yes
        return watched

    def unused(self):
        return [name for i, name in enumerate(self.names) if i not in self.hit]


def judge(build, options=OPTIONS):
    p = Pair()
    build(p)
    return compare.compare(compare_world.World(p.a), compare_world.World(p.b), options)


class Rules(unittest.TestCase):
    count = 0

    def check(self, result, expect):
        found = [(d["check"], d["path"]) for d in result.differences]
        if expect.startswith("!"):
            checks, _, paths = expect[1:].partition(" ")
            self.assertEqual(sorted({c for c, _ in found}), sorted(set(checks.split("+"))), found)
            for path in paths.split():
                self.assertTrue(any(path in p for _, p in found), (path, found))
            most = max(len(checks.split("+")), len(paths.split()))
            self.assertLessEqual(len(found), most, found)
            return
        self.assertEqual(found, [])
        if expect.startswith("-"):
            self.assertIn(expect[1:], {**result.excluded["a"], **result.excluded["b"]})
        elif expect != "=":
            self.assertIn(expect[1:], result.allowed)

    def test_every_case_and_every_row(self):
        excluded, allowed = Recorder(compare_rules.EXCLUDED), Recorder(compare_rules.ALLOWED)
        before = compare_rules.EXCLUDED, compare_rules.ALLOWED
        compare_rules.EXCLUDED, compare_rules.ALLOWED = excluded.rows, allowed.rows
        try:
            for name, build, expect in CASES:
                with self.subTest(name):
                    self.check(judge(build), expect)
                    Rules.count += 1
        finally:
            compare_rules.EXCLUDED, compare_rules.ALLOWED = before
        self.assertEqual(excluded.unused() + allowed.unused(), [], "rows that no case uses")

    def test_every_check_finds_something(self):
        found = {c for _, _, expect in CASES if expect[0] == "!" for c in expect[1:].partition(" ")[0].split("+")}
        self.assertEqual({c.name for c in compare_checks.CHECKS} - found, set())

    def test_every_row_says_why(self):
        for table in (compare_rules.EXCLUDED, compare_rules.ALLOWED, compare_rules.STATE, compare_checks.CHECKS):
            for row in table:
                self.assertGreater(len(row.why), 8, row)

    def test_every_state_is_compared(self):
        text = "\n".join(f"{name} {expect}" for name, _, expect in CASES)
        for word in ("state.ready", "state.endpoints", "ScalingActive", "state.phase", "Established", "Available",
                     "Ready", "state.enough", "state.finished", "not filled in"):
            self.assertIn(word, text)


class Options(unittest.TestCase):
    def differences(self, build, *argv):
        return len(judge(build, compare.parse(list(argv))).differences)

    def test_scope(self):
        def build(p):
            p.config(only="a")
            p.config(only="a", ns="other")
            p.add("v1", "Namespace", "other", ns="", only="a")
            p.add("scheduling.k8s.io/v1", "PriorityClass", "high", ns="", only="a")
        self.assertEqual(self.differences(build), 4)
        self.assertEqual(self.differences(build, "-n", "app"), 2)
        self.assertEqual(self.differences(build, "-n", "app", "--namespaced-only"), 1)
        self.assertEqual(self.differences(build, "-n", "app", "-n", "other", "--namespaced-only"), 2)
        self.assertEqual(self.differences(build, "--ignore", "ConfigMap/*/c"), 2)
        self.assertEqual(self.differences(build, "--ignore", "ConfigMap"), 2)
        self.assertEqual(self.differences(build, "--ignore", "PriorityClass.scheduling.k8s.io/hi*"), 3)

    def test_checks_are_in_scope_too(self):
        self.assertEqual(self.differences(slice_copied(1), "-n", "other"), 0)
        self.assertEqual(self.differences(slice_copied(1), "--skip-check", "endpoint-twice"), 0)

    def test_held_is_no_excuse_when_so_asked(self):
        self.assertEqual(self.differences(cron(), "--no-held-ok"), 1)

    def test_held_is_listed_with_what_it_was(self):
        self.assertEqual(judge(cron()).held, [{
            "kind": "CronJob.batch", "namespace": "app", "name": "nightly", "path": "spec.suspend", "in": "b",
            "original": False}])

    def test_wrong_use(self):
        with self.assertRaises(SystemExit) as e, contextlib.redirect_stderr(io.StringIO()):
            compare.parse(["--no-such-thing"])
        self.assertEqual(e.exception.code, 64)


class Shown(unittest.TestCase):
    def lines(self, build):
        out = io.StringIO()
        compare.print_text(judge(build), out)
        return out.getvalue()

    def test_a_line_says_what_and_where(self):
        self.assertIn('ConfigMap app/c data.k: a="v" b="w"\n', self.lines(lambda p: p.config(b={"data": {"k": "w"}})))

    def test_secrets_are_digests(self):
        value = base64.b64encode(b"hush").decode()
        applied = json.dumps({"stringData": {"k": "hush"}})
        text = self.lines(both("v1", "Secret", a=merge(note("kubectl.kubernetes.io/last-applied-configuration", applied), {
            "data": {"k": value}}), b=merge(note("kubectl.kubernetes.io/last-applied-configuration", "{}"), {
                "data": {"k": "b3RoZXI="}})))
        self.assertIn("data.k: a=sha256:", text)
        self.assertIn("(4 bytes)", text)
        self.assertNotIn("hush", text)
        self.assertNotIn(value, text)

    def test_a_secret_of_one_side_shows_nothing_of_it(self):
        value = base64.b64encode(b"hush").decode()
        self.assertNotIn(value, self.lines(both("v1", "Secret", a={"data": {"k": value}})))

    def test_long_values_are_cut_where_they_differ(self):
        text = self.lines(lambda p: p.config(a={"data": {"k": "x" * 5000 + "1"}}, b={"data": {"k": "x" * 5000 + "2"}}))
        self.assertIn('x1"', text)
        self.assertIn('x2"', text)
        self.assertLess(max(map(len, text.splitlines())), 500)

    def test_json_holds_the_same(self):
        d = compare.as_json(judge(lambda p: p.config(only="a")))
        self.assertEqual(d["differences"], [{"check": "absent", "kind": "ConfigMap", "namespace": "app", "name": "c",
                                             "path": "", "a": "present", "b": "absent"}])
        json.dumps(d)

    def test_too_few_is_a_difference_in_each_namespace_given(self):
        def config(p):
            p.config()
        for argv, missing in (([], []), (["--at-least", "2"], []), (["--at-least", "3"], [""]),
                              (["--at-least", "1", "-n", "app", "-n", "other"], ["other"]),
                              (["--at-least", "2", "-n", "app", "--namespaced-only"], ["app"])):
            found = judge(config, compare.parse(argv)).differences
            self.assertEqual([(d["check"], d["name"]) for d in found], [("at-least", n) for n in missing], argv)


class FakeApi(compare_world.Api):
    """Answers from a table of paths."""

    def __init__(self, answers):  # pylint: disable=super-init-not-called
        self.context, self.answers, self.asked = "fake", answers, []

    def request(self, path):
        self.asked.append(path)
        return (200, json.dumps(self.answers[path])) if path in self.answers else (404, "")


class Reading(unittest.TestCase):
    def test_pages_are_followed_and_items_get_their_kind(self):
        api = FakeApi({"/api/v1/configmaps?limit=500": {"metadata": {"continue": "t"}, "items": [
            {"metadata": {"name": "x", "namespace": "n"}}]},
            "/api/v1/configmaps?limit=500&continue=t": {"metadata": {}, "items": [
                {"metadata": {"name": "y", "namespace": "n"}}]}})
        world = compare_world.read_world(api, {("", "configmaps"): ("ConfigMap", True, ["v1"])}, {})
        self.assertEqual(sorted(world.objects), [("ConfigMap", "n", "x"), ("ConfigMap", "n", "y")])

    def test_resources_are_what_can_be_listed(self):
        verbs = ["get", "list"]
        api = FakeApi({"/apis": {"groups": [{"name": "x.io", "preferredVersion": {"version": "v2"}, "versions": [
            {"version": "v1"}, {"version": "v2"}]}]},
            "/api/v1": {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": verbs},
                                      {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": verbs},
                                      {"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]}]},
            "/apis/x.io/v1": {"resources": [{"name": "ws", "kind": "W", "namespaced": False, "verbs": verbs}]},
            "/apis/x.io/v2": {"resources": [{"name": "ws", "kind": "W", "namespaced": False, "verbs": verbs}]}})
        self.assertEqual(api.resources(), {("", "pods"): ("Pod", True, ["v1"]), ("x.io", "ws"): ("W", False, ["v2", "v1"])})

    def test_both_are_read_at_a_version_that_both_serve(self):
        for mine, other in ((["v2", "v1"], ["v1"]), (["v1"], ["v1", "v1beta1"]), (["v1beta1", "v1"], ["v1", "v1beta1"])):
            api = FakeApi({})
            compare_world.read_world(api, {("x.io", "ws"): ("W", False, mine)}, {("x.io", "ws"): ("W", False, other)})
            self.assertEqual(api.asked, ["/apis/x.io/v1/ws?limit=500"])

    def test_a_dangling_owner_is_looked_at_again(self):
        # The owner was made between the two lists.
        p = Pair()
        p.add("v1", "Secret", "s", **owner("ConfigMap", "late", "uid-late"))
        api = FakeApi({"/api/v1/namespaces/app/secrets/s": p.b[-1], "/api/v1/namespaces/app/configmaps/late": {
            "metadata": {"name": "late", "uid": "uid-late"}}})
        kinds = {"Secret": "/api/v1/namespaces/{ns}/secrets", "ConfigMap": "/api/v1/namespaces/{ns}/configmaps"}
        world = compare_world.World(p.b, kinds, api)
        self.assertEqual(list(compare_checks.check_owners(None, world, None)), [])
        api.answers.pop("/api/v1/namespaces/app/configmaps/late")
        self.assertEqual(len(list(compare_checks.check_owners(None, world, None))), 1)

    def test_a_server_that_refuses_is_an_error(self):
        with self.assertRaises(compare_world.CompareError):
            FakeApi({}).get("/api/v1/pods")


class Tap(unittest.TestResult):
    """Prints each result as a line of TAP."""

    def line(self, test, good, text=""):
        print(f"{'ok' if good else 'not ok'} {self.testsRun} - {test.id()}")
        print("".join(f"# {x}\n" for x in text.splitlines()), end="")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(test, True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line(test, False, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.line(test, False, self.errors[-1][1])


def run_tap():
    result = Tap()
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(result)
    print(f"1..{result.testsRun}")
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__" and sys.argv[1:] == ["--tap"]:
    run_tap()

if __name__ == "__main__":
    program = unittest.main(exit=False)
    ran = program.result
    bad = len(ran.failures) + len(ran.errors)
    print(f"{ran.testsRun} tests with {Rules.count} of {len(CASES)} cases: {bad} failed, {len(ran.skipped)} skipped")
    sys.exit(1 if bad else 0)
