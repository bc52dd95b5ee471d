"""What makes the corpus' objects plausible: values by the name of their field, unions taken apart,
and what single kinds need. Whatever is missing here the API server finds."""
import base64
import copy
import os
import subprocess

# Keys of maps that have to be names of something.
KEYS = {
    "limitsKey": ["cpu", "memory"], "requestsKey": ["cpu", "memory"], "hardKey": ["requests.cpu", "pods"],
    "podFixedKey": ["cpu"], "capacityKey": ["storage"], "maxKey": ["cpu"], "minKey": ["cpu"], "defaultKey": ["cpu"],
    "defaultRequestKey": ["cpu"], "maxLimitRequestRatioKey": ["cpu"],
    "matchLabelsKey": ["app"], "selectorKey": ["app"],
}
VALUES = {"cpu": "1", "memory": "64Mi", "storage": "1Gi", "requests.cpu": "100", "pods": "90", "app": "workload"}

INNER_METADATA = {"labels": {"app": "workload"}, "annotations": {"example.com/note": "kept"}}

# Values of fields, by name, wherever they stand.
WORDS = {
    "path": "/srv/data", "mountPath": "/mnt/data", "devicePath": "/dev/xvda", "subPath": "part", "workingDir": "/srv",
    "ip": "192.0.2.7", "hostIP": "192.0.2.8", "externalIPs": "192.0.2.9", "loadBalancerIP": "192.0.2.10",
    "loadBalancerSourceRanges": "192.0.2.0/24", "cidr": "192.0.2.0/24", "except": "192.0.2.128/25",
    "nameservers": "192.0.2.53", "clusterIP": "10.96.7.7", "clusterIPs": "10.96.7.7", "ipFamilies": "IPv4",
    "fieldPath": "metadata.name", "resource": "limits.cpu", "divisor": "1", "operator": "In", "values": "one",
    "matchLabels": "workload",  "schedule": "17 3 * * *", "timeZone": "Etc/UTC",
    "envFrom": "CFG_", "prefix": "CFG_", "metricName": "requests", "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
    "minDomains": 1, "whenUnsatisfiable": "DoNotSchedule", "serviceName": "service", "host": "www.example.com",
    "hosts": "www.example.com", "hostname": "www", "subdomain": "example", "url": "https://webhook.example.com/hook",
    "caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K", "server": "nfs.example.com",
    "accessModes": "ReadWriteOnce", "mode": 292, "defaultMode": 292, "expirationSeconds": 3600, "port": 8080,
    "targetPort": 8080, "containerPort": 8080, "hostPort": 18080, "nodePort": 30123, "healthCheckNodePort": 30124,
    "endPort": 9090, "weight": 1, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "supplementalGroups": 1000,
    "targetPortal": "192.0.2.11:3260", "portals": "192.0.2.12:3260", "iqn": "iqn.2001-04.com.example:storage",
    "initiatorName": "iqn.2001-04.com.example:initiator", "monitors": "192.0.2.13:6789", "driver": "driver.example.com",
    "volumeMode": "Filesystem", "sizeLimit": "1Mi", "repository": "https://git.example.com/x.git", "directory": "x",
    "registry": "quobyte.example.com:7861", "appProtocol": "http", "allowedTopologies": None, "value": "value", "averageUtilization": 60,
    "minReadySeconds": 3, "priority": 7, "version": "1.2.3", "averageValue": "7", "signerName": "example.com/signer", "terminationGracePeriodSeconds": 20, "periodSeconds": 5, "timeoutSeconds": 5, "sourceRange": None,
    "successThreshold": 1, "failureThreshold": 3, "controller": "example.com/controller", "provisioner": "example.com/provisioner",
    "searches": "example.com", "apiVersion": "v1", "level": "s0:c1", "sysctls": None, "procMount": "Default",
    "whenScaled": "Retain", "whenDeleted": "Retain", "maxUnavailable": 1, "maxSurge": 1, "partition": 1, "lun": 1,
    "startupPolicy": None, "storageClassName": "class", "capacity": "1Gi", "size": "1Gi",
}

# Unions: what one element cannot hold together becomes one element each. Name of the list: members
# that every element keeps; those that are taken apart.
SPREAD = {
    "volumes": ({"name"}, None), "env": ({"name"}, {"value", "valueFrom"}), "sources": (set(), None),
    "from": (set(), None), "to": (set(), None), "envFrom": ({"prefix"}, {"configMapRef", "secretRef"}),
}
# Members of a map of which there may be one: each of its users gets another.
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
PROBES = {"livenessProbe": "exec", "readinessProbe": "httpGet", "startupProbe": "grpc",
          "postStart": "exec", "preStop": "httpGet"}
