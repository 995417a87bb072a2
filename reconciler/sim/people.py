"""What simulated people do besides committing: they approve what waits, and on bad days they edit and delete by hand, and lose clusters.

Law of the module: each deed is drawn from the seed and its own number, so that leaving one out changes no other. They know what anybody
sees: the branches that are offered, the objects that are live. They tell what they did in words; values never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.core.approvals import BRANCH
from reconciler.core.edits import BRANCH as EDITS
from reconciler.core.identity import CommitId
from reconciler.core.ownership import MANAGED_BY
from reconciler.core.waiting import PROTECTED
from reconciler.lib.durations import brief

from .checks import owner_of
from .faults import Draw
from .timeline import Timeline

if TYPE_CHECKING:
    from .world import World

PERSON = "a person"
MERGE_PATCH = "application/merge-patch+json"
PAUSE_SECONDS = (5.0, 120.0)
OUTAGE_SECONDS = (5.0, 200.0)

Json = dict[str, Any]


class Found(NamedTuple):
    """A live object that a daemon applied, and where its API is."""

    cluster: str
    path: str
    body: Json

    def __str__(self) -> str:
        meta = self.body["metadata"]
        namespace = f" in {meta['namespace']}" if meta.get("namespace") else ""
        return f"{self.body['kind']}/{meta['name']}{namespace} on {self.cluster}"


class Approver:
    """Merges every approval that is offered, `after_seconds` later; never, with None."""

    def __init__(self, world: World, timeline: Timeline, after_seconds: float | None) -> None:
        self._world = world
        self._timeline = timeline
        self._after_seconds = after_seconds
        self._seen: dict[tuple[str, CommitId], None] = {}
        self.pending = 0

    def look(self) -> None:
        """See what is offered that was not."""
        if self._after_seconds is None:
            return
        for ref, tip in list(self._world.repo.refs.items()):
            if ref.startswith((BRANCH, EDITS)) and (ref, tip) not in self._seen:
                self._seen[ref, tip] = None
                self.pending += 1
                self._world.after(self._after_seconds, lambda ref=ref, tip=tip: self._approve(ref, tip))  # type: ignore[misc]

    def _approve(self, ref: str, tip: CommitId) -> None:
        self.pending -= 1
        leader = self._world.leader
        units = () if leader is None else leader.report.units
        waiting = [BRANCH + found.name for unit in units for found, _ in unit.gates]
        is_asked = ref in waiting or any(ref.removeprefix("refs/heads/") in unit.waits_for for unit in units)
        if self._world.repo.refs.get(ref) != tip or (leader is not None and not is_asked):
            return  # it waits no more, or for something else
        self._world.repo.merge(ref)
        self._timeline.tell("person", PERSON, f"merges {ref.removeprefix('refs/heads/')}: approved by a simulated person")


class Hand:
    """Deeds by hand. `do(number)` does one."""

    def __init__(self, world: World, timeline: Timeline, seed: int) -> None:
        self._world = world
        self._timeline = timeline
        self._seed = seed

    def pause_seconds(self, number: int) -> float:
        """How long people wait before a deed."""
        return Draw(f"{self._seed} pause {number}").between(*PAUSE_SECONDS)

    def do(self, number: int) -> None:
        """One deed."""
        draw = Draw(f"{self._seed} deed {number}")
        deeds: tuple[Callable[[Draw, int], None], ...] = (self._edit, self._edit, self._delete, self._lose)
        draw.one(deeds)(draw, number)

    def _edit(self, draw: Draw, number: int) -> None:
        found = self._one(draw, lambda _: True)
        if found is None:
            return
        words, patch = _edit_of(found.body, draw)
        status, _ = self._world.call("PATCH", found.path, patch, found.cluster, MERGE_PATCH)
        self._say(number, f"{words} {found} by hand", status)

    def _delete(self, draw: Draw, number: int) -> None:
        found = self._one(draw, lambda one: one["kind"] not in PROTECTED)
        if found is not None:
            status, _ = self._world.call("DELETE", found.path, cluster=found.cluster)
            self._say(number, f"deletes {found} by hand", status)

    def _lose(self, draw: Draw, number: int) -> None:
        cluster, seconds = draw.one(list(self._world.clusters)), round(draw.between(*OUTAGE_SECONDS))
        self._world.network.cut_off(cluster, seconds)
        self._timeline.tell("cluster", cluster, f"deed {number}: cannot be reached for {brief(seconds)}")

    def _say(self, number: int, words: str, status: int) -> None:
        refused = "" if status < 400 else f", and is refused ({status})"
        self._timeline.tell("person", PERSON, f"deed {number}: {words}{refused}")

    def _one(self, draw: Draw, fits: Callable[[Json], bool]) -> Found | None:
        found = [one for one in self._applied() if fits(one.body)]
        return draw.one(found) if found else None

    def _applied(self) -> Iterable[Found]:
        for name, cluster in self._world.clusters.items():
            for storage in cluster.store.storages():
                for entry in cluster.store.entries(storage):
                    if owner_of(entry.obj, name) is not None:
                        yield Found(name, _path(entry.obj, storage.plural), entry.obj)


def _path(body: Json, plural: str) -> str:
    group = body["apiVersion"]
    top = f"/apis/{group}" if "/" in group else f"/api/{group}"
    namespace = body["metadata"].get("namespace")
    return f"{top}{f'/namespaces/{namespace}' if namespace else ''}/{plural}/{body['metadata']['name']}"


def _edit_of(body: Json, draw: Draw) -> tuple[str, Json]:
    """An edit that fits an object: in words, and as a merge patch."""
    replicas = (body.get("spec") or {}).get("replicas")
    if isinstance(replicas, int):
        wanted = replicas + draw.below(4) + 1
        return f"scales to {wanted}", {"spec": {"replicas": wanted}}
    data = body.get("data")
    if body["kind"] == "ConfigMap" and isinstance(data, dict) and data and not body.get("immutable"):
        key = draw.one(sorted(data))
        return f"changes data.{key} of", {"data": {key: "changed by hand"}}
    theirs = [label for label in body["metadata"].get("labels") or {} if "reconciler.dev/" not in label]
    if theirs:
        label = draw.one(sorted(theirs))
        return f"changes label {label} of", {"metadata": {"labels": {label: "changed-by-hand"}}}
    return "takes our label from", {"metadata": {"labels": {MANAGED_BY: None}}}
