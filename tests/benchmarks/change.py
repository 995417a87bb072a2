"""One changed file of many: from the poll that sees it until it is live, and what that costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import monotonic

from .audit import without_lease, writes
from .measure import Result, Sizes
from .world import Watched, Worlds, config_map
from .yardsticks import change as yardstick

COUNTED = ("blobs_read", "parses", "plans", "fetches", "pushes")


def change(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """One change of many files in many folders, push to live."""
    return _changes(worlds, sizes, sizes.folders, "change", profile)


def folder(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """One change in one folder of all the objects, push to live."""
    return _changes(worlds, sizes, 1, "folder", profile)


def _changes(worlds: Worlds, sizes: Sizes, folders: int, name: str, profile: Path | None) -> Result:
    world, daemon = worlds.installed(sizes.files, folders)
    result = Result(name, f"one change of {sizes.files} files in {folders} folder(s), push to live")
    after_poll, in_all, cpu, requests = [], [], [], []
    totals: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    with Watched(world.access, "configmaps") as watched, daemon.profiled(profile):
        for number in range(sizes.changes):
            which = number * 37 % sizes.files
            value = f"{name} {number}"
            before, mark, cpu_before = daemon.counts(), world.plane.mark(), daemon.cpu()
            pushed = monotonic()
            revision = world.commit({f"f{which % folders}/c{which}.yaml": config_map(f"c{which}", value)})
            live = watched.when(f"c{which}", {"v": value}, pushed)
            world.until_told(revision)
            cpu.append(daemon.cpu() - cpu_before)
            after_poll.append(live - world.polls.poll_of_fetch(pushed))
            in_all.append(live - pushed)
            seen = world.plane.asked(mark)
            asked += seen
            requests.append(float(without_lease(seen)))
            after = daemon.counts()
            totals.update({word: after[word] - before[word] for word in COUNTED if word in after})
    result.add("poll to live", "s", after_poll, goal=1.0)
    result.add("push to live, waiting for the poll included", "s", in_all)
    result.add("API requests a change, without the Lease", "", requests, goal=3)
    result.add("processor time of the daemon a change, until the status branch tells of it", "s", cpu, goal=0.1)
    result.counts[f"the daemon's own counts over {sizes.changes} changes"] = dict(totals)
    result.counts["requests at the API server"] = dict(asked)
    result.notes.append(f"{writes(asked)} writes but the Lease's")
    yardstick(result, world, sizes, after_poll, folders)
    return result
