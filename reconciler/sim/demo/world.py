"""The demo's world: three embedded clusters, a Git server with one repository, a person's clone of it, and a daemon.

Law of the module: everything listens on loopback, lives in one folder and in this process, and is gone when the block ends. The API
servers want a token, which stands in the kubeconfig; the Git server lets everybody on this machine push, so that nobody needs a password.

In the folder: `kubeconfig` (contexts eu, us, lab), `reconciler.yaml` (the daemon's configuration), `repo` (the clone), `daemon.log`,
and beside them what the servers keep (`served`, `cache`).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pygit2

from reconciler import schemas
from reconciler.adapters.clock import Clock
from reconciler.core import yaml
from reconciler.core.identity import ClusterName, ObjectId, SourceName, UnitKey, folder
from reconciler.core.ownership import MANAGED_BY, OWNER, owner_text
from reconciler.core.status_files import path_of
from reconciler.sim.cluster.cluster import Cluster
from reconciler.sim.cluster.front import Front, kubeconfig_text
from reconciler.sim.cluster.http import Request
from reconciler.sim.gitserver import GitServer, environment

CLUSTERS = ("eu", "us", "lab")
SOURCE = SourceName("demo")
STATUS_BRANCH = "reconciler-status"
GIT_SECONDS = 60.0  # the longest that one Git command may take

Json = dict[str, Any]
Daemon = Callable[[Path], AbstractAsyncContextManager["asyncio.Task[None]"]]
"""Runs a daemon with the configuration in a folder, logging to `daemon.log` there, while its block runs."""


class Trouble(Exception):
    """A part of the world did not do what it was told; says which, and what it answered."""


class World:
    """The parts, and ways to look at them that anybody has: API servers, branches."""

    def __init__(self, top: Path, fronts: dict[str, Front], server: GitServer, clock: Clock) -> None:
        self.top = top
        self.clone = top / "repo"
        self.url = server.url(SOURCE)
        self.begun = clock.now().steady
        self._served = server.path(SOURCE)
        self._fronts = fronts
        self._clock = clock
        self.daemon: asyncio.Task[None] | None = None

    @property
    def now(self) -> float:
        """Seconds on a clock that does not jump."""
        return self._clock.now().steady

    @property
    def wall(self) -> float:
        """What the calendar says, in epoch seconds."""
        return self._clock.now().wall

    # -- clusters ----------

    def get(self, cluster: str, path: str) -> Json:
        """What an API server answers to a GET: an object, a list, or a Status that says why not."""
        answer = self._fronts[cluster].cluster.handle(Request("GET", path), self._clock.now().wall)
        found: Json = json.loads(answer.body)
        return found

    def owned(self, cluster: str, unit: str) -> list[Json]:
        """The live objects that the daemon applied for a unit."""
        store = self._fronts[cluster].cluster.store
        objects = [entry.obj for storage in store.storages() for entry in store.entries(storage)]
        return [obj for obj in objects if _is_owned(obj, ClusterName(cluster), key(unit))]

    async def by_hand(self, cluster: str, path: str, patch: Json) -> Json:
        """A merge patch, sent as kubectl sends it."""
        server = self._fronts[cluster].kubeconfig()["clusters"][0]["cluster"]["server"]
        headers = {"Content-Type": "application/merge-patch+json", "User-Agent": "kubectl/v1.36.0"}
        async with aiohttp.ClientSession() as session, session.patch(server + path, json=patch, headers=headers) as answer:
            found: Json = await answer.json()
        if answer.status != 200:
            raise Trouble(f"PATCH {path} on {cluster}: {found.get('message')}")
        return found

    # -- Git ----------

    async def git(self, *words: str) -> str:
        """Run Git in the person's clone, and return what it says.

        Raises:
            Trouble: it failed.
        """
        command = ["git", "-C", str(self.clone), *words]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), GIT_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise Trouble(f"{' '.join(command)}: {err.decode(errors='replace').strip()}")
        return out.decode(errors="replace").strip()

    async def push(self, subject: str, *paths: str) -> str:
        """Commit these paths (without any: everything) as they lie in the clone, push, and return the commit's first seven digits."""
        await self.git("add", *(paths or ("--all",)))
        await self.git("commit", "--quiet", "-m", subject)
        await self.git("push", "--quiet", "origin", "HEAD")
        return self.tip("main")[:7]

    def tip(self, branch: str) -> str:
        """The commit of a branch of the served repository, "" where there is none."""
        found = pygit2.Repository(str(self._served)).references.get(f"refs/heads/{branch}")
        return str(found.target) if found is not None else ""

    def read(self, branch: str, path: str) -> bytes | None:
        """A file on a branch of the served repository; None where there is none."""
        repository = pygit2.Repository(str(self._served))
        try:
            return bytes(repository[repository[self.tip(branch)].tree[path].id].data)
        except (KeyError, ValueError):
            return None

    def commit(self, branch: str) -> tuple[str, float]:
        """The message of the commit that a branch is at, and when it was made, in epoch seconds."""
        found = pygit2.Repository(str(self._served))[self.tip(branch)].peel(pygit2.Commit)
        return found.message, found.commit_time

    def status(self, unit: str) -> Json:
        """What the status branch says of a unit; nothing where it says nothing yet."""
        text = self.read(STATUS_BRANCH, path_of(key(unit)))
        found: Json = yaml.load(text).documents[0].value if text else {}
        return found


