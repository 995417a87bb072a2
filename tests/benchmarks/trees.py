"""Large trees: what one change costs in them, and how long a start takes until all is planned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from .measure import Result, Sizes
from .world import NAMESPACE, World, Worlds, config_map
from .yardsticks import timed

SHARE_GOAL = 5.0  # times the processor time of the smallest tree


def deployment(name: str, image: str = "shop:1.0") -> str:
    """One file of a large tree."""
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {NAMESPACE}
  labels: {{app: {name}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: web
          image: {image}
"""


def tree(files: int, folder: int, top: str) -> dict[str, str]:
    """So many Deployments, so many in a folder."""
    return {f"{top}f{i // folder}/d{i}.yaml": deployment(f"d{i}") for i in range(files)}


@contextmanager
def large(worlds: Worlds, sizes: Sizes, files: int, top: str) -> Iterator[World]:
    """A world with such a tree, and one folder that is applied."""
    worlds.say(f"a tree of {files} files")
    with worlds.empty() as world:
        world.commit({"live/namespace.yaml": f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n"})
        live = {f"live/c{i}.yaml": config_map(f"c{i}") for i in range(sizes.tree_folder)}
        world.commit({**tree(files - len(live), sizes.tree_folder, top), **live})
        timed("git", "gc", "-q", cwd=world.path)  # as a server has it
        yield world


def plan(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """What one change costs the daemon, in trees of growing size."""
    worlds.release()
    result = Result("plan", "one change in a folder that is applied; all other folders are under hub/, read and not applied")
    by_size: list[float] = []
    for files in sizes.trees:
        with large(worlds, sizes, files, "hub/") as world:
            daemon = world.daemon(status_every="1s")
            tip = world.commit({"live/c0.yaml": config_map("c0", "0")})
            daemon.wait_live(tip)
            daemon.wait_quiet()
            cpu, by_git = [], []
            largest = files == sizes.trees[-1]
            with daemon.profiled(profile if largest else None):
                for number in range(sizes.changes):
                    before, counted, old = daemon.cpu(), daemon.counts(), tip
                    tip = world.commit({"live/c1.yaml": config_map("c1", f"plan {number}")})
                    world.until_told(tip)
                    cpu.append((daemon.cpu() - before) * 1000)
                    after = daemon.counts()
                    by_git.append(timed("git", "diff-tree", "-r", old, tip, cwd=world.path)[1] * 1000)
            by_size.append(median(cpu))
            result.add(f"processor time a change, {files} files", "ms", cpu, goal=50 if largest else None)
            result.add(f"yardstick: git diff-tree, {files} files", "ms", by_git)
            result.counts[f"the daemon's own counts of one change, {files} files"] = {
                word: after[word] - counted[word] for word in ("blobs_read", "parses", "plans", "fetches", "pushes") if word in after
            }
            result.notes.append(f"resident with {files} files: {daemon.memory() / 1e6:.0f} MB")
    result.add(f"{sizes.trees[-1]} files / {sizes.trees[0]} files", "x", by_size[-1] / by_size[0], goal=SHARE_GOAL)
    return result


def start(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """From the start of the process until every folder is planned, without a cache and with its own."""
    worlds.release()
    result = Result("start", "from the start of the process until every folder is planned; all of them are to be applied")
    for files in sizes.trees:
        largest = files == sizes.trees[-1]
        with large(worlds, sizes, files, "") as world:
            for cache in ("cold", "warm"):
                seconds, cpu = [], []
                for _ in range(sizes.starts):
                    folder = world.folder / "daemon" / "cache"
                    if cache == "cold" and folder.exists():
                        shutil.rmtree(folder)
                    daemon = world.daemon()
                    found = daemon.wait(lambda seen: seen["planned_at"], "all is planned", 0.3)
                    cpu.append(found["planned_cpu"])
                    seconds.append(found["planned_at"] - daemon.started_at)
                    daemon.stop()  # gently: the Lease is given back, else the next one waits until it has expired
                goal = (20 if cache == "cold" else 2) if largest else None
                result.add(f"{cache}, {files} files", "s", seconds, goal=goal)
                result.add(f"{cache}, {files} files: processor time", "s", cpu)
                counted = ("blobs_read", "parses", "units", "plans", "objects")
                result.counts[f"{cache}, {files} files"] = {word: found[word] for word in counted if word in found}
            clone = world.folder / "clone.git"
            by_git = timed("git", "clone", "-q", "--bare", world.url, str(clone))[0]
            result.add(f"yardstick: git clone, {files} files", "s", by_git)
            result.add(f"yardstick: git ls-tree -r, {files} files", "s", timed("git", "ls-tree", "-r", "main", cwd=clone)[0])
    return result
