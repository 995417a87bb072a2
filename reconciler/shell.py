"""The shell: drain what happened, step, perform what is to be done.

Law of the module: the only `while True` of the program, and the only place that awaits. It decides nothing: one effect is one call of
one adapter, whatever comes of it goes back in. A fault of the engine itself ends the process (design, law 10).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import log
from .adapters.clock import Clock
from .adapters.git import Repository, changes
from .adapters.helm import Helm
from .adapters.kube.client import KubeClient
from .core.engine import Engine
from .core.identity import BlobId, ClusterName, Instant, SourceName
from .core.manifest import ManifestFile
from .core.messages import (
    Answer,
    CloseWatch,
    Effect,
    Fetch,
    FindTrailer,
    Input,
    ListRefs,
    Log,
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

DRAIN_LIMIT = 2_000
"""Inputs folded in one step; more wait for the next, so that effects are not held up."""

CLOSE_SECONDS = 5.0
"""How long the end waits for what Git is about; a server that hangs must not keep a daemon from ending."""

Parse = Callable[[bytes, str, BlobId], ManifestFile]


class Shell:
    """One engine and its world."""

    def __init__(
        self,
        engine: Engine,
        clusters: Mapping[ClusterName, KubeClient],
        repositories: Mapping[SourceName, Repository],
        parse: Parse,
        clock: Clock,
        watched: Mapping[SourceName, Path] | None = None,
        tell: Callable[[Log, Instant], None] = log.write,
        helm: Helm | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self._clusters = clusters
        self._repositories = repositories
        self._parse = parse
        self._watched = watched or {}
        self._tell = tell
        self._helm = helm
        self._inbox: asyncio.Queue[Input] = asyncio.Queue()
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._watches: dict[int, KubeClient] = {}
        # A repository is not made for many threads: each has one of its own (libgit2).
        self._threads = {name: ThreadPoolExecutor(1, f"git-{name}") for name in repositories}
        self._fault: BaseException | None = None
        self._stepped_at = clock.now()

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Drive the engine until `until` says so after a step, or until the engine has stopped and all is answered."""
        try:
            for name, path in self._watched.items():
                self._start(self._hints(name, path))
            inputs: list[Input] = []
            while True:
                self._stepped_at = self.clock.now()
                for effect in self.engine.step(inputs, self._stepped_at):
                    self._perform(effect)
                if until() or (self.engine.stopping and not self.engine.wire.in_flight):
                    return
                inputs = await self._drain()
                self._raise_faults()
        finally:
            await self._close()

    def put(self, message: Input) -> None:
        """Hand in what happened outside."""
        self._inbox.put_nowait(message)

    def stop(self) -> None:
        """End in good order."""
        self.put(Stop())

    async def _drain(self) -> list[Input]:
        await asyncio.sleep(0)  # effects and sockets get a turn between any two steps
        inputs: list[Input] = []
        if self._inbox.empty():  # else nothing is waited for: `wait_for` of Python 3.11 takes nothing where the time is up already
            wake_at = self.engine.wake_at
            timeout = None if wake_at is None else max(0.0, wake_at - self.clock.now().steady)
            try:
                inputs = [await asyncio.wait_for(self._inbox.get(), timeout)]
            except TimeoutError:
                return []
        while len(inputs) < DRAIN_LIMIT and not self._inbox.empty():
            inputs.append(self._inbox.get_nowait())
        return inputs

    # -- effects ----------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Log():
                self._tell(effect, self.clock.now())
            case OpenWatch():
                client = self._clusters[effect.cluster]
                self._watches[effect.id] = client
                self._start(self._watch(effect.id, client.watch(effect)))
            case CloseWatch():
                if effect.id in self._watches:
                    self._watches[effect.id].close_watch(effect.id)
            case Request():
                self._start(self._ask(effect, self._stepped_at))
            case RenderChart():
                self._start(self._render(effect))
            case _:
                self._start(self._git(effect)).set_name("git")

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
            self._inbox.put_nowait(Stop())

    def _raise_faults(self) -> None:
        if self._fault is not None:
            raise self._fault

    async def _ask(self, effect: Request, decided_at: Instant) -> None:
        """A write counts its time from when it was decided: a process that was stopped in between may not be the one that acts any more."""
        left = effect.timeout_seconds - (self.clock.now().steady - decided_at.steady)
        if effect.method == "GET":
            self.put(await self._clusters[effect.cluster].perform(effect))
        elif left > 0:
            self.put(await self._clusters[effect.cluster].perform(dataclasses.replace(effect, timeout_seconds=left)))
        else:
            self.put(Answer(effect.id, 0, error="not sent: its time was over before its turn came"))

    async def _render(self, effect: RenderChart) -> None:
        assert self._helm is not None  # else nobody asks (`Settings.helm`)
        self.put(await self._helm.render(effect))

    async def _watch(self, id: int, messages: AsyncIterator[WatchLines | WatchClosed]) -> None:
        async for message in messages:
            self.put(message)
        self._watches.pop(id, None)

    async def _git(self, effect: ListRefs | Fetch | ReadPast | ReadFiles | FindTrailer | Push) -> None:
        loop = asyncio.get_running_loop()
        self.put(await loop.run_in_executor(self._threads[effect.source], self._git_now, effect))

    def _git_now(self, effect: ListRefs | Fetch | ReadPast | ReadFiles | FindTrailer | Push) -> Input:
        repository = self._repositories[effect.source]
        match effect:
            case ListRefs():
                return repository.list_refs(effect)
            case Fetch():
                return repository.fetch(effect, self._parse)
            case ReadPast():
                return repository.read_past(effect, self._parse)
            case ReadFiles():
                return repository.read_files(effect)
            case FindTrailer():
                return repository.find_trailer(effect)
            case Push():
                return repository.push(effect)

    async def _hints(self, name: SourceName, path: Path) -> None:
        async for _ in changes(path):
            self.put(SourceHint(name))

    async def _close(self) -> None:
        for repository in self._repositories.values():
            repository.cancel()
        reading = [task for task in self._tasks if task.get_name() == "git"]
        if reading:
            await asyncio.wait(reading, timeout=CLOSE_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clusters.values():
            await client.close()
        if self._helm is not None:
            await self._helm.close()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
