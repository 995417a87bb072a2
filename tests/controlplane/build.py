"""Building the servers: etcd, the Kubernetes control plane, kubectl and kwok, from go.mod, once a machine.

Law of the module: the binaries live outside the tree, in a folder named after what they are built from; that folder exists only
when it is whole. Building takes some nine minutes of processor time from nothing and no time afterwards.

`RECONCILER_TEST_SERVERS` names a folder of ready binaries for machines that have them. Run as a program, it builds and prints the
folder.
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
from typing import IO

HERE = Path(__file__).parent
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok")
READY_VARIABLE = "RECONCILER_TEST_SERVERS"
VERSION_PACKAGE = "k8s.io/component-base/version"

Say = Callable[[str], None]


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
    if ready := os.environ.get(READY_VARIABLE):
        return _checked(Path(ready))
    folder = _cache() / _key(_go_version())
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock"), say):
            if not folder.exists():  # another may have built it while we waited for the lock
                _build(folder, say, say_every_seconds)
    return folder


def program(folder: Path, name: str) -> str:
    """The path of one server. etcd's package is called `server`, and so is its binary where Go named it."""
    path = folder / name
    return str(path if path.exists() or name != "etcd" else folder / "server")


def _checked(folder: Path) -> Path:
    missing = [name for name in BINARIES if not Path(program(folder, name)).is_file()]
    if missing:
        raise BuildError(f"{READY_VARIABLE}={folder} lacks {', '.join(missing)}")
    return folder


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "reconciler-test-servers"


def _go_version() -> str:
    if shutil.which("go") is None:
        raise NoServersError("Go is missing, which builds the Kubernetes servers that this test runs against")
    return _go("env", "GOVERSION").strip()


def _key(go_version: str) -> str:
    digest = hashlib.sha256(go_version.encode())
    for name in ("go.mod", "go.sum"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:20]


def _go(*words: str) -> str:
    done = subprocess.run(["go", *words], cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"go {' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _module_version(module: str) -> str:
    return _go("list", "-m", "-f", "{{.Version}}", module).strip()


def _build_flags() -> list[str]:
    """Versions are stamped into the binaries: `kubectl version` fails without, and kwok's nodes tell it."""
    kubernetes, kwok = _module_version("k8s.io/kubernetes"), _module_version("sigs.k8s.io/kwok")
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    stamps = {
        f"{VERSION_PACKAGE}.gitVersion": kubernetes,
        f"{VERSION_PACKAGE}.gitMajor": major,
        f"{VERSION_PACKAGE}.gitMinor": minor,
        "sigs.k8s.io/kwok/pkg/consts.Version": kwok,
    }
    return ["-trimpath", "-ldflags", "-s -w " + " ".join(f"-X {name}={value}" for name, value in stamps.items())]


def _build(folder: Path, say: Say, say_every_seconds: float) -> None:
    """Build into a neighbour of `folder` and rename: a half-built folder is never seen."""
    half = folder.with_suffix(".building")
    shutil.rmtree(half, ignore_errors=True)  # left by a build that was killed; the lock says that nobody is at it
    half.mkdir()
    say("building the test servers (Kubernetes, etcd, kwok); some minutes, once on this machine")
    with _progress(say, say_every_seconds) as seen:
        command = ["go", "build", "-v", *_build_flags(), "-o", f"{half}/", "tool"]
        with subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as build:
            assert build.stderr is not None
            tail = _follow(build.stderr, seen)
    if build.returncode:
        raise BuildError("building the test servers failed:\n" + "\n".join(tail))
    (half / "server").rename(half / "etcd")
    half.rename(folder)


def _follow(lines: IO[str], seen: list[str]) -> list[str]:
    """Read Go's lines as they come: each names a module being fetched or a package being compiled. Keep the last few."""
    for line in lines:
        seen.append(line.rstrip())
    return seen[-30:]


@contextmanager
def _progress(say: Say, every_seconds: float) -> Iterator[list[str]]:
    """Say now and then how far the build is, while the body runs."""
    seen: list[str] = []
    started, over = time.monotonic(), threading.Event()

    def tell() -> None:
        fetched = sum(line.startswith("go: downloading") for line in seen)
        elapsed = time.monotonic() - started
        say(f"building the test servers: {elapsed / 60:.1f} min, {fetched} modules fetched, {len(seen) - fetched} packages compiled")

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
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the test servers; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        print(servers(lambda line: print(line, file=sys.stderr, flush=True)))
    except (NoServersError, BuildError) as reason:
        sys.exit(str(reason))
