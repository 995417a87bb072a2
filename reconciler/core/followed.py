"""Single objects of one cluster that units ask about, whoever owns them: watched for as long as somebody asks.

Law of the module: what is not followed is unknown. A kind that is not served has no objects, and whoever asked hears when it is served;
a kind that is served elsewhere (another version or scope) is followed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .identity import ObjectId
from .observed import Changed, Reflector

if TYPE_CHECKING:
    from .clusters import Cluster


class Followed:
    """The objects of one cluster that are followed by name."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.reflectors: dict[ObjectId, Reflector] = {}
        self._asked: dict[ObjectId, Changed] = {}

    def ask(self, id: ObjectId, on_change: Changed) -> Reflector | None:
        """Watch one object from now on; None while its kind is not served. `on_change` hears of either."""
        if id not in self._asked:
            self._asked[id] = on_change
            self._follow(id)
        return self.reflectors.get(id)

    def end(self, id: ObjectId) -> None:
        """Nobody asks about it any more."""
        self._asked.pop(id, None)
        held = self.reflectors.pop(id, None)
        if held is not None:
            held.stop()

    def discovered(self) -> None:
        """What is served has changed, perhaps."""
        for id, held in list(self.reflectors.items()):
            if not self._cluster.serves(held.resource):
                del self.reflectors[id]
                held.forget()
        for id, on_change in list(self._asked.items()):
            if id not in self.reflectors:
                self._follow(id)
                on_change(None, None)

    def _follow(self, id: ObjectId) -> None:
        found = self._cluster.discovery
        resource = found.preferred.get(id.group_kind) if found is not None else None
        if resource is None:
            self._cluster.missing(id.group_kind)
            return
        on_change = self._asked[id]
        query = (("fieldSelector", f"metadata.name={id.name}"),)
        self.reflectors[id] = Reflector(
            self._cluster, resource, query, on_change, lambda: on_change(None, None), namespace=id.namespace
        )
        self.reflectors[id].start()
