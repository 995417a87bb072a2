"""What a commit would change, read from an engine that was told not to act.

Law of the module: values only, in a fixed order: the same plan gives the same bytes, and `digest` names it. What it rests on
(commits, versions of live objects) is no part of that. A Secret's values are not in it: the comparison never lets them out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from reconciler.core.change import HIDDEN, Change, describe
from reconciler.core.engine import Engine
from reconciler.core.identity import ClusterName, Lane, ObjectId, Place, UnitKey
from reconciler.core.kind import Gate, Held
from reconciler.core.lanes import Item, LaneWork
from reconciler.core.messages import Commit
from reconciler.core.observed import Live
from reconciler.core.ownership import RESERVED_ANNOTATIONS
from reconciler.core.report import Report, UnitReport
from reconciler.core.told import Turn
from reconciler.core.units import Unit
from reconciler.core.waiting import reasons_of_leaving
from reconciler.core.wanted import PRUNE

Verb = Literal["create", "change", "delete", "keep"]
NOT_IN_GIT = "no longer in Git"
VERBS: tuple[Verb, ...] = ("create", "change", "delete", "keep")


@dataclass(frozen=True, slots=True)
class Field:
    """One field that changes: `words` for people; values are None where a side has none, or where they are hidden."""

    path: str
    words: str
    old: Any
    new: Any
    hidden: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One object that would change, and where that is written (deletions: where its unit is)."""

    verb: Verb
    object: ObjectId
    file: str  # "" for what is written nowhere any more
    place: Place | None
    wave: int
    fields: tuple[Field, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a changed record means for some on a cluster, in the words of its kind, and how many objects are deleted by that."""

    turn: Turn
    deleted: int


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What changes of one unit in one cluster, in the order in which it would happen. `head` is of the unit as a whole."""

    unit: UnitKey
    head: str
    turns: tuple[Counted, ...]
    steps: tuple[Step, ...]
    left_alone: tuple[str, ...]
    approval: Gate | None  # that its deletions need
    waits: str  # why its deletions need one


@dataclass(frozen=True, slots=True)
class Trouble:
    """What would not work, or could not be found out."""

    cluster: str
    unit: str
    place: Place | None
    message: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The whole plan."""

    commits: dict[str, Commit | None]
    clusters: dict[ClusterName, tuple[UnitPlan, ...]]
    troubles: tuple[Trouble, ...]

    def count(self, verb: Verb) -> int:
        """How many objects."""
        return sum(step.verb == verb for units in self.clusters.values() for unit in units for step in unit.steps)

    @property
    def changes(self) -> int:
        """How many objects would change."""
        return sum(self.count(verb) for verb in VERBS if verb != "keep")

    @property
    def approvals(self) -> list[Gate]:
        """What people would have to let through."""
        return [unit.approval for units in self.clusters.values() for unit in units if unit.approval]

    @property
    def digest(self) -> str:
        """The name of what would happen: two plans that do the same have the same."""
        data = as_data(self)
        body = msgspec.json.encode({"clusters": data["clusters"], "problems": data["problems"]}, order="deterministic")
        return hashlib.sha256(body).hexdigest()


def read(engine: Engine, report: Report) -> Planned:
    """Read it off."""
    leftovers = engine.pruner.leftovers()
    turns = {unit.key: found for unit in report.units if (found := _turns(engine, unit))}
    clusters: dict[ClusterName, tuple[UnitPlan, ...]] = {}
    for name in engine.clusters:
        keys = {work.unit: None for work in engine.work.all_lanes(name)}
        keys |= {key: None for key, cluster in leftovers if cluster == name}
        keys |= {key: None for key, found in turns.items() if any(turn.cluster == name for turn in found)}
        units = [_unit(engine, key, name, leftovers.get((key, name), []), turns.get(key, ())) for key in sorted(keys)]
        clusters[name] = tuple(unit for unit in units if unit.steps or unit.left_alone or unit.turns)
    return Planned(report.commits, clusters, tuple(_troubles(engine, report)))


def _turns(engine: Engine, report: UnitReport) -> tuple[Turn, ...]:
    """What its kind says of the record that a unit would have, beside the one that is stored."""
    unit, key = engine.units.units.get(report.key), report.key.text
    if unit is None or unit.kind.turns is None or key not in engine.store.supposed:
        return ()
    held = engine.store.records.get(key)
    return unit.kind.turns(engine.store.supposed[key], held.value if held else None)


def _unit(engine: Engine, key: UnitKey, cluster: ClusterName, leftover: list[Live], turns: tuple[Turn, ...]) -> UnitPlan:
    lanes = [work for lane, work in engine.work.lanes.get(key, {}).items() if lane.cluster == cluster]
    items = [item for work in lanes if work.held is None for item in work.items.values()]
    steps = [_step(item) for item in items if item.planned in ("create", "change")]
    waiting = engine.pruner.waiting.get((key, cluster))
    unit = engine.units.units.get(key)
    # What waits without a gate is held, and says why: nothing of it goes, whoever approves, but what its unit leaves.
    held = waiting is not None and waiting.gate is None
    held = held or (unit is not None and unit.plan is not None and bool(engine.pruner.not_yet((key, cluster))))
    leaving = reasons_of_leaving(unit.plan, cluster, leftover) if unit is not None and unit.plan is not None else {}
    for live in leftover:
        step = _deletion(unit, live, cluster, leaving.get(live.id, ""))
        if not live.deleting and (not held or (step.verb == "delete" and live.id in leaving)):
            steps.append(step)
    steps.sort(key=lambda step: (VERBS.index(step.verb) > 1, step.wave, step.file, step.place or Place(""), step.object))
    alone = tuple(f"{item.id}: {text}" for item in items for text in item.left_alone)
    gate = waiting.gate if waiting and waiting.gate and not _approved(engine, key, waiting.gate, cluster) else None
    here = (turn for turn in turns if turn.cluster == cluster)
    gone = [step.object.namespace for step in steps if step.verb == "delete"]
    counted = tuple(Counted(turn, sum(namespace in turn.leaves for namespace in gone)) for turn in here)
    head = next((turn.what for turn in turns if not turn.cluster), "")
    return UnitPlan(key, head, counted, tuple(steps), alone, gate, waiting.reason if waiting and gate else "")


def _approved(engine: Engine, key: UnitKey, gate: Gate, cluster: ClusterName) -> bool:
    from reconciler.core.approvals import find

    return find(engine.sources[key.source], key, gate, cluster) is not None


def _step(item: Item) -> Step:
    assert item.planned in ("create", "change")
    fields = tuple(_field(change) for change in item.changes if not is_mark(change))
    verb: Verb = "create" if item.planned == "create" else "change"
    note = "" if fields or verb == "create" else "only our own marks" if item.changes else "what the server makes of it"
    place = item.wanted.place
    return Step(verb, item.id or item.wanted.id, place.path, place, item.wanted.wave, fields, note)


def is_mark(change: Change) -> bool:
    """Whether a change is one of our own marks, which change with every edit."""
    return len(change.path) == 3 and change.path[:2] == ("metadata", "annotations") and change.path[2] in RESERVED_ANNOTATIONS


def _field(change: Change) -> Field:
    hidden = change.wanted is HIDDEN or change.live is HIDDEN
    words = describe(change).removeprefix(change.pretty).strip()
    return Field(change.pretty, words, None if hidden else change.live, None if hidden else change.wanted, hidden)


def _deletion(unit: Unit | None, live: Live, cluster: ClusterName, leaving: str) -> Step:
    """What becomes of an object that nobody wants; `leaving` is why its unit means it to go, "" where that says nothing of it."""
    plan = unit.plan if unit else None
    kept = next((why for ref, why in plan.keep.items() if ref.cluster == cluster and ref.id == live.id), "") if plan else ""
    if live.annotations.get(PRUNE) == "disabled":
        return Step("keep", live.id, "", None, 0, (), "reconciler.dev/prune: disabled")
    if kept:
        return Step("keep", live.id, "", None, 0, (), kept)
    return Step("delete", live.id, "", None, 0, (), leaving or NOT_IN_GIT)


# -- what would not work ----------


def _troubles(engine: Engine, report: Report) -> list[Trouble]:
    found = [Trouble("", "", None, f"source {name}: {problem}") for name, problem in report.source_problems.items() if problem]
    found += [
        Trouble(name, "", None, f"{name} {problem or 'has not answered'}; what would change there is not known")
        for name, (state, problem) in report.clusters.items()
        if state != "up"
    ]
    for unit in report.units:
        held = engine.units.units.get(unit.key)
        status = held.status if held else None
        if unit.problems:
            found += [Trouble("", str(unit.key), place, message) for place, message in unit.problems]
        elif status is not None and status.state in ("Held", "Failed"):
            where = held.spec.held.place if held and held.spec and held.spec.held else None
            found.append(Trouble("", str(unit.key), where, status.message.removeprefix(f"{where}: ")))
    found += [Trouble("", "", one.place, one.message) for idle in report.idle.values() for one in idle if not one.spent]
    for work in engine.work.all_lanes():
        key, lane = work.unit, work.lane
        found += _lane_troubles(key, lane, work)
    return sorted(dict.fromkeys(found), key=lambda one: (one.place or Place(""), one.cluster, one.unit, one.message))


def _lane_troubles(key: UnitKey, lane: Lane, work: LaneWork) -> list[Trouble]:
    if isinstance(work.held, Held):
        return []  # the unit says so
    unwell = [item for item in work.items.values() if item.message and (item.phase == "blocked" or item.standing == "blocked")]
    return [Trouble(lane.cluster, str(key), item.place or item.wanted.place, _named(item)) for item in unwell]


def _named(item: Item) -> str:
    """What is said of an object, with its name before it, unless it begins with that."""
    name = f"{item.wanted.id.kind}/{item.wanted.id.name}"
    return item.message if item.message.startswith(name) else f"{name}: {item.message}"


# -- for machines ----------


def as_data(plan: Planned) -> dict[str, Any]:
    """All of it as JSON."""
    return {
        "sources": [{"name": name, "commit": commit.id if commit else None} for name, commit in plan.commits.items()],
        "clusters": [
            {"cluster": name, "units": [_unit_data(unit) for unit in units]} for name, units in plan.clusters.items()
        ],
        "problems": [
            {"cluster": one.cluster, "unit": one.unit, "place": str(one.place) if one.place else "", "message": one.message}
            for one in plan.troubles
        ],
        "approvals": [{"name": gate.name, "revision": gate.revision, "message": gate.message} for gate in plan.approvals],
        "summary": {f"{verb}d" if verb.endswith("e") else verb: plan.count(verb) for verb in VERBS[:3]},
    }


def _unit_data(unit: UnitPlan) -> dict[str, Any]:
    return {
        "unit": str(unit.unit),
        **({"change": unit.head} if unit.head else {}),
        "turns": [
            {"who": one.turn.who, "what": one.turn.what, "leaves": list(one.turn.leaves), "deleted": one.deleted, "hint": one.turn.hint}
            for one in unit.turns
        ],
        "steps": [
            {
                "change": step.verb,
                "group": step.object.group,
                "kind": step.object.kind,
                "namespace": step.object.namespace,
                "name": step.object.name,
                "place": str(step.place) if step.place else "",
                "wave": step.wave,
                "note": step.note,
                "fields": [
                    {"path": field.path, "hidden": True} if field.hidden else {"path": field.path, "old": field.old, "new": field.new}
                    for field in step.fields
                ],
            }
            for step in unit.steps
        ],
        "leftAlone": list(unit.left_alone),
        "approval": unit.approval.name if unit.approval else "",
        "waits": unit.waits,
    }
