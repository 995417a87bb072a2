"""The engine: what the world said goes in, what should be done comes out.

Law of the module: `step` is synchronous and pure. It folds its inputs, fires what is due, plans what may have changed, compares what
is wanted with what is there, and returns effects; all state is in memory and is read again from Git and the clusters after a
restart. This module only connects its parts; each of them decides one thing.
"""

from __future__ import annotations

from collections.abc import Iterable

from .answers import Answers
from .approvals import APPROVAL, Offers, find
from .checked import Checked
from .clusters import Cluster
from .desired import Touched
from .edits import Edits
from .identity import ClusterName, GroupKind, Instant, ObjectId, ObjectRef, SourceName, UnitKey, folder
from .kind import Gate, Held, Kind
from .lanes import Item
from .messages import Effect, Input, SourceHint, Stop
from .observed import Live
from .ownership import MANAGED_BY
from .prune import Pruner
from .publish import Publisher
from .reports import Reports
from .settings import Settings
from .sources import Source
from .specs import Specs
from .store import Store
from .types import Types
from .units import Unit, Units
from .view import Approved
from .wire import Wire
from .work import Work

OURS = (APPROVAL,)
"""Kinds that the engine itself reads."""


class Engine:
    """One daemon's decisions. `entropy` is the only randomness: the same entropy and inputs give the same effects."""

    def __init__(self, settings: Settings, kinds: tuple[Kind, ...], entropy: bytes, types: Types | None = None) -> None:
        assert kinds and kinds[0].name == "plain"
        self.settings = settings
        self.wire = Wire(entropy)
        self.clusters = {
            c.name: Cluster(c, self.wire, settings.requests_in_flight, self._object_changed, self._cluster_changed)
            for c in settings.clusters
        }
        self.sources = {s.name: Source(s, self.wire, self._commit, self._refs) for s in settings.sources}
        by_name = {str(name): cluster for name, cluster in self.clusters.items()}
        self.store = Store(self.wire, settings, by_name, self._store_changed, self._refresh)
        self.work = Work(
            self.wire, settings, self.store, self.clusters, self.sources, types, self._commit_of, self._moved, self._deleted
        )
        self.specs = Specs(settings, kinds, OURS, self.sources, self.store)
        answers = Answers(self.wire, settings, self.store, self.sources, self.clusters, self.specs.default)
        self.charts = answers.charts
        self.units = answers.units = Units(self.wire, answers, self.store, self.work, self.specs.of, self._planned)
        self.pruner = answers.pruner = Pruner(
            self.work,
            self.units.units.get,
            self.waits_for_plans,
            self._named_in_held,
            self._prune_approval,
            self._source_of,
            self._moved,
        )
        self.offers = Offers(self.wire, self._offer_moved)
        self.edits = answers.edits = Edits(self.wire, self.sources, self.units.is_current, self._edit_moved)
        self.checked = Checked(kinds, self.sources, tuple(self.clusters), self.specs.default, self.units)
        self.reports = Reports(self)
        self.publishers = {s.name: Publisher(self.wire, s, settings, self.reports) for s in self.sources.values()}
        self._saving_kinds: dict[ClusterName, None] = {}
        self._started = False
        self._waits_for_plans = True
        self.stopping = False

    # -- the one method that the shell calls ----------

    def step(self, inputs: Iterable[Input], now: Instant) -> list[Effect]:
        """Fold what happened, and say what to do now."""
        self.wire.now, self.wire.effects = now, []
        if not self._started:
            self._start()
        inputs = list(inputs)
        if any(isinstance(message, Stop) for message in inputs):
            self.stopping = True
            self.store.lease.release()
        for message in inputs:
            if self.stopping:
                self.wire.hear_out(message)
            elif isinstance(message, SourceHint):
                if message.source in self.sources:
                    self.sources[message.source].hint()
            else:
                self.wire.deliver(message)
        if not self.stopping:
            self.wire.fire()
            self.units.run()
            self._look_when_all_is_planned()
            self.work.run()
            self.pruner.run()
            self._waits_for_plans = bool(self.waits_for_plans())  # as deletions were told now
            if self.settings.act and self.store.leading:
                if self.offers.offers:
                    self.offers.run({str(name): source for name, source in self.sources.items()})
                if self.edits.asked:
                    self.edits.run()
                for publisher in self.publishers.values():
                    publisher.run()
        return self.wire.effects

    def _look_when_all_is_planned(self) -> None:
        """Deletions wait until everything is planned: that it is may come without anything else that would make them look."""
        if self._waits_for_plans and not self.waits_for_plans():
            self.pruner.look_at_waiting()

    @property
    def wake_at(self) -> float | None:
        """When to call `step` again if nothing comes in, on the steady clock."""
        return None if self.stopping else self.wire.wake_at

    def _start(self) -> None:
        self._started = True
        for source in self.sources.values():
            source.start()
        for cluster in self.clusters.values():
            cluster.start()

    # -- what happens ----------

    def _commit(self, source: Source, touched: Touched) -> None:
        self.checked.commit(source.name, touched)
        for path in touched.folders:
            self.units.touch(folder(source.name, path), self.specs.plain)
        for key, kind in self.specs.changed_roots(source, touched):
            self.units.touch(key, kind)
        for changed in touched.kinds:
            self.units.changed(("manifests", changed))
        self.units.changed_all("content")
        if touched.known:
            self.units.changed_all("manifests")
            for unit in list(self.units.units.values()):
                if not unit.key.is_folder:
                    self.units.touch(unit.key, unit.kind)
        if APPROVAL in touched.kinds:
            self.units.changed(("approvals",))
            self.pruner.look_at_all()
        self.pruner.look_at_waiting()
        self._find_rests()
        self._touch_reports()

    def _refs(self, source: Source, news: bool) -> None:
        self.publishers[source.name].refs_listed()
        if news:
            self._touch_reports()

    def _cluster_changed(self, cluster: Cluster) -> None:
        self.store.cluster_changed(cluster)
        self._open(cluster)
        self.work.cluster_changed(cluster)
        self.units.changed(("cluster", cluster.name))
        self.units.changed_all("well")
        self.pruner.look_at_all()
        self._everything_moved()

    def _refresh(self) -> None:
        """Look into every source; each acts when it has been looked into, whatever is wrong with others."""
        for source in self.sources.values():
            source.refresh(lambda name=source.name: self._refreshed(name))  # type: ignore[misc]

    def _refreshed(self, source: SourceName) -> None:
        for unit in self.units.units.values():
            if unit.key.source == source:
                self.units.touch(unit.key, unit.kind)
        self._find_rests()
        self.pruner.look_at_all()
        self._everything_moved()

    def _store_changed(self) -> None:
        for cluster in self.clusters.values():
            self._open(cluster)
            self.work.cluster_changed(cluster)
        if self.store.ready:
            self.units.records_read()
            for unit in self.units.units.values():
                self.units.touch(unit.key, unit.kind)
            self._find_rests()
        self.pruner.look_at_all()
        self._everything_moved()

    def _open(self, cluster: Cluster) -> None:
        """Watch our objects in a cluster as soon as we know who we are, and may act there as soon as it is pinned."""
        if not self.store.ready or cluster.state != "up":
            return
        cluster.own(f"{MANAGED_BY}={self.store.installation or 'nobody'}")
        if self.settings.act:
            self.store.pin(cluster)
        cluster.observe(dict.fromkeys(self._recorded_kinds(cluster.name)))
        self._need_kinds(cluster)

    def _recorded_kinds(self, cluster: ClusterName) -> list[GroupKind]:
        record = self.store.records.get(f"cluster:{cluster}")
        return [GroupKind(*text.split("/", 1)) for text in record.value["kinds"]] if record else []

    def _need_kinds(self, cluster: Cluster) -> None:
        """Kinds that are wanted in a cluster are written down before anything of them is applied there."""
        name = cluster.name
        recorded = self._recorded_kinds(name)
        missing = [kind for kind in self.work.kinds[name] if kind not in recorded]
        if not missing or not self.store.ready:
            return
        if not self.settings.act:
            cluster.observe(dict.fromkeys(missing))
            return
        if name in self._saving_kinds or not self.store.leading:
            return
        self._saving_kinds[name] = None
        kinds = sorted({f"{kind.group}/{kind.kind}": None for kind in [*recorded, *missing]})

        def saved(_ok: bool) -> None:
            self._saving_kinds.pop(name, None)
            # Also where the answer was lost: what was read again instead says what is written down.
            cluster.observe(dict.fromkeys(self._recorded_kinds(name)))
            self.work.cluster_changed(cluster)
            self._need_kinds(cluster)

        self.store.save(f"cluster:{name}", {"kinds": kinds}, saved)

    def _object_changed(self, cluster: Cluster, old: Live | None, new: Live | None) -> None:
        live = new or old
        assert live is not None
        self.pruner.object_changed(cluster, old, new)
        self.work.object_changed(cluster, old, new)
        self.units.changed(("object", cluster.name, live.id.group_kind, live.id.name))
        unit = self.work.owner(cluster.name, live)
        if unit is not None:
            self.units.changed(("owned", unit, cluster.name))
            self._unit_of_owner(unit)
            held = self.units.units.get(unit)
            if new is None and held is not None and held.spec is not None and not held.spec.manifests:
                self.units.touch(unit, held.kind)  # perhaps the last of what was left of it
        if live.id.kind in ("CustomResourceDefinition", "APIService") and (old is None or new is None or _established(old, new)):
            cluster.after(("discovery", cluster.name), 0.1, cluster.refresh_discovery)

    def _find_rests(self) -> None:
        recorded = [key for text in self.store.records if (key := UnitKey.parse(text)) is not None]
        for key in [*(unit for unit, _ in self.pruner.owned), *recorded]:
            self._unit_of_owner(key)

    def _unit_of_owner(self, key: UnitKey) -> None:
        """A unit of which only objects or a record are left must still be planned: so that they are pruned, and what began is ended."""
        source = self.sources.get(key.source)
        if key in self.units.units or source is None or not source.loaded:
            return
        kind = self.specs.kind_of(key)
        if kind is not None:
            self.units.touch(key, kind)

    def _moved(self, unit: UnitKey, cluster: ClusterName) -> None:
        self.pruner.look(unit, cluster)
        waiting = self.pruner.waiting.get((unit, cluster))
        if waiting is not None and waiting.gate is not None:
            self.offers.set(self.sources[unit.source], unit, waiting.gate, cluster)
        else:
            self.offers.drop(unit, cluster)
        self.units.changed(("well", unit))
        self.reports.touch(unit)
        self._touch_reports()

    def _deleted(self, ref: ObjectRef, uid: str, problem: str) -> None:
        self.pruner.deleted(ref, uid, problem)

    def _offer_moved(self, unit: UnitKey) -> None:
        self.reports.touch(unit)
        self._touch_reports()

    def _edit_moved(self, unit: UnitKey, key: str) -> None:
        self.units.changed(("edit", key))
        self.wire.after("edit moved", 0.0, lambda: None)  # the unit is planned anew in a step of its own
        self._offer_moved(unit)

    def _everything_moved(self) -> None:
        self.reports.touch_all()
        self._touch_reports()

    def _touch_reports(self) -> None:
        for publisher in self.publishers.values():
            publisher.touch()

    # -- planning ----------

    def _planned(self, unit: Unit) -> None:
        if unit.plan is not None:
            for name in {lane.cluster: None for lane, wanted in unit.plan.wanted.items() if not isinstance(wanted, Held)}:
                self._need_kinds(self.clusters[name])
            self._offer(unit)
        for name in self.clusters:
            self.pruner.look(unit.key, name)
        self.units.changed(("unit", unit.key))
        self.reports.touch(unit.key)
        self._touch_reports()
        if unit.plan is not None and not unit.plan.wanted and unit.spec is not None and not unit.spec.manifests:
            self._forget_if_gone(unit)

    def _forget_if_gone(self, unit: Unit) -> None:
        owns = any((unit.key, name) in self.pruner.owned for name in self.clusters)
        if not owns and unit.plan is not None and unit.plan.record is None and not unit.saving:
            self.units.forget(unit.key)
            self.edits.set(unit.key, ())

    def _offer(self, unit: Unit) -> None:
        assert unit.plan is not None
        self.offers.drop(unit.key, "", keep=tuple(gate.name for gate in unit.plan.gates))
        for gate in unit.plan.gates:
            self.offers.set(self.sources[unit.key.source], unit.key, gate, "")
        self.edits.set(unit.key, unit.plan.edits if self.settings.act else ())

    def _commit_of(self, item: Item) -> str:
        source = self.sources[item.work.unit.source]
        commit = source.desired.changed_by(item.wanted.place.path) or source.desired.commit
        return commit.id if commit else ""

    # -- pruning ----------

    def waits_for_plans(self) -> str:
        """Why nobody knows yet all that is wanted, "" where it is known."""
        for source in self.sources.values():
            if not source.loaded:
                return f"source {source.name} is not read yet"
        if self.units.busy or not self.units.all_planned:
            return "not everything is planned yet"
        return ""

    def _named_in_held(self, id: ObjectId) -> str:
        """Where a folder that is held, so that nothing new of it is applied, asks for an object: moved there, it is still wanted."""
        for source in self.sources.values():
            for manifest in source.desired.named_in_held(id.group_kind):
                if manifest.name == id.name and manifest.namespace in ("", id.namespace):
                    return f"{id} is asked for at {manifest.place()} too, where nothing can be applied yet"
        for unit in self.units.units.values():
            if unit.plan is not None and not unit.plan.prune and unit.spec is not None:
                for manifest in unit.spec.manifests:
                    if (manifest.group, manifest.kind, manifest.name) == (id.group, id.kind, id.name):
                        return f"{id} is asked for at {manifest.place()} too, where nothing can be applied yet"
        return ""

    def _prune_approval(self, unit: UnitKey, gate: Gate, cluster: ClusterName) -> Approved | None:
        return find(self.sources[unit.source], unit, gate, cluster)

    def _source_of(self, unit: UnitKey) -> Source:
        return self.sources[unit.source]


def _established(old: Live, new: Live) -> bool:
    """Whether a definition may have come into or out of service: its conditions have moved."""
    return old.version != new.version and old.raw != new.raw
