"""The same without us: what the tools that everybody has need for it, in the same run.

Law of the module: each is measured on the same servers and the same repository, after our own measurement. `bare` is aiohttp with as
many requests in flight as the daemon has; `git` and `kubectl` are the programs, start of the process included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from reconciler.core.settings import Settings
from reconciler.sim.gitserver import environment

from .measure import Result, Sizes
from .world import ROOT, World, config_map

AT_ONCE = Settings.__dataclass_fields__["requests_in_flight"].default


def bare(world: World, manifests: Iterable[str]) -> dict[str, float]:
    """Seconds and processor seconds for applying manifests, as they are."""
    bodies = [json.dumps(body) for text in manifests for body in yaml.safe_load_all(text)]
    command = [sys.executable, "-m", "tests.benchmarks.bare", world.access.kubeconfig_path, str(AT_ONCE)]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(bodies), capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def timed(*words: str, cwd: Path | None = None) -> tuple[float, float]:
    """Seconds and processor seconds of one command, from its start to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    env = environment() | {"HOME": tempfile.gettempdir()}  # where kubectl keeps what it discovers
    done = subprocess.run(words, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, (words, done.stderr[-2000:])
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kubectl_apply(world: World, file: Path) -> tuple[float, float]:
    """`kubectl apply --server-side` of a file or folder."""
    access = world.access
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager=kubectl-bench", "-f", str(file))
    return timed(access.kubectl_path, "--kubeconfig", access.kubeconfig_path, *words)


def change(result: Result, world: World, sizes: Sizes, ours: list[float], folders: int) -> None:
    """Fetch, see what differs, apply that one object: by hand, so to speak."""
    clone = world.folder / "yardstick.git"
    if not clone.exists():
        timed("git", "clone", "-q", "--bare", world.url, str(clone))
    by_git, by_bare, by_kubectl = [], [], []
    file = world.folder / "one.yaml"
    for number in range(sizes.yardsticks):
        text = config_map("yardstick", f"{result.name} {number}")
        world.commit({f"hub/f{number % folders}/yardstick.yaml": text})
        file.write_text(text)
        began = time.monotonic()
        timed("git", "fetch", "-q", "origin", "+main:next", cwd=clone)
        timed("git", "diff-tree", "-r", "main", "next", cwd=clone)
        by_git.append(time.monotonic() - began)
        by_bare.append(bare(world, [text])["seconds"])
        by_kubectl.append(kubectl_apply(world, file)[0])
    result.add("yardstick: git fetch and git diff-tree", "s", by_git)
    result.add("yardstick: one bare patch", "s", by_bare)
    result.add("yardstick: kubectl apply --server-side of that one file", "s", by_kubectl)
    result.ratio("poll to live / (git fetch + git diff-tree + bare patch)", ours, [a + b for a, b in zip(by_git, by_bare, strict=True)])
