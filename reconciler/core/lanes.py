"""What each unit wants in each cluster, object by object: where every one stands, and which may move next.

Law of the module: bookkeeping only, no decision about content. An object is in exactly one phase, a lane's counts follow from its
objects, and order is read off the counts: within a wave a kind's rank waits for the lower ranks to have been tried, a wave waits
until every object of the waves before it is healthy. What heals drift waits for nobody: it was let through when it was new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Literal

import msgspec

from .apply import Send, rank
from .diff import Change
from .discovery import Resource
from .identity import GroupKind, Lane, ObjectId, ObjectRef, Place, UnitKey
from .kind import Held, Wanted
from .observed import Live

Phase = Literal["check", "look", "act", "flight", "wait", "blocked", "done"]
Standing = Literal["pending", "progressing", "healthy", "failed", "blocked"]
FIRST_WAVE = -10_000_000
"""Before every wave that a manifest may ask for (`wanted`)."""

MOVING: tuple[Phase, ...] = ("check", "look", "act", "flight")
"""Phases that end by themselves soon: what must come later in the same wave waits for them."""

FIGHT_WINDOW_SECONDS = 600.0
FIGHT_FREE_HEALS = 3
FIGHT_CAP_SECONDS = 300.0
"""Drift that comes back within the window is healed at once a few times, then later and later."""

LOOK_SECONDS = 300.0
"""How long a look counts that found nothing under a name: an object may wait for its wave for hours."""


Bucket = tuple[int, int]
"""A wave, and the rank of a kind in it."""


_ORDER = attrgetter("id.kind", "wave")


@lru_cache(1_000)  # asked again and again for every object
def _bucket(kind: str, wave: int) -> Bucket:
    """Namespaces and definitions come before all waves: what lives in them may stand in any."""
    return (FIRST_WAVE if kind in ("Namespace", "CustomResourceDefinition") else wave, rank(kind))


class Item(msgspec.Struct, eq=False):
    """One wanted object in one lane. Compared by identity."""

    wanted: Wanted
    work: LaneWork
    id: ObjectId | None = None  # completed, once the cluster's discovery is known
    resource: Resource | None = None
    phase: Phase = "check"
    standing: Standing = "pending"
    message: str = ""
    holds_back: bool = True  # as long as it is not healthy; not a Namespace that is there all the same, and not ours
    place: Place | None = None
    send: Send | None = None
    looked: bool = False  # proven absent since it was last checked
    looked_at: float = float("-inf")
    foreign: Live | None = None
    failures: int = 0
    heals: int = 0
    healed_at: float = float("-inf")
    accepted: dict[str, object] = {}  # (one each) what admission makes of our values, by path
    asked: tuple[str, str] = ("", "")  # (digest, resourceVersion) that a dry run found to be in sync
    left_alone: tuple[str, ...] = ()
    planned: str = ""  # read-only: what an apply would do (create, change, unchanged)
    changes: tuple[Change, ...] = ()  # read-only: which fields it would change
    gone: bool = False  # no longer wanted: an answer still under way is nobody's

    def looked_long_ago(self, now: float) -> bool:
        """Whether somebody may have made meanwhile what did not exist: an apply would be merged into it unasked."""
        return self.send is not None and not self.send.uid and now >= self.looked_at + LOOK_SECONDS

    def healed(self, now: float) -> None:
        """Its drift was put right once more."""
        self.heals = self.heals + 1 if now - self.healed_at < FIGHT_WINDOW_SECONDS else 1
        self.healed_at = now

    @property
    def heals_again_at(self) -> float:
        """When drift of it may be put right again: at once, unless somebody keeps bringing it back."""
        if self.heals < FIGHT_FREE_HEALS:
            return self.healed_at
        return self.healed_at + min(FIGHT_CAP_SECONDS, 2.0 ** min(self.heals - FIGHT_FREE_HEALS, 30))

    @property
    def bucket(self) -> Bucket:
        """Its place in the order of its lane."""
        return _bucket(self.wanted.id.kind, self.wanted.wave)

    @property
    def ref(self) -> ObjectRef | None:
        """Which object it is, once known."""
        return ObjectRef(self.work.lane.cluster, self.id) if self.id else None


@dataclass(slots=True, eq=False)
class LaneWork:
    """All that one unit wants in one lane."""

    unit: UnitKey
    lane: Lane
    held: Held | None = None  # nothing of it moves; what was wanted before still counts as wanted
    items: dict[Wanted, Item] = field(default_factory=dict)
    checks: dict[Item, None] = field(default_factory=dict)
    waits: dict[Item, None] = field(default_factory=dict)
    heals: dict[Item, None] = field(default_factory=dict)
    acts: dict[Bucket, dict[Item, None]] = field(default_factory=dict)
    moving: dict[Bucket, int] = field(default_factory=dict)
    unsettled: dict[int, int] = field(default_factory=dict)
    standings: dict[Standing, dict[Item, None]] = field(default_factory=dict)
    left_alone: dict[Item, None] = field(default_factory=dict)  # those of which something is

    def add(self, wanted: Collection[Wanted]) -> None:
        """Begin with objects, none of which is here. All at once: a start brings them by the ten thousand, of a few kinds."""
        new = [Item(want, self) for want in wanted]
        self.items.update(zip(wanted, new, strict=True))
        self.checks.update(dict.fromkeys(new))
        self.standings.setdefault("pending", {}).update(dict.fromkeys(new))
        for (kind, asked), count in Counter(map(_ORDER, wanted)).items():
            bucket = wave, _ = _bucket(kind, asked)
            self.moving[bucket] = self.moving.get(bucket, 0) + count
            self.unsettled[wave] = self.unsettled.get(wave, 0) + count

    def remove(self, item: Item) -> None:
        """It is wanted no more."""
        item.gone = True
        del self.items[item.wanted]
        self.left_alone.pop(item, None)
        self._leave(item)
        self._count(item, -1)

    def move(self, item: Item, phase: Phase) -> None:
        """Put an object into another phase."""
        self._leave(item)
        self._count(item, -1)
        item.phase = phase
        self._count(item, 1)
        if phase == "check":
            self.checks[item] = None
        elif phase == "wait":
            self.waits[item] = None
        elif phase == "act":
            if item.send and item.send.drift:
                self.heals[item] = None
            else:
                self.acts.setdefault(item.bucket, {})[item] = None

    def stand(
        self, item: Item, standing: Standing, message: str = "", place: Place | None = None, *, holds_back: bool = True
    ) -> bool:
        """Say where an object stands; whether that is news."""
        news = (item.standing, item.message) != (standing, message)
        self._count(item, -1)
        item.standing, item.message, item.place, item.holds_back = standing, message, place, holds_back
        self._count(item, 1)
        return news

    def leave_alone(self, item: Item, paths: tuple[str, ...]) -> bool:
        """Say which of its fields somebody else rightly owns; whether that is news."""
        news = item.left_alone != paths
        item.left_alone = paths
        if paths:
            self.left_alone[item] = None
        else:
            self.left_alone.pop(item, None)
        return news

    def next_act(self, in_order: bool = True) -> Item | None:
        """The next object that may be applied now, if any."""
        for item in self.heals:
            return item
        for key in sorted(self.acts):
            if in_order and not self._open(key):
                return None
            for item in self.acts[key]:
                return item
        return None

    def _open(self, key: Bucket) -> bool:
        wave, _ = key
        if any(count for earlier, count in self.unsettled.items() if earlier < wave):
            return False
        return not any(count for other, count in self.moving.items() if other < key and other[0] == wave)

    @property
    def waits_for_wave(self) -> int | None:
        """The wave whose objects hold back others, if any are held back."""
        if not self.acts:
            return None
        earlier = [wave for wave, count in self.unsettled.items() if count and wave < min(self.acts)[0]]
        return min(earlier) if earlier else None

    @property
    def applied(self) -> bool:
        """Whether all that is wanted has been applied, healthy or not."""
        standings = self.standings
        return not standings.get("pending") and not standings.get("blocked")

    @property
    def moving_now(self) -> bool:
        """Whether any object will move by itself: those that wait for a wave do while it progresses, not once it stands still."""
        for key, count in self.moving.items() if any(self.moving.values()) else ():
            queued = len(self.acts.get(key, ()))
            if count > queued or (queued and (self._open(key) or self.standings.get("progressing"))):
                return True
        return False

    def _leave(self, item: Item) -> None:
        self.checks.pop(item, None)
        self.waits.pop(item, None)
        self.heals.pop(item, None)
        held = self.acts.get(item.bucket)
        if held is not None:
            held.pop(item, None)
            if not held:
                del self.acts[item.bucket]

    def _count(self, item: Item, by: int) -> None:
        bucket = item.bucket
        if item.phase in MOVING:
            self.moving[bucket] = self.moving.get(bucket, 0) + by
        if item.standing != "healthy" and item.holds_back:
            self.unsettled[bucket[0]] = self.unsettled.get(bucket[0], 0) + by
        held = self.standings.setdefault(item.standing, {})
        if by > 0:
            held[item] = None
        else:
            held.pop(item, None)


class Claims:
    """Who wants which object: more than one is a problem, but for a Namespace that all write alike."""

    def __init__(self) -> None:
        self.turned: dict[ObjectRef, None] = {}  # came to be wanted, or ceased to be, since the pruner took note
        self._items: dict[ObjectRef, tuple[Item, ...]] = {}
        self._uids: dict[ObjectRef, str] = {}
        self._crds: dict[tuple[str, GroupKind], dict[Item, None]] = {}

    def add(self, ref: ObjectRef, item: Item) -> tuple[Item, ...]:
        """Note a claim that is not there; the others, whose standing may change by that."""
        held = self._items.get(ref, ())
        if not held:
            self.turned[ref] = None
        self._items[ref] = (*held, item)
        kind = _defines(item)
        if kind is not None:
            self._crds.setdefault((ref.cluster, kind), {})[item] = None
        return held

    def remove(self, ref: ObjectRef, item: Item) -> tuple[Item, ...]:
        """Forget a claim; the others, whose standing may change by that."""
        before = self._items.pop(ref, ())
        held = tuple(other for other in before if other is not item)
        if held:
            self._items[ref] = held
        else:
            if before:
                self.turned[ref] = None
            self._uids.pop(ref, None)
        kind = _defines(item)
        if kind is not None:
            self._crds.get((ref.cluster, kind), {}).pop(item, None)
        return held

    def ours(self, ref: ObjectRef, uid: str) -> None:
        """What stands under a claim is ours for as long as it has this uid, whatever is taken off it meanwhile."""
        self._uids[ref] = uid

    def known(self, ref: ObjectRef, uid: str) -> bool:
        """Whether that very object was ours since it was claimed: a replace by hand takes our marks off."""
        return self._uids.get(ref) == uid

    def of(self, ref: ObjectRef) -> tuple[Item, ...]:
        """All claims on an object."""
        return self._items.get(ref, ())

    def wanted(self, cluster: str, id: ObjectId) -> bool:
        """Whether there is any claim on an object."""
        return (cluster, id) in self._items

    def brings(self, cluster: str, kind: GroupKind) -> bool:
        """Whether a CRD of that kind is wanted in the cluster."""
        return bool(self._crds.get((cluster, kind)))

    def rival(self, ref: ObjectRef, item: Item) -> Item | None:
        """Another claim that keeps this one from being applied.

        Any does, unless all are the same Namespace and this is the first. One that yields gives way to all that do not, and stands
        in nobody's way; of those that yield the first counts.
        """
        yields = item.wanted.policy.yields
        others = [other for other in self._items.get(ref, ()) if other is not item]
        firm = [other for other in others if not other.wanted.policy.yields]
        if firm or not yields:
            others = firm
        if not others:
            return None
        alike = ref.id.kind == "Namespace" and all(other.wanted.digest == item.wanted.digest for other in others)
        if (yields and not firm) or (alike and not yields):
            # Who is held makes nothing. Of two sources the paths may be the same: everybody must name the same one.
            claims = [claim for claim in [item, *others] if claim.work.held is None] or [item, *others]
            first = min(claims, key=lambda claim: (claim.wanted.place, claim.work.unit, claim.work.lane))
            return None if first is item else first
        return others[0]


def _defines(item: Item) -> GroupKind | None:
    if item.wanted.id.kind != "CustomResourceDefinition" or item.wanted.manifest is None:
        return None
    spec = item.wanted.manifest.body().get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(names, dict):
        return None
    return GroupKind(str(spec.get("group", "")), str(names.get("kind", "")))
