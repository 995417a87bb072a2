"""Claims: each gets a volume of its size, at once.

Law of the module: a stand-in for a provisioner that never fails; a claim that names a volume gets that one. Protection finalizers go
when the object ends and nobody uses it.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster.store import Event, Json

from .base import CLAIMS, PODS, VOLUMES, Item, World, ending

_PROTECTED = {CLAIMS: "kubernetes.io/pvc-protection", VOLUMES: "kubernetes.io/pv-protection"}
_BOUND = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}


class Volumes:
    """The controllers of claims and volumes."""

    reads = (CLAIMS, VOLUMES, PODS)

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Claims and volumes; claims of pods that go."""
        if event.storage in _PROTECTED and event.type != "DELETED":
            return [Item(event.storage, *event.entry.key)]
        if event.storage == CLAIMS:
            name = event.entry.obj["spec"].get("volumeName", "")
            return [Item(VOLUMES, "", name)] if name else ()
        if event.storage == PODS and event.type == "DELETED":
            return [Item(CLAIMS, event.entry.key[0], name) for name in _claims(event.entry.obj)]
        return ()

    def sync(self, item: Item, now: float) -> float | None:
        """Bind a claim, or let an ending one go."""
        obj = self._world.get(item)
        if obj is None:
            return None
        if ending(obj):
            if not self._used(item):
                self._drop(item, now)
        elif item.storage == CLAIMS:
            self._bind(item, obj, now)
        else:
            self._release(item, obj, now)
        return None

    def _used(self, item: Item) -> bool:
        if item.storage == VOLUMES:
            return any(claim["spec"].get("volumeName") == item.name for claim in self._world.all(CLAIMS))
        return any(item.name in _claims(pod) for pod in self._world.all(PODS, item.namespace))

    def _drop(self, item: Item, now: float) -> None:
        finalizer = _PROTECTED[item.storage]

        def edit(obj: Json) -> None:
            obj["metadata"]["finalizers"] = [f for f in obj["metadata"].get("finalizers") or () if f != finalizer]

        self._world.change(item, now, edit)

    def _bind(self, item: Item, claim: Json, now: float) -> None:
        if claim["status"].get("phase") == "Bound":
            return
        meta, spec = claim["metadata"], claim["spec"]
        name = spec.get("volumeName") or f"pvc-{meta['uid']}"
        volume = Item(VOLUMES, "", name)
        room = {"storage": (spec.get("resources", {}).get("requests") or {}).get("storage", "1Gi")}
        if self._world.get(volume) is None:
            if spec.get("volumeName"):
                return
            whose = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": meta["namespace"]}
            whose |= {"name": meta["name"], "uid": meta["uid"]}
            body: Json = {
                "metadata": {"name": name},
                "spec": {
                    "capacity": room,
                    "accessModes": spec.get("accessModes"),
                    "claimRef": whose,
                    "persistentVolumeReclaimPolicy": "Delete",
                    "hostPath": {"path": f"/volumes/{name}"},
                    "storageClassName": spec.get("storageClassName", ""),
                },
            }
            self._world.create(VOLUMES, body, now)
        self._world.change_status(volume, now, lambda o: o["status"].update(phase="Bound"))

        def edit(obj: Json) -> None:
            obj["spec"]["volumeName"] = name
            obj["metadata"].setdefault("annotations", {}).update(_BOUND)

        self._world.change(item, now, edit)
        status = {"phase": "Bound", "accessModes": spec.get("accessModes"), "capacity": room}
        self._world.change_status(item, now, lambda o: o.update(status=status))

    def _release(self, item: Item, volume: Json, now: float) -> None:
        whose = volume["spec"].get("claimRef")
        if whose and whose.get("uid") and whose["uid"] not in self._world.alive:
            if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
                self._world.delete(item, now, volume["metadata"]["uid"])
            else:
                self._world.change_status(item, now, lambda o: o["status"].update(phase="Released"))
        elif not whose and volume["status"].get("phase") == "Pending":
            self._world.change_status(item, now, lambda o: o["status"].update(phase="Available"))


def _claims(pod: Json) -> list[str]:
    volumes = pod["spec"].get("volumes") or ()
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")]
