"""The columns of built-in kinds.

Law of the module: data and the cells that only one kind has. Names, types and priorities are those of kube-apiserver 1.36
(pkg/printers/internalversion).
"""

from __future__ import annotations

from . import selectors
from .cells import AGE, NAME, NONE, UNKNOWN, UNSET, Cell, Column, age, at, count, number, phase
from .store import Json
from .workloadcolumns import WORKLOADS

_SHOWN_LIMIT = 3
_TARGETS_LIMIT = 2


def _plain_selector(obj: Json, _: float) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((obj["spec"].get("selector") or {}).items())) or NONE


def _ports(obj: Json, _: float) -> str:
    shown = []
    for port in obj["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _external(obj: Json, _: float) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    ingress = [i.get("ip") or i.get("hostname") for i in obj.get("status", {}).get("loadBalancer", {}).get("ingress") or ()]
    found = [*ingress, *(spec.get("externalIPs") or ())]
    if not found and spec.get("type") == "LoadBalancer":
        return "<pending>"
    return ",".join(found) or NONE


def _node_status(obj: Json, _: float) -> str:
    ready = [c for c in obj.get("status", {}).get("conditions") or () if c["type"] == "Ready"]
    word = ("Ready" if ready[0]["status"] == "True" else "NotReady") if ready else "Unknown"
    return f"{word},SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else word


def _node_address(kind: str) -> Cell:
    def cell(obj: Json, _: float) -> str:
        found = [a["address"] for a in obj.get("status", {}).get("addresses") or () if a["type"] == kind]
        return found[0] if found else NONE

    return cell


def _roles(obj: Json, _: float) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(k.removeprefix(prefix) for k in obj["metadata"].get("labels") or () if k.startswith(prefix))) or NONE


def _modes(*path: str) -> Cell:
    words = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    read = at(*path, default=())
    return lambda obj, now: ",".join(words.get(mode, mode) for mode in read(obj, now))


def _claim_phase(obj: Json, now: float) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else phase(obj, now)


def _volume_claim(obj: Json, _: float) -> str:
    whose = obj["spec"].get("claimRef")
    return f"{whose['namespace']}/{whose['name']}" if whose else ""


def _hosts(obj: Json, _: float) -> str:
    hosts = [rule.get("host") for rule in obj["spec"].get("rules") or () if rule.get("host")]
    return _some(hosts) or "*"


def _ingress_address(obj: Json, _: float) -> str:
    return ",".join(i.get("ip") or i.get("hostname") for i in obj.get("status", {}).get("loadBalancer", {}).get("ingress") or ())


def _some(words: list[str]) -> str:
    return ",".join(words[:_SHOWN_LIMIT]) + (f" + {len(words) - _SHOWN_LIMIT} more..." if len(words) > _SHOWN_LIMIT else "")


def _slice_ports(obj: Json, _: float) -> str:
    return _some([str(port.get("port", "*")) for port in obj.get("ports") or ()]) or UNSET


def _slice_endpoints(obj: Json, _: float) -> str:
    return _some([address for e in obj.get("endpoints") or () for address in e["addresses"]]) or UNSET


def _endpoints(obj: Json, _: float) -> str:
    found = []
    for subset in obj.get("subsets") or ():
        for address in subset.get("addresses") or ():
            found += [f"{address['ip']}:{port['port']}" for port in subset.get("ports") or ()]
    return _some(found) or NONE


def _subjects(kind: str) -> Cell:
    def cell(obj: Json, _: float) -> str:
        found = [s for s in obj.get("subjects") or () if s["kind"] == kind]
        return ", ".join(f"{s.get('namespace', '')}/{s['name']}" if kind == "ServiceAccount" else s["name"] for s in found)

    return cell


def _role_of(obj: Json, _: float) -> str:
    return f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"


def _event_object(obj: Json, _: float) -> str:
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_seen(obj: Json, now: float) -> str:
    latest = (obj.get("series") or {}).get("lastObservedTime")
    return age(latest, now) if latest else _event_age("lastTimestamp", "eventTime", "firstTimestamp")(obj, now)


