"""At rest: what it costs to have everything as it should be, and how much memory that takes."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from time import monotonic

from tests.waiting import until

from .audit import without_lease, writes
from .measure import Result, Sizes
from .world import Worlds, config_map
from .yardsticks import timed


def idle(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """A minute in which nothing happens, with many objects live."""
    world, daemon = worlds.installed(sizes.files, sizes.folders)
    daemon.wait_quiet()
    result = Result("idle", f"{sizes.idle_seconds:g} s with {sizes.files} objects, where nothing happens; polls every second")
    before, mark, polls, cpu = daemon.counts(), world.plane.mark(), world.polls["listing"], daemon.cpu()
    end = monotonic() + sizes.idle_seconds
    with daemon.profiled(profile):
        until(lambda: monotonic() >= end, "the time is over", sizes.idle_seconds + 60)
        spent = daemon.cpu() - cpu
    polled, asked, after = world.polls["listing"] - polls, world.plane.asked(mark), daemon.counts()
    done = {"listings": polled, **{word: after[word] - before[word] for word in ("fetches", "plans")}}
    per_minute = 60 / sizes.idle_seconds
    watches = sum(count for word, count in asked.items() if word.startswith("watch "))
    result.add("writes but the Lease's", "", float(writes(asked)), goal=0)
    result.add("reads but watches and the Lease's", "", float(without_lease(asked) - watches), goal=0)
    by_git = [timed("git", "ls-remote", "-q", world.url)[1] for _ in range(sizes.yardsticks)]
    # Polling thirty times as often as it does by default: what is left is less.
    result.add("processor time of the daemon a minute, polling every second", "s", spent * per_minute, goal=0.2)
    result.add("of that a poll, at most", "ms", spent / max(1, polled) * 1000)
    result.add("yardstick: processor time of one git ls-remote", "ms", [1000 * one for one in by_git])
    result.ratio("processor time / as many git ls-remote", [spent], [polled * median(by_git)])
    result.counts["requests at the API server"] = dict(asked)
    result.counts["polls"] = done
    return result


def memory(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """Resident memory with many objects live, and what one further object adds."""
    world, daemon = worlds.installed(sizes.files, sizes.folders)
    result = Result("memory", f"resident memory with {sizes.files} objects, and with {sizes.further} more")
    result.add("after the install", "MB", daemon.memory() / 1e6, goal=200)
    result.add("at most so far", "MB", daemon.memory("VmHWM") / 1e6)
    at_first: list[float] = []
    grown: list[float] = []
    for extra, found in ((0, at_first), (sizes.further, grown)):
        if extra:
            world.commit({f"f{i % sizes.folders}/further{i}.yaml": config_map(f"further{i}") for i in range(extra)})
        for _ in range(sizes.starts):
            revision = world.commit({"hub/now.yaml": config_map(f"now-{monotonic()}")})
            daemon.wait_live(revision)
            daemon.stop()
            daemon.__enter__()
            daemon.wait_live(revision)
            daemon.wait_quiet()
            found.append(daemon.memory())
    result.add("after a start with everything live", "MB", [one / 1e6 for one in at_first], goal=200)
    result.add(f"after a start with {sizes.further} more", "MB", [one / 1e6 for one in grown])
    result.add("a further object", "bytes", (median(grown) - median(at_first)) / sizes.further)
    _, body = world.access.request("GET", "/api/v1/namespaces/bench/configmaps?limit=100")
    sizes_live = [float(len(str(item))) for item in body["items"]]
    result.add("yardstick: one live object as text", "bytes", sizes_live)
    worlds.release()
    return result