VALUE_FROM = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def split(key, o):
    """A map that stands at this key, with one of its alternatives."""
    if "key" in o and key == "matchFields":
        return {"key": "metadata.name", "operator": "In", "values": ["node"]}
    if key in PROBES and any(h in o for h in HANDLERS):
        return {k: v for k, v in o.items() if k not in HANDLERS or k == PROBES[key]}
    return o


def each(items, name):
    for i, item in enumerate(items):
        if "name" in item:
            item["name"] = f"{name}-{i}".replace("-", "_") if name == "env" else f"{name}-{i}"
    return items


def spread(key, items):
    """A list that stands at this key, with an element for each alternative."""
    if key not in SPREAD or not items or not isinstance(items[0], dict):
        return items
    keep, apart = SPREAD[key]
    first = items[0]
    if apart and not apart & set(first):
        return items
    out = []
    for member, value in first.items():
        if member in keep or (apart and member not in apart) or value is None:
            continue
        inner = [{v: value[v]} for v in VALUE_FROM if v in value] if member == "valueFrom" else [value]
        out += [{**{k: copy.deepcopy(first[k]) for k in keep if k in first}, member: v} for v in inner]
    return each(out, key)


def fix_claim(spec):
    spec["resources"] = {"requests": {"storage": "1Gi"}, "limits": {"storage": "2Gi"}}
    spec.pop("dataSource", None)
    spec["dataSourceRef"] = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "x"}


def volumes_with(spec, source):
    return [v["name"] for v in spec.get("volumes") or [] if source in v]


def relative(tree):
    """Paths inside of a volume."""
    for v in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []:
        relative(v)
    if isinstance(tree, dict) and "path" in tree and ("key" in tree or "audience" in tree or "signerName" in tree or "mode" in tree):
        tree["path"] = "part/data"


def fix_pod(spec):
    """What belongs together in a pod: containers mount volumes that are there, names differ."""
    for v in spec.get("volumes") or []:
        if "ephemeral" in v:
            fix_claim(v["ephemeral"]["volumeClaimTemplate"]["spec"])
    for n, kind in enumerate(("containers", "initContainers")):
        for c in spec.get(kind) or []:
            c["name"] = ("main", "init")[n]
            c["image"] = "registry.example.com/app:1"
            for m in c.get("volumeMounts") or []:
                m.update(name="volumes-1", subPathExpr=None, mountPropagation="None", recursiveReadOnly="Disabled")
                m.pop("subPathExpr")
            c["resources"] = {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"},
                              "claims": [{"name": "claim"}]}
            c["resizePolicy"] = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]
            c["ports"] = [{**p, "name": "http", "hostPort": 8080} for p in c.get("ports") or []]
            c["volumeDevices"] = [{"name": n, "devicePath": "/dev/xvda"} for n in volumes_with(spec, "persistentVolumeClaim")]
            if "securityContext" in c:
                c["securityContext"]["seccompProfile"] = {"type": "Localhost", "localhostProfile": "profile.json"}
            if kind == "initContainers":
                c["restartPolicy"] = "Always"
    for v in spec.get("volumes") or []:
        relative(v)
    spec.pop("ephemeralContainers", None)
    spec.pop("nodeName", None)
    spec.update(hostNetwork=True, hostUsers=None, hostnameOverride=None, hostPID=True, hostIPC=True, shareProcessNamespace=None,
                os={"name": "linux"}, restartPolicy="Always", dnsPolicy="None", priorityClassName="full",
                preemptionPolicy="PreemptLowerPriority",
                runtimeClassName="full", overhead={"cpu": "1"}, serviceAccount="full", serviceAccountName="full",
                nodeSelector={"example.com/nowhere": "true", "example.com/node": "none"}, schedulerName="default-scheduler",
                resourceClaims=[{"name": "claim", "resourceClaimName": "full"}], imagePullSecrets=[{"name": "full"}],
                tolerations=[{"key": "example.com/taint", "operator": "Equal", "value": "x", "effect": "NoExecute",
                              "tolerationSeconds": 30}],
                activeDeadlineSeconds=None, resources={"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}})
    spec["securityContext"]["seccompProfile"] = {"type": "Localhost", "localhostProfile": "profile.json"}
    for k in [k for k, v in spec.items() if v is None]:
        spec.pop(k)
    return spec


def template(t):
    fix_pod(t["spec"])
    return t


# Not the label of the objects themselves: a bare Pod must not be adopted.
SELECTOR = {"matchLabels": {"app": "workload"}, "matchExpressions": [{"key": "app", "operator": "In", "values": ["workload"]}]}


def reshape(kind, o):
    """What of a kind hangs together, beyond what a merge patch can say."""
    spec = o.get("spec") or {}
    if kind == "Pod":
        fix_pod(spec)
    elif kind == "PodTemplate":
        template(o["template"])
    elif kind == "CronJob":
        job = spec["jobTemplate"]
        template(job["spec"]["template"])["spec"].update(restartPolicy="Never")
    elif isinstance(spec.get("template"), dict):
        template(spec["template"])
        if kind == "Job":
            spec["template"]["spec"]["restartPolicy"] = "Never"
            spec["template"]["spec"].pop("resourceClaims", None)
    for claim in spec.get("volumeClaimTemplates") or []:
        claim["metadata"] = {"name": "data", "labels": {"app": "workload"}}
        claim.pop("status", None)
        fix_claim(claim["spec"])
    return o


NOTHING = {"apiGroups": ["nothing.example.com"], "apiVersions": ["*"], "resources": ["nothings"], "operations": ["*"],
           "scope": "*"}
NAMED_NOTHING = {"resourceRules": [{**NOTHING, "resourceNames": ["x"]}], "excludeResourceRules": [NOTHING],
                 "namespaceSelector": SELECTOR, "objectSelector": SELECTOR, "matchPolicy": "Equivalent"}
METRIC = {"name": "requests", "selector": SELECTOR}
ABOUT = {"kind": "Pod", "namespace": "every-kind", "name": "x"}
AVERAGE = {"type": "AverageValue", "averageValue": "10"}

FAILURE = {"rules": [
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}}]}