def key(unit: str) -> UnitKey:
    """The unit that people call so: an Instance, or a folder."""
    kind, _, name = unit.partition("/")
    return UnitKey(SOURCE, "solution.symphony", kind, "", name) if kind == "Instance" else folder(SOURCE, unit)


def _is_owned(obj: Json, cluster: ClusterName, unit: UnitKey) -> bool:
    """Whether the owner annotation names this very object and unit (controllers copy it from a Service to its Endpoints)."""
    about = obj["metadata"]
    id = ObjectId(obj["apiVersion"].rpartition("/")[0], obj["kind"], about.get("namespace", ""), about["name"])
    installation = (about.get("labels") or {}).get(MANAGED_BY, "")
    return (about.get("annotations") or {}).get(OWNER) == owner_text(installation, cluster, unit, id)


@asynccontextmanager
async def world(top: Path, daemon: Daemon) -> AsyncIterator[World]:
    """Start everything in the folder `top`, with the example repository cloned but nothing committed; the daemon already follows it.

    Raises:
        Trouble: Git failed.
    """
    clock = Clock()
    token = secrets.token_hex(8)
    async with AsyncExitStack() as stack:
        fronts = {}
        for name in CLUSTERS:
            front = Front(Cluster(name, now=clock.now().wall), lambda: clock.now().wall, token)
            fronts[name] = await stack.enter_async_context(front)
        (top / "served").mkdir()
        server = stack.enter_context(GitServer(top / "served"))
        server.create(SOURCE)
        made = World(top, fronts, server, clock)
        (top / "kubeconfig").write_text(kubeconfig_text(*(front.kubeconfig() for front in fronts.values())), encoding="utf-8")
        (top / "kubeconfig").chmod(0o600)
        (top / "reconciler.yaml").write_text(configuration(made.url), encoding="utf-8")
        await _clone(made)
        made.daemon = await stack.enter_async_context(daemon(top))
        yield made


async def _clone(made: World) -> None:
    """A person's clone, with an identity, and the files of the example repository."""
    made.clone.mkdir()
    await made.git("init", "--quiet", "--initial-branch=main")
    await made.git("remote", "add", "origin", made.url)
    await made.git("config", "branch.main.remote", "origin")
    await made.git("config", "branch.main.merge", "refs/heads/main")
    await made.git("config", "user.name", "Demo")
    await made.git("config", "user.email", "demo@example.org")
    shutil.copytree(schemas.example(), made.clone, dirs_exist_ok=True)


def configuration(url: str) -> str:
    """The daemon's configuration, as an operator would write it."""
    clusters = "".join(f"  - {{name: {name}, kubeconfig: kubeconfig, context: {name}}}\n" for name in CLUSTERS)
    clusters = clusters.replace("context: eu}", "context: eu, default: true}")
    return f"sources:\n  - {{name: {SOURCE}, url: {url}, poll: 1s, commits: direct}}\nclusters:\n{clusters}status: {{every: 1s}}\n"