def _event_source(obj: Json, _: float) -> str:
    source = obj.get("source") or {}
    if source.get("component"):
        return ", ".join(part for part in (source["component"], source.get("host")) if part)
    return ", ".join(obj[name] for name in ("reportingComponent", "reportingInstance") if obj.get(name))


def _event_count(obj: Json, _: float) -> int:
    return int((obj.get("series") or {}).get("count") or obj.get("count") or 1)


def _event_age(*names: str) -> Cell:
    def cell(obj: Json, now: float) -> str:
        at = next((obj[name] for name in names if obj.get(name)), None)
        return age(at, now) if at else UNKNOWN

    return cell


def _quota(most: bool) -> Cell:
    def cell(obj: Json, _: float) -> str:
        status = obj.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        names = sorted(name for name in hard if name.startswith("limits.") == most)
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return cell


def _targets(obj: Json, _: float) -> str:
    metrics = obj["spec"].get("metrics") or []
    current = (obj.get("status") or {}).get("currentMetrics") or []
    shown = [_target(metric, current[at] if at < len(current) else {}) for at, metric in enumerate(metrics)]
    if len(shown) > _TARGETS_LIMIT:
        return ", ".join(shown[:_TARGETS_LIMIT]) + f" + {len(shown) - _TARGETS_LIMIT} more..."
    return ", ".join(shown) or NONE


def _target(metric: Json, current: Json) -> str:
    kind = str(metric["type"])
    name = kind[:1].lower() + kind[1:]
    about, now = metric.get(name) or {}, (current.get(name) or {}).get("current") or {}
    target = about.get("target") or {}
    head = f"{about['name']}: " if "name" in about else ""
    if target.get("averageUtilization") is not None:
        have = f"{now['averageUtilization']}%" if now.get("averageUtilization") is not None else UNKNOWN
        return f"{head}{have}/{target['averageUtilization']}%"
    if target.get("averageValue") is not None:
        tail = " (avg)" if name in ("external", "object") else ""
        return f"{head}{now.get('averageValue', UNKNOWN)}/{target['averageValue']}{tail}"
    return f"{head}{now.get('value', UNKNOWN)}/{target.get('value', UNKNOWN)}"


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

_EVENT = (
    Column("Last Seen", _event_seen),
    Column("Type", at("type")),
    Column("Reason", at("reason")),
    Column("Object", _event_object),
    Column("Subobject", at("involvedObject", "fieldPath"), priority=1),
    Column("Source", _event_source, priority=1),
    Column("Message", at("message")),
    Column("First Seen", _event_age("firstTimestamp", "eventTime"), priority=1),
    Column("Count", _event_count, priority=1),
    Column("Name", at("metadata", "name"), priority=1, format="name"),
)

