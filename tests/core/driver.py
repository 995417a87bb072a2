"""The simulated world as tests of the core use it: nothing at random, and answers that a test gives itself.

Law of the module: every effect happens the moment it is asked for and is answered `LATENCY_SECONDS` later, in the order in which
effects came; `World.rule` lets a test answer one otherwise, late, or never, and `World.rewrite` what a watch brings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from reconciler.core.identity import SourceName, folder
from reconciler.core.kind import Kind
from reconciler.core.messages import Answer, Effect, Input, OpenWatch, Request
from reconciler.core.report import Report, UnitReport
from reconciler.kinds import KINDS
from reconciler.sim import daemon as sim
from reconciler.sim import world as sim_world
from reconciler.sim.daemon import Stream
from reconciler.sim.git import MAIN
from reconciler.sim.network import LATENCY_SECONDS, Network
from reconciler.sim.world import START

__all__ = ["LATENCY_SECONDS", "START"]

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


class Daemon(sim.Daemon):
    """One life of a daemon, with the questions that tests ask."""

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


class _Ruled(Network):
    """The network, where a test's rules come first."""

    world: World

    def perform(
        self, daemon: sim.Daemon, effect: Effect, after_seconds: float = 0.0, answer_seconds: float = 0.0, past_seconds: float = 0.0
    ) -> None:
        for rule in self.world.rules:
            if rule.used < rule.times and rule.match(effect):
                rule.used += 1
                answer = rule.answer(effect, lambda: self.ask(daemon, effect))
                if answer is not None:
                    self.deliver(daemon, answer, rule.seconds)
                return
        super().perform(daemon, effect, after_seconds, answer_seconds, past_seconds)

    def _tell(self, daemon: sim.Daemon, stream: Stream, lines: tuple[bytes, ...]) -> None:
        super()._tell(daemon, stream, self.world.rewrite(stream.effect, lines))


class World(sim_world.World):
    """Clusters, repositories and daemons on one clock, and a test's rules."""

    daemons: list[Daemon]  # type: ignore[assignment]
    life = Daemon

    def __init__(self, clusters: Iterable[str] = ("eu",), sources: Iterable[str] = ("fleet",), kinds: tuple[Kind, ...] = KINDS) -> None:
        super().__init__("tests", clusters, sources, kinds)
        self.network: _Ruled = _Ruled(self, jitter=False)
        self.rules: list[Rule] = []
        self.rewrite: Callable[[OpenWatch, tuple[bytes, ...]], tuple[bytes, ...]] = lambda effect, lines: lines

    def daemon(self, identity: str = "one", **changes: Any) -> Daemon:
        """Start one more daemon over everything."""
        made = super().daemon(identity, **changes)
        assert isinstance(made, Daemon)
        return made

    def restart(self, daemon: Daemon, identity: str = "") -> Daemon:
        """A crash, and at once a new life with the same settings."""
        self.kill(daemon)
        made = self.start(daemon.engine.settings)
        assert isinstance(made, Daemon)
        return made

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
                self.network.break_watch(daemon, id, status, error)

    def until(self, look: Callable[[], Any], seconds: float = 120.0) -> None:
        """Let time pass until something is so."""
        assert self.wait(look, seconds), "waited in vain"

    def never(self, look: Callable[[], Any], seconds: float) -> None:
        """Let so much time pass, and see at each of its steps that something is not so."""
        end = self.steady + seconds
        assert not self.wait(look, seconds), f"after {self.steady - START:g} s"
        self.steady = max(self.steady, end)

    def settle(self, daemon: Daemon, seconds: float = 120.0) -> Report:
        """Let time pass until a daemon has read the tips and nothing moves by itself."""

        def settled() -> bool:
            tips = [repo.refs.get(MAIN) for repo in self.repos.values()]
            read = [commit.id if commit else None for commit in daemon.report.commits.values()]
            return tips == read and daemon.report.settled

        self.until(settled, seconds)
        return daemon.report


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


def started(files: Mapping[str, Any], **more: Any) -> tuple[World, Daemon]:
    """A world with these files, and a daemon that has done all there was to do."""
    world = World(**more)
    world.commit(files)
    daemon = world.daemon()
    world.settle(daemon)
    return world, daemon


def value(world: World, name: str) -> str:
    """What stands in a ConfigMap of `config_map`."""
    return str(world.get(name)["data"]["v"])  # type: ignore[index]
