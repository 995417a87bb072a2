"""Instances, solutions and targets, as this family reasons about them, whichever API generation wrote them.

Law of the module: values only. `read` makes them from manifests and nothing else does; a field that an object leaves out has the value
that upstream gives it (symphony.md §2). Whatever a message may have to point at carries its JSON pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from reconciler.core.identity import GroupKind
from reconciler.core.manifest import Manifest
from reconciler.core.problem import Pointer

INSTANCE = GroupKind("solution.symphony", "Instance")
SOLUTION = GroupKind("solution.symphony", "Solution")
SOLUTION_VERSION = GroupKind("solution.symphony", "SolutionVersion")
SOLUTION_CONTAINER = GroupKind("solution.symphony", "SolutionContainer")
INSTANCE_HISTORY = GroupKind("solution.symphony", "InstanceHistory")
TARGET = GroupKind("fabric.symphony", "Target")
DEVICE = GroupKind("fabric.symphony", "Device")
CATALOG = GroupKind("federation.symphony", "Catalog")
CATALOG_CONTAINER = GroupKind("federation.symphony", "CatalogContainer")
CATALOG_VERSION = GroupKind("federation.symphony", "CatalogVersion")

BLOCK = "BLOCK"
DEFAULT = "default"
"""Names of stages that no `stages[]` entry may have; the empty stage is the default one."""

Json = dict[str, Any]
Texts = Mapping[str, str]
NO_TEXTS: Texts = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Binding:
    """How components of a type are put on a target. Type "", "container" and "instance" are one role (§2.2)."""

    role: str
    provider: str
    config: Texts
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Topology:
    """Bindings of a target; those of an instance or a stage count before the target's own."""

    bindings: tuple[Binding, ...]
    device: str = ""
    selector: Texts = field(default_factory=lambda: NO_TEXTS)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A container beside a component's own."""

    name: str
    type: str
    properties: Json


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a solution (or of a target itself). Strings in it may be expressions."""

    name: str
    type: str
    metadata: Texts
    properties: Json
    parameters: Texts
    constraints: str
    dependencies: tuple[str, ...]
    sidecars: tuple[Sidecar, ...]
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Solution:
    """A version of an application: `root` and `version` of "my-app:v1", "my-app-v-v1"; version "" where there is only one."""

    manifest: Manifest
    root: str
    version: str
    display_name: str
    metadata: Texts
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which targets: the union of those that the name (with wildcards) and those that the selector matches (§3.1)."""

    name: str = ""
    selector: Texts = field(default_factory=lambda: NO_TEXTS)
    pointer: Pointer = ("spec", "target")


@dataclass(frozen=True, slots=True)
class Share:
    """One version of a canary stage, with its weight as written: only its part of the total counts.

    References to solutions, here and below, are `name` or `name:version`, whichever way they are written.
    """

    solution: str
    weight: float
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a blocked instance is cleared. `text` is the value as it stands in Git, in one canonical form: it fires once for each."""

    text: str
    at: float  # epoch seconds
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Stage:
    """One entry of `stages`; what it leaves out is the instance's own. `shares` count before `solution`."""

    name: str
    solution: str
    target: Choice | None
    shares: tuple[Share, ...]
    schedule: Schedule | None
    topologies: tuple[Topology, ...]
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Policy:
    """When an object is reconciled: always, or (`inactive`) when what Git says of it changes."""

    active: bool = True
    interval_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """A solution on targets. `stage` is as written; `stages` in order."""

    manifest: Manifest
    display_name: str
    scope: str
    stage: str
    solution: str
    target: Choice
    stages: tuple[Stage, ...]
    schedule: Schedule | None
    parameters: Texts
    metadata: Texts
    topologies: tuple[Topology, ...]
    dry_run: bool
    active: bool
    policy: Policy
    rings: Literal["exclusive", "cumulative"]
    ring_overlap: Literal["none", "healthy"]
    promote_after_seconds: float | None  # reconciler.dev/promote-after: 30m healthy
    shares: tuple[Share, ...] = ()  # of the default stage (`spec.versions`, G0c); they count before `solution`


@dataclass(frozen=True, slots=True)
class Target:
    """A place to deploy to. Selectors look at its properties, and at its labels where no property has the name."""

    manifest: Manifest
    display_name: str
    scope: str  # of its own components
    solution_scope: str  # of instances that name none
    properties: Texts
    components: tuple[Component, ...]
    topologies: tuple[Topology, ...]
    metadata: Texts
    dry_run: bool
    policy: Policy


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a target's objects go."""

    cluster: str
    namespace: str
    binding: Mapping[str, Binding] = field(default_factory=dict)  # role -> the binding that counts
