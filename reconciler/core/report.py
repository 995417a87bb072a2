"""How everything stands, as one value: what the status branch, the tables and the JSON of the command line are all made of.

Law of the module: computed from the engine's state whenever asked; nothing is remembered but since when each unit has been in its
state, so that the same state gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .approvals import Idle
from .clusters import Cluster
from .identity import ClusterName, Lane, Place, SourceName, UnitKey
from .kind import Gate, State, Status
from .lanes import FIRST_WAVE, Item, LaneWork
from .markdown import plain
from .messages import Commit
from .problem import Problem
from .told import LaneTold, PartTold
from .units import Unit
from .waiting import NOT_APPLIED, Waiting

_WORST: tuple[State, ...] = ("Failed", "Held", "Unknown", "Waiting", "Paused", "Reconciling", "Healthy")
SHOWN_OBJECTS = 5
"""How many objects that are not well a lane names."""
SHOWN_LANES = 8
"""Of how many lanes the message of a unit speaks: there may be ten thousand."""


@dataclass(frozen=True, slots=True)
class ObjectReport:
    """One object that is not as it should be, or (in plans) would change."""

    object: str
    standing: str
    message: str
    place: Place | None


class LaneReport(NamedTuple):
    """One unit in one cluster, or on one target in it."""

    cluster: ClusterName
    state: State
    message: str
    objects: int
    healthy: int
    unwell: tuple[ObjectReport, ...]
    left_alone: tuple[str, ...]
    prune: Waiting | None
    target: str = ""


@dataclass(frozen=True, slots=True)
class UnitReport:
    """One unit. `since` is epoch seconds of its last change of state; `cause` is the commit that its plan says has brought it about."""

    key: UnitKey
    state: State
    message: str
    waits_for: str
    since: float
    commit: Commit | None
    lanes: tuple[LaneReport, ...]
    problems: tuple[tuple[Place, str], ...]
    gates: tuple[tuple[Gate, str], ...]  # with the cluster, "" where it concerns all
    record: dict[str, Any] | None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything."""

    at: float
    commits: dict[str, Commit | None]  # source -> what was read
    source_problems: dict[str, str]
    clusters: dict[ClusterName, tuple[str, str]]  # state, and why
    leading: bool
    standing_by: str  # why this daemon does not act, "" where it does
    units: tuple[UnitReport, ...]
    settled: bool  # nothing will move by itself any more, but pods and people
    idle: Mapping[str, tuple[Idle, ...]] = field(default_factory=dict)  # source -> its approvals that let nothing through

    @property
    def healthy(self) -> bool:
        """Whether all of it is as it should be; what somebody has paused is."""
        return (
            not any(self.source_problems.values())
            and all(state == "up" for state, _ in self.clusters.values())
            and all(unit.state in ("Healthy", "Paused") for unit in self.units)
        )


@dataclass(slots=True)
class Since:
    """Since when each unit has been in its state."""

    states: dict[UnitKey, tuple[State, float]] = field(default_factory=dict)

    def of(self, key: UnitKey, state: State, now: float) -> float:
        """Carry the time over while the state stays."""
        held = self.states.get(key)
        if held is None or held[0] != state:
            held = self.states[key] = (state, now)
        return held[1]


def lane_report(work: LaneWork, cluster: Cluster, may_work: str, waiting: Waiting | None) -> LaneReport:
    """How one unit stands in one lane. `may_work` says why nothing is done there, "" where it is."""
    lane, count = work.lane, len(work.items)
    if waiting is None and not work.left_alone and _is_well(work, cluster, may_work):
        return LaneReport(lane.cluster, "Healthy", "", count, count, (), (), None, lane.target)
    unwell, moving = _unwell(work), _moving(work)
    state, message = _lane_state(work, cluster, may_work, waiting, unwell, moving)
    alone = [item for item in work.items.values() if item in work.left_alone] if work.left_alone else []
    left_alone = tuple(f"{item.id}: {path}" for item in alone for path in item.left_alone)
    return LaneReport(
        cluster=lane.cluster,
        state=state,
        message=message,
        objects=count,
        healthy=len(work.standings.get("healthy", ())),
        unwell=tuple(_object(item) for item in [*unwell, *moving][:SHOWN_OBJECTS]),
        left_alone=left_alone[:SHOWN_OBJECTS],
        prune=waiting,
        target=lane.target,
    )


def _is_well(work: LaneWork, cluster: Cluster, may_work: str) -> bool:
    """Whether there is nothing to say of a lane: nearly always, and a unit may have ten thousand."""
    return work.held is None and not may_work and cluster.state != "down" and len(work.standings.get("healthy", ())) == len(work.items)


def lane_told(work: LaneWork, cluster: Cluster, may_work: str) -> LaneTold:
    """The same, for a kind that tells of it."""
    count = len(work.items)
    if _is_well(work, cluster, may_work):
        return LaneTold(work.unit, work.lane, "Healthy", "", count, count, lambda: _parts(work))
    state, message = _lane_state(work, cluster, may_work, None, _unwell(work), _moving(work))
    return LaneTold(work.unit, work.lane, state, message, count, len(work.standings.get("healthy", ())), lambda: _parts(work))


def _parts(work: LaneWork) -> dict[str, PartTold]:
    """How each part of a lane is."""
    by_part: dict[str, list[Item]] = {}
    for item in work.items.values():
        by_part.setdefault(item.wanted.part, []).append(item)
    return {part: _part(items) for part, items in by_part.items()}


def _part(items: list[Item]) -> PartTold:
    failed = [item for item in items if item.standing in ("failed", "blocked")]
    unwell = failed or [item for item in items if item.standing != "healthy"]
    healthy = sum(item.standing == "healthy" for item in items)
    return PartTold(len(items), healthy, len(failed), _sentence(unwell) if unwell else "")


