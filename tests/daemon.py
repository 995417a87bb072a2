"""A daemon in this process, over real sockets: the engine, the shell and the adapters as `reconciler run` puts them together.

Law of the module: everything is real but the process, so that a test can count what the engine did. Tests that kill use the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from reconciler import schemas
from reconciler.adapters.clock import Clock
from reconciler.adapters.git import Credentials, Repository
from reconciler.adapters.helm import Helm
from reconciler.adapters.kube.auth import KubeconfigData, connection
from reconciler.adapters.kube.client import KubeClient
from reconciler.core.engine import Engine
from reconciler.core.identity import BlobId, ClusterName, SourceName
from reconciler.core.kind import Kind
from reconciler.core.manifest import Checks, ManifestFile, parse
from reconciler.core.messages import Answer, Effect, Input, OpenWatch, Request
from reconciler.core.report import Report, UnitReport
from reconciler.core.settings import ClusterSettings, Commits, Settings, SourceSettings
from reconciler.core.types import Types
from reconciler.kinds import KINDS
from reconciler.shell import Shell
from tests.waiting import until

SOURCE = SourceName("fleet")


class CountingShell(Shell):
    """Notes every effect, so that tests can count."""

    effects: list[Effect]

    def _perform(self, effect: Effect) -> None:
        self.effects.append(effect)
        super()._perform(effect)


class Daemon:
    """One daemon that follows one repository. A context manager: it runs inside, and ends in good order."""

    def __init__(
        self,
        url: str,
        clusters: Mapping[str, dict[str, Any]],  # name -> kubeconfig; the first is the default and the home
        folder: Path,
        *,
        store: str,
        identity: str = "one",
        path: str = "",
        poll_seconds: float = 0.2,
        credentials: Credentials | None = None,
        kinds: tuple[Kind, ...] = KINDS,
        entropy: bytes | None = None,
        status_branch: str = "reconciler-status",
        status_seconds: float = 1.0,
        commits: Commits = "propose",
        helm: Path | None = None,
        urls: tuple[str, ...] = (),
    ) -> None:
        names = [ClusterName(name) for name in clusters]
        self.settings = Settings(
            sources=(SourceSettings(SOURCE, url, path=path, poll_seconds=poll_seconds, status_branch=status_branch, commits=commits),),
            clusters=tuple(ClusterSettings(name, default=name == names[0]) for name in names),
            identity=identity,
            home=names[0],
            store_namespace=store,
            status_seconds=status_seconds,
            helm=helm is not None,
            urls=urls,
        )
        self._helm = Helm(helm, folder / f"helm-{identity}") if helm else None
        self.kubeconfigs = {ClusterName(name): config for name, config in clusters.items()}
        self.repository = Repository(SOURCE, url, folder / f"cache-{identity}", path, credentials)
        self.checks = Checks.of(schemas.of_manifests(), Types.read(schemas.of_kubernetes()))
        self.engine = Engine(self.settings, kinds, entropy or os.urandom(16), self.checks.types)
        self.parses = 0
        self._abandoned = False
        self.effects: list[Effect] = []
        self._loop = asyncio.new_event_loop()
        self._shell: Shell | None = None
        self._done: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Daemon:
        self._thread.start()
        until(lambda: self._shell is not None or self._done.done(), "the daemon starts")
        return self

    def __exit__(self, *_: object) -> None:
        if self._abandoned:
            return
        assert self._shell is not None
        self._loop.call_soon_threadsafe(self._shell.stop)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the daemon did not end"
        self._done.result(0)

    def abandon(self) -> None:
        """Stop without releasing anything, as a crash would."""
        self._abandoned = True
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
            self._done.set_result(None)
        except BaseException as error:
            self._done.set_exception(error)
        finally:
            self.repository.close()
            self._loop.close()

    async def _main(self) -> None:
        clients = {name: KubeClient(connection(KubeconfigData(config, name))) for name, config in self.kubeconfigs.items()}
        shell = CountingShell(self.engine, clients, {SOURCE: self.repository}, self._parse, Clock(), helm=self._helm)
        shell.effects = self.effects
        self._shell = shell
        self._task = asyncio.ensure_future(shell.run())
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _parse(self, text: bytes, path: str, blob: BlobId) -> ManifestFile:
        self.parses += 1
        return parse(text, path, blob, self.checks)

    # -- looking in ----------

    def report(self) -> Report:
        """How everything stands, read between two steps."""
        if self._done.done():
            self._done.result()
        answer: Future[Report] = Future()
        self._loop.call_soon_threadsafe(lambda: answer.set_result(self.engine.reports.report()))
        return answer.result(10)

    def unit(self, name: str) -> UnitReport | None:
        """One unit, by what people call it."""
        return next((unit for unit in self.report().units if str(unit.key) == name), None)

    def reached(self, commit: str, healthy: bool = True) -> bool:
        """Whether a commit has been read and everything is settled (and well)."""
        report = self.report()
        read = report.commits[SOURCE]
        return read is not None and read.id == commit and report.settled and (report.healthy or not healthy)

    def wait(self, commit: str, healthy: bool = True, limit_seconds: float = 30.0) -> Report:
        """Wait until a commit is live."""
        try:
            until(lambda: self.reached(commit, healthy), f"{commit[:7]} is live", limit_seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.report()} {self.phases()}") from None
        return self.report()

    def phases(self) -> list[tuple[str, str, str]]:
        """Every object that is not done, and its phase: for a failure's message."""
        items = [item for work in list(self.engine.work.all_lanes()) for item in list(work.items.values())]
        return [(str(item.wanted.id), item.phase, item.message) for item in items if item.phase != "done"]

    def requests(self, cluster: str | None = None) -> list[Request]:
        """All requests so far (watches not among them)."""
        return [e for e in list(self.effects) if isinstance(e, Request) and (cluster is None or e.cluster == cluster)]

    def writes(self) -> list[Request]:
        """All requests that change objects; the Lease's do not count."""
        return [r for r in self.requests() if r.method != "GET" and "/leases" not in r.path]

    def watches(self) -> list[OpenWatch]:
        """All watches ever opened."""
        return [e for e in list(self.effects) if isinstance(e, OpenWatch)]


__all__ = ["SOURCE", "Answer", "Daemon", "Input"]
