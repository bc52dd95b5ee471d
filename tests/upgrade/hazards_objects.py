#!/usr/bin/env python3
"""Objects for hazards.t: for each check one that it must name (pos-ID) and the nearest one that it
must not (neg-ID), as the first argument says: crds|a|b. Prints a JSON List."""

import copy
import json
import sys

KEY = {
    "crossplane": ("ec2.aws.crossplane.io", "VPC"), "argo": ("argoproj.io", "Application"),
    "workflow": ("argoproj.io", "CronWorkflow"), "keda": ("keda.sh", "ScaledObject"),
    "cert": ("cert-manager.io", "Certificate"), "issuer": ("cert-manager.io", "Issuer"),
    "tgb": ("elbv2.k8s.aws", "TargetGroupBinding"), "lamp": ("hz.example.com", "Lamp"),
}


def crd(group, kind, plural=None, versions=("v1",), **spec):
    plural = plural or kind.lower() + "s"
    note = {"api-approved.kubernetes.io": "unapproved, a test"} if group.endswith("k8s.io") else {}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": plural + "." + group, "annotations": note},
            "spec": {"group": group, "scope": "Namespaced",
                     "names": {"plural": plural, "kind": kind, "listKind": kind + "List"},
                     "versions": [{"name": v, "served": True, "storage": i == 0, "schema": schema}
                                  for i, v in enumerate(versions)], **spec}}


def closed(kind, plural, fields, version="v1"):
    """A definition that knows these fields of spec alone."""
    out = crd("hz.example.com", kind, plural, (version,))
    spec = {"type": "object", "properties": {f: {"type": "string"} for f in fields}}
    out["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {
        "type": "object", "properties": {"spec": spec}}}
    return out


def obj(api, kind, name, ns=None, notes=None, labels=None, **rest):
    meta = {"name": name}
    meta.update({k: v for k, v in (("namespace", ns), ("annotations", notes), ("labels", labels))
                 if v})
    return {"apiVersion": api, "kind": kind, "metadata": meta, **rest}


def both(ident, api, kind, pos, neg, scoped=True):
    """The pair; pos and neg are what stands beside the name."""
    return [obj(api, kind, side + "-" + ident, "hz-" + side if scoped else None,
                **copy.deepcopy(rest)) for side, rest in (("pos", pos), ("neg", neg))]


def custom(ident, key, pos, neg):
    group, kind = KEY[key]
    return both(ident, group + "/v1", kind, pos, neg)


def run(ident, pos, neg, kind="Deployment", **spec):
    """A pair of workloads that differ in their pod's spec, or in pos["container"]."""
    def body(side, pod):
        pod = copy.deepcopy(pod)
        labels = {"hz": side + "-" + ident}
        c = {"name": "c", "image": "registry.example.com/web:1", **pod.pop("container", {})}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [c], **pod}}
        return obj("apps/v1", kind, side + "-" + ident, "hz-" + side,
                   spec={"selector": {"matchLabels": labels}, "template": template, **spec})
    return [body("pos", pos), body("neg", neg)]


def sts(ident, pos, neg, **spec):
    return run(ident, pos, neg, "StatefulSet", serviceName=ident, **spec)


def service(ident, pos, neg, notes=({}, {})):
    port = {"port": 80}
    return both(ident, "v1", "Service", {"spec": {"ports": [port], **pos}, "notes": notes[0]},
                {"spec": {"ports": [port], **neg}, "notes": notes[1]})


def volume(ident, pos, neg):
    base = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": ""}
    return both(ident, "v1", "PersistentVolume", {"spec": {**base, **pos}},
                {"spec": {**base, **neg}}, False)


def config(ident, pos, neg):
    return both(ident, "v1", "ConfigMap", {"data": {"text": pos}}, {"data": {"text": neg}})


def hook(name, kind, ns, rule="nothing", **more):
    return obj("admissionregistration.k8s.io/v1", kind, name, webhooks=[{
        "name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": ns, "name": "hook"}},
        "rules": [{"apiGroups": [""] if rule == "pods" else ["none.example.com"],
                   "apiVersions": ["*"], "operations": ["DELETE"], "resources": [rule]}], **more}])


def namespaces(names, labels=None):
    return [obj("v1", "Namespace", n, labels=labels) for n in names]


NFS = {"nfs": {"server": "nfs.example.net", "path": "/hz"}}
LOCAL = {"hostPath": {"path": "/hz"}}
V, M = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"


def only(ns):
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}}}


