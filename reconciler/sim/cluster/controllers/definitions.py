"""CustomResourceDefinitions: accepted, established, served; and their end.

Law of the module: stand-in; written with the definitions.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..store import Event
from .base import Item, World


class Definitions:
    def __init__(self, world: World):
        self._world = world

    def concerned(self, event: Event) -> Iterable[Item]:
        return ()

    def sync(self, item: Item, now: float) -> float | None:
        return None
