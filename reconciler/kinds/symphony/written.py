"""Expressions that can never be evaluated, wherever they stand: told with their place before anybody asks for them.

Law of the module: pure; each answer is kept with its manifest. What is looked at is what is evaluated later, as it is then, and nothing
else: parameters are text. Of components the words and places are those of a plan, whose code they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from reconciler.core.manifest import Manifest
from reconciler.core.problem import Finding, Problem, field

from . import read
from .components.fields import Part, called
from .expressions import Evaluated, unreadable
from .model import INSTANCE, SOLUTION, SOLUTION_VERSION, TARGET, Component, Texts
from .tokens import OPENING

KEPT = 20_000


@lru_cache(maxsize=KEPT)
def wrong(manifest: Manifest) -> tuple[Problem, ...]:
    """What can never be evaluated in an instance, a solution, a target or a catalog; of many, some, and the rest is counted."""
    if OPENING.encode() not in manifest.json:
        return ()
    kind = (manifest.group, manifest.kind)
    if kind == INSTANCE:
        instance, _ = read.instance(manifest)
        found = _metadata(instance.metadata) if instance is not None else iter(())
    elif kind in (SOLUTION, SOLUTION_VERSION):
        solution, _ = read.solution(manifest)
        found = iter([*_metadata(solution.metadata), *_components(solution.components)] if solution is not None else ())
    elif kind == TARGET:
        target, _ = read.target(manifest)
        found = iter([*_components(target.components), *_properties(dict(target.properties))] if target is not None else ())
    else:
        spec = manifest.body().get("spec")
        found = _properties(spec.get("properties") if isinstance(spec, dict) else None)
    return read.told(manifest, [*found])


def _metadata(texts: Texts) -> Iterator[Finding]:
    """Of a solution or an instance: said of the pod."""
    for error in unreadable(dict(texts)):
        yield Finding(("spec", "metadata", *error.path), f"{called(str(error.path[0]))} has no value: {error.message}")


def _components(components: tuple[Component, ...]) -> Iterator[Finding]:
    for component in components:
        part = Part(component)
        for error in unreadable(component.constraints):
            part.wrong(("constraints",), error.message)
        part.evaluate(lambda json, _: Evaluated(json, errors=unreadable(json)))
        yield from (Finding(fault.pointer, fault.message) for fault in part.faults.found)


def _properties(properties: Any) -> Iterator[Finding]:
    """Of a target or a catalog: evaluated where somebody asks for them. JSON text in them is text."""
    for error in unreadable(properties, json_texts=False):
        pointer = ("spec", "properties", *error.path)
        yield Finding(pointer, f"{field(pointer)}: {error.message}")
