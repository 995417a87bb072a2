"""The engine's way out: effects with the continuation that awaits each answer, and timers.

Law of the module: every request is answered exactly once and every timer fires at most once; both call back inside `step`, never
elsewhere. Continuations and timers live in memory only: after a restart the world is read again, not resumed.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeVar

from .identity import ClusterName, Instant, SourceName
from .messages import (
    Answer,
    Chart,
    ChartRendered,
    CloseWatch,
    Effect,
    Fetch,
    FindTrailer,
    Input,
    ListRefs,
    Log,
    Method,
    OpenWatch,
    Push,
    ReadFiles,
    ReadPast,
    RenderChart,
    Request,
    SourceHint,
    Stop,
    WatchClosed,
    WatchLines,
)

PENDING_LIMIT = 100_000
"""Requests awaiting an answer. Beyond it the engine itself has lost count (law 9)."""

GitEffect = TypeVar("GitEffect", ListRefs, Fetch, ReadPast, ReadFiles, FindTrailer, Push)
Fact = str | int | float | bool | None


class Jitter:
    """Numbers that look random and are a function of the seed: so that many daemons do not poll in step, and a run can be repeated."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def fraction(self) -> float:
        """The next number, in [0, 1)."""
        self._count += 1
        digest = hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(digest[:7], "big") / (1 << 56)

    def spread(self, seconds: float, share: float = 0.1) -> float:
        """`seconds`, give or take `share` of it."""
        return seconds * (1 - share + 2 * share * self.fraction())

    def back_off(self, failures: int, base_seconds: float, cap_seconds: float) -> float:
        """How long to wait after so many failures in a row: doubling from the base, capped, and spread by a fifth."""
        assert failures >= 1
        return self.spread(min(cap_seconds, base_seconds * 2.0 ** min(failures - 1, 30)), 0.2)


class Wire:
    """Collects the effects of one step, and knows who waits for which answer."""

    def __init__(self, seed: bytes) -> None:
        self.now = Instant(0.0, 0.0)
        self.effects: list[Effect] = []
        self.jitter = Jitter(seed)
        self._seed = seed
        self._ids = 0
        self._waiting: dict[int, Callable[[Any], None]] = {}
        self._watches: dict[int, tuple[Callable[[WatchLines], None], Callable[[WatchClosed], None]]] = {}
        self._timers: dict[Hashable, tuple[float, int, Callable[[], None]]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []

    def draw(self, count: int) -> bytes:
        """So many secret bytes that nobody has seen: as good as the entropy that the engine was given."""
        self._ids += 1
        return hmac.digest(self._seed, f"draw {self._ids}".encode(), "sha256")[:count]

    # -- requests ----------

    @property
    def in_flight(self) -> int:
        """Answers still awaited, watches not counted."""
        return len(self._waiting)

    def request(
        self,
        cluster: ClusterName,
        method: Method,
        path: str,
        then: Callable[[Answer], None],
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        content_type: str = "",
        accept: str = "application/json",
        timeout_seconds: float = 30.0,
    ) -> None:
        """Ask a cluster; `then` gets the answer."""
        number = self._await(then)
        self.effects.append(Request(number, cluster, method, path, query, body, content_type, accept, timeout_seconds))

    def git(self, effect: type[GitEffect], then: Callable[[Any], None], source: SourceName, **fields: Any) -> None:
        """Ask Git; `then` gets the answer that belongs to the effect."""
        self.effects.append(effect(self._await(then), source, **fields))

    def chart(self, chart: Chart, then: Callable[[ChartRendered], None]) -> None:
        """Have a chart rendered; `then` gets the answer."""
        self.effects.append(RenderChart(self._await(then), chart))

    def _await(self, then: Callable[[Any], None]) -> int:
        assert len(self._waiting) < PENDING_LIMIT
        self._ids += 1
        self._waiting[self._ids] = then
        return self._ids

    def watch(
        self,
        cluster: ClusterName,
        path: str,
        query: tuple[tuple[str, str], ...],
        on_lines: Callable[[WatchLines], None],
        on_closed: Callable[[WatchClosed], None],
        *,
        idle_timeout_seconds: float,
    ) -> int:
        """Open a watch; the callbacks get its lines, and its one end."""
        self._ids += 1
        self._watches[self._ids] = (on_lines, on_closed)
        self.effects.append(OpenWatch(self._ids, cluster, path, query, idle_timeout_seconds))
        return self._ids

    def close(self, watch: int) -> None:
        """Stop a watch. Whatever of it still comes is nobody's business any more."""
        if self._watches.pop(watch, None):
            self.effects.append(CloseWatch(watch))

    def deliver(self, message: Input) -> None:
        """Hand an answer to whoever waits for it. Lines of a watch that nobody holds are dropped."""
        assert not isinstance(message, SourceHint | Stop)
        if isinstance(message, WatchLines):
            if message.id in self._watches:
                self._watches[message.id][0](message)
        elif isinstance(message, WatchClosed):
            callbacks = self._watches.pop(message.id, None)
            if callbacks:
                callbacks[1](message)
        else:
            self._waiting.pop(message.id)(message)

    def hear_out(self, message: Input) -> None:
        """Take an answer that nobody acts on any more."""
        if isinstance(message, WatchClosed):
            self._watches.pop(message.id, None)
        elif not isinstance(message, WatchLines | SourceHint | Stop):
            self._waiting.pop(message.id, None)

    def log(self, level: Literal["info", "warning", "error"], message: str, **facts: Fact) -> None:
        """Tell people of one decision or outcome."""
        self.effects.append(Log(level, message, tuple(facts.items())))

    # -- timers ----------

    @property
    def wake_at(self) -> float | None:
        """When the next timer is due, on the steady clock."""
        return self._heap[0][0] if self._heap else None

    def _drop_stale(self) -> None:
        """The first of the heap is always one that is set: what was replaced or cancelled goes when it comes to stand there."""
        while self._heap:
            _, number, key = self._heap[0]
            if self._timers.get(key, (0.0, 0, None))[1] == number:
                return
            heapq.heappop(self._heap)

    def at(self, key: Hashable, steady: float, then: Callable[[], None]) -> None:
        """Call `then` at that time; a timer already set under `key` is replaced."""
        self._ids += 1
        self._timers[key] = (steady, self._ids, then)
        heapq.heappush(self._heap, (steady, self._ids, key))
        self._drop_stale()

    def after(self, key: Hashable, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` so many seconds from now."""
        self.at(key, self.now.steady + seconds, then)

    def has_timer(self, key: Hashable) -> bool:
        """Whether a timer is set under `key`."""
        return key in self._timers

    def cancel(self, key: Hashable) -> None:
        """Forget a timer."""
        self._timers.pop(key, None)
        self._drop_stale()

    def fire(self) -> None:
        """Call every timer that is due; those that they set for now wait for the next step, those that they cancel are not called."""
        if not self._heap or self._heap[0][0] > self.now.steady:
            return
        due: list[tuple[int, Hashable]] = []
        while (at := self.wake_at) is not None and at <= self.now.steady:
            _, number, key = heapq.heappop(self._heap)
            due.append((number, key))
            self._drop_stale()
        for number, key in due:
            _, held, then = self._timers.get(key, (0.0, 0, None))
            if then is not None and held == number:
                del self._timers[key]
                then()
