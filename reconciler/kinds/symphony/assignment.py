"""Who gets what: the targets of the rings that stand, each with its version and its place.

Law of the module: reads Git through the view and where the instance stands, and says what should stand; nothing is rendered here. A
target that cannot be read, that nobody can place, or that would share a place with another, is a problem of its own: it keeps what it
has and counts among the others, so that none of them moves because of it. Nobody knows that it has left a ring, whatever the stage is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from reconciler.core.identity import ClusterName, Lane
from reconciler.core.manifest import Manifest
from reconciler.core.problem import Problem
from reconciler.core.tree import Places

from . import read
from .model import TARGET, Instance, Placement, Target
from .shares import assign
from .stages import Ring, rings
from .standing import Stand
from .targets import DEFAULT_NAMESPACE, fits, is_exact, matches, place, spaces

NAMED = 5  # targets in one message


@dataclass(slots=True)
class Placed:
    """One target of an instance: what it should have, and where."""

    target: Target
    ring: Ring
    solution: str
    placement: Placement


@dataclass(slots=True)
class Assignment:
    """What a stage comes to now. `held`: targets that keep what they have, each with the reason."""

    placed: dict[str, Placed] = field(default_factory=dict)
    held: dict[str, Problem] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    matched: int = 0

    def stands(self, before: Mapping[str, Stand]) -> dict[str, Stand]:
        """What the record says of it; what is held and stands somewhere stays as it is."""
        kept = {name: before[name] for name in self.held if name in before}
        new = {name: Stand(it.solution, it.ring.stage, it.placement.cluster, it.placement.namespace) for name, it in self.placed.items()}
        return dict(sorted({**kept, **new}.items()))

    def hold(self, name: str, problem: Problem) -> None:
        """A target that keeps what it has."""
        self.placed.pop(name, None)
        self.held[name] = problem


class _Candidate(NamedTuple):
    """A target that a ring may choose. `wrong`: why nobody knows what it is; what it seems to be then counts for nothing else."""

    manifest: Manifest
    target: Target | None
    wrong: Problem | None

    def is_of(self, ring: Ring, before: Mapping[str, Stand]) -> bool:
        """Whether the ring means it; where nobody knows, what it is called and where it stands decide."""
        if self.target is not None and matches(ring.choice, self.target):
            return True
        name = self.manifest.name
        stand = before.get(name)
        return self.wrong is not None and (fits(ring.choice.name, name) or (stand is not None and stand.stage == ring.stage))


def assignment(instance: Instance, stage: str, before: Mapping[str, Stand], view: Places) -> Assignment:
    """The targets of a stage. `before` is what each of them has."""
    found = Assignment()
    standing = rings(instance, stage)
    candidates = _candidates(instance, standing, view)
    members: dict[str, Ring] = {}
    for ring in standing:
        names = [name for name, candidate in candidates.items() if candidate.is_of(ring, before)]
        if not names:
            text = f"stage {ring.stage} has no target: none matches"
            found.problems.append(Problem(instance.manifest.place(ring.choice.pointer), text))
        for name in names:
            members.setdefault(name, ring)
    chooses = next((ring for ring in standing if not is_exact(ring.choice)), None)
    for name, candidate in candidates.items():
        if chooses is not None and candidate.wrong is not None and name in before:
            members.setdefault(name, chooses)
    found.matched = len(members)
    had = {name: stand.solution for name, stand in before.items()}
    for ring in standing:
        names = [name for name, of in members.items() if of is ring]
        shares = [(share.solution, share.weight) for share in ring.shares]
        for name, solution in (assign(_name(instance), names, shares, had) if names else {}).items():
            where = _placed(instance, candidates[name], ring, solution, view)
            if isinstance(where, Problem):
                found.hold(name, where)
                found.problems.append(where)
            else:
                found.placed[name] = where
    while _part(found, before):  # who is held keeps its place, to which somebody else may have come
        pass
    return found


def _name(instance: Instance) -> str:
    return f"{instance.manifest.namespace or DEFAULT_NAMESPACE}/{instance.manifest.name}"


def _candidates(instance: Instance, standing: tuple[Ring, ...], view: Places) -> dict[str, _Candidate]:
    """The targets among which the rings choose: of exact names only those are asked for."""
    here = spaces(instance.manifest.namespace)
    if all(is_exact(ring.choice) for ring in standing):
        names = dict.fromkeys(ring.choice.name for ring in standing)
        manifests = tuple(manifest for name in names for space in here for manifest in view.named(TARGET, space, name))
    else:
        manifests = tuple(manifest for manifest in view.manifests(TARGET) if manifest.namespace in here)
    found: dict[str, _Candidate] = {}
    for manifest in manifests:
        target, problems = read.target(manifest)
        first = found.get(manifest.name)
        if first is not None:
            text = f"Target {manifest.name} is written twice, also at {first.manifest.place()}"
            found[manifest.name] = first._replace(target=first.target or target, wrong=Problem(manifest.place(), text))
        else:
            wrong = next((problem for problem in problems if problem.severity == "error"), None)
            found[manifest.name] = _Candidate(manifest, target, wrong)
    return found


def _placed(instance: Instance, candidate: _Candidate, ring: Ring, solution: str, view: Places) -> Placed | Problem:
    if candidate.wrong is not None:
        return candidate.wrong
    target = candidate.target
    assert target is not None
    scope = instance.scope or target.solution_scope
    own, clusters, implied = instance.manifest, view.clusters, view.lane_of(target.manifest)
    if ring.topologies:
        where = place(target, own.name, scope, ring.topologies, own, clusters, implied)
    else:
        where = _own_place(target.manifest, own.name, scope, clusters, implied)
    return where if isinstance(where, Problem) else Placed(target, ring, solution, where)


@lru_cache(maxsize=read.KEPT_TARGETS)
def _own_place(
    manifest: Manifest, name: str, scope: str, clusters: tuple[ClusterName, ...], implied: Lane | str | None
) -> Placement | Problem:
    """Where a target itself says. Kept: ten thousand targets are placed by each plan, and one of them has changed."""
    target, _ = read.target(manifest)
    assert target is not None
    return place(target, name, scope, (), manifest, clusters, implied)


def _part(found: Assignment, before: Mapping[str, Stand]) -> bool:
    """Two targets in one place would undo each other: who stands there already stays, and nobody else comes. Whether any has to."""
    by_scope: dict[tuple[str, str], list[str]] = {}
    for name, it in found.placed.items():
        by_scope.setdefault((it.placement.cluster, it.placement.namespace), []).append(name)
    held = {stand.at: name for name in found.held if (stand := before.get(name)) is not None}
    some = False
    for at, names in by_scope.items():
        if len(names) == 1 and at not in held:
            continue
        here = [held[at]] if at in held else [name for name in names if (stand := before.get(name)) is not None and stand.at == at]
        stays = here if len(here) == 1 else []
        goes = sorted(name for name in names if name not in stays)
        told = sorted(dict.fromkeys((*stays, *goes)))
        if len(told) < 2:
            continue
        more = [f"{len(told) - NAMED} more"] if len(told) > NAMED else []
        text = f"Targets {' and '.join([*told[:NAMED], *more])} come to one place, namespace {at[1]} of {at[0]}"
        for name in goes:
            place = found.placed[name].target.manifest.place()
            found.hold(name, Problem(place, f"{text}; give each a scope or cluster of its own"))
        found.problems.append(found.held[goes[0]])
        some = True
    return some
