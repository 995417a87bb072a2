"""The report, kept as cheaply as it changes: only units of which something moved are described again.

Law of the module: reads the engine's parts, changes none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .approvals import BRANCH, OFFERED_LIMIT, idle
from .clusters import Cluster
from .identity import ClusterName, UnitKey
from .kind import Gate, State
from .objects import Objects
from .paths import printable
from .report import Report, Since, UnitReport, lane_key, lane_report, prune_report, unit_report
from .sources import Source
from .status_files import instant

if TYPE_CHECKING:
    from .engine import Engine


class Reports:
    """The report of one engine. `since` may be filled from what an earlier life published."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.since = Since()
        self.objects = Objects(engine, self)
        self._units: dict[UnitKey, UnitReport] = {}
        self._touched: dict[UnitKey, None] = {}

    def touch(self, unit: UnitKey) -> None:
        """Something of a unit has moved."""
        self._touched[unit] = None

    def touch_all(self) -> None:
        """Something that concerns every unit has moved: a cluster, leadership."""
        self._touched.update(dict.fromkeys(self.engine.units.units))

    def units(self) -> dict[UnitKey, UnitReport]:
        """All units, described."""
        self._touched.update(dict.fromkeys(self.engine.checked.look()))
        for key in self._touched:
            if key in self.engine.units.units:
                self._units[key] = self._describe(key)
            else:
                self._units.pop(key, None)
                self.since.states.pop(key, None)
        self._touched = {}
        return self._units

    def report(self) -> Report:
        """Everything, in order of name."""
        engine = self.engine
        units = self.units()
        return Report(
            at=engine.wire.now.wall,
            commits={source.name: source.desired.commit for source in engine.sources.values()},
            source_problems={source.name: source.problem for source in engine.sources.values()},
            clusters={cluster.name: (cluster.state, cluster.problem) for cluster in engine.clusters.values()},
            leading=engine.store.leading,
            standing_by=self._standing_by(),
            units=tuple(units[key] for key in sorted(units)),
            settled=self.settled,
            idle={source.name: idle(source, self._asked, engine.pruner.spent) for source in engine.sources.values()},
        )

    def _asked(self, key: UnitKey, cluster: str) -> tuple[Gate, ...] | str | None:
        """What waits for a person at a unit in a cluster, why there can be nothing, or None where that is not known yet."""
        engine = self.engine
        if cluster and cluster not in engine.clusters:
            return f"no cluster {printable(cluster, 60)} is configured"
        if not engine.store.ready or engine.waits_for_plans():
            return None
        unit = engine.units.units.get(key)
        gates = unit.plan.gates if unit is not None and unit.plan is not None and not cluster else ()
        if cluster:
            pair = (key, ClusterName(cluster))
            if not engine.clusters[pair[1]].all_listed or engine.pruner.undecided(pair):
                return None
            waiting = engine.pruner.waiting.get(pair)
            if waiting is not None and engine.pruner.ranges.of(pair) is None:
                return None  # only planned: the daemon will ask, and nobody can have answered
            gates = (waiting.gate,) if waiting is not None and waiting.gate is not None else ()
        return gates

    @property
    def settled(self) -> bool:
        """Whether nothing will move by itself any more but pods and people."""
        engine = self.engine
        if not engine.store.ready or engine.units.busy or engine.charts.busy or engine.pruner.busy:
            return False
        if engine.store.leading and engine.edits.moving:
            return False
        if any((not source.loaded and not source.problem) or (source.loaded and not source.current) for source in engine.sources.values()):
            return False
        for cluster in engine.clusters.values():
            if cluster.state == "new" or (cluster.state == "up" and not cluster.all_listed and cluster.reflectors):
                return False
            if cluster.state == "up" and engine.settings.act and cluster.name not in engine.store.pins:
                return False
        return not any(
            work.held is None and (work.moving_now or (work.waits and not work.standings.get("blocked")))
            for work in engine.work.all_lanes()
            if engine.clusters[work.lane.cluster].state == "up"
        )

    def _standing_by(self) -> str:
        store = self.engine.store
        if not self.engine.settings.act or store.leading:
            return ""
        if store.home.state == "down":
            why = f"the home cluster {store.home.name} cannot be reached since {instant(store.home.down_at)}: {store.home.problem}"
            return f"{why}; nothing is written to any cluster until it answers, which is tried at least every minute"
        return store.problem or "waiting for the Lease"

    def may_work(self, cluster: Cluster, source: Source) -> str:
        """Why nothing of a source is done in a cluster, "" where it is."""
        engine = self.engine
        if engine.work.may_work(cluster):
            return "" if source.loaded else f"source {source.name} is to be read first: {source.problem}".rstrip(": ")
        if cluster.state == "new":
            return f"{cluster.name} has not answered yet"
        return engine.store.pins.get(cluster.name) or self._standing_by() or f"{cluster.name} is being looked at"

    def _describe(self, key: UnitKey) -> UnitReport:
        engine = self.engine
        unit, source = engine.units.units[key], engine.sources[key.source]
        lanes, rests = [], []
        may_work = {name: self.may_work(cluster, source) for name, cluster in engine.clusters.items()}
        seen: dict[str, None] = {}
        for work in engine.work.in_order(key):
            lane, cluster = work.lane, engine.clusters[work.lane.cluster]
            waiting = None
            if not lane.target and lane.cluster not in seen:  # what goes from a cluster is nobody's who stays there
                waiting = engine.pruner.waiting.get((key, lane.cluster))
                seen[lane.cluster] = None
            lanes.append(lane_report(work, cluster, may_work[lane.cluster], waiting))
        for name, cluster in engine.clusters.items():
            waiting = engine.pruner.waiting.get((key, name))
            if waiting is not None and name not in seen:
                rests.append(prune_report(cluster, may_work[name], waiting))
        commit = source.desired.commit
        if unit.spec and unit.spec.manifests:
            commit = source.desired.changed_last(unit.spec.manifests) or commit
        found = sorted([*lanes, *rests], key=lane_key) if rests else lanes
        return unit_report(unit, found, commit, self._since, self._offered, engine.edits.waits(key), engine.checked.of(key))

    def _since(self, key: UnitKey, state: State) -> float:
        return self.since.of(key, state, self.engine.wire.now.wall)

    def _offered(self, key: UnitKey, gate: Gate, cluster: str) -> str:
        del cluster
        offer = self.engine.offers.offers.get((key.source, gate.name))
        if offer is not None and offer.state == "refused":
            return f"approval {gate.name}; no branch could be made ({offer.problem}): reconciler approve {gate.name}"
        if self.engine.offers.waits_its_turn((key.source, gate.name)):
            return f"approval {gate.name}; not offered yet: {OFFERED_LIMIT} others are, and it is when one of them is answered"
        refs = self.engine.sources[key.source].refs
        if not self.engine.settings.act and refs is not None and BRANCH + gate.name not in refs:
            return f"approval {gate.name}; not offered yet"
        return f"approval: merge branch reconciler/approve/{gate.name}, or: reconciler approve {gate.name}"
