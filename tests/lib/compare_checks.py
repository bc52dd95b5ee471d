# SPDX-License-Identifier: Apache-2.0
"""What must be true of cluster B by itself, whatever A is like. A check yields (key, path, text)."""
import collections
import json

from compare_rules import HOLDS, NOTES, excluded_by, holding, path_matches
from compare_world import at, controller, dotted, finished, held, key_of, kind_id, leaves, meta, owner_key, title

Check = collections.namedtuple("Check", "name run why")


def check_owners(wa, wb, left):
    for key, o in wb.objects.items():
        for ref in meta(o, "ownerReferences", []):
            owner = wb.by_uid.get(ref.get("uid"))
            if owner and (owner["kind"], meta(owner, "name")) == (ref.get("kind"), ref.get("name")):
                continue
            # Lists are read one after the other: is the child still there, and its owner not?
            live = wb.again(*owner_key(wb, o, ref))
            child = wb.again(*key)
            if child and meta(child, "uid") == meta(o, "uid") and not (live and meta(live, "uid") == ref.get("uid")):
                yield key, f"metadata.ownerReferences {ref.get('kind')}/{ref.get('name')}", \
                    f"uid {ref.get('uid')} is no object of B: its garbage collector deletes this"


def check_foreign_uids(wa, wb, left):
    """A uid of A carried over is equal in both, so that no comparison of fields finds it."""
    for key, o in wb.objects.items():
        if left(o):
            continue
        parts = {k: {f: v for f, v in (o.get(k) or {}).items() if f not in ("managedFields", "ownerReferences")}
                 for k in ("metadata", "spec")}
        for path, text in leaves(parts):
            if text in wa.by_uid and text not in wb.by_uid and not path_matches((*NOTES, "tandem.dev/*"), path):
                yield key, dotted(path), f"is the uid of {title(key_of(wa.by_uid[text]))} in A"


def check_endpoint_duplicates(wa, wb, left):
    for service in wb.all("Service"):
        seen = {}
        for piece in wb.slices(service):
            ports = json.dumps(piece.get("ports"), sort_keys=True)
            for e in piece.get("endpoints") or []:
                for address in e.get("addresses", []):
                    first = seen.setdefault((address, ports), meta(piece, "name"))
                    if first != meta(piece, "name"):
                        yield key_of(service), "EndpointSlices", \
                            f"{address} is in {first} and in {meta(piece, 'name')}"


def check_replicaset_duplicates(wa, wb, left):
    def template(rs):
        t = json.loads(json.dumps(at(rs, "spec", "template", default={})))
        at(t, "metadata", "labels", default={}).pop("pod-template-hash", None)
        return json.dumps(t, sort_keys=True)
    yield from same_children(wb, "Deployment.apps", "ReplicaSet.apps", template)


def check_revision_duplicates(wa, wb, left):
    for kind in ("StatefulSet.apps", "DaemonSet.apps"):
        yield from same_children(wb, kind, "ControllerRevision.apps",
                                 lambda r: json.dumps(r.get("data"), sort_keys=True))


def same_children(world, parent, child, essence):
    for o in world.all(parent):
        groups = collections.defaultdict(list)
        for c in world.children.get(meta(o, "uid"), []):
            if kind_id(c) == child:
                groups[essence(c)].append(meta(c, "name"))
        for names in groups.values():
            if len(names) > 1:
                yield key_of(o), child, "the same made twice: " + ", ".join(sorted(names))


def check_deleting(wa, wb, left):
    for key, o in wb.objects.items():
        if meta(o, "deletionTimestamp") and not left(o):
            yield key, "metadata.deletionTimestamp", f"is being deleted in B since {meta(o, 'deletionTimestamp')}"


def check_held_acted(wa, wb, left):
    for key, o in wb.objects.items():
        if not held(o) or key[0] == "ReplicaSet.apps" and controller(o):  # it keeps its Deployment's annotations
            continue
        if not holding(o):
            yield key, f"spec.{HOLDS.get(key[0], ('?',))[0]}", "is marked as held in B and is not"
        jobs = [meta(c, "name") for c in wb.children.get(meta(o, "uid"), []) if c["kind"] == "Job"]
        if key[0] == "CronJob.batch" and jobs:
            yield key, "Jobs", "is held in B and has made " + ", ".join(sorted(jobs))
        acted = [f for f in ("active", "succeeded", "failed", "replicas") if at(o, "status", f)]
        if key[0] != "CronJob.batch" and acted:
            yield key, "status", "is held in B and has " + ", ".join(
                f"{f} {at(o, 'status', f)}" for f in acted)


def check_done_again(wa, wb, left):
    for job in wa.all("Job.batch"):
        other = wb.get(*key_of(job))
        if finished(job) and not controller(job) and other and any(
                at(other, "status", f) for f in ("active", "succeeded", "failed")):
            yield key_of(job), "status", "was done in A and is done again in B"


def check_bootstrap_subjects(wa, wb, left):
    """Who was put into a binding that every cluster has."""
    for o in wa.all("ClusterRoleBinding.rbac.authorization.k8s.io"):
        other = wb.get(*key_of(o))
        if excluded_by(o, wa) == "bootstrap-rbac" and other:
            for subject in o.get("subjects") or []:
                if subject not in (other.get("subjects") or []) and "system:" not in subject.get("name", ""):
                    yield key_of(o), "subjects", f"{subject.get('kind')} {subject.get('name')} is missing in B"


CHECKS = [
    Check("dangling-owner", check_owners, "an owner that is not there gets the object deleted"),
    Check("foreign-uid", check_foreign_uids, "a uid of A means nothing in B, or the end of what carries it"),
    Check("endpoint-twice", check_endpoint_duplicates, "a copied slice beside the one that was made"),
    Check("replicaset-twice", check_replicaset_duplicates, "a copied ReplicaSet beside the one that was made"),
    Check("revision-twice", check_revision_duplicates, "a copied revision beside the one that was made"),
    Check("being-deleted", check_deleting, "what was created must stay"),
    Check("held-acted", check_held_acted, "what is held does nothing"),
    Check("done-again", check_done_again, "what was done once is not done again"),
    Check("bootstrap-subjects", check_bootstrap_subjects, "people who were let in stay in"),
]
