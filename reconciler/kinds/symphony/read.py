"""Manifests of every generation as the values that the rest of the family reasons about, and what is wrong with them.

Law of the module: pure and total; each answer is kept with its manifest, which never changes. It is a value, or at least one error,
or neither: a container of versions, which does nothing. Warnings may stand beside a value. A field of another type than its schema
says is refused here too, in the same words, so that it is never taken for one that was left out; unknown fields only a schema tells.

The rules are those of symphony.md §1.3 (spellings), §2 (fields and what they are where they are left out) and §4 (stages, in
`staging`), as far as one object shows them: whether a solution is there, only a whole tree says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from reconciler.core.manifest import Manifest
from reconciler.core.problem import Finding, Pointer, Problem, field, shown

from .generations import SEPARATOR, InstanceFile, InstanceShape, SolutionFile, TargetFile, decode, either, parse_ref, solution_name
from .model import NO_TEXTS, Instance, Policy, Solution, Target
from .parts import SPEC, components, policy, scope, topologies, word
from .staging import noted, staged

__all__ = ["instance", "parse_ref", "solution", "solution_name", "target", "told"]

PROBLEMS = 20  # of one object, told
KEPT_TARGETS = 20_000
KEPT = 5_000  # instances, and solutions
ENTRIES = 1_000  # of a list of stages, or of versions: the schema's limit

_SCOPES = ("solutionScope", "solutionversionScope")
_VERSION_CHARACTERS = 61

T = TypeVar("T")


@lru_cache(maxsize=KEPT)
def instance(manifest: Manifest) -> tuple[Instance | None, tuple[Problem, ...]]:
    """An Instance."""
    file = decode(manifest, InstanceFile)
    if isinstance(file, Finding):
        return None, told(manifest, [file])
    spec = file.spec
    if spec is None:
        return None, told(manifest, [Finding((), "spec is missing")])
    if many := _too_many(spec):
        return None, told(manifest, [many])
    findings: list[Finding] = []
    _named(manifest, spec.name, findings)
    _unused(spec, findings)
    parts, notes = staged(spec, findings), noted(manifest, findings)
    when = policy(spec.reconciliation_policy, findings)
    found = Instance(
        manifest=manifest,
        display_name=spec.display_name or "",
        scope=scope(spec.scope, "scope", findings),
        stage=spec.stage or "",
        solution=parts.solution,
        target=parts.target,
        stages=parts.stages,
        schedule=parts.schedule,
        parameters=spec.parameters or NO_TEXTS,
        metadata=spec.metadata or NO_TEXTS,
        topologies=topologies(spec.topologies, SPEC, findings),
        dry_run=spec.is_dry_run or False,
        active=word(spec.active_state, ("active", "inactive"), (*SPEC, "activeState"), findings) != "inactive",
        policy=Policy(active=False) if spec.opt_out_reconciliation else when,
        rings=notes.rings,
        ring_overlap=notes.ring_overlap,
        promote_after_seconds=notes.promote_after_seconds,
        shares=parts.shares,
    )
    return _answer(found, manifest, findings)


@lru_cache(maxsize=KEPT)
def solution(manifest: Manifest) -> tuple[Solution | None, tuple[Problem, ...]]:
    """A Solution or a SolutionVersion; None without a problem for a container of versions, which a Solution without components is."""
    if manifest.kind == "SolutionContainer":
        return None, ()
    file = decode(manifest, SolutionFile)
    if isinstance(file, Finding):
        return None, told(manifest, [file])
    spec = file.spec
    if manifest.kind == "Solution" and (spec is None or spec.components is None):
        return None, ()
    if spec is None:
        return None, told(manifest, [Finding((), "spec is missing")])
    findings: list[Finding] = []
    _named(manifest, spec.name, findings)
    _version(manifest, spec.root_resource, findings)
    found = components(spec.components, findings)
    if not found:
        text = f"{manifest.kind} {manifest.name} has no components, so that nothing stands where it is deployed"
        findings.append(Finding(SPEC, text, "warning"))
    root, version = solution_name(manifest)
    return _answer(Solution(manifest, root, version, spec.display_name or "", spec.metadata or NO_TEXTS, found), manifest, findings)


@lru_cache(maxsize=KEPT_TARGETS)
def target(manifest: Manifest) -> tuple[Target | None, tuple[Problem, ...]]:
    """A Target."""
    file = decode(manifest, TargetFile)
    if isinstance(file, Finding):
        return None, told(manifest, [file])
    spec = file.spec
    if spec is None:
        return Target(manifest, "", "", "", NO_TEXTS, (), (), NO_TEXTS, dry_run=False, policy=Policy()), ()
    findings: list[Finding] = []
    _named(manifest, spec.name, findings)
    if spec.constraints:
        findings.append(Finding((*SPEC, "constraints"), "spec.constraints is not used: constraints are those of components", "warning"))
    found = Target(
        manifest=manifest,
        display_name=spec.display_name or "",
        scope=scope(spec.scope, "scope", findings),
        solution_scope=_solution_scope(spec.solution_scope, spec.solutionversion_scope, findings),
        properties=spec.properties or NO_TEXTS,
        components=components(spec.components, findings),
        topologies=topologies(spec.topologies, SPEC, findings),
        metadata=spec.metadata or NO_TEXTS,
        dry_run=spec.is_dry_run or False,
        policy=policy(spec.reconciliation_policy, findings),
    )
    return _answer(found, manifest, findings)


def _named(manifest: Manifest, name: str | None, findings: list[Finding]) -> None:
    """`spec.name`, where the name once stood (§1.3)."""
    if name and name != manifest.name:
        text = f"spec.name is {shown(name)}, which is not used: the name is {shown(manifest.name)}, as metadata.name says"
        findings.append(Finding((*SPEC, "name"), text, "warning"))


def _too_many(spec: InstanceShape) -> Finding | None:
    """A list that is longer than the schema allows, in its words: nothing in it is looked at."""
    lists = [((*SPEC, "stages"), spec.stages), ((*SPEC, "versions"), spec.versions)]
    if len(spec.stages or ()) <= ENTRIES:
        lists += [((*SPEC, "stages", index, "versions"), stage.versions) for index, stage in enumerate(spec.stages or ())]
    long = ((at, len(entries)) for at, entries in lists if entries and len(entries) > ENTRIES)
    return next((Finding(at, f"{field(at)} has {count} entries, must have at most {ENTRIES}") for at, count in long), None)


def _unused(spec: InstanceShape, findings: list[Finding]) -> None:
    """What a person may wait for in vain."""
    shapes = [(SPEC, spec.pipelines, spec.arguments)]
    shapes += (((*SPEC, "stages", index), stage.pipelines, stage.arguments) for index, stage in enumerate(spec.stages or ()))
    for at, pipelines, arguments in shapes:
        for key, value in (("pipelines", pipelines), ("arguments", arguments)):
            if value:
                findings.append(Finding((*at, key), f"{field((*at, key))} is not used", "warning"))


def _version(manifest: Manifest, root: str | None, findings: list[Finding]) -> None:
    """The object of a version is called <rootResource>-v-<version> (§2.9)."""
    at: Pointer = (*SPEC, "rootResource")
    if not root:
        return
    prefix = root + SEPARATOR
    version = manifest.name.removeprefix(prefix)
    if version == manifest.name or not version:
        findings.append(Finding(at, f"{field(at)} is {shown(root)}, so metadata.name must be {prefix}<version>, not {manifest.name}"))
    elif SEPARATOR in version or version.startswith(SEPARATOR[1:]) or len(version) > _VERSION_CHARACTERS:
        must = f'must be at most {_VERSION_CHARACTERS} characters, without "{SEPARATOR}" in it or "{SEPARATOR[1:]}" before it'
        findings.append(Finding(("metadata", "name"), f"the version in metadata.name is {shown(version)}, {must}"))


def _solution_scope(first: str | None, second: str | None, findings: list[Finding]) -> str:
    text = either(first, second, _SCOPES, SPEC, findings)
    return scope(text, _SCOPES[bool(second)], findings)


def _answer(found: T, manifest: Manifest, findings: list[Finding]) -> tuple[T | None, tuple[Problem, ...]]:
    if not findings:
        return found, ()
    wrong = any(finding.severity == "error" for finding in findings)
    return None if wrong else found, told(manifest, findings)


def told(manifest: Manifest, findings: list[Finding]) -> tuple[Problem, ...]:
    """Findings with their places, in the order of the file; of many, errors go first and the rest is counted."""
    findings = sorted(findings, key=lambda finding: finding.severity != "error")
    if len(findings) > PROBLEMS:
        last = findings[PROBLEMS - 1]
        more = f"{last.message}; and {len(findings) - PROBLEMS} more in this object"
        findings = [*findings[: PROBLEMS - 1], last._replace(message=more)]
    found = {Problem(manifest.place(finding.pointer), finding.message, finding.severity): None for finding in findings}
    return tuple(sorted(found, key=lambda problem: problem.place))
