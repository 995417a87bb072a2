"""The plan of a folder: what its files say, in the cluster that its place in the tree names.

Law of the module: no record, no steps, no questions. A folder of which a file cannot be read wants what it wanted when all of it could
last be read, so its objects are kept and healed, and nothing new of it is applied (design, law 7).
"""

from __future__ import annotations

from reconciler.core.identity import Instant
from reconciler.core.kind import Held, Plan, Spec, Status
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
    wanted, problems = view.wanted(*spec.manifests)
    if problems:
        held = Held(problems[0].message, problems[0].place)
        return Plan({spec.lane: held}, prune=False, status=Status("Held", str(problems[0])), problems=problems)
    if spec.held is not None:
        return Plan({spec.lane: wanted}, prune=False, status=Status("Held", str(spec.held)))
    return Plan({spec.lane: wanted})
