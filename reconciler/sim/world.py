"""A whole world in one thread: engines, embedded API servers, Git repositories in memory, people, and a clock that moves when told.

Law of the module: deterministic. One seed decides everything that is not written down: latencies, the daemons' entropy, uids. No wall
clock, no hash order, no thread decides anything, so that the same seed gives the same trace, byte for byte, on every machine. Time
jumps to whatever is due next, and hours of rest cost next to nothing.

    world.py     clusters, repositories, daemons, people; time; daemon.py: one life of a daemon, and who else acts
    network.py   requests, answers, watches; the numbered points at which something may go wrong
    faults.py    what may go wrong, where, how often
    checks.py    what must be so after every step, and at rest; verdicts.py: more of it; truth.py: what Git says, read without the engine
    trial.py     one run from a seed or a script: work, faults, rest, an hour of silence; the shortest script that still fails
    git.py, cluster/, charts.py   the Git repository, the API server and chart repositories in memory
    future.py    the whole future of a repository, for `reconciler simulate`: people.py approve and meddle, timeline.py tells,
                 pristine.py knows what an API server makes of anybody's manifests

The clusters' clock is steady; a daemon's wall clock may jump (`wall_offset`).
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, CommitId, Instant, SourceName
from reconciler.core.kind import Kind
from reconciler.core.manifest import parse
from reconciler.core.messages import SourceHint
from reconciler.core.settings import ClusterSettings, Settings, SourceSettings
from reconciler.core.types import Types
from reconciler.kinds import KINDS

from .charts import Charts
from .cluster.cluster import Cluster
from .cluster.http import Request
from .cluster.settings import Settings as Behaviour
from .cluster.store import Event
from .daemon import CONTROLLERS, PEOPLE, Daemon
from .faults import Draw
from .git import MAIN, Parse, Repo
from .network import Network

START = 1_900_000_000.0
STEPS_LIMIT = 30_000
"""Rounds within `STEPS_SECONDS` of virtual time; with more, somebody spins. A large tree needs more (`World.steps_limit`)."""
STEPS_SECONDS = 300.0

Json = dict[str, Any]


class Spin(AssertionError):
    """Something happens again and again, and time does not move."""


class World:
    """Clusters, repositories and daemons on one clock. `life` is what its daemons are made of.

    Args:
        seed: decides everything that is not written down.
        clusters: names; the first is the default and the home.
        sources: names of repositories.
        kinds: what the daemons know.
        jitter: whether latencies are drawn.
        parse: the parser of blobs.
        types: what the engine knows of built-in kinds.
        behaviour: how the clusters' controllers behave.
    """

    life: type[Daemon] = Daemon

    def __init__(
        self,
        seed: int | str = 0,
        clusters: Iterable[str] = ("eu",),
        sources: Iterable[str] = ("fleet",),
        kinds: tuple[Kind, ...] = KINDS,
        *,
        jitter: bool = False,
        parse: Parse = parse,
        types: Types | None = None,
        behaviour: Behaviour = Behaviour(),  # noqa: B008 - frozen
    ) -> None:
        self.steady = START
        self.wall_offset = 0.0
        self.steps_limit = STEPS_LIMIT
        self.kinds = kinds
        self.draw = Draw(f"world {seed}")
        self.network = Network(self, jitter)
        self.clusters = {name: Cluster(name, 7, START, behaviour) for name in clusters}
        self.repos = {name: Repo(name, lambda: self.wall, parse) for name in sources}
        self.charts = Charts()
        self.daemons: list[Daemon] = []
        self._types = types
        self._seed = seed
        self._lives = 0
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0
        self._steps: tuple[float, int] = (START, 0)
        self._ticks: dict[str, float] = {}
        for name, cluster in self.clusters.items():
            cluster.subscribe(lambda event, name=name: self._changed(name, event))  # type: ignore[misc]
            self._tick(name)

    # -- daemons ----------

    def daemon(self, identity: str = "one", **changes: Any) -> Daemon:
        """Start one more daemon over everything; `changes` are fields of its `Settings`."""
        settings = Settings(
            **{
                "sources": tuple(SourceSettings(SourceName(n), f"https://git.example.org/{n}", status_branch="") for n in self.repos),
                "clusters": tuple(ClusterSettings(ClusterName(n), default=i == 0) for i, n in enumerate(self.clusters)),
                "identity": identity,
                "home": ClusterName(next(iter(self.clusters))),
                **changes,
            }
        )
        return self.start(settings)

    def start(self, settings: Settings) -> Daemon:
        """Start a daemon with settings of its own."""
        self._lives += 1
        entropy = f"{self._seed} {settings.identity} {self._lives}".encode()
        made = self.life(settings.identity, Engine(settings, self.kinds, entropy, self._types))
        self.daemons.append(made)
        return made

    @property
    def leader(self) -> Daemon | None:
        """The daemon that acts, if one does."""
        return next((daemon for daemon in self.daemons if daemon.engine.store.leading), None)

    def kill(self, daemon: Daemon) -> None:
        """End a daemon as a crash does: what is under way to it is lost, what it has sent happens."""
        daemon.dead = True
        daemon.streams.clear()
        if daemon in self.daemons:
            self.daemons.remove(daemon)

    def crash(self, daemon: Daemon, down_seconds: float) -> None:
        """A crash, and after so long a new life with the same settings."""
        if not daemon.dead:
            self.kill(daemon)
            self.network.later(down_seconds, lambda: self.start(daemon.engine.settings))

    def stop(self, daemon: Daemon, seconds: float) -> None:
        """A process does not run for so long, and knows nothing of that: what comes to it meanwhile waits."""
        daemon.stopped_until = self.steady + seconds
        self.network.later(seconds, lambda: None)

    # -- people ----------

    @property
    def wall(self) -> float:
        """What the daemons' calendar says."""
        return self.steady + self.wall_offset

    @property
    def repo(self) -> Repo:
        """The first repository."""
        return next(iter(self.repos.values()))

    def commit(self, files: Mapping[str, str | bytes | None], source: str = "", hint: bool = True, **more: Any) -> CommitId:
        """Commit, and tell the daemons, as a webhook does."""
        name = source or next(iter(self.repos))
        made = self.repos[name].commit(files, **more)
        if hint:
            self.hint(name)
        return made

    def hint(self, source: str = "") -> None:
        """Tell the daemons that a repository may have changed."""
        for daemon in self.daemons:
            daemon.inbox.append(SourceHint(SourceName(source or next(iter(self.repos)))))

    def call(self, method: str, path: str, body: Any = None, cluster: str = "", content: str = "application/json") -> tuple[int, Json]:
        """A request by somebody else."""
        text = b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        pairs = tuple((k, v) for k, _, v in (part.partition("=") for part in query.split("&") if part))
        request = Request(method, path, pairs, text, content if body is not None else "", user_agent="kubectl")
        answer = self.clusters[cluster or next(iter(self.clusters))].handle(request, self.steady)
        return answer.status, json.loads(answer.body)

    # -- time ----------

    def at(self, steady: float, then: Callable[[], object]) -> None:
        """Let something happen at a time."""
        self._count += 1
        heapq.heappush(self._queue, (steady, self._count, then))

    def after(self, seconds: float, then: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        self.at(self.steady + seconds, then)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.steady + seconds
        self.wait(lambda: False, seconds)
        self.steady = max(end, self.steady)

    def wait(self, look: Callable[[], Any], seconds: float) -> bool:
        """Let time pass until something is so, at most so long; says whether it is."""
        end = self.steady + seconds
        while True:
            self._round()
            if look():
                return True
            due = self._next()
            if due > end:
                return False
            self.steady = max(self.steady, due)

    def _next(self) -> float:
        due = self._queue[0][0] if self._queue else float("inf")
        for daemon in self.daemons:
            if daemon.stopped_until > self.steady:
                continue
            if daemon.inbox:
                return self.steady
            wake = daemon.engine.wake_at
            if wake is not None and wake < due:
                due = wake
        return due

    def _round(self) -> None:
        begun, steps = self._steps
        self._steps = (begun, steps + 1) if self.steady < begun + STEPS_SECONDS else (self.steady, 0)
        if steps > self.steps_limit:
            raise Spin(f"more than {self.steps_limit} steps since {self.steady - begun:g} s: somebody spins")
        queue = self._queue
        while queue and queue[0][0] <= self.steady:
            heapq.heappop(queue)[2]()
        for daemon in list(self.daemons):
            if daemon.stopped_until > self.steady:
                continue
            wake = daemon.engine.wake_at
            if daemon.inbox or (wake is not None and wake <= self.steady) or not daemon.sent:
                self._step(daemon)

    def _step(self, daemon: Daemon) -> None:
        inputs, daemon.inbox = daemon.inbox, []
        for effect in daemon.engine.step(inputs, Instant(self.wall, self.steady)):
            self.network.send(daemon, effect)
            if daemon.dead:
                return

    # -- clusters ----------

    def _changed(self, name: str, event: Event) -> None:
        if self.clusters[name].has_work:
            self._tick_at(name, self.steady)
        self.network.changed(name, event)

    def _tick_at(self, name: str, steady: float) -> None:
        if steady < self._ticks.get(name, float("inf")):
            self._ticks[name] = steady
            self.at(steady, lambda: self._tick(name))

    def _tick(self, name: str) -> None:
        self._ticks.pop(name, None)
        was, self.network.actor = self.network.actor, CONTROLLERS
        due = self.clusters[name].tick(self.steady)
        self.network.actor = was
        if due is not None:
            self._tick_at(name, due)


__all__ = ["MAIN", "PEOPLE", "Daemon", "Spin", "World"]