def openssl(*args):
    return subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", os.devnull,
                           "-subj", "/CN=every-kind", *args], capture_output=True, text=True, check=True).stdout


REQUEST_FOR_ONE = base64.b64encode(openssl("-new").encode()).decode()
CERTIFICATE = openssl("-x509", "-days", "30")

# Merge patches (RFC 7386) onto the tamed object.
OVERLAYS = {
    "Deployment": {"spec": {"selector": SELECTOR, "strategy": {"type": "RollingUpdate"}, "paused": True,
                            "progressDeadlineSeconds": 600}},
    "ReplicaSet": {"spec": {"selector": SELECTOR}},
    "StatefulSet": {"spec": {"selector": SELECTOR, "podManagementPolicy": "Parallel", "updateStrategy": {"type": "RollingUpdate"}}},
    "DaemonSet": {"spec": {"selector": SELECTOR, "updateStrategy": {"type": "RollingUpdate"}}},
    "ReplicationController": {"spec": {"selector": {"app": "workload"}}},
    "CronJob": {"spec": {"suspend": False, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {
        "selector": None, "manualSelector": None, "suspend": None, "ttlSecondsAfterFinished": 60, "completionMode": "Indexed",
        "completions": 3, "parallelism": 2, "backoffLimit": 4, "podFailurePolicy": FAILURE, "managedBy": None,
        "successPolicy": {"rules": [{"succeededIndexes": "0", "succeededCount": 1}]}, "backoffLimitPerIndex": 2,
        "maxFailedIndexes": 2, "podReplacementPolicy": "Failed"}}}},
    "Job": {"spec": {"suspend": False, "selector": None, "manualSelector": None, "ttlSecondsAfterFinished": 86400,
                     "completionMode": "Indexed", "completions": 3, "parallelism": 2, "backoffLimit": 4,
                     "activeDeadlineSeconds": 86400, "managedBy": "example.com/controller",
                     "podFailurePolicy": None, "successPolicy": {"rules": [{"succeededIndexes": "0", "succeededCount": 1}]},
                     "backoffLimitPerIndex": 2, "maxFailedIndexes": 2, "podReplacementPolicy": "TerminatingOrFailed"}},
    "ControllerRevision": {"data": {"any": {"thing": [1, 2.50, None]}}, "revision": 3},
    "ConfigMap": {"data": {"text": "kept\n"}, "binaryData": {"bytes": "AP8="}},
    "Secret": {"data": {"key": "a2VwdA=="}, "stringData": {"words": "kept"}, "type": "example.com/secret"},
    "ServiceAccount": {"secrets": [{"name": "full"}], "imagePullSecrets": [{"name": "full"}]},
    "Endpoints": {"subsets": [{"addresses": [{"ip": "192.0.2.7", "hostname": "www", "nodeName": "node",
                                               "targetRef": {"kind": "Pod", "name": "x", "namespace": "every-kind"}}],
                               "notReadyAddresses": [{"ip": "192.0.2.8"}],
                               "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}]}]},
    "EndpointSlice": {"metadata": {"labels": {"kubernetes.io/service-name": "backend"}}, "addressType": "IPv4", "endpoints": [
        {"addresses": ["192.0.2.7"], "conditions": {"ready": True, "serving": True, "terminating": False}, "hostname": "www",
         "targetRef": {"kind": "Pod", "name": "x", "namespace": "every-kind"}, "nodeName": "node", "zone": "z1",
         "hints": {"forZones": [{"name": "z1"}]}}]},
    "Service": {"spec": {"sessionAffinity": "ClientIP", "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Local",
                         "internalTrafficPolicy": "Cluster", "ports": [{"name": "http", "port": 80, "targetPort": "http",
                                                                         "appProtocol": "http", "protocol": "TCP"}]}},
    "PersistentVolumeClaim": {"spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "full-nfs", "selector": None,
                                       "volumeAttributesClassName": None,
                                       "dataSource": None, "dataSourceRef": None, "storageClassName": "full",
                                       "resources": {"requests": {"storage": "1Gi", "cpu": None, "memory": None},
                                                     "limits": {"storage": "2Gi", "cpu": None, "memory": None}}}},
    "LimitRange": {"metadata": {"namespace": "every-kind-limits"}, "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "10m"}, "default": {"cpu": "1"},
         "defaultRequest": {"cpu": "100m"}, "maxLimitRequestRatio": {"cpu": "100"}}]}},
    "ResourceQuota": {"metadata": {"namespace": "every-kind-limits"}, "spec": {
        "hard": {"pods": "5", "requests.cpu": None}, "scopes": ["BestEffort"],
        "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["full"]}]}}},
    "HorizontalPodAutoscaler": {"spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}, "minReplicas": 1, "maxReplicas": 3,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main", "target": AVERAGE}},
            {"type": "Pods", "pods": {"metric": METRIC, "target": AVERAGE}},
            {"type": "Object", "object": {"metric": METRIC, "target": {"type": "Value", "value": "5"}, "describedObject": {
                "apiVersion": "v1", "kind": "Service", "name": "x"}}},
            {"type": "External", "external": {"metric": METRIC, "target": AVERAGE}}],
        "behavior": {w: {"stabilizationWindowSeconds": 30, "selectPolicy": "Max", "tolerance": "50m", "policies": [
            {"type": "Pods", "value": 2, "periodSeconds": 60}]} for w in ("scaleUp", "scaleDown")}}},
    "PodDisruptionBudget": {"spec": {"minAvailable": 1, "maxUnavailable": None, "selector": SELECTOR}},
    "Ingress": {"spec": {
        "ingressClassName": "full", "defaultBackend": {"service": {"name": "x", "port": {"number": 80, "name": None}}, "resource": None},
        "rules": [{"host": "www.example.com", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"name": "http"}}}},
            {"path": "/r", "pathType": "Exact", "backend": {"resource": {"apiGroup": "example.com", "kind": "B", "name": "b"}}}]}}],
        "tls": [{"hosts": ["www.example.com"], "secretName": "tls"}]}},
    "IngressClass": {"spec": {"parameters": {"apiGroup": "example.com", "kind": "P", "name": "p", "scope": "Namespace",
                                             "namespace": "every-kind"}}},
    "NetworkPolicy": {"spec": {"policyTypes": ["Ingress", "Egress"], "podSelector": SELECTOR}},
    "ServiceCIDR": {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.200.0.0/24"]}},
    "IPAddress": {"metadata": {"name": "10.96.200.200"}, "spec": {"parentRef": {
        "group": "example.com", "resource": "widgets", "namespace": "every-kind", "name": "x"}}},
    "StorageClass": {"allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["z1"]}]}]},
    "RuntimeClass": {"handler": "runc", "overhead": {"podFixed": {"cpu": "1"}},
                     "scheduling": {"nodeSelector": {"example.com/node": "none"}, "tolerations": [
                         {"key": "example.com/taint", "operator": "Equal", "value": "x", "effect": "NoExecute", "tolerationSeconds": 30}]}},
    "PriorityClass": {"value": 7, "globalDefault": False, "preemptionPolicy": "PreemptLowerPriority"},
    "ClusterRole": {"aggregationRule": None, "rules": [
        {"verbs": ["get"], "apiGroups": ["x.io"], "resources": ["things"], "resourceNames": ["one"]},
        {"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
    "Role": {"rules": [{"verbs": ["get"], "apiGroups": ["x.io"], "resources": ["things"], "resourceNames": ["one"]}]},
    "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "full"},
                    "subjects": [{"kind": "ServiceAccount", "name": "full", "namespace": "every-kind"},
                                 {"kind": "User", "name": "someone", "apiGroup": "rbac.authorization.k8s.io"}]},
    "ClusterRoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "full"},
                           "subjects": [{"kind": "Group", "name": "some", "apiGroup": "rbac.authorization.k8s.io"}]},
    "FlowSchema": {"spec": {"priorityLevelConfiguration": {"name": "full"}, "matchingPrecedence": 9000, "rules": [
        {"subjects": [{"kind": "User", "user": {"name": "x"}}, {"kind": "Group", "group": {"name": "x"}},
                      {"kind": "ServiceAccount", "serviceAccount": {"namespace": "every-kind", "name": "x"}}],
         "resourceRules": [{"verbs": ["get"], "apiGroups": ["x.io"], "resources": ["things"], "clusterScope": True,
                            "namespaces": ["every-kind"]}],
         "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}]}},
    "PriorityLevelConfiguration": {"spec": {"type": "Limited", "exempt": None, "limited": {
        "nominalConcurrencyShares": 3, "lendablePercent": 20, "borrowingLimitPercent": 50,
        "limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 4, "queueLengthLimit": 10}}}}},
    "ValidatingWebhookConfiguration": {"webhooks": [
        {"name": "x.example.com", "clientConfig": {"url": None, "service": {"namespace": "every-kind", "name": "backend", "path": "/x", "port": 8443}},
         "rules": [NOTHING], "failurePolicy": "Ignore", "matchPolicy": "Exact", "namespaceSelector": SELECTOR,
         "objectSelector": SELECTOR, "sideEffects": "None", "timeoutSeconds": 5, "admissionReviewVersions": ["v1"],
         "matchConditions": [{"name": "x", "expression": "true"}]}]},
    "MutatingWebhookConfiguration": {"webhooks": [
        {"name": "x.example.com", "clientConfig": {"url": "https://webhook.example.com/hook"}, "reinvocationPolicy": "IfNeeded",
         "rules": [NOTHING], "failurePolicy": "Ignore", "matchPolicy": "Exact", "namespaceSelector": SELECTOR,
         "objectSelector": SELECTOR, "sideEffects": "None", "timeoutSeconds": 5, "admissionReviewVersions": ["v1"],
         "matchConditions": [{"name": "x", "expression": "true"}]}]},
    "ValidatingAdmissionPolicy": {"spec": {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "matchConstraints": NAMED_NOTHING, "failurePolicy": "Ignore",
        "validations": [{"expression": "true", "message": "no", "messageExpression": "'no'", "reason": "Invalid"}],
        "auditAnnotations": [{"key": "x", "valueExpression": "'y'"}], "matchConditions": [{"name": "x", "expression": "true"}],
        "variables": [{"name": "x", "expression": "true"}]}},
    "ValidatingAdmissionPolicyBinding": {"spec": {
        "policyName": "full", "validationActions": ["Warn", "Audit"], "matchResources": NAMED_NOTHING,
        "paramRef": {"name": "x", "namespace": "every-kind", "parameterNotFoundAction": "Allow", "selector": None}}},
    "MutatingAdmissionPolicy": {"spec": {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "matchConstraints": NAMED_NOTHING, "failurePolicy": "Ignore",
        "reinvocationPolicy": "Never", "matchConditions": [{"name": "x", "expression": "true"}],
        "variables": [{"name": "x", "expression": "true"}],
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}},
                      {"patchType": "JSONPatch", "jsonPatch": {
                          "expression": "[JSONPatch{op: 'add', path: '/metadata/labels/x', value: 'y'}]"}}]}},
    "MutatingAdmissionPolicyBinding": {"spec": {
        "policyName": "full", "matchResources": NAMED_NOTHING,
        "paramRef": {"name": "x", "namespace": "every-kind", "parameterNotFoundAction": "Allow", "selector": None}}},
    "ClusterTrustBundle": {"spec": {"signerName": None, "trustBundle": CERTIFICATE}},
    "CertificateSigningRequest": {"spec": {"request": REQUEST_FOR_ONE, "signerName": "example.com/signer", "usages": ["client auth"]}},
    "Lease": {"spec": {"leaseDurationSeconds": 30, "strategy": None, "preferredHolder": None}},
    "LeaseCandidate": {"spec": {"binaryVersion": "1.33.0", "emulationVersion": "1.33.0", "strategy": "OldestEmulationVersion"}},
    "Event": {"involvedObject": ABOUT, "related": ABOUT, "reportingComponent": "example.com/x", "type": "Normal"},
    "Event.events.k8s.io": {"regarding": ABOUT, "related": ABOUT, "reportingController": "example.com/x", "type": "Normal",
                            "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"},
                            "eventTime": "2026-01-01T00:00:00.000000Z", "deprecatedFirstTimestamp": None,
                            "deprecatedLastTimestamp": None, "deprecatedCount": None, "deprecatedSource": None},
    "Node": {"spec": {"configSource": None, "podCIDR": "10.99.0.0/24", "podCIDRs": ["10.99.0.0/24"], "taints": [
        {"key": "example.com/no", "value": "x", "effect": "NoSchedule"}]}},
    "CSIDriver": {"spec": {"tokenRequests": [{"audience": "x", "expirationSeconds": 3600}],
                           "nodeAllocatableUpdatePeriodSeconds": 60, "volumeLifecycleModes": ["Persistent", "Ephemeral"]}},
    "CSINode": {"spec": {"drivers": [{"name": "driver.example.com", "nodeID": "x", "topologyKeys": ["example.com/zone"],
                                      "allocatable": {"count": 3}}]}},
    "CSIStorageCapacity": {"nodeTopology": SELECTOR, "maximumVolumeSize": "1Gi", "storageClassName": "full"},
    "VolumeAttachment": {"spec": {"attacher": "driver.example.com", "nodeName": "node", "source": {
        "persistentVolumeName": "none", "inlineVolumeSpec": None}}},
    "DeviceClass": {"spec": {"selectors": [{"cel": {"expression": "true"}}], "config": [
        {"opaque": {"driver": "driver.example.com", "parameters": {"any": 1}}}]}},
    "ResourceSlice": {"spec": {"pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1}, "nodeName": "node",
                               "nodeSelector": None, "allNodes": None, "perDeviceNodeSelection": None, "sharedCounters": None,
                               "devices": [{"name": "d", "attributes": {"x": {"string": "y"}}, "capacity": {"c": {"value": "1"}}}]}},
    "DeviceTaintRule": {"spec": {"deviceSelector": {"driver": "driver.example.com", "pool": "pool", "device": "d", "deviceClassName": None,
                                                    "selectors": None},
                                 "taint": {"key": "example.com/taint", "value": "x", "effect": "NoSchedule"}}},
}
REQUEST = {"deviceClassName": "full", "selectors": [{"cel": {"expression": "true"}}], "allocationMode": "ExactCount", "count": 1,
           "tolerations": [{"key": "example.com/taint", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]}
DEVICES = {
    "requests": [{"name": "r", "exactly": {**REQUEST, "adminAccess": None}},
                 {"name": "s", "firstAvailable": [{"name": "t", **REQUEST}]}],
    "constraints": [{"requests": ["r"], "matchAttribute": "driver.example.com/model"}],
    "config": [{"requests": ["r"], "opaque": {"driver": "driver.example.com", "parameters": {"any": 1}}}]}
OVERLAYS["ResourceClaim"] = {"spec": {"devices": DEVICES}}
OVERLAYS["ResourceClaimTemplate"] = {"spec": {"spec": {"devices": DEVICES}}}

PV_SOURCES = ("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
              "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume",
              "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume")


def pv_variant(source):
    node = {"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node"]}]}]}}
    spec = {s: None for s in PV_SOURCES if s != source}
    spec.update(claimRef={"apiVersion": None, "kind": None, "uid": None, "resourceVersion": None, "fieldPath": None,
                          "namespace": "every-kind", "name": "full" if source == "nfs" else "none-" + source.lower()},
                accessModes=["ReadWriteOnce"], capacity={"storage": "1Gi"}, persistentVolumeReclaimPolicy="Retain",
                nodeAffinity=node if source in ("local", "csi") else None, storageClassName="full")
    if source == "flocker":
        spec["flocker"] = {"datasetUUID": None}
    if source == "quobyte":
        spec["quobyte"] = {"registry": "quobyte.example.com:7861"}
    if source == "fc":
        spec["fc"] = {"wwids": None}
    if source != "csi":
        spec["volumeAttributesClassName"] = None
    if source == "local":
        spec["mountOptions"] = None
    return source.lower(), {"spec": spec}


