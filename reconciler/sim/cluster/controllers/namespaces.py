"""Namespaces: what each has, and how it ends.

Law of the module: every namespace has the `default` ServiceAccount and the ConfigMap with the root certificate; an ending one loses its
content, then its finalizer. Conditions and messages are those of kube-controller-manager 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import metadata
from reconciler.sim.cluster.resources import Storage
from reconciler.sim.cluster.store import Event, Json

from .base import ACCOUNTS, CONFIGMAPS, NAMESPACES, Item, World, ending

_ROOT = "kube-root-ca.crt"
_ABOUT = "kubernetes.io/description"
_ABOUT_TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service "
    "IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)
_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


class Namespaces:
    """The controllers of namespaces, service accounts and root certificates."""

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Namespaces, and those whose content changes while they end or lack what they should have."""
        if event.storage == NAMESPACES:
            return [Item(NAMESPACES, *event.entry.key)] if event.type != "DELETED" else ()
        namespace = event.entry.key[0]
        if not namespace or event.type == "ADDED":
            return ()
        ends = (entry := self._world.store.get(NAMESPACES, "", namespace)) is not None and ending(entry.obj)
        if ends or (event.type == "DELETED" and event.storage in (ACCOUNTS, CONFIGMAPS)):
            return [Item(NAMESPACES, "", namespace)]
        return ()

    def sync(self, item: Item, now: float) -> float | None:
        """Furnish one namespace, or empty it."""
        namespace = self._world.get(item)
        if namespace is None:
            return None
        if ending(namespace):
            self._empty(item, namespace, now)
            return None
        self._furnish(item.name, now)
        return None

    def _furnish(self, namespace: str, now: float) -> None:
        if self._world.get(Item(ACCOUNTS, namespace, "default")) is None:
            self._world.create(ACCOUNTS, {"metadata": {"name": "default", "namespace": namespace}}, now)
        if self._world.get(Item(CONFIGMAPS, namespace, _ROOT)) is None:
            meta = {"name": _ROOT, "namespace": namespace, "annotations": {_ABOUT: _ABOUT_TEXT}}
            self._world.create(CONFIGMAPS, {"metadata": meta, "data": {"ca.crt": ""}}, now)

    def _empty(self, item: Item, namespace: Json, now: float) -> None:
        if "kubernetes" not in (namespace["spec"].get("finalizers") or ()):
            return
        for storage in self._world.store.storages():
            for entry in self._world.store.entries(storage, item.name):
                if not ending(entry.obj):
                    self._world.delete(Item(storage, *entry.key), now, entry.obj["metadata"]["uid"], "Background")
        left = {s: entries for s in self._world.store.storages() if (entries := self._world.all(s, item.name))}
        self._report(item, left, now)
        if not left:
            call = self._world.call(item, now, part="finalize")
            self._world.writes.change(call, lambda obj: obj["spec"].update(finalizers=[]))

    def _report(self, item: Item, left: dict[Storage, list[Json]], now: float) -> None:
        told = dict(_FINE)
        if left:
            counts = ", ".join(sorted(f"{_name(s)} has {len(objects)} resource instances" for s, objects in left.items()))
            told["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {counts}")
        held: dict[str, int] = {}
        for objects in left.values():
            for obj in objects:
                for finalizer in obj["metadata"].get("finalizers") or ():
                    held[finalizer] = held.get(finalizer, 0) + 1
        if held:
            counts = ", ".join(sorted(f"{name} in {count} resource instances" for name, count in held.items()))
            text = f"Some content in the namespace has finalizers remaining: {counts}"
            told["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", text)
        at = metadata.timestamp(now)

        def edit(obj: Json) -> None:
            before = {c["type"]: c for c in obj["status"].get("conditions") or ()}
            conditions = []
            for kind, (reason, text) in told.items():
                status = "True" if reason.startswith("Some") else "False"
                entry = {"type": kind, "status": status, "lastTransitionTime": at, "reason": reason, "message": text}
                if before.get(kind, {}).get("status") == status:
                    entry["lastTransitionTime"] = before[kind]["lastTransitionTime"]
                conditions.append(entry)
            obj["status"]["conditions"] = conditions

        self._world.change_status(item, now, edit)


def _name(storage: Storage) -> str:
    return f"{storage.plural}.{storage.group}"
