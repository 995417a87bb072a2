"""What lies between daemons and everything else: requests and their answers, watches, and the points where faults strike.

Law of the module: every effect is answered as the adapters answer (`core.messages`): a request once, a watch by its lines in order
and one end. What goes wrong is for the schedule to say; without it, everything arrives.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from reconciler.core.messages import (
    Answer,
    ChartRendered,
    CloseWatch,
    Effect,
    Input,
    ListRefs,
    Log,
    OpenWatch,
    Push,
    RenderChart,
    Request,
    WatchClosed,
    WatchLines,
)

from . import faults
from .cluster.http import Request as HttpRequest
from .cluster.store import Event
from .cluster.watching import Cursor
from .daemon import PEOPLE, Actor, Daemon, Observer, Stream
from .faults import Fault, Point, Schedule, Script

if TYPE_CHECKING:
    from .world import World

LATENCY_SECONDS = 0.002
JITTER_SECONDS = 0.02
BOOKMARK_SECONDS = 60.0


class Network:
    """The ways of one world.

    `schedule` says what goes wrong; `points` counts the effects and inputs so far, `reached` how often each kind of fault struck;
    `outages` says until when a cluster cannot be reached. With `jitter` latencies are drawn; without, an effect happens the moment
    it is asked for, and its answer comes `LATENCY_SECONDS` later.
    """

    def __init__(self, world: World, jitter: bool) -> None:
        self.world = world
        self.schedule: Schedule = Script()
        self.observers: list[Observer] = []
        self.actor = PEOPLE
        self.outages: dict[str, float] = {}
        self.quiet_at = 0.0  # when the last consequence of a fault so far will have happened
        self.points = 0
        self.reached: Counter[str] = Counter()
        self._jitter = jitter
        self._trace = hashlib.sha256()
        self._versions: dict[str, tuple[list[float], list[int]]] = {}

    @property
    def trace(self) -> str:
        """A digest of all that has happened."""
        return self._trace.hexdigest()

    # -- effects ----------

    def send(self, daemon: Daemon, effect: Effect) -> None:
        """A daemon does something: carried out, unless something goes wrong."""
        for observer in self.observers:
            observer.sends(daemon, effect)
        if isinstance(effect, Log):
            daemon.logs.append(effect)
            return
        daemon.sent.append(effect)
        if isinstance(effect, CloseWatch):
            if daemon.streams.pop(effect.id, None) is not None:
                self.deliver(daemon, WatchClosed(effect.id, 200))
            return
        fault = self._point(daemon, effect)
        if fault is None:
            self.perform(daemon, effect)
        else:
            faults.KINDS[fault.kind].do(self, daemon, effect, fault)

    def perform(
        self, daemon: Daemon, effect: Effect, after_seconds: float = 0.0, answer_seconds: float = 0.0, past_seconds: float = 0.0
    ) -> None:
        """Carry an effect out and tell its answer: later than usual, told later than usual, or as things were a while ago."""

        def act() -> None:
            if isinstance(effect, OpenWatch):
                self._open(daemon, effect)
            else:
                self.deliver(daemon, self.ask(daemon, effect, past_seconds), answer_seconds)

        if after_seconds or answer_seconds:
            self.quiet_at = max(self.quiet_at, self.world.steady + after_seconds + answer_seconds)
        wait = after_seconds + (self.world.draw.between(0.0, JITTER_SECONDS) if self._jitter else 0.0)
        if wait:
            self.world.after(wait, act)
        else:
            act()

    def ask(self, daemon: Daemon, effect: Effect, past_seconds: float = 0.0) -> Input:
        """Carry an effect out; nobody is told the answer yet."""
        was, self.actor = self.actor, Actor(daemon.identity, daemon, effect if isinstance(effect, Request) else None)
        answer = self._answer(effect, past_seconds)
        self.actor = was
        for observer in self.observers:
            observer.answered(daemon, effect, answer)
        return answer

    def deliver(self, daemon: Daemon, message: Input, seconds: float = 0.0) -> None:
        """Bring something to a daemon, in due time, or so much later."""
        if seconds:
            self.quiet_at = max(self.quiet_at, self.world.steady + seconds)
        self.world.after(self._latency() + seconds, lambda: self._hear(daemon, message))

    def later(self, seconds: float, then: Callable[[], object]) -> None:
        """Something that a fault will still do."""
        self.quiet_at = max(self.quiet_at, self.world.steady + seconds)
        self.world.after(seconds, then)

    def cut_off(self, cluster: str, seconds: float) -> None:
        """A cluster cannot be reached for so long; its watches break."""
        self.outages[cluster] = self.world.steady + seconds
        for daemon in self.world.daemons:
            for id in [id for id, stream in daemon.streams.items() if stream.effect.cluster == cluster]:
                self.break_watch(daemon, id, 0, "no route to host")

    def _is_out(self, cluster: str) -> bool:
        return self.world.steady < self.outages.get(cluster, 0.0)

    def _latency(self) -> float:
        return self.world.draw.between(LATENCY_SECONDS, JITTER_SECONDS) if self._jitter else LATENCY_SECONDS

    def _answer(self, effect: Effect, past_seconds: float) -> Input:
        world = self.world
        if isinstance(effect, ListRefs) and past_seconds:
            return world.repos[effect.source].stale_refs(effect.id, world.wall - past_seconds)
        if isinstance(effect, RenderChart):
            return ChartRendered(effect.id, world.charts.answer(effect.chart))
        if not isinstance(effect, Request):
            assert not isinstance(effect, OpenWatch | CloseWatch | Log)
            return world.repos[effect.source].answer(effect)
        if self._is_out(effect.cluster):
            return Answer(effect.id, 0, error="no route to host")
        cluster = world.clusters[effect.cluster]
        if past_seconds and effect.cluster in self._versions:
            times, versions = self._versions[effect.cluster]
            at = bisect.bisect_right(times, world.steady - past_seconds)
            cluster = cluster.past(versions[at - 1] if at else cluster.store.floor)
        request = HttpRequest(effect.method, effect.path, effect.query, effect.body, effect.content_type, effect.accept, "reconciler")
        answer = cluster.handle(request, world.steady)
        retry = dict(answer.headers).get("Retry-After") if answer.headers else None
        return Answer(effect.id, answer.status, answer.body, retry_after_seconds=float(retry) if retry else None)

    # -- points ----------

    def _point(self, daemon: Daemon, message: Effect | Input) -> Fault | None:
        self.points += 1
        self._note(f"{self.points} {daemon.identity} ", _words(message))
        fault = self.schedule.at(Point(self.points, daemon.identity, message))
        if fault is not None and not faults.KINDS[fault.kind].strikes(message):
            fault = None  # a script that was made shorter: the number is another point now
        if fault is not None:
            self.reached[fault.kind] += 1
            self._note(str(fault))
            for observer in self.observers:
                observer.struck(daemon, fault, message)
        return fault

    def _note(self, text: str, more: bytes = b"") -> None:
        self._trace.update(b"%b%b\n" % (f"{self.world.steady:.6f} {text}".encode(), more))

    def _hear(self, daemon: Daemon, message: Input) -> None:
        if daemon.dead:
            return
        fault = self._point(daemon, message)
        if fault is not None:
            faults.KINDS[fault.kind].do(self, daemon, message, fault)
            return
        for observer in self.observers:
            observer.hears(daemon, message)
        daemon.inbox.append(message)

    # -- watches ----------

    def changed(self, name: str, event: Event) -> None:
        """An object of a cluster has changed: watches tell, observers are told."""
        world = self.world
        self._remember(name, event.version)
        for daemon in world.daemons:
            for stream in daemon.streams.values():
                if stream.effect.cluster == name and stream.cursor.storage == event.storage and not stream.is_flushing:
                    stream.is_flushing = True
                    world.after(0.0, lambda d=daemon, s=stream: self._flush(d, s))  # type: ignore[misc]
        for observer in self.observers:
            observer.changed(name, event, self.actor)

    def _remember(self, name: str, version: int) -> None:
        """Note when a cluster came to a version: as far back as its history goes, or a little farther."""
        times, versions = self._versions.setdefault(name, ([], []))
        times.append(self.world.steady)
        versions.append(version)
        store = self.world.clusters[name].store
        if len(versions) > 2 * store.history_limit:
            gone = bisect.bisect_right(versions, store.floor)
            del times[:gone], versions[:gone]

    def break_watch(self, daemon: Daemon, id: int, status: int, error: str = "") -> None:
        """A watch ends; what it had not told yet is lost."""
        stream = daemon.streams.pop(id, None)
        if stream is not None:
            stream.is_broken = True
            self.deliver(daemon, WatchClosed(id, status, error))

    def stall(self, daemon: Daemon, id: int) -> None:
        """A watch falls silent, until its client has had enough."""
        stream = daemon.streams.get(id)
        if stream is not None:
            stream.is_stalled = True
            self.later(stream.effect.idle_timeout_seconds, lambda: self.break_watch(daemon, id, 0, "silent for too long"))

    def _open(self, daemon: Daemon, effect: OpenWatch) -> None:
        if daemon.dead:
            return
        if self._is_out(effect.cluster):
            self.deliver(daemon, WatchClosed(effect.id, 0, "no route to host"))
            return
        request = HttpRequest("GET", effect.path, effect.query)
        opened = self.world.clusters[effect.cluster].watch(request, self.world.steady)
        if not isinstance(opened, Cursor):
            self.deliver(daemon, WatchClosed(effect.id, opened.status))
            return
        stream = daemon.streams[effect.id] = Stream(effect, opened, self.world.steady)
        self.world.at(opened.ends_at, lambda: self._end(daemon, stream))
        self._flush(daemon, stream)
        self._bookmark(daemon, stream)

    def _is_open(self, daemon: Daemon, stream: Stream) -> bool:
        return daemon.streams.get(stream.effect.id) is stream

    def _bookmark(self, daemon: Daemon, stream: Stream) -> None:
        if not self._is_open(daemon, stream) or stream.is_stalled:
            return
        if self.world.steady - stream.told_at >= BOOKMARK_SECONDS:
            self._tell(daemon, stream, stream.cursor.bookmark(self.world.steady))
            stream.told_at = self.world.steady
        self.world.at(stream.told_at + BOOKMARK_SECONDS, lambda: self._bookmark(daemon, stream))

    def _flush(self, daemon: Daemon, stream: Stream) -> None:
        stream.is_flushing = False
        if not self._is_open(daemon, stream) or stream.is_stalled:
            return
        self._tell(daemon, stream, stream.cursor.take(self.world.steady))
        if stream.cursor.closed:
            self._end(daemon, stream)

    def _tell(self, daemon: Daemon, stream: Stream, lines: tuple[bytes, ...]) -> None:
        if not lines:
            return
        stream.told_at = self.world.steady
        stream.arrives_at = max(stream.arrives_at, self.world.steady + self._latency())
        message = WatchLines(stream.effect.id, lines)
        self.world.at(stream.arrives_at, lambda: None if stream.is_broken or stream.is_stalled else self._hear(daemon, message))

    def _end(self, daemon: Daemon, stream: Stream) -> None:
        if self._is_open(daemon, stream):
            del daemon.streams[stream.effect.id]
            at = max(stream.arrives_at, self.world.steady + LATENCY_SECONDS)
            self.world.at(at, lambda: self._hear(daemon, WatchClosed(stream.effect.id, 200)))


# -- words ----------


def brief(message: Effect | Input) -> str:
    """A message in a few words, for people."""
    match message:
        case Request():
            return f"{message.method} {message.path} on {message.cluster}"
        case OpenWatch():
            return f"watch {message.path} on {message.cluster}"
        case Answer():
            return f"answer {message.status} {message.error}".rstrip()
        case WatchLines():
            return f"{len(message.lines)} lines of a watch"
        case Push():
            return f"push {message.ref} of {message.source}"
        case RenderChart():
            return f"render chart {message.chart.name}"
    return type(message).__name__


_READ: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    Request: attrgetter("id", "cluster", "method", "path", "query", "content_type", "accept", "timeout_seconds"),
    OpenWatch: attrgetter("id", "cluster", "path", "query", "idle_timeout_seconds"),
    Answer: attrgetter("id", "status", "error", "retry_after_seconds"),
    WatchClosed: attrgetter("id", "status", "error"),
}


def _words(message: Effect | Input) -> bytes:
    """A message in full, as far as it decides anything: for the trace."""
    name = type(message).__name__
    read = _READ.get(type(message))
    if read is not None:
        body = message.body if isinstance(message, Request | Answer) else b""
        return b"%b %b" % (f"{name} {read(message)!r} {len(body)}".encode(), body)
    match message:
        case WatchLines():
            return b"%b %b" % (f"{name} {message.id} {[len(line) for line in message.lines]}".encode(), b"".join(message.lines))
        case Push():
            files = sorted(message.files.items())
            return f"{name} {message.ref} {message.expected} {message.base} {files!r}".encode()
    return f"{name} {getattr(message, 'tip', '')} {getattr(message, 'commit', '')}".encode()
