"""The part of an instance that its stages are made of: which solution on which targets in which stage, and since when.

Law of the module: as of one object (symphony.md §4). `BLOCK` and `default` are words of their own, in exactly these letters; a stage
that is not there is an error and never the default; weights are refused where they cannot be shares, and told where they do not
come to 100. A field that a stage leaves out is the instance's, so it must be there in one of the two.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, NamedTuple, cast

from reconciler.core.manifest import Manifest
from reconciler.core.names import is_subdomain
from reconciler.core.problem import Finding, Pointer, did_you_mean, field, shown
from reconciler.lib import durations

from . import schedule
from .generations import ChoiceShape, InstanceShape, ShareShape, StageShape, either, parse_ref
from .model import BLOCK, DEFAULT, Choice, Schedule, Share, Stage
from .parts import SPEC, topologies

RINGS = "reconciler.dev/rings"
RING_OVERLAP = "reconciler.dev/ring-overlap"
PROMOTE_AFTER = "reconciler.dev/promote-after"

STAGE_CHARACTERS = 63
WEIGHT_LIMIT = 1_000_000
NAMED = 8  # stages or shares in one message
POINTS_SHOWN = 4  # characters of a name, by their numbers

_TARGET_NAME = re.compile(r"[a-z0-9*%](?:[-a-z0-9.*%]{0,251}[a-z0-9*%])?")
_SPELLINGS = ("solution", "solutionversion")


class Staged(NamedTuple):
    """The fields of a `model.Instance` that its stages are made of."""

    solution: str
    shares: tuple[Share, ...]
    target: Choice
    stages: tuple[Stage, ...]
    schedule: Schedule | None


class Noted(NamedTuple):
    """What our annotations on an Instance say."""

    rings: Literal["exclusive", "cumulative"]
    ring_overlap: Literal["none", "healthy"]
    promote_after_seconds: float | None


def staged(spec: InstanceShape, findings: list[Finding]) -> Staged:
    """The stages of an instance."""
    solution = _solution(spec, SPEC, findings)
    shares = _shares(spec.versions, solution, SPEC, findings)
    target = _choice(spec.target, (*SPEC, "target"), findings)
    stages = tuple(_stage(shape, (*SPEC, "stages", index), findings) for index, shape in enumerate(spec.stages or ()))
    _names(stages, findings)
    when = schedule.read(spec.schedule, (*SPEC, "schedule"), findings)
    stage = spec.stage or ""
    _current(stage, stages, findings)
    if when is not None and stage != BLOCK:
        text = f"spec.schedule is not used: it ends a BLOCK, and the stage is {shown(stage or DEFAULT)}"
        findings.append(Finding(when.pointer, text, "warning"))
        when = None
    # A schedule that comes leads to the default stage, the instance's own or that of the stage it is in.
    comes = when is not None or any(one.schedule is not None for one in stages if one.name == stage)
    falls_back = not stages or stage in ("", DEFAULT) or comes
    if falls_back and not solution and not shares:
        findings.append(Finding(SPEC, "spec.solution is missing"))
    elif not solution:
        _alone("solution", [stage for stage in stages if not stage.solution and not stage.shares], findings)
    if falls_back and target is None:
        findings.append(Finding(SPEC, "spec.target is missing"))
    elif target is None:
        _alone("target", [stage for stage in stages if stage.target is None], findings)
    return Staged(solution, shares, target or Choice(), stages, when)


def noted(manifest: Manifest, findings: list[Finding]) -> Noted:
    """Our annotations on an instance."""
    notes = manifest.annotations

    def one_of(name: str, first: str, second: str) -> str:
        text = notes.get(name, first)
        if text not in (first, second):
            findings.append(Finding(("metadata", "annotations", name), f"{name} is {shown(text)}, must be {first} or {second}"))
        return text

    rings = one_of(RINGS, "exclusive", "cumulative")
    overlap = one_of(RING_OVERLAP, "none", "healthy")
    seconds = None
    if PROMOTE_AFTER in notes:
        words = notes[PROMOTE_AFTER].split()
        seconds = durations.parse(words[0]) if len(words) == 2 and words[1] == "healthy" else None
        if seconds is None:
            text = f"{PROMOTE_AFTER} is {shown(notes[PROMOTE_AFTER])}, must be a duration and the word healthy, such as 30m healthy"
            findings.append(Finding(("metadata", "annotations", PROMOTE_AFTER), text))
    return Noted(cast(Literal["exclusive", "cumulative"], rings), cast(Literal["none", "healthy"], overlap), seconds)


def _stage(shape: StageShape, at: Pointer, findings: list[Finding]) -> Stage:
    solution = _solution(shape, at, findings)
    return Stage(
        name=shape.name or "",
        solution=solution,
        target=_choice(shape.target, (*at, "target"), findings),
        shares=_shares(shape.versions, solution, at, findings),
        schedule=schedule.read(shape.schedule, (*at, "schedule"), findings),
        topologies=topologies(shape.topologies, at, findings),
        pointer=at,
    )


def _names(stages: tuple[Stage, ...], findings: list[Finding]) -> None:
    """A name for each stage, of its own, that is none of the words that mean something else."""
    first: dict[str, Stage] = {}
    alike: dict[str, Stage] = {}
    for stage in stages:
        at, name = (*stage.pointer, "name"), stage.name
        if not name:
            findings.append(Finding(stage.pointer, f"{field(at)} is missing"))
        elif name in (BLOCK, DEFAULT):
            means = "blocks the instance" if name == BLOCK else "is the instance's own solution and target"
            findings.append(Finding(at, f"{field(at)} is {name}, which {means}; call the stage something else"))
        elif len(name) > STAGE_CHARACTERS or not name.isprintable() or name != name.strip():
            must = f"must be at most {STAGE_CHARACTERS} characters that can be printed, without space around them"
            findings.append(Finding(at, f"{field(at)} is {shown(name)}, {must}"))
        elif name in first:
            findings.append(Finding(at, f"{field(at)} is {shown(name)}, as is that of {field(first[name].pointer)}"))
        elif name.casefold() in (BLOCK.casefold(), DEFAULT):
            means = "only BLOCK in capitals blocks" if name.casefold() != DEFAULT else "only default in small letters is the default"
            findings.append(Finding(at, f"{field(at)} is {shown(name)}, a stage like any other; {means}", "warning"))
        first.setdefault(name, stage)
        other = alike.setdefault(unicodedata.normalize("NFC", name), stage)
        if other.name != name:
            text = f"{field(at)} looks as that of {field(other.pointer)} and is another name: {_apart(name, other.name)}"
            findings.append(Finding(at, text, "warning"))


def meant(stage: str, known: Iterable[str]) -> str:
    """`; did you mean BLOCK?` for a stage that there is not, also where one differs in capitals alone, or in nothing that eyes can see."""
    looks = {unicodedata.normalize("NFC", name): name for name in known}
    look = unicodedata.normalize("NFC", stage)
    if look in looks:
        return f"; did you mean {looks[look]} ({_apart(looks[look], stage)})?"
    near = next((name for name in looks.values() if name.casefold() == stage.strip().casefold()), None)
    return f"; did you mean {near}?" if near is not None else did_you_mean(stage, looks.values())


def _apart(one: str, other: str) -> str:
    """Where two names that look alike are not: `U+00E9, not U+0065 U+0301`."""
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    here, there = (" ".join(f"U+{ord(sign):04X}" for sign in text[at : at + POINTS_SHOWN]) or "nothing" for text in (one, other))
    return f"{here}, not {there}"


def _current(stage: str, stages: tuple[Stage, ...], findings: list[Finding]) -> None:
    """The stage that the instance is in must be there."""
    names = [one.name for one in stages if one.name]
    if stage in ("", BLOCK, DEFAULT, *names):
        return
    known = [BLOCK, DEFAULT, *names]
    hint = meant(stage, known)
    there_are = ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
    findings.append(Finding((*SPEC, "stage"), f"spec.stage is {shown(stage)}, and there is no such stage; there are {there_are}{hint}"))


def _alone(key: str, stages: list[Stage], findings: list[Finding]) -> None:
    """Stages that leave out what the instance has not either."""
    for stage in stages:
        at = field((*stage.pointer, key))
        findings.append(Finding(stage.pointer, f"{at} is missing, and there is no spec.{key} that could stand for it"))


def _solution(shape: InstanceShape | StageShape | ShareShape, at: Pointer, findings: list[Finding]) -> str:
    """The reference to a solution: of all its spellings `name` or `name:version`, so that another spelling is no other solution."""
    text = either(shape.solution, shape.solutionversion, _SPELLINGS, at, findings)
    if not text:
        return ""
    root, version = parse_ref(text)
    if not is_subdomain(root) or not (is_subdomain(version) if ":" in text else True):
        at = (*at, _SPELLINGS[bool(shape.solutionversion)])
        findings.append(Finding(at, f"{field(at)} is {shown(text)}, must be the name of a solution, or name:version"))
    return f"{root}:{version}" if version else root


def _choice(shape: ChoiceShape | None, at: Pointer, findings: list[Finding]) -> Choice | None:
    if shape is None:
        return None
    if not shape.name and not shape.selector:
        findings.append(Finding(at, f"{field(at)} has neither name nor selector, so it is no target"))
    if shape.name and not _TARGET_NAME.fullmatch(shape.name):
        must = "must be the name of a target: lower-case letters, digits, - and ., or * for any"
        findings.append(Finding((*at, "name"), f"{field((*at, 'name'))} is {shown(shape.name)}, {must}"))
    return Choice(shape.name or "", shape.selector or Choice().selector, at)


def _shares(shapes: list[ShareShape] | None, solution: str, at: Pointer, findings: list[Finding]) -> tuple[Share, ...]:
    """`versions`: each solution once, with weights that can be shares of something."""
    if not shapes:
        return ()
    before = len(findings)
    shares = tuple(_share(shape, (*at, "versions", index), findings) for index, shape in enumerate(shapes))
    first: dict[str, Share] = {}
    for share in shares:
        other = first.setdefault(share.solution, share)
        if other is not share and share.solution:
            findings.append(Finding(share.pointer, f"{field(share.pointer)} is of {share.solution}, as is {field(other.pointer)}"))
    if len(findings) == before:
        findings += _sum(shares, (*at, "versions"))
    if solution:
        text = f"{field((*at, 'solution'))} is not used: {field((*at, 'versions'))} counts before it"
        findings.append(Finding((*at, "solution"), text, "warning"))
    return shares


def _share(shape: ShareShape, at: Pointer, findings: list[Finding]) -> Share:
    solution = _solution(shape, at, findings)
    if not solution:
        findings.append(Finding(at, f"{field((*at, 'solution'))} is missing"))
    key = "weight" if shape.weight is not None else "percentage"
    weight = shape.weight if shape.weight is not None else shape.percentage
    if weight is None:
        findings.append(Finding(at, f"{field((*at, 'weight'))} is missing"))
        weight = 0.0
    elif shape.percentage is not None and shape.percentage != weight:
        text = f"{field((*at, 'percentage'))} is {shape.percentage:g}, but {field((*at, 'weight'))} is {weight:g}; take one of them out"
        findings.append(Finding((*at, "percentage"), text))
    elif not 0 <= weight <= WEIGHT_LIMIT:
        must = "at least 0" if weight < 0 else f"at most {WEIGHT_LIMIT}"
        findings.append(Finding((*at, key), f"{field((*at, key))} is {weight:g}, must be {must}"))
    return Share(solution, weight, at)


def _sum(shares: tuple[Share, ...], at: Pointer) -> list[Finding]:
    """Weights count by their part of the total: one of 0 is none, and one other than 100 surprises people."""
    total = math.fsum(share.weight for share in shares)
    if total <= 0:
        return [Finding(at, f"the weights of {field(at)} come to 0; one of them must be more")]
    if abs(total - 100) < 1e-6:
        return []
    parts = ", ".join(f"{share.solution} {100 * share.weight / total:.4g} %" for share in shares[:NAMED])
    rest = f" and {len(shares) - NAMED} more" if len(shares) > NAMED else ""
    return [Finding(at, f"the weights of {field(at)} come to {total:g}, not 100, so that the shares are {parts}{rest}", "warning")]
