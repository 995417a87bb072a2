"""Deleting what nobody wants any more, within a budget.

Law of the module: an object is deleted only if its owner annotation proves it ours, every unit that could want it has been planned,
every kind of the cluster is listed, and the rest of its unit stands as wanted. Past the budget, and for kinds that hold data, the
deletions wait for a person, bound to the digest of exactly that set; nothing else waits with them (design §6, "Prune"), but for what a
StatefulSet that waits may still use.

Budgets count against the unit and the cluster as they were when there was first something to delete: what the same commits add makes no
room. Deletions that began to wait wait on, however the unit grows: a set that grows is asked about anew, and it ends by an approval or
by their coming back to Git. (How large they were is written down when something begins to wait; a restart before that counts anew.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .apply import rank
from .clusters import Cluster
from .identity import ClusterName, CommitId, ObjectId, ObjectRef, UnitKey
from .kind import Gate
from .observed import Live
from .ranges import Pair, Ranges
from .view import Approved
from .waiting import PAUSED, Refused, Used, Waiting, gate_of, holds_data, is_protected, not_yet, reasons_of_leaving
from .wanted import PRUNE

if TYPE_CHECKING:
    from .sources import Source
    from .units import Unit
    from .work import Work

UNIT_SHARE, UNIT_COUNT, UNIT_FREE = 0.25, 50, 4
CLUSTER_SHARE, CLUSTER_COUNT, CLUSTER_FREE = 0.10, 100, 20
FULL_SECONDS = 0.05
"""When to look again where a cluster takes no more requests at the moment."""

AGAIN_BASE_SECONDS, AGAIN_CAP_SECONDS = 2.0, 300.0
"""A deletion that a cluster refuses is tried again, later and later."""


class Pruner:
    """All deletions of objects that are no longer wanted."""

    def __init__(
        self,
        work: Work,
        unit_of: Callable[[UnitKey], Unit | None],
        all_planned: Callable[[], str],
        named_in_held: Callable[[ObjectId], str],
        approval_of: Callable[[UnitKey, Gate, ClusterName], Approved | None],
        source_of: Callable[[UnitKey], Source],
        on_moved: Callable[[UnitKey, ClusterName], None],
    ) -> None:
        self.work = work
        self.owned: dict[Pair, dict[ObjectId, Live]] = {}
        self._loose: dict[Pair, dict[ObjectId, None]] = {}  # of what is owned, what nobody wants
        self.waiting: dict[Pair, Waiting] = {}
        self.spent: dict[str, None] = {}  # revisions of gates that were let through in this life
        self._deleting: dict[ObjectRef, str] = {}  # asked to go, until a watch says that it went
        self._refused: dict[ObjectRef, Refused] = {}
        self._asking: dict[ObjectRef, Pair] = {}  # of these, the ones whose answer is still to come
        self._leftover: dict[Pair, int] = {}
        self._sizes: dict[Pair, int] = {}  # of units before anything of them went
        self._cluster_sizes: dict[ClusterName, int] = {}
        self._unclosed: dict[Pair, None] = {}  # ranges that may be over, and nobody could tell yet
        self._full: dict[Pair, None] = {}  # have more to delete than the cluster takes at the moment
        self._moved_on: dict[UnitKey, dict[ClusterName, None]] = {}  # where units that moved wait with what they had
        self._unit_of = unit_of
        self._all_planned = all_planned
        self._named_in_held = named_in_held
        self._approval_of = approval_of
        self._source_of = source_of
        self._on_moved = on_moved
        self._dirty: dict[Pair, None] = {}
        self.ranges = Ranges(work.store, work.settings.act, lambda pair: self.look(*pair))

    # -- what happens ----------

    def object_changed(self, cluster: Cluster, old: Live | None, new: Live | None) -> None:
        """Keep the index of what each unit owns."""
        for live, is_new in ((old, False), (new, True)):
            unit = self.work.owner(cluster.name, live) if live is not None else None
            if live is None or unit is None:
                continue
            pair = (unit, cluster.name)
            if is_new:
                held = self.owned.setdefault(pair, {}).get(live.id)
                self.owned[pair][live.id] = live
                self._sort(pair, live.id)
                if held is None or held.deleting != live.deleting:
                    self._dirty[pair] = None
            elif new is None or self.work.owner(cluster.name, new) != unit:
                self.owned.get(pair, {}).pop(live.id, None)
                if not self.owned.get(pair):
                    self.owned.pop(pair, None)
                self._sort(pair, live.id)
                self._dirty[pair] = None
        if new is None and old is not None:
            self._deleting.pop(ObjectRef(cluster.name, old.id), None)
            self._refused.pop(ObjectRef(cluster.name, old.id), None)

    def _sort(self, pair: Pair, id: ObjectId) -> None:
        """Note whether an object is owned and wanted by nobody: one of them moves, ten thousand others need not be asked."""
        if id in self.owned.get(pair, ()) and not self.work.claims.wanted(pair[1], id):
            self._loose.setdefault(pair, {})[id] = None
        elif pair in self._loose:
            self._loose[pair].pop(id, None)
            if not self._loose[pair]:
                del self._loose[pair]

    def _sort_turned(self) -> None:
        """Note what has come to be wanted, or has ceased to be."""
        claims = self.work.claims
        turned, claims.turned = claims.turned, {}
        for cluster, id in turned if self.owned else ():
            live = self.work.clusters[cluster].owned(id)
            unit = self.work.owner(cluster, live) if live is not None else None
            if unit is not None:
                self._sort((unit, cluster), id)

    def look(self, unit: UnitKey, cluster: ClusterName) -> None:
        """What a unit wants, or how it stands, has changed there."""
        self._dirty[unit, cluster] = None
        for before in self._moved_on.get(unit, ()):
            self._dirty[unit, before] = None

    def look_at_waiting(self) -> None:
        """What deletions wait for may have changed: a commit was read."""
        self._dirty.update(dict.fromkeys(self.waiting))

    def look_at_all(self) -> None:
        """Something that concerns every deletion has changed: an approval, a full list, leadership."""
        self._dirty.update(dict.fromkeys(self.owned))
        self._dirty.update((pair, None) for pair in self.ranges.pairs() if pair[1] in self.work.clusters)

    def deleted(self, ref: ObjectRef, uid: str, problem: str) -> None:
        """An answer to a delete: if it was not carried out it is decided anew, later and later."""
        pair = self._asking.pop(ref, None)
        if pair is not None:
            self._dirty[pair] = None
        if not problem or self._deleting.get(ref) != uid:
            return
        del self._deleting[ref]
        wire, held = self.work.wire, self._refused.get(ref)
        if held is None or (held.uid, held.problem) != (uid, problem):
            wire.log("error", "not deleted", cluster=ref.cluster, object=str(ref.id), reason=problem)
        times = held.times + 1 if held is not None and held.uid == uid else 1
        again_at = wire.now.steady + wire.jitter.back_off(times, AGAIN_BASE_SECONDS, AGAIN_CAP_SECONDS)
        self._refused[ref] = Refused(uid, problem, times, again_at)
        wire.at(("prune", ref), again_at, self.look_at_all)

    # -- the work of a step ----------

    def run(self) -> None:
        """Decide again for every unit and cluster that something has changed for."""
        if not self.work.store.ready:
            return
        self._sort_turned()
        dirty, self._dirty, self._unclosed = {**self._unclosed, **self._dirty}, {}, {}
        # All are counted before any is decided: a budget of the cluster is one for all of a commit's deletions.
        leftovers = {pair: self._count(pair) for pair in dirty}
        for pair, leftover in leftovers.items():
            self._decide(pair, leftover)
        if self._dirty:
            self.work.wire.after("more pruning", 0.0, lambda: None)

    def undecided(self, pair: Pair) -> bool:
        """Whether it is still to be seen if something of this unit waits for a person."""
        waiting = self.waiting.get(pair)
        return pair in self._dirty or self.ranges.busy_with(pair) or (waiting is not None and waiting.gate is None)

    @property
    def busy(self) -> bool:
        """Whether deletions are being decided on or are under way."""
        return bool(self._dirty or self._deleting or self._asking or self.ranges.busy or self._full)

    def leftovers(self) -> dict[Pair, list[Live]]:
        """What nobody wants any more, whether or not it may go: what a plan shows as deletions."""
        self._sort_turned()
        found = {pair: self._count(pair) for pair in self.owned}
        return {pair: leftover for pair, leftover in found.items() if leftover}

    def _count(self, pair: Pair) -> list[Live]:
        loose = self._loose.get(pair)
        leftover = [live for id, live in self.owned[pair].items() if id in loose] if loose else []
        # What may never go stands there for good: it takes nothing of what others may lose.
        standing = sum(not live.deleting and not self._kept(pair, live) for live in leftover)
        if standing:
            self._leftover[pair] = standing
            if self.work.clusters[pair[1]].all_listed:
                self._sizes.setdefault(pair, len(self.owned[pair]))
                self._cluster_sizes.setdefault(pair[1], self._in_cluster(pair[1]))
        elif self._leftover.pop(pair, None) is not None:
            self._sizes.pop(pair, None)
            if not any(cluster == pair[1] for _, cluster in self._leftover):
                self._cluster_sizes.pop(pair[1], None)
        return leftover

    def _in_cluster(self, cluster: ClusterName) -> int:
        return sum(len(owned) for (_, name), owned in self.owned.items() if name == cluster)

    def _decide(self, pair: Pair, leftover: list[Live]) -> None:
        self._full.pop(pair, None)
        self._moved_on.get(pair[0], {}).pop(pair[1], None)
        cluster = self.work.clusters[pair[1]]
        if not self.work.may_work(cluster):
            return
        if not leftover:
            self._set(pair, None)
            if cluster.all_listed and not self._all_planned():
                self.ranges.close(pair)
            elif self.ranges.of(pair) is not None:  # perhaps it only looks as if nothing were left
                self._unclosed[pair] = None
            return
        reason = self._not_known(pair, cluster) or next(filter(None, (self._named_in_held(live.id) for live in leftover)), "")
        if reason:
            self._set(pair, Waiting(len(leftover), len(self.owned[pair]), reason))
            return
        self._prune(pair, cluster, leftover)

    def _not_known(self, pair: Pair, cluster: Cluster) -> str:
        """Why nobody can tell at this moment what may be deleted."""
        unit = self._unit_of(pair[0])
        if unit is None or not unit.planned:
            return "what is wanted is not known yet"
        return self._all_planned() or ("" if cluster.all_listed else "not every kind of the cluster is listed yet")

    def not_yet(self, pair: Pair) -> str:
        """Why nothing may be deleted at this moment, whoever approves, but what the plan names as leaving."""
        unit = self._unit_of(pair[0])
        assert unit is not None and unit.plan is not None
        return not_yet(unit.plan, self.work.lanes.get(pair[0], {}), pair[1], act=self.work.settings.act)

    def _prune(self, pair: Pair, cluster: Cluster, leftover: list[Live]) -> None:
        unit = self._unit_of(pair[0])
        assert unit is not None and unit.plan is not None
        leftover = [live for live in leftover if not self._kept(pair, live)]
        leaving = reasons_of_leaving(unit.plan, pair[1], leftover)
        held = self.ranges.of(pair)
        approved = dict.fromkeys(held.approved) if held else {}
        # What its unit leaves goes at once and without a budget; not so what holds data.
        free: list[Live] = []
        data: list[Live] = []
        budgeted: list[Live] = []
        for live in leftover:
            if live.id not in leaving:
                budgeted.append(live)
            else:
                (data if is_protected(live) and not live.deleting and live.uid not in approved else free).append(live)
        later = self.not_yet(pair)
        if later:
            if not any(lane.cluster == pair[1] for lane in self.work.lanes.get(pair[0], ())):
                self._moved_on.setdefault(pair[0], {})[pair[1]] = None
            used = Used(data)
            free = [live for live in free if not used.holds(live, leaves=True)]
            self._send(pair, cluster, free, leaving)
            waits = [*budgeted, *data]
            told = waits and later != PAUSED  # what a person has stopped is told as that
            self._set(pair, Waiting(len(waits), len(self.owned[pair]), later) if told else self._under_way(pair, free))
            return
        if not budgeted and not data and not any(live.uid in approved for live in free):
            self.ranges.close(pair)
        rest = [live for live in budgeted if live.uid not in approved and not live.deleting]
        waiting, waits = self._past_budget(pair, rest, data, leaving)
        if waiting is not None and waiting.gate is not None and self._approval_of(pair[0], waiting.gate, pair[1]) is not None:
            self._approve(pair, waiting.gate, waits)
            return
        used, staying = Used(waits), dict.fromkeys(live.id for live in waits)
        may_go = [live for live in (*free, *budgeted) if live.id not in staying]
        allowed = [live for live in may_go if not used.holds(live, leaves=live.id in leaving)]
        self._send(pair, cluster, allowed, leaving)
        self._set(pair, waiting or self._under_way(pair, allowed))

    def _under_way(self, pair: Pair, allowed: list[Live]) -> Waiting | None:
        """What may go and is not gone yet, and why."""
        for live in sorted(allowed, key=lambda live: live.id):
            refused = self._refused.get(ObjectRef(pair[1], live.id))
            if live.deleting:
                reason = f"{live.id} {live.going}"
            elif refused is not None and refused.uid == live.uid:
                reason = f"{live.id} is not deleted: {refused.problem}"
            else:
                continue
            return Waiting(len(allowed), len(self.owned[pair]), reason)
        return None

    def _kept(self, pair: Pair, live: Live) -> bool:
        unit = self._unit_of(pair[0])
        keep = unit.plan.keep if unit is not None and unit.plan is not None else ()
        return live.annotations.get(PRUNE) == "disabled" or ObjectRef(pair[1], live.id) in keep

    def _past_budget(
        self, pair: Pair, rest: list[Live], data: list[Live], leaving: dict[ObjectId, str]
    ) -> tuple[Waiting | None, list[Live]]:
        """Whether some of these deletions need an approval, and which. `data` is left and holds data: it does, and uses up no budget."""
        guarded = [live for live in rest if is_protected(live)]
        held = self.ranges.of(pair)
        size = held.size if held is not None and held.size else self._sizes.get(pair, len(self.owned[pair]))
        # Counted against both: a unit that grows while deletions wait lets nothing more go, and one that was small when they began either.
        why = self._budget(pair, len(rest), size) or self._budget(pair, len(rest), len(self.owned[pair]))
        if not why and held is not None and len(rest) > len(guarded):
            why = held.why
        waits = [*(rest if why else guarded), *data]
        if not waits:
            if held is not None and held.why:
                self.ranges.open(pair, CommitId(held.since), held.size, "")
            return None, []
        first = waits[0]
        reason = why or holds_data(first, leaving.get(first.id, ""))
        commit = self._source_of(pair[0]).desired.commit
        assert commit is not None
        found = self.ranges.open(pair, commit.id, size, why)
        if found is None:
            return Waiting(len(waits), size, reason), waits
        return Waiting(len(waits), size, reason, gate_of(pair, waits, size, reason, found.since)), waits

    def _budget(self, pair: Pair, count: int, size: int) -> str:
        """Past which budget so many deletions are, "" for none."""
        unit, cluster = pair
        in_cluster = self._in_cluster(cluster)
        in_cluster = min(in_cluster, self._cluster_sizes.get(cluster, in_cluster))
        pending = sum(count for (_, name), count in self._leftover.items() if name == cluster)
        if not count:
            return ""
        if not self._source_of(unit).desired.folders:
            return "the source has no manifests left at all"
        if size > UNIT_FREE and count > UNIT_SHARE * size:
            return f"past the budget ({UNIT_SHARE:.0%})"
        if size > UNIT_FREE and count > UNIT_COUNT:
            return f"more than {UNIT_COUNT}"
        if in_cluster > CLUSTER_FREE and (pending > CLUSTER_COUNT or pending > CLUSTER_SHARE * in_cluster):
            return f"past the budget of cluster {cluster} ({CLUSTER_SHARE:.0%}, or {CLUSTER_COUNT})"
        return ""

    def _send(self, pair: Pair, cluster: Cluster, allowed: list[Live], leaving: dict[ObjectId, str]) -> None:
        """In reverse order: a rank goes when all of the ranks above it have been asked to go."""
        todo = [live for live in allowed if not live.deleting and self._may_ask(ObjectRef(pair[1], live.id), live.uid)]
        if not todo or not self.work.settings.act:
            return
        if not cluster.may_act(pair[0]):
            self._full[pair] = None
            self.work.wire.after(("prune more", pair), FULL_SECONDS, lambda: self.look(*pair))
            return
        highest = max(rank(live.id.kind) for live in todo)
        if any(of == pair and rank(ref.id.kind) > highest for ref, of in self._asking.items()):
            return
        for live in sorted((live for live in todo if rank(live.id.kind) == highest), key=lambda live: live.id):
            if not cluster.may_act(pair[0]):
                break
            ref = ObjectRef(pair[1], live.id)
            self._deleting[ref] = live.uid
            self._asking[ref] = pair
            self.work.requests.delete(cluster, pair[0], live, leaving.get(live.id, "no longer in Git"))

    def _may_ask(self, ref: ObjectRef, uid: str) -> bool:
        refused = self._refused.get(ref)
        due = refused is None or refused.uid != uid or self.work.wire.now.steady >= refused.again_at
        return due and self._deleting.get(ref) != uid

    def _approve(self, pair: Pair, gate: Gate, waits: list[Live]) -> None:
        if self.work.settings.act and not self.ranges.busy_with(pair):
            self.work.wire.log("info", "approved", gate=gate.name, revision=gate.revision)
            self.ranges.approve(pair, sorted(live.uid for live in waits))
            self.spent[gate.revision] = None

    def _set(self, pair: Pair, waiting: Waiting | None) -> None:
        if self.waiting.get(pair) != waiting:
            if waiting is None:
                self.waiting.pop(pair, None)
            else:
                self.waiting[pair] = waiting
            self._on_moved(*pair)
