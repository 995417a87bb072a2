"""What a unit may ask while it is planned, and the memory of what it asked.

Law of the module: every answer is a fact of this moment, and every question is kept with a fingerprint of its answer: a unit is
planned again when the answer to a question it asked has changed, and only then. Absent means absent; what is not known yet raises
`NotYet`, and the engine finds it out.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .health import Health
from .identity import ClusterName, GroupKind, Lane, ObjectRef, Place, UnitKey
from .kind import Gate, Status, Wanted
from .manifest import Manifest
from .messages import Chart, ChartFailure, ChartObjects, Commit
from .observed import Live
from .problem import Problem
from .settings import Commits
from .types import Types

Question = tuple[Hashable, ...]
Topic = tuple[Hashable, ...]
Lanes = tuple[tuple[Lane, tuple[Wanted, ...]], ...]


FOLLOWED = ("live", "chart")
"""Questions that cost something for as long as anybody asks them."""


class NotYet(Exception):
    """The answer to a question is not known yet."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A person's word: the manifest that says it, and the commit that brought it."""

    name: str
    place: Place
    commit: Commit | None


class World(Protocol):
    """Who knows the answers: the engine. Each may raise `NotYet`."""

    def manifests_of(self, unit: UnitKey, kind: GroupKind) -> tuple[Manifest, ...]:
        """All manifests of a kind in the unit's source."""

    def named_of(self, unit: UnitKey, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        """Those of them that have a name."""

    def changed_of(self, unit: UnitKey, manifest: Manifest) -> Commit | None:
        """The commit that last changed the file of a manifest."""

    def lane_of(self, manifest: Manifest) -> Lane | str | None:
        """The lane that a manifest's place in the tree implies, None under hub/, or why there is none."""

    @property
    def cluster_names(self) -> tuple[ClusterName, ...]:
        """The clusters that are configured."""

    @property
    def types(self) -> Types:
        """The built-in kinds of Kubernetes."""

    def content_of(self, unit: UnitKey, path: str) -> bytes | None:
        """The text of a file of the unit's source that holds manifests."""

    def well_of(self, unit: UnitKey, lanes: Lanes) -> bool:
        """Whether exactly this is wanted in these lanes, and all of it is applied and healthy."""

    def edit_of(self, unit: UnitKey, key: str) -> str:
        """What has become of an edit: "", "landed", "offered" or "refused: why"."""

    def commits_of(self, unit: UnitKey) -> Commits:
        """What becomes of edits in the unit's source."""

    def live_of(self, ref: ObjectRef) -> Live | None:
        """The live object, whoever owns it."""

    def chart_of(self, chart: Chart) -> ChartObjects | ChartFailure:
        """What a chart comes to."""

    @property
    def has_helm(self) -> bool:
        """Whether charts can be rendered at all."""

    @property
    def urls(self) -> tuple[str, ...]:
        """How addresses begin that may be asked."""

    def forget(self, question: Question) -> None:
        """Nobody asks a question of `FOLLOWED` any more."""

    def health_of(self, unit: UnitKey, lane: Lane, wanted: Wanted) -> Health:
        """How the live object of a wanted one is, once it is the one that is asked for."""

    def owned_by(self, unit: UnitKey, cluster: ClusterName) -> tuple[ObjectRef, ...]:
        """The live objects that a unit owns in a cluster, once all are known."""

    def status_of(self, unit: UnitKey) -> Status | None:
        """What is told of another unit."""

    def approval_of(self, unit: UnitKey, gate: Gate) -> Approved | None:
        """The approval of exactly this gate of this unit."""

    def wanted_of(self, unit: UnitKey, manifests: tuple[Manifest, ...]) -> tuple[tuple[Wanted, ...], tuple[Problem, ...]]:
        """Manifests as objects that should exist, and what is wrong with them."""


class View:
    """The questions of one unit. `asked` maps each question to the fingerprint of its answer."""

    def __init__(self, world: World, unit: UnitKey) -> None:
        self.asked: dict[Question, Hashable] = {}
        self._world = world
        self._unit = unit

    def manifests(self, kind: GroupKind) -> tuple[Manifest, ...]:
        """All manifests of a kind in the unit's source, in order of path."""
        self.asked["manifests", kind] = "not yet"
        found = self._world.manifests_of(self._unit, kind)
        self.asked["manifests", kind] = tuple((m.path, m.index, m.blob) for m in found)
        return found

    def named(self, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        """The manifests of a kind that have a name, in order of path: one, unless it is written twice."""
        question = ("named", kind, namespace, name)
        self.asked[question] = "not yet"
        found = self._world.named_of(self._unit, kind, namespace, name)
        self.asked[question] = tuple((m.path, m.index, m.blob) for m in found)
        return found

    def changed(self, manifest: Manifest) -> Commit | None:
        """The commit that last changed the file of a manifest; no question, since the manifest itself was one."""
        return self._world.changed_of(self._unit, manifest)

    def lane_of(self, manifest: Manifest) -> Lane | str | None:
        """The lane that a manifest's place in the tree implies, None under hub/, or why there is none; a function of its path."""
        return self._world.lane_of(manifest)

    @property
    def clusters(self) -> tuple[ClusterName, ...]:
        """The clusters that are configured, the same for as long as the process runs."""
        return self._world.cluster_names

    @property
    def types(self) -> Types:
        """The built-in kinds of Kubernetes, the same for as long as the process runs."""
        return self._world.types

    def content(self, path: str) -> bytes | None:
        """The text of a file of the unit's source that holds manifests; None where there is none."""
        question = ("content", path)
        self.asked[question] = "not yet"
        found = self._world.content_of(self._unit, path)
        self.asked[question] = found
        return found

    def chart(self, chart: Chart) -> ChartObjects | ChartFailure:
        """What a chart comes to: the same for as long as anybody asks, but that a failure may end."""
        self.asked["chart", chart] = "not yet"
        found = self._world.chart_of(chart)
        self.asked["chart", chart] = found
        return found

    @property
    def has_helm(self) -> bool:
        """Whether charts can be rendered at all, the same for as long as the process runs."""
        return self._world.has_helm

    @property
    def urls(self) -> tuple[str, ...]:
        """How addresses begin that may be asked (`lib.urls`), the same for as long as the process runs."""
        return self._world.urls

    def well(self, lanes: Mapping[Lane, tuple[Wanted, ...]]) -> bool:
        """Whether exactly this is wanted now in these lanes, and all of it is applied and healthy."""
        items = tuple(lanes.items())
        found = self._world.well_of(self._unit, items)
        self.asked["well", self._unit, items] = found
        return found

    def edit(self, key: str) -> str:
        """What has become of an `Edit` of this unit's plan.

        "" nothing is known yet, or it waits its turn; "landed": its commit is part of the branch, or the file says so already; "offered"
        on a branch of its own; "refused: why", which is tried again later and later.
        """
        found = self._world.edit_of(self._unit, key)
        self.asked["edit", key] = found
        return found

    @property
    def commits(self) -> Commits:
        """What becomes of edits: committed, offered as branches, or only recorded; the same for as long as the process runs."""
        return self._world.commits_of(self._unit)

    def live(self, ref: ObjectRef) -> Live | None:
        """A live object, whoever owns it; None only where it is known not to exist."""
        self.asked["live", ref] = "not yet"
        found = self._world.live_of(ref)
        self.asked["live", ref] = (found.uid, found.version) if found else None
        return found

    def health(self, lane: Lane, wanted: Wanted) -> Health:
        """How a wanted object is: NotFound, InProgress until the live one is what is asked for *now*, then what it says of itself."""
        question = ("health", lane, wanted)
        self.asked[question] = "not yet"
        found = self._world.health_of(self._unit, lane, wanted)
        self.asked[question] = found
        return found

    def owned(self, cluster: ClusterName) -> tuple[ObjectRef, ...]:
        """The live objects that this unit owns in a cluster."""
        question = ("owned", self._unit, cluster)
        self.asked[question] = "not yet"
        found = self._world.owned_by(self._unit, cluster)
        self.asked[question] = found
        return found

    def unit(self, key: UnitKey) -> Status | None:
        """What is told of another unit; None where there is none."""
        found = self._world.status_of(key)
        self.asked["unit", key] = found
        return found

    def approval(self, gate: Gate) -> Approved | None:
        """The approval of exactly this gate, if a person has merged one."""
        found = self._world.approval_of(self._unit, gate)
        self.asked["approval", gate] = found.place if found else None
        return found

    def wanted(self, *manifests: Manifest) -> tuple[tuple[Wanted, ...], tuple[Problem, ...]]:
        """Manifests as objects that should exist, and what is wrong with them; a function of each manifest alone, so no question."""
        return self._world.wanted_of(self._unit, manifests)


def ask_again(world: World, unit: UnitKey, question: Question) -> Hashable:
    """The fingerprint of a question's answer now."""
    view = View(world, unit)
    name, rest = question[0], question[1:]
    try:
        if name == "owned":
            view.owned(rest[1])  # type: ignore[arg-type]
        elif name == "well":
            return world.well_of(unit, rest[1])  # type: ignore[arg-type]  # asked at each event, of ten thousand lanes: not kept again
        else:
            getattr(view, str(name))(*rest)
    except NotYet:
        pass
    return view.asked.get(question, "not yet")


def topic_of(question: Question) -> Topic:
    """What must change for the answer to change; coarser than the question."""
    name = question[0]
    if name == "health":
        lane, wanted = question[1], question[2]
        assert isinstance(lane, Lane) and isinstance(wanted, Wanted)
        return ("object", lane.cluster, wanted.id.group_kind, wanted.id.name)
    if name == "live":
        ref = question[1]
        assert isinstance(ref, ObjectRef)
        return ("object", ref.cluster, ref.id.group_kind, ref.id.name)
    if name == "approval":
        return ("approvals",)
    if name == "named":
        return ("manifests", question[1])
    if name == "well":
        return ("well", question[1])
    return question
