"""Looking before a first apply: what stands under a name, whoever owns it.

Law of the module: every question is answered once, with an object (metadata only), nothing, or why nobody knows; what is refused is no
absence. Few are looked for one by one, many of a kind by one list: what comes while enough of them are under way waits for these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from .discovery import Resource
from .identity import GroupKind, ObjectId
from .messages import Answer
from .observed import Live, parse_list

if TYPE_CHECKING:
    from .clusters import Cluster

LOOK_SINGLY = 3
"""Up to so many objects of a kind are looked for one by one, and no more while so many are; more are worth a list of the kind."""

LOOK_HOLD_SECONDS = 30.0
"""How long a question waits for others about its kind: one list answers all of a first install, yet no stream of events may hold it up."""

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Looked = Callable[[Live | str | None], None]
"""Told what stands under a name: an object (metadata only), nothing, or why nobody knows."""


class Looks:
    """The questions about one cluster that wait to be asked together."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[GroupKind, list[tuple[ObjectId, Looked]]] = {}
        self._under_way: Counter[GroupKind] = Counter()  # questions asked, a list for as many as make one
        self._since = 0.0

    def ask(self, resource: Resource, id: ObjectId, then: Looked) -> None:
        """Find out what stands under a name. Questions about one kind are gathered."""
        if not self._waiting:
            self._since = self._cluster.wire.now.steady
        self._waiting.setdefault(resource.group_kind, []).append((id, then))

    def flush(self, *, all_gathered: bool) -> None:
        """Send the questions gathered; where there may be more at once (`all_gathered` False), only those that have waited long."""
        found = self._cluster.discovery
        if not self._waiting or found is None:
            return
        if not all_gathered and self._cluster.wire.now.steady < self._since + LOOK_HOLD_SECONDS:
            return
        ready = [kind for kind in self._waiting if self._under_way[kind] < LOOK_SINGLY]
        for kind in ready:
            wanted = self._waiting.pop(kind)
            resource = found.preferred.get(kind)
            if resource is None:
                for _, then in wanted:
                    then("the kind is not served any more")
            elif len(wanted) <= LOOK_SINGLY:
                for id, then in wanted:
                    self._one(resource, id, then)
            else:
                self._all(resource, wanted, {}, "")

    def _one(self, resource: Resource, id: ObjectId, then: Looked) -> None:
        self._under_way[resource.group_kind] += 1

        def answered(answer: Answer) -> None:
            self._under_way[resource.group_kind] -= 1
            if answer.status == 404:
                then(None)
            elif answer.status == 200:
                try:
                    then(Live(resource, answer.body))
                except msgspec.DecodeError as error:
                    then(f"the answer cannot be read: {error}")
            else:
                then(answer.error or f"the API server answers {answer.status}")

        self._cluster.ask("GET", resource.path(id), answered, accept=METADATA_ONLY)

    def _all(self, resource: Resource, wanted: list[tuple[ObjectId, Looked]], found: dict[ObjectId, Live], token: str) -> None:
        self._under_way[resource.group_kind] += LOOK_SINGLY

        def answered(answer: Answer) -> None:
            self._under_way[resource.group_kind] -= LOOK_SINGLY
            problem = answer.error or f"the API server answers {answer.status}"
            if answer.status == 200:
                try:
                    page, more, _ = parse_list(resource, answer.body)
                except msgspec.DecodeError as error:
                    problem = f"the list cannot be read: {error}"
                else:
                    found.update((live.id, live) for live in page)
                    if more:
                        self._all(resource, wanted, found, more)
                    else:
                        for id, then in wanted:
                            then(found.get(id))
                    return
            for _, then in wanted:
                then(problem)

        query = (("limit", "500"), *((("continue", token),) if token else ()))
        self._cluster.ask("GET", resource.collection(), answered, query=query, accept=METADATA_LIST, timeout_seconds=60)
