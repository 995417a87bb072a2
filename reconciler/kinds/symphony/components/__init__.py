"""Components on a target: what each of them comes to, as Kubernetes objects.

Law of the package: `render` is pure and total: the same components on the same site are the same bytes, and whatever the components say, it
answers with objects and problems. A component belongs on a target whose bindings have its type and whose properties its constraints accept
(symphony.md §3.2); what its binding's provider makes of it stands in one module each. A component that fails stops nothing but those that
depend on it, and those that share its pod: a pod is never put there in part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from reconciler.core.names import is_label
from reconciler.core.problem import did_you_mean, listed
from reconciler.kinds.symphony.components import container
from reconciler.kinds.symphony.components.config import config_map
from reconciler.kinds.symphony.components.drafts import Draft, check
from reconciler.kinds.symphony.components.fields import NO_TEXT, Faults, Field, Part, called, conceal, reveal, shown
from reconciler.kinds.symphony.components.helm import chart
from reconciler.kinds.symphony.components.ingress import ingress
from reconciler.kinds.symphony.components.order import order
from reconciler.kinds.symphony.components.site import Fault, Hidden, Object, Rendered, Site, Whose
from reconciler.kinds.symphony.components.yaml_k8s import given
from reconciler.kinds.symphony.model import Binding, Component
from reconciler.kinds.symphony.values import as_boolean

__all__ = ["Fault", "Hidden", "Object", "Rendered", "Site", "render"]

CONTAINERS = ("instance", "container", "")
"""Roles, and types, that are one (§2.2)."""

_K8S = "providers.target.k8s"
_ONE_TYPE: Mapping[str, tuple[str, Callable[[Part, Site], list[Draft]]]] = {
    "providers.target.configmap": ("config", lambda part, site: config_map(part, site.placement.namespace)),
    "providers.target.ingress": ("ingress", lambda part, site: ingress(part, site.placement.namespace)),
    "providers.target.kubectl": ("yaml.k8s", given),
    "providers.target.helm": ("helm.v3", chart),
}


class _Group(NamedTuple):
    """Components that become objects together: one, but for the containers of a pod."""

    parts: list[Part]
    binding: Binding
    faults: Faults
    strategy: str = ""
    namespaces: tuple[str, ...] = ()


def render(components: Sequence[Component], site: Site) -> Rendered:
    """What the components of one solution come to on one target."""
    run = _Run(components, site)
    run.place()
    drafts = [(group, run.drafts(group)) for group in run.groups]
    waves = run.waves()
    run.claim(drafts)
    run.leave_out()
    return run.finish(drafts, waves)


class _Run:
    """One rendering, of components as `read` gives them: each has a name of its own, and depends on others that are there."""

    def __init__(self, components: Sequence[Component], site: Site) -> None:
        self.site = site
        self.parts = [Part(component) for component in components]
        self.named: dict[str, Part] = {}
        self.groups: list[_Group] = []
        for part in self.parts:
            self.named.setdefault(part.component.name, part)

    def place(self) -> None:
        """Put the components that belong here into groups."""
        pod: _Group | None = None
        for part in self.parts:
            binding = _binding(part.component, self.site.placement.binding)
            if binding is None or not self._accepts(part):
                continue
            strategy = _strategy(part, binding)
            if strategy == container.SINGLE_POD and pod is not None:
                pod.parts.append(part)
                continue
            namespace = self.site.instance if strategy == container.NS_SERVICES else self.site.placement.namespace
            group = _Group([part], binding, Faults(), strategy, (namespace,))
            if strategy == container.SINGLE_POD:
                pod = group
            self.groups.append(group)

    def _accepts(self, part: Part) -> bool:
        """Whether a component's constraints accept the target; one whose constraints cannot be told belongs here, and fails."""
        text = part.component.constraints
        if not text:
            return True
        found = self.site.evaluate(text, part.component)
        for error in found.errors:
            part.wrong(("constraints",), error.message)
        return bool(found.errors) or as_boolean(found.json) is True

    def drafts(self, group: _Group) -> list[Draft]:
        """The objects of a group, checked; none once something is known to be wrong."""
        for part in group.parts:
            if not part.faults.failed:
                part.evaluate(self.site.evaluate)
        if any(part.faults.failed for part in group.parts):
            return []
        part, site = group.parts[0], self.site
        if group.strategy:
            made = self._pod(group)
        else:
            made = _ONE_TYPE[group.binding.provider][1](part, site)
        for draft in made:
            check(draft, site.types)
        return made

    def _pod(self, group: _Group) -> list[Draft]:
        site, first = self.site, group.parts[0]
        instance = Field(site.instance, "metadata.name", ("metadata", "name"), group.faults, "instance")
        if group.strategy == container.SINGLE_POD:
            return container.pod(instance, site.placement.namespace, self._metadata(group), group.parts)
        if group.strategy == container.NS_SERVICES and not is_label(site.instance):
            instance.must("lower-case letters, digits and -, at most 63 (it names a Namespace)")
        return container.pod(first.name, group.namespaces[0], first.all_metadata(), group.parts)

    def _metadata(self, group: _Group) -> dict[str, Field]:
        """What is said of a pod: by the solution, and over it by the instance. Expressions in it are the first component's."""
        merged: dict[str, Field] = {}
        whose: Whose
        for whose, texts in (("solution", self.site.solution_metadata), ("instance", self.site.instance_metadata)):
            for key, text in texts.items():
                merged[key] = Field(text, called(key), ("spec", "metadata", key), group.faults, whose)
        found = self.site.evaluate({key: field.value for key, field in merged.items()}, group.parts[0].component)
        for error in found.errors:
            merged[str(error.path[0])].wrong(f"has no value: {error.message}")
        for pointer in conceal(found.json, found.secrets):
            merged[str(pointer[0])].wrong(NO_TEXT)
        return {key: replace(field, value=found.json[key]) for key, field in merged.items()}

    def waves(self) -> Mapping[str, int]:
        """The wave of each component, whether it belongs here or not; those that have none fail.

        The containers of a pod go together: what one of them needs, the pod needs. That can close a circle that the components alone
        do not have.
        """
        pod = next((group.parts for group in self.groups if group.strategy == container.SINGLE_POD), [])
        together = {part.component.name: pod[0].component.name for part in pod}
        needs: dict[str, list[str]] = {together.get(name, name): [] for name in self.named}
        for name, part in self.named.items():
            node = together.get(name, name)
            below = (together.get(needed, needed) for needed in part.component.dependencies if needed in self.named)
            needs[node] += [other for other in below if other != node]
        found = order(needs)
        for circle in found.circles:
            first, why = self.named[circle[0]], ""
            if any(name in together for name in circle):
                why = f", for {listed([*together]).replace(' or ', ' and ')} share a pod"
            first.wrong(("dependencies",), f"they go round in a circle: {' → '.join(circle)}{why}")
        for name, part in self.named.items():
            if together.get(name, name) not in found.waves and not part.faults.failed:
                part.faults.add(part.component.pointer, "left out: it is in a circle of dependencies, or depends on one")
        return {name: found.waves[node] for name in self.named if (node := together.get(name, name)) in found.waves}

    def claim(self, drafts: list[tuple[_Group, list[Draft]]]) -> None:
        """Two components may not make the same object."""
        claimed: dict[Any, Part] = {}
        for group, made in [(group, made) for group, made in drafts if not self._failed(group)]:
            for draft in made:
                id, part = draft.id(), group.parts[0]
                if (other := claimed.setdefault(id, part)) is not part:
                    for one, its in ((part, other), (other, part)):
                        one.faults.add(one.component.pointer, f"makes {id}, as component {called(its.component.name)} does")

    def _failed(self, group: _Group) -> bool:
        return group.faults.failed or any(part.faults.failed for part in group.parts)

    def leave_out(self) -> None:
        """Fail what shares a pod with a failed component, or depends on one; each says why."""
        group_of = {id(part): group for group in self.groups for part in group.parts}
        above: dict[str, list[Part]] = {}
        for group in self.groups:
            for part in group.parts:
                part.faults.failed = part.faults.failed or group.faults.failed
                for needed in part.component.dependencies:
                    above.setdefault(needed, []).append(part)
        waiting = [part for group in self.groups for part in group.parts if part.faults.failed]
        for part in waiting:  # grows while it is gone through
            mates = [(mate, "shares its pod with") for mate in group_of[id(part)].parts]
            for other, why in mates + [(dependent, "depends on") for dependent in above.get(part.component.name, ())]:
                if not other.faults.failed:
                    other.faults.add(other.component.pointer, f"left out: it {why} {called(part.component.name)}, which cannot be made")
                    waiting.append(other)

    def finish(self, drafts: list[tuple[_Group, list[Draft]]], waves: Mapping[str, int]) -> Rendered:
        """All of it together."""
        objects: list[Object] = []
        namespaces: dict[str, None] = {}
        for group, made in drafts:
            if self._failed(group):
                continue
            namespaces |= dict.fromkeys(group.namespaces)
            names = tuple(part.component.name for part in group.parts)
            pointer, wave = group.parts[0].component.pointer, waves[names[0]]
            for draft in made:
                plain, hidden = reveal(draft.json)
                whole = tuple(prefix for prefix, field in draft.origins if field.secret)
                objects.append(Object(plain, names, wave, pointer, hidden + whole))
        objects.sort(key=lambda one: one.wave)
        placed = {id(part): self._failed(group) for group in self.groups for part in group.parts}
        here = [part for part in self.parts if id(part) in placed]
        told = [*(part.faults for part in self.parts), *(group.faults for group in self.groups)]
        return Rendered(
            objects=tuple(objects),
            problems=tuple(dict.fromkeys(fault for faults in told for fault in faults.found)),
            placed=tuple(dict.fromkeys(part.component.name for part in here)),
            failed=tuple(dict.fromkeys(part.component.name for part in here if placed[id(part)])),
            namespaces=tuple(namespaces),
        )


