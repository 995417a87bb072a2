"""The columns of built-in kinds, and how their cells are read off an object.

Law of the module: pure; `now` only makes ages. Names, types, priorities and texts are those of kube-apiserver 1.36
(pkg/printers/internalversion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import metadata, selectors
from .store import Json, encode

Cell = Callable[[Json, float], Any]
_NONE = "<none>"
_UNKNOWN = "<unknown>"
_UNSET = "<unset>"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SHOWN_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0
    format: str = ""


def text(value: Any) -> str:
    """A value of a cell that is no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return encode(value).decode() if isinstance(value, dict | list) else str(value)


def age(at: str, now: float) -> str:
    """How long ago, as people read it."""
    try:
        return duration(now - metadata.instant(at))
    except ValueError:
        return _UNKNOWN


def duration(seconds: float) -> str:
    """A duration in at most two units (apimachinery util/duration.HumanDuration)."""
    s = int(seconds)
    if s < 0:
        return "<invalid>" if s < -1 else "0s"
    if s < 2 * _MINUTE:
        return f"{s}s"
    if s < 10 * _MINUTE:
        return _two(s // _MINUTE, "m", s % _MINUTE, "s")
    if s < 3 * _HOUR:
        return f"{s // _MINUTE}m"
    if s < 8 * _HOUR:
        return _two(s // _HOUR, "h", s % _HOUR // _MINUTE, "m")
    if s < 2 * _DAY:
        return f"{s // _HOUR}h"
    if s < 8 * _DAY:
        return _two(s // _DAY, "d", s % _DAY // _HOUR, "h")
    if s < 2 * 365 * _DAY:
        return f"{s // _DAY}d"
    if s < 8 * 365 * _DAY:
        return _two(s // _DAY // 365, "y", s // _DAY % 365, "d")
    return f"{s // _DAY // 365}y"


def _two(first: int, unit: str, second: int, lesser: str) -> str:
    return f"{first}{unit}{second}{lesser}" if second else f"{first}{unit}"


def _at(*path: str, default: Any = "") -> Cell:
    def cell(obj: Json, _: float) -> Any:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return cell


def _age(obj: Json, now: float) -> str:
    return age(obj["metadata"]["creationTimestamp"], now)


def _count(*names: str) -> Cell:
    return lambda obj, _: sum(len(obj.get(name) or ()) for name in names)


NAME = Column("Name", _at("metadata", "name"), format="name")
AGE = Column("Age", _age)
OTHERS = (NAME, Column("Created At", _at("metadata", "creationTimestamp"), "date"))


def _template_of(obj: Json) -> Json:
    spec = obj.get("spec") or {}
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"].get("spec") or {}
    found: Json = (spec.get("template") or {}).get("spec") or {}
    return found


def _containers(field: str) -> Cell:
    return lambda obj, _: ",".join(c.get(field, "") for c in _template_of(obj).get("containers") or ())


def _selector(obj: Json, _: float) -> str:
    return selectors.selector_text((obj.get("spec") or {}).get("selector")) or _NONE


def _plain_selector(obj: Json, _: float) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((obj["spec"].get("selector") or {}).items())) or _NONE


_WIDE = (
    Column("Containers", _containers("name"), priority=1),
    Column("Images", _containers("image"), priority=1),
    Column("Selector", _selector, priority=1),
)


def _number(name: str, *path: str) -> Column:
    return Column(name, _at(*path, default=0), "integer")


def _ready_of(obj: Json, _: float) -> str:
    return f"{obj.get('status', {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"


def _phase(obj: Json, _: float) -> str:
    return str((obj.get("status") or {}).get("phase", ""))


# -- pods ---------------------------------------------------------------------------------------------------------------------


def _pod_ready(obj: Json, _: float) -> str:
    statuses = obj.get("status", {}).get("containerStatuses") or ()
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(obj['spec'].get('containers') or ())}"


def _pod_status(obj: Json, _: float) -> str:
    status = obj.get("status", {})
    reason = status.get("reason") or status.get("phase", "")
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    for one in reversed(status.get("containerStatuses") or ()):
        state = one.get("state") or {}
        if state.get("waiting", {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = state["terminated"].get("reason") or f"ExitCode:{state['terminated'].get('exitCode', 0)}"
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else str(reason)


def _restarts(obj: Json, now: float) -> str:
    statuses = obj.get("status", {}).get("containerStatuses") or ()
    count = sum(s.get("restartCount", 0) for s in statuses)
    last = [s.get("lastState", {}).get("terminated", {}).get("finishedAt") for s in statuses]
    ended = max((at for at in last if at), default="")
    return f"{count} ({age(ended, now)} ago)" if count and ended else str(count)


def _gates(obj: Json, _: float) -> str:
    gates = [gate["conditionType"] for gate in obj["spec"].get("readinessGates") or ()]
    true = {c["type"] for c in obj.get("status", {}).get("conditions") or () if c["status"] == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else _NONE


# -- others -------------------------------------------------------------------------------------------------------------------


def _ports(obj: Json, _: float) -> str:
    shown = []
    for port in obj["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or _NONE


def _external(obj: Json, _: float) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    ingress = [i.get("ip") or i.get("hostname") for i in obj.get("status", {}).get("loadBalancer", {}).get("ingress") or ()]
    found = [*ingress, *(spec.get("externalIPs") or ())]
    if not found and spec.get("type") == "LoadBalancer":
        return "<pending>"
    return ",".join(found) or _NONE


def _node_status(obj: Json, _: float) -> str:
    ready = [c for c in obj.get("status", {}).get("conditions") or () if c["type"] == "Ready"]
    word = ("Ready" if ready[0]["status"] == "True" else "NotReady") if ready else "Unknown"
    return f"{word},SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else word


def _node_address(kind: str) -> Cell:
    def cell(obj: Json, _: float) -> str:
        found = [a["address"] for a in obj.get("status", {}).get("addresses") or () if a["type"] == kind]
        return found[0] if found else _NONE

    return cell


def _roles(obj: Json, _: float) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(k.removeprefix(prefix) for k in obj["metadata"].get("labels") or () if k.startswith(prefix))) or _NONE


def _modes(*path: str) -> Cell:
    words = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    read = _at(*path, default=())
    return lambda obj, now: ",".join(words.get(mode, mode) for mode in read(obj, now))


def _claim_phase(obj: Json, now: float) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else _phase(obj, now)


def _volume_claim(obj: Json, _: float) -> str:
    whose = obj["spec"].get("claimRef")
    return f"{whose['namespace']}/{whose['name']}" if whose else ""


def _job_status(obj: Json, _: float) -> str:
    conditions = {c["type"]: c["status"] for c in obj.get("status", {}).get("conditions") or ()}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")):
        if conditions.get(kind) == "True":
            return word
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else "Running"


def _completions(obj: Json, _: float) -> str:
    spec, done = obj["spec"], obj.get("status", {}).get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    return f"{done}/1 of {spec['parallelism']}" if spec.get("parallelism", 1) > 1 else f"{done}/1"


def _job_duration(obj: Json, now: float) -> str:
    status = obj.get("status", {})
    if not status.get("startTime"):
        return ""
    end = metadata.instant(status["completionTime"]) if status.get("completionTime") else now
    return duration(end - metadata.instant(status["startTime"]))


def _last_schedule(obj: Json, now: float) -> str:
    at = obj.get("status", {}).get("lastScheduleTime")
    return age(at, now) if at else _NONE


def _hosts(obj: Json, _: float) -> str:
    hosts = [rule.get("host") for rule in obj["spec"].get("rules") or () if rule.get("host")]
    return _some(hosts) or "*"


def _some(words: list[str]) -> str:
    return ",".join(words[:_SHOWN_LIMIT]) + (f" + {len(words) - _SHOWN_LIMIT} more..." if len(words) > _SHOWN_LIMIT else "")


def _slice_ports(obj: Json, _: float) -> str:
    return _some([str(port.get("port", "*")) for port in obj.get("ports") or ()]) or _UNSET


def _slice_endpoints(obj: Json, _: float) -> str:
    return _some([address for e in obj.get("endpoints") or () for address in e["addresses"]]) or _UNSET


def _subjects(kind: str) -> Cell:
    def cell(obj: Json, _: float) -> str:
        found = [s for s in obj.get("subjects") or () if s["kind"] == kind]
        return ", ".join(f"{s['namespace']}/{s['name']}" if kind == "ServiceAccount" else s["name"] for s in found)

    return cell


def _role_of(obj: Json, _: float) -> str:
    return f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"


def _event_object(obj: Json, _: float) -> str:
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_age(*names: str) -> Cell:
    def cell(obj: Json, now: float) -> str:
        at = next((obj[name] for name in names if obj.get(name)), None)
        return age(at, now) if at else _UNKNOWN

    return cell


def _autoscaled(obj: Json, _: float) -> str:
    target = obj["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


_BINDING = (
    NAME,
    Column("Role", _role_of),
    AGE,
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)
_SCALED = (
    NAME,
    _number("Desired", "spec", "replicas"),
    _number("Current", "status", "replicas"),
    _number("Ready", "status", "readyReplicas"),
    AGE,
)

BY_KIND: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "ConfigMap"): (NAME, Column("Data", _count("data", "binaryData")), AGE),
    ("", "Secret"): (NAME, Column("Type", _at("type")), Column("Data", _count("data")), AGE),
    ("", "ServiceAccount"): (NAME, AGE),
    ("", "Namespace"): (NAME, Column("Status", _phase), AGE),
    ("", "Pod"): (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", _at("status", "podIP", default=_NONE), priority=1),
        Column("Node", _at("spec", "nodeName", default=_NONE), priority=1),
        Column("Nominated Node", _at("status", "nominatedNodeName", default=_NONE), priority=1),
        Column("Readiness Gates", _gates, priority=1),
    ),
    ("", "Service"): (
        NAME,
        Column("Type", _at("spec", "type")),
        Column("Cluster-IP", _at("spec", "clusterIP", default=_NONE)),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        AGE,
        Column("Selector", _plain_selector, priority=1),
    ),
    ("", "Node"): (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _roles),
        AGE,
        Column("Version", _at("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", _node_address("InternalIP"), priority=1),
        Column("External-IP", _node_address("ExternalIP"), priority=1),
        Column("OS-Image", _at("status", "nodeInfo", "osImage", default=_UNKNOWN), priority=1),
        Column("Kernel-Version", _at("status", "nodeInfo", "kernelVersion", default=_UNKNOWN), priority=1),
        Column("Container-Runtime", _at("status", "nodeInfo", "containerRuntimeVersion", default=_UNKNOWN), priority=1),
    ),
    ("", "PersistentVolumeClaim"): (
        NAME,
        Column("Status", _claim_phase),
        Column("Volume", _at("spec", "volumeName")),
        Column("Capacity", _at("status", "capacity", "storage")),
        Column("Access Modes", _modes("status", "accessModes")),
        Column("StorageClass", _at("spec", "storageClassName")),
        Column("VolumeAttributesClass", _at("spec", "volumeAttributesClassName", default=_UNSET)),
        AGE,
        Column("VolumeMode", _at("spec", "volumeMode", default=_UNSET), priority=1),
    ),
    ("", "PersistentVolume"): (
        NAME,
        Column("Capacity", _at("spec", "capacity", "storage")),
        Column("Access Modes", _modes("spec", "accessModes")),
        Column("Reclaim Policy", _at("spec", "persistentVolumeReclaimPolicy")),
        Column("Status", _claim_phase),
        Column("Claim", _volume_claim),
        Column("StorageClass", _at("spec", "storageClassName")),
        Column("VolumeAttributesClass", _at("spec", "volumeAttributesClassName", default=_UNSET)),
        Column("Reason", _at("status", "reason")),
        AGE,
        Column("VolumeMode", _at("spec", "volumeMode", default=_UNSET), priority=1),
    ),
    ("", "Event"): (
        Column("Last Seen", _event_age("lastTimestamp", "eventTime", "firstTimestamp")),
        Column("Type", _at("type")),
        Column("Reason", _at("reason")),
        Column("Object", _event_object),
        Column("Subobject", _at("involvedObject", "fieldPath"), priority=1),
        Column("Source", _at("source", "component"), priority=1),
        Column("Message", _at("message")),
        Column("First Seen", _event_age("firstTimestamp", "eventTime"), priority=1),
        Column("Count", _at("count", default=1), priority=1),
        Column("Name", _at("metadata", "name"), priority=1, format="name"),
    ),
    ("apps", "Deployment"): (
        NAME,
        Column("Ready", _ready_of),
        Column("Up-to-date", _at("status", "updatedReplicas", default=0)),
        Column("Available", _at("status", "availableReplicas", default=0)),
        AGE,
        *_WIDE,
    ),
    ("apps", "ReplicaSet"): (*_SCALED, *_WIDE),
    ("", "ReplicationController"): (*_SCALED, *_WIDE[:2], Column("Selector", _plain_selector, priority=1)),
    ("apps", "StatefulSet"): (NAME, Column("Ready", _ready_of), AGE, *_WIDE[:2]),
    ("apps", "DaemonSet"): (
        NAME,
        _number("Desired", "status", "desiredNumberScheduled"),
        _number("Current", "status", "currentNumberScheduled"),
        _number("Ready", "status", "numberReady"),
        _number("Up-to-date", "status", "updatedNumberScheduled"),
        _number("Available", "status", "numberAvailable"),
        Column("Node Selector", lambda obj, _: _map(_template_of(obj).get("nodeSelector"))),
        AGE,
        *_WIDE,
    ),
    ("batch", "Job"): (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _completions),
        Column("Duration", _job_duration),
        AGE,
        *_WIDE,
    ),
    ("batch", "CronJob"): (
        NAME,
        Column("Schedule", _at("spec", "schedule")),
        Column("Timezone", _at("spec", "timeZone", default=_NONE)),
        Column("Suspend", lambda obj, _: text(bool(obj["spec"].get("suspend"))).capitalize(), "boolean"),
        Column("Active", lambda obj, _: len(obj.get("status", {}).get("active") or ()), "integer"),
        Column("Last Schedule", _last_schedule),
        AGE,
        *_WIDE[:2],
        Column("Selector", lambda obj, _: _selector(obj["spec"]["jobTemplate"], 0), priority=1),
    ),
    ("networking.k8s.io", "Ingress"): (
        NAME,
        Column("Class", _at("spec", "ingressClassName", default=_NONE)),
        Column("Hosts", _hosts),
        Column("Address", _external),
        Column("Ports", lambda obj, _: "80, 443" if obj["spec"].get("tls") else "80"),
        AGE,
    ),
    ("networking.k8s.io", "NetworkPolicy"): (
        NAME,
        Column("Pod-Selector", lambda obj, _: selectors.selector_text(obj["spec"].get("podSelector")) or _NONE),
        AGE,
    ),
    ("policy", "PodDisruptionBudget"): (
        NAME,
        Column("Min Available", lambda obj, _: str(obj["spec"].get("minAvailable", "N/A"))),
        Column("Max Unavailable", lambda obj, _: str(obj["spec"].get("maxUnavailable", "N/A"))),
        _number("Allowed Disruptions", "status", "disruptionsAllowed"),
        AGE,
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        NAME,
        Column("Reference", _autoscaled),
        Column("Targets", lambda *_: _UNKNOWN),
        Column("MinPods", lambda obj, _: str(obj["spec"].get("minReplicas", _UNSET))),
        Column("MaxPods", _at("spec", "maxReplicas")),
        Column("Replicas", _at("status", "currentReplicas", default=0)),
        AGE,
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): _BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _BINDING,
    ("storage.k8s.io", "StorageClass"): (
        NAME,
        Column("Provisioner", _at("provisioner")),
        Column("ReclaimPolicy", _at("reclaimPolicy", default="Delete")),
        Column("VolumeBindingMode", _at("volumeBindingMode", default=_UNSET)),
        Column("AllowVolumeExpansion", lambda obj, _: bool(obj.get("allowVolumeExpansion"))),
        AGE,
    ),
    ("coordination.k8s.io", "Lease"): (NAME, Column("Holder", _at("spec", "holderIdentity")), AGE),
    ("discovery.k8s.io", "EndpointSlice"): (
        NAME,
        Column("AddressType", _at("addressType")),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_endpoints),
        AGE,
    ),
    ("scheduling.k8s.io", "PriorityClass"): (
        NAME,
        _number("Value", "value"),
        Column("Global-Default", lambda obj, _: bool(obj.get("globalDefault")), "boolean"),
        AGE,
        Column("PreemptionPolicy", _at("preemptionPolicy")),
    ),
    ("apps", "ControllerRevision"): (
        NAME,
        Column("Controller", lambda obj, _: _controller(obj)),
        Column("Revision", _at("revision")),
        AGE,
    ),
}


def _map(labels: Json | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or _NONE


def _controller(obj: Json) -> str:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"
    return _NONE
