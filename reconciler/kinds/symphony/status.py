"""Instances, targets and solutions as upstream shows them, with our own record beside that under `reconciler`.

Law of the module: pure, and bounded by the limits below; what is worst off is shown first, and what is left out is counted. The shape is
that of symphony.md §2.8 (k8s/apis/model/v1/common_types.go upstream), with the flat `properties` of older releases for older readers. Words
are upstream's: Succeeded, Failed, Reconciling; Blocked is ours, of an instance whose stage is BLOCK. All instants are those at which
something began, in UTC; no value of a Secret is in it, since no message that it is told has one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from heapq import nsmallest
from typing import NamedTuple

from reconciler.core.identity import ClusterName
from reconciler.core.kind import State
from reconciler.core.markdown import plain
from reconciler.core.messages import Commit
from reconciler.core.problem import Problem
from reconciler.core.told import Column, LaneTold, PartTold, Table, Told

from . import read, standing
from .model import BLOCK, INSTANCE, SOLUTION, SOLUTION_VERSION, TARGET, Json
from .read import solution_name
from .standing import Stand, Standing
from .targets import place

TARGETS_SHOWN = 200  # of an instance, target by target
PROPERTIES_SHOWN = 50  # of these, in the flat form too
ASSIGNMENTS_SHOWN = 1_000
DETAILS_SHOWN = 20  # of what went wrong
TEXT_CHARACTERS = 500  # of one message
INSTANCES_SHOWN = 20  # on a target

OK, UPDATED, UNTOUCHED, UPDATE_FAILED, RECONCILING = "OK", "Updated", "Untouched", "Update Failed", "Reconciling"

_STATUS: Mapping[State, str] = {"Healthy": "Succeeded", "Paused": "Succeeded", "Failed": "Failed"}
_RANK: tuple[State, ...] = ("Failed", "Held", "Unknown", "Waiting", "Reconciling", "Paused", "Healthy")

_RANKS: Mapping[State, int] = {state: rank for rank, state in enumerate(_RANK)}

_OURS = ("status", "reconciler")
TABLES = (
    Table(
        (INSTANCE,),
        "instances",
        (
            Column("STAGE", (*_OURS, "stage")),
            Column("STATUS", ("status", "status")),
            Column("TARGETS", ("status", "targets")),
            Column("DEPLOYED", ("status", "deployed")),
            Column("SINCE", (*_OURS, "since"), "since"),
            Column("COMMIT", (*_OURS, "commit", "id"), "commit"),
            Column("VERSIONS", (*_OURS, "versions"), wide=True, page=True),
            Column("WAITS FOR", (*_OURS, "waitsFor"), sparse=True),
            Column("BROUGHT BY", (*_OURS, "commit"), "commit", wide=True),
            Column("ASSIGNMENTS", (*_OURS, "assignments"), wide=True),
        ),
    ),
    Table(
        (TARGET,),
        "targets",
        (
            Column("STATUS", ("status", "status")),
            Column("CLUSTER", (*_OURS, "cluster")),
            Column("NAMESPACE", (*_OURS, "namespace")),
            Column("INSTANCES", (*_OURS, "instances")),
            Column("WAITS FOR", (*_OURS, "waitsFor"), sparse=True),
        ),
    ),
    Table(
        (SOLUTION, SOLUTION_VERSION),
        "solutions",
        (
            Column("AGE", (*_OURS, "since"), "since"),
            Column("VERSION", (*_OURS, "version"), sparse=True),
            Column("WRITTEN BY", (*_OURS, "commit"), "commit", wide=True),
            Column("COMPONENTS", (*_OURS, "components"), wide=True),
        ),
        shows=lambda manifest: read.solution(manifest) != (None, ()),
    ),
)


def status(told: Told) -> Json:
    """The status of one object of the family."""
    kind = (told.manifest.group, told.manifest.kind)
    if kind == INSTANCE:
        return _instance(told)
    if kind == TARGET:
        return _target(told)
    return _read_only(told)


# -- instances ----------


class _On(NamedTuple):
    """How an instance is on one of its targets."""

    name: str
    stand: Stand
    lane: LaneTold | None  # None: nothing is asked for there yet
    deployed: bool

    @property
    def rank(self) -> int:
        return _RANKS[self.lane.state] if self.lane is not None else _RANKS["Reconciling"]

    @property
    def failed(self) -> bool:
        return self.lane is not None and self.lane.state in ("Failed", "Held")

    def word(self, status: str) -> str:
        """Upstream's line for a target: OK, or what is wrong."""
        if self.lane is None:
            return RECONCILING
        if self.failed:
            return f"{UPDATE_FAILED}: {_short(self.lane.message)}"
        if self.deployed:
            return OK
        if status == "Blocked":
            return "Blocked: nothing stands there"
        return f"{RECONCILING}: {_short(self.lane.message)}" if self.lane.message else RECONCILING

    def components(self) -> dict[str, tuple[str, str]]:
        """Each component's word, and its message."""
        found: dict[str, tuple[str, str]] = {}
        untouched = self.lane is not None and self.lane.state in ("Paused", "Held")
        for names, part in (self.lane.parts() if self.lane else {}).items():
            for name in filter(None, names.split(",")):  # components of one pod are one object
                found[name] = (UNTOUCHED, "") if untouched else (_word(part), _short(part.message))
        return found


