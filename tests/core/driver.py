"""A whole world in one thread: engines, embedded API servers, Git repositories in memory, and a clock that moves when told.

Law of the module: deterministic. Every effect is answered once, `LATENCY_SECONDS` of virtual time later, in the order in which effects
came; `World.rule` lets a test answer a request otherwise, late, or never, and `World.rewrite` what a watch brings. Time jumps to
whatever is due next, so hours cost nothing.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, CommitId, Instant, SourceName, folder
from reconciler.core.kind import Kind
from reconciler.core.messages import (
    Answer,
    CloseWatch,
    Effect,
    Input,
    Log,
    OpenWatch,
    Request,
    SourceHint,
    WatchClosed,
    WatchLines,
)
from reconciler.core.report import Report, UnitReport
from reconciler.core.settings import ClusterSettings, Settings, SourceSettings
from reconciler.kinds import KINDS
from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.http import Request as HttpRequest
from reconciler.sim.cluster.watching import Cursor
from tests.core.repo import MAIN, Repo

START = 1_900_000_000.0
LATENCY_SECONDS = 0.002
BOOKMARK_SECONDS = 60.0
STEPS_LIMIT = 60_000

Json = dict[str, Any]
Perform = Callable[[], Input]


@dataclass
class Rule:
    """Answers a request otherwise: `answer(effect, perform)` gives the answer, or None for never. Ends after so many `times`."""

    match: Callable[[Effect], bool]
    answer: Callable[[Any, Perform], Input | None]
    times: int
    seconds: float = 0.0
    used: int = 0


@dataclass
class Stream:
    """One open watch."""

    effect: OpenWatch
    cursor: Cursor
    told_at: float


@dataclass
class Daemon:
    """One engine, what it did, and what is under way to it."""

    engine: Engine
    logs: list[Log] = field(default_factory=list)
    sent: list[Effect] = field(default_factory=list)
    inbox: list[Input] = field(default_factory=list)
    streams: dict[int, Stream] = field(default_factory=dict)
    dead: bool = False

    def requests(self, method: str = "", part: str = "") -> list[Request]:
        """The requests so far of a method ("" for all writes), whose path holds `part`. Lease and store are left out."""
        return [
            e
            for e in self.sent
            if isinstance(e, Request)
            and (e.method == method or (not method and e.method != "GET"))
            and part in e.path
            and (part or "/reconciler-system" not in e.path)
        ]

    def said(self, message: str) -> list[dict[str, Any]]:
        """The facts of all log lines with that message."""
        return [dict(log.facts) for log in self.logs if log.message == message]

    @property
    def report(self) -> Report:
        """How everything stands."""
        return self.engine.reports.report()


class World:
    """Clusters, repositories and daemons on one clock."""

    def __init__(self, clusters: Iterable[str] = ("eu",), sources: Iterable[str] = ("fleet",), kinds: tuple[Kind, ...] = KINDS) -> None:
        self.steady = START
        self.wall_offset = 0.0
        self.kinds = kinds
        self.clusters = {name: Cluster(name, 7, START) for name in clusters}
        self.repos = {name: Repo(name, lambda: self.wall) for name in sources}
        self.rules: list[Rule] = []
        self.rewrite: Callable[[OpenWatch, tuple[bytes, ...]], tuple[bytes, ...]] = lambda effect, lines: lines
        self.daemons: list[Daemon] = []
        self._queue: list[tuple[float, int, Daemon, Input]] = []
        self._count = 0

    # -- the world as people and tests move it ----------

    @property
    def wall(self) -> float:
        return self.steady + self.wall_offset

    @property
    def repo(self) -> Repo:
        return next(iter(self.repos.values()))

    def daemon(self, identity: str = "one", **changes: Any) -> Daemon:
        """Start one more daemon over everything."""
        settings = Settings(
            **{
                "sources": tuple(SourceSettings(SourceName(n), f"https://git.example.org/{n}", status_branch="") for n in self.repos),
                "clusters": tuple(ClusterSettings(ClusterName(n), default=i == 0) for i, n in enumerate(self.clusters)),
                "identity": identity,
                "home": ClusterName(next(iter(self.clusters))),
                **changes,
            }
        )
        made = Daemon(Engine(settings, self.kinds, f"{identity} {self._count}".encode()))
        self.daemons.append(made)
        return made

    def kill(self, daemon: Daemon) -> None:
        """End a daemon as a crash does: what is under way to it is lost."""
        daemon.dead = True
        self.daemons.remove(daemon)

    def restart(self, daemon: Daemon, identity: str = "one") -> Daemon:
        """A crash, and a new life with the same settings."""
        self.kill(daemon)
        made = Daemon(Engine(daemon.engine.settings, self.kinds, f"{identity} {self._count}".encode()))
        self.daemons.append(made)
        return made

    def commit(self, files: Mapping[str, str | bytes | None], source: str = "", **more: Any) -> CommitId:
        """Commit, and tell the daemons."""
        name = source or next(iter(self.repos))
        made = self.repos[name].commit(files, **more)
        for daemon in self.daemons:
            daemon.inbox.append(SourceHint(SourceName(name)))
        return made

    def call(self, method: str, path: str, body: Any = None, cluster: str = "", content: str = "application/json") -> tuple[int, Json]:
        """A request by somebody else."""
        text = b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        pairs = tuple((k, v) for k, _, v in (part.partition("=") for part in query.split("&") if part))
        at = self.clusters[cluster or next(iter(self.clusters))]
        answer = at.handle(HttpRequest(method, path, pairs, text, content if body is not None else "", user_agent="kubectl"), self.wall)
        return answer.status, json.loads(answer.body)

    def get(
        self, name: str, plural: str = "configmaps", cluster: str = "", namespace: str = "default", top: str = "/api/v1"
    ) -> Json | None:
        """A live object; None where there is none."""
        where = f"{top}/namespaces/{namespace}/{plural}" if namespace else f"{top}/{plural}"
        status, body = self.call("GET", f"{where}/{quote(name)}", cluster=cluster)
        return body if status == 200 else None

    def names(self, plural: str = "configmaps", cluster: str = "", namespace: str = "default") -> list[str]:
        """The names of our live objects of a kind."""
        _, body = self.call("GET", f"/api/v1/namespaces/{namespace}/{plural}", cluster=cluster)
        return sorted(i["metadata"]["name"] for i in body["items"] if "reconciler.dev/managed-by" in i["metadata"].get("labels", {}))

    def rule(
        self,
        match: Callable[[Effect], bool],
        answer: Callable[[Any, Perform], Input | None],
        times: int = 1,
        seconds: float = 0.0,
    ) -> Rule:
        """From now on, answer what matches otherwise, `seconds` later than usual."""
        made = Rule(match, answer, times, seconds)
        self.rules.append(made)
        return made

    def cut(self, part: str = "", status: int = 200, error: str = "connection reset") -> None:
        """End all watches whose path holds `part`; what they had not told yet is lost."""
        for daemon in self.daemons:
            for id in [id for id, stream in daemon.streams.items() if part in stream.effect.path]:
                del daemon.streams[id]
                self._send(daemon, WatchClosed(id, status, error))

    # -- time ----------

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.steady + seconds
        self._until(lambda: False, end)
        self.steady = end

    def until(self, look: Callable[[], Any], seconds: float = 120.0) -> None:
        """Let time pass until something is so."""
        self._until(look, self.steady + seconds)
        assert look(), "waited in vain"

    def never(self, look: Callable[[], Any], seconds: float) -> None:
        """Let so much time pass, and see at each of its steps that something is not so."""
        end = self.steady + seconds
        self._until(look, end)
        assert not look(), f"after {self.steady - START:g} s"
        self.steady = end

    def settle(self, daemon: Daemon, seconds: float = 120.0) -> Report:
        """Let time pass until a daemon has read the tips and nothing moves by itself."""

        def settled() -> bool:
            tips = [repo.refs.get(MAIN) for repo in self.repos.values()]
            read = [commit.id if commit else None for commit in daemon.report.commits.values()]
            return tips == read and daemon.report.settled

        self.until(settled, seconds)
        return daemon.report

    def _until(self, look: Callable[[], Any], end: float) -> None:
        for _ in range(STEPS_LIMIT):
            self._round()
            if look():
                return
            due = self._next()
            if due > end:
                return
            self.steady = max(self.steady, due)
        raise AssertionError(f"more than {STEPS_LIMIT} steps: somebody spins")

    def _next(self) -> float:
        due = [self._queue[0][0]] if self._queue else []
        due += [d.engine.wake_at for d in self.daemons if d.engine.wake_at is not None]
        due += [self.steady for d in self.daemons if d.inbox]
        for stream in (stream for d in self.daemons for stream in d.streams.values()):
            due.append(min(stream.cursor.ends_at - self.wall_offset, stream.told_at + BOOKMARK_SECONDS))
        due += [t - self.wall_offset for c in self.clusters.values() if (t := c.tick(self.wall)) is not None]
        return max(min(due, default=float("inf")), self.steady)

    def _round(self) -> None:
        for cluster in self.clusters.values():
            cluster.tick(self.wall)
        while self._queue and self._queue[0][0] <= self.steady:
            _, _, daemon, message = heapq.heappop(self._queue)
            if not daemon.dead:
                daemon.inbox.append(message)
        for daemon in list(self.daemons):
            for id, stream in list(daemon.streams.items()):
                self._stream(daemon, id, stream)
            inputs, daemon.inbox = daemon.inbox, []
            wake = daemon.engine.wake_at
            if not inputs and wake is not None and wake > self.steady:
                continue
            for effect in daemon.engine.step(inputs, Instant(self.wall, self.steady)):
                self._perform(daemon, effect)

    def _stream(self, daemon: Daemon, id: int, stream: Stream) -> None:
        is_quiet = self.steady - stream.told_at >= BOOKMARK_SECONDS
        lines = stream.cursor.bookmark(self.wall) if is_quiet else stream.cursor.take(self.wall)
        if lines or is_quiet:
            stream.told_at = self.steady
            lines = self.rewrite(stream.effect, lines)
            if lines:
                self._send(daemon, WatchLines(id, lines))
        if stream.cursor.closed or self.wall >= stream.cursor.ends_at:
            del daemon.streams[id]
            self._send(daemon, WatchClosed(id, 200))

    # -- effects ----------

    def _send(self, daemon: Daemon, message: Input, seconds: float = 0.0) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.steady + LATENCY_SECONDS + seconds, self._count, daemon, message))

    def _perform(self, daemon: Daemon, effect: Effect) -> None:
        if isinstance(effect, Log):
            daemon.logs.append(effect)
            return
        daemon.sent.append(effect)
        if isinstance(effect, CloseWatch):
            daemon.streams.pop(effect.id, None)
            return
        for rule in self.rules:
            if rule.used < rule.times and rule.match(effect):
                rule.used += 1
                answer = rule.answer(effect, lambda: self._answer(daemon, effect))
                if answer is not None:
                    self._send(daemon, answer, rule.seconds)
                return
        if isinstance(effect, OpenWatch):
            self._open(daemon, effect)
        else:
            self._send(daemon, self._answer(daemon, effect))

    def _answer(self, daemon: Daemon, effect: Effect) -> Input:
        if not isinstance(effect, Request):
            assert not isinstance(effect, OpenWatch | CloseWatch | Log)
            return self.repos[effect.source].answer(effect)
        request = HttpRequest(effect.method, effect.path, effect.query, effect.body, effect.content_type, effect.accept, "reconciler")
        answer = self.clusters[effect.cluster].handle(request, self.wall)
        retry = dict(answer.headers).get("Retry-After")
        return Answer(effect.id, answer.status, answer.body, retry_after_seconds=float(retry) if retry else None)

    def _open(self, daemon: Daemon, effect: OpenWatch) -> None:
        opened = self.clusters[effect.cluster].watch(HttpRequest("GET", effect.path, effect.query), self.wall)
        if isinstance(opened, Cursor):
            daemon.streams[effect.id] = Stream(effect, opened, self.steady)
            self._stream(daemon, effect.id, daemon.streams[effect.id])
        else:
            self._send(daemon, WatchClosed(effect.id, opened.status))


# -- what tests write and ask ----------


def config_map(name: str, value: str = "1", namespace: str = "default", **notes: str) -> str:
    """A ConfigMap; `notes` are annotations below reconciler.dev/."""
    metadata = {"name": name, "namespace": namespace, "annotations": {f"reconciler.dev/{k}": v for k, v in notes.items()}}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": value}})


def manifest(api: str, kind: str, name: str, namespace: str = "", notes: Json | None = None, **body: Any) -> str:
    """Any object; `notes` are annotations."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "annotations": notes or {}}
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": metadata, **body})


def asks(method: str, part: str, cluster: str = "") -> Callable[[Effect], bool]:
    """Requests of a method whose path holds `part`."""
    return lambda e: isinstance(e, Request) and e.method == method and part in e.path and cluster in ("", e.cluster)


def watches(part: str) -> Callable[[Effect], bool]:
    """Watches whose path holds `part`."""
    return lambda e: isinstance(e, OpenWatch) and part in e.path


def says(status: int, message: str = "no", retry_after_seconds: float | None = None, **more: Any) -> Callable[[Any, Perform], Input]:
    """The answer with that status, and a `Status` as body; nothing is done."""
    body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status, **more}).encode()
    return lambda effect, perform: Answer(effect.id, status, b"" if not status else body, "" if status else message, retry_after_seconds)


def unheard(effect: Any, perform: Perform) -> Input:
    """It is done, and nobody hears of it."""
    perform()
    return Answer(effect.id, 0, error="connection reset")


def lost(effect: Any, perform: Perform) -> None:
    """It is never answered."""


def unit(daemon: Daemon, path: str, source: str = "fleet") -> UnitReport:
    """How one folder stands."""
    return next(u for u in daemon.report.units if u.key == folder(SourceName(source), path))


