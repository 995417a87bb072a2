"""What every benchmark stands on: a repository behind HTTP, a real control plane, and `reconciler run` between them.

Law of the module: the daemon has its defaults but for the interval of its polls, which is the shortest that it allows, and, where
single changes are measured, that of its status commits, so that each change is charged with one. What was started is stopped, by its
own handle.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pygit2

from reconciler.core.identity import CommitId
from reconciler.sim.gitserver import GitServer
from tests.controlplane.plane import Access
from tests.gitserver import commit
from tests.waiting import until

from .audit import AuditedPlane

ROOT = Path(__file__).parents[2]
NAMESPACE = "bench"
POLL_SECONDS = 1.0
QUIET_SECONDS = 1.5
LIMIT_SECONDS = 1_200.0
STATUS_REF = "refs/heads/reconciler-status"


class Polls(Counter[str]):
    """The Git server's counts, and when each request came, on the monotonic clock."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[float, str]] = []

    def __setitem__(self, word: str, count: int) -> None:
        self.times.append((time.monotonic(), word))
        super().__setitem__(word, count)

    def poll_of_fetch(self, since: float) -> float:
        """When the listing came that led to the first fetch after a moment."""
        listed = since
        for at, word in self.times:
            if at >= since and word == "fetch":
                return listed
            if word == "listing":
                listed = at
        raise AssertionError("nothing was fetched")


class World:
    """A context manager: everything stands inside."""

    def __init__(self, binaries: Path, folder: Path, *, controllers: bool = False, clusters: tuple[str, ...] = ("eu",)) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.planes = {name: AuditedPlane(binaries, folder / f"plane-{name}", controllers=controllers) for name in clusters}
        self.plane = self.planes[clusters[0]]
        (folder / "served").mkdir()
        self.git = GitServer(folder / "served")
        self.polls = self.git.counts = Polls()
        self.path = self.git.create("fleet")
        self.url = self.git.url("fleet")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.git)
        for plane in self.planes.values():
            self._stack.enter_context(plane)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def access(self) -> Access:
        """How the benchmark itself reaches the API server."""
        assert self.plane.access is not None
        return self.plane.access

    def commit(self, files: Mapping[str, str | None]) -> CommitId:
        """Push as a person would."""
        return commit(self.path, {path: text.encode() if text is not None else None for path, text in files.items()})

    def daemon(self, status_every: str = "30s") -> Daemon:
        """Start a daemon; it ends with the world. A later one finds the cache of the one before it."""
        return self._stack.enter_context(Daemon(self, self.folder / "daemon", status_every))

    def lines(self) -> int:
        """How many requests of the daemon all API servers have answered so far."""
        return sum(plane.lines() for plane in self.planes.values())

    def told(self) -> str:
        """The status page as it stands on the status branch; "" where there is none."""
        repository = pygit2.Repository(str(self.path))
        found = repository.references.get(STATUS_REF)
        return repository[repository[found.target].tree["STATUS.md"].id].data.decode() if found is not None else ""

    def until_told(self, revision: str) -> None:
        """Wait until the status branch says that a commit is live and all is well."""
        until(lambda: self._says(revision), f"the status branch tells of {revision[:7]}", 60)

    def _says(self, revision: str) -> bool:
        return revision[:7] in self.told()


class Daemon:
    """`reconciler run`, in a process of its own."""

    def __init__(self, world: World, folder: Path, status_every: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.world = world
        self._told = folder / "told"
        clusters = []
        for name, plane in world.planes.items():
            (folder / f"kubeconfig-{name}").write_text(json.dumps(plane.daemon.kubeconfig))
            clusters.append({"name": name, "kubeconfig": f"kubeconfig-{name}", "default": plane is world.plane})
        source = {"name": "fleet", "url": world.url, "poll": f"{POLL_SECONDS:g}s"}
        (folder / "reconciler.yaml").write_text(json.dumps({"sources": [source], "clusters": clusters, "status": {"every": status_every}}))

    def __enter__(self) -> Self:
        self._told.unlink(missing_ok=True)
        ready = self._told.with_suffix(".pid")
        ready.unlink(missing_ok=True)
        words = ["run", "--config", str(self.folder / "reconciler.yaml"), "--cache", str(self.folder / "cache"), "--log", "json"]
        self.started_at = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.process", str(self._told), *words], cwd=ROOT, stderr=log
            )
        self.pid = self._process.pid
        self._answers = 0
        until(lambda: ready.exists() or self._process.poll() is not None, "the daemon's process begins", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, *, gently: bool = True) -> None:
        """End it: in good order, or as a crash would. One that has ended stays ended."""
        if self._process.poll() is None:
            self._process.terminate() if gently else self._process.kill()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    # -- looking in ----------

    def counts(self) -> dict[str, Any]:
        """What it has counted so far."""
        self._answers += 1
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGUSR1)
        return until(self._answer, "the daemon tells its counts", 120)

    def _answer(self) -> dict[str, Any] | None:
        if self._process.poll() is not None:
            raise AssertionError(f"the daemon has ended with {self._process.returncode}:\n{(self.folder / 'log').read_text()[-3000:]}")
        told: dict[str, Any] = json.loads(self._told.read_text()) if self._told.exists() else {"answer": 0}
        return told if told["answer"] >= self._answers else None

    def cpu(self) -> float:
        """Processor seconds that it and its children have taken, by the kernel's own clock of the process."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return _cpu_of(self.pid)
        raise AssertionError("the daemon has ended")

    def memory(self, field: str = "VmRSS") -> float:
        """Resident bytes: now ("VmRSS"), or at most so far ("VmHWM")."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise AssertionError(field)

    def wait(self, look: Callable[[dict[str, Any]], Any], what: str, every_seconds: float = 0.5) -> dict[str, Any]:
        """Wait until its counts are so, asking seldom: to be asked costs it something too."""
        due = [0.0]

        def looked() -> dict[str, Any] | None:
            if time.monotonic() < due[0]:
                return None
            found = self.counts()
            due[0] = time.monotonic() + every_seconds
            return found if look(found) else None

        return until(looked, what, LIMIT_SECONDS)

    def wait_live(self, revision: str, writes: int = 0) -> dict[str, Any]:
        """Wait until a commit is read, and all of it is applied and healthy. It is not asked before the server has had so many requests."""
        until(lambda: self.world.lines() >= writes or self._process.poll() is not None, "all is asked for", LIMIT_SECONDS)
        return self.wait(lambda seen: seen["commit"] == revision and seen["settled"] and seen["healthy"], f"{revision[:7]} is live")

    def wait_quiet(self) -> None:
        """Wait until the status branch says how everything stands, and goes on saying it for a moment."""
        seen = [("", 0.0)]

        def looked() -> bool:
            told = self.world.told()
            if told != seen[0][0] or not told:
                seen[0] = (told, time.monotonic())
            return time.monotonic() - seen[0][1] > QUIET_SECONDS

        until(looked, "the status branch is at rest", 120)

    @contextlib.contextmanager
    def profiled(self, file: Path | None) -> Iterator[None]:
        """Profile its main thread meanwhile, where a file is given."""
        if file is None:
            yield
            return
        os.kill(self.pid, signal.SIGUSR2)
        yield
        os.kill(self.pid, signal.SIGUSR2)
        made = self._told.with_suffix(".prof")
        until(made.exists, "the profile is written", 60)
        made.replace(file)