def node_term(key, value):
    return {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": key, "operator": "In", "values": [value]}]}]}


def cron(suspend):
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    return {"spec": {"schedule": "0 0 1 1 *", "suspend": suspend,
                     "jobTemplate": {"spec": {"template": {"spec": pod}}}}}


def job(suspend):
    pod = {"restartPolicy": "Never", "nodeSelector": {"hz": "nowhere"},
           "containers": [{"name": "c", "image": "i"}]}
    return {"spec": {"suspend": suspend, "template": {"spec": pod}}}


def hpa(metric):
    source = {"Pods": "pods", "External": "external"}[metric]
    target = {"type": "AverageValue", "averageValue": "1"}
    return {"spec": {"maxReplicas": 9, "minReplicas": 1,
                     "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"},
                     "metrics": [{"type": metric, source: {"metric": {"name": "m"},
                                                           "target": target}}]}}


def claim(volume_name):
    return {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                     "volumeName": volume_name, "resources": {"requests": {"storage": "1Gi"}}}}


def ingress(notes):
    return {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}},
            "notes": notes}


def policy(cidr):
    return {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]}]}}


def env(name, value):
    return {"container": {"env": [{"name": name, "value": value}]}}


def image(name):
    return {"container": {"image": name}}


def objects_a():
    dns = "external-dns.alpha.kubernetes.io/hostname"
    default = "storageclass.kubernetes.io/is-default-class"
    sealing = {"sealedsecrets.bitnami.com/sealed-secrets-key": "active"}
    out = namespaces(["hz-pos", "hz-neg", "pos-h15-itself", "neg-h15-itself", "pos-h25-pod-security",
                      "neg-h25-pod-security", "pos-h28-mesh", "neg-h28-mesh"])
    out += both("h1-cronjob", "batch/v1", "CronJob", cron(False), cron(True))
    out += custom("h1-schedule", "workflow", {"spec": {}}, {"spec": {"suspend": True}})
    out += custom("h2-trigger", "keda", {"spec": {"triggers": [{"type": "kafka"}]}},
                  {"spec": {"triggers": [{"type": "cpu"}]}})
    out += run("h2-consumer", env("KAFKA_GROUP", "g"), env("PATH_PREFIX", "g"))
    out += both("h3-job", "batch/v1", "Job", job(False), job(True))
    out += run("h3-migration", {"initContainers": [{"name": "i", "image": "i", "args": ["migrate"]}]},
               {"initContainers": [{"name": "i", "image": "i", "args": ["wait"]}]})
    out += run("h4-external-dns", image("registry.k8s.io/external-dns/external-dns:v1"), {})
    out += service("h4-dns-name", {}, {}, ({dns: "hz.example.com"}, {}))
    out += custom("h5-certificate", "cert", {"spec": {"secretName": "none"}},
                  {"spec": {"secretName": "there"}})
    out += custom("h5-acme", "issuer", {"spec": {"acme": {}}}, {"spec": {"selfSigned": {}}})
    out += service("h6-load-balancer", {"type": "LoadBalancer"}, {})
    out += service("h6-fixed-address", {"type": "LoadBalancer", "loadBalancerIP": "198.51.100.9"},
                   {"type": "LoadBalancer"})
    out += service("h6-claimed", {"type": "LoadBalancer"}, {"type": "LoadBalancer"})
    out += both("h6-ingress-group", "networking.k8s.io/v1", "Ingress",
                ingress({"alb.ingress.kubernetes.io/group.name": "edge"}), ingress({}))
    out += custom("h6-target-group", "tgb", {"spec": {}},
                  {"spec": {"multiClusterTargetGroup": True}})
    out += both("h7-cold", "autoscaling/v2", "HorizontalPodAutoscaler", hpa("External"),
                hpa("External"))
    out += both("h7-metrics", "autoscaling/v2", "HorizontalPodAutoscaler", hpa("Pods"),
                hpa("External"))
    out += volume("h8-same-volume", NFS, LOCAL)
    out += run("h8-share", {"volumes": [{"name": "v", **NFS}]},
               {"volumes": [{"name": "v", "emptyDir": {}}]})
    out += volume("h9-shared-volume", {**NFS, "persistentVolumeReclaimPolicy": "Delete"}, NFS)
    out += sts("h10-claims", {}, {})
    out[-2]["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenScaled": "Delete"}
    out += custom("h11-outside-resource", "crossplane", {"spec": {}},
                  {"spec": {"deletionPolicy": "Orphan"}})
    out += both("h12-leader", "coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "p"}},
                {"spec": {}})
    out += run("h12-singleton", {}, {}, replicas=1)
    out[-2]["spec"]["strategy"] = {"type": "Recreate"}
    out += custom("h13-gitops", "argo", {"spec": {"syncPolicy": {"automated": {}}}},
                  {"spec": {"syncPolicy": {}}})
    out += run("h13-ci", image("docker.io/jenkins/jenkins:1"), {})
    out += run("h14-agent", image("registry.k8s.io/autoscaling/cluster-autoscaler:v1"), {})
    out += config("h14-remote-write", "remote_write: []", "remote_read: []")
    out += [hook("pos-h15-webhook", V, "hz-pos"),
            hook("neg-h15-webhook", V, "hz-neg", failurePolicy="Ignore"),
            hook("pos-h15-itself", V, "pos-h15-itself", "pods", **only("pos-h15-itself")),
            hook("neg-h15-itself", V, "neg-h15-itself", "pods", **only("elsewhere")),
            hook("neg-h25-mutator", M, "hz-neg", failurePolicy="Ignore")]
    out += run("h17-missing", {"container": {"envFrom": [{"configMapRef": {"name": "none"}}]}},
               {"container": {"envFrom": [{"configMapRef": {"name": "neg-h39-labels"}}]}})
    out += run("h18-no-node", {"nodeSelector": {"hz": "nowhere"}},
               {"nodeSelector": {"kubernetes.io/os": "linux"}})
    out += run("h18-host-path", {"volumes": [{"name": "v", **LOCAL}]}, {})
    out += volume("h18-volume-node",
                  {**LOCAL, "nodeAffinity": {"required": node_term("kubernetes.io/hostname", "x")}},
                  {**LOCAL, "nodeAffinity": {"required": node_term("kubernetes.io/os", "linux")}})
    out += run("h19-capacity", {"container": {"resources": {"requests": {"cpu": "9M"}}}}, {})
    out += both("h20-disruption", "policy/v1", "PodDisruptionBudget",
                {"spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"hz": "pos-h13-ci"}}}},
                {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"hz": "neg-h13-ci"}}}})
    out += run("h21-registry", image("10.1.2.3:5000/web:1"), {})
    out += run("h21-cloud-pull", image("1.dkr.ecr.eu-west-1.amazonaws.com/web:1"),
               {**image("1.dkr.ecr.eu-west-1.amazonaws.com/web:1"),
                "imagePullSecrets": [{"name": "there"}]})
    out += both("h22-identity", "v1", "ServiceAccount",
                {"notes": {"eks.amazonaws.com/role-arn": "arn:x"}}, {"notes": {"x": "arn:x"}})
    out += both("h22-token", "v1", "Secret",
                {"type": "kubernetes.io/service-account-token",
                 "notes": {"kubernetes.io/service-account.name": "default"}}, {"type": "Opaque"})
    out += [obj("v1", "Service", "fixed", "hz-pos",
                spec={"clusterIP": "10.96.77.7", "ports": [{"port": 80}]})]
    out += config("h23-address", "http://10.96.77.7:80/", "http://198.51.100.1:80/ 1.10.96.77.7")
    out += both("h23-ip-block", "networking.k8s.io/v1", "NetworkPolicy", policy("10.96.0.0/16"),
                policy("203.0.113.0/24"))
    out += run("h24-last-applied", {}, {})
    out += [obj("hz.example.com/v1", "Api24", "pos-h24-api", "hz-pos"),
            obj("hz.example.com/v1", "Lamp", "neg-h24-api", "hz-neg")]
    out += both("h24-schema", "hz.example.com/v1", "Schema24", {"spec": {"size": "1", "more": "x"}},
                {"spec": {"size": "1"}})
    out += [obj("v1", "LimitRange", "neg-h25-limits", "hz-neg", spec={"limits": []})]
    out += [obj("v1", "Secret", "pos-h26-sealing-key", "kube-system", labels=sealing),
            obj("v1", "Secret", "neg-h26-sealing-key", "hz-neg", labels=sealing)]
    out += sts("h27-peers", {"container": {"args": ["-retry-join=consul.example.com"]}},
               {"container": {"args": ["-retry-join=consul-0.consul.hz-neg.svc"]}})
    out += [obj("v1", "Secret", "cacerts", n, stringData={"ca": "a"})
            for n in ("pos-h28-mesh", "neg-h28-mesh")]
    out += volume("h30-pv", NFS, NFS)
    out[-2]["metadata"]["annotations"] = {"pv.kubernetes.io/provisioned-by": "hz"}
    out += both("h30-data", "v1", "PersistentVolumeClaim", claim("pos-h30-pv"), claim("neg-h30-pv"))
    out += both("h31-default-class", "storage.k8s.io/v1", "StorageClass",
                {"provisioner": "hz", "notes": {default: "true"}}, {"provisioner": "hz"}, False)
    out += custom("h32-finalizer", "lamp", {}, {})
    out[-2]["metadata"]["finalizers"] = ["hz.example.com/lamp"]
    out += config("h33-database", "postgres://u:geheim-cm@db.example.com/x",
                  "postgres://u:geheim-cm@db/x")
    out += [obj("v1", "Secret", "pos-h33-secret", "hz-pos",
                stringData={"dsn": "mysql://u:geheim-secret@db.secret.example.com/x"})]
    out += run("h34-node-agent", {"hostPID": True}, {}, "DaemonSet")
    out += run("h35-host-port", {"container": {"ports": [{"containerPort": 80, "hostPort": 8443}]}},
               {"container": {"ports": [{"containerPort": 80, "hostPort": 8444}]}})
    out += service("h35-node-port", {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30555}]},
                   {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30556}]})
    out += service("h36-pinned", {"type": "NodePort"}, {})
    out += config("h37-foreign", "a", "same")
    out += config("h39-labels", "external_labels: {a: b}", "labels: {a: b}")
    out += [obj("v1", "Secret", "there", "hz-neg")]
    out += [obj("v1", "ResourceQuota", side + "-h19-quota", "hz-" + side,
                spec={"hard": {"count/configmaps": hard}}) for side, hard in (("pos", "1"),
                                                                             ("neg", "99"))]
    return out


