"""Nodes: each that is created reports that it is well, and says so from then on.

Law of the module: a stand-in for kubelet and node controllers; a node that somebody calls unready stays so. What it reports is what
people look at; capacity is enough for everything. Taints keep pods away as in the real scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.store import Event, Json

from .base import NODES, Item, World, condition, ending

_KUBELET = "kubelet"
_NOT_READY = "node.kubernetes.io/not-ready"
_TTL = "node.alpha.kubernetes.io/ttl"
_ROOM = {"cpu": "32", "memory": "256Gi", "pods": "1M"}
_CONDITIONS = (
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
_INFO = {"kubeletVersion": "v1.36.3", "operatingSystem": "linux", "architecture": "amd64"}


class Nodes:
    """Kubelets and node controllers, as far as nodes go."""

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Nodes that have not reported."""
        if event.storage != NODES or event.type == "DELETED" or condition(event.entry.obj, "Ready"):
            return ()
        return [Item(NODES, *event.entry.key)]

    def sync(self, item: Item, now: float) -> float | None:
        """Let one node report."""
        node = self._world.get(item)
        if node is not None and not ending(node) and condition(node, "Ready") is None:
            report(self._world, item, now)
        return None


def report(world: World, item: Item, now: float, address: str = "") -> None:
    """Write what a well node says, and take the mark of a new one away."""
    at = metadata.timestamp(now)
    conditions = [
        {"type": kind, "status": status, "lastHeartbeatTime": at, "lastTransitionTime": at, "reason": reason, "message": text}
        for kind, status, reason, text in _CONDITIONS
    ]
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": item.name}]

    def edit_status(obj: Json) -> None:
        info = {**obj["status"].get("nodeInfo", {}), **_INFO}
        told = {"capacity": _ROOM, "allocatable": _ROOM, "addresses": addresses, "conditions": conditions, "nodeInfo": info}
        obj["status"] = {**obj["status"], **told}

    def edit(obj: Json) -> None:
        obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), _TTL: "0"}
        left = [taint for taint in obj["spec"].get("taints") or () if taint["key"] != _NOT_READY]
        obj["spec"].pop("taints", None)
        if left:
            obj["spec"]["taints"] = left

    world.change_status(item, now, edit_status, _KUBELET)
    world.change(item, now, edit)


def repels(node: Json, pod: Json, tolerated: Iterable[str] = ()) -> bool:
    """Whether a taint of a node keeps a pod away; `tolerated` are keys that the pod's controller tolerates for it."""
    return any(
        taint.get("effect") in ("NoSchedule", "NoExecute")
        and taint["key"] not in tolerated
        and not any(_tolerates(one, taint) for one in pod["spec"].get("tolerations") or ())
        for taint in node.get("spec", {}).get("taints") or ()
    )


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return bool(toleration.get("operator") == "Exists")
    if toleration["key"] != taint["key"]:
        return False
    return bool(toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or ""))
