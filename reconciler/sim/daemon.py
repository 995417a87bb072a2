"""One life of a daemon in a simulated world, and who else acts there.

Law of the module: values and counters; whatever moves them is `world` and `network`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from reconciler.core.engine import Engine
from reconciler.core.messages import Effect, Input, Log, OpenWatch, Request
from reconciler.core.report import Report

from .cluster.store import Event
from .cluster.watching import Cursor
from .faults import Fault


class Actor(NamedTuple):
    """Who changes something: a daemon by a request, "people", or "controllers" of a cluster."""

    name: str
    daemon: Daemon | None = None
    request: Request | None = None


PEOPLE, CONTROLLERS = Actor("people"), Actor("controllers")


@dataclass(eq=False)
class Stream:
    """One open watch. What it tells arrives in order, whatever the latencies; when the connection breaks, what is under way is lost."""

    effect: OpenWatch
    cursor: Cursor
    told_at: float
    arrives_at: float = 0.0
    is_flushing: bool = False
    is_stalled: bool = False
    is_broken: bool = False


@dataclass(eq=False)
class Daemon:
    """One life of a daemon: its engine, what it did, and what is under way to it.

    Until `stopped_until` the process does not run, though it lives: SIGSTOP, a machine that is moved.
    """

    identity: str
    engine: Engine
    logs: list[Log] = field(default_factory=list)
    sent: list[Effect] = field(default_factory=list)
    inbox: list[Input] = field(default_factory=list)
    streams: dict[int, Stream] = field(default_factory=dict)
    dead: bool = False
    stopped_until: float = 0.0

    @property
    def report(self) -> Report:
        """How everything stands."""
        return self.engine.reports.report()

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves by itself, and all that is to be told stands on the status branches."""
        return self.engine.reports.settled and all(p.idle for p in self.engine.publishers.values())


class Observer(Protocol):
    """Somebody who is told what happens. Each may raise what it finds."""

    def sends(self, daemon: Daemon, effect: Effect) -> None:
        """A daemon is about to do something."""

    def answered(self, daemon: Daemon, effect: Effect, answer: Input) -> None:
        """It was carried out; whether and when the daemon hears of it is another matter."""

    def changed(self, cluster: str, event: Event, actor: Actor) -> None:
        """An object has changed."""

    def hears(self, daemon: Daemon, message: Input) -> None:
        """A daemon is told something."""

    def struck(self, daemon: Daemon, fault: Fault, message: Effect | Input) -> None:
        """Something goes wrong at a point."""
