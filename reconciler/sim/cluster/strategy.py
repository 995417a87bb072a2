"""What the server does to an object of a kind besides storing it: status, generation, deletion.

Law of the module: tables of facts about kinds (found by asking kube-apiserver 1.36), and pure functions over objects that the
caller may change. Custom resources follow their definition instead.
"""

from __future__ import annotations

from typing import Any, Literal

from .resources import Resource
from .store import copy

Json = dict[str, Any]

# Kinds whose objects count their generations, by group.
_COUNTED = {
    "": ("Pod", "PodTemplate", "ReplicationController"),
    "apps": ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"),
    "batch": ("Job", "CronJob"),
    "networking.k8s.io": ("Ingress", "IngressClass", "NetworkPolicy"),
    "policy": ("PodDisruptionBudget",),
    "scheduling.k8s.io": ("PriorityClass",),
    "discovery.k8s.io": ("EndpointSlice",),
    "apiextensions.k8s.io": ("CustomResourceDefinition",),
    "admissionregistration.k8s.io": (
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    ),
    "flowcontrol.apiserver.k8s.io": ("FlowSchema", "PriorityLevelConfiguration"),
    "resource.k8s.io": ("DeviceClass", "ResourceSlice"),
}
# What a new object's status is; a kind with a status subresource that is not named here starts with an empty one.
_FIRST_STATUS: dict[tuple[str, str], Json] = {
    ("", "Pod"): {"phase": "Pending"},
    ("", "Namespace"): {"phase": "Active"},
    ("", "PersistentVolume"): {"phase": "Pending"},
    ("", "PersistentVolumeClaim"): {"phase": "Pending"},
    ("", "Service"): {"loadBalancer": {}},
    ("", "ReplicationController"): {"replicas": 0},
    ("apps", "ReplicaSet"): {"replicas": 0},
    ("apps", "StatefulSet"): {"replicas": 0, "availableReplicas": 0},
    ("apps", "DaemonSet"): {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    ("networking.k8s.io", "Ingress"): {"loadBalancer": {}},
    ("policy", "PodDisruptionBudget"): {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {"desiredReplicas": 0, "currentMetrics": None},
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": None,
    },
}
# Nodes and leases keep the status that a client brings.
_KEEPS_STATUS = (("", "Node"),)
_ORPHANS_BY_DEFAULT = (("", "ReplicationController"), ("batch", "Job"))
_ANSWERS_WITH_OBJECT = (
    ("", "Service"),
    ("", "ServiceAccount"),
    ("", "Pod"),
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("", "PodTemplate"),
    ("", "ReplicationController"),
    ("", "ResourceQuota"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("resource.k8s.io", "DeviceClass"),
    ("networking.k8s.io", "ServiceCIDR"),
)
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
ORPHAN_FINALIZER = "orphan"
FOREGROUND_FINALIZER = "foregroundDeletion"
JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)


def has_status(resource: Resource) -> bool:
    """Whether status is a part of its own, written through the status subresource only."""
    return "status" in resource.about.subresources


def counted(resource: Resource) -> bool:
    """Whether objects count their generations."""
    return resource.custom or resource.kind in _COUNTED.get(resource.group, ())


def answers_with_object(resource: Resource) -> bool:
    """Whether a finished delete is answered with the object rather than with a Status."""
    return not resource.custom and (resource.group, resource.kind) in _ANSWERS_WITH_OBJECT


def orphans_by_default(resource: Resource) -> bool:
    """Whether dependents survive a delete that says nothing."""
    return not resource.custom and (resource.group, resource.kind) in _ORPHANS_BY_DEFAULT


def first_status(resource: Resource, obj: Json) -> None:
    """Give a new object the status it starts with."""
    key = (resource.group, resource.kind)
    if not has_status(resource) or key in _KEEPS_STATUS:
        return
    obj.pop("status", None)
    if not resource.custom:
        obj["status"] = copy(_FIRST_STATUS.get(key, {}))


def keep_other_parts(resource: Resource, obj: Json, old: Json, part: Literal["", "status"]) -> None:
    """Undo what an update may not touch: status through the object itself, all but status through the subresource."""
    if not has_status(resource):
        return
    if part == "":
        _take(obj, old, "status")
        return
    for name in [*obj, *old]:
        if name not in ("apiVersion", "kind", "metadata", "status"):
            _take(obj, old, name)
    metadata, before = obj["metadata"], old["metadata"]
    if (resource.group, resource.kind) == ("", "Pod") and "qosClass" in old["status"]:
        obj["status"] = {"qosClass": old["status"]["qosClass"]} | (obj.get("status") or {})
    if resource.custom:
        obj["metadata"] = {**before, "managedFields": metadata.get("managedFields", [])}
        if "resourceVersion" in metadata:
            obj["metadata"]["resourceVersion"] = metadata["resourceVersion"]
        return
    if resource.kind in ("Deployment", "DaemonSet", "ReplicaSet", "StatefulSet", "ReplicationController", "Job"):
        if resource.kind == "Deployment":
            _take(metadata, before, "labels")
        _take(metadata, before, "finalizers") if resource.kind != "Job" else None


def _take(obj: Json, old: Json, name: str) -> None:
    if name in old:
        obj[name] = old[name]
    else:
        obj.pop(name, None)


def next_generation(resource: Resource, obj: Json, old: Json, part: str = "") -> int | None:
    """The generation after an update, None where the kind has none: it counts changes of what is wished for."""
    generation: int | None = old["metadata"].get("generation")
    if not counted(resource):
        return generation
    if (resource.group, resource.kind) == ("discovery.k8s.io", "EndpointSlice"):
        changed = _wish(obj) != _wish(old) or obj["metadata"].get("labels") != old["metadata"].get("labels")
    else:
        changed = _wish(obj, has_status(resource)) != _wish(old, has_status(resource))
    if (resource.group, resource.kind) == ("apps", "Deployment") and part != "status":
        changed = changed or (obj["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})
    return (generation or 0) + 1 if changed else generation


def count_templates(resource: Resource, obj: Json, old: Json) -> None:
    """Keep the annotation in which a DaemonSet counts its templates."""
    if (resource.group, resource.kind) != ("apps", "DaemonSet"):
        return
    count = int(old["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "1"))
    count += obj["spec"].get("template") != old["spec"].get("template")
    obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), TEMPLATE_GENERATION: str(count)}


def _wish(obj: Json, without_status: bool = True) -> Json:
    hidden = ("apiVersion", "kind", "metadata", "status") if without_status else ("apiVersion", "kind", "metadata")
    return {k: v for k, v in obj.items() if k not in hidden}