def objects_b():
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    out = namespaces(["hz-pos", "hz-neg", "hz-b", "neg-h25-pod-security", "pos-h28-mesh"])
    out += namespaces(["pos-h25-pod-security"], strict)
    out += [obj("v1", "Service", "claimed", "hz-b",
                spec={"type": "LoadBalancer", "loadBalancerIP": "198.51.100.7",
                      "ports": [{"port": 80, "nodePort": 30555}]})]
    out += [hook("pos-h15-no-back-end", V, "hz-pos"),
            hook("neg-h15-no-back-end", V, "hz-neg", failurePolicy="Ignore"),
            hook("pos-h25-mutator", M, "hz-pos", failurePolicy="Ignore"),
            hook("neg-h25-mutator", M, "hz-neg", failurePolicy="Ignore")]
    out += [obj("v1", "LimitRange", side + "-h25-limits", "hz-" + side, spec={"limits": []})
            for side in ("pos", "neg")]
    out += [obj("v1", "Secret", "cacerts", "pos-h28-mesh", stringData={"ca": "b"})]
    out += [obj("storage.k8s.io/v1", "StorageClass", "b-default", notes=default, provisioner="hz")]
    out += [obj("v1", "Pod", "edge", "hz-b", spec={"containers": [
        {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 8443}]}]})]
    out += config("h37-foreign", "b", "same")
    return out


