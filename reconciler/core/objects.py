"""Objects of kinds as their own API would show them: as they are written, with a status.

Law of the module: read off the engine's state when asked; nothing is remembered, nothing is changed. Around what a kind supplies stands
the same fence as around its plans: whatever it raises is told in the object, and stops nothing.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .identity import ClusterName, GroupKind, Lane, ObjectId, SourceName, UnitKey
from .kind import Json, Kind
from .manifest import Manifest
from .messages import Commit
from .report import UnitReport, lane_told, waits_for
from .told import LaneTold, Table, Told
from .units import Unit, lane_of_path

if TYPE_CHECKING:
    from .engine import Engine
    from .reports import Reports

Guests = Mapping[tuple[SourceName, str], tuple[LaneTold, ...]]
NO_GUESTS: Guests = {}


class Shown(NamedTuple):
    """An object with its status, how its sort is listed, and the lane of its place in the tree."""

    body: Json
    table: Table | None
    lane: Lane | None


class Objects:
    """The objects of one engine."""

    def __init__(self, engine: Engine, reports: Reports) -> None:
        self._engine = engine
        self._reports = reports
        self._broken: dict[str, None] = {}

    def root(self, report: UnitReport, commit: Commit | None, guests: Guests = NO_GUESTS) -> Shown | None:
        """The object of a root; None where it is not in Git, or its kind has no status.

        `commit` is the one that last changed it.
        """
        unit = self._engine.units.units.get(report.key)
        if unit is None or unit.kind.status is None or unit.spec is None or not unit.spec.manifests:
            return None
        manifest = unit.spec.manifests[0]
        told = Told(
            manifest=manifest,
            state=report.state,
            message=report.message,
            waits_for=waits_for(report, commit),
            plan=unit.status,
            since=report.since // 1,  # as it is published, and carried over to the next life
            commit=commit,
            record=report.record,
            problems=unit.plan.problems if unit.plan else (),
            lanes=tuple(self._lanes(unit)),
            guests=guests.get((report.key.source, manifest.name), ()),
            implied=unit.spec.lane,
            clusters=self._clusters(),
            owned=lambda cluster: self._owned(report.key, cluster),
        )
        return Shown(self._with_status(unit.kind, told), table_of(unit.kind, manifest), unit.spec.lane)

    def reference(self, source: SourceName, kind: Kind, manifest: Manifest, guests: Guests) -> Json:
        """The object of a manifest that is only read."""
        desired = self._engine.sources[source].desired
        commit = desired.changed_by(manifest.path) or desired.commit
        told = Told(
            manifest=manifest,
            state="Healthy",
            message="",
            waits_for="",
            plan=None,
            since=commit.at if commit else 0.0,
            commit=commit,
            record=None,
            problems=(),
            lanes=(),
            guests=guests.get((source, manifest.name), ()),
            implied=lane_of_path(manifest.path, dict.fromkeys(self._engine.clusters), self._engine.specs.default),
            clusters=self._clusters(),
            owned=lambda _: (),
        )
        return self._with_status(kind, told)

    def guests(self) -> Guests:
        """Lanes by what they are called: whoever stands on a target is found by the target's name."""
        found: dict[tuple[SourceName, str], list[LaneTold]] = {}
        for key, unit in self._engine.units.units.items():
            for told in self._lanes(unit):
                if told.lane.target:
                    found.setdefault((key.source, told.lane.target), []).append(told)
        return {at: tuple(lanes) for at, lanes in found.items()}

    def manifests(self, kinds: Iterable[GroupKind]) -> Iterator[tuple[SourceName, Manifest]]:
        """All manifests of some kinds, in order of source and path."""
        for name, source in self._engine.sources.items():
            for kind in kinds:
                for _, manifest in sorted(source.desired.kinds.get(kind, {}).items()):
                    yield name, manifest

    # -- the engine's state ----------

    def _lanes(self, unit: Unit) -> Iterator[LaneTold]:
        source = self._engine.sources[unit.key.source]
        may_work = {name: self._reports.may_work(cluster, source) for name, cluster in self._engine.clusters.items()}
        for work in self._engine.work.in_order(unit.key):
            yield lane_told(work, self._engine.clusters[work.lane.cluster], may_work[work.lane.cluster])

    def _clusters(self) -> dict[ClusterName, tuple[str, str]]:
        return {name: (cluster.state, cluster.problem) for name, cluster in self._engine.clusters.items()}

    def _owned(self, key: UnitKey, cluster: ClusterName) -> tuple[ObjectId, ...]:
        return tuple(sorted(self._engine.pruner.owned.get((key, cluster), {})))

    def _with_status(self, kind: Kind, told: Told) -> Json:
        body = told.manifest.body()
        body.pop("status", None)
        assert kind.status is not None
        try:
            return {**body, "status": kind.status(told)}
        except Exception as error:  # the fence (design, law 10): a kind's fault concerns this object, nothing else
            trace = "".join(traceback.format_exception(error))
            mark = hashlib.sha256(f"{told.manifest.path}{trace}".encode()).hexdigest()[:8]
            if mark not in self._broken:
                self._broken[mark] = None
                place = str(told.manifest.place())
                self._engine.wire.log("error", "internal error", object=place, trace=mark, stack=trace[-4000:])
            return {**body, "status": {"reconciler": {"message": f"internal error {mark}; its status is not known"}}}


def table_of(kind: Kind, manifest: Manifest) -> Table | None:
    """The table that a manifest of a kind is listed in."""
    group_kind = GroupKind(manifest.group, manifest.kind)
    return next((table for table in kind.tables if group_kind in table.kinds and table.shows(manifest)), None)
