"""Making clusters match: every wanted object is checked against its live twin, and applied when it may be.

Law of the module: an action is never retried; whatever its outcome, the object is checked anew against what is known then. Nothing is
sent to a cluster that is not reachable, pinned and ours to act on, nor while this daemon does not lead. An event on one object
re-checks that object alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import filterfalse
from operator import attrgetter

from . import health
from .apply import Context, InSync, Refuse, Send, decide
from .busy import Busy
from .clusters import Cluster
from .identity import ClusterName, GroupKind, Lane, ObjectId, ObjectRef, SourceName, UnitKey
from .kind import Held, Wanted
from .lanes import Claims, Item, LaneWork, Standing
from .observed import Live, same_request
from .ownership import owner_of
from .requests import Requests
from .rivals import also_wanted
from .settings import Settings
from .sources import Source
from .store import Store
from .types import Types
from .unserved import wait_for_kind, wait_for_list
from .wire import Wire

CHECKS_PER_STEP = 100
"""Objects compared in one step: a step stays near 20 ms, so that the Lease and other clusters get their turn."""

_KIND_OF = attrgetter("id.group", "id.kind")
_STANDINGS: dict[str, Standing] = {"Current": "healthy", "Failed": "failed"}


class Work:
    """All lanes of all units. `on_moved(unit)` hears when the standing of any of its objects changes."""

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        store: Store,
        clusters: dict[ClusterName, Cluster],
        sources: Mapping[SourceName, Source],
        types: Types | None,
        commit_of: Callable[[Item], str],
        on_moved: Callable[[UnitKey, ClusterName], None],
        on_deleted: Callable[[ObjectRef, str, str], None],
    ) -> None:
        self.deleted = on_deleted
        self.wire = wire
        self.settings = settings
        self.store = store
        self.clusters = clusters
        self.sources = sources
        self.types = types
        self.lanes: dict[UnitKey, dict[Lane, LaneWork]] = {}
        self._in_order: dict[UnitKey, tuple[LaneWork, ...]] = {}
        self.claims = Claims()
        self.kinds: dict[ClusterName, dict[GroupKind, None]] = {name: {} for name in clusters}  # ever wanted in this life
        self.requests = Requests(self)
        self.commit_of = commit_of
        self._on_moved = on_moved
        self._busy = {name: Busy(sources) for name in clusters}
        self.flights: dict[ObjectRef, Item] = {}
        self._stuck: dict[tuple[ClusterName, str], dict[Item, None]] = {}  # by namespace: who waits for it, or was refused in it

    # -- what is wanted ----------

    def want(self, unit: UnitKey, lane: Lane, wanted: tuple[Wanted, ...]) -> None:
        """Set what a unit wants in a lane: only what is new or no longer there is looked at."""
        work = self._lane(unit, lane)
        self._set_held(work, None)
        fresh = dict.fromkeys(wanted)
        left = [work.items[want] for want in filterfalse(fresh.__contains__, work.items)]
        new = list(filterfalse(work.items.__contains__, fresh))
        work.add(new)
        self.kinds[lane.cluster].update((GroupKind(*kind), None) for kind in dict.fromkeys(map(_KIND_OF, new)))
        # The new claims stand before the old ones go: what is rewritten in Git is at no moment unwanted.
        for item in list(work.checks):
            self._claim(item)
        for item in left:
            work.remove(item)
            self._unclaim(item)
        self._stir(work)
        self._on_moved(unit, lane.cluster)

    def hold(self, unit: UnitKey, lane: Lane, held: Held) -> None:
        """Nothing of a unit moves in a lane."""
        self._set_held(self._lane(unit, lane), held)
        self._on_moved(unit, lane.cluster)

    def _set_held(self, work: LaneWork, held: Held | None) -> None:
        turned, work.held = (held is None) != (work.held is None), held
        for item in work.items.values() if turned else ():  # who else wants one of these may have to make it now, or not any more
            if item.ref is not None:
                self._check_rivals(tuple(other for other in self.claims.of(item.ref) if other is not item))

    def _lane(self, unit: UnitKey, lane: Lane) -> LaneWork:
        lanes = self.lanes.setdefault(unit, {})
        if lane not in lanes:
            lanes[lane] = LaneWork(unit, lane)
            self._in_order.pop(unit, None)
        return lanes[lane]

    def in_order(self, unit: UnitKey) -> tuple[LaneWork, ...]:
        """The lanes of a unit by cluster and target: there may be ten thousand, and they seldom come and go."""
        if unit not in self._in_order:
            self._in_order[unit] = tuple(sorted(self.lanes.get(unit, {}).values(), key=attrgetter("lane")))
        return self._in_order[unit]

    def drop(self, unit: UnitKey, lane: Lane) -> None:
        """A unit wants nothing in a lane any more."""
        self.want(unit, lane, ())
        self._in_order.pop(unit, None)
        self._busy[lane.cluster].drop(self.lanes[unit].pop(lane))
        if not self.lanes[unit]:
            del self.lanes[unit]

    def _claim(self, item: Item) -> bool:
        """Complete an object's identity and claim it, once its kind is known to the cluster."""
        cluster = self.clusters[item.work.lane.cluster]
        if cluster.discovery is None:
            return False
        id = cluster.identify(item.wanted.id)
        if id is None:
            if cluster.discovery.absent(item.wanted.id.group_kind):
                self._unclaim(item)
            return False
        # In a version that is not served it cannot be applied, but it is wanted all the same: nobody may prune it.
        item.resource = cluster.discovery.find(id.group, item.wanted.version, id.kind)
        if item.id != id:
            self._unclaim(item)
            item.id = id
            self._check_rivals(self.claims.add(ObjectRef(cluster.name, id), item))
        return True

    def _unclaim(self, item: Item) -> None:
        if item.ref is not None:
            self._stuck.get((item.ref.cluster, item.ref.id.namespace), {}).pop(item, None)
            self._check_rivals(self.claims.remove(item.ref, item))
            item.id = None

    def _check_rivals(self, rivals: tuple[Item, ...]) -> None:
        for other in rivals:
            if other.phase in ("done", "blocked", "wait"):
                self.check(other)

    def _stir(self, work: LaneWork) -> None:
        self._busy[work.lane.cluster].stir(work)

    # -- what happens ----------

    def check(self, item: Item) -> None:
        """Compare an object anew, soon."""
        if not item.gone:
            item.work.move(item, "check")
            self._stir(item.work)

    def stand(self, item: Item, standing: Standing, message: str = "", *, holds_back: bool = True) -> None:
        """Say where an object stands, and whether later waves wait for it while it is not healthy."""
        if standing == "blocked" and not item.gone:
            self._stick(item)
        if not item.gone and item.work.stand(item, standing, message, item.place, holds_back=holds_back):
            self._on_moved(item.work.unit, item.work.lane.cluster)
            self._stir(item.work)
            for other in self.claims.of(item.ref) if item.ref is not None else ():
                if other is not item and other.phase == "done" and other.ref and self.claims.rival(other.ref, other) is item:
                    self._stand_back(other, item)  # it stands as we do

    def object_changed(self, cluster: Cluster, old: Live | None, new: Live | None) -> None:
        """A live object of ours has changed: whoever wants it looks again."""
        live = new or old
        assert live is not None
        if live.id.kind == "Namespace" and old is None:
            self._namespace_came(cluster, live.id.name)
        for item in self.claims.of(ObjectRef(cluster.name, live.id)):
            if item.phase in ("flight", "look"):
                continue
            if new is None or old is None or not same_request(old, new):
                self.check(item)
            elif item.phase == "done":
                self.judge(item, new)
            elif item.phase != "blocked":  # what was refused would be refused again: its turn comes later
                self.check(item)

    def _namespace_came(self, cluster: Cluster, name: str) -> None:
        for item in self._stuck.pop((cluster.name, name), ()):
            if item.standing == "blocked" or item.phase == "wait":
                self.check(item)

    def _stick(self, item: Item) -> None:
        if item.ref is not None:
            self._stuck.setdefault((item.ref.cluster, item.ref.id.namespace), {})[item] = None

    def cluster_changed(self, cluster: Cluster) -> None:
        """Reachability, discovery or a full list has changed: what waited for the cluster is checked again."""
        for work in self.all_lanes(cluster.name):
            for item in list(work.waits):
                self.check(item)
            self._stir(work)

    def all_lanes(self, cluster: ClusterName | None = None) -> Iterator[LaneWork]:
        """The lanes of all units, or of those in one cluster."""
        for lanes in self.lanes.values():
            for lane, work in lanes.items():
                if cluster is None or lane.cluster == cluster:
                    yield work

    def judge(self, item: Item, live: Live) -> None:
        """How is it? Asked again when time alone may change the answer."""
        found = health.compute(live.body(), self.wire.now.wall)
        self.stand(item, _STANDINGS.get(found.status, "progressing"), found.message if found.status != "Current" else "")
        if found.again_at is not None:
            seconds = max(0.1, found.again_at - self.wire.now.wall)
            self.wire.after(("health", id(item)), seconds, lambda: self.check(item))

    # -- the work of a step ----------

    def run(self) -> None:
        """Check what is due, and send what may be sent, taking turns between units."""
        budget = CHECKS_PER_STEP
        for name, busy in self._busy.items():
            cluster = self.clusters[name]
            if cluster.state != "up" or not self.may_work(cluster):
                continue
            for item in busy.to_check(budget):
                budget -= 1
                self._check(item)
            cluster.looks.flush(all_gathered=busy.all_checked)
            self._act(cluster, busy.turns(in_order=self.settings.act))
        if budget <= 0:
            self.wire.after("more work", 0.0, lambda: None)

    def may_work(self, cluster: Cluster) -> bool:
        """Whether this cluster is ours to act on (read-only: to read)."""
        if not self.settings.act:
            return self.store.ready
        return self.store.leading and self.store.pins.get(cluster.name) == ""

    def _act(self, cluster: Cluster, turns: Iterable[tuple[UnitKey, Iterator[Item]]]) -> None:
        while turns and cluster.is_open and cluster.slots.free:
            still: list[tuple[UnitKey, Iterator[Item]]] = []
            for unit, items in turns:
                if not cluster.slots.free:
                    return
                item = next(items, None) if cluster.may_act(unit) else None
                if item is None:
                    continue
                if self.settings.act and item.looked_long_ago(self.wire.now.steady):
                    self.check(item)
                    self.wire.after("more work", 0.0, lambda: None)
                else:
                    self.requests.apply(cluster, item)
                still.append((unit, items))
            turns = still

    def _check(self, item: Item) -> None:
        cluster = self.clusters[item.work.lane.cluster]
        if not self._claim(item) or item.resource is None or not item.resource.keeps:
            wait_for_kind(self, cluster, item)
            return
        assert item.id is not None and item.ref is not None
        rival = self.claims.rival(item.ref, item)
        if self.store.reserves(item.id):
            item.place = item.wanted.place
            item.work.move(item, "blocked")
            self.stand(item, "blocked", f"namespace {self.settings.store_namespace} holds the daemon's own records; not applied")
        elif rival is not None:
            self._stand_back(item, rival)
        elif item.ref in self.flights or not cluster.listed(item.resource.group_kind):
            item.work.move(item, "wait")
            if item.ref not in self.flights:
                wait_for_list(self, cluster, item)
        elif self._namespace_is_coming(cluster, item.id.namespace):
            item.work.move(item, "wait")
            self._stick(item)
            namespace = cluster.owned(ObjectId("", "Namespace", "", item.id.namespace))
            self.stand(item, "pending", f"waits for Namespace {item.id.namespace}{f', which {namespace.going}' if namespace else ''}")
        else:
            self._compare(cluster, item, cluster.owned(item.id))

    def _namespace_is_coming(self, cluster: Cluster, name: str) -> bool:
        """Whether a Namespace is wanted, and not there yet, or still on its way out. One that is there and not ours is there."""
        id = ObjectId("", "Namespace", "", name)
        claims = self.claims.of(ObjectRef(cluster.name, id)) if name and self.settings.act else ()
        if all(claim.standing == "blocked" for claim in claims):
            return False
        live = cluster.owned(id)
        if live is None:
            return not any(claim.wanted.policy.yields and claim.standing == "healthy" for claim in claims)
        return live.deleting

    def _stand_back(self, item: Item, rival: Item) -> None:
        alike = item.wanted.id.kind == "Namespace" and item.wanted.digest == rival.wanted.digest
        if alike or item.wanted.policy.yields:
            item.work.move(item, "done")
            self.stand(item, rival.standing if rival.standing != "blocked" else "healthy", rival.message)
            return
        item.place = item.wanted.place
        item.work.move(item, "blocked")
        self.stand(item, "blocked", also_wanted(item, rival, self.sources[rival.work.unit.source].desired))

    def _compare(self, cluster: Cluster, item: Item, live: Live | None) -> None:
        assert item.id is not None and item.ref is not None and item.resource is not None
        if live is not None and not self.is_ours(item.ref, live):
            item.foreign, live = live, None  # our label, but not our object: a copy
        elif live is not None:
            item.foreign = None
        if live is None and item.foreign is None and not item.looked:
            self.requests.look(cluster, item)
            return
        if live is not None and live.deleting:
            item.work.move(item, "wait")
            self.stand(item, "pending", f"{live.going}; applied anew when it is gone")
            return
        verdict = decide(item.wanted, item.resource, item.id, live, item.foreign, self._context(item))
        item.looked, item.foreign = False, None  # what was seen counts for one decision
        if isinstance(verdict, Refuse) and item.wanted.policy.yields:  # it is there: that is all that was wanted
            item.work.move(item, "done")
            self.stand(item, "healthy")
            self._namespace_came(cluster, item.id.name)
            self.retry(item)  # nobody tells us when it goes
            return
        if isinstance(verdict, Refuse):
            item.place = verdict.place
            item.work.move(item, "blocked")
            if item.id.kind == "Namespace":  # not ours, and there all the same
                self.stand(item, "blocked", f"{verdict.message}; what is written for it is applied all the same", holds_back=False)
                self._namespace_came(cluster, item.id.name)
            else:
                self.stand(item, "blocked", verdict.message)
            self.retry(item)
            return
        if item.work.leave_alone(item, verdict.left_alone):
            self._on_moved(item.work.unit, item.work.lane.cluster)
        if live is not None and (
            isinstance(verdict, InSync)
            or (verdict.asks and item.asked == (item.wanted.digest, live.version))
            or (verdict.drift and all(item.accepted.get(c.pretty, c) == c.live for c in verdict.drift))
        ):
            self.settle(item, live)
            return
        assert not isinstance(verdict, InSync)
        item.send = verdict
        if item.standing == "healthy" and not verdict.asks:
            self.stand(item, "pending", "")
        self.queue(item)

    def _context(self, item: Item) -> Context:
        lane, unit = item.work.lane, item.work.unit
        return Context(self.store.installation, self.store.key, lane.cluster, unit, self.commit_of(item), self.types)

    def first_contact(self, item: Item) -> Send:
        """What is sent where the live object is not looked into."""
        assert item.id is not None and item.resource is not None
        verdict = decide(item.wanted, item.resource, item.id, None, None, self._context(item))
        assert isinstance(verdict, Send)
        return verdict

    def queue(self, item: Item) -> None:
        """Let it act; at once, or, where somebody keeps undoing what we do, later and later."""
        assert item.send is not None
        due = item.heals_again_at
        if item.send.drift and self.wire.now.steady < due:
            item.work.move(item, "blocked")
            self.wire.at(("fight", id(item)), due, lambda: self.check(item))
            self.stand(item, "progressing", "somebody keeps changing it back; healed again later and later")
            return
        item.work.move(item, "act")
        self._stir(item.work)

    def settle(self, item: Item, live: Live) -> None:
        """It is as wanted: only its health counts from now on."""
        assert item.ref is not None
        self.claims.ours(item.ref, live.uid)
        item.failures = 0
        item.place = None
        item.work.move(item, "done")
        self.judge(item, live)

    def retry(self, item: Item) -> None:
        """Check it again later: the cause may go without any event that we would see."""
        item.failures += 1
        seconds = self.wire.jitter.back_off(item.failures, 2.0, 300.0)
        self.wire.after(("retry", id(item)), seconds, lambda: self.check(item))

    # -- reading ----------

    def is_ours(self, ref: ObjectRef, live: Live) -> bool:
        """Whether the object says that it is ours, or is the very one that did."""
        return self.owner(ref.cluster, live) is not None or self.claims.known(ref, live.uid)

    def owner(self, cluster: ClusterName, live: Live) -> UnitKey | None:
        """The unit that owns a live object, None where it is not ours."""
        return owner_of(live, self.store.installation, cluster, self.clusters)