def _word(part: PartTold) -> str:
    return UPDATE_FAILED if part.failed else UPDATED if part.healthy == part.objects else RECONCILING


def _instance(told: Told) -> Json:
    before = standing.read(told.record)
    spaces = _Spaces(told)
    lanes = {(lane.lane.cluster, lane.lane.target): lane for lane in told.lanes}
    targets = [_on(name, stand, lanes.get((ClusterName(stand.cluster), name)), spaces) for name, stand in before.targets.items()]
    dry_run = (found := read.instance(told.manifest)[0]) is not None and found.dry_run
    deployed = 0 if dry_run else sum(on.deployed for on in targets)
    worst = nsmallest(TARGETS_SHOWN, targets, key=lambda on: (on.rank, on.name))
    shown = [(on, on.components()) for on in worst]
    word = _status(told, before)
    lines = [(on.name, on.word(word), components) for on, components in shown]
    return {
        "status": word,
        "statusDetails": _short(told.message),
        "lastModified": _instant(told.since),
        "targets": len(targets),
        "deployed": deployed,
        "targetStatuses": [
            {
                "name": name,
                "status": line,
                "componentStatuses": [{"name": component, "status": said} for component, (said, _) in components.items()],
            }
            for name, line, components in lines
        ],
        "provisioningStatus": _provisioning(told, before, word, deployed, len(targets), shown),
        "properties": _properties(word, deployed, len(targets), lines),
        "reconciler": _filled(
            {
                "stage": before.stage,
                "since": _instant(before.since) if before.since else "",
                "state": told.state,
                "commit": _commit(before.commit, told.commit),
                "waitsFor": _short(told.waits_for or ("" if word == "Succeeded" else told.message)),
                "versions": _versions(before),
                "assignments": {name: stand.solution for name, stand in list(before.targets.items())[:ASSIGNMENTS_SHOWN]},
                "moreAssignments": max(0, len(before.targets) - ASSIGNMENTS_SHOWN),
                "moreTargetStatuses": max(0, len(targets) - TARGETS_SHOWN),
                "leaves": _leaves(before, spaces),
                "schedules": {
                    text: _filled({"firedAt": _instant(fired.at), "commit": fired.commit, "done": fired.done})
                    for text, fired in before.fired.items()
                },
                "problems": [_problem(problem) for problem in told.problems[:DETAILS_SHOWN]],
                "moreProblems": max(0, len(told.problems) - DETAILS_SHOWN),
            }
        ),
    }


