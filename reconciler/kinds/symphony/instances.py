"""The plan of an Instance: which solution stands on which targets, and how it comes from one stage to the next.

Law of the module: what an instance comes to is decided, written down, and only then wanted (design, law 3). The state table, with the
names of its rows, is in README.md beside this module. A stage is left as a whole and at once; what fails on one target, or for one
component, is told and stops no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec

from reconciler.core.identity import ClusterName, CommitId, Instant, Lane, Place
from reconciler.core.kind import Edit, Held, Plan, Spec, Status, Wanted
from reconciler.core.problem import Problem
from reconciler.core.view import NotYet, View

from . import lookup, read, resting, standing
from .assignment import Assignment, Placed, assignment
from .deploy import Deployed, Face, deploy
from .model import BLOCK, TARGET, Instance, Placement, Solution, Target, Topology
from .schedules import Scheduled, said, scheduled
from .stages import next_stage, rings
from .standing import Stand, Standing
from .targets import bindings, spaces


def plan(spec: Spec, view: View, now: Instant) -> Plan:
    """Plan one Instance."""
    made = _plan(spec, view, now)
    # What stands in a cluster that is no longer configured stays there, out of reach: it stops nothing elsewhere.
    clusters = view.clusters
    wanted = {lane: wants for lane, wants in made.wanted.items() if lane.cluster in clusters}
    return made if len(wanted) == len(made.wanted) else replace(made, wanted=wanted)


def _plan(spec: Spec, view: View, now: Instant) -> Plan:
    before = standing.read(spec.record)
    if not spec.manifests:
        return Plan() if spec.complete else _frozen(before, spec.record, Held(str(spec.held)))
    instance, problems = read.instance(spec.manifests[0])
    if instance is None:
        wrong = next(problem for problem in problems if problem.severity == "error")
        return replace(_frozen(before, spec.record, Held(wrong.message, wrong.place)), problems=problems)
    if spec.held is not None:  # what cannot be read now may well say BLOCK
        return replace(_frozen(before, spec.record, spec.held), problems=problems)
    turn = scheduled(instance, before.fired, spec, view, now)
    known = msgspec.structs.replace(before, fired=dict(turn.fired))
    planning = _Planning(spec, view, now, instance, turn, known)
    made = planning.blocked() if turn.stage == BLOCK else planning.standing()
    return replace(made, problems=(*problems, *made.problems), edits=(*turn.edits, *made.edits), due_at=turn.due_at)


def _frozen(before: Standing, record: dict[str, object] | None, held: Held) -> Plan:
    """Everything stays as it is, whatever happens to it."""
    state = "Paused" if held.paused else "Held"
    return Plan(_lanes(before, held), prune=False, record=record, status=Status(state, str(held)))  # type: ignore[arg-type]


def _lanes(before: Standing, held: Held) -> dict[Lane, tuple[Wanted, ...] | Held]:
    return {_lane(name, stand): held for name, stand in (*before.leaving.items(), *before.targets.items())}


def _lane(target: str, stand: Stand) -> Lane:
    return Lane(ClusterName(stand.cluster), target)


@dataclass(slots=True)
class _Rendered:
    """What is wanted on the targets of a stage."""

    wanted: dict[Lane, tuple[Wanted, ...] | Held] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    placed: dict[tuple[str, tuple[str, ...]], None] = field(default_factory=dict)  # reference of the solution, names of components
    charts: dict[str, str] = field(default_factory=dict)  # versions that were taken
    whole: bool = True

    @property
    def all_known(self) -> dict[Lane, tuple[Wanted, ...]] | None:
        """The wanted objects, where no lane is held."""
        known = {lane: wanted for lane, wanted in self.wanted.items() if not isinstance(wanted, Held)}
        return known if len(known) == len(self.wanted) else None


class _Planning:
    """One plan of an instance whose manifest could be read."""

    def __init__(self, spec: Spec, view: View, now: Instant, instance: Instance, turn: Scheduled, before: Standing) -> None:
        self.spec, self.view, self.now = spec, view, now
        self.instance, self.turn, self.before = instance, turn, before
        self.space = instance.manifest.namespace
        self.face = Face(instance.manifest.name, self.space, tuple(instance.metadata.items()), tuple(instance.parameters.items()))
        self._solutions: dict[str, Solution | lookup.Missing] = {}
        self._above: dict[int, str] = {}  # topologies of the instance's, by identity

    # -- what is written down ----------

    def _entered(self, stage: str) -> Standing:
        """The standing with the stage as it is now, and since when."""
        if self.before.stage == stage:
            return self.before
        commit = self.view.changed(self.instance.manifest)
        return msgspec.structs.replace(
            self.before, stage=stage, since=int(self.now.wall), commit=commit.id if commit else "", well_since=None, settled=""
        )

    def blocked(self) -> Plan:
        """BLOCK: nothing is applied, deleted or healed."""
        after = self._entered(BLOCK)
        place = self.instance.manifest.place(("spec", "stage"))
        text = f"blocked since {after.commit[:7]}" + (f"; {self.turn.says}" if self.turn.says else "")
        frozen = _frozen(after, standing.write(after), Held(text, place, paused=True))
        waits = self.turn.says if self.turn.due_at is not None or self.turn.edits else "a commit that clears spec.stage"
        return replace(frozen, status=Status("Paused", text, waits, after.commit))

    def standing(self) -> Plan:
        """A stage, and the targets that it has."""
        stage = self.turn.stage
        if not self.instance.active:
            return self._inactive(stage)
        if self.instance.dry_run:
            return self._dry_run(stage)
        found = assignment(self.instance, stage, self.before.targets, self.view)
        if not found.matched:
            return self._nowhere(stage, found)
        after = self._after(stage, found.stands(self.before.targets))
        if after != self.before or self.spec.record is None:
            return Plan(record=standing.write(after), problems=tuple(found.problems))
        return self._wanted(after, found)

    def _after(self, stage: str, targets: Mapping[str, Stand]) -> Standing:
        """Where the instance stands once this is written down."""
        after, before = self._entered(stage), self.before
        scopes = {stand.scope: None for stand in targets.values()}
        # Who leaves with its ring is meant to go; who leaves a ring that stands goes under the guards of pruning.
        rings_now = {ring.stage: None for ring in rings(self.instance, stage)}
        ended = {name: stand for name, stand in before.targets.items() if stand.stage not in rings_now}
        gone = [(name, stand) for name, stand in (*before.leaving.items(), *ended.items()) if stand.scope not in scopes]
        leaving = dict(gone)
        left = {scope: why for scope, why in before.left.items() if scope not in scopes}
        if self.instance.ring_overlap == "none":
            leaving = {}
        stays = {stand.scope: None for stand in leaving.values()}  # of a name that left two places, the later
        left.update((stand.scope, f"stage {stand.stage} -> {stage}") for _, stand in gone if stand.scope not in stays)
        return msgspec.structs.replace(after, targets=dict(targets), leaving=leaving, left=left)

    def _nowhere(self, stage: str, found: Assignment) -> Plan:
        """A stage that no target matches is a mistake, as a target that is not there is: what stands stays."""
        after = self._entered(stage)
        wrong = found.problems[0]
        frozen = _frozen(after, standing.write(after), Held(f"{wrong.message}; everything stays as it is", wrong.place))
        return replace(frozen, status=Status("Failed", str(wrong)), problems=tuple(found.problems))

    def _inactive(self, stage: str) -> Plan:
        """Everything goes, the instance stays."""
        after = self._entered(stage)
        scopes = {stand.scope: "activeState is inactive" for stand in (*after.targets.values(), *after.leaving.values())}
        after = msgspec.structs.replace(after, targets={}, leaving={}, left={**after.left, **scopes}, well_since=None, settled="")
        return Plan(record=standing.write(after), left=_left(after), status=Status("Healthy", "inactive: nothing is deployed"))

    def _dry_run(self, stage: str) -> Plan:
        """Everything is worked out; nothing is applied, and nothing is deleted."""
        found = assignment(self.instance, stage, self.before.targets, self.view)
        rendered = self._render({name: (it.solution, it.placement, it) for name, it in found.placed.items()})
        count = sum(len(wanted) for wanted in rendered.wanted.values() if not isinstance(wanted, Held))
        problems = (*found.problems, *rendered.problems)
        targets = f"{len(found.placed)} target{'' if len(found.placed) == 1 else 's'}"
        failed = any(problem.severity == "error" for problem in problems)
        status = Status("Failed" if failed else "Healthy", f"dry run: {count} objects on {targets}, none of them applied")
        return Plan(record=standing.write(self._entered(stage)), prune=False, status=status, problems=problems)

    # -- what is wanted ----------

    def _wanted(self, after: Standing, found: Assignment) -> Plan:
        rendered = self._render({name: (it.solution, it.placement, it) for name, it in found.placed.items()})
        for name, problem in found.held.items():
            if name in after.targets:
                rendered.wanted[_lane(name, after.targets[name])] = Held(problem.message, problem.place)
        problems = [*found.problems, *rendered.problems, *self._unplaced(found, rendered)]
        # What somebody may still ask for is not forgotten: taken again, it might be another.
        rests = self.before.charts if rendered.all_known is None or after.leaving else {}
        after = msgspec.structs.replace(after, charts={**rests, **rendered.charts})
        digest = resting.digest(rendered.wanted) if not self.instance.policy.active else ""
        after, edits, wake_at = self._progress(after, rendered.all_known, problems, digest)
        # What is there goes when something else is known to come: not for a mistake that keeps all of it from standing.
        sure = rendered.whole and bool(found.placed)
        wanted = {**self._overlap(after), **rendered.wanted}
        if digest and after.settled == digest:
            wanted = dict.fromkeys(wanted, resting.RESTS)
        return Plan(
            wanted,
            left=_left(after) if sure else {},
            prune=sure,
            record=standing.write(after),
            status=self._status(after, problems, edits, sure=sure),
            problems=tuple(problems),
            edits=edits,
            wake_at=wake_at,
        )

    def _render(self, stands: Mapping[str, tuple[str, Placement, Placed]]) -> _Rendered:
        found = _Rendered()
        told: dict[Problem, None] = {}
        for name, (reference, placement, placed) in stands.items():
            lane = Lane(ClusterName(placement.cluster), name)
            solution = self._solution(reference)
            if isinstance(solution, lookup.Missing):
                place = solution.place or self._place_of(placed, reference)
                found.wanted[lane], found.whole = Held(solution.message, place), False
                told[Problem(place, solution.message)] = None
                continue
            try:
                deployed = self._deploy(solution, placed.target, placement, placed.ring.topologies)
            except NotYet:
                found.wanted[lane], found.whole = Held("waits for what its components ask for"), False
                continue
            found.wanted[lane] = deployed.wanted
            found.whole &= deployed.whole
            found.placed[reference, deployed.placed] = None
            if deployed.charts:
                found.charts.update(deployed.charts)
            if deployed.problems:
                told.update(dict.fromkeys(deployed.problems))
        found.problems += told
        return found

    def _solution(self, reference: str) -> Solution | lookup.Missing:
        if reference not in self._solutions:
            self._solutions[reference] = lookup.solution(self.view, self.space, reference)
        return self._solutions[reference]

    def _place_of(self, placed: Placed, reference: str) -> Place:
        share = next((share for share in placed.ring.shares if share.solution == reference), placed.ring.shares[0])
        return self.instance.manifest.place(share.pointer)

    def _unplaced(self, found: Assignment, rendered: _Rendered) -> list[Problem]:
        """Components that no target takes, where all of them can be asked."""
        if rendered.all_known is None:
            return []
        wrong = []
        placed = {(reference, component): None for reference, components in rendered.placed for component in components}
        for reference in dict.fromkeys(it.solution for it in found.placed.values()):
            solution = self._solution(reference)
            for component in solution.components if isinstance(solution, Solution) else ():
                if (reference, component.name) not in placed:
                    what = f"component {component.name} is on no target: none has a binding for its type and fits its constraints"
                    assert isinstance(solution, Solution)
                    wrong.append(Problem(solution.manifest.place(component.pointer), what, "warning"))
        return wrong

    def _overlap(self, after: Standing) -> dict[Lane, tuple[Wanted, ...] | Held]:
        """What the stage before had stays as it is until this one is healthy."""
        wanted: dict[Lane, tuple[Wanted, ...] | Held] = {}
        for name, stand in after.leaving.items():
            lane = _lane(name, stand)
            wanted[lane] = Held(f"of stage {stand.stage}, stays until stage {after.stage} is healthy")
            target = next(iter(self._targets(name)), None)
            solution = self._solution(stand.solution)
            if target is not None and isinstance(solution, Solution):
                above = next((ring.topologies for ring in rings(self.instance, stand.stage)), self.instance.topologies)
                placement = Placement(stand.cluster, stand.namespace, bindings(above, target))
                with suppress(NotYet):
                    deployed = self._deploy(solution, target, placement, above)
                    wanted[lane] = deployed.wanted if deployed.whole else wanted[lane]
        return wanted

    def _deploy(self, solution: Solution, target: Target, placement: Placement, above: tuple[Topology, ...]) -> Deployed:
        named = self._above.get(id(above))
        if named is None:
            named = self._above[id(above)] = repr(above) if above else ""
        return deploy(self.face, self.instance.manifest, solution, target, placement, named, self.view, self.before.charts)

    def _targets(self, name: str) -> list[Target]:
        here = spaces(self.space)
        manifests = [manifest for space in here for manifest in self.view.named(TARGET, space, name)]
        return [target for manifest in manifests if (target := read.target(manifest)[0]) is not None]

    # -- going on ----------

    def _progress(
        self, after: Standing, known: Mapping[Lane, tuple[Wanted, ...]] | None, problems: list[Problem], digest: str
    ) -> tuple[Standing, tuple[Edit, ...], float | None]:
        """What follows from all being well: the stage before is left, the next one is offered, and what acts on changes rests."""
        instance = self.instance
        goes_on = instance.promote_after_seconds is not None and next_stage(instance, after.stage) is not None
        rests = not instance.policy.active and after.settled != digest
        if not (after.leaving or goes_on or rests):
            return after, (), None
        wrong = any(problem.severity == "error" for problem in problems)
        well = bool(known) and not wrong and known is not None and self.view.well(known)
        if well and after.leaving:
            left = {stand.scope: f"stage {after.stage} is healthy" for stand in after.leaving.values()}
            after = msgspec.structs.replace(after, leaving={}, left={**after.left, **left})
        if well and rests and known is not None and resting.nothing_left(known, self.view):
            after = msgspec.structs.replace(after, settled=digest)
        if not goes_on:
            return after, (), None
        since = (after.well_since if after.well_since is not None else self.now.steady) if well else None
        after = msgspec.structs.replace(after, well_since=since)
        return (after, *self._promotion(after))

    def _promotion(self, after: Standing) -> tuple[tuple[Edit, ...], float | None]:
        """The offer of the next stage, once this one has been healthy for so long."""
        seconds, following = self.instance.promote_after_seconds, next_stage(self.instance, after.stage)
        if after.well_since is None or seconds is None or following is None:
            return (), None
        if self.now.steady < after.well_since + seconds:
            return (), after.well_since + seconds
        key = f"{self.spec.key.text}@{after.stage}>{following}@{after.commit}"
        if self.view.edit(key) == "landed":  # and Git says otherwise all the same: a person does
            return (), None
        subject = f"Promote Instance {self.spec.key.name} from {after.stage} to {following}"
        edit = Edit(key, self.instance.manifest, ("spec", "stage"), following, subject, CommitId(after.commit), offer=True)
        return (edit,), None

    # -- what is told ----------

    def _status(self, after: Standing, problems: list[Problem], offers: tuple[Edit, ...], *, sure: bool) -> Status:
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            rests = "" if sure or not after.left else "; what was left stays until that is mended"
            return Status("Failed", f"stage {after.stage}: {errors[0]}{more}{rests}")
        versions: dict[str, int] = {}
        for stand in after.targets.values():
            versions[stand.solution] = versions.get(stand.solution, 0) + 1
        texts = [f"{solution} on {count} target{'' if count == 1 else 's'}" for solution, count in sorted(versions.items())]
        says = f"; {self.turn.says}" if self.turn.says else ""
        leaving = f"; {len(after.leaving)} targets of the stage before stay until it is healthy" if after.leaving else ""
        waits = "; ".join(f"stage {offer.value}: {said(self.view.edit(offer.key), 'propose')}" for offer in offers)
        return Status("Healthy", f"stage {after.stage}: {', '.join(texts)}{leaving}{says}", waits)


def _left(after: Standing) -> dict[tuple[str, str], str]:
    scopes = {}
    for scope, why in after.left.items():
        cluster, _, namespace = scope.partition("/")
        scopes[cluster, namespace] = why
    return scopes
