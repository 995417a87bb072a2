"""Requests that take turns: so many at once, each key's one after another.

Law of the module: bookkeeping only. What came first goes first; of one key nothing is sent before what was sent earlier is answered;
nothing is left out, and nothing sent twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Send = Callable[[Callable[[], None]], None]
"""Sends one request; calls what it is given, once, when that is over (at once where there is nothing to send after all)."""


class InTurn:
    """The queue. `add` sends at once where there is room."""

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self._free = limit
        self._waiting: dict[str, deque[Send]] = {}  # by key; an empty one: something is under way, nothing waits
        self._next: deque[str] = deque()  # keys of which something waits, and nothing is under way
        self._going = False

    def add(self, key: str, send: Send) -> None:
        """One more request about a key."""
        if key not in self._waiting:
            self._waiting[key] = deque()
            self._next.append(key)
        self._waiting[key].append(send)
        self._go()

    def _go(self) -> None:
        if self._going:
            return  # ten thousand that have nothing to send after all are no ten thousand calls deep
        self._going = True
        while self._free and self._next:
            key = self._next.popleft()
            self._free -= 1
            self._waiting[key].popleft()(lambda key=key: self._over(key))  # type: ignore[misc]
        self._going = False

    def _over(self, key: str) -> None:
        self._free += 1
        if self._waiting[key]:
            self._next.append(key)
        else:
            del self._waiting[key]
        self._go()
