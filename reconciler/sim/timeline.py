"""What happens in a simulated world, as people tell it: one event for each thing that is worth a line.

Law of the module: told from outside, as far as it can be: requests, objects, branches, the daemon's report. An event is a value, and the
same run tells the same events. Writes are counted by unit and told when the unit stands still, not one by one. Values of objects
are never part of an event.

`at` counts virtual seconds since the beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reconciler.core.identity import UnitKey
from reconciler.core.kind import State
from reconciler.core.messages import Commit, Effect, Fetch, FindTrailer, Input, Push, Pushed, ReadFiles, ReadPast, Request
from reconciler.core.report import UnitReport
from reconciler.lib.durations import brief as span

from .checks import owner_of
from .cluster.store import Event as Change
from .daemon import Actor, Daemon
from .faults import ONE_DAEMON_LIVES, Fault
from .limits import STORE
from .network import brief
from .world import START

if TYPE_CHECKING:
    from .world import World

LOOK_SECONDS = 0.2
"""So often, at most, is the report looked at: what comes and goes within is told by what was written."""

LONG_SECONDS = 60.0
"""What a unit is still waiting for is told after so long."""

Sort = Literal["commit", "daemon", "unit", "person", "fault", "cluster", "rest", "silence", "broken"]
Verb = Literal["made", "changed", "deleted"]
VERBS: tuple[Verb, ...] = ("made", "changed", "deleted")
Counts = tuple[tuple[str, Verb, int], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline. `state` is that of a unit, else "". `counts` are (cluster, verb, number)."""

    at: float
    sort: Sort
    who: str
    text: str
    state: State | Literal[""] = ""
    counts: Counts = ()


Tell = Callable[[Event], None]


@dataclass
class Told:
    """What has been told of a unit, and what has happened since."""

    state: State | Literal[""] = ""
    text: str = ""
    since: float = 0.0
    is_long: bool = False
    pending: Counter[tuple[str, Verb]] = field(default_factory=Counter)
    wrote_at: float = 0.0


def called(commit: Commit) -> str:
    """A commit for people; one that does not exist by its subject alone."""
    return f'{commit.id[:7]} "{commit.subject}"' if commit.id.strip("0") else commit.subject


