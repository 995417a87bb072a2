"""What stands between a request and the store: namespaces, and what the server adds to an object of a kind.

Law of the module: called with an object that the caller owns, before rules are checked; may add to it, may refuse. The plug-ins of
a default kube-apiserver that people meet: NamespaceLifecycle, ServiceAccount, StorageObjectInUseProtection, Priority, the
allocation of Service addresses.
"""

from __future__ import annotations

from typing import Any

from . import errors, limits
from .definitions import FINALIZER
from .errors import ApiError, Cause
from .ids import DRY_ADDRESS, NODE_PORTS, Ids
from .metadata import timestamp
from .resources import Resource, Storage
from .store import Json, Store

NAMESPACES = Storage("", "namespaces")
SERVICES = Storage("", "services")
DEFINITIONS = Storage("apiextensions.k8s.io", "customresourcedefinitions")
_CLASSES = Storage("scheduling.k8s.io", "priorityclasses")
PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public")
_JOB_LABELS = ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name")
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def check_namespace(store: Store, resource: Resource, namespace: str, name: str) -> None:
    """Refuse a new object in a namespace that is missing or ending."""
    if not resource.namespaced:
        return
    entry = store.get(NAMESPACES, "", namespace)
    if entry is None:
        raise errors.not_found("", "namespaces", namespace)
    if entry.obj["metadata"].get("deletionTimestamp"):
        cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
        text = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise errors.forbidden(resource.group, resource.plural, name, text, [cause])


def check_definition(store: Store, resource: Resource, name: str) -> None:
    """Refuse a new object of a kind whose definition is ending."""
    if not resource.custom:
        return
    entry = store.get(DEFINITIONS, "", f"{resource.plural}.{resource.group}")
    if entry is not None and entry.obj["metadata"].get("deletionTimestamp"):
        text = "create not allowed while custom resource definition is terminating"
        raise errors.forbidden(resource.group, resource.plural, name, text)


def check_delete(resource: Resource, name: str) -> None:
    """Refuse to delete the namespaces that a cluster cannot be without."""
    if resource.storage == NAMESPACES and name in PROTECTED_NAMESPACES:
        raise errors.forbidden("", "namespaces", name, "this namespace may not be deleted")


