"""Garbage: dependents follow their owners, in the way that the delete asked for.

Law of the module: an object all of whose owners are gone is deleted; an owner with finalizer `foregroundDeletion` waits for the
dependents that block it, one with `orphan` lets them go first. Source: pkg/controller/garbagecollector.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster.store import Event, Json
from reconciler.sim.cluster.strategy import FOREGROUND_FINALIZER, ORPHAN_FINALIZER

from .base import Item, World, ending


class Garbage:
    """The garbage collector."""

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """What has owners or a deletion finalizer; dependents of what is gone; owners that wait for what changed."""
        meta = event.entry.obj["metadata"]
        found: dict[Item, None] = {}
        if event.type == "DELETED":
            found.update(self._world.owned.get(meta["uid"], {}))
        elif meta.get("ownerReferences") or _waits(event.entry.obj):
            found[Item(event.storage, *event.entry.key)] = None
        for entry in (event.entry, event.previous):
            for owner in (entry.obj["metadata"].get("ownerReferences") or ()) if entry else ():
                item = self._world.alive.get(owner["uid"])
                obj = self._world.get(item) if item else None
                if item and obj and _waits(obj):
                    found[item] = None
        return found

    def sync(self, item: Item, now: float) -> float | None:
        """Settle one object."""
        obj = self._world.get(item)
        if obj is None:
            return None
        if ending(obj):
            self._finish(item, obj, now)
            return None
        owners = obj["metadata"].get("ownerReferences") or ()
        if owners:
            self._follow(item, obj, list(owners), now)
        return None

    def _follow(self, item: Item, obj: Json, owners: list[Json], now: float) -> None:
        solid: list[Json] = []
        waiting: list[Json] = []
        for owner in owners:
            found = self._owner(item, owner)
            if found is None:
                continue
            (waiting if _waits(found) and owner.get("blockOwnerDeletion") else solid).append(owner)
        if solid:
            if len(solid) < len(owners):
                self._world.change(item, now, lambda o: o["metadata"].update(ownerReferences=solid))
            return
        policy = "Foreground" if waiting and self._blocked(obj) else "Background"
        self._world.delete(item, now, obj["metadata"]["uid"], policy)

    def _owner(self, item: Item, owner: Json) -> Json | None:
        found = self._world.alive.get(owner["uid"])
        obj = self._world.get(found) if found else None
        if obj is None or obj["metadata"]["uid"] != owner["uid"]:
            return None
        # An owner in another namespace does not count.
        return obj if found and found.namespace in ("", item.namespace) else None

    def _blocked(self, obj: Json) -> bool:
        return bool(self._world.owned.get(obj["metadata"]["uid"]))

    def _finish(self, item: Item, obj: Json, now: float) -> None:
        meta = obj["metadata"]
        finalizers = meta.get("finalizers") or []
        dependents = list(self._world.owned.get(meta["uid"], {}))
        if ORPHAN_FINALIZER in finalizers:
            for dependent in dependents:
                self._world.change(dependent, now, lambda o: _release(o, meta["uid"]))
            self._drop(item, ORPHAN_FINALIZER, now)
        elif FOREGROUND_FINALIZER in finalizers:
            blocking = 0
            for dependent in dependents:
                found = self._world.get(dependent)
                if found is None:
                    continue
                blocking += any(o["uid"] == meta["uid"] and o.get("blockOwnerDeletion") for o in found["metadata"]["ownerReferences"])
                if not ending(found):
                    self._follow(dependent, found, list(found["metadata"]["ownerReferences"]), now)
            if not blocking or not any(self._blocks(d, meta["uid"]) for d in dependents):
                self._drop(item, FOREGROUND_FINALIZER, now)

    def _blocks(self, dependent: Item, uid: str) -> bool:
        found = self._world.get(dependent)
        owners = found["metadata"].get("ownerReferences") or () if found else ()
        return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)

    def _drop(self, item: Item, finalizer: str, now: float) -> None:
        def edit(obj: Json) -> None:
            obj["metadata"]["finalizers"] = [f for f in obj["metadata"].get("finalizers") or () if f != finalizer]

        self._world.change(item, now, edit)


def _waits(obj: Json) -> bool:
    finalizers = obj["metadata"].get("finalizers") or ()
    return ending(obj) and (FOREGROUND_FINALIZER in finalizers or ORPHAN_FINALIZER in finalizers)


def _release(obj: Json, uid: str) -> None:
    owners = obj["metadata"].get("ownerReferences") or ()
    obj["metadata"]["ownerReferences"] = [owner for owner in owners if owner["uid"] != uid]