class Timeline:
    """Watches one world. `moved_at` is when anything last moved but polls, the Lease and watches."""

    def __init__(self, world: World, tell: Tell) -> None:
        self.world = world
        self.moved_at = world.steady
        self.counts: Counter[str] = Counter()
        self.totals: dict[UnitKey, Counter[Verb]] = {}
        self._tell = tell
        self._units: dict[UnitKey, Told] = {}
        self._read: dict[str, str] = {}
        self._alive: list[Daemon] = []
        self._looked_at = -1.0
        self._is_due = False
        world.network.observers.append(self)

    def tell(self, sort: Sort, who: str, text: str, state: State | Literal[""] = "", counts: Counts = ()) -> None:
        """One more event, now."""
        self._tell(Event(round(self.world.steady - START, 3), sort, who, text, state, counts))

    # -- what daemons do ----------

    def sends(self, daemon: Daemon, effect: Effect) -> None:  # noqa: ARG002 - an observer's signature
        """Count requests and what moves."""
        if isinstance(effect, Request):
            self.counts["requests"] += 1
            if "/leases" in effect.path:
                return
            self.counts["writes"] += effect.method != "GET"
        if isinstance(effect, Request | Push | Fetch | ReadPast | ReadFiles | FindTrailer):
            self.moved_at = self.world.steady

    def answered(self, daemon: Daemon, effect: Effect, answer: Input) -> None:  # noqa: ARG002
        """Count commits."""
        if isinstance(effect, Push) and isinstance(answer, Pushed) and answer.outcome == "pushed" and answer.commit != effect.base:
            self.counts["commits"] += 1

    def hears(self, daemon: Daemon, message: Input) -> None:
        """Nothing that anybody would see."""

    def struck(self, daemon: Daemon, fault: Fault, message: Effect | Input) -> None:
        """Something goes wrong at a point."""
        self.counts["faults"] += 1
        down = f"; down for {fault.seconds:g} s" if fault.kind in ONE_DAEMON_LIVES else f" ({fault.seconds:g} s)" if fault.seconds else ""
        text = f"{fault.kind}: {brief(message)}{down}"
        self.tell("fault", f"point {self.world.network.points}", text)
        del daemon

    # -- what changes ----------

    def changed(self, cluster: str, event: Change, actor: Actor) -> None:
        """Count what a daemon writes, by unit."""
        if event.storage.plural == "leases":
            return
        self.moved_at = self.world.steady
        if actor.daemon is None or actor.request is None or event.entry.key[0] == STORE:
            return
        before = event.previous.obj if event.previous is not None else None
        body: Any = before if event.type == "DELETED" and before is not None else event.entry.obj
        owner = owner_of(body, cluster) or (owner_of(before, cluster) if before is not None else None)
        if owner is None:
            return
        verb: Verb = "made" if before is None else "changed"
        if actor.request.method == "DELETE":
            if before is None or before["metadata"].get("deletionTimestamp"):
                return
            verb = "deleted"
        told = self._units.setdefault(owner, Told())
        told.pending[cluster, verb] += 1
        told.wrote_at = self.world.steady
        self.totals.setdefault(owner, Counter())[verb] += 1
        self._look_later()

    # -- how things stand ----------

    def look(self) -> bool:
        """After a round: tell what is new. Says whether it was time to look."""
        if self.world.daemons != self._alive:
            self._lives()
        if self.world.steady < self._looked_at + LOOK_SECONDS and self.world.steady > self._looked_at:
            self._look_later()
            return False
        self._looked_at = self.world.steady
        leader = self.world.leader
        if leader is not None:
            self._commits(leader)
            units = leader.engine.reports.units()
            if not any(cluster.state == "new" for cluster in leader.engine.clusters.values()):
                for key in sorted(units):
                    self._unit(key, units[key], leader)
                if all(source.loaded and source.current for source in leader.engine.sources.values()):
                    for key in [key for key in self._units if key not in units]:
                        self._gone(key)
        return True

    def _look_later(self) -> None:
        if not self._is_due:
            self._is_due = True
            self.world.after(LOOK_SECONDS, self._due)

    def _due(self) -> None:
        self._is_due = False

    def _lives(self) -> None:
        for daemon in self.world.daemons:
            if daemon not in self._alive:
                self.tell("daemon", "daemon", "starts again" if self.counts["lives"] else "starts")
                self.counts["lives"] += 1
        self._alive = list(self.world.daemons)

    def _commits(self, leader: Daemon) -> None:
        for name, source in leader.engine.sources.items():
            commit = source.desired.commit
            if commit is not None and self._read.get(name) != commit.id:
                self._read[name] = commit.id
                self.tell("commit", "daemon", f"reads {called(commit)}")

    def _unit(self, key: UnitKey, unit: UnitReport, leader: Daemon) -> None:
        told = self._units.setdefault(key, Told())
        state, text = unit.state, unit.waits_for or unit.message
        if state == "Unknown" and all(cluster.state == "up" for cluster in leader.engine.clusters.values()):
            return  # it is being looked at
        is_moving = state in ("Reconciling", "Unknown")
        now = self.world.steady
        if told.state != state or (told.text != text and not is_moving):
            if state == "Waiting" and unit.message:
                text = f"{unit.message}; {unit.waits_for}"
            self._say(key, told, state, "" if state == "Reconciling" else text, flush=not is_moving)
            told.state, told.text, told.since, told.is_long = state, unit.waits_for or unit.message, now, False
        elif is_moving and not told.is_long and now >= told.since + LONG_SECONDS:
            told.is_long = True
            self._say(key, told, state, f"for {span(now - told.since)}: {text}", flush=True)
        elif told.pending and not is_moving and now >= told.wrote_at + LOOK_SECONDS:
            self._say(key, told, state, "", flush=True)
        elif told.pending and not is_moving:
            self._look_later()

    def _gone(self, key: UnitKey) -> None:
        told = self._units.pop(key)
        self._say(key, told, "", "is in Git no more", flush=True)

    def _say(self, key: UnitKey, told: Told, state: State | Literal[""], text: str, *, flush: bool) -> None:
        counts = tuple((cluster, verb, told.pending[cluster, verb]) for cluster, verb in sorted(told.pending)) if flush else ()
        if flush:
            told.pending.clear()
        self.tell("unit", str(key), text, state, counts)
