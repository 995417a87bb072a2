"""Who gets what: the targets of the rings that stand, each with its version and its place.

Law of the module: reads Git through the view and where the instance stands, and says what should stand; nothing is rendered here. A
target that nobody can place, or that would share a place with another, is a problem of its own: it keeps what it has, and others go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.problem import Problem
from reconciler.core.view import View

from . import read
from .model import TARGET, Instance, Placement, Target
from .shares import assign
from .stages import Ring, rings
from .standing import Stand
from .targets import DEFAULT_NAMESPACE, matching, place

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
        new = {
            name: Stand(it.solution, it.ring.stage, it.placement.cluster, it.placement.namespace)
            for name, it in self.placed.items()
        }
        return dict(sorted({**kept, **new}.items()))


def assignment(instance: Instance, stage: str, before: Mapping[str, Stand], view: View) -> Assignment:
    """The targets of a stage. `before` is what each of them has."""
    found = Assignment()
    standing = rings(instance, stage)
    targets = _targets(instance, standing, before, view, found)
    members: dict[str, tuple[Target, Ring]] = {}
    for ring in standing:
        for target in matching(ring.choice, targets):
            members.setdefault(target.manifest.name, (target, ring))
    found.matched = len(members)
    for ring in standing:
        names = [name for name, (_, of) in members.items() if of is ring]
        shares = [(share.solution, share.weight) for share in ring.shares]
        given = assign(_name(instance), names, shares, {name: stand.solution for name, stand in before.items()}) if names else {}
        for name, solution in given.items():
            _place(instance, members[name][0], ring, solution, view, found)
    _part(found, before)
    return found


def _name(instance: Instance) -> str:
    return f"{instance.manifest.namespace or DEFAULT_NAMESPACE}/{instance.manifest.name}"


def _targets(
    instance: Instance, standing: tuple[Ring, ...], before: Mapping[str, Stand], view: View, found: Assignment
) -> list[Target]:
    """The targets among which the rings choose: of exact names only those are asked for."""
    spaces = ("", DEFAULT_NAMESPACE) if instance.manifest.namespace in ("", DEFAULT_NAMESPACE) else (instance.manifest.namespace,)
    exact = all(not ring.choice.selector and not any(sign in ring.choice.name for sign in "*%") for ring in standing)
    if exact:
        names = dict.fromkeys(ring.choice.name for ring in standing)
        manifests = tuple(manifest for name in names for space in spaces for manifest in view.named(TARGET, space, name))
    else:
        manifests = tuple(manifest for manifest in view.manifests(TARGET) if manifest.namespace in spaces)
    targets: dict[str, Target] = {}
    for manifest in manifests:
        target, problems = read.target(manifest)
        if target is None:
            found.held[manifest.name] = problems[0]
            if manifest.name in before:
                found.problems.append(problems[0])
        elif manifest.name in targets:
            text = f"Target {manifest.name} is written twice, also at {targets[manifest.name].manifest.place()}"
            found.problems.append(Problem(manifest.place(), text))
        else:
            targets[manifest.name] = target
    return [target for name, target in targets.items() if name not in found.held]


def _place(instance: Instance, target: Target, ring: Ring, solution: str, view: View, found: Assignment) -> None:
    scope = instance.scope or target.solution_scope
    where = place(target, scope, ring.topologies, view.clusters, view.lane_of(target.manifest))
    if isinstance(where, Problem):
        found.held[target.manifest.name] = where
        found.problems.append(where)
    else:
        found.placed[target.manifest.name] = Placed(target, ring, solution, where)


def _part(found: Assignment, before: Mapping[str, Stand]) -> None:
    """Two targets in one place would undo each other: who stands there already stays, and nobody else comes."""
    by_scope: dict[tuple[str, str], list[str]] = {}
    for name, it in found.placed.items():
        by_scope.setdefault((it.placement.cluster, it.placement.namespace), []).append(name)
    for (cluster, namespace), names in by_scope.items():
        if len(names) < 2:
            continue
        here = [name for name in names if (stand := before.get(name)) and (stand.cluster, stand.namespace) == (cluster, namespace)]
        stays = here if len(here) == 1 else []
        some = " and ".join([*sorted(names)[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])
        text = f"Targets {some} come to one place, namespace {namespace} of {cluster}; give each a scope or cluster of its own"
        for name in names:
            if name not in stays:
                problem = Problem(found.placed.pop(name).target.manifest.place(), text)
                found.held[name] = problem
        found.problems.append(found.held[sorted(name for name in names if name not in stays)[0]])