def _binding(component: Component, bindings: Mapping[str, Binding]) -> Binding | None:
    """The binding for a component's type, if the target has one."""
    roles = CONTAINERS if component.type in CONTAINERS else (component.type,)
    return next((bindings[role] for role in roles if role in bindings), None)


def _strategy(part: Part, binding: Binding) -> str:
    """How containers are put there; "" for other components. A provider that cannot be used here fails the component."""
    if binding.provider != _K8S:
        only = _ONE_TYPE.get(binding.provider)
        if only is None:
            known = (_K8S, *_ONE_TYPE)
            text = f"provider is {shown(binding.provider)}, must be {listed(known)}{did_you_mean(binding.provider, known)}"
            part.faults.add((*binding.pointer, "provider"), text, "binding")
        elif part.component.type != only[0]:
            pointer = (*part.component.pointer, "type")
            part.faults.add(pointer, f"type is {shown(part.component.type)}, but {binding.provider} takes {only[0]} alone")
        return ""
    strategy = binding.config.get(container.STRATEGY) or container.SINGLE_POD
    if strategy not in container.STRATEGIES:
        hint = did_you_mean(strategy, container.STRATEGIES)
        pointer = (*binding.pointer, "config", container.STRATEGY)
        part.faults.add(pointer, f"deploymentStrategy is {shown(strategy)}, must be {listed(container.STRATEGIES)}{hint}", "binding")
        return container.SERVICES
    return strategy