def _cpu_of(pid: int) -> float:
    """Of a process, its ended children, and its living ones."""
    own = time.clock_gettime(~pid << 3 | 2)  # the kernel's name for the clock of a process: clock_getcpuclockid(3)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    living = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                living += _cpu_of(int(child))
    return own + ended + living


class Watched:
    """A watch of the benchmark's own: when each change of the objects that it follows was live. A context manager."""

    def __init__(self, access: Access, plural: str, name: str = "") -> None:
        self.events: list[tuple[float, str, Any]] = []  # when, name, data
        host, port = access.url.removeprefix("https://").split(":")
        context = ssl.create_default_context(cadata=access.ca_pem)
        self._connection = http.client.HTTPSConnection(host, int(port), context=context)
        only = f"&fieldSelector=metadata.name%3D{name}" if name else ""
        path = f"/api/v1/namespaces/{NAMESPACE}/{plural}?watch=1&timeoutSeconds=3600{only}"
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {access.token}"})
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join(10)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            answer = self._connection.getresponse()
            while line := answer.readline():
                body = json.loads(line)["object"]
                self.events.append((time.monotonic(), body["metadata"]["name"], body.get("data")))

    def when(self, name: str, data: Any, since: float, limit_seconds: float = 60.0) -> float:
        """When an object first had this data, after a moment."""
        begin = [0]

        def looked() -> float | None:
            for at, who, seen in self.events[begin[0] :]:
                if at >= since and (who, seen) == (name, data):
                    return at
            begin[0] = max(0, len(self.events) - 100)
            return None

        return until(looked, f"{name} is {data}", limit_seconds)


def config_map(name: str, value: str = "1") -> str:
    """One small object, a file of its own."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\ndata:\n  v: '{value}'\n"


def folders_of(files: int, folders: int) -> dict[str, str]:
    """So many ConfigMaps, evenly in so many folders, and their Namespace."""
    made = {f"f{i % folders}/c{i}.yaml": config_map(f"c{i}") for i in range(files)}
    return {"base/namespace.yaml": f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n", **made}


class Worlds:
    """Keeps the last installed world for benchmarks that can share it."""

    def __init__(self, binaries: Path, folder: Path, say: Callable[[str], None]) -> None:
        self.binaries = binaries
        self.folder = folder
        self.say = say
        self._number = 0
        self._kept: tuple[tuple[int, int], World, Daemon] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def empty(self, *, controllers: bool = False, clusters: tuple[str, ...] = ("eu",)) -> World:
        """A new world, to be used as a context."""
        self._number += 1
        return World(self.binaries, self.folder / f"world-{self._number}", controllers=controllers, clusters=clusters)

    def installed(self, files: int, folders: int) -> tuple[World, Daemon]:
        """A world in which all of `folders_of` is live and quiet, and its daemon runs."""
        if self._kept is not None and self._kept[0] == (files, folders):
            return self._kept[1:]
        self.release()
        world = self._stack.enter_context(self.empty())
        self.say(f"installing {files} objects in {folders} folders")
        first = world.commit(folders_of(files, folders))
        daemon = world.daemon(status_every="1s")
        daemon.wait_live(first)
        daemon.wait_quiet()
        self._kept = ((files, folders), world, daemon)
        return world, daemon

    def release(self) -> None:
        """Let go of what is kept."""
        self._stack.close()
        self._kept = None
