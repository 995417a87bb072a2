"""Units: what is planned together, when, and with which record.

Law of the module: a unit is planned at most once a step, and only if the answer to a question it asked has changed or its time has
come. It acts only on a plan that leaves its record as it is stored; a plan that changes the record is stored first and then made
anew (intent before act). What another daemon has stored meanwhile ends what was planned before. Around each plan stands one fence:
whatever a kind raises holds that unit alone.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Container, Hashable
from dataclasses import dataclass, field
from operator import attrgetter

from .identity import ClusterName, GroupKind, Lane, UnitKey
from .kind import Held, Json, Kind, Plan, Spec, Status
from .manifest import Manifest
from .store import Store
from .view import FOLLOWED, NotYet, Question, Topic, View, World, ask_again, topic_of
from .wire import Wire
from .work import Work

FENCE_RETRY_SECONDS = 300.0
PLANS_PER_STEP = 500
SUPPOSED_LIMIT = 20
"""Records of one unit in a row that are taken for stored where nothing is: what never settles ends there."""

CALENDAR_SECONDS = 60.0
"""How late a date may be noticed after somebody has set the clock forward."""

_KIND_OF = attrgetter("group", "kind")


@dataclass(slots=True, eq=False)
class Unit:
    """One unit, and what is known of it."""

    key: UnitKey
    kind: Kind
    spec: Spec | None = None
    plan: Plan | None = None  # the one that is acted on
    rests_on: Json | None = None  # the record that it was made from, or that we have stored since
    proposed: Plan | None = None  # the last one made; differs from `plan` while its record is being stored
    asked: dict[Question, Hashable] = field(default_factory=dict)
    saving: bool = False
    not_yet: bool = False
    broken: str = ""  # what the fence caught
    supposed: int = 0  # how often a record of it was taken for stored
    plans: int = 0  # how often it was planned: counted by tests

    @property
    def planned(self) -> bool:
        """Whether a plan of what Git says now is acted on."""
        return self.plan is not None and not self.not_yet and not self.broken

    @property
    def status(self) -> Status | None:
        """What its plan says of it; None: judge by its objects."""
        if self.broken:
            return Status("Held", self.broken)
        return self.plan.status if self.plan else None


class Units:
    """All units. `spec_of(unit)` reads Git and the records; `on_plan(unit)` hears of each plan that is acted on."""

    def __init__(
        self,
        wire: Wire,
        world: World,
        store: Store,
        work: Work,
        spec_of: Callable[[Unit], Spec | None],
        on_plan: Callable[[Unit], None],
    ) -> None:
        self.wire = wire
        self.world = world
        self.store = store
        self.work = work
        self.units: dict[UnitKey, Unit] = {}
        self._spec_of = spec_of
        self._on_plan = on_plan
        self._dirty: dict[UnitKey, None] = {}
        self._topics: dict[Topic, dict[UnitKey, None]] = {}
        self._suspect: dict[tuple[UnitKey, Topic], None] = {}
        self._saving: dict[UnitKey, None] = {}
        self._unplanned: dict[UnitKey, None] = {}

    # -- what may have changed ----------

    def touch(self, key: UnitKey, kind: Kind) -> Unit:
        """What a unit is made of has changed: plan it."""
        unit = self.units.get(key)
        if unit is None:
            unit = self.units[key] = Unit(key, kind)
            self._unplanned[key] = None
        self._dirty[key] = None
        return unit

    def forget(self, key: UnitKey) -> None:
        """Nothing is left of a unit."""
        unit = self.units.pop(key)
        self._listen(unit, {})
        self._dirty.pop(key, None)
        self._unplanned.pop(key, None)
        self._saving.pop(key, None)
        self.wire.cancel(("unit", key))
        self.wire.cancel(("due", key))

    def changed(self, topic: Topic) -> None:
        """A fact has changed: the units that asked about it ask again."""
        for key in self._topics.get(topic, ()):
            self._suspect[key, topic] = None

    def changed_all(self, name: str) -> None:
        """Facts of one sort have changed, whichever."""
        for topic in [topic for topic in self._topics if topic[0] == name]:
            self.changed(topic)

    def is_current(self, key: UnitKey) -> bool:
        """Whether the plan of a unit that is acted on is what its kind says of all that is known now."""
        unit = self.units.get(key)
        return unit is not None and unit.planned and unit.plan is unit.proposed and not unit.saving and key not in self._dirty

    def asked_by_name(self, kind: GroupKind, namespace: str, name: str) -> list[UnitKey]:
        """The units that asked for manifests of a name."""
        question = ("named", kind, namespace, name)
        return [key for key in self._topics.get(topic_of(question), ()) if question in self.units[key].asked]

    @property
    def busy(self) -> bool:
        """Whether any unit waits to be planned or stored."""
        return bool(self._dirty) or bool(self._suspect) or bool(self._saving)

    @property
    def all_planned(self) -> bool:
        """Whether of every unit a plan of what Git says now is acted on. Asked in every step, so it is kept, not counted."""
        return not self._unplanned

    def records_read(self) -> None:
        """All records were read anew: nothing that was planned from others is acted on any more."""
        for unit in self.units.values():
            record = self.store.records.get(unit.key.text)
            self._end_if_moved(unit, record.value if record else None)

    # -- planning ----------

    def run(self) -> None:
        """Plan what must be planned, each unit at most once."""
        suspects, self._suspect = self._suspect, {}
        for key, topic in suspects:
            unit = self.units.get(key)
            if unit is None or key in self._dirty:
                continue
            for question, answer in unit.asked.items():
                if topic_of(question) == topic and ask_again(self.world, key, question) != answer:
                    self._dirty[key] = None
                    break
        dirty = list(self._dirty)[:PLANS_PER_STEP]
        for key in dirty:
            del self._dirty[key]
            self._plan(self.units[key])
        if self._dirty:
            self.wire.after("more plans", 0.0, lambda: None)

    def _plan(self, unit: Unit) -> None:
        if unit.saving:
            return  # planned again when the store has answered
        spec = self._spec_of(unit)
        if spec is None:
            return
        self._end_if_moved(unit, spec.record)
        view = View(self.world, unit.key)
        unit.plans += 1
        try:
            plan = unit.kind.plan(spec, view, self.wire.now)
            if nowhere := [lane for lane in plan.wanted if lane.cluster not in self.work.clusters]:
                raise ValueError(f"a plan for cluster {nowhere[0].cluster}, which is not configured")
        except NotYet:
            unit.not_yet = True
            self._note(unit)
            self._listen(unit, view.asked)
            return
        except Exception as error:  # the fence (design, law 10): a kind's fault holds its unit, nothing else
            self._fence(unit, error)
            self._listen(unit, view.asked)
            return
        unit.spec, unit.not_yet, unit.broken, unit.proposed = spec, False, "", plan
        self._note(unit)
        self._listen(unit, view.asked)
        self._wake(unit, plan)
        if plan.record == spec.record:
            unit.rests_on = spec.record
            self._adopt(unit, plan)
        else:
            if plan.retreat:
                self._adopt(unit, plan)
            self._save(unit, plan.record)

    def _fence(self, unit: Unit, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))
        mark = hashlib.sha256(f"{unit.key.text}{trace}".encode()).hexdigest()[:8]
        broken = f"internal error {mark}; held as it is until what it depends on changes"
        if broken != unit.broken:
            self.wire.log("error", "internal error", unit=str(unit.key), trace=mark, stack=trace[-4000:])
        unit.broken = broken
        self._note(unit)
        self.wire.after(("unit", unit.key), FENCE_RETRY_SECONDS, lambda: self._again(unit.key))
        self._on_plan(unit)

    def _note(self, unit: Unit) -> None:
        if unit.planned:
            self._unplanned.pop(unit.key, None)
        else:
            self._unplanned[unit.key] = None

    def _listen(self, unit: Unit, asked: dict[Question, Hashable]) -> None:
        for question in unit.asked:
            held = self._topics.get(topic_of(question))
            if held is not None:
                held.pop(unit.key, None)
                if not held:
                    del self._topics[topic_of(question)]
        before, unit.asked = unit.asked, asked
        for question in asked:
            self._topics.setdefault(topic_of(question), {})[unit.key] = None
        for question in before:
            if question[0] in FOLLOWED and topic_of(question) not in self._topics:
                self.world.forget(question)

    def _wake(self, unit: Unit, plan: Plan) -> None:
        self.wire.cancel(("unit", unit.key))
        if plan.wake_at is not None:
            at = max(plan.wake_at, self.wire.now.steady + 0.001)
            self.wire.at(("unit", unit.key), at, lambda: self._again(unit.key))
        self.wire.cancel(("due", unit.key))
        if plan.due_at is not None:
            self._wait_for(unit.key, plan.due_at)

    def _wait_for(self, key: UnitKey, due_at: float) -> None:
        """Timers follow the steady clock, and the calendar's may be set meanwhile: look again in good time."""
        left = due_at - self.wire.now.wall
        if left <= 0:
            self._again(key)
        else:
            self.wire.after(("due", key), min(left, CALENDAR_SECONDS), lambda: self._wait_for(key, due_at))

    def _again(self, key: UnitKey) -> None:
        if key in self.units:
            self._dirty[key] = None

    # -- records ----------

    def _save(self, unit: Unit, record: Json | None) -> None:
        if not self.work.settings.act:
            self._suppose(unit, record)
            return
        if not self.store.leading:
            return  # the record is stored when this daemon leads: everything is planned anew then
        unit.saving = True
        self._saving[unit.key] = None

        def saved(_ok: bool) -> None:
            held = self.store.records.get(unit.key.text)
            if (held.value if held else None) == record:
                unit.rests_on = record
            unit.saving = False
            self._saving.pop(unit.key, None)
            self._again(unit.key)

        self.store.save(unit.key.text, record, saved)

    def _suppose(self, unit: Unit, record: Json | None) -> None:
        """Who only asks what would happen takes a record for stored, and goes on from there."""
        unit.supposed += 1
        if unit.supposed <= SUPPOSED_LIMIT:
            unit.rests_on = record
            self.store.suppose(unit.key.text, record)
            self._again(unit.key)

    def _end_if_moved(self, unit: Unit, stored: Json | None) -> None:
        """Hold what was planned before another daemon went on from there."""
        if unit.plan is None or stored is unit.rests_on or stored == unit.rests_on:
            return
        unit.rests_on = stored
        held = Held("its record has moved on since it was planned")
        self._adopt(unit, Plan(dict.fromkeys(unit.plan.wanted, held), prune=False, record=stored, status=Status("Held", held.reason)))

    def _adopt(self, unit: Unit, plan: Plan) -> None:
        """Act on a plan from now on."""
        old, unit.plan = unit.plan, plan
        self._note(unit)
        before = old.wanted if old else {}
        for lane, wanted in plan.wanted.items():
            if lane in before and wanted == before[lane]:
                continue  # of ten thousand lanes a plan changes few
            if isinstance(wanted, Held):
                self.work.hold(unit.key, lane, wanted)
            else:
                self.work.want(unit.key, lane, wanted)
        for lane in before:
            if lane not in plan.wanted:
                self.work.drop(unit.key, lane)
        self._on_plan(unit)


def lane_of_path(path: str, clusters: dict[str, object], default: str | None) -> Lane | str | None:
    """The lane that a place in the tree implies: a lane, None under hub/, or why there is none (design §6)."""
    if default is not None and not path.startswith(("hub", "clusters")):
        return Lane(ClusterName(default))
    parts = path.split("/")
    if parts[0] == "hub":
        return None
    if parts[0] == "clusters" and len(parts) > 1:
        if parts[1] in clusters:
            return Lane(ClusterName(parts[1]))
        return f"no cluster {parts[1]} is configured"
    if default is None:
        return "no default cluster is configured, and the place names none (clusters/<name>/…)"
    return Lane(ClusterName(default))


def folder_manifests(manifests: tuple[Manifest, ...], not_plain: Container[GroupKind]) -> tuple[Manifest, ...]:
    """The plain objects among a folder's manifests: those that no kind, and not we ourselves, read otherwise."""
    kinds = dict.fromkeys(map(_KIND_OF, manifests))  # few, of however many manifests
    if not any(GroupKind(*kind) in not_plain for kind in kinds):
        return manifests
    return tuple(m for m in manifests if GroupKind(m.group, m.kind) not in not_plain)
