"""What stands between a request and the store: namespaces, and what the server adds to an object of a kind.

Law of the module: called with an object that the caller owns, before rules are checked; may add to it, may refuse. The plug-ins of
a default kube-apiserver that people meet: NamespaceLifecycle, ServiceAccount, StorageObjectInUseProtection, Priority, the
allocation of Service addresses.
"""

from __future__ import annotations

from typing import Any

from . import errors
from .definitions import FINALIZER
from .errors import ApiError, Cause
from .ids import Ids
from .metadata import timestamp
from .resources import Resource, Storage
from .store import Json, Store

NAMESPACES = Storage("", "namespaces")
SERVICES = Storage("", "services")
DEFINITIONS = Storage("apiextensions.k8s.io", "customresourcedefinitions")
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


def on_create(store: Store, ids: Ids, resource: Resource, obj: Json, now: float) -> None:
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
            allocate(store, ids, obj, None)
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
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in _TOLERATED:
        if not any(t.get("key") in (key, None) and t.get("effect", "NoExecute") == "NoExecute" for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    obj["status"]["qosClass"] = _service_class(spec)


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
    spec.setdefault("selector", {"matchLabels": {_JOB_LABELS[0]: uid}})
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


def allocate(store: Store, ids: Ids, service: Json, old: Json | None) -> None:
    """Give a Service its addresses and node ports, keeping those of before."""
    spec = service.setdefault("spec", {})
    before: Json = (old or {}).get("spec", {})
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName":
        return
    if not spec.get("clusterIP"):
        kept = before.get("clusterIP")
        spec["clusterIP"] = kept if kept and before.get("type") != "ExternalName" else _free_address(store, ids)
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif not spec.get("clusterIPs") or (
        old is not None and spec["clusterIP"] != before.get("clusterIP") and spec["clusterIPs"] == before.get("clusterIPs")
    ):
        spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if kind in ("NodePort", "LoadBalancer") and spec.get("allocateLoadBalancerNodePorts", True):
        known = {(p.get("name"), p.get("port")): p.get("nodePort") for p in before.get("ports") or []}
        for port in spec.get("ports") or []:
            if not port.get("nodePort"):
                port["nodePort"] = known.get((port.get("name"), port.get("port"))) or _free_port(store, ids)


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


def taken_address(store: Store, service: Json) -> ApiError | None:
    """The refusal of an address that another Service has."""
    spec, metadata = service.get("spec", {}), service["metadata"]
    address = spec.get("clusterIP")
    if address in (None, "", "None"):
        return None
    for entry in store.entries(SERVICES):
        if entry.key != (metadata.get("namespace", ""), metadata["name"]) and entry.obj["spec"].get("clusterIP") == address:
            text = f"failed to allocate IP {address}: provided IP is already allocated"
            cause: Any = errors.invalid_value("spec.clusterIPs", spec.get("clusterIPs"), text)
            return errors.invalid("", "Service", metadata["name"], [cause])
    return None