def _unwell(work: LaneWork) -> list[Item]:
    return [*work.standings.get("failed", ()), *work.standings.get("blocked", ())]


def _moving(work: LaneWork) -> list[Item]:
    return [*work.standings.get("progressing", ()), *work.standings.get("pending", ())]


def _lane_state(
    work: LaneWork, cluster: Cluster, may_work: str, waiting: Waiting | None, unwell: list[Item], moving: list[Item]
) -> tuple[State, str]:
    if work.held is not None:
        return ("Paused" if work.held.paused else "Held"), str(work.held)
    if cluster.state == "down":
        return "Unknown", f"{cluster.name} cannot be reached: {cluster.problem}"
    if may_work:
        return "Unknown", may_work
    if unwell:
        return "Failed", _sentence(unwell) + _held_back(waiting)
    if moving:
        wave = work.waits_for_wave
        later = f"; later waves wait for {_wave(wave)}" if wave is not None else ""
        return "Reconciling", _sentence(moving) + later + _held_back(waiting)
    if waiting is not None:
        text = f"pruning {waiting.count} of {waiting.of} objects: {waiting.reason}"
        return ("Waiting" if waiting.gate else "Reconciling"), text
    return "Healthy", ""


def _held_back(waiting: Waiting | None) -> str:
    """What is not deleted because something else could not be applied."""
    if waiting is None or waiting.reason != NOT_APPLIED:
        return ""
    one = waiting.count == 1
    return f"; {waiting.count} object{'' if one else 's'} no longer in Git wait{'s' if one else ''} until all that is wanted is applied"


def _wave(wave: int) -> str:
    return "namespaces and definitions" if wave == FIRST_WAVE else f"wave {wave}"


def _sentence(items: list[Item]) -> str:
    first = items[0]
    where = f"{first.place}: " if first.place else ""
    rest = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    name = f"{first.wanted.id.kind}/{first.wanted.id.name}"
    return f"{where}{name} {first.message or 'is being applied'}{rest}"


def _object(item: Item) -> ObjectReport:
    return ObjectReport(f"{item.wanted.id.kind}/{item.wanted.id.name}", item.standing, item.message, item.place)


def unit_report(
    unit: Unit,
    lanes: list[LaneReport],
    commit: Commit | None,
    since: Callable[[UnitKey, State], float],
    offered: Callable[[UnitKey, Gate, str], str],
    edits: tuple[str, ...] = (),
    checked: tuple[Problem, ...] = (),
) -> UnitReport:
    """How one unit stands.

    `offered` says how to let a gate through, `edits` what of its edits waits for somebody, `checked` what is wrong in Git beside its plan.
    """
    own: Status | None = unit.status
    states: list[State] = [lane.state for lane in lanes] + ([own.state] if own else [])
    if unit.plan is None and not own:
        states.append("Unknown")
    state: State = min(dict.fromkeys(states), key=_WORST.index) if states else "Healthy"
    messages = [own.message] if own and own.message else []
    messages += _of_lanes(lanes)
    gates = [(gate, "") for gate in (unit.plan.gates if unit.plan else ())]
    gates += [(lane.prune.gate, lane.cluster) for lane in lanes if lane.prune and lane.prune.gate]
    waits = [own.waits_for] if own and own.waits_for else []
    waits += [offered(unit.key, gate, cluster) for gate, cluster in gates]
    waits += edits
    found = {problem.place: None for problem in unit.plan.problems} if unit.plan else {}
    problems = tuple((problem.place, problem.message) for problem in (unit.plan.problems if unit.plan else ()))
    problems += tuple((problem.place, problem.message) for problem in checked if problem.place not in found)
    return UnitReport(
        key=unit.key,
        state=state,
        message="; ".join(messages),
        waits_for="; ".join(waits),
        since=since(unit.key, state),
        commit=commit,
        lanes=tuple(lanes),
        problems=problems,
        gates=tuple(gates),
        record=unit.plan.record if unit.plan else None,
        cause=own.commit if own else "",
    )


def _of_lanes(lanes: list[LaneReport]) -> list[str]:
    """What is to be said of single lanes, those that are worst off first."""
    said = [lane for lane in lanes if lane.message and lane.state not in ("Held", "Paused")]
    shown = sorted(said, key=lambda lane: _WORST.index(lane.state))[:SHOWN_LANES] if len(said) > SHOWN_LANES else said
    texts = [f"{lane.target or lane.cluster}: {lane.message}" for lane in shown]
    more = len(said) - len(shown)
    what = "target" if any(lane.target for lane in said) else "cluster"
    return [*texts, *([f"and {more} more {what}{'' if more == 1 else 's'}"] if more else [])]


def waits_for(unit: UnitReport, commit: Commit | None) -> str:
    """What a unit waits for, and whose commit brought it about, where `commit`, the one that last changed it, is that one."""
    if not unit.waits_for or commit is None or commit.id != unit.cause:
        return unit.waits_for
    return f'{unit.waits_for} ({plain(commit.author, 60)}: "{plain(commit.subject, 80)}")'


def prune_report(cluster: Cluster, may_work: str, waiting: Waiting) -> LaneReport:
    """A unit of which only objects to delete are left in a cluster."""
    work = LaneWork(UnitKey(SourceName(""), "", "", "", ""), Lane(cluster.name))
    return lane_report(work, cluster, may_work, waiting)


def lane_key(lane: LaneReport) -> tuple[str, str]:
    """The order of lanes in a report."""
    return (lane.cluster, lane.target)
