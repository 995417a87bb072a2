"""An edit by hand, until it is undone."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from .audit import without_lease
from .measure import Result, Sizes, percentile
from .world import NAMESPACE, Watched, Worlds


def heal(worlds: Worlds, sizes: Sizes, profile: Path | None) -> Result:
    """An edit by hand of one object of many, until it is healed."""
    world, daemon = worlds.installed(sizes.files, sizes.folders)
    result = Result("heal", f"{sizes.edits} edits by hand, one after the other, each of another of {sizes.files} objects")
    took, patches = [], []
    mark, cpu = world.plane.mark(), daemon.cpu()
    with Watched(world.access, "configmaps") as watched, daemon.profiled(profile):
        for number in range(sizes.edits):
            name = f"c{number * 7 % sizes.files}"
            path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"
            _, held = world.access.request("GET", path)
            wrong = {"v": f"by hand {number}"}
            began = monotonic()
            status, answer = world.access.request("PATCH", path, {"data": wrong}, "application/merge-patch+json")
            assert status == 200, answer
            patches.append(monotonic() - began)
            edited = watched.when(name, wrong, began)
            took.append(watched.when(name, held["data"], edited) - edited)
        spent = daemon.cpu() - cpu
    asked = world.plane.asked(mark)
    result.add("edit to healed, half of all", "s", percentile(took, 50), goal=0.5)
    result.add("edit to healed, 99 of 100", "s", percentile(took, 99), goal=2.0)
    result.add("edit to healed, all", "s", took)
    result.add("API requests an edit, without the Lease", "", without_lease(asked) / sizes.edits)
    result.add("processor time of the daemon an edit", "ms", spent / sizes.edits * 1000)
    result.add("yardstick: the edit itself, its connection included", "s", patches)
    result.ratio("healing / editing", took, patches)
    result.counts["requests at the API server"] = dict(asked)
    return result
