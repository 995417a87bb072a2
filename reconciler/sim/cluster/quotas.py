"""ResourceQuotas: what the objects of a namespace use, and the refusal of one too many.

Law of the module: pure, and counted anew from the objects that are there each time; only creation is refused. What counts how follows
kube-apiserver 1.36 (pkg/quota/v1/evaluator/core, plugin/resourcequota).
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.lib import quantity

from .errors import ApiError, forbidden
from .limits import pod_total
from .resources import Resource, Storage
from .store import Json, Store

QUOTAS = Storage("", "resourcequotas")
# Counted by their plain plural; everything can be counted as count/<plural>[.<group>].
_PLAIN = ("pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas")
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_SELECTED = ".storageclass.storage.k8s.io/"


def used(store: Store, quota: Json) -> Json:
    """What is used of what a quota limits."""
    namespace, spec = quota["metadata"]["namespace"], quota["spec"]
    sums: dict[str, str] = dict.fromkeys(spec.get("hard") or (), "0")
    for storage in store.storages():
        if not _concerns(storage, sums):
            continue
        for entry in store.entries(storage, namespace):
            if _in_scope(spec, storage, entry.obj):
                for name, value in usage(storage, entry.obj):
                    if name in sums:
                        sums[name] = quantity.total((sums[name], value))
    return dict(sorted(sums.items()))


def _concerns(storage: Storage, names: dict[str, str]) -> bool:
    return storage.group == "" or _counted(storage) in names


def _counted(storage: Storage) -> str:
    return f"count/{storage.plural}.{storage.group}" if storage.group else f"count/{storage.plural}"


def refusal(store: Store, resource: Resource, obj: Json) -> ApiError | None:
    """The refusal of a new object for which a quota of its namespace has no room."""
    meta, storage = obj["metadata"], resource.storage
    if not resource.namespaced:
        return None
    for entry in store.entries(QUOTAS, meta["namespace"]):
        spec = entry.obj["spec"]
        hard = spec.get("hard") or {}
        wanted = {name: value for name, value in usage(storage, obj) if name in hard and quantity.parse(value).nanos}
        text = ""
        if not _in_scope(spec, storage, obj):
            continue
        if storage == Storage("", "pods"):
            text = _unsaid(entry.obj["metadata"]["name"], hard, obj["spec"])
        if not text and wanted:
            text = _overdrawn(entry.obj["metadata"]["name"], hard, wanted, used(store, entry.obj))
        if text:
            return forbidden(resource.group, resource.plural, meta.get("name", ""), text)
    return None


def _overdrawn(name: str, hard: Json, wanted: Json, have: Json) -> str:
    over = [key for key in sorted(wanted) if _sum(have[key], wanted[key]) > quantity.parse(hard[key]).nanos]
    if not over:
        return ""
    parts = (",".join(f"{key}={values[key]}" for key in over) for values in (wanted, have, hard))
    asked, spent, most = parts
    return f"exceeded quota: {name}, requested: {asked}, used: {spent}, limited: {most}"


def _sum(left: str, right: str) -> int:
    return quantity.parse(left).nanos + quantity.parse(right).nanos


def _unsaid(name: str, hard: Json, spec: Json) -> str:
    """What the containers of a pod must say because a quota limits it."""
    missing = []
    for key in sorted(hard):
        field, _, what = key.partition(".")
        if key in _COMPUTE:
            field, what = "requests", key
        if field not in ("requests", "limits") or what not in _COMPUTE:
            continue
        silent = [c["name"] for c in spec.get("containers") or () if what not in ((c.get("resources") or {}).get(field) or {})]
        if silent:
            missing.append(f"{key} for: {','.join(sorted(silent))}")
    return f"failed quota: {name}: must specify {'; '.join(missing)}" if missing else ""


def usage(storage: Storage, obj: Json) -> Iterator[tuple[str, str]]:
    """What one object uses, by the names that quotas have for it."""
    yield _counted(storage), "1"
    if storage.group:
        return
    ended = storage.plural == "pods" and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if storage.plural in _PLAIN and not ended:
        yield storage.plural, "1"
    match storage.plural:
        case "services":
            yield from _service(obj["spec"])
        case "persistentvolumeclaims":
            yield from _claim(obj["spec"])
        case "pods" if not ended:
            yield from _pod(obj["spec"])


def _service(spec: Json) -> Iterator[tuple[str, str]]:
    kind = spec.get("type")
    if kind == "LoadBalancer":
        yield "services.loadbalancers", "1"
    if kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)):
        yield "services.nodeports", str(len(spec.get("ports") or ()))


def _claim(spec: Json) -> Iterator[tuple[str, str]]:
    room = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    chosen = spec.get("storageClassName")
    if chosen:
        yield f"{chosen}{_SELECTED}persistentvolumeclaims", "1"
    if room:
        yield "requests.storage", room
        if chosen:
            yield f"{chosen}{_SELECTED}requests.storage", room


def _pod(spec: Json) -> Iterator[tuple[str, str]]:
    for name, value in pod_total(spec, "requests").items():
        yield f"requests.{name}", value
        if name in _COMPUTE:
            yield name, value
    for name, value in pod_total(spec, "limits").items():
        yield f"limits.{name}", value


def _in_scope(spec: Json, storage: Storage, obj: Json) -> bool:
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    wanted = [*({"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()), *selected]
    if not wanted:
        return True
    return storage == Storage("", "pods") and all(_matches(one, obj) for one in wanted)


def _matches(wanted: Json, pod: Json) -> bool:
    spec = pod["spec"]
    match wanted["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return bool(pod["status"].get("qosClass") == "BestEffort")
        case "NotBestEffort":
            return bool(pod["status"].get("qosClass") != "BestEffort")
        case "PriorityClass":
            return _prior(wanted, spec.get("priorityClassName", ""))
    return False


def _prior(wanted: Json, name: str) -> bool:
    match wanted["operator"]:
        case "In":
            return name in wanted.get("values", ())
        case "NotIn":
            return name not in wanted.get("values", ())
        case "DoesNotExist":
            return not name
    return bool(name)
