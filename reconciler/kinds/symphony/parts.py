"""What instances, solutions and targets have alike: components, topologies, policies, scopes.

Law of the module: shapes become values, and what is wrong with them becomes findings; nothing is dropped without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.core.names import is_label
from reconciler.core.problem import Finding, Pointer, did_you_mean, field, listed, shown
from reconciler.lib import durations

from .generations import ComponentShape, PolicyShape, TopologyShape
from .model import NO_TEXTS, Binding, Component, Policy, Sidecar, Topology

SPEC: Pointer = ("spec",)


def topologies(shapes: list[TopologyShape] | None, at: Pointer, findings: list[Finding]) -> tuple[Topology, ...]:
    """`topologies` of the mapping at a pointer."""
    if not shapes:
        return ()
    return tuple(
        Topology(tuple(_bindings(shape, (*at, "topologies", index), findings)), shape.device or "", shape.selector or NO_TEXTS)
        for index, shape in enumerate(shapes)
    )


def _bindings(shape: TopologyShape, at: Pointer, findings: list[Finding]) -> Iterator[Binding]:
    for index, binding in enumerate(shape.bindings or ()):
        here = (*at, "bindings", index)
        for key, text in (("role", binding.role), ("provider", binding.provider)):
            if text is None:
                findings.append(Finding(here, f"{field((*here, key))} is missing"))
        yield Binding(binding.role or "", binding.provider or "", binding.config or NO_TEXTS, here)


def policy(shape: PolicyShape | None, findings: list[Finding]) -> Policy:
    """`spec.reconciliationPolicy`; an interval of 0 is upstream's other way to say inactive."""
    if shape is None:
        return Policy()
    at: Pointer = (*SPEC, "reconciliationPolicy")
    if shape.state is None:
        findings.append(Finding(at, f"{field((*at, 'state'))} is missing"))
    active = word(shape.state, ("active", "inactive"), (*at, "state"), findings) != "inactive"
    if not shape.interval:
        return Policy(active)
    seconds = durations.parse(shape.interval)
    if seconds is None:
        at = (*at, "interval")
        findings.append(Finding(at, f"{field(at)} is {shown(shape.interval)}, must be a duration such as 30m"))
        return Policy(active)
    return Policy(active, seconds) if seconds else Policy(active=False)


def word(text: str | None, known: Sequence[str], at: Pointer, findings: list[Finding]) -> str:
    """One of a few words, or none."""
    if text and text not in known:
        findings.append(Finding(at, f"{field(at)} is {shown(text)}, must be {listed(known)}{did_you_mean(text, known)}"))
    return text or ""


def scope(text: str | None, key: str, findings: list[Finding]) -> str:
    """A namespace that a field of `spec` names."""
    if text and not is_label(text):
        at = (*SPEC, key)
        findings.append(Finding(at, f"{field(at)} is {shown(text)}, must be lower-case letters, digits and -, at most 63"))
    return text or ""


def components(shapes: list[ComponentShape] | None, findings: list[Finding]) -> tuple[Component, ...]:
    """`spec.components`: each with a name of its own, depending on others without going round in circles."""
    if not shapes:
        return ()
    found = tuple(_component(shape, (*SPEC, "components", index)) for index, shape in enumerate(shapes))
    first: dict[str, Component] = {}
    for component in found:
        at = (*component.pointer, "name")
        if not component.name:
            findings.append(Finding(component.pointer, f"{field(at)} is missing"))
        elif component.name in first:
            text = f"{field(at)} is {shown(component.name)}, as is that of {field(first[component.name].pointer)}"
            findings.append(Finding(at, text))
        else:
            first[component.name] = component
    before = len(findings)
    findings += (finding for component in found for finding in _wrong_dependencies(component, first))
    if len(findings) == before:
        findings += _circle(first)
    return found


def _component(shape: ComponentShape, at: Pointer) -> Component:
    return Component(
        name=shape.name or "",
        type=shape.type or "",
        metadata=shape.metadata or NO_TEXTS,
        properties=shape.properties or {},
        parameters=shape.parameters or NO_TEXTS,
        constraints=shape.constraints or "",
        dependencies=tuple(shape.dependencies or ()),
        sidecars=tuple(Sidecar(sidecar.name or "", sidecar.type or "", sidecar.properties or {}) for sidecar in shape.sidecars or ()),
        pointer=at,
    )


def _wrong_dependencies(component: Component, known: Iterable[str]) -> Iterator[Finding]:
    for index, name in enumerate(component.dependencies):
        at = (*component.pointer, "dependencies", index)
        if name == component.name:
            yield Finding(at, f"{field(at)} is {shown(name)}, the component itself")
        elif name not in known:
            yield Finding(at, f"{field(at)} is {shown(name)}, and there is no such component{did_you_mean(name, known)}")


def _circle(components: dict[str, Component]) -> Iterator[Finding]:
    """A circle of dependencies, if there is one: what is left when all that could go first has gone, as often as it can."""
    waits = {name: dict.fromkeys(component.dependencies) for name, component in components.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in waits}
    for name, needs in waits.items():
        for need in needs:
            needed_by[need].append(name)
    ready = [name for name, needs in waits.items() if not needs]
    while ready:
        gone = ready.pop()
        del waits[gone]
        for name in needed_by[gone]:
            del waits[name][gone]
            if not waits[name]:
                ready.append(name)
    if waits:
        here = next(iter(waits))
        path: dict[str, None] = {}
        while here not in path:  # from what is left, every way leads into a circle
            path[here] = None
            here = next(iter(waits[here]))
        names = list(path)
        names = names[names.index(here) :]
        at = (*components[here].pointer, "dependencies")
        way = [*names[:8], "…"] if len(names) > 8 else names
        yield Finding(at, f"components depend on each other in a circle: {' → '.join([*way, here])}")
