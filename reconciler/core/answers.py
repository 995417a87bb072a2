"""The answers to what units ask while they are planned: the engine's state, read as `view.World`.

Law of the module: reads, and never changes what it reads; what is not known yet is `NotYet`, never a guess.
"""

from __future__ import annotations

from . import health
from .approvals import find
from .charts import Charts
from .clusters import Cluster
from .edits import Edits
from .health import Health
from .identity import ClusterName, GroupKind, Lane, ObjectRef, SourceName, UnitKey
from .kind import Gate, Status, Wanted
from .manifest import Manifest
from .messages import Chart, ChartFailure, ChartObjects, Commit
from .observed import Live
from .ownership import DIGEST, request_digest
from .problem import Problem
from .prune import Pruner
from .settings import Commits, Settings
from .sources import Source
from .store import Store
from .types import NO_TYPES, Types
from .units import Units, lane_of_path
from .view import Approved, Lanes, NotYet, Question
from .wire import Wire


class Answers:
    """`view.World` over the parts of one engine. `units`, `pruner` and `edits` are set once they exist."""

    units: Units
    pruner: Pruner
    edits: Edits

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        store: Store,
        sources: dict[SourceName, Source],
        clusters: dict[ClusterName, Cluster],
        default: str | None,
    ) -> None:
        self.wire = wire
        self.store = store
        self.sources = sources
        self.clusters = clusters
        self.default = default
        self._by_name: dict[str, object] = {str(name): cluster for name, cluster in clusters.items()}
        self.settings = settings
        self.charts = Charts(wire, lambda chart: self.units.changed(("chart", chart)))

    def manifests_of(self, unit: UnitKey, kind: GroupKind) -> tuple[Manifest, ...]:
        """All manifests of a kind in the unit's source, in order of path."""
        desired = self.sources[unit.source].desired
        if desired.lost:
            raise NotYet
        found = desired.kinds.get(kind, {})
        return tuple(found[at] for at in sorted(found))

    def named_of(self, unit: UnitKey, kind: GroupKind, namespace: str, name: str) -> tuple[Manifest, ...]:
        """Those of them that have a name, in order of path."""
        desired = self.sources[unit.source].desired
        if desired.lost:
            raise NotYet  # perhaps in a file that cannot be read now, and is looked up in history
        return desired.named(kind, namespace, name)

    def changed_of(self, unit: UnitKey, manifest: Manifest) -> Commit | None:
        """The commit that last changed the file of a manifest."""
        desired = self.sources[unit.source].desired
        return desired.changed_by(manifest.path) or desired.commit

    def lane_of(self, manifest: Manifest) -> Lane | str | None:
        """The lane that a manifest's place in the tree implies."""
        return lane_of_path(manifest.path, self._by_name, self.default)

    @property
    def cluster_names(self) -> tuple[ClusterName, ...]:
        """The clusters that are configured."""
        return tuple(self.clusters)

    @property
    def types(self) -> Types:
        """The built-in kinds of Kubernetes; none where the engine was given none."""
        return self.units.work.types or NO_TYPES

    def content_of(self, unit: UnitKey, path: str) -> bytes | None:
        """The text of a file of the unit's source that holds manifests, as it last could be read."""
        desired = self.sources[unit.source].desired
        if desired.lost:
            raise NotYet
        return desired.text(path)

    def well_of(self, unit: UnitKey, lanes: Lanes) -> bool:
        """Whether exactly this is wanted in these lanes, and all of it is applied and healthy."""
        works = self.units.work.lanes.get(unit, {})
        for lane, wanted in lanes:
            work = works.get(lane)
            if work is None or work.held is not None or self.clusters[lane.cluster].state != "up":
                return False
            if len(work.items) != len(wanted) or not all(map(work.items.__contains__, wanted)):
                return False
            if len(work.standings.get("healthy", ())) != len(wanted):
                return False
        return True

    def live_of(self, ref: ObjectRef) -> Live | None:
        """The live object, whoever owns it, watched from the first question on."""
        cluster = self.clusters[ref.cluster]
        if cluster.discovery is None:
            raise NotYet
        topic = ("object", cluster.name, ref.id.group_kind, ref.id.name)
        reflector = cluster.followed.ask(ref.id, lambda _old, _new: self.units.changed(topic))
        if reflector is None:
            if cluster.discovery.absent(ref.id.group_kind):
                return None
            raise NotYet
        if not reflector.complete:
            raise NotYet
        return reflector.objects.get(ref.id)

    def chart_of(self, chart: Chart) -> ChartObjects | ChartFailure:
        """What a chart comes to, rendered when it is first asked for."""
        found = self.charts.ask(chart)
        if found is None:
            raise NotYet
        return found

    @property
    def has_helm(self) -> bool:
        """Whether charts can be rendered at all."""
        return self.settings.helm

    @property
    def urls(self) -> tuple[str, ...]:
        """How addresses begin that may be asked."""
        return self.settings.urls

    def forget(self, question: Question) -> None:
        """Nobody asks a question of `FOLLOWED` any more."""
        about = question[1]
        if isinstance(about, ObjectRef):
            self.clusters[about.cluster].followed.end(about.id)
        elif isinstance(about, Chart):
            self.charts.end(about)

    def health_of(self, unit: UnitKey, lane: Lane, wanted: Wanted) -> Health:
        """How the live object of a wanted one is, once it is what is asked for now."""
        cluster = self.clusters[lane.cluster]
        resolved = cluster.resolve(wanted.id, wanted.version) if cluster.discovery is not None else None
        if resolved is None or not cluster.listed(wanted.id.group_kind):
            return Health("InProgress", "NotObserved", "not observed yet")
        live = cluster.owned(resolved[1])
        if live is None:
            return health.NOT_FOUND
        if live.annotations.get(DIGEST) != request_digest(self.store.key, unit, wanted.digest):
            return Health("InProgress", "NotApplied", "not applied yet")
        found = health.compute(live.body(), self.wire.now.wall)
        if found.again_at is not None:
            topic = ("object", cluster.name, wanted.id.group_kind, wanted.id.name)
            seconds = max(0.1, found.again_at - self.wire.now.wall)
            self.wire.after(("asked", topic), seconds, lambda: self.units.changed(topic))
        return found

    def owned_by(self, unit: UnitKey, cluster: ClusterName) -> tuple[ObjectRef, ...]:
        """The live objects that a unit owns in a cluster, once all are known."""
        if not self.clusters[cluster].all_listed:
            raise NotYet
        return tuple(ObjectRef(cluster, id) for id in sorted(self.pruner.owned.get((unit, cluster), {})))

    def status_of(self, unit: UnitKey) -> Status | None:
        """What is told of another unit."""
        held = self.units.units.get(unit)
        return held.status if held else None

    def approval_of(self, unit: UnitKey, gate: Gate) -> Approved | None:
        """The approval of exactly this gate of this unit."""
        return find(self.sources[unit.source], unit, gate)

    def edit_of(self, unit: UnitKey, key: str) -> str:
        """How far an edit that a unit's plan asks for has come."""
        return self.edits.state(unit, key)

    def commits_of(self, unit: UnitKey) -> Commits:
        """How changes of files reach the unit's source."""
        return self.sources[unit.source].settings.commits

    def wanted_of(self, unit: UnitKey, manifests: tuple[Manifest, ...]) -> tuple[tuple[Wanted, ...], tuple[Problem, ...]]:
        """Manifests as objects that should exist, and what is wrong with them."""
        return self.sources[unit.source].desired.wanted(manifests)
