"""The whole daemon in one loop: engine, shell and adapters, over sockets to an embedded cluster, and a repository on disk."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pygit2
import pytest

from reconciler.adapters.clock import Clock
from reconciler.adapters.git import Repository
from reconciler.adapters.kube.auth import KubeconfigData, connection
from reconciler.adapters.kube.client import KubeClient
from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, Instant, SourceName
from reconciler.core.manifest import parse
from reconciler.core.messages import CloseWatch, Effect, Input, OpenWatch, Request, WatchClosed
from reconciler.core.settings import ClusterSettings, Settings, SourceSettings
from reconciler.kinds import KINDS
from reconciler.shell import Shell
from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.front import Front
from reconciler.sim.cluster.http import Request as HttpRequest
from tests.core.driver import config_map
from tests.gitserver import commit
from tests.waiting import until_async

HERE, FLEET = ClusterName("here"), SourceName("fleet")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/reconciler"


class Running:
    """A daemon, its cluster and its repository."""

    def __init__(self, front: Front, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.repository = folder / "fleet.git"
        pygit2.init_repository(str(self.repository), bare=True)
        source = SourceSettings(FLEET, str(self.repository), poll_seconds=0.5, status_branch="")
        settings = Settings((source,), (ClusterSettings(HERE, default=True),), identity="one", home=HERE)
        self.engine = Engine(settings, KINDS, b"seed")
        client = KubeClient(connection(KubeconfigData(front.kubeconfig(), "here")))
        followed = Repository(FLEET, str(self.repository), folder / "cache")
        self.shell = Shell(self.engine, {HERE: client}, {FLEET: followed}, parse, Clock(), tell=lambda log, at: None)

    def get(self, path: str) -> dict[str, Any] | None:
        """What stands at a path of the cluster."""
        answer = self.cluster.handle(HttpRequest("GET", path), time.time())
        return dict(json.loads(answer.body)) if answer.status == 200 else None


def played(scene: Callable[[Running], Awaitable[None]], folder: Path) -> Running:
    """Run a daemon, and end it in good order."""

    async def main() -> Running:
        cluster = Cluster("here", 1, time.time())
        async with Front(cluster, time.time) as front:
            running = Running(front, cluster, folder)
            task = asyncio.create_task(running.shell.run())
            try:
                await scene(running)
            finally:
                running.shell.stop()
                await asyncio.wait_for(task, 30)
            return running

    return asyncio.run(main())


def text(value: str) -> bytes:
    return config_map("x", value).encode()


async def seen(running: Running, value: str) -> None:
    """Wait until Git's value is live."""

    async def is_live() -> bool:
        live = running.get("/api/v1/namespaces/default/configmaps/x")
        return live is not None and live["data"]["v"] == value

    await until_async(is_live, f"{value} is live", 20)


def test_what_git_says_is_made_so_and_polls_come_though_nothing_else_happens(tmp_path: Path) -> None:
    """Nobody tells that the repository has moved: only a timer finds it."""

    async def scene(running: Running) -> None:
        for value in ("1", "2", "3"):
            commit(running.repository, {"a/x.yaml": text(value)})
            await seen(running, value)

    played(scene, tmp_path)


def test_who_ends_in_good_order_has_given_the_lease_back(tmp_path: Path) -> None:
    """The answer is waited for: whoever follows need not wait for the term to end."""

    async def scene(running: Running) -> None:
        commit(running.repository, {"a/x.yaml": text("1")})
        await seen(running, "1")

    ended = played(scene, tmp_path)
    lease = ended.get(LEASE)
    assert lease is not None and lease["spec"].get("holderIdentity", "") == "" and ended.engine.wire.in_flight == 0


class Script:
    """Asks for one thing after the other, the next when `steps` have passed, and keeps what it hears."""

    stopping = False
    wake_at: float | None = 0.0

    def __init__(self, effects: Iterable[Effect]) -> None:
        self.heard: list[Input] = []
        self._effects = list(effects)

    def step(self, inputs: Iterable[Input], now: Instant) -> list[Effect]:
        self.heard.extend(inputs)
        if not self._effects:
            self.wake_at = None
        return [self._effects.pop(0)] if self._effects else []


async def performed(script: Script, until: Callable[[], bool]) -> None:
    """Let a shell do what a script says, before an embedded cluster."""
    cluster = Cluster("here", 1, time.time())
    async with Front(cluster, time.time) as front:
        client = KubeClient(connection(KubeconfigData(front.kubeconfig(), "here")))
        shell = Shell(cast(Engine, script), {HERE: client}, {}, parse, Clock())
        async with asyncio.timeout(20):
            await shell.run(until)


def test_a_fault_of_an_effect_ends_the_program_with_its_reason() -> None:
    """Its answer would never come: better no daemon than one that waits for ever."""
    nowhere = Request(1, ClusterName("nowhere"), "GET", "/version")
    with pytest.raises(KeyError, match="nowhere"):
        asyncio.run(performed(Script([nowhere]), lambda: False))


def test_a_watch_that_is_closed_ends_and_says_so() -> None:
    """Its connection is the server's to keep for minutes, were it not hung up."""
    query = (("watch", "1"), ("timeoutSeconds", "290"))
    script = Script([OpenWatch(7, HERE, "/api/v1/configmaps", query, 120.0), CloseWatch(7)])
    asyncio.run(performed(script, lambda: bool(script.heard)))
    assert [type(message) for message in script.heard] == [WatchClosed] and script.heard[0].id == 7  # type: ignore[union-attr]
