"""Which targets an instance means, and where the objects of each of them go.

Law of the module: pure. A target is meant by its name, in which `*` and `%` stand for anything, or by the selector, every key of which
must fit its properties, or its labels where no property has that name (symphony.md §3.1, source document 000). Its cluster is the first of:
`cluster` in the config of the binding that counts, annotation `reconciler.dev/cluster`, a configured cluster of its own name, the one
that its place in the repository implies (design §6). The namespace is the instance's scope, else the target's, else `default` (§3.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.identity import ClusterName, Lane
from reconciler.core.manifest import Manifest
from reconciler.core.problem import Problem, did_you_mean, shown

from .components.container import NS_SERVICES, STRATEGY
from .model import Binding, Choice, Placement, Target, Topology

CLUSTER = "reconciler.dev/cluster"

DEFAULT_NAMESPACE = "default"
NAMED = 8  # clusters in one message
CONTAINER = "container"
"""The one name of the roles that are one: "", "instance" and "container" (§2.2)."""


def spaces(namespace: str) -> tuple[str, ...]:
    """How a namespace may be written: an object that names none is in the default one."""
    return ("", DEFAULT_NAMESPACE) if namespace in ("", DEFAULT_NAMESPACE) else (namespace,)


def role(text: str) -> str:
    """The role that a binding or a component's type means."""
    return CONTAINER if text in ("", "instance", CONTAINER) else text


def is_exact(choice: Choice) -> bool:
    """Whether a choice is one name, and nothing else."""
    return not choice.selector and not any(sign in choice.name for sign in "*%")


def matches(choice: Choice, target: Target) -> bool:
    """Whether a choice means a target."""
    if choice.name and fits(choice.name, target.manifest.name):
        return True
    if not choice.selector:
        return False
    labels = target.manifest.labels
    for key, pattern in choice.selector.items():
        found = target.properties.get(key, labels.get(key))
        if found is None or not fits(pattern, found):
            return False
    return True


def fits(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern says; `*` and `%` in it stand for anything."""
    if "*" not in pattern and "%" not in pattern:
        return pattern == text
    first, *more = pattern.replace("%", "*").split("*")
    *middle, last = more
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def bindings(above: Sequence[Topology], target: Target) -> dict[str, Binding]:
    """The binding that counts for each role: of the stage or instance before the target's own, the first of each."""
    found: dict[str, Binding] = {}
    for topology in (*above, *target.topologies):
        for binding in topology.bindings:
            found.setdefault(role(binding.role), binding)
    return found


def place(
    target: Target,
    name: str,
    scope: str,
    above: Sequence[Topology],
    root: Manifest,
    clusters: Sequence[ClusterName],
    implied: Lane | str | None,
) -> Placement | Problem:
    """Where the objects of an instance `name` go on this target, or why nobody knows.

    `above` are topologies of `root`, who asks; `implied` is the lane of the target's place in the tree. Where containers go to a
    namespace called by the instance (`ns-services`, §3.6), all that belongs to them does: what a target has is in one place.
    """
    found = bindings(above, target)
    own = found.get(CONTAINER)
    namespace = name if own is not None and own.config.get(STRATEGY) == NS_SERVICES else scope or DEFAULT_NAMESPACE
    binding = next((binding for binding in found.values() if binding.config.get("cluster")), None)
    named = binding.config["cluster"] if binding is not None else target.manifest.annotations.get(CLUSTER, "")
    if named in clusters:
        return Placement(named, namespace, found)
    if named:
        theirs = binding is not None and any(binding is one for topology in above for one in topology.bindings)
        at = (root if theirs else target.manifest).place(binding.pointer if binding is not None else ("metadata", "annotations", CLUSTER))
        more = f" and {len(clusters) - NAMED} more" if len(clusters) > NAMED else ""
        known = f"{did_you_mean(named, clusters)}; there are {', '.join(clusters[:NAMED])}{more}"
        return Problem(at, f"no cluster {shown(named)} is configured{known}")
    if target.manifest.name in clusters:
        return Placement(target.manifest.name, namespace, found)
    if isinstance(implied, Lane):
        return Placement(implied.cluster, namespace, found)
    why = implied or "it stands under hub/, which is no cluster"
    return Problem(
        target.manifest.place(),
        f"Target {target.manifest.name} has no cluster: {why}. Name one in its binding's config or by annotation {CLUSTER}",
    )
