"""The plan of a folder: what its files say, in the cluster that its place in the tree names.

Law of the module: no record, no steps, no questions. A folder of which a file cannot be read wants what it wanted when all of it could
last be read, so its objects are kept and healed, and nothing new of it is applied (design, law 7).
"""

from __future__ import annotations

from reconciler.core.identity import Instant
from reconciler.core.kind import Held, Plan, Spec, Status, Wanted
from reconciler.core.problem import Problem
from reconciler.core.view import View


def plan(spec: Spec, view: View, now: Instant) -> Plan:  # noqa: ARG001 - plain objects do not depend on time
    """Plan one folder."""
    if spec.lane is None:
        return Plan(prune=spec.held is None, status=Status("Held", str(spec.held)) if spec.held else None)
    if not spec.manifests and spec.held is None:
        return Plan()
    if not spec.complete:
        assert spec.held is not None
        return Plan({spec.lane: spec.held}, prune=False, status=Status("Held", str(spec.held)))
    wanted: list[Wanted] = []
    problems: list[Problem] = []
    for manifest in spec.manifests:
        want, wrong = view.wanted(manifest)
        wanted.append(want)
        problems.extend(wrong)
    if problems:
        held = Held(problems[0].message, problems[0].place)
        return Plan({spec.lane: held}, prune=False, status=Status("Held", str(problems[0])), problems=tuple(problems))
    if spec.held is not None:
        return Plan({spec.lane: tuple(wanted)}, prune=False, status=Status("Held", str(spec.held)))
    return Plan({spec.lane: tuple(wanted)})
