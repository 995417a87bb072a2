"""Which lanes of a cluster have something to do, and whose turn it is.

Law of the module: bookkeeping only. A step costs what can move in it: of ten thousand lanes that wait for room nobody is asked more than
the room takes. Units take turns, whatever the number of their lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from .identity import SourceName, UnitKey
from .lanes import Item, LaneWork
from .sources import Source


class Busy:
    """The lanes of one cluster. Nothing of a lane moves while it is held, or its source is not read."""

    def __init__(self, sources: Mapping[SourceName, Source]) -> None:
        self._sources = sources
        self._checking: dict[LaneWork, None] = {}
        self._acting: dict[UnitKey, dict[LaneWork, None]] = {}

    def stir(self, work: LaneWork) -> None:
        """Something of a lane has changed."""
        if work.checks:
            self._checking[work] = None
        if work.acts or work.heals:
            self._acting.setdefault(work.unit, {})[work] = None

    def drop(self, work: LaneWork) -> None:
        """Nothing is wanted in a lane any more."""
        self._checking.pop(work, None)
        self._done(work)

    def to_check(self, count: int) -> Iterator[Item]:
        """At most so many objects to compare; each must leave its phase before the next is asked for."""
        for work in list(islice((work for work in self._checking if self._moves(work)), count)):
            for item in list(islice(work.checks, count)):
                count -= 1
                yield item
            if not work.checks:
                self._checking.pop(work, None)

    @property
    def all_checked(self) -> bool:
        """Whether nothing is left to compare."""
        return not any(work.checks and self._moves(work) for work in self._checking)

    def turns(self, *, in_order: bool) -> Iterator[tuple[UnitKey, Iterator[Item]]]:
        """Each unit that has objects to apply, with those that may be now; each must leave its phase before the next is asked for."""
        for unit, lanes in list(self._acting.items()):
            yield unit, self._acts(list(lanes), in_order)

    def _moves(self, work: LaneWork) -> bool:
        return work.held is None and self._sources[work.unit.source].loaded

    def _acts(self, lanes: list[LaneWork], in_order: bool) -> Iterator[Item]:
        for work in lanes:
            while self._moves(work) and (item := work.next_act(in_order)) is not None:
                yield item
            if not work.acts and not work.heals:
                self._done(work)

    def _done(self, work: LaneWork) -> None:
        lanes = self._acting.get(work.unit, {})
        lanes.pop(work, None)
        if not lanes:
            self._acting.pop(work.unit, None)