def merged(one, other):
    """Two merge patches as one."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{k: merged(one.get(k), v) for k, v in other.items()}}


NO_ALLOCATION = {"clusterIP": None, "clusterIPs": None, "externalName": None, "healthCheckNodePort": None,
                 "loadBalancerClass": None, "loadBalancerIP": None, "allocateLoadBalancerNodePorts": None,
                 "loadBalancerSourceRanges": None, "externalTrafficPolicy": None, "ipFamilies": None}
# One object is not enough where members exclude each other. (suffix of its name, merge patch)
VARIANTS = {
    "PersistentVolume": [pv_variant(s) for s in PV_SOURCES] + [
        ("fc-wwids", merged(pv_variant("fc")[1], {"spec": {"fc": {"wwids": ["wwids"], "targetWWNs": None, "lun": None}}})),
        ("flocker-uuid", merged(pv_variant("flocker")[1], {"spec": {"flocker": {"datasetUUID": "uuid", "datasetName": None}}}))],
    "Service": [
        ("balanced", {"spec": {"type": "LoadBalancer", "externalName": None, "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "nodePort": 30123, "appProtocol": "http", "protocol": "TCP"}],
            "clusterIP": None, "clusterIPs": None, "ipFamilies": None}}),
        ("allocated", {"spec": {**NO_ALLOCATION, "type": "NodePort"}}),
        ("chosen", {"spec": {**NO_ALLOCATION, "type": "ClusterIP", "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"],
                             "ipFamilies": ["IPv4"]}}),
        ("headless", {"spec": {**NO_ALLOCATION, "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"],
                               "sessionAffinity": None, "sessionAffinityConfig": None, "internalTrafficPolicy": None}}),
        ("elsewhere", {"spec": {**NO_ALLOCATION, "type": "ExternalName", "externalName": "www.example.com", "ipFamilyPolicy": None,
                                "sessionAffinity": None, "sessionAffinityConfig": None, "internalTrafficPolicy": None,
                                "trafficDistribution": None}}),
    ],
    "Job": [("", {}), ("manual", {"spec": {
        "manualSelector": True, "selector": {"matchLabels": {"app": "workload"}},
        "completionMode": "NonIndexed", "successPolicy": None, "backoffLimitPerIndex": None, "maxFailedIndexes": None,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": FAILURE}})],
    "PersistentVolumeClaim": [("", {"metadata": {"name": "full"}}), ("filled", {"spec": {
        "volumeName": None, "selector": {"matchLabels": {"app": "x"}}, "dataSourceRef": {
            "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "x"}}})],
    "Secret": [("", {}), ("tls", {"type": "kubernetes.io/tls", "data": {"tls.crt": "eA==", "tls.key": "eA==", "key": None},
                                  "stringData": None, "immutable": None})],
    "ClusterRole": [("", {}), ("aggregated", {"rules": None, "aggregationRule": {"clusterRoleSelectors": [SELECTOR]}})],
    "PodDisruptionBudget": [("", {}), ("max", {"spec": {"minAvailable": None, "maxUnavailable": "20%"}})],
    "PriorityLevelConfiguration": [("", {}), ("exempt", {"spec": {"exempt": {"nominalConcurrencyShares": 3,
                                                                                            "lendablePercent": 20}}})],
    "DaemonSet": [("", {}), ("on-delete", {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}})],
    "Deployment": [("", {}), ("recreate", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})],
}

# Not in the corpus, which holds the kinds of k8s.io/api alone.
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {
    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {
        "size": {"type": "integer", "default": 3, "minimum": 1}, "words": {"type": "array", "items": {"type": "string"}}}},
    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}
MADE_HERE = {
    "CustomResourceDefinition": {"metadata": {}, "spec": {
        "group": "every.example.com", "scope": "Namespaced", "conversion": {"strategy": "None"}, "preserveUnknownFields": False,
        "names": {"kind": "Thing", "plural": "things", "singular": "thing", "shortNames": ["th"], "listKind": "ThingList",
                  "categories": ["all"]},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": SCHEMA, "deprecated": True,
                      "deprecationWarning": "old", "subresources": {"status": {}, "scale": {
                          "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.sel"}},
                      "selectableFields": [{"jsonPath": ".spec.size"}],
                      "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "x",
                                                    "format": "int32", "priority": 1}]},
                     {"name": "v1alpha1", "served": False, "storage": False, "schema": {"openAPIV3Schema": {"type": "object"}}}]}},
    "Thing": {"spec": {"size": 5, "words": ["", "b"], "empty": {}, "none": [], "zero": 0, "long": 12345678901234567,
                       "fraction": 1.50, "no": False, "null": None}},
    "APIService": {"metadata": {}, "spec": {
        "group": "none.example.com", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 5,
        "insecureSkipTLSVerify": None, "caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K",
        "service": {"namespace": "every-kind", "name": "backend", "port": 8443}}},
    "Namespace": {"metadata": {}},
}

NAMES = {"CustomResourceDefinition.apiextensions.k8s.io": "things.every.example.com", "APIService.apiregistration.k8s.io": "v1.none.example.com", "StorageVersion.internal.apiserver.k8s.io": "apps.things", "Event.events.k8s.io": "full-too"}
NEEDED = {"labels", "spec", "template", "containers", "selector", "requests", "devices", "jobTemplate", "volumeMounts", "hard"}
UNOWNED = {"LimitRange", "ResourceQuota", "Event"}  # in another namespace than the owner, or gone too soon
OWN_KINDS = {("every.example.com", "Thing"): ("v1", "things", True)}  # of the CustomResourceDefinition below
FIRST = ("Namespace", "CustomResourceDefinition", "PriorityClass", "RuntimeClass", "StorageClass", "ServiceAccount", "Secret", "Role",
         "ClusterRole", "PersistentVolume", "PersistentVolumeClaim", "DeviceClass")


def order(item):
    (group, kind), _ = item
    return FIRST.index(kind) if kind in FIRST else len(FIRST) + (kind in ("APIService", "Thing")), group, kind


# 1.33 looks at the pod template of a StatefulSet less closely than 1.37: it gets what a ReplicaSet may have.
KNOWN = {}


def remember(kind, o):
    if kind == "ReplicaSet":
        KNOWN["template"] = o["spec"]["template"]


def reuse(kind, o):
    if kind == "StatefulSet" and KNOWN:
        o["spec"]["template"] = copy.deepcopy(KNOWN["template"])


# Kinds of which the objects of this test are skipped for another reason than their kind.
NEVER = {"ServiceCIDR.networking.k8s.io": "each cluster has its own ranges (rule service-range-own)"}
# Where A and B differ, outside of metadata and status, and a row of the policy says why.
TIME = "metadata/creationTimestamp"  # null on the older server
CLAIM = "spec/volumes/*/ephemeral/volumeClaimTemplate/" + TIME
DIFFERS = {
    ("CronJob.batch", "/spec/suspend"), ("Job.batch", "/spec/suspend"),
    ("CronJob.batch", "/spec/jobTemplate/" + TIME), ("CronJob.batch", "/spec/jobTemplate/spec/template/" + TIME),
    ("CronJob.batch", "/spec/jobTemplate/spec/template/" + CLAIM),
    *((kind, f"/spec/template/{at}") for at in (TIME, CLAIM) for kind in (
        "DaemonSet.apps", "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps", "Job.batch", "ReplicationController")),
    ("StatefulSet.apps", "/spec/volumeClaimTemplates/*/" + TIME),
    ("PodTemplate", "/template/" + TIME), ("PodTemplate", "/template/" + CLAIM), ("Pod", "/" + CLAIM),
    ("ResourceClaimTemplate.resource.k8s.io", "/spec/" + TIME),
    ("Job.batch", "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid"),
    ("Job.batch", "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid"),
    ("Job.batch", "/spec/template/metadata/labels/controller-uid"),
    ("PersistentVolume", "/spec/claimRef/resourceVersion"), ("PersistentVolume", "/spec/claimRef/uid"),
    # Filled from a snapshot that is in neither.
    *(("PersistentVolumeClaim", f"/spec/dataSourceRef/{key}") for key in ("apiGroup", "kind", "name", "namespace")),
    ("Service", "/spec/clusterIP"), ("Service", "/spec/clusterIPs/*"), ("Service", "/spec/ports/*/nodePort"),
    ("Pod", "/spec/volumes/*/name"), ("Pod", "/spec/containers/*/volumeMounts/*/name"),
    ("Pod", "/spec/initContainers/*/volumeMounts/*/name"),
    *(("Pod", f"/spec/{c}/*/{at}/httpGet/protocol") for c in ("containers", "initContainers")
      for at in ("readinessProbe", "lifecycle/preStop")),
    ("CSIDriver.storage.k8s.io", "/spec/preventPodSchedulingIfMissing"),
}
