"""The writes under way to one cluster: how many at once, and how many of them may be one unit's.

Law of the module: a unit whose writes get no answer (an admission webhook that hangs) keeps nobody else from theirs. A unit may send
while it holds fewer slots than are free: alone it takes half of them, and whoever comes later still finds some. Units that were
answered late hold a quarter each and half together, until one of their writes is answered in good time: the rest is for the others.
"""

from __future__ import annotations

from .identity import UnitKey

SLOW_SECONDS = 5.0
"""A write that took longer than this: its unit is slow from then on. API servers call webhooks for up to 10 s unless told otherwise."""


class Slots:
    """So many writes at once to one cluster, shared between units."""

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self.free = limit
        self._limit = limit
        self._held: dict[UnitKey, int] = {}
        self._slow: dict[UnitKey, None] = {}

    def has_room(self, unit: UnitKey) -> bool:
        """Whether this unit may send one more."""
        held = self._held.get(unit, 0)
        if unit not in self._slow:
            return held < self.free
        together = sum(count for key, count in self._held.items() if key in self._slow)
        return self.free > 0 and held < max(1, self._limit // 4) and together < max(1, self._limit // 2)

    def take(self, unit: UnitKey) -> None:
        """One write of this unit is sent."""
        assert self.free > 0
        self.free -= 1
        self._held[unit] = self._held.get(unit, 0) + 1

    def give_back(self, unit: UnitKey, seconds: float) -> None:
        """One write of this unit was answered, or given up, after so long."""
        self.free += 1
        held = self._held.pop(unit) - 1
        if held:
            self._held[unit] = held
        if seconds > SLOW_SECONDS:
            self._slow[unit] = None
        else:
            self._slow.pop(unit, None)