def on_create(store: Store, ids: Ids, resource: Resource, obj: Json, now: float, *, dry_run: bool) -> None:
    """Add what the server adds to a new object."""
    if resource.custom:
        return
    match (resource.group, resource.kind):
        case ("", "Namespace"):
            obj["spec"] = {"finalizers": ["kubernetes"]}
        case ("", "Pod"):
            _pod(store, ids, obj)
        case ("", "PersistentVolumeClaim"):
            _finalizer(obj, "kubernetes.io/pvc-protection")
        case ("", "PersistentVolume"):
            _finalizer(obj, "kubernetes.io/pv-protection")
            obj["status"]["lastPhaseTransitionTime"] = timestamp(now)
        case ("", "Node"):
            spec = obj.setdefault("spec", {})
            spec["taints"] = [*(spec.get("taints") or ()), {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
        case ("", "Service"):
            allocate(store, ids, obj, None, dry_run=dry_run)
        case ("batch", "Job"):
            _job(obj)
        case ("apps", "DaemonSet"):
            annotations = obj["metadata"].setdefault("annotations", {})
            annotations["deprecated.daemonset.template.generation"] = "1"
        case ("apiextensions.k8s.io", "CustomResourceDefinition"):
            versions = (obj.get("spec") or {}).get("versions") or ()
            obj["status"]["storedVersions"] = [version["name"] for version in versions if version.get("storage")]


def _finalizer(obj: Json, name: str) -> None:
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if name not in finalizers:
        finalizers.append(name)


def _pod(store: Store, ids: Ids, obj: Json) -> None:
    spec = obj["spec"]
    account = spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", account)
    namespace = obj["metadata"]["namespace"]
    found = store.get(Storage("", "serviceaccounts"), namespace, account)
    if found is None:
        name = obj["metadata"].get("name", "")
        text = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise errors.forbidden("", "pods", name, text)
    if spec.get("automountServiceAccountToken", found.obj.get("automountServiceAccountToken", True)):
        _mount_token(ids, spec)
    limits.fill(store, obj)
    _prioritize(store, obj)
    tolerations = spec.setdefault("tolerations", [])
    for key in _TOLERATED:
        if not any(t.get("key") in (key, None) and t.get("effect", "NoExecute") == "NoExecute" for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    obj["status"]["qosClass"] = _service_class(spec)


def _prioritize(store: Store, pod: Json) -> None:
    """Look up what a pod's priority class says."""
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    if name:
        found = store.get(_CLASSES, "", name)
        if found is None:
            text = f"no PriorityClass with name {name} was found"
            raise errors.forbidden("", "pods", pod["metadata"].get("name", ""), text)
        chosen: Json | None = found.obj
    else:
        chosen = next((entry.obj for entry in store.entries(_CLASSES) if entry.obj.get("globalDefault")), None)
        if chosen is not None:
            spec["priorityClassName"] = chosen["metadata"]["name"]
    spec["priority"] = (chosen or {}).get("value", 0)
    spec.setdefault("preemptionPolicy", (chosen or {}).get("preemptionPolicy", "PreemptLowerPriority"))


def _mount_token(ids: Ids, spec: Json) -> None:
    name = f"kube-api-access-{ids.suffix()}"
    token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    root = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    where = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    space = {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": where}]}}
    volume = {"name": name, "projected": {"sources": [token, root, space], "defaultMode": 420}}
    spec["volumes"] = [*(spec.get("volumes") or ()), volume]
    for part in ("initContainers", "containers"):
        for container in spec.get(part) or ():
            mounts = container.get("volumeMounts") or []
            if not any(mount.get("mountPath") == _TOKEN_PATH for mount in mounts):
                container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}]


def _service_class(spec: Json) -> str:
    """The quality-of-service class that a pod's requests and limits make."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    rooms = [c.get("resources") or {} for c in containers]
    if not any(room.get("requests") or room.get("limits") for room in rooms):
        return "BestEffort"
    full = all({"cpu", "memory"} <= (room.get("limits") or {}).keys() for room in rooms)
    same = all((room.get("requests") or room.get("limits")) == room.get("limits") for room in rooms)
    return "Guaranteed" if full and same else "Burstable"


def _job(obj: Json) -> None:
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("manualSelector"):
        return
    uid, name = metadata["uid"], metadata["name"]
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    values = dict(zip(_JOB_LABELS, (uid, name, uid, name), strict=True))
    template["labels"] = {**(template.get("labels") or {}), **values}
    labels = spec.setdefault("selector", {}).setdefault("matchLabels", {})
    labels[_JOB_LABELS[0]] = uid
    # In the real server the labels of template and Job are one map where the Job brings none.
    if not metadata.get("labels"):
        metadata["labels"] = dict(template["labels"])


def end_definition(definition: Json, now: float) -> None:
    """Begin the end of a definition: its objects go first."""
    definition["metadata"]["deletionTimestamp"] = timestamp(now)
    _finalizer(definition, FINALIZER)
    conditions = definition["status"].get("conditions") or []
    told = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    definition["status"]["conditions"] = [*(c for c in conditions if c["type"] != "Terminating"), told]


def allocate(store: Store, ids: Ids, service: Json, old: Json | None, *, dry_run: bool) -> None:
    """Give a Service its addresses and node ports, keeping those of before. A dry run gets the same ones every time."""
    spec = service.setdefault("spec", {})
    before: Json = (old or {}).get("spec", {})
    kind = spec.get("type", "ClusterIP")
    _drop(spec, before, kind)
    if kind == "ExternalName":
        return
    if not spec.get("clusterIP"):
        kept = before.get("clusterIP")
        spec["clusterIP"] = kept if kept and before.get("type") != "ExternalName" else DRY_ADDRESS if dry_run else _free_address(store, ids)
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif not spec.get("clusterIPs") or (
        old is not None and spec["clusterIP"] != before.get("clusterIP") and spec["clusterIPs"] == before.get("clusterIPs")
    ):
        spec["clusterIPs"] = [spec["clusterIP"]]
    # A headless Service whose endpoints somebody else writes is of both families.
    both = spec["clusterIP"] == "None" and not spec.get("selector") and old is None
    spec.setdefault("ipFamilies", ["IPv4", "IPv6"] if both else ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "RequireDualStack" if both else "SingleStack")
    if kind in ("NodePort", "LoadBalancer") and spec.get("allocateLoadBalancerNodePorts", True):
        known = {(p.get("name"), p.get("port")): p.get("nodePort") for p in before.get("ports") or []}
        for at, port in enumerate(spec.get("ports") or ()):
            if not port.get("nodePort"):
                dry = NODE_PORTS[1] + 2 + at if dry_run else 0
                port["nodePort"] = known.get((port.get("name"), port.get("port"))) or dry or _free_port(store, ids)


_OUTSIDE = ("NodePort", "LoadBalancer")


def _drop(spec: Json, before: Json, kind: str) -> None:
    """Take away what a Service had by its old type and has no use for under the new one, unless it was changed too."""
    was = before.get("type", kind)
    if kind == "ExternalName" and was != kind:
        _drop_unchanged(spec, before, "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
    if was == "LoadBalancer" != kind:
        _drop_unchanged(spec, before, "allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort")
    if was in _OUTSIDE and kind not in _OUTSIDE:
        if not (kind == "ClusterIP" and spec.get("externalIPs")):
            _drop_unchanged(spec, before, "externalTrafficPolicy")
        ports, old_ports = (sorted(p["nodePort"] for p in each.get("ports") or () if p.get("nodePort")) for each in (spec, before))
        if ports == old_ports:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)


def _drop_unchanged(spec: Json, before: Json, *names: str) -> None:
    for name in names:
        if spec.get(name) == before.get(name):
            spec.pop(name, None)


def _free_address(store: Store, ids: Ids) -> str:
    taken = {entry.obj["spec"].get("clusterIP"): None for entry in store.entries(SERVICES)}
    while (address := ids.service_address()) in taken:
        pass
    return address


def _free_port(store: Store, ids: Ids) -> int:
    taken = {p.get("nodePort"): None for e in store.entries(SERVICES) for p in e.obj["spec"].get("ports") or []}
    while (port := ids.node_port()) in taken:
        pass
    return port


def taken(store: Store, service: Json) -> ApiError | None:
    """The refusal of an address or port that another Service has, or that is none of this cluster's."""
    spec, metadata = service.get("spec", {}), service["metadata"]
    key = (metadata.get("namespace", ""), metadata["name"])
    others = [entry.obj["spec"] for entry in store.entries(SERVICES) if entry.key != key]
    if refused := _taken_port(spec, others, metadata["name"]):
        return refused
    address = spec.get("clusterIP")
    if address in (None, "", "None"):
        return None
    for other in others:
        if other.get("clusterIP") == address:
            text = f"failed to allocate IP {address}: provided IP is already allocated"
            cause: Any = errors.invalid_value("spec.clusterIPs", spec.get("clusterIPs"), text)
            return errors.invalid("", "Service", metadata["name"], [cause])
    return None


def _taken_port(spec: Json, others: list[Json], name: str) -> ApiError | None:
    used = {(p.get("nodePort"), p.get("protocol")): None for other in others for p in other.get("ports") or ()}
    for at, port in enumerate(spec.get("ports") or ()):
        number = port.get("nodePort")
        if not number:
            continue
        first, last = NODE_PORTS
        text = ""
        if not first <= number <= last:
            text = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
        elif (number, port.get("protocol")) in used:
            text = "provided port is already allocated"
        if text:
            return errors.invalid("", "Service", name, [errors.invalid_value(f"spec.ports[{at}].nodePort", number, text)])
    return None
