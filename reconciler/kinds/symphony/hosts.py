"""The plan of a Target that has components of its own: they are deployed onto it as instance `target-runtime-<name>` (symphony.md §3.4).

Law of the module: no steps, and no record but of the chart versions that were taken where none is named, and of what it rests on; a target
without components wants nothing, and is planned only to clean up.
"""

from __future__ import annotations

import msgspec

from reconciler.core.identity import ClusterName, Instant, Lane
from reconciler.core.kind import Held, Plan, Spec, Status
from reconciler.core.manifest import Manifest
from reconciler.core.problem import Problem
from reconciler.core.view import NotYet, View

from . import read, resting
from .deploy import Deployed, Face, deploy
from .model import Target
from .targets import place

RUNTIME = "target-runtime-"


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of one Target with components."""

    charts: dict[str, str] = {}  # "repo name range" -> the version that was taken
    settled: str = ""  # what was last deployed in full, where it acts on changes only


def has_components(manifest: Manifest) -> bool:
    """Whether a Target is a root."""
    return b'"components"' in manifest.json


def plan(spec: Spec, view: View, now: Instant) -> Plan:  # noqa: ARG001 - what stands on a target does not depend on time
    """Plan one Target."""
    if not spec.manifests:
        return Plan() if spec.complete else Plan(prune=False, record=spec.record, status=Status("Held", str(spec.held)))
    manifest = spec.manifests[0]
    target, problems = read.target(manifest)
    wrong = next((problem for problem in problems if problem.severity == "error"), None)
    if target is None:
        assert wrong is not None
        return Plan(prune=False, record=spec.record, status=Status("Held", str(wrong)), problems=problems)
    if target.dry_run:
        return Plan(prune=False, record=spec.record, problems=problems, status=Status("Healthy", "dry run: nothing is applied"))
    if not target.components:
        return Plan(problems=problems)
    name = RUNTIME + manifest.name
    where = place(target, name, target.scope, (), manifest, view.clusters, view.lane_of(manifest))
    if isinstance(where, Problem):
        return Plan(prune=False, record=spec.record, status=Status("Failed", str(where)), problems=(*problems, where))
    lane = Lane(ClusterName(where.cluster), manifest.name)
    face = Face(name, manifest.namespace, tuple(target.metadata.items()), ())
    before = msgspec.convert(spec.record or {}, Stored)
    try:
        deployed = deploy(face, manifest, target, target, where, "", view, before.charts)
    except NotYet:
        held = Held("waits for what its components ask for")
        return Plan({lane: held}, prune=False, record=spec.record, problems=problems)
    settled = _settled(target, before, lane, deployed, view)
    errors = [problem for problem in deployed.problems if problem.severity == "error"]
    status = Status("Failed", str(errors[0])) if errors else None
    if spec.held is not None:
        status = Status("Held", str(spec.held))
    return Plan(
        {lane: resting.RESTS if settled else deployed.wanted},
        prune=deployed.whole and spec.held is None,
        record=msgspec.to_builtins(Stored(dict(deployed.charts), settled)) or None,
        status=status,
        problems=(*problems, *deployed.problems),
    )


def _settled(target: Target, before: Stored, lane: Lane, deployed: Deployed, view: View) -> str:
    """What it rests on; "" where it acts."""
    if target.policy.active or not deployed.whole:
        return ""
    known = {lane: deployed.wanted}
    found = resting.digest(known)
    return found if before.settled == found or (view.well(known) and resting.nothing_left(known, view)) else ""
