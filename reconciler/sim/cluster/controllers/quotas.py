"""ResourceQuotas: how much of them is used.

Law of the module: a quota is counted anew when objects of its namespace come, go, or change what they use. Namespaces without a
quota cost nothing. Source: pkg/controller/resourcequota.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.sim.cluster import quotas
from reconciler.sim.cluster.quotas import QUOTAS
from reconciler.sim.cluster.store import Event

from .base import Item, World, ending


class Quotas:
    """The controller of ResourceQuotas."""

    def __init__(self, world: World) -> None:
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        """Quotas, and those of a namespace in which something else is used."""
        namespace = event.entry.key[0]
        if event.storage == QUOTAS and event.type != "DELETED":
            return [Item(QUOTAS, *event.entry.key)]
        here = self._world.store.entries(QUOTAS, namespace) if namespace else ()
        if not here:
            return ()
        before = list(quotas.usage(event.storage, event.previous.obj)) if event.previous else []
        after = list(quotas.usage(event.storage, event.entry.obj)) if event.type != "DELETED" else []
        return [Item(QUOTAS, *entry.key) for entry in here] if before != after else ()

    def sync(self, item: Item, now: float) -> float | None:
        """Count one quota."""
        quota = self._world.get(item)
        if quota is None or ending(quota):
            return None
        hard = dict(sorted((quota["spec"].get("hard") or {}).items()))
        status = {"hard": hard, "used": quotas.used(self._world.store, quota)}
        self._world.change_status(item, now, lambda o: o.update(status=status))
        return None
