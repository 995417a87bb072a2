"""What the files say, in every spelling that the API has had (symphony.md §1), and how objects of all of them are called.

Law of the module: shapes and spellings only; what they mean stands in `read`. A field may be left out, or null, which is the same.
Fields that no shape names are problems of the schema's (schemas/solution.symphony, schemas/fabric.symphony), so they do not matter
here; those that are read and not used have no shape either, but where `read` says so.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from reconciler.core.manifest import Manifest
from reconciler.core.problem import Finding, Pointer, field, shown

Json = dict[str, Any]
Text = str | None
T = TypeVar("T")

SEPARATOR = "-v-"  # of root and version in the name of an object


class Shape(msgspec.Struct, gc=False, rename="camel"):
    """A mapping of a file."""


class BindingShape(Shape):
    """`topologies[].bindings[]`."""

    role: Text = None
    provider: Text = None
    config: dict[str, str] | None = None


class TopologyShape(Shape):
    """`topologies[]`."""

    device: Text = None
    selector: dict[str, str] | None = None
    bindings: list[BindingShape] | None = None


class ChoiceShape(Shape):
    """`target` of an instance or a stage."""

    name: Text = None
    selector: dict[str, str] | None = None


class ShareShape(Shape):
    """`versions[]`; percentage is G0c, weight the source document's."""

    solution: Text = None
    solutionversion: Text = None
    weight: float | None = None
    percentage: float | None = None


class ScheduleShape(Shape):
    """`schedule` of G1; of G2 and G0a it is text."""

    date: Text = None
    time: Text = None
    zone: Text = None


class StageShape(Shape):
    """`stages[]` of G0b and of the source document."""

    name: Text = None
    solution: Text = None
    solutionversion: Text = None
    target: ChoiceShape | None = None
    versions: list[ShareShape] | None = None
    schedule: str | ScheduleShape | None = None
    topologies: list[TopologyShape] | None = None
    pipelines: Any = None
    arguments: Any = None


class PolicyShape(Shape):
    """`reconciliationPolicy`."""

    state: Text = None
    interval: Text = None


class InstanceShape(Shape):
    """`spec` of an Instance; optOutReconciliation is G0c, solutionversion G3."""

    display_name: Text = None
    name: Text = None
    scope: Text = None
    stage: Text = None
    solution: Text = None
    solutionversion: Text = None
    versions: list[ShareShape] | None = None
    target: ChoiceShape | None = None
    stages: list[StageShape] | None = None
    schedule: str | ScheduleShape | None = None
    parameters: dict[str, str] | None = None
    metadata: dict[str, str] | None = None
    topologies: list[TopologyShape] | None = None
    pipelines: Any = None
    arguments: Any = None
    is_dry_run: bool | None = None
    active_state: Text = None
    reconciliation_policy: PolicyShape | None = None
    opt_out_reconciliation: bool | None = None


class SidecarShape(Shape):
    """`components[].sidecars[]`."""

    name: Text = None
    type: Text = None
    properties: Json | None = None


class ComponentShape(Shape):
    """`components[]` of a solution or a target."""

    name: Text = None
    type: Text = None
    metadata: dict[str, str] | None = None
    properties: Json | None = None
    parameters: dict[str, str] | None = None
    constraints: Text = None
    dependencies: list[str] | None = None
    sidecars: list[SidecarShape] | None = None


class SolutionShape(Shape):
    """`spec` of a Solution (G1) or a SolutionVersion; rootResource is G2 and later."""

    display_name: Text = None
    name: Text = None
    metadata: dict[str, str] | None = None
    components: list[ComponentShape] | None = None
    root_resource: Text = None


class TargetShape(Shape):
    """`spec` of a Target; solutionversionScope is G3."""

    display_name: Text = None
    name: Text = None
    scope: Text = None
    solution_scope: Text = None
    solutionversion_scope: Text = None
    properties: dict[str, str] | None = None
    components: list[ComponentShape] | None = None
    constraints: Text = None
    topologies: list[TopologyShape] | None = None
    metadata: dict[str, str] | None = None
    force_redeploy: bool | None = None
    is_dry_run: bool | None = None
    reconciliation_policy: PolicyShape | None = None


class InstanceFile(Shape):
    """An Instance."""

    spec: InstanceShape | None = None


class SolutionFile(Shape):
    """A Solution or a SolutionVersion."""

    spec: SolutionShape | None = None


class TargetFile(Shape):
    """A Target."""

    spec: TargetShape | None = None


class _Versioned(Shape):
    root_resource: Text = None


class _VersionedFile(Shape):
    spec: _Versioned | None = None


def decode(manifest: Manifest, shape: type[T]) -> T | Finding:
    """An object in its shape; a finding where it has another, in the words of the schema, which has told the same."""
    try:
        return msgspec.json.decode(manifest.json, type=shape)
    except msgspec.DecodeError as error:
        return _other_shape(str(error))


def parse_ref(text: str) -> tuple[str, str]:
    """Root and version of a reference: "a:b" and "a-v-b" are ("a", "b"). "a" is ("a", ""): an object called so, or its only version."""
    root, colon, version = text.partition(":")
    return (root, version) if colon else split(text)


def split(name: str) -> tuple[str, str]:
    """Root and version of the name of a version; a version has no "-v-" in it and does not begin with "v-" (§2.9)."""
    root, separator, version = name.rpartition(SEPARATOR)
    return (root, version) if separator and root and version else (name, "")


def solution_name(manifest: Manifest) -> tuple[str, str]:
    """Root and version of a solution (or a catalog): by its rootResource; without one, of a versioned kind, by its name (§1.3)."""
    root = None
    if SEPARATOR in manifest.name:
        file = decode(manifest, _VersionedFile)
        root = file.spec.root_resource if isinstance(file, _VersionedFile) and file.spec is not None else None
        prefix = f"{root}{SEPARATOR}"
        if root and manifest.name.startswith(prefix) and len(manifest.name) > len(prefix):
            return root, manifest.name[len(prefix) :]
    return split(manifest.name) if not root and manifest.kind.endswith("Version") else (manifest.name, "")


_SHAPE_ERROR = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`(?: - at `(.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[([0-9]+)\]")
_WORDS = {
    "str": "a string",
    "object": "a mapping",
    "array": "a list",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a number",
    "null": "null",
}


def _other_shape(message: str) -> Finding:
    """What msgspec says of a value that does not fit, in our words, at its field."""
    found = _SHAPE_ERROR.fullmatch(message)
    if found is None:
        return Finding(("spec",), "spec cannot be read: a value in it is out of its range")
    must, is_, path = found[1].split(" | "), found[2], found[3] or ""
    pointer = _pointer(path)
    kinds = [_WORDS[word] for word in must if word != "null"]
    return Finding(pointer, f"{field(pointer)} is {_WORDS[is_]}, must be {' or '.join(kinds)}")


def _pointer(path: str) -> Pointer:
    """`$.spec.stages[0].name`; what follows a key that anybody may have chosen (`[...]`) is not known."""
    pointer: list[str | int] = []
    at = 1
    while found := _STEP.match(path, at):
        pointer.append(found[1] if found[1] is not None else int(found[2]))
        at = found.end()
    return tuple(pointer)


def either(first: Text, second: Text, names: tuple[str, str], at: Pointer, findings: list[Finding]) -> str:
    """The value of a field that has two spellings; where both are there they must say the same."""
    if first and second and parse_ref(first) != parse_ref(second):
        text = f"{field((*at, names[1]))} is {shown(second)}, but {field((*at, names[0]))} is {shown(first)}; take one of them out"
        findings.append(Finding((*at, names[1]), text))
    return second or first or ""