BY_KIND: dict[tuple[str, str], tuple[Column, ...]] = {
    **WORKLOADS,
    ("", "ConfigMap"): (NAME, Column("Data", count("data", "binaryData")), AGE),
    ("", "Secret"): (NAME, Column("Type", at("type")), Column("Data", count("data")), AGE),
    ("", "ServiceAccount"): (NAME, AGE),
    ("", "Namespace"): (NAME, Column("Status", phase), AGE),
    ("", "Service"): (
        NAME,
        Column("Type", at("spec", "type")),
        Column("Cluster-IP", at("spec", "clusterIP", default=NONE)),
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
        Column("Version", at("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", _node_address("InternalIP"), priority=1),
        Column("External-IP", _node_address("ExternalIP"), priority=1),
        Column("OS-Image", at("status", "nodeInfo", "osImage", default=UNKNOWN), priority=1),
        Column("Kernel-Version", at("status", "nodeInfo", "kernelVersion", default=UNKNOWN), priority=1),
        Column("Container-Runtime", at("status", "nodeInfo", "containerRuntimeVersion", default=UNKNOWN), priority=1),
    ),
    ("", "PersistentVolumeClaim"): (
        NAME,
        Column("Status", _claim_phase),
        Column("Volume", at("spec", "volumeName")),
        Column("Capacity", at("status", "capacity", "storage")),
        Column("Access Modes", _modes("status", "accessModes")),
        Column("StorageClass", at("spec", "storageClassName")),
        Column("VolumeAttributesClass", at("spec", "volumeAttributesClassName", default=UNSET)),
        AGE,
        Column("VolumeMode", at("spec", "volumeMode", default=UNSET), priority=1),
    ),
    ("", "PersistentVolume"): (
        NAME,
        Column("Capacity", at("spec", "capacity", "storage")),
        Column("Access Modes", _modes("spec", "accessModes")),
        Column("Reclaim Policy", at("spec", "persistentVolumeReclaimPolicy")),
        Column("Status", _claim_phase),
        Column("Claim", _volume_claim),
        Column("StorageClass", at("spec", "storageClassName")),
        Column("VolumeAttributesClass", at("spec", "volumeAttributesClassName", default=UNSET)),
        Column("Reason", at("status", "reason")),
        AGE,
        Column("VolumeMode", at("spec", "volumeMode", default=UNSET), priority=1),
    ),
    ("", "Endpoints"): (NAME, Column("Endpoints", _endpoints), AGE),
    ("", "ResourceQuota"): (NAME, Column("Request", _quota(False)), Column("Limit", _quota(True)), AGE),
    ("", "Event"): _EVENT,
    ("events.k8s.io", "Event"): _EVENT,
    ("networking.k8s.io", "Ingress"): (
        NAME,
        Column("Class", at("spec", "ingressClassName", default=NONE)),
        Column("Hosts", _hosts),
        Column("Address", _ingress_address),
        Column("Ports", lambda obj, _: "80, 443" if obj["spec"].get("tls") else "80"),
        AGE,
    ),
    ("networking.k8s.io", "NetworkPolicy"): (
        NAME,
        Column("Pod-Selector", lambda obj, _: selectors.selector_text(obj["spec"].get("podSelector")) or NONE),
        AGE,
    ),
    ("policy", "PodDisruptionBudget"): (
        NAME,
        Column("Min Available", lambda obj, _: str(obj["spec"].get("minAvailable", "N/A"))),
        Column("Max Unavailable", lambda obj, _: str(obj["spec"].get("maxUnavailable", "N/A"))),
        number("Allowed Disruptions", "status", "disruptionsAllowed"),
        AGE,
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        NAME,
        Column("Reference", _autoscaled),
        Column("Targets", _targets),
        Column("MinPods", lambda obj, _: str(obj["spec"].get("minReplicas", UNSET))),
        Column("MaxPods", at("spec", "maxReplicas")),
        Column("Replicas", at("status", "currentReplicas", default=0)),
        AGE,
    ),
    ("autoscaling", "Scale"): (
        NAME,
        number("Desired", "spec", "replicas"),
        number("Available", "status", "replicas"),
        AGE,
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): _BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _BINDING,
    ("storage.k8s.io", "StorageClass"): (
        NAME,
        Column("Provisioner", at("provisioner")),
        Column("ReclaimPolicy", at("reclaimPolicy", default="Delete")),
        Column("VolumeBindingMode", at("volumeBindingMode", default=UNSET)),
        Column("AllowVolumeExpansion", lambda obj, _: bool(obj.get("allowVolumeExpansion"))),
        AGE,
    ),
    ("coordination.k8s.io", "Lease"): (NAME, Column("Holder", at("spec", "holderIdentity")), AGE),
    ("discovery.k8s.io", "EndpointSlice"): (
        NAME,
        Column("AddressType", at("addressType")),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_endpoints),
        AGE,
    ),
    ("scheduling.k8s.io", "PriorityClass"): (
        NAME,
        number("Value", "value"),
        Column("Global-Default", lambda obj, _: bool(obj.get("globalDefault")), "boolean"),
        AGE,
        Column("PreemptionPolicy", at("preemptionPolicy")),
    ),
}