class _Spaces:
    """How many objects an instance owns in each namespace of a cluster; asked once, and only where it matters."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._counts: dict[str, dict[str, int]] = {}

    def count(self, cluster: str, namespace: str) -> int:
        counts = self._counts.get(cluster)
        if counts is None:
            counts = self._counts[cluster] = {}
            for id in self._told.owned(ClusterName(cluster)):
                counts[id.namespace] = counts.get(id.namespace, 0) + 1
        return counts.get(namespace, 0)


def _on(name: str, stand: Stand, lane: LaneTold | None, spaces: _Spaces) -> _On:
    if lane is None:
        return _On(name, stand, None, deployed=False)
    if lane.state in ("Paused", "Held"):
        # What is wanted there may never have been worked out in this life; what stands there is known all the same.
        whole = lane.healthy == lane.objects if lane.objects else spaces.count(stand.cluster, stand.namespace) > 0
        return _On(name, stand, lane, deployed=whole)
    return _On(name, stand, lane, deployed=lane.state == "Healthy")


def _status(told: Told, before: Standing) -> str:
    if told.state == "Paused" and before.stage == BLOCK:
        return "Blocked"
    if told.state == "Held":  # either somebody must mend a file, or something is still to be found out
        wrong = told.plan is not None and told.plan.state in ("Held", "Failed")
        return "Failed" if wrong or any(problem.severity == "error" for problem in told.problems) else RECONCILING
    return _STATUS.get(told.state, RECONCILING)


def _provisioning(
    told: Told, before: Standing, word: str, deployed: int, count: int, shown: list[tuple[_On, dict[str, tuple[str, str]]]]
) -> Json:
    good = (UPDATED, UNTOUCHED)
    output = {f"{on.name}.{name}": text or said for on, parts in shown for name, (said, text) in parts.items() if said not in good}
    percent = 100 * deployed // count if count else 100 if word == "Succeeded" else 0
    made: Json = {"operationId": before.commit, "status": word, "percentComplete": percent}
    if word == "Failed":
        made |= {"failureCause": _short(told.message), "error": _error(told, shown)}
    return _filled({**made, "output": dict(list(output.items())[:TARGETS_SHOWN])})


def _error(told: Told, shown: list[tuple[_On, dict[str, tuple[str, str]]]]) -> Json:
    """What went wrong, target by target and component by component; else, problem by problem."""
    details: list[Json] = []
    for on, parts in shown:
        if on.failed and on.lane is not None:
            of = [_fault(name, text) for name, (said, text) in parts.items() if said == UPDATE_FAILED]
            details.append({**_fault(on.name, on.lane.message), "details": of[:DETAILS_SHOWN]})
    if not details:
        details = [_fault(str(one.place), one.message) for one in told.problems if one.severity == "error"]
    return _filled({**_fault(told.manifest.name, told.message), "details": details[:DETAILS_SHOWN]})


def _fault(target: str, message: str) -> Json:
    return {"code": UPDATE_FAILED, "message": _short(message), "target": target}


def _properties(word: str, deployed: int, count: int, lines: list[tuple[str, str, dict[str, tuple[str, str]]]]) -> dict[str, str]:
    """The same as text by text, for readers of releases before the structure above."""
    made = {"status": word, "targets": str(count), "deployed": str(deployed)}
    for name, line, components in lines[:PROPERTIES_SHOWN]:
        made[f"targets.{name}"] = line
        made.update((f"targets.{name}.{component}", said) for component, (said, _) in components.items())
    return made


def _versions(before: Standing) -> dict[str, int]:
    counts: dict[str, int] = {}
    for stand in before.targets.values():
        counts[stand.solution] = counts.get(stand.solution, 0) + 1
    return dict(sorted(counts.items()))


def _leaves(before: Standing, spaces: _Spaces) -> list[Json]:
    """What goes, or will: targets of the stage before that wait for this one, and places where something of ours still is."""
    made: list[Json] = []
    for name, stand in before.leaving.items():
        why = f"of stage {stand.stage}, stays until stage {before.stage} is healthy"
        made.append({"target": name, "cluster": stand.cluster, "namespace": stand.namespace, "why": why})
    for scope, why in before.left.items():
        cluster, _, namespace = scope.partition("/")
        count = spaces.count(cluster, namespace)
        if count:
            made.append({"cluster": cluster, "namespace": namespace, "objects": count, "why": why})
    return made[:TARGETS_SHOWN]


def _problem(problem: Problem) -> Json:
    return {"at": str(problem.place), "severity": problem.severity, "message": _short(problem.message)}


# -- targets and solutions ----------


def _target(told: Told) -> Json:
    """A target is as what is deployed onto it: its own components, or the instances that stand there; and it must be in reach."""
    found, problems = read.target(told.manifest)
    if found is None:
        return {"status": "Failed", "statusDetails": _short(str(problems[0])), "reconciler": {"waitsFor": _short(str(problems[0]))}}
    scope = found.scope if told.plan is not None else found.solution_scope
    where = place(found, told.manifest.name, scope, (), told.manifest, tuple(told.clusters), told.implied)
    standing_on = told.lanes or told.guests
    worst = min(standing_on, key=lambda lane: _RANK.index(lane.state), default=None)
    state, message = (told.state, told.message) if told.plan is not None else (worst.state, worst.message) if worst else ("Healthy", "")
    if worst is not None and message and told.plan is None:
        message = f"{worst.unit}: {message}"
    cluster = worst.lane.cluster if worst is not None else "" if isinstance(where, Problem) else where.cluster
    reach, why = told.clusters.get(ClusterName(cluster), ("", ""))
    if worst is None and isinstance(where, Problem):
        state, message = "Failed", str(where)
    elif worst is None and reach == "down":
        state, message = "Unknown", f"{cluster} cannot be reached: {why}"
    word = _STATUS.get(state, RECONCILING)
    names = list(dict.fromkeys(lane.unit.name for lane in told.guests))
    return {
        "status": word,
        **({"statusDetails": _short(message)} if message else {}),
        **({"lastModified": _instant(told.since)} if told.plan is not None else {}),
        "targets": 1,
        "deployed": int(word == "Succeeded"),
        "reconciler": _filled(
            {
                "state": state,
                "cluster": cluster,
                "namespace": "" if isinstance(where, Problem) else where.namespace,
                "instances": names[:INSTANCES_SHOWN],
                "moreInstances": max(0, len(names) - INSTANCES_SHOWN),
                "commit": _commit("", told.commit),
                "waitsFor": "" if word == "Succeeded" else _short(told.waits_for or message),
            }
        ),
    }


def _read_only(told: Told) -> Json:
    """What nothing is deployed of by itself: who wrote it last, and when."""
    ours: Json = {"since": _instant(told.since), "commit": _commit("", told.commit)}
    found, problems = read.solution(told.manifest)
    if found is not None:
        ours |= {"root": found.root, "version": solution_name(told.manifest)[1], "components": [one.name for one in found.components]}
    ours["problems"] = [_problem(problem) for problem in problems[:DETAILS_SHOWN]]
    return {"reconciler": _filled(ours)}


# -- words ----------


def _commit(id: str, last: Commit | None) -> Json:
    """A commit by its id ("": the one that last changed the file), with who wrote it where that is the one that is known."""
    if last is None or (id and id != last.id):
        return {"id": id} if id else {}
    return {"id": str(last.id), "author": plain(last.author, 100), "subject": plain(last.subject, 200)}


def _instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(text: str) -> str:
    return plain(text, TEXT_CHARACTERS)


def _filled(value: Json) -> Json:
    return {key: held for key, held in value.items() if held not in ("", None, [], {}) and not (key.startswith("more") and held == 0)}
