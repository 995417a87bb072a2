"""What components are rendered for, and what comes of it.

Law of the module: values only. A place names a manifest by what it is to the caller: the one that holds the components (a solution, or a
target that has some of its own), the instance, or the binding that counts; pointers lead from that manifest's top.

What an expression took from a Secret comes as `Hidden` text and stays so on its way into objects: no message shows it, and every object
says where it holds some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from reconciler.core.messages import Chart, ChartFailure, ChartObjects
from reconciler.core.problem import Pointer, Severity
from reconciler.core.types import Types
from reconciler.kinds.symphony.expressions import Evaluated
from reconciler.kinds.symphony.model import NO_TEXTS, Component, Json, Placement, Texts

Whose = Literal["solution", "instance", "binding"]
Evaluate = Callable[[Any, Component], Evaluated]
"""The expressions in a JSON value, worked out for a component: `expressions.evaluate_all` with the scope of the component and target."""


class Hidden(str):
    """Text that holds a Secret's value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Site:
    """One target, as far as one solution's components need to know it."""

    instance: str  # its name: that of the pod
    placement: Placement
    evaluate: Evaluate
    types: Types
    solution_metadata: Texts = field(default_factory=lambda: NO_TEXTS)
    instance_metadata: Texts = field(default_factory=lambda: NO_TEXTS)
    content: Callable[[str], bytes | None] = lambda path: None  # noqa: ARG005 - a file of the source; None: there is none
    allowed_urls: tuple[str, ...] = ()  # how addresses begin that components may name (`lib.urls`)
    chart: Callable[[Chart], ChartObjects | ChartFailure] | None = None  # None: nobody can render one


class Fault(NamedTuple):
    """What is wrong, and where. A warning changes nothing."""

    pointer: Pointer
    message: str
    whose: Whose = "solution"
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Object:
    """One object that should exist: a copy of its own, so the caller may change it."""

    json: Json
    components: tuple[str, ...]  # several share a pod
    wave: int
    pointer: Pointer  # of its (first) component
    hidden: tuple[Pointer, ...] = ()  # of values that came from a Secret


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one solution's components come to on one target; objects by wave, then in the order of the components.

    What stands there of a failed component is to be kept: that nothing is rendered for it does not mean that nothing is wanted.
    """

    objects: tuple[Object, ...]
    problems: tuple[Fault, ...]
    placed: tuple[str, ...]  # components that belong here, failed ones too
    failed: tuple[str, ...]  # those of them that have no objects now, for their own fault or another's
    namespaces: tuple[str, ...]  # that the objects made here live in; those of `yaml.k8s` and charts that name their own are theirs