def main():
    what = sys.argv[1]
    if what == "crds":
        items = [crd(*v) for v in KEY.values()]
        items += [crd("hz.example.com", "Pos24", "pos-h24-crd-version", ("v1", "v2")),
                  crd("hz.example.com", "Neg24", "neg-h24-crd-version"),
                  crd("hz.example.com", "Neg16", "neg-h16-conversion"),
                  crd("hz.example.com", "Pos16", "pos-h16-conversion", conversion={
                      "strategy": "Webhook", "webhook": {
                          "conversionReviewVersions": ["v1"],
                          "clientConfig": {"service": {"namespace": "hz-pos", "name": "hook"}}}})]
        items += [obj("apiregistration.k8s.io/v1", "APIService", "v1.pos-h16-api-down.example.com",
                      spec={"group": "pos-h16-api-down.example.com", "version": "v1",
                            "groupPriorityMinimum": 1, "versionPriority": 1,
                            "insecureSkipTLSVerify": True,
                            "service": {"namespace": "hz-pos", "name": "hook"}}),
                  crd("neg-h16-api-down.example.com", "Up"),
                  closed("Api24", "api24s", ["size"]),
                  closed("Schema24", "schema24s", ["size", "more"])]
    elif what == "crds-b":
        items = [crd("external.metrics.k8s.io", "Metric"),
                 crd("hz.example.com", "Pos24", "pos-h24-crd-version"),
                 crd("hz.example.com", "Neg24", "neg-h24-crd-version"),
                 closed("Api24", "api24s", ["size"], "v2"),
                 closed("Schema24", "schema24s", ["size"])]
    else:
        items = objects_a() if what == "a" else objects_b()
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


main()
