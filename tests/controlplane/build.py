"""Building the servers: etcd, the Kubernetes control plane, kubectl and kwok, from go.mod, once a machine; and helm, from helm/go.mod.

Law of the module: the binaries live outside the tree, in a folder named after what they are built from; that folder exists only
when it is whole. Building takes some nine minutes of processor time from nothing (helm three more) and no time afterwards.

`RECONCILER_TEST_SERVERS` and `RECONCILER_TEST_HELM` name folders of ready binaries for machines that have them. Run as a program, it
builds the servers and prints their folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

HERE = Path(__file__).parent
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok")
VERSION_PACKAGE = "k8s.io/component-base/version"

Say = Callable[[str], None]


class Tools(NamedTuple):
    """Programs that one Go module builds. They do not share one: helm would move what Kubernetes is made of."""

    module: Path
    binaries: tuple[str, ...]
    ready: str  # the variable that names a folder of them
    name: str
    needed: str  # what is said where there is no Go


SERVERS = Tools(
    HERE,
    BINARIES,
    "RECONCILER_TEST_SERVERS",
    "the test servers (Kubernetes, etcd, kwok)",
    "Go is missing, which builds the Kubernetes servers that this test runs against",
)
HELM = Tools(HERE / "helm", ("helm",), "RECONCILER_TEST_HELM", "helm", "Go is missing, which builds the helm that this test runs")


class NoServersError(Exception):
    """This machine cannot have the servers (it has no Go): tests that need them are skipped, with these words."""


class BuildError(Exception):
    """The servers could not be built: tests that need them fail, with these words."""


def servers(say: Say, say_every_seconds: float = 30.0) -> Path:
    """The folder that holds every one of `BINARIES`, built where it does not exist yet; `say` is told how it goes.

    Raises:
        NoServersError: there is neither a ready folder nor Go.
        BuildError: building failed.
    """
    return built(SERVERS, say, say_every_seconds)


def built(tools: Tools, say: Say, say_every_seconds: float = 30.0) -> Path:
    """The folder that holds these tools; as `servers`."""
    if ready := os.environ.get(tools.ready):
        return _checked(tools, Path(ready))
    folder = _cache() / _key(tools, _go_version(tools))
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock"), tools, say):
            if not folder.exists():  # another may have built it while we waited for the lock
                _build(tools, folder, say, say_every_seconds)
    return folder


def program(folder: Path, name: str) -> str:
    """The path of one server. etcd's package is called `server`, and so is its binary where Go named it."""
    path = folder / name
    return str(path if path.exists() or name != "etcd" else folder / "server")


def _checked(tools: Tools, folder: Path) -> Path:
    missing = [name for name in tools.binaries if not Path(program(folder, name)).is_file()]
    if missing:
        raise BuildError(f"{tools.ready}={folder} lacks {', '.join(missing)}")
    return folder


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "reconciler-test-servers"


def _go_version(tools: Tools) -> str:
    if shutil.which("go") is None:
        raise NoServersError(tools.needed)
    return _go(tools, "env", "GOVERSION").strip()


def _key(tools: Tools, go_version: str) -> str:
    digest = hashlib.sha256(go_version.encode())
    for name in ("go.mod", "go.sum"):
        digest.update((tools.module / name).read_bytes())
    return digest.hexdigest()[:20]


def _go(tools: Tools, *words: str) -> str:
    done = subprocess.run(["go", *words], cwd=tools.module, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"go {' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _module_version(module: str) -> str:
    return _go(SERVERS, "list", "-m", "-f", "{{.Version}}", module).strip()


def _build_flags(tools: Tools) -> list[str]:
    """Versions are stamped into the binaries: `kubectl version` fails without, and kwok's nodes tell it."""
    if tools is HELM:
        return ["-trimpath", "-ldflags", "-s -w"]
    kubernetes, kwok = _module_version("k8s.io/kubernetes"), _module_version("sigs.k8s.io/kwok")
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    stamps = {
        f"{VERSION_PACKAGE}.gitVersion": kubernetes,
        f"{VERSION_PACKAGE}.gitMajor": major,
        f"{VERSION_PACKAGE}.gitMinor": minor,
        "sigs.k8s.io/kwok/pkg/consts.Version": kwok,
    }
    return ["-trimpath", "-ldflags", "-s -w " + " ".join(f"-X {name}={value}" for name, value in stamps.items())]


def _build(tools: Tools, folder: Path, say: Say, say_every_seconds: float) -> None:
    """Build into a neighbour of `folder` and rename: a half-built folder is never seen."""
    half = folder.with_suffix(".building")
    shutil.rmtree(half, ignore_errors=True)  # left by a build that was killed; the lock says that nobody is at it
    half.mkdir()
    say(f"building {tools.name}; some minutes, once on this machine")
    with _progress(tools, say, say_every_seconds) as seen:
        command = ["go", "build", "-v", *_build_flags(tools), "-o", f"{half}/", "tool"]
        with subprocess.Popen(command, cwd=tools.module, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as build:
            assert build.stderr is not None
            tail = _follow(build.stderr, seen)
    if build.returncode:
        raise BuildError(f"building {tools.name} failed:\n" + "\n".join(tail))
    if tools is SERVERS:
        (half / "server").rename(half / "etcd")
    half.rename(folder)


def _follow(lines: IO[str], seen: list[str]) -> list[str]:
    """Read Go's lines as they come: each names a module being fetched or a package being compiled. Keep the last few."""
    for line in lines:
        seen.append(line.rstrip())
    return seen[-30:]


@contextmanager
def _progress(tools: Tools, say: Say, every_seconds: float) -> Iterator[list[str]]:
    """Say now and then how far the build is, while the body runs."""
    seen: list[str] = []
    started, over = time.monotonic(), threading.Event()

    def tell() -> None:
        fetched = sum(line.startswith("go: downloading") for line in seen)
        elapsed = time.monotonic() - started
        say(f"building {tools.name}: {elapsed / 60:.1f} min, {fetched} modules fetched, {len(seen) - fetched} packages compiled")

    def keep_telling() -> None:
        while not over.wait(every_seconds):
            tell()

    teller = threading.Thread(target=keep_telling, daemon=True)
    teller.start()
    try:
        yield seen
    finally:
        over.set()
        teller.join()
    tell()


@contextmanager
def _locked(path: Path, tools: Tools, say: Say) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building {tools.name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        print(servers(lambda line: print(line, file=sys.stderr, flush=True)))
    except (NoServersError, BuildError) as reason:
        sys.exit(str(reason))
